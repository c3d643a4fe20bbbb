//! `callsieve prove`: whether a raw filter does what a profile says.

use crate::common::TargetOptions;
use crate::outcome::{Done, Failure, Outcome, count};
use crate::simulate::called;
use crate::subject::{mention_arch, read_program};
use crate::values;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::check::{Counterexample, Proof, ProveError, prove};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;

/// Prove that a raw filter does exactly what a profile says, or show a call for which it does not
///
/// The answer holds for every possible call: any architecture, number, argument and instruction pointer. The filter may
/// come from any compiler. Every filter that callsieve compile writes has passed this proof already.
///
/// Mind the options: a filter is for some ABIs, one kernel and one set of capabilities.
///
/// Exit status: 0 equal; 1 they differ; 2 unusable input, or the proof would take too much memory.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve prove profile.json filter.bpf
  callsieve prove container-default filter.bpf --arch x86_64,x86,x32 --bad-arch kill-process")]
pub struct Options {
    /// JSON file, - for standard input, or container-default
    profile: String,

    /// Raw filter: an array of struct sock_filter in the byte order of its target
    #[arg(value_name = "FILE.bpf")]
    file: String,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: TargetOptions,
}

pub fn execute(options: &Options) -> Outcome {
    if options.profile == "-" && options.file == "-" {
        return Err(Failure::new("only one of PROFILE and FILE.bpf can be standard input"));
    }
    let policy = options.target.policy(&options.profile)?;
    let program = read_program(&options.file, policy.endian())?;
    match prove(&program, &policy) {
        Ok(proof) => {
            let arches: Vec<_> = policy.arches().map(|arch| arch.to_string()).collect();
            let text = format!("equal for every possible call, on {} and any other ABI\n", arches.join(", "));
            Ok(if options.json { Done::json(&equal(&proof)) } else { Done::text(text) })
        }
        Err(ProveError::Differs(example)) => {
            mention_arch(&options.file, &program, &policy.arches().collect::<Vec<_>>());
            let done = if options.json { Done::json(&different(&example)) } else { Done::text(to_text(&example)) };
            Ok(done.found(true))
        }
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

fn equal(proof: &Proof) -> Value {
    json!({ "equal": true, "nodes": proof.nodes, "states": proof.states })
}

fn different(example: &Counterexample) -> Value {
    let call = &example.call;
    json!({
        "equal": false,
        "call": {
            "arch": example.arch.map(|arch| arch.to_string()),
            "audit": call.arch,
            "number": call.nr,
            "name": example.arch.and_then(|arch| arch.name(call.nr)),
            "args": call.args,
            "instruction_pointer": call.instruction_pointer,
        },
        "profile": example.expected.to_string(),
        "filter": Action::as_kernel(example.got).to_string(),
        "filter_raw": example.got,
        "path": example.path,
    })
}

/// The ABI of a call that the profile does not list.
fn unlisted(call: &SyscallData) -> Option<Arch> {
    let is_x32 = call.arch == Arch::X32.audit() && call.nr & Arch::X32_BIT != 0;
    if is_x32 { Some(Arch::X32) } else { Arch::ALL.into_iter().find(|arch| arch.audit() == call.arch) }
}

fn to_text(example: &Counterexample) -> String {
    let call = &example.call;
    let args: Vec<_> = call.args.iter().map(|&value| values::shown(value)).collect();
    let (whose, who) = match (example.arch, unlisted(call)) {
        (Some(arch), _) => (called(arch, call.nr), arch.to_string()),
        (None, Some(arch)) => (called(arch, call.nr), format!("{arch}, which the profile does not list")),
        (None, None) => {
            let who = format!("an unknown architecture ({:#x})", call.arch);
            (format!("call {}", values::shown(call.nr.into())), who)
        }
    };
    let mut text = format!("they differ: {whose}({}) on {who}\n", args.join(", "));
    let got = Action::as_kernel(example.got);
    let raw = if got.to_raw() == example.got { String::new() } else { format!(" (returned as {:#010x})", example.got) };
    let _ = writeln!(text, "  profile  {}\n  filter   {got}{raw}", example.expected);
    let path: Vec<_> = example.path.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "  path     {} ({})", path.join(" "), count(path.len(), "step"));
    text
}
