//! An agent for containers: runtimes hand it the listeners of filters with `listenerPath`, and it answers their calls.
//!
//! ```sh
//! cargo run --example agent -- /run/agent.sock
//! ```
//!
//! and in the bundle's `config.json`, under `linux`:
//!
//! ```json
//! "seccomp": {
//!     "defaultAction": "SCMP_ACT_ALLOW",
//!     "listenerPath": "/run/agent.sock",
//!     "listenerMetadata": "mkdir=ENOSPC",
//!     "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }]
//! }
//! ```
//!
//! It lets nobody make a folder, with the error that the metadata names; every decision is a line on standard error.

use callsieve::arch::{Arch, Errno};
use callsieve::kernel::{Outcome, Response};
use callsieve::supervise::{Handover, Supervisor, Verdict};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: agent SOCKET")?;
    let _ = std::fs::remove_file(&path);
    let socket = UnixListener::bind(&path)?;
    println!("waiting on {path}");
    for connection in socket.incoming() {
        let connection = connection?;
        // One thread a container; a failure concerns that one only.
        std::thread::spawn(move || {
            if let Err(error) = serve(&connection) {
                eprintln!("agent: {error}");
            }
        });
    }
    Ok(())
}

fn serve(connection: &UnixStream) -> Result<(), Box<dyn std::error::Error>> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let handover = Handover::receive(connection)?;
    let id = handover.container_id().to_owned();
    eprintln!("{id}: process {}, metadata {:?}", handover.pid(), handover.metadata());
    let errno = handover.metadata().strip_prefix("mkdir=").unwrap_or("EPERM");
    let native = Arch::NATIVE.ok_or("this machine has no seccomp")?;
    let errno = Errno::from_name(native, errno).ok_or("the metadata names no error")?;
    let supervisor = Supervisor::new(|_| Ok(Outcome::Done(Verdict::Respond(Response::Errno(1)))))
        .on(["mkdir", "mkdirat"], |call| {
            let argument = usize::from(call.name() == Some("mkdirat"));
            let Outcome::Done(path) = call.memory().read_c_string(call.args()[argument], 4096)? else {
                return Ok(Outcome::Gone);
            };
            call.note(String::from_utf8_lossy(&path));
            Ok(Outcome::Done(Verdict::Respond(Response::Errno(errno.get()))))
        })?
        .log(|decision| eprintln!("{id}: {decision}"));
    let counts = supervisor.run(&handover.into_listener())?;
    eprintln!("{id}: the end after {counts}");
    Ok(())
}
