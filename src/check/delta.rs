//! How the calls that later kernels brought are answered.

use super::answers::Answers;
use super::bdd::Exhausted;
use super::judge::JudgeError;
use crate::arch::{Arch, KernelVersion, Syscall};
use crate::bpf::Action;
use crate::policy::Policy;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// A call that some kernel brought, and how a policy answers it.
///
/// See the example of [`kernel_delta`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewCall {
    /// The call.
    pub call: Syscall,
    /// The release that introduced it.
    pub since: KernelVersion,
    /// For every listed ABI that has the call all actions that it can get, the most restrictive first: one, unless
    /// arguments matter.
    pub answers: Vec<(Arch, Vec<Action>)>,
}

/// How a policy answers the calls that are new in these kernels: later than the first and up to the last. They are in
/// the order of their release, then of their name.
///
/// Calls that none of the policy's ABIs has are left out.
///
/// ```
/// use callsieve::arch::{Arch, KernelVersion};
/// use callsieve::bpf::Action;
/// use callsieve::check::kernel_delta;
/// use callsieve::policy::Target;
/// use callsieve::profile::Profile;
///
/// let policy = Profile::new(Action::Errno(38)).allow("futex_waitv").resolve(&Target::new(Arch::Aarch64))?;
/// let calls = kernel_delta(&policy, KernelVersion::new(5, 15)..=KernelVersion::new(5, 17))?;
/// let names: Vec<&str> = calls.iter().map(|new| new.call.name()).collect();
/// assert_eq!(names, ["futex_waitv", "set_mempolicy_home_node"]);
/// assert_eq!(calls[0].answers, [(Arch::Aarch64, vec![Action::Allow])]);
/// assert_eq!(calls[1].answers, [(Arch::Aarch64, vec![Action::Errno(38)])]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`JudgeError::TooLarge`] if rules have too many combinations.
pub fn kernel_delta(policy: &Policy, kernels: RangeInclusive<KernelVersion>) -> Result<Vec<NewCall>, JudgeError> {
    let mut answers = Answers::new(policy);
    let arches: Vec<Arch> = policy.arches().collect();
    let mut found = Vec::new();
    for call in Syscall::all() {
        let Some(since) = call.since().filter(|since| since > kernels.start() && since <= kernels.end()) else {
            continue;
        };
        let here = arches.iter().filter_map(|&arch| Some((arch, call.number(arch)?)));
        let here: Result<Vec<_>, Exhausted> = here.map(|(arch, nr)| Ok((arch, answers.actions(arch, nr)?))).collect();
        let here = here.map_err(|Exhausted| Answers::too_large())?;
        if !here.is_empty() {
            found.push(NewCall { call, since, answers: here });
        }
    }
    found.sort_by_key(|new| (new.since, new.call.name()));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Target;
    use crate::profile::{Profile, arg};
    use alloc::string::ToString;

    #[test]
    fn later_than_the_first_and_up_to_the_last() {
        let profile = Profile::new(Action::Errno(1)).allow_if("clone3", [arg::<1>().eq(88)]).allow("pidfd_open");
        let policy = profile.resolve(&Target::exactly(&[Arch::X86_64, Arch::X86])).unwrap();
        let names = |first, last| {
            let kernels = KernelVersion::new(5, first)..=KernelVersion::new(5, last);
            let calls = kernel_delta(&policy, kernels).unwrap();
            calls.iter().map(|new| (new.since.to_string(), new.call.name())).collect::<Vec<_>>()
        };
        let five = |minor: u16, name| (alloc::format!("5.{minor}"), name);
        assert_eq!(names(2, 5), [five(3, "clone3"), five(3, "pidfd_open")]);
        assert_eq!(names(2, 6), [five(3, "clone3"), five(3, "pidfd_open"), five(6, "openat2"), five(6, "pidfd_getfd")]);
        assert_eq!(names(3, 6), [five(6, "openat2"), five(6, "pidfd_getfd")]);
        assert_eq!(names(6, 6), []);
        // Every action that a call can get, on each ABI that has it.
        let calls = kernel_delta(&policy, KernelVersion::new(5, 2)..=KernelVersion::new(5, 3)).unwrap();
        let both = |answers: &[Action]| [Arch::X86_64, Arch::X86].map(|arch| (arch, answers.to_vec()));
        assert_eq!(calls[0].answers, both(&[Action::Errno(1), Action::Allow]));
        assert_eq!(calls[1].answers, both(&[Action::Allow]));
    }

    /// The calls for 64-bit times are of 32-bit ABIs alone.
    #[test]
    fn calls_of_other_abis_are_left_out() {
        let count = |arch| {
            let policy = Profile::new(Action::Errno(1)).resolve(&Target::exactly(&[arch])).unwrap();
            let calls = kernel_delta(&policy, KernelVersion::new(5, 0)..=KernelVersion::new(5, 1)).unwrap();
            assert!(calls.iter().all(|new| !new.answers.is_empty()));
            calls.iter().filter(|new| new.call.name() == "clock_gettime64").count()
        };
        assert_eq!([count(Arch::X86_64), count(Arch::X86)], [0, 1]);
    }
}
