//! The input of a filter.

/// Byte order of a target.
///
/// ```
/// assert_eq!(callsieve::Arch::S390x.endian(), callsieve::bpf::Endian::Big);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Endian {
    /// The byte order of the machine that this code was compiled for.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };

    /// The other byte order.
    #[must_use]
    pub const fn swapped(self) -> Self {
        match self {
            Self::Little => Self::Big,
            Self::Big => Self::Little,
        }
    }
}

/// One system call as a filter sees it, with the layout of `struct seccomp_data` (`linux/seccomp.h`).
///
/// ```
/// use callsieve::bpf::{Endian, SyscallData};
/// let data = SyscallData { nr: 41, args: [0x1_0000_0002, 0, 0, 0, 0, 0], ..SyscallData::default() };
/// assert_eq!(data.word(16, Endian::Little), Some(2));
/// assert_eq!(data.word(16, Endian::Big), Some(1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct SyscallData {
    /// The number of the call. The kernel declares it `int`; filters see 32 unsigned bits.
    pub nr: u32,
    /// The `AUDIT_ARCH_*` token of the calling convention that was used.
    pub arch: u32,
    /// Where the call was made.
    pub instruction_pointer: u64,
    /// The argument registers. Calls of 32-bit ABIs fill the low halves only.
    pub args: [u64; 6],
}

const _: () = assert!(size_of::<SyscallData>() == 64);

impl SyscallData {
    /// Size of the kernel's structure in bytes.
    pub const SIZE: u32 = 64;
    /// Offset of `nr`.
    pub const NR: u32 = 0;
    /// Offset of `arch`.
    pub const ARCH: u32 = 4;

    /// Offset of the low 32 bits of an argument (0 to 5) on a target with this byte order; `None` above 5.
    pub const fn low_word(arg: u8, endian: Endian) -> Option<u32> {
        Self::half(arg, matches!(endian, Endian::Big))
    }

    /// Offset of the high 32 bits of an argument (0 to 5) on a target with this byte order; `None` above 5.
    pub const fn high_word(arg: u8, endian: Endian) -> Option<u32> {
        Self::half(arg, matches!(endian, Endian::Little))
    }

    #[allow(clippy::arithmetic_side_effects)] // At most 16 + 8 * 5 + 4.
    const fn half(arg: u8, second: bool) -> Option<u32> {
        if arg > 5 {
            return None;
        }
        Some(16 + 8 * arg as u32 + if second { 4 } else { 0 })
    }

    /// The 32-bit word at a byte offset, as a target with this byte order lays the structure out. `None` if the offset
    /// is not a multiple of four below 64.
    #[allow(clippy::cast_possible_truncation)] // Halves of a 64-bit value.
    pub fn word(&self, offset: u32, endian: Endian) -> Option<u32> {
        if !offset.is_multiple_of(4) {
            return None;
        }
        let pair = match offset {
            0 => return Some(self.nr),
            4 => return Some(self.arch),
            8 | 12 => self.instruction_pointer,
            _ => *self.args.get((offset.checked_sub(16)? / 8) as usize)?,
        };
        let second = offset % 8 == 4;
        let high = second == (endian == Endian::Little);
        Some(if high { (pair >> 32) as u32 } else { pair as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_the_byte_order() {
        let data = SyscallData {
            nr: 1,
            arch: 2,
            instruction_pointer: 0x0403_0201_0807_0605,
            args: core::array::from_fn(|i| ((i as u64 + 1) << 32) | (i as u64 + 100)),
        };
        for endian in [Endian::Little, Endian::Big] {
            assert_eq!(data.word(SyscallData::NR, endian), Some(1));
            assert_eq!(data.word(SyscallData::ARCH, endian), Some(2));
            for arg in 0..6u8 {
                let low = SyscallData::low_word(arg, endian).unwrap();
                let high = SyscallData::high_word(arg, endian).unwrap();
                assert_eq!(data.word(low, endian), Some(u32::from(arg) + 100));
                assert_eq!(data.word(high, endian), Some(u32::from(arg) + 1));
            }
        }
        assert_eq!(data.word(8, Endian::Little), Some(0x0807_0605));
        assert_eq!(data.word(64, Endian::Little), None);
        assert_eq!(data.word(17, Endian::Little), None);
        assert_eq!(SyscallData::low_word(6, Endian::Little), None);
    }
}
