//! Why a generator's program is not the policy, or why there is none: the only reasons that are accepted.

use crate::case::{Case, Rule, constant, is_narrow};
use crate::generators::Generator;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::profile::{Arg, Op};
use std::ops::RangeInclusive;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The generator was given less, and its program is exactly that.
    Restated,
    HighNumbers,
    Overlap,
    TooWide,
    Multiplexed,
    SixteenBits,
    NoRule,
    OneAbi,
    NoArgument,
    Repeated,
    NarrowOrder,
    DefaultAction,
    SameCondition,
    OursRefuses,
    TimeLimit,
}

impl Class {
    pub fn words(self) -> &'static str {
        match self {
            Self::Restated => {
                "differs: says less (one action for matches, or the width of the C type), and exactly that"
            }
            Self::HighNumbers => "differs: numbers from 0x80000000 to 0xbfffffff are taken for x32",
            Self::Overlap => "differs: rules of different actions match the call, and another one counts",
            Self::TooWide => "differs: constants that do not fit a 32-bit argument are cut",
            Self::Multiplexed => "differs: conditions on a call that has a multiplexed form",
            Self::SixteenBits => "differs: 16 bits of a mode_t are compared, which is what the kernel reads",
            Self::NoRule => "differs: a bug of libseccomp, its answer is that of no rule that matches the call",
            Self::OneAbi => "no program: several ABIs",
            Self::NoArgument => "no program: a condition on an argument that the call does not have",
            Self::Repeated => "no program: two conditions on one argument",
            Self::NarrowOrder => "no program: a 32-bit comparison that is not for equality",
            Self::DefaultAction => "no program: a rule with the default action",
            Self::SameCondition => "no program: equal or overlapping conditions with different actions",
            Self::OursRefuses => "not compared: the policy contradicts itself",
            Self::TimeLimit => "no program within the time limit",
        }
    }
}

/// Why a generator is not asked.
pub fn not_for(generator: &dyn Generator, case: &Case) -> Option<Class> {
    (case.arches.len() > 1 && !generator.name().starts_with("libseccomp")).then_some(Class::OneAbi)
}

/// Why there is no program, by what the policy has.
pub fn refused(case: &Case, error: &str) -> Option<Class> {
    let any = |test: &dyn Fn(&Rule) -> bool| case.rules.iter().any(test);
    if error.contains("no 32-bit comparison") {
        return Some(Class::NarrowOrder);
    }
    if error.contains("InvalidArg") {
        return Some(Class::NoArgument);
    }
    if any(&|rule| rule.action == case.default) {
        return Some(Class::DefaultAction);
    }
    if any(&|rule| repeats(rule)) {
        return Some(Class::Repeated);
    }
    case.rules.iter().any(|rule| has_other_action(case, &rule.call)).then_some(Class::SameCondition)
}

/// Why calls of an architecture may differ. The case is what the generator was given; for each region of arguments that
/// differs there is a call, and what the policy and the program say to it. Rules are tried by hand here, so that ours is judged as well.
pub fn of_calls(
    generator: &dyn Generator,
    case: &Case,
    token: u64,
    numbers: &RangeInclusive<u64>,
    examples: &[(SyscallData, [Action; 2])],
) -> Option<Vec<Class>> {
    let native = token == u64::from(Arch::X86_64.audit());
    let gated = generator.name().starts_with("libseccomp") || generator.name() == "seacomb";
    if native && gated && *numbers.start() >= 0x8000_0000 && *numbers.end() < 0xc000_0000 {
        return Some(vec![Class::HighNumbers]);
    }
    if numbers.start() != numbers.end() {
        return None;
    }
    let arch = if native { Arch::X86_64 } else { Arch::X86 };
    let name = arch.name(u32::try_from(*numbers.start()).ok()?)?;
    if arch == Arch::X86 && ["socketcall", "socket", "sendto"].contains(&name) {
        return Some(vec![Class::Multiplexed]);
    }
    let rules: Vec<&Rule> = case.rules.iter().filter(|rule| rule.call == name).collect();
    examples.iter().map(|(call, said)| of_call(generator, case, &rules, arch, call, *said)).collect()
}

/// Why one call may differ, of which these rules are.
fn of_call(
    generator: &dyn Generator,
    case: &Case,
    rules: &[&Rule],
    arch: Arch,
    call: &SyscallData,
    [ours, theirs]: [Action; 2],
) -> Option<Class> {
    let Some(right) = answer(case, rules, call) else { return Some(Class::Overlap) };
    let too_wide = |arg: &Arg| !is_narrow(arg) && widest(arg) > u64::from(u32::MAX);
    if arch == Arch::X86 && rules.iter().flat_map(|rule| &rule.args).any(too_wide) {
        return Some(Class::TooWide);
    }
    let mut typed = *call;
    typed.args[3] &= 0xffff;
    let is_mode = generator.name() == "seacomb" && arch.number("openat") == Some(call.nr);
    if is_mode && typed != *call && answer(case, rules, &typed).is_none_or(|action| action == theirs) {
        return Some(Class::SixteenBits);
    }
    let libseccomp = generator.name().starts_with("libseccomp");
    (libseccomp && rules.len() > 1 && right == ours).then_some(Class::NoRule)
}

/// What the rules say to a call, if they do not contradict each other.
fn answer(case: &Case, rules: &[&Rule], call: &SyscallData) -> Option<Action> {
    match matching(rules, call)[..] {
        [] => Some(case.default),
        [action] => Some(action),
        _ => None,
    }
}

/// The different actions of the rules that match a call.
fn matching(rules: &[&Rule], call: &SyscallData) -> Vec<Action> {
    let matching = rules.iter().filter(|rule| rule.args.iter().all(|arg| holds(arg, call)));
    let mut actions: Vec<Action> = matching.map(|rule| rule.action).collect();
    actions.sort_unstable();
    actions.dedup();
    actions
}

fn holds(arg: &Arg, call: &SyscallData) -> bool {
    let value = call.args[usize::from(arg.index())];
    let value = if is_narrow(arg) { value & u64::from(u32::MAX) } else { value };
    match arg.op() {
        Op::Eq => value == arg.value(),
        Op::Ne => value != arg.value(),
        Op::Lt => value < arg.value(),
        Op::Le => value <= arg.value(),
        Op::Gt => value > arg.value(),
        Op::Ge => value >= arg.value(),
        Op::MaskedEq => value & arg.value() == arg.value_two(),
        _ => false,
    }
}

fn widest(arg: &Arg) -> u64 {
    if arg.op() == Op::MaskedEq { arg.value().max(arg.value_two()) } else { constant(arg) }
}

fn repeats(rule: &Rule) -> bool {
    rule.args
        .iter()
        .enumerate()
        .any(|(at, arg)| rule.args.iter().skip(at + 1).any(|other| other.index() == arg.index()))
}

/// Whether rules of the call have more than one action.
fn has_other_action(case: &Case, call: &str) -> bool {
    let mut actions = case.rules.iter().filter(|rule| rule.call == call).map(|rule| rule.action);
    let first = actions.next();
    actions.any(|action| Some(action) != first)
}
