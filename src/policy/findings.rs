//! Collects what resolving finds: one message for each place in the profile, however many calls and ABIs it concerns.

use crate::arch::Arch;
use crate::profile::{Code, Diagnostic, Diagnostics, Profile, Severity};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Calls that one message names.
const NAMES_SHOWN: usize = 100;

/// Findings of one kind that are shown; the others are counted.
const FINDINGS_SHOWN: usize = 200;

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
        let mut shown: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut hidden: BTreeMap<&'static str, (usize, Severity, Code)> = BTreeMap::new();
        for ((entry, name, arg, ..), group) in &self.groups {
            let shown = shown.entry(group.code.as_str()).or_default();
            *shown = shown.saturating_add(1);
            if *shown > FINDINGS_SHOWN {
                let (count, worst, _) = hidden.entry(group.code.as_str()).or_insert((0, group.severity, group.code));
                (*count, *worst) = (count.saturating_add(1), group.severity.max(*worst));
                continue;
            }
            let place = match name {
                Some(name) => name_place(self.profile, *entry, *name),
                None => place(self.profile, *entry, *arg),
            };
            all.push(Diagnostic::new(group.severity, group.code, place, group.message(arches)));
        }
        for (code, (count, severity, kind)) in hidden {
            let text = format!("{count} more of the kind {code}");
            all.push(Diagnostic::new(severity, kind, place(self.profile, None, None), text));
        }
        all
    }
}

/// `$.syscalls[3].args[0]`, `rule 3, condition 1`, or the profile as a whole.
pub(super) fn place(profile: &Profile, entry: Option<usize>, arg: Option<usize>) -> String {
    use crate::profile::Dialect;
    let json = matches!(profile.dialect, Dialect::Oci | Dialect::Docker);
    let Some(rule) = entry.and_then(|entry| profile.rules.get(entry)) else {
        return if json { "$".into() } else { "profile".into() };
    };
    match arg {
        None => rule.path.clone(),
        Some(arg) if json => format!("{}.args[{arg}]", rule.path),
        Some(arg) => format!("{}, condition {}", rule.path, arg.saturating_add(1)),
    }
}

/// `$.syscalls[3].names[0]`. Where an entry has one name, it may be in an older key, so the entry is the place.
fn name_place(profile: &Profile, entry: Option<usize>, name: usize) -> String {
    let place = place(profile, entry, None);
    let calls = entry.and_then(|entry| profile.rules.get(entry)).map_or(0, |rule| rule.calls.len());
    if calls > 1 && place.starts_with('$') { format!("{place}.names[{name}]") } else { place }
}

impl Group {
    fn message(&self, listed: &[Arch]) -> String {
        let mut about = Vec::new();
        if !self.calls.is_empty() {
            let shown: Vec<&str> = self.calls.iter().take(NAMES_SHOWN).map(String::as_str).collect();
            about.push(shown.join(", "));
            match self.calls.len().saturating_sub(shown.len()) {
                0 => {}
                more => about.push(format!("and {more} more")),
            }
        }
        if !self.arches.is_empty() && self.arches.len() < listed.len() {
            let names: Vec<&str> = self.arches.iter().map(|arch| arch.short_name()).collect();
            about.push(format!("on {}", names.join(", ")));
        }
        if about.is_empty() { self.text.clone() } else { format!("{}: {}", about.join(" "), self.text) }
    }
}
