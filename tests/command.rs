//! `callsieve run` on the running kernel: real programs under `container-default`, and what it denies.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // A helper that fails is a test that fails.

mod common;

use common::{kernel_has_filters, skip};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("callsieve-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn callsieve<I: AsRef<OsStr>>(words: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callsieve"));
    command.args(words).stdin(Stdio::null());
    command
}

/// A command under `container-default`.
fn contained<I: AsRef<OsStr>>(words: impl IntoIterator<Item = I>) -> Command {
    let mut command = callsieve(["run", "--profile", "container-default", "--"]);
    command.args(words);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of a command that must succeed and say nothing on standard error.
#[track_caller]
fn output(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success() && stderr.is_empty(), "{command:?}: {status}\n{}\n{}", text(&stdout), text(&stderr));
    text(&stdout)
}

#[track_caller]
fn status(mut command: Command) -> i32 {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().code().expect("an exit status")
}

/// Whether a program that a test needs is there; if not, the test is skipped.
fn have(test: &str, program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    if !found {
        skip(test, &format!("{program} is not installed"));
    }
    found
}

/// Whether the test can run at all.
fn ready(test: &str, programs: &[&str]) -> bool {
    kernel_has_filters(test) && programs.iter().all(|program| have(test, program))
}

#[test]
fn the_filter_is_on_and_is_one() {
    if !ready("the_filter_is_on_and_is_one", &[]) {
        return;
    }
    let lines = "grep -e ^NoNewPrivs: -e ^Seccomp: /proc/self/status";
    assert_eq!(output(contained(["sh", "-c", lines])), "NoNewPrivs:\t1\nSeccomp:\t2\n");
    let count = "sed -n 's/^Seccomp_filters:\t//p' /proc/self/status";
    let mut outside = Command::new("sh");
    outside.args(["-c", count]);
    let outside = output(outside);
    if outside.is_empty() {
        skip("the_filter_is_on_and_is_one", "the kernel does not count filters (before 5.9)");
        return;
    }
    let inside = output(contained(["sh", "-c", count]));
    assert_eq!(inside.trim().parse::<u32>().unwrap(), outside.trim().parse::<u32>().unwrap() + 1);
}

#[test]
fn privileges_are_kept_if_asked_for() {
    let words = ["run", "--profile", "container-default", "--keep-privs", "--", "sh", "-c"];
    let mut command = callsieve(words);
    command.arg("grep ^NoNewPrivs: /proc/self/status");
    let Output { status, stdout, stderr } = command.output().unwrap();
    match status.code() {
        // Without CAP_SYS_ADMIN the kernel refuses, and nothing is started.
        Some(125) => assert_eq!(
            text(&stderr),
            "callsieve: seccomp(2) refused the filter: permission denied; set no_new_privs or hold CAP_SYS_ADMIN\n"
        ),
        code => assert_eq!((code, text(&stdout)), (Some(0), "NoNewPrivs:\t0\n".into())),
    }
}

#[test]
fn the_status_of_the_command_is_passed_on() {
    if !ready("the_status_of_the_command_is_passed_on", &[]) {
        return;
    }
    assert_eq!(status(contained(["sh", "-c", "exit 0"])), 0);
    assert_eq!(status(contained(["sh", "-c", "exit 7"])), 7);
    assert_eq!(status(contained(["sh", "-c", "kill -TERM $$"])), 128 + 15);
    assert_eq!(output(contained(["sh", "-c", "echo \"$0 $@\"", "a", "--log", "-b"])), "a --log -b\n");
    assert_eq!(output(contained(["sh", "-c", "echo $0"])), "sh\n");
    let mut echo = contained(["cat"]);
    let input = Scratch::new("status");
    echo.stdin(fs::File::open(input.file("input", "from outside\n")).unwrap());
    assert_eq!(output(echo), "from outside\n");
}

#[test]
fn the_keyboard_belongs_to_the_command() {
    if !ready("the_keyboard_belongs_to_the_command", &[]) {
        return;
    }
    // SIGINT and SIGQUIT are bits 1 and 2 of the mask. They are ignored as soon as the command runs.
    let script = "while ! grep -q '^SigIgn:.*[67ef]$' /proc/$PPID/status; do :; done
        kill -INT $PPID; kill -QUIT $PPID; exit 5";
    assert_eq!(status(contained(["sh", "-c", script])), 5);
    // The command itself has them as they were: whoever runs this in the background may have ignored them.
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = if own.ends_with(['6', '7', 'e', 'f']) { "1\n" } else { "0\n" };
    assert_eq!(output(contained(["sh", "-c", "grep -c '^SigIgn:.*[67ef]$' /proc/self/status || true"])), ignored);
}

#[test]
fn a_raw_filter_is_not_for_a_terminal() {
    let test = "a_raw_filter_is_not_for_a_terminal";
    // script(1) of util-linux gives a command a terminal.
    if !have(test, "script") {
        return;
    }
    let words = format!("{} compile container-default --arch x86_64", env!("CARGO_BIN_EXE_callsieve"));
    let mut script = Command::new("script");
    let Output { status, stdout, .. } = script.args(["-qec", &words, "/dev/null"]).output().unwrap();
    assert_eq!(
        (status.code(), text(&stdout).trim_end()),
        (
            Some(2),
            "callsieve: a raw filter is not for a terminal; write it to a file with -o FILE, redirect standard output, \
             or use --format text"
        )
    );
}

#[test]
fn a_command_that_the_filter_kills() {
    if !ready("a_command_that_the_filter_kills", &[]) {
        return;
    }
    let scratch = Scratch::new("killed");
    let profile = scratch.file(
        "profile.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#,
    );
    // Shells ask for their parent when they start; others would be killed later or not at all.
    let mut command = callsieve(["run", "--log", "--profile"]);
    let Output { status, stderr, .. } = command.arg(profile).args(["--", "sh", "-c", "echo $PPID"]).output().unwrap();
    assert_eq!(status.code(), Some(128 + 31));
    assert_eq!(
        text(&stderr),
        "callsieve: sh was killed by the filter (SIGSYS); with --log the kernel log has the call (dmesg, type=1326)\n"
    );
}

#[test]
fn commands_that_cannot_be_started() {
    if !ready("commands_that_cannot_be_started", &[]) {
        return;
    }
    let scratch = Scratch::new("unstartable");
    let script = scratch.file("script", "#!/does/not/exist\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let plain = scratch.file("plain", "");
    let shown = |path: &Path| path.display().to_string();
    for (command, expected, message) in [
        ("no-such-command".into(), 127, "cannot find the command no-such-command in PATH".into()),
        ("./no/such".into(), 127, "cannot run ./no/such: no such file".into()),
        (shown(&script), 127, format!("cannot run {}: the interpreter that it names is missing", shown(&script))),
        (shown(&plain), 126, format!("cannot run {}: it is not executable", shown(&plain))),
        (shown(&scratch.0), 126, format!("cannot run {}: it is a directory", shown(&scratch.0))),
    ] {
        let Output { status, stderr, stdout } = contained([&command]).output().unwrap();
        assert_eq!((status.code(), text(&stderr)), (Some(expected), format!("callsieve: {message}\n")));
        assert!(stdout.is_empty());
    }
    // A profile that denies write keeps the child from telling what is wrong.
    let silent =
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let mut command = callsieve(["run", "--profile"]);
    command.arg(scratch.file("silent.json", silent)).arg("--").arg(&script);
    let Output { status: ended, stderr, .. } = command.output().unwrap();
    let why = "it was not executed, and the reason is lost, because the profile denies write";
    let expected = format!("callsieve: cannot run {}: {why}\n", shown(&script));
    assert_eq!((ended.code(), text(&stderr)), (Some(126), expected));
    // What is found behind something that cannot be executed counts.
    let path = format!("{}:{}", shown(&scratch.0), std::env::var("PATH").unwrap());
    scratch.file("true", "");
    let mut command = contained(["true"]);
    command.env("PATH", path);
    assert_eq!(status(command), 0);
}

#[test]
fn the_shell_and_a_long_listing() {
    if !ready("the_shell_and_a_long_listing", &[]) {
        return;
    }
    let script = "ls / > /dev/null && ls -lR /usr > /dev/null; for i in 1 2 3; do (echo $i); done | sort -r | tail -1";
    assert_eq!(output(contained(["sh", "-c", script])), "1\n");
}

#[test]
fn python_with_threads() {
    if !ready("python_with_threads", &["python3"]) {
        return;
    }
    let script = "
import json, socket, subprocess, tempfile, threading, time
sums = []
threads = [threading.Thread(target=lambda n=n: (time.sleep(0.01), sums.append(sum(range(n))))) for n in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
with tempfile.TemporaryFile() as file: file.write(b'x')
print(len(sums), subprocess.check_output(['echo', 'child']).decode().strip())
";
    assert_eq!(output(contained(["python3", "-c", script])), "20 child\n");
}

#[test]
fn gcc_compiles_and_what_it_made_runs() {
    if !ready("gcc_compiles_and_what_it_made_runs", &["gcc"]) {
        return;
    }
    let scratch = Scratch::new("gcc");
    scratch.file("hello.c", "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n");
    let mut command = contained(["sh", "-c", "gcc -O2 hello.c -o hello && ./hello"]);
    command.current_dir(&scratch.0);
    assert_eq!(output(command), "hello\n");
}

#[test]
fn git_makes_a_commit() {
    if !ready("git_makes_a_commit", &["git"]) {
        return;
    }
    let scratch = Scratch::new("git");
    let script = "git init -q . && echo text > file && git add file && git commit -qm message && git log --format=%s";
    let mut command = contained(["sh", "-c", script]);
    command.current_dir(&scratch.0).env("HOME", &scratch.0).env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "somebody").env(format!("GIT_{who}_EMAIL"), "somebody@example.org");
    }
    assert_eq!(output(command), "message\n");
}

/// Makes calls that `container-default` denies, and prints their errors. Without a filter none of them fails in this way
/// for root, and clone3 fails otherwise.
const DENIED: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static void show(const char *name, long result) {
    printf("%s %d\n", name, result < 0 ? errno : 0);
    fflush(stdout);
}

int main(void) {
    show("getpid", syscall(SYS_getpid));
    show("mount", mount("none", "/does/not/exist", "tmpfs", 0, NULL));
    show("unshare(CLONE_NEWUSER)", unshare(CLONE_NEWUSER));
    show("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    show("bpf", syscall(SYS_bpf, 0, NULL, 0));
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
        _exit(0);
    show("clone(CLONE_NEWUSER)", child);
    show("clone3", syscall(SYS_clone3, NULL, 0));
    return 0;
}
"#;

#[test]
fn what_is_denied() {
    if !ready("what_is_denied", &["gcc"]) {
        return;
    }
    let scratch = Scratch::new("denied");
    scratch.file("denied.c", DENIED);
    let mut gcc = Command::new("gcc");
    gcc.args(["denied.c", "-o", "denied"]).current_dir(&scratch.0);
    output(gcc);
    let program = scratch.0.join("denied");
    let (eperm, enosys) = (libc::EPERM, libc::ENOSYS);
    let expected = format!(
        "getpid 0\nmount {eperm}\nunshare(CLONE_NEWUSER) {eperm}\nkeyctl {eperm}\nbpf {eperm}\n\
         clone(CLONE_NEWUSER) {eperm}\nclone3 {enosys}\n"
    );
    assert_eq!(output(contained([&program])), expected);
    // The filter and nothing else does it: outside, clone3 has another error, and so has mount for root.
    let outside = output(Command::new(&program));
    assert!(!outside.contains(&format!("clone3 {enosys}\n")), "{outside}");
    // With all capabilities the same profile lets mount through.
    let mut command = callsieve(["run", "--profile", "container-default", "--caps", "all", "--"]);
    command.arg(&program);
    let inside = output(command);
    assert_eq!(inside.lines().nth(1), outside.lines().nth(1));
    assert!(inside.ends_with(&outside.lines().last().map(|line| format!("{line}\n")).unwrap()));
}

#[test]
fn bubblewrap_takes_an_exported_filter() {
    let test = "bubblewrap_takes_an_exported_filter";
    if !ready(test, &["bwrap"]) {
        return;
    }
    let plain = Command::new("bwrap").args(["--ro-bind", "/", "/", "true"]).output().unwrap();
    if !plain.status.success() {
        skip(test, &format!("bwrap does not work here: {}", text(&plain.stderr).trim()));
        return;
    }
    let scratch = Scratch::new("bwrap");
    let profile = scratch.file(
        "profile.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 122}]}"#,
    );
    let filter = scratch.0.join("filter.bpf");
    let mut compile = callsieve(["compile"]);
    compile.arg(&profile).arg("-o").arg(&filter);
    assert_eq!(output(compile), "");
    let mut bwrap = Command::new("sh");
    bwrap.args(["-c", "exec bwrap --bind / / --seccomp 9 sh -c \"$2\" 9< \"$1\"", "sh"]).arg(&filter);
    bwrap.arg(format!("grep ^Seccomp: /proc/self/status; mkdir {}/new", scratch.0.display())).env("LC_ALL", "C");
    let Output { status, stdout, stderr } = bwrap.output().unwrap();
    let stderr = text(&stderr);
    assert_eq!(text(&stdout), "Seccomp:\t2\n", "{stderr}");
    assert!(!status.success() && stderr.contains("Disk quota exceeded"), "{stderr}");
    assert!(!scratch.0.join("new").exists());
}

#[test]
fn nothing_is_left_behind() {
    if !ready("nothing_is_left_behind", &[]) {
        return;
    }
    // A failure after reading leaves the old file as it was, and no other.
    let scratch = Scratch::new("left-behind");
    let old = scratch.file("filter.bpf", "old");
    let broken = scratch.file("broken.json", r#"{"defaultAction": "SCMP_ACT_NOTHING"}"#);
    let mut compile = callsieve(["compile", "-o"]);
    compile.arg(&old).arg(&broken);
    assert_eq!(status(compile), 2);
    assert_eq!(fs::read_to_string(&old).unwrap(), "old");
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 2);
    // A success replaces it in one step and keeps its permissions.
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
    let mut compile = callsieve(["compile", "container-default", "--arch", "x86_64", "-o"]);
    compile.arg(&old).stderr(Stdio::null());
    assert_eq!(status(compile), 0);
    let data = fs::metadata(&old).unwrap();
    assert_eq!(data.len() % 8, 0);
    assert_eq!(data.permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 2);
}
