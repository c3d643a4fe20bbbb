//! `socketcall` and `ipc`: what rules about the calls that they carry mean for them.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.
#![cfg(feature = "json")]

use callsieve::Compiler;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::check::{boundary_calls, simulate};
use callsieve::policy::{Policy, Semantics, Target};
use callsieve::profile::{Code, Diagnostic, Profile, Severity, arg};

const E1: Action = Action::Errno(1);

/// The ABIs whose kernels have them (`arch/*/kernel/syscalls`).
const ABIS: [Arch; 11] = [
    Arch::X86,
    Arch::S390,
    Arch::S390x,
    Arch::M68k,
    Arch::Mips,
    Arch::Mipsel,
    Arch::Ppc,
    Arch::Ppc64,
    Arch::Ppc64le,
    Arch::Sh,
    Arch::Sheb,
];

fn resolve(profile: &Profile, arch: Arch, semantics: Semantics) -> Policy {
    let policy = profile.resolve(&Target::exactly(&[arch]).semantics(semantics)).unwrap();
    let filter = Compiler::new().compile(&policy).unwrap();
    for call in boundary_calls(&policy) {
        assert_eq!(simulate(filter.program(), &call, arch.endian()).action(), policy.decide(&call), "{call:?}");
    }
    policy
}

fn answer(policy: &Policy, name: &str, a0: u64) -> Action {
    let arch = policy.arches().next().unwrap();
    let call = SyscallData { nr: arch.number(name).unwrap(), arch: arch.audit(), ..SyscallData::default() };
    policy.decide(&SyscallData { args: [a0, 0, 0, 0, 0, 0], ..call })
}

fn warnings(policy: &Policy) -> Vec<Code> {
    policy.diagnostics().iter().filter(|found| found.severity() == Severity::Warning).map(Diagnostic::code).collect()
}

#[test]
fn the_table_says_which_abis_have_them() {
    for arch in Arch::ALL {
        for name in ["socketcall", "ipc"] {
            assert_eq!(arch.number(name).is_some(), ABIS.contains(&arch), "{arch} {name}");
        }
    }
}

#[test]
fn an_entry_without_conditions_covers_the_carried_call() {
    let profile = Profile::new(E1).portable().allow(["socket", "sendmmsg", "shmget", "semop", "accept"]);
    for arch in ABIS {
        for semantics in [Semantics::Oci, Semantics::Strict] {
            let policy = resolve(&profile, arch, semantics);
            for (inner, expected) in [(0, E1), (1, Action::Allow), (2, E1), (5, Action::Allow), (20, Action::Allow)] {
                assert_eq!(answer(&policy, "socketcall", inner), expected, "{arch} {inner}");
            }
            // The kernel reads an int; of the call of ipc only the lower half, the upper one is a version.
            assert_eq!(answer(&policy, "socketcall", 0xffff_ffff_0000_0001), Action::Allow);
            for (inner, expected) in [(1, Action::Allow), (2, E1), (23, Action::Allow), (0x1_0017, Action::Allow)] {
                assert_eq!(answer(&policy, "ipc", inner), expected, "{arch} {inner}");
            }
            assert!(warnings(&policy).iter().all(|code| *code != Code::Multiplexed), "{arch}");
        }
    }
}

#[test]
fn conditions_never_widen_and_denials_cover_the_whole_call() {
    let allowing = Profile::new(E1).portable().allow_if("socket", [arg::<0>().eq(1)]);
    let denying = Profile::new(Action::Allow).portable().rule(E1, ["socket", "shmget"], [arg::<0>().eq(38)]);
    for arch in ABIS {
        for semantics in [Semantics::Oci, Semantics::Strict] {
            let policy = resolve(&allowing, arch, semantics);
            assert_eq!(answer(&policy, "socketcall", 1), E1, "{arch}");
            assert!(policy.diagnostics().iter().any(|found| found.code() == Code::Multiplexed), "{arch}");
            let policy = resolve(&denying, arch, semantics);
            assert_eq!((answer(&policy, "socketcall", 1), answer(&policy, "socketcall", 2)), (E1, Action::Allow));
            assert_eq!((answer(&policy, "ipc", 23), answer(&policy, "ipc", 24)), (E1, Action::Allow), "{arch}");
            assert!(warnings(&policy).contains(&Code::Multiplexed), "{arch}");
        }
        // An allowance with an exception: the exception may not be reached around.
        let exception = allowing.clone().allow("bind").rule(Action::Errno(5), "bind", [arg::<0>().eq(9)]);
        let policy = resolve(&exception, arch, Semantics::Strict);
        assert_eq!(answer(&policy, "socketcall", 2), Action::Errno(5), "{arch}");
    }
}

#[test]
fn denied_calls_stay_closed_behind_an_open_multiplexer() {
    let open = Profile::new(E1).portable().allow(["socketcall", "ipc"]);
    let profile = open.rule(Action::Errno(13), ["socket", "shmget"], []);
    for arch in ABIS {
        // Strictly, the narrower rule counts.
        let policy = resolve(&profile, arch, Semantics::Strict);
        assert_eq!(
            (answer(&policy, "socketcall", 1), answer(&policy, "socketcall", 3)),
            (Action::Errno(13), Action::Allow)
        );
        assert_eq!((answer(&policy, "ipc", 23), answer(&policy, "ipc", 21)), (Action::Errno(13), Action::Allow));
        // Container runtimes let the entry without conditions win, which is said.
        let policy = resolve(&profile, arch, Semantics::Oci);
        assert_eq!((answer(&policy, "socketcall", 1), answer(&policy, "ipc", 23)), (Action::Allow, Action::Allow));
        assert!(warnings(&policy).contains(&Code::Multiplexed), "{arch}");
    }
}

#[test]
fn rules_about_the_multiplexer_itself_are_kept() {
    let profile = Profile::new(E1).allow_if("socketcall", [arg::<0>().eq(3)]).rule(Action::Errno(5), "connect", []);
    let policy = resolve(&profile, Arch::X86, Semantics::Strict);
    assert_eq!((answer(&policy, "socketcall", 3), answer(&policy, "socketcall", 1)), (Action::Allow, E1));
}
