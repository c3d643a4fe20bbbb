//! Random inputs for property tests and fuzz targets, and the bodies of the fuzz targets.
//!
//! Everything is made from bytes through [`arbitrary::Unstructured`], so that proptest, libFuzzer and a plain loop can
//! all drive it and a failing input is just a file.
//!
//! The bodies panic when something does not hold; that is their purpose. They are not for use in programs.

#![allow(clippy::panic, clippy::missing_panics_doc)]

mod foreign;
#[cfg(feature = "json")]
mod import;
mod policy;
#[cfg(feature = "json")]
mod profile;
mod programs;

pub use foreign::{fuse_programs, merge_policies, random_program, recompile_program};
#[cfg(feature = "json")]
pub use import::import_text;
pub use policy::{orderly_policy, random_policy};
#[cfg(feature = "json")]
pub use profile::profile_bytes;
pub use programs::{policy_to_proof, program_bytes};
