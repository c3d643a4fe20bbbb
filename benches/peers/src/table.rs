//! Markdown tables.

use crate::figures::{Figures, Other};
use crate::quoted::Quoted;
use std::fmt::Write;

/// A table under construction.
pub struct Table {
    text: String,
}

impl Table {
    /// A table with these columns.
    pub fn new(columns: &[&str]) -> Self {
        let rule = columns.iter().enumerate().map(|(index, _)| if index == 0 { "---" } else { "---:" });
        let rule: Vec<&str> = rule.collect();
        Self { text: format!("| {} |\n| {} |\n", columns.join(" | "), rule.join(" | ")) }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[String]) {
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
    }

    /// The text, an empty line behind it.
    pub fn finish(self) -> String {
        self.text + "\n"
    }
}

/// Columns of [`figures`] and [`quoted`].
pub const STATIC: [&str; 13] = [
    "generator",
    "insns",
    "eBPF",
    "allowed",
    "known",
    "mix",
    "arg",
    "denied",
    "worst",
    "other ABIs",
    "cached",
    "emulated",
    "same meaning",
];

/// The cells of a program that was made here.
pub fn figures(name: &str, figures: &Figures, meaning: &str) -> Vec<String> {
    let f = figures;
    let other = |other: &Other| format!("{} {} ({})", other.arch, steps(other.known), steps(other.allowed));
    let others: Vec<String> = f.others.iter().map(other).collect();
    let mut cells = vec![name.to_owned(), f.len.to_string(), f.ebpf_len.to_string()];
    cells.extend([f.allowed, f.known, f.mix, f.arg, f.denied].map(steps));
    cells.extend([f.worst.to_string(), others.join(", "), format!("{} of {}", f.cached.0, f.cached.1)]);
    cells.extend([f.emulated.to_string(), meaning.to_owned()]);
    cells
}

/// The cells of figures that were measured elsewhere.
pub fn quoted(row: &Quoted) -> Vec<String> {
    let mean = |value: Option<f64>| value.map_or_else(String::new, steps);
    let mut cells = vec![format!("_{}_", row.generator), row.len.to_string(), String::new()];
    cells.extend([row.allowed, row.known, row.mix, row.arg, row.denied].map(mean));
    let emulated = row.emulated.map_or_else(String::new, |count| count.to_string());
    let meaning = if row.differs { "_quoted; no_" } else { "_quoted_" };
    cells.extend([row.worst.to_string(), String::new(), String::new(), emulated, meaning.to_owned()]);
    cells
}

/// A mean number of steps.
pub fn steps(value: f64) -> String {
    match value {
        value if value.is_nan() => String::new(),
        value if value < 10.0 => format!("{value:.2}"),
        value => format!("{value:.1}"),
    }
}

/// A text as a cell of a table.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
