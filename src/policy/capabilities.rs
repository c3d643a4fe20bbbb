//! The capabilities for which `includes.caps` and `excludes.caps` of a profile are judged.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use thiserror::Error;

/// Every capability, by its number (`linux/capability.h`, Linux 5.9 and later).
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Chown, `dac_override`, kill, setgid, setuid, setpcap, `net_bind_service`, `sys_chroot`, fowner, fsetid, setfcap.
const PODMAN: u64 = bits(&[0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 31]);
/// Those and `net_raw`, mknod, `audit_write`.
const DOCKER: u64 = PODMAN | bits(&[13, 27, 29]);
const ALL: u64 = (1 << NAMES.len()) - 1;

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Evaluated at compile time.
const fn bits(numbers: &[u8]) -> u64 {
    let mut set = 0;
    let mut i = 0;
    while i < numbers.len() {
        set |= 1 << numbers[i];
        i += 1;
    }
    set
}

/// A set of capabilities: what a container's bounding set holds.
///
/// ```
/// use callsieve::policy::Capabilities;
/// let caps = Capabilities::from_names(["CAP_SYS_ADMIN", "chown"])?;
/// assert!(caps.contains("CAP_CHOWN") && !caps.contains("CAP_BPF"));
/// assert_eq!(caps.to_string(), "CAP_CHOWN,CAP_SYS_ADMIN");
/// # Ok::<(), callsieve::policy::UnknownCapability>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capabilities {
    bits: u64,
}

/// A name that is no capability.
///
/// See the example of [`Capabilities`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown capability \"{name}\": a name of capabilities(7) is expected, such as CAP_SYS_ADMIN")]
pub struct UnknownCapability {
    name: String,
}

impl Capabilities {
    /// The 14 that Docker gives a container if nothing else is asked for.
    pub const fn docker() -> Self {
        Self { bits: DOCKER }
    }

    /// The 11 that Podman gives a container if nothing else is asked for.
    pub const fn podman() -> Self {
        Self { bits: PODMAN }
    }

    /// No capability.
    pub const fn none() -> Self {
        Self { bits: 0 }
    }

    /// All 41 that Linux has.
    pub const fn all() -> Self {
        Self { bits: ALL }
    }

    /// The set of these capabilities. Case does not matter and `CAP_` may be left out.
    ///
    /// # Errors
    ///
    /// [`UnknownCapability`] for the first name that Linux does not have.
    pub fn from_names<I>(names: I) -> Result<Self, UnknownCapability>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        names.into_iter().try_fold(Self::none(), |set, name| {
            let name = name.as_ref();
            let bit = NAMES.iter().zip(0u32..).find(|(known, _)| same(known, name)).map(|(_, bit)| bit);
            let bit = bit.ok_or_else(|| UnknownCapability { name: name.into() })?;
            Ok(Self { bits: set.bits | 1 << bit })
        })
    }

    /// Whether the set holds a capability, spelled exactly as in a profile (`CAP_SYS_ADMIN`). A name that Linux does
    /// not have is in no set.
    pub fn contains(self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }

    /// The names of the set, in the order of their numbers.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().zip(0u32..).filter(move |(_, bit)| self.bits >> bit & 1 == 1).map(|(name, _)| *name)
    }
}

fn same(known: &str, name: &str) -> bool {
    let short = known.strip_prefix("CAP_").unwrap_or(known);
    known.eq_ignore_ascii_case(name) || short.eq_ignore_ascii_case(name)
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names().collect();
        f.write_str(&if names.is_empty() { "none".into() } else { names.join(",") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_named_sets() {
        let docker = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE \
                      SYS_CHROOT KILL AUDIT_WRITE";
        assert_eq!(Capabilities::from_names(docker.split_whitespace()).unwrap(), Capabilities::docker());
        let podman = docker.split_whitespace().filter(|name| !["MKNOD", "NET_RAW", "AUDIT_WRITE"].contains(name));
        assert_eq!(Capabilities::from_names(podman).unwrap(), Capabilities::podman());
        assert_eq!(Capabilities::all().names().count(), 41);
        assert_eq!(Capabilities::from_names(Capabilities::all().names()).unwrap(), Capabilities::all());
        assert_eq!(Capabilities::none().to_string(), "none");
        assert!(Capabilities::from_names(["CHOWN", "CAP_CHOWN"]).unwrap().contains("CAP_CHOWN"));
    }

    #[test]
    fn profiles_must_spell_exactly() {
        assert!(Capabilities::all().contains("CAP_BPF"));
        assert!(!Capabilities::all().contains("BPF") && !Capabilities::all().contains("cap_bpf"));
        let error = Capabilities::from_names(["CAP_CHOWN", "CAP_FROBNICATE"]).unwrap_err();
        assert!(error.to_string().starts_with("unknown capability \"CAP_FROBNICATE\""), "{error}");
    }
}
