//! The interpreter.
//!
//! It follows the kernel's classic BPF to the letter: arithmetic wraps at 32 bits, comparisons are unsigned, a division
//! by an X of zero ends the program with the result 0, shifts by X use the low five bits, loads of the length give 64,
//! A and X start as 0.

use crate::bpf::{Action, Endian, Insn, Program, SyscallData, opcode};
use alloc::vec::Vec;

/// What a program answered to one call, and how.
///
/// See the example of [`simulate`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The value that the program returned.
    pub raw: u32,
    /// Number of executed instructions, the return included.
    pub steps: u32,
    /// Indexes of the executed instructions, in order.
    pub path: Vec<usize>,
}

impl Run {
    /// How the kernel acts on the returned value.
    pub fn action(&self) -> Action {
        Action::as_kernel(self.raw)
    }
}

/// What a program answered to one call, without the path.
///
/// See the example of [`evaluate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The value that the program returned.
    pub raw: u32,
    /// Number of executed instructions, the return included.
    pub steps: u32,
}

impl Outcome {
    /// How the kernel acts on the returned value.
    pub fn action(&self) -> Action {
        Action::as_kernel(self.raw)
    }
}

/// Runs a program on one call of a target with this byte order.
///
/// ```
/// use callsieve::bpf::{Action, Endian, Insn, Program, SyscallData, opcode};
/// use callsieve::check::simulate;
/// let program = Program::new(vec![
///     Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
///     Insn::new(opcode::JEQ_K, 0, 1, 59),
///     Insn::stmt(opcode::RET_K, Action::Errno(1).to_raw()),
///     Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
/// ])?;
/// let run = simulate(&program, &SyscallData { nr: 59, ..SyscallData::default() }, Endian::Little);
/// assert_eq!(run.action(), Action::Errno(1));
/// assert_eq!(run.path, [0, 1, 2]);
/// # Ok::<(), callsieve::bpf::VerifyError>(())
/// ```
pub fn simulate(program: &Program, call: &SyscallData, endian: Endian) -> Run {
    let mut path = Vec::new();
    let raw = execute(program.as_insns(), call, endian, |pc| path.push(pc));
    Run { raw, steps: u32::try_from(path.len()).unwrap_or(u32::MAX), path }
}

/// Like [`simulate`], but only counts the steps: for many calls.
///
/// ```
/// use callsieve::bpf::{Action, Endian, Insn, Program, SyscallData, opcode};
/// let kill = Program::new(vec![Insn::stmt(opcode::RET_K, Action::KillProcess.to_raw())])?;
/// let outcome = callsieve::check::evaluate(&kill, &SyscallData::default(), Endian::Little);
/// assert_eq!((outcome.action(), outcome.steps), (Action::KillProcess, 1));
/// # Ok::<(), callsieve::bpf::VerifyError>(())
/// ```
pub fn evaluate(program: &Program, call: &SyscallData, endian: Endian) -> Outcome {
    let mut steps = 0_u32;
    let raw = execute(program.as_insns(), call, endian, |_| steps = steps.saturating_add(1));
    Outcome { raw, steps }
}

/// All jumps go forward and a program has at most 4096 instructions, so this ends.
fn execute(insns: &[Insn], call: &SyscallData, endian: Endian, mut visit: impl FnMut(usize)) -> u32 {
    let mut machine = Machine { a: 0, x: 0, scratch: [0; 16] };
    let mut pc = 0_usize;
    while let Some(&insn) = insns.get(pc) {
        visit(pc);
        match machine.step(insn, call, endian) {
            Step::Skip(distance) => pc = pc.saturating_add(1).saturating_add(distance),
            Step::Return(raw) => return raw,
        }
    }
    // A `Program` ends with a return and its jumps stay inside, so this is not reached.
    Action::KillProcess.to_raw()
}

struct Machine {
    a: u32,
    x: u32,
    scratch: [u32; 16],
}

enum Step {
    /// Go on behind this many instructions.
    Skip(usize),
    Return(u32),
}

impl Machine {
    fn step(&mut self, insn: Insn, call: &SyscallData, endian: Endian) -> Step {
        use opcode::{
            JA, LD_IMM, LD_MEM, LD_W_ABS, LD_W_LEN, LDX_IMM, LDX_MEM, LDX_W_LEN, RET_A, RET_K, ST, STX, TAX, TXA,
        };
        let k = insn.k;
        match insn.code {
            RET_K => return Step::Return(k),
            RET_A => return Step::Return(self.a),
            JA => return Step::Skip(k as usize),
            LD_W_ABS => self.a = call.word(k, endian).unwrap_or(0),
            LD_IMM => self.a = k,
            LD_W_LEN => self.a = SyscallData::SIZE,
            LD_MEM => self.a = self.read(k),
            LDX_IMM => self.x = k,
            LDX_W_LEN => self.x = SyscallData::SIZE,
            LDX_MEM => self.x = self.read(k),
            ST => self.write(k, self.a),
            STX => self.write(k, self.x),
            TAX => self.x = self.a,
            TXA => self.a = self.x,
            _ => return self.compute(insn),
        }
        Step::Skip(0)
    }

    fn compute(&mut self, insn: Insn) -> Step {
        let operand = if takes_x(insn.code) { self.x } else { insn.k };
        if let Some(holds) = compare(insn.code, self.a, operand) {
            return Step::Skip(usize::from(if holds { insn.jt } else { insn.jf }));
        }
        match arithmetic(insn.code, self.a, operand) {
            Some(value) => {
                self.a = value;
                Step::Skip(0)
            }
            None => Step::Return(0),
        }
    }

    fn read(&self, k: u32) -> u32 {
        self.scratch.get(k as usize).copied().unwrap_or(0)
    }

    fn write(&mut self, k: u32, value: u32) {
        if let Some(word) = self.scratch.get_mut(k as usize) {
            *word = value;
        }
    }
}

/// Whether the second operand of an arithmetic operation or conditional jump is X (`BPF_X`).
pub(super) const fn takes_x(code: u16) -> bool {
    code & 0x08 != 0
}

/// The result of a conditional jump's test; `None` for other operations.
pub(super) const fn compare(code: u16, a: u32, operand: u32) -> Option<bool> {
    use opcode::{JEQ_K, JEQ_X, JGE_K, JGE_X, JGT_K, JGT_X, JSET_K, JSET_X};
    Some(match code {
        JEQ_K | JEQ_X => a == operand,
        JGT_K | JGT_X => a > operand,
        JGE_K | JGE_X => a >= operand,
        JSET_K | JSET_X => a & operand != 0,
        _ => return None,
    })
}

/// The result of an arithmetic operation; `None` for a division by zero, which ends the program with the result 0.
pub(super) const fn arithmetic(code: u16, a: u32, operand: u32) -> Option<u32> {
    use opcode::{
        ADD_K, ADD_X, AND_K, AND_X, DIV_K, DIV_X, LSH_K, LSH_X, MUL_K, MUL_X, NEG, OR_K, OR_X, RSH_K, RSH_X, SUB_K,
        SUB_X, XOR_K, XOR_X,
    };
    Some(match code {
        ADD_K | ADD_X => a.wrapping_add(operand),
        SUB_K | SUB_X => a.wrapping_sub(operand),
        MUL_K | MUL_X => a.wrapping_mul(operand),
        DIV_K | DIV_X => return a.checked_div(operand),
        OR_K | OR_X => a | operand,
        AND_K | AND_X => a & operand,
        // The wrapping forms take the low five bits of the count.
        LSH_K | LSH_X => a.wrapping_shl(operand),
        RSH_K | RSH_X => a.wrapping_shr(operand),
        XOR_K | XOR_X => a ^ operand,
        NEG => a.wrapping_neg(),
        // A `Program` has no other operation.
        _ => return None,
    })
}

#[cfg(test)]
#[path = "simulate_tests.rs"]
mod tests;
