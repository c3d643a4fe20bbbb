//! What the boxes say is what the program does.

use super::*;
use crate::check::{boundary_calls, simulate};
use crate::compile::{Compiler, Level};
use crate::policy::Target as For;
use crate::profile::Profile;

/// Follows the boxes for a call. `None` where something computed decides.
fn follow(found: &Found, call: &SyscallData, endian: Endian) -> Option<u32> {
    let mut at = found.1;
    loop {
        let place = match at {
            Exit::Return(value) => return value,
            Exit::Place(place) => place,
        };
        let raw = &found.0[&place];
        let value = |word: &Word| call.word(word.offset, endian).unwrap() & word.mask;
        at = match &raw.test {
            Test::Word(word, rows) => {
                let mut matching = rows.iter().filter(|(values, _)| values.contains(value(word)));
                let row = matching.next().expect("a row for every value");
                assert!(matching.next().is_none(), "two rows for one value");
                row.1
            }
            Test::Bits(word, bits, [yes, no]) => {
                if value(word) & bits != 0 {
                    *yes
                } else {
                    *no
                }
            }
            Test::Other(..) => return None,
            Test::None(exit) => *exit,
        };
    }
}

#[test]
fn boxes_say_what_the_program_does() {
    let profile = Profile::container_default().unwrap();
    for arches in
        [&[Arch::X86_64][..], &[Arch::X86_64, Arch::X86, Arch::X32], &[Arch::S390x, Arch::S390], &[Arch::Mips]]
    {
        let policy = profile.resolve(&For::exactly(arches)).unwrap();
        for level in [Level::Size, Level::Balanced, Level::Speed, Level::Fast] {
            let filter = Compiler::new().level(level).compile(&policy).unwrap();
            let endian = filter.endian();
            let found = explore(filter.program(), endian, arches[0]).unwrap();
            // However numbers are told apart, it is one box for those of an architecture.
            let number = Word { offset: SyscallData::NR, mask: u32::MAX };
            let asks = |raw: &&Raw| matches!(raw.test, Test::Word(word, _) | Test::Bits(word, ..) if word == number);
            let tokens: BTreeSet<u32> = arches.iter().map(|arch| arch.audit()).collect();
            assert_eq!(found.0.values().filter(asks).count(), tokens.len(), "{arches:?} {level:?}");
            for call in boundary_calls(&policy) {
                let raw = simulate(filter.program(), &call, endian).raw;
                assert_eq!(follow(&found, &call, endian), Some(raw), "{call:x?}");
            }
        }
    }
}

/// Statements that compute, jumps over X, masks of masks, dead code, a test of bits that breaks everything into pieces.
#[test]
fn foreign_programs() {
    let program = Program::new(vec![
        Insn::stmt(opcode::LD_W_ABS, 16),
        Insn::new(opcode::JSET_K, 0, 3, 0x0001_0001),
        Insn::stmt(opcode::AND_K, 0xff),
        Insn::stmt(opcode::AND_K, 0xf0),
        Insn::new(opcode::JEQ_K, 3, 4, 0x30),
        Insn::stmt(opcode::TAX, 0),
        Insn::stmt(opcode::LD_IMM, 7),
        Insn::new(opcode::JEQ_X, 0, 1, 0),
        Insn::stmt(opcode::RET_K, 0x0005_0001),
        Insn::stmt(opcode::RET_A, 0),
    ])
    .unwrap();
    let found = explore(&program, Endian::Little, Arch::X86_64).unwrap();
    for low in 0..512_u64 {
        let call = SyscallData { args: [low, 0, 0, 0, 0, 0], ..SyscallData::default() };
        match follow(&found, &call, Endian::Little) {
            Some(raw) => assert_eq!(raw, simulate(&program, &call, Endian::Little).raw, "{low}"),
            None => assert!(low & 1 == 0 || low & 0xf0 != 0x30),
        }
    }
}

#[test]
fn the_size_of_a_picture_is_bounded() {
    // Two words by turns: each test is a box.
    let mut insns = Vec::new();
    for index in 0..1300_u32 {
        insns.push(Insn::stmt(opcode::LD_W_ABS, 16 + 8 * (index % 2)));
        insns.push(Insn::new(opcode::JEQ_K, 0, 1, index));
        insns.push(Insn::stmt(opcode::RET_K, 0));
    }
    insns.push(Insn::stmt(opcode::RET_K, 0));
    let program = Program::new(insns).unwrap();
    let error = build(&program, Endian::Little, Arch::X86_64).unwrap_err();
    assert_eq!(error, ChartError::TooLarge { limit: MOST_BOXES, of: "boxes" });
    // Equal sides on two words that halve the range again and again are one box each.
    let mut insns = vec![Insn::stmt(opcode::LD_W_ABS, 0)];
    for index in 0..4000_u32 {
        insns.push(Insn::new(opcode::JEQ_K, 0, 0, index * 2));
    }
    insns.push(Insn::stmt(opcode::RET_K, 0));
    let (_, boxes) = build(&Program::new(insns).unwrap(), Endian::Little, Arch::X86_64).unwrap();
    assert_eq!(boxes.len(), 1);
}
