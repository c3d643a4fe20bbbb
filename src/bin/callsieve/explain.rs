//! `callsieve explain`: why a call is answered as it is.

mod filters;
mod json;

use crate::common::{Source, TargetOptions, mention_warnings};
use crate::outcome::{Done, Failure, Outcome, count, wrap};
#[cfg(target_os = "linux")]
use crate::process::Process;
use crate::simulate::{called, number, register};
use crate::subject::Found;
use crate::values;
use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::check::{Admission, AuditRecord, ExplainedRule, Explainer, Explanation, Fate, Holds, Region};
use callsieve::profile::ActionSpec;
use clap::Args;
use serde_json::{Value, json};
use std::io::BufRead;
use std::ops::RangeInclusive;

/// Explain why a profile answers a call as it does
///
/// Names the rule that decides, with its place in the profile and its comment; for a call that is denied, also the rules
/// that would allow it, and what each of them lacks. For arguments that are not given, any value counts: so without
/// arguments it tells everything that the profile does with the call.
///
/// An argument is a number (decimal, 0x hexadecimal, 0o octal, or negative), a name such as AF_INET, several of them
/// joined by |, a range A..B that includes both ends, or * for any value.
///
/// With --audit the call comes from a line of the kernel's log (dmesg, journald, or the audit daemon). Such a line has
/// no arguments, so every rule that can have given the answer is named; arguments that are known can be added.
///
/// With --pid the call is the one that a process waits in, with the arguments that it was made with. What the filters of
/// the process say to it is told too; without PROFILE, only that. Looking at a process wakes it up for a moment, so the
/// next time the call may be restart_syscall. In place of PROFILE, a raw filter or pid:PID may stand,
/// to ask filters without a profile about any call.
///
/// Exit status: 0 some of the calls are allowed; 1 all of them are denied, or the profile never gives the answer of the
/// line; 2 unusable input or arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve explain container-default mount
  callsieve explain container-default socket AF_VSOCK
  callsieve explain profile.json clone 'CLONE_NEWUSER|CLONE_NEWNET'
  callsieve explain profile.json ioctl '*' 0x5400..0x54ff --abi x86
  callsieve explain profile.json --audit 'type=1326 audit(...): ... arch=c000003e syscall=41 ... code=0x50000' 40
  dmesg | grep type=1326 | tail -1 | callsieve explain profile.json --audit -
  callsieve explain profile.json --pid 1234
  callsieve explain pid:1234 socket AF_INET")]
pub struct Options {
    /// JSON file, - for standard input, container-default, a raw filter, or pid:PID
    #[arg(value_name = "PROFILE", required_unless_present = "pid")]
    profile: Option<String>,

    /// Name or number; not with --audit or --pid
    #[arg(
        value_name = "SYSCALL",
        required_unless_present_any = ["audit", "pid"],
        conflicts_with = "pid",
        allow_negative_numbers = true
    )]
    call: Option<String>,

    /// Arguments, at most 6
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    args: Vec<String>,

    /// Explain this line of the kernel's log; - reads it from standard input
    #[arg(long, value_name = "LINE")]
    audit: Option<String>,

    /// Explain the call that this process, or the thread with this id, waits in (needs root)
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "PID", conflicts_with = "audit", value_parser = values::process_id)]
    pid: Option<u32>,

    /// The ABI of the call [default: the first one of the profile]
    #[arg(long, value_name = "NAME", value_parser = values::arch, conflicts_with_all = ["audit", "pid"])]
    abi: Option<Arch>,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: TargetOptions,
}

/// What was asked.
struct Question {
    token: u32,
    nr: u32,
    bounds: Vec<RangeInclusive<u64>>,
    /// Where the call was made, if that is known.
    instruction_pointer: Option<u64>,
    record: Option<AuditRecord>,
}

/// How often a process is looked at that waits in no call, every 10 ms.
#[cfg(target_os = "linux")]
const PATIENCE: u32 = 30;

/// What is written for a question.
struct Answer {
    text: String,
    json: Value,
    denied: bool,
}

pub fn execute(options: &Options) -> Outcome {
    let answer = options.answer()?;
    let done = if options.json { Done::json(&answer.json) } else { Done::text(answer.text) };
    Ok(done.found(answer.denied))
}

impl Options {
    fn answer(&self) -> Result<Answer, Failure> {
        #[cfg(target_os = "linux")]
        if let Some(pid) = self.pid {
            return self.pending(pid);
        }
        let profile = self.profile.as_deref().unwrap_or_default();
        if profile == "-" && self.audit.as_deref() == Some("-") {
            return Err(Failure::new("PROFILE and --audit are both -; only one of them can come on standard input"));
        }
        let opened = match self.target.find(profile)? {
            Found::Profile(source) => return self.by_profile(&source, None),
            Found::Filters(opened) => opened,
        };
        let question = match &self.audit {
            Some(line) => self.question_of(line)?,
            None => self.question(opened.arches.first().copied())?,
        };
        filters::explain(&opened, &question)
    }

    /// Explains a call by a profile: the one asked about, or a given one.
    fn by_profile(&self, source: &Source, given: Option<Question>) -> Result<Answer, Failure> {
        let explainer = Explainer::new(&source.profile, &self.target.target()?);
        let explainer = explainer.map_err(|error| Failure::new(format!("{}: {error}", source.name)))?;
        mention_warnings(&source.name, explainer.policy());
        let question = match (given, &self.audit) {
            (Some(question), _) => question,
            (None, Some(line)) => self.question_of(line)?,
            (None, None) => self.question(explainer.policy().arches().next())?,
        };
        let explanation = explainer.explain(question.token, question.nr, &question.bounds);
        let explanation = explanation.map_err(|error| Failure::new(format!("{}: {error}", source.name)))?;
        let (text, json) = (to_text(&question, &explanation), json::explanation(&question, &explanation));
        let foreign = question.record.is_some_and(|record| !explanation.gives(record.action().kind()));
        Ok(Answer { text, json, denied: foreign || explanation.is_denied() })
    }

    /// Explains the call that a process waits in.
    #[cfg(target_os = "linux")]
    fn pending(&self, pid: u32) -> Result<Answer, Failure> {
        let failed = |error: callsieve::kernel::ReadBackError| Failure::new(error.to_string());
        // First, because reading filters wakes the process up for a moment.
        let mut call = callsieve::kernel::pending_call(pid).map_err(failed)?;
        // Whoever is looked at often runs for a moment between its calls.
        for _ in 0..PATIENCE {
            if call.is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            call = callsieve::kernel::pending_call(pid).map_err(failed)?;
        }
        let process = Process::read(pid)?;
        let Some(call) = call else {
            return Err(Failure::new(format!("{} waits in no system call now; try again", process.name)));
        };
        let question = Question {
            token: call.arch,
            nr: call.nr,
            bounds: call.args.iter().map(|&arg| arg..=arg).collect(),
            instruction_pointer: Some(call.instruction_pointer),
            record: None,
        };
        let by_filters = filters::explain(&self.target.process(&process)?, &question)?;
        let Some(profile) = &self.profile else { return Ok(by_filters) };
        let by_profile = self.by_profile(&self.target.read(profile)?, Some(question))?;
        Ok(Answer {
            text: format!("{}\nby the profile:\n{}", by_filters.text, by_profile.text),
            json: json!({ "filters": by_filters.json, "profile": by_profile.json }),
            denied: by_profile.denied,
        })
    }

    fn question(&self, first: Option<Arch>) -> Result<Question, Failure> {
        let arch = self.abi.or(first).map_or_else(values::native, Ok)?;
        let word = self.call.as_deref().unwrap_or_default();
        let call = values::call(word).map_err(Failure::new)?;
        let nr = number(&call, arch)?;
        Ok(Question {
            token: arch.audit(),
            nr,
            bounds: bounds(&self.args, arch)?,
            instruction_pointer: None,
            record: None,
        })
    }

    fn question_of(&self, line: &str) -> Result<Question, Failure> {
        let line = if line == "-" { first_line()? } else { line.to_owned() };
        let record: AuditRecord = line.parse().map_err(|error| Failure::new(format!("--audit: {error}")))?;
        let x32 = record.nr & Arch::X32_BIT != 0 && record.nr != u32::MAX;
        let own = |arch: &Arch| {
            arch.audit() == record.arch && (*arch == Arch::X32) == (x32 && record.arch == Arch::X32.audit())
        };
        let arch = Arch::ALL.into_iter().find(own).map_or_else(values::native, Ok)?;
        // The first word behind the profile is the first argument here.
        let args: Vec<_> = self.call.iter().chain(&self.args).cloned().collect();
        let bounds = bounds(&args, arch)?;
        let instruction_pointer = record.instruction_pointer;
        Ok(Question { token: record.arch, nr: record.nr, bounds, instruction_pointer, record: Some(record) })
    }
}

fn first_line() -> Result<String, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::new(format!("cannot read standard input: {}", crate::outcome::reason(&error))))?;
    Ok(line)
}

fn bounds(args: &[String], arch: Arch) -> Result<Vec<RangeInclusive<u64>>, Failure> {
    if args.len() > 6 {
        return Err(Failure::new(format!("{} are given, a system call has at most 6", count(args.len(), "argument"))));
    }
    args.iter().enumerate().map(|(index, word)| bound(index, word, arch)).collect()
}

fn bound(index: usize, word: &str, arch: Arch) -> Result<RangeInclusive<u64>, Failure> {
    if word == "*" {
        return Ok(0..=u64::MAX);
    }
    let one = |word: &str| register(index, value(index, word, arch)?, arch);
    let Some((low, high)) = word.split_once("..") else {
        let value = one(word)?;
        return Ok(value..=value);
    };
    let bounds = one(low)?..=one(high.strip_prefix('=').unwrap_or(high))?;
    if bounds.is_empty() {
        return Err(Failure::new(format!(
            "argument {index}: the range {word} is empty; the smaller number comes first"
        )));
    }
    Ok(bounds)
}

/// Numbers and names, joined by `|`.
fn value(index: usize, word: &str, arch: Arch) -> Result<u64, Failure> {
    let parts = word.split('|').map(|part| {
        let part = part.trim();
        let named = part.starts_with(|first: char| first.is_ascii_alphabetic());
        let value = if named { arch.constant(part).map_err(|error| error.to_string()) } else { values::number(part) };
        let hint = if named { format!(" \"{part}\"") } else { String::new() };
        value.map_err(|error| Failure::new(format!("argument {index}{hint}: {error}")))
    });
    parts.into_iter().try_fold(0, |all, value| Ok(all | value?))
}

impl Question {
    /// The call as it was asked, such as `socket(40)`.
    fn call(&self, arch: Option<Arch>) -> String {
        let name = arch.map_or_else(|| format!("call {}", values::shown(self.nr.into())), |arch| called(arch, self.nr));
        let args: Vec<_> = self.bounds.iter().map(shown_bounds).collect();
        if args.is_empty() { name } else { format!("{name}({})", args.join(", ")) }
    }
}

fn shown_bounds(bounds: &RangeInclusive<u64>) -> String {
    match (*bounds.start(), *bounds.end()) {
        (0, u64::MAX) => "*".to_owned(),
        (low, high) if low == high => values::shown(low),
        (low, high) => format!("{}..{}", values::shown(low), values::shown(high)),
    }
}

/// Conditions in words, if there are any.
fn when(conditions: impl Iterator<Item = String>) -> String {
    let conditions: Vec<_> = conditions.collect();
    if conditions.is_empty() { String::new() } else { format!(" if {}", conditions.join(" and ")) }
}

/// Writes an explanation.
struct Writer<'a> {
    text: String,
    question: &'a Question,
    explanation: &'a Explanation,
}

fn to_text(question: &Question, explanation: &Explanation) -> String {
    let mut writer = Writer { text: String::new(), question, explanation };
    writer.head();
    match (&question.record, explanation.action()) {
        (Some(record), _) => writer.record(record),
        (None, Some(action)) => writer.one_answer(action),
        (None, None) => writer.several_answers(),
    }
    writer.text
}

impl Writer<'_> {
    fn line(&mut self, line: &str) {
        wrap(&mut self.text, line);
    }

    fn action(&self, action: Action) -> String {
        self.explanation.arch.map_or_else(|| action.to_string(), |arch| values::action_words(action, arch))
    }

    fn written(&self, action: &ActionSpec) -> String {
        match action {
            ActionSpec::Action(action) => self.action(*action),
            other => other.to_string(),
        }
    }

    fn head(&mut self) {
        let arch = self.explanation.arch;
        let place = arch.map_or_else(|| format!("architecture {:#x}", self.question.token), |arch| arch.to_string());
        let call = self.question.call(arch);
        let head = match (&self.question.record, self.explanation.action()) {
            (Some(record), _) => {
                let pid = record.pid.map_or_else(String::new, |pid| format!("pid {pid} "));
                let who = record.exe.as_deref().or(record.comm.as_deref()).unwrap_or("a program");
                let who: String = who.chars().filter(|char| !char.is_control()).collect();
                format!("{pid}({who}) called {call} on {place}, and the answer was {}", record.action().kind())
            }
            (None, Some(action)) => format!("{call} on {place}: {}", self.action(action)),
            (None, None) => format!("{call} on {place}: depends on arguments"),
        };
        self.line(&head);
    }

    /// Why everything that was asked about has this answer.
    fn one_answer(&mut self, action: Action) {
        for rule in self.explanation.deciding(action.kind()) {
            self.rule(rule, "  because of ");
        }
        self.without_rule("  because ");
        if self.explanation.is_denied() {
            self.allowing(self.explanation.nearest());
        }
    }

    /// The conditions of a region, if it has any.
    fn conditions(&self, region: &Region) -> String {
        let has_64bit_args = self.explanation.arch.is_none_or(Arch::has_64bit_args);
        when(region.conditions().iter().map(|condition| condition.words(has_64bit_args)))
    }

    /// Which rules decide which part.
    fn several_answers(&mut self) {
        for region in &self.explanation.regions {
            self.line(&format!("  {}{}", self.action(region.action()), self.conditions(region)));
        }
        self.line("rules:");
        for rule in &self.explanation.rules {
            self.rule(rule, "  ");
        }
        self.without_rule("  where ");
    }

    /// What can have given the answer of a record.
    fn record(&mut self, record: &AuditRecord) {
        let kind = record.action().kind();
        let deciding = self.explanation.deciding(kind);
        let by_default = self.explanation.by_default && self.explanation.default.kind() == kind;
        if !self.explanation.gives(kind) {
            let answers: Vec<_> = self.explanation.regions.iter().map(|region| self.action(region.action())).collect();
            let text = "  this profile never gives that answer, so another filter did; it answers";
            self.line(&format!("{text} {}", answers.join(" or ")));
            return;
        }
        self.line("what can have given it:");
        for region in self.explanation.regions.iter().filter(|region| region.action().kind() == kind) {
            let conditions = self.conditions(region);
            if !conditions.is_empty() {
                self.line(&format!("  {}{conditions}", self.action(region.action())));
            }
        }
        for rule in deciding {
            self.rule(rule, "  ");
        }
        if by_default {
            self.without_rule("  ");
        }
        self.allowing(self.explanation.allowing());
    }

    /// What happens where no rule matches.
    fn without_rule(&mut self, before: &str) {
        if !self.explanation.by_default {
            return;
        }
        let action = self.action(self.explanation.default);
        let why = match self.explanation.admission {
            Admission::UnlistedArch => "the profile does not list this architecture: the answer is",
            Admission::UnlistedX32 => "the number is one of x32, which the profile does not list: the answer is",
            _ if self.explanation.rules.is_empty() => "no rule names it: the default action is",
            _ if self.explanation.rules.iter().all(|rule| matches!(rule.fate, Fate::NotHere(_))) => {
                "no rule that counts here names it: the default action is"
            }
            _ => "no rule matches: the default action is",
        };
        self.line(&format!("{before}{why} {action}"));
    }

    /// What would allow the call, and what it lacks.
    fn allowing(&mut self, rules: Vec<&ExplainedRule>) {
        if !rules.is_empty() {
            self.line("what would allow it:");
        }
        for rule in rules {
            self.rule(rule, "  ");
        }
    }

    /// A rule with its comment, and what became of it.
    fn rule(&mut self, rule: &ExplainedRule, before: &str) {
        let when = when(rule.conditions.iter().map(|condition| condition.text.clone()));
        self.line(&format!("{before}{}: {}{when}", rule.path, self.written(&rule.action)));
        if let Some(comment) = &rule.comment {
            let comment: String = comment.chars().filter(|char| !char.is_control()).collect();
            self.line(&format!("    \"{comment}\""));
        }
        match &rule.fate {
            Fate::Fails => {
                let failing = rule.conditions.iter().filter(|condition| condition.holds == Holds::Never);
                let failing: Vec<_> = failing.map(|condition| condition.text.as_str()).collect();
                let failing =
                    if failing.is_empty() { "its conditions together".to_owned() } else { failing.join(", ") };
                self.line(&format!("    fails: {failing}"));
            }
            Fate::Overruled(by) => self.line(&format!("    matches, but {} counts", by.join(" or "))),
            Fate::NoEffect(why) => self.line(&format!("    has no effect: {why}")),
            Fate::NotHere(why) => self.line(&format!("    does not count here: {}", why.join(", "))),
            _ => {}
        }
    }
}
