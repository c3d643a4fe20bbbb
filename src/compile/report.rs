//! The figures of a filter.

use super::dispatch::Dispatch;
use super::{vectors, weights};
use crate::arch::Arch;
use crate::bpf::{Action, Insn, Program, SyscallData, opcode};
use crate::check::{Emulation, Emulator, NotCacheable, Obstacle, Proof, emulate, evaluate};
use crate::code::Shares;
use crate::policy::Policy;
use alloc::vec::Vec;
use core::fmt;

/// The figures of a filter. Steps are executed instructions, the return included.
///
/// See the example of [`Compiler`](crate::Compiler).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Instructions of the program; the kernel accepts 4096.
    pub len: usize,
    /// Instructions after the kernel's conversion to eBPF, which its limit for stacked filters counts.
    pub ebpf_len: usize,
    /// The longest way through the program, in steps.
    pub worst_path: u32,
    /// One for each listed ABI, in the order of the policy.
    pub arches: Vec<ArchReport>,
    /// The size of the proof.
    pub proof: Proof,
    /// States that the search for the best order of comparisons visited.
    pub search_states: usize,
    /// Calls whose rules were too tangled to be decided together, and are asked one after the other.
    pub chained_calls: usize,
}

/// The figures of a filter on one ABI.
///
/// See the example of [`Compiler`](crate::Compiler).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ArchReport {
    /// The ABI.
    pub arch: Arch,
    /// How many calls of the ABI our table knows. Means are over these.
    pub known: usize,
    /// Mean steps, every call alike. A call that may be allowed counts with arguments for which it is, any other with
    /// all arguments tried.
    pub mean_steps: f64,
    /// Mean steps, weighted by how often servers make a call.
    pub mix_steps: f64,
    /// Most steps of any call and arguments tried.
    pub worst_steps: u32,
    /// Calls that the kernel remembers as always allowed.
    pub cacheable: usize,
    /// Calls that may be allowed and are not remembered, with the reason.
    pub uncached: Vec<Uncached>,
    /// Instructions that the kernel emulates for these calls when the filter is installed.
    pub emulated: u64,
    /// How well the calls are told apart by their numbers; `None` for a program that replaces other programs.
    pub dispatch: Option<Dispatch>,
}

/// A call that may be allowed, but runs the filter every time.
///
/// See the example of [`Compiler`](crate::Compiler).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uncached {
    /// The number.
    pub nr: u32,
    /// The name.
    pub name: &'static str,
    /// What is in the way.
    pub reason: NotCacheable,
}

/// The figures of a program; `arguments` gives the argument vectors to try for a call.
pub(super) fn measure(
    program: &Program,
    arches: &[Arch],
    proof: Proof,
    arguments: &dyn Fn(Arch, u32) -> Vec<[u64; 6]>,
) -> Report {
    Report {
        len: program.len(),
        ebpf_len: program.ebpf_len(),
        worst_path: longest(program.as_insns()),
        arches: arches.iter().map(|&arch| of_arch(program, arch, arguments)).collect(),
        proof,
        search_states: 0,
        chained_calls: 0,
    }
}

/// The argument vectors for the calls of a policy.
pub(super) fn arguments(policy: &Policy) -> impl Fn(Arch, u32) -> Vec<[u64; 6]> + '_ {
    |arch, nr| {
        let section = policy.sections.iter().find(|section| section.arch == arch);
        vectors::vectors(section.and_then(|section| section.calls.get(&nr)).map_or(&[][..], |rules| rules))
    }
}

#[allow(clippy::cast_precision_loss)] // Means of a few hundred small numbers.
fn of_arch(program: &Program, arch: Arch, arguments: &dyn Fn(Arch, u32) -> Vec<[u64; 6]>) -> ArchReport {
    let mut report = ArchReport {
        arch,
        known: 0,
        mean_steps: 0.0,
        mix_steps: 0.0,
        worst_steps: 0,
        cacheable: 0,
        uncached: Vec::new(),
        emulated: 0,
        dispatch: None,
    };
    let mut mix = weights::mix(arch).into_iter().peekable();
    let mut mix_sum = 0.0;
    let mut emulator = Emulator::new(program, arch.audit());
    for (nr, name) in arch.syscalls() {
        let emulation = emulator.emulate(nr);
        let call = of_call(program, arch, nr, &emulation, arguments);
        report.known += 1;
        report.mean_steps += call.mean;
        report.worst_steps = report.worst_steps.max(call.worst);
        // Both ascend.
        while mix.next_if(|&(other, _)| other < nr).is_some() {}
        let share = f64::from(mix.next_if(|&(other, _)| other == nr).map_or(0, |(_, share)| share));
        report.mix_steps += share * call.mean;
        mix_sum += share;
        report.emulated += u64::from(emulation.steps);
        match emulation.verdict {
            Ok(()) => report.cacheable += 1,
            Err(reason) if call.may_be_allowed => report.uncached.push(Uncached { nr, name, reason }),
            Err(_) => {}
        }
    }
    report.mean_steps /= (report.known as f64).max(1.0);
    report.mix_steps /= mix_sum.max(1.0);
    report
}

struct Call {
    mean: f64,
    worst: u32,
    may_be_allowed: bool,
}

fn of_call(
    program: &Program,
    arch: Arch,
    nr: u32,
    emulation: &Emulation,
    arguments: &dyn Fn(Arch, u32) -> Vec<[u64; 6]>,
) -> Call {
    if let Some(raw) = only_answer(emulation) {
        return Call { mean: emulation.steps.into(), worst: emulation.steps, may_be_allowed: is_allowed(raw) };
    }
    // Allowed and other calls: how many, and their steps.
    let (mut allowed, mut other) = ((0_u32, 0_u32), (0_u32, 0_u32));
    let mut worst = 0;
    for args in arguments(arch, nr) {
        let call = SyscallData { nr, arch: arch.audit(), args, ..SyscallData::default() };
        let outcome = evaluate(program, &call, arch.endian());
        worst = worst.max(outcome.steps);
        let sum = if is_allowed(outcome.raw) { &mut allowed } else { &mut other };
        *sum = (sum.0 + 1, sum.1.saturating_add(outcome.steps));
    }
    let (count, steps) = if allowed.0 > 0 { allowed } else { other };
    Call { mean: f64::from(steps) / f64::from(count.max(1)), worst, may_be_allowed: allowed.0 > 0 }
}

/// The answer of a program that ends before it looks at an argument: every call with this number takes the same way.
fn only_answer(emulation: &Emulation) -> Option<u32> {
    match emulation.verdict {
        Ok(()) => Some(Action::Allow.to_raw()),
        Err(NotCacheable { obstacle: Obstacle::Returns(raw), .. }) => Some(raw),
        Err(_) => None,
    }
}

fn is_allowed(raw: u32) -> bool {
    matches!(Action::as_kernel(raw), Action::Allow | Action::Log)
}

/// The longest way from the start to a return.
pub(super) fn longest(insns: &[Insn]) -> u32 {
    ways(insns).first().copied().unwrap_or(0)
}

/// The longest way from each instruction to a return, counted from the end because jumps lead forward.
fn ways(insns: &[Insn]) -> Vec<u32> {
    let mut ways = alloc::vec![0_u32; insns.len()];
    for (pc, insn) in insns.iter().enumerate().rev() {
        let at = |distance: u32| ways.get(pc + 1 + distance as usize).copied().unwrap_or(0);
        let next = match insn.code {
            opcode::RET_K | opcode::RET_A => 0,
            opcode::JA => at(insn.k),
            _ => at(insn.jt.into()).max(at(insn.jf.into())),
        };
        if let Some(place) = ways.get_mut(pc) {
            *place = next + 1;
        }
    }
    ways
}

/// Gives calls whose longest way is above the aim almost a third more weight.
pub(super) fn press(insns: &[Insn], known: &mut [Shares], aim: u32) {
    let ways = ways(insns);
    let Ok(program) = Program::new(insns.to_vec()) else { return };
    for share in known {
        let emulation = emulate(&program, share.token, share.nr);
        let behind = match emulation.verdict {
            // The emulation ends where the number alone no longer decides.
            Err(NotCacheable { pc, .. }) => ways.get(pc).map_or(0, |way| way - 1),
            Ok(()) => 0,
        };
        if emulation.steps + behind > aim {
            share.weight += share.weight / 10 * 3 + 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} instructions ({} as eBPF), longest path {}", self.len, self.ebpf_len, self.worst_path)?;
        for arch in &self.arches {
            writeln!(f, "{arch}")?;
        }
        write!(f, "proven equal to the policy over all inputs ({} nodes)", self.proof.nodes)
    }
}

impl fmt::Display for ArchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: mean {:.2} steps over {} known calls", self.arch.short_name(), self.mean_steps, self.known)?;
        write!(f, ", {:.2} as servers call, worst {}", self.mix_steps, self.worst_steps)?;
        write!(f, "; {} calls cacheable, {} allowed but not cacheable", self.cacheable, self.uncached.len())?;
        self.dispatch.map_or(Ok(()), |dispatch| write!(f, "; {dispatch}"))
    }
}
