//! What a filter returns.

use core::fmt;

const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0x0000_0000;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const USER_NOTIF: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;
const ACTION_FULL: u32 = 0xffff_0000;

/// What happens to a system call: the return value of a filter, see seccomp(2).
///
/// The order is the kernel's precedence among stacked filters, most restrictive first; of equal actions the one with
/// the smaller data comes first (that part is ours, so that the order is total).
///
/// ```
/// use callsieve::bpf::Action;
/// assert_eq!(Action::Errno(1).to_raw(), 0x0005_0001);
/// assert!(Action::KillProcess < Action::Errno(1) && Action::Errno(1) < Action::Allow);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Kill the whole process as if by SIGSYS.
    KillProcess,
    /// Kill the calling thread only.
    KillThread,
    /// Send SIGSYS to the thread; the data is `si_errno`.
    Trap(u16),
    /// Skip the call and return this error number. 0 means that the call seems to succeed; the kernel cuts values
    /// above 4095.
    Errno(u16),
    /// Ask the supervisor, see seccomp_unotify(2). Without one the call fails with ENOSYS.
    Notify,
    /// Ask the tracer; the data is the event message. Without one the call fails with ENOSYS.
    Trace(u16),
    /// Allow the call and log it.
    Log,
    /// Allow the call.
    Allow,
}

impl Action {
    /// The largest error number that the kernel passes on (`MAX_ERRNO`).
    pub const MAX_ERRNO: u16 = 4095;

    /// The 32-bit value that a filter returns for this action.
    pub const fn to_raw(self) -> u32 {
        match self {
            Self::KillProcess => KILL_PROCESS,
            Self::KillThread => KILL_THREAD,
            Self::Trap(data) => TRAP | data as u32,
            Self::Errno(data) => ERRNO | data as u32,
            Self::Notify => USER_NOTIF,
            Self::Trace(data) => TRACE | data as u32,
            Self::Log => LOG,
            Self::Allow => ALLOW,
        }
    }

    /// The action that has exactly this return value; `None` for values that only act like one (unknown actions, data
    /// where the action has none). [`Action::as_kernel`] tells how the kernel takes those.
    pub const fn from_raw(raw: u32) -> Option<Self> {
        let action = Self::as_kernel(raw);
        if action.to_raw() == raw { Some(action) } else { None }
    }

    /// How the kernel acts on a return value: unknown actions kill the process, error numbers are cut to 4095, data is
    /// ignored where an action has none (`__seccomp_filter` in `kernel/seccomp.c`).
    ///
    /// ```
    /// use callsieve::bpf::Action;
    /// assert_eq!(Action::as_kernel(0x0005_ffff), Action::Errno(4095));
    /// assert_eq!(Action::as_kernel(0x1234_0000), Action::KillProcess);
    /// ```
    #[allow(clippy::cast_possible_truncation)] // The data is the low half by definition.
    pub const fn as_kernel(raw: u32) -> Self {
        let data = raw as u16;
        match raw & ACTION_FULL {
            KILL_THREAD => Self::KillThread,
            TRAP => Self::Trap(data),
            ERRNO if data > Self::MAX_ERRNO => Self::Errno(Self::MAX_ERRNO),
            ERRNO => Self::Errno(data),
            USER_NOTIF => Self::Notify,
            TRACE => Self::Trace(data),
            LOG => Self::Log,
            ALLOW => Self::Allow,
            _ => Self::KillProcess,
        }
    }

    /// The action of the kernel's headers without its data, such as `KILL_PROCESS` or `ERRNO`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::KillProcess => "KILL_PROCESS",
            Self::KillThread => "KILL_THREAD",
            Self::Trap(_) => "TRAP",
            Self::Errno(_) => "ERRNO",
            Self::Notify => "NOTIFY",
            Self::Trace(_) => "TRACE",
            Self::Log => "LOG",
            Self::Allow => "ALLOW",
        }
    }

    /// The number that comes with the action, if it takes one.
    pub const fn data(self) -> Option<u16> {
        match self {
            Self::Trap(data) | Self::Errno(data) | Self::Trace(data) => Some(data),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.data() {
            // A trap without data is the usual one.
            Some(0) if matches!(self, Self::Trap(_)) => f.pad(self.kind()),
            Some(data) => write!(f, "{}({data})", self.kind()),
            None => f.pad(self.kind()),
        }
    }
}

/// A value that a program returns: the action if it is exactly one, else the number.
pub(crate) struct Answer(pub(crate) u32);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Action::from_raw(self.0) {
            Some(action) => action.fmt(f),
            None => write!(f, "return {:#010x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Action; 8] = [
        Action::KillProcess,
        Action::KillThread,
        Action::Trap(3),
        Action::Errno(7),
        Action::Notify,
        Action::Trace(9),
        Action::Log,
        Action::Allow,
    ];

    #[test]
    fn raw_values_round_trip() {
        for action in ALL {
            assert_eq!(Action::from_raw(action.to_raw()), Some(action));
        }
        assert_eq!(Action::from_raw(0x7fff_0001), None);
        assert_eq!(Action::from_raw(0x0005_1000), None);
    }

    #[test]
    fn data_is_told_except_no_data_of_a_trap() {
        let texts =
            [Action::Trap(0), Action::Trap(1), Action::Errno(0), Action::Trace(0)].map(|a| alloc::format!("{a}"));
        assert_eq!(texts, ["TRAP", "TRAP(1)", "ERRNO(0)", "TRACE(0)"]);
    }

    #[test]
    fn order_is_kernel_precedence() {
        // The kernel compares the action part as a signed number: the lowest wins.
        let signed = |a: Action| (a.to_raw() & ACTION_FULL).cast_signed();
        for pair in ALL.windows(2) {
            assert!(pair[0] < pair[1] && signed(pair[0]) < signed(pair[1]));
        }
        assert!(Action::Errno(1) < Action::Errno(2));
    }
}
