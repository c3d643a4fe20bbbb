//! `callsieve stats`: the figures of a filter.

use crate::common::mention_warnings;
use crate::filter::FilterOptions;
use crate::outcome::{Done, Outcome};
use callsieve::{ArchReport, Report};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Figures of the filter for a profile: length, steps, cacheable calls, compile time, size of the proof
///
/// A step is an executed instruction; the kernel runs a filter for each call that it does not remember as allowed
/// (cacheable; since Linux 5.11). mean takes every call of an ABI alike, mix weighs them by how often servers make them.
/// tests are the comparisons of its number that a call passes, weighed as the level or --weights say; ranges is the least
/// that is possible with range tests alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve stats container-default
  callsieve stats profile.json --arch aarch64,arm --level speed
  callsieve stats profile.json --json")]
pub struct Options {
    /// JSON file, - for standard input, or container-default
    profile: String,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    filter: FilterOptions,
}

/// How long each part took.
struct Times {
    read: Duration,
    resolve: Duration,
    compile: Duration,
}

pub fn execute(options: &Options) -> Outcome {
    let target = options.filter.target.target()?;
    let start = Instant::now();
    let source = options.filter.target.read(&options.profile)?;
    let read = start.elapsed();
    let start = Instant::now();
    let policy = source.resolve(&target)?;
    let resolve = start.elapsed();
    let start = Instant::now();
    let filter = options.filter.compile_source(&source, &policy)?;
    let times = Times { read, resolve, compile: start.elapsed() };
    mention_warnings(&source.name, &policy);
    let report = filter.report();
    let names: Vec<_> = policy.arches().map(|arch| arch.to_string()).collect();
    Ok(if options.json {
        let mut value = to_json(report);
        value["seconds"] = json!({
            "read": times.read.as_secs_f64(),
            "resolve": times.resolve.as_secs_f64(),
            "compile": times.compile.as_secs_f64(),
        });
        Done::json(&value)
    } else {
        Done::text(to_text(&format!("{} for {}", source.name, names.join(", ")), report, &times))
    })
}

/// The report as JSON.
pub fn to_json(report: &Report) -> Value {
    json!({
        "instructions": report.len,
        "ebpf_instructions": report.ebpf_len,
        "longest_path": report.worst_path,
        "arches": report.arches.iter().map(arch_to_json).collect::<Vec<_>>(),
        "proof": { "nodes": report.proof.nodes, "states": report.proof.states },
    })
}

fn arch_to_json(report: &ArchReport) -> Value {
    let uncached = report.uncached.iter();
    let uncached =
        uncached.map(|call| json!({ "number": call.nr, "name": call.name, "reason": call.reason.to_string() }));
    json!({
        "arch": report.arch.to_string(),
        "calls": report.known,
        "mean_steps": report.mean_steps,
        "mix_steps": report.mix_steps,
        "worst_steps": report.worst_steps,
        "cacheable": report.cacheable,
        "not_cacheable": uncached.collect::<Vec<_>>(),
        "emulated_instructions": report.emulated,
        "dispatch": report.dispatch.map(|dispatch| json!({
            "runs": dispatch.runs,
            "tests": dispatch.tests,
            "range_optimum": dispatch.range_optimum,
            "distance": dispatch.distance(),
        })),
    })
}

fn to_text(title: &str, report: &Report, times: &Times) -> String {
    let mut text = format!("{title}\n");
    let _ = writeln!(text, "  instructions  {} ({} as eBPF in the kernel)", report.len, report.ebpf_len);
    let _ = writeln!(text, "  longest path  {} steps", report.worst_path);
    let (nodes, states) = (report.proof.nodes, report.proof.states);
    let _ = writeln!(text, "  proof         equal for every possible call; {nodes} nodes, {states} states");
    let parts = [("read", times.read), ("resolve", times.resolve), ("compile and prove", times.compile)];
    let total: Duration = parts.iter().map(|(_, time)| *time).sum();
    let parts: Vec<_> = parts.iter().map(|(what, time)| format!("{what} {}", milliseconds(*time))).collect();
    let _ = writeln!(text, "  time          {} ms ({})", milliseconds(total), parts.join(", "));
    let _ = writeln!(
        text,
        "\n  {:<12} {:>6} {:>8} {:>8} {:>6} {:>10} {:>8} {:>8}",
        "ABI", "calls", "mean", "mix", "worst", "cacheable", "tests", "ranges"
    );
    let mean = |mean: Option<f64>| mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.2}"));
    for arch in &report.arches {
        let _ = writeln!(
            text,
            "  {:<12} {:>6} {:>8.2} {:>8.2} {:>6} {:>10} {:>8} {:>8}",
            arch.arch.to_string(),
            arch.known,
            arch.mean_steps,
            arch.mix_steps,
            arch.worst_steps,
            arch.cacheable,
            mean(arch.dispatch.map(|dispatch| dispatch.tests)),
            mean(arch.dispatch.map(|dispatch| dispatch.range_optimum)),
        );
    }
    for arch in report.arches.iter().filter(|arch| !arch.uncached.is_empty()) {
        let names: Vec<_> = arch.uncached.iter().map(|call| call.name).collect();
        let line = format!("allowed but not cacheable on {}: {}", arch.arch, shorten(&names));
        let _ = write!(text, "\n{line}");
    }
    text.push('\n');
    text
}

/// A list that fits a screen.
fn shorten(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    match names.get(..SHOWN) {
        Some(first) if names.len() > SHOWN => {
            format!("{} and {} more (--json has all)", first.join(" "), names.len() - SHOWN)
        }
        _ => names.join(" "),
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
