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
