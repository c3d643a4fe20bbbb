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

/// The boxes in words: title with the calls that come here, and for each row where it leads.
fn shown(insns: &[Insn], assumed: Arch) -> String {
    let words = |target: &Target| match target {
        Target::End(words, _) => words.clone(),
        Target::Box(index) => alloc::format!("box {index}"),
    };
    let program = Program::new(insns.to_vec()).unwrap();
    let (root, boxes) = build(&program, Endian::Little, assumed).unwrap();
    let mut lines = vec![alloc::format!("begins with {}", words(&root))];
    for (index, node) in boxes.iter().enumerate() {
        lines.push(alloc::format!("box {index}: {} {}", node.calls.join(" "), node.title));
        lines.extend(node.rows.iter().map(|row| {
            // How many calls are left over changes with the tables.
            let text = if row.text.starts_with("any other number") { "any other number" } else { &row.text };
            alloc::format!("{text} -> {}", words(&row.target))
        }));
    }
    lines.join("\n")
}

/// Boxes behind the number belong to one architecture; those of arguments to all that come there.
#[test]
fn architectures_share_the_boxes_of_arguments() {
    let insns = [
        Insn::stmt(opcode::LD_W_ABS, SyscallData::ARCH),
        Insn::new(opcode::JEQ_K, 0, 2, Arch::X86_64.audit()),
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        Insn::new(opcode::JEQ_K, 3, 9, 41),
        Insn::new(opcode::JEQ_K, 0, 7, Arch::X86.audit()),
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        Insn::new(opcode::JEQ_K, 0, 6, 359),
        Insn::stmt(opcode::LD_W_ABS, 16),
        Insn::new(opcode::JEQ_K, 3, 0, 40),
        Insn::stmt(opcode::LD_W_ABS, 24),
        Insn::new(opcode::JEQ_K, 1, 2, 3),
        Insn::stmt(opcode::RET_K, 0),
        Insn::stmt(opcode::RET_K, 0x0005_0001),
        Insn::stmt(opcode::RET_K, 0x7fff_0000),
    ];
    let expected = "\
begins with box 0
box 0:  architecture
x86 -> box 2
x86_64, x32 -> box 1
any other -> ERRNO(1) EPERM
box 1:  system call (x86_64)
socket -> box 3
any other number -> ALLOW
box 2:  system call (x86)
socket -> box 3
any other number -> ALLOW
box 3: socket argument 0, low half
40 -> ERRNO(1) EPERM
anything else -> box 4
box 4: socket argument 1, low half
3 -> ERRNO(1) EPERM
anything else -> ALLOW";
    assert_eq!(shown(&insns, Arch::Aarch64), expected);
}

#[test]
fn all_tests_of_a_word_are_one_box() {
    let insns = [
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        Insn::new(opcode::JEQ_K, 0, 1, 1),
        Insn::stmt(opcode::RET_K, 0x7fff_0000),
        Insn::stmt(opcode::JA, 1),
        Insn::stmt(opcode::RET_K, 0),
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        Insn::new(opcode::JGT_K, 0, 1, 2),
        Insn::stmt(opcode::RET_K, 0),
        Insn::new(opcode::JGT_K, 0, 1, u32::MAX),
        Insn::stmt(opcode::RET_K, 0x0003_0000),
        Insn::stmt(opcode::RET_K, 0x0005_0001),
    ];
    let expected = "\
begins with box 0
box 0:  system call (as x86_64 has them)
open read -> ERRNO(1) EPERM
write -> ALLOW
any other number -> KILL_THREAD";
    assert_eq!(shown(&insns, Arch::X86_64), expected);
    // Of some bits and of the whole word there are two.
    let insns = [
        Insn::stmt(opcode::LD_W_ABS, 16),
        Insn::stmt(opcode::AND_K, 0xff),
        Insn::new(opcode::JEQ_K, 2, 0, 1),
        Insn::stmt(opcode::LD_W_ABS, 16),
        Insn::new(opcode::JEQ_K, 0, 1, 0x102),
        Insn::stmt(opcode::RET_K, 0x0005_0001),
        Insn::stmt(opcode::RET_K, 0x7fff_0000),
    ];
    let expected = "\
begins with box 0
box 0:  argument 0, low half, bits 0xff
0x1 -> ERRNO(1) EPERM
anything else -> box 1
box 1:  argument 0, low half
258 -> ERRNO(1) EPERM
anything else -> ALLOW";
    assert_eq!(shown(&insns, Arch::X86_64), expected);
}

#[test]
fn what_is_computed_stands_in_the_title() {
    let end = [Insn::stmt(opcode::RET_K, 0), Insn::stmt(opcode::RET_K, 0x7fff_0000)];
    let load = Insn::stmt(opcode::LD_W_ABS, 16);
    let jeq = Insn::new(opcode::JEQ_K, 0, 1, 5);
    let title = |insns: &[Insn], rows: &str| {
        let shown = shown(&[insns, &end[..]].concat(), Arch::X86_64);
        let title = shown.strip_prefix("begins with box 0\nbox 0:  ").and_then(|rest| rest.strip_suffix(rows));
        title.unwrap_or(&shown).to_string()
    };
    // What only copies the word leaves it in the accumulator.
    let copied = [load, Insn::stmt(opcode::ST, 0), Insn::stmt(opcode::JA, 0), Insn::stmt(opcode::TAX, 0), jeq];
    let rows = "\n5 -> KILL_THREAD\nanything else -> ALLOW";
    assert_eq!(title(&copied, rows), "st   M[0]; tax; argument 0, low half");
    let rows = "\nyes -> KILL_THREAD\nno -> ALLOW";
    assert_eq!(title(&[load, Insn::stmt(opcode::ADD_K, 1), jeq], rows), "add  1; jeq  5  else ALLOW");
    let bits = Insn::new(opcode::JSET_K, 0, 1, 0x0001_0001);
    let rows = "\na bit of 0x10001 is set -> KILL_THREAD\nno bit of 0x10001 is set -> ALLOW";
    assert_eq!(title(&[load, bits], rows), "argument 0, low half");
    let returned = [load, Insn::stmt(opcode::ADD_K, 1), Insn::stmt(opcode::RET_A, 0)];
    assert_eq!(title(&returned, "\n -> what was computed"), "add  1; then");
    // Loads and plain jumps alone make no box.
    assert_eq!(shown(&[load, Insn::stmt(opcode::JA, 1), end[0], end[1]], Arch::X86_64), "begins with ALLOW");
}

#[test]
fn the_number_counts_where_it_may_be_looked_at_later() {
    let ret = Insn::stmt(opcode::RET_K, 0);
    let load = |offset| Insn::stmt(opcode::LD_W_ABS, offset);
    let insns = [
        // One side comes to the number, either of them.
        (Insn::new(opcode::JEQ_X, 3, 1, 0), true),
        (Insn::new(opcode::JEQ_K, 0, 2, 0), true),
        // A plain jump over it.
        (Insn::stmt(opcode::JA, 2), false),
        (load(SyscallData::ARCH), true),
        (load(SyscallData::NR), true),
        (load(16), false),
        (Insn::new(opcode::JSET_K, 0, 1, 0), false),
        (ret, false),
        (Insn::stmt(opcode::RET_A, 0), false),
        // What is no jump goes on with the next one, whatever stands in its other fields.
        (Insn::new(opcode::TAX, 1, 1, 0), true),
        (load(SyscallData::NR), true),
        (ret, false),
    ];
    assert_eq!(numbers(&insns.map(|(insn, _)| insn)), insns.map(|(_, later)| later));
}

/// Tests of two words by turns: each is a box.
fn by_turns(boxes: u32) -> Program {
    let test = |index| {
        let load = Insn::stmt(opcode::LD_W_ABS, if u32::is_multiple_of(index, 2) { 16 } else { 24 });
        [load, Insn::new(opcode::JEQ_K, 0, 1, index), Insn::stmt(opcode::RET_K, 0)]
    };
    Program::new((0..boxes).flat_map(test).chain([Insn::stmt(opcode::RET_K, 0)]).collect()).unwrap()
}

#[test]
fn the_size_of_a_picture_is_bounded() {
    let (_, boxes) = build(&by_turns(500), Endian::Little, Arch::X86_64).unwrap();
    assert_eq!(boxes.len(), MOST_BOXES);
    for more in [501, 1300] {
        let error = build(&by_turns(more), Endian::Little, Arch::X86_64).unwrap_err();
        assert_eq!(error, ChartError::TooLarge { limit: MOST_BOXES, of: "boxes" });
    }
    // Ranges are counted over all boxes.
    let program = by_turns(1);
    let insns = program.as_insns();
    let word = Word { offset: 16, mask: u32::MAX };
    for (before, fits) in [(MOST_RANGES - 3, true), (MOST_RANGES - 2, false)] {
        let listing = disassemble(&program, Endian::Little);
        let mut builder = Builder { insns, listing, numbers: numbers(insns), ranges: before };
        // One range at the test, and one on each side of it.
        let rows = builder.switch(Place { pc: 1, word: Some(word), token: None }, word);
        assert_eq!(rows.is_ok(), fits);
    }
    // Equal sides on two words that halve the range again and again are one box each.
    let mut insns = vec![Insn::stmt(opcode::LD_W_ABS, 0)];
    for index in 0..4000_u32 {
        insns.push(Insn::new(opcode::JEQ_K, 0, 0, index * 2));
    }
    insns.push(Insn::stmt(opcode::RET_K, 0));
    let (_, boxes) = build(&Program::new(insns).unwrap(), Endian::Little, Arch::X86_64).unwrap();
    assert_eq!(boxes.len(), 1);
}
