//! Flags of seccomp(2).

use core::fmt;

/// A flag of `SECCOMP_SET_MODE_FILTER`, see seccomp(2). These are all that exist up to Linux 7.3.
///
/// See the example of [`FilterFlags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FilterFlag {
    /// Give the filter to all threads of the process (Linux 3.17).
    Tsync,
    /// Log every action of the filter but ALLOW (Linux 4.14).
    Log,
    /// Do not force speculation mitigations (Linux 4.17).
    SpecAllow,
    /// Return a descriptor from which a supervisor reads notifications (Linux 5.0).
    NewListener,
    /// Answer ESRCH instead of a thread id when TSYNC fails (Linux 5.7).
    TsyncEsrch,
    /// Once a supervisor has received a notification, only fatal signals interrupt the call (Linux 5.19). Only
    /// together with [`FilterFlag::NewListener`].
    WaitKillableRecv,
}

impl FilterFlag {
    /// Every flag, by rising bit.
    pub const ALL: [Self; 6] =
        [Self::Tsync, Self::Log, Self::SpecAllow, Self::NewListener, Self::TsyncEsrch, Self::WaitKillableRecv];

    /// The bit (`linux/seccomp.h`).
    #[inline]
    pub const fn bit(self) -> u32 {
        match self {
            Self::Tsync => 1,
            Self::Log => 2,
            Self::SpecAllow => 4,
            Self::NewListener => 8,
            Self::TsyncEsrch => 16,
            Self::WaitKillableRecv => 32,
        }
    }

    /// The name in `linux/seccomp.h`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tsync => "SECCOMP_FILTER_FLAG_TSYNC",
            Self::Log => "SECCOMP_FILTER_FLAG_LOG",
            Self::SpecAllow => "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            Self::NewListener => "SECCOMP_FILTER_FLAG_NEW_LISTENER",
            Self::TsyncEsrch => "SECCOMP_FILTER_FLAG_TSYNC_ESRCH",
            Self::WaitKillableRecv => "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        }
    }
}

impl fmt::Display for FilterFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of flags.
///
/// ```
/// use callsieve::kernel::{FilterFlag, FilterFlags};
/// let flags = FilterFlags::NONE.with(FilterFlag::Log, true).with(FilterFlag::Tsync, true);
/// assert_eq!(flags.bits(), 3);
/// assert_eq!(flags.to_string(), "SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct FilterFlags {
    bits: u32,
}

impl FilterFlags {
    /// No flag.
    pub const NONE: Self = Self { bits: 0 };

    /// This set with a flag put in or taken out.
    #[inline]
    pub const fn with(self, flag: FilterFlag, on: bool) -> Self {
        let bits = if on { self.bits | flag.bit() } else { self.bits & !flag.bit() };
        Self { bits }
    }

    /// The flags as seccomp(2) takes them.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// Whether a flag is in the set.
    #[inline]
    pub const fn contains(self, flag: FilterFlag) -> bool {
        self.bits & flag.bit() != 0
    }

    /// Whether there is no flag.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// The flags, by rising bit.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = FilterFlag> {
        FilterFlag::ALL.into_iter().filter(move |&flag| self.contains(flag))
    }
}

impl fmt::Display for FilterFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, flag) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{flag}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        for flag in FilterFlag::ALL {
            let set = FilterFlags::NONE.with(flag, true);
            assert!(set.contains(flag) && !set.is_empty());
            assert!(set.iter().eq([flag]));
            assert!(set.with(flag, false).is_empty());
        }
        let bits = FilterFlag::ALL.iter().fold(0, |sum, flag| sum | flag.bit());
        assert_eq!(bits, 0x3f);
    }
}
