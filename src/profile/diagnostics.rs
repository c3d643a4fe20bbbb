//! What is wrong or doubtful in a profile, each with its place.

use super::Code;
use crate::arch::Arch;
use crate::bpf::{Action, SyscallData};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// How bad a finding is.
///
/// See the example of [`Linter`](crate::check::Linter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Good to know; nothing needs to change.
    Note,
    /// The author most likely meant something else.
    Warning,
    /// The profile cannot be used.
    Error,
}

/// One finding.
///
/// See the example of [`lint`](crate::check::lint()).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    code: Code,
    path: String,
    message: String,
    instead: Option<String>,
    example: Option<Example>,
}

/// A call that shows what a finding is about.
///
/// See the example of [`lint`](crate::check::lint()).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Example {
    /// The ABI of the call.
    pub arch: Arch,
    /// The call. Arguments that do not matter are 0.
    pub call: SyscallData,
    /// How many of the arguments, counted from the first, are worth showing.
    pub shown: u8,
    /// What happens to it.
    pub action: Action,
}

impl Example {
    pub(crate) fn new(arch: Arch, call: SyscallData, shown: u8, action: Action) -> Self {
        Self { arch, call, shown, action }
    }
}

/// Longest part of a message, in characters: nobody reads further. Lists of unknown names are cut by themselves.
const MAX_CHARS: usize = 1000;
const MAX_LIST: usize = 5000;

/// A text for a message that may hold parts of a file: control characters are escaped, so that no file can disturb a
/// terminal or forge lines of a log, and of what is very long only the beginning and the end are kept, where the place is.
pub(crate) fn clean(text: String) -> String {
    shortened(text, MAX_CHARS)
}

/// The same with another limit.
pub(crate) fn shortened(text: String, most: usize) -> String {
    if text.len() <= most && !text.chars().any(char::is_control) {
        return text;
    }
    let (len, half) = (text.chars().count(), most / 2);
    let mut safe = String::new();
    for (at, char) in text.chars().enumerate() {
        let is_kept = len <= most || at < half || at >= len.saturating_sub(half);
        match char {
            _ if !is_kept && at == half => safe.push_str("..."),
            _ if !is_kept => {}
            control if control.is_control() => safe.extend(control.escape_debug()),
            other => safe.push(other),
        }
    }
    safe
}

impl Diagnostic {
    pub(crate) fn new(severity: Severity, code: Code, path: impl Into<String>, message: impl Into<String>) -> Self {
        let (path, message) = (clean(path.into()), shortened(message.into(), MAX_LIST));
        Self { severity, code, path, message, instead: None, example: None }
    }

    /// With what to write in this case.
    pub(crate) fn with_instead(self, instead: impl Into<String>) -> Self {
        Self { instead: Some(clean(instead.into())), ..self }
    }

    /// With a call that shows it.
    pub(crate) fn with_example(self, example: Option<Example>) -> Self {
        Self { example, ..self }
    }

    /// With another severity.
    pub(crate) fn with_severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What kind of finding it is; stable across releases.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Where it is: a JSON path such as `$.syscalls[0].args[1]`, a rule of the builder, or the line and column of a text
    /// that is not JSON.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What was found, what is allowed, and what to do.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead: in this case, or else in general ([`Code::instead`]).
    pub fn instead(&self) -> &str {
        self.instead.as_deref().unwrap_or(self.code.instead())
    }

    /// A call that shows it, where one can.
    pub fn example(&self) -> Option<&Example> {
        self.example.as_ref()
    }
}

/// As `socket(0x28, 0x1) on x86_64: ALLOW`.
impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.arch.name(self.call.nr) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "call {:#x}", self.call.nr)?,
        }
        f.write_str("(")?;
        for (index, argument) in self.call.args.iter().take(self.shown.into()).enumerate() {
            write!(f, "{}{argument:#x}", if index == 0 { "" } else { ", " })?;
        }
        write!(f, ") on {}: {}", self.arch.short_name(), self.action)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Findings in the order of the file.
///
/// See the example of [`lint`](crate::check::lint()).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// No finding.
    pub(crate) const fn new() -> Self {
        Self { list: Vec::new() }
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    pub(crate) fn into_vec(self) -> Vec<Diagnostic> {
        self.list
    }

    /// The findings one by one.
    pub fn iter(&self) -> core::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Number of findings.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no finding.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The severest finding's severity.
    pub fn worst(&self) -> Option<Severity> {
        self.iter().map(Diagnostic::severity).max()
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(findings: I) -> Self {
        Self { list: findings.into_iter().collect() }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = core::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
