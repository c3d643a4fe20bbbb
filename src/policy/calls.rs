//! The system calls that entries name: which exist where, and which need a word.

use super::Semantics;
use super::findings::{Finding, Findings};
use super::multiplex::{self, Multiplexer};
use crate::arch::{Arch, Syscall};
use crate::bpf::Action;
use crate::profile::{ActionSpec, Call, Code, Profile, Rule, Severity};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Unknown names that get a message and a suggestion of their own; more are only listed.
const UNKNOWN_SHOWN: usize = 20;

/// Calls that `x86_64` lets through before it looks at any filter: uretprobe since 6.11, uprobe since 6.18.
const FORCED: [(&str, u32); 2] = [("uretprobe", 335), ("uprobe", 336)];

/// What an entry's calls are called in the table; `None` for numbers and for names that exist nowhere.
pub(super) type Known = Vec<Option<Syscall>>;

/// Looks up the names of an entry.
pub(super) fn look_up(rule: &Rule) -> Known {
    let known = |call: &Call| match call {
        Call::Name(name) => Syscall::from_name(name),
        Call::Number(..) => None,
    };
    rule.calls.iter().map(known).collect()
}

/// The numbers of an entry's calls on an ABI, each once. Names that the ABI lacks have none.
pub(super) fn numbers(rule: &Rule, known: &Known, arch: Arch) -> Vec<u32> {
    let number = |(call, known): (&Call, &Option<Syscall>)| match call {
        Call::Name(_) => known.as_ref()?.number(arch),
        Call::Number(own, number) => (*own == arch).then_some(*number),
    };
    let mut numbers: Vec<u32> = rule.calls.iter().zip(known).filter_map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Checks the calls of all entries. Of entries that do not count on the target only names that exist nowhere are told.
pub(super) fn check<'p>(
    profile: &'p Profile,
    entries: &[(bool, Known)],
    arches: &[Arch],
    semantics: Semantics,
    findings: &mut Findings<'p>,
) {
    let mut checking = Checking { profile, arches, semantics, findings, unknown: 0 };
    for (entry, (rule, (active, known))) in profile.rules.iter().zip(entries).enumerate() {
        for (position, (call, known)) in rule.calls.iter().zip(known).enumerate() {
            match call {
                Call::Name(name) => checking.name(entry, (position, name), *known, *active),
                Call::Number(arch, number) => checking.number(entry, *arch, *number, *active),
            }
        }
    }
    let counting = || profile.rules.iter().zip(entries).enumerate().filter(|(_, (_, (on, _)))| *on);
    for (entry, (rule, _)) in counting() {
        checking.forced(entry, rule);
    }
    for multiplexer in &multiplex::ALL {
        checking.multiplexed(multiplexer, &mut counting().map(|(entry, (rule, _))| (entry, rule)));
    }
}

struct Checking<'a, 'p> {
    profile: &'p Profile,
    arches: &'a [Arch],
    semantics: Semantics,
    findings: &'a mut Findings<'p>,
    /// Unknown names so far.
    unknown: usize,
}

impl Checking<'_, '_> {
    fn name(&mut self, entry: usize, (position, name): (usize, &str), known: Option<Syscall>, active: bool) {
        match known {
            None => self.unknown(entry, position, name),
            Some(call) if active => self.known(entry, call),
            Some(_) => {}
        }
    }

    /// A name that exists nowhere.
    fn unknown(&mut self, entry: usize, position: usize, name: &str) {
        let (severity, skipped) = match self.semantics {
            Semantics::Oci => (Severity::Warning, ", skipped"),
            Semantics::Strict | Semantics::Ordered => (Severity::Error, ""),
        };
        let finding = Finding::new(severity, Code::UnknownSyscall, Some(entry));
        self.unknown = self.unknown.saturating_add(1);
        if self.unknown > UNKNOWN_SHOWN {
            let text = format!("unknown system calls{skipped}");
            self.findings.add(Finding { call: Some(quoted(name)), text, ..finding });
            return;
        }
        let name = quoted(name);
        let hint = Syscall::nearest(name.trim_matches('"')).map(|near| format!(" (did you mean \"{near}\"?)"));
        let text = format!("unknown system call {name}{skipped}{}", hint.unwrap_or_default());
        self.findings.add(Finding { name: Some(position), text, ..finding });
    }

    /// A name that exists, but perhaps not here.
    fn known(&mut self, entry: usize, call: Syscall) {
        let present = self.arches.iter().filter(|arch| call.number(**arch).is_some()).count();
        let strict = self.semantics != Semantics::Oci && !self.profile.portable;
        let (severity, text) = match present {
            0 if strict => {
                let others: Vec<&str> = call.arches().map(Arch::short_name).collect();
                let remedy = "list such an architecture, remove the name, or accept names of any architecture \
                              (Profile::portable)";
                let text = format!("not on a listed architecture, only on {}; {remedy}", others.join(", "));
                (Severity::Error, text)
            }
            0 if self.profile.portable => return,
            0 => {
                let text = "only on architectures that are not listed; skipped".into();
                // In files with an entry for each name, one note has to do for all of them.
                let single = self.profile.rules.get(entry).is_some_and(|rule| rule.calls.len() == 1);
                return self.other_arch((!single).then_some(entry), call, Severity::Note, text);
            }
            _ if strict && present < self.arches.len() => {
                (Severity::Warning, "not on every listed architecture; without effect where it does not exist".into())
            }
            _ => return,
        };
        self.other_arch(Some(entry), call, severity, text);
    }

    fn other_arch(&mut self, entry: Option<usize>, call: Syscall, severity: Severity, text: String) {
        let call = Some(call.name().into());
        self.findings.add(Finding { call, text, ..Finding::new(severity, Code::OtherArchOnly, entry) });
    }

    fn number(&mut self, entry: usize, arch: Arch, number: u32, active: bool) {
        let marked = number & Arch::X32_BIT != 0;
        let (severity, code, text) = match arch {
            Arch::X86_64 if marked && number != u32::MAX => {
                (Severity::Error, Code::BadField, "has bit 30, so it belongs to x32; name it for Arch::X32")
            }
            Arch::X32 if !marked => {
                (Severity::Error, Code::BadField, "lacks bit 30, so it belongs to x86_64; add Arch::X32_BIT")
            }
            Arch::X32 if number == u32::MAX && self.arches.contains(&Arch::X86_64) => {
                (Severity::Error, Code::BadField, "belongs to x86_64 where that is listed; name it for Arch::X86_64")
            }
            _ if active && !self.arches.contains(&arch) && !self.profile.portable => {
                (Severity::Warning, Code::OtherArchOnly, "for an architecture that is not listed; without effect")
            }
            _ => return,
        };
        let call = Some(format!("number {number:#x} of {arch}"));
        self.findings.add(Finding { call, text: text.into(), ..Finding::new(severity, code, Some(entry)) });
    }

    /// Calls that the kernel runs whatever a filter says.
    fn forced(&mut self, entry: usize, rule: &Rule) {
        if rule.action == ActionSpec::Action(Action::Allow) || !self.arches.contains(&Arch::X86_64) {
            return;
        }
        for (name, number) in FORCED {
            let named = |call: &Call| match call {
                Call::Name(own) => own == name,
                Call::Number(arch, own) => (*arch, *own) == (Arch::X86_64, number),
            };
            if rule.calls.iter().any(named) {
                let text = "cannot be filtered on x86_64: the kernel runs it before it asks any filter".into();
                let call = Some(name.into());
                self.findings.add(Finding {
                    call,
                    text,
                    ..Finding::new(Severity::Warning, Code::ForcedAllow, Some(entry))
                });
            }
        }
    }

    /// `socketcall` and `ipc` reach what other entries restrict.
    fn multiplexed(&mut self, multiplexer: &Multiplexer, counting: &mut dyn Iterator<Item = (usize, &Rule)>) {
        let here: Vec<Arch> =
            self.arches.iter().copied().filter(|arch| arch.number(multiplexer.name).is_some()).collect();
        if here.is_empty() {
            return;
        }
        let is_it = |call: &Call| matches!(call, Call::Name(own) if own == multiplexer.name);
        let (mut naming, mut restricting) = (Vec::new(), None);
        for (entry, rule) in counting {
            if let Some(position) = rule.calls.iter().position(is_it) {
                naming.push((entry, position, &rule.action));
            }
            if !rule.args.is_empty() || rule.action != ActionSpec::Action(Action::Allow) {
                restricting = restricting.or_else(|| {
                    let member = rule.calls.iter().find(|call| multiplexer.inner(call).is_some())?;
                    Some((member, rule.path.as_str()))
                });
            }
        }
        for (entry, position, action) in naming {
            let (severity, text) = match restricting {
                Some((member, path)) if *action == ActionSpec::Action(Action::Allow) => (
                    Severity::Warning,
                    format!("reaches {member} past the restriction in {path}, because a filter cannot see through it"),
                ),
                _ => (Severity::Note, "stands for itself only, not for the calls that it carries".into()),
            };
            for arch in &here {
                self.findings.add(Finding {
                    name: Some(position),
                    call: Some(multiplexer.name.into()),
                    arch: Some(*arch),
                    text: text.clone(),
                    ..Finding::new(severity, Code::Multiplexed, Some(entry))
                });
            }
        }
    }
}

/// A name from a file, in quotes, without control characters, and not at any length.
fn quoted(name: &str) -> String {
    let short: String = name.chars().take(64).collect();
    let more = if short.len() < name.len() { "..." } else { "" };
    format!("{short:?}{more}")
}
