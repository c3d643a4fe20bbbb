//! Profiles as JSON.

use super::super::{
    ActionSpec, Arg, Call, Code, Dialect, ListedArch, Op, Profile, ProfileError, Rule, SubArches, When, Width,
};
use super::Format;
use super::report::Report;
use super::words::{FLAGS, OPERATORS, Word};
use crate::arch::{Arch, Errno};
use crate::bpf::Action;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

impl Profile {
    /// Writes the profile as JSON, in the OCI dialect if it can say everything, otherwise in the Docker dialect.
    ///
    /// Reading the text back gives the same profile. What the dialects cannot say is an error that names every such
    /// place: raw numbers, comparisons of 32 bits (equality and masks are written with a mask), data of TRAP, and of a
    /// profile in Rust code also several conditions on one argument (runtimes take them as alternatives) and a rule that
    /// beats a wider one of another action where runtimes would not let it. What is not in the tree is not in the text:
    /// what is read from JSON compares whole registers unless [typed widths](crate::policy::ArgWidth) are asked for, and
    /// runtimes add the host's own ABI and kill threads, not processes, on calls of foreign ones.
    ///
    /// ```
    /// use callsieve::bpf::Action;
    /// use callsieve::profile::{Format, Profile, arg};
    ///
    /// let profile = Profile::new(Action::Errno(1)).allow("read").allow_if("socket", [arg::<0>().as_u32().eq(1)]);
    /// let text = profile.to_json()?;
    /// assert!(text.contains("\"op\": \"SCMP_CMP_MASKED_EQ\""));
    /// assert_eq!(Profile::from_json(&text, Format::Oci)?.rules().len(), 2);
    /// # Ok::<(), callsieve::profile::ProfileError>(())
    /// ```
    pub fn to_json(&self) -> Result<String, ProfileError> {
        let mut writer = Writer { report: Report::default() };
        if self.dialect == Dialect::Builder {
            super::export::check(self, &mut writer.report);
        }
        if self.dialect == Dialect::Imported {
            let message = "rules that are tried in order are another language; resolve the profile and write what it \
                           means (Policy::to_oci_json)";
            return Err(Report::fail(Code::NotExpressible, &"profile", message));
        }
        let text = writer.profile(self);
        writer.report.finish()?;
        // A value that no reader takes (an error number above 4095, say) is found the same way as in a file.
        Self::from_json(&text, Format::Auto).map(|_| text)
    }
}

struct Writer {
    report: Report,
}

impl Writer {
    fn profile(&mut self, profile: &Profile) -> String {
        let mut fields = Vec::new();
        self.action(
            &mut fields,
            &profile.default_action,
            ["defaultAction", "defaultErrnoRet", "defaultErrno"],
            &"default",
        );
        if !profile.architectures.is_empty() {
            fields.push(field("architectures", &texts(profile.architectures.iter().copied().map(listed_name))));
        }
        if !profile.arch_map.is_empty() {
            fields.push(field("archMap", &block('[', &profile.arch_map.iter().map(sub_arches).collect::<Vec<_>>(), 2)));
        }
        if let Some(flags) = &profile.flags {
            fields.push(field("flags", &texts(flags.iter().map(|flag| name_of(&FLAGS, *flag)))));
        }
        fields.extend(profile.listener_path.as_deref().map(|path| field("listenerPath", &text(path))));
        fields.extend(profile.listener_metadata.as_deref().map(|data| field("listenerMetadata", &text(data))));
        let rules = profile.rules.iter().filter(|rule| !rule.calls.is_empty());
        let rules: Vec<String> = rules.map(|rule| self.rule(rule)).collect();
        fields.push(field("syscalls", &block('[', &rules, 2)));
        let mut text = block('{', &fields, 0);
        text.push('\n');
        text
    }

    fn rule(&mut self, rule: &Rule) -> String {
        let mut fields = Vec::new();
        fields.extend(rule.comment.as_deref().map(|comment| field("comment", &text(comment))));
        let names: Vec<&str> = rule.calls.iter().filter_map(|call| self.name(call, rule)).collect();
        fields.push(field("names", &texts(names)));
        self.action(&mut fields, &rule.action, ["action", "errnoRet", "errno"], &rule.path);
        let args: Vec<String> = rule.args.iter().filter_map(|arg| self.arg(arg, rule)).collect();
        if !args.is_empty() {
            fields.push(field("args", &block('[', &args, 6)));
        }
        for (key, when) in [("includes", &rule.includes), ("excludes", &rule.excludes)] {
            if !when.is_empty() {
                fields.push(field(key, &conditions(when)));
            }
        }
        block('{', &fields, 4)
    }

    fn cannot(&mut self, place: &impl ToString, message: String) {
        self.report.error(Code::NotExpressible, place, message);
    }

    fn name<'c>(&mut self, call: &'c Call, rule: &Rule) -> Option<&'c str> {
        match call {
            Call::Name(name) => Some(name),
            Call::Number(..) => {
                self.cannot(&rule.path, format!("{call} cannot be written as JSON, which has names only"));
                None
            }
        }
    }

    fn action(&mut self, fields: &mut Vec<String>, action: &ActionSpec, keys: [&str; 3], place: &impl ToString) {
        let [key, number_key, name_key] = keys;
        let kind = match action {
            ActionSpec::Action(action) => action.kind(),
            ActionSpec::ErrnoName(_) => "ERRNO",
        };
        fields.push(field(key, &text(&format!("SCMP_ACT_{kind}"))));
        match action {
            ActionSpec::Action(Action::Errno(number) | Action::Trace(number)) => {
                fields.push(field(number_key, &number.to_string()));
            }
            ActionSpec::Action(Action::Trap(data @ 1..)) => {
                self.cannot(place, format!("TRAP with data {data} cannot be written as JSON, which has TRAP only"));
            }
            ActionSpec::Action(_) => {}
            ActionSpec::ErrnoName(name) => {
                // Docker does not know the name and needs the number, which is this one on most hosts.
                let usual = Errno::from_name(Arch::X86_64, name);
                fields.extend(usual.map(|number| field(number_key, &number.to_string())));
                fields.push(field(name_key, &text(name)));
            }
        }
    }

    fn arg(&mut self, arg: &Arg, rule: &Rule) -> Option<String> {
        let Some(wide) = widened(*arg) else {
            let message = format!("{arg} cannot be written as JSON, which compares all 64 bits");
            self.cannot(&rule.path, message);
            return None;
        };
        let mut fields = vec![field("index", &wide.index.to_string()), field("value", &wide.value.to_string())];
        if wide.op == Op::MaskedEq {
            fields.push(field("valueTwo", &wide.value_two.to_string()));
        }
        fields.push(field("op", &text(name_of(&OPERATORS, wide.op))));
        Some(format!("{{{}}}", fields.join(", ")))
    }
}

/// The condition as one of all 64 bits, if there is one that means the same.
fn widened(arg: Arg) -> Option<Arg> {
    const LOW: u64 = 0xffff_ffff;
    let wide = Arg { width: Width::Bits64, ..arg };
    match (arg.width, arg.op) {
        (Width::Bits64, _) => Some(wide),
        (Width::Bits32, Op::Eq) if arg.value <= LOW => {
            Some(Arg { op: Op::MaskedEq, value: LOW, value_two: arg.value, ..wide })
        }
        (Width::Bits32, Op::MaskedEq) if arg.value_two <= LOW => Some(Arg { value: arg.value & LOW, ..wide }),
        _ => None,
    }
}

/// The word for a meaning.
fn name_of<T: Copy + PartialEq>(words: &[Word<T>], meaning: T) -> &'static str {
    words.iter().find(|(_, other)| *other == meaning).map_or("", |(word, _)| word)
}

fn listed_name(listed: ListedArch) -> &'static str {
    match listed {
        ListedArch::Arch(arch) => arch.oci_name(),
        ListedArch::Native => "SCMP_ARCH_NATIVE",
    }
}

fn sub_arches(entry: &SubArches) -> String {
    let subs = texts(entry.sub_architectures.iter().map(|arch| arch.oci_name()));
    let name = text(entry.architecture.oci_name());
    format!("{{{}, {}}}", field("architecture", &name), field("subArchitectures", &subs))
}

fn conditions(when: &When) -> String {
    let mut fields = Vec::new();
    for (key, list) in [("caps", &when.caps), ("arches", &when.arches)] {
        if !list.is_empty() {
            fields.push(field(key, &texts(list)));
        }
    }
    fields.extend(when.min_kernel.map(|version| field("minKernel", &text(&version.to_string()))));
    format!("{{{}}}", fields.join(", "))
}

/// A string with its quotes.
fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn texts<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> String {
    let list: Vec<String> = list.into_iter().map(|item| text(item.as_ref())).collect();
    format!("[{}]", list.join(", "))
}

fn field(key: &str, value: &str) -> String {
    format!("\"{key}\": {value}")
}

/// A list or an object with one item a line.
fn block(open: char, items: &[String], indent: usize) -> String {
    let close = if open == '{' { '}' } else { ']' };
    if items.is_empty() {
        return format!("{open}{close}");
    }
    let inner = format!(",\n{:indent$}  ", "");
    format!("{open}\n{:indent$}  {}\n{:indent$}{close}", "", items.join(&inner), "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::profile::arg;

    /// Reads back what was written; places and origin differ.
    fn assert_same(profile: &Profile) {
        let text = profile.to_json().unwrap();
        let again = Profile::from_json(&text, Format::Auto).unwrap();
        assert_eq!(again.to_json().unwrap(), text);
        let paths = profile.rules.iter().map(|rule| rule.path.clone());
        let rules = again.rules.iter().cloned().zip(paths).map(|(rule, path)| Rule { path, ..rule }).collect();
        let Profile { dialect, typed, ref diagnostics, .. } = *profile;
        assert_eq!(Profile { rules, dialect, typed, diagnostics: diagnostics.clone(), ..again }, *profile, "{text}");
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_same(&Profile::container_default().unwrap());
        let everything = Profile::new(Action::Trace(7))
            .rule(Action::Notify, ["mount", "umount2"], [arg::<5>().masked_eq(u64::MAX, 1), arg::<0>().ge(3)])
            .rule(ActionSpec::ErrnoName("ENOSYS".into()), "clone3", [])
            .rule(Action::Errno(4095), "a \"name\"\n", [])
            .rule(Action::KillThread, "bpf", [])
            .rule(Action::Trap(0), "open", [arg::<1>().ne(0)])
            .architectures([Arch::X86_64, Arch::X86])
            .flag(crate::profile::Flag::WaitKillableRecv)
            .listener("/run/agent.sock", "me");
        assert_same(&everything);
        let nothing = Profile { flags: Some(Vec::new()), ..Profile::new(Action::Allow) };
        assert_same(&nothing);
        assert_eq!(
            nothing.to_json().unwrap(),
            "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\",\n  \"flags\": [],\n  \"syscalls\": []\n}\n"
        );
    }

    #[test]
    fn narrow_comparisons_become_masks() {
        let profile = Profile::new(Action::Errno(1))
            .allow_if("socket", [arg::<0>().as_u32().eq(5)])
            .allow_if("socket", [arg::<0>().as_u32().masked_eq(u64::MAX, 7)])
            .allow(["read"; 0]);
        let again = Profile::from_json(&profile.to_json().unwrap(), Format::Oci).unwrap();
        let args: Vec<Arg> = again.rules.iter().flat_map(|rule| rule.args.clone()).collect();
        assert_eq!(args, [arg::<0>().masked_eq(0xffff_ffff, 5), arg::<0>().masked_eq(0xffff_ffff, 7)]);
    }

    #[test]
    fn what_json_cannot_say() {
        let profile = Profile::new(Action::Errno(1))
            .allow((Arch::X86_64, 335))
            .allow_if("ioctl", [arg::<1>().as_u32().ne(5)])
            .allow_if("ioctl", [arg::<1>().as_u32().eq(1 << 32)])
            .rule(Action::Trap(9), "open", [])
            .allow_if("prctl", [arg::<0>().ge(1), arg::<0>().le(9)])
            .allow("socket")
            .rule(Action::Log, "socket", [arg::<0>().eq(16)])
            .allow_if("kill", [arg::<1>().eq(0)])
            .rule(Action::Log, "kill", [arg::<0>().eq(1)])
            .rule(Action::Errno(1), "kill", [arg::<0>().eq(1), arg::<1>().eq(0)]);
        let expected = "7 problems in the profile
  rule 5: several conditions on arg0, of which in JSON one is enough
  rule 10: rule 8 has another action for kill, and with JSON runtimes skip a rule that is equal to the default action
  rule 6: rule 7 has another action for socket, and with JSON runtimes let the unconditional rule win
  rule 1: call 335 on x86_64 cannot be written as JSON, which has names only
  rule 2: arg1 as u32 != 5 cannot be written as JSON, which compares all 64 bits
  rule 3: arg1 as u32 == 0x100000000 cannot be written as JSON, which compares all 64 bits
  rule 4: TRAP with data 9 cannot be written as JSON, which has TRAP only";
        let said = profile.to_json().unwrap_err().to_string();
        assert_eq!(said, expected);
        let refused = Profile::new(Action::Errno(4096)).allow("").to_json().unwrap_err().to_string();
        assert!(refused.contains("error number 4096") && refused.contains("the name is empty"), "{refused}");
    }
}
