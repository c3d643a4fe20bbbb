//! An ACL from what a program did.

use super::acl::Acl;
use super::name::Name;
use super::rights::Rights;
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// The most paths that are kept; what comes after is not learned.
const MAX_PATHS: usize = 20_000;

/// What a program used.
#[derive(Debug, Default)]
pub(super) struct Learned {
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    paths: BTreeMap<Vec<u8>, Rights>,
    addresses: BTreeMap<&'static str, BTreeSet<String>>,
    full: bool,
}

impl Learned {
    /// Notes a path. Looking at something is noted, too.
    pub(super) fn path(&self, name: &Name, rights: Rights) {
        // What was removed or has no name cannot be said in an ACL.
        let Name::Path(path) = name else { return };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.paths.len() >= MAX_PATHS && !found.paths.contains_key(path) {
            found.full = true;
            return;
        }
        let known = found.paths.entry(path.clone()).or_default();
        *known = *known | rights;
    }

    pub(super) fn address(&self, kind: &'static str, address: String) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.addresses.entry(kind).or_default().insert(address);
    }

    /// As TOML, beyond what an ACL allows already.
    pub(super) fn to_toml(&self, acl: &Acl) -> String {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from(
            "# What a program used, learned by callsieve nurse. Read it before you trust it: a path covers all that is\n\
             # below it, \"/.\" behind a path means that one alone. Where the program made something, the folder is named.\n",
        );
        if found.full {
            let _ = writeln!(text, "# The program used more than {MAX_PATHS} paths; the rest is not here.");
        }
        for (key, right) in Rights::NAMES {
            let _ = write!(text, "{key} = [");
            let paths: BTreeSet<String> =
                found.paths.iter().filter_map(|(path, rights)| rule(path, *rights, right, acl)).collect();
            list(&mut text, &paths);
        }
        for key in ["connect", "bind"] {
            let _ = write!(text, "{key} = [");
            list(&mut text, found.addresses.get(key).unwrap_or(&BTreeSet::new()));
        }
        text
    }
}

/// How a path stands in the list of a right.
fn rule(path: &[u8], used: Rights, right: Rights, acl: &Acl) -> Option<String> {
    // To know of something one needs any right.
    let wanted = if used.is_none() && right == Rights::READ {
        if acl.is_visible(path) { Rights::NONE } else { Rights::READ }
    } else {
        used & right
    };
    if wanted.without(acl.rights(path)).is_none() {
        return None;
    }
    // An ACL is text.
    let text = core::str::from_utf8(path).ok()?;
    let real = if text.is_empty() { "/" } else { text };
    let made = used.has(Rights::CREATE);
    let is_folder = std::path::Path::new(real).is_dir();
    Some(match text.rfind('/') {
        // Another time the names may be others.
        Some(0) if made => "/".to_owned(),
        Some(end) if made => text.get(..end)?.to_owned(),
        _ if is_folder && text.is_empty() => "/.".to_owned(),
        _ if is_folder => alloc::format!("{text}/."),
        _ => real.to_owned(),
    })
}

fn list(text: &mut String, items: &BTreeSet<String>) {
    for item in items {
        let _ = write!(text, "\n    {},", quoted(item));
    }
    text.push_str(if items.is_empty() { "]\n" } else { "\n]\n" });
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_reads_back() {
        let learned = Learned::default();
        let path = |text: &str| Name::Path(text.as_bytes().to_vec());
        learned.path(&path("/etc/passwd"), Rights::READ);
        learned.path(&path("/usr"), Rights::NONE);
        learned.path(&path(""), Rights::NONE);
        learned.path(&path("/no/such \"odd\\\n"), Rights::READ);
        learned.path(&path("/no/such/made"), Rights::CREATE | Rights::WRITE);
        learned.address("connect", "tcp:127.0.0.1:80".into());
        let text = learned.to_toml(&Acl::new());
        let acl = Acl::from_toml(&text).unwrap();
        assert_eq!(acl.rights(b"/etc/passwd"), Rights::READ);
        assert_eq!((acl.rights(b"/usr"), acl.rights(b"/usr/bin")), (Rights::READ, Rights::NONE));
        assert_eq!(acl.rights(b"/no/such \"odd\\\n"), Rights::READ);
        assert_eq!(acl.rights(b"/no/such/other"), Rights::CREATE | Rights::WRITE);
        assert!(text.contains("connect = [\n    \"tcp:127.0.0.1:80\",\n]"), "{text}");
        assert_eq!(learned.to_toml(&acl).matches("\n    ").count(), 1);
    }
}
