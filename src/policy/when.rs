//! Which entries of a profile count on a target: `includes` and `excludes`.

use super::Target;
use crate::profile::{Rule, When};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Whether the entry stays. Empty lists and absent values drop nothing.
///
/// The tests are those of the Docker daemon: an entry is dropped by *any* architecture or capability that it excludes
/// and the target has, and by *any* capability that it includes and the target lacks.
pub(crate) fn counts(rule: &Rule, target: &Target) -> bool {
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

impl Target {
    /// Why a rule does not count on this target, such as `needs CAP_SYS_ADMIN`; empty if it does.
    ///
    /// ```
    /// use callsieve::Profile;
    /// use callsieve::arch::Arch;
    /// use callsieve::policy::{Capabilities, Target};
    ///
    /// let profile = Profile::container_default()?;
    /// let mut mount = profile.rules().iter().filter(|rule| rule.calls().contains(&"mount".into()));
    /// let target = Target::new(Arch::X86_64);
    /// let rule = mount.next().unwrap();
    /// assert_eq!(target.why_not(rule), ["needs CAP_SYS_ADMIN"]);
    /// assert!(target.capabilities(Capabilities::all()).why_not(rule).is_empty());
    /// # Ok::<(), callsieve::profile::ProfileError>(())
    /// ```
    pub fn why_not(&self, rule: &Rule) -> Vec<String> {
        let mut why = Vec::new();
        let (includes, excludes) = (&rule.includes, &rule.excludes);
        for cap in excludes.caps.iter().filter(|cap| self.capabilities.contains(cap)) {
            why.push(format!("counts only without {cap}"));
        }
        if names_host(&excludes.arches, self) {
            why.push(format!("does not count on {}", self.native));
        }
        if let Some(least) = excludes.min_kernel.filter(|&least| self.kernel >= least) {
            why.push(format!("counts only before Linux {least}"));
        }
        for cap in includes.caps.iter().filter(|cap| !self.capabilities.contains(cap)) {
            why.push(format!("needs {cap}"));
        }
        if !includes.arches.is_empty() && !names_host(&includes.arches, self) {
            why.push(format!("counts only on {}", includes.arches.join(", ")));
        }
        if let Some(least) = includes.min_kernel.filter(|&least| self.kernel < least) {
            why.push(format!("needs Linux {least}"));
        }
        why
    }
}

/// Whether a list names the host. Only the host's own ABI counts: `x32` never holds on an `amd64` host.
fn names_host(arches: &[String], target: &Target) -> bool {
    arches.iter().any(|name| target.native.docker_names().contains(&name.as_str()))
}
