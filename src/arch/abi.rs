//! What distinguishes the ABIs: names, tokens, byte order, word size.

use crate::bpf::Endian;

/// A system call ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // The names are the documentation.
pub enum Arch {
    X86_64,
    X86,
    X32,
    Aarch64,
    Arm,
    Riscv64,
    Riscv32,
    Loongarch64,
    S390x,
    S390,
    Ppc,
    Ppc64,
    Ppc64le,
    Mips,
    Mipsel,
    Mips64,
    Mipsel64,
    Mips64n32,
    Mipsel64n32,
    Parisc,
    Parisc64,
    M68k,
    Sh,
    Sheb,
}

impl Arch {
    /// Every ABI, in a fixed order.
    pub const ALL: [Self; 24] = [
        Self::X86_64,
        Self::X86,
        Self::X32,
        Self::Aarch64,
        Self::Arm,
        Self::Riscv64,
        Self::Riscv32,
        Self::Loongarch64,
        Self::S390x,
        Self::S390,
        Self::Ppc,
        Self::Ppc64,
        Self::Ppc64le,
        Self::Mips,
        Self::Mipsel,
        Self::Mips64,
        Self::Mipsel64,
        Self::Mips64n32,
        Self::Mipsel64n32,
        Self::Parisc,
        Self::Parisc64,
        Self::M68k,
        Self::Sh,
        Self::Sheb,
    ];

    /// The ABI of the machine that this code was compiled for; `None` if seccomp does not know it.
    pub const NATIVE: Option<Self> = native();

    /// Bit 30, which every x32 number has set (`__X32_SYSCALL_BIT`).
    pub const X32_BIT: u32 = 0x4000_0000;

    /// The `AUDIT_ARCH_*` token in `seccomp_data.arch` (`linux/audit.h`).
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
            Self::Riscv64 => 0xc000_00f3,
            Self::Riscv32 => 0x4000_00f3,
            Self::Loongarch64 => 0xc000_0102,
            Self::S390x => 0x8000_0016,
            Self::S390 => 0x16,
            Self::Ppc => 0x14,
            Self::Ppc64 => 0x8000_0015,
            Self::Ppc64le => 0xc000_0015,
            Self::Mips => 0x8,
            Self::Mipsel => 0x4000_0008,
            Self::Mips64 => 0x8000_0008,
            Self::Mipsel64 => 0xc000_0008,
            Self::Mips64n32 => 0xa000_0008,
            Self::Mipsel64n32 => 0xe000_0008,
            Self::Parisc => 0xf,
            Self::Parisc64 => 0x8000_000f,
            Self::M68k => 0x4,
            Self::Sh => 0x4000_002a,
            Self::Sheb => 0x2a,
        }
    }

    /// Byte order. Bit 30 of the token says it (`__AUDIT_ARCH_LE`).
    pub const fn endian(self) -> Endian {
        if self.audit() & 0x4000_0000 != 0 { Endian::Little } else { Endian::Big }
    }

    /// Whether arguments are 64 bits wide. True for x32 and MIPS n32, whose pointers have 32 bits but whose registers
    /// have 64.
    pub const fn has_64bit_args(self) -> bool {
        self.audit() & 0x8000_0000 != 0
    }

    /// What the kernel adds to the numbers of its table before a filter sees them: 4000, 5000 and 6000 on MIPS o32, n64
    /// and n32, [`X32_BIT`](Self::X32_BIT) on x32, 0 elsewhere (`asm/unistd.h`).
    pub const fn number_base(self) -> u32 {
        match self {
            Self::X32 => Self::X32_BIT,
            Self::Mips | Self::Mipsel => 4000,
            Self::Mips64 | Self::Mipsel64 => 5000,
            Self::Mips64n32 | Self::Mipsel64n32 => 6000,
            _ => 0,
        }
    }

    /// The other ABIs whose calls the same kernel can take, so that a filter on it can meet them. A kernel may be built
    /// without them, and that of a 32-bit machine never has its 64-bit partner.
    ///
    /// riscv64 and riscv32 are no partners here: a filter sees riscv32 calls on a 64-bit kernel with the riscv64 token
    /// and cannot tell them apart.
    pub const fn compat(self) -> &'static [Self] {
        match self {
            Self::X86_64 => &[Self::X86, Self::X32],
            Self::X32 => &[Self::X86_64, Self::X86],
            Self::X86 => &[Self::X86_64, Self::X32],
            Self::Aarch64 => &[Self::Arm],
            Self::Arm => &[Self::Aarch64],
            Self::S390x => &[Self::S390],
            Self::S390 => &[Self::S390x],
            Self::Ppc => &[Self::Ppc64],
            Self::Ppc64 => &[Self::Ppc],
            Self::Mips => &[Self::Mips64, Self::Mips64n32],
            Self::Mips64 => &[Self::Mips, Self::Mips64n32],
            Self::Mips64n32 => &[Self::Mips64, Self::Mips],
            Self::Mipsel => &[Self::Mipsel64, Self::Mipsel64n32],
            Self::Mipsel64 => &[Self::Mipsel, Self::Mipsel64n32],
            Self::Mipsel64n32 => &[Self::Mipsel64, Self::Mipsel],
            Self::Parisc => &[Self::Parisc64],
            Self::Parisc64 => &[Self::Parisc],
            Self::Riscv64 | Self::Riscv32 | Self::Loongarch64 | Self::Ppc64le | Self::M68k | Self::Sh | Self::Sheb => {
                &[]
            }
        }
    }

    /// The number of the signal SIGSYS, with which the TRAP action answers (`asm/signal.h`).
    pub const fn sigsys(self) -> u8 {
        match self {
            Self::Mips | Self::Mipsel | Self::Mips64 | Self::Mipsel64 | Self::Mips64n32 | Self::Mipsel64n32 => 12,
            _ => 31,
        }
    }

    /// For how many numbers, counted from 0, the kernel remembers that a filter always allows them (the allow bitmap,
    /// `SECCOMP_ARCH_NATIVE_NR` and `SECCOMP_ARCH_COMPAT_NR`), whether this ABI is native or a partner. `None` where it
    /// keeps no such list: x32 and MIPS.
    ///
    /// The count is that of our table; an older kernel covers fewer numbers, all of which it knows.
    pub fn bitmap_len(self) -> Option<u32> {
        (self.number_base() == 0).then(|| self.table_len())
    }

    /// Numbers that the kernel lets through before it asks any filter: on x86_64 `uretprobe` (since 6.11) and `uprobe`
    /// (since 6.18), whatever the filter says (`__secure_computing` in `kernel/seccomp.c`).
    pub const fn forced_allow(self) -> &'static [u32] {
        match self {
            Self::X86_64 => &[335, 336],
            _ => &[],
        }
    }
}

const fn native() -> Option<Arch> {
    let big = cfg!(target_endian = "big");
    let wide = cfg!(target_pointer_width = "64");
    Some(if cfg!(target_arch = "x86_64") {
        if wide { Arch::X86_64 } else { Arch::X32 }
    } else if cfg!(target_arch = "x86") {
        Arch::X86
    } else if cfg!(target_arch = "aarch64") && !big {
        Arch::Aarch64
    } else if cfg!(target_arch = "arm") && !big {
        Arch::Arm
    } else if cfg!(target_arch = "riscv64") {
        Arch::Riscv64
    } else if cfg!(target_arch = "riscv32") {
        Arch::Riscv32
    } else if cfg!(target_arch = "loongarch64") {
        Arch::Loongarch64
    } else if cfg!(target_arch = "s390x") {
        Arch::S390x
    } else if cfg!(target_arch = "powerpc") {
        Arch::Ppc
    } else if cfg!(target_arch = "powerpc64") {
        if big { Arch::Ppc64 } else { Arch::Ppc64le }
    } else if cfg!(any(target_arch = "mips", target_arch = "mips32r6")) {
        if big { Arch::Mips } else { Arch::Mipsel }
    } else if cfg!(any(target_arch = "mips64", target_arch = "mips64r6")) {
        match (wide, big) {
            (true, true) => Arch::Mips64,
            (true, false) => Arch::Mipsel64,
            (false, true) => Arch::Mips64n32,
            (false, false) => Arch::Mipsel64n32,
        }
    } else if cfg!(target_arch = "m68k") {
        Arch::M68k
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigsys_has_its_own_number_on_mips() {
        for arch in Arch::ALL {
            let mips = arch.oci_name().starts_with("SCMP_ARCH_MIPS");
            assert_eq!(arch.sigsys(), if mips { 12 } else { 31 }, "{arch}");
        }
    }

    #[test]
    fn calls_that_no_filter_sees() {
        for arch in Arch::ALL {
            let forced: &[u32] = if arch == Arch::X86_64 { &[335, 336] } else { &[] };
            assert_eq!(arch.forced_allow(), forced, "{arch}");
        }
    }
}
