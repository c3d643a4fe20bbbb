//! What to decide: a graph of questions about 32-bit words that ends in actions.
//!
//! A [`Graph`] holds nodes of three kinds. `Return` is an answer. `Switch` looks at one [`Word`] of the input and goes
//! on by the interval that its value lies in; the intervals cover all 32-bit numbers, so that a gap is never a
//! don't-care. `Mask` asks whether some bits of a word have given values. Nothing here says in which order comparisons
//! are made; that is the business of `opt`.
//!
//! Nodes can only be made by the smart constructors of [`Graph`]. They merge neighbouring intervals that lead to the
//! same node, drop questions whose answer does not matter, and give equal nodes the same identity. Two system calls
//! with the same rules therefore lead to the same node. Children are made before their parents, so ids ascend from the
//! leaves to the root.
//!
//! - `build` makes the graph of a [`Policy`](crate::policy::Policy): one `Switch` over the architecture, one over the
//!   number for each architecture, and below them the rules of each call.
//! - `formula` turns conditions on 64-bit arguments into conditions on words.
//! - `product` decides all rules of a call together, word by word; `chain` one rule after the other. The first gives
//!   the better code, the second is always small and quick to make: it takes over when the first grows too large.
//! - `print` shows a graph as text and as a picture.

mod build;
mod chain;
mod formula;
mod print;
mod product;

pub(crate) use build::{Built, Order, build};

use crate::bpf::Action;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

/// One 32-bit word of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Word {
    /// The architecture token.
    Arch,
    /// The number of the call.
    Nr,
    /// The low half of an argument.
    Low(u8),
    /// The high half of an argument.
    High(u8),
    /// The low half of the instruction pointer. Only foreign programs look at it.
    IpLow,
    /// The high half of the instruction pointer.
    IpHigh,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arch => f.write_str("arch"),
            Self::Nr => f.write_str("nr"),
            Self::Low(arg) => write!(f, "arg{arg}"),
            Self::High(arg) => write!(f, "arg{arg}.high"),
            Self::IpLow => f.write_str("ip"),
            Self::IpHigh => f.write_str("ip.high"),
        }
    }
}

/// The identity of a node within its graph. Equal ids mean equal behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// For tables with one entry a node.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The values from `start` up to the start of the next piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    pub(crate) start: u32,
    pub(crate) to: NodeId,
}

/// A question or an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    /// The value that the program returns. Policies have actions only, foreign programs may return anything.
    Return(u32),
    /// By the interval in which a word lies. At least two pieces, the first starts at 0, starts ascend, neighbours lead
    /// to different nodes.
    Switch { word: Word, pieces: Vec<Piece> },
    /// `(word & mask) == value`; `value` has no bit outside `mask`, and `mask` is neither nothing nor everything.
    Mask { word: Word, mask: u32, value: u32, yes: NodeId, no: NodeId },
}

/// Nodes, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    index: BTreeMap<Node, NodeId>,
    /// The first answers, which are asked for all the time.
    answers: Vec<(u32, NodeId)>,
}

impl Graph {
    /// The node with this id.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// An answer.
    pub(crate) fn ret(&mut self, action: Action) -> NodeId {
        self.ret_raw(action.to_raw())
    }

    /// An answer by its value.
    pub(crate) fn ret_raw(&mut self, raw: u32) -> NodeId {
        const REMEMBERED: usize = 8;
        if let Some(&(_, id)) = self.answers.iter().find(|answer| answer.0 == raw) {
            return id;
        }
        let id = self.intern(Node::Return(raw));
        if self.answers.len() < REMEMBERED {
            self.answers.push((raw, id));
        }
        id
    }

    /// A choice by intervals. The starts ascend and the first is 0; what starts later replaces what started before.
    pub(crate) fn switch(&mut self, word: Word, pieces: &[Piece]) -> NodeId {
        let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len());
        for &piece in pieces {
            if merged.last().is_none_or(|last| last.to != piece.to) {
                merged.push(piece);
            }
        }
        match merged.as_slice() {
            [only] => only.to,
            _ => self.intern(Node::Switch { word, pieces: merged }),
        }
    }

    /// A choice between the values from `first` to `last` and all others.
    pub(crate) fn within(&mut self, word: Word, (first, last): (u32, u32), yes: NodeId, no: NodeId) -> NodeId {
        let mut pieces = Vec::with_capacity(3);
        if first > 0 {
            pieces.push(Piece { start: 0, to: no });
        }
        pieces.push(Piece { start: first, to: yes });
        if let Some(start) = last.checked_add(1) {
            pieces.push(Piece { start, to: no });
        }
        self.switch(word, &pieces)
    }

    /// A choice by the bits of a word.
    pub(crate) fn mask(&mut self, word: Word, (mask, value): (u32, u32), yes: NodeId, no: NodeId) -> NodeId {
        if value & !mask != 0 {
            return no;
        }
        match mask {
            0 => yes,
            u32::MAX => self.within(word, (value, value), yes, no),
            _ if yes == no => yes,
            _ => self.intern(Node::Mask { word, mask, value, yes, no }),
        }
    }

    fn intern(&mut self, node: Node) -> NodeId {
        if let Some(&id) = self.index.get(&node) {
            return id;
        }
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node.clone());
        self.index.insert(node, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::formula::{Atom, Left, lower};
    use super::product::{Budget, Clause, Problem, solve};
    use super::*;
    use crate::arch::{Arch, KernelVersion};
    use crate::policy::{Condition, Target, Test, Unlisted, Width};
    use crate::profile::{Profile, arg};

    fn piece(start: u32, to: NodeId) -> Piece {
        Piece { start, to }
    }

    #[test]
    fn equal_questions_are_one_node_and_empty_ones_none() {
        let mut graph = Graph::default();
        let (yes, no) = (graph.ret(Action::Allow), graph.ret(Action::KillProcess));
        assert_eq!(graph.switch(Word::Nr, &[piece(0, yes), piece(7, yes)]), yes);
        assert_eq!(graph.within(Word::Nr, (0, u32::MAX), yes, no), yes);
        assert_eq!(graph.mask(Word::Nr, (0, 0), yes, no), yes);
        assert_eq!(graph.mask(Word::Nr, (1, 2), yes, no), no);
        assert_eq!(graph.mask(Word::Nr, (1, 1), yes, yes), yes);
        assert_eq!(graph.len(), 2, "nothing was asked so far");
        let seven = graph.within(Word::Nr, (7, 7), yes, no);
        assert_eq!(graph.mask(Word::Nr, (u32::MAX, 7), yes, no), seven);
        assert_eq!(graph.len(), 3);
    }

    #[test]
    fn intervals_at_the_ends_have_two_pieces() {
        let mut graph = Graph::default();
        let (yes, no) = (graph.ret(Action::Allow), graph.ret(Action::KillProcess));
        let mut pieces = |ends| {
            let id = graph.within(Word::Nr, ends, yes, no);
            let Node::Switch { pieces, .. } = graph.node(id) else { panic!("a question") };
            pieces.clone()
        };
        assert_eq!(pieces((0, 6)), [piece(0, yes), piece(7, no)]);
        assert_eq!(pieces((1, 6)), [piece(0, no), piece(1, yes), piece(7, no)]);
        assert_eq!(pieces((7, u32::MAX)), [piece(0, no), piece(7, yes)]);
    }

    #[test]
    fn answers_are_kept_once_however_many_there_are() {
        let mut graph = Graph::default();
        let ids: Vec<NodeId> = (0..20).map(|raw| graph.ret_raw(raw)).collect();
        assert_eq!((0..20).map(|raw| graph.ret_raw(raw)).collect::<Vec<_>>(), ids);
        assert_eq!(graph.len(), 20);
        assert_eq!(graph.answers.len(), 8);
    }

    const LOW: Word = Word::Low(1);
    const FIVE: Atom = Atom::In { word: LOW, first: 5, last: 5 };
    const EVEN: Atom = Atom::Bits { word: LOW, mask: 1, value: 0 };
    const OTHER: Atom = Atom::Not { word: Word::Low(2), value: 7 };

    fn clause(action: Action, holds: &[Atom], unless: &[&[Atom]]) -> Clause {
        Clause { action, holds: holds.to_vec(), unless: unless.iter().map(|atoms| atoms.to_vec()).collect() }
    }

    #[test]
    fn conditions_become_atoms() {
        let atoms = |width, test| {
            let mut into = Vec::new();
            lower(&Condition { arg: 1, width, test }, &mut into).then_some(into)
        };
        let narrow = |test| atoms(Width::Bits32, test);
        let masked = |mask, value| Test::MaskedEq { mask, value };
        assert_eq!(narrow(masked(0, 0)), Some(Vec::new()));
        assert_eq!(narrow(masked(0xffff_ffff, 5)), Some(Vec::from([FIVE])));
        assert_eq!(narrow(masked(1, 0)), Some(Vec::from([EVEN])));
        assert_eq!(narrow(masked(1, 2)), None);
        assert_eq!(narrow(masked(u64::MAX, 1 << 32)), None);
        assert_eq!(atoms(Width::Bits64, masked(0xffff_ffff, 5)), Some(Vec::from([FIVE])));
        assert_eq!(narrow(Test::Ge(0)), Some(Vec::new()));
        assert_eq!(narrow(Test::Lt(0)), None);
        // What is left of each when the word is known.
        let five = |atom: Atom| [4, 5, 6].map(|known| atom.given(known));
        assert_eq!(five(FIVE), [false, true, false].map(Left::Known));
        assert_eq!(five(EVEN), [true, false, true].map(Left::Known));
        assert_eq!(Atom::Bits { word: LOW, mask: 6, value: 4 }.given(7), Left::Known(false));
        assert_eq!(five(Atom::Not { word: LOW, value: 5 }), [true, false, true].map(Left::Known));
    }

    #[test]
    fn what_cannot_matter_is_dropped() {
        let policy = |profile: Profile| profile.resolve(&Target::exactly(&[Arch::X86_64])).unwrap();
        let problem = |profile: Profile| {
            let policy = policy(profile);
            let section = &policy.sections[0];
            let rules = section.calls.values().next().unwrap();
            Problem::new(rules, section.default)
        };
        let base = || Profile::new(Action::Errno(1));
        let a = arg::<1>();
        // The default needs no clause, unless it has to win against another action.
        let found =
            problem(base().rule(Action::KillProcess, "ioctl", [a.eq(5)]).rule(Action::Errno(1), "ioctl", [a.ne(5)]));
        assert_eq!((found.fallback, found.clauses.len()), (Action::Errno(1), 1));
        let found = problem(base().allow_if("ioctl", [a.eq(5)]));
        assert_eq!((found.fallback, found.clauses.len()), (Action::Errno(1), 1));
        // Of what surely holds the least action is the fallback, and what is no less has no say.
        let found = problem(base().allow("ioctl"));
        assert_eq!((found.fallback, found.clauses.len()), (Action::Allow, 0));
        // One argument has no order, two have one.
        assert!(!problem(base().allow_if("ioctl", [a.gt(1 << 33), a.ne(7)])).has_order());
        assert!(problem(base().allow_if("ioctl", [a.gt(5), arg::<2>().ne(7)])).has_order());
        assert!(!problem(base().allow("ioctl")).has_order());
    }

    #[test]
    fn problems_are_solved_within_their_budget() {
        let problem = |clauses: &[Clause]| Problem { fallback: Action::KillProcess, clauses: clauses.to_vec() };
        let one = problem(&[clause(Action::Allow, &[FIVE], &[])]);
        assert_eq!(one.atoms().collect::<Vec<_>>(), [FIVE]);
        // Three pieces: 200 units each, and one for the atom, of which nothing is kept.
        let mut graph = Graph::default();
        for (work, left) in [(1000, Some(1000 - 3 * 201)), (603, Some(0)), (602, None)] {
            let mut budget = Budget { work };
            let solved = solve(&mut graph, one.clone(), &[LOW], &mut budget);
            assert_eq!(solved.map(|_| budget.work), left, "{work}");
        }
        let root = solve(&mut graph, one, &[LOW], &mut Budget { work: 1000 }).unwrap();
        let (yes, no) = (graph.ret(Action::Allow), graph.ret(Action::KillProcess));
        assert_eq!(
            graph.node(root),
            &Node::Switch { word: LOW, pieces: Vec::from([piece(0, no), piece(5, yes), piece(6, no)]) }
        );
        // Two atoms, of which one is kept for 40 more wherever the other does not decide.
        let two = problem(&[clause(Action::Allow, &[OTHER], &[&[FIVE]])]);
        let mut budget = Budget { work: 10_000 };
        solve(&mut graph, two, &[LOW, Word::Low(2)], &mut budget).unwrap();
        assert_eq!(10_000 - budget.work, 3 * (200 + 2) + 3 * 40 + 3 * 201);
        // Bit tests are nested, so there is a bound of their own.
        let bits = |many: u32| {
            let atoms = (0..many).map(|at| Atom::Bits {
                word: Word::Low(if at < 24 {
                    0
                } else if at < 48 {
                    1
                } else {
                    2
                }),
                mask: 1 << (at % 24),
                value: 0,
            });
            let clauses: Vec<_> = atoms.map(|atom| clause(Action::Allow, &[atom], &[])).collect();
            solve(
                &mut Graph::default(),
                problem(&clauses),
                &[Word::Low(0), Word::Low(1), Word::Low(2)],
                &mut Budget { work: 10_000_000 },
            )
        };
        assert!(bits(48).is_some() && bits(49).is_none());
    }

    /// Where x32 shares the tree of x86_64, nothing may look at the number twice.
    #[test]
    fn unlisted_numbers_are_apart_only_where_an_abi_is_alone() {
        let newer_than = KernelVersion::new(6, 6);
        let asks_twice = |arches: &[Arch]| {
            let target = Target::exactly(arches).unlisted(Unlisted::Enosys { newer_than });
            let policy = Profile::new(Action::Errno(1)).allow("read").allow("write").resolve(&target).unwrap();
            let built = build(&policy, Order::First);
            let root = built.arches.iter().find(|(token, _)| *token == Arch::X86_64.audit()).unwrap().1;
            let Node::Switch { word: Word::Nr, pieces } = built.graph.node(root) else { panic!("numbers") };
            let again = |to| matches!(built.graph.node(to), Node::Switch { word: Word::Nr, .. });
            pieces.iter().any(|piece| again(piece.to))
        };
        assert!(asks_twice(&[Arch::X86_64]));
        assert!(!asks_twice(&[Arch::X86_64, Arch::X32]));
    }

    #[test]
    fn tangled_calls_are_counted() {
        let base = Profile::new(Action::Errno(1));
        let bits = (0..50_u64).fold(base, |all, bit| all.allow_if("lseek", [arg::<1>().masked_eq(1 << bit, 1 << bit)]));
        let both = bits.clone().allow("read").allow_if("ioctl", [arg::<1>().masked_eq(6, 6)]);
        for (profile, chained) in [(bits, 1), (Profile::new(Action::Errno(1)).allow("read"), 0), (both, 1)] {
            let policy = profile.resolve(&Target::exactly(&[Arch::X86_64])).unwrap();
            assert_eq!(build(&policy, Order::First).chained, chained);
        }
    }
}
