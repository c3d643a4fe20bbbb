//! A policy as text.

use super::{Condition, Policy, Rule, Section, Test};
use crate::arch::{Arch, Errno};
use crate::bpf::Action;
use crate::profile::Width;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// Exceptions of a rule that are spelled out.
const EXCEPTIONS_SHOWN: usize = 3;

/// A constant: counts and enumerators are small, addresses and bits are large.
pub(super) struct Number(pub(super) u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0x1_0000 { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}

/// Per ABI the default action, the calls that get one action whatever their arguments, and the others with their
/// conditions; then what other ABIs get. The form may change between releases.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            section.fmt(f)?;
        }
        let arches: Vec<Arch> = self.arches().collect();
        write!(f, "other architectures: {}", words(self.bad_arch, &arches))?;
        if arches.contains(&Arch::X86_64) && !arches.contains(&Arch::X32) {
            write!(f, "\nx32 numbers: {}", words(self.unlisted_x32, &[Arch::X32]))?;
        }
        Ok(())
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |action| words(action, &[self.arch]);
        writeln!(f, "{}: {} by default", self.arch, words(self.default))?;
        let mut plain: BTreeMap<Action, Vec<String>> = BTreeMap::new();
        for (nr, rules) in &self.calls {
            if let [Rule { conditions, action, .. }] = &**rules
                && conditions.is_empty()
            {
                plain.entry(*action).or_default().push(self.name(*nr));
            }
        }
        for (action, mut names) in plain.into_iter().rev() {
            names.sort_unstable();
            writeln!(f, "  {}: {}", words(action), names.join(" "))?;
        }
        let mut unlisted: BTreeMap<Action, Vec<String>> = BTreeMap::new();
        for span in &self.unlisted {
            unlisted.entry(span.action).or_default().push(format!(
                "{}-{}",
                Number(span.first.into()),
                Number(span.last.into())
            ));
        }
        for (action, spans) in unlisted {
            writeln!(f, "  {} for numbers without a rule in {}", words(action), spans.join(", "))?;
        }
        for (nr, rules) in &self.calls {
            if !matches!(&**rules, [rule] if rule.conditions.is_empty()) {
                writeln!(f, "  {}", self.name(*nr))?;
                rules.iter().try_for_each(|rule| write_rule(f, &words(rule.action), rule, rules))?;
            }
        }
        Ok(())
    }
}

impl Section {
    fn name(&self, nr: u32) -> String {
        super::settle::call_name(self.arch, nr)
    }
}

/// An action, with the name of its error number where all these ABIs give the number the same name.
fn words(action: Action, arches: &[Arch]) -> String {
    let name = |arch: Arch| match action {
        Action::Errno(number) => Errno::new(number).name(arch),
        _ => None,
    };
    let first = arches.first().and_then(|arch| name(*arch));
    let same = first.filter(|_| arches.iter().all(|arch| name(*arch) == first));
    same.map_or_else(|| action.to_string(), |name| format!("{action} {name}"))
}

fn write_rule(f: &mut fmt::Formatter<'_>, action: &str, rule: &Rule, all: &[Rule]) -> fmt::Result {
    write!(f, "    {action}")?;
    write_conditions(f, " if ", &rule.conditions)?;
    let mut narrower = rule.narrower.iter().filter_map(|index| all.get(*index));
    for (position, exception) in narrower.by_ref().take(EXCEPTIONS_SHOWN).enumerate() {
        let words = if position == 0 { ", unless " } else { " or " };
        write_conditions(f, words, &exception.conditions)?;
    }
    match narrower.count() {
        0 => writeln!(f),
        more => writeln!(f, " or {more} more"),
    }
}

fn write_conditions(f: &mut fmt::Formatter<'_>, before: &str, conditions: &[Condition]) -> fmt::Result {
    if conditions.is_empty() {
        return Ok(());
    }
    let words: Vec<String> = conditions.iter().map(ToString::to_string).collect();
    write!(f, "{before}{}", words.join(" and "))
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arg{}", self.arg)?;
        if self.width == Width::Bits32 {
            f.write_str(" as u32")?;
        }
        let (sign, value) = match self.test {
            Test::MaskedEq { mask, value } => return write!(f, " & {mask:#x} == {}", Number(value)),
            Test::Eq(value) => ("==", value),
            Test::Ne(value) => ("!=", value),
            Test::Lt(value) => ("<", value),
            Test::Le(value) => ("<=", value),
            Test::Gt(value) => (">", value),
            Test::Ge(value) => (">=", value),
        };
        write!(f, " {sign} {}", Number(value))
    }
}
