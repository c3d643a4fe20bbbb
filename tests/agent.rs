//! The agent example with a real runtime. Needs root, runc and a static busybox.

#![cfg(all(target_os = "linux", feature = "std", feature = "json"))]
#![allow(clippy::unwrap_used, clippy::panic)] // A test.
#![allow(unsafe_code)] // What the helpers of tests need.

mod common;

use callsieve::kernel::{Outcome, Response};
use callsieve::supervise::{Handover, Supervisor, Verdict};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn busybox() -> Option<&'static str> {
    ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists())
}

/// With `CALLSIEVE_RUNC` in the environment, as in CI, it is not skipped whatever is missing.
fn can(test: &str) -> bool {
    // An emulator passes none of this on, though the machine's runc runs.
    if !common::kernel_has_filters(test) {
        return false;
    }
    if std::env::var_os("CALLSIEVE_RUNC").is_some() {
        return true;
    }
    let version = Command::new("runc").arg("--version").output();
    if unsafe { libc::geteuid() } != 0 || version.is_err() || busybox().is_none() {
        common::skip(test, "needs root, runc and busybox");
        return false;
    }
    true
}

/// A bundle whose profile notifies mkdir.
fn bundle(folder: &Path, socket: &Path) {
    let bin = folder.join("rootfs/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::copy(busybox().unwrap(), bin.join("busybox")).unwrap();
    for name in ["sh", "mkdir", "echo"] {
        std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
    }
    for name in ["proc", "tmp"] {
        std::fs::create_dir_all(folder.join("rootfs").join(name)).unwrap();
    }
    let script = "mkdir /tmp/one; echo $?; echo alive; mkdir /tmp/two || exit 5";
    let config = serde_json::json!({
        "ociVersion": "1.0.2",
        "root": { "path": "rootfs" },
        "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": ["/bin/sh", "-c", script],
                     "env": ["PATH=/bin"], "noNewPrivileges": true },
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "mount" }],
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "listenerPath": socket,
                "listenerMetadata": "no folders",
                "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }],
            },
        },
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

#[test]
fn a_container_of_runc() {
    if !can("a_container_of_runc") {
        return;
    }
    let folder = std::env::temp_dir().join(format!("callsieve-agent-{}", std::process::id()));
    let scratch = Scratch(folder.clone());
    std::fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("agent.sock");
    let listening = UnixListener::bind(&socket).unwrap();
    bundle(&folder, &socket);
    let id = format!("callsieve-{}", std::process::id());
    let runc = Command::new("runc")
        .args(["--root".as_ref(), folder.join("state").as_os_str(), "run".as_ref(), "--bundle".as_ref()])
        .arg(&folder)
        .arg(&id)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    listening.set_nonblocking(true).unwrap();
    let connection = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        listening.accept().ok().map(|(connection, _)| connection)
    });
    let Some(connection) = connection else {
        let output = runc.wait_with_output().unwrap();
        panic!("runc did not connect: {}", String::from_utf8_lossy(&output.stderr));
    };
    connection.set_nonblocking(false).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let handover = Handover::receive(&connection).unwrap();
    assert_eq!((handover.container_id(), handover.metadata()), (id.as_str(), "no folders"));
    assert_eq!(handover.bundle(), folder.to_str().unwrap());
    assert!(handover.pid() > 1);
    let paths = Mutex::new(Vec::new());
    let supervisor = Supervisor::new(|call| {
        let argument = usize::from(call.name() == Some("mkdirat"));
        if let Outcome::Done(path) = call.memory().read_c_string(call.args()[argument], 4096)? {
            paths.lock().unwrap().push(String::from_utf8(path).unwrap());
        }
        Ok(Outcome::Done(Verdict::Respond(Response::Errno(28)))) // ENOSPC
    });
    let counts = supervisor.run(&handover.into_listener()).unwrap();
    let output = runc.wait_with_output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(text, "1\nalive\n", "{errors}");
    assert_eq!(output.status.code(), Some(5), "{errors}");
    assert!(errors.contains("No space left on device"), "{errors}");
    // The runtime makes folders as well, after it has the filter.
    drop(supervisor);
    let paths = paths.into_inner().unwrap();
    assert!(paths.ends_with(&["/tmp/one".into(), "/tmp/two".into()]), "{paths:?}");
    assert_eq!(counts.refused, paths.len() as u64);
    drop(scratch);
}
