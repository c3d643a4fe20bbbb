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
//! An element is a number, or a whole run where numbers are too many; a bit test may only look at bits that are the same
//! in a whole element. `n & m` tells numbers apart that lie all over a window: multiples of four from the rest, say.

use super::runs::Run;
use super::table::Table;
use crate::code::{Code, CodeId, Held, Op};
use alloc::vec::Vec;

/// Elements that a set may have.
const MOST: usize = 64;
/// Longer runs are one element, also where numbers are.
const LONG: u32 = 32;
/// Sets that one search may remember; further ones count as too dear.
const STATES: usize = 2000;
/// More than any cost.
pub(super) const DEAR: u32 = 1 << 30;
/// Classes that a window may have.
const CLASSES: usize = 8;
/// Groups of equal neighbours that a set may have.
const GROUPS: usize = 12;
/// Below this bit all combinations are tried, above it single bits.
const COMBINED: u32 = 6;

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

/// The elements of a switch, and the sets that were looked at.
#[derive(Debug)]
pub(super) struct Sets {
    limits: Limits,
    elements: Vec<Element>,
    /// The first element of each run, and one more for the end.
    starts: Vec<usize>,
    classes: Vec<CodeId>,
    /// For each class its elements.
    members: Vec<Bitmap>,
    /// Elements of more than one number, and numbers that are a run of their own.
    long: Bitmap,
    alone: Bitmap,
    /// For each bit that is not the same everywhere the elements that have it.
    bits: Vec<(u32, Bitmap)>,
    known: Table<(u16, u64), (u32, Choice)>,
}

#[derive(Clone, Copy, Debug)]
struct Element {
    first: u32,
    /// The bits that differ within it.
    loose: u32,
    weight: u32,
    class: u16,
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Leaf,
    /// `>=` the number of this element.
    Ge(u16),
    Test(SetTest),
}

/// The elements of a window; sets are bits from its first element on.
#[derive(Clone, Copy)]
struct Window {
    base: usize,
    all: u64,
    /// The elements of each class.
    classes: [u64; CLASSES],
    count: usize,
}

impl Window {
    /// The elements of the class that the first one of a set has.
    fn like_first(&self, set: u64) -> u64 {
        let first = set & set.wrapping_neg();
        let mut class = self.classes[0];
        for other in &self.classes[1..self.count] {
            class = if other & first != 0 { *other } else { class };
        }
        class
    }

    fn is_one_class(&self, set: u64) -> bool {
        self.classes[..self.count].iter().any(|class| set & !class == 0)
    }

    fn element(&self, place: impl Into<u32>) -> usize {
        self.base + place.into() as usize
    }

    fn groups(&self, set: u64) -> Option<Groups> {
        let mut groups = Groups { starts: [0; GROUPS], count: 0 };
        let mut left = set;
        while left != 0 {
            *groups.starts.get_mut(groups.count)? = u8::try_from(left.trailing_zeros()).unwrap_or(0);
            groups.count += 1;
            // On to the first one of another class.
            let other = left & !self.like_first(left);
            left &= u64::MAX.checked_shl(other.trailing_zeros()).unwrap_or(0);
        }
        Some(groups)
    }

    /// Whether a set has at most so many groups.
    fn has_few_groups(&self, set: u64, most: usize) -> bool {
        let mut left = set;
        for _ in 0..most {
            let other = left & !self.like_first(left);
            if other == 0 {
                return true;
            }
            left &= u64::MAX << other.trailing_zeros();
        }
        false
    }
}

/// Neighbours of one class: the places where they begin.
struct Groups {
    starts: [u8; GROUPS],
    count: usize,
}

/// One bit for each element, and 64 more.
#[derive(Debug)]
struct Bitmap(Vec<u64>);

impl Bitmap {
    fn new(elements: usize) -> Self {
        Self(alloc::vec![0; elements / 64 + 2])
    }

    fn add(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    /// The 64 bits from a place on.
    fn from(&self, at: usize) -> u64 {
        let (word, shift) = (at / 64, at % 64);
        // Shifted twice, because 64 is too much for one shift.
        self.0[word] >> shift | self.0[word + 1] << 1 << (63 - shift)
    }
}

impl Sets {
    /// `weights` are those of the runs, `weigh` that of single numbers. Numbers in `holes` are decided already.
    pub(super) fn new(
        runs: &[Run],
        weights: &[u32],
        limits: Limits,
        numbers: Option<&dyn Fn(u32) -> u32>,
        holes: &[u32],
    ) -> Self {
        let mut sets = Self {
            limits,
            elements: Vec::with_capacity(runs.len()),
            starts: Vec::with_capacity(runs.len() + 1),
            classes: Vec::new(),
            members: Vec::new(),
            long: Bitmap(Vec::new()),
            alone: Bitmap(Vec::new()),
            bits: Vec::new(),
            known: Table::new(),
        };
        for (run, &weight) in runs.iter().zip(weights) {
            let class = sets.classes.iter().position(|&class| class == run.class).unwrap_or(sets.classes.len());
            if class == sets.classes.len() {
                sets.classes.push(run.class);
            }
            let class = u16::try_from(class).unwrap_or(u16::MAX);
            sets.starts.push(sets.elements.len());
            match numbers {
                Some(weigh) if run.last - run.first < LONG => {
                    let left = (run.first..=run.last).filter(|number| !holes.contains(number));
                    sets.elements.extend(left.map(|first| Element {
                        first,
                        loose: 0,
                        weight: weigh(first).max(1),
                        class,
                    }));
                }
                _ => {
                    let loose = (u32::MAX).checked_shr((run.first ^ run.last).leading_zeros()).unwrap_or(0);
                    sets.elements.push(Element { first: run.first, loose, weight, class });
                }
            }
        }
        sets.starts.push(sets.elements.len());
        sets.draw();
        sets
    }

    fn draw(&mut self) {
        let many = self.elements.len();
        self.members = self.classes.iter().map(|_| Bitmap::new(many)).collect();
        self.long = Bitmap::new(many);
        self.alone = Bitmap::new(many);
        for run in self.starts.windows(2).filter(|run| run[1] - run[0] == 1 && self.elements[run[0]].loose == 0) {
            self.alone.add(run[0]);
        }
        let differ = self.elements.iter().fold(0, |differ, element| differ | (element.first ^ self.elements[0].first));
        self.bits =
            (0..32).map(|bit| 1 << bit).filter(|bit| differ & bit != 0).map(|bit| (bit, Bitmap::new(many))).collect();
        for (at, element) in self.elements.iter().enumerate() {
            self.members[usize::from(element.class)].add(at);
            if element.loose != 0 {
                self.long.add(at);
            }
            for (bit, having) in &mut self.bits {
                if element.first & *bit != 0 {
                    having.add(at);
                }
            }
        }
    }

    /// How many sets are remembered.
    pub(super) fn states(&self) -> usize {
        self.known.len()
    }

    /// The elements of a window of runs, if they are not too many.
    fn window(&self, i: usize, j: usize) -> Option<Window> {
        if !self.fits(i, j) {
            return None;
        }
        let (base, end) = (self.starts[i], self.starts[j + 1]);
        let all = u64::MAX >> (MOST - (end - base));
        let mut window = Window { base, all, classes: [0; CLASSES], count: 0 };
        let mut left = all;
        while left != 0 {
            let class = self.elements[window.element(left.trailing_zeros())].class;
            let class = self.members[usize::from(class)].from(base) & all;
            *window.classes.get_mut(window.count)? = class;
            window.count += 1;
            left &= !class;
        }
        Some(window)
    }

    /// Whether a window has few enough elements.
    pub(super) fn fits(&self, i: usize, j: usize) -> bool {
        self.starts[j + 1] - self.starts[i] <= self.limits.elements.min(MOST)
    }

    /// The best test of a window that leaves sets, and what it costs behind the test, if that is below the limit.
    pub(super) fn best(&mut self, i: usize, j: usize, limit: u32) -> Option<(SetTest, u32)> {
        let window = self.window(i, j)?;
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
            let mut left = self.alone.from(window.base) & set & !ends;
            while left != 0 {
                let own = left & left.wrapping_neg();
                left &= !own;
                let cost = self.cost(window, set & !own);
                if cost < limit {
                    limit = cost;
                    best = Some((SetTest::Eq(narrow(window.element(own.trailing_zeros()))), cost));
                }
            }
        }
        if limit > 0 && (3..=self.limits.bit_runs).contains(&groups.count) {
            best = self.best_mask(window, set, side, limit).or(best);
        }
        best
    }

    /// The best bit test that costs less than the limit.
    fn best_mask(&mut self, window: &Window, set: u64, side: usize, mut limit: u32) -> Option<(SetTest, u32)> {
        let loose = self.loose(window, set);
        let mut best = None;
        // The elements with any bit of a combination, from those of a smaller combination.
        let mut sets = [0_u64; 1 << COMBINED];
        let mut low = 0;
        let mut singles = [(0, 0_u64); 32];
        let mut many = 0;
        for (bit, having) in &self.bits {
            let yes = having.from(window.base) & set;
            if bit & loose != 0 || yes == 0 || yes == set {
                continue;
            }
            if *bit < 1 << COMBINED {
                low |= bit;
                sets[*bit as usize] = yes;
            } else {
                singles[many] = (*bit, yes);
                many += 1;
            }
        }
        // Masks whose numbers without any bit are of one class: more bits would only leave more to decide.
        let mut enough = [0_u32; 8];
        let mut found = 0;
        let mut consider = |mask: u32, yes: u64| {
            if enough[..found].iter().any(|other| mask & other == *other) {
                return;
            }
            if found < enough.len() && window.is_one_class(set & !yes) {
                enough[found] = mask;
                found += 1;
            }
            if let Some(cost) = self.behind(window, set, yes, side, limit) {
                limit = cost;
                best = Some((SetTest::Mask(mask), cost));
            }
        };
        // All parts of the low bits, ascending.
        let mut mask = low & low.wrapping_neg();
        while mask != 0 {
            let rest = mask & (mask - 1);
            let (less, bit) = (sets[rest as usize], sets[(mask ^ rest) as usize]);
            let yes = less | bit;
            sets[mask as usize] = yes;
            // With one bit less the same numbers would be told apart.
            if yes != set && (rest == 0 || yes != less && yes != bit) {
                consider(mask, yes);
            }
            mask = mask.wrapping_sub(low) & low;
        }
        for &(mask, yes) in &singles[..many] {
            consider(mask, yes);
        }
        best
    }

    /// What it costs to decide behind a test that tells a part of a set from the rest, if that is below the limit. One
    /// side has to be of one class and the other have at most `side` groups.
    fn behind(&mut self, window: &Window, set: u64, yes: u64, side: usize, limit: u32) -> Option<u32> {
        let no = set & !yes;
        // A side of one class costs nothing more.
        let other = match (window.is_one_class(yes), window.is_one_class(no)) {
            (true, true) => return (limit > 0).then_some(0),
            (true, false) => no,
            (false, true) => yes,
            (false, false) => return None,
        };
        if !window.has_few_groups(other, side) || self.weight(window, other) + self.limits.price >= limit {
            return None;
        }
        let cost = self.cost(window, other);
        (cost < limit).then_some(cost)
    }

    fn loose(&self, window: &Window, set: u64) -> u32 {
        let mut left = self.long.from(window.base) & set;
        let mut loose = 0;
        while left != 0 {
            loose |= self.elements[window.element(left.trailing_zeros())].loose;
            left &= left - 1;
        }
        loose
    }

    fn weight(&self, window: &Window, set: u64) -> u32 {
        let elements = &self.elements[window.base..];
        let (mut left, mut sum) = (set, 0);
        while left != 0 {
            sum += elements[left.trailing_zeros() as usize].weight;
            left &= left - 1;
        }
        sum
    }

    /// What the cheapest tree for a set costs.
    fn cost(&mut self, window: &Window, set: u64) -> u32 {
        self.entry(window, set).0
    }

    fn entry(&mut self, window: &Window, set: u64) -> (u32, Choice) {
        let Some(groups) = window.groups(set) else { return (DEAR, Choice::Leaf) };
        match groups.count {
            1 => return (0, Choice::Leaf),
            2 => {
                let first = narrow(window.element(groups.starts[1]));
                return (self.weight(window, set) + self.limits.price, Choice::Ge(first));
            }
            _ => {}
        }
        let first = set.trailing_zeros();
        let key = (narrow(window.element(first)), set >> first);
        if let Some(known) = self.known.get(&key) {
            return known;
        }
        if self.known.len() >= STATES {
            return (DEAR, Choice::Leaf);
        }
        let mut best = (DEAR, Choice::Leaf);
        for &place in &groups.starts[1..groups.count] {
            let below = self.cost(window, set & !(u64::MAX << place));
            // Nothing is cheaper than free.
            if below < best.0 {
                let cost = below + self.cost(window, set & (u64::MAX << place));
                if cost < best.0 {
                    best = (cost, Choice::Ge(narrow(window.element(place))));
                }
            }
        }
        if groups.count <= self.limits.nested
            && let Some((test, cost)) = self.best_test(window, set, &groups, best.0, groups.count - 1)
        {
            best = (cost, Choice::Test(test));
        }
        if best.0 < DEAR {
            best.0 += self.weight(window, set) + self.limits.price;
        }
        self.known.insert(key, best);
        best
    }

    /// The code of a test that [`Self::best`] found for a window.
    pub(super) fn test(&mut self, builder: &mut Builder<'_>, (i, j): (usize, usize), test: SetTest) -> CodeId {
        match self.window(i, j) {
            Some(window) => self.tree_of(builder, &window, window.all, Choice::Test(test)),
            None => self.classes[usize::from(self.elements[self.starts[i]].class)],
        }
    }

    fn tree(&mut self, builder: &mut Builder<'_>, window: &Window, set: u64) -> CodeId {
        let (_, choice) = self.entry(window, set);
        self.tree_of(builder, window, set, choice)
    }

    fn tree_of(&mut self, builder: &mut Builder<'_>, window: &Window, set: u64, choice: Choice) -> CodeId {
        let place = |element: u16| usize::from(element) - window.base;
        let number = |element: u16| self.elements[usize::from(element)].first;
        let (test, yes) = match choice {
            Choice::Leaf => {
                let element = self.elements[window.element(set.trailing_zeros())];
                return builder.class(self.classes[usize::from(element.class)]);
            }
            Choice::Ge(element) => ((Op::Ge, number(element)), set & (u64::MAX << place(element))),
            Choice::Test(SetTest::Eq(element)) => ((Op::Eq, number(element)), 1 << place(element)),
            Choice::Test(SetTest::Mask(mask)) => {
                let having = self.bits.iter().filter(|(bit, _)| mask & bit != 0);
                ((Op::Set, mask), having.fold(0, |yes, (_, having)| yes | having.from(window.base)) & set)
            }
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
}

impl Builder<'_> {
    pub(super) fn class(&self, class: CodeId) -> CodeId {
        if class == CodeId::LATER { self.later } else { class }
    }
}

fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
