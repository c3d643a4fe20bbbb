//! Installing between fork and exec: nothing is allocated, and a real program runs under the filter.
#![cfg(all(target_os = "linux", feature = "std"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail as tests do.
#![allow(unsafe_code)] // An allocator that watches, and `pre_exec`.

mod common;

use callsieve::bpf::{Action, Endian, Insn, Program, SyscallData, opcode};
use callsieve::kernel::{Install, InstallError, host, probe, strict_mode};
use std::alloc::{GlobalAlloc, Layout, System};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Ends the process when something is allocated or freed while it is armed.
struct Watched;

/// Only ever set in a child, which has one thread.
static ARMED: AtomicBool = AtomicBool::new(false);
const ALLOCATED: i32 = 99;

fn watch() {
    if ARMED.load(SeqCst) {
        unsafe { libc::_exit(ALLOCATED) };
    }
}

unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        watch();
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn armed<T>(body: impl FnOnce() -> T) -> T {
    ARMED.store(true, SeqCst);
    let result = body();
    ARMED.store(false, SeqCst);
    result
}

/// Denies to make directories and to send signals; the numbers are those of the machine.
fn hand_made() -> Program {
    let deny = |nr: libc::c_long, skip| Insn::new(opcode::JEQ_K, skip, 0, common::number(nr));
    common::program(&[
        Insn::stmt(opcode::LD_W_ABS, SyscallData::ARCH),
        Insn::new(opcode::JEQ_K, 1, 0, callsieve::arch::Arch::NATIVE.unwrap().audit()),
        Insn::stmt(opcode::RET_K, Action::KillProcess.to_raw()),
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        deny(libc::SYS_mkdirat, 3),
        deny(OLD_MKDIR, 2),
        deny(libc::SYS_kill, 1),
        Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
        Insn::stmt(opcode::RET_K, Action::Errno(95).to_raw()),
    ])
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86", target_arch = "arm", target_arch = "s390x"))]
const OLD_MKDIR: libc::c_long = libc::SYS_mkdir;
#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "arm", target_arch = "s390x")))]
const OLD_MKDIR: libc::c_long = libc::SYS_mkdirat;

/// Runs a shell under a filter that is installed between fork and exec with the allocator armed.
fn shell(install: Install, program: Program, script: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("LC_ALL", "C");
    let install = move || {
        let installed = armed(|| install.install(&program));
        installed.map(drop).map_err(|error| std::io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(1)))
    };
    unsafe { command.pre_exec(install) };
    command.output().expect("sh")
}

/// The shell must be of the ABI that the filter is for.
fn can_run(test: &str) -> bool {
    let host = host().unwrap();
    let same = host.kernel_arch() == Some(host.program_arch());
    if !same {
        common::skip(test, "this is a 32-bit program on a 64-bit system, whose shell is foreign to the filter");
    }
    same && common::kernel_has_filters(test)
}

#[test]
fn a_real_program_under_a_filter() {
    if !can_run("a_real_program_under_a_filter") {
        return;
    }
    let script = "mkdir /tmp/callsieve-denied; echo $?; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status";
    let output = shell(Install::new(), hand_made(), script);
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text, "1\nNoNewPrivs:\t1\nSeccomp:\t2\n", "{errors}");
    assert!(errors.contains("not supported"), "95 is EOPNOTSUPP: {errors}");
    assert!(!std::path::Path::new("/tmp/callsieve-denied").exists());
}

/// `Seccomp_filters:` is one higher than outside.
#[test]
fn one_filter_more_than_outside() {
    if !can_run("one_filter_more_than_outside") {
        return;
    }
    let Some(outside) = callsieve::kernel::status().unwrap().filters() else {
        return common::skip("one_filter_more_than_outside", "the kernel does not count filters");
    };
    let output = shell(Install::new(), hand_made(), "grep ^Seccomp_filters: /proc/self/status");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("Seccomp_filters:\t{}\n", outside + 1));
}

/// Every way to install, also those that fail, and every question that is documented to allocate nothing.
#[test]
fn nothing_is_allocated() {
    if !common::kernel_has_filters("nothing_is_allocated") {
        return;
    }
    let big = common::program(&vec![Insn::stmt(opcode::RET_K, Action::Allow.to_raw()); 4096]);
    let deny = common::only(libc::SYS_seccomp, Action::Errno(22).to_raw());
    common::child_passes(|checks| {
        armed(|| {
            checks.that(host().is_ok());
            checks.that(probe().filter_mode());
            for install in [Install::new(), Install::new().log(true).tsync(true), Install::new().via_prctl(true)] {
                checks.that(install.install(&hand_made_static()).is_ok());
            }
            checks.that(Install::new().via_prctl(true).log(true).install(&big).is_err());
            let mut answer = Ok(());
            while answer.is_ok() {
                answer = Install::new().install(&big).map(drop);
            }
            checks.that(matches!(answer, Err(InstallError::TooLong { .. })));
            checks.that(strict_mode() == Err(InstallError::ModeLocked));
        });
    });
    common::child_passes(|checks| {
        armed(|| {
            checks.that(Install::new().install(&deny).is_ok());
            let answer = Install::new().log(true).install(&big);
            checks.that(matches!(answer, Err(InstallError::UnknownFlags { .. })));
            checks.that(Install::new().install(&big) == Err(InstallError::NoFilterMode));
        });
    });
}

/// A filter in a `static` needs no allocation to exist either.
fn hand_made_static() -> Program {
    const INSNS: &[Insn] = &[
        Insn::stmt(opcode::LD_W_ABS, 16 + if matches!(Endian::NATIVE, Endian::Big) { 4 } else { 0 }),
        Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
    ];
    Program::from_static(INSNS)
}

/// The watch itself works.
#[test]
fn an_allocation_would_be_noticed() {
    let end = common::child(|_| armed(|| drop(std::hint::black_box(Box::new(7)))));
    assert_eq!(end, common::End::Exit(ALLOCATED));
}
