//! This crate: the rules are resolved, compiled and proven.

use super::{Failure, Generator};
use crate::case::Case;
use callsieve::bpf::Program;
use callsieve::policy::UnlistedX32;
use callsieve::{Compiler, Level, Weights};
use serde::Deserialize;

pub struct Ours {
    pub level: Level,
    pub x32: UnlistedX32,
}

impl Ours {
    pub fn program(&self, case: &Case) -> Result<Program, Failure> {
        Ok(Compiler::new().level(self.level).compile(&case.policy(self.x32)?)?.into_program())
    }
}

impl Generator for Ours {
    fn name(&self) -> String {
        format!("callsieve {}", format!("{:?}", self.level).to_lowercase())
    }

    fn compile(&self, case: &Case) -> Result<Vec<u8>, Failure> {
        Ok(Compiler::new().level(self.level).compile(&case.policy(self.x32)?)?.to_bytes())
    }

    fn x32(&self) -> UnlistedX32 {
        self.x32
    }

    fn is_ours(&self) -> bool {
        true
    }
}

/// A level with weights that suit one policy: what can be had by `Compiler::weights`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    policy: String,
    level: String,
    #[serde(default)]
    any: u32,
    #[serde(default)]
    allowed: u32,
    #[serde(default)]
    denied: u32,
    #[serde(default)]
    checked: u32,
    #[serde(default)]
    mix: u32,
    worst: Option<u32>,
    /// A weights file of [`FILES`] instead of the shares.
    file: Option<String>,
}

/// Weights files, as `Weights::from_json` and `--weights` read them: found by chance, many small changes of which the good
/// ones were kept.
const FILES: [(&str, &str); 1] = [("p5-weights.json", include_str!("p5-weights.json"))];

impl Tuned {
    /// All of `tuned.json`.
    pub fn all() -> Result<Vec<Self>, serde_json::Error> {
        serde_json::from_str(include_str!("tuned.json"))
    }

    fn compiler(&self) -> Result<Compiler, Failure> {
        let level = match self.level.as_str() {
            "size" => Level::Size,
            "balanced" => Level::Balanced,
            "speed" => Level::Speed,
            "cached" => Level::Cached,
            "fast" => Level::Fast,
            other => return Err(format!("unknown level {other:?}").into()),
        };
        let weights = match &self.file {
            Some(name) => {
                let file = FILES.iter().find(|file| file.0 == name).ok_or("no such weights file")?;
                Weights::from_json(file.1)?
            }
            None => Weights::shares(self.any, self.allowed, self.denied, self.checked, self.mix),
        };
        let weights = self.worst.map_or_else(|| weights.clone(), |steps| weights.clone().worst_case(steps));
        Ok(Compiler::new().level(level).weights(weights))
    }
}

impl Generator for Tuned {
    fn name(&self) -> String {
        let parts = [
            ("any", self.any),
            ("allowed", self.allowed),
            ("denied", self.denied),
            ("checked", self.checked),
            ("mix", self.mix),
        ];
        let parts = parts.iter().filter(|(_, part)| *part > 0).map(|(name, part)| format!("{name} {part}"));
        let parts = self.file.clone().into_iter().chain(parts);
        let parts: Vec<String> = parts.chain(self.worst.map(|steps| format!("aim {steps}"))).collect();
        format!("callsieve {}: {}", self.level, parts.join(", "))
    }

    fn is_for(&self, case: &Case) -> bool {
        case.name == self.policy
    }

    fn compile(&self, case: &Case) -> Result<Vec<u8>, Failure> {
        Ok(self.compiler()?.compile(&case.policy(self.x32())?)?.to_bytes())
    }

    fn is_tuned(&self) -> bool {
        true
    }

    fn is_ours(&self) -> bool {
        true
    }
}
