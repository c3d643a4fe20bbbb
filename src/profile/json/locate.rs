//! Where in a text a JSON path is.

use super::value::Value;
use alloc::borrow::ToOwned;
use alloc::string::String;

/// A place in a text.
///
/// See the example of [`locate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

/// Where the place of a finding ([`Diagnostic::path`](crate::profile::Diagnostic::path)) is in the text of the profile.
///
/// Of a path that leads nowhere, because something is missing, it is the last place that is there; of a key that stands
/// twice the second one. `None` if the text is not JSON and the path does not say the place itself.
///
/// ```
/// use callsieve::profile::locate;
/// let text = "{\n  \"syscalls\": [\n    {\"names\": [\"read\"]}\n  ]\n}";
/// let place = locate(text, "$.syscalls[0].names[0]").unwrap();
/// assert_eq!((place.line, place.column), (3, 16));
/// assert_eq!(locate(text, "$.syscalls[0].action").unwrap().line, 3);
/// ```
pub fn locate(text: &str, path: &str) -> Option<Position> {
    if let Some(place) = path.strip_prefix("line ") {
        let (line, column) = place.split_once(", column ")?;
        return Some(Position { line: line.parse().ok()?, column: column.parse().ok()? });
    }
    let mut value = Value::parse(text).ok()?;
    let mut rest = path.strip_prefix('$')?;
    while let Some((step, behind)) = step(rest) {
        let next = match step {
            Step::Index(index) => value.list().ok().and_then(|list| list.get(index).copied()),
            Step::Key(key) => {
                let fields = value.object().unwrap_or_default();
                fields.into_iter().rev().find(|(name, _)| *name == key).map(|(_, value)| value)
            }
        };
        let Some(next) = next else { break };
        (value, rest) = (next, behind);
    }
    Some(position(text, value.offset_in(text)?))
}

enum Step {
    Key(String),
    Index(usize),
}

/// The first step of a path, and what is behind it.
fn step(path: &str) -> Option<(Step, &str)> {
    if let Some(rest) = path.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        return Some((Step::Key(rest.get(..end)?.to_owned()), rest.get(end..)?));
    }
    let rest = path.strip_prefix('[')?;
    if rest.starts_with('"') {
        let end = rest.rfind("\"]")?;
        let key = serde_json::from_str(rest.get(..=end)?).ok()?;
        return Some((Step::Key(key), rest.get(end.saturating_add(2)..)?));
    }
    let (index, behind) = rest.split_once(']')?;
    Some((Step::Index(index.parse().ok()?), behind))
}

fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
    let line = before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1);
    let column = before.get(start..).unwrap_or_default().chars().count().saturating_add(1);
    Position { line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_lines_and_columns() {
        let text = "{\"a b\": 1,\n \"ä\": {\"x\": [true,\n  [2, 3]]}, \"d\": 1, \"d\": 2}";
        for (path, line, column) in [
            ("$", 1, 1),
            ("$[\"a b\"]", 1, 9),
            ("$[\"ä\"].x[0]", 2, 14),
            ("$[\"ä\"].x[1][1]", 3, 7),
            ("$[\"ä\"].x[7]", 2, 13),
            ("$.missing", 1, 1),
            ("$.d", 3, 26),
            ("line 7, column 5", 7, 5),
        ] {
            assert_eq!(locate(text, path), Some(Position { line, column }), "{path}");
        }
        assert_eq!(locate("{", "$.a"), None);
        assert_eq!(locate(text, "rule 1"), None);
    }
}
