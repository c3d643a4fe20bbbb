//! Filters for all threads (TSYNC), in forked children. The names are those of the kernel's own tests.
#![cfg(all(target_os = "linux", feature = "std"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail as tests do.

mod common;

use callsieve::bpf::Action;
use callsieve::kernel::{FilterFlag, Install, InstallError, Mode, Status, flag_available, status};
use common::calls::{getppid, gettid};
use common::{Checks, always, child_passes, kernel_has_filters, only, skip};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A thread that does what it is told.
struct Sibling {
    orders: Sender<fn() -> Report>,
    reports: Receiver<Report>,
    thread: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug)]
struct Report {
    tid: u32,
    getppid: i64,
    status: Status,
}

fn report() -> Report {
    Report { tid: gettid(), getppid: getppid(), status: status().expect("a state") }
}

/// Installs a filter of its own, for this thread only.
fn diverge() -> Report {
    Install::new().install(&always(Action::Allow)).expect("a filter");
    report()
}

impl Sibling {
    fn start() -> Self {
        let (orders, inbox) = channel::<fn() -> Report>();
        let (outbox, reports) = channel();
        let thread = std::thread::spawn(move || {
            while let Ok(order) = inbox.recv() {
                if outbox.send(order()).is_err() {
                    break;
                }
            }
        });
        Self { orders, reports, thread }
    }

    fn told(&self, order: fn() -> Report) -> Report {
        self.orders.send(order).expect("a living sibling");
        self.reports.recv().expect("a report")
    }

    fn end(self) {
        drop(self.orders);
        self.thread.join().expect("a sibling that ends well");
    }
}

fn deny_getppid() -> callsieve::bpf::Program {
    only(libc::SYS_getppid, Action::Errno(7).to_raw())
}

fn can_run(test: &str) -> bool {
    if !kernel_has_filters(test) {
        return false;
    }
    let has = flag_available(FilterFlag::Tsync);
    if !has {
        skip(test, "the kernel has no TSYNC");
    }
    has && is_alone(test)
}

/// Whether this process runs no other test. If it does, the test is run in a process of its own: a child that is forked
/// while another test starts a thread may find a lock of the C library held for ever, as soon as it starts one itself.
fn is_alone(test: &str) -> bool {
    const ALONE: &str = "CALLSIEVE_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("this program");
    let run = Command::new(program).args([test, "--exact", "--test-threads=1"]).env(ALONE, "1").output();
    let output = run.expect("a process of its own");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{}", String::from_utf8_lossy(&output.stderr));
    false
}

fn with_siblings(body: impl FnOnce(&Checks, [Sibling; 2])) {
    child_passes(|checks| body(checks, [Sibling::start(), Sibling::start()]));
}

#[test]
fn tsync_first() {
    if can_run("tsync_first") {
        child_passes(|checks| {
            checks.that(Install::new().tsync(true).install(&deny_getppid()).is_ok());
            checks.that(getppid() == -7);
        });
    }
}

/// Without TSYNC the other threads stay as they are.
#[test]
fn siblings_are_left_alone() {
    if can_run("siblings_are_left_alone") {
        with_siblings(|checks, siblings| {
            let before = siblings.each_ref().map(|sibling| sibling.told(report).status);
            for install in [Install::new(), Install::new().via_prctl(true)] {
                checks.that(install.install(&deny_getppid()).is_ok());
            }
            checks.that(getppid() == -7);
            let after = siblings.each_ref().map(|sibling| sibling.told(report));
            checks.that(after.map(|report| report.status) == before);
            checks.that(after.iter().all(|report| report.getppid > 0));
            siblings.into_iter().for_each(Sibling::end);
        });
    }
}

#[test]
fn two_siblings_with_no_filter() {
    if can_run("two_siblings_with_no_filter") {
        with_siblings(|checks, siblings| {
            checks.that(siblings.each_ref().iter().all(|sibling| sibling.told(report).getppid > 0));
            checks.that(Install::new().tsync(true).install(&deny_getppid()).is_ok());
            for sibling in &siblings {
                let report = sibling.told(report);
                checks.that(report.getppid == -7 && report.status.mode() == Mode::Filter);
            }
            siblings.into_iter().for_each(Sibling::end);
        });
    }
}

#[test]
fn two_siblings_with_ancestor() {
    if can_run("two_siblings_with_ancestor") {
        child_passes(|checks| {
            checks.that(Install::new().install(&always(Action::Allow)).is_ok());
            let siblings = [Sibling::start(), Sibling::start()];
            let before = siblings.each_ref().map(|sibling| sibling.told(report).status);
            checks.that(Install::new().tsync(true).install(&deny_getppid()).is_ok());
            for (sibling, before) in siblings.iter().zip(before) {
                let report = sibling.told(report);
                checks.that(report.getppid == -7);
                checks.that(report.status.filters() == before.filters().map(|count| count + 1));
            }
            siblings.into_iter().for_each(Sibling::end);
        });
    }
}

/// The siblings get no_new_privs along with the filter.
#[test]
fn two_sibling_want_nnp() {
    if can_run("two_sibling_want_nnp") {
        with_siblings(|checks, siblings| {
            checks.that(Install::new().tsync(true).install(&always(Action::Allow)).is_ok());
            checks.that(siblings.iter().all(|sibling| sibling.told(report).status.no_new_privs()));
            siblings.into_iter().for_each(Sibling::end);
        });
    }
}

/// The failure names the thread, and nothing was installed anywhere.
#[test]
fn two_siblings_with_one_divergence() {
    if can_run("two_siblings_with_one_divergence") {
        with_siblings(|checks, [peaceful, other]| {
            let diverged = other.told(diverge);
            let before = status();
            let failed = Install::new().no_new_privs(false).tsync(true);
            checks.that(Install::new().install(&always(Action::Allow)).is_ok());
            let error = failed.install(&deny_getppid());
            checks.that(error == Err(InstallError::ThreadDiverged { tid: Some(diverged.tid) }));
            checks.that(getppid() > 0 && peaceful.told(report).getppid > 0 && other.told(report).getppid > 0);
            checks.that(other.told(report).status == diverged.status);
            checks.that(before.is_ok_and(|b| status().is_ok_and(|s| s.filters() == b.filters().map(|n| n + 1))));
            peaceful.end();
            other.end();
        });
    }
}

#[test]
fn two_siblings_with_one_divergence_no_tid_in_err() {
    const TEST: &str = "two_siblings_with_one_divergence_no_tid_in_err";
    if !flag_available(FilterFlag::TsyncEsrch) {
        return skip(TEST, "the kernel has no TSYNC_ESRCH");
    }
    if !can_run(TEST) {
        return;
    }
    with_siblings(|checks, [peaceful, other]| {
        other.told(diverge);
        let error = Install::new().tsync(true).tsync_esrch(true).install(&deny_getppid());
        checks.that(error == Err(InstallError::ThreadDiverged { tid: None }));
        checks.that(error.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH)));
        checks.that(getppid() > 0 && peaceful.told(report).getppid > 0);
        peaceful.end();
        other.end();
    });
}

/// Threads whose filters are older ones of ours come along, others do not; when they have ended, all is well again.
#[test]
fn two_siblings_not_under_filter() {
    if can_run("two_siblings_not_under_filter") {
        with_siblings(|checks, [peaceful, other]| {
            other.told(diverge);
            checks.that(Install::new().install(&always(Action::Allow)).is_ok());
            let install = Install::new().tsync(true);
            checks.that(matches!(install.install(&deny_getppid()), Err(InstallError::ThreadDiverged { .. })));
            other.end();
            // The thread has told its last, but may still be on its way out of the kernel.
            let mut answer = install.install(&deny_getppid());
            for _ in 0..10_000 {
                if answer.is_ok() {
                    break;
                }
                std::thread::yield_now();
                answer = install.install(&deny_getppid());
            }
            checks.that(answer.is_ok());
            checks.that(getppid() == -7 && peaceful.told(report).getppid == -7);
            peaceful.end();
        });
    }
}
