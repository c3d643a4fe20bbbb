//! Profiles from JSON.
//!
//! Everything that is wrong in a file is found at once: a reader notes a problem and goes on. Nothing is guessed: where
//! the readers in the field differ (some take the first of two equal keys, others the last; some read a missing value
//! as 0), the file is refused or the difference is a warning.

mod action;
mod entry;
mod export;
mod fields;
mod foreign;
mod locate;
mod read;
pub(crate) mod report;
pub(crate) mod value;
mod words;
mod write;

pub use locate::{Position, locate};

use super::limits::MAX_BYTES;
use super::{Code, Profile, ProfileError};
use alloc::format;
use report::{Path, Report};
use serde::Serialize;

/// Which dialect a file is read as.
///
/// ```
/// use callsieve::profile::{Format, Profile};
/// let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
///     {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}}]}"#;
/// assert!(Profile::from_json(text, Format::Docker).is_ok());
/// // A runtime would not know `includes` and allow bpf to everybody.
/// assert!(Profile::from_json(text, Format::Oci).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// By the keys that occur: with one of those that only Docker and Podman know it is [`Format::Docker`].
    #[default]
    Auto,
    /// The `linux.seccomp` object of the OCI runtime specification. Keys of the Docker dialect are an error, because a
    /// runtime that ignores them allows nearly everything.
    Oci,
    /// The superset that Docker, Podman and CRI-O read.
    Docker,
}

impl Profile {
    /// Reads a profile.
    ///
    /// The file is checked as a whole: the error holds every problem with its JSON path. What is doubtful but clear
    /// enough to go on is in [`Profile::diagnostics`]. Names of system calls are looked up later, when it is known for
    /// which ABIs.
    ///
    /// Time and memory grow linearly with the text, within the bounds of [`limits`](crate::profile::limits).
    ///
    /// ```
    /// use callsieve::profile::{Dialect, Format, Profile};
    ///
    /// let text = r#"{
    ///     "defaultAction": "SCMP_ACT_ERRNO",
    ///     "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"}]
    /// }"#;
    /// let profile = Profile::from_json(text, Format::Auto)?;
    /// assert_eq!(profile.dialect(), Dialect::Oci);
    /// assert_eq!(profile.rules()[0].calls().len(), 2);
    /// # Ok::<(), callsieve::profile::ProfileError>(())
    /// ```
    pub fn from_json(text: &str, format: Format) -> Result<Self, ProfileError> {
        if text.len() > MAX_BYTES {
            return Err(too_large(text.len()));
        }
        if text.trim().is_empty() {
            return Err(Report::fail(Code::Syntax, &Path::Root, "the file is empty; a profile in JSON is expected"));
        }
        read::profile(foreign::top(text)?, format)
    }

    /// Reads a profile from bytes, which have to be UTF-8. Otherwise as [`Profile::from_json`].
    pub fn from_slice(bytes: &[u8], format: Format) -> Result<Self, ProfileError> {
        if bytes.len() > MAX_BYTES {
            return Err(too_large(bytes.len()));
        }
        let text = core::str::from_utf8(bytes).map_err(|error| {
            let message = format!("not JSON: the bytes are no UTF-8 text from offset {} on", error.valid_up_to());
            Report::fail(Code::Syntax, &Path::Root, message)
        })?;
        Self::from_json(text, format)
    }

    /// Takes a profile over from the types of another crate: whatever serialises to the `linux.seccomp` object of the
    /// OCI runtime specification. Absent fields may be missing or null.
    ///
    /// ```
    /// use callsieve::profile::Profile;
    ///
    /// let spec = serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": null, "syscalls": []});
    /// let profile = Profile::from_serialize(&spec)?;
    /// assert!(profile.rules().is_empty());
    /// # Ok::<(), callsieve::profile::ProfileError>(())
    /// ```
    pub fn from_serialize(value: &impl Serialize) -> Result<Self, ProfileError> {
        let text = serde_json::to_string(value)
            .map_err(|error| Report::fail(Code::Syntax, &Path::Root, format!("cannot be serialised: {error}")))?;
        Self::from_json(&text, Format::Oci)
    }
}

fn too_large(bytes: usize) -> ProfileError {
    let message = format!("the file has {bytes} bytes, at most {MAX_BYTES} are read");
    Report::fail(Code::TooLarge, &Path::Root, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Severity;
    use alloc::collections::BTreeMap;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use serde::Serialize;

    /// As the types of other crates look: names in camel case, `None` written as null.
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        default_action: Action,
        default_errno_ret: Option<u32>,
        architectures: Option<Vec<&'static str>>,
        flags: Vec<&'static str>,
        listener_path: Option<&'static str>,
        syscalls: Vec<Entry>,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        names: Vec<&'static str>,
        action: Action,
        errno_ret: Option<u32>,
        args: Option<Vec<u8>>,
    }

    #[derive(Serialize)]
    enum Action {
        #[serde(rename = "SCMP_ACT_ERRNO")]
        Errno,
        #[serde(rename = "SCMP_ACT_ALLOW")]
        Allow,
    }

    #[test]
    fn types_of_other_crates_are_taken_over() {
        let entry = Entry { names: ["read"].into(), action: Action::Allow, errno_ret: None, args: None };
        let spec = Spec {
            default_action: Action::Errno,
            default_errno_ret: Some(38),
            architectures: None,
            flags: Vec::new(),
            listener_path: None,
            syscalls: [entry].into(),
        };
        let profile = Profile::from_serialize(&Some(spec)).unwrap();
        assert!(profile.diagnostics().is_empty());
        assert_eq!(profile.default_action().to_string(), "ERRNO(38)");
        assert_eq!((profile.rules().len(), profile.flags()), (1, Some(&[][..])));

        let nothing = Profile::from_serialize(&None::<Spec>).unwrap_err();
        assert!(nothing.to_string().contains("found null"), "{nothing}");
        let pairs = BTreeMap::from([((1, 2), 3)]);
        let broken = Profile::from_serialize(&pairs).unwrap_err();
        assert!(broken.to_string().contains("$: cannot be serialised: key must be a string"), "{broken}");
    }

    #[test]
    fn the_dialect_is_told_by_the_keys() {
        let dialect = |entry: &str| {
            let text = format!(
                r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{{entry}, "action": "SCMP_ACT_LOG"}}]}}"#
            );
            Profile::from_json(&text, Format::Auto).unwrap().dialect()
        };
        for (entry, expected) in [
            (r#""names": ["read"]"#, crate::profile::Dialect::Oci),
            (r#""names": ["read"], "includes": null, "comment": "x""#, crate::profile::Dialect::Oci),
            (r#""names": ["read"], "includes": {}"#, crate::profile::Dialect::Docker),
            (r#""name": "read""#, crate::profile::Dialect::Docker),
        ] {
            assert_eq!(dialect(entry), expected, "{entry}");
        }
    }

    #[test]
    fn warnings_come_with_errors_but_are_not_counted() {
        let error = Profile::from_json(r#"{"x": 1, "y": 2}"#, Format::Auto).unwrap_err();
        let severities: Vec<_> = error.diagnostics().iter().map(super::super::Diagnostic::severity).collect();
        assert_eq!(severities, [Severity::Warning, Severity::Warning, Severity::Error]);
        assert!(error.to_string().starts_with("1 problem in the profile\n  $.defaultAction"), "{error}");
    }
}
