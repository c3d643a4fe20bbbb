//! What recording costs a call, beside strace(1) on the same program in the same run. The program is this one, which
//! then does nothing but to ask for its parent.
//!
//!     cargo bench --bench record

#![allow(clippy::expect_used, missing_docs)] // A benchmark has nobody to report to.

#[cfg(target_os = "linux")]
fn main() {
    on_linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod on_linux {
    use callsieve::kernel::{Stream, Supervised};
    use callsieve::record::{Recorder, Recording};
    use std::hint::black_box;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    /// In the environment of the recorded program: threads and calls of each.
    const PART: &str = "CALLSIEVE_BENCH_CALLS";

    pub fn main() {
        if let Ok(part) = std::env::var(PART) {
            return make_calls(&part);
        }
        let quick = std::env::args().any(|word| word == "--test");
        let (calls, rounds) = if quick { (100, 1) } else { (50_000, 5) };
        for threads in [1, 4] {
            measure(threads, calls / threads, rounds);
        }
    }

    fn make_calls(part: &str) {
        let (threads, calls) = part.split_once(' ').expect("two numbers");
        let calls: u32 = calls.parse().expect("a number");
        std::thread::scope(|scope| {
            for _ in 0..threads.parse().expect("a number") {
                scope.spawn(|| (0..calls).for_each(|_| _ = black_box(std::os::unix::process::parent_id())));
            }
        });
    }

    fn measure(threads: u32, calls: u32, rounds: u32) {
        let program = std::env::current_exe().expect("this program");
        let part = format!("{threads} {calls}");
        let command = || Supervised::new(&program).env(PART, &part).stdin(Stream::Null);
        let traced = |words: &[&str]| {
            let mut strace = Command::new("strace");
            strace.args(words).arg(&program).env(PART, &part).stdin(Stdio::null());
            strace.status().is_ok_and(|status| status.success())
        };
        let mut recording = Recording::new();
        let recorder = Recorder::new();
        let plain = best(rounds, || Command::new(&program).env(PART, &part).status().expect("it runs").success());
        let watched = best(rounds, || {
            recording = Recording::new();
            recorder.record(command(), &mut recording).expect("it is recorded").counted() >= u64::from(threads * calls)
        });
        let known =
            best(rounds, || recorder.record_unknown(command(), &mut recording).expect("it is recorded").asked() < 100);
        println!("{threads} threads, {} calls: plain {:.1} ms", threads * calls, plain.as_secs_f64() * 1e3);
        let each = |time: Duration| (time.as_secs_f64() - plain.as_secs_f64()) * 1e6 / f64::from(threads * calls);
        println!("  recorded               {:>7.2} us more a call", each(watched));
        println!("  known, while refining  {:>7.2} us more a call", each(known));
        for words in [&["-f", "-o", "/dev/null"][..], &["-f", "-c", "-o", "/dev/null"]] {
            let name = format!("strace {}", words[..words.len() - 2].join(" "));
            if traced(words) {
                println!("  {name:<21}  {:>7.2} us more a call", each(best(rounds, || traced(words))));
            } else {
                println!("  {name:<21}  does not run here");
            }
        }
    }

    fn best(rounds: u32, mut run: impl FnMut() -> bool) -> Duration {
        let times = (0..rounds).map(|_| {
            let begin = Instant::now();
            assert!(run(), "a run has failed");
            begin.elapsed()
        });
        times.min().expect("at least one round")
    }
}
