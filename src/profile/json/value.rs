//! JSON, taken apart only as far as the reader asks.
//!
//! `serde_json` checks the whole text once and finds the borders of values. A [`Value`] is the text between such
//! borders: numbers stay as they are written, objects keep the order and the repetition of their keys, and what nobody
//! asks for is never built, however deeply it is nested.

use super::super::limits::MAX_LIST;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A value of a text that was found to be JSON.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a>(&'a str);

/// The fields of an object as they stand.
pub(crate) type Fields<'a> = Vec<(String, Value<'a>)>;

impl<'a> Value<'a> {
    /// The value that is the whole text; an error if the text is not JSON.
    pub(crate) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<&RawValue>(text).map(|raw| Self(raw.get()))
    }

    /// The fields of the object that is the whole text. `None` if there is something wrong with it: then
    /// [`Value::parse`] and [`Value::object`] tell what.
    pub(crate) fn object_of(text: &'a str) -> Option<Fields<'a>> {
        let object: Object<'a> = serde_json::from_str(text).ok()?;
        (!object.is_cut).then_some(object.fields)
    }

    /// Where the value begins in the text that it was taken from; `None` of another text.
    pub(crate) fn offset_in(self, text: &str) -> Option<usize> {
        let offset = self.0.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        (offset <= text.len()).then_some(offset)
    }

    pub(crate) fn is_null(self) -> bool {
        self.0 == "null"
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// The value in messages.
    pub(crate) fn describe(self) -> String {
        match self.0.as_bytes().first() {
            Some(b'{') => "an object".to_owned(),
            Some(b'[') => "a list".to_owned(),
            Some(b'"') => match serde_json::from_str::<String>(self.0) {
                Ok(text) => format!("the string {}", quote(&text)),
                Err(_) => "a string with a broken escape".to_owned(),
            },
            Some(b'-' | b'0'..=b'9') => format!("the number {}", cut(self.0)),
            _ => self.0.to_owned(),
        }
    }

    /// The value as a string, or what it is instead.
    pub(crate) fn text(self) -> Result<String, String> {
        match self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            // As it stands, which is nearly always so.
            Some(plain) if !plain.contains('\\') => Ok(plain.to_owned()),
            _ => self.parsed('"', "a string"),
        }
    }

    /// The elements of a list, or what it is instead.
    pub(crate) fn list(self) -> Result<Vec<Self>, String> {
        let list: Vec<&'a RawValue> = self.parsed('[', "a list")?;
        Ok(list.into_iter().map(|raw| Self(raw.get())).collect())
    }

    /// The fields of an object, or what it is instead.
    pub(crate) fn object(self) -> Result<Fields<'a>, String> {
        let object: Object<'a> = self.parsed('{', "an object")?;
        if object.is_cut {
            return Err(format!("the object has more than {MAX_LIST} keys"));
        }
        Ok(object.fields)
    }

    /// The value as something that begins with `first`. That the text is JSON was found before; only escapes of strings
    /// were not looked at then.
    fn parsed<T: Deserialize<'a>>(self, first: char, expected: &str) -> Result<T, String> {
        if !self.0.starts_with(first) {
            return Err(self.instead_of(expected));
        }
        serde_json::from_str(self.0).map_err(|_| format!("{expected} is expected, found one with a broken escape"))
    }

    /// A whole number in digits only, or what it is instead. `max` is for the message; the caller judges larger numbers.
    pub(crate) fn whole(self, max: u64) -> Result<u64, String> {
        let digits = self.0.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(number) = digits.then(|| self.0.parse().ok()).flatten() {
            return Ok(number);
        }
        let meant = self.meant().filter(|number| *number <= max);
        let hint = meant.map(|number| format!(" (write {number})")).unwrap_or_default();
        Err(format!("{}{hint}", self.instead_of(&format!("a whole number from 0 to {max}"))))
    }

    /// The number that was meant, if that is plain.
    fn meant(self) -> Option<u64> {
        let text = self.0.trim_matches('"');
        if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            u64::from_str_radix(hex, 16).ok()
        } else if text.starts_with('-') {
            text.parse().ok().map(i64::cast_unsigned)
        } else {
            text.parse().ok()
        }
    }

    fn instead_of(self, expected: &str) -> String {
        format!("{expected} is expected, found {}", self.describe())
    }
}

/// A text from the file, in quotes, without control characters and not too long.
pub(crate) fn quote(text: &str) -> String {
    format!("{:?}", cut(text))
}

/// At most 60 characters of a text.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => text.get(..end).map(|start| format!("{start}...")).unwrap_or_default(),
        None => text.to_string(),
    }
}

/// An object with its keys in order, repeated ones included.
struct Object<'a> {
    fields: Fields<'a>,
    /// Whether there are more keys than are kept.
    is_cut: bool,
}

impl<'a> Deserialize<'a> for Object<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'a> Visitor<'a> for Keys {
    type Value = Object<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &'a RawValue>()? {
            fields.push((key, Value(value.get())));
            if fields.len() > MAX_LIST {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(Object { fields, is_cut: true });
            }
        }
        Ok(Object { fields, is_cut: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Result<u64, String> {
        Value::parse(text).unwrap().whole(u64::MAX)
    }

    #[test]
    fn numbers_are_taken_as_written() {
        assert_eq!(whole("0"), Ok(0));
        assert_eq!(whole(" 18446744073709551615 "), Ok(u64::MAX));
        for (text, tail) in [
            ("18446744073709551616", "the number 18446744073709551616"),
            ("-1", "the number -1 (write 18446744073709551615)"),
            ("1.5", "the number 1.5"),
            ("1e3", "the number 1e3"),
            (r#""0x1f""#, r#"the string "0x1f" (write 31)"#),
            (r#""5""#, r#"the string "5" (write 5)"#),
            ("true", "true"),
            ("{}", "an object"),
        ] {
            let message = whole(text).unwrap_err();
            assert!(message.ends_with(&format!("found {tail}")), "{message}");
        }
    }

    #[test]
    fn repeated_keys_stay() {
        let value = Value::parse(r#"{"b": [1, [2]], "a": "x", "b": null}"#).unwrap();
        let fields = value.object().unwrap();
        let keys: Vec<_> = fields.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["b", "a", "b"]);
        assert_eq!(fields[0].1.list().unwrap().len(), 2);
        assert_eq!(fields[1].1.text().unwrap(), "x");
        assert!(fields[2].1.is_null());
    }

    #[test]
    fn texts_in_messages_are_short_and_printable() {
        assert_eq!(quote("a\u{1b}[2J\"\n"), r#""a\u{1b}[2J\"\n""#);
        assert_eq!(quote(&"é".repeat(100)).chars().count(), 65);
        assert_eq!(Value::parse(r#""\ud800""#).unwrap().describe(), "a string with a broken escape");
    }
}
