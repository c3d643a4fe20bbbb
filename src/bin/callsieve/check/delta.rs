//! How the calls that later kernels brought are answered.

use crate::outcome::{Done, Failure, Outcome};
use crate::values;
use callsieve::Policy;
use callsieve::arch::{Arch, KernelVersion};
use callsieve::bpf::Action;
use callsieve::check::{NewCall, kernel_delta};
use serde_json::{Value, json};
use std::fmt::Write;

/// Two kernels: calls later than the first and up to the second are meant.
#[derive(Clone, Copy, Debug)]
pub struct Kernels(KernelVersion, KernelVersion);

/// Reads `5.10..6.12`.
pub fn kernels(word: &str) -> Result<Kernels, String> {
    let expected = || format!("two kernel releases are expected, such as 5.10..6.12, found \"{word}\"");
    let (from, to) = word.split_once("..").ok_or_else(expected)?;
    let kernels = Kernels(from.parse().map_err(|_| expected())?, to.parse().map_err(|_| expected())?);
    if kernels.0 < kernels.1 { Ok(kernels) } else { Err(format!("{} is not later than {}", kernels.1, kernels.0)) }
}

pub fn execute(policy: &Policy, kernels: Kernels, as_json: bool) -> Outcome {
    let calls = kernel_delta(policy, kernels.0..=kernels.1).map_err(|error| Failure::new(error.to_string()))?;
    if as_json {
        let calls: Vec<Value> = calls.iter().map(entry).collect();
        return Ok(Done::json(&json!({ "calls": calls })));
    }
    Ok(Done::text(table(policy, kernels, &calls)))
}

fn entry(new: &NewCall) -> Value {
    let words = |actions: &[Action]| actions.iter().map(Action::to_string).collect::<Vec<_>>();
    let answers = new.answers.iter().map(|(arch, actions)| (arch.to_string(), json!(words(actions)))).collect();
    json!({ "call": new.call.name(), "since": new.since.to_string(), "answers": Value::Object(answers) })
}

fn table(policy: &Policy, kernels: Kernels, calls: &[NewCall]) -> String {
    if calls.is_empty() {
        return format!("no call is new from {} to {}\n", kernels.0, kernels.1);
    }
    let arches: Vec<Arch> = policy.arches().collect();
    let mut rows = vec![vec!["kernel".to_owned(), "call".to_owned()]];
    rows[0].extend(arches.iter().map(ToString::to_string));
    for new in calls {
        let mut row = vec![new.since.to_string(), new.call.name().to_owned()];
        row.extend(arches.iter().map(|arch| {
            let own = new.answers.iter().find(|(own, _)| own == arch);
            own.map_or_else(|| "-".to_owned(), |(arch, actions)| answer(*arch, actions))
        }));
        rows.push(row);
    }
    let columns = arches.len() + 2;
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let line = row.iter().zip(&widths).fold(String::new(), |mut line: String, (cell, width)| {
            let _ = write!(line, "{cell:<width$}  ");
            line
        });
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn answer(arch: Arch, actions: &[Action]) -> String {
    match actions {
        [action] => values::action_words(*action, arch),
        actions => {
            let words: Vec<String> = actions.iter().map(|action| values::action_words(*action, arch)).collect();
            format!("{} by arguments", words.join(" or "))
        }
    }
}
