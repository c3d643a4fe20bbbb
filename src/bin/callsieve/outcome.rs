//! What a subcommand hands back, and how it reaches the user.
//!
//! A subcommand builds its whole result first. So a failure leaves standard output empty, and a result that fails half
//! way cannot be mistaken for a complete one.

use serde_json::Value;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

/// Something was found: a difference, a doubtful place, a denial.
pub const FOUND: u8 = 1;
/// The input or the arguments cannot be used.
pub const UNUSABLE: u8 = 2;

/// A result for standard output, and the exit status.
#[derive(Debug, Default)]
pub struct Done {
    pub output: Vec<u8>,
    pub status: u8,
}

impl Done {
    /// A text with exit status 0.
    pub fn text(text: impl Into<String>) -> Self {
        Self { output: text.into().into_bytes(), status: 0 }
    }

    /// A JSON value with exit status 0.
    pub fn json(value: &Value) -> Self {
        Self::text(format!("{}\n", pretty(value)))
    }

    /// The same with [`FOUND`] as the exit status if something was found.
    pub fn found(self, found: bool) -> Self {
        Self { status: if found { FOUND } else { self.status }, ..self }
    }
}

/// Why there is no result: a message without prefix, and the exit status.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub status: u8,
}

impl Failure {
    /// Unusable input or arguments.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: UNUSABLE }
    }

    /// With another exit status.
    pub fn status(self, status: u8) -> Self {
        Self { status, ..self }
    }
}

/// What every subcommand returns.
pub type Outcome = Result<Done, Failure>;

/// Writes the result or the message, and gives the exit status.
pub fn finish(outcome: Outcome) -> ExitCode {
    let status = match outcome {
        Ok(done) => print(&done.output, done.status),
        Err(failure) => {
            complain(&failure.message);
            failure.status
        }
    };
    ExitCode::from(status)
}

/// Writes to standard output. A reader that has gone away (`| head`) is no error.
pub fn print(output: &[u8], status: u8) -> u8 {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(output).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("cannot write to standard output: {}", reason(&error)));
            UNUSABLE
        }
        _ => status,
    }
}

/// Writes a message to standard error. Nothing can be done if that fails.
pub fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "callsieve: {}", message.trim_end());
}

/// The words of an I/O error in the style of our messages: lower case, without its number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// JSON for machines that people can read as well: a list of plain values stands in one line.
pub fn pretty(value: &Value) -> String {
    let mut text = String::new();
    write_json(&mut text, value, 0);
    text
}

fn write_json(text: &mut String, value: &Value, depth: usize) {
    let line = |depth: usize| format!("\n{}", "  ".repeat(depth));
    match value {
        Value::Array(items) if items.iter().any(|item| item.is_array() || item.is_object()) => {
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "[" } else { "," });
                text.push_str(&line(depth + 1));
                write_json(text, item, depth + 1);
            }
            text.push_str(&line(depth));
            text.push(']');
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(ToString::to_string).collect();
            let _ = write!(text, "[{}]", items.join(", "));
        }
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (key, field)) in fields.iter().enumerate() {
                text.push_str(if index == 0 { "{" } else { "," });
                let _ = write!(text, "{}{}: ", line(depth + 1), Value::from(key.as_str()));
                write_json(text, field, depth + 1);
            }
            text.push_str(&line(depth));
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

/// Where lines are broken.
const WIDTH: usize = 100;

/// Breaks a line between words; what follows is indented further.
pub fn wrap(text: &mut String, line: &str) {
    let indent = line.len() - line.trim_start().len();
    let mut column = indent;
    text.push_str(&line[..indent]);
    for (index, word) in line.split_whitespace().enumerate() {
        if index > 0 && column + 1 + word.len() > WIDTH {
            let _ = write!(text, "\n{:1$}", "", indent + 4);
            column = indent + 4;
        } else if index > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text.push('\n');
}

/// A number with its word, such as `2 warnings`.
pub fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
