//! Programs that are recorded. Most of them are this test binary itself, started with [`PART`] in its environment.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)] // A test.
#![allow(unsafe_code)] // Raw calls.

mod common;

use callsieve::arch::{Arch, KernelVersion};
use callsieve::bpf::{Action, SyscallData};
use callsieve::kernel::{FilterFlag, NotifyFeature, Stream, Supervised, WaitError, flag_available, host};
use callsieve::policy::Target;
use callsieve::profile::{Format, Profile};
use callsieve::record::{Arguments, Note, Progress, RecordError, Recorder, Recording, Refine, Run};
use common::{calls, kernel_has_filters, number, skip};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Which part this binary plays when it is recorded.
const PART: &str = "CALLSIEVE_RECORD_PART";

const THREADS: u64 = 8;
const CALLS: u64 = 100_000;

/// No test: the program that the others record.
#[test]
fn the_recorded_program() {
    match std::env::var(PART).as_deref() {
        Ok("threads") => call_from_threads(),
        Ok("timer") => {
            start_timer();
            call_from_threads();
        }
        Ok("abis") => call_on_every_abi(),
        Ok("chance") => call_by_chance(),
        Ok("arguments") => call_with_arguments(),
        Ok("filter") => install_a_filter(),
        _ => {}
    }
}

/// The counted call is one that nothing else in this process makes.
fn call_from_threads() {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..CALLS / THREADS {
                    calls::getppid();
                }
            });
        }
    });
}

/// A signal every millisecond, with a handler.
fn start_timer() {
    common::supervision::handle(libc::SIGALRM, true);
    let every = libc::timeval { tv_sec: 0, tv_usec: 1000 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) }, 0);
}

fn call_on_every_abi() {
    #[cfg(target_arch = "x86_64")]
    for _ in 0..100 {
        // getppid of i386, and of x32, which few kernels carry out.
        calls::i386(64, [0; 6]);
        calls::native(Arch::X32_BIT | number(libc::SYS_getppid), [0; 6]);
    }
}

/// Another call in each of the first runs.
fn call_by_chance() {
    static NUMBERS: [libc::c_long; 3] = [libc::SYS_getpgid, libc::SYS_getsid, libc::SYS_getpriority];
    let round: usize = std::env::var("ROUND").unwrap().parse().unwrap();
    for _ in 0..1000 {
        calls::getppid();
    }
    if let Some(&nr) = NUMBERS.get(round) {
        calls::native(number(nr), [0; 6]);
    }
}

fn call_with_arguments() {
    let kind: u64 = std::env::var("ROUND").unwrap().parse().unwrap();
    // Nothing of this works; what counts is what is asked.
    for _ in 0..10 {
        calls::native(number(libc::SYS_personality), [0xffff_ffff, 0, 0, 0, 0, 0]);
        calls::native(number(libc::SYS_socket), [9999, kind, 77, 0, 0, 0]);
    }
}

fn install_a_filter() {
    const NEW_LISTENER: u32 = 8;
    let allow = [callsieve::bpf::Insn::stmt(callsieve::bpf::opcode::RET_K, Action::Allow.to_raw())];
    assert_eq!(calls::seccomp_set_filter(0, &allow), 0);
    assert_eq!(calls::seccomp_set_filter(NEW_LISTENER, &allow), -i64::from(libc::EBUSY));
}

fn quiet(program: &str) -> Supervised {
    Supervised::new(program).stdin(Stream::Null).stdout(Stream::Null)
}

fn part(name: &str) -> Supervised {
    let program = std::env::current_exe().unwrap();
    Supervised::new(program)
        .args(["--exact", "the_recorded_program"])
        .env(PART, name)
        .env_remove("CALLSIEVE_SKIPS")
        .stdin(Stream::Null)
        .stdout(Stream::Null)
}

fn record(command: Supervised) -> (Run, Recording) {
    let mut recording = Recording::new();
    let run = Recorder::new().record(command, &mut recording).unwrap();
    assert!(run.status().success(), "{run:?}");
    (run, recording)
}

/// How often a call was made on this machine's own ABI.
fn count(recording: &Recording, name: &str) -> u64 {
    count_on(recording, Arch::NATIVE.unwrap(), name)
}

fn count_on(recording: &Recording, arch: Arch, name: &str) -> u64 {
    recording.calls().find(|call| call.arch() == arch && call.name() == Some(name)).map_or(0, |call| call.count())
}

#[test]
fn a_program_from_its_execve_to_its_end() {
    if !kernel_has_filters("a_program_from_its_execve_to_its_end") {
        return;
    }
    let (run, mut recording) = record(quiet("true"));
    assert_eq!(count(&recording, "execve"), 1);
    assert_eq!((run.counted(), run.interrupted()), (recording.total(), 0));
    assert_eq!(run.asked(), run.counted());
    assert!(recording.calls().count() > 5);
    // Everything is new at first, and nothing the second time: then no call is asked about.
    assert_eq!(run.new_calls().first().map(|new| new.call.nr), Some(number(libc::SYS_execve)));
    let before = recording.clone();
    let again = Recorder::new().record_unknown(quiet("true"), &mut recording).unwrap();
    assert_eq!((again.asked(), again.counted(), again.new_calls()), (0, 0, &[][..]));
    assert_eq!(recording, before);
}

/// A script is started by the shell, after execve has failed once; the calls of our own child do not count.
#[test]
fn counting_begins_with_the_program() {
    use std::os::unix::fs::PermissionsExt as _;
    if !kernel_has_filters("counting_begins_with_the_program") {
        return;
    }
    let script = std::env::temp_dir().join(format!("callsieve-record-script-{}", std::process::id()));
    std::fs::write(&script, "exit 0\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (_, recording) = record(Supervised::new(&script));
    std::fs::remove_file(&script).unwrap();
    assert_eq!(count(&recording, "execve"), 1);
    // All that a program starts belongs to it.
    let (_, recording) = record(quiet("sh").args(["-c", "true; /bin/true; (/bin/true)"]));
    assert_eq!(count(&recording, "execve"), 3);
}

#[test]
fn every_call_of_many_threads_is_counted() {
    if !kernel_has_filters("every_call_of_many_threads_is_counted") {
        return;
    }
    let (run, recording) = record(part("threads"));
    assert_eq!(count(&recording, "getppid"), CALLS);
    assert_eq!((run.interrupted(), recording.interrupted()), (0, 0));
}

#[test]
fn signals_do_not_count_calls_twice_unseen() {
    if !kernel_has_filters("signals_do_not_count_calls_twice_unseen") {
        return;
    }
    let (run, recording) = record(part("timer"));
    let counted = count(&recording, "getppid");
    // Those that went away are not in the count, and came again.
    assert!(counted >= CALLS, "{counted}");
    if host().unwrap().kernel() < KernelVersion::new(6, 18) {
        skip("signals_do_not_count_calls_twice_unseen", "the kernel may let a call come twice");
        return;
    }
    assert!(counted - CALLS <= run.interrupted(), "{counted}, {} interrupted", run.interrupted());
    if flag_available(FilterFlag::WaitKillableRecv) {
        assert_eq!(run.interrupted(), 0);
    }
}

#[test]
fn calls_of_other_abis_are_counted_there() {
    if !kernel_has_filters("calls_of_other_abis_are_counted_there") {
        return;
    }
    if !calls::has_i386() {
        skip("calls_of_other_abis_are_counted_there", "the kernel does not take calls of this ABI");
        return;
    }
    let (_, mut recording) = record(part("abis"));
    assert_eq!(count_on(&recording, Arch::X86, "getppid"), 100);
    assert_eq!(count_on(&recording, Arch::X32, "getppid"), 100);
    assert_eq!(count_on(&recording, Arch::X86_64, "getppid"), 0);
    let text = Recorder::new().draft(&recording).unwrap().profile().to_json().unwrap();
    let policy = Profile::from_json(&text, Format::Oci).unwrap().resolve(&Target::new(Arch::X86_64)).unwrap();
    assert_eq!(policy.arches().collect::<Vec<_>>(), [Arch::X86_64, Arch::X86, Arch::X32]);
    // Known on every ABI where they were seen.
    let again = Recorder::new().record_unknown(part("abis"), &mut recording).unwrap();
    assert_eq!(again.new_calls(), []);
    // A recording of the same program on one ABI alone knows nothing of the others.
    let mut native = Recording::new();
    for call in recording.calls().filter(|call| call.arch() == Arch::X86_64) {
        native.add(&SyscallData { nr: call.number(), arch: call.arch().audit(), ..SyscallData::default() });
    }
    let found = Recorder::new().record_unknown(part("abis"), &mut native).unwrap();
    assert_eq!((found.asked(), found.new_calls().len()), (200, 2));
}

#[test]
fn refining_asks_only_about_what_is_unknown() {
    if !kernel_has_filters("refining_asks_only_about_what_is_unknown") {
        return;
    }
    let command = |round: usize| part("chance").env("ROUND", round.to_string());
    let (first, mut recording) = record(command(0));
    assert_eq!(count(&recording, "getppid"), 1000);
    assert!(first.counted() > 1000);
    let mut asked = Vec::new();
    let mut round = 0;
    let next = || {
        round += 1;
        command(round)
    };
    let settled = Recorder::new()
        .refine(next, Refine::new().quiet(2).most(9), &mut recording, |run| {
            asked.push((run.asked(), run.new_calls().len()));
        })
        .unwrap();
    // Two runs with something new, and two without. The thousand known calls of each cost nothing.
    assert!(settled);
    assert_eq!(asked, [(1, 1), (1, 1), (0, 0), (0, 0)]);
    assert_eq!(count(&recording, "getppid"), 1000);
    assert_eq!((count(&recording, "getsid"), count(&recording, "getpriority")), (1, 1));
    let mut runs = 0;
    let unsettled = Recorder::new().refine(|| command(9), Refine::new().most(2), &mut recording, |_| runs += 1);
    assert!(!unsettled.unwrap() && runs == 2);
}

#[test]
fn arguments_are_known_or_unknown_too() {
    if !kernel_has_filters("arguments_are_known_or_unknown_too") {
        return;
    }
    let command = |round: u32| part("arguments").env("ROUND", round.to_string());
    let (_, recording) = record(command(5));
    let socket = recording.calls().find(|call| call.name() == Some("socket")).unwrap();
    assert_eq!(socket.values().collect::<Vec<_>>(), [(&[9999, 5, 77][..], 10)]);
    for (arguments, expected) in [(Arguments::None, 0), (Arguments::Sets, 10), (Arguments::Exact, 10)] {
        let recorder = Recorder::new().arguments(arguments);
        let (mut same, mut other) = (recording.clone(), recording.clone());
        assert_eq!(recorder.record_unknown(command(5), &mut same).unwrap().asked(), 0, "{arguments:?}");
        let run = recorder.record_unknown(command(6), &mut other).unwrap();
        assert_eq!((run.asked(), run.new_calls().len()), (expected, usize::from(expected > 0)), "{arguments:?}");
    }
}

/// What the profile of a base allows is not asked about, and what it denies is denied.
#[test]
fn a_base_is_what_is_known() {
    if !kernel_has_filters("a_base_is_what_is_known") {
        return;
    }
    let base = Profile::container_default().unwrap().rule(Action::Errno(38), "getppid", []);
    let native = Arch::NATIVE.unwrap();
    let recorder = Recorder::new().base(base, Target::new(native));
    let mut recording = Recording::new();
    let run = recorder.record(quiet("true"), &mut recording).unwrap();
    assert!(run.status().success());
    assert_eq!((run.asked(), recording.is_empty()), (0, true));
    let run = recorder.record(part("abis"), &mut recording).unwrap();
    assert!(run.status().success() && run.asked() <= 200);
}

#[test]
fn filters_of_the_program_are_noted() {
    if !kernel_has_filters("filters_of_the_program_are_noted") {
        return;
    }
    let (_, recording) = record(part("filter"));
    assert_eq!(recording.notes().collect::<Vec<_>>(), [&Note::OwnFilter, &Note::OwnListener]);
}

/// Set-user-id programs run, without their privileges.
#[test]
fn set_user_id_is_noted() {
    use std::os::unix::fs::PermissionsExt as _;
    if !kernel_has_filters("set_user_id_is_noted") {
        return;
    }
    let file = std::env::temp_dir().join(format!("callsieve-record-setuid-{}", std::process::id()));
    std::fs::copy("/bin/true", &file).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let (_, recording) = record(Supervised::new(&file));
    let path = file.to_str().unwrap().to_owned();
    assert_eq!(recording.notes().collect::<Vec<_>>(), [&Note::SetUid { path: path.clone() }]);
    // By a relative path, from another folder.
    let name = file.file_name().unwrap().to_str().unwrap();
    let (_, recording) = record(quiet("sh").args(["-c", &format!("./{name}")]).current_dir(file.parent().unwrap()));
    assert_eq!(recording.notes().collect::<Vec<_>>(), [&Note::SetUid { path: format!("./{name}") }]);
    std::fs::remove_file(&file).unwrap();
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

#[test]
fn a_program_that_cannot_be_executed() {
    if !kernel_has_filters("a_program_that_cannot_be_executed") {
        return;
    }
    let mut recording = Recording::new();
    let error = Recorder::new().record(Supervised::new("/does/not/exist"), &mut recording).unwrap_err();
    assert!(matches!(error, RecordError::Wait(WaitError::ExecFailed(_))), "{error}");
    assert!(recording.is_empty());
}

/// A program that is killed at any moment leaves the recorder with what was seen.
#[test]
fn targets_that_are_killed() {
    if !kernel_has_filters("targets_that_are_killed") {
        return;
    }
    let mut ends: BTreeMap<Option<i32>, u32> = BTreeMap::new();
    for round in 0..40_u32 {
        // Its own child kills it, now earlier and now later.
        let script = format!(
            "(i=0; while [ $i -lt {} ]; do i=$((i+1)); cd /; done; kill -9 $$) & while :; do cd /; done",
            round * 3
        );
        let mut recording = Recording::new();
        let run = Recorder::new().record(quiet("sh").args(["-c", &script]), &mut recording).unwrap();
        *ends.entry(std::os::unix::process::ExitStatusExt::signal(&run.status())).or_default() += 1;
        assert!(count(&recording, "execve") == 1 && count(&recording, "kill") == 1, "{recording:?}");
    }
    assert_eq!(ends, BTreeMap::from([(Some(libc::SIGKILL), 40)]));
}

/// A recorder that goes away leaves programs whose calls fail: nothing of them can be started any more, so they end.
#[test]
fn a_recorder_that_is_killed() {
    if !kernel_has_filters("a_recorder_that_is_killed") {
        return;
    }
    for _ in 0..20 {
        let shared = common::shared_numbers::<1>();
        let (mut lives, writer) = std::io::pipe().unwrap();
        let command = quiet("sh").args(["-c", "while :; do /bin/true; done"]).stdout(Stream::Fd(writer.into()));
        let recorder = common::fork_with(|| {
            let told = |_: &Progress| shared[0].store(1, Ordering::SeqCst);
            let recorder = Recorder::new().progress(Duration::from_millis(1), told);
            let _ = recorder.record(command, &mut Recording::new());
        });
        while shared[0].load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        assert_eq!(unsafe { libc::kill(recorder, libc::SIGKILL) }, 0);
        assert_eq!(unsafe { libc::waitpid(recorder, std::ptr::null_mut(), 0) }, recorder);
        // Until the last of them has ended.
        assert_eq!(lives.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}
