//! Compiles seccomp profiles to proven seccomp-BPF filters.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

pub mod arch;
pub mod bpf;
pub mod check;
mod code;
mod compile;
mod emit;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod graph;
#[cfg(all(target_os = "linux", feature = "install"))]
pub mod kernel;
mod opt;
pub mod policy;
pub mod profile;

pub use compile::{ArchReport, CompileError, Compiler, Contributor, Filter, Level, Picture, Report, Stage, Uncached};
