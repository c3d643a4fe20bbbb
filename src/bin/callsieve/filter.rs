//! Filters: compiled from a profile, or read from a file.

use crate::common::{Source, TargetOptions};
use crate::input::{CONTAINER_DEFAULT, Input};
use crate::outcome::{Failure, complain, reason};
use crate::values;
use callsieve::arch::Arch;
use callsieve::bpf::{Endian, Program, VerifyError, opcode};
use callsieve::policy::Policy;
use callsieve::{Compiler, Filter, Level, Weights};
use clap::{Args, ValueEnum};

/// What PROFILE|FILE.bpf may be, for messages.
const EITHER_IS: &str = "a JSON profile, - for standard input, container-default, or a raw filter is expected";
/// What --weights may be.
const WEIGHTS_ARE: &str = "weights are uniform, mix, or a JSON file";
/// What FILE.bpf may be.
const PROGRAM_IS: &str = "a raw filter as callsieve compile makes it is expected";

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
    /// worst_case; without it, the level decides
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

    /// Compiles a policy; the name is for messages.
    pub fn compile(&self, name: &str, policy: &Policy) -> Result<Filter, Failure> {
        self.compiler().compile(policy).map_err(|error| Failure::new(format!("{name}: {error}")))
    }

    /// Reads a profile and compiles it, or reads a raw filter.
    pub fn load(&self, path: &str) -> Result<Subject, Failure> {
        if path == CONTAINER_DEFAULT {
            return self.subject(&self.target.read(path)?);
        }
        let input = Input::read(path, EITHER_IS)?;
        if input.bytes.is_empty() {
            return Err(Failure::new(format!("{} is empty; {EITHER_IS}", input.name)));
        }
        if input.is_program() {
            return self.raw(&input);
        }
        self.subject(&self.target.parse(&input)?)
    }

    fn subject(&self, source: &Source) -> Result<Subject, Failure> {
        let policy = self.target.policy_of(source)?;
        let filter = self.compile(&source.name, &policy)?;
        let arches = policy.arches().collect();
        let (endian, program) = (filter.endian(), filter.into_program());
        Ok(Subject { name: source.name.clone(), program, arches, endian, policy: Some(policy) })
    }

    fn raw(&self, input: &Input) -> Result<Subject, Failure> {
        let arches = match self.target.arches() {
            [] => vec![values::native()?],
            arches => arches.to_vec(),
        };
        let endian = arches.first().map_or(Endian::NATIVE, |arch| arch.endian());
        let program = program(input, endian)?;
        mention_arch(&input.name, &program, &arches);
        Ok(Subject { name: input.name.clone(), program, arches, endian, policy: None })
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
        self.arches.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// A raw filter does not say what it is for, but most compare the architecture. Tells if that is none of the assumed ABIs.
fn mention_arch(name: &str, program: &Program, assumed: &[Arch]) {
    let tests = |arch: &Arch| {
        let mut insns = program.as_insns().iter();
        insns.any(|insn| insn.code == opcode::JEQ_K && insn.k == arch.audit())
    };
    let tested: Vec<_> = Arch::ALL.iter().filter(|arch| tests(arch)).map(ToString::to_string).collect();
    if !tested.is_empty() && !assumed.iter().any(tests) {
        let tested = tested.join(",");
        complain(&format!("{name} seems to be for {tested}; if so, say --arch {tested}"));
    }
}

/// Reads the value of --weights.
fn weights(word: &str) -> Result<Weights, String> {
    match word {
        "uniform" => Ok(Weights::uniform()),
        "mix" => Ok(Weights::mix()),
        path => {
            let bytes = std::fs::read(path).map_err(|error| format!("{}; {WEIGHTS_ARE}", reason(&error)))?;
            Weights::from_json(&String::from_utf8_lossy(&bytes)).map_err(|error| error.to_string())
        }
    }
}

/// Reads a raw filter in a byte order.
pub fn read_program(path: &str, endian: Endian) -> Result<Program, Failure> {
    let input = Input::read(path, PROGRAM_IS)?;
    if !input.bytes.is_empty() && !input.is_program() {
        return Err(Failure::new(format!("{} is no raw filter; {PROGRAM_IS}", input.name)));
    }
    program(&input, endian)
}

fn program(input: &Input, endian: Endian) -> Result<Program, Failure> {
    Program::from_bytes(&input.bytes, endian).map_err(|error| {
        let hint = match error {
            VerifyError::ByteOrder => "; name that target with --arch",
            _ => "",
        };
        Failure::new(format!("{}: {error}{hint}", input.name))
    })
}
