//! Programs started by `Supervised`, under filters that let nothing through unasked.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)] // A test.
#![allow(unsafe_code)] // Raw calls.

mod common;

use callsieve::bpf::{Action, Insn, Program, opcode};
use callsieve::kernel::{Child, ExecState, Install, Listener, Response, Stream, Supervised, WaitError};
use common::{kernel_has_filters, only};
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

static ASK_ALL: Program = Program::from_static(&[Insn::stmt(opcode::RET_K, Action::Notify.to_raw())]);

fn shell(script: &str) -> Supervised {
    Supervised::new("sh").args(["-c", script]).stdin(Stream::Null).stdout(Stream::Piped)
}

/// Lets everything go on until nobody has the filter any more; the names of the calls.
fn let_all_go_on(listener: &Listener) -> Vec<&'static str> {
    let mut names = Vec::new();
    while let Some(call) = listener.recv().unwrap() {
        names.push(call.name().unwrap());
        let _ = call.continue_unchecked().unwrap();
    }
    names
}

fn output(child: &mut Child) -> String {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// What the descriptors of a process are.
fn descriptors(pid: u32) -> Vec<String> {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    links.filter_map(|link| Some(link.ok()?.path().read_link().ok()?.display().to_string())).collect()
}

#[test]
fn every_call_of_a_program_from_its_execve_on() {
    if !kernel_has_filters("every_call_of_a_program_from_its_execve_on") {
        return;
    }
    let (mut child, listener) = shell("echo $((6 * 7)); exit 3").spawn(&ASK_ALL).unwrap();
    assert_eq!(child.exec_state(), ExecState::Pending);
    let names = let_all_go_on(&listener);
    // Nothing between the filter and execve.
    assert_eq!(names.first(), Some(&"execve"), "{names:?}");
    assert_eq!(names.last(), Some(&"exit_group"), "{names:?}");
    assert!(names.contains(&"write"), "{names:?}");
    assert_eq!(child.exec_state(), ExecState::Executed);
    assert_eq!(output(&mut child), "42\n");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

/// Before execve is answered, this process is the only one that holds the listener.
#[test]
fn one_process_holds_the_listener() {
    if !kernel_has_filters("one_process_holds_the_listener") {
        return;
    }
    // At the moment when it is handed over, too: whoever comes too late to close it in the child shows now and then.
    for _ in 0..30 {
        let (mut child, listener) = shell("exit 0").spawn(&ASK_ALL).unwrap();
        let theirs = descriptors(child.id());
        assert!(!theirs.iter().any(|fd| fd.contains("seccomp")), "{theirs:?}");
        drop(listener);
        assert!(child.wait().is_err());
    }
    let (mut child, listener) = shell("ls -l /proc/self/fd").spawn(&ASK_ALL).unwrap();
    let first = listener.recv().unwrap().unwrap();
    assert_eq!((first.name(), first.tid()), (Some("execve"), child.id()));
    let theirs = descriptors(child.id());
    assert!(!theirs.iter().any(|fd| fd.contains("seccomp")), "{theirs:?}");
    assert!(descriptors(std::process::id()).iter().any(|fd| fd.contains("seccomp notify")));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    assert!(status.contains("Seccomp:\t2\n"), "{status}");
    let _ = first.continue_unchecked().unwrap();
    let_all_go_on(&listener);
    let text = output(&mut child);
    assert!(!text.contains("seccomp") && text.contains("0 -> "), "{text}");
    assert!(child.wait().unwrap().success());
}

/// While the child waits in its execve it has nothing of this process, also where /proc/self/fd cannot be opened: whoever
/// kept an end of the socket would keep a listener that was sent when the supervisor died.
#[test]
fn the_child_has_no_descriptors_of_its_supervisor() {
    if !kernel_has_filters("the_child_has_no_descriptors_of_its_supervisor") {
        return;
    }
    for may_open in [true, false] {
        let shared = common::shared_numbers::<1>();
        let supervisor = common::fork_with(|| {
            let _pipe = std::io::pipe().unwrap();
            if !may_open {
                Install::new().install(&only(libc::SYS_openat, Action::Errno(13).to_raw())).unwrap();
            }
            let (child, _listener) = Supervised::new("/bin/true").spawn(&ASK_ALL).unwrap();
            shared[0].store(child.id().into(), SeqCst);
            loop {
                std::thread::park();
            }
        });
        while shared[0].load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        let child = u32::try_from(shared[0].load(SeqCst)).unwrap();
        let (theirs, own) = (descriptors(child), descriptors(std::process::id()));
        let new: Vec<_> = theirs.iter().filter(|fd| !own.contains(fd)).collect();
        assert!(new.len() == 1 && new[0].starts_with("socket:"), "may open: {may_open}; {theirs:?}");
        unsafe {
            libc::kill(supervisor, libc::SIGKILL);
            libc::waitpid(supervisor, std::ptr::null_mut(), 0);
        }
        // Its execve fails, and so does everything else.
        let ended = || match std::fs::read_to_string(format!("/proc/{child}/stat")) {
            Ok(stat) => stat.rsplit(')').next().unwrap().starts_with(" Z"),
            Err(_) => true,
        };
        let until = Instant::now() + Duration::from_secs(20);
        while !ended() {
            assert!(Instant::now() < until, "the child still waits");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_failing_execve_is_told_without_a_call() {
    if !kernel_has_filters("a_failing_execve_is_told_without_a_call") {
        return;
    }
    // By the kernel: no such file.
    let (mut child, listener) = Supervised::new("/does/not/exist").spawn(&ASK_ALL).unwrap();
    assert_eq!(let_all_go_on(&listener), ["execve", "exit_group"]);
    assert_eq!(child.exec_state(), ExecState::Failed { errno: libc::ENOENT });
    let error = child.wait().unwrap_err();
    assert!(matches!(error, WaitError::ExecFailed(error) if error.raw_os_error() == Some(libc::ENOENT)));
    // By the supervisor.
    let (mut child, listener) = shell("exit 0").spawn(&ASK_ALL).unwrap();
    let call = listener.recv().unwrap().unwrap();
    let _ = call.respond(Response::Errno(13)).unwrap();
    assert_eq!(let_all_go_on(&listener), ["exit_group"]);
    assert!(matches!(child.wait(), Err(WaitError::ExecFailed(error)) if error.raw_os_error() == Some(13)));
    // By a supervisor that goes away: fail closed.
    let (mut child, listener) = shell("exit 0").spawn(&ASK_ALL).unwrap();
    drop(listener);
    // exit_group fails with ENOSYS as well; the child ends by a signal.
    assert!(matches!(child.wait(), Err(WaitError::ExecFailed(error)) if error.raw_os_error() == Some(libc::ENOSYS)));
    // By the filter, which nobody is asked for.
    let killed = only(libc::SYS_execve, Action::KillProcess.to_raw());
    let (mut child, listener) = shell("exit 0").spawn(&killed).unwrap();
    assert!(listener.recv().unwrap().is_none());
    assert!(matches!(child.wait(), Err(WaitError::NeverExecuted(status)) if status.signal() == Some(libc::SIGSYS)));
}
