//! The floors of the crate: which part of `src/` may import which.
//!
//! A file may import from lower floors only, and the judge (`check`) never from what it judges (`graph`, `code`, `opt`,
//! `emit`). The table below says it; this test reads every source file and names the place, with file and line, of each
//! import that the table does not allow. It understands `crate::`, groups in braces, and `super::` that climbs to the
//! root of the crate. Comments and strings do not count.
//!
//! Code that exists only for tests (a module behind `#[cfg(test)]`, in the file or in a file of its own) may import any
//! floor up to 9: a test of the judge may well compile something. `src/lib.rs` ties the floors together and is free.
//! The command in `src/bin/` is a crate of its own that can only name what is public; all it must not do is to include
//! files of the library by path.

#![allow(clippy::unwrap_used, clippy::panic)] // A test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A place in `src/`, its floor, and the places that it may import.
const TABLE: [(&str, u8, &[&str]); 18] = [
    ("bpf", 0, &[]),
    // Only for `Endian`.
    ("arch", 0, &["bpf"]),
    ("profile", 1, &["bpf", "arch"]),
    ("policy", 2, &["bpf", "arch", "profile"]),
    ("import", 2, &["bpf", "arch", "profile"]),
    ("graph", 3, &["bpf", "arch", "policy"]),
    ("code", 3, &["bpf", "arch"]),
    ("opt", 4, &["bpf", "arch", "graph", "code"]),
    ("emit", 5, &["bpf", "arch", "code"]),
    ("check", 6, &["bpf", "arch", "profile", "policy"]),
    ("compile", 7, &["bpf", "arch", "profile", "policy", "graph", "code", "opt", "emit", "check"]),
    ("export", 7, &["bpf", "arch", "profile", "policy", "import", "check"]),
    ("kernel", 8, &["bpf", "arch", "profile", "policy", "compile"]),
    ("sandbox", 9, &EVERYTHING),
    ("supervise", 9, &EVERYTHING),
    ("record", 9, &EVERYTHING),
    ("nurse", 9, &EVERYTHING),
    // Documentation only.
    ("guide", 9, &[]),
];

/// What floor 9 may import.
const EVERYTHING: [&str; 17] = [
    "bpf",
    "arch",
    "profile",
    "policy",
    "import",
    "graph",
    "code",
    "opt",
    "emit",
    "check",
    "compile",
    "export",
    "kernel",
    "sandbox",
    "supervise",
    "record",
    "nurse",
];

/// Bodies of fuzz targets and makers of random input, which only tests and fuzzing builds contain.
const FOR_TESTS: &str = "fuzzing";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    /// `::`
    Path,
    Mark(char),
}

/// The tokens of a source file with their lines, as far as this test must tell them apart.
fn tokens(source: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let rest = &chars[at..];
        let (length, token) = next_token(rest);
        if let Some(token) = token {
            tokens.push((line, token));
        }
        line += rest[..length].iter().filter(|&&char| char == '\n').count();
        at += length;
    }
    tokens
}

/// How many characters the next thing has, and what it is unless it can be ignored.
fn next_token(rest: &[char]) -> (usize, Option<Token>) {
    let starts = |text: &str| rest.iter().copied().zip(text.chars()).filter(|(a, b)| a == b).count() == text.len();
    if starts("//") {
        return (rest.iter().position(|&char| char == '\n').unwrap_or(rest.len()), None);
    }
    if starts("/*") {
        return (block_comment(rest), None);
    }
    if let Some(hashes) = raw_string(rest) {
        let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
        let open = rest.iter().position(|&char| char == '"').unwrap() + 1;
        let close = rest[open..].windows(end.len()).position(|window| window == end).unwrap();
        return (open + close + end.len(), Some(Token::Text(rest[open..open + close].iter().collect())));
    }
    if rest[0] == '"' {
        let length = quoted(rest, '"');
        return (length, Some(Token::Text(rest[1..length - 1].iter().collect())));
    }
    // A character, or else the apostrophe of a lifetime.
    if rest[0] == '\'' && (rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'')) {
        return (quoted(rest, '\''), None);
    }
    if rest[0].is_alphanumeric() || rest[0] == '_' {
        let word: String = rest.iter().take_while(|char| char.is_alphanumeric() || **char == '_').collect();
        return (word.chars().count(), Some(Token::Word(word)));
    }
    match rest[0] {
        ':' if starts("::") => (2, Some(Token::Path)),
        char if char.is_whitespace() => (1, None),
        char => (1, Some(Token::Mark(char))),
    }
}

/// The length of a comment that may hold others.
fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest.get(at..at + 2) {
            Some(['/', '*']) => (depth, at) = (depth + 1, at + 2),
            Some(['*', '/']) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The number of `#` of a raw string that begins here.
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = match rest {
        ['b', 'r', ..] => 2,
        ['r', ..] => 1,
        _ => return None,
    };
    let hashes = rest[prefix..].iter().take_while(|&&char| char == '#').count();
    (rest.get(prefix + hashes) == Some(&'"')).then_some(hashes)
}

/// The length of a literal up to its closing quote, escapes skipped.
fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// What a file imports from the root of the crate, and the test modules that lie in files of their own.
#[derive(Default, Debug)]
struct Imports {
    /// Line, first name of the path, and whether only tests contain it.
    roots: Vec<(usize, String, bool)>,
    /// `#[cfg(test)] mod NAME;`, or the file that its `#[path]` names (true).
    test_files: Vec<(String, bool)>,
}

/// The attributes before an item, as far as they matter here.
#[derive(Default)]
struct Attributes {
    /// `#[cfg(test)]`
    test: bool,
    /// `#[path = "..."]`
    path: Option<String>,
}

impl Attributes {
    fn add(&mut self, attribute: &[(usize, Token)]) {
        let tokens: Vec<&Token> = attribute.iter().map(|(_, token)| token).collect();
        let is = |token: &Token, text: &str| matches!(token, Token::Word(word) if word == text);
        match *tokens.as_slice() {
            [cfg, Token::Mark('('), test, Token::Mark(')')] if is(cfg, "cfg") && is(test, "test") => self.test = true,
            [path, Token::Mark('='), Token::Text(file)] if is(path, "path") => self.path = Some(file.clone()),
            _ => {}
        }
    }
}

/// Reads the imports of a file whose module lies `depth` names below the root.
fn imports(source: &str, depth: usize) -> Imports {
    let tokens = tokens(source);
    let mut found = Imports::default();
    // Modules in the file that are open here: how many braces were open before, and whether only tests have them.
    let mut modules: Vec<(usize, bool)> = Vec::new();
    let mut attributes = Attributes::default();
    let (mut braces, mut at) = (0, 0);
    while let Some((line, token)) = tokens.get(at) {
        let follow = |offset: usize| tokens.get(at + offset).map(|(_, token)| token);
        match token {
            Token::Mark('{') => braces += 1,
            Token::Mark('}') => {
                braces -= 1;
                modules.pop_if(|(before, _)| *before == braces);
            }
            Token::Mark('#') if follow(1) == Some(&Token::Mark('[')) => {
                let length = tokens[at..].iter().position(|(_, token)| *token == Token::Mark(']')).unwrap();
                attributes.add(&tokens[at + 2..at + length]);
                at += length + 1;
                continue;
            }
            Token::Word(word) if word == "mod" => {
                match (follow(1), follow(2)) {
                    (Some(Token::Word(_)), Some(Token::Mark('{'))) => modules.push((braces, attributes.test)),
                    (Some(Token::Word(name)), _) if attributes.test => {
                        let by_path = attributes.path.is_some();
                        let file = attributes.path.take().unwrap_or_else(|| format!("{name}.rs"));
                        found.test_files.push((file, by_path));
                    }
                    _ => {}
                }
                at += 1;
            }
            Token::Word(word) if (word == "crate" || word == "super") && follow(1) == Some(&Token::Path) => {
                let climbed = tokens[at..].chunks(2).take_while(|pair| pair[0].1 == Token::Word("super".to_owned()));
                let climbed = climbed.count();
                if word == "crate" || climbed == depth + modules.len() {
                    let in_test = modules.iter().any(|&(_, test)| test);
                    let names = first_names(&tokens[at + 2 * climbed.max(1)..]);
                    found.roots.extend(names.into_iter().map(|name| (*line, name, in_test)));
                }
                at += 2 * climbed.max(1);
                continue;
            }
            _ => {}
        }
        // Attributes belong to the item after them; `pub` and `(crate)` may stand between.
        let visibility = matches!(token, Token::Word(word) if word == "pub" || word == "crate" || word == "super")
            || matches!(token, Token::Mark('(' | ')'));
        if !visibility {
            attributes = Attributes::default();
        }
        at += 1;
    }
    found
}

/// The names that a path, or a group of paths in braces, begins with.
fn first_names(tokens: &[(usize, Token)]) -> Vec<String> {
    let mut names = Vec::new();
    match tokens.first() {
        Some((_, Token::Word(name))) => names.push(name.clone()),
        Some((_, Token::Mark('{'))) => {
            let (mut depth, mut begins) = (0, false);
            for (_, token) in tokens {
                match token {
                    Token::Mark('{') => (depth, begins) = (depth + 1, depth == 0),
                    Token::Mark('}') => depth -= 1,
                    Token::Mark(',') => begins = depth == 1,
                    Token::Word(name) if begins => {
                        names.push(name.clone());
                        begins = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        }
        // `pub(in crate::a)` and macros such as `$crate::` with something else behind are no imports.
        _ => {}
    }
    names
}

/// The place of a file below `src/`: the first folder, or the name of a file that lies there itself.
fn place(file: &Path) -> String {
    let first = file.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// How many names lie between the root of the crate and the module of a file.
fn depth(file: &Path) -> usize {
    file.components().count() - usize::from(file.ends_with("mod.rs"))
}

/// Whether code in `from` may name `to`.
fn allowed(from: &str, to: &str, in_test: bool) -> bool {
    if from == to || from == FOR_TESTS || from == "lib" {
        return true;
    }
    let known = TABLE.iter().any(|(place, _, _)| *place == to);
    if in_test {
        return known || to == FOR_TESTS;
    }
    TABLE.iter().any(|(place, _, may)| *place == from && may.contains(&to))
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Every line of the sources that breaks the table. Files are relative to `src/`.
fn violations(sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut read = Vec::new();
    let mut test_files = BTreeSet::new();
    for (file, source) in sources {
        let imports = imports(source, depth(file));
        let folder = file.parent().unwrap();
        let owner = file.file_stem().unwrap();
        // Without `#[path]`, the modules of `a/b.rs` lie in `a/b/`, those of `a/mod.rs` in `a/`.
        let inner = if owner == "mod" || owner == "lib" { folder.to_owned() } else { folder.join(owner) };
        test_files.extend(imports.test_files.iter().map(
            |(name, by_path)| {
                if *by_path { folder.join(name) } else { inner.join(name) }
            },
        ));
        read.push((file, imports));
    }
    for (file, imports) in read {
        let from = place(file);
        if from != "bin" && from != "lib" && from != FOR_TESTS && !TABLE.iter().any(|(place, _, _)| *place == from) {
            wrong.push(format!(
                "src/{}: \"{from}\" has no floor; add it to the table in tests/layers.rs",
                file.display()
            ));
        }
        for (line, to, in_test) in imports.roots {
            let in_test = in_test || test_files.contains(file);
            if from != "bin" && !allowed(&from, &to, in_test) {
                wrong.push(format!("src/{}:{line}: {from} may not import crate::{to}", file.display()));
            }
        }
    }
    wrong
}

#[test]
fn no_file_imports_from_a_higher_floor() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources: Vec<(PathBuf, String)> = source_files(&src)
        .into_iter()
        .map(|path| (path.strip_prefix(&src).unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    assert!(sources.len() > 10, "the sources were not found");
    let wrong = violations(&sources);
    assert!(wrong.is_empty(), "imports that the floors forbid:\n  {}", wrong.join("\n  "));
}

#[test]
fn the_command_includes_no_library_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    for file in source_files(&folder) {
        let text = fs::read_to_string(&file).unwrap();
        let tokens = tokens(&text);
        for pair in tokens.windows(3) {
            let [(line, Token::Word(name)), (_, Token::Mark('=' | '!')), (_, next)] = pair else { continue };
            let path = name == "path" && matches!(next, Token::Text(path) if path.contains(".."));
            let include = name == "include";
            assert!(!path && !include, "{}:{line}: the command uses the public API only", file.display());
        }
    }
}

/// Places import what the table allows, and the table itself never looks up.
#[test]
fn the_table_only_looks_down() {
    for (place, floor, may) in TABLE {
        for other in may {
            let (_, lower, _) = TABLE.iter().find(|(name, _, _)| name == other).unwrap();
            assert!(*lower < floor || floor == 9 || (place, *other) == ("arch", "bpf"), "{place} -> {other}");
        }
    }
    for judged in ["graph", "code", "opt", "emit"] {
        assert!(!allowed("check", judged, false));
    }
}

#[test]
fn forbidden_imports_are_seen() {
    let check = |file: &str, source: &str| violations(&[(PathBuf::from(file), source.to_owned())]);
    for (file, source, expected) in [
        ("bpf/insn.rs", "use crate::arch::Arch;", "src/bpf/insn.rs:1: bpf may not import crate::arch"),
        (
            "policy/mod.rs",
            "\nuse crate::{bpf::Insn, graph::{self, Node}};",
            "src/policy/mod.rs:2: policy may not import crate::graph",
        ),
        (
            "check/prove.rs",
            "fn f() { let x = crate::emit::emit(); }",
            "src/check/prove.rs:1: check may not import crate::emit",
        ),
        ("graph/node.rs", "use super::super::opt::Pass;", "src/graph/node.rs:1: graph may not import crate::opt"),
        ("graph/mod.rs", "use super::opt::Pass;", "src/graph/mod.rs:1: graph may not import crate::opt"),
        (
            "graph/mod.rs",
            "mod inner { use super::super::opt::Pass; }",
            "src/graph/mod.rs:1: graph may not import crate::opt",
        ),
        ("opt/mod.rs", "use crate::Policy;", "src/opt/mod.rs:1: opt may not import crate::Policy"),
        (
            "arch/mod.rs",
            "fn f<'a>() { '\"'; }\nuse crate::policy::X; // \"",
            "src/arch/mod.rs:2: arch may not import crate::policy",
        ),
        (
            "bpf/mod.rs",
            "#[cfg(test)]\nmod tests { use crate::kernel::X; }\nuse crate::arch::Y;",
            "src/bpf/mod.rs:3: bpf may not import crate::arch",
        ),
        (
            "bpf/mod.rs",
            "#[cfg(test)]\nmod tests { use crate::nothing::X; }",
            "src/bpf/mod.rs:2: bpf may not import crate::nothing",
        ),
        ("new/mod.rs", "", "src/new/mod.rs: \"new\" has no floor; add it to the table in tests/layers.rs"),
    ] {
        assert_eq!(check(file, source), [expected], "{source}");
    }
    for (file, source) in [
        ("policy/mod.rs", "use crate::{bpf::Insn, profile::{self, Profile}};\nuse super::policy::x;"),
        ("graph/node.rs", "use super::Node; mod inner { use super::super::Node; }"),
        ("bpf/insn.rs", "// use crate::arch::Arch;\n/* /* */ crate::opt:: */ const A: &str = \"crate::opt::x\";"),
        ("bpf/insn.rs", "const A: &str = r#\"\"crate::opt::x\"#; pub(crate) fn f() {}"),
        (
            "bpf/insn.rs",
            "#[cfg(test)]\n#[allow(clippy::x)]\nmod tests { use crate::compile::Compiler; use crate::fuzzing::x; }",
        ),
        ("lib.rs", "pub use crate::compile::Compiler;"),
        ("fuzzing/mod.rs", "use crate::policy::Policy;"),
        ("bin/callsieve/main.rs", "use crate::args::Args;"),
    ] {
        assert_eq!(check(file, source), Vec::<String>::new(), "{source}");
    }
    let apart = [
        ("bpf/verify.rs", "#[cfg(test)]\n#[path = \"verify_tests.rs\"]\npub(crate) mod tests;"),
        ("bpf/verify_tests.rs", "use crate::compile::Compiler;"),
        ("opt/mod.rs", "#[cfg(test)] mod tests;"),
        ("opt/tests.rs", "use crate::check::prove;"),
        ("emit/order.rs", "#[cfg(test)] mod tests;"),
        ("emit/order/tests.rs", "use crate::check::prove;"),
        ("emit/tests.rs", "use crate::check::prove;"),
    ];
    let found = violations(&apart.map(|(file, source)| (PathBuf::from(file), source.to_owned())));
    assert_eq!(found, ["src/emit/tests.rs:1: emit may not import crate::check"]);
}
