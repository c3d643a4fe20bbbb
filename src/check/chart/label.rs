//! Words in the boxes.

use super::build::Word;
use super::ranges::Ranges;
use super::{Colour, Target};
use crate::arch::Arch;
use crate::bpf::{Action, Endian, SyscallData};
use crate::check::names;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Ranges that a row spells out.
const RANGES_SHOWN: usize = 12;
/// From this many calls on they are counted.
const COUNTED: usize = 10;
/// From this many on those that are left over are only counted.
const LISTED: usize = 150;
/// A number behind every table.
const FAR: u32 = 0x3fff_ffff;
/// The numbers of x32.
const X32: (u32, u32) = (Arch::X32_BIT, 0x7fff_ffff);

/// What the words of a box depend on.
pub(super) struct Words {
    pub(super) endian: Endian,
    pub(super) arch: Arch,
    /// Whether the program has compared the architecture.
    pub(super) known: bool,
}

/// The ABI whose names count.
pub(super) fn abi(token: Option<u32>, assumed: Arch) -> Arch {
    token.and_then(|token| names::abi(token, 0)).unwrap_or(assumed)
}

impl Words {
    /// What is returned.
    pub(super) fn end(&self, value: Option<u32>) -> Target {
        let Some(raw) = value else { return Target::End("what was computed".to_string(), Colour::Unknown) };
        let colour = match Action::as_kernel(raw) {
            Action::Allow => Colour::Allowed,
            Action::Log => Colour::Logged,
            Action::Notify | Action::Trace(_) => Colour::Asked,
            Action::Errno(_) => Colour::Failed,
            _ => Colour::Killed,
        };
        Target::End(names::answer(raw, &[self.arch]), colour)
    }

    pub(super) fn title(&self, word: Word) -> String {
        let high = (word.offset % 8 == 4) == (self.endian == Endian::Little);
        let half = if high { "high half" } else { "low half" };
        let what = match word.offset {
            SyscallData::NR if self.known => format!("system call ({})", self.arch),
            SyscallData::NR => format!("system call (as {} has them)", self.arch),
            SyscallData::ARCH => "architecture".to_string(),
            8 | 12 => format!("instruction pointer, {half}"),
            offset => format!("argument {}, {half}", offset.saturating_sub(16) / 8),
        };
        if word.mask == u32::MAX { what } else { format!("{what}, bits {:#x}", word.mask) }
    }

    /// The rows with their words, the largest one as what is left.
    pub(super) fn rows<'a, T>(&self, word: Word, rows: &'a [(Ranges, T)]) -> Vec<(String, &'a T)> {
        let mut order: Vec<_> = rows.iter().collect();
        order.sort_by_key(|(values, _)| values.ranges().first().copied());
        // For numbers that is what a number far behind every table gets, which is mostly the default action.
        let far = self.arch.number_base() | FAR;
        let is_rest = |values: &Ranges| (word.offset == SyscallData::NR && values.contains(far), values.count());
        if let Some(rest) = (0..order.len()).max_by_key(|&index| order.get(index).map(|row| is_rest(&row.0))) {
            let rest = order.remove(rest);
            order.push(rest);
        }
        let last = order.len().saturating_sub(1);
        let text =
            |(index, row): (usize, &'a (Ranges, T))| (self.row(word, &row.0, index == last && index > 0), &row.1);
        order.into_iter().enumerate().map(text).collect()
    }

    fn row(&self, word: Word, values: &Ranges, is_rest: bool) -> String {
        match word.offset {
            SyscallData::NR => self.numbers(word, values, is_rest),
            SyscallData::ARCH if is_rest => "any other".to_string(),
            SyscallData::ARCH if word.mask == u32::MAX => {
                let tokens = values.ranges().iter().map(|&(first, last)| match names::abis(first) {
                    name if first == last && !name.is_empty() => name,
                    _ => range(first, last, true),
                });
                tokens.collect::<Vec<_>>().join(", ")
            }
            _ if is_rest => "anything else".to_string(),
            _ => ranges(values.ranges(), word.mask != u32::MAX, word.mask),
        }
    }

    /// The named calls among some numbers.
    pub(super) fn names(&self, word: Word, values: &Ranges) -> BTreeSet<&'static str> {
        self.named(word, values).into_iter().map(|(_, name)| name).collect()
    }

    /// The same with their numbers.
    fn named(&self, word: Word, values: &Ranges) -> Vec<(u32, &'static str)> {
        let plain = self.arch.syscalls().filter(|&(number, _)| values.contains(number));
        // With bit 30, or where a mask has taken it away.
        let other = (self.arch == Arch::X86_64).then_some(Arch::X32);
        let x32 = other.into_iter().flat_map(Arch::syscalls);
        let masked = word.mask == !Arch::X32_BIT;
        let x32 = x32.filter(|&(number, _)| values.contains(if masked { number & word.mask } else { number }));
        if masked { x32.collect() } else { plain.chain(x32).collect() }
    }

    fn numbers(&self, word: Word, values: &Ranges, is_rest: bool) -> String {
        let named = self.named(word, values);
        let whole_x32 = values.ranges().iter().any(|&(first, last)| first <= X32.0 && last >= X32.1);
        let is_x32 = |number: u32| number & Arch::X32_BIT != 0 && self.arch == Arch::X86_64;
        let shown = named.iter().filter(|&&(number, _)| !(is_x32(number) && whole_x32));
        let mut words: Vec<_> = shown
            .map(|&(number, name)| {
                let x32 = is_x32(number) && word.mask == u32::MAX;
                (x32, name, if x32 { format!("x32:{name}") } else { name.to_string() })
            })
            .collect();
        words.sort_unstable();
        let count = words.len();
        let calls = words.into_iter().map(|(_, _, word)| word).collect::<Vec<_>>().join(" ");
        if is_rest {
            return match count {
                0 => "any other number".to_string(),
                // Where nearly everything is left over the names of the others tell more.
                LISTED.. => format!("any other number, {count} calls among them"),
                1 => format!("any other number; one of them is a call: {calls}"),
                _ => format!("any other number; {count} of them are calls: {calls}"),
            };
        }
        let calls = if count < COUNTED { calls } else { format!("{count} calls: {calls}") };
        // What is left has no name: often large gaps.
        let mut rest = values.clone();
        for &(number, _) in &named {
            rest = rest.split_equal(number & word.mask)[1].clone();
        }
        let x32 = (whole_x32 && self.arch == Arch::X86_64).then(|| "every number of x32".to_string());
        let unnamed = match (calls.is_empty(), rest.is_empty()) {
            (_, true) => None,
            // What lies above those of x32 is refused like them, and nobody calls it.
            (true, _) if x32.is_some() => None,
            (true, _) => Some(ranges(rest.ranges(), false, word.mask)),
            // Beside names, numbers that nobody has are noise.
            (false, _) => Some("(and numbers without a name)".to_string()),
        };
        let parts: Vec<String> =
            [Some(calls), x32, unnamed].into_iter().flatten().filter(|part| !part.is_empty()).collect();
        parts.join(" ")
    }
}

fn ranges(all: &[(u32, u32)], hexadecimal: bool, last: u32) -> String {
    let mut words: Vec<String> = all
        .iter()
        .take(RANGES_SHOWN)
        .map(|&(low, high)| match (low, high) {
            (low, high) if high == last && low != high && low != 0 => format!("≥ {}", number(low, hexadecimal)),
            (low, high) => range(low, high, hexadecimal),
        })
        .collect();
    match all.len().saturating_sub(RANGES_SHOWN) {
        0 => {}
        1 => words.push("and one more range".to_string()),
        more => words.push(format!("and {more} more ranges")),
    }
    words.join(", ")
}

fn range(low: u32, high: u32, hexadecimal: bool) -> String {
    let [first, last] = [low, high].map(|value| number(value, hexadecimal));
    if low == high { first } else { format!("{first} to {last}") }
}

fn number(value: u32, hexadecimal: bool) -> String {
    if hexadecimal || value >= 0x1_0000 { format!("{value:#x}") } else { value.to_string() }
}

#[cfg(test)]
#[path = "label_tests.rs"]
mod tests;
