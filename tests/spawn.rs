//! Programs started under a filter by `kernel::spawn`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test.

mod common;

use callsieve::bpf::{Action, Insn, SyscallData, opcode};
use callsieve::kernel::{self, Install, InstallError, SpawnError, WaitError};
use common::{kernel_has_filters, only};
use std::io::ErrorKind;
use std::process::{Command, Stdio};

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

#[test]
fn the_child_is_filtered_and_the_parent_is_not() {
    if !kernel_has_filters("the_child_is_filtered_and_the_parent_is_not") {
        return;
    }
    let before = kernel::status().unwrap();
    let program = only(libc::SYS_getppid, Action::Errno(1).to_raw());
    let mut command = shell("grep -e ^NoNewPrivs: -e ^Seccomp: /proc/self/status");
    command.stdout(Stdio::piped());
    let child = kernel::spawn(command, &program, Install::new()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "NoNewPrivs:\t1\nSeccomp:\t2\n");
    assert_eq!(kernel::status().unwrap(), before);
}

#[test]
fn failing_to_start_is_told_from_failing_to_install() {
    if !kernel_has_filters("failing_to_start_is_told_from_failing_to_install") {
        return;
    }
    let allow = only(libc::SYS_execve, Action::Allow.to_raw());
    let start = kernel::spawn(Command::new("/does/not/exist"), &allow, Install::new());
    assert!(matches!(start, Err(SpawnError::Start(error)) if error.kind() == ErrorKind::NotFound));
    let deny = only(libc::SYS_execve, Action::Errno(7).to_raw());
    let start = kernel::spawn(shell("exit 0"), &deny, Install::new());
    assert!(matches!(start, Err(SpawnError::Start(error)) if error.raw_os_error() == Some(7)));
    let flags = Install::new().via_prctl(true).log(true);
    let start = kernel::spawn(shell("exit 0"), &allow, flags);
    assert!(matches!(start, Err(SpawnError::Install(InstallError::FlagsNeedSeccomp { .. }))));
}

/// A filter that denies a call and write(2), so that the child cannot say that exec failed.
fn speechless(nr: libc::c_long, action: Action) -> callsieve::bpf::Program {
    common::program(&[
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        Insn::new(opcode::JEQ_K, 2, 0, common::number(nr)),
        Insn::new(opcode::JEQ_K, 1, 0, common::number(libc::SYS_write)),
        Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
        Insn::stmt(opcode::RET_K, action.to_raw()),
    ])
}

#[test]
fn a_child_that_cannot_tell_why_it_failed() {
    if !kernel_has_filters("a_child_that_cannot_tell_why_it_failed") {
        return;
    }
    for action in [Action::Errno(1), Action::KillProcess] {
        let filter = speechless(libc::SYS_execve, action);
        let mut command = shell("exit 0");
        command.stderr(Stdio::null());
        let mut child = kernel::spawn(command, &filter, Install::new()).unwrap();
        assert!(matches!(kernel::wait(&mut child), Err(WaitError::NeverExecuted(_))), "{action}");
        // The same filter with another call: the program runs, and its status arrives.
        let filter = speechless(libc::SYS_getppid, Action::Errno(1));
        let mut child = kernel::spawn(shell("exit 3"), &filter, Install::new()).unwrap();
        assert_eq!(kernel::wait(&mut child).unwrap().code(), Some(3));
    }
}
