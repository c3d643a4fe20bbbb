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
//! of a session may write anything, so the directory is compared afterwards. Sessions with `x86_64` in their name run on
//! such a machine only. What shows instructions uses `one.json`, whose program hardly depends on the compiler. `BLESS=1 cargo test --features cli --test cli` writes the sessions anew.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A helper that fails is a test that fails.

mod common;

use callsieve::arch::Arch;
use callsieve::profile::Format;
use common::skip;
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

/// The files that sessions work with: those of `tests/data/cli/files`, filters that are made from one of them, and some
/// that are too odd to be kept.
fn files(scratch: &Scratch) {
    let directory = &scratch.0;
    for entry in fs::read_dir(Path::new(SESSIONS).join("files")).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, directory.join(from.file_name().unwrap())).unwrap();
    }
    for (file, profile, arch) in [
        ("filter.bpf", "one.json", "aarch64"),
        ("filter-s390x.bpf", "one.json", "s390x"),
        ("filter-tiny.bpf", "tiny.json", "x86_64"),
    ] {
        let output = scratch.callsieve(&["compile", profile, "--arch", arch, "-o", file], Stdio::null());
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    }
    let filter = fs::read(directory.join("filter.bpf")).unwrap();
    fs::write(directory.join("cut.bpf"), &filter[..45]).unwrap();
    fs::write(directory.join("short.bpf"), &filter[..40]).unwrap();
    // One comparison after the other, and a product of two arguments, which cannot be taken apart.
    let allow = (0..60).filter(|nr| nr % 7 != 1).flat_map(|nr| [(0x15, 0, 1, nr), (0x06, 0, 0, 0x7fff_0000)]);
    let start = [(0x20, 0, 0, 4), (0x15, 1, 0, 0xc000_003e), (0x06, 0, 0, 0), (0x20, 0, 0, 0)];
    let chain: Vec<_> = start.into_iter().chain(allow).chain([(0x06, 0, 0, 0x0005_0001)]).collect();
    fs::write(directory.join("chain.bpf"), raw(&chain)).unwrap();
    let product = [(0x20, 0, 0, 16), (0x07, 0, 0, 0), (0x20, 0, 0, 24), (0x2c, 0, 0, 0), (0x15, 0, 1, 7)];
    let returns = [(0x06, 0, 0, 0), (0x06, 0, 0, 0x7fff_0000)];
    fs::write(directory.join("product.bpf"), raw(&[&product[..], &returns].concat())).unwrap();
    fs::create_dir(directory.join("directory")).unwrap();
    fs::write(directory.join("empty.json"), "").unwrap();
    fs::write(directory.join("program"), b"\x7fELF\x02\x01\x01\0").unwrap();
    fs::write(directory.join("deep.json"), "[".repeat(10_000_000)).unwrap();
}

/// A little-endian filter of these instructions: code, jumps, constant.
fn raw(insns: &[(u16, u8, u8, u32)]) -> Vec<u8> {
    let bytes = |&(code, jt, jf, k): &(u16, u8, u8, u32)| {
        let ([c0, c1], [k0, k1, k2, k3]) = (code.to_le_bytes(), k.to_le_bytes());
        [c0, c1, jt, jf, k0, k1, k2, k3]
    };
    insns.iter().flat_map(bytes).collect()
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
        if path.to_string_lossy().contains("x86_64") && Arch::NATIVE != Some(Arch::X86_64) {
            skip("sessions", &format!("{} is for x86_64", path.display()));
            continue;
        }
        let scratch = Scratch::new(path.file_stem().unwrap().to_str().unwrap());
        files(&scratch);
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

#[track_caller]
fn json(words: &[&str]) -> serde_json::Value {
    let scratch = Scratch::new(&format!("json-{}", words.join("-")));
    files(&scratch);
    let output = scratch.callsieve(words, Stdio::null());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `diff P container-default` answers whether P is stricter or looser than the default.
#[test]
fn compared_with_the_default() {
    let scratch = Scratch::new("default");
    let text = callsieve::Profile::container_default().unwrap().to_json().unwrap();
    let mut profile: serde_json::Value = serde_json::from_str(&text).unwrap();
    for entry in profile["syscalls"].as_array_mut().unwrap() {
        if let Some(names) = entry["names"].as_array_mut().filter(|names| names.contains(&"getppid".into())) {
            names.retain(|name| name != "getppid");
            names.push("kexec_load".into());
        }
    }
    fs::write(scratch.0.join("mine.json"), profile.to_string()).unwrap();
    // The file cannot say that it counts on types, as the default does.
    let words = ["diff", "mine.json", "container-default", "--arch", "x86_64", "--arg-width", "typed"];
    let output = scratch.callsieve(&words, Stdio::null());
    assert_eq!(output.status.code(), Some(1));
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.contains("  looser: getppid: ERRNO(1) EPERM -> ALLOW\n"), "{output}");
    assert!(output.contains("  stricter: kexec_load: ALLOW -> ERRNO(1) EPERM\n"), "{output}");
    let last = output.lines().last();
    assert_eq!(last, Some("mine.json compared with container-default: looser in 1 call, stricter in 1 call"));
}

#[test]
fn stats_as_text_and_json() {
    // Not a session, because times differ.
    let stats = json(&["stats", "tiny.json", "--arch", "x86_64,x86", "--json"]);
    assert_eq!(stats["arches"][0]["arch"], "x86_64");
    assert_eq!(stats["arches"][1]["arch"], "x86");
    assert_eq!(stats["arches"][0]["cacheable"], 3);
    assert_eq!(stats["arches"][0]["not_cacheable"][0]["name"], "socket");
    for figure in ["instructions", "ebpf_instructions", "longest_path"] {
        assert!(stats[figure].as_u64().unwrap() > 3, "{figure}");
    }
    assert!(stats["arches"][0]["mean_steps"].as_f64().unwrap() > 1.0);
    assert!(stats["proof"]["nodes"].as_u64().unwrap() > 1);
    assert!(stats["seconds"]["compile"].as_f64().unwrap() > 0.0);

    let scratch = Scratch::new("stats");
    files(&scratch);
    let output = scratch.callsieve(&["stats", "tiny.json", "--arch", "x86_64,x86"], Stdio::null());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("tiny.json for x86_64, x86\n  instructions  "), "{text}");
    assert!(text.contains("allowed but not cacheable on x86: socket\n"), "{text}");
}

#[test]
fn a_difference_on_an_abi_that_is_not_listed() {
    let scratch = Scratch::new("x32");
    files(&scratch);
    let words = ["prove", "tiny.json", "filter-tiny.bpf", "--arch", "x86_64", "--unlisted-x32", "default"];
    let output = scratch.callsieve(&words, Stdio::null());
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = "they differ: read(0, 0, 0, 0, 0, 0) on x32, which the profile does not list\n  \
                    profile  ERRNO(1)\n  filter   KILL_THREAD\n";
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn show_as_json() {
    for subject in ["tiny.json", "filter-tiny.bpf"] {
        let shown = json(&["show", subject, "--arch", "x86_64", "--json"]);
        assert_eq!(shown["name"], subject);
        let summary = &shown["arches"]["x86_64"];
        assert_eq!(summary["default"], "ERRNO(1)");
        assert_eq!(summary["actions"]["ALLOW"], serde_json::json!(["exit_group", "read", "write"]));
        assert_eq!(summary["depending_on_arguments"], serde_json::json!(["socket"]));
        let (insns, listing) = (shown["instructions"].as_array().unwrap(), shown["listing"].as_array().unwrap());
        assert_eq!(insns.len(), listing.len());
        assert_eq!(insns[0], serde_json::json!([0x20, 0, 0, 4]));
        assert_eq!(listing[0], "ld   arch");
    }
}

#[test]
fn exported_formats_hold_the_same_program() {
    let scratch = Scratch::new("formats");
    files(&scratch);
    let compile = |format| {
        let words = ["compile", "tiny.json", "--arch", "x86_64", "--format", format];
        scratch.callsieve(&words, Stdio::null()).stdout
    };
    let bytes = compile("bpf");
    assert_eq!(bytes, fs::read(scratch.0.join("filter-tiny.bpf")).unwrap());
    let value: serde_json::Value = serde_json::from_slice(&compile("json")).unwrap();
    let mut c = String::from_utf8(compile("c")).unwrap();
    let mut rust = String::from_utf8(compile("rust")).unwrap();
    for (raw, insn) in bytes.chunks(8).zip(value["instructions"].as_array().unwrap()) {
        let code = u16::from_le_bytes([raw[0], raw[1]]);
        let k = u32::from_le_bytes([raw[4], raw[5], raw[6], raw[7]]);
        assert_eq!(*insn, serde_json::json!([code, raw[2], raw[3], k]));
        let words = format!("{code:#04x}, {:>3}, {:>3}, {k:#010x}", raw[2], raw[3]);
        for source in [&mut c, &mut rust] {
            let at = source.find(&words).expect("the instruction, behind the one before");
            source.drain(..at + words.len());
        }
    }
}

/// A profile may say every word that the document has, and no other flag.
#[test]
fn features_are_words_of_profiles() {
    let document = json(&["features"]);
    let words = |key: &str| -> Vec<String> {
        let list = document["linux"]["seccomp"][key].as_array().unwrap();
        list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let read = |profile: serde_json::Value| callsieve::Profile::from_json(&profile.to_string(), Format::Oci).map(drop);
    for (index, operator) in words("operators").into_iter().enumerate() {
        let args = serde_json::json!([{"index": index % 6, "value": 1, "valueTwo": 1, "op": operator}]);
        let entry = serde_json::json!({"names": ["read"], "action": "SCMP_ACT_LOG", "args": args});
        read(serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [entry]})).unwrap();
    }
    let listed = |key: &str, word: &str| serde_json::json!({"defaultAction": "SCMP_ACT_NOTIFY", key: [word]});
    for action in words("actions") {
        read(serde_json::json!({"defaultAction": action})).unwrap();
    }
    for arch in words("archs") {
        read(listed("architectures", &arch)).unwrap();
    }
    let known = words("knownFlags");
    for flag in &known {
        read(listed("flags", flag)).unwrap();
    }
    assert_eq!((words("actions").len(), words("operators").len(), words("archs").len()), (9, 7, Arch::ALL.len()));
    assert!(words("supportedFlags").iter().all(|flag| known.contains(flag)));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_callsieve"));
    command.args(["syscalls", "--arch", "x86_64"]).stdout(writer).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn every_subcommand_has_help_with_examples() {
    let scratch = Scratch::new("help");
    for subcommand in ["compile", "stats", "run", "show", "check", "simulate", "prove", "syscalls"] {
        let output = scratch.callsieve(&[subcommand, "--help"], Stdio::null());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(&format!("Examples:\n  callsieve {subcommand}")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}

/// The manual has a page for every subcommand that the help lists, and every shell completes their names.
#[test]
fn the_manual_and_the_completions_know_every_subcommand() {
    let scratch = Scratch::new("manual");
    let text = |words: &[&str]| {
        let output = scratch.callsieve(words, Stdio::null());
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = text(&["--help"]);
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<&str> = listed
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.contains(&"compile") && names.len() >= 15, "{names:?}");
    let main = text(&["man"]);
    let shells = ["bash", "zsh", "fish", "elvish", "powershell"].map(|shell| text(&["completions", shell]));
    for name in names {
        assert!(main.contains(&format!("callsieve\\-{name}(1)")), "{name}");
        let page = text(&["man", name]);
        assert!(page.contains(&format!(".TH CALLSIEVE-{} 1", name.to_uppercase())), "{page}");
        assert!(shells.iter().all(|shell| shell.contains(name)), "{name}");
    }
}

/// What a path leads to may come through a pipe, which can be read once.
#[cfg(target_os = "linux")]
#[test]
fn profiles_come_through_pipes() {
    let scratch = Scratch::new("pipes");
    files(&scratch);
    let commands: [&[&str]; 5] = [
        &["explain", "/dev/stdin", "read"],
        &["show", "/dev/stdin"],
        &["simulate", "/dev/stdin", "read"],
        &["check", "/dev/stdin"],
        &["diff", "/dev/stdin", "tiny.json"],
    ];
    for words in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        let text = fs::read(scratch.0.join("tiny.json")).unwrap();
        let feed = std::thread::spawn(move || std::io::Write::write_all(&mut { writer }, &text));
        let piped = scratch.callsieve(words, reader.into());
        feed.join().unwrap().unwrap();
        let words: Vec<_> = words.iter().map(|&word| if word == "/dev/stdin" { "tiny.json" } else { word }).collect();
        let read = scratch.callsieve(&words, Stdio::null());
        let shown = |output: &Output| String::from_utf8_lossy(&output.stdout).replace("/dev/stdin", "tiny.json");
        assert_eq!((shown(&piped), piped.status), (shown(&read), read.status), "{words:?}");
    }
}

/// Every command looks at the filter that `compile` writes, also where the file says how often calls are made.
#[test]
fn frequencies_of_a_file_count_everywhere() {
    let scratch = Scratch::new("frequencies");
    let names: Vec<_> = Arch::X86_64.syscalls().map(|(_, name)| name).step_by(2).collect();
    let allowed = names.join(": 1\n");
    fs::write(scratch.0.join("often.frequency"), "timer_create: 100000000\n").unwrap();
    assert!(names.contains(&"timer_create"));
    fs::write(scratch.0.join("app.policy"), format!("@frequency ./often.frequency\n{allowed}: 1\n")).unwrap();
    let run = |words: &[&str]| {
        let words: Vec<_> = words.iter().copied().chain(["--from", "minijail", "--arch", "x86_64"]).collect();
        let output = scratch.callsieve(&words, Stdio::null());
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["compile", "app.policy", "-o", "app.bpf"]), "");
    let path = |words: &[&str]| {
        let text = run(&[&["simulate", "--json"], words, &["timer_create"]].concat());
        let run: serde_json::Value = serde_json::from_str(&text).unwrap();
        run["path"].to_string()
    };
    assert!(path(&["app.policy"]) == path(&["app.bpf"]), "another filter is looked at than was written");
    assert!(path(&["app.policy"]) != path(&["app.policy", "--weights", "mix"]), "frequencies make no difference");
}

/// A path that never ends costs a bounded amount of memory.
#[cfg(target_os = "linux")]
#[test]
fn a_weights_file_without_end_is_refused() {
    let scratch = Scratch::new("endless");
    files(&scratch);
    let mut command = Command::new("sh");
    let script = "ulimit -v 2000000; exec \"$0\" compile one.json --weights /dev/zero -o out.bpf";
    let output =
        command.args(["-c", script, env!("CARGO_BIN_EXE_callsieve")]).current_dir(&scratch.0).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("'/dev/zero' for '--weights <FILE|uniform|mix>': $: 67108865 bytes"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}
