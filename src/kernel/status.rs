//! Which filters a thread has.

use super::raw;
use thiserror::Error;

/// The seccomp mode of a thread.
///
/// See the example of [`status_of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// No seccomp.
    Disabled,
    /// read, write, exit and sigreturn only.
    Strict,
    /// Filters.
    Filter,
}

/// The seccomp state of a thread; made by [`status()`].
///
/// See the example of [`status`](status()).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Status {
    mode: Mode,
    filters: Option<u32>,
    no_new_privs: bool,
}

/// Why a state could not be read.
///
/// See the example of [`status`](status()).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StatusError {
    /// There is no such process or thread.
    #[error("there is no process or thread {pid} in /proc")]
    NoProcess {
        /// The id that was given.
        pid: u32,
    },
    /// The kernel refused.
    #[error("the seccomp state could not be read: error {errno}; a filter of this thread most likely denies it")]
    Refused {
        /// The error number.
        errno: i32,
    },
    /// The kernel has no seccomp (`CONFIG_SECCOMP`).
    #[error("the kernel tells no seccomp state: it lacks CONFIG_SECCOMP, or an emulator such as qemu-user runs this")]
    Unknown,
}

impl Status {
    /// The mode.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The number of filters; `None` if the kernel does not tell (before Linux 5.9, and without the feature `std`).
    pub const fn filters(&self) -> Option<u32> {
        self.filters
    }

    /// Whether `no_new_privs` is set.
    pub const fn no_new_privs(&self) -> bool {
        self.no_new_privs
    }
}

/// The state of the calling thread.
///
/// With the feature `std` this reads `/proc/thread-self/status`, which also counts the filters, and asks prctl(2) only
/// where /proc is missing. Without it prctl(2) is all there is. A filter that kills on the calls that this needs kills.
///
/// ```
/// let status = callsieve::kernel::status()?;
/// println!("{:?}, no_new_privs: {}", status.mode(), status.no_new_privs());
/// # Ok::<(), callsieve::kernel::StatusError>(())
/// ```
pub fn status() -> Result<Status, StatusError> {
    #[cfg(feature = "std")]
    if let Some(status) = std::fs::read_to_string("/proc/thread-self/status").ok().and_then(|text| parse(&text)) {
        return Ok(status);
    }
    ask()
}

/// The state of a process (of its main thread), or of the thread with this id, from `/proc/PID/status`.
///
/// ```
/// use callsieve::kernel::{Mode, status_of};
/// let init = status_of(1)?;
/// if init.mode() == Mode::Filter {
///     println!("process 1 is filtered");
/// }
/// # Ok::<(), callsieve::kernel::StatusError>(())
/// ```
#[cfg(feature = "std")]
pub fn status_of(pid: u32) -> Result<Status, StatusError> {
    parse(&text_of(pid)?).ok_or(StatusError::Unknown)
}

/// All of `/proc/PID/status`.
#[cfg(feature = "std")]
pub(super) fn text_of(pid: u32) -> Result<String, StatusError> {
    use std::io::ErrorKind;
    std::fs::read_to_string(std::format!("/proc/{pid}/status")).map_err(|error| match error.kind() {
        ErrorKind::NotFound => StatusError::NoProcess { pid },
        // The process ended while it was read.
        _ if error.raw_os_error() == Some(libc::ESRCH) => StatusError::NoProcess { pid },
        _ => StatusError::Refused { errno: error.raw_os_error().unwrap_or(libc::EIO) },
    })
}

/// The value of a line of it.
#[cfg(feature = "std")]
pub(super) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// By prctl(2). It cannot answer in strict mode: the call kills there.
fn ask() -> Result<Status, StatusError> {
    let mode = match raw::seccomp_mode() {
        Ok(mode) => mode_of(mode).ok_or(StatusError::Unknown)?,
        Err(libc::EINVAL) => return Err(StatusError::Unknown),
        Err(errno) => return Err(StatusError::Refused { errno }),
    };
    let no_new_privs = raw::no_new_privs().map_err(|errno| StatusError::Refused { errno })?;
    let filters = if mode == Mode::Filter { None } else { Some(0) };
    Ok(Status { mode, filters, no_new_privs })
}

/// The lines of proc_pid_status(5) that concern seccomp. `None` if there is no mode.
#[cfg(feature = "std")]
pub(super) fn parse(text: &str) -> Option<Status> {
    let number = |name: &str| field(text, name).and_then(|value| value.parse::<u32>().ok());
    Some(Status {
        mode: mode_of(number("Seccomp")? as usize)?,
        filters: number("Seccomp_filters"),
        no_new_privs: number("NoNewPrivs") == Some(1),
    })
}

const fn mode_of(number: usize) -> Option<Mode> {
    match number {
        0 => Some(Mode::Disabled),
        1 => Some(Mode::Strict),
        2 => Some(Mode::Filter),
        _ => None,
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc() {
        let text =
            "Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\nSpeculation_Store_Bypass:\tvulnerable\n";
        let status = parse(text).unwrap();
        assert_eq!((status.mode(), status.filters(), status.no_new_privs()), (Mode::Filter, Some(3), true));
        assert_eq!(parse("NoNewPrivs:\t0\nSeccomp:\t1\n").map(|s| (s.mode, s.filters)), Some((Mode::Strict, None)));
        assert_eq!(parse("Name:\tx\n"), None);
        assert_eq!(parse("Seccomp:\t7\n"), None);
    }

    #[test]
    fn no_such_process() {
        assert_eq!(status_of(0), Err(StatusError::NoProcess { pid: 0 }));
    }
}
