//! The object at the top.

use super::super::limits::{MAX_LIST, MAX_RULES};
use super::super::{ActionSpec, Code, Dialect, Flag, ListedArch, Profile, ProfileError, Rule, SubArches};
use super::Format;
use super::action;
use super::entry::{Entries, is_superset};
use super::fields::{Keys, Object};
use super::report::{Path, Report};
use super::value::Fields;
use super::words::{FLAGS, arch, lookup};
use crate::bpf::Action;
use alloc::format;
use alloc::vec::Vec;

const TOP: Keys = Keys {
    common: &[
        "defaultAction",
        "defaultErrnoRet",
        "architectures",
        "flags",
        "listenerPath",
        "listenerMetadata",
        "syscalls",
    ],
    superset: &["archMap", "defaultErrno"],
};

const ARCH_MAP: Keys = Keys { common: &["architecture", "subArchitectures"], superset: &[] };

const NOTIFY: ActionSpec = ActionSpec::Action(Action::Notify);

/// Reads a profile from the object at the top of the file.
pub(super) fn profile(top: Fields<'_>, format: Format) -> Result<Profile, ProfileError> {
    let dialect = match format {
        Format::Oci => Dialect::Oci,
        Format::Docker => Dialect::Docker,
        Format::Auto => detect(&top),
    };
    let mut report = Report::default();
    let root = Path::Root;
    let read = read(&Object::of(top, &root, &TOP, dialect, &mut report), dialect, &mut report);
    let diagnostics = report.finish()?;
    // Without an error everything was read.
    let profile = read.ok_or_else(|| Report::fail(Code::BadField, &root, "no profile"))?;
    Ok(Profile { diagnostics, ..profile })
}

/// The dialect by the keys that occur.
fn detect(fields: &Fields<'_>) -> Dialect {
    let superset = fields.iter().any(|(key, value)| match key.as_str() {
        "syscalls" => value.list().unwrap_or_default().into_iter().take(MAX_RULES).any(is_superset),
        key => TOP.superset.contains(&key) && !value.is_null(),
    });
    if superset { Dialect::Docker } else { Dialect::Oci }
}

fn read(object: &Object<'_, '_>, dialect: Dialect, report: &mut Report) -> Option<Profile> {
    let default_action = action::DEFAULT.read(object, report);
    let architectures = architectures(object, report);
    let arch_map = arch_map(object, dialect, report);
    if !architectures.is_empty() && !arch_map.is_empty() {
        let message = "a profile has either \"architectures\" or \"archMap\"; readers refuse one with both";
        report.error(Code::BothForms, &object.path.key("archMap"), message);
    }
    let flags = object.get("flags").map(|_| object.words("flags", report, flag));
    let listener_path = object.text("listenerPath", report);
    let listener_metadata = object.text("listenerMetadata", report);
    let list = object.list("syscalls", report);
    let rules = Entries::new(dialect, report).read(&list, &object.path.key("syscalls"));
    let profile = Profile {
        architectures,
        arch_map,
        flags,
        listener_path,
        listener_metadata,
        rules,
        ..Profile::new(default_action?)
    };
    let profile = Profile { dialect, ..profile };
    check_listener(&profile, object.path, report);
    check_flags(&profile, object.path, report);
    Some(profile)
}

fn architectures(object: &Object<'_, '_>, report: &mut Report) -> Vec<ListedArch> {
    object.words("architectures", report, |name, place, report| match name {
        "SCMP_ARCH_NATIVE" => Some(ListedArch::Native),
        name => report.keep(place, arch(name)).map(ListedArch::Arch),
    })
}

fn arch_map(object: &Object<'_, '_>, dialect: Dialect, report: &mut Report) -> Vec<SubArches> {
    if dialect != Dialect::Docker {
        return Vec::new();
    }
    let path = object.path.key("archMap");
    let mut map: Vec<SubArches> = Vec::new();
    let list = object.list("archMap", report);
    if list.len() > MAX_LIST {
        let message = format!("the list has {} elements, at most {MAX_LIST} are read", list.len());
        report.error(Code::TooLarge, &path, message);
    }
    for (index, value) in list.into_iter().take(MAX_LIST).enumerate() {
        let place = path.index(index);
        let Some(object) = Object::open(value, &place, &ARCH_MAP, dialect, report) else { continue };
        let Some(entry) = sub_arches(&object, report) else { continue };
        if map.iter().any(|other| other.architecture == entry.architecture) {
            let message =
                format!("{} has an entry already, and only the first one counts", entry.architecture.oci_name());
            report.warn(Code::ArchList, &place.key("architecture"), &message);
        } else {
            map.push(entry);
        }
    }
    map
}

fn sub_arches(object: &Object<'_, '_>, report: &mut Report) -> Option<SubArches> {
    let subs = object.words("subArchitectures", report, |name, place, report| report.keep(place, arch(name)));
    let name = object.required("architecture", "the architecture of the host", report)?;
    let place = object.path.key("architecture");
    let name = report.keep(&place, name.text())?;
    let architecture = report.keep(&place, arch(&name))?;
    Some(SubArches { architecture, sub_architectures: subs })
}

fn flag(name: &str, place: &Path<'_>, report: &mut Report) -> Option<Flag> {
    report.keep(place, lookup("flag", name, &FLAGS))
}

/// Listener fields against the actions. Who installs the filter may have another listener, so these are no errors.
fn check_listener(profile: &Profile, path: &Path<'_>, report: &mut Report) {
    let notify = profile.rules.iter().find(|rule| rule.action == NOTIFY);
    let any = notify.is_some() || profile.default_action == NOTIFY;
    let code = Code::ListenerFields;
    if profile.listener_path.is_some() && !any {
        report.warn(
            code,
            &path.key("listenerPath"),
            "no rule has the action SCMP_ACT_NOTIFY; runtimes ignore the path",
        );
    }
    if profile.listener_metadata.is_some() && profile.listener_path.is_none() {
        report.warn(code, &path.key("listenerMetadata"), "has no meaning without listenerPath");
    }
    if let (Some(rule), None) = (notify, &profile.listener_path) {
        let message = "SCMP_ACT_NOTIFY without listenerPath: runtimes refuse it, or the calls fail with ENOSYS";
        report.warn(code, &format!("{}.action", rule.path), message);
    }
    let on_write = |rule: &&Rule| rule.action == NOTIFY && rule.calls.contains(&super::super::Call::from("write"));
    if let Some(rule) = profile.rules.iter().find(on_write) {
        let message =
            "SCMP_ACT_NOTIFY on write: runtimes refuse it, because they write while they hand over the listener";
        report.warn(Code::NotifyWrite, &rule.path, message);
    }
}

fn check_flags(profile: &Profile, path: &Path<'_>, report: &mut Report) {
    let flags = profile.flags.as_deref().unwrap_or_default();
    let any = profile.default_action == NOTIFY || profile.rules.iter().any(|rule| rule.action == NOTIFY);
    if let Some(index) = flags.iter().position(|flag| *flag == Flag::WaitKillableRecv).filter(|_| !any) {
        let message = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV without SCMP_ACT_NOTIFY: the kernel refuses the filter";
        report.error(Code::FlagUseless, &path.key("flags").index(index), message);
    }
}
