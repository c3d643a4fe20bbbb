//! Sandboxes on the running kernel, in forked children: what a set is for works, and what it is not for dies.
#![cfg(all(target_os = "linux", feature = "std"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail as tests do.

mod common;

use callsieve::kernel::{self, CommandExt as _, Install, InstallError};
use callsieve::sandbox::{Enforcement, SandboxError, Threads, sets::v1};
use callsieve::{Action, Arch, Sandbox, arg};
use common::calls::{getppid, gettid};
use common::{End, always, child, child_passes, kernel_has_filters, skip};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

const FIONREAD: u64 = 0x541b;

/// The daemon of the documentation.
fn daemon() -> Sandbox {
    Sandbox::deny_by_default().allow(v1::RUNTIME).allow(v1::NET_SERVER).allow_if("ioctl", [arg::<1>().eq(FIONREAD)])
}

/// Answers so many requests, each with what it asked.
fn serve(listener: &TcpListener, requests: usize) {
    for _ in 0..requests {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 64];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(&request[..length]).unwrap();
    }
}

/// Asks a server so many times, from another process, and tells how that went.
fn ask(address: SocketAddr, requests: usize) -> std::thread::JoinHandle<bool> {
    std::thread::spawn(move || {
        (0..requests).all(|number| {
            let question = format!("question {number}");
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(question.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer == question
        })
    })
}

#[test]
fn a_daemon_serves_and_an_injected_program_dies() {
    if !kernel_has_filters("a_daemon_serves_and_an_injected_program_dies") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = ask(listener.local_addr().unwrap(), 50);
    let end = child(|checks| {
        let status = daemon().enter().unwrap();
        checks.that(status.enforcement() == Enforcement::Full && status.threads() == Threads::All);
        serve(&listener, 50);
        let _ = Command::new("/bin/true").status();
        checks.that(false); // Not reached.
    });
    assert!(client.join().unwrap());
    assert_eq!(end, End::Signal(libc::SIGSYS));
}

/// A thread that waits, then tells what happened to a file.
fn waiting_thread() -> (std::sync::mpsc::Sender<()>, Receiver<Option<i32>>) {
    let (order, orders) = channel();
    let (report, reports) = channel();
    std::thread::spawn(move || {
        while orders.recv().is_ok() {
            let opened = File::open("/proc/self/status");
            let _ = report.send(opened.err().and_then(|error| error.raw_os_error()));
        }
    });
    (order, reports)
}

#[test]
fn all_threads_are_confined() {
    if !kernel_has_filters("all_threads_are_confined") {
        return;
    }
    child_passes(|checks| {
        let (order, reports) = waiting_thread();
        let opens = || {
            order.send(()).unwrap();
            reports.recv().unwrap()
        };
        checks.that(opens().is_none() && File::open("/proc/self/status").is_ok());
        let sandbox = Sandbox::deny_by_default().allow([v1::RUNTIME, v1::THREADS]).on_violation(Action::Errno(13));
        checks.that(sandbox.enter().unwrap().threads() == Threads::All);
        checks.that(opens() == Some(13));
        checks.that(File::open("/proc/self/status").unwrap_err().raw_os_error() == Some(13));
        // A thread may still be started, a process may not.
        checks.that(std::thread::spawn(|| 7).join().unwrap() == 7);
        checks.that(Command::new("/bin/true").status().is_err());
    });
}

#[test]
fn one_thread_is_confined_alone() {
    if !kernel_has_filters("one_thread_is_confined_alone") {
        return;
    }
    child_passes(|checks| {
        let sandbox = Sandbox::deny_by_default().allow([v1::RUNTIME, v1::THREADS]).on_violation(Action::Errno(13));
        let inside = std::thread::spawn(move || {
            assert_eq!(sandbox.enter_thread().unwrap().threads(), Threads::Current);
            File::open("/proc/self/status").err().and_then(|error| error.raw_os_error())
        });
        checks.that(inside.join().unwrap() == Some(13));
        checks.that(File::open("/proc/self/status").is_ok());
    });
}

#[test]
fn a_thread_with_its_own_filter_is_named_and_nothing_is_installed() {
    if !kernel_has_filters("a_thread_with_its_own_filter_is_named_and_nothing_is_installed") {
        return;
    }
    child_passes(|checks| {
        let (started, start) = channel();
        let (end, ended) = channel::<()>();
        let thread = std::thread::spawn(move || {
            Install::new().install(&always(Action::Allow)).unwrap();
            started.send(gettid()).unwrap();
            let _ = ended.recv();
        });
        let tid = start.recv().unwrap();
        let error = daemon().enter().unwrap_err();
        checks.that(matches!(error, SandboxError::Install(InstallError::ThreadDiverged { tid: Some(t) }) if t == tid));
        let status = kernel::status().unwrap();
        checks.that(status.mode() == kernel::Mode::Disabled && status.no_new_privs());
        checks.that(getppid() > 0 && File::open("/proc/self/status").is_ok());
        drop(end);
        thread.join().unwrap();
    });
}

/// Runs a program under sets and gives its output.
fn output(sandbox: &Sandbox, program: &str, args: &[&str]) -> (Option<i32>, String) {
    let filter = sandbox.filter(Arch::NATIVE.unwrap()).unwrap();
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).env("LC_ALL", "C");
    let child = kernel::spawn(command, filter.program(), Install::new()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text.into_owned())
}

/// What any program needs that is executed.
fn program() -> Sandbox {
    Sandbox::deny_by_default().allow([v1::RUNTIME, v1::LOADER]).allow("execve")
}

/// What a runtime does: compile once in the parent, start many programs, from any thread.
#[test]
fn commands_start_under_a_filter() {
    fn is_plain_data<T: Send + Sync + Clone + 'static>(_: &T) {}
    if !kernel_has_filters("commands_start_under_a_filter") {
        return;
    }
    let filter = program().allow(v1::FILE_READ).filter(Arch::NATIVE.unwrap()).unwrap();
    is_plain_data(&filter);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let output = Command::new("/bin/cat").arg("/proc/self/status").seccomp(&filter).output().unwrap();
                assert!(String::from_utf8_lossy(&output.stdout).contains("Seccomp:\t2"), "{output:?}");
                let status = Command::new("/bin/mkdir").arg("/tmp").seccomp(&filter).status().unwrap();
                assert!(!status.success());
            });
        }
    });
    assert_eq!(kernel::status().unwrap().mode(), kernel::Mode::Disabled);
}

#[test]
fn programs_that_read_files() {
    if !kernel_has_filters("programs_that_read_files") {
        return;
    }
    let reader = program().allow([v1::FILE_READ, v1::INFO]);
    for (command, args) in
        [("/bin/ls", &["-lnR", "/etc/apt"][..]), ("/bin/cat", &["/proc/version"]), ("/usr/bin/du", &["-s", "/bin"])]
    {
        if !std::path::Path::new(command).exists() || !std::path::Path::new(args[args.len() - 1]).exists() {
            skip("programs_that_read_files", &format!("no {command} or nothing to read"));
            continue;
        }
        let (status, text) = output(&reader, command, args);
        assert_eq!(status, Some(0), "{command}: {text}");
        assert!(!text.is_empty());
    }
    // The same programs cannot write.
    let target = std::env::temp_dir().join(format!("callsieve-sandbox-{}", std::process::id()));
    let (status, text) = output(&reader, "/bin/cp", &["/proc/version", target.to_str().unwrap()]);
    assert!(status != Some(0) && !target.exists(), "{text}");
}

#[test]
fn programs_that_write_files_and_start_others() {
    if !kernel_has_filters("programs_that_write_files_and_start_others") {
        return;
    }
    let target = std::env::temp_dir().join(format!("callsieve-sandbox-sh-{}", std::process::id()));
    let script = format!("echo one two > {0} && cat {0} | wc -w; rm {0}", target.display());
    let sandbox = program().allow([v1::FILE_READ, v1::FILE_WRITE, v1::INFO, v1::PROCESS, v1::SIGNALS]);
    let (status, text) = output(&sandbox, "/bin/sh", &["-c", &script]);
    assert_eq!((status, text.trim()), (Some(0), "2"));
    // Without the set for processes, the shell cannot start any.
    let alone = program().allow([v1::FILE_READ, v1::FILE_WRITE, v1::INFO, v1::SIGNALS]);
    let (status, text) = output(&alone, "/bin/sh", &["-c", "/bin/true; echo not reached"]);
    assert!(status != Some(0) && !text.contains("not reached"), "{status:?} {text}");
}
