//! Which registers and scratch words a later instruction may still read.

use crate::bpf::{Insn, opcode};
use alloc::vec;
use alloc::vec::Vec;

/// A set of registers and scratch words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Live(u32);

impl Live {
    pub(super) const ALL: Self = Self(u32::MAX);
    const NONE: Self = Self(0);
    const A: Self = Self(1 << 16);
    const X: Self = Self(1 << 17);

    fn word(k: u32) -> Self {
        Self(1_u32.checked_shl(k).unwrap_or(0) & 0xffff)
    }

    pub(super) fn a(self) -> bool {
        self.has(Self::A)
    }

    pub(super) fn x(self) -> bool {
        self.has(Self::X)
    }

    pub(super) fn scratch(self, k: u32) -> bool {
        self.has(Self::word(k))
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// `to` is written with `from`: only if it is read later, `from` is read here.
    fn moved(self, to: Self, from: Self) -> Self {
        if self.has(to) { self.without(to).with(from) } else { self }
    }
}

/// What is alive in front of each instruction: one pass from the end, since all jumps go forward.
pub(super) fn live(insns: &[Insn]) -> Vec<Live> {
    let mut result = vec![Live::NONE; insns.len()];
    for (pc, &insn) in insns.iter().enumerate().rev() {
        let at = |skip: usize| {
            let target = pc.saturating_add(1).saturating_add(skip);
            result.get(target).copied().unwrap_or(Live::NONE)
        };
        let before = before(insn, at);
        if let Some(place) = result.get_mut(pc) {
            *place = before;
        }
    }
    result
}

fn before(insn: Insn, at: impl Fn(usize) -> Live) -> Live {
    use opcode::{
        DIV_X, JA, LD_IMM, LD_MEM, LD_W_ABS, LD_W_LEN, LDX_IMM, LDX_MEM, LDX_W_LEN, RET_A, RET_K, ST, STX, TAX, TXA,
    };
    let next = at(0);
    match insn.code {
        RET_K => Live::NONE,
        RET_A => Live::A,
        JA => at(insn.k as usize),
        LD_W_ABS | LD_IMM | LD_W_LEN => next.without(Live::A),
        LDX_IMM | LDX_W_LEN => next.without(Live::X),
        LD_MEM => next.moved(Live::A, Live::word(insn.k)),
        LDX_MEM => next.moved(Live::X, Live::word(insn.k)),
        ST => next.moved(Live::word(insn.k), Live::A),
        STX => next.moved(Live::word(insn.k), Live::X),
        TAX => next.moved(Live::X, Live::A),
        TXA => next.moved(Live::A, Live::X),
        // It may end the program, whether or not A is read.
        DIV_X => next.with(Live::X),
        code if super::simulate::compare(code, 0, 0).is_some() => {
            let sides = at(usize::from(insn.jt)).with(at(usize::from(insn.jf))).with(Live::A);
            if super::simulate::takes_x(code) { sides.with(Live::X) } else { sides }
        }
        code if super::simulate::takes_x(code) => next.moved(Live::A, Live::A.with(Live::X)),
        // Arithmetic with a constant reads A only to write it.
        _ => next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::opcode::*;

    /// What is alive in front of the first instruction, if this is alive behind it.
    fn before_one(code: u16, k: u32, behind: Live) -> Live {
        before(Insn::stmt(code, k), |_| behind)
    }

    #[test]
    fn words_of_the_scratch_memory_are_sixteen() {
        for k in 0..16 {
            assert_eq!(Live::word(k), Live(1 << k));
            assert!(Live::word(k).scratch(k) && !Live::word(k).scratch((k + 1) % 16));
        }
        // No other is the accumulator or X.
        for k in [16, 17, 31, 32, u32::MAX] {
            assert_eq!(Live::word(k), Live::NONE);
            assert!(!Live::ALL.scratch(k));
        }
        assert!(Live::A.a() && !Live::A.x() && Live::X.x() && !Live::X.a());
    }

    #[test]
    fn what_each_instruction_reads_and_writes() {
        let (a, x, word) = (Live::A, Live::X, Live::word(3));
        let both = a.with(x);
        for (code, behind, in_front) in [
            (RET_K, Live::ALL, Live::NONE),
            (RET_A, Live::ALL, a),
            (LD_W_ABS, both, x),
            (LD_IMM, both, x),
            (LD_W_LEN, both, x),
            (LDX_IMM, both, a),
            (LDX_W_LEN, both, a),
            (LD_MEM, both, x.with(word)),
            (LD_MEM, x, x),
            (LDX_MEM, both, a.with(word)),
            (LDX_MEM, a, a),
            (ST, word.with(x), both),
            (ST, x, x),
            (STX, word.with(a), both),
            (STX, a, a),
            (TAX, x, a),
            (TAX, word, word),
            (TXA, a, x),
            (TXA, word, word),
            (ADD_K, a, a),
            (ADD_K, x, x),
            (NEG, word, word),
            (ADD_X, a, both),
            (ADD_X, word, word),
            // A division by zero ends the program, whoever reads the result.
            (DIV_X, word, word.with(x)),
            (DIV_K, word, word),
            (JEQ_K, word, word.with(a)),
            (JSET_X, word, word.with(both)),
        ] {
            assert_eq!(before_one(code, 3, behind), in_front, "{code:#x} {behind:?}");
        }
    }

    #[test]
    fn jumps_take_what_is_alive_where_they_lead() {
        let at = |skip: usize| [Live::NONE, Live::word(1), Live::X][skip];
        assert_eq!(before(Insn::stmt(JA, 2), at), Live::X);
        let test = before(Insn::new(JGT_K, 1, 2, 0), at);
        assert_eq!(test, Live::word(1).with(Live::X).with(Live::A));
        let insns = [Insn::stmt(LD_MEM, 1), Insn::new(JEQ_X, 0, 1, 0), Insn::stmt(RET_A, 0), Insn::stmt(RET_K, 0)];
        let expected = [Live::word(1).with(Live::X), Live::A.with(Live::X), Live::A, Live::NONE];
        assert_eq!(live(&insns), expected);
    }
}
