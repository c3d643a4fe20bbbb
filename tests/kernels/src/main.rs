//! Boots real kernels of many architectures and asks them whether filters of callsieve do what their policies say.
//!
//!     cargo run --release --manifest-path tests/kernels/Cargo.toml              all machines
//!     cargo run --release --manifest-path tests/kernels/Cargo.toml -- s390x     one of them
//!
//! README.md says what it needs and how it asks.

mod case;
mod cases;
mod fetch;
mod guest;
mod initramfs;
mod judge;
mod machine;
mod run;

use crate::case::Case;
use crate::guest::Console;
use crate::machine::{Abi, Machine};
use crate::run::Failure;
use callsieve::arch::Arch;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const USAGE: &str = "arguments: [--no-skip] [MACHINE...]";
/// Mismatches that are printed for an ABI.
const MOST_SHOWN: usize = 20;

/// What was found for one ABI of one machine.
struct Row {
    machine: &'static str,
    release: String,
    arch: Arch,
    cases: usize,
    longest: usize,
    calls: usize,
    /// Those of the calls that were made under random policies.
    random: usize,
    mismatches: usize,
    seconds: u64,
}

fn main() -> ExitCode {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let no_skip = names.first().is_some_and(|first| first == "--no-skip");
    if no_skip {
        names.remove(0);
    }
    let known: Vec<&str> = machine::ALL.iter().map(|machine| machine.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("unknown machine {unknown:?}; there are {}; {USAGE}", known.join(", "));
        return ExitCode::from(2);
    }
    let store = std::env::var_os("CALLSIEVE_RIGS").map_or_else(default_store, PathBuf::from);
    let wanted = |machine: &&Machine| names.is_empty() || names.iter().any(|name| name == machine.name);
    let machines: Vec<&Machine> = machine::ALL.iter().filter(wanted).collect();
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    for (machine, answer) in ask_all(&machines, &store) {
        match answer {
            Ok(found) => rows.extend(found),
            Err(reason) => skipped.push((machine.name, reason.to_string())),
        }
    }
    print(&rows);
    for (name, reason) in &skipped {
        println!("SKIP {name}: {reason}");
    }
    let mismatches: usize = rows.iter().map(|row| row.mismatches).sum();
    println!("{} ABIs, {mismatches} mismatches, {} machines skipped", rows.len(), skipped.len());
    let failed =
        rows.iter().any(|row| row.mismatches > 0 || row.random < cases::LEAST_RANDOM) || no_skip && !skipped.is_empty();
    ExitCode::from(u8::from(failed))
}

fn default_store() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/rigs")
}

/// Asks the machines, as many at a time as this one has processors, and answers in their order.
fn ask_all<'m>(machines: &[&'m Machine], store: &Path) -> Vec<(&'m Machine, Result<Vec<Row>, Failure>)> {
    let (next, preparing, answers) = (AtomicUsize::new(0), Mutex::new(()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(&machine) = machines.get(at) else { break };
            let answer = ask(machine, store, &preparing);
            answers.lock().unwrap_or_else(PoisonError::into_inner).push((at, machine, answer));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_by_key(|(at, ..)| *at);
    answers.into_iter().map(|(_, machine, answer)| (machine, answer)).collect()
}

/// Boots a machine and judges what it says. Kernels and programs are made one after the other, because machines share them.
fn ask(machine: &Machine, store: &Path, preparing: &Mutex<()>) -> Result<Vec<Row>, Failure> {
    let prepared = preparing.lock().unwrap_or_else(PoisonError::into_inner);
    let kernel = fetch::kernel(machine, store)?;
    let arches: Vec<Arch> = machine.abis.iter().map(|abi| abi.arch).collect();
    let cases = arches.iter().map(|&arch| cases::all(arch, &arches)).collect::<Result<Vec<_>, _>>()?;
    let guest = guest::prepare(machine, &cases, store)?;
    drop(prepared);
    let begin = Instant::now();
    let console = guest.boot(&kernel)?;
    let seconds = begin.elapsed().as_secs();
    let rows = machine.abis.iter().zip(&cases).map(|(abi, cases)| Row {
        machine: machine.name,
        release: console.release().to_owned(),
        arch: abi.arch,
        cases: cases.len(),
        longest: cases.iter().map(Case::longest).max().unwrap_or(0),
        calls: cases.iter().map(|case| case.calls.len()).sum(),
        random: cases.iter().filter(|case| case.random).map(|case| case.calls.len()).sum(),
        mismatches: judge(machine, abi, cases, &console),
        seconds,
    });
    Ok(rows.collect())
}

/// Counts the calls that did not go as the policies say, and prints some.
fn judge(machine: &Machine, abi: &Abi, cases: &[Case], console: &Console) -> usize {
    let logs = console.logs(abi);
    if !logs {
        println!("NOTE {} {}: this kernel does not write what LOG logs, so LOG shows as ALLOW", machine.name, abi.arch);
    }
    let mut mismatches = 0;
    for (case, seen) in cases.iter().zip(console.seen(abi, cases)) {
        for (call, seen) in case.calls.iter().zip(seen) {
            let expected = case.expected(abi.arch, call);
            if judge::agrees(abi.arch, call, expected, logs, &seen) {
                continue;
            }
            mismatches += 1;
            if mismatches <= MOST_SHOWN {
                let seen = if seen.is_empty() { "nothing".to_owned() } else { seen.join(" ") };
                println!("MISMATCH {} {} {}: {call:x?}: {expected}, seen {seen}", machine.name, abi.arch, case.name);
            }
        }
    }
    mismatches
}

fn print(rows: &[Row]) {
    println!(
        "{:9} {:24} {:12} {:>6} {:>7} {:>7} {:>7} {:>10} {:>5}",
        "machine", "kernel", "ABI", "cases", "longest", "calls", "random", "mismatches", "s"
    );
    for row in rows {
        println!(
            "{:9} {:24} {:12} {:>6} {:>7} {:>7} {:>7} {:>10} {:>5}",
            row.machine,
            row.release,
            row.arch.short_name(),
            row.cases,
            row.longest,
            row.calls,
            row.random,
            row.mismatches,
            row.seconds
        );
    }
}
