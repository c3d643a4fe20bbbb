//! Programs that are recorded.

use super::errnos::{ID_VALID, RECV, SEND, SET_FLAGS};
use super::install::SIZE;
use super::judge::{Gives, Operation, Rule, of, on};
use super::programs::SUPERVISED;
use super::said;
use super::stage::{Said, Stage};
use callsieve::kernel::{Stream, Supervised};
use callsieve::record::{RecordError, Recorder, Recording};
use libc::{SYS_execve, SYS_ioctl, SYS_poll, SYS_process_vm_readv, SYS_read, SYS_seccomp};

/// What a recording does without: names of threads, whether a program is one of set-user-id, and what makes it faster.
const DETAILS: &[Rule] = &[
    on(SYS_read, 0, Gives::Same),
    on(SYS_process_vm_readv, 0, Gives::Same),
    of(SYS_ioctl, ID_VALID, 0, Gives::Same),
    of(SYS_ioctl, SET_FLAGS, 0, Gives::Same),
    // Whether a flag is known.
    on(SYS_seccomp, 0, Gives::Same),
    // Whether there is anything to wait for.
    on(SYS_poll, 0, Gives::Same),
];

const ANSWERS: &[Rule] = &[
    of(SYS_ioctl, RECV, libc::ENOENT, Gives::Same),
    // A signal interrupted the call.
    of(SYS_ioctl, SEND, libc::ENOENT, Gives::Success("(ExitStatus(unix_wait_status(0)), ")),
    of(SYS_ioctl, SEND, libc::EINPROGRESS, Gives::Error("Notify(AnsweredElsewhere)")),
    of(SYS_ioctl, SEND, libc::EINVAL, Gives::Error("Unsupported { feature: Continue }")),
    of(SYS_ioctl, ID_VALID, libc::EBADF, Gives::Error("Spawn(Lost)")),
    of(SYS_ioctl, ID_VALID, libc::ENOTTY, Gives::Error("Spawn(Lost)")),
    // The shell runs it.
    on(SYS_execve, libc::ENOEXEC, Gives::Success("(ExitStatus(")),
];

pub const RECORDED: &[Operation] =
    &[Operation { name: "record a program", run: record, rules: &[SIZE, SUPERVISED, DETAILS, ANSWERS], kept: &[] }];

fn record(stage: &Stage) -> Said {
    let mut recording = Recording::new();
    let result = stage.during(|| {
        let program = Supervised::new("/bin/true").stderr(Stream::Null);
        Recorder::new().record(program, &mut recording)
    });
    if matches!(result, Err(RecordError::Wait(_))) {
        // Nobody can wait for it any more.
        unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
    }
    said(result.map(|run| (run.status(), run.asked(), run.counted(), recording.total())))
}
