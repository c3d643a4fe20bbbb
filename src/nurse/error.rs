//! Why a nurse cannot do its work.

use super::read::AclError;
use crate::kernel::SpawnError;
use alloc::string::String;
use std::io;
use thiserror::Error;

/// Why a nurse cannot do its work. Nothing has been started then.
///
/// See the example of [`nurse`](crate::nurse).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NurseError {
    /// The text is no ACL.
    #[error(transparent)]
    Acl(#[from] AclError),
    /// The kernel is too old, or does not have what is needed.
    #[error("this kernel cannot run a nurse: {what}")]
    Kernel {
        /// What is missing.
        what: &'static str,
    },
    /// The ACL has exec rules, and the kernel has no Landlock to enforce them.
    #[error("exec rules need Landlock, which this kernel does not have or has not enabled: {cause}")]
    NoLandlock {
        /// What the kernel said.
        cause: String,
    },
    /// Landlock knows no denials, so where exec rules deny something below a folder, everything else there is named; and
    /// these would be too many names.
    #[error("denying exec below a folder needs a rule for everything else there, and these are more than {most}")]
    TooManyPrograms {
        /// The most that there may be.
        most: usize,
    },
    /// A path of an ACL that replaces another one leads over a symbolic link in a folder in which the program may make
    /// entries, so the program may have made the link.
    #[error("{path} leads over {link}, a symbolic link that the program may have made; write what is meant instead")]
    DoubtfulLink {
        /// The path of the ACL.
        path: String,
        /// The link.
        link: String,
    },
    /// Something in /proc cannot be read.
    #[error("/proc is needed, and cannot be used: {0}")]
    Proc(#[source] io::Error),
    /// The program was not started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The filter could not be made.
    #[error("the filter cannot be made: {0}")]
    Filter(String),
}
