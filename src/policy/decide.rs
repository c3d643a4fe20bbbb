//! The reference meaning.
//!
//! Nothing here is clever: linear searches and comparisons of 64-bit numbers, to be read next to the design.

use super::{Condition, Policy, Rule, Section, Test};
use crate::arch::Arch;
use crate::bpf::{Action, SyscallData};
use crate::profile::Width;

impl Policy {
    /// What happens to a call.
    ///
    /// The ABI is looked up first: a call of an unlisted one gets the bad-arch action. A number without a rule that
    /// matches gets the default action, or where it has no rule at all, what the target says
    /// ([`Unlisted`](super::Unlisted)). Of the rules that match, those count for which no narrower rule of another
    /// action matches as well; if they disagree, the most restrictive one wins.
    pub fn decide(&self, call: &SyscallData) -> Action {
        let section = match self.gate(call.arch, call.nr) {
            Gate::Section(section) => section,
            Gate::Refused(action) => return action,
        };
        let Some(rules) = section.calls.get(&call.nr) else {
            return section.fallback(call.nr);
        };
        Rule::effective(rules, &call.args).unwrap_or(section.default)
    }

    /// The section that a call belongs to, or what happens without looking at any rule.
    pub(crate) fn gate(&self, arch: u32, nr: u32) -> Gate<'_> {
        if !self.sections.iter().any(|section| section.arch.audit() == arch) {
            return Gate::Refused(self.bad_arch);
        }
        if arch != Arch::X32.audit() {
            return self.find(|section| section.arch.audit() == arch).unwrap_or(Gate::Refused(self.bad_arch));
        }
        // x86_64 and x32 share a token; bit 30 tells them apart, except in -1, with which a tracer skips a call.
        let x86_64 = self.find(|section| section.arch == Arch::X86_64);
        let x32 = self.find(|section| section.arch == Arch::X32);
        if nr == u32::MAX {
            x86_64.or(x32).unwrap_or(Gate::Refused(self.bad_arch))
        } else if nr & Arch::X32_BIT != 0 {
            x32.unwrap_or(Gate::Refused(self.unlisted_x32))
        } else {
            x86_64.unwrap_or(Gate::Refused(self.bad_arch))
        }
    }

    fn find(&self, wanted: impl Fn(&Section) -> bool) -> Option<Gate<'_>> {
        self.sections.iter().find(|section| wanted(section)).map(Gate::Section)
    }
}

/// Where the ABI and the number of a call lead.
pub(crate) enum Gate<'a> {
    /// To the rules of an ABI.
    Section(&'a Section),
    /// To an answer.
    Refused(Action),
}

impl Rule {
    /// Whether all conditions hold.
    pub(crate) fn matches(&self, args: &[u64; 6]) -> bool {
        self.conditions.iter().all(|condition| condition.holds(args))
    }

    /// The most restrictive action of the rules of a call that have a say; `None` if no rule matches.
    pub(crate) fn effective(rules: &[Self], args: &[u64; 6]) -> Option<Action> {
        rules.iter().filter(|rule| rule.has_a_say(rules, args)).map(|rule| rule.action).min()
    }

    /// Whether the rule matches and no narrower rule of another action does.
    fn has_a_say(&self, rules: &[Rule], args: &[u64; 6]) -> bool {
        let beaten = |&other: &usize| rules.get(other).is_some_and(|rule| rule.matches(args));
        self.matches(args) && !self.narrower.iter().any(beaten)
    }
}

impl Condition {
    /// Whether the condition holds for these argument registers.
    pub(crate) fn holds(&self, args: &[u64; 6]) -> bool {
        let register = args.get(usize::from(self.arg)).copied().unwrap_or(0);
        let argument = match self.width {
            Width::Bits32 => register & 0xffff_ffff,
            Width::Bits64 => register,
        };
        match self.test {
            Test::Eq(value) => argument == value,
            Test::Ne(value) => argument != value,
            Test::Lt(value) => argument < value,
            Test::Le(value) => argument <= value,
            Test::Gt(value) => argument > value,
            Test::Ge(value) => argument >= value,
            Test::MaskedEq { mask, value } => argument & mask == value,
        }
    }
}
