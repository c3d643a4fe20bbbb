//! `callsieve nurse` with programs as they are.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // A helper that fails is a test that fails.

mod common;

use common::nurse_is_ready;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder that is removed in the end, with an ACL in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("callsieve-nurse-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("work")).unwrap();
        Self(fs::canonicalize(path).unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Runs a command in `work` under an ACL, in which WORK is that folder.
    fn nurse(&self, acl: &str, words: &[&str], command: &[&str]) -> Output {
        fs::write(self.path("acl.toml"), acl.replace("WORK", &self.path("work"))).unwrap();
        let mut nurse = Command::new(env!("CARGO_BIN_EXE_callsieve"));
        nurse.args(["nurse", "--acl", &self.path("acl.toml")]).args(words).arg("--").args(command);
        self.output(nurse)
    }

    fn plain(&self, command: &[&str]) -> Output {
        let mut plain = Command::new(command[0]);
        plain.args(&command[1..]);
        self.output(plain)
    }

    fn output(&self, mut command: Command) -> Output {
        command.current_dir(self.0.join("work")).stdin(Stdio::null());
        // What a test is started with says nothing about it.
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.path("work")).env("LC_ALL", "C");
        command.env("NURSE_TEST", "target").output().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What programs need that do not look at anything else.
const SYSTEM: &str = r#"
    read = ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "/dev", "/sys/devices/system/cpu", "/.", "/inner", "WORK"]
    exec = ["/usr", "/bin", "/lib", "/lib64"]
    write = ["/dev/null", "/dev/tty", "WORK"]
    create = ["WORK"]
    connect = ["tcp:127.0.0.1:*", "tcp:[::1]:*", "udp:*:*", "unix:WORK", "unix:@*"]
    bind = ["tcp:127.0.0.1:*", "tcp:[::1]:*", "udp:*:*", "unix:WORK", "unix:@*"]
"#;

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Every call gives what it gives without a nurse.
#[test]
fn calls_are_as_without_a_nurse() {
    if !nurse_is_ready("calls_are_as_without_a_nurse", &["python3"]) {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/nurse/calls.py");
    let scratch = Scratch::new("calls");
    fs::copy(script, scratch.path("work/calls.py")).unwrap();
    let folders = ["plain", "nursed"].map(|name| scratch.path(&format!("work/{name}/area")));
    for folder in &folders {
        fs::create_dir_all(folder).unwrap();
    }
    let script = scratch.path("work/calls.py");
    let plain = succeeds(&scratch.plain(&["/usr/bin/python3", "-I", &script, &folders[0]]));
    let nursed = scratch.nurse(SYSTEM, &[], &["/usr/bin/python3", "-I", &script, &folders[1]]);
    let nursed = succeeds(&nursed);
    assert!(plain.lines().count() > 400);
    for (plain, nursed) in plain.lines().zip(nursed.lines()) {
        assert_eq!(nursed, plain, "with and without a nurse");
    }
    assert_eq!(plain.lines().count(), nursed.lines().count());
}

#[test]
fn real_programs() {
    if !nurse_is_ready("real_programs", &["python3", "bash", "git", "gcc"]) {
        return;
    }
    let scratch = Scratch::new("programs");
    let run = |command: &[&str]| {
        let (plain, nursed) = (scratch.plain(command), scratch.nurse(SYSTEM, &[], command));
        let (plain, nursed) = (succeeds(&plain), succeeds(&nursed));
        assert_eq!(plain, nursed, "{command:?}");
        nursed
    };
    let python = "import json, sqlite3, subprocess, threading, hashlib
words = []
threads = [threading.Thread(target=lambda n=n: words.append(n)) for n in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
base = sqlite3.connect(':memory:'); base.execute('create table t (a)'); base.execute('insert into t values (42)')
print(sorted(words), base.execute('select a from t').fetchall(), json.dumps({'a': 1}))
print(subprocess.run(['/bin/echo', 'child'], capture_output=True, text=True).stdout)";
    assert!(run(&["/usr/bin/python3", "-I", "-c", python]).contains("[(42,)]"));
    let bash = "set -e; for i in 1 2 3; do echo $i | tr 1-3 a-c; done; cat <<< here; cat < <(echo there)
x=$(ls /usr | head -2 | wc -l); echo $x; echo text > file; cat file; [ -e file ] && rm file; mkdir -p a/b/c; rmdir -p a/b/c
(cd /usr; pwd); mkfifo pipe; echo through > pipe & cat pipe; rm pipe; wait; printf '%s\\n' /usr/l*64; exec 3>out; echo x >&3; rm out";
    assert!(run(&["/bin/bash", "-c", bash]).contains("through"));
    fs::write(scratch.path("work/main.c"), "#include <stdio.h>\nint main(void) { puts(\"compiled\"); }\n").unwrap();
    let compiled = scratch.nurse(
        &SYSTEM.replace("exec = [", "exec = [\"WORK\", "),
        &[],
        &["/bin/sh", "-c", "export TMPDIR=$PWD; gcc -O2 -o main main.c && ./main"],
    );
    assert_eq!(succeeds(&compiled), "compiled\n");
    // Made by the program, but not among what may be executed.
    let denied = scratch.nurse(SYSTEM, &[], &["/bin/sh", "-c", "./main; echo $?"]);
    assert_eq!(succeeds(&denied), "126\n");
    fs::remove_file(scratch.path("work/main")).unwrap();
    let git = "set -e; rm -rf repo; git init -q repo; cd repo; git config user.email a@b; git config user.name n
echo one > file; git add file; git commit -qm first; echo two >> file; git status --short; git log --format=%s; git diff --stat";
    assert_eq!(run(&["/bin/sh", "-c", git]), " M file\nfirst\n file | 1 +\n 1 file changed, 1 insertion(+)\n");
}

#[test]
fn what_is_not_granted() {
    if !nurse_is_ready("what_is_not_granted", &[]) {
        return;
    }
    let scratch = Scratch::new("denied");
    fs::write(scratch.path("secret"), "SECRET").unwrap();
    symlink("../secret", scratch.path("work/link")).unwrap();
    let script = format!(
        "cat {0}; cat link; cat ../secret; cat /proc/self/cwd/../secret; cat /proc/$PPID/environ; cd ..; cat secret; ls
         ln {0} {1}/hard; mv {0} {1}/moved; cp {0} {1}/copy; echo x > {0}; rm {0}; [ -e {0} ] && echo there; ls {1}; stat {0}",
        scratch.path("secret"),
        scratch.path("work"),
    );
    let output = scratch.nurse(SYSTEM, &["--explain", "--log", &scratch.path("log")], &["/bin/sh", "-c", &script]);
    assert_eq!(text(&output.stdout), "link\n");
    assert_eq!(fs::read_to_string(scratch.path("secret")).unwrap(), "SECRET");
    let errors = text(&output.stderr);
    let shown = errors.lines().filter(|line| line.contains(" denied openat: read ") && line.contains("/secret"));
    assert_eq!(shown.count(), 1, "{errors}");
    let log = fs::read_to_string(scratch.path("log")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let denied = lines.iter().filter(|line| line["allowed"] == false && line["object"] == scratch.path("secret"));
    assert!(denied.clone().count() >= 8 && denied.clone().all(|line| line["errno"].is_number()), "{log}");
    assert!(lines.iter().any(|line| line["call"] == "execve" && line["allowed"] == true), "{log}");
}

#[test]
fn addresses() {
    if !nurse_is_ready("addresses", &["python3"]) {
        return;
    }
    let scratch = Scratch::new("addresses");
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, wrong) = (server.local_addr().unwrap().port(), other.local_addr().unwrap().port());
    let script = format!(
        "import socket, errno
def told(work):
    try: work(); print('done')
    except OSError as error: print(errno.errorcode[error.errno])
told(lambda: socket.create_connection(('127.0.0.1', {port})))
told(lambda: socket.create_connection(('127.0.0.1', {wrong})))
told(lambda: socket.create_connection(('0.0.0.0', {wrong})))
told(lambda: socket.socket(socket.AF_INET6).connect(('::ffff:127.0.0.1', {wrong})))
told(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {wrong})))
told(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('127.0.0.1', {wrong})))
told(lambda: socket.socket().bind(('127.0.0.1', 0)))
told(lambda: socket.socket().listen())
told(lambda: socket.socket(socket.AF_UNIX).bind('socket'))
told(lambda: socket.socket(socket.AF_UNIX).connect('\\0x'))
told(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
told(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))"
    );
    let acl = format!(
        "read = ['/usr', '/bin', '/lib', '/lib64', '/etc', '/proc', 'WORK']\nexec = ['/usr', '/lib', '/lib64']\n\
         create = ['WORK']\nconnect = ['tcp:127.0.0.0/8:{port}']\n"
    );
    let output = scratch.nurse(&acl, &[], &["/usr/bin/python3", "-I", "-c", &script]);
    let denied = "EACCES\n".repeat(9);
    assert_eq!(succeeds(&output), format!("done\n{denied}EAFNOSUPPORT\nEAFNOSUPPORT\n"));
}

#[test]
fn learning() {
    if !nurse_is_ready("learning", &["python3"]) {
        return;
    }
    let scratch = Scratch::new("learning");
    fs::write(scratch.path("input"), "read me").unwrap();
    let script = format!("import json; open('made', 'w').write(open('{}').read())", scratch.path("input"));
    let command = ["/usr/bin/python3", "-I", "-c", &script];
    let learned = scratch.path("learned.toml");
    let mut learn = Command::new(env!("CARGO_BIN_EXE_callsieve"));
    learn.args(["nurse", "--learn", &learned, "--"]).args(command);
    let output = scratch.output(learn);
    succeeds(&output);
    assert!(text(&output.stderr).contains("LEARNING: nothing that a list could allow is denied"));
    let acl = fs::read_to_string(&learned).unwrap();
    let outside = scratch.nurse("", &[], &command);
    assert_eq!(outside.status.code(), Some(126), "{}", text(&outside.stderr));
    succeeds(&scratch.nurse(&acl, &["--explain"], &command));
    assert_eq!(fs::read_to_string(scratch.path("work/made")).unwrap(), "read me");
    let other = scratch.nurse(&acl, &[], &["/usr/bin/python3", "-I", "-c", "open('/etc/passwd')"]);
    assert!(text(&other.stderr).contains("Permission denied"), "{}", text(&other.stderr));
}

/// An ACL that changes counts from then on; a broken one does not.
#[test]
fn reload() {
    if !nurse_is_ready("reload", &[]) {
        return;
    }
    let scratch = Scratch::new("reload");
    fs::write(scratch.path("secret"), "SECRET").unwrap();
    let acl = SYSTEM.replace("WORK", &scratch.path("work"));
    fs::write(scratch.path("acl.toml"), &acl).unwrap();
    let script = format!("echo started; until cat {} 2>/dev/null; do sleep 0.05; done", scratch.path("secret"));
    let mut nurse = Command::new(env!("CARGO_BIN_EXE_callsieve"));
    nurse.args(["nurse", "--acl", &scratch.path("acl.toml"), "--", "/bin/sh", "-c", &script]);
    let mut child = nurse.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 8];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut told = |part: &str| {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert_ne!(errors.read_line(&mut line).unwrap(), 0, "{part}");
        }
    };
    // In place of the file, as editors and tools do it.
    let replace = |text: &str| {
        fs::write(scratch.path("new"), text).unwrap();
        fs::rename(scratch.path("new"), scratch.path("acl.toml")).unwrap();
    };
    replace("raed = []\n");
    told("$.raed: unknown key");
    told("the list from before still counts");
    replace(&acl.replace("read = [", &format!("read = [\"{}\", ", scratch.path("secret"))));
    let output = child.wait_with_output().unwrap();
    assert_eq!(succeeds(&output), "SECRET");
    told("has changed and counts from now on");
}

#[test]
fn what_cannot_be_run() {
    if !nurse_is_ready("what_cannot_be_run", &[]) {
        return;
    }
    let scratch = Scratch::new("wrong");
    let started = scratch.path("work/started");
    let touch = ["/bin/touch", started.as_str()];
    for (acl, words, command, status, message) in [
        ("raed = []\n", &[][..], &touch[..], 125, "acl.toml: $.raed: unknown key; there are read, write"),
        ("read = [\n", &[], &touch, 125, "acl.toml: line 1, column "),
        ("read = ['usr']\n", &[], &touch, 125, "$.read[0]: \"usr\" is no absolute path"),
        ("connect = ['tcp:localhost:1']\n", &[], &touch, 125, "names are not looked up"),
        (SYSTEM, &["--log", "/no/such/x"], &touch, 125, "cannot write /no/such/x: no such file or directory"),
        (SYSTEM, &["--learn", "/no/such/x"], &touch, 125, "cannot write /no/such/x: no such file or directory"),
        (SYSTEM, &[], &["no-such-command-here"], 127, "cannot find the command no-such-command-here in PATH"),
        (SYSTEM, &[], &["/no/such"], 127, "cannot run /no/such: no such file"),
        ("", &[], &["/bin/true"], 126, "cannot run /bin/true: permission denied"),
        (SYSTEM, &[], &["./file"], 126, "cannot run ./file: it is not executable"),
    ] {
        fs::write(scratch.path("work/file"), "").unwrap();
        fs::set_permissions(scratch.path("work/file"), fs::Permissions::from_mode(0o644)).unwrap();
        let output = scratch.nurse(acl, words, command);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{errors}");
        assert!(errors.contains(message), "{message}: {errors}");
    }
    assert!(!Path::new(&started).exists());
    for (words, message) in [
        (&["nurse"][..], "required"),
        (&["nurse", "--acl", "/no/such.toml", "--", "true"], "cannot read /no/such.toml: no such file or directory"),
        (&["nurse", "--", "true"], "--acl"),
        (&["nurse", "--acl", "acl.toml"], "COMMAND"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_callsieve")).args(words).output().unwrap();
        assert_eq!(
            (output.status.code(), text(&output.stderr).contains(message)),
            (Some(125), true),
            "{words:?} {}",
            text(&output.stderr)
        );
    }
}

/// A thing never comes to more rights by another name, and denials are stronger, also for what Landlock enforces.
#[test]
fn rights_that_would_be_gained() {
    if !nurse_is_ready("rights_that_would_be_gained", &["python3"]) {
        return;
    }
    let scratch = Scratch::new("gains");
    for folder in ["work/fixed", "work/free/deep", "work/mixed/inner"] {
        fs::create_dir_all(scratch.path(folder)).unwrap();
    }
    fs::write(scratch.path("work/fixed/file"), "fixed").unwrap();
    fs::write(scratch.path("work/free/file"), "free").unwrap();
    let script = "import errno, os
def told(work):
    try: work(); print('done')
    except OSError as error: print(errno.errorcode[error.errno])
told(lambda: os.rename('fixed/file', 'free/new'))
told(lambda: os.link('fixed/file', 'free/new'))
told(lambda: os.symlink('../fixed/file', 'free/link'))
told(lambda: open('free/link', 'w'))
told(lambda: os.rename('free/file', 'fixed/moved'))
told(lambda: os.rename('fixed/moved', 'free/file'))
told(lambda: os.rename('mixed', 'free/mixed'))
told(lambda: os.rename('free/deep', 'free/other'))
told(lambda: open('mixed/inner/x', 'w'))
told(lambda: os.chmod('fixed/file', 0o777))
fd = os.open('fixed/file', os.O_RDONLY)
told(lambda: os.fchmod(fd, 0o777))
told(lambda: os.setxattr(fd, 'user.a', b''))
told(lambda: os.truncate('fixed/file', 0))
told(lambda: os.mknod('free/device', 0o20600, os.makedev(1, 3)))
told(lambda: os.execv('/usr/bin/id', ['id']))
told(lambda: os.execv('/bin/id', ['id']))";
    let acl = r#"{"read": ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "WORK"],
        "exec": ["/usr", "/bin", "/lib", "/lib64"],
        "write": ["WORK/free", "WORK/mixed"], "create": ["WORK"],
        "deny": {"write": ["WORK/mixed/inner"], "exec": ["/usr/bin/id"]}}"#;
    let output = scratch.nurse(acl, &["--explain"], &["/usr/bin/python3", "-I", "-c", script]);
    let expected =
        "EXDEV EXDEV done EACCES done EXDEV EXDEV done EACCES EACCES EACCES EACCES EACCES EPERM EACCES EACCES";
    assert_eq!(succeeds(&output).split_whitespace().collect::<Vec<_>>().join(" "), expected);
    let errors = text(&output.stderr);
    assert!(errors.contains("(it would gain rights)"), "{errors}");
    assert!(errors.contains("execve: exec /usr/bin/id (deny exec /usr/bin/id)"), "{errors}");
    assert_eq!(fs::read_to_string(scratch.path("work/fixed/file")).unwrap(), "fixed");
}

/// What an older kernel lacks is said, and nothing is started.
#[test]
fn what_the_kernel_lacks() {
    if !nurse_is_ready("what_the_kernel_lacks", &[]) {
        return;
    }
    let scratch = Scratch::new("lacks");
    let callsieve = env!("CARGO_BIN_EXE_callsieve");
    let acl = scratch.path("acl.toml");
    // Under a filter that takes a call away, the kernel is an older one.
    let run = |call: &str, words: &[&str]| {
        let profile = format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{{"names": ["{call}"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}}]}}"#
        );
        fs::write(scratch.path("profile.json"), profile).unwrap();
        fs::write(&acl, SYSTEM.replace("WORK", &scratch.path("work"))).unwrap();
        let mut command = Command::new(callsieve);
        command.args(["run", "--profile", &scratch.path("profile.json"), "--", callsieve, "nurse", "--acl", &acl]);
        command.args(words).args(["--", "/bin/echo", "started"]);
        scratch.output(command)
    };
    for (call, message) in [
        ("seccomp", "this kernel cannot run a nurse: user notification (Linux 5.0) is missing"),
        ("landlock_create_ruleset", "exec rules need Landlock, which this kernel does not have or has not enabled"),
    ] {
        let output = run(call, &[]);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(125), ""));
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
    }
    assert_eq!(succeeds(&run("landlock_create_ruleset", &["--exec-unchecked"])), "started\n");
    // A nurse cannot have a nurse.
    let acl = SYSTEM.replace("exec = [", &format!("exec = [\"{callsieve}\", ")).replace("read = [", "read = [\"/\", ");
    fs::write(scratch.path("inner.toml"), SYSTEM.replace("WORK", "/nowhere")).unwrap();
    let inner = scratch.path("inner.toml");
    let output = scratch.nurse(&acl, &[], &[callsieve, "nurse", "--acl", &inner, "--", "/bin/echo", "started"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(125), ""));
    assert!(text(&output.stderr).contains("there can be only one (EBUSY)"), "{}", text(&output.stderr));
}
