//! What a supervisor has done, in numbers.

use core::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Numbers of calls. What came to an end is in exactly one of the numbers after the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Received.
    pub received: u64,
    /// Answered with a return value.
    pub returned: u64,
    /// Answered with an error number.
    pub refused: u64,
    /// Answered with a descriptor.
    pub descriptors: u64,
    /// Let go on.
    pub continued: u64,
    /// Killed for it.
    pub killed: u64,
    /// The target had gone before the answer.
    pub gone: u64,
    /// The handler failed or panicked, or could not answer as it wanted, and the call was refused because of that.
    pub failed: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls", self.received)?;
        let parts = [
            (self.returned, "answered"),
            (self.refused, "refused"),
            (self.descriptors, "given a descriptor"),
            (self.continued, "continued"),
            (self.killed, "killed"),
            (self.gone, "gone"),
            (self.failed, "failed"),
        ];
        for (number, word) in parts.into_iter().filter(|part| part.0 > 0) {
            write!(f, ", {number} {word}")?;
        }
        Ok(())
    }
}

/// The numbers while they grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) received: AtomicU64,
    pub(super) returned: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) descriptors: AtomicU64,
    pub(super) continued: AtomicU64,
    pub(super) killed: AtomicU64,
    pub(super) gone: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Counters {
    pub(super) fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            received: read(&self.received),
            returned: read(&self.returned),
            refused: read(&self.refused),
            descriptors: read(&self.descriptors),
            continued: read(&self.continued),
            killed: read(&self.killed),
            gone: read(&self.gone),
            failed: read(&self.failed),
        }
    }
}
