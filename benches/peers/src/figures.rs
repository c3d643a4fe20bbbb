//! What can be counted without running anything: lengths and executed instructions.

use crate::case::Case;
use crate::mix::MIX;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, Endian, Program, SyscallData, opcode};
use callsieve::check::{cacheable, emulate, evaluate};
use callsieve::policy::Policy;
use std::collections::BTreeMap;

/// The numbers of x86_64 over which `known` is the mean.
const KNOWN: [std::ops::RangeInclusive<u32>; 2] = [0..=336, 424..=471];
/// For how many numbers of each of its two ABIs the kernel emulates a program.
const EMULATED: u32 = 470;

/// The figures of a program. Means are in executed instructions; a call that may be allowed counts with the arguments
/// for which the policy allows it, any other with all.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub len: usize,
    pub ebpf_len: usize,
    /// Over the calls that may be allowed.
    pub allowed: f64,
    /// Over all calls of x86_64.
    pub known: f64,
    /// Over all calls, as often as servers make them.
    pub mix: f64,
    /// Over the calls that are allowed for some arguments only.
    pub arg: f64,
    /// Over the calls that are never allowed.
    pub denied: f64,
    /// The longest way through the program.
    pub worst: u32,
    /// The same over the calls of the other ABIs.
    pub others: Vec<Other>,
    /// Calls that are allowed whatever their arguments: how many the kernel remembers, and how many there are.
    pub cached: (usize, usize),
    /// What the kernel executes when the filter is installed.
    pub emulated: u64,
}

/// Means on an ABI other than x86_64.
#[derive(Clone, Copy, Debug)]
pub struct Other {
    pub arch: Arch,
    /// Over all its calls.
    pub known: f64,
    /// Over those that may be allowed.
    pub allowed: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Allowed,
    Checked,
    Denied,
}

/// Measures a program against what its policy says.
pub fn measure(program: &Program, case: &Case, policy: &Policy) -> Figures {
    let arch = Arch::X86_64;
    let mix: BTreeMap<u32, f64> =
        MIX.iter().filter_map(|&(name, share)| Some((arch.number(name)?, f64::from(share)))).collect();
    let (mut known, mut allowed, mut arg, mut denied, mut weighted) =
        (Mean::default(), Mean::default(), Mean::default(), Mean::default(), Mean::default());
    let mut cached = (0, 0);
    for nr in KNOWN.into_iter().flatten() {
        let (kind, steps) = of_call(program, case, policy, arch, nr);
        known.add(steps, 1.0);
        weighted.add(steps, mix.get(&nr).copied().unwrap_or(0.0));
        match kind {
            Kind::Denied => denied.add(steps, 1.0),
            Kind::Allowed => {
                allowed.add(steps, 1.0);
                cached.1 += 1;
                cached.0 += usize::from(cacheable(program, arch, nr).is_ok());
            }
            Kind::Checked => {
                allowed.add(steps, 1.0);
                arg.add(steps, 1.0);
            }
        }
    }
    let other = |&arch: &Arch| {
        let (mut known, mut allowed) = (Mean::default(), Mean::default());
        for (nr, _) in arch.syscalls() {
            let (kind, steps) = of_call(program, case, policy, arch, nr);
            known.add(steps, 1.0);
            allowed.add(steps, if kind == Kind::Denied { 0.0 } else { 1.0 });
        }
        Other { arch, known: known.value(), allowed: allowed.value() }
    };
    let tokens = [Arch::X86_64.audit(), Arch::X86.audit()];
    let emulated = tokens.into_iter().flat_map(|token| (0..EMULATED).map(move |nr| (token, nr)));
    Figures {
        len: program.len(),
        ebpf_len: program.ebpf_len(),
        allowed: allowed.value(),
        known: known.value(),
        mix: weighted.value(),
        arg: arg.value(),
        denied: denied.value(),
        worst: longest(program),
        others: case.arches.iter().skip(1).map(other).collect(),
        cached,
        emulated: emulated.map(|(token, nr)| u64::from(emulate(program, token, nr).steps)).sum(),
    }
}

fn of_call(program: &Program, case: &Case, policy: &Policy, arch: Arch, nr: u32) -> (Kind, f64) {
    let (mut allowed, mut other) = (Mean::default(), Mean::default());
    for args in case.vectors(arch.name(nr).unwrap_or_default()) {
        let call = SyscallData { nr, arch: arch.audit(), args, ..SyscallData::default() };
        let steps = f64::from(evaluate(program, &call, Endian::Little).steps);
        let lets_pass = matches!(policy.decide(&call), Action::Allow | Action::Log);
        if lets_pass { &mut allowed } else { &mut other }.add(steps, 1.0);
    }
    match (allowed.weight > 0.0, other.weight > 0.0) {
        (true, false) => (Kind::Allowed, allowed.value()),
        (true, true) => (Kind::Checked, allowed.value()),
        _ => (Kind::Denied, other.value()),
    }
}

#[derive(Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    fn add(&mut self, value: f64, weight: f64) {
        self.sum += value * weight;
        self.weight += weight;
    }

    fn value(&self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { f64::NAN }
    }
}

/// Counted from the end, because jumps lead forward.
fn longest(program: &Program) -> u32 {
    let insns = program.as_insns();
    let mut below = vec![0_u32; insns.len()];
    for (pc, insn) in insns.iter().enumerate().rev() {
        let at = |distance: u32| below.get(pc + 1 + distance as usize).copied().unwrap_or(0);
        below[pc] = 1 + match insn.code {
            opcode::RET_K | opcode::RET_A => 0,
            opcode::JA => at(insn.k),
            _ => at(insn.jt.into()).max(at(insn.jf.into())),
        };
    }
    below.first().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use callsieve::bpf::Insn;
    use callsieve::policy::UnlistedX32;

    /// Allows what is below 10 after one test, denies the rest.
    #[test]
    fn counted_by_hand() {
        let program = Program::new(vec![
            Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
            Insn::new(opcode::JGE_K, 0, 1, 10),
            Insn::stmt(opcode::JA, 1),
            Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
            Insn::stmt(opcode::RET_K, Action::Errno(1).to_raw()),
        ])
        .unwrap();
        let cases = crate::case::all().unwrap();
        let case = cases.iter().find(|case| case.name == "p3").unwrap();
        let figures = measure(&program, case, &case.policy(UnlistedX32::Default).unwrap());
        assert_eq!((figures.len, figures.worst), (5, 4));
        // read and write take three steps, exit, exit_group and rt_sigreturn four.
        assert!((figures.allowed - 3.6).abs() < 1e-9);
        // 10 numbers take three steps, the other 375 four.
        assert!((figures.known - (30.0 + 375.0 * 4.0) / 385.0).abs() < 1e-9);
        assert_eq!(figures.cached, (2, 5));
        assert_eq!(figures.emulated, 2 * (10 * 3 + 460 * 4));
    }
}
