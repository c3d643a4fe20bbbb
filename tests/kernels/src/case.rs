//! What is asked: filters, and calls made under them.

use crate::run::Failure;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, Program, SyscallData};
use callsieve::{Compiler, Policy};
use std::fmt::Write as _;

/// Filters and calls made under them.
#[derive(Debug)]
pub struct Case {
    /// For messages.
    pub name: String,
    /// What the filters mean, oldest first.
    policies: Vec<Policy>,
    programs: Vec<Program>,
    /// The calls.
    pub calls: Vec<Call>,
    /// Whether policy and calls come from random bytes.
    pub random: bool,
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The number as the program gives it to the kernel.
    pub nr: u32,
    /// All 64 bits of each argument; programs of 32-bit ABIs pass on the lower half.
    pub args: [u64; 6],
    /// How far it is looked at.
    pub look: Look,
}

/// How far a call is looked at; see `probe.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// What is weaker than ERRNO is not told apart.
    First,
    /// It is told apart, and the call is never carried out.
    Trace,
    /// It is harmless to carry it out.
    Run,
}

/// As many calls as the guest takes in one case.
const MOST_CALLS: usize = 1024;

impl Case {
    /// A case with one filter.
    pub fn new(name: impl Into<String>, policy: Policy, calls: Vec<Call>) -> Result<Self, Failure> {
        Self::stacked(name, vec![policy], calls)
    }

    /// A case with several filters, oldest first.
    pub fn stacked(name: impl Into<String>, policies: Vec<Policy>, calls: Vec<Call>) -> Result<Self, Failure> {
        let name = name.into();
        assert!(calls.len() <= MOST_CALLS, "{name} has too many calls");
        let compile = |policy| Ok(Compiler::new().compile(policy)?.into_program());
        let programs = policies.iter().map(compile).collect::<Result<_, Failure>>()?;
        Ok(Self { name, policies, programs, calls, random: false })
    }

    /// A case of random bytes with the program that its policy was compiled to.
    pub fn random(name: String, policy: Policy, program: Program, calls: Vec<Call>) -> Self {
        assert!(calls.len() <= MOST_CALLS, "{name} has too many calls");
        Self { name, policies: vec![policy], programs: vec![program], calls, random: true }
    }

    /// The length of the longest filter.
    pub fn longest(&self) -> usize {
        self.programs.iter().map(Program::len).max().unwrap_or(0)
    }

    /// What the policies say to a call: the most restrictive answer wins, of equal ones the newest with its data.
    pub fn expected(&self, arch: Arch, call: &Call) -> Action {
        let data = call.data(arch);
        let answers = self.policies.iter().rev().map(|policy| policy.decide(&data));
        let plain = |action: &Action| action.to_raw().cast_signed() >> 16;
        answers.min_by_key(plain).unwrap_or(Action::Allow)
    }

    /// The case in the words of the guest; see `probe.c`.
    pub fn plan(&self, id: usize, arch: Arch) -> String {
        let mut text = format!("C {id}\n");
        for program in &self.programs {
            let _ = write!(text, "F {} ", program.len());
            // In the byte order of the guest, also if the policy is about other machines.
            for byte in program.to_bytes(arch.endian()) {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\n');
        }
        for call in &self.calls {
            let how = match call.look {
                Look::First => 'f',
                Look::Trace => 't',
                Look::Run if self.expected(arch, call) == Action::Log => 'l',
                Look::Run => 'c',
            };
            let _ = write!(text, "P {how} {:x}", call.nr);
            for arg in call.args {
                let _ = write!(text, " {arg:x}");
            }
            text.push('\n');
        }
        text + "E\n"
    }
}

impl Call {
    /// The call as a filter sees it, but for the upper halves of arguments of 32-bit ABIs, which no policy looks at.
    pub fn data(&self, arch: Arch) -> SyscallData {
        SyscallData { nr: self.seen_number(arch), arch: arch.audit(), args: self.args, ..SyscallData::default() }
    }

    /// The number that a filter sees: on s390 it comes from 16 bits of a register.
    pub fn seen_number(&self, arch: Arch) -> u32 {
        match arch {
            Arch::S390x | Arch::S390 => self.nr & 0xffff,
            _ => self.nr,
        }
    }
}
