use super::*;
use crate::policy::{Condition, Test};
use crate::profile::Width;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const WIDE: Width = Width::Bits64;

fn on(arg: u8, test: Test) -> Condition {
    Condition { arg, width: WIDE, test }
}

fn find(all: &[&[Condition]], none: &[&[Condition]]) -> Option<[u64; 6]> {
    witness(all, none, &mut Work::new()).unwrap()
}

#[test]
fn ends_of_the_register() {
    let max = u64::MAX;
    for (test, smallest) in [
        (Test::Gt(max - 1), Some(max)),
        (Test::Gt(max), None),
        (Test::Ge(max), Some(max)),
        (Test::Lt(0), None),
        (Test::Lt(1), Some(0)),
        (Test::Le(0), Some(0)),
        (Test::Eq(max), Some(max)),
        (Test::Ne(0), Some(1)),
        (Test::MaskedEq { mask: 1 << 63, value: 1 << 63 }, Some(1 << 63)),
        (Test::MaskedEq { mask: 1, value: 2 }, None),
        (Test::MaskedEq { mask: 0, value: 0 }, Some(0)),
    ] {
        let condition = on(3, test);
        assert_eq!(find(&[&[condition]], &[]).map(|args| args[3]), smallest, "{test:?}");
        let fails = find(&[], &[&[condition]]);
        assert!(fails.is_none_or(|args| !condition.holds(&args)), "{test:?}");
        let always = matches!(test, Test::MaskedEq { mask: 0, .. });
        assert_eq!(fails.is_none(), always, "{test:?}");
    }
}

#[test]
fn halves_of_one_register() {
    let low = |test| Condition { arg: 0, width: Width::Bits32, test };
    let narrow = [on(0, Test::Gt(0xffff_ffff)), low(Test::Eq(7)), on(0, Test::Ne(0x1_0000_0007))];
    assert_eq!(find(&[&narrow], &[]).map(|args| args[0]), Some(0x2_0000_0007));
    assert!(implies(&[on(0, Test::Eq(7))], &[low(Test::Eq(7))], &mut Work::new()).unwrap());
    assert!(!implies(&[low(Test::Eq(7))], &[on(0, Test::Eq(7))], &mut Work::new()).unwrap());
    assert!(find(&[&[low(Test::Ge(0x1_0000_0000))]], &[]).is_none());
}

#[test]
fn implication_is_by_meaning() {
    let implied = |narrow: &[Condition], wide: &[Condition]| implies(narrow, wide, &mut Work::new()).unwrap();
    assert!(implied(&[on(0, Test::Lt(6))], &[on(0, Test::Le(5))]));
    assert!(implied(&[on(0, Test::Le(5))], &[on(0, Test::Lt(6))]));
    let even = on(0, Test::MaskedEq { mask: 1, value: 0 });
    assert!(implied(&[even, on(0, Test::Le(1))], &[on(0, Test::Eq(0))]));
    assert!(!implied(&[on(1, Test::Gt(5)), on(1, Test::Lt(8))], &[on(1, Test::Eq(6)), even]));
    assert!(implied(&[on(1, Test::Gt(5)), on(1, Test::Lt(7)), even], &[on(1, Test::Eq(6)), even]));
    assert!(implied(&[on(0, Test::Eq(1))], &[]));
}

/// Found by the property tests: a mask above the width, which never holds, was taken for implied by a known high half.
#[test]
fn a_mask_above_the_width_is_not_implied() {
    let high = 1 << 33;
    let never = Condition { arg: 0, width: Width::Bits32, test: Test::MaskedEq { mask: high, value: high } };
    let always = Condition { test: Test::MaskedEq { mask: high, value: 0 }, ..never };
    let narrow = [on(0, Test::Eq(high))];
    let summary = Summary::of(&narrow, &mut Work::new()).unwrap().unwrap();
    for (wide, implied) in [(never, false), (always, true)] {
        assert_eq!(implies(&narrow, &[wide], &mut Work::new()), Ok(implied));
        assert_eq!(summary.implies(&narrow, &[wide], &mut Work::new()), Ok(implied));
    }
}

/// What a summary shows without the solver has to be so: a range that ends at a constant is no constant, and bits that
/// are not fixed are not zero.
#[test]
fn a_summary_shows_no_more_than_its_ranges() {
    let low = |test| Condition { arg: 0, width: Width::Bits32, test };
    let implied = |narrow: &[Condition], wide: Condition| {
        let summary = Summary::of(narrow, &mut Work::new()).unwrap().unwrap();
        summary.implies(narrow, &[wide], &mut Work::new()).unwrap()
    };
    let upto = [on(0, Test::Le(5))];
    for (test, expected) in [
        (Test::Eq(5), false),
        (Test::Eq(0), false),
        (Test::Ne(5), false),
        (Test::Ne(6), true),
        (Test::Lt(5), false),
        (Test::Lt(6), true),
        (Test::Le(5), true),
        (Test::Le(4), false),
        (Test::Ge(0), true),
        (Test::Ge(1), false),
    ] {
        assert_eq!(implied(&upto, on(0, test)), expected, "{test:?}");
    }
    let from = [on(0, Test::Ge(5))];
    for (test, expected) in [(Test::Ne(5), false), (Test::Ne(4), true), (Test::Gt(5), false), (Test::Gt(4), true)] {
        assert_eq!(implied(&from, on(0, test)), expected, "{test:?}");
    }
    for mask in [1, 0xffff_ffff] {
        assert!(!implied(&[], low(Test::MaskedEq { mask, value: 0 })));
        assert!(!implied(&[], on(0, Test::MaskedEq { mask, value: 0 })));
        assert!(implied(&[on(0, Test::Eq(0))], low(Test::MaskedEq { mask, value: 0 })));
    }
    assert!(implied(&[on(0, Test::Eq(1 << 40))], low(Test::Eq(0))));
}

/// Constants and masks have bits 0, 1, 32 and 33 only.
fn constant() -> impl Strategy<Value = u64> {
    (0u64..4, 0u64..4).prop_map(|(low, high)| high << 32 | low)
}

fn condition() -> impl Strategy<Value = Condition> {
    let test = (0..7, constant(), constant()).prop_map(|(op, value, mask)| match op {
        0 => Test::Eq(value),
        1 => Test::Ne(value),
        2 => Test::Lt(value),
        3 => Test::Le(value),
        4 => Test::Gt(value),
        5 => Test::Ge(value),
        _ => Test::MaskedEq { mask, value: value & mask },
    });
    (0u8..2, any::<bool>(), test).prop_map(|(arg, wide, test)| {
        let width = if wide { Width::Bits64 } else { Width::Bits32 };
        Condition { arg, width, test }
    })
}

fn conjunctions(most: usize) -> impl Strategy<Value = Vec<Vec<Condition>>> {
    prop::collection::vec(prop::collection::vec(condition(), 0..4), 0..most)
}

/// One register of each kind that such conditions can tell apart: halves of 4 and above differ in the low bits only.
fn registers() -> Vec<u64> {
    (0..8).flat_map(|high| (0..8).map(move |low| high << 32 | low)).collect()
}

fn by_trying(all: &[&[Condition]], none: &[&[Condition]]) -> bool {
    let registers = registers();
    let holds = |conjunction: &&[Condition], args: &[u64; 6]| conjunction.iter().all(|c| c.holds(args));
    registers.iter().any(|a| {
        registers.iter().any(|b| {
            let args = [*a, *b, 0, 0, 0, 0];
            all.iter().all(|c| holds(c, &args)) && !none.iter().any(|c| holds(c, &args))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn as_by_trying(all in conjunctions(3), none in conjunctions(6)) {
        let all: Vec<&[Condition]> = all.iter().map(Vec::as_slice).collect();
        let none: Vec<&[Condition]> = none.iter().map(Vec::as_slice).collect();
        let found = find(&all, &none);
        prop_assert_eq!(found.is_some(), by_trying(&all, &none));
        if let Some(args) = found {
            prop_assert!(all.iter().all(|conjunction| conjunction.iter().all(|c| c.holds(&args))));
            prop_assert!(!none.iter().any(|conjunction| conjunction.iter().all(|c| c.holds(&args))));
        }
    }

    #[test]
    fn implication_as_by_trying(
        narrow in prop::collection::vec(condition(), 0..4),
        wide in prop::collection::vec(condition(), 0..4),
    ) {
        let expected = !by_trying(&[&narrow], &[&wide]);
        prop_assert_eq!(implies(&narrow, &wide, &mut Work::new()).unwrap(), expected);
        let summary = Summary::of(&narrow, &mut Work::new()).unwrap();
        prop_assert_eq!(summary.is_some(), by_trying(&[&narrow], &[]));
        if let Some(summary) = summary {
            prop_assert_eq!(summary.implies(&narrow, &wide, &mut Work::new()).unwrap(), expected);
        }
    }

    #[test]
    fn rules_that_meet_are_candidates(rules in prop::collection::vec(prop::collection::vec(condition(), 0..4), 0..8)) {
        let mut rules = rules;
        rules.retain(|rule| find(&[rule], &[]).is_some());
        let summarise = |rule: &Vec<Condition>| Summary::of(rule, &mut Work::new()).unwrap().unwrap();
        let summaries: Vec<Summary> = rules.iter().map(summarise).collect();
        let mut pairs = Vec::new();
        let visited: Result<(), OutOfWork> = candidates(&summaries, |a, b| {
            pairs.push((a, b));
            Ok(())
        });
        visited.unwrap();
        for b in 0..rules.len() {
            for a in 0..b {
                let meet = find(&[&rules[a], &rules[b]], &[]).is_some();
                prop_assert!(!meet || (pairs.contains(&(a, b)) && !summaries[a].clearly_apart(&summaries[b])));
            }
        }
    }
}

#[test]
fn many_constants_cost_little() {
    let constants: Vec<Condition> = (0..2000).map(|value| on(1, Test::Eq(value))).collect();
    let none: Vec<&[Condition]> = constants.iter().map(core::slice::from_ref).collect();
    let mut work = Work::new();
    let found = witness(&[&[on(1, Test::Lt(2001))]], &none, &mut work).unwrap();
    assert_eq!(found.map(|args| args[1]), Some(2000));
    assert_eq!(witness(&[&[on(1, Test::Lt(2000))]], &none, &mut work), Ok(None));
    assert!(work.spent() < 500_000, "{}", work.spent());
}

/// What has no conditions cannot fail, whatever else there is.
#[test]
fn what_always_holds_costs_nothing() {
    let hard = [on(0, Test::Gt(5)), on(1, Test::Gt(5))];
    let mut work = Work { left: 0 };
    assert_eq!(witness(&[&hard], &[&hard, &[]], &mut work), Ok(None));
    assert_eq!(witness(&[&hard], &[&hard], &mut work), Err(OutOfWork));
}

#[test]
fn exceptions_over_two_arguments_cost_little() {
    let pairs: Vec<Vec<Condition>> =
        (0..500).map(|value| vec![on(0, Test::Eq(value)), on(1, Test::Ge(value))]).collect();
    let none: Vec<&[Condition]> = pairs.iter().map(Vec::as_slice).collect();
    let mut work = Work::new();
    let found = witness(&[&[on(0, Test::Lt(500)), on(1, Test::Lt(500))]], &none, &mut work).unwrap();
    assert!(found.is_some_and(|args| args[1] < args[0]));
    assert!(work.spent() < Work::LIMIT / 4, "{}", work.spent());
}

/// More pigeons than holes, as a formula over the bits of one register: short, contradictory, and hard for every
/// search of this kind.
#[test]
fn hostile_masks_end_in_an_error() {
    let (pigeons, holes) = (8, 7);
    let bit = |pigeon: u32, hole: u32| 1u64 << (pigeon * holes + hole);
    let mut none: Vec<Vec<Condition>> = Vec::new();
    for pigeon in 0..pigeons {
        // Not without a hole.
        let mask = (0..holes).map(|hole| bit(pigeon, hole)).sum();
        none.push(vec![on(0, Test::MaskedEq { mask, value: 0 })]);
        for other in 0..pigeon {
            for hole in 0..holes {
                let both = bit(pigeon, hole) | bit(other, hole);
                none.push(vec![on(0, Test::MaskedEq { mask: both, value: both })]);
            }
        }
    }
    let none: Vec<&[Condition]> = none.iter().map(Vec::as_slice).collect();
    let mut work = Work::new();
    match witness(&[], &none, &mut work) {
        // Memory of dead ends may suffice.
        Ok(found) => assert_eq!(found, None),
        Err(OutOfWork) => assert!(work.spent() <= Work::LIMIT),
    }
}
