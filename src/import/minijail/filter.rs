//! What stands behind the colon of a line: actions, and expressions over arguments.

use super::super::MAX_NESTING;
use super::super::condition::{Compare, Expr, Operand, all};
use super::super::text::{Kind, Tokens};
use super::{ACTIONS, Parsed, Parser, is_argument};
use crate::arch::Errno;
use crate::bpf::Action;
use crate::profile::json::value::{cut, quote};
use crate::profile::{Code, Width};
use alloc::format;
use alloc::vec::Vec;

impl Parser<'_, '_> {
    pub(super) fn word_action(&mut self, line: &mut Tokens) -> Parsed<Action> {
        let spot = line.spot();
        let word = line.next();
        if let Some(Kind::Word(word)) = word.as_ref().map(|token| &token.kind)
            && let Some((_, action)) = ACTIONS.iter().find(|(own, _)| own == word)
        {
            return Some(*action);
        }
        let known: Vec<&str> = ACTIONS.iter().map(|(own, _)| *own).collect();
        let found = word.map_or_else(|| "the end".into(), |token| token.kind.show());
        self.error(
            Code::Syntax,
            spot,
            format!("an action is expected, found {found}; known are 1, return ERROR, {}", known.join(", ")),
        );
        None
    }

    pub(super) fn action(&mut self, line: &mut Tokens) -> Parsed<Action> {
        match line.peek().map(|token| &token.kind) {
            Some(Kind::Number(1, _)) => {
                line.next();
                Some(Action::Allow)
            }
            Some(Kind::Word(word)) if word == "return" => {
                line.next();
                self.errno(line).map(Action::Errno)
            }
            Some(Kind::Word(_)) => {
                let spot = line.spot();
                let action = self.word_action(line)?;
                if action != Action::Allow {
                    self.compiler_only(spot, "an action other than 1 and return");
                }
                Some(action)
            }
            _ => self.word_action(line),
        }
    }

    fn errno(&mut self, line: &mut Tokens) -> Parsed<u16> {
        let spot = line.spot();
        let token = line.next();
        let number = match token.as_ref().map(|token| &token.kind) {
            Some(Kind::Number(number, _)) => u16::try_from(*number).ok().filter(|number| *number <= Action::MAX_ERRNO),
            Some(Kind::Word(name)) => Errno::from_name(self.reading.arch(), name).map(Errno::get),
            _ => None,
        };
        if number.is_none() {
            let found = token.map_or_else(|| "the end".into(), |token| token.kind.show());
            let most = Action::MAX_ERRNO;
            self.error(
                Code::ErrnoRange,
                spot,
                format!("an error is expected, found {found}: a name such as EPERM, or 0 to {most}"),
            );
        }
        number
    }

    /// `a && b || c && d`.
    pub(super) fn expression(&mut self, line: &mut Tokens) -> Parsed<Expr> {
        let mut any = Vec::new();
        loop {
            let mut all = Vec::from([self.atom(line)?]);
            while line.take("&&") {
                all.push(self.atom(line)?);
            }
            any.push(Expr::All(all));
            if !line.take("||") {
                return Some(Expr::Any(any));
            }
        }
    }

    fn atom(&mut self, line: &mut Tokens) -> Parsed<Expr> {
        let spot = line.spot();
        let token = line.next();
        let word = match token.as_ref().map(|token| &token.kind) {
            Some(Kind::Word(word)) if is_argument(word) => word.clone(),
            _ => {
                let found = token.map_or_else(|| "the end".into(), |token| token.kind.show());
                self.error(Code::Syntax, spot, format!("an argument is expected, arg0 to arg5, found {found}"));
                return None;
            }
        };
        let Some(index) =
            word.strip_prefix("arg").and_then(|digits| digits.parse().ok()).filter(|index: &u8| *index < 6)
        else {
            self.error(
                Code::BadField,
                spot,
                format!("{} is out of range: a system call has arguments arg0 to arg5", cut(&word)),
            );
            return None;
        };
        let width = if self.reading.arch().has_64bit_args() { Width::Bits64 } else { Width::Bits32 };
        let operand = Operand::whole(index, width);
        let spot = line.spot();
        let operator = line.next();
        let value = self.value(line, width, 0)?;
        Some(match operator.as_ref().map(|token| &token.kind) {
            Some(Kind::Mark("==")) => operand.compare(Compare::Eq, value),
            Some(Kind::Mark("!=")) => operand.compare(Compare::Ne, value),
            Some(Kind::Mark("<")) => operand.compare(Compare::Lt, value),
            Some(Kind::Mark("<=")) => operand.compare(Compare::Le, value),
            Some(Kind::Mark(">")) => operand.compare(Compare::Gt, value),
            Some(Kind::Mark(">=")) => operand.compare(Compare::Ge, value),
            Some(Kind::Mark("&")) => Operand { mask: value, ..operand }.any_bit(),
            Some(Kind::Word(word)) if word == "in" => {
                Operand { mask: !value & all(width), ..operand }.any_bit().negated()
            }
            other => {
                let found = other.map_or_else(|| "the end".into(), Kind::show);
                self.error(
                    Code::Syntax,
                    spot,
                    format!("an operator is expected, found {found}; known are == != < <= > >= & in"),
                );
                return None;
            }
        })
    }

    /// Constants with `|`, `~` and parentheses.
    fn value(&mut self, line: &mut Tokens, width: Width, depth: usize) -> Parsed<u64> {
        let mut value = 0;
        loop {
            value |= self.constant(line, width, depth)?;
            if !line.take("|") {
                return Some(value);
            }
        }
    }

    fn constant(&mut self, line: &mut Tokens, width: Width, depth: usize) -> Parsed<u64> {
        let spot = line.spot();
        if depth > MAX_NESTING {
            self.error(Code::TooLarge, spot, format!("more than {MAX_NESTING} parentheses inside of each other"));
            return None;
        }
        let complement = line.take("~");
        let value = if line.take("(") {
            let value = self.value(line, width, depth.saturating_add(1))?;
            self.expect(line, ")")?;
            value
        } else {
            self.single_constant(line, width)?
        };
        Some(if complement { !value & all(width) } else { value })
    }

    fn single_constant(&mut self, line: &mut Tokens, width: Width) -> Parsed<u64> {
        let spot = line.spot();
        let token = line.next();
        match token.as_ref().map(|token| &token.kind) {
            Some(Kind::Number(value, text)) => {
                // A negative number in the width of a register.
                let fits = width == Width::Bits64 || value.cast_signed() >= i64::from(i32::MIN);
                let value = if text.starts_with('-') && fits { value & all(width) } else { *value };
                if value & !all(width) != 0 {
                    self.error(
                        Code::ConstantTooWide,
                        spot,
                        format!("{} does not fit a register of {}", cut(text), self.reading.arch()),
                    );
                    return None;
                }
                Some(value)
            }
            Some(Kind::Word(name)) => {
                let errno = Errno::from_name(self.reading.arch(), name).map(|errno| u64::from(errno.get()));
                match self.reading.arch().constant(name) {
                    Ok(value) => Some(value & all(width)),
                    Err(_) if errno.is_some() => errno,
                    Err(error) => {
                        self.error(Code::BadField, spot, format!("constant {}: {error}", quote(name)));
                        None
                    }
                }
            }
            other => {
                let found = other.map_or_else(|| "the end".into(), Kind::show);
                self.error(Code::Syntax, spot, format!("a number or a constant is expected, found {found}"));
                None
            }
        }
    }
}
