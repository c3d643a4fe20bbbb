//! The ABIs that seccomp can filter, their system calls and error numbers.
//!
//! An [`Arch`] is one system call ABI, as libseccomp and the OCI runtime specification count them: x32 is an ABI of its
//! own although it shares its `AUDIT_ARCH_*` token with x86_64.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod abi;
mod version;

pub use abi::Arch;
pub use version::{KernelVersion, KernelVersionError};
