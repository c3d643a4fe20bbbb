//! What can be said of a program without running it: which registers and words matter behind an instruction, and with
//! which numbers architecture and number are compared.

use super::known::{Words, only};
use super::value::{takes_x, with_k};
use crate::bpf::{Endian, Insn, SyscallData, opcode};
use crate::graph::Word;
use alloc::vec::Vec;

/// What is still read from an instruction on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    /// Scratch words in the lowest bits, then A and X.
    registers: u32,
    /// Words that are loaded.
    pub(super) words: Words,
}

const A: u32 = 1 << 16;
const X: u32 = 1 << 17;

impl Needs {
    pub(super) fn a(self) -> bool {
        self.registers & A != 0
    }

    pub(super) fn x(self) -> bool {
        self.registers & X != 0
    }

    pub(super) fn scratch(self, k: usize) -> bool {
        self.registers >> k.min(15) & 1 == 1
    }

    fn and(self, other: Self) -> Self {
        Self { registers: self.registers | other.registers, words: self.words | other.words }
    }

    fn change(self, reads: u32, writes: u32) -> Self {
        Self { registers: self.registers & !writes | reads, ..self }
    }
}

fn scratch(k: u32) -> u32 {
    1 << k.min(15)
}

/// What each instruction needs, itself included.
pub(super) fn needs(insns: &[Insn], endian: Endian) -> Vec<Needs> {
    use opcode::{LD_IMM, LD_MEM, LD_W_ABS, LD_W_LEN, LDX_IMM, LDX_MEM, LDX_W_LEN, ST, STX, TAX, TXA};
    let mut all = alloc::vec![Needs::default(); insns.len()];
    for (pc, insn) in insns.iter().enumerate().rev() {
        let at = |skip: usize| all.get(pc + 1 + skip).copied().unwrap_or_default();
        let next = at(0);
        let own = match insn.code {
            opcode::RET_K => Needs::default(),
            opcode::RET_A => Needs { registers: A, words: 0 },
            opcode::JA => at(insn.k as usize),
            code if is_comparison(code) => {
                let reads = if takes_x(code) { A | X } else { A };
                at(insn.jt.into()).and(at(insn.jf.into())).change(reads, 0)
            }
            LD_W_ABS => {
                let next = next.change(0, A);
                Needs { words: next.words | loaded(insn.k, endian).map_or(0, only), ..next }
            }
            LD_IMM | LD_W_LEN => next.change(0, A),
            LDX_IMM | LDX_W_LEN => next.change(0, X),
            LD_MEM => next.change(scratch(insn.k), A),
            LDX_MEM => next.change(scratch(insn.k), X),
            ST => next.change(A, scratch(insn.k)),
            STX => next.change(X, scratch(insn.k)),
            TAX => next.change(A, X),
            TXA => next.change(X, A),
            code => next.change(if takes_x(code) { A | X } else { A }, 0),
        };
        if let Some(place) = all.get_mut(pc) {
            *place = own;
        }
    }
    all
}

/// Starts of pieces of a word that comparisons tell apart, each with the place of the comparison. What is left out is
/// found later, one question after the other.
pub(super) fn cuts(insns: &[Insn], endian: Endian, word: Word) -> Vec<(usize, u32)> {
    let mut cuts = Vec::new();
    // Which bits of the word A holds, if any; where several ways meet, one of them speaks for all.
    let mut holds: Vec<Option<u32>> = alloc::vec![None; insns.len()];
    for (pc, insn) in insns.iter().enumerate() {
        let now = holds.get(pc).copied().flatten();
        let mut pass = |skip: usize, value: Option<u32>| {
            if let Some(place) = holds.get_mut(pc + 1 + skip) {
                *place = place.or(value);
            }
        };
        match insn.code {
            opcode::RET_K | opcode::RET_A => {}
            opcode::JA => pass(insn.k as usize, now),
            code if is_comparison(code) => {
                pass(insn.jt.into(), now);
                pass(insn.jf.into(), now);
                if let Some(mask) = now.filter(|_| !takes_x(code)) {
                    let starts = compared(code, insn.k).into_iter().flatten();
                    let starts = starts.flat_map(|start| beside(start, mask));
                    cuts.extend(starts.chain(blocks(code, insn.k)).map(|cut| (pc, cut)));
                }
            }
            opcode::AND_K => {
                let left = now.map(|mask| mask & insn.k).filter(|mask| mask.count_zeros() <= super::FEW_CUT);
                cuts.extend(left.into_iter().flat_map(|mask| blocks(opcode::JSET_K, !mask)).map(|cut| (pc, cut)));
                pass(0, left);
            }
            opcode::LD_W_ABS => pass(0, Some(u32::MAX).filter(|_| loaded(insn.k, endian) == Some(word))),
            opcode::ST | opcode::STX | opcode::TAX | opcode::LDX_IMM | opcode::LDX_MEM | opcode::LDX_W_LEN => {
                pass(0, now);
            }
            _ => pass(0, None),
        }
    }
    cuts.retain(|&(_, cut)| cut != 0);
    cuts
}

/// The values of which a mask leaves this one; it cuts off few bits.
fn beside(value: u32, mask: u32) -> impl Iterator<Item = u32> {
    let lowest = !mask & (!mask).wrapping_neg();
    let others = [0, lowest, !mask & !lowest, !mask];
    let mut last = None;
    others.into_iter().filter(move |&bits| last.replace(bits) != Some(bits)).map(move |bits| value & mask | bits)
}

fn compared(code: u16, k: u32) -> [Option<u32>; 2] {
    match code {
        opcode::JEQ_K => [Some(k), k.checked_add(1)],
        opcode::JGT_K => [k.checked_add(1), None],
        opcode::JGE_K => [Some(k), None],
        _ => [None, None],
    }
}

/// A bit near the top of a word makes few blocks.
fn blocks(code: u16, k: u32) -> impl Iterator<Item = u32> {
    let few = code == opcode::JSET_K && k.trailing_zeros() >= super::FEW_BLOCKS;
    let size = if few && k != 0 { 1_u32 << k.trailing_zeros() } else { 0 };
    (1..16_u32).map_while(move |number| number.checked_mul(size)).filter(move |_| size != 0)
}

pub(super) fn is_comparison(code: u16) -> bool {
    matches!(with_k(code), opcode::JEQ_K | opcode::JGT_K | opcode::JGE_K | opcode::JSET_K)
}

/// The word at an offset of the input.
pub(super) fn loaded(offset: u32, endian: Endian) -> Option<Word> {
    let second = offset % 8 == 4;
    let high = second == (endian == Endian::Little);
    let arg = || u8::try_from(offset.checked_sub(16)? / 8).ok().filter(|arg| *arg < 6);
    Some(match offset {
        SyscallData::NR => Word::Nr,
        SyscallData::ARCH => Word::Arch,
        8 | 12 if high => Word::IpHigh,
        8 | 12 => Word::IpLow,
        _ if !offset.is_multiple_of(4) => return None,
        _ if high => Word::High(arg()?),
        _ => Word::Low(arg()?),
    })
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
