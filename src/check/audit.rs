//! The kernel's log lines about filters.
//!
//! The kernel writes them in `audit_seccomp` (`kernel/auditsc.c`): `type=1326 audit(TIME:SERIAL): auid=... uid=...
//! gid=... ses=... [subj=...] pid=... comm="..." exe="..." sig=... arch=HEX syscall=N compat=0 ip=0xHEX code=0xHEX`. The audit
//! daemon writes `type=SECCOMP msg=audit(...)` and may append names after a control character; journald and dmesg put
//! their own words in front. Strings from programs stand in quotes or, if they hold a space or a quote, in hexadecimal,
//! so words are separated by spaces only.

use crate::bpf::Action;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::str::FromStr;
use thiserror::Error;

/// A line of the kernel's log that says what a filter did to a call. It carries no arguments.
///
/// ```
/// use callsieve::bpf::Action;
/// use callsieve::check::AuditRecord;
/// let line = r#"audit: type=1326 audit(1700000000.123:45): auid=1000 uid=1000 gid=1000 ses=2 pid=4711 comm="curl" exe="/usr/bin/curl" sig=0 arch=c000003e syscall=41 compat=0 ip=0x7f5d8c1b2a3b code=0x50000"#;
/// let record: AuditRecord = line.parse()?;
/// assert_eq!((record.arch, record.nr, record.action().kind()), (0xc000_003e, 41, "ERRNO"));
/// assert_eq!(record.exe.as_deref(), Some("/usr/bin/curl"));
/// # Ok::<(), callsieve::check::AuditError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditRecord {
    /// The architecture token of the call.
    pub arch: u32,
    /// The number of the call, as the filter saw it.
    pub nr: u32,
    /// The action that the filters returned, without its data: the kernel does not log that.
    pub code: u32,
    /// Where the call was made.
    pub instruction_pointer: Option<u64>,
    /// The thread that made the call.
    pub pid: Option<u32>,
    /// Name of the thread.
    pub comm: Option<String>,
    /// Path of the program.
    pub exe: Option<String>,
}

/// Why a text is no log line about a filter.
///
/// ```
/// use callsieve::check::{AuditError, AuditRecord};
/// assert!(matches!("type=1300 syscall=41".parse::<AuditRecord>(), Err(AuditError::OtherType(_))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// It is about something else.
    #[error("an audit record of type {0}, which is not about a filter: those have type=1326 or type=SECCOMP")]
    OtherType(String),
    /// A part that every such line has is missing.
    #[error(
        "no {0}= in the line: a record of the kernel is expected, such as \"type=1326 audit(...): ... arch=c000003e syscall=41 ... code=0x50000\""
    )]
    Missing(&'static str),
    /// The same part twice.
    #[error("{0}= stands in the line twice; give one record at a time")]
    Twice(&'static str),
    /// A value that the kernel does not write.
    #[error("{key}={value}: {expected} is expected")]
    BadValue {
        /// Which part.
        key: &'static str,
        /// What it has.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl AuditRecord {
    /// The action; its data is not in the log.
    pub fn action(&self) -> Action {
        Action::as_kernel(self.code)
    }
}

impl FromStr for AuditRecord {
    type Err = AuditError;

    fn from_str(line: &str) -> Result<Self, AuditError> {
        // Behind this character the audit daemon repeats the numbers as names.
        let line = line.split('\u{1d}').next().unwrap_or(line);
        if let Some(kind) = field(line, "type")?.filter(|kind| !matches!(*kind, "1326" | "SECCOMP")) {
            return Err(AuditError::OtherType(short(kind)));
        }
        Ok(Self {
            arch: token(needed(line, "arch")?)?,
            nr: number(needed(line, "syscall")?)?,
            code: code(needed(line, "code")?)?,
            instruction_pointer: field(line, "ip")?.and_then(|value| hexadecimal(value.strip_prefix("0x")?)),
            pid: field(line, "pid")?.and_then(|value| value.parse().ok()),
            comm: field(line, "comm")?.map(untrusted),
            exe: field(line, "exe")?.map(untrusted),
        })
    }
}

/// The value of the one word that has this key.
fn field<'a>(line: &'a str, key: &'static str) -> Result<Option<&'a str>, AuditError> {
    let value = |word: &'a str| word.strip_prefix(key)?.strip_prefix('=');
    let mut values = line.split_whitespace().filter_map(value);
    match (values.next(), values.next()) {
        (found, None) => Ok(found),
        _ => Err(AuditError::Twice(key)),
    }
}

fn needed<'a>(line: &'a str, key: &'static str) -> Result<&'a str, AuditError> {
    field(line, key)?.ok_or(AuditError::Missing(key))
}

fn bad(key: &'static str, value: &str, expected: &'static str) -> AuditError {
    AuditError::BadValue { key, value: short(value), expected }
}

fn short(value: &str) -> String {
    value.chars().filter(|char| !char.is_control()).take(32).collect()
}

fn hexadecimal<T: TryFrom<u64>>(digits: &str) -> Option<T> {
    let plain = !digits.starts_with('+');
    u64::from_str_radix(digits, 16).ok().filter(|_| plain).and_then(|value| T::try_from(value).ok())
}

fn token(value: &str) -> Result<u32, AuditError> {
    let expected = "a number in hexadecimal without 0x, as in arch=c000003e,";
    hexadecimal(value).ok_or_else(|| bad("arch", value, expected))
}

/// The kernel writes a signed number; -1 is a call that a tracer skipped.
fn number(value: &str) -> Result<u32, AuditError> {
    let unsigned = value.parse::<u32>().ok().filter(|_| !value.starts_with('+'));
    let signed = || value.parse::<i32>().ok().filter(|_| value.starts_with('-')).map(i32::cast_unsigned);
    unsigned.or_else(signed).ok_or_else(|| bad("syscall", value, "a decimal number, as in syscall=41,"))
}

fn code(value: &str) -> Result<u32, AuditError> {
    let digits = value.strip_prefix("0x").and_then(hexadecimal);
    digits.ok_or_else(|| bad("code", value, "an action in hexadecimal, as in code=0x50000,"))
}

/// A string in quotes, or its bytes in hexadecimal.
fn untrusted(value: &str) -> String {
    if let Some(quoted) = value.strip_prefix('"') {
        return quoted.strip_suffix('"').unwrap_or(quoted).to_string();
    }
    let pairs = value.as_bytes().chunks(2).map(|pair| {
        let digits = core::str::from_utf8(pair).ok().filter(|digits| digits.len() == 2)?;
        hexadecimal::<u8>(digits)
    });
    match pairs.collect::<Option<Vec<u8>>>() {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = r#"auid=4294967295 uid=0 gid=0 ses=4294967295 subj=unconfined pid=711 comm="a.out" exe="/a.out" sig=31 arch=c000003e syscall=59 compat=0 ip=0x401234 code=0x80000000"#;

    fn read(line: &str) -> Result<AuditRecord, AuditError> {
        line.parse()
    }

    #[test]
    fn every_form_reads_alike() {
        let plain = read(&alloc::format!("type=1326 audit(1.2:3): {FIELDS}")).unwrap();
        assert_eq!((plain.arch, plain.nr, plain.code), (0xc000_003e, 59, 0x8000_0000));
        assert_eq!((plain.pid, plain.instruction_pointer), (Some(711), Some(0x40_1234)));
        assert_eq!((plain.comm.as_deref(), plain.exe.as_deref()), (Some("a.out"), Some("/a.out")));
        for front in [
            "[ 3011.315130] audit: type=1326 audit(1795513096.845:128): ",
            "Nov 24 09:00:00 host kernel: [    7.5] audit: type=1326 audit(1795513096.845:128): ",
            "6,1234,3011315130,-;audit: type=1326 audit(1795513096.845:128): ",
            "type=SECCOMP msg=audit(1795513096.845:128): ",
            "audit[711]: SECCOMP ",
            "",
        ] {
            assert_eq!(read(&alloc::format!("{front}{FIELDS}")).as_ref(), Ok(&plain), "{front}");
        }
        let enriched = "\u{1d}ARCH=x86_64 SYSCALL=execve AUID=\"unset\" UID=\"root\" arch=1";
        assert_eq!(read(&alloc::format!("type=SECCOMP msg=audit(1.2:3): {FIELDS}{enriched}")), Ok(plain));
    }

    #[test]
    fn odd_values() {
        let record = read("arch=40000003 syscall=-1 code=0x0 comm=612062 exe=(null)").unwrap();
        assert_eq!((record.arch, record.nr, record.action()), (0x4000_0003, u32::MAX, Action::KillThread));
        assert_eq!((record.comm.as_deref(), record.exe.as_deref()), (Some("a b"), Some("(null)")));
        // Numbers of x32 have bit 30.
        assert_eq!(read("arch=c000003e syscall=1073741864 code=0x7ffc0000").unwrap().nr, 0x4000_0028);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, expected) in [
            ("", "no arch= in the line"),
            ("hello world", "no arch= in the line"),
            ("arch=c000003e code=0x0", "no syscall= in the line"),
            ("arch=c000003e syscall=1", "no code= in the line"),
            (
                "type=1300 msg=audit(1.2:3): arch=c000003e syscall=59 success=yes",
                "an audit record of type 1300, which is",
            ),
            ("arch=x86_64 syscall=1 code=0x0", "arch=x86_64: a number in hexadecimal"),
            ("arch=1c000003e syscall=1 code=0x0", "arch=1c000003e: a number"),
            ("arch=c000003e syscall=read code=0x0", "syscall=read: a decimal number"),
            ("arch=c000003e syscall=99999999999 code=0x0", "syscall=99999999999: a decimal"),
            ("arch=c000003e syscall=1 code=50000", "code=50000: an action in hexadecimal"),
            ("arch=c000003e syscall=1 code=0x0 arch=c000003e syscall=2 code=0x0", "arch= stands in the line twice"),
            ("arch=\u{7}\u{1b}[2J syscall=1 code=0x0", "arch=[2J: a number"),
        ] {
            let message = read(line).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{line}: {message}");
        }
    }
}
