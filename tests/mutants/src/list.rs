//! The mutants that cargo-mutants knows, with their places as bytes of the source.

use crate::run::Failed;
use serde::Deserialize;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

/// The names of mutants, by which explanations stay, are those of one version.
const VERSION: &str = "27.1.0";

pub struct Mutant {
    /// From 1 on: 0 is the unchanged library.
    pub number: u32,
    pub file: String,
    /// Without the place, and with a number if the file has several of one name.
    pub name: String,
    pub kind: Kind,
    /// What is replaced, and by what.
    pub range: Range<usize>,
    pub replacement: String,
    /// The function around it, with its signature.
    pub function: Option<Range<usize>>,
    /// Its return type is opaque, so that one function cannot return two different values.
    pub opaque: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    StructField,
}

#[derive(Deserialize)]
struct Listed {
    file: String,
    name: String,
    genre: Kind,
    replacement: String,
    span: Place,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    return_type: String,
    span: Place,
}

#[derive(Deserialize)]
struct Place {
    start: Position,
    end: Position,
}

/// Both count from 1, columns in characters.
#[derive(Deserialize)]
struct Position {
    line: usize,
    column: usize,
}

impl Mutant {
    /// The source with this change.
    pub fn applied(&self, source: &str) -> String {
        let (before, after) = (&source[..self.range.start], &source[self.range.end..]);
        format!("{before}{}{after}", self.replacement)
    }
}

/// Those of these files, in the order of the files and of their places.
pub fn mutants(root: &Path, sources: &HashMap<String, String>, files: &[String]) -> Result<Vec<Mutant>, Failed> {
    install()?;
    let mut command = Command::new("cargo");
    command.args(["mutants", "--no-config", "--list", "--json"]).current_dir(root);
    for file in files {
        command.args(["-f", file]);
    }
    let output = command.output().map_err(|error| format!("cargo mutants: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo mutants: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let mut listed: Vec<Listed> =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo mutants: {error}"))?;
    let order = |file: &str| files.iter().position(|one| one == file);
    listed.retain(|one| order(&one.file).is_some());
    listed.sort_by_key(|one| (order(&one.file), one.span.start.line, one.span.start.column));
    let mut names = HashMap::new();
    let mutant = |(number, one): (u32, Listed)| {
        let source = &sources[&one.file];
        let short = one.name.split_once(": ").map_or(one.name.as_str(), |(_, short)| short);
        let count: &mut u32 = names.entry((one.file.clone(), short.to_owned())).or_default();
        *count += 1;
        let name = if *count > 1 { format!("{short} #{count}") } else { short.to_owned() };
        Mutant {
            number,
            name,
            kind: one.genre,
            range: one.span.bytes(source),
            function: one.function.as_ref().map(|function| function.span.bytes(source)),
            opaque: one.function.is_some_and(|function| function.return_type.contains("impl ")),
            replacement: one.replacement,
            file: one.file,
        }
    };
    Ok((1..).zip(listed).map(mutant).collect())
}

/// Only when there is something to test, because it takes minutes.
fn install() -> Result<(), Failed> {
    let cargo =
        |arguments: &[&str]| Command::new("cargo").args(arguments).output().map_err(|error| format!("cargo: {error}"));
    let is = cargo(&["mutants", "--version"])?;
    if is.status.success() && String::from_utf8_lossy(&is.stdout).contains(VERSION) {
        return Ok(());
    }
    let done = cargo(&["install", "--quiet", "--locked", "--force", &format!("cargo-mutants@{VERSION}")])?;
    if done.status.success() {
        Ok(())
    } else {
        Err(format!("cargo install: {}", String::from_utf8_lossy(&done.stderr)))
    }
}

impl Place {
    fn bytes(&self, source: &str) -> Range<usize> {
        self.start.byte(source)..self.end.byte(source)
    }
}

impl Position {
    fn byte(&self, source: &str) -> usize {
        let line: usize = source.split_inclusive('\n').take(self.line - 1).map(str::len).sum();
        let column = source[line..].char_indices().nth(self.column - 1);
        column.map_or(source.len(), |(column, _)| line + column)
    }
}
