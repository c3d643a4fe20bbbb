//! Graph to code: in which order to ask.
//!
//! The graph is translated from its leaves to its root. A `Mask` becomes a bit test, or a cut and a comparison. A
//! `Switch` becomes a tree of comparisons:
//!
//! - `runs` turns the intervals of a switch into weighted runs of equal behaviour;
//! - `search` finds the cheapest tree of range and equality tests over runs by dynamic programming;
//! - `sets` finds equality and bit tests, behind which the numbers that are left are scattered `elements`;
//! - `cube` decides values that are closed under sub-masks by one test;
//! - `fold` lets x32 share the tree of x86_64;
//! - `split` makes a balanced tree of range tests, for switches that are too large to search.
//!
//! `bound` says what range tests alone would cost at least.
//!
//! `lift` makes a graph of foreign programs, which then goes the same way.
//!
//! The cost of a tree is the weight of every comparison made, plus a penalty for each comparison written, so that one
//! number says what speed and what size are worth ([`Params`]).

mod bound;
mod cube;
mod elements;
mod fold;
mod lift;
mod lower;
mod runs;
mod search;
#[cfg(test)]
mod search_tests;
mod sets;
mod split;
mod table;

pub(crate) use bound::least_range_tests;
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
    /// At most so many heavy numbers may be asked before anything else.
    pub(crate) heavy: usize,
    /// So many numbers of more than two percent of the weight become runs of their own.
    pub(crate) hot: usize,
    /// Bit tests are tried where at most this many runs are left.
    pub(crate) bit_runs: usize,
    /// One side of a bit test is of one class, the other has at most this many runs.
    pub(crate) side: usize,
    /// Behind equality and bit tests, further ones are tried where at most this many runs are left.
    pub(crate) nested: usize,
    /// Windows with more numbers are taken run by run, with more runs only range tests are tried.
    pub(crate) elements: usize,
    /// Switches with more runs are split without a search.
    pub(crate) max_runs: usize,
    /// Whether a tree is entered behind the questions that the way to it has answered.
    pub(crate) shortcuts: bool,
}

impl Params {
    pub(crate) const DEFAULT: Self = Self {
        size_price: 3,
        few: 4,
        few_values: 6,
        heavy: 3,
        hot: 0,
        bit_runs: 10,
        side: 5,
        nested: 4,
        elements: 32,
        max_runs: 200,
        shortcuts: true,
    };
}

impl Default for Params {
    fn default() -> Self {
        Self::DEFAULT
    }
}
