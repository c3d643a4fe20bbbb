//! What a profile means: per ABI and system call number a set of rules without order.
//!
//! [`Policy::decide`] is the meaning. It is so plain that it can be reviewed by eye; everything else in this crate is
//! judged by it.
//!
//! See the example of [`Target`].

mod arches;
mod arguments;
mod ask;
mod calls;
mod capabilities;
mod conflict;
mod decide;
mod error;
mod findings;
mod lower;
mod merge;
mod multiplex;
mod print;
mod resolve;
mod rules;
mod settle;
mod solve;
mod target;
mod unlisted;
mod when;

/// A part of [`Condition`], named here so that the floors above need not look into the profile.
pub(crate) use crate::profile::Width;
pub use capabilities::{Capabilities, UnknownCapability};
pub(crate) use decide::Gate;
pub use error::ResolveError;
pub use merge::MergeError;
pub(crate) use rules::{Condition, Rule, Section, Source, Test};
pub use rules::{InstallOptions, Policy};
pub use target::{ArgWidth, Semantics, Target, Unlisted, UnlistedX32};
#[cfg(any(test, feature = "fuzzing", feature = "json"))]
pub(crate) use unlisted::Span;
/// Whether an entry counts on a target, for the linter.
pub(crate) use when::counts;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod words_tests;
