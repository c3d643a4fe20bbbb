//! What a subject does, written down: for every architecture and number the regions of arguments with their action.
//!
//! The diagram is cut at the borders of words. Numbers that lead to the same node behave alike, so they are one group,
//! and what a node says is written down once.

use super::bdd::{BITS, Bdd, Exhausted, Ref};
use super::calls::CallSet;
use super::judge::{Engine, Judge, JudgeError};
use super::split::{Ended, Span, Splitter};
use super::subject::Subject;
use super::values::Values;
use super::witness::{for_arch, for_number};
use crate::bpf::{Action, SyscallData};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// What a subject does, over all calls: [`CallGroup`]s that are disjoint and leave nothing out.
///
/// See the example of [`regions`](regions()).
#[derive(Clone, Debug)]
pub struct Regions {
    groups: Vec<CallGroup>,
}

/// Calls, given by architecture token and number, that behave alike.
///
/// See the example of [`regions`](regions()).
#[derive(Clone, Debug)]
pub struct CallGroup {
    calls: CallSet,
    regions: Arc<[Region]>,
}

/// Arguments that lead to one answer.
///
/// See the example of [`regions`](regions()).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    conditions: Vec<Condition>,
    raw: u32,
}

/// What a word of the call must be.
///
/// See the example of [`regions`](regions()).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    word: Word,
    values: Values,
}

/// A word behind the number.
///
/// See the example of [`regions`](regions()).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Word {
    /// An argument, 0 to 5.
    Argument(u8),
    /// Where the call was made.
    InstructionPointer,
}

/// The regions of a subject with the default budgets, as [`Judge::regions`].
///
/// ```
/// use callsieve::arch::Arch;
/// use callsieve::bpf::Action;
/// use callsieve::check::{Subject, regions};
/// use callsieve::policy::Target;
/// use callsieve::{Profile, arg};
///
/// let profile = Profile::new(Action::Errno(1)).allow_if("socket", [arg::<0>().ne(40)]);
/// let policy = profile.resolve(&Target::exactly(&[Arch::Aarch64]))?;
/// let regions = regions(&Subject::policy(&policy))?;
/// let socket = regions.of(Arch::Aarch64.audit(), 198);
/// let words: Vec<_> = socket.iter().map(ToString::to_string).collect();
/// assert_eq!(words, ["ALLOW if arg0 as u32 != 40", "ERRNO(1) EPERM if arg0 as u32 == 40"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn regions(subject: &Subject<'_>) -> Result<Regions, JudgeError> {
    Judge::new().regions(subject)
}

impl Judge {
    /// What a subject does, over all calls.
    pub fn regions(&self, subject: &Subject<'_>) -> Result<Regions, JudgeError> {
        let mut engine = Engine::new(*self);
        let function = engine.behaviour(subject).map_err(|Exhausted| self.too_large())?;
        let mut cutter = Cutter::new(&engine.bdd, *self);
        let mut groups = Vec::new();
        for (tokens, numbers, behaviour) in cutter.groups(function)? {
            let calls = CallSet::new(tokens, numbers);
            groups.push(CallGroup { calls, regions: cutter.regions(behaviour)?.into() });
        }
        Ok(Regions { groups })
    }

    /// What a subject does with one call: the regions of its arguments, disjoint, and nothing left out.
    pub fn call_regions(&self, subject: &Subject<'_>, token: u32, nr: u32) -> Result<Vec<Region>, JudgeError> {
        let mut engine = Engine::new(*self);
        let function = engine.behaviour(subject).map_err(|Exhausted| self.too_large())?;
        let function = for_number(&engine.bdd, for_arch(&engine.bdd, function, token), nr);
        Cutter::new(&engine.bdd, *self).regions(function)
    }
}

impl Regions {
    /// The groups in the order of their smallest token and number.
    pub fn groups(&self) -> &[CallGroup] {
        &self.groups
    }

    /// The regions of one call.
    pub fn of(&self, token: u32, nr: u32) -> &[Region] {
        let group = self.groups.iter().find(|group| group.calls.contains(token, nr));
        group.map_or(&[], |group| &group.regions)
    }
}

impl CallGroup {
    /// The calls.
    pub fn calls(&self) -> &CallSet {
        &self.calls
    }

    /// What happens to these calls: regions that are disjoint and leave nothing out.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }
}

impl Region {
    /// What must hold, at most one condition a word; empty if the answer does not depend on arguments.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// How the kernel acts.
    pub fn action(&self) -> Action {
        Action::as_kernel(self.raw)
    }

    /// The value that is returned, or with [`Equality::Kernel`](super::Equality::Kernel) the one that stands for it.
    pub fn raw(&self) -> u32 {
        self.raw
    }

    /// Whether a call with the token and number of the region is in it.
    pub fn contains(&self, call: &SyscallData) -> bool {
        self.conditions.iter().all(|condition| condition.holds(call))
    }

    /// The call of the region with the smallest words.
    pub fn example(&self, token: u32, nr: u32) -> SyscallData {
        example(&self.conditions, token, nr)
    }
}

/// The call with the smallest words that meets some conditions.
pub(super) fn example(conditions: &[Condition], token: u32, nr: u32) -> SyscallData {
    let mut call = SyscallData { arch: token, nr, ..SyscallData::default() };
    for condition in conditions {
        let first = condition.values.first();
        match condition.word {
            Word::Argument(arg) => {
                if let Some(register) = call.args.get_mut(usize::from(arg)) {
                    *register = first;
                }
            }
            Word::InstructionPointer => call.instruction_pointer = first,
        }
    }
    call
}

impl Condition {
    /// The word.
    pub fn word(&self) -> Word {
        self.word
    }

    /// What it must be.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Whether it holds for a call.
    pub fn holds(&self, call: &SyscallData) -> bool {
        let value = match self.word {
            Word::Argument(arg) => call.args.get(usize::from(arg)).copied().unwrap_or(0),
            Word::InstructionPointer => call.instruction_pointer,
        };
        self.values.contains(value)
    }

    /// The condition in words; on an ABI with arguments of 32 bits the width goes without saying.
    pub fn words(&self, has_64bit_args: bool) -> String {
        match self.word {
            Word::Argument(_) => self.values.about(&self.word.to_string(), !has_64bit_args),
            Word::InstructionPointer => self.values.about(&self.word.to_string(), false),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(arg) => write!(f, "arg{arg}"),
            Self::InstructionPointer => f.pad("ip"),
        }
    }
}

/// `arg1 as u32 == 5`.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.words(true))
    }
}

/// `ERRNO(1) EPERM if arg0 == 5 and arg1 != 7`.
impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::names::answer(self.raw, &[]))?;
        for (index, condition) in self.conditions.iter().enumerate() {
            write!(f, "{}{condition}", if index == 0 { " if " } else { " and " })?;
        }
        Ok(())
    }
}

/// Conditions on the words behind the number, and the leaf that they lead to.
pub(super) type Case = (Vec<Condition>, u32);

/// Cuts functions at the borders of words.
pub(super) struct Cutter<'a> {
    bdd: &'a Bdd,
    judge: Judge,
    splitter: Splitter,
    /// Regions that may still be written down.
    left: usize,
    cases: BTreeMap<Ref, Arc<[Case]>>,
}

impl<'a> Cutter<'a> {
    pub(super) fn new(bdd: &'a Bdd, judge: Judge) -> Self {
        let splitter = Splitter { steps: judge.max_nodes.saturating_mul(16), pieces: judge.max_regions };
        Self { bdd, judge, splitter, left: judge.max_regions, cases: BTreeMap::new() }
    }

    fn error(&self, ended: Ended) -> JudgeError {
        match ended {
            Ended::Steps => self.judge.too_large(),
            Ended::Regions => JudgeError::TooManyRegions { max_regions: self.judge.max_regions },
        }
    }

    /// Tokens and numbers that lead to the same function of the words behind.
    pub(super) fn groups(&mut self, function: Ref) -> Result<Vec<(Values, Values, Ref)>, JudgeError> {
        self.try_groups(function).map_err(|ended| self.error(ended))
    }

    fn try_groups(&mut self, function: Ref) -> Result<Vec<(Values, Values, Ref)>, Ended> {
        let mut groups = Vec::new();
        for (behind, tokens) in self.splitter.split(self.bdd, function, Span::ARCH, true)? {
            for (behaviour, numbers) in self.splitter.split(self.bdd, behind, Span::NUMBER, true)? {
                self.take(1)?;
                groups.push((tokens.clone(), numbers, behaviour));
            }
        }
        Ok(groups)
    }

    fn take(&mut self, regions: usize) -> Result<(), Ended> {
        self.left = self.left.checked_sub(regions).ok_or(Ended::Regions)?;
        Ok(())
    }

    /// What a function of the words behind the number says, as regions.
    pub(super) fn regions(&mut self, function: Ref) -> Result<Vec<Region>, JudgeError> {
        let cases = self.cases(function)?;
        Ok(cases.iter().map(|(conditions, raw)| Region { conditions: conditions.clone(), raw: *raw }).collect())
    }

    /// All ways through a function of the words behind the number.
    pub(super) fn cases(&mut self, function: Ref) -> Result<Arc<[Case]>, JudgeError> {
        self.try_cases(function).map_err(|ended| self.error(ended))
    }

    /// At most seven deep: one word after the other.
    fn try_cases(&mut self, function: Ref) -> Result<Arc<[Case]>, Ended> {
        if let Some(cases) = self.cases.get(&function) {
            return Ok(cases.clone());
        }
        let bit = self.bdd.first_bit(function);
        let mut cases = Vec::new();
        if bit >= BITS {
            self.take(1)?;
            cases.push((Vec::new(), self.bdd.number(function)));
        } else {
            let index = (bit / 64).saturating_sub(1);
            let word = match u8::try_from(index) {
                Ok(arg @ 0..=5) => Word::Argument(arg),
                _ => Word::InstructionPointer,
            };
            for (behind, values) in self.splitter.split(self.bdd, function, Span::wide(index), false)? {
                let rest = self.try_cases(behind)?;
                self.take(rest.len())?;
                for (conditions, leaf) in &*rest {
                    let own = Condition { word, values: values.clone() };
                    cases.push((core::iter::once(own).chain(conditions.iter().cloned()).collect(), *leaf));
                }
            }
        }
        let cases: Arc<[Case]> = cases.into();
        self.cases.insert(function, cases.clone());
        Ok(cases)
    }
}
