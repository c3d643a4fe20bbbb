//! The machine: classic BPF as seccomp(2) runs it.
//!
//! This floor knows instructions, the input that a filter sees and the values that it returns. It knows nothing
//! of system call names, architectures or profiles.
//!
//! - [`Insn`] is `struct sock_filter`, [`SyscallData`] is `struct seccomp_data`.
//! - [`Action`] is what a filter returns, with the kernel's precedence as its order.
//! - [`Program`] is a list of instructions that the kernel accepts: it can only be made through the kernel's own
//!   static checks.
//!
//! See the example of [`Program`].

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod action;
mod convert;
mod data;
mod insn;
mod program;
mod verify;

pub use action::Action;
pub(crate) use action::Answer;
pub use data::{Endian, SyscallData};
pub use insn::{Insn, opcode};
pub use program::Program;
pub use verify::{MAX_INSNS, VerifyError};
