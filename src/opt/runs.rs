//! The runs of a switch, with weights.

use crate::code::{CodeId, Shares};
use alloc::vec::Vec;

/// The sum of the weights of a switch. All costs are integers, so every machine finds the same tree.
pub(super) const TOTAL: u64 = 1 << 40;

/// Numbers next to each other that lead to the same code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) class: CodeId,
    pub(super) weight: u64,
}

impl Run {
    pub(super) fn is_single(&self) -> bool {
        self.first == self.last
    }
}

/// Runs from their starts, all of weight 0. Equal neighbours merge.
pub(super) fn runs(starts: impl IntoIterator<Item = (u32, CodeId)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (first, class) in starts {
        if let Some(previous) = runs.last_mut() {
            if previous.class == class {
                continue;
            }
            previous.last = first.saturating_sub(1);
        }
        runs.push(Run { first, last: u32::MAX, class, weight: 0 });
    }
    runs
}

/// Gives the heaviest numbers, at most `most`, runs of their own, so that they can be asked first.
pub(super) fn split_hot(runs: &mut Vec<Run>, known: &[Shares], most: usize) {
    if most == 0 {
        return;
    }
    let sum: u64 = known.iter().map(|share| share.weight).sum();
    let mut hot: Vec<&Shares> = known.iter().filter(|share| share.weight > sum / 50).collect();
    hot.sort_by_key(|share| core::cmp::Reverse(share.weight));
    for share in hot.into_iter().take(most) {
        let at = runs.partition_point(|run| run.last < share.nr);
        let run = runs[at];
        let before = (run.first < share.nr).then(|| Run { last: share.nr - 1, ..run });
        let after = (run.last > share.nr).then(|| Run { first: share.nr + 1, ..run });
        let own = Run { first: share.nr, last: share.nr, ..run };
        // What is not made yet stays whole.
        if run.class != CodeId::LATER {
            runs.splice(at..=at, before.into_iter().chain([own]).chain(after));
        }
    }
}

/// What a number weighs that no table knows.
const UNKNOWN: u64 = TOTAL / 1_000_000;

/// Weighs runs of numbers: known ones by their share, all others by almost nothing, but never by nothing at all, or they
/// would end in long chains. Returns the weights of the known numbers, ascending.
pub(super) fn weigh_numbers(runs: &mut [Run], known: &[Shares]) -> Vec<(u32, u64)> {
    const MOST_UNKNOWN: u64 = 64;
    for run in &mut *runs {
        run.weight = UNKNOWN * (u64::from(run.last - run.first) + 1).min(MOST_UNKNOWN);
    }
    let sum: u128 = known.iter().map(|share| u128::from(share.weight)).sum();
    let mut numbers: Vec<(u32, u64)> = Vec::with_capacity(known.len());
    for share in known {
        let part = u128::from(share.weight) * u128::from(TOTAL) / sum.max(1);
        numbers.push((share.nr, u64::try_from(part).unwrap_or(TOTAL)));
    }
    // Architectures that share a switch have the same numbers.
    numbers.sort_by_key(|number| number.0);
    numbers.dedup_by(|other, number| {
        let same = other.0 == number.0;
        number.1 += if same { other.1 } else { 0 };
        same
    });
    let mut run = 0;
    for number in &mut numbers {
        while runs[run].last < number.0 {
            run += 1;
        }
        runs[run].weight += number.1;
        number.1 += UNKNOWN;
    }
    numbers
}

/// Weighs runs of argument values. Nothing is known about them, so: one unit for a value that was written in the policy,
/// more for a range, little for the class that covers most numbers; and more where a long way is still to go, so that
/// the longest paths become shorter.
pub(super) fn weigh_values(runs: &mut [Run], depth: impl Fn(CodeId) -> u32) {
    const UNIT: u64 = 1000;
    const MOST: u64 = 8;
    const REST: u64 = 300;
    let widest = runs.iter().max_by_key(|run| run.last - run.first).map(|run| run.class);
    for run in &mut *runs {
        let length = u64::from(run.last - run.first) + 1;
        let base = if Some(run.class) == widest { REST } else { UNIT * length.isqrt().min(MOST) };
        // 1.15 to the power of the way below.
        run.weight = (0..depth(run.class).min(60)).fold(base, |weight, _| weight + weight * 15 / 100);
    }
    let sum: u128 = runs.iter().map(|run| u128::from(run.weight)).sum();
    for run in runs {
        let part = u128::from(run.weight) * u128::from(TOTAL) / sum.max(1);
        run.weight = u64::try_from(part).unwrap_or(TOTAL).max(1);
    }
}
