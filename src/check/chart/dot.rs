//! A chart for Graphviz.

use super::{Chart, Node, ROW_FILL, TITLE_FILL, Target, escaped, lines};
use alloc::string::String;
use core::fmt::Write;

pub(super) fn write(chart: &Chart) -> String {
    let mut text = String::from("digraph filter {\n");
    let _ = writeln!(text, "  label=\"{}\"; labelloc=t; rankdir=LR; ranksep=1.2; nodesep=0.3;", escaped(&chart.title));
    text.push_str(
        "  node [shape=plain, fontname=\"monospace\", fontsize=11];\n  edge [arrowsize=0.7, color=\"#606880\"];\n",
    );
    if let Target::End(words, colour) = &chart.root {
        let fill = colour.fill();
        let _ = writeln!(text, "  n0 [shape=box, style=filled, fillcolor=\"{fill}\", label=\"{}\"];", escaped(words));
    }
    for (index, node) in chart.boxes.iter().enumerate() {
        let _ = writeln!(text, "  n{index} [label=<{}>];", table(node));
        for (row, next) in node.rows.iter().enumerate().filter_map(|(row, line)| match line.target {
            Target::Box(next) => Some((row, next)),
            Target::End(..) => None,
        }) {
            let _ = writeln!(text, "  n{index}:r{row}:e -> n{next}:t:w;");
        }
    }
    text.push_str("}\n");
    text
}

fn table(node: &Node) -> String {
    let mut text =
        String::from("<TABLE BORDER=\"0\" CELLBORDER=\"1\" CELLSPACING=\"0\" CELLPADDING=\"4\" COLOR=\"#606880\">");
    let _ = write!(text, "\n    <TR><TD PORT=\"t\" COLSPAN=\"2\" ALIGN=\"LEFT\" BGCOLOR=\"{TITLE_FILL}\">");
    for line in super::layout::heading(node) {
        let _ = write!(text, "<B>{}</B><BR ALIGN=\"LEFT\"/>", escaped(&line));
    }
    text.push_str("</TD></TR>");
    for (index, row) in node.rows.iter().enumerate() {
        let (fill, words) = match &row.target {
            Target::End(words, colour) => (colour.fill(), words.as_str()),
            Target::Box(_) => (ROW_FILL, "→"),
        };
        let _ = write!(text, "\n    <TR><TD ALIGN=\"LEFT\" BALIGN=\"LEFT\" BGCOLOR=\"{fill}\">");
        for line in lines(&row.text) {
            let _ = write!(text, "{}<BR ALIGN=\"LEFT\"/>", escaped(&line));
        }
        let _ = write!(text, "</TD><TD PORT=\"r{index}\" BGCOLOR=\"{fill}\">{}</TD></TR>", escaped(words));
    }
    text.push_str("</TABLE>");
    text
}
