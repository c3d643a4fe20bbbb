//! Recordings from what others wrote: strace(1), the audit log.

use super::recording::{Note, Recording};
use crate::arch::Arch;
use crate::check::{AuditError, AuditRecord};
use thiserror::Error;

/// What was read from a log.
///
/// ```
/// use callsieve::Arch;
/// use callsieve::record::Recording;
/// let read = Recording::new().read_strace("getpid() = 4711\nwhat is this?\n", Arch::X86_64)?;
/// assert_eq!((read.calls, read.not_understood, read.first), (1, 1, Some(2)));
/// # Ok::<(), callsieve::record::LogError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRead {
    /// Calls.
    pub calls: u64,
    /// Lines that should have been about a call and are not understood.
    pub not_understood: u64,
    /// The first of them, counted from 1.
    pub first: Option<usize>,
}

/// Why a log is of no use.
///
/// ```
/// use callsieve::record::Recording;
/// assert!(Recording::new().read_audit("nothing of the kind\n").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LogError {
    /// There is no call in it.
    #[error("no call in it: {expected}")]
    NoCall {
        /// What should be there.
        expected: &'static str,
    },
}

impl LogRead {
    pub(super) fn not_understood(&mut self, line: usize) {
        self.not_understood = self.not_understood.saturating_add(1);
        self.first.get_or_insert(line.saturating_add(1));
    }

    pub(super) fn call(&mut self, times: u64) {
        self.calls = self.calls.saturating_add(times);
    }

    pub(super) fn finish(self, expected: &'static str) -> Result<Self, LogError> {
        if self.calls == 0 { Err(LogError::NoCall { expected }) } else { Ok(self) }
    }
}

impl Recording {
    /// Adds the calls of an audit log: the records of filters (`type=1326`, `type=SECCOMP`), as dmesg, journald and the
    /// audit daemon write them. A filter with LOG as its default action makes them, or a profile in complain mode.
    ///
    /// The kernel leaves out what comes too fast, so this is no complete recording; where the log says so, there is a
    /// [`Note`]. Arguments are not in it.
    ///
    /// ```
    /// use callsieve::record::Recording;
    /// let line = "audit: type=1326 audit(1.2:3): pid=7 comm=\"a\" sig=0 arch=c000003e syscall=41 ip=0x7f0 code=0x7ffc0000";
    /// let mut recording = Recording::new();
    /// assert_eq!(recording.read_audit(line)?.calls, 1);
    /// assert_eq!(recording.calls().next().unwrap().name(), Some("socket"));
    /// # Ok::<(), callsieve::record::LogError>(())
    /// ```
    ///
    /// # Errors
    /// [`LogError::NoCall`] if there is no such record.
    pub fn read_audit(&mut self, text: &str) -> Result<LogRead, LogError> {
        let mut read = LogRead::default();
        for (at, line) in text.lines().enumerate() {
            if line.contains("callbacks suppressed") || line.contains("audit: rate limit exceeded") {
                self.note(Note::Suppressed);
            }
            if !["type=1326", "type=SECCOMP", ": SECCOMP "].iter().any(|mark| line.contains(mark)) {
                continue;
            }
            match line.parse::<AuditRecord>() {
                Ok(record) => {
                    match Arch::of_call(record.arch, record.nr) {
                        Some(arch) => {
                            self.add_without_arguments(arch, record.nr, 1);
                        }
                        None => {
                            self.note(Note::UnknownArch { token: record.arch });
                        }
                    }
                    read.call(1);
                }
                Err(AuditError::OtherType(_)) => {}
                Err(_) => read.not_understood(at),
            }
        }
        read.finish("records of a filter are expected, with type=1326 or type=SECCOMP, arch= and syscall=")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_log() {
        let record = |nr: &str| {
            alloc::format!(
                "[ 3.1] audit: type=1326 audit(1.2:3): pid=7 comm=\"a\" arch=c000003e syscall={nr} code=0x0\n"
            )
        };
        let text = [
            "[ 3.0] something else\n".into(),
            record("0"),
            record("0"),
            record("x"),
            "type=SYSCALL msg=audit(1.2:3): arch=c000003e syscall=59 success=yes\n".into(),
            record("41"),
            "[ 4.0] kauditd_printk_skb: 78 callbacks suppressed\n".into(),
        ]
        .concat();
        let mut recording = Recording::new();
        let read = recording.read_audit(&text).unwrap();
        assert_eq!((read.calls, read.not_understood, read.first), (3, 1, Some(4)));
        let calls: Vec<_> = recording.calls().map(|call| (call.name().unwrap(), call.count())).collect();
        assert_eq!(calls, [("read", 2), ("socket", 1)]);
        assert_eq!(recording.notes().collect::<Vec<_>>(), [&Note::Suppressed]);
        assert!(!recording.calls().nth(1).unwrap().has_all_values());
    }

    #[test]
    fn a_log_of_something_else() {
        let error = Recording::new().read_audit("a\nb\n").unwrap_err();
        assert!(error.to_string().starts_with("no call in it: records of a filter"), "{error}");
    }
}
