//! Judges for what callsieve takes over from others: the crates themselves.
//!
//! `cargo test --manifest-path tests/oracles/Cargo.toml`; the suite `import` of `.ci/run` does it.

#[cfg(test)]
mod oci_types;
#[cfg(test)]
mod seccompiler;
