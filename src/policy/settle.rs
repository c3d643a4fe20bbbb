//! The rules of one call: which of them stay, and what is said about those that contradict each other.

use super::conflict::{self, Overlap};
use super::findings::{Finding, Findings};
use super::solve::{OutOfWork, Work};
use super::{Rule, Semantics};
use crate::arch::Arch;
use crate::bpf::Action;
use crate::profile::{Code, Severity};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Settles the rules of calls of one ABI.
#[derive(Debug)]
pub(super) struct Settling<'a, 'p> {
    pub(super) arch: Arch,
    pub(super) default: Action,
    pub(super) semantics: Semantics,
    pub(super) findings: &'a mut Findings<'p>,
    pub(super) work: &'a mut Work,
    /// For what only serves diagnostics: when it runs out, some are missing.
    pub(super) doubts: &'a mut Work,
}

impl Settling<'_, '_> {
    /// The rules in normal form: without duplicates, in an order that does not depend on the file, with the narrower
    /// ones of each. `rules` are in the order of the file.
    pub(super) fn rules(&mut self, nr: u32, rules: Vec<Rule>) -> Result<Vec<Rule>, OutOfWork> {
        let rules = match self.semantics {
            Semantics::Oci => self.as_runtimes(nr, rules),
            Semantics::Strict => rules,
            Semantics::Ordered => return self.in_order(nr, rules),
        };
        let mut rules = self.normal(nr, rules);
        let same = self.same_conditions(nr, &rules);
        let undecided = conflict::find_narrower(&mut rules, self.work)?;
        let pairs = undecided.into_iter().filter(|pair| !same.contains(pair));
        match self.semantics {
            // Rules in order have returned above; strictness is the safe reading of anything else.
            Semantics::Strict | Semantics::Ordered => {
                for overlap in conflict::overlaps(&rules, pairs, self.work)? {
                    self.report_overlap(nr, &rules, &overlap);
                }
            }
            // What an overlap means does not depend on whether it is told.
            Semantics::Oci => match conflict::overlaps(&rules, pairs, self.doubts) {
                Ok(overlaps) => overlaps.iter().for_each(|overlap| self.report_overlap(nr, &rules, overlap)),
                Err(OutOfWork) => self.report_untold(nr),
            },
        }
        Ok(rules)
    }

    /// Whether a call whose only rule is this one has it as its normal form, with nothing to tell.
    pub(super) fn is_settled(&self, rule: &Rule) -> bool {
        self.semantics != Semantics::Oci || rule.action != self.default
    }

    /// Rules that are tried in their order. A rule has no say where an earlier one of another action matches, so of those
    /// that match the first decides: each later one of another action is beaten by it, and one of the same action does
    /// not matter. What stands behind a rule without conditions is never reached.
    fn in_order(&mut self, nr: u32, mut rules: Vec<Rule>) -> Result<Vec<Rule>, OutOfWork> {
        let last = rules.iter().position(|rule| rule.conditions.is_empty());
        let behind = last.map_or(Vec::new(), |last| rules.split_off(last.saturating_add(1)));
        if let Some(winner) = rules.last() {
            for rule in &behind {
                let (action, path) = (rule.action, &winner.source.path);
                let text = format!("{action} is never reached, because {path} comes first and has no conditions");
                self.report(nr, Severity::Warning, Code::Redundant, (rule, Some(winner)), text);
            }
        }
        let actions: Vec<Action> = rules.iter().map(|rule| rule.action).collect();
        for (index, rule) in rules.iter_mut().enumerate() {
            self.work.charge(index)?;
            let earlier = actions.iter().take(index).enumerate();
            rule.narrower = earlier.filter(|(_, action)| **action != rule.action).map(|(other, _)| other).collect();
        }
        Ok(rules)
    }

    /// What container runtimes drop: rules equal to the default action, and whatever stands beside an unconditional
    /// rule, of which the first counts.
    fn as_runtimes(&mut self, nr: u32, rules: Vec<Rule>) -> Vec<Rule> {
        let (equal, mut rules): (Vec<Rule>, Vec<Rule>) =
            rules.into_iter().partition(|rule| rule.action == self.default);
        for rule in &equal {
            self.report_equal(nr, rule, rules.is_empty());
        }
        let Some(first) = rules.iter().position(|rule| rule.conditions.is_empty()) else {
            return rules;
        };
        let winner = rules.remove(first);
        for rule in rules.iter().filter(|rule| rule.action != winner.action) {
            self.report_hidden(nr, rule, &winner);
        }
        for rule in rules.iter().filter(|rule| rule.action == winner.action) {
            self.report_covered(nr, rule, &winner);
        }
        alloc::vec![winner]
    }

    /// Reports neighbours that differ in their action only, and returns them.
    fn same_conditions(&mut self, nr: u32, rules: &[Rule]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (index, pair) in rules.windows(2).enumerate() {
            if let [first, second] = pair
                && first.conditions == second.conditions
            {
                found.push((index, index.saturating_add(1)));
                self.report_same(nr, first, second);
            }
        }
        found
    }

    fn report_equal(&mut self, nr: u32, rule: &Rule, alone: bool) {
        let action = rule.action;
        let (severity, text) = if alone {
            (Severity::Note, format!("skipped, because {action} is the default action"))
        } else {
            let why = "container runtimes skip it, so it makes no exception from the other rules of the call";
            (Severity::Warning, format!("skipped, because {action} is the default action: {why}"))
        };
        self.report(nr, severity, Code::EqualsDefault, (rule, None), text);
    }

    fn report_hidden(&mut self, nr: u32, rule: &Rule, winner: &Rule) {
        let (action, path, wins) = (rule.action, &winner.source.path, winner.action);
        let (code, text) = if rule.conditions.is_empty() {
            (Code::TwoUnconditional, format!("{action} has no effect, because {path} gives {wins} first; remove one"))
        } else {
            let why = "container runtimes let that win; remove the call there, or use strict semantics";
            (Code::Shadowed, format!("{action} has no effect, because {path} gives {wins} without conditions: {why}"))
        };
        self.report(nr, Severity::Warning, code, (rule, Some(winner)), text);
    }

    /// Beside a rule without conditions those of another one test nothing.
    fn report_covered(&mut self, nr: u32, rule: &Rule, winner: &Rule) {
        let (action, path) = (rule.action, &winner.source.path);
        let (severity, text) = if rule.conditions.is_empty() {
            (Severity::Note, format!("{action} is already given by {path}"))
        } else {
            let text = format!("the conditions test nothing, because {path} gives {action} without conditions");
            (Severity::Warning, text)
        };
        self.report(nr, severity, Code::Redundant, (rule, Some(winner)), text);
    }

    /// Sorted, without duplicates. Of the same rule written twice, the first in the file stays as the source.
    fn normal(&mut self, nr: u32, mut rules: Vec<Rule>) -> Vec<Rule> {
        rules.sort_by(|a, b| (&a.conditions, a.action, a.source.entry).cmp(&(&b.conditions, b.action, b.source.entry)));
        let mut repeated = Vec::new();
        rules.dedup_by(|later, first| {
            let same = later.action == first.action && later.conditions == first.conditions;
            if same {
                repeated.push((later.clone(), first.clone()));
            }
            same
        });
        for (later, first) in repeated {
            let text = format!("{} is already given by {}", later.action, first.source.path);
            self.report(nr, Severity::Note, Code::Redundant, (&later, Some(&first)), text);
        }
        rules
    }

    fn report_same(&mut self, nr: u32, one: &Rule, two: &Rule) {
        let (first, second) = in_file_order(one, two);
        let (action, path, other) = (second.action, &first.source.path, first.action);
        let (code, what) = if second.conditions.is_empty() {
            (Code::TwoUnconditional, "both without conditions")
        } else {
            (Code::SameConditionTwoActions, "under the same conditions")
        };
        let text = format!("{action} contradicts {path}, which gives {other}, {what}; remove one");
        self.report(nr, Severity::Error, code, (second, Some(first)), text);
    }

    fn report_overlap(&mut self, nr: u32, rules: &[Rule], overlap: &Overlap) {
        let (Some(one), Some(two)) = (rules.get(overlap.first), rules.get(overlap.second)) else {
            return;
        };
        let (first, second) = in_file_order(one, two);
        let call = example(rules, &overlap.call);
        let (action, path, other) = (second.action, &first.source.path, first.action);
        let both = format!("{action} and {path}, which gives {other}, both match when {call}");
        let (severity, text) = match self.semantics {
            Semantics::Strict | Semantics::Ordered => {
                (Severity::Error, format!("{both}; make one condition imply the other, or separate them"))
            }
            Semantics::Oci => {
                let taken = Rule::effective(rules, &overlap.call).unwrap_or(self.default);
                let why = "container runtimes decide by the order of constants and arguments";
                (Severity::Warning, format!("{both}; {taken} is taken, the most restrictive ({why})"))
            }
        };
        self.report(nr, severity, Code::OverlapTwoActions, (second, Some(first)), text);
    }

    fn report_untold(&mut self, nr: u32) {
        let text = "rules with different actions overlap in too many ways to show".into();
        self.findings.add(Finding {
            call: Some(call_name(self.arch, nr)),
            arch: Some(self.arch),
            text,
            ..Finding::new(Severity::Warning, Code::OverlapTwoActions, None)
        });
    }

    fn report(&mut self, nr: u32, severity: Severity, code: Code, (rule, other): (&Rule, Option<&Rule>), text: String) {
        self.findings.add(Finding {
            other: other.map(|rule| rule.source.entry),
            call: Some(call_name(self.arch, nr)),
            arch: Some(self.arch),
            text,
            ..Finding::new(severity, code, Some(rule.source.entry))
        });
    }
}

/// How a call is named in messages.
pub(super) fn call_name(arch: Arch, nr: u32) -> String {
    arch.name(nr).map_or_else(|| format!("number {nr:#x}"), Into::into)
}

fn in_file_order<'r>(one: &'r Rule, two: &'r Rule) -> (&'r Rule, &'r Rule) {
    if two.source.entry < one.source.entry { (two, one) } else { (one, two) }
}

/// The arguments on which the rules look, with their values.
fn example(rules: &[Rule], args: &[u64; 6]) -> String {
    let used = |arg: u8| rules.iter().flat_map(|rule| &rule.conditions).any(|condition| condition.arg == arg);
    let shown = (0u8..).zip(args).filter(|(arg, _)| used(*arg));
    let parts: Vec<String> =
        shown.map(|(arg, value)| format!("arg{arg} is {}", super::print::Number(*value))).collect();
    if parts.is_empty() { "called".into() } else { parts.join(", ") }
}
