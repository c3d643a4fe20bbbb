//! Bounds: thousands of rules on one call, hostile ones, and many messages.

use super::{ResolveError, Semantics, Target};
use crate::arch::Arch;
use crate::bpf::{Action, SyscallData};
use crate::profile::{Arg, Code, Profile, arg};
use alloc::string::ToString;

const E1: Action = Action::Errno(1);
const X86_64: Target = Target::new(Arch::X86_64);

fn on_ioctl(args: [u64; 2]) -> SyscallData {
    SyscallData { nr: 16, arch: Arch::X86_64.audit(), args: [args[0], args[1], 0, 0, 0, 0], ..SyscallData::default() }
}

fn ioctl(count: u64, action: impl Fn(u64) -> Action, test: impl Fn(u64) -> Arg) -> Profile {
    (0..count).fold(Profile::new(E1), |profile, i| profile.rule(action(i), "ioctl", [test(i)]))
}

#[test]
fn thousands_of_rules_on_one_call() {
    let two = |i: u64| if i.is_multiple_of(2) { Action::Allow } else { Action::Errno(2) };
    // Different constants never meet.
    let constants = ioctl(4000, two, |i| arg::<1>().eq(i));
    let policy = constants.clone().resolve(&X86_64).unwrap();
    assert_eq!(policy.decide(&on_ioctl([0, 3999])), Action::Errno(2));
    // Exceptions from a range, and from all calls.
    let wider = constants.clone().rule(Action::Log, "ioctl", [arg::<1>().lt(9000)]).rule(Action::Trap(0), "ioctl", []);
    let policy = wider.resolve(&X86_64).unwrap();
    for (value, action) in [(3999, Action::Errno(2)), (8999, Action::Log), (9000, Action::Trap(0))] {
        assert_eq!(policy.decide(&on_ioctl([0, value])), action);
    }
    // Two ranges that share nothing but constants with rules of their own.
    let ranges = constants.rule(Action::Log, "ioctl", [arg::<1>().lt(4000), arg::<2>().eq(1)]).rule(
        Action::Trap(0),
        "ioctl",
        [arg::<1>().lt(4000), arg::<0>().eq(1)],
    );
    let found = ranges.resolve(&X86_64).unwrap_err();
    assert!(found.diagnostics().unwrap().iter().all(|finding| finding.code() == Code::OverlapTwoActions));
}

#[test]
fn everything_overlaps_everything() {
    let two = |i: u64| if i.is_multiple_of(2) { Action::Allow } else { Action::Errno(2) };
    let chains = ioctl(2000, two, |i: u64| if i.is_multiple_of(2) { arg::<1>().ge(i + 1) } else { arg::<1>().le(i) });
    let strict = chains.resolve(&X86_64).unwrap_err();
    assert!(strict.diagnostics().unwrap().len() <= 16, "{strict}");
    let oci = chains.resolve(&X86_64.semantics(Semantics::Oci)).unwrap();
    assert_eq!(oci.decide(&on_ioctl([0, 1500])), Action::Errno(2));
    let overlaps = oci.diagnostics().iter().filter(|finding| finding.code() == Code::OverlapTwoActions);
    assert_eq!(overlaps.count(), 16);
}

#[test]
fn hostile_rules_are_refused() {
    let masked = |i: u64| {
        let mask = 1 << (i % 61) | 1 << ((i * 7 + 3) % 59) | 1 << ((i * 31 + 11) % 53);
        arg::<1>().masked_eq(mask, if i.is_multiple_of(3) { mask } else { mask & (mask - 1) })
    };
    let many = [Action::Allow, Action::Log, Action::Errno(2), Action::Errno(3)];
    let profile = ioctl(6000, |i| many[usize::try_from(i % 4).unwrap()], masked);
    let error = profile.resolve(&X86_64.semantics(Semantics::Oci)).unwrap_err();
    assert_eq!(error, ResolveError::TooComplex { call: "ioctl".into(), arch: Arch::X86_64, rules: 6000 });
}

#[test]
fn messages_are_counted_where_there_are_many() {
    let two = |i: u64| if i.is_multiple_of(2) { Action::Allow } else { Action::Errno(2) };
    let twice = ioctl(1000, two, |i| arg::<1>().eq(i / 2));
    let error = twice.resolve(&X86_64).unwrap_err();
    assert_eq!(error.diagnostics().unwrap().len(), 201);
    assert!(error.to_string().ends_with("300 more of the kind same-condition-two-actions"), "{error}");
}
