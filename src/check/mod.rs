//! The judge: it looks at policies and instructions only, never at how a program was made.
//!
//! - [`simulate`] runs a program on one call, exactly as the kernel does.
//! - [`cacheable`] tells whether the kernel will remember that a number is always allowed, and if not, why.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod cacheable;
mod simulate;

pub use cacheable::{Emulation, NotCacheable, Obstacle, cacheable, emulate};
pub use simulate::{Outcome, Run, evaluate, simulate};
