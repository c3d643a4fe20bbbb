//! A thread pool whose workers have different filters: parsers that may only compute, and one writer.
//!
//!     cargo run --example thread_pool
//!
//! Threads share all memory, so this keeps mistakes in check and not attackers: a parser that is taken over can make
//! another thread act for it. For that, use processes.

use callsieve::{Action, Sandbox, sandbox::sets};
use std::error::Error;
use std::sync::mpsc;
use std::thread;

/// What is not allowed fails with EACCES here, so that the example can show it and go on.
fn worker() -> Sandbox {
    Sandbox::deny_by_default().allow([sets::v1::RUNTIME, sets::v1::THREADS]).on_violation(Action::Errno(13))
}

type Work = Box<dyn FnOnce() -> String + Send>;
type Worker = thread::JoinHandle<Result<(), Box<dyn Error + Send + Sync>>>;

/// A worker that confines itself before it takes work.
fn start(name: &'static str, sandbox: Sandbox, answers: mpsc::Sender<String>) -> (mpsc::Sender<Work>, Worker) {
    let (sender, receiver) = mpsc::channel::<Work>();
    let run = move || {
        // Compiled in the thread here; a filter is plain data, so it may as well come from elsewhere.
        let status = sandbox.enter_thread()?;
        for work in receiver {
            answers.send(format!("{name} ({status}): {}", work()))?;
        }
        Ok(())
    };
    (sender, thread::spawn(run))
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("callsieve-pool-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (answers, results) = mpsc::channel();
    let (parser, first) = start("parser", worker(), answers.clone());
    let (writer, second) = start("writer", worker().allow(sets::v1::FILE_WRITE), answers);

    parser.send(Box::new(|| format!("parsed {}", "6 7".split(' ').flat_map(str::parse::<u32>).product::<u32>())))?;
    let path = folder.join("secret");
    parser.send(Box::new(move || format!("writing: {:?}", std::fs::write(path, "42"))))?;
    let path = folder.join("result");
    writer.send(Box::new(move || format!("writing: {:?}", std::fs::write(path, "42"))))?;
    drop((parser, writer));

    let lines: Vec<String> = results.iter().collect();
    for line in &lines {
        println!("{line}");
    }
    for thread in [first, second] {
        thread.join().map_err(|_| "a worker panicked")?.map_err(|error| error.to_string())?;
    }
    let written = std::fs::read_to_string(folder.join("result"))?;
    let secret = folder.join("secret").exists();
    std::fs::remove_dir_all(&folder)?;
    // The main thread has no filter: it has read and removed files.
    assert!(written == "42" && !secret && lines.iter().any(|line| line.contains("parsed 42")));
    Ok(())
}
