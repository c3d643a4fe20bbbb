//! The running kernel: install a filter, ask what is supported, read the state of a thread.
//!
//! This floor is the only one with `unsafe`, and of it only the files that begin with a safety paragraph: those that make
//! system calls and those that start programs. Words are those of seccomp(2).
//!
//! - [`Install`] gives a filter to the calling thread or to all threads: one system call (and one more for
//!   `no_new_privs`), async-signal-safe and without allocation, so it may run between fork and exec. What can go wrong
//!   is an [`InstallError`] with its cause and its remedy.
//! - [`probe()`], [`action_available`] and [`flag_available`] ask what this kernel knows.
//! - [`status()`] tells which filters a thread has, [`host()`] what the machine is, [`host_target`] for what to compile.
//! - [`spawn`] starts a program under a filter and leaves this process as it is; [`wait`] waits for its end.
//! - [`filters_of`] reads the filters of another process back, [`pending_call`] the call that it waits in.
//! - `Supervised` starts a program whose calls this process answers, and `Install::with_listener` installs a filter with
//!   a `Listener` by hand; the module `notify` says what a supervisor may rely on.
//! - [`SigsysHandler`] tells from within a process which call was denied, and which condition failed.
//! - [`strict_mode`] is the older mode that allows read, write, exit and nothing else.
//!
//! With the feature `install` alone everything here is `no_std` and free of allocation.
//!
//! ```no_run
//! use callsieve::bpf::{Action, Insn, Program, opcode};
//! use callsieve::kernel::Install;
//!
//! static ALLOW_ALL: Program = Program::from_static(&[Insn::stmt(opcode::RET_K, Action::Allow.to_raw())]);
//! let installed = Install::new().log(true).install(&ALLOW_ALL)?;
//! assert!(installed.no_new_privs());
//! # Ok::<(), callsieve::kernel::InstallError>(())
//! ```

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[cfg(feature = "std")]
mod command;
mod error;
#[cfg(all(target_pointer_width = "64", feature = "nurse"))]
mod files;
mod filter;
mod flags;
mod host;
mod install;
#[cfg(feature = "std")]
pub mod notify;
mod probe;
mod raw;
#[cfg(feature = "std")]
mod readback;
#[cfg(feature = "std")]
mod rights;
#[cfg(feature = "std")]
mod sigsys;
mod status;
#[cfg(feature = "std")]
mod supervised;

#[cfg(feature = "std")]
pub use command::{CommandExt, IgnoredInterrupts, SpawnError, WaitError, spawn, wait};
pub use error::InstallError;
#[cfg(all(target_pointer_width = "64", feature = "nurse"))]
pub(crate) use files::{stat_bytes, statfs_bytes, statx_bytes};
pub use flags::{FilterFlag, FilterFlags};
pub use host::{Host, HostError, host, host_target};
pub use install::{Install, Installed, strict_mode};
#[cfg(feature = "std")]
pub use notify::{
    AddFd, FromTarget, Listener, MemoryError, Notification, NotifyError, NotifyFeature, Outcome, Received, Response,
    TargetMemory, Unanswered,
};
pub use probe::{Support, action_available, flag_available, probe};
#[cfg(feature = "std")]
pub use readback::{ReadBack, ReadBackError, filters_of, pending_call};
#[cfg(all(feature = "std", feature = "json"))]
pub(crate) use rights::receive_fds;
#[cfg(feature = "std")]
pub use sigsys::{SigsysError, SigsysHandler, SigsysInfo};
#[cfg(feature = "std")]
pub use status::status_of;
pub use status::{Mode, Status, StatusError, status};
#[cfg(feature = "std")]
pub use supervised::{Child, ExecState, Stream, Supervised};
