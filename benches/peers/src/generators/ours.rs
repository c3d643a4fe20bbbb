//! This crate: the rules are resolved, compiled and proven.

use super::{Failure, Generator};
use crate::case::Case;
use callsieve::bpf::Program;
use callsieve::policy::UnlistedX32;
use callsieve::{Compiler, Level};

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
