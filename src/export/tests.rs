//! Profiles that are written, and what cannot be.

use super::*;
use crate::fuzzing::orderly_policy;
use crate::policy::{ArgWidth, ResolveError};
use crate::profile::arg;
use arbitrary::Unstructured;
use proptest::prelude::*;

fn resolve(profile: &Profile, arches: &[Arch]) -> Policy {
    profile.resolve(&Target::exactly(arches).semantics(Semantics::Oci)).unwrap()
}

fn written(policy: &Policy) -> Profile {
    Profile::from_json(&policy.to_oci_json().unwrap(), Format::Oci).unwrap()
}

#[test]
fn the_container_default_is_written() {
    for arches in [&[Arch::X86_64][..], &[Arch::X86_64, Arch::X86, Arch::X32], &[Arch::S390x, Arch::S390]] {
        let policy = resolve(&Profile::container_default().unwrap(), arches);
        let profile = written(&policy);
        assert!(profile.rules().len() < 80, "{}", profile.rules().len());
        // One comparison an argument.
        for rule in profile.rules() {
            let mut indexes: Vec<u8> = rule.args().iter().map(Arg::index).collect();
            indexes.dedup();
            assert_eq!(indexes.len(), rule.args().len());
        }
    }
}

#[test]
fn overlaps_become_disjoint() {
    let profile = Profile::new(Action::Errno(1))
        .allow_if("ioctl", [arg::<1>().ge(5), arg::<1>().le(9)])
        .rule(Action::Errno(38), "ioctl", [arg::<1>().eq(7)])
        .rule(Action::Log, "personality", [arg::<0>().ne(3)])
        .allow_if("socket", [arg::<0>().as_u32().ne(40)])
        .allow_if("clone", [arg::<0>().masked_eq(0x7e02_0000, 0)]);
    let target = Target::exactly(&[Arch::X86_64]).bad_arch(Action::KillThread).arg_width(ArgWidth::Written);
    let policy = profile.resolve(&target).unwrap();
    let text = policy.to_oci_json().unwrap();
    let profile = Profile::from_json(&text, Format::Oci).unwrap();
    let ioctl: Vec<_> = profile.rules().iter().filter(|rule| rule.calls() == [Call::Name("ioctl".into())]).collect();
    // 5, 6, 8-9, and 7 with the other action.
    assert_eq!(ioctl.len(), 4, "{text}");
    let of = |name: &str| profile.rules().iter().filter(|rule| rule.calls() == [Call::Name(name.into())]).count();
    assert_eq!((of("personality"), of("clone"), of("socket")), (1, 1, 32), "{text}");
    assert!(profile.rules().iter().any(|rule| rule.args().iter().any(|arg| arg.op() == Op::Ne)));
}

#[test]
fn what_cannot_be_said_is_named() {
    let error =
        |profile: &Profile, target: Target| profile.resolve(&target).unwrap().to_oci_json().unwrap_err().to_string();
    let target = |arches: &[Arch]| Target::exactly(arches).bad_arch(Action::KillThread);
    let profile = Profile::new(Action::Errno(1)).allow("read");
    assert_eq!(
        error(&profile, Target::exactly(&[Arch::X86_64])),
        "calls of architectures that are not listed get KILL_PROCESS, but under an OCI profile they always get \
         KILL_THREAD; accept that (--bad-arch kill-thread), or write a raw filter instead"
    );
    let unnamed = profile.clone().allow((Arch::X86_64, 5000));
    assert_eq!(
        error(&unnamed, target(&[Arch::X86_64])),
        "call 0x1388 on x86_64, ALLOW: the format knows calls by name only, and this number has none"
    );
    let one_only = profile.clone().rule(Action::Log, (Arch::X86, 3), [arg::<0>().eq(7)]);
    let text = error(&one_only, target(&[Arch::X86_64, Arch::X86]));
    assert!(text.contains("the same rules for all architectures"), "{text}");
    let wide = profile.clone().allow_if("lseek", [arg::<1>().eq(1 << 40)]);
    assert!(wide.resolve(&target(&[Arch::X86_64])).unwrap().to_oci_json().is_ok());
    assert_eq!(
        error(&wide, target(&[Arch::X86_64, Arch::X86])),
        "lseek on x86_64, ALLOW if arg1 == 0x10000000000: runtimes cut constants to 32 bits on x86, so this would mean \
         something else there; leave that architecture out (--arch)"
    );
    // A block of small values is a mask with all upper bits, and none of them is expected to be set.
    let block = profile.clone().allow_if("lseek", [arg::<1>().ge(16), arg::<1>().le(17)]);
    assert!(block.resolve(&target(&[Arch::X86_64, Arch::X86])).unwrap().to_oci_json().is_ok());
    let trap = profile.clone().rule(Action::Trap(7), "write", []);
    assert!(error(&trap, target(&[Arch::X86_64])).ends_with("the format has TRAP without data only"));
    let inside = [arg::<0>().ge(1), arg::<0>().lt(u64::MAX), arg::<1>().ge(1), arg::<1>().lt(u64::MAX)];
    let many = profile.allow_if("mmap", inside);
    let text = error(&many, target(&[Arch::X86_64]));
    assert!(text.contains("this takes more than 4096 entries"), "{text}");
}

#[test]
fn unions_of_profiles_are_written() {
    let arches = [Arch::X86_64, Arch::X86, Arch::X32];
    let default = resolve(&Profile::container_default().unwrap(), &arches);
    let other = Profile::new(Action::Errno(1))
        .allow(["read", "bpf", "perf_event_open"])
        .allow_if("clone", [arg::<0>().masked_eq(0x1000_0000, 0x1000_0000)]);
    let other = resolve(&other, &arches);
    for merged in [Policy::union([&default, &other]).unwrap(), Policy::intersection([&default, &other]).unwrap()] {
        assert!(!written(&merged).rules().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// What is written was proven, so what matters is that there is no other error than those that name a reason.
    #[test]
    fn random_policies_are_written_or_refused(bytes in prop::collection::vec(any::<u8>(), 900)) {
        let Ok(mut policy) = orderly_policy(&mut Unstructured::new(&bytes)) else { return Ok(()) };
        // So that more than the first obstacle is met.
        (policy.bad_arch, policy.unlisted_x32) = (Action::KillThread, Action::KillThread);
        policy.sections.truncate(1);
        // The default is no region.
        for section in &mut policy.sections {
            section.default = Action::Errno(1);
            section.unlisted.clear();
        }
        for section in &mut policy.sections {
            section.calls = section.calls.iter().filter(|(nr, _)| section.arch.name(**nr).is_some()).map(|(nr, rules)| (*nr, rules.clone())).collect();
        }
        match policy.to_oci_json() {
            // Thousands of disjoint entries of one call can take more work than resolving may: a stated bound.
            Err(ExportError::Resolve(ResolveError::TooComplex { .. })) => {}
            Err(error @ (ExportError::Wrong(_) | ExportError::Text(_) | ExportError::Resolve(_))) => {
                prop_assert!(false, "{error}\n{policy}");
            }
            _ => {}
        }
    }
}
