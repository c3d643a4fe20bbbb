//! Actions with their numbers.

use super::super::{ActionSpec, Code};
use super::fields::Object;
use super::report::{Path, Report};
use super::value::quote;
use super::words::{ACTIONS, lookup, suggest};
use crate::arch::{Arch, Errno};
use crate::bpf::Action;
use alloc::format;
use alloc::string::{String, ToString};

/// The three keys that make an action.
pub(super) struct ActionKeys {
    action: &'static str,
    number: &'static str,
    name: &'static str,
}

/// Of an entry.
pub(super) const ENTRY: ActionKeys = ActionKeys { action: "action", number: "errnoRet", name: "errno" };

/// Of the profile.
pub(super) const DEFAULT: ActionKeys =
    ActionKeys { action: "defaultAction", number: "defaultErrnoRet", name: "defaultErrno" };

impl ActionKeys {
    /// Reads an action; `None` if something was wrong with it, which is then in the report.
    pub(super) fn read(&self, object: &Object<'_, '_>, report: &mut Report) -> Option<ActionSpec> {
        let value = object.required(self.action, "an action such as \"SCMP_ACT_ERRNO\"", report);
        let number = self.number(object, report);
        let name = object.text(self.name, report);
        let place = object.path.key(self.action);
        let text = report.keep(&place, value?.text())?;
        let action = report.keep(&place, lookup("action", &text, &ACTIONS))?;
        match action {
            Action::Errno(default) => self.errno(default, number, name.as_deref(), object, report),
            Action::Trace(default) => {
                if name.is_some() {
                    let message =
                        "an error has no meaning for SCMP_ACT_TRACE, which takes a message number in errnoRet";
                    report.warn(Code::ErrnoOnWrongAction, &object.path.key(self.name), message);
                }
                self.trace(default, number, object, report)
            }
            other => {
                self.useless(&text, number, name.as_deref(), object, report);
                Some(other.into())
            }
        }
    }

    fn number(&self, object: &Object<'_, '_>, report: &mut Report) -> Option<u64> {
        let value = object.get(self.number)?;
        report.keep(&object.path.key(self.number), value.whole(u64::from(Action::MAX_ERRNO)))
    }

    /// As in Podman, a name wins over the number.
    fn errno(
        &self,
        default: u16,
        number: Option<u64>,
        name: Option<&str>,
        object: &Object<'_, '_>,
        report: &mut Report,
    ) -> Option<ActionSpec> {
        let number_place = object.path.key(self.number);
        let number = match number {
            Some(number) => Some(in_range(number, &number_place, report)?),
            None => None,
        };
        let Some(name) = name else { return Some(Action::Errno(number.unwrap_or(default)).into()) };
        let place = object.path.key(self.name);
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = in_range(name.parse().unwrap_or(u64::MAX), &place, report)?;
            return Some(Action::Errno(number).into());
        }
        report.keep(&place, known_errno(name))?;
        // Most hosts have the numbers of x86_64, and Docker takes the number.
        let usual = Errno::from_name(Arch::X86_64, name).map(Errno::get);
        if let (Some(number), Some(usual)) =
            (number, usual.filter(|usual| number.is_some_and(|number| number != *usual)))
        {
            let message = format!(
                "{name} is {usual} on most hosts, but {} says {number}: Podman takes the name, which counts here, and \
                 Docker the number",
                self.number
            );
            report.warn(Code::BothForms, &place, &message);
        }
        Some(ActionSpec::ErrnoName(name.to_string()))
    }

    fn trace(
        &self,
        default: u16,
        number: Option<u64>,
        object: &Object<'_, '_>,
        report: &mut Report,
    ) -> Option<ActionSpec> {
        let Ok(message) = u16::try_from(number.unwrap_or(u64::from(default))) else {
            let text = format!("trace message {} is out of range: it has 16 bits", number.unwrap_or_default());
            report.error(Code::ErrnoRange, &object.path.key(self.number), text);
            return None;
        };
        Some(Action::Trace(message).into())
    }

    /// A number or name beside an action that takes none.
    fn useless(
        &self,
        action: &str,
        number: Option<u64>,
        name: Option<&str>,
        object: &Object<'_, '_>,
        report: &mut Report,
    ) {
        let number_place = object.path.key(self.number);
        match number {
            Some(number) if number > u64::from(Action::MAX_ERRNO) => {
                report.error(Code::ErrnoRange, &number_place, out_of_range(number));
            }
            Some(_) => report.warn(Code::ErrnoOnWrongAction, &number_place, &without_effect(action)),
            None => {}
        }
        if name.is_some() {
            report.warn(Code::ErrnoOnWrongAction, &object.path.key(self.name), &without_effect(action));
        }
    }
}

fn without_effect(action: &str) -> String {
    format!("{action} has no error number: readers ignore it or refuse the profile")
}

fn out_of_range(number: u64) -> String {
    format!("error number {number} is out of range: the kernel returns 0 to {}", Action::MAX_ERRNO)
}

fn in_range(number: u64, place: &Path<'_>, report: &mut Report) -> Option<u16> {
    let fitting = u16::try_from(number).ok().filter(|&number| number <= Action::MAX_ERRNO);
    match fitting {
        None => report.error(Code::ErrnoRange, place, out_of_range(number)),
        Some(0) => {
            let message = "error number 0: the call is not run, but seems to succeed";
            report.warn(Code::ErrnoRange, place, message);
        }
        Some(_) => {}
    }
    fitting
}

/// Whether some target has an error of this name; which number it has there is settled with the target.
fn known_errno(name: &str) -> Result<(), String> {
    if Arch::ALL.into_iter().any(|arch| Errno::from_name(arch, name).is_some()) {
        return Ok(());
    }
    let unknown = format!("unknown error {}", quote(name));
    Err(match suggest(name, &Errno::names(Arch::X86_64)) {
        Some(word) => format!("{unknown} (did you mean \"{word}\"?)"),
        None => format!("{unknown}; a name such as \"EPERM\" or a decimal number is expected"),
    })
}
