//! What an operation may come to when one of its calls has failed.

use super::common::{End, skip};
use super::errnos;
use super::inject::{Point, Run, run};
use super::stage::{Said, Stage};
use std::collections::BTreeSet;

/// An operation of the kernel floor.
pub struct Operation {
    pub name: &'static str,
    pub run: fn(&Stage) -> Said,
    /// What is documented to come of some failures. Everything else is an error with the error number of the call, and
    /// nothing has changed.
    pub rules: &'static [&'static [Rule]],
    /// What may have changed after an error, as it is documented.
    pub kept: &'static [&'static str],
}

/// What comes of a failure of a call; if several rules fit, any of them.
pub struct Rule {
    call: i64,
    request: u64,
    errno: i32,
    gives: Gives,
}

/// A rule for a call and an error; 0 is any error.
pub const fn on(call: i64, errno: i32, gives: Gives) -> Rule {
    Rule { call, request: 0, errno, gives }
}

/// The same for one request of ioctl(2) or ptrace(2).
pub const fn of(call: i64, request: u64, errno: i32, gives: Gives) -> Rule {
    Rule { call, request, errno, gives }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Gives {
    /// The operation does without, or tries again.
    Same,
    /// It does without, and this of the state stays as it is in the middle.
    Stays(&'static str),
    /// It succeeds, and what it says begins so.
    Success(&'static str),
    /// An error with another number.
    Number(i32),
    /// An error without a number, whose words begin so.
    Error(&'static str),
    /// The same, and it is documented that a filter may have been installed all the same.
    ErrorLate(&'static str),
}

/// The answer of seccomp(2) that means that a thread could not be brought along.
pub const THREAD: i64 = 4711;

/// How much was tried.
#[derive(Debug, Default)]
pub struct Count {
    pub operations: usize,
    pub calls: usize,
    pub failures: usize,
    pub missed: usize,
}

/// Whether all is to be tried.
fn whole() -> bool {
    std::env::var_os("CALLSIEVE_FAULTS").is_some()
}

/// How often one kind of call is made to fail in a short run, and in a whole one.
const OFTEN: [usize; 2] = [1, 4];

/// Makes every call of an operation fail in every way, or some of them in a short run.
fn judge(operation: &Operation, count: &mut Count, used: &mut BTreeSet<*const Rule>, complaints: &mut Vec<String>) {
    let whole = whole();
    let begin = std::time::Instant::now();
    let plain = run(operation.run, None);
    let Some(expected) = plain.text.lines().next().and_then(|line| line.strip_prefix("ok\t")).map(String::from) else {
        complaints.push(format!("{} fails by itself: {plain:?}", operation.name));
        return;
    };
    let changes: BTreeSet<String> = plain.text.lines().skip(1).map(String::from).collect();
    let faults = faults(operation, &plain, whole, complaints);
    let mut reached = 0;
    for &(point, answer) in &faults {
        // What threads and processes do meanwhile is not the same each time.
        let Some(result) = (0..3).map(|_| run(operation.run, Some((point, answer)))).find(|result| result.reached)
        else {
            count.missed += 1;
            continue;
        };
        reached += 1;
        if let Err(why) = verdict(operation, point, answer, &result, &expected, &changes, used) {
            let call = format!("{} {:#x} no. {}", errnos::name(point.nr), point.request, point.occurrence);
            let text = result.text.trim_end().replace('\n', " | ");
            complaints
                .push(format!("{}: {call} of task {} answers {answer}: {why}: {text}", operation.name, point.task));
        }
    }
    if reached == 0 || reached * 10 < faults.len() * 9 {
        complaints.push(format!("{}: {reached} of {} failures could be had", operation.name, faults.len()));
    }
    count.operations += 1;
    count.calls += plain.calls.len();
    count.failures += reached;
    println!("{}: {} calls, {reached} failures, {} ms", operation.name, plain.calls.len(), begin.elapsed().as_millis());
}

/// The failures to try.
fn faults(operation: &Operation, plain: &Run, whole: bool, complaints: &mut Vec<String>) -> Vec<(Point, i64)> {
    let mut faults = Vec::new();
    for (index, (point, natural)) in plain.calls.iter().enumerate() {
        // How often somebody looks whether something has happened is not the same each time.
        let polled = matches!(point.nr, libc::SYS_waitid | libc::SYS_nanosleep | libc::SYS_clock_nanosleep);
        if point.occurrence >= OFTEN[usize::from(whole && !polled)] {
            continue;
        }
        let Some(errnos) = errnos::of(point.nr, point.request) else {
            let call = errnos::name(point.nr);
            complaints.push(format!("{}: {call} {:#x} is in no table", operation.name, point.request));
            continue;
        };
        let mut answers: Vec<i64> = errnos.iter().map(|errno| -i64::from(*errno)).collect();
        let mut rules = operation.rules.iter().copied().flatten();
        if rules.any(|rule| i64::from(rule.errno) == -THREAD) && point.nr == libc::SYS_seccomp {
            answers.push(THREAD);
        }
        answers.retain(|answer| Some(*answer) != *natural);
        if !whole && !answers.is_empty() {
            answers = vec![answers[index % answers.len()]];
        }
        faults.extend(answers.into_iter().map(|answer| (*point, answer)));
    }
    faults
}

/// Whether that may be.
fn verdict(
    operation: &Operation,
    point: Point,
    answer: i64,
    result: &Run,
    expected: &str,
    usual: &BTreeSet<String>,
    used: &mut BTreeSet<*const Rule>,
) -> Result<(), String> {
    if result.end != End::Exit(0) {
        return Err(format!("{:?}", result.end));
    }
    if result.left > 0 {
        return Err(format!("{} processes are left", result.left));
    }
    let mut lines = result.text.lines();
    let said = lines.next().unwrap_or_default();
    let changed: BTreeSet<String> = lines.map(String::from).collect();
    let errno = i32::try_from(-answer).unwrap_or_default();
    let (mut fits, mut late, mut stays) = (false, false, None);
    for rule in operation.rules.iter().copied().flatten() {
        let meant = rule.call == point.nr
            && (rule.request == 0 || rule.request == point.request)
            && (rule.errno == 0 || rule.errno == errno);
        let holds = match rule.gives {
            Gives::Same | Gives::Stays(_) => said == format!("ok\t{expected}"),
            Gives::Success(words) => said.starts_with(&format!("ok\t{words}")),
            Gives::Number(errno) => said.starts_with(&format!("err\t{errno}\t")),
            Gives::Error(words) | Gives::ErrorLate(words) => said.starts_with(&format!("err\t0\t{words}")),
        };
        if meant && holds {
            used.insert(rule);
            fits = true;
            late |= matches!(rule.gives, Gives::ErrorLate(_));
            if let Gives::Stays(key) = rule.gives {
                stays = Some(key);
            }
        }
    }
    let retried = errno == libc::EINTR || point.nr == libc::SYS_close;
    fits |= retried && said == format!("ok\t{expected}");
    fits |= said.starts_with(&format!("err\t{errno}\t"));
    if !fits {
        return Err("not that".into());
    }
    let failed = said.starts_with("err\t");
    let kept = |line: &String| operation.kept.iter().any(|key| line.starts_with(&format!("{key}:")));
    match failed {
        true if late || changed.iter().all(kept) => Ok(()),
        false if changed == *usual => Ok(()),
        false if stays.is_some_and(|key| changed.iter().all(|line| line.starts_with(&format!("{key}:")))) => Ok(()),
        _ => Err("something has changed".into()),
    }
}

/// Judges operations; `least` is how many failures there must be at the least, so that nothing is tried is seen.
pub fn judge_all(test: &str, operations: &[Operation], least: usize) {
    if !super::common::kernel_has_filters(test) {
        return;
    }
    if !can_trace() {
        skip(test, "ptrace(2) is not allowed here");
        return;
    }
    let (mut count, mut complaints, mut used) = (Count::default(), Vec::new(), BTreeSet::new());
    let begin = std::time::Instant::now();
    for operation in operations {
        judge(operation, &mut count, &mut used, &mut complaints);
    }
    if whole() {
        for rule in operations.iter().flat_map(|operation| operation.rules).copied().flatten() {
            if !used.contains(&std::ptr::from_ref(rule)) {
                let (call, errno) = (errnos::name(rule.call), rule.errno);
                complaints.push(format!("nothing needs the rule of {call} {:#x} and {errno}", rule.request));
            }
        }
    }
    println!("{test}: {count:?} in {} ms", begin.elapsed().as_millis());
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
    assert!(count.failures >= least && count.operations == operations.len(), "{count:?}, at least {least} failures");
}

/// Whether a child may be traced and its calls be answered.
fn can_trace() -> bool {
    super::common::fork(|| {
        let answer = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        unsafe { libc::_exit(i32::from(answer != 0)) };
    }) == End::Exit(0)
}
