//! `SeccompProfile` objects of the security profiles operator for Kubernetes, in YAML or JSON.
//!
//! The operator writes the `spec` for container runtimes, so it is read as a profile in the OCI dialect. What the object
//! means beyond that is an error: a base profile is merged by the operator, and is not in the file.

use super::Imported;
use super::report::{Place, Reading, did_you_mean};
use super::yaml::{Kind, Node, documents};
use crate::arch::nearest;
use crate::profile::json::value::quote;
use crate::profile::{Code, Format, Profile, Severity};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Keys of `spec`.
const SPEC: [&str; 9] = [
    "defaultAction",
    "architectures",
    "flags",
    "listenerPath",
    "listenerMetadata",
    "syscalls",
    "state",
    "disabled",
    "baseProfileName",
];
const ENTRY: [&str; 4] = ["names", "action", "errnoRet", "args"];
const ARG: [&str; 4] = ["index", "value", "valueTwo", "op"];

/// Reads the objects of a file.
pub(super) fn read(reading: &mut Reading<'_>) -> Vec<Imported> {
    let documents: Vec<Node> = documents(reading.text, reading).into_iter().filter(|node| !node.is_null()).collect();
    if documents.is_empty() && !reading.has_errors() {
        reading.error_at(Code::BadField, 0, "there is no object; a SeccompProfile is expected");
    }
    let mut reader = Reader { reading };
    documents.iter().filter_map(|document| reader.object(document)).collect()
}

struct Reader<'r, 't> {
    reading: &'r mut Reading<'t>,
}

impl Reader<'_, '_> {
    fn error(&mut self, code: Code, place: &Place, message: impl Into<String>) {
        self.reading.error(code, place, message);
    }

    fn object(&mut self, document: &Node) -> Option<Imported> {
        let Kind::Map(_) = document.kind else {
            self.error(Code::BadField, &document.place, "an object is expected");
            return None;
        };
        // The spec alone, as tools pass it around.
        if document.get("spec").is_none() && document.get("defaultAction").is_some() {
            return self.spec(document, None, "$");
        }
        let kind = document.get("kind").and_then(Node::text).unwrap_or_default();
        if kind != "SeccompProfile" {
            let place = document.get("kind").map_or(&document.place, |node| &node.place);
            self.error(Code::BadField, place, format!("$.kind: \"SeccompProfile\" is expected, found {}", quote(kind)));
            return None;
        }
        let group = document.get("apiVersion").and_then(Node::text).unwrap_or_default();
        if !group.starts_with("security-profiles-operator.x-k8s.io/") {
            let place = document.get("apiVersion").map_or(&document.place, |node| &node.place);
            let message = format!(
                "$.apiVersion: security-profiles-operator.x-k8s.io/v1beta1 or another version is expected, found {}",
                quote(group)
            );
            self.error(Code::BadField, place, message);
        }
        let name = document.get("metadata").and_then(|data| data.get("name")).and_then(Node::text).map(String::from);
        let Some(spec) = document.get("spec") else {
            self.error(Code::BadField, &document.place, "$.spec: missing");
            return None;
        };
        self.spec(spec, name, "$.spec")
    }

    fn spec(&mut self, spec: &Node, name: Option<String>, path: &str) -> Option<Imported> {
        self.known(spec, path, &SPEC);
        if let Some(base) = spec.get("baseProfileName").filter(|base| base.text() != Some("")) {
            let message =
                "baseProfileName: the operator merges another profile into this one, which is not in this file";
            self.error(Code::NotExpressible, &base.place, format!("{path}.{message}"));
        }
        let off = spec.get("disabled").filter(|node| node.text() == Some("true"));
        if let Some(node) = off.or(spec.get("state").filter(|node| node.text() != Some("Enabled"))) {
            self.error(
                Code::NotExpressible,
                &node.place,
                format!("{path}: the profile is disabled, so there is no filter"),
            );
        }
        let entries = match spec.get("syscalls").map(|node| &node.kind) {
            Some(Kind::List(list)) => list.as_slice(),
            _ => &[],
        };
        for (index, entry) in entries.iter().enumerate() {
            self.entry(entry, &format!("{path}.syscalls[{index}]"));
        }
        let profile = match Profile::from_json(&oci(spec), Format::Oci) {
            Ok(profile) => profile,
            Err(error) => {
                self.take_over(spec, path, error.diagnostics());
                return None;
            }
        };
        self.take_over(spec, path, profile.diagnostics());
        let mut profile = profile;
        for rule in &mut profile.rules {
            rule.path = rule.path.replacen('$', path, 1);
        }
        Some(Imported { name, profile, frequencies: Vec::new() })
    }

    /// Numbers that Kubernetes takes: not negative, and below 2^63.
    fn entry(&mut self, entry: &Node, path: &str) {
        self.known(entry, path, &ENTRY);
        let args = match entry.get("args").map(|node| &node.kind) {
            Some(Kind::List(list)) => list.as_slice(),
            _ => &[],
        };
        for (index, arg) in args.iter().enumerate() {
            let path = format!("{path}.args[{index}]");
            self.known(arg, &path, &ARG);
            for key in ["value", "valueTwo"] {
                let Some(node) = arg.get(key) else { continue };
                if node.to_json().parse::<u64>().is_ok_and(|value| value >> 63 != 0) {
                    let message = "does not fit a signed 64-bit number, which the object has here";
                    self.error(Code::NotExpressible, &node.place, format!("{path}.{key}: {message}"));
                }
            }
        }
    }

    fn known(&mut self, node: &Node, path: &str, keys: &[&str]) {
        let Kind::Map(fields) = &node.kind else { return };
        for (key, value) in fields.iter().filter(|(key, _)| !keys.contains(&key.as_str())) {
            let hint = did_you_mean(nearest(key, keys.iter().copied()));
            let message = format!("{path}: unknown key {}{hint}; known are {}", quote(key), keys.join(", "));
            self.error(Code::UnknownKey, &value.place, message);
        }
    }

    /// What the reader of the OCI dialect found, at the places of this file.
    fn take_over(&mut self, spec: &Node, path: &str, found: &crate::profile::Diagnostics) {
        for one in found {
            let place = find(spec, one.path()).place.clone();
            let message = format!("{}: {}", one.path().replacen('$', path, 1), one.message());
            if one.severity() == Severity::Error {
                self.error(one.code(), &place, message);
            } else {
                self.reading.warn(one.code(), &place, &message);
            }
        }
    }
}

/// The last node on a path that is there.
fn find<'n>(spec: &'n Node, path: &str) -> &'n Node {
    let mut node = spec;
    for step in path.split(['.', '[']).skip(1) {
        let next = match (&node.kind, step.strip_suffix(']')) {
            (Kind::List(list), Some(index)) => index.parse().ok().and_then(|index: usize| list.get(index)),
            (Kind::Map(_), None) => node.get(step),
            _ => None,
        };
        let Some(next) = next else { break };
        node = next;
    }
    node
}

/// The spec without what only the operator knows, and without unknown keys, which have been reported, as JSON. An error number of 0 stands for none there.
fn oci(spec: &Node) -> String {
    let mut spec = spec.clone();
    let Kind::Map(fields) = &mut spec.kind else { return spec.to_json() };
    let of_operator = ["state", "disabled", "baseProfileName"];
    fields.retain(|(key, _)| SPEC.contains(&key.as_str()) && !of_operator.contains(&key.as_str()));
    for (_, node) in fields.iter_mut().filter(|(key, _)| key == "syscalls") {
        let Kind::List(entries) = &mut node.kind else { continue };
        for entry in entries {
            let Kind::Map(fields) = &mut entry.kind else { continue };
            fields.retain(|(key, node)| match key.as_str() {
                "errnoRet" => node.to_json() != "0",
                key => ENTRY.contains(&key),
            });
        }
    }
    spec.to_json()
}
