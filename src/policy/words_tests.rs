//! What is said about profiles, word by word.

use super::tests::docker;
use super::*;
use crate::arch::Arch;
use crate::bpf::Action;
use crate::profile::{Call, Diagnostics, Profile, arg};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

const E1: Action = Action::Errno(1);
const E2: Action = Action::Errno(2);

fn name_of(target: &Target) -> &'static str {
    match target.semantics {
        Some(Semantics::Oci) => "as container runtimes",
        Some(Semantics::Strict) => "strictly",
        _ => "in order",
    }
}

fn lines(found: &Diagnostics) -> Vec<String> {
    found.iter().map(|one| alloc::format!("{:?}[{}] {one}", one.severity(), one.code().as_str())).collect()
}

fn told(profile: &Profile, target: &Target) -> Vec<String> {
    match profile.resolve(target) {
        Ok(policy) => lines(policy.diagnostics()),
        Err(error) => lines(error.diagnostics().unwrap()),
    }
}

/// What is said of profiles that are wrong or doubtful in one way, on an ABI of 64 bits, one of 32, and x32.
fn all() -> String {
    let mut said = String::new();
    let base = || Profile::new(E1);
    let a = arg::<1>();
    let three = Target::exactly(&[Arch::X86_64, Arch::X86, Arch::X32]);
    let oci = three.clone().semantics(Semantics::Oci);
    let strict = three.clone().semantics(Semantics::Strict);
    let ordered = three.clone().semantics(Semantics::Ordered);
    let mut show = |name: &str, profile: Profile, target: &Target| {
        let lines = told(&profile, target).join("\n");
        said.extend(["# ", name, ", ", name_of(target), "\n", &lines, "\n\n"]);
    };
    for target in [&oci, &strict, &ordered] {
        show("equal alone", docker(base().rule(Action::Errno(1), "read", [])), target);
        show(
            "equal on two of three",
            docker(base().rule(E1, "waitpid", []).rule(E1, "lseek", []).allow("lseek")),
            target,
        );
        show("equal beside", docker(base().rule(Action::Errno(1), "ioctl", []).allow_if("ioctl", [a.eq(3)])), target);
        show("twice", docker(base().allow("read").allow("read")), target);
        show("two", docker(base().allow("read").rule(Action::Errno(2), "read", [])), target);
        show("hidden", docker(base().allow("ioctl").rule(E2, "ioctl", [a.eq(3)]).allow_if("ioctl", [a.eq(5)])), target);
        show("same", docker(base().rule(E2, "ioctl", [a.eq(3)]).allow_if("ioctl", [a.eq(3)])), target);
        show("overlap", docker(base().allow_if("ioctl", [a.eq(3)]).rule(E2, "ioctl", [arg::<2>().gt(300)])), target);
        show("excluded", docker(base().allow_if("ioctl", [a.lt(3), a.gt(7)])), target);
        show("repeated", docker(base().allow_if("ioctl", [a.gt(3), a.lt(7)])), target);
        show(
            "constants",
            docker(base().allow_if(
                "ioctl",
                [
                    a.lt(0),
                    a.ge(0),
                    a.masked_eq(0, 0),
                    a.eq(1 << 32),
                    a.ne(1 << 32),
                    a.le(0xffff_ffff),
                    a.gt(0xffff_ffff),
                    a.lt(0xffff_ffff),
                    a.ge(0xffff_ffff),
                ],
            )),
            target,
        );
        show(
            "constants64",
            base().allow_if("lseek", [a.le(u64::MAX), a.gt(u64::MAX), a.lt(u64::MAX), a.ge(u64::MAX), a.eq(u64::MAX)]),
            target,
        );
        show("mask", docker(base().allow_if("ioctl", [a.masked_eq(0xf0, 0x31)])), target);
        show("unknown", docker(base().allow("raed").allow("\u{7}x")), target);
        show("rule", base().allow("raed").rule(Action::Errno(5000), "write", []), target);
        show(
            "forced",
            docker(base().rule(Action::Errno(3), "uretprobe", []).rule(Action::Errno(3), "uprobe", [])),
            target,
        );
        show(
            "socketcall",
            docker(base().allow("socketcall").allow_if("socket", [arg::<0>().eq(1)]).rule(Action::Errno(5), "ipc", [])),
            target,
        );
        show(
            "carried",
            docker(base().allow_if("socket", [arg::<0>().eq(1)]).rule(Action::Errno(1), "bind", [a.eq(1)])),
            target,
        );
        show("socketcall plain", docker(base().allow("socketcall").allow("ipc")), target);
        show("socketcall denied", docker(base().rule(E2, "socketcall", []).allow_if("socket", [a.eq(1)])), target);
        show("three excluded", docker(base().allow_if("ioctl", [a.lt(3), a.gt(7), arg::<2>().eq(1)])), target);
        let wide = docker(base().allow_if("lseek", [a.ge(1 << 33)]).rule(E2, "lseek", [a.gt(5), arg::<2>().eq(1)]));
        show("overlap of 64 bits", wide, target);
        let number = |arch, number| docker(base().allow(Call::Number(arch, number)));
        show("number of x32", number(Arch::X86_64, Arch::X32_BIT), target);
        show("number without bit 30", number(Arch::X32, 5), target);
        show("last number", number(Arch::X32, u32::MAX), target);
        show("number of another ABI", number(Arch::S390, 5), target);
        show("elsewhere", docker(base().allow("s390_pci_mmio_read")), target);
        show("x86 only", docker(base().allow("vm86").allow("waitpid")), target);
    }
    said
}

/// `BLESS=1` writes the file anew.
#[test]
fn what_is_said_is_as_in_the_file() {
    let (said, path) = (all(), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/said.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &said).unwrap();
    }
    let wanted = std::fs::read_to_string(path).unwrap();
    for (said, wanted) in said.lines().zip(wanted.lines()) {
        assert_eq!(said, wanted);
    }
    assert_eq!(said.len(), wanted.len());
}

#[test]
fn many_names_of_one_kind_are_counted() {
    // The first twenty have a message each.
    let unknown =
        |many: usize| docker((0..many).fold(Profile::new(E1), |all, at| all.allow(alloc::format!("no_{at:03}"))));
    let oci = Target::exactly(&[Arch::X86_64]).semantics(Semantics::Oci);
    assert!(told(&unknown(20), &oci).iter().all(|line| line.contains("unknown system call \"no_")));
    let more = told(&unknown(22), &oci);
    assert_eq!(more.len(), 22);
    assert_eq!(more[21], "Warning[unknown-syscall] $.syscalls[21]: \"no_021\": unknown system calls, skipped");
    // Of one kind at most so many are shown.
    let equal = |many: u32| {
        let names = (0..many).map(|number| Call::Number(Arch::X86_64, number));
        docker(names.fold(Profile::new(E1), |all, call| all.rule(E1, call, [])))
    };
    assert_eq!(told(&equal(200), &oci).len(), 200);
    let more = told(&equal(203), &oci);
    assert_eq!(more.len(), 201);
    assert_eq!(more[200], "Note[equals-default] $: 3 more of the kind equals-default");
}

/// Long names are cut, strange ones are escaped.
#[test]
fn names_are_quoted() {
    let oci = Target::exactly(&[Arch::X86_64]).semantics(Semantics::Oci);
    for (name, quoted) in [("n".repeat(64), "n".repeat(64) + "\""), ("n".repeat(65), "n".repeat(64) + "\"...")] {
        let said = told(&Profile::new(E1).allow(name.as_str()), &oci);
        assert_eq!(said, [alloc::format!("Warning[unknown-syscall] rule 1: unknown system call \"{quoted}, skipped")]);
    }
}

/// Where too much work is left, it is told that something is not told.
#[test]
fn overlaps_that_take_too_long() {
    let rule = |action, arg, entry| Rule {
        source: Source { entry, path: alloc::format!("rule {}", entry + 1) },
        action,
        conditions: vec![Condition { arg, width: Width::Bits64, test: Test::Gt(300) }],
        narrower: Vec::new(),
    };
    let profile = Profile::new(E1).allow("ioctl").rule(E2, "ioctl", []);
    let (mut findings, mut work, mut doubts) =
        (findings::Findings::new(&profile), solve::Work::new(), solve::Work::new());
    doubts.charge(usize::try_from(solve::Work::LIMIT).unwrap()).unwrap();
    let mut settling = settle::Settling {
        arch: Arch::X86_64,
        default: E1,
        semantics: Semantics::Oci,
        findings: &mut findings,
        work: &mut work,
        doubts: &mut doubts,
    };
    let kept = settling.rules(16, vec![rule(Action::Allow, 0, 0), rule(E2, 1, 1)]).unwrap();
    assert_eq!(kept.len(), 2);
    let said = lines(&findings.finish(&[Arch::X86_64, Arch::X86]));
    let text = "rules with different actions overlap in too many ways to show";
    assert_eq!(said, [alloc::format!("Warning[overlap-two-actions] profile: ioctl on x86_64: {text}")]);
}

#[test]
fn errors_of_the_target_are_in_range() {
    let target = || Target::exactly(&[Arch::X86_64]);
    for (number, is_wrong) in [(4095, false), (4096, true)] {
        let action = Action::Errno(number);
        for target in [target().bad_arch(action), target().unlisted_x32(UnlistedX32::Action(action))] {
            let text =
                alloc::format!("error number {number} of the target is out of range: the kernel returns 0 to 4095");
            let said = told(&Profile::new(E1), &target);
            let wanted = is_wrong.then(|| alloc::format!("Error[errno-range] profile: {text}"));
            assert!(said.iter().eq(wanted.iter()), "{said:?}");
        }
    }
}

#[test]
fn what_a_policy_is_known_by() {
    let profile = Profile { listener_path: Some("/run/agent.sock".into()), ..Profile::new(E1).allow("read") };
    let profile = Profile { listener_metadata: Some("pod 7".into()), ..profile };
    let policy = profile.resolve(&Target::new(Arch::X86_64)).unwrap();
    let options = policy.install_options();
    assert_eq!((options.listener_path(), options.listener_metadata()), (Some("/run/agent.sock"), Some("pod 7")));
    assert_eq!(
        Profile::new(E1).resolve(&Target::new(Arch::X86_64)).unwrap().install_options().listener_metadata(),
        None
    );
    // FNV-1a with 64 bits, as its authors describe it.
    let mut hash: u64 = 14_695_981_039_346_656_037;
    for byte in policy.to_string().bytes() {
        hash ^= u64::from(byte);
        hash = hash.wrapping_mul(1_099_511_628_211);
    }
    assert_eq!(policy.digest(), hash);
}
