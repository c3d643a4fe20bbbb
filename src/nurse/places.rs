//! The paths of an ACL, over symbolic links to what they mean.

use super::acl::{Acl, PathRule, without_slash};
use super::address::AddressRule;
use super::error::NurseError;
use super::rights::Rights;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// As many symbolic links as the kernel follows.
const MAX_LINKS: usize = 40;

/// What paths were found to mean. What a path meant before the program ran it means for ever, because the program may
/// change what can be found later.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    known: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Places {
    /// The ACL with every path as it is and as what it means. `before` is the ACL under which the program runs already, if
    /// it does.
    pub(super) fn resolve(&mut self, acl: &Acl, before: Option<&Acl>) -> Result<Acl, NurseError> {
        let mut resolved = Acl::new();
        (resolved.connect, resolved.bind) = (acl.connect.clone(), acl.bind.clone());
        let mut known = self.known.clone();
        let mut real_name = |path: &[u8]| -> Result<Vec<u8>, NurseError> {
            if let Some(real) = known.get(path) {
                return Ok(real.clone());
            }
            let real = follow(path, before)?;
            known.insert(path.to_vec(), real.clone());
            Ok(real)
        };
        for rules in [&mut resolved.connect, &mut resolved.bind] {
            for (list, deny) in [(&mut rules.allow, false), (&mut rules.deny, true)] {
                let mut written = Vec::new();
                for rule in list.iter_mut() {
                    let AddressRule::Path(path) = rule else { continue };
                    let real = real_name(path)?;
                    written.push(AddressRule::Path(core::mem::replace(path, real)));
                }
                if deny {
                    list.extend(written);
                }
            }
        }
        for rule in acl.rules() {
            let real = real_name(&rule.path)?;
            // A denial counts for the path as it is written, too, should somebody make that one something else.
            if rule.deny && real != rule.path {
                resolved.add(rule.clone());
            }
            resolved.add(PathRule { path: real, ..rule });
        }
        self.known = known;
        Ok(resolved)
    }
}

/// What a path means.
fn follow(path: &[u8], before: Option<&Acl>) -> Result<Vec<u8>, NurseError> {
    let split = |path: &[u8]| -> Vec<Vec<u8>> {
        let components = path.split(|&byte| byte == b'/').filter(|component| !component.is_empty());
        components.rev().map(<[u8]>::to_vec).collect()
    };
    let mut ahead = split(path);
    let mut real: Vec<u8> = Vec::new();
    let mut links = 0_usize;
    while let Some(component) = ahead.pop() {
        match component.as_slice() {
            b"." => continue,
            b".." => {
                let end = real.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                real.truncate(end);
                continue;
            }
            _ => {}
        }
        let folder = real.len();
        real.push(b'/');
        real.extend_from_slice(&component);
        // Whoever asks is not this process.
        if real == b"/proc/self" || real == b"/proc/thread-self" {
            real.truncate(folder);
            real.extend_from_slice(b"/self");
            break;
        }
        let Ok(text) = fs::read_link(Path::new(OsStr::from_bytes(&real))) else { continue };
        links = links.saturating_add(1);
        if let Some(before) = before
            && !(before.rights(&real) & Rights::CREATE).is_none()
        {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            return Err(NurseError::DoubtfulLink { path: shown(path), link: shown(&real) });
        }
        if links > MAX_LINKS {
            break;
        }
        let text = text.as_os_str().as_bytes();
        real.truncate(if text.starts_with(b"/") { 0 } else { folder });
        ahead.extend(split(text));
    }
    while let Some(component) = ahead.pop() {
        real.push(b'/');
        real.extend_from_slice(&component);
    }
    Ok(without_slash(&real).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_asks() {
        let follow = |path: &str| String::from_utf8(follow(path.as_bytes(), None).unwrap()).unwrap();
        assert_eq!(follow("/proc/self/maps"), "/proc/self/maps");
        assert_eq!(follow("/dev/stdin"), "/proc/self/fd/0");
        assert_eq!(follow("/no/such/thing"), "/no/such/thing");
        assert_eq!(follow(""), "");
    }

    #[test]
    fn links_of_the_program() {
        let folder = std::env::temp_dir().join(std::format!("callsieve-places-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let folder = fs::canonicalize(folder).unwrap();
        let link = folder.join("link");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink("/etc", &link).unwrap();
        let shown = folder.to_str().unwrap();
        let acl = Acl::from_json(&std::format!(r#"{{"read": ["{shown}/link/passwd"]}}"#)).unwrap();
        let own = Acl::from_json(&std::format!(r#"{{"create": ["{shown}"]}}"#)).unwrap();
        let mut places = Places::default();
        assert!(matches!(places.resolve(&acl, Some(&own)), Err(NurseError::DoubtfulLink { .. })));
        let resolved = places.resolve(&acl, None).unwrap();
        assert_eq!(resolved.rights(b"/etc/passwd"), Rights::READ);
        // Known from before.
        assert_eq!(places.resolve(&acl, Some(&own)).unwrap(), resolved);
        fs::remove_dir_all(&folder).unwrap();
    }
}
