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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Action;
    use crate::code::{Input, Step};
    use crate::opt::runs::runs;
    use proptest::prelude::*;

    /// Splits at the boundary whose sum is nearest to the half, of two the later one.
    fn plain(weights: &[u64], first: u32) -> Vec<u32> {
        if weights.len() < 2 {
            return Vec::new();
        }
        let half = weights.iter().sum::<u64>() / 2;
        let sum = |at: usize| weights[..at].iter().sum::<u64>();
        let middle = (1..weights.len()).rev().min_by_key(|&at| sum(at).abs_diff(half)).unwrap_or(1);
        let split = u32::try_from(middle).unwrap_or(0);
        let (left, right) = weights.split_at(middle);
        [Vec::from([first + split]), plain(left, first), plain(right, first + split)].concat()
    }

    /// The numbers of a tree's tests, each before those of its left side.
    fn tests(code: &Code, tree: CodeId) -> Vec<u32> {
        match code.step(tree) {
            Step::Test { k, yes, no, .. } => [Vec::from([k]), tests(code, no), tests(code, yes)].concat(),
            _ => Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn the_weight_is_halved(weights in prop::collection::vec(prop_oneof![Just(0_u64), 0_u64..4, 0_u64..500], 1..30)) {
            let mut code = Code::default();
            let classes = [Action::Allow, Action::Errno(1)].map(|action| code.ret(action));
            let mut runs = runs((0..).zip(classes.into_iter().cycle().take(weights.len())));
            for (run, weight) in runs.iter_mut().zip(&weights) {
                run.weight = *weight;
            }
            let tree = split(&mut code, Held::all(Input::Nr), &runs);
            // A quarter of the mean weight more, so that nothing weighs nothing.
            let floor = weights.iter().sum::<u64>() / (4 * weights.len() as u64) + 1;
            let weights: Vec<u64> = weights.iter().map(|weight| weight + floor).collect();
            prop_assert_eq!(tests(&code, tree), plain(&weights, 0));
        }
    }
}
