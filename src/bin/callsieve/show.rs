//! `callsieve show`: a filter to be read.

use crate::export::Export;
use crate::filter::{FilterOptions, Subject};
use crate::outcome::{Done, Failure, Outcome, count, wrap};
use crate::picture::{self, Language};
#[cfg(target_os = "linux")]
use crate::process::{Process, ProcessOptions};
use crate::summary::Summary;
use callsieve::arch::Arch;
use callsieve::bpf::{Endian, Program};
use callsieve::check::{self, disassemble};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Summary by action, then the instructions
    #[default]
    Text,
    /// Picture of the decisions, for Graphviz
    Dot,
    /// Picture of the decisions, laid out by Graphviz if it is installed
    Svg,
    /// The same, always laid out without Graphviz
    PlainSvg,
}

/// Show what a filter does: the calls of each action, the instructions, or a picture
///
/// Takes a profile, which is compiled first, a raw filter from any source, or a living process, of which all filters are
/// read. A raw filter does not say for which ABI it is: name it with --arch if it is not that of this machine.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve show container-default
  callsieve show filter.bpf
  callsieve show filter-s390x.bpf --arch s390x
  callsieve show profile.json --format svg > filter.svg
  callsieve show --pid 1234
  callsieve show --container web

How to read the instructions: ld loads a word of the call (its number nr, its arch, the low or high half of an argument);
jeq, jgt, jge and jset compare it; what is behind the arrow happens if the test holds, what is behind else if not, and
otherwise the next line is executed; ret ends the filter with an action.

How to read a picture: a box is what is looked at, a row is the values that lead on or to an action.")]
pub struct Options {
    /// JSON file, - for standard input, container-default, or a raw filter
    #[arg(value_name = "PROFILE|FILE.bpf")]
    #[cfg_attr(target_os = "linux", arg(required_unless_present_any = ["pid", "container"], conflicts_with_all = ["pid", "container"]))]
    #[cfg_attr(not(target_os = "linux"), arg(required = true))]
    profile: Option<String>,

    /// What to write
    #[arg(long, value_enum, default_value_t, conflicts_with = "json")]
    format: Format,

    /// Of a process only this filter; 0 is the oldest
    #[arg(long, value_name = "N", conflicts_with = "profile")]
    filter: Option<usize>,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[cfg(target_os = "linux")]
    #[command(flatten)]
    process: ProcessOptions,

    #[command(flatten)]
    how: FilterOptions,
}

pub fn execute(options: &Options) -> Outcome {
    #[cfg(target_os = "linux")]
    if let Some(process) = options.process.read()? {
        return execute_process(options, &process);
    }
    let subject = options.how.load(options.profile.as_deref().unwrap_or_default())?;
    if options.json {
        return Ok(Done::json(&to_json(&subject)));
    }
    match options.format.language() {
        None => Ok(Done::text(to_text(&subject))),
        Some(language) => draw(language, &subject.name, &subject.program, subject.endian, &subject.arches),
    }
}

impl Format {
    fn language(self) -> Option<Language> {
        match self {
            Self::Text => None,
            Self::Dot => Some(Language::Dot),
            Self::Svg => Some(Language::Svg),
            Self::PlainSvg => Some(Language::PlainSvg),
        }
    }
}

fn draw(language: Language, name: &str, program: &Program, endian: Endian, arches: &[Arch]) -> Outcome {
    let assumed = arches.first().copied().map_or_else(crate::values::native, Ok)?;
    let output = picture::draw(language, name, program, endian, assumed)?;
    Ok(Done { output, ..Done::default() })
}

fn to_text(subject: &Subject) -> String {
    let mut text = format!("{} for {}: {}\n\n", subject.name, subject.arch_list(), size(&subject.program));
    match &subject.policy {
        Some(policy) => policy.to_string().lines().for_each(|line| wrap(&mut text, line)),
        None => summarise(&mut text, &check::Subject::program(&subject.program, subject.endian), &subject.arches),
    }
    let listing = disassemble(&subject.program, subject.endian);
    let _ = write!(text, "\n{listing}");
    text
}

fn size(program: &Program) -> String {
    format!("{} ({} as eBPF in the kernel)", count(program.len(), "instruction"), program.ebpf_len())
}

/// What happens to the calls of each ABI.
fn summarise(text: &mut String, subject: &check::Subject<'_>, arches: &[Arch]) {
    match Summary::of(subject) {
        Ok(summary) => arches.iter().for_each(|&arch| summary.write(text, arch)),
        Err(error) => _ = writeln!(text, "no summary: {error}"),
    }
}

/// The same for machines.
fn summary_json(subject: &check::Subject<'_>, arches: &[Arch]) -> Value {
    match Summary::of(subject) {
        Ok(summary) => Value::Object(arches.iter().map(|&arch| (arch.to_string(), summary.json(arch))).collect()),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn program_json(program: &Program, endian: Endian, arches: &[Arch]) -> Value {
    let export = Export { program, arches: arches.to_vec(), endian };
    let listing = disassemble(program, endian);
    let lines = (0..program.len()).map(|pc| listing.instruction(pc).unwrap_or_default().trim_end().to_owned());
    json!({
        "byte_order": export.byte_order(),
        "ebpf_instructions": program.ebpf_len(),
        "arches": summary_json(&check::Subject::program(program, endian), arches),
        "instructions": export.json(),
        "listing": lines.collect::<Vec<_>>(),
    })
}

fn to_json(subject: &Subject) -> Value {
    let mut value = json!({ "name": subject.name });
    if let (Value::Object(all), Value::Object(more)) =
        (&mut value, program_json(&subject.program, subject.endian, &subject.arches))
    {
        all.extend(more);
    }
    value
}

#[cfg(target_os = "linux")]
fn execute_process(options: &Options, process: &Process) -> Outcome {
    let arches = match options.how.target.arches() {
        [] => process.arches()?,
        arches => arches.to_vec(),
    };
    let number = process.filters.len();
    if let Some(wanted) = options.filter.filter(|&wanted| wanted >= number) {
        let has = count(number, "filter");
        return Err(Failure::new(format!("--filter {wanted}: {} has {has}, and the oldest is 0", process.name)));
    }
    let wanted: Vec<usize> = (0..number).filter(|index| options.filter.is_none_or(|wanted| wanted == *index)).collect();
    if options.json {
        return Ok(Done::json(&process_json(process, &wanted, &arches)));
    }
    let Some(language) = options.format.language() else {
        return Ok(Done::text(process_text(process, &wanted, &arches)));
    };
    let [one] = wanted.as_slice() else {
        let has = count(number, "filter");
        return Err(Failure::new(format!(
            "{} has {has}; a picture is of one: choose it by --filter 0 ...",
            process.name
        )));
    };
    let programs = process.programs();
    let program = programs.get(*one).ok_or_else(|| Failure::new("the filter is gone"))?;
    draw(language, &format!("{}, filter {one}", process.name), program, Endian::NATIVE, &arches)
}

#[cfg(target_os = "linux")]
fn process_text(process: &Process, wanted: &[usize], arches: &[Arch]) -> String {
    let programs = process.programs();
    if programs.is_empty() {
        return format!("{} has no filter: every call is allowed\n", process.name);
    }
    let mut text = format!("{}: {}", process.name, count(programs.len(), "filter"));
    if programs.len() > 1 && wanted.len() > 1 {
        text.push_str("; the most restrictive of their answers counts\n\nAll of them together:\n");
        summarise(&mut text, &check::Subject::stack(&programs, Endian::NATIVE), arches);
    } else {
        text.push('\n');
    }
    for (index, filter) in process.filters.iter().enumerate().filter(|(index, _)| wanted.contains(index)) {
        let program = filter.program();
        let logs = if filter.logs() == Some(true) { ", logs what it does not allow" } else { "" };
        let oldest = if index == 0 && programs.len() > 1 { " (the oldest)" } else { "" };
        let _ = writeln!(text, "\nFilter {index}{oldest}: {}{logs}\n", size(program));
        summarise(&mut text, &check::Subject::program(program, Endian::NATIVE), arches);
        let _ = write!(text, "\n{}", disassemble(program, Endian::NATIVE));
    }
    text
}

#[cfg(target_os = "linux")]
fn process_json(process: &Process, wanted: &[usize], arches: &[Arch]) -> Value {
    let programs = process.programs();
    let filters = process.filters.iter().enumerate().filter(|(index, _)| wanted.contains(index));
    let filters = filters.map(|(index, filter)| {
        let mut value = json!({ "filter": index, "logs": filter.logs() });
        if let (Value::Object(all), Value::Object(more)) =
            (&mut value, program_json(filter.program(), Endian::NATIVE, arches))
        {
            all.extend(more);
        }
        value
    });
    json!({
        "name": process.name,
        "pid": process.pid,
        "together": match programs.as_slice() {
            [] => Value::Null,
            all => summary_json(&check::Subject::stack(all, Endian::NATIVE), arches),
        },
        "filters": filters.collect::<Vec<_>>(),
    })
}
