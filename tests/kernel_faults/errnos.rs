//! How system calls fail: the errors that their man pages list, as far as the calls of the kernel floor can meet them.

#![allow(non_upper_case_globals)] // As libc has the numbers.
#![allow(clippy::wildcard_imports)] // Dozens of them.
#![allow(clippy::match_same_arms)] // Each with its reason.

use libc::*;

/// What tells apart calls that do many things: the request, option or operation; for memory, what kind of it.
pub fn request(nr: i64, args: [u64; 6]) -> u64 {
    match nr {
        SYS_ioctl | SYS_fcntl => args[1],
        SYS_prctl | SYS_seccomp | SYS_ptrace => args[0],
        SYS_mmap => args[3] & (MAP_SHARED | MAP_STACK) as u64,
        SYS_rt_sigprocmask => args[0] | u64::from(args[2] != 0) << 8,
        _ => 0,
    }
}

/// A descriptor is closed, and a child waited for, whatever the result is: Linux closes also where it says EINTR, and ECHILD
/// is what somebody else leaves who was faster. An answer that comes too late is one to a call that waits no longer.
pub fn is_done_all_the_same(nr: i64, request: u64, answer: i64) -> bool {
    let is = |errno: i32| answer == -i64::from(errno);
    nr == SYS_close || nr == SYS_wait4 && is(ECHILD) || nr == SYS_ioctl && request == SEND && is(ENOENT)
}

pub const RECV: u64 = 0xc050_2100;
pub const SEND: u64 = 0xc018_2101;
pub const ID_VALID: u64 = 0x4008_2102;
pub const ADD_FD: u64 = 0x4018_2103;
pub const SET_FLAGS: u64 = 0x4008_2104;

/// Blocking signals, and asking for those that were blocked before.
const BLOCK: u64 = SIG_SETMASK as u64 | 1 << 8;

/// The errors of a call. `None` for a call that is not in the table.
#[allow(clippy::too_many_lines)] // A table.
pub fn of(nr: i64, request: u64) -> Option<&'static [i32]> {
    Some(match nr {
        SYS_seccomp => match request {
            1 => &[EACCES, EBUSY, EFAULT, EINVAL, EMFILE, ENOMEM, ENOSYS, ESRCH],
            2 => &[EFAULT, EINVAL, EOPNOTSUPP, ENOSYS],
            3 => &[EFAULT, EINVAL, ENOSYS],
            _ => return None,
        },
        SYS_prctl => match request as i32 {
            PR_SET_SECCOMP => &[EACCES, EFAULT, EINVAL, ENOMEM],
            PR_SET_NO_NEW_PRIVS | PR_GET_NO_NEW_PRIVS | PR_GET_SECCOMP => &[EINVAL, EPERM],
            PR_SET_PDEATHSIG | PR_SET_NAME => &[EINVAL],
            // Names of mappings, where nothing else happens (`PR_SET_VMA`).
            0x53564d41 => &[],
            _ => return None,
        },
        SYS_ioctl => match request {
            RECV => &[EFAULT, EINTR, EINVAL, ENOENT],
            SEND => &[EINPROGRESS, EINTR, EINVAL, ENOENT],
            ID_VALID => &[EBADF, EINTR, ENOENT, ENOTTY],
            ADD_FD => &[EBADF, EBUSY, EINPROGRESS, EINTR, EINVAL, EMFILE, ENOENT, ESRCH],
            SET_FLAGS => &[EINVAL, ENOTTY, EPERM],
            _ => return None,
        },
        SYS_ptrace => match request {
            0x4206 => &[EBUSY, EIO, EPERM, ESRCH],
            0x4207 | 17 => &[EIO, ESRCH],
            0x420c => &[EACCES, EFAULT, EINVAL, EIO, EMEDIUMTYPE, ENOENT, ENOMEM, ESRCH],
            0x420d => &[EACCES, EFAULT, EINVAL, EIO, ENOENT, ESRCH],
            0x420e => &[EFAULT, EIO, ESRCH],
            _ => return None,
        },
        SYS_fcntl => match request as i32 {
            F_DUPFD_CLOEXEC => &[EBADF, EINVAL, EMFILE],
            F_GETFL | F_SETFD => &[EBADF],
            // A check of the standard library before it closes a descriptor, which ends the process; it only has descriptors
            // that are open.
            F_GETFD => &[],
            _ => return None,
        },
        // The first stands for allocations. The stack for signals of a thread ends the process if it cannot be had.
        SYS_mmap => match request as i32 {
            0 | MAP_STACK => &[],
            _ => &[EAGAIN, ENOMEM],
        },
        SYS_openat | SYS_open => &[EACCES, EINTR, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM, ENOTDIR, EPERM],
        SYS_close => &[EINTR, EIO],
        SYS_read => &[EINTR, EIO, EINVAL, ESRCH],
        SYS_write => &[EINTR, EIO, EPIPE],
        SYS_lseek => &[EINVAL, ESPIPE],
        SYS_fstat | SYS_statx | SYS_newfstatat | SYS_stat => &[EACCES, ELOOP, ENOENT, ENOMEM, ENOTDIR],
        SYS_getdents64 => &[EBADF, EFAULT, EINVAL, ENOENT, ENOTDIR],
        SYS_chdir => &[EACCES, EIO, ELOOP, ENOENT, ENOMEM, ENOTDIR],
        SYS_poll => &[EFAULT, EINTR, EINVAL, ENOMEM],
        SYS_pipe2 => &[EINVAL, EMFILE, ENFILE],
        SYS_socketpair => &[EAFNOSUPPORT, EMFILE, ENFILE, EOPNOTSUPP, EPROTONOSUPPORT],
        SYS_sendmsg => &[EAGAIN, EINTR, ENOBUFS, ENOMEM, EPIPE, ETOOMANYREFS],
        // The standard library reads the end of its own socket so, and ends if that fails otherwise.
        SYS_recvfrom => &[EINTR],
        SYS_recvmsg => &[ECONNREFUSED, EINTR, EINVAL, ENOMEM],
        SYS_dup2 => &[EBADF, EBUSY, EINTR, EMFILE],
        SYS_clone | SYS_clone3 | SYS_fork | SYS_vfork => &[EAGAIN, ENOMEM, EPERM],
        SYS_execve => &[
            E2BIG,
            EACCES,
            EAGAIN,
            EINVAL,
            EIO,
            EISDIR,
            ELIBBAD,
            ELOOP,
            EMFILE,
            ENAMETOOLONG,
            ENFILE,
            ENOENT,
            ENOEXEC,
            ENOMEM,
            ENOTDIR,
            EPERM,
            ETXTBSY,
        ],
        // EINVAL is for options that do not exist.
        SYS_wait4 => &[ECHILD, EINTR],
        SYS_waitid => &[ECHILD, EINTR, EINVAL],
        SYS_kill => &[EINVAL, EPERM, ESRCH],
        SYS_rt_sigaction => &[EFAULT, EINVAL],
        SYS_rt_sigprocmask if request == BLOCK => &[EFAULT, EINVAL],
        // A mask that cannot be set back stays; and what the C library does with it around a new thread.
        SYS_rt_sigprocmask => &[],
        SYS_nanosleep | SYS_clock_nanosleep => &[EINTR],
        // A sleep or a wait that was interrupted and goes on, which is chance.
        SYS_restart_syscall => &[],
        SYS_uname => &[EFAULT],
        SYS_prlimit64 | SYS_getrlimit => &[EFAULT, EINVAL, EPERM],
        SYS_pidfd_open => &[EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, ENOSYS, ESRCH],
        SYS_pidfd_getfd => &[EBADF, EINVAL, EMFILE, ENFILE, ENOSYS, EPERM, ESRCH],
        SYS_pidfd_send_signal => &[EBADF, EINVAL, ENOSYS, EPERM, ESRCH],
        SYS_process_vm_readv | SYS_process_vm_writev => &[EFAULT, EINVAL, ENOMEM, EPERM, ESRCH],
        // Their man pages list no errors, or they do not come back.
        SYS_getpid | SYS_gettid | SYS_getppid | SYS_sched_yield | SYS_exit | SYS_exit_group | SYS_rt_sigreturn => &[],
        // The allocator, locks, random seeds of maps, and what a thread of the standard library begins with: a failure there
        // ends the process by their own contract, and nothing of the kernel floor is asked.
        SYS_brk
        | SYS_munmap
        | SYS_mremap
        | SYS_madvise
        | SYS_mprotect
        | SYS_futex
        | SYS_getrandom
        | SYS_sigaltstack
        | SYS_rseq
        | SYS_set_robust_list
        | SYS_sched_getaffinity
        | SYS_set_tid_address
        | SYS_clock_gettime => &[],
        _ => return None,
    })
}

/// A name for messages.
pub fn name(nr: i64) -> String {
    let native = callsieve::Arch::NATIVE.and_then(|arch| arch.name(nr as u32));
    native.map_or_else(|| format!("call {nr}"), String::from)
}
