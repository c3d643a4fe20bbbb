//! Graph to code: in which order to ask.
//!
//! The graph is translated from its leaves to its root. A `Mask` becomes a bit test, or a cut and a comparison. A
//! `Switch` becomes a tree of comparisons:
//!
//! - `runs` turns the intervals of a switch into weighted runs of equal behaviour;
//! - `search` finds the cheapest tree of range and equality tests over runs by dynamic programming;
//! - `bits` finds bit tests that decide many scattered numbers at once;
//! - `cube` decides values that are closed under sub-masks by one test;
//! - `fold` lets x32 share the tree of x86_64;
//! - `split` makes a balanced tree of range tests, for switches that are too large to search.
//!
//! `lift` makes a graph of foreign programs, which then goes the same way.
//!
//! The cost of a tree is the weight of every comparison made, plus a penalty for each comparison written, so that one
//! number says what speed and what size are worth ([`Params`]).

mod bits;
mod cube;
mod fold;
mod lift;
mod lower;
mod runs;
mod search;
#[cfg(test)]
mod search_tests;
mod split;
mod table;

pub(crate) use lift::{CannotLift, lift};
pub(crate) use lower::{Lowered, lower};

/// What a tree shall be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Params {
    /// Price of one comparison in the program, in thousandths of the weight of everything that passes the switch.
    pub(crate) size_price: u32,
    /// Equality tests are tried wherever at most this many runs are left; 0 for range tests only.
    pub(crate) few: usize,
    /// The same for switches over values.
    pub(crate) few_values: usize,
    /// Equality tests are tried for numbers that have at least this part of the weight of a window; 0 for none.
    pub(crate) heavy: u32,
    /// So many numbers of more than two percent of the weight become runs of their own.
    pub(crate) hot: usize,
    /// Bit tests are tried where at most this many runs are left.
    pub(crate) bit_runs: usize,
    /// Switches with more runs are split without a search.
    pub(crate) max_runs: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { size_price: 3, few: 5, few_values: 6, heavy: 10, hot: 0, bit_runs: 8, max_runs: 200 }
    }
}
