//! Random policies in normal form.

use crate::arch::Arch;
use crate::bpf::Action;
use crate::policy::{Condition, InstallOptions, Policy, Rule, Section, Source, Span, Test};
use crate::profile::{Diagnostics, Width};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use arbitrary::{Result, Unstructured};

/// Constants at which filters go wrong: the ends of words and halves, sign bits, small numbers, real flags.
const VALUES: [u64; 26] = [
    0,
    1,
    2,
    3,
    5,
    8,
    15,
    16,
    255,
    0x7e02_0000,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x1_0000_0005,
    0x5_0000_0000,
    0x7fff_ffff_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0x8000_0000_8000_0000,
    0xffff_ffff_0000_0000,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
];

/// Numbers at the borders of the spaces that a gate tells apart.
const EDGE_NUMBERS: [u32; 8] =
    [0, 0x3fff_ffff, 0x4000_0000, 0x4000_0001, 0x7fff_ffff, 0x8000_0000, 0xbfff_ffff, 0xffff_ffff];

/// A policy in normal form for one to four ABIs of one byte order.
///
/// It goes further than profiles can: any number may have rules, and which rule is narrower than which is random, so
/// that nothing downstream can lean on what `resolve` happens to produce.
///
/// # Errors
/// When the bytes run out.
pub fn random_policy(u: &mut Unstructured<'_>) -> Result<Policy> {
    let arches = random_arches(u)?;
    random_policy_for(u, &arches)
}

/// The same for these ABIs, which are of one byte order.
///
/// # Errors
/// When the bytes run out.
pub fn random_policy_for(u: &mut Unstructured<'_>, arches: &[Arch]) -> Result<Policy> {
    let sections = arches.iter().map(|&arch| section(u, arch)).collect::<Result<_>>()?;
    Ok(Policy {
        sections,
        bad_arch: action(u)?,
        unlisted_x32: action(u)?,
        diagnostics: Diagnostics::new(),
        install_options: InstallOptions::default(),
    })
}

/// The same, but which rule is narrower than which has no circle, as in every policy that `resolve` makes: of rules that
/// match, one always has a say. Putting policies together counts on that.
///
/// # Errors
/// When the bytes run out.
pub fn orderly_policy(u: &mut Unstructured<'_>) -> Result<Policy> {
    let mut policy = random_policy(u)?;
    for rules in policy.sections.iter_mut().flat_map(|section| section.calls.values_mut()) {
        let orderly = |(index, rule): (usize, &Rule)| {
            let mut rule = rule.clone();
            rule.narrower.retain(|&other| other < index);
            rule
        };
        *rules = rules.iter().enumerate().map(orderly).collect();
    }
    Ok(policy)
}

fn random_arches(u: &mut Unstructured<'_>) -> Result<Vec<Arch>> {
    // The only token with two ABIs deserves a third of the cases.
    let first = match u.int_in_range(0..=5)? {
        0 => Arch::X86_64,
        1 => Arch::X32,
        _ => *u.choose(&Arch::ALL)?,
    };
    let mut arches = alloc::vec![first];
    for _ in 0..u.int_in_range(0..=3)? {
        let next = if u.ratio(1, 3)? { Arch::X32 } else { *u.choose(&Arch::ALL)? };
        if next.endian() == first.endian() && !arches.contains(&next) {
            arches.push(next);
        }
    }
    Ok(arches)
}

fn section(u: &mut Unstructured<'_>, arch: Arch) -> Result<Section> {
    let mut calls = BTreeMap::new();
    for _ in 0..u.int_in_range(0..=24)? {
        let start = number(u, arch)?;
        // Runs of equal behaviour are what dispatch is made of.
        let length = if u.ratio(1, 2)? { 1 } else { u.int_in_range(1..=12)? };
        let rules: Arc<[Rule]> = rules(u, arch)?.into();
        for nr in start..=start.saturating_add(length - 1) {
            calls.insert(nr, rules.clone());
        }
    }
    Ok(Section { arch, default: action(u)?, unlisted: unlisted(u, arch)?, calls })
}

/// Mostly none.
fn unlisted(u: &mut Unstructured<'_>, arch: Arch) -> Result<Vec<Span>> {
    let (mut spans, mut next) = (Vec::new(), 0);
    for _ in 0..u.int_in_range(0..=5_u8)?.saturating_sub(2) {
        let first = number(u, arch)?.max(next);
        let length = if u.ratio(1, 3)? { u.arbitrary()? } else { u.int_in_range(0..=200)? };
        let last = first.saturating_add(length);
        spans.push(Span { first, last, action: action(u)? });
        let Some(behind) = last.checked_add(1) else { break };
        next = behind;
    }
    Ok(spans)
}

fn number(u: &mut Unstructured<'_>, arch: Arch) -> Result<u32> {
    let base = arch.number_base();
    Ok(match u.int_in_range(0..=9)? {
        0 => *u.choose(&EDGE_NUMBERS)?,
        1 => u.arbitrary()?,
        _ => base + u.int_in_range(0..=470_u32)?,
    })
}

fn rules(u: &mut Unstructured<'_>, arch: Arch) -> Result<Vec<Rule>> {
    let count = if u.ratio(3, 5)? { 1 } else { u.int_in_range(0..=5)? };
    let simple = u.ratio(1, 2)?;
    (0..count)
        .map(|index| {
            let conditions = if simple && count == 1 { 0 } else { u.int_in_range(0..=4)? };
            let conditions = (0..conditions).map(|_| condition(u, arch)).collect::<Result<_>>()?;
            let narrower = (0..count).filter(|&other| other != index && u.ratio(1, 4).unwrap_or(false)).collect();
            let source = Source { entry: index, path: String::new() };
            Ok(Rule { action: action(u)?, conditions, narrower, source })
        })
        .collect()
}

fn condition(u: &mut Unstructured<'_>, arch: Arch) -> Result<Condition> {
    let wide = arch.has_64bit_args() && u.ratio(3, 4)?;
    let width = if wide { Width::Bits64 } else { Width::Bits32 };
    let value = value(u)?;
    let test = match u.int_in_range(0..=7)? {
        0 => Test::Ne(value),
        1 => Test::Lt(value),
        2 => Test::Le(value),
        3 => Test::Gt(value),
        4 => Test::Ge(value),
        5 => {
            let mask = self::value(u)?;
            // Mostly satisfiable; a datum outside of the mask is never equal.
            Test::MaskedEq { mask, value: if u.ratio(7, 8)? { value & mask } else { value } }
        }
        _ => Test::Eq(value),
    };
    // Few arguments, so that conditions meet.
    let arg = if u.ratio(3, 4)? { u.int_in_range(0..=1)? } else { u.int_in_range(0..=5)? };
    Ok(Condition { arg, width, test })
}

pub(super) fn value(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u.int_in_range(0..=9)? {
        0 => u.arbitrary()?,
        1 | 2 => 1 << u.int_in_range(0..=63)?,
        3..=6 => u.int_in_range(0..=40)?,
        _ => *u.choose(&VALUES)?,
    })
}

pub(super) fn action(u: &mut Unstructured<'_>) -> Result<Action> {
    Ok(match u.int_in_range(0..=15)? {
        0 => Action::KillProcess,
        1 => Action::KillThread,
        2 => Action::Trap(u.int_in_range(0..=3)?),
        3 => Action::Notify,
        4 => Action::Trace(u.int_in_range(0..=3)?),
        5 => Action::Log,
        6..=9 => Action::Errno(u.int_in_range(0..=38)?),
        _ => Action::Allow,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::{Endian, SyscallData};
    use crate::fuzzing::random_bytes;

    #[test]
    fn policies_are_various() {
        let mut big = 0;
        let mut conditional = 0;
        let mut x32 = 0;
        for seed in 0..200 {
            let bytes = random_bytes(seed, 4096);
            let policy = random_policy(&mut Unstructured::new(&bytes)).unwrap();
            big += usize::from(policy.endian() == Endian::Big);
            x32 += usize::from(policy.arches().any(|arch| arch == Arch::X32));
            let rules =
                policy.sections.iter().flat_map(|section| section.calls.values()).flat_map(|rules| rules.iter());
            conditional += rules.filter(|rule| !rule.conditions.is_empty()).count();
            // Deciding is total.
            policy.decide(&SyscallData::default());
        }
        assert!(big > 20 && x32 > 20 && conditional > 1000, "{big} {x32} {conditional}");
    }
}
