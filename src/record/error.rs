//! Why nothing could be recorded, or made of it.

use crate::compile::CompileError;
use crate::kernel::{HostError, NotifyError, NotifyFeature, SpawnError, WaitError};
use crate::policy::ResolveError;
use alloc::boxed::Box;
use thiserror::Error;

/// Why a program could not be recorded. Nothing of it runs any more then, and the recording has what was seen up to
/// there.
///
/// See the example of [`Recorder`](crate::record::Recorder).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The facts of the machine could not be had.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The profile that recording starts from has no meaning on this machine.
    #[error("the base profile: {0}")]
    Base(#[from] ResolveError),
    /// The profile that recording starts from allows everything that it does not name, so nothing can be missing.
    #[error("the base profile allows what it does not name, so no call can be missing in it")]
    BaseAllows,
    /// No filter could be made.
    #[error("no filter for recording: {0}")]
    Compile(#[from] Box<CompileError>),
    /// The program was not started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// This kernel lacks what recording needs.
    #[error("recording needs {feature}, which this kernel does not have")]
    Unsupported {
        /// What is missing.
        feature: NotifyFeature,
    },
    /// The listener failed while the program ran; it was killed.
    #[error("recording failed, and the program was killed: {0}")]
    Notify(#[from] NotifyError),
    /// A pipe could not be made.
    #[error("recording failed: {0}")]
    Io(#[from] std::io::Error),
    /// The program never became what it should, or could not be waited for.
    #[error(transparent)]
    Wait(#[from] WaitError),
}
