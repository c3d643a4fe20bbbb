//! ACLs from JSON and TOML.
//!
//! Both are read into the same tree, which refuses a key that stands twice; then every problem is told at once, with its
//! place.

use super::acl::{Acl, PathRule, without_slash};
use super::address::AddressRule;
use super::rights::Rights;
use crate::profile::clean;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

/// The largest ACL that is read.
const MAX_BYTES: usize = 1 << 20;
/// The most paths and addresses that one may have.
const MAX_RULES: usize = 20_000;
/// As long as the kernel takes a path.
const MAX_PATH: usize = 4095;

/// Why a text is no ACL: all that is wrong with it.
///
/// ```
/// let error = callsieve::nurse::Acl::from_toml("reed = []").unwrap_err();
/// assert!(error.problems()[0].contains("reed"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", shown(problems))]
pub struct AclError {
    problems: Vec<String>,
}

impl AclError {
    /// Each problem, with its place: line and column, or a path such as `$.deny.read[2]`.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    fn one(problem: impl Into<String>) -> Self {
        Self { problems: Vec::from([clean(problem.into())]) }
    }
}

fn shown(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => format!("{} problems in the ACL\n  {}", many.len(), many.join("\n  ")),
    }
}

/// As much of JSON and TOML as an ACL has.
#[derive(Debug)]
enum Tree {
    Text(String),
    List(Vec<Tree>),
    Table(Vec<(String, Tree)>),
    /// Something that never stands in an ACL.
    Other(&'static str),
}

impl Tree {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Builder;
        impl<'de> Visitor<'de> for Builder {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.to_owned()))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Other("a truth value"))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Other("a number"))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree::Other("a number"))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Other("a number"))
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Other("null"))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Tree, A::Error> {
                let mut fields: Vec<(String, Tree)> = Vec::new();
                while let Some((key, value)) = table.next_entry::<String, Tree>()? {
                    if fields.iter().any(|(other, _)| *other == key) {
                        return Err(A::Error::custom(format!("the key {key:?} stands twice")));
                    }
                    fields.push((key, value));
                }
                Ok(Tree::Table(fields))
            }
        }
        deserializer.deserialize_any(Builder)
    }
}

impl Acl {
    /// Reads an ACL from TOML; see [`Acl`] for what it may say.
    pub fn from_toml(text: &str) -> Result<Self, AclError> {
        short_enough(text)?;
        let tree = toml::from_str(text).map_err(|error| {
            let place = error.span().map_or_else(String::new, |span| place(text, span.start));
            AclError::one(format!("{place}{}", error.message().trim_end()))
        })?;
        read(tree)
    }

    /// Reads an ACL from JSON: an object with the same keys as in TOML.
    pub fn from_json(text: &str) -> Result<Self, AclError> {
        short_enough(text)?;
        let tree = serde_json::from_str(text).map_err(|error| AclError::one(error.to_string()))?;
        read(tree)
    }
}

fn short_enough(text: &str) -> Result<(), AclError> {
    if text.len() > MAX_BYTES {
        return Err(AclError::one(format!("an ACL has at most {MAX_BYTES} bytes, this one has {}", text.len())));
    }
    Ok(())
}

/// Line and column of a byte.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    format!("line {line}, column {column}: ")
}

/// Collects rules and problems.
#[derive(Default)]
struct Reader {
    acl: Acl,
    problems: Vec<String>,
    rules: usize,
}

fn read(tree: Tree) -> Result<Acl, AclError> {
    let mut reader = Reader::default();
    reader.table(tree, "$", false);
    if reader.rules > MAX_RULES {
        reader.problems.push(format!("an ACL has at most {MAX_RULES} rules, this one has {}", reader.rules));
    }
    if reader.problems.is_empty() { Ok(reader.acl) } else { Err(AclError { problems: reader.problems }) }
}

impl Reader {
    fn problem(&mut self, at: &str, what: impl fmt::Display) {
        // Beyond that nobody reads on.
        if self.problems.len() < 100 {
            self.problems.push(clean(format!("{at}: {what}")));
        }
    }

    fn table(&mut self, tree: Tree, at: &str, deny: bool) {
        let Tree::Table(fields) = tree else {
            return self.problem(at, format!("a table is expected, not {}", tree.kind()));
        };
        for (key, value) in fields {
            let at = format!("{at}.{key}");
            let right = Rights::NAMES.iter().find(|(name, _)| *name == key).map(|(_, right)| *right);
            match (right, key.as_str()) {
                (Some(rights), _) => {
                    self.list(value, &at, |reader, text| {
                        let (path, itself) = path(text)?;
                        reader.acl.add(PathRule { path, rights, deny, itself });
                        Ok(())
                    });
                }
                (None, "connect" | "bind") => self.list(value, &at, |reader, text| {
                    let rule = AddressRule::parse(text)?;
                    let rules = if key == "bind" { &mut reader.acl.bind } else { &mut reader.acl.connect };
                    if deny { &mut rules.deny } else { &mut rules.allow }.push(rule);
                    Ok(())
                }),
                (None, "deny") if !deny => self.table(value, &at, true),
                (None, _) => {
                    let more = if deny { "" } else { " and deny" };
                    self.problem(&at, format!("unknown key; there are read, write, create, exec, connect, bind{more}"));
                }
            }
        }
    }

    fn list(&mut self, tree: Tree, at: &str, mut add: impl FnMut(&mut Self, &str) -> Result<(), String>) {
        let Tree::List(items) = tree else {
            return self.problem(at, format!("a list of strings is expected, not {}", tree.kind()));
        };
        for (index, item) in items.into_iter().enumerate() {
            self.rules = self.rules.saturating_add(1);
            let at = format!("{at}[{index}]");
            match item {
                Tree::Text(text) => {
                    if let Err(what) = add(self, &text) {
                        self.problem(&at, what);
                    }
                }
                other => self.problem(&at, format!("a string is expected, not {}", other.kind())),
            }
        }
    }
}

/// Reads a path as ACLs write it: how it is looked up, and whether it is meant alone.
pub(super) fn path(text: &str) -> Result<(Vec<u8>, bool), String> {
    let wrong = |why: &str| Err(format!("{text:?} {why}"));
    if !text.starts_with('/') {
        return wrong("is no absolute path; it must begin with /");
    }
    if text.contains('\0') || text.len() > MAX_PATH {
        return wrong("is no path: it is longer than 4095 bytes or holds a NUL byte");
    }
    let (path, itself) = match text.strip_suffix("/.") {
        Some(path) => (path, true),
        None => (text, false),
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    for component in path.split('/').skip(1) {
        match component {
            "" => return wrong("has two slashes in a row"),
            "." | ".." => return wrong("has . or .. in it; write the path that is meant"),
            _ => {}
        }
    }
    Ok((without_slash(path.as_bytes()).to_vec(), itself))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_in_both_formats() {
        let toml = "read = ['/usr', '/home/.']\nconnect = ['tcp:*:80']\n[deny]\nread = ['/usr/secret']\n";
        let json = r#"{"read": ["/usr", "/home/."], "connect": ["tcp:*:80"], "deny": {"read": ["/usr/secret"]}}"#;
        let acl = Acl::from_toml(toml).unwrap();
        assert_eq!(Acl::from_json(json).unwrap(), acl);
        assert_eq!(acl.rights(b"/usr/x"), Rights::READ);
        assert_eq!(acl.rights(b"/usr/secret/x"), Rights::NONE);
        assert_eq!((acl.rights(b"/home"), acl.rights(b"/home/x")), (Rights::READ, Rights::NONE));
    }

    #[test]
    fn every_problem_at_once() {
        let text = r#"{"raed": [], "read": ["usr", 1, "/a/../b", "/a//b"], "deny": {"deny": {}, "write": "x"}, "bind": ["x"]}"#;
        let error = Acl::from_json(text).unwrap_err();
        let places: Vec<_> = error.problems().iter().filter_map(|problem| problem.split(':').next()).collect();
        assert_eq!(
            places,
            ["$.raed", "$.read[0]", "$.read[1]", "$.read[2]", "$.read[3]", "$.deny.deny", "$.deny.write", "$.bind[0]"]
        );
        assert!(error.to_string().starts_with("8 problems in the ACL\n  $.raed: unknown key; there are read, "));
    }

    #[test]
    fn places_in_broken_texts() {
        let error = Acl::from_toml("read = ['/usr']\nwrite = [\n").unwrap_err().to_string();
        assert!(error.starts_with("line 2, column "), "{error}");
        let error = Acl::from_toml("read = []\nread = []\n").unwrap_err().to_string();
        assert!(error.starts_with("line 2, column 1: duplicate key"), "{error}");
        let error = Acl::from_json(r#"{"read": [], "read": []}"#).unwrap_err().to_string();
        assert!(error.contains("\"read\" stands twice at line 1 column "), "{error}");
        assert!(Acl::from_json("[]").unwrap_err().to_string().contains("$: a table is expected, not a list"));
        assert!(Acl::from_json(&"[".repeat(100_000)).is_err());
    }
}
