//! A big-endian filter made on any host, looked at call by call before it leaves the machine.
//!
//!     cargo run --example cross_compile

use callsieve::arch::Arch;
use callsieve::bpf::{Endian, SyscallData};
use callsieve::{Action, Compiler, Profile, Target, arg, check};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let profile = Profile::new(Action::Errno(1))
        .allow(["read", "write", "exit_group"])
        .allow_if("kill", [arg::<1>().ge(34), arg::<1>().le(64)]);

    let arches = [Arch::S390x, Arch::S390];
    let policy = profile.resolve(&Target::exactly(&arches))?;
    let filter = Compiler::new().compile(&policy)?;
    assert_eq!(filter.endian(), Endian::Big);
    println!("{}", check::disassemble(filter.program(), filter.endian()));

    // The proof covers every call; these are for the reader.
    let kill = Arch::S390x.number("kill").ok_or("s390x has kill")?;
    for signal in [9, 34, 64, 65, 0x1_0000_0022] {
        let call = SyscallData {
            nr: kill,
            arch: Arch::S390x.audit(),
            args: [1, signal, 0, 0, 0, 0],
            ..SyscallData::default()
        };
        let run = check::simulate(filter.program(), &call, filter.endian());
        println!("kill(1, {signal:#x}): {} after {} steps", run.action(), run.steps);
        assert_eq!(run.action(), policy.decide(&call));
    }

    let bytes = filter.to_bytes();
    println!("first instruction, big-endian: {:02x?}", bytes.iter().take(8).collect::<Vec<_>>());
    Ok(())
}
