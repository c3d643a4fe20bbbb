//! The running kernel as a judge: what does a filter do with a call?
//!
//! Probed calls are never carried out, so any number and any argument is safe. A base filter that answers ERRNO 3703 to
//! everything lies under the tested one: KILL, TRAP and ERRNO of the tested filter win, since they outrank it or, at
//! the same rank, are newer; anything weaker shows as 3703. The calls are made in a second thread of a forked child, so
//! that the death of a thread and of the process differ. One child makes calls until one of them ends it.

use super::calls::{self, Trapped};
use super::{End, Number, Shared, fork};
use callsieve::arch::Arch;
use callsieve::bpf::{Action, Endian, Insn, Program, SyscallData, opcode};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// The base's answer. A tested filter must not use it.
pub const MARK: u16 = 3703;

/// What the kernel did with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    KillProcess,
    KillThread,
    Trap(u16),
    Errno(u16),
    /// Something weaker than ERRNO: ALLOW, LOG, TRACE or NOTIFY.
    Passed,
    /// On the second look.
    Notify,
    /// On the second look.
    Trace(u16),
    /// On the second look.
    AllowOrLog,
    /// The kernel exempts this call from filters: uretprobe and uprobe of native `x86_64`.
    Exempt,
    /// This kernel cannot make such a call from this program.
    NoSuchAbi,
    /// The call came back although it must not: the base filter would have stopped it.
    Ran(i64),
    /// The child ended in another way.
    Ended(End),
}

impl Observed {
    /// What one sees of an action.
    pub fn of(action: Action) -> Self {
        match action {
            Action::KillProcess => Self::KillProcess,
            Action::KillThread => Self::KillThread,
            Action::Trap(data) => Self::Trap(data),
            Action::Errno(errno) => Self::Errno(errno.min(Action::MAX_ERRNO)),
            _ => Self::Passed,
        }
    }

    /// What one sees of an action on the second look.
    pub fn exactly(action: Action) -> Self {
        match action {
            Action::Notify => Self::Notify,
            Action::Trace(data) => Self::Trace(data),
            Action::Log | Action::Allow => Self::AllowOrLog,
            other => Self::of(other),
        }
    }

    /// Whether the judge has seen what the action would show, or could not look.
    pub fn agrees_with(self, action: Action) -> bool {
        matches!(self, Self::Exempt | Self::NoSuchAbi) || self == Self::of(action) || self == Self::exactly(action)
    }
}

/// Asks the running kernel what it does with each call under this program. Native calls and, on `x86_64`, those of
/// i386 and x32 can be asked; the instruction pointer of a call is not looked at.
///
/// # Panics
/// If the kernel refuses the program.
pub fn probe_calls(program: &Program, calls: &[SyscallData]) -> Vec<Observed> {
    let has_i386 = calls.iter().any(|call| call.arch == Arch::X86.audit()) && calls::has_i386();
    let askable: Vec<(usize, SyscallData)> =
        calls.iter().copied().enumerate().filter(|(_, call)| unaskable(call, has_i386).is_none()).collect();
    let mut observed: Vec<_> = calls.iter().map(|c| unaskable(c, has_i386).unwrap_or(Observed::Exempt)).collect();
    for (chunk, answers) in askable.chunks(CHUNK).map(|chunk| (chunk, judge(program, chunk))) {
        for ((index, _), answer) in chunk.iter().zip(answers) {
            observed[*index] = answer;
        }
    }
    observed
}

/// The same, and what passed gets a second look with a tracer, so that NOTIFY, TRACE and its data, and ALLOW or LOG are
/// told apart. Only on `x86_64`, where the tracer knows how to skip a call; elsewhere it stays at the first look.
///
/// # Panics
/// If the kernel refuses the program.
pub fn probe_calls_exactly(program: &Program, calls: &[SyscallData]) -> Vec<Observed> {
    #[allow(unused_mut)] // Elsewhere.
    let mut observed = probe_calls(program, calls);
    #[cfg(target_arch = "x86_64")]
    {
        let passed = calls.iter().copied().enumerate().filter(|&(index, _)| observed[index] == Observed::Passed);
        let passed: Vec<_> = passed.collect();
        for chunk in passed.chunks(CHUNK) {
            for ((index, _), seen) in chunk.iter().zip(super::tracer::trace(program, chunk)) {
                observed[*index] = seen;
            }
        }
    }
    observed
}

/// Why a call cannot be asked about.
fn unaskable(call: &SyscallData, has_i386: bool) -> Option<Observed> {
    let native = Arch::NATIVE.map(Arch::audit) == Some(call.arch);
    if cfg!(target_arch = "x86_64") && call.arch == Arch::X86.audit() {
        (!has_i386).then_some(Observed::NoSuchAbi)
    } else if !native {
        Some(Observed::NoSuchAbi)
    } else if cfg!(target_arch = "x86_64") && matches!(call.nr, 335 | 336) {
        Some(Observed::Exempt)
    } else {
        None
    }
}

const CHUNK: usize = 1024;

/// What the child tells while it works.
#[repr(C)]
pub struct Board {
    /// Index of the call that is being made.
    pub current: AtomicU32,
    tid: AtomicU32,
    pub done: AtomicU32,
    pub refused: AtomicU32,
    pub answers: [Number; CHUNK],
    /// The kernel's `struct sock_fprog`, at an address that the base filter knows.
    fprog: [AtomicUsize; 2],
}

/// Marks an answer as the data of a trap.
const TRAP: i64 = 1 << 40;

/// Where the signal handler finds the board.
static BOARD: AtomicUsize = AtomicUsize::new(0);

fn judge(program: &Program, calls: &[(usize, SyscallData)]) -> Vec<Observed> {
    let board: Shared<Board> = unsafe { Shared::new() };
    let mut observed = Vec::new();
    while observed.len() < calls.len() {
        let first = observed.len();
        board.tid.store(0, SeqCst);
        board.done.store(0, SeqCst);
        let end = fork(|| watch(&board, program, calls, first));
        assert_eq!(board.refused.load(SeqCst), 0, "the kernel refuses the program");
        let last = board.current.load(SeqCst) as usize;
        observed.extend((first..last).map(|index| verdict(board.answers[index].load(SeqCst))));
        observed.push(match end {
            End::Exit(0) => verdict(board.answers[last].load(SeqCst)),
            End::Exit(THREAD_DIED) => Observed::KillThread,
            End::Signal(libc::SIGSYS) => Observed::KillProcess,
            end => Observed::Ended(end),
        });
    }
    observed
}

fn verdict(answer: i64) -> Observed {
    match answer {
        answer if answer & TRAP != 0 && answer > 0 => Observed::Trap((answer & 0xffff) as u16),
        answer if answer == -i64::from(MARK) => Observed::Passed,
        0 => Observed::Errno(0),
        answer @ -4095..=-1 => Observed::Errno(answer.unsigned_abs() as u16),
        answer => Observed::Ran(answer),
    }
}

const THREAD_DIED: i32 = 77;

/// The first thread of the child: it has no filter and ends the process when the second one is through or dead.
fn watch(board: &Shared<Board>, program: &Program, calls: &[(usize, SyscallData)], first: usize) {
    calls::on_sigsys(note_trap);
    BOARD.store(std::ptr::from_ref::<Board>(board) as usize, SeqCst);
    let exit = |status| unsafe { libc::_exit(status) };
    std::thread::scope(|scope| {
        scope.spawn(|| work(board, program, calls, first, Action::Errno(MARK)));
        loop {
            let tid = board.tid.load(SeqCst);
            let alive = tid == 0 || calls::is_alive(tid);
            if board.done.load(SeqCst) != 0 {
                exit(0);
            } else if !alive {
                exit(THREAD_DIED);
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    });
}

/// Makes the calls. After its filters this thread can make no call that comes through, so somebody else ends it.
pub fn work(board: &Board, program: &Program, calls: &[(usize, SyscallData)], first: usize, mark: Action) {
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let base = base(board, mark);
    board.current.store(first as u32, SeqCst);
    board.tid.store(calls::gettid(), SeqCst);
    for filter in [base.as_insns(), program.as_insns()] {
        let answer = install(board, filter);
        if answer != 0 {
            board.refused.store(answer.unsigned_abs() as u32, SeqCst);
            finish(board);
        }
    }
    for (index, (_, call)) in calls.iter().enumerate().skip(first) {
        board.current.store(index as u32, SeqCst);
        board.answers[index].store(make(call), SeqCst);
    }
    #[cfg(target_arch = "x86_64")]
    if matches!(mark, Action::Trace(_)) {
        board.done.store(1, SeqCst);
        // A tracer sees this without any call.
        unsafe { std::arch::asm!("ud2", options(noreturn)) };
    }
    finish(board);
}

fn finish(board: &Board) -> ! {
    board.done.store(1, SeqCst);
    loop {
        std::hint::spin_loop();
    }
}

fn make(call: &SyscallData) -> i64 {
    #[cfg(target_arch = "x86_64")]
    if call.arch == Arch::X86.audit() {
        return calls::i386(call.nr, call.args.map(|arg| arg as u32));
    }
    calls::native(call.nr, call.args)
}

extern "C" fn note_trap(_signal: libc::c_int, info: *const libc::siginfo_t, _context: *const libc::c_void) {
    let board = unsafe { &*(BOARD.load(SeqCst) as *const Board) };
    let seen = unsafe { Trapped::read(info) };
    board.answers[board.current.load(SeqCst) as usize].store(TRAP | i64::from(seen.data & 0xffff), SeqCst);
    finish(board);
}

/// Writes a `struct sock_fprog` to its known place and installs it.
fn install(board: &Board, insns: &[Insn]) -> i64 {
    let fprog = libc::sock_fprog { len: insns.len() as u16, filter: insns.as_ptr().cast_mut().cast() };
    unsafe { board.fprog.as_ptr().cast::<libc::sock_fprog>().cast_mut().write_volatile(fprog) };
    let at = board.fprog.as_ptr() as u64;
    // Speculation mitigations would only slow the test down.
    calls::native(libc::SYS_seccomp as u32, [1, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u64, at, 0, 0, 0])
}

/// The mark for everything but the call that installs the tested filter.
fn base(board: &Board, mark: Action) -> Program {
    let at = board.fprog.as_ptr() as u64 as u32;
    super::program(&[
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        Insn::new(opcode::JEQ_K, 0, 3, libc::SYS_seccomp as u32),
        Insn::stmt(opcode::LD_W_ABS, SyscallData::low_word(2, Endian::NATIVE).unwrap()),
        Insn::new(opcode::JEQ_K, 0, 1, at),
        Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
        Insn::stmt(opcode::RET_K, mark.to_raw()),
    ])
}
