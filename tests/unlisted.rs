//! What numbers get that no rule names: ENOSYS by kernel release, and runc's rule against a model of it written by hand.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.
#![cfg(feature = "json")]

#[cfg(target_os = "linux")]
mod common;

use callsieve::Compiler;
use callsieve::arch::{Arch, KernelVersion, Syscall};
use callsieve::bpf::{Action, Insn, Program, SyscallData, opcode};
use callsieve::check::{boundary_calls, prove, simulate};
use callsieve::policy::{Policy, Target, Unlisted};
use callsieve::profile::{Format, Profile};
use std::collections::BTreeMap;

const V6_12: Unlisted = Unlisted::Enosys { newer_than: KernelVersion::new(6, 12) };

fn call(arch: Arch, nr: u32) -> SyscallData {
    SyscallData { nr, arch: arch.audit(), ..SyscallData::default() }
}

fn enosys(arch: Arch) -> Action {
    // asm/errno.h of MIPS and PA-RISC; 38 everywhere else.
    let number = match arch.short_name() {
        "parisc" | "parisc64" => 251,
        name if name.starts_with("mips") => 89,
        _ => 38,
    };
    Action::Errno(number)
}

#[test]
fn newer_calls_and_gaps_are_enosys() {
    let profile = Profile::new(Action::Errno(1)).allow(["read", "mseal"]).rule(Action::Errno(5), ["getpid"], []);
    for arch in Arch::ALL {
        let policy = profile.clone().portable().resolve(&Target::exactly(&[arch]).unlisted(V6_12)).unwrap();
        let filter = Compiler::new().compile(&policy).unwrap();
        let answer = |nr: u32| {
            let decided = policy.decide(&call(arch, nr));
            assert_eq!(simulate(filter.program(), &call(arch, nr), arch.endian()).action(), decided, "{arch} {nr}");
            decided
        };
        let base = arch.number_base();
        let named = |name: &str| answer(arch.number(name).unwrap());
        assert_eq!(named("read"), Action::Allow);
        assert_eq!(named("mseal"), Action::Allow, "newer, but named");
        for (number, name) in arch.syscalls().filter(|(_, name)| !["read", "mseal", "getpid", "getxpid"].contains(name))
        {
            let since = Syscall::from_name(name).unwrap().since();
            let newer = since.is_some_and(|since| since > KernelVersion::new(6, 12));
            let expected = if newer { enosys(arch) } else { Action::Errno(1) };
            assert_eq!(answer(number), expected, "{arch} {name} of {since:?}");
        }
        // Beyond the table; ARM's private numbers and a tracer's skip keep the default.
        for nr in [base + 999, base + 0x3fff] {
            assert_eq!(answer(nr), enosys(arch), "{arch} {nr}");
        }
        let private = if arch == Arch::Arm { Action::Errno(1) } else { enosys(arch) };
        assert_eq!(answer(base + 0xf_0800), private, "{arch}");
        assert_eq!(answer(u32::MAX), Action::Errno(1), "{arch}");
    }
    // Gaps of x86_64, and where its numbers go on.
    let policy = profile.resolve(&Target::exactly(&[Arch::X86_64]).unlisted(V6_12)).unwrap();
    for nr in [337, 423, 1000, 0x3fff_ffff, 0x8000_0000, 0xbfff_ffff] {
        assert_eq!(policy.decide(&call(Arch::X86_64, nr)), Action::Errno(38), "{nr:#x}");
    }
    assert_eq!(policy.decide(&call(Arch::X86_64, 0x4000_0000)), Action::KillProcess);
}

/// An entry that is equal to the default action has no rule in the end, but it names its calls.
#[test]
fn what_an_entry_names_is_not_unlisted() {
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["statmount", "listns"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}"#;
    let target = Target::exactly(&[Arch::X86_64]);
    let policy = |unlisted| {
        let target = target.clone().unlisted(unlisted);
        Profile::from_json(text, Format::Oci).unwrap().resolve(&target).unwrap()
    };
    assert_eq!(policy(V6_12).decide(&call(Arch::X86_64, 470)), Action::Errno(1));
    assert_eq!(policy(V6_12).decide(&call(Arch::X86_64, 469)), Action::Errno(38));
    assert_eq!(policy(Unlisted::RuncStub).decide(&call(Arch::X86_64, 469)), Action::Errno(1));
    assert_eq!(policy(Unlisted::RuncStub).decide(&call(Arch::X86_64, 471)), Action::Errno(38));
}

/// runc's program in front of a filter, from the description of what runc does: the highest number that an entry names
/// on each ABI, a test of the architecture, a comparison of the number. It shares nothing with our resolver.
fn with_runc_stub(filter: &[Insn], arches: &[Arch], names: &[&str]) -> Program {
    let mut highest: BTreeMap<u32, [Option<u32>; 2]> = BTreeMap::new();
    for &arch in arches {
        let top = names.iter().filter_map(|name| arch.number(name)).max();
        let half = usize::from(arch == Arch::X32);
        if top.is_some() {
            highest.entry(arch.audit()).or_default()[half] = top;
        }
    }
    let mut stub = Vec::new();
    for (token, [plain, x32]) in highest {
        let enosys =
            Insn::stmt(opcode::RET_K, enosys(*arches.iter().find(|arch| arch.audit() == token).unwrap()).to_raw());
        let mut body = vec![Insn::stmt(opcode::LD_W_ABS, SyscallData::NR)];
        if [0x16, 0x8000_0016].contains(&token) {
            body.extend([Insn::new(opcode::JEQ_K, 0, 1, 0), enosys]);
        }
        let test = |top: Option<u32>| match top {
            Some(top) => vec![Insn::new(opcode::JGT_K, 0, 1, top), enosys],
            None => vec![],
        };
        if token == Arch::X86_64.audit() {
            let (plain, x32) = (test(plain), test(x32));
            // Numbers with bit 30 go behind the test of the others; either may be missing.
            body.push(Insn::new(opcode::JSET_K, u8::try_from(plain.len() + 1).unwrap(), 0, Arch::X32_BIT));
            let behind = u32::try_from(x32.len()).unwrap();
            body.extend(plain);
            body.push(Insn::stmt(opcode::JA, behind));
            body.extend(x32);
        } else {
            body.extend(test(plain));
        }
        stub.push(Insn::stmt(opcode::LD_W_ABS, SyscallData::ARCH));
        stub.push(Insn::new(opcode::JEQ_K, 0, u8::try_from(body.len()).unwrap(), token));
        stub.extend(body);
    }
    stub.extend_from_slice(filter);
    Program::new(stub).unwrap()
}

fn list(action: &str, names: &[&str]) -> String {
    format!("{{\"names\": {names:?}, \"action\": \"{action}\"}}")
}

#[test]
fn runcs_rule_is_its_own_on_every_abi() {
    let allowed = ["read", "write", "openat", "exit_group", "ioctl", "mmap", "fchmodat2", "no_such_call"];
    // Skipped because it is the default action, and still the highest.
    let denied = ["statmount", "setfsuid32"];
    let names: Vec<&str> = allowed.iter().chain(&denied).copied().collect();
    let few = ["socketcall"];
    for default in ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] {
        for arch in Arch::ALL {
            let groups = [vec![arch], [&[arch][..], arch.compat()].concat()];
            for arches in groups {
                for names in [&names[..], &few[..]] {
                    let entries = if names.len() > 2 {
                        [list("SCMP_ACT_ALLOW", &allowed), list(default, &denied)].join(",")
                    } else {
                        list("SCMP_ACT_ALLOW", names)
                    };
                    let text = format!("{{\"defaultAction\": {default:?}, \"syscalls\": [{entries}]}}");
                    let profile = Profile::from_json(&text, Format::Oci).unwrap();
                    let target = Target::exactly(&arches);
                    let plain = profile.resolve(&target).unwrap();
                    let filter = Compiler::new().compile(&plain).unwrap();
                    let model = with_runc_stub(filter.program().as_insns(), &arches, names);
                    let ours = profile.resolve(&target.unlisted(Unlisted::RuncStub)).unwrap();
                    prove(&model, &ours).unwrap_or_else(|error| panic!("{default} {arches:?}: {error}"));
                    Compiler::new().compile(&ours).unwrap();
                }
            }
        }
    }
}

/// runc adds nothing where the default action lets calls through.
#[test]
fn runc_leaves_open_profiles_alone() {
    for default in ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"] {
        let text = format!("{{\"defaultAction\": {default:?}, \"syscalls\": [{}]}}", list("SCMP_ACT_KILL", &["read"]));
        let profile = Profile::from_json(&text, Format::Oci).unwrap();
        let target = Target::exactly(&[Arch::X86_64, Arch::X32]);
        let same = |policy: &Policy| policy.to_string();
        let plain = profile.resolve(&target).unwrap();
        assert_eq!(same(&profile.resolve(&target.unlisted(Unlisted::RuncStub)).unwrap()), same(&plain), "{default}");
    }
}

/// The judges agree with each other on the container default as well.
#[test]
fn the_container_default_by_release() {
    let profile = Profile::container_default().unwrap();
    for unlisted in [V6_12, Unlisted::RuncStub] {
        for arches in
            [&[Arch::X86_64, Arch::X86, Arch::X32][..], &[Arch::Mips64, Arch::Mips], &[Arch::S390x, Arch::S390]]
        {
            let policy = profile.resolve(&Target::exactly(arches).unlisted(unlisted)).unwrap();
            let filter = Compiler::new().compile(&policy).unwrap();
            for call in boundary_calls(&policy) {
                assert_eq!(
                    simulate(filter.program(), &call, policy.endian()).action(),
                    policy.decide(&call),
                    "{call:?}"
                );
            }
        }
    }
}

#[cfg(all(target_os = "linux", feature = "std"))]
#[test]
fn on_the_running_kernel() {
    let Some(arch) = Arch::NATIVE.filter(|_| common::kernel_has_filters("unlisted on_the_running_kernel")) else {
        return;
    };
    let profile = Profile::container_default().unwrap();
    let policy = profile.resolve(&Target::exactly(&[arch]).unlisted(V6_12)).unwrap();
    let filter = Compiler::new().compile(&policy).unwrap();
    let old = arch.number("keyctl").unwrap();
    let calls: Vec<_> = [arch.number_base() + 2000, arch.number_base() + 473, old].map(|nr| call(arch, nr)).into();
    let seen = common::judge::probe_calls_exactly(filter.program(), &calls);
    let expected = [enosys(arch), enosys(arch), Action::Errno(1)];
    for ((call, seen), expected) in calls.iter().zip(seen).zip(expected) {
        assert_eq!(policy.decide(call), expected);
        assert!(seen.agrees_with(expected), "{call:?}: {seen:?}");
    }
}
