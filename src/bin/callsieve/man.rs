//! `callsieve man`: the manual, made when a package is built.

use crate::Cli;
use crate::outcome::{Done, Failure, Outcome, reason};
use clap::{Args, CommandFactory as _};
use clap_mangen::Man;

/// Print the manual, as roff
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve man >/usr/share/man/man1/callsieve.1
  callsieve man convert >/usr/share/man/man1/callsieve-convert.1
  callsieve man run | man -l -")]
pub struct Options {
    /// The page of this subcommand
    #[arg(value_name = "SUBCOMMAND")]
    subcommand: Option<String>,
}

pub fn execute(options: &Options) -> Outcome {
    let mut command = Cli::command();
    // Sets the names that pages of subcommands have.
    command.build();
    let page = match &options.subcommand {
        None => command,
        Some(name) => {
            let page = command.find_subcommand(name).cloned();
            page.ok_or_else(|| Failure::new(format!("there is no subcommand {name:?}; see callsieve --help")))?
        }
    };
    let title = page.get_display_name().unwrap_or("callsieve").to_owned();
    let mut output = Vec::new();
    Man::new(page.display_name(title.clone()))
        .title(title.to_uppercase())
        .render(&mut output)
        .map_err(|error| Failure::new(format!("cannot write the manual: {}", reason(&error))))?;
    Ok(Done { output, status: 0 })
}
