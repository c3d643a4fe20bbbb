//! The cheapest tree of comparisons over runs, by dynamic programming.
//!
//! `cost(i, j, S)` is the least cost of deciding among runs i to j when the runs in S, each a single number, are already
//! decided by an equality test further up. Removed runs are the only don't-cares there are.
//!
//! ```text
//! 0                                   all remaining runs have one class
//! weight + price + the least of
//!   cost(i, x, S) + cost(y, j, S)     >= first number of y    x, y neighbours of different class
//!   cost(i, j, S + t)                 == t                    t a single number
//! ```
//! An equality test at either end of a window is a range test, so only those inside are tried, and of these only where
//! few runs are left, or where the number is heavy and its neighbours are of one class: elsewhere a range test is as
//! good, and the number of subsets would explode. States are counted; above the budget the search starts again with
//! fewer equality tests.

use super::Params;
use super::runs::{Run, TOTAL};
use crate::code::{Code, CodeId, Held, Op};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// States with removed runs that one search may visit.
const STATES: usize = 50_000;
/// Removed runs are bits of one integer.
const MOST_RUNS: usize = 128;

/// Builds the cheapest tree. Returns it with the number of states visited.
pub(super) fn search(code: &mut Code, held: Held, runs: &[Run], params: Params) -> (CodeId, usize) {
    let mut few = if runs.len() > MOST_RUNS { 0 } else { params.few };
    loop {
        let mut search = Search::new(runs, params.size_price, few);
        if search.cost(0, runs.len() - 1, 0).is_some() {
            let states = search.states();
            return (search.tree(code, held, 0, runs.len() - 1, 0), states);
        }
        few = few.saturating_sub(2);
    }
}

/// What to do first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Unknown,
    Leaf,
    /// `>= first number of this run`; the remaining run before it.
    Ge(u16, u16),
    /// `== this run`.
    Eq(u16),
}

#[derive(Clone, Copy)]
struct Entry {
    cost: u64,
    choice: Choice,
}

struct Search<'a> {
    runs: &'a [Run],
    price: u64,
    few: usize,
    /// States without removed runs: row i, column j.
    plain: Vec<Entry>,
    removed: BTreeMap<(u16, u16, u128), Entry>,
}

/// What a pass over the remaining runs of a window tells.
struct Window {
    weight: u64,
    /// Runs that are left when equal neighbours merge.
    groups: usize,
}

impl<'a> Search<'a> {
    fn new(runs: &'a [Run], size_price: u32, few: usize) -> Self {
        let unknown = Entry { cost: 0, choice: Choice::Unknown };
        Self {
            runs,
            price: TOTAL / 1000 * u64::from(size_price),
            few,
            plain: alloc::vec![unknown; runs.len() * runs.len()],
            removed: BTreeMap::new(),
        }
    }

    fn states(&self) -> usize {
        self.plain.iter().filter(|entry| entry.choice != Choice::Unknown).count() + self.removed.len()
    }

    /// The window without removed runs at its ends.
    fn trim(mut i: usize, mut j: usize, mut removed: u128) -> (usize, usize, u128) {
        if removed == 0 {
            return (i, j, 0);
        }
        while removed >> i & 1 == 1 {
            i += 1;
        }
        while removed >> j & 1 == 1 {
            j -= 1;
        }
        removed &= (u128::MAX >> (127 - j)) & (u128::MAX << i);
        (i, j, removed)
    }

    fn known(&self, i: usize, j: usize, removed: u128) -> Option<Entry> {
        if removed == 0 {
            let entry = self.plain[i * self.runs.len() + j];
            return (entry.choice != Choice::Unknown).then_some(entry);
        }
        self.removed.get(&(narrow(i), narrow(j), removed)).copied()
    }

    /// The least cost; `None` if the budget is used up.
    fn cost(&mut self, i: usize, j: usize, removed: u128) -> Option<u64> {
        let (i, j, removed) = Self::trim(i, j, removed);
        if let Some(entry) = self.known(i, j, removed) {
            return Some(entry.cost);
        }
        let window = self.window(i, j, removed);
        let entry = if window.groups == 1 {
            Entry { cost: 0, choice: Choice::Leaf }
        } else {
            let mut best = Entry { cost: u64::MAX, choice: Choice::Unknown };
            self.try_ranges(i, j, removed, &mut best)?;
            self.try_points(i, j, removed, &window, &mut best)?;
            Entry { cost: best.cost + window.weight + self.price, ..best }
        };
        if removed == 0 {
            self.plain[i * self.runs.len() + j] = entry;
        } else {
            if self.removed.len() >= STATES {
                return None;
            }
            self.removed.insert((narrow(i), narrow(j), removed), entry);
        }
        Some(entry.cost)
    }

    fn remaining(&self, i: usize, j: usize, removed: u128) -> impl Iterator<Item = (usize, &'a Run)> + use<'a> {
        let runs = self.runs;
        (i..=j).filter(move |&x| removed == 0 || removed >> x & 1 == 0).map(move |x| (x, &runs[x]))
    }

    fn window(&self, i: usize, j: usize, removed: u128) -> Window {
        let mut window = Window { weight: 0, groups: 0 };
        let mut class = None;
        for (_, run) in self.remaining(i, j, removed) {
            window.weight += run.weight;
            window.groups += usize::from(class != Some(run.class));
            class = Some(run.class);
        }
        window
    }

    fn try_ranges(&mut self, i: usize, j: usize, removed: u128, best: &mut Entry) -> Option<()> {
        let mut before = i;
        for (x, run) in self.remaining(i, j, removed).skip(1) {
            if run.class != self.runs[before].class {
                let cost = self.cost(i, before, removed)?;
                // A bound: nothing is cheaper than free.
                if cost < best.cost {
                    let cost = cost + self.cost(x, j, removed)?;
                    if cost < best.cost {
                        *best = Entry { cost, choice: Choice::Ge(narrow(x), narrow(before)) };
                    }
                }
            }
            before = x;
        }
        Some(())
    }

    fn try_points(&mut self, i: usize, j: usize, removed: u128, window: &Window, best: &mut Entry) -> Option<()> {
        if self.few == 0 {
            return Some(());
        }
        let all: Vec<(usize, &Run)> = self.remaining(i, j, removed).collect();
        for around in all.windows(3) {
            let [(_, left), (x, run), (_, right)] = around else { continue };
            let heavy = left.class == right.class && run.weight >= window.weight / 10;
            let worth = window.groups <= self.few || heavy;
            if run.is_single() && worth {
                let cost = self.cost(i, j, removed | 1 << x)?;
                if cost < best.cost {
                    *best = Entry { cost, choice: Choice::Eq(narrow(*x)) };
                }
            }
        }
        Some(())
    }

    /// The tree that was found, as code.
    fn tree(&self, code: &mut Code, held: Held, i: usize, j: usize, removed: u128) -> CodeId {
        let (i, j, removed) = Self::trim(i, j, removed);
        match self.known(i, j, removed).map_or(Choice::Leaf, |entry| entry.choice) {
            Choice::Unknown | Choice::Leaf => self.runs[i].class,
            Choice::Ge(x, before) => {
                let yes = self.tree(code, held, x.into(), j, removed);
                let no = self.tree(code, held, i, before.into(), removed);
                code.test(held, (Op::Ge, self.runs[usize::from(x)].first), yes, no)
            }
            Choice::Eq(x) => {
                let no = self.tree(code, held, i, j, removed | 1 << x);
                let run = &self.runs[usize::from(x)];
                code.test(held, (Op::Eq, run.first), run.class, no)
            }
        }
    }
}

/// Runs are at most a few hundred.
fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
