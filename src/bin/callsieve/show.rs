//! `callsieve show`: a filter to be read.

use crate::export::Export;
use crate::filter::{FilterOptions, Subject};
use crate::outcome::{Done, Failure, Outcome, count};
use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData, opcode};
use callsieve::check::{disassemble, simulate};
use callsieve::{Picture, Stage};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where lines are broken.
const WIDTH: usize = 100;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Summary by action, then the instructions
    #[default]
    Text,
    /// Picture of the decisions for Graphviz (only of profiles)
    Dot,
}

/// Show what a filter does: the calls of each action, and the instructions
///
/// Takes a profile, which is compiled first, or a raw filter from any source. A raw filter does not say for which ABI it
/// is: name it with --arch if it is not that of this machine.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve show container-default
  callsieve show filter.bpf
  callsieve show filter-s390x.bpf --arch s390x
  callsieve show profile.json --format dot | dot -Tsvg -o filter.svg

How to read the instructions: ld loads a word of the call (its number nr, its arch, the low or high half of an argument);
jeq, jgt, jge and jset compare it; what is behind the arrow happens if the test holds, what is behind else if not, and
otherwise the next line is executed; ret ends the filter with an action.")]
pub struct Options {
    /// JSON file, - for standard input, container-default, or a raw filter
    #[arg(value_name = "PROFILE|FILE.bpf")]
    profile: String,

    /// What to write
    #[arg(long, value_enum, default_value_t, conflicts_with = "json")]
    format: Format,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    filter: FilterOptions,
}

pub fn execute(options: &Options) -> Outcome {
    let subject = options.filter.load(&options.profile)?;
    if options.json {
        return Ok(Done::json(&to_json(&subject)));
    }
    match (options.format, &subject.policy) {
        (Format::Text, _) => Ok(Done::text(to_text(&subject))),
        (Format::Dot, Some(policy)) => {
            Ok(Done::text(options.filter.compiler().stage(policy, Stage::Code, Picture::Dot)))
        }
        (Format::Dot, None) => {
            Err(Failure::new(format!("{} is a raw filter; only a profile has a picture", subject.name)))
        }
    }
}

fn to_text(subject: &Subject) -> String {
    let program = &subject.program;
    let mut text = format!(
        "{} for {}: {} ({} as eBPF in the kernel)\n\n",
        subject.name,
        subject.arch_list(),
        count(program.len(), "instruction"),
        program.ebpf_len()
    );
    match &subject.policy {
        Some(policy) => policy.to_string().lines().for_each(|line| wrap(&mut text, line)),
        None => subject.arches.iter().for_each(|&arch| summarise(&mut text, subject, arch)),
    }
    let listing = disassemble(program, subject.endian);
    let _ = write!(text, "\n{listing}");
    text
}

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

/// What a program answers to the calls of an ABI.
struct Answers {
    /// To a number that no call has; `None` if that depends on more than the number.
    default: Option<Action>,
    /// To the known calls.
    actions: BTreeMap<Action, Vec<&'static str>>,
    /// Calls where arguments count.
    conditional: Vec<&'static str>,
}

impl Answers {
    fn of(subject: &Subject, arch: Arch) -> Self {
        let (mut actions, mut conditional) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        for (nr, name) in arch.syscalls() {
            match answer(subject, arch, nr) {
                Some(action) => actions.entry(action).or_default().push(name),
                None => conditional.push(name),
            }
        }
        for names in actions.values_mut() {
            names.sort_unstable();
        }
        conditional.sort_unstable();
        // Far beyond every table, and with the bit of x32 where numbers have it.
        Self { default: answer(subject, arch, arch.number_base() | 0x3fff_ffff), actions, conditional }
    }
}

/// The answer to a call whatever its arguments are, or `None` if they count.
fn answer(subject: &Subject, arch: Arch, nr: u32) -> Option<Action> {
    let call = SyscallData { nr, arch: arch.audit(), ..SyscallData::default() };
    let run = simulate(&subject.program, &call, subject.endian);
    // Everything behind the number and the architecture is the instruction pointer or an argument.
    let mut insns = run.path.iter().filter_map(|&pc| subject.program.as_insns().get(pc));
    let looks = insns.any(|insn| insn.code == opcode::LD_W_ABS && insn.k > SyscallData::ARCH);
    (!looks).then(|| run.action())
}

fn summarise(text: &mut String, subject: &Subject, arch: Arch) {
    let answers = Answers::of(subject, arch);
    let default = answers.default.map_or_else(|| "what arguments tell".to_owned(), |action| action.to_string());
    let _ = writeln!(text, "{arch}: {default} by default");
    for (action, names) in answers.actions.iter().rev().filter(|(action, _)| Some(**action) != answers.default) {
        wrap(text, &format!("  {action}: {}", names.join(" ")));
    }
    if !answers.conditional.is_empty() {
        wrap(text, &format!("  depending on arguments: {}", answers.conditional.join(" ")));
    }
}

fn to_json(subject: &Subject) -> Value {
    let export = Export { program: &subject.program, arches: subject.arches.clone(), endian: subject.endian };
    let listing = disassemble(&subject.program, subject.endian);
    let lines = (0..subject.program.len()).map(|pc| listing.instruction(pc).unwrap_or_default().trim_end().to_owned());
    let summary = subject.arches.iter().map(|&arch| {
        let answers = Answers::of(subject, arch);
        let actions = answers.actions.into_iter().map(|(action, names)| (action.to_string(), json!(names))).collect();
        let value = json!({
            "default": answers.default.map(|action| action.to_string()),
            "actions": Value::Object(actions),
            "depending_on_arguments": answers.conditional,
        });
        (arch.to_string(), value)
    });
    json!({
        "name": subject.name,
        "byte_order": export.byte_order(),
        "ebpf_instructions": subject.program.ebpf_len(),
        "arches": Value::Object(summary.collect()),
        "instructions": export.json(),
        "listing": lines.collect::<Vec<_>>(),
    })
}
