//! How many arguments a call has on an ABI, how wide they are, and which are pointers.
//!
//! The data are the kernel's own definitions in C terms ([`super::prototypes`]). What a filter sees follows from them by
//! rule: on 64-bit ABIs each parameter is an argument of its own; on 32-bit ABIs a 64-bit parameter takes two, the low
//! word first where the byte order is little-endian, and on ARM, MIPS o32 and 32-bit PowerPC such a pair begins at an
//! even argument, which can leave one unused (syscall(2)).

use super::abi::Arch;
use super::prototypes::PROTOTYPES;
use super::syscall::{Syscall, column};
use crate::bpf::Endian;
use core::fmt;

/// The parameters that some columns of the table share; the columns are bits.
pub(super) type Variant = (u32, &'static [Param]);

/// A parameter in C terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Param {
    name: &'static str,
    bits: Bits,
    signed: bool,
    pointer: bool,
}

/// The width of a C type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bits {
    /// `mode_t` and old user numbers.
    Sixteen,
    ThirtyTwo,
    SixtyFour,
    /// As wide as a register.
    Word,
}

// How the generated table writes parameters.

const fn param(name: &'static str, bits: Bits, signed: bool, pointer: bool) -> Param {
    Param { name, bits, signed, pointer }
}

pub(super) const fn u16(name: &'static str) -> Param {
    param(name, Bits::Sixteen, false, false)
}

pub(super) const fn i32(name: &'static str) -> Param {
    param(name, Bits::ThirtyTwo, true, false)
}

pub(super) const fn u32(name: &'static str) -> Param {
    param(name, Bits::ThirtyTwo, false, false)
}

pub(super) const fn i64(name: &'static str) -> Param {
    param(name, Bits::SixtyFour, true, false)
}

pub(super) const fn u64(name: &'static str) -> Param {
    param(name, Bits::SixtyFour, false, false)
}

pub(super) const fn long(name: &'static str) -> Param {
    param(name, Bits::Word, true, false)
}

pub(super) const fn ulong(name: &'static str) -> Param {
    param(name, Bits::Word, false, false)
}

pub(super) const fn ptr(name: &'static str) -> Param {
    param(name, Bits::Word, false, true)
}

/// `compat_uptr_t`: an address that the kernel takes from 32 bits although registers have 64.
pub(super) const fn ptr32(name: &'static str) -> Param {
    param(name, Bits::ThirtyTwo, false, true)
}

/// The parameters of a call on an ABI, as the kernel defines them.
///
/// ```
/// use callsieve::arch::{Arch, ArgPart, Syscall};
/// let socket = Syscall::from_name("socket").unwrap().prototype(Arch::X86_64).unwrap();
/// assert_eq!(socket.to_string(), "family: i32, type: i32, protocol: i32");
///
/// // A 64-bit position takes two arguments on 32-bit ABIs, and begins at an even one on ARM.
/// let pread = Syscall::from_name("pread64").unwrap();
/// let arm = pread.prototype(Arch::Arm).unwrap();
/// assert_eq!(arm.to_string(), "fd: u32, buf: pointer, count: u32, _, pos: low half of i64, pos: high half of i64");
/// assert_eq!(arm.arg(4).unwrap().part(), ArgPart::Low);
/// assert_eq!(arm.arg(6), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prototype {
    arch: Arch,
    params: &'static [Param],
}

/// An argument as a filter sees it in `seccomp_data.args`: a parameter of the call, or half of one.
///
/// See the example of [`Prototype`](super::Prototype).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgType {
    param: Param,
    part: ArgPart,
    arch: Arch,
}

/// Which part of a parameter is in an argument.
///
/// See the example of [`Prototype`](super::Prototype).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgPart {
    /// All of it.
    Whole,
    /// The low 32 bits of a 64-bit parameter.
    Low,
    /// The high 32 bits of a 64-bit parameter.
    High,
    /// Nothing: the kernel does not look at the argument, it only keeps a pair of arguments aligned.
    Unused,
}

impl Prototype {
    /// The arguments in their order. A filter sees the first six; on MIPS o32 a few calls have seven.
    pub fn args(self) -> impl Iterator<Item = ArgType> + Clone {
        let Self { arch, params } = self;
        let splits = !arch.has_64bit_args();
        let aligned = matches!(arch, Arch::Arm | Arch::Mips | Arch::Mipsel | Arch::Ppc);
        let (first, second) = match arch.endian() {
            Endian::Little => (ArgPart::Low, ArgPart::High),
            Endian::Big => (ArgPart::High, ArgPart::Low),
        };
        params
            .iter()
            .scan(false, move |odd, &param| {
                let pair = splits && param.bits == Bits::SixtyFour;
                let hole = pair && aligned && *odd;
                // A pair keeps the parity, anything else changes it.
                *odd = if pair { *odd && !hole } else { !*odd };
                let parts = match (pair, hole) {
                    (false, _) => [Some(ArgPart::Whole), None, None],
                    (true, false) => [Some(first), Some(second), None],
                    (true, true) => [Some(ArgPart::Unused), Some(first), Some(second)],
                };
                Some(parts.into_iter().flatten().map(move |part| ArgType { param, part, arch }))
            })
            .flatten()
    }

    /// The argument with this index; `None` beyond the last one that the kernel looks at.
    pub fn arg(self, index: u8) -> Option<ArgType> {
        self.args().nth(usize::from(index))
    }
}

impl ArgType {
    /// The name of the parameter in the kernel's source; of a pair both halves have it.
    pub const fn name(self) -> &'static str {
        self.param.name
    }

    /// How many bits of the argument the kernel looks at: 0, 16, 32 or 64. On 32-bit ABIs an argument has 32 bits.
    pub const fn bits(self) -> u8 {
        match (self.part, self.param.bits) {
            (ArgPart::Unused, _) => 0,
            (ArgPart::Low | ArgPart::High, _) | (_, Bits::ThirtyTwo) => 32,
            (_, Bits::Sixteen) => 16,
            (_, Bits::SixtyFour) => 64,
            (_, Bits::Word) if self.arch.has_64bit_args() => 64,
            (_, Bits::Word) => 32,
        }
    }

    /// Whether the parameter has a sign.
    pub const fn is_signed(self) -> bool {
        self.param.signed
    }

    /// Whether the parameter is an address, so that a filter cannot see what it is about.
    pub const fn is_pointer(self) -> bool {
        self.param.pointer
    }

    /// Which part of the parameter this is.
    pub const fn part(self) -> ArgPart {
        self.part
    }
}

impl Syscall {
    /// What the arguments of the call are on an ABI; `None` if the ABI lacks the call, or if the kernel keeps a number
    /// for it and has no code.
    ///
    /// Source: the definitions of Linux 7.3, for calls that it dropped those of the last kernel that had them. A
    /// parameter may be wider than what the kernel does with it: `mmap` takes a file descriptor as `unsigned long`.
    pub fn prototype(self, arch: Arch) -> Option<Prototype> {
        self.number(arch)?;
        let variants = PROTOTYPES.get(self.position()?)?;
        let bit = 1u32.checked_shl(u32::try_from(column(arch)).ok()?)?;
        let params = variants.iter().find(|(columns, _)| columns & bit != 0)?.1;
        Some(Prototype { arch, params })
    }
}

impl Arch {
    /// What the arguments of a number are, as [`Syscall::prototype`] says.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// let clone = Arch::S390x.prototype(120).unwrap();
    /// assert_eq!(clone.arg(1).unwrap().name(), "clone_flags"); // The first argument on other ABIs.
    /// ```
    pub fn prototype(self, number: u32) -> Option<Prototype> {
        Syscall::from_number(self, number)?.prototype(self)
    }
}

/// `fd: i32, buf: pointer, count: u64`. The form may change between releases.
impl fmt::Display for Prototype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, arg) in self.args().enumerate() {
            f.write_str(if position == 0 { "" } else { ", " })?;
            arg.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for ArgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = match self.part {
            ArgPart::Unused => return f.write_str("_"),
            ArgPart::Whole => "",
            ArgPart::Low => "low half of ",
            ArgPart::High => "high half of ",
        };
        write!(f, "{}: {half}", self.param.name)?;
        if self.param.pointer {
            return f.write_str("pointer");
        }
        let bits = if self.part == ArgPart::Whole { self.bits() } else { 64 };
        write!(f, "{}{bits}", if self.param.signed { 'i' } else { 'u' })
    }
}

#[cfg(test)]
#[path = "prototype_tests.rs"]
mod tests;
