//! What is wrong or doubtful in a profile, each with its place.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Good to know; nothing needs to change.
    Note,
    /// The author most likely meant something else.
    Warning,
    /// The profile cannot be used.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    code: Code,
    path: String,
    message: String,
}

impl Diagnostic {
    pub(crate) fn new(severity: Severity, code: Code, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity, code, path: path.into(), message: message.into() }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What kind of finding it is; stable across releases.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Where it is: a JSON path such as `$.syscalls[0].args[1]`, a rule of the builder, or the line and column of a text
    /// that is not JSON.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What was found, what is allowed, and what to do.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Findings in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// No finding.
    pub(crate) const fn new() -> Self {
        Self { list: Vec::new() }
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// The findings one by one.
    pub fn iter(&self) -> core::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Number of findings.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no finding.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The severest finding's severity.
    pub fn worst(&self) -> Option<Severity> {
        self.iter().map(Diagnostic::severity).max()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = core::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The kinds of findings, as stable names.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The kind of a finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// The stable name, such as `unknown-key`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

codes! {
    // Readers.
    /// The text is not JSON, or breaks a limit.
    Syntax = "syntax",
    /// A key that the dialect does not know.
    UnknownKey = "unknown-key",
    /// The same key twice in one object.
    DuplicateKey = "duplicate-key",
    /// A key of the Docker dialect in an OCI profile.
    SupersetInOci = "superset-in-oci",
    /// Two spellings of one thing at once.
    BothForms = "both-forms",
    /// A field that is missing or has the wrong type or value.
    BadField = "bad-field",
    /// An entry without names.
    EmptyNames = "empty-names",
    /// An error number where the action takes none.
    ErrnoOnWrongAction = "errno-on-wrong-action",
    /// An error number that pretends success or does not fit.
    ErrnoRange = "errno-range",
    /// `minKernel` in a form that readers refuse.
    MinKernelForm = "min-kernel-form",
    /// Listener fields that do not fit the actions.
    ListenerFields = "listener-fields",
    /// NOTIFY on `write`, which runtimes refuse.
    NotifyWrite = "notify-write",
    /// What JSON cannot say.
    NotExpressible = "not-expressible",
    /// A flag without effect.
    FlagUseless = "flag-useless",
    /// More than a stated limit.
    TooLarge = "too-large",
    // Resolving.
    /// A name that no ABI has.
    UnknownSyscall = "unknown-syscall",
    /// A name that only other ABIs have.
    OtherArchOnly = "other-arch-only",
    /// Doubtful list of architectures.
    ArchList = "arch-list",
    /// An unconditional rule of another action hides this one.
    Shadowed = "shadowed",
    /// Two unconditional rules of different actions.
    TwoUnconditional = "two-unconditional-actions",
    /// The same conditions with two actions.
    SameConditionTwoActions = "same-condition-two-actions",
    /// Conditions of different actions hold for one call.
    OverlapTwoActions = "overlap-two-actions",
    /// A rule equal to the default action, which runtimes skip.
    EqualsDefault = "equals-default",
    /// An entry split because an argument index repeats.
    RepeatedIndex = "repeated-index",
    /// A condition that always or never holds.
    ConstantCondition = "constant-condition",
    /// `MASKED_EQ` without `valueTwo`.
    MaskedWithoutValue = "masked-without-value",
    /// Bits of `valueTwo` outside of the mask.
    MaskedValueOutsideMask = "masked-value-outside-mask",
    /// A constant that does not fit the width of the argument.
    ConstantTooWide = "constant-too-wide",
    /// A comparison of 64 bits of which the kernel reads fewer.
    WideComparison = "wide-comparison",
    /// A comparison with an address.
    PointerComparison = "pointer-comparison",
    /// An argument that the call does not have.
    NoSuchArgument = "no-such-argument",
    /// An argument that is half of a 64-bit parameter.
    HalfArgument = "half-argument",
    /// A multiplexed call, `socketcall` or `ipc`.
    Multiplexed = "mux-bypass",
    /// NOTIFY as the default action.
    NotifyDefault = "notify-default",
    /// Calls that the kernel lets through whatever a filter says.
    ForcedAllow = "forced-allow",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
