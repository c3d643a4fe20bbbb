//! What is prepared before a signal, so that the handler only compares numbers and copies text.

use super::SigsysInfo;
use crate::arch::Arch;
use crate::bpf::{Action, SyscallData};
use crate::policy::{Condition, Policy, Rule};
use core::fmt::{self, Write};

/// Rules by call.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Rising by token and number.
    calls: Vec<Call>,
    pub(super) fail_with: Option<u16>,
}

#[derive(Debug)]
struct Call {
    token: u32,
    nr: u32,
    /// The rules that let it pass.
    rules: Vec<Allowing>,
}

#[derive(Debug)]
struct Allowing {
    /// Action and place, such as `ALLOW by rule 2`.
    words: String,
    conditions: Vec<(Condition, String)>,
}

impl Prepared {
    pub(super) fn new(policy: &Policy) -> Self {
        let mut calls = Vec::new();
        for section in &policy.sections {
            for (&nr, rules) in &section.calls {
                let rules = rules.iter().filter(|rule| rule.action >= Action::Log).map(allowing).collect();
                calls.push(Call { token: section.arch.audit(), nr, rules });
            }
        }
        calls.sort_by_key(|call| (call.token, call.nr));
        Self { calls, fail_with: None }
    }

    /// Writes what happened. Runs in a signal handler.
    pub(super) fn explain(&self, info: &SigsysInfo, line: &mut Line) {
        let call = info.call();
        let arch = abi(call);
        let _ = line.write_str("callsieve: ");
        let _ = match arch.and_then(|arch| arch.name(call.nr)) {
            Some(name) => line.write_str(name),
            None => write!(line, "call {:#x}", call.nr),
        };
        let arguments = arch.and_then(|arch| arch.prototype(call.nr)).map_or(6, |prototype| prototype.args().count());
        for index in 0..arguments {
            let _ = line.write_str(if index == 0 { "(" } else { ", " });
            write_argument(line, info, index);
        }
        let _ = line.write_str(if arguments == 0 { "() on " } else { ") on " });
        let _ = match arch {
            Some(arch) => line.write_str(arch.short_name()),
            None => write!(line, "architecture {:#x}", call.arch),
        };
        let _ = line.write_str(" is denied (TRAP)\n");
        let found = self.calls.binary_search_by_key(&(call.arch, call.nr), |call| (call.token, call.nr));
        let rules = found.ok().and_then(|index| self.calls.get(index)).map_or(&[][..], |call| &call.rules);
        if rules.is_empty() {
            let _ = line.write_str("  no rule allows it\n");
        }
        for rule in rules {
            rule.explain(info, line);
        }
    }
}

fn allowing(rule: &Rule) -> Allowing {
    let conditions = rule.conditions.iter().map(|condition| (*condition, condition.to_string())).collect();
    Allowing { words: format!("{} by {}", rule.action, rule.source.path), conditions }
}

impl Allowing {
    fn explain(&self, info: &SigsysInfo, line: &mut Line) {
        let known = |condition: &Condition| info.argument(usize::from(condition.arg)).is_some();
        let failed = |(condition, _): &&(Condition, String)| !known(condition) || !condition.holds(&info.call().args);
        let mut any = false;
        for (condition, words) in self.conditions.iter().filter(failed) {
            let index = usize::from(condition.arg);
            let _ = match (any, known(condition)) {
                (false, _) => write!(line, "  {} needs {words}", self.words),
                (true, _) => write!(line, ", and {words}"),
            };
            let _ = write!(line, ", but arg{index} is ");
            write_argument(line, info, index);
            any = true;
        }
        if !any {
            // Another rule denies it, or another filter.
            let _ = write!(line, "  {} would hold, so a narrower rule or another filter denies it", self.words);
        }
        let _ = line.write_str("\n");
    }
}

fn write_argument(line: &mut Line, info: &SigsysInfo, index: usize) {
    let _ = match info.argument(index) {
        Some(value) if value < 0x1_0000 => write!(line, "{value}"),
        Some(value) => write!(line, "{value:#x}"),
        None => line.write_str("unknown"),
    };
}

/// The ABI of a call.
pub(super) fn abi(call: &SyscallData) -> Option<Arch> {
    let x32 = call.arch == Arch::X32.audit() && call.nr & Arch::X32_BIT != 0 && call.nr != u32::MAX;
    let fits = |arch: &Arch| arch.audit() == call.arch && (*arch == Arch::X32) == x32;
    Arch::ALL.into_iter().find(fits)
}

/// Text on the stack. What does not fit is cut.
pub(super) struct Line {
    bytes: [u8; 2048],
    length: usize,
}

impl Line {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; 2048], length: 0 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let length = room.len().min(text.len());
        for (place, byte) in room.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        self.length = self.length.saturating_add(length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Target;
    use crate::profile::{Profile, arg};

    fn explained(call: SyscallData, known: u8) -> String {
        let profile = Profile::new(Action::Trap(0))
            .allow(["read", "write"])
            .allow_if("socket", [arg::<0>().eq(1), arg::<1>().ne(3)])
            .allow_if("socket", [arg::<0>().ge(0x1_0000_0000)]);
        let policy = profile.resolve(&Target::exactly(&[Arch::X86_64, Arch::X86])).unwrap();
        let mut line = Line::new();
        Prepared::new(&policy).explain(&SigsysInfo { call, known, data: 0 }, &mut line);
        String::from_utf8(line.bytes().to_vec()).unwrap()
    }

    #[test]
    fn what_the_handler_says() {
        let socket =
            SyscallData { nr: 41, arch: Arch::X86_64.audit(), args: [40, 3, 0, 9, 9, 9], ..Default::default() };
        assert_eq!(
            explained(socket, 0x3f),
            "callsieve: socket(40, 3, 0) on x86_64 is denied (TRAP)\n\
             \x20 ALLOW by rule 2 needs arg0 as u32 == 1, but arg0 is 40, and arg1 as u32 != 3, but arg1 is 3\n\
             \x20 ALLOW by rule 3 needs arg0 as u32 >= 0x100000000, but arg0 is 40\n"
        );
        assert!(explained(socket, 0x3e).contains("socket(unknown, 3, 0)"));
        let mount = SyscallData { nr: 165, ..socket };
        assert!(explained(mount, 0x3f).ends_with("is denied (TRAP)\n  no rule allows it\n"));
        let unknown = SyscallData { nr: 9999, arch: 7, ..socket };
        assert!(explained(unknown, 0x3f).starts_with("callsieve: call 0x270f(40, 3, 0, 9, 9, 9) on architecture 0x7"));
    }

    #[test]
    fn long_texts_are_cut() {
        let mut line = Line::new();
        for _ in 0..1000 {
            let _ = line.write_str("12345678");
        }
        assert_eq!(line.bytes().len(), 2048);
    }
}
