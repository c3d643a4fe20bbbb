//! How long a program becomes inside the kernel.

use super::insn::{Insn, opcode};
use super::verify::is_conditional;

/// Length of a program after the kernel's conversion to eBPF, as `bpf_convert_filter` (`net/core/filter.c`) counts it
/// without constant blinding. The kernel limits the sum over all stacked filters.
#[inline]
pub(super) fn ebpf_len(insns: &[Insn]) -> usize {
    let prologue = 3_usize;
    insns.iter().fold(prologue, |sum, &insn| sum.saturating_add(converted(insn)))
}

#[inline]
fn converted(insn: Insn) -> usize {
    match insn.code {
        opcode::RET_K => 2,
        opcode::DIV_X => 5,
        code if is_conditional(code) => {
            // With the false side behind it one jump is enough; with the true side behind it only if the test can be
            // turned round, which the kernel does for all but JSET.
            let inverted = insn.jt == 0 && !matches!(code, opcode::JSET_K | opcode::JSET_X);
            let one_jump = insn.jf == 0 || inverted;
            // A constant with the top bit set does not fit the signed immediate and goes through a register.
            let wide = is_constant_test(code) && insn.k.cast_signed() < 0;
            match (one_jump, wide) {
                (true, false) => 1,
                (true, true) | (false, false) => 2,
                (false, true) => 3,
            }
        }
        _ => 1,
    }
}

#[inline]
const fn is_constant_test(code: u16) -> bool {
    matches!(code, opcode::JEQ_K | opcode::JGT_K | opcode::JGE_K | opcode::JSET_K)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::insn::opcode::*;

    #[test]
    fn lengths() {
        let ret = Insn::stmt(RET_K, 0);
        assert_eq!(ebpf_len(&[ret]), 5);
        assert_eq!(ebpf_len(&[Insn::stmt(RET_A, 0)]), 4);
        assert_eq!(ebpf_len(&[Insn::new(JEQ_K, 0, 1, 7)]), 4);
        assert_eq!(ebpf_len(&[Insn::new(JEQ_K, 1, 0, 7)]), 4);
        assert_eq!(ebpf_len(&[Insn::new(JEQ_K, 1, 2, 7)]), 5);
        assert_eq!(ebpf_len(&[Insn::new(JSET_K, 0, 1, 7)]), 5);
        assert_eq!(ebpf_len(&[Insn::new(JSET_K, 1, 0, 7)]), 4);
        assert_eq!(ebpf_len(&[Insn::new(JEQ_K, 0, 1, 0xc000_003e)]), 5);
        assert_eq!(ebpf_len(&[Insn::new(JEQ_X, 0, 1, 0xc000_003e)]), 4);
        assert_eq!(ebpf_len(&[Insn::new(JEQ_K, 0, 1, 0)]), 4);
        // No jump, so neither its distances nor its constant count.
        assert_eq!(ebpf_len(&[Insn::new(LD_IMM, 1, 1, 0xc000_003e)]), 4);
        assert_eq!(ebpf_len(&[Insn::stmt(DIV_X, 0)]), 8);
    }
}
