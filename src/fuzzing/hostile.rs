//! Profiles that are made to cost time and memory: thousands of rules with 64-bit values on all six arguments, by every
//! operator. Whatever they are, there is a filter or a typed error within the stated bounds.

use super::programs::LEVELS;
use crate::arch::Arch;
use crate::bpf::{Action, Endian, MAX_INSNS};
use crate::check::{ProveError, Prover};
use crate::policy::{Policy, Semantics, Target};
use crate::profile::{Arg, Operand, Profile, arg};
use crate::{CompileError, Compiler};
use alloc::string::ToString;
use alloc::vec::Vec;
use arbitrary::{Result, Unstructured};

/// Most conditions: those that a reader accepts in a file.
const MOST_CONDITIONS: usize = 16_000;

/// Calls that every ABI has.
const CALLS: [&str; 24] = [
    "read",
    "write",
    "close",
    "ioctl",
    "fcntl",
    "futex",
    "prctl",
    "clone",
    "kill",
    "tgkill",
    "socket",
    "bind",
    "listen",
    "sendto",
    "setsockopt",
    "mprotect",
    "mremap",
    "madvise",
    "openat",
    "statx",
    "ptrace",
    "execve",
    "waitid",
    "uname",
];

const ACTIONS: [Action; 4] = [Action::Allow, Action::Errno(2), Action::Log, Action::Trap(0)];

/// A profile of 1000 to 4000 rules. A few bytes choose its shape, everything else follows from them.
///
/// # Errors
/// When the bytes run out.
pub fn hostile_profile(u: &mut Unstructured<'_>) -> Result<Profile> {
    let conditions = u.int_in_range(1..=6_usize)?;
    let rules = u.int_in_range(1000..=4000_usize)?.min(MOST_CONDITIONS / conditions);
    let shape = Shape {
        conditions,
        calls: *u.choose(&[1, 1, 2, 24])?,
        actions: *u.choose(&[1, 1, 2, 4])?,
        first_arg: u.int_in_range(0..=5)?,
        args: *u.choose(&[1, 2, 6, 6])?,
        operators: u.int_in_range(1..=127)?,
        values: *u.choose(&[Values::Any, Values::Near, Values::Dense, Values::Bits])?,
    };
    let mut numbers = Numbers(u.arbitrary::<u64>()? | 1);
    let mut profile = Profile::new(Action::Errno(1));
    for index in 0..rules {
        let args: Vec<Arg> = (0..shape.conditions).map(|at| shape.condition(index, at, &mut numbers)).collect();
        let call = CALLS[index % shape.calls];
        profile = profile.rule(ACTIONS[(index / shape.calls) % shape.actions], call, args);
    }
    Ok(profile)
}

struct Shape {
    conditions: usize,
    calls: usize,
    actions: usize,
    first_arg: usize,
    /// How many arguments have conditions.
    args: usize,
    /// A bit for each operator that is used.
    operators: u8,
    values: Values,
}

#[derive(Clone, Copy)]
enum Values {
    Any,
    /// Equal in all but a few bits.
    Near,
    /// One after the other.
    Dense,
    /// A few bits set.
    Bits,
}

/// One of the seven operators.
pub(crate) const fn comparison(operand: Operand, operator: u8, value: u64, mask: u64) -> Arg {
    match operator {
        0 => operand.eq(value),
        1 => operand.ne(value),
        2 => operand.lt(value),
        3 => operand.le(value),
        4 => operand.gt(value),
        5 => operand.ge(value),
        _ => operand.masked_eq(mask, value & mask),
    }
}

impl Shape {
    fn condition(&self, index: usize, at: usize, numbers: &mut Numbers) -> Arg {
        const OPERANDS: [Operand; 6] = [arg::<0>(), arg::<1>(), arg::<2>(), arg::<3>(), arg::<4>(), arg::<5>()];
        let operand = OPERANDS[(self.first_arg + at % self.args) % 6];
        let value = self.value(index, numbers);
        let used: Vec<u8> = (0..7).filter(|operator| self.operators >> operator & 1 == 1).collect();
        let operator = used[(index + at) % used.len()];
        let mask = if operator == 6 { self.value(index, numbers) | 1 << (index % 64) } else { 0 };
        comparison(operand, operator, value, mask)
    }

    fn value(&self, index: usize, numbers: &mut Numbers) -> u64 {
        match self.values {
            Values::Any => numbers.next(),
            Values::Near => 0x8000_0001_7fff_0000 ^ (numbers.next() & 0x1_0000_00ff),
            Values::Dense => 3 * index as u64,
            Values::Bits => 1 << (numbers.next() % 64) | 1 << (numbers.next() % 64) | 1 << (numbers.next() % 64),
        }
    }
}

/// Numbers without pattern.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// The ABIs of one byte order.
pub(crate) fn all_of(endian: Endian) -> Vec<Arch> {
    Arch::ALL.into_iter().filter(|arch| arch.endian() == endian).collect()
}

/// Bytes as a hostile profile, on all ABIs of a byte order: each level has a filter, or there is a typed error. Tells
/// whether all levels have one.
pub fn hostile_rules(bytes: &[u8]) -> bool {
    let mut u = Unstructured::new(bytes);
    let Ok(profile) = hostile_profile(&mut u) else { return false };
    let endian = if u.arbitrary().unwrap_or(false) { Endian::Big } else { Endian::Little };
    let semantics = if u.arbitrary().unwrap_or(false) { Semantics::Strict } else { Semantics::Oci };
    match profile.resolve(&Target::exactly(&all_of(endian)).semantics(semantics)) {
        Ok(policy) => LEVELS.map(|level| fits(&policy, &Compiler::new().level(level))).iter().all(|&fits| fits),
        // Contradictions, or rules that are too entangled.
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Whether there is a filter; if not, because one of the bounds was reached.
pub(crate) fn fits(policy: &Policy, compiler: &Compiler) -> bool {
    match compiler.compile(policy) {
        Ok(filter) => {
            assert!(filter.program().len() <= MAX_INSNS);
            assert!(filter.report().proof.nodes <= Prover::DEFAULT_MAX_NODES);
            true
        }
        Err(CompileError::TooLarge { .. } | CompileError::Proof(ProveError::TooLarge { .. })) => false,
        Err(error) => panic!("{error}"),
    }
}
