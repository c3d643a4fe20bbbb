//! The whole graph, from its leaves to its root.

use super::fold::{self, Folded};
use super::runs::{Run, runs, split_hot, weigh_numbers, weigh_values};
use super::search::{self, Scale};
use super::{Params, cube, split};
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
        asks_number: alloc::vec![false; built.graph.len()],
        states: 0,
    };
    // Children have smaller ids than their parents.
    for id in built.graph.reachable(built.root).into_iter().rev() {
        lowering.asks_number[id.index()] = lowering.asks_number(id);
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

/// Switches with fewer runs are searched more closely.
const SMALL: usize = 30;

struct Lowering<'a> {
    built: &'a Built,
    known: &'a [Shares],
    params: Params,
    code: Code,
    /// Longest way below each step.
    depth: Vec<u32>,
    done: Vec<Option<CodeId>>,
    /// Whether a node, or any below it, looks at the number.
    asks_number: Vec<bool>,
    states: usize,
}

impl Lowering<'_> {
    fn node(&mut self, id: NodeId) -> CodeId {
        match self.built.graph.node(id) {
            &Node::Return(raw) => self.code.ret_raw(raw),
            &Node::Mask { word, mask, value, yes, no } => {
                let (yes, no) = (self.child(yes), self.child(no));
                self.mask(Held::all(input(word)), (mask, value), yes, no)
            }
            Node::Switch { word, pieces } => self.switch(id, *word, pieces),
        }
    }

    fn asks_number(&self, id: NodeId) -> bool {
        let below = |id: &NodeId| self.asks_number[id.index()];
        match self.built.graph.node(id) {
            Node::Return(_) => false,
            Node::Mask { word, yes, no, .. } => *word == Word::Nr || below(yes) || below(no),
            Node::Switch { word, pieces } => *word == Word::Nr || pieces.iter().any(|piece| below(&piece.to)),
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
        let known = self.known(id, word);
        // Whoever looks at the number again, as foreign programs may, needs all of it.
        if word == Word::Nr
            && !pieces.iter().any(|piece| self.asks_number[piece.to.index()])
            && let Some(folded) = fold::folded(&runs)
        {
            return self.fold(held, folded, &known);
        }
        let numbers = match word {
            Word::Arch => weigh_numbers(&mut runs, &known),
            Word::Nr => {
                split_hot(&mut runs, &known, self.params.hot);
                weigh_numbers(&mut runs, &known)
            }
            Word::Low(_) | Word::High(_) | Word::IpLow | Word::IpHigh => {
                weigh_values(&mut runs, |class| self.depth.get(class.index()).copied().unwrap_or(0));
                Vec::new()
            }
        };
        self.tree(held, &runs, &numbers)
    }

    /// A switch whose numbers with bit 30 mostly do as those without.
    fn fold(&mut self, held: Held, mut folded: Folded, known: &[Shares]) -> CodeId {
        split_hot(&mut folded.all, known, self.params.hot);
        let numbers = weigh_numbers(&mut folded.all, known);
        let upper = known.iter().filter(|share| share.nr & fold::BIT != 0);
        let upper: Vec<_> = upper.map(|share| Shares { nr: share.nr & !fold::BIT, ..*share }).collect();
        let upper_numbers = weigh_numbers(&mut folded.differences, &upper);
        let mut all = core::mem::take(&mut folded.all);
        let params = self.params;
        if all.len().max(folded.differences.len()) > params.max_runs {
            let below = fold::below(&all);
            let base = split::split(&mut self.code, held, &all[..below]);
            let upper = folded.upper(&mut self.code, held, base, |code, runs| split::split(code, held, runs));
            all[below].class = upper;
            return split::split(&mut self.code, held, &all);
        }
        let mut found = search::search(&all, &numbers, params);
        let base = found.part(&mut self.code, held, fold::below(&all), CodeId::LATER);
        let mut states = found.states();
        let upper = folded.upper(&mut self.code, held, base, |code, runs| {
            let mut found = search::search(runs, &upper_numbers, params);
            states += found.states();
            found.tree(code, held)
        });
        self.states += states;
        found.part(&mut self.code, held, all.len(), upper)
    }

    /// The best tree for weighted runs.
    fn tree(&mut self, held: Held, runs: &[Run], numbers: &[(u32, u64)]) -> CodeId {
        if runs.len() > self.params.max_runs {
            return split::split(&mut self.code, held, runs);
        }
        let more = if runs.len() < SMALL { 2 } else { 0 };
        if matches!(held.input, Input::Nr | Input::Arch) {
            let params = Params { few: self.params.few + more, ..self.params };
            return self.search(runs, numbers, params).tree(&mut self.code, held);
        }
        // Values weigh about the same, so heavy ones say nothing.
        let params = Params { heavy: 0, few: self.params.few_values + more, ..self.params };
        let mut found = self.search(runs, &[], params);
        let Some(cube) = cube::cube(runs) else { return found.tree(&mut self.code, held) };
        // In the same units.
        let scale = Scale::of(runs, params);
        let mut rest = search::search_in(scale, &cube.rest, &[], params);
        self.states += rest.states();
        if scale.first_test(runs) + rest.cost() > found.cost() {
            return found.tree(&mut self.code, held);
        }
        let outside = rest.tree(&mut self.code, held);
        self.code.test(held, (Op::Set, !cube.mask), outside, runs[0].class)
    }

    fn search(&mut self, runs: &[Run], numbers: &[(u32, u64)], params: Params) -> search::Found {
        let found = search::search(runs, numbers, params);
        self.states += found.states();
        found
    }

    /// The weights of numbers or architectures at a switch.
    fn known(&self, id: NodeId, word: Word) -> Vec<Shares> {
        match word {
            Word::Arch => {
                let by_token = |&(token, _): &(u32, NodeId)| {
                    let weight = self.of_token(token).iter().map(|share| share.weight).sum();
                    Shares { token, nr: token, weight }
                };
                self.built.arches.iter().map(by_token).collect()
            }
            Word::Nr => {
                // Architectures with the same numbers may share a switch.
                let users = self.built.arches.iter().filter(|arch| arch.1 == id);
                users.flat_map(|arch| self.of_token(arch.0)).copied().collect()
            }
            Word::Low(_) | Word::High(_) | Word::IpLow | Word::IpHigh => Vec::new(),
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
        Word::IpLow => Input::IpLow,
        Word::IpHigh => Input::IpHigh,
    }
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
