//! A policy as a function of the input bits.
//!
//! It says what [`Policy::decide`] says, and it is read off the same rules: the gate by architecture and number, per
//! number the rules, of those that match the ones without a matching narrower rule, of their actions the most
//! restrictive one, else the default.

use super::bdd::{Bdd, Exhausted, FALSE, Ref, TRUE};
use super::words::{Word, by_intervals};
use crate::bpf::Action;
use crate::policy::{Condition, Gate, Policy, Rule, Section, Test};
use crate::profile::Width;
use alloc::vec::Vec;

/// Where the gate may change its mind along the numbers: bit 30 tells x32 from x86_64, -1 is a tracer's skip.
const GATE_STARTS: [u32; 5] = [0, 0x4000_0000, 0x8000_0000, 0xc000_0000, 0xffff_ffff];

/// The function whose leaves are the raw values of the actions.
pub(super) fn meaning(bdd: &mut Bdd, policy: &Policy) -> Result<Ref, Exhausted> {
    let mut tokens: Vec<u32> = policy.arches().map(crate::arch::Arch::audit).collect();
    tokens.sort_unstable();
    tokens.dedup();
    let refused = leaf(bdd, policy.bad_arch)?;
    let mut starts = alloc::vec![(0, refused)];
    for token in tokens {
        starts.push((token, numbers(bdd, policy, token)?));
        if let Some(next) = token.checked_add(1) {
            starts.push((next, refused));
        }
    }
    by_intervals(bdd, Word::ARCH, &distinct(starts))
}

/// What happens to the calls with this architecture token.
fn numbers(bdd: &mut Bdd, policy: &Policy, token: u32) -> Result<Ref, Exhausted> {
    let mut starts = Vec::new();
    let mut last = Last::default();
    for (index, &first) in GATE_STARTS.iter().enumerate() {
        match policy.gate(token, first) {
            Gate::Refused(action) => starts.push((first, leaf(bdd, action)?)),
            Gate::Section(section) => {
                let next = GATE_STARTS.get(index.saturating_add(1));
                let end = next.map_or(u32::MAX, |next| next.saturating_sub(1));
                calls(bdd, section, first, end, &mut starts, &mut last)?;
            }
        }
    }
    by_intervals(bdd, Word::NUMBER, &distinct(starts))
}

/// Appends what happens to the numbers from `first` to `end` of a section.
fn calls<'a>(
    bdd: &mut Bdd,
    section: &'a Section,
    first: u32,
    end: u32,
    starts: &mut Vec<(u32, Ref)>,
    last: &mut Last<'a>,
) -> Result<(), Exhausted> {
    let default = leaf(bdd, section.default)?;
    for nr in changes(section, first, end) {
        let Some(rules) = section.calls.get(&nr).map(|rules| &**rules) else {
            starts.push((nr, leaf(bdd, section.fallback(nr))?));
            continue;
        };
        let answer = match last {
            Last(Some((seen_default, seen, answer))) if *seen_default == default && alike(seen, rules) => *answer,
            _ => decision(bdd, rules, default)?,
        };
        *last = Last(Some((default, rules, answer)));
        starts.push((nr, answer));
    }
    Ok(())
}

/// The numbers from `first` to `end` at which the answer may be another one than before.
fn changes(section: &Section, first: u32, end: u32) -> Vec<u32> {
    let mut numbers = alloc::vec![first];
    let spans = section.unlisted.iter().flat_map(|span| [Some(span.first), span.last.checked_add(1)]);
    numbers.extend(spans.flatten().filter(|nr| (first..=end).contains(nr)));
    for (&nr, _) in section.calls.range(first..=end) {
        numbers.push(nr);
        numbers.extend(nr.checked_add(1).filter(|nr| *nr <= end));
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// The rules of the number before, with the default they fall back to and the function that they gave.
#[derive(Default)]
struct Last<'a>(Option<(Ref, &'a [Rule], Ref)>);

/// Whether two lists of rules mean the same by themselves, wherever they were written.
fn alike(a: &[Rule], b: &[Rule]) -> bool {
    if core::ptr::eq(a, b) {
        return true;
    }
    let same =
        |(a, b): (&Rule, &Rule)| a.action == b.action && a.conditions == b.conditions && a.narrower == b.narrower;
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// Of pieces that start at one number the last counts; a piece that is like the one before it is no piece.
fn distinct(starts: Vec<(u32, Ref)>) -> Vec<(u32, Ref)> {
    let mut result: Vec<(u32, Ref)> = Vec::with_capacity(starts.len());
    for (start, function) in starts {
        if result.last().is_some_and(|&(previous, _)| previous == start) {
            result.pop();
        }
        if result.last().is_none_or(|&(_, previous)| previous != function) {
            result.push((start, function));
        }
    }
    result
}

/// What the rules of one number say.
pub(super) fn decision(bdd: &mut Bdd, rules: &[Rule], default: Ref) -> Result<Ref, Exhausted> {
    let matches = matches(bdd, rules)?;
    combined(bdd, rules, &matches, default)
}

/// Which calls each rule matches.
pub(super) fn matches(bdd: &mut Bdd, rules: &[Rule]) -> Result<Vec<Ref>, Exhausted> {
    rules.iter().map(|rule| all_hold(bdd, rule)).collect()
}

/// For which calls each rule has a say, of those that match these calls: for those that no narrower one matches.
pub(super) fn effective(bdd: &mut Bdd, rules: &[Rule], matches: &[Ref]) -> Result<Vec<Ref>, Exhausted> {
    let has_a_say = |(rule, &own): (&Rule, &Ref)| {
        rule.narrower.iter().try_fold(own, |region, &narrower| {
            let beaten = matches.get(narrower).copied().unwrap_or(FALSE);
            bdd.ite(beaten, FALSE, region)
        })
    };
    rules.iter().zip(matches).map(has_a_say).collect()
}

/// What rules say that match these calls.
pub(super) fn combined(bdd: &mut Bdd, rules: &[Rule], matches: &[Ref], default: Ref) -> Result<Ref, Exhausted> {
    let regions = effective(bdd, rules, matches)?;
    let mut effective: Vec<_> = rules.iter().map(|rule| rule.action).zip(regions).collect();
    // The most restrictive action is asked last and so comes out on top.
    effective.sort_by_key(|&(action, _)| core::cmp::Reverse(action));
    let mut result = default;
    for (action, region) in effective {
        let answer = leaf(bdd, action)?;
        result = bdd.ite(region, answer, result)?;
    }
    Ok(result)
}

fn all_hold(bdd: &mut Bdd, rule: &Rule) -> Result<Ref, Exhausted> {
    rule.conditions.iter().try_fold(TRUE, |all, condition| {
        let this = holds(bdd, condition)?;
        bdd.and(all, this)
    })
}

/// Where a condition holds.
pub(super) fn holds(bdd: &mut Bdd, condition: &Condition) -> Result<Ref, Exhausted> {
    bdd.step()?;
    let word = match condition.width {
        Width::Bits32 => Word::low_half(condition.arg),
        Width::Bits64 => Word::argument(condition.arg),
    };
    // There are six arguments; any other reads as 0.
    let Some(word) = word else { return Ok(if condition.holds(&[0; 6]) { TRUE } else { FALSE }) };
    let inverted = match condition.test {
        Test::Eq(value) => return word.equals(bdd, value),
        Test::Gt(value) => return word.exceeds(bdd, value, false),
        Test::Ge(value) => return word.exceeds(bdd, value, true),
        Test::MaskedEq { mask, value } => return word.masked(mask).equals(bdd, value),
        Test::Ne(value) => word.equals(bdd, value)?,
        Test::Le(value) => word.exceeds(bdd, value, false)?,
        Test::Lt(value) => word.exceeds(bdd, value, true)?,
    };
    bdd.not(inverted)
}

fn leaf(bdd: &mut Bdd, action: Action) -> Result<Ref, Exhausted> {
    bdd.leaf(action.to_raw())
}

#[cfg(test)]
mod tests {
    use super::super::witness::{for_arch, for_number};
    use super::*;
    use crate::arch::Arch;
    use crate::check::bdd::Budget;
    use crate::check::naive;

    fn rule() -> Rule {
        naive::rule(&[Condition { arg: 0, width: Width::Bits64, test: Test::Eq(1) }])
    }

    #[test]
    fn rules_are_alike_if_they_say_the_same() {
        let plain = [rule()];
        assert!(alike(&plain, &plain) && alike(&plain, &[rule()]));
        for other in [
            Rule { action: Action::Log, ..rule() },
            Rule { conditions: Vec::new(), ..rule() },
            Rule { narrower: alloc::vec![0], ..rule() },
        ] {
            assert!(!alike(&plain, &[other]));
        }
        assert!(!alike(&plain, &[]) && !alike(&plain, &[rule(), rule()]));
    }

    /// The same rules behind different defaults are different functions.
    #[test]
    fn rules_fall_back_to_the_default_of_their_section() {
        let x32 = Arch::X32_BIT;
        let mut policy = naive::policy(Arch::X86_64, &[(7, alloc::vec![rule()]), (8, alloc::vec![rule()])]);
        policy.sections.extend(naive::policy(Arch::X32, &[(x32, alloc::vec![rule()])]).sections);
        policy.sections[1].default = Action::Errno(2);
        let mut bdd = Bdd::new(Budget { nodes: 10_000, steps: 100_000 }, 0);
        let function = meaning(&mut bdd, &policy).unwrap();
        let token = for_arch(&bdd, function, Arch::X86_64.audit());
        for nr in [7, 8, 9, x32, x32 | 1] {
            let found = for_number(&bdd, token, nr);
            let default = leaf(&mut bdd, if nr < x32 { Action::Errno(1) } else { Action::Errno(2) }).unwrap();
            let expected =
                if nr == 9 || nr == x32 | 1 { default } else { decision(&mut bdd, &[rule()], default).unwrap() };
            assert_eq!(found, expected, "{nr:#x}");
        }
    }
}
