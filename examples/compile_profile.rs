//! From a JSON profile to bytes: diagnostics, the report, the listing, and the file that bubblewrap reads.
//!
//!     cargo run --example compile_profile [PROFILE.json]

use callsieve::arch::{Arch, KernelVersion};
use callsieve::profile::Format;
use callsieve::{Compiler, Profile, Target, check};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let profile = match std::env::args_os().nth(1) {
        Some(path) => Profile::from_slice(&std::fs::read(path)?, Format::Auto)?,
        None => Profile::container_default()?,
    };

    // What a container engine decides: the ABIs, the kernel, the capabilities of the process.
    let arches = [Arch::X86_64, Arch::X86, Arch::X32];
    let policy = profile.resolve(&Target::exactly(&arches).kernel(KernelVersion::new(6, 12)))?;
    for finding in policy.diagnostics() {
        eprintln!("{}: {finding}", finding.code());
    }

    let filter = Compiler::new().compile(&policy)?;
    println!("{}", check::disassemble(filter.program(), filter.endian()));
    println!("{}", filter.report());
    println!("{} bytes for `bwrap --seccomp`", filter.to_bytes().len());
    Ok(())
}
