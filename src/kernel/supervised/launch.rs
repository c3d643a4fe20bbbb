//! Two forks: a helper, and the child that becomes the program.
#![allow(unsafe_code)]
//! Safety: after a fork of a process with threads only async-signal-safe functions may run, and nothing may be allocated.
//! Everything that helper and child need is prepared before ([`Plan`], [`Raw`]); they use raw system calls and functions
//! of the C library that signal-safety(7) lists. Neither ever returns into the code of the parent. All pointers point
//! into the plan, which the parent keeps until the helper has ended; the child has its own copy of that memory.
//!
//! ```text
//! parent ── fork ──> helper: pipes and files to 0, 1, 2
//!    │                  ├── clone(CLONE_FILES | CLONE_PARENT) ──> child: chdir, signals, seccomp
//!    │                  │ <─────────── number of the listener, through memory ────┤
//!    │ <── SCM_RIGHTS ──┤                                                        execve
//!    │                  ├── closes the listener in the table that both share
//!    └── waits for the helper's end, so that the child has no listener any more
//! ```
//!
//! The helper exists because the child must not make a call after it has installed the filter. It shares the table of
//! descriptors with the child, but not the filter. execve(2) gives the child a table of its own, in which the listener is
//! closed, should the helper not have closed it by then. The parent never shares a table with anybody.
//!
//! Helper and child are made without a signal for their end, so that a program that waits for any of its children, or
//! handles SIGCHLD, never meets the helper; execve sets SIGCHLD for the child.

use super::super::command::{self, SpawnError};
use super::super::install::Install;
use super::super::notify::{Listener, poll};
use super::super::raw::{Answer, call};
use super::super::rights;
use super::state::{Shared, State, Step};
use crate::bpf::Program;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::c_char;
use core::ptr::null;
use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering::{Acquire, Release};
use core::time::Duration;
use libc::{c_int, pid_t};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;

/// What is to be started.
pub(super) struct Plan<'p> {
    pub(super) path: CString,
    pub(super) arguments: Vec<CString>,
    /// `NAME=value`.
    pub(super) environment: Vec<CString>,
    pub(super) folder: Option<CString>,
    /// `None` is inherited.
    pub(super) streams: [Option<BorrowedFd<'p>>; 3],
    pub(super) install: Install,
    pub(super) program: &'p Program,
}

/// What has been started.
pub(super) struct Launched {
    pub(super) pid: pid_t,
    pub(super) state: Shared,
    pub(super) listener: Listener,
}

/// The plan as the kernel takes it.
struct Raw<'p> {
    plan: &'p Plan<'p>,
    arguments: Vec<*const c_char>,
    /// For a script that names no interpreter, as execvp(3) treats it.
    shell_arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    socket: RawFd,
    /// The other end of it, which is the parent's.
    ours: RawFd,
    parent: pid_t,
}

/// The shell of execvp(3).
const SHELL: &core::ffi::CStr = c"/bin/sh";

pub(super) fn launch(plan: &Plan<'_>) -> Result<Launched, SpawnError> {
    let start = SpawnError::Start;
    let state = Shared::new().map_err(start)?;
    let (ours, theirs) = UnixStream::pair().map_err(start)?;
    let pointers = |list: &[CString]| list.iter().map(|text| text.as_ptr()).chain([null()]).collect::<Vec<_>>();
    let script = [SHELL.as_ptr(), plan.path.as_ptr()];
    let rest = plan.arguments.iter().skip(1).map(|text| text.as_ptr());
    let raw = Raw {
        plan,
        arguments: pointers(&plan.arguments),
        shell_arguments: script.into_iter().chain(rest).chain([null()]).collect(),
        environment: pointers(&plan.environment),
        socket: theirs.as_raw_fd(),
        ours: ours.as_raw_fd(),
        // SAFETY: no arguments.
        parent: unsafe { libc::getpid() },
    };
    // Signals wait until the child has none of our handlers any more.
    let before = block_signals().map_err(refused)?;
    // SAFETY: a copy of this process, which goes on in `helper` and stays there.
    let forked = unsafe { fork(0, None) };
    if forked == Ok(0) {
        helper(&raw, &state);
    }
    restore_signals(&before);
    drop(theirs);
    let helper = forked.map_err(refused)?;
    let problem = match receive(&ours, &state, helper) {
        // It still has to close the listener in the table of the child. If somebody killed it before that, the child may
        // have its own listener, and would wait for ever if this process died.
        Ok(listener) => match wait(helper) {
            Ok(0) => return Ok(Launched { pid: state.child.load(Acquire), state, listener }),
            Ok(_) => None,
            Err(errno) => Some(errno),
        },
        Err(problem) => {
            end(helper);
            problem
        }
    };
    // Only now is it known for certain whether there is a child: the helper makes none any more.
    let pid = state.child.load(Acquire);
    if pid > 0 {
        end(pid);
    }
    Err(failure(&state, plan, problem))
}

/// The listener, when the helper has sent it. An error if that will not happen, with a number if it is this process that
/// failed.
fn receive(socket: &UnixStream, state: &State, helper: pid_t) -> Result<Listener, Option<c_int>> {
    let has_ended = |pid: pid_t| command::wait_unreaped(pid.cast_unsigned(), libc::WNOHANG).unwrap_or(true);
    let mut is_lost = false;
    loop {
        match poll([socket.as_fd()], Some(Duration::from_millis(100))) {
            // What was sent before is there by now.
            Ok([0]) if is_lost => return Err(None),
            Ok([0]) | Err(libc::EINTR) => {}
            Ok(_) => break,
            Err(errno) => return Err(Some(errno)),
        }
        // Someone may have killed the child before it could install, or the helper before it could send. The child may
        // wait for an answer to its execve by then, and until that it keeps the other end of the socket open.
        let child = state.child.load(Acquire);
        is_lost = has_ended(helper) || child > 0 && state.listener.load(Acquire) == 0 && has_ended(child);
    }
    // What comes is one descriptor. If it was cut off, this process may have no more of them.
    let (_, fds) = rights::receive(socket.as_fd(), &mut [0; 1])
        .map_err(|error| Some(error.raw_os_error().unwrap_or(libc::EMFILE)))?;
    let fd = fds.into_iter().next().ok_or(None)?;
    Listener::from_fd(fd).map_err(|error| error.raw_os_error())
}

/// Why there is no listener.
fn failure(state: &State, plan: &Plan<'_>, problem: Option<c_int>) -> SpawnError {
    let reason = state.reason.load(Acquire);
    match (state.failed.load(Acquire), problem) {
        (0, None) => SpawnError::Lost,
        (0, Some(errno)) => refused(errno),
        (step, _) if step == Step::Install as i32 => {
            match command::decode(reason, plan.install.for_listener(), plan.program) {
                Some(error) => SpawnError::Install(error),
                None => SpawnError::Lost,
            }
        }
        _ => refused(reason),
    }
}

fn refused(errno: c_int) -> SpawnError {
    SpawnError::Start(io::Error::from_raw_os_error(errno))
}

// --- in the helper -----------------------------------------------------------------------------------------------

/// Runs in the first fork.
fn helper(raw: &Raw<'_>, state: &State) -> ! {
    // It ends with the parent. Should that be gone already, its number is another one.
    // SAFETY: plain numbers.
    if let Err(errno) = checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) }) {
        fail(state, Step::Tie, errno);
    }
    // SAFETY: no arguments.
    if unsafe { libc::getppid() } != raw.parent {
        exit(1);
    }
    let socket = match streams(raw) {
        Ok(socket) => socket,
        Err(errno) => fail(state, Step::Streams, errno),
    };
    // While anybody has this end, a listener that was sent and not received stays open: if the parent dies at that moment,
    // the child would wait for ever.
    close_unless_kept(raw.ours);
    close_what_execve_would(socket);
    // SAFETY: a copy of this process, which goes on in `child` and stays there.
    match unsafe { fork(libc::CLONE_FILES | libc::CLONE_PARENT, Some(&state.child)) } {
        Ok(0) => child(raw, state),
        Ok(_) => {}
        Err(errno) => fail(state, Step::Fork, errno),
    }
    let number = wait_for_listener(state);
    if number >= 0 {
        if let Err(errno) = rights::send(socket, number) {
            fail(state, Step::Send, errno);
        }
        // In the table that the child shares: until execve it would hold its own listener.
        // SAFETY: this process has no other owner of descriptors.
        unsafe { libc::close(number) };
    }
    exit(0);
}

/// Puts the streams where the program expects them; gives the socket, out of their way.
fn streams(raw: &Raw<'_>) -> Answer<RawFd> {
    // SAFETY: numbers of open descriptors; this process has no owners of any.
    let above = |fd: RawFd| checked(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) });
    let socket = above(raw.socket)?;
    let mut moved = [-1; 3];
    for (moved, stream) in moved.iter_mut().zip(raw.plan.streams) {
        if let Some(stream) = stream {
            *moved = above(stream.as_raw_fd())?;
        }
    }
    for (number, moved) in (0..).zip(moved) {
        if moved >= 0 {
            // SAFETY: as above.
            checked(unsafe { libc::dup2(moved, number) })?;
        }
    }
    Ok(socket)
}

/// Closes what is close-on-exec, but for the socket. The child may wait in its execve for long, and what it inherits may
/// be listeners of other programs, or the writing ends of pipes whose end somebody waits for.
fn close_what_execve_would(socket: RawFd) {
    // SAFETY: a constant string; this process has no other owner of descriptors.
    let folder = checked(unsafe { libc::open(c"/proc/self/fd".as_ptr(), libc::O_DIRECTORY | libc::O_CLOEXEC) });
    let listed = folder.and_then(|folder| {
        let listed = close_listed(folder, socket);
        // SAFETY: as above.
        unsafe { libc::close(folder) };
        listed
    });
    if listed.is_err() {
        // No /proc here, or Landlock or a filter forbids reading it.
        (0..most_descriptors()).filter(|&fd| fd != socket).for_each(close_unless_kept);
    }
}

/// The same for those that are listed in an open folder of /proc.
fn close_listed(folder: RawFd, socket: RawFd) -> Answer<()> {
    const HEADER: usize = 19;
    let mut buffer = [0_u8; 4096];
    loop {
        #[allow(clippy::cast_sign_loss)] // A descriptor.
        let args = [folder as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
        // SAFETY: the kernel writes at most the length of the buffer to it.
        let got = unsafe { call(libc::SYS_getdents64, args) }?;
        if got == 0 {
            return Ok(());
        }
        let mut entries = buffer.get(..got).unwrap_or_default();
        // Entries: two numbers of 8 bytes, the length of the entry in 2, a kind in 1, the name and a NUL.
        while let Some(&[low, high]) = entries.get(16..18) {
            let (entry, rest) = entries.split_at_checked(u16::from_ne_bytes([low, high]).into()).unwrap_or_default();
            let name = entry.get(HEADER..).unwrap_or_default();
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            let fd = core::str::from_utf8(name).ok().and_then(|name| name.parse::<RawFd>().ok());
            if let Some(fd) = fd.filter(|&fd| fd != socket && fd != folder) {
                close_unless_kept(fd);
            }
            entries = rest;
        }
    }
}

/// Closes a descriptor if execve(2) would.
fn close_unless_kept(fd: RawFd) {
    // SAFETY: a number; this process has no owners of any.
    if checked(unsafe { libc::fcntl(fd, libc::F_GETFD) }).is_ok_and(|flags| flags & libc::FD_CLOEXEC != 0) {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
}

/// How many descriptors this process may have, so far as it makes sense to look at each.
fn most_descriptors() -> RawFd {
    /// The usual `fs.nr_open`.
    const MOST: RawFd = 1 << 20;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes the limits to a local struct.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
    if known { RawFd::try_from(limit.rlim_cur).unwrap_or(MOST).min(MOST) } else { MOST }
}

/// Looks into the shared memory until the child has installed its filter: it cannot wake anybody without a call. -1 if
/// it failed before. If it is killed, the parent ends this process.
fn wait_for_listener(state: &State) -> RawFd {
    let mut nanos = 5_000;
    loop {
        match state.listener.load(Acquire) {
            0 if state.failed.load(Acquire) != 0 => return -1,
            0 => {}
            number => return number.wrapping_sub(1),
        }
        let time = libc::timespec { tv_sec: 0, tv_nsec: nanos };
        // SAFETY: the kernel reads the time.
        unsafe { libc::nanosleep(&raw const time, core::ptr::null_mut()) };
        nanos = (nanos.saturating_mul(2)).min(1_000_000);
    }
}

fn fail(state: &State, step: Step, reason: c_int) -> ! {
    state.reason.store(reason, Release);
    state.failed.store(step as i32, Release);
    exit(1);
}

// --- in the child ------------------------------------------------------------------------------------------------

/// Runs in the second fork. After the filter is installed there is one call, execve, and after a failure exit.
fn child(raw: &Raw<'_>, state: &State) -> ! {
    if let Some(folder) = &raw.plan.folder {
        // SAFETY: a string that lives long enough.
        if let Err(errno) = checked(unsafe { libc::chdir(folder.as_ptr()) }) {
            fail(state, Step::Folder, errno);
        }
    }
    default_signals();
    match raw.plan.install.listener_number(raw.plan.program) {
        Ok(number) => state.listener.store(number.cast_signed().wrapping_add(1), Release),
        Err(error) => fail(state, Step::Install, command::encode(error)),
    }
    let path = raw.plan.path.as_ptr();
    let environment = raw.environment.as_ptr();
    let mut errno = execve(path, raw.arguments.as_ptr(), environment);
    if errno == libc::ENOEXEC {
        errno = execve(SHELL.as_ptr(), raw.shell_arguments.as_ptr(), environment);
    }
    state.exec_errno.store(errno, Release);
    exit(127);
}

/// The error number; does not return if it succeeds.
fn execve(path: *const c_char, arguments: *const *const c_char, environment: *const *const c_char) -> c_int {
    let args = [path as usize, arguments as usize, environment as usize, 0, 0, 0];
    // SAFETY: strings, and lists of strings that end with a null pointer; all of them outlive this process.
    unsafe { call(libc::SYS_execve, args) }.err().unwrap_or(libc::EIO)
}

/// Ends this process, even if a filter or a supervisor makes the calls for it come back.
fn exit(status: c_int) -> ! {
    #[allow(clippy::cast_sign_loss)] // Small numbers.
    let args = [status as usize, 0, 0, 0, 0, 0];
    // SAFETY: plain numbers. After both calls have failed, abort(3) comes to an instruction that is none, which no
    // filter can answer.
    unsafe {
        let _ = call(libc::SYS_exit_group, args);
        let _ = call(libc::SYS_exit, args);
        libc::abort()
    }
}

/// The child gets the signals as execve(2) and [`std::process::Command`] leave them: no handlers, none blocked, SIGPIPE
/// not ignored.
fn default_signals() {
    // SAFETY: all zero is a value, with the default as the handler, no flags and an empty mask.
    let default: libc::sigaction = unsafe { core::mem::zeroed() };
    for signal in 1..=64 {
        let mut before = default;
        // SAFETY: local structs; a failure (some numbers cannot be changed) leaves everything as it is.
        unsafe {
            let known = libc::sigaction(signal, null(), &raw mut before) == 0;
            if known && (before.sa_sigaction != libc::SIG_IGN || signal == libc::SIGPIPE) {
                libc::sigaction(signal, &raw const default, core::ptr::null_mut());
            }
        }
    }
    // SAFETY: all zero is the empty set.
    restore_signals(&unsafe { core::mem::zeroed() });
}

// --- in all three ------------------------------------------------------------------------------------------------

/// fork(2) without the hooks of the C library, and without a signal for the end of the new process; 0 in that one. The
/// kernel writes the process id to `pid` before the new process runs, also if this one is killed meanwhile.
///
/// # Safety
/// The new process is a copy with one thread. It may only use async-signal-safe functions and must never return to code
/// that does not know of it.
#[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // Flags, process ids.
unsafe fn fork(flags: c_int, pid: Option<&AtomicI32>) -> Answer<pid_t> {
    let flags = flags as usize | pid.map_or(0, |_| libc::CLONE_PARENT_SETTID as usize);
    let pid = pid.map_or(0, |pid| pid.as_ptr() as usize);
    let args = if cfg!(target_arch = "s390x") { [0, flags, pid, 0, 0, 0] } else { [flags, 0, pid, 0, 0, 0] };
    // SAFETY: without a stack and without CLONE_VM the new process has a copy of all memory; the caller vouches for what
    // it does.
    unsafe { call(libc::SYS_clone, args) }.map(|pid| pid as pid_t)
}

fn block_signals() -> Answer<libc::sigset_t> {
    // SAFETY: local sets, which the functions fill.
    unsafe {
        let mut all: libc::sigset_t = core::mem::zeroed();
        let mut before: libc::sigset_t = core::mem::zeroed();
        libc::sigfillset(&raw mut all);
        match libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) {
            0 => Ok(before),
            errno => Err(errno),
        }
    }
}

fn restore_signals(set: &libc::sigset_t) {
    // SAFETY: a local set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set, core::ptr::null_mut()) };
}

fn checked(answer: c_int) -> Answer<c_int> {
    // SAFETY: the pointer to this thread's errno is always valid.
    if answer < 0 { Err(unsafe { *libc::__errno_location() }) } else { Ok(answer) }
}

/// Kills a child, if it has not ended by itself, and waits for it.
fn end(pid: pid_t) {
    // SAFETY: plain numbers; until it has been waited for, the number is that of our child.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    let _ = wait(pid);
}

/// Waits for the end of a child; its status as waitpid(2) gives it, 0 if it ended well.
fn wait(pid: pid_t) -> Answer<c_int> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes the status.
        match checked(unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) }) {
            Ok(_) => return Ok(status),
            Err(libc::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
