//! A policy in the language of another program.

use super::{Entry, Export, ExportError};
use crate::arch::Arch;
use crate::bpf::Action;
use crate::check::{Judge, Subject};
use crate::import::{Importer, Language, systemd};
use crate::policy::{Policy, Target};
use crate::profile::{Arg, Code, Op};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

/// The calls by name, each with its number on the first ABI and its entries, which do not overlap.
type Calls = BTreeMap<String, (u32, Vec<Entry>)>;

impl Policy {
    /// Writes the policy as a file of another program that means exactly the same there. It is read back, and that is
    /// proven, before this returns.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// use callsieve::bpf::Action;
    /// use callsieve::import::Language;
    /// use callsieve::policy::{Target, UnlistedX32};
    /// use callsieve::{Profile, arg};
    ///
    /// let target = Target::exactly(&[Arch::X86_64]).unlisted_x32(UnlistedX32::Default);
    /// let profile = Profile::new(Action::KillProcess).allow("read").allow_if("socket", [arg::<0>().eq(1)]);
    /// let text = profile.resolve(&target)?.to_language(Language::Minijail)?;
    /// assert_eq!(text, "@default kill-process\nread: 1\nsocket: { arg0 in 0xffffffff00000001 && arg0 & 0x1; allow }\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ExportError`] if the language cannot say it; it names what is in the way. All of them are for one machine, some
    /// have one action beside the default one, and each has its own answer to calls of other architectures.
    pub fn to_language(&self, language: Language) -> Result<String, ExportError> {
        let writer = Writer { export: Export::of(self)?, language };
        writer.check_others()?;
        let calls = writer.calls()?;
        let text = match language {
            Language::Seccompiler | Language::Firecracker => writer.seccompiler(&calls),
            Language::Minijail => writer.minijail(&calls),
            Language::Kafel => writer.kafel(&calls),
            Language::Systemd => writer.systemd(&calls),
            #[cfg(feature = "yaml")]
            Language::Operator => writer.operator(),
        }?;
        writer.prove(&text)?;
        Ok(text)
    }
}

struct Writer<'a> {
    export: Export<'a>,
    language: Language,
}

impl Writer<'_> {
    fn native(&self) -> Arch {
        self.export.policy.arches().next().unwrap_or(Arch::X86_64)
    }

    /// What the language cannot say.
    fn cannot(&self, what: impl Into<String>) -> ExportError {
        ExportError::Language { language: self.language.name(), what: what.into() }
    }

    /// Calls of other architectures, which no language has a word for.
    fn check_others(&self) -> Result<(), ExportError> {
        let policy = self.export.policy;
        let arches: Vec<Arch> = policy.arches().collect();
        let one = !matches!(self.language, Language::Systemd) && self.language.name() != "operator";
        if one && let [_, other, ..] = arches.as_slice() {
            return Err(
                self.cannot(format!("more than one architecture, such as {other}; write a file for each (--arch)"))
            );
        }
        let wanted: &[Action] = match self.language {
            Language::Seccompiler | Language::Minijail => &[Action::KillProcess],
            Language::Systemd => &[Action::KillThread, Action::Allow],
            _ => &[Action::KillThread],
        };
        if !wanted.contains(&policy.bad_arch) {
            let (is, always) = (policy.bad_arch, wanted.first().copied().unwrap_or(Action::KillThread));
            let option = option(always);
            return Err(self.cannot(format!(
                "{is} for calls of other architectures, which always get {always}; accept that (--bad-arch {option})"
            )));
        }
        let has_x32 = !arches.contains(&Arch::X86_64) || arches.contains(&Arch::X32);
        let x32 = match self.language {
            Language::Seccompiler | Language::Minijail | Language::Kafel => self.export.default,
            _ => policy.bad_arch,
        };
        if !has_x32 && policy.unlisted_x32 != x32 {
            let word = if x32 == policy.bad_arch { option(x32) } else { "default" };
            return Err(self.cannot(format!(
                "{} for x32 calls, which always get {x32}; accept that (--unlisted-x32 {word})",
                policy.unlisted_x32
            )));
        }
        Ok(())
    }

    fn calls(&self) -> Result<Calls, ExportError> {
        self.export.check_numbers()?;
        let mut calls = Calls::new();
        let mut count = 0;
        for (name, numbers) in self.export.names() {
            let Some(&(_, nr)) = numbers.first() else { continue };
            let entries = self.export.entries(&numbers, &mut count)?;
            if !entries.is_empty() {
                calls.insert(name, (nr, entries));
            }
        }
        Ok(calls)
    }

    fn prove(&self, text: &str) -> Result<(), ExportError> {
        let native = self.native();
        let imported = Importer::new(self.language, native).read(text).map_err(|error| {
            // What the reader calls impossible to say is found by nobody else, such as numbers that are too large.
            let impossible = error.diagnostics().iter().find(|found| found.code() == Code::NotExpressible);
            impossible.map_or_else(|| ExportError::Text(error.clone()), |found| self.cannot(found.message()))
        })?;
        let arches: Vec<Arch> = self.export.policy.arches().collect();
        let target = if self.language == Language::Systemd { Target::new(native) } else { Target::exactly(&arches) };
        for one in imported {
            let resolved = one.profile().resolve(&target).map_err(ExportError::Resolve)?;
            let subjects = (Subject::policy(self.export.policy), Subject::policy(&resolved));
            if let Some(witness) = Judge::new().witness(&subjects.0, &subjects.1)? {
                return Err(self.export.difference(&witness.call));
            }
        }
        Ok(())
    }

    /// One action beside the default one, in JSON.
    fn seccompiler(&self, calls: &Calls) -> Result<String, ExportError> {
        let mut actions = calls.values().flat_map(|(_, entries)| entries).map(|(action, _)| *action);
        let default = self.export.default;
        let spare = if default == Action::Allow { Action::KillProcess } else { Action::Allow };
        let action = actions.next().unwrap_or(spare);
        if let Some(other) = actions.find(|other| *other != action) {
            return Err(self
                .cannot(format!("{action} and {other} beside the default action {default}; it has one other action")));
        }
        let keys = if self.language == Language::Seccompiler {
            ["mismatch_action", "match_action"]
        } else {
            ["default_action", "filter_action"]
        };
        let mut text = format!(
            "{{\n  \"main\": {{\n    \"{}\": {},\n    \"{}\": {},\n    \"filter\": [",
            keys[0],
            self.json_action(default)?,
            keys[1],
            self.json_action(action)?
        );
        let mut before = "\n";
        for (name, (_, entries)) in calls {
            for (_, args) in entries {
                let _ = write!(text, "{before}      {{\"syscall\": \"{name}\"");
                let args: Vec<String> = args.iter().map(json_condition).collect();
                if !args.is_empty() {
                    let _ = write!(text, ", \"args\": [{}]", args.join(", "));
                }
                text.push('}');
                before = ",\n";
            }
        }
        text.push_str("\n    ]\n  }\n}\n");
        Ok(text)
    }

    fn json_action(&self, action: Action) -> Result<String, ExportError> {
        Ok(match action {
            Action::Allow => "\"allow\"".into(),
            Action::Log => "\"log\"".into(),
            Action::Trap(0) => "\"trap\"".into(),
            Action::KillThread => "\"kill_thread\"".into(),
            Action::KillProcess => "\"kill_process\"".into(),
            Action::Notify if self.language == Language::Seccompiler => "\"user_notif\"".into(),
            Action::Errno(number) => format!("{{\"errno\": {number}}}"),
            Action::Trace(number) => format!("{{\"trace\": {number}}}"),
            other => return Err(self.cannot(format!("the action {other}"))),
        })
    }

    /// A line for each call.
    fn minijail(&self, calls: &Calls) -> Result<String, ExportError> {
        let default = self.export.default;
        let mut text = match default {
            Action::KillProcess | Action::KillThread | Action::Trap(0) | Action::Notify => {
                format!("@default {}\n", self.minijail_action(default)?)
            }
            Action::Allow => "@denylist\n".into(),
            other => {
                return Err(self.cannot(format!("the default action {other}; it has ALLOW, TRAP, NOTIFY and kills")));
            }
        };
        for (name, (_, entries)) in calls {
            let mut filters = Vec::new();
            for (action, args) in entries {
                if default == Action::Allow && !matches!(action, Action::Errno(_)) {
                    return Err(self
                        .cannot(format!("{action} for {name} where the default is ALLOW; it has errors only there")));
                }
                let action = self.minijail_action(*action)?;
                let wide = self.native().has_64bit_args();
                let atoms: Vec<String> = args.iter().map(|arg| minijail_atom(arg, wide)).collect();
                filters.push(if atoms.is_empty() { action } else { format!("{}; {action}", atoms.join(" && ")) });
            }
            let _ = match filters.as_slice() {
                [one] if !one.contains(';') => writeln!(text, "{name}: {}", if one == "allow" { "1" } else { one }),
                several => writeln!(text, "{name}: {{ {} }}", several.join(", ")),
            };
        }
        Ok(text)
    }

    fn minijail_action(&self, action: Action) -> Result<String, ExportError> {
        Ok(match action {
            Action::Allow => "allow".into(),
            Action::Log => "log".into(),
            Action::Trap(0) => "trap".into(),
            Action::Trace(0) => "trace".into(),
            Action::KillThread => "kill-thread".into(),
            Action::KillProcess => "kill-process".into(),
            Action::Notify => "user-notify".into(),
            Action::Errno(number) => format!("return {number}"),
            other => return Err(self.cannot(format!("the action {other}"))),
        })
    }

    /// A block for each action. Calls with conditions go by number, because then every argument has 64 bits.
    #[allow(clippy::unnecessary_wraps)] // As its siblings.
    fn kafel(&self, calls: &Calls) -> Result<String, ExportError> {
        let mut blocks: BTreeMap<Action, Vec<String>> = BTreeMap::new();
        for (name, (nr, entries)) in calls {
            for (action, args) in entries {
                let tests: Vec<String> = args.iter().map(kafel_test).collect();
                blocks.entry(*action).or_default().push(if tests.is_empty() {
                    name.clone()
                } else {
                    format!("SYSCALL[{nr}](a0, a1, a2, a3, a4, a5) {{ {} }} /* {name} */", tests.join(" && "))
                });
            }
        }
        let mut text = String::new();
        for (action, filters) in blocks {
            let _ = writeln!(text, "{} {{\n  {}\n}},", kafel_action(action), filters.join(",\n  "));
        }
        let text = text.trim_end().trim_end_matches(',');
        let space = if text.is_empty() { "" } else { "\n" };
        Ok(format!("{text}{space}DEFAULT {}\n", kafel_action(self.export.default)))
    }

    /// Lines of a unit.
    fn systemd(&self, calls: &Calls) -> Result<String, ExportError> {
        let policy = self.export.policy;
        let mut answers: BTreeMap<&str, Action> = BTreeMap::new();
        for (name, (_, entries)) in calls {
            let [(action, args)] = entries.as_slice() else { return Err(self.conditions(name)) };
            if !args.is_empty() {
                return Err(self.conditions(name));
            }
            answers.insert(name, *action);
        }
        let word = |action: Action| match action {
            Action::Errno(number) => Ok(number.to_string()),
            Action::KillProcess => Ok("kill".into()),
            other => Err(self.cannot(format!("the action {other}; it has ALLOW, errors and KILL_PROCESS"))),
        };
        let mut text = String::from("[Service]\n");
        if policy.bad_arch == Action::KillThread {
            let names: Vec<&str> = policy.arches().filter_map(systemd::arch_name).collect();
            let _ = writeln!(text, "SystemCallArchitectures={}", names.join(" "));
        }
        let denied: Vec<(&str, Action)> =
            answers.iter().filter(|(_, action)| **action != Action::Allow).map(|(n, a)| (*n, *a)).collect();
        let mut deny = Vec::new();
        for (name, action) in denied {
            deny.push(format!("{name}:{}", word(action)?));
        }
        if self.export.default == Action::Allow {
            if !deny.is_empty() {
                let _ = writeln!(text, "SystemCallFilter=~{}", deny.join(" "));
            }
            return Ok(text);
        }
        let error = word(self.export.default)?;
        let _ = writeln!(text, "SystemCallErrorNumber={error}");
        let allowed: Vec<&str> =
            answers.iter().filter(|(_, action)| **action == Action::Allow).map(|(name, _)| *name).collect();
        // The first list is one of allowed calls, and brings @default along.
        let _ = writeln!(
            text,
            "SystemCallFilter={}",
            if allowed.is_empty() { "@default".into() } else { allowed.join(" ") }
        );
        let brought = systemd::v252::DEFAULT.calls().into_iter().filter(|call| !answers.contains_key(call));
        let removed: Vec<String> = brought.map(ToString::to_string).chain(deny).collect();
        if !removed.is_empty() {
            let _ = writeln!(text, "SystemCallFilter=~{}", removed.join(" "));
        }
        Ok(text)
    }

    fn conditions(&self, name: &str) -> ExportError {
        self.cannot(format!("conditions on arguments, which {name} has"))
    }

    /// The profile of container runtimes inside of an object; JSON is YAML too.
    #[cfg(feature = "yaml")]
    fn operator(&self) -> Result<String, ExportError> {
        let text = self.export.policy.to_oci_json()?;
        let mut spec: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let default = spec.as_object_mut().and_then(|fields| fields.remove("defaultErrnoRet"));
        if default.is_some_and(|number| number != 1) {
            return Err(
                self.cannot(format!("the default action {}; of errors it has EPERM (1) only", self.export.default))
            );
        }
        let zero = |entry: &serde_json::Value| entry.get("errnoRet").is_some_and(|number| *number == 0);
        if spec.get("syscalls").and_then(serde_json::Value::as_array).is_some_and(|entries| entries.iter().any(zero)) {
            return Err(self.cannot("the error number 0, which stands for none there"));
        }
        let object = serde_json::json!({
            "apiVersion": "security-profiles-operator.x-k8s.io/v1beta1",
            "kind": "SeccompProfile",
            "metadata": { "name": "profile" },
            "spec": spec,
        });
        Ok(format!("{object:#}\n"))
    }
}

/// The action as an option of the command.
fn option(action: Action) -> &'static str {
    match action {
        Action::KillProcess => "kill-process",
        Action::KillThread => "kill-thread",
        Action::Allow => "allow",
        _ => "default",
    }
}

fn json_condition(arg: &Arg) -> String {
    let (index, value) = (arg.index(), arg.value());
    let (op, value) = match arg.op() {
        Op::Eq => ("\"eq\"".into(), value),
        Op::Ne => ("\"ne\"".into(), value),
        Op::Lt => ("\"lt\"".into(), value),
        Op::Le => ("\"le\"".into(), value),
        Op::Gt => ("\"gt\"".into(), value),
        Op::Ge => ("\"ge\"".into(), value),
        Op::MaskedEq => (format!("{{\"masked_eq\": {value}}}"), arg.value_two()),
    };
    format!("{{\"index\": {index}, \"type\": \"qword\", \"op\": {op}, \"val\": {value}}}")
}

/// A comparison under a mask says of each bit what it is: none of those that shall be 0, and each of the others.
fn minijail_atom(arg: &Arg, wide: bool) -> String {
    let (index, value) = (arg.index(), arg.value());
    let compare = match arg.op() {
        Op::Eq => "==",
        Op::Ne => "!=",
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Gt => ">",
        Op::Ge => ">=",
        Op::MaskedEq => {
            let (mask, set) = (value, arg.value_two());
            let mut atoms = Vec::new();
            if mask & !set != 0 {
                let all = if wide { u64::MAX } else { 0xffff_ffff };
                atoms.push(format!("arg{index} in {:#x}", !(mask & !set) & all));
            }
            let bits = (0..64).map(|bit| 1_u64 << bit).filter(|bit| set & bit != 0);
            atoms.extend(bits.map(|bit| format!("arg{index} & {bit:#x}")));
            return atoms.join(" && ");
        }
    };
    format!("arg{index} {compare} {value:#x}")
}

fn kafel_test(arg: &Arg) -> String {
    let (index, value) = (arg.index(), arg.value());
    match arg.op() {
        Op::Eq => format!("a{index} == {value:#x}"),
        Op::Ne => format!("a{index} != {value:#x}"),
        Op::Lt => format!("a{index} < {value:#x}"),
        Op::Le => format!("a{index} <= {value:#x}"),
        Op::Gt => format!("a{index} > {value:#x}"),
        Op::Ge => format!("a{index} >= {value:#x}"),
        Op::MaskedEq => format!("(a{index} & {value:#x}) == {:#x}", arg.value_two()),
    }
}

fn kafel_action(action: Action) -> String {
    match action {
        Action::Allow => "ALLOW".into(),
        Action::Log => "LOG".into(),
        Action::KillThread => "KILL_THREAD".into(),
        Action::KillProcess => "KILL_PROCESS".into(),
        Action::Notify => "USER_NOTIF".into(),
        Action::Errno(number) => format!("ERRNO({number})"),
        Action::Trap(number) => format!("TRAP({number})"),
        Action::Trace(number) => format!("TRACE({number})"),
    }
}
