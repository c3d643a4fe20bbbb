//! Which rules of a call are narrower than which, and which overlap undecided.

use super::Rule;
use super::solve::{self, OutOfWork, Summary, Work};
use alloc::vec::Vec;

/// Overlaps of one call that are looked for; more of them say nothing new.
const MAX_OVERLAPS: usize = 16;

/// Two rules of different actions, neither narrower, and a call that both match and no narrower rule takes from them.
#[derive(Debug)]
pub(super) struct Overlap {
    pub(super) first: usize,
    pub(super) second: usize,
    pub(super) call: [u64; 6],
}

/// Calls in the effective regions of both rules of a pair, at most [`MAX_OVERLAPS`].
pub(super) fn overlaps(
    rules: &[Rule],
    pairs: impl Iterator<Item = (usize, usize)>,
    work: &mut Work,
) -> Result<Vec<Overlap>, OutOfWork> {
    let mut overlaps = Vec::new();
    for (first, second) in pairs {
        if overlaps.len() == MAX_OVERLAPS {
            break;
        }
        let call = shared_call(rules, first, second, work)?;
        overlaps.extend(call.map(|call| Overlap { first, second, call }));
    }
    Ok(overlaps)
}

/// Fills in [`Rule::narrower`], and returns the pairs of which neither is narrower although they may share a call.
pub(super) fn find_narrower(rules: &mut [Rule], work: &mut Work) -> Result<Vec<(usize, usize)>, OutOfWork> {
    let mut undecided = Vec::new();
    if rules.iter().all(|rule| rules.first().is_some_and(|first| first.action == rule.action)) {
        return Ok(undecided);
    }
    // A rule that matches nothing would imply everything; it takes no part.
    let (mut alive, mut summaries) = (Vec::new(), Vec::new());
    for (index, rule) in rules.iter().enumerate() {
        if let Some(summary) = Summary::of(&rule.conditions, work)? {
            alive.push(index);
            summaries.push(summary);
        }
    }
    solve::candidates(&summaries, |a, b| {
        work.charge(1)?;
        let (Some(one), Some(two), Some(a), Some(b)) = (summaries.get(a), summaries.get(b), alive.get(a), alive.get(b))
        else {
            return Ok(());
        };
        if same_action(rules, *a, *b) || one.clearly_apart(two) {
            return Ok(());
        }
        match (implies(rules, (*a, one), *b, work)?, implies(rules, (*b, two), *a, work)?) {
            (true, false) => add_narrower(rules, *b, *a),
            (false, true) => add_narrower(rules, *a, *b),
            _ => undecided.push((*a, *b)),
        }
        Ok(())
    })?;
    for rule in rules.iter_mut() {
        rule.narrower.sort_unstable();
    }
    undecided.sort_unstable();
    Ok(undecided)
}

fn same_action(rules: &[Rule], a: usize, b: usize) -> bool {
    rules.get(a).map(|rule| rule.action) == rules.get(b).map(|rule| rule.action)
}

fn implies(rules: &[Rule], narrow: (usize, &Summary), wide: usize, work: &mut Work) -> Result<bool, OutOfWork> {
    match (rules.get(narrow.0), rules.get(wide)) {
        (Some(rule), Some(wide)) => narrow.1.implies(&rule.conditions, &wide.conditions, work),
        _ => Ok(false),
    }
}

fn add_narrower(rules: &mut [Rule], wide: usize, narrow: usize) {
    if let Some(rule) = rules.get_mut(wide) {
        rule.narrower.push(narrow);
    }
}

/// A call in the effective regions of both rules.
fn shared_call(rules: &[Rule], a: usize, b: usize, work: &mut Work) -> Result<Option<[u64; 6]>, OutOfWork> {
    let (Some(one), Some(two)) = (rules.get(a), rules.get(b)) else {
        return Ok(None);
    };
    let mut narrower: Vec<usize> = one.narrower.iter().chain(&two.narrower).copied().collect();
    narrower.sort_unstable();
    narrower.dedup();
    let beaten: Vec<&[super::Condition]> =
        narrower.iter().filter_map(|index| rules.get(*index)).map(|rule| rule.conditions.as_slice()).collect();
    solve::witness(&[&one.conditions, &two.conditions], &beaten, work)
}
