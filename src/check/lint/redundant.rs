//! Rules without which nothing would change.
//!
//! Each question is whether two functions are the same: what the rules of a call say with a rule and without it. A rule
//! that matches nothing decides nothing, so "without it" is the same set of rules in which it never matches.

use super::review::{Review, listed, on};
use crate::arch::Arch;
use crate::bpf::Action;
use crate::check::answers::Answers;
use crate::check::bdd::{BITS, Exhausted, FALSE, Ref, TRUE};
use crate::check::meaning;
use crate::policy::Rule;
use crate::profile::{Code, Severity};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What is said about one place, and the calls and ABIs that it concerns.
type Group = BTreeMap<(usize, String, &'static str, String), (Severity, Code, BTreeSet<String>, BTreeSet<Arch>)>;

pub(super) fn check(review: &mut Review<'_>) -> Result<(), Exhausted> {
    let policy = review.policy;
    let mut groups = Group::new();
    let mut outcome = Ok(());
    'all: for section in &policy.sections {
        for (&nr, rules) in section.calls.iter().filter(|(_, rules)| worth_a_look(rules, section.default)) {
            let found = match without_effect(&mut review.answers, rules, section.default) {
                Ok(found) => found,
                Err(exhausted) => {
                    outcome = Err(exhausted);
                    break 'all;
                }
            };
            for useless in found {
                let Some(rule) = rules.get(useless.rule) else { continue };
                let (severity, code, text) = useless.words(rules, rule);
                let key = (rule.source.entry, rule.source.path.clone(), code.as_str(), text);
                let group = groups.entry(key).or_insert_with(|| (severity, code, BTreeSet::new(), BTreeSet::new()));
                group.2.insert(section.arch.name(nr).map_or_else(|| format!("call {nr:#x}"), ToString::to_string));
                group.3.insert(section.arch);
            }
        }
    }
    let all = review.policy.arches().count();
    for ((_, place, _, text), (severity, code, calls, arches)) in groups {
        let calls: Vec<String> = calls.into_iter().collect();
        let arches: Vec<Arch> = arches.into_iter().collect();
        let on = if arches.len() == all { String::new() } else { on(&arches) };
        review.report(severity, code, place, format!("{}{on}: {text}", listed(&calls, 20)));
    }
    outcome
}

/// A single rule always has an effect, unless it gives the default.
fn worth_a_look(rules: &[Rule], default: Action) -> bool {
    rules.len() > 1 || rules.iter().any(|rule| rule.action == default)
}

/// A rule without effect.
struct Useless {
    rule: usize,
    /// The one rule that covers it, if one does.
    by: Option<usize>,
    why: Why,
}

enum Why {
    /// Its conditions, with those of others, hold for every call.
    All,
    /// For every call that it matches, another rule decides.
    Hidden,
    /// Rules of the same action say the same.
    Same,
    /// So does the default action.
    Default,
}

impl Useless {
    fn words(&self, rules: &[Rule], rule: &Rule) -> (Severity, Code, String) {
        let action = rule.action;
        let by = self.by.and_then(|by| rules.get(by)).filter(|by| by.source.path != rule.source.path);
        let others = by.map_or_else(|| "other rules of the call".into(), |by| by.source.path.clone());
        match self.why {
            Why::All => {
                let text = format!("the conditions for {action} together hold for every call, so they test nothing");
                (Severity::Warning, Code::ConstantCondition, text)
            }
            Why::Hidden => {
                let text = format!("{action} never comes about: for every call that it matches, {others} decide");
                (Severity::Warning, Code::Shadowed, text)
            }
            Why::Same => {
                let text = format!("{action} is already given by {others} for every call that it matches");
                (Severity::Note, Code::Redundant, text)
            }
            Why::Default => {
                let text = format!("{action} is the default action, and nothing would change without it");
                (Severity::Note, Code::EqualsDefault, text)
            }
        }
    }
}

fn without_effect(answers: &mut Answers<'_>, rules: &[Rule], default: Action) -> Result<Vec<Useless>, Exhausted> {
    let mut matches = meaning::matches(&mut answers.bdd, rules)?;
    let default_leaf = answers.bdd.leaf(default.to_raw())?;
    let whole = meaning::combined(&mut answers.bdd, rules, &matches, default_leaf)?;
    let conditional = rules.len() > 1 && rules.iter().all(|rule| !rule.conditions.is_empty());
    if conditional && answers.bdd.first_bit(whole) >= BITS && whole != default_leaf {
        return Ok(alloc::vec![Useless { rule: 0, by: None, why: Why::All }]);
    }
    // The last in the file first: of two that say the same, the later one goes.
    let mut order: Vec<usize> = (0..rules.len()).filter(|&index| matches.get(index) != Some(&FALSE)).collect();
    order.sort_by_key(|&index| core::cmp::Reverse(rules.get(index).map(|rule| (rule.source.entry, &rule.source.path))));
    let mut found = Vec::new();
    let single = rules.iter().all(|rule| rules.first().is_some_and(|first| first.action == rule.action));
    if single && rules.iter().all(|rule| rule.action != default) {
        for (index, own) in covered(answers, &matches, &order)? {
            let by = covering(answers, rules, &matches, index, own)?;
            found.push(Useless { rule: index, by, why: Why::Same });
        }
        return Ok(found);
    }
    for index in order {
        let (Some(slot), Some(rule)) = (matches.get_mut(index), rules.get(index)) else { continue };
        let own = core::mem::replace(slot, FALSE);
        if meaning::combined(&mut answers.bdd, rules, &matches, default_leaf)? != whole {
            if let Some(slot) = matches.get_mut(index) {
                *slot = own;
            }
            continue;
        }
        let given = answers.where_answer(whole, &|action| action == rule.action)?;
        let why = match answers.bdd.and(own, given)? {
            FALSE => Why::Hidden,
            _ if rule.action == default => Why::Default,
            _ => Why::Same,
        };
        let by = covering(answers, rules, &matches, index, own)?;
        found.push(Useless { rule: index, by, why });
    }
    Ok(found)
}

/// Of rules with one action those that the others cover, without comparing each with each: what comes before in the
/// file is united from the front, what stays of the rest from the back.
fn covered(answers: &mut Answers<'_>, matches: &[Ref], order: &[usize]) -> Result<Vec<(usize, Ref)>, Exhausted> {
    let bdd = &mut answers.bdd;
    let mut before = alloc::vec![FALSE];
    for &index in order.iter().rev() {
        let (last, own) = (before.last().copied().unwrap_or(FALSE), matches.get(index).copied().unwrap_or(FALSE));
        before.push(bdd.or(last, own)?);
    }
    let (mut kept, mut found) = (FALSE, Vec::new());
    for (position, &index) in order.iter().enumerate() {
        let own = matches.get(index).copied().unwrap_or(FALSE);
        let earlier = before.len().checked_sub(position.saturating_add(2)).and_then(|at| before.get(at));
        let others = bdd.or(earlier.copied().unwrap_or(FALSE), kept)?;
        if bdd.ite(own, others, TRUE)? == TRUE {
            found.push((index, own));
        } else {
            kept = bdd.or(kept, own)?;
        }
    }
    Ok(found)
}

/// A single rule that matches whatever this one does.
fn covering(
    answers: &mut Answers<'_>,
    rules: &[Rule],
    matches: &[Ref],
    index: usize,
    own: Ref,
) -> Result<Option<usize>, Exhausted> {
    for (other, &function) in matches.iter().enumerate().take(rules.len()) {
        if other != index && answers.bdd.ite(own, function, TRUE)? == TRUE {
            return Ok(Some(other));
        }
    }
    Ok(None)
}
