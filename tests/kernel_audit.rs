//! Log lines of the running kernel, explained.
#![cfg(all(target_os = "linux", feature = "std", feature = "json"))]
#![allow(unsafe_code)] // Names a thread.
#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests fail as tests do.

mod common;

use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::check::{AuditRecord, Explainer, Fate};
use callsieve::kernel::Install;
use callsieve::policy::Target;
use callsieve::profile::{Profile, arg};
use callsieve::{Compiler, Policy};
use common::{child, kernel_has_filters, skip};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// The kernel's log from now on.
fn log() -> std::io::Result<File> {
    let mut log = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
    log.seek(SeekFrom::End(0))?;
    Ok(log)
}

/// The line about a thread of this name: every read gives one record, until there is none.
fn line_about(log: &mut File, name: &str) -> Option<String> {
    let wanted = format!("comm=\"{name}\"");
    let mut record = [0; 8192];
    loop {
        match log.read(&mut record) {
            Ok(len) => {
                let text = String::from_utf8_lossy(&record[..len]).into_owned();
                let line = text.lines().find(|line| line.contains("type=1326") && line.contains(&wanted));
                if let Some(line) = line {
                    return Some(line.to_owned());
                }
            }
            // Records were overwritten before they were read.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(_) => return None,
        }
    }
}

/// Makes one call under a policy in a child of this name, and gives the line that the kernel writes about it.
fn logged(policy: &Policy, call: SyscallData, name: &str) -> Result<String, String> {
    let filter = Compiler::new().compile(policy).unwrap();
    // When many lines come at once the kernel drops some, for up to five seconds.
    for _ in 0..12 {
        let mut log = log().map_err(|error| format!("/dev/kmsg cannot be read: {error}"))?;
        let name_of_thread = CString::new(name).unwrap();
        child(|checks| {
            unsafe { libc::prctl(libc::PR_SET_NAME, name_of_thread.as_ptr()) };
            checks.that(filter.install(Install::new().log(true)).is_ok());
            common::calls::native(call.nr, call.args);
        });
        // What is printed is not always there at once.
        for _ in 0..50 {
            if let Some(line) = line_about(&mut log, name) {
                return Ok(line);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
    Err("the kernel wrote no line about the call, so it has no audit or its log is full".to_owned())
}

/// The call that a line names, and the rules that can have given the answer.
fn check(test: &str, action: Action) {
    if !kernel_has_filters(test) {
        return;
    }
    let arch = Arch::NATIVE.unwrap();
    let target = Target::exactly(&[arch]);
    let profile = Profile::new(Action::Allow)
        .rule(action, "socket", [arg::<0>().eq(40), arg::<1>().lt(9)])
        .rule(action, "socket", [arg::<0>().eq(38)])
        .rule(Action::Trap(0), "socket", [arg::<0>().eq(39)])
        .rule(action, "mount", []);
    let policy = profile.resolve(&target).unwrap();
    let nr = arch.number("socket").unwrap();
    let call = SyscallData { nr, args: [40, 1, 0, 0, 0, 0], ..SyscallData::default() };
    let name = format!("cs{}{}", std::process::id(), action.kind().len());
    let line = match logged(&policy, call, &name) {
        Ok(line) => line,
        Err(reason) => return skip(test, &reason),
    };
    let record: AuditRecord = line.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!((record.arch, record.nr, record.action().kind()), (arch.audit(), nr, action.kind()), "{line}");
    assert_eq!(record.comm.as_deref(), Some(name.as_str()));

    let explainer = Explainer::new(&profile, &target).unwrap();
    let explanation = explainer.explain(record.arch, record.nr, &[]).unwrap();
    let paths = |explanation: &callsieve::check::Explanation| {
        let deciding = explanation.deciding(record.action().kind());
        deciding.iter().map(|rule| rule.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(arch.name(explanation.nr), Some("socket"));
    assert_eq!(paths(&explanation), ["rule 1", "rule 2"]);
    let first = explanation.rules.iter().find(|rule| rule.path == "rule 1").unwrap();
    let conditions: Vec<_> = first.conditions.iter().map(|condition| condition.text.as_str()).collect();
    assert_eq!(conditions.len(), 2);
    assert!(conditions[0].starts_with("arg0") && conditions[0].ends_with("== 40"), "{conditions:?}");
    // With the arguments that were passed, one is left.
    let explanation = explainer.explain(record.arch, record.nr, &[40..=40, 1..=1]).unwrap();
    assert_eq!(paths(&explanation), ["rule 1"]);
    let second = explanation.rules.iter().find(|rule| rule.path == "rule 2").unwrap();
    assert_eq!(second.fate, Fate::Fails);
}

#[test]
fn a_logged_errno_is_explained() {
    check("a_logged_errno_is_explained", Action::Errno(97));
}

#[test]
fn a_kill_is_explained() {
    check("a_kill_is_explained", Action::KillProcess);
}
