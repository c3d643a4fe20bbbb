//! The calls at which a filter is most likely to be wrong.

use crate::arch::Arch;
use crate::bpf::SyscallData;
use crate::policy::{Condition, Gate, Policy, Rule, Section, Test};
use crate::profile::Width;
use alloc::vec::Vec;

/// Calls at the borders of everything that a policy tells apart: every number with rules and its neighbours, the ends
/// of the number spaces, unlisted architectures, and for each number the arguments of [`boundary_arguments`].
///
/// The same policy gives the same calls in the same order. They are some thousands for a container profile; no proof,
/// but a dense sample for tests and for counting steps.
///
/// ```
/// use callsieve::arch::Arch;
/// use callsieve::bpf::Action;
/// use callsieve::check::boundary_calls;
/// use callsieve::policy::Target;
/// use callsieve::profile::{Profile, arg};
///
/// let profile = Profile::new(Action::Errno(1)).allow_if("ioctl", [arg::<1>().eq(0x5401)]);
/// let policy = profile.resolve(&Target::new(Arch::Aarch64))?;
/// let calls = boundary_calls(&policy);
/// assert!(calls.iter().any(|call| policy.decide(call) == Action::Allow));
/// assert!(calls.iter().any(|call| call.nr == 29 && call.args[1] == 0x5402));
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
pub fn boundary_calls(policy: &Policy) -> Vec<SyscallData> {
    let mut tokens: Vec<u32> = policy.arches().map(Arch::audit).collect();
    tokens.sort_unstable();
    tokens.dedup();
    let mut calls = Vec::new();
    for &arch in &tokens {
        for nr in boundary_numbers(policy, arch) {
            let vectors = boundary_arguments(policy, arch, nr);
            calls.extend(vectors.into_iter().map(|args| SyscallData { nr, arch, instruction_pointer: 0, args }));
        }
    }
    let strange = tokens.iter().flat_map(|token| [token ^ 0x8000_0000, token ^ 0x4000_0000, token.wrapping_add(1)]);
    let strange = strange.chain([0, u32::MAX]).filter(|token| !tokens.contains(token));
    for arch in strange {
        let numbers = [0, 1, 59, Arch::X32_BIT, u32::MAX];
        calls.extend(numbers.map(|nr| SyscallData { nr, arch, ..SyscallData::default() }));
    }
    calls
}

/// The numbers with rules, their neighbours, and the ends of the spaces that the gate tells apart.
fn boundary_numbers(policy: &Policy, token: u32) -> Vec<u32> {
    let ends = [0, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xbfff_ffff, 0xc000_0000, 0xffff_fffe];
    let sections = policy.sections.iter().filter(|section| section.arch.audit() == token);
    let unlisted =
        |section: &Section| section.unlisted.iter().flat_map(|span| [span.first, span.last]).collect::<Vec<_>>();
    let known = sections.flat_map(|section| section.calls.keys().copied().chain(unlisted(section)));
    let mut numbers: Vec<u32> = known.flat_map(|nr| [nr.saturating_sub(1), nr, nr.saturating_add(1)]).collect();
    numbers.extend(ends);
    numbers.push(u32::MAX);
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Argument vectors at the borders of the conditions for a number: all zero, all ones, and around each constant its
/// neighbours, the same with bits 32 and 63 set, masks and their complements. Each constant is tried alone and
/// together with values that meet the other conditions of its rule.
///
/// Sorted, each vector once, never empty.
///
/// ```
/// use callsieve::{Action, Arch, Profile, Target, arg, check};
/// let profile = Profile::new(Action::Errno(1)).allow_if("ioctl", [arg::<1>().eq(0x5401)]);
/// let policy = profile.resolve(&Target::new(Arch::Aarch64))?;
/// let vectors = check::boundary_arguments(&policy, Arch::Aarch64.audit(), 29);
/// assert!(vectors.contains(&[0, 0x5402, 0, 0, 0, 0]));
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
pub fn boundary_arguments(policy: &Policy, token: u32, nr: u32) -> Vec<[u64; 6]> {
    let mut vectors = alloc::vec![[0; 6], [u64::MAX; 6]];
    let rules = match policy.gate(token, nr) {
        Gate::Section(section) => section.calls.get(&nr).map_or(&[][..], |rules| rules),
        Gate::Refused(_) => &[],
    };
    for rule in rules {
        let met = meeting(rule);
        vectors.push(met);
        for condition in &rule.conditions {
            for value in around(condition) {
                for base in [[0; 6], [u64::MAX; 6], met] {
                    vectors.push(with(base, condition.arg, value));
                }
            }
        }
    }
    vectors.sort_unstable();
    vectors.dedup();
    vectors
}

/// Arguments that meet all conditions of a rule, as far as one value for each condition can.
fn meeting(rule: &Rule) -> [u64; 6] {
    rule.conditions.iter().fold([0; 6], |args, condition| {
        let value = match condition.test {
            Test::Eq(value) | Test::Le(value) | Test::Ge(value) | Test::MaskedEq { value, .. } => value,
            Test::Ne(value) | Test::Gt(value) => value.wrapping_add(1),
            Test::Lt(value) => value.wrapping_sub(1),
        };
        if condition.holds(&args) { args } else { with(args, condition.arg, value) }
    })
}

fn around(condition: &Condition) -> Vec<u64> {
    let (constant, mask) = match condition.test {
        Test::Eq(value) | Test::Ne(value) | Test::Lt(value) | Test::Le(value) | Test::Gt(value) | Test::Ge(value) => {
            (value, None)
        }
        Test::MaskedEq { mask, value } => (value, Some(mask)),
    };
    let constants = mask.into_iter().flat_map(|mask| [mask, !mask, constant | !mask, constant ^ lowest_bit(mask)]);
    let constants = constants.chain([constant]);
    let neighbours = constants.flat_map(|value| [value.wrapping_sub(1), value, value.wrapping_add(1)]);
    // What a filter sees that looks at one half only, or that takes an int for a long.
    let high_bits = neighbours.flat_map(|value| [value, value ^ 1 << 32, value ^ 1 << 63]);
    let wide = matches!(condition.width, Width::Bits64);
    high_bits.chain(if wide { Some(constant.rotate_left(32)) } else { None }).collect()
}

fn lowest_bit(mask: u64) -> u64 {
    mask & mask.wrapping_neg()
}

fn with(mut args: [u64; 6], arg: u8, value: u64) -> [u64; 6] {
    if let Some(register) = args.get_mut(usize::from(arg)) {
        *register = value;
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::naive;

    #[test]
    fn constants_are_surrounded() {
        let test = Test::Eq(0x1_0000_0005);
        let rule = naive::rule(&[Condition { arg: 1, width: Width::Bits64, test }]);
        let policy = naive::policy(Arch::X86_64, &[(7, alloc::vec![rule])]);
        let vectors = boundary_arguments(&policy, Arch::X86_64.audit(), 7);
        for value in [0x1_0000_0004, 0x1_0000_0005, 0x1_0000_0006, 5, 0x8000_0001_0000_0005] {
            assert!(vectors.contains(&[0, value, 0, 0, 0, 0]), "{value:#x}");
        }
        let calls = boundary_calls(&policy);
        for nr in [6, 7, 8, 0x4000_0000, u32::MAX] {
            assert!(calls.iter().any(|call| call.nr == nr));
        }
        assert!(calls.iter().any(|call| call.arch == Arch::X86.audit() || call.arch == 0));
    }

    fn condition(arg: u8, test: Test) -> Condition {
        Condition { arg, width: Width::Bits64, test }
    }

    #[test]
    fn values_that_meet_a_rule() {
        for (test, value) in [
            (Test::Eq(5), 5),
            (Test::Ne(0), 1),
            (Test::Gt(7), 8),
            (Test::Ge(7), 7),
            (Test::MaskedEq { mask: 0xf0, value: 0x30 }, 0x30),
            // 0 meets these.
            (Test::Ne(9), 0),
            (Test::Lt(9), 0),
            (Test::Le(9), 0),
        ] {
            let rule = naive::rule(&[condition(2, test)]);
            assert_eq!(meeting(&rule), [0, 0, value, 0, 0, 0], "{test:?}");
        }
        // Each constant is tried together with what meets the other conditions.
        let rule = naive::rule(&[condition(0, Test::Eq(5)), condition(3, Test::Gt(7))]);
        let policy = naive::policy(Arch::X86_64, &[(7, alloc::vec![rule])]);
        let vectors = boundary_arguments(&policy, Arch::X86_64.audit(), 7);
        for vector in [[5, 0, 0, 8, 0, 0], [4, 0, 0, 8, 0, 0], [5, 0, 0, 6, 0, 0]] {
            assert!(vectors.contains(&vector), "{vector:?}");
        }
    }

    #[test]
    fn neighbours_of_constants_and_masks() {
        let sorted = |mut values: Vec<u64>| {
            values.sort_unstable();
            values.dedup();
            values
        };
        let around_all = |constants: &[u64]| {
            let neighbours = constants.iter().flat_map(|value| [value.wrapping_sub(1), *value, value.wrapping_add(1)]);
            neighbours.flat_map(|value| [0, 1 << 32, 1 << 63].map(|bit| value ^ bit)).collect::<Vec<_>>()
        };
        let found = around(&condition(0, Test::Ge(5)));
        let expected = [
            &[4, 5, 6][..],
            &[0x1_0000_0004, 0x1_0000_0005, 0x1_0000_0006, 0x5_0000_0000],
            &[0x8000_0000_0000_0004, 0x8000_0000_0000_0005, 0x8000_0000_0000_0006],
        ];
        assert_eq!(sorted(found), expected.concat());
        // Around a mask, what it leaves, the value with all other bits, and with the lowest bit of the mask changed.
        for (value, others, changed) in [(0x30, 0xffff_ffff_ffff_ff3f, 0x20), (0x21, 0xffff_ffff_ffff_ff2f, 0x31)] {
            let masked = Condition { width: Width::Bits32, ..condition(0, Test::MaskedEq { mask: 0xf0, value }) };
            let constants = [0xf0, 0xffff_ffff_ffff_ff0f, others, changed, value];
            assert_eq!(sorted(around(&masked)), sorted(around_all(&constants)));
        }
        assert_eq!([0, 1, 0xf0, 1 << 63].map(lowest_bit), [0, 1, 0x10, 1 << 63]);
    }

    #[test]
    fn strange_architectures_have_a_few_calls() {
        let policy = naive::policy(Arch::X86_64, &[]);
        let calls = boundary_calls(&policy);
        let strange = calls.iter().filter(|call| call.arch != Arch::X86_64.audit());
        let strange: Vec<_> = strange.map(|call| (call.arch, call.nr)).collect();
        // With bit 31 or 30 changed, the next one, and the ends.
        let expected = [0x4000_003e, 0x8000_003e, 0xc000_003f, 0, u32::MAX];
        let numbers = [0, 1, 59, 0x4000_0000, u32::MAX];
        assert_eq!(strange, expected.into_iter().flat_map(|arch| numbers.map(|nr| (arch, nr))).collect::<Vec<_>>());
    }
}
