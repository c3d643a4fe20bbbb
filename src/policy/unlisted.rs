//! Numbers that no rule names and that do not get the default action ([`Unlisted`]).

use super::{Section, Unlisted};
use crate::arch::{Arch, Errno, KernelVersion, Syscall};
use crate::bpf::Action;
use alloc::vec::Vec;

/// Numbers without a rule, both ends included, and their answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) action: Action,
}

/// ARM's private calls have no place in the kernel's table and do not grow with it (`__ARM_NR_BASE`).
const ARM_PRIVATE: core::ops::RangeInclusive<u32> = 0xf_0000..=0xf_ffff;

/// Fills in [`Section::unlisted`]. `named` are, for each section, the numbers that entries name, ascending.
pub(super) fn fill(sections: &mut [Section], named: &[Vec<u32>], unlisted: Unlisted) {
    let spans: Vec<Vec<Span>> = match unlisted {
        Unlisted::Default => return,
        Unlisted::Enosys { newer_than } => {
            sections.iter().zip(named).map(|(section, named)| newer(section.arch, named, newer_than)).collect()
        }
        Unlisted::RuncStub => {
            let highest = |arch: Arch| {
                let at = sections.iter().position(|section| section.arch == arch)?;
                named.get(at)?.last().copied()
            };
            sections.iter().map(|section| above(section, &highest)).collect()
        }
    };
    for (section, mut spans) in sections.iter_mut().zip(spans) {
        spans.retain(|span| span.action != section.default);
        section.unlisted = spans;
    }
}

/// What came after a kernel: the calls of the table that did, and the numbers that no kernel has so far. Calls of which
/// the release is not known are old. -1, with which a tracer skips a call, keeps the default action.
fn newer(arch: Arch, named: &[u32], kernel: KernelVersion) -> Vec<Span> {
    let old =
        |name: &str| Syscall::from_name(name).is_some_and(|call| call.since().is_none_or(|since| since <= kernel));
    let mut kept: Vec<(u32, u32)> = named.iter().map(|&nr| (nr, nr)).collect();
    kept.extend(arch.syscalls().filter(|(_, name)| old(name)).map(|(nr, _)| (nr, nr)));
    if arch == Arch::Arm {
        kept.push((*ARM_PRIVATE.start(), *ARM_PRIVATE.end()));
    }
    kept.push((u32::MAX, u32::MAX));
    kept.sort_unstable();
    let (mut spans, mut next) = (Vec::new(), 0u32);
    for (first, last) in kept {
        if let Some(end) = first.checked_sub(1).filter(|end| *end >= next) {
            spans.push(Span { first: next, last: end, action: enosys(arch) });
        }
        next = next.max(last.saturating_add(1));
    }
    spans
}

fn enosys(arch: Arch) -> Action {
    Action::Errno(Errno::enosys(arch).get())
}

/// The rule of runc (`libcontainer/seccomp/patchbpf`): numbers above the highest that any entry names on the ABI. On
/// s390, where unknown large numbers arrive as 0, that one too. Nothing if the default action lets calls through, or for
/// an ABI of which no entry names a call.
fn above(section: &Section, highest: &dyn Fn(Arch) -> Option<u32>) -> Vec<Span> {
    let arch = section.arch;
    if matches!(section.default, Action::Allow | Action::Log | Action::Trace(_)) {
        return Vec::new();
    }
    let span = |first, last| Span { first, last, action: enosys(arch) };
    let mut spans = Vec::new();
    if let Some(first) = highest(arch).map(|highest| highest.saturating_add(1)) {
        spans = match arch {
            Arch::S390 | Arch::S390x => alloc::vec![span(0, 0), span(first, u32::MAX)],
            // Bit 30 tells runc's two halves apart, in -1 as well.
            Arch::X86_64 => alloc::vec![span(first, u32::MAX.saturating_sub(1))],
            _ => alloc::vec![span(first, u32::MAX)],
        };
    }
    if arch == Arch::X86_64 && highest(Arch::X32).is_some() {
        spans.push(span(u32::MAX, u32::MAX));
    }
    spans
}

impl Section {
    /// The answer to a number that has no rule.
    pub(crate) fn fallback(&self, nr: u32) -> Action {
        let span = self.unlisted.iter().find(|span| span.first <= nr && nr <= span.last);
        span.map_or(self.default, |span| span.action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Target;
    use crate::profile::Profile;
    use alloc::vec;

    /// What numbers above the highest get, by ABI, if entries name calls as here.
    fn stub(arches: &[Arch], default: Action, names: &str) -> Vec<Vec<(u32, u32)>> {
        let target = Target::exactly(arches).unlisted(Unlisted::RuncStub);
        let action = if default == Action::Allow { Action::Errno(1) } else { Action::Allow };
        let policy = Profile::new(default).rule(action, names, []).resolve(&target).unwrap();
        let spans = |section: &Section| section.unlisted.iter().map(|span| (span.first, span.last)).collect();
        policy.sections.iter().map(spans).collect()
    }

    #[test]
    fn numbers_above_the_highest_as_runc_has_them() {
        let (last, deny) = (u32::MAX, Action::Errno(1));
        assert_eq!(stub(&[Arch::Aarch64], deny, "write"), [[(65, last)]]);
        assert_eq!(stub(&[Arch::S390x], deny, "write"), [[(0, 0), (5, last)]]);
        assert_eq!(stub(&[Arch::S390], deny, "write"), [[(0, 0), (5, last)]]);
        // -1 belongs to x86_64, and has bit 30.
        assert_eq!(stub(&[Arch::X86_64], deny, "write"), [[(2, last - 1)]]);
        assert_eq!(stub(&[Arch::X86_64, Arch::X86], deny, "write"), [[(2, last - 1)], [(5, last)]]);
        let both = stub(&[Arch::X86_64, Arch::X32], deny, "write");
        assert_eq!(both, [vec![(2, last - 1), (last, last)], vec![(0x4000_0002, last)]]);
        assert_eq!(stub(&[Arch::Aarch64], Action::Allow, "write"), [[]]);
        assert_eq!(stub(&[Arch::Aarch64], Action::Log, "write"), [[]]);
    }
}
