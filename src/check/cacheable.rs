//! The kernel's constant-allow emulator.
//!
//! When a filter is installed, the kernel (5.11 and later, on architectures with an allow bitmap) runs it once per
//! system call number with only the number and the architecture known. Where that run ends in exactly ALLOW, later
//! calls skip the filter. This is a port of `seccomp_is_const_allow` in `kernel/seccomp.c`.

use crate::arch::Arch;
use crate::bpf::{Action, Insn, Program, SyscallData, opcode};
use core::fmt;
use thiserror::Error;

/// Why the kernel does not remember a number as always allowed.
///
/// See the example of [`cacheable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("instruction {pc} {obstacle}")]
#[non_exhaustive]
pub struct NotCacheable {
    /// Index of the instruction at which the emulation ended.
    pub pc: usize,
    /// What is in the way.
    pub obstacle: Obstacle,
}

/// What ended the emulation.
///
/// See the example of [`cacheable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// It loads an argument (0 to 5), so the answer may depend on it.
    LoadsArgument(u8),
    /// It loads the instruction pointer.
    LoadsInstructionPointer,
    /// It returns this value, and not exactly ALLOW without data.
    Returns(u32),
    /// It is an operation that the emulator does not know.
    Operation(u16),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoadsArgument(arg) => write!(f, "loads argument {arg}"),
            Self::LoadsInstructionPointer => f.write_str("loads the instruction pointer"),
            Self::Returns(raw) => match Action::from_raw(*raw) {
                Some(action) => write!(f, "returns {action}"),
                None => write!(f, "returns {raw:#010x}, not exactly ALLOW ({:#010x})", Action::Allow.to_raw()),
            },
            Self::Operation(code) => {
                write!(f, "has operation {code:#04x}, which the kernel does not evaluate when it fills the cache")
            }
        }
    }
}

/// One run of the emulator.
///
/// See the example of [`emulate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Emulation {
    /// Whether the number is remembered as always allowed, or why not.
    pub verdict: Result<(), NotCacheable>,
    /// How many instructions the kernel looked at. The sum over all numbers is most of what an installation costs.
    pub steps: u32,
}

/// Whether the kernel will remember that calls with this number are always allowed.
///
/// This says what the program permits. Numbers beyond the kernel's own table (x32 numbers, private ARM calls) and
/// architectures without an allow bitmap (MIPS) are never cached, whatever the program does.
///
/// # Errors
/// The instruction that is in the way, and why.
///
/// ```
/// use callsieve::arch::Arch;
/// use callsieve::bpf::{Action, Insn, Program, opcode};
/// use callsieve::check::{Obstacle, cacheable};
/// let program = Program::new(vec![
///     Insn::stmt(opcode::LD_W_ABS, 16),
///     Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
/// ])?;
/// let problem = cacheable(&program, Arch::X86_64, 0).unwrap_err();
/// assert_eq!((problem.pc, problem.obstacle), (0, Obstacle::LoadsArgument(0)));
/// # Ok::<(), callsieve::bpf::VerifyError>(())
/// ```
pub fn cacheable(program: &Program, arch: Arch, nr: u32) -> Result<(), NotCacheable> {
    emulate(program, arch.audit(), nr).verdict
}

/// Runs the emulator for an `AUDIT_ARCH_*` token and a number.
///
/// ```
/// use callsieve::bpf::{Action, Insn, Program, opcode};
/// let allow = Program::new(vec![Insn::stmt(opcode::RET_K, Action::Allow.to_raw())])?;
/// let run = callsieve::check::emulate(&allow, callsieve::Arch::X86_64.audit(), 0);
/// assert_eq!((run.verdict, run.steps), (Ok(()), 1));
/// # Ok::<(), callsieve::bpf::VerifyError>(())
/// ```
pub fn emulate(program: &Program, arch: u32, nr: u32) -> Emulation {
    emulate_from(program, arch, nr).0
}

/// The same, and the last of the numbers from this one on that surely take the same way.
fn emulate_from(program: &Program, arch: u32, nr: u32) -> (Emulation, u32) {
    let mut emulation = Emulation { verdict: Ok(()), steps: 0 };
    let mut machine = Machine { arch, nr, accumulator: 0, moves: false, room: !nr };
    let mut pc = 0_usize;
    while let Some(&insn) = program.as_insns().get(pc) {
        emulation.steps = emulation.steps.saturating_add(1);
        match machine.step(insn) {
            Step::Skip(distance) => pc = pc.saturating_add(1).saturating_add(distance),
            Step::Allowed => break,
            Step::Stopped(obstacle) => {
                emulation.verdict = Err(NotCacheable { pc, obstacle });
                break;
            }
        }
    }
    (emulation, nr.saturating_add(machine.room))
}

/// The emulator for many numbers: neighbours that take the same way are emulated once.
#[derive(Debug)]
pub(crate) struct Emulator<'a> {
    program: &'a Program,
    arch: u32,
    /// The first and the last number of the latest emulation.
    latest: Option<(u32, u32, Emulation)>,
}

impl<'a> Emulator<'a> {
    /// For an `AUDIT_ARCH_*` token.
    pub(crate) const fn new(program: &'a Program, arch: u32) -> Self {
        Self { program, arch, latest: None }
    }

    /// What [`emulate`] says about a number. Quick if numbers ascend.
    pub(crate) fn emulate(&mut self, nr: u32) -> Emulation {
        if let Some((first, last, emulation)) = self.latest
            && (first..=last).contains(&nr)
        {
            return emulation;
        }
        let (emulation, last) = emulate_from(self.program, self.arch, nr);
        self.latest = Some((nr, last, emulation));
        emulation
    }
}

struct Machine {
    arch: u32,
    nr: u32,
    accumulator: u32,
    /// Whether the accumulator grows by one with the number.
    moves: bool,
    /// How many numbers behind this one surely take the same way.
    room: u32,
}

enum Step {
    Skip(usize),
    Allowed,
    Stopped(Obstacle),
}

impl Machine {
    #[inline]
    fn step(&mut self, insn: Insn) -> Step {
        use opcode::{AND_K, JA, JEQ_K, JGE_K, JGT_K, JSET_K, LD_W_ABS, RET_K};
        let jump = |holds| Step::Skip(usize::from(if holds { insn.jt } else { insn.jf }));
        let (accumulator, k) = (self.accumulator, insn.k);
        match insn.code {
            JEQ_K => {
                self.same_for(if accumulator == k { 0 } else { below(accumulator, k) });
                jump(accumulator == k)
            }
            JGE_K => {
                self.same_for(below(accumulator, k));
                jump(accumulator >= k)
            }
            JGT_K => {
                self.same_for(k.checked_sub(accumulator).unwrap_or(u32::MAX));
                jump(accumulator > k)
            }
            JSET_K => {
                // Until the first carry into a bit that is asked for.
                self.same_for(!accumulator & low_bits(k.trailing_zeros()));
                jump(accumulator & k != 0)
            }
            JA => Step::Skip(k as usize),
            LD_W_ABS => match k {
                SyscallData::NR => self.load(self.nr, true),
                SyscallData::ARCH => self.load(self.arch, false),
                offset => Step::Stopped(loaded(offset)),
            },
            AND_K => {
                // Until the first carry into a bit that is cut off, or past one.
                self.same_for(!accumulator & low_bits(k.trailing_ones()));
                self.load(accumulator & k, self.moves)
            }
            RET_K if k == Action::Allow.to_raw() => Step::Allowed,
            RET_K => Step::Stopped(Obstacle::Returns(k)),
            code => Step::Stopped(Obstacle::Operation(code)),
        }
    }

    fn load(&mut self, value: u32, moves: bool) -> Step {
        (self.accumulator, self.moves) = (value, moves);
        Step::Skip(0)
    }

    /// So many numbers behind this one surely come out of an operation like this one.
    fn same_for(&mut self, room: u32) {
        if self.moves {
            self.room = self.room.min(room);
        }
    }
}

/// How far a number can grow without reaching `k`, which is above it or never reached.
fn below(number: u32, k: u32) -> u32 {
    k.checked_sub(number).and_then(|distance| distance.checked_sub(1)).unwrap_or(u32::MAX)
}

/// As many of the lowest bits.
fn low_bits(count: u32) -> u32 {
    u32::MAX.checked_shr(32_u32.saturating_sub(count)).unwrap_or(0)
}

fn loaded(offset: u32) -> Obstacle {
    let arg = offset.checked_sub(16).and_then(|bytes| u8::try_from(bytes / 8).ok());
    arg.map_or(Obstacle::LoadsInstructionPointer, Obstacle::LoadsArgument)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::opcode::*;
    use alloc::string::ToString;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const ALLOW: Insn = Insn::stmt(RET_K, 0x7fff_0000);

    fn verdict(insns: Vec<Insn>) -> Result<(), NotCacheable> {
        cacheable(&Program::new(insns).unwrap(), Arch::X86_64, 5)
    }

    fn stopped(pc: usize, obstacle: Obstacle) -> Result<(), NotCacheable> {
        Err(NotCacheable { pc, obstacle })
    }

    #[test]
    fn what_the_kernel_understands() {
        let insns = vec![
            Insn::stmt(LD_W_ABS, 4),
            Insn::new(JEQ_K, 1, 0, 0xc000_003e),
            Insn::stmt(RET_K, 0),
            Insn::stmt(LD_W_ABS, 0),
            Insn::stmt(JA, 1),
            Insn::stmt(RET_K, 0),
            Insn::new(JGE_K, 0, 4, 5),
            Insn::new(JGT_K, 3, 0, 5),
            Insn::new(JSET_K, 0, 2, 4),
            Insn::stmt(AND_K, 4),
            Insn::new(JEQ_K, 1, 0, 4),
            Insn::stmt(RET_K, 1),
            ALLOW,
        ];
        let program = Program::new(insns).unwrap();
        assert_eq!(emulate(&program, Arch::X86_64.audit(), 5), Emulation { verdict: Ok(()), steps: 10 });
        assert_eq!(emulate(&program, Arch::X86_64.audit(), 6).verdict, stopped(11, Obstacle::Returns(1)));
        assert_eq!(cacheable(&program, Arch::X86, 5), stopped(2, Obstacle::Returns(0)));
    }

    /// Programs of tests of numbers that are cut or not, near each other so that they say different things.
    fn programs() -> impl Strategy<Value = Vec<Insn>> {
        let test = (prop::sample::select(&[JEQ_K, JGE_K, JGT_K, JSET_K]), 0..70_u32, 0..3_u8, 0..3_u8)
            .prop_map(|(code, k, jt, jf)| Insn::new(code, jt, jf, k));
        let other = prop_oneof![
            prop::sample::select(&[0_u32, 4, 16]).prop_map(|offset| Insn::stmt(LD_W_ABS, offset)),
            (0..70_u32).prop_map(|mask| Insn::stmt(AND_K, mask)),
            Just(Insn::stmt(AND_K, !0x20)),
            (0..2_u32).prop_map(|distance| Insn::stmt(JA, distance)),
        ];
        prop::collection::vec(prop_oneof![3 => test, 1 => other], 0..16).prop_map(|body| {
            let returns = [5, 0x7fff_0000, 6, 7].map(|raw| Insn::stmt(RET_K, raw));
            [Insn::stmt(LD_W_ABS, 0)].into_iter().chain(body).chain(returns).collect()
        })
    }

    proptest! {
        #[test]
        fn neighbours_are_emulated_once(insns in programs(), first in 0..70_u32, step in 1..3_usize) {
            let program = Program::new(insns).unwrap();
            let mut emulator = Emulator::new(&program, 7);
            for nr in (first..140).step_by(step).chain([u32::MAX, 3]) {
                prop_assert_eq!(emulator.emulate(nr), emulate(&program, 7, nr), "{}", nr);
            }
        }
    }

    #[test]
    fn a_run_of_numbers_ends_where_the_way_changes() {
        let insns = vec![
            Insn::stmt(LD_W_ABS, 0),
            Insn::new(JGE_K, 0, 2, 0x4000_0000),
            Insn::stmt(AND_K, !0x4000_0000),
            Insn::new(JEQ_K, 0, 1, 9),
            Insn::stmt(RET_K, 5),
            ALLOW,
        ];
        let program = Program::new(insns).unwrap();
        let last = |nr| emulate_from(&program, 0, nr).1;
        assert_eq!([last(0), last(0x3fff_ffff)], [0x3fff_ffff; 2]);
        assert_eq!([last(0x4000_0000), last(0x4000_0009), last(0x4000_000a)], [0x4000_0008, 0x4000_0009, 0x7fff_ffff]);
    }

    #[test]
    fn what_is_in_the_way() {
        let operations = [
            Insn::stmt(LD_IMM, 0),
            Insn::stmt(LD_W_LEN, 0),
            Insn::stmt(LDX_IMM, 0),
            Insn::stmt(ST, 0),
            Insn::stmt(TAX, 0),
            Insn::stmt(OR_K, 0),
            Insn::stmt(AND_X, 0),
            Insn::new(JEQ_X, 0, 0, 0),
            Insn::stmt(RET_A, 0),
        ];
        for insn in operations {
            assert_eq!(verdict(vec![insn, ALLOW]), stopped(0, Obstacle::Operation(insn.code)));
        }
        assert_eq!(verdict(vec![Insn::stmt(LD_W_ABS, 12), ALLOW]), stopped(0, Obstacle::LoadsInstructionPointer));
        assert_eq!(verdict(vec![Insn::stmt(LD_W_ABS, 60), ALLOW]), stopped(0, Obstacle::LoadsArgument(5)));
        // ALLOW with data allows, but is not remembered.
        for raw in [0x7fff_0001, 0x7ffc_0000, 0x0005_0001] {
            assert_eq!(verdict(vec![Insn::stmt(RET_K, raw)]), stopped(0, Obstacle::Returns(raw)));
        }
    }

    #[test]
    fn messages() {
        let text = |insn| verdict(vec![insn, ALLOW]).unwrap_err().to_string();
        assert_eq!(text(Insn::stmt(LD_W_ABS, 24)), "instruction 0 loads argument 1");
        assert_eq!(text(Insn::stmt(RET_K, 0x0005_0001)), "instruction 0 returns ERRNO(1)");
        assert_eq!(
            text(Insn::stmt(RET_K, 0x7fff_0002)),
            "instruction 0 returns 0x7fff0002, not exactly ALLOW (0x7fff0000)"
        );
        assert_eq!(
            text(Insn::stmt(TAX, 0)),
            "instruction 0 has operation 0x07, which the kernel does not evaluate when it fills the cache"
        );
    }
}
