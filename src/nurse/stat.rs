//! Calls that only look: stat, access, readlink, statfs, and watching.

use super::rights::Rights;
use super::target::{Answer, Step, Target, kind};
use super::walk::{Last, Place};
use crate::kernel::{stat_bytes, statfs_bytes, statx_bytes};
use rustix::fs::{Access, AtFlags, FileType, accessat, fstat, inotify, readlinkat};
use rustix::io::Errno;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::vec::Vec;

const DONE: Step<Answer> = Ok(Answer::Return(0));

/// A number of libc.
fn raw(errno: i32) -> Errno {
    Errno::from_raw_os_error(errno)
}

/// Looks for an object and whether the target may know of it.
fn visible(target: &Target<'_>, from: i32, path: &[u8], flags: i32) -> Step<OwnedFd> {
    let (handle, name) = target.find_at(from, path, flags)?;
    if let Some(name) = name {
        target.see(&name)?;
    }
    Ok(handle)
}

fn stat_to(target: &Target<'_>, handle: BorrowedFd<'_>, buffer: usize) -> Step<Answer> {
    target.write(target.arg(buffer), &stat_bytes(handle).map_err(raw)?)?;
    DONE
}

pub(super) fn stat(target: &Target<'_>) -> Step<Answer> {
    let handle = visible(target, libc::AT_FDCWD, &target.path(0)?, 0)?;
    stat_to(target, handle.as_fd(), 1)
}

pub(super) fn lstat(target: &Target<'_>) -> Step<Answer> {
    let handle = visible(target, libc::AT_FDCWD, &target.path(0)?, libc::AT_SYMLINK_NOFOLLOW)?;
    stat_to(target, handle.as_fd(), 1)
}

/// The path of fstatat and statx. From Linux 6.11 on a null pointer will do where `AT_EMPTY_PATH` is given.
fn path_or_none(target: &Target<'_>, index: usize, flags: i32) -> Step<Vec<u8>> {
    if flags & libc::AT_EMPTY_PATH != 0 && target.arg(index) == 0 {
        return Ok(Vec::new());
    }
    target.path(index)
}

pub(super) fn newfstatat(target: &Target<'_>) -> Step<Answer> {
    let flags = target.int(3);
    if flags & !(libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT) != 0 {
        return Err(Errno::INVAL.into());
    }
    let handle = visible(target, target.int(0), &path_or_none(target, 1, flags)?, flags)?;
    stat_to(target, handle.as_fd(), 2)
}

pub(super) fn statx(target: &Target<'_>) -> Step<Answer> {
    const SYNC: i32 = libc::AT_STATX_SYNC_TYPE;
    let (flags, mask) = (target.int(2), target.word(3));
    let known = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | SYNC;
    if flags & !known != 0 {
        return Err(Errno::INVAL.into());
    }
    let handle = visible(target, target.int(0), &path_or_none(target, 1, flags)?, flags)?;
    let bytes = statx_bytes(handle.as_fd(), flags & (SYNC | libc::AT_NO_AUTOMOUNT), mask).map_err(raw)?;
    target.write(target.arg(4), &bytes)?;
    DONE
}

pub(super) fn statfs(target: &Target<'_>) -> Step<Answer> {
    let handle = visible(target, libc::AT_FDCWD, &target.path(0)?, 0)?;
    target.write(target.arg(1), &statfs_bytes(handle.as_fd()).map_err(raw)?)?;
    DONE
}

pub(super) fn access(target: &Target<'_>) -> Step<Answer> {
    access_at(target, libc::AT_FDCWD, &target.path(0)?, target.int(1), 0)
}

pub(super) fn faccessat(target: &Target<'_>) -> Step<Answer> {
    access_at(target, target.int(0), &target.path(1)?, target.int(2), 0)
}

pub(super) fn faccessat2(target: &Target<'_>) -> Step<Answer> {
    let flags = target.int(3);
    if flags & !(libc::AT_EACCESS | libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::INVAL.into());
    }
    access_at(target, target.int(0), &target.path(1)?, target.int(2), flags)
}

fn access_at(target: &Target<'_>, from: i32, path: &[u8], mode: i32, flags: i32) -> Step<Answer> {
    if mode & !(libc::R_OK | libc::W_OK | libc::X_OK) != 0 {
        return Err(Errno::INVAL.into());
    }
    let (handle, name) = target.find_at(from, path, flags)?;
    let stat = fstat(&handle)?;
    if let Some(name) = name {
        // Searching a folder is no right of its own.
        let exec = if kind(&stat) == FileType::Directory { Rights::NONE } else { Rights::EXEC };
        let asked = [(libc::R_OK, Rights::READ), (libc::W_OK, Rights::WRITE), (libc::X_OK, exec)];
        let wanted = asked.into_iter().filter(|(bit, _)| mode & bit != 0);
        let wanted = wanted.fold(Rights::NONE, |rights, (_, right)| rights | right);
        // Making something in a folder is what writing to it means.
        let granted = target.granted(&name);
        let folder = kind(&stat) == FileType::Directory && granted.has(Rights::CREATE);
        let wanted = if folder { wanted.without(Rights::WRITE) } else { wanted };
        if wanted.is_none() { target.see(&name)? } else { target.decide(&name, wanted)? }
    }
    if kind(&stat) == FileType::Symlink {
        return DONE;
    }
    let number = std::format!("{}", handle.as_raw_fd());
    let flags = if flags & libc::AT_EACCESS != 0 { AtFlags::EACCESS } else { AtFlags::empty() };
    accessat(&target.nurse.own_fds, number, Access::from_bits_retain(mode.cast_unsigned()), flags)?;
    DONE
}

pub(super) fn readlink(target: &Target<'_>) -> Step<Answer> {
    link_text(target, libc::AT_FDCWD, 0)
}

pub(super) fn readlinkat_(target: &Target<'_>) -> Step<Answer> {
    link_text(target, target.int(0), 1)
}

fn link_text(target: &Target<'_>, from: i32, first: usize) -> Step<Answer> {
    let size = target.int(first.saturating_add(2));
    let size = usize::try_from(size).ok().filter(|size| *size > 0).ok_or(Errno::INVAL)?;
    let path = target.path(first)?;
    if path.is_empty() && from != libc::AT_FDCWD {
        // A descriptor of O_PATH on a link.
        let handle = target.handle(from)?;
        return text_to(target, first, size, readlinkat(handle, c"", Vec::new())?.as_bytes());
    }
    let handle = match target.walk(from, &path, Last::NoFollow)? {
        Place::Object { handle, .. } | Place::Folder(handle) => handle,
        Place::Entry { folder, name, .. } => {
            target.see(&target.name(folder.as_fd())?.child(&name))?;
            return Err(Errno::NOENT.into());
        }
    };
    let name = target.name(handle.as_fd())?;
    target.see(&name)?;
    if kind(&fstat(&handle)?) != FileType::Symlink {
        return Err(Errno::INVAL.into());
    }
    // What stands for the one that asks, whom the kernel would take for the nurse.
    let text = match name.path() {
        Some(b"/proc/self") => std::format!("{}", target.status()?.process).into_bytes(),
        Some(b"/proc/thread-self") => {
            std::format!("{}/task/{}", target.status()?.process, target.call.tid()).into_bytes()
        }
        _ => readlinkat(&handle, c"", Vec::new())?.into_bytes(),
    };
    text_to(target, first, size, &text)
}

fn text_to(target: &Target<'_>, first: usize, size: usize, text: &[u8]) -> Step<Answer> {
    let text = text.get(..size).unwrap_or(text);
    target.write(target.arg(first.saturating_add(1)), text)?;
    Ok(Answer::Return(i64::try_from(text.len()).unwrap_or_default()))
}

/// A watch tells what happens to files, which is reading.
pub(super) fn inotify_add_watch(target: &Target<'_>) -> Step<Answer> {
    let watcher = target.take(target.int(0))?;
    let mask = inotify::WatchFlags::from_bits_retain(target.word(2));
    let last = if mask.contains(inotify::WatchFlags::DONT_FOLLOW) { Last::NoFollow } else { Last::Follow };
    let (handle, name) = target.find(libc::AT_FDCWD, &target.path(1)?, last)?;
    target.decide(&name, Rights::READ)?;
    let path = std::format!("/proc/self/fd/{}", handle.as_raw_fd());
    let mask = mask.difference(inotify::WatchFlags::DONT_FOLLOW);
    Ok(Answer::Return(inotify::add_watch(watcher, path, mask)?.into()))
}
