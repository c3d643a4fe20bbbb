//! Figures of generators that are no crates. They were measured once, with the same policies, vectors and definitions,
//! on Linux 6.18 on x86_64, and are not repeated here.

use serde::Deserialize;

/// One generator and policy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quoted {
    pub policy: String,
    pub generator: String,
    pub len: usize,
    pub allowed: Option<f64>,
    pub known: Option<f64>,
    pub mix: Option<f64>,
    pub arg: Option<f64>,
    pub denied: Option<f64>,
    pub worst: u32,
    pub emulated: Option<u64>,
    pub compile_us: Option<u64>,
    pub heap: Option<u64>,
    pub install_us: Option<u64>,
    /// Its program means something else than the policy.
    #[serde(default)]
    pub differs: bool,
}

/// All of them.
pub fn all() -> Result<Vec<Quoted>, serde_json::Error> {
    serde_json::from_str(include_str!("quoted.json"))
}
