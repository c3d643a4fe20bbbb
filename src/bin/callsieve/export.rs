//! Filters as JSON.

use callsieve::arch::Arch;
use callsieve::bpf::{Endian, Program};
use serde_json::{Value, json};

/// A filter and what it is for.
#[derive(Debug)]
pub struct Export<'a> {
    pub program: &'a Program,
    pub arches: Vec<Arch>,
    pub endian: Endian,
}

impl Export<'_> {
    /// The byte order of the target as a word.
    pub fn byte_order(&self) -> &'static str {
        match self.endian {
            Endian::Little => "little",
            Endian::Big => "big",
        }
    }

    /// The instructions as `[code, jt, jf, k]`.
    pub fn json(&self) -> Value {
        self.program.as_insns().iter().map(|insn| json!([insn.code, insn.jt, insn.jf, insn.k])).collect()
    }
}
