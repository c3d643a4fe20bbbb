//! Words, numbers and marks of languages that are not JSON.

use super::report::Reading;
use crate::profile::Code;
use crate::profile::json::value::quote;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A place: a file by its position in the list of all files that were read, and line and column in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) file: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word(String),
    /// A number, and as it is written.
    Number(u64, String),
    Mark(&'static str),
    /// A path, or a text in quotes.
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) spot: Spot,
}

impl Token {
    pub(super) fn is(&self, mark: &str) -> bool {
        matches!(self.kind, Kind::Mark(own) if own == mark)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(own) if own == word)
    }
}

impl Kind {
    /// The token in messages.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Word(text) | Self::Number(_, text) | Self::Text(text) => quote(text),
            Self::Mark("\n") => "the end of the line".into(),
            Self::Mark(mark) => quote(mark),
        }
    }
}

/// How a language is written.
pub(super) struct Grammar {
    /// What begins a comment that ends with the line.
    pub(super) comment: &'static str,
    /// `/* */`, and texts in double quotes.
    pub(super) like_c: bool,
    /// Whether lines end statements (a backslash joins two), and words that begin with `/` or `./` are paths.
    pub(super) by_lines: bool,
    /// Longer ones before those that they begin with.
    pub(super) marks: &'static [&'static str],
    /// Characters inside of words, beside letters, digits and `_`.
    pub(super) inside_words: &'static [char],
}

/// Takes a text apart. What is no token is an error, and skipped.
pub(super) fn tokens(text: &str, file: usize, grammar: &Grammar, reading: &mut Reading<'_>) -> Vec<Token> {
    let mut lexer = Lexer { rest: text, spot: Spot { file, line: 1, column: 1 }, grammar };
    let mut tokens = Vec::new();
    loop {
        match lexer.next() {
            Ok(Some(token)) => tokens.push(token),
            Ok(None) => return tokens,
            Err((spot, message)) => {
                let place = reading.show(spot);
                reading.error(Code::Syntax, &place, message);
            }
        }
    }
}

struct Lexer<'t> {
    rest: &'t str,
    spot: Spot,
    grammar: &'t Grammar,
}

type Wrong = (Spot, String);

impl<'t> Lexer<'t> {
    /// Goes on by this many bytes, and returns them.
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        for character in taken.chars() {
            if character == '\n' {
                self.spot = Spot { line: self.spot.line.saturating_add(1), column: 1, ..self.spot };
            } else {
                self.spot.column = self.spot.column.saturating_add(1);
            }
        }
        self.rest = rest;
        taken
    }

    fn length(&self, inside: impl Fn(char) -> bool) -> usize {
        self.rest.find(|character| !inside(character)).unwrap_or(self.rest.len())
    }

    fn next(&mut self) -> Result<Option<Token>, Wrong> {
        self.skip()?;
        let spot = self.spot;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let token = |kind| Ok(Some(Token { kind, spot }));
        if self.grammar.by_lines && (self.rest.starts_with('/') || self.rest.starts_with("./")) {
            let length = self.length(|character| !character.is_whitespace());
            return token(Kind::Text(self.take(length).into()));
        }
        if self.grammar.like_c && first == '"' {
            return self.quoted(spot).map(|text| Some(Token { kind: Kind::Text(text), spot }));
        }
        let negative = self.rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if first.is_ascii_digit() || negative {
            let digits = self.length(|c| c == '-' || c == '_' || c.is_alphanumeric());
            let text = self.take(digits);
            return match number(text) {
                Some(value) => token(Kind::Number(value, text.into())),
                None => Err((spot, format!("{} is no number of at most 64 bits", quote(text)))),
            };
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || self.grammar.inside_words.contains(&c);
            let length = self.length(inside);
            return token(Kind::Word(self.take(length).into()));
        }
        if let Some(mark) = self.grammar.marks.iter().find(|mark| self.rest.starts_with(**mark)) {
            self.take(mark.len());
            return token(Kind::Mark(mark));
        }
        self.take(first.len_utf8());
        Err((spot, format!("unexpected character {first:?}")))
    }

    /// A text in quotes, which ends in its line.
    fn quoted(&mut self, spot: Spot) -> Result<String, Wrong> {
        let length = self.rest.get(1..).and_then(|rest| rest.find(['"', '\n']));
        let text = length.and_then(|length| self.rest.get(1..length.saturating_add(1)));
        let closed = length.is_some_and(|length| self.rest.as_bytes().get(length.saturating_add(1)) == Some(&b'"'));
        let Some(text) = text.filter(|_| closed) else {
            self.take(1);
            return Err((spot, "the text in quotes does not end in its line".into()));
        };
        self.take(text.len().saturating_add(2));
        Ok(text.into())
    }

    /// Skips space and comments.
    fn skip(&mut self) -> Result<(), Wrong> {
        loop {
            let spot = self.spot;
            let space = self.length(|c| c.is_whitespace() && !(c == '\n' && self.grammar.by_lines));
            self.take(space);
            if self.rest.starts_with(self.grammar.comment) {
                let length = self.length(|c| c != '\n');
                let comment = self.take(length);
                if self.grammar.by_lines && comment.trim_end_matches('\r').ends_with('\\') {
                    let message = "a comment that ends with a backslash: readers differ in whether it goes on";
                    return Err((spot, message.into()));
                }
            } else if self.grammar.like_c && self.rest.starts_with("/*") {
                let Some(length) = self.rest.find("*/") else {
                    self.take(self.rest.len());
                    return Err((spot, "the comment does not end".into()));
                };
                self.take(length.saturating_add(2));
            } else if let Some(length) = self.joined() {
                self.take(length);
            } else if space == 0 {
                return Ok(());
            }
        }
    }

    /// The length of a backslash at the end of a line.
    fn joined(&self) -> Option<usize> {
        let ends = ["\\\n", "\\\r\n"].into_iter().find(|end| self.rest.starts_with(end));
        ends.filter(|_| self.grammar.by_lines).map(str::len)
    }
}

/// A number as C writes it, negative ones in two's complement, and `0b1010`.
fn number(text: &str) -> Option<u64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let lower = digits.to_ascii_lowercase();
    let value = if let Some(hex) = lower.strip_prefix("0x") {
        u64::from_str_radix(hex, 16).ok()?
    } else if let Some(binary) = lower.strip_prefix("0b") {
        u64::from_str_radix(binary, 2).ok()?
    } else if let Some(octal) = lower.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        u64::from_str_radix(octal, 8).ok()?
    } else {
        lower.parse().ok()?
    };
    if !negative {
        return Some(value);
    }
    (value <= 1 << 63).then(|| value.wrapping_neg())
}

/// Tokens, one after the other.
pub(super) struct Tokens {
    list: Vec<Token>,
    at: usize,
    end: Spot,
}

impl Tokens {
    /// `end` is the place that counts behind the last one.
    pub(super) fn new(list: Vec<Token>, end: Spot) -> Self {
        Self { list, at: 0, end }
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.list.get(self.at)
    }

    pub(super) fn peek_is(&self, mark: &str) -> bool {
        self.peek().is_some_and(|token| token.is(mark))
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        let token = self.list.get(self.at).cloned();
        self.at = self.at.saturating_add(1);
        token
    }

    /// Takes the next token if it is this mark.
    pub(super) fn take(&mut self, mark: &str) -> bool {
        let is = self.peek_is(mark);
        if is {
            self.at = self.at.saturating_add(1);
        }
        is
    }

    /// Where the next token is.
    pub(super) fn spot(&self) -> Spot {
        self.peek().map_or(self.end, |token| token.spot)
    }

    /// What the next token is, for messages.
    pub(super) fn found(&self) -> String {
        self.peek().map_or_else(|| "the end".into(), |token| token.kind.show())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_c() {
        for (text, value) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("010", Some(8)),
            ("0x1F", Some(31)),
            ("0b101", Some(5)),
            ("-1", Some(u64::MAX)),
            ("-0x8000000000000000", Some(1 << 63)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-9223372036854775809", None),
            ("09", None),
            ("0x", None),
            ("1k", None),
            ("1-2", None),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
    }
}
