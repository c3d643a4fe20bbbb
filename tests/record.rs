//! Programs that are recorded.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test.

mod common;

use callsieve::kernel::{NotifyFeature, Stream, Supervised};
use callsieve::record::{RecordError, Recorder, Recording};
use common::{kernel_has_filters, number};

fn names(recording: &Recording) -> Vec<&'static str> {
    recording.calls().filter_map(|call| call.name()).collect()
}

fn quiet(program: &str) -> Supervised {
    Supervised::new(program).stdin(Stream::Null).stdout(Stream::Null)
}

#[test]
fn a_program_from_its_execve_to_its_end() {
    if !kernel_has_filters("a_program_from_its_execve_to_its_end") {
        return;
    }
    let mut recording = Recording::new();
    let run = Recorder::new().record(quiet("true"), &mut recording).unwrap();
    assert!(run.status().success());
    let execve = recording.calls().find(|call| call.name() == Some("execve")).unwrap();
    assert_eq!(execve.count(), 1);
    assert_eq!((run.counted(), run.interrupted()), (recording.total(), 0));
    assert_eq!(run.asked(), run.counted());
    assert!(names(&recording).len() > 5, "{:?}", names(&recording));
    // Everything is new at first, and nothing the second time.
    assert_eq!(run.new_calls().first().map(|new| new.call.nr), Some(number(libc::SYS_execve)));
    let before = recording.clone();
    let again = Recorder::new().record_unknown(quiet("true"), &mut recording).unwrap();
    assert_eq!((again.asked(), again.counted(), again.new_calls()), (0, 0, &[][..]));
    assert_eq!(recording, before);
}

#[test]
fn a_kernel_that_cannot_continue() {
    if !kernel_has_filters("a_kernel_that_cannot_continue") {
        return;
    }
    let recorder = Recorder::new().pretend_without(NotifyFeature::Continue);
    let mut recording = Recording::new();
    let error = recorder.record(quiet("true"), &mut recording).unwrap_err();
    assert!(matches!(error, RecordError::Unsupported { feature: NotifyFeature::Continue }));
    let expected = "recording needs SECCOMP_USER_NOTIF_FLAG_CONTINUE (Linux 5.5), which this kernel does not have";
    assert_eq!(error.to_string(), expected);
    assert!(recording.is_empty());
}
