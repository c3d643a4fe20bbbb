//! The command as a user meets it: sessions with exact output, in `tests/data/cli/*.txt`.
//!
//! A session is a list of commands, each with what it printed and its exit status:
//!
//! ```text
//! $ syscalls opennat < stdin.txt
//! > a line of standard output
//! ! a line of standard error
//! ? 2
//! ```
//!
//! Words may be quoted with '...'. Each session runs in a directory of its own with the files of `files()`. No command
//! of a session may write anything, so the directory is compared afterwards. `BLESS=1 cargo test --features cli --test
//! cli` writes the sessions anew.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A helper that fails is a test that fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const SESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cli");

/// A directory that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("callsieve-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn callsieve(&self, words: &[&str], stdin: Stdio) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callsieve"));
        command.args(words).current_dir(&self.0).stdin(stdin);
        command.env("COLUMNS", "100").output().unwrap()
    }

    /// Names and contents of everything in the directory.
    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.0.clone()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path.clone());
                    found.insert(path, Vec::new());
                } else {
                    found.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        found
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The files that sessions work with: those of `tests/data/cli/files`, and some that are too odd to be kept.
fn files(directory: &Path) {
    for entry in fs::read_dir(Path::new(SESSIONS).join("files")).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, directory.join(from.file_name().unwrap())).unwrap();
    }
    fs::create_dir(directory.join("directory")).unwrap();
    fs::write(directory.join("empty.json"), "").unwrap();
    fs::write(directory.join("deep.json"), "[".repeat(10_000_000)).unwrap();
}

/// Splits a command line into words, and the file after `<`.
fn words(line: &str) -> (Vec<&str>, Option<&str>) {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, behind) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').expect("a closing quote"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word);
        rest = behind.trim_start();
    }
    match words.iter().position(|&word| word == "<") {
        Some(at) => {
            let file = words[at + 1];
            (words[..at].to_vec(), Some(file))
        }
        None => (words, None),
    }
}

/// Runs the commands of a session and writes down what happened.
fn play(session: &str, scratch: &Scratch) -> String {
    let mut text = String::new();
    for line in session.lines() {
        match line.strip_prefix('$') {
            Some(command) => {
                let (words, file) = words(command);
                let stdin = file.map_or_else(Stdio::null, |file| fs::File::open(scratch.0.join(file)).unwrap().into());
                let output = scratch.callsieve(&words, stdin);
                let _ = writeln!(text, "{line}");
                for (mark, bytes) in [('>', &output.stdout), ('!', &output.stderr)] {
                    for line in String::from_utf8_lossy(bytes).lines() {
                        let _ = writeln!(text, "{}", format!("{mark} {line}").trim_end());
                    }
                }
                let _ = writeln!(text, "? {}", output.status.code().map_or("signal".into(), |code| code.to_string()));
            }
            None if line.starts_with(['>', '!', '?']) => {}
            None => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

#[test]
fn sessions() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut names: Vec<_> = fs::read_dir(SESSIONS).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    names.sort();
    assert!(!names.is_empty());
    let mut wrong = String::new();
    for path in names {
        let scratch = Scratch::new(path.file_stem().unwrap().to_str().unwrap());
        files(&scratch.0);
        let before = scratch.contents();
        let expected = fs::read_to_string(&path).unwrap();
        let happened = play(&expected, &scratch);
        assert!(scratch.contents() == before, "a command of {} wrote a file", path.display());
        if bless {
            fs::write(&path, happened).unwrap();
        } else if happened != expected {
            let _ = writeln!(wrong, "{}:\n{}", path.display(), difference(&expected, &happened));
        }
    }
    assert!(wrong.is_empty(), "what commands print has changed (BLESS=1 accepts it):\n{wrong}");
}

/// The first lines that differ, with the command before them.
fn difference(expected: &str, happened: &str) -> String {
    let mut command = "";
    for (old, new) in expected.lines().chain(std::iter::repeat("(end)")).zip(happened.lines().chain(["(end)"])) {
        command = if new.starts_with('$') { new } else { command };
        if old != new {
            return format!("{command}\nexpected {old}\nhappened {new}");
        }
    }
    "fewer lines than expected".into()
}
