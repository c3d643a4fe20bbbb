//! What `callsieve record` tells.

use crate::outcome::{complain, count};
use crate::values::shown;
use callsieve::arch::Arch;
use callsieve::record::{Draft, LogRead, New, Progress, RecordedCall, Recording, Run};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

/// A line on the terminal that is written over again and again; nothing where standard error is none.
pub fn progress() -> Option<impl Fn(&Progress) + Send + Sync> {
    stderr().is_terminal().then_some(|progress: &Progress| {
        let text = format!(
            "\r\x1b[Kcallsieve: {} of {}, {:.0} s\r",
            count(number(progress.counted), "call"),
            count(progress.kinds, "kind"),
            progress.time.as_secs_f64()
        );
        let _ = stderr().write_all(text.as_bytes());
    })
}

fn number(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The first run; with a base, what it allows is not counted.
pub fn run(run: &Run, recording: &Recording, base: Option<&str>) {
    let kinds = recording.calls().count();
    let arches: Vec<_> = recording.arches().map(|arch| arch.to_string()).collect();
    let on = if arches.is_empty() { String::new() } else { format!(" on {}", arches.join(", ")) };
    let without = base.map_or_else(String::new, |base| format!(" that {base} has no rule for"));
    complain(&format!(
        "recorded {} of {}{without}{on} in {}",
        count(number(run.counted()), "call"),
        count(kinds, "kind"),
        seconds(run.time())
    ));
}

/// A further run.
pub fn again(number: u32, run: &Run) {
    let mut text = format!("run {number}: ");
    match run.new_calls().len() {
        0 => text.push_str("nothing new"),
        new => _ = write!(text, "{new} new"),
    }
    let mut named: Vec<String> = Vec::new();
    for new in run.new_calls() {
        let arch = Arch::of_call(new.call.arch, new.call.nr);
        let name = arch.and_then(|arch| arch.name(new.call.nr)).map_or_else(|| new.call.nr.to_string(), str::to_owned);
        if !named.contains(&name) {
            named.push(name);
        }
    }
    if !named.is_empty() {
        let _ = write!(text, ": {}", named.join(", "));
    }
    complain(&format!("{text} ({})", seconds(run.time())));
}

/// A log that was read.
pub fn log(name: &str, read: &LogRead) {
    complain(&format!("{name}: {}", count(number(read.calls), "call")));
    if let Some(first) = read.first {
        let lines = count(number(read.not_understood), "line");
        complain(&format!("{name}: not understood: {lines} where a call should be, first line {first}"));
    }
}

/// What whoever uses the profile should know.
pub fn notes(recording: &Recording) {
    if recording.interrupted() > 0 {
        let calls = count(number(recording.interrupted()), "call");
        complain(&format!("{calls} went away before the answer (a signal, or a killed program) and count as not made"));
    }
    for note in recording.notes() {
        complain(&note.to_string());
    }
}

/// What the profile allows, and why more than was seen.
pub fn draft(path: &str, draft: &Draft, base: Option<&str>) {
    let path = if path == "-" { "the profile" } else { path };
    let seen = count(draft.names().len(), "call");
    let mut text = match base {
        Some(base) => format!("{path} allows what {base} allows, what was seen and that lacks ({seen})"),
        None => format!("{path} allows what was seen ({seen})"),
    };
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for benign in draft.closure() {
        reasons.entry(benign.why).or_default().push(benign.name);
    }
    if !reasons.is_empty() {
        let _ = write!(text, ", and what programs may need all the same ({}):", count(draft.closure().len(), "call"));
        for (why, names) in reasons {
            let _ = write!(text, "\n  {}: {why}", names.join(", "));
        }
    }
    complain(&text);
    for doubt in draft.doubts() {
        complain(&doubt.to_string());
    }
}

/// The calls that a profile lacks; their number.
pub fn missing(name: &str, recording: &Recording, lacks: &[&str], run: Option<&Run>, unseen: &[&str]) -> usize {
    let mut lines = Vec::new();
    for call in recording.calls().filter(|call| call.name().is_none_or(|name| lacks.contains(&name))) {
        let is_it =
            |new: &&New| new.call.nr == call.number() && Arch::of_call(new.call.arch, new.call.nr) == Some(call.arch());
        let thread = run.into_iter().flat_map(Run::new_calls).find(is_it);
        let by = thread.map_or("", |new| new.thread.as_str()).escape_debug().to_string();
        let by = if by.is_empty() { by } else { format!(", first by {by}") };
        lines.push(format!("{}: {}{by}{}", named(&call), count(number(call.count()), "time"), values(&call)));
    }
    // Nobody can be asked about them, but of one it is known that every program makes it.
    let (certain, possible): (Vec<&str>, Vec<&str>) = unseen.iter().partition(|name| **name == "exit_group");
    let seen = |name: &&str| recording.calls().any(|call| call.name() == Some(name));
    for name in certain.into_iter().filter(|name| !seen(name)) {
        lines.push(format!("{name}: never notified; every program ends with it"));
    }
    if !possible.is_empty() {
        let text =
            "never notified, so it is not known whether they are needed (threads, signal handlers, stopped calls)";
        complain(&format!("{name} does not allow {}: {text}", possible.join(", ")));
    }
    if !lines.is_empty() {
        complain(&format!("{name} lacks {}\n  {}", count(lines.len(), "call"), lines.join("\n  ")));
    }
    lines.len()
}

fn named(call: &RecordedCall<'_>) -> String {
    let name = call.name().map_or_else(|| format!("call {}", call.number().cast_signed()), str::to_owned);
    if Some(call.arch()) == Arch::NATIVE { name } else { format!("{name} of {}", call.arch()) }
}

/// Values that are shown at most.
const MOST_SHOWN: usize = 8;

fn values(call: &RecordedCall<'_>) -> String {
    let indices: Vec<u8> = call.watched().collect();
    let all: Vec<String> = call
        .values()
        .map(|(values, _)| {
            let parts = indices.iter().zip(values).map(|(index, value)| format!("arg{index} {}", shown(*value)));
            parts.collect::<Vec<_>>().join(" ")
        })
        .collect();
    let others = if call.has_all_values() { "" } else { "; and others" };
    match (all.get(..MOST_SHOWN), all.len()) {
        (_, 0) => String::new(),
        (Some(first), more) if more > MOST_SHOWN => {
            format!(" ({} and {} more{others})", first.join("; "), more - MOST_SHOWN)
        }
        _ => format!(" ({}{others})", all.join("; ")),
    }
}

/// Everything that was recorded.
pub fn to_json(recording: &Recording, first: Option<&Run>) -> Value {
    let calls = recording.calls().map(|call| {
        let values = call.values().map(|(values, count)| json!({ "values": values, "count": count }));
        json!({
            "arch": call.arch().to_string(),
            "call": call.name(),
            "number": call.number(),
            "count": call.count(),
            "args": call.watched().collect::<Vec<_>>(),
            "values": values.collect::<Vec<_>>(),
            "all_values": call.has_all_values(),
        })
    });
    json!({
        "calls": calls.collect::<Vec<_>>(),
        "counted": recording.total(),
        "interrupted": recording.interrupted(),
        "seconds": first.map(|first| first.time().as_secs_f64()),
        "notes": recording.notes().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
