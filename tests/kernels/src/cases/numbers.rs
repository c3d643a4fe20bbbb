//! Numbers and ABIs: several ABIs in one filter, unlisted ones, numbers beyond every table, filters near the limit.

use super::Abi;
use crate::case::{Call, Case};
use crate::run::Failure;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, MAX_INSNS};
use callsieve::policy::UnlistedX32;
use callsieve::{Policy, Profile, Target, arg};

const DENIED: Action = Action::Errno(77);

pub fn cases(abi: Abi) -> Result<Vec<Case>, Failure> {
    let mut cases = vec![beyond(abi, Action::Allow)?, beyond(abi, DENIED)?, foreign(abi, Action::Errno(66))?];
    cases.push(foreign(abi, Action::KillProcess)?);
    cases.extend(several(abi)?);
    cases.push(x32_gate(abi)?);
    cases.push(near_the_limit(abi)?);
    Ok(cases)
}

/// Numbers that mean something at the edges of tables and of words.
fn odd_numbers(abi: Abi) -> Vec<u32> {
    let base = abi.arch.number_base();
    let mut numbers: Vec<u32> = (0..40).map(|k| base + 440 + k).chain([base + 600, base + 899]).collect();
    numbers.extend([0xf_0000, 0xf_0001, 0xf_0002, 0xf_0005, 0xf_0006, 0xf_0007, 0xf_07ff, 0xf_0800, 0xf_ffff]);
    numbers.extend([0xffff, 0x1_0000, 0x3fff_ffff, 0x7fff_fffe, 0x7fff_ffff, 0x8000_0000, 0xbfff_ffff, 0xc000_0000]);
    numbers.extend([0xffff_fffe, u32::MAX]);
    // In no column of a table, and above and below the bases of MIPS.
    numbers.extend([3999, 4999, 5999, 6999, 7000]);
    abi.filtered(numbers)
}

/// What is beyond every table gets the default action or what a rule says.
fn beyond(abi: Abi, default: Action) -> Result<Case, Failure> {
    let numbers = odd_numbers(abi);
    let mut profile = Profile::new(default);
    // On x86_64 numbers with bit 30 are those of x32, and the other way round.
    let own = |nr: &&u32| match abi.arch {
        Arch::X86_64 => **nr & Arch::X32_BIT == 0 || **nr == u32::MAX,
        Arch::X32 => **nr & Arch::X32_BIT != 0 && **nr != u32::MAX,
        _ => true,
    };
    for (data, nr) in (1..).zip(numbers.iter().filter(own)).step_by(3) {
        profile = profile.rule(Action::Errno(data), (abi.arch, *nr), []);
    }
    let target = Target::exactly(&[abi.arch]);
    let calls = numbers.iter().map(|&nr| abi.call(nr, [0; 6])).collect();
    Case::new(format!("beyond the tables, default {default}"), profile.resolve(&target)?, calls)
}

/// A filter for machines of another kind.
fn foreign(abi: Abi, bad_arch: Action) -> Result<Case, Failure> {
    let other = if abi.arch == Arch::Riscv64 { Arch::Loongarch64 } else { Arch::Riscv64 };
    let policy = Profile::new(DENIED).allow("getpid").resolve(&Target::exactly(&[other]).bad_arch(bad_arch))?;
    let numbers = abi.harmless().into_iter().take(3).chain([abi.arch.number_base() + 600, u32::MAX]);
    Case::new(format!("of another machine, {bad_arch}"), policy, numbers.map(|nr| abi.call(nr, [1; 6])).collect())
}

/// Filters for all ABIs of the kernel, and for all but this one.
fn several(abi: Abi) -> Result<Vec<Case>, Failure> {
    let mut profile = Profile::new(DENIED).allow(["getpid", "getppid"]).rule(Action::Trap(3), "gettid", []);
    profile = profile.allow_if("sched_yield", [arg::<0>().ge(5), arg::<0>().le(0xffff_ffff)]);
    // The same call gets another answer on each ABI.
    for (data, &arch) in (1..).zip(abi.kernel) {
        let nr = arch.number("getuid").unwrap_or_default();
        profile = profile.rule(Action::Errno(data), (arch, nr), [arg::<1>().eq(5)]);
        profile = profile.rule(Action::Errno(data + 10), (arch, arch.number_base() + 601), []);
    }
    let calls = |abi: Abi| {
        let mut calls: Vec<Call> = abi.harmless().into_iter().map(|nr| abi.call(nr, [5; 6])).collect();
        let [.., yields, _, _] = abi.harmless();
        calls.extend([4, 5, 0xffff_ffff, 1 << 32, u64::MAX].map(|value| abi.call(yields, [value, 0, 0, 0, 0, 0])));
        calls.extend([600, 601, 602].map(|nr| abi.call(abi.arch.number_base() + nr, [0; 6])));
        calls
    };
    let container = Profile::container_default()?.resolve(&Target::exactly(abi.kernel))?;
    let numbers = abi.filtered(abi.arch.syscalls().map(|(nr, _)| nr).step_by(3));
    let mut cases = vec![
        Case::new("all ABIs", profile.resolve(&Target::exactly(abi.kernel))?, calls(abi))?,
        Case::new("container-default, all ABIs", container, numbers.iter().map(|&nr| abi.call(nr, [0; 6])).collect())?,
    ];
    let others: Vec<Arch> = abi.kernel.iter().copied().filter(|&arch| arch != abi.arch).collect();
    if !others.is_empty() {
        let target = Target::exactly(&others).bad_arch(Action::Errno(66));
        cases.push(Case::new("all other ABIs", profile.resolve(&target)?, calls(abi))?);
    }
    Ok(cases)
}

/// Numbers with bit 30: x32 where there is such a thing, else of no meaning.
fn x32_gate(abi: Abi) -> Result<Case, Failure> {
    let target =
        Target::exactly(&[abi.arch]).bad_arch(Action::Errno(66)).unlisted_x32(UnlistedX32::Action(Action::Errno(67)));
    let policy = Profile::new(DENIED).allow(["getpid", "read"]).resolve(&target)?;
    let getpid = abi.number("getpid");
    let odd = [getpid ^ Arch::X32_BIT, getpid | 0x8000_0000, 0x4000_0000, 0x4000_03ff, 0x8000_0000, u32::MAX];
    let calls = odd.into_iter().chain([getpid]);
    Case::new("bit 30", policy, calls.map(|nr| abi.call(nr, [0; 6])).collect())
}

/// A filter with nearly as many instructions as the kernel takes.
fn near_the_limit(abi: Abi) -> Result<Case, Failure> {
    // About two instructions each; what it really takes is found by bisection.
    let (mut few, mut many) = (200_u32, 2000);
    let mut best: Option<(u32, Case)> = None;
    while few + 20 < many {
        let conditions = few.midpoint(many);
        match Case::new("near the limit", large(abi, conditions)?, large_calls(abi, conditions)) {
            Ok(case) => {
                let enough = case.longest() > MAX_INSNS - 200;
                (few, best) = (conditions, Some((conditions, case)));
                if enough {
                    break;
                }
            }
            Err(_) => many = conditions,
        }
    }
    let (_, case) = best.ok_or("no large filter could be compiled")?;
    assert!(case.longest() > MAX_INSNS - 400, "{} has only {} instructions", case.name, case.longest());
    Ok(case)
}

fn value(condition: u32) -> u64 {
    u64::from(condition.wrapping_mul(0x9e37_79b9))
}

/// As many conditions, on a few calls.
fn large(abi: Abi, conditions: u32) -> Result<Policy, Failure> {
    let mut profile = Profile::new(DENIED);
    for condition in 0..conditions {
        let nr = abi.harmless()[condition as usize % 8];
        let errno = Action::Errno(u16::try_from(condition % 3000)? + 100);
        profile = profile.rule(errno, (abi.arch, nr), [arg::<1>().eq(value(condition))]);
    }
    Ok(profile.resolve(&Target::exactly(&[abi.arch]))?)
}

fn large_calls(abi: Abi, conditions: u32) -> Vec<Call> {
    let some = (0..conditions).step_by(conditions as usize / 60).chain([conditions - 1]);
    let call = |condition: u32, value| abi.call(abi.harmless()[condition as usize % 8], [0, value, 0, 0, 0, 0]);
    some.flat_map(|at| [call(at, value(at)), call(at, value(at) ^ 4), call(at, value(at) | 1 << 50)]).collect()
}
