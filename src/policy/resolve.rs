//! From what was written to what it means.

use super::arches;
use super::calls;
use super::findings::{Finding, Findings};
use super::lower::{Lowered, Lowering};
use super::settle::{Settling, call_name};
use super::solve::{OutOfWork, Work};
use super::{InstallOptions, Policy, ResolveError, Rule, Section, Semantics, Source, Target, UnlistedX32, when};
use crate::arch::Arch;
use crate::bpf::Action;
use crate::profile::{ActionSpec, Code, Dialect, Profile, Severity};
use alloc::collections::BTreeMap;
use alloc::format;
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
        });
        let mut findings = Findings::new(self);
        let arches = arches::listed(self, target, semantics, &mut findings)?;
        let active: Vec<bool> = self.rules.iter().map(|rule| when::counts(rule, target)).collect();
        calls::check(self, &active, &arches, semantics, &mut findings);
        check_actions(self, target, &mut findings);
        let mut resolving =
            Resolving { profile: self, active: &active, semantics, findings, work: Work::new(), doubts: Work::new() };
        let sections = arches.iter().map(|arch| resolving.section(*arch)).collect::<Result<Vec<_>, _>>()?;
        let diagnostics = resolving.findings.finish(&arches);
        if diagnostics.worst() == Some(Severity::Error) {
            return Err(ResolveError::Problems(diagnostics));
        }
        let bad_arch = target.bad_arch.unwrap_or(match semantics {
            Semantics::Strict => Action::KillProcess,
            Semantics::Oci => Action::KillThread,
        });
        Ok(Policy {
            bad_arch,
            unlisted_x32: unlisted_x32(target, bad_arch, &sections),
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

fn unlisted_x32(target: &Target, bad_arch: Action, sections: &[Section]) -> Action {
    let own = sections.iter().find(|section| section.arch == Arch::X86_64);
    match target.unlisted_x32 {
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
        UnlistedX32::Action(action) => Some(action),
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
    /// Whether each entry counts on the target.
    active: &'p [bool],
    semantics: Semantics,
    findings: Findings<'p>,
    work: Work,
    /// For what only serves diagnostics.
    doubts: Work,
}

impl<'p> Resolving<'p> {
    fn section(&mut self, arch: Arch) -> Result<Section, ResolveError> {
        // With a default action that is an error already, some action must stand in to find the other problems.
        let profile = self.profile;
        let default = self.lowering(arch).action(&profile.default_action, None).unwrap_or(Action::KillProcess);
        let mut written: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
        for (index, (rule, _)) in self.profile.rules.iter().zip(self.active).enumerate().filter(|(_, (_, on))| **on) {
            let numbers = calls::numbers(rule, arch);
            if numbers.is_empty() {
                continue;
            }
            let lowered = self.lowering(arch).entry(index, rule);
            for rule in lowered.iter().flat_map(|lowered| self.rules(index, lowered)) {
                for nr in &numbers {
                    written.entry(*nr).or_default().push(rule.clone());
                }
            }
        }
        let mut settling = Settling {
            arch,
            default,
            semantics: self.semantics,
            findings: &mut self.findings,
            work: &mut self.work,
            doubts: &mut self.doubts,
        };
        let mut calls = BTreeMap::new();
        for (nr, rules) in written {
            let count = rules.len();
            let rules = settling.rules(nr, rules);
            let rules = rules.map_err(|OutOfWork| ResolveError::TooComplex {
                call: call_name(arch, nr),
                arch,
                rules: count,
            })?;
            if !rules.is_empty() {
                calls.insert(nr, rules);
            }
        }
        Ok(Section { arch, default, calls })
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
