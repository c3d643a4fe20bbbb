//! The cheapest tree of comparisons over runs, by dynamic programming.
//!
//! `cost(i, j)` is the least cost of deciding among runs i to j:
//!
//! ```text
//! 0                                   all runs have one class
//! weight + price + the least of
//!   cost(i, x) + cost(y, j)           >= first number of y    x, y neighbours of different class
//!   a test that leaves a set          == or & mask            few numbers, see `sets`
//!   cost(i, j) one layer down         == t                    t the heaviest number
//! ```
//! An equality test at either end of a window is a range test. Inside it pays where few runs are left, and for numbers so
//! heavy that they should be asked before anything else. Of those, heavier ones are asked first; so there is one layer
//! of the table for each number of the heaviest that are already decided, and a window in which a layer has nothing to
//! decide is that of the layer below.
//!
//! All costs are integers of 31 bits: every machine finds the same tree, and finds it with instructions that work on
//! several splits at a time.

use super::Params;
use super::elements::Elements;
use super::runs::{Run, TOTAL};
use super::sets::{Builder, DEAR, Limits, SetTest, Sets};
use crate::code::{Code, CodeId, Held, Op};
use alloc::vec::Vec;

/// The cheapest tree for a switch.
#[derive(Debug)]
pub(super) struct Found {
    layers: Vec<Layer>,
    shortcuts: bool,
}

/// Weights that fit into 31 bits however they are added up, and the price of a test.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) shift: u32,
    pub(super) price: u32,
}

impl Scale {
    pub(super) fn of(runs: &[Run], params: Params) -> Self {
        let price = u128::from(TOTAL / 1000) * u128::from(params.size_price);
        let weight: u128 = runs.iter().map(|run| u128::from(run.weight)).sum();
        let many = runs.len() as u128;
        // What a balanced tree costs, and something for rounding.
        let most = weight * u128::from(many.ilog2() + 3) + (price + (1 << 20)) * (many + 1);
        let shift = (128 - most.leading_zeros()).saturating_sub(29);
        Self { shift, price: u32::try_from(price >> shift).unwrap_or(DEAR) }
    }

    pub(super) fn weight(self, weight: u64) -> u32 {
        u32::try_from(weight >> self.shift).unwrap_or(DEAR).max(1)
    }

    /// The cost of a test that all runs pass.
    pub(super) fn first_test(self, runs: &[Run]) -> u32 {
        runs.iter().map(|run| self.weight(run.weight)).sum::<u32>() + self.price
    }
}

/// Finds the cheapest tree for at least one run. `numbers` are the weights of single numbers, ascending, if they differ.
pub(super) fn search(runs: &[Run], numbers: &[(u32, u64)], params: Params) -> Found {
    search_in(Scale::of(runs, params), runs, numbers, params)
}

/// The same with costs in given units.
pub(super) fn search_in(scale: Scale, runs: &[Run], numbers: &[(u32, u64)], params: Params) -> Found {
    let weigh = |number: u32| {
        let at = numbers.binary_search_by_key(&number, |known| known.0);
        scale.weight(at.map_or(0, |at| numbers[at].1))
    };
    // From the upper layer, in which nothing is decided yet, to the lowest.
    let mut layers = Vec::from([Layer::new(runs.to_vec(), &weigh, !numbers.is_empty(), scale, params, Vec::new())]);
    for _ in 0..params.heavy {
        let Some(last) = layers.last_mut() else { break };
        let Some(below) = last.peeled(&weigh, !numbers.is_empty(), scale, params) else { break };
        layers.push(below);
    }
    for at in (0..layers.len()).rev() {
        let (upper, lower) = layers.split_at_mut(at + 1);
        upper[at].fill(lower.first());
    }
    Found { layers, shortcuts: params.shortcuts }
}

impl Found {
    /// Weight of all comparisons, and the price of each.
    pub(super) fn cost(&self) -> u32 {
        self.layers[0].rows[self.layers[0].runs.len() - 1]
    }

    /// How many states the search visited.
    pub(super) fn states(&self) -> usize {
        let of_layer = |layer: &Layer| {
            layer.runs.len() * (layer.runs.len() + 1) / 2
                + layer.fine.as_ref().map_or(0, Sets::states)
                + layer.coarse.states()
        };
        self.layers.iter().map(of_layer).sum()
    }

    /// The tree as code.
    pub(super) fn tree(&mut self, code: &mut Code, held: Held) -> CodeId {
        self.part(code, held, self.layers[0].runs.len(), CodeId::LATER)
    }

    /// The best tree for the first runs only. It shares what it can with the tree for all of them, in which `later`
    /// takes the place of [`CodeId::LATER`].
    pub(super) fn part(&mut self, code: &mut Code, held: Held, first: usize, later: CodeId) -> CodeId {
        tree(
            &mut self.layers,
            &mut Builder { code, held, later, window: (0, u32::MAX), shortcuts: self.shortcuts },
            0,
            first - 1,
        )
    }
}

/// What to do first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Leaf,
    /// `>=` the first number of this run.
    Ge(u16),
    /// The same as in the layer below.
    Lower,
    /// `==` the heaviest number that is left.
    Peel,
    /// A test that leaves sets of numbers.
    Fine(SetTest),
    /// A test that leaves sets of runs.
    Coarse(SetTest),
}

/// The table for what is left when some of the heaviest numbers are decided.
#[derive(Debug)]
struct Layer {
    runs: Vec<Run>,
    price: u32,
    bit_runs: usize,
    few: usize,
    /// Sums over the runs before each one: weights and changes of class.
    weights: Vec<u32>,
    changes: Vec<u16>,
    /// What to do with runs i to j: row i, column j.
    choices: Vec<Choice>,
    /// What it costs, row by row and column by column, so that all splits of a window lie side by side.
    rows: Vec<u32>,
    columns: Vec<u32>,
    /// For each run: nothing, or more than any cost where it has the class of the run before, so that no tree splits
    /// there.
    seams: Vec<u32>,
    fine: Option<Sets>,
    coarse: Sets,
    /// Numbers that are decided.
    holes: Vec<u32>,
    /// The run that the layer below is without.
    peel: Option<Peel>,
}

#[derive(Clone, Copy, Debug)]
struct Peel {
    run: usize,
    /// Whether its neighbours are one run in the layer below.
    merges: bool,
}

impl Peel {
    /// The place of another run in the layer below.
    fn map(self, run: usize) -> usize {
        if run < self.run { run } else { run - 1 - usize::from(self.merges) }
    }

    /// Whether a window has no part in what the layer below is without.
    fn is_apart(self, i: usize, j: usize) -> bool {
        let margin = usize::from(self.merges);
        j + margin < self.run || i > self.run + margin
    }
}

impl Layer {
    fn new(
        runs: Vec<Run>,
        weigh: &dyn Fn(u32) -> u32,
        is_fine: bool,
        scale: Scale,
        params: Params,
        holes: Vec<u32>,
    ) -> Self {
        let own: Vec<u32> = runs.iter().map(|run| scale.weight(run.weight)).collect();
        let (mut weights, mut changes, mut seams) = (Vec::from([0]), Vec::from([0]), Vec::new());
        let (mut weight, mut change) = (0, 0);
        for (x, run) in runs.iter().enumerate() {
            let same = x > 0 && runs[x - 1].class == run.class;
            weight += own[x];
            change += u16::from(x > 0 && !same);
            weights.push(weight);
            changes.push(change);
            seams.push(if same { DEAR } else { 0 });
        }
        let limits = Limits {
            price: scale.price,
            few: params.few,
            bit_runs: params.bit_runs,
            side: params.side,
            nested: params.nested,
            elements: params.elements,
        };
        let many = runs.len();
        Self {
            price: scale.price,
            few: params.few,
            bit_runs: params.bit_runs,
            weights,
            changes,
            choices: alloc::vec![Choice::Leaf; many * many],
            rows: alloc::vec![0; many * many],
            columns: alloc::vec![0; many * many],
            seams,
            fine: is_fine.then(|| Sets::new(Elements::new(&runs, &own, Some(weigh), &holes), limits)),
            coarse: Sets::new(Elements::new(&runs, &own, None, &holes), limits),
            runs,
            holes,
            peel: None,
        }
    }

    /// The layer without the heaviest single number that is worth a test of its own, if there is one.
    fn peeled(&mut self, weigh: &dyn Fn(u32) -> u32, is_fine: bool, scale: Scale, params: Params) -> Option<Self> {
        let inside = 1..self.runs.len().saturating_sub(1);
        let run =
            inside.filter(|&x| self.runs[x].is_single()).max_by_key(|&x| (self.runs[x].weight, usize::MAX - x))?;
        if self.runs[run].weight < TOTAL / HEAVY {
            return None;
        }
        let merges = self.runs[run - 1].class == self.runs[run + 1].class;
        let mut runs = self.runs.clone();
        if merges {
            let after = runs.remove(run + 1);
            runs[run - 1].last = after.last;
            runs[run - 1].weight += after.weight;
        }
        let mut holes = self.holes.clone();
        holes.push(runs.remove(run).first);
        self.peel = Some(Peel { run, merges });
        Some(Self::new(runs, weigh, is_fine, scale, params, holes))
    }

    /// Fills the table, short windows first.
    fn fill(&mut self, below: Option<&Self>) {
        let many = self.runs.len();
        for length in 1..many {
            for i in 0..many - length {
                let j = i + length;
                let groups = usize::from(self.changes[j + 1] - self.changes[i + 1]) + 1;
                if groups > 1 {
                    let (cost, choice) = self.best(i, j, groups, below);
                    self.choices[i * many + j] = choice;
                    self.rows[i * many + j] = cost;
                    self.columns[j * many + i] = cost;
                }
            }
        }
    }

    fn best(&mut self, i: usize, j: usize, groups: usize, below: Option<&Self>) -> (u32, Choice) {
        let own = self.weights[j + 1] - self.weights[i] + self.price;
        let below = self.peel.zip(below);
        if let Some((peel, below)) = below
            && peel.is_apart(i, j)
        {
            return (below.cost(peel.map(i), peel.map(j)), Choice::Lower);
        }
        let (mut cost, mut choice) = self.best_range(i, j);
        if let Some((peel, below)) = below
            && i < peel.run
            && peel.run < j
        {
            let behind = below.cost(peel.map(i), peel.map(j));
            if behind < cost {
                (cost, choice) = (behind, Choice::Peel);
            }
        }
        // Nothing is cheaper than free.
        if cost > 0 && groups > 2 && groups <= self.few.max(self.bit_runs) {
            if let Some(fine) = self.fine.as_mut().filter(|fine| fine.fits(i, j)) {
                if let Some((test, found)) = fine.best(i, j, cost) {
                    (cost, choice) = (found, Choice::Fine(test));
                }
            } else if let Some((test, found)) = self.coarse.best(i, j, cost) {
                (cost, choice) = (found, Choice::Coarse(test));
            }
        }
        (own + cost, choice)
    }

    fn cost(&self, i: usize, j: usize) -> u32 {
        self.rows[i * self.runs.len() + j]
    }

    /// The best range test of a window all of whose parts are known. It has two classes at least, so there is one.
    fn best_range(&self, i: usize, j: usize) -> (u32, Choice) {
        const LANES: usize = 8;
        let many = self.runs.len();
        let before = &self.rows[i * many + i..i * many + j];
        let behind = &self.columns[j * many + i + 1..=j * many + j];
        let seams = &self.seams[i + 1..=j];
        // Signed, because that is what the vector instructions of every x86-64 compare.
        let sum = |before: u32, behind: u32, seam: u32| (before + behind + seam).cast_signed();
        let mut least = [i32::MAX; LANES];
        let chunks = (before.chunks_exact(LANES), behind.chunks_exact(LANES), seams.chunks_exact(LANES));
        let rest = chunks.0.remainder().iter().zip(chunks.1.remainder()).zip(chunks.2.remainder());
        let rest = rest.map(|((a, b), seam)| sum(*a, *b, *seam)).min();
        for ((before, behind), seams) in chunks.0.zip(chunks.1).zip(chunks.2) {
            for lane in 0..LANES {
                let cost = sum(before[lane], behind[lane], seams[lane]);
                least[lane] = if cost < least[lane] { cost } else { least[lane] };
            }
        }
        let least = least.into_iter().chain(rest).min().unwrap_or(i32::MAX);
        let mut costs = before.iter().zip(behind).zip(seams).map(|((a, b), seam)| sum(*a, *b, *seam));
        let first = costs.position(|cost| cost == least).unwrap_or(0);
        (least.cast_unsigned(), Choice::Ge(u16::try_from(i + 1 + first).unwrap_or(u16::MAX)))
    }
}

/// A single number may have a layer of its own from this part of the weight on.
const HEAVY: u64 = 50;

/// The tree for a window of the first of some layers.
fn tree(layers: &mut [Layer], builder: &mut Builder<'_>, i: usize, j: usize) -> CodeId {
    let Some((layer, below)) = layers.split_first_mut() else { return builder.later };
    builder.window = (layer.runs[i].first, layer.runs[j].last);
    let (test, yes, no) = match layer.choices[i * layer.runs.len() + j] {
        Choice::Leaf => return builder.class(layer.runs[i].class),
        Choice::Fine(test) => {
            let sets = layer.fine.as_mut().unwrap_or(&mut layer.coarse);
            return sets.test(builder, (i, j), test);
        }
        Choice::Coarse(test) => return layer.coarse.test(builder, (i, j), test),
        Choice::Lower => {
            let (i, j) = layer.peel.map_or((i, j), |peel| (peel.map(i), peel.map(j)));
            return tree(below, builder, i, j);
        }
        Choice::Ge(x) => {
            let x = usize::from(x);
            let first = layer.runs[x].first;
            let no = tree(layers, builder, i, x - 1);
            let yes = tree(layers, builder, x, j);
            ((Op::Ge, first), yes, no)
        }
        Choice::Peel => {
            let peel = layer.peel.unwrap_or(Peel { run: i, merges: false });
            let run = layer.runs[peel.run];
            let no = tree(below, builder, peel.map(i), peel.map(j));
            builder.window = (run.first, run.first);
            ((Op::Eq, run.first), builder.class(run.class), no)
        }
    };
    builder.code.test(builder.held, test, yes, no)
}
