//! The linter: what a profile does that its author most likely does not want.
//!
//! A finding is asked of the meaning wherever meaning is what matters. Whether a rule has an effect, whether a call runs
//! for some arguments or for all, whether another call gets around it: each is answered exactly, from the rules as
//! [`Policy::decide`](crate::policy::Policy::decide) reads them, with a call that shows it where there is one.

mod arguments;
mod dangerous;
mod families;
mod formats;
mod mux;
mod reach;
mod redundant;
mod review;
mod runtime;

use super::bdd::Exhausted;
use crate::policy::{ResolveError, Target};
use crate::profile::{Code, Diagnostic, Diagnostics, Profile, Severity};
use alloc::format;
use alloc::vec::Vec;
use review::Review;

/// Everything that is wrong or doubtful in a profile, for a target: what its reader and [`Profile::resolve`] found, and
/// what only a look at the whole shows.
///
/// This is [`Linter::lint`] with nothing set.
///
/// ```
/// use callsieve::arch::Arch;
/// use callsieve::check::lint;
/// use callsieve::policy::Target;
/// use callsieve::profile::{Code, Format, Profile};
///
/// let text = r#"{
///     "defaultAction": "SCMP_ACT_ERRNO",
///     "syscalls": [
///         {"names": ["execve", "exit", "exit_group", "rt_sigreturn", "clone"], "action": "SCMP_ACT_ALLOW"},
///         {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}
///     ]
/// }"#;
/// let profile = Profile::from_json(text, Format::Auto)?;
/// let found = lint(&profile, &Target::new(Arch::Aarch64))?;
/// let clone3 = found.iter().find(|found| found.code() == Code::Clone3Errno).unwrap();
/// assert_eq!(clone3.path(), "$.syscalls[1]");
/// assert_eq!(clone3.example().unwrap().to_string(), "clone3() on aarch64: ERRNO(13)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`Linter::lint`].
pub fn lint(profile: &Profile, target: &Target) -> Result<Diagnostics, ResolveError> {
    Linter::new().lint(profile, target)
}

/// How findings are judged.
///
/// ```
/// use callsieve::check::Linter;
/// use callsieve::profile::{Code, Severity};
/// use callsieve::{Action, Arch, Profile, Target};
/// let profile = Profile::new(Action::KillThread).allow("read");
/// let found = Linter::new().deny(Code::KillThread).lint(&profile, &Target::new(Arch::Aarch64))?;
/// assert_eq!(found.worst(), Some(Severity::Error));
/// # Ok::<(), callsieve::policy::ResolveError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Linter {
    allowed: Vec<Code>,
    denied: Vec<Code>,
    deny_warnings: bool,
    size: Option<(usize, usize)>,
}

impl Linter {
    /// Nothing is allowed, nothing denied.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves out warnings and notes of this kind. Errors stay: with one the profile cannot be used.
    pub fn allow(mut self, code: Code) -> Self {
        self.allowed.push(code);
        self
    }

    /// Makes every finding of this kind an error.
    pub fn deny(mut self, code: Code) -> Self {
        self.denied.push(code);
        self
    }

    /// Makes every warning an error.
    pub fn deny_warnings(mut self) -> Self {
        self.deny_warnings = true;
        self
    }

    /// How many instructions the filter has or would need, and how many after the kernel's conversion
    /// ([`Program::ebpf_len`](crate::bpf::Program::ebpf_len)), so that its size is judged as well.
    pub fn filter_size(mut self, insns: usize, converted: usize) -> Self {
        self.size = Some((insns, converted));
        self
    }

    /// Everything that is wrong or doubtful in a profile, in the order of its places.
    ///
    /// A profile that contradicts itself on the target is no failure: its contradictions are the findings.
    ///
    /// # Errors
    /// [`ResolveError`] where there is no target to speak of: no architecture, or two byte orders; and where rules are
    /// too complex to resolve.
    pub fn lint(&self, profile: &Profile, target: &Target) -> Result<Diagnostics, ResolveError> {
        let found = match profile.resolve(target) {
            Err(ResolveError::Problems(found)) => found.into_vec(),
            Err(error) => return Err(error),
            Ok(policy) => {
                let mut review = Review::new(profile, target, &policy);
                self.run(&mut review);
                review.found
            }
        };
        Ok(self.judged(found))
    }

    fn run(&self, review: &mut Review<'_>) {
        for (what, check) in CHECKS {
            if check(review) == Err(Exhausted) {
                let text = format!("the rules have too many combinations to look for {what} exactly; not all is told");
                let place = review.root("");
                review.report(Severity::Warning, Code::TooLarge, place, text);
                review.answers = crate::check::answers::Answers::new(review.policy);
            }
        }
        formats::constants(review);
        if let Some((insns, converted)) = self.size {
            formats::size(review, insns, converted);
        }
    }

    fn judged(&self, found: Vec<Diagnostic>) -> Diagnostics {
        let mut kept: Vec<Diagnostic> = found
            .into_iter()
            .map(|found| {
                let warning = self.deny_warnings && found.severity() == Severity::Warning;
                if warning || self.denied.contains(&found.code()) {
                    found.with_severity(Severity::Error)
                } else {
                    found
                }
            })
            .filter(|found| found.severity() == Severity::Error || !self.allowed.contains(&found.code()))
            .collect();
        kept.sort_by(|one, other| place_order(one.path()).cmp(&place_order(other.path())));
        kept.into_iter().collect()
    }
}

/// A check, and what it looks for, in words for a message.
type Check = (&'static str, fn(&mut Review<'_>) -> Result<(), Exhausted>);

const CHECKS: [Check; 8] = [
    ("what multiplexers open", mux::check),
    ("what conditions look at", arguments::check),
    ("rules without effect", redundant::check),
    ("ways around restrictions", families::check),
    ("what programs need", runtime::check),
    ("what is open", reach::check),
    ("what io_uring opens", reach::io_uring),
    ("dangerous calls", dangerous::check),
];

/// Places in the order of a file: numbers in a path count as numbers.
fn place_order(path: &str) -> Vec<(&str, usize)> {
    let parts = path.split(['[', ']']).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_or((part, 0), |number| ("", number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::bpf::Action;

    #[test]
    fn places_are_ordered_as_in_the_file() {
        let places = ["$", "$.flags", "$.syscalls[2]", "$.syscalls[2].args[1]", "$.syscalls[10].names[3]"];
        for pair in places.windows(2) {
            assert!(place_order(pair[0]) < place_order(pair[1]), "{pair:?}");
        }
        assert!(place_order("rule 2") < place_order("rule 2, condition 1"));
    }

    fn places(found: &Diagnostics, code: Code) -> Vec<(&str, Severity)> {
        found.iter().filter(|found| found.code() == code).map(|found| (found.path(), found.severity())).collect()
    }

    /// One finding for each entry, and for what is mild in it.
    #[test]
    fn dangerous_calls_are_told_entry_by_entry() {
        let profile = Profile::new(Action::Errno(1)).allow(["bpf", "mount", "ptrace"]).allow(["setns", "read"]);
        let found = lint(&profile, &Target::exactly(&[Arch::X86_64])).unwrap();
        let expected = [("rule 1", Severity::Warning), ("rule 1", Severity::Note), ("rule 2", Severity::Warning)];
        let mut places = places(&found, Code::DangerousAllow);
        places.sort_by_key(|&(place, severity)| (place, severity != Severity::Warning));
        assert_eq!(places, expected);
    }

    #[test]
    fn the_room_that_a_filter_leaves() {
        let profile = Profile::new(Action::Errno(1)).allow("read");
        let size = |insns, converted| {
            let linter = Linter::new().filter_size(insns, converted);
            let found = linter.lint(&profile, &Target::exactly(&[Arch::X86_64])).unwrap();
            places(&found, Code::TooLarge).first().map(|(_, severity)| *severity)
        };
        // The kernel takes 4096 instructions; four filters of 8188 fill a thread, with 4 for each.
        assert_eq!([size(4096, 8188), size(4097, 8188)], [None, Some(Severity::Error)]);
        assert_eq!(size(4096, 8189), Some(Severity::Note));
    }

    /// Only x86_64 shares its token with another ABI.
    #[test]
    fn an_open_x32_is_told_on_x86_64_alone() {
        let profile = Profile::new(Action::Errno(1)).allow("read");
        let found = |arches: &[Arch]| {
            let target = Target::exactly(arches).bad_arch(Action::Allow);
            places(&lint(&profile, &target).unwrap(), Code::X32Reachable).len()
        };
        assert_eq!([found(&[Arch::Aarch64]), found(&[Arch::X86_64, Arch::X32])], [0, 0]);
    }

    #[test]
    fn constants_that_a_signed_number_holds() {
        let found = |value: u64| {
            let text = format!(
                r#"{{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [ {{ "names": ["lseek"], "action": "SCMP_ACT_ALLOW",
                    "args": [{{"index": 1, "value": {value}, "op": "SCMP_CMP_EQ"}}] }} ] }}"#
            );
            let profile = Profile::from_json(&text, crate::profile::Format::Docker).unwrap();
            let found = lint(&profile, &Target::exactly(&[Arch::X86_64])).unwrap();
            places(&found, Code::NotExpressible).len()
        };
        assert_eq!([found((1 << 63) - 1), found(1 << 63)], [0, 1]);
    }
}
