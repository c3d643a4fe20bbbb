//! Findings for code hosts: SARIF 2.1.0 (`docs.oasis-open.org/sarif/sarif/v2.1.0`).

use crate::check::word;
use callsieve::profile::{Code, Diagnostic, Diagnostics, locate};
use serde_json::{Value, json};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// A log with one run. `text` is what the file holds, for lines and columns.
pub fn log(uri: &str, text: &str, found: &Diagnostics) -> Value {
    let mut codes: Vec<Code> = found.iter().map(Diagnostic::code).collect();
    codes.sort_unstable();
    codes.dedup();
    let results: Vec<Value> = found.iter().map(|one| result(uri, text, one, &codes)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "callsieve",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.as_str(),
        "shortDescription": { "text": code.summary().replace('`', "") },
        "fullDescription": { "text": code.why() },
        "help": { "text": format!("Instead: {}.", code.instead()) },
        "defaultConfiguration": { "level": word(code.severity()) },
    })
}

fn result(uri: &str, text: &str, found: &Diagnostic, codes: &[Code]) -> Value {
    let example = found.example().map_or_else(String::new, |example| format!(" (example: {example})"));
    // A name with spaces, or that of standard input, is no URI as it is.
    let mut physical = json!({ "artifactLocation": { "uri": uri.replace(' ', "%20") } });
    if let Some(place) = locate(text, found.path()) {
        physical["region"] = json!({ "startLine": place.line, "startColumn": place.column });
    }
    json!({
        "ruleId": found.code().as_str(),
        "ruleIndex": codes.iter().position(|code| *code == found.code()),
        "level": word(found.severity()),
        "message": { "text": format!("{}{example}; instead: {}", found.message(), found.instead()) },
        "locations": [{
            "physicalLocation": physical,
            "logicalLocations": [{ "fullyQualifiedName": found.path() }],
        }],
    })
}
