//! One accepted and one refused neighbour for each rule.

use super::*;
use crate::bpf::insn::opcode::*;

const RET: Insn = Insn::stmt(RET_K, 0);

fn check(body: &[Insn]) -> Result<(), VerifyError> {
    let mut insns = body.to_vec();
    insns.push(RET);
    verify(&insns)
}

#[test]
fn length() {
    assert_eq!(verify(&[]), Err(VerifyError::Empty));
    assert_eq!(verify(&vec![RET; MAX_INSNS]), Ok(()));
    assert_eq!(verify(&vec![RET; MAX_INSNS + 1]), Err(VerifyError::TooLong { len: 4097 }));
}

#[test]
fn last_is_a_return() {
    assert_eq!(verify(&[Insn::stmt(RET_A, 0)]), Ok(()));
    assert_eq!(verify(&[Insn::stmt(TAX, 0)]), Err(VerifyError::NoReturn { pc: 0 }));
}

#[test]
fn exactly_the_kernels_opcodes() {
    let accepted = (0..=u16::MAX).filter(|&code| check(&[Insn::stmt(ST, 1), Insn::stmt(code, 0)]).is_ok());
    // Operand 0 is refused for a division, the scratch word 0 is not written, JA 0 needs one instruction behind it.
    let by_operand = [DIV_K, LD_MEM, LDX_MEM];
    let known = [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0c, 0x14, 0x15, 0x16, 0x1c, 0x1d, 0x20, 0x24, 0x25, 0x2c,
        0x2d, 0x35, 0x3c, 0x3d, 0x44, 0x45, 0x4c, 0x4d, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x80, 0x81, 0x84, 0x87,
        0xa4, 0xac,
    ];
    assert_eq!(accepted.collect::<Vec<_>>(), known);
    for code in by_operand {
        assert_eq!(check(&[Insn::stmt(ST, 1), Insn::stmt(code, 1)]), Ok(()));
    }
    assert_eq!(check(&[Insn::stmt(0x94, 1)]), Err(VerifyError::Opcode { pc: 0, code: 0x94 })); // MOD
}

#[test]
fn operands() {
    assert_eq!(check(&[Insn::stmt(LD_W_ABS, 60)]), Ok(()));
    assert_eq!(check(&[Insn::stmt(LD_W_ABS, 64)]), Err(VerifyError::LoadOffset { pc: 0, k: 64 }));
    assert_eq!(check(&[Insn::stmt(LD_W_ABS, 2)]), Err(VerifyError::LoadOffset { pc: 0, k: 2 }));
    assert_eq!(check(&[Insn::stmt(ST, 15)]), Ok(()));
    assert_eq!(check(&[Insn::stmt(STX, 16)]), Err(VerifyError::ScratchIndex { pc: 0, k: 16 }));
    assert_eq!(check(&[Insn::stmt(DIV_K, 0)]), Err(VerifyError::DivideByZero { pc: 0 }));
    assert_eq!(check(&[Insn::stmt(LSH_K, 31)]), Ok(()));
    assert_eq!(check(&[Insn::stmt(RSH_K, 32)]), Err(VerifyError::ShiftCount { pc: 0, k: 32 }));
}

#[test]
fn jumps() {
    assert_eq!(check(&[Insn::stmt(JA, 0)]), Ok(()));
    assert_eq!(check(&[Insn::stmt(JA, 1)]), Err(VerifyError::JumpOutOfRange { pc: 0 }));
    assert_eq!(check(&[Insn::stmt(JA, u32::MAX)]), Err(VerifyError::JumpOutOfRange { pc: 0 }));
    for code in [JEQ_K, JEQ_X, JGT_K, JGT_X, JGE_K, JGE_X, JSET_K, JSET_X] {
        assert_eq!(check(&[Insn::new(code, 1, 0, 0), RET]), Ok(()));
        assert_eq!(check(&[Insn::new(code, 1, 0, 0)]), Err(VerifyError::JumpOutOfRange { pc: 0 }));
        assert_eq!(check(&[Insn::new(code, 0, 1, 0)]), Err(VerifyError::JumpOutOfRange { pc: 0 }));
    }
}

#[test]
fn scratch_memory() {
    let read = Insn::stmt(LD_MEM, 3);
    let write = Insn::stmt(ST, 3);
    assert_eq!(check(&[write, read]), Ok(()));
    assert_eq!(check(&[read]), Err(VerifyError::ScratchUnset { pc: 0, k: 3 }));
    // Written on one of two paths.
    for (jt, jf) in [(0, 1), (1, 0)] {
        let one_path = [Insn::stmt(LD_IMM, 0), Insn::new(JEQ_K, jt, jf, 0), write, read];
        assert_eq!(check(&one_path), Err(VerifyError::ScratchUnset { pc: 3, k: 3 }));
    }
    // Jumped over.
    assert_eq!(check(&[Insn::stmt(JA, 1), write, read]), Err(VerifyError::ScratchUnset { pc: 2, k: 3 }));
    // Behind a return the kernel goes on with what it knew there.
    assert_eq!(check(&[write, RET, read]), Ok(()));
    assert_eq!(check(&[RET, read]), Err(VerifyError::ScratchUnset { pc: 1, k: 3 }));
}

#[test]
fn checked_by_the_compiler() {
    const GOOD: Result<(), VerifyError> = verify(&[RET]);
    const BAD: Result<(), VerifyError> = verify(&[Insn::stmt(RSH_K, 99), RET]);
    assert_eq!((GOOD, BAD), (Ok(()), Err(VerifyError::ShiftCount { pc: 0, k: 99 })));
}
