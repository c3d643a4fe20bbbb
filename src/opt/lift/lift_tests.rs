//! Programs as graphs, in the words of the graph.

use super::*;
use crate::bpf::opcode::*;
use alloc::string::{String, ToString};

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0001;
const LOG: u32 = 0x7ffc_0000;
const KILL: u32 = 0x8000_0000;

const fn ret(raw: u32) -> Insn {
    Insn::stmt(RET_K, raw)
}

const fn load(word: u32) -> Insn {
    Insn::stmt(LD_W_ABS, word)
}

const ARCH: Insn = load(SyscallData::ARCH);
const NR: Insn = load(SyscallData::NR);

/// The graph and the calls of a stack, the oldest first.
fn lifted(stack: &[&[Insn]]) -> (String, Vec<SyscallData>) {
    let lifted = lift(stack, Endian::Little, &[]).unwrap();
    (lifted.built.to_string(), lifted.witnesses)
}

fn graph(insns: &[Insn]) -> String {
    lifted(&[insns]).0
}

/// Two instructions in place of a jump's two ends.
const ENDS: [Insn; 2] = [ret(ALLOW), ret(ERRNO)];

fn jump(code: u16, k: u32) -> Insn {
    Insn::new(code, 0, 1, k)
}

#[test]
fn the_architecture_comes_first_and_then_the_number() {
    // Asked in the other order, each number again for each architecture.
    let (text, witnesses) =
        lifted(&[&[NR, Insn::new(JEQ_K, 0, 3, 5), ARCH, Insn::new(JEQ_K, 0, 1, 9), ret(ALLOW), ret(ERRNO)]]);
    let wanted = "n3: arch\n  0-8 -> n0\n  9 -> n2\n  10-0xffffffff -> n0\n\
                  n2: nr\n  0-4 -> n0\n  5 -> n1\n  6-0xffffffff -> n0\nn1: ALLOW\nn0: ERRNO(1)\n";
    assert_eq!(text, wanted);
    let calls: Vec<_> = witnesses.iter().map(|call| (call.arch, call.nr)).collect();
    assert_eq!(calls, [0, 9, 10].into_iter().flat_map(|arch| [0, 5, 6].map(|nr| (arch, nr))).collect::<Vec<_>>());
    // Also if an argument is asked before both.
    let text = graph(&[load(16), Insn::new(JSET_K, 0, 3, 5), NR, Insn::new(JGE_K, 0, 1, 9), ret(ALLOW), ret(ERRNO)]);
    let wanted = "n3: nr\n  0-8 -> n0\n  9-0xffffffff -> n2\n\
                  n2: arg0 & 0x5 == 0x0 ? n0 : n1\nn1: ALLOW\nn0: ERRNO(1)\n";
    assert_eq!(text, wanted);
}

#[test]
fn words_are_cut_where_something_changes() {
    let one = |word: u32, name: &str| {
        let text = graph(&[&[load(word), jump(JGE_K, 9)], &ENDS[..]].concat());
        assert_eq!(text, alloc::format!("n2: {name}\n  0-8 -> n0\n  9-0xffffffff -> n1\nn1: ALLOW\nn0: ERRNO(1)\n"));
    };
    one(SyscallData::ARCH, "arch");
    one(SyscallData::NR, "nr");
    one(8, "ip");
    one(12, "ip.high");
    one(16, "arg0");
    one(60, "arg5.high");
    // Bits from the top on are an interval.
    let text = graph(&[&[load(16), Insn::stmt(AND_K, 0xf000_0000), jump(JEQ_K, 0x3000_0000)], &ENDS[..]].concat());
    let wanted = "n2: arg0\n  0-0x2fffffff -> n0\n  0x30000000-0x3fffffff -> n1\n  0x40000000-0xffffffff -> n0\n\
                  n1: ALLOW\nn0: ERRNO(1)\n";
    assert_eq!(text, wanted);
    // A high bit of the number is as well, of an argument only the highest.
    let blocks = |word: u32, bit: u32| graph(&[&[load(word), jump(JSET_K, 1 << bit)], &ENDS[..]].concat());
    assert_eq!(blocks(0, 30).matches(" -> ").count(), 4);
    assert_eq!(blocks(0, 28).matches(" -> ").count(), 16);
    assert_eq!(blocks(0, 27), "n2: nr & 0x8000000 == 0x8000000 ? n0 : n1\nn1: ERRNO(1)\nn0: ALLOW\n");
    assert_eq!(blocks(16, 31).matches(" -> ").count(), 2);
    assert_eq!(blocks(16, 30), "n2: arg0 & 0x40000000 == 0x40000000 ? n0 : n1\nn1: ERRNO(1)\nn0: ALLOW\n");
}

#[test]
fn what_is_known_is_not_asked_again() {
    let five = "n2: arg0\n  0-4 -> n0\n  5 -> n1\n  6-0xffffffff -> n0\nn1: ALLOW\nn0: ERRNO(1)\n";
    // Twice the same, through a scratch word, X, and arithmetic with constants.
    let again: [&[Insn]; 5] = [
        &[load(16)],
        &[Insn::stmt(ST, 3), Insn::stmt(LD_IMM, 0), Insn::stmt(LD_MEM, 3)],
        &[Insn::stmt(TAX, 0), Insn::stmt(LD_IMM, 0), Insn::stmt(TXA, 0)],
        &[Insn::stmt(TAX, 0), Insn::stmt(STX, 15), Insn::stmt(LDX_MEM, 15), Insn::stmt(TXA, 0)],
        &[Insn::stmt(ADD_K, 7), Insn::stmt(LDX_IMM, 7), Insn::stmt(SUB_X, 0)],
    ];
    for again in again {
        let end = u8::try_from(again.len() + 2).unwrap();
        let first = [load(16), Insn::new(JEQ_K, 0, end, 5)];
        let insns = [&first[..], again, &[Insn::new(JGT_K, 1, 0, 5), ret(ALLOW), ret(ERRNO)]].concat();
        assert_eq!(graph(&insns), five, "{again:?}");
    }
    // The length of the input, and what was never written.
    for known in [Insn::stmt(LD_W_LEN, 0), Insn::stmt(LDX_W_LEN, 0)] {
        let [a, x] =
            if known.code == LD_W_LEN { [known, Insn::stmt(LDX_IMM, 64)] } else { [Insn::stmt(LD_IMM, 64), known] };
        assert_eq!(graph(&[&[a, x, jump(JEQ_X, 0)], &ENDS[..]].concat()), "n0: ALLOW\n");
    }
    assert_eq!(graph(&[&[Insn::stmt(LD_MEM, 3), jump(JEQ_K, 0)], &ENDS[..]].concat()), "n0: ALLOW\n");
    assert_eq!(
        graph(&[&[Insn::stmt(LD_IMM, 1), Insn::stmt(NEG, 0), jump(JEQ_K, u32::MAX)], &ENDS[..]].concat()),
        "n0: ALLOW\n"
    );
}

#[test]
fn returned_values_are_taken_apart() {
    let text = graph(&[load(16), Insn::stmt(AND_K, 3), Insn::stmt(OR_K, 0x0005_0000), Insn::stmt(RET_A, 0)]);
    let wanted = "n6: arg0 & 0x2 == 0x2 ? n2 : n5\nn5: arg0 & 0x1 == 0x1 ? n3 : n4\nn4: ERRNO(0)\nn3: ERRNO(1)\n\
                  n2: arg0 & 0x1 == 0x1 ? n0 : n1\nn1: ERRNO(2)\nn0: ERRNO(3)\n";
    assert_eq!(text, wanted);
    // Twelve bits are the most.
    let bits = |count: u32| {
        let insns =
            [load(16), Insn::stmt(AND_K, (1 << count) - 1), Insn::stmt(OR_K, 0x0005_0000), Insn::stmt(RET_A, 0)];
        lift(&[&insns], Endian::Little, &[]).map(|lifted| lifted.witnesses.len())
    };
    assert_eq!(bits(12).unwrap(), 1 << 12);
    assert_eq!(bits(13).unwrap_err(), CannotLift::Instruction { program: 0, pc: 3 });
}

/// The kernel ends the program with 0 then, which kills the thread.
#[test]
fn division_by_zero_ends_a_program() {
    let divide = [load(16), Insn::stmt(AND_K, 2), Insn::stmt(TAX, 0), Insn::stmt(LD_IMM, 6), Insn::stmt(DIV_X, 0)];
    let text = graph(&[&divide[..], &[jump(JEQ_K, 3)], &ENDS[..]].concat());
    assert_eq!(text, "n2: arg0 & 0x2 == 0x2 ? n0 : n1\nn1: KILL_THREAD\nn0: ALLOW\n");
}

#[test]
fn of_a_stack_the_lowest_rank_counts_and_of_equals_the_newest() {
    let of = |raws: &[u32]| {
        let programs: Vec<[Insn; 1]> = raws.iter().map(|&raw| [ret(raw)]).collect();
        lifted(&programs.iter().map(<[Insn; 1]>::as_slice).collect::<Vec<_>>()).0
    };
    assert_eq!(of(&[ERRNO, ERRNO + 1]), "n0: ERRNO(2)\n");
    assert_eq!(of(&[ERRNO, LOG]), "n0: ERRNO(1)\n");
    assert_eq!(of(&[LOG, ERRNO]), "n0: ERRNO(1)\n");
    assert_eq!(of(&[KILL, ERRNO, ALLOW]), "n0: KILL_PROCESS\n");
    assert_eq!(of(&[ALLOW + 1]), "n0: ALLOW\n");
    // What can change nothing any more is not run, and asks nothing.
    let asks = [&[load(16), jump(JGE_K, 9)], &ENDS[..]].concat();
    assert_eq!(lifted(&[&asks, &[ret(KILL)]]).0, "n0: KILL_PROCESS\n");
    let harmless = [load(16), jump(JGE_K, 9), ret(LOG), ret(ALLOW)];
    assert_eq!(lifted(&[&harmless, &[ret(ERRNO)]]).0, "n0: ERRNO(1)\n");
    // A register of one program is none of the next one.
    let first = [Insn::stmt(LD_IMM, 5), Insn::stmt(ST, 0), Insn::stmt(TAX, 0), ret(ALLOW)];
    for empty in [Insn::stmt(TXA, 0), Insn::stmt(LD_MEM, 0)] {
        assert_eq!(lifted(&[&[&[empty, jump(JEQ_K, 0)], &[ret(LOG), ret(ERRNO)][..]].concat(), &first]).0, "n0: LOG\n");
    }
    // An instruction is named by its program, the oldest is the first.
    let product = [load(16), Insn::stmt(TAX, 0), load(24), Insn::stmt(MUL_X, 0), Insn::stmt(RET_A, 0)];
    for (stack, program) in [([&product[..], &[ret(ALLOW)]], 0), ([&[ret(ALLOW)], &product[..]], 1)] {
        let error = lift(&stack, Endian::Little, &[]).unwrap_err();
        assert_eq!(error, CannotLift::Instruction { program, pc: 4 });
    }
}

/// States are one only where all that is still read is the same: what is known of a word, and what was stored.
#[test]
fn different_states_stay_apart() {
    let (arg0, arg1) = (load(16), load(24));
    let wanted = "n5: arg0\n  0-8 -> n2\n  9-0xffffffff -> n4\n\
                  n4: arg1\n  0 -> n0\n  1 -> n3\n  2-0xffffffff -> n0\nn3: ERRNO(1)\n\
                  n2: arg1\n  0 -> n0\n  1 -> n1\n  2-0xffffffff -> n0\nn1: LOG\nn0: ALLOW\n";
    let ends = [ret(ERRNO), ret(LOG), ret(ALLOW)];
    // Read again later, here and in an older program.
    let again = [arg0, Insn::new(JGE_K, 0, 0, 9), arg1, Insn::new(JEQ_K, 0, 4, 1), arg0, Insn::new(JGE_K, 0, 1, 9)];
    let older = [arg0, Insn::new(JGE_K, 0, 0, 9), ret(ALLOW)];
    let (text, _) = lifted(&[&older, &[&again[..], &ends].concat()]);
    assert_eq!(text, wanted);
    // Read again from where it was stored.
    let stored = [
        arg0,
        Insn::stmt(ST, 3),
        Insn::new(JGE_K, 0, 0, 9),
        arg1,
        Insn::new(JEQ_K, 0, 4, 1),
        Insn::stmt(LD_MEM, 3),
        Insn::new(JGE_K, 0, 1, 9),
    ];
    assert_eq!(graph(&[&stored[..], &ends].concat()), wanted);
    // Something else was stored.
    let other = [
        arg0,
        Insn::new(JGE_K, 2, 0, 9),
        Insn::stmt(LD_IMM, 1),
        Insn::stmt(JA, 1),
        Insn::stmt(LD_IMM, 2),
        Insn::stmt(ST, 3),
        arg1,
        Insn::new(JEQ_K, 0, 4, 1),
        Insn::stmt(LD_MEM, 3),
        Insn::new(JEQ_K, 0, 1, 2),
    ];
    assert_eq!(graph(&[&other[..], &ends].concat()), wanted);
}

/// A word that is compared with itself may be taken apart whole, two words only so far.
#[test]
fn comparisons_within_a_word() {
    let compared = |second: u32| {
        let first = [load(second), Insn::stmt(AND_K, 0x1fff), Insn::stmt(TAX, 0), load(16), Insn::stmt(AND_K, 0x1fff)];
        let insns = [&first[..], &[Insn::stmt(MUL_K, 3), jump(JEQ_X, 0)], &ENDS].concat();
        lift(&[&insns], Endian::Little, &[]).map(|lifted| lifted.witnesses.len())
    };
    assert!(compared(16).is_ok());
    assert_eq!(compared(24).unwrap_err(), CannotLift::Instruction { program: 0, pc: 6 });
}

/// Every path has a call that goes it, with all words in their places.
#[test]
fn witnesses_go_the_way() {
    let mut insns = Vec::new();
    for (at, offset) in (0..64).step_by(4).enumerate() {
        let left = u8::try_from(2 * (15 - at) + 1).unwrap();
        insns.extend([load(offset), Insn::new(JEQ_K, 0, left, 100 + offset)]);
    }
    insns.extend(ENDS);
    for endian in [Endian::Little, Endian::Big] {
        let lifted = lift(&[&insns], endian, &[]).unwrap();
        let halves = |offset: u64| {
            let (first, second) = (100 + offset, 104 + offset);
            if endian == Endian::Little { second << 32 | first } else { first << 32 | second }
        };
        let args = core::array::from_fn(|arg| halves(16 + 8 * arg as u64));
        let all = SyscallData { nr: 100, arch: 104, instruction_pointer: halves(8), args };
        assert!(lifted.witnesses.contains(&all), "{endian:?}");
    }
}

/// The roots of architectures are known.
#[test]
fn architectures_lead_somewhere() {
    let insns = [ARCH, Insn::new(JEQ_K, 1, 0, 9), ret(KILL), NR, jump(JEQ_K, 5), ret(ALLOW), ret(ERRNO)];
    let lifted = lift(&[&insns], Endian::Little, &[8, 9, 10]).unwrap().built;
    let kinds: Vec<_> = lifted.arches.iter().map(|(token, id)| (*token, lifted.graph.node(*id).clone())).collect();
    assert!(matches!(
        &kinds[..],
        [(8, Node::Return(KILL)), (9, Node::Switch { word: Word::Nr, .. }), (10, Node::Return(KILL)),]
    ));
    // Where none is asked, all are the same.
    let lifted = lift(&[&[NR, jump(JEQ_K, 5), ret(ALLOW), ret(ERRNO)]], Endian::Little, &[8]).unwrap().built;
    assert_eq!(lifted.arches, [(8, lifted.root)]);
}

/// What is still to be asked of the number comes before an argument, wherever in the stack it is asked.
#[test]
fn older_programs_are_looked_through() {
    let newest = [load(24), load(16), jump(JEQ_K, 7), ret(LOG), ret(ALLOW)];
    let older = [NR, jump(JEQ_K, 9), ret(ERRNO), ret(ALLOW)];
    let wanted = "n4: nr\n  0-8 -> n2\n  9 -> n3\n  10-0xffffffff -> n2\n";
    for stack in [&[&older[..], &newest][..], &[&older, &older, &newest]] {
        let (text, _) = lifted(stack);
        assert!(text.starts_with(wanted), "{text}");
    }
}

/// A bit of the number is asked where no range of it is left, also if the number is all that is asked.
#[test]
fn bits_of_a_number_come_behind_its_ranges() {
    let ends = [ret(ERRNO), ret(ALLOW), ret(LOG)];
    let insns = [NR, Insn::new(JGE_K, 0, 4, 100), Insn::new(JSET_K, 1, 0, 1), Insn::new(JEQ_K, 1, 2, 200)];
    let wanted = "n4: nr\n  0-99 -> n0\n  100-199 -> n2\n  200 -> n3\n  201-0xffffffff -> n2\n\
                  n3: ALLOW\nn2: nr & 0x1 == 0x1 ? n1 : n0\nn1: ERRNO(1)\nn0: LOG\n";
    assert_eq!(graph(&[&insns[..], &ends].concat()), wanted);
}

/// Budgets hold to the last state and the last witness.
#[test]
fn budgets_can_be_used_up() {
    // One state, and three witnesses.
    let program = [NR, jump(JEQ_K, 9), ret(ERRNO), ret(ALLOW)];
    let fits = |states: usize, witnesses: usize| {
        let mut lifting = Lifting::new(&[&program], Endian::Little);
        let end = lifting.graph.ret_raw(LOG);
        lifting.known = (1..=states).map(|pc| (State { pc: pc + 4, ..State::start() }, end)).collect();
        lifting.witnesses.resize(witnesses, SyscallData::default());
        lifting.node(State::start(), DEPTH).map(drop)
    };
    assert_eq!(fits(STATES - 1, STATES - 3), Ok(()));
    assert_eq!(fits(STATES, 0), Err(CannotLift::TooLarge));
    assert_eq!(fits(0, STATES - 2), Err(CannotLift::TooLarge));
}
