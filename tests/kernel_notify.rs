//! User notification: the tests that the kernel has of it (`user_notification_*` in `seccomp_bpf.c`), as tests of our
//! own words. `fault_recv` is not among them: a bad buffer cannot be written down here.

#![cfg(all(target_os = "linux", feature = "std"))]
#![allow(clippy::unwrap_used, clippy::panic)] // A test.
#![allow(unsafe_code)] // Raw calls.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)] // Answers as exit statuses.

mod common;

use callsieve::arch::Arch;
use callsieve::kernel::{
    FilterFlag, Install, InstallError, NotifyError, NotifyFeature, Outcome, Received, Response, flag_available,
};
use common::supervision::{HANDLED, Target, allow_all, ask, handle, notify_call, supervisor, supervisor_of};
use common::{child_passes, kernel_has_filters, skip};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// The kernel must have filters that notify.
fn can(test: &str) -> bool {
    let has = flag_available(FilterFlag::NewListener);
    if !has {
        skip(test, "the kernel has no user notification");
    }
    has && kernel_has_filters(test)
}

#[test]
fn basic() {
    if !can("basic") {
        return;
    }
    child_passes(|_| {
        // A filter that is older and has no listener does not matter, nor does one that is newer.
        Install::new().install(&allow_all()).unwrap();
        let listener = Install::new().with_listener(&notify_call()).unwrap();
        assert_eq!(Install::new().with_listener(&notify_call()).unwrap_err(), InstallError::Busy);
        Install::new().install(&allow_all()).unwrap();

        let target = Target::start(&listener, || i32::from(ask([1, 2, 3, 4, 5, usize::MAX as u64]) != 42));
        let call = listener.recv().unwrap().unwrap();
        assert_eq!(call.tid(), target.pid as u32);
        assert_eq!((call.name(), call.arch()), (Some("getpriority"), Arch::NATIVE));
        assert_eq!(call.args(), [1, 2, 3, 4, 5, usize::MAX as u64]);
        assert!(call.is_waiting().unwrap());
        assert_eq!(call.process().unwrap(), Outcome::Done(target.pid as u32));
        assert_eq!(call.respond(Response::Return(42)).unwrap(), Outcome::Done(()));
        assert_eq!(target.wait(), Ok(0));

        for (response, answer) in [
            (Response::Errno(13), -13),
            (Response::Errno(0), 0),
            (Response::Errno(u16::MAX), -4095),
            (Response::Return(i64::MIN), i64::MIN),
        ] {
            let target = Target::start(&listener, || i32::from(ask([0; 6]) != answer));
            let _ = listener.recv().unwrap().unwrap().respond(response).unwrap();
            assert_eq!(target.wait(), Ok(0), "{response:?}");
        }
        // A listener that is closed makes room for another one.
        drop(listener);
        assert!(Install::new().with_listener(&notify_call()).is_ok());
    });
}

#[test]
fn with_tsync() {
    if !can("with_tsync") {
        return;
    }
    child_passes(|_| {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        // A thread that is there before the filter.
        let thread = std::thread::spawn(move || {
            wait.recv().unwrap();
            ask([7; 6])
        });
        let listener = Install::new().tsync(true).with_listener(&notify_call()).unwrap();
        go.send(()).unwrap();
        let call = listener.recv().unwrap().unwrap();
        assert_ne!(call.tid(), std::process::id());
        assert_eq!(call.process().unwrap(), Outcome::Done(std::process::id()));
        let _ = call.respond(Response::Return(5)).unwrap();
        assert_eq!(thread.join().unwrap(), 5);
    });
}

#[test]
fn kill_in_middle() {
    if !can("kill_in_middle") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let target = Target::start(&listener, || ask([0; 6]) as i32);
        let call = listener.recv().unwrap().unwrap();
        assert!(call.is_waiting().unwrap());
        target.kill();
        assert!(!call.is_waiting().unwrap());
        assert_eq!(call.respond(Response::Return(1)).unwrap(), Outcome::Gone);
    });
}

/// A signal ends the call, and the answer comes too late.
#[test]
fn signal() {
    if !can("signal") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let target = Target::start(&listener, || {
            handle(libc::SIGUSR1, false);
            let interrupted = ask([1; 6]) == i64::from(-libc::EINTR);
            i32::from(!interrupted || ask([2; 6]) != 7)
        });
        let call = listener.recv().unwrap().unwrap();
        target.signal(libc::SIGUSR1);
        let again = listener.recv().unwrap().unwrap();
        assert_eq!(again.args(), [2; 6]);
        assert_ne!(again.id(), call.id());
        assert_eq!(call.respond(Response::Return(1)).unwrap(), Outcome::Gone);
        let _ = again.respond(Response::Return(7)).unwrap();
        assert_eq!(target.wait(), Ok(0));
    });
}

/// With SA_RESTART the same call comes again, with a new id.
#[test]
fn signal_restarts() {
    if !can("signal_restarts") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let target = Target::start(&listener, || {
            handle(libc::SIGUSR1, true);
            i32::from(ask([1; 6]) != 7 || HANDLED.load(SeqCst) != 1)
        });
        let call = listener.recv().unwrap().unwrap();
        target.signal(libc::SIGUSR1);
        let again = listener.recv().unwrap().unwrap();
        assert_eq!((again.args(), again.tid()), (call.args(), call.tid()));
        assert_ne!(again.id(), call.id());
        assert!(!call.is_waiting().unwrap());
        let _ = again.respond(Response::Return(7)).unwrap();
        assert_eq!(target.wait(), Ok(0));
    });
}

#[test]
fn closed_listener() {
    if !can("closed_listener") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let target = Target::start(&listener, || {
            let waiting = ask([0; 6]) == i64::from(-libc::ENOSYS);
            i32::from(!waiting || ask([0; 6]) != i64::from(-libc::ENOSYS))
        });
        let call = listener.recv().unwrap().unwrap();
        std::mem::forget(call);
        drop(listener);
        assert_eq!(target.wait(), Ok(0));
    });
}

fn new_pid_namespace(test: &str) -> bool {
    let made = unsafe { libc::unshare(libc::CLONE_NEWPID) == 0 };
    if !made {
        skip(test, "no right to make a process id namespace");
    }
    made
}

#[test]
fn child_pid_ns() {
    if !can("child_pid_ns") {
        return;
    }
    supervisor(Install::new(), |listener| {
        if new_pid_namespace("child_pid_ns") {
            let target = Target::start(&listener, || i32::from(std::process::id() != 1 || ask([0; 6]) != 3));
            let call = listener.recv().unwrap().unwrap();
            // As it is called here.
            assert_eq!(call.tid(), target.pid as u32);
            let _ = call.respond(Response::Return(3)).unwrap();
            assert_eq!(target.wait(), Ok(0));
        }
    });
}

#[test]
fn sibling_pid_ns() {
    if !can("sibling_pid_ns") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let target = Target::start(&listener, || i32::from(ask([0; 6]) != 4));
        if !new_pid_namespace("sibling_pid_ns") {
            let _ = listener.recv().unwrap().unwrap().respond(Response::Return(4)).unwrap();
            assert_eq!(target.wait(), Ok(0));
            return;
        }
        // A supervisor that cannot see the target.
        let end = common::fork(|| {
            let call = listener.recv().unwrap().unwrap();
            assert_eq!(call.tid(), 0);
            assert_eq!(call.memory().read_bytes(0, 1), Err(NotifyError::NotVisible.into()));
            assert_eq!(call.proc_dir().unwrap_err(), NotifyError::NotVisible);
            assert_eq!(call.pidfd().unwrap_err(), NotifyError::NotVisible);
            let _ = call.respond(Response::Return(4)).unwrap();
        });
        assert_eq!(end, common::End::Exit(0));
        assert_eq!(target.wait(), Ok(0));
    });
}

#[test]
fn continue_unchecked() {
    if !can("continue_unchecked") {
        return;
    }
    let answer = ask([0; 6]);
    supervisor(Install::new(), |listener| {
        let target = Target::start(&listener, || i32::from(ask([0; 6]) != answer));
        let call = listener.recv().unwrap().unwrap();
        assert_eq!(call.continue_unchecked().unwrap(), Outcome::Done(()));
        assert_eq!(target.wait(), Ok(0));

        // On a kernel without it the call still waits for an answer.
        let listener = listener.pretend_without(NotifyFeature::Continue);
        let target = Target::start(&listener, || i32::from(ask([0; 6]) != -38));
        let unanswered = listener.recv().unwrap().unwrap().continue_unchecked().unwrap_err();
        assert_eq!(unanswered.error(), NotifyError::Unsupported { feature: NotifyFeature::Continue });
        let _ = unanswered.into_notification().respond(Response::Errno(38)).unwrap();
        assert_eq!(target.wait(), Ok(0));
    });
}

/// The last user of the filter goes: that is the end, for who waits and for who looks.
#[test]
fn filter_empty() {
    if !can("filter_empty") {
        return;
    }
    supervisor_of(
        || 3,
        |listener, target| {
            assert!(listener.recv().unwrap().is_none());
            assert!(matches!(listener.try_recv().unwrap(), Received::Ended));
            assert_eq!(target.wait(), Ok(3));
            assert!(listener.recv().unwrap().is_none());
        },
    );
}

/// A process with threads uses the filter until its last thread has gone.
#[test]
fn filter_empty_threaded() {
    if !can("filter_empty_threaded") {
        return;
    }
    supervisor_of(
        || {
            // The main thread ends first; the other one ends the process.
            std::thread::spawn(|| unsafe {
                let answer = ask([1; 6]) as i32;
                libc::syscall(libc::SYS_exit_group, answer);
            });
            unsafe { libc::syscall(libc::SYS_exit, 1) };
            1
        },
        |listener, target| {
            let call = listener.recv().unwrap().unwrap();
            assert_ne!(call.tid(), target.pid as u32);
            assert!(matches!(listener.recv_timeout(Duration::from_millis(20)).unwrap(), Received::Nothing));
            let _ = call.respond(Response::Return(6)).unwrap();
            assert!(listener.recv().unwrap().is_none());
            assert_eq!(target.wait(), Ok(6));
        },
    );
}

/// Calls come in the order in which they were made.
#[test]
fn fifo() {
    if !can("fifo") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let targets: Vec<_> = (0..8_u64)
            .map(|index| {
                let target = Target::start(&listener, || i32::from(ask([index; 6]) != index as i64 + 100));
                target.until_it_waits();
                target
            })
            .collect();
        for index in 0..8_u64 {
            let call = listener.recv().unwrap().unwrap();
            assert_eq!(call.args(), [index; 6]);
            let _ = call.respond(Response::Return(index as i64 + 100)).unwrap();
        }
        assert!(targets.iter().all(|target| target.wait() == Ok(0)));
        assert!(matches!(listener.try_recv().unwrap(), Received::Nothing));
    });
}

#[test]
fn sync() {
    if !can("sync") {
        return;
    }
    supervisor(Install::new(), |listener| {
        match listener.sync_wake_up(true) {
            Err(NotifyError::Unsupported { feature: NotifyFeature::SyncWakeUp }) => {
                return skip("sync", "the kernel is older than 6.6");
            }
            answer => answer.unwrap(),
        }
        let target = Target::start(&listener, || (0..100).map(|_| i32::from(ask([0; 6]) != 1)).sum());
        for _ in 0..100 {
            let _ = listener.recv().unwrap().unwrap().respond(Response::Return(1)).unwrap();
        }
        assert_eq!(target.wait(), Ok(0));
        listener.sync_wake_up(false).unwrap();
    });
}

fn has_wait_killable(test: &str) -> bool {
    let has = can(test) && flag_available(FilterFlag::WaitKillableRecv);
    if !has {
        skip(test, "the kernel is older than 5.19");
    }
    has
}

/// Before the supervisor has it, a signal interrupts the call all the same.
#[test]
fn wait_killable_pre_notification() {
    if !has_wait_killable("wait_killable_pre_notification") {
        return;
    }
    supervisor(Install::new().wait_killable(true), |listener| {
        let ready = common::shared_numbers::<1>();
        let target = Target::start(&listener, || {
            handle(libc::SIGUSR1, false);
            ready[0].store(1, SeqCst);
            i32::from(ask([0; 6]) != i64::from(-libc::EINTR))
        });
        while ready[0].load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        target.until_it_waits();
        target.signal(libc::SIGUSR1);
        assert_eq!(target.wait(), Ok(0));
        assert!(matches!(listener.try_recv().unwrap(), Received::Nothing));
    });
}

/// Once the supervisor has it, the signal waits for the answer.
#[test]
fn wait_killable() {
    if !has_wait_killable("wait_killable") {
        return;
    }
    supervisor(Install::new().wait_killable(true), |listener| {
        let seen = common::shared_numbers::<1>();
        let target = Target::start(&listener, || {
            handle(libc::SIGUSR1, false);
            let answer = ask([0; 6]);
            seen[0].store(HANDLED.load(SeqCst).into(), SeqCst);
            i32::from(answer != 9)
        });
        let call = listener.recv().unwrap().unwrap();
        target.signal(libc::SIGUSR1);
        assert!(matches!(listener.recv_timeout(Duration::from_millis(20)).unwrap(), Received::Nothing));
        assert!(call.is_waiting().unwrap());
        let _ = call.respond(Response::Return(9)).unwrap();
        assert_eq!(target.wait(), Ok(0));
        assert_eq!(seen[0].load(SeqCst), 1);
    });
}

#[test]
fn wait_killable_fatal() {
    if !has_wait_killable("wait_killable_fatal") {
        return;
    }
    supervisor(Install::new().wait_killable(true), |listener| {
        let target = Target::start(&listener, || ask([0; 6]) as i32);
        let call = listener.recv().unwrap().unwrap();
        target.kill();
        assert_eq!(call.respond(Response::Return(9)).unwrap(), Outcome::Gone);
    });
}

/// A call that has been answered is not restarted by a signal that comes then.
#[test]
fn wait_killable_after_reply() {
    if !has_wait_killable("wait_killable_after_reply") {
        return;
    }
    supervisor(Install::new().wait_killable(true), |listener| {
        let target = Target::start(&listener, || {
            handle(libc::SIGUSR1, true);
            (0..200).map(|index| i32::from(ask([index; 6]) != index as i64)).sum()
        });
        for index in 0..200 {
            let call = listener.recv().unwrap().unwrap();
            assert_eq!(call.args()[0], index, "a call came twice");
            let _ = call.respond(Response::Return(index as i64)).unwrap();
            // It meets the end of this call, or interrupts the next one, which nobody has received yet.
            unsafe { libc::kill(target.pid, libc::SIGUSR1) };
        }
        assert_eq!(target.wait(), Ok(0));
    });
}

/// In an event loop: readable when a call waits, and hung up at the end.
#[test]
fn in_an_event_loop() {
    if !can("in_an_event_loop") {
        return;
    }
    supervisor_of(
        || i32::from(ask([0; 6]) != 5),
        |listener, target| {
            let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 7 };
            let fd = std::os::fd::AsRawFd::as_raw_fd(&listener);
            assert_eq!(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) }, 0);
            let next = || {
                let mut event = libc::epoll_event { events: 0, u64: 0 };
                assert_eq!(unsafe { libc::epoll_wait(epoll, &raw mut event, 1, 10_000) }, 1);
                event.events as i32
            };
            assert_ne!(next() & libc::EPOLLIN, 0);
            let Received::Notification(call) = listener.try_recv().unwrap() else { panic!("nothing came") };
            let _ = call.respond(Response::Return(5)).unwrap();
            assert_ne!(next() & libc::EPOLLHUP, 0);
            assert!(matches!(listener.try_recv().unwrap(), Received::Ended));
            assert_eq!(target.wait(), Ok(0));
        },
    );
}

#[test]
fn what_is_no_listener_is_refused() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let error = callsieve::kernel::Listener::from_fd(reader.into()).unwrap_err();
    assert_eq!(error, NotifyError::NotAListener);
    let null = std::fs::File::open("/dev/null").unwrap();
    assert!(callsieve::kernel::Listener::from_fd(null.into()).is_err());
}

#[test]
fn nothing_is_installed_without_a_descriptor() {
    if !can("nothing_is_installed_without_a_descriptor") {
        return;
    }
    child_passes(|_| {
        let before = callsieve::kernel::status().unwrap().filters();
        let limit = libc::rlimit { rlim_cur: 3, rlim_max: 1024 };
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        let full: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
        let error = Install::new().with_listener(&notify_call()).unwrap_err();
        assert_eq!(error, InstallError::NoDescriptor { errno: libc::EMFILE });
        drop(full);
        let limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        assert_eq!(callsieve::kernel::status().unwrap().filters(), before);
    });
}
