//! A tree of range tests without a search, in linear memory and O(m log m) time.

use super::runs::Run;
use crate::code::{Code, CodeId, Held, Op};
use alloc::vec::Vec;

/// Splits runs where the weight is halved. The depth is logarithmic in their number, whatever the weights.
pub(super) fn split(code: &mut Code, held: Held, runs: &[Run]) -> CodeId {
    // A floor under every weight bounds the depth.
    let floor = runs.iter().map(|run| run.weight).sum::<u64>() / (4 * runs.len() as u64).max(1) + 1;
    let sums: Vec<u64> = core::iter::once(0)
        .chain(runs.iter().scan(0_u64, |sum, run| {
            *sum = sum.saturating_add(run.weight + floor);
            Some(*sum)
        }))
        .collect();
    tree(code, held, runs, &sums)
}

/// `sums` has one entry more than `runs`.
fn tree(code: &mut Code, held: Held, runs: &[Run], sums: &[u64]) -> CodeId {
    let [first, .., last] = sums else { return runs[0].class };
    if runs.len() == 1 {
        return runs[0].class;
    }
    let half = first + (last - first) / 2;
    // The boundary nearest to the half, but never an empty side.
    let above = sums.partition_point(|&sum| sum < half).clamp(1, runs.len() - 1);
    let middle = if above > 1 && half - sums[above - 1] < sums[above].abs_diff(half) { above - 1 } else { above };
    let (left, right) = runs.split_at(middle);
    let yes = tree(code, held, right, &sums[middle..]);
    let no = tree(code, held, left, &sums[..=middle]);
    code.test(held, (Op::Ge, right[0].first), yes, no)
}
