//! A service runs plugins, each with a profile that its author wrote, and some calls must never be allowed, whatever the
//! profile and the options say. Here that is tried with random profiles (feature `fuzzing`), and then proven for one.
//!
//!     cargo run --example never_allowed --features fuzzing

use arbitrary::{Arbitrary, Unstructured};
use callsieve::bpf::SyscallData;
use callsieve::check::{Expectations, boundary_calls};
use callsieve::fuzzing::random_bytes;
use callsieve::policy::{ArgWidth, Target, UnlistedX32};
use callsieve::{Action, Arch, Policy, Profile};
use std::error::Error;

const NEVER: [&str; 4] = ["ptrace", "mount", "bpf", "kexec_load"];

/// What a plugin gets: what its own profile and the service both allow.
fn sandbox(theirs: &Profile, target: &Target) -> Result<Policy, Box<dyn Error>> {
    let ours = Profile::new(Action::Allow).rule(Action::Errno(1), NEVER, []).portable().resolve(target)?;
    Ok(Policy::intersection([&ours, &theirs.resolve(target)?])?)
}

/// Random profiles, options and calls: what `cargo fuzz` would do with the same few lines, and with coverage.
fn tried(rounds: u64) -> Result<(u64, u64), Box<dyn Error>> {
    let (mut policies, mut calls) = (0, 0);
    for seed in 0..rounds {
        let bytes = random_bytes(seed, 4096);
        let mut u = Unstructured::new(&bytes);
        let (theirs, target) = (Profile::arbitrary(&mut u)?, Target::arbitrary(&mut u)?);
        // A profile that contradicts itself is refused.
        let Ok(policy) = sandbox(&theirs, &target) else { continue };
        policies += 1;
        for call in boundary_calls(&policy).into_iter().chain(SyscallData::arbitrary(&mut u)) {
            let arch = Arch::of_call(call.arch, call.nr).filter(|arch| policy.arches().any(|listed| listed == *arch));
            let name = arch.and_then(|arch| arch.name(call.nr));
            if name.is_some_and(|name| NEVER.contains(&name)) {
                calls += 1;
                assert!(policy.decide(&call) < Action::Log, "seed {seed}: {call:x?} is allowed");
            }
        }
    }
    Ok((policies, calls))
}

/// For one profile nothing has to be tried: every argument of every listed ABI is looked at, exactly.
fn proven(theirs: &Profile, target: &Target) -> Result<bool, Box<dyn Error>> {
    let expectations: Expectations = NEVER.map(|call| format!("{call}: deny\n")).concat().parse()?;
    Ok(expectations.check(&sandbox(theirs, target)?)?.is_empty())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (policies, calls) = tried(300)?;
    println!("{policies} random profiles with random options: none of {calls} such calls is allowed");
    assert!(policies > 100 && calls > 1000);
    let theirs = Profile::new(Action::Allow);
    for x32 in [UnlistedX32::BadArch, UnlistedX32::Default] {
        for width in [ArgWidth::Typed, ArgWidth::Written] {
            let target = Target::exactly(&[Arch::X86_64, Arch::X86]).unlisted_x32(x32).arg_width(width);
            assert!(proven(&theirs, &target)?, "{x32:?}, {width:?}");
        }
    }
    println!("proven for a profile that allows everything, whatever the options");
    Ok(())
}
