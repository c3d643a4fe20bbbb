//! Places in files, and what is found there.

use super::text::Spot;
use super::{Imported, Importer, MAX_FILES};
use crate::arch::{Arch, Syscall};
use crate::bpf::Action;
use crate::profile::json::report::Report;
use crate::profile::json::value::quote;
use crate::profile::limits::{MAX_BYTES, MAX_TESTS};
use crate::profile::{
    ActionSpec, Arg, Call, Code, Dialect, Foreign, ListedArch, Profile, ProfileError, Rule, shortened,
};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// Characters of a file's name in a message.
const MAX_SHOWN: usize = 200;

/// A place in the main file, or in an included one, which then is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: Option<String>,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// `line 3, column 7`, and before it the path of an included file.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}, ")?;
        }
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Lines and columns of a text, each found in constant time however long lines are.
struct Index {
    /// Offsets at which lines begin.
    lines: Vec<usize>,
    /// Characters before each multiple of [`STEP`], and all of them.
    characters: Vec<usize>,
}

const STEP: usize = 64;

impl Index {
    fn new(text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = core::iter::once(0).chain(newlines.map(|(at, _)| at.saturating_add(1))).collect();
        let mut seen = 0_usize;
        let count = |chunk: &[u8]| {
            let before = seen;
            seen = seen.saturating_add(starts(chunk));
            before
        };
        let mut characters: Vec<usize> = text.as_bytes().chunks(STEP).map(count).collect();
        characters.push(seen);
        Self { lines, characters }
    }

    /// Characters before an offset.
    fn characters(&self, text: &str, offset: usize) -> usize {
        let chunk = offset / STEP;
        let rest = text.as_bytes().get(chunk.saturating_mul(STEP)..offset).unwrap_or_default();
        self.characters.get(chunk).map_or(0, |before| before.saturating_add(starts(rest)))
    }

    fn place(&self, text: &str, offset: usize) -> Place {
        let line = self.lines.partition_point(|begin| *begin <= offset).max(1);
        let begin = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.characters(text, offset).saturating_sub(self.characters(text, begin)).saturating_add(1);
        Place { file: None, line, column }
    }
}

/// Characters that begin in these bytes.
fn starts(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// One file being read: what it is read with, and what was found.
pub(super) struct Reading<'t> {
    pub(super) importer: Importer<'t>,
    pub(super) text: &'t str,
    index: Index,
    report: Report,
    errors: usize,
    /// The paths of the files that were read, the main one first.
    files: Vec<String>,
    /// Bytes of all of them.
    bytes: usize,
    /// Comparisons of all rules, each as often as it has calls.
    tests: usize,
}

impl<'t> Reading<'t> {
    pub(super) fn new(importer: Importer<'t>, text: &'t str) -> Self {
        Self {
            importer,
            text,
            index: Index::new(text),
            report: Report::default(),
            errors: 0,
            files: Vec::from([importer.name.to_string()]),
            bytes: text.len(),
            tests: 0,
        }
    }

    pub(super) fn arch(&self) -> Arch {
        self.importer.arch
    }

    /// The place of an offset in the main file.
    pub(super) fn place(&self, offset: usize) -> Place {
        self.index.place(self.text, offset)
    }

    /// A place in one of the files that were read.
    pub(super) fn show(&self, spot: Spot) -> Place {
        let named = self.files.get(spot.file).filter(|_| spot.file > 0);
        // A message may name more than one.
        let file = named.map(|file| shortened(file.clone(), MAX_SHOWN));
        Place { file, line: spot.line, column: spot.column }
    }

    /// The text of a file that is included at a place, and its number.
    pub(super) fn open(&mut self, spot: Spot, path: &str) -> Option<(String, usize)> {
        let place = self.show(spot);
        let including = self.files.get(spot.file).map_or("", String::as_str);
        let folder = including.rfind('/').and_then(|end| including.get(..=end)).unwrap_or_default();
        let path = path.trim_start_matches("./");
        let path = if path.starts_with('/') { path.to_string() } else { format!("{folder}{path}") };
        let text = match self.importer.files {
            None => Err("no files can be included here".to_string()),
            Some(_) if self.files.len() > MAX_FILES => Err(format!("more than {MAX_FILES} files are included")),
            Some(files) => files(&path),
        };
        let message = match text {
            Ok(text) if self.bytes.saturating_add(text.len()) <= MAX_BYTES => {
                self.bytes = self.bytes.saturating_add(text.len());
                self.files.push(path);
                return Some((text, self.files.len().saturating_sub(1)));
            }
            Ok(_) => format!("all files together have more than {MAX_BYTES} bytes"),
            Err(reason) => format!("cannot include {}: {reason}", quote(&path)),
        };
        self.error(Code::TooLarge, &place, message);
        None
    }

    /// Counts the comparisons of rules for so many calls. Whether that is still allowed; if not, it has been reported.
    pub(super) fn spend(&mut self, spot: Spot, calls: usize, alternatives: &[Vec<Arg>]) -> bool {
        let tests: usize = alternatives.iter().map(|list| list.len().saturating_add(1)).sum();
        let before = self.tests;
        self.tests = before.saturating_add(tests.saturating_mul(calls));
        if self.tests <= MAX_TESTS {
            return true;
        }
        // Once is enough.
        if before <= MAX_TESTS {
            let place = self.show(spot);
            self.error(Code::TooLarge, &place, format!("more than {MAX_TESTS} comparisons in all rules together"));
        }
        false
    }

    pub(super) fn error(&mut self, code: Code, place: &Place, message: impl Into<String>) {
        self.errors = self.errors.saturating_add(1);
        self.report.error(code, place, message);
    }

    pub(super) fn error_at(&mut self, code: Code, offset: usize, message: impl Into<String>) {
        let place = self.place(offset);
        self.error(code, &place, message);
    }

    pub(super) fn warn(&mut self, code: Code, place: &Place, message: &str) {
        self.report.warn(code, place, message);
    }

    /// A warning at a place that is already written out.
    pub(super) fn warn_text(&mut self, code: Code, place: &str, message: &str) {
        self.report.warn(code, &place, message);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether a name of a machine, in a language's words, is this machine; an unknown one is an error.
    pub(super) fn is_machine(&mut self, machines: &[(&str, Arch)], name: &str, spot: Spot) -> bool {
        let known = machines.iter().find(|(own, _)| *own == name);
        if known.is_none() {
            let names: Vec<&str> = machines.iter().map(|(own, _)| *own).collect();
            let place = self.show(spot);
            self.error(
                Code::BadField,
                &place,
                format!("unknown machine {}; known are {}", quote(name), names.join(", ")),
            );
        }
        known.is_some_and(|(_, arch)| *arch == self.importer.arch)
    }

    /// Whether the machine has a call of this name; if not, an error says what it has.
    pub(super) fn knows(&mut self, name: &str, place: &Place) -> bool {
        let arch = self.importer.arch;
        if arch.number(name).is_some() {
            return true;
        }
        let (code, message) = if let Some(call) = Syscall::from_name(name) {
            let others: Vec<&str> = call.arches().take(4).map(Arch::short_name).collect();
            let text = format!("{arch} has no call {}; {} and others have", quote(name), others.join(", "));
            (Code::OtherArchOnly, text)
        } else {
            let hint = did_you_mean(Syscall::nearest(name));
            (Code::UnknownSyscall, format!("unknown system call {}{hint}", quote(name)))
        };
        self.error(code, place, message);
        false
    }

    /// The profiles, each with what was found, if nothing was an error.
    pub(super) fn finish(self, mut imported: Vec<Imported>) -> Result<Vec<Imported>, ProfileError> {
        let found = self.report.finish()?;
        for one in &mut imported {
            one.profile.diagnostics = found.clone();
        }
        Ok(imported)
    }
}

/// ` (did you mean "WORD"?)`, if there is a word that is near.
pub(super) fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!(" (did you mean {}?)", quote(near))).unwrap_or_default()
}

/// A profile for these ABIs.
pub(super) fn profile(default: Action, arches: &[Arch], foreign: Foreign, rules: Vec<Rule>) -> Profile {
    let mut profile = Profile::new(default);
    profile.dialect = Dialect::Imported;
    profile.foreign = Some(foreign);
    profile.architectures = arches.iter().map(|arch| ListedArch::Arch(*arch)).collect();
    profile.rules = rules;
    profile
}

/// A rule that was written at a place.
pub(super) fn rule(calls: Vec<Call>, action: impl Into<ActionSpec>, args: Vec<Arg>, place: &Place) -> Rule {
    Rule::new(calls, action, args, place.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters() {
        let text = format!("ä{}\nb\n\nü{}x", "é".repeat(100), "y".repeat(200));
        let index = Index::new(&text);
        let at = |offset: usize| {
            let place = index.place(&text, offset);
            (place.line, place.column)
        };
        for (offset, _) in text.char_indices() {
            let before = &text[..offset];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
            assert_eq!(at(offset), (line, column), "{offset}");
        }
        assert_eq!(at(text.len()), (4, 203));
    }
}
