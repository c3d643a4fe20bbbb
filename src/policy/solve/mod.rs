//! Whether calls exist that meet some conditions and not others, decided exactly.
//!
//! A rule is a conjunction of conditions, each on one argument. What has to be known of rules is whether one implies
//! another and whether two share a call that no narrower rule takes from them. Both are questions of one form: is there
//! a call for which these conjunctions all hold and those all fail? [`witness`] answers it, with such a call.
//!
//! Arguments are independent, so conditions that must hold or must fail are solved one argument at a time
//! ([`word`]), bit by bit. A conjunction of several conditions that must fail leaves a choice which of them does;
//! those choices are searched ([`search`]).
//!
//! In general the question is as hard as satisfiability of Boolean formulas (every mask test is a clause over bits).
//! [`Work`] bounds the search: calls whose rules have one action, nearly all of real profiles, need no step, and a
//! profile that would need more than [`Work::LIMIT`] is refused; an answer that is given is exact.

mod search;
mod summary;
mod word;

pub(super) use search::{implies, witness};
pub(super) use summary::{Summary, candidates};

/// The steps that resolving one profile may still take.
#[derive(Debug)]
pub(super) struct Work {
    left: u64,
}

/// The work ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfWork;

impl Work {
    /// Steps for one profile. All of them take about 0.1 s in a release build; a call whose rules have one action takes
    /// none.
    pub(super) const LIMIT: u64 = 5_000_000;

    pub(super) const fn new() -> Self {
        Self { left: Self::LIMIT }
    }

    /// Takes some steps off.
    pub(super) fn charge(&mut self, steps: usize) -> Result<(), OutOfWork> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(steps).ok_or(OutOfWork)?;
        Ok(())
    }

    /// Steps taken so far.
    #[cfg(test)]
    pub(super) const fn spent(&self) -> u64 {
        Self::LIMIT - self.left
    }
}

#[cfg(test)]
mod tests;
