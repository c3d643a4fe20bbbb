//! The benchmark policies: one JSON file each, built through the Rust builder.
//!
//! `arches` are listed as they stand, `rules` have an action, calls and conditions that must all hold. `masked_eq` is
//! `(argument & mask) == value`; `"width": 32` looks at the low word only. Rules of one call are alternatives.

use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::policy::{ArgWidth, Target};
use callsieve::profile::{Arg, Operand, Profile, arg};
use serde::Deserialize;
use std::error::Error;

/// Name and text of each policy.
pub const ALL: [(&str, &str); 8] = [
    ("p1", include_str!("p1.json")),
    ("p2", include_str!("p2.json")),
    ("p3", include_str!("p3.json")),
    ("p4", include_str!("p4.json")),
    ("p5", include_str!("p5.json")),
    ("p6", include_str!("p6.json")),
    ("p7", include_str!("p7.json")),
    ("small20", include_str!("small20.json")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    arches: Vec<String>,
    default: String,
    rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    action: String,
    calls: Vec<String>,
    #[serde(default)]
    args: Vec<ArgText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArgText {
    index: u8,
    op: String,
    value: u64,
    mask: Option<u64>,
    width: Option<u8>,
}

/// A policy as a profile of the builder, and the target with exactly its ABIs.
pub fn load(text: &str) -> Result<(Profile, Target), Box<dyn Error>> {
    let file: File = serde_json::from_str(text)?;
    let arches =
        file.arches.iter().map(|name| Ok(name.parse::<Arch>()?)).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let mut profile = Profile::new(action(&file.default)?);
    for rule in &file.rules {
        let args = rule.args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        profile = profile.rule(action(&rule.action)?, &rule.calls, args);
    }
    // What the files say about widths is all there is, so that figures stay comparable with those of other generators.
    Ok((profile, Target::exactly(&arches).arg_width(ArgWidth::Written)))
}

fn action(text: &str) -> Result<Action, Box<dyn Error>> {
    Ok(match text.split_once(':') {
        Some(("errno", number)) => Action::Errno(number.parse()?),
        None if text == "allow" => Action::Allow,
        None if text == "trap" => Action::Trap(0),
        None if text == "kill-process" => Action::KillProcess,
        _ => return Err(format!("unknown action {text:?}").into()),
    })
}

fn condition(text: &ArgText) -> Result<Arg, Box<dyn Error>> {
    let operand = operand(text.index)?;
    let operand = if text.width == Some(32) { operand.as_u32() } else { operand };
    Ok(match (text.op.as_str(), text.mask) {
        ("eq", None) => operand.eq(text.value),
        ("ne", None) => operand.ne(text.value),
        ("lt", None) => operand.lt(text.value),
        ("le", None) => operand.le(text.value),
        ("gt", None) => operand.gt(text.value),
        ("ge", None) => operand.ge(text.value),
        ("masked_eq", Some(mask)) => operand.masked_eq(mask, text.value),
        (op, _) => return Err(format!("unknown comparison {op:?}").into()),
    })
}

fn operand(index: u8) -> Result<Operand, Box<dyn Error>> {
    Ok(match index {
        0 => arg::<0>(),
        1 => arg::<1>(),
        2 => arg::<2>(),
        3 => arg::<3>(),
        4 => arg::<4>(),
        5 => arg::<5>(),
        _ => return Err(format!("no argument {index}").into()),
    })
}
