//! `callsieve run --explain` on the running kernel.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)] // A test.
#![allow(unsafe_code)] // Signals.

mod common;

use callsieve::kernel::{ReadBack, ReadBackError, filters_of, pending_call};
use common::kernel_has_filters;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder with what the script needs, which is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, profile: &str) -> Self {
        let path = std::env::temp_dir().join(format!("callsieve-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("profile.json"), profile).unwrap();
        fs::write(path.join("file"), "").unwrap();
        symlink("file", path.join("link")).unwrap();
        Self(path)
    }

    fn run(&self, words: &[&str], script: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callsieve"));
        command.args(["run", "--profile", "profile.json"]).args(words).args(["--", "sh", "-c", script]);
        command.current_dir(&self.0).stdin(Stdio::null()).env("LC_ALL", "C").output().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Five denials, of which one depends on an argument.
const PROFILE: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 },
        { "names": ["symlink", "symlinkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 },
        { "names": ["fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
          "args": [{ "index": 2, "op": "SCMP_CMP_MASKED_EQ", "value": 2, "valueTwo": 2 }] },
        { "names": ["unlink", "unlinkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30 },
        { "names": ["setpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }
    ]
}"#;

const SCRIPT: &str = "for round in 1 2 3; do
    mkdir folder; echo mkdir $?
    ln -s target other; echo ln $?
    chmod 755 file; echo chmod $?; chmod 777 file; echo chmod $?
    rm -f link; echo rm $?
    nice -n 1 echo nice; echo nice $?
done
ls; exit 7";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What comes from callsieve itself, with the lines that belong to a message, and what does not.
fn split(errors: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut ours, mut theirs): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for line in text(errors).lines() {
        if line.starts_with("callsieve: ") {
            ours.push(line.to_owned());
        } else if let Some(last) = ours.last_mut().filter(|_| line.starts_with("  ")) {
            last.push('\n');
            last.push_str(line);
        } else {
            theirs.push(line.to_owned());
        }
    }
    (ours, theirs)
}

/// Each of five denials is shown once, and everything else is as without it.
#[test]
fn a_script_with_five_denials() {
    if !kernel_has_filters("a_script_with_five_denials") {
        return;
    }
    let folder = Scratch::new("five", PROFILE);
    let plain = folder.run(&[], SCRIPT);
    let explained = folder.run(&["--explain", "--report", "report.json"], SCRIPT);
    assert_eq!(plain.status.code(), Some(7), "{}", text(&plain.stderr));
    assert_eq!(explained.status.code(), Some(7));
    assert!(text(&plain.stdout).starts_with("mkdir 1\nln 1\nchmod 0\nchmod 1\nrm 1\nnice\nnice 0\n"));
    assert_eq!(text(&explained.stdout).replace("report.json\n", ""), text(&plain.stdout));
    let (ours, theirs) = split(&explained.stderr);
    assert_eq!(theirs, split(&plain.stderr).1);
    let denied: Vec<_> = ours.iter().filter(|message| message.contains(": denied ")).collect();
    assert_eq!(denied.len(), 5, "{ours:#?}");
    for (call, answer, rule) in [
        ("mkdir", "EPERM", "$.syscalls[0]"),
        ("symlink", "EACCES", "$.syscalls[1]"),
        ("fchmodat", "EPERM", "$.syscalls[2]"),
        ("unlink", "EROFS", "$.syscalls[3]"),
        ("setpriority", "EPERM", "$.syscalls[4]"),
    ] {
        let own = |message: &&&String| message.contains(&format!(": denied {call}"));
        let message = denied.iter().find(own).unwrap();
        assert!(message.contains(answer) && message.contains(rule), "{message}");
        assert!(message.contains(", thread "), "{message}");
    }
    // The condition that made the difference, and the path as the command gave it.
    let chmod = denied.iter().find(|message| message.contains("fchmodat")).unwrap();
    assert!(chmod.contains("\"file\"") && chmod.contains("arg2 & 0x2"), "{chmod}");
    let summary = ours.last().unwrap();
    assert!(summary.contains("5 kinds of call denied") && summary.contains("3 x "), "{summary}");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(folder.0.join("report.json")).unwrap()).unwrap();
    let list = report["denials"].as_array().unwrap();
    assert_eq!(list.len(), 5);
    assert!(list.iter().all(|denial| denial["count"] == 3 && denial["arch"].is_string()), "{report:#}");
}

/// What a profile does not allow names the nearest rule that would, and what it lacks.
#[test]
fn the_nearest_rule() {
    if !kernel_has_filters("the_nearest_rule") {
        return;
    }
    let profile = r#"{
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            { "names": ["setpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
              "args": [{ "index": 2, "op": "SCMP_CMP_GT", "value": 3 }] }
        ]
    }"#;
    let folder = Scratch::new("nearest", profile);
    let output = folder.run(&["--explain"], "nice -n 3 echo three; nice -n 4 echo four");
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("three\nfour\n", Some(0)));
    let (ours, _) = split(&output.stderr);
    assert!(ours[0].contains("denied setpriority(0, 0, 4): ") && ours[0].contains("arg2 > 3"), "{ours:#?}");
}

/// Killing shows as it does without a supervisor.
#[test]
fn a_call_that_kills() {
    if !kernel_has_filters("a_call_that_kills") {
        return;
    }
    let profile = r#"{ "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["setpriority"], "action": "SCMP_ACT_KILL_PROCESS" }] }"#;
    let folder = Scratch::new("kills", profile);
    let script = "nice -n 1 echo never; echo $?; exec nice -n 1 true";
    let (plain, explained) = (folder.run(&[], script), folder.run(&["--explain"], script));
    assert_eq!((text(&plain.stdout).as_str(), plain.status.code()), ("159\n", Some(159)), "{}", text(&plain.stderr));
    assert_eq!((text(&explained.stdout).as_str(), explained.status.code()), ("159\n", Some(159)));
    let (ours, _) = split(&explained.stderr);
    assert_eq!(ours.iter().filter(|message| message.contains("denied setpriority(0, 0, 1): KILL_PROCESS")).count(), 1);
}

/// `--audit-only` carries out what the profile denies, and says so loudly.
#[test]
fn an_audit() {
    if !kernel_has_filters("an_audit") {
        return;
    }
    let folder = Scratch::new("audit", PROFILE);
    let output = folder.run(&["--explain", "--audit-only"], "mkdir folder; rm link; echo $?");
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("0\n", Some(0)));
    assert!(Path::new(&folder.0).join("folder").is_dir());
    let (ours, theirs) = split(&output.stderr);
    assert!(ours[0].contains("AUDIT ONLY: nothing is denied"), "{ours:#?}");
    assert_eq!(ours.iter().filter(|message| message.contains("would deny ")).count(), 2, "{ours:#?}");
    assert_eq!(theirs, [""; 0]);
}

#[test]
fn what_cannot_be_explained() {
    if !kernel_has_filters("what_cannot_be_explained") {
        return;
    }
    let folder = Scratch::new("wrong", PROFILE);
    for (words, status, message) in [
        (&["--audit-only"][..], 125, "--explain"),
        (&["--report", "x"], 125, "--explain"),
        (
            &["--explain", "--report", "/no/such/folder/x"],
            125,
            "cannot write /no/such/folder/x: no such file or directory",
        ),
    ] {
        let output = folder.run(words, "exit 3");
        assert_eq!(output.status.code(), Some(status), "{words:?}");
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
    }
    // Programs that cannot be executed: as without it.
    fs::write(folder.0.join("broken"), "#!/no/such/interpreter\n").unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callsieve"));
        command.current_dir(&folder.0).args(["run", "--profile", "profile.json"]).args(words);
        Command::new("chmod").arg("755").arg(folder.0.join("broken")).status().unwrap();
        let output = command.args(["--", "./broken"]).output().unwrap();
        (output.status.code(), text(&output.stderr).lines().last().map(str::to_owned))
    };
    let (plain, explained) = (run(&[]), run(&["--explain"]));
    assert_eq!(plain.0, Some(127));
    assert_eq!(plain, explained);
}

/// A command that waits under a filter, killed in the end.
struct Waiting(std::process::Child, u32);

impl Waiting {
    fn start(folder: &Path, words: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callsieve"));
        command.args(["run", "--profile", "profile.json"]).args(words).args([
            "--",
            "sh",
            "-c",
            "echo $$; exec sleep 60",
        ]);
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().parse().unwrap();
        // It has told its number before it became what waits.
        let waits = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().starts_with("sleep");
        while !waits() || pending_call(pid).is_ok_and(|call| call.is_none_or(|call| !NAPS.contains(&call.nr))) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Self(child, pid)
    }

    /// Whether filters of others can be read here; if not, the test is skipped.
    fn is_readable(&self, test: &str) -> bool {
        match filters_of(self.1) {
            Ok(_) => return true,
            // Containers are mostly filtered and have no CAP_SYS_ADMIN.
            Err(
                error @ (ReadBackError::MissingCapability
                | ReadBackError::TracerFiltered
                | ReadBackError::AttachRefused { .. }),
            ) => common::skip(test, &error.to_string()),
            Err(error) => panic!("{error}"),
        }
        false
    }
}

/// What sleep(1) waits in, also after it was stopped.
#[allow(clippy::cast_possible_truncation)]
const NAPS: [u32; 2] = [libc::SYS_clock_nanosleep as u32, libc::SYS_restart_syscall as u32];

impl Drop for Waiting {
    fn drop(&mut self) {
        unsafe { libc::kill(-self.0.id().cast_signed(), libc::SIGKILL) };
        let _ = self.0.wait();
    }
}

const NAPPING: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"},
    {"names": ["clock_nanosleep", "restart_syscall"], "action": "SCMP_ACT_LOG", "comment": "Naps."}]}"#;

#[test]
fn the_call_that_a_process_waits_in_is_explained() {
    let test = "the_call_that_a_process_waits_in_is_explained";
    if !kernel_has_filters(test) {
        return;
    }
    let folder = Scratch::new("pending", NAPPING);
    let waiting = Waiting::start(&folder.0, &[]);
    if !waiting.is_readable(test) {
        return;
    }
    let explain = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callsieve"));
        let output = command.arg("explain").args(words).current_dir(&folder.0).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let pid = waiting.1.to_string();
    let (status, by_filter, errors) = explain(&["--pid", &pid]);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert!(by_filter.starts_with(&format!("process {pid} (sleep): ")), "{by_filter}");
    assert!(
        by_filter.lines().next().unwrap().ends_with(": LOG") && by_filter.contains("\nthe filter: LOG, "),
        "{by_filter}"
    );
    let (status, by_profile, errors) = explain(&["profile.json", "--pid", &pid]);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert!(by_profile.contains("because of $.syscalls[1]: LOG\n    \"Naps.\""), "{by_profile}");
    let (status, json, _) = explain(&["profile.json", "--pid", &pid, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, &json["profile"]["rules"][0]["path"]), (Some(0), &"$.syscalls[1]".into()));
    assert_eq!(json["filters"]["filters"].as_array().unwrap().len(), 1);
    // Any other call, asked of the filters of the process.
    let (status, other, _) = explain(&[&format!("pid:{pid}"), "getpriority"]);
    assert_eq!(status, Some(1), "{other}");
    assert!(other.contains("getpriority on ") && other.contains(": ERRNO(1)"), "{other}");
}

#[test]
fn log_sets_the_flag_of_the_kernel() {
    let test = "log_sets_the_flag_of_the_kernel";
    if !kernel_has_filters(test) {
        return;
    }
    let folder = Scratch::new("log-flag", NAPPING);
    for (words, logs) in [(&[][..], false), (&["--log"][..], true)] {
        let waiting = Waiting::start(&folder.0, words);
        if !waiting.is_readable(test) {
            return;
        }
        let filters = filters_of(waiting.1).unwrap();
        assert_eq!(filters.iter().map(ReadBack::logs).collect::<Vec<_>>(), [Some(logs)], "{words:?}");
    }
}
