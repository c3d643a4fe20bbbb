//! Exactly what is different between two subjects.
//!
//! Both become functions in one diagram, and these are put together: where they agree the leaf is 0, elsewhere it
//! stands for the pair of answers. Cutting that function at the borders of words gives the regions.

use super::bdd::{Exhausted, Operation, Ref};
use super::calls::CallSet;
use super::judge::{Engine, Judge, JudgeError};
use super::regions::{Case, Condition, Cutter, example};
use super::subject::{Subject, rank};
use crate::bpf::{Action, SyscallData};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// All differences between two subjects, of what the first answers to what the second answers.
///
/// See the example of [`diff`](diff()).
#[derive(Clone, Debug)]
pub struct Diff {
    groups: Vec<ChangedCalls>,
}

/// Calls that differ alike.
///
/// See the example of [`diff`](diff()).
#[derive(Clone, Debug)]
pub struct ChangedCalls {
    calls: CallSet,
    changes: Arc<[Change]>,
}

/// Arguments for which both answers differ.
///
/// See the example of [`diff`](diff()).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    conditions: Vec<Condition>,
    raw: [u32; 2],
}

/// What becomes of an answer, by the kernel's order of actions.
///
/// See the example of [`diff`](diff()).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Direction {
    /// The second is less restrictive.
    Looser,
    /// The second is more restrictive.
    Stricter,
    /// The action is the same with other data, such as another error number.
    Other,
}

/// The differences of two subjects with the default budgets, as [`Judge::diff`].
///
/// ```
/// use callsieve::arch::Arch;
/// use callsieve::bpf::Action;
/// use callsieve::check::{Direction, Subject, diff};
/// use callsieve::policy::Target;
/// use callsieve::{Profile, arg};
///
/// let target = Target::exactly(&[Arch::X86_64]);
/// let old = Profile::new(Action::Errno(1)).allow_if("socket", [arg::<0>().ne(40)]).resolve(&target)?;
/// let new = Profile::new(Action::Errno(1)).allow("socket").resolve(&target)?;
/// let (old, new) = (Subject::policy(&old), Subject::policy(&new));
/// assert!(diff(&old, &old)?.is_empty());
///
/// let diff = diff(&old, &new)?;
/// let [group] = diff.groups() else { unreachable!() };
/// assert_eq!(group.calls().named(Arch::X86_64).collect::<Vec<_>>(), [(41, "socket")]);
/// let [change] = group.changes() else { unreachable!() };
/// assert_eq!(change.direction(), Direction::Looser);
/// assert_eq!(change.conditions()[0].to_string(), "arg0 as u32 == 40");
/// // A call that shows it: both have been run on it.
/// let example = change.example(Arch::X86_64.audit(), 41);
/// assert_eq!([old.answer(&example), new.answer(&example)], change.actions());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn diff(old: &Subject<'_>, new: &Subject<'_>) -> Result<Diff, JudgeError> {
    Judge::new().diff(old, new)
}

impl Judge {
    /// All differences, of what the first answers to what the second answers. An example of each is confirmed by running
    /// both.
    pub fn diff(&self, old: &Subject<'_>, new: &Subject<'_>) -> Result<Diff, JudgeError> {
        let mut engine = Engine::new(*self);
        let (function, pairs) = paired(&mut engine, old, new).map_err(|Exhausted| self.too_large())?;
        let mut cutter = Cutter::new(&engine.bdd, *self);
        let mut groups = Vec::new();
        for (tokens, numbers, behaviour) in cutter.groups(function)? {
            let cases = cutter.cases(behaviour)?;
            let changes: Arc<[Change]> = cases.iter().filter_map(|case| change(case, &pairs)).collect();
            if !changes.is_empty() {
                groups.push(ChangedCalls { calls: CallSet::new(tokens, numbers), changes });
            }
        }
        let diff = Diff { groups };
        diff.confirm(*self, [old, new])?;
        Ok(diff)
    }
}

const PAIRED: Operation = Operation::new(2);

/// The function whose leaves tell which pair of answers it is, and the pairs, counted from 1.
fn paired(
    engine: &mut Engine,
    old: &Subject<'_>,
    new: &Subject<'_>,
) -> Result<(Ref, BTreeMap<u32, [u32; 2]>), Exhausted> {
    let [old, new] = engine.both(old, new)?;
    let mut numbers: BTreeMap<[u32; 2], u32> = BTreeMap::new();
    let function = engine.bdd.combine(PAIRED, old, new, &mut |old, new| {
        if old == new {
            return 0;
        }
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX).saturating_add(1);
        *numbers.entry([old, new]).or_insert(next)
    })?;
    Ok((function, numbers.into_iter().map(|(pair, number)| (number, pair)).collect()))
}

fn change((conditions, number): &Case, pairs: &BTreeMap<u32, [u32; 2]>) -> Option<Change> {
    pairs.get(number).map(|&raw| Change { conditions: conditions.clone(), raw })
}

impl Diff {
    /// Whether both are equal.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The calls that differ, in groups that differ alike. Groups are disjoint.
    pub fn groups(&self) -> &[ChangedCalls] {
        &self.groups
    }

    /// Whether anything changes in this direction.
    pub fn has(&self, direction: Direction) -> bool {
        self.groups.iter().flat_map(|group| &*group.changes).any(|change| change.direction() == direction)
    }

    fn confirm(&self, judge: Judge, subjects: [&Subject<'_>; 2]) -> Result<(), JudgeError> {
        for group in &self.groups {
            let (token, nr) = group.calls.first();
            for change in &*group.changes {
                let example = change.example(token, nr);
                let raw = subjects.map(|subject| judge.counted(subject.raw_answer(&example)));
                if raw != change.raw {
                    return Err(JudgeError::Unconfirmed(Box::new(example)));
                }
            }
        }
        Ok(())
    }
}

impl ChangedCalls {
    /// The calls.
    pub fn calls(&self) -> &CallSet {
        &self.calls
    }

    /// The regions of their arguments that differ. They are disjoint; elsewhere both answer alike.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
}

impl Change {
    /// What must hold, at most one condition a word; empty if all arguments are concerned.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// The old and the new value, or with [`Equality::Kernel`](super::Equality::Kernel) those that stand for them.
    pub fn raw(&self) -> [u32; 2] {
        self.raw
    }

    /// How the kernel acts on both.
    pub fn actions(&self) -> [Action; 2] {
        self.raw.map(Action::as_kernel)
    }

    /// Whether the second is less or more restrictive.
    pub fn direction(&self) -> Direction {
        let [old, new] = self.actions().map(|action| rank(action.to_raw()));
        match new.cmp(&old) {
            core::cmp::Ordering::Greater => Direction::Looser,
            core::cmp::Ordering::Less => Direction::Stricter,
            core::cmp::Ordering::Equal => Direction::Other,
        }
    }

    /// A call with the smallest words that shows it, for a token and number of the group.
    pub fn example(&self, token: u32, nr: u32) -> SyscallData {
        example(&self.conditions, token, nr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::policy::Target;
    use crate::profile::Profile;

    #[test]
    fn directions_and_confirmation() {
        let policy = |default, calls: &[&str]| {
            let profile = Profile::new(default).allow(calls.to_vec());
            profile.resolve(&Target::exactly(&[Arch::X86_64])).unwrap()
        };
        let directions = [Direction::Looser, Direction::Stricter, Direction::Other];
        let (old, more, other) = (
            policy(Action::Errno(1), &["read"]),
            policy(Action::Errno(1), &["read", "write"]),
            policy(Action::Errno(2), &["read"]),
        );
        let [old, more, other] = [&old, &more, &other].map(Subject::policy);
        let between = |one, two| diff(one, two).unwrap();
        let has = |one, two| directions.map(|direction| between(one, two).has(direction));
        assert_eq!(has(&old, &old), [false; 3]);
        assert_eq!(has(&old, &more), [true, false, false]);
        assert_eq!(has(&more, &old), [false, true, false]);
        assert_eq!(has(&old, &other), [false, false, true]);
        // A difference that running both does not show is an error.
        let found = between(&old, &more);
        assert_eq!(found.confirm(Judge::new(), [&old, &more]), Ok(()));
        let error = found.confirm(Judge::new(), [&old, &old]).unwrap_err();
        assert!(matches!(error, JudgeError::Unconfirmed(call) if call.nr == 1));
    }
}
