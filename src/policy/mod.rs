//! What a profile means: per ABI and system call number a set of rules without order.
//!
//! [`Policy::decide`] is the meaning. It is so plain that it can be reviewed by eye; everything else in this crate is
//! judged by it.

mod decide;
mod rules;
mod target;

/// A part of [`Condition`], named here so that the floors above need not look into the profile.
pub(crate) use crate::profile::Width;
pub(crate) use decide::Gate;
pub(crate) use rules::{Condition, Rule, Section, Source, Test};
pub use rules::{InstallOptions, Policy};
pub use target::{Semantics, Target, Unlisted, UnlistedX32};
