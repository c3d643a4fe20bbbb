//! What other formats for the same profile, and the kernel, cannot take.

use super::review::Review;
use crate::bpf::MAX_INSNS;
use crate::profile::{Code, Severity};
use alloc::format;
use alloc::vec::Vec;

/// Converted instructions in all filters of a thread, 4 more counted for each earlier filter
/// (`MAX_INSNS_PER_PATH` in `kernel/seccomp.c`).
const MAX_STACK: usize = 32768;

/// The largest number of a SeccompProfile object.
const MAX_SIGNED: u64 = i64::MAX.unsigned_abs();

/// Constants that a SeccompProfile object cannot hold.
pub(super) fn constants(review: &mut Review<'_>) {
    if !review.is_for_containers() {
        return;
    }
    let mut found = Vec::new();
    for (_, rule) in review.entries() {
        for (index, arg) in rule.args().iter().enumerate() {
            let large = [arg.value(), arg.value_two()].into_iter().find(|value| *value > MAX_SIGNED);
            found.extend(large.map(|value| (review.arg_place(rule, index), value)));
        }
    }
    for (place, value) in found {
        let text = format!(
            "{value:#x} is above 2^63 - 1, the largest number that a SeccompProfile object of the security profiles \
             operator holds"
        );
        review.report(Severity::Note, Code::NotExpressible, place, text);
    }
}

/// How much room a filter leaves.
pub(super) fn size(review: &mut Review<'_>, insns: usize, converted: usize) {
    let place = review.root("");
    if insns > MAX_INSNS {
        let text = format!("the filter needs {insns} instructions, the kernel accepts {MAX_INSNS}");
        review.report(Severity::Error, Code::TooLarge, place, text);
    } else if converted.saturating_add(4).saturating_mul(4) > MAX_STACK {
        let fit = MAX_STACK.checked_div(converted.saturating_add(4)).unwrap_or(0);
        let text = format!(
            "the filter has {insns} instructions, {converted} after conversion: at most {fit} such filters fit into \
             the {MAX_STACK} of a thread, and containers are nested"
        );
        review.report(Severity::Note, Code::TooLarge, place, text);
    }
}
