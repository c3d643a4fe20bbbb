//! Reading profiles and filters.

use crate::outcome::{Failure, reason};
use std::fs::File;
use std::io::Read;

/// The largest file that is read at all. Profiles have a smaller limit of their own, with a better message.
const LIMIT: u64 = 64 << 20;

/// The name of the profile that is part of callsieve.
pub const CONTAINER_DEFAULT: &str = "container-default";

/// A file, or what came on standard input.
#[derive(Debug)]
pub struct Input {
    /// How messages call it.
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Input {
    /// Reads a file; `-` is standard input. `what` says what was expected, for the message.
    pub fn read(path: &str, what: &str) -> Result<Self, Failure> {
        let (name, read) = if path == "-" {
            ("standard input".to_owned(), read_all(std::io::stdin().lock()))
        } else {
            (path.to_owned(), File::open(path).and_then(read_all))
        };
        let bytes = read.map_err(|error| Failure::new(format!("cannot read {name}: {}; {what}", reason(&error))))?;
        if bytes.len() as u64 > LIMIT {
            return Err(Failure::new(format!("{name} has more than {} MiB; {what}", LIMIT >> 20)));
        }
        Ok(Self { name, bytes })
    }

    /// Whether this looks like a raw filter. An operation of BPF has 16 bits of which 8 are always zero, so one of the
    /// first two bytes is zero; no text has such a byte.
    pub fn is_program(&self) -> bool {
        self.bytes.iter().take(2).any(|&byte| byte == 0)
    }

    /// Whether this is no text of any language.
    pub fn is_binary(&self) -> bool {
        self.bytes.contains(&0)
    }
}

fn read_all(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(LIMIT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file that another one includes, or that an option names.
pub fn text(path: &str) -> Result<String, String> {
    let bytes = File::open(path).and_then(read_all).map_err(|error| reason(&error))?;
    String::from_utf8(bytes).map_err(|_| "it is no UTF-8 text".into())
}
