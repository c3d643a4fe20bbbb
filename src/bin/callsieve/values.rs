//! The words of the command line.

use crate::outcome::Failure;
use callsieve::arch::{Arch, UnknownArch};

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

/// Reads the name of an ABI.
pub fn arch(word: &str) -> Result<Arch, String> {
    word.parse().map_err(|error: UnknownArch| error.to_string())
}

/// The ABI of this machine.
pub fn native() -> Result<Arch, Failure> {
    Arch::NATIVE
        .ok_or_else(|| Failure::new("seccomp does not know the architecture of this machine; name one with --arch"))
}
