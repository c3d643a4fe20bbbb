//! Starting a program under a filter.
#![allow(unsafe_code)]
//! Safety: what runs between fork and exec is [`Install::install`] alone, which is async-signal-safe and allocates
//! nothing. The dispositions of signals are changed to SIG_IGN and back, never to code. Waiting writes to one struct that
//! outlives the call.

use super::error::InstallError;
use super::install::Install;
use crate::bpf::Program;
use crate::compile::Filter;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use thiserror::Error;

/// Why a program was not started under a filter. Nothing runs then, and the calling process is unchanged.
///
/// See the example of [`spawn`](spawn()).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The filter could not be installed in the child.
    #[error(transparent)]
    Install(InstallError),
    /// The child could not be made, or it could not execute the program: not found, not executable, or the filter denies
    /// execve(2).
    #[error("the program could not be started: {0}")]
    Start(#[source] io::Error),
    /// The child, or the process that was to send its listener, was killed before it came to that.
    #[error("the process was killed before it could become the program")]
    Lost,
}

/// Starts a program under a filter: fork, install in the child, exec. The calling process is not filtered.
///
/// The filter sees everything that the child does after the installing, execve(2) first. If that fails, the child
/// reports it through a pipe. A filter that denies write(2) as well, or kills, makes that impossible: then there is no
/// error here, and [`wait`] gives [`WaitError::NeverExecuted`]. So find the program first, and see that
/// [`Policy::decide`] allows execve.
///
/// [`Policy::decide`]: crate::policy::Policy::decide
///
/// ```no_run
/// use callsieve::bpf::{Action, Insn, Program, opcode};
/// use callsieve::kernel::{self, Install};
/// use std::process::Command;
///
/// static ALLOW_ALL: Program = Program::from_static(&[Insn::stmt(opcode::RET_K, Action::Allow.to_raw())]);
/// let mut child = kernel::spawn(Command::new("/bin/true"), &ALLOW_ALL, Install::new())?;
/// assert!(kernel::wait(&mut child)?.success());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn spawn(mut command: Command, program: &Program, install: Install) -> Result<Child, SpawnError> {
    let filter = program.clone();
    let before_exec =
        move || install.install(&filter).map(drop).map_err(|error| io::Error::from_raw_os_error(encode(error)));
    // SAFETY: installing makes two system calls and allocates nothing; nor does making an error from a number.
    unsafe { command.pre_exec(before_exec) };
    command.spawn().map_err(|error| match error.raw_os_error().and_then(|code| decode(code, install, program)) {
        Some(error) => SpawnError::Install(error),
        None => SpawnError::Start(error),
    })
}

/// Filters for [`Command`].
pub trait CommandExt {
    /// The program that is started will run under the filter; this process is not filtered.
    ///
    /// Between fork and exec the child sets `no_new_privs` and installs the filter: two system calls, no allocation, no
    /// lock. The filter judges execve(2) too. A failure comes back from [`Command::spawn`] as an error without a name;
    /// [`spawn`] tells more.
    ///
    /// ```no_run
    /// use callsieve::kernel::CommandExt as _;
    /// use callsieve::{Arch, Sandbox, sandbox::sets::v1};
    /// use std::process::Command;
    ///
    /// let sandbox = Sandbox::deny_by_default().allow([v1::RUNTIME, v1::LOADER, v1::FILE_READ]).allow("execve");
    /// let filter = sandbox.filter(Arch::NATIVE.unwrap())?;
    /// Command::new("/bin/cat").arg("/proc/version").seccomp(&filter).status()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn seccomp(&mut self, filter: &Filter) -> &mut Self;
}

impl CommandExt for Command {
    fn seccomp(&mut self, filter: &Filter) -> &mut Self {
        let program = filter.program().clone();
        let before_exec = move || {
            let installed = Install::new().install(&program);
            installed
                .map(drop)
                .map_err(|error| io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EINVAL)))
        };
        // SAFETY: as in `spawn`.
        unsafe { self.pre_exec(before_exec) }
    }
}

/// The child can hand over one number. Error numbers are positive, so ours are negative: all bits turned round, which
/// also makes room for 0.
const NO_NEW_PRIVS: i32 = 1 << 16;

pub(super) fn encode(error: InstallError) -> i32 {
    let errno = error.raw_os_error().unwrap_or(0);
    match error {
        InstallError::NoNewPrivs { .. } => !(NO_NEW_PRIVS | errno),
        _ => !errno,
    }
}

pub(super) fn decode(code: i32, install: Install, program: &Program) -> Option<InstallError> {
    Some(match !code {
        ..0 => return None,
        // The child has one thread, so that can only be the other error without a number.
        0 => InstallError::FlagsNeedSeccomp { flags: install.flags() },
        code @ NO_NEW_PRIVS.. => InstallError::NoNewPrivs { errno: code & !NO_NEW_PRIVS },
        errno => install.explain(errno, program),
    })
}

/// Why there is no exit status of a program.
///
/// See the example of [`spawn`](spawn()).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The child ended before it became the program, and the filter kept it from telling why: execve(2) failed or was
    /// denied.
    #[error("the program was never executed, and the filter kept its process from telling why ({0})")]
    NeverExecuted(ExitStatus),
    /// execve(2) failed or was denied. Only a child of `Supervised` can tell that under any filter.
    #[error("the program could not be executed: {0}")]
    ExecFailed(#[source] io::Error),
    /// The child could not be waited for.
    #[error("cannot wait for the program: {0}")]
    Wait(#[source] io::Error),
}

/// Waits for a child of [`spawn`] as a shell does: SIGINT and SIGQUIT from the terminal reach the child as well, and it
/// decides what they mean, so until it ends this process ignores them. See system(3).
///
/// Dispositions of signals belong to the whole process; other threads should not change these two meanwhile.
///
/// See the example of [`spawn`](spawn()).
pub fn wait(child: &mut Child) -> Result<ExitStatus, WaitError> {
    let _interrupts = IgnoredInterrupts::new();
    // As long as the child has not been waited for, its number stays its own. If that cannot be had, because it has been
    // waited for before, the standard library knows the status, or why there is none.
    let executed = wait_unreaped(child.id(), 0).is_err() || has_executed(child.id()) != Some(false);
    let status = child.wait().map_err(WaitError::Wait)?;
    if executed { Ok(status) } else { Err(WaitError::NeverExecuted(status)) }
}

/// Waits until a child has ended, and leaves it waitable; with WNOHANG only looks whether it has.
pub(super) fn wait_unreaped(pid: u32, options: libc::c_int) -> io::Result<bool> {
    let options = options | libc::WEXITED | libc::WNOWAIT | libc::__WALL;
    loop {
        // SAFETY: all zero is a value of this struct of numbers.
        let mut info: libc::siginfo_t = unsafe { core::mem::zeroed() };
        // SAFETY: the kernel writes exactly this struct, which lives until the call is over.
        let answer = unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, options) };
        let error = io::Error::last_os_error();
        match error.kind() {
            // SAFETY: the kernel has filled the struct as waitid(2) says, or left it zero.
            _ if answer == 0 => return Ok(unsafe { info.si_pid() } != 0),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}

/// Whether a process has executed a program since it was forked: `PF_FORKNOEXEC` of the ninth field of proc_pid_stat(5)
/// is gone. `None` if that cannot be read.
pub(super) fn has_executed(pid: u32) -> Option<bool> {
    const PF_FORKNOEXEC: u32 = 0x40;
    let text = std::fs::read_to_string(std::format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in brackets, which may hold anything.
    let flags: u32 = text.rsplit(')').next()?.split_whitespace().nth(6)?.parse().ok()?;
    Some(flags & PF_FORKNOEXEC == 0)
}

/// While this lives, the calling process ignores SIGINT and SIGQUIT from the terminal, as a shell does that waits for a
/// program: the program gets them as well, and decides what they mean. See system(3).
///
/// Make it after the program has been started, which would inherit it. Dispositions of signals belong to the whole
/// process; other threads should not change these two meanwhile.
///
/// ```
/// let ignored = callsieve::kernel::IgnoredInterrupts::new();
/// // Wait for the program here. Then interrupts mean what they meant before:
/// drop(ignored);
/// ```
#[derive(Debug)]
pub struct IgnoredInterrupts {
    _both: [Ignored; 2],
}

impl IgnoredInterrupts {
    /// Ignores them from now on.
    #[must_use]
    pub fn new() -> Self {
        Self { _both: [libc::SIGINT, libc::SIGQUIT].map(Ignored::new) }
    }
}

impl Default for IgnoredInterrupts {
    fn default() -> Self {
        Self::new()
    }
}

/// A signal that is ignored until this is dropped.
#[derive(Debug)]
struct Ignored {
    signal: libc::c_int,
    before: libc::sighandler_t,
}

impl Ignored {
    fn new(signal: libc::c_int) -> Self {
        // SAFETY: SIG_IGN is a valid disposition and runs no code.
        Self { signal, before: unsafe { libc::signal(signal, libc::SIG_IGN) } }
    }
}

impl Drop for Ignored {
    fn drop(&mut self) {
        if self.before != libc::SIG_ERR {
            // SAFETY: the disposition that was there before.
            unsafe { libc::signal(self.signal, self.before) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::{Action, Insn, opcode};
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn errors_of_the_child_arrive_as_they_were() {
        let program = Program::new(vec![Insn::stmt(opcode::RET_K, Action::Allow.to_raw())]).unwrap();
        for error in [
            InstallError::PermissionDenied,
            InstallError::NoNewPrivs { errno: 1 },
            InstallError::NoNewPrivs { errno: 0 },
            InstallError::TooLong { ebpf_len: program.ebpf_len() },
            InstallError::Busy,
            InstallError::Fault,
            InstallError::NoSeccomp,
            InstallError::Other { errno: 1 },
            InstallError::Other { errno: 133 },
        ] {
            assert_eq!(decode(encode(error), Install::new(), &program), Some(error));
        }
        for errno in [1, 13, 133] {
            assert_eq!(decode(errno, Install::new(), &program), None);
        }
    }

    #[test]
    fn this_process_has_executed() {
        assert_eq!(has_executed(std::process::id()), Some(true));
        assert_eq!(has_executed(u32::MAX), None);
    }

    #[test]
    fn waiting_restores_the_signals() {
        let mut child = Command::new("/bin/sh").args(["-c", "kill -TERM $$"]).spawn().unwrap();
        // Once more gives the same, as in the standard library.
        for _ in 0..2 {
            assert_eq!(wait(&mut child).unwrap().signal(), Some(libc::SIGTERM));
        }
        let before = Ignored::new(libc::SIGINT).before;
        assert_eq!(Ignored::new(libc::SIGINT).before, before);
    }
}
