//! `callsieve recompile`: a better filter in place of a foreign one.

use crate::filter::FilterOptions;
use crate::outcome::{Done, Failure, Outcome};
use crate::replacement;
use clap::Args;

/// Make a shorter filter of a raw one, whoever made it, and prove that it does the same
///
/// If nothing shorter is found, the result is the original. A filter does not say which ABIs it is for: --arch names
/// those whose calls are weighed and measured; the result is the same for every ABI in any case.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve recompile filter.bpf
  callsieve recompile filter.bpf -o shorter.bpf
  callsieve recompile filter.bpf --arch s390x --level size --json")]
pub struct Options {
    /// Raw filter: an array of struct sock_filter in the byte order of its target
    #[arg(value_name = "FILE.bpf")]
    file: String,

    /// Write the filter to FILE (- for standard output)
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    filter: FilterOptions,
}

pub fn execute(options: &Options) -> Outcome {
    let subject = options.filter.load(&options.file)?;
    if subject.policy.is_some() {
        let hint = "callsieve compile takes a profile";
        return Err(Failure::new(format!("{} is a profile, not a raw filter; {hint}", subject.name)));
    }
    let made = options.filter.compiler().recompile(&subject.program, &subject.arches);
    let made = made.map_err(|error| Failure::new(format!("{}: {error}", subject.name)))?;
    let head = if made.is_original() {
        format!("{}: nothing shorter was found, the original stays", subject.name)
    } else {
        format!("{}: recompiled", subject.name)
    };
    let text = if options.json {
        Done::json(&replacement::to_json(&made))
    } else {
        Done::text(replacement::to_text(&head, &made))
    };
    replacement::finish(options.output.as_deref(), options.json, &made, text)
}
