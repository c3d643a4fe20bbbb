//! Filters read back from living processes.
#![cfg(all(target_os = "linux", feature = "std"))]
#![allow(unsafe_code)] // A test needs fork, signals and changes of user.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail as tests do.

mod common;

use callsieve::arch::Arch;
use callsieve::bpf::{Action, Insn, Program, opcode};
use callsieve::kernel::{Install, ReadBack, ReadBackError, filters_of, pending_call, status_of, strict_mode};
use common::{child_passes, fork_with, kernel_has_filters, number, only, program, skip};
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

/// A child that does something, says so, and then waits to be killed.
struct Subject(u32);

impl Subject {
    fn start(prepare: impl FnOnce()) -> Self {
        Self::start_telling(|_| prepare()).0
    }

    /// Also hands over a number that the child told.
    fn start_telling(prepare: impl FnOnce(&mut u32)) -> (Self, u32) {
        let mut ends = [0; 2];
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        let [mut reader, mut writer] = ends.map(|end| unsafe { std::fs::File::from_raw_fd(end) });
        let pid = fork_with(|| {
            let mut told = 0_u32;
            prepare(&mut told);
            writer.write_all(&told.to_ne_bytes()).expect("a pipe");
            wait_for_ever();
        });
        let mut told = [0; 4];
        drop(writer);
        reader.read_exact(&mut told).expect("a child that is ready");
        (Self(u32::try_from(pid).unwrap()), u32::from_ne_bytes(told))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0).unwrap();
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
    }
}

/// By read(2), which strict mode allows as well: nobody writes.
fn wait_for_ever() {
    let mut ends = [0; 2];
    unsafe { libc::pipe(ends.as_mut_ptr()) };
    loop {
        unsafe { libc::read(ends[0], [0_u8; 1].as_mut_ptr().cast(), 1) };
    }
}

/// Whether filters of others can be read here; if not, the test is skipped.
fn can_read(test: &str) -> bool {
    if !kernel_has_filters(test) {
        return false;
    }
    if unsafe { libc::geteuid() } != 0 {
        skip(test, "reading filters needs root");
        return false;
    }
    let subject = Subject::start(|| install(&common::always(Action::Allow)));
    match filters_of(subject.0) {
        Ok(_) => true,
        // Containers are mostly filtered and have no CAP_SYS_ADMIN.
        Err(error @ (ReadBackError::MissingCapability | ReadBackError::TracerFiltered)) => {
            skip(test, &error.to_string());
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// Three filters, of which the second logs and the third has values in fields that nobody reads.
fn stack() -> [Program; 3] {
    let odd = program(&[
        Insn::new(opcode::LD_W_ABS, 7, 9, 0),
        Insn::new(opcode::TAX, 1, 2, 0xdead),
        Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
    ]);
    [common::always(Action::Allow), only(libc::SYS_getppid, Action::Errno(7).to_raw()), odd]
}

fn install(filter: &Program) {
    Install::new().install(filter).expect("a filter");
}

fn install_stack() {
    for (index, filter) in stack().iter().enumerate() {
        Install::new().log(index == 1).install(filter).expect("a filter");
    }
}

#[test]
fn every_filter_comes_back_as_it_was_installed() {
    if !can_read("every_filter_comes_back_as_it_was_installed") {
        return;
    }
    let subject = Subject::start(install_stack);
    let filters = filters_of(subject.0).unwrap();
    let programs: Vec<_> = filters.iter().map(|filter| filter.program().clone()).collect();
    assert_eq!(programs, stack());
    assert_eq!(filters.iter().map(ReadBack::logs).collect::<Vec<_>>(), [Some(false), Some(true), Some(false)]);
    // It was let go: nobody traces it, and it can be read again.
    let status = std::fs::read_to_string(format!("/proc/{}/status", subject.0)).unwrap();
    assert!(status.contains("TracerPid:\t0"), "{status}");
    assert_eq!(filters_of(subject.0).unwrap(), filters);
}

#[test]
fn the_longest_filter() {
    if !can_read("the_longest_filter") {
        return;
    }
    let mut insns = vec![Insn::stmt(opcode::LD_W_ABS, 0); 4095];
    insns.push(Insn::stmt(opcode::RET_K, Action::Allow.to_raw()));
    let longest = program(&insns);
    let subject = Subject::start(|| install(&longest));
    assert_eq!(filters_of(subject.0).unwrap()[0].program(), &longest);
}

#[test]
fn a_thread_has_filters_of_its_own() {
    if !can_read("a_thread_has_filters_of_its_own") {
        return;
    }
    let (subject, thread) = Subject::start_telling(|told| {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            install_stack();
            sender.send(common::calls::gettid()).unwrap();
            wait_for_ever();
        });
        *told = receiver.recv().unwrap();
    });
    assert_eq!(filters_of(subject.0).unwrap(), []);
    assert_eq!(filters_of(thread).unwrap().len(), 3);
}

#[test]
fn a_process_without_filters_needs_no_rights() {
    let subject = Subject::start(|| ());
    assert_eq!(filters_of(subject.0).unwrap(), []);
}

#[test]
fn a_stopped_process_stays_stopped() {
    if !can_read("a_stopped_process_stays_stopped") {
        return;
    }
    let subject = Subject::start(install_stack);
    let pid = i32::try_from(subject.0).unwrap();
    let mut status = 0;
    unsafe {
        libc::kill(pid, libc::SIGSTOP);
        libc::waitpid(pid, &raw mut status, libc::WUNTRACED);
    }
    assert!(libc::WIFSTOPPED(status));
    assert_eq!(filters_of(subject.0).unwrap().len(), 3);
    // The state may be that of waking up to stop again for a moment.
    let stopped = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ");
    assert!((0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        stopped()
    }));
}

#[test]
fn the_pending_call_with_its_abi() {
    if !can_read("the_pending_call_with_its_abi") {
        return;
    }
    let subject = Subject::start(|| ());
    // It may take a moment until it is back in its call.
    let call = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        pending_call(subject.0).unwrap()
    });
    let call = call.expect("a child that waits in read");
    assert_eq!(call.nr, number(libc::SYS_read));
    assert_eq!(call.args[2], 1);
    assert_eq!(Some(call.arch), Arch::NATIVE.map(Arch::audit));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_pending_call_of_another_abi() {
    if !can_read("the_pending_call_of_another_abi") {
        return;
    }
    // pause(2) as i386 has it.
    let pause = Arch::X86.number("pause").unwrap();
    let pid = fork_with(|| {
        common::calls::i386(pause, [0; 6]);
    });
    let subject = Subject(u32::try_from(pid).unwrap());
    let call = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        pending_call(subject.0).unwrap().filter(|call| call.nr == pause)
    });
    match call {
        Some(call) => assert_eq!(call.arch, Arch::X86.audit()),
        None => skip("the_pending_call_of_another_abi", "the kernel has no i386 calls"),
    }
}

#[test]
fn what_stands_in_the_way_is_said() {
    if !can_read("what_stands_in_the_way_is_said") {
        return;
    }
    let subject = Subject::start(install_stack);
    let pid = subject.0;
    // Filtered itself.
    child_passes(|checks| {
        install(&common::always(Action::Allow));
        checks.that(filters_of(pid) == Err(ReadBackError::TracerFiltered));
    });
    // Another user.
    child_passes(|checks| {
        become_nobody();
        checks.that(matches!(filters_of(pid), Err(ReadBackError::AttachRefused { traced_by: None, .. })));
        checks.that(status_of(pid).is_ok());
    });
    // The same user, but no CAP_SYS_ADMIN.
    let own = Subject::start(|| {
        become_nobody();
        install_stack();
    });
    child_passes(|checks| {
        become_nobody();
        // Where Yama restricts tracing, not even attaching is allowed.
        checks.that(matches!(
            filters_of(own.0),
            Err(ReadBackError::MissingCapability | ReadBackError::AttachRefused { yama: Some(1..), .. })
        ));
    });
    // Traced by somebody else.
    let tracer = Subject::start(|| {
        let no = std::ptr::null_mut::<libc::c_void>();
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid.cast_signed(), no, no) }, 0);
    });
    match filters_of(pid) {
        Err(ReadBackError::AttachRefused { traced_by: Some(other), .. }) => assert_eq!(other, tracer.0),
        other => panic!("{other:?}"),
    }
}

fn become_nobody() {
    unsafe {
        assert_eq!(libc::setgid(65534), 0);
        assert_eq!(libc::setuid(65534), 0);
        // A change of user makes a process untraceable.
        assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    }
}

#[test]
fn strict_mode_has_no_filter() {
    if !kernel_has_filters("strict_mode_has_no_filter") {
        return;
    }
    // Strict mode forbids pipe(2), so this one waits by itself.
    let mut ends = [0; 2];
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let [ready, to_parent] = ends;
    let pid = fork_with(|| {
        strict_mode().expect("strict mode");
        unsafe {
            libc::write(to_parent, [1_u8; 1].as_ptr().cast(), 1);
            loop {
                libc::read(ready, [0_u8; 1].as_mut_ptr().cast(), 1);
            }
        }
    });
    let subject = Subject(u32::try_from(pid).unwrap());
    // The child takes the byte itself; its status tells.
    let strict = (0..400).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        filters_of(subject.0) == Err(ReadBackError::StrictMode { pid: subject.0 })
    });
    assert!(strict);
}

#[test]
fn a_process_that_is_gone() {
    let subject = Subject::start(|| ());
    let pid = subject.0;
    unsafe { libc::kill(i32::try_from(pid).unwrap(), libc::SIGKILL) };
    let gone = Err(ReadBackError::NoProcess { pid });
    // A zombie first, then nothing.
    assert!((0..400).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        filters_of(pid) == gone
    }));
    drop(subject);
    assert_eq!(filters_of(pid), gone);
}

#[test]
fn not_even_root_reads_itself() {
    if !kernel_has_filters("not_even_root_reads_itself") {
        return;
    }
    child_passes(|checks| {
        install(&common::always(Action::Allow));
        checks.that(filters_of(std::process::id()) == Err(ReadBackError::OwnProcess));
    });
}
