//! libseccomp, by its Rust bindings.
//!
//! Names that the linked version does not know are given by number. That works on the native ABI only, so in a filter for
//! several ABIs such a name is left out, as container runtimes do.

use super::{Failure, Generator};
use crate::case::{Case, Rule, is_narrow};
use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::policy::UnlistedX32;
use callsieve::profile::{Arg, Op};
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall, ScmpVersion};
use std::io::Read;

pub struct Libseccomp {
    /// 1: a chain by priority, 2: a tree.
    pub level: u32,
}

pub fn version() -> String {
    ScmpVersion::current().map_or_else(|_| "unknown".to_owned(), |version| version.to_string())
}

impl Generator for Libseccomp {
    fn name(&self) -> String {
        format!("libseccomp level {}", self.level)
    }

    fn compile(&self, case: &Case) -> Result<Vec<u8>, Failure> {
        let mut context = ScmpFilterContext::new(action(case.default)?)?;
        context.set_act_badarch(ScmpAction::KillProcess)?.set_ctl_optimize(self.level)?;
        for &arch in case.arches.iter().skip(1) {
            context.add_arch(abi(arch)?)?;
        }
        for rule in &case.rules {
            add(&mut context, case, rule)?;
        }
        // The one way out that all versions have.
        let (mut reader, writer) = std::io::pipe()?;
        context.export_bpf(&writer)?;
        drop(writer);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn x32(&self) -> UnlistedX32 {
        UnlistedX32::BadArch
    }

    fn restated(&self, case: &Case) -> Option<(Vec<Rule>, String)> {
        let (taken, left): (Vec<Rule>, Vec<Rule>) =
            case.rules.iter().cloned().partition(|rule| number(case, &rule.call).is_some());
        let names: Vec<&str> = left.iter().map(|rule| rule.call.as_str()).collect();
        (!left.is_empty()).then(|| (taken, format!("does not know {}", names.join(", "))))
    }
}

/// The call as the library takes it, if it does.
fn number(case: &Case, call: &str) -> Option<ScmpSyscall> {
    match ScmpSyscall::from_name(call) {
        Ok(known) => Some(known),
        Err(_) if case.arches.len() == 1 => i32::try_from(Arch::X86_64.number(call)?).ok().map(ScmpSyscall::from),
        Err(_) => None,
    }
}

fn add(context: &mut ScmpFilterContext, case: &Case, rule: &Rule) -> Result<(), Failure> {
    let Some(call) = number(case, &rule.call) else { return Ok(()) };
    let comparisons = rule.args.iter().map(comparison).collect::<Result<Vec<_>, _>>()?;
    context
        .add_rule_conditional(action(rule.action)?, call, &comparisons)
        .map_err(|error| format!("{} is refused: {error}", rule.call))?;
    Ok(())
}

fn comparison(arg: &Arg) -> Result<ScmpArgCompare, Failure> {
    let all = u64::from(u32::MAX);
    let (op, value) = match (arg.op(), is_narrow(arg)) {
        (Op::Eq, true) => (ScmpCompareOp::MaskedEqual(all), arg.value()),
        (Op::MaskedEq, true) => (ScmpCompareOp::MaskedEqual(arg.value() & all), arg.value_two()),
        (_, true) => return Err("no 32-bit comparison but equality".into()),
        (Op::Eq, false) => (ScmpCompareOp::Equal, arg.value()),
        (Op::Ne, false) => (ScmpCompareOp::NotEqual, arg.value()),
        (Op::Lt, false) => (ScmpCompareOp::Less, arg.value()),
        (Op::Le, false) => (ScmpCompareOp::LessOrEqual, arg.value()),
        (Op::Ge, false) => (ScmpCompareOp::GreaterEqual, arg.value()),
        (Op::Gt, false) => (ScmpCompareOp::Greater, arg.value()),
        (Op::MaskedEq, false) => (ScmpCompareOp::MaskedEqual(arg.value()), arg.value_two()),
        (op, _) => return Err(format!("no comparison {op:?}").into()),
    };
    Ok(ScmpArgCompare::new(arg.index().into(), op, value))
}

fn action(action: Action) -> Result<ScmpAction, Failure> {
    Ok(match action {
        Action::Allow => ScmpAction::Allow,
        Action::Errno(number) => ScmpAction::Errno(number.into()),
        Action::Trap(0) => ScmpAction::Trap,
        Action::KillProcess => ScmpAction::KillProcess,
        other => return Err(format!("no action {other}").into()),
    })
}

fn abi(arch: Arch) -> Result<ScmpArch, Failure> {
    match arch {
        Arch::X86 => Ok(ScmpArch::X86),
        Arch::X32 => Ok(ScmpArch::X32),
        other => Err(format!("{other} is in no benchmark").into()),
    }
}
