//! Cheap tests that tell most pairs of rules apart.

use super::word::{LOW, Range, Word};
use super::{OutOfWork, Work, implies, witness};
use crate::policy::{Condition, Test};
use crate::profile::Width;
use alloc::vec::Vec;

/// What ranges and fixed bits the conditions of a rule put on each argument (a superset of what the rule matches), and
/// one call that it does match.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Summary {
    words: [Word; 6],
    example: [u64; 6],
}

impl Summary {
    /// The summary of a rule; `None` if it matches nothing.
    pub(in crate::policy) fn of(conditions: &[Condition], work: &mut Work) -> Result<Option<Self>, OutOfWork> {
        let Some(example) = witness(&[conditions], &[], work)? else {
            return Ok(None);
        };
        let mut words = [Word::ANY; 6];
        for condition in conditions {
            if let Some(word) = words.get_mut(usize::from(condition.arg)) {
                word.constrain(condition, true);
            }
        }
        Ok(Some(Self { words, example }))
    }

    /// Whether every call that meets `own`, of which this is the summary, meets `wide`. Exact; the solver is asked only
    /// where neither the ranges nor some calls at their ends give the answer.
    pub(in crate::policy) fn implies(
        &self,
        own: &[Condition],
        wide: &[Condition],
        work: &mut Work,
    ) -> Result<bool, OutOfWork> {
        work.charge(wide.len().saturating_add(own.len()))?;
        for condition in wide {
            if self.shows(condition) {
                continue;
            }
            if self.refutes(own, condition) || !implies(own, core::slice::from_ref(condition), work)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the ranges and fixed bits alone make a condition true.
    fn shows(&self, condition: &Condition) -> bool {
        let Some(word) = self.words.get(usize::from(condition.arg)) else {
            return false;
        };
        // Seen 32 bits wide, all bits above are known: they are zero.
        let (range, known, bits) = match condition.width {
            Width::Bits32 => (word.low, word.mask | !LOW, word.value & LOW),
            Width::Bits64 => (word.all, word.mask, word.value),
        };
        match condition.test {
            Test::Eq(value) => range.from == value && range.to == value,
            Test::Ne(value) => value < range.from || value > range.to,
            Test::Lt(value) => range.to < value,
            Test::Le(value) => range.to <= value,
            Test::Gt(value) => range.from > value,
            Test::Ge(value) => range.from >= value,
            Test::MaskedEq { mask, value } => mask & !known == 0 && bits & mask == value,
        }
    }

    /// Whether a call at the end of a range meets `own` and fails the condition.
    fn refutes(&self, own: &[Condition], condition: &Condition) -> bool {
        let argument = usize::from(condition.arg);
        let Some(word) = self.words.get(argument) else {
            return false;
        };
        let constant = match condition.test {
            Test::Ne(value) | Test::Eq(value) => value,
            _ => 0,
        };
        let mut ends = [word.all.from, word.all.to, word.low.from, word.low.to, constant].into_iter();
        let refutes = |args: &[u64; 6]| !condition.holds(args) && own.iter().all(|condition| condition.holds(args));
        refutes(&self.example)
            || ends.any(|end| {
                let mut args = self.example;
                if let Some(slot) = args.get_mut(argument) {
                    *slot = end;
                }
                refutes(&args)
            })
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
