//! A supervisor under stress: processes and threads that ask it many things at once, some of which are killed at random
//! moments, while signals interrupt them and the supervisor.
//!
//! Nobody hangs, every answer is the one to its question, no descriptor is left, and the counts add up. `CALLSIEVE_SEED=N`
//! makes other moments, `CALLSIEVE_STRESS=N` N times as many calls.

#![cfg(all(target_os = "linux", feature = "std"))]
#![allow(unsafe_code)] // Raw calls.
#![allow(clippy::unwrap_used, clippy::panic)] // A test.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)] // Answers and questions.

mod common;

use callsieve::kernel::{AddFd, FilterFlag, Install, Listener, Outcome, Response, flag_available};
use callsieve::supervise::{Call, Counts, Judged, Later, Supervisor, Verdict};
use common::supervision::{Target, ask, handle, supervisor as forked};
use common::{Shared, kernel_has_filters, skip};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

/// Kinds of questions; each has its own answer.
const KINDS: u64 = 6;
const THREADS: u32 = 3;
const STEADY: usize = 4;
const VICTIMS: usize = 3;

/// What targets count.
#[derive(Default)]
#[repr(C)]
struct Tally {
    /// Right answers, by kind.
    right: [AtomicU32; KINDS as usize],
    interrupted: AtomicU32,
    wrong: AtomicU32,
    /// The last question that was answered wrongly, and its answer.
    question: AtomicU32,
    answer: AtomicU32,
}

/// Numbers by chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn number(name: &str) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// What the supervisor says to everybody.
fn judge(call: &Call<'_>) -> Judged {
    let [kind, number, address, ..] = call.args();
    let respond = |response| Ok(Outcome::Done(Verdict::Respond(response)));
    match kind {
        0 => respond(Response::Return(expected(0, number))),
        1 => respond(Response::Errno(1 + (number % 100) as u16)),
        2 => {
            let file = std::fs::File::open("/dev/null").unwrap();
            Ok(Outcome::Done(Verdict::GiveFd(file.into(), AddFd::new().close_on_exec(true))))
        }
        3 => {
            let Outcome::Done(bytes) = call.memory().read_bytes(address, 8)? else { return Ok(Outcome::Gone) };
            let value = u64::from_ne_bytes(bytes.try_into().unwrap());
            respond(Response::Return(expected(3, value)))
        }
        4 => Ok(Outcome::Done(Verdict::Later(Later::new(|call| {
            std::thread::sleep(Duration::from_micros(call.args()[1] % 300));
            Ok(Outcome::Done(Verdict::Respond(Response::Return(expected(4, call.args()[1])))))
        })))),
        _ => panic!("on purpose"),
    }
}

/// What a return value has to be.
fn expected(kind: u64, number: u64) -> i64 {
    (number.wrapping_mul(31).wrapping_add(kind * 7 + 1) & 0x7fff_ffff) as i64
}

/// Asks something, and counts whether the answer is right. Allocates nothing.
fn question(tally: &Tally, chance: &mut Chance) {
    let (kind, number) = (chance.next() % 97 % KINDS, chance.next());
    let answer = ask([kind, number, (&raw const number) as u64, 0, 0, 0]);
    let right = match kind {
        1 => answer == -1 - (number % 100) as i64,
        2 => {
            let fd = answer as i32;
            let given = answer >= 0 && unsafe { libc::fcntl(fd, libc::F_GETFD) } == libc::FD_CLOEXEC;
            given && unsafe { libc::close(fd) } == 0
        }
        5 => answer == -1,
        _ => answer == expected(kind, number),
    };
    if right {
        tally.right[kind as usize].fetch_add(1, SeqCst);
    } else if answer == i64::from(-libc::EINTR) {
        tally.interrupted.fetch_add(1, SeqCst);
    } else {
        tally.question.store(kind as u32, SeqCst);
        tally.answer.store(answer as u32, SeqCst);
        tally.wrong.fetch_add(1, SeqCst);
    }
}

/// A process with threads that asks a number of questions and keeps no descriptor.
fn steady(listener: &Listener, tally: &Tally, seed: u64, calls: u64) -> Target {
    Target::start(listener, || {
        handle(libc::SIGUSR1, true);
        handle(libc::SIGUSR2, false);
        let before = descriptors();
        std::thread::scope(|scope| {
            for thread in 0..u64::from(THREADS) {
                scope.spawn(move || {
                    let mut chance = Chance(seed * 1000 + thread + 1);
                    (0..calls).for_each(|_| question(tally, &mut chance));
                });
            }
        });
        i32::from(descriptors() != before)
    })
}

/// A process that asks for ever, until it is killed.
fn victim(listener: &Listener, tally: &Tally, seed: u64) -> Target {
    Target::start(listener, || {
        let mut chance = Chance(seed);
        loop {
            question(tally, &mut chance);
        }
    })
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Whether a process has ended; it is still to be waited for.
fn has_ended(target: &Target) -> bool {
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        assert_eq!(libc::waitid(libc::P_PID, target.pid as libc::id_t, &raw mut info, options), 0);
        info.si_pid() != 0
    }
}

/// Kills victims and makes new ones, and sends signals to everybody else, until all steady processes have ended. Gives the
/// numbers of both.
fn torment(listener: &Listener, tally: &Tally, steady: &[Target], chance: &mut Chance) -> (u64, u64) {
    let mut victims: Vec<_> = (0..VICTIMS).map(|_| victim(listener, tally, chance.next() | 1)).collect();
    let (mut killed, mut signals) = (0, 0);
    while !steady.iter().all(has_ended) {
        std::thread::sleep(Duration::from_micros(chance.next() % 700));
        let number = chance.next() as usize;
        match chance.next() % 4 {
            0 => {
                victims[number % VICTIMS].kill();
                victims[number % VICTIMS] = victim(listener, tally, chance.next() | 1);
                killed += 1;
            }
            // Its threads, which have no restart for this.
            1 => _ = unsafe { libc::kill(libc::getpid(), libc::SIGUSR2) },
            signal => {
                let signal = if signal == 2 { libc::SIGUSR1 } else { libc::SIGUSR2 };
                unsafe { libc::kill(steady[number % STEADY].pid, signal) };
                signals += 1;
            }
        }
    }
    victims.iter().for_each(Target::kill);
    (killed + VICTIMS as u64, signals)
}

/// What was received came to one end each, and the right answers that targets have seen are the answers that were given, but
/// for those that met a target which was killed or interrupted at that moment.
fn adds_up(counts: &Counts, tally: &Tally, lost: u64) {
    let ends = counts.returned + counts.refused + counts.descriptors + counts.gone + counts.failed;
    assert_eq!((counts.received, counts.continued, counts.killed), (ends, 0, 0), "{counts}");
    let right = |kinds: &[usize]| kinds.iter().map(|&kind| u64::from(tally.right[kind].load(SeqCst))).sum::<u64>();
    for (given, seen) in [
        (counts.returned, right(&[0, 3, 4])),
        (counts.refused, right(&[1])),
        (counts.descriptors, right(&[2])),
        (counts.failed, right(&[5])),
    ] {
        assert!(seen <= given && given <= seen + lost, "{given} given, {seen} seen, at most {lost} lost; {counts}");
    }
    let interrupted = u64::from(tally.interrupted.load(SeqCst));
    assert!(interrupted <= lost && counts.gone <= lost, "{interrupted} interrupted, {counts}, {lost}");
}

fn stress(install: Install, seed: u64, calls: u64) {
    forked(install, |listener| {
        unsafe { libc::alarm(60) };
        handle(libc::SIGUSR2, false);
        std::panic::set_hook(Box::new(|_| {}));
        let before = descriptors();
        // Atomics, for which zero is a value.
        let tally: Shared<Tally> = unsafe { Shared::new() };
        let mut chance = Chance(seed);
        let supervisor = Supervisor::new(judge).threads(4);
        let stopper = supervisor.stopper().unwrap();
        let steady: Vec<_> = (0..STEADY as u64).map(|n| steady(&listener, &tally, seed + n, calls)).collect();
        let (counts, killed, signals) = std::thread::scope(|scope| {
            let run = scope.spawn(|| supervisor.run(&listener).unwrap());
            let (killed, signals) = torment(&listener, &tally, &steady, &mut chance);
            stopper.stop();
            (run.join().unwrap(), killed, signals)
        });
        assert!(steady.iter().all(|target| target.wait() == Ok(0)), "a target has kept a descriptor");
        let (question, answer) = (tally.question.load(SeqCst), tally.answer.load(SeqCst).cast_signed());
        assert_eq!(tally.wrong.load(SeqCst), 0, "question {question} was answered {answer}, {counts}");
        // A signal may meet each thread of its process at once, though it is for one.
        adds_up(&counts, &tally, killed + signals);
        let all = u64::from(THREADS) * STEADY as u64 * calls;
        assert!(counts.received >= all && killed > VICTIMS as u64 && signals > 0, "{counts}, {killed}, {signals}");
        drop((stopper, supervisor));
        assert_eq!(descriptors(), before);
        println!("{counts}; {killed} targets killed, {signals} signals");
    });
}

#[test]
fn many_targets_at_once() {
    if !kernel_has_filters("many_targets_at_once") {
        return;
    }
    let (seed, calls) = (number("CALLSIEVE_SEED"), 400 * number("CALLSIEVE_STRESS"));
    stress(Install::new(), seed, calls);
    if flag_available(FilterFlag::WaitKillableRecv) {
        stress(Install::new().wait_killable(true), seed + 100, calls);
    } else {
        skip("many_targets_at_once", "the kernel is older than 5.19");
    }
}
