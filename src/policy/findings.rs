//! Collects what resolving finds: one message for each place in the profile, however many calls and ABIs it concerns.

use crate::arch::Arch;
use crate::profile::{Code, Diagnostic, Diagnostics, Profile, Severity};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Calls that one message names.
const NAMES_SHOWN: usize = 100;

/// Something found, about one call on one ABI where that applies.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) code: Code,
    /// The entry; `None` for the profile as a whole.
    pub(super) entry: Option<usize>,
    /// Which name of the entry.
    pub(super) name: Option<usize>,
    pub(super) arg: Option<usize>,
    /// The other entry that has a part in it.
    pub(super) other: Option<usize>,
    pub(super) call: Option<String>,
    pub(super) arch: Option<Arch>,
    pub(super) text: String,
}

impl Finding {
    pub(super) fn new(severity: Severity, code: Code, entry: Option<usize>) -> Self {
        Self { severity, code, entry, name: None, arg: None, other: None, call: None, arch: None, text: String::new() }
    }
}

/// What is reported as one: the same thing at the same place, with the same partner.
type Key = (Option<usize>, Option<usize>, Option<usize>, &'static str, Option<usize>);

#[derive(Debug)]
struct Group {
    severity: Severity,
    code: Code,
    calls: BTreeSet<String>,
    arches: BTreeSet<Arch>,
    text: String,
}

/// All that was found.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    profile: &'a Profile,
    groups: BTreeMap<Key, Group>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(profile: &'a Profile) -> Self {
        Self { profile, groups: BTreeMap::new() }
    }

    /// Adds a finding. Of several at one place the text of the severest counts, the first of them.
    pub(super) fn add(&mut self, finding: Finding) {
        let key = (finding.entry, finding.name, finding.arg, finding.code.as_str(), finding.other);
        let group = self.groups.entry(key).or_insert_with(|| Group {
            severity: finding.severity,
            code: finding.code,
            calls: BTreeSet::new(),
            arches: BTreeSet::new(),
            text: finding.text.clone(),
        });
        if finding.severity > group.severity {
            group.severity = finding.severity;
            group.text = finding.text;
        }
        group.calls.extend(finding.call);
        group.arches.extend(finding.arch);
    }

    /// Everything in the order of the file, after what the reader found. ABIs are named where not all are concerned.
    pub(super) fn finish(self, arches: &[Arch]) -> Diagnostics {
        let mut all = self.profile.diagnostics.clone();
        for ((entry, name, arg, ..), group) in &self.groups {
            let mut path = place(self.profile, *entry, *arg);
            if let Some(name) = name.filter(|_| path.starts_with('$')) {
                path.push_str(&format!(".names[{name}]"));
            }
            all.push(Diagnostic::new(group.severity, group.code, path, group.message(arches)));
        }
        all
    }
}

/// `$.syscalls[3].args[0]`, `rule 3, condition 1`, or the profile as a whole.
pub(super) fn place(profile: &Profile, entry: Option<usize>, arg: Option<usize>) -> String {
    let json = profile.dialect != crate::profile::Dialect::Builder;
    let Some(rule) = entry.and_then(|entry| profile.rules.get(entry)) else {
        return if json { "$".into() } else { "profile".into() };
    };
    match arg {
        None => rule.path.clone(),
        Some(arg) if json => format!("{}.args[{arg}]", rule.path),
        Some(arg) => format!("{}, condition {}", rule.path, arg.saturating_add(1)),
    }
}

impl Group {
    fn message(&self, listed: &[Arch]) -> String {
        let mut message = String::new();
        if !self.calls.is_empty() {
            let shown: Vec<&str> = self.calls.iter().take(NAMES_SHOWN).map(String::as_str).collect();
            message.push_str(&shown.join(", "));
            if let Some(more @ 1..) = self.calls.len().checked_sub(shown.len()) {
                message.push_str(&format!(" and {more} more"));
            }
        }
        if !self.arches.is_empty() && self.arches.len() < listed.len() {
            let names: Vec<String> = self.arches.iter().map(ToString::to_string).collect();
            message.push_str(&format!("{}on {}", if message.is_empty() { "" } else { " " }, names.join(", ")));
        }
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&self.text);
        message
    }
}
