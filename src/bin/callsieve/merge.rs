//! `callsieve merge`: the union or the intersection of profiles.

use crate::filter::FilterOptions;
use crate::outcome::{Done, Failure, Outcome, count};
use crate::{file, stats};
use callsieve::check::{Judge, Subject, disassemble};
use callsieve::policy::Policy;
use callsieve::profile::{Format as Dialect, Profile};
use clap::{ArgGroup, Args, ValueEnum};
use serde_json::json;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A profile in the OCI dialect, as runc and crun read it
    Oci,
    /// Raw filter: array of struct sock_filter in the byte order of the target
    Bpf,
    /// Disassembly of the filter
    Text,
    /// The rules
    Policy,
}

/// Unite or intersect profiles, exactly, and prove it
///
/// The union answers every call as the least restrictive of the profiles does, the intersection as the most restrictive.
/// Actions are ordered as the kernel ranks them: KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, NOTIFY, TRACE, LOG, ALLOW; of
/// equal actions the smaller number is the more restrictive. A profile that does not list an architecture answers its calls with
/// the action for unlisted ones, and that counts as well.
///
/// As a profile the result is written with entries that do not overlap, so that every runtime reads it alike. It is
/// proven to mean the same before anything is written; what a profile cannot say is an error (use --format bpf then).
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("operation").required(true).args(["union", "intersection"]),
    after_help = "\
Examples:
  callsieve merge --union base.json extra.json -o both.json
  callsieve merge --intersection container-default mine.json --arch x86_64 -o strict.json
  callsieve merge --union a.json b.json c.json --format bpf -o all.bpf"
)]
pub struct Options {
    /// JSON files, - for standard input, or container-default; two or more
    #[arg(required = true, num_args = 2.., value_name = "PROFILE")]
    profiles: Vec<String>,

    /// The least restrictive answer counts
    #[arg(long)]
    union: bool,

    /// The most restrictive answer counts
    #[arg(long)]
    intersection: bool,

    /// Write to FILE (- for standard output)
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,

    /// What to write
    #[arg(long, value_enum, default_value = "oci")]
    format: Format,

    /// Write JSON about the result to standard output; together with -o
    #[arg(long, requires = "output")]
    json: bool,

    #[command(flatten)]
    filter: FilterOptions,
}

pub fn execute(options: &Options) -> Outcome {
    if options.json && options.output.as_deref() == Some("-") {
        return Err(Failure::new("only one of the result (-o -) and --json can go to standard output"));
    }
    file::only_one_stdin(&options.profiles)?;
    let target = &options.filter.target;
    let policies = options.profiles.iter().map(|path| target.policy(path)).collect::<Result<Vec<_>, _>>()?;
    let merged = if options.union { Policy::union(&policies) } else { Policy::intersection(&policies) };
    let merged = merged.map_err(|error| Failure::new(error.to_string()))?;
    prove(options, &merged, &policies)?;
    let (output, figures) = write(options, &merged)?;
    let Some(path) = options.output.as_deref().filter(|&path| path != "-") else {
        return Ok(Done { output, status: 0 });
    };
    file::write(path, &output)?;
    Ok(if options.json { Done::json(&figures) } else { Done::default() })
}

/// The answers of the result against those of the profiles.
fn prove(options: &Options, merged: &Policy, parts: &[Policy]) -> Result<(), Failure> {
    let wanted = if options.union { Subject::union(parts) } else { Subject::intersection(parts) };
    match Judge::new().witness(&Subject::policy(merged), &wanted) {
        Ok(None) => Ok(()),
        Ok(Some(witness)) => Err(Failure::new(format!(
            "internal error: the result is wrong for the call {:x?}; please report it",
            witness.call
        ))),
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

/// The result, and what --json says about it.
fn write(options: &Options, merged: &Policy) -> Result<(Vec<u8>, serde_json::Value), Failure> {
    let arches: Vec<_> = merged.arches().map(|arch| arch.to_string()).collect();
    let operation = if options.union { "union" } else { "intersection" };
    let mut figures = json!({ "operation": operation, "profiles": options.profiles, "arches": arches });
    let name = format!("{operation} of {}", count(options.profiles.len(), "profile"));
    let output = match options.format {
        Format::Oci => {
            let text = merged.to_oci_json().map_err(|error| Failure::new(format!("{name}: {error}")))?;
            let entries = Profile::from_json(&text, Dialect::Oci).map_or(0, |profile| profile.rules().len());
            figures["entries"] = json!(entries);
            text.into_bytes()
        }
        Format::Policy => format!("{merged}\n").into_bytes(),
        Format::Bpf | Format::Text => {
            let filter = options.filter.compile(&name, &[], merged)?;
            figures["report"] = stats::to_json(filter.report());
            if options.format == Format::Bpf {
                file::not_for_a_terminal(options.output.as_deref())?;
                filter.to_bytes()
            } else {
                disassemble(filter.program(), filter.endian()).with_header(filter.program()).to_string().into_bytes()
            }
        }
    };
    Ok((output, figures))
}
