//! Programs in place of others.

use super::*;
use crate::fuzzing::random_policy;
use crate::policy::{Policy, Target};
use crate::profile::{Profile, arg};
use alloc::string::ToString;
use arbitrary::Unstructured;

const X86_64: [Arch; 1] = [Arch::X86_64];

fn program(insns: &[Insn]) -> Program {
    Program::new(insns.to_vec()).unwrap()
}

fn returns(raw: u32) -> Program {
    program(&[Insn::stmt(opcode::RET_K, raw)])
}

fn container(kind: fn(Profile) -> Profile) -> Policy {
    kind(Profile::container_default().unwrap())
        .resolve(&Target::exactly(&[Arch::X86_64, Arch::X86, Arch::X32]))
        .unwrap()
}

#[test]
fn flags_and_listeners_must_fit() {
    let (plain, notify) = (returns(0x7fff_0000), returns(0x7fc0_0000));
    let fuse = |stack: &[Layer<'_>]| Compiler::new().fuse(stack, &X86_64).map(|made| made.filter.program.len());
    let (one, two) = (Layer::new(&plain), Layer::new(&notify));
    assert_eq!(fuse(&[one.log(true), two.log(true)]), Ok(1));
    let error = fuse(&[one, two.log(true)]).unwrap_err();
    assert_eq!(error, ReplaceError::Flags { flag: "LOG", with: 2, without: 1 });
    let error = fuse(&[one.spec_allow(true), two]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "filter 1 has the flag SECCOMP_FILTER_FLAG_SPEC_ALLOW and filter 2 has not; only filters with the same flags can \
         become one"
    );
    assert_eq!(fuse(&[one, two.listener(true)]), Ok(1));
    assert_eq!(fuse(&[two, two]), Ok(1));
    let error = fuse(&[one.listener(true), one, two.listener(true)]).unwrap_err();
    assert_eq!(error, ReplaceError::Listeners { first: 1, second: 3 });
    assert_eq!(fuse(&[one.listener(true), two]).unwrap_err(), ReplaceError::ForeignNotify { listener: 1, other: 2 });
    assert_eq!(fuse(&[]).unwrap_err(), ReplaceError::Nothing);
    assert_eq!(Compiler::new().fuse(&[one], &[]).unwrap_err(), ReplaceError::ByteOrder);
    assert_eq!(Compiler::new().fuse(&[one], &[Arch::X86, Arch::S390]).unwrap_err(), ReplaceError::ByteOrder);
}

#[test]
fn the_kernel_s_rule_decides() {
    let fused = |raws: &[u32]| {
        let stack: Vec<Program> = raws.iter().map(|&raw| returns(raw)).collect();
        let layers: Vec<Layer<'_>> = stack.iter().map(Layer::new).collect();
        let made = Compiler::new().fuse(&layers, &X86_64).unwrap();
        made.filter.program.as_insns()[0].k
    };
    assert_eq!(fused(&[0x0005_0001, 0x7fff_0000]), 0x0005_0001);
    assert_eq!(fused(&[0x0005_0001, 0x0005_0026]), 0x0005_0026);
    assert_eq!(fused(&[0x0004_0000, 0x0005_0001]), 0x0004_0000);
    // Data of ALLOW is ignored, so that one stays as it is.
    assert_eq!(fused(&[0x7fff_0007]), 0x7fff_0007);
    assert_eq!(fused(&[0, 0x8000_1234, 0x0003_0000]), 0x8000_1234);
}

#[test]
fn a_chain_becomes_a_tree_and_a_tree_stays() {
    let mut insns = alloc::vec![Insn::stmt(opcode::LD_W_ABS, 4), Insn::new(opcode::JEQ_K, 1, 0, 0xc000_003e)];
    insns.extend([Insn::stmt(opcode::RET_K, 0x8000_0000), Insn::stmt(opcode::LD_W_ABS, 0)]);
    for nr in (0..200).filter(|nr| nr % 4 != 3) {
        insns.extend([Insn::new(opcode::JEQ_K, 0, 1, nr), Insn::stmt(opcode::RET_K, 0x7fff_0000)]);
    }
    insns.push(Insn::stmt(opcode::RET_K, 0x0005_0001));
    let chain = program(&insns);
    let better = Compiler::new().recompile(&chain, &X86_64).unwrap();
    assert!(!better.is_original() && better.filter.program.len() * 2 < chain.len(), "{}", better.filter.program.len());
    let (before, after) = (&better.replaced.arches[0], &better.filter.report.arches[0]);
    assert!(after.mean_steps * 5.0 < before.mean_steps, "{before:?} {after:?}");
    assert!(after.cacheable == 150);

    let again = Compiler::new().recompile(&better.filter.program, &X86_64).unwrap();
    assert!(again.filter.program.len() <= better.filter.program.len());
    assert_eq!(again.is_original(), again.filter.program == better.filter.program);
}

/// Of every program that we make, nothing is left to gain, and nothing is lost on the way through.
#[test]
fn our_own_programs_are_lifted() {
    let mut lifted = 0;
    for seed in 0..40_u64 {
        let bytes: Vec<u8> = (0..2048_u64).map(|at| (seed + 1).wrapping_mul(at * at + 77).to_le_bytes()[1]).collect();
        let Ok(policy) = random_policy(&mut Unstructured::new(&bytes)) else { continue };
        let Ok(filter) = Compiler::new().compile(&policy) else { continue };
        let arches: Vec<Arch> = policy.arches().collect();
        match Compiler::new().recompile(filter.program(), &arches) {
            Ok(made) => {
                assert!(made.filter.program.len() <= filter.program.len());
                lifted += 1;
            }
            Err(ReplaceError::TooComplex | ReplaceError::Proof(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(lifted > 30, "{lifted}");
}

#[test]
fn two_container_filters_become_one() {
    let one = container(|profile| profile);
    let two = container(|profile| profile.rule(Action::Errno(38), "personality", [arg::<0>().eq(7)]));
    let compiler = Compiler::new();
    let [old, new] = [&one, &two].map(|policy| compiler.compile(policy).unwrap());
    let layers = [Layer::new(old.program()), Layer::new(new.program())];
    let fused = compiler.fuse(&layers, &[Arch::X86_64, Arch::X86, Arch::X32]).unwrap();
    let (before, after) = (&fused.replaced, &fused.filter.report);
    assert!(after.ebpf_len * 3 < before.ebpf_len * 2, "{after}");
    assert!(after.arches[0].mean_steps * 1.9 < before.arches[0].mean_steps, "{after}");
}

/// A stack is never made longer than one of it that says all.
#[test]
fn the_one_that_says_all_stays() {
    let compiler = Compiler::new();
    let of = |calls: [&str; 2]| Profile::new(Action::Errno(1)).allow(calls).resolve(&Target::exactly(&X86_64)).unwrap();
    let [old, new] = [of(["read", "openat"]), of(["write", "openat"])].map(|policy| compiler.compile(&policy).unwrap());
    let log = returns(Action::Log.to_raw());
    let allow = returns(Action::Allow.to_raw());
    let fuse = |stack: &[&Program]| {
        let layers: Vec<Layer<'_>> = stack.iter().map(|program| Layer::new(program)).collect();
        compiler.fuse(&layers, &X86_64).unwrap()
    };
    for stack in [&[old.program(), old.program()][..], &[&allow, old.program()], &[old.program(), &allow]] {
        let made = fuse(stack);
        assert!(made.filter.program.len() <= old.program().len());
        assert_eq!(made.is_original(), stack.contains(&&made.filter.program));
    }
    assert!(fuse(&[old.program(), old.program()]).is_original());
    // None of these says all.
    for stack in [&[old.program(), new.program()][..], &[old.program(), &log]] {
        assert!(!fuse(stack).is_original());
    }
}

/// All words of the input are lifted, in both byte orders.
#[test]
fn every_word_is_looked_at() {
    for arch in [Arch::X86_64, Arch::S390x] {
        for offset in (0..64).step_by(4) {
            let mut insns = alloc::vec![Insn::stmt(opcode::LD_W_ABS, offset), Insn::stmt(opcode::ST, 3)];
            insns.extend([Insn::stmt(opcode::LD_IMM, 1), Insn::stmt(opcode::LD_MEM, 3)]);
            insns.push(Insn::new(opcode::JEQ_K, 0, 1, 0x1234_5678));
            insns.extend([Insn::stmt(opcode::RET_K, 0x7fff_0000), Insn::stmt(opcode::RET_K, 0x0005_0007)]);
            let made = Compiler::new().recompile(&program(&insns), &[arch]).unwrap();
            let expected = [Insn::stmt(opcode::LD_W_ABS, offset), Insn::new(opcode::JEQ_K, 0, 1, 0x1234_5678)];
            assert!(made.filter.program.len() == 4, "{offset} {:?}", made.filter.program.as_insns());
            assert_eq!(made.filter.program.as_insns()[0], expected[0]);
        }
    }
}

#[test]
fn what_cannot_be_lifted_is_named() {
    // The product of two whole words.
    let insns = [
        Insn::stmt(opcode::LD_W_ABS, 16),
        Insn::stmt(opcode::TAX, 0),
        Insn::stmt(opcode::LD_W_ABS, 24),
        Insn::stmt(opcode::MUL_X, 0),
        Insn::new(opcode::JEQ_K, 0, 1, 7),
        Insn::stmt(opcode::RET_K, 0),
        Insn::stmt(opcode::RET_K, 0x7fff_0000),
    ];
    let error = Compiler::new().recompile(&program(&insns), &X86_64).unwrap_err();
    assert_eq!(error, ReplaceError::CannotLift { program: 1, pc: 4 });
    assert_eq!(error.to_string(), "cannot lift filter 1: instruction 4 depends on too many bits of the call at once");
    // Only where it can be reached.
    let mut hidden = alloc::vec![Insn::stmt(opcode::LD_IMM, 1), Insn::new(opcode::JEQ_K, 5, 0, 1)];
    hidden.extend(insns);
    assert_eq!(Compiler::new().recompile(&program(&hidden), &X86_64).unwrap().filter.program.len(), 1);
}

/// Arithmetic on a word, against all that is special about it.
#[test]
fn arithmetic_is_taken_apart() {
    use opcode::*;
    let operations = [
        Insn::stmt(ADD_K, 0xffff_fff0),
        Insn::stmt(SUB_K, 100),
        Insn::stmt(XOR_K, 0x8000_0001),
        Insn::stmt(OR_K, 0xf0),
        Insn::stmt(LSH_K, 3),
        Insn::stmt(RSH_K, 5),
        Insn::stmt(NEG, 0),
    ];
    for first in operations {
        for second in operations {
            for test in [JEQ_K, JGE_K, JGT_K, JSET_K] {
                let program = program(&[
                    Insn::stmt(LD_W_ABS, 0),
                    first,
                    second,
                    Insn::new(test, 0, 1, 0x60),
                    Insn::stmt(RET_K, 0x7fff_0000),
                    Insn::stmt(RET_K, 0x0005_0001),
                ]);
                let result = Compiler::new().recompile(&program, &X86_64);
                assert!(result.is_ok(), "{first:x?} {second:x?} {test:x}: {}", result.unwrap_err());
            }
        }
    }
}

/// Thousands of combinations of bits: an error, soon.
#[test]
fn tangled_programs_end_in_an_error() {
    let mut insns = Vec::new();
    for round in 0..120_u32 {
        insns.push(Insn::stmt(opcode::LD_W_ABS, 16 + round % 12 * 4));
        insns.push(Insn::stmt(opcode::AND_K, 0x9e37_79b9_u32.rotate_left(round)));
        insns.push(Insn::stmt(opcode::ST, round % 16));
        insns.push(Insn::stmt(opcode::LD_MEM, (round * 7 + 3) % 16));
        insns.push(Insn::new(opcode::JEQ_K, 1, 0, round.wrapping_mul(0x1010_0101)));
        insns.push(Insn::stmt(opcode::LDX_IMM, round));
    }
    for k in 0..16 {
        insns.push(Insn::stmt(opcode::LDX_MEM, k));
        insns.push(Insn::stmt(opcode::ADD_X, 0));
    }
    insns.extend([Insn::stmt(opcode::AND_K, 3), Insn::stmt(opcode::RET_A, 0)]);
    let mut start: Vec<Insn> = (0..16).map(|k| Insn::stmt(opcode::ST, k)).collect();
    start.extend(insns);
    let error = Compiler::new().recompile(&program(&start), &X86_64).unwrap_err();
    assert!(matches!(error, ReplaceError::TooComplex | ReplaceError::CannotLift { .. }), "{error}");
}
