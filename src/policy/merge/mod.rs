//! Policies put together: unions and intersections.
//!
//! Both are made call by call, so the result is a policy like any other, and [`Policy::decide`] says what it means:
//!
//! - the union answers every call as the least restrictive of its parts does, the intersection as the most restrictive;
//! - actions are ordered as the kernel ranks them, KILL_PROCESS first and ALLOW last, and of equal actions the one with
//!   the smaller data is the more restrictive ([`Action`]'s order). It is a total order, so the order of the parts never
//!   matters, and a policy put together with itself is itself;
//! - that counts for every possible call: a part that does not list an architecture answers its calls with its bad-arch
//!   action, and one that lists x86_64 without x32 answers x32 numbers with the action it has for those.

mod rules;
#[cfg(test)]
mod tests;

use super::unlisted::Span;
use super::{Gate, Policy, Rule, Section};
use crate::arch::Arch;
use crate::bpf::{Action, Endian};
use crate::profile::Diagnostics;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use rules::{Side, TooMany};
use thiserror::Error;

/// Why policies could not be put together.
///
/// See the example of [`Policy::union`](crate::Policy::union).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MergeError {
    /// There is no policy.
    #[error("there is nothing to merge: give at least one profile")]
    Nothing,
    /// Policies of both byte orders. A filter is made for one, because the kernel reads it in its own.
    #[error(
        "the profiles are for both byte orders: {little} is little-endian, {big} big-endian; a kernel runs only one of \
         the two, so name the ABIs of one (--arch)"
    )]
    MixedByteOrder {
        /// A little-endian one.
        little: Arch,
        /// A big-endian one.
        big: Arch,
    },
    /// The profiles want to be installed in different ways. Which of them should count is for their author to say.
    #[error("the profiles ask for different {what}; make them equal in all of them")]
    InstallOptions {
        /// `flags`, `listenerPath` or `listenerMetadata`.
        what: &'static str,
    },
    /// A call has too many rules that cannot be told apart one by one.
    #[error(
        "the rules for {call} on {arch} give more than {limit} combinations; give the call fewer rules, or only one \
         action"
    )]
    TooComplex {
        /// The call, by name where it has one.
        call: String,
        /// The ABI.
        arch: Arch,
        /// How many rules there may be.
        limit: usize,
    },
}

/// How two answers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
}

impl Operation {
    fn of(self, one: Action, other: Action) -> Action {
        match self {
            Self::Union => one.max(other),
            Self::Intersection => one.min(other),
        }
    }
}

impl Policy {
    /// The policy that answers every call as the least restrictive of these policies does.
    ///
    /// Less restrictive means greater in the order of [`Action`]: by the kernel's rank of the action, then by larger
    /// data. The lists of ABIs are united; a policy that does not list one answers its calls with the action that it has
    /// for unlisted ones. Rules say in their paths which policy they come from, counted from 1; findings stay with the
    /// policies that were put together.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// use callsieve::bpf::{Action, SyscallData};
    /// use callsieve::{Policy, Profile, Target};
    ///
    /// let target = Target::exactly(&[Arch::Aarch64]);
    /// let one = Profile::new(Action::Errno(1)).allow(["read", "write"]).resolve(&target)?;
    /// let two = Profile::new(Action::KillProcess).allow(["write", "close"]).resolve(&target)?;
    /// let both = Policy::union([&one, &two])?;
    /// let call = |nr| SyscallData { nr, arch: Arch::Aarch64.audit(), ..SyscallData::default() };
    /// assert_eq!(both.decide(&call(57)), Action::Allow); // close
    /// assert_eq!(both.decide(&call(56)), Action::Errno(1)); // openat
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`MergeError`] if there is no policy, if they are for both byte orders or want different flags, or if a call has
    /// so many rules that the result would have thousands.
    pub fn union<'a>(policies: impl IntoIterator<Item = &'a Self>) -> Result<Self, MergeError> {
        merge(policies, Operation::Union)
    }

    /// The policy that answers every call as the most restrictive of these policies does: what the kernel does when each
    /// of them is installed as a filter of its own, but for the data of equal actions, of which the smaller counts here.
    ///
    /// It lists the ABIs that all of them list, and any other for which it has more to say than one action.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// use callsieve::bpf::{Action, SyscallData};
    /// use callsieve::{Policy, Profile, Target};
    ///
    /// let target = Target::exactly(&[Arch::Aarch64]);
    /// let one = Profile::new(Action::Errno(1)).allow(["read", "write"]).resolve(&target)?;
    /// let two = Profile::new(Action::KillProcess).allow(["write", "close"]).resolve(&target)?;
    /// let both = Policy::intersection([&one, &two])?;
    /// let call = |nr| SyscallData { nr, arch: Arch::Aarch64.audit(), ..SyscallData::default() };
    /// assert_eq!(both.decide(&call(64)), Action::Allow); // write
    /// assert_eq!(both.decide(&call(57)), Action::Errno(1)); // close
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Policy::union`].
    pub fn intersection<'a>(policies: impl IntoIterator<Item = &'a Self>) -> Result<Self, MergeError> {
        merge(policies, Operation::Intersection)
    }
}

fn merge<'a>(policies: impl IntoIterator<Item = &'a Policy>, operation: Operation) -> Result<Policy, MergeError> {
    let mut policies = policies.into_iter().zip(1..).map(|(policy, number)| labelled(policy, number));
    let mut merged = policies.next().ok_or(MergeError::Nothing)?;
    for policy in policies {
        merged = Merging { one: &merged, other: &policy, operation }.policy()?;
    }
    Ok(merged)
}

/// The policy with its number in all paths, and without findings.
fn labelled(policy: &Policy, number: usize) -> Policy {
    let mut known: BTreeMap<*const Rule, Arc<[Rule]>> = BTreeMap::new();
    let mut labelled = policy.clone();
    labelled.diagnostics = Diagnostics::new();
    for rules in labelled.sections.iter_mut().flat_map(|section| section.calls.values_mut()) {
        let label = |rule: &Rule| {
            let mut rule = rule.clone();
            rule.source.path = format!("profile {number}: {}", rule.source.path);
            rule
        };
        let made = known.entry(rules.as_ptr()).or_insert_with(|| rules.iter().map(label).collect());
        *rules = made.clone();
    }
    labelled
}

struct Merging<'a> {
    one: &'a Policy,
    other: &'a Policy,
    operation: Operation,
}

impl Merging<'_> {
    fn policy(&self) -> Result<Policy, MergeError> {
        self.check()?;
        let mut arches: Vec<Arch> = self.one.arches().collect();
        arches.extend(self.other.arches().filter(|arch| !self.one.arches().any(|listed| listed == *arch)));
        // -1 belongs to x86_64, and to x32 only if that stands alone.
        let owner = if arches.contains(&Arch::X86_64) { Arch::X86_64 } else { Arch::X32 };
        let sections = arches.iter().map(|&arch| self.section(arch, arch == owner)).collect::<Result<Vec<_>, _>>()?;
        let unlisted_x32 = if arches.contains(&Arch::X86_64) && !arches.contains(&Arch::X32) {
            self.default(Arch::X32)
        } else {
            self.operation.of(self.one.unlisted_x32, self.other.unlisted_x32)
        };
        let mut policy = Policy {
            sections,
            bad_arch: self.operation.of(self.one.bad_arch, self.other.bad_arch),
            unlisted_x32,
            diagnostics: Diagnostics::new(),
            install_options: self.one.install_options.clone(),
        };
        if self.operation == Operation::Intersection {
            self.drop_foreign(&mut policy);
        }
        Ok(policy)
    }

    fn check(&self) -> Result<(), MergeError> {
        let (one, other) = (&self.one.install_options, &self.other.install_options);
        let different = [
            (one.flags == other.flags, "flags"),
            (one.listener_path == other.listener_path, "listenerPath"),
            (one.listener_metadata == other.listener_metadata, "listenerMetadata"),
        ];
        if let Some((_, what)) = different.into_iter().find(|(equal, _)| !equal) {
            return Err(MergeError::InstallOptions { what });
        }
        let arches = || self.one.arches().chain(self.other.arches());
        let of = |endian| arches().find(|arch| arch.endian() == endian);
        match (of(Endian::Little), of(Endian::Big)) {
            (Some(little), Some(big)) => Err(MergeError::MixedByteOrder { little, big }),
            _ => Ok(()),
        }
    }

    /// The rules for the numbers of an ABI that one of the two lists, or both.
    fn section(&self, arch: Arch, with_skip: bool) -> Result<Section, MergeError> {
        let own = |section: &&Section| section.arch.audit() == arch.audit();
        let sections: Vec<&Section> = self.one.sections.iter().chain(&self.other.sections).filter(own).collect();
        let belongs = |nr: u32| if nr == u32::MAX { with_skip || !is_shared(arch) } else { belongs(arch, nr) };
        let mut section = Section {
            arch,
            default: self.default(arch),
            unlisted: self.unlisted(arch, &sections, &belongs),
            calls: BTreeMap::new(),
        };
        let numbers: BTreeSet<u32> = sections.iter().flat_map(|section| section.calls.keys().copied()).collect();
        // Most calls of a profile share their rules with the one before.
        let mut last: Option<(Key, Option<Arc<[Rule]>>)> = None;
        for nr in numbers.into_iter().filter(|&nr| belongs(nr)) {
            let answers = [answer(self.one, arch, nr), answer(self.other, arch, nr)];
            let places = answers.map(|(rules, default)| (rules.as_ptr(), rules.len(), default));
            let key = (places, section.fallback(nr));
            let rules = match &last {
                Some((known, rules)) if *known == key => rules.clone(),
                _ => self.rules(&section, nr, answers)?,
            };
            last = Some((key, rules.clone()));
            section.calls.extend(rules.map(|rules| (nr, rules)));
        }
        Ok(section)
    }

    /// What numbers get that no rule of any of the two names, where it is not the default.
    fn unlisted(&self, arch: Arch, sections: &[&Section], belongs: &dyn Fn(u32) -> bool) -> Vec<Span> {
        let default = self.default(arch);
        let ends = sections.iter().flat_map(|section| &section.unlisted);
        let mut starts: Vec<u32> =
            ends.flat_map(|span| [Some(span.first), span.last.checked_add(1)]).flatten().collect();
        // Where the gate may change its mind.
        starts.extend([0, 0x4000_0000, 0x8000_0000, 0xc000_0000, u32::MAX]);
        starts.sort_unstable();
        starts.dedup();
        let mut spans: Vec<Span> = Vec::new();
        let nexts = starts.iter().skip(1).map(|next| next.saturating_sub(1)).chain([u32::MAX]);
        for (&first, last) in starts.iter().zip(nexts).filter(|(first, _)| belongs(**first)) {
            let action = self.operation.of(fallback(self.one, arch, first), fallback(self.other, arch, first));
            match spans.last_mut() {
                _ if action == default => {}
                Some(span) if span.action == action && span.last.checked_add(1) == Some(first) => span.last = last,
                _ => spans.push(Span { first, last, action }),
            }
        }
        spans
    }

    /// The rules of both for one number; `None` if what the section says of numbers without rules says it all.
    fn rules(
        &self,
        section: &Section,
        nr: u32,
        answers: [(&[Rule], Action); 2],
    ) -> Result<Option<Arc<[Rule]>>, MergeError> {
        let [one, other] = answers.map(|(rules, default)| Side::new(rules, default));
        let too_many = |TooMany| MergeError::TooComplex {
            call: super::settle::call_name(section.arch, nr),
            arch: section.arch,
            limit: rules::MAX_RULES,
        };
        let side = one.combine(other, self.operation).map_err(too_many)?;
        let without = if side.rules.is_empty() { section.fallback(nr) } else { section.default };
        let otherwise = (side.default != without).then(|| side.otherwise());
        let rules: Vec<Rule> = side.rules.into_iter().chain(otherwise).collect();
        Ok(if rules.is_empty() { None } else { Some(rules.into()) })
    }

    /// What numbers of an ABI get for which there is no rule.
    fn default(&self, arch: Arch) -> Action {
        let nr = if arch == Arch::X32 { Arch::X32_BIT } else { 0 };
        self.operation.of(default(self.one, arch, nr), default(self.other, arch, nr))
    }

    /// Takes ABIs off the list that not both list and whose calls all get one action: the one of unlisted ABIs.
    fn drop_foreign(&self, policy: &mut Policy) {
        let foreign = |arch: Arch| {
            let lists = |policy: &Policy| policy.arches().any(|listed| listed == arch);
            !lists(self.one) || !lists(self.other)
        };
        let first = policy.sections.first().cloned();
        let is_plain =
            |section: &Section| foreign(section.arch) && section.calls.is_empty() && section.unlisted.is_empty();
        let lists_x86_64 = policy.arches().any(|arch| arch == Arch::X86_64);
        let x32 = policy.sections.iter().position(|section| section.arch == Arch::X32 && is_plain(section));
        if let Some(section) = x32.filter(|_| lists_x86_64).map(|at| policy.sections.remove(at)) {
            policy.unlisted_x32 = section.default;
        }
        let lists_x32 = policy.arches().any(|arch| arch == Arch::X32);
        let (bad_arch, unlisted_x32) = (policy.bad_arch, policy.unlisted_x32);
        policy.sections.retain(|section| {
            let kept_for_x32 = section.arch == Arch::X86_64 && (lists_x32 || unlisted_x32 != bad_arch);
            !is_plain(section) || section.default != bad_arch || kept_for_x32
        });
        // A policy has an ABI, if only to have a byte order.
        if policy.sections.is_empty() {
            policy.sections.extend(first);
        }
    }
}

/// Where the rules of both sides lie in memory, their defaults, and what the number gets without rules: equal keys, equal
/// results.
type Key = ([(*const Rule, usize, Action); 2], Action);

/// The rules of a policy for a number, and what it gets where none of them has a say.
fn answer(policy: &Policy, arch: Arch, nr: u32) -> (&[Rule], Action) {
    match policy.gate(arch.audit(), nr) {
        Gate::Refused(action) => (&[], action),
        Gate::Section(section) => match section.calls.get(&nr) {
            Some(rules) => (rules, section.default),
            None => (&[], section.fallback(nr)),
        },
    }
}

/// What a number gets without rules.
fn fallback(policy: &Policy, arch: Arch, nr: u32) -> Action {
    match policy.gate(arch.audit(), nr) {
        Gate::Refused(action) => action,
        Gate::Section(section) => section.fallback(nr),
    }
}

fn default(policy: &Policy, arch: Arch, nr: u32) -> Action {
    match policy.gate(arch.audit(), nr) {
        Gate::Refused(action) => action,
        Gate::Section(section) => section.default,
    }
}

/// Whether an ABI shares its token with another one.
fn is_shared(arch: Arch) -> bool {
    matches!(arch, Arch::X86_64 | Arch::X32)
}

/// Whether a number is one of an ABI; not for -1, which x86_64 and x32 share.
fn belongs(arch: Arch, nr: u32) -> bool {
    match arch {
        Arch::X86_64 => nr & Arch::X32_BIT == 0,
        Arch::X32 => nr & Arch::X32_BIT != 0,
        _ => true,
    }
}
