//! The input as bits of the diagram, and comparisons of its words with constants.
//!
//! The order is arch, number, the six arguments, instruction pointer, each from its top bit down: filters decide in
//! this order, which keeps the diagram small.

use super::bdd::{BITS, Bdd, Exhausted, FALSE, Ref, TRUE};
use crate::bpf::{Endian, SyscallData};

/// A word of the input, 32 or 64 bits wide, or some of its bits: what is outside of the mask is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Word {
    /// The top bit in the order of the diagram.
    top: u16,
    width: u16,
    pub(super) mask: u64,
}

impl Word {
    pub(super) const ARCH: Self = Self::narrow(0);
    pub(super) const NUMBER: Self = Self::narrow(32);

    const fn narrow(top: u16) -> Self {
        Self { top, width: 32, mask: 0xffff_ffff }
    }

    const fn wide(top: u16) -> Self {
        Self { top, width: 64, mask: u64::MAX }
    }

    /// A whole argument register; `None` above 5.
    pub(super) fn argument(arg: u8) -> Option<Self> {
        (arg <= 5).then(|| Self::wide(u16::from(arg).saturating_mul(64).saturating_add(64)))
    }

    /// The low half of an argument register; `None` above 5.
    pub(super) fn low_half(arg: u8) -> Option<Self> {
        Self::argument(arg).map(Self::low)
    }

    fn low(self) -> Self {
        Self::narrow(self.top.saturating_add(32))
    }

    /// What a program of this byte order loads from an offset; `None` if there is no word.
    pub(super) fn loaded(offset: u32, endian: Endian) -> Option<Self> {
        if !offset.is_multiple_of(4) {
            return None;
        }
        let pair = match offset {
            SyscallData::NR => return Some(Self::NUMBER),
            SyscallData::ARCH => return Some(Self::ARCH),
            8 | 12 => Self::wide(448),
            _ => Self::argument(u8::try_from(offset.checked_sub(16)? / 8).ok()?)?,
        };
        let second = offset % 8 == 4;
        let high = second == (endian == Endian::Little);
        Some(if high { Self::narrow(pair.top) } else { pair.low() })
    }

    pub(super) const fn masked(self, mask: u64) -> Self {
        Self { mask: self.mask & mask, ..self }
    }

    /// Where a bit (0 is the lowest) is in the order of the diagram; `None` outside of the mask.
    pub(super) fn position(self, bit: u16) -> Option<u16> {
        let inside = bit < self.width && self.mask >> bit & 1 == 1;
        inside.then(|| self.top.saturating_add(self.width).saturating_sub(bit).saturating_sub(1))
    }

    /// The bits from the lowest up: where each is, and what the constant has there.
    fn bits(self, constant: u64) -> impl Iterator<Item = (Option<u16>, bool)> {
        (0..self.width).map(move |bit| (self.position(bit), constant >> bit & 1 == 1))
    }

    fn exceeds_width(self, constant: u64) -> bool {
        self.width < 64 && constant >> self.width != 0
    }

    /// Whether the word is equal to the constant.
    pub(super) fn equals(self, bdd: &mut Bdd, constant: u64) -> Result<Ref, Exhausted> {
        if constant & !self.mask != 0 {
            return Ok(FALSE);
        }
        let mut result = TRUE;
        for (position, set) in self.bits(constant) {
            let Some(position) = position else { continue };
            let (zero, one) = if set { (FALSE, result) } else { (result, FALSE) };
            result = bdd.ask(position, zero, one)?;
        }
        Ok(result)
    }

    /// Whether the word is greater than the constant, or `or_equal`.
    pub(super) fn exceeds(self, bdd: &mut Bdd, constant: u64, or_equal: bool) -> Result<Ref, Exhausted> {
        if self.exceeds_width(constant) {
            return Ok(FALSE);
        }
        // The result if all lower bits are equal, and so on upwards.
        let mut result = if or_equal { TRUE } else { FALSE };
        for (position, set) in self.bits(constant) {
            result = match (position, set) {
                (Some(position), true) => bdd.ask(position, FALSE, result)?,
                (Some(position), false) => bdd.ask(position, result, TRUE)?,
                (None, true) => FALSE,
                (None, false) => result,
            };
        }
        Ok(result)
    }

    /// Whether any of the constant's bits is set in the word.
    pub(super) fn intersects(self, bdd: &mut Bdd, constant: u64) -> Result<Ref, Exhausted> {
        let mut result = FALSE;
        for (position, set) in self.bits(constant) {
            if let (Some(position), true) = (position, set) {
                result = bdd.ask(position, result, TRUE)?;
            }
        }
        Ok(result)
    }
}

/// The function that tells by a whole 32-bit word which of these functions counts: each from its start up to the next.
/// The starts ascend, the first is 0, and the functions ask bits behind the word only.
pub(super) fn by_intervals(bdd: &mut Bdd, word: Word, starts: &[(u32, Ref)]) -> Result<Ref, Exhausted> {
    block(bdd, word, starts, 0, word.width)
}

/// The same for the numbers from `first` that differ in the lowest `bits` bits only. At most 32 deep.
fn block(bdd: &mut Bdd, word: Word, starts: &[(u32, Ref)], first: u32, bits: u16) -> Result<Ref, Exhausted> {
    let Some(&(_, only)) = starts.first() else { return Ok(FALSE) };
    let half = match bits.checked_sub(1) {
        Some(half) if starts.len() > 1 => half,
        _ => return Ok(only),
    };
    let middle = first | 1_u32.checked_shl(u32::from(half)).unwrap_or(0);
    let below = starts.partition_point(|&(start, _)| start < middle);
    let (low, high) = starts.split_at(below);
    let zero = block(bdd, word, low, first, half)?;
    // What holds at the middle may have started below it.
    let high = match high.first() {
        Some(&(start, _)) if start == middle => high,
        _ => starts.get(below.saturating_sub(1)..).unwrap_or(high),
    };
    let one = block(bdd, word, high, middle, half)?;
    match word.position(half) {
        Some(position) => bdd.ask(position, zero, one),
        None => Ok(zero),
    }
}

/// Sets a bit of a call, given by its place in the order of the diagram.
#[allow(clippy::arithmetic_side_effects)] // The masks bound both operands.
pub(super) fn set_bit(call: &mut SyscallData, position: u16) {
    // Within its word the top bit comes first.
    let narrow = || 1_u32 << (31 - (position & 31));
    let wide = || 1_u64 << (63 - (position & 63));
    match position {
        0..32 => call.arch |= narrow(),
        32..64 => call.nr |= narrow(),
        448..BITS => call.instruction_pointer |= wide(),
        _ => {
            let arg = usize::from((position / 64).saturating_sub(1));
            if let Some(register) = call.args.get_mut(arg) {
                *register |= wide();
            }
        }
    }
}

/// The value of a function for a call.
#[cfg(test)]
pub(super) fn value(bdd: &Bdd, mut function: Ref, call: &SyscallData) -> u32 {
    while bdd.first_bit(function) < BITS {
        let bit = bdd.first_bit(function);
        let mut with = *call;
        set_bit(&mut with, bit);
        let (zero, one) = bdd.halves(function, bit);
        function = if with == *call { one } else { zero };
    }
    bdd.number(function)
}

#[cfg(test)]
mod tests {
    use super::super::bdd::Budget;
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn comparisons_mean_what_they_say() {
        let mut bdd = Bdd::new(Budget { nodes: 100_000, steps: 1_000_000 }, 0);
        let samples = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
        let masks = [u64::MAX, 0xff, 0x8000_0001, 0xffff_ffff_0000_0000, 0];
        for arg in [0, 5_u8] {
            for word in [Word::argument(arg).unwrap(), Word::low_half(arg).unwrap()] {
                for (mask, constant) in masks.into_iter().flat_map(|mask| samples.map(|constant| (mask, constant))) {
                    let word = word.masked(mask);
                    let equals = word.equals(&mut bdd, constant).unwrap();
                    let above = word.exceeds(&mut bdd, constant, false).unwrap();
                    let at_least = word.exceeds(&mut bdd, constant, true).unwrap();
                    let any = word.intersects(&mut bdd, constant).unwrap();
                    for sample in samples {
                        let mut call = SyscallData { nr: 77, ..SyscallData::default() };
                        call.args[usize::from(arg)] = sample;
                        let seen = sample & word.mask;
                        let truth = [seen == constant, seen > constant, seen >= constant, seen & constant != 0];
                        let found = [equals, above, at_least, any].map(|f| value(&bdd, f, &call) == 1);
                        assert_eq!(found, truth, "{sample:#x} & {:#x} against {constant:#x}", word.mask);
                    }
                }
            }
        }
    }

    #[test]
    fn intervals() {
        let mut bdd = Bdd::new(Budget { nodes: 100_000, steps: 1_000_000 }, 0);
        let starts = [0, 3, 4, 0x4000_0000, 0xffff_ffff];
        let leaves: Vec<_> = starts.iter().zip(10..).map(|(&start, leaf)| (start, bdd.leaf(leaf).unwrap())).collect();
        let map = by_intervals(&mut bdd, Word::NUMBER, &leaves).unwrap();
        let samples = [0, 2, 3, 4, 5, 0x3fff_ffff, 0x4000_0000, 0x4000_0001, 0xffff_fffe, 0xffff_ffff];
        for (nr, expected) in samples.into_iter().zip([10, 10, 11, 12, 12, 12, 13, 13, 13, 14]) {
            assert_eq!(value(&bdd, map, &SyscallData { nr, ..SyscallData::default() }), expected, "{nr:#x}");
        }
    }

    #[test]
    fn words_are_those_of_the_call() {
        let mut bdd = Bdd::new(Budget { nodes: 100_000, steps: 1_000_000 }, 0);
        let call = SyscallData {
            nr: 0x8123_4567,
            arch: 0xc000_003e,
            instruction_pointer: 0x1111_2222_8333_4444,
            args: core::array::from_fn(|arg| 0x9000_0001_8000_0002 + arg as u64),
        };
        for endian in [Endian::Little, Endian::Big] {
            for offset in (0..64).step_by(4) {
                let word = Word::loaded(offset, endian).unwrap();
                let seen = call.word(offset, endian).unwrap();
                let equals = word.equals(&mut bdd, u64::from(seen)).unwrap();
                assert_eq!(value(&bdd, equals, &call), 1, "{offset} {endian:?}");
            }
            assert_eq!((Word::loaded(64, endian), Word::loaded(2, endian)), (None, None));
        }
    }
}
