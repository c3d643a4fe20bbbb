//! Filters: compiled from a profile, or read from a file.

use crate::common::{Source, TargetOptions};
use crate::guess::Guess;
use crate::input;
use crate::outcome::Failure;
use crate::subject::{self, What};
use callsieve::arch::Arch;
use callsieve::bpf::{Endian, Program};
use callsieve::policy::Policy;
use callsieve::{Compiler, Filter, Level, Weights};
use clap::{Args, ValueEnum};

/// What --weights may be.
const WEIGHTS_ARE: &str = "weights are uniform, mix, or a JSON file";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LevelWord {
    /// The shortest program
    Size,
    /// Half by how often servers make a call, half every call alike
    #[default]
    Balanced,
    /// Calls that servers make often come first
    Speed,
    /// For kernels that remember allowed calls (5.11 and later): calls with argument checks and denied calls come first
    Cached,
    /// Compiles fastest
    Fast,
}

/// How a profile is read, resolved and compiled.
#[derive(Debug, Args)]
pub struct FilterOptions {
    #[command(flatten)]
    pub target: TargetOptions,

    /// What the filter shall be good for; every level means the same
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t, help_heading = "How the filter is made")]
    level: LevelWord,

    /// How much each call counts: uniform, mix (how often servers make it), or a JSON file with frequencies, shares and
    /// worst_case; without it, the level decides, or the frequencies of a minijail policy
    #[arg(long, value_name = "FILE|uniform|mix", value_parser = weights, help_heading = "How the filter is made")]
    weights: Option<Weights>,
}

impl FilterOptions {
    /// The compiler with these options.
    pub fn compiler(&self) -> Compiler {
        let compiler = Compiler::new().level(match self.level {
            LevelWord::Size => Level::Size,
            LevelWord::Balanced => Level::Balanced,
            LevelWord::Speed => Level::Speed,
            LevelWord::Cached => Level::Cached,
            LevelWord::Fast => Level::Fast,
        });
        match &self.weights {
            Some(weights) => compiler.weights(weights.clone()),
            None => compiler,
        }
    }

    /// Compiles what a profile means, with the frequencies of its file.
    pub fn compile_source(&self, source: &Source, policy: &Policy) -> Result<Filter, Failure> {
        self.compile(&source.name, &source.frequencies, policy)
    }

    /// Compiles a policy, with frequencies if there are any and --weights says nothing else. The name is for messages.
    pub fn compile(&self, name: &str, frequencies: &[(String, u64)], policy: &Policy) -> Result<Filter, Failure> {
        let mut compiler = self.compiler();
        if self.weights.is_none() && !frequencies.is_empty() {
            compiler = compiler.weights(Weights::mix().frequencies(frequencies.iter().cloned()));
        }
        compiler.compile(policy).map_err(|error| Failure::new(format!("{name}: {error}")))
    }

    /// Reads a profile and compiles it, or reads a raw filter.
    pub fn load(&self, path: &str) -> Result<Subject, Failure> {
        let opened = self.target.open(path)?;
        let (name, arches, endian) = (opened.name.clone(), opened.arches.clone(), opened.endian);
        let (program, policy) = match opened.what {
            What::Policy(policy) => {
                let program = self.compile(&name, &opened.frequencies, &policy)?.into_program();
                (program, Some(*policy))
            }
            _ => (opened.one_program()?, None),
        };
        Ok(Subject { name, program, arches, endian, policy })
    }
}

/// A filter to look at.
#[derive(Debug)]
pub struct Subject {
    pub name: String,
    pub program: Program,
    /// The ABIs of the policy; for a raw filter those of `--arch`.
    pub arches: Vec<Arch>,
    pub endian: Endian,
    /// `None` for a raw filter.
    pub policy: Option<Policy>,
}

impl Subject {
    /// The ABIs as a list.
    pub fn arch_list(&self) -> String {
        subject::arch_list(&self.arches)
    }
}

/// Reads the value of --weights.
fn weights(word: &str) -> Result<Weights, String> {
    match word {
        "uniform" => Ok(Weights::uniform()),
        "mix" => Ok(Weights::mix()),
        path => {
            // Bounded, whatever the path leads to.
            let text = input::text(path).map_err(|why| format!("{why}; {WEIGHTS_ARE}"))?;
            if text.trim().is_empty() {
                return Err(format!("it is empty; {WEIGHTS_ARE}"));
            }
            Weights::from_json(&text).map_err(|error| match Guess::of(&text) {
                Some(guess) if guess != Guess::Json => format!("it seems to be {}; {WEIGHTS_ARE}", guess.words()),
                _ => error.to_string(),
            })
        }
    }
}
