//! Why there is no sandbox.

use crate::arch::Arch;
use crate::bpf::Action;
use crate::compile::CompileError;
use crate::kernel::{FilterFlags, HostError, InstallError};
use crate::policy::ResolveError;
use std::string::String;
use thiserror::Error;

/// Why a sandbox was not entered. No filter was installed then. What cannot be taken back is `no_new_privs`: it stays
/// set if the kernel refused the filter.
///
/// ```
/// use callsieve::{Arch, Sandbox, sandbox::SandboxError};
/// let error = Sandbox::deny_by_default().allow("ptrace").policy(Arch::X86_64).unwrap_err();
/// assert!(matches!(error, SandboxError::Dangerous { .. }));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A dangerous call was allowed without the word for it.
    #[error("{call} is dangerous: {why}; if the program needs it, say so with Sandbox::allow_dangerous")]
    Dangerous {
        /// The call.
        call: String,
        /// Why it is.
        why: &'static str,
    },
    /// A name that no ABI has, or rules that contradict each other.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No filter could be made of the rules.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The machine is not known.
    #[error(transparent)]
    Host(#[from] HostError),
    /// This program was compiled for an architecture without seccomp.
    #[error("this program runs on an architecture whose system calls are not known here")]
    NoArch,
    /// The kernel lacks an action that the sandbox uses.
    #[error(
        "this kernel does not know the action {action}; choose another one (Sandbox::on_violation), or accept less \
         (Sandbox::compat)"
    )]
    MissingAction {
        /// The action.
        action: Action,
    },
    /// The kernel lacks flags that the sandbox uses.
    #[error("this kernel does not know {flags}; accept less (Sandbox::compat) or run on a newer kernel")]
    MissingFlags {
        /// The flags.
        flags: FilterFlags,
    },
    /// The kernel has no filters at all.
    #[error(
        "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER); run on another one, or accept to go on without \
         (Compat::Optional)"
    )]
    NoSeccomp,
    /// The kernel cannot give a filter to all threads, and this process has several.
    #[error(
        "this kernel cannot give a filter to all threads in one step (Linux 3.17 can), and this process has {threads}; \
         enter the sandbox before starting them"
    )]
    Threads {
        /// How many.
        threads: usize,
    },
    /// The kernel refused the filter.
    #[error(transparent)]
    Install(#[from] InstallError),
}

/// The ABI of this program.
pub(super) fn native() -> Result<Arch, SandboxError> {
    Arch::NATIVE.ok_or(SandboxError::NoArch)
}
