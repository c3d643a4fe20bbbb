//! The graph of a policy.

use super::product::{Budget, Problem, solve};
use super::{Graph, Node, NodeId, Piece, Word, chain};
use crate::arch::Arch;
use crate::bpf::Action;
use crate::policy::{Policy, Rule, Section};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Units of work for a whole policy before every further call is decided rule by rule.
const POLICY_WORK: u64 = 40_000_000;

/// A policy as a graph.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) graph: Graph,
    pub(crate) root: NodeId,
    /// Where the numbers of each architecture token are decided, tokens ascending.
    pub(crate) arches: Vec<(u32, NodeId)>,
    /// Calls whose rules were too tangled to be decided together.
    pub(crate) chained: usize,
    /// Whether some call looks at more than one argument, so that their order matters.
    pub(crate) orders: bool,
}

/// Which argument is looked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The first.
    First,
    /// The last.
    Last,
}

impl Order {
    fn words(self) -> Vec<Word> {
        let args = || (0..6).map(|arg| if self == Self::First { arg } else { 5 - arg });
        args().map(Word::Low).chain(args().map(Word::High)).collect()
    }
}

impl Built {
    /// Where the arguments of a call are decided; `None` if its architecture is not listed.
    pub(crate) fn call(&self, token: u32, nr: u32) -> Option<NodeId> {
        let &(_, mut node) = self.arches.iter().find(|arch| arch.0 == token)?;
        // Numbers that no rule names may be told apart by a switch of their own.
        while let Node::Switch { word: Word::Nr, pieces } = self.graph.node(node) {
            let behind = pieces.partition_point(|piece| piece.start <= nr);
            node = pieces.get(behind.checked_sub(1)?)?.to;
        }
        Some(node)
    }
}

/// Makes the graph of a policy: [`Policy::decide`] as questions.
pub(crate) fn build(policy: &Policy, order: Order) -> Built {
    let mut builder = Builder {
        graph: Graph::default(),
        order: order.words(),
        known: BTreeMap::new(),
        budget: Budget { work: POLICY_WORK },
        chained: 0,
        orders: false,
    };
    let bad_arch = builder.graph.ret(policy.bad_arch);
    let mut tokens: Vec<u32> = policy.arches().map(Arch::audit).collect();
    tokens.sort_unstable();
    tokens.dedup();
    let arches: Vec<_> = tokens.into_iter().map(|token| (token, builder.numbers(policy, token))).collect();
    let mut pieces = Vec::from([Piece { start: 0, to: bad_arch }]);
    for &(token, to) in &arches {
        put(&mut pieces, token, to, bad_arch);
    }
    let root = builder.graph.switch(Word::Arch, &pieces);
    Built { graph: builder.graph, root, arches, chained: builder.chained, orders: builder.orders }
}

/// Gives one value its own piece. Values come in ascending order.
fn put(pieces: &mut Vec<Piece>, value: u32, to: NodeId, after: NodeId) {
    pieces.pop_if(|piece| piece.start == value);
    pieces.push(Piece { start: value, to });
    if let Some(start) = value.checked_add(1) {
        pieces.push(Piece { start, to: after });
    }
}

struct Builder {
    graph: Graph,
    order: Vec<Word>,
    known: BTreeMap<Problem, NodeId>,
    budget: Budget,
    chained: usize,
    orders: bool,
}

impl Builder {
    /// All numbers of an architecture token.
    fn numbers(&mut self, policy: &Policy, token: u32) -> NodeId {
        let find = |arch| policy.sections.iter().find(|section| section.arch == arch);
        let spans = if token == Arch::X32.audit() {
            // Bit 30 tells x32 from x86_64, except in the number that a tracer sets to skip a call.
            let (native, x32) = (find(Arch::X86_64), find(Arch::X32));
            let alone = native.is_none() || x32.is_none();
            let native = Span { alone, ..Span::of(native, policy.bad_arch) };
            let x32 = Span { alone, ..Span::of(x32, policy.unlisted_x32) };
            let skipped = if native.section.is_some() { native } else { x32 };
            Vec::from([
                native.over(0, 0x3fff_ffff),
                x32.over(0x4000_0000, 0x7fff_ffff),
                native.over(0x8000_0000, 0xbfff_ffff),
                x32.over(0xc000_0000, 0xffff_fffe),
                skipped.over(0xffff_ffff, 0xffff_ffff),
            ])
        } else {
            let section = policy.sections.iter().find(|section| section.arch.audit() == token);
            Vec::from([Span::of(section, policy.bad_arch)])
        };
        let mut pieces = Vec::new();
        for span in spans {
            self.span(span, &mut pieces);
        }
        self.graph.switch(Word::Nr, &pieces)
    }

    fn span(&mut self, span: Span<'_>, pieces: &mut Vec<Piece>) {
        let Some(section) = span.section else {
            return pieces.push(Piece { start: span.first, to: self.graph.ret(span.rest) });
        };
        let apart = (span.alone && !section.unlisted.is_empty()).then(|| self.unlisted(section));
        // What lies outside belongs to the other spans.
        let mut next = Some(span.first);
        for (&nr, rules) in section.calls.range(span.first..=span.last) {
            if let Some(first) = next.filter(|&first| first < nr) {
                self.gap((section, apart), (first, nr - 1), pieces);
            }
            pieces.push(Piece { start: nr, to: self.call(rules, section.default) });
            next = nr.checked_add(1);
        }
        if let Some(first) = next.filter(|&first| first <= span.last) {
            self.gap((section, apart), (first, span.last), pieces);
        }
    }

    /// Numbers without rules; `apart` answers them, if there is such a node.
    fn gap(
        &mut self,
        (section, apart): (&Section, Option<NodeId>),
        (first, last): (u32, u32),
        pieces: &mut Vec<Piece>,
    ) {
        if let Some(to) = apart {
            return pieces.push(Piece { start: first, to });
        }
        let borders = section.unlisted.iter().flat_map(|span| [Some(span.first), span.last.checked_add(1)]).flatten();
        for start in core::iter::once(first).chain(borders.filter(|&border| first < border && border <= last)) {
            pieces.push(Piece { start, to: self.graph.ret(section.fallback(start)) });
        }
    }

    /// The answers to numbers that no rule names, as a question of its own: it is asked only when a number is known to
    /// have no rule, so that calls with rules take no step for it.
    fn unlisted(&mut self, section: &Section) -> NodeId {
        let mut pieces = Vec::new();
        self.gap((section, None), (0, u32::MAX), &mut pieces);
        self.graph.switch(Word::Nr, &pieces)
    }

    fn call(&mut self, rules: &[Rule], default: Action) -> NodeId {
        // Most calls.
        if let [only] = rules
            && only.conditions.is_empty()
        {
            return self.graph.ret(only.action);
        }
        let problem = Problem::new(rules, default);
        if problem.clauses.is_empty() {
            return self.graph.ret(problem.fallback);
        }
        if let Some(&known) = self.known.get(&problem) {
            return known;
        }
        self.orders |= problem.has_order();
        let node = solve(&mut self.graph, problem.clone(), &self.order, &mut self.budget).unwrap_or_else(|| {
            self.chained += 1;
            chain::solve(&mut self.graph, &problem)
        });
        self.known.insert(problem, node);
        node
    }
}

/// Numbers that one section answers for, or one action.
#[derive(Clone, Copy)]
struct Span<'a> {
    section: Option<&'a Section>,
    rest: Action,
    first: u32,
    last: u32,
    /// Whether no other section has numbers of the same token. Where x32 shares the tree of x86_64, nothing may look at
    /// the number again.
    alone: bool,
}

impl<'a> Span<'a> {
    fn of(section: Option<&'a Section>, refused: Action) -> Self {
        Self {
            section,
            rest: section.map_or(refused, |section| section.default),
            first: 0,
            last: u32::MAX,
            alone: true,
        }
    }

    fn over(self, first: u32, last: u32) -> Self {
        Self { first, last, ..self }
    }
}
