//! What the linter says, code by code.
//!
//! `tests/data/lint/CODE.json` holds the cases of one code: a profile (or `text`, where the text itself is the point), a
//! target where it matters, and what has to be found of that code: place, severity, message, and the call that shows it.
//! Every code has a case where it is found and one where it is not. `BLESS=1 cargo test --test lint` writes what is
//! found into the cases; review it like code.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests fail as tests do.
#![cfg(feature = "json")]

use callsieve::arch::{Arch, KernelVersion};
use callsieve::bpf::Action;
use callsieve::check::Linter;
use callsieve::policy::{Capabilities, Semantics, Target, Unlisted, UnlistedX32};
use callsieve::profile::{Code, Diagnostic, Diagnostics, Format, Profile, Severity};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lint")
}

fn text<'a>(case: &'a Value, key: &str) -> Option<&'a str> {
    case.get(key).map(|value| value.as_str().unwrap_or_else(|| panic!("{key} is no string: {value}")))
}

/// The machine of a case: one that names nothing is an `x86_64` with Docker's capabilities.
fn target(case: &Value) -> Target {
    let arches: Vec<Arch> =
        text(case, "arch").unwrap_or("x86_64").split(',').map(|name| name.parse().unwrap()).collect();
    // `host` takes the list of the profile, `arch` is exactly these.
    let mut target = match text(case, "host") {
        Some(host) => Target::new(host.parse().unwrap()),
        None => Target::exactly(&arches),
    };
    if let Some(kernel) = text(case, "kernel") {
        target = target.kernel(kernel.parse::<KernelVersion>().unwrap());
    }
    if let Some(caps) = text(case, "caps") {
        target = target.capabilities(Capabilities::from_names(caps.split(',')).unwrap());
    }
    if text(case, "semantics") == Some("strict") {
        target = target.semantics(Semantics::Strict);
    }
    if text(case, "bad_arch") == Some("allow") {
        target = target.bad_arch(Action::Allow);
    }
    if text(case, "unlisted_x32") == Some("default") {
        target = target.unlisted_x32(UnlistedX32::Default);
    }
    if let Some(release) = text(case, "newer_is_enosys") {
        target = target.unlisted(Unlisted::Enosys { newer_than: release.parse().unwrap() });
    }
    target
}

fn format_of(case: &Value) -> Format {
    match text(case, "from") {
        Some("oci") => Format::Oci,
        Some("docker") => Format::Docker,
        _ => Format::Auto,
    }
}

/// All that is found in a case.
fn findings(case: &Value) -> Diagnostics {
    let profile = match text(case, "text") {
        Some(text) => text.to_owned(),
        None => case["profile"].to_string(),
    };
    let profile = match Profile::from_json(&profile, format_of(case)) {
        Ok(profile) => profile,
        Err(error) => return error.diagnostics().clone(),
    };
    let mut linter = Linter::new();
    if let Some(size) = case.get("size") {
        let size = |index: usize| usize::try_from(size[index].as_u64().unwrap()).unwrap();
        linter = linter.filter_size(size(0), size(1));
    }
    linter.lint(&profile, &target(case)).unwrap()
}

fn written(found: &Diagnostic) -> Value {
    let severity = match found.severity() {
        Severity::Note => "note",
        Severity::Warning => "warning",
        _ => "error",
    };
    let mut value = json!({"path": found.path(), "severity": severity, "message": found.message()});
    if let Some(example) = found.example() {
        value["example"] = example.to_string().into();
    }
    value
}

fn of_code(case: &Value, code: Code) -> Vec<Value> {
    findings(case).iter().filter(|found| found.code() == code).map(written).collect()
}

/// Cases in the file are objects; keys in this order read best.
fn pretty(cases: &[Value]) -> String {
    let mut text = String::from("[\n");
    for (index, case) in cases.iter().enumerate() {
        let case = case.as_object().unwrap();
        text.push_str("  {\n");
        let order = ["about", "arch", "host", "kernel", "caps", "semantics", "from", "bad_arch", "unlisted_x32"];
        let keys = order.iter().chain(&["newer_is_enosys", "size", "text", "profile", "find"]);
        let lines: Vec<String> = keys.filter_map(|key| Some(line(key, case.get(*key)?))).collect();
        assert_eq!(lines.len(), case.len(), "a key that no case has: {:?}", case.keys());
        text.push_str(&lines.join(",\n"));
        text.push_str(if index + 1 == cases.len() { "\n  }\n" } else { "\n  },\n" });
    }
    text.push_str("]\n");
    text
}

fn line(key: &str, value: &Value) -> String {
    match value {
        Value::Array(items) if key == "find" && !items.is_empty() => {
            let items: Vec<String> =
                items.iter().map(|item| format!("      {}", finding(item.as_object().unwrap()))).collect();
            format!("    \"find\": [\n{}\n    ]", items.join(",\n"))
        }
        Value::Object(profile) if key == "profile" => {
            let fields: Vec<String> = profile.iter().map(|(key, value)| field(key, value)).collect();
            format!("    \"profile\": {{\n{}\n    }}", fields.join(",\n"))
        }
        value => format!("    \"{key}\": {value}"),
    }
}

fn field(key: &str, value: &Value) -> String {
    match value {
        Value::Array(items) if key == "syscalls" => {
            let items: Vec<String> = items.iter().map(|item| format!("        {item}")).collect();
            format!("      \"{key}\": [\n{}\n      ]", items.join(",\n"))
        }
        value => format!("      \"{key}\": {value}"),
    }
}

fn finding(found: &Map<String, Value>) -> String {
    let keys = ["path", "severity", "message", "example"];
    let parts: Vec<String> = keys.iter().filter_map(|key| Some(format!("\"{key}\": {}", found.get(*key)?))).collect();
    format!("{{{}}}", parts.join(", "))
}

#[test]
fn every_code_is_found_and_not_found() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = String::new();
    for &code in Code::ALL {
        let file = folder().join(format!("{code}.json"));
        let Ok(written) = fs::read_to_string(&file) else {
            writeln!(wrong, "{code}: no cases in {}", file.display()).unwrap();
            continue;
        };
        let mut cases: Vec<Value> = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{code}: {error}"));
        for case in &mut cases {
            let found = of_code(case, code);
            examples_are_true(case);
            if text(case, "semantics").is_none() {
                let worst = findings(case).iter().filter(|found| found.code() == code).map(Diagnostic::severity).max();
                assert!(worst.is_none_or(|worst| worst <= code.severity()), "{code}: {found:?} is above its severity");
            }
            if bless {
                case["find"] = found.into();
            } else if case["find"] != Value::from(found.clone()) {
                let (about, wanted) = (&case["about"], &case["find"]);
                writeln!(wrong, "{code}: {about}\n  expected {wanted}\n  found    {}", Value::from(found)).unwrap();
            }
        }
        let positive = cases.iter().filter(|case| case["find"].as_array().is_some_and(|list| !list.is_empty())).count();
        if positive == 0 || positive == cases.len() {
            writeln!(wrong, "{code}: a case where it is found and one where it is not are wanted").unwrap();
        }
        if bless {
            fs::write(&file, pretty(&cases)).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_file_has_a_code() {
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(path.is_dir() || name.parse::<Code>().is_ok(), "{}", path.display());
    }
}

#[test]
fn every_code_is_documented() {
    for &code in Code::ALL {
        assert_eq!(code.as_str().parse(), Ok(code));
        assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
        let [summary, why, instead] = [code.summary(), code.why(), code.instead()];
        assert!(summary.ends_with('.') && summary.len() > 10 && summary.len() < 100, "{code}: {summary}");
        assert!(why.ends_with('.') && why.len() > 40, "{code}: {why}");
        assert!(!instead.ends_with('.') && instead.len() > 10, "{code}: {instead}");
    }
}

#[test]
fn findings_are_judged_as_asked() {
    let text =
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["opennat"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let profile = Profile::from_json(text, Format::Auto).unwrap();
    let target = Target::exactly(&[Arch::X86_64]);
    let severity = |linter: Linter, code: Code| {
        let found = linter.lint(&profile, &target).unwrap();
        found.iter().find(|found| found.code() == code).map(Diagnostic::severity)
    };
    let unknown = Code::UnknownSyscall;
    assert_eq!(severity(Linter::new(), unknown), Some(Severity::Warning));
    assert_eq!(severity(Linter::new().allow(unknown), unknown), None);
    assert_eq!(severity(Linter::new().deny(unknown), unknown), Some(Severity::Error));
    assert_eq!(severity(Linter::new().deny(unknown), Code::DefaultAllow), Some(Severity::Warning));
    assert_eq!(severity(Linter::new().deny_warnings(), Code::DefaultAllow), Some(Severity::Error));
    // Denied counts more than allowed.
    assert_eq!(severity(Linter::new().allow(unknown).deny(unknown), unknown), Some(Severity::Error));
}

/// The traps of container defaults that people have fallen into, in profiles that hold the rules in question: denials
/// that an allowance hides, a socket family that the multiplexer opens again, comparisons wider than an `int`, and rules
/// that never act.
#[test]
fn known_traps_of_container_defaults() {
    for (file, code, path, example) in [
        ("docker", Code::Multiplexed, "$.syscalls[0].names[21]", Some("socketcall(0x1) on x86: ALLOW")),
        ("docker", Code::WideComparison, "$.syscalls[4].args[0]", Some("socket(0x100000026) on x86_64: ALLOW")),
        ("podman", Code::TwoUnconditional, "$.syscalls[2]", None),
        ("podman", Code::Multiplexed, "$.syscalls[1].names[21]", Some("socketcall(0x1) on x86: ALLOW")),
        (
            "podman",
            Code::WideComparison,
            "$.syscalls[5].args[0]",
            Some("socket(0x100000010, 0x0, 0x9) on x86_64: ALLOW"),
        ),
        ("podman", Code::Redundant, "$.syscalls[6]", None),
        ("podman", Code::DangerousAllow, "$.syscalls[1]", Some("mount() on x86_64: ALLOW")),
        ("containerd", Code::Shadowed, "$.syscalls[0]", None),
        ("containerd", Code::Shadowed, "$.syscalls[1]", None),
        ("containerd", Code::Multiplexed, "$.syscalls[2].names[21]", Some("socketcall(0x1) on x86: ALLOW")),
        ("containerd", Code::WideComparison, "$.syscalls[5].args[0]", Some("socket(0x100000026) on x86_64: ALLOW")),
    ] {
        let text = fs::read_to_string(folder().join("traps").join(file).with_extension("json")).unwrap();
        let profile = Profile::from_json(&text, Format::Auto).unwrap();
        let caps = if file == "podman" { Capabilities::podman() } else { Capabilities::docker() };
        let target = Target::new(Arch::X86_64).capabilities(caps);
        let found = Linter::new().lint(&profile, &target).unwrap();
        let here: Vec<&Diagnostic> = found.iter().filter(|one| one.code() == code && one.path() == path).collect();
        let shown: Vec<Option<String>> = here.iter().map(|one| one.example().map(ToString::to_string)).collect();
        let expected = example.map(str::to_owned);
        assert!(shown.contains(&expected), "{file}: {code} at {path}: {shown:?} of {:?}", written_all(&found));
    }
}

fn written_all(found: &Diagnostics) -> Vec<String> {
    found.iter().map(|one| format!("{} {}", one.code(), written(one))).collect()
}

/// What an example says happens is what the plain meaning says.
fn examples_are_true(case: &Value) {
    let Ok(profile) = Profile::from_json(&case["profile"].to_string(), format_of(case)) else { return };
    let Ok(policy) = profile.resolve(&target(case)) else { return };
    for example in findings(case).iter().filter_map(Diagnostic::example) {
        assert_eq!(policy.decide(&example.call), example.action, "{}: {example}", case["about"]);
    }
}

/// Our own default has no warning but one that its documentation explains: the multiplexer that carries sockets.
#[test]
fn the_container_default_is_clean() {
    let profile = Profile::container_default().unwrap();
    for host in Arch::ALL {
        let found = Linter::new().lint(&profile, &Target::new(host)).unwrap();
        for one in found.iter().filter(|one| one.severity() > Severity::Note) {
            assert_eq!(one.code(), Code::Multiplexed, "{host}: {one}");
            assert!(one.message().starts_with("socketcall"), "{host}: {one}");
        }
    }
}
