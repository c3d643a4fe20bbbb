//! From what was written to what it means.

use super::calls::{self, Known};
use super::findings::{Finding, Findings};
use super::lower::{Lowered, Lowering};
use super::multiplex::{Multiplexer, Say};
use super::settle::{Settling, call_name};
use super::solve::{OutOfWork, Work};
use super::{
    ArgWidth, InstallOptions, Policy, ResolveError, Rule, Section, Semantics, Source, Target, UnlistedX32, when,
};
use super::{arches, arguments, multiplex, unlisted};
use crate::arch::Arch;
use crate::bpf::Action;
use crate::profile::{ActionSpec, Call, Code, Dialect, Profile, Severity};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Profile {
    /// What the profile means on a target.
    ///
    /// The doubtful things that were found on the way are in [`Policy::diagnostics`]; they change nothing about the
    /// meaning.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// use callsieve::bpf::{Action, SyscallData};
    /// use callsieve::policy::Target;
    /// use callsieve::profile::{Profile, arg};
    ///
    /// let profile = Profile::new(Action::Errno(1)).allow_if("ioctl", [arg::<1>().eq(0x5401)]);
    /// let policy = profile.resolve(&Target::new(Arch::Aarch64))?;
    /// let mut call = SyscallData { nr: 29, arch: Arch::Aarch64.audit(), ..SyscallData::default() };
    /// assert_eq!(policy.decide(&call), Action::Errno(1));
    /// call.args[1] = 0x5401;
    /// assert_eq!(policy.decide(&call), Action::Allow);
    /// # Ok::<(), callsieve::policy::ResolveError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ResolveError`] lists all contradictions and unknown names at once.
    pub fn resolve(&self, target: &Target) -> Result<Policy, ResolveError> {
        let semantics = target.semantics.unwrap_or(match self.dialect {
            Dialect::Builder => Semantics::Strict,
            Dialect::Oci | Dialect::Docker => Semantics::Oci,
            Dialect::Imported => Semantics::Ordered,
        });
        let by_default = if self.typed || semantics == Semantics::Strict { ArgWidth::Typed } else { ArgWidth::Written };
        let typed = target.arg_width.unwrap_or(by_default) == ArgWidth::Typed;
        let mut findings = Findings::new(self);
        let arches = arches::listed(self, target, semantics, &mut findings)?;
        let entries: Vec<(bool, Known)> =
            self.rules.iter().map(|rule| (when::counts(rule, target), calls::look_up(rule))).collect();
        calls::check(self, &entries, &arches, semantics, &mut findings);
        check_actions(self, target, &mut findings);
        let (work, doubts) = (Work::new(), Work::new());
        let mut resolving = Resolving { profile: self, entries: &entries, semantics, typed, findings, work, doubts };
        let resolved = arches.iter().map(|arch| resolving.section(*arch)).collect::<Result<Vec<_>, _>>()?;
        let (mut sections, named): (Vec<Section>, Vec<Vec<u32>>) = resolved.into_iter().unzip();
        unlisted::fill(&mut sections, &named, target.unlisted);
        let diagnostics = resolving.findings.finish(&arches);
        if diagnostics.worst() == Some(Severity::Error) {
            return Err(ResolveError::Problems(diagnostics));
        }
        let bad_arch = target.bad_arch.or(self.foreign.map(|foreign| foreign.bad_arch)).unwrap_or(match semantics {
            Semantics::Strict | Semantics::Ordered => Action::KillProcess,
            Semantics::Oci => Action::KillThread,
        });
        Ok(Policy {
            bad_arch,
            unlisted_x32: unlisted_x32(self, target, bad_arch, &sections),
            sections,
            diagnostics,
            install_options: InstallOptions {
                flags: self.flags.clone(),
                listener_path: self.listener_path.clone(),
                listener_metadata: self.listener_metadata.clone(),
            },
        })
    }
}

fn unlisted_x32(profile: &Profile, target: &Target, bad_arch: Action, sections: &[Section]) -> Action {
    let own = sections.iter().find(|section| section.arch == Arch::X86_64);
    let by_file = profile.foreign.is_some_and(|foreign| foreign.x32_is_unlisted);
    let otherwise = if by_file { UnlistedX32::Default } else { UnlistedX32::BadArch };
    match target.unlisted_x32.unwrap_or(otherwise) {
        UnlistedX32::BadArch => bad_arch,
        UnlistedX32::Default => own.map_or(bad_arch, |section| section.default),
        UnlistedX32::Action(action) => action,
    }
}

/// Actions that do not depend on the ABI.
fn check_actions(profile: &Profile, target: &Target, findings: &mut Findings<'_>) {
    if profile.default_action == ActionSpec::Action(Action::Notify) {
        let text = "the default action is NOTIFY: a supervisor that makes a call which is not allowed would wait for \
                    itself, so such a filter is not installed";
        findings.add(Finding { text: text.into(), ..Finding::new(Severity::Warning, Code::NotifyDefault, None) });
    }
    let x32 = match target.unlisted_x32 {
        Some(UnlistedX32::Action(action)) => Some(action),
        _ => None,
    };
    for action in target.bad_arch.into_iter().chain(x32) {
        if let Action::Errno(number @ 4096..) = action {
            let text = format!("error number {number} of the target is out of range: the kernel returns 0 to 4095");
            findings.add(Finding { text, ..Finding::new(Severity::Error, Code::ErrnoRange, None) });
        }
    }
}

struct Resolving<'p> {
    profile: &'p Profile,
    /// Whether each entry counts on the target, and the calls that it names.
    entries: &'p [(bool, Known)],
    semantics: Semantics,
    /// Whether conditions see what the kernel reads of a parameter.
    typed: bool,
    findings: Findings<'p>,
    work: Work,
    /// For what only serves diagnostics.
    doubts: Work,
}

impl<'p> Resolving<'p> {
    /// The rules of an ABI, and the numbers that entries name, ascending: some of those have no rule in the end.
    fn section(&mut self, arch: Arch) -> Result<(Section, Vec<u32>), ResolveError> {
        // With a default action that is an error already, some action must stand in to find the other problems.
        let profile = self.profile;
        let default = self.lowering(arch).action(&profile.default_action, None).unwrap_or(Action::KillProcess);
        let (rules, written, named) = self.written(arch, default);
        let mut settling = Settling {
            arch,
            default,
            semantics: self.semantics,
            findings: &mut self.findings,
            work: &mut self.work,
            doubts: &mut self.doubts,
        };
        // The lists of one rule, which most calls have: one for each rule.
        let mut single: Vec<Option<Arc<[Rule]>>> = alloc::vec![None; rules.len()];
        let mut calls = Vec::with_capacity(written.len());
        for call in written.chunk_by(|one, other| one.0 == other.0) {
            let Some(&(nr, first)) = call.first() else { continue };
            let own = call.iter().filter_map(|&(_, rule)| rules.get(rule));
            let is_settled = call.len() == 1 && own.clone().all(|rule| settling.is_settled(rule));
            if let (true, Some(list)) = (is_settled, single.get_mut(first)) {
                calls.push((nr, list.get_or_insert_with(|| own.cloned().collect()).clone()));
                continue;
            }
            let settled = settling.rules(nr, own.cloned().collect());
            let settled = settled.map_err(|OutOfWork| ResolveError::TooComplex {
                call: call_name(arch, nr),
                arch,
                rules: call.len(),
            })?;
            if !settled.is_empty() {
                calls.push((nr, settled.into()));
            }
        }
        Ok((Section { arch, default, unlisted: Vec::new(), calls: calls.into_iter().collect() }, named))
    }

    /// The rules of all entries, and for each number the indexes of its rules: numbers ascending, the rules of each in
    /// the order of the file. Last the numbers that entries name.
    fn written(&mut self, arch: Arch, default: Action) -> (Vec<Rule>, Vec<(u32, usize)>, Vec<u32>) {
        let (mut rules, mut written) = (Vec::new(), Vec::new());
        for (index, (rule, (active, known))) in self.profile.rules.iter().zip(self.entries).enumerate() {
            let numbers = if *active { calls::numbers(rule, known, arch) } else { Vec::new() };
            if numbers.is_empty() {
                continue;
            }
            for (views, numbers) in arguments::by_views(rule, arch, numbers, self.typed) {
                let Some(lowered) = self.lowering(arch).entry(index, rule, &views) else { continue };
                let loosens = arguments::loosens(lowered.action, default);
                for &nr in numbers.iter().filter(|_| !rule.args.is_empty()) {
                    arguments::check(&mut self.findings, (index, rule), (arch, nr), self.typed, loosens);
                }
                for rule in self.rules(index, &lowered) {
                    written.extend(numbers.iter().map(|&nr| (nr, rules.len())));
                    rules.push(rule);
                }
            }
        }
        // The sort is stable, so the rules stay in order; the runs that the entries left make it quick.
        written.sort_by_key(|&(nr, _)| nr);
        let mut named: Vec<u32> = written.iter().map(|&(nr, _)| nr).collect();
        named.dedup();
        for multiplexer in &multiplex::ALL {
            if let Some(nr) = arch.number(multiplexer.name) {
                for rule in self.carried(multiplexer, (arch, nr), default) {
                    written.push((nr, rules.len()));
                    rules.push(rule);
                }
            }
        }
        written.sort_by_key(|&(nr, _)| nr);
        (rules, written, named)
    }

    /// The rules of calls where a multiplexer carries them. None if entries say themselves what happens to it: by its
    /// arguments, or at all where runtimes let the entry without conditions win.
    fn carried(&mut self, multiplexer: &Multiplexer, (arch, nr): (Arch, u32), default: Action) -> Vec<Rule> {
        let profile = self.profile;
        if profile.foreign.is_some_and(|foreign| !foreign.multiplexes) {
            return Vec::new();
        }
        let (mut says, mut named): (BTreeMap<u64, Vec<Say>>, Option<Action>) = (BTreeMap::new(), None);
        for (entry, (rule, (active, _))) in profile.rules.iter().zip(self.entries).enumerate() {
            if !active {
                continue;
            }
            let is_it = |call: &Call| match call {
                Call::Name(name) => name == multiplexer.name,
                Call::Number(own, number) => (*own, *number) == (arch, nr),
            };
            if rule.calls.iter().any(is_it) {
                named = self.lowering(arch).action(&rule.action, Some(entry));
                if self.semantics == Semantics::Oci || !rule.args.is_empty() {
                    return Vec::new();
                }
            }
            let mut inner = rule.calls.iter().filter_map(|call| multiplexer.inner(call)).peekable();
            if inner.peek().is_none() {
                continue;
            }
            let Some(action) = self.lowering(arch).action(&rule.action, Some(entry)) else { continue };
            for inner in inner {
                says.entry(inner).or_default().push(Say { entry, action, conditional: !rule.args.is_empty() });
            }
        }
        let mut rules = Vec::new();
        for (inner, says) in says {
            let deciding = multiplex::deciding(&says, default, self.semantics);
            let answer = deciding.map_or(default, |say| say.action);
            // What is not allowed there is told to programs by the answer; what is denied there may have been wanted.
            let severity = if answer == default { Severity::Note } else { Severity::Warning };
            for say in says.iter().filter(|say| say.conditional && named.is_none()) {
                let text = format!(
                    "its conditions cannot be looked at where {} carries the call: that gets {answer}",
                    multiplexer.name
                );
                self.findings.add(Finding {
                    arch: Some(arch),
                    text,
                    ..Finding::new(severity, Code::Multiplexed, Some(say.entry))
                });
            }
            // Where the multiplexer gets the same answer anyway, there is nothing to add.
            rules.extend(deciding.filter(|say| named != Some(say.action)).map(|say| Rule {
                action: say.action,
                conditions: alloc::vec![multiplexer.condition(inner)],
                narrower: Vec::new(),
                source: Source { entry: say.entry, path: super::findings::place(profile, Some(say.entry), None) },
            }));
        }
        rules
    }

    fn lowering(&mut self, arch: Arch) -> Lowering<'_, 'p> {
        Lowering {
            profile: self.profile,
            arch,
            semantics: self.semantics,
            findings: &mut self.findings,
            doubts: &mut self.doubts,
        }
    }

    fn rules(&self, entry: usize, lowered: &Lowered) -> impl Iterator<Item = Rule> {
        lowered.alternatives.iter().map(move |alternative| Rule {
            action: lowered.action,
            conditions: alternative.conditions.clone(),
            narrower: Vec::new(),
            source: Source { entry, path: super::findings::place(self.profile, Some(entry), alternative.arg) },
        })
    }
}
