//! What a supervisor does with its target: descriptors, memory, and targets that are killed at any moment.

#![cfg(all(target_os = "linux", feature = "std"))]
#![allow(clippy::unwrap_used, clippy::panic)] // A test.
#![allow(unsafe_code)] // Raw calls.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)] // Answers as exit statuses.

mod common;

use callsieve::kernel::{
    AddFd, FilterFlag, Install, Listener, MemoryError, Notification, NotifyError, NotifyFeature, Outcome, Received,
    Response, flag_available,
};
use common::supervision::{Target, ask, handle, supervisor};
use common::{kernel_has_filters, shared_numbers, skip};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
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

fn next(listener: &Listener) -> Notification<'_> {
    listener.recv().unwrap().unwrap()
}

fn answer(call: Notification<'_>, value: i64) {
    assert_eq!(call.respond(Response::Return(value)).unwrap(), Outcome::Done(()));
}

/// Writes a byte to a descriptor that the target was given.
fn write_to(fd: i64) -> bool {
    unsafe { libc::write(fd as i32, b"x".as_ptr().cast(), 1) == 1 }
}

fn is_close_on_exec(fd: i64) -> bool {
    unsafe { libc::fcntl(fd as i32, libc::F_GETFD) & libc::FD_CLOEXEC != 0 }
}

fn pipe() -> (PipeReader, PipeWriter) {
    std::io::pipe().unwrap()
}

fn arrived(reader: &mut PipeReader) -> bool {
    let mut byte = [0];
    reader.read(&mut byte).unwrap() == 1 && byte == *b"x"
}

#[test]
fn addfd() {
    if !can("addfd") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let (mut reader, writer) = pipe();
        let target = Target::start(&listener, || {
            let lowest = ask([0; 6]);
            let given = ask([1; 6]);
            let placed = ask([2; 6]);
            let stays = !is_close_on_exec(lowest) && is_close_on_exec(given);
            i32::from(!(write_to(lowest) && write_to(given) && placed == 77 && write_to(77) && stays))
        });
        // Put in first, answered later.
        let call = next(&listener);
        let number = call.add_fd(&writer, AddFd::new()).unwrap().done().unwrap();
        answer(call, number.into());
        // In one step.
        let number = next(&listener).respond_with_fd(&writer, AddFd::new().close_on_exec(true)).unwrap();
        assert!(number.done().is_some());
        let call = next(&listener);
        assert_eq!(call.respond_with_fd(&writer, AddFd::new().at(77)).unwrap(), Outcome::Done(77));
        assert_eq!(target.wait(), Ok(0));
        assert!((0..3).all(|_| arrived(&mut reader)));
        // Nobody else has the writing end any more.
        drop(writer);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    });
}

/// Kernels from 5.9 to 5.13 can only do it in two steps, and those before not at all.
#[test]
fn addfd_on_older_kernels() {
    if !can("addfd_on_older_kernels") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let (mut reader, writer) = pipe();
        let listener = listener.pretend_without(NotifyFeature::AddFdSend);
        assert_eq!(listener.has(NotifyFeature::AddFdSend), Some(false));
        let target = Target::start(&listener, || i32::from(!write_to(ask([0; 6])) || ask([0; 6]) != -38));
        let unanswered = next(&listener).respond_with_fd(&writer, AddFd::new()).unwrap_err();
        assert_eq!(unanswered.error(), NotifyError::Unsupported { feature: NotifyFeature::AddFdSend });
        let call = unanswered.into_notification();
        assert!(call.is_waiting().unwrap());
        assert!(call.respond_with_fd(&writer, AddFd::new().allow_two_step()).unwrap().done().is_some());
        assert!(arrived(&mut reader));

        let listener = listener.pretend_without(NotifyFeature::AddFd);
        let unanswered = next(&listener).respond_with_fd(&writer, AddFd::new().allow_two_step()).unwrap_err();
        assert_eq!(unanswered.error(), NotifyError::Unsupported { feature: NotifyFeature::AddFd });
        let _ = unanswered.into_notification().respond(Response::Errno(38)).unwrap();
        assert_eq!(target.wait(), Ok(0));
    });
}

/// The target may have no more descriptors, or none with this number.
#[test]
fn addfd_rlimit() {
    if !can("addfd_rlimit") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let (_reader, writer) = pipe();
        let target = Target::start(&listener, || {
            let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
            let full = i64::from(-libc::EMFILE);
            i32::from(ask([0; 6]) != full || ask([0; 6]) != full)
        });
        let unanswered = next(&listener).respond_with_fd(&writer, AddFd::new()).unwrap_err();
        assert_eq!(unanswered.error(), NotifyError::TargetFull { errno: libc::EMFILE });
        let _ = unanswered.into_notification().respond(Response::Errno(libc::EMFILE as u16)).unwrap();
        let unanswered = next(&listener).respond_with_fd(&writer, AddFd::new().at(100)).unwrap_err();
        assert_eq!(unanswered.error(), NotifyError::TargetFull { errno: libc::EBADF });
        let _ = unanswered.into_notification().respond(Response::Errno(libc::EMFILE as u16)).unwrap();
        assert_eq!(target.wait(), Ok(0));
    });
}

/// A call that ended by a signal takes no descriptor any more.
#[test]
fn addfd_send_interrupted() {
    if !can("addfd_send_interrupted") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let (mut reader, writer) = pipe();
        let target = Target::start(&listener, || {
            handle(libc::SIGUSR1, false);
            let interrupted = ask([0; 6]) == i64::from(-libc::EINTR);
            i32::from(!interrupted || ask([0; 6]) != 8)
        });
        let call = next(&listener);
        target.signal(libc::SIGUSR1);
        let again = next(&listener);
        assert_eq!(call.add_fd(&writer, AddFd::new()).unwrap(), Outcome::Gone);
        assert_eq!(call.respond_with_fd(&writer, AddFd::new()).unwrap(), Outcome::Gone);
        answer(again, 8);
        drop(writer);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        assert_eq!(target.wait(), Ok(0));
    });
}

#[test]
fn descriptors_of_the_target() {
    if !can("descriptors_of_the_target") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let target = Target::start(&listener, || {
            let (mut reader, writer) = pipe();
            unsafe { libc::dup2(writer.as_raw_fd(), 90) };
            ask([90; 6]);
            i32::from(!arrived(&mut reader))
        });
        let call = next(&listener);
        let theirs: OwnedFd = call.take_fd(90).unwrap().done().unwrap();
        File::from(theirs).write_all(b"x").unwrap();
        assert_eq!(call.take_fd(91).unwrap_err(), NotifyError::NoSuchFd { number: 91 });
        let folder = call.proc_dir().unwrap().done().unwrap();
        let status = format!("/proc/self/fd/{}/status", folder.as_raw_fd());
        assert!(std::fs::read_to_string(&status).unwrap().contains(&format!("Pid:\t{}\n", target.pid)));
        answer(call, 0);
        assert_eq!(target.wait(), Ok(0));
        // The folder of a process that has ended leads nowhere.
        assert!(std::fs::read_to_string(&status).is_err());
    });
}

/// Two pages of the target: the first can be written, the second not even be read.
struct Pages {
    at: *mut u8,
}

const PAGE: usize = 4096;

impl Pages {
    fn new() -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let at: *mut u8 = unsafe { libc::mmap(std::ptr::null_mut(), 3 * PAGE, protection, flags, -1, 0) }.cast();
        unsafe {
            libc::mprotect(at.add(PAGE).cast(), PAGE, libc::PROT_NONE);
            libc::mprotect(at.add(2 * PAGE).cast(), PAGE, libc::PROT_READ);
        }
        Self { at }
    }

    fn put(&self, offset: usize, bytes: &[u8]) -> u64 {
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at.add(offset), bytes.len()) };
        self.at as u64 + offset as u64
    }
}

#[test]
fn memory() {
    if !can("memory") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let target = Target::start(&listener, || {
            let pages = Pages::new();
            let number = pages.put(8, &0x1234_5678_u32.to_ne_bytes());
            let ends = pages.put(PAGE - 6, b"short\0");
            let runs_out = pages.put(PAGE - 100, &[b'a'; 94]);
            let long = vec![b'l'; 3 * PAGE + 7];
            let long = [&long[..], b"\0"].concat();
            let buffer = pages.put(64, &[0; 8]);
            let read_only = pages.at as u64 + 2 * PAGE as u64;
            ask([number, ends, runs_out, long.as_ptr() as u64, buffer, read_only]);
            let written = unsafe { std::slice::from_raw_parts(pages.at.add(64), 8) == b"written!" };
            i32::from(!written)
        });
        let call = next(&listener);
        let [number, ends, runs_out, long, buffer, read_only] = call.args();
        let border = ends + 6;
        let memory = call.memory();
        assert_eq!(memory.read_value::<u32>(number), Ok(Outcome::Done(0x1234_5678)));
        assert_eq!(memory.read_c_string(ends, 4096), Ok(Outcome::Done(b"short".to_vec())));
        assert_eq!(memory.read_c_string(ends, 5), Ok(Outcome::Done(b"short".to_vec())));
        assert_eq!(memory.read_c_string(ends, 4), Err(MemoryError::TooLong { limit: 4 }));
        assert_eq!(memory.read_c_string(ends + 5, 0), Ok(Outcome::Done(Vec::new())));
        // "aaa...short" ends before the border; without its NUL it would not.
        assert_eq!(memory.read_c_string(runs_out, 4096).unwrap().done().unwrap().len(), 99);
        assert_eq!(memory.read_c_string(long, 4 * PAGE).unwrap().done().unwrap(), vec![b'l'; 3 * PAGE + 7]);
        assert_eq!(memory.read_c_string(long, PAGE), Err(MemoryError::TooLong { limit: PAGE }));
        assert_eq!(memory.read_c_string(border, 10), Err(MemoryError::Fault { address: border }));
        // What lies across the border of what can be read.
        assert_eq!(memory.read_bytes(border - 4, 8), Err(MemoryError::Fault { address: border }));
        assert_eq!(memory.read_bytes(0, 8), Err(MemoryError::Fault { address: 0 }));
        assert_eq!(memory.read_bytes(u64::MAX - 3, 8), Err(MemoryError::Fault { address: u64::MAX - 3 }));
        assert_eq!(memory.read_bytes(0, 0), Ok(Outcome::Done(Vec::new())));
        // Only what the target itself could write.
        assert_eq!(memory.write(buffer, b"written!"), Ok(Outcome::Done(())));
        assert_eq!(memory.write(read_only, b"x"), Err(MemoryError::Fault { address: read_only }));
        assert_eq!(memory.write(border - 1, b"xy").unwrap_err(), MemoryError::Fault { address: border });
        assert_eq!(memory.read_bytes(read_only, 1), Ok(Outcome::Done(vec![0])));
        answer(call, 0);
        assert_eq!(target.wait(), Ok(0));
    });
}

/// The steps of the protocol. After each of them a target may have been killed.
type Deed = fn(&Notification<'_>, &PipeWriter) -> bool;
const STEPS: [(&str, Deed); 8] = [
    ("nothing", |_, _| true),
    ("is_waiting", |call, _| !call.is_waiting().unwrap()),
    ("read", |call, _| call.memory().read_bytes(call.args()[0], 8).unwrap().is_gone()),
    ("read_c_string", |call, _| call.memory().read_c_string(call.args()[0], 8).unwrap().is_gone()),
    ("write", |call, _| call.memory().write(call.args()[0], b"x").unwrap().is_gone()),
    ("proc_dir, process", |call, _| call.proc_dir().unwrap().is_gone() && call.process().unwrap().is_gone()),
    ("pidfd, take_fd", |call, _| call.pidfd().unwrap().is_gone() && call.take_fd(0).unwrap().is_gone()),
    ("add_fd", |call, fd| call.add_fd(fd, AddFd::new()).unwrap().is_gone()),
];

/// Whatever is done to a target that has been killed meanwhile says so, and the supervisor goes on.
#[test]
fn targets_that_are_killed_at_every_step() {
    if !can("targets_that_are_killed_at_every_step") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let (_reader, writer) = pipe();
        let victim = |listener: &Listener| {
            Target::start(listener, || {
                let text = *b"argument\0";
                ask([text.as_ptr() as u64; 6]) as i32
            })
        };
        // Before it is received: nothing arrives.
        let target = victim(&listener);
        target.until_it_waits();
        target.kill();
        assert!(matches!(listener.recv_timeout(Duration::from_millis(10)).unwrap(), Received::Nothing));
        for (index, (name, _)) in STEPS.iter().enumerate() {
            for ending in 0..3 {
                let target = victim(&listener);
                let call = next(&listener);
                for (_, deed) in &STEPS[..index] {
                    let _ = deed(&call, &writer);
                }
                target.kill();
                for (after, deed) in &STEPS {
                    assert!(deed(&call, &writer), "killed after {name}, then {after}");
                }
                let outcome = match ending {
                    0 => call.respond(Response::Return(0)).unwrap(),
                    1 => call.continue_unchecked().unwrap(),
                    _ => match call.respond_with_fd(&writer, AddFd::new()).unwrap() {
                        Outcome::Done(_) => Outcome::Done(()),
                        Outcome::Gone => Outcome::Gone,
                    },
                };
                assert_eq!(outcome, Outcome::Gone, "killed after {name}");
            }
        }
        // It still works.
        let target = victim(&listener);
        answer(next(&listener), 5);
        assert_eq!(target.wait(), Ok(5));
    });
}

/// Targets that are killed by another thread at moments that nobody chooses. About once in a thousand times one goes while
/// a descriptor is on its way to it, or its folder of /proc is opened, which the kernel tells by ESRCH.
#[test]
fn targets_that_are_killed_at_random() {
    if !can("targets_that_are_killed_at_random") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let (_reader, writer) = pipe();
        let pid = shared_numbers::<1>();
        std::thread::scope(|scope| {
            for round in 0..600_u32 {
                let target = Target::start(&listener, || {
                    loop {
                        let text = *b"argument\0";
                        ask([text.as_ptr() as u64; 6]);
                    }
                });
                pid[0].store(target.pid.into(), SeqCst);
                let killer = scope.spawn(move || {
                    std::thread::sleep(Duration::from_micros(u64::from(round % 60) * 37));
                    target.kill();
                });
                while !killer.is_finished() {
                    let Received::Notification(call) = listener.recv_timeout(Duration::from_millis(1)).unwrap() else {
                        continue;
                    };
                    for (_, deed) in &STEPS[1..] {
                        let _ = deed(&call, &writer);
                    }
                    let _ = call.respond(Response::Return(0)).unwrap();
                }
            }
        });
    });
}

/// A handler that panics does not leave its target hanging.
#[test]
fn a_dropped_notification_is_answered() {
    if !can("a_dropped_notification_is_answered") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let target = Target::start(&listener, || i32::from(ask([0; 6]) != -1));
        let call = next(&listener);
        std::panic::set_hook(Box::new(|_| {}));
        let panicked = catch_unwind(AssertUnwindSafe(move || panic!("{}", call.tid())));
        assert!(panicked.is_err());
        assert_eq!(target.wait(), Ok(0));

        let listener = listener.answer_if_dropped(Response::Return(11));
        let target = Target::start(&listener, || i32::from(ask([0; 6]) != 11));
        drop(next(&listener));
        assert_eq!(target.wait(), Ok(0));
    });
}

/// A recorder that loses a notification stops, also in threads that wait.
#[test]
fn a_dropped_notification_stops_a_recorder() {
    if !can("a_dropped_notification_stops_a_recorder") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let listener = listener.stop_if_dropped().unwrap();
        let target = Target::start(&listener, || i32::from(ask([0; 6]) != i64::from(-libc::ENOSYS)));
        let call = next(&listener);
        let id = call.id();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| listener.recv().unwrap_err());
            std::thread::sleep(Duration::from_millis(5));
            drop(call);
            assert_eq!(waiting.join().unwrap(), NotifyError::Dropped { id });
        });
        assert_eq!(listener.try_recv().unwrap_err(), NotifyError::Dropped { id });
        // Its target waits until the end.
        drop(listener);
        assert_eq!(target.wait(), Ok(0));
    });
}

/// Any number of threads may receive; each call comes to one of them.
#[test]
fn threads_that_receive() {
    if !can("threads_that_receive") {
        return;
    }
    supervisor(Install::new(), |listener| {
        let targets: Vec<_> = (0..4)
            .map(|_| Target::start(&listener, || (0..200).map(|n| i32::from(ask([n; 6]) != n as i64 + 1)).sum()))
            .collect();
        let seen: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let mut seen = 0;
                        while let Received::Notification(call) = listener.recv_timeout(Duration::from_secs(1)).unwrap()
                        {
                            seen += 1;
                            let value = call.args()[0] as i64 + 1;
                            answer(call, value);
                        }
                        seen
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(seen, 800);
        assert!(targets.iter().all(|target| target.wait() == Ok(0)));
    });
}
