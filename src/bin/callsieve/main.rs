//! The `callsieve` command: one file a subcommand, on the public API of the crate only.
//!
//! Results go to standard output, messages to standard error. Exit status: 0 fine; 1 a difference, finding or denial was
//! found; 2 unusable input or arguments. `run`, `record` and `nurse` pass on the status of the command, and have 125 for
//! their own failures, 126 for a command that is not executable and 127 for one that is not found, as env(1).

#![forbid(unsafe_code)]

mod check;
mod common;
mod compile;
mod completions;
mod convert;
mod diff;
mod explain;
mod export;
mod features;
mod file;
mod filter;
mod fuse;
mod guess;
mod input;
#[cfg(target_os = "linux")]
mod live;
mod man;
mod merge;
#[cfg(target_os = "linux")]
mod nurse;
mod outcome;
mod picture;
#[cfg(target_os = "linux")]
mod process;
mod prove;
mod recompile;
#[cfg(target_os = "linux")]
mod record;
mod replacement;
#[cfg(target_os = "linux")]
mod run;
mod show;
mod simulate;
mod stats;
mod subject;
mod summary;
mod syscalls;
mod values;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use outcome::{Done, Failure, Outcome, UNUSABLE};
use std::process::ExitCode;

/// Compiles seccomp profiles to proven seccomp-BPF filters
///
/// Reads a seccomp profile as Docker, Podman, Kubernetes and the OCI runtimes use it, compiles it to a filter for any
/// Linux architecture, and proves that the filter does exactly what the profile says, for every possible call. The
/// other subcommands show, check, try out and install what came out.
///
/// PROFILE is a JSON file, - for standard input, or container-default for the profile that is part of callsieve (a file
/// of that name is ./container-default).
#[derive(Debug, Parser)]
#[command(name = "callsieve", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Our own failures of what runs a command, as env(1) has it.
const RUN_FAILED: u8 = 125;

const AFTER_HELP: &str = "\
Start here:
  callsieve run --profile container-default -- sh        a shell under the default container profile
  callsieve record -o profile.json -- ./server           a profile of what a program does
  callsieve check profile.json                           what is wrong or doubtful in a profile
  callsieve show container-default                       what a filter does, call by call
  callsieve compile profile.json -o profile.bpf          a raw filter for bwrap, minijail, nsjail

Exit status: 0 fine; 1 a difference, finding or denial was found; 2 unusable input or arguments.
(run, record and nurse pass on the status of the command; their own failures are 125, 126 and 127.)";

#[derive(Debug, Subcommand)]
enum Command {
    Compile(compile::Options),
    Stats(stats::Options),
    #[cfg(target_os = "linux")]
    Run(run::Options),
    #[cfg(target_os = "linux")]
    Record(record::Options),
    #[cfg(target_os = "linux")]
    Nurse(nurse::Options),
    Show(show::Options),
    Check(check::Options),
    Explain(explain::Options),
    Simulate(simulate::Options),
    Prove(prove::Options),
    Diff(diff::Options),
    Convert(convert::Options),
    Merge(merge::Options),
    Fuse(fuse::Options),
    Recompile(recompile::Options),
    Syscalls(syscalls::Options),
    Features(features::Options),
    #[command(hide = true)]
    Completions(completions::Options),
    #[command(hide = true)]
    Man(man::Options),
}

impl Command {
    fn execute(self) -> Outcome {
        match self {
            Self::Compile(options) => compile::execute(&options),
            Self::Stats(options) => stats::execute(&options),
            #[cfg(target_os = "linux")]
            Self::Run(options) => run::execute(&options),
            #[cfg(target_os = "linux")]
            Self::Record(options) => record::execute(&options),
            #[cfg(target_os = "linux")]
            Self::Nurse(options) => nurse::execute(&options),
            Self::Show(options) => show::execute(&options),
            Self::Check(options) => check::execute(&options),
            Self::Explain(options) => explain::execute(&options),
            Self::Simulate(options) => simulate::execute(&options),
            Self::Prove(options) => prove::execute(&options),
            Self::Diff(options) => diff::execute(&options),
            Self::Convert(options) => convert::execute(&options),
            Self::Merge(options) => merge::execute(&options),
            Self::Fuse(options) => fuse::execute(&options),
            Self::Recompile(options) => recompile::execute(&options),
            Self::Syscalls(options) => syscalls::execute(&options),
            Self::Features(options) => features::execute(&options),
            Self::Completions(options) => Ok(completions::execute(&options)),
            Self::Man(options) => man::execute(&options),
        }
    }
}

fn main() -> ExitCode {
    outcome::finish(match Cli::try_parse() {
        Ok(cli) => cli.command.execute(),
        Err(error) => complaint(&error),
    })
}

/// Help and version are results. Everything else that clap says is a message of ours.
fn complaint(error: &clap::Error) -> Outcome {
    let text = error.render().to_string();
    if !error.use_stderr() {
        return Ok(Done::text(text));
    }
    let mut command = Cli::command();
    let word = std::env::args().nth(1).filter(|word| command.find_subcommand(word).is_some());
    let runs = matches!(word.as_deref(), Some("run" | "record" | "nurse"));
    let status = if runs { RUN_FAILED } else { UNUSABLE };
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Err(Failure::new(format!("a subcommand is missing\n\n{}", command.render_help())).status(status));
    }
    // The message and its tips, without the usage and the closing sentence.
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let message = text.split("\n\nUsage:").next().and_then(|text| text.split("\n\nFor more").next()).unwrap_or(text);
    let message: Vec<_> = message.lines().filter(|line| !line.is_empty()).collect();
    let whose = word.map_or_else(String::new, |word| format!(" {word}"));
    Err(Failure::new(format!("{}\n  see callsieve{whose} --help", message.join("\n"))).status(status))
}
