//! Differences: they are real, complete, and the same from both sides.

use super::policy::{orderly_policy, random_policy};
use super::programs::MAX_NODES;
use crate::check::{self, Diff, Direction, Judge, JudgeError, Subject};
use crate::policy::Policy;
use alloc::vec::Vec;
use arbitrary::{Result, Unstructured};

/// Bytes as a policy and what became of it, or another one: what the judge says of the difference holds for the calls at
/// the borders of both.
pub fn diff_policies(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let Ok(old) = random_policy(&mut u) else { return };
    let Ok(new) = changed(&mut u, &old) else { return };
    if old.endian() != new.endian() {
        return;
    }
    let judge = Judge::new().max_nodes(MAX_NODES);
    match laws(judge, [&old, &new]) {
        Ok(()) | Err(JudgeError::TooLarge { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// A few calls of another policy in place of the own ones, or another policy.
fn changed(u: &mut Unstructured<'_>, old: &Policy) -> Result<Policy> {
    let other = orderly_policy(u)?;
    if u.ratio(1, 8)? {
        return Ok(other);
    }
    let mut new = old.clone();
    let theirs: Vec<_> = other.sections.into_iter().flat_map(|section| section.calls).collect();
    for (number, rules) in theirs.into_iter().take(u.int_in_range(0..=3)?) {
        let count = new.sections.len();
        if let Some(section) = new.sections.get_mut(u.choose_index(count)?) {
            // A number that has rules already, or a new one.
            let known = section.calls.keys().next().copied().filter(|_| number % 2 == 0);
            section.calls.insert(known.unwrap_or(number), rules);
        }
    }
    Ok(new)
}

fn laws(judge: Judge, policies: [&Policy; 2]) -> core::result::Result<(), JudgeError> {
    let [old, new] = &policies.map(Subject::policy);
    assert!(judge.diff(old, old)?.is_empty());
    let (there, back) = (judge.diff(old, new)?, judge.diff(new, old)?);
    let witness = judge.witness(old, new)?;
    assert_eq!(there.is_empty(), witness.is_none());
    assert_eq!(there.groups().len(), back.groups().len());
    assert_eq!(there.has(Direction::Looser), back.has(Direction::Stricter));
    assert_eq!(there.has(Direction::Other), back.has(Direction::Other));
    for group in there.groups() {
        let (token, nr) = group.calls().first();
        for change in group.changes() {
            let example = change.example(token, nr);
            assert!(change.conditions().iter().all(|condition| condition.holds(&example)));
            assert_eq!([old, new].map(|subject| subject.raw_answer(&example)), change.raw(), "{example:x?}");
            assert!(change.conditions().iter().all(|condition| !condition.values().is_all()));
        }
    }
    complete(&there, policies);
    Ok(())
}

/// A call that both answer otherwise is in the difference, and no other is.
fn complete(diff: &Diff, policies: [&Policy; 2]) {
    for call in policies.into_iter().flat_map(check::boundary_calls) {
        let raw = policies.map(|policy| policy.decide(&call).to_raw());
        let groups = diff.groups().iter().filter(|group| group.calls().contains(call.arch, call.nr));
        let changes = groups.flat_map(check::ChangedCalls::changes);
        let found: Vec<_> =
            changes.filter(|change| change.conditions().iter().all(|condition| condition.holds(&call))).collect();
        match found.as_slice() {
            [] => assert_eq!(raw[0], raw[1], "{call:x?}"),
            [change] => assert_eq!(change.raw(), raw, "{call:x?}"),
            many => panic!("{} changes hold {call:x?}", many.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

        #[test]
        fn differences_hold(bytes in prop::collection::vec(any::<u8>(), 1500)) {
            diff_policies(&bytes);
        }
    }
}
