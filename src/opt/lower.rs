//! The whole graph, from its leaves to its root.

use super::runs::{Run, runs, weigh_numbers, weigh_values};
use super::{Params, cube, search, split};
use crate::code::{Code, CodeId, Held, Input, Op, Shares, Step};
use crate::graph::{Built, Node, NodeId, Piece, Word};
use alloc::vec::Vec;

/// Code for a graph.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) code: Code,
    pub(crate) root: CodeId,
    /// The code of each reachable node, as it is entered with nothing in the accumulator.
    pub(crate) entries: Vec<Option<CodeId>>,
    /// States that the searches visited.
    pub(crate) states: usize,
}

/// Translates a graph. `known` are the weights of calls, in ascending order.
pub(crate) fn lower(built: &Built, known: &[Shares], params: Params) -> Lowered {
    let mut lowering = Lowering {
        built,
        known,
        params,
        code: Code::default(),
        depth: Vec::new(),
        done: alloc::vec![None; built.graph.len()],
        states: 0,
    };
    // Children have smaller ids than their parents.
    for id in built.graph.reachable(built.root).into_iter().rev() {
        let made = lowering.node(id);
        lowering.done[id.index()] = Some(made);
        lowering.measure();
    }
    let Lowering { mut code, done, states, .. } = lowering;
    let mut entries = Vec::with_capacity(done.len());
    for made in done {
        entries.push(made.map(|made| code.enter(None, made)));
    }
    let root = entries[built.root.index()].unwrap_or_else(|| code.ret(crate::bpf::Action::KillProcess));
    Lowered { code, root, entries, states }
}

struct Lowering<'a> {
    built: &'a Built,
    known: &'a [Shares],
    params: Params,
    code: Code,
    /// Longest way below each step.
    depth: Vec<u32>,
    done: Vec<Option<CodeId>>,
    states: usize,
}

impl Lowering<'_> {
    fn node(&mut self, id: NodeId) -> CodeId {
        match self.built.graph.node(id) {
            &Node::Return(action) => self.code.ret(action),
            &Node::Mask { word, mask, value, yes, no } => {
                let (yes, no) = (self.child(yes), self.child(no));
                self.mask(Held::all(input(word)), (mask, value), yes, no)
            }
            Node::Switch { word, pieces } => self.switch(id, *word, pieces),
        }
    }

    fn child(&mut self, id: NodeId) -> CodeId {
        // A child was made before: its id is smaller.
        self.done[id.index()].unwrap_or_else(|| self.code.ret(crate::bpf::Action::KillProcess))
    }

    fn mask(&mut self, held: Held, (mask, value): (u32, u32), yes: CodeId, no: CodeId) -> CodeId {
        if value == 0 {
            return self.code.test(held, (Op::Set, mask), no, yes);
        }
        if mask.is_power_of_two() {
            return self.code.test(held, (Op::Set, mask), yes, no);
        }
        let cut = Held { mask, ..held };
        let test = self.code.test(cut, (Op::Eq, value), yes, no);
        // Whoever comes here has the whole word.
        self.code.cut(held, mask, test)
    }

    fn switch(&mut self, id: NodeId, word: Word, pieces: &[Piece]) -> CodeId {
        let held = Held::all(input(word));
        // Classes are compared by what happens, loads included.
        let mut starts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let child = self.child(piece.to);
            starts.push((piece.start, self.code.enter(Some(held), child)));
        }
        self.measure();
        let mut runs = runs(starts);
        self.weigh(id, word, &mut runs);
        self.tree(held, &runs)
    }

    /// The best tree for weighted runs.
    fn tree(&mut self, held: Held, runs: &[Run]) -> CodeId {
        if runs.len() > self.params.max_runs {
            return split::split(&mut self.code, held, runs);
        }
        if matches!(held.input, Input::Nr | Input::Arch) {
            return self.search(runs, self.params).tree(&mut self.code, held);
        }
        // Values weigh about the same, so heavy ones say nothing.
        let params = Params { heavy: 0, ..self.params };
        let found = self.search(runs, params);
        let Some(cube) = cube::cube(runs) else { return found.tree(&mut self.code, held) };
        let rest = self.search(&cube.rest, params);
        if search::first_test(runs, params) + rest.cost() > found.cost() {
            return found.tree(&mut self.code, held);
        }
        let outside = rest.tree(&mut self.code, held);
        self.code.test(held, (Op::Set, !cube.mask), outside, runs[0].class)
    }

    fn search<'a>(&mut self, runs: &'a [Run], params: Params) -> search::Found<'a> {
        let found = search::search(runs, params);
        self.states += found.states();
        found
    }

    fn weigh(&self, id: NodeId, word: Word, runs: &mut [Run]) {
        match word {
            Word::Arch => {
                let by_token = |&(token, _): &(u32, NodeId)| {
                    let weight = self.of_token(token).iter().map(|share| share.weight).sum();
                    Shares { token, nr: token, weight }
                };
                let tokens: Vec<_> = self.built.arches.iter().map(by_token).collect();
                weigh_numbers(runs, &tokens);
            }
            Word::Nr => {
                // Architectures with the same numbers may share a switch.
                let users = self.built.arches.iter().filter(|arch| arch.1 == id);
                let known: Vec<Shares> = users.flat_map(|arch| self.of_token(arch.0)).copied().collect();
                weigh_numbers(runs, &known);
            }
            Word::Low(_) | Word::High(_) => {
                weigh_values(runs, |class| self.depth.get(class.index()).copied().unwrap_or(0));
            }
        }
    }

    fn of_token(&self, token: u32) -> &[Shares] {
        let start = self.known.partition_point(|share| share.token < token);
        let end = self.known.partition_point(|share| share.token <= token);
        self.known.get(start..end).unwrap_or_default()
    }

    /// Extends the table of depths to all steps.
    fn measure(&mut self) {
        for index in self.depth.len()..self.code.len() {
            let below = |child: CodeId| self.depth.get(child.index()).copied().unwrap_or(0);
            let step = self.code.at(index);
            let longest = step.children().map(below).max().unwrap_or(0);
            self.depth.push(longest + u32::from(!matches!(step, Step::Return(_))));
        }
    }
}

fn input(word: Word) -> Input {
    match word {
        Word::Arch => Input::Arch,
        Word::Nr => Input::Nr,
        Word::Low(arg) => Input::Low(arg),
        Word::High(arg) => Input::High(arg),
    }
}
