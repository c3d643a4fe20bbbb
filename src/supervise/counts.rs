//! What a supervisor has done, in numbers.

use core::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Numbers of calls. What came to an end is in exactly one of the numbers after the first. On 32-bit machines they begin
/// again at 0 after 2^32 calls.
///
/// See the example of [`supervise`](crate::supervise).
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
        write!(f, "{} call{}", self.received, if self.received == 1 { "" } else { "s" })?;
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

/// The numbers while they grow; not every 32-bit machine has wider atomics.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) received: AtomicUsize,
    pub(super) returned: AtomicUsize,
    pub(super) refused: AtomicUsize,
    pub(super) descriptors: AtomicUsize,
    pub(super) continued: AtomicUsize,
    pub(super) killed: AtomicUsize,
    pub(super) gone: AtomicUsize,
    pub(super) failed: AtomicUsize,
}

impl Counters {
    pub(super) fn one(counter: &AtomicUsize) {
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> Counts {
        let read = |counter: &AtomicUsize| counter.load(Relaxed) as u64;
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
