//! Our own default profile for containers.

use super::{Format, Profile, ProfileError};

const TEXT: &str = include_str!("container_default.json");

impl Profile {
    /// The default profile for containers: an allow list in the Docker dialect, equal in its rules to the one that the
    /// Docker daemon ships (moby/profiles of June 2026), so that whatever runs there runs here.
    ///
    /// Calls that it does not name get EPERM. Which calls it names depends on the capabilities of the process, on the
    /// architecture, and on the kernel (tracing from 4.8 on, where a tracer cannot get around a filter). New namespaces
    /// need `CAP_SYS_ADMIN`; without it `clone` is allowed with none of the `CLONE_NEW` flags only, and `clone3` gives
    /// ENOSYS (the target's number), which makes C libraries fall back to `clone`.
    ///
    /// Where a parameter has 32 bits, conditions see 32 bits ([`ArgWidth::Typed`](crate::policy::ArgWidth::Typed)).
    /// The file itself cannot say that: the same text read from JSON compares 64 bits of the family of `socket`, of which
    /// the kernel uses 32, so `socket(2^32 + 40, ..)` passes it and opens `AF_VSOCK`.
    ///
    /// One gap comes with the dialect: on ABIs that have `socketcall` (i386, s390 and others) it is allowed whole, and with it
    /// every family.
    ///
    /// It is also the example of a well written profile: it is read without any warning, which a test holds fast, so
    /// the error never happens.
    ///
    /// ```
    /// use callsieve::profile::Profile;
    /// let profile = Profile::container_default()?;
    /// assert!(profile.diagnostics().is_empty());
    /// # Ok::<(), callsieve::profile::ProfileError>(())
    /// ```
    pub fn container_default() -> Result<Self, ProfileError> {
        Self::from_json(TEXT, Format::Docker).map(|profile| Self { typed: true, ..profile })
    }

    /// The text of [`Profile::container_default`], to be used as a start for one's own.
    pub fn container_default_json() -> &'static str {
        TEXT
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ActionSpec, Call, Dialect, Rule};
    use super::*;
    use crate::arch::{Arch, Syscall};
    use crate::bpf::Action;
    use alloc::collections::BTreeSet;
    use alloc::string::{String, ToString};

    #[test]
    fn is_read_without_a_finding() {
        let profile = Profile::container_default().unwrap();
        assert!(profile.diagnostics().is_empty(), "{:?}", profile.diagnostics());
        assert_eq!((profile.dialect(), profile.rules().len()), (Dialect::Docker, 33));
        assert_eq!(profile.default_action(), &ActionSpec::Action(Action::Errno(1)));
        assert_eq!(profile.rules()[0].calls().len(), 361);
        assert!(profile.rules().iter().all(|rule| rule.comment().is_some()));
    }

    #[test]
    fn every_name_exists_and_stands_once_in_an_entry() {
        for rule in Profile::container_default().unwrap().rules() {
            let names: BTreeSet<_> = rule.calls().iter().map(Call::to_string).collect();
            assert_eq!(names.len(), rule.calls().len(), "{}", rule.path());
            assert!(names.iter().all(|name| Syscall::from_name(name).is_some()), "{names:?}");
        }
    }

    #[test]
    fn every_host_with_64_bits_has_its_partners() {
        let profile = Profile::container_default().unwrap();
        for host in Arch::ALL.into_iter().filter(|arch| arch.has_64bit_args() && *arch != Arch::X32) {
            let entry = profile.arch_map().iter().find(|entry| entry.architecture() == host);
            let subs = entry.unwrap_or_else(|| panic!("{host} has no entry")).sub_architectures();
            for partner in host.compat() {
                assert!(subs.contains(partner), "{host} runs {partner} too");
            }
        }
    }

    /// What the file allows whatever the arguments, with Docker's default capabilities on a kernel from 4.8 on.
    fn always_allowed(host: Arch, arch: Arch) -> BTreeSet<u32> {
        let has = |cap: &String| ["CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_NET_RAW"].contains(&cap.as_str());
        let is_host = |name: &String| host.docker_names().contains(&name.as_str());
        let profile = Profile::container_default().unwrap();
        let counts = |rule: &&Rule| {
            let (includes, excludes) = (rule.includes(), rule.excludes());
            (includes.arches().is_empty() || includes.arches().iter().any(is_host))
                && includes.caps().iter().all(has)
                && !excludes.arches().iter().any(is_host)
                && !excludes.caps().iter().any(has)
        };
        let allowed = |rule: &&Rule| rule.args().is_empty() && rule.action() == &ActionSpec::Action(Action::Allow);
        let rules = profile.rules().iter().filter(counts).filter(allowed);
        rules.flat_map(Rule::calls).filter_map(|call| arch.number(&call.to_string())).collect()
    }

    /// The figures were measured on filters that other tools made from Docker's profile.
    #[test]
    fn allows_as_much_as_dockers() {
        for (host, arch, count, ranges) in [
            (Arch::X86_64, Arch::X86_64, 306, 32),
            (Arch::X86_64, Arch::X86, 357, 59),
            (Arch::X86_64, Arch::X32, 302, 46),
            (Arch::Aarch64, Arch::Aarch64, 264, 34),
            (Arch::Aarch64, Arch::Arm, 350, 68),
            (Arch::S390x, Arch::S390x, 305, 63),
            (Arch::S390x, Arch::S390, 354, 61),
            (Arch::Riscv64, Arch::Riscv64, 265, 34),
            // Measured 260 in 35 ranges, with a table that had one call less than the kernel's headers have.
            (Arch::Loongarch64, Arch::Loongarch64, 261, 34),
            (Arch::Ppc64le, Arch::Ppc64le, 310, 62),
        ] {
            let numbers = always_allowed(host, arch);
            let starts = numbers.iter().filter(|&&number| number == 0 || !numbers.contains(&(number - 1))).count();
            assert_eq!((numbers.len(), starts), (count, ranges), "{arch}");
        }
    }
}
