//! Installing, and asking what there is.

use super::errnos::{ADD_FD, ID_VALID, SEND};
use super::judge::{Gives, Operation, Rule, THREAD, of, on};
use super::said;
use super::stage::{Said, Stage};
use crate::common::supervision::allow_all;
use callsieve::kernel::{self, FilterFlag, Install, SigsysHandler};
use callsieve::{Compiler, Profile};
use libc::{SYS_ioctl, SYS_openat, SYS_prctl, SYS_read, SYS_seccomp, SYS_statx};

const NNP: &[&str] = &["NoNewPrivs"];

/// Features that a listener is taken not to have.
pub const FEATURES: &[Rule] = &[
    of(SYS_ioctl, SEND, libc::EINPROGRESS, Gives::Same),
    of(SYS_ioctl, SEND, libc::EINVAL, Gives::Success("[Some(false), Some(true), Some(true)]")),
    of(SYS_ioctl, ADD_FD, 0, Gives::Success("[Some(true), Some(false), Some(true)]")),
    of(SYS_ioctl, ADD_FD, 0, Gives::Success("[Some(true), Some(true), Some(false)]")),
];

/// A descriptor that is no listener may belong to somebody else, so it is left alone.
const NO_LISTENER: &[Rule] = &[
    of(SYS_ioctl, ID_VALID, libc::EBADF, Gives::ErrorLate("NoListener")),
    of(SYS_ioctl, ID_VALID, libc::ENOTTY, Gives::ErrorLate("NoListener")),
];

/// The standard library asks for the size of a file to read it in one go.
pub const SIZE: &[Rule] = &[on(SYS_statx, 0, Gives::Same)];

/// Files in /proc of a process that has ended.
pub const NO_PROCESS: &[Rule] =
    &[on(SYS_openat, libc::ENOENT, Gives::Error("NoProcess")), on(SYS_read, libc::ESRCH, Gives::Error("NoProcess"))];

pub const INSTALL: &[Operation] = &[
    Operation { name: "install", run: |stage| install(stage, Install::new()), rules: &[], kept: NNP },
    Operation {
        name: "install with flags",
        run: |stage| install(stage, Install::new().log(true).spec_allow(true)),
        rules: &[],
        kept: NNP,
    },
    Operation {
        name: "install by prctl(2)",
        run: |stage| install(stage, Install::new().via_prctl(true)),
        rules: &[],
        kept: NNP,
    },
    Operation {
        name: "install for all threads",
        run: |stage| for_all_threads(stage, Install::new().tsync(true)),
        rules: &[&[on(SYS_seccomp, -(THREAD as i32), Gives::Error("ThreadDiverged"))]],
        kept: NNP,
    },
    Operation {
        name: "install for all threads, ESRCH",
        run: |stage| for_all_threads(stage, Install::new().tsync(true).tsync_esrch(true)),
        rules: &[],
        kept: NNP,
    },
    Operation {
        name: "install a proven filter",
        run: |stage| {
            let policy = Profile::new(callsieve::bpf::Action::Allow).resolve(&kernel::host_target().unwrap()).unwrap();
            let filter = Compiler::new().compile(&policy).unwrap();
            said(stage.during(|| filter.install(Install::new())))
        },
        rules: &[],
        kept: NNP,
    },
    Operation {
        name: "with a listener",
        run: |stage| listener(stage, Install::new()),
        rules: &[FEATURES, NO_LISTENER],
        kept: NNP,
    },
    Operation {
        name: "with a listener, for all threads, killable",
        run: |stage| listener(stage, Install::new().tsync(true).wait_killable(true).log(true)),
        rules: &[FEATURES, NO_LISTENER],
        kept: NNP,
    },
    Operation {
        name: "strict mode",
        run: |stage| match stage.during(kernel::strict_mode) {
            Ok(()) => stage.end_without_calls("ok\t"),
            error => said(error),
        },
        rules: &[],
        kept: &[],
    },
    Operation {
        name: "a handler for SIGSYS",
        run: |stage| {
            let policy =
                Profile::new(callsieve::bpf::Action::Trap(1)).resolve(&kernel::host_target().unwrap()).unwrap();
            let handler = SigsysHandler::new(&policy);
            said(stage.during(|| handler.install()))
        },
        rules: &[],
        kept: &[],
    },
];

pub const ASK: &[Operation] = &[
    Operation {
        name: "probe",
        run: |stage| {
            let truth = kernel::probe();
            let support = stage.during(kernel::probe);
            // A failure hides something at most.
            let more = support.actions().any(|action| !truth.has_action(action))
                || support.flags().iter().any(|flag| !truth.flags().contains(flag))
                || (support.filter_mode() && !truth.filter_mode());
            if more { Err((None, format!("{support:?}"))) } else { Ok("no more than there is".into()) }
        },
        rules: &[&[on(SYS_seccomp, 0, Gives::Same), on(SYS_prctl, 0, Gives::Same)]],
        kept: &[],
    },
    Operation {
        name: "whether a flag is known",
        run: |stage| Ok(stage.during(|| kernel::flag_available(FilterFlag::Tsync)).to_string()),
        rules: &[&[on(SYS_seccomp, 0, Gives::Success("false"))]],
        kept: &[],
    },
    Operation {
        name: "the target of this host",
        run: |stage| said(stage.during(kernel::host_target)),
        rules: &[],
        kept: &[],
    },
    Operation {
        name: "the own status",
        run: |stage| said(stage.during(kernel::status).map(|status| status.mode())),
        // prctl(2) knows it as well.
        rules: &[&[on(SYS_openat, 0, Gives::Same), on(SYS_statx, 0, Gives::Same), on(SYS_read, 0, Gives::Same)]],
        kept: &[],
    },
    Operation {
        name: "the status of a process",
        run: |stage| said(stage.during(|| kernel::status_of(std::process::id()))),
        rules: &[SIZE, NO_PROCESS],
        kept: &[],
    },
];

fn install(stage: &Stage, install: Install) -> Said {
    let program = allow_all();
    said(stage.during(|| install.install(&program)))
}

/// Says whether another thread has the filter as well.
fn for_all_threads(stage: &Stage, install: Install) -> Said {
    let program = allow_all();
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || {
        let _ = receive.recv();
        kernel::status().unwrap()
    });
    let result = stage.during(|| install.install(&program));
    drop(send);
    let other = other.join().unwrap();
    if result.is_err() && other.filters() != Some(0) {
        return Ok(format!("{other:?} after {result:?}"));
    }
    said(result.map(|installed| (installed, other.filters())))
}

fn listener(stage: &Stage, install: Install) -> Said {
    let program = allow_all();
    said(stage.during(|| install.with_listener(&program)).map(|listener| {
        use kernel::NotifyFeature::{AddFd, AddFdSend, Continue};
        [Continue, AddFd, AddFdSend].map(|feature| listener.has(feature))
    }))
}
