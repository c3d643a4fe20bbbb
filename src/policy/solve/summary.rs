//! Cheap tests that tell most pairs of rules apart.

use super::word::{Range, Word};
use crate::policy::Condition;
use alloc::vec::Vec;

/// What ranges and fixed bits the conditions of a rule put on each argument; a superset of what the rule matches.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Summary {
    words: [Word; 6],
}

impl Summary {
    pub(in crate::policy) fn of(conditions: &[Condition]) -> Self {
        let mut words = [Word::ANY; 6];
        for condition in conditions {
            if let Some(word) = words.get_mut(usize::from(condition.arg)) {
                word.constrain(condition, true);
            }
        }
        Self { words }
    }

    /// Whether it is plain that no call matches both. `false` says nothing.
    pub(in crate::policy) fn clearly_apart(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(own, other)| own.clearly_apart(other))
    }

    fn range(&self, (arg, low): Axis) -> Range {
        self.words.get(arg).map_or(Word::ANY.all, |word| if low { word.low } else { word.all })
    }
}

/// An argument, and whether its low half or all of it.
type Axis = (usize, bool);

/// Pairs of rules that may share a call; every pair that does is among them. Calls `visit` with both indexes until it
/// fails.
///
/// Rules are sorted by the start of their ranges on the argument that most of them restrict, so that a thousand
/// different constants are not a million pairs.
pub(in crate::policy) fn candidates<E>(
    summaries: &[Summary],
    mut visit: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    let axis = best_axis(summaries);
    let mut order: Vec<(Range, usize)> = summaries.iter().map(|summary| summary.range(axis)).zip(0..).collect();
    order.sort_by_key(|(range, index)| (range.from, range.to, *index));
    let mut rest = order.as_slice();
    while let Some(((range, index), later)) = rest.split_first() {
        for (_, other) in later.iter().take_while(|(other, _)| other.from <= range.to) {
            visit(*index.min(other), *index.max(other))?;
        }
        rest = later;
    }
    Ok(())
}

fn best_axis(summaries: &[Summary]) -> Axis {
    let axes = (0..6).flat_map(|arg| [(arg, false), (arg, true)]);
    let restricted = |axis: Axis| {
        let any = if axis.1 { Word::ANY.low } else { Word::ANY.all };
        summaries.iter().filter(|summary| summary.range(axis) != any).count()
    };
    axes.max_by_key(|axis| (restricted(*axis), core::cmp::Reverse(*axis))).unwrap_or((0, false))
}
