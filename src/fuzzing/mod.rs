//! Random inputs for property tests and fuzz targets, and the bodies of the fuzz targets.
//!
//! Everything is made from bytes through [`arbitrary::Unstructured`], so that proptest, libFuzzer and a plain loop can
//! all drive it and a failing input is just a file.
//!
//! The bodies panic when something does not hold; that is their purpose. They are not for use in programs.

#![allow(clippy::panic, clippy::missing_panics_doc)]

mod difference;
mod foreign;
#[cfg(feature = "json")]
mod import;
#[cfg(all(target_os = "linux", feature = "std"))]
mod messages;
mod policy;
#[cfg(feature = "json")]
mod profile;
mod programs;
mod texts;

pub use difference::diff_policies;
pub use foreign::{fuse_programs, merge_policies, random_program, recompile_program};
#[cfg(feature = "json")]
pub use import::import_text;
#[cfg(all(target_os = "linux", feature = "std"))]
pub use messages::notifications;
pub use policy::{orderly_policy, random_policy};
#[cfg(feature = "json")]
pub use profile::profile_bytes;
pub use programs::{policy_to_proof, program_bytes};
#[cfg(all(target_os = "linux", target_pointer_width = "64", feature = "nurse"))]
pub use texts::acl_text;
#[cfg(feature = "json")]
pub use texts::weights_text;
pub use texts::{expectation_text, log_lines};

#[cfg(all(test, target_os = "linux", feature = "std", feature = "json"))]
mod regressions;
