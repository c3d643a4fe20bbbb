//! The compiler: from a policy to a filter.
//!
//! [`Compiler::compile`] drives the stages (graph, code, instructions), asserts what a filter promises, and ends with the
//! proof: a [`Filter`] exists only if its program answers every possible call as the policy demands.
//!
//! - `replace` makes one program of several, or a better one of a foreign one; their meaning is what they did.
//! - `level` says what a filter shall be good for, `weights` turns that into numbers, `mix` is what servers call.
//! - `error` says why there is no filter, `promise` checks what is promised beyond the meaning.
//! - `report` measures the program, with the calls that `vectors` makes; `dispatch` how well numbers are told apart.

#![deny(clippy::indexing_slicing)]

#[cfg(test)]
mod budget_tests;
mod dispatch;
mod error;
mod level;
mod mix;
mod promise;
mod replace;
mod report;
mod source;
#[cfg(test)]
mod tests;
mod vectors;
mod weights;
#[cfg(feature = "json")]
mod weights_file;

pub use dispatch::Dispatch;
pub use error::{CompileError, Contributor};
pub use level::Level;
pub use replace::{Layer, ReplaceError, Replaced, ReplacedOnArch, Replacement};
pub use report::{ArchReport, Report, Uncached};
pub use source::Source;
pub use weights::Weights;
#[cfg(feature = "json")]
pub use weights_file::WeightsError;

use crate::arch::Arch;
use crate::bpf::{Endian, Insn, MAX_INSNS, Program};
use crate::check::Prover;
use crate::code::{Flow, Shares};
use crate::graph::Order;
use crate::opt::{Lowered, Params};
use crate::policy::Policy;
use crate::{emit, graph, opt};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Compiles policies. The same policy and options always give the same bytes.
///
/// ```
/// use callsieve::{Compiler, Level, Profile, Target, arch::Arch, bpf::Action};
/// let policy = Profile::new(Action::Errno(1)).allow(["read", "write"]).resolve(&Target::exactly(&[Arch::X86_64]))?;
/// let filter = Compiler::new().level(Level::Size).compile(&policy)?;
/// println!("{}", filter.report());
/// assert_eq!(filter.report().arches[0].cacheable, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Compiler {
    level: Level,
    weights: Option<Weights>,
    prover: Prover,
}

/// A stage of compiling, to look at.
///
/// ```
/// use callsieve::{Action, Arch, Compiler, Picture, Profile, Stage, Target};
/// let policy = Profile::new(Action::Errno(1)).allow("read").resolve(&Target::new(Arch::Aarch64))?;
/// let picture = Compiler::new().stage(&policy, Stage::Graph, Picture::Dot);
/// assert!(picture.starts_with("digraph"));
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// What to decide: questions about words of the input, by intervals and masks.
    Graph,
    /// In which order: loads, comparisons and returns, shared but without places.
    Code,
}

/// How a stage is written.
///
/// See the example of [`Stage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Picture {
    /// A line for each node.
    Text,
    /// The DOT language of Graphviz.
    Dot,
}

impl Compiler {
    /// A compiler with the default level, [`Level::Balanced`].
    pub const fn new() -> Self {
        Self { level: Level::Balanced, weights: None, prover: Prover::new() }
    }

    /// What the filter shall be good for.
    pub const fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// How much each call counts, instead of what the level says.
    pub fn weights(mut self, weights: Weights) -> Self {
        self.weights = Some(weights);
        self
    }

    /// The budget of the proof, which is part of compiling.
    pub const fn prover(mut self, prover: Prover) -> Self {
        self.prover = prover;
        self
    }

    /// Compiles a policy to a program that is proven equal to it.
    ///
    /// # Errors
    /// [`CompileError::TooLarge`] if the kernel would not accept the length, [`CompileError::Proof`] if the proof does
    /// not fit into its budget. All others mean a defect of this crate.
    pub fn compile(&self, policy: &Policy) -> Result<Filter, CompileError> {
        let built = graph::build(policy, Order::First);
        let nodes = built.graph.reachable(built.root).len();
        if nodes > HOPELESS {
            return Err(error::hopeless(policy, &built, nodes));
        }
        let arches: Vec<Arch> = policy.arches().collect();
        let mut stages = self.best_stages(policy, &arches, built);
        if stages.made.insns.len() > MAX_INSNS {
            return Err(error::too_large(policy, &stages));
        }
        let program = Program::new(core::mem::take(&mut stages.made.insns))?;
        promise::check(&program, policy)?;
        let proof = self.prover.prove(&program, policy).map_err(CompileError::Proof)?;
        let mut report = Report {
            search_states: stages.made.lowered.states,
            chained_calls: stages.built.chained,
            ..report::measure(&program, &arches, proof, &report::arguments(policy))
        };
        for of_arch in &mut report.arches {
            of_arch.dispatch = Some(dispatch::dispatch(&stages, of_arch.arch, &arches));
        }
        Ok(Filter { program, report, endian: policy.endian() })
    }

    /// One stage of compiling a policy, to look at. The format is for people and may change.
    pub fn stage(&self, policy: &Policy, stage: Stage, picture: Picture) -> String {
        let arches: Vec<Arch> = policy.arches().collect();
        let Stages { built, made, .. } = self.best_stages(policy, &arches, graph::build(policy, Order::First));
        let Lowered { code, root, .. } = made.lowered;
        match (stage, picture) {
            (Stage::Graph, Picture::Text) => alloc::format!("{built}"),
            (Stage::Graph, Picture::Dot) => built.to_dot(),
            (Stage::Code, Picture::Text) => code.to_text(root),
            (Stage::Code, Picture::Dot) => code.to_dot(root),
        }
    }

    /// The better of two orders to look at the arguments; `built` is of the first. A call with conditions on several can
    /// be cheap in one of them and dear in the other.
    fn best_stages(&self, policy: &Policy, arches: &[Arch], built: graph::Built) -> Stages {
        let orders = built.orders && self.level != Level::Fast;
        let first = self.stages(arches, built);
        if !orders || first.made.lowered.states > MOST_STATES {
            return first;
        }
        let last = self.stages(arches, graph::build(policy, Order::Last));
        let too_long = |stages: &Stages| {
            let aim = self.weights.as_ref().and_then(Weights::aim);
            aim.map_or(0, |aim| report::longest(&stages.made.insns).saturating_sub(aim))
        };
        let shorter = |one: &Stages, other: &Stages| one.made.insns.len() < other.made.insns.len();
        match too_long(&last).cmp(&too_long(&first)) {
            Ordering::Less => last,
            Ordering::Equal if shorter(&last, &first) => last,
            _ => first,
        }
    }

    /// One graph to a program. The ABIs are those whose calls are weighed, of one byte order.
    fn stages(&self, arches: &[Arch], built: graph::Built) -> Stages {
        let endian = arches.first().map_or(Endian::Little, |arch| arch.endian());
        let weights = self.weights.clone().unwrap_or(self.level.weights());
        let mut known = weights::weights(arches, &built, &weights);
        let wanted = known.clone();
        let mut made = self.attempt(endian, &built, &known);
        if let Some(aim) = weights.aim() {
            let mut worst = report::longest(&made.insns);
            for _ in 0..MOST_ATTEMPTS {
                if worst <= aim {
                    break;
                }
                report::press(&made.insns, &mut known, aim);
                let next = self.attempt(endian, &built, &known);
                let longest = report::longest(&next.insns);
                if longest < worst {
                    (made, worst) = (next, longest);
                }
            }
        }
        Stages { built, known: wanted, made }
    }

    /// The best of the ways to search that the level has.
    fn attempt(&self, endian: Endian, built: &graph::Built, known: &[Shares]) -> Made {
        let mut best: Option<Made> = None;
        for params in self.level.params() {
            // Looking closer takes several times as long.
            if best.as_ref().is_some_and(|best| best.lowered.states > MOST_STATES) {
                break;
            }
            let made = finish(endian, built, known, params);
            // A program that takes more steps has to be shorter by more than one in 32 instructions.
            if best.as_ref().is_none_or(|best| made.insns.len() + made.insns.len() / 32 < best.insns.len()) {
                best = Some(made);
            }
        }
        // Every level has parameters.
        best.unwrap_or_else(|| finish(endian, built, known, Params::default()))
    }
}

/// A graph with more nodes is not lowered: hardly any node takes less than one instruction.
const HOPELESS: usize = 4 * MAX_INSNS;

/// After a search that visited more states no other way to search is tried.
const MOST_STATES: usize = 10_000;

/// Attempts to shorten the longest way.
const MOST_ATTEMPTS: usize = 10;

/// All stages of one compilation.
#[derive(Debug)]
struct Stages {
    built: graph::Built,
    /// What each call counts.
    known: Vec<Shares>,
    made: Made,
}

/// A program, and what it came from.
#[derive(Debug)]
struct Made {
    lowered: Lowered,
    insns: Vec<Insn>,
    /// For each of the known calls, how many comparisons of its number it passes.
    tests: Vec<u32>,
}

fn finish(endian: Endian, built: &graph::Built, known: &[Shares], params: Params) -> Made {
    let lowered = opt::lower(built, known, params);
    let flow = Flow::of(&lowered.code, lowered.root, known);
    let insns = emit::emit(&lowered.code, lowered.root, &flow, endian);
    Made { lowered, insns, tests: flow.into_tests() }
}

/// A program that is proven equal to its meaning over all possible inputs, with its figures. The meaning is a policy, or
/// for [`Compiler::fuse`] and [`Compiler::recompile`] the programs that it replaces.
#[derive(Clone, Debug)]
pub struct Filter {
    program: Program,
    report: Report,
    endian: Endian,
}

impl Filter {
    /// The program.
    pub const fn program(&self) -> &Program {
        &self.program
    }

    /// Its figures.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The byte order of the ABIs that it is for.
    pub const fn endian(&self) -> Endian {
        self.endian
    }

    /// The program as an array of `struct sock_filter` in the byte order of its target.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.program.to_bytes(self.endian)
    }

    /// The program without its figures.
    pub fn into_program(self) -> Program {
        self.program
    }
}
