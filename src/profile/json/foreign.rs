//! Files that are something else than a profile: what they are, and what to do with them.

use super::super::{Code, ProfileError};
use super::report::{Path, Report};
use super::value::{Fields, Value};
use alloc::format;
use alloc::string::{String, ToString};

/// A text that is not JSON.
fn not_json(text: &str, error: &serde_json::Error) -> ProfileError {
    let written = error.to_string();
    let what = written.split(" at line ").next().unwrap_or_default();
    let what = match what {
        "EOF while parsing a value" => "the text ends where a value is expected",
        "EOF while parsing a list" => "the text ends inside a list",
        "EOF while parsing an object" => "the text ends inside an object",
        "EOF while parsing a string" => "the text ends inside a string",
        "trailing characters" => "something follows after the profile",
        other => other,
    };
    let place = format!("line {}, column {}", error.line(), error.column());
    Report::fail(Code::Syntax, &place, format!("not JSON: {what}{}", hint(text, error)))
}

/// What is usual in other formats and not allowed in JSON.
fn hint(text: &str, error: &serde_json::Error) -> &'static str {
    let yaml = ["---", "apiVersion:", "defaultAction:", "kind:"];
    if text.starts_with('\u{feff}') {
        return "; the file begins with a byte order mark, save it without";
    }
    if yaml.iter().any(|start| text.trim_start().starts_with(start)) {
        return "; it looks like YAML, convert it (yq -o json)";
    }
    // Lines and columns count from 1, columns in bytes.
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let (start, rest) =
        text.as_bytes().split_at_checked(before.saturating_add(error.column()).saturating_sub(1)).unwrap_or_default();
    if [&b"//"[..], b"/*", b"#"].iter().any(|comment| rest.starts_with(comment)) {
        "; there are no comments in JSON"
    } else if start.trim_ascii_end().ends_with(b",") && matches!(rest.first(), Some(b']' | b'}')) {
        "; remove the comma before it"
    } else {
        ""
    }
}

/// The fields of the object at the top. Refuses texts and values that are no profile by their shape.
pub(super) fn top(text: &str) -> Result<Fields<'_>, ProfileError> {
    let fields = Value::object_of(text).map_or_else(|| step_by_step(text), Ok)?;
    match what_else(&fields) {
        Some(message) => Err(at_root(message.to_string())),
        None => Ok(fields),
    }
}

/// The same fields by way of a value, to tell what is wrong.
fn step_by_step(text: &str) -> Result<Fields<'_>, ProfileError> {
    let top = Value::parse(text).map_err(|error| not_json(text, &error))?;
    top.object().map_err(|message| {
        let expected = "a profile is an object with \"defaultAction\" and \"syscalls\"";
        at_root(if top.is_object() { message } else { format!("{expected}: {message}") })
    })
}

fn at_root(message: String) -> ProfileError {
    Report::fail(Code::BadField, &Path::Root, message)
}

/// What the file is, if it has no `defaultAction` and looks like something known.
fn what_else(fields: &Fields<'_>) -> Option<&'static str> {
    let get = |key: &str| fields.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
    if get("defaultAction").is_some() {
        return None;
    }
    let has = |value: Option<Value<'_>>, key: &str| {
        value.and_then(|value| value.object().ok()).is_some_and(|fields| fields.iter().any(|(name, _)| name == key))
    };
    if get("default_action").is_some() {
        return Some(
            "this is the numeric form of before Docker 1.10 (\"default_action\", actions as numbers), which no runtime \
             reads today; write \"defaultAction\": \"SCMP_ACT_ERRNO\" and so on",
        );
    }
    if has(get("linux"), "seccomp") {
        return Some(
            "this is a container configuration; the profile is the object at $.linux.seccomp in it, give that",
        );
    }
    if get("ociVersion").is_some() {
        return Some("this is a container configuration without a seccomp profile ($.linux.seccomp)");
    }
    if get("apiVersion").is_some() || get("kind").is_some() {
        return Some(if has(get("spec"), "defaultAction") {
            "this is a Kubernetes object; the profile is the object at $.spec in it, give that"
        } else {
            "this is a Kubernetes object; give the file that its localhostProfile names"
        });
    }
    if get("seccomp").is_some() {
        return Some("the profile is the object at $.seccomp, give that");
    }
    let is_filter = |value: &Value<'_>| {
        ["mismatch_action", "filter_action", "default_action"].iter().any(|key| has(Some(*value), key))
    };
    if fields.iter().any(|(_, value)| is_filter(value)) {
        return Some("this is a filter file of seccompiler or Firecracker, another format");
    }
    None
}
