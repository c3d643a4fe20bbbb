//! `callsieve check`: what is wrong or doubtful in a profile.

mod delta;
mod expect;
mod sarif;

use crate::common::{PROFILE_IS, Source, TargetOptions, Trouble};
use crate::input::{CONTAINER_DEFAULT, Input};
use crate::outcome::{Done, Failure, Outcome, UNUSABLE, count};
use callsieve::check::Linter;
use callsieve::policy::Target;
use callsieve::profile::{Code, Diagnostic, Diagnostics, Example, Profile, Severity, locate};
use callsieve::{CompileError, Compiler};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Print everything that is wrong or doubtful in a profile
///
/// Each finding has its place (a JSON path), a severity and a code that stays the same across releases:
///
///   error    the profile cannot be used
///   warning  the author most likely meant something else
///   note     good to know; nothing needs to change
///
/// What rules mean is not guessed from their text: whether one has an effect, or whether another call gets around it,
/// is decided exactly, with a call that shows it.
///
/// Exit status: 0 nothing, or notes only; 1 errors or warnings; 2 the file cannot be read as a profile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve check profile.json
  callsieve check profile.json --arch aarch64,arm --kernel 5.10
  callsieve check --semantics strict profile.json --json
  callsieve check profile.json --deny warnings --allow eperm-for-new
  callsieve check --explain mux-bypass
  callsieve check profile.json --format sarif > findings.sarif
  callsieve check profile.json --expect profile.expect
  callsieve check profile.json --kernel-delta 5.10..6.12

A file for --expect says in each line what is expected of a call, for all arguments that are not given:
  mount: errno EPERM
  socket(AF_VSOCK): deny
  personality(0xffffffff): allow
  clone(*, 0..4096, ...): allow
  x86/socketcall: errno ENOSYS")]
pub struct Options {
    /// JSON file, - for standard input, or container-default
    #[arg(required_unless_present = "explain")]
    profile: Option<String>,

    /// Make findings of this kind errors; warnings stands for all warnings
    #[arg(long, value_name = "CODE|warnings", value_delimiter = ',', value_parser = deny)]
    deny: Vec<Deny>,

    /// Leave out warnings and notes of this kind
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = code)]
    allow: Vec<Code>,

    /// Say what a code means and what to write instead; without a code, list all of them
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = ALL_CODES, value_parser = explain)]
    #[arg(conflicts_with = "profile")]
    explain: Option<Explain>,

    /// Test the profile: every line of the file says what is expected of a call
    #[arg(long, value_name = "FILE", conflicts_with_all = ["deny", "allow", "format"])]
    expect: Option<String>,

    /// Show how the calls are answered that are new in these kernels: later than A and up to B
    #[arg(long, value_name = "A..B", value_parser = delta::kernels)]
    #[arg(conflicts_with_all = ["deny", "allow", "format", "expect"])]
    kernel_delta: Option<delta::Kernels>,

    /// How findings are written
    #[arg(long, value_enum, default_value_t, conflicts_with = "json")]
    format: Format,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: TargetOptions,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For machines, as --json
    Json,
    /// SARIF 2.1.0, for code hosts
    Sarif,
}

/// What `--explain` without a code stands for.
const ALL_CODES: &str = "all";

#[derive(Clone, Copy, Debug)]
enum Explain {
    All,
    Code(Code),
}

#[derive(Clone, Copy, Debug)]
enum Deny {
    Warnings,
    Code(Code),
}

fn deny(word: &str) -> Result<Deny, String> {
    if word == "warnings" { Ok(Deny::Warnings) } else { code(word).map(Deny::Code) }
}

fn explain(word: &str) -> Result<Explain, String> {
    if word == ALL_CODES { Ok(Explain::All) } else { code(word).map(Explain::Code) }
}

fn code(word: &str) -> Result<Code, String> {
    word.parse().map_err(|_| format!("\"{word}\" is no code of a finding; callsieve check --explain lists them"))
}

pub fn execute(options: &Options) -> Outcome {
    match (options.explain, &options.profile) {
        (Some(Explain::Code(code)), _) => Ok(Done::text(explanation(code))),
        (Some(Explain::All), _) => Ok(Done::text(all_codes())),
        (None, Some(profile)) => match (&options.expect, options.kernel_delta) {
            (Some(file), _) => expect::execute(&options.target.policy(profile)?, file, options.json),
            (_, Some(kernels)) => delta::execute(&options.target.policy(profile)?, kernels, options.json),
            (None, None) => findings(profile, options),
        },
        (None, None) => Err(Failure::new("a profile is missing")),
    }
}

fn findings(path: &str, options: &Options) -> Outcome {
    let (text, read) = if path == CONTAINER_DEFAULT {
        (Profile::container_default_json().into(), options.target.read(path))
    } else {
        let input = Input::read(path, PROFILE_IS)?;
        (String::from_utf8_lossy(&input.bytes).into_owned(), options.target.parse(&input))
    };
    let format = if options.json { Format::Json } else { options.format };
    let source = match read {
        Ok(source) => source,
        // For a machine the findings of a file that is no profile are a result as well.
        Err(Trouble::Profile(_, error)) if format != Format::Text => {
            return Ok(Done { status: UNUSABLE, ..written(path, &text, error.diagnostics(), format) });
        }
        Err(trouble) => return Err(trouble.into()),
    };
    let target = options.target.target()?;
    let found = linter(&source, &target, options).lint(&source.profile, &target);
    let found = found.map_err(|error| Trouble::Resolve(source.name.clone(), error))?;
    let done = written(&source.name, &text, &found, format);
    Ok(done.found(found.worst().is_some_and(|worst| worst > Severity::Note)))
}

fn written(name: &str, text: &str, found: &Diagnostics, format: Format) -> Done {
    match format {
        Format::Text => Done::text(to_text(name, text, found)),
        Format::Json => Done::json(&to_json(text, found)),
        Format::Sarif => Done::json(&sarif::log(name, text, found)),
    }
}

/// A linter that also knows how long the filter becomes.
fn linter(source: &Source, target: &Target, options: &Options) -> Linter {
    let mut linter = options.allow.iter().fold(Linter::new(), |linter, &code| linter.allow(code));
    for deny in &options.deny {
        linter = match deny {
            Deny::Warnings => linter.deny_warnings(),
            Deny::Code(code) => linter.deny(*code),
        };
    }
    let Ok(policy) = source.profile.resolve(target) else { return linter };
    match Compiler::new().compile(&policy) {
        Ok(filter) => linter.filter_size(filter.program().len(), filter.program().ebpf_len()),
        Err(CompileError::TooLarge { len, .. }) => linter.filter_size(len, len),
        // Nothing about the size is known; compile says what is wrong.
        Err(_) => linter,
    }
}

/// A finding as a JSON object.
pub fn entry(found: &Diagnostic) -> Value {
    let mut entry = json!({
        "severity": word(found.severity()),
        "code": found.code().as_str(),
        "path": found.path(),
        "message": found.message(),
        "instead": found.instead(),
    });
    if let Some(example) = found.example() {
        entry["example"] = self::example(example);
    }
    entry
}

/// A call that shows something.
fn example(example: &Example) -> Value {
    let call = &example.call;
    json!({
        "arch": example.arch.to_string(),
        "number": call.nr,
        "name": example.arch.name(call.nr),
        "args": call.args,
        "action": example.action.to_string(),
    })
}

fn to_json(text: &str, found: &Diagnostics) -> Value {
    let placed = |found: &Diagnostic| {
        let mut entry = entry(found);
        if let Some(place) = locate(text, found.path()) {
            (entry["line"], entry["column"]) = (place.line.into(), place.column.into());
        }
        entry
    };
    json!({
        "errors": number(found, Severity::Error),
        "warnings": number(found, Severity::Warning),
        "notes": number(found, Severity::Note),
        "findings": found.iter().map(placed).collect::<Vec<_>>(),
    })
}

fn to_text(name: &str, source: &str, found: &Diagnostics) -> String {
    let mut text = String::new();
    let mut told = BTreeSet::new();
    for one in found {
        let line = locate(source, one.path()).filter(|_| one.path().starts_with('$'));
        let line = line.map_or_else(String::new, |place| format!(" (line {})", place.line));
        let _ =
            writeln!(text, "{}{line}: {} [{}]\n    {}", one.path(), word(one.severity()), one.code(), one.message());
        if let Some(example) = one.example() {
            let _ = writeln!(text, "    example: {example}");
        }
        // Once is enough, and a note asks for nothing.
        if one.severity() > Severity::Note && told.insert(one.instead()) {
            let _ = writeln!(text, "    instead: {}", one.instead());
        }
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

fn explanation(code: Code) -> String {
    let summary = summary(code);
    format!(
        "{code} ({}): {summary}\n\nwhy:\n{}\n\ninstead:\n{}\n",
        word(code.severity()),
        wrapped(code.why()),
        wrapped(code.instead())
    )
}

/// The summary without the marks of documentation.
fn summary(code: Code) -> String {
    code.summary().trim_end_matches('.').replace('`', "")
}

/// Lines of at most 100 characters, indented.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::from(" ")];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines.join("\n")
}

fn all_codes() -> String {
    let mut codes = Code::ALL.to_vec();
    codes.sort_by_key(|code| (std::cmp::Reverse(code.severity()), code.as_str()));
    let mut text = String::new();
    for code in codes {
        let summary = summary(code);
        let _ = writeln!(text, "{:<26} {:<8} {summary}", code.as_str(), word(code.severity()));
    }
    text.push_str("\ncallsieve check --explain CODE says why, and what to write instead\n");
    text
}
