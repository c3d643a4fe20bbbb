//! What the JSON readers say about bad and doubtful profiles, word by word.
//!
//! `tests/data/profiles/bad` holds files that are refused, `doubtful` files that are read with warnings; beside each
//! `NAME.json` stands `NAME.txt` with what is said. The dialect is the first word of the name (`oci-...`, `docker-...`),
//! otherwise it is told by the keys. `BLESS=1 cargo test --test messages` writes the texts anew; review them like code.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests fail as tests do.
#![cfg(feature = "json")]

use callsieve::profile::{Format, Profile};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn format_of(file: &Path) -> Format {
    let name = file.file_name().unwrap().to_string_lossy();
    match name.split('-').next() {
        Some("oci") => Format::Oci,
        Some("docker") => Format::Docker,
        _ => Format::Auto,
    }
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

/// The whole answer to a file, and whether it was read.
fn answer(file: &Path) -> (bool, String) {
    let bytes = fs::read(file).unwrap();
    match Profile::from_slice(&bytes, format_of(file)) {
        Err(error) => {
            let mut text = format!("{error}\n");
            for found in error.diagnostics() {
                writeln!(text, "{:?} {} {}", found.severity(), found.code(), found.path()).unwrap();
            }
            (false, text)
        }
        Ok(profile) => {
            let mut text = format!("{} rules, default {}\n", profile.rules().len(), profile.default_action());
            for found in profile.diagnostics() {
                writeln!(text, "{:?} {} {found}", found.severity(), found.code()).unwrap();
            }
            (true, text)
        }
    }
}

fn compare(folder: &str, is_read: bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/profiles").join(folder);
    let files = json_files(&folder);
    assert!(files.len() > 5, "the cases are gone");
    let mut wrong = String::new();
    for file in files {
        let (read, text) = answer(&file);
        assert_eq!(read, is_read, "{}: {text}", file.display());
        let expected = file.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(expected, text).unwrap();
        } else {
            let expected = fs::read_to_string(expected).unwrap_or_default();
            if text != expected {
                writeln!(wrong, "{}\n--- expected\n{expected}--- said\n{text}", file.display()).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn bad_files() {
    compare("bad", false);
}

#[test]
fn doubtful_files() {
    compare("doubtful", true);
}

/// The limits, with files that are too large to be kept.
#[test]
fn hostile_files_fail_fast() {
    let said = |text: &str| Profile::from_json(text, Format::Auto).unwrap_err().to_string();
    let (ten_mb, four_mb) = (10_000_000, 4 << 20);
    assert_eq!(
        said(&"[".repeat(ten_mb)),
        "1 problem in the profile\n  $: the file has 10000000 bytes, at most 4194304 are read"
    );
    for start in ["[", "{\"syscalls\":"] {
        let deep = said(&start.repeat(four_mb / start.len()));
        assert!(deep.contains("not JSON: the text ends"), "{deep}");
    }
    let unknown =
        format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "x": {}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(Profile::from_json(&unknown, Format::Auto).unwrap().diagnostics().len(), 1);

    let profile = |entries: String| said(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{entries}]}}"#));
    let entry = r#"{"names": ["read"], "action": "SCMP_ACT_LOG"},"#;
    let rules = profile(entry.repeat(9000) + "{}");
    assert!(rules.starts_with("1 problem in the profile\n  $.syscalls: the list has 9001 entries"), "{rules}");
    let names = profile(format!(r#"{{"names": [{}"x"], "action": "SCMP_ACT_LOG"}}"#, r#""x","#.repeat(20_000)));
    assert!(names.contains("$.syscalls[0]: the entries up to here hold more than 16384 names"), "{names}");
    let condition = r#"{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}"#;
    let tests = format!(
        r#"{{"names": [{}"x"], "args": [{}{condition}], "action": "SCMP_ACT_LOG"}}"#,
        r#""x","#.repeat(1000),
        format!("{condition},").repeat(1000)
    );
    assert!(profile(tests).contains("pairs of a name and a condition"));
    let many = profile(r#"{"names": [], "action": 1},"#.repeat(100) + "1");
    assert!(many.starts_with("201 problems in the profile\n") && many.ends_with("\n  and 151 more"), "{many}");
    assert_eq!(many.lines().count(), 52);
    let keys: Vec<String> = (0..1000).map(|number| format!(", \"defaultActiom{number}\": 1")).collect();
    let keys = keys.concat();
    let unknown = Profile::from_json(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW"{keys}}}"#), Format::Auto).unwrap();
    let keys = said(&format!("{{{}\"x\": 1}}", "\"a\": 1, ".repeat(1024)));
    assert_eq!(keys, "1 problem in the profile\n  $: the object has more than 1024 keys");
    assert_eq!(unknown.diagnostics().iter().last().unwrap().message(), "and 950 more warnings");
}

/// Real profiles, if there are some: `CALLSIEVE_CORPUS=FOLDER cargo test --test messages -- --nocapture corpus`.
#[test]
fn corpus() {
    let Some(folder) = std::env::var_os("CALLSIEVE_CORPUS") else {
        println!("skipped: CALLSIEVE_CORPUS names no folder");
        return;
    };
    let (mut read, mut refused) = (0, 0);
    for file in json_files(Path::new(&folder)) {
        let bytes = fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        match Profile::from_slice(&bytes, Format::Auto) {
            Ok(profile) => {
                read += 1;
                let warnings = profile.diagnostics();
                println!(
                    "{name}: {:?}, {} rules, {} warnings",
                    profile.dialect(),
                    profile.rules().len(),
                    warnings.len()
                );
                warnings.iter().for_each(|found| println!("    {found}"));
                let text = profile.to_json().unwrap_or_else(|error| panic!("{name}: {error}"));
                let again = Profile::from_json(&text, Format::Auto).unwrap();
                assert_eq!(profile.default_action(), again.default_action(), "{name}");
                assert_eq!(profile.rules(), again.rules(), "{name}");
            }
            Err(error) => {
                refused += 1;
                println!("{name}: refused\n    {}", error.to_string().replace('\n', "\n    "));
            }
        }
    }
    println!("{read} read, {refused} refused");
    assert!(read + refused > 0, "no file");
}
