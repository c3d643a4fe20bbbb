//! The system calls of this floor, each as a safe function.
#![allow(unsafe_code)]
//! Safety: every function here passes the kernel either plain numbers or pointers to values that outlive the call and
//! have the layout that the kernel expects (`Insn` asserts its own; the rest are structs of `libc`). None of the calls
//! writes to memory other than the buffer that it is given. The pointers are null only where the kernel answers a null
//! pointer with EFAULT. Each block says which of these makes it sound.
//!
//! The calls are made by inline assembly where stable Rust has it, so that nothing of the C library runs between fork
//! and exec, errno included; elsewhere by `libc::syscall`, which is async-signal-safe as well.

pub(super) use self::entry::call;
use super::flags::FilterFlag;
use crate::bpf::Insn;
use libc::{c_int, c_long, c_uint};

/// What a call gives back: a number, or the error number.
pub(super) type Answer<T> = Result<T, c_int>;

#[cfg(feature = "std")]
#[path = "raw_ptrace.rs"]
pub(super) mod ptrace;

const SET_MODE_FILTER: c_uint = 1;
const GET_ACTION_AVAIL: c_uint = 2;

#[cfg(any(
    target_arch = "x86_64",
    target_arch = "x86",
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "riscv64",
    target_arch = "riscv32",
    target_arch = "loongarch64"
))]
mod entry {
    use super::{Answer, c_int, c_long};

    /// # Safety
    /// The caller vouches for what the call does with its arguments.
    #[inline]
    #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // The number goes to a register as it is.
    pub(in crate::kernel) unsafe fn call(number: c_long, args: [usize; 6]) -> Answer<usize> {
        // SAFETY: the caller vouches for the call.
        let raw =
            unsafe { syscalls::raw::syscall6(number as usize, args[0], args[1], args[2], args[3], args[4], args[5]) };
        // The last 4095 values are negative error numbers.
        match raw.cast_signed() {
            negative @ -4095..=-1 => Err(negative.unsigned_abs() as c_int),
            _ => Ok(raw),
        }
    }
}

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "x86",
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "riscv64",
    target_arch = "riscv32",
    target_arch = "loongarch64"
)))]
mod entry {
    use super::{Answer, c_long};

    /// # Safety
    /// The caller vouches for what the call does with its arguments.
    #[inline]
    #[allow(clippy::cast_sign_loss)] // Only -1 is negative, and that is the error.
    pub(in crate::kernel) unsafe fn call(number: c_long, args: [usize; 6]) -> Answer<usize> {
        // SAFETY: the caller vouches for the call.
        let result = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]) };
        if result == -1 {
            // SAFETY: the pointer to this thread's errno is always valid.
            return Err(unsafe { *libc::__errno_location() });
        }
        Ok(result as usize)
    }
}

/// What `SET_MODE_FILTER` answers when it does not fail: 0, the thread that TSYNC could not bring along, or with
/// `NEW_LISTENER` a descriptor.
#[allow(clippy::cast_possible_truncation)] // A thread id.
#[inline]
pub(super) fn seccomp_set_filter(insns: &[Insn], flags: u32) -> Answer<u32> {
    let program = fprog(insns)?;
    // SAFETY: `program` and the instructions that it points to live until the call is over; the kernel only reads them.
    let answer = unsafe { seccomp(SET_MODE_FILTER, flags, &raw const program as usize) }?;
    Ok(answer as u32)
}

/// The same with `NEW_LISTENER` among the flags. ENOTTY if the answer is no listener, which an older filter can bring
/// about.
#[cfg(feature = "std")]
#[allow(clippy::cast_possible_wrap)] // A descriptor.
pub(super) fn seccomp_new_listener(insns: &[Insn], flags: u32) -> Answer<std::os::fd::OwnedFd> {
    use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
    let number = seccomp_set_filter(insns, flags)? as i32;
    // SAFETY: a number that the kernel gives is never -1; it is only asked what it is.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    if !super::notify::is_listener(borrowed) {
        return Err(libc::ENOTTY);
    }
    // SAFETY: the call above has just made it, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The way of kernels before 3.17.
#[inline]
pub(super) fn prctl_set_filter(insns: &[Insn]) -> Answer<()> {
    let program = fprog(insns)?;
    let mode = libc::SECCOMP_MODE_FILTER as usize;
    // SAFETY: `program` and the instructions that it points to live until the call is over; the kernel only reads them.
    unsafe { prctl(libc::PR_SET_SECCOMP, mode, &raw const program as usize) }.map(drop)
}

/// Strict mode. Afterwards every call but read, write, exit and sigreturn kills, which is no matter of memory safety.
pub(super) fn prctl_set_strict() -> Answer<()> {
    // SAFETY: plain numbers.
    unsafe { prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT as usize, 0) }.map(drop)
}

/// Whether filters exist, asked with a null pointer: EFAULT if they do, EINVAL if not.
pub(super) fn prctl_probe_filter() -> c_int {
    // SAFETY: the kernel answers EFAULT to a null pointer.
    let answer = unsafe { prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER as usize, 0) };
    answer.err().unwrap_or(0)
}

/// Whether a flag is known, asked with a null pointer: EFAULT if it is, EINVAL if not.
#[inline]
pub(super) fn seccomp_probe_flags(flags: u32) -> c_int {
    // SAFETY: the kernel answers EFAULT to a null pointer.
    let answer = unsafe { seccomp(SET_MODE_FILTER, flags, 0) };
    answer.err().unwrap_or(0)
}

/// Whether the kernel knows an action, given without data.
pub(super) fn seccomp_action_avail(action: u32) -> Answer<()> {
    // SAFETY: the pointer is to a number that lives until the call is over; the kernel only reads it.
    unsafe { seccomp(GET_ACTION_AVAIL, 0, &raw const action as usize) }.map(drop)
}

#[inline]
pub(super) fn set_no_new_privs() -> Answer<()> {
    // SAFETY: plain numbers.
    unsafe { prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0) }.map(drop)
}

pub(super) fn no_new_privs() -> Answer<bool> {
    // SAFETY: plain numbers.
    unsafe { prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0) }.map(|answer| answer == 1)
}

pub(super) fn seccomp_mode() -> Answer<usize> {
    // SAFETY: plain numbers.
    unsafe { prctl(libc::PR_GET_SECCOMP, 0, 0) }
}

/// The fields of uname(2): NUL-terminated bytes.
pub(super) struct Uname {
    pub(super) release: [u8; 65],
    pub(super) machine: [u8; 65],
}

pub(super) fn uname() -> Answer<Uname> {
    // SAFETY: a struct of byte arrays; all zero is a value.
    let mut names: libc::utsname = unsafe { core::mem::zeroed() };
    // SAFETY: the kernel writes exactly this struct, which lives until the call is over.
    unsafe { call(libc::SYS_uname, [&raw mut names as usize, 0, 0, 0, 0, 0]) }?;
    // `c_char` is signed on some machines.
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)]
    let bytes = |field: [libc::c_char; 65]| field.map(|c| c as u8);
    Ok(Uname { release: bytes(names.release), machine: bytes(names.machine) })
}

/// Writes to standard error, without the buffers and locks of a library.
#[cfg(feature = "std")]
pub(super) fn write_stderr(bytes: &[u8]) -> Answer<usize> {
    // SAFETY: the kernel only reads the bytes, which live until the call is over.
    unsafe { call(libc::SYS_write, [2, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0]) }
}

/// Sends a signal to the calling thread.
#[cfg(feature = "std")]
#[allow(clippy::cast_sign_loss)] // Signals are positive.
pub(super) fn raise_for_thread(signal: c_int) -> Answer<()> {
    // SAFETY: plain numbers.
    unsafe {
        let process = call(libc::SYS_getpid, [0; 6])?;
        let thread = call(libc::SYS_gettid, [0; 6])?;
        call(libc::SYS_tgkill, [process, thread, signal as usize, 0, 0, 0]).map(drop)
    }
}

/// Ends the process at once. Returns only if a filter denies it.
#[cfg(feature = "std")]
#[allow(clippy::cast_sign_loss)] // Exit statuses are small positive numbers.
pub(super) fn exit_group(status: c_int) -> Answer<()> {
    // SAFETY: plain numbers; nothing of this process runs afterwards.
    unsafe { call(libc::SYS_exit_group, [status as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// # Safety
/// `pointer` must suit the operation.
#[inline]
unsafe fn seccomp(operation: c_uint, flags: u32, pointer: usize) -> Answer<usize> {
    // SAFETY: the caller vouches for the pointer.
    unsafe { call(libc::SYS_seccomp, [operation as usize, flags as usize, pointer, 0, 0, 0]) }
}

/// # Safety
/// The arguments must suit the option; none of those used here takes more than two.
#[allow(clippy::cast_sign_loss)] // The options are small positive numbers.
#[inline]
unsafe fn prctl(option: c_int, a: usize, b: usize) -> Answer<usize> {
    // SAFETY: the caller vouches for the arguments.
    unsafe { call(libc::SYS_prctl, [option as usize, a, b, 0, 0, 0]) }
}

/// The kernel's view of a program. `struct sock_filter` of `libc` has the layout that `Insn` asserts.
#[inline]
fn fprog(insns: &[Insn]) -> Answer<libc::sock_fprog> {
    // A `Program` has at most 4096 instructions; the kernel would answer the same to more.
    let len = u16::try_from(insns.len()).map_err(|_| libc::EINVAL)?;
    Ok(libc::sock_fprog { len, filter: insns.as_ptr().cast_mut().cast() })
}

// The flags are spelled once more in `libc`; they must agree.
#[allow(clippy::unnecessary_cast)] // `c_ulong` has 32 bits on some machines.
const _: () = {
    assert!(FilterFlag::Tsync.bit() as u64 == libc::SECCOMP_FILTER_FLAG_TSYNC as u64);
    assert!(FilterFlag::Log.bit() as u64 == libc::SECCOMP_FILTER_FLAG_LOG as u64);
    assert!(FilterFlag::SpecAllow.bit() as u64 == libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u64);
    assert!(FilterFlag::NewListener.bit() as u64 == libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u64);
    assert!(FilterFlag::TsyncEsrch.bit() as u64 == libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH as u64);
    assert!(FilterFlag::WaitKillableRecv.bit() as u64 == libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV as u64);
};
