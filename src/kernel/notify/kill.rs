//! Killing the process of a call, as a filter would have.

use super::error::NotifyError;
use super::ioctl;
use super::notification::{Notification, Outcome, Unanswered};
use core::time::Duration;
use std::os::fd::AsFd as _;
use std::thread::sleep;

impl<'l> Notification<'l> {
    /// Sends a signal to the thread, on kernels before 6.9 to its process.
    pub fn signal(&self, signal: i32) -> Result<Outcome<()>, NotifyError> {
        let Outcome::Done(pidfd) = self.pidfd()? else { return Ok(Outcome::Gone) };
        match ioctl::pidfd_send_signal(pidfd.as_fd(), signal) {
            Ok(()) => Ok(Outcome::Done(())),
            Err(libc::ESRCH) => Ok(Outcome::Gone),
            Err(errno @ (libc::EPERM | libc::EACCES)) => self.unless_gone(NotifyError::NotPermitted { errno }),
            Err(errno) => self.unless_gone(NotifyError::Other { call: "pidfd_send_signal", errno }),
        }
    }

    /// Kills the process, and returns when the call no longer waits. As after a filter that kills, the process ends by
    /// SIGSYS, with a core dump where those are made; if it ignores, blocks or handles SIGSYS, by SIGKILL, because a
    /// signal that is sent cannot do more. There is no killing of a single thread.
    pub fn kill(self) -> Result<(), Unanswered<'l>> {
        match self.kill_by_signal() {
            Ok(()) => {
                // Nothing is left to be answered.
                let _ = self.respond(super::Response::Errno(1));
                Ok(())
            }
            Err(error) => Err(self.unanswered(error)),
        }
    }

    fn kill_by_signal(&self) -> Result<(), NotifyError> {
        if self.sigsys_is_fatal()? {
            if self.signal(libc::SIGSYS)?.is_gone() {
                return Ok(());
            }
            // It could change its mind in between.
            for _ in 0..100 {
                if !self.is_waiting()? {
                    return Ok(());
                }
                sleep(Duration::from_millis(1));
            }
        }
        if self.signal(libc::SIGKILL)?.is_gone() {
            return Ok(());
        }
        while self.is_waiting()? {
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Whether the thread does nothing about SIGSYS: proc_pid_status(5).
    fn sigsys_is_fatal(&self) -> Result<bool, NotifyError> {
        let tid = self.visible_tid()?;
        let text = std::fs::read_to_string(std::format!("/proc/{tid}/status")).unwrap_or_default();
        let bit = 1_u64 << (libc::SIGSYS.cast_unsigned().saturating_sub(1) % 64);
        let set = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            value.and_then(|value| u64::from_str_radix(value.trim(), 16).ok()).is_none_or(|set| set & bit != 0)
        };
        Ok(!["SigBlk:", "SigIgn:", "SigCgt:"].into_iter().any(set))
    }
}
