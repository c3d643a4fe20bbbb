//! What is said of programs without running them.

use super::*;
use crate::bpf::opcode::*;
use alloc::string::{String, ToString};

const NR: Insn = Insn::stmt(LD_W_ABS, SyscallData::NR);

/// The registers, scratch words and words of the input that are needed.
fn named(needs: Needs) -> String {
    let registers = [(needs.a(), "a"), (needs.x(), "x")].into_iter().filter(|(needed, _)| *needed);
    let mut names: Vec<String> = registers.map(|(_, name)| name.to_string()).collect();
    names.extend((0..16).filter(|&k| needs.scratch(k)).map(|k| alloc::format!("m{k}")));
    names.extend((needs.words & only(Word::Arch) != 0).then(|| "arch".to_string()));
    names.extend((needs.words & only(Word::Nr) != 0).then(|| "nr".to_string()));
    names.join(" ")
}

fn needed(insns: &[Insn]) -> String {
    named(needs(insns, Endian::Little)[0])
}

#[test]
fn an_instruction_needs_what_it_reads_and_what_is_read_behind_it() {
    let ret = Insn::stmt(RET_A, 0);
    // In front of something that needs A, X, or a scratch word.
    let tails: [&[Insn]; 3] = [&[ret], &[Insn::stmt(TXA, 0), ret], &[Insn::stmt(LD_MEM, 3), ret]];
    let cases = [
        (Insn::stmt(LD_IMM, 1), ["", "x", "m3"]),
        (Insn::stmt(LD_W_LEN, 0), ["", "x", "m3"]),
        (Insn::stmt(LD_W_ABS, SyscallData::ARCH), ["arch", "x arch", "m3 arch"]),
        (NR, ["nr", "x nr", "m3 nr"]),
        (Insn::stmt(LDX_IMM, 1), ["a", "", "m3"]),
        (Insn::stmt(LDX_W_LEN, 0), ["a", "", "m3"]),
        (Insn::stmt(LD_MEM, 15), ["m15", "x m15", "m3 m15"]),
        (Insn::stmt(LDX_MEM, 0), ["a m0", "m0", "m0 m3"]),
        (Insn::stmt(ST, 3), ["a", "a x", "a"]),
        (Insn::stmt(STX, 3), ["a x", "x", "x"]),
        (Insn::stmt(TAX, 0), ["a", "a", "a m3"]),
        (Insn::stmt(TXA, 0), ["x", "x", "x m3"]),
        (Insn::stmt(ADD_K, 1), ["a", "a x", "a m3"]),
        (Insn::stmt(ADD_X, 0), ["a x", "a x", "a x m3"]),
        (Insn::stmt(NEG, 0), ["a", "a x", "a m3"]),
        (Insn::stmt(JA, 0), ["a", "x", "m3"]),
        (Insn::new(JEQ_K, 0, 0, 1), ["a", "a x", "a m3"]),
        (Insn::new(JSET_X, 0, 0, 0), ["a x", "a x", "a x m3"]),
        (Insn::stmt(RET_K, 0), ["", "", ""]),
        (ret, ["a", "a", "a"]),
    ];
    for (insn, wanted) in cases {
        let found = tails.map(|tail| needed(&[&[insn], tail].concat()));
        assert_eq!(found, wanted, "{insn:?}");
    }
}

#[test]
fn both_sides_of_a_jump_count() {
    let (ret, other) = (Insn::stmt(RET_K, 0), [Insn::stmt(LD_MEM, 7), Insn::stmt(RET_A, 0)]);
    assert_eq!(needed(&[&[Insn::new(JGE_K, 0, 1, 1), ret], &other[..]].concat()), "a m7");
    assert_eq!(needed(&[&[Insn::new(JGE_K, 1, 0, 1), ret], &other[..]].concat()), "a m7");
    assert_eq!(needed(&[&[Insn::stmt(JA, 1), Insn::stmt(RET_A, 0)], &other[..]].concat()), "m7");
    assert_eq!(needed(&[Insn::new(JEQ_K, 0, 1, 1), NR, ret]), "a nr");
}

/// The cuts of the number, each once.
fn cut(insns: &[Insn]) -> Vec<(usize, u32)> {
    let mut cuts = cuts(insns, Endian::Little, Word::Nr);
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

fn jump(code: u16, k: u32) -> Insn {
    Insn::new(code, 0, 0, k)
}

#[test]
fn comparisons_cut_the_number() {
    let max = u32::MAX;
    let blocks = |size: u32| (1..=max / size).map(|number| (1, number * size)).collect::<Vec<_>>();
    let cases = [
        (jump(JEQ_K, 5), Vec::from([(1, 5), (1, 6)])),
        (jump(JEQ_K, 0), Vec::from([(1, 1)])),
        (jump(JEQ_K, max), Vec::from([(1, max)])),
        (jump(JGT_K, 5), Vec::from([(1, 6)])),
        (jump(JGT_K, max), Vec::new()),
        (jump(JGE_K, 5), Vec::from([(1, 5)])),
        (jump(JSET_K, 1 << 31), blocks(1 << 31)),
        (jump(JSET_K, 0xf << 28), blocks(1 << 28)),
        (jump(JSET_K, 1 << 27), Vec::new()),
        (jump(JSET_K, 0), Vec::new()),
        (jump(JEQ_X, 5), Vec::new()),
    ];
    for (insn, wanted) in cases {
        assert_eq!(cut(&[NR, insn, Insn::stmt(RET_K, 0)]), wanted, "{insn:?}");
    }
    assert_eq!(cuts(&[NR, jump(JEQ_K, 5), Insn::stmt(RET_K, 0)], Endian::Little, Word::Arch), []);
}

#[test]
fn the_number_is_followed() {
    let ret = Insn::stmt(RET_K, 0);
    let five = |at| Vec::from([(at, 5), (at, 6)]);
    for keeps in [Insn::stmt(ST, 1), Insn::stmt(STX, 1), Insn::stmt(TAX, 0), Insn::stmt(LDX_IMM, 1), Insn::stmt(JA, 0)]
    {
        assert_eq!(cut(&[NR, keeps, jump(JEQ_K, 5), ret]), five(2), "{keeps:?}");
    }
    for keeps in [Insn::stmt(LDX_MEM, 1), Insn::stmt(LDX_W_LEN, 0), jump(JSET_X, 1)] {
        assert_eq!(cut(&[NR, keeps, jump(JEQ_K, 5), ret]), five(2), "{keeps:?}");
    }
    let other = Insn::stmt(LD_W_ABS, SyscallData::ARCH);
    for loses in [Insn::stmt(LD_IMM, 1), Insn::stmt(TXA, 0), Insn::stmt(ADD_K, 1), other, ret, Insn::stmt(RET_A, 0)] {
        assert_eq!(cut(&[NR, loses, jump(JEQ_K, 5), ret]), [], "{loses:?}");
    }
    // Over a jump, and on both sides of a comparison.
    assert_eq!(cut(&[NR, Insn::stmt(JA, 1), ret, jump(JEQ_K, 5), ret]), five(3));
    assert_eq!(cut(&[NR, Insn::new(JSET_K, 1, 0, 1), ret, jump(JEQ_K, 5), ret]), five(3));
    assert_eq!(cut(&[NR, Insn::new(JSET_K, 0, 1, 1), ret, jump(JEQ_K, 5), ret]), five(3));
    // Where ways meet, the first speaks for all.
    assert_eq!(cut(&[NR, Insn::new(JSET_K, 1, 0, 1), Insn::stmt(LD_IMM, 0), jump(JEQ_K, 5), ret]), five(3));
}

#[test]
fn bits_that_are_cut_off_come_back_in_all_values() {
    let cut = |mask: u32, k| {
        let insns = [NR, Insn::stmt(AND_K, mask), jump(JGE_K, k), Insn::stmt(RET_K, 0)];
        cut(&insns).into_iter().map(|(pc, cut)| (pc, alloc::format!("{cut:x}"))).collect::<Vec<_>>()
    };
    let some = |list: &[(usize, &str)]| list.iter().map(|(pc, cut)| (*pc, (*cut).to_string())).collect::<Vec<_>>();
    assert_eq!(cut(!1, 6), some(&[(2, "6"), (2, "7")]));
    assert_eq!(
        cut(!0x4000_0000, 6),
        some(&[(1, "40000000"), (1, "80000000"), (1, "c0000000"), (2, "6"), (2, "40000006")])
    );
    assert_eq!(cut(!0x102, 5), some(&[(2, "5"), (2, "7"), (2, "105"), (2, "107")]));
    assert_eq!(cut(!7, 8), []);
}

#[test]
fn offsets_name_words() {
    for offset in 0..80_u32 {
        for (endian, first) in [(Endian::Little, false), (Endian::Big, true)] {
            let high = (offset % 8 == 0) == first;
            let arg = u8::try_from(offset.saturating_sub(16) / 8).unwrap();
            let wanted = match offset {
                0 => Some(Word::Nr),
                4 => Some(Word::Arch),
                _ if offset % 4 != 0 || offset >= 64 => None,
                8 | 12 => Some(if high { Word::IpHigh } else { Word::IpLow }),
                _ => Some(if high { Word::High(arg) } else { Word::Low(arg) }),
            };
            assert_eq!(loaded(offset, endian), wanted, "{offset} {endian:?}");
        }
    }
}
