//! Calls with which a program is measured.

use crate::policy::{Condition, Rule, Test};
use alloc::vec::Vec;

/// Most argument vectors for one call.
const MOST: usize = 512;

/// Argument values at which the rules of a call may change their mind: 0, all ones, every constant and its neighbours,
/// the constant with bit 32 or 63 set, masks and their complements; all combinations of them for the arguments that
/// have conditions, or, where these are too many, one argument at a time around each rule.
pub(super) fn vectors(rules: &[Rule]) -> Vec<[u64; 6]> {
    let values: [Vec<u64>; 6] = core::array::from_fn(|arg| candidates(rules, arg));
    let product = values.iter().fold(1_usize, |product, values| product.saturating_mul(values.len().max(1)));
    let mut vectors = if product <= MOST { all(&values) } else { around(rules, &values) };
    vectors.sort_unstable();
    vectors.dedup();
    vectors
}

fn candidates(rules: &[Rule], arg: usize) -> Vec<u64> {
    let conditions = rules.iter().flat_map(|rule| &rule.conditions);
    let mut values = Vec::new();
    for condition in conditions.filter(|condition| usize::from(condition.arg) == arg) {
        let value = constant(condition);
        values.extend([0, u64::MAX, value, value.wrapping_sub(1), value.wrapping_add(1)]);
        values.extend([value | 1 << 32, value | 1 << 63]);
        if let Test::MaskedEq { mask, .. } = condition.test {
            values.extend([mask, !mask]);
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

fn constant(condition: &Condition) -> u64 {
    match condition.test {
        Test::Eq(v) | Test::Ne(v) | Test::Lt(v) | Test::Le(v) | Test::Gt(v) | Test::Ge(v) => v,
        Test::MaskedEq { value, .. } => value,
    }
}

fn all(values: &[Vec<u64>; 6]) -> Vec<[u64; 6]> {
    let mut vectors = Vec::from([[0; 6]]);
    for (arg, values) in values.iter().enumerate().filter(|(_, values)| !values.is_empty()) {
        let with = |vector: &[u64; 6]| values.iter().map(|&value| set(*vector, arg, value)).collect::<Vec<_>>();
        vectors = vectors.iter().flat_map(with).collect();
    }
    vectors
}

/// Vectors near one that satisfies the equalities of a rule.
fn around(rules: &[Rule], values: &[Vec<u64>; 6]) -> Vec<[u64; 6]> {
    let mut vectors = Vec::new();
    for rule in rules {
        let base =
            rule.conditions.iter().fold([0; 6], |base, condition| set(base, condition.arg.into(), constant(condition)));
        vectors.push(base);
        for condition in &rule.conditions {
            let arg = usize::from(condition.arg);
            let near = candidates(core::slice::from_ref(rule), arg);
            vectors.extend(near.iter().map(|&value| set(base, arg, value)));
        }
        if vectors.len() > 8 * MOST {
            break;
        }
    }
    // Values of other rules as well, for the first one.
    if let Some(&base) = vectors.first() {
        for (arg, values) in values.iter().enumerate() {
            vectors.extend(values.iter().take(MOST).map(|&value| set(base, arg, value)));
        }
    }
    vectors
}

fn set(mut vector: [u64; 6], arg: usize, value: u64) -> [u64; 6] {
    if let Some(place) = vector.get_mut(arg) {
        *place = value;
    }
    vector
}
