//! Calls that change what folders hold, or what files are: mkdir, unlink, rename, link, chmod, chown, utime, truncate and
//! their kin.
//!
//! Entries are changed by a handle of their folder and a name in it, objects by a handle of their own.

use super::name::Name;
use super::open::{complete_mode, reopen};
use super::rights::Rights;
use super::target::{Answer, Step, Target, kind};
use super::walk::{Last, Place};
use alloc::string::String;
use alloc::vec::Vec;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawMode, RenameFlags, Timespec, Timestamps, UTIME_NOW, Uid, chmodat, chownat,
    fcntl_getfl, fstat, ftruncate, linkat, mkdirat as make_folder, mknodat as make_node, openat,
    renameat_with as rename_entry, symlinkat as make_link, unlinkat as remove, utimensat as set_times,
};
use rustix::io::Errno;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

const DONE: Step<Answer> = Ok(Answer::Return(0));
const CWD: i32 = libc::AT_FDCWD;

/// A name in a folder.
struct Entry {
    folder: OwnedFd,
    text: Vec<u8>,
    name: Name,
    slash: bool,
}

/// The entry that a path means. `error` is for paths that end with `.` or `..`, or mean the root.
fn entry(target: &Target<'_>, from: i32, path: &[u8], error: Errno) -> Step<Entry> {
    match target.walk(from, path, Last::Entry)? {
        Place::Entry { folder, name: entry, slash } => {
            let name = target.name(folder.as_fd())?.child(&entry);
            Ok(Entry { folder, text: entry, name, slash })
        }
        Place::Folder(handle) | Place::Object { handle, .. } => {
            target.see(&target.name(handle.as_fd())?)?;
            Err(error.into())
        }
    }
}

// --- entries -----------------------------------------------------------------------------------------------------------

pub(super) fn mkdir(target: &Target<'_>) -> Step<Answer> {
    mkdir_at(target, CWD, 0)
}

pub(super) fn mkdirat(target: &Target<'_>) -> Step<Answer> {
    mkdir_at(target, target.int(0), 1)
}

fn mkdir_at(target: &Target<'_>, from: i32, first: usize) -> Step<Answer> {
    let entry = entry(target, from, &target.path(first)?, Errno::EXIST)?;
    made_already(target, &entry)?;
    target.decide(&entry.name, Rights::CREATE)?;
    let permissions = target.word(first.saturating_add(1)) & 0o1777 & !target.status()?.umask;
    make_folder(&entry.folder, entry.text.as_slice(), mode(permissions))?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if let Ok(made) = openat(&entry.folder, entry.text.as_slice(), flags, Mode::empty()) {
        complete_mode(target, made.as_fd(), permissions)?;
    }
    DONE
}

/// `mkdir -p` wants to hear of a folder that exists, also where it may not make one.
fn made_already(target: &Target<'_>, entry: &Entry) -> Step<()> {
    if !target.granted(&entry.name).has(Rights::CREATE) {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if openat(&entry.folder, entry.text.as_slice(), flags, Mode::empty()).is_ok() {
            target.see(&entry.name)?;
            return Err(Errno::EXIST.into());
        }
    }
    Ok(())
}

fn mode(permissions: u32) -> Mode {
    Mode::from_raw_mode(permissions as RawMode)
}

pub(super) fn mknod(target: &Target<'_>) -> Step<Answer> {
    mknod_at(target, CWD, 0)
}

pub(super) fn mknodat(target: &Target<'_>) -> Step<Answer> {
    mknod_at(target, target.int(0), 1)
}

/// No devices: they are doors past every path.
fn mknod_at(target: &Target<'_>, from: i32, first: usize) -> Step<Answer> {
    let entry = entry(target, from, &target.path(first)?, Errno::EXIST)?;
    target.decide(&entry.name, Rights::CREATE)?;
    let asked = target.word(first.saturating_add(1));
    let kind = match FileType::from_raw_mode(asked as RawMode) {
        _ if asked & libc::S_IFMT == 0 => FileType::RegularFile,
        kind @ (FileType::RegularFile | FileType::Fifo | FileType::Socket) => kind,
        FileType::CharacterDevice | FileType::BlockDevice => return Err(Errno::PERM.into()),
        _ => return Err(Errno::INVAL.into()),
    };
    if entry.slash {
        return Err(Errno::NOENT.into());
    }
    let permissions = asked & 0o7777 & !target.status()?.umask;
    make_node(&entry.folder, entry.text.as_slice(), kind, mode(permissions), 0)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(made) = openat(&entry.folder, entry.text.as_slice(), flags, Mode::empty()) {
        // Nobody has put another file there meanwhile.
        let stat = fstat(&made)?;
        if FileType::from_raw_mode(stat.st_mode) == kind && stat.st_nlink == 1 && stat.st_size == 0 {
            complete_mode(target, made.as_fd(), permissions)?;
        }
    }
    DONE
}

pub(super) fn unlink(target: &Target<'_>) -> Step<Answer> {
    remove_at(target, CWD, 0, AtFlags::empty())
}

pub(super) fn rmdir(target: &Target<'_>) -> Step<Answer> {
    remove_at(target, CWD, 0, AtFlags::REMOVEDIR)
}

pub(super) fn unlinkat(target: &Target<'_>) -> Step<Answer> {
    let flags = match target.int(2) {
        0 => AtFlags::empty(),
        libc::AT_REMOVEDIR => AtFlags::REMOVEDIR,
        _ => return Err(Errno::INVAL.into()),
    };
    remove_at(target, target.int(0), 1, flags)
}

fn remove_at(target: &Target<'_>, from: i32, first: usize, flags: AtFlags) -> Step<Answer> {
    let path = target.path(first)?;
    let end = path.rsplit(|&byte| byte == b'/').find(|component| !component.is_empty());
    let error = match (end, flags.contains(AtFlags::REMOVEDIR)) {
        (_, false) => Errno::ISDIR,
        (Some(b"."), true) => Errno::INVAL,
        (Some(b".."), true) => Errno::NOTEMPTY,
        (_, true) => Errno::BUSY,
    };
    let entry = entry(target, from, &path, error)?;
    target.decide(&entry.name, Rights::CREATE)?;
    remove(&entry.folder, with_slash(&entry), flags)?;
    DONE
}

/// With the slash, the kernel refuses what is no folder.
fn with_slash(entry: &Entry) -> Vec<u8> {
    let mut text = entry.text.clone();
    if entry.slash {
        text.push(b'/');
    }
    text
}

pub(super) fn rename(target: &Target<'_>) -> Step<Answer> {
    rename_at(target, (CWD, 0), (CWD, 1), 0)
}

pub(super) fn renameat(target: &Target<'_>) -> Step<Answer> {
    rename_at(target, (target.int(0), 1), (target.int(2), 3), 0)
}

pub(super) fn renameat2(target: &Target<'_>) -> Step<Answer> {
    rename_at(target, (target.int(0), 1), (target.int(2), 3), target.word(4))
}

/// A thing that moves must not come to more rights by its new name. EXDEV otherwise, as between file systems: mv(1) copies
/// then, which needs the right to read.
fn rename_at(target: &Target<'_>, from: (i32, usize), to: (i32, usize), flags: u32) -> Step<Answer> {
    let flags = RenameFlags::from_bits_retain(flags);
    let known = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE;
    // A whiteout is a device.
    if !known.contains(flags) || flags.contains(known) {
        return Err(Errno::INVAL.into());
    }
    let old = entry(target, from.0, &target.path(from.1)?, Errno::BUSY)?;
    let new = entry(target, to.0, &target.path(to.1)?, Errno::BUSY)?;
    target.decide(&old.name, Rights::CREATE)?;
    target.decide(&new.name, Rights::CREATE)?;
    gains_nothing(target, &old.name, &new.name)?;
    if flags.contains(RenameFlags::EXCHANGE) {
        gains_nothing(target, &new.name, &old.name)?;
    }
    rename_entry(&old.folder, with_slash(&old), &new.folder, with_slash(&new), flags)?;
    DONE
}

/// Whether what is granted under a new name was granted under the old one, for the thing and for all that may be below it.
fn gains_nothing(target: &Target<'_>, old: &Name, new: &Name) -> Step<()> {
    if target.nurse.learned.is_some() {
        return Ok(());
    }
    let (Some(old_path), Some(new_path)) = (old.path(), new.path()) else { return Err(Errno::XDEV.into()) };
    let more = target.acl.rights(new_path).without(target.acl.rights(old_path));
    let uniform = target.acl.is_uniform_below(old_path) && target.acl.is_uniform_below(new_path);
    if more.is_none() && uniform {
        return Ok(());
    }
    let reason = if uniform { "it would gain rights" } else { "the ACL says more about what is below" };
    target.note(new.shown(), more, false, Some(reason.into()));
    Err(Errno::XDEV.into())
}

pub(super) fn link(target: &Target<'_>) -> Step<Answer> {
    link_at(target, (CWD, 0), (CWD, 1), 0)
}

pub(super) fn linkat_(target: &Target<'_>) -> Step<Answer> {
    link_at(target, (target.int(0), 1), (target.int(2), 3), target.int(4))
}

fn link_at(target: &Target<'_>, from: (i32, usize), to: (i32, usize), flags: i32) -> Step<Answer> {
    if flags & !(libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH) != 0 {
        return Err(Errno::INVAL.into());
    }
    let path = target.path(from.1)?;
    let (handle, old) = if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
        let handle = target.handle(from.0)?;
        let name = target.name(handle.as_fd())?;
        (handle, name)
    } else {
        let last = if flags & libc::AT_SYMLINK_FOLLOW != 0 { Last::Follow } else { Last::NoFollow };
        target.find(from.0, &path, last)?
    };
    let new = entry(target, to.0, &target.path(to.1)?, Errno::EXIST)?;
    target.see(&old)?;
    target.decide(&new.name, Rights::CREATE)?;
    // A file that was made without a name is called after its folder.
    let old = match old {
        Name::Deleted(_, path) if fstat(&handle)?.st_nlink == 0 => Name::Path(path),
        old => old,
    };
    gains_nothing(target, &old, &new.name)?;
    let number = std::format!("{}", handle.as_raw_fd());
    linkat(&target.nurse.own_fds, number, &new.folder, new.text.as_slice(), AtFlags::SYMLINK_FOLLOW)?;
    DONE
}

pub(super) fn symlink(target: &Target<'_>) -> Step<Answer> {
    symlink_at(target, CWD, 1)
}

pub(super) fn symlinkat(target: &Target<'_>) -> Step<Answer> {
    symlink_at(target, target.int(1), 2)
}

/// Any text will do: whoever follows it is judged by what it leads to.
fn symlink_at(target: &Target<'_>, from: i32, second: usize) -> Step<Answer> {
    let text = target.path(0)?;
    let new = entry(target, from, &target.path(second)?, Errno::EXIST)?;
    target.decide(&new.name, Rights::CREATE)?;
    make_link(text, &new.folder, with_slash(&new))?;
    DONE
}

// --- objects -----------------------------------------------------------------------------------------------------------

/// An object that is to be changed.
fn object(target: &Target<'_>, from: i32, path: &[u8], flags: i32) -> Step<OwnedFd> {
    if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
        let handle = target.start(from)?;
        may_change(target, &handle, (from >= 0).then_some(from))?;
        return Ok(handle);
    }
    let (handle, name) = target.find_at(from, path, flags)?;
    if let Some(name) = name {
        target.decide(&name, Rights::WRITE)?;
    }
    Ok(handle)
}

/// Whether what a descriptor of the target is open on may be changed: it may if it can be written by that descriptor.
fn may_change(target: &Target<'_>, handle: &OwnedFd, fd: Option<i32>) -> Step<()> {
    if let Some(fd) = fd {
        let theirs = target.take(fd)?;
        let flags = fcntl_getfl(&theirs)?;
        let writes = matches!(flags & OFlags::ACCMODE, OFlags::WRONLY | OFlags::RDWR);
        let (now, was) = (fstat(&theirs)?, fstat(handle)?);
        let same = (now.st_dev, now.st_ino) == (was.st_dev, was.st_ino);
        if same && writes && !flags.contains(OFlags::PATH) {
            return Ok(());
        }
    }
    target.decide(&target.name(handle.as_fd())?, Rights::WRITE)
}

/// The object of a descriptor that is open for more than its place.
pub(super) fn open_object(target: &Target<'_>, fd: i32) -> Step<OwnedFd> {
    let theirs = target.take(fd)?;
    if fcntl_getfl(&theirs)?.contains(OFlags::PATH) {
        return Err(Errno::BADF.into());
    }
    let handle = target.handle(fd)?;
    may_change(target, &handle, Some(fd))?;
    Ok(handle)
}

/// A handle as a path of this process.
fn number(handle: &OwnedFd) -> String {
    std::format!("{}", handle.as_raw_fd())
}

pub(super) fn chmod(target: &Target<'_>) -> Step<Answer> {
    set_mode(target, &object(target, CWD, &target.path(0)?, 0)?, target.word(1))
}

pub(super) fn fchmod(target: &Target<'_>) -> Step<Answer> {
    set_mode(target, &open_object(target, target.int(0))?, target.word(1))
}

pub(super) fn fchmodat(target: &Target<'_>) -> Step<Answer> {
    set_mode(target, &object(target, target.int(0), &target.path(1)?, 0)?, target.word(2))
}

pub(super) fn fchmodat2(target: &Target<'_>) -> Step<Answer> {
    let flags = at_flags(target.int(3))?;
    set_mode(target, &object(target, target.int(0), &target.path(1)?, flags)?, target.word(2))
}

/// Flags of the younger calls.
fn at_flags(flags: i32) -> Step<i32> {
    if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) == 0 { Ok(flags) } else { Err(Errno::INVAL.into()) }
}

fn set_mode(target: &Target<'_>, handle: &OwnedFd, permissions: u32) -> Step<Answer> {
    if kind(&fstat(handle)?) == FileType::Symlink {
        return Err(Errno::OPNOTSUPP.into());
    }
    chmodat(&target.nurse.own_fds, number(handle), mode(permissions & 0o7777), AtFlags::empty())?;
    DONE
}

pub(super) fn chown(target: &Target<'_>) -> Step<Answer> {
    set_owner(target, &object(target, CWD, &target.path(0)?, 0)?, 1)
}

pub(super) fn lchown(target: &Target<'_>) -> Step<Answer> {
    set_owner(target, &object(target, CWD, &target.path(0)?, libc::AT_SYMLINK_NOFOLLOW)?, 1)
}

pub(super) fn fchown(target: &Target<'_>) -> Step<Answer> {
    set_owner(target, &open_object(target, target.int(0))?, 1)
}

pub(super) fn fchownat(target: &Target<'_>) -> Step<Answer> {
    let flags = at_flags(target.int(4))?;
    set_owner(target, &object(target, target.int(0), &target.path(1)?, flags)?, 2)
}

fn set_owner(target: &Target<'_>, handle: &OwnedFd, first: usize) -> Step<Answer> {
    let id = |index: usize| Some(target.word(index)).filter(|id| *id != u32::MAX);
    let user = id(first).map(Uid::from_raw);
    let group = id(first.saturating_add(1)).map(Gid::from_raw);
    chownat(&target.nurse.own_fds, number(handle), user, group, AtFlags::empty())?;
    DONE
}

pub(super) fn truncate(target: &Target<'_>) -> Step<Answer> {
    let handle = object(target, CWD, &target.path(0)?, 0)?;
    let length = u64::try_from(target.arg(1).cast_signed()).map_err(|_| Errno::INVAL)?;
    match kind(&fstat(&handle)?) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Errno::ISDIR.into()),
        _ => return Err(Errno::INVAL.into()),
    }
    let file = reopen(target, handle.as_fd(), OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK)?;
    ftruncate(file, length)?;
    DONE
}

// --- times -------------------------------------------------------------------------------------------------------------

/// Two times in the memory of the target: pairs of seconds and of parts of them, `unit` nanoseconds each.
fn times(target: &Target<'_>, index: usize, unit: i64) -> Step<Timestamps> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    if target.arg(index) == 0 {
        return Ok(Timestamps { last_access: now, last_modification: now });
    }
    let bytes = target.bytes(target.arg(index), 32)?;
    let mut words = bytes.chunks_exact(8).map(|word| i64::from_ne_bytes(word.try_into().unwrap_or_default()));
    let mut time = || -> Step<Timespec> {
        let (seconds, part) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if unit != 1 && !(0..1_000_000).contains(&part) {
            return Err(Errno::INVAL.into());
        }
        Ok(Timespec { tv_sec: seconds, tv_nsec: part.saturating_mul(unit) })
    };
    Ok(Timestamps { last_access: time()?, last_modification: time()? })
}

pub(super) fn utime(target: &Target<'_>) -> Step<Answer> {
    let times = if target.arg(1) == 0 {
        times(target, 1, 1)?
    } else {
        let bytes = target.bytes(target.arg(1), 16)?;
        let mut words = bytes.chunks_exact(8).map(|word| i64::from_ne_bytes(word.try_into().unwrap_or_default()));
        let mut time = || Timespec { tv_sec: words.next().unwrap_or_default(), tv_nsec: 0 };
        Timestamps { last_access: time(), last_modification: time() }
    };
    apply_times(target, &object(target, CWD, &target.path(0)?, 0)?, &times)
}

pub(super) fn utimes(target: &Target<'_>) -> Step<Answer> {
    let times = times(target, 1, 1000)?;
    apply_times(target, &object(target, CWD, &target.path(0)?, 0)?, &times)
}

pub(super) fn futimesat(target: &Target<'_>) -> Step<Answer> {
    let times = times(target, 2, 1000)?;
    apply_times(target, &of_path_or_fd(target, 0)?, &times)
}

pub(super) fn utimensat(target: &Target<'_>) -> Step<Answer> {
    let times = times(target, 2, 1)?;
    let flags = at_flags(target.int(3))?;
    if target.arg(1) == 0 {
        return apply_times(target, &of_path_or_fd(target, flags)?, &times);
    }
    apply_times(target, &object(target, target.int(0), &target.path(1)?, flags)?, &times)
}

/// A null pointer instead of a path means the descriptor.
fn of_path_or_fd(target: &Target<'_>, flags: i32) -> Step<OwnedFd> {
    if target.arg(1) != 0 {
        return object(target, target.int(0), &target.path(1)?, flags);
    }
    if flags != 0 {
        return Err(Errno::INVAL.into());
    }
    open_object(target, target.int(0))
}

fn apply_times(target: &Target<'_>, handle: &OwnedFd, times: &Timestamps) -> Step<Answer> {
    set_times(&target.nurse.own_fds, number(handle), times, AtFlags::empty())?;
    DONE
}
