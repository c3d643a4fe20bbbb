//! One entry of a profile on one ABI: its action and its conditions in normal form.
//!
//! The normal form of a condition says what it means on this ABI: on 32-bit ABIs it is 32 bits wide, and a mask test
//! has no bits beyond its width and no datum beyond its mask. Constants are never cut; one that does not fit is larger
//! than every argument.

use super::arguments;
use super::findings::{Finding, Findings};
use super::solve::{self, OutOfWork, Work};
use super::{Condition, Semantics, Test};
use crate::arch::{Arch, Errno};
use crate::bpf::Action;
use crate::profile::{ActionSpec, Arg, Code, Dialect, Op, Profile, Rule, Severity, Width};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const LOW: u64 = 0xffff_ffff;

/// What an entry means for every call that it names.
#[derive(Debug)]
pub(super) struct Lowered {
    pub(super) action: Action,
    /// Each matches on its own.
    pub(super) alternatives: Vec<Alternative>,
}

/// Conditions that must all hold, and the condition's place in the entry if the entry was split.
#[derive(Debug)]
pub(super) struct Alternative {
    pub(super) conditions: Vec<Condition>,
    pub(super) arg: Option<usize>,
}

/// Lowers entries for one ABI.
#[derive(Debug)]
pub(super) struct Lowering<'a, 'p> {
    pub(super) profile: &'p Profile,
    pub(super) arch: Arch,
    pub(super) semantics: Semantics,
    pub(super) findings: &'a mut Findings<'p>,
    /// For what only serves diagnostics: when it runs out, some are missing.
    pub(super) doubts: &'a mut Work,
}

impl Lowering<'_, '_> {
    /// The entry's meaning for calls whose parameters give its conditions these widths; `None` if its action has none
    /// here, which is an error in the findings.
    pub(super) fn entry(&mut self, index: usize, rule: &Rule, views: &[Option<u8>]) -> Option<Lowered> {
        let action = self.action(&rule.action, Some(index))?;
        let written = rule.args.iter().zip(views).enumerate();
        let conditions: Vec<Condition> =
            written.map(|(arg, (written, view))| self.condition(index, (arg, written), *view)).collect();
        let alternatives = if self.splits(rule) {
            let _ = self.compare_readings(index, &normal(conditions.clone()));
            let single = |(arg, condition)| Alternative { conditions: alloc::vec![condition], arg: Some(arg) };
            conditions.into_iter().enumerate().map(single).collect()
        } else {
            let conditions = normal(conditions);
            let _ = self.check_satisfiable(index, &conditions);
            alloc::vec![Alternative { conditions, arg: None }]
        };
        Some(Lowered { action, alternatives })
    }

    /// The action on this ABI. ERRNO names are looked up here, because MIPS, PA-RISC and others have their own numbers.
    pub(super) fn action(&mut self, written: &ActionSpec, entry: Option<usize>) -> Option<Action> {
        let action = match written {
            ActionSpec::Action(action) => *action,
            ActionSpec::ErrnoName(name) => {
                let Some(number) = Errno::from_name(self.arch, name) else {
                    let text = format!("unknown error name {name:?}: a name of errno(3) is expected, such as EPERM");
                    self.add(Severity::Error, Code::BadField, entry, None, text);
                    return None;
                };
                Action::Errno(number.get())
            }
        };
        if let Action::Errno(number @ 4096..) = action {
            let text = format!("error number {number} is out of range: the kernel returns 0 to {}", Action::MAX_ERRNO);
            self.findings.add(Finding { text, ..Finding::new(Severity::Error, Code::ErrnoRange, entry) });
            return None;
        }
        Some(action)
    }

    /// Container runtimes make one rule of each condition if an index repeats.
    fn splits(&self, rule: &Rule) -> bool {
        let mut seen = [false; 6];
        let mut repeats =
            |arg: &Arg| seen.get_mut(usize::from(arg.index)).is_some_and(|seen| core::mem::replace(seen, true));
        self.semantics == Semantics::Oci
            && matches!(self.profile.dialect, Dialect::Oci | Dialect::Docker)
            && rule.args.iter().any(&mut repeats)
    }

    /// Says so where an entry that is split means something else than all of its conditions together.
    fn compare_readings(&mut self, entry: usize, conditions: &[Condition]) -> Result<(), OutOfWork> {
        for condition in conditions {
            let single = core::slice::from_ref(condition);
            if !solve::implies(single, conditions, self.doubts)? {
                let sensible = solve::witness(&[conditions], &[], self.doubts)?.is_some();
                let (severity, hint) = if sensible {
                    (Severity::Warning, "; strict semantics requires all of them")
                } else {
                    (Severity::Note, "")
                };
                let text = format!("an argument index repeats, so each condition is a rule of its own{hint}");
                self.findings.add(Finding { text, ..Finding::new(severity, Code::RepeatedIndex, Some(entry)) });
                break;
            }
        }
        Ok(())
    }

    /// Conditions that exclude each other; single ones that never hold are told by [`Self::condition`].
    fn check_satisfiable(&mut self, entry: usize, conditions: &[Condition]) -> Result<(), OutOfWork> {
        if conditions.len() < 2 || conditions.iter().any(|condition| constant(condition) == Some(false)) {
            return Ok(());
        }
        if solve::witness(&[conditions], &[], self.doubts)?.is_none() {
            let text = "never matches, because its conditions exclude each other".into();
            self.add(Severity::Warning, Code::ConstantCondition, Some(entry), None, text);
        }
        Ok(())
    }

    /// `view` is the width that the type of the parameter gives the condition.
    fn condition(&mut self, entry: usize, (arg, written): (usize, &Arg), view: Option<u8>) -> Condition {
        let whole = view.is_none() && self.arch.has_64bit_args();
        let width = if whole { written.width } else { Width::Bits32 };
        let test = if written.op == Op::MaskedEq { self.masked(entry, arg, written) } else { Test::of(written) };
        let test = view.map_or(test, |bits| arguments::narrowed(test, bits));
        let condition = Condition { arg: written.index, width, test: fitted(test, width) };
        self.check_constant(entry, arg, condition);
        condition
    }

    fn masked(&mut self, entry: usize, arg: usize, written: &Arg) -> Test {
        let (mask, value) = (written.value, written.value_two);
        let outside = value & !mask;
        if outside != 0 {
            let (severity, what) = match self.semantics {
                Semantics::Oci => (Severity::Warning, "they are ignored, as container runtimes do"),
                Semantics::Strict | Semantics::Ordered => (Severity::Error, "the comparison could never hold"),
            };
            let text = format!("expects bits {outside:#x}, which are outside of the mask {mask:#x}: {what}");
            let code = Code::MaskedValueOutsideMask;
            self.findings.add(Finding { arg: Some(arg), text, ..Finding::new(severity, code, Some(entry)) });
        }
        Test::MaskedEq { mask, value: value & mask }
    }

    fn check_constant(&mut self, entry: usize, arg: usize, condition: Condition) {
        let always = constant(&condition);
        let wide = condition.width == Width::Bits32 && constant_of(condition.test) > LOW;
        let outcome = match always {
            Some(true) => "the condition always holds",
            Some(false) => "the condition never holds",
            None => return,
        };
        let (code, text) = if wide {
            let whole = constant_of(condition.test);
            (Code::ConstantTooWide, format!("{whole:#x} does not fit 32 bits, so {outcome}"))
        } else {
            (Code::ConstantCondition, outcome.into())
        };
        self.add(Severity::Warning, code, Some(entry), Some(arg), text);
    }

    /// A finding that may differ between ABIs.
    fn add(&mut self, severity: Severity, code: Code, entry: Option<usize>, arg: Option<usize>, text: String) {
        self.findings.add(Finding { arg, arch: Some(self.arch), text, ..Finding::new(severity, code, entry) });
    }
}

/// Conditions as a set.
fn normal(mut conditions: Vec<Condition>) -> Vec<Condition> {
    conditions.sort_unstable();
    conditions.dedup();
    conditions
}

/// A mask test without bits that its width does not have. The bits above are zero: the test fails if one is expected to
/// be set, and says nothing otherwise.
fn fitted(test: Test, width: Width) -> Test {
    match test {
        Test::MaskedEq { mask, value } if width == Width::Bits32 && value <= LOW => {
            Test::MaskedEq { mask: mask & LOW, value }
        }
        other => other,
    }
}

fn constant_of(test: Test) -> u64 {
    match test {
        Test::Eq(value) | Test::Ne(value) | Test::Lt(value) | Test::Le(value) | Test::Gt(value) | Test::Ge(value) => {
            value
        }
        Test::MaskedEq { value, .. } => value,
    }
}

/// Whether the condition holds always (`true`) or never (`false`).
fn constant(condition: &Condition) -> Option<bool> {
    let most = if condition.width == Width::Bits32 { LOW } else { u64::MAX };
    match condition.test {
        Test::Lt(0) => Some(false),
        Test::Ge(0) | Test::MaskedEq { mask: 0, value: 0 } => Some(true),
        Test::Eq(value) | Test::Ge(value) | Test::MaskedEq { value, .. } if value > most => Some(false),
        Test::Ne(value) | Test::Lt(value) if value > most => Some(true),
        Test::Le(value) if value >= most => Some(true),
        Test::Gt(value) if value >= most => Some(false),
        _ => None,
    }
}
