//! What conditions look at, by the prototypes of the kernel.

use super::review::{Review, listed};
use crate::arch::{Arch, ArgPart, ArgType};
use crate::bpf::Action;
use crate::check::answers::{Args, runs};
use crate::check::bdd::{Exhausted, FALSE};
use crate::profile::{ActionSpec, Call, Code, Diagnostic, Example, Rule, Severity};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

pub(super) fn check(review: &mut Review<'_>) -> Result<(), Exhausted> {
    wide(review)?;
    clone_order(review)?;
    continued(review);
    Ok(())
}

/// Of the comparisons that look at bits which the kernel does not, those stay where such bits let a call run that
/// otherwise would not, each with such a call.
fn wide(review: &mut Review<'_>) -> Result<(), Exhausted> {
    let suspects = |found: &Diagnostic| found.code() == Code::WideComparison && found.severity() == Severity::Warning;
    let (suspected, found): (Vec<_>, Vec<_>) = core::mem::take(&mut review.found).into_iter().partition(suspects);
    review.found = found;
    for found in suspected {
        let Some((rule, index)) = condition_at(review, found.path()) else {
            review.push(found);
            continue;
        };
        if let Some(example) = passing(review, rule, index)? {
            review.push(found.with_example(Some(example)));
        }
    }
    Ok(())
}

/// The condition with this place: its rule, and the argument that it looks at.
fn condition_at<'a>(review: &Review<'a>, place: &str) -> Option<(&'a Rule, u8)> {
    review.entries().filter(|(_, rule)| place.starts_with(rule.path())).find_map(|(_, rule)| {
        let position = (0..rule.args().len()).find(|&position| review.arg_place(rule, position) == place)?;
        Some((rule, rule.args().get(position)?.index()))
    })
}

/// A call that runs, and would not with the bits of an argument at 0 that the kernel does not read.
fn passing(review: &mut Review<'_>, rule: &Rule, index: u8) -> Result<Option<Example>, Exhausted> {
    for arch in review.arches() {
        for nr in rule.calls().iter().filter_map(|call| number(call, arch)) {
            let Some(arg) = arch.prototype(nr).and_then(|prototype| prototype.arg(index)) else { continue };
            if arg.part() != ArgPart::Whole || arg.bits() > 32 {
                continue;
            }
            let function = review.answers.of(arch, nr)?;
            let open = review.answers.where_answer(function, &runs)?;
            let top = u16::from(index).saturating_mul(64).saturating_add(64);
            let unread = top..top.saturating_add(64).saturating_sub(arg.bits().into());
            let honest = review.answers.with_zeros(open, unread)?;
            let passing = review.answers.bdd.ite(honest, FALSE, open)?;
            if let Some(args) = review.answers.example(passing) {
                return Ok(Some(review.example(arch, nr, args, 0)));
            }
        }
    }
    Ok(None)
}

fn number(call: &Call, arch: Arch) -> Option<u32> {
    match call {
        Call::Name(name) => arch.number(name),
        Call::Number(own, number) => (*own == arch).then_some(*number),
    }
}

/// On s390 the flags of clone are its second argument.
fn clone_order(review: &mut Review<'_>) -> Result<(), Exhausted> {
    for arch in review.arches() {
        let Some(nr) = arch.number("clone") else { continue };
        let prototype = arch.prototype(nr);
        let flags = prototype.and_then(|prototype| prototype.args().position(|arg| arg.name() == "clone_flags"));
        let Some(flags) = flags.and_then(|flags| u16::try_from(flags).ok()) else { continue };
        let function = review.answers.of(arch, nr)?;
        let asks = |argument: u16, answers: &mut crate::check::answers::Answers<'_>| -> Result<bool, Exhausted> {
            let top = argument.saturating_mul(64).saturating_add(64);
            Ok(answers.with_zeros(function, top..top.saturating_add(64))? != function)
        };
        // A rule that looks at another argument in place of the flags.
        if asks(flags, &mut review.answers)? || !asks(1_u16.saturating_sub(flags), &mut review.answers)? {
            continue;
        }
        let other = 1_u16.saturating_sub(flags);
        let position = |rule: &Rule| rule.args().iter().position(|arg| u16::from(arg.index()) == other);
        let Some((rule, position)) = review.naming("clone").find_map(|(rule, _)| Some((rule, position(rule)?))) else {
            continue;
        };
        let open = review.answers.where_answer(function, &runs)?;
        let args: Option<Args> = review.answers.example(open);
        let example = args.map(|mut args| {
            // All new namespaces, which a rule on flags is about.
            if let Some(slot) = args.get_mut(usize::from(flags)) {
                *slot = 0x7e02_0000;
            }
            review.example(arch, nr, args, 2)
        });
        let text = format!(
            "clone: on {arch} the flags are argument {flags}, and no rule looks at them; argument {other} is the new \
             stack"
        );
        let place = review.arg_place(rule, position);
        review.push(Diagnostic::new(Severity::Warning, Code::ArgOrder, place, text).with_example(example));
        return Ok(());
    }
    Ok(())
}

/// A supervisor that lets a call go on cannot decide about what pointers lead to.
fn continued(review: &mut Review<'_>) {
    let Some(arch) = review.policy.arches().next() else { return };
    let mut found = Vec::new();
    for (_, rule) in review.entries().filter(|(_, rule)| rule.action() == &ActionSpec::Action(Action::Notify)) {
        let pointers = |call: &&Call| {
            let prototype = number(call, arch).and_then(|nr| arch.prototype(nr));
            prototype.is_some_and(|prototype| prototype.args().any(ArgType::is_pointer))
        };
        let names: Vec<_> = rule.calls().iter().filter(pointers).map(ToString::to_string).collect();
        if !names.is_empty() {
            let text = format!(
                "{}: NOTIFY, with arguments behind pointers: a supervisor that answers CONTINUE decides nothing about \
                 them, because they can change after its look",
                listed(&names, 10)
            );
            found.push((rule.path(), text));
        }
    }
    for (place, text) in found {
        review.report(Severity::Note, Code::NotifyContinue, place, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::lint;
    use crate::policy::Target;
    use crate::profile::{Format, Profile, arg};

    #[test]
    fn a_number_is_of_one_abi() {
        let call = Call::Number(Arch::X86_64, 7);
        assert_eq!([number(&call, Arch::X86_64), number(&call, Arch::X32)], [Some(7), None]);
        assert_eq!(number(&"read".into(), Arch::Mips), Some(4003));
    }

    /// Who looks at the flags of clone may look at the stack as well.
    #[test]
    fn the_flags_of_clone_on_s390() {
        let found = |conditions: Vec<crate::profile::Arg>| {
            let profile = Profile::new(Action::Errno(1)).allow_if("clone", conditions);
            let found = lint(&profile, &Target::exactly(&[Arch::S390x])).unwrap();
            found.iter().filter(|found| found.code() == Code::ArgOrder).count()
        };
        let (stack, flags) = (arg::<0>().masked_eq(0x7e02_0000, 0), arg::<1>().masked_eq(0x7e02_0000, 0));
        assert_eq!(found(alloc::vec![stack]), 1);
        assert_eq!(found(alloc::vec![flags]), 0);
        assert_eq!(found(alloc::vec![stack, flags]), 0);
    }

    /// The kernel reads 16 bits of a mode; a comparison of 64 lets others pass.
    #[test]
    fn bits_above_a_short_argument() {
        let text = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            { "names": ["chmod"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 511, "op": "SCMP_CMP_NE"}] }
        ] }"#;
        let profile = Profile::from_json(text, Format::Docker).unwrap();
        let found = lint(&profile, &Target::exactly(&[Arch::X86_64])).unwrap();
        let wide = found.iter().find(|found| found.code() == Code::WideComparison).unwrap();
        assert_eq!(wide.example().unwrap().to_string(), "chmod(0x0, 0x101ff) on x86_64: ALLOW");
    }
}
