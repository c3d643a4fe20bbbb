//! Killing the process of a call, as a filter would have.

use super::error::NotifyError;
use super::ioctl;
use super::notification::{Notification, Outcome, Response, Unanswered};
use core::time::Duration;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

/// How long a process may take to end by SIGSYS.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the process of a pidfd ends in time.
fn ends_soon(pidfd: BorrowedFd<'_>) -> bool {
    let begin = Instant::now();
    loop {
        match ioctl::poll([pidfd], Some(PATIENCE.saturating_sub(begin.elapsed()))) {
            Err(libc::EINTR) => {}
            answer => return matches!(answer, Ok([events]) if events != 0),
        }
    }
}

impl<'l> Notification<'l> {
    /// Sends a signal to the thread, on kernels before 6.9 to its process.
    pub fn signal(&self, signal: i32) -> Result<Outcome<()>, NotifyError> {
        match self.pidfd()? {
            Outcome::Done(pidfd) => self.signal_by(pidfd.as_fd(), signal),
            Outcome::Gone => Ok(Outcome::Gone),
        }
    }

    /// Kills the process, which does not come back from the call. As after a filter that kills, it ends by SIGSYS, with
    /// a core dump where those are made; if it ignores, blocks or handles SIGSYS, by SIGKILL, because a signal that is
    /// sent cannot do more. There is no killing of a single thread.
    pub fn kill(self) -> Result<(), Unanswered<'l>> {
        match self.kill_by_signal() {
            Ok(None) => {}
            Ok(Some(pidfd)) => {
                // SIGSYS does not end a wait that only SIGKILL ends (`wait_killable`), but it comes before the thread is
                // back in its program.
                let _ = self.respond(Response::Errno(1));
                // Unless another thread has just begun to handle it.
                if !ends_soon(pidfd.as_fd()) {
                    let _ = ioctl::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
                }
                return Ok(());
            }
            Err(error) => return Err(self.unanswered(error)),
        }
        // It has SIGKILL, or has gone: the answer reaches nobody.
        let _ = self.respond(Response::Errno(1));
        Ok(())
    }

    /// Sends SIGSYS, and gives the pidfd to see whether it helped; or SIGKILL, which needs no looking after.
    fn kill_by_signal(&self) -> Result<Option<std::os::fd::OwnedFd>, NotifyError> {
        let Outcome::Done(pidfd) = self.pidfd()? else { return Ok(None) };
        let gently = self.sigsys_is_fatal()?;
        let signal = if gently { libc::SIGSYS } else { libc::SIGKILL };
        let outcome = self.signal_by(pidfd.as_fd(), signal)?;
        Ok(if gently && !outcome.is_gone() { Some(pidfd) } else { None })
    }

    fn signal_by(&self, pidfd: BorrowedFd<'_>, signal: i32) -> Result<Outcome<()>, NotifyError> {
        match ioctl::pidfd_send_signal(pidfd, signal) {
            Ok(()) => Ok(Outcome::Done(())),
            Err(libc::ESRCH) => Ok(Outcome::Gone),
            Err(errno @ (libc::EPERM | libc::EACCES)) => self.unless_gone(NotifyError::NotPermitted { errno }),
            Err(errno) => self.unless_gone(NotifyError::Other { call: "pidfd_send_signal", errno }),
        }
    }

    /// Whether SIGSYS ends the thread: proc_pid_status(5).
    fn sigsys_is_fatal(&self) -> Result<bool, NotifyError> {
        let tid = self.visible_tid()?;
        let text = std::fs::read_to_string(std::format!("/proc/{tid}/status")).unwrap_or_default();
        let bit = 1_u64 << (libc::SIGSYS.cast_unsigned().saturating_sub(1) % 64);
        let set = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            value.and_then(|value| u64::from_str_radix(value.trim(), 16).ok()).is_none_or(|set| set & bit != 0)
        };
        // The first process of a pid namespace only dies of SIGKILL.
        let numbers = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let first = numbers.and_then(|numbers| numbers.split_whitespace().next_back()) == Some("1");
        Ok(!first && !["SigBlk:", "SigIgn:", "SigCgt:"].into_iter().any(set))
    }
}
