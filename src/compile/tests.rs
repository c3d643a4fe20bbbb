//! Compiled programs against the meaning of their policies.

use super::stages;
use crate::bpf::{Action, Endian, Insn, Program, SyscallData, opcode};
use crate::code::Shares;
use crate::fuzzing::random_policy;
use crate::opt::Params;
use crate::policy::{Policy, Rule, Test};
use alloc::vec::Vec;
use arbitrary::Unstructured;
use proptest::prelude::*;

/// Runs a program; only what the compiler emits.
fn run(insns: &[Insn], data: &SyscallData, endian: Endian) -> (u32, usize) {
    let (mut a, mut pc, mut steps) = (0, 0, 0);
    loop {
        let insn = insns[pc];
        steps += 1;
        pc += 1;
        let mut jump = |holds: bool| pc += usize::from(if holds { insn.jt } else { insn.jf });
        match insn.code {
            opcode::LD_W_ABS => a = data.word(insn.k, endian).unwrap(),
            opcode::AND_K => a &= insn.k,
            opcode::JEQ_K => jump(a == insn.k),
            opcode::JGE_K => jump(a >= insn.k),
            opcode::JSET_K => jump(a & insn.k != 0),
            opcode::JA => pc += insn.k as usize,
            opcode::RET_K => return (insn.k, steps),
            other => panic!("{other:#x} is not ours"),
        }
    }
}

/// Values at which a test may change its mind.
fn edges(test: &Test) -> Vec<u64> {
    let (value, mask) = match *test {
        Test::Eq(v) | Test::Ne(v) | Test::Lt(v) | Test::Le(v) | Test::Gt(v) | Test::Ge(v) => (v, u64::MAX),
        Test::MaskedEq { mask, value } => (value, mask),
    };
    let near = [value, value.wrapping_sub(1), value.wrapping_add(1), value | !mask, value ^ mask, mask, !mask];
    let flips = [0, 1 << 31, 1 << 32, 1 << 63, 0xffff_ffff, 0xffff_ffff << 32];
    near.iter().flat_map(|value| flips.iter().map(move |flip| value ^ flip)).collect()
}

/// Calls around every number and every constant of a policy.
fn vectors(policy: &Policy, seed: u64) -> Vec<SyscallData> {
    let mut state = seed | 1;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let mut calls = Vec::new();
    let mut tokens: Vec<u32> = policy.arches().map(crate::arch::Arch::audit).collect();
    tokens.extend([0, u32::MAX, 0xc000_003f, 0x4000_0002]);
    let mut numbers: Vec<u32> = Vec::from([0, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xbfff_ffff]);
    numbers.extend([0xc000_0000, 0xffff_fffe, u32::MAX]);
    for &nr in policy.sections.iter().flat_map(|section| section.calls.keys()) {
        numbers.extend([nr, nr.wrapping_sub(1), nr.wrapping_add(1)]);
    }
    numbers.sort_unstable();
    numbers.dedup();
    for &arch in &tokens {
        calls.extend(numbers.iter().map(|&nr| SyscallData { nr, arch, ..SyscallData::default() }));
    }
    for section in &policy.sections {
        for (&nr, rules) in &section.calls {
            let edges_of = |arg: u8| -> Vec<u64> {
                let tests = rules.iter().flat_map(|rule: &Rule| &rule.conditions).filter(|c| c.arg == arg);
                let mut edges: Vec<u64> = tests.flat_map(|condition| edges(&condition.test)).collect();
                edges.push(0);
                edges
            };
            let edges: [Vec<u64>; 6] = core::array::from_fn(|arg| edges_of(u8::try_from(arg).unwrap()));
            for _ in 0..60 {
                let args = core::array::from_fn(|arg| edges[arg][random(edges[arg].len())]);
                calls.push(SyscallData { nr, arch: section.arch.audit(), instruction_pointer: 7, args });
            }
        }
    }
    calls
}

fn agrees(policy: &Policy, known: &[Shares], params: Params, seed: u64) -> usize {
    let stages = stages(policy, known, params);
    let program = Program::new(stages.insns).unwrap();
    for call in vectors(policy, seed) {
        let (raw, _) = run(program.as_insns(), &call, policy.endian());
        let wanted = policy.decide(&call);
        assert_eq!(Action::from_raw(raw), Some(wanted), "{call:x?}\n{}\n{policy:#?}", stages.built);
    }
    program.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_policies_keep_their_meaning(bytes in prop::collection::vec(any::<u8>(), 4096), seed: u64) {
        let policy = random_policy(&mut Unstructured::new(&bytes)).unwrap();
        for params in [Params::default(), Params { few: 0, ..Params::default() }, Params { max_runs: 0, ..Params::default() }] {
            agrees(&policy, &[], params, seed);
        }
    }
}
