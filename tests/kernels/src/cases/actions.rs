//! Every action, by rule and by default, alone and stacked.

use super::Abi;
use crate::case::{Call, Case};
use crate::run::Failure;
use callsieve::bpf::Action;
use callsieve::{Policy, Profile, Target, arg};

/// Every action, with data at its edges.
const ACTIONS: [Action; 16] = [
    Action::Allow,
    Action::Log,
    Action::Trace(0),
    Action::Trace(7),
    Action::Trace(0xffff),
    Action::Notify,
    Action::Errno(0),
    Action::Errno(1),
    Action::Errno(38),
    Action::Errno(4095),
    Action::Trap(0),
    Action::Trap(99),
    Action::Trap(0x7fff),
    Action::Trap(0xffff),
    Action::KillThread,
    Action::KillProcess,
];

pub fn cases(abi: Abi) -> Result<Vec<Case>, Failure> {
    let mut cases = vec![by_rule(abi)?, by_argument(abi)?];
    for action in ACTIONS {
        cases.push(by_default(abi, action)?);
    }
    cases.extend(pairs(abi)?);
    cases.push(newest_wins(abi)?);
    cases.push(three_deep(abi)?);
    Ok(cases)
}

fn resolve(abi: Abi, profile: &Profile) -> Result<Policy, Failure> {
    Ok(profile.resolve(&Target::exactly(&[abi.arch]))?)
}

/// A call for each action, by number only.
fn by_rule(abi: Abi) -> Result<Case, Failure> {
    let base = abi.arch.number_base();
    let mut profile = Profile::new(Action::Errno(77));
    let mut calls = Vec::new();
    for (nr, action) in (base + 600..).zip(ACTIONS) {
        profile = profile.rule(action, (abi.arch, nr), []);
        calls.push(abi.call(nr, [0; 6]));
        calls.push(abi.call(nr, [u64::MAX; 6]));
    }
    for (nr, action) in abi.harmless().into_iter().zip(ACTIONS) {
        profile = profile.rule(action, (abi.arch, nr), []);
        calls.push(abi.call(nr, [nr.into(), 1, 2, 3, 4, 5]));
    }
    Case::new("actions by number", resolve(abi, &profile)?, calls)
}

/// All actions for the same calls, which one by an argument.
fn by_argument(abi: Abi) -> Result<Case, Failure> {
    let mut profile = Profile::new(Action::Errno(77));
    let mut calls = Vec::new();
    let [one, two, ..] = abi.harmless();
    for (value, action) in (0x7fff_fff8..).zip(ACTIONS) {
        profile = profile.rule(action, (abi.arch, one), [arg::<3>().eq(value)]);
        profile = profile.rule(action, (abi.arch, two), [arg::<5>().as_u32().eq(value)]);
        calls.push(abi.call(one, [0, 0, 0, value, 0, 0]));
        calls.push(abi.call(one, [0, 0, 0, value | 1 << 32, 0, 0]));
        calls.push(abi.call(two, [0, 0, 0, 0, 0, value]));
        calls.push(abi.call(two, [0, 0, 0, 0, 0, value | 1 << 63]));
    }
    Case::new("actions by argument", resolve(abi, &profile)?, calls)
}

/// Everything gets the action, but for a call.
fn by_default(abi: Abi, action: Action) -> Result<Case, Failure> {
    let [one, two, three, ..] = abi.harmless();
    let other = if action == Action::Allow { Action::Errno(5) } else { Action::Allow };
    let profile = Profile::new(action).rule(other, (abi.arch, one), []);
    let profile = profile.rule(other, (abi.arch, two), [arg::<0>().gt(9)]);
    let beyond = abi.arch.number_base() + 700;
    let calls = vec![
        abi.call(one, [0; 6]),
        abi.call(two, [9, 0, 0, 0, 0, 0]),
        abi.call(two, [10, 0, 0, 0, 0, 0]),
        abi.call(three, [0; 6]),
        abi.call(beyond, [0; 6]),
    ];
    Case::new(format!("{action} by default"), resolve(abi, &profile)?, calls)
}

/// A call that a filter lets through so that the next one can be installed, all of which the guest needs.
fn installable(abi: Abi, profile: Profile) -> Profile {
    profile.allow((abi.arch, abi.number("seccomp")))
}

/// Two filters with every pair of actions of different kinds: the more restrictive one wins, whichever is older.
fn pairs(abi: Abi) -> Result<Vec<Case>, Failure> {
    // Of each kind one; the pair is told by the number.
    let kinds: Vec<Action> = ACTIONS
        .into_iter()
        .filter(|action| action.data().is_none_or(|data| data == 7 || data == 99 || data == 1))
        .collect();
    let first = abi.arch.number_base() + 600;
    let (mut older, mut newer) = (Profile::new(Action::Allow), Profile::new(Action::Allow));
    let mut calls: Vec<Call> = Vec::new();
    let pairs = kinds.iter().flat_map(|a| kinds.iter().map(move |b| (*a, *b)));
    for (nr, (a, b)) in (first..).zip(pairs) {
        older = older.rule(a, (abi.arch, nr), []);
        newer = newer.rule(b, (abi.arch, nr), []);
        calls.push(abi.call(nr, [0; 6]));
    }
    let policies = vec![resolve(abi, &older)?, resolve(abi, &newer)?];
    Ok(vec![Case::stacked("pairs of actions", policies, calls)?])
}

/// Two filters with the same kind of action and other data.
fn newest_wins(abi: Abi) -> Result<Case, Failure> {
    let first = abi.arch.number_base() + 600;
    let (mut older, mut newer) = (Profile::new(Action::Errno(3)), Profile::new(Action::Errno(2)));
    let mut calls = Vec::new();
    for (nr, data) in (first..).zip([1, 40, 4095]) {
        older = older.rule(Action::Errno(data), (abi.arch, nr), []);
        newer = newer.rule(Action::Errno(data / 2 + 10), (abi.arch, nr), []);
        older = older.rule(Action::Trap(data), (abi.arch, nr + 10), []);
        newer = newer.rule(Action::Trap(data / 2 + 10), (abi.arch, nr + 10), []);
        older = older.rule(Action::Trace(data), (abi.arch, nr + 20), []);
        newer = newer.rule(Action::Trace(data / 2 + 10), (abi.arch, nr + 20), []);
        calls.extend([nr, nr + 10, nr + 20, nr + 30].map(|nr| abi.call(nr, [0; 6])));
    }
    let (older, newer) = (installable(abi, older), installable(abi, newer));
    Case::stacked("the newest data", vec![resolve(abi, &older)?, resolve(abi, &newer)?], calls)
}

/// Three filters with conditions on other arguments.
fn three_deep(abi: Abi) -> Result<Case, Failure> {
    let [one, two, three, ..] = abi.harmless();
    let profiles = [
        Profile::new(Action::Allow).rule(Action::Errno(11), (abi.arch, one), [arg::<0>().lt(100)]),
        installable(abi, Profile::new(Action::Log).allow([(abi.arch, one), (abi.arch, two)])),
        Profile::new(Action::Allow).rule(Action::Errno(12), (abi.arch, one), [arg::<1>().ge(100)]).rule(
            Action::KillThread,
            (abi.arch, two),
            [arg::<2>().masked_eq(0xf0, 0x50)],
        ),
    ];
    let mut calls = Vec::new();
    for nr in [one, two, three] {
        for a in [99, 100] {
            for b in [99, 100, 1 << 32] {
                calls.extend([0x15, 0x55].map(|c| abi.call(nr, [a, b, c, 0, 0, 0])));
            }
        }
    }
    let policies = profiles.iter().map(|profile| resolve(abi, profile)).collect::<Result<_, _>>()?;
    Case::stacked("three filters", policies, calls)
}
