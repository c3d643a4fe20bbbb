//! Profiles in Rust code.

use super::{ActionSpec, Arg, Call, Diagnostics, Dialect, Flag, IntoConditions, ListedArch, Op, Profile, Rule, Width};
use crate::arch::{Arch, Syscall};
use crate::bpf::Action;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

impl Profile {
    /// A profile without rules.
    ///
    /// Rules have no order: of two that match one call, the narrower one counts, and it is an error if neither is
    /// ([`Semantics::Strict`](crate::policy::Semantics::Strict)).
    ///
    /// ```
    /// use callsieve::bpf::Action;
    /// use callsieve::profile::{Profile, arg};
    ///
    /// let profile = Profile::new(Action::Errno(1))
    ///     .allow(["read", "write", "exit_group"])
    ///     .allow_if("ioctl", [arg::<1>().eq(0x5401)])
    ///     .rule(Action::KillProcess, "socket", [arg::<0>().as_u32().eq(38)]);
    /// assert_eq!(profile.rules().len(), 3);
    /// ```
    pub fn new(default_action: impl Into<ActionSpec>) -> Self {
        Self {
            dialect: Dialect::Builder,
            default_action: default_action.into(),
            architectures: Vec::new(),
            arch_map: Vec::new(),
            flags: None,
            listener_path: None,
            listener_metadata: None,
            rules: Vec::new(),
            portable: false,
            typed: false,
            foreign: None,
            diagnostics: Diagnostics::new(),
        }
    }

    /// Allows calls whatever their arguments.
    pub fn allow(self, calls: impl IntoCalls) -> Self {
        self.rule(Action::Allow, calls, [])
    }

    /// Allows calls whose arguments meet the conditions.
    pub fn allow_if(self, calls: impl IntoCalls, conditions: impl IntoConditions) -> Self {
        self.rule(Action::Allow, calls, conditions)
    }

    /// Gives an action to calls whose arguments meet the conditions; with `[]`, to every such call.
    ///
    /// A choice of values makes a [`Rule`] for each; they have one number in messages.
    pub fn rule(
        mut self,
        action: impl Into<ActionSpec>,
        calls: impl IntoCalls,
        conditions: impl IntoConditions,
    ) -> Self {
        self.add_rule(&action.into(), &calls.into_calls(), conditions.into_alternatives());
        self
    }

    /// Adds a rule for each of the lists of conditions.
    pub(crate) fn add_rule(&mut self, action: &ActionSpec, calls: &[Call], alternatives: Vec<Vec<Arg>>) {
        let path = format!("rule {}", self.next_number());
        let rule = |args| Rule::new(calls.to_vec(), action.clone(), args, path.as_str());
        self.rules.extend(alternatives.into_iter().map(rule));
    }

    /// One more than the number of the last rule, which may have become several.
    fn next_number(&self) -> usize {
        let last = self.rules.last().and_then(|rule| rule.path.strip_prefix("rule ")?.parse().ok());
        last.unwrap_or(0_usize).saturating_add(1)
    }

    /// Adds ABIs to the list of those that the filter covers. Without any, it covers the target's own one.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// use callsieve::bpf::Action;
    /// use callsieve::profile::Profile;
    ///
    /// let profile = Profile::new(Action::Errno(1)).architectures([Arch::X86_64, Arch::X86]);
    /// assert_eq!(profile.arch_list().len(), 2);
    /// ```
    pub fn architectures(mut self, arches: impl IntoIterator<Item = Arch>) -> Self {
        self.architectures.extend(arches.into_iter().map(ListedArch::Arch));
        self
    }

    /// Asks for a flag of seccomp(2) at install.
    pub fn flag(mut self, flag: Flag) -> Self {
        let flags = self.flags.get_or_insert_default();
        if !flags.contains(&flag) {
            flags.push(flag);
        }
        self
    }

    /// Names the socket to which a container runtime hands the listener of NOTIFY rules, and what it sends along.
    pub fn listener(mut self, path: impl Into<String>, metadata: impl Into<String>) -> Self {
        self.listener_path = Some(path.into());
        self.listener_metadata = Some(metadata.into()).filter(|text| !text.is_empty());
        self
    }

    /// Accepts every name that any ABI has, whether or not the listed ones have it.
    ///
    /// For one list of calls for many machines, such as `open` and `openat`. A name that no ABI has stays an error.
    pub fn portable(mut self) -> Self {
        self.portable = true;
        self
    }
}

/// System calls for a rule: a name, an ABI with a number, or a list of such.
///
/// ```
/// use callsieve::arch::Arch;
/// use callsieve::profile::{Call, IntoCalls};
///
/// assert_eq!("read".into_calls(), [Call::Name("read".into())]);
/// assert_eq!((Arch::X86_64, 0).into_calls(), [Call::Number(Arch::X86_64, 0)]);
/// assert_eq!(["read", "write"].into_calls().len(), 2);
/// ```
pub trait IntoCalls {
    /// The calls, in the order given.
    fn into_calls(self) -> Vec<Call>;
}

impl IntoCalls for Call {
    fn into_calls(self) -> Vec<Call> {
        vec![self]
    }
}

/// By name, so on every listed ABI that has the call.
impl IntoCalls for Syscall {
    fn into_calls(self) -> Vec<Call> {
        self.name().into_calls()
    }
}

impl IntoCalls for &str {
    fn into_calls(self) -> Vec<Call> {
        vec![Call::Name(self.to_owned())]
    }
}

impl IntoCalls for String {
    fn into_calls(self) -> Vec<Call> {
        vec![Call::Name(self)]
    }
}

impl IntoCalls for &String {
    fn into_calls(self) -> Vec<Call> {
        vec![Call::Name(self.clone())]
    }
}

/// A number on one ABI, as the kernel sees it there: with bit 30 for x32, with the base (4000, 5000, 6000) on MIPS.
impl IntoCalls for (Arch, u32) {
    fn into_calls(self) -> Vec<Call> {
        vec![Call::Number(self.0, self.1)]
    }
}

impl<T: IntoCalls> IntoCalls for Vec<T> {
    fn into_calls(self) -> Vec<Call> {
        self.into_iter().flat_map(T::into_calls).collect()
    }
}

impl<T: IntoCalls, const N: usize> IntoCalls for [T; N] {
    fn into_calls(self) -> Vec<Call> {
        self.into_iter().flat_map(T::into_calls).collect()
    }
}

impl<T: IntoCalls + Clone> IntoCalls for &[T] {
    fn into_calls(self) -> Vec<Call> {
        self.iter().cloned().flat_map(T::into_calls).collect()
    }
}

impl<T: IntoCalls + Clone> IntoCalls for &Vec<T> {
    fn into_calls(self) -> Vec<Call> {
        self.as_slice().into_calls()
    }
}

impl<T: IntoCalls + Clone, const N: usize> IntoCalls for &[T; N] {
    fn into_calls(self) -> Vec<Call> {
        self.as_slice().into_calls()
    }
}

/// Starts a condition on argument `N` of a call, 0 to 5; any other number does not compile.
///
/// The condition sees as much of the argument as the kernel reads of this parameter of the call: of an `int` the low 32
/// bits, so that garbage above neither passes a comparison by nor fails it, and -1 may be written with 32 bits or with
/// 64. [`Operand::as_u32`] says 32 bits whatever the type. Whole registers are compared where the kernel reads them
/// whole, where the type is not known, and everywhere with
/// [`ArgWidth::Written`](crate::policy::ArgWidth::Written).
///
/// ```
/// use callsieve::profile::arg;
/// assert_eq!(arg::<1>().ge(34).to_string(), "arg1 >= 34");
/// assert_eq!(arg::<0>().masked_eq(0x7e020000, 0).to_string(), "arg0 & 0x7e020000 == 0");
/// assert_eq!(arg::<0>().as_u32().ne(38).to_string(), "arg0 as u32 != 38");
/// ```
///
/// ```compile_fail
/// callsieve::profile::arg::<6>();
/// ```
pub const fn arg<const N: u8>() -> Operand {
    const { assert!(N < 6, "a system call has arguments 0 to 5") }
    Operand { index: N, width: Width::Bits64 }
}

/// An argument to be compared; made by [`arg`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Operand {
    pub(super) index: u8,
    pub(super) width: Width,
}

impl Operand {
    /// Looks at the low 32 bits only, as the kernel does for `int` and `unsigned int`.
    ///
    /// The caller controls the upper half of the register: a comparison of all 64 bits can be passed by.
    pub const fn as_u32(self) -> Self {
        Self { index: self.index, width: Width::Bits32 }
    }

    /// Equal.
    pub const fn eq(self, value: u64) -> Arg {
        self.compare(Op::Eq, value)
    }

    /// Not equal.
    pub const fn ne(self, value: u64) -> Arg {
        self.compare(Op::Ne, value)
    }

    /// Less, unsigned.
    pub const fn lt(self, value: u64) -> Arg {
        self.compare(Op::Lt, value)
    }

    /// Less or equal, unsigned.
    pub const fn le(self, value: u64) -> Arg {
        self.compare(Op::Le, value)
    }

    /// Greater, unsigned.
    pub const fn gt(self, value: u64) -> Arg {
        self.compare(Op::Gt, value)
    }

    /// Greater or equal, unsigned.
    pub const fn ge(self, value: u64) -> Arg {
        self.compare(Op::Ge, value)
    }

    /// `(argument & mask) == value`.
    pub const fn masked_eq(self, mask: u64, value: u64) -> Arg {
        Arg { index: self.index, op: Op::MaskedEq, value: mask, value_two: value, width: self.width }
    }

    /// The bits that a condition sees.
    pub(super) const fn all_bits(self) -> u64 {
        match self.width {
            Width::Bits32 => 0xffff_ffff,
            Width::Bits64 => u64::MAX,
        }
    }

    const fn compare(self, op: Op, value: u64) -> Arg {
        Arg { index: self.index, op, value, value_two: 0, width: self.width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_numbered_and_kept() {
        let names = vec![String::from("read"), String::from("write")];
        assert_eq!(Syscall::from_name("read").unwrap().into_calls(), "read".into_calls());
        let profile = Profile::new(Action::Errno(1))
            .allow(&names)
            .allow_if(["ioctl"].as_slice(), [arg::<1>().eq(5), arg::<1>().as_u32().lt(9)])
            .rule(ActionSpec::ErrnoName("ENOSYS".into()), (Arch::Arm, 0xf0005), [])
            .flag(Flag::Log)
            .flag(Flag::Log)
            .portable();
        let paths: Vec<_> = profile.rules().iter().map(Rule::path).collect();
        assert_eq!(paths, ["rule 1", "rule 2", "rule 3"]);
        assert_eq!(profile.rules()[0].calls(), names.into_calls());
        assert_eq!(profile.rules()[1].args()[1].width(), Width::Bits32);
        assert_eq!(profile.rules()[2].calls(), [Call::Number(Arch::Arm, 0xf0005)]);
        assert_eq!(profile.flags(), Some(&[Flag::Log][..]));
        assert!(profile.is_portable() && profile.dialect() == Dialect::Builder);
    }

    #[test]
    fn constants_may_be_conditions() {
        const NOT_A_TERMINAL: Arg = arg::<1>().ne(0x5401);
        assert_eq!((NOT_A_TERMINAL.index(), NOT_A_TERMINAL.op(), NOT_A_TERMINAL.value()), (1, Op::Ne, 0x5401));
    }
}
