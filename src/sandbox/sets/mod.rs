//! Named sets of system calls, pinned by version: an update of this crate never changes what a program may do.
//!
//! A set says what a program does (reads files, serves the network), call by call with the reason, and with conditions
//! where a call can do more than that. Later versions will be modules beside [`v1`].
//!
//! See the example of [`Set`].

pub mod v1;

/// The groups of systemd, for those who think in its words.
///
/// They list names without conditions, many of them for compatibility; the sets of [`v1`] say what a program does. What is
/// dangerous in a group still needs [`allow_dangerous`](crate::Sandbox::allow_dangerous): `socketcall` in `@network-io`,
/// for one, makes any call of sockets.
///
/// ```
/// use callsieve::Sandbox;
/// use callsieve::sandbox::sets::systemd::v252;
/// let sandbox = Sandbox::deny_by_default().allow(v252::DEFAULT).allow(v252::BASIC_IO).allow(v252::NETWORK_IO);
/// assert!(sandbox.policy(callsieve::Arch::X86_64).is_err());
/// let sandbox = sandbox.allow_dangerous("socketcall");
/// sandbox.policy(callsieve::Arch::X86_64)?;
/// # Ok::<(), callsieve::sandbox::SandboxError>(())
/// ```
#[cfg(feature = "json")]
pub use crate::import::systemd;

use crate::arch::Arch;
use crate::profile::{Arg, Operand};
use core::fmt;

/// A named set of calls; [`v1`] has them.
///
/// ```
/// use callsieve::sandbox::sets;
/// println!("{}", sets::v1::NET_SERVER);
/// assert!(sets::v1::NET_SERVER.calls().any(|call| call == "accept4"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Set {
    pub(super) name: &'static str,
    pub(super) grants: &'static [Grant],
}

impl Set {
    /// The name, such as `v1::RUNTIME`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The names of the calls that the set allows, on any ABI, with conditions or without. A call may come twice.
    pub fn calls(&self) -> impl Iterator<Item = &'static str> {
        self.grants.iter().filter(|grant| grant.answer == Answer::Allow).flat_map(|grant| grant.calls).copied()
    }

    /// The names of the calls that the set answers with ENOSYS unless something else allows them: newer twins of allowed
    /// calls whose arguments lie behind a pointer, or calls that C libraries try before an older one.
    pub fn unknown(&self) -> impl Iterator<Item = &'static str> {
        self.grants.iter().filter(|grant| grant.answer == Answer::NoSuchCall).flat_map(|grant| grant.calls).copied()
    }
}

/// Each group of calls with its reason and its conditions.
impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.grants.iter().try_for_each(|grant| write!(f, "\n  {grant}"))
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.why, self.calls.join(" "))?;
        let mut word = "if";
        for condition in self.all {
            write!(f, " {word} {condition}")?;
            word = "and";
        }
        if let Some((operand, values)) = self.one_of {
            write!(f, " {word} {operand} in {values:x?}")?;
        }
        match self.on {
            On::All => Ok(()),
            On::Only(arches) => write!(f, " (on {})", List(arches)),
            On::Except(arches) => write!(f, " (not on {})", List(arches)),
        }
    }
}

struct List(&'static [Arch]);

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arch) in self.0.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, arch.short_name())?;
        }
        Ok(())
    }
}

/// Calls that are answered in one way for one reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) why: &'static str,
    pub(super) calls: &'static [&'static str],
    pub(super) answer: Answer,
    /// All of these must hold,
    pub(super) all: &'static [Arg],
    /// and the argument has one of these values.
    pub(super) one_of: Option<(Operand, &'static [u64])>,
    pub(super) on: On,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allow,
    /// ENOSYS, unless another grant or rule allows the call.
    NoSuchCall,
}

/// The ABIs that a grant is for. Some order or number arguments in their own way.
#[derive(Clone, Copy, Debug)]
pub(super) enum On {
    All,
    Only(&'static [Arch]),
    Except(&'static [Arch]),
}

impl On {
    pub(super) fn has(self, arch: Arch) -> bool {
        match self {
            Self::All => true,
            Self::Only(arches) => arches.contains(&arch),
            Self::Except(arches) => !arches.contains(&arch),
        }
    }
}

impl Grant {
    const fn new(why: &'static str, calls: &'static [&'static str]) -> Self {
        Self { why, calls, answer: Answer::Allow, all: &[], one_of: None, on: On::All }
    }

    const fn all(self, all: &'static [Arg]) -> Self {
        Self { all, ..self }
    }

    const fn one_of(self, operand: Operand, values: &'static [u64]) -> Self {
        Self { one_of: Some((operand, values)), ..self }
    }

    const fn only(self, arches: &'static [Arch]) -> Self {
        Self { on: On::Only(arches), ..self }
    }

    const fn except(self, arches: &'static [Arch]) -> Self {
        Self { on: On::Except(arches), ..self }
    }

    const fn no_such_call(self) -> Self {
        Self { answer: Answer::NoSuchCall, ..self }
    }
}

/// Declares a set, with its calls in the documentation.
macro_rules! set {
    (
        $(#[doc = $doc:literal])*
        $name:ident: $( $why:literal [$($call:ident)+] $(.$method:ident($($argument:expr),*))* );+ $(;)?
    ) => {
        $(#[doc = $doc])*
        #[doc = ""]
        #[doc = "| what for | calls |"]
        #[doc = "|---|---|"]
        $( #[doc = concat!("| ", $why, " |", $(" `", stringify!($call), "`",)+ " |")] )+
        pub const $name: Set = Set {
            name: concat!("v1::", stringify!($name)),
            grants: &[ $( Grant::new($why, &[$(stringify!($call)),+]) $(.$method($($argument),*))* ),+ ],
        };
    };
}
pub(super) use set;
