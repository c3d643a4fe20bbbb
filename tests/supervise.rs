//! A supervisor with real programs and with forked targets.

#![cfg(all(target_os = "linux", feature = "std"))]
#![allow(clippy::unwrap_used, clippy::panic)] // A test.
#![allow(unsafe_code)] // Raw calls.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)] // Answers as exit statuses.

mod common;

use callsieve::bpf::Action;
use callsieve::kernel::{self, AddFd, Install, Outcome, Response, Stream, Supervised, WaitError};
use callsieve::supervise::{Answered, Judged, NEVER_NOTIFIED, SuperviseError, Supervisor, Verdict};
use callsieve::{Compiler, Filter, Profile};
use common::supervision::{Target, ask, handle, supervisor as forked, supervisor_of};
use common::{kernel_has_filters, shared_numbers};
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

fn can(test: &str) -> bool {
    kernel_has_filters(test)
}

#[allow(clippy::unnecessary_wraps)] // What handlers say.
fn respond(response: Response) -> Judged {
    Ok(Outcome::Done(Verdict::Respond(response)))
}

/// Notifies these calls and allows the others.
fn notifying(names: &[&str]) -> Filter {
    let profile = Profile::new(Action::Allow).rule(Action::Notify, names, []);
    Compiler::new().compile(&profile.resolve(&kernel::host_target().unwrap()).unwrap()).unwrap()
}

/// An unmodified program reads a file that only the supervisor opens.
#[test]
fn a_program_that_is_given_its_files() {
    if !can("a_program_that_is_given_its_files") {
        return;
    }
    let secret = std::env::temp_dir().join(format!("callsieve-given-{}", std::process::id()));
    std::fs::write(&secret, "given\n").unwrap();
    let lines = Mutex::new(Vec::new());
    let supervisor = Supervisor::new(|_| Ok(Outcome::Done(Verdict::ContinueUnchecked)))
        .on(["openat"], |call| {
            let Outcome::Done(path) = call.memory().read_c_string(call.args()[1], 4096)? else {
                return Ok(Outcome::Gone);
            };
            if path != b"/no/such/file" {
                // Its libraries; nothing is decided here.
                return Ok(Outcome::Done(Verdict::ContinueUnchecked));
            }
            call.note(String::from_utf8_lossy(&path));
            let file = std::fs::File::open(&secret).unwrap();
            Ok(Outcome::Done(Verdict::GiveFd(file.into(), AddFd::new().close_on_exec(true))))
        })
        .unwrap()
        .log(|decision| lines.lock().unwrap().push(decision.to_string()));
    let cat = Supervised::new("cat").arg("/no/such/file").stdin(Stream::Null).stdout(Stream::Piped);
    let (mut child, listener) = cat.spawn(notifying(&["openat", "open"]).program()).unwrap();
    let counts = supervisor.run(&listener).unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "given\n");
    assert!(child.wait().unwrap().success());
    assert_eq!(counts.descriptors, 1);
    assert_eq!(counts.received, counts.continued + counts.descriptors, "{counts}");
    drop(supervisor);
    let lines = lines.into_inner().unwrap();
    assert_eq!(lines.len() as u64, counts.received);
    assert!(lines.iter().any(|line| line.contains(" openat(") && line.ends_with(" /no/such/file")), "{lines:?}");
    std::fs::remove_file(&secret).unwrap();
}

/// Handlers that wait hold up their own targets only, and not more calls are received than there is room for.
#[test]
fn a_pool_with_back_pressure() {
    if !can("a_pool_with_back_pressure") {
        return;
    }
    forked(Install::new(), |listener| {
        let go = shared_numbers::<1>();
        let at_once = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        let supervisor = Supervisor::new(|call| {
            if call.args()[0] == 0 {
                return respond(Response::Return(100));
            }
            most.fetch_max(at_once.fetch_add(1, SeqCst) + 1, SeqCst);
            while go[0].load(SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            at_once.fetch_sub(1, SeqCst);
            respond(Response::Return(call.args()[0] as i64))
        })
        .threads(3);
        let stopper = supervisor.stopper().unwrap();
        std::thread::scope(|scope| {
            let run = scope.spawn(|| supervisor.run(&listener).unwrap());
            // Two that wait, and one after the other that do not.
            let slow: Vec<_> =
                (1..3).map(|n| Target::start(&listener, move || i32::from(ask([n; 6]) != n as i64))).collect();
            let quick = Target::start(&listener, || (0..50).map(|_| i32::from(ask([0; 6]) != 100)).sum());
            assert_eq!(quick.wait(), Ok(0));
            // More than the threads can take: the rest waits in the kernel.
            let more: Vec<_> =
                (3..11).map(|n| Target::start(&listener, move || i32::from(ask([n; 6]) != n as i64))).collect();
            more.iter().for_each(Target::until_it_waits);
            std::thread::sleep(Duration::from_millis(20));
            // 50 quick ones, 3 in the threads.
            assert!(supervisor.counts().received <= 50 + 3, "{}", supervisor.counts());
            go[0].store(1, SeqCst);
            assert!(slow.iter().chain(&more).all(|target| target.wait() == Ok(0)));
            stopper.stop();
            let counts = run.join().unwrap();
            assert_eq!((counts.received, counts.returned), (60, 60), "{counts}");
        });
        assert_eq!(most.load(SeqCst), 3);
    });
}

#[test]
fn handlers_that_fail() {
    if !can("handlers_that_fail") {
        return;
    }
    forked(Install::new(), |listener| {
        std::panic::set_hook(Box::new(|_| {}));
        let results = Mutex::new(Vec::new());
        let supervisor = Supervisor::new(|call| match call.args()[0] {
            0 => panic!("on purpose"),
            1 => {
                let _ = call.memory().read_bytes(0, 1)?;
                respond(Response::Return(0))
            }
            2 => {
                let _ = call.memory().read_c_string(call.args()[1], 3)?;
                respond(Response::Return(0))
            }
            _ => respond(Response::Errno(13)),
        })
        .log(|decision| {
            results.lock().unwrap().push(decision.result.clone());
            panic!("the log, too");
        })
        .threads(1);
        let stopper = supervisor.stopper().unwrap();
        std::thread::scope(|scope| {
            let run = scope.spawn(|| supervisor.run(&listener).unwrap());
            let target = Target::start(&listener, || {
                let text = *b"too long\0";
                let answers = [(0, -1), (1, i64::from(-libc::EFAULT)), (2, i64::from(-libc::ENAMETOOLONG)), (3, -13)];
                let wrong = |&(n, answer): &(u64, i64)| ask([n, text.as_ptr() as u64, 0, 0, 0, 0]) != answer;
                answers.iter().filter(|case| wrong(case)).count() as i32
            });
            assert_eq!(target.wait(), Ok(0));
            stopper.stop();
            let counts = run.join().unwrap();
            assert_eq!((counts.received, counts.failed, counts.refused), (4, 3, 1), "{counts}");
        });
        drop(supervisor);
        let results = results.into_inner().unwrap();
        assert!(matches!(&results[0], Answered::Failed(Response::Errno(1), why) if why == "the handler panicked"));
        assert!(matches!(&results[1], Answered::Failed(_, why) if why.contains("no such memory")), "{results:?}");
    });
}

/// A verdict to kill ends the process as a filter would have, and if it catches SIGSYS, too.
#[test]
fn killing() {
    if !can("killing") {
        return;
    }
    forked(Install::new(), |listener| {
        let supervisor = Supervisor::new(|_| Ok(Outcome::Done(Verdict::Kill)));
        let stopper = supervisor.stopper().unwrap();
        std::thread::scope(|scope| {
            let run = scope.spawn(|| supervisor.run(&listener).unwrap());
            let target = Target::start(&listener, || ask([0; 6]) as i32);
            assert_eq!(target.wait(), Err(libc::SIGSYS));
            let target = Target::start(&listener, || {
                handle(libc::SIGSYS, true);
                ask([0; 6]) as i32
            });
            assert_eq!(target.wait(), Err(libc::SIGKILL));
            stopper.stop();
            assert_eq!(run.join().unwrap().killed, 2);
        });
    });
}

/// The end of all targets ends a run; so does its stopper, and later runs end at once.
#[test]
fn the_end_of_a_run() {
    if !can("the_end_of_a_run") {
        return;
    }
    supervisor_of(
        || ask([5; 6]) as i32,
        |listener, target| {
            let supervisor = Supervisor::new(|call| respond(Response::Return(call.args()[0] as i64)));
            assert_eq!(supervisor.run(&listener).unwrap().received, 1);
            assert_eq!(target.wait(), Ok(5));
            supervisor.stopper().unwrap().stop();
            assert_eq!(supervisor.run(&listener).unwrap().received, 1);
        },
    );
}

/// A supervisor that is killed at any moment leaves its targets closed: what waits and what comes later fails.
#[test]
fn supervisors_that_are_killed() {
    if !can("supervisors_that_are_killed") {
        return;
    }
    for round in 0..40_u64 {
        let denied = shared_numbers::<2>();
        // The supervisor starts a program that asks for ever, and is killed. Its program must find out.
        let pid = common::fork_with(|| {
            let supervisor = Supervisor::new(|_| respond(Response::Return(7))).threads(2);
            let (reader, writer) = std::io::pipe().unwrap();
            let script = "until [ -e /no/such/folder ]; do kill -0 $$ || { echo closed; exit 9; }; done 2>/dev/null";
            let shell =
                Supervised::new("sh").args(["-c", script]).stdin(Stream::Null).stdout(Stream::Fd(writer.into()));
            let (child, listener) = shell.spawn(notifying(&["kill"]).program()).unwrap();
            denied[0].store(i64::from(child.id()), SeqCst);
            std::mem::forget(reader);
            let _ = supervisor.run(&listener);
        });
        while denied[0].load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(round * 150));
        let program = denied[0].load(SeqCst);
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
        // The program ends by itself: `kill` fails with ENOSYS.
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while unsafe { libc::kill(program as i32, 0) } == 0 && !is_zombie(program) {
            assert!(std::time::Instant::now() < end, "round {round}: the program still runs");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Nobody may have waited for it yet.
fn is_zombie(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|fields| fields.starts_with(" Z") || fields.is_empty())
}

#[test]
fn calls_that_cannot_be_supervised() {
    let new = || Supervisor::new(|_| respond(Response::Return(0)));
    let handler = |_: &callsieve::supervise::Call<'_>| respond(Response::Return(0));
    for name in NEVER_NOTIFIED {
        assert_eq!(new().on([name], handler).unwrap_err(), SuperviseError::NeverNotified { name: name.into() });
    }
    let error = new().on(["opennat"], handler).unwrap_err();
    assert_eq!(error.to_string(), "unknown system call \"opennat\" (did you mean \"openat\"?)");
}

/// What a policy denies is asked, but for the calls that are never notified.
#[test]
fn a_program_whose_denials_are_asked() {
    if !can("a_program_whose_denials_are_asked") {
        return;
    }
    let profile = Profile::new(Action::Allow).rule(Action::Errno(42), ["mkdir", "mkdirat"], []);
    let policy = profile.resolve(&kernel::host_target().unwrap()).unwrap();
    let filter = Compiler::new().compile(&policy.notify_denied(&NEVER_NOTIFIED)).unwrap();
    let supervisor = Supervisor::new(|call| match policy.decide(call.data()) {
        Action::Errno(errno) => respond(Response::Errno(errno)),
        _ => Ok(Outcome::Done(Verdict::ContinueUnchecked)),
    });
    let shell = Supervised::new("sh").args(["-c", "read word; mkdir /tmp/never; exit 4"]).stdin(Stream::Piped);
    let (mut child, listener) = shell.stderr(Stream::Piped).spawn(filter.program()).unwrap();
    child.stdin.take().unwrap().write_all(b"word\n").unwrap();
    let counts = supervisor.run(&listener).unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!((counts.received, counts.refused), (1, 1));
    assert!(text.contains("mkdir"), "{text}");
    assert_eq!(child.wait().unwrap().code(), Some(4));

    // A filter that denies even execve: the program never starts, and that is said.
    let deny_all = Profile::new(Action::KillProcess);
    let policy = deny_all.resolve(&kernel::host_target().unwrap()).unwrap();
    let filter = Compiler::new().compile(&policy.notify_denied(&NEVER_NOTIFIED)).unwrap();
    let (mut child, listener) = Supervised::new("true").spawn(filter.program()).unwrap();
    let kill = Supervisor::new(|_| Ok(Outcome::Done(Verdict::Kill)));
    assert_eq!(kill.run(&listener).unwrap().killed, 1);
    assert!(matches!(child.wait(), Err(WaitError::NeverExecuted(status)) if status.signal() == Some(libc::SIGSYS)));
}
