//! A graph to look at: text and DOT.

use super::{Built, Graph, Node, NodeId, Piece};
use crate::bpf::Answer;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

impl fmt::Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in self.graph.reachable(self.root) {
            match self.graph.node(id) {
                Node::Return(raw) => writeln!(f, "n{}: {}", id.index(), Answer(*raw))?,
                Node::Mask { word, mask, value, yes, no } => {
                    let (id, yes, no) = (id.index(), yes.index(), no.index());
                    writeln!(f, "n{id}: {word} & {mask:#x} == {value:#x} ? n{yes} : n{no}")?;
                }
                Node::Switch { word, pieces } => {
                    writeln!(f, "n{}: {word}", id.index())?;
                    for (piece, last) in ends(pieces) {
                        writeln!(f, "  {} -> n{}", Interval(piece.start, last), piece.to.index())?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Built {
    /// A picture in the DOT language of Graphviz.
    pub(crate) fn to_dot(&self) -> String {
        let mut out = String::from("digraph policy {\n  node [shape=box, fontname=monospace];\n");
        // Writing to a string cannot fail.
        let _ = self.dot(&mut out);
        out.push_str("}\n");
        out
    }

    fn dot(&self, out: &mut String) -> fmt::Result {
        for id in self.graph.reachable(self.root) {
            let from = id.index();
            match self.graph.node(id) {
                Node::Return(raw) => writeln!(out, "  n{from} [label=\"{}\", style=rounded];", Answer(*raw))?,
                Node::Mask { word, mask, value, yes, no } => {
                    writeln!(out, "  n{from} [label=\"{word} & {mask:#x} == {value:#x}\"];")?;
                    writeln!(out, "  n{from} -> n{} [label=\"yes\"];", yes.index())?;
                    writeln!(out, "  n{from} -> n{} [label=\"no\"];", no.index())?;
                }
                Node::Switch { word, pieces } => {
                    writeln!(out, "  n{from} [label=\"{word}\"];")?;
                    for (to, label) in labels(pieces)? {
                        writeln!(out, "  n{from} -> n{} [label=\"{label}\"];", to.index())?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Intervals that lead to one node, on one edge.
fn labels(pieces: &[Piece]) -> Result<Vec<(NodeId, String)>, fmt::Error> {
    let mut edges: Vec<(NodeId, String, usize)> = Vec::new();
    for (piece, last) in ends(pieces) {
        let interval = Interval(piece.start, last);
        if let Some((_, label, count)) = edges.iter_mut().find(|edge| edge.0 == piece.to) {
            *count += 1;
            // About ten to a line.
            let gap = if count.is_multiple_of(10) { "\\n" } else { " " };
            write!(label, "{gap}{interval}")?;
        } else {
            let mut label = String::new();
            write!(label, "{interval}")?;
            edges.push((piece.to, label, 1));
        }
    }
    Ok(edges.into_iter().map(|(to, label, _)| (to, label)).collect())
}

/// Each piece with its last value.
fn ends(pieces: &[Piece]) -> impl Iterator<Item = (&Piece, u32)> {
    let next = pieces.iter().skip(1).map(|piece| piece.start - 1).chain([u32::MAX]);
    pieces.iter().zip(next)
}

struct Interval(u32, u32);

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self(first, last) = self;
        let one = |f: &mut fmt::Formatter<'_>, value: u32| {
            if value < 0x1_0000 { write!(f, "{value}") } else { write!(f, "{value:#x}") }
        };
        one(f, first)?;
        if first != last {
            f.write_str("-")?;
            one(f, last)?;
        }
        Ok(())
    }
}

impl Graph {
    /// The nodes below and including a root, parents first.
    pub(crate) fn reachable(&self, root: NodeId) -> Vec<NodeId> {
        let mut seen = alloc::vec![false; self.len()];
        seen[root.index()] = true;
        let mut order = Vec::new();
        // Children have smaller ids, so one pass downwards meets every parent first.
        for (id, node) in (0..=root.0).rev().map(NodeId).map(|id| (id, self.node(id))) {
            if !seen[id.index()] {
                continue;
            }
            order.push(id);
            match node {
                Node::Return(_) => {}
                Node::Mask { yes, no, .. } => {
                    seen[yes.index()] = true;
                    seen[no.index()] = true;
                }
                Node::Switch { pieces, .. } => pieces.iter().for_each(|piece| seen[piece.to.index()] = true),
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Built, Word};
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn intervals_by_their_size() {
        for (first, last, expected) in [
            (3, 3, "3"),
            (0, 0xffff, "0-65535"),
            (0x1_0000, 0x1_0000, "0x10000"),
            (0xffff, u32::MAX, "65535-0xffffffff"),
        ] {
            assert_eq!(Interval(first, last).to_string(), expected);
        }
    }

    #[test]
    fn a_picture_with_one_edge_to_each_node() {
        let mut graph = Graph::default();
        let (no, yes) = (graph.ret_raw(0), graph.ret_raw(0x7fff_0000));
        let bit = graph.mask(Word::Low(0), (4, 4), yes, no);
        let pieces = (0..26).map(|start| Piece { start, to: if start % 2 == 0 { no } else { bit } });
        let root = graph.switch(Word::Nr, &pieces.collect::<Vec<_>>());
        let numbers = |from: u32| (0..9).map(|at| (from + 2 * at).to_string()).collect::<Vec<_>>().join(" ");
        let expected = format!(
            "digraph policy {{\n  node [shape=box, fontname=monospace];\n  n3 [label=\"nr\"];\n  n3 -> n0 \
             [label=\"{}\\n18 20 22 24\"];\n  n3 -> n2 [label=\"{}\\n19 21 23 25-0xffffffff\"];\n  n2 [label=\"arg0 & 0x4 == \
             0x4\"];\n  n2 -> n1 [label=\"yes\"];\n  n2 -> n0 [label=\"no\"];\n  n1 [label=\"ALLOW\", style=rounded];\n  \
             n0 [label=\"KILL_THREAD\", style=rounded];\n}}\n",
            numbers(0),
            numbers(1)
        );
        assert_eq!(Built { graph, root, arches: Vec::new(), chained: 0, orders: false }.to_dot(), expected);
    }
}
