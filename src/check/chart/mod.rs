//! Pictures of programs for people, whoever made the program.
//!
//! A chart is no picture of instructions. All tests of one word that follow each other are one box, with a row for each
//! place that they lead to: the numbers that get there by their names, and the action where it ends. So a search tree over
//! three hundred numbers is a list that can be read, and what is left to be followed are the checks of arguments.

mod build;
mod dot;
mod label;
mod layout;
mod ranges;
mod svg;

use crate::arch::Arch;
use crate::bpf::{Endian, Program};
use alloc::string::String;
use alloc::vec::Vec;
use thiserror::Error;

/// A picture of what a program decides; made by [`chart`].
///
/// See the example of [`chart`](chart()).
#[derive(Clone, Debug)]
#[must_use]
pub struct Chart {
    title: String,
    /// What the program begins with.
    root: Target,
    /// Boxes; rows lead to later ones only.
    boxes: Vec<Node>,
}

/// A box: what is looked at, and what follows from it.
#[derive(Clone, Debug)]
struct Node {
    /// Which calls come here, if it is not plain.
    calls: Vec<&'static str>,
    title: String,
    rows: Vec<Row>,
}

/// What leads to one place.
#[derive(Clone, Debug)]
struct Row {
    text: String,
    target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// The end: the words for it, and its colour.
    End(String, Colour),
    /// A box, by index.
    Box(usize),
}

/// What an action does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    Allowed,
    Logged,
    Asked,
    Failed,
    Killed,
    Unknown,
}

/// Why there is no picture.
///
/// See the example of [`chart`](chart()).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChartError {
    /// The program has more distinct decisions than anybody could look at.
    #[error("the picture would have more than {limit} {of}; take the listing instead")]
    TooLarge {
        /// How many there may be.
        limit: usize,
        /// Of what.
        of: &'static str,
    },
}

/// Makes a picture of a program. The byte order tells which half of an argument an offset means. Where a program does not
/// compare the architecture, numbers get the names that they have on `assumed`.
///
/// ```
/// use callsieve::arch::Arch;
/// use callsieve::{Compiler, Profile, Target, check};
///
/// let policy = Profile::container_default()?.resolve(&Target::exactly(&[Arch::X86_64]))?;
/// let filter = Compiler::new().compile(&policy)?;
/// let chart = check::chart("my filter", filter.program(), filter.endian(), Arch::X86_64)?;
/// assert!(chart.to_dot().starts_with("digraph"));
/// std::fs::write(std::env::temp_dir().join("filter.svg"), chart.to_svg())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ChartError::TooLarge`] for programs of thousands of tests of different words.
pub fn chart(title: &str, program: &Program, endian: Endian, assumed: Arch) -> Result<Chart, ChartError> {
    let (root, boxes) = build::build(program, endian, assumed)?;
    Ok(Chart { title: title.into(), root, boxes })
}

impl Chart {
    /// The picture in the language of Graphviz, for `dot -Tsvg`.
    pub fn to_dot(&self) -> String {
        dot::write(self)
    }

    /// The picture as SVG, laid out without Graphviz.
    pub fn to_svg(&self) -> String {
        svg::write(self)
    }
}

impl Colour {
    /// The background, light enough for black text.
    const fn fill(self) -> &'static str {
        match self {
            Self::Allowed => "#d5efd0",
            Self::Logged => "#eef3c4",
            Self::Asked => "#d3e4f7",
            Self::Failed => "#fbe3c5",
            Self::Killed => "#f6cbc7",
            Self::Unknown => "#e4e4e4",
        }
    }
}

/// The background of rows that lead on, and of titles.
const ROW_FILL: &str = "#ffffff";
const TITLE_FILL: &str = "#e8eaf0";
/// Where the texts of rows are broken, in characters.
const TEXT_WIDTH: usize = 84;

/// Breaks a text between words.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count().saturating_add(word.chars().count()) < TEXT_WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

/// Text for XML and for the labels of Graphviz, which share these entities.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // Neither language has these.
            control if control.is_control() => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.
mod tests;
