//! Profiles as they are written: the tree in the words of the JSON, its readers, and the Rust builder.
//!
//! A [`Profile`] says what somebody wrote; it has no target yet. [`Profile::resolve`] turns it into a
//! [`Policy`](crate::policy::Policy), which says what it means on given architectures.
//!
//! See the example of [`Profile::new`].

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod access;
mod ast;
mod builder;
mod codes;
mod conditions;
#[cfg(feature = "json")]
mod container;
mod diagnostics;
mod display;
#[cfg(feature = "json")]
mod error;
#[cfg(feature = "json")]
pub(crate) mod json;
pub mod limits;

#[cfg(feature = "json")]
pub(crate) use ast::Foreign;
pub use ast::{ActionSpec, Arg, Call, Dialect, Flag, ListedArch, Op, Profile, Rule, SubArches, When, Width};
pub use builder::{IntoCalls, Operand, arg};
pub use codes::{Code, UnknownCode};
pub use conditions::{AnyOf, IntoConditions};
pub(crate) use diagnostics::clean;
#[cfg(feature = "json")]
pub(crate) use diagnostics::shortened;
pub use diagnostics::{Diagnostic, Diagnostics, Example, Severity};
#[cfg(feature = "json")]
pub use error::ProfileError;
#[cfg(feature = "json")]
pub use json::{Format, Position, locate};
