//! The kernel's static checks.
//!
//! A port of `bpf_check_classic` (`net/core/filter.c`) and `seccomp_check_filter` (`kernel/seccomp.c`) as a
//! `const fn`, so that a filter in a `static` is checked by the compiler.

// A `const fn` can only index; every index is bounded by the loop or the check above it.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::insn::{Insn, opcode};
use thiserror::Error;

/// The longest program that the kernel accepts (`BPF_MAXINSNS`).
pub const MAX_INSNS: usize = 4096;
const SCRATCH_WORDS: u32 = 16;

/// Why the kernel would refuse a program (it answers EINVAL to all of these).
///
/// ```
/// use callsieve::bpf::{Insn, Program, VerifyError, opcode};
/// let error = Program::new(vec![Insn::stmt(opcode::LD_W_ABS, 2), Insn::stmt(opcode::RET_K, 0)]).unwrap_err();
/// assert_eq!(error, VerifyError::LoadOffset { pc: 0, k: 2 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no instruction.
    #[error("the program is empty: a filter has 1 to 4096 instructions")]
    Empty,
    /// There are too many instructions.
    #[error("the program has {len} instructions, the kernel accepts 4096")]
    TooLong {
        /// Number of instructions.
        len: usize,
    },
    /// The bytes are no whole number of instructions.
    #[error("{len} bytes are no whole number of instructions of 8 bytes: the file is cut or is no raw filter")]
    PartialInsn {
        /// Number of bytes.
        len: usize,
    },
    /// The program is valid in the other byte order only.
    #[error("the filter is in the other byte order: it was made for a target of the other endianness")]
    ByteOrder,
    /// Execution could run off the end.
    #[error("instruction {pc}: the last instruction must be a return")]
    NoReturn {
        /// Index of the last instruction.
        pc: usize,
    },
    /// The operation is not one of [`opcode`].
    #[error("instruction {pc}: seccomp does not know operation {code:#06x}")]
    Opcode {
        /// Index of the instruction.
        pc: usize,
        /// Its operation code.
        code: u16,
    },
    /// A load from outside of `struct seccomp_data`, or not from a word of it.
    #[error("instruction {pc}: load offset {k} is not a multiple of 4 below 64")]
    LoadOffset {
        /// Index of the instruction.
        pc: usize,
        /// The offset.
        k: u32,
    },
    /// Scratch memory has sixteen words.
    #[error("instruction {pc}: there is no scratch word {k}, only 0 to 15")]
    ScratchIndex {
        /// Index of the instruction.
        pc: usize,
        /// The word.
        k: u32,
    },
    /// Scratch memory is read where some path has not written it.
    #[error("instruction {pc}: scratch word {k} may be read before it is written")]
    ScratchUnset {
        /// Index of the instruction.
        pc: usize,
        /// The word.
        k: u32,
    },
    /// Division by the constant 0.
    #[error("instruction {pc}: division by constant 0")]
    DivideByZero {
        /// Index of the instruction.
        pc: usize,
    },
    /// A shift by 32 bits or more.
    #[error("instruction {pc}: shift by {k} bits, at most 31 are possible")]
    ShiftCount {
        /// Index of the instruction.
        pc: usize,
        /// The number of bits.
        k: u32,
    },
    /// A jump leaves the program.
    #[error("instruction {pc}: the jump goes past the last instruction")]
    JumpOutOfRange {
        /// Index of the instruction.
        pc: usize,
    },
}

/// Checks a program as the kernel does when it is installed.
pub(super) const fn verify(insns: &[Insn]) -> Result<(), VerifyError> {
    let len = insns.len();
    if len == 0 {
        return Err(VerifyError::Empty);
    }
    if len > MAX_INSNS {
        return Err(VerifyError::TooLong { len });
    }
    let mut pc = 0;
    while pc < len {
        if let Err(error) = check_insn(insns[pc], pc, len) {
            return Err(error);
        }
        pc += 1;
    }
    if !matches!(insns[len - 1].code, opcode::RET_K | opcode::RET_A) {
        return Err(VerifyError::NoReturn { pc: len - 1 });
    }
    check_scratch(insns)
}

/// What can be said of an instruction by itself: opcode, operands and jump targets.
const fn check_insn(insn: Insn, pc: usize, len: usize) -> Result<(), VerifyError> {
    use opcode::{
        ADD_K, ADD_X, AND_K, AND_X, DIV_K, DIV_X, JA, JEQ_K, JEQ_X, JGE_K, JGE_X, JGT_K, JGT_X, JSET_K, JSET_X, LD_IMM,
        LD_MEM, LD_W_ABS, LD_W_LEN, LDX_IMM, LDX_MEM, LDX_W_LEN, LSH_K, LSH_X, MUL_K, MUL_X, NEG, OR_K, OR_X, RET_A,
        RET_K, RSH_K, RSH_X, ST, STX, SUB_K, SUB_X, TAX, TXA, XOR_K, XOR_X,
    };
    let k = insn.k;
    match insn.code {
        LD_W_ABS if k >= 64 || !k.is_multiple_of(4) => Err(VerifyError::LoadOffset { pc, k }),
        LD_MEM | LDX_MEM | ST | STX if k >= SCRATCH_WORDS => Err(VerifyError::ScratchIndex { pc, k }),
        DIV_K if k == 0 => Err(VerifyError::DivideByZero { pc }),
        LSH_K | RSH_K if k >= 32 => Err(VerifyError::ShiftCount { pc, k }),
        // `k` may be close to 2^32; the subtraction cannot underflow because pc < len.
        JA if k as usize >= len - pc - 1 => Err(VerifyError::JumpOutOfRange { pc }),
        JEQ_K | JEQ_X | JGT_K | JGT_X | JGE_K | JGE_X | JSET_K | JSET_X
            if pc + 1 + insn.jt as usize >= len || pc + 1 + insn.jf as usize >= len =>
        {
            Err(VerifyError::JumpOutOfRange { pc })
        }
        LD_W_ABS | LD_IMM | LD_MEM | LD_W_LEN | LDX_IMM | LDX_MEM | LDX_W_LEN | ST | STX | TAX | TXA | RET_K
        | RET_A | ADD_K | ADD_X | SUB_K | SUB_X | MUL_K | MUL_X | DIV_K | DIV_X | OR_K | OR_X | AND_K | AND_X
        | LSH_K | LSH_X | RSH_K | RSH_X | NEG | XOR_K | XOR_X | JA | JEQ_K | JEQ_X | JGT_K | JGT_X | JGE_K | JGE_X
        | JSET_K | JSET_X => Ok(()),
        code => Err(VerifyError::Opcode { pc, code }),
    }
}

/// No scratch word is read before it was written on every path that leads there: one forward pass, since all jumps
/// go forward (`check_load_and_stores` in `net/core/filter.c`). Like the kernel, a return does not end what is known,
/// so code behind a return is judged by what held at that return as well.
const fn check_scratch(insns: &[Insn]) -> Result<(), VerifyError> {
    let mut known = [0xffff_u16; MAX_INSNS];
    let mut valid: u16 = 0;
    let mut pc = 0;
    while pc < insns.len() {
        let insn = insns[pc];
        valid &= known[pc];
        match insn.code {
            opcode::ST | opcode::STX => valid |= 1 << insn.k,
            opcode::LD_MEM | opcode::LDX_MEM if valid & (1 << insn.k) == 0 => {
                return Err(VerifyError::ScratchUnset { pc, k: insn.k });
            }
            opcode::JA => {
                known[pc + 1 + insn.k as usize] &= valid;
                valid = 0xffff;
            }
            code if is_conditional(code) => {
                known[pc + 1 + insn.jt as usize] &= valid;
                known[pc + 1 + insn.jf as usize] &= valid;
                valid = 0xffff;
            }
            _ => {}
        }
        pc += 1;
    }
    Ok(())
}

/// Whether an operation is a jump with two targets.
pub(super) const fn is_conditional(code: u16) -> bool {
    matches!(
        code,
        opcode::JEQ_K
            | opcode::JEQ_X
            | opcode::JGT_K
            | opcode::JGT_X
            | opcode::JGE_K
            | opcode::JGE_X
            | opcode::JSET_K
            | opcode::JSET_X
    )
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
