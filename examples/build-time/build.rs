//! Compiles the filter for the machine that the program is built for.

use callsieve::{Arch, Compiler, Source};
use std::path::Path;
use std::{env, fs};

#[path = "src/rules.rs"]
mod rules;

fn main() {
    println!("cargo::rerun-if-changed=src/rules.rs");
    let cfg = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap();
    let arch = Arch::from_rust_target(&cfg("ARCH"), &cfg("ENDIAN"), &cfg("POINTER_WIDTH"));
    let policy = rules::policy(arch.expect("an architecture with seccomp"));
    let filter = Compiler::new().compile(&policy).unwrap();
    let text = Source::new(&filter)
        .proven_by(&policy, "crate::rules::policy(::callsieve::Arch::NATIVE.expect(\"an ABI\"))")
        .to_rust();
    fs::write(Path::new(&env::var("OUT_DIR").unwrap()).join("filter.rs"), text).unwrap();
}
