//! What the kernel's prototypes say about the conditions of an entry: how wide each looks, and which are doubtful.

use super::Test;
use super::findings::{Finding, Findings};
use super::settle::call_name;
use crate::arch::{Arch, ArgPart, ArgType};
use crate::bpf::Action;
use crate::profile::{Arg, Code, Op, Rule, Severity, Width};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const LOW: u64 = 0xffff_ffff;
const SIGN: u64 = 0x8000_0000;
/// What `mode_t` has room for.
const SHORT: u64 = 0xffff;

/// How each condition of an entry looks at its argument: by the type of the parameter, of so many bits, or (`None`) as
/// it was written.
pub(super) type Views = Vec<Option<u8>>;

/// The numbers of an entry, put together where its conditions look at their arguments in the same way.
pub(super) fn by_views(rule: &Rule, arch: Arch, numbers: Vec<u32>, typed: bool) -> BTreeMap<Views, Vec<u32>> {
    let mut groups: BTreeMap<Views, Vec<u32>> = BTreeMap::new();
    if !typed || rule.args.is_empty() {
        groups.insert(alloc::vec![None; rule.args.len()], numbers);
        return groups;
    }
    for nr in numbers {
        let prototype = arch.prototype(nr);
        let view = |arg: &Arg| prototype.and_then(|prototype| prototype.arg(arg.index)).and_then(bits);
        groups.entry(rule.args.iter().map(view).collect()).or_default().push(nr);
    }
    groups
}

/// The width that the type of a parameter gives a condition, where it is less than 64 bits.
fn bits(arg: ArgType) -> Option<u8> {
    (arg.part() == ArgPart::Whole && arg.bits() <= 32).then(|| arg.bits())
}

/// What a comparison with an argument of this many bits means.
///
/// Negative numbers come from C with their sign in the upper half or without: both stand for the same 32 bits. Of 16
/// bits, equality is looked at under a mask; an order cannot be, and sees 32.
pub(super) fn narrowed(test: Test, bits: u8) -> Test {
    let test = match test {
        Test::Eq(value) => Test::Eq(unsigned(value)),
        Test::Ne(value) => Test::Ne(unsigned(value)),
        Test::Lt(value) => Test::Lt(unsigned(value)),
        Test::Le(value) => Test::Le(unsigned(value)),
        Test::Gt(value) => Test::Gt(unsigned(value)),
        Test::Ge(value) => Test::Ge(unsigned(value)),
        Test::MaskedEq { mask, value } => unsigned_under(mask, value),
    };
    match test {
        Test::Eq(value) if bits == 16 && value <= SHORT => Test::MaskedEq { mask: SHORT, value },
        Test::MaskedEq { mask, value } if bits == 16 && value <= SHORT => Test::MaskedEq { mask: mask & SHORT, value },
        other => other,
    }
}

/// A number whose upper half is nothing but the sign of the lower one, without it; others as they are.
fn unsigned(value: u64) -> u64 {
    if value >> 31 == LOW << 1 | 1 { value & LOW } else { value }
}

/// The same under a mask: where all bits of the upper half that are looked at are expected to be set, the number is to
/// be negative.
fn unsigned_under(mask: u64, value: u64) -> Test {
    let (upper, expected) = (mask & !LOW, value & !LOW);
    let contradicts = mask & SIGN != 0 && value & SIGN == 0;
    if expected == 0 || expected != upper || contradicts {
        return Test::MaskedEq { mask, value };
    }
    Test::MaskedEq { mask: mask & LOW | SIGN, value: value & LOW | SIGN }
}

/// Tells the doubtful conditions of an entry for one call. `loosens` says whether the entry gives more than the default
/// action does; `None` if it gives the same.
pub(super) fn check(
    findings: &mut Findings<'_>,
    (entry, rule): (usize, &Rule),
    (arch, nr): (Arch, u32),
    typed: bool,
    loosens: Option<bool>,
) {
    let Some(prototype) = arch.prototype(nr) else { return };
    for (position, written) in rule.args.iter().enumerate() {
        let doubt = match prototype.arg(written.index) {
            None => Some(no_argument("the call has no such argument, so the kernel does not look at what is compared")),
            Some(arg) => doubt(arch, arg, written, typed, loosens),
        };
        if let Some((severity, code, text)) = doubt {
            findings.add(Finding {
                arg: Some(position),
                call: Some(call_name(arch, nr)),
                arch: Some(arch),
                text,
                ..Finding::new(severity, code, Some(entry))
            });
        }
    }
}

type Doubt = (Severity, Code, String);

fn no_argument(text: &str) -> Doubt {
    (Severity::Warning, Code::NoSuchArgument, text.into())
}

fn doubt(arch: Arch, arg: ArgType, written: &Arg, typed: bool, loosens: Option<bool>) -> Option<Doubt> {
    match arg.part() {
        ArgPart::Unused => {
            return Some(no_argument("the argument only aligns the next pair, so the kernel does not look at it"));
        }
        ArgPart::Low | ArgPart::High => {
            let half = if arg.part() == ArgPart::Low { "low" } else { "high" };
            let text = format!("compares the {half} half of the 64-bit \"{}\" only", arg.name());
            return Some((Severity::Warning, Code::HalfArgument, text));
        }
        ArgPart::Whole => {}
    }
    if arg.is_pointer() {
        let text = format!("compares the address \"{}\"; a filter cannot see what is stored there", arg.name());
        // Whether there is an address at all is a sensible question.
        let is_null = written.value == 0 && matches!(written.op, Op::Eq | Op::Ne);
        return (!is_null).then_some((Severity::Warning, Code::PointerComparison, text));
    }
    let loosens = loosens?;
    let short = arg.bits() == 16 && typed && !matches!(written.op, Op::Eq | Op::MaskedEq);
    let wide = arg.bits() <= 32 && !typed && arch.has_64bit_args() && written.width == Width::Bits64;
    if short && passes_by(written, loosens) {
        let text = "compares 32 bits, of which the kernel reads 16: set others, and the call passes by the rule; compare \
                    for equality, or under a mask";
        return Some((Severity::Warning, Code::WideComparison, text.into()));
    }
    if !wide {
        return None;
    }
    let bits = arg.bits();
    if passes_by(written, loosens) {
        let text = format!(
            "compares 64 bits, of which the kernel reads {bits}: set others, and the call passes by the rule; typed \
             widths close this (--arg-width typed)"
        );
        return Some((Severity::Warning, Code::WideComparison, text));
    }
    let negative = written.op != Op::MaskedEq && written.value & SIGN != 0;
    let text = "compares 64 bits, of which the kernel reads 32: programs pass such a number with its sign in the upper \
                half or without, and only one of the two matches; typed widths take both (--arg-width typed)";
    negative.then(|| (Severity::Note, Code::WideComparison, text.into()))
}

/// Whether bits that the kernel does not read can take a call out of an entry that restricts, or into one that allows.
fn passes_by(written: &Arg, loosens: bool) -> bool {
    match written.op {
        Op::Ne | Op::Gt | Op::Ge => loosens,
        Op::Eq | Op::Lt | Op::Le => !loosens,
        Op::MaskedEq => !loosens && written.value > LOW,
    }
}

/// Whether an action gives more than another one.
pub(super) fn loosens(action: Action, default: Action) -> Option<bool> {
    (action != default).then_some(action > default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn negative_numbers_in_both_spellings() {
        for spelling in [0xffff_ffff, u64::MAX] {
            assert_eq!(narrowed(Test::Eq(spelling), 32), Test::Eq(0xffff_ffff));
            assert_eq!(narrowed(Test::Gt(spelling), 32), Test::Gt(0xffff_ffff));
        }
        assert_eq!(narrowed(Test::Ne(0xffff_ffff_8000_0000), 32), Test::Ne(0x8000_0000));
        // No sign of the lower half: such a number is no 32-bit one, and stays too large for all of them.
        for value in [0x1_0000_0005, 0xffff_ffff_7fff_ffff, 0x7fff_ffff_ffff_ffff] {
            assert_eq!(narrowed(Test::Eq(value), 32), Test::Eq(value));
        }
    }

    #[test]
    fn masks_lose_the_sign_too() {
        let masked = |mask, value| Test::MaskedEq { mask, value };
        assert_eq!(narrowed(masked(u64::MAX, u64::MAX), 32), masked(LOW, LOW));
        assert_eq!(narrowed(masked(!0xf, !0xf), 32), masked(0xffff_fff0, 0xffff_fff0));
        // The sign alone is asked for.
        assert_eq!(narrowed(masked(1 << 63, 1 << 63), 32), masked(SIGN, SIGN));
        assert_eq!(narrowed(masked(0xf << 32 | 3, 0xf << 32 | 1), 32), masked(SIGN | 3, SIGN | 1));
        // Neither all nor none, or against the lower half: no number is like that.
        assert_eq!(narrowed(masked(u64::MAX, 1 << 32), 32), masked(u64::MAX, 1 << 32));
        assert_eq!(narrowed(masked(u64::MAX, LOW << 32), 32), masked(u64::MAX, LOW << 32));
        assert_eq!(narrowed(masked(0x7e02_0000, 0), 32), masked(0x7e02_0000, 0));
    }

    #[test]
    fn short_parameters_are_masked() {
        assert_eq!(narrowed(Test::Eq(0o4755), 16), Test::MaskedEq { mask: SHORT, value: 0o4755 });
        assert_eq!(narrowed(Test::MaskedEq { mask: 0x1_0fff, value: 1 }, 16), Test::MaskedEq { mask: 0xfff, value: 1 });
        assert_eq!(narrowed(Test::Eq(0x1_0000), 16), Test::Eq(0x1_0000));
        assert_eq!(narrowed(Test::Lt(5), 16), Test::Lt(5));
    }

    #[test]
    fn bits_that_the_kernel_does_not_read() {
        let a = crate::profile::arg::<0>();
        for (written, where_it_loosens, where_it_restricts) in [
            (a.eq(1), false, true),
            (a.lt(1), false, true),
            (a.le(1), false, true),
            (a.ne(1), true, false),
            (a.gt(1), true, false),
            (a.ge(1), true, false),
            (a.masked_eq(LOW - 1, 0), false, false),
            (a.masked_eq(LOW, 1), false, false),
            (a.masked_eq(LOW + 1, 0), false, true),
            (a.masked_eq(u64::MAX, 1), false, true),
        ] {
            assert_eq!(passes_by(&written, true), where_it_loosens, "{written}");
            assert_eq!(passes_by(&written, false), where_it_restricts, "{written}");
        }
        assert_eq!(loosens(Action::Allow, Action::Errno(1)), Some(true));
        assert_eq!(loosens(Action::Errno(1), Action::Allow), Some(false));
        assert_eq!(loosens(Action::Allow, Action::Allow), None);
    }

    /// What is doubtful about one condition of a call, as an entry that allows has it.
    fn doubts(arch: Arch, name: &str, written: &Arg) -> Option<(Severity, Code)> {
        let arg = arch.prototype(arch.number(name).unwrap()).unwrap().arg(written.index).unwrap();
        doubt(arch, arg, written, false, Some(true)).map(|(severity, code, _)| (severity, code))
    }

    #[test]
    fn addresses_are_compared_with_null_only() {
        let path = crate::profile::arg::<1>();
        let pointless = Some((Severity::Warning, Code::PointerComparison));
        for (written, expected) in [
            (path.eq(0), None),
            (path.ne(0), None),
            (path.eq(1), pointless),
            (path.ne(1), pointless),
            (path.gt(0), pointless),
            (path.lt(1), pointless),
        ] {
            assert_eq!(doubts(Arch::X86_64, "openat", &written), expected, "{written}");
        }
    }

    #[test]
    fn negative_numbers_are_noted_but_not_under_a_mask() {
        let domain = crate::profile::arg::<0>();
        let note = Some((Severity::Note, Code::WideComparison));
        assert_eq!(doubts(Arch::X86_64, "socket", &domain.eq(SIGN)), note);
        assert_eq!(doubts(Arch::X86_64, "socket", &domain.eq(SIGN - 1)), None);
        assert_eq!(doubts(Arch::X86_64, "socket", &domain.masked_eq(SIGN, SIGN)), None);
        assert_eq!(doubts(Arch::X86, "socket", &domain.eq(SIGN)), None);
    }

    #[test]
    fn halves_have_their_names() {
        let nr = Arch::X86.number("pread64").unwrap();
        let said = |index, written: Arg| {
            let arg = Arch::X86.prototype(nr).unwrap().arg(index).unwrap();
            doubt(Arch::X86, arg, &written, false, None).unwrap().2
        };
        assert_eq!(said(3, crate::profile::arg::<3>().eq(1)), "compares the low half of the 64-bit \"pos\" only");
        assert_eq!(said(4, crate::profile::arg::<4>().eq(1)), "compares the high half of the 64-bit \"pos\" only");
    }

    #[test]
    fn a_doubt_names_its_condition_and_its_call() {
        use crate::policy::{ArgWidth, Semantics, Target};
        let written = [crate::profile::arg::<0>().eq(1), crate::profile::arg::<1>().eq(1)];
        let profile = crate::profile::Profile::new(Action::Errno(1)).allow_if("openat", written);
        let target = Target::exactly(&[Arch::X86_64, Arch::X86]).semantics(Semantics::Oci).arg_width(ArgWidth::Written);
        let policy = profile.resolve(&target).unwrap();
        let told: Vec<String> = policy.diagnostics().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "rule 1, condition 2: openat: compares the address \"filename\"; a filter cannot see what is stored there"
            ]
        );
    }
}
