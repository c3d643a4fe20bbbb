//! The kinds of findings, each with its stable name and its documentation.
//!
//! One table for everybody who finds something: the readers, `resolve`, and the linter (`check::lint`).

use super::Severity;
use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// A name, how bad it usually is, why it matters, and what to write instead.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $severity:ident, $why:literal, $instead:literal;)*) => {
        /// The kind of a finding.
        ///
        /// ```
        /// use callsieve::profile::{Code, Severity};
        /// let code: Code = "kill-thread".parse()?;
        /// assert_eq!((code, code.severity()), (Code::KillThread, Severity::Warning));
        /// # Ok::<(), callsieve::profile::UnknownCode>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])+ $variant,)* }

        impl Code {
            /// Every code: those of the readers, of `resolve`, of the linter.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, such as `unknown-key`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How bad a finding of this kind is at most, unless semantics are strict.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// What is found, in one line.
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)* }
            }

            /// Why it matters.
            pub const fn why(self) -> &'static str {
                match self { $(Self::$variant => $why,)* }
            }

            /// What to write instead, in general. A finding may know better ([`Diagnostic::instead`](super::Diagnostic::instead)).
            pub const fn instead(self) -> &'static str {
                match self { $(Self::$variant => $instead,)* }
            }
        }
    };
}

codes! {
    // Readers.
    /// The text is not JSON.
    Syntax = "syntax", Error,
        "Only JSON is read: comments, trailing commas and YAML are not part of it, and readers differ in what they do \
         with bytes that are no UTF-8.",
        "correct the text at the place that is named; JSON has neither comments nor trailing commas";
    /// A key that the dialect does not know.
    UnknownKey = "unknown-key", Error,
        "Readers ignore keys that they do not know, so a mistyped key disables its rule or condition without a word. A \
         key that differs from a known one in upper and lower case only is an error: readers written in Go take it for \
         the known one.",
        "correct the key; put remarks into \"comment\", or begin the key with an underscore";
    /// The same key twice in one object.
    DuplicateKey = "duplicate-key", Error,
        "Some readers take the first of two equal keys and others the last, so the file has two meanings.",
        "remove one of them";
    /// A key of the Docker dialect in an OCI profile.
    SupersetInOci = "superset-in-oci", Error,
        "An OCI runtime ignores includes, excludes, archMap, name and errno: entries for a few capabilities then count \
         for everybody, and nearly everything is allowed.",
        "read the file as docker (--from docker), or resolve it for one machine first";
    /// Two spellings of one thing at once.
    BothForms = "both-forms", Error,
        "An entry with name and names, or a profile with architectures and archMap, is refused by the readers of the \
         Docker dialect. Where errno and errnoRet disagree, Podman takes the name and Docker the number.",
        "keep the newer form: names, archMap (or architectures), one error";
    /// A field that is missing or has the wrong type or value.
    BadField = "bad-field", Error,
        "Some readers take a missing or mistyped value, index or operator for 0, or ignore it, and then compare with \
         something else than the author meant.",
        "write the field as the message says: numbers as JSON numbers, words in their exact spelling";
    /// An entry without names.
    EmptyNames = "empty-names", Error,
        "An entry that names no system call has no effect.",
        "name a system call, or remove the entry";
    /// An error number beside an action that takes none.
    ErrnoOnWrongAction = "errno-on-wrong-action", Warning,
        "The runtime specification demands an error, some runtimes refuse the profile, the others ignore the number.",
        "remove the number, or use SCMP_ACT_ERRNO";
    /// An error number that pretends success, or that does not fit.
    ErrnoRange = "errno-range", Error,
        "With error number 0 the call is not run but seems to succeed (a warning). Above 4095 the kernel caps the \
         number, and some runtimes cut it to 16 bits, so that 65536 becomes such a success.",
        "use a number from 1 to 4095; 1 is EPERM, 38 is ENOSYS on most architectures";
    /// `minKernel` in a form that readers refuse.
    MinKernelForm = "min-kernel-form", Error,
        "Docker refuses every form but \"A.B\"; Podman ignores the condition altogether.",
        "write a string of two numbers, such as \"4.8\"";
    /// Listener fields that do not fit the actions.
    ListenerFields = "listener-fields", Warning,
        "SCMP_ACT_NOTIFY needs somebody who answers: without listenerPath runc refuses the profile and crun answers \
         ENOSYS. A path without such a rule makes crun connect for nothing, metadata without a path go nowhere.",
        "give listenerPath exactly where a rule has SCMP_ACT_NOTIFY";
    /// NOTIFY on `write`, which runtimes refuse.
    NotifyWrite = "notify-write", Warning,
        "The runtime writes while it hands the listener over, and nobody could answer that call yet: runc and youki \
         refuse the profile.",
        "do not notify about write; deny or allow it";
    /// What JSON, or another format for profiles, cannot say.
    NotExpressible = "not-expressible", Error,
        "The OCI format has no 32-bit comparisons and no numbers in place of names; a SeccompProfile object of the \
         security profiles operator holds signed 64-bit numbers, so no constant from 2^63 on (a note).",
        "write the rule in a form that the format has, or keep the profile in the format that can say it";
    /// A flag that the kernel refuses or that has no effect.
    FlagUseless = "flag-useless", Error,
        "WAIT_KILLABLE_RECV without a listener makes the kernel refuse the filter (EINVAL); crun then tries again \
         without any flag, so the others are lost as well.",
        "remove the flag, or add a rule with SCMP_ACT_NOTIFY";
    /// More than a stated limit.
    TooLarge = "too-large", Error,
        "The kernel takes at most 4096 instructions in a filter and 32768 (after conversion, 4 more for each earlier \
         filter) in all filters of a thread. Readers and checks have limits of their own; what goes beyond them is \
         refused or not judged, and this finding says so.",
        "make the profile smaller: the report names the calls that contribute most";
    // Resolving.
    /// A name that no architecture has.
    UnknownSyscall = "unknown-syscall", Warning,
        "Runtimes skip a name that they do not know. In a deny list this leaves the call open that was meant.",
        "correct the name (callsieve syscalls lists all of them), or remove it; numbers are not names";
    /// A name that only other architectures have.
    OtherArchOnly = "other-arch-only", Note,
        "The rule does less than it seems: the name is skipped where it does not exist.",
        "nothing, if the profile serves several architectures; otherwise remove the name";
    /// Doubtful list of architectures.
    ArchList = "arch-list", Warning,
        "Calls of an architecture that is not listed get the bad-arch action: its programs are killed at their first \
         call. Runtimes always add the machine's own architecture.",
        "list the machine's architecture and its 32-bit partners, each once";
    /// An unconditional rule of another action hides this one.
    Shadowed = "shadowed", Warning,
        "In container runtimes a rule without conditions beats every rule with conditions for the same call, whatever \
         their order, and without a message: a denial by condition beside an unconditional permission is void.",
        "remove the call from the entry without conditions, and allow there with conditions what shall be allowed";
    /// Two unconditional rules of different actions.
    TwoUnconditional = "two-unconditional-actions", Warning,
        "Of two rules without conditions for one call the first in the file wins, without a message.",
        "remove one of them";
    /// The same conditions with two actions.
    SameConditionTwoActions = "same-condition-two-actions", Error,
        "libseccomp refuses it (EEXIST), so the container would not start.",
        "remove one of the two";
    /// Conditions of different actions hold for one call.
    OverlapTwoActions = "overlap-two-actions", Warning,
        "Which rule wins depends on how libseccomp sorts constants and argument numbers, not on the file. Here the \
         most restrictive action is taken.",
        "make the conditions exclude each other, or make one imply the other";
    /// A rule equal to the default action, which runtimes skip.
    EqualsDefault = "equals-default", Warning,
        "Runtimes skip a rule whose action is the default, so it cannot make an exception from a broader rule of \
         another action: with default ERRNO, a denial beside an unconditional permission is void.",
        "give the broader rule conditions that leave the exception out, or deny with another error number";
    /// An entry split because an argument index repeats.
    RepeatedIndex = "repeated-index", Warning,
        "If one argument index occurs twice in an entry, runtimes make a rule of each of its conditions: one of them \
         suffices, also those on other arguments. A range written this way lets everything through.",
        "write one entry for each alternative; a range needs two entries that deny what is outside";
    /// A condition that always or never holds.
    ConstantCondition = "constant-condition", Warning,
        "A condition that always holds (a mask of 0, at least 0) tests nothing; a rule whose conditions exclude each \
         other never acts.",
        "correct the constant, the mask or the operator, or remove the condition";
    /// `MASKED_EQ` without `valueTwo`.
    MaskedWithoutValue = "masked-without-value", Warning,
        "value is the mask and valueTwo what is expected of its bits; without it the rule matches where none of the \
         bits is set, the opposite of what most rules with one flag intend.",
        "write valueTwo: 0 for \"none of these bits\", the mask itself for \"all of them\"";
    /// Bits of `valueTwo` outside of the mask.
    MaskedValueOutsideMask = "masked-value-outside-mask", Warning,
        "Bits that the mask does not select cannot be compared. Runtimes ignore them, so the rule matches more than it \
         seems; a strict reading could never match.",
        "add the bits to the mask, or remove them from valueTwo; perhaps the two are swapped";
    /// A constant that does not fit the width of the argument.
    ConstantTooWide = "constant-too-wide", Warning,
        "On 32-bit architectures arguments have 32 bits. A larger constant is greater than all of them; libseccomp \
         cuts it instead, and then another value matches.",
        "use a constant below 2^32, or an entry of its own for these architectures";
    /// A comparison of 64 bits of which the kernel reads fewer.
    WideComparison = "wide-comparison", Warning,
        "The kernel reads only the low 32 bits of an int, unsigned or uid_t parameter; the caller may leave anything in \
         the upper half of the register, and then an inequality or a denial does not match what it should.",
        "compare in the width of the parameter (--arg-width typed, Rust: as_u32), or turn the rule round so that only \
         exact values are allowed";
    /// A comparison with an address.
    PointerComparison = "pointer-comparison", Warning,
        "A filter sees where an argument points to, not what is there, and the memory may change after the look.",
        "compare pointers with 0 only; to decide about the content use a supervisor or an LSM";
    /// An argument that the call does not have.
    NoSuchArgument = "no-such-argument", Warning,
        "Registers beyond the parameters of a call hold whatever the caller left there: the comparison is up to him.",
        "compare one of the parameters that the call has";
    /// An argument that is half of a 64-bit parameter.
    HalfArgument = "half-argument", Warning,
        "On 32-bit architectures a 64-bit parameter takes two registers, in the order of bytes and on some from an even \
         one on: the numbers of later arguments shift.",
        "write an entry of its own for these architectures";
    /// A multiplexed call, `socketcall` or `ipc`, reaches what another rule denies.
    Multiplexed = "mux-bypass", Warning,
        "On i386, s390, m68k, MIPS o32, PowerPC and SuperH, socketcall and ipc carry the socket and System V IPC \
         calls; their arguments are behind a pointer, where no filter sees them. Allowing the multiplexer opens what a \
         rule on the direct call denies.",
        "deny the multiplexer with ENOSYS where the C libraries use the direct calls (Linux 4.3 and later), or deny \
         the call by other means (an LSM) and accept this";
    /// NOTIFY as the default action.
    NotifyDefault = "notify-default", Warning,
        "The supervisor itself, and the runtime until the listener is handed over, would wait for an answer to their \
         own calls; runtimes refuse such a profile.",
        "use another default, and SCMP_ACT_NOTIFY for the calls that shall be supervised";
    /// Calls that the kernel lets through whatever a filter says.
    ForcedAllow = "forced-allow", Warning,
        "On x86_64 the kernel runs uretprobe (since 6.11) and uprobe (since 6.18) before it asks any filter.",
        "do not rely on the rule; remove it";
    // The linter.
    /// A rule looks at the wrong argument, because the order differs on an architecture.
    ArgOrder = "arg-order", Warning,
        "On s390 and s390x clone takes the new stack first and the flags second. A rule on argument 0 tests an address, \
         and new namespaces are open.",
        "write an entry for s390 and s390x (includes.arches) with index 1, and exclude them from the other one";
    /// A rule that other rules of the same action cover.
    Redundant = "redundant", Warning,
        "Nothing would change without the rule. Conditions beside a permission without conditions test nothing (a \
         warning): the author most likely takes the call for restricted.",
        "remove the rule that is too much: the narrow one if the call shall be free, the broad one if not";
    /// A restriction that a related call gets around, or calls of one kind that are treated differently.
    FamilyGap = "family-gap", Warning,
        "openat does what open does, fchmodat2 what fchmodat does, setresuid what setuid does: a restriction of one \
         alone is none. In an allow list the newer form is missing (a note): programs that use it fail.",
        "treat all calls that do the same alike";
    /// clone3 runs although clone is restricted.
    Clone3Open = "clone3-open", Warning,
        "The flags of clone3 are behind a pointer, where no filter sees them. Whoever may call it makes new namespaces \
         whatever a rule on clone says.",
        "answer clone3 with ENOSYS, after which C libraries use clone";
    /// clone3 is denied in a way that C libraries do not fall back from.
    Clone3Errno = "clone3-errno", Warning,
        "glibc 2.34 and later start threads with clone3, and use clone only after ENOSYS; any other answer fails the \
         program.",
        "add an entry for clone3: SCMP_ACT_ERRNO with errnoRet 38 (ENOSYS; 89 on MIPS)";
    /// Calls that no entry names run.
    DefaultAllow = "default-allow", Warning,
        "A deny list is open for everything that its author did not think of, and for every call that later kernels \
         bring.",
        "deny by default and list what is needed; a recording of a real run is a start";
    /// Calls of architectures that are not listed run.
    NoArchGate = "no-arch-gate", Warning,
        "A number means another call on another architecture: what is harmless on x86_64 may be mount on i386, and \
         rules on arguments look at the wrong ones.",
        "kill calls of architectures that are not listed";
    /// All x32 calls run.
    X32Reachable = "x32-reachable", Warning,
        "The kernel takes most calls of x86_64 also as x32 calls, with bit 30 set in their number, even from ordinary \
         64-bit programs if it was built with x32: every rule can be passed by.",
        "leave x32 calls to the bad-arch action, or list SCMP_ARCH_X32";
    /// 32-bit programs of the same machine are not covered.
    CompatNotCovered = "compat-not-covered", Note,
        "Calls of an architecture that is not listed get the bad-arch action, so a 32-bit program is killed at its \
         first call.",
        "list the 32-bit architecture, or nothing if no such program shall run";
    /// A private call of 32-bit ARM makes runc's ENOSYS answer void.
    EnosysMax = "enosys-max", Note,
        "runc answers numbers above the highest one that a profile names with ENOSYS. The private calls of ARM have \
         numbers from 983041 on, so nothing is above them.",
        "nothing, unless ENOSYS for new calls matters on arm; then leave set_tls, cacheflush and breakpoint out";
    /// Calls that are newer than the profile are hidden behind the default error.
    EpermForNew = "eperm-for-new", Warning,
        "C libraries try a new call and fall back to an older one after ENOSYS only. With EPERM, or a kill, programs \
         fail after an update of the image although nothing forbids what they do.",
        "let the default be ENOSYS (defaultErrnoRet 38), with EPERM for the calls that are denied on purpose; \
         or compile with --unlisted enosys:X.Y";
    /// io_uring runs although calls are restricted that it can make.
    IoUringBypass = "io-uring-bypass", Warning,
        "Requests in a ring are carried out without asking any filter: files are opened, sockets made and connected, \
         names changed, whatever rules say about these calls.",
        "do not let io_uring_setup run";
    /// A call runs that is a known way out of a sandbox.
    DangerousAllow = "dangerous-allow", Warning,
        "Most of these calls need a capability and are safe only as long as nobody has it, not even in a user namespace \
         of his own; the others are attack surface that few programs need.",
        "remove them, or tie them to the capability with includes.caps";
    /// A call without which hardly any program runs is denied.
    MissingEssentials = "missing-essentials", Warning,
        "Without execve no container starts; without exit_group and rt_sigreturn programs neither end nor return from \
         signal handlers. Threads and C libraries use exit, futex, rseq and restart_syscall (a note).",
        "allow them; they open nothing";
    /// TRAP, but signal handlers cannot return.
    TrapWithoutSigreturn = "trap-without-sigreturn", Warning,
        "SCMP_ACT_TRAP is delivered as the signal SIGSYS, whose handler returns with rt_sigreturn.",
        "allow rt_sigreturn (and sigreturn on 32-bit architectures)";
    /// Calls that the runtime makes behind the filter are denied.
    RuntimeCalls = "runtime-calls", Note,
        "Where noNewPrivileges is off, runtimes install the filter before they drop capabilities and change ids, so the \
         filter must let them do that.",
        "allow them, or set noNewPrivileges (allowPrivilegeEscalation: false in Kubernetes)";
    /// KILL ends one thread only.
    KillThread = "kill-thread", Warning,
        "SCMP_ACT_KILL and SCMP_ACT_KILL_THREAD end the calling thread; the others go on, waiting for locks and answers \
         that never come.",
        "use SCMP_ACT_KILL_PROCESS";
    /// TRACE needs a tracer.
    TraceNoTracer = "trace-no-tracer", Note,
        "Without a tracer that asked for it (PTRACE_O_TRACESECCOMP) the call is not run and fails with ENOSYS.",
        "use SCMP_ACT_LOG or SCMP_ACT_ERRNO, unless a tracer is always there";
    /// NOTIFY on calls that hand the listener over.
    NotifyHandover = "notify-handover", Warning,
        "The runtime sends the listener away with sendmsg, and closes and reads files on the way. If such a call waits \
         for an answer before somebody listens, the container hangs.",
        "let them run; in runc also read and close are safe, in crun they are not";
    /// NOTIFY on a call with pointers.
    NotifyContinue = "notify-continue", Note,
        "A supervisor that looks at memory and then answers CONTINUE has checked nothing: another thread changes the \
         memory before the kernel reads it.",
        "let the supervisor carry the call out itself and return the result or a descriptor";
    /// TSYNC and a listener.
    TsyncListener = "tsync-listener", Warning,
        "With both, the kernel wants SECCOMP_FILTER_FLAG_TSYNC_ESRCH, because one number is returned for two things.",
        "remove SECCOMP_FILTER_FLAG_TSYNC: a container has one thread when its filter is installed";
    /// An empty list of flags.
    EmptyFlags = "empty-flags", Note,
        "Without the list runc and crun set SPEC_ALLOW, so that no mitigations against speculation are forced on the \
         process; with an empty list they do not. youki never sets it.",
        "remove the list, or name SECCOMP_FILTER_FLAG_SPEC_ALLOW";
}

/// No code has this name.
///
/// See the example of [`Code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no finding has this code")]
pub struct UnknownCode;

impl FromStr for Code {
    type Err = UnknownCode;

    /// The code of a name.
    fn from_str(name: &str) -> Result<Self, UnknownCode> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name).ok_or(UnknownCode)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
