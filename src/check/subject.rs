//! What the judge can look at.

use super::simulate;
use crate::bpf::{Action, Endian, Program, SyscallData};
use crate::policy::Policy;

/// Anything that answers system calls: a policy, a program, or the stack of programs of a process.
///
/// ```
/// use callsieve::Profile;
/// use callsieve::arch::Arch;
/// use callsieve::bpf::{Action, Endian, Insn, Program, SyscallData, opcode};
/// use callsieve::check::Subject;
/// use callsieve::policy::Target;
///
/// let policy = Profile::new(Action::Errno(1)).allow("read").resolve(&Target::new(Arch::Aarch64))?;
/// let kill = Program::new(vec![Insn::stmt(opcode::RET_K, Action::KillProcess.to_raw())])?;
/// let read = SyscallData { nr: 63, arch: Arch::Aarch64.audit(), ..SyscallData::default() };
/// assert_eq!(Subject::policy(&policy).answer(&read), Action::Allow);
/// assert_eq!(Subject::program(&kill, Endian::Little).answer(&read), Action::KillProcess);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Subject<'a>(pub(super) Kind<'a>);

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    Policy(&'a Policy),
    Program(&'a Program, Endian),
    /// The oldest first.
    Stack(&'a [Program], Endian),
    /// The least restrictive answer of several policies.
    Union(&'a [Policy]),
    /// The most restrictive one.
    Intersection(&'a [Policy]),
}

impl<'a> Subject<'a> {
    /// What a policy means.
    pub const fn policy(policy: &'a Policy) -> Self {
        Self(Kind::Policy(policy))
    }

    /// A program for targets of this byte order.
    pub const fn program(program: &'a Program, endian: Endian) -> Self {
        Self(Kind::Program(program, endian))
    }

    /// Several programs of one thread, the oldest first, for targets of this byte order. The kernel runs all of them:
    /// the lowest action wins, and of equal actions the data of the newest counts. Without any, every call is allowed.
    pub const fn stack(programs: &'a [Program], endian: Endian) -> Self {
        Self(Kind::Stack(programs, endian))
    }

    /// The least restrictive answer of several policies, in the order of [`Action`]: what [`Policy::union`] means, from
    /// the answers of its parts. Without any, every call is allowed.
    pub const fn union(policies: &'a [Policy]) -> Self {
        Self(Kind::Union(policies))
    }

    /// The most restrictive answer of several policies: what [`Policy::intersection`] means.
    pub const fn intersection(policies: &'a [Policy]) -> Self {
        Self(Kind::Intersection(policies))
    }

    /// The byte order of the target.
    pub fn endian(&self) -> Endian {
        match self.0 {
            Kind::Policy(policy) => policy.endian(),
            Kind::Union(policies) | Kind::Intersection(policies) => {
                policies.first().map_or(Endian::NATIVE, Policy::endian)
            }
            Kind::Program(_, endian) | Kind::Stack(_, endian) => endian,
        }
    }

    /// How the kernel acts on a call.
    pub fn answer(&self, call: &SyscallData) -> Action {
        Action::as_kernel(self.raw_answer(call))
    }

    /// The value that the kernel gets for a call. Of a stack it is the value that won, and 0x7fff0000 if nothing was
    /// below ALLOW.
    pub fn raw_answer(&self, call: &SyscallData) -> u32 {
        match self.0 {
            Kind::Policy(policy) => policy.decide(call).to_raw(),
            Kind::Union(policies) => {
                policies.iter().map(|policy| policy.decide(call)).max().unwrap_or(Action::Allow).to_raw()
            }
            Kind::Intersection(policies) => {
                policies.iter().map(|policy| policy.decide(call)).min().unwrap_or(Action::Allow).to_raw()
            }
            Kind::Program(program, endian) => simulate::evaluate(program, call, endian).raw,
            Kind::Stack(programs, endian) => programs.iter().rev().fold(Action::Allow.to_raw(), |won, older| {
                more_restrictive(won, simulate::evaluate(older, call, endian).raw)
            }),
        }
    }
}

impl<'a> From<&'a Policy> for Subject<'a> {
    fn from(policy: &'a Policy) -> Self {
        Self::policy(policy)
    }
}

/// What the kernel keeps when an older filter returns a value (`seccomp_run_filters` in `kernel/seccomp.c`): actions
/// are compared as signed numbers, and a value stays unless the action of the older one is below its own.
pub(super) const fn more_restrictive(won: u32, older: u32) -> u32 {
    if rank(older) < rank(won) { older } else { won }
}

/// The action part as the kernel compares it.
pub(super) const fn rank(raw: u32) -> i32 {
    (raw & 0xffff_0000).cast_signed()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // A test.
mod tests {
    use super::*;
    use crate::bpf::{Insn, opcode};
    use alloc::vec::Vec;

    #[test]
    fn stacks_follow_the_kernel() {
        let returns = |raw: u32| Program::new(alloc::vec![Insn::stmt(opcode::RET_K, raw)]).unwrap();
        let answer = |raws: &[u32]| {
            let programs: Vec<_> = raws.iter().map(|&raw| returns(raw)).collect();
            Subject::stack(&programs, Endian::Little).raw_answer(&SyscallData::default())
        };
        assert_eq!(answer(&[]), 0x7fff_0000);
        // The lowest action wins, whoever returned it.
        assert_eq!(answer(&[0x0005_0001, 0x7fff_0000]), 0x0005_0001);
        assert_eq!(answer(&[0x7fff_0000, 0x0003_0000, 0x0005_0001]), 0x0003_0000);
        // KILL_PROCESS is negative, and an unknown action keeps its rank.
        assert_eq!(answer(&[0x0000_0000, 0x8000_0000]), 0x8000_0000);
        assert_eq!(answer(&[0x0004_0000, 0x0005_0001]), 0x0004_0000);
        assert_eq!(answer(&[0x0004_0000, 0x0003_0000]), 0x0003_0000);
        // On a tie the newest counts, and data of ALLOW never does.
        assert_eq!(answer(&[0x0005_0001, 0x0005_0026]), 0x0005_0026);
        assert_eq!(answer(&[0x7fff_0007]), 0x7fff_0000);
    }
}
