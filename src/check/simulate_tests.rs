//! Every operation once, with operands at which a slip would show.

use super::*;
use crate::bpf::opcode::*;
use alloc::vec;

const CALL: SyscallData = SyscallData {
    nr: 0x1234_5678,
    arch: 0xc000_003e,
    instruction_pointer: 0x1111_2222_3333_4444,
    args: [0x0a00_0001_0b00_0002, 1, 2, 3, 4, u64::MAX],
};

/// Runs the instructions and returns A.
fn a_after(body: &[Insn]) -> u32 {
    let mut insns = body.to_vec();
    insns.push(Insn::stmt(RET_A, 0));
    simulate(&Program::new(insns).unwrap(), &CALL, Endian::Little).raw
}

fn constants(code: u16, a: u32, k: u32) -> u32 {
    a_after(&[Insn::stmt(LD_IMM, a), Insn::stmt(code, k)])
}

fn with_x(code: u16, a: u32, x: u32) -> u32 {
    a_after(&[Insn::stmt(LD_IMM, a), Insn::stmt(LDX_IMM, x), Insn::stmt(code, 0xdead)])
}

#[test]
fn loads() {
    assert_eq!(a_after(&[]), 0);
    assert_eq!(a_after(&[Insn::stmt(LD_IMM, 9), Insn::stmt(TXA, 0)]), 0);
    assert_eq!(a_after(&[Insn::stmt(LD_W_ABS, 0)]), 0x1234_5678);
    assert_eq!(a_after(&[Insn::stmt(LD_W_ABS, 4)]), 0xc000_003e);
    assert_eq!(a_after(&[Insn::stmt(LD_W_ABS, 8)]), 0x3333_4444);
    assert_eq!(a_after(&[Insn::stmt(LD_W_ABS, 20)]), 0x0a00_0001);
    assert_eq!(a_after(&[Insn::stmt(LD_W_ABS, 60)]), u32::MAX);
    assert_eq!(a_after(&[Insn::stmt(LD_W_LEN, 0)]), 64);
    assert_eq!(a_after(&[Insn::stmt(LDX_W_LEN, 0), Insn::stmt(TXA, 0)]), 64);
    let big = Program::new(vec![Insn::stmt(LD_W_ABS, 20), Insn::stmt(RET_A, 0)]).unwrap();
    assert_eq!(simulate(&big, &CALL, Endian::Big).raw, 0x0b00_0002);
}

#[test]
fn moves_and_scratch() {
    let swap = [
        Insn::stmt(LD_IMM, 7),
        Insn::stmt(ST, 0),
        Insn::stmt(LDX_IMM, 8),
        Insn::stmt(STX, 15),
        Insn::stmt(LDX_MEM, 0),
        Insn::stmt(LD_MEM, 15),
        Insn::stmt(SUB_X, 0),
    ];
    assert_eq!(a_after(&swap), 1);
    assert_eq!(a_after(&[Insn::stmt(LD_IMM, 5), Insn::stmt(TAX, 0), Insn::stmt(LD_IMM, 6), Insn::stmt(TXA, 0)]), 5);
}

#[test]
fn arithmetic_wraps() {
    let cases = [
        (ADD_K, ADD_X, u32::MAX, 2, 1),
        (SUB_K, SUB_X, 1, 2, u32::MAX),
        (MUL_K, MUL_X, 0x8000_0001, 2, 2),
        (DIV_K, DIV_X, u32::MAX, 2, 0x7fff_ffff),
        (OR_K, OR_X, 0xf0, 0x0f, 0xff),
        (AND_K, AND_X, 0xf3, 0x0f, 0x03),
        (XOR_K, XOR_X, 0xff, 0x0f, 0xf0),
        (LSH_K, LSH_X, 0xf000_0001, 4, 0x10),
        (RSH_K, RSH_X, 0xf000_0001, 4, 0x0f00_0000),
    ];
    for (by_constant, by_x, a, operand, result) in cases {
        assert_eq!(constants(by_constant, a, operand), result, "{by_constant:#x}");
        assert_eq!(with_x(by_x, a, operand), result, "{by_x:#x}");
    }
    assert_eq!(constants(NEG, 1, 0), u32::MAX);
    assert_eq!(constants(NEG, 0x8000_0000, 0), 0x8000_0000);
}

#[test]
fn odd_operands_of_x() {
    // A division by zero ends the program with the result 0, before the RET.
    let program =
        Program::new(vec![Insn::stmt(LD_IMM, 7), Insn::stmt(DIV_X, 0), Insn::stmt(RET_K, Action::Allow.to_raw())]);
    let run = simulate(&program.unwrap(), &CALL, Endian::Little);
    assert_eq!((run.raw, run.steps, run.action()), (0, 2, Action::KillThread));
    assert_eq!(with_x(LSH_X, 1, 33), 2);
    assert_eq!(with_x(RSH_X, 4, 33), 2);
}

#[test]
fn jumps_and_paths() {
    let cases = [
        (JEQ_K, JEQ_X, 5, 5, 6),
        (JGT_K, JGT_X, 0x8000_0000, 0x7fff_ffff, 0x8000_0000),
        (JGE_K, JGE_X, 0x8000_0000, 0x8000_0000, 0x8000_0001),
        (JSET_K, JSET_X, 0b110, 0b010, 0b001),
    ];
    for (by_constant, by_x, a, taken, not_taken) in cases {
        for (operand, result) in [(taken, 1), (not_taken, 2)] {
            let by_constant = [Insn::stmt(LD_IMM, a), Insn::new(by_constant, 1, 0, operand)];
            let by_x = [Insn::stmt(LD_IMM, a), Insn::stmt(LDX_IMM, operand), Insn::new(by_x, 1, 0, 0)];
            for head in [&by_constant[..], &by_x[..]] {
                let mut insns = head.to_vec();
                insns.extend([Insn::stmt(RET_K, 2), Insn::stmt(JA, 1), Insn::stmt(RET_K, 3), Insn::stmt(RET_K, 1)]);
                let program = Program::new(insns).unwrap();
                let run = simulate(&program, &CALL, Endian::Little);
                assert_eq!(run.raw, result, "{:?}", program.as_insns());
                let quick = evaluate(&program, &CALL, Endian::Little);
                assert_eq!((quick.raw, quick.steps), (run.raw, run.steps));
                let end = head.len();
                let mut path: Vec<_> = (0..end).collect();
                path.extend(if result == 1 { vec![end + 1, end + 3] } else { vec![end] });
                assert_eq!(run.path, path);
            }
        }
    }
}
