//! One instruction.

/// One classic BPF instruction, with the layout of the kernel's `struct sock_filter` (`linux/filter.h`).
///
/// ```
/// use callsieve::bpf::{Insn, opcode};
/// let load_arch = Insn::new(opcode::LD_W_ABS, 0, 0, 4);
/// assert_eq!(load_arch.code, 0x20);
/// ```
///
/// Types of other crates have the same fields. For `libc::sock_filter`, and in the same way for that of `seccompiler`:
///
/// ```
/// # use callsieve::bpf::{Action, Insn, opcode};
/// # let insns = [Insn::stmt(opcode::RET_K, Action::Allow.to_raw())];
/// let program: Vec<libc::sock_filter> =
///     insns.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
/// # assert_eq!(program[0].k, 0x7fff_0000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Insn {
    /// What to do; the values that seccomp accepts are in [`opcode`].
    pub code: u16,
    /// Instructions to skip when a conditional jump is taken.
    pub jt: u8,
    /// Instructions to skip when a conditional jump is not taken.
    pub jf: u8,
    /// The constant: a load offset, a value to compare with, a jump distance or a return value.
    pub k: u32,
}

// The kernel reads an array of these, so the layout is part of the ABI.
const _: () = assert!(size_of::<Insn>() == 8 && align_of::<Insn>() == 4);

impl Insn {
    /// An instruction from its four fields.
    pub const fn new(code: u16, jt: u8, jf: u8, k: u32) -> Self {
        Self { code, jt, jf, k }
    }

    /// An instruction that does not jump.
    pub const fn stmt(code: u16, k: u32) -> Self {
        Self::new(code, 0, 0, k)
    }
}

/// The operation codes that seccomp(2) accepts, complete (`seccomp_check_filter` in `kernel/seccomp.c`).
///
/// `A` is the accumulator, `X` the index register, `M[]` the sixteen words of scratch memory.
///
/// See the example of [`Insn`].
#[allow(missing_docs)] // The names are those of the instruction set; each line says what it does.
pub mod opcode {
    /// `A = word at offset k of struct seccomp_data`.
    pub const LD_W_ABS: u16 = 0x20;
    /// `A = k`.
    pub const LD_IMM: u16 = 0x00;
    /// `A = M[k]`.
    pub const LD_MEM: u16 = 0x60;
    /// `A = 64`, the size of the input.
    pub const LD_W_LEN: u16 = 0x80;
    /// `X = k`.
    pub const LDX_IMM: u16 = 0x01;
    /// `X = M[k]`.
    pub const LDX_MEM: u16 = 0x61;
    /// `X = 64`, the size of the input.
    pub const LDX_W_LEN: u16 = 0x81;
    /// `M[k] = A`.
    pub const ST: u16 = 0x02;
    /// `M[k] = X`.
    pub const STX: u16 = 0x03;
    /// `X = A`.
    pub const TAX: u16 = 0x07;
    /// `A = X`.
    pub const TXA: u16 = 0x87;
    /// Return `k`.
    pub const RET_K: u16 = 0x06;
    /// Return `A`.
    pub const RET_A: u16 = 0x16;

    // Arithmetic on A, with the constant or with X. It wraps at 32 bits.
    pub const ADD_K: u16 = 0x04;
    pub const ADD_X: u16 = 0x0c;
    pub const SUB_K: u16 = 0x14;
    pub const SUB_X: u16 = 0x1c;
    pub const MUL_K: u16 = 0x24;
    pub const MUL_X: u16 = 0x2c;
    pub const DIV_K: u16 = 0x34;
    pub const DIV_X: u16 = 0x3c;
    pub const OR_K: u16 = 0x44;
    pub const OR_X: u16 = 0x4c;
    pub const AND_K: u16 = 0x54;
    pub const AND_X: u16 = 0x5c;
    pub const LSH_K: u16 = 0x64;
    pub const LSH_X: u16 = 0x6c;
    pub const RSH_K: u16 = 0x74;
    pub const RSH_X: u16 = 0x7c;
    pub const NEG: u16 = 0x84;
    pub const XOR_K: u16 = 0xa4;
    pub const XOR_X: u16 = 0xac;

    // Jumps, always forward. Comparisons are unsigned.
    /// Skip `k` instructions.
    pub const JA: u16 = 0x05;
    /// Equal.
    pub const JEQ_K: u16 = 0x15;
    pub const JEQ_X: u16 = 0x1d;
    /// Greater than.
    pub const JGT_K: u16 = 0x25;
    pub const JGT_X: u16 = 0x2d;
    /// Greater or equal.
    pub const JGE_K: u16 = 0x35;
    pub const JGE_X: u16 = 0x3d;
    /// Any of the bits set.
    pub const JSET_K: u16 = 0x45;
    pub const JSET_X: u16 = 0x4d;
}
