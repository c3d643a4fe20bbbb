//! Pictures of filters.

use crate::outcome::{Failure, complain};
use callsieve::arch::Arch;
use callsieve::bpf::{Endian, Program};
use callsieve::check::{Chart, chart};
use clap::ValueEnum;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

/// The language of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Dot,
    Svg,
    PlainSvg,
}

/// Draws a program.
pub fn draw(
    language: Language,
    name: &str,
    program: &Program,
    endian: Endian,
    assumed: Arch,
) -> Result<Vec<u8>, Failure> {
    let chart = chart(name, program, endian, assumed).map_err(|error| Failure::new(format!("{name}: {error}")))?;
    Ok(match language {
        Language::Dot => chart.to_dot().into_bytes(),
        Language::PlainSvg => chart.to_svg().into_bytes(),
        Language::Svg => graphviz(&chart).unwrap_or_else(|| chart.to_svg().into_bytes()),
    })
}

/// The picture as Graphviz lays it out, `None` if it is not there.
fn graphviz(chart: &Chart) -> Option<Vec<u8>> {
    let mut command = Command::new("dot");
    command.arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => return failed(&error.to_string()),
    };
    // Graphviz reads everything before it writes, so this cannot block; if it ends early its status tells.
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(chart.to_dot().as_bytes()));
    match child.wait_with_output() {
        Ok(output) if output.status.success() && written.is_some_and(|written| written.is_ok()) => Some(output.stdout),
        Ok(output) => failed(&output.status.to_string()),
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(why: &str) -> Option<Vec<u8>> {
    complain(&format!("Graphviz failed ({why}), so the picture is laid out without it"));
    None
}
