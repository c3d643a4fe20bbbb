//! What is put together answers as its parts do.

use super::rules::Side;
use super::{Operation, is_shared};
use crate::arch::{Arch, KernelVersion};
use crate::bpf::{Action, SyscallData};
use crate::check::boundary_calls;
use crate::fuzzing::orderly_policy;
use crate::policy::{Condition, MergeError, Policy, Rule, Source, Target, Test, Unlisted, UnlistedX32, Width};
use crate::profile::{Flag, Profile, arg};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use arbitrary::Unstructured;
use proptest::prelude::*;

fn policy(arches: &[Arch], profile: &Profile) -> Policy {
    profile.resolve(&Target::exactly(arches)).unwrap()
}

/// Both operations against the answers of the parts, at the borders of all of them.
fn agrees(parts: &[&Policy]) {
    let union = Policy::union(parts.iter().copied()).unwrap();
    let intersection = Policy::intersection(parts.iter().copied()).unwrap();
    for call in parts.iter().chain([&&union, &&intersection]).flat_map(|policy| boundary_calls(policy)) {
        let answers = || parts.iter().map(|policy| policy.decide(&call));
        assert_eq!(union.decide(&call), answers().max().unwrap(), "{call:x?}\n{union}");
        assert_eq!(intersection.decide(&call), answers().min().unwrap(), "{call:x?}\n{intersection}");
    }
}

#[test]
fn conditions_of_both_count() {
    let arches = [Arch::X86_64];
    let one = Profile::new(Action::Errno(1))
        .allow_if("ioctl", [arg::<1>().eq(5)])
        .allow_if("ioctl", [arg::<1>().eq(7), arg::<2>().ne(0)])
        .rule(Action::KillProcess, "socket", [arg::<0>().eq(38)])
        .allow("read");
    let two = Profile::new(Action::Errno(38))
        .allow_if("ioctl", [arg::<1>().ge(6)])
        .rule(Action::Log, "socket", [])
        .rule(Action::Trap(0), "read", [arg::<0>().lt(3)]);
    let deny = Profile::new(Action::Allow)
        .rule(Action::Errno(1), "ioctl", [arg::<1>().eq(7)])
        .rule(Action::KillThread, "ioctl", [arg::<1>().eq(7), arg::<0>().eq(0)])
        .rule(Action::Errno(2), "socket", [arg::<2>().gt(9)]);
    let [one, two, deny] = [one, two, deny].map(|profile| policy(&arches, &profile));
    agrees(&[&one, &two]);
    agrees(&[&one, &deny]);
    agrees(&[&two, &deny, &one]);
    // Allow lists are simply joined.
    let union = Policy::union([&one, &two]).unwrap();
    assert_eq!(union.sections[0].calls[&16].len(), 3, "{union}");
    assert_eq!(union.sections[0].calls[&16][0].source.path, "profile 1: rule 1");
}

#[test]
fn architectures_are_united_and_intersected() {
    let profile = || Profile::new(Action::Errno(1)).allow(["read", "write"]);
    let both = policy(&[Arch::X86_64, Arch::X86], &profile());
    let one = policy(&[Arch::X86_64], &profile().allow("getpid"));
    let union = Policy::union([&one, &both]).unwrap();
    assert!(union.arches().eq([Arch::X86_64, Arch::X86]));
    let intersection = Policy::intersection([&both, &one]).unwrap();
    assert!(intersection.arches().eq([Arch::X86_64]), "{intersection}");
    agrees(&[&one, &both]);

    // A part that only logs foreign calls leaves something to say about them.
    let lenient = profile().resolve(&Target::exactly(&[Arch::X86_64]).bad_arch(Action::Log)).unwrap();
    let intersection = Policy::intersection([&both, &lenient]).unwrap();
    assert!(intersection.arches().eq([Arch::X86_64, Arch::X86]), "{intersection}");
    agrees(&[&lenient, &both]);

    let foreign = policy(&[Arch::Aarch64], &profile());
    let nothing = Policy::intersection([&foreign, &one]).unwrap();
    assert!(nothing.arches().eq([Arch::Aarch64]));
    let call = SyscallData { nr: 63, arch: Arch::Aarch64.audit(), ..SyscallData::default() };
    assert_eq!(nothing.decide(&call), Action::KillProcess);
    agrees(&[&foreign, &one]);

    let big = policy(&[Arch::S390x], &profile());
    let error = Policy::union([&one, &big]).unwrap_err();
    assert_eq!(error, MergeError::MixedByteOrder { little: Arch::X86_64, big: Arch::S390x });
    assert_eq!(Policy::union([]).unwrap_err(), MergeError::Nothing);
}

#[test]
fn x32_numbers_are_those_of_each_part() {
    let target = |arches: &[Arch], x32| Target::exactly(arches).unlisted_x32(x32);
    let profile = || Profile::new(Action::Errno(1)).allow("read");
    let resolve = |target: Target| profile().resolve(&target).unwrap();
    let plain = resolve(target(&[Arch::X86_64], UnlistedX32::BadArch));
    let open = resolve(target(&[Arch::X86_64], UnlistedX32::Action(Action::Log)));
    let both = resolve(target(&[Arch::X86_64, Arch::X32], UnlistedX32::BadArch));
    let only = resolve(target(&[Arch::X32], UnlistedX32::BadArch));
    let other = resolve(target(&[Arch::X86], UnlistedX32::BadArch));
    let all = [plain, open, both, only, other];
    for one in &all {
        for two in &all {
            agrees(&[one, two]);
        }
    }
    let [plain, open, both, ..] = &all;
    let intersection = Policy::intersection([both, plain]).unwrap();
    assert!(intersection.arches().eq([Arch::X86_64]), "{intersection}");
    assert_eq!(Policy::union([plain, open]).unwrap().unlisted_x32, Action::Log);
}

/// Rules for x86 alone say nothing where the other part refuses all of x86, and so do those for x86_64.
#[test]
fn what_is_refused_anyway_leaves_the_list() {
    let profile = || Profile::new(Action::Errno(1)).allow("read");
    let target = |arches: &[Arch], bad, x32| {
        Target::exactly(arches).bad_arch(Action::Errno(bad)).unlisted_x32(UnlistedX32::Action(Action::Errno(x32)))
    };
    let resolve = |target: Target| profile().resolve(&target).unwrap();
    let (one, both) = (resolve(target(&[Arch::X86_64], 1, 3)), resolve(target(&[Arch::X86_64, Arch::X86], 1, 3)));
    let intersection = Policy::intersection([&one, &both]).unwrap();
    assert!(intersection.arches().eq([Arch::X86_64]), "{intersection}");
    assert_eq!(intersection.unlisted_x32, Action::Errno(3));
    agrees(&[&one, &both]);
    // It stays where x32 numbers get another answer, which is that of a policy with x86_64.
    let (x86, none) = (resolve(target(&[Arch::X86], 5, 5)), Profile::new(Action::Errno(1)));
    let both = none.resolve(&target(&[Arch::X86_64, Arch::X86], 1, 3)).unwrap();
    let intersection = Policy::intersection([&x86, &both]).unwrap();
    let call = |nr| SyscallData { nr, arch: Arch::X86_64.audit(), ..SyscallData::default() };
    assert_eq!(intersection.decide(&call(Arch::X32_BIT)), Action::Errno(3), "{intersection}");
    assert_eq!(intersection.decide(&call(0)), Action::Errno(1), "{intersection}");
    agrees(&[&x86, &both]);
}

#[test]
fn with_itself_it_is_itself() {
    let profile = || {
        let base = Profile::new(Action::Errno(1)).portable().allow(["read", "write"]);
        base.allow_if("ioctl", [arg::<1>().eq(5)]).rule(Action::Log, "lseek", [])
    };
    let new = Unlisted::Enosys { newer_than: KernelVersion::new(5, 0) };
    for target in [
        Target::exactly(&[Arch::Aarch64]).unlisted_x32(UnlistedX32::Action(Action::Log)),
        Target::exactly(&[Arch::Aarch64, Arch::Arm]).unlisted(new).bad_arch(Action::Trap(0)),
        Target::exactly(&[Arch::X86_64, Arch::X32]).unlisted(new),
        Target::exactly(&[Arch::X86_64]).unlisted(new).unlisted_x32(UnlistedX32::Action(Action::Errno(5))),
    ] {
        let policy = profile().resolve(&target).unwrap();
        for merged in [Policy::union([&policy, &policy]).unwrap(), Policy::intersection([&policy, &policy]).unwrap()] {
            assert_eq!((merged.bad_arch, merged.unlisted_x32), (policy.bad_arch, policy.unlisted_x32));
            assert_eq!(merged.sections.len(), policy.sections.len());
            for (merged, section) in merged.sections.iter().zip(&policy.sections) {
                assert_eq!((merged.arch, merged.default), (section.arch, section.default));
                // Spans of x86_64 may reach over numbers of x32, which are not asked for there.
                assert!(merged.unlisted == section.unlisted || is_shared(section.arch), "{:?}", merged.unlisted);
                assert!(merged.calls.keys().eq(section.calls.keys()), "{}", section.arch);
                // Calls with the same rules have them once.
                let arch = section.arch;
                let rules = ["read", "write", "lseek"].map(|name| &merged.calls[&arch.number(name).unwrap()]);
                assert!(Arc::ptr_eq(rules[0], rules[1]) && !Arc::ptr_eq(rules[1], rules[2]), "{arch}");
            }
        }
    }
}

/// Rules that yield to others on both sides, and one side whose default is more than the other one can say: then what is
/// yielded to stands in no rule of its own.
#[test]
fn rules_that_yield_keep_doing_so() {
    let arches = [Arch::X86_64];
    let base = |default| Profile::new(default).rule(Action::Errno(3), "ioctl", [arg::<2>().eq(1)]);
    let two = |default, wide, narrow| {
        let profile = Profile::new(default).rule(wide, "ioctl", [arg::<0>().eq(1)]);
        profile.rule(narrow, "ioctl", [arg::<0>().eq(1), arg::<1>().eq(1)])
    };
    let others = [
        base(Action::Log),
        base(Action::Allow),
        base(Action::Errno(1)),
        two(Action::Errno(1), Action::Allow, Action::Errno(7)),
        Profile::new(Action::Errno(1)).allow_if("ioctl", [arg::<3>().gt(3)]).rule(
            Action::Errno(6),
            "ioctl",
            [arg::<3>().gt(3), arg::<2>().eq(1)],
        ),
    ];
    for (wide, narrow) in [(2, 4), (4, 2)] {
        let one = policy(&arches, &two(Action::Errno(1), Action::Errno(wide), Action::Errno(narrow)));
        for other in &others {
            let other = policy(&arches, other);
            agrees(&[&one, &other]);
            agrees(&[&other, &one]);
        }
    }
}

fn rule(action: Action, values: &[u64], narrower: Vec<usize>) -> Rule {
    let condition = |(&value, arg)| Condition { arg, width: Width::Bits64, test: Test::Eq(value) };
    let conditions: Vec<Condition> = values.iter().zip(0..).map(condition).collect();
    Rule { action, conditions, narrower, source: Source { entry: 0, path: alloc::format!("{action} {values:?}") } }
}

#[test]
fn a_default_comes_from_the_side_that_decides() {
    let (allow, log) = (
        || Side::new(&[rule(Action::Allow, &[], vec![])], Action::Errno(1)),
        |path: &str| {
            let mut rule = rule(Action::Log, &[], vec![]);
            rule.source.path = path.to_string();
            Side::new(&[rule], Action::Errno(1))
        },
    );
    let some = || Side::new(&[rule(Action::Log, &[5], vec![])], Action::Errno(1));
    let union = |one: Side, other: Side| one.combine(other, Operation::Union).unwrap();
    assert_eq!(union(allow(), log("x")).source.path, "ALLOW []");
    assert_eq!(union(log("x"), allow()).source.path, "ALLOW []");
    assert_eq!(union(log("x"), log("y")).source.path, "x");
    assert_eq!(union(allow(), some()).source.path, "ALLOW []");
    assert_eq!(union(some(), allow()).source.path, "ALLOW []");
    let least = log("x").combine(some(), Operation::Intersection).unwrap();
    assert_eq!((least.default, least.source.path.as_str()), (Action::Errno(1), "default"));
}

#[test]
fn equal_sides_stay_as_they_are() {
    let rules = |action| [rule(action, &[1], vec![1]), rule(Action::Errno(7), &[1, 1], vec![])];
    let side = |action| Side::new(&rules(action), Action::Errno(1));
    for operation in [Operation::Union, Operation::Intersection] {
        let same = side(Action::Allow).combine(side(Action::Allow), operation).unwrap();
        assert_eq!(same.rules, rules(Action::Allow), "{operation:?}");
        let different = side(Action::Allow).combine(side(Action::Log), operation).unwrap();
        assert_ne!(different.rules, rules(Action::Allow), "{operation:?}");
    }
    // Rules that both have are there once.
    let one = Side::new(&[rule(Action::Log, &[1], vec![]), rule(Action::Log, &[2], vec![])], Action::Allow);
    let other = Side::new(&[rule(Action::Log, &[1], vec![])], Action::Allow);
    let both = one.combine(other, Operation::Intersection).unwrap();
    assert_eq!(both.rules, [rule(Action::Log, &[1], vec![]), rule(Action::Log, &[2], vec![])]);
}

#[test]
fn what_is_put_together_is_bounded() {
    // Beside each other. With these defaults there are no rules but those of the sides.
    let beside = |one: &[Rule], other: &[Rule]| {
        let (one, other) = (Side::new(one, Action::Allow), Side::new(other, Action::Allow));
        one.combine(other, Operation::Intersection).is_ok()
    };
    let many = |count: u64| (0..count).map(|value| rule(Action::Log, &[value], vec![])).collect::<Vec<_>>();
    let last = [rule(Action::Errno(1), &[0], vec![])];
    assert!(beside(&many(4095), &last));
    assert!(!beside(&many(4096), &last));
    let narrower = |count| [rule(Action::Log, &[0], vec![0; count])];
    assert!(beside(&narrower(1 << 18), &last));
    assert!(!beside(&narrower(1 << 18), &[rule(Action::Errno(1), &[0], vec![0])]));
    // In pairs: all 64 of one side with all 64 of the other, of which one is no rule, and one more that stands alone.
    let in_pairs = |right: u64| {
        let left: Vec<Rule> = (0..63).map(|value| rule(Action::Log, &[value], vec![])).collect();
        let right = (0..right).map(|value| rule(Action::Errno(2), &[0, value], vec![]));
        let right: Vec<Rule> = right.chain([rule(Action::Allow, &[0, 0, 0], vec![])]).collect();
        let (left, right) = (Side::new(&left, Action::Errno(1)), Side::new(&right, Action::Errno(1)));
        left.combine(right, Operation::Union).map(|side| side.rules.len()).ok()
    };
    assert_eq!(in_pairs(63), Some(4096));
    assert_eq!(in_pairs(64), None);
}

#[test]
fn different_flags_are_refused() {
    let one = policy(&[Arch::X86_64], &Profile::new(Action::Allow));
    let two = policy(&[Arch::X86_64], &Profile::new(Action::Allow).flag(Flag::Log));
    let error = Policy::intersection([&one, &two]).unwrap_err();
    assert_eq!(error.to_string(), "the profiles ask for different flags; make them equal in all of them");
    assert!(Policy::intersection([&two, &two]).unwrap().install_options().flags().is_some());
}

#[test]
fn thousands_of_combinations_are_refused() {
    let many = |seed: u64| {
        let rules = (0..80)
            .flat_map(|value: u64| [(Action::Errno(2), value * 3 + seed, 0), (Action::Trap(0), value * 5 + seed, 1)]);
        let profile = rules.fold(Profile::new(Action::Allow), |profile, (action, value, index)| {
            let condition = if index == 0 { arg::<0>().eq(value) } else { arg::<1>().eq(value) };
            profile.rule(action, "ioctl", [condition])
        });
        profile.resolve(&Target::exactly(&[Arch::X86_64]).semantics(crate::policy::Semantics::Oci)).unwrap()
    };
    let error = Policy::union([&many(1), &many(2)]).unwrap_err();
    let MergeError::TooComplex { call, arch: Arch::X86_64, limit: 4096 } = &error else { panic!("{error}") };
    assert_eq!(call, "ioctl");
}

fn policies(count: usize) -> impl Strategy<Value = Vec<Policy>> {
    let bytes = proptest::collection::vec(any::<u8>(), 700);
    let policy = bytes.prop_filter_map("bytes ran out", |bytes| orderly_policy(&mut Unstructured::new(&bytes)).ok());
    proptest::collection::vec(policy, count)
        .prop_filter("one byte order", |policies| policies.iter().all(|policy| policy.endian() == policies[0].endian()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn random_policies_agree(policies in policies(2)) {
        agrees(&[&policies[0], &policies[1]]);
    }
}
