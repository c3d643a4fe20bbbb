//! Random policies: proven at every level, and asked of the running kernel.
//!
//! `cargo test --features fuzzing --test random` does a few thousand; how many is set by CALLSIEVE_POLICIES,
//! CALLSIEVE_PROBES and CALLSIEVE_HOSTILE, and where the numbers start by CALLSIEVE_SEED. A failure names its seed.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod common;

use callsieve::fuzzing::{hostile_rules, policy_to_proof, random_bytes};
use std::time::Instant;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Bytes of the largest policies.
const LEN: usize = 2048;

/// How often the bytes of each sixteenth policy are halved. Small inputs make small policies, which reach other corners
/// than large ones, and five times as many of them in the same time.
const HALVINGS: [u32; 16] = [0, 5, 4, 5, 3, 5, 4, 5, 1, 5, 4, 5, 3, 5, 4, 2];

#[test]
fn every_level_is_proven() {
    let (wanted, mut seed) = (setting("CALLSIEVE_POLICIES", 300), setting("CALLSIEVE_SEED", 1));
    let (first, begin, mut proven) = (seed, Instant::now(), 0);
    while proven < wanted {
        let len = LEN >> HALVINGS[(seed % 16) as usize];
        proven += u64::from(policy_to_proof(&random_bytes(seed, len)));
        seed += 1;
    }
    let (tried, seconds) = (seed - first, begin.elapsed().as_secs());
    println!("{proven} policies proven at every level, of {tried} from seed {first}, in {seconds} s");
    // The rest was too large for a program.
    assert!(tried <= wanted + wanted / 20 + 5, "only {proven} of {tried} have a program at every level");
}

/// Thousands of rules on every ABI of a byte order; the unit tests of the compiler count what they cost.
#[test]
fn hostile_rules_end() {
    let (wanted, first) = (setting("CALLSIEVE_HOSTILE", 10), setting("CALLSIEVE_SEED", 1));
    let begin = Instant::now();
    let made = (first..first + wanted).filter(|&seed| hostile_rules(&random_bytes(seed, 64))).count();
    println!("{made} of {wanted} hostile profiles have filters, from seed {first}, in {} s", begin.elapsed().as_secs());
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod kernel {
    use super::*;
    use arbitrary::{Result, Unstructured};
    use callsieve::arch::Arch;
    use callsieve::bpf::{Action, SyscallData};
    use callsieve::fuzzing::random_policy_for;
    use callsieve::policy::Policy;
    use callsieve::{Compiler, Level, check};
    use common::judge::{Observed, probe_calls, probe_calls_exactly};
    use std::collections::BTreeMap;

    /// Calls of each policy.
    const CALLS: usize = 160;

    /// Nothing is carried out: see `common::judge`.
    #[test]
    fn the_kernel_agrees() {
        if !common::kernel_has_filters("the_kernel_agrees") {
            return;
        }
        let (wanted, mut seed) = (setting("CALLSIEVE_PROBES", 10_000), setting("CALLSIEVE_SEED", 1));
        let (begin, mut policies, mut probes) = (Instant::now(), 0_u64, 0_u64);
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        while probes < wanted {
            let bytes = random_bytes(seed, 4 * LEN);
            let (policy, calls) = case(&mut Unstructured::new(&bytes)).unwrap();
            let level = [Level::Balanced, Level::Size, Level::Speed, Level::Cached, Level::Fast][(seed % 5) as usize];
            if let Ok(filter) = Compiler::new().level(level).compile(&policy) {
                // Telling weak actions apart takes a tracer.
                let exactly = seed % 16 == 0;
                let probe = if exactly { probe_calls_exactly } else { probe_calls };
                for (call, seen) in calls.iter().zip(probe(filter.program(), &calls)) {
                    let said = policy.decide(call);
                    assert!(seen.agrees_with(said), "seed {seed}: {call:x?} is {said}, the kernel has {seen:?}");
                    if !matches!(seen, Observed::Exempt | Observed::NoSuchAbi) {
                        probes += 1;
                        *kinds.entry(said.kind()).or_default() += 1;
                        *kinds.entry(abi(call)).or_default() += 1;
                    }
                }
                policies += 1;
            }
            seed += 1;
        }
        let seconds = begin.elapsed().as_secs();
        println!(
            "{probes} probes of {policies} policies agree with the kernel, up to seed {seed}, in {seconds} s: {kinds:?}"
        );
        let least = wanted / 200;
        for action in [Action::KillProcess, Action::KillThread, Action::Trap(0), Action::Errno(0), Action::Allow] {
            assert!(kinds.get(action.kind()).is_some_and(|&count| count >= least), "{action}: {kinds:?}");
        }
        assert!(["x86_64", "x32"].iter().all(|abi| kinds.get(abi).is_some_and(|&count| count >= least)), "{kinds:?}");
        if common::calls::has_i386() {
            assert!(kinds.get("i386").is_some_and(|&count| count >= least), "{kinds:?}");
        } else {
            common::skip("the_kernel_agrees", "the kernel does not take calls of this ABI");
        }
    }

    fn abi(call: &SyscallData) -> &'static str {
        match Arch::of_call(call.arch, call.nr) {
            Some(Arch::X86) => "i386",
            Some(Arch::X32) => "x32",
            _ => "x86_64",
        }
    }

    /// A policy for some ABIs of this machine, and calls: half of them at its borders, the rest by chance.
    fn case(u: &mut Unstructured<'_>) -> Result<(Policy, Vec<SyscallData>)> {
        let lists: [&[Arch]; 5] = [
            &[Arch::X86_64],
            &[Arch::X86_64, Arch::X86],
            &[Arch::X86_64, Arch::X86, Arch::X32],
            &[Arch::X86, Arch::X86_64],
            &[Arch::X32],
        ];
        let arches = *u.choose(&lists)?;
        let policy = random_policy_for(u, arches)?;
        let borders: Vec<_> = check::boundary_calls(&policy).into_iter().filter(askable).collect();
        let mut calls = Vec::new();
        for _ in 0..CALLS {
            calls.push(if u.ratio(1, 2)? && !borders.is_empty() { *u.choose(&borders)? } else { call(u)? });
        }
        Ok((policy, calls))
    }

    fn askable(call: &SyscallData) -> bool {
        [Arch::X86_64, Arch::X86].iter().any(|arch| arch.audit() == call.arch)
    }

    fn call(u: &mut Unstructured<'_>) -> Result<SyscallData> {
        let arch = *u.choose(&[Arch::X86_64, Arch::X86])?;
        let nr = match u.int_in_range(0..=7)? {
            0 => u.arbitrary()?,
            1 => Arch::X32_BIT | u.int_in_range(0..=600_u32)?,
            _ => u.int_in_range(0..=600_u32)?,
        };
        let wide = arch.has_64bit_args();
        let mut args = [0; 6];
        for arg in &mut args {
            *arg = match u.int_in_range(0..=4)? {
                0 => u.arbitrary()?,
                1 => 1 << u.int_in_range(0..=63)?,
                2 => u64::MAX,
                _ => u.int_in_range(0..=40)?,
            };
            *arg &= if wide { u64::MAX } else { u64::from(u32::MAX) };
        }
        Ok(SyscallData { nr, arch: arch.audit(), args, ..SyscallData::default() })
    }
}
