//! Both servers serve under their filters, and die when somebody starts a program in them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

struct Server(Child, String);

impl Server {
    fn start(program: &str) -> Self {
        let mut command = Command::new(program);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap().to_owned();
        Self(child, address)
    }

    /// The answer to a request; `None` if the server dies over it.
    fn get(&self, url: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        write!(stream, "GET {url} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serves_until_attacked(program: &str) {
    let mut server = Server::start(program);
    std::thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for request in 0..25 {
                    let url = format!("/{client}/{request}");
                    assert_eq!(server.get(&url), Some(format!("you asked for {url}\n")));
                }
            });
        }
    });
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.0.id())).unwrap();
    for thread in threads {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        assert!(status.contains("\nSeccomp:\t2\n") && status.contains("\nNoNewPrivs:\t1\n"), "{status}");
    }
    assert_eq!(server.get("/exec"), None);
    assert_eq!(server.0.wait().unwrap().signal(), Some(libc::SIGSYS));
}

#[test]
fn the_server_with_threads() {
    serves_until_attacked(env!("CARGO_BIN_EXE_daemon"));
}

#[test]
fn the_server_with_tokio() {
    serves_until_attacked(env!("CARGO_BIN_EXE_tokio"));
}
