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
