//! What the architectures are called: by libseccomp and OCI, Docker and Podman, Go, and uname(1).

use super::abi::Arch;
use super::nearest::nearest;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

const OCI_PREFIX: &str = "SCMP_ARCH_";

impl Arch {
    /// The name in OCI profiles and in libseccomp, such as `SCMP_ARCH_X86_64`. OCI has no riscv32; the name is formed as
    /// libseccomp forms its others.
    pub const fn oci_name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::X86 => "SCMP_ARCH_X86",
            Self::X32 => "SCMP_ARCH_X32",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
            Self::Arm => "SCMP_ARCH_ARM",
            Self::Riscv64 => "SCMP_ARCH_RISCV64",
            Self::Riscv32 => "SCMP_ARCH_RISCV32",
            Self::Loongarch64 => "SCMP_ARCH_LOONGARCH64",
            Self::S390x => "SCMP_ARCH_S390X",
            Self::S390 => "SCMP_ARCH_S390",
            Self::Ppc => "SCMP_ARCH_PPC",
            Self::Ppc64 => "SCMP_ARCH_PPC64",
            Self::Ppc64le => "SCMP_ARCH_PPC64LE",
            Self::Mips => "SCMP_ARCH_MIPS",
            Self::Mipsel => "SCMP_ARCH_MIPSEL",
            Self::Mips64 => "SCMP_ARCH_MIPS64",
            Self::Mipsel64 => "SCMP_ARCH_MIPSEL64",
            Self::Mips64n32 => "SCMP_ARCH_MIPS64N32",
            Self::Mipsel64n32 => "SCMP_ARCH_MIPSEL64N32",
            Self::Parisc => "SCMP_ARCH_PARISC",
            Self::Parisc64 => "SCMP_ARCH_PARISC64",
            Self::M68k => "SCMP_ARCH_M68K",
            Self::Sh => "SCMP_ARCH_SH",
            Self::Sheb => "SCMP_ARCH_SHEB",
        }
    }

    /// The OCI name without prefix, in lower case. Also what `Display` prints.
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::X86 => "x86",
            Self::X32 => "x32",
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
            Self::Riscv64 => "riscv64",
            Self::Riscv32 => "riscv32",
            Self::Loongarch64 => "loongarch64",
            Self::S390x => "s390x",
            Self::S390 => "s390",
            Self::Ppc => "ppc",
            Self::Ppc64 => "ppc64",
            Self::Ppc64le => "ppc64le",
            Self::Mips => "mips",
            Self::Mipsel => "mipsel",
            Self::Mips64 => "mips64",
            Self::Mipsel64 => "mipsel64",
            Self::Mips64n32 => "mips64n32",
            Self::Mipsel64n32 => "mipsel64n32",
            Self::Parisc => "parisc",
            Self::Parisc64 => "parisc64",
            Self::M68k => "m68k",
            Self::Sh => "sh",
            Self::Sheb => "sheb",
        }
    }

    /// The spellings that stand for this ABI in `includes.arches` and `excludes.arches` of a Docker or Podman profile,
    /// the usual one first. Where the tables of the two differ both count, and so do the typing errors in them.
    /// Empty where neither has a name.
    pub const fn docker_names(self) -> &'static [&'static str] {
        match self {
            Self::X86_64 => &["amd64"],
            Self::X86 => &["x86"],
            Self::X32 => &["x32"],
            Self::Aarch64 => &["arm64"],
            Self::Arm => &["arm"],
            Self::Riscv64 => &["riscv64"],
            Self::Loongarch64 => &["loong64", "loongarch64"],
            Self::S390x => &["s390x"],
            Self::S390 => &["s390"],
            Self::Ppc => &["ppc"],
            Self::Ppc64 => &["ppc64"],
            Self::Ppc64le => &["ppc64le"],
            Self::Mips => &["mips"],
            Self::Mipsel => &["mipsel", "mipsle"],
            Self::Mips64 => &["mips64"],
            Self::Mipsel64 => &["mipsel64"],
            Self::Mips64n32 => &["mips64n32"],
            Self::Mipsel64n32 => &["mipsel64n32", "mips3l64n32"],
            Self::Riscv32 | Self::Parisc | Self::Parisc64 | Self::M68k | Self::Sh | Self::Sheb => &[],
        }
    }

    /// What Go calls it (`GOARCH`), where that is no name of the other kinds.
    const fn go_name(self) -> Option<&'static str> {
        match self {
            Self::X86 => Some("386"),
            Self::Mipsel64 => Some("mips64le"),
            Self::Mips64n32 => Some("mips64p32"),
            Self::Mipsel64n32 => Some("mips64p32le"),
            _ => None,
        }
    }

    /// What `uname -m` prints on a machine where this ABI is native, or under `setarch`. Several ABIs can share a name:
    /// x32 has that of x86_64, and MIPS does not tell its byte order.
    pub const fn uname_names(self) -> &'static [&'static str] {
        match self {
            Self::X86_64 | Self::X32 => &["x86_64"],
            Self::X86 => &["i686", "i586", "i486", "i386"],
            Self::Arm => &["armv7l", "armv8l", "armv6l", "armv5tel"],
            Self::Mips | Self::Mipsel => &["mips"],
            Self::Mips64 | Self::Mipsel64 | Self::Mips64n32 | Self::Mipsel64n32 => &["mips64"],
            Self::Sh => &["sh4"],
            Self::Sheb => &["sh4eb"],
            Self::Aarch64 => &["aarch64"],
            Self::Riscv64 => &["riscv64"],
            Self::Riscv32 => &["riscv32"],
            Self::Loongarch64 => &["loongarch64"],
            Self::S390x => &["s390x"],
            Self::S390 => &["s390"],
            Self::Ppc => &["ppc"],
            Self::Ppc64 => &["ppc64"],
            Self::Ppc64le => &["ppc64le"],
            Self::Parisc => &["parisc"],
            Self::Parisc64 => &["parisc64"],
            Self::M68k => &["m68k"],
        }
    }

    /// The ABI of a call as a filter sees it: by its token, and where two ABIs share one (x86_64 and x32), by bit 30 of
    /// the number, -1 excepted. `None` for a token that is not known.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// assert_eq!(Arch::of_call(0xc000_003e, 1), Some(Arch::X86_64));
    /// assert_eq!(Arch::of_call(0xc000_003e, 0x4000_0001), Some(Arch::X32));
    /// assert_eq!(Arch::of_call(7, 1), None);
    /// ```
    pub fn of_call(token: u32, number: u32) -> Option<Self> {
        let x32 = number & Self::X32_BIT != 0 && number != u32::MAX;
        Self::ALL.into_iter().find(|arch| {
            arch.audit() == token
                && match arch {
                    Self::X32 => x32,
                    Self::X86_64 => !x32,
                    _ => true,
                }
        })
    }

    /// The ABI with this OCI name. Case counts, and the prefix must be there, as OCI runtimes have it.
    pub fn from_oci(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.oci_name() == name)
    }

    /// The ABI with this name of any kind: OCI, short, Docker and Podman, Go, `uname -m`. Case counts: OCI names are in
    /// upper case, all others in lower case. Where a name of `uname -m` is ambiguous, its plainest reading counts:
    /// `x86_64` is not x32, `mips` and `mips64` are big-endian.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// for name in ["SCMP_ARCH_AARCH64", "aarch64", "arm64"] {
    ///     assert_eq!(Arch::from_name(name), Some(Arch::Aarch64));
    /// }
    /// assert_eq!(Arch::from_name("X86_64"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        let find = |is: fn(Self, &str) -> bool| Self::ALL.into_iter().find(|&arch| is(arch, name));
        find(|arch, name| arch.short_name() == name)
            .or_else(|| Self::from_oci(name))
            .or_else(|| find(|arch, name| arch.docker_names().contains(&name)))
            .or_else(|| find(|arch, name| arch.go_name() == Some(name)))
            .or_else(|| find(|arch, name| arch.uname_names().contains(&name)))
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.short_name())
    }
}

impl FromStr for Arch {
    type Err = UnknownArch;

    /// As [`Arch::from_name`], with an error that helps.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::from_name(name).ok_or_else(|| UnknownArch::new(name))
    }
}

/// A name that is no architecture. The message suggests the nearest name, or lists all, or says that the kernel has no
/// seccomp filters there.
///
/// ```
/// use callsieve::arch::{Arch, UnknownArch};
/// let error = "x86-64".parse::<Arch>().unwrap_err();
/// assert_eq!(error.to_string(), "unknown architecture \"x86-64\" (did you mean \"x86_64\"?)");
/// assert_eq!(error.suggestion(), Some("x86_64"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownArch {
    name: String,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The kernel cannot filter calls there.
    NoFilters,
    /// The kernel can, but its ABI is not one of ours.
    NotOurs,
    Mistyped(&'static str),
    Unknown,
}

/// Linux architectures without seccomp filters, with the names that people use for them.
const NO_FILTERS: [&str; 12] = [
    "sparc",
    "sparc64",
    "microblaze",
    "microblazeel",
    "arc",
    "openrisc",
    "or1k",
    "hexagon",
    "nios2",
    "ia64",
    "armoabi",
    "oabi",
];

/// Architectures with filters whose tables we do not have.
const NOT_OURS: [&str; 9] =
    ["alpha", "csky", "xtensa", "loongarch32", "aarch64_be", "arm64_be", "armeb", "armv7b", "um"];

/// Longer names are cut in messages.
const SHOWN: usize = 40;

impl UnknownArch {
    fn new(name: &str) -> Self {
        let bare = name.strip_prefix(OCI_PREFIX).unwrap_or(name).to_ascii_lowercase();
        let why = if NO_FILTERS.contains(&bare.as_str()) {
            Why::NoFilters
        } else if NOT_OURS.contains(&bare.as_str()) {
            Why::NotOurs
        } else {
            Self::suggest(name, &bare).map_or(Why::Unknown, Why::Mistyped)
        };
        let cut = name.char_indices().nth(SHOWN);
        let name = cut.and_then(|(end, _)| name.get(..end)).map_or_else(
            || String::from(name),
            |start| {
                let mut start = String::from(start);
                start.push_str("...");
                start
            },
        );
        Self { name, why }
    }

    /// The nearest name of the same kind.
    fn suggest(name: &str, bare: &str) -> Option<&'static str> {
        if name.starts_with(OCI_PREFIX) {
            // Compared without the prefix, which would make all of them alike.
            let short = nearest(bare, Arch::ALL.iter().map(|arch| arch.short_name()))?;
            return Arch::ALL.iter().find(|arch| arch.short_name() == short).map(|arch| arch.oci_name());
        }
        let names = |arch: &Arch| [arch.short_name()].into_iter().chain(arch.docker_names().iter().copied());
        nearest(bare, Arch::ALL.iter().flat_map(names))
    }

    /// The known name that was most likely meant.
    pub fn suggestion(&self) -> Option<&'static str> {
        match self.why {
            Why::Mistyped(name) => Some(name),
            _ => None,
        }
    }
}

impl core::error::Error for UnknownArch {}

impl fmt::Display for UnknownArch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.why {
            Why::NoFilters => {
                write!(f, "architecture {name:?} cannot be filtered: the kernel has no seccomp filters there")
            }
            Why::NotOurs => {
                write!(f, "architecture {name:?} is not supported, although the kernel can filter it; supported are ")?;
                list(f)
            }
            Why::Mistyped(nearest) => write!(f, "unknown architecture {name:?} (did you mean {nearest:?}?)"),
            Why::Unknown => {
                write!(f, "unknown architecture {name:?}; known are ")?;
                list(f)
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, arch) in Arch::ALL.iter().enumerate() {
        write!(f, "{}{arch}", if at == 0 { "" } else { ", " })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn every_name_reads_back() {
        for arch in Arch::ALL {
            assert_eq!(Arch::from_oci(arch.oci_name()), Some(arch));
            assert_eq!(arch.oci_name(), format!("{OCI_PREFIX}{}", arch.short_name().to_ascii_uppercase()));
            assert_eq!(arch.to_string().parse(), Ok(arch));
            for name in [arch.oci_name()].iter().chain(arch.docker_names()).chain(arch.go_name().as_slice()) {
                assert_eq!(Arch::from_name(name), Some(arch), "{name}");
            }
            for name in arch.uname_names() {
                let read = Arch::from_name(name).unwrap();
                assert!(read.uname_names().contains(name), "{name} of {arch} reads as {read}");
            }
        }
    }

    #[test]
    fn ambiguous_names_have_their_plainest_reading() {
        for (name, arch) in [
            ("x86_64", Arch::X86_64),
            ("mips", Arch::Mips),
            ("mips64", Arch::Mips64),
            ("mipsle", Arch::Mipsel),
            ("mips64le", Arch::Mipsel64),
            ("mips3l64n32", Arch::Mipsel64n32),
            ("386", Arch::X86),
            ("i686", Arch::X86),
            ("armv8l", Arch::Arm),
            ("loongarch64", Arch::Loongarch64),
        ] {
            assert_eq!(Arch::from_name(name), Some(arch), "{name}");
        }
        for name in ["", "X86_64", "scmp_arch_x86", "SCMP_ARCH_AMD64", " x86", "SCMP_ARCH_NATIVE"] {
            assert_eq!(Arch::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn errors_help() {
        let message = |name: &str| name.parse::<Arch>().unwrap_err().to_string();
        let known = "x86_64, x86, x32, aarch64, arm, riscv64, riscv32, loongarch64, s390x, s390, ppc, ppc64, ppc64le, \
                     mips, mipsel, mips64, mipsel64, mips64n32, mipsel64n32, parisc, parisc64, m68k, sh, sheb";
        for (name, expected) in [
            ("X86_64", "unknown architecture \"X86_64\" (did you mean \"x86_64\"?)"),
            ("amd46", "unknown architecture \"amd46\" (did you mean \"amd64\"?)"),
            ("SCMP_ARCH_x86", "unknown architecture \"SCMP_ARCH_x86\" (did you mean \"SCMP_ARCH_X86\"?)"),
            ("SCMP_ARCH_S309X", "unknown architecture \"SCMP_ARCH_S309X\" (did you mean \"SCMP_ARCH_S390X\"?)"),
            ("sparc64", "architecture \"sparc64\" cannot be filtered: the kernel has no seccomp filters there"),
            (
                "SCMP_ARCH_MICROBLAZE",
                "architecture \"SCMP_ARCH_MICROBLAZE\" cannot be filtered: the kernel has no seccomp filters there",
            ),
        ] {
            assert_eq!(message(name), expected);
        }
        assert_eq!(message("vax"), format!("unknown architecture \"vax\"; known are {known}"));
        assert_eq!(
            message("alpha"),
            format!(
                "architecture \"alpha\" is not supported, although the kernel can filter it; supported are {known}"
            )
        );
        assert!(message(&"ä".repeat(1000)).starts_with(&format!("unknown architecture \"{}...\";", "ä".repeat(40))));
    }

    #[test]
    fn the_go_names_of_n32() {
        assert_eq!(Arch::Mips64n32.go_name(), Some("mips64p32"));
        assert_eq!(Arch::Mipsel64n32.go_name(), Some("mips64p32le"));
    }

    #[test]
    fn only_a_mistyped_name_has_a_suggestion() {
        let suggestion = |name: &str| name.parse::<Arch>().unwrap_err().suggestion();
        assert_eq!(suggestion("x86-64"), Some("x86_64"));
        assert_eq!(suggestion("SCMP_ARCH_S309X"), Some("SCMP_ARCH_S390X"));
        for name in ["vax", "alpha", "sparc64"] {
            assert_eq!(suggestion(name), None, "{name}");
        }
    }
}
