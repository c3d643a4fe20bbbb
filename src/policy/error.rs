//! Why a profile has no meaning on a target.

use crate::arch::Arch;
use crate::profile::{Diagnostic, Diagnostics, Severity};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use thiserror::Error;

/// Why a profile could not be resolved.
///
/// ```
/// use callsieve::{Action, Arch, Profile, Target, arg};
/// let profile = Profile::new(Action::Errno(1))
///     .allow_if("socket", [arg::<0>().ge(3)])
///     .rule(Action::KillProcess, "socket", [arg::<0>().le(10)]);
/// let error = profile.resolve(&Target::new(Arch::X86_64)).unwrap_err();
/// assert_eq!(error.diagnostics().unwrap().worst(), Some(callsieve::profile::Severity::Error));
/// println!("{error}"); // with both rules and a call that both match
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The profile contradicts itself, or names what does not exist. All problems are in the list, and the warnings
    /// and notes that were found beside them.
    #[error("{}", Problems(.0))]
    Problems(Diagnostics),
    /// ABIs of both byte orders. A filter is made for one, because the kernel reads it in its own.
    #[error(
        "architectures of both byte orders are listed: {} are little-endian, {} big-endian; a kernel runs only one of \
         the two, so name the ABIs of one (Target::exactly, --arch)",
        List(.little), List(.big)
    )]
    MixedByteOrder {
        /// The little-endian ones.
        little: Vec<Arch>,
        /// The big-endian ones.
        big: Vec<Arch>,
    },
    /// The target lists no ABI.
    #[error("no architecture is listed: name at least one, such as SCMP_ARCH_X86_64")]
    NoArch,
    /// The rules of a call overlap in so many ways that the stated bound on work does not suffice to tell what they
    /// mean.
    #[error(
        "the conditions of the {rules} rules for {call} on {arch} are too entangled to be analysed; give the call \
         fewer rules, or only one action"
    )]
    TooComplex {
        /// The call, by name where it has one.
        call: String,
        /// The ABI.
        arch: Arch,
        /// How many rules the call has.
        rules: usize,
    },
}

impl ResolveError {
    /// The findings, where the error is about the profile.
    pub fn diagnostics(&self) -> Option<&Diagnostics> {
        match self {
            Self::Problems(diagnostics) => Some(diagnostics),
            _ => None,
        }
    }
}

/// The errors of a list, each in a line with its place.
struct Problems<'a>(&'a Diagnostics);

impl fmt::Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = || self.0.iter().filter(|finding: &&Diagnostic| finding.severity() == Severity::Error);
        let count = errors().count();
        write!(f, "{count} problem{} in the profile", if count == 1 { "" } else { "s" })?;
        errors().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

/// ABIs, separated by commas.
struct List<'a>(&'a [Arch]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, arch) in self.0.iter().enumerate() {
            f.write_str(if position == 0 { "" } else { ", " })?;
            arch.fmt(f)?;
        }
        Ok(())
    }
}
