//! What a sandbox enforces.

use crate::bpf::Action;
use crate::kernel::FilterFlags;
use std::fmt;

/// What to do on a kernel that lacks something.
///
/// ```no_run
/// use callsieve::Sandbox;
/// use callsieve::sandbox::{Compat, Enforcement, sets::v1};
/// let status = Sandbox::deny_by_default().allow(v1::RUNTIME).compat(Compat::Optional).enter()?;
/// if status.enforcement() != Enforcement::Full {
///     eprintln!("{status}: {:?}", status.threads());
/// }
/// # Ok::<(), callsieve::sandbox::SandboxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compat {
    /// It is an error, and nothing is installed.
    #[default]
    Required,
    /// Go on with what the kernel has, and tell what is missing in the [`Status`]: before Linux 4.14 a violation ends the
    /// thread, not the process, and nothing is logged.
    Reported,
    /// As [`Reported`](Self::Reported), and without any filter where the kernel has none.
    Optional,
}

/// How much of a sandbox holds.
///
/// See the example of [`Compat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Enforcement {
    /// All that was asked for.
    Full,
    /// The filter holds, but not all that was asked for.
    Partial,
    /// Nothing: the kernel has no filters, and [`Compat::Optional`] was chosen.
    None,
}

/// Which threads the filter judges. Threads and processes that they start inherit it.
///
/// See the example of [`Compat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Threads {
    /// All of this process.
    All,
    /// The one that entered.
    Current,
}

/// What is enforced from now on; given by [`Sandbox::enter`](super::Sandbox::enter).
///
/// It prints as a line for a log.
///
/// See the example of [`Compat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Status {
    pub(super) enforcement: Enforcement,
    threads: Threads,
    missing_action: Option<Action>,
    missing_flags: FilterFlags,
}

impl Status {
    pub(super) const fn new(
        enforcement: Enforcement,
        threads: Threads,
        missing_action: Option<Action>,
        missing_flags: FilterFlags,
    ) -> Self {
        Self { enforcement, threads, missing_action, missing_flags }
    }

    /// How much holds.
    pub const fn enforcement(&self) -> Enforcement {
        self.enforcement
    }

    /// For which threads.
    pub const fn threads(&self) -> Threads {
        self.threads
    }

    /// An action that the kernel does not know; it ends the thread instead.
    pub const fn missing_action(&self) -> Option<Action> {
        self.missing_action
    }

    /// The flags that were left out because the kernel does not know them.
    pub const fn missing_flags(&self) -> FilterFlags {
        self.missing_flags
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.enforcement, self.threads) {
            (Enforcement::None, _) => return f.write_str("no sandbox: this kernel has no seccomp filters"),
            (Enforcement::Full, Threads::All) => "sandboxed, all threads",
            (Enforcement::Full, Threads::Current) => "sandboxed, this thread",
            (Enforcement::Partial, Threads::All) => "sandboxed in part, all threads",
            (Enforcement::Partial, Threads::Current) => "sandboxed in part, this thread",
        })?;
        if let Some(action) = self.missing_action {
            write!(f, "; this kernel does not know {action} and ends the thread instead")?;
        }
        if !self.missing_flags.is_empty() {
            write!(f, "; this kernel does not know {}", self.missing_flags)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::FilterFlag;

    #[test]
    fn a_line_for_a_log() {
        let full = Status {
            enforcement: Enforcement::Full,
            threads: Threads::All,
            missing_action: None,
            missing_flags: FilterFlags::NONE,
        };
        assert_eq!(full.to_string(), "sandboxed, all threads");
        let part = Status {
            enforcement: Enforcement::Partial,
            missing_action: Some(Action::KillProcess),
            missing_flags: FilterFlags::NONE.with(FilterFlag::Log, true),
            ..full
        };
        assert_eq!(
            part.to_string(),
            "sandboxed in part, all threads; this kernel does not know KILL_PROCESS and ends the thread instead; this \
             kernel does not know SECCOMP_FILTER_FLAG_LOG"
        );
    }
}
