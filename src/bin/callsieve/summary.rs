//! What a filter does, or a stack of filters: the calls of each action, and the conditions where arguments count.

use crate::outcome::wrap;
use crate::values::action_words;
use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::check::{JudgeError, Region, Regions, Subject, regions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Regions of one group of calls that are spelled out.
const REGIONS_SHOWN: usize = 16;

/// What is exact about a subject.
#[derive(Debug)]
pub struct Summary(Regions);

/// What happens to the calls of an ABI.
struct Answers {
    default: Vec<Region>,
    /// The calls that get one action whatever their arguments are.
    actions: BTreeMap<Action, Vec<&'static str>>,
    /// The others, by what their arguments tell.
    conditional: Vec<(Vec<&'static str>, Vec<Region>)>,
}

impl Summary {
    /// # Errors
    /// If the answer would take too much memory.
    pub fn of(subject: &Subject<'_>) -> Result<Self, JudgeError> {
        regions(subject).map(Self)
    }

    fn answers(&self, arch: Arch) -> Answers {
        let regions = |nr: u32| self.0.of(arch.audit(), nr).to_vec();
        // Far beyond every table, and with the bit of x32 where numbers have it.
        let default = regions(arch.number_base() | 0x3fff_ffff);
        let mut actions: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut conditional: Vec<(Vec<_>, Vec<Region>)> = Vec::new();
        let mut calls: Vec<_> = arch.syscalls().map(|(nr, name)| (name, nr)).collect();
        calls.sort_unstable();
        for (name, nr) in calls {
            let regions = regions(nr);
            match regions.as_slice() {
                [one] => actions.entry(one.action()).or_default().push(name),
                _ => match conditional.iter_mut().find(|(_, known)| *known == regions) {
                    Some((names, _)) => names.push(name),
                    None => conditional.push((vec![name], regions)),
                },
            }
        }
        Answers { default, actions, conditional }
    }

    /// Writes the summary for an ABI.
    pub fn write(&self, text: &mut String, arch: Arch) {
        let answers = self.answers(arch);
        let default = match answers.default.as_slice() {
            [one] => Some(one.action()),
            _ => None,
        };
        let words = default.map_or_else(String::new, |action| format!(" {}", action_words(action, arch)));
        let _ = writeln!(text, "{arch}:{words} by default");
        if default.is_none() {
            write_regions(text, &answers.default, arch, None);
        }
        for (action, names) in answers.actions.iter().rev().filter(|(action, _)| Some(**action) != default) {
            wrap(text, &format!("  {}: {}", action_words(*action, arch), names.join(" ")));
        }
        for (names, regions) in &answers.conditional {
            wrap(text, &format!("  {}", names.join(" ")));
            write_regions(text, regions, arch, default);
        }
    }

    pub fn json(&self, arch: Arch) -> Value {
        let answers = self.answers(arch);
        let default = match answers.default.as_slice() {
            [one] => json!(one.action().to_string()),
            _ => Value::Null,
        };
        let actions = answers.actions.into_iter().map(|(action, names)| (action.to_string(), json!(names))).collect();
        let regions = |regions: &[Region]| -> Value {
            let one = |region: &Region| {
                json!({
                    "action": region.action().to_string(),
                    "conditions": region.conditions().iter().map(ToString::to_string).collect::<Vec<_>>(),
                })
            };
            regions.iter().map(one).collect()
        };
        let conditional = answers.conditional.iter();
        json!({
            "default": default,
            "actions": Value::Object(actions),
            "depending_on_arguments": answers.conditional.iter().flat_map(|(names, _)| names).collect::<Vec<_>>(),
            "conditional": conditional.map(|(names, all)| json!({ "calls": names, "regions": regions(all) })).collect::<Value>(),
        })
    }
}

/// Writes regions, without those of the default action.
fn write_regions(text: &mut String, regions: &[Region], arch: Arch, default: Option<Action>) {
    let mut shown = regions.iter().filter(|region| Some(region.action()) != default);
    for region in shown.by_ref().take(REGIONS_SHOWN) {
        let conditions: Vec<_> =
            region.conditions().iter().map(|condition| condition.words(arch.has_64bit_args())).collect();
        let when = if conditions.is_empty() { String::new() } else { format!(" if {}", conditions.join(" and ")) };
        wrap(text, &format!("    {}{when}", action_words(region.action(), arch)));
    }
    match shown.count() {
        0 => {}
        more => _ = writeln!(text, "    and {more} more regions (--json has them)"),
    }
}
