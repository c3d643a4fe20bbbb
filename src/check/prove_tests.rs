//! Hand-written pairs of programs and policies.

use super::*;
use crate::bpf::opcode::*;
use crate::bpf::{Endian, Insn};
use crate::check::naive::{self, rule};
use crate::policy::{Condition, Test};
use crate::profile::Width;
use alloc::string::ToString;
use alloc::vec;

const ALLOW: Insn = Insn::stmt(RET_K, 0x7fff_0000);
const ERRNO: Insn = Insn::stmt(RET_K, 0x0005_0001);
const KILL: Insn = Insn::stmt(RET_K, 0x8000_0000);
const TRAP: Insn = Insn::stmt(RET_K, 0x0003_0000);

fn load(offset: u32) -> Insn {
    Insn::stmt(LD_W_ABS, offset)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Insn {
    Insn::new(code, jt, jf, k)
}

/// Allows what `body` allows with A = the number; ends with ERRNO and ALLOW, in this order.
fn gated(body: &[Insn]) -> Program {
    let mut insns = vec![load(4), jump(JEQ_K, 0xc000_003e, 1, 0), KILL, load(0)];
    insns.extend([jump(JEQ_K, u32::MAX, 2, 0), jump(JSET_K, 0x4000_0000, 0, 1), TRAP]);
    insns.extend(body);
    insns.extend([ERRNO, ALLOW]);
    Program::new(insns).unwrap()
}

fn counterexample(program: &Program, policy: &Policy) -> Counterexample {
    match prove(program, policy) {
        Err(ProveError::Differs(example)) => {
            assert_eq!(policy.decide(&example.call), example.expected);
            assert_eq!(simulate(program, &example.call, policy.endian()).raw, example.got);
            assert_ne!(example.expected.to_raw(), example.got);
            *example
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn equal_and_off_by_one() {
    let policy = naive::policy(Arch::X86_64, &[(5, vec![rule(&[])]), (6, vec![rule(&[])])]);
    let good = gated(&[jump(JGE_K, 5, 0, 1), jump(JGT_K, 6, 0, 1)]);
    let proof = prove(&good, &policy).unwrap();
    assert_eq!(proof.states, 5);
    let bad = gated(&[jump(JGE_K, 5, 0, 1), jump(JGT_K, 7, 0, 1)]);
    let example = counterexample(&bad, &policy);
    assert_eq!((example.call.nr, example.expected, example.got), (7, Action::Errno(1), 0x7fff_0000));
    assert_eq!(example.path, [0, 1, 3, 4, 5, 7, 8, 10]);
    assert_eq!(
        ProveError::Differs(Box::new(example)).to_string(),
        "the program answers ALLOW where the policy demands ERRNO(1) EPERM: call 7 (poll) of x86_64 with arguments (0x0, 0x0, \
         0x0, 0x0, 0x0, 0x0)"
    );
}

/// A number is also told in hexadecimal where that is another one, and a call without an ABI by its architecture.
#[test]
fn counterexamples_say_which_call() {
    let text = |token, nr, arch| {
        let call = SyscallData { nr, arch: token, ..SyscallData::default() };
        Counterexample { call, expected: Action::Allow, got: 0, path: vec![], arch }.to_string()
    };
    let x86_64 = Arch::X86_64.audit();
    for (said, text) in [
        (": call 9 (mmap) of x86_64 with", text(x86_64, 9, Some(Arch::X86_64))),
        (": call 10 = 0xa (mprotect) of x86_64 with", text(x86_64, 10, Some(Arch::X86_64))),
        (": call 1 with the unknown architecture 0x12345678 with", text(0x1234_5678, 1, None)),
        (": call 1 of the unlisted architecture x86_64, x32 with", text(x86_64, 1, None)),
    ] {
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn the_gates_count() {
    let policy = naive::policy(Arch::X86_64, &[]);
    let good = [
        load(4),
        jump(JEQ_K, 0xc000_003e, 1, 0),
        KILL,
        load(0),
        jump(JEQ_K, u32::MAX, 1, 0),
        jump(JSET_K, 0x4000_0000, 1, 0),
        ERRNO,
        TRAP,
    ];
    let program = |insns: &[Insn]| Program::new(insns.to_vec()).unwrap();
    prove(&program(&good), &policy).unwrap();
    // Without the exception for -1.
    let mut bad = good;
    bad[4] = jump(JEQ_K, u32::MAX - 1, 1, 0);
    let nr = counterexample(&program(&bad), &policy).call.nr;
    assert!(nr == u32::MAX || nr == u32::MAX - 1);
    // x32 by comparison takes 0x80000000 and more for x32.
    let mut bad = good;
    bad[5] = jump(JGE_K, 0x4000_0000, 1, 0);
    assert_eq!(counterexample(&program(&bad), &policy).call.nr, 0x8000_0000);
    // No look at the architecture.
    let bad = program(&[load(0), jump(JEQ_K, u32::MAX, 1, 0), jump(JSET_K, 0x4000_0000, 1, 0), ERRNO, TRAP]);
    let example = counterexample(&bad, &policy);
    assert_eq!((example.expected, example.arch), (Action::KillProcess, None));
    // Another way to kill is another answer.
    let mut bad = good;
    bad[2] = Insn::stmt(RET_K, 0);
    assert_eq!(counterexample(&program(&bad), &policy).got, 0);
}

#[test]
fn halves_of_arguments() {
    let test = Test::Ge(0x2_0000_0003);
    let condition = Condition { arg: 2, width: Width::Bits64, test };
    let policy = naive::policy(Arch::X86_64, &[(1, vec![rule(&[condition])])]);
    let head = [jump(JEQ_K, 1, 0, 5), load(36), jump(JGT_K, 2, 4, 0)];
    let tail = [load(32), jump(JGE_K, 3, 1, 0)];
    let good = gated(&[&head[..], &[jump(JEQ_K, 2, 0, 2)], &tail].concat());
    prove(&good, &policy).unwrap();
    let bad = gated(&[&head[..], &[jump(JGE_K, 0, 0, 2)], &tail].concat());
    let example = counterexample(&bad, &policy);
    assert_eq!((example.call.args, example.expected), ([0, 0, 3, 0, 0, 0], Action::Errno(1)));
    // The same condition on the low half only can never hold: the constant is larger than any value.
    let narrow = naive::policy(Arch::X86_64, &[(1, vec![rule(&[Condition { width: Width::Bits32, ..condition }])])]);
    prove(&gated(&[jump(JA, 0, 0, 0)]), &narrow).unwrap();
}

/// Everything that other generators do on the way: scratch memory, moves, arithmetic.
#[test]
fn roundabout_programs() {
    let condition = Condition { arg: 0, width: Width::Bits32, test: Test::Gt(7) };
    let policy = naive::policy(Arch::X86_64, &[(0x123, vec![rule(&[condition])])]);
    let bodies: [&[Insn]; 9] = [
        &[jump(JEQ_K, 0x123, 0, 2), load(16), jump(JGT_K, 7, 1, 0)],
        // Through scratch memory and X.
        &[
            Insn::stmt(ST, 3),
            Insn::stmt(LDX_MEM, 3),
            Insn::stmt(TXA, 0),
            jump(JEQ_K, 0x123, 0, 2),
            load(16),
            jump(JGT_K, 7, 1, 0),
        ],
        // With the constant in X.
        &[Insn::stmt(LDX_IMM, 0x123), jump(JEQ_X, 0, 0, 3), Insn::stmt(LDX_IMM, 7), load(16), jump(JGT_X, 0, 1, 0)],
        // The difference to the constant.
        &[Insn::stmt(SUB_K, 0x123), jump(JEQ_K, 0, 0, 3), load(16), Insn::stmt(RSH_K, 3), jump(JGT_K, 0, 1, 0)],
        &[Insn::stmt(XOR_K, 0x123), jump(JEQ_K, 0, 0, 3), load(16), Insn::stmt(DIV_K, 8), jump(JGT_K, 0, 1, 0)],
        &[
            Insn::stmt(NEG, 0),
            jump(JEQ_K, 0x123_u32.wrapping_neg(), 0, 3),
            load(16),
            Insn::stmt(AND_K, !7),
            jump(JEQ_K, 0, 0, 1),
        ],
        // The length of the input shifts by an eighth of it.
        &[jump(JEQ_K, 0x123, 0, 5), Insn::stmt(LDX_W_LEN, 0), load(16), Insn::stmt(DIV_X, 0), Insn::stmt(MUL_K, 1)],
        &[jump(JEQ_K, 0x123, 0, 3), load(16), Insn::stmt(OR_K, 7), jump(JGT_K, 7, 1, 0)],
        // Both words in registers.
        &[
            Insn::stmt(LDX_IMM, 0x123),
            Insn::stmt(TAX, 0),
            Insn::stmt(LD_IMM, 0x123),
            jump(JEQ_X, 0, 0, 2),
            load(16),
            jump(JGT_K, 7, 1, 0),
        ],
    ];
    for body in bodies.iter().take(6).chain(&bodies[7..]) {
        let program = gated(body);
        assert!(prove(&program, &policy).is_ok(), "{:?}: {:?}", body, prove(&program, &policy));
    }
    // 64 > 7 is not 8 > 7.
    let program = gated(&[bodies[6], &[jump(JGT_K, 0, 1, 0)]].concat());
    assert_eq!(counterexample(&program, &policy).call.args[0], 8);
}

#[test]
fn returned_registers() {
    let policy = naive::policy(Arch::X86_64, &[(5, vec![rule(&[])])]);
    let allow = [Insn::stmt(LD_IMM, 0x7fff_0000), Insn::stmt(RET_A, 0)];
    prove(&gated(&[&[jump(JEQ_K, 5, 0, 2)], &allow[..]].concat()), &policy).unwrap();
    // The answer by arithmetic on the number: 5 is allowed, 4 and 6 are not.
    let program = gated(&[
        jump(JGE_K, 4, 0, 4),
        jump(JGT_K, 6, 3, 0),
        Insn::stmt(AND_K, 1),
        Insn::stmt(MUL_K, 0x7fff_0000 - 0x0005_0001),
        Insn::stmt(JA, 1),
        ERRNO,
        Insn::stmt(ADD_K, 0x0005_0001),
        Insn::stmt(RET_A, 0),
    ]);
    prove(&program, &policy).unwrap();
    // Whatever the argument says.
    let program = gated(&[jump(JEQ_K, 5, 0, 3), load(16), Insn::stmt(AND_K, 0xff), Insn::stmt(RET_A, 0)]);
    assert_eq!(counterexample(&program, &policy).got, 0);
    // A whole word has too many values.
    let program = gated(&[jump(JEQ_K, 5, 0, 2), load(16), Insn::stmt(RET_A, 0)]);
    assert_eq!(Prover::new().max_nodes(9999).prove(&program, &policy), Err(ProveError::TooLarge { max_nodes: 9999 }));
}

#[test]
fn division_by_an_argument() {
    let policy = naive::policy(Arch::X86_64, &[(5, vec![rule(&[])])]);
    let divided = |before: Insn| {
        gated(&[jump(JEQ_K, 5, 0, 5), load(16), before, Insn::stmt(TAX, 0), Insn::stmt(DIV_X, 0), ALLOW])
    };
    // An X of zero ends the program with 0.
    let example = counterexample(&divided(Insn::stmt(AND_K, 3)), &policy);
    assert_eq!((example.call.args[0], example.got), (0, 0));
    prove(&divided(Insn::stmt(OR_K, 1)), &policy).unwrap();
}

#[test]
fn quotients_and_moves() {
    let odd = Condition { arg: 0, width: Width::Bits64, test: Test::MaskedEq { mask: 1, value: 1 } };
    let policy = naive::policy(Arch::X86_64, &[(5, vec![rule(&[odd])])]);
    // 6 divided by 1 or 2.
    let divisor = [load(16), Insn::stmt(AND_K, 1), Insn::stmt(ADD_K, 1), Insn::stmt(TAX, 0)];
    let divided = |k| {
        let tail = [Insn::stmt(LD_IMM, 6), Insn::stmt(DIV_X, 0), jump(JEQ_K, k, 1, 0)];
        gated(&[&[jump(JEQ_K, 5, 0, 7)], &divisor[..], &tail].concat())
    };
    prove(&divided(3), &policy).unwrap();
    assert_eq!(counterexample(&divided(6), &policy).call.args[0], 0);
    // The number waits in X while A is another word.
    let policy = naive::policy(Arch::X86_64, &[(5, vec![rule(&[])])]);
    let program = gated(&[Insn::stmt(TAX, 0), load(16), Insn::stmt(TXA, 0), jump(JEQ_K, 5, 1, 0)]);
    prove(&program, &policy).unwrap();
}

/// A division by a constant in X is none of the states, and one by zero ends the program like any other.
#[test]
fn division_by_a_constant() {
    let policy = naive::policy(Arch::X86_64, &[(5, vec![rule(&[])])]);
    let divided = |x: u32| {
        let tail = [Insn::stmt(DIV_X, 0), jump(JEQ_K, 5 / x.max(1), 1, 0)];
        gated(&[&[Insn::stmt(LDX_IMM, x), jump(JEQ_K, 5, 0, 2)], &tail[..]].concat())
    };
    for x in [1, 2, 5, 6] {
        assert_eq!(prove(&divided(x), &policy).unwrap().states, 5);
    }
    assert_eq!(counterexample(&divided(0), &policy).got, 0);
}

#[test]
fn impossible_paths_do_not_count() {
    let policy = naive::policy(Arch::X86_64, &[(5, vec![rule(&[])])]);
    // The second test of the same word can only come out one way.
    let program = gated(&[jump(JEQ_K, 5, 0, 2), jump(JGT_K, 4, 2, 0), Insn::stmt(RET_K, 77)]);
    prove(&program, &policy).unwrap();
    // Where a test of what was computed always comes out the same way, nothing is made of the other side.
    for always in [jump(JGE_K, 4, 2, 0), jump(JEQ_K, 3, 0, 2)] {
        let program = gated(&[jump(JEQ_K, 5, 0, 3), Insn::stmt(OR_K, 4), always, jump(JSET_K, 1, 0, 0)]);
        assert_eq!(prove(&program, &policy).unwrap().states, 5);
    }
}

#[test]
fn big_endian_words() {
    let condition = Condition { arg: 0, width: Width::Bits64, test: Test::Eq(7) };
    let policy = naive::policy(Arch::S390x, &[(5, vec![rule(&[condition])])]);
    let program = |high: u32, low: u32| {
        let head = [load(4), jump(JEQ_K, Arch::S390x.audit(), 1, 0), KILL, load(0), jump(JEQ_K, 5, 0, 4)];
        let tail = [load(high), jump(JEQ_K, 0, 0, 2), load(low), jump(JEQ_K, 7, 1, 0), ERRNO, ALLOW];
        Program::new([&head[..], &tail].concat()).unwrap()
    };
    assert_eq!(policy.endian(), Endian::Big);
    prove(&program(16, 20), &policy).unwrap();
    assert_eq!(counterexample(&program(20, 16), &policy).call.args[0], 7);
}

#[test]
fn a_small_budget_is_an_answer() {
    let policy = naive::policy(Arch::X86_64, &[(5, vec![rule(&[])])]);
    let program = gated(&[jump(JEQ_K, 5, 1, 0)]);
    prove(&program, &policy).unwrap();
    for max_nodes in [0, 1, 40] {
        assert_eq!(
            Prover::new().max_nodes(max_nodes).prove(&program, &policy),
            Err(ProveError::TooLarge { max_nodes })
        );
    }
    // The comparison of two words whose bits are far apart in the order has 2^32 nodes.
    let program = gated(&[load(16), Insn::stmt(TAX, 0), load(24), jump(JEQ_X, 0, 1, 0)]);
    assert_eq!(Prover::new().max_nodes(9999).prove(&program, &policy), Err(ProveError::TooLarge { max_nodes: 9999 }));
}

/// Programs whose states double at each test, and numbers that depend on everything.
#[test]
fn programs_that_explode_end_at_the_budget() {
    let policy = naive::policy(Arch::X86_64, &[]);
    let history = |i: u32| {
        let test = [load(16 + i % 12 * 4), jump(JSET_K, 1 << (i / 12 % 32), 0, 3)];
        [&test[..], &[Insn::stmt(LD_MEM, 0), Insn::stmt(ADD_K, 1 + i * i), Insn::stmt(ST, 0)]].concat()
    };
    let product = |i: u32| {
        let factor = [load(16 + i % 12 * 4), Insn::stmt(LDX_MEM, 0), Insn::stmt(MUL_X, 0)];
        [&factor[..], &[Insn::stmt(ADD_K, 77), Insn::stmt(ST, 0)]].concat()
    };
    let bodies: [&dyn Fn(u32) -> Vec<Insn>; 2] = [&history, &product];
    for body in bodies {
        let mut insns = vec![Insn::stmt(LD_IMM, 1), Insn::stmt(ST, 0)];
        insns.extend((0..800).flat_map(body));
        insns.extend([Insn::stmt(LD_MEM, 0), jump(JGT_K, 99, 0, 1), ALLOW, ERRNO]);
        let program = Program::new(insns).unwrap();
        let answer = Prover::new().max_nodes(20_000).prove(&program, &policy);
        assert_eq!(answer, Err(ProveError::TooLarge { max_nodes: 20_000 }));
    }
}

/// Also what takes no nodes takes memory in proportion to them: numbers, contents of the scratch memory, and states.
#[test]
fn memory_is_bounded_where_nodes_are_few() {
    let policy = naive::policy(Arch::X86_64, &[]);
    let numbers = (1..150).flat_map(|i| [load(16), Insn::stmt(OR_K, i)]).collect();
    let scratches = (1..150).flat_map(|i| [Insn::stmt(LD_IMM, i), Insn::stmt(ST, 0)]).collect();
    let tests = (0..150).map(|i| jump(JSET_K, 1 << (i % 32), 0, 0));
    let states: Vec<Insn> = [load(16)].into_iter().chain(tests).collect();
    for (share, body) in [(16, numbers), (64, scratches), (4, states)] {
        let program: Program = gated(&body);
        let prove = |limit: usize| Prover::new().max_nodes(limit * share).prove(&program, &policy);
        assert_eq!(prove(140), Err(ProveError::TooLarge { max_nodes: 140 * share }));
        assert!(prove(160).unwrap().nodes < 140 * share);
    }
}

/// Without the look at what is still read, 2^400 states.
#[test]
fn forgotten_registers_do_not_count() {
    let mut insns = vec![load(4), jump(JEQ_K, 0xc000_003e, 1, 0), KILL];
    for i in 0..400 {
        insns.extend([load(16 + i % 12 * 4), jump(JSET_K, 1 << (i / 12 % 32), 0, 1), Insn::stmt(LDX_IMM, i)]);
        insns.push(Insn::stmt(STX, i % 16));
    }
    insns.extend([load(0), jump(JEQ_K, u32::MAX, 1, 0), jump(JSET_K, 0x4000_0000, 1, 0), ERRNO, TRAP]);
    let proof = prove(&Program::new(insns).unwrap(), &naive::policy(Arch::X86_64, &[])).unwrap();
    assert_eq!(proof.states, 403);
}

/// Thousands of unrelated rules for one number, each narrower than its neighbours.
#[test]
fn policies_that_explode_end_at_the_budget() {
    let rules = (0..3000_u64).map(|i| {
        let mask = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2 * i + 1);
        let test = Test::MaskedEq { mask, value: mask & 0x5555_1111_3333 };
        let condition = Condition { arg: (i % 6) as u8, width: Width::Bits64, test };
        crate::policy::Rule {
            action: Action::Errno((i % 999) as u16),
            narrower: vec![i as usize / 2],
            ..rule(&[condition])
        }
    });
    let policy = naive::policy(Arch::X86_64, &[(1, rules.collect())]);
    let answer = Prover::new().max_nodes(20_000).prove(&gated(&[]), &policy);
    assert_eq!(answer, Err(ProveError::TooLarge { max_nodes: 20_000 }));
}
