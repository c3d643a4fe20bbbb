//! Filters of other processes, read back through ptrace(2).
//!
//! The kernel keeps the instructions of every filter as they were installed (`CONFIG_CHECKPOINT_RESTORE`) and shows them
//! to a tracer with `CAP_SYS_ADMIN`: `PTRACE_SECCOMP_GET_FILTER` and `PTRACE_SECCOMP_GET_METADATA` in
//! `kernel/seccomp.c`. The thread that is read is stopped for some microseconds, as strace and debuggers do it.

mod error;
mod pending;
mod session;

pub use error::ReadBackError;
pub use pending::pending_call;

use super::raw::{Answer, ptrace};
use super::status::{self, Mode};
use crate::bpf::{Insn, Program};
use session::{Real, Tracer, in_session};
use std::time::Duration;

/// A filter of a thread; made by [`filters_of`].
///
/// See the example of [`filters_of`](crate::kernel::filters_of).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ReadBack {
    program: Program,
    logs: Option<bool>,
}

impl ReadBack {
    /// The instructions as they were installed, in the byte order of this machine.
    pub const fn program(&self) -> &Program {
        &self.program
    }

    /// The instructions.
    pub fn into_program(self) -> Program {
        self.program
    }

    /// Whether the filter was installed with `SECCOMP_FILTER_FLAG_LOG`; `None` if the kernel does not tell (before Linux
    /// 4.16). The other flags are not kept by the kernel.
    pub const fn logs(&self) -> Option<bool> {
        self.logs
    }
}

/// All filters of a process (of its main thread), or of the thread with this id, the oldest first. None if it has none;
/// that needs no privilege. Every filter is asked about every call, and the most restrictive answer counts.
///
/// The thread is attached to, stopped, read and let go, whatever happens; that needs the rights of ptrace(2) and
/// `CAP_SYS_ADMIN` in the initial user namespace, and this process must not be filtered itself. A thread that waits in
/// one of a few calls, such as epoll_wait(2), sees EINTR, as after a stop by SIGSTOP; see signal(7). While this runs, no
/// other thread of this process should wait for *any* child, since it would see the stop.
///
/// ```no_run
/// use callsieve::{check, bpf::Endian, kernel};
///
/// for filter in kernel::filters_of(1)? {
///     println!("{}", check::disassemble(filter.program(), Endian::NATIVE));
/// }
/// # Ok::<(), kernel::ReadBackError>(())
/// ```
pub fn filters_of(pid: u32) -> Result<Vec<ReadBack>, ReadBackError> {
    let facts = Facts::of(pid)?;
    match facts.mode {
        Mode::Disabled => return Ok(Vec::new()),
        Mode::Strict => return Err(ReadBackError::StrictMode { pid }),
        Mode::Filter => {}
    }
    if facts.process == std::process::id() {
        return Err(ReadBackError::OwnProcess);
    }
    in_session(pid, || read(&Real, pid))
}

/// What `/proc/PID/status` tells beforehand.
struct Facts {
    mode: Mode,
    /// The process to which the thread belongs.
    process: u32,
}

impl Facts {
    fn of(pid: u32) -> Result<Self, ReadBackError> {
        let text = status::text_of(pid)?;
        let ended = status::field(&text, "State").is_some_and(|state| state.starts_with(['Z', 'X']));
        if ended {
            return Err(ReadBackError::NoProcess { pid });
        }
        let mode = status::parse(&text).ok_or(status::StatusError::Unknown)?.mode();
        let process = status::field(&text, "Tgid").and_then(|tgid| tgid.parse().ok()).unwrap_or(pid);
        Ok(Self { mode, process })
    }
}

/// Attaches and reads everything.
fn read(tracer: &impl Tracer, pid: u32) -> Result<Vec<ReadBack>, ReadBackError> {
    let stopped = session::stop(tracer, pid)?;
    let mut filters = Vec::new();
    loop {
        let index = filters.len();
        let insns = match tracer.filter(pid, index) {
            Ok(insns) => insns,
            // Behind the newest one.
            Err(libc::ENOENT) => break,
            Err(errno) => return Err(refused(tracer, pid, errno)),
        };
        let program = Program::new(insns).map_err(|error| ReadBackError::Invalid { index, error })?;
        // The mode flag of GET_METADATA is younger than GET_FILTER; without it the answer is EIO or EINVAL.
        let logs = tracer.filter_flags(pid, index).ok().map(|flags| flags & ptrace::FLAG_LOG != 0);
        filters.push(ReadBack { program, logs });
    }
    drop(stopped);
    Ok(filters)
}

/// Why `PTRACE_SECCOMP_GET_FILTER` failed on a thread that the status says to have filters.
fn refused(tracer: &impl Tracer, pid: u32, errno: i32) -> ReadBackError {
    match errno {
        libc::ESRCH => ReadBackError::NoProcess { pid },
        libc::EACCES if tracer.is_filtered() => ReadBackError::TracerFiltered,
        libc::EACCES => ReadBackError::MissingCapability,
        libc::EINVAL => ReadBackError::NoCheckpointRestore { pid },
        // Kernels before 4.4 do not know the request.
        libc::EIO => ReadBackError::Refused { what: "PTRACE_SECCOMP_GET_FILTER (Linux 4.4)", errno },
        errno => ReadBackError::Refused { what: "PTRACE_SECCOMP_GET_FILTER", errno },
    }
}

impl Tracer for Real {
    fn seize(&self, pid: u32) -> Answer<()> {
        ptrace::seize(pid)
    }

    fn interrupt(&self, pid: u32) -> Answer<()> {
        ptrace::interrupt(pid)
    }

    fn stopped(&self, pid: u32) -> Answer<Option<i32>> {
        ptrace::stopped(pid)
    }

    fn detach(&self, pid: u32, signal: i32) -> Answer<()> {
        ptrace::detach(pid, signal)
    }

    fn filter(&self, pid: u32, index: usize) -> Answer<Vec<Insn>> {
        ptrace::filter(pid, index)
    }

    fn filter_flags(&self, pid: u32, index: usize) -> Answer<u64> {
        ptrace::filter_flags(pid, index)
    }

    fn call_arch(&self, pid: u32) -> Answer<u32> {
        ptrace::call_arch(pid)
    }

    fn is_filtered(&self) -> bool {
        status::status().is_ok_and(|status| status.mode() != Mode::Disabled)
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn status_field(&self, pid: u32, name: &str) -> Option<String> {
        let text = status::text_of(pid).ok()?;
        status::field(&text, name).map(Into::into)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
