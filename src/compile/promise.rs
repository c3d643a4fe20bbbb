//! What a filter promises beyond its meaning.
//!
//! Every call that is allowed unconditionally stays cacheable by the kernel's allow bitmap: before the answer only the
//! architecture and the number are loaded. It is checked with a port of the kernel's own emulator, on every ABI, also on
//! those for which the kernel keeps no bitmap.

use super::CompileError;
use crate::bpf::{Action, Program, SyscallData};
use crate::check::Emulator;
use crate::policy::{Policy, Section};
use alloc::vec::Vec;

/// Checks all numbers that the policy names, and the ends of all gaps between them.
pub(super) fn check(program: &Program, policy: &Policy) -> Result<(), CompileError> {
    for section in &policy.sections {
        let mut emulator = Emulator::new(program, section.arch.audit());
        for nr in numbers(section) {
            // Most are cacheable, which is quicker to see than that they ought to be.
            if let Err(reason) = emulator.emulate(nr).verdict
                && always_allowed(policy, section, nr)
            {
                return Err(CompileError::NotCacheable { arch: section.arch, nr, reason });
            }
        }
    }
    Ok(())
}

fn numbers(section: &Section) -> Vec<u32> {
    const BORDERS: [u32; 9] =
        [0, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xbfff_ffff, 0xc000_0000, 0xffff_fffe, u32::MAX];
    let mut numbers = Vec::with_capacity(section.calls.len() * 2);
    for &nr in section.calls.keys() {
        for near in [nr.saturating_sub(1), nr, nr.saturating_add(1)] {
            if numbers.last().is_none_or(|&last| last < near) {
                numbers.push(near);
            }
        }
    }
    numbers.extend(BORDERS);
    numbers
}

/// No rule of the call has a condition, and the answer is ALLOW.
fn always_allowed(policy: &Policy, section: &Section, nr: u32) -> bool {
    let call = SyscallData { nr, arch: section.arch.audit(), ..SyscallData::default() };
    let plain = policy
        .sections
        .iter()
        .filter(|other| other.arch.audit() == section.arch.audit())
        .all(|other| other.calls.get(&nr).is_none_or(|rules| rules.iter().all(|rule| rule.conditions.is_empty())));
    plain && policy.decide(&call) == Action::Allow
}
