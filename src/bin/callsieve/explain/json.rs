//! Explanations for machines.

use super::Question;
use callsieve::check::{Admission, AuditRecord, ExplainedRule, Explanation, Fate, Holds, Region};
use serde_json::{Value, json};

pub fn explanation(question: &Question, explanation: &Explanation) -> Value {
    let bounds: Vec<_> = question.bounds.iter().map(|bounds| json!([bounds.start(), bounds.end()])).collect();
    let admission = match explanation.admission {
        Admission::UnlistedArch => "unlisted architecture",
        Admission::UnlistedX32 => "unlisted x32",
        _ => "listed",
    };
    json!({
        "call": {
            "arch": explanation.arch.map(|arch| arch.to_string()),
            "token": question.token,
            "number": question.nr,
            "name": explanation.arch.and_then(|arch| arch.name(question.nr)),
            "bounds": bounds,
        },
        "record": question.record.as_ref().map(record),
        "action": explanation.action().map(|action| action.to_string()),
        "regions": regions(&explanation.regions),
        "admission": admission,
        "default": explanation.default.to_string(),
        "by_default": explanation.by_default,
        "rules": explanation.rules.iter().map(rule).collect::<Vec<_>>(),
        "nearest": explanation.nearest().iter().map(|rule| rule.path.as_str()).collect::<Vec<_>>(),
    })
}

pub fn regions(regions: &[Region]) -> Vec<Value> {
    let json = |region: &Region| {
        json!({
            "action": region.action().to_string(),
            "raw": region.raw(),
            "conditions": region.conditions().iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    regions.iter().map(json).collect()
}

fn record(record: &AuditRecord) -> Value {
    json!({
        "action": record.action().kind(),
        "code": record.code,
        "pid": record.pid,
        "comm": record.comm,
        "exe": record.exe,
        "instruction_pointer": record.instruction_pointer,
    })
}

fn rule(rule: &ExplainedRule) -> Value {
    let conditions = rule.conditions.iter().map(|condition| {
        let holds = match condition.holds {
            Holds::Always => Some("always"),
            Holds::Sometimes => Some("sometimes"),
            Holds::Never => Some("never"),
            _ => None,
        };
        json!({ "text": condition.text, "arg": condition.arg, "holds": holds })
    });
    let (fate, why) = match &rule.fate {
        Fate::Decides => ("decides", Vec::new()),
        Fate::Overruled(by) => ("overruled", by.clone()),
        Fate::Fails => ("fails", Vec::new()),
        Fate::NoEffect(why) => ("no effect", vec![(*why).to_owned()]),
        Fate::NotHere(why) => ("does not count here", why.clone()),
        _ => ("unknown", Vec::new()),
    };
    json!({
        "path": rule.path,
        "entry": rule.entry,
        "action": rule.action.to_string(),
        "comment": rule.comment,
        "conditions": conditions.collect::<Vec<_>>(),
        "fate": fate,
        "why": why,
    })
}
