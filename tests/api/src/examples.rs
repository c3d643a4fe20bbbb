//! Whether each public item shows how it is used: by an example, or by a link to an item that has one.

use serde_json::Value;
use std::collections::BTreeSet;

/// What shows how to use what. Constants, type aliases and parts of types need no example of their own.
const KINDS: [&str; 7] = ["module", "struct", "enum", "union", "trait", "function", "macro"];
/// An index of pages, each of which has examples.
const INDEX: &str = "guide";
/// What stands in front of a link to an example.
const REFERENCE: &str = "example of [";

/// The public items that show nothing, by their paths.
pub fn missing(documentation: &Value) -> Vec<String> {
    let mut walk = Walk { index: &documentation["index"], seen: BTreeSet::new(), missing: Vec::new() };
    walk.visit(&documentation["root"], "");
    walk.missing.sort();
    walk.missing
}

struct Walk<'a> {
    index: &'a Value,
    seen: BTreeSet<String>,
    missing: Vec<String>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, id: &Value, parent: &str) {
        let Some((item, kind, inner)) = self.item(id) else { return };
        if kind == "use" {
            match self.item(&inner["id"]) {
                Some((_, "module", module)) if inner["is_glob"] == true => self.visit_all(&module["items"], parent),
                _ => self.visit(&inner["id"], parent),
            }
            return;
        }
        if item["visibility"] != "public" || !KINDS.contains(&kind) || !self.seen.insert(id.to_string()) {
            return;
        }
        let name = item["name"].as_str().unwrap_or_default();
        let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}::{name}") };
        if name != INDEX && !self.shows(item, inner) && !self.refers(item) {
            self.missing.push(path.clone());
        }
        if kind == "module" {
            self.visit_all(&inner["items"], &path);
        }
    }

    fn visit_all(&mut self, ids: &Value, parent: &str) {
        for id in ids.as_array().into_iter().flatten() {
            self.visit(id, parent);
        }
    }

    /// An item with its kind and what that kind has.
    fn item(&self, id: &Value) -> Option<(&'a Value, &'a str, &'a Value)> {
        let item = self.index.get(id.to_string())?;
        let (kind, inner) = item["inner"].as_object()?.iter().next()?;
        Some((item, kind, inner))
    }

    /// Whether it has an example, or one of its own methods does, which stand on the same page.
    fn shows(&self, item: &Value, inner: &Value) -> bool {
        let methods = |id: &Value| match self.item(id) {
            Some((_, "impl", of)) if of["trait"].is_null() => of["items"].as_array().cloned().unwrap_or_default(),
            Some((_, "function", _)) => vec![id.clone()],
            _ => Vec::new(),
        };
        let parts = [&inner["impls"], &inner["items"]].into_iter().filter_map(Value::as_array).flatten();
        let mut methods = parts.filter(|_| inner.get("is_crate").is_none()).flat_map(methods);
        has_example(item) || methods.any(|id| self.item(&id).is_some_and(|(method, ..)| has_example(method)))
    }

    /// Whether it names an item that has an example.
    fn refers(&self, item: &Value) -> bool {
        let Some((_, behind)) = item["docs"].as_str().unwrap_or_default().split_once(REFERENCE) else { return false };
        let mut links = item["links"].as_object().into_iter().flatten();
        links.any(|(link, id)| {
            let names = behind.split_once("](").map_or(behind, |(_, target)| target);
            let is_it = behind.starts_with(&format!("{link}]")) || names.starts_with(&format!("{link})"));
            is_it && self.item(id).is_some_and(|(target, _, inner)| self.shows(target, inner))
        })
    }
}

/// Whether there is code that is compiled as a test: text and configuration files are none.
fn has_example(item: &Value) -> bool {
    let fences = item["docs"].as_str().unwrap_or_default().lines().filter_map(|line| line.trim().strip_prefix("```"));
    fences.step_by(2).any(|words| ["", "rust", "no_run", "compile_fail"].contains(&words))
}

#[cfg(test)]
mod tests {
    use super::missing;
    use serde_json::{Value, json};

    fn documented(function: &str, structure: &str, links: &Value) -> Value {
        json!({ "root": 0, "index": {
            "0": { "name": "it", "visibility": "public", "docs": "```\n```", "inner": { "module": { "items": [1, 2] } } },
            "1": { "name": "f", "visibility": "public", "docs": function, "inner": { "function": {} } },
            "2": {
                "name": "S", "visibility": "public", "docs": structure, "links": links,
                "inner": { "struct": { "impls": [] } }
            },
        } })
    }

    #[test]
    fn examples_and_links_to_them_count() {
        let code = "It.\n\n```\nf();\n```";
        let see = "See the example of [`f`].";
        let links = json!({ "`f`": 1 });
        assert_eq!(missing(&documented(code, see, &links)), [""; 0]);
        assert_eq!(missing(&documented(code, "See the example of [`f`](f()).", &json!({ "f()": 1 }))), [""; 0]);
        assert_eq!(missing(&documented(code, "Nothing but a word on [`f`].", &links)), ["it::S"]);
        assert_eq!(missing(&documented("```text\nno code\n```", see, &links)), ["it::S", "it::f"]);
    }
}
