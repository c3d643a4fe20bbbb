//! Random inputs for property tests and fuzz targets, and the bodies of the fuzz targets.
//!
//! Everything is made from bytes through [`arbitrary::Unstructured`], so that proptest, libFuzzer and a plain loop can
//! all drive it and a failing input is just a file.
//!
//! For programs that test their own policies, [`Profile`](crate::Profile), [`Target`](crate::Target) and
//! [`SyscallData`](crate::bpf::SyscallData) are [`arbitrary::Arbitrary`], and [`profiles`], [`targets`] and [`calls`] are
//! strategies of proptest. The example `never_allowed` tries with them that some calls are never allowed, and proves it.
//!
//! The bodies panic when something does not hold; that is their purpose. They are not for use in programs.

#![allow(clippy::panic, clippy::missing_panics_doc)]

mod difference;
mod foreign;
mod hostile;
#[cfg(feature = "json")]
mod import;
mod inputs;
#[cfg(all(target_os = "linux", feature = "std"))]
mod messages;
mod policy;
#[cfg(feature = "json")]
mod profile;
mod programs;
mod texts;

use alloc::vec::Vec;

pub use difference::diff_policies;
pub use foreign::{fuse_programs, merge_policies, random_program, recompile_program};
#[cfg(test)]
pub(crate) use hostile::{all_of, comparison, fits};
pub use hostile::{hostile_profile, hostile_rules};
#[cfg(feature = "json")]
pub use import::import_text;
pub use inputs::{calls, profiles, targets};
#[cfg(all(target_os = "linux", feature = "std"))]
pub use messages::notifications;
pub use policy::{orderly_policy, random_policy, random_policy_for};
#[cfg(feature = "json")]
pub use profile::profile_bytes;
pub use programs::{policy_to_proof, program_bytes};
#[cfg(all(target_os = "linux", target_pointer_width = "64", feature = "nurse"))]
pub use texts::acl_text;
#[cfg(feature = "json")]
pub use texts::weights_text;
pub use texts::{expectation_text, log_lines};

/// Bytes that look random and are the same everywhere, for loops that need no fuzzer.
///
/// ```
/// use callsieve::fuzzing::random_bytes;
/// assert_eq!(random_bytes(7, 64), random_bytes(7, 64));
/// assert_ne!(random_bytes(7, 64), random_bytes(8, 64));
/// ```
pub fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[5]
    };
    (0..len).map(step).collect()
}

#[cfg(all(test, target_os = "linux", feature = "std", feature = "json"))]
mod regressions;
