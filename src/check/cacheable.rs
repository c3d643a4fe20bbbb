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
pub fn emulate(program: &Program, arch: u32, nr: u32) -> Emulation {
    let mut emulation = Emulation { verdict: Ok(()), steps: 0 };
    let mut accumulator = 0_u32;
    let mut pc = 0_usize;
    while let Some(&insn) = program.as_insns().get(pc) {
        emulation.steps = emulation.steps.saturating_add(1);
        match step(insn, &mut accumulator, arch, nr) {
            Step::Skip(distance) => pc = pc.saturating_add(1).saturating_add(distance),
            Step::Allowed => break,
            Step::Stopped(obstacle) => {
                emulation.verdict = Err(NotCacheable { pc, obstacle });
                break;
            }
        }
    }
    emulation
}

enum Step {
    Skip(usize),
    Allowed,
    Stopped(Obstacle),
}

#[inline]
fn step(insn: Insn, accumulator: &mut u32, arch: u32, nr: u32) -> Step {
    use opcode::{AND_K, JA, JEQ_K, JGE_K, JGT_K, JSET_K, LD_W_ABS, RET_K};
    let jump = |holds| Step::Skip(usize::from(if holds { insn.jt } else { insn.jf }));
    match insn.code {
        JEQ_K => jump(*accumulator == insn.k),
        JGE_K => jump(*accumulator >= insn.k),
        JGT_K => jump(*accumulator > insn.k),
        JSET_K => jump(*accumulator & insn.k != 0),
        JA => Step::Skip(insn.k as usize),
        LD_W_ABS => match insn.k {
            SyscallData::NR => filled(accumulator, nr),
            SyscallData::ARCH => filled(accumulator, arch),
            offset => Step::Stopped(loaded(offset)),
        },
        AND_K => {
            let cut = *accumulator & insn.k;
            filled(accumulator, cut)
        }
        RET_K if insn.k == Action::Allow.to_raw() => Step::Allowed,
        RET_K => Step::Stopped(Obstacle::Returns(insn.k)),
        code => Step::Stopped(Obstacle::Operation(code)),
    }
}

fn filled(accumulator: &mut u32, value: u32) -> Step {
    *accumulator = value;
    Step::Skip(0)
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
