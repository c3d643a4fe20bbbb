//! What the kernel tells of a file, in the layout of this machine's ABI, to be handed on to another process.
#![allow(unsafe_code)]
//! Safety: every call writes to a buffer that is at least as large as the struct of `libc` that the kernel fills, and
//! outlives the call; descriptors are borrowed, and the path is a constant empty string.

use super::raw::{Answer, call};
use alloc::vec;
use alloc::vec::Vec;
use libc::c_int;
use std::os::fd::{AsRawFd as _, BorrowedFd};

const EMPTY: &core::ffi::CStr = c"";

/// The bytes of `struct stat` of what a descriptor is open on, which may be one of `O_PATH`.
pub(crate) fn stat_bytes(fd: BorrowedFd<'_>) -> Answer<Vec<u8>> {
    fill(size_of::<libc::stat>(), |at| {
        let flags = number(libc::AT_EMPTY_PATH);
        // SAFETY: the buffer has the size of the struct.
        unsafe { call(libc::SYS_newfstatat, [number(fd.as_raw_fd()), EMPTY.as_ptr() as usize, at, flags, 0, 0]) }
    })
}

/// The same with the flags and the mask of statx(2).
pub(crate) fn statx_bytes(fd: BorrowedFd<'_>, flags: i32, mask: u32) -> Answer<Vec<u8>> {
    fill(size_of::<libc::statx>(), |at| {
        let flags = number(flags | libc::AT_EMPTY_PATH);
        let args = [number(fd.as_raw_fd()), EMPTY.as_ptr() as usize, flags, mask as usize, at, 0];
        // SAFETY: the buffer has the size of the struct.
        unsafe { call(libc::SYS_statx, args) }
    })
}

/// The bytes of `struct statfs` of the file system that a descriptor leads to.
pub(crate) fn statfs_bytes(fd: BorrowedFd<'_>) -> Answer<Vec<u8>> {
    fill(size_of::<libc::statfs>(), |at| {
        // SAFETY: the buffer has the size of the struct.
        unsafe { call(libc::SYS_fstatfs, [number(fd.as_raw_fd()), at, 0, 0, 0, 0]) }
    })
}

fn fill(size: usize, ask: impl FnOnce(usize) -> Answer<usize>) -> Answer<Vec<u8>> {
    let mut bytes = vec![0_u8; size];
    ask(bytes.as_mut_ptr() as usize)?;
    Ok(bytes)
}

/// A descriptor or another `int` as an argument.
#[allow(clippy::cast_sign_loss)] // The kernel takes the low 32 bits.
const fn number(value: c_int) -> usize {
    value as usize
}
