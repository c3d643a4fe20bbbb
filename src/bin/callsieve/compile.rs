//! `callsieve compile`: from a profile to a filter in a file.

use crate::check;
use crate::common::{Source, warnings};
use crate::export::Export;
use crate::filter::FilterOptions;
use crate::outcome::{Done, Failure, Outcome, complain, pretty};
use crate::{file, stats};
use callsieve::check::disassemble;
use callsieve::policy::Policy;
use callsieve::{Filter, Picture, Stage};
use clap::{Args, ValueEnum};
use serde_json::json;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Raw array of struct sock_filter in the byte order of the target
    Bpf,
    /// Disassembly
    Text,
    /// Instructions, figures and findings
    Json,
    /// C header with an array of struct sock_filter
    C,
    /// Rust source with a static Program
    Rust,
    /// Picture of the decisions for Graphviz
    Dot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StageWord {
    /// What was read, as JSON
    Profile,
    /// What it means on the target
    Policy,
    /// What to decide
    Graph,
    /// In which order
    Code,
    /// The instructions
    Program,
}

/// Compile a profile to a filter, and prove them equal
///
/// The default format is the raw array of struct sock_filter that bwrap --seccomp, minijail, nsjail and seccomp(2) take.
/// FILE is replaced in one step, and only if everything went well. With --arch the same profile and options give the same
/// bytes on every machine.
///
/// Warnings about the profile go to standard error; check prints the notes as well.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve compile profile.json -o filter.bpf
  bwrap --ro-bind / / --seccomp 3 sh 3< filter.bpf
  callsieve compile container-default --arch s390x --kernel 6.1 -o filter-s390x.bpf
  callsieve compile profile.json --format c -o filter.h
  callsieve compile profile.json --stage policy
  callsieve compile profile.json --stage graph --format dot | dot -Tsvg -o graph.svg")]
pub struct Options {
    /// JSON file, - for standard input, or container-default
    profile: String,

    /// Write to FILE (- for standard output)
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,

    /// What to write [default: bpf; with --stage text]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Write a stage of the compilation instead of the filter
    #[arg(long, value_enum)]
    stage: Option<StageWord>,

    #[command(flatten)]
    filter: FilterOptions,
}

pub fn execute(options: &Options) -> Outcome {
    let file = options.output.as_deref().filter(|&file| file != "-");
    let format = options.format.unwrap_or(if options.stage.is_some() { Format::Text } else { Format::Bpf });
    if format == Format::Bpf {
        file::not_for_a_terminal(file)?;
    }
    let source = options.filter.target.read(&options.profile)?;
    let policy = source.resolve(&options.filter.target.target()?)?;
    for warning in warnings(&policy) {
        complain(&format!("{}: warning: {warning}", source.name));
    }
    let output = match options.stage {
        Some(stage) => write_stage(options, &source, &policy, stage, format)?.into_bytes(),
        None => write_filter(options, &options.filter.compile_source(&source, &policy)?, &policy, format),
    };
    match file {
        Some(file) => file::write(file, &output).map(|()| Done::default()),
        None => Ok(Done { output, status: 0 }),
    }
}

fn write_filter(options: &Options, filter: &Filter, policy: &Policy, format: Format) -> Vec<u8> {
    let export = Export { program: filter.program(), arches: policy.arches().collect(), endian: filter.endian() };
    let text = match format {
        Format::Bpf => return filter.to_bytes(),
        Format::Text => disassemble(filter.program(), filter.endian()).with_header(filter.program()).to_string(),
        Format::Json => format!("{}\n", pretty(&to_json(&export, filter, policy))),
        Format::C => filter.to_c(),
        Format::Rust => filter.to_rust(),
        Format::Dot => options.filter.compiler().stage(policy, Stage::Code, Picture::Dot),
    };
    text.into_bytes()
}

fn to_json(export: &Export, filter: &Filter, policy: &Policy) -> serde_json::Value {
    json!({
        "arches": export.arches.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "byte_order": export.byte_order(),
        "instructions": export.json(),
        "report": stats::to_json(filter.report()),
        "findings": policy.diagnostics().iter().map(check::entry).collect::<Vec<_>>(),
    })
}

fn write_stage(
    options: &Options,
    source: &Source,
    policy: &Policy,
    stage: StageWord,
    format: Format,
) -> Result<String, Failure> {
    let picture = match format {
        Format::Text => Picture::Text,
        Format::Dot if matches!(stage, StageWord::Graph | StageWord::Code) => Picture::Dot,
        Format::Dot => return Err(Failure::new("only the stages graph and code have a picture (--format dot)")),
        _ => return Err(Failure::new("a stage is written with --format text, graph and code also with dot")),
    };
    let mut text = match stage {
        StageWord::Profile => source.profile.to_json().map_err(|error| Failure::new(error.to_string()))?,
        StageWord::Policy => policy.to_string(),
        StageWord::Graph => options.filter.compiler().stage(policy, Stage::Graph, picture),
        StageWord::Code => options.filter.compiler().stage(policy, Stage::Code, picture),
        StageWord::Program => {
            let filter = options.filter.compile_source(source, policy)?;
            disassemble(filter.program(), filter.endian()).with_header(filter.program()).to_string()
        }
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}
