//! Extended attributes of files, see xattr(7).

use super::change::open_object;
use super::rights::Rights;
use super::target::{Answer, Step, Target};
use super::walk::Last;
use alloc::string::String;
use alloc::vec;
use rustix::io::Errno;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// The most bytes of a value, or of a list of names.
const MAX_VALUE: usize = 65536;
const MAX_NAME: usize = 255;

/// Which object: by path, by path without following a link, or by descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Path,
    Link,
    Fd,
}

/// The object, by a path that the calls for extended attributes take. It is valid as long as the handle.
fn attributed(target: &Target<'_>, which: Which, wanted: Rights) -> Step<(OwnedFd, String)> {
    let handle = if which == Which::Fd {
        open_object(target, target.int(0))?
    } else {
        let last = if which == Which::Link { Last::NoFollow } else { Last::Follow };
        let (handle, name) = target.find(libc::AT_FDCWD, &target.path(0)?, last)?;
        target.decide(&name, wanted)?;
        handle
    };
    let path = std::format!("/proc/self/fd/{}", handle.as_raw_fd());
    Ok((handle, path))
}

fn get(target: &Target<'_>, which: Which) -> Step<Answer> {
    let name = target.string(1, MAX_NAME)?;
    let (_handle, path) = attributed(target, which, Rights::READ)?;
    give(target, 2, |buffer| rustix::fs::getxattr(path.as_str(), name.as_slice(), buffer))
}

fn list(target: &Target<'_>, which: Which) -> Step<Answer> {
    let (_handle, path) = attributed(target, which, Rights::READ)?;
    give(target, 1, |buffer| rustix::fs::listxattr(path.as_str(), buffer))
}

/// Writes what the kernel gives to the buffer of the target, or only tells its size if that has none.
fn give(target: &Target<'_>, first: usize, ask: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Step<Answer> {
    let mut buffer = vec![0; MAX_VALUE];
    let got = ask(&mut buffer)?;
    let room = usize::try_from(target.arg(first.saturating_add(1))).unwrap_or(usize::MAX);
    if room > 0 {
        let bytes = buffer.get(..got).filter(|_| got <= room).ok_or(Errno::RANGE)?;
        target.write(target.arg(first), bytes)?;
    }
    Ok(Answer::Return(i64::try_from(got).unwrap_or_default()))
}

fn set(target: &Target<'_>, which: Which) -> Step<Answer> {
    let name = target.string(1, MAX_NAME)?;
    let size = usize::try_from(target.arg(3)).ok().filter(|size| *size <= MAX_VALUE).ok_or(Errno::TOOBIG)?;
    let value = target.bytes(target.arg(2), size)?;
    let (_handle, path) = attributed(target, which, Rights::WRITE)?;
    let flags = rustix::fs::XattrFlags::from_bits_retain(target.word(4));
    rustix::fs::setxattr(path.as_str(), name.as_slice(), &value, flags)?;
    Ok(Answer::Return(0))
}

fn drop_attribute(target: &Target<'_>, which: Which) -> Step<Answer> {
    let name = target.string(1, MAX_NAME)?;
    let (_handle, path) = attributed(target, which, Rights::WRITE)?;
    rustix::fs::removexattr(path.as_str(), name.as_slice())?;
    Ok(Answer::Return(0))
}

macro_rules! attributes {
    ($($call:ident = $what:ident($which:ident);)*) => {$(
        pub(super) fn $call(target: &Target<'_>) -> Step<Answer> {
            $what(target, Which::$which)
        }
    )*};
}

attributes! {
    getxattr = get(Path);
    lgetxattr = get(Link);
    listxattr = list(Path);
    llistxattr = list(Link);
    setxattr = set(Path);
    lsetxattr = set(Link);
    fsetxattr = set(Fd);
    removexattr = drop_attribute(Path);
    lremovexattr = drop_attribute(Link);
    fremovexattr = drop_attribute(Fd);
}
