//! ABIs by the words of the Rust compiler.

use super::Arch;
use crate::bpf::Endian;

impl Arch {
    /// The ABI of a Rust target, by the `cfg` values `target_arch`, `target_endian` and `target_pointer_width`: in a
    /// `build.rs` the variables `CARGO_CFG_TARGET_ARCH` and so on. `None` if there is none of that kind.
    ///
    /// ```
    /// use callsieve::Arch;
    /// assert_eq!(Arch::from_rust_target("x86_64", "little", "64"), Some(Arch::X86_64));
    /// assert_eq!(Arch::from_rust_target("x86_64", "little", "32"), Some(Arch::X32));
    /// assert_eq!(Arch::from_rust_target("powerpc64", "little", "64"), Some(Arch::Ppc64le));
    /// assert_eq!(Arch::from_rust_target("sparc64", "big", "64"), None);
    /// ```
    pub fn from_rust_target(arch: &str, endian: &str, pointer_width: &str) -> Option<Self> {
        let arch = match arch {
            "mips32r6" => "mips",
            "mips64r6" => "mips64",
            other => other,
        };
        Self::ALL.into_iter().find(|abi| abi.rust_target() == (arch, endian, pointer_width))
    }

    /// The values of `target_arch`, `target_endian` and `target_pointer_width` on a machine of this ABI. Where Rust has no
    /// such target they are what it would call it.
    pub(crate) const fn rust_target(self) -> (&'static str, &'static str, &'static str) {
        let (arch, width) = match self {
            Self::X86_64 => ("x86_64", "64"),
            Self::X32 => ("x86_64", "32"),
            Self::X86 => ("x86", "32"),
            Self::Aarch64 => ("aarch64", "64"),
            Self::Arm => ("arm", "32"),
            Self::Riscv64 => ("riscv64", "64"),
            Self::Riscv32 => ("riscv32", "32"),
            Self::Loongarch64 => ("loongarch64", "64"),
            Self::S390x => ("s390x", "64"),
            Self::S390 => ("s390", "32"),
            Self::Ppc => ("powerpc", "32"),
            Self::Ppc64 | Self::Ppc64le => ("powerpc64", "64"),
            Self::Mips | Self::Mipsel => ("mips", "32"),
            Self::Mips64 | Self::Mipsel64 => ("mips64", "64"),
            Self::Mips64n32 | Self::Mipsel64n32 => ("mips64", "32"),
            Self::Parisc => ("hppa", "32"),
            Self::Parisc64 => ("hppa64", "64"),
            Self::M68k => ("m68k", "32"),
            Self::Sh | Self::Sheb => ("sh", "32"),
        };
        let endian = match self.endian() {
            Endian::Little => "little",
            Endian::Big => "big",
        };
        (arch, endian, width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for arch in Arch::ALL {
            let (name, endian, width) = arch.rust_target();
            assert_eq!(Arch::from_rust_target(name, endian, width), Some(arch));
        }
        assert_eq!(Arch::from_rust_target("mips64r6", "little", "64"), Some(Arch::Mipsel64));
        assert_eq!(Arch::from_rust_target("mips32r6", "big", "32"), Some(Arch::Mips));
        assert_eq!(Arch::from_rust_target("x86_64", "big", "64"), None);
    }

    #[test]
    fn this_machine() {
        let endian = if cfg!(target_endian = "little") { "little" } else { "big" };
        let width = if cfg!(target_pointer_width = "64") { "64" } else { "32" };
        assert_eq!(Arch::from_rust_target(std::env::consts::ARCH, endian, width), Arch::NATIVE);
    }
}
