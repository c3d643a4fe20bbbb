//! From a path to an object.
//!
//! The kernel cannot be asked to look a path up for another process, so it is walked here, component by component, each
//! opened as a handle (`O_PATH | O_NOFOLLOW`): a handle stays on its object, whatever is renamed or replaced meanwhile.
//! The walk begins at the root or working directory of the **target**, `..` stops at its root, and what stands for "the
//! process that asks" in /proc (`self`, `thread-self`, and through them `/dev/fd` and `/dev/stdin`) is the target.
//!
//! A walk decides nothing. What is decided on is the real name of the object that it has come to; so it does not matter
//! over which links it went, and not whether somebody changed them meanwhile.
//!
//! Paths without symbolic links, which are most of them, are looked up by one call (`RESOLVE_NO_SYMLINKS`) if the target
//! has the same root as this process: then they mean the same for both.

use super::name::{Name, is_procfs};
use super::target::{Step, Stop, Target, kind, mount_id, same};
use alloc::vec::Vec;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::Errno;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// As many symbolic links as the kernel follows.
const MAX_LINKS: usize = 40;

/// What a walk does at the last component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// Follows it if it is a symbolic link.
    Follow,
    /// Does not.
    NoFollow,
    /// Does not look at it: it is to be made, removed or renamed in its folder.
    Entry,
}

/// Where a walk has come to.
pub(super) enum Place {
    /// An object that exists. `own_fd` is the descriptor of the target whose link in /proc was the last step.
    Object { handle: OwnedFd, own_fd: Option<i32> },
    /// A name in a folder, which does not exist, or which nobody looked at. `slash`: there was a slash behind it.
    Entry { folder: OwnedFd, name: Vec<u8>, slash: bool },
    /// The path ends with `.` or `..`, or is the root, where an entry was asked for.
    Folder(OwnedFd),
}

const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A walk under way.
struct Walk<'t> {
    target: &'t Target<'t>,
    root: OwnedFd,
    flags: ResolveFlags,
    /// Where it is.
    here: OwnedFd,
    /// What is still to be walked, the next at the end.
    ahead: Vec<Vec<u8>>,
    /// The path ended with a slash, so its end has to be a folder.
    slash: bool,
    links: usize,
    mount: Option<u64>,
}

impl Target<'_> {
    /// Walks a path from a descriptor of the target.
    pub(super) fn walk(&self, from: i32, path: &[u8], last: Last) -> Step<Place> {
        self.walk_with(from, path, last, ResolveFlags::empty())
    }

    /// The same with flags of openat2(2).
    pub(super) fn walk_with(&self, from: i32, path: &[u8], last: Last, flags: ResolveFlags) -> Step<Place> {
        if path.is_empty() {
            return Err(Errno::NOENT.into());
        }
        if flags.contains(ResolveFlags::CACHED) {
            // Allowed at any time: "try again without".
            return Err(Errno::AGAIN.into());
        }
        let absolute = path.starts_with(b"/");
        let beneath = flags.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT);
        let start = if absolute && !beneath { None } else { Some(self.start(from)?) };
        if flags.is_empty() && last != Last::Entry && !self.nurse.has_other_roots() {
            let start = start.as_ref().map_or(self.nurse.root.as_fd(), |start| start.as_fd());
            if let Some(handle) = quick(start, path, last) {
                return Ok(Place::Object { handle, own_fd: None });
            }
        }
        let root = match &start {
            Some(start) if beneath => start.try_clone().map_err(|_| Errno::MFILE)?,
            _ => self.root()?,
        };
        let here = match start {
            Some(start) => start,
            None => root.try_clone().map_err(|_| Errno::MFILE)?,
        };
        if absolute && flags.contains(ResolveFlags::BENEATH) {
            return Err(Errno::XDEV.into());
        }
        let mount = if flags.contains(ResolveFlags::NO_XDEV) { Some(mount_id(here.as_fd())?) } else { None };
        let mut walk = Walk { target: self, root, flags, here, ahead: Vec::new(), slash: false, links: 0, mount };
        walk.slash = path.ends_with(b"/");
        walk.push(path);
        walk.run(last)
    }

    /// An object of a path, or the error of the kernel if there is none.
    pub(super) fn find(&self, from: i32, path: &[u8], last: Last) -> Step<(OwnedFd, Name)> {
        match self.walk(from, path, last)? {
            Place::Object { handle, .. } | Place::Folder(handle) => {
                let name = self.name(handle.as_fd())?;
                Ok((handle, name))
            }
            Place::Entry { folder, name, .. } => {
                self.see(&self.name(folder.as_fd())?.child(&name))?;
                Err(Errno::NOENT.into())
            }
        }
    }

    /// The object of a path, or with an empty path and `AT_EMPTY_PATH` that of a descriptor. `None` for the name then:
    /// the target has it already.
    pub(super) fn find_at(&self, from: i32, path: &[u8], flags: i32) -> Step<(OwnedFd, Option<Name>)> {
        if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
            let handle = self.start(from)?;
            // The working directory is nothing that was granted.
            let name = if from == libc::AT_FDCWD { Some(self.name(handle.as_fd())?) } else { None };
            return Ok((handle, name));
        }
        let last = if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { Last::NoFollow } else { Last::Follow };
        self.find(from, path, last).map(|(handle, name)| (handle, Some(name)))
    }
}

/// Looks up a path without symbolic links.
fn quick(start: BorrowedFd<'_>, path: &[u8], last: Last) -> Option<OwnedFd> {
    let follow = if last == Last::NoFollow { OFlags::NOFOLLOW } else { OFlags::empty() };
    let flags = OFlags::PATH | OFlags::CLOEXEC | follow;
    let handle = openat2(start, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).ok()?;
    Some(handle)
}

impl Walk<'_> {
    fn push(&mut self, path: &[u8]) {
        let components = path.split(|&byte| byte == b'/').filter(|component| !component.is_empty());
        let components: Vec<_> = components.map(<[u8]>::to_vec).collect();
        self.ahead.extend(components.into_iter().rev());
    }

    fn run(mut self, last: Last) -> Step<Place> {
        loop {
            let Some(component) = self.ahead.pop() else {
                return Ok(match last {
                    Last::Entry => Place::Folder(self.here),
                    _ => Place::Object { handle: self.here, own_fd: None },
                });
            };
            self.folder(&component)?;
            match component.as_slice() {
                b"." => continue,
                b".." => {
                    self.up()?;
                    continue;
                }
                _ => {}
            }
            let end = self.ahead.is_empty();
            if end && last == Last::Entry {
                return Ok(Place::Entry { folder: self.here, name: component, slash: self.slash });
            }
            let handle = match openat(&self.here, component.as_slice(), HANDLE, Mode::empty()) {
                Ok(handle) => handle,
                Err(Errno::NOENT) if end => {
                    return Ok(Place::Entry { folder: self.here, name: component, slash: self.slash });
                }
                Err(errno) => return Err(self.lost(&component, errno)),
            };
            let stat = fstat(&handle)?;
            if kind(&stat) == FileType::Symlink && !(end && last == Last::NoFollow && !self.slash) {
                if let Some(place) = self.link(handle, &component, end)? {
                    return Ok(place);
                }
                continue;
            }
            self.same_mount(handle.as_fd())?;
            if end && self.slash && kind(&stat) != FileType::Directory {
                return Err(self.lost(&component, Errno::NOTDIR));
            }
            self.here = handle;
        }
    }

    /// That there can be something below.
    fn folder(&self, component: &[u8]) -> Step<()> {
        if kind(&fstat(&self.here)?) == FileType::Directory {
            return Ok(());
        }
        Err(self.lost(component, Errno::NOTDIR))
    }

    fn up(&mut self) -> Step<()> {
        if same(self.here.as_fd(), self.root.as_fd())? {
            return if self.flags.contains(ResolveFlags::BENEATH) { Err(Errno::XDEV.into()) } else { Ok(()) };
        }
        self.here = openat(&self.here, c"..", HANDLE, Mode::empty())?;
        self.same_mount(self.here.as_fd())
    }

    fn same_mount(&self, handle: BorrowedFd<'_>) -> Step<()> {
        match self.mount {
            Some(mount) if mount_id(handle)? != mount => Err(Errno::XDEV.into()),
            _ => Ok(()),
        }
    }

    /// Goes on at a symbolic link: by its text, or by a jump.
    fn link(&mut self, handle: OwnedFd, component: &[u8], end: bool) -> Step<Option<Place>> {
        self.links = self.links.saturating_add(1);
        if self.links > MAX_LINKS || self.flags.contains(ResolveFlags::NO_SYMLINKS) {
            return Err(self.lost(component, Errno::LOOP));
        }
        if is_procfs(&handle)? {
            return self.link_in_proc(component, end);
        }
        let text = readlinkat(handle, c"", Vec::new())?.into_bytes();
        self.follow(&text)?;
        Ok(None)
    }

    fn follow(&mut self, text: &[u8]) -> Step<()> {
        if text.is_empty() {
            return Err(Errno::NOENT.into());
        }
        if text.starts_with(b"/") {
            // With the second flag the kernel compares with a root that it has not looked up yet.
            if self.flags.intersects(ResolveFlags::BENEATH | ResolveFlags::NO_XDEV) {
                return Err(Errno::XDEV.into());
            }
            self.here = self.root.try_clone().map_err(|_| Errno::MFILE)?;
        }
        // A link at the end that names a folder by a slash makes the whole path one.
        self.slash |= self.ahead.is_empty() && text.ends_with(b"/");
        self.push(text);
        Ok(())
    }

    /// `self` and `thread-self` are the target's. Links of its processes jump to an object without a path; those of
    /// others are not followed.
    fn link_in_proc(&mut self, component: &[u8], end: bool) -> Step<Option<Place>> {
        if fstat(&self.here)?.st_ino == PROC_ROOT {
            return match component {
                b"self" | b"thread-self" => {
                    self.own_proc()?;
                    let process = self.target.status()?.process;
                    let text = if component == b"self" {
                        std::format!("{process}")
                    } else {
                        std::format!("{process}/task/{}", self.target.call.tid())
                    };
                    self.push(text.as_bytes());
                    Ok(None)
                }
                _ => {
                    let text = readlinkat(&self.here, component, Vec::new())?.into_bytes();
                    self.follow(&text)?;
                    Ok(None)
                }
            };
        }
        if self.flags.contains(ResolveFlags::NO_MAGICLINKS) {
            return Err(self.lost(component, Errno::LOOP));
        }
        let folder = self.target.name(self.here.as_fd())?;
        if !matches!(folder, Name::Path(_)) {
            self.target.see(&folder.child(component))?;
            return Err(Errno::ACCESS.into());
        }
        let handle = openat(&self.here, component, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let handle = handle.map_err(|errno| self.lost(component, errno))?;
        self.target.still_there()?;
        self.same_mount(handle.as_fd())?;
        if end && !self.slash {
            let own = folder.path().is_some_and(|path| path == b"/proc/self/fd");
            let number = core::str::from_utf8(component).ok().and_then(|number| number.parse().ok());
            return Ok(Some(Place::Object { handle, own_fd: number.filter(|_| own) }));
        }
        self.here = handle;
        Ok(None)
    }

    /// That a /proc shows the processes by the numbers of this process's namespace.
    fn own_proc(&self) -> Step<()> {
        let shown = readlinkat(&self.here, c"self", Vec::new())?;
        let own = std::format!("{}", std::process::id());
        if shown.as_bytes() == own.as_bytes() { Ok(()) } else { Err(Errno::ACCESS.into()) }
    }

    /// An error of the kernel, unless the target must not know what is there.
    fn lost(&self, component: &[u8], errno: Errno) -> Stop {
        let seen = self.target.name(self.here.as_fd()).and_then(|name| self.target.see(&name.child(component)));
        match seen {
            Ok(()) => errno.into(),
            Err(stop) => stop,
        }
    }
}

/// The number of the root folder of every procfs.
const PROC_ROOT: u64 = 1;
