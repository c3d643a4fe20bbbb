//! What a register holds, and questions about it.

use super::known::{Env, Words, only};
use crate::bpf::opcode;
use crate::graph::Word;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What a register or scratch word holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Constant(u32),
    /// Some bits of a word.
    Cut(Word, u32),
    /// A word plus a constant.
    Sum(Word, u32),
    /// Anything else: index in [`Expressions`].
    Expression(u32),
}

impl Value {
    pub(super) const ZERO: Self = Self::Constant(0);
}

/// An operation whose result depends on the input in no simpler way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Expression {
    code: u16,
    a: Value,
    b: Value,
}

/// All expressions, each once; operands come before what is made of them.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    list: Vec<(Expression, Words)>,
    ids: BTreeMap<Expression, u32>,
}

/// Bits of a result that are the same for every input that is left: their mask, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    pub(super) mask: u32,
    pub(super) value: u32,
}

impl Bits {
    const UNKNOWN: Self = Self { mask: 0, value: 0 };

    const fn all(value: u32) -> Self {
        Self { mask: u32::MAX, value }
    }

    pub(super) fn known(self) -> Option<u32> {
        (self.mask == u32::MAX).then_some(self.value)
    }

    fn most(self) -> u32 {
        self.value | !self.mask
    }
}

/// What decides a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether a word lies in an interval, or if the ends are exchanged, not strictly between them.
    Range { word: Word, first: u32, last: u32 },
    /// Whether some bits of a word have a value.
    Bits { word: Word, mask: u32, value: u32 },
}

impl Question {
    pub(super) fn word(self) -> Word {
        match self {
            Self::Range { word, .. } | Self::Bits { word, .. } => word,
        }
    }

    /// Where a word changes its mind: the starts of pieces behind the first.
    pub(super) fn cuts(self) -> [Option<u32>; 2] {
        match self {
            Self::Range { first, last, .. } => [Some(first), last.checked_add(1)],
            Self::Bits { .. } => [None, None],
        }
    }
}

/// The answer to a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Known(bool),
    /// As the answer to a question, or the opposite.
    Asks(Question, bool),
    /// This has to be asked first.
    First(Question),
    /// Nothing simple.
    Other,
}

/// Whether a jump compares with X; the same bit tells it of arithmetic.
pub(super) const fn takes_x(code: u16) -> bool {
    code & 0x08 != 0
}

/// The operation with a constant of the same kind.
pub(super) const fn with_k(code: u16) -> u16 {
    code & !0x08
}

/// The outcome of a comparison.
pub(super) fn compare(code: u16, a: u32, b: u32) -> bool {
    match with_k(code) {
        opcode::JEQ_K => a == b,
        opcode::JGT_K => a > b,
        opcode::JGE_K => a >= b,
        _ => a & b != 0,
    }
}

/// The result of an operation; a division by 0 has none.
pub(super) fn compute(code: u16, a: u32, b: u32) -> Option<u32> {
    Some(match with_k(code) {
        opcode::ADD_K => a.wrapping_add(b),
        opcode::SUB_K => a.wrapping_sub(b),
        opcode::MUL_K => a.wrapping_mul(b),
        opcode::DIV_K => return a.checked_div(b),
        opcode::OR_K => a | b,
        opcode::AND_K => a & b,
        opcode::LSH_K => a.wrapping_shl(b),
        opcode::RSH_K => a.wrapping_shr(b),
        opcode::XOR_K => a ^ b,
        _ => a.wrapping_neg(),
    })
}

impl Expressions {
    /// The result of an operation, as simple as it can be.
    pub(super) fn apply(&mut self, code: u16, a: Value, b: Value) -> Value {
        let code = with_k(code);
        if let (Value::Constant(a), Value::Constant(b)) = (a, b)
            && let Some(result) = compute(code, a, b)
        {
            return Value::Constant(result);
        }
        match (code, a, b) {
            (opcode::AND_K, Value::Cut(word, mask), Value::Constant(k))
            | (opcode::AND_K, Value::Constant(k), Value::Cut(word, mask)) => cut(word, mask & k),
            (opcode::ADD_K, Value::Cut(word, u32::MAX), Value::Constant(k))
            | (opcode::ADD_K, Value::Constant(k), Value::Cut(word, u32::MAX)) => sum(word, k),
            (opcode::SUB_K, Value::Cut(word, u32::MAX), Value::Constant(k)) => sum(word, k.wrapping_neg()),
            (opcode::ADD_K, Value::Sum(word, add), Value::Constant(k))
            | (opcode::ADD_K, Value::Constant(k), Value::Sum(word, add)) => sum(word, add.wrapping_add(k)),
            (opcode::SUB_K, Value::Sum(word, add), Value::Constant(k)) => sum(word, add.wrapping_sub(k)),
            (
                opcode::ADD_K | opcode::SUB_K | opcode::OR_K | opcode::XOR_K | opcode::LSH_K | opcode::RSH_K,
                a,
                Value::Constant(0),
            ) => a,
            _ => self.intern(Expression { code, a, b }),
        }
    }

    fn intern(&mut self, expression: Expression) -> Value {
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let words = self.words(expression.a) | self.words(expression.b);
        let id = *self.ids.entry(expression).or_insert(next);
        if id == next {
            self.list.push((expression, words));
        }
        Value::Expression(id)
    }

    /// The words on which a value depends.
    pub(super) fn words(&self, value: Value) -> Words {
        match value {
            Value::Constant(_) => 0,
            Value::Cut(word, _) | Value::Sum(word, _) => only(word),
            Value::Expression(id) => self.list.get(id as usize).map_or(0, |(_, words)| *words),
        }
    }

    /// What is known of a value. An expression is worked out from its leaves.
    pub(super) fn bits(&self, value: Value, env: &Env) -> Bits {
        let Value::Expression(root) = value else { return leaf(value, env) };
        let mut results: BTreeMap<u32, Bits> = BTreeMap::new();
        for id in self.below(root).into_iter().rev() {
            let Some((expression, _)) = self.list.get(id as usize) else { continue };
            let operand = |value| match value {
                Value::Expression(id) => results.get(&id).copied().unwrap_or(Bits::UNKNOWN),
                simple => leaf(simple, env),
            };
            let result = work_out(expression.code, operand(expression.a), operand(expression.b));
            results.insert(id, result);
        }
        results.get(&root).copied().unwrap_or(Bits::UNKNOWN)
    }

    /// The expressions of which one is made, itself first.
    fn below(&self, root: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut needed = alloc::collections::BTreeSet::from([root]);
        // Operands have smaller numbers.
        while let Some(id) = needed.pop_last() {
            found.push(id);
            let operands = self.list.get(id as usize).map(|(expression, _)| [expression.a, expression.b]);
            needed.extend(operands.into_iter().flatten().filter_map(|operand| match operand {
                Value::Expression(id) => Some(id),
                _ => None,
            }));
        }
        found
    }

    /// The bits of words on which some bits of values depend and that are not known: their number, and the highest bit
    /// of the first word as a question.
    pub(super) fn open(&self, values: &[(Value, u32)], env: &Env) -> (u32, Option<Question>) {
        let mut leaves: BTreeMap<Word, u32> = BTreeMap::new();
        let mut inner: BTreeMap<u32, u32> = BTreeMap::new();
        let mut want = |inner: &mut BTreeMap<u32, u32>, value: Value, bits: u32| match value {
            Value::Constant(_) => {}
            Value::Cut(word, mask) => *leaves.entry(word).or_default() |= bits & mask,
            Value::Sum(word, _) => *leaves.entry(word).or_default() |= up_to(bits),
            Value::Expression(id) => *inner.entry(id).or_default() |= bits,
        };
        for &(value, bits) in values {
            want(&mut inner, value, bits);
        }
        // Operands have smaller numbers.
        while let Some((id, bits)) = inner.pop_last() {
            if let Some((expression, _)) = self.list.get(id as usize) {
                let (a, b) = demanded(*expression, bits);
                want(&mut inner, expression.a, a);
                want(&mut inner, expression.b, b);
            }
        }
        let mut count = 0;
        let mut first = None;
        for (word, bits) in leaves {
            let left = bits & !env.get(word).fixed().0;
            count += left.count_ones();
            first = first.or_else(|| highest(word, left));
        }
        (count, first)
    }

    /// The bits of both sides on which a comparison depends.
    pub(super) fn demands(&self, code: u16, a: Value, b: Value, env: &Env) -> (u32, u32) {
        if with_k(code) == opcode::JSET_K {
            (self.bits(b, env).most(), self.bits(a, env).most())
        } else {
            (u32::MAX, u32::MAX)
        }
    }

    /// What decides a comparison.
    pub(super) fn test(&self, code: u16, a: Value, b: Value, env: &Env) -> Test {
        let simple = match (a, b) {
            (Value::Constant(a), Value::Constant(b)) => Test::Known(compare(code, a, b)),
            (Value::Cut(word, mask), Value::Constant(_)) if few_cut(code, word, mask) => {
                let (fixed, value) = env.get(word).fixed();
                return match highest(word, !mask & !fixed) {
                    Some(question) => Test::First(question),
                    // All bits that are cut off are known: what is left is the word less these.
                    None => self.test(code, sum(word, (value & !mask).wrapping_neg()), b, env),
                };
            }
            (a, Value::Constant(k)) => simple(with_k(code), a, k),
            // The same from the other side.
            (Value::Constant(k), b) => match with_k(code) {
                opcode::JGT_K => negated(simple(opcode::JGE_K, b, k)),
                opcode::JGE_K => negated(simple(opcode::JGT_K, b, k)),
                code => simple(code, b, k),
            },
            _ => Test::Other,
        };
        if simple != Test::Other {
            return simple;
        }
        let (a, b) = (self.bits(a, env), self.bits(b, env));
        let known = match with_k(code) {
            opcode::JEQ_K if (a.value ^ b.value) & a.mask & b.mask != 0 => Some(false),
            opcode::JEQ_K => a.known().zip(b.known()).map(|(a, b)| a == b),
            opcode::JGT_K if a.value > b.most() => Some(true),
            opcode::JGT_K if a.most() <= b.value => Some(false),
            opcode::JGE_K if a.value >= b.most() => Some(true),
            opcode::JGE_K if a.most() < b.value => Some(false),
            opcode::JGT_K | opcode::JGE_K => None,
            _ if a.value & b.value != 0 => Some(true),
            _ if a.most() & b.most() == 0 => Some(false),
            _ => None,
        };
        known.map_or(Test::Other, Test::Known)
    }
}

fn cut(word: Word, mask: u32) -> Value {
    if mask == 0 { Value::ZERO } else { Value::Cut(word, mask) }
}

fn sum(word: Word, add: u32) -> Value {
    if add == 0 { Value::Cut(word, u32::MAX) } else { Value::Sum(word, add) }
}

fn negated(test: Test) -> Test {
    match test {
        Test::Known(known) => Test::Known(!known),
        Test::Asks(question, holds) => Test::Asks(question, !holds),
        other => other,
    }
}

/// Whether it pays to ask for the bits that were cut off: then what is left is compared as a whole. A comparison of
/// equality is simple as it is, unless it is part of telling numbers apart.
fn few_cut(code: u16, word: Word, mask: u32) -> bool {
    let few = mask != u32::MAX && mask.count_zeros() <= super::FEW_CUT;
    match with_k(code) {
        opcode::JEQ_K => few && matches!(word, Word::Arch | Word::Nr),
        opcode::JGT_K | opcode::JGE_K => few,
        _ => false,
    }
}

fn highest(word: Word, bits: u32) -> Option<Question> {
    let bit = 1_u32.checked_shl(31_u32.wrapping_sub(bits.leading_zeros()))?;
    Some(Question::Bits { word, mask: bit, value: bit })
}

/// The bits up to the highest of these.
fn up_to(bits: u32) -> u32 {
    u32::MAX.checked_shr(bits.leading_zeros()).unwrap_or(0)
}

/// The bits of both operands on which some bits of the result depend.
fn demanded(expression: Expression, bits: u32) -> (u32, u32) {
    let Expression { code, a, b } = expression;
    match (code, a, b) {
        (opcode::AND_K, Value::Constant(k), _) => (0, bits & k),
        (opcode::AND_K, _, Value::Constant(k)) => (bits & k, 0),
        (opcode::OR_K, Value::Constant(k), _) => (0, bits & !k),
        (opcode::OR_K, _, Value::Constant(k)) => (bits & !k, 0),
        (opcode::AND_K | opcode::OR_K | opcode::XOR_K, ..) => (bits, bits),
        (opcode::LSH_K, _, Value::Constant(by)) => (bits.wrapping_shr(by), 0),
        (opcode::RSH_K, _, Value::Constant(by)) => (bits.wrapping_shl(by), 0),
        (opcode::LSH_K | opcode::RSH_K, ..) => (u32::MAX, 31),
        (opcode::DIV_K, ..) => (u32::MAX, u32::MAX),
        _ => (up_to(bits), up_to(bits)),
    }
}

/// A comparison of one word with a constant.
fn simple(code: u16, a: Value, k: u32) -> Test {
    // From which number on it holds, for an order.
    let from = match code {
        opcode::JGE_K => Some(k),
        opcode::JGT_K => match k.checked_add(1) {
            Some(from) => Some(from),
            None => return Test::Known(false),
        },
        _ => None,
    };
    match (code, a, from) {
        (_, _, Some(0)) => Test::Known(true),
        (opcode::JEQ_K, Value::Cut(word, u32::MAX), _) => range(word, k, k),
        (_, Value::Cut(word, u32::MAX), Some(from)) => range(word, from, u32::MAX),
        (opcode::JEQ_K, Value::Sum(word, add), _) => range(word, k.wrapping_sub(add), k.wrapping_sub(add)),
        (_, Value::Sum(word, add), Some(from)) => range(word, from.wrapping_sub(add), u32::MAX.wrapping_sub(add)),
        (opcode::JEQ_K, Value::Cut(_, mask), _) if k & !mask != 0 => Test::Known(false),
        // Bits from the top of the word on: an interval.
        (opcode::JEQ_K, Value::Cut(word, mask), _) if !mask & (!mask).wrapping_add(1) == 0 => range(word, k, k | !mask),
        (_, Value::Cut(word, mask), Some(from)) if !mask & (!mask).wrapping_add(1) == 0 => {
            match from.checked_add(!mask) {
                Some(up) => range(word, up & mask, u32::MAX),
                None => Test::Known(false),
            }
        }
        (opcode::JEQ_K, Value::Cut(word, mask), _) => Test::Asks(Question::Bits { word, mask, value: k }, true),
        (opcode::JSET_K, Value::Cut(word, mask), _) => match mask & k {
            0 => Test::Known(false),
            mask if mask.is_power_of_two() => Test::Asks(Question::Bits { word, mask, value: mask }, true),
            mask => Test::Asks(Question::Bits { word, mask, value: 0 }, false),
        },
        _ => Test::Other,
    }
}

fn range(word: Word, first: u32, last: u32) -> Test {
    Test::Asks(Question::Range { word, first, last }, true)
}

fn leaf(value: Value, env: &Env) -> Bits {
    match value {
        Value::Constant(value) => Bits::all(value),
        Value::Cut(word, mask) => {
            let (known, value) = env.get(word).fixed();
            Bits { mask: known | !mask, value: value & mask }
        }
        Value::Sum(word, add) => {
            let (mask, value) = env.get(word).fixed();
            add_bits(Bits { mask, value }, Bits::all(add), false)
        }
        Value::Expression(_) => Bits::UNKNOWN,
    }
}

fn work_out(code: u16, a: Bits, b: Bits) -> Bits {
    if let (Some(a), Some(b)) = (a.known(), b.known())
        && let Some(result) = compute(code, a, b)
    {
        return Bits::all(result);
    }
    let inverted = |bits: Bits| Bits { mask: bits.mask, value: !bits.value & bits.mask };
    match (code, b.known()) {
        (opcode::AND_K, _) => {
            let zeros = a.mask & !a.value | b.mask & !b.value;
            Bits { mask: a.mask & b.mask | zeros, value: a.value & b.value }
        }
        (opcode::OR_K, _) => Bits { mask: a.mask & b.mask | a.value | b.value, value: a.value | b.value },
        (opcode::XOR_K, _) => {
            let mask = a.mask & b.mask;
            Bits { mask, value: (a.value ^ b.value) & mask }
        }
        (opcode::ADD_K, _) => add_bits(a, b, false),
        (opcode::SUB_K, _) => add_bits(a, inverted(b), true),
        (opcode::NEG, _) => add_bits(Bits::all(0), inverted(a), true),
        (opcode::MUL_K, _) => {
            let (least, most) = (u64::from(a.value) * u64::from(b.value), u64::from(a.most()) * u64::from(b.most()));
            between(least, most)
        }
        (opcode::DIV_K, Some(by @ 1..)) => between((a.value / by).into(), (a.most() / by).into()),
        (opcode::LSH_K, Some(by)) => {
            Bits { mask: a.mask.wrapping_shl(by) | !u32::MAX.wrapping_shl(by), value: a.value.wrapping_shl(by) }
        }
        (opcode::RSH_K, Some(by)) => {
            Bits { mask: a.mask.wrapping_shr(by) | !u32::MAX.wrapping_shr(by), value: a.value.wrapping_shr(by) }
        }
        _ => Bits::UNKNOWN,
    }
}

/// A sum: known from the lowest bit up to the first that is not known, and from the top as far as the least and the
/// greatest sum agree.
fn add_bits(a: Bits, b: Bits, carry: bool) -> Bits {
    let sum = |a: u32, b: u32| u64::from(a) + u64::from(b) + u64::from(carry);
    let known = (a.mask & b.mask).trailing_ones();
    let mask = u32::MAX.checked_shr(32_u32.saturating_sub(known)).unwrap_or(0);
    let low = Bits { mask, value: a.value.wrapping_add(b.value).wrapping_add(u32::from(carry)) & mask };
    let high = between(sum(a.value, b.value), sum(a.most(), b.most()));
    Bits { mask: low.mask | high.mask, value: low.value | high.value }
}

/// What numbers between two have in common, of which the lower half counts.
#[allow(clippy::cast_possible_truncation)] // The lower half counts.
fn between(least: u64, most: u64) -> Bits {
    if least >> 32 != most >> 32 {
        return Bits::UNKNOWN;
    }
    let differ = up_to((least ^ most) as u32);
    Bits { mask: !differ, value: least as u32 & !differ }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
