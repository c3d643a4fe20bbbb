//! Real programs: recorded, and then run under their profile, where every other call kills them.
//!
//! A program that is not installed is skipped. With `CALLSIEVE_RECORD=1`, as `.ci/run record` sets it, those that depend
//! on chance are run 30 times instead of 3.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test.
#![allow(unsafe_code)] // Raw calls.

mod common;

use common::{kernel_has_filters, skip};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("callsieve-record-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).current_dir(&self.0).stdin(Stdio::null()).env("LC_ALL", "C").env("HOME", &self.0);
        command
    }

    fn callsieve(&self, words: &[&str], target: &[&str]) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_callsieve"), words);
        command.arg("--").args(target).output().unwrap()
    }

    fn record(&self, words: &[&str], target: &[&str]) -> Output {
        self.callsieve(&[&["record", "-o", "p.json"], words].concat(), target)
    }

    fn replay(&self, target: &[&str]) -> Output {
        self.callsieve(&["run", "--profile", "p.json"], target)
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether a program is there; if not, the test is skipped.
fn installed(test: &str, programs: &[&str]) -> bool {
    if !kernel_has_filters(test) {
        return false;
    }
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    let missing = programs.iter().find(|program| !folders.iter().any(|folder| folder.join(program).is_file()));
    if let Some(program) = missing {
        skip(test, &format!("{program} is not there, and is for the suite record"));
    }
    missing.is_none()
}

/// How often a program that depends on chance is run again.
fn replays() -> usize {
    if std::env::var_os("CALLSIEVE_RECORD").is_some() { 30 } else { 3 }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Records a program, and runs it under its profile: it writes the same and ends the same.
#[track_caller]
fn same_under_its_profile(scratch: &Scratch, target: &[&str], times: usize) {
    let plain = || scratch.command(target[0], &target[1..]).output().unwrap();
    let expected = plain();
    let recorded = scratch.record(&["--refine"], target);
    // The output of all runs.
    assert_eq!(recorded.status, expected.status, "{}", said(&recorded));
    assert!(scratch.text("p.json").contains("\"defaultAction\": \"SCMP_ACT_KILL_PROCESS\""));
    for time in 1..=times {
        let replayed = scratch.replay(target);
        assert_eq!(replayed.status, expected.status, "run {time}: {}\n{}", said(&replayed), said(&recorded));
        // What it is about may have changed meanwhile.
        let same = replayed.stdout == expected.stdout || replayed.stdout == plain().stdout;
        assert!(same, "run {time}: {}\n{}", tail(&replayed.stdout), tail(&expected.stdout));
    }
    let first = said(&recorded).lines().next().unwrap_or_default().to_owned();
    println!("{times} of {times} runs of {} were the same; {first}", target[0]);
}

/// The end of a text that may be long.
fn tail(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[text.len().saturating_sub(1000)..]).into_owned()
}

#[test]
fn nothing_but_true() {
    if installed("nothing_but_true", &["true"]) {
        same_under_its_profile(&Scratch::new("true"), &["true"], 3);
    }
}

#[test]
fn a_long_listing() {
    if installed("a_long_listing", &["ls"]) {
        same_under_its_profile(&Scratch::new("ls"), &["ls", "-lR", "/usr"], 1);
    }
}

#[test]
fn pipelines() {
    if installed("pipelines", &["bash", "sort", "uniq", "sed"]) {
        let script = "set -o pipefail
            for i in {1..300}; do echo $((i * 7 % 13)); done | sort -n | uniq -c | sed 's/^ *//' | tee all.txt | head -3
            wc -l < all.txt; cat <(echo one) <(echo two); x=$(echo $(echo deep)); echo $x
            (trap 'echo caught' TERM; kill -TERM $BASHPID; echo after) | cat
            sleep 0.05 & wait; exec 3< all.txt; read -u 3 line; echo $line; false | true; exit $?";
        same_under_its_profile(&Scratch::new("bash"), &["bash", "-c", script], 3);
    }
}

#[test]
fn python_with_threads_and_sqlite() {
    const PROGRAM: &str = "
import sqlite3, threading, subprocess, sys, os, tempfile
path = os.path.join(tempfile.mkdtemp(dir='.'), 'base')
lock = threading.Lock()
def work(number):
    with lock:
        base = sqlite3.connect(path, timeout=30)
        base.execute('create table if not exists numbers (n integer)')
        base.executemany('insert into numbers values (?)', [(n,) for n in range(number, 1000, 8)])
        base.commit()
        base.close()
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sqlite3.connect(path).execute('select count(*), sum(n) from numbers').fetchone())
print(subprocess.run(['echo', 'child'], capture_output=True).stdout)
sys.exit(5)
";
    // Some machines have a script in its place, which starts one of many.
    if installed("python_with_threads_and_sqlite", &["python3"]) {
        same_under_its_profile(&Scratch::new("python"), &["python3", "-c", PROGRAM], 3);
    }
}

#[test]
fn a_compiler() {
    if installed("a_compiler", &["gcc", "sh"]) {
        let scratch = Scratch::new("gcc");
        let program = "#include <stdio.h>\nint main(int n, char **v) { for (int i = 0; i < 9; i++) printf(\"%d\\n\", i * n); return 4; }\n";
        fs::write(scratch.0.join("a.c"), program).unwrap();
        same_under_its_profile(&scratch, &["sh", "-c", "gcc -O2 -Wall -o a a.c && ./a"], 3);
    }
}

#[test]
fn a_repository() {
    if installed("a_repository", &["git", "sh"]) {
        let script = "rm -rf r && git init -q -b main r && cd r && echo text > file && git add file &&
            git -c user.name=A -c user.email=a@example.org commit -q -m first --date 2000-01-01T00:00:00Z &&
            git log --format='%s %an %ad' && git status --short && git show HEAD:file; git frobnicate 2>/dev/null; exit 3";
        same_under_its_profile(&Scratch::new("git"), &["sh", "-c", script], 3);
    }
}

#[test]
fn a_download() {
    if installed("a_download", &["curl"]) {
        let scratch = Scratch::new("curl");
        fs::write(scratch.0.join("file"), "text\n".repeat(10_000)).unwrap();
        let url = format!("file://{}/file", scratch.0.display());
        same_under_its_profile(&scratch, &["curl", "-sS", &url], 3);
    }
}

#[test]
fn a_data_base_and_its_benchmark() {
    if installed("a_data_base_and_its_benchmark", &["redis-server", "redis-benchmark", "redis-cli", "sh"]) {
        let script = "(until redis-cli -s s ping 2>/dev/null | grep -q PONG; do sleep 0.02; done
            redis-cli -s s set key value; redis-cli -s s get key
            redis-benchmark -s s -n 2000 -c 20 -q -t set,get,incr,lpush,mset >/dev/null 2>&1; echo $?
            redis-cli -s s shutdown nosave) &
            redis-server --port 0 --unixsocket $PWD/s --save '' --appendonly yes >log 2>&1; echo ended $?; wait";
        same_under_its_profile(&Scratch::new("redis"), &["sh", "-c", script], 3);
    }
}

#[test]
fn a_web_server_with_a_thousand_requests() {
    const TEST: &str = "a_web_server_with_a_thousand_requests";
    if !installed(TEST, &["nginx", "curl", "sh"]) {
        return;
    }
    let scratch = Scratch::new("nginx");
    let socket = scratch.0.join("s");
    // Workers of another user must be able to come here.
    make_passable(&scratch.0);
    fs::write(scratch.0.join("page"), "page\n".repeat(1000)).unwrap();
    let conf = format!(
        "pid pid; error_log error.log; worker_processes 2; daemon on; events {{ worker_connections 64; }}
        http {{ access_log access.log; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;
        uwsgi_temp_path u; scgi_temp_path c; server {{ listen unix:{0}; root {1}; sendfile on; }} }}",
        socket.display(),
        scratch.0.display()
    );
    fs::write(scratch.0.join("conf"), conf).unwrap();
    let script = "rm -f s access.log; nginx -p . -c conf
        curl -sS --unix-socket s -o /dev/null -w '%{http_code}\\n' 'http://x/page?[1-1000]' | sort | uniq -c
        curl -sS --unix-socket s http://x/none | head -1; curl -sS --unix-socket s http://x/page | tail -1
        nginx -p . -c conf -s reload; curl -sS --retry 3 --unix-socket s http://x/page | wc -c
        nginx -p . -c conf -s quit; while [ -e pid ]; do sleep 0.01; done; wc -l < access.log";
    same_under_its_profile(&scratch, &["sh", "-c", script], replays());
}

fn make_passable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
}

#[test]
fn a_program_with_a_pool_of_threads() {
    const PROGRAM: &str = "
const fs = require('fs'), crypto = require('crypto'), zlib = require('zlib'), path = require('path');
const { Worker } = require('worker_threads');
const { execFile } = require('child_process');
const file = path.join(process.cwd(), 'node-file');
const hashes = [1, 2, 3, 4, 5, 6].map(n => new Promise(done =>
    crypto.pbkdf2('word', 'salt' + n, 500, 16, 'sha256', (error, key) => done(key.toString('hex')))));
const worker = new Promise(done => new Worker(
    'require(\"worker_threads\").parentPort.postMessage(6 * 7)', { eval: true }).on('message', done));
const child = new Promise(done => execFile('echo', ['child'], (error, out) => done(out.trim())));
const packed = new Promise(done => zlib.gzip('text'.repeat(10000), (error, bytes) => done(bytes.length > 0)));
Promise.all([...hashes, worker, child, packed, fs.promises.writeFile(file, 'x').then(() => fs.promises.stat(file))])
    .then(all => { console.log(all.slice(0, 9).join(' '), all[9].size); setTimeout(() => process.exit(6), 10); });
";
    if installed("a_program_with_a_pool_of_threads", &["node"]) {
        same_under_its_profile(&Scratch::new("node"), &["node", "-e", PROGRAM], replays());
    }
}

/// A program of another ABI, which a 64-bit shell starts.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_32_bit_child() {
    const TEST: &str = "a_32_bit_child";
    if !installed(TEST, &["i686-linux-gnu-gcc", "sh"]) {
        return;
    }
    if !common::calls::has_i386() {
        skip(TEST, "the kernel does not take calls of this ABI");
        return;
    }
    let scratch = Scratch::new("i386");
    let program = "#include <stdio.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n
        int main() { for (int i = 0; i < 1000; i++) syscall(SYS_getppid); puts(\"32 bits\"); return 7; }\n";
    fs::write(scratch.0.join("a.c"), program).unwrap();
    let built = scratch.command("i686-linux-gnu-gcc", &["-static", "-o", "a", "a.c"]).output().unwrap();
    if !built.status.success() {
        skip(TEST, "the C library for i386 is not there, and is for the suite record");
        return;
    }
    let target = ["sh", "-c", "./a; exit $?"];
    same_under_its_profile(&scratch, &target, 3);
    let recorded = scratch.record(&["--report", "r.json"], &target);
    assert_eq!(recorded.status.code(), Some(7));
    let report: serde_json::Value = serde_json::from_str(&scratch.text("r.json")).unwrap();
    let calls = report["calls"].as_array().unwrap();
    let count = |arch: &str| {
        let call = calls.iter().find(|call| call["arch"] == arch && call["call"] == "getppid");
        call.map_or(0, |call| call["count"].as_u64().unwrap())
    };
    assert_eq!(count("x86"), 1000);
    assert!(count("x86_64") < 1000);
    assert!(scratch.text("p.json").contains(r#""architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]"#));
}

#[test]
fn what_cannot_be_recorded() {
    const TEST: &str = "what_cannot_be_recorded";
    if !installed(TEST, &["true"]) {
        return;
    }
    let scratch = Scratch::new("bad");
    fs::write(scratch.0.join("script"), "#!/no/such/interpreter\n").unwrap();
    make_passable(&scratch.0.join("script"));
    for (words, target, status, expected) in [
        (&["-o", "x"][..], &["/no/such/program"][..], 127, "cannot run /no/such/program: no such file"),
        (&["-o", "x"], &["no-such-program"], 127, "cannot find the command no-such-program in PATH"),
        (&["-o", "x"], &["./script"], 127, "cannot run ./script: the interpreter that it names is missing"),
        (&["-o", "x"], &["/etc/passwd"], 126, "cannot run /etc/passwd: it is not executable"),
        (&["-o", "no/such/folder"], &["true"], 125, "cannot write no/such/folder: no such file or directory"),
        (&[], &["true"], 125, "nothing to write: -o FILE takes the profile"),
        (&["--check", "none.json"], &["true"], 125, "cannot read none.json: no such file"),
        (&["-o", "x", "--args", "some"], &["true"], 125, "invalid value 'some' for '--args <HOW>'"),
    ] {
        let output = scratch.callsieve(&[&["record"], words].concat(), target);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.starts_with(&format!("callsieve: {expected}")) && output.stdout.is_empty(), "{text}");
        assert!(!scratch.0.join("x").exists());
    }
    let output = scratch.callsieve(&["record", "-o", "x"], &[]);
    assert_eq!(output.status.code(), Some(125), "{}", said(&output));
    // What is recorded cannot record, and is told why.
    let inner = [env!("CARGO_BIN_EXE_callsieve"), "record", "-o", "inner.json", "--", "true"];
    let output = scratch.record(&[], &inner);
    assert_eq!(output.status.code(), Some(125), "{}", said(&output));
    assert!(said(&output).contains("only one seccomp listener (EBUSY)\n"), "{}", said(&output));
    assert!(said(&output).contains("a program wanted a seccomp listener of its own"), "{}", said(&output));
    assert!(scratch.0.join("p.json").exists() && !scratch.0.join("inner.json").exists());
}

#[test]
fn keeping_privileges_needs_them() {
    use std::os::unix::process::CommandExt as _;
    const TEST: &str = "keeping_privileges_needs_them";
    if !installed(TEST, &["true"]) {
        return;
    }
    if unsafe { libc::geteuid() } != 0 {
        skip(TEST, "needs root to be nobody");
        return;
    }
    let scratch = Scratch::new("privileges");
    make_passable(&scratch.0);
    // A copy that nobody may not execute where it was built.
    let copy = scratch.0.join("callsieve");
    fs::copy(env!("CARGO_BIN_EXE_callsieve"), &copy).unwrap();
    let words = ["record", "--keep-privs", "-o", "x", "--", "true"];
    let mut command = scratch.command(copy.to_str().unwrap(), &words);
    let output = command.uid(65534).gid(65534).output().unwrap();
    let expected = "callsieve: seccomp(2) refused the filter: permission denied";
    assert!(said(&output).starts_with(expected), "{}", said(&output));
    assert_eq!(output.status.code(), Some(125));
    assert!(!scratch.0.join("x").exists());
    let output = scratch.record(&["--keep-privs"], &["true"]);
    assert!(output.status.success(), "{}", said(&output));
}

/// A profile is tested before it is deployed.
#[test]
fn a_profile_that_is_too_small() {
    const TEST: &str = "a_profile_that_is_too_small";
    if !installed(TEST, &["sh", "mkdir"]) {
        return;
    }
    let scratch = Scratch::new("check");
    let small = ["sh", "-c", "exit 4"];
    assert_eq!(scratch.record(&[], &small).status.code(), Some(4));
    let check = |target: &[&str]| scratch.callsieve(&["record", "--check", "p.json"], target);
    let fits = check(&small);
    assert_eq!((fits.status.code(), said(&fits).ends_with("p.json has every call that was made\n")), (Some(4), true));
    let lacks = check(&["sh", "-c", "umask 77; echo x > file; umask 22; exit 4"]);
    assert_eq!(lacks.status.code(), Some(1), "{}", said(&lacks));
    // Each umask of dash is a pair of calls, or three.
    assert!(said(&lacks).contains("\n  umask: ") && said(&lacks).contains("\n  write: 1 time"), "{}", said(&lacks));
    // It was let through, and only watched.
    assert_eq!(scratch.text("file"), "x\n");
    // With what it lacks, it fits.
    let target = ["sh", "-c", "umask 77; echo x > file"];
    let more = scratch.callsieve(&["record", "-o", "more.json", "--base", "p.json"], &target);
    assert!(more.status.success(), "{}", said(&more));
    let fits = scratch.callsieve(&["record", "--check", "more.json"], &target);
    assert!(fits.status.success(), "{}", said(&fits));
    assert_eq!(scratch.callsieve(&["run", "--profile", "more.json"], &target).status.code(), Some(0));
    // A profile without the call that ends a program is too small for every program.
    fs::write(scratch.0.join("p.json"), scratch.text("p.json").replace("\"exit_group\", ", "")).unwrap();
    let lacks = check(&small);
    assert!(said(&lacks).contains("exit_group: never notified; every program ends with it"), "{}", said(&lacks));
    assert_eq!(lacks.status.code(), Some(1));
}

/// Every form of a profile serves, and the counts are weights.
#[test]
fn forms_and_weights() {
    const TEST: &str = "forms_and_weights";
    if !installed(TEST, &["sh", "ls"]) {
        return;
    }
    let scratch = Scratch::new("forms");
    let target = ["sh", "-c", "ls / | while read name; do echo $name; done"];
    let expected = scratch.command(target[0], &target[1..]).output().unwrap();
    for form in ["oci", "docker"] {
        for args in ["none", "sets", "exact"] {
            let words = ["--format", form, "--args", args, "--refine=2", "--weights-out", "w.json"];
            let recorded = scratch.record(&words, &target);
            assert!(recorded.status.success(), "{}", said(&recorded));
            let replayed = scratch.replay(&target);
            assert_eq!((replayed.status, &replayed.stdout), (expected.status, &expected.stdout), "{form} {args}");
            let words = ["compile", "p.json", "--weights", "w.json", "-o", "p.bpf"];
            let compiled = scratch.command(env!("CARGO_BIN_EXE_callsieve"), &words).output().unwrap();
            assert!(compiled.status.success(), "{}", said(&compiled));
        }
    }
}

/// strace sees the same calls.
#[test]
fn a_log_of_strace() {
    const TEST: &str = "a_log_of_strace";
    if !installed(TEST, &["strace", "sh", "ls"]) {
        return;
    }
    let scratch = Scratch::new("strace");
    let target = ["sh", "-c", "ls /; (exit 3) | cat; kill -0 $$"];
    let expected = scratch.command(target[0], &target[1..]).output().unwrap();
    for words in [
        &["-f", "-o", "log"][..],
        &["-f", "-tt", "-T", "-X", "raw", "-o", "log"],
        &["-f", "-r", "-y", "-o", "log"],
        &["-c", "-f", "-o", "log"],
    ] {
        let traced = scratch.command("strace", &[words, &target].concat()).output().unwrap();
        if !traced.status.success() {
            skip(TEST, "strace does not work here");
            return;
        }
        let words = ["record", "--from-strace", "log", "-o", "p.json"];
        let made = scratch.command(env!("CARGO_BIN_EXE_callsieve"), &words).output().unwrap();
        assert!(made.status.success() && !said(&made).contains("not understood"), "{}", said(&made));
        let replayed = scratch.replay(&target);
        assert_eq!((replayed.status, &replayed.stdout), (expected.status, &expected.stdout), "{}", said(&replayed));
    }
}
