//! One rule after the other.
//!
//! The clauses are asked by ascending action, so the first that holds decides. The graph has at most two nodes for each
//! condition, however the rules are made.

use super::formula::{Atom, Left};
use super::product::{Conjunction, Problem};
use super::{Graph, NodeId, Piece, Word};
use alloc::vec::Vec;

/// Decides a problem in linear work.
pub(super) fn solve(graph: &mut Graph, problem: &Problem) -> NodeId {
    let mut next = graph.ret(problem.fallback);
    // Clauses are sorted by action.
    for clause in problem.clauses.iter().rev() {
        let mut found = graph.ret(clause.action);
        for other in clause.unless.iter().rev() {
            found = all(graph, other, next, found);
        }
        next = all(graph, &clause.holds, found, next);
    }
    next
}

/// `yes` if every atom holds.
fn all(graph: &mut Graph, atoms: &Conjunction, yes: NodeId, no: NodeId) -> NodeId {
    // Low words were sorted first; the last node made is the first one asked.
    atoms.iter().rev().fold(yes, |yes, &atom| ask(graph, atom, yes, no))
}

fn ask(graph: &mut Graph, atom: Atom, yes: NodeId, no: NodeId) -> NodeId {
    match atom {
        Atom::In { word, first, last } => graph.within(word, (first, last), yes, no),
        Atom::Not { word, value } => graph.within(word, (value, value), no, yes),
        Atom::Bits { word, mask, value } => graph.mask(word, (mask, value), yes, no),
        Atom::WideNe { .. } | Atom::WideGe { .. } | Atom::WideLt { .. } => wide(graph, atom, yes, no),
    }
}

/// A 64-bit comparison: its low word says which question is left for the high word.
fn wide(graph: &mut Graph, atom: Atom, yes: NodeId, no: NodeId) -> NodeId {
    let mut starts = Vec::from([0]);
    atom.cuts(|start| starts.push(start));
    starts.sort_unstable();
    starts.dedup();
    let word: Word = atom.word();
    let piece = |start| {
        let to = match atom.given(start) {
            Left::Known(known) => {
                if known {
                    yes
                } else {
                    no
                }
            }
            Left::Open(high) => ask(graph, high, yes, no),
        };
        Piece { start, to }
    };
    let pieces: Vec<_> = starts.into_iter().map(piece).collect();
    graph.switch(word, &pieces)
}
