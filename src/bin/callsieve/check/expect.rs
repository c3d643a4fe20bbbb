//! Unit tests for profiles.

use crate::input::Input;
use crate::outcome::{Done, Failure, Outcome, count};
use callsieve::Policy;
use callsieve::check::{Broken, ExpectErrors, Expectations};
use serde_json::{Value, json};
use std::fmt::Write;

const EXPECTED: &str = "a list of expectations is a text such as read: allow";

pub fn execute(policy: &Policy, file: &str, as_json: bool) -> Outcome {
    let input = Input::read(file, EXPECTED)?;
    let text = std::str::from_utf8(&input.bytes)
        .map_err(|_| Failure::new(format!("{} is no UTF-8 text; {EXPECTED}", input.name)))?;
    let unusable = |errors: ExpectErrors| {
        let lines =
            errors.iter().map(|error| format!("{}:{}:{}: {}", input.name, error.line, error.column, error.message));
        Failure::new(lines.collect::<Vec<_>>().join("\n"))
    };
    let expectations: Expectations = text.parse().map_err(unusable)?;
    let broken = expectations.check(policy).map_err(unusable)?;
    let mut lines: Vec<usize> = broken.iter().map(|one| one.line).collect();
    lines.dedup();
    let hold = expectations.len() - lines.len();
    let done = if as_json {
        let broken: Vec<Value> = broken.iter().map(entry).collect();
        Done::json(&json!({ "expectations": expectations.len(), "hold": hold, "broken": broken }))
    } else {
        Done::text(report(&input.name, &broken, expectations.len(), hold))
    };
    Ok(done.found(!broken.is_empty()))
}

fn entry(broken: &Broken) -> Value {
    json!({ "line": broken.line, "expectation": broken.text, "example": super::example(&broken.example) })
}

fn report(name: &str, broken: &[Broken], all: usize, hold: usize) -> String {
    let mut text = String::new();
    let mut last = 0;
    for one in broken {
        if one.line != last {
            let _ = writeln!(text, "{name}:{}: {}", one.line, one.text);
        }
        last = one.line;
        let _ = writeln!(text, "    but {}", one.example);
    }
    if broken.is_empty() {
        let _ = writeln!(text, "{name}: {} {}", count(all, "expectation"), if all == 1 { "holds" } else { "hold" });
    } else {
        let _ = writeln!(text, "{name}: {hold} of {} hold", count(all, "expectation"));
    }
    text
}
