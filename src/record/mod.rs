//! Recording: the profile of a program from real runs of it.
//!
//! A [`Recorder`] runs a program under a filter that asks about every call, notes the call in a [`Recording`] and lets it
//! go on. Of the recording it makes a profile, a [`Draft`]. What one run shows depends on chance: which thread waits for
//! which, how much memory is asked for. So it can [refine](Recorder::refine): run the program again under that profile,
//! where known calls run at their own speed and only unknown ones are asked about, until nothing new shows.
//!
//! What a program did not do while it was recorded is not in its profile. Record what it will do: its tests, its errors,
//! its end by a signal, its reload.
//!
//! # What cannot be seen
//!
//! - Calls that are never notified (`exit`, `exit_group`, `rt_sigreturn`, `restart_syscall`). Profiles allow them with
//!   the other calls of the closure ([`Benign`]).
//! - What set-user-id programs do with their privileges: without [`Recorder::no_new_privs`] they have none, and the
//!   recording has a [`Note`] of it.
//! - What a program that installs a filter of its own denies there. Nor can it have a listener of its own, since there is
//!   only one; both are noted.
//! - Calls of a process that was there before, and of what another process starts for the program (services, containers):
//!   filters are inherited, and nothing else.
//! - What is behind pointers: with [`Arguments`] profiles have conditions on numbers only.
//!
//! # Recording is no confinement
//!
//! A program that is recorded may do everything. Do not record what you do not trust.
//!
//! See the example of [`Recorder`].

mod closure;
mod draft;
mod error;
mod log;
mod recorder;
mod recording;
mod strace;
mod strace_values;
#[cfg(test)]
mod tests;
mod watched;

pub use closure::Benign;
pub use draft::{Doubt, Draft};
pub use error::RecordError;
pub use log::{LogError, LogRead};
pub use recorder::{New, Progress, Recorder, Refine, Run};
pub use recording::{Note, RecordedCall, Recording};

/// What a profile says of the arguments that were seen.
///
/// ```
/// use callsieve::bpf::SyscallData;
/// use callsieve::record::{Arguments, Recorder, Recording};
/// let mut recording = Recording::new();
/// for family in [1, 2] {
///     let args = [family, 1, 0, 0, 0, 0];
///     recording.add(&SyscallData { nr: 41, arch: callsieve::Arch::X86_64.audit(), args, ..SyscallData::default() });
/// }
/// let draft = Recorder::new().arguments(Arguments::Sets).draft(&recording)?;
/// assert!(draft.profile().rules().iter().any(|rule| !rule.args().is_empty()));
/// # Ok::<(), callsieve::record::RecordError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arguments {
    /// Nothing: a call that was seen is allowed.
    #[default]
    None,
    /// Each argument by itself: the values that were seen, and of flags the bits that were seen, in any combination.
    Sets,
    /// The combinations that were seen.
    Exact,
}
