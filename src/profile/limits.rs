//! Bounds of the readers: what a profile may hold before it is refused.
//!
//! Far above what real profiles need (the largest of 178 collected ones has 40 kilobytes, 318 entries and 413 names), and
//! low enough that a hostile file costs neither time nor memory.
//!
//! ```
//! use callsieve::profile::{Format, Profile, limits};
//! let error = Profile::from_json(&" ".repeat(limits::MAX_BYTES + 1), Format::Auto).unwrap_err();
//! assert!(error.to_string().contains("at most 4194304"));
//! ```

/// Bytes of a file: 4 MiB.
pub const MAX_BYTES: usize = 4 << 20;

/// Entries of `syscalls`.
pub const MAX_RULES: usize = 8192;

/// Names in all entries together.
pub const MAX_NAMES: usize = 16384;

/// Conditions in all entries together.
pub const MAX_CONDITIONS: usize = 16384;

/// Conditions times names, summed over all entries: what has to be decided in the end.
pub const MAX_TESTS: usize = 1 << 18;

/// Bytes of a system call's name; the longest one that exists has 28.
pub const MAX_NAME_BYTES: usize = 128;

/// Elements of any other list, and keys of an object.
pub const MAX_LIST: usize = 1024;

/// Problems that are reported in full, and warnings likewise; of the others only the number is told.
pub const MAX_REPORTED: usize = 50;
