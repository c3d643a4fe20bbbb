//! Which paths and addresses a program may use.

use super::address::{Address, AddressRule, Transport};
use super::rights::Rights;
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

/// Which paths and addresses a program may use. What is not allowed is denied, and a denial is stronger than everything
/// that is allowed.
///
/// A path covers itself and all that is below it, by components: `/etc` covers `/etc/passwd` and not `/etcetera`. With `/.`
/// behind it, it covers itself only. Paths are **real names**, as `realpath(1)` prints them: a file is judged by what it is
/// called where it is, not by the path over symbolic links, `..` or `/proc/self/fd` that led there.
/// [`Nurse::new`](super::Nurse::new) follows symbolic links in the paths of an ACL once, before the program runs.
///
/// `/proc/self` stands for the process that makes a call. Folders of other processes are never granted, whatever the ACL
/// says.
///
/// Addresses are `tcp:HOST:PORT`, `udp:HOST:PORT`, `unix:/PATH` and `unix:@NAME`. HOST is an IP address, a prefix such as
/// `10.0.0.0/8` or `[fd00::]/8`, or `*`; PORT is a number, a range such as `8000-8099`, or `*`. `unix:@*` is every abstract
/// name.
///
/// ```
/// use callsieve::nurse::{Acl, Rights};
///
/// let acl = Acl::from_toml(r#"
///     read = ["/usr", "/etc"]
///     write = ["/tmp/area"]
///     create = ["/tmp/area"]
///     connect = ["tcp:127.0.0.1:5432"]
///     [deny]
///     read = ["/etc/shadow"]
/// "#)?;
/// assert_eq!(acl.rights(b"/etc/passwd"), Rights::READ);
/// assert_eq!(acl.rights(b"/etc/shadow"), Rights::NONE);
/// assert_eq!(acl.rights(b"/etcetera"), Rights::NONE);
/// assert_eq!(acl.rights(b"/tmp/area/a"), Rights::WRITE | Rights::CREATE);
/// # Ok::<(), callsieve::nurse::AclError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    /// By path without a slash at its end, so the root is empty.
    paths: BTreeMap<Vec<u8>, Entry>,
    /// Folders on the way to a path that is named, and to one that something is allowed for.
    above: BTreeSet<Vec<u8>>,
    above_allowed: BTreeSet<Vec<u8>>,
    pub(super) connect: AddressRules,
    pub(super) bind: AddressRules,
}

/// What is said of one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    allow: Rights,
    /// For the path alone.
    allow_itself: Rights,
    deny: Rights,
    deny_itself: Rights,
}

/// What is said of connecting, or of binding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AddressRules {
    pub(super) allow: Vec<AddressRule>,
    pub(super) deny: Vec<AddressRule>,
}

impl AddressRules {
    fn allows(&self, transport: Transport, address: &Address) -> bool {
        let covers = |rule: &AddressRule| rule.covers(transport, address);
        self.allow.iter().any(covers) && !self.deny.iter().any(covers)
    }
}

/// One path of an ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathRule {
    pub(super) path: Vec<u8>,
    pub(super) rights: Rights,
    pub(super) deny: bool,
    /// Only the path, not what is below it.
    pub(super) itself: bool,
}

impl Acl {
    /// Allows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn add(&mut self, rule: PathRule) {
        let PathRule { path, rights, deny, itself } = rule;
        for folder in prefixes(&path).filter(|folder| folder.len() < path.len()) {
            self.above.insert(folder.to_owned());
            if !deny {
                self.above_allowed.insert(folder.to_owned());
            }
        }
        let entry = self.paths.entry(path).or_default();
        let place = match (deny, itself) {
            (false, false) => &mut entry.allow,
            (false, true) => &mut entry.allow_itself,
            (true, false) => &mut entry.deny,
            (true, true) => &mut entry.deny_itself,
        };
        *place = *place | rights;
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = PathRule> {
        self.paths.iter().flat_map(|(path, entry)| {
            let kinds = [
                (entry.allow, false, false),
                (entry.allow_itself, false, true),
                (entry.deny, true, false),
                (entry.deny_itself, true, true),
            ];
            let kinds = kinds.into_iter().filter(|(rights, ..)| !rights.is_none());
            kinds.map(|(rights, deny, itself)| PathRule { path: path.clone(), rights, deny, itself })
        })
    }

    /// What is granted for a real name: absolute, without `.`, `..` and doubled slashes.
    pub fn rights(&self, path: &[u8]) -> Rights {
        let path = without_slash(path);
        let (mut allow, mut deny) = (Rights::NONE, Rights::NONE);
        for prefix in prefixes(path) {
            if let Some(entry) = self.paths.get(prefix) {
                allow = allow | entry.allow;
                deny = deny | entry.deny;
                if prefix.len() == path.len() {
                    allow = allow | entry.allow_itself;
                    deny = deny | entry.deny_itself;
                }
            }
        }
        allow.without(deny)
    }

    /// Whether a program may know that there is something of this name, and its size, owner and the like: if anything is
    /// granted for it, or it is on the way to something for which that is so.
    pub fn is_visible(&self, path: &[u8]) -> bool {
        !self.rights(path).is_none() || self.above_allowed.contains(without_slash(path))
    }

    /// Whether nothing is said of anything below a path.
    pub(super) fn is_uniform_below(&self, path: &[u8]) -> bool {
        !self.above.contains(without_slash(path))
    }

    /// Why something is or is not granted, in the words of the ACL: what denies it, or else what allows it.
    pub(super) fn reason(&self, path: &[u8], right: Rights) -> Option<String> {
        let path = without_slash(path);
        let mut found = None;
        for prefix in prefixes(path) {
            let Some(entry) = self.paths.get(prefix) else { continue };
            let here = prefix.len() == path.len();
            let denied = (entry.deny | if here { entry.deny_itself } else { Rights::NONE }) & right;
            let allowed = (entry.allow | if here { entry.allow_itself } else { Rights::NONE }) & right;
            let shown = if prefix.is_empty() { "/".into() } else { String::from_utf8_lossy(prefix) };
            if !denied.is_none() {
                return Some(alloc::format!("deny {denied} {shown}"));
            }
            if !allowed.is_none() {
                found = Some(alloc::format!("{allowed} {shown}"));
            }
        }
        found
    }

    /// Whether a program may connect to, or send to, an address.
    pub fn may_connect(&self, transport: Transport, address: &Address) -> bool {
        self.connect.allows(transport, address)
    }

    /// Whether a program may take an address for a socket of its own.
    pub fn may_bind(&self, transport: Transport, address: &Address) -> bool {
        self.bind.allows(transport, address)
    }

    /// Whether anything may be executed at all.
    pub fn has_exec(&self) -> bool {
        self.paths.values().any(|entry| !((entry.allow | entry.allow_itself) & Rights::EXEC).is_none())
    }
}

/// A path without the slash that only the root has at its end.
pub(super) fn without_slash(path: &[u8]) -> &[u8] {
    if path == b"/" { b"" } else { path }
}

/// The root and every folder on the way to a path, and the path.
fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.chain([path.len()]).filter_map(|end| path.get(..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(rules: &[(&str, Rights, bool, bool)]) -> Acl {
        let mut acl = Acl::new();
        for &(path, rights, deny, itself) in rules {
            let path = without_slash(path.as_bytes()).to_vec();
            acl.add(PathRule { path, rights, deny, itself });
        }
        acl
    }

    #[test]
    fn by_components() {
        let acl = acl(&[("/etc", Rights::READ, false, false)]);
        for (path, rights) in [
            ("/etc", Rights::READ),
            ("/etc/a/b", Rights::READ),
            ("/etcetera", Rights::NONE),
            ("/et", Rights::NONE),
            ("/", Rights::NONE),
        ] {
            assert_eq!(acl.rights(path.as_bytes()), rights, "{path}");
        }
        assert!(acl.is_visible(b"/") && !acl.is_visible(b"/et") && acl.is_visible(b"/etc/x"));
        assert!(!acl.is_uniform_below(b"/") && acl.is_uniform_below(b"/etc"));
    }

    #[test]
    fn a_denial_is_stronger() {
        let acl = acl(&[
            ("/", Rights::ALL, false, false),
            ("/secret", Rights::READ, true, false),
            ("/secret/open", Rights::READ, false, false),
        ]);
        assert_eq!(acl.rights(b"/secret/open/x"), Rights::ALL.without(Rights::READ));
        assert_eq!(acl.rights(b"/other"), Rights::ALL);
        assert_eq!(acl.rights(b"/"), Rights::ALL);
        assert_eq!(acl.reason(b"/secret/x", Rights::READ).as_deref(), Some("deny read /secret"));
        assert_eq!(acl.reason(b"/other", Rights::READ).as_deref(), Some("read /"));
    }

    #[test]
    fn only_the_path_itself() {
        let acl = acl(&[("/home", Rights::READ, false, true), ("/", Rights::READ, false, true)]);
        assert_eq!((acl.rights(b"/home"), acl.rights(b"/")), (Rights::READ, Rights::READ));
        assert_eq!((acl.rights(b"/home/me"), acl.rights(b"/usr")), (Rights::NONE, Rights::NONE));
    }
}
