//! Random values of the public types, for programs that test their own policies.

use super::policy::{action, value};
use crate::arch::{Arch, KernelVersion, Syscall};
use crate::bpf::SyscallData;
use crate::policy::{ArgWidth, Capabilities, Semantics, Target, Unlisted, UnlistedX32};
use crate::profile::{Arg, Op, Profile, Width};
use alloc::vec::Vec;
use arbitrary::{Arbitrary, Result, Unstructured};
use core::fmt::Debug;
use proptest::prelude::{Strategy, any, prop};

/// Rules for calls that some ABI has, with conditions at the borders of words. It can be resolved for every target
/// ([`Profile::portable`]), unless rules contradict each other where that is an error.
impl<'a> Arbitrary<'a> for Profile {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut profile = Self::new(action(u)?).portable();
        for _ in 0..u.int_in_range(0..=16)? {
            let call = syscall(u)?;
            let conditions = if u.ratio(1, 2)? { u.int_in_range(1..=3)? } else { 0 };
            let conditions: Vec<Arg> = (0..conditions).map(|_| condition(u)).collect::<Result<_>>()?;
            profile = profile.rule(action(u)?, call.name(), conditions.as_slice());
        }
        Ok(profile)
    }
}

/// One to three ABIs of one byte order, and every option.
impl<'a> Arbitrary<'a> for Target {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let native = *u.choose(&Arch::ALL)?;
        let mut arches = Vec::from([native]);
        for _ in 0..u.int_in_range(0..=2)? {
            let other = *u.choose(&Arch::ALL)?;
            if other.endian() == native.endian() && !arches.contains(&other) {
                arches.push(other);
            }
        }
        let capabilities = [Capabilities::docker(), Capabilities::podman(), Capabilities::none(), Capabilities::all()];
        let newer_than = KernelVersion::new(u.int_in_range(3..=7)?, u.int_in_range(0..=19)?);
        let mut target = Self::exactly(&arches)
            .kernel(KernelVersion::new(u.int_in_range(3..=7)?, u.int_in_range(0..=19)?))
            .capabilities(*u.choose(&capabilities)?)
            .unlisted(*u.choose(&[Unlisted::Default, Unlisted::Enosys { newer_than }, Unlisted::RuncStub])?)
            .semantics(*u.choose(&[Semantics::Oci, Semantics::Oci, Semantics::Strict, Semantics::Ordered])?)
            .arg_width(*u.choose(&[ArgWidth::Written, ArgWidth::Typed])?);
        if u.arbitrary()? {
            target = target.bad_arch(action(u)?);
        }
        if u.arbitrary()? {
            let answer = UnlistedX32::Action(action(u)?);
            target = target.unlisted_x32(*u.choose(&[UnlistedX32::BadArch, UnlistedX32::Default, answer])?);
        }
        Ok(target)
    }
}

/// Mostly calls that an ABI has, with arguments at the borders of words.
impl<'a> Arbitrary<'a> for SyscallData {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let arch = *u.choose(&Arch::ALL)?;
        let known = if u.ratio(7, 8)? { syscall(u)?.number(arch) } else { None };
        let (nr, token) = match known {
            Some(nr) => (nr, arch.audit()),
            None => (u.arbitrary()?, if u.arbitrary()? { arch.audit() } else { u.arbitrary()? }),
        };
        let mut args = [0; 6];
        for arg in &mut args {
            *arg = value(u)?;
        }
        Ok(Self { nr, arch: token, instruction_pointer: u.arbitrary()?, args })
    }
}

fn syscall(u: &mut Unstructured<'_>) -> Result<Syscall> {
    let all = Syscall::all();
    let index = u.choose_index(all.clone().count())?;
    all.clone().nth(index).ok_or(arbitrary::Error::EmptyChoose)
}

fn condition(u: &mut Unstructured<'_>) -> Result<Arg> {
    let width = if u.ratio(1, 4)? { Width::Bits32 } else { Width::Bits64 };
    let fits = if width == Width::Bits32 { u64::from(u32::MAX) } else { u64::MAX };
    let op = *u.choose(&[Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::MaskedEq])?;
    let (number, mask) = (value(u)? & fits, value(u)? & fits | 1);
    let (value, value_two) = if op == Op::MaskedEq { (mask, number & mask) } else { (number, 0) };
    Ok(Arg { index: u.int_in_range(0..=5)?, op, value, value_two, width })
}

/// A strategy of proptest for profiles, as [`Arbitrary`] makes them.
///
/// ```
/// use callsieve::check::boundary_calls;
/// use callsieve::fuzzing::{profiles, targets};
/// use proptest::{prop_assert_ne, proptest};
/// use callsieve::{Action, Policy};
///
/// proptest!(|(theirs in profiles(), target in targets())| {
///     // Whatever somebody else's profile says, calls that ours kills are never allowed.
///     let ours = callsieve::Profile::new(Action::Allow).rule(Action::KillProcess, "ptrace", []).portable();
///     let (Ok(ours), Ok(theirs)) = (ours.resolve(&target), theirs.resolve(&target)) else { return Ok(()) };
///     let Ok(both) = Policy::intersection([&ours, &theirs]) else { return Ok(()) };
///     for call in boundary_calls(&ours) {
///         if ours.decide(&call) == Action::KillProcess {
///             prop_assert_ne!(both.decide(&call), Action::Allow);
///         }
///     }
/// });
/// ```
pub fn profiles() -> impl Strategy<Value = Profile> {
    from_bytes(1024)
}

/// A strategy of proptest for targets.
pub fn targets() -> impl Strategy<Value = Target> {
    from_bytes(64)
}

/// A strategy of proptest for calls.
pub fn calls() -> impl Strategy<Value = SyscallData> {
    from_bytes(96)
}

/// Fewer and smaller bytes make fewer and smaller parts.
fn from_bytes<T: for<'a> Arbitrary<'a> + Debug>(len: usize) -> impl Strategy<Value = T> {
    prop::collection::vec(any::<u8>(), len..=len)
        .prop_filter_map("not enough bytes", |bytes| T::arbitrary(&mut Unstructured::new(&bytes)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Action;
    use crate::fuzzing::random_bytes;

    /// What is made is worth making: most of it can be resolved, it compiles, and calls are known ones that get different
    /// answers.
    #[test]
    fn values_are_of_use() {
        let (mut resolved, mut allowed, mut denied) = (0, 0, 0);
        for seed in 0..200 {
            let bytes = random_bytes(seed, 4096);
            let mut u = Unstructured::new(&bytes);
            let (profile, target) = (Profile::arbitrary(&mut u).unwrap(), Target::arbitrary(&mut u).unwrap());
            let Ok(policy) = profile.resolve(&target) else { continue };
            resolved += 1;
            for _ in 0..8 {
                match policy.decide(&SyscallData::arbitrary(&mut u).unwrap()) {
                    Action::Allow => allowed += 1,
                    _ => denied += 1,
                }
            }
        }
        assert!(resolved > 150 && allowed > 100 && denied > 100, "{resolved} {allowed} {denied}");
    }

    proptest::proptest! {
        #[test]
        fn strategies_make_values(profile in profiles(), target in targets(), call in calls()) {
            if let Ok(policy) = profile.resolve(&target) {
                policy.decide(&call);
            }
        }
    }
}
