//! The ABIs that seccomp can filter, their names, system calls and error numbers.
//!
//! An [`Arch`] is one system call ABI, as libseccomp and the OCI runtime specification count them: x32 is an ABI of its
//! own although it shares its `AUDIT_ARCH_*` token with x86_64.
//!
//! Two ways lead through the table of system calls. From one ABI: [`Arch::number`], [`Arch::name`],
//! [`Arch::syscalls`]. From one name to all ABIs: [`Syscall`]. Numbers are always those that a filter sees in
//! `seccomp_data.nr`.
//!
//! ```
//! use callsieve::arch::{Arch, KernelVersion, Syscall};
//! assert_eq!(Arch::X86_64.number("openat2"), Some(437));
//! assert_eq!(Arch::Mips.name(4437), Some("openat2"));
//! let openat2 = Syscall::from_name("openat2").unwrap();
//! assert_eq!(openat2.since(), Some(KernelVersion::new(5, 6)));
//! assert_eq!(openat2.arches().count(), Arch::ALL.len());
//! ```

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod abi;
mod constants;
mod errno;
mod names;
mod nearest;
mod prototype;
mod prototypes;
mod rust;
pub mod sys;
mod syscall;
mod table;
mod version;

pub use abi::Arch;
pub use constants::ConstantError;
pub use errno::Errno;
pub use names::UnknownArch;
#[cfg(feature = "json")] // Only the JSON front ends ask for it outside of this floor.
pub(crate) use nearest::nearest;
pub use prototype::{ArgPart, ArgType, Prototype};
pub use syscall::Syscall;
pub use table::TABLE_KERNEL;
pub use version::{KernelVersion, KernelVersionError};
