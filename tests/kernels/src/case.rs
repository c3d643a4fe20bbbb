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
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The number as the program gives it to the kernel.
    pub nr: u32,
    /// All 64 bits of each argument; programs of 32-bit ABIs pass on the lower half.
    pub args: [u64; 6],
    /// Whether it is harmless to carry it out.
    pub carry: bool,
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
        Ok(Self { name, policies, programs, calls })
    }

    /// The length of the longest filter.
    pub fn longest(&self) -> usize {
        self.programs.iter().map(Program::len).max().unwrap_or(0)
    }

    /// What the policies say to a call: the most restrictive answer wins, of equal ones the newest with its data.
    pub fn expected(&self, arch: Arch, call: &Call) -> Action {
        let data =
            SyscallData { nr: call.seen_number(arch), arch: arch.audit(), args: call.args, ..SyscallData::default() };
        let answers = self.policies.iter().rev().map(|policy| policy.decide(&data));
        let plain = |action: &Action| action.to_raw().cast_signed() >> 16;
        answers.min_by_key(plain).unwrap_or(Action::Allow)
    }

    /// The case in the words of the guest; see `probe.c`.
    pub fn plan(&self, id: usize, arch: Arch) -> String {
        let logs = self.calls.iter().any(|call| self.expected(arch, call) == Action::Log);
        let mut text = format!("C {id} {}\n", u8::from(logs));
        for program in &self.programs {
            let _ = write!(text, "F {} ", program.len());
            // In the byte order of the guest, also if the policy is about other machines.
            for byte in program.to_bytes(arch.endian()) {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\n');
        }
        for Call { nr, args: [a, b, c, d, e, f], carry } in &self.calls {
            let _ = writeln!(text, "P {} {nr:x} {a:x} {b:x} {c:x} {d:x} {e:x} {f:x}", u8::from(*carry));
        }
        text + "E\n"
    }
}

impl Call {
    /// The number that a filter sees: on s390 it comes from 16 bits of a register.
    pub fn seen_number(&self, arch: Arch) -> u32 {
        match arch {
            Arch::S390x | Arch::S390 => self.nr & 0xffff,
            _ => self.nr,
        }
    }
}
