//! How well the calls of an ABI are told apart by their numbers.

use super::Stages;
use crate::arch::Arch;
use crate::code::Shares;
use crate::graph::{Graph, Node, NodeId, Word};
use crate::opt::least_range_tests;
use alloc::vec::Vec;
use core::fmt;

/// How well the calls of an ABI are told apart by their numbers: comparisons of the number that a call passes, against
/// what is possible with range tests alone (`>=`), as other generators that look for the best tree use them.
///
/// Means are over the known calls of the ABI, each as heavy as the compiler was told, so a filter is measured by what it
/// was asked to be good for.
///
/// ```
/// use callsieve::{Compiler, Level, Profile, Target, arch::Arch, bpf::Action};
/// let profile = Profile::new(Action::Errno(1)).allow(["read", "fstat", "mmap", "brk", "ioctl", "exit_group"]);
/// let filter = Compiler::new().compile(&profile.resolve(&Target::exactly(&[Arch::X86_64]))?)?;
/// let dispatch = filter.report().arches[0].dispatch.unwrap();
/// assert!(dispatch.distance() <= 0.0); // equality and bit tests make it better
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Dispatch {
    /// Runs of numbers next to each other for which the same happens.
    pub runs: usize,
    /// Mean comparisons of the number.
    pub tests: f64,
    /// The least mean of any tree of range tests for this ABI alone; exact.
    pub range_optimum: f64,
}

impl Dispatch {
    /// How many more comparisons a call passes than in the best tree of range tests. Below 0 the filter is better than
    /// any such tree. Above 0 it is worse by so much: fewer instructions may have been worth more than that, and x32
    /// numbers that share the tree of x86_64 pass additional tests.
    pub fn distance(&self) -> f64 {
        self.tests - self.range_optimum
    }
}

impl fmt::Display for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} comparisons of the number", self.tests)?;
        match self.distance() {
            distance if distance < 0.0 => write!(f, ", {:.2} fewer than the best tree of range tests", -distance),
            distance => write!(f, ", {distance:.2} more than the best tree of range tests"),
        }
    }
}

/// The figures for one of the listed ABIs.
pub(super) fn dispatch(stages: &Stages, arch: Arch, listed: &[Arch]) -> Dispatch {
    let (first, last) = numbers(arch, listed);
    let own = |call: &Shares| call.token == arch.audit() && (first..=last).contains(&call.nr);
    let calls = stages.known.iter().zip(&stages.made.tests).filter(|(call, _)| own(call));
    let starts = starts(stages, arch.audit(), (first, last));
    let mut weights = alloc::vec![0_u64; starts.len()];
    let (mut run, mut passed) = (0, 0_u64);
    for (call, &tests) in calls {
        // Both ascend.
        while starts.get(run + 1).is_some_and(|&start| start <= call.nr) {
            run += 1;
        }
        if let Some(weight) = weights.get_mut(run) {
            *weight = weight.saturating_add(call.weight);
        }
        passed = passed.saturating_add(call.weight.saturating_mul(tests.into()));
    }
    let all: u64 = weights.iter().sum();
    Dispatch { runs: starts.len(), tests: mean(passed, all), range_optimum: mean(least_range_tests(&weights), all) }
}

#[allow(clippy::cast_precision_loss)] // It is shown with two digits.
fn mean(sum: u64, weight: u64) -> f64 {
    sum as f64 / weight.max(1) as f64
}

/// The numbers that belong to an ABI: all, unless another listed ABI has the same token.
fn numbers(arch: Arch, listed: &[Arch]) -> (u32, u32) {
    let shared = listed.iter().any(|other| *other != arch && other.audit() == arch.audit());
    let base = arch.number_base();
    if shared { (base, base | (Arch::X32.number_base() - 1)) } else { (0, u32::MAX) }
}

/// Where the runs of an ABI start.
fn starts(stages: &Stages, token: u32, (first, last): (u32, u32)) -> Vec<u32> {
    let mut runs = Vec::new();
    if let Some(&(_, numbers)) = stages.built.arches.iter().find(|arch| arch.0 == token) {
        flatten(&stages.built.graph, numbers, (first, last), &mut runs);
    }
    runs.dedup_by_key(|run| run.1);
    runs.into_iter().map(|run| run.0).collect()
}

/// Appends what happens to each number; calls without rules may be asked for their number again.
fn flatten(graph: &Graph, id: NodeId, (first, last): (u32, u32), runs: &mut Vec<(u32, NodeId)>) {
    let Node::Switch { word: Word::Nr, pieces } = graph.node(id) else { return runs.push((first, id)) };
    let ends = pieces.iter().skip(1).map(|next| next.start.saturating_sub(1)).chain([u32::MAX]);
    for (piece, end) in pieces.iter().zip(ends).filter(|(piece, end)| piece.start <= last && *end >= first) {
        flatten(graph, piece.to, (piece.start.max(first), end.min(last)), runs);
    }
}
