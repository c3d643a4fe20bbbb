//! A daemon that tells which of its calls its own filter denies, and which condition failed.
//!
//! `cargo run --example explain_sigsys`, or `cargo run --example explain_sigsys -- --die` to end at the first denial as
//! without the handler: by SIGSYS.

#[cfg(all(target_os = "linux", feature = "std"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use callsieve::bpf::Action;
    use callsieve::kernel::{self, Install, SigsysHandler};
    use callsieve::{Compiler, Profile, arg};
    use std::net::TcpListener;

    // What it may do: everything but sockets of other families than AF_UNIX, and mounting.
    let profile = Profile::new(Action::Allow)
        .rule(Action::Trap(0), ["socket"], [arg::<0>().as_u32().ne(1)])
        .rule(Action::Trap(0), ["chroot"], [])
        .allow_if("socket", [arg::<0>().as_u32().eq(1)]);
    let policy = profile.resolve(&kernel::host_target()?)?;
    let filter = Compiler::new().compile(&policy)?;

    // Prepared and installed before the filter. Without `fail_with` the first denial ends the process.
    let handler = SigsysHandler::new(&policy);
    let dies = std::env::args().any(|argument| argument == "--die");
    let handler = if dies { handler } else { handler.fail_with(1) };
    handler.install()?;
    filter.install(Install::new())?;

    println!("binding a TCP socket: {:?}", TcpListener::bind("127.0.0.1:0").map(drop));
    println!("changing the root: {:?}", std::os::unix::fs::chroot("/"));
    Ok(())
}

#[cfg(not(all(target_os = "linux", feature = "std")))]
fn main() {
    eprintln!("filters are a matter of Linux");
}
