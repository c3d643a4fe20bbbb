//! `callsieve completions`: for shells, made when a package is built.

use crate::Cli;
use crate::outcome::Done;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve completions bash >/usr/share/bash-completion/completions/callsieve
  callsieve completions zsh >/usr/share/zsh/site-functions/_callsieve
  callsieve completions fish >/usr/share/fish/vendor_completions.d/callsieve.fish")]
pub struct Options {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub fn execute(options: &Options) -> Done {
    let mut output = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "callsieve", &mut output);
    Done { output, status: 0 }
}
