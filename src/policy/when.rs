//! Which entries of a profile count on a target: `includes` and `excludes`.

use super::Target;
use crate::profile::{Rule, When};
use alloc::string::String;

/// Whether the entry stays. Empty lists and absent values drop nothing.
///
/// The tests are those of the Docker daemon: an entry is dropped by *any* architecture or capability that it excludes
/// and the target has, and by *any* capability that it includes and the target lacks.
pub(super) fn counts(rule: &Rule, target: &Target) -> bool {
    !excluded(&rule.excludes, target) && included(&rule.includes, target)
}

fn excluded(when: &When, target: &Target) -> bool {
    names_host(&when.arches, target)
        || when.caps.iter().any(|cap| target.capabilities.contains(cap))
        || when.min_kernel.is_some_and(|least| target.kernel >= least)
}

fn included(when: &When, target: &Target) -> bool {
    (when.arches.is_empty() || names_host(&when.arches, target))
        && when.caps.iter().all(|cap| target.capabilities.contains(cap))
        && when.min_kernel.is_none_or(|least| target.kernel >= least)
}

/// Whether a list names the host. Only the host's own ABI counts: `x32` never holds on an `amd64` host.
fn names_host(arches: &[String], target: &Target) -> bool {
    arches.iter().any(|name| target.native.docker_names().contains(&name.as_str()))
}
