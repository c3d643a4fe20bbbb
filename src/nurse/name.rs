//! Real names: what an object is called where it is.

use super::target::{Step, Target};
use alloc::string::String;
use alloc::vec::Vec;
use rustix::fs::{PROC_SUPER_MAGIC, fstatfs, readlinkat};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

/// The name of what a handle is open on, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// An absolute path, the root as an empty one. What belongs to the process that asks is below `/proc/self`.
    Path(Vec<u8>),
    /// A path whose last component ends with ` (deleted)`, which the kernel also writes behind the names of files that
    /// have been removed; and the path without it.
    Deleted(Vec<u8>, Vec<u8>),
    /// Something in /proc that belongs to another process, or in another /proc.
    Process(Vec<u8>),
    /// A pipe, a socket, or something else without a path.
    Unnamed(Vec<u8>),
}

const DELETED: &[u8] = b" (deleted)";

impl Name {
    /// The name of an entry of a folder.
    pub(super) fn child(&self, entry: &[u8]) -> Self {
        let join = |path: &[u8]| [path, b"/", entry].concat();
        match self {
            Self::Path(path) => Self::Path(join(path)),
            Self::Deleted(path, other) => Self::Deleted(join(path), join(other)),
            Self::Process(path) => Self::Process(join(path)),
            Self::Unnamed(path) => Self::Unnamed(join(path)),
        }
    }

    pub(super) fn shown(&self) -> String {
        let (Self::Path(path) | Self::Deleted(path, _) | Self::Process(path) | Self::Unnamed(path)) = self;
        if path.is_empty() { "/".into() } else { String::from_utf8_lossy(path).into_owned() }
    }

    /// The path, if it is one and no other is meant.
    pub(super) fn path(&self) -> Option<&[u8]> {
        match self {
            Self::Path(path) => Some(path),
            _ => None,
        }
    }
}

impl Target<'_> {
    /// The real name of what a handle is open on.
    pub(super) fn name(&self, fd: BorrowedFd<'_>) -> Step<Name> {
        let text = readlinkat(&self.nurse.own_fds, std::format!("{}", fd.as_raw_fd()), Vec::new())?.into_bytes();
        if !text.starts_with(b"/") {
            return Ok(Name::Unnamed(text));
        }
        if is_procfs(fd)? {
            return self.name_in_proc(text);
        }
        if let Some(other) = text.strip_suffix(DELETED) {
            let other = other.to_vec();
            return Ok(Name::Deleted(text, other));
        }
        Ok(Name::Path(if text == b"/" { Vec::new() } else { text }))
    }

    /// Folders of processes are those of the one that asks, or of others.
    fn name_in_proc(&self, text: Vec<u8>) -> Step<Name> {
        if text == b"/proc" {
            return Ok(Name::Path(text));
        }
        let Some(rest) = text.strip_prefix(b"/proc/") else { return Ok(Name::Process(text)) };
        let first = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
        if !first.iter().all(u8::is_ascii_digit) {
            return Ok(Name::Path(text));
        }
        let own = std::format!("{}", self.status()?.process);
        match rest.strip_prefix(own.as_bytes()) {
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => Ok(Name::Path([b"/proc/self", rest].concat())),
            _ => Ok(Name::Process(text)),
        }
    }
}

/// Whether a handle is open on something of a file system of the kind that shows processes.
pub(super) fn is_procfs(fd: impl AsFd) -> Step<bool> {
    Ok(fstatfs(fd)?.f_type == PROC_SUPER_MAGIC)
}
