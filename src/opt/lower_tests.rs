//! Code against the graph that it was made of, and how much was searched for it.

use super::*;
use crate::graph::Graph;
use crate::opt::fold::BIT;

/// Only range tests, so that the states of a search are the windows of its runs.
const RANGES: Params = Params { few: 0, few_values: 0, heavy: 0, bit_runs: 0, ..Params::DEFAULT };

fn windows(runs: usize) -> usize {
    runs * (runs + 1) / 2
}

/// What a word is in a call in which all are the same but the number.
fn word(word: Word, nr: u32, other: u32) -> u32 {
    if word == Word::Nr { nr } else { other }
}

fn of_graph(graph: &Graph, root: NodeId, nr: u32, other: u32) -> u32 {
    let mut at = root;
    loop {
        at = match graph.node(at) {
            Node::Return(raw) => return *raw,
            Node::Mask { word: of, mask, value, yes, no } => {
                if word(*of, nr, other) & mask == *value {
                    *yes
                } else {
                    *no
                }
            }
            Node::Switch { word: of, pieces } => {
                let value = word(*of, nr, other);
                pieces.iter().rfind(|piece| piece.start <= value).map_or(root, |piece| piece.to)
            }
        }
    }
}

fn of_code(code: &Code, root: CodeId, nr: u32, other: u32) -> u32 {
    let (mut at, mut held) = (root, 0);
    loop {
        at = match code.step(at) {
            Step::Return(raw) => return raw,
            Step::Load(of, next) => {
                held = if of == Input::Nr { nr } else { other };
                next
            }
            Step::And { mask, next, .. } => {
                held &= mask;
                next
            }
            Step::Test { op, k, yes, no, .. } => {
                if op.holds(held, k) {
                    yes
                } else {
                    no
                }
            }
        }
    }
}

/// Starts at which two nodes take turns.
fn turns(start: u32, many: u32, nodes: [NodeId; 2]) -> impl Iterator<Item = Piece> {
    (0..many).map(move |x| Piece { start: start + x, to: nodes[x as usize % 2] })
}

fn lowered(graph: Graph, root: NodeId, params: Params) -> (Built, Lowered) {
    let built = Built { graph, root, arches: Vec::new(), chained: 0, orders: false };
    let lowered = lower(&built, &[], params);
    for start in [0, BIT, 2 * BIT, 3 * BIT] {
        for other in [0, 1, 4, 5, u32::MAX] {
            for nr in start..start + 50 {
                let wanted = of_graph(&built.graph, root, nr, other);
                assert_eq!(of_code(&lowered.code, lowered.root, nr, other), wanted, "{nr:#x} {other}");
            }
        }
    }
    (built, lowered)
}

fn cuts(lowered: &Lowered) -> bool {
    lowered.code.reachable(lowered.root).into_iter().any(|id| matches!(lowered.code.step(id), Step::And { .. }))
}

/// Bit 30 is cut off only if nobody asks for it later.
#[test]
fn who_looks_at_the_number_again_sees_all_of_it() {
    for (at, folds) in [(0, true), (1, false), (2, false), (3, false), (4, false), (5, false), (6, true), (7, true)] {
        let mut graph = Graph::default();
        let [yes, no] = [1, 2].map(|raw| graph.ret_raw(raw));
        let other = Word::Low(1);
        // Nothing that the number has decided before, as far as the graph knows.
        let again = graph.mask(Word::Nr, (BIT, BIT), yes, no);
        let later = match at {
            0 => yes,
            1 => again,
            2 => graph.mask(other, (4, 4), again, no),
            3 => graph.mask(other, (4, 4), yes, again),
            4 => graph.within(Word::Nr, (3, BIT + 3), yes, no),
            5 => graph.within(other, (4, 4), again, no),
            6 => graph.within(other, (4, 4), yes, no),
            _ => graph.mask(other, (4, 4), yes, no),
        };
        let third = graph.ret_raw(3);
        let pieces: Vec<_> = turns(0, 40, [later, third]).chain(turns(BIT, 40, [later, third])).collect();
        let pieces = [pieces, Vec::from([Piece { start: 2 * BIT, to: later }])].concat();
        let root = graph.switch(Word::Nr, &pieces);
        let (_, lowered) = lowered(graph, root, Params::default());
        assert_eq!(cuts(&lowered), folds, "{at}");
    }
}

/// No argument is a number of x32.
#[test]
fn only_numbers_are_folded() {
    for (word, folds) in [(Word::Nr, true), (Word::Low(0), false), (Word::Arch, false)] {
        let mut graph = Graph::default();
        let nodes = [1, 2].map(|raw| graph.ret_raw(raw));
        let pieces: Vec<_> = turns(0, 40, nodes).chain(turns(BIT, 40, nodes)).collect();
        let root = graph.switch(word, &pieces);
        assert_eq!(cuts(&lowered(graph, root, Params::default()).1), folds, "{word:?}");
    }
}

#[test]
fn what_was_searched_is_counted() {
    let states = |word: Word, starts: &[(u32, u32)], params: Params| {
        let mut graph = Graph::default();
        let pieces: Vec<_> = starts.iter().map(|&(start, raw)| Piece { start, to: graph.ret_raw(raw) }).collect();
        let root = graph.switch(word, &pieces);
        lowered(graph, root, params).1.states
    };
    let in_turn = |start: u32, many: u32| (0..many).map(move |x| (start + x, x % 3));
    let plain: Vec<_> = in_turn(0, 40).collect();
    for word in [Word::Nr, Word::Arch, Word::Low(0)] {
        assert_eq!(states(word, &plain, RANGES), windows(40));
        // Larger ones are split without a search.
        assert_eq!(states(word, &plain, Params { max_runs: 40, ..RANGES }), windows(40));
        assert_eq!(states(word, &plain, Params { max_runs: 39, ..RANGES }), 0);
    }
    // Small ones are searched more closely: four groups are not left, but six are.
    let sets = Params { few: 2, few_values: 2, ..RANGES };
    assert_eq!(states(Word::Nr, &plain[..30], sets), windows(30));
    assert_eq!(states(Word::Low(0), &plain[..30], sets), windows(30));
    assert!(states(Word::Nr, &plain[..29], sets) > windows(29));
    assert!(states(Word::Low(0), &plain[..29], sets) > windows(29));
    // What is folded is searched twice: below and above bit 30, and where these differ.
    let upper = in_turn(BIT, 40).map(|(start, raw)| (start, if start == BIT + 20 { 7 } else { raw }));
    let twice: Vec<_> = in_turn(0, 40).chain(upper).chain([(2 * BIT, 1)]).collect();
    let all = 42;
    assert_eq!(states(Word::Nr, &twice, RANGES), windows(all) + windows(3));
    assert_eq!(states(Word::Nr, &twice, Params { max_runs: all, ..RANGES }), windows(all) + windows(3));
    assert_eq!(states(Word::Nr, &twice, Params { max_runs: all - 1, ..RANGES }), 0);
    // Values of personality(2): the cube is searched as well.
    let cube = [(0, 1), (1, 2), (8, 1), (9, 2), (0x20000, 1), (0x20001, 2), (0x20008, 1), (0x20009, 2), (u32::MAX, 1)];
    assert_eq!(states(Word::Low(0), &cube, RANGES), windows(9) + windows(2));
}
