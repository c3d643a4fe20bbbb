//! Attaching to a thread, and letting it go in every case.
//!
//! Everything that is attached to belongs to the thread that attached, and the kernel detaches it when that thread ends
//! (`exit_ptrace` in `kernel/ptrace.c`). So each session has a thread of its own: whatever goes wrong in it, even a thread
//! that cannot be stopped and therefore not be detached by a request, is let go in the end.

use super::error::ReadBackError;
use crate::bpf::Insn;
use crate::kernel::raw::Answer;
use std::time::{Duration, Instant};

/// The kernel, for tests also another one.
pub(super) trait Tracer {
    fn seize(&self, pid: u32) -> Answer<()>;
    fn interrupt(&self, pid: u32) -> Answer<()>;
    /// The status of a thread that has stopped (`signal | event << 8`), `None` while it runs.
    fn stopped(&self, pid: u32) -> Answer<Option<i32>>;
    fn detach(&self, pid: u32, signal: i32) -> Answer<()>;
    fn filter(&self, pid: u32, index: usize) -> Answer<Vec<Insn>>;
    fn filter_flags(&self, pid: u32, index: usize) -> Answer<u64>;
    /// The token of the ABI of the call that a stopped thread is in.
    fn call_arch(&self, pid: u32) -> Answer<u32>;
    /// Whether this process has a filter.
    fn is_filtered(&self) -> bool;
    /// How long a thread may take to stop.
    fn patience(&self) -> Duration;
    /// A line of `/proc/PID/status`.
    fn status_field(&self, pid: u32, name: &str) -> Option<String>;
}

/// The running kernel.
pub(super) struct Real;

/// Runs a session in a thread of its own.
pub(super) fn in_session<T: Send>(
    pid: u32,
    session: impl FnOnce() -> Result<T, ReadBackError> + Send,
) -> Result<T, ReadBackError> {
    let failed = |errno| ReadBackError::Refused { what: "starting a thread to trace with", errno };
    if i32::try_from(pid).is_err() {
        return Err(ReadBackError::NoProcess { pid });
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("callsieve-readback".into())
            .spawn_scoped(scope, session)
            .map_err(|error| failed(error.raw_os_error().unwrap_or(libc::EAGAIN)))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A thread that stands still until this is dropped.
pub(super) struct Stopped<'a, T: Tracer> {
    tracer: &'a T,
    pid: u32,
    /// The signal that stopped it by chance, which it shall have afterwards.
    signal: i32,
}

impl<T: Tracer> Drop for Stopped<'_, T> {
    fn drop(&mut self) {
        // It may have been killed meanwhile. What cannot be detached now is when this thread ends.
        let _ = self.tracer.detach(self.pid, self.signal);
    }
}

/// Attaches to a thread and stops it.
pub(super) fn stop<T: Tracer>(tracer: &T, pid: u32) -> Result<Stopped<'_, T>, ReadBackError> {
    tracer.seize(pid).map_err(|errno| match errno {
        libc::EPERM => attach_refused(tracer, pid),
        errno => failed(pid, "PTRACE_SEIZE", errno),
    })?;
    // From here on it is detached, at the latest by the end of this thread.
    let mut stopped = Stopped { tracer, pid, signal: 0 };
    tracer.interrupt(pid).map_err(|errno| failed(pid, "PTRACE_INTERRUPT", errno))?;
    let begin = Instant::now();
    let mut pause = Duration::from_micros(20);
    loop {
        match tracer.stopped(pid) {
            Ok(Some(status)) => {
                // A stop with an event is ours, or that of SIGSTOP, which the kernel keeps up by itself.
                stopped.signal = if status >> 8 == 0 { status } else { 0 };
                return Ok(stopped);
            }
            Ok(None) if begin.elapsed() > tracer.patience() => {
                return Err(ReadBackError::NotStopped { pid, seconds: tracer.patience().as_secs() });
            }
            Ok(None) => std::thread::sleep(pause),
            Err(libc::ECHILD) => return Err(ReadBackError::NoProcess { pid }),
            Err(errno) => return Err(failed(pid, "waitid(2)", errno)),
        }
        pause = pause.saturating_mul(2).min(Duration::from_millis(20));
    }
}

/// An unexpected error; the thread may have ended at any time.
pub(super) fn failed(pid: u32, what: &'static str, errno: i32) -> ReadBackError {
    match errno {
        libc::ESRCH => ReadBackError::NoProcess { pid },
        errno => ReadBackError::Refused { what, errno },
    }
}

fn attach_refused(tracer: &impl Tracer, pid: u32) -> ReadBackError {
    let field = |name| tracer.status_field(pid, name);
    if field("State").is_some_and(|state| state.starts_with(['Z', 'X'])) {
        return ReadBackError::NoProcess { pid };
    }
    let traced_by = field("TracerPid").and_then(|tracer| tracer.parse().ok()).filter(|&tracer| tracer != 0);
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
    let yama = yama.and_then(|text| text.trim().parse().ok());
    ReadBackError::AttachRefused { pid, traced_by, yama }
}
