//! All rules of a call together, one word after the other.
//!
//! The rules are a [`Problem`]: clauses, each with an action, a conjunction that must hold and conjunctions of which
//! none may hold (those of the narrower rules). The clause with the least action that holds decides, without one the
//! fallback. To look at a word means to try every interval on which the problem behaves the same, to put that knowledge
//! into all clauses, and to go on with the smaller problem. Problems are kept in a normal form, so equal ones are solved
//! once.
//!
//! That can grow exponentially with hostile rules. Work is counted, and beyond the budget `None` says: take `chain`.

use super::formula::{Atom, Left, lower};
use super::{Graph, NodeId, Piece, Word};
use crate::bpf::Action;
use crate::policy::Rule;
use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Units of work for one call, each a few nanoseconds.
const CALL_WORK: u64 = 8_000_000;
/// Looking at an atom is one unit; to keep it in a smaller problem costs more, and a problem costs something too.
const KEEP: u64 = 40;
const PROBLEM: u64 = 200;
/// Atoms that may be kept in memory for one call.
const CALL_KEPT: u64 = 200_000;
/// Bit tests that may be nested for one call; it bounds the depth of the recursion.
const CALL_MASKS: usize = 48;

/// Conditions that must all hold, in ascending order.
pub(super) type Conjunction = Vec<Atom>;

/// `action` if `holds` and none of `unless`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Clause {
    pub(super) action: Action,
    pub(super) holds: Conjunction,
    pub(super) unless: Vec<Conjunction>,
}

/// What remains to be decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    pub(super) fallback: Action,
    pub(super) clauses: Vec<Clause>,
}

impl Problem {
    /// The rules of one call, without order.
    pub(super) fn new(rules: &[Rule], default: Action) -> Self {
        let formulas: Vec<Option<Conjunction>> = rules.iter().map(conjunction).collect();
        let clause = |(rule, holds): (&Rule, &Option<Conjunction>)| {
            let narrower = rule.narrower.iter().filter_map(|&other| formulas.get(other)?.clone());
            Some(Clause { action: rule.action, holds: holds.clone()?, unless: narrower.collect() })
        };
        Self::normal(default, rules.iter().zip(&formulas).filter_map(clause).collect())
    }

    /// Drops what cannot matter and sorts the rest.
    fn normal(mut fallback: Action, mut clauses: Vec<Clause>) -> Self {
        for clause in &mut clauses {
            clause.unless.sort_unstable();
            clause.unless.dedup();
        }
        // A clause that surely holds is the answer unless one with a lesser action holds as well.
        let sure = |clause: &&Clause| clause.holds.is_empty() && clause.unless.is_empty();
        if let Some(action) = clauses.iter().filter(sure).map(|clause| clause.action).min() {
            fallback = action;
            clauses.retain(|clause| clause.action < action);
        }
        clauses.retain(|clause| !clause.unless.iter().any(|other| implies(&clause.holds, other)));
        // The default needs no clause of its own, unless it has to win against a greater action.
        if clauses.iter().all(|clause| clause.action <= fallback) {
            clauses.retain(|clause| clause.action < fallback);
        }
        clauses.sort_unstable();
        clauses.dedup();
        Self { fallback, clauses }
    }

    /// Whether it matters which argument is looked at first.
    pub(super) fn has_order(&self) -> bool {
        let mut args = self.atoms().map(Atom::arg);
        args.next().is_some_and(|first| args.any(|arg| arg != first))
    }

    pub(super) fn atoms(&self) -> impl Iterator<Item = Atom> + '_ {
        self.clauses.iter().flat_map(|clause| clause.unless.iter().flatten().chain(&clause.holds)).copied()
    }
}

/// Every conjunction that has all atoms of another one implies it.
fn implies(strong: &[Atom], weak: &[Atom]) -> bool {
    weak.iter().all(|atom| strong.binary_search(atom).is_ok())
}

/// The conditions of a rule; `None` if they can never hold together.
fn conjunction(rule: &Rule) -> Option<Conjunction> {
    let mut atoms = Vec::new();
    let possible = rule.conditions.iter().all(|condition| lower(condition, &mut atoms));
    atoms.sort_unstable();
    atoms.dedup();
    possible.then_some(atoms)
}

/// Work that is left for a whole policy.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) work: u64,
}

/// Decides a problem; `None` if it takes too much work. `order` ranks the words, the least is looked at first.
pub(super) fn solve(graph: &mut Graph, problem: Problem, order: &[Word], budget: &mut Budget) -> Option<NodeId> {
    let masks: BTreeSet<_> = problem.atoms().filter(|atom| matches!(atom, Atom::Bits { .. })).collect();
    if masks.len() > CALL_MASKS {
        return None;
    }
    let allowance = budget.work.min(CALL_WORK);
    let mut run = Run { graph, order, memo: BTreeMap::new(), work: allowance, kept: CALL_KEPT };
    let solved = run.decide(problem);
    budget.work -= allowance - run.work;
    solved
}

struct Run<'a> {
    graph: &'a mut Graph,
    order: &'a [Word],
    memo: BTreeMap<Problem, NodeId>,
    work: u64,
    kept: u64,
}

impl Run<'_> {
    fn decide(&mut self, problem: Problem) -> Option<NodeId> {
        if problem.clauses.is_empty() {
            return Some(self.graph.ret(problem.fallback));
        }
        if let Some(&known) = self.memo.get(&problem) {
            return Some(known);
        }
        let size = problem.atoms().count() as u64;
        self.kept = self.kept.checked_sub(size)?;
        let word = *self.order.iter().find(|&&word| problem.atoms().any(|atom| atom.word() == word))?;
        let node = match first_bits(&problem, word) {
            Some((mask, value)) => self.by_bits(&problem, word, mask, value)?,
            None => self.by_intervals(&problem, word, size)?,
        };
        self.memo.insert(problem, node);
        Some(node)
    }

    /// Bit tests come before the intervals of their word.
    fn by_bits(&mut self, problem: &Problem, word: Word, mask: u32, value: u32) -> Option<NodeId> {
        let yes = self.given(problem, |atom| atom.given_bits(word, mask, value, true))?;
        let yes = self.decide(yes)?;
        let no = self.given(problem, |atom| atom.given_bits(word, mask, value, false))?;
        let no = self.decide(no)?;
        Some(self.graph.mask(word, (mask, value), yes, no))
    }

    fn by_intervals(&mut self, problem: &Problem, word: Word, size: u64) -> Option<NodeId> {
        let mut starts = Vec::from([0]);
        problem.atoms().filter(|atom| atom.word() == word).for_each(|atom| atom.cuts(|start| starts.push(start)));
        starts.sort_unstable();
        starts.dedup();
        // Fail before the work, not after it.
        self.work.checked_sub(size.saturating_mul(starts.len() as u64))?;
        let mut pieces = Vec::with_capacity(starts.len());
        for start in starts {
            let rest =
                self.given(problem, |atom| if atom.word() == word { atom.given(start) } else { Left::Open(atom) })?;
            pieces.push(Piece { start, to: self.decide(rest)? });
        }
        Some(self.graph.switch(word, &pieces))
    }

    /// The problem with more knowledge.
    fn given(&mut self, problem: &Problem, know: impl Fn(Atom) -> Left) -> Option<Problem> {
        let mut seen = PROBLEM;
        let mut reduce = |conjunction: &Conjunction| -> Option<Conjunction> {
            let mut rest = Vec::new();
            for &atom in conjunction {
                seen += 1;
                match know(atom) {
                    Left::Known(true) => {}
                    Left::Known(false) => return None,
                    Left::Open(atom) => {
                        seen += KEEP;
                        rest.push(atom);
                    }
                }
            }
            rest.sort_unstable();
            rest.dedup();
            Some(rest)
        };
        let mut clauses = Vec::new();
        for clause in &problem.clauses {
            let Some(holds) = reduce(&clause.holds) else { continue };
            let unless: Vec<_> = clause.unless.iter().filter_map(&mut reduce).collect();
            if !unless.iter().any(Vec::is_empty) {
                clauses.push(Clause { action: clause.action, holds, unless });
            }
        }
        self.work = self.work.checked_sub(seen)?;
        Some(Problem::normal(problem.fallback, clauses))
    }
}

/// The least bit test on a word.
fn first_bits(problem: &Problem, wanted: Word) -> Option<(u32, u32)> {
    let bits = problem.atoms().filter_map(|atom| match atom {
        Atom::Bits { word, mask, value } if word == wanted => Some((mask, value)),
        _ => None,
    });
    bits.min()
}
