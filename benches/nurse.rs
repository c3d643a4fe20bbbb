//! What calls cost under a nurse, as a ratio to the same calls without one: the best of five runs of a loop each.
//!
//!     cargo bench --features cli --bench nurse

#![allow(clippy::expect_used, missing_docs)] // A benchmark has nobody to report to.

use callsieve::kernel::{Stream, Supervised};
use callsieve::nurse::{Acl, Nurse};
use std::fs;
use std::io::Read as _;
use std::process::Command;
use std::time::Instant;

type Round = fn(&str);

/// What a loop does in each round.
const CALLS: [(&str, Round); 5] = [
    ("open and close a file", |path| drop(fs::File::open(path).expect("a file"))),
    ("the same over a link", |path| drop(fs::File::open(format!("{path}.link")).expect("a link"))),
    ("look for a file that is not there", |path| assert!(fs::metadata(format!("{path}.none")).is_err())),
    ("stat", |path| assert!(fs::metadata(path).is_ok())),
    ("a call that is not judged", |_| std::thread::yield_now()),
];

/// Runs a loop; nanoseconds a round.
fn measure(index: usize, rounds: u32, path: &str) -> f64 {
    let start = Instant::now();
    for _ in 0..rounds {
        CALLS[index].1(path);
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
}

fn number(text: &str) -> f64 {
    text.trim().parse().expect("a number")
}

fn main() {
    let words: Vec<_> = std::env::args().collect();
    if let [_, word, index, rounds, path] = words.as_slice()
        && word == "--loop"
    {
        println!("{}", measure(index.parse().expect("an index"), rounds.parse().expect("a number"), path));
        return;
    }
    let (rounds, runs) = if words.iter().any(|word| word == "--test") { (50, 1) } else { (20_000, 5) };
    let program = std::env::current_exe().expect("this program");
    let folder = std::env::temp_dir().join(format!("callsieve-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let folder = fs::canonicalize(folder).expect("its name");
    let file = folder.join("file");
    fs::write(&file, "x").expect("a file");
    std::os::unix::fs::symlink(&file, folder.join("file.link")).expect("a link");
    let acl = format!(
        "read = ['/usr', '/lib', '/lib64', '/etc', '/proc', '/sys', '{}']\nexec = ['{}', '/usr', '/lib', '/lib64']\n",
        folder.display(),
        program.display()
    );
    let acl = Acl::from_toml(&acl).expect("an ACL");
    println!("{:<36}{:>12}{:>14}{:>8}", "", "plain", "under a nurse", "ratio");
    for (index, (name, _)) in CALLS.iter().enumerate() {
        let words = ["--loop", &index.to_string(), &rounds.to_string(), file.to_str().expect("a name")];
        let plain = (0..runs).map(|_| {
            let output = Command::new(&program).args(words).output().expect("the loop");
            number(&String::from_utf8_lossy(&output.stdout))
        });
        let plain = plain.fold(f64::INFINITY, f64::min);
        let nursed = (0..runs).map(|_| {
            let nurse = Nurse::new(&acl).expect("a nurse");
            let supervised = Supervised::new(&program).args(words).stdout(Stream::Piped);
            let (mut child, listener) = nurse.spawn(supervised).expect("the loop");
            nurse.watch(&listener).expect("no trouble");
            let mut text = String::new();
            child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
            assert!(child.wait().expect("its end").success());
            number(&text)
        });
        let nursed = nursed.fold(f64::INFINITY, f64::min);
        println!("{name:<36}{plain:>9.0} ns{nursed:>11.0} ns{:>8.1}", nursed / plain);
    }
    fs::remove_dir_all(&folder).expect("the folder goes");
}
