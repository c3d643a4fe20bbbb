//! What is said of values, against all numbers of a few bits.

use super::super::known::Known;
use super::*;
use crate::bpf::opcode::*;

const W: Word = Word::Low(2);
const V: Word = Word::High(4);
const WHOLE: Value = Value::Cut(W, u32::MAX);

fn constant(k: u32) -> Value {
    Value::Constant(k)
}

/// An environment in which some bits of `W` are known.
fn knows(mask: u32, value: u32) -> Env {
    let mut env = Env::default();
    env.set(W, Known::ANY.with(mask, value).expect("fits"));
    env
}

/// What numbers have in common.
fn common(numbers: impl Iterator<Item = u32>) -> Bits {
    let (ones, zeros) = numbers.fold((u32::MAX, u32::MAX), |(ones, zeros), number| (ones & number, zeros & !number));
    Bits { mask: ones | zeros, value: ones }
}

/// All that can be known of four bits at the bottom or the top of a number whose other bits are known.
fn partly_known() -> Vec<Bits> {
    let mut all = Vec::new();
    for (place, fill) in [(0, 0), (0, u32::MAX), (28, 0), (28, u32::MAX)] {
        for mask in 0..16_u32 {
            for value in (0..16).filter(|value| value & !mask == 0) {
                let open = 15 << place;
                all.push(Bits { mask: mask << place | !open, value: value << place | fill & !open });
            }
        }
    }
    all
}

fn numbers(bits: Bits) -> impl Iterator<Item = u32> {
    let open = !bits.mask;
    let place = open.trailing_zeros().min(28);
    (0..16_u32).map(move |number| number << place).filter(move |n| n & !open == 0).map(move |n| n | bits.value)
}

/// The highest bits that all numbers of an interval share, of which the lower half counts.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn top(least: i64, most: i64) -> Bits {
    let differ = least ^ most;
    let known = (0..32).filter(|bit| differ >> bit == 0).fold(0, |mask, bit| mask | 1 << bit);
    Bits { mask: known, value: least as u32 & known }
}

/// The lowest bits as far as both operands are known.
fn bottom(a: Bits, b: Bits, result: u32) -> Bits {
    let known = (0..32).take_while(|bit| a.mask & b.mask & 1 << bit != 0).fold(0, |mask, bit| mask | 1 << bit);
    Bits { mask: known, value: result & known }
}

fn both(a: Bits, b: Bits) -> Bits {
    Bits { mask: a.mask | b.mask, value: a.value | b.value }
}

#[test]
fn bitwise_operations_keep_all_that_is_known() {
    let all = partly_known();
    for code in [AND_K, OR_K, XOR_K] {
        for &a in &all {
            for &b in all.iter().step_by(3) {
                let truth = common(numbers(a).flat_map(|a| numbers(b).filter_map(move |b| compute(code, a, b))));
                assert_eq!(work_out(code, a, b), truth, "{code:#x} {a:x?} {b:x?}");
            }
        }
    }
    for code in [LSH_K, RSH_K] {
        for &a in &all {
            for by in [0, 1, 3, 17, 31] {
                let truth = common(numbers(a).filter_map(|a| compute(code, a, by)));
                assert_eq!(work_out(code, a, Bits::all(by)), truth, "{code:#x} {a:x?} {by}");
            }
            if a.known().is_none() {
                assert_eq!(work_out(code, Bits::all(1), a), Bits::UNKNOWN);
            }
        }
    }
}

#[test]
fn sums_are_known_from_both_ends() {
    let all = partly_known();
    for &a in &all {
        for &b in all.iter().step_by(3) {
            if a.known().is_some() && b.known().is_some() {
                continue;
            }
            let [a0, a1, b0, b1] = [a.value, a.most(), b.value, b.most()].map(i64::from);
            let add = both(top(a0 + b0, a1 + b1), bottom(a, b, a.value.wrapping_add(b.value)));
            assert_eq!(work_out(ADD_K, a, b), add, "{a:x?} + {b:x?}");
            let sub = both(top(a0 - b1, a1 - b0), bottom(a, b, a.value.wrapping_sub(b.value)));
            assert_eq!(work_out(SUB_K, a, b), sub, "{a:x?} - {b:x?}");
        }
        if a.known().is_none() {
            let negative = both(top(-i64::from(a.most()), -i64::from(a.value)), bottom(a, a, a.value.wrapping_neg()));
            assert_eq!(work_out(NEG, a, Bits::all(0)), negative, "-{a:x?}");
        }
    }
}

#[test]
fn products_and_quotients_are_known_from_the_top() {
    let all = partly_known();
    for &a in all.iter().filter(|a| a.known().is_none()) {
        for &b in all.iter().step_by(3).filter(|b| b.most() < 1 << 31) {
            let [a0, a1, b0, b1] = [a.value, a.most(), b.value, b.most()].map(i64::from);
            let same = (a0 * b0) >> 32 == (a1 * b1) >> 32;
            let truth = if same { top(a0 * b0, a1 * b1) } else { Bits::UNKNOWN };
            assert_eq!(work_out(MUL_K, a, b), truth, "{a:x?} * {b:x?}");
        }
        for by in [1, 2, 3, 7, 1 << 28] {
            let truth = top(i64::from(a.value / by), i64::from(a.most() / by));
            assert_eq!(work_out(DIV_K, a, Bits::all(by)), truth, "{a:x?} / {by}");
        }
        assert_eq!(work_out(DIV_K, a, Bits::all(0)), Bits::UNKNOWN);
        assert_eq!(work_out(DIV_K, Bits::all(9), a), Bits::UNKNOWN);
    }
}

/// What is said of a result holds for all numbers, and nothing is known that is not.
#[test]
fn what_is_known_is_true() {
    let all = partly_known();
    for code in [ADD_K, SUB_K, MUL_K, DIV_K, OR_K, AND_K, LSH_K, RSH_K, XOR_K, NEG] {
        for &a in all.iter().step_by(5) {
            for &b in all.iter().step_by(7) {
                let shift = matches!(code, LSH_K | RSH_K) && b.most() > 31;
                if shift || code == NEG && b != all[0] {
                    continue;
                }
                let said = work_out(code, a, b);
                for (a, b) in numbers(a).flat_map(|a| numbers(b).map(move |b| (a, b))) {
                    let result = compute(code, a, b).unwrap_or(said.value);
                    assert_eq!(result & said.mask, said.value, "{code:#x} {a:#x} {b:#x}");
                }
            }
        }
    }
}

#[test]
fn operations_compute() {
    let results = [
        (ADD_K, u32::MAX, 2, Some(1)),
        (SUB_K, 1, 2, Some(u32::MAX)),
        (MUL_K, 0x8000_0001, 6, Some(6)),
        (DIV_K, 17, 5, Some(3)),
        (DIV_K, 17, 0, None),
        (OR_K, 12, 10, Some(14)),
        (AND_K, 12, 10, Some(8)),
        (XOR_K, 12, 10, Some(6)),
        (LSH_K, 0xc000_0001, 1, Some(0x8000_0002)),
        (RSH_K, 0x8000_0001, 1, Some(0x4000_0000)),
        (NEG, 1, 0, Some(u32::MAX)),
    ];
    for (code, a, b, result) in results {
        assert_eq!(compute(code, a, b), result, "{code:#x}");
    }
    let comparisons = [(JEQ_K, [false, true, false]), (JGT_K, [false, false, true]), (JGE_K, [false, true, true])];
    for (code, answers) in comparisons {
        assert_eq!([3, 4, 5].map(|a| compare(code, a, 4)), answers, "{code:#x}");
    }
    assert_eq!([3, 4, 5].map(|a| compare(JSET_K, a, 2)), [true, false, false]);
}

#[test]
fn results_are_as_simple_as_they_can_be() {
    let mut all = Expressions::default();
    let sum = |add| Value::Sum(W, add);
    let results = [
        (AND_K, Value::Cut(W, 0x3c), constant(0xf0), Value::Cut(W, 0x30)),
        (AND_K, constant(0xf0), Value::Cut(W, 0x3c), Value::Cut(W, 0x30)),
        (AND_K, Value::Cut(W, 0x0f), constant(0xf0), constant(0)),
        (ADD_K, WHOLE, constant(7), sum(7)),
        (ADD_K, constant(7), WHOLE, sum(7)),
        (SUB_K, WHOLE, constant(7), sum(7_u32.wrapping_neg())),
        (ADD_K, sum(7), constant(2), sum(9)),
        (ADD_K, constant(2), sum(7), sum(9)),
        (ADD_K, sum(u32::MAX), constant(1), WHOLE),
        (SUB_K, sum(7), constant(2), sum(5)),
        (SUB_K, sum(7), constant(7), WHOLE),
        (ADD_K, constant(3), constant(4), constant(7)),
    ];
    for (code, a, b, result) in results {
        assert_eq!(all.apply(code, a, b), result, "{code:#x} {a:?} {b:?}");
    }
    let cut = Value::Cut(W, 0xff);
    for code in [ADD_K, SUB_K, OR_K, XOR_K, LSH_K, RSH_K] {
        assert_eq!(all.apply(code, cut, constant(0)), cut, "{code:#x}");
    }
    assert!(all.list.is_empty());
    // A product with 0 and a quotient by 0 are what they are.
    let [product, quotient] = [MUL_K, DIV_K].map(|code| all.apply(code, cut, constant(0)));
    assert_eq!((product, quotient), (Value::Expression(0), Value::Expression(1)));
    // Each once; an operation with X is the same.
    assert_eq!(all.apply(MUL_X, cut, constant(0)), product);
    assert_eq!(all.apply(MUL_K, Value::Cut(V, 1), product), Value::Expression(2));
    assert_eq!(all.words(constant(1)), 0);
    assert_eq!(all.words(product), only(W));
    assert_eq!(all.words(Value::Expression(2)), only(W) | only(V));
    let twice = all.apply(XOR_X, Value::Cut(W, 1), Value::Cut(W, 2));
    assert_eq!(all.words(twice), only(W));
    assert_eq!((all.words(Value::Sum(V, 1)), all.words(Value::Cut(V, 1))), (only(V), only(V)));
}

#[test]
fn expressions_are_worked_out_from_their_leaves() {
    let mut all = Expressions::default();
    let or = all.apply(OR_K, Value::Cut(W, 0xf0), constant(1));
    let twice = all.apply(LSH_K, or, constant(4));
    let xor = all.apply(XOR_X, twice, or);
    let nothing = Env::default();
    assert_eq!(all.bits(or, &nothing), Bits { mask: !0xf0, value: 1 });
    assert_eq!(all.bits(twice, &nothing), Bits { mask: !0xf00, value: 0x10 });
    assert_eq!(all.bits(xor, &nothing), Bits { mask: !0xff0, value: 1 });
    assert_eq!(all.bits(xor, &knows(0x30, 0x10)), Bits { mask: !0xcc0, value: 0x101 });
    assert_eq!(all.bits(xor, &knows(0xf0, 0x50)), Bits::all(0x511 ^ 1 ^ 0x50 ^ 1));
    assert_eq!(all.bits(Value::Cut(W, 0xff), &knows(0x13, 0x12)), Bits { mask: !0xec, value: 0x12 });
    assert_eq!(all.bits(Value::Sum(W, 3), &knows(0x13, 0x12)), Bits { mask: 3, value: 1 });
    assert_eq!(all.bits(constant(9), &nothing).known(), Some(9));
}

fn asks(first: u32, last: u32, wanted: bool) -> Test {
    Test::Asks(Question::Range { word: W, first, last }, wanted)
}

fn asks_bits(mask: u32, value: u32, wanted: bool) -> Test {
    Test::Asks(Question::Bits { word: W, mask, value }, wanted)
}

#[test]
fn comparisons_of_a_word_are_questions() {
    let all = Expressions::default();
    let sum = |add| Value::Sum(W, add);
    let high = Value::Cut(W, !0xff);
    let byte = Value::Cut(W, 0xff);
    let max = u32::MAX;
    let tests = [
        (JEQ_K, WHOLE, constant(5), asks(5, 5, true)),
        (JGT_K, WHOLE, constant(5), asks(6, max, true)),
        (JGT_K, WHOLE, constant(max), Test::Known(false)),
        (JGE_K, WHOLE, constant(5), asks(5, max, true)),
        (JGE_K, WHOLE, constant(0), Test::Known(true)),
        (JSET_K, WHOLE, constant(4), asks_bits(4, 4, true)),
        (JSET_K, WHOLE, constant(6), asks_bits(6, 0, false)),
        (JSET_K, WHOLE, constant(0), Test::Known(false)),
        // From the other side.
        (JEQ_X, constant(5), WHOLE, asks(5, 5, true)),
        (JGT_X, constant(5), WHOLE, asks(5, max, false)),
        (JGT_X, constant(0), WHOLE, Test::Known(false)),
        (JGE_X, constant(5), WHOLE, asks(6, max, false)),
        (JGE_X, constant(max), WHOLE, Test::Known(true)),
        (JSET_X, constant(4), WHOLE, asks_bits(4, 4, true)),
        (JEQ_K, constant(5), constant(5), Test::Known(true)),
        (JGT_K, constant(5), constant(5), Test::Known(false)),
        // Sums wrap.
        (JEQ_K, sum(3), constant(5), asks(2, 2, true)),
        (JEQ_K, sum(3), constant(1), asks(max - 1, max - 1, true)),
        (JGE_K, sum(3), constant(5), asks(2, max - 3, true)),
        (JGT_K, sum(max), constant(5), asks(7, 0, true)),
        (JGE_K, sum(3), constant(0), Test::Known(true)),
        (JSET_K, sum(3), constant(1), Test::Other),
        // Bits from the top on are intervals.
        (JEQ_K, high, constant(0x300), asks(0x300, 0x3ff, true)),
        (JEQ_K, high, constant(0x301), Test::Known(false)),
        (JGE_K, high, constant(0x300), asks(0x300, max, true)),
        (JGE_K, high, constant(0x301), asks(0x400, max, true)),
        (JGT_K, high, constant(0x300), asks(0x400, max, true)),
        (JGE_K, high, constant(max - 0xfe), Test::Known(false)),
        // Others are not.
        (JEQ_K, byte, constant(0x30), asks_bits(0xff, 0x30, true)),
        (JEQ_K, byte, constant(0x130), Test::Known(false)),
        (JSET_K, byte, constant(0x118), asks_bits(0x18, 0, false)),
        (JSET_K, byte, constant(0x108), asks_bits(8, 8, true)),
        (JSET_K, byte, constant(0x100), Test::Known(false)),
        (JGT_K, byte, constant(0xff), Test::Known(false)),
        (JGT_K, byte, constant(0xfe), Test::Other),
        (JGE_K, byte, constant(0x100), Test::Known(false)),
        (JGE_K, byte, constant(0xff), Test::Other),
        (JEQ_X, byte, Value::Cut(V, 1), Test::Other),
    ];
    for (code, a, b, test) in tests {
        assert_eq!(all.test(code, a, b, &Env::default()), test, "{code:#x} {a:x?} {b:x?}");
    }
}

/// Where a mask cuts off one or two bits, these are asked for, and then the whole word is compared.
#[test]
fn few_bits_that_are_cut_off_come_first() {
    let all = Expressions::default();
    let nothing = Env::default();
    let bit = |word, bit| Test::First(Question::Bits { word, mask: bit, value: bit });
    let even = Value::Cut(W, !1);
    assert_eq!(all.test(JGT_K, even, constant(5), &nothing), bit(W, 1));
    assert_eq!(all.test(JGE_K, even, constant(5), &nothing), bit(W, 1));
    assert_eq!(all.test(JGE_K, even, constant(5), &knows(1, 0)), asks(5, u32::MAX, true));
    assert_eq!(all.test(JGE_K, even, constant(5), &knows(1, 1)), asks(6, 0, true));
    let two = Value::Cut(W, !0x4008);
    assert_eq!(all.test(JGE_K, two, constant(5), &nothing), bit(W, 0x4000));
    assert_eq!(all.test(JGE_K, two, constant(5), &knows(0x4000, 0x4000)), bit(W, 8));
    // Equality of an argument is simple as it is.
    assert_eq!(all.test(JEQ_K, even, constant(6), &nothing), asks(6, 7, true));
    assert_eq!(all.test(JSET_K, even, constant(6), &nothing), asks_bits(6, 0, false));
    for word in [Word::Arch, Word::Nr] {
        assert_eq!(all.test(JEQ_K, Value::Cut(word, !2), constant(5), &nothing), bit(word, 2));
    }
    // Three bits are too many.
    let number = Value::Cut(Word::Nr, !7);
    let interval = Question::Range { word: Word::Nr, first: 8, last: 15 };
    assert_eq!(all.test(JEQ_K, number, constant(8), &nothing), Test::Asks(interval, true));
    assert_eq!(all.test(JGE_K, Value::Cut(W, !0x111), constant(8), &nothing), Test::Other);
}

/// From 1 to 0xf1, with four bits that are open.
#[test]
fn what_is_known_of_an_expression_decides() {
    let mut all = Expressions::default();
    let some = all.apply(OR_K, Value::Cut(W, 0xf0), constant(1));
    let tests = [
        (JEQ_K, 0, Test::Known(false)),
        (JEQ_K, 0x103, Test::Known(false)),
        (JEQ_K, 0x31, Test::Other),
        (JGT_K, 0, Test::Known(true)),
        (JGT_K, 1, Test::Other),
        (JGT_K, 0xf0, Test::Other),
        (JGT_K, 0xf1, Test::Known(false)),
        (JGE_K, 1, Test::Known(true)),
        (JGE_K, 2, Test::Other),
        (JGE_K, 0xf1, Test::Other),
        (JGE_K, 0xf2, Test::Known(false)),
        (JSET_K, 1, Test::Known(true)),
        (JSET_K, 0x0e, Test::Known(false)),
        (JSET_K, 0x10, Test::Other),
    ];
    for (code, k, test) in tests {
        assert_eq!(all.test(code, some, constant(k), &Env::default()), test, "{code:#x} {k:#x}");
    }
    let known = knows(0xf0, 0x30);
    assert_eq!(all.test(JEQ_K, some, constant(0x31), &known), Test::Known(true));
    // All bits are known on both sides, but of no simple kind.
    let other = all.apply(OR_K, Value::Cut(W, 0x30), constant(1));
    assert_eq!(all.test(JEQ_X, some, other, &known), Test::Known(true));
}

#[test]
fn a_comparison_demands_some_bits() {
    let all = Expressions::default();
    let (a, b) = (Value::Cut(W, 0xf0), Value::Cut(V, 0x3c));
    assert_eq!(all.demands(JSET_X, a, b, &Env::default()), (0x3c, 0xf0));
    assert_eq!(all.demands(JEQ_X, a, b, &Env::default()), (u32::MAX, u32::MAX));
}

#[test]
fn operations_demand_some_bits() {
    let [w, v, k] = [Value::Cut(W, u32::MAX), Value::Cut(V, u32::MAX), constant(0x3c)];
    let bits = 0x110;
    let demands = [
        (AND_K, k, w, (0, 0x10)),
        (AND_K, w, k, (0x10, 0)),
        (OR_K, k, w, (0, 0x100)),
        (OR_K, w, k, (0x100, 0)),
        (AND_K, w, v, (bits, bits)),
        (OR_K, w, v, (bits, bits)),
        (XOR_K, w, v, (bits, bits)),
        (XOR_K, w, k, (bits, bits)),
        (LSH_K, w, constant(4), (0x11, 0)),
        (RSH_K, w, constant(4), (0x1100, 0)),
        (LSH_K, w, v, (u32::MAX, 31)),
        (RSH_K, w, v, (u32::MAX, 31)),
        (DIV_K, w, k, (u32::MAX, u32::MAX)),
        (ADD_K, w, k, (0x1ff, 0x1ff)),
        (MUL_K, w, v, (0x1ff, 0x1ff)),
    ];
    for (code, a, b, wanted) in demands {
        assert_eq!(demanded(Expression { code, a, b }, bits), wanted, "{code:#x} {a:x?} {b:x?}");
    }
}

#[test]
fn open_bits_are_counted() {
    let mut all = Expressions::default();
    let nothing = Env::default();
    let bit = |word, bit| Some(Question::Bits { word, mask: bit, value: bit });
    let cut = Value::Cut(W, 0xf0);
    assert_eq!(all.open(&[(constant(1), u32::MAX)], &nothing), (0, None));
    assert_eq!(all.open(&[(cut, u32::MAX)], &nothing), (4, bit(W, 0x80)));
    assert_eq!(all.open(&[(cut, 0x38)], &nothing), (2, bit(W, 0x20)));
    assert_eq!(all.open(&[(cut, 0x30), (cut, 0x60)], &nothing), (3, bit(W, 0x40)));
    assert_eq!(all.open(&[(cut, u32::MAX)], &knows(0xc0, 0)), (2, bit(W, 0x20)));
    // A sum needs all bits below.
    assert_eq!(all.open(&[(Value::Sum(W, 3), 0x10)], &nothing), (5, bit(W, 0x10)));
    assert_eq!(all.open(&[(Value::Sum(W, 3), 0)], &nothing), (0, None));
    // The operands of operands.
    let xor = all.apply(XOR_X, Value::Cut(V, 0xff), cut);
    let and = all.apply(AND_K, xor, constant(0x6c));
    let both = all.apply(OR_X, and, xor);
    assert_eq!(all.open(&[(and, u32::MAX)], &nothing), (6, bit(W, 0x40)));
    assert_eq!(all.open(&[(and, u32::MAX)], &knows(0x60, 0)), (4, bit(V, 0x40)));
    assert_eq!(all.open(&[(both, 0x81)], &nothing), (3, bit(W, 0x80)));
}
