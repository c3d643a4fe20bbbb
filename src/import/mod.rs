//! Profiles in the languages of other programs.
//!
//! An [`Importer`] reads a file as its own program does and makes [`Profile`]s of it, which resolve, compile and are
//! judged as any other. What cannot be said as a profile is an error that names it; nothing is dropped. Where the
//! language's own compiler does something else than its author most likely expects, a warning says so, and the profile
//! means what that compiler does.
//!
//! | language | whose files | read as |
//! |---|---|---|
//! | [`Language::Seccompiler`] | the Rust crate `seccompiler` | its version 0.5 |
//! | [`Language::Firecracker`] | Firecracker | since it uses libseccomp (1.12) |
//! | [`Language::Minijail`] | minijail (`.policy`) | `minijail0 -S` and `compile_seccomp_policy.py`, where they agree |
//! | [`Language::Kafel`] | nsjail and others that use kafel | of 2026, with `ON` |
//! | [`Language::Systemd`] | units with `SystemCallFilter=` | systemd 252 and its groups |
//! | `Language::Operator` (feature `yaml`) | the security profiles operator for Kubernetes | `v1beta1` and `v1` |
//!
//! ```
//! use callsieve::arch::Arch;
//! use callsieve::bpf::{Action, SyscallData};
//! use callsieve::import::{Importer, Language};
//! use callsieve::policy::Target;
//!
//! let text = r#"{"vmm": {
//!     "mismatch_action": "trap",
//!     "match_action": "allow",
//!     "filter": [{"syscall": "ioctl", "args": [{"index": 1, "type": "dword", "op": "eq", "val": 21505}]}]
//! }}"#;
//! let filters = Importer::new(Language::Seccompiler, Arch::X86_64).read(text)?;
//! assert_eq!(filters[0].name(), Some("vmm"));
//! let policy = filters[0].profile().resolve(&Target::new(Arch::X86_64))?;
//! let ioctl = SyscallData { nr: 16, arch: Arch::X86_64.audit(), args: [0, 0x5401, 0, 0, 0, 0], ..Default::default() };
//! assert_eq!(policy.decide(&ioctl), Action::Allow);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Hostile files
//!
//! The bounds of [`limits`](crate::profile::limits) hold here too, for all included files together; beside them
//! [`MAX_FILES`], [`MAX_DEPTH`], [`MAX_NESTING`] and [`MAX_ALTERNATIVES`].

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod condition;
mod kafel;
mod minijail;
#[cfg(feature = "yaml")]
mod operator;
mod report;
mod seccompiler;
pub mod systemd;
mod text;
#[cfg(feature = "yaml")]
mod yaml;

use crate::arch::Arch;
use crate::profile::limits::MAX_BYTES;
use crate::profile::{Code, Profile, ProfileError};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use report::Reading;

/// Files that one file may include, directly or not.
pub const MAX_FILES: usize = 64;

/// How deeply files may include each other.
pub const MAX_DEPTH: usize = 10;

/// Parentheses, lists and objects inside of each other.
pub const MAX_NESTING: usize = 64;

/// Alternatives that the conditions of one call may come to when they are written as a list of "all of these".
pub const MAX_ALTERNATIVES: usize = 4096;

/// The language of a file.
///
/// See the example of [`import`](crate::import).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Language {
    /// The JSON of the crate `seccompiler`: a filter for each thread, by name, in the older spelling of the keys or in
    /// the newer one.
    Seccompiler,
    /// The JSON of Firecracker: a filter for each thread. Since Firecracker compiles it with libseccomp, `dword` counts
    /// for `eq` only.
    Firecracker,
    /// The `.policy` files of minijail, with `@include`, `@frequency`, `@default` and `@denylist`.
    Minijail,
    /// The policies of kafel, the language of nsjail.
    Kafel,
    /// Units of systemd: what `SystemCallFilter=`, `SystemCallErrorNumber=`, `SystemCallArchitectures=` and
    /// `SystemCallLog=` mean, drop-ins behind the unit included (`systemctl cat UNIT`).
    Systemd,
    /// `SeccompProfile` objects of the security profiles operator for Kubernetes, in YAML or JSON. Their profiles are in
    /// the OCI dialect.
    #[cfg(feature = "yaml")]
    Operator,
}

impl Language {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Seccompiler,
        Self::Firecracker,
        Self::Minijail,
        Self::Kafel,
        Self::Systemd,
        #[cfg(feature = "yaml")]
        Self::Operator,
    ];

    /// The name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seccompiler => "seccompiler",
            Self::Firecracker => "firecracker",
            Self::Minijail => "minijail",
            Self::Kafel => "kafel",
            Self::Systemd => "systemd",
            #[cfg(feature = "yaml")]
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Gives the text of an included file, or says why there is none.
type Files<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Reads files of a language for a machine.
///
/// See the example of [`import`](crate::import).
#[derive(Clone, Copy)]
#[must_use]
pub struct Importer<'a> {
    language: Language,
    arch: Arch,
    name: &'a str,
    files: Option<Files<'a>>,
}

impl fmt::Debug for Importer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Importer").field("language", &self.language).field("arch", &self.arch).finish_non_exhaustive()
    }
}

/// A profile from a file.
///
/// See the example of [`import`](crate::import).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Imported {
    pub(crate) name: Option<String>,
    pub(crate) profile: Profile,
    pub(crate) frequencies: Vec<(String, u64)>,
}

impl<'a> Importer<'a> {
    /// For a language and a machine. Most languages are compiled for one machine: it says which calls there are and
    /// what constants are worth.
    pub const fn new(language: Language, arch: Arch) -> Self {
        Self { language, arch, name: "", files: None }
    }

    /// The path of the file. Paths of included files are relative to its folder.
    pub const fn path(mut self, path: &'a str) -> Self {
        self.name = path;
        self
    }

    /// Who opens included files. Without it, including one is an error.
    pub const fn files(mut self, files: Files<'a>) -> Self {
        self.files = Some(files);
        self
    }

    /// Reads a file: one profile, or in languages that have a filter for each thread, one for each in the order of the
    /// file.
    ///
    /// # Errors
    /// Every problem of the file with its line and column.
    pub fn read(&self, text: &str) -> Result<Vec<Imported>, ProfileError> {
        let mut reading = Reading::new(*self, text);
        if text.len() > MAX_BYTES {
            let message = format!("the file has {} bytes, at most {MAX_BYTES} are read", text.len());
            reading.error_at(Code::TooLarge, 0, message);
        } else if text.trim().is_empty() {
            reading.error_at(Code::Syntax, 0, format!("the file is empty; a {} file is expected", self.language));
        }
        if reading.has_errors() {
            return reading.finish(Vec::new());
        }
        let imported = match self.language {
            Language::Seccompiler | Language::Firecracker => seccompiler::read(&mut reading),
            Language::Minijail => minijail::read(&mut reading),
            Language::Kafel => kafel::read(&mut reading),
            Language::Systemd => systemd::read(&mut reading),
            #[cfg(feature = "yaml")]
            Language::Operator => operator::read(&mut reading),
        };
        reading.finish(imported)
    }
}

impl Imported {
    /// The name of the filter, in languages that have several in one file.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The profile. Resolve it for the machine that the importer was made for.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The profile itself.
    pub fn into_profile(self) -> Profile {
        self.profile
    }

    /// How often calls are made, if the file says so: for [`Weights::frequencies`](crate::Weights::frequencies).
    pub fn frequencies(&self) -> &[(String, u64)] {
        &self.frequencies
    }
}
