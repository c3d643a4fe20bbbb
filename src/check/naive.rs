//! The simplest compiler that could work, as an oracle for tests: a chain of comparisons in the order of the policy.

use crate::arch::Arch;
use crate::bpf::opcode::*;
use crate::bpf::{Action, Endian, Insn, Program, SyscallData};
use crate::policy::{Condition, Gate, InstallOptions, Policy, Rule, Section, Source, Test};
use crate::profile::{Diagnostics, Width};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// An ALLOW rule.
pub(crate) fn rule(conditions: &[Condition]) -> Rule {
    let source = Source { entry: 0, path: String::new() };
    Rule { action: Action::Allow, conditions: conditions.to_vec(), narrower: vec![], source }
}

/// A policy for one ABI with the default ERRNO(1), bad arch KILL_PROCESS, unlisted x32 TRAP.
pub(crate) fn policy(arch: Arch, calls: &[(u32, Vec<Rule>)]) -> Policy {
    let calls = calls.iter().map(|(nr, rules)| (*nr, rules.as_slice().into())).collect();
    Policy {
        sections: vec![Section { arch, default: Action::Errno(1), unlisted: vec![], calls }],
        bad_arch: Action::KillProcess,
        unlisted_x32: Action::Trap(0),
        diagnostics: Diagnostics::new(),
        install_options: InstallOptions::default(),
    }
}

/// A jump target that is placed later.
#[derive(Clone, Copy)]
struct Label(usize);

struct Naive {
    insns: Vec<Insn>,
    labels: Vec<usize>,
    /// JA instructions whose target is not known yet.
    jumps: Vec<(usize, Label)>,
    endian: Endian,
}

/// A program that does what the policy says; `None` if it becomes longer than the kernel accepts.
pub(crate) fn compile(policy: &Policy) -> Option<Program> {
    let mut naive = Naive { insns: vec![], labels: vec![], jumps: vec![], endian: policy.endian() };
    let mut tokens: Vec<u32> = policy.arches().map(Arch::audit).collect();
    tokens.dedup();
    for token in tokens {
        let next = naive.label();
        naive.load(SyscallData::ARCH);
        naive.unless(JEQ_K, token, next);
        naive.token(policy, token);
        naive.place(next);
    }
    naive.ret(policy.bad_arch);
    naive.finish()
}

impl Naive {
    fn token(&mut self, policy: &Policy, token: u32) {
        let spaces = [(0, 0x3fff_ffff), (0x4000_0000, 0x7fff_ffff), (0x8000_0000, 0xbfff_ffff)];
        for (first, end) in spaces.into_iter().chain([(0xc000_0000, 0xffff_fffe), (0xffff_ffff, 0xffff_ffff)]) {
            let next = self.label();
            self.between(first, end, next);
            match policy.gate(token, first) {
                Gate::Refused(action) => self.ret(action),
                Gate::Section(section) => self.section(section, first, end),
            }
            self.place(next);
        }
    }

    fn section(&mut self, section: &Section, first: u32, end: u32) {
        let mut calls = section.calls.range(first..=end).peekable();
        while let Some((&start, rules)) = calls.next() {
            let mut last = start;
            while let Some((&nr, _)) = calls.next_if(|&(&nr, other)| nr - 1 == last && other == rules) {
                last = nr;
            }
            let next = self.label();
            self.between(start, last, next);
            self.rules(rules);
            self.ret(section.default);
            self.place(next);
        }
        for span in &section.unlisted {
            let next = self.label();
            self.between(span.first, span.last, next);
            self.ret(span.action);
            self.place(next);
        }
        self.ret(section.default);
    }

    fn between(&mut self, first: u32, end: u32, next: Label) {
        self.load(SyscallData::NR);
        self.unless(JGE_K, first, next);
        self.when(JGT_K, end, next);
    }

    fn rules(&mut self, rules: &[Rule]) {
        let mut order: Vec<&Rule> = rules.iter().collect();
        order.sort_by_key(|rule| rule.action);
        for rule in order {
            let no_say = self.label();
            self.unless_matches(rule, no_say);
            for narrower in rule.narrower.iter().filter_map(|&index| rules.get(index)) {
                let unbeaten = self.label();
                self.unless_matches(narrower, unbeaten);
                self.jump(no_say);
                self.place(unbeaten);
            }
            self.ret(rule.action);
            self.place(no_say);
        }
    }

    fn unless_matches(&mut self, rule: &Rule, otherwise: Label) {
        for condition in &rule.conditions {
            let holds = self.label();
            self.condition(condition, holds, otherwise);
            self.place(holds);
        }
    }

    /// Jumps to one of the two.
    fn condition(&mut self, condition: &Condition, yes: Label, no: Label) {
        let (value, mask) = match condition.test {
            Test::MaskedEq { mask, value } => (value, mask),
            Test::Eq(v) | Test::Ne(v) | Test::Lt(v) | Test::Le(v) | Test::Gt(v) | Test::Ge(v) => (v, u64::MAX),
        };
        let (high, low) = ((value >> 32) as u32, value as u32);
        match condition.width {
            Width::Bits32 => self.insns.push(Insn::stmt(LD_IMM, 0)),
            Width::Bits64 => self.load(SyscallData::high_word(condition.arg, self.endian).unwrap()),
        }
        self.mask((mask >> 32) as u32);
        // What a greater high half decides, and where the low half counts: the test, if it holds, if not.
        let (greater, less, test, holds, fails) = match condition.test {
            Test::Eq(_) | Test::MaskedEq { .. } => (no, no, JEQ_K, yes, no),
            Test::Ne(_) => (yes, yes, JEQ_K, no, yes),
            Test::Gt(_) => (yes, no, JGT_K, yes, no),
            Test::Ge(_) => (yes, no, JGE_K, yes, no),
            Test::Lt(_) => (no, yes, JGE_K, no, yes),
            Test::Le(_) => (no, yes, JGT_K, no, yes),
        };
        self.when(JGT_K, high, greater);
        self.unless(JEQ_K, high, less);
        self.load(SyscallData::low_word(condition.arg, self.endian).unwrap());
        self.mask(mask as u32);
        self.when(test, low, holds);
        self.jump(fails);
    }

    fn mask(&mut self, mask: u32) {
        if mask != u32::MAX {
            self.insns.push(Insn::stmt(AND_K, mask));
        }
    }

    fn load(&mut self, offset: u32) {
        self.insns.push(Insn::stmt(LD_W_ABS, offset));
    }

    fn ret(&mut self, action: Action) {
        self.insns.push(Insn::stmt(RET_K, action.to_raw()));
    }

    fn when(&mut self, code: u16, k: u32, to: Label) {
        self.insns.push(Insn::new(code, 0, 1, k));
        self.jump(to);
    }

    fn unless(&mut self, code: u16, k: u32, to: Label) {
        self.insns.push(Insn::new(code, 1, 0, k));
        self.jump(to);
    }

    fn jump(&mut self, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.insns.push(Insn::stmt(JA, 0));
    }

    fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() - 1)
    }

    fn place(&mut self, label: Label) {
        self.labels[label.0] = self.insns.len();
    }

    fn finish(mut self) -> Option<Program> {
        for (at, to) in self.jumps {
            self.insns[at].k = (self.labels[to.0] - at - 1) as u32;
        }
        Program::new(self.insns).ok()
    }
}
