//! Kernels that refuse, injected.

use super::*;
use crate::bpf::{Action, opcode};
use std::cell::{Cell, RefCell};

/// A kernel with one traced thread.
struct Fake {
    seize: Answer<()>,
    interrupt: Answer<()>,
    stops: RefCell<Vec<Answer<Option<i32>>>>,
    filters: Answer<Vec<Vec<Insn>>>,
    flags: Answer<u64>,
    filtered: bool,
    status: &'static [(&'static str, &'static str)],
    attached: Cell<bool>,
    detached_with: Cell<Option<i32>>,
}

const EVENT_STOP: i32 = libc::SIGTRAP | 128 << 8;

fn fake() -> Fake {
    Fake {
        seize: Ok(()),
        interrupt: Ok(()),
        stops: RefCell::new(vec![Ok(Some(EVENT_STOP)), Ok(None)]),
        filters: Ok(vec![answer(Action::Allow), answer(Action::Errno(1))]),
        flags: Ok(0),
        filtered: false,
        status: &[],
        attached: Cell::new(false),
        detached_with: Cell::new(None),
    }
}

fn answer(action: Action) -> Vec<Insn> {
    vec![Insn::stmt(opcode::RET_K, action.to_raw())]
}

impl Tracer for Fake {
    fn seize(&self, _: u32) -> Answer<()> {
        self.attached.set(self.seize.is_ok());
        self.seize
    }

    fn interrupt(&self, _: u32) -> Answer<()> {
        self.interrupt
    }

    fn stopped(&self, _: u32) -> Answer<Option<i32>> {
        self.stops.borrow_mut().pop().unwrap_or(Ok(None))
    }

    fn detach(&self, _: u32, signal: i32) -> Answer<()> {
        self.detached_with.set(Some(signal));
        Ok(())
    }

    fn filter(&self, _: u32, index: usize) -> Answer<Vec<Insn>> {
        self.filters.clone()?.get(index).cloned().ok_or(libc::ENOENT)
    }

    fn filter_flags(&self, _: u32, _: usize) -> Answer<u64> {
        self.flags
    }

    fn call_arch(&self, _: u32) -> Answer<u32> {
        Err(libc::EIO)
    }

    fn is_filtered(&self) -> bool {
        self.filtered
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn status_field(&self, _: u32, name: &str) -> Option<String> {
        self.status.iter().find(|(field, _)| *field == name).map(|(_, value)| (*value).to_owned())
    }
}

/// Reads, and checks that a thread that was attached to was let go.
fn read_from(fake: &Fake) -> Result<Vec<ReadBack>, ReadBackError> {
    let result = read(fake, 7);
    assert_eq!(fake.attached.get(), fake.detached_with.get().is_some());
    result
}

#[test]
fn all_filters_the_oldest_first() {
    let filters = read_from(&fake()).unwrap();
    let answers: Vec<_> = filters.iter().map(|filter| filter.program().as_insns()[0].k).collect();
    assert_eq!(answers, [Action::Allow.to_raw(), Action::Errno(1).to_raw()]);
    assert_eq!(filters[0].logs(), Some(false));
    let logging = read_from(&Fake { flags: Ok(2), ..fake() }).unwrap();
    assert_eq!(logging[1].logs(), Some(true));
    let old = read_from(&Fake { flags: Err(libc::EIO), ..fake() }).unwrap();
    assert_eq!(old[0].logs(), None);
}

#[test]
fn kernels_without_checkpoint_restore() {
    let error = read_from(&Fake { filters: Err(libc::EINVAL), ..fake() }).unwrap_err();
    assert_eq!(error, ReadBackError::NoCheckpointRestore { pid: 7 });
    assert!(error.to_string().contains("CONFIG_CHECKPOINT_RESTORE"));
}

#[test]
fn missing_rights_are_named() {
    let denied = || Fake { filters: Err(libc::EACCES), ..fake() };
    assert_eq!(read_from(&denied()), Err(ReadBackError::MissingCapability));
    assert_eq!(read_from(&Fake { filtered: true, ..denied() }), Err(ReadBackError::TracerFiltered));
    let seized = read_from(&Fake { seize: Err(libc::EPERM), status: &[("TracerPid", "12")], ..fake() }).unwrap_err();
    assert!(matches!(seized, ReadBackError::AttachRefused { traced_by: Some(12), .. }));
    let foreign = read_from(&Fake { seize: Err(libc::EPERM), status: &[("TracerPid", "0")], ..fake() }).unwrap_err();
    assert!(matches!(foreign, ReadBackError::AttachRefused { traced_by: None, .. }));
    for (error, word) in [(seized, "process 12"), (foreign, "CAP_SYS_PTRACE")] {
        assert!(error.to_string().contains(word), "{error}");
    }
    for yama in [1, 2] {
        let error = ReadBackError::AttachRefused { pid: 7, traced_by: None, yama: Some(yama) };
        assert!(error.to_string().contains(&format!("ptrace_scope is {yama}")), "{error}");
    }
    let never = ReadBackError::AttachRefused { pid: 7, traced_by: None, yama: Some(3) };
    assert!(never.to_string().contains("until the next boot"), "{never}");
}

#[test]
fn a_process_may_end_at_any_time() {
    let gone = Err(ReadBackError::NoProcess { pid: 7 });
    assert_eq!(read_from(&Fake { seize: Err(libc::ESRCH), ..fake() }), gone);
    assert_eq!(read_from(&Fake { seize: Err(libc::EPERM), status: &[("State", "Z (zombie)")], ..fake() }), gone);
    assert_eq!(read_from(&Fake { interrupt: Err(libc::ESRCH), ..fake() }), gone);
    assert_eq!(read_from(&Fake { stops: RefCell::new(vec![Err(libc::ECHILD)]), ..fake() }), gone);
    assert_eq!(read_from(&Fake { filters: Err(libc::ESRCH), ..fake() }), gone);
}

#[test]
fn a_signal_that_came_in_between_is_handed_on() {
    let signalled = Fake { stops: RefCell::new(vec![Ok(Some(libc::SIGUSR1))]), ..fake() };
    assert!(read_from(&signalled).is_ok());
    assert_eq!(signalled.detached_with.get(), Some(libc::SIGUSR1));
    let stopped = Fake { stops: RefCell::new(vec![Ok(Some(libc::SIGSTOP | 128 << 8))]), ..fake() };
    assert!(read_from(&stopped).is_ok());
    assert_eq!(stopped.detached_with.get(), Some(0));
}

#[test]
fn a_thread_that_does_not_stop_is_let_go() {
    let error = read_from(&Fake { stops: RefCell::new(Vec::new()), ..fake() }).unwrap_err();
    assert_eq!(error, ReadBackError::NotStopped { pid: 7, seconds: 0 });
}

#[test]
fn filters_of_a_younger_kernel() {
    let odd = vec![Insn::stmt(0xffff, 0)];
    let error = read_from(&Fake { filters: Ok(vec![answer(Action::Allow), odd]), ..fake() }).unwrap_err();
    assert!(matches!(error, ReadBackError::Invalid { index: 1, .. }), "{error}");
}

#[test]
fn processes_that_cannot_be_read() {
    for pid in [0, u32::MAX] {
        assert_eq!(filters_of(pid), Err(ReadBackError::NoProcess { pid }));
        assert_eq!(pending_call(pid), Err(ReadBackError::NoProcess { pid }));
    }
    assert_eq!(pending_call(std::process::id()), Err(ReadBackError::OwnProcess));
}
