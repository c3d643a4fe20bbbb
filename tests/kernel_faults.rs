//! Every system call of the kernel floor fails, in every way that its man page lists.
//!
//! Each operation runs in a forked child under a tracer, which first notes the calls that the operation makes. Then it is run
//! again for each of these calls and each of its errors: the call is not carried out, and its result is the error. The
//! operation has to come back with that error, or with a success that is documented to be one; no descriptor, process,
//! filter, signal mask or handler is left over, and nobody hangs or panics.
//!
//! `CALLSIEVE_FAULTS=1` tries all of them (of calls that are repeated in a loop the first four), `cargo test` by itself one
//! error of each kind of call.

#![cfg(all(target_os = "linux", target_arch = "x86_64", feature = "std"))]
#![allow(unsafe_code)] // A tracer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail as tests do.
// Registers.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

mod common;
#[path = "kernel_faults/errnos.rs"]
mod errnos;
#[path = "kernel_faults/inject.rs"]
mod inject;
#[path = "kernel_faults/install.rs"]
mod install;
#[path = "kernel_faults/judge.rs"]
mod judge;
#[path = "kernel_faults/notify.rs"]
mod notify;
#[path = "kernel_faults/programs.rs"]
mod programs;
#[path = "kernel_faults/record.rs"]
mod record;
#[path = "kernel_faults/stage.rs"]
mod stage;

use callsieve::kernel::{
    HostError, InstallError, MemoryError, NotifyError, ReadBackError, SigsysError, SpawnError, StatusError, WaitError,
};
use callsieve::record::RecordError;
use judge::judge_all;
use stage::Said;
use std::fmt::Debug;

/// The error number in an error.
trait Number: Debug {
    fn number(&self) -> Option<i32>;
}

macro_rules! numbers {
    ($($error:ty: $($pattern:pat => $number:expr),* ;)*) => {$(
        impl Number for $error {
            #[allow(unreachable_patterns)]
            fn number(&self) -> Option<i32> {
                match self {
                    $($pattern => $number,)*
                    _ => None,
                }
            }
        }
    )*};
}
numbers! {
    InstallError: error => error.raw_os_error();
    NotifyError: error => error.raw_os_error();
    MemoryError: MemoryError::Notify(error) => error.number();
    HostError: HostError::Uname { errno } => Some(*errno);
    StatusError: StatusError::Refused { errno } => Some(*errno);
    SigsysError: SigsysError::Refused { errno } => Some(*errno);
    std::io::Error: error => error.raw_os_error();
    SpawnError: SpawnError::Install(error) => error.number(), SpawnError::Start(error) => error.number();
    WaitError: WaitError::Wait(error) | WaitError::ExecFailed(error) => error.number();
    RecordError: RecordError::Host(error) => error.number(), RecordError::Spawn(error) => error.number(),
        RecordError::Notify(error) => error.number(), RecordError::Io(error) => error.number(),
        RecordError::Wait(error) => error.number();
    ReadBackError: ReadBackError::Refused { errno, .. } => Some(*errno), ReadBackError::Status(error) => error.number();
}

/// What an operation says of its result.
fn said<T: Debug, E: Number>(result: Result<T, E>) -> Said {
    result.map(|what| format!("{what:?}")).map_err(|error| (error.number(), format!("{error:?}")))
}

#[test]
fn installing() {
    judge_all("installing", install::INSTALL, 20);
}

#[test]
fn asking() {
    judge_all("asking", install::ASK, 10);
}

#[test]
fn listeners() {
    judge_all("listeners", notify::LISTENER, 10);
}

#[test]
fn notifications() {
    judge_all("notifications", notify::NOTIFICATION, 20);
}

#[test]
fn started_programs() {
    judge_all("started_programs", programs::STARTED.split_at(4).0, 20);
}

/// The others, at the same time: these take the longest.
#[test]
fn more_started_programs() {
    judge_all("more_started_programs", programs::STARTED.split_at(4).1, 20);
}

#[test]
fn processes_looked_into() {
    if unsafe { libc::geteuid() } != 0 {
        common::skip("processes_looked_into", "needs root to read filters");
        return;
    }
    judge_all("processes_looked_into", programs::LOOKED_INTO, 10);
}

#[test]
fn recording() {
    judge_all("recording", record::RECORDED, 10);
}
