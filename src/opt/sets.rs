//! Tests that leave a set instead of an interval.
//!
//! Behind `== t` and behind `& mask` the numbers that are left no longer lie side by side; those decided before are
//! don't-cares, the only ones there are. A window of at most 64 elements is therefore a set of bits, and the cheapest
//! tree for a set is found like that for an interval:
//!
//! ```text
//! 0                                   all elements have one class
//! weight + price + the least of
//!   cost(below k) + cost(from k on)   >= k      where the class changes
//!   cost(all but t)                   == t      t one number
//!   cost(with) + cost(without)        & mask    any bit of the mask; one side of one class
//! ```
//! A bit test may only look at bits that are the same in a whole element. `n & m` tells numbers apart that lie all over a
//! window: multiples of four from the rest, say.
//!
//! Of one kind of test not every one is tried. A cheapest tree for a set, with the elements of a part left out, is a tree
//! for that part: so a part never costs more than the set, and a bit test whose undecided side is a part of that of
//! another one makes the other one superfluous.

use super::elements::{Elements, Groups, Window};
use super::table::Table;
use crate::code::{Code, CodeId, Held, Op, Step};

/// Sets that one search may remember; further ones count as too dear.
const STATES: usize = 2000;
/// More than any cost.
pub(super) const DEAR: u32 = 1 << 30;

/// What may be tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Price of a test.
    pub(super) price: u32,
    /// Equality tests are tried where at most so many groups are left.
    pub(super) few: usize,
    /// Bit tests are tried where at most so many groups are left.
    pub(super) bit_runs: usize,
    /// One side of a bit test is of one class, the other has at most so many groups.
    pub(super) side: usize,
    /// Behind a test that left a set, further ones are tried where at most so many groups are left.
    pub(super) nested: usize,
    /// A window may have so many elements.
    pub(super) elements: usize,
}

/// A test that leaves sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetTest {
    /// `==` the number of this element.
    Eq(u16),
    /// Any bit of this mask.
    Mask(u32),
}

/// The sets of elements of a switch that were looked at.
#[derive(Debug)]
pub(super) struct Sets {
    limits: Limits,
    elements: Elements,
    known: Table<(u16, u64), (u32, Choice)>,
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Leaf,
    /// `>=` the number of this element.
    Ge(u16),
    Test(SetTest),
}

impl Sets {
    /// Nothing was looked at yet.
    pub(super) fn new(elements: Elements, limits: Limits) -> Self {
        Self { limits, elements, known: Table::new() }
    }

    /// How many sets are remembered.
    pub(super) fn states(&self) -> usize {
        self.known.len()
    }

    /// Whether a window has few enough elements.
    pub(super) fn fits(&self, i: usize, j: usize) -> bool {
        self.elements.count(i, j) <= self.limits.elements
    }

    /// The best test of a window that leaves sets, and what it costs behind the test, if that is below the limit.
    pub(super) fn best(&mut self, i: usize, j: usize, limit: u32) -> Option<(SetTest, u32)> {
        if !self.fits(i, j) {
            return None;
        }
        let window = self.elements.window(i, j)?;
        let groups = window.groups(window.all)?;
        self.best_test(&window, window.all, &groups, limit, self.limits.side)
    }

    fn best_test(
        &mut self,
        window: &Window,
        set: u64,
        groups: &Groups,
        limit: u32,
        side: usize,
    ) -> Option<(SetTest, u32)> {
        let mut best = None;
        let mut limit = limit;
        if groups.count <= self.limits.few {
            // At either end a range test does the same.
            let ends = 1 << set.trailing_zeros() | 1 << set.ilog2();
            let mut left = self.elements.alone(window, set & !ends);
            while left != 0 {
                let own = left & left.wrapping_neg();
                left &= !own;
                let rest = set & !own;
                let Some(rest) = window.few_groups(rest, groups.count).map(|count| self.cost(window, rest, count))
                else {
                    continue;
                };
                if rest < limit {
                    limit = rest;
                    best = Some((SetTest::Eq(window.element(own.trailing_zeros())), rest));
                }
            }
        }
        if limit > 0 && (3..=self.limits.bit_runs).contains(&groups.count) {
            best = self.best_mask(window, set, side, limit).or(best);
        }
        best
    }

    /// The best bit test that costs less than the limit. One side is of one class and costs nothing more; what the other
    /// side costs never falls when elements are added to it, so only the least other sides are looked at.
    fn best_mask(&mut self, window: &Window, set: u64, side: usize, mut limit: u32) -> Option<(SetTest, u32)> {
        let bits = self.elements.usable_bits(window, set);
        let mut best = None;
        for class in window.classes().filter(|class| set & class != 0) {
            // Those with any of the bits are of this class: the more bits, the less is left.
            let (mut mask, mut yes) = (0, 0);
            for &(bit, having) in bits.all() {
                if having & !class == 0 && having & !yes != 0 {
                    (mask, yes) = (mask | bit, yes | having);
                }
            }
            if mask != 0
                && let Some(cost) = self.behind(window, set & !yes, side, limit)
            {
                limit = cost;
                best = Some((SetTest::Mask(mask), cost));
            }
            // Those with none of the bits are of this class: the fewer bits, the less is left.
            bits.masks(set & !class, &mut |mask, yes| {
                if let Some(cost) = self.behind(window, yes, side, limit) {
                    limit = cost;
                    best = Some((SetTest::Mask(mask), cost));
                }
            });
        }
        best
    }

    /// What it costs to decide the side of a test whose other side is decided, if it is below the limit and there are at
    /// most `side` groups.
    fn behind(&mut self, window: &Window, left: u64, side: usize, limit: u32) -> Option<u32> {
        let groups = window.few_groups(left, side)?;
        if groups > 1 && self.at_least(window, left, groups) >= limit {
            return None;
        }
        let cost = self.cost(window, left, groups);
        (cost < limit).then_some(cost)
    }

    /// Less than what a set of several groups costs: all pass one test. Where that is a range test, it decides one group
    /// at most, if there are more than three, and what is left passes another one.
    fn at_least(&self, window: &Window, set: u64, groups: usize) -> u32 {
        let first_test = self.first_test(window, set);
        if groups <= self.limits.nested.max(3) {
            return first_test;
        }
        let [first, last] = window.ends(set).map(|end| self.elements.weight(window, end));
        2 * first_test - first.max(last)
    }

    /// The cost of one test that a whole set passes.
    fn first_test(&self, window: &Window, set: u64) -> u32 {
        self.elements.weight(window, set) + self.limits.price
    }

    /// What the cheapest tree for a set of so many groups costs.
    fn cost(&mut self, window: &Window, set: u64, groups: usize) -> u32 {
        match groups {
            1 => 0,
            2 => self.first_test(window, set),
            _ => self.entry(window, set).0,
        }
    }

    /// The cheapest tree for a set of at least three groups.
    fn entry(&mut self, window: &Window, set: u64) -> (u32, Choice) {
        let first = set.trailing_zeros();
        let key = (window.element(first), set >> first);
        if let Some(known) = self.known.get(&key) {
            return known;
        }
        let Some(groups) = window.groups(set) else { return (DEAR, Choice::Leaf) };
        if self.known.len() >= STATES {
            return (DEAR, Choice::Leaf);
        }
        let mut best = (DEAR, Choice::Leaf);
        for (at, &place) in groups.starts[..groups.count].iter().enumerate().skip(1) {
            let below = self.cost(window, set & !(u64::MAX << place), at);
            // Nothing is cheaper than free.
            if below < best.0 {
                let cost = below + self.cost(window, set & (u64::MAX << place), groups.count - at);
                if cost < best.0 {
                    best = (cost, Choice::Ge(window.element(place)));
                }
            }
        }
        if groups.count <= self.limits.nested
            && let Some((test, cost)) = self.best_test(window, set, &groups, best.0, groups.count - 1)
        {
            best = (cost, Choice::Test(test));
        }
        if best.0 < DEAR {
            best.0 += self.first_test(window, set);
        }
        self.known.insert(key, best);
        best
    }

    /// The code of a test that [`Self::best`] found for a window.
    pub(super) fn test(&mut self, builder: &mut Builder<'_>, (i, j): (usize, usize), test: SetTest) -> CodeId {
        match self.elements.window(i, j) {
            Some(window) => self.tree_of(builder, &window, window.all, Choice::Test(test)),
            // Then there was no such test.
            None => builder.later,
        }
    }

    fn tree(&mut self, builder: &mut Builder<'_>, window: &Window, set: u64) -> CodeId {
        let choice = match window.groups(set) {
            Some(Groups { count: 1, .. }) | None => Choice::Leaf,
            Some(Groups { count: 2, starts }) => Choice::Ge(window.element(starts[1])),
            Some(_) => self.entry(window, set).1,
        };
        self.tree_of(builder, window, set, choice)
    }

    fn tree_of(&mut self, builder: &mut Builder<'_>, window: &Window, set: u64, choice: Choice) -> CodeId {
        let number = |element| self.elements.number(element);
        let (test, yes) = match choice {
            Choice::Leaf => {
                let (first, last) = (window.element(set.trailing_zeros()), window.element(set.ilog2()));
                builder.window = (self.elements.number(first), self.elements.bound(last));
                return builder.class(self.elements.class(first));
            }
            Choice::Ge(element) => ((Op::Ge, number(element)), set & (u64::MAX << window.bit(element))),
            Choice::Test(SetTest::Eq(element)) => ((Op::Eq, number(element)), 1 << window.bit(element)),
            Choice::Test(SetTest::Mask(mask)) => ((Op::Set, mask), self.elements.having(window, set, mask)),
        };
        let no = self.tree(builder, window, set & !yes);
        let yes = self.tree(builder, window, yes);
        builder.code.test(builder.held, test, yes, no)
    }
}

/// Where a tree goes.
pub(super) struct Builder<'a> {
    pub(super) code: &'a mut Code,
    pub(super) held: Held,
    /// Takes the place of [`CodeId::LATER`].
    pub(super) later: CodeId,
    /// First and last number that can come here.
    pub(super) window: (u32, u32),
    /// Whether what the window has answered is not asked again.
    pub(super) shortcuts: bool,
}

impl Builder<'_> {
    /// The code of a class. Where that asks for the number again, questions that the window has answered can be left
    /// out. Not for the shortest program: ways that end in one place end in several then.
    pub(super) fn class(&self, class: CodeId) -> CodeId {
        if class == CodeId::LATER {
            return self.later;
        }
        if !self.shortcuts {
            return class;
        }
        let (first, last) = self.window;
        let mut at = class;
        while let Step::Test { held, op, k, yes, no } = self.code.step(at)
            && held == self.held
        {
            at = match op {
                Op::Ge if first >= k => yes,
                Op::Ge if last < k => no,
                Op::Eq if (first, last) == (k, k) => yes,
                Op::Eq if k < first || last < k => no,
                _ => break,
            };
        }
        at
    }
}
