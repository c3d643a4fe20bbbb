//! What the format cannot say.

use crate::arch::Arch;
use crate::bpf::{Action, SyscallData};
use crate::check::JudgeError;
use crate::policy::ResolveError;
use crate::profile::ProfileError;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use thiserror::Error;

/// Why a policy cannot be written as an OCI profile, or in another language.
///
/// ```
/// use callsieve::import::Language;
/// use callsieve::{Action, Arch, Profile, Target};
/// let policy = Profile::new(Action::Errno(1)).allow("read").resolve(&Target::exactly(&[Arch::X86_64]))?;
/// let error = policy.to_language(Language::Kafel).unwrap_err();
/// assert!(error.to_string().starts_with("kafel cannot say"));
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Calls of other ABIs get another action than the one that runtimes give them.
    #[error(
        "{} get {action}, but under an OCI profile they always get KILL_THREAD; accept that ({} kill-thread), or write \
         a raw filter instead", if *is_x32 { "x32 calls" } else { "calls of architectures that are not listed" },
        if *is_x32 { "--unlisted-x32" } else { "--bad-arch" }
    )]
    BadArch {
        /// What they get.
        action: Action,
        /// Whether these are the x32 calls of a policy for x86_64.
        is_x32: bool,
    },
    /// The default action is not the same everywhere.
    #[error("the default is {} on {} and {} on {}, but an OCI profile has one default action", one.1, one.0, other.1, other.0)]
    Defaults {
        /// The default on one ABI.
        one: (Arch, Action),
        /// And on another.
        other: (Arch, Action),
    },
    /// Another language has no word for it.
    #[error("{language} cannot say: {what}")]
    Language {
        /// The language.
        language: &'static str,
        /// What it has no word for, and what it has instead.
        what: String,
    },
    /// One region of a call's arguments cannot be said.
    #[error("{call} on {arch}, {region}: {obstacle}")]
    Region {
        /// The ABI.
        arch: Arch,
        /// The call, by name where it has one.
        call: String,
        /// The answer, and for which arguments.
        region: String,
        /// Why not.
        obstacle: Obstacle,
    },
    /// The text was refused.
    #[error("{0}")]
    Text(ProfileError),
    /// The text has no meaning.
    #[error("{0}")]
    Resolve(ResolveError),
    /// It is not known whether the text means the same.
    #[error("{0}")]
    Judge(#[from] JudgeError),
    /// The text does not mean the same: a defect of this crate, please report it.
    #[error("internal error: the profile that was written answers the call {0:x?} differently")]
    Wrong(Box<SyscallData>),
}

/// What stands in the way of a region.
///
/// See the example of [`ExportError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The number has no name on its ABI.
    Unnamed,
    /// The call does not do the same on another listed ABI.
    DiffersFrom {
        /// An ABI that has the call.
        other: Arch,
    },
    /// A constant above 32 bits, on an ABI where runtimes look at the low 32 bits of constants only.
    WideConstant {
        /// That ABI.
        on: Arch,
    },
    /// TRAP with data.
    TrapData,
    /// It would take too many entries.
    TooManyEntries {
        /// How many a profile may have.
        limit: usize,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str("the format knows calls by name only, and this number has none"),
            Self::DiffersFrom { other } => write!(
                f,
                "the format has the same rules for all architectures, and {other} answers differently; make a profile \
                 for each (--arch)"
            ),
            Self::WideConstant { on } => write!(
                f,
                "runtimes cut constants to 32 bits on {on}, so this would mean something else there; leave that \
                 architecture out (--arch)"
            ),
            Self::TrapData => f.write_str("the format has TRAP without data only"),
            Self::TooManyEntries { limit } => write!(f, "this takes more than {limit} entries"),
        }
    }
}
