//! Places in a file, and what is found there.

use super::super::limits::MAX_REPORTED;
use super::super::{Code, Diagnostic, Diagnostics, ProfileError, Severity};
use super::value::quote;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

/// A JSON path, written out only when something is found there.
#[derive(Clone, Copy)]
pub(crate) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    pub(crate) fn key(&'p self, key: &'p str) -> Self {
        Self::Key(self, key)
    }

    pub(crate) fn index(&'p self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

/// `$.syscalls[3].names`, and for keys that are no plain words `$["a key"]`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("$"),
            Self::Key(parent, key) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                if !key.is_empty() && key.len() <= 60 && key.chars().all(plain) {
                    write!(f, "{parent}.{key}")
                } else {
                    write!(f, "{parent}[{}]", quote(key))
                }
            }
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Collects findings, and stops keeping them when there are too many.
#[derive(Default)]
pub(crate) struct Report {
    diagnostics: Diagnostics,
    errors: usize,
    others: usize,
}

impl Report {
    pub(crate) fn error(&mut self, code: Code, path: &impl ToString, message: impl Into<String>) {
        self.errors = self.errors.saturating_add(1);
        if self.errors <= MAX_REPORTED {
            self.diagnostics.push(Diagnostic::new(Severity::Error, code, path.to_string(), message));
        }
    }

    pub(crate) fn warn(&mut self, code: Code, path: &impl ToString, message: &str) {
        self.warn_with(code, path, || message.to_string());
    }

    /// A warning whose message is costly, because it looks for similar words: made only if it is kept.
    pub(crate) fn warn_with(&mut self, code: Code, path: &impl ToString, message: impl FnOnce() -> String) {
        self.others = self.others.saturating_add(1);
        if self.others <= MAX_REPORTED {
            self.diagnostics.push(Diagnostic::new(Severity::Warning, code, path.to_string(), message()));
        }
    }

    /// Keeps the value, or notes why there is none.
    pub(crate) fn keep<T>(&mut self, path: &Path<'_>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.error(Code::BadField, path, message)).ok()
    }

    /// The findings if none of them is an error.
    pub(crate) fn finish(mut self) -> Result<Diagnostics, ProfileError> {
        let hidden = self.others.saturating_sub(MAX_REPORTED);
        if hidden > 0 {
            let message = format!("and {hidden} more warnings");
            self.diagnostics.push(Diagnostic::new(Severity::Warning, Code::TooLarge, "$", message));
        }
        match self.errors {
            0 => Ok(self.diagnostics),
            errors => Err(ProfileError::new(self.diagnostics, errors.saturating_sub(MAX_REPORTED))),
        }
    }

    /// One error and no profile.
    pub(crate) fn fail(code: Code, path: &impl ToString, message: impl Into<String>) -> ProfileError {
        let mut diagnostics = Diagnostics::new();
        diagnostics.push(Diagnostic::new(Severity::Error, code, path.to_string(), message));
        ProfileError::new(diagnostics, 0)
    }
}
