//! Texts that hold as much as they can of one thing.

use super::{cost, grows};
use callsieve::arch::Arch;
use callsieve::check::Expectations;
use callsieve::import::{Importer, Language};
use callsieve::nurse::Acl;
use callsieve::profile::{Format, Profile, limits};
use callsieve::record::Recording;
use callsieve::{Compiler, Target, Weights};
use std::fmt::Write as _;

/// Bytes that are held at once for each byte of a profile, or of a text of another kind.
const PROFILE: usize = 16;
const OTHERS: usize = 192;

/// As many lines as fit, made from their numbers.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

/// A profile with these entries.
fn profile(count: usize, entry: impl Fn(usize) -> String) -> String {
    let entries: Vec<_> = (0..count).map(entry).collect();
    format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{}]}}"#, entries.join(","))
}

fn condition(arg: usize, op: &str, value: u64, two: u64) -> String {
    format!(r#"{{"index":{arg},"op":"SCMP_CMP_{op}","value":{value},"valueTwo":{two}}}"#)
}

fn entry(name: &str, errno: usize, args: &[String]) -> String {
    let args = args.join(",");
    format!(r#"{{"names":["{name}"],"action":"SCMP_ACT_ERRNO","errnoRet":{errno},"args":[{args}]}}"#)
}

/// Everything that reads a text.
pub fn readers() {
    let json = |text: &str| drop(Profile::from_json(text, Format::Auto));
    let sizes = [2000, 4000, 8000];
    grows("nested lists", PROFILE, sizes.map(|size| size * 10), |size| "[".repeat(size), json);
    grows("nested objects", PROFILE, sizes.map(|size| size * 10), |size| "{\"a\":".repeat(size), json);
    grows("spaces", PROFILE, sizes.map(|size| size * 400), |size| " ".repeat(size), json);
    grows(
        "a long name",
        PROFILE,
        sizes.map(|size| size * 100),
        |size| profile(1, |_| entry(&"n".repeat(size), 1, &[])),
        json,
    );
    grows(
        "escapes",
        PROFILE,
        sizes.map(|size| size * 20),
        |size| profile(1, |_| entry(&"\\u0007".repeat(size), 1, &[])),
        json,
    );
    grows("many rules", PROFILE, sizes, |size| profile(size, |at| entry(&format!("call_{at}"), at % 100, &[])), json);
    let args =
        |at: usize| entry("ioctl", 1, &[condition(at % 6, "NE", at as u64, 0), condition((at + 1) % 6, "EQ", 7, 0)]);
    grows("many conditions", PROFILE, sizes, |size| profile(size, args), json);
    grows("wrong rules", PROFILE, sizes, |size| profile(size, |at| format!(r#"{{"nmaes":["a{at}"]}}"#)), json);
    grows("wrong values", PROFILE, sizes, |size| profile(size, |at| entry("read", 5000 + at, &[])), json);
    let keys = |size| format!("{{{}}}", (0..size).map(|at| format!(r#""key{at}":1"#)).collect::<Vec<_>>().join(","));
    grows("unknown keys", PROFILE, sizes, keys, json);

    let acl = |text: &str| drop(Acl::from_toml(text));
    let acl_json = |text: &str| drop(Acl::from_json(text));
    let paths = |size: usize| format!("read = [{}]", lines(size, |at| format!("\"/usr/{at}/a/b/c\",\n")));
    grows("paths", OTHERS, sizes, paths, acl);
    grows(
        "wrong paths",
        OTHERS,
        sizes,
        |size| format!("read = [{}]", lines(size, |at| format!("\"usr/{at}/../c\",\n"))),
        acl,
    );
    grows("tables", OTHERS, sizes, |size| lines(size, |at| format!("[a{at}]\n")), acl);
    grows("dotted keys", OTHERS, sizes, |size| lines(size, |at| format!("a.b.c.d{at} = 1\n")), acl);
    grows("nested values", OTHERS, sizes, |size| format!("read = {}", "[".repeat(size)), acl);
    grows("nested lists of an ACL", OTHERS, sizes, |size| "[".repeat(size), acl_json);

    let weights = |text: &str| drop(Weights::from_json(text));
    let counts =
        |size| format!("{{{}}}", (0..size).map(|at| format!(r#""call{at}":{at}"#)).collect::<Vec<_>>().join(","));
    grows("weights", OTHERS, sizes, counts, weights);
    grows("nested weights", PROFILE, sizes, |size| "{\"a\":".repeat(size), weights);

    let expect = |text: &str| drop(text.parse::<Expectations>());
    grows(
        "expectations",
        OTHERS,
        sizes,
        |size| lines(size, |at| format!("socket({at}, 2..5, A|B|{at}) => allow\n")),
        expect,
    );
    grows("terms", OTHERS, sizes, |size| format!("socket({}) => allow\n", "A|".repeat(size)), expect);
    grows("wrong lines", OTHERS, sizes, |size| lines(size, |at| format!("socket({at}, => ?\n")), expect);

    for language in Language::ALL {
        let read = |text: &str| drop(Importer::new(*language, Arch::X86_64).read(text));
        for (name, make) in foreign() {
            grows(&format!("{language}, {name}"), OTHERS, sizes, make, read);
        }
    }
    let strace = |text: &str| drop(Recording::new().read_strace(text, Arch::X86_64));
    let audit = |text: &str| drop(Recording::new().read_audit(text));
    let call = |at: usize| format!("[pid {at}] 12:00:00 ioctl({at}, {at:#x}, [{at}, {at}], \"{at}\") = 0\n");
    grows("strace", OTHERS, sizes, |size| lines(size, call), strace);
    grows(
        "unfinished calls",
        OTHERS,
        sizes,
        |size| lines(size, |at| format!("[pid {at}] read(1, <unfinished ...>\n")),
        strace,
    );
    grows("brackets", OTHERS, sizes, |size| format!("read({}\n", "[{(\"".repeat(size)), strace);
    let message =
        |at: usize| format!("type=SECCOMP msg=audit(1.{at}:{at}): arch=c000003e syscall={at} a0={at:x} sig=31\n");
    grows("audit", OTHERS, sizes, |size| lines(size, message), audit);
}

/// Kinds of text in the languages of other programs, of which each reads some.
#[allow(clippy::type_complexity)]
fn foreign() -> [(&'static str, fn(usize) -> String); 8] {
    [
        ("policy lines", |size| lines(size, |at| format!("call{at}: arg0 == {at} || arg1 & 0x{at:x}; return 1\n"))),
        ("alternatives", |size| format!("ioctl: {}\n", vec!["arg1 == 1"; size].join(" || "))),
        ("conjunctions", |size| format!("ioctl: {}\n", vec!["arg1 != 1"; size].join(" && "))),
        ("products", |size| {
            format!("POLICY a {{ ALLOW {{ ioctl {{ {} }} }} }} USE a", vec!["(a == 1 || b == 2)"; size].join(" && "))
        }),
        ("parentheses", |size| format!("POLICY a {{ ALLOW {{ ioctl {{ {} }} }} }} USE a", "(".repeat(size))),
        ("definitions", |size| lines(size, |at| format!("#define A{at} A{}\n", at + 1))),
        ("unit lines", |size| lines(size, |at| format!("SystemCallFilter=~@system-service call{at}:EPERM\n"))),
        ("filters", |size| {
            let rules: Vec<_> = (0..size)
                .map(|at| {
                    format!(r#"{{"syscall":"call{at}","args":[{{"index":0,"type":"dword","op":"eq","val":{at}}}]}}"#)
                })
                .collect();
            format!(r#"{{"a":{{"default_action":"trap","filter_action":"allow","filter":[{}]}}}}"#, rules.join(","))
        }),
    ]
}

/// Rules of one call, up to the most that a profile may have, resolved, and compiled if they fit into a program.
pub fn policies() {
    let target = Target::exactly(&[Arch::X86_64, Arch::X86, Arch::X32]);
    let mask = |at: u64, shift: u64| condition(1, "MASKED_EQ", 0x1fff << shift, at << shift);
    let kinds: [(&str, &dyn Fn(usize) -> String); 5] = [
        ("values", &|at| entry("ioctl", at % 5, &[condition(1, "EQ", at as u64 * 10, 0)])),
        ("ranges", &|at| {
            entry("ioctl", at % 5, &[condition(1, "GE", at as u64 * 10, 0), condition(2, "LT", at as u64, 0)])
        }),
        ("fixed bits", &|at| entry("ioctl", at % 7, &[mask(at as u64, 3)])),
        ("many masks", &|at| entry("ioctl", 1, &[mask(at as u64 & 0x1fff, at as u64 % 20)])),
        ("two words", &|at| {
            entry("ioctl", at % 5, &[condition(at % 6, "EQ", at as u64, 0), condition((at + 1) % 6, "NE", 7, 0)])
        }),
    ];
    for (name, kind) in kinds {
        for count in [limits::MAX_RULES / 16, limits::MAX_RULES] {
            let profile = Profile::from_json(&profile(count, kind), Format::Auto).unwrap();
            let mut end = String::new();
            let now = cost(|| match profile.resolve(&target) {
                Err(error) => write!(end, "{error}").unwrap(),
                Ok(policy) => match Compiler::new().compile(&policy) {
                    Ok(filter) => write!(end, "{} instructions", filter.program().len()).unwrap(),
                    Err(error) => write!(end, "{error}").unwrap(),
                },
            });
            println!(
                "{name}: {count} rules: {} at once, {} in all: {}",
                now.peak,
                now.total,
                &end[..end.len().min(100)]
            );
            assert!(now.peak <= 256 << 20, "{name}: {now:?}");
        }
    }
}
