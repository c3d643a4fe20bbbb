//! The same with tokio: the worker threads run already when the sandbox is entered, and get the filter too.
//!
//!     cargo run --manifest-path examples/daemon/Cargo.toml --bin tokio -- 127.0.0.1:8080

use callsieve::{Sandbox, sandbox::sets};
use std::error::Error;
use std::process::Command;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("http://{}", listener.local_addr()?);
        // All workers, or none.
        let status = Sandbox::deny_by_default()
            .allow([sets::v1::RUNTIME, sets::v1::THREADS, sets::v1::NET_SERVER])
            .enter()?;
        eprintln!("{status}");
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(answer(stream));
        }
    })
}

/// One request, one answer.
async fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await?;
    let mut header = String::new();
    while stream.read_line(&mut header).await? > 2 {
        header.clear();
    }
    let text = match request.split(' ').nth(1) {
        Some("/exec") => format!("{:?}\n", Command::new("/bin/true").status()),
        Some(url) => format!("you asked for {url}\n"),
        None => "no request\n".into(),
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
    stream.write_all(format!("{head}{text}").as_bytes()).await?;
    stream.shutdown().await
}
