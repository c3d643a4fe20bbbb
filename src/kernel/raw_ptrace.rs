//! The requests of ptrace(2) that reading filters needs, each as a safe function.
#![allow(unsafe_code)]
//! Safety: no request here changes memory or registers of the traced thread. The kernel writes to buffers of this
//! process only: values that outlive the call and are as large as the most that it ever writes. Each block says so.

use super::{Answer, c_int, call};
use crate::bpf::{Insn, MAX_INSNS};

// `sys/ptrace.h` and `linux/ptrace.h`; the C libraries do not agree on the types of these.
const DETACH: usize = 17;
const SEIZE: usize = 0x4206;
const INTERRUPT: usize = 0x4207;
const SECCOMP_GET_FILTER: usize = 0x420c;
const SECCOMP_GET_METADATA: usize = 0x420d;
const GET_SYSCALL_INFO: usize = 0x420e;

/// `SECCOMP_FILTER_FLAG_LOG` of [`filter_flags`].
pub(in crate::kernel) const FLAG_LOG: u64 = super::FilterFlag::Log.bit() as u64;

/// # Safety
/// `data` must suit the request.
unsafe fn request(request: usize, pid: u32, address: usize, data: usize) -> Answer<usize> {
    // SAFETY: the caller vouches for the pointer.
    unsafe { call(libc::SYS_ptrace, [request, pid as usize, address, data, 0, 0]) }
}

/// Attaches without stopping.
pub(in crate::kernel) fn seize(pid: u32) -> Answer<()> {
    // SAFETY: plain numbers; no options.
    unsafe { request(SEIZE, pid, 0, 0) }.map(drop)
}

/// Asks a thread to stop.
pub(in crate::kernel) fn interrupt(pid: u32) -> Answer<()> {
    // SAFETY: plain numbers.
    unsafe { request(INTERRUPT, pid, 0, 0) }.map(drop)
}

/// Lets a stopped thread go on, with a signal or 0.
#[allow(clippy::cast_sign_loss)] // Signals are positive.
pub(in crate::kernel) fn detach(pid: u32, signal: c_int) -> Answer<()> {
    // SAFETY: plain numbers.
    unsafe { request(DETACH, pid, 0, signal as usize) }.map(drop)
}

/// Whether a traced thread has stopped, and by what: the signal, and an event above its 8 bits. Takes nothing away: what
/// has ended can still be waited for by its parent. ECHILD if it has ended.
pub(in crate::kernel) fn stopped(pid: u32) -> Answer<Option<c_int>> {
    // SAFETY: all zero is a value of this struct of numbers.
    let mut info: libc::siginfo_t = unsafe { core::mem::zeroed() };
    let options = libc::WSTOPPED | libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    let options = usize::try_from(options).map_err(|_| libc::EINVAL)?;
    let which = libc::P_PID as usize;
    // SAFETY: the kernel writes exactly this struct, which lives until the call is over, and nothing to a null pointer.
    unsafe { call(libc::SYS_waitid, [which, pid as usize, &raw mut info as usize, options, 0, 0]) }?;
    match info.si_code {
        // Nothing has happened: the struct is still zero.
        0 => Ok(None),
        libc::CLD_TRAPPED | libc::CLD_STOPPED => {
            // SAFETY: this is the field of a status of a child, for which the code stands.
            Ok(Some(unsafe { info.si_status() }))
        }
        _ => Err(libc::ECHILD),
    }
}

/// The instructions of a filter of a stopped thread.
pub(in crate::kernel) fn filter(pid: u32, index: usize) -> Answer<Vec<Insn>> {
    // No filter is longer, so the buffer suffices whatever happens to the thread meanwhile.
    let mut insns = vec![Insn::stmt(0, 0); MAX_INSNS];
    // SAFETY: the kernel writes at most as many instructions as the buffer has, with the layout that `Insn` asserts; any
    // bits are an `Insn`.
    let len = unsafe { request(SECCOMP_GET_FILTER, pid, index, insns.as_mut_ptr() as usize) }?;
    insns.truncate(len);
    Ok(insns)
}

/// The flags of a filter of a stopped thread, as far as the kernel keeps them.
pub(in crate::kernel) fn filter_flags(pid: u32, index: usize) -> Answer<u64> {
    /// `struct seccomp_metadata` of `linux/ptrace.h`.
    #[repr(C)]
    struct Metadata {
        filter: u64,
        flags: u64,
    }
    let mut data = Metadata { filter: index as u64, flags: 0 };
    // SAFETY: the kernel reads the first field and writes at most the given size; the struct lives until the call is over.
    unsafe { request(SECCOMP_GET_METADATA, pid, size_of::<Metadata>(), &raw mut data as usize) }?;
    Ok(data.flags)
}

/// The token of the ABI of the call that a stopped thread is in.
pub(in crate::kernel) fn call_arch(pid: u32) -> Answer<u32> {
    /// The beginning of `struct ptrace_syscall_info` of `linux/ptrace.h`.
    #[repr(C)]
    struct Info {
        op: u8,
        pad: [u8; 3],
        arch: u32,
        instruction_pointer: u64,
        stack_pointer: u64,
    }
    let mut info = Info { op: 0, pad: [0; 3], arch: 0, instruction_pointer: 0, stack_pointer: 0 };
    // SAFETY: the kernel writes at most the given size; the struct lives until the call is over.
    unsafe { request(GET_SYSCALL_INFO, pid, size_of::<Info>(), &raw mut info as usize) }?;
    Ok(info.arch)
}
