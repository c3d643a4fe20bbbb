//! What can go wrong between a supervisor and the kernel.

use core::fmt;
use thiserror::Error;

/// Something that came to user notification after Linux 5.0.
///
/// ```
/// use callsieve::kernel::{Listener, NotifyFeature};
///
/// fn can_open_for_targets(listener: &Listener) -> bool {
///     listener.has(NotifyFeature::AddFd) != Some(false)
/// }
/// # let _ = can_open_for_targets;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotifyFeature {
    /// Letting a call go on unchecked (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`, Linux 5.5).
    Continue,
    /// Putting a descriptor into the target (`SECCOMP_IOCTL_NOTIF_ADDFD`, Linux 5.9).
    AddFd,
    /// Doing that and answering in one step (`SECCOMP_ADDFD_FLAG_SEND`, Linux 5.14).
    AddFdSend,
    /// Waking the other side on the same CPU (`SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`, Linux 6.6).
    SyncWakeUp,
    /// Descriptors of processes (`pidfd_open(2)`, Linux 5.3) and taking one of theirs (`pidfd_getfd(2)`, Linux 5.6).
    Pidfd,
}

impl NotifyFeature {
    /// The kernel's name for it, and the release that brought it.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Continue => ("SECCOMP_USER_NOTIF_FLAG_CONTINUE", "5.5"),
            Self::AddFd => ("SECCOMP_IOCTL_NOTIF_ADDFD", "5.9"),
            Self::AddFdSend => ("SECCOMP_ADDFD_FLAG_SEND", "5.14"),
            Self::SyncWakeUp => ("SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP", "6.6"),
            Self::Pidfd => ("pidfd_getfd", "5.6"),
        }
    }
}

impl fmt::Display for NotifyFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, since) = self.words();
        write!(f, "{name} (Linux {since})")
    }
}

/// Why something that concerns a listener or a notification failed. That a target has vanished is none of these, see
/// [`Outcome`](super::Outcome).
///
/// See the example of [`Listener`](crate::kernel::Listener).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The descriptor is not one of `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
    #[error("the descriptor is no seccomp listener")]
    NotAListener,
    /// This kernel does not have it.
    #[error("this kernel does not have {feature}")]
    Unsupported {
        /// What is missing.
        feature: NotifyFeature,
    },
    /// The target lives in a process id namespace that this process cannot see, or /proc hides it; so nothing of it can
    /// be reached. Only an answer is possible.
    #[error("the target cannot be seen from this process id namespace, or /proc hides it")]
    NotVisible,
    /// The kernel does not let this process look into the target; ptrace(2) says who may, and the Yama sysctl
    /// `kernel.yama.ptrace_scope`.
    #[error("this process may not look into the target (error {errno}); it needs the same user or CAP_SYS_PTRACE")]
    NotPermitted {
        /// The error number, EPERM or EACCES.
        errno: i32,
    },
    /// Someone else, who holds the same listener, has answered the notification.
    #[error("another holder of this listener has answered the notification")]
    AnsweredElsewhere,
    /// A descriptor cannot be put into the target: it has as many as it may (`RLIMIT_NOFILE`), or the wanted number is
    /// too high.
    #[error("the target cannot take another descriptor (error {errno}): its limit is reached, or the number too high")]
    TargetFull {
        /// The error number, EMFILE or EBADF.
        errno: i32,
    },
    /// The target has no such descriptor.
    #[error("the target has no descriptor {number}")]
    NoSuchFd {
        /// The number that was asked for.
        number: i32,
    },
    /// A notification was dropped without an answer, and the listener was told to stop then
    /// ([`Listener::stop_if_dropped`](super::Listener::stop_if_dropped)).
    #[error("a notification (id {id:#x}) was dropped without an answer, and the listener stops because of that")]
    Dropped {
        /// The id of the notification.
        id: u64,
    },
    /// Any other error.
    #[error("{call} failed with error {errno}")]
    Other {
        /// The system call.
        call: &'static str,
        /// The error number.
        errno: i32,
    },
}

impl NotifyError {
    /// The error number that the kernel gave, where there is one that the target could be told.
    pub const fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::NotPermitted { errno } | Self::TargetFull { errno } | Self::Other { errno, .. } => Some(*errno),
            Self::NoSuchFd { .. } => Some(libc::EBADF),
            _ => None,
        }
    }
}

/// Why memory of a target could not be read or written.
///
/// See the example of [`TargetMemory`](crate::kernel::TargetMemory).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The target has no such memory there, or may not read or write it itself. The kernel would have answered the call
    /// with EFAULT.
    #[error("the target has no such memory at {address:#x}")]
    Fault {
        /// The first address that failed.
        address: u64,
    },
    /// There is no NUL byte within the limit.
    #[error("the string of the target is longer than {limit} bytes")]
    TooLong {
        /// The limit that was given.
        limit: usize,
    },
    /// The target cannot be reached at all.
    #[error(transparent)]
    Notify(#[from] NotifyError),
}
