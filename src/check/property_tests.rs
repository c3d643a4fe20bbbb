//! Random policies, programs and mutations: the proof against the interpreter and `decide()`.

use super::{ProveError, Prover, bdd, boundary_calls, evaluate, naive, prove, simulate, symbolic, words};
use crate::bpf::opcode::*;
use crate::bpf::{Action, Endian, Insn, Program, SyscallData};
use crate::fuzzing::random_policy;
use crate::policy::Policy;
use alloc::vec::Vec;
use arbitrary::Unstructured;
use proptest::prelude::*;

pub(super) fn policies() -> impl Strategy<Value = (Policy, Program)> {
    let bytes = proptest::collection::vec(any::<u8>(), 1500);
    bytes.prop_filter_map("bytes ran out or the naive program is too long", |bytes| {
        let policy = random_policy(&mut Unstructured::new(&bytes)).ok()?;
        let program = naive::compile(&policy)?;
        Some((policy, program))
    })
}

/// A call at which the program is wrong, by dense sampling.
fn sampled_difference(program: &Program, policy: &Policy) -> Option<SyscallData> {
    let wrong = |call: &SyscallData| evaluate(program, call, policy.endian()).raw != policy.decide(call).to_raw();
    boundary_calls(policy).into_iter().find(wrong)
}

/// Checks one answer of the prover by other means.
fn judge(program: &Program, policy: &Policy) -> Result<bool, TestCaseError> {
    match Prover::new().max_nodes(200_000).prove(program, policy) {
        Ok(_) => {
            let call = sampled_difference(program, policy);
            prop_assert!(call.is_none(), "proven, but different at {:x?}", call);
            Ok(true)
        }
        Err(ProveError::Differs(example)) => {
            let got = simulate(program, &example.call, policy.endian());
            prop_assert_eq!((got.raw, &got.path), (example.got, &example.path));
            prop_assert_eq!(policy.decide(&example.call), example.expected);
            prop_assert_ne!(example.got, example.expected.to_raw());
            Ok(false)
        }
        Err(ProveError::TooLarge { .. }) => Ok(false),
        Err(error) => Err(TestCaseError::fail(alloc::format!("{error}"))),
    }
}

/// Changes one instruction by one field.
fn mutate(program: &Program, at: prop::sample::Index, kind: u8, value: u8) -> Option<Program> {
    let mut insns = program.as_insns().to_vec();
    let index = at.index(insns.len());
    let insn = &mut insns[index];
    match kind {
        0 => insn.k = insn.k.wrapping_add(1),
        1 => insn.k = insn.k.wrapping_sub(1),
        2 => insn.k ^= 1 << (value % 32),
        3 => core::mem::swap(&mut insn.jt, &mut insn.jf),
        4 => insn.jt = insn.jt.wrapping_add(value % 5 + 1),
        5 => insn.jf = insn.jf.wrapping_add(value % 5 + 1),
        6 => insn.code = [JEQ_K, JGT_K, JGE_K, JSET_K][usize::from(value % 4)],
        7 => *insn = Insn::stmt(RET_K, Action::Errno(u16::from(value)).to_raw()),
        8 => *insn = Insn::stmt(LD_W_ABS, u32::from(value % 16) * 4),
        _ => *insn = Insn::stmt([TAX, TXA, NEG, ADD_X, AND_X][usize::from(value % 5)], 0),
    }
    Program::new(insns).ok().filter(|mutant| mutant != program)
}

/// Any program that the kernel accepts, with all operations and jumps.
pub(super) fn programs() -> impl Strategy<Value = Program> {
    const CODES: [u16; 38] = [
        LD_W_ABS, LD_IMM, LD_MEM, LD_W_LEN, LDX_IMM, LDX_MEM, LDX_W_LEN, ST, STX, TAX, TXA, RET_K, RET_A, ADD_K, ADD_X,
        SUB_K, SUB_X, MUL_K, DIV_K, DIV_X, OR_K, OR_X, AND_K, AND_X, LSH_K, LSH_X, RSH_K, RSH_X, NEG, XOR_K, XOR_X, JA,
        JEQ_K, JEQ_X, JGT_K, JGE_X, JSET_K, JSET_X,
    ];
    let insn = (prop::sample::select(&CODES[..]), 0..4_u8, 0..4_u8, any::<u32>(), 0..5_u8);
    proptest::collection::vec(insn, 1..24).prop_filter_map("refused by the kernel's checks", |raw| {
        // Bytes instead of words, so that the diagrams stay small.
        let mut insns = alloc::vec![Insn::stmt(ST, 0), Insn::stmt(ST, 1)];
        for (code, jt, jf, k, size) in raw {
            let k = match code {
                LD_W_ABS => {
                    insns.push(Insn::stmt(LD_W_ABS, k % 16 * 4));
                    insns.push(Insn::stmt(AND_K, 0xf << (k >> 8 & 15)));
                    continue;
                }
                LD_MEM | LDX_MEM | ST | STX => k % 2,
                LSH_K | RSH_K => k % 32,
                JA => k % 3,
                DIV_K => k.max(1) >> size,
                _ => k >> (size * 6),
            };
            insns.push(Insn::new(code, jt, jf, k));
        }
        insns.extend([Insn::stmt(AND_K, 0xf), Insn::stmt(RET_A, 0), Insn::stmt(RET_K, 7), Insn::stmt(RET_K, 8)]);
        Program::new(insns).ok()
    })
}

/// Values with few bits, so that different words and tests meet.
pub(super) fn calls() -> impl Strategy<Value = SyscallData> {
    let word = prop_oneof![any::<u64>(), (0..64_u32).prop_map(|bit| 1 << bit), 0..20_u64, Just(u64::MAX)];
    let args = [(); 6].map(|()| word.clone());
    (any::<u32>(), any::<u32>(), word.clone(), args).prop_map(|(nr, arch, instruction_pointer, args)| SyscallData {
        nr,
        arch,
        instruction_pointer,
        args,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn naive_programs_are_proven((policy, program) in policies()) {
        let proof = prove(&program, &policy);
        prop_assert!(proof.is_ok(), "{:?}", proof);
        prop_assert_eq!(sampled_difference(&program, &policy), None);
    }

    #[test]
    fn mutants_are_found_or_harmless(
        (policy, program) in policies(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0..10_u8, any::<u8>()), 12),
    ) {
        for (at, kind, value) in changes {
            if let Some(mutant) = mutate(&program, at, kind, value) {
                judge(&mutant, &policy)?;
            }
        }
    }

    /// The program of one policy against another one that differs a little: proven only if `decide()` agrees.
    #[test]
    fn other_policies_differ((policy, program) in policies(), at in any::<prop::sample::Index>(), errno in 0..40_u16) {
        let mut other = policy.clone();
        let section = at.index(other.sections.len());
        let section = &mut other.sections[section];
        let rules = section.calls.values_mut().filter_map(alloc::sync::Arc::get_mut);
        match rules.flatten().next() {
            Some(rule) => rule.action = Action::Errno(errno),
            None => section.default = Action::Errno(errno),
        }
        judge(&program, &other)?;
    }

    /// Arbitrary programs: the diagram and the interpreter agree on every call that is tried.
    #[test]
    fn diagrams_are_the_interpreter(program in programs(), calls in proptest::collection::vec(calls(), 64), big: bool) {
        let endian = if big { Endian::Big } else { Endian::Little };
        let mut bdd = bdd::Bdd::new(bdd::Budget { nodes: 100_000, steps: 1_600_000 }, 0);
        if let Ok((function, _)) = symbolic::behaviour(&mut bdd, program.as_insns(), endian) {
            for call in calls {
                let expected = evaluate(&program, &call, endian).raw;
                prop_assert_eq!(words::value(&bdd, function, &call), expected, "{:x?} {:?}", call, program.as_insns());
            }
        }
    }
}

/// The mutation test has teeth: most mutants are found. The harmless ones skip a load whose value is in A already, or
/// change the distance to an equal return.
#[test]
fn mutants_die() {
    let condition = crate::policy::Condition {
        arg: 1,
        width: crate::profile::Width::Bits64,
        test: crate::policy::Test::Ge(0x1_0000_0001),
    };
    let calls: Vec<_> = (0..20).map(|nr| (nr * 3, alloc::vec![naive::rule(&[condition])])).collect();
    let policy = naive::policy(crate::arch::Arch::X86_64, &calls);
    let program = naive::compile(&policy).unwrap();
    let (mut killed, mut harmless) = (0, 0);
    for pc in 0..program.len() {
        let mut insns = program.as_insns().to_vec();
        insns[pc].k = insns[pc].k.wrapping_add(1);
        let Ok(mutant) = Program::new(insns) else { continue };
        match prove(&mutant, &policy) {
            Err(ProveError::Differs(_)) => killed += 1,
            answer => {
                assert!(answer.is_ok());
                assert_eq!(sampled_difference(&mutant, &policy), None);
                harmless += 1;
            }
        }
    }
    assert!(killed > 2 * harmless, "{killed} killed, {harmless} harmless");
}
