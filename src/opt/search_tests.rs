//! The search against an exhaustive one over the same tests, on small switches.

use super::Params;
use super::runs::{Run, TOTAL, runs};
use super::search::{Scale, search};
use crate::bpf::Action;
use crate::code::{Code, CodeId, Held, Input, Op, Step};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use proptest::prelude::*;

const HELD: Held = Held::all(Input::Nr);

/// Range and equality tests wherever they are possible.
const EVERYWHERE: Params =
    Params { size_price: 10, few: 100, heavy: 0, bit_runs: 0, nested: 100, elements: 64, ..Params::DEFAULT };

/// Bit tests as well, of up to six bits.
const WITH_BITS: Params = Params { bit_runs: 100, side: 100, ..EVERYWHERE };

/// Up to eight runs of three classes, many of them single numbers, with weights.
fn small() -> impl Strategy<Value = (Code, Vec<Run>)> {
    let run = (0_usize..3, prop_oneof![Just(1_u32), Just(1), 2_u32..5], 1_u64..1000);
    prop::collection::vec(run, 1..9).prop_map(|list| {
        let mut code = Code::default();
        let classes = [Action::Allow, Action::Errno(1), Action::Errno(38)].map(|action| code.ret(action));
        let mut start = 0;
        let mut starts = Vec::new();
        for &(class, length, _) in &list {
            starts.push((start, classes[class]));
            start += length;
        }
        let mut runs = runs(starts);
        let sum: u64 = list.iter().map(|run| run.2).sum();
        for (run, (_, _, weight)) in runs.iter_mut().zip(&list) {
            run.weight = TOTAL / sum * weight;
        }
        (code, runs)
    })
}

/// The bits that differ within a run.
fn loose(run: &Run) -> u32 {
    u32::MAX.checked_shr((run.first ^ run.last).leading_zeros()).unwrap_or(0)
}

/// The least cost over all trees; `left` are the runs that are not decided yet. Masks are made of bits that are the same
/// within each run that is left, and decide one side.
fn exhaustive(runs: &[Run], scale: Scale, masks: &[u32], left: u32, known: &mut BTreeMap<u32, u32>) -> u32 {
    if let Some(&cost) = known.get(&left) {
        return cost;
    }
    let of = |set: u32| (0..runs.len()).filter(move |&x| set >> x & 1 == 1);
    let one_class = |set: u32| of(set).all(|x| Some(runs[x].class) == of(set).next().map(|first| runs[first].class));
    let mut best = u32::MAX;
    if one_class(left) {
        best = 0;
    } else {
        let mut behind = |yes: u32| {
            exhaustive(runs, scale, masks, left & yes, known) + exhaustive(runs, scale, masks, left & !yes, known)
        };
        for x in of(left).skip(1) {
            best = best.min(behind(u32::MAX << x));
        }
        for x in of(left).filter(|&x| runs[x].is_single()) {
            best = best.min(behind(1 << x));
        }
        let loose = of(left).fold(0, |all, x| all | loose(&runs[x]));
        for mask in masks.iter().filter(|&mask| mask & loose == 0) {
            let yes = of(left).filter(|&x| runs[x].first & mask != 0).fold(0, |yes, x| yes | 1 << x);
            let divides = yes != 0 && yes != left;
            if divides && (one_class(yes) || one_class(left & !yes)) {
                best = best.min(behind(yes));
            }
        }
        best += of(left).map(|x| scale.weight(runs[x].weight)).sum::<u32>() + scale.price;
    }
    known.insert(left, best);
    best
}

/// The cost of a tree as it was built: every test is paid, and the weight of every run at each test on its way.
fn paid(code: &Code, tree: CodeId, runs: &[Run], scale: Scale) -> u32 {
    let mut cost = 0;
    for run in runs {
        let mut at = tree;
        while let Step::Test { op, k, yes, no, .. } = code.step(at) {
            cost += scale.weight(run.weight);
            assert_eq!(op.holds(run.first, k), op.holds(run.last, k), "a run is never cut");
            at = if op.holds(run.first, k) { yes } else { no };
        }
        assert_eq!(at, run.class);
    }
    cost
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn small_switches_are_decided_at_least_cost((mut code, runs) in small()) {
        let scale = Scale::of(&runs, EVERYWHERE);
        let mut found = search(&runs, &[], EVERYWHERE);
        let all = u32::MAX >> (32 - runs.len());
        prop_assert_eq!(found.cost(), exhaustive(&runs, scale, &[], all, &mut BTreeMap::new()));
        // Shared tests are paid once, so the tree may be cheaper than was counted.
        let tree = found.tree(&mut code, HELD);
        prop_assert!(paid(&code, tree, &runs, scale) <= found.cost());
        // More kinds of tests never cost more, fewer never less.
        let masks: Vec<u32> = (1..64).collect();
        let mut with_bits = search(&runs, &[], WITH_BITS);
        prop_assert_eq!(with_bits.cost(), exhaustive(&runs, scale, &masks, all, &mut BTreeMap::new()));
        let tree = with_bits.tree(&mut code, HELD);
        prop_assert!(paid(&code, tree, &runs, scale) <= with_bits.cost());
        let ranges = search(&runs, &[], Params { few: 0, ..EVERYWHERE });
        prop_assert!(with_bits.cost() <= found.cost() && found.cost() <= ranges.cost());
    }
}

#[test]
fn large_switches_never_cost_more_than_range_tests() {
    let mut code = Code::default();
    let classes = [Action::Allow, Action::Errno(1)].map(|action| code.ret(action));
    let mut state = 7_u32;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    for length in [20, 60, 120, 190] {
        let mut start = 0;
        let mut starts = Vec::new();
        for x in 0..length {
            starts.push((start, classes[x % 2]));
            start += 1 + if random(2) == 0 { 0 } else { random(9) };
        }
        let mut runs = runs(starts);
        for run in &mut runs {
            run.weight = TOTAL / 100_000 * u64::from(1 + random(500));
        }
        let ranges = search(&runs, &[], Params { few: 0, bit_runs: 0, heavy: 0, ..Params::default() });
        let mut found = search(&runs, &[], Params::default());
        assert!(found.cost() <= ranges.cost());
        let tree = found.tree(&mut code, HELD);
        let mut at_ends = Vec::from([0, u32::MAX]);
        at_ends.extend(runs.iter().flat_map(|run| [run.first, run.last]));
        for number in at_ends {
            let mut at = tree;
            while let Step::Test { op, k, yes, no, .. } = code.step(at) {
                at = if op.holds(number, k) { yes } else { no };
            }
            let run = runs.iter().find(|run| (run.first..=run.last).contains(&number)).unwrap();
            assert_eq!(at, run.class);
        }
    }
}

/// Runs of the numbers from 0 on, of different classes in turn.
fn turns(code: &mut Code, weights: &[u64]) -> Vec<Run> {
    let classes = [Action::Allow, Action::Errno(1), Action::Errno(38)].map(|action| code.ret(action));
    let mut runs = runs((0..).zip(classes.into_iter().cycle().take(weights.len())));
    for (run, weight) in runs.iter_mut().zip(weights) {
        run.weight = *weight;
    }
    runs
}

#[test]
fn costs_fit_and_are_as_fine_as_they_can_be() {
    let mut code = Code::default();
    let price = TOTAL / 1000 * 10;
    // Three times the weight, and twice the price and something, are just 2^45: 29 bits are left of 46.
    let weight = ((1 << 45) - 2 * (price + (1 << 20))).div_ceil(3);
    let scale = |weight| {
        let Scale { shift, price } = Scale::of(&turns(&mut Code::default(), &[weight]), EVERYWHERE);
        (shift, u64::from(price))
    };
    assert_eq!(scale(weight), (17, price >> 17));
    assert_eq!(scale(weight - 1), (16, price >> 16));
    // Four runs are two tests deep.
    let four = turns(&mut code, &[TOTAL; 4]);
    assert_eq!(Scale::of(&four, EVERYWHERE).weight(TOTAL), 1 << (40 - 16));
}

#[test]
fn states_are_counted() {
    let mut code = Code::default();
    let only_ranges = Params { few: 0, heavy: 0, bit_runs: 0, ..Params::DEFAULT };
    for many in 1..20 {
        let runs = turns(&mut code, &alloc::vec![TOTAL / 20; many]);
        assert_eq!(search(&runs, &[], only_ranges).states(), many * (many + 1) / 2);
    }
    // A number that is heavy enough has a layer of its own, for what is left without it.
    let light = TOTAL / 50 - 1;
    for (weight, states) in [(light, 15), (light + 1, 15 + 10)] {
        let runs = turns(&mut code, &[light, light, weight, light, light]);
        assert_eq!(search(&runs, &[], Params { heavy: 1, ..only_ranges }).states(), states);
    }
    // Sets are states as well.
    let runs = turns(&mut code, &[TOTAL / 20; 9]);
    assert!(search(&runs, &[], WITH_BITS).states() > 45);
}

/// Of equal costs the test of a range counts, which is the first.
#[test]
fn a_heavy_number_is_asked_first_only_if_that_is_cheaper() {
    let mut code = Code::default();
    for (weight, op) in [(TOTAL / 4, Op::Ge), (TOTAL / 2, Op::Eq)] {
        let runs = turns(&mut code, &[TOTAL / 4, weight, TOTAL / 4]);
        let params = Params { few: 0, heavy: 1, bit_runs: 0, ..Params::DEFAULT };
        let tree = search(&runs, &[], params).tree(&mut code, HELD);
        assert!(matches!(code.step(tree), Step::Test { op: first, .. } if first == op), "{weight}");
    }
}
