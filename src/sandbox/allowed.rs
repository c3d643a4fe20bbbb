//! What can be allowed whatever its arguments.

use super::{Sandbox, Set};
use crate::bpf::Action;
use crate::profile::IntoCalls;
use std::vec::Vec;

/// A set, calls (as for [`Profile::allow`](crate::Profile::allow)), or several sets.
///
/// ```
/// use callsieve::{Sandbox, sandbox::sets::v1, sys};
/// let sandbox = Sandbox::deny_by_default()
///     .allow(v1::RUNTIME)
///     .allow([v1::TIME, v1::SIGNALS])
///     .allow(sys::OPENAT)
///     .allow(["getppid", "sysinfo"]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a set nor a list of calls",
    note = "sets and calls do not mix in one list: use `.allow(..)` for each"
)]
pub trait Allowed {
    /// Adds it to a sandbox.
    fn add_to(self, sandbox: &mut Sandbox);
}

impl<T: IntoCalls> Allowed for T {
    fn add_to(self, sandbox: &mut Sandbox) {
        sandbox.profile.add_rule(&Action::Allow.into(), &self.into_calls(), Vec::from([Vec::new()]));
    }
}

impl Allowed for Set {
    fn add_to(self, sandbox: &mut Sandbox) {
        sandbox.sets.push(self);
    }
}

impl<const N: usize> Allowed for [Set; N] {
    fn add_to(self, sandbox: &mut Sandbox) {
        sandbox.sets.extend(self);
    }
}

impl Allowed for &[Set] {
    fn add_to(self, sandbox: &mut Sandbox) {
        sandbox.sets.extend_from_slice(self);
    }
}
