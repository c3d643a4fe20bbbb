//! The same policy with somebody to ask.

use super::rules::{Policy, Rule, Section, Source};
use super::unlisted::Span;
use crate::bpf::Action;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

impl Policy {
    /// The same policy, but for what it denies by ERRNO or by killing, where a supervisor is asked (NOTIFY) who knows
    /// what [`decide`](Self::decide) of this policy says. TRAP and TRACE stay: only the kernel can do that. Calls with
    /// the names in `except` are left alone on the listed ABIs.
    ///
    /// For calls where rules with TRAP and with KILL collide, TRAP wins here, and KILL in this policy.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// use callsieve::bpf::{Action, SyscallData};
    /// use callsieve::{Profile, Target};
    ///
    /// let profile = Profile::new(Action::Errno(1)).allow(["read"]);
    /// let policy = profile.resolve(&Target::exactly(&[Arch::X86_64]))?;
    /// let asking = policy.notify_denied(&["exit_group"]);
    /// let decide = |nr| asking.decide(&SyscallData { nr, arch: Arch::X86_64.audit(), ..SyscallData::default() });
    /// assert_eq!(decide(0), Action::Allow); // read
    /// assert_eq!(decide(1), Action::Notify); // write
    /// assert_eq!(decide(231), Action::Errno(1)); // exit_group
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn notify_denied(&self, except: &[&str]) -> Self {
        Self {
            sections: self.sections.iter().map(|section| section.notify_denied(except)).collect(),
            bad_arch: ask(self.bad_arch),
            unlisted_x32: ask(self.unlisted_x32),
            diagnostics: self.diagnostics.clone(),
            install_options: self.install_options.clone(),
        }
    }
}

impl Section {
    fn notify_denied(&self, except: &[&str]) -> Self {
        let exempt: Vec<u32> = except.iter().filter_map(|name| self.arch.number(name)).collect();
        let mut calls = self.calls.clone();
        for (nr, rules) in &mut calls {
            if !exempt.contains(nr) {
                *rules = rules.iter().map(|rule| Rule { action: ask(rule.action), ..rule.clone() }).collect();
            }
        }
        for nr in exempt {
            let rules = match calls.get(&nr) {
                Some(rules) => with_default(rules, self.default),
                None => with_default(&[], self.fallback(nr)),
            };
            calls.insert(nr, rules.into());
        }
        let default = ask(self.default);
        let spans = self.unlisted.iter().map(|span| Span { action: ask(span.action), ..*span });
        let unlisted = spans.filter(|span| span.action != default).collect();
        Self { arch: self.arch, default, unlisted, calls }
    }
}

/// The rules, and one that says what was the default action, where no other one matches.
fn with_default(rules: &[Rule], default: Action) -> Vec<Rule> {
    let source = Source { entry: 0, path: String::from("$.defaultAction") };
    let last = Rule { action: default, conditions: vec![], narrower: (0..rules.len()).collect(), source };
    rules.iter().cloned().chain([last]).collect()
}

fn ask(action: Action) -> Action {
    match action {
        Action::Errno(_) | Action::KillProcess | Action::KillThread => Action::Notify,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{Arch, KernelVersion};
    use crate::bpf::SyscallData;
    use crate::policy::{Target, Unlisted};
    use crate::profile::{Profile, arg};

    #[test]
    fn only_what_is_denied_is_asked_about() {
        let profile = Profile::new(Action::Errno(1))
            .allow("read")
            .rule(Action::KillThread, "write", [])
            .rule(Action::Trap(3), "close", [])
            .rule(Action::KillProcess, "ioctl", [arg::<1>().eq(7)])
            .rule(Action::KillProcess, "fcntl", [arg::<1>().eq(7)]);
        let newer_than = KernelVersion::new(6, 6);
        let target = Target::exactly(&[Arch::X86_64]).unlisted(Unlisted::Enosys { newer_than });
        let asking = profile.resolve(&target).unwrap().notify_denied(&["ioctl", "mseal", "bpf"]);
        let decide = |nr, second| {
            let args = [0, second, 0, 0, 0, 0];
            asking.decide(&SyscallData { nr, arch: Arch::X86_64.audit(), args, ..SyscallData::default() })
        };
        for (nr, second, expected) in [
            (0, 0, Action::Allow),
            (1, 0, Action::Notify),
            (3, 0, Action::Trap(3)),
            // ioctl and bpf, which stay, and mseal, which is newer.
            (16, 7, Action::KillProcess),
            (16, 8, Action::Errno(1)),
            (321, 0, Action::Errno(1)),
            (462, 0, Action::Errno(38)),
            (72, 7, Action::Notify),
            (72, 8, Action::Notify),
            (5000, 0, Action::Notify),
        ] {
            assert_eq!(decide(nr, second), expected, "{nr} with {second}");
        }
        assert!(asking.sections[0].unlisted.is_empty(), "they say what the default action says");
    }

    #[test]
    fn numbers_with_another_answer_keep_it() {
        let newer_than = KernelVersion::new(6, 6);
        let target = Target::exactly(&[Arch::X86_64]).unlisted(Unlisted::Enosys { newer_than });
        let policy = Profile::new(Action::Trap(1)).allow("read").resolve(&target).unwrap();
        let (before, after) = (&policy.sections[0].unlisted, policy.notify_denied(&[]));
        assert_eq!(after.sections[0].unlisted.len(), before.len());
        assert!(after.sections[0].unlisted.iter().all(|span| span.action == Action::Notify));
        assert_eq!(after.sections[0].fallback(5000), Action::Notify);
        assert_eq!(after.sections[0].fallback(2), Action::Trap(1));
    }
}
