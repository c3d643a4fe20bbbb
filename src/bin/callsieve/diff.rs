//! `callsieve diff`: exactly what is different between two profiles or filters.

use crate::common::TargetOptions;
use crate::input::CONTAINER_DEFAULT;
use crate::outcome::{Done, Failure, Outcome, count, wrap};

#[cfg(target_os = "linux")]
use crate::process::ProcessOptions;
use crate::simulate::called;
use crate::subject::{Opened, What};
use crate::values;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::check::{CallSet, Change, Diff, Direction, Equality, Judge, Word};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fatal {
    /// B lets something pass that A does not
    Looser,
    /// B stops something that A lets pass
    Stricter,
    /// Anything is different
    Any,
}

/// Show exactly what is different between two profiles or filters
///
/// Compares over every possible call, and prints for each ABI and call the arguments that are answered differently, with
/// both answers, an example call that was tried on both, and a direction: looser (B is less restrictive), stricter, or
/// other (the same action with another number). Prints nothing if they are equal.
///
/// Answers are compared as the kernel acts on them. If B is container-default, the last line says whether A is stricter
/// or looser than that. Beside a JSON file container-default is read as a file is: with conditions as written, see
/// --arg-width.
///
/// Exit status: 0 equal, or nothing of what --fail-if names; 1 different; 2 unusable input or arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve diff old.json new.json
  callsieve diff old.json new.json --fail-if looser        for CI: only what lets more pass
  callsieve diff profile.json container-default            stricter or looser than the default?
  callsieve diff profile.json filter.bpf --arch s390x
  callsieve diff --pid 1234 profile.json                   does the process have the filters that it should have?
  callsieve diff pid:1234 container:web                    a process or container may also stand for A and B")]
pub struct Options {
    /// JSON file, - for standard input, container-default, or a raw filter
    #[arg(value_name = "A")]
    old: String,

    /// The same, to compare with
    #[arg(value_name = "B")]
    #[cfg_attr(target_os = "linux", arg(required_unless_present_any = ["pid", "container"], conflicts_with_all = ["pid", "container"]))]
    #[cfg_attr(not(target_os = "linux"), arg(required = true))]
    new: Option<String>,

    /// The differences that give exit status 1
    #[arg(long, value_enum, value_name = "DIRECTION", default_value = "any")]
    fail_if: Fatal,

    /// Compare returned values bit by bit, also where the kernel acts alike
    #[arg(long)]
    bitwise: bool,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[cfg(target_os = "linux")]
    #[command(flatten)]
    process: ProcessOptions,

    #[command(flatten)]
    target: TargetOptions,
}

/// A and B; a process takes the place of A.
fn open(options: &Options) -> Result<[Opened; 2], Failure> {
    #[cfg(target_os = "linux")]
    if let Some(process) = options.process.read()? {
        return Ok([options.target.process(&process)?, options.target.open(&options.old)?]);
    }
    let new = options.new.as_deref().unwrap_or_default();
    Ok([options.target.open(&options.old)?, options.target.open(new)?])
}

pub fn execute(options: &Options) -> Outcome {
    if options.old == "-" && options.new.as_deref() == Some("-") {
        return Err(Failure::new("A and B are both -; only one of them can come on standard input"));
    }
    let sides = options.sides()?;
    let equality = if options.bitwise { Equality::Bitwise } else { Equality::Kernel };
    let [old, new] = [&sides[0], &sides[1]].map(Opened::subject);
    let diff = Judge::new().equality(equality).diff(&old, &new);
    let diff = diff.map_err(|error| Failure::new(format!("{} and {}: {error}", sides[0].name, sides[1].name)))?;
    let lines = lines(&diff);
    for line in &lines {
        line.confirm(&sides)?;
    }
    let failed = match options.fail_if {
        Fatal::Looser => diff.has(Direction::Looser),
        Fatal::Stricter => diff.has(Direction::Stricter),
        Fatal::Any => !diff.is_empty(),
    };
    let done = if options.json { Done::json(&to_json(&lines)) } else { Done::text(to_text(&lines, &sides)) };
    Ok(done.found(failed))
}

impl Options {
    /// Both sides. A file and container-default are read alike, or every difference would be one of reading.
    fn sides(&self) -> Result<[Opened; 2], Failure> {
        let mut sides = open(self)?;
        let is_file = |side: &Opened| side.name != CONTAINER_DEFAULT && matches!(side.what, What::Policy(_));
        if sides.iter().any(is_file) {
            for side in sides.iter_mut().filter(|side| side.name == CONTAINER_DEFAULT) {
                *side = self.target.as_files().open(CONTAINER_DEFAULT)?;
            }
        }
        Ok(sides)
    }
}

/// Names that are shown of the calls that get the default action.
const SHOWN: usize = 8;

/// One difference of the calls of one ABI, or of other architectures in general.
struct Line<'a> {
    calls: &'a CallSet,
    change: &'a Change,
    /// `None` for other architectures in general.
    arch: Option<Arch>,
    names: Vec<&'static str>,
    /// Whether numbers without a name are concerned.
    unnamed: bool,
    example: SyscallData,
}

fn lines(diff: &Diff) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for group in diff.groups() {
        let calls = group.calls();
        let arches: Vec<_> = if calls.is_open() { vec![None] } else { calls.arches().map(Some).collect() };
        for arch in arches {
            lines.extend(group.changes().iter().map(|change| Line::new(calls, change, arch)));
        }
    }
    lines.sort_by_key(|line| (line.arch.is_none(), line.arch, line.change.direction(), line.names.first().copied()));
    lines
}

impl<'a> Line<'a> {
    fn new(calls: &'a CallSet, change: &'a Change, arch: Option<Arch>) -> Self {
        let mut named: Vec<_> = arch.into_iter().flat_map(|arch| calls.named(arch)).collect();
        named.sort_by_key(|&(_, name)| name);
        let unnamed = arch.and_then(|arch| calls.unnamed(arch));
        let first = calls.first();
        let (token, nr) = match (arch, named.first(), &unnamed) {
            (Some(arch), Some(&(nr, _)), _) => (arch.audit(), nr),
            (Some(arch), None, Some(gaps)) => (arch.audit(), gaps.first().map_or(first.1, |gap| *gap.start())),
            (Some(arch), None, None) => (arch.audit(), first.1),
            // One that has a name says more than the number of the token.
            (None, ..) => (calls.arches().next().map_or(first.0, Arch::audit), first.1),
        };
        Self {
            calls,
            change,
            arch,
            names: named.into_iter().map(|(_, name)| name).collect(),
            unnamed: arch.is_some() && unnamed.is_none_or(|gaps| !gaps.is_empty()),
            example: change.example(token, nr),
        }
    }

    /// Runs both sides on the example.
    fn confirm(&self, sides: &[Opened; 2]) -> Result<(), Failure> {
        let answers = [&sides[0], &sides[1]].map(|side| side.subject().answer(&self.example));
        if answers == self.change.actions() {
            return Ok(());
        }
        let call = &self.example;
        Err(Failure::new(format!("internal error: {call:x?} is not answered as the difference says, please report it")))
    }

    fn has_64bit_args(&self) -> bool {
        self.arch.is_none_or(Arch::has_64bit_args)
    }

    fn conditions(&self) -> Vec<String> {
        self.change.conditions().iter().map(|condition| condition.words(self.has_64bit_args())).collect()
    }

    /// The answers before and after.
    fn answers(&self) -> [String; 2] {
        self.change.raw().map(|raw| {
            let action = Action::as_kernel(raw);
            let words = self.arch.map_or_else(|| action.to_string(), |arch| values::action_words(action, arch));
            if action.to_raw() == raw { words } else { format!("{raw:#010x} (acts as {words})") }
        })
    }

    fn whose(&self) -> String {
        let mut whose = match self.names.get(..SHOWN) {
            // What is not named by any rule: nobody would read the list.
            Some(some) if self.unnamed && self.names.len() > 3 * SHOWN => {
                format!("{} and {} more calls", some.join(", "), self.names.len() - SHOWN)
            }
            _ => self.names.join(", "),
        };
        if self.arch.is_none() {
            let numbers = self.calls.numbers();
            return if numbers.is_all() { "every call".to_owned() } else { numbers.words("number") };
        }
        if self.unnamed {
            whose.push_str(if self.names.is_empty() {
                "numbers without a name"
            } else {
                " and numbers without a name"
            });
        }
        whose
    }

    /// The example as a call, with its arguments as far as they are told.
    fn example(&self) -> String {
        let arch = self.arch.or_else(|| Arch::ALL.into_iter().find(|arch| arch.audit() == self.example.arch));
        let told = self.change.conditions().iter().filter_map(|condition| match condition.word() {
            Word::Argument(arg) => Some(usize::from(arg) + 1),
            _ => None,
        });
        let args = self.example.args.iter().take(told.max().unwrap_or(0)).map(|&value| values::shown(value));
        let args = args.collect::<Vec<_>>().join(", ");
        let name = match arch {
            Some(arch) => called(arch, self.example.nr),
            None => format!("call {}", values::shown(self.example.nr.into())),
        };
        let place = match (self.arch, arch) {
            (Some(_), _) => String::new(),
            (None, Some(arch)) => format!(" on {arch}"),
            (None, None) => format!(" on architecture {:#x}", self.example.arch),
        };
        let ip = match self.example.instruction_pointer {
            0 => String::new(),
            ip => format!(" at {ip:#x}"),
        };
        format!("{name}({args}){place}{ip}")
    }
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Looser => "looser",
        Direction::Stricter => "stricter",
        _ => "other",
    }
}

fn to_text(lines: &[Line<'_>], sides: &[Opened; 2]) -> String {
    // ABIs that differ alike stand together.
    let mut blocks: Vec<(Vec<String>, String)> = Vec::new();
    for alike in lines.chunk_by(|one, other| one.arch == other.arch) {
        let mut text = String::new();
        for line in alike {
            write_line(&mut text, line);
        }
        let arch = alike.first().and_then(|line| line.arch);
        let arch = arch.map_or_else(|| "other architectures".to_owned(), |arch| arch.to_string());
        match blocks.iter_mut().find(|(_, block)| *block == text) {
            Some((arches, _)) => arches.push(arch),
            None => blocks.push((vec![arch], text)),
        }
    }
    let mut text = String::new();
    for (arches, block) in &blocks {
        let _ = write!(text, "{}:\n{block}", arches.join(", "));
    }
    if !lines.is_empty() {
        summarise(&mut text, lines, sides);
    }
    text
}

fn write_line(text: &mut String, line: &Line<'_>) {
    let conditions = line.conditions();
    let when = if conditions.is_empty() { String::new() } else { format!(" if {}", conditions.join(" and ")) };
    let [old, new] = line.answers();
    wrap(text, &format!("  {}: {}{when}: {old} -> {new}", word(line.change.direction()), line.whose()));
    wrap(text, &format!("    for example {}", line.example()));
}

/// How far it goes in each direction, in one line.
fn summarise(text: &mut String, lines: &[Line<'_>], sides: &[Opened; 2]) {
    let [old, new] = [&sides[0].name, &sides[1].name];
    let about_default = new == CONTAINER_DEFAULT && old != CONTAINER_DEFAULT;
    let parts = [Direction::Looser, Direction::Stricter, Direction::Other].into_iter().filter_map(|direction| {
        let extent = extent(lines, direction)?;
        Some(match (direction, about_default) {
            (Direction::Looser, false) | (Direction::Stricter, true) => format!("looser in {extent}"),
            (Direction::Stricter, false) | (Direction::Looser, true) => format!("stricter in {extent}"),
            _ => format!("with another number in {extent}"),
        })
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort();
    let (who, than) = if about_default { (old, new) } else { (new, old) };
    wrap(text, &format!("{who} compared with {than}: {}", parts.join(", ")));
}

/// The calls that differ in a direction, counted; `None` if there are none.
fn extent(lines: &[Line<'_>], direction: Direction) -> Option<String> {
    let own: Vec<_> = lines.iter().filter(|line| line.change.direction() == direction).collect();
    let names: BTreeSet<_> = own.iter().flat_map(|line| &line.names).collect();
    let mut parts = Vec::new();
    if !names.is_empty() {
        parts.push(count(names.len(), "call"));
    }
    if own.iter().any(|line| line.unnamed) {
        parts.push("numbers without a name".to_owned());
    }
    if own.iter().any(|line| line.arch.is_none()) {
        parts.push("other architectures".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(" and "))
}

fn to_json(lines: &[Line<'_>]) -> Value {
    let count = |direction| lines.iter().filter(|line| line.change.direction() == direction).count();
    json!({
        "equal": lines.is_empty(),
        "looser": count(Direction::Looser),
        "stricter": count(Direction::Stricter),
        "other": count(Direction::Other),
        "differences": lines.iter().map(line_json).collect::<Vec<_>>(),
    })
}

fn line_json(line: &Line<'_>) -> Value {
    let call = &line.example;
    let arch = line.arch.map(|arch| arch.to_string());
    let unnamed = line.arch.and_then(|arch| line.calls.unnamed(arch));
    let unnamed = unnamed.map(|gaps| gaps.iter().map(|gap| json!([gap.start(), gap.end()])).collect::<Vec<_>>());
    let actions = line.change.actions().map(|action| action.to_string());
    json!({
        "arch": arch,
        "calls": line.names,
        "unnamed_numbers": unnamed,
        "conditions": line.conditions(),
        "direction": word(line.change.direction()),
        "from": actions[0],
        "to": actions[1],
        "raw": line.change.raw(),
        "example": {
            "arch": call.arch,
            "number": call.nr,
            "args": call.args,
            "instruction_pointer": call.instruction_pointer,
        },
    })
}
