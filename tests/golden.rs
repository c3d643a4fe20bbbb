//! Golden listings: what the compiler makes of a few profiles, reviewed like code.
//!
//! `BLESS=1 cargo test --test golden` writes them again; read the difference before you commit it.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests fail as tests do.

use callsieve::arch::{Arch, KernelVersion};
use callsieve::bpf::SyscallData;
use callsieve::policy::{Policy, Target, Unlisted};
use callsieve::profile::Profile;
use callsieve::{Compiler, Filter, Level, check};
use std::collections::BTreeSet;
use std::path::PathBuf;

#[path = "../benches/policies/mod.rs"]
mod policies;

/// Compares a listing with `tests/golden/NAME.txt`.
#[track_caller]
fn golden(name: &str, policy: &Policy) {
    let filter = Compiler::new().compile(policy).unwrap();
    let text = format!("{}\n{}", filter.report(), check::disassemble(filter.program(), filter.endian()));
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == wanted, "{name} is not as in {}; BLESS=1 rewrites it:\n{text}", path.display());
}

#[track_caller]
fn container_default(name: &str, arches: &[Arch]) {
    let target = Target::exactly(arches).kernel(KernelVersion::new(6, 12));
    golden(name, &Profile::container_default().unwrap().resolve(&target).unwrap());
}

#[test]
fn container_default_x86_64() {
    container_default("container-default-x86_64", &[Arch::X86_64]);
}

#[test]
fn container_default_x86_64_x86_x32() {
    container_default("container-default-x86_64-x86-x32", &[Arch::X86_64, Arch::X86, Arch::X32]);
}

#[test]
fn container_default_aarch64_arm() {
    container_default("container-default-aarch64-arm", &[Arch::Aarch64, Arch::Arm]);
}

#[test]
fn container_default_s390x_s390() {
    container_default("container-default-s390x-s390", &[Arch::S390x, Arch::S390]);
}

#[test]
fn container_default_mips64n32() {
    container_default("container-default-mips64n32", &[Arch::Mips64n32]);
}

#[test]
fn benchmark_policies() {
    for (name, text) in policies::ALL {
        let (profile, target) = policies::load(text).unwrap();
        golden(name, &profile.resolve(&target).unwrap());
    }
}

/// ENOSYS for calls newer than a kernel is more intervals of numbers without a rule, and no step for a call that is
/// listed.
#[test]
fn enosys_for_newer_calls_costs_listed_ones_nothing() {
    let (_, p1) = policies::ALL[0];
    let (profile, target) = policies::load(p1).unwrap();
    let newer_than = KernelVersion::new(6, 12);
    let plain = profile.resolve(&target).unwrap();
    let with = profile.resolve(&target.unlisted(Unlisted::Enosys { newer_than })).unwrap();
    golden("p1-enosys-6.12", &with);
    let calls = check::boundary_calls(&plain);
    let default = plain.decide(&SyscallData { nr: u32::MAX, ..calls[0] });
    let listed: BTreeSet<(u32, u32)> =
        calls.iter().filter(|call| plain.decide(call) != default).map(|call| (call.arch, call.nr)).collect();
    assert!(listed.len() > 300);
    for level in [Level::Size, Level::Balanced, Level::Speed, Level::Cached] {
        let compiled = |policy| Compiler::new().level(level).compile(policy).unwrap();
        let (before, after) = (compiled(&plain), compiled(&with));
        let (short, long) = (before.program().as_insns().len(), after.program().as_insns().len());
        assert!(long <= short + 6, "{level:?}: {long} instructions, {short} without");
        for call in calls.iter().filter(|call| listed.contains(&(call.arch, call.nr))) {
            let steps = |filter: &Filter| check::simulate(filter.program(), call, filter.endian()).steps;
            let (then, now) = (steps(&before), steps(&after));
            assert!(now <= then, "{level:?}: {call:?} takes {now} steps, {then} without");
        }
    }
}
