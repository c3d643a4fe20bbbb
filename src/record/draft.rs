//! A profile made of a recording, and the policy under which only what it lacks is asked about.

use super::closure::{Benign, CLOSURE};
use super::recorder::Recorder;
use super::recording::{Lost, Recording, Seen, Values};
use super::watched::{Kind, Watched};
use super::{Arguments, RecordError};
use crate::arch::Arch;
use crate::bpf::{Action, SyscallData};
use crate::policy::{ArgWidth, Policy, Target, UnlistedX32};
use crate::profile::{Arg, Call, Dialect, ListedArch, Op, Profile, Rule, SubArches, Width};
use crate::supervise::NEVER_NOTIFIED;
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// Entries that the arguments of one call may make; beyond that the call is allowed whatever its arguments.
const MAX_ALTERNATIVES: usize = 128;

/// A profile made of a recording; by [`Recorder::draft`].
///
/// ```
/// use callsieve::Arch;
/// use callsieve::record::{Recorder, Recording};
/// let mut recording = Recording::new();
/// recording.read_strace("getpid() = 4711\n", Arch::X86_64)?;
/// let draft = Recorder::new().draft(&recording)?;
/// assert_eq!(draft.names(), ["getpid"]);
/// assert!(draft.closure().iter().any(|call| call.name == "rt_sigreturn"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Draft {
    profile: Profile,
    names: Vec<&'static str>,
    closure: Vec<Benign>,
    doubts: Vec<Doubt>,
}

/// Where a profile allows more than was seen.
///
/// See the example of [`Draft`](super::Draft).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// A call is allowed whatever its arguments, although they matter.
    Unconstrained {
        /// The call.
        name: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The base profile allows the call on conditions, and those do not count any more.
    BaseConditions {
        /// The call.
        name: &'static str,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unconstrained { name, why } => write!(f, "{name} is allowed whatever its arguments: {why}"),
            Self::BaseConditions { name } => write!(
                f,
                "{name} is allowed whatever its arguments, although the base profile has conditions for it: the \
                 arguments that they are about are not recorded"
            ),
        }
    }
}

impl Draft {
    /// The profile, in the dialect of the recorder or of its base. [`Profile::to_json`] writes it.
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The calls that are allowed because they were seen, sorted. With a base, those that it lacks.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The calls that are allowed although they were not seen.
    pub fn closure(&self) -> &[Benign] {
        &self.closure
    }

    /// Where it allows more than was seen.
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }
}

/// What shall be allowed of one call.
struct Wanted {
    name: &'static str,
    /// On the ABIs where it was seen.
    numbers: Vec<(Arch, u32)>,
    /// Lists of conditions; `None` allows it whatever its arguments.
    alternatives: Option<Vec<Vec<Arg>>>,
    /// Whether registers had bits that the kernel does not read.
    odd: bool,
}

impl Recorder<'_> {
    /// Makes a profile of a recording: what was seen is allowed, and what belongs to the closure.
    ///
    /// Profiles name calls, not numbers, so a call that was seen on one ABI is allowed on all ABIs that were seen.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// use callsieve::bpf::SyscallData;
    /// use callsieve::record::{Recorder, Recording};
    ///
    /// let mut recording = Recording::new();
    /// recording.add(&SyscallData { nr: 0, arch: Arch::X86_64.audit(), ..SyscallData::default() });
    /// let draft = Recorder::new().draft(&recording)?;
    /// assert_eq!(draft.names(), ["read"]);
    /// assert!(draft.closure().iter().any(|call| call.name == "exit_group"));
    /// # Ok::<(), callsieve::record::RecordError>(())
    /// ```
    ///
    /// # Errors
    /// [`RecordError::Base`] and [`RecordError::BaseAllows`] if the base profile cannot be used.
    pub fn draft(&self, recording: &Recording) -> Result<Draft, RecordError> {
        match &self.base {
            Some((base, target)) => self.draft_on(base, target, recording),
            None => Ok(self.draft_alone(recording)),
        }
    }

    fn draft_alone(&self, recording: &Recording) -> Draft {
        let arches = ordered(recording.arches());
        let (wanted, doubts) = self.wanted(recording, |_| None);
        let closure: Vec<_> = self.closure_of(&arches).filter(|benign| !names(&wanted, benign.name)).collect();
        let mut profile = Profile { dialect: self.dialect, ..Profile::new(self.default_action) };
        match (self.dialect, arches.split_first()) {
            (Dialect::Docker, Some((&architecture, rest))) => {
                profile.arch_map = vec![SubArches { architecture, sub_architectures: rest.to_vec() }];
            }
            _ => profile.architectures = arches.iter().copied().map(ListedArch::Arch).collect(),
        }
        add(&mut profile, &wanted, &closure);
        Draft { profile, names: wanted.iter().map(|wanted| wanted.name).collect(), closure, doubts }
    }

    fn draft_on(&self, base: &Profile, target: &Target, recording: &Recording) -> Result<Draft, RecordError> {
        let asking = asking(base)?.resolve(&asking_target(target.clone()))?;
        let lacks = Lacks { base, asking: &asking };
        let (wanted, mut doubts) = self.wanted(recording, |name| lacks.conditions(name));
        let wanted: Vec<_> = wanted.into_iter().filter_map(|wanted| lacks.rest(wanted)).collect();
        doubts.retain(|doubt| match doubt {
            Doubt::Unconstrained { name, .. } | Doubt::BaseConditions { name } => names(&wanted, name),
        });
        let listed: Vec<Arch> = asking.arches().collect();
        let closure = self.closure_of(&listed).filter(|benign| {
            !names(&wanted, benign.name) && lacks.conditions(benign.name).is_none() && lacks.lacks(benign.name, &listed)
        });
        let closure: Vec<_> = closure.collect();
        let mut profile = base.clone();
        cover(&mut profile, target.native(), recording.arches().filter(|arch| !listed.contains(arch)));
        add(&mut profile, &wanted, &closure);
        Ok(Draft { profile, names: wanted.iter().map(|wanted| wanted.name).collect(), closure, doubts })
    }

    /// The policy under which a program is recorded: what is not known yet is asked about. Without a recording nothing
    /// is known, but for the base profile and the calls that are never notified.
    pub(super) fn asking(&self, known: Option<&Recording>, native: Arch) -> Result<Policy, RecordError> {
        if let Some((base, target)) = &self.base {
            let mut profile = match known {
                Some(recording) => asking(self.draft_on(base, target, recording)?.profile())?,
                None => asking(base)?,
            };
            let named = |name: &str| profile.rules.iter().any(|rule| has_name(rule, name));
            let never: Vec<_> = NEVER_NOTIFIED.into_iter().filter(|name| !named(name)).collect();
            append(&mut profile, never, Vec::new());
            return Ok(profile.resolve(&asking_target(target.clone()))?);
        }
        let mut arches = vec![native];
        arches.extend(native.compat());
        let mut profile = Profile::new(Action::Notify).allow(NEVER_NOTIFIED).portable();
        if let Some(recording) = known {
            // By numbers: the first call on an ABI that was not seen so far shall be asked about, whatever it is.
            for wanted in self.wanted(recording, |_| None).0 {
                let alternatives = wanted.alternatives.unwrap_or_else(|| vec![Vec::new()]);
                let calls: Vec<_> = wanted.numbers.iter().map(|&(arch, nr)| Call::Number(arch, nr)).collect();
                profile.add_rule(&Action::Allow.into(), &calls, alternatives);
            }
            for arch in recording.arches() {
                let arch_alone = [arch];
                let numbers = self.closure_of(&arch_alone).filter_map(|benign| arch.number(benign.name));
                profile = profile.allow(numbers.map(|nr| (arch, nr)).collect::<Vec<_>>());
            }
            arches.extend(recording.arches().filter(|arch| !arches.contains(arch)).collect::<Vec<_>>());
        }
        let target = Target::exactly(&arches).arg_width(ArgWidth::Written);
        Ok(profile.resolve(&asking_target(target))?)
    }

    /// The closure on some ABIs.
    fn closure_of(&self, arches: &[Arch]) -> impl Iterator<Item = Benign> {
        let all = if self.closure { &CLOSURE[..] } else { &[] };
        all.iter().copied().filter(|benign| arches.iter().any(|arch| arch.number(benign.name).is_some()))
    }

    /// What was seen, by name. `conditions` are the arguments that the base has conditions for.
    fn wanted(
        &self,
        recording: &Recording,
        conditions: impl Fn(&str) -> Option<BTreeSet<u8>>,
    ) -> (Vec<Wanted>, Vec<Doubt>) {
        let mut by_name: BTreeMap<&'static str, Vec<(Arch, u32, &Seen)>> = BTreeMap::new();
        for (&(arch, nr), seen) in &recording.calls {
            if let Some(name) = arch.name(nr) {
                by_name.entry(name).or_default().push((arch, nr, seen));
            }
        }
        let mut doubts = Vec::new();
        let wanted = by_name.into_iter().map(|(name, seen)| {
            let numbers = seen.iter().map(|&(arch, nr, _)| (arch, nr)).collect();
            let odd = seen.iter().any(|(_, _, seen)| seen.odd);
            let seen: Vec<_> = seen.into_iter().map(|(_, _, seen)| seen).collect();
            let conditions = conditions(name);
            let arguments = if conditions.is_some() { Arguments::Exact } else { self.arguments };
            let alternatives = match (alternatives(&seen, arguments), conditions) {
                (Ok(None), None) => None,
                (Ok(Some(all)), Some(needed)) if needed.iter().all(|index| has_index(&all, *index)) => Some(all),
                (_, Some(_)) => {
                    doubts.push(Doubt::BaseConditions { name });
                    None
                }
                (Ok(Some(all)), None) => Some(all),
                (Err(why), None) => {
                    doubts.push(Doubt::Unconstrained { name, why });
                    None
                }
            };
            Wanted { name, numbers, alternatives, odd }
        });
        let wanted = wanted.collect();
        (wanted, doubts)
    }
}

/// What a base profile lacks.
struct Lacks<'b> {
    base: &'b Profile,
    /// The base with NOTIFY in place of its default action.
    asking: &'b Policy,
}

impl Lacks<'_> {
    /// The arguments that the base has conditions for; `None` if it has no conditions for the call.
    fn conditions(&self, name: &str) -> Option<BTreeSet<u8>> {
        let rules = self.base.rules.iter().filter(|rule| has_name(rule, name));
        let indices: BTreeSet<u8> = rules.flat_map(|rule| rule.args.iter().map(|arg| arg.index)).collect();
        Some(indices).filter(|indices| !indices.is_empty())
    }

    /// Whether the base answers a call without conditions by its default action.
    fn lacks(&self, name: &str, arches: &[Arch]) -> bool {
        let mut numbers = arches.iter().filter_map(|&arch| Some((arch, arch.number(name)?)));
        numbers.any(|(arch, nr)| self.asks(arch, nr, &[], 0))
    }

    /// Whether it has no answer of its own to a call that meets the conditions; `above` is what registers have above an
    /// int.
    fn asks(&self, arch: Arch, nr: u32, conditions: &[Arg], above: u64) -> bool {
        let mut call = SyscallData { nr, arch: arch.audit(), ..SyscallData::default() };
        for arg in conditions {
            if let Some(place) = call.args.get_mut(usize::from(arg.index)) {
                *place = if arg.op == Op::MaskedEq { arg.value_two | above } else { arg.value };
            }
        }
        self.asking.decide(&call) == Action::Notify
    }

    /// The part of what was seen that it lacks.
    fn rest(&self, wanted: Wanted) -> Option<Wanted> {
        let above: &[u64] = if wanted.odd { &[0, 0xffff_ffff << 32] } else { &[0] };
        let asks = |conditions: &[Arg]| {
            let mut numbers = wanted.numbers.iter();
            numbers.any(|&(arch, nr)| above.iter().any(|&above| self.asks(arch, nr, conditions, above)))
        };
        let conditional = self.conditions(wanted.name).is_some();
        match wanted.alternatives {
            Some(mut all) if conditional => {
                all.retain(|conditions| asks(conditions));
                Some(Wanted { alternatives: Some(all).filter(|all| !all.is_empty()), ..wanted })
                    .filter(|wanted| wanted.alternatives.is_some())
            }
            _ if conditional || asks(&[]) => Some(wanted),
            _ => None,
        }
    }
}

/// The base with NOTIFY in place of the default action.
fn asking(base: &Profile) -> Result<Profile, RecordError> {
    match base.default_action() {
        crate::profile::ActionSpec::Action(Action::Allow | Action::Log) => Err(RecordError::BaseAllows),
        _ => Ok(Profile { default_action: Action::Notify.into(), ..base.clone() }),
    }
}

fn asking_target(target: Target) -> Target {
    target.bad_arch(Action::Notify).unlisted_x32(UnlistedX32::Action(Action::Notify))
}

/// The machine's own ABI first.
fn ordered(arches: impl Iterator<Item = Arch>) -> Vec<Arch> {
    let all: Vec<Arch> = arches.collect();
    let own = |arch: &&Arch| Some(**arch) == Arch::NATIVE;
    let mut ordered: Vec<Arch> = all.iter().filter(own).chain(all.iter().filter(|arch| !own(arch))).copied().collect();
    if ordered.is_empty() {
        ordered.extend(Arch::NATIVE);
    }
    // A profile is for a machine, whose own ABI starts the program, also one that then makes calls of another one.
    if let (Some(native), Some(first)) = (Arch::NATIVE, ordered.first().copied())
        && first != native
        && native.compat().contains(&first)
    {
        ordered.insert(0, native);
    }
    ordered
}

/// Adds ABIs to those that a profile lists.
fn cover(profile: &mut Profile, native: Arch, more: impl Iterator<Item = Arch>) {
    for arch in more {
        if profile.arch_map.is_empty() {
            profile.architectures.push(ListedArch::Arch(arch));
            continue;
        }
        match profile.arch_map.iter_mut().find(|entry| entry.architecture == native) {
            Some(entry) => entry.sub_architectures.push(arch),
            None => {
                profile.arch_map.push(SubArches { architecture: native, sub_architectures: vec![arch] });
            }
        }
    }
}

/// One entry of calls without conditions, one for each list of conditions, one for the closure.
fn add(profile: &mut Profile, wanted: &[Wanted], closure: &[Benign]) {
    let free = wanted.iter().filter(|wanted| wanted.alternatives.is_none());
    append(profile, free.map(|wanted| wanted.name).collect(), Vec::new());
    for wanted in wanted {
        for conditions in wanted.alternatives.iter().flatten() {
            append(profile, vec![wanted.name], conditions.clone());
        }
    }
    append(profile, closure.iter().map(|benign| benign.name).collect(), Vec::new());
}

fn append(profile: &mut Profile, names: Vec<&str>, args: Vec<Arg>) {
    if names.is_empty() {
        return;
    }
    let path = match profile.dialect {
        Dialect::Builder | Dialect::Imported => format!("rule {}", profile.rules.len().saturating_add(1)),
        Dialect::Oci | Dialect::Docker => format!("$.syscalls[{}]", profile.rules.len()),
    };
    let calls = names.into_iter().map(|name| Call::Name(name.to_owned())).collect();
    profile.rules.push(Rule::new(calls, Action::Allow, args, path));
}

fn names(wanted: &[Wanted], name: &str) -> bool {
    wanted.iter().any(|wanted| wanted.name == name)
}

fn has_name(rule: &Rule, name: &str) -> bool {
    rule.calls.iter().any(|call| matches!(call, Call::Name(own) if own == name))
}

fn has_index(alternatives: &[Vec<Arg>], index: u8) -> bool {
    alternatives.iter().all(|conditions| conditions.iter().any(|arg| arg.index == index))
}

/// The lists of conditions that allow what was seen; `None` if there are none to be made, an error if they cannot be.
fn alternatives(seen: &[&Seen], arguments: Arguments) -> Result<Option<Vec<Vec<Arg>>>, &'static str> {
    if arguments == Arguments::None || seen.iter().all(|seen| seen.watched.is_empty()) {
        return Ok(None);
    }
    let watched = common(seen).ok_or("its arguments mean different things on the ABIs that were seen")?;
    match seen.iter().find_map(|seen| seen.lost) {
        Some(Lost::NotTold) => return Err("the source does not tell them, or not as numbers that are known"),
        Some(Lost::TooMany) => return Err("there are too many different ones"),
        None => {}
    }
    let values: BTreeSet<&Values> = seen.iter().flat_map(|seen| seen.values.keys()).collect();
    let all = match arguments {
        Arguments::Sets => sets(&watched, &values),
        _ => exact(&watched, &values),
    };
    if all.len() > MAX_ALTERNATIVES { Err("there are too many different ones") } else { Ok(Some(all)) }
}

/// What is watched on all ABIs alike.
fn common(seen: &[&Seen]) -> Option<Vec<Watched>> {
    let mut all = seen.iter().map(|seen| &seen.watched);
    let mut common = all.next()?.clone();
    for other in all {
        if other.len() != common.len() {
            return None;
        }
        for (one, other) in common.iter_mut().zip(other) {
            if (one.index, one.kind) != (other.index, other.kind) {
                return None;
            }
            one.half |= other.half;
        }
    }
    Some(common)
}

/// Exactly the combinations that were seen.
fn exact(watched: &[Watched], values: &BTreeSet<&Values>) -> Vec<Vec<Arg>> {
    let list = |values: &Values| watched.iter().zip(values).map(|(watched, &value)| equal(*watched, value)).collect();
    values.iter().map(|values| list(values)).collect()
}

/// Each argument by itself: values that were seen, bits that were seen.
fn sets(watched: &[Watched], values: &BTreeSet<&Values>) -> Vec<Vec<Arg>> {
    let mut all = vec![Vec::new()];
    for (at, &watched) in watched.iter().enumerate() {
        let own: BTreeSet<u64> = values.iter().filter_map(|values| values.get(at).copied()).collect();
        let choices: Vec<Arg> = match watched.kind {
            Kind::Value => own.iter().map(|&value| equal(watched, value)).collect(),
            Kind::Flags => vec![no_other_bits(watched, own.iter().fold(0, |all, value| all | value))],
        };
        // What is too much shows by its length, and need not be built for that.
        if all.len().saturating_mul(choices.len()) > MAX_ALTERNATIVES {
            return vec![Vec::new(); MAX_ALTERNATIVES + 1];
        }
        let with = |list: &Vec<Arg>, choice: &Arg| list.iter().copied().chain([*choice]).collect::<Vec<_>>();
        all = all.iter().flat_map(|list| choices.iter().map(|choice| with(list, choice))).collect();
    }
    all
}

/// The bits that the kernel reads.
const fn read_bits(watched: Watched) -> u64 {
    if watched.half { 0xffff_ffff } else { u64::MAX }
}

fn equal(watched: Watched, value: u64) -> Arg {
    let arg = Arg { index: watched.index, op: Op::Eq, value, value_two: 0, width: Width::Bits64 };
    // Garbage above an int is not compared: the kernel does not read it, and some C libraries put a sign there.
    if watched.half { Arg { op: Op::MaskedEq, value: read_bits(watched), value_two: value, ..arg } } else { arg }
}

fn no_other_bits(watched: Watched, bits: u64) -> Arg {
    let mask = read_bits(watched) & !bits;
    Arg { index: watched.index, op: Op::MaskedEq, value: mask, value_two: 0, width: Width::Bits64 }
}
