//! A supervised program that runs.
#![allow(unsafe_code)]
//! Safety: waiting and killing are calls with plain numbers and pointers to local structs. The number belongs to the
//! child until it has been waited for, which happens here only.

use super::super::command::{WaitError, has_executed, wait_unreaped};
use super::Pipes;
use super::state::Shared;
use core::sync::atomic::Ordering::Acquire;
use libc::pid_t;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How far a supervised process has come.
///
/// ```
/// use callsieve::kernel::{Child, ExecState};
///
/// fn tell(child: &mut Child) {
///     if let ExecState::Failed { errno } = child.exec_state() {
///         eprintln!("the program could not be executed: error {errno}");
///     }
/// }
/// # let _ = tell;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecState {
    /// It is before or in its execve(2), or was killed there.
    Pending,
    /// execve(2) failed with this error number, and the process has ended or is about to.
    Failed {
        /// The error number.
        errno: i32,
    },
    /// It has become the program.
    Executed,
}

/// A process that [`Supervised::spawn`](super::Supervised::spawn) has started.
///
/// As with [`std::process::Child`], dropping it neither ends nor waits for the process. A process that ends is to be
/// waited for here; before its execve it sends no SIGCHLD and is hidden from waits without `__WALL`.
///
/// See the example of [`Supervised`](super::Supervised).
#[derive(Debug)]
pub struct Child {
    /// Writes to its standard input, if that is [`Stream::Piped`](super::Stream::Piped). Closed by [`wait`](Self::wait).
    pub stdin: Option<io::PipeWriter>,
    /// Reads its standard output.
    pub stdout: Option<io::PipeReader>,
    /// Reads its standard error.
    pub stderr: Option<io::PipeReader>,
    pid: pid_t,
    state: Shared,
    executed: bool,
    status: Option<ExitStatus>,
}

impl Child {
    pub(super) fn new(pid: pid_t, state: Shared, pipes: Pipes) -> Self {
        let Pipes { stdin, stdout, stderr } = pipes;
        Self { stdin, stdout, stderr, pid, state, executed: false, status: None }
    }

    /// The process id.
    pub const fn id(&self) -> u32 {
        self.pid.cast_unsigned()
    }

    /// How far it has come. [`ExecState::Failed`] is told without a call by the child, so under any filter.
    pub fn exec_state(&mut self) -> ExecState {
        let errno = self.state.exec_errno.load(Acquire);
        if errno != 0 {
            return ExecState::Failed { errno };
        }
        // /proc can only be asked before it has been waited for.
        self.executed |= self.status.is_none() && has_executed(self.id()) == Some(true);
        if self.executed { ExecState::Executed } else { ExecState::Pending }
    }

    /// Waits for its end. Closes its standard input first, if that is a pipe.
    ///
    /// Answer its calls meanwhile, or it may never end.
    ///
    /// # Errors
    /// [`WaitError::ExecFailed`] and [`WaitError::NeverExecuted`] if it never became the program.
    pub fn wait(&mut self) -> Result<ExitStatus, WaitError> {
        self.stdin = None;
        match self.reap(0)? {
            Some(status) => self.judge(status),
            None => Err(WaitError::Wait(io::Error::from_raw_os_error(libc::ECHILD))),
        }
    }

    /// Its status if it has ended.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, WaitError> {
        self.reap(libc::WNOHANG)?.map(|status| self.judge(status)).transpose()
    }

    /// Kills it (SIGKILL). No error if it has ended.
    pub fn kill(&mut self) -> io::Result<()> {
        // SAFETY: plain numbers; the process has not been waited for, so the number is its own.
        if self.status.is_none() && unsafe { libc::kill(self.pid, libc::SIGKILL) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Its status when it has ended; with WNOHANG perhaps none.
    fn reap(&mut self, options: libc::c_int) -> Result<Option<ExitStatus>, WaitError> {
        if self.status.is_some() || !wait_unreaped(self.id(), options).map_err(WaitError::Wait)? {
            return Ok(self.status);
        }
        // From here on it stays as it is until it has been waited for. Without /proc it counts as executed.
        self.executed |= has_executed(self.id()) != Some(false);
        let mut status = 0;
        // SAFETY: the kernel writes the status.
        while unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) } != self.pid {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(WaitError::Wait(error));
            }
        }
        self.status = Some(ExitStatus::from_raw(status));
        Ok(self.status)
    }

    fn judge(&self, status: ExitStatus) -> Result<ExitStatus, WaitError> {
        match (self.state.exec_errno.load(Acquire), self.executed) {
            (0, true) => Ok(status),
            (0, false) => Err(WaitError::NeverExecuted(status)),
            (errno, _) => Err(WaitError::ExecFailed(io::Error::from_raw_os_error(errno))),
        }
    }
}
