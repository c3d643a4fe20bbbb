//! The words of the command line.

use crate::outcome::Failure;
use callsieve::arch::{Arch, Errno, KernelVersionError, UnknownArch};
use callsieve::bpf::Action;
use callsieve::policy::{Capabilities, Unlisted};

/// An action; the number of an error name depends on the ABI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionWord {
    Action(Action),
    ErrnoName(String),
}

/// Reads an action such as `kill-process` or `errno:EPERM`.
pub fn action(word: &str) -> Result<ActionWord, String> {
    let (kind, data) = word.split_once(':').map_or((word, None), |(kind, data)| (kind, Some(data)));
    let action = match (kind, data) {
        ("allow", None) => Action::Allow,
        ("log", None) => Action::Log,
        ("kill-process", None) => Action::KillProcess,
        ("kill-thread", None) => Action::KillThread,
        ("trap", None) => Action::Trap(0),
        ("notify", None) => Action::Notify,
        ("trace", Some(data)) => Action::Trace(bounded(data, u16::MAX)?),
        ("errno", Some(data)) if data.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            return Ok(ActionWord::ErrnoName(data.to_owned()));
        }
        ("errno", Some(data)) => Action::Errno(bounded(data, Action::MAX_ERRNO)?),
        _ => {
            return Err(
                "expected allow, log, kill-process, kill-thread, trap, errno:N, errno:NAME, trace:N or notify".into()
            );
        }
    };
    Ok(ActionWord::Action(action))
}

fn bounded(data: &str, max: u16) -> Result<u16, String> {
    data.parse().ok().filter(|&value| value <= max).ok_or_else(|| format!("\"{data}\" is no number from 0 to {max}"))
}

/// Reads the answer to numbers that no rule names.
pub fn unlisted(word: &str) -> Result<Unlisted, String> {
    match word.split_once(':') {
        None if word == "default" => Ok(Unlisted::Default),
        None if word == "runc" => Ok(Unlisted::RuncStub),
        None if word == "enosys" => Err("enosys needs the last kernel whose calls are old, such as enosys:6.12".into()),
        Some(("enosys", version)) => {
            let newer_than =
                version.parse().map_err(|error: KernelVersionError| format!("\"{version}\" is {error}"))?;
            Ok(Unlisted::Enosys { newer_than })
        }
        _ => Err("expected default, enosys:X.Y or runc".into()),
    }
}

/// A system call as written: by name or by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallWord {
    Name(String),
    Number(u32),
}

/// Reads the name or number of a system call. Numbers may be hexadecimal (0x) or octal (0o); -1 is 0xffffffff.
pub fn call(word: &str) -> Result<CallWord, String> {
    if word.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        let value = number(word)?;
        return match (u32::try_from(value), i32::try_from(value.cast_signed())) {
            (Ok(number), _) => Ok(CallWord::Number(number)),
            (_, Ok(number)) => Ok(CallWord::Number(number.cast_unsigned())),
            _ => Err(format!("\"{word}\" does not fit 32 bits, as the number of a system call must")),
        };
    }
    Ok(CallWord::Name(word.to_owned()))
}

/// Reads a 64-bit number: decimal, hexadecimal (0x), octal (0o, or a leading 0 as in C), binary (0b), or negative.
pub fn number(word: &str) -> Result<u64, String> {
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |digits| (true, digits));
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // The parser of the standard library would take a sign here.
    let value = if digits.starts_with(['+', '-']) { None } else { u64::from_str_radix(digits, radix).ok() };
    match value {
        Some(value) if !negative => Ok(value),
        Some(value) if value <= 1 << 63 => Ok(value.wrapping_neg()),
        _ => Err(format!("\"{word}\" is no 64-bit number: decimal, 0x for hexadecimal, 0o for octal, or negative")),
    }
}

impl ActionWord {
    /// The action on an ABI.
    pub fn on(&self, arch: Arch) -> Result<Action, Failure> {
        match self {
            Self::Action(action) => Ok(*action),
            Self::ErrnoName(name) => match Errno::from_name(arch, name) {
                Some(errno) => Ok(Action::Errno(errno.get())),
                None => Err(Failure::new(format!(
                    "unknown error name \"{name}\" in errno:{name}; a name such as EPERM or ENOSYS is expected"
                ))),
            },
        }
    }
}

/// The answer to unlisted x32 calls.
#[derive(Clone, Debug)]
pub enum X32Word {
    Default,
    Action(ActionWord),
}

/// Reads an action or `default`.
pub fn unlisted_x32(word: &str) -> Result<X32Word, String> {
    if word == "default" {
        return Ok(X32Word::Default);
    }
    action(word).map(X32Word::Action).map_err(|error| error.replacen("expected ", "expected default, ", 1))
}

/// Reads the name of an ABI.
pub fn arch(word: &str) -> Result<Arch, String> {
    word.parse().map_err(|error: UnknownArch| error.to_string())
}

/// Reads the id of a process or thread.
#[cfg(target_os = "linux")]
pub fn process_id(word: &str) -> Result<u32, String> {
    let id = word.parse().ok().filter(|&id| id > 0);
    id.ok_or_else(|| "the id of a process is expected, a whole number from 1 on".into())
}

/// Reads a set of capabilities.
pub fn capabilities(word: &str) -> Result<Capabilities, String> {
    match word {
        "docker" => Ok(Capabilities::docker()),
        "podman" => Ok(Capabilities::podman()),
        "none" => Ok(Capabilities::none()),
        "all" => Ok(Capabilities::all()),
        list => Capabilities::from_names(list.split(',')).map_err(|error| error.to_string()),
    }
}

/// The ABI of this machine.
pub fn native() -> Result<Arch, Failure> {
    Arch::NATIVE
        .ok_or_else(|| Failure::new("seccomp does not know the architecture of this machine; name one with --arch"))
}

/// A number as people read it: small ones decimal, large ones hexadecimal.
pub fn shown(value: u64) -> String {
    if value < 0x1_0000 { value.to_string() } else { format!("{value:#x}") }
}

/// An action, with the name of its error.
pub fn action_words(action: Action, arch: Arch) -> String {
    let name = match action {
        Action::Errno(number) => Errno::new(number).name(arch),
        _ => None,
    };
    name.map_or_else(|| action.to_string(), |name| format!("{action} {name}"))
}
