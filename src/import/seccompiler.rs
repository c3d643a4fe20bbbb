//! The JSON of the crate `seccompiler` and of Firecracker: an object with a filter for each thread.
//!
//! Both are read by the same code, because the second came from the first; what differs is what they do with a file:
//!
//! | | seccompiler | Firecracker |
//! |---|---|---|
//! | names of the actions | `mismatch_action`, `match_action`, or as Firecracker | `default_action`, `filter_action` |
//! | unknown keys | an error | ignored |
//! | `"args": []` | an error | no condition |
//! | `dword` | every operator sees 32 bits | only `eq` does |
//! | a call with conditions and once without | the conditions count | the entry without them counts |
//! | the same argument twice in an entry | both must hold | an error |
//! | x32 calls, other architectures | as unlisted numbers, KILL_PROCESS | KILL_THREAD |

use super::report::{Place, Reading, did_you_mean, profile, rule};
use super::{Imported, Language};
use crate::arch::nearest;
use crate::bpf::Action;
use crate::profile::json::report::Path;
use crate::profile::json::value::{Fields, Value, quote};
use crate::profile::limits::{MAX_CONDITIONS, MAX_RULES};
use crate::profile::{Arg, Call, Code, Foreign, Op, Profile, Rule, Width};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const LOW: u64 = 0xffff_ffff;

const OPERATORS: [(&str, Op); 6] =
    [("eq", Op::Eq), ("ne", Op::Ne), ("lt", Op::Lt), ("le", Op::Le), ("gt", Op::Gt), ("ge", Op::Ge)];

const ACTIONS: [&str; 8] = ["allow", "log", "trap", "kill_thread", "kill_process", "user_notif", "errno", "trace"];

/// Reads the filters of a file.
pub(super) fn read(reading: &mut Reading<'_>) -> Vec<Imported> {
    let language = reading.importer.language;
    let text = reading.text;
    let mut reader = Reader { text, reading, language, rules: 0, conditions: 0 };
    let value = match Value::parse(text) {
        Ok(value) => value,
        Err(error) => {
            reader.not_json(&error);
            return Vec::new();
        }
    };
    let Some(fields) = reader.object(value, &Path::Root) else { return Vec::new() };
    if fields.is_empty() {
        reader.error(
            Code::BadField,
            value,
            &Path::Root,
            "there is no filter; an object of filters by name is expected",
        );
    }
    let mut imported = Vec::new();
    for (name, value) in fields {
        let filter = reader.filter(value, &Path::Root.key(&name));
        imported.extend(filter.map(|profile| Imported { name: Some(name), profile, frequencies: Vec::new() }));
    }
    imported
}

struct Reader<'r, 't> {
    text: &'t str,
    reading: &'r mut Reading<'t>,
    language: Language,
    rules: usize,
    conditions: usize,
}

impl<'t> Reader<'_, 't> {
    fn is_firecracker(&self) -> bool {
        self.language == Language::Firecracker
    }

    fn not_json(&mut self, error: &serde_json::Error) {
        let text = format!("{error}");
        let what = text.split(" at line ").next().unwrap_or(&text);
        let place = Place { file: None, line: error.line().max(1), column: error.column().max(1) };
        self.reading.error(Code::Syntax, &place, format!("not JSON: {what}"));
    }

    fn place(&self, value: Value<'_>) -> Place {
        self.reading.place(value.offset_in(self.text).unwrap_or(0))
    }

    fn error(&mut self, code: Code, value: Value<'_>, path: &Path<'_>, message: impl AsRef<str>) {
        let place = self.place(value);
        self.reading.error(code, &place, format!("{path}: {}", message.as_ref()));
    }

    fn warn(&mut self, code: Code, value: Value<'_>, path: &Path<'_>, message: &str) {
        let place = self.place(value);
        self.reading.warn(code, &place, &format!("{path}: {message}"));
    }

    fn keep<T>(&mut self, value: Value<'_>, path: &Path<'_>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.error(Code::BadField, value, path, message)).ok()
    }

    /// The fields of an object; a key that stands twice is an error.
    fn object(&mut self, value: Value<'t>, path: &Path<'_>) -> Option<Fields<'t>> {
        let fields = self.keep(value, path, value.object())?;
        let mut seen = BTreeSet::new();
        for (key, value) in &fields {
            if !seen.insert(key.as_str()) {
                let message = "the key stands here a second time, and readers differ in which one counts; remove one";
                self.error(Code::DuplicateKey, *value, &path.key(key), message);
            }
        }
        Some(fields)
    }

    /// The same, of an object that has these keys only.
    fn known(&mut self, value: Value<'t>, path: &Path<'_>, keys: &[&str]) -> Option<Fields<'t>> {
        let fields = self.object(value, path)?;
        for (key, value) in fields.iter().filter(|(key, _)| !keys.contains(&key.as_str())) {
            let hint = did_you_mean(nearest(key, keys.iter().copied()));
            let message = format!("unknown key{hint}; known are {}", keys.join(", "));
            if self.is_firecracker() {
                self.warn(Code::UnknownKey, *value, &path.key(key), &format!("{message}; Firecracker ignores it"));
            } else {
                self.error(Code::UnknownKey, *value, &path.key(key), message);
            }
        }
        Some(fields)
    }

    fn required(&mut self, object: Value<'t>, fields: &Fields<'t>, path: &Path<'_>, key: &str) -> Option<Value<'t>> {
        let value = fields.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
        if value.is_none() {
            self.error(Code::BadField, object, path, format!("\"{key}\" is missing"));
        }
        value
    }

    fn filter(&mut self, value: Value<'t>, path: &Path<'_>) -> Option<Profile> {
        let (newer, older) = (["mismatch_action", "match_action"], ["default_action", "filter_action"]);
        let keys = [newer[0], newer[1], older[0], older[1], "filter"];
        let fields = self.known(value, path, if self.is_firecracker() { &keys[2..] } else { &keys })?;
        let default = self.one_of(value, &fields, path, newer[0], older[0]);
        let action = self.one_of(value, &fields, path, newer[1], older[1]);
        let list = self.required(value, &fields, path, "filter");
        let path = path.key("filter");
        let list = list.and_then(|list| self.keep(list, &path, list.list()))?;
        // Where an action is wrong, another one stands in to find the other problems.
        let (default, action) = (default.unwrap_or(Action::KillProcess), action.unwrap_or(Action::Allow));
        if default == action {
            let message = format!("both actions are {action}, so no rule does anything; give two different ones");
            self.error(Code::EqualsDefault, value, &path, message);
        }
        let mut entries = Vec::new();
        for (index, entry) in list.into_iter().enumerate() {
            self.rules = self.rules.saturating_add(1);
            if self.rules > MAX_RULES {
                self.error(Code::TooLarge, entry, &path, format!("more than {MAX_RULES} entries"));
                break;
            }
            entries.extend(self.entry(entry, &path.index(index), action));
        }
        if !self.is_firecracker() {
            self.drop_hidden(&mut entries);
        }
        let foreign = Foreign {
            bad_arch: if self.is_firecracker() { Action::KillThread } else { Action::KillProcess },
            x32_is_unlisted: !self.is_firecracker(),
            multiplexes: self.is_firecracker(),
        };
        Some(profile(default, &[self.reading.arch()], foreign, entries.into_iter().map(|(_, rule)| rule).collect()))
    }

    /// The action under a key or its older name.
    fn one_of(
        &mut self,
        object: Value<'t>,
        fields: &Fields<'t>,
        path: &Path<'_>,
        newer: &str,
        older: &str,
    ) -> Option<Action> {
        let find = |key: &str| fields.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
        let newer_value = if self.is_firecracker() { None } else { find(newer) };
        let (key, value) = match (newer_value, find(older)) {
            (Some(_), Some(value)) => {
                let message = format!("\"{newer}\" and \"{older}\" are two names of the same action; remove one");
                self.error(Code::BothForms, value, &path.key(older), message);
                return None;
            }
            (Some(value), None) => (newer, value),
            (None, Some(value)) => (older, value),
            (None, None) => {
                let message = match find(newer) {
                    Some(_) => {
                        format!("\"{older}\" is missing; \"{newer}\" is seccompiler's word (--from seccompiler)")
                    }
                    None if self.is_firecracker() => format!("\"{older}\" is missing"),
                    None => format!("\"{newer}\" or \"{older}\" is missing"),
                };
                self.error(Code::BadField, object, path, message);
                return None;
            }
        };
        self.action(value, &path.key(key))
    }

    fn action(&mut self, value: Value<'t>, path: &Path<'_>) -> Option<Action> {
        if value.is_object() {
            let fields = self.object(value, path)?;
            let [(key, number)] = fields.as_slice() else {
                let message = "an action with a number has one key, \"errno\" or \"trace\"";
                self.error(Code::BadField, value, path, message);
                return None;
            };
            let path = path.key(key);
            let most: u16 = match key.as_str() {
                "errno" => Action::MAX_ERRNO,
                "trace" => u16::MAX,
                _ => {
                    let message = "unknown action with a number; known are errno and trace";
                    self.error(Code::BadField, value, &path, message);
                    return None;
                }
            };
            let wanted = self.keep(*number, &path, number.whole(most.into()))?;
            let Some(data) = u16::try_from(wanted).ok().filter(|data| *data <= most) else {
                let code = if key == "errno" { Code::ErrnoRange } else { Code::BadField };
                self.error(code, *number, &path, format!("{wanted} is out of range: 0 to {most} are allowed"));
                return None;
            };
            return Some(if key == "errno" { Action::Errno(data) } else { Action::Trace(data) });
        }
        let word = self.keep(value, path, value.text())?;
        match word.as_str() {
            "allow" => Some(Action::Allow),
            "log" => Some(Action::Log),
            "trap" => Some(Action::Trap(0)),
            "kill_thread" => Some(Action::KillThread),
            "kill_process" => Some(Action::KillProcess),
            "user_notif" if !self.is_firecracker() => Some(Action::Notify),
            "errno" | "trace" => {
                self.error(Code::BadField, value, path, format!("{word} needs a number: {{\"{word}\": 1}}"));
                None
            }
            _ => {
                let known: Vec<&str> =
                    ACTIONS.into_iter().filter(|word| *word != "user_notif" || !self.is_firecracker()).collect();
                let hint = did_you_mean(nearest(&word, known.iter().copied()));
                let (word, known) = (quote(&word), known.join(", "));
                let message = format!("unknown action {word}{hint}; known are {known}");
                self.error(Code::BadField, value, path, message);
                None
            }
        }
    }

    /// An entry, with the name of its call.
    fn entry(&mut self, value: Value<'t>, path: &Path<'_>, action: Action) -> Option<(String, Rule)> {
        let fields = self.known(value, path, &["syscall", "args", "comment"])?;
        let find = |key: &str| fields.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
        let comment = find("comment").filter(|comment| !comment.is_null());
        let comment = comment.and_then(|comment| self.keep(comment, &path.key("comment"), comment.text()));
        let args = self.args(find("args").filter(|args| !args.is_null()), &path.key("args"));
        let name = self.required(value, &fields, path, "syscall")?;
        let place = self.place(name);
        let name = self.keep(name, &path.key("syscall"), name.text())?;
        if !self.reading.knows(&name, &place) {
            return None;
        }
        let calls = Vec::from([Call::Name(name.clone())]);
        Some((name, Rule { comment, ..rule(calls, action, args?, &place) }))
    }

    fn args(&mut self, value: Option<Value<'t>>, path: &Path<'_>) -> Option<Vec<Arg>> {
        let Some(value) = value else { return Some(Vec::new()) };
        let list = self.keep(value, path, value.list())?;
        if list.is_empty() && !self.is_firecracker() {
            let message = "the list is empty, which seccompiler refuses; leave it out, or give a condition";
            self.error(Code::BadField, value, path, message);
        }
        self.conditions = self.conditions.saturating_add(list.len());
        if self.conditions > MAX_CONDITIONS {
            self.error(Code::TooLarge, value, path, format!("more than {MAX_CONDITIONS} conditions"));
            return None;
        }
        let mut args: Vec<Arg> = Vec::new();
        let mut complete = true;
        for (index, value) in list.into_iter().enumerate() {
            let path = path.index(index);
            let Some(arg) = self.condition(value, &path) else {
                complete = false;
                continue;
            };
            if self.is_firecracker() && args.iter().any(|other| other.index == arg.index) {
                let message = format!("argument {} is compared twice, which libseccomp refuses", arg.index);
                self.error(Code::RepeatedIndex, value, &path, message);
            }
            args.push(arg);
        }
        complete.then_some(args)
    }

    fn condition(&mut self, value: Value<'t>, path: &Path<'_>) -> Option<Arg> {
        let fields = self.known(value, path, &["index", "type", "op", "val", "comment"])?;
        let mut required = |key: &str| self.required(value, &fields, path, key);
        let (index, width, op, val) = (required("index"), required("type"), required("op"), required("val"));
        let (index, width, op, val) = (index?, width?, op?, val?);
        let number = self.keep(index, &path.key("index"), index.whole(5))?;
        let Some(number) = u8::try_from(number).ok().filter(|number| *number < 6) else {
            let message = format!("argument index {number} is out of range: a system call has arguments 0 to 5");
            self.error(Code::BadField, index, &path.key("index"), message);
            return None;
        };
        let word = self.keep(width, &path.key("type"), width.text())?;
        let is_wide = match word.as_str() {
            "qword" => true,
            "dword" => false,
            _ => {
                let message = format!("unknown type {}; known are dword (32 bits) and qword (64 bits)", quote(&word));
                self.error(Code::BadField, width, &path.key("type"), message);
                return None;
            }
        };
        let place = path.key("val");
        let val_number = self.keep(val, &place, val.whole(u64::MAX))?;
        let (op, mask) = self.operator(op, &path.key("op"))?;
        Some(self.meant(val, &place, &Meant { index: number, is_wide, op, mask, value: val_number }))
    }

    /// The operator, and the mask of `masked_eq`.
    fn operator(&mut self, value: Value<'t>, path: &Path<'_>) -> Option<(Op, u64)> {
        if value.is_object() {
            let fields = self.object(value, path)?;
            if let [(key, mask)] = fields.as_slice()
                && key == "masked_eq"
            {
                return Some((Op::MaskedEq, self.keep(*mask, &path.key(key), mask.whole(u64::MAX))?));
            }
        } else {
            let word = self.keep(value, path, value.text())?;
            if let Some((_, op)) = OPERATORS.iter().find(|(name, _)| *name == word) {
                return Some((*op, 0));
            }
        }
        let message = format!(
            "unknown operator; known are {} and {{\"masked_eq\": MASK}}",
            OPERATORS.map(|row| row.0).join(", ")
        );
        self.error(Code::BadField, value, path, message);
        None
    }

    /// The comparison that the language's compiler makes of a condition.
    fn meant(&mut self, val: Value<'t>, path: &Path<'_>, condition: &Meant) -> Arg {
        let Meant { index, is_wide, op, mask, value } = *condition;
        let narrow = !is_wide && (!self.is_firecracker() || op == Op::Eq);
        if self.is_firecracker() && !is_wide && !narrow && op != Op::MaskedEq {
            let message = "compares all 64 bits: Firecracker takes dword into account with eq only";
            self.warn(Code::WideComparison, val, path, message);
        }
        let (width, bits) = if narrow { (Width::Bits32, LOW) } else { (Width::Bits64, u64::MAX) };
        if value & !bits != 0 || mask & !bits != 0 {
            self.warn(Code::ConstantTooWide, val, path, "only the low 32 bits of a dword are compared");
        }
        let (mask, value) = (mask & bits, value & bits);
        if op != Op::MaskedEq {
            return Arg { index, op, value, value_two: 0, width };
        }
        if value & !mask != 0 {
            let message = "expects bits that are outside of the mask; they are ignored";
            self.warn(Code::MaskedValueOutsideMask, val, path, message);
        }
        Arg { index, op, value: mask, value_two: value & mask, width }
    }

    /// seccompiler forgets an entry without conditions if the call has another one with conditions.
    fn drop_hidden(&mut self, entries: &mut Vec<(String, Rule)>) {
        let mut checked: BTreeMap<String, String> = BTreeMap::new();
        for (name, rule) in entries.iter().filter(|(_, rule)| !rule.args.is_empty()) {
            checked.entry(name.clone()).or_insert_with(|| rule.path.clone());
        }
        let mut dropped = Vec::new();
        entries.retain(|(name, rule)| {
            let hidden = rule.args.is_empty().then(|| checked.get(name)).flatten();
            dropped.extend(hidden.map(|other| (rule.path.clone(), name.clone(), other.clone())));
            hidden.is_none()
        });
        for (path, name, other) in dropped {
            let message = format!(
                "{name} has an entry with conditions as well ({other}), and seccompiler takes only that into account; \
                 remove one"
            );
            self.reading.warn_text(Code::Shadowed, &path, &message);
        }
    }
}

/// A condition as it is written.
struct Meant {
    index: u8,
    is_wide: bool,
    op: Op,
    mask: u64,
    value: u64,
}
