//! `callsieve convert`: a profile in the language of another program.

use crate::file;
use crate::filter::FilterOptions;
use crate::outcome::{Done, Failure, Outcome};
use clap::{Args, ValueEnum};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A profile in the OCI dialect, for every container runtime
    Oci,
    /// A raw filter: an array of struct `sock_filter` in the byte order of its target
    Bpf,
}

/// Write a profile in the language of another program
///
/// Reads a profile, or a file of another program (--from), and writes what it means in another language (--to). The
/// result is read back and proven to mean the same, for every possible call, before anything is written; what the
/// language cannot say is an error that names it.
///
/// Every other subcommand takes --from too: there is no need to convert a file for checking, compiling or comparing it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve convert --from firecracker --thread vmm vmm.json --to oci --bad-arch kill-thread
  callsieve convert --from seccompiler filters.json --thread api --to bpf -o api.bpf")]
pub struct Options {
    /// The file, or - for standard input
    file: String,

    /// What to write
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    to: Format,

    /// Write to FILE (- for standard output)
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,

    #[command(flatten)]
    filter: FilterOptions,
}

pub fn execute(options: &Options) -> Outcome {
    let source = options.filter.target.read(&options.file)?;
    let policy = options.filter.target.policy_of(&source)?;
    let output = match options.to {
        Format::Oci => {
            policy.to_oci_json().map_err(|error| Failure::new(format!("{}: {error}", source.name)))?.into_bytes()
        }
        Format::Bpf => {
            file::not_for_a_terminal(options.output.as_deref())?;
            options.filter.compile(&source.name, &policy)?.to_bytes()
        }
    };
    let Some(path) = options.output.as_deref().filter(|&path| path != "-") else {
        return Ok(Done { output, status: 0 });
    };
    file::write(path, &output)?;
    Ok(Done::default())
}
