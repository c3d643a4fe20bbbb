//! Compiles seccomp profiles to seccomp-BPF filters that are proven equal to the profile over every possible input, for
//! every Linux architecture, and installs them.
//!
//! # The flow
//!
//! ```text
//!  JSON, Rust builder   Profile    what was written
//!    resolve(target) -> Policy     what it means
//!    compile         -> Filter     a program, proven equal to the policy
//!    install         -> Installed  in the kernel
//! ```
//!
//! ```
//! use callsieve::arch::Arch;
//! use callsieve::bpf::{Action, SyscallData};
//! use callsieve::{Compiler, Profile, Target, arg, check};
//!
//! // Rules in Rust, or `Profile::from_json` for what Docker, Podman, Kubernetes and OCI runtimes read.
//! let profile = Profile::new(Action::Errno(1))
//!     .allow(["read", "write", "exit_group"])
//!     .allow_if("kill", [arg::<1>().ge(34), arg::<1>().le(64)]);
//!
//! // What it means on given ABIs.
//! let policy = profile.resolve(&Target::exactly(&[Arch::X86_64]))?;
//!
//! // A filter exists only if the proof holds.
//! let filter = Compiler::new().compile(&policy)?;
//!
//! let kill = SyscallData { nr: 62, arch: Arch::X86_64.audit(), args: [1, 35, 0, 0, 0, 0], ..SyscallData::default() };
//! assert_eq!(policy.decide(&kill), Action::Allow);
//! assert_eq!(check::simulate(filter.program(), &kill, filter.endian()).action(), Action::Allow);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The [guide](guide/index.html) has more: [daemons](guide/daemon/index.html), [container
//! runtimes](guide/runtime/index.html), [debugging](guide/debugging/index.html),
//! [recording](guide/recording/index.html), [supervising](guide/supervising/index.html), [files of other
//! programs](guide/importing/index.html), coming from
//! [libseccomp](guide/migrating_from_libseccomp/index.html) or
//! [seccompiler](guide/migrating_from_seccompiler/index.html), [what a profile means](guide/semantics/index.html),
//! [choosing actions](guide/actions/index.html), and [limits](guide/limits/index.html).
//!
//! # What is promised
//!
//! Each line is asserted by the code, not only tested:
//!
//! - A [`Filter`] exists only if a proof showed it equal to its meaning over every possible input: a policy, or the stack of
//!   programs that it replaces. The proof shares no code with the compiler.
//! - A [`Program`] exists only if it passes the kernel's static checks.
//! - A call that is allowed whatever its arguments stays in the kernel's bitmap of allowed calls (Linux 5.11).
//! - The same policy and options give the same bytes, on every host.
//! - Bad input gives a typed error: no panic, no unbounded time or memory.
//! - Nothing is loosened silently. What is skipped or doubtful is a diagnostic; what a kernel lacks is an error, or listed
//!   in the status if less was accepted.
//!
//! # Where things are
//!
//! - [`profile`]: reading and building profiles, and what is doubtful in them.
//! - [`policy`]: targets, and the meaning of a profile as a plain function, [`Policy::decide`].
//! - [`Compiler`], [`Filter`], [`Report`]: programs and their figures.
//! - [`Policy::union`] and [`Policy::intersection`], `export`: policies put together, and written as a profile again.
//! - `import`: files of seccompiler, Firecracker, minijail, kafel, systemd and others; `Policy::to_language` writes them.
//! - [`Compiler::fuse`], [`Compiler::recompile`]: one program in place of a stack, a better one in place of a foreign one.
//! - [`check`]: proving, simulating, comparing, explaining and listing any program, whoever made it.
//! - `kernel` (Linux, feature `install`): installing filters, probing what the kernel can do.
//! - `sandbox` (Linux, feature `std`): a program that confines itself, in a few lines.
//! - `supervise` (Linux, feature `std`): programs whose calls another process answers.
//! - `record` (Linux, feature `std`): profiles from real runs of a program.
//! - `nurse` (Linux, feature `nurse`): programs under a path and network ACL.
//! - [`bpf`] and [`arch`]: instructions and actions; system calls, ABIs and error numbers.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `std` (default) | `std::error::Error` sources, reading procfs, starting programs; implies `install` |
//! | `json` (default) | the JSON readers and [`Profile`]'s `to_json` |
//! | `install` | installing and probing on Linux, without the standard library and without allocation |
//! | `nurse` | running programs under a path and network ACL |
//! | `yaml` | objects of the security profiles operator (`import`) |
//! | `cli` | the `callsieve` command |
//! | `fuzzing` | random profiles, targets and calls for tests of policies; fuzz bodies |
//!
//! Everything but installing is `no_std` with `alloc`, and works on any host for any target. A feature may add accepted
//! inputs; it never changes the meaning of an accepted one.
//!
//! # Hostile input
//!
//! No input makes this crate panic, and none makes it run or allocate without bound: readers limit the size of a file
//! and its parts, resolving and proving work on budgets, and the search for good programs counts its states. What does
//! not fit gives a typed error.

// Tests always have the standard library.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

pub mod arch;
pub mod bpf;
pub mod check;
mod code;
mod compile;
mod emit;
#[cfg(feature = "json")]
pub mod export;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod graph;
#[cfg(all(any(doc, doctest), target_os = "linux", feature = "std", feature = "json"))]
pub mod guide;
#[cfg(feature = "json")]
pub mod import;
#[cfg(all(target_os = "linux", feature = "install"))]
pub mod kernel;
#[cfg(all(target_os = "linux", target_pointer_width = "64", feature = "nurse"))]
pub mod nurse;
mod opt;
pub mod policy;
pub mod profile;
#[cfg(all(target_os = "linux", feature = "std"))]
pub mod record;
#[cfg(all(target_os = "linux", feature = "std"))]
pub mod sandbox;
#[cfg(all(target_os = "linux", feature = "std"))]
pub mod supervise;

#[cfg(feature = "json")]
pub use compile::WeightsError;
pub use compile::{
    ArchReport, CompileError, Compiler, Contributor, Dispatch, Filter, Layer, Level, Picture, ReplaceError, Replaced,
    ReplacedOnArch, Replacement, Report, Source, Stage, Uncached, Weights,
};

pub use arch::{Arch, sys};
pub use bpf::{Action, Program};
#[cfg(all(target_os = "linux", feature = "install"))]
pub use kernel::Install;
pub use policy::{Policy, Target};
pub use profile::{Profile, arg};
#[cfg(all(target_os = "linux", feature = "std"))]
pub use sandbox::Sandbox;

/// The examples of the README are tests.
#[cfg(all(doctest, target_os = "linux", feature = "std", feature = "json"))]
#[doc = include_str!("../README.md")]
struct Readme;
