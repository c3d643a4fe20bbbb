//! Expressions of kafel: comparisons of arguments with constants, under masks, joined by `,`, `||`, `&&` and `!`.

use super::super::MAX_NESTING;
use super::super::condition::{Compare, Expr, Operand};
use super::super::report::did_you_mean;
use super::super::text::{Kind, Spot, Token, Tokens};
use super::{Names, Parsed, Parser};
use crate::arch::nearest;
use crate::profile::Code;
use crate::profile::json::value::{cut, quote};
use alloc::format;
use alloc::vec::Vec;

/// What an operand of a comparison is.
enum Value {
    Number(u64),
    /// Some bits of an argument, and bits that are always set.
    Bits(Operand, u64),
}

/// A part of an expression.
enum Part {
    Bool(Expr),
    Value(Value),
}

impl Parser<'_, '_> {
    /// `{ expression }`; without it, or if it is empty, the rule always matches.
    pub(super) fn condition(&mut self, tokens: &mut Tokens, names: &Names) -> Parsed<Expr> {
        if !tokens.take("{") || tokens.take("}") {
            return Some(Expr::Always);
        }
        let mut any = Vec::new();
        loop {
            any.push(self.boolean(tokens, names, 0)?);
            if !tokens.take(",") {
                break;
            }
        }
        self.expect(tokens, "}")?;
        Some(Expr::Any(any))
    }

    fn boolean(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Expr> {
        let spot = tokens.spot();
        let part = self.or(tokens, names, depth)?;
        self.as_bool(part, spot)
    }

    fn as_bool(&mut self, part: Part, spot: Spot) -> Parsed<Expr> {
        match part {
            Part::Bool(expr) => Some(expr),
            Part::Value(_) => {
                self.error(Code::Syntax, spot, "a comparison is expected, found a value; write VALUE != 0");
                None
            }
        }
    }

    fn as_value(&mut self, part: Part, spot: Spot) -> Parsed<Value> {
        match part {
            Part::Value(value) => Some(value),
            Part::Bool(_) => {
                self.error(Code::Syntax, spot, "a value is expected, found a comparison");
                None
            }
        }
    }

    fn or(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        self.chain(tokens, names, depth, "||", Self::and, Expr::Any)
    }

    fn and(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        self.chain(tokens, names, depth, "&&", Self::unary, Expr::All)
    }

    fn chain(
        &mut self,
        tokens: &mut Tokens,
        names: &Names,
        depth: usize,
        mark: &str,
        part: fn(&mut Self, &mut Tokens, &Names, usize) -> Parsed<Part>,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Parsed<Part> {
        let mut spot = tokens.spot();
        let first = part(self, tokens, names, depth)?;
        if !tokens.peek_is(mark) {
            return Some(first);
        }
        let mut all = Vec::from([self.as_bool(first, spot)?]);
        while tokens.take(mark) {
            spot = tokens.spot();
            let next = part(self, tokens, names, depth)?;
            all.push(self.as_bool(next, spot)?);
        }
        Some(Part::Bool(join(all)))
    }

    fn unary(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        let mut negated = false;
        while tokens.take("!") {
            negated = !negated;
        }
        let spot = tokens.spot();
        let part = self.comparison(tokens, names, depth)?;
        if negated { Some(Part::Bool(self.as_bool(part, spot)?.negated())) } else { Some(part) }
    }

    fn comparison(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        let spot = tokens.spot();
        let left = self.bits(tokens, names, depth)?;
        let compare = match tokens.peek().map(|token| &token.kind) {
            Some(Kind::Mark("==")) => Compare::Eq,
            Some(Kind::Mark("!=")) => Compare::Ne,
            Some(Kind::Mark("<")) => Compare::Lt,
            Some(Kind::Mark("<=")) => Compare::Le,
            Some(Kind::Mark(">")) => Compare::Gt,
            Some(Kind::Mark(">=")) => Compare::Ge,
            _ => return Some(left),
        };
        tokens.next();
        let right_spot = tokens.spot();
        let right = self.bits(tokens, names, depth)?;
        let (left, right) = (self.as_value(left, spot)?, self.as_value(right, right_spot)?);
        self.compared(left, compare, right, spot).map(Part::Bool)
    }

    fn compared(&mut self, left: Value, compare: Compare, right: Value, spot: Spot) -> Parsed<Expr> {
        let (operand, set, compare, value) = match (left, right) {
            (Value::Number(left), Value::Number(right)) => {
                return Some(if compare.holds(left, right) { Expr::Always } else { Expr::Never });
            }
            (Value::Bits(operand, set), Value::Number(value)) => (operand, set, compare, value),
            (Value::Number(value), Value::Bits(operand, set)) => (operand, set, compare.mirrored(), value),
            (Value::Bits(..), Value::Bits(..)) => {
                let message = "compares an argument with another one; a profile compares arguments with constants only";
                self.error(Code::NotExpressible, spot, message);
                return None;
            }
        };
        if set == 0 {
            return Some(operand.compare(compare, value));
        }
        // Bits that are always set are equal or not, whatever the argument is.
        match (compare, value & set == set) {
            (Compare::Eq | Compare::Ne, true) => Some(operand.compare(compare, value & !set)),
            (Compare::Eq, false) => Some(Expr::Never),
            (Compare::Ne, false) => Some(Expr::Always),
            _ => {
                let message = "compares the order of an argument of which bits are set with |; compare it for == or !=";
                self.error(Code::NotExpressible, spot, message);
                None
            }
        }
    }

    /// Operands with `&`, or with `|`.
    fn bits(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        let spot = tokens.spot();
        let first = self.primary(tokens, names, depth)?;
        let Some(mark) = ["&", "|"].into_iter().find(|mark| tokens.peek_is(mark)) else { return Some(first) };
        let mut value = self.as_value(first, spot)?;
        while tokens.take(mark) {
            let spot = tokens.spot();
            let next = self.primary(tokens, names, depth)?;
            let next = self.as_value(next, spot)?;
            value = self.combined(value, mark, next, spot)?;
        }
        if tokens.peek_is("&") || tokens.peek_is("|") {
            self.error(Code::Syntax, tokens.spot(), "& and | in one operand; write parentheses");
            return None;
        }
        Some(Part::Value(value))
    }

    fn combined(&mut self, left: Value, mark: &str, right: Value, spot: Spot) -> Parsed<Value> {
        Some(match (left, right, mark) {
            (Value::Number(left), Value::Number(right), "&") => Value::Number(left & right),
            (Value::Number(left), Value::Number(right), _) => Value::Number(left | right),
            (Value::Bits(operand, set), Value::Number(number), "&")
            | (Value::Number(number), Value::Bits(operand, set), "&") => {
                Value::Bits(Operand { mask: operand.mask & number, ..operand }, set & number)
            }
            (Value::Bits(operand, set), Value::Number(more), _)
            | (Value::Number(more), Value::Bits(operand, set), _) => {
                Value::Bits(Operand { mask: operand.mask & !more, ..operand }, set | more)
            }
            (Value::Bits(..), Value::Bits(..), _) => {
                let message = "puts two arguments together; a profile compares single arguments with constants only";
                self.error(Code::NotExpressible, spot, message);
                return None;
            }
        })
    }

    fn primary(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        if depth > MAX_NESTING {
            let message = format!("more than {MAX_NESTING} parentheses inside of each other");
            self.error(Code::TooLarge, tokens.spot(), message);
            return None;
        }
        if tokens.take("(") {
            let part = self.in_parentheses(tokens, names, depth.saturating_add(1))?;
            self.expect(tokens, ")")?;
            return Some(part);
        }
        if let Some(Token { kind: Kind::Number(number, _), .. }) = tokens.peek() {
            let number = *number;
            tokens.next();
            return Some(Part::Value(Value::Number(number)));
        }
        let (name, spot) = self.word(tokens, "an argument, a constant or a number")?;
        if let Some(value) = self.constants.get(&name) {
            return Some(Part::Value(Value::Number(*value)));
        }
        if let Some(index) = names.iter().position(|(own, _)| *own == name)
            && let (Some((_, width)), Ok(index)) = (names.get(index), u8::try_from(index))
        {
            return Some(Part::Value(Value::Bits(Operand::whole(index, *width), 0)));
        }
        if let Ok(value) = self.reading.arch().constant(&name) {
            return Some(Part::Value(Value::Number(value)));
        }
        let known: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        let hint = did_you_mean(nearest(&name, known.iter().copied()));
        let has = match known.as_slice() {
            [] => "no arguments are known; declare them: call(a, b)".into(),
            known => format!("the arguments are {}", known.iter().map(|name| cut(name)).collect::<Vec<_>>().join(", ")),
        };
        let message = format!("unknown argument or constant {}{hint}; {has}", quote(&name));
        self.error(Code::BadField, spot, message);
        None
    }

    /// Expressions with commas between them, or one value.
    fn in_parentheses(&mut self, tokens: &mut Tokens, names: &Names, depth: usize) -> Parsed<Part> {
        let mut spot = tokens.spot();
        let first = self.or(tokens, names, depth)?;
        if !tokens.peek_is(",") {
            return Some(first);
        }
        let mut any = Vec::from([self.as_bool(first, spot)?]);
        while tokens.take(",") {
            spot = tokens.spot();
            let next = self.or(tokens, names, depth)?;
            any.push(self.as_bool(next, spot)?);
        }
        Some(Part::Bool(Expr::Any(any)))
    }
}
