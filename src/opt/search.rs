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
//!   what `bits` finds                 & mask                  few numbers
//! ```
//! An equality test at either end of a window is a range test, so only those inside are tried, and of these only where
//! few runs are left, or where the number is heavy and its neighbours are of one class: elsewhere a range test is as
//! good, and the number of subsets would explode.
//!
//! Windows without removed runs lie in a flat table that is filled by length. The others are few and found by hash; they
//! are counted, and above the budget the search starts again with fewer equality tests.

use super::Params;
use super::bits::{MOST_NUMBERS, Numbers};
use super::runs::{Run, TOTAL};
use super::table::Table;
use crate::code::{Code, CodeId, Held, Op};
use alloc::vec::Vec;

/// Windows with removed runs that one search may visit.
const STATES: usize = 6_000;
/// Heavy numbers that may be removed from one window.
const HEAVY_REMOVED: u32 = 4;
/// Removed runs are bits of one integer.
const MOST_RUNS: usize = 128;

/// The cheapest tree for a switch.
#[derive(Debug)]
pub(super) struct Found<'a> {
    search: Search<'a>,
}

/// Finds the cheapest tree for at least one run.
pub(super) fn search(runs: &[Run], params: Params) -> Found<'_> {
    let mut params = params;
    if runs.len() > MOST_RUNS {
        params.few = 0;
        params.heavy = 0;
    }
    let mut states = 0;
    loop {
        let mut search = Search::new(runs, params);
        let done = search.fill();
        states += search.removed.len();
        if done.is_some() {
            search.states = states + runs.len() * (runs.len() + 1) / 2;
            return Found { search };
        }
        // Less at every attempt; without equality tests no run is removed and the budget is not touched.
        params.heavy = 0;
        params.few = params.few.saturating_sub(2);
    }
}

impl Found<'_> {
    /// Weight of all comparisons, and the price of each.
    pub(super) fn cost(&self) -> u64 {
        self.search.plain[self.search.runs.len() - 1].cost
    }

    /// How many states the search visited.
    pub(super) fn states(&self) -> usize {
        self.search.states
    }

    /// The tree as code.
    pub(super) fn tree(&self, code: &mut Code, held: Held) -> CodeId {
        self.part(code, held, self.search.runs.len(), CodeId::LATER)
    }

    /// The best tree for the first runs only. It shares what it can with the tree for all of them, in which `later`
    /// takes the place of [`CodeId::LATER`].
    pub(super) fn part(&self, code: &mut Code, held: Held, first: usize, later: CodeId) -> CodeId {
        self.search.tree(&mut Builder { code, held, later }, 0, first - 1, 0)
    }
}

/// The cost of a test that all runs pass.
pub(super) fn first_test(runs: &[Run], params: Params) -> u64 {
    runs.iter().map(|run| run.weight).sum::<u64>() + price(params)
}

fn price(params: Params) -> u64 {
    TOTAL / 1000 * u64::from(params.size_price)
}

/// What to do first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Leaf,
    /// `>=` the first number of this run.
    Ge(u16),
    /// `==` the number of this run.
    Eq(u16),
    /// Any bit of this mask.
    Set(u32),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    cost: u64,
    choice: Choice,
}

const LEAF: Entry = Entry { cost: 0, choice: Choice::Leaf };

#[derive(Debug)]
struct Search<'a> {
    runs: &'a [Run],
    params: Params,
    price: u64,
    /// Sums over the runs before each one: weights, changes of class, numbers (cut).
    weights: Vec<u64>,
    changes: Vec<u32>,
    numbers: Vec<u32>,
    /// States without removed runs: row i, column j.
    plain: Vec<Entry>,
    /// Their costs once more, row by row and column by column, so that all splits of a window lie side by side.
    rows: Vec<u64>,
    columns: Vec<u64>,
    /// For each run: nothing, or more than any cost where it has the class of the run before, so that no tree splits
    /// there.
    seams: Vec<u64>,
    /// Single numbers between two runs of one class, heaviest first.
    islands: Vec<u16>,
    removed: Table<(u16, u16, u128), Entry>,
    states: usize,
}

/// A window: first and last run and what was removed in between.
#[derive(Clone, Copy)]
struct Window {
    i: usize,
    j: usize,
    removed: u128,
}

impl Window {
    /// Without removed runs at its ends. At least one run is left.
    fn new(mut i: usize, mut j: usize, removed: u128) -> Self {
        if removed == 0 {
            return Self { i, j, removed };
        }
        i += (!(removed >> i)).trailing_zeros() as usize;
        j -= (!(removed << (127 - j))).leading_zeros() as usize;
        Self { i, j, removed: removed & (u128::MAX >> (127 - j)) & (u128::MAX << i) }
    }

    fn key(self) -> (u16, u16, u128) {
        (narrow(self.i), narrow(self.j), self.removed)
    }

    fn remaining(self) -> impl Iterator<Item = usize> + Clone {
        (self.i..=self.j).filter(move |&x| self.removed == 0 || self.removed >> x & 1 == 0)
    }
}

impl<'a> Search<'a> {
    fn new(runs: &'a [Run], params: Params) -> Self {
        let (mut weights, mut changes, mut numbers) = (Vec::from([0]), Vec::from([0]), Vec::from([0]));
        let mut sums = (0_u64, 0_u32, 0_u32);
        for (x, run) in runs.iter().enumerate() {
            let differs = x > 0 && runs[x - 1].class != run.class;
            let many = (run.last - run.first).min(MOST_NUMBERS) + 1;
            sums = (sums.0 + run.weight, sums.1 + u32::from(differs), sums.2 + many);
            weights.push(sums.0);
            changes.push(sums.1);
            numbers.push(sums.2);
        }
        Self {
            runs,
            params,
            price: price(params),
            weights,
            changes,
            numbers,
            plain: alloc::vec![LEAF; runs.len() * runs.len()],
            rows: alloc::vec![0; runs.len() * runs.len()],
            columns: alloc::vec![0; runs.len() * runs.len()],
            seams: seams(runs),
            islands: islands(runs),
            removed: Table::new(),
            states: 0,
        }
    }

    /// Fills the table, short windows first. `None` if the budget is used up.
    fn fill(&mut self) -> Option<()> {
        for length in 1..self.runs.len() {
            for i in 0..self.runs.len() - length {
                let j = i + length;
                let groups = (self.changes[j + 1] - self.changes[i + 1]) as usize + 1;
                if groups > 1 {
                    let weight = self.weights[j + 1] - self.weights[i];
                    let mut best = self.best_range(i, j);
                    let window = Window { i, j, removed: 0 };
                    self.try_points(window, weight, groups, &mut best)?;
                    self.try_bits(window, groups, self.numbers[j + 1] - self.numbers[i], &mut best);
                    best.cost += weight + self.price;
                    self.plain[i * self.runs.len() + j] = best;
                    self.rows[i * self.runs.len() + j] = best.cost;
                    self.columns[j * self.runs.len() + i] = best.cost;
                }
            }
        }
        Some(())
    }

    /// The best range test of a window without removed runs, all of whose parts are known. It has two classes at least,
    /// so there is one.
    fn best_range(&self, i: usize, j: usize) -> Entry {
        let many = self.runs.len();
        let before = &self.rows[i * many + i..i * many + j];
        let behind = &self.columns[j * many + i + 1..=j * many + j];
        let costs = before.iter().zip(behind).zip(&self.seams[i + 1..=j]).map(|((a, b), seam)| a + b + seam);
        // Two plain loops, since the first needs no branches.
        let least = costs.clone().fold(u64::MAX, u64::min);
        let first = costs.take_while(|&cost| cost != least).count();
        Entry { cost: least, choice: Choice::Ge(narrow(i + 1 + first)) }
    }

    /// The least cost; `None` if the budget is used up.
    fn cost(&mut self, i: usize, j: usize, removed: u128) -> Option<u64> {
        let window = Window::new(i, j, removed);
        if let Some(entry) = self.known(window) {
            return Some(entry.cost);
        }
        let (mut weight, mut groups, mut numbers, mut class) = (0, 0, 0, None);
        for run in window.remaining().map(|x| &self.runs[x]) {
            weight += run.weight;
            groups += usize::from(class != Some(run.class));
            numbers += (run.last - run.first).min(MOST_NUMBERS) + 1;
            class = Some(run.class);
        }
        let mut best = LEAF;
        if groups > 1 {
            best.cost = u64::MAX;
            self.try_ranges(window, &mut best)?;
            self.try_points(window, weight, groups, &mut best)?;
            self.try_bits(window, groups, numbers, &mut best);
            best.cost += weight + self.price;
        }
        if self.removed.len() >= STATES {
            return None;
        }
        self.removed.insert(window.key(), best);
        Some(best.cost)
    }

    fn known(&self, window: Window) -> Option<Entry> {
        if window.removed == 0 {
            return Some(self.plain[window.i * self.runs.len() + window.j]);
        }
        self.removed.get(&window.key())
    }

    fn try_ranges(&mut self, window: Window, best: &mut Entry) -> Option<()> {
        let mut before = window.i;
        for x in window.remaining().skip(1) {
            if self.runs[x].class != self.runs[before].class {
                let cost = self.cost(window.i, before, window.removed)?;
                // Nothing is cheaper than free.
                if cost < best.cost {
                    let cost = cost + self.cost(x, window.j, window.removed)?;
                    if cost < best.cost {
                        *best = Entry { cost, choice: Choice::Ge(narrow(x)) };
                    }
                }
            }
            before = x;
        }
        Some(())
    }

    fn try_points(&mut self, window: Window, weight: u64, groups: usize, best: &mut Entry) -> Option<()> {
        if self.params.few == 0 {
            return Some(());
        }
        // A number this heavy deserves a test of its own anywhere; 0 says that none does.
        let few_removed = window.removed.count_ones() < HEAVY_REMOVED;
        let heavy =
            if self.params.heavy == 0 || !few_removed { u64::MAX } else { weight / u64::from(self.params.heavy) };
        if window.removed == 0 && groups > self.params.few {
            return self.try_heavy(window, heavy, best);
        }
        let runs = self.runs;
        let mut around = window.remaining();
        let (Some(mut left), Some(mut x)) = (around.next(), around.next()) else { return Some(()) };
        for right in around {
            let run = &runs[x];
            let island = runs[left].class == runs[right].class;
            if run.is_single() && (groups <= self.params.few || island && run.weight >= heavy) {
                let cost = self.cost(window.i, window.j, window.removed | 1 << x)?;
                if cost < best.cost {
                    *best = Entry { cost, choice: Choice::Eq(narrow(x)) };
                }
            }
            (left, x) = (x, right);
        }
        Some(())
    }

    /// The same for a window without removed runs in which only islands of this weight are worth it.
    fn try_heavy(&mut self, window: Window, heavy: u64, best: &mut Entry) -> Option<()> {
        let weight = |x: u16| self.runs[usize::from(x)].weight;
        let count = self.islands.iter().take_while(|&&x| weight(x) >= heavy).count();
        let inside = |x: &u16| (window.i + 1..window.j).contains(&usize::from(*x));
        let mut heaviest: Vec<u16> = self.islands[..count].iter().copied().filter(inside).collect();
        heaviest.sort_unstable();
        for x in heaviest {
            let cost = self.cost(window.i, window.j, 1 << x)?;
            if cost < best.cost {
                *best = Entry { cost, choice: Choice::Eq(x) };
            }
        }
        Some(())
    }

    fn try_bits(&self, window: Window, groups: usize, numbers: u32, best: &mut Entry) {
        // No cost: one test is enough already.
        if best.cost == 0 || !(3..=self.params.bit_runs).contains(&groups) {
            return;
        }
        let runs = self.runs;
        let runs = window.remaining().map(|x| &runs[x]);
        let found = if numbers <= MOST_NUMBERS {
            Numbers::new(runs).best(best.cost, self.price)
        } else if window.j - window.i < MOST_NUMBERS as usize {
            Numbers::of_runs(runs.clone()).best_aligned(runs, best.cost, self.price)
        } else {
            None
        };
        if let Some(found) = found {
            *best = Entry { cost: found.cost, choice: Choice::Set(found.mask) };
        }
    }

    /// The tree that was found, as code.
    fn tree(&self, builder: &mut Builder<'_>, i: usize, j: usize, removed: u128) -> CodeId {
        let window = Window::new(i, j, removed);
        let Window { i, j, removed } = window;
        match self.known(window).unwrap_or(LEAF).choice {
            Choice::Leaf => builder.class(&self.runs[i]),
            Choice::Ge(x) => {
                let x = usize::from(x);
                let before = window.remaining().take_while(|&other| other < x).last().unwrap_or(i);
                let yes = self.tree(builder, x, j, removed);
                let no = self.tree(builder, i, before, removed);
                builder.code.test(builder.held, (Op::Ge, self.runs[x].first), yes, no)
            }
            Choice::Eq(x) => {
                let no = self.tree(builder, i, j, removed | 1 << x);
                let run = &self.runs[usize::from(x)];
                let yes = builder.class(run);
                builder.code.test(builder.held, (Op::Eq, run.first), yes, no)
            }
            Choice::Set(mask) => {
                // The same way as it was found.
                let runs = window.remaining().map(|x| &self.runs[x]);
                let numbers: u32 = runs.clone().map(|run| (run.last - run.first).min(MOST_NUMBERS) + 1).sum();
                let later = |class| if class == CodeId::LATER { builder.later } else { class };
                let mut numbers = if numbers <= MOST_NUMBERS { Numbers::new(runs) } else { Numbers::of_runs(runs) };
                numbers.classes(later);
                numbers.tree(builder.code, builder.held, mask)
            }
        }
    }
}

struct Builder<'a> {
    code: &'a mut Code,
    held: Held,
    later: CodeId,
}

impl Builder<'_> {
    fn class(&self, run: &Run) -> CodeId {
        if run.class == CodeId::LATER { self.later } else { run.class }
    }
}

/// See [`Search::seams`].
fn seams(runs: &[Run]) -> Vec<u64> {
    const WALL: u64 = u64::MAX / 4;
    let same = runs.windows(2).map(|pair| if pair[0].class == pair[1].class { WALL } else { 0 });
    core::iter::once(0).chain(same).collect()
}

/// See [`Search::islands`].
fn islands(runs: &[Run]) -> Vec<u16> {
    let island = |&x: &usize| runs[x].is_single() && runs[x - 1].class == runs[x + 1].class;
    let mut islands: Vec<usize> = (1..runs.len().saturating_sub(1)).filter(island).collect();
    islands.sort_by_key(|&x| core::cmp::Reverse(runs[x].weight));
    islands.into_iter().map(narrow).collect()
}

/// Runs are at most a few hundred.
fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
