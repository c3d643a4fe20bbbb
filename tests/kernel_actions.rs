//! What the kernel does for each action, in forked children: our names and numbers must mean what the kernel does.
//! The names of the tests are those of the kernel's own (`seccomp_bpf.c`).
#![cfg(all(target_os = "linux", feature = "std"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail as tests do.

mod common;

use callsieve::arch::Arch;
use callsieve::bpf::{Action, Insn, SyscallData, opcode};
use callsieve::kernel::Install;
use common::calls::{Trapped, getpid, getppid, gettid, ignore_sigsys, is_alive, native, on_sigsys};
use common::{Checks, End, always, child, child_passes, kernel_has_filters, number, only, only_if, program};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

const KILLED: End = End::Signal(libc::SIGSYS);

fn install(checks: &Checks, program: &callsieve::bpf::Program) {
    checks.that(Install::new().install(program).is_ok());
}

/// What getppid does under one filter after the other.
fn getppid_under(filters: &[u32]) -> Answer {
    let shared = common::shared_numbers::<2>();
    let end = child(|checks| {
        let parent = getppid();
        on_sigsys(note_trap);
        for &raw in filters {
            install(checks, &only(libc::SYS_getppid, raw));
        }
        let answer = getppid();
        shared[0].store(if answer == parent { 1 } else { answer }, SeqCst);
        shared[1].store(i64::from(TRAP_DATA.load(SeqCst)), SeqCst);
    });
    match (end, shared[0].load(SeqCst), shared[1].load(SeqCst)) {
        (KILLED, _, _) => Answer::Killed,
        (End::Exit(0), _, data) if data != 0 => Answer::Trapped(data),
        (End::Exit(0), answer, _) => Answer::Returned(answer),
        (end, ..) => panic!("unexpected end {end:?}"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Killed,
    Trapped(i64),
    /// A negative error number, or 1 for the true answer.
    Returned(i64),
}

impl Answer {
    /// Without a tracer and without a listener.
    fn of(action: Action) -> Self {
        match action {
            Action::KillProcess | Action::KillThread => Self::Killed,
            Action::Trap(data) => Self::Trapped(i64::from(data)),
            Action::Errno(errno) => Self::Returned(-i64::from(errno.min(4095))),
            Action::Notify | Action::Trace(_) => Self::Returned(-i64::from(libc::ENOSYS)),
            _ => Self::Returned(1),
        }
    }
}

/// Data of the last trap, the number of the call and its token.
static TRAP_DATA: AtomicU32 = AtomicU32::new(0);
static TRAP_NR: AtomicU32 = AtomicU32::new(0);
static TRAP_ARCH: AtomicU32 = AtomicU32::new(0);

extern "C" fn note_trap(_signal: libc::c_int, info: *const libc::siginfo_t, _context: *const libc::c_void) {
    let seen = common::calls::trapped(info);
    TRAP_DATA.store(seen.data.cast_unsigned(), SeqCst);
    TRAP_NR.store(seen.nr, SeqCst);
    TRAP_ARCH.store(seen.arch, SeqCst);
}

const ACTIONS: [Action; 8] = [
    Action::KillProcess,
    Action::KillThread,
    Action::Trap(7),
    Action::Errno(9),
    Action::Notify,
    Action::Trace(3),
    Action::Log,
    Action::Allow,
];

/// Our order of actions is the kernel's precedence, whichever filter came first: `*_is_*`, `*_in_any_order`.
#[test]
fn precedence_of_every_pair() {
    if !kernel_has_filters("precedence_of_every_pair") {
        return;
    }
    for a in ACTIONS {
        for b in ACTIONS {
            assert_eq!(getppid_under(&[a.to_raw(), b.to_raw()]), Answer::of(a.min(b)), "{a} under {b}");
        }
    }
}

#[test]
fn precedence_of_all_but_the_strongest() {
    if !kernel_has_filters("precedence_of_all_but_the_strongest") {
        return;
    }
    for first in 0..ACTIONS.len() {
        let mut stack: Vec<u32> = ACTIONS[first..].iter().map(|action| action.to_raw()).collect();
        let strongest = Answer::of(ACTIONS[first]);
        assert_eq!(getppid_under(&stack), strongest);
        stack.reverse();
        assert_eq!(getppid_under(&stack), strongest);
        let half = stack.len() / 2;
        stack.rotate_left(half);
        assert_eq!(getppid_under(&stack), strongest);
    }
}

/// Of equal actions the newest filter wins, not the one with the smaller data: the order of `Action` is ours there.
#[test]
fn errno_order_and_ties() {
    if !kernel_has_filters("errno_order_and_ties") {
        return;
    }
    let errno = |n| Action::Errno(n).to_raw();
    assert_eq!(getppid_under(&[errno(5), errno(9)]), Answer::Returned(-9));
    assert_eq!(getppid_under(&[errno(9), errno(5)]), Answer::Returned(-5));
    assert_eq!(getppid_under(&[Action::Trap(5).to_raw(), Action::Trap(9).to_raw()]), Answer::Trapped(9));
}

#[test]
fn errno_valid_zero_capped() {
    if !kernel_has_filters("errno_valid_zero_capped") {
        return;
    }
    for errno in [0, 1, 38, 4094, 4095, 4096, 0xffff] {
        let action = Action::as_kernel(Action::Errno(errno).to_raw());
        let expected = -i64::from(errno.min(4095));
        assert_eq!(action, Action::Errno(errno.min(4095)));
        assert_eq!(getppid_under(&[Action::Errno(errno).to_raw()]), Answer::Returned(expected));
    }
}

/// Any value that is no action acts as KILL_PROCESS; data that an action does not take changes nothing.
#[test]
fn unknown_return_values() {
    if !kernel_has_filters("unknown_return_values") {
        return;
    }
    let unknown = [0x1000_0000, 0x7fff_0000 ^ 0x0100_0000, 0x0006_0000, 0x0002_0000, 0x9000_0000, 0xffff_0000];
    let data = [0x7fff_1234, 0x7ffc_0001, 0x0000_0001, 0x8000_0fff];
    for raw in unknown.into_iter().chain(data) {
        let action = Action::as_kernel(raw);
        assert_eq!(Action::from_raw(raw), None);
        assert_eq!(getppid_under(&[raw]), Answer::of(action), "{raw:#010x}");
    }
    for raw in unknown {
        assert_eq!(Action::as_kernel(raw), Action::KillProcess);
    }
}

#[test]
fn allow_all_and_log_all() {
    if !kernel_has_filters("allow_all_and_log_all") {
        return;
    }
    for action in [Action::Allow, Action::Log] {
        child_passes(|checks| {
            let parent = getppid();
            install(checks, &always(action));
            checks.that(getppid() == parent);
        });
    }
}

#[test]
fn kill_all() {
    if !kernel_has_filters("kill_all") {
        return;
    }
    for action in [Action::KillThread, Action::KillProcess, Action::Trap(0)] {
        assert_eq!(child(|checks| install(checks, &always(action))), KILLED);
    }
}

#[test]
fn kill_one() {
    if !kernel_has_filters("kill_one") {
        return;
    }
    let end = child(|checks| {
        install(checks, &only(libc::SYS_getppid, Action::KillThread.to_raw()));
        checks.that(getpid() > 0);
        getppid();
        checks.that(false);
    });
    assert_eq!(end, KILLED);
}

const FATAL: u32 = 0x0c0f_fee0;

/// Arguments are what the registers hold: `KILL_one_arg_one`, `KILL_one_arg_six`.
#[test]
fn kill_one_with_an_argument() {
    if !kernel_has_filters("kill_one_with_an_argument") {
        return;
    }
    for arg in 0..6_u8 {
        let end = child(|checks| {
            install(checks, &only_if(libc::SYS_getppid, arg, FATAL, Action::KillThread.to_raw()));
            let nr = number(libc::SYS_getppid);
            checks.that(getppid() > 0);
            // In every other register it is harmless.
            let mut args = [u64::from(FATAL); 6];
            args[usize::from(arg)] = 1;
            checks.that(native(nr, args) > 0);
            args[usize::from(arg)] = u64::from(FATAL);
            native(nr, args);
            checks.that(false);
        });
        assert_eq!(end, KILLED, "argument {arg}");
    }
}

#[test]
fn kill_thread_and_kill_process() {
    if !kernel_has_filters("kill_thread_and_kill_process") {
        return;
    }
    let in_a_thread = |raw: u32| {
        child(|checks| {
            install(checks, &only(libc::SYS_getppid, raw));
            let tid: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
            let survived: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
            let _never_joined = std::thread::spawn(|| {
                tid.store(gettid(), SeqCst);
                getppid();
                survived.store(1, SeqCst);
            });
            while tid.load(SeqCst) == 0 || is_alive(tid.load(SeqCst)) {
                std::thread::yield_now();
            }
            checks.that(survived.load(SeqCst) == 0);
            checks.that(getpid() > 0);
        })
    };
    assert_eq!(in_a_thread(Action::KillThread.to_raw()), End::Exit(0));
    assert_eq!(in_a_thread(Action::KillProcess.to_raw()), KILLED);
    // KILL_unknown
    assert_eq!(in_a_thread(0x1000_0000), KILLED);
}

#[test]
fn trap_default() {
    if !kernel_has_filters("trap_default") {
        return;
    }
    let end = child(|checks| {
        install(checks, &only(libc::SYS_getppid, Action::Trap(1).to_raw()));
        getppid();
        checks.that(false);
    });
    assert_eq!(end, KILLED);
}

#[test]
fn trap_ignored() {
    if !kernel_has_filters("trap_ignored") {
        return;
    }
    let end = child(|checks| {
        ignore_sigsys();
        install(checks, &only(libc::SYS_getppid, Action::Trap(1).to_raw()));
        getppid();
        checks.that(false);
    });
    assert_eq!(end, KILLED);
}

#[test]
fn trap_handler() {
    if !kernel_has_filters("trap_handler") {
        return;
    }
    for data in [1_u16, 0xffff] {
        child_passes(|checks| {
            on_sigsys(note_trap);
            install(checks, &only(libc::SYS_getppid, Action::Trap(data).to_raw()));
            getppid();
            let seen = Trapped {
                data: i32::from(data),
                nr: number(libc::SYS_getppid),
                arch: Arch::NATIVE.map_or(0, Arch::audit),
            };
            checks.that(TRAP_DATA.load(SeqCst) == u32::from(data));
            checks.that(TRAP_NR.load(SeqCst) == seen.nr && TRAP_ARCH.load(SeqCst) == seen.arch);
        });
    }
}

/// The number -1, with which a tracer skips a call, is judged like any other.
#[test]
fn negative_numbers() {
    if !kernel_has_filters("negative_numbers") {
        return;
    }
    child_passes(|checks| {
        for nr in [u32::MAX, u32::MAX - 100] {
            checks.that(native(nr, [0; 6]) == -i64::from(libc::ENOSYS));
        }
        install(checks, &only(-1, Action::Errno(9).to_raw()));
        checks.that(native(u32::MAX, [0; 6]) == -9);
        checks.that(native(u32::MAX - 100, [0; 6]) == -i64::from(libc::ENOSYS));
    });
}

/// A load outside of the arguments is refused by `Program`, so it never reaches the kernel.
#[test]
fn arg_out_of_range() {
    let load = |k| {
        let ret = Insn::stmt(opcode::RET_K, 0);
        callsieve::bpf::Program::new(vec![Insn::stmt(opcode::LD_W_ABS, k), ret])
    };
    for k in [SyscallData::SIZE, 2, u32::MAX] {
        assert!(load(k).is_err());
        if kernel_has_filters("arg_out_of_range") {
            child_passes(|checks| {
                let insns = [Insn::stmt(opcode::LD_W_ABS, k), Insn::stmt(opcode::RET_K, 0)];
                checks.that(common::calls::seccomp_set_filter(0, &insns) == -i64::from(libc::EINVAL));
            });
        }
    }
    assert!(load(SyscallData::SIZE - 4).is_ok());
}

/// The byte order of the words of an argument is that of the machine.
#[test]
fn halves_of_arguments() {
    if !kernel_has_filters("halves_of_arguments") || !cfg!(target_pointer_width = "64") {
        return;
    }
    let high = SyscallData::high_word(3, callsieve::bpf::Endian::NATIVE).unwrap();
    let filter = program(&[
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        Insn::new(opcode::JEQ_K, 0, 3, number(libc::SYS_getppid)),
        Insn::stmt(opcode::LD_W_ABS, high),
        Insn::new(opcode::JEQ_K, 0, 1, 0x1122_3344),
        Insn::stmt(opcode::RET_K, Action::Errno(8).to_raw()),
        Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
    ]);
    child_passes(|checks| {
        install(checks, &filter);
        let nr = number(libc::SYS_getppid);
        checks.that(native(nr, [0, 0, 0, 0x1122_3344_5566_7788, 0, 0]) == -8);
        checks.that(native(nr, [0, 0, 0, 0x5566_7788_1122_3344, 0, 0]) > 0);
    });
}

/// `uretprobe` and `uprobe` run whatever the filters say, which is why the judge does not ask about them.
#[test]
#[cfg(target_arch = "x86_64")]
fn exempt_numbers() {
    if !kernel_has_filters("exempt_numbers") {
        return;
    }
    let kernel = callsieve::kernel::host().unwrap().kernel();
    for (nr, since) in
        [(335, callsieve::arch::KernelVersion::new(6, 11)), (336, callsieve::arch::KernelVersion::new(6, 18))]
    {
        let own = child(|_| native_then_exit(nr));
        let filtered = child(|checks| {
            install(checks, &only(libc::c_long::from(nr), Action::Errno(9).to_raw()));
            native_then_exit(nr);
        });
        if kernel >= since {
            assert_eq!(filtered, own, "number {nr} is carried out under a filter as without");
            assert_ne!(filtered, End::Exit(9));
        } else {
            assert_eq!(filtered, End::Exit(9));
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn native_then_exit(nr: i32) {
    let answer = native(nr.cast_unsigned(), [0; 6]);
    std::process::exit(i32::try_from(-answer).unwrap_or(200));
}
