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

/// Fills in [`Rule::narrower`] and returns the overlaps that remain, at most [`MAX_OVERLAPS`].
pub(super) fn analyse(rules: &mut [Rule], work: &mut Work) -> Result<Vec<Overlap>, OutOfWork> {
    let Some(first) = rules.first() else {
        return Ok(Vec::new());
    };
    if rules.iter().all(|rule| rule.action == first.action) {
        return Ok(Vec::new());
    }
    let pairs = compare(rules, work)?;
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

/// Finds which rules are narrower, and returns the pairs of which neither is although they may share a call.
fn compare(rules: &mut [Rule], work: &mut Work) -> Result<Vec<(usize, usize)>, OutOfWork> {
    let mut alive = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        // A rule that matches nothing would imply everything.
        if solve::witness(&[&rule.conditions], &[], work)?.is_some() {
            alive.push(index);
        }
    }
    let summaries: Vec<Summary> = alive
        .iter()
        .map(|index| Summary::of(rules.get(*index).map_or(&[], |rule| rule.conditions.as_slice())))
        .collect();
    let mut undecided = Vec::new();
    solve::candidates(&summaries, |a, b| {
        work.charge(1)?;
        let (Some(one), Some(two), Some(a), Some(b)) = (summaries.get(a), summaries.get(b), alive.get(a), alive.get(b))
        else {
            return Ok(());
        };
        if same_action(rules, *a, *b) || one.clearly_apart(two) {
            return Ok(());
        }
        match (implies(rules, *a, *b, work)?, implies(rules, *b, *a, work)?) {
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

fn implies(rules: &[Rule], narrow: usize, wide: usize, work: &mut Work) -> Result<bool, OutOfWork> {
    match (rules.get(narrow), rules.get(wide)) {
        (Some(narrow), Some(wide)) => solve::implies(&narrow.conditions, &wide.conditions, work),
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
