//! What the checks look at, and where they put what they find.

use crate::arch::{Arch, Syscall};
use crate::bpf::{Action, SyscallData};
use crate::check::answers::{Answers, Args, Reach, runs};
use crate::check::bdd::Exhausted;
use crate::policy::{Policy, Target, counts};
use crate::profile::{ActionSpec, Call, Code, Diagnostic, Dialect, Example, Profile, Rule, Severity};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A profile, what it means on a target, and what was found so far.
#[derive(Debug)]
pub(super) struct Review<'a> {
    pub(super) profile: &'a Profile,
    pub(super) target: &'a Target,
    pub(super) policy: &'a Policy,
    pub(super) answers: Answers<'a>,
    pub(super) found: Vec<Diagnostic>,
    /// Which entries count on the target.
    active: Vec<bool>,
    /// Entries that count and name a call, with its position among the names of the entry.
    naming: BTreeMap<&'a str, Vec<(usize, usize)>>,
}

impl<'a> Review<'a> {
    pub(super) fn new(profile: &'a Profile, target: &'a Target, policy: &'a Policy) -> Self {
        let active: Vec<bool> = profile.rules().iter().map(|rule| counts(rule, target)).collect();
        let mut naming: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
        for (entry, (rule, _)) in profile.rules().iter().zip(&active).enumerate().filter(|(_, (_, active))| **active) {
            for (position, call) in rule.calls().iter().enumerate() {
                if let Call::Name(name) = call {
                    naming.entry(name).or_default().push((entry, position));
                }
            }
        }
        let found = policy.diagnostics.iter().cloned().collect();
        Self { profile, target, policy, answers: Answers::new(policy), found, active, naming }
    }

    /// The listed ABIs.
    pub(super) fn arches(&self) -> Vec<Arch> {
        self.policy.arches().collect()
    }

    /// The entries that count, with their indexes.
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, &'a Rule)> {
        let rules = self.profile.rules().iter().zip(&self.active).enumerate();
        rules.filter(|(_, (_, active))| **active).map(|(entry, (rule, _))| (entry, rule))
    }

    /// The entries that count and name a call.
    pub(super) fn naming(&self, name: &str) -> impl Iterator<Item = (&'a Rule, usize)> {
        let places = self.naming.get(name).map_or(&[][..], Vec::as_slice);
        let rules = self.profile.rules();
        places.iter().filter_map(move |&(entry, position)| Some((rules.get(entry)?, position)))
    }

    /// Whether a runtime will read this profile.
    pub(super) fn is_for_containers(&self) -> bool {
        !matches!(self.profile.dialect(), Dialect::Builder | Dialect::Imported)
    }

    /// Whether the default action lets calls run.
    pub(super) fn is_deny_list(&self) -> bool {
        matches!(self.profile.default_action(), ActionSpec::Action(action) if runs(*action))
    }

    /// Whether the default action is an error or a kill, not decided elsewhere.
    pub(super) fn is_allow_list(&self) -> bool {
        match self.profile.default_action() {
            ActionSpec::ErrnoName(_) => true,
            ActionSpec::Action(action) => {
                matches!(action, Action::Errno(_) | Action::Trap(_) | Action::KillThread | Action::KillProcess)
            }
        }
    }

    /// The place of the profile as a whole, or of one of its fields.
    pub(super) fn root(&self, field: &str) -> String {
        match (self.is_for_containers(), field) {
            (true, "") => "$".into(),
            (true, field) => format!("$.{field}"),
            (false, _) => "profile".into(),
        }
    }

    /// The place of a name in an entry.
    pub(super) fn name_place(&self, rule: &Rule, position: usize) -> String {
        if self.is_for_containers() && rule.calls().len() > 1 {
            format!("{}.names[{position}]", rule.path())
        } else {
            rule.path().into()
        }
    }

    /// The place of a condition of an entry.
    pub(super) fn arg_place(&self, rule: &Rule, arg: usize) -> String {
        if self.is_for_containers() {
            format!("{}.args[{arg}]", rule.path())
        } else {
            format!("{}, condition {}", rule.path(), arg.saturating_add(1))
        }
    }

    /// Where a call is named first, or the default action if nowhere.
    pub(super) fn place_of(&self, name: &str) -> String {
        match self.naming(name).next() {
            Some((rule, position)) => self.name_place(rule, position),
            None => self.root("defaultAction"),
        }
    }

    /// The place of a call that is named, for "and PLACE" in messages.
    pub(super) fn named_at(&self, name: &str) -> String {
        match self.naming(name).next() {
            Some(_) => format!(" ({})", self.place_of(name)),
            None => " (by the default action)".into(),
        }
    }

    /// For how many arguments a call runs on an ABI; `None` if that lacks it.
    pub(super) fn runs(&mut self, arch: Arch, name: &str) -> Result<Option<Reach>, Exhausted> {
        let Some(nr) = arch.number(name) else { return Ok(None) };
        self.answers.reach(arch, nr, &runs).map(Some)
    }

    /// A call with these arguments as an example.
    pub(super) fn example(&self, arch: Arch, nr: u32, args: Args, shown: u8) -> Example {
        let call: SyscallData = Answers::call(arch, nr, args);
        let used = (1u8..).zip(args).filter(|(_, value)| *value != 0).map(|(count, _)| count).max().unwrap_or(0);
        Example::new(arch, call, shown.max(used), self.answers.decide(&call))
    }

    /// An example of a call that has one of these answers.
    pub(super) fn example_of(
        &mut self,
        arch: Arch,
        name: &str,
        wanted: &dyn Fn(Action) -> bool,
    ) -> Result<Option<Example>, Exhausted> {
        let Some(nr) = arch.number(name) else { return Ok(None) };
        let function = self.answers.of(arch, nr)?;
        let condition = self.answers.where_answer(function, wanted)?;
        Ok(self.answers.example(condition).map(|args| self.example(arch, nr, args, 0)))
    }

    pub(super) fn report(&mut self, severity: Severity, code: Code, place: impl Into<String>, text: impl Into<String>) {
        self.push(Diagnostic::new(severity, code, place, text));
    }

    pub(super) fn push(&mut self, found: Diagnostic) {
        self.found.push(found);
    }

    /// ` on x86, x32` unless every listed ABI that has the call is meant.
    pub(super) fn on(&self, name: &str, arches: &[Arch]) -> String {
        let all = match Syscall::from_name(name) {
            Some(call) => self.policy.arches().filter(|arch| call.number(*arch).is_some()).count(),
            None => self.policy.arches().count(),
        };
        if arches.len() == all && all == self.policy.arches().count() { String::new() } else { on(arches) }
    }
}

/// ` on x86, x32`.
pub(super) fn on(arches: &[Arch]) -> String {
    let names: Vec<String> = arches.iter().map(ToString::to_string).collect();
    format!(" on {}", names.join(", "))
}

/// `a, b and 3 more`.
pub(super) fn listed<S: AsRef<str>>(names: &[S], most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Format;

    #[test]
    fn entries_that_count() {
        let text = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["write"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.1"} },
            { "names": ["open", "close", "write"], "action": "SCMP_ACT_LOG" }
        ] }"#;
        let profile = Profile::from_json(text, Format::Docker).unwrap();
        let target = Target::exactly(&[Arch::X86_64]);
        let policy = profile.resolve(&target).unwrap();
        let review = Review::new(&profile, &target, &policy);
        let entries = review.entries().map(|(entry, rule)| (entry, rule.path())).collect::<Vec<_>>();
        assert_eq!(entries, [(0, "$.syscalls[0]"), (2, "$.syscalls[2]")]);
        let naming = |name| review.naming(name).map(|(rule, at)| (rule.path(), at)).collect::<Vec<_>>();
        assert_eq!(naming("write"), [("$.syscalls[0]", 1), ("$.syscalls[2]", 2)]);
        assert_eq!((naming("open"), naming("mount")), (alloc::vec![("$.syscalls[2]", 0)], alloc::vec![]));
        assert_eq!(review.place_of("close"), "$.syscalls[2].names[1]");
    }

    #[test]
    fn kinds_of_profiles() {
        let target = Target::exactly(&[Arch::X86_64]);
        let review = |profile: &Profile| {
            let policy = profile.resolve(&target).unwrap();
            let review = Review::new(profile, &target, &policy);
            (review.is_for_containers(), review.is_allow_list(), review.is_deny_list())
        };
        for (action, allow_list, deny_list) in [
            (Action::Errno(1), true, false),
            (Action::Trap(0), true, false),
            (Action::KillThread, true, false),
            (Action::KillProcess, true, false),
            (Action::Trace(1), false, false),
            (Action::Allow, false, true),
            (Action::Log, false, true),
        ] {
            assert_eq!(review(&Profile::new(action)), (false, allow_list, deny_list), "{action}");
        }
        let docker = Profile::from_json(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#, Format::Docker).unwrap();
        assert_eq!(review(&docker), (true, false, true));
    }
}
