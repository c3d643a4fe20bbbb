//! The runtime with a real bundle.

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};

struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str, script: &str, seccomp: &Value) -> Self {
        let path = std::env::temp_dir().join(format!("callsieve-oci-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": 0, "gid": 0 }, "args": ["/bin/sh", "-c", script], "env": ["PATH=/usr/bin:/bin"],
                "cwd": path, "noNewPrivileges": true, "capabilities": { "bounding": ["CAP_CHOWN", "CAP_KILL"] }
            },
            "root": { "path": "root" },
            "linux": { "seccomp": seccomp }
        });
        std::fs::write(path.join("config.json"), config.to_string()).unwrap();
        Self(path)
    }

    fn run(&self) -> Output {
        Command::new(env!("CARGO_BIN_EXE_oci_runtime")).arg(&self.0).output().unwrap()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_denial_and_the_exit_status_come_through() {
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30 }]
    });
    let bundle = Bundle::new("errno", "grep ^Seccomp: /proc/self/status; mkdir a || exit 7", &seccomp);
    let output = bundle.run();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(7), "Seccomp:\t2\n"), "{output:?}");
    assert!(text(&output.stderr).contains("Read-only file system"), "{output:?}");
}

#[test]
fn a_kill_is_128_and_the_signal() {
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" }]
    });
    assert_eq!(Bundle::new("kill", "exec mkdir a", &seccomp).run().status.code(), Some(128 + 31));
}

#[test]
fn the_listener_comes_back() {
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/run/nobody.sock",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }]
    });
    let output = Bundle::new("notify", "mkdir a && exit 1; exit 3", &seccomp).run();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stderr).contains("mkdir("), "{output:?}");
}

#[test]
fn what_is_wrong_is_said_and_nothing_starts() {
    let seccomp = json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000 });
    let output = Bundle::new("wrong", "echo started", &seccomp).run();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0));
    assert!(text(&output.stderr).contains("$.defaultErrnoRet"), "{output:?}");
}
