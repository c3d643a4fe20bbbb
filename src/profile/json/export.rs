//! What a profile in Rust code can mean and JSON, as container runtimes read it, cannot.

use super::super::{Call, Code, Profile, Rule};
use super::report::Report;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;
use core::mem::replace;

/// Reports every rule whose meaning would change.
pub(super) fn check(profile: &Profile, report: &mut Report) {
    for rule in &profile.rules {
        check_repeated(rule, report);
    }
    check_conflicts(profile, report);
}

/// Runtimes take several conditions on one argument as alternatives.
fn check_repeated(rule: &Rule, report: &mut Report) {
    let mut seen = [false; 6];
    for arg in &rule.args {
        let Some(seen) = seen.get_mut(usize::from(arg.index)) else { continue };
        if replace(seen, true) {
            let message = format!("several conditions on arg{}, of which in JSON one is enough", arg.index);
            return report.error(Code::NotExpressible, &rule.path, message);
        }
    }
}

/// Runtimes let an unconditional rule win over conditional ones, and skip a rule equal to the default action.
fn check_conflicts(profile: &Profile, report: &mut Report) {
    let mut by_call: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
    for rule in &profile.rules {
        for call in &rule.calls {
            if let Call::Name(name) = call {
                by_call.entry(name).or_default().push(rule);
            }
        }
    }
    for (name, rules) in by_call {
        let differs = |rule: &Rule| rule.args.is_empty() != (rule.action == profile.default_action);
        for rule in rules.iter().filter(|rule| differs(rule)) {
            let Some(other) = rules.iter().find(|other| other.action != rule.action) else { continue };
            let why = if rule.args.is_empty() {
                "runtimes let the unconditional rule win"
            } else {
                "runtimes skip a rule that is equal to the default action"
            };
            let message = format!("{} has another action for {name}, and with JSON {why}", other.path);
            report.error(Code::NotExpressible, &rule.path, message);
        }
    }
}
