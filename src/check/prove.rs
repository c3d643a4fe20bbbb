//! Exact equality of a program and a policy, over all 2^512 inputs.
//!
//! Both sides become functions of the input bits in one canonical diagram, the policy from its rules, the program from
//! its instructions. They are equal if and only if they are the same node. If not, a walk down both shows an input where
//! they differ; it is confirmed by [`Policy::decide`] and the interpreter before it is shown to anybody.

use super::bdd::{Bdd, Budget, Exhausted};
use super::witness::witness;
use super::{meaning, names, simulate, symbolic};
use crate::arch::Arch;
use crate::bpf::{Action, Program, SyscallData};
use crate::policy::Policy;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use thiserror::Error;

/// Shows that a program answers every possible call exactly as the policy demands, return values compared bit for bit.
///
/// This is [`Prover::prove`] with the default budget.
///
/// ```
/// use callsieve::arch::Arch;
/// use callsieve::bpf::{Action, Insn, Program, opcode};
/// use callsieve::check::{ProveError, prove};
/// use callsieve::policy::Target;
/// use callsieve::profile::Profile;
///
/// let policy = Profile::new(Action::Errno(1)).allow("read").resolve(&Target::new(Arch::Aarch64))?;
/// let program = Program::new(vec![
///     Insn::stmt(opcode::LD_W_ABS, 4),
///     Insn::new(opcode::JEQ_K, 1, 0, Arch::Aarch64.audit()),
///     Insn::stmt(opcode::RET_K, Action::KillProcess.to_raw()),
///     Insn::stmt(opcode::LD_W_ABS, 0),
///     Insn::new(opcode::JGE_K, 0, 1, 63), // should be JEQ
///     Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
///     Insn::stmt(opcode::RET_K, Action::Errno(1).to_raw()),
/// ])?;
/// let Err(ProveError::Differs(example)) = prove(&program, &policy) else { unreachable!() };
/// assert_eq!((example.call.nr, example.expected), (64, Action::Errno(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ProveError::Differs`] with a call that shows the difference; [`ProveError::TooLarge`] if the budget ran out first.
pub fn prove(program: &Program, policy: &Policy) -> Result<Proof, ProveError> {
    Prover::new().prove(program, policy)
}

/// Proves with a budget of its own.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Prover {
    pub(super) max_nodes: usize,
}

/// The figures of a proof that succeeded.
///
/// ```
/// use callsieve::{Action, Arch, Compiler, Profile, Target, check};
/// let policy = Profile::new(Action::Errno(1)).allow("read").resolve(&Target::new(Arch::Aarch64))?;
/// let filter = Compiler::new().compile(&policy)?;
/// assert_eq!(check::prove(filter.program(), &policy)?, filter.report().proof);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// Nodes of the decision diagram that were made in all.
    pub nodes: usize,
    /// States of the program's symbolic execution: about one for each of its conditional jumps.
    pub states: usize,
}

/// Why there is no proof.
///
/// See the example of [`prove`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The program answers some call differently than the policy.
    #[error("{0}")]
    Differs(Box<Counterexample>),
    /// The budget ran out before there was an answer.
    #[error("the proof needs more than {max_nodes} nodes or too many steps; allow more nodes, or simplify the program")]
    TooLarge {
        /// The budget.
        max_nodes: usize,
    },
    /// The proof found a difference that running both sides does not confirm: a defect of this crate, please report it.
    #[error("internal error: the proof found a difference that running both sides does not confirm ({0})")]
    Unconfirmed(Box<Counterexample>),
}

/// A call that a program and a policy answer differently.
///
/// See the example of [`prove`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counterexample {
    /// The call. What does not matter for the difference is 0.
    pub call: SyscallData,
    /// What the policy demands.
    pub expected: Action,
    /// The value that the program returns.
    pub got: u32,
    /// Indexes of the instructions that the program executes.
    pub path: Vec<usize>,
    /// The ABI that the call belongs to, if the policy lists it.
    pub arch: Option<Arch>,
}

impl Default for Prover {
    fn default() -> Self {
        Self::new()
    }
}

impl Prover {
    /// The default budget: a million nodes, for which about 50 MB are needed.
    pub const DEFAULT_MAX_NODES: usize = 1_000_000;
    /// Nodes to make room for. Proofs of real programs make about 50 for each instruction.
    pub(super) const NODES_PER_INSN: usize = 60;

    /// A prover with the default budget.
    pub const fn new() -> Self {
        Self { max_nodes: Self::DEFAULT_MAX_NODES }
    }

    /// How many nodes the decision diagram may have; the time is bounded in proportion. A node takes up to 50 bytes.
    /// Real filters need a few thousand.
    pub const fn max_nodes(self, max_nodes: usize) -> Self {
        Self { max_nodes }
    }

    /// Shows that a program answers every possible call exactly as the policy demands.
    ///
    /// # Errors
    /// [`ProveError::Differs`] with a call that shows the difference; [`ProveError::TooLarge`] if the budget ran out
    /// first.
    pub fn prove(self, program: &Program, policy: &Policy) -> Result<Proof, ProveError> {
        let budget = Budget::of(self.max_nodes);
        let mut bdd = Bdd::new(budget, program.len().saturating_mul(Self::NODES_PER_INSN));
        let too_large = |Exhausted| ProveError::TooLarge { max_nodes: self.max_nodes };
        let wanted = meaning::meaning(&mut bdd, policy).map_err(too_large)?;
        let insns = program.as_insns();
        let (found, states) = symbolic::behaviour(&mut bdd, insns, policy.endian()).map_err(too_large)?;
        if wanted == found {
            return Ok(Proof { nodes: bdd.len(), states });
        }
        let call = witness(&bdd, policy.arches().map(Arch::audit), wanted, found);
        Err(confirm(program, policy, call))
    }
}

fn confirm(program: &Program, policy: &Policy, call: SyscallData) -> ProveError {
    let expected = policy.decide(&call);
    let run = simulate(program, &call, policy.endian());
    let arch = names::abi(call.arch, call.nr).filter(|abi| policy.arches().any(|listed| listed == *abi));
    let differs = expected.to_raw() != run.raw;
    let example = Box::new(Counterexample { call, expected, got: run.raw, path: run.path, arch });
    if differs { ProveError::Differs(example) } else { ProveError::Unconfirmed(example) }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [got, expected] = [self.got, self.expected.to_raw()].map(|raw| names::answer(raw, self.arch.as_slice()));
        write!(f, "the program answers {got} where the policy demands {expected}: call {}", self.call.nr)?;
        if self.call.nr > 9 {
            write!(f, " = {:#x}", self.call.nr)?;
        }
        match self.arch {
            Some(arch) => {
                let name = arch.name(self.call.nr).unwrap_or("no known call");
                write!(f, " ({name}) of {}", arch.short_name())?;
            }
            None => match names::abis(self.call.arch) {
                names if names.is_empty() => write!(f, " with the unknown architecture {:#010x}", self.call.arch)?,
                names => write!(f, " of the unlisted architecture {names}")?,
            },
        }
        f.write_str(" with arguments (")?;
        for (index, argument) in self.call.args.iter().enumerate() {
            write!(f, "{}{argument:#x}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str(")")?;
        if self.call.instruction_pointer != 0 {
            write!(f, " at {:#x}", self.call.instruction_pointer)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)] // A test.
#[path = "prove_tests.rs"]
mod tests;
