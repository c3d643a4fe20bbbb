//! What `fuse` and `recompile` tell of their result.

use crate::file;
use crate::outcome::{Done, Failure, Outcome};
use crate::stats;
use callsieve::{Replaced, Replacement};
use serde_json::{Value, json};
use std::fmt::Write;

/// The figures of both sides.
pub fn to_json(made: &Replacement) -> Value {
    json!({
        "original": made.is_original(),
        "before": replaced(made.replaced()),
        "after": stats::to_json(made.filter().report()),
    })
}

fn replaced(replaced: &Replaced) -> Value {
    let arches = replaced.arches.iter().map(|arch| {
        json!({
            "arch": arch.arch.to_string(),
            "mean_steps": arch.mean_steps,
            "mix_steps": arch.mix_steps,
            "worst_steps": arch.worst_steps,
        })
    });
    json!({
        "filters": replaced.programs,
        "instructions": replaced.len,
        "ebpf_instructions": replaced.ebpf_len,
        "longest_path": replaced.worst_path,
        "arches": arches.collect::<Vec<_>>(),
    })
}

/// A table: before, after.
pub fn to_text(head: &str, made: &Replacement) -> String {
    let (before, after) = (made.replaced(), made.filter().report());
    let mut text =
        format!("{head}; proven equal for every possible call\n{:32}  {:>9}  {:>9}\n", "", "before", "after");
    let mut line = |name: &str, before: String, after: String| {
        let _ = writeln!(text, "{name:32}  {before:>9}  {after:>9}");
    };
    line("instructions", before.len.to_string(), after.len.to_string());
    line("as eBPF", before.ebpf_len.to_string(), after.ebpf_len.to_string());
    line("longest path", before.worst_path.to_string(), after.worst_path.to_string());
    for (old, new) in before.arches.iter().zip(&after.arches) {
        let name = |what: &str| format!("{what} {}", old.arch);
        line(&name("mean steps"), format!("{:.2}", old.mean_steps), format!("{:.2}", new.mean_steps));
        line(&name("steps as servers call"), format!("{:.2}", old.mix_steps), format!("{:.2}", new.mix_steps));
    }
    text
}

/// Writes the filter where it was asked for, and hands back what to tell.
pub fn finish(output: Option<&str>, json: bool, made: &Replacement, told: Done) -> Outcome {
    match output {
        Some("-") if json => Err(Failure::new("only one of the filter (-o -) and --json can go to standard output")),
        Some("-") => {
            file::not_for_a_terminal(output)?;
            Ok(Done { output: made.filter().to_bytes(), status: 0 })
        }
        Some(path) => {
            file::write(path, &made.filter().to_bytes())?;
            Ok(told)
        }
        None => Ok(told),
    }
}
