//! Why there is no filter.

use super::Stages;
use crate::arch::Arch;
use crate::bpf::{MAX_INSNS, VerifyError};
use crate::check::{NotCacheable, ProveError};
use crate::code::CodeId;
use crate::graph::{Built, Node, NodeId};
use crate::policy::Policy;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use thiserror::Error;

/// Why a policy could not be compiled.
///
/// ```
/// use callsieve::check::{ProveError, Prover};
/// use callsieve::{Action, Arch, CompileError, Compiler, Profile, Target};
/// let policy = Profile::new(Action::Errno(1)).allow("read").resolve(&Target::new(Arch::Aarch64))?;
/// let result = Compiler::new().prover(Prover::new().max_nodes(10)).compile(&policy);
/// assert!(matches!(result, Err(CompileError::Proof(ProveError::TooLarge { max_nodes: 10 }))));
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The kernel would not accept the length.
    #[error("filter needs {}{len} instructions, the kernel accepts {limit}{}", if *exact { "" } else { "more than " }, Largest(largest))]
    TooLarge {
        /// Instructions that the policy needs.
        len: usize,
        /// Whether `len` is exact; else it is where counting ended.
        exact: bool,
        /// Instructions that the kernel accepts.
        limit: usize,
        /// The calls that need most, largest first, at most five.
        largest: Vec<Contributor>,
    },
    /// The program could not be proven equal to the policy.
    #[error("{0}")]
    Proof(ProveError),
    /// The kernel would refuse the program: a defect of this crate, please report it.
    #[error("internal error: the kernel would refuse the compiled program ({0})")]
    Refused(VerifyError),
    /// An unconditional allowance is not cacheable: a defect of this crate, please report it.
    #[error("internal error: call {nr:#x} of {} is always allowed, but the kernel would not cache it ({reason})", arch.short_name())]
    NotCacheable {
        /// The ABI of the call.
        arch: Arch,
        /// Its number.
        nr: u32,
        /// What is in the way.
        reason: NotCacheable,
    },
}

impl From<VerifyError> for CompileError {
    fn from(error: VerifyError) -> Self {
        Self::Refused(error)
    }
}

/// What one call adds to a program.
///
/// See the example of [`CompileError`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contributor {
    /// The ABI of the call.
    pub arch: Arch,
    /// Its number.
    pub nr: u32,
    /// Its name, or its number if it has none.
    pub name: String,
    /// Instructions for its arguments that no call before it needs as well.
    pub insns: usize,
}

struct Largest<'a>(&'a [Contributor]);

impl fmt::Display for Largest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let several = self.0.first().is_some_and(|first| self.0.iter().any(|other| other.arch != first.arch));
        for (index, call) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "; largest contributors: " } else { ", " })?;
            write!(f, "{}", call.name)?;
            if several {
                write!(f, " on {}", call.arch.short_name())?;
            }
            write!(f, " ({})", call.insns)?;
        }
        Ok(())
    }
}

/// The error for a program that is too long.
pub(super) fn too_large(policy: &Policy, stages: &Stages) -> CompileError {
    let code = &stages.made.lowered.code;
    let mut seen = alloc::vec![false; code.len()];
    let count = |node: NodeId| {
        let entry = stages.made.lowered.entries.get(node.index()).copied().flatten()?;
        Some(new_steps(entry, &mut seen, CodeId::index, |id, todo| todo.extend(code.step(id).children())))
    };
    let largest = largest(policy, &stages.built, count);
    CompileError::TooLarge { len: stages.made.insns.len(), exact: true, limit: MAX_INSNS, largest }
}

/// The error for a policy whose graph alone has more nodes than any program can have instructions.
pub(super) fn hopeless(policy: &Policy, built: &Built, len: usize) -> CompileError {
    let mut seen = alloc::vec![false; built.graph.len()];
    let count = |node| {
        let children = |id, todo: &mut Vec<NodeId>| match built.graph.node(id) {
            Node::Return(_) => {}
            &Node::Mask { yes, no, .. } => todo.extend([yes, no]),
            Node::Switch { pieces, .. } => todo.extend(pieces.iter().map(|piece| piece.to)),
        };
        Some(new_steps(node, &mut seen, NodeId::index, children))
    };
    CompileError::TooLarge { len, exact: false, limit: MAX_INSNS, largest: largest(policy, built, count) }
}

/// The calls that need most.
fn largest(policy: &Policy, built: &Built, mut count: impl FnMut(NodeId) -> Option<usize>) -> Vec<Contributor> {
    const MOST: usize = 5;
    let mut largest = Vec::new();
    for section in &policy.sections {
        for &nr in section.calls.keys() {
            let Some(node) = built.call(section.arch.audit(), nr) else { continue };
            let Some(insns) = count(node) else { continue };
            // A return is shared by everybody.
            if insns > 1 {
                let name = section.arch.name(nr).map_or_else(|| unnamed(nr), String::from);
                largest.push(Contributor { arch: section.arch, nr, name, insns });
            }
        }
    }
    // The sort is stable: equal ones stay in the order of the policy.
    largest.sort_by_key(|call| core::cmp::Reverse(call.insns));
    largest.truncate(MOST);
    largest
}

fn unnamed(nr: u32) -> String {
    let mut name = String::new();
    // Writing to a string cannot fail.
    let _ = write!(name, "call {nr:#x}");
    name
}

/// Counts what is below an entry and was not counted before.
fn new_steps<T: Copy>(
    entry: T,
    seen: &mut [bool],
    index: impl Fn(T) -> usize,
    children: impl Fn(T, &mut Vec<T>),
) -> usize {
    let mut count = 0;
    let mut todo = Vec::from([entry]);
    while let Some(id) = todo.pop() {
        let Some(seen) = seen.get_mut(index(id)) else { continue };
        if !core::mem::replace(seen, true) {
            count += 1;
            children(id, &mut todo);
        }
    }
    count
}
