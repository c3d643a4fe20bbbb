//! The entries of `syscalls`.

use super::super::limits::{MAX_CONDITIONS, MAX_NAME_BYTES, MAX_NAMES, MAX_RULES, MAX_TESTS};
use super::super::{Arg, Call, Code, Dialect, Op, Rule, When, Width};
use super::action;
use super::fields::{Keys, Object};
use super::report::{Path, Report};
use super::value::{Value, quote};
use super::words::{OPERATORS, docker_arch, lookup};
use crate::arch::{Arch, KernelVersion};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const ENTRY: Keys = Keys {
    // A comment has no meaning, so the OCI dialect may have it too.
    common: &["names", "action", "errnoRet", "args", "comment"],
    superset: &["name", "errno", "includes", "excludes"],
};

const ARG: Keys = Keys { common: &["index", "value", "valueTwo", "op"], superset: &[] };

const WHEN: Keys = Keys { common: &["caps", "arches", "minKernel"], superset: &[] };

/// Whether an entry has a key that only the Docker dialect knows.
pub(super) fn is_superset(value: Value<'_>) -> bool {
    let fields = value.object().unwrap_or_default();
    fields.iter().any(|(key, value)| ENTRY.superset.contains(&key.as_str()) && !value.is_null())
}

/// Reads the entries, and counts what they hold.
pub(super) struct Entries<'r> {
    dialect: Dialect,
    report: &'r mut Report,
    names: usize,
    conditions: usize,
    tests: usize,
}

impl<'r> Entries<'r> {
    pub(super) fn new(dialect: Dialect, report: &'r mut Report) -> Self {
        Self { dialect, report, names: 0, conditions: 0, tests: 0 }
    }

    pub(super) fn read(mut self, list: &[Value<'_>], path: &Path<'_>) -> Vec<Rule> {
        if list.len() > MAX_RULES {
            let message = format!("the list has {} entries, at most {MAX_RULES} are read", list.len());
            self.report.error(Code::TooLarge, path, message);
        }
        let mut rules = Vec::new();
        for (index, value) in list.iter().take(MAX_RULES).enumerate() {
            let place = path.index(index);
            let Some(object) = Object::open(*value, &place, &ENTRY, self.dialect, self.report) else { continue };
            rules.extend(self.entry(&object));
            if let Some((what, limit)) = self.too_much() {
                let message = format!("the entries up to here hold more than {limit} {what}; the rest was not read");
                self.report.error(Code::TooLarge, &place, message);
                break;
            }
        }
        rules
    }

    /// The first limit that is broken.
    fn too_much(&self) -> Option<(&'static str, usize)> {
        let counts = [
            ("names", self.names, MAX_NAMES),
            ("conditions", self.conditions, MAX_CONDITIONS),
            ("pairs of a name and a condition", self.tests, MAX_TESTS),
        ];
        counts.into_iter().find(|(_, count, limit)| count > limit).map(|(what, _, limit)| (what, limit))
    }

    fn entry(&mut self, object: &Object<'_, '_>) -> Option<Rule> {
        let calls = self.calls(object);
        let action = action::ENTRY.read(object, self.report);
        let args = self.args(object);
        let includes = self.when(object, "includes");
        let excludes = self.when(object, "excludes");
        let comment = object.text("comment", self.report);
        self.tests = self.tests.saturating_add(calls.len().saturating_mul(args.len()));
        Some(Rule { calls, action: action?, args, comment, includes, excludes, path: object.path.to_string() })
    }

    /// The calls of `names`, or of the older `name`.
    fn calls(&mut self, object: &Object<'_, '_>) -> Vec<Call> {
        let names = object.list("names", self.report);
        let single = object.get("name");
        let place = object.path.key("names");
        self.names = self.names.saturating_add(names.len().max(1));
        let some = names.iter().take(MAX_NAMES).enumerate();
        let calls: Vec<Call> = some.filter_map(|(index, value)| self.call(*value, &place.index(index))).collect();
        let Some(single) = single else {
            if names.is_empty() {
                self.no_names(object);
            }
            return calls;
        };
        let place = object.path.key("name");
        if names.is_empty() {
            return self.call(single, &place).into_iter().collect();
        }
        // Docker's own writer gives "" where there is no single name.
        if single.text().is_ok_and(|text| !text.is_empty()) {
            let message = "an entry has either \"name\" or \"names\"; put all into \"names\"";
            self.report.error(Code::BothForms, &place, message);
        }
        calls
    }

    fn no_names(&mut self, object: &Object<'_, '_>) {
        let place = object.path.key("names");
        match object.get("names") {
            None => {
                object.required("names", "a list of system calls", self.report);
            }
            Some(value) if value.list().is_ok() => {
                let message = "the list is empty, so the entry has no effect; name a system call or remove the entry";
                self.report.error(Code::EmptyNames, &place, message);
            }
            Some(_) => {}
        }
    }

    fn call(&mut self, value: Value<'_>, place: &Path<'_>) -> Option<Call> {
        let name = self.report.keep(place, value.text())?;
        if name.is_empty() {
            self.report.error(Code::EmptyNames, place, "the name is empty");
            return None;
        }
        if name.len() > MAX_NAME_BYTES {
            let message = format!("the name has {} bytes, at most {MAX_NAME_BYTES} are read", name.len());
            self.report.error(Code::TooLarge, place, message);
            return None;
        }
        Some(Call::Name(name))
    }

    fn args(&mut self, object: &Object<'_, '_>) -> Vec<Arg> {
        let list = object.list("args", self.report);
        let path = object.path.key("args");
        self.conditions = self.conditions.saturating_add(list.len());
        let mut args = Vec::new();
        for (index, value) in list.into_iter().take(MAX_CONDITIONS).enumerate() {
            let place = path.index(index);
            let object = Object::open(value, &place, &ARG, self.dialect, self.report);
            args.extend(object.and_then(|object| self.arg(&object)));
        }
        args
    }

    fn arg(&mut self, object: &Object<'_, '_>) -> Option<Arg> {
        let index = self.index(object);
        let value = self.number(object, "value", true);
        let value_two = self.number(object, "valueTwo", false);
        let place = object.path.key("op");
        let op = object.required("op", "a comparison such as \"SCMP_CMP_EQ\"", self.report)?;
        let op = self.report.keep(&place, op.text())?;
        let op = self.report.keep(&place, lookup("operator", &op, &OPERATORS))?;
        match (op, value_two) {
            (Op::MaskedEq, None) if object.get("valueTwo").is_none() => {
                let message = "missing for SCMP_CMP_MASKED_EQ: read as 0, that is, none of the bits of the mask may be \
                               set; write it out";
                self.report.warn(Code::MaskedWithoutValue, &object.path.key("valueTwo"), message);
            }
            (Op::MaskedEq, _) | (_, None | Some(0)) => {}
            (_, Some(_)) => {
                let message = "only SCMP_CMP_MASKED_EQ has a second value; ignored";
                self.report.warn(Code::BadField, &object.path.key("valueTwo"), message);
            }
        }
        let value_two = value_two.filter(|_| op == Op::MaskedEq).unwrap_or(0);
        Some(Arg { index: index?, op, value: value?, value_two, width: Width::Bits64 })
    }

    fn index(&mut self, object: &Object<'_, '_>) -> Option<u8> {
        let value = object.required("index", "the number of an argument, 0 to 5,", self.report)?;
        let place = object.path.key("index");
        let index = self.report.keep(&place, value.whole(5))?;
        let fitting = u8::try_from(index).ok().filter(|&index| index < 6);
        if fitting.is_none() {
            let message = format!("argument index {index} is out of range: a system call has arguments 0 to 5");
            self.report.error(Code::BadField, &place, message);
        }
        fitting
    }

    fn number(&mut self, object: &Object<'_, '_>, key: &str, required: bool) -> Option<u64> {
        let value = if required {
            object.required(key, "the number to compare with", self.report)?
        } else {
            object.get(key)?
        };
        self.report.keep(&object.path.key(key), value.whole(u64::MAX))
    }

    /// `includes` or `excludes`. In the OCI dialect they were refused already.
    fn when(&mut self, object: &Object<'_, '_>, key: &str) -> When {
        let (Dialect::Docker, Some(value)) = (self.dialect, object.get(key)) else { return When::default() };
        let place = object.path.key(key);
        let Some(object) = Object::open(value, &place, &WHEN, self.dialect, self.report) else {
            return When::default();
        };
        let caps = object.words("caps", self.report, |name, place, report| {
            if !is_capability(name) {
                let message = format!(
                    "{} is no capability, so nobody has it; a name such as CAP_SYS_ADMIN is expected",
                    quote(name)
                );
                report.warn(Code::BadField, place, &message);
            }
            Some(String::from(name))
        });
        let arches = object.words("arches", self.report, |name, place, report| {
            check_docker_arch(name, place, report);
            Some(String::from(name))
        });
        let min_kernel = self.min_kernel(&object);
        When { caps, arches, min_kernel }
    }

    fn min_kernel(&mut self, object: &Object<'_, '_>) -> Option<KernelVersion> {
        let value = object.get("minKernel")?;
        let place = object.path.key("minKernel");
        let form = "\"A.B\", two numbers from 0 to 255 such as \"4.8\"";
        let Ok(text) = value.text() else {
            let message = format!("a string {form} is expected, found {}", value.describe());
            self.report.error(Code::MinKernelForm, &place, message);
            return None;
        };
        let version = text.parse().ok().filter(|version| *version != KernelVersion::new(0, 0));
        if version.is_none() && !text.is_empty() {
            let hint = plain_version(&text).map(|version| format!(" (here \"{version}\")")).unwrap_or_default();
            let message =
                format!("{} is no kernel version that every reader takes; write it as {form}{hint}", quote(&text));
            self.report.error(Code::MinKernelForm, &place, message);
        }
        version
    }
}

/// The first two numbers of a kernel release such as `4.8.0`.
fn plain_version(text: &str) -> Option<KernelVersion> {
    let mut parts = text.split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    format!("{major}.{}", minor.get(..digits)?).parse().ok().filter(|version| *version != KernelVersion::new(0, 0))
}

fn is_capability(name: &str) -> bool {
    let rest = name.strip_prefix("CAP_").unwrap_or_default();
    !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

fn check_docker_arch(name: &str, place: &Path<'_>, report: &mut Report) {
    if Arch::ALL.into_iter().any(|arch| arch.docker_names().contains(&name)) {
        return;
    }
    report.warn_with(Code::ArchList, place, || {
        let hint = match docker_arch(name) {
            Some(word) => format!(" (did you mean \"{word}\"?)"),
            None => String::from("; a name such as \"amd64\" is expected"),
        };
        format!("no host has the architecture {}{hint}", quote(name))
    });
}
