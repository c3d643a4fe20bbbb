//! Why a filter could not be installed.

use super::flags::FilterFlags;
use crate::arch::Arch;
use core::fmt;
use thiserror::Error;

/// Why a filter was not installed. Nothing was installed then (of [`NoListener`](Self::NoListener) that is not known), but
/// `no_new_privs` stays set if it was asked for: it comes first and cannot be taken back.
///
/// Making and inspecting one allocates nothing, so that the child between fork and exec can report it. The causes are
/// those of seccomp(2) and of `seccomp_set_mode_filter` in `kernel/seccomp.c`.
///
/// ```
/// use callsieve::Filter;
/// use callsieve::kernel::{Install, InstallError};
///
/// fn confine(filter: &Filter) -> Result<(), InstallError> {
///     let result = filter.install(Install::new().tsync(true));
///     if let Err(InstallError::ThreadDiverged { tid: Some(tid) }) = result {
///         eprintln!("thread {tid} has a filter of its own; nothing is installed, and no_new_privs is set");
///     }
///     result.map(drop)
/// }
/// # let _ = confine;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InstallError {
    /// EACCES: the thread has neither `no_new_privs` nor `CAP_SYS_ADMIN` in its user namespace.
    #[error("seccomp(2) refused the filter: permission denied; set no_new_privs or hold CAP_SYS_ADMIN")]
    PermissionDenied,
    /// `no_new_privs` could not be set: a kernel before 3.5, or an older filter denies prctl(2).
    #[error(
        "prctl(2) could not set no_new_privs: error {errno}; an older filter of this thread most likely denies prctl, \
         so set no_new_privs before that filter and install this one without"
    )]
    NoNewPrivs {
        /// The error number of prctl(2).
        errno: i32,
    },
    /// EINVAL: this kernel does not know some flags.
    #[error("this kernel does not know {flags}; leave it out, or run on a newer kernel (`kernel::probe` tells)")]
    UnknownFlags {
        /// Those of the wanted flags that it does not know.
        flags: FilterFlags,
    },
    /// EINVAL for another reason: filters are not compiled in (`CONFIG_SECCOMP_FILTER`), an emulator such as qemu-user
    /// runs the program, or a fatal signal interrupted TSYNC.
    #[error(
        "the kernel does not take filters here (EINVAL): it lacks CONFIG_SECCOMP_FILTER, or an emulator such as \
         qemu-user runs this program"
    )]
    NoFilterMode,
    /// EINVAL: the thread already is in the other mode; a mode can never be left.
    #[error("this thread already has a filter, and a thread with a filter cannot enter strict mode")]
    ModeLocked,
    /// ENOMEM: all filters of a thread together are limited to 32768 instructions as the kernel converts them, with 4
    /// more for each older filter; seldom, memory is short.
    #[error(
        "the filters of this thread would become too long (ENOMEM): this one counts for {ebpf_len} of the 32768 \
         instructions that all together may have; fuse filters into one, or install fewer"
    )]
    TooLong {
        /// Converted length of the filter without constant blinding ([`Program::ebpf_len`]).
        ///
        /// [`Program::ebpf_len`]: crate::bpf::Program::ebpf_len
        ebpf_len: usize,
    },
    /// A thread has a filter that the calling thread does not have, or is in strict mode, so that TSYNC cannot bring
    /// it along. No thread was changed.
    #[error(
        "{} could not be given the filter: it already has a different one (SECCOMP_FILTER_FLAG_TSYNC); install before \
         that thread does, or before it starts",
        Thread(*tid)
    )]
    ThreadDiverged {
        /// The thread; `None` with [`FilterFlag::TsyncEsrch`](super::FilterFlag::TsyncEsrch), where the kernel says
        /// only ESRCH.
        tid: Option<u32>,
    },
    /// EBUSY: an older filter of this thread has a listener; only one can have one.
    #[error("an older filter of this thread has a listener, and there can be only one (EBUSY); close that one first")]
    Busy,
    /// EFAULT: the kernel could not read the program. Ours are always readable, so an older filter answers this.
    #[error(
        "the kernel could not read the filter (EFAULT); an older filter of this thread most likely denies the call"
    )]
    Fault,
    /// ENOSYS: there is no seccomp(2).
    #[error(
        "there is no seccomp(2) here (ENOSYS): a kernel before 3.17, where `via_prctl` works, or an emulator such as \
         qemu-user"
    )]
    NoSeccomp,
    /// prctl(2) takes no flags.
    #[error("prctl(2) installs filters without flags, so {flags} cannot be had; leave out the flags or `via_prctl`")]
    FlagsNeedSeccomp {
        /// The wanted flags.
        flags: FilterFlags,
    },
    /// The default action is NOTIFY and nobody would answer: every call would fail, those of the installer included.
    #[error(
        "the default action is NOTIFY (SCMP_ACT_NOTIFY) and there is no listener: every call would fail with ENOSYS"
    )]
    NotifyDefault,
    /// A rule has the action NOTIFY and nobody would answer: the call would fail with ENOSYS.
    #[error(
        "{} has the action NOTIFY (SCMP_ACT_NOTIFY) and there is no listener: it would fail with ENOSYS; install with \
         a listener, or give it another action",
        Call(*arch, *number)
    )]
    NotifyRule {
        /// The ABI of the rule.
        arch: Arch,
        /// The number of the call.
        number: u32,
    },
    /// EMFILE or ENFILE: there is no descriptor for the listener.
    #[error("there is no descriptor for the listener (error {errno}): too many are open")]
    NoDescriptor {
        /// The error number.
        errno: i32,
    },
    /// The answer of seccomp(2) is no listener: an older filter makes it up. The one error that leaves open whether the
    /// filter was installed, should the older filter only deny ioctl(2) on a listener.
    #[error("seccomp(2) gave no listener; an older filter of this thread most likely answers in its place")]
    NoListener,
    /// The profile names a supervisor (`listenerPath`), to which this way of installing sends nothing.
    #[error(
        "the profile wants a supervisor (listenerPath), which this way of installing does not start; remove \
         listenerPath, so that calls with SCMP_ACT_NOTIFY fail with ENOSYS"
    )]
    Listener,
    /// The flag means something only with a listener, and the kernel refuses it without.
    #[error(
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is only possible with a listener; remove the flag from the profile"
    )]
    WaitKillableWithoutListener,
    /// The filter was compiled for other ABIs than the one of this program, perhaps of the other byte order: it would
    /// answer every call as one of a foreign architecture. Nothing was done.
    #[error(
        "the filter is for other architectures than the one of this program, {}; compile it for this one as well",
        native_name()
    )]
    ForeignArch,
    /// Any other error number, which the kernel itself does not give: an older filter answers it.
    #[error(
        "installing the filter failed with error {errno}; an older filter of this thread most likely denies \
         seccomp(2), so install this one first or let the older one allow it"
    )]
    Other {
        /// The error number.
        errno: i32,
    },
}

impl InstallError {
    /// The error number that the kernel gave; `None` if the kernel was not asked or answered with a thread id.
    pub const fn raw_os_error(&self) -> Option<i32> {
        Some(match self {
            Self::PermissionDenied => libc::EACCES,
            Self::NoNewPrivs { errno } | Self::NoDescriptor { errno } | Self::Other { errno } => *errno,
            Self::UnknownFlags { .. } | Self::NoFilterMode | Self::ModeLocked => libc::EINVAL,
            Self::TooLong { .. } => libc::ENOMEM,
            Self::ThreadDiverged { tid: None } => libc::ESRCH,
            Self::Busy => libc::EBUSY,
            Self::Fault => libc::EFAULT,
            Self::NoSeccomp => libc::ENOSYS,
            _ => return None,
        })
    }
}

fn native_name() -> &'static str {
    Arch::NATIVE.map_or("which has no seccomp", Arch::short_name)
}

/// A thread in a message.
struct Thread(Option<u32>);

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(tid) => write!(f, "thread {tid}"),
            None => f.write_str("a thread"),
        }
    }
}

/// A call in a message.
struct Call(Arch, u32);

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name(self.1) {
            Some(name) => write!(f, "{name} on {}", self.0),
            None => write!(f, "call {} on {}", self.1, self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::FilterFlag;
    use alloc::string::ToString;

    #[test]
    fn messages_name_cause_and_remedy() {
        assert_eq!(
            InstallError::ThreadDiverged { tid: Some(4711) }.to_string(),
            "thread 4711 could not be given the filter: it already has a different one (SECCOMP_FILTER_FLAG_TSYNC); \
             install before that thread does, or before it starts"
        );
        assert!(InstallError::ThreadDiverged { tid: None }.to_string().starts_with("a thread could not"));
        let flags = FilterFlags::NONE.with(FilterFlag::WaitKillableRecv, true);
        assert_eq!(
            InstallError::UnknownFlags { flags }.to_string(),
            "this kernel does not know SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV; leave it out, or run on a newer kernel \
             (`kernel::probe` tells)"
        );
    }

    #[test]
    fn error_numbers() {
        assert_eq!(InstallError::PermissionDenied.raw_os_error(), Some(libc::EACCES));
        assert_eq!(InstallError::ThreadDiverged { tid: Some(1) }.raw_os_error(), None);
        assert_eq!(InstallError::ThreadDiverged { tid: None }.raw_os_error(), Some(libc::ESRCH));
        assert_eq!(InstallError::NotifyDefault.raw_os_error(), None);
    }

    #[test]
    fn errors_can_leave_the_thread() {
        fn sendable<T: Send + Sync + Copy + 'static>() {}
        sendable::<InstallError>();
    }
}
