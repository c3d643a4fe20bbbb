//! YAML, and with it JSON, as a tree with places.
//!
//! The parser is a crate, because YAML has a long tail of syntax; what is kept of it here is what Kubernetes objects
//! need: mappings, sequences and scalars. Aliases and tags are refused, and nesting is bounded.

use super::MAX_NESTING;
use super::report::{Place, Reading};
use crate::profile::Code;
use crate::profile::json::value::quote;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A scalar; without quotes it can be a number, a truth value or null.
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file; keys may be repeated.
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(fields) => {
                fields.iter().find(|(own, _)| own == key).map(|(_, node)| node).filter(|node| !node.is_null())
            }
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, is_plain: true } if ["", "~", "null", "Null", "NULL"].contains(&text.as_str()))
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// The node as JSON. A plain scalar is a number or a truth value if it looks like one.
    pub(super) fn to_json(&self) -> String {
        match &self.kind {
            Kind::Scalar { .. } if self.is_null() => "null".into(),
            Kind::Scalar { text, is_plain: true } if ["true", "false"].contains(&text.as_str()) => text.clone(),
            Kind::Scalar { text, is_plain } => {
                let number = is_plain.then(|| number(text)).flatten();
                number.unwrap_or_else(|| serde_json::Value::from(text.as_str()).to_string())
            }
            Kind::List(list) => format!("[{}]", list.iter().map(Self::to_json).collect::<Vec<_>>().join(",")),
            Kind::Map(fields) => {
                let field = |(key, node): &(String, Self)| {
                    format!("{}:{}", serde_json::Value::from(key.as_str()), node.to_json())
                };
                format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// A number as JSON writes it.
fn number(text: &str) -> Option<String> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(|value| value.to_string());
    if let Some(hex) = text.strip_prefix("0x") {
        return radix(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return radix(octal, 8);
    }
    let starts = text.trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit());
    (starts && serde_json::from_str::<serde_json::Number>(text).is_ok()).then(|| text.into())
}

/// The documents of a text. What is wrong is reported.
pub(super) fn documents(text: &str, reading: &mut Reading<'_>) -> Vec<Node> {
    let mut builder = Builder { documents: Vec::new(), open: Vec::new() };
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.event(event, &span.start),
            Err(error) => Err((place(error.marker()), format!("not YAML: {}", error.info()))),
        };
        if let Err((place, message)) = step {
            reading.error(Code::Syntax, &place, message);
            return Vec::new();
        }
    }
    builder.documents
}

/// Lines are counted from 1 by the parser, columns from 0.
fn place(marker: &Marker) -> Place {
    Place { file: None, line: marker.line().max(1), column: marker.col().saturating_add(1) }
}

/// A list or a map that is not complete yet.
struct Open {
    node: Node,
    /// The key whose value comes next.
    key: Option<String>,
}

struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
}

type Wrong = (Place, String);

impl Builder {
    fn event(&mut self, event: Event<'_>, marker: &Marker) -> Result<(), Wrong> {
        let place = place(marker);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
            Event::Alias(_) => Err((place, "an alias (*name) is not read here; write the value out".into())),
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                Err((place, "a tag (!name) is not read here; leave it out".into()))
            }
            Event::Scalar(text, style, ..) => {
                let is_plain = style == ScalarStyle::Plain;
                self.scalar(text, is_plain, place)
            }
            Event::SequenceStart(..) => self.begin(Kind::List(Vec::new()), place),
            Event::MappingStart(..) => self.begin(Kind::Map(Vec::new()), place),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.add(open.node),
                None => Ok(()),
            },
        }
    }

    fn begin(&mut self, kind: Kind, place: Place) -> Result<(), Wrong> {
        if self.open.len() >= MAX_NESTING {
            return Err((place, format!("more than {MAX_NESTING} lists and objects inside of each other")));
        }
        if let Some(Open { node: Node { kind: Kind::Map(_), .. }, key: None }) = self.open.last() {
            return Err((place, "the key of a mapping has to be a text".into()));
        }
        self.open.push(Open { node: Node { place, kind }, key: None });
        Ok(())
    }

    fn scalar(&mut self, text: Cow<'_, str>, is_plain: bool, place: Place) -> Result<(), Wrong> {
        if let Some(Open { node: Node { kind: Kind::Map(_), .. }, key: key @ None }) = self.open.last_mut() {
            *key = Some(text.into_owned());
            return Ok(());
        }
        self.add(Node { place, kind: Kind::Scalar { text: text.into_owned(), is_plain } })
    }

    fn add(&mut self, node: Node) -> Result<(), Wrong> {
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut open.node.kind {
            Kind::List(list) => list.push(node),
            Kind::Map(fields) => {
                let key = open.key.take().unwrap_or_default();
                if fields.iter().any(|(own, _)| *own == key) {
                    return Err((node.place, format!("the key {} stands here a second time; remove one", quote(&key))));
                }
                fields.push((key, node));
            }
            Kind::Scalar { .. } => {}
        }
        Ok(())
    }
}
