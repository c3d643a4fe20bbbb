//! The calls of user notification, each as a safe function.
#![allow(unsafe_code)]
//! Safety: every function passes plain numbers, descriptors that are borrowed for the time of the call, or pointers to
//! values that outlive the call and have the layout that the kernel expects (asserted below against the sizes of
//! `linux/seccomp.h`). The kernel writes only to buffers that are handed in as `&mut`. Memory of another process is
//! named by numbers, which this process never follows.

use super::super::raw::{Answer, call};
use crate::bpf::SyscallData;
use alloc::vec;
use core::time::Duration;
use libc::{c_int, c_short};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// `struct seccomp_notif`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) tid: u32,
    pub(super) flags: u32,
    pub(super) data: SyscallData,
}

/// `struct seccomp_notif_resp`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Reply {
    pub(super) id: u64,
    pub(super) value: i64,
    pub(super) error: i32,
    pub(super) flags: u32,
}

/// `struct seccomp_notif_addfd`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct NewFd {
    pub(super) id: u64,
    pub(super) flags: u32,
    pub(super) source: u32,
    pub(super) number: u32,
    pub(super) fd_flags: u32,
}

const _: () = assert!(size_of::<Request>() == 80 && size_of::<Reply>() == 24 && size_of::<NewFd>() == 24);

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`.
pub(super) const CONTINUE: u32 = 1;
/// `SECCOMP_ADDFD_FLAG_SETFD`.
pub(super) const SETFD: u32 = 1;
/// `SECCOMP_ADDFD_FLAG_SEND`.
pub(super) const SEND: u32 = 2;

const GET_NOTIF_SIZES: usize = 3;

/// Some architectures number the directions of ioctl(2) in another way.
const OTHER_DIRECTIONS: bool = cfg!(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6",
    target_arch = "powerpc",
    target_arch = "powerpc64",
    target_arch = "sparc",
    target_arch = "sparc64"
));
const WRITE: u32 = if OTHER_DIRECTIONS { 0x8000_0000 } else { 0x4000_0000 };
const READ: u32 = if OTHER_DIRECTIONS { 0x4000_0000 } else { 0x8000_0000 };

const NOTIF_RECV: u32 = 0xc050_2100;
const NOTIF_SEND: u32 = 0xc018_2101;
const NOTIF_ID_VALID: u32 = WRITE | 0x0008_2102;
/// As Linux 5.0 had it by mistake; later kernels take both.
const NOTIF_ID_VALID_OLD: u32 = READ | 0x0008_2102;
const NOTIF_ADDFD: u32 = WRITE | 0x0018_2103;
const NOTIF_SET_FLAGS: u32 = WRITE | 0x0008_2104;

/// The size of `struct seccomp_notif` in this kernel; it may have grown beyond what is known here.
pub(in crate::kernel) fn request_size() -> Answer<usize> {
    let mut sizes = [0_u16; 3];
    // SAFETY: the kernel writes three numbers of 16 bits.
    unsafe { call(libc::SYS_seccomp, [GET_NOTIF_SIZES, 0, sizes.as_mut_ptr() as usize, 0, 0, 0]) }?;
    Ok(usize::from(sizes[0]))
}

/// Waits for a notification and takes it. `size` is what [`request_size`] says.
pub(super) fn receive(listener: BorrowedFd<'_>, size: usize) -> Answer<Request> {
    let words = size.max(size_of::<Request>()).div_ceil(8);
    // The kernel wants it to be zero.
    let mut buffer = vec![0_u64; words];
    // SAFETY: the buffer has at least the size that the kernel says it writes, and is aligned for it.
    unsafe { ioctl(listener, NOTIF_RECV, buffer.as_mut_ptr() as usize) }?;
    // SAFETY: the buffer has at least the size of the struct, whose fields are numbers; its alignment is 8 at most.
    Ok(unsafe { buffer.as_ptr().cast::<Request>().read() })
}

pub(super) fn send(listener: BorrowedFd<'_>, mut reply: Reply) -> Answer<()> {
    // SAFETY: the kernel reads exactly this struct.
    retry(|| unsafe { ioctl(listener, NOTIF_SEND, &raw mut reply as usize) }).map(drop)
}

pub(super) fn id_valid(listener: BorrowedFd<'_>, id: u64) -> Answer<()> {
    let ask = |request| {
        // SAFETY: the kernel reads exactly this number.
        retry(|| unsafe { ioctl(listener, request, &raw const id as usize) }).map(drop)
    };
    match ask(NOTIF_ID_VALID) {
        Err(libc::EINVAL) => ask(NOTIF_ID_VALID_OLD),
        answer => answer,
    }
}

/// Whether a descriptor is one of `NEW_LISTENER`.
pub(in crate::kernel) fn is_listener(fd: BorrowedFd<'_>) -> bool {
    // No notification has this id, or one in 2^64 by bad luck. Other descriptors do not know the question.
    matches!(id_valid(fd, 0), Ok(()) | Err(libc::ENOENT))
}

/// The number that the descriptor has in the target.
pub(super) fn add_fd(listener: BorrowedFd<'_>, new: NewFd) -> Answer<usize> {
    // SAFETY: the kernel reads exactly this struct.
    retry(|| unsafe { ioctl(listener, NOTIF_ADDFD, &raw const new as usize) })
}

pub(super) fn set_flags(listener: BorrowedFd<'_>, flags: usize) -> Answer<()> {
    // SAFETY: a plain number.
    unsafe { ioctl(listener, NOTIF_SET_FLAGS, flags) }.map(drop)
}

/// A signal may interrupt the kernel on the way to its lock. Nothing has been done then.
fn retry<T>(mut call: impl FnMut() -> Answer<T>) -> Answer<T> {
    loop {
        match call() {
            Err(libc::EINTR) => {}
            answer => return answer,
        }
    }
}

/// # Safety
/// `argument` must suit the request.
unsafe fn ioctl(fd: BorrowedFd<'_>, request: u32, argument: usize) -> Answer<usize> {
    // SAFETY: the caller vouches for the argument.
    unsafe { call(libc::SYS_ioctl, [number(fd.as_raw_fd()), request as usize, argument, 0, 0, 0]) }
}

/// A descriptor or another `int` as an argument.
#[allow(clippy::cast_sign_loss)] // The kernel takes the low 32 bits.
const fn number(fd: RawFd) -> usize {
    fd as usize
}

/// What poll(2) says of descriptors; `None` for the time means for ever.
pub(in crate::kernel) fn poll<const N: usize>(
    fds: [BorrowedFd<'_>; N],
    time: Option<Duration>,
) -> Answer<[c_short; N]> {
    let mut entries = fds.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    // Rounded up, so that nobody wakes early and turns in circles.
    let millis = time.map_or(-1, |time| c_int::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX));
    #[allow(clippy::cast_possible_truncation)] // A handful.
    // SAFETY: the kernel reads and writes exactly these entries.
    let answer = unsafe { libc::poll(entries.as_mut_ptr(), N as libc::nfds_t, millis) };
    if answer < 0 {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO));
    }
    Ok(entries.map(|entry| entry.revents))
}

/// Copies from another process; how many bytes could be read before the first that could not.
pub(super) fn read_memory(tid: u32, address: usize, buffer: &mut [u8]) -> Answer<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: the kernel writes at most the length of the buffer to it.
    unsafe { transfer(libc::SYS_process_vm_readv, tid, address, local) }
}

/// Copies to another process; how many bytes could be written.
pub(super) fn write_memory(tid: u32, address: usize, bytes: &[u8]) -> Answer<usize> {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: the kernel only reads the bytes.
    unsafe { transfer(libc::SYS_process_vm_writev, tid, address, local) }
}

/// # Safety
/// `local` must be valid for what the call does with it. The other address is one of another process.
unsafe fn transfer(nr: libc::c_long, tid: u32, address: usize, local: libc::iovec) -> Answer<usize> {
    let remote = libc::iovec { iov_base: core::ptr::without_provenance_mut(address), iov_len: local.iov_len };
    // SAFETY: the caller vouches for the local memory; both descriptions live until the call is over.
    unsafe { call(nr, [tid as usize, &raw const local as usize, 1, &raw const remote as usize, 1, 0]) }
}

/// A descriptor of a thread (Linux 6.9) or, with `thread` off, of a process.
pub(super) fn pidfd_open(id: u32, thread: bool) -> Answer<OwnedFd> {
    const PIDFD_THREAD: c_int = libc::O_EXCL;
    let flags = if thread { number(PIDFD_THREAD) } else { 0 };
    // SAFETY: plain numbers.
    let fd = unsafe { call(libc::SYS_pidfd_open, [id as usize, flags, 0, 0, 0, 0]) }?;
    // SAFETY: the call has just made it.
    Ok(unsafe { owned(fd) })
}

/// A copy of a descriptor of another process.
pub(super) fn pidfd_getfd(pidfd: BorrowedFd<'_>, target: RawFd) -> Answer<OwnedFd> {
    // SAFETY: plain numbers.
    let fd = unsafe { call(libc::SYS_pidfd_getfd, [number(pidfd.as_raw_fd()), number(target), 0, 0, 0, 0]) }?;
    // SAFETY: the call has just made it.
    Ok(unsafe { owned(fd) })
}

/// Sends a signal to the thread or process of a pidfd.
pub(super) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: c_int) -> Answer<()> {
    // SAFETY: plain numbers, and a null pointer for "as kill(2) does".
    let args = [number(pidfd.as_raw_fd()), number(signal), 0, 0, 0, 0];
    unsafe { call(libc::SYS_pidfd_send_signal, args) }.map(drop)
}

/// Takes a descriptor that a system call has just given to this process.
///
/// # Safety
/// It must be the answer of such a call, and nobody else may own it.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // A descriptor.
unsafe fn owned(fd: usize) -> OwnedFd {
    // SAFETY: the caller vouches for it.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}
