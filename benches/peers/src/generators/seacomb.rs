//! seacomb: conditions are on the C types of the arguments.
//!
//! Its only way out is to install, so a thread with a trap for seccomp(2) takes the program from there; see `capture`.

use super::{Failure, Generator};
use crate::capture;
use crate::case::{Case, Rule, is_narrow, narrowed};
use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::policy::UnlistedX32;
use callsieve::profile::{Arg, Op};
use seacomb::{BinOp, CmpOp, Cond, Expr, InstallFlags, Policy, PrimType, Syscall};
use std::sync::Arc;

pub struct Seacomb;

impl Generator for Seacomb {
    fn name(&self) -> String {
        "seacomb".to_owned()
    }

    fn compile(&self, case: &Case) -> Result<Vec<u8>, Failure> {
        if case.arches != [Arch::X86_64] {
            return Err("no x32".into());
        }
        let mut policy = Policy::new(action(case.default)?)?;
        policy.add_arch(seacomb::Arch::X86_64)?;
        policy.on_bad_arch(seacomb::Action::KillProcess)?;
        for rule in &case.rules {
            let syscall = Syscall::lookup(&rule.call).ok_or_else(|| format!("no call {}", rule.call))?;
            let conditions = rule.args.iter().map(|arg| condition(syscall, arg)).collect::<Result<Vec<_>, _>>()?;
            let cond = conditions.into_iter().reduce(|a, b| Arc::new(Cond::And(a, b))).unwrap_or(Arc::new(Cond::True));
            let action = action(rule.action)?;
            policy
                .add(seacomb::Rule { action, syscall, cond, archs: Vec::new(), no_mux: true })
                .map_err(|error| format!("{} is refused: {error:?}", rule.call))?;
        }
        let mut flags = InstallFlags::default();
        flags.ctl_nnp = false;
        match policy.install_with_flags(flags) {
            Err(seacomb::Error::InstallFailed(libc::EPERM)) => Ok(capture::take()),
            Err(error) => Err(error.into()),
            Ok(()) => Err("it was installed".into()),
        }
    }

    fn x32(&self) -> UnlistedX32 {
        UnlistedX32::BadArch
    }

    fn restated(&self, case: &Case) -> Option<(Vec<Rule>, String)> {
        let mut changed = Vec::new();
        let typed = |arg: &Arg, call: &str| {
            let narrow = Syscall::lookup(call).is_some_and(|syscall| bits(syscall, arg) == 32);
            if narrow { narrowed(arg) } else { *arg }
        };
        let rules = case
            .rules
            .iter()
            .map(|rule| {
                let args: Vec<Arg> = rule.args.iter().map(|arg| typed(arg, &rule.call)).collect();
                if args != rule.args && !changed.contains(&rule.call) {
                    changed.push(rule.call.clone());
                }
                Rule { args, ..rule.clone() }
            })
            .collect();
        let note = || format!("looks at the 32 bits of the C type in {}", changed.join(", "));
        (!changed.is_empty()).then(|| (rules, note()))
    }
}

fn condition(syscall: Syscall, arg: &Arg) -> Result<Arc<Cond>, Failure> {
    let width = if is_narrow(arg) { 32 } else { bits(syscall, arg) };
    let literal = |value: u64| Arc::new(Expr::Lit(value.cast_signed(), PrimType::U(width)));
    let value = Arc::new(Expr::Cast(Arc::new(Expr::Var(arg.index().into())), PrimType::U(width)));
    let compare = |op, left, right| Arc::new(Cond::Cmp(op, left, right));
    let constant = literal(arg.value());
    Ok(match arg.op() {
        Op::Eq => compare(CmpOp::Eq, value, constant),
        Op::Ne => Arc::new(Cond::Not(compare(CmpOp::Eq, value, constant))),
        Op::Lt => compare(CmpOp::Lt, value, constant),
        Op::Le => compare(CmpOp::Le, value, constant),
        Op::Ge => compare(CmpOp::Le, constant, value),
        Op::Gt => compare(CmpOp::Lt, constant, value),
        Op::MaskedEq => {
            let masked = Arc::new(Expr::BinOp(BinOp::And, value, constant));
            compare(CmpOp::Eq, masked, literal(arg.value_two()))
        }
        op => return Err(format!("no comparison {op:?}").into()),
    })
}

/// How wide its table says that an argument is: 32 or 64 bits.
fn bits(syscall: Syscall, arg: &Arg) -> u32 {
    match syscall.signature(seacomb::Arch::X86_64).get(usize::from(arg.index())) {
        Some(PrimType::I(bits) | PrimType::U(bits)) if *bits <= 32 => 32,
        _ => 64,
    }
}

fn action(action: Action) -> Result<seacomb::Action, Failure> {
    Ok(match action {
        Action::Allow => seacomb::Action::Allow,
        Action::Errno(number) => seacomb::Action::Errno(number),
        Action::Trap(data) => seacomb::Action::Trap(data),
        Action::KillProcess => seacomb::Action::KillProcess,
        other => return Err(format!("no action {other}").into()),
    })
}
