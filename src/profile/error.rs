//! Why a profile cannot be used.

use super::{Diagnostics, Severity};
use core::error::Error;
use core::fmt;

/// A profile that cannot be used: every problem at once, each with its place.
///
/// ```
/// use callsieve::profile::{Format, Profile};
///
/// let text = r#"{"defaultAction": "SCMP_ACT_ERNO", "syscalls": [{"names": [], "action": "SCMP_ACT_ALLOW"}]}"#;
/// let error = Profile::from_json(text, Format::Auto).unwrap_err();
/// assert_eq!(error.diagnostics().len(), 2);
/// assert!(error.to_string().starts_with("2 problems in the profile\n  $.defaultAction: unknown action"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError {
    diagnostics: Diagnostics,
    hidden: usize,
}

impl ProfileError {
    /// From findings of which at least one is an error; `hidden` more errors were not kept.
    pub(crate) fn new(diagnostics: Diagnostics, hidden: usize) -> Self {
        Self { diagnostics, hidden }
    }

    /// What was found, warnings included.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }
}

/// The errors, one a line, under a headline; warnings only in [`ProfileError::diagnostics`].
impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = || self.diagnostics.iter().filter(|found| found.severity() == Severity::Error);
        match errors().count().saturating_add(self.hidden) {
            1 => f.write_str("1 problem in the profile")?,
            count => write!(f, "{count} problems in the profile")?,
        }
        errors().try_for_each(|error| write!(f, "\n  {error}"))?;
        match self.hidden {
            0 => Ok(()),
            hidden => write!(f, "\n  and {hidden} more"),
        }
    }
}

impl Error for ProfileError {}
