//! One argument register under conditions that must hold or must fail.

use super::{OutOfWork, Work};
use crate::policy::{Condition, Test};
use crate::profile::Width;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

pub(super) const LOW: u64 = 0xffff_ffff;

/// A range of numbers, both ends included; empty if the ends are the wrong way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Range {
    const EMPTY: Self = Self { from: 1, to: 0 };

    fn meet(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    pub(super) fn is_empty(self) -> bool {
        self.from > self.to
    }

    pub(super) fn meets(self, other: Self) -> bool {
        !self.meet(other).is_empty()
    }
}

/// All values of a register that meet a list of conditions.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// The whole register lies in this range.
    pub(super) all: Range,
    /// The low half lies in this range.
    pub(super) low: Range,
    /// `register & mask == value`.
    pub(super) mask: u64,
    pub(super) value: u64,
    /// `register & .0 != .1`, with `.1` inside of `.0`.
    unequal: Vec<(u64, u64)>,
    contradiction: bool,
}

impl Word {
    pub(super) const ANY: Self = Self {
        all: Range { from: 0, to: u64::MAX },
        low: Range { from: 0, to: LOW },
        mask: 0,
        value: 0,
        unequal: Vec::new(),
        contradiction: false,
    };

    /// Adds that a condition on this register holds, or that it fails.
    pub(super) fn constrain(&mut self, condition: &Condition, holds: bool) {
        let full = match condition.width {
            Width::Bits32 => LOW,
            Width::Bits64 => u64::MAX,
        };
        let test = if holds { condition.test } else { negated(condition.test) };
        match test {
            Test::Eq(value) => self.equal(full, value),
            Test::Ne(value) => self.differ(full, value),
            Test::Lt(value) => self.within(full, value.checked_sub(1).map_or(Range::EMPTY, |to| Range { from: 0, to })),
            Test::Le(value) => self.within(full, Range { from: 0, to: value }),
            Test::Gt(value) => {
                self.within(full, value.checked_add(1).map_or(Range::EMPTY, |from| Range { from, to: full }));
            }
            Test::Ge(value) => self.within(full, Range { from: value, to: full }),
            Test::MaskedEq { mask, value } if holds => self.masked(full, mask, value),
            Test::MaskedEq { mask, value } => self.unmasked(full, mask, value),
        }
    }

    fn within(&mut self, full: u64, range: Range) {
        let own = if full == LOW { &mut self.low } else { &mut self.all };
        *own = own.meet(range);
    }

    fn equal(&mut self, full: u64, value: u64) {
        self.within(full, Range { from: value, to: value });
        self.masked(full, full, value);
    }

    fn differ(&mut self, full: u64, value: u64) {
        self.unmasked(full, full, value);
    }

    /// `register & full & mask == value`.
    fn masked(&mut self, full: u64, mask: u64, value: u64) {
        let mask = mask & full;
        let common = self.mask & mask;
        self.contradiction |= value & !mask != 0 || (self.value ^ value) & common != 0;
        self.mask |= mask;
        self.value |= value;
    }

    /// `register & full & mask != value`.
    fn unmasked(&mut self, full: u64, mask: u64, value: u64) {
        let mask = mask & full;
        if value & !mask == 0 {
            self.unequal.push((mask, value));
        }
    }

    /// Whether the ranges and fixed bits already show that nothing meets both.
    pub(super) fn clearly_apart(&self, other: &Self) -> bool {
        !self.all.meets(other.all)
            || !self.low.meets(other.low)
            || (self.value ^ other.value) & self.mask & other.mask != 0
    }

    /// The smallest value of the register that meets everything; exact.
    pub(super) fn smallest(&self, work: &mut Work) -> Result<Option<u64>, OutOfWork> {
        work.charge(1)?;
        if self.contradiction || self.all.is_empty() || self.low.is_empty() {
            return Ok(None);
        }
        if self.unequal.iter().any(|(mask, _)| *mask == 0) {
            return Ok(None);
        }
        let pending = (0u32..).zip(&self.unequal).filter(|(_, pair)| !self.settled(**pair)).map(|(i, _)| i).collect();
        let start = Node { bit: 64, all: Edge::BOTH, low: Edge::BOTH, pending };
        Search { word: self, dead: BTreeSet::new() }.descend(start, 0, work)
    }

    /// Whether the fixed bits alone make an inequality true.
    fn settled(&self, (mask, value): (u64, u64)) -> bool {
        (self.value ^ value) & self.mask & mask != 0
    }
}

/// The comparison that holds where this one fails. A mask test stays: its sense is told apart by the caller.
fn negated(test: Test) -> Test {
    match test {
        Test::Eq(value) => Test::Ne(value),
        Test::Ne(value) => Test::Eq(value),
        Test::Lt(value) => Test::Ge(value),
        Test::Le(value) => Test::Gt(value),
        Test::Gt(value) => Test::Le(value),
        Test::Ge(value) => Test::Lt(value),
        masked @ Test::MaskedEq { .. } => masked,
    }
}

/// Whether the bits chosen so far are still those of the lower and of the upper end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    lower: bool,
    upper: bool,
}

impl Edge {
    const BOTH: Self = Self { lower: true, upper: true };

    /// After one more bit; `None` if the range is left.
    fn step(self, range: Range, bit: u32, one: bool) -> Option<Self> {
        let (from, to) = (range.from >> bit & 1 == 1, range.to >> bit & 1 == 1);
        let leaves = (self.lower && from && !one) || (self.upper && !to && one);
        (!leaves).then_some(Self { lower: self.lower && from == one, upper: self.upper && to == one })
    }
}

/// What a prefix of the register leaves to be decided. Two prefixes with the same node have the same completions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    /// Number of bits still to be chosen.
    bit: u32,
    all: Edge,
    low: Edge,
    /// Indexes of the inequalities that no chosen bit has made true.
    pending: Vec<u32>,
}

struct Search<'a> {
    word: &'a Word,
    /// Nodes without completion.
    dead: BTreeSet<Node>,
}

impl Search<'_> {
    /// The smallest completion of a prefix. The depth is at most 64.
    fn descend(&mut self, node: Node, prefix: u64, work: &mut Work) -> Result<Option<u64>, OutOfWork> {
        let Some(bit) = node.bit.checked_sub(1) else {
            return Ok(Some(prefix));
        };
        work.charge(node.pending.len().saturating_add(1))?;
        if self.dead.contains(&node) {
            return Ok(None);
        }
        for one in [false, true] {
            if let Some(next) = self.step(&node, bit, one) {
                let found = self.descend(next, prefix | u64::from(one) << bit, work)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        self.dead.insert(node);
        Ok(None)
    }

    fn step(&self, node: &Node, bit: u32, one: bool) -> Option<Node> {
        let word = self.word;
        if word.mask >> bit & 1 == 1 && (word.value >> bit & 1 == 1) != one {
            return None;
        }
        let all = node.all.step(word.all, bit, one)?;
        let low = if bit < 32 { node.low.step(word.low, bit, one)? } else { node.low };
        let below = !(u64::MAX << bit);
        let mut pending = Vec::with_capacity(node.pending.len());
        for index in &node.pending {
            let (mask, value) = word.unequal.get(usize::try_from(*index).ok()?)?;
            if mask >> bit & 1 == 0 || (value >> bit & 1 == 1) == one {
                if mask & below == 0 {
                    // No bit is left to differ in.
                    return None;
                }
                pending.push(*index);
            }
        }
        Some(Node { bit, all, low, pending })
    }
}
