//! `callsieve features`: what a profile may say, and what this kernel does of it.

use crate::outcome::{Done, Outcome};
use callsieve::arch::Arch;
use clap::Args;
use serde_json::{Value, json};

/// Show what profiles may say and what this kernel can do, as the seccomp part of an OCI features document
///
/// The JSON is what `runc features` prints below linux.seccomp (features-linux of the OCI runtime specification), for
/// runtimes that put it into their own document: the actions, operators, architectures and flags that profiles may name,
/// and the flags that the running kernel takes. Elsewhere than on Linux no flag is taken.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve features
  callsieve features | jq .linux.seccomp.supportedFlags")]
pub struct Options {}

const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

const OPERATORS: [&str; 7] =
    ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"];

/// The flags that a profile may list.
const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

// Like its siblings, which can fail.
#[allow(clippy::unnecessary_wraps)]
pub fn execute(_: &Options) -> Outcome {
    let mut arches: Vec<&str> = Arch::ALL.iter().map(|arch| arch.oci_name()).collect();
    arches.sort_unstable();
    Ok(Done::json(&json!({
        "linux": {
            "seccomp": {
                "enabled": true,
                "actions": ACTIONS,
                "operators": OPERATORS,
                "archs": arches,
                "knownFlags": FLAGS,
                "supportedFlags": supported(),
            }
        }
    })))
}

#[cfg(target_os = "linux")]
fn supported() -> Value {
    let flags = callsieve::kernel::probe().flags();
    let names: Vec<&str> = flags.iter().map(callsieve::kernel::FilterFlag::name).collect();
    FLAGS.into_iter().filter(|flag| names.contains(flag)).collect()
}

#[cfg(not(target_os = "linux"))]
fn supported() -> Value {
    json!([])
}
