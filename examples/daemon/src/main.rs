//! A web server that confines itself when it is ready, and then serves.
//!
//!     cargo run --manifest-path examples/daemon/Cargo.toml -- 127.0.0.1:8080
//!
//! `/exec` stands for an attacker who has taken over the server: it starts a program. The kernel kills the server for it.

use callsieve::{Sandbox, arg, sandbox::sets};
use std::error::Error;
use std::process::Command;
use tiny_http::{Response, Server};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let server = Server::http(address)?;
    println!("http://{}", server.server_addr());

    // Sockets are bound, threads run. From here on nothing else is needed.
    let status = Sandbox::deny_by_default()
        .allow(sets::v1::RUNTIME)
        .allow(sets::v1::THREADS) // one for each connection
        .allow(sets::v1::NET_SERVER)
        .allow_if("ioctl", [arg::<1>().eq(libc::FIONREAD as u64)])
        .enter()?;
    eprintln!("{status}");

    for request in server.incoming_requests() {
        let text = match request.url() {
            "/exec" => format!("{:?}\n", Command::new("/bin/true").status()),
            url => format!("you asked for {url}\n"),
        };
        request.respond(Response::from_string(text))?;
    }
    Ok(())
}
