//! A supervisor and a call that waits for it.

use super::errnos::{ADD_FD, ID_VALID, RECV, SEND, SET_FLAGS};
use super::install::{FEATURES, SIZE};
use super::judge::{Gives, Operation, Rule, of, on};
use super::said;
use super::stage::Said;
use crate::common::supervision::{Target, ask, filtered_target};
use callsieve::kernel::{AddFd, Listener, Notification, NotifyFeature, Received, Response};
use libc::{
    SYS_ioctl, SYS_openat, SYS_pidfd_getfd, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_poll, SYS_process_vm_readv,
    SYS_process_vm_writev, SYS_read,
};
use std::os::fd::OwnedFd;
use std::time::Duration;

macro_rules! operation {
    ($name:literal, $rules:expr, $run:expr) => {
        Operation { name: $name, run: $run, rules: $rules, kept: &[] }
    };
}

const NOTHING: Gives = Gives::Success("\"nothing\"");
const GONE: Gives = Gives::Success("Gone");
const ELSEWHERE: Gives = Gives::Error("AnsweredElsewhere");

const DROPPED: &[Rule] = &[
    of(SYS_ioctl, SEND, 0, Gives::Error("the target waits for ever")),
    // It had been answered.
    of(SYS_ioctl, SEND, libc::ENOENT, Gives::Same),
];
/// The second look, right before a notification is taken, is done again.
const RECEIVED: &[Rule] = &[on(SYS_poll, 0, Gives::Same), of(SYS_ioctl, RECV, libc::ENOENT, Gives::Same)];
const ANSWERED: &[Rule] = &[of(SYS_ioctl, SEND, libc::ENOENT, GONE), of(SYS_ioctl, SEND, libc::EINPROGRESS, ELSEWHERE)];
const GIVEN: &[Rule] = &[
    of(SYS_ioctl, ADD_FD, libc::ENOENT, GONE),
    of(SYS_ioctl, ADD_FD, libc::ESRCH, GONE),
    of(SYS_ioctl, ADD_FD, libc::EBUSY, ELSEWHERE),
    of(SYS_ioctl, ADD_FD, libc::EINPROGRESS, ELSEWHERE),
];
/// Operations that say only whether it has gone.
const IS_GONE: &[Rule] = &[of(SYS_ioctl, ID_VALID, libc::ENOENT, Gives::Success("true"))];
const SAYS_GONE: &[Rule] = &[of(SYS_ioctl, ID_VALID, libc::ENOENT, GONE)];
const READ: &[Rule] = &[
    on(SYS_process_vm_readv, libc::EFAULT, Gives::Error("Fault")),
    on(SYS_process_vm_readv, libc::ESRCH, Gives::Error("Notify(NotVisible)")),
];
const OPENED: &[Rule] = &[on(SYS_openat, libc::ENOENT, Gives::Error("NotVisible"))];
/// Before Linux 6.9 and 5.3.
const PIDFD: &[Rule] =
    &[on(SYS_pidfd_open, libc::EINVAL, Gives::Same), on(SYS_pidfd_open, libc::ENOSYS, Gives::Error("Unsupported"))];

pub const LISTENER: &[Operation] = &[
    operation!(
        "take over a listener",
        &[
            FEATURES,
            &[
                of(SYS_ioctl, ID_VALID, libc::EBADF, Gives::Error("NotAListener")),
                of(SYS_ioctl, ID_VALID, libc::ENOTTY, Gives::Error("NotAListener")),
            ],
        ],
        |stage| with_target(|listener| {
            let fd = OwnedFd::from(listener);
            said(stage.during(|| Listener::from_fd(fd)).map(|listener| {
                use NotifyFeature::{AddFd, AddFdSend, Continue};
                [Continue, AddFd, AddFdSend].map(|feature| listener.has(feature))
            }))
        })
    ),
    operation!("receive", &[RECEIVED], |stage| with_target(|listener| {
        let received = stage.during(|| listener.recv());
        said(received.map(|call| call.map(|call| call.args()[0])))
    })),
    operation!(
        "receive if there is something",
        &[&[
            on(SYS_poll, 0, NOTHING),
            of(SYS_ioctl, RECV, libc::EINTR, NOTHING),
            of(SYS_ioctl, RECV, libc::ENOENT, NOTHING),
        ]],
        |stage| with_target(|listener| {
            let received = stage.during(|| listener.try_recv());
            said(received.map(what))
        })
    ),
    operation!("receive for a while", &[RECEIVED], |stage| with_target(|listener| {
        let received = stage.during(|| listener.recv_timeout(Duration::from_millis(300)));
        said(received.map(what))
    })),
    operation!("stop when a notification is dropped", &[], |stage| with_target(|listener| {
        said(stage.during(|| listener.stop_if_dropped()).map(|_| ()))
    })),
    operation!(
        "wake up on the same CPU",
        &[&[
            of(SYS_ioctl, SET_FLAGS, libc::EINVAL, Gives::Error("Unsupported")),
            of(SYS_ioctl, SET_FLAGS, libc::ENOTTY, Gives::Error("Unsupported")),
        ]],
        |stage| with_target(|listener| { said(stage.during(|| listener.sync_wake_up(true))) })
    ),
];

pub const NOTIFICATION: &[Operation] = &[
    operation!("respond", &[ANSWERED], |stage| with_call(|call| {
        said(stage.during(|| call.respond(Response::Return(5))))
    })),
    operation!("drop", &[DROPPED], |stage| with_call(|call| {
        stage.during(|| drop(call));
        Ok("dropped".into())
    })),
    operation!("continue", &[ANSWERED], |stage| with_call(|call| {
        said(stage.during(|| call.continue_unchecked().map_err(|unanswered| unanswered.error())))
    })),
    operation!("respond with a descriptor", &[GIVEN], |stage| with_call(|call| {
        let null = std::fs::File::open("/dev/null").unwrap();
        said(stage.during(|| call.respond_with_fd(&null, AddFd::new()).map_err(|unanswered| unanswered.error())))
    })),
    operation!("respond with a descriptor in two steps", &[GIVEN, ANSWERED], |stage| {
        let older = |listener: Listener| listener.pretend_without(NotifyFeature::AddFdSend);
        with_call_of(older, |call| {
            let null = std::fs::File::open("/dev/null").unwrap();
            let how = AddFd::new().allow_two_step();
            said(stage.during(|| call.respond_with_fd(&null, how).map_err(|unanswered| unanswered.error())))
        })
    }),
    operation!("add a descriptor", &[GIVEN], |stage| with_call(|call| {
        let null = std::fs::File::open("/dev/null").unwrap();
        said(stage.during(|| call.add_fd(&null, AddFd::new().at(40))))
    })),
    operation!("whether it waits", &[&[of(SYS_ioctl, ID_VALID, libc::ENOENT, Gives::Success("false"))]], |stage| {
        with_call(|call| said(stage.during(|| call.is_waiting())))
    }),
    operation!("read memory", &[READ, SAYS_GONE], |stage| with_call(|call| {
        said(stage.during(|| call.memory().read_bytes(call.args()[1], 5)))
    })),
    operation!("read a string", &[READ, SAYS_GONE], |stage| with_call(|call| {
        said(stage.during(|| call.memory().read_c_string(call.args()[1], 100)))
    })),
    operation!(
        "write memory",
        &[
            SAYS_GONE,
            &[
                on(SYS_process_vm_writev, libc::EFAULT, Gives::Error("Fault")),
                on(SYS_process_vm_writev, libc::ESRCH, Gives::Error("Notify(NotVisible)")),
            ],
        ],
        |stage| with_call(|call| { said(stage.during(|| call.memory().write(call.args()[2], b"hello"))) })
    ),
    operation!("a folder of /proc", &[OPENED, IS_GONE], |stage| with_call(|call| {
        said(stage.during(|| call.proc_dir()).map(|outcome| outcome.is_gone()))
    })),
    operation!(
        "the process",
        &[OPENED, IS_GONE, SIZE, &[on(SYS_read, libc::ESRCH, Gives::Error("NotVisible"))]],
        |stage| with_call(|call| { said(stage.during(|| call.process()).map(|outcome| outcome.is_gone())) })
    ),
    operation!("a pidfd", &[PIDFD, IS_GONE], |stage| with_call(|call| {
        said(stage.during(|| call.pidfd()).map(|outcome| outcome.is_gone()))
    })),
    operation!(
        "take a descriptor",
        &[PIDFD, IS_GONE, &[on(SYS_pidfd_getfd, libc::ENOSYS, Gives::Error("Unsupported"))]],
        |stage| with_call(|call| { said(stage.during(|| call.take_fd(0)).map(|outcome| outcome.is_gone())) })
    ),
    operation!("signal", &[PIDFD, SAYS_GONE, &[on(SYS_pidfd_send_signal, libc::ESRCH, GONE)]], |stage| with_call(
        |call| said(stage.during(|| call.signal(libc::SIGWINCH)))
    )),
    operation!(
        "kill",
        &[
            PIDFD,
            SIZE,
            // Then it is SIGKILL.
            &[on(SYS_openat, 0, Gives::Same), on(SYS_read, 0, Gives::Same), on(SYS_poll, 0, Gives::Same)],
            &[on(SYS_pidfd_send_signal, libc::ESRCH, Gives::Same), on(SYS_ioctl, 0, Gives::Same)],
        ],
        |stage| with_call(|call| { said(stage.during(|| call.kill().map_err(|unanswered| unanswered.error()))) })
    ),
];

fn what(received: Received) -> String {
    match received {
        Received::Notification(call) => format!("call {}", call.args()[0]),
        Received::Nothing => "nothing".into(),
        other => format!("{other:?}"),
    }
}

/// A target that waits in a call.
fn with_target(body: impl FnOnce(Listener) -> Said) -> Said {
    let text = *b"text\0";
    let (listener, target) = filtered_target(|| {
        let mut buffer = [0_u8; 8];
        ask([7, text.as_ptr() as u64, buffer.as_mut_ptr() as u64, 0, 0, 0]) as i32
    });
    target.until_it_waits();
    let result = body(listener);
    end(&target);
    result
}

/// The same when the call has been received. Whoever asks must not wait for ever afterwards, unless told so.
fn with_call(body: impl FnOnce(Notification) -> Said) -> Said {
    with_call_of(|listener| listener, body)
}

fn with_call_of(prepare: impl FnOnce(Listener) -> Listener, body: impl FnOnce(Notification) -> Said) -> Said {
    let text = *b"text\0";
    let (listener, target) = filtered_target(|| {
        let mut buffer = [0_u8; 8];
        ask([7, text.as_ptr() as u64, buffer.as_mut_ptr() as u64, 0, 0, 0]) as i32
    });
    let listener = prepare(listener);
    let call = listener.recv().unwrap().unwrap();
    let result = body(call);
    // Everything here takes the notification, which is answered or dropped by now: the target goes on, though the listener is
    // not closed. Unless the made-up error says that it has been told.
    let told = format!("{result:?}");
    for round in 0.. {
        if told.contains("Gone") || told.contains("AnsweredElsewhere") {
            break;
        }
        let ended = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            assert_eq!(libc::waitid(libc::P_PID, target.pid as u32, &raw mut info, options), 0);
            info.si_pid() != 0
        };
        if ended {
            break;
        }
        if round == 150 {
            end(&target);
            return Err((None, format!("the target waits for ever after {result:?}")));
        }
        std::thread::sleep(Duration::from_millis(1 + round / 50));
    }
    end(&target);
    result
}

fn end(target: &Target) {
    unsafe { libc::kill(target.pid, libc::SIGKILL) };
    let _ = target.wait();
}
