//! Small texts that people and programs write: whatever they are, the answer is a value or a message that is safe to show.

use crate::arch::Arch;
use crate::bpf::Action;
use crate::check::{AuditRecord, Expectations};
use crate::policy::Target;
use crate::profile::{Profile, arg};
use alloc::string::{String, ToString};

/// Nothing from a file can disturb a terminal, and nothing is endless. The lines of a message are its own.
pub(super) fn check_message(text: &str) {
    assert!(!text.is_empty() && text.len() < 65_536, "{} bytes", text.len());
    for line in text.split('\n') {
        assert!(line.len() < 4096 && !line.chars().any(char::is_control), "{line:?}");
    }
}

/// Reads bytes as lines of the kernel's log, and as a recording by its log or by strace(1). What was recorded is written
/// as weights, which read back the same.
pub fn log_lines(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        match line.parse::<AuditRecord>() {
            Ok(record) => assert_eq!(record.action(), Action::as_kernel(record.code)),
            Err(error) => check_message(&error.to_string()),
        }
    }
    #[cfg(all(target_os = "linux", feature = "std"))]
    for native in [None, Some(Arch::X86_64), Some(Arch::S390x)] {
        let mut recording = crate::record::Recording::new();
        let read = match native {
            None => recording.read_audit(&text),
            Some(native) => recording.read_strace(&text, native),
        };
        match read {
            // A call of an architecture that is not known is only noted.
            Ok(read) => assert!(read.calls > 0 && (!recording.is_empty() || recording.notes().next().is_some())),
            Err(error) => check_message(&error.to_string()),
        }
        super::messages::check_recording(&recording);
    }
}

/// Reads bytes as a weights file; a policy compiles with what was read.
#[cfg(feature = "json")]
pub fn weights_text(bytes: &[u8]) {
    use crate::{Compiler, Level, Weights};

    let weights = match Weights::from_json(&String::from_utf8_lossy(bytes)) {
        Ok(weights) => weights,
        Err(error) => {
            assert!(error.path().starts_with('$'), "{error}");
            return check_message(&error.to_string());
        }
    };
    let Some(policy) = small_policy() else { return };
    for level in [Level::Balanced, Level::Speed] {
        if let Err(error) = Compiler::new().level(level).weights(weights.clone()).compile(&policy) {
            panic!("{error}");
        }
    }
}

/// Reads bytes as expectations; what they say is broken shows a call that breaks it.
pub fn expectation_text(bytes: &[u8]) {
    let Some(policy) = small_policy() else { return };
    let expectations: Expectations = match String::from_utf8_lossy(bytes).parse() {
        Ok(expectations) => expectations,
        Err(errors) => return check_message(&errors.to_string()),
    };
    match expectations.check(&policy) {
        Ok(broken) => {
            for broken in &broken {
                let call = &broken.example;
                assert!(broken.line > 0);
                check_message(&call.to_string());
                check_message(&broken.text);
            }
        }
        Err(errors) => check_message(&errors.to_string()),
    }
}

/// Reads bytes as an ACL; what is granted lies below something that was named.
#[cfg(all(target_os = "linux", target_pointer_width = "64", feature = "nurse"))]
pub fn acl_text(bytes: &[u8]) {
    use crate::nurse::Acl;

    let text = String::from_utf8_lossy(bytes);
    for read in [Acl::from_toml(&text), Acl::from_json(&text)] {
        match read {
            Ok(acl) => {
                for path in [&b"/"[..], b"/usr", b"/usr/lib/a", b"/tmp/area", b"/no such path"] {
                    let granted = acl.rights(path);
                    assert!(granted.is_none() || acl.is_visible(path), "{granted:?}");
                }
            }
            Err(error) => {
                assert!(!error.problems().is_empty());
                check_message(&error.to_string());
            }
        }
    }
}

/// Two ABIs, a call for some arguments, a denial.
fn small_policy() -> Option<crate::Policy> {
    let profile = Profile::new(Action::Errno(1))
        .allow(["read", "write", "close", "openat", "exit_group", "futex"])
        .allow_if("socket", [arg::<0>().ne(40), arg::<1>().eq(1)])
        .rule(Action::Errno(38), "mount", []);
    profile.resolve(&Target::exactly(&[Arch::X86_64, Arch::X86])).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    const LINES: [&str; 36] = [
        "type=1326 audit(1.2:3): ",
        "type=SECCOMP msg=audit(1.2:3): ",
        "pid=7 comm=\"a\" ",
        "comm=6120622e ",
        "exe=\"/usr/bin/a\" sig=31 ",
        "arch=c000003e ",
        "arch=40000003 ",
        "syscall=41 ",
        "syscall=-1 ",
        "syscall=4294967296 ",
        "compat=0 ip=0x7f0 ",
        "code=0x7ffc0000 ",
        "code=0x ",
        "\u{1d}SYSCALL=socket",
        "callbacks suppressed",
        "\n",
        "read(3, \"\\\"a\", 832) = 0\n",
        "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3\n",
        "ioctl(0, TCGETS, {c_iflag=ICRNL, ...}) = 0\n",
        "[pid 7] ",
        "7 12:30:01.000001 ",
        "clone(child_stack=NULL, flags=CLONE_VM|SIGCHLD <unfinished ...>\n",
        "<... clone resumed>) = 8\n",
        "+++ exited with 0 +++\n",
        "--- SIGSYS {si_signo=SIGSYS} ---\n",
        "[ Process PID=7 runs in 32 bit mode. ]\n",
        "% time     seconds  usecs/call     calls    errors syscall\n",
        "------ ----------- ----------- --------- --------- ----------------\n",
        " 50.00    0.000010           1        10         2 read\n",
        "100.00    0.000020                    20           total\n",
        "System call usage summary for x32 mode:\n",
        "old_mmap(NULL, 1) = 0\n",
        "syscall_0x1c7(1, 2) = -1 ENOSYS\n",
        "(",
        ")",
        " = ",
    ];

    const EXPECTED: [&str; 26] = [
        "mount",
        "socket",
        "read",
        "raed",
        "x86/",
        "x86_64/",
        "arm/",
        "(",
        ")",
        ", ",
        "*",
        "...",
        "AF_VSOCK",
        "AF_INET",
        "0x5400..0x54ff",
        "1..0",
        "SOCK_STREAM|SOCK_CLOEXEC",
        ": ",
        "allow",
        "deny",
        "errno ENOSYS",
        "errno 99999",
        "kill-process",
        "trace 7",
        "\n",
        "#",
    ];

    const WEIGHTS: [&str; 16] = [
        "{",
        "}",
        ", ",
        "\"frequencies\": {\"read\": 4100, \"write\": 1e18}",
        "\"frequencies\": {\"raed\": 1}",
        "\"shares\": {\"any\": 1}",
        "\"shares\": {\"any\": 0}",
        "\"shares\": ",
        "\"worst_case\": 20",
        "\"worst_case\": -1",
        "\"\\u001b[2J\": 1",
        "\"frequency\": 1",
        "1.5",
        "[]",
        "null",
        "\"\\n\"",
    ];

    #[cfg(all(target_os = "linux", target_pointer_width = "64", feature = "nurse"))]
    const ACLS: [&str; 22] = [
        "read = [\"/usr\", \"/etc\"]\n",
        "write = [\"/tmp/area\"]\n",
        "read = [\"/usr/../etc\"]\n",
        "read = [\"usr\"]\n",
        "read = [\"/usr/.\"]\n",
        "connect = [\"tcp:127.0.0.1:5432\"]\n",
        "connect = [\"udp:[fd00::]/8:1-9\", \"unix:@*\"]\n",
        "bind = [\"tcp:*:99999\"]\n",
        "[deny]\n",
        "raed = 1\n",
        "\"\\u001b[2J\" = 1\n",
        "{\"read\": [",
        "\"/usr\"",
        "\"/\"",
        "]}",
        "\"deny\": {",
        ", ",
        "=",
        "[[a]]\n",
        "\"\"\"",
        "#",
        "\u{1b}",
    ];

    fn joined(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(select(pieces), 0..24).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            log_lines(&bytes);
            expectation_text(&bytes);
            #[cfg(feature = "json")]
            weights_text(&bytes);
            #[cfg(all(target_os = "linux", target_pointer_width = "64", feature = "nurse"))]
            acl_text(&bytes);
        }

        #[test]
        fn any_log(bytes in joined(&LINES)) {
            log_lines(&bytes);
        }

        #[test]
        fn any_expectations(bytes in joined(&EXPECTED)) {
            expectation_text(&bytes);
        }

        #[test]
        #[cfg(feature = "json")]
        fn any_weights(bytes in joined(&WEIGHTS)) {
            weights_text(&bytes);
        }

        #[test]
        #[cfg(all(target_os = "linux", target_pointer_width = "64", feature = "nurse"))]
        fn any_acl(bytes in joined(&ACLS)) {
            acl_text(&bytes);
        }
    }
}
