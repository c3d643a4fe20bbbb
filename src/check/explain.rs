//! Why a call is answered as it is: the rules of a profile against one call, or against all calls with arguments in
//! given bounds.
//!
//! Bounds, conditions and rules are functions in one diagram, so "always", "never" and "decides somewhere" are exact.

use super::bdd::{Bdd, Exhausted, FALSE, Operation, Ref, TRUE};
use super::judge::{Engine, Judge, JudgeError};
use super::regions::{Cutter, Region};
use super::subject::Subject;
use super::witness::{for_arch, for_number};
use super::words::Word;
use super::{meaning, names};
use crate::arch::{Arch, Syscall};
use crate::bpf::Action;
use crate::policy::{Gate, Policy, ResolveError, Rule, Target};
use crate::profile::{self, ActionSpec, Call, Profile};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Explains what a profile does on a target.
///
/// ```
/// use callsieve::Profile;
/// use callsieve::arch::Arch;
/// use callsieve::bpf::Action;
/// use callsieve::check::{Explainer, Fate, Holds};
/// use callsieve::policy::Target;
///
/// let profile = Profile::container_default()?;
/// let explainer = Explainer::new(&profile, &Target::exactly(&[Arch::X86_64]))?;
/// // socket(40, ...): no rule matches. The nearest one that would allow it fails in one condition.
/// let socket = explainer.explain(Arch::X86_64.audit(), 41, &[40..=40])?;
/// assert_eq!(socket.action(), Some(Action::Errno(1)));
/// assert!(socket.by_default);
/// let nearest = socket.nearest();
/// assert_eq!(nearest[0].fate, Fate::Fails);
/// assert_eq!((nearest[0].conditions[0].text.as_str(), nearest[0].conditions[0].holds), ("arg0 as u32 < 38", Holds::Never));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Explainer<'a> {
    profile: &'a Profile,
    target: Target,
    policy: Policy,
    judge: Judge,
}

/// What happens to the calls that were asked about, and why.
///
/// See the example of [`Explainer`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The ABI of the calls, if there is one with that token.
    pub arch: Option<Arch>,
    /// The number of the calls.
    pub nr: u32,
    /// What happens to them, by their arguments: disjoint, within the bounds, and nothing left out.
    pub regions: Vec<Region>,
    /// How the profile treats the ABI.
    pub admission: Admission,
    /// The default action of the profile on that ABI; if the ABI is refused, the action for that.
    pub default: Action,
    /// Whether no rule decides some of the calls.
    pub by_default: bool,
    /// The rules that name the call, in the order of the profile; an entry that was split counts once for each part.
    pub rules: Vec<ExplainedRule>,
}

/// How a profile treats the ABI of a call.
///
/// See the example of [`Explainer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// Its rules count.
    Listed,
    /// The architecture is not listed.
    UnlistedArch,
    /// The number is one of x32, and only x86_64 is listed.
    UnlistedX32,
}

/// One rule of the profile, against the calls that were asked about.
///
/// See the example of [`Explainer`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExplainedRule {
    /// Its index in [`Profile::rules`].
    pub entry: usize,
    /// Where it stands, such as `$.syscalls[3]`.
    pub path: String,
    /// What its author wrote about it.
    pub comment: Option<String>,
    /// What it wants to happen.
    pub action: ActionSpec,
    /// What must hold for it to match; empty if it always does.
    pub conditions: Vec<ExplainedCondition>,
    /// What became of it.
    pub fate: Fate,
}

/// One condition of a rule, against the calls that were asked about.
///
/// See the example of [`Explainer`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExplainedCondition {
    /// In words, such as `arg0 == 5`.
    pub text: String,
    /// The argument that it looks at.
    pub arg: u8,
    /// Whether it holds.
    pub holds: Holds,
}

/// Whether something holds for the calls that were asked about.
///
/// See the example of [`Explainer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holds {
    /// For all of them.
    Always,
    /// For some of them.
    Sometimes,
    /// For none of them.
    Never,
    /// The rule does not count on the target, so nobody asked.
    Unasked,
}

/// What became of a rule.
///
/// See the example of [`Explainer`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It says what happens, to some of the calls at least.
    Decides,
    /// It matches, but other rules say what happens: those at these paths.
    Overruled(Vec<String>),
    /// It matches none of the calls.
    Fails,
    /// It has no effect on this call at all, as container runtimes read profiles, for this reason.
    NoEffect(&'static str),
    /// It does not count on the target, for these reasons ([`Target::why_not`]).
    NotHere(Vec<String>),
}

/// Marks the calls outside of the bounds.
const WITHIN: Operation = Operation::new(3);

impl<'a> Explainer<'a> {
    /// Resolves a profile, and keeps what is needed to explain it.
    pub fn new(profile: &'a Profile, target: &Target) -> Result<Self, ResolveError> {
        Ok(Self { profile, target: target.clone(), policy: profile.resolve(target)?, judge: Judge::new() })
    }

    /// With the budgets of this judge.
    pub fn judge(self, judge: Judge) -> Self {
        Self { judge, ..self }
    }

    /// What the profile means on the target.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Explains the calls with this architecture token and number whose arguments are within bounds: those of argument
    /// 0 first, and any value for arguments that have none. Bounds that hold no value are taken for any value.
    pub fn explain(&self, token: u32, nr: u32, bounds: &[RangeInclusive<u64>]) -> Result<Explanation, JudgeError> {
        let too_large = |Exhausted| self.judge.too_large();
        let mut engine = Engine::new(self.judge);
        let within = within(&mut engine, bounds).map_err(too_large)?;
        let function = engine.behaviour(&Subject::policy(&self.policy)).map_err(too_large)?;
        let function = for_number(&engine.bdd, for_arch(&engine.bdd, function, token), nr);
        let (admission, default, rules) = self.admit(token, nr);
        let (mut explained, by_default) = self.settled(&mut engine, rules, within).map_err(too_large)?;
        let arch = names::abi(token, nr);
        if let (Admission::Listed, Some(arch)) = (admission, arch) {
            explained.extend(self.unsettled(rules, arch, nr, default));
        }
        explained.sort_by_key(|rule| rule.entry);
        let marked = engine.bdd.combine(WITHIN, function, within, &mut |raw, inside| match inside {
            1 => raw,
            _ => OUTSIDE,
        });
        let marked = marked.map_err(too_large)?;
        let mut regions = Cutter::new(&engine.bdd, self.judge).regions(marked)?;
        regions.retain(|region| region.raw() != OUTSIDE);
        Ok(Explanation { arch, nr, regions, admission, default, by_default, rules: explained })
    }

    /// How the ABI is treated, what happens without a rule, and the rules in normal form.
    fn admit(&self, token: u32, nr: u32) -> (Admission, Action, &[Rule]) {
        match self.policy.gate(token, nr) {
            Gate::Section(section) => {
                let rules = section.calls.get(&nr).map_or(&[][..], |rules| rules);
                (Admission::Listed, section.default, rules)
            }
            Gate::Refused(action) if self.policy.arches().any(|arch| arch.audit() == token) => {
                (Admission::UnlistedX32, action, &[])
            }
            Gate::Refused(action) => (Admission::UnlistedArch, action, &[]),
        }
    }

    /// The rules in normal form, and whether none of them decides some of the calls.
    fn settled(
        &self,
        engine: &mut Engine,
        rules: &[Rule],
        within: Ref,
    ) -> Result<(Vec<ExplainedRule>, bool), Exhausted> {
        let bdd = &mut engine.bdd;
        let mut matches = meaning::matches(bdd, rules)?;
        for own in &mut matches {
            *own = bdd.and(within, *own)?;
        }
        let says = meaning::effective(bdd, rules, &matches)?;
        let mut left = within;
        for &own in &says {
            left = bdd.ite(own, FALSE, left)?;
        }
        let mut explained = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            let own = says.get(index).copied().unwrap_or(FALSE);
            let mut decides = own;
            let mut by = Vec::new();
            for (other, &said) in rules.iter().zip(&says).filter(|(other, _)| other.action < rule.action) {
                decides = bdd.ite(said, FALSE, decides)?;
                if bdd.and(said, own)? != FALSE {
                    by.push(other.source.path.clone());
                }
            }
            let matching = matches.get(index).copied().unwrap_or(FALSE);
            for &narrower in &rule.narrower {
                let beaten = matches.get(narrower).copied().unwrap_or(FALSE);
                if bdd.and(beaten, matching)? != FALSE {
                    by.extend(rules.get(narrower).map(|rule| rule.source.path.clone()));
                }
            }
            let fate = match (matching, decides) {
                (FALSE, _) => Fate::Fails,
                (_, FALSE) => Fate::Overruled(by),
                _ => Fate::Decides,
            };
            explained.push(self.explained(explained_conditions(bdd, rule, within)?, rule, fate));
        }
        Ok((explained, left != FALSE))
    }

    fn explained(&self, conditions: Vec<ExplainedCondition>, rule: &Rule, fate: Fate) -> ExplainedRule {
        let written = self.profile.rules.get(rule.source.entry);
        ExplainedRule {
            entry: rule.source.entry,
            path: rule.source.path.clone(),
            comment: written.and_then(|rule| rule.comment.clone()),
            action: rule.action.into(),
            conditions,
            fate,
        }
    }

    /// The entries that name the call, but left no rule in the normal form.
    fn unsettled(&self, settled: &[Rule], arch: Arch, nr: u32, default: Action) -> Vec<ExplainedRule> {
        let is_settled = |entry: usize| settled.iter().any(|rule| rule.source.entry == entry);
        let entries = self.profile.rules.iter().enumerate();
        let own =
            entries.filter(|(entry, rule)| !is_settled(*entry) && rule.calls.iter().any(|call| is(call, arch, nr)));
        let explained = own.map(|(entry, rule)| {
            let why_not = self.target.why_not(rule);
            let fate = if why_not.is_empty() {
                Fate::NoEffect(if rule.action == ActionSpec::Action(default) {
                    "it gives the default action, and such rules are skipped"
                } else {
                    "another rule for the call has no conditions, or the same, and that one counts"
                })
            } else {
                Fate::NotHere(why_not)
            };
            ExplainedRule {
                entry,
                path: rule.path.clone(),
                comment: rule.comment.clone(),
                action: rule.action.clone(),
                conditions: rule.args.iter().map(unasked).collect(),
                fate,
            }
        });
        explained.collect()
    }
}

/// Stands for "outside of the bounds": no action, and the kernel's equality leaves only actions.
const OUTSIDE: u32 = u32::MAX;

fn unasked(arg: &profile::Arg) -> ExplainedCondition {
    ExplainedCondition { text: arg.to_string(), arg: arg.index, holds: Holds::Unasked }
}

fn is(call: &Call, arch: Arch, nr: u32) -> bool {
    match call {
        Call::Name(name) => Syscall::from_name(name).and_then(|call| call.number(arch)) == Some(nr),
        Call::Number(own, number) => (*own, *number) == (arch, nr),
    }
}

/// The calls whose arguments are within the bounds.
fn within(engine: &mut Engine, bounds: &[RangeInclusive<u64>]) -> Result<Ref, Exhausted> {
    let bdd = &mut engine.bdd;
    let mut within = TRUE;
    for (arg, bounds) in (0..6_u8).zip(bounds).filter(|(_, bounds)| !bounds.is_empty()) {
        let Some(word) = Word::argument(arg) else { continue };
        let above = word.exceeds(bdd, *bounds.start(), true)?;
        let beyond = word.exceeds(bdd, *bounds.end(), false)?;
        let inside = bdd.ite(beyond, FALSE, above)?;
        within = bdd.and(within, inside)?;
    }
    Ok(within)
}

fn explained_conditions(bdd: &mut Bdd, rule: &Rule, within: Ref) -> Result<Vec<ExplainedCondition>, Exhausted> {
    let conditions = rule.conditions.iter().map(|condition| {
        let holds = meaning::holds(bdd, condition)?;
        let both = bdd.and(within, holds)?;
        let holds = if both == FALSE {
            Holds::Never
        } else if both == within {
            Holds::Always
        } else {
            Holds::Sometimes
        };
        Ok(ExplainedCondition { text: condition.to_string(), arg: condition.arg, holds })
    });
    conditions.collect()
}

impl Explanation {
    /// What happens, if it is the same for all calls that were asked about.
    pub fn action(&self) -> Option<Action> {
        let mut actions = self.regions.iter().map(Region::action);
        let first = actions.next()?;
        actions.all(|action| action == first).then_some(first)
    }

    /// Whether none of the calls is allowed.
    pub fn is_denied(&self) -> bool {
        self.regions.iter().all(|region| !allows(region.action()))
    }

    /// The rules that allow the call, those first that lack the least. Those that do not count on the target come last.
    pub fn allowing(&self) -> Vec<&ExplainedRule> {
        let allows = |rule: &&ExplainedRule| matches!(rule.action, ActionSpec::Action(action) if allows(action));
        let mut allowing: Vec<_> = self.rules.iter().filter(allows).collect();
        allowing.sort_by_key(|rule| match &rule.fate {
            Fate::NotHere(why) => (1, why.len()),
            _ => (0, rule.conditions.iter().filter(|condition| condition.holds != Holds::Always).count()),
        });
        allowing
    }

    /// The same without those that decide: what would allow the call, but does not.
    pub fn nearest(&self) -> Vec<&ExplainedRule> {
        let mut nearest = self.allowing();
        nearest.retain(|rule| rule.fate != Fate::Decides);
        nearest
    }

    /// The rules that decide some of the calls with an action of this kind ([`Action::kind`]).
    pub fn deciding(&self, kind: &str) -> Vec<&ExplainedRule> {
        let decides = |rule: &&ExplainedRule| {
            rule.fate == Fate::Decides && matches!(rule.action, ActionSpec::Action(action) if action.kind() == kind)
        };
        self.rules.iter().filter(decides).collect()
    }

    /// Whether some of the calls get an action of this kind from the profile.
    pub fn gives(&self, kind: &str) -> bool {
        self.regions.iter().any(|region| region.action().kind() == kind)
    }
}

fn allows(action: Action) -> bool {
    matches!(action, Action::Allow | Action::Log)
}
