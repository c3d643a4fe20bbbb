//! Starting a program under a filter.
#![allow(unsafe_code)]
//! Safety: what runs between fork and exec is [`Install::install`] alone, which is async-signal-safe and allocates
//! nothing. The dispositions of signals are changed to SIG_IGN and back, never to code.

use super::error::InstallError;
use super::install::Install;
use crate::bpf::Program;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use thiserror::Error;

/// Why a program was not started under a filter. Nothing runs then, and the calling process is unchanged.
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
}

/// Starts a program under a filter: fork, install in the child, exec. The calling process is not filtered.
///
/// The filter sees everything that the child does after the installing, execve(2) first. If that fails, the child
/// reports it through a pipe; a filter that denies write(2) as well then leaves only a child that ends by SIGABRT or by
/// the filter, and no error here. So find the program first, and see that [`Policy::decide`] allows execve.
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

/// The child can hand over one number. Error numbers are positive, so ours are negative: all bits turned round, which
/// also makes room for 0.
const NO_NEW_PRIVS: i32 = 1 << 16;

fn encode(error: InstallError) -> i32 {
    let errno = error.raw_os_error().unwrap_or(0);
    match error {
        InstallError::NoNewPrivs { .. } => !(NO_NEW_PRIVS | errno),
        _ => !errno,
    }
}

fn decode(code: i32, install: Install, program: &Program) -> Option<InstallError> {
    Some(match !code {
        ..0 => return None,
        // The child has one thread, so that can only be the other error without a number.
        0 => InstallError::FlagsNeedSeccomp { flags: install.flags() },
        code @ NO_NEW_PRIVS.. => InstallError::NoNewPrivs { errno: code & !NO_NEW_PRIVS },
        errno => install.explain(errno, program),
    })
}

/// Waits for a child as a shell does: SIGINT and SIGQUIT from the terminal reach the child as well, and it decides what
/// they mean, so until it ends this process ignores them. See system(3).
///
/// Dispositions of signals belong to the whole process; other threads should not change these two meanwhile.
pub fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let _interrupt = Ignored::new(libc::SIGINT);
    let _quit = Ignored::new(libc::SIGQUIT);
    child.wait()
}

/// A signal that is ignored until this is dropped.
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
    fn waiting_restores_the_signals() {
        let mut child = Command::new("/bin/sh").args(["-c", "kill -TERM $$"]).spawn().unwrap();
        assert_eq!(wait(&mut child).unwrap().signal(), Some(libc::SIGTERM));
        let before = Ignored::new(libc::SIGINT).before;
        assert_eq!(Ignored::new(libc::SIGINT).before, before);
    }
}
