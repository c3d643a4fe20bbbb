//! Memory that the child shares with its parent, so that it can tell how far it has come without a system call.
#![allow(unsafe_code)]
//! Safety: the mapping is made once, is as large as the struct, holds only atomics, for which all zero is a value, and is
//! unmapped when its owner is dropped, while nobody can hold a reference any more. What the other process writes are
//! atomics as well.

use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::AtomicI32;
use std::io;

/// What parent, helper and child tell each other. All 0 at first.
#[derive(Debug)]
#[repr(C)]
pub(super) struct State {
    /// Process id of the child, once there is one; the kernel writes it before the child runs.
    pub(super) child: AtomicI32,
    /// The step that failed, see [`Step`].
    pub(super) failed: AtomicI32,
    /// Why: an error number, or for [`Step::Install`] an encoded error.
    pub(super) reason: AtomicI32,
    /// 1 + the number of the listener, written last.
    pub(super) listener: AtomicI32,
    /// The error number of execve(2).
    pub(super) exec_errno: AtomicI32,
}

/// The steps that can fail before the filter is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Streams = 1,
    Fork = 2,
    Folder = 3,
    Install = 4,
    Tie = 5,
    Send = 6,
}

/// Owner of the mapping.
#[derive(Debug)]
pub(super) struct Shared {
    at: NonNull<State>,
}

// SAFETY: the memory belongs to the owner and holds atomics only.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new() -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping wherever the kernel has room.
        let at = unsafe { libc::mmap(core::ptr::null_mut(), size_of::<State>(), protection, flags, -1, 0) };
        match NonNull::new(at.cast()) {
            Some(state) if at != libc::MAP_FAILED => Ok(Self { at: state }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Deref for Shared {
    type Target = State;

    fn deref(&self) -> &State {
        // SAFETY: mapped as long as `self` lives, aligned to a page, and all zero at first.
        unsafe { self.at.as_ref() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`; references to it cannot outlive `self`.
        unsafe { libc::munmap(self.at.as_ptr().cast(), size_of::<State>()) };
    }
}
