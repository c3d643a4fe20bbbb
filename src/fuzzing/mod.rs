//! Random inputs for property tests and fuzz targets, and the bodies of the fuzz targets.
//!
//! Everything is made from bytes through [`arbitrary::Unstructured`], so that proptest, libFuzzer and a plain loop can
//! all drive it and a failing input is just a file.

mod policy;
#[cfg(feature = "json")]
mod profile;

pub use policy::random_policy;
#[cfg(feature = "json")]
pub use profile::profile_bytes;
