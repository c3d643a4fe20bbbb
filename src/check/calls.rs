//! Sets of calls, given by architecture token and number, and their names.

use super::names;
use super::values::Values;
use crate::arch::Arch;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Calls, given by a set of architecture tokens and a set of numbers for each of them.
///
/// See the example of [`diff`](super::diff()).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSet {
    tokens: Values,
    numbers: Values,
}

/// Intervals of numbers that are written down.
const MOST_INTERVALS: usize = 4096;

impl CallSet {
    pub(super) fn new(tokens: Values, numbers: Values) -> Self {
        Self { tokens, numbers }
    }

    /// The architecture tokens.
    pub fn tokens(&self) -> &Values {
        &self.tokens
    }

    /// The numbers, for each of the tokens.
    pub fn numbers(&self) -> &Values {
        &self.numbers
    }

    /// Whether a call belongs to it.
    pub fn contains(&self, token: u32, nr: u32) -> bool {
        self.tokens.contains(token.into()) && self.numbers.contains(nr.into())
    }

    /// The smallest token and number.
    pub fn first(&self) -> (u32, u32) {
        // Both are 32 bits wide.
        let [token, nr] = [&self.tokens, &self.numbers].map(|values| u32::try_from(values.first()).unwrap_or(u32::MAX));
        (token, nr)
    }

    /// The ABIs with calls in the set.
    pub fn arches(&self) -> impl Iterator<Item = Arch> + '_ {
        let has = |arch: &Arch| self.tokens.contains(arch.audit().into()) && self.unnamed_or_named(*arch);
        Arch::ALL.into_iter().filter(has)
    }

    /// Whether tokens belong to it that no ABI has, so that it is about other architectures in general.
    pub fn is_open(&self) -> bool {
        let known: Vec<u64> = Arch::ALL.into_iter().map(|arch| arch.audit().into()).collect();
        self.tokens.intervals(MOST_INTERVALS).is_none_or(|bounds| {
            bounds
                .iter()
                .any(|bounds| bounds.clone().take(known.len().saturating_add(1)).any(|token| !known.contains(&token)))
        })
    }

    /// The known calls of an ABI in the set, by number.
    pub fn named(&self, arch: Arch) -> impl Iterator<Item = (u32, &'static str)> + '_ {
        let counts = self.tokens.contains(arch.audit().into());
        arch.syscalls().filter(move |&(nr, _)| counts && self.numbers.contains(nr.into()))
    }

    /// The numbers of an ABI in the set that no call has, as intervals; `None` if there are too many of these.
    pub fn unnamed(&self, arch: Arch) -> Option<Vec<RangeInclusive<u32>>> {
        if !self.tokens.contains(arch.audit().into()) {
            return Some(Vec::new());
        }
        let known: Vec<u32> = arch.syscalls().map(|(nr, _)| nr).collect();
        let mut gaps = Vec::new();
        for bounds in self.numbers.intervals(MOST_INTERVALS)? {
            for (first, last) in spaces(arch) {
                let (start, end) = (first.max(clamp(*bounds.start())), last.min(clamp(*bounds.end())));
                if start <= end {
                    leave_out(&known, start, end, &mut gaps);
                }
            }
        }
        Some(gaps)
    }

    fn unnamed_or_named(&self, arch: Arch) -> bool {
        self.named(arch).next().is_some() || self.unnamed(arch).is_none_or(|numbers| !numbers.is_empty())
    }
}

/// Appends the intervals of `start..=end` between known numbers, which ascend.
fn leave_out(known: &[u32], start: u32, end: u32, gaps: &mut Vec<RangeInclusive<u32>>) {
    let inside = known.iter().skip(known.partition_point(|&nr| nr < start)).take_while(|&&nr| nr <= end);
    let mut next = Some(start);
    for &nr in inside {
        if let Some(start) = next.filter(|&start| start < nr) {
            gaps.push(start..=nr.saturating_sub(1));
        }
        next = nr.checked_add(1);
    }
    gaps.extend(next.filter(|&start| start <= end).map(|start| start..=end));
}

fn clamp(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The numbers that belong to an ABI: all, except that x86_64 and x32 share a token.
fn spaces(arch: Arch) -> impl Iterator<Item = (u32, u32)> {
    let all = [
        (0, 0x3fff_ffff),
        (0x4000_0000, 0x7fff_ffff),
        (0x8000_0000, 0xbfff_ffff),
        (0xc000_0000, 0xffff_fffe),
        (0xffff_ffff, 0xffff_ffff),
    ];
    let shared = arch.audit() == Arch::X32.audit();
    let whole = (!shared).then_some((0, u32::MAX));
    let own = all.into_iter().filter(move |&(first, _)| shared && names::abi(arch.audit(), first) == Some(arch));
    whole.into_iter().chain(own)
}

#[cfg(test)]
mod tests {
    use super::super::{Judge, Subject, naive};
    use super::*;

    #[test]
    fn numbers_have_names_or_not() {
        let policy = naive::policy(Arch::X86_64, &[(1, alloc::vec![naive::rule(&[])])]);
        let regions = Judge::new().regions(&Subject::policy(&policy)).unwrap();
        let calls = |nr| {
            let groups = regions.groups().iter();
            groups.map(super::super::CallGroup::calls).find(|calls| calls.contains(Arch::X86_64.audit(), nr)).unwrap()
        };
        let write = calls(1);
        assert_eq!(write.named(Arch::X86_64).collect::<Vec<_>>(), [(1, "write")]);
        assert_eq!(write.unnamed(Arch::X86_64), Some(Vec::new()));
        assert_eq!(write.arches().collect::<Vec<_>>(), [Arch::X86_64]);
        // The default: every other number of x86_64, but none of x32.
        let others = calls(0);
        assert_eq!(others.named(Arch::X86_64).count(), Arch::X86_64.syscalls().count() - 1);
        assert_eq!(others.named(Arch::X32).count(), 0);
        let unnamed = others.unnamed(Arch::X86_64).unwrap();
        assert!(unnamed.contains(&(0x8000_0000..=0xbfff_ffff)) && unnamed.contains(&(u32::MAX..=u32::MAX)));
        assert!(unnamed.iter().all(|bounds| bounds.clone().take(1000).all(|nr| Arch::X86_64.name(nr).is_none())));
        assert_eq!(others.unnamed(Arch::X32), Some(Vec::new()));
        assert!(!others.is_open());
        let x32 = calls(Arch::X32_BIT);
        assert_eq!(x32.arches().collect::<Vec<_>>(), [Arch::X32]);
        // What is refused by its architecture.
        let refused = regions.groups().iter().find(|group| group.calls().contains(Arch::X86.audit(), 1)).unwrap();
        assert!(refused.calls().is_open());
        assert_eq!(refused.calls().arches().count(), Arch::ALL.len() - 2);
    }
}
