//! Calls that only the target can make: execve, chroot. And memory files, which are not to become programs.

use super::name::Name;
use super::open::reopen;
use super::rights::Rights;
use super::target::{Answer, Step, Target, kind};
use super::walk::Last;
use alloc::vec;
use alloc::vec::Vec;
use rustix::fs::{FileType, MemfdFlags, OFlags, fstat, memfd_create as make_memfd};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

pub(super) fn execve(target: &Target<'_>) -> Step<Answer> {
    let path = target.path(0)?;
    let (handle, name) = target.find(libc::AT_FDCWD, &path, Last::Follow)?;
    start(target, handle, &name)
}

pub(super) fn execveat(target: &Target<'_>) -> Step<Answer> {
    let path = target.path(1)?;
    let (handle, name) = target.find_at(target.int(0), &path, target.int(4))?;
    let name = match name {
        Some(name) => name,
        None => target.name(handle.as_fd())?,
    };
    start(target, handle, &name)
}

/// As many interpreters as the kernel follows.
const MAX_INTERPRETERS: usize = 5;

/// Judges a program and what runs it. The kernel reads the path again, and somebody may have changed it; so Landlock
/// decides in the end, and this tells the log which rule is missing.
fn start(target: &Target<'_>, handle: OwnedFd, name: &Name) -> Step<Answer> {
    target.decide(name, Rights::EXEC)?;
    let mut program = handle;
    for _ in 0..MAX_INTERPRETERS {
        let Some(path) = interpreter(target, &program) else { break };
        let Ok((handle, name)) = target.find(libc::AT_FDCWD, &path, Last::Follow) else { break };
        target.decide(&name, Rights::EXEC)?;
        program = handle;
    }
    Ok(Answer::Continue)
}

/// The program that runs another one: that of the first line of a script, or the loader.
fn interpreter(target: &Target<'_>, program: &OwnedFd) -> Option<Vec<u8>> {
    const LINE: usize = 256;
    if kind(&fstat(program).ok()?) != FileType::RegularFile {
        return None;
    }
    let file = File::from(reopen(target, program.as_fd(), OFlags::RDONLY | OFlags::CLOEXEC).ok()?);
    let mut start = [0; LINE];
    let got = file.read_at(&mut start, 0).ok()?;
    let start = start.get(..got)?;
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next()?.trim_ascii_start();
        let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t' | 0)).unwrap_or(line.len());
        return line.get(..end).map(<[u8]>::to_vec).filter(|path| !path.is_empty());
    }
    loader(&file, start)
}

/// PT_INTERP of an ELF file of 64 bits in this machine's byte order.
fn loader(file: &File, start: &[u8]) -> Option<Vec<u8>> {
    const INTERP: u32 = 3;
    const PATH_MAX: usize = 4096;
    const MAX_HEADERS: u64 = 128;
    if !start.starts_with(b"\x7fELF\x02") {
        return None;
    }
    let long = |bytes: &[u8], at: usize| Some(u64::from_ne_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?));
    let half = |at: usize| Some(u64::from(u16::from_ne_bytes(start.get(at..at.checked_add(2)?)?.try_into().ok()?)));
    let (table, size, count) = (long(start, 32)?, half(54)?, half(56)?);
    for index in 0..count.min(MAX_HEADERS) {
        let mut header = [0; 56];
        file.read_exact_at(&mut header, table.checked_add(index.checked_mul(size)?)?).ok()?;
        if u32::from_ne_bytes(header.get(..4)?.try_into().ok()?) == INTERP {
            let (at, len) = (long(&header, 8)?, usize::try_from(long(&header, 32)?).ok()?);
            let mut path = vec![0; len.min(PATH_MAX)];
            file.read_exact_at(&mut path, at).ok()?;
            return path.split(|&byte| byte == 0).next().map(<[u8]>::to_vec);
        }
    }
    None
}

/// From then on paths of this program may mean something else than to the nurse. Nothing is decided on the text of a root
/// or a working directory, so it may be any.
#[allow(clippy::unnecessary_wraps)] // As the other handlers.
pub(super) fn chroot(target: &Target<'_>) -> Step<Answer> {
    target.nurse.other_roots();
    Ok(Answer::Continue)
}

/// Landlock does not see files without a name, so those that the nurse makes cannot be executed.
pub(super) fn memfd_create(target: &Target<'_>) -> Step<Answer> {
    const EXEC: u32 = 0x10;
    const NOEXEC_SEAL: u32 = 0x8;
    const MAX_NAME: usize = 249;
    let name = target.string(0, MAX_NAME)?;
    let flags = target.word(1);
    if flags & EXEC != 0 {
        return Err(Errno::ACCESS.into());
    }
    let make = |flags: u32| -> Result<OwnedFd, Errno> {
        make_memfd(name.as_slice(), MemfdFlags::from_bits_retain(flags) | MemfdFlags::CLOEXEC)
    };
    let sealed = MemfdFlags::from_bits_retain(NOEXEC_SEAL).bits() | flags;
    let file = match make(sealed) {
        // Before Linux 6.3. An error of the flags themselves shows again.
        Err(Errno::INVAL) if !target.nurse.exec_is_enforced() => make(flags)?,
        Err(Errno::INVAL) => return Err(Errno::NOSYS.into()),
        file => file?,
    };
    Ok(Answer::Fd(file, MemfdFlags::from_bits_retain(flags).contains(MemfdFlags::CLOEXEC)))
}
