//! Compiled filters on the running kernel: what it does is what the policy says.
#![cfg(all(target_os = "linux", feature = "std", feature = "json"))]
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod common;

use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::kernel::{Install, InstallError, Mode, host_target, status};
use callsieve::policy::{ArgWidth, Policy, Target};
use callsieve::profile::{Profile, arg};
use callsieve::{Compiler, Filter};
use common::judge::{Observed, probe_calls_exactly};
use common::{child_passes, kernel_has_filters};

fn compiled(profile: &Profile, target: &Target) -> (Policy, Filter) {
    let policy = profile.resolve(target).unwrap();
    let filter = Compiler::new().compile(&policy).unwrap();
    (policy, filter)
}

/// This machine's ABIs that a test can make calls of.
fn target() -> Target {
    if cfg!(target_arch = "x86_64") {
        Target::exactly(&[Arch::X86_64, Arch::X86, Arch::X32])
    } else {
        Target::new(Arch::NATIVE.unwrap())
    }
}

fn disagreements(policy: &Policy, filter: &Filter, calls: &[SyscallData]) -> Vec<(SyscallData, Action, Observed)> {
    let seen = probe_calls_exactly(filter.program(), calls);
    let judged = calls.iter().zip(seen).map(|(&call, seen)| (call, policy.decide(&call), seen));
    judged.filter(|(_, said, seen)| !seen.agrees_with(*said)).collect()
}

/// Every number of the tables and some beyond, of every ABI, with a few arguments.
#[test]
fn the_container_default_is_what_it_says() {
    if !kernel_has_filters("the_container_default_is_what_it_says") {
        return;
    }
    let (policy, filter) = compiled(&Profile::container_default().unwrap(), &target());
    let numbers = (0..480).chain([999, 0x7fff_ffff, 0x8000_0000, u32::MAX]);
    let mut calls = Vec::new();
    for arch in policy.arches() {
        let bit = if arch == Arch::X32 { Arch::X32_BIT } else { 0 };
        for nr in numbers.clone() {
            for args in [[0; 6], [0x7e02_0000, 40, 0, 0, 0, 0], [u64::MAX; 6]] {
                calls.push(SyscallData { nr: nr | bit, arch: arch.audit(), args, ..SyscallData::default() });
            }
        }
    }
    assert_eq!(disagreements(&policy, &filter, &calls), []);
    // Another policy would have been noticed.
    let (other, _) = compiled(&Profile::new(Action::Errno(38)), &target());
    assert!(disagreements(&other, &filter, &calls).len() > 900);
}

/// The families that the container default refuses stay refused whatever a program leaves in the upper half of the
/// register, and the filter gets shorter.
#[test]
fn typed_widths_hold_for_every_upper_half() {
    let profile = Profile::container_default().unwrap();
    let (policy, filter) = compiled(&profile, &target());
    let (written, wide) = compiled(&profile, &target().arg_width(ArgWidth::Written));
    let [typed, wide_length] = [&filter, &wide].map(|filter| filter.program().as_insns().len());
    // ABIs of 32 bits have no upper halves to look at.
    assert!(if policy.arches().any(Arch::has_64bit_args) { typed < wide_length } else { typed == wide_length });
    if !kernel_has_filters("typed_widths_hold_for_every_upper_half") {
        return;
    }
    let uppers = (0..32).map(|bit| 1u64 << bit).chain([0, 3, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff]);
    let lows = (0..48).chain([0x7fff_ffff, 0x8000_0000, 0xffff_ffff]);
    let mut calls = Vec::new();
    for arch in policy.arches().filter(|arch| arch.has_64bit_args()) {
        for (name, lows) in
            [("socket", lows.clone().collect::<Vec<u64>>()), ("personality", vec![0, 8, 9, 0xffff_ffff])]
        {
            let nr = arch.number(name).unwrap();
            for low in lows {
                let call = |upper: u64| SyscallData {
                    nr,
                    arch: arch.audit(),
                    args: [upper << 32 | low, 1, 0, 0, 0, 0],
                    ..SyscallData::default()
                };
                for upper in uppers.clone() {
                    assert_eq!(policy.decide(&call(upper)), policy.decide(&call(0)), "{arch} {name} {upper:#x} {low}");
                    calls.push(call(upper));
                }
            }
        }
    }
    assert_eq!(disagreements(&policy, &filter, &calls), []);
    // Without the types, the family of AF_VSOCK passes.
    assert!(disagreements(&written, &filter, &calls).len() > 30);
}

const EDGE: u64 = 0x1_8000_0000;

/// Every kind of condition at its edges, and every action.
#[test]
fn conditions_at_their_edges() {
    if !kernel_has_filters("conditions_at_their_edges") {
        return;
    }
    let profile = Profile::new(Action::Errno(38))
        .rule(Action::Errno(1), "read", [arg::<0>().eq(EDGE)])
        .rule(Action::Trap(2), "write", [arg::<1>().ge(EDGE)])
        .rule(Action::Log, "close", [arg::<2>().lt(EDGE)])
        .rule(Action::Trace(3), "dup", [arg::<3>().masked_eq(EDGE, 0x8000_0000)])
        .rule(Action::KillThread, "getpid", [arg::<4>().ne(EDGE)])
        .rule(Action::Notify, "gettid", [arg::<5>().gt(EDGE)])
        .rule(Action::KillProcess, "getppid", [arg::<0>().le(EDGE), arg::<5>().ge(7)]);
    let arch = Arch::NATIVE.unwrap();
    let (policy, filter) = compiled(&profile, &Target::exactly(&[arch]).arg_width(ArgWidth::Written));
    let mut calls = Vec::new();
    for name in ["read", "write", "close", "dup", "getpid", "gettid", "getppid"] {
        let nr = arch.number(name).unwrap();
        for value in [0, 7, EDGE - 1, EDGE, EDGE + 1, 0x8000_0000, 0x1_0000_0000, EDGE | 1 << 32, EDGE << 32, u64::MAX]
        {
            calls.push(SyscallData { nr, arch: arch.audit(), args: [value; 6], ..SyscallData::default() });
        }
    }
    assert_eq!(disagreements(&policy, &filter, &calls), []);
}

#[test]
fn a_filter_installs_itself() {
    if !kernel_has_filters("a_filter_installs_itself") {
        return;
    }
    let (policy, filter) = compiled(&Profile::container_default().unwrap(), &host_target().unwrap());
    let install = Install::from_policy(&policy).unwrap();
    child_passes(|checks| {
        checks.that(filter.install(install).is_ok());
        checks.that(status().is_ok_and(|status| status.mode() == Mode::Filter));
        checks.that(common::calls::native(common::number(libc::SYS_keyctl), [0; 6]) == -1);
    });
}

#[test]
fn a_foreign_filter_is_refused() {
    let foreign = [Arch::Aarch64, Arch::S390x, Arch::X86, Arch::X86_64];
    for arch in foreign.into_iter().filter(|&arch| Some(arch) != Arch::NATIVE) {
        let (_, filter) = compiled(&Profile::container_default().unwrap(), &Target::exactly(&[arch]));
        child_passes(|checks| {
            let before = status();
            checks.that(filter.install(Install::new()) == Err(InstallError::ForeignArch));
            checks.that(status() == before);
        });
    }
}
