//! For what a profile is resolved.

use crate::arch::{Arch, KernelVersion};
use crate::bpf::Action;
use alloc::vec::Vec;

/// Which meaning rules have that can match the same call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Semantics {
    /// As container runtimes read a profile; doubtful cases are diagnostics. The default for JSON.
    Oci,
    /// Rules that contradict each other are errors. The default for the builder.
    Strict,
}

/// The answer to numbers that no rule names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unlisted {
    /// The default action.
    #[default]
    Default,
}

/// The answer to x32 numbers where x86_64 is listed and x32 is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnlistedX32 {
    /// The same as to an unlisted architecture.
    #[default]
    BadArch,
    /// The default action, which makes the gate vanish from the filter where no rule needs it.
    Default,
    /// This action.
    Action(Action),
}

/// The machine and the options for which a profile is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Target {
    /// The ABI of the host: answers `includes.arches` and `archMap`, and is added to the profile's list as runtimes do.
    pub(crate) native: Arch,
    /// If given, exactly these ABIs instead of the profile's list.
    pub(crate) arches: Option<Vec<Arch>>,
    pub(crate) kernel: KernelVersion,
    pub(crate) unlisted: Unlisted,
    /// `None`: KILL_PROCESS, in [`Semantics::Oci`] KILL_THREAD.
    pub(crate) bad_arch: Option<Action>,
    pub(crate) unlisted_x32: UnlistedX32,
    /// `None`: by the dialect of the profile.
    pub(crate) semantics: Option<Semantics>,
}
