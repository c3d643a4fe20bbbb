//! A copy of the checkout in which all mutants are built at once.

use crate::list::Mutant;
use crate::run::{Failed, Outcome};
use crate::switch::{Switched, switch};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

const RUNTIME: &str = include_str!("runtime.rs.txt");
/// What has to notice a change: the tests of the library, and those of whole programs.
const TESTS: [&str; 23] = [
    "--lib",
    "--test",
    "golden",
    "--test",
    "digests",
    "--test",
    "cases",
    "--test",
    "worked_cases",
    "--test",
    "figures",
    "--test",
    "lint",
    "--test",
    "messages",
    "--test",
    "multiplexed",
    "--test",
    "unlisted",
    "--test",
    "import",
    "--test",
    "cli",
];

pub struct Tree {
    root: PathBuf,
    /// The text of each source file without a change.
    pub sources: HashMap<String, String>,
}

/// What came of all mutants that are not in the build.
#[derive(Default)]
pub struct Left {
    /// The compiler takes no such change.
    pub unviable: HashSet<u32>,
    /// It may take it, but not beside the original.
    pub alone: Vec<u32>,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    message: Option<Diagnostic>,
    executable: Option<PathBuf>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    spans: Vec<Span>,
    rendered: Option<String>,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    byte_start: usize,
    is_primary: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// All tests, optimised, because they run thousands of times.
    Together,
    /// Nothing is built.
    Check,
    /// Tests of the library, for one run.
    Alone,
}

/// Test programs, or the errors of the compiler.
enum Built {
    Programs(Vec<PathBuf>),
    /// None if the compiler was ended by its limit.
    Errors(Vec<Diagnostic>),
}

impl Tree {
    /// Copies what git has, and what it does not ignore.
    pub fn copy(checkout: &Path) -> Result<Self, Failed> {
        let root = checkout.join("target/mutants/tree");
        let listed = Command::new("git")
            .args(["ls-files", "-z", "-co", "--exclude-standard", "--", ".", ":!fuzz"])
            .current_dir(checkout)
            .output()
            .map_err(|error| format!("git: {error}"))?;
        let mut sources = HashMap::new();
        for file in String::from_utf8_lossy(&listed.stdout).split('\0').filter(|file| !file.is_empty()) {
            let Ok(bytes) = fs::read(checkout.join(file)) else { continue };
            write(&root.join(file), &bytes)?;
            if let (true, Ok(text)) = (file.starts_with("src/") && file.ends_with(".rs"), String::from_utf8(bytes)) {
                sources.insert(file.to_owned(), text);
            }
        }
        Ok(Self { root, sources })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One build with all mutants that can be switched: its test programs, and what is not in it.
    pub fn build(&self, mutants: &[Mutant]) -> Result<(Vec<PathBuf>, Left), Failed> {
        write(&self.root.join("src/mutation.rs"), RUNTIME.as_bytes())?;
        let mut left = BTreeSet::new();
        loop {
            let switched = self.write_switched(mutants, &mut left)?;
            match self.cargo(How::Together)? {
                Built::Programs(programs) => {
                    let left = self.without_unviable(mutants, &left)?;
                    return Ok((programs, left));
                }
                Built::Errors(errors) => {
                    let blamed: BTreeSet<u32> = errors.iter().flat_map(|error| blamed(error, &switched)).collect();
                    if !blamed.iter().any(|number| left.insert(*number)) {
                        return Err(told(&errors));
                    }
                    left.extend(blamed);
                    eprintln!("{} of {} mutants are not in the build", left.len(), mutants.len());
                }
            }
        }
    }

    /// The test programs with one mutant alone, or what came of it without them.
    pub fn build_alone(&self, mutant: &Mutant) -> Result<Result<Vec<PathBuf>, Outcome>, Failed> {
        let source = &self.sources[&mutant.file];
        let path = self.root.join(&mutant.file);
        write(&path, mutant.applied(source).as_bytes())?;
        let built = self.cargo(How::Alone);
        write(&path, source.as_bytes())?;
        Ok(match built? {
            Built::Programs(programs) => Ok(programs),
            Built::Errors(errors) => Err(if errors.is_empty() { Outcome::Loops } else { Outcome::Unviable }),
        })
    }

    pub fn restore(&self) -> Result<(), Failed> {
        self.sources.iter().try_for_each(|(file, source)| write(&self.root.join(file), source.as_bytes()))
    }

    fn write_switched(
        &self,
        mutants: &[Mutant],
        left: &mut BTreeSet<u32>,
    ) -> Result<HashMap<String, Switched>, Failed> {
        let mut all = HashMap::new();
        for (file, source) in &self.sources {
            let here: Vec<_> = mutants.iter().filter(|one| one.file == *file && !left.contains(&one.number)).collect();
            let mut switched = switch(source, &here);
            left.extend(switched.left.drain(..));
            if file == "src/lib.rs" {
                let features = "#![feature(core_intrinsics, const_eval_select)] #![allow(internal_features)] ";
                switched.text = format!("{features}{}\nmod mutation;\n", switched.text);
            }
            write(&self.root.join(file), switched.text.as_bytes())?;
            all.insert(file.clone(), switched);
        }
        Ok(all)
    }

    /// Tries what was left out as cargo-mutants does, by replacing text, but one mutant of each function at once: the
    /// compiler looks at one body at a time.
    fn without_unviable(&self, mutants: &[Mutant], left: &BTreeSet<u32>) -> Result<Left, Failed> {
        let mut result = Left::default();
        self.restore()?;
        let mut waiting: Vec<&Mutant> = mutants.iter().filter(|one| left.contains(&one.number)).collect();
        while waiting.iter().any(|one| one.function.is_some()) {
            let mut round: Vec<&Mutant> = Vec::new();
            waiting.retain(|one| {
                let apart = |other: &&Mutant| other.file != one.file || apart(&function(other), &function(one));
                let taken = one.function.is_some() && round.iter().all(apart);
                if taken {
                    round.push(one);
                }
                !taken
            });
            let errors = self.errors_of(&round)?;
            for mutant in round {
                if errors.contains(&mutant.number) {
                    result.unviable.insert(mutant.number);
                } else {
                    result.alone.push(mutant.number);
                }
            }
        }
        result.alone.extend(waiting.iter().map(|one| one.number));
        result.alone.sort_unstable();
        Ok(result)
    }

    /// Which of these, no two in one function, do not compile.
    fn errors_of(&self, round: &[&Mutant]) -> Result<HashSet<u32>, Failed> {
        let mut places = Vec::new();
        for (file, source) in &self.sources {
            let mut here: Vec<_> = round.iter().filter(|one| one.file == *file).collect();
            here.sort_by_key(|one| one.range.start);
            let (mut text, mut from) = (String::new(), 0);
            for mutant in &here {
                text.push_str(&source[from..mutant.range.start]);
                let begin = text.len() - (mutant.range.start - function(mutant).start);
                text.push_str(&mutant.replacement);
                let end = text.len() + (function(mutant).end - mutant.range.end);
                places.push((file, begin..end, mutant.number));
                from = mutant.range.end;
            }
            text.push_str(&source[from..]);
            if !here.is_empty() {
                write(&self.root.join(file), text.as_bytes())?;
            }
        }
        let built = self.cargo(How::Check);
        self.restore()?;
        let Built::Errors(errors) = built? else { return Ok(HashSet::new()) };
        let spans = errors.iter().flat_map(|error| &error.spans).filter(|span| span.is_primary);
        let of = |span: &Span| {
            places.iter().find(|(file, range, _)| **file == span.file_name && range.contains(&span.byte_start))
        };
        Ok(spans.filter_map(of).map(|(_, _, number)| *number).collect())
    }

    fn cargo(&self, how: How) -> Result<Built, Failed> {
        // Of processor time, because what the compiler evaluates may have no end. One mutant alone takes about 20 seconds.
        let mut cargo = Command::new("sh");
        let seconds = if how == How::Alone { 150 } else { 300 };
        cargo.args(["-c", &format!("ulimit -t {seconds}; exec cargo \"$@\""), "cargo"]);
        match how {
            How::Together => cargo.args(["test", "--no-run", "--features", "cli"]).args(TESTS),
            How::Check => cargo.args(["check", "--lib"]),
            How::Alone => cargo.args(["test", "--no-run", "--lib"]),
        };
        let target = if how == How::Alone { "alone" } else { "target" };
        let level = if how == How::Together { "2" } else { "0" };
        let output = cargo
            .args(["--quiet", "--message-format=json"])
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", self.root.with_file_name(target))
            .envs([("RUSTC_BOOTSTRAP", "callsieve"), ("RUSTFLAGS", "--cap-lints=allow")])
            .env("CARGO_INCREMENTAL", if how == How::Together { "0" } else { "1" })
            .envs(["DEV", "TEST"].map(|profile| (format!("CARGO_PROFILE_{profile}_OPT_LEVEL"), level)))
            .envs(["DEV", "TEST"].map(|profile| (format!("CARGO_PROFILE_{profile}_DEBUG"), "0")))
            .output()
            .map_err(|error| format!("cargo: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let messages: Vec<Message> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if output.status.success() {
            let tests =
                messages.into_iter().filter(|message| message.profile.as_ref().is_some_and(|profile| profile.test));
            return Ok(Built::Programs(tests.filter_map(|message| message.executable).collect()));
        }
        let told = messages
            .into_iter()
            .filter(|message| message.reason == "compiler-message")
            .filter_map(|message| message.message);
        let errors: Vec<_> = told.filter(|told| told.level == "error").collect();
        if errors.is_empty() && how != How::Alone {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(Built::Errors(errors))
    }
}

fn function(mutant: &Mutant) -> Range<usize> {
    mutant.function.clone().unwrap_or_else(|| mutant.range.clone())
}

fn apart(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.end <= other.start || other.end <= one.start
}

fn blamed(error: &Diagnostic, switched: &HashMap<String, Switched>) -> Vec<u32> {
    let spans = error.spans.iter().filter(|span| span.is_primary);
    spans.filter_map(|span| Some(switched.get(&span.file_name)?.blamed(span.byte_start))).flatten().collect()
}

fn told(errors: &[Diagnostic]) -> Failed {
    let texts: Vec<_> = errors.iter().filter_map(|error| error.rendered.as_deref()).take(5).collect();
    format!("errors that are of no mutant:\n{}", texts.join("\n"))
}

/// Only what is different, because cargo looks at times.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder.and_then(|()| fs::write(path, bytes)).map_err(|error| format!("{}: {error}", path.display()))
}
