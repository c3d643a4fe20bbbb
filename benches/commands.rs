//! How long the command takes, from its start to its end, on container-sized profiles: the best of five runs.
//!
//!     cargo bench --features cli --bench commands

#![allow(clippy::expect_used, missing_docs)] // A benchmark has nobody to report to.

use callsieve::Profile;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a line of the kernel's log looks like.
const LINE: &str = "type=1326 audit(1700000000.123:45): pid=711 comm=\"a.out\" exe=\"/a.out\" sig=0 arch=c000003e \
                    syscall=41 compat=0 ip=0x7f5d8c1b2a3b code=0x50000";

/// The commands; words that end in `.json` or `.bpf` are files that [`main`] makes.
const COMMANDS: [&[&str]; 18] = [
    &["show", "container-default"],
    &["show", "filter.bpf"],
    &["show", "container-default", "--format", "plain-svg"],
    &["check", "container-default"],
    &["check", "container-default", "--kernel-delta", "5.10..6.12"],
    &["merge", "--union", "changed.json", "container-default", "--format", "bpf", "-o", "union.bpf"],
    &["merge", "--intersection", "changed.json", "many.json", "-o", "both.json"],
    &["fuse", "filter.bpf", "changed.bpf", "-o", "fused.bpf"],
    &["recompile", "changed.bpf", "-o", "recompiled.bpf"],
    &["prove", "container-default", "filter.bpf"],
    &["stats", "container-default"],
    &["diff", "changed.json", "container-default"],
    &["diff", "container-default", "filter.bpf"],
    &["diff", "many.json", "container-default", "--json"],
    &["explain", "container-default", "socket"],
    &["explain", "container-default", "clone", "CLONE_NEWUSER"],
    &["explain", "container-default", "--audit", LINE],
    &["explain", "many.json", "ioctl"],
];

fn best_of_five(words: &[&str], directory: &std::path::Path) -> Duration {
    let run = |_| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callsieve"));
        command.args(words).args(["--arch", "x86_64,x86,x32"]).current_dir(directory).stdin(Stdio::null());
        let start = Instant::now();
        let output = command.output().expect("the command runs");
        let took = start.elapsed();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{words:?}: {output:?}");
        took
    };
    (0..5).map(run).min().expect("five runs")
}

fn main() {
    let directory = std::env::temp_dir().join(format!("callsieve-bench-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory for files");
    let text = Profile::container_default().and_then(|profile| profile.to_json()).expect("our own profile");
    fs::write(directory.join("changed.json"), text.replace("\"getppid\",", "")).expect("a file");
    // As many conditions as the largest profiles have.
    let conditions: Vec<_> = (0..300)
        .map(|value| {
            let arg = format!(r#"{{"index": 1, "op": "SCMP_CMP_EQ", "value": {}}}"#, 0x5401 + value * 37);
            format!(r#"{{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{arg}]}}"#)
        })
        .collect();
    let many = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{}]}}"#, conditions.join(","));
    fs::write(directory.join("many.json"), many).expect("a file");
    best_of_five(&["compile", "container-default", "-o", "filter.bpf"], &directory);
    best_of_five(&["compile", "changed.json", "--level", "fast", "-o", "changed.bpf"], &directory);
    for words in COMMANDS {
        let took = best_of_five(words, &directory);
        let shown: Vec<_> = words.iter().map(|word| if *word == LINE { "LINE" } else { word }).collect();
        println!("{:>8.1} ms  callsieve {}", took.as_secs_f64() * 1e3, shown.join(" "));
    }
    fs::remove_dir_all(&directory).expect("the files are ours");
}
