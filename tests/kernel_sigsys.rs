//! A daemon-like child that explains its own denials.
#![cfg(all(target_os = "linux", feature = "std"))]
#![allow(unsafe_code)] // A test needs raw calls and pipes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail as tests do.

mod common;

use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::kernel::{self, Install, SigsysHandler, SigsysInfo};
use callsieve::policy::Policy;
use callsieve::{Compiler, Profile, Target, arg};
use common::calls::native;
use common::{End, fork, kernel_has_filters, number, skip};
use std::io::Read;
use std::os::fd::FromRawFd;

/// Everything but some sockets, and no chroot.
fn policy(target: &Target) -> Policy {
    Profile::new(Action::Trap(7))
        .allow(["read", "write", "exit_group", "rt_sigreturn", "getpid", "gettid", "tgkill", "munmap"])
        .allow_if("socket", [arg::<0>().eq(1), arg::<1>().eq(5)])
        .resolve(&target.clone().bad_arch(Action::Trap(0)))
        .unwrap()
}

/// Runs a child under the policy, with standard error read by this process.
fn run(policy: &Policy, prepare: impl FnOnce(), body: impl FnOnce()) -> (End, String) {
    let mut ends = [0; 2];
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let filter = Compiler::new().compile(policy).unwrap();
    let end = fork(|| {
        unsafe { libc::dup2(ends[1], 2) };
        prepare();
        filter.install(Install::new()).expect("a filter");
        body();
        native(number(libc::SYS_exit_group), [0; 6]);
    });
    let mut text = String::new();
    unsafe { libc::close(ends[1]) };
    unsafe { std::fs::File::from_raw_fd(ends[0]) }.read_to_string(&mut text).unwrap();
    (end, text)
}

const SOCKET: [u64; 6] = [1, 0x2_0000_0002, 6, 0, 0, 0];

/// What is said about it.
fn about_socket(arch: Arch) -> String {
    format!(
        "callsieve: socket(1, {second}, 6) on {arch} is denied (TRAP)\n  ALLOW by rule 2 needs arg1 as u32 == 5, but arg1 is {second}\n",
        second = if arch.has_64bit_args() { "0x200000002" } else { "2" }
    )
}

fn ready(test: &str) -> Option<Arch> {
    if !kernel_has_filters(test) {
        return None;
    }
    if !SigsysInfo::HAS_ARGUMENTS || cfg!(target_arch = "s390x") {
        skip(test, "not all arguments are known on this architecture");
        return None;
    }
    Arch::NATIVE
}

#[test]
fn the_process_says_why_and_goes_on() {
    let Some(arch) = ready("the_process_says_why_and_goes_on") else { return };
    let policy = policy(&kernel::host_target().unwrap());
    let prepare = || SigsysHandler::new(&policy).fail_with(95).install().expect("a handler");
    let (end, text) = run(&policy, prepare, || {
        assert_eq!(native(number(libc::SYS_socket), SOCKET), -95);
        assert_eq!(native(number(libc::SYS_chroot), [0; 6]), -95);
        // The handler has kept everything else as it was.
        assert!(native(number(libc::SYS_getpid), [0; 6]) > 0);
    });
    assert_eq!(end, End::Exit(0), "{text}");
    let chroot = format!("callsieve: chroot(0) on {arch} is denied (TRAP)\n  no rule allows it\n");
    assert_eq!(text, about_socket(arch) + &chroot);
}

#[test]
fn the_process_says_why_and_dies_as_without_a_handler() {
    let Some(arch) = ready("the_process_says_why_and_dies_as_without_a_handler") else { return };
    let policy = policy(&kernel::host_target().unwrap());
    let prepare = || SigsysHandler::new(&policy).install().expect("a handler");
    let (end, text) = run(&policy, prepare, || {
        native(number(libc::SYS_socket), SOCKET);
    });
    assert_eq!((end, text), (End::Signal(libc::SIGSYS), about_socket(arch)));
}

/// The calls by which it ends itself are denied too.
#[test]
fn the_process_dies_even_where_that_is_denied() {
    let Some(arch) = ready("the_process_dies_even_where_that_is_denied") else { return };
    for (deny, expected) in
        [(Action::Trap(0), End::Signal(libc::SIGSYS)), (Action::Errno(1), End::Exit(128 + libc::SIGSYS))]
    {
        let policy = Profile::new(Action::Trap(0))
            .allow(["write", "rt_sigreturn", "exit_group"])
            .rule(deny, ["getpid", "gettid", "tgkill"], [])
            .resolve(&kernel::host_target().unwrap())
            .unwrap();
        let prepare = || SigsysHandler::new(&policy).install().expect("a handler");
        let (end, text) = run(&policy, prepare, || {
            native(number(libc::SYS_chroot), [0; 6]);
        });
        assert_eq!(end, expected);
        assert!(text.starts_with(&format!("callsieve: chroot(0) on {arch}")), "{text}");
    }
}

/// A call that was made by `int 0x80` has its arguments in other registers.
#[cfg(target_arch = "x86_64")]
#[test]
fn arguments_of_another_abi() {
    if ready("arguments_of_another_abi").is_none() {
        return;
    }
    let policy = policy(&Target::exactly(&[Arch::X86_64, Arch::X86]));
    let prepare = || SigsysHandler::new(&policy).fail_with(95).install().expect("a handler");
    let socket = Arch::X86.number("socket").unwrap();
    let (end, text) = run(&policy, prepare, || {
        assert_eq!(common::calls::i386(socket, [1, 2, 6, 0, 0, 0]), -95);
    });
    if text.is_empty() {
        return skip("arguments_of_another_abi", "the kernel has no i386 calls");
    }
    assert_eq!((end, text), (End::Exit(0), about_socket(Arch::X86)));
}

/// A signal that somebody sent is not explained.
#[test]
fn other_signals_are_no_denials() {
    if ready("other_signals_are_no_denials").is_none() {
        return;
    }
    let policy = policy(&kernel::host_target().unwrap());
    let prepare = || SigsysHandler::new(&policy).install().expect("a handler");
    let (end, text) = run(&policy, prepare, || {
        let (pid, tid) = (native(number(libc::SYS_getpid), [0; 6]), native(number(libc::SYS_gettid), [0; 6]));
        native(
            number(libc::SYS_tgkill),
            [pid.cast_unsigned(), tid.cast_unsigned(), u64::try_from(libc::SIGSYS).unwrap(), 0, 0, 0],
        );
    });
    assert_eq!((end, text.as_str()), (End::Signal(libc::SIGSYS), ""));
}
