//! A program as a policy: what somebody's filter does, as rules.
//!
//! The judge writes the regions of the program down, and each becomes a rule; no two of them overlap, so their order and
//! their narrowness do not matter. What a policy cannot say is an error that names the call. The result is proven equal to
//! the program.

use super::{MAX_ENTRIES, cubes};
use crate::arch::Arch;
use crate::bpf::{Action, Program, SyscallData};
use crate::check::{CallGroup, CallSet, Change, Judge, JudgeError, Region, Regions, Subject, Word};
use crate::policy::{Condition, InstallOptions, Policy, Rule, Section, Source, Span, Target, Test, UnlistedX32, Width};
use crate::profile::{Arg, Diagnostics};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use thiserror::Error;

/// Why the rules of a program could not be written down.
///
/// ```
/// use callsieve::bpf::{Action, Insn, Program, SyscallData, opcode};
/// use callsieve::export::ProgramError;
/// use callsieve::{Arch, Policy, Target};
/// // It looks where the call comes from, which no profile can say.
/// let program = Program::new(vec![
///     Insn::stmt(opcode::LD_W_ABS, 8),
///     Insn::new(opcode::JEQ_K, 1, 0, 0),
///     Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
///     Insn::stmt(opcode::RET_K, Action::KillProcess.to_raw()),
/// ])?;
/// let error = Policy::from_program(&program, &Target::exactly(&[Arch::X86_64])).unwrap_err();
/// assert!(matches!(error, ProgramError::InstructionPointer { .. }));
/// # Ok::<(), callsieve::bpf::VerifyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// No ABI was named, or ABIs of both byte orders.
    #[error("name one or more ABIs of the same byte order: a filter is made for one")]
    ByteOrder,
    /// Calls of other architectures get different answers, or their arguments count.
    #[error(
        "calls of architectures other than {listed} do not all get the same answer: {one}, and {other}; name all ABIs that \
         the filter is for (--arch), or an answer for the others (--bad-arch)"
    )]
    OtherArches {
        /// The ABIs that were named.
        listed: String,
        /// The answer to some of them.
        one: String,
        /// The answer to others.
        other: String,
    },
    /// x32 calls, which share a token with x86_64, get different answers.
    #[error(
        "x32 calls do not all get the same answer: {one}, and {other}; name x32 too (--arch x86_64,x32), or an answer for them (--unlisted-x32)"
    )]
    X32 {
        /// The answer to some of them.
        one: String,
        /// The answer to others.
        other: String,
    },
    /// The answer depends on where the call was made, which no rule can say.
    #[error("{call} on {arch}: the answer depends on the instruction pointer, which no rule can say")]
    InstructionPointer {
        /// The ABI.
        arch: Arch,
        /// The call.
        call: String,
    },
    /// The conditions are too many.
    #[error("{call} on {arch}: its conditions take more than {limit} rules")]
    TooManyRules {
        /// The ABI.
        arch: Arch,
        /// The call.
        call: String,
        /// How many rules with conditions there may be.
        limit: usize,
    },
    /// The program looks at something that rules cannot see, such as the upper half of an argument on a 32-bit ABI.
    #[error(
        "no rules say what the filter does with this call, perhaps because it looks at the upper half of a 32-bit argument: {0:x?}"
    )]
    Unsaid(Box<SyscallData>),
    /// There is no exact answer about the program.
    #[error("{0}")]
    Judge(#[from] JudgeError),
}

impl Policy {
    /// What a program does, whoever made it, as a policy for the ABIs of a target. It is proven equal to the program.
    ///
    /// What the target says about other architectures ([`Target::bad_arch`]) and unlisted x32 calls
    /// ([`Target::unlisted_x32`]) is taken in place of what the program does with those; nothing is proven about them then.
    /// Nothing else of the target counts but its ABIs.
    ///
    /// ```
    /// use callsieve::{Action, Arch, Compiler, Policy, Profile, Target, arg};
    ///
    /// let target = Target::exactly(&[Arch::X86_64]).bad_arch(Action::KillThread);
    /// let profile = Profile::new(Action::Errno(1)).allow("read").allow_if("socket", [arg::<0>().eq(1)]);
    /// let filter = Compiler::new().compile(&profile.resolve(&target)?)?;
    /// // Somebody else has only the program.
    /// let policy = Policy::from_program(filter.program(), &Target::exactly(&[Arch::X86_64]))?;
    /// assert!(policy.to_oci_json()?.contains(r#""names": ["read"]"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ProgramError`] for what rules cannot say: the instruction pointer, different answers to architectures that the
    /// target does not list, too many rules; or if the judge's budget is too small.
    pub fn from_program(program: &Program, target: &Target) -> Result<Self, ProgramError> {
        let native = [target.native];
        let arches: &[Arch] = target.arches.as_deref().unwrap_or(&native);
        let endian = arches.first().ok_or(ProgramError::ByteOrder)?.endian();
        if arches.iter().any(|arch| arch.endian() != endian) {
            return Err(ProgramError::ByteOrder);
        }
        let subject = Subject::program(program, endian);
        let reader = Reader { regions: Judge::new().regions(&subject)?, arches };
        let policy = reader.policy(target)?;
        let diff = Judge::new().diff(&subject, &Subject::policy(&policy))?;
        // What the target replaces may be different.
        let unsaid = diff.groups().iter().find(|group| !reader.is_replaced(target, group.calls()));
        match unsaid {
            Some(group) => {
                let (token, nr) = group.calls().first();
                let example = |change: &Change| change.example(token, nr);
                let call = group.changes().first().map_or_else(SyscallData::default, example);
                Err(ProgramError::Unsaid(Box::new(call)))
            }
            None => Ok(policy),
        }
    }
}

struct Reader<'a> {
    regions: Regions,
    arches: &'a [Arch],
}

impl Reader<'_> {
    fn policy(&self, target: &Target) -> Result<Policy, ProgramError> {
        let mut count = 0;
        let sections = self.arches.iter().map(|&arch| self.section(arch, &mut count)).collect::<Result<Vec<_>, _>>()?;
        let bad_arch = match target.bad_arch {
            Some(action) => action,
            None => self.other_arches()?,
        };
        let default = sections.first().map_or(bad_arch, |section| section.default);
        let unlisted_x32 = match target.unlisted_x32 {
            Some(UnlistedX32::BadArch) => bad_arch,
            Some(UnlistedX32::Default) => default,
            Some(UnlistedX32::Action(action)) => action,
            None => self.x32_calls()?.unwrap_or(bad_arch),
        };
        let (diagnostics, install_options) = (Diagnostics::default(), InstallOptions::default());
        Ok(Policy { sections, bad_arch, unlisted_x32, diagnostics, install_options })
    }

    /// Whether calls are only such as the target has an answer for.
    fn is_replaced(&self, target: &Target, calls: &CallSet) -> bool {
        let x32 = |arch: Arch| arch == Arch::X32 && self.arches.contains(&Arch::X86_64);
        let allowed = |arch: Arch| {
            let answered = if x32(arch) { target.unlisted_x32.is_some() } else { target.bad_arch.is_some() };
            answered && !self.arches.contains(&arch)
        };
        calls.arches().all(allowed) && (!calls.is_open() || target.bad_arch.is_some())
    }

    /// What all calls of ABIs get that are not listed.
    fn other_arches(&self) -> Result<Action, ProgramError> {
        let others = |group: &&CallGroup| {
            // -1, with which a tracer skips a call, belongs to x32 where x86_64 is not listed.
            let skipped = |arch: Arch| {
                let gaps = || group.calls().unnamed(arch);
                let only = |gaps: Vec<_>| gaps.iter().all(|gap| *gap == (u32::MAX..=u32::MAX));
                self.arches.contains(&Arch::X32)
                    && group.calls().named(arch).next().is_none()
                    && gaps().is_some_and(only)
            };
            let is_other = |arch: Arch| !self.arches.contains(&arch) && !self.shares_token(arch) && !skipped(arch);
            group.calls().is_open() || group.calls().arches().any(is_other)
        };
        match self.same_answer(others) {
            Ok(action) => Ok(action.unwrap_or(Action::KillProcess)),
            Err([one, other]) => {
                let listed = self.arches.iter().map(|arch| format!("{arch}")).collect::<Vec<_>>().join(", ");
                Err(ProgramError::OtherArches { listed, one, other })
            }
        }
    }

    /// What all x32 calls get, if they are not listed beside x86_64.
    fn x32_calls(&self) -> Result<Option<Action>, ProgramError> {
        if !self.shares_token(Arch::X32) {
            return Ok(None);
        }
        let is_x32 = |group: &&CallGroup| group.calls().arches().any(|arch| arch == Arch::X32);
        self.same_answer(is_x32).map_err(|[one, other]| ProgramError::X32 { one, other })
    }

    /// Whether these are the x32 calls of a list that has x86_64 only.
    fn shares_token(&self, arch: Arch) -> bool {
        arch == Arch::X32 && self.arches.contains(&Arch::X86_64) && !self.arches.contains(&Arch::X32)
    }

    /// The one answer of groups, or two that are different.
    fn same_answer(&self, which: impl Fn(&&CallGroup) -> bool) -> Result<Option<Action>, [String; 2]> {
        let mut found: Option<&Region> = None;
        for region in self.regions.groups().iter().filter(which).flat_map(CallGroup::regions) {
            match found {
                Some(one) if one.action() != region.action() => return Err([one.to_string(), region.to_string()]),
                _ => found = Some(region),
            }
        }
        Ok(found.map(Region::action))
    }

    fn section(&self, arch: Arch, count: &mut usize) -> Result<Section, ProgramError> {
        let own = || self.regions.groups().iter().filter(|group| group.calls().tokens().contains(arch.audit().into()));
        let default = self.default_of(arch);
        let (mut calls, mut unlisted) = (BTreeMap::new(), Vec::new());
        for group in own() {
            let named: Vec<u32> = group.calls().named(arch).map(|(nr, _)| nr).collect();
            let mut unnamed = group.calls().unnamed(arch);
            let lists_x32_alone = arch == Arch::X32 && !self.arches.contains(&Arch::X86_64);
            if lists_x32_alone && group.calls().contains(arch.audit(), u32::MAX) {
                unnamed = unnamed.map(|gaps| gaps.into_iter().chain([u32::MAX..=u32::MAX]).collect());
            }
            let first = named.first().copied().or(unnamed.as_ref().and_then(|gaps| Some(*gaps.first()?.start())));
            let too_many = |nr| ProgramError::TooManyRules { arch, call: call(arch, nr), limit: MAX_ENTRIES };
            let Some(nr) = first else { continue };
            let unnamed = unnamed.ok_or_else(|| too_many(nr))?;
            if let [region] = group.regions()
                && region.conditions().is_empty()
            {
                let action = region.action();
                if action != default {
                    let rules: Arc<[Rule]> = Arc::from([rule(action, Vec::new())]);
                    calls.extend(named.iter().map(|&nr| (nr, Arc::clone(&rules))));
                    unlisted.extend(unnamed.iter().map(|gap| Span { first: *gap.start(), last: *gap.end(), action }));
                }
                continue;
            }
            let rules: Arc<[Rule]> = rules(group, arch, nr, default, count)?.into();
            let numbers = named.into_iter().chain(unnamed.into_iter().flatten());
            for nr in numbers {
                // A rule with conditions for numbers that no call has: real filters have them for a few at most.
                *count = count.saturating_add(1);
                if *count > MAX_ENTRIES {
                    return Err(too_many(nr));
                }
                calls.insert(nr, Arc::clone(&rules));
            }
        }
        unlisted.sort_unstable_by_key(|span| span.first);
        Ok(Section { arch, default, unlisted, calls })
    }

    /// The answer that most stretches of numbers without a call get: then the fewest of them need one of their own. Of
    /// equal ones the most restrictive.
    fn default_of(&self, arch: Arch) -> Action {
        let mut stretches: BTreeMap<Action, usize> = BTreeMap::new();
        for group in self.regions.groups().iter().filter(|group| group.calls().tokens().contains(arch.audit().into())) {
            if let [region] = group.regions()
                && region.conditions().is_empty()
            {
                let number = group.calls().unnamed(arch).map_or(0, |gaps| gaps.len());
                let known = stretches.entry(region.action()).or_default();
                *known = known.saturating_add(number);
            }
        }
        let most = stretches.into_iter().rev().max_by_key(|&(_, number)| number);
        most.map_or(Action::KillProcess, |(action, _)| action)
    }
}

fn call(arch: Arch, nr: u32) -> String {
    arch.name(nr).map_or_else(|| format!("call {nr:#x}"), String::from)
}

/// The rules of a group whose arguments count.
fn rules(
    group: &CallGroup,
    arch: Arch,
    nr: u32,
    default: Action,
    count: &mut usize,
) -> Result<Vec<Rule>, ProgramError> {
    let mut found = Vec::new();
    for region in group.regions() {
        if region.conditions().iter().any(|condition| condition.word() == Word::InstructionPointer) {
            return Err(ProgramError::InstructionPointer { arch, call: call(arch, nr) });
        }
        if region.action() == default {
            continue;
        }
        let limit = MAX_ENTRIES;
        let cubes = cubes(region, arch, limit.saturating_sub(*count));
        let cubes = cubes.ok_or_else(|| ProgramError::TooManyRules { arch, call: call(arch, nr), limit })?;
        *count = count.saturating_add(cubes.len());
        found.extend(
            cubes.iter().map(|args| rule(region.action(), args.iter().map(|arg| condition(arg, arch)).collect())),
        );
    }
    Ok(found)
}

fn rule(action: Action, conditions: Vec<Condition>) -> Rule {
    let source = Source { entry: 0, path: String::from("the filter") };
    Rule { action, conditions, narrower: Vec::new(), source }
}

fn condition(arg: &Arg, arch: Arch) -> Condition {
    let width = if arch.has_64bit_args() { Width::Bits64 } else { Width::Bits32 };
    Condition { arg: arg.index(), width, test: Test::of(arg) }
}
