//! The lines of expectations.

use super::{Bits, ExpectError, Expectation, Pattern, Subject, Term, Wanted};
use crate::arch::{Arch, ConstantError, Errno, Syscall};
use crate::bpf::Action;
use crate::profile::clean;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Lines with errors that are told; a file that is something else entirely has more.
const MAX_ERRORS: usize = 20;

/// The lines that say something, or what is wrong with those that cannot be used.
pub(super) fn lines(text: &str) -> Result<Vec<Expectation>, Vec<ExpectError>> {
    let (mut list, mut errors) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let number = index.saturating_add(1);
        let content = line.split('#').next().unwrap_or_default();
        if content.trim().is_empty() {
            continue;
        }
        match Parser::new(content).expectation(number) {
            Ok(expectation) => list.push(expectation),
            Err((column, message)) => errors.push(ExpectError { line: number, column, message: clean(message) }),
        }
        if errors.len() == MAX_ERRORS {
            break;
        }
    }
    if errors.is_empty() { Ok(list) } else { Err(errors) }
}

/// A column and a message.
type Wrong = (usize, String);

struct Parser<'a> {
    text: &'a str,
    /// Bytes taken so far.
    at: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut parser = Self { text, at: 0 };
        parser.space();
        parser
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn column(&self) -> usize {
        self.text.get(..self.at).unwrap_or_default().chars().count().saturating_add(1)
    }

    fn wrong<T>(&self, message: impl Into<String>) -> Result<T, Wrong> {
        Err((self.column(), message.into()))
    }

    fn take(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.take(rest.len().saturating_sub(rest.trim_start().len()));
    }

    /// Takes a mark, and the space behind it.
    fn mark(&mut self, mark: &str) -> bool {
        let found = self.rest().starts_with(mark);
        if found {
            self.take(mark.len());
            self.space();
        }
        found
    }

    /// Takes a word of letters, digits, `_` and `-`, and the space behind it.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
        self.take(end);
        self.space();
        rest.get(..end).unwrap_or_default()
    }

    fn expectation(mut self, line: usize) -> Result<Expectation, Wrong> {
        let text = clean(self.text.trim().to_string());
        let start = self.at;
        let first = self.word();
        let arch = if self.rest().starts_with('/') {
            let Some(arch) = Arch::from_name(first) else {
                self.at = start;
                return self.wrong(format!("unknown architecture \"{first}\" (such as x86_64/read)"));
            };
            self.mark("/");
            Some(arch)
        } else {
            self.at = start;
            None
        };
        let call = self.call(arch)?;
        let args = if self.mark("(") { self.args()? } else { Vec::new() };
        if !self.mark(":") {
            return self.wrong("\":\" and an answer are expected, such as read: allow");
        }
        let answer = self.answer()?;
        if !self.rest().is_empty() {
            return self.wrong("the end of the line is expected; a comment begins with #");
        }
        Ok(Expectation { line, text, arch, call, args, answer })
    }

    fn call(&mut self, arch: Option<Arch>) -> Result<Subject, Wrong> {
        let column = self.column();
        let word = self.word();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            let Some(number) = number(word).and_then(|number| u32::try_from(number).ok()) else {
                return Err((column, format!("\"{word}\" is no number of a system call")));
            };
            if arch.is_none() {
                return Err((column, format!("a number needs its architecture, such as x86_64/{word}")));
            }
            return Ok(Subject::Number(number));
        }
        if Syscall::from_name(word).is_some() {
            return Ok(Subject::Name(word.into()));
        }
        let message = match Syscall::nearest(word) {
            _ if word.is_empty() => "the name of a system call is expected".into(),
            Some(near) => format!("unknown system call \"{word}\" (did you mean \"{near}\"?)"),
            None => format!("unknown system call \"{word}\""),
        };
        Err((column, message))
    }

    /// Arguments up to the closing parenthesis.
    fn args(&mut self) -> Result<Vec<Pattern>, Wrong> {
        let mut args = Vec::new();
        if self.mark(")") {
            return Ok(args);
        }
        loop {
            if self.mark("...") {
                return if self.mark(")") { Ok(args) } else { self.wrong("\")\" is expected behind ...") };
            }
            if args.len() == 6 {
                return self.wrong("a system call has at most 6 arguments");
            }
            args.push(self.pattern()?);
            if self.mark(")") {
                return Ok(args);
            }
            if !self.mark(",") {
                return self.wrong("\",\" or \")\" is expected behind an argument");
            }
        }
    }

    fn pattern(&mut self) -> Result<Pattern, Wrong> {
        if self.mark("*") {
            return Ok(Pattern::Any);
        }
        let from = self.bits()?;
        if !self.rest().starts_with("...") && self.mark("..") {
            return Ok(Pattern::Range(from, self.bits()?));
        }
        Ok(Pattern::Value(from))
    }

    fn bits(&mut self) -> Result<Bits, Wrong> {
        let column = self.column();
        let mut terms = Vec::new();
        loop {
            terms.push(self.term()?);
            if !self.mark("|") {
                return Ok(Bits { column, terms });
            }
        }
    }

    fn term(&mut self) -> Result<Term, Wrong> {
        let column = self.column();
        let word = self.word();
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let number = number(word).ok_or_else(|| (column, format!("\"{word}\" is no 64-bit number")))?;
            return Ok(Term::Number(number));
        }
        if word.is_empty() {
            return Err((column, "a number, the name of a constant, or * is expected".into()));
        }
        // Whether any ABI has it can be told here; its value is asked for the ABI at hand.
        if Arch::X86_64.constant(word) == Err(ConstantError::Unknown) {
            return Err((column, format!("unknown constant \"{word}\"; write the number")));
        }
        Ok(Term::Name(word.into()))
    }

    fn answer(&mut self) -> Result<Wanted, Wrong> {
        let column = self.column();
        let word = self.word();
        Ok(match word {
            "allow" => Wanted::Allow,
            "deny" => Wanted::Deny,
            "log" => Wanted::Exactly(Action::Log),
            "notify" => Wanted::Exactly(Action::Notify),
            "trap" => Wanted::Trap,
            "kill" => Wanted::Kill,
            "kill-process" => Wanted::Exactly(Action::KillProcess),
            "kill-thread" => Wanted::Exactly(Action::KillThread),
            "errno" => self.errno()?,
            "trace" if self.rest().is_empty() => Wanted::AnyTrace,
            "trace" => Wanted::Exactly(Action::Trace(self.data("a trace message", u16::MAX)?)),
            _ => {
                let known = "allow, deny, log, errno NAME, trap, trace, notify, kill, kill-process, kill-thread";
                return Err((column, format!("unknown answer \"{word}\"; known are {known}")));
            }
        })
    }

    fn errno(&mut self) -> Result<Wanted, Wrong> {
        let rest = self.rest();
        if rest.is_empty() {
            return Ok(Wanted::AnyErrno);
        }
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Wanted::Exactly(Action::Errno(self.data("an error number", Action::MAX_ERRNO)?)));
        }
        let column = self.column();
        let name = self.word();
        if Arch::ALL.into_iter().any(|arch| Errno::from_name(arch, name).is_some()) {
            return Ok(Wanted::ErrnoName(name.into()));
        }
        Err((column, format!("unknown error name \"{name}\"; a name such as EPERM is expected")))
    }

    fn data(&mut self, what: &str, most: u16) -> Result<u16, Wrong> {
        let column = self.column();
        let word = self.word();
        let value = number(word).and_then(|number| u16::try_from(number).ok()).filter(|&value| value <= most);
        value.ok_or_else(|| (column, format!("{what} from 0 to {most} is expected, found \"{word}\"")))
    }
}

/// A number as in C: decimal, 0x, 0o or a leading 0, 0b, or negative.
fn number(word: &str) -> Option<u64> {
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |digits| (true, digits));
    let prefixed = |prefix: &str| digits.strip_prefix(prefix);
    let (radix, digits) = match (prefixed("0x"), prefixed("0o"), prefixed("0b"), prefixed("0")) {
        (Some(digits), ..) => (16, digits),
        (_, Some(digits), ..) | (_, _, None, Some(digits)) if !digits.is_empty() => (8, digits),
        (_, _, Some(digits), _) => (2, digits),
        _ => (10, digits),
    };
    let value = u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']))?;
    if negative { (value <= 1 << 63).then(|| value.wrapping_neg()) } else { Some(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(line: &str) -> (usize, String) {
        let errors = lines(line).unwrap_err();
        (errors[0].column, errors[0].message.clone())
    }

    #[test]
    fn numbers_as_in_c() {
        let good = [("0", 0), ("10", 10), ("0x1F", 31), ("017", 15), ("0o17", 15), ("0b11", 3), ("-1", u64::MAX)];
        for (word, value) in good {
            assert_eq!(number(word), Some(value), "{word}");
        }
        for word in ["", "x", "0x", "09", "1_0", "--1", "18446744073709551616", "-9223372036854775809"] {
            assert_eq!(number(word), None, "{word}");
        }
    }

    #[test]
    fn lines_that_cannot_be_used_say_where() {
        for (line, column, start) in [
            ("opennat: allow", 1, "unknown system call \"opennat\" (did you mean \"openat\"?)"),
            ("  read allow", 8, "\":\" and an answer"),
            ("read: maybe", 7, "unknown answer \"maybe\""),
            ("read: allow it", 13, "the end of the line"),
            ("read: errno EWRONG", 13, "unknown error name"),
            ("read: errno 5000", 13, "an error number from 0 to 4095"),
            ("socket(AF_WRONG): deny", 8, "unknown constant \"AF_WRONG\""),
            ("socket(1 2): deny", 10, "\",\" or \")\""),
            ("socket(1,): deny", 10, "a number, the name"),
            ("socket(0xg): deny", 8, "\"0xg\" is no 64-bit number"),
            ("socket(1, 2, 3, 4, 5, 6, 7): deny", 26, "a system call has at most 6"),
            ("socket(..., 1): deny", 11, "\")\" is expected"),
            ("vax/read: allow", 1, "unknown architecture \"vax\""),
            ("39: allow", 1, "a number needs its architecture"),
            (": allow", 1, "the name of a system call"),
        ] {
            let (found, message) = wrong(line);
            assert!(message.starts_with(start), "{line}: {message}");
            assert_eq!(found, column, "{line}: {message}");
        }
    }

    #[test]
    fn everything_that_a_line_can_say() {
        let text = "# nothing\n\nread:allow\n x86_64/39 ( ) : kill\nclone(CLONE_NEWUSER | 0x11, *, ...): errno # why\n\
                    ioctl(0, 1..0x10, -1): trace 7\nmount: errno ENOSYS\nmount: errno 13";
        let list = lines(text).unwrap();
        assert_eq!(list.iter().map(|one| one.line).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8]);
        assert_eq!((list[1].arch, &list[1].call), (Some(Arch::X86_64), &Subject::Number(39)));
        assert_eq!((list[2].args.len(), list[2].text.as_str()), (2, "clone(CLONE_NEWUSER | 0x11, *, ...): errno"));
        assert_eq!(list[3].answer, Wanted::Exactly(Action::Trace(7)));
        assert!(matches!(list[3].args[1], Pattern::Range(..)));
        assert_eq!(list[5].answer, Wanted::Exactly(Action::Errno(13)));
    }

    #[test]
    fn answers() {
        for (word, wanted) in [
            ("allow", Wanted::Allow),
            ("deny", Wanted::Deny),
            ("log", Wanted::Exactly(Action::Log)),
            ("notify", Wanted::Exactly(Action::Notify)),
            ("trap", Wanted::Trap),
            ("kill", Wanted::Kill),
            ("kill-process", Wanted::Exactly(Action::KillProcess)),
            ("kill-thread", Wanted::Exactly(Action::KillThread)),
            ("errno", Wanted::AnyErrno),
            ("trace", Wanted::AnyTrace),
            ("trace 65535", Wanted::Exactly(Action::Trace(u16::MAX))),
        ] {
            assert_eq!(lines(&format!("read: {word}")).unwrap()[0].answer, wanted);
        }
    }
}
