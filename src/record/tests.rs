//! What needs to look inside.

use super::*;
use crate::arch::Arch;
use crate::bpf::{Action, SyscallData};
use crate::policy::{Semantics, Target};
use crate::profile::{Dialect, Format, Profile, arg};

fn call(arch: Arch, name: &str, args: [u64; 6]) -> SyscallData {
    SyscallData { nr: arch.number(name).unwrap(), arch: arch.audit(), args, ..SyscallData::default() }
}

fn native(name: &str, args: [u64; 6]) -> SyscallData {
    call(Arch::X86_64, name, args)
}

fn recording(calls: &[SyscallData]) -> Recording {
    let mut recording = Recording::new();
    for call in calls {
        recording.add(call);
    }
    recording
}

/// What a profile says, as it is read back from its text.
fn decides(profile: &Profile, arches: &[Arch]) -> impl Fn(&SyscallData) -> Action {
    let again = Profile::from_json(&profile.to_json().unwrap(), Format::Auto).unwrap();
    let policy = again.resolve(&Target::exactly(arches).semantics(Semantics::Oci)).unwrap();
    move |call| policy.decide(call)
}

#[test]
fn three_ways_to_treat_arguments() {
    let seen = [
        native("mmap", [0, 4096, 1, 2, 0, 0]),
        native("mmap", [0, 4096, 4, 0x20, 0, 0]),
        native("ioctl", [0, 5, 0, 0, 0, 0]),
        native("socket", [1, 1, 0, 0, 0, 0]),
        native("socket", [2, 2, 0, 0, 0, 0]),
    ];
    let ask = |arguments| {
        let draft = Recorder::new().arguments(arguments).draft(&recording(&seen)).unwrap();
        assert_eq!(draft.doubts(), []);
        let decide = decides(draft.profile(), &[Arch::X86_64]);
        for call in &seen {
            assert_eq!(decide(call), Action::Allow);
        }
        let others = [
            native("mmap", [0, 1, 5, 0x22, 0, 0]),
            native("mmap", [0, 1, 2, 2, 0, 0]),
            native("ioctl", [3, 5 | 7 << 32, 0, 0, 0, 0]),
            native("ioctl", [0, 6, 0, 0, 0, 0]),
            native("socket", [1, 2, 0, 0, 0, 0]),
            native("socket", [1, 3, 0, 0, 0, 0]),
            native("mkdir", [0; 6]),
        ];
        others.map(|call| decide(&call) == Action::Allow)
    };
    assert_eq!(ask(Arguments::None), [true, true, true, true, true, true, false]);
    assert_eq!(ask(Arguments::Sets), [true, false, true, false, true, false, false]);
    assert_eq!(ask(Arguments::Exact), [false, false, true, false, false, false, false]);
}

#[test]
fn too_many_values_and_unknown_ones_are_said() {
    let mut many = Recording::new();
    for request in 0..200 {
        many.add(&native("ioctl", [0, request, 0, 0, 0, 0]));
    }
    many.add_without_arguments(Arch::X86_64, 41, 1);
    for arguments in [Arguments::Sets, Arguments::Exact] {
        let draft = Recorder::new().arguments(arguments).draft(&many).unwrap();
        let doubts: Vec<_> = draft.doubts().iter().map(ToString::to_string).collect();
        assert_eq!(
            doubts,
            [
                "ioctl is allowed whatever its arguments: there are too many different ones",
                "socket is allowed whatever its arguments: the source does not tell them, or not as numbers that are known",
            ]
        );
    }
    assert_eq!(Recorder::new().draft(&many).unwrap().doubts(), []);
}

/// The old mmap of i386 has its arguments behind a pointer.
#[test]
fn an_argument_that_is_not_the_same_on_all_abis_is_no_condition() {
    let seen = recording(&[native("mmap", [0, 4096, 1, 2, 0, 0]), call(Arch::X86, "mmap", [0x1000, 0, 0, 0, 0, 0])]);
    let draft = Recorder::new().arguments(Arguments::Exact).draft(&seen).unwrap();
    assert!(matches!(draft.doubts(), [Doubt::Unconstrained { name: "mmap", .. }]), "{:?}", draft.doubts());
}

#[test]
fn every_abi_is_in_the_profile() {
    let seen = recording(&[
        call(Arch::X86_64, "read", [0; 6]),
        call(Arch::X86, "socketcall", [1, 0, 0, 0, 0, 0]),
        call(Arch::X32, "close", [0; 6]),
    ]);
    let arches = [Arch::X86_64, Arch::X86, Arch::X32];
    for dialect in [Dialect::Oci, Dialect::Docker] {
        let draft = Recorder::new().dialect(dialect).draft(&seen).unwrap();
        assert_eq!(draft.profile().dialect(), dialect);
        assert!(draft.closure().iter().any(|benign| benign.name == "sigreturn"));
        let again = Profile::from_json(&draft.profile().to_json().unwrap(), Format::Auto).unwrap();
        // A profile is for the machine where it was recorded, and begins with the ABI of that.
        let host = if Arch::NATIVE == Some(Arch::X86) { Arch::X86 } else { Arch::X86_64 };
        let policy = again.resolve(&Target::new(host)).unwrap();
        assert_eq!(policy.arches().collect::<Vec<_>>().len(), 3, "{dialect:?}");
        for arch in arches {
            assert_eq!(policy.decide(&call(arch, "read", [0; 6])), Action::Allow, "{arch}");
            assert_eq!(policy.decide(&call(arch, "mkdir", [0; 6])), Action::KillProcess, "{arch}");
        }
    }
}

/// The policy for later runs: what is known is allowed, and everything else is asked about, on every ABI.
#[test]
fn what_is_asked_about() {
    let seen = recording(&[native("read", [0; 6]), native("ioctl", [0, 5, 0, 0, 0, 0])]);
    for (arguments, ioctl) in [(Arguments::None, Action::Allow), (Arguments::Exact, Action::Notify)] {
        let recorder = Recorder::new().arguments(arguments);
        let policy = recorder.asking(Some(&seen), Arch::X86_64).unwrap();
        assert_eq!(policy.decide(&native("read", [0; 6])), Action::Allow);
        assert_eq!(policy.decide(&native("sched_yield", [0; 6])), Action::Allow);
        assert_eq!(policy.decide(&native("write", [0; 6])), Action::Notify);
        assert_eq!(policy.decide(&native("ioctl", [0, 5, 0, 0, 0, 0])), Action::Allow);
        assert_eq!(policy.decide(&native("ioctl", [0, 6, 0, 0, 0, 0])), ioctl);
        // Nobody has seen these ABIs.
        for arch in [Arch::X86, Arch::X32, Arch::S390x] {
            assert_eq!(policy.decide(&call(arch, "read", [0; 6])), Action::Notify, "{arch}");
        }
        assert_eq!(policy.decide(&call(Arch::X86, "exit_group", [0; 6])), Action::Allow);
        assert_eq!(policy.decide(&SyscallData { nr: 9999, ..native("read", [0; 6]) }), Action::Notify);
    }
    let first = Recorder::new().asking(None, Arch::X86_64).unwrap();
    for (name, answer) in [("execve", Action::Notify), ("sched_yield", Action::Notify), ("exit", Action::Allow)] {
        assert_eq!(first.decide(&native(name, [0; 6])), answer, "{name}");
    }
}

const BASE: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO",
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [
        { "names": ["read", "execve"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 },
        { "names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 1, "value": 5, "op": "SCMP_CMP_EQ" }] },
        { "names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 1, "value": 0, "op": "SCMP_CMP_EQ" }] }
    ]
}"#;

#[test]
fn a_base_is_kept_and_gets_what_it_lacks() {
    let base = Profile::from_json(BASE, Format::Auto).unwrap();
    let recorder = Recorder::new().base(base, Target::new(Arch::X86_64));
    let asking = recorder.asking(None, Arch::X86_64).unwrap();
    for (call, answer) in [
        (native("read", [0; 6]), Action::Allow),
        (native("write", [0; 6]), Action::Notify),
        // What it denies on purpose stays denied.
        (native("clone3", [0; 6]), Action::Errno(38)),
        (native("ioctl", [0, 5, 0, 0, 0, 0]), Action::Allow),
        (native("ioctl", [0, 6, 0, 0, 0, 0]), Action::Notify),
        (native("exit_group", [0; 6]), Action::Allow),
        (call(Arch::X86, "read", [0; 6]), Action::Notify),
    ] {
        assert_eq!(asking.decide(&call), answer, "{call:?}");
    }
    let seen = recording(&[
        native("read", [0; 6]),
        native("write", [0; 6]),
        native("clone3", [0; 6]),
        native("ioctl", [0, 5, 0, 0, 0, 0]),
        native("ioctl", [0, 6, 0, 0, 0, 0]),
        native("kill", [0, 9, 0, 0, 0, 0]),
        call(Arch::X86, "mkdir", [0; 6]),
    ]);
    let draft = recorder.draft(&seen).unwrap();
    assert_eq!(draft.names(), ["ioctl", "kill", "mkdir", "write"]);
    assert_eq!(draft.doubts(), [Doubt::BaseConditions { name: "kill" }]);
    assert!(draft.closure().iter().any(|benign| benign.name == "rseq"));
    let policy = draft.profile().resolve(&Target::new(Arch::X86_64)).unwrap();
    for (call, answer) in [
        (native("clone3", [0; 6]), Action::Errno(38)),
        (native("ioctl", [0, 6, 0, 0, 0, 0]), Action::Allow),
        (native("ioctl", [0, 7, 0, 0, 0, 0]), Action::Errno(1)),
        (call(Arch::X86, "mkdir", [0; 6]), Action::Allow),
        (native("write", [0; 6]), Action::Allow),
    ] {
        assert_eq!(policy.decide(&call), answer, "{call:?}");
    }
    // With that, nothing is left to ask.
    let again = recorder.asking(Some(&seen), Arch::X86_64).unwrap();
    for call in [native("write", [0; 6]), native("kill", [0, 9, 0, 0, 0, 0]), call(Arch::X86, "mkdir", [0; 6])] {
        assert_eq!(again.decide(&call), Action::Allow, "{call:?}");
    }
}

/// What the base compares and the kernel does not read.
#[test]
fn garbage_above_an_int_is_something_that_a_base_can_lack() {
    let base = Profile::from_json(BASE, Format::Auto).unwrap();
    let recorder = Recorder::new().base(base, Target::new(Arch::X86_64)).closure(false);
    let odd = native("ioctl", [0, 5 | 1 << 40, 0, 0, 0, 0]);
    assert_eq!(recorder.asking(None, Arch::X86_64).unwrap().decide(&odd), Action::Notify);
    let draft = recorder.draft(&recording(&[odd])).unwrap();
    assert_eq!(draft.names(), ["ioctl"]);
    assert_eq!(draft.profile().resolve(&Target::new(Arch::X86_64)).unwrap().decide(&odd), Action::Allow);
}

#[test]
fn a_base_that_allows_everything_lacks_nothing() {
    let recorder = Recorder::new().base(Profile::new(Action::Allow), Target::new(Arch::X86_64));
    assert!(matches!(recorder.draft(&Recording::new()), Err(RecordError::BaseAllows)));
    assert!(matches!(recorder.asking(None, Arch::X86_64), Err(RecordError::BaseAllows)));
}

#[test]
fn a_base_in_rust() {
    let base = Profile::new(Action::Errno(1)).allow("read").allow_if("socket", [arg::<0>().eq(1)]);
    let recorder = Recorder::new().base(base, Target::exactly(&[Arch::X86_64])).closure(false);
    let draft = recorder.draft(&recording(&[native("socket", [2, 1, 0, 0, 0, 0])])).unwrap();
    assert!(draft.closure().is_empty());
    let policy = draft.profile().resolve(&Target::exactly(&[Arch::X86_64])).unwrap();
    assert_eq!(policy.decide(&native("socket", [2, 1, 0, 0, 0, 0])), Action::Allow);
    assert_eq!(policy.decide(&native("socket", [2, 2, 0, 0, 0, 0])), Action::Errno(1));
}
