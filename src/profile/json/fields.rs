//! Objects of the schema: which keys they may have, and taking values out of them.

use super::super::limits::MAX_LIST;
use super::super::{Code, Dialect};
use super::report::{Path, Report};
use super::value::{Fields, Value};
use super::words::suggest;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The keys of an object.
pub(super) struct Keys {
    /// In both dialects.
    pub(super) common: &'static [&'static str],
    /// In the Docker dialect only.
    pub(super) superset: &'static [&'static str],
}

/// An object whose keys were looked through.
pub(super) struct Object<'a, 'p> {
    fields: Fields<'a>,
    pub(super) path: &'p Path<'p>,
}

impl<'a, 'p> Object<'a, 'p> {
    /// Takes an object apart.
    pub(super) fn open(
        value: Value<'a>,
        path: &'p Path<'p>,
        keys: &Keys,
        dialect: Dialect,
        report: &mut Report,
    ) -> Option<Self> {
        Some(Self::of(report.keep(path, value.object())?, path, keys, dialect, report))
    }

    /// Looks through the keys of an object; repeated and foreign ones are reported.
    pub(super) fn of(
        fields: Fields<'a>,
        path: &'p Path<'p>,
        keys: &Keys,
        dialect: Dialect,
        report: &mut Report,
    ) -> Self {
        let mut seen = BTreeSet::new();
        for (key, value) in &fields {
            let place = path.key(key);
            if !seen.insert(key.as_str()) {
                let message = "the key stands here a second time, and readers differ in which one counts; remove one";
                report.error(Code::DuplicateKey, &place, message);
            } else if keys.superset.contains(&key.as_str()) {
                if dialect == Dialect::Oci && !value.is_null() {
                    report.error(Code::SupersetInOci, &place, superset_message());
                }
            } else if let Some(word) = keys.in_other_case(key) {
                report.error(Code::UnknownKey, &place, in_other_case_message(word));
            } else if !keys.common.contains(&key.as_str()) {
                report.warn_with(Code::UnknownKey, &place, || keys.unknown(key, &fields));
            }
        }
        Self { fields, path }
    }

    /// The value of a key, unless it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| *value).filter(|value| !value.is_null())
    }

    /// The value of a key that has to be there. In other case it has been reported already.
    pub(super) fn required(&self, key: &str, what: &str, report: &mut Report) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() && !self.fields.iter().any(|(name, _)| name != key && name.eq_ignore_ascii_case(key)) {
            report.error(Code::BadField, &self.path.key(key), format!("missing: {what} is required"));
        }
        value
    }

    /// A string, if it is given and not empty.
    pub(super) fn text(&self, key: &str, report: &mut Report) -> Option<String> {
        let value = self.get(key)?;
        report.keep(&self.path.key(key), value.text()).filter(|text| !text.is_empty())
    }

    /// The elements of a list; none if it is absent, null or no list.
    pub(super) fn list(&self, key: &str, report: &mut Report) -> Vec<Value<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        report.keep(&self.path.key(key), value.list()).unwrap_or_default()
    }

    /// The strings of a short list, each made into something.
    pub(super) fn words<T>(
        &self,
        key: &str,
        report: &mut Report,
        mut read: impl FnMut(&str, &Path<'_>, &mut Report) -> Option<T>,
    ) -> Vec<T> {
        let list = self.list(key, report);
        let place = self.path.key(key);
        if list.len() > MAX_LIST {
            let message = format!("the list has {} elements, at most {MAX_LIST} are read", list.len());
            report.error(Code::TooLarge, &place, message);
        }
        let mut words = Vec::new();
        for (index, value) in list.into_iter().take(MAX_LIST).enumerate() {
            let place = place.index(index);
            let text = report.keep(&place, value.text());
            words.extend(text.and_then(|text| read(&text, &place, report)));
        }
        words
    }
}

impl Keys {
    /// The key that this one is but for upper and lower case. Readers written in Go take it for that one, others ignore
    /// it, and then conditions vanish: too dangerous for a warning.
    fn in_other_case(&self, key: &str) -> Option<&'static str> {
        let mut words = self.common.iter().chain(self.superset).copied();
        words.find(|word| *word != key && word.eq_ignore_ascii_case(key))
    }

    /// What to say about an unknown key. Of the keys that are there already none can have been meant, and a key with an
    /// underscore in front is a comment.
    fn unknown(&self, key: &str, fields: &Fields<'_>) -> String {
        let is_there = |word: &str| fields.iter().any(|(key, _)| key == word || key == "names" && word == "name");
        let absent = self.common.iter().chain(self.superset).copied().filter(|word| !is_there(word));
        match suggest(key, &absent).filter(|_| !key.starts_with('_')) {
            Some(word) => format!("unknown key, ignored (did you mean \"{word}\"?)"),
            None => String::from("unknown key, ignored"),
        }
    }
}

fn in_other_case_message(word: &str) -> String {
    format!("some readers take this key for \"{word}\" and others ignore it; write \"{word}\"")
}

fn superset_message() -> &'static str {
    "a key of the Docker dialect: OCI runtimes ignore it, and the profile would mean something else; read it as docker"
}
