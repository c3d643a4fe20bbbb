//! `callsieve convert`: a profile in the language of another program.

use crate::common::language_word;
use crate::file;
use crate::filter::FilterOptions;
use crate::outcome::{Done, Failure, Outcome};
use crate::subject::Found;
use callsieve::export::ExportError;
use callsieve::import::Language;
use callsieve::policy::Policy;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use std::sync::LazyLock;

#[derive(Clone, Copy, Debug)]
enum Format {
    Oci,
    /// The language of another program.
    Of(Language),
    Bpf,
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<Format>> = LazyLock::new(|| {
            let others = Language::ALL.iter().copied().map(Format::Of);
            std::iter::once(Format::Oci).chain(others).chain([Format::Bpf]).collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Oci => PossibleValue::new("oci")
                .help("A profile in the OCI dialect, for every container runtime; Docker and Podman read it too"),
            Self::Of(language) => language_word(*language),
            Self::Bpf => PossibleValue::new("bpf")
                .help("A raw filter: an array of struct sock_filter in the byte order of its target"),
        })
    }
}

/// Write a profile in the language of another program
///
/// Reads a profile, or a file of another program (--from), and writes what it means in another language (--to). The
/// result is read back and proven to mean the same, for every possible call, before anything is written; what the
/// language cannot say is an error that names it.
///
/// A raw filter is read too, whoever made it: its rules are written down and proven to be what it does. It does not say
/// which ABIs it is for: --arch names all of them.
///
/// Every other subcommand takes --from too: there is no need to convert a file for checking, compiling or comparing it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve convert --from firecracker --thread vmm vmm.json --to oci --bad-arch kill-thread
  callsieve convert --from minijail app.policy --to bpf -o app.bpf
  callsieve convert profile.json --to kafel --arch x86_64 --unlisted-x32 default -o nsjail.policy
  callsieve convert filter.bpf --arch x86_64,x86,x32 --to oci -o profile.json
  systemctl cat nginx | callsieve convert --from systemd - --to oci --arch x86_64")]
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
    let target = &options.filter.target;
    let (name, policy, frequencies) = match target.find(&options.file)? {
        Found::Profile(source) => {
            let policy = target.policy_of(&source)?;
            (source.name, policy, source.frequencies)
        }
        Found::Filters(opened) => {
            let name = opened.name.clone();
            let program = opened.one_program()?;
            let policy = Policy::from_program(&program, &target.target()?);
            let policy = policy.map_err(|error| Failure::new(format!("{name}: {error}")))?;
            (name, policy, Vec::new())
        }
    };
    let said = |result: Result<String, ExportError>| {
        result.map(String::into_bytes).map_err(|error| Failure::new(format!("{name}: {error}")))
    };
    let output = match options.to {
        Format::Of(language) => said(policy.to_language(language))?,
        Format::Bpf => {
            file::not_for_a_terminal(options.output.as_deref())?;
            options.filter.compile(&name, &frequencies, &policy)?.to_bytes()
        }
        Format::Oci => said(policy.to_oci_json())?,
    };
    let Some(path) = options.output.as_deref().filter(|&path| path != "-") else {
        return Ok(Done { output, status: 0 });
    };
    file::write(path, &output)?;
    Ok(Done::default())
}
