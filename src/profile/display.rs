//! The tree in messages.

use super::{ActionSpec, Arg, Call, Op, Operand, Width};
use crate::bpf::Action;
use alloc::string::String;
use core::fmt;

impl From<Action> for ActionSpec {
    fn from(action: Action) -> Self {
        Self::Action(action)
    }
}

impl From<&str> for Call {
    fn from(name: &str) -> Self {
        Self::Name(String::from(name))
    }
}

impl fmt::Display for ActionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action(action) => action.fmt(f),
            Self::ErrnoName(name) => write!(f, "ERRNO({name})"),
        }
    }
}

/// `openat`, or for a raw number `call 257 on x86_64`.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.pad(name),
            Self::Number(arch, number) => write!(f, "call {number} on {arch}"),
        }
    }
}

/// The operator as in C; [`Op::MaskedEq`], which takes two, as `&==`.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Eq => "==",
            Self::Ge => ">=",
            Self::Gt => ">",
            Self::MaskedEq => "&==",
        })
    }
}

/// `arg1 >= 34`, `arg0 & 0x7e020000 == 0`, `arg0 as u32 != 38`.
impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arg{}", self.index)?;
        match self.width {
            Width::Bits32 => f.write_str(" as u32"),
            Width::Bits64 => Ok(()),
        }
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Operand { index: self.index, width: self.width })?;
        match self.op {
            Op::MaskedEq if self.value_two == 0 => write!(f, " & {:#x} == 0", self.value),
            Op::MaskedEq => write!(f, " & {:#x} == {:#x}", self.value, self.value_two),
            // Small constants are counts and enumerators, large ones addresses and bits.
            op if self.value < 0x1_0000 => write!(f, " {op} {}", self.value),
            op => write!(f, " {op} {:#x}", self.value),
        }
    }
}
