//! Helpers for tests on the running kernel: forked children, small filters, raw calls, skips.

#![allow(dead_code)] // Every test binary uses a part of it.
#![allow(unsafe_code)] // Only the library is held to one floor; tests need fork, raw calls and shared memory.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests fail as tests do.
#![allow(clippy::many_single_char_names)] // Six arguments.
// Registers, and constants whose type differs from machine to machine.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::unnecessary_cast
)]

pub mod calls;
pub mod judge;
pub mod supervision;
#[cfg(target_arch = "x86_64")]
pub mod tracer;

use callsieve::bpf::{Action, Endian, Insn, Program, SyscallData, opcode};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    Signal(i32),
}

/// Memory that a child shares with its parent, all zero at first.
pub struct Shared<T> {
    at: *mut T,
}

// What is shared is atomics, see `new`.
unsafe impl<T: Sync> Sync for Shared<T> {}
unsafe impl<T: Sync> Send for Shared<T> {}

impl<T: Sync> Shared<T> {
    /// Maps it.
    ///
    /// # Safety
    /// All zero must be a value of `T`, and everything in it that is written later an atomic.
    pub unsafe fn new() -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let at = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<T>(), protection, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        Self { at: at.cast() }
    }
}

impl<T> std::ops::Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        unsafe { &*self.at }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        unsafe { libc::munmap(self.at.cast(), size_of::<T>()) };
    }
}

/// Where a child notes the lines of checks that failed. It writes to shared memory, so it works under any filter.
pub struct Checks {
    notes: Shared<Notes>,
}

#[repr(C)]
struct Notes {
    count: AtomicU32,
    lines: [AtomicU32; 32],
}

impl Checks {
    #[track_caller]
    pub fn that(&self, holds: bool) {
        if !holds {
            let index = self.notes.count.fetch_add(1, Ordering::SeqCst) as usize;
            self.notes.lines[index % 32].store(Location::caller().line(), Ordering::SeqCst);
        }
    }

    fn failed(&self) -> Vec<u32> {
        let count = self.notes.count.load(Ordering::SeqCst).min(32) as usize;
        self.notes.lines[..count].iter().map(|line| line.load(Ordering::SeqCst)).collect()
    }
}

/// Runs `body` in a forked child and tells how that ended; 0 is the exit status if `body` returns. Fails if a check of
/// the child failed.
#[track_caller]
pub fn child(body: impl FnOnce(&Checks)) -> End {
    let checks = Checks { notes: unsafe { Shared::new() } };
    let end = fork(|| body(&checks));
    assert!(checks.failed().is_empty(), "checks in the child failed, lines {:?}; it ended by {end:?}", checks.failed());
    end
}

/// The same, and the child must return.
#[track_caller]
pub fn child_passes(body: impl FnOnce(&Checks)) {
    assert_eq!(child(body), End::Exit(0));
}

pub fn fork(body: impl FnOnce()) -> End {
    let pid = fork_with(body);
    let mut status = 0;
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EINTR));
    }
    if libc::WIFSIGNALED(status) { End::Signal(libc::WTERMSIG(status)) } else { End::Exit(libc::WEXITSTATUS(status)) }
}

/// Forks and gives back the child, which somebody has to wait for.
pub fn fork_with(body: impl FnOnce()) -> libc::pid_t {
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core) };
        // A child that hangs must not hang the tests.
        unsafe { libc::alarm(120) };
        let status = match catch_unwind(AssertUnwindSafe(body)) {
            Ok(()) => 0,
            Err(_) => 101,
        };
        unsafe { libc::_exit(status) };
    }
    pid
}

/// Says that a test, or a part of it, did not run: to the real standard error, past the harness, and to the file named
/// by `CALLSIEVE_SKIPS`, which CI compares with the skips that it expects.
pub fn skip(test: &str, reason: &str) {
    let line = format!("SKIP {test}: {reason}\n");
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
    if let Some(path) = std::env::var_os("CALLSIEVE_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("CALLSIEVE_SKIPS must be writable");
    }
}

/// Whether filters can be installed here; if not, the test is skipped (qemu-user has no seccomp).
pub fn kernel_has_filters(test: &str) -> bool {
    let has = callsieve::kernel::probe().filter_mode();
    if !has {
        skip(test, "the kernel takes no filters");
    }
    has
}

pub fn program(insns: &[Insn]) -> Program {
    Program::new(insns.to_vec()).expect("a valid test program")
}

/// Everything gets this action.
pub fn always(action: Action) -> Program {
    program(&[Insn::stmt(opcode::RET_K, action.to_raw())])
}

/// The number of a call as a filter sees it.
pub fn number(nr: libc::c_long) -> u32 {
    nr as u32
}

/// One call gets this return value, everything else is allowed.
pub fn only(nr: libc::c_long, raw: u32) -> Program {
    program(&[
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        Insn::new(opcode::JEQ_K, 0, 1, nr as u32),
        Insn::stmt(opcode::RET_K, raw),
        Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
    ])
}

/// One call gets this return value if the low word of an argument has a value, everything else is allowed.
pub fn only_if(nr: libc::c_long, arg: u8, value: u32, raw: u32) -> Program {
    program(&[
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        Insn::new(opcode::JEQ_K, 0, 3, nr as u32),
        Insn::stmt(opcode::LD_W_ABS, SyscallData::low_word(arg, Endian::NATIVE).unwrap()),
        Insn::new(opcode::JEQ_K, 0, 1, value),
        Insn::stmt(opcode::RET_K, raw),
        Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
    ])
}

/// A number that one side writes and the other reads. In halves, since some 32-bit machines have no wider atomics.
#[repr(C)]
pub struct Number {
    halves: [AtomicU32; 2],
}

impl Number {
    pub fn store(&self, value: i64, order: Ordering) {
        self.halves[0].store(value as u32, order);
        self.halves[1].store((value >> 32) as u32, order);
    }

    pub fn load(&self, order: Ordering) -> i64 {
        i64::from(self.halves[0].load(order)) | i64::from(self.halves[1].load(order)) << 32
    }
}

/// Numbers shared with children, all 0 at first.
pub fn shared_numbers<const N: usize>() -> Shared<[Number; N]> {
    // Zero is a value of an atomic number.
    unsafe { Shared::new() }
}

/// Whether Landlock and some programs are there; if not, the test is skipped.
#[cfg(feature = "nurse")]
pub fn nurse_is_ready(test: &str, programs: &[&str]) -> bool {
    if !kernel_has_filters(test) {
        return false;
    }
    let nurse = callsieve::nurse::Nurse::new(&callsieve::nurse::Acl::new());
    if let Err(error) = nurse.and_then(|nurse| nurse.check_exec()) {
        skip(test, &error.to_string());
        return false;
    }
    for program in programs {
        if !std::path::Path::new("/usr/bin").join(program).exists() {
            skip(test, &format!("/usr/bin/{program} is not installed"));
            return false;
        }
    }
    true
}
