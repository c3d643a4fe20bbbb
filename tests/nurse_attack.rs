//! The nurse against a program that wants what its ACL does not grant, and against death on either side.
//!
//! `CALLSIEVE_ATTACKS=N` sets the number of mediated opens of the races, and a hundredth of it that of the programs
//! started. CI has 100,000 of the former; `cargo test` by itself fewer.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A helper that fails is a test that fails.

mod common;

use common::nurse_is_ready;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the target must not read.
const SECRET: &str = "SECRET-4711-";

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("callsieve-attack-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for folder in ["work", "vault", "bin"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        let path = fs::canonicalize(path).unwrap();
        fs::write(path.join("vault/secret"), SECRET.repeat(100)).unwrap();
        let acl = ACL.replace("HERE", path.to_str().unwrap());
        fs::write(path.join("acl.toml"), acl).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn nurse(&self, command: &[&str]) -> Command {
        let mut nurse = Command::new(env!("CARGO_BIN_EXE_callsieve"));
        nurse.args(["nurse", "--acl", &self.path("acl.toml"), "--"]).args(command);
        nurse.current_dir(self.0.join("work")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        nurse.env("NURSE_TEST", "target");
        nurse
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Everything in its folder, and what programs need.
const ACL: &str = r#"
    read = ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "/dev", "HERE/work"]
    write = ["/dev/null", "HERE/work", "HERE/vault/log"]
    create = ["HERE/work"]
    exec = ["/usr", "/bin", "/lib", "/lib64", "HERE/bin/attack"]
    connect = ["unix:HERE/work"]
    bind = ["unix:HERE/work"]
"#;

fn compile(source: &str, to: &str) {
    let output = Command::new("/usr/bin/gcc").args(["-O1", "-pthread", "-w", "-o", to, source]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Waits, and gives the numbers of descriptors that a process had meanwhile.
fn wait_watching(mut child: Child, pause: Duration) -> (std::process::Output, Vec<usize>) {
    let mut numbers = Vec::new();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = |mut from: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let (stdout, stderr) = (read(Box::new(stdout)), read(Box::new(stderr)));
    let status = loop {
        numbers.push(descriptors(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(pause);
    };
    (std::process::Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }, numbers)
}

#[test]
fn nothing_is_reached() {
    if !nurse_is_ready("nothing_is_reached", &["gcc"]) {
        return;
    }
    let opens: u64 = std::env::var("CALLSIEVE_ATTACKS").ok().map_or(4000, |number| number.parse().unwrap());
    let scratch = Scratch::new("reach");
    compile(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/nurse/attack.c"), &scratch.path("bin/attack"));
    fs::write(scratch.path("forbidden.c"), "int main(void) { return 42; }\n").unwrap();
    compile(&scratch.path("forbidden.c"), &scratch.path("bin/forbidden"));
    let script = format!(
        "exec {} {} {} {opens} {} $PPID",
        scratch.path("bin/attack"),
        scratch.path("vault/secret"),
        scratch.path("bin/forbidden"),
        opens / 100,
    );
    let child = scratch.nurse(&["/bin/sh", "-c", &script]).spawn().unwrap();
    let (output, numbers) = wait_watching(child, Duration::from_millis(50));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{}\n{stdout}\n{stderr}", output.status);
    assert!(!stdout.contains("REACHED"), "{stdout}");
    // The races were races: both sides won sometimes.
    let counts: Vec<u64> = stdout.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(counts.len() == 2 && counts.iter().all(|count| *count > opens / 20), "{stdout}");
    println!("{stdout}");
    assert_eq!(fs::read_to_string(scratch.path("vault/secret")).unwrap(), SECRET.repeat(100));
    assert_eq!(fs::metadata(scratch.path("vault/secret")).unwrap().permissions().mode() & 0o777, 0o644);
    // The supervisor has as many descriptors as threads that judge need, and no more in the end.
    let most = numbers.iter().max().unwrap();
    assert!(*most < 150, "the supervisor had {most} descriptors");
}

/// Whenever the supervisor is killed, its targets come to their end and have read nothing.
#[test]
fn a_dead_supervisor_leaves_targets_closed() {
    if !nurse_is_ready("a_dead_supervisor_leaves_targets_closed", &["python3"]) {
        return;
    }
    let scratch = Scratch::new("supervisor");
    let script = format!(
        "import errno
while True:
    try:
        open('/etc/passwd').close()
    except OSError as error:
        print(errno.errorcode[error.errno])
        break
try:
    print(open('{0}').read())
except OSError as error:
    print(errno.errorcode[error.errno])
import os
try:
    os.execv('/bin/cat', ['cat', '{0}'])
except OSError as error:
    print(errno.errorcode[error.errno])",
        scratch.path("vault/secret")
    );
    let mut closed = 0;
    for round in 0..12_u64 {
        let mut nurse = scratch.nurse(&["/usr/bin/python3", "-I", "-S", "-c", &script]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(round * round * 5));
        nurse.kill().unwrap();
        assert_eq!(nurse.wait().unwrap().signal(), Some(libc::SIGKILL));
        // The end of the output is the end of the target.
        let mut output = String::new();
        nurse.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(!output.contains(SECRET), "{output}");
        closed += u32::from(output == "ENOSYS\nENOSYS\nENOSYS\n");
    }
    assert!(closed > 0, "no target had come to its loop");
}

/// Targets that are killed are no trouble for the supervisor or for other targets.
#[test]
fn dead_targets_leave_the_supervisor_running() {
    if !nurse_is_ready("dead_targets_leave_the_supervisor_running", &["python3"]) {
        return;
    }
    let scratch = Scratch::new("targets");
    let script = "import os, random, signal, time
random.seed(1)
os.mkfifo('pipe')
for round in range(60):
    child = os.fork()
    if child == 0:
        if round % 6 == 0:
            open('pipe')
        while True:
            os.listdir('/usr')
            open('file', 'w').close()
            os.rename('file', f'file{round % 5}') if os.path.exists('file') else None
            os.stat('/proc/self/status')
    time.sleep(random.random() / 50)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(open('/proc/self/comm').read())";
    let child = scratch.nurse(&["/usr/bin/python3", "-I", "-S", "-c", script]).spawn().unwrap();
    let (output, numbers) = wait_watching(child, Duration::from_millis(10));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout == b"python3\n\n", "{} {stderr}", output.status);
    assert!(numbers.iter().all(|number| *number < 150), "{numbers:?}");
    // The command itself.
    let status = scratch.nurse(&["/bin/sh", "-c", "kill -9 $$"]).output().unwrap().status;
    assert_eq!(status.code(), Some(137));
}
