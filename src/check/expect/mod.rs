//! Unit tests for profiles: what somebody expects of calls, and whether a policy keeps to it.
//!
//! An expectation is about a set of calls, and it holds if it holds for every one of them. That is decided exactly.

mod parse;

use super::answers::{Answers, Args, runs};
use super::bdd::{Exhausted, FALSE, Ref};
use super::words::Word;
use crate::arch::{Arch, Errno};
use crate::bpf::Action;
use crate::policy::Policy;
use crate::profile::{Example, clean};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// A list of expectations, one a line.
///
/// ```text
/// # comment
/// mount: errno EPERM
/// socket(AF_VSOCK): deny
/// socket(AF_INET, SOCK_STREAM): allow
/// clone(*, ...): allow
/// personality(0xffffffff): allow
/// ioctl(*, 0x5400..0x54ff): deny
/// x86/socketcall: errno ENOSYS
/// ```
///
/// - An architecture and a slash in front limit the line to that ABI; otherwise it is about every listed ABI that has
///   the call.
/// - Arguments are numbers, names of constants ([`Arch::constant`]), several of them joined by `|`, or a range `A..B` of
///   which both ends are meant. `*` stands for any value; so does an argument that is not given. `...` at the end is for
///   the reader.
/// - On 64-bit ABIs a value is the whole register, on 32-bit ABIs its low half.
/// - Answers are `allow` (the call runs, logged or not), `deny` (an error, a trap or a kill), `log`, `errno`, `errno
///   NAME` or `errno NUMBER`, `trap`, `trace`, `trace NUMBER`, `notify`, `kill`, `kill-process`, `kill-thread`.
///
/// ```
/// use callsieve::arch::Arch;
/// use callsieve::check::Expectations;
/// use callsieve::policy::Target;
/// use callsieve::profile::{Profile, arg};
/// use callsieve::bpf::Action;
///
/// let profile = Profile::new(Action::Errno(1)).allow("read").allow_if("socket", [arg::<0>().ne(40)]);
/// let policy = profile.resolve(&Target::new(Arch::Aarch64))?;
/// let expectations: Expectations = "read: allow\nsocket(AF_VSOCK): deny\nsocket: allow\n".parse()?;
/// let broken = expectations.check(&policy)?;
/// assert_eq!(broken.len(), 1);
/// assert_eq!(broken[0].line, 3);
/// assert_eq!(broken[0].example.to_string(), "socket(0x28) on aarch64: ERRNO(1)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Expectations {
    list: Vec<Expectation>,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expectation {
    line: usize,
    text: String,
    arch: Option<Arch>,
    call: Subject,
    args: Vec<Pattern>,
    answer: Wanted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Name(String),
    Number(u32),
}

/// Which values of an argument are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    Value(Bits),
    Range(Bits, Bits),
}

/// Numbers and names of constants, or-ed together, with the column for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bits {
    column: usize,
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Number(u64),
    Name(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Allow,
    Deny,
    Kill,
    AnyErrno,
    ErrnoName(String),
    AnyTrace,
    Trap,
    Exactly(Action),
}

/// A line that cannot be used.
///
/// See the example of [`ExpectErrors`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {message}")]
#[non_exhaustive]
pub struct ExpectError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What was found, and what is allowed.
    pub message: String,
}

/// All lines that cannot be used.
///
/// ```
/// let errors = "read: allow\nwrite: alow\n".parse::<callsieve::check::Expectations>().unwrap_err();
/// assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [2]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", Lines(.0))]
pub struct ExpectErrors(Vec<ExpectError>);

struct Lines<'a>(&'a [ExpectError]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl ExpectErrors {
    /// One by one, in the order of the lines.
    pub fn iter(&self) -> core::slice::Iter<'_, ExpectError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a ExpectErrors {
    type Item = &'a ExpectError;
    type IntoIter = core::slice::Iter<'a, ExpectError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// An expectation that does not hold.
///
/// See the example of [`Expectations`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// Its line, counted from 1.
    pub line: usize,
    /// What the line says.
    pub text: String,
    /// A call that shows it.
    pub example: Example,
}

impl FromStr for Expectations {
    type Err = ExpectErrors;

    /// Reads a list. Every line that cannot be used is in the error.
    fn from_str(text: &str) -> Result<Self, ExpectErrors> {
        parse::lines(text).map(|list| Self { list }).map_err(ExpectErrors)
    }
}

impl Expectations {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The expectations that do not hold, in the order of their lines: each at most once for an ABI.
    ///
    /// # Errors
    /// [`ExpectErrors`] where a line is about a call that no listed ABI has, or needs a constant whose value on an ABI
    /// is not known; and where rules have too many combinations.
    pub fn check(&self, policy: &Policy) -> Result<Vec<Broken>, ExpectErrors> {
        let (mut broken, mut errors) = (Vec::new(), Vec::new());
        let mut answers = Answers::new(policy);
        for expectation in &self.list {
            match expectation.broken(policy, &mut answers) {
                Ok(found) => broken.extend(found),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(broken) } else { Err(ExpectErrors(errors)) }
    }
}

impl Expectation {
    fn error(&self, column: usize, message: String) -> ExpectError {
        ExpectError { line: self.line, column, message: clean(message) }
    }

    fn broken(&self, policy: &Policy, answers: &mut Answers<'_>) -> Result<Vec<Broken>, ExpectError> {
        let mut broken = Vec::new();
        for (arch, nr) in self.calls(policy)? {
            let Some(args) = self.counterexample(arch, nr, answers)? else { continue };
            let call = Answers::call(arch, nr, args);
            let given = u8::try_from(self.args.len()).unwrap_or(6);
            let used = (1u8..).zip(args).filter(|(_, value)| *value != 0).map(|(count, _)| count).max().unwrap_or(0);
            let example = Example::new(arch, call, given.max(used), answers.decide(&call));
            broken.push(Broken { line: self.line, text: self.text.clone(), example });
        }
        Ok(broken)
    }

    /// The ABIs that the line is about, with the number of the call.
    fn calls(&self, policy: &Policy) -> Result<Vec<(Arch, u32)>, ExpectError> {
        let number = |arch: Arch| match &self.call {
            Subject::Name(name) => arch.number(name),
            Subject::Number(number) => Some(*number),
        };
        let arches: Vec<Arch> = self.arch.map_or_else(|| policy.arches().collect(), |arch| alloc::vec![arch]);
        let calls: Vec<_> = arches.iter().filter_map(|&arch| Some((arch, number(arch)?))).collect();
        if calls.is_empty() {
            let names: Vec<&str> = arches.iter().map(|arch| arch.short_name()).collect();
            return Err(self.error(1, format!("{} has no such call", names.join(", "))));
        }
        Ok(calls)
    }

    fn counterexample(&self, arch: Arch, nr: u32, answers: &mut Answers<'_>) -> Result<Option<Args>, ExpectError> {
        let mut values = Vec::with_capacity(self.args.len());
        for pattern in &self.args {
            values.push(match pattern {
                Pattern::Any => None,
                Pattern::Value(bits) => {
                    let value = self.value(bits, arch)?;
                    Some((value, value))
                }
                Pattern::Range(from, to) => {
                    let (low, high) = (self.value(from, arch)?, self.value(to, arch)?);
                    if low > high {
                        return Err(self.error(from.column, format!("the range {low:#x}..{high:#x} is empty")));
                    }
                    Some((low, high))
                }
            });
        }
        let wanted = self.answer.on(arch).ok_or_else(|| self.error(1, format!("{arch} has no error of this name")))?;
        let found = failing(answers, (arch, nr), &values, &wanted);
        let failing = found.map_err(|Exhausted| self.error(1, "the rules have too many combinations".into()))?;
        Ok(answers.example(failing))
    }

    /// The value of an argument on an ABI.
    fn value(&self, bits: &Bits, arch: Arch) -> Result<u64, ExpectError> {
        let mut value = 0;
        for term in &bits.terms {
            value |= match term {
                Term::Number(number) => *number,
                Term::Name(name) => arch.constant(name).map_err(|_| {
                    // That some ABI has it was found when the line was read.
                    let text = format!("the value of {name} on {arch} is not known; write the number");
                    self.error(bits.column, text)
                })?,
            };
        }
        match (u32::try_from(value), i32::try_from(value.cast_signed())) {
            _ if arch.has_64bit_args() => Ok(value),
            (Ok(value), _) => Ok(value.into()),
            (_, Ok(negative)) => Ok(negative.cast_unsigned().into()),
            _ => Err(self.error(bits.column, format!("{value:#x} does not fit the 32 bits that {arch} has"))),
        }
    }
}

/// Where a call with arguments in these bounds has another answer.
fn failing(
    answers: &mut Answers<'_>,
    (arch, nr): (Arch, u32),
    values: &[Option<(u64, u64)>],
    wanted: &dyn Fn(Action) -> bool,
) -> Result<Ref, Exhausted> {
    let function = answers.of(arch, nr)?;
    let mut condition = answers.where_answer(function, &|action| !wanted(action))?;
    for (index, bounds) in (0u8..).zip(values) {
        let word = if arch.has_64bit_args() { Word::argument(index) } else { Word::low_half(index) };
        let (Some((low, high)), Some(word)) = (*bounds, word) else { continue };
        let bdd = &mut answers.bdd;
        let inside = if low == high {
            word.equals(bdd, low)?
        } else {
            let from = word.exceeds(bdd, low, true)?;
            let above = word.exceeds(bdd, high, false)?;
            bdd.ite(above, FALSE, from)?
        };
        condition = answers.bdd.and(inside, condition)?;
    }
    Ok(condition)
}

impl Wanted {
    /// Which actions are meant; `None` if the ABI has no error of the name.
    fn on(&self, arch: Arch) -> Option<impl Fn(Action) -> bool> {
        let exactly = match self {
            Self::ErrnoName(name) => Some(Action::Errno(Errno::from_name(arch, name)?.get())),
            Self::Exactly(action) => Some(*action),
            _ => None,
        };
        let kills = |action| matches!(action, Action::KillProcess | Action::KillThread);
        Some(move |action: Action| match self {
            Self::Allow => runs(action),
            Self::Deny => kills(action) || matches!(action, Action::Errno(_) | Action::Trap(_)),
            Self::Kill => kills(action),
            Self::AnyErrno => matches!(action, Action::Errno(_)),
            Self::AnyTrace => matches!(action, Action::Trace(_)),
            Self::Trap => matches!(action, Action::Trap(_)),
            Self::ErrnoName(_) | Self::Exactly(_) => exactly == Some(action),
        })
    }
}

#[cfg(test)]
mod tests;
