//! A program that the kernel accepts.

use super::convert;
use super::data::Endian;
use super::insn::Insn;
use super::verify::{VerifyError, verify};
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// A list of instructions that passes the kernel's static checks; there is no other way to make one.
///
/// It owns its instructions or borrows them from a `static`. Everything that installs, simulates or proves takes a
/// `Program`, whoever generated it.
///
/// ```
/// use callsieve::bpf::{Action, Insn, Program, opcode};
/// static ALLOW_ALL: Program = Program::from_static(&[Insn::stmt(opcode::RET_K, Action::Allow.to_raw())]);
/// assert_eq!(ALLOW_ALL.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    insns: Cow<'static, [Insn]>,
}

impl Program {
    /// Checks instructions and takes them over.
    ///
    /// # Errors
    /// The first reason for which the kernel would refuse the program.
    pub fn new(insns: Vec<Insn>) -> Result<Self, VerifyError> {
        verify(&insns)?;
        Ok(Self { insns: Cow::Owned(insns) })
    }

    /// A program in a `static`, checked by the compiler.
    ///
    /// # Panics
    /// If the kernel would refuse the program. In a `static` or `const` that is a compile error, and that is the use
    /// that it is meant for; at run time take [`Program::new`].
    #[allow(clippy::panic)] // Evaluated by the compiler.
    pub const fn from_static(insns: &'static [Insn]) -> Self {
        match verify(insns) {
            Ok(()) => Self { insns: Cow::Borrowed(insns) },
            Err(_) => panic!("the kernel would refuse this filter"),
        }
    }

    /// Reads an array of `struct sock_filter` in the byte order of its target.
    ///
    /// # Errors
    /// [`VerifyError::PartialInsn`] if the length is not a multiple of 8, [`VerifyError::ByteOrder`] if only the other
    /// byte order makes a valid program, else the kernel's reason.
    pub fn from_bytes(bytes: &[u8], endian: Endian) -> Result<Self, VerifyError> {
        let (insns, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(VerifyError::PartialInsn { len: bytes.len() });
        }
        let decode = |endian| Self::new(insns.iter().map(|&raw| insn_from_bytes(raw, endian)).collect());
        decode(endian).map_err(|error| match decode(endian.swapped()) {
            Ok(_) => VerifyError::ByteOrder,
            Err(_) => error,
        })
    }

    /// The program as an array of `struct sock_filter` in the byte order of its target, as bubblewrap, minijail and
    /// nsjail read it.
    pub fn to_bytes(&self, endian: Endian) -> Vec<u8> {
        self.insns.iter().flat_map(|&insn| insn_to_bytes(insn, endian)).collect()
    }

    /// The instructions.
    #[inline]
    pub fn as_insns(&self) -> &[Insn] {
        &self.insns
    }

    /// Number of instructions, 1 to 4096.
    #[allow(clippy::len_without_is_empty)] // A program is never empty.
    #[inline]
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    /// Number of instructions after the kernel's conversion to eBPF. The kernel accepts stacked filters as long as the
    /// sum of these, plus 4 for each older filter, is at most 32768.
    #[inline]
    pub fn ebpf_len(&self) -> usize {
        convert::ebpf_len(&self.insns)
    }
}

fn insn_from_bytes(raw: [u8; 8], endian: Endian) -> Insn {
    let [c0, c1, jt, jf, k0, k1, k2, k3] = raw;
    match endian {
        Endian::Little => Insn::new(u16::from_le_bytes([c0, c1]), jt, jf, u32::from_le_bytes([k0, k1, k2, k3])),
        Endian::Big => Insn::new(u16::from_be_bytes([c0, c1]), jt, jf, u32::from_be_bytes([k0, k1, k2, k3])),
    }
}

fn insn_to_bytes(insn: Insn, endian: Endian) -> [u8; 8] {
    let ([c0, c1], [k0, k1, k2, k3]) = match endian {
        Endian::Little => (insn.code.to_le_bytes(), insn.k.to_le_bytes()),
        Endian::Big => (insn.code.to_be_bytes(), insn.k.to_be_bytes()),
    };
    [c0, c1, insn.jt, insn.jf, k0, k1, k2, k3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::opcode;

    fn sample() -> Program {
        Program::new(alloc::vec![
            Insn::stmt(opcode::LD_W_ABS, 4),
            Insn::new(opcode::JEQ_K, 1, 0, 0xc000_003e),
            Insn::stmt(opcode::RET_K, 0),
            Insn::stmt(opcode::RET_K, 0x7fff_0000),
        ])
        .unwrap()
    }

    #[test]
    fn bytes_round_trip_in_both_orders() {
        let program = sample();
        for endian in [Endian::Little, Endian::Big] {
            let bytes = program.to_bytes(endian);
            assert_eq!(bytes.len(), 32);
            assert_eq!(Program::from_bytes(&bytes, endian), Ok(program.clone()));
            assert_eq!(Program::from_bytes(&bytes, endian.swapped()), Err(VerifyError::ByteOrder));
        }
        assert_eq!(program.to_bytes(Endian::Big)[..8], [0, 0x20, 0, 0, 0, 0, 0, 4]);
    }

    #[test]
    fn cut_or_foreign_bytes_are_refused() {
        let bytes = sample().to_bytes(Endian::Little);
        assert_eq!(Program::from_bytes(&bytes[..31], Endian::Little), Err(VerifyError::PartialInsn { len: 31 }));
        assert_eq!(Program::from_bytes(&bytes[..16], Endian::Little), Err(VerifyError::JumpOutOfRange { pc: 1 }));
        assert_eq!(Program::from_bytes(&[], Endian::Little), Err(VerifyError::Empty));
    }
}
