//! The judge: it looks at policies and instructions only, never at how a program was made.
//!
//! - [`prove`] shows that a program answers every possible call as a policy demands, or finds a call where it does not.
//! - [`regions`] writes down what a policy, a program or a stack of programs ([`Subject`]) does, call by call, and
//!   [`Judge`] tells whether two of them are equal.
//! - [`diff`] tells exactly what is different between two of them, with example calls.
//! - [`Explainer`] tells which rule of a profile decides, and which condition of the others failed; [`AuditRecord`] reads
//!   the kernel's log lines.
//! - [`disassemble`] makes a program readable.
//! - [`chart`] draws a picture of what a program decides.
//! - [`simulate`] runs a program on one call, exactly as the kernel does.
//! - [`lint`] tells what a profile does that its author most likely does not want.
//! - [`cacheable`] tells whether the kernel will remember that a number is always allowed, and if not, why.
//!
//! See the example of [`prove`].

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod answers;
mod audit;
mod bdd;
mod bits;
mod boundary;
mod cacheable;
mod calls;
mod chart;
mod delta;
mod diff;
mod disassemble;
mod expect;
mod explain;
mod judge;
mod lint;
mod live;
mod meaning;
#[cfg(test)]
#[allow(clippy::cast_possible_truncation)] // Halves of 64-bit values.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.
mod naive;
mod names;
mod prove;
mod regions;
mod simulate;
mod split;
mod stack;
mod subject;
mod symbolic;
mod values;
mod witness;
mod words;

pub use audit::{AuditError, AuditRecord};
pub use boundary::{boundary_arguments, boundary_calls};
pub(crate) use cacheable::Emulator;
pub use cacheable::{Emulation, NotCacheable, Obstacle, cacheable, emulate};
pub use calls::CallSet;
pub use chart::{Chart, ChartError, chart};
pub use delta::{NewCall, kernel_delta};
pub use diff::{Change, ChangedCalls, Diff, Direction, diff};
pub use disassemble::{Listing, disassemble};
pub use expect::{Broken, ExpectError, ExpectErrors, Expectations};
pub use explain::{Admission, ExplainedCondition, ExplainedRule, Explainer, Explanation, Fate, Holds};
pub use judge::{Equality, Judge, JudgeError, Witness};
pub use lint::{Linter, lint};
pub use prove::{Counterexample, Proof, ProveError, Prover, prove};
pub use regions::{CallGroup, Condition, Region, Regions, Word, regions};
pub use simulate::{Outcome, Run, evaluate, simulate};
pub use subject::Subject;
pub use values::{Piece, Values};

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.
mod explain_tests;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.
mod property_tests;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.
mod region_tests;
