//! What is known of a file: `tests/mutants/PATH.txt` for `src/PATH.rs`.

use crate::run::Failed;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Default)]
pub struct Record {
    pub source: String,
    pub mutants: usize,
    pub caught: usize,
    pub loops: usize,
    pub unviable: usize,
    pub survivors: Vec<Survivor>,
}

pub struct Survivor {
    pub name: String,
    /// Why no test can tell it from the original; indented lines.
    pub why: String,
}

impl Record {
    /// None if the file was never tested.
    pub fn read(checkout: &Path, file: &str) -> Option<Self> {
        let text = fs::read_to_string(path(checkout, file)).ok()?;
        let (head, tail) = text.split_once("\n\n").unwrap_or((&text, ""));
        let fields: HashMap<_, _> =
            head.lines().filter_map(|line| line.split_once(' ')).map(|(name, value)| (name, value.trim())).collect();
        let number = |name| fields.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        let mut survivors: Vec<Survivor> = Vec::new();
        for line in tail.lines() {
            match survivors.last_mut() {
                Some(survivor) if line.starts_with("    ") => _ = writeln!(survivor.why, "{line}"),
                _ => survivors.push(Survivor { name: line.to_owned(), why: String::new() }),
            }
        }
        let source = fields.get("source").copied().unwrap_or_default().to_owned();
        Some(Self {
            source,
            mutants: number("mutants"),
            caught: number("caught"),
            loops: number("loops"),
            unviable: number("unviable"),
            survivors,
        })
    }

    /// With the explanations that the file had.
    pub fn write(mut self, checkout: &Path, file: &str) -> Result<(), Failed> {
        let old = Self::read(checkout, file).unwrap_or_default();
        let mut text = format!(
            "source   {}\nmutants  {}\ncaught   {}\nloops    {}\nunviable {}\n",
            self.source, self.mutants, self.caught, self.loops, self.unviable
        );
        if !self.survivors.is_empty() {
            text.push('\n');
        }
        for survivor in &mut self.survivors {
            if let Some(same) = old.survivors.iter().find(|one| one.name == survivor.name) {
                survivor.why.clone_from(&same.why);
            }
            let _ = write!(text, "{}\n{}", survivor.name, survivor.why);
        }
        let path = path(checkout, file);
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        folder.and_then(|()| fs::write(&path, text)).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub fn unexplained(&self) -> impl Iterator<Item = &str> {
        self.survivors.iter().filter(|survivor| survivor.why.is_empty()).map(|survivor| survivor.name.as_str())
    }
}

pub fn path(checkout: &Path, file: &str) -> PathBuf {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    checkout.join("tests/mutants").join(inner).with_extension("txt")
}

/// Of the code: the tests at the end of a file are not what is mutated.
pub fn digest(source: &str) -> Result<String, Failed> {
    let code = source.find("\nmod tests {\n").map_or(source, |end| &source[..=end]);
    let failed = |error| format!("sha256sum: {error}");
    let mut sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    sum.stdin.take().map_or(Ok(()), |mut input| input.write_all(code.as_bytes())).map_err(failed)?;
    let output = sum.wait_with_output().map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
