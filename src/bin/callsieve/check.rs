//! `callsieve check`: what is wrong or doubtful in a profile.

use crate::common::{TargetOptions, Trouble};
use crate::outcome::{Done, Outcome, UNUSABLE, count};
use callsieve::policy::ResolveError;
use callsieve::profile::{Diagnostic, Diagnostics, Severity};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;

/// Print everything that is wrong or doubtful in a profile
///
/// Each finding has its place (a JSON path), a severity and a code that stays the same across releases:
///
///   error    the profile cannot be used
///   warning  the author most likely meant something else
///   note     good to know; nothing needs to change
///
/// Exit status: 0 nothing, or notes only; 1 errors or warnings; 2 the file cannot be read as a profile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve check profile.json
  callsieve check profile.json --arch aarch64,arm --kernel 5.10
  callsieve check --semantics strict profile.json --json")]
pub struct Options {
    /// JSON file, - for standard input, or container-default
    profile: String,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: TargetOptions,
}

pub fn execute(options: &Options) -> Outcome {
    let source = match options.target.read(&options.profile) {
        Ok(source) => source,
        // For a machine the findings of a file that is no profile are a result as well.
        Err(Trouble::Profile(_, error)) if options.json => {
            return Ok(Done { status: UNUSABLE, ..Done::json(&to_json(error.diagnostics())) });
        }
        Err(trouble) => return Err(trouble.into()),
    };
    let found = match source.resolve(&options.target.target()?) {
        Ok(policy) => policy.diagnostics().clone(),
        Err(Trouble::Resolve(_, ResolveError::Problems(found))) => found,
        Err(trouble) => return Err(trouble.into()),
    };
    let done = if options.json { Done::json(&to_json(&found)) } else { Done::text(to_text(&source.name, &found)) };
    Ok(done.found(found.worst().is_some_and(|worst| worst > Severity::Note)))
}

/// A finding as a JSON object.
pub fn entry(found: &Diagnostic) -> Value {
    json!({
        "severity": word(found.severity()),
        "code": found.code().as_str(),
        "path": found.path(),
        "message": found.message(),
    })
}

fn to_json(found: &Diagnostics) -> Value {
    json!({
        "errors": number(found, Severity::Error),
        "warnings": number(found, Severity::Warning),
        "notes": number(found, Severity::Note),
        "findings": found.iter().map(entry).collect::<Vec<_>>(),
    })
}

fn to_text(name: &str, found: &Diagnostics) -> String {
    let mut text = String::new();
    for one in found {
        let _ = writeln!(text, "{}: {} [{}]\n    {}", one.path(), word(one.severity()), one.code(), one.message());
    }
    let counts: Vec<_> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (number(found, severity), word(severity)))
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| count(number, word))
        .collect();
    let counts = if counts.is_empty() { "nothing found".to_owned() } else { counts.join(", ") };
    let _ = writeln!(text, "{name}: {counts}");
    text
}

fn number(found: &Diagnostics, severity: Severity) -> usize {
    found.iter().filter(|one| one.severity() == severity).count()
}

/// How a severity is written.
pub fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        _ => "error",
    }
}
