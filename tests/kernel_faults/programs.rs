//! Programs that are started, and processes that are looked into.

use super::errnos::{ADD_FD, ID_VALID, SEND};
use super::install::{NO_PROCESS, SIZE};
use super::judge::{Gives, Operation, Rule, of, on};
use super::said;
use super::stage::{Said, Stage};
use crate::common::always;
use crate::common::supervision::{allow_all, filtered_target, notify_call};
use callsieve::bpf::Action;
use callsieve::kernel::{self, CommandExt as _, ExecState, Install, Stream, Supervised};
use callsieve::{Compiler, Profile};
use libc::{
    SYS_clone3, SYS_execve, SYS_getdents64, SYS_ioctl, SYS_openat, SYS_prctl, SYS_ptrace, SYS_read, SYS_rt_sigaction,
    SYS_waitid,
};
use std::process::Command;
use std::time::Duration;

/// A file without a format is given to the shell, as execvp(3) has it.
const SCRIPT: &[Rule] = &[on(SYS_execve, libc::ENOEXEC, Gives::Success("ExitStatus("))];
/// Whether a program has been executed cannot be read: then it counts as one that has.
const EXECUTED: &[Rule] = &[on(SYS_openat, 0, Gives::Same), on(SYS_read, 0, Gives::Same)];
pub const SUPERVISED: &[Rule] = &[
    // Descriptors are looked for one by one then.
    on(SYS_openat, 0, Gives::Same),
    on(SYS_getdents64, 0, Gives::Same),
    // Signals that cannot be changed stay.
    on(SYS_rt_sigaction, 0, Gives::Same),
    // What the listener can do.
    of(SYS_ioctl, ADD_FD, 0, Gives::Same),
    of(SYS_ioctl, SEND, 0, Gives::Same),
];
const LOST: &[Rule] = &[
    of(SYS_ioctl, ID_VALID, libc::EBADF, Gives::Error("Lost")),
    of(SYS_ioctl, ID_VALID, libc::ENOTTY, Gives::Error("Lost")),
];

const SEIZE: u64 = 0x4206;
const GET_FILTER: u64 = 0x420c;
const GET_METADATA: u64 = 0x420d;
const DETACH: u64 = 17;
const TRACED: &[Rule] = &[
    // pthread_create(3) has no other error.
    on(SYS_clone3, 0, Gives::Number(libc::EAGAIN)),
    // The name of the thread.
    on(SYS_prctl, 0, Gives::Same),
    of(SYS_ptrace, SEIZE, libc::EPERM, Gives::Error("AttachRefused")),
    on(SYS_ptrace, libc::ESRCH, Gives::Error("NoProcess")),
    on(SYS_waitid, libc::ECHILD, Gives::Error("NoProcess")),
    // The end of the thread detaches.
    of(SYS_ptrace, DETACH, 0, Gives::Same),
];

pub const STARTED: &[Operation] = &[
    Operation {
        name: "spawn",
        run: |stage| {
            let mut command = Command::new("/bin/true");
            command.stderr(std::process::Stdio::null());
            let program = allow_all();
            match stage.during(|| kernel::spawn(command, &program, Install::new())) {
                Ok(mut child) => said(child.wait()),
                Err(error) => said(Err::<(), _>(error)),
            }
        },
        rules: &[SCRIPT],
        kept: &[],
    },
    Operation {
        name: "a command with a filter",
        run: |stage| {
            let policy = Profile::new(Action::Allow).resolve(&kernel::host_target().unwrap()).unwrap();
            let filter = Compiler::new().compile(&policy).unwrap();
            let mut command = Command::new("/bin/true");
            command.seccomp(&filter).stderr(std::process::Stdio::null());
            match stage.during(|| command.spawn()) {
                Ok(mut child) => said(child.wait()),
                Err(error) => said(Err::<(), _>(error)),
            }
        },
        rules: &[SCRIPT],
        kept: &[],
    },
    Operation {
        name: "wait for a program",
        run: |stage| {
            let mut child = kernel::spawn(Command::new("/bin/true"), &allow_all(), Install::new()).unwrap();
            let result = stage.during(|| kernel::wait(&mut child));
            let _ = child.wait();
            said(result)
        },
        // A signal whose disposition cannot be set back stays ignored.
        rules: &[EXECUTED, SIZE, &[on(SYS_waitid, 0, Gives::Same), on(SYS_rt_sigaction, 0, Gives::Stays("SigIgn"))]],
        kept: &[],
    },
    Operation {
        name: "spawn under supervision",
        run: |stage| supervised(stage, Supervised::new("true").stderr(Stream::Null)),
        rules: &[SCRIPT, SIZE, SUPERVISED, LOST],
        kept: &[],
    },
    Operation {
        name: "spawn under supervision, with pipes, in a folder",
        run: |stage| {
            let program = Supervised::new("/bin/cat").current_dir("/").stdin(Stream::Piped).stdout(Stream::Piped);
            supervised(stage, program.stderr(Stream::Piped))
        },
        rules: &[SCRIPT, SUPERVISED, LOST],
        kept: &[],
    },
    Operation {
        name: "spawn under supervision, every call asked",
        run: |stage| {
            let program = Supervised::new("true").stderr(Stream::Null);
            let every_call = always(Action::Notify);
            match stage.during(|| program.spawn(&every_call)) {
                Ok((mut child, _listener)) => {
                    // It waits in its execve, which nobody answers.
                    let _ = (child.kill(), child.wait());
                    Ok("started".into())
                }
                Err(error) => said(Err::<(), _>(error)),
            }
        },
        rules: &[SIZE, SUPERVISED, LOST, &[on(SYS_execve, 0, Gives::Same)]],
        kept: &[],
    },
    Operation {
        name: "wait for a supervised program",
        run: |stage| {
            let (mut child, listener) = Supervised::new("true").spawn(&notify_call()).unwrap();
            drop(listener);
            let result = stage.during(|| child.wait());
            let _ = (child.kill(), child.wait());
            said(result)
        },
        rules: &[EXECUTED, SIZE],
        kept: &[],
    },
    Operation {
        name: "whether a supervised program has ended",
        run: |stage| {
            let (mut child, listener) = Supervised::new("true").spawn(&notify_call()).unwrap();
            drop(listener);
            let ended = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z");
            while !ended(child.id()) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let result = stage.during(|| child.try_wait());
            let _ = (child.kill(), child.wait());
            said(result)
        },
        rules: &[EXECUTED, SIZE],
        kept: &[],
    },
    Operation {
        name: "kill a supervised program",
        run: |stage| {
            let (mut child, _listener) = Supervised::new("cat").stdin(Stream::Piped).spawn(&notify_call()).unwrap();
            let result = stage.during(|| child.kill());
            let _ = (child.kill(), child.wait());
            said(result)
        },
        rules: &[],
        kept: &[],
    },
    Operation {
        name: "how far a supervised program is",
        run: |stage| {
            let (mut child, _listener) = Supervised::new("cat").stdin(Stream::Piped).spawn(&notify_call()).unwrap();
            while child.exec_state() != ExecState::Executed {
                std::thread::yield_now();
            }
            let (mut other, _listener) = Supervised::new("cat").stdin(Stream::Piped).spawn(&notify_call()).unwrap();
            std::thread::sleep(Duration::from_millis(30));
            let state = stage.during(|| other.exec_state());
            let _ = (child.kill(), child.wait(), other.kill(), other.wait());
            Ok(format!("{state:?}"))
        },
        rules: &[SIZE, &[on(SYS_openat, 0, Gives::Success("Pending")), on(SYS_read, 0, Gives::Success("Pending"))]],
        kept: &[],
    },
];

pub const LOOKED_INTO: &[Operation] = &[
    Operation {
        name: "the filters of a process",
        run: |stage| look(|pid| stage.during(|| kernel::filters_of(pid)).map(|filters| filters.len())),
        rules: &[
            TRACED,
            SIZE,
            NO_PROCESS,
            &[
                of(SYS_ptrace, GET_FILTER, libc::EACCES, Gives::Error("MissingCapability")),
                of(SYS_ptrace, GET_FILTER, libc::EINVAL, Gives::Error("NoCheckpointRestore")),
                // The end of the list.
                of(SYS_ptrace, GET_FILTER, libc::ENOENT, Gives::Success("0")),
                // Not every kernel tells the flags.
                of(SYS_ptrace, GET_METADATA, 0, Gives::Same),
            ],
        ],
        kept: &[],
    },
    Operation {
        name: "the call that a process waits in",
        run: |stage| look(|pid| stage.during(|| kernel::pending_call(pid)).map(|call| call.map(|call| call.nr))),
        rules: &[
            TRACED,
            SIZE,
            NO_PROCESS,
            &[
                on(SYS_openat, libc::EACCES, Gives::Error("AttachRefused")),
                on(SYS_openat, libc::EPERM, Gives::Error("AttachRefused")),
            ],
        ],
        kept: &[],
    },
];

/// Starts it and lets it run to its end, if it was started.
fn supervised(stage: &Stage, program: Supervised) -> Said {
    let filter = notify_call();
    match stage.during(|| program.spawn(&filter)) {
        Ok((mut child, listener)) => {
            drop(listener);
            said(child.wait())
        }
        Err(error) => said(Err::<(), _>(error)),
    }
}

/// Looks into a process that sleeps, which must not stand still or be traced afterwards.
fn look<T: std::fmt::Debug>(look: impl FnOnce(u32) -> Result<T, kernel::ReadBackError>) -> Said {
    let (listener, target) = filtered_target(|| {
        std::thread::sleep(Duration::from_secs(100));
        0
    });
    drop(listener);
    target.until_it_waits();
    let result = look(target.pid as u32);
    let status = std::fs::read_to_string(format!("/proc/{}/status", target.pid)).unwrap();
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap().to_string();
    let (state, tracer) = (line("State:"), line("TracerPid:"));
    unsafe { libc::kill(target.pid, libc::SIGKILL) };
    let _ = target.wait();
    // What has just been let go may be on its way back into its sleep.
    if state.contains("stop") || tracer != "TracerPid:\t0" {
        return Ok(format!("{state}, {tracer} after {result:?}"));
    }
    said(result)
}
