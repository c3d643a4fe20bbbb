//! Why a process could not be read.

use crate::bpf::VerifyError;
use crate::kernel::StatusError;
use thiserror::Error;

/// Why the filters or the pending call of a process could not be read. The process was let go.
///
/// See the example of [`filters_of`](crate::kernel::filters_of).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadBackError {
    /// There is no such process or thread, or it ended meanwhile.
    #[error("there is no process or thread {pid}, or it has ended")]
    NoProcess {
        /// The id that was given.
        pid: u32,
    },
    /// A thread of this very process was given: a process cannot trace itself.
    #[error(
        "this process cannot read its own filters: ptrace(2) takes no thread of the own process; read from another"
    )]
    OwnProcess,
    /// EPERM: this process may not trace that one.
    #[error("process {pid} cannot be traced (EPERM): {}", attach_hint(*traced_by, *yama))]
    AttachRefused {
        /// The id that was given.
        pid: u32,
        /// The process that traces it already; there can be only one.
        traced_by: Option<u32>,
        /// The value of `/proc/sys/kernel/yama/ptrace_scope`; `None` if there is no Yama.
        yama: Option<u8>,
    },
    /// EACCES: this process lacks `CAP_SYS_ADMIN` in the initial user namespace.
    #[error(
        "reading filters needs CAP_SYS_ADMIN in the initial user namespace (EACCES): run as root, and outside of \
         containers"
    )]
    MissingCapability,
    /// EACCES: this process is filtered itself.
    #[error(
        "this process has a seccomp filter itself, and the kernel shows no filters to such (EACCES): run it outside of \
         the container or sandbox"
    )]
    TracerFiltered,
    /// The thread is in strict mode: it has no filter, only read, write, exit and sigreturn are allowed.
    #[error(
        "process {pid} is in strict mode: it has no filter, and may only read, write, exit and return from signals"
    )]
    StrictMode {
        /// The id that was given.
        pid: u32,
    },
    /// EINVAL although `/proc/PID/status` shows `Seccomp: 2`: the kernel does not keep the instructions.
    #[error(
        "process {pid} has filters, but this kernel does not show them (EINVAL): it lacks CONFIG_CHECKPOINT_RESTORE"
    )]
    NoCheckpointRestore {
        /// The id that was given.
        pid: u32,
    },
    /// The thread did not stop in time: it waits for a device or a network file system (state D in ps).
    #[error("process {pid} did not stop within {seconds} s: it waits uninterruptibly (state D); try again later")]
    NotStopped {
        /// The id that was given.
        pid: u32,
        /// How long was waited.
        seconds: u64,
    },
    /// A filter has instructions that are not known here: the kernel is younger than this crate.
    #[error("filter {index} of the process: {error}; this kernel accepts more than callsieve knows")]
    Invalid {
        /// Which filter, 0 is the oldest.
        index: usize,
        /// What is not known.
        #[source]
        error: VerifyError,
    },
    /// The kernel refused something else.
    #[error("{what} failed with error {errno}")]
    Refused {
        /// The request.
        what: &'static str,
        /// The error number.
        errno: i32,
    },
    /// The state of the process could not be read.
    #[error(transparent)]
    Status(StatusError),
}

impl From<StatusError> for ReadBackError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::NoProcess { pid } => Self::NoProcess { pid },
            error => Self::Status(error),
        }
    }
}

/// What is in the way, and what helps.
fn attach_hint(traced_by: Option<u32>, yama: Option<u8>) -> String {
    match (traced_by, yama) {
        (Some(tracer), _) => format!("process {tracer} traces it already, and there can be only one tracer"),
        (None, Some(3)) => {
            "the setting kernel.yama.ptrace_scope is 3, which forbids tracing until the next boot".into()
        }
        (None, Some(scope @ 1..)) => format!(
            "CAP_SYS_PTRACE is needed (kernel.yama.ptrace_scope is {scope}), and CAP_SYS_ADMIN to read filters; run as root"
        ),
        _ => "CAP_SYS_PTRACE is needed, and CAP_SYS_ADMIN to read filters; run as root, outside of containers".into(),
    }
}
