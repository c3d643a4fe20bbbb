//! Explanations against `decide()`.

use super::{Admission, Explainer, Explanation, Fate, Holds, Judge, JudgeError, boundary_calls};
use crate::arch::Arch;
use crate::bpf::{Action, SyscallData};
use crate::policy::{Semantics, Target};
use crate::profile::{ActionSpec, Profile, arg};
use alloc::vec::Vec;

const X86_64: u32 = 0xc000_003e;

/// Explains one call and checks what must be so for every single call.
#[track_caller]
fn explained(explainer: &Explainer<'_>, call: &SyscallData) -> Explanation {
    let bounds = call.args.map(|arg| arg..=arg);
    let explanation = explainer.explain(call.arch, call.nr, &bounds).unwrap();
    let action = explainer.policy().decide(call);
    assert_eq!(explanation.action(), Some(action), "{call:x?}");
    let deciding: Vec<_> = explanation.rules.iter().filter(|rule| rule.fate == Fate::Decides).collect();
    // One answer has one reason, or several that agree.
    assert_eq!(explanation.by_default, deciding.is_empty(), "{call:x?} {explanation:?}");
    assert!(deciding.iter().all(|rule| rule.action == ActionSpec::Action(action)), "{call:x?}");
    if explanation.by_default {
        assert_eq!(explanation.default, action, "{call:x?}");
    }
    for rule in &explanation.rules {
        let all = rule.conditions.iter().all(|condition| condition.holds == Holds::Always);
        match rule.fate {
            Fate::Decides | Fate::Overruled(_) => assert!(all, "{call:x?} {rule:?}"),
            Fate::Fails => assert!(rule.conditions.iter().any(|condition| condition.holds == Holds::Never), "{rule:?}"),
            _ => {}
        }
    }
    explanation
}

fn call(nr: u32, args: [u64; 6]) -> SyscallData {
    SyscallData { nr, arch: X86_64, args, ..SyscallData::default() }
}

#[test]
fn the_container_default_is_explained() {
    let profile = Profile::container_default().unwrap();
    let target = Target::exactly(&[Arch::X86_64, Arch::X86]);
    let explainer = Explainer::new(&profile, &target).unwrap();
    let calls = boundary_calls(explainer.policy());
    let mut by_rules = 0;
    for call in calls.iter().step_by(calls.len() / 150) {
        by_rules += usize::from(!explained(&explainer, call).by_default);
    }
    assert!(by_rules > 20, "{by_rules}");
    let admission = |token, nr| explainer.explain(token, nr, &[]).unwrap().admission;
    assert_eq!(admission(X86_64, 1), Admission::Listed);
    assert_eq!(admission(X86_64, Arch::X32_BIT), Admission::UnlistedX32);
    assert_eq!(admission(Arch::S390x.audit(), 1), Admission::UnlistedArch);
}

#[test]
fn narrower_and_more_restrictive_rules_are_named() {
    let profile = Profile::new(Action::Errno(1))
        .rule(Action::Errno(38), "socket", [arg::<0>().eq(5)])
        .rule(Action::Allow, "socket", [arg::<0>().eq(5), arg::<1>().eq(7)])
        .rule(Action::Log, "socket", [arg::<2>().gt(0)]);
    let target = Target::exactly(&[Arch::X86_64]).semantics(Semantics::Oci);
    let explainer = Explainer::new(&profile, &target).unwrap();
    let fates = |args| {
        let mut fates: Vec<_> = explained(&explainer, &call(41, args)).rules;
        fates.sort_by_key(|rule| rule.entry);
        fates.into_iter().map(|rule| rule.fate).collect::<Vec<_>>()
    };
    let overruled = |path: &str| Fate::Overruled(alloc::vec![path.into()]);
    assert_eq!(fates([5, 8, 0, 0, 0, 0]), [Fate::Decides, Fate::Fails, Fate::Fails]);
    assert_eq!(fates([5, 7, 0, 0, 0, 0]), [overruled("rule 2"), Fate::Decides, Fate::Fails]);
    assert_eq!(fates([5, 8, 1, 0, 0, 0]), [Fate::Decides, Fate::Fails, overruled("rule 1")]);
    // In all three the narrower ALLOW takes the ERRNO out, and LOG is below ALLOW.
    assert_eq!(fates([5, 7, 1, 0, 0, 0]), [overruled("rule 2"), overruled("rule 3"), Fate::Decides]);
    assert_eq!(fates([0; 6]), [Fate::Fails, Fate::Fails, Fate::Fails]);
}

#[test]
fn bounds_are_exact() {
    let profile = Profile::new(Action::Errno(1)).allow_if("socket", [arg::<0>().ge(3), arg::<0>().le(9)]);
    let explainer = Explainer::new(&profile, &Target::exactly(&[Arch::X86_64])).unwrap();
    let explain = |bounds| explainer.explain(X86_64, 41, &[bounds]).unwrap();
    let holds = |explanation: &Explanation| {
        let conditions = explanation.rules[0].conditions.iter();
        conditions.map(|condition| condition.holds).collect::<Vec<_>>()
    };
    let inside = explain(3..=9);
    assert_eq!((inside.action(), inside.by_default), (Some(Action::Allow), false));
    assert_eq!(holds(&inside), [Holds::Always, Holds::Always]);
    let across = explain(5..=12);
    assert_eq!((across.action(), across.by_default, across.is_denied()), (None, true, false));
    let mut found = holds(&across);
    found.sort_by_key(|holds| *holds as u8);
    assert_eq!(found, [Holds::Always, Holds::Sometimes]);
    assert!(across.gives("ALLOW") && across.gives("ERRNO") && !across.gives("KILL_THREAD"));
    let outside = explain(10..=0xffff_ffff);
    assert_eq!((outside.action(), outside.rules[0].fate.clone()), (Some(Action::Errno(1)), Fate::Fails));
}

#[test]
fn rules_without_effect_say_why() {
    let profile = Profile::from_json(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            { "names": ["getpid"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["getpid"], "action": "SCMP_ACT_KILL_PROCESS", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}] },
            { "names": ["getpid"], "action": "SCMP_ACT_ERRNO" },
            { "names": ["getpid"], "action": "SCMP_ACT_LOG", "includes": {"caps": ["CAP_BPF"], "minKernel": "99.1"},
              "comment": "not here" }
        ] }"#,
        crate::profile::Format::Docker,
    );
    let profile = profile.unwrap();
    let explainer = Explainer::new(&profile, &Target::exactly(&[Arch::X86_64])).unwrap();
    let rules = explained(&explainer, &call(39, [1; 6])).rules;
    assert_eq!(rules[0].fate, Fate::Decides);
    assert!(matches!(rules[1].fate, Fate::NoEffect(why) if why.contains("no conditions")));
    assert!(matches!(rules[2].fate, Fate::NoEffect(why) if why.contains("default action")));
    assert_eq!(rules[3].fate, Fate::NotHere(alloc::vec!["needs CAP_BPF".into(), "needs Linux 99.1".into()]));
    assert_eq!(rules[3].comment.as_deref(), Some("not here"));
}

#[test]
fn a_budget_gives_an_error() {
    let profile = Profile::container_default().unwrap();
    let explainer = Explainer::new(&profile, &Target::exactly(&[Arch::X86_64])).unwrap();
    let explainer = explainer.judge(Judge::new().max_nodes(100));
    assert_eq!(explainer.explain(X86_64, 41, &[]).unwrap_err(), JudgeError::TooLarge { max_nodes: 100 });
}

/// A call that two entries name by number, others by name, and some not at all.
#[test]
fn only_entries_that_name_the_call() {
    let profile = Profile::from_json(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            { "names": ["write"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.1"} },
            { "names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.1"} },
            { "names": ["write"], "action": "SCMP_ACT_ERRNO" }
        ] }"#,
        crate::profile::Format::Docker,
    );
    let profile =
        profile.unwrap().rule(Action::Errno(1), (Arch::X86_64, 0), []).rule(Action::Errno(1), (Arch::X86_64, 1), []);
    let explainer = Explainer::new(&profile, &Target::exactly(&[Arch::X86_64])).unwrap();
    let entries = |nr| {
        let rules = explained(&explainer, &call(nr, [0; 6])).rules;
        rules.into_iter().map(|rule| rule.entry).collect::<Vec<_>>()
    };
    assert_eq!([entries(0), entries(1), entries(2)], [alloc::vec![1, 3], alloc::vec![0, 2, 4], alloc::vec![]]);
}

#[test]
fn rules_that_would_allow_are_in_the_order_of_what_they_lack() {
    let profile = Profile::from_json(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"], "minKernel": "99.1"} },
            { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]} },
            { "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}] },
            { "names": ["socket"], "action": "SCMP_ACT_LOG", "args": [
                {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}] },
            { "names": ["socket"], "action": "SCMP_ACT_TRAP", "args": [{"index": 2, "value": 9, "op": "SCMP_CMP_EQ"}] }
        ] }"#,
        crate::profile::Format::Docker,
    );
    let profile = profile.unwrap();
    let explainer = Explainer::new(&profile, &Target::exactly(&[Arch::X86_64])).unwrap();
    let entries = |rules: Vec<&super::ExplainedRule>| rules.iter().map(|rule| rule.entry).collect::<Vec<_>>();
    let explain = |args| explained(&explainer, &call(41, args));
    let none = explain([7, 8, 0, 0, 0, 0]);
    assert_eq!(entries(none.allowing()), [2, 3, 1, 0]);
    assert_eq!((entries(none.nearest()), none.is_denied()), (entries(none.allowing()), true));
    assert_eq!((entries(none.deciding("ALLOW")), entries(none.deciding("TRAP"))), (alloc::vec![], alloc::vec![]));
    let nearer = explain([2, 8, 0, 0, 0, 0]);
    assert_eq!(entries(nearer.allowing()), [3, 2, 1, 0]);
    let logged = explain([2, 1, 0, 0, 0, 0]);
    assert_eq!(
        (entries(logged.allowing()), entries(logged.nearest())),
        (alloc::vec![3, 2, 1, 0], alloc::vec![2, 1, 0])
    );
    assert_eq!((logged.is_denied(), logged.gives("LOG")), (false, true));
    assert_eq!((entries(logged.deciding("LOG")), entries(logged.deciding("ALLOW"))), (alloc::vec![3], alloc::vec![]));
    let trapped = explain([2, 8, 9, 0, 0, 0]);
    assert_eq!((entries(trapped.deciding("TRAP")), trapped.is_denied()), (alloc::vec![4], true));
    // Some of the calls are allowed.
    let bounds = explainer.explain(X86_64, 41, &[2..=2, 0..=u64::MAX, 0..=0]).unwrap();
    assert!(!bounds.is_denied() && bounds.by_default);
}
