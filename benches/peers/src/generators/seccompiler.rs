//! seccompiler: one ABI, and one action for whatever matches.

use super::{Failure, Generator};
use crate::case::{Case, Rule, is_narrow};
use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::profile::{Arg, Op};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

pub struct Seccompiler;

impl Generator for Seccompiler {
    fn name(&self) -> String {
        "seccompiler".to_owned()
    }

    fn compile(&self, case: &Case) -> Result<Vec<u8>, Failure> {
        if case.arches != [Arch::X86_64] {
            return Err("one ABI in a filter".into());
        }
        let matched = common_action(case);
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        for rule in case.rules.iter().filter(|rule| rule.action == matched) {
            let number = Arch::X86_64.number(&rule.call).ok_or("the call has no number")?;
            let alternatives = rules.entry(number.into()).or_default();
            // No alternative stands for every call, whatever its arguments.
            let always = |other: &Rule| other.call == rule.call && other.action == matched && other.args.is_empty();
            if !case.rules.iter().any(always) {
                let conditions = rule.args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
                alternatives.push(SeccompRule::new(conditions)?);
            }
        }
        let filter = SeccompFilter::new(rules, action(case.default)?, action(matched)?, TargetArch::x86_64)?;
        let program = BpfProgram::try_from(filter)?;
        Ok(program.iter().flat_map(insn_bytes).collect())
    }

    fn restated(&self, case: &Case) -> Option<(Vec<Rule>, String)> {
        let matched = common_action(case);
        let (taken, left): (Vec<Rule>, Vec<Rule>) = case.rules.iter().cloned().partition(|rule| rule.action == matched);
        let names: Vec<&str> = left.iter().map(|rule| rule.call.as_str()).collect();
        (!left.is_empty()).then(|| (taken, format!("has one action for matches, so no rule for {}", names.join(", "))))
    }
}

/// The action that most rules have.
fn common_action(case: &Case) -> Action {
    let count = |action: Action| case.rules.iter().filter(|rule| rule.action == action).count();
    case.rules.iter().map(|rule| rule.action).max_by_key(|&action| count(action)).unwrap_or(Action::Allow)
}

fn condition(arg: &Arg) -> Result<SeccompCondition, Failure> {
    let (op, value) = match arg.op() {
        Op::Eq => (SeccompCmpOp::Eq, arg.value()),
        Op::Ne => (SeccompCmpOp::Ne, arg.value()),
        Op::Lt => (SeccompCmpOp::Lt, arg.value()),
        Op::Le => (SeccompCmpOp::Le, arg.value()),
        Op::Ge => (SeccompCmpOp::Ge, arg.value()),
        Op::Gt => (SeccompCmpOp::Gt, arg.value()),
        Op::MaskedEq => (SeccompCmpOp::MaskedEq(arg.value()), arg.value_two()),
        op => return Err(format!("no comparison {op:?}").into()),
    };
    let width = if is_narrow(arg) { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword };
    Ok(SeccompCondition::new(arg.index(), width, op, value)?)
}

fn action(action: Action) -> Result<SeccompAction, Failure> {
    Ok(match action {
        Action::Allow => SeccompAction::Allow,
        Action::Errno(number) => SeccompAction::Errno(number.into()),
        Action::Trap(0) => SeccompAction::Trap,
        Action::KillProcess => SeccompAction::KillProcess,
        other => return Err(format!("no action {other}").into()),
    })
}

fn insn_bytes(insn: &seccompiler::sock_filter) -> [u8; 8] {
    let ([c0, c1], [k0, k1, k2, k3]) = (insn.code.to_ne_bytes(), insn.k.to_ne_bytes());
    [c0, c1, insn.jt, insn.jf, k0, k1, k2, k3]
}
