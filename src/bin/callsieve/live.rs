//! `callsieve run --explain`: denied calls are shown while the command runs.
//!
//! The filter asks us wherever the profile denies. We answer as the profile says, and tell why.

use crate::RUN_FAILED;
use crate::outcome::{Failure, complain, pretty, reason};
use crate::values;
use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::check::{Explainer, Explanation, Fate, Holds};
use callsieve::kernel::{Child, IgnoredInterrupts, Listener, Outcome, Response, WaitError};
use callsieve::policy::Policy;
use callsieve::supervise::{Call, Supervisor, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};

/// Answers the calls of a command until it and everything that it has started have ended.
pub struct Live<'a> {
    explainer: &'a Explainer<'a>,
    audit_only: bool,
    denials: Mutex<BTreeMap<Kind, Denial>>,
}

/// Denials of one kind are shown once: the same call with the same answer for the same reason.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    arch: u32,
    nr: u32,
    action: u32,
    why: Vec<String>,
}

/// The first denial of a kind.
struct Denial {
    order: usize,
    count: u64,
    call: String,
    name: String,
    answer: String,
    args: [u64; 6],
    thread: u32,
    command: String,
}

/// No program makes so many different calls; what comes after is counted, but not kept apart.
const MAX_KINDS: usize = 10_000;
/// How much of a path is shown.
const MAX_PATH: usize = 4096;

impl<'a> Live<'a> {
    pub fn new(explainer: &'a Explainer<'a>, audit_only: bool) -> Self {
        if audit_only {
            complain(
                "AUDIT ONLY: nothing is denied; what the profile denies is carried out and reported, so do not run \
                 what you do not trust",
            );
        }
        Self { explainer, audit_only, denials: Mutex::new(BTreeMap::new()) }
    }

    fn policy(&self) -> &Policy {
        self.explainer.policy()
    }

    /// Until nobody has the filter any more. Gives the status of the command, and writes the summary.
    pub fn watch(&self, child: &mut Child, listener: Listener, report: Option<&mut Report>) -> Result<Status, Failure> {
        let supervisor = Supervisor::new(|call| Ok(self.judge(call))).threads(4);
        let interrupts = IgnoredInterrupts::new();
        let run = supervisor.run(&listener);
        // What still runs after a failure gets ENOSYS.
        drop(listener);
        let status = child.wait();
        drop(interrupts);
        if let Err(error) = run {
            complain(&format!("the supervisor failed, denied calls got ENOSYS from then on: {error}"));
        }
        self.sum_up(report)?;
        Ok(status)
    }

    fn judge(&self, call: &Call<'_>) -> Outcome<Verdict> {
        let action = self.policy().decide(call.data());
        self.note(call, action);
        Outcome::Done(match action {
            _ if self.audit_only => Verdict::ContinueUnchecked,
            Action::Errno(errno) => Verdict::Respond(Response::Errno(errno)),
            Action::KillProcess | Action::KillThread => Verdict::Kill,
            _ => Verdict::ContinueUnchecked,
        })
    }

    fn note(&self, call: &Call<'_>, action: Action) {
        let data = call.data();
        let bounds = data.args.map(|arg| arg..=arg);
        let why = match self.explainer.explain(data.arch, data.nr, &bounds) {
            Ok(explanation) => reasons(&explanation, &data.args),
            Err(error) => vec![error.to_string()],
        };
        let kind = Kind { arch: data.arch, nr: data.nr, action: action.to_raw(), why };
        let mut denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(denial) = denials.get_mut(&kind) {
            denial.count += 1;
            return;
        }
        if denials.len() >= MAX_KINDS {
            return;
        }
        let answer = match call.arch() {
            Some(arch) => values::action_words(action, arch),
            None => action.to_string(),
        };
        let command = std::fs::read_to_string(format!("/proc/{}/comm", call.tid())).unwrap_or_default();
        let denial = Denial {
            order: denials.len(),
            count: 1,
            call: shown(call),
            name: call.name().map_or_else(|| format!("call {}", data.nr), str::to_owned),
            answer,
            args: data.args,
            thread: call.tid(),
            command: command.trim_end().escape_debug().to_string(),
        };
        let verb = if self.audit_only { "would deny" } else { "denied" };
        let mut text =
            format!("{verb} {}: {}, thread {} ({})", denial.call, denial.answer, denial.thread, denial.command);
        for line in &kind.why {
            let _ = write!(text, "\n  {line}");
        }
        complain(&text);
        denials.insert(kind, denial);
    }

    fn sum_up(&self, report: Option<&mut Report>) -> Result<(), Failure> {
        let denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<_> = denials.iter().collect();
        sorted.sort_by_key(|(_, denial)| denial.order);
        let verb = if self.audit_only { "would have been denied" } else { "denied" };
        let mut text = match sorted.len() {
            0 => format!("no call was {verb}"),
            1 => format!("1 kind of call {verb}"),
            kinds => format!("{kinds} kinds of call {verb}"),
        };
        for (_, denial) in &sorted {
            let _ = write!(text, "\n  {:>6} x {}: {}", denial.count, denial.name, denial.answer);
        }
        complain(&text);
        let Some(report) = report else { return Ok(()) };
        let list: Vec<Value> = sorted.iter().map(|(kind, denial)| to_json(kind, denial)).collect();
        let all = json!({ "audit_only": self.audit_only, "denials": list });
        report.write(&all)
    }
}

/// The file of `--report`, opened before anything is started.
pub struct Report {
    path: PathBuf,
    file: File,
}

impl Report {
    pub fn create(path: &Path) -> Result<Self, Failure> {
        match File::create(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file }),
            Err(error) => Err(cannot_write(path, &error)),
        }
    }

    /// Writes a value to it.
    pub fn write(&mut self, value: &Value) -> Result<(), Failure> {
        writeln!(self.file, "{}", pretty(value)).map_err(|error| cannot_write(&self.path, &error))
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {}", path.display(), reason(error))).status(RUN_FAILED)
}

/// How the command ended.
pub type Status = Result<ExitStatus, WaitError>;

fn to_json(kind: &Kind, denial: &Denial) -> Value {
    let arch = Arch::of_call(kind.arch, kind.nr);
    json!({
        "call": denial.name,
        "number": kind.nr,
        "arch": arch.map(|arch| arch.to_string()),
        "args": denial.args,
        "shown": denial.call,
        "answer": denial.answer,
        "thread": denial.thread,
        "command": denial.command,
        "count": denial.count,
        "why": kind.why,
    })
}

/// The call with its arguments; paths as the text that was there when it was looked at.
fn shown(call: &Call<'_>) -> String {
    let data = call.data();
    let arch = call.arch();
    let mut text = match (call.name(), arch) {
        (Some(name), Some(arch)) if Some(arch) != Arch::NATIVE => format!("{name} of {arch}"),
        (Some(name), _) => name.to_owned(),
        (None, _) => format!("call {} of {}", data.nr, arch.map_or("an unknown ABI", Arch::short_name)),
    };
    text.push('(');
    let prototype = arch.and_then(|arch| arch.prototype(data.nr));
    let count = prototype.map_or(6, |prototype| prototype.args().count());
    for (index, &arg) in data.args.iter().take(count).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let kind = prototype.and_then(|prototype| prototype.arg(u8::try_from(index).ok()?));
        let path = kind.filter(|kind| kind.is_pointer() && names_path(kind.name()));
        let path = path.and_then(|_| call.memory().read_c_string(arg, MAX_PATH).ok()?.done());
        let _ = match path {
            Some(path) => write!(text, "{comma}{:?}", String::from_utf8_lossy(&path)),
            None => {
                write!(text, "{comma}{}", number(arg, kind.is_some_and(|kind| kind.is_signed() && kind.bits() == 32)))
            }
        };
    }
    text.push(')');
    text
}

/// Whether a parameter with this name is a path, in the words of the kernel.
fn names_path(name: &str) -> bool {
    matches!(name, "filename" | "pathname" | "path" | "oldname" | "newname" | "new_root" | "put_old" | "dir_name")
}

#[allow(clippy::cast_possible_truncation)] // An int is the low half.
fn number(arg: u64, int: bool) -> String {
    match (arg as u32).cast_signed() {
        negative @ -4096..0 if int => negative.to_string(),
        _ => values::shown(arg),
    }
}

/// Why, in a line or two: what decides, and what the nearest allowing rule lacks.
fn reasons(explanation: &Explanation, args: &[u64; 6]) -> Vec<String> {
    let mut lines = Vec::new();
    for rule in explanation.rules.iter().filter(|rule| rule.fate == Fate::Decides) {
        let conditions: Vec<_> = rule.conditions.iter().map(|condition| condition.text.as_str()).collect();
        let when =
            if conditions.is_empty() { String::new() } else { format!(", because {}", conditions.join(" and ")) };
        let comment = rule.comment.as_ref().map_or_else(String::new, |comment| format!(" ({comment:?})"));
        lines.push(format!("by {}{comment}{when}", rule.path));
    }
    if explanation.by_default {
        let why = if explanation.rules.is_empty() { "no rule names the call" } else { "no rule matches" };
        lines.push(format!("by the default action: {why}"));
    }
    if let Some(rule) = explanation.nearest().first() {
        let lacks: Vec<_> = match &rule.fate {
            Fate::NotHere(why) => why.clone(),
            Fate::NoEffect(why) => vec![(*why).to_owned()],
            Fate::Overruled(by) => vec![format!("{} is stronger", by.join(", "))],
            _ => {
                let failed = rule.conditions.iter().filter(|condition| condition.holds == Holds::Never);
                let value = |arg: u8| args.get(usize::from(arg)).map_or_else(String::new, |arg| values::shown(*arg));
                failed
                    .map(|failed| format!("{} does not hold, arg{} is {}", failed.text, failed.arg, value(failed.arg)))
                    .collect()
            }
        };
        lines.push(format!("nearest rule that allows it: {}: {}", rule.path, lacks.join("; ")));
    }
    lines
}
