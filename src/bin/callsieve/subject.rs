//! What a command looks at: a profile or a raw filter, opened in one way for all of them.

use crate::common::{Source, TargetOptions};
use crate::input::{CONTAINER_DEFAULT, Input};
use crate::outcome::{Failure, complain, count};
#[cfg(target_os = "linux")]
use crate::process::Process;
use crate::values;
use callsieve::arch::Arch;
use callsieve::bpf::{Endian, Program, VerifyError, opcode};
use callsieve::check;
use callsieve::policy::Policy;

/// What PROFILE|FILE.bpf may be, for messages.
const EITHER_IS: &str = "a JSON profile, - for standard input, container-default, or a raw filter is expected";
/// What FILE.bpf may be.
const PROGRAM_IS: &str = "a raw filter as callsieve compile makes it is expected";

/// A profile with its meaning, or a filter, and for which ABIs.
#[derive(Debug)]
pub struct Opened {
    pub name: String,
    /// The ABIs of the policy; for a raw filter those of `--arch`.
    pub arches: Vec<Arch>,
    pub endian: Endian,
    pub what: What,
    /// How often calls are made, if the file of a profile says so.
    pub frequencies: Vec<(String, u64)>,
}

/// What stands where a profile, a filter or a process may.
#[derive(Debug)]
pub enum Found {
    Profile(Source),
    Filters(Opened),
}

#[derive(Debug)]
pub enum What {
    Policy(Box<Policy>),
    Program(Program),
    /// All filters of a process, the oldest first.
    Stack(Vec<Program>),
}

impl Opened {
    /// What the judge can look at.
    pub fn subject(&self) -> check::Subject<'_> {
        match &self.what {
            What::Policy(policy) => check::Subject::policy(policy),
            What::Program(program) => check::Subject::program(program, self.endian),
            What::Stack(programs) => check::Subject::stack(programs, self.endian),
        }
    }

    /// The filter, if it is one alone.
    pub fn one_program(self) -> Result<Program, Failure> {
        let programs = match self.what {
            What::Program(program) => return Ok(program),
            What::Stack(programs) => programs,
            What::Policy(_) => Vec::new(),
        };
        <[Program; 1]>::try_from(programs).map(|[program]| program).map_err(|programs| {
            let (name, has) = (&self.name, count(programs.len(), "filter"));
            Failure::new(format!("{name} has {has}, and one is expected here; show and diff take all of them"))
        })
    }
}

impl TargetOptions {
    /// Opens a profile, a raw filter, or a process.
    pub fn open(&self, path: &str) -> Result<Opened, Failure> {
        match self.find(path)? {
            Found::Profile(source) => self.resolved(source),
            Found::Filters(opened) => Ok(opened),
        }
    }

    /// The same, but a profile is left as it was written. What is there is read once: it may be a pipe.
    pub fn find(&self, path: &str) -> Result<Found, Failure> {
        if path == CONTAINER_DEFAULT {
            return Ok(Found::Profile(self.read(path)?));
        }
        #[cfg(target_os = "linux")]
        if let Some(process) = Process::named(path)? {
            return self.process(&process).map(Found::Filters);
        }
        let input = Input::read(path, EITHER_IS)?;
        if input.bytes.is_empty() {
            return Err(Failure::new(format!("{} is empty; {EITHER_IS}", input.name)));
        }
        if input.is_program() {
            return self.raw(input).map(Found::Filters);
        }
        if input.is_binary() {
            return Err(Failure::new(format!("{} is neither text nor a raw filter; {EITHER_IS}", input.name)));
        }
        Ok(Found::Profile(self.parse(&input)?))
    }

    #[cfg(target_os = "linux")]
    pub fn process(&self, process: &Process) -> Result<Opened, Failure> {
        let arches = match self.arches() {
            [] => process.arches()?,
            arches => arches.to_vec(),
        };
        let what = What::Stack(process.programs());
        let (name, frequencies) = (process.name.clone(), Vec::new());
        Ok(Opened { name, arches, endian: Endian::NATIVE, what, frequencies })
    }

    fn resolved(&self, source: Source) -> Result<Opened, Failure> {
        let policy = self.policy_of(&source)?;
        let (arches, endian) = (policy.arches().collect(), policy.endian());
        let Source { name, frequencies, .. } = source;
        Ok(Opened { name, arches, endian, what: What::Policy(Box::new(policy)), frequencies })
    }

    fn raw(&self, input: Input) -> Result<Opened, Failure> {
        let arches = match self.arches() {
            [] => vec![values::native()?],
            arches => arches.to_vec(),
        };
        let endian = arches.first().map_or(Endian::NATIVE, |arch| arch.endian());
        let program = program(&input, endian)?;
        mention_arch(&input.name, &program, &arches);
        Ok(Opened { name: input.name, arches, endian, what: What::Program(program), frequencies: Vec::new() })
    }
}

/// ABIs as a list for messages.
pub fn arch_list(arches: &[Arch]) -> String {
    arches.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A raw filter does not say what it is for, but most compare the architecture. Tells if that is none of the assumed ABIs.
pub fn mention_arch(name: &str, program: &Program, assumed: &[Arch]) {
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
