//! What is exact about any subjects: one diagram for all of them.

use super::bdd::{Bdd, Budget, Exhausted, Operation, Ref};
use super::prove::Prover;
use super::subject::{Kind, Subject, more_restrictive};
use super::witness::witness;
use super::{meaning, symbolic};
use crate::arch::Arch;
use crate::bpf::{Action, SyscallData};
use crate::policy::Policy;
use alloc::boxed::Box;
use thiserror::Error;

/// What counts as the same answer.
///
/// ```
/// use callsieve::bpf::{Action, Endian, Insn, Program, opcode};
/// use callsieve::check::{Equality, Judge, Subject};
/// let ret = |value| Program::new(vec![Insn::stmt(opcode::RET_K, value)]);
/// // The kernel does not look at the data of ALLOW.
/// let (one, other) = (ret(Action::Allow.to_raw())?, ret(Action::Allow.to_raw() | 7)?);
/// let [one, other] = [&one, &other].map(|program| Subject::program(program, Endian::Little));
/// assert!(Judge::new().equality(Equality::Kernel).witness(&one, &other)?.is_none());
/// assert!(Judge::new().equality(Equality::Bitwise).witness(&one, &other)?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Equality {
    /// What the kernel treats alike ([`Action::as_kernel`]): error numbers are cut to 4095, data is ignored where an
    /// action has none, and unknown actions kill the process. In a stack an unknown action keeps its own rank.
    #[default]
    Kernel,
    /// The same 32 bits.
    Bitwise,
}

/// Answers exact questions about policies, programs and stacks of programs, over all 2^512 inputs.
///
/// ```
/// use callsieve::Profile;
/// use callsieve::arch::Arch;
/// use callsieve::bpf::Action;
/// use callsieve::check::{Judge, Subject};
/// use callsieve::policy::Target;
///
/// let target = Target::exactly(&[Arch::X86_64]);
/// let one = Profile::new(Action::Errno(1)).allow(["read", "write"]).resolve(&target)?;
/// let other = Profile::new(Action::Errno(1)).allow("read").resolve(&target)?;
/// let judge = Judge::new();
/// assert!(judge.witness(&Subject::policy(&one), &Subject::policy(&one))?.is_none());
/// let witness = judge.witness(&Subject::policy(&one), &Subject::policy(&other))?.unwrap();
/// assert_eq!((witness.call.nr, witness.actions()), (1, [Action::Allow, Action::Errno(1)]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Judge {
    pub(super) max_nodes: usize,
    pub(super) max_regions: usize,
    pub(super) equality: Equality,
}

/// Why there is no answer.
///
/// ```
/// use callsieve::check::{Judge, JudgeError, Subject};
/// use callsieve::{Arch, Profile, Target};
/// let policy = Profile::container_default()?.resolve(&Target::exactly(&[Arch::Aarch64]))?;
/// let answer = Judge::new().max_nodes(10).regions(&Subject::policy(&policy));
/// assert!(matches!(answer, Err(JudgeError::TooLarge { max_nodes: 10 })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// The diagram has no room, or it would take too long.
    #[error("the answer needs more than {max_nodes} nodes or too many steps; allow more nodes, or simplify the filter")]
    TooLarge {
        /// The budget.
        max_nodes: usize,
    },
    /// The answer is known, but too long to be written down.
    #[error("the answer has more than {max_regions} regions; allow more, or ask about one call")]
    TooManyRegions {
        /// The budget.
        max_regions: usize,
    },
    /// The diagram says something that running the subjects does not confirm: a defect of this crate, please report it.
    #[error("internal error: the subjects do not answer the call {0:x?} as the diagram says")]
    Unconfirmed(Box<SyscallData>),
}

/// A call that two subjects answer differently.
///
/// See the example of [`Judge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Witness {
    /// The call. What does not matter for the difference is 0.
    pub call: SyscallData,
    /// What each returns for it.
    pub raw: [u32; 2],
}

impl Witness {
    /// How the kernel acts on both values.
    pub fn actions(&self) -> [Action; 2] {
        self.raw.map(Action::as_kernel)
    }
}

impl Default for Judge {
    fn default() -> Self {
        Self::new()
    }
}

impl Judge {
    /// The default budget of regions: everything that anybody would read.
    pub const DEFAULT_MAX_REGIONS: usize = 20_000;

    /// A judge with the default budgets and [`Equality::Kernel`].
    pub const fn new() -> Self {
        Self {
            max_nodes: Prover::DEFAULT_MAX_NODES,
            max_regions: Self::DEFAULT_MAX_REGIONS,
            equality: Equality::Kernel,
        }
    }

    /// How many nodes the decision diagram may have, see [`Prover::max_nodes`].
    pub const fn max_nodes(self, max_nodes: usize) -> Self {
        Self { max_nodes, ..self }
    }

    /// How many regions may be written down, and how many pieces of values in each.
    pub const fn max_regions(self, max_regions: usize) -> Self {
        Self { max_regions, ..self }
    }

    /// What counts as the same answer.
    pub const fn equality(self, equality: Equality) -> Self {
        Self { equality, ..self }
    }

    /// A call that both answer differently; `None` if there is none, which is a proof that they are equal.
    ///
    /// Calls of known ABIs come first. The call is confirmed by running both.
    pub fn witness(&self, one: &Subject<'_>, other: &Subject<'_>) -> Result<Option<Witness>, JudgeError> {
        let mut engine = Engine::new(*self);
        let functions = engine.both(one, other).map_err(|Exhausted| self.too_large())?;
        let [left, right] = functions;
        if left == right {
            return Ok(None);
        }
        let call = witness(&engine.bdd, Arch::ALL.into_iter().map(Arch::audit), left, right);
        let raw = [one, other].map(|subject| subject.raw_answer(&call));
        if self.same(raw) {
            return Err(JudgeError::Unconfirmed(Box::new(call)));
        }
        Ok(Some(Witness { call, raw }))
    }

    /// Whether two values are the same answer.
    pub(super) fn same(&self, [one, other]: [u32; 2]) -> bool {
        self.counted(one) == self.counted(other)
    }

    /// The value that stands for all that are the same answer.
    pub(super) fn counted(&self, raw: u32) -> u32 {
        match self.equality {
            Equality::Kernel => Action::as_kernel(raw).to_raw(),
            Equality::Bitwise => raw,
        }
    }

    pub(super) fn too_large(&self) -> JudgeError {
        JudgeError::TooLarge { max_nodes: self.max_nodes }
    }
}

/// One diagram with the functions of any number of subjects: equal behaviour is the same node.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) bdd: Bdd,
    judge: Judge,
}

const MORE_RESTRICTIVE: Operation = Operation::new(0);
const COUNTED: Operation = Operation::new(1);
const GREATER: Operation = Operation::new(2);
const LESSER: Operation = Operation::new(3);

impl Engine {
    pub(super) fn new(judge: Judge) -> Self {
        // Room for a container profile; it grows where needed.
        Self { bdd: Bdd::new(Budget::of(judge.max_nodes), 100 * Prover::NODES_PER_INSN), judge }
    }

    /// The function of a subject: its leaves are the values that stand for its answers.
    pub(super) fn behaviour(&mut self, subject: &Subject<'_>) -> Result<Ref, Exhausted> {
        let function = match subject.0 {
            Kind::Policy(policy) => meaning::meaning(&mut self.bdd, policy)?,
            Kind::Union(policies) => self.merged(policies, GREATER, Action::max)?,
            Kind::Intersection(policies) => self.merged(policies, LESSER, Action::min)?,
            Kind::Program(program, endian) => symbolic::behaviour(&mut self.bdd, program.as_insns(), endian)?.0,
            Kind::Stack(programs, endian) => {
                let mut won = self.bdd.leaf(Action::Allow.to_raw())?;
                for program in programs.iter().rev() {
                    let (older, _) = symbolic::behaviour(&mut self.bdd, program.as_insns(), endian)?;
                    won = self.bdd.combine(MORE_RESTRICTIVE, won, older, &mut more_restrictive)?;
                }
                won
            }
        };
        let judge = self.judge;
        self.bdd.combine(COUNTED, function, function, &mut |raw, _| judge.counted(raw))
    }

    /// The answers of several policies, two at a time. All leaves of policies are actions.
    fn merged(
        &mut self,
        policies: &[Policy],
        operation: Operation,
        of: fn(Action, Action) -> Action,
    ) -> Result<Ref, Exhausted> {
        let mut merged = None;
        for policy in policies {
            let own = meaning::meaning(&mut self.bdd, policy)?;
            merged = Some(match merged {
                None => own,
                Some(others) => self.bdd.combine(operation, others, own, &mut |a, b| {
                    of(Action::as_kernel(a), Action::as_kernel(b)).to_raw()
                })?,
            });
        }
        match merged {
            Some(merged) => Ok(merged),
            None => self.bdd.leaf(Action::Allow.to_raw()),
        }
    }

    pub(super) fn both(&mut self, one: &Subject<'_>, other: &Subject<'_>) -> Result<[Ref; 2], Exhausted> {
        Ok([self.behaviour(one)?, self.behaviour(other)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_answers() {
        let allow = Action::Allow.to_raw();
        for (equality, same) in [(Equality::Kernel, true), (Equality::Bitwise, false)] {
            let judge = Judge::new().equality(equality);
            assert!(judge.same([allow, allow]));
            assert_eq!(judge.same([allow, allow | 7]), same);
            assert!(!judge.same([allow, Action::Log.to_raw()]));
        }
    }

    #[test]
    fn budgets_are_kept_apart() {
        let judge = Judge::new().max_nodes(7).max_regions(9);
        assert_eq!((judge.max_nodes, judge.max_regions), (7, 9));
        let judge = Judge::new();
        assert_eq!((judge.max_nodes, judge.max_regions), (Prover::DEFAULT_MAX_NODES, Judge::DEFAULT_MAX_REGIONS));
    }
}
