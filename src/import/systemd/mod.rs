//! Units of systemd: `SystemCallFilter=` and what belongs to it.
//!
//! A service manager builds a filter for each ABI of the machine, and one that restricts ABIs; the profile is all of them
//! together. What else a unit can say, such as `RestrictNamespaces=`, makes filters of its own, which are not part of the
//! profile: a warning says so. Drop-ins are read if they stand behind the unit, as `systemctl cat UNIT` prints them.
//!
//! Groups such as `@system-service` are those of [`v252`].
//!
//! See the example of [`Group`].

pub mod v252;

use super::Imported;
use super::report::{Place, Reading, did_you_mean, profile, rule};
use crate::arch::{Arch, Errno, Syscall, nearest};
use crate::bpf::Action;
use crate::profile::json::value::{cut, quote};
use crate::profile::{Call, Code, Foreign, IntoCalls};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// A group of calls with a name, such as `@system-service`.
///
/// A group is a list of calls wherever calls are expected. Many calls exist on some ABIs only, so a profile that is not
/// for all of them has to be [`portable`](crate::Profile::portable); a sandbox is.
///
/// ```
/// use callsieve::bpf::Action;
/// use callsieve::import::systemd::v252;
/// use callsieve::Profile;
///
/// let profile = Profile::new(Action::Errno(1)).allow(v252::SYSTEM_SERVICE).portable();
/// assert!(v252::SYSTEM_SERVICE.calls().contains(&"openat"));
/// assert!(!v252::SYSTEM_SERVICE.calls().contains(&"mount"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Group {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Calls, and groups.
    pub(super) members: &'static [&'static str],
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Group").field(&self.name).finish()
    }
}

impl Group {
    /// The name, with its `@`.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// What systemd says about it.
    pub const fn about(self) -> &'static str {
        self.about
    }

    /// The calls, those of its groups included, in alphabetical order. systemd also names calls of machines that have no
    /// seccomp (Alpha, SPARC); they are left out.
    pub fn calls(self) -> Vec<&'static str> {
        let mut calls = Vec::new();
        self.collect(&mut calls, 0);
        calls.retain(|call| Syscall::from_name(call).is_some());
        calls.sort_unstable();
        calls.dedup();
        calls
    }

    fn collect(self, calls: &mut Vec<&'static str>, depth: usize) {
        for member in self.members {
            match named(member).filter(|_| depth < super::MAX_DEPTH) {
                Some(group) => group.collect(calls, depth.saturating_add(1)),
                None => calls.push(member),
            }
        }
    }
}

impl IntoCalls for Group {
    fn into_calls(self) -> Vec<Call> {
        self.calls().into_calls()
    }
}

/// The group with a name, such as `@basic-io`.
///
/// ```
/// use callsieve::import::systemd::named;
/// assert!(named("@basic-io").unwrap().calls().contains(&"read"));
/// assert!(named("@basic").is_none());
/// ```
pub fn named(name: &str) -> Option<Group> {
    v252::ALL.into_iter().find(|group| group.name == name)
}

/// Names of ABIs in `SystemCallArchitectures=`.
const ARCHES: [(&str, Arch); 21] = [
    ("x86", Arch::X86),
    ("x86-64", Arch::X86_64),
    ("x32", Arch::X32),
    ("arm", Arch::Arm),
    ("arm64", Arch::Aarch64),
    ("loongarch64", Arch::Loongarch64),
    ("mips", Arch::Mips),
    ("mips64", Arch::Mips64),
    ("mips64-n32", Arch::Mips64n32),
    ("mips-le", Arch::Mipsel),
    ("mips64-le", Arch::Mipsel64),
    ("mips64-le-n32", Arch::Mipsel64n32),
    ("parisc", Arch::Parisc),
    ("parisc64", Arch::Parisc64),
    ("ppc", Arch::Ppc),
    ("ppc64", Arch::Ppc64),
    ("ppc64-le", Arch::Ppc64le),
    ("riscv64", Arch::Riscv64),
    ("s390", Arch::S390),
    ("s390x", Arch::S390x),
    ("native", Arch::X86_64),
];

/// The name of an ABI in `SystemCallArchitectures=`.
pub(crate) fn arch_name(arch: Arch) -> Option<&'static str> {
    ARCHES.iter().find(|(name, own)| *own == arch && *name != "native").map(|(name, _)| *name)
}

/// Settings that make filters of their own.
const OTHER_FILTERS: [&str; 12] = [
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "PrivateDevices",
    "ProtectClock",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
];

/// Sections whose units execute something.
const SECTIONS: [&str; 4] = ["Service", "Socket", "Mount", "Swap"];

/// Reads a unit, or lines of one.
pub(super) fn read(reading: &mut Reading<'_>) -> Vec<Imported> {
    let mut unit = Unit { reading, filter: None, log: None, error: Action::KillProcess, arches: None, section: None };
    for line in lines(unit.reading.text) {
        unit.line(&line);
    }
    unit.finish()
}

/// A line without its continuations: parts of the text with their offsets.
struct Line<'t> {
    parts: Vec<(usize, &'t str)>,
}

/// Lines that are not empty and no comments. A backslash joins two; comments may stand between them.
fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let (mut at, mut joined) = (0_usize, false);
    for raw in text.split_inclusive('\n') {
        let begin = at;
        at = at.saturating_add(raw.len());
        let content = raw.trim_end_matches(['\n', '\r']);
        let trimmed = content.trim_start();
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        let more = content.ends_with('\\');
        let content = content.strip_suffix('\\').unwrap_or(content);
        if joined {
            if let Some(last) = lines.last_mut() {
                last.parts.push((begin, content));
            }
        } else if !content.trim().is_empty() || more {
            lines.push(Line { parts: Vec::from([(begin, content)]) });
        }
        joined = more;
    }
    lines
}

/// Calls with their answers; `None` is the answer of the list.
type Calls = BTreeMap<String, (Option<Action>, Place)>;

/// A list of calls: whether it allows or denies (logs or does not log), and the calls.
struct List {
    allows: bool,
    calls: Calls,
}

struct Unit<'r, 't> {
    reading: &'r mut Reading<'t>,
    filter: Option<List>,
    log: Option<List>,
    /// For what is not allowed.
    error: Action,
    arches: Option<Vec<Arch>>,
    section: Option<&'t str>,
}

impl<'t> Unit<'_, 't> {
    fn error(&mut self, code: Code, offset: usize, message: impl Into<String>) {
        self.reading.error_at(code, offset, message);
    }

    fn warn(&mut self, code: Code, offset: usize, message: &str) {
        let place = self.reading.place(offset);
        self.reading.warn(code, &place, message);
    }

    fn line(&mut self, line: &Line<'t>) {
        let Some(&(begin, first)) = line.parts.first() else { return };
        let indent = first.len().saturating_sub(first.trim_start().len());
        let at = begin.saturating_add(indent);
        if let Some(rest) = first.trim().strip_prefix('[') {
            match rest.strip_suffix(']') {
                Some(name) => self.section = Some(name),
                None => self.error(Code::Syntax, at, "the name of a section ends with ]"),
            }
            return;
        }
        let Some((key, value)) = first.split_once('=') else {
            self.error(Code::Syntax, at, "a section [NAME] or an assignment KEY=VALUE is expected");
            return;
        };
        let key = key.trim();
        let behind = begin.saturating_add(first.len().saturating_sub(value.len()));
        let mut parts = Vec::from([(behind, value)]);
        parts.extend(line.parts.iter().skip(1).copied());
        let about_calls = key.starts_with("SystemCall");
        if !about_calls {
            let off = ["no", "false", "0", "off", ""].contains(&value.trim());
            if OTHER_FILTERS.contains(&key) && !off {
                let message = format!("{key}= makes a filter of its own, which is not part of the profile");
                self.warn(Code::NotExpressible, at, &message);
            }
            return;
        }
        if let Some(section) = self.section.filter(|section| !SECTIONS.contains(section)) {
            let hint = if section == "Exec" {
                "of a container, where systemd-nspawn has a list of its own that this one changes; that cannot be read"
            } else {
                "which has no such setting; systemd ignores it"
            };
            self.error(Code::UnknownKey, at, format!("{}= in section [{}], {hint}", cut(key), cut(section)));
            return;
        }
        match key {
            "SystemCallFilter" => self.filter = self.list(&parts, true),
            "SystemCallLog" => self.log = self.list(&parts, false),
            "SystemCallErrorNumber" => self.error_number(&parts),
            "SystemCallArchitectures" => self.architectures(&parts),
            _ => {
                let known = ["SystemCallFilter", "SystemCallLog", "SystemCallErrorNumber", "SystemCallArchitectures"];
                let hint = nearest(key, known).map(|near| format!(" (did you mean {near}=?)")).unwrap_or_default();
                self.error(
                    Code::UnknownKey,
                    at,
                    format!("unknown setting {}={hint}; known are {}=", cut(key), known.join("=, ")),
                );
            }
        }
    }

    /// One more assignment of a list of calls.
    fn list(&mut self, parts: &[(usize, &'t str)], is_filter: bool) -> Option<List> {
        let mut list = if is_filter { self.filter.take() } else { self.log.take() };
        let mut words = words(parts).peekable();
        let Some(&(_, first)) = words.peek() else {
            // An empty assignment takes all others back.
            return None;
        };
        let inverted = first.starts_with('~');
        let mut list = list.take().unwrap_or_else(|| {
            let mut calls = Calls::new();
            if is_filter && !inverted {
                let place = self.reading.place(parts.first().map_or(0, |part| part.0));
                let default = v252::DEFAULT.calls();
                calls.extend(default.into_iter().map(|call| (call.to_string(), (None, place.clone()))));
            }
            List { allows: !inverted, calls }
        });
        for (index, (at, word)) in words.enumerate() {
            let word = if index == 0 && inverted { word.get(1..).unwrap_or_default() } else { word };
            let at = if index == 0 && inverted { at.saturating_add(1) } else { at };
            if !word.is_empty() {
                self.item(&mut list, (at, word), inverted, is_filter);
            }
        }
        Some(list)
    }

    /// One word of a list: `call`, `@group`, and with `:errno` behind it.
    fn item(&mut self, list: &mut List, (at, word): (usize, &str), inverted: bool, is_filter: bool) {
        let (name, answer) = match word.split_once(':') {
            None => (word, None),
            Some((name, answer)) => {
                let place = at.saturating_add(name.len()).saturating_add(1);
                let Some(action) = self.answer(place, answer, 0) else { return };
                if !is_filter || !inverted {
                    let message = "only calls of a deny list (~) can have an error; systemd ignores this one";
                    self.error(Code::ErrnoOnWrongAction, at, message);
                    return;
                }
                (name, Some(action))
            }
        };
        let calls: Vec<&str> = if name.starts_with('@') {
            let Some(group) = named(name) else {
                let near = nearest(name, v252::ALL.iter().map(|group| group.name));
                let hint = did_you_mean(near);
                self.error(
                    Code::BadField,
                    at,
                    format!("unknown group {}{hint}; groups are those of systemd 252", quote(name)),
                );
                return;
            };
            group.calls()
        } else {
            if Syscall::from_name(name).is_none() {
                let hint = did_you_mean(Syscall::nearest(name));
                let message = format!("unknown system call {}{hint}; systemd ignores it", quote(name));
                self.error(Code::UnknownSyscall, at, message);
                return;
            }
            Vec::from([name])
        };
        let place = self.reading.place(at);
        for call in calls {
            // A denied call of an allow list that has an error of its own stays, with that error.
            if inverted != list.allows || answer.is_some() {
                list.calls.insert(call.into(), (answer, place.clone()));
            } else {
                list.calls.remove(call);
            }
        }
    }

    /// An error number, the name of an error, or `kill`.
    fn answer(&mut self, at: usize, word: &str, least: u16) -> Option<Action> {
        if word == "kill" {
            return Some(Action::KillProcess);
        }
        let number = match word.parse::<u16>() {
            Ok(number) => Some(number).filter(|number| (least..=Action::MAX_ERRNO).contains(number)),
            Err(_) => Errno::from_name(self.reading.arch(), word).map(Errno::get),
        };
        if number.is_none() {
            let most = Action::MAX_ERRNO;
            let message = format!("unknown error {}: a name such as EPERM, {least} to {most}, or kill", quote(word));
            self.error(Code::ErrnoRange, at, message);
        }
        number.map(Action::Errno)
    }

    fn error_number(&mut self, parts: &[(usize, &'t str)]) {
        let mut words = words(parts);
        self.error = match words.next() {
            None => Action::KillProcess,
            Some((at, word)) => self.answer(at, word, 1).unwrap_or(self.error),
        };
        if let Some((at, word)) = words.next() {
            self.error(Code::Syntax, at, format!("unexpected {}: one error is expected", quote(word)));
        }
    }

    fn architectures(&mut self, parts: &[(usize, &'t str)]) {
        let mut any = false;
        for (at, word) in words(parts) {
            any = true;
            let native = self.reading.arch();
            let Some((name, arch)) = ARCHES.iter().find(|(own, _)| *own == word) else {
                let near = nearest(word, ARCHES.iter().map(|(name, _)| *name));
                let hint = did_you_mean(near);
                let known: Vec<&str> = ARCHES.iter().map(|(name, _)| *name).collect();
                let message = format!("unknown architecture {}{hint}; known are {}", quote(word), known.join(", "));
                self.error(Code::BadField, at, message);
                continue;
            };
            let arch = if *name == "native" { native } else { *arch };
            if !local(native).contains(&arch) {
                let message =
                    format!("{arch} is no architecture of a machine with {native}; it never makes calls there");
                self.warn(Code::ArchList, at, &message);
            }
            self.arches.get_or_insert_default().push(arch);
        }
        if !any {
            self.arches = None;
        }
    }

    fn finish(self) -> Vec<Imported> {
        let native = self.reading.arch();
        let Self { filter, log, error, arches, .. } = self;
        if filter.is_none() && log.is_none() && arches.is_none() && !self.reading.has_errors() {
            let message =
                "no SystemCallFilter=, SystemCallLog= or SystemCallArchitectures= in force: there is no filter";
            self.reading.error_at(Code::BadField, 0, message);
        }
        let mut listed: Vec<Arch> = local(native).to_vec();
        if let Some(mut arches) = arches.clone() {
            if arches.contains(&Arch::X32) || native == Arch::X32 {
                arches.push(Arch::X86_64);
            }
            listed.retain(|arch| *arch == native || arches.contains(arch));
        }
        let bad_arch = if arches.is_some() { Action::KillThread } else { Action::Allow };
        let foreign = Foreign { bad_arch, x32_is_unlisted: false, multiplexes: true };
        let default = |list: &Option<List>, allowed: Action, denied: Action| match list {
            Some(List { allows: true, .. }) => denied,
            _ => allowed,
        };
        let filter_default = default(&filter, Action::Allow, error);
        // A log list logs what it names, an inverted one what it does not name.
        let log_default = match &log {
            Some(List { allows: false, .. }) => Action::Log,
            _ => Action::Allow,
        };
        let mut answers: BTreeMap<String, (Action, Place)> = BTreeMap::new();
        let names = filter.iter().chain(&log).flat_map(|list| &list.calls);
        for (name, (_, place)) in names {
            let own = filter.as_ref().and_then(|list| Some((list.allows, list.calls.get(name)?.0)));
            let by_filter = match own {
                Some((_, Some(answer))) => answer,
                Some((true, None)) => Action::Allow,
                Some((false, None)) => error,
                None => filter_default,
            };
            let by_log = match log.as_ref().filter(|list| list.calls.contains_key(name)) {
                Some(List { allows: true, .. }) => Action::Log,
                Some(List { allows: false, .. }) => Action::Allow,
                None => log_default,
            };
            answers.entry(name.clone()).or_insert_with(|| (by_filter.min(by_log), place.clone()));
        }
        let default = filter_default.min(log_default);
        let rules = answers.into_iter().filter(|(_, (action, _))| *action != default);
        let rules =
            rules.map(|(name, (action, place))| rule(Vec::from([Call::Name(name)]), action, Vec::new(), &place));
        let mut profile = profile(default, &listed, foreign, rules.collect());
        profile.portable = true;
        Vec::from([Imported { name: None, profile, frequencies: Vec::new() }])
    }
}

/// The words of a value with their offsets.
fn words<'t, 'p>(parts: &'p [(usize, &'t str)]) -> impl Iterator<Item = (usize, &'t str)> + use<'t, 'p> {
    parts.iter().flat_map(|&(begin, text)| {
        text.split_whitespace().map(move |word| {
            let offset = word.as_ptr().addr().saturating_sub(text.as_ptr().addr());
            (begin.saturating_add(offset), word)
        })
    })
}

/// The ABIs for which systemd makes filters on a machine, its own first.
const fn local(native: Arch) -> &'static [Arch] {
    match native {
        Arch::X86_64 => &[Arch::X86_64, Arch::X86, Arch::X32],
        Arch::X32 => &[Arch::X32, Arch::X86_64, Arch::X86],
        Arch::X86 => &[Arch::X86],
        Arch::Aarch64 => &[Arch::Aarch64, Arch::Arm],
        Arch::Arm => &[Arch::Arm],
        Arch::Loongarch64 => &[Arch::Loongarch64],
        Arch::Riscv64 => &[Arch::Riscv64],
        Arch::Riscv32 => &[Arch::Riscv32],
        Arch::S390x => &[Arch::S390x, Arch::S390],
        Arch::S390 => &[Arch::S390],
        // Of both byte orders only those of the machine's own can run.
        Arch::Ppc64 => &[Arch::Ppc64, Arch::Ppc],
        Arch::Ppc64le => &[Arch::Ppc64le],
        Arch::Ppc => &[Arch::Ppc],
        Arch::Mips => &[Arch::Mips],
        Arch::Mipsel => &[Arch::Mipsel],
        Arch::Mips64 => &[Arch::Mips64, Arch::Mips64n32, Arch::Mips],
        Arch::Mipsel64 => &[Arch::Mipsel64, Arch::Mipsel64n32, Arch::Mipsel],
        Arch::Mips64n32 => &[Arch::Mips64n32, Arch::Mips64, Arch::Mips],
        Arch::Mipsel64n32 => &[Arch::Mipsel64n32, Arch::Mipsel64, Arch::Mipsel],
        Arch::Parisc64 => &[Arch::Parisc64, Arch::Parisc],
        Arch::Parisc => &[Arch::Parisc],
        Arch::M68k => &[Arch::M68k],
        Arch::Sh => &[Arch::Sh],
        Arch::Sheb => &[Arch::Sheb],
    }
}
