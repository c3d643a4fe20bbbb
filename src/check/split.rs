//! What the values of one word decide: a function is split into the functions behind the word, each with the set of the
//! values that lead to it.
//!
//! A set is found in four ways, and the one that reads best is kept: as intervals, as pieces with masks, and as what is
//! outside of either. All four are exact. Pieces come from the diagram by a walk that counts first, so that nothing is
//! written down that does not fit the budget.

use super::bdd::{Bdd, Ref};
use super::values::{Piece, Values};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Bits of the diagram that make a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    top: u16,
    end: u16,
}

impl Span {
    pub(super) const ARCH: Self = Self { top: 0, end: 32 };
    pub(super) const NUMBER: Self = Self { top: 32, end: 64 };

    /// The argument with this index, or for 6 the instruction pointer.
    pub(super) fn wide(index: u16) -> Self {
        let top = index.saturating_mul(64).saturating_add(64);
        Self { top, end: top.saturating_add(64) }
    }

    /// The low half, if a function does not ask for more.
    fn fitted(self, bdd: &Bdd, function: Ref) -> Self {
        let low = self.end.saturating_sub(32);
        if bdd.first_bit(function) >= low { Self { top: self.top.max(low), ..self } } else { self }
    }

    fn width(self) -> u16 {
        self.end.saturating_sub(self.top)
    }

    fn word(self) -> u64 {
        low_bits(self.width())
    }

    /// Whether a function asks nothing of this word or before it.
    fn is_behind(self, bdd: &Bdd, function: Ref) -> bool {
        bdd.first_bit(function) >= self.end
    }
}

/// The number whose lowest bits are set, so many.
fn low_bits(count: u16) -> u64 {
    if count >= 64 { u64::MAX } else { 1_u64.checked_shl(count.into()).unwrap_or(0).wrapping_sub(1) }
}

/// Why an answer was not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It takes too long.
    Steps,
    /// There is too much to write down.
    Regions,
}

/// Intervals of one word that are looked at.
const MOST_RUNS: usize = 2048;

/// A set of intervals that reads so well that nothing else is tried.
const LIGHT: usize = 4;

/// What else may be done: steps of any kind, pieces included.
#[derive(Debug)]
pub(super) struct Splitter {
    pub(super) steps: usize,
    /// Pieces that may be written down in one set, and sets of one word.
    pub(super) pieces: usize,
}

impl Splitter {
    /// The functions behind a word in the order of the smallest value that leads to each, with all values that do.
    /// `numbers` says that intervals are wanted where that is possible.
    pub(super) fn split(
        &mut self,
        bdd: &Bdd,
        function: Ref,
        span: Span,
        numbers: bool,
    ) -> Result<Vec<(Ref, Values)>, Ended> {
        let span = span.fitted(bdd, function);
        if span.is_behind(bdd, function) {
            return Ok(alloc::vec![(function, Values::all(span.width()))]);
        }
        let mut runs = Vec::new();
        let complete = collect(bdd, function, span, (span.top, 0), &mut runs);
        self.spend(runs.len())?;
        if !complete {
            runs.clear();
        }
        let exits = self.exits(bdd, function, span)?;
        let mut found = Vec::with_capacity(exits.len());
        for exit in exits {
            let mut known = BTreeMap::new();
            let first = smallest(bdd, function, span, exit, &mut known).unwrap_or(0);
            self.spend(known.len())?;
            let set = self.set(bdd, function, span, exit, &runs, numbers)?;
            found.push((exit, Values { first, ..set }));
        }
        Ok(found)
    }

    fn spend(&mut self, steps: usize) -> Result<(), Ended> {
        self.steps = self.steps.checked_sub(steps).ok_or(Ended::Steps)?;
        Ok(())
    }

    /// Every function behind the word once. Nodes are met in the order of the smallest value.
    fn exits(&mut self, bdd: &Bdd, function: Ref, span: Span) -> Result<Vec<Ref>, Ended> {
        let (mut exits, mut seen, mut left) = (Vec::new(), BTreeSet::new(), alloc::vec![function]);
        while let Some(node) = left.pop() {
            if !seen.insert(node) {
                continue;
            }
            self.spend(1)?;
            if span.is_behind(bdd, node) {
                exits.push(node);
                if exits.len() > self.pieces {
                    return Err(Ended::Regions);
                }
            } else {
                let (zero, one) = bdd.halves(node, bdd.first_bit(node));
                left.extend([one, zero]);
            }
        }
        Ok(exits)
    }

    /// The values that lead to one function, in the way that reads best.
    fn set(
        &mut self,
        bdd: &Bdd,
        function: Ref,
        span: Span,
        exit: Ref,
        runs: &[(u64, Ref)],
        numbers: bool,
    ) -> Result<Values, Ended> {
        let mut best: Option<(usize, Values)> = None;
        let mut offer = |inverted: bool, pieces: Vec<Piece>| {
            let weight = pieces.iter().map(Piece::weight).fold(usize::from(inverted), usize::saturating_add);
            if best.as_ref().is_none_or(|&(least, _)| weight < least) {
                best = Some((weight, Values { width: span.width(), inverted, pieces, first: 0 }));
            }
            weight
        };
        if !runs.is_empty() {
            self.spend(runs.len())?;
            let inside = offer(false, intervals(runs, span, |behind| behind == exit));
            let outside = if numbers { inside } else { offer(true, intervals(runs, span, |behind| behind != exit)) };
            if numbers || inside.min(outside) <= LIGHT {
                return best.map(|(_, values)| values).ok_or(Ended::Regions);
            }
        }
        for inverted in [false, true] {
            let mut cover = Cover { bdd, span, exit, inverted, shapes: BTreeMap::new() };
            let shape = cover.shape(function);
            self.spend(cover.shapes.len())?;
            if shape.count <= self.pieces {
                self.spend(shape.count)?;
                let mut pieces = Vec::with_capacity(shape.count);
                cover.write(function, (0, 0), &mut pieces);
                offer(inverted, pieces);
            }
        }
        best.map(|(_, values)| values).ok_or(Ended::Regions)
    }
}

/// Appends the intervals of a word, each from its start up to the next, until there are too many. Below a node that
/// asks the word there are at least two, so the work is in proportion to what is found. At most 64 deep.
fn collect(bdd: &Bdd, function: Ref, span: Span, (bit, start): (u16, u64), runs: &mut Vec<(u64, Ref)>) -> bool {
    if span.is_behind(bdd, function) {
        if runs.last().is_none_or(|&(_, previous)| previous != function) {
            runs.push((start, function));
        }
        return runs.len() <= MOST_RUNS;
    }
    let next = bit.saturating_add(1);
    let half = start | 1_u64.checked_shl(span.end.saturating_sub(next).into()).unwrap_or(0);
    let (zero, one) = bdd.halves(function, bit);
    collect(bdd, zero, span, (next, start), runs) && collect(bdd, one, span, (next, half), runs)
}

/// The intervals where something holds, as pieces.
fn intervals(runs: &[(u64, Ref)], span: Span, holds: impl Fn(Ref) -> bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut open = None;
    for &(start, behind) in runs {
        match (open, holds(behind)) {
            (None, true) => open = Some(start),
            (Some(low), false) => {
                pieces.push(Piece::new(span.word(), 0, 0, span.word(), (low, start.saturating_sub(1))));
                open = None;
            }
            _ => {}
        }
    }
    pieces.extend(open.map(|low| Piece::new(span.word(), 0, 0, span.word(), (low, span.word()))));
    pieces
}

/// The smallest value that leads from a node to a function, with what is known of other nodes. At most 64 deep.
fn smallest(bdd: &Bdd, node: Ref, span: Span, exit: Ref, known: &mut BTreeMap<Ref, Option<u64>>) -> Option<u64> {
    if span.is_behind(bdd, node) {
        return (node == exit).then_some(0);
    }
    if let Some(&found) = known.get(&node) {
        return found;
    }
    let bit = bdd.first_bit(node);
    let (zero, one) = bdd.halves(node, bit);
    let found = smallest(bdd, zero, span, exit, known)
        .or_else(|| smallest(bdd, one, span, exit, known).map(|low| low | bit_value(span, bit)));
    known.insert(node, found);
    found
}

/// What a bit of the diagram is worth in its word.
fn bit_value(span: Span, bit: u16) -> u64 {
    1_u64.checked_shl(span.end.saturating_sub(bit).saturating_sub(1).into()).unwrap_or(0)
}

/// Pieces that hold exactly the values that lead to one function, or to any other one.
struct Cover<'a> {
    bdd: &'a Bdd,
    span: Span,
    exit: Ref,
    inverted: bool,
    /// Of the nodes of the word that have been looked at.
    shapes: BTreeMap<Ref, Shape>,
}

/// What the values below a node look like, of the bits from the node's own downwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Pieces it takes; 0 if there is no value.
    count: usize,
    /// The bounds, if the values are one interval.
    run: Option<(u64, u64)>,
}

impl Shape {
    const NONE: Self = Self { count: 0, run: None };
}

impl Cover<'_> {
    /// At most 64 deep.
    fn shape(&mut self, node: Ref) -> Shape {
        if self.span.is_behind(self.bdd, node) {
            return if (node == self.exit) == self.inverted {
                Shape::NONE
            } else {
                Shape { count: 1, run: Some((0, 0)) }
            };
        }
        if let Some(&shape) = self.shapes.get(&node) {
            return shape;
        }
        let bit = self.bdd.first_bit(node);
        let (zero, one) = self.bdd.halves(node, bit);
        let half = bit_value(self.span, bit);
        let [low, high] = [zero, one].map(|side| {
            let shape = self.shape(side);
            Shape { run: self.stretched(side, shape, bit.saturating_add(1)), ..shape }
        });
        let run = match (low, high) {
            (low, Shape::NONE) => low.run,
            (Shape::NONE, Shape { run: Some((start, end)), .. }) => Some((half | start, half | end)),
            (Shape { run: Some((start, last)), .. }, Shape { run: Some((0, end)), .. })
                if last == half.wrapping_sub(1) =>
            {
                Some((start, half | end))
            }
            _ => None,
        };
        let count = if run.is_some() { 1 } else { low.count.saturating_add(high.count) };
        let shape = Shape { count, run };
        self.shapes.insert(node, shape);
        shape
    }

    /// The interval of a node as seen from a bit at or above its own: bits between that are not asked repeat the values,
    /// so that they are one interval only if they are all or none.
    fn stretched(&self, node: Ref, shape: Shape, bit: u16) -> Option<(u64, u64)> {
        let own = low_bits(self.span.end.saturating_sub(self.bdd.first_bit(node).min(self.span.end)));
        let whole = low_bits(self.span.end.saturating_sub(bit));
        match shape.run {
            Some((0, last)) if last == own => Some((0, whole)),
            run if own == whole => run,
            _ => None,
        }
    }

    /// Appends the pieces below a node; `fixed` are the mask and the value of the bits above it.
    fn write(&self, node: Ref, fixed: (u64, u64), pieces: &mut Vec<Piece>) {
        let (mask, value) = fixed;
        if self.span.is_behind(self.bdd, node) {
            if (node == self.exit) != self.inverted {
                pieces.push(Piece::new(self.span.word(), mask, value, 0, (0, 0)));
            }
            return;
        }
        let Some(shape) = self.shapes.get(&node).filter(|shape| shape.count > 0) else { return };
        let bit = self.bdd.first_bit(node);
        if let Some(bounds) = shape.run {
            let field = low_bits(self.span.end.saturating_sub(bit));
            pieces.push(Piece::new(self.span.word(), mask, value, field, bounds));
            return;
        }
        let (zero, one) = self.bdd.halves(node, bit);
        let bit = bit_value(self.span, bit);
        self.write(zero, (mask | bit, value), pieces);
        self.write(one, (mask | bit, value | bit), pieces);
    }
}

#[cfg(test)]
mod tests {
    use super::super::bdd::{Budget, FALSE, TRUE};
    use super::super::words::{Word, by_intervals};
    use super::*;

    const WORD: u64 = 0xffff_ffff;

    fn bdd() -> Bdd {
        Bdd::new(Budget { nodes: 10_000, steps: 100_000 }, 0)
    }

    /// Whether some bits of the number lie between bounds, both inside.
    fn within(bdd: &mut Bdd, mask: u64, (low, high): (u64, u64)) -> Ref {
        let word = Word::NUMBER.masked(mask);
        let from = word.exceeds(bdd, low, true).unwrap();
        let above = word.exceeds(bdd, high, false).unwrap();
        bdd.ite(above, FALSE, from).unwrap()
    }

    /// How many pieces were counted, and those that were written.
    fn covered(bdd: &Bdd, function: Ref, inverted: bool) -> (usize, Vec<Piece>) {
        let mut cover = Cover { bdd, span: Span::NUMBER, exit: TRUE, inverted, shapes: BTreeMap::new() };
        let (count, mut pieces) = (cover.shape(function).count, Vec::new());
        cover.write(function, (0, 0), &mut pieces);
        (count, pieces)
    }

    fn interval(bounds: (u64, u64)) -> Piece {
        Piece::new(WORD, 0, 0, WORD, bounds)
    }

    #[test]
    fn an_interval_is_one_piece() {
        for bounds in [
            (7, 7),
            (0, 4),
            (3, 9),
            (5, WORD),
            (0x100, 0x1ff),
            (0, 0x7fff_ffff),
            (0x8000_0000, WORD),
            (0x8000_0005, 0x8000_0009),
            (0x7fff_fff0, 0x8000_000f),
        ] {
            let mut bdd = bdd();
            let inside = within(&mut bdd, WORD, bounds);
            assert_eq!(covered(&bdd, inside, false), (1, alloc::vec![interval(bounds)]), "{bounds:x?}");
            let outside = bdd.not(inside).unwrap();
            assert_eq!(covered(&bdd, outside, true), (1, alloc::vec![interval(bounds)]), "{bounds:x?}");
        }
    }

    #[test]
    fn other_sets_are_several_pieces_or_have_masks() {
        let mut bdd = bdd();
        let [low, high] = [(3, 9), (20, 30)].map(|bounds| within(&mut bdd, WORD, bounds));
        let both = bdd.or(low, high).unwrap();
        assert_eq!(covered(&bdd, both, false), (2, alloc::vec![interval((3, 9)), interval((20, 30))]));
        // Bits that do not matter are in no mask.
        let field = within(&mut bdd, 0xff, (3, 9));
        assert_eq!(covered(&bdd, field, false), (1, alloc::vec![Piece::new(WORD, 0, 0, 0xff, (3, 9))]));
        let flag = Word::NUMBER.masked(0x1_0000).equals(&mut bdd, 0x1_0000).unwrap();
        let both = bdd.and(field, flag).unwrap();
        let piece = Piece::new(WORD, 0x1_0000, 0x1_0000, 0xff, (3, 9));
        assert_eq!(covered(&bdd, both, false), (1, alloc::vec![piece]));
        assert_eq!(covered(&bdd, FALSE, false), (0, Vec::new()));
    }

    /// The even numbers below 16 are many intervals, and one mask.
    #[test]
    fn numbers_are_intervals_where_that_is_wanted() {
        let mut bdd = bdd();
        let even = Word::NUMBER.masked(0xffff_fff1).equals(&mut bdd, 0).unwrap();
        let pieces = |numbers| {
            let mut splitter = Splitter { steps: 10_000, pieces: 100 };
            let found = splitter.split(&bdd, even, Span::NUMBER, numbers).unwrap();
            found.into_iter().find(|(exit, _)| *exit == TRUE).unwrap().1
        };
        let evens: Vec<_> = (0..8).map(|half| interval((2 * half, 2 * half))).collect();
        assert_eq!(pieces(true).pieces, evens);
        assert_eq!(pieces(false).pieces, [Piece::new(WORD, 0xffff_fff1, 0, 0, (0, 0))]);
    }

    #[test]
    fn budgets() {
        let mut bdd = bdd();
        let [one, two, three] = [1, 2, 3].map(|number| bdd.leaf(number).unwrap());
        let function = by_intervals(&mut bdd, Word::NUMBER, &[(0, one), (5, two), (9, three)]).unwrap();
        let with = |steps, pieces| {
            let mut splitter = Splitter { steps, pieces };
            let found = splitter.split(&bdd, function, Span::NUMBER, true)?;
            Ok(found.into_iter().map(|(exit, values)| (exit, values.first)).collect::<Vec<_>>())
        };
        assert_eq!(with(10_000, 3), Ok(alloc::vec![(one, 0), (two, 5), (three, 9)]));
        assert_eq!(with(10_000, 2), Err(Ended::Regions));
        assert_eq!(with(10, 3), Err(Ended::Steps));
        // Each step counts once.
        let mut splitter = Splitter { steps: 5, pieces: 1 };
        assert_eq!([splitter.spend(3), splitter.spend(2), splitter.spend(1)], [Ok(()), Ok(()), Err(Ended::Steps)]);
    }
}
