//! open, openat, openat2, creat: the nurse opens the object and puts the descriptor into the target.

use super::name::Name;
use super::rights::Rights;
use super::target::{Answer, Step, Stop, Target, kind};
use super::walk::{Last, Place};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use core::time::Duration;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, ResolveFlags, Stat, chmodat, fcntl_getfl, fstat, openat};
use rustix::io::Errno;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

/// What was asked for.
#[derive(Clone, Copy)]
struct Wish {
    flags: OFlags,
    mode: u32,
    resolve: ResolveFlags,
}

/// How often a name may appear and vanish while we look.
const MAX_ROUNDS: usize = 64;

pub(super) fn open(target: &Target<'_>) -> Step<Answer> {
    run(target, libc::AT_FDCWD, 0, Wish::old(target.int(1), target.word(2)))
}

pub(super) fn openat_(target: &Target<'_>) -> Step<Answer> {
    run(target, target.int(0), 1, Wish::old(target.int(2), target.word(3)))
}

pub(super) fn creat(target: &Target<'_>) -> Step<Answer> {
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    run(target, libc::AT_FDCWD, 0, Wish::old(flags, target.word(1)))
}

/// `struct open_how` may be larger than what is known here, if the rest is zero.
pub(super) fn openat2(target: &Target<'_>) -> Step<Answer> {
    const KNOWN: usize = 24;
    const PAGE: usize = 4096;
    let size = usize::try_from(target.arg(3)).unwrap_or(usize::MAX);
    if size < KNOWN {
        return Err(Errno::INVAL.into());
    }
    if size > PAGE {
        return Err(Errno::TOOBIG.into());
    }
    let bytes = target.bytes(target.arg(2), size)?;
    let (known, rest) = bytes.split_at_checked(KNOWN).ok_or(Errno::INVAL)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Errno::TOOBIG.into());
    }
    let mut words = known.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
    let mut next = || words.next().unwrap_or_default();
    let (flags, mode, resolve) = (next(), next(), next());
    let flags = u32::try_from(flags).map_err(|_| Errno::INVAL)?;
    let mode = u32::try_from(mode).ok().filter(|mode| mode & !0o7777 == 0).ok_or(Errno::INVAL)?;
    let resolve = ResolveFlags::from_bits_retain(resolve);
    let both = ResolveFlags::BENEATH | ResolveFlags::IN_ROOT;
    let flags = OFlags::from_bits_retain(flags);
    let makes = flags.intersects(OFlags::CREATE) || flags.contains(OFlags::TMPFILE);
    if !all_resolve().contains(resolve)
        || resolve.contains(both)
        || !known_flags().contains(flags)
        || (mode != 0 && !makes)
    {
        return Err(Errno::INVAL.into());
    }
    if flags.contains(OFlags::PATH) && !path_flags().contains(flags) {
        return Err(Errno::INVAL.into());
    }
    run(target, target.int(0), 1, Wish { flags, mode, resolve })
}

fn all_resolve() -> ResolveFlags {
    ResolveFlags::NO_XDEV
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::BENEATH
        | ResolveFlags::IN_ROOT
        | ResolveFlags::CACHED
}

/// What open(2) knows; it ignores the rest.
fn known_flags() -> OFlags {
    OFlags::ACCMODE
        | OFlags::CREATE
        | OFlags::EXCL
        | OFlags::NOCTTY
        | OFlags::TRUNC
        | OFlags::APPEND
        | OFlags::NONBLOCK
        | OFlags::SYNC
        | OFlags::DSYNC
        | OFlags::DIRECT
        | OFlags::LARGEFILE
        | OFlags::DIRECTORY
        | OFlags::NOFOLLOW
        | OFlags::NOATIME
        | OFlags::CLOEXEC
        | OFlags::PATH
        | OFlags::TMPFILE
        | OFlags::from_bits_retain(libc::O_ASYNC.cast_unsigned())
}

/// What counts together with `O_PATH`.
fn path_flags() -> OFlags {
    OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

impl Wish {
    fn old(flags: i32, mode: u32) -> Self {
        let mut flags = OFlags::from_bits_retain(flags.cast_unsigned()) & known_flags();
        if flags.contains(OFlags::PATH) {
            flags &= path_flags();
        }
        Self { flags, mode: mode & 0o7777, resolve: ResolveFlags::empty() }
    }

    fn has(&self, flags: OFlags) -> bool {
        self.flags.contains(flags)
    }

    /// What opening an object in this way needs.
    fn rights(&self) -> Rights {
        if self.has(OFlags::PATH) {
            return Rights::NONE;
        }
        // 3 is neither reading nor writing, but needs both.
        let access = match self.flags & OFlags::ACCMODE {
            OFlags::RDONLY => Rights::READ,
            OFlags::WRONLY => Rights::WRITE,
            _ => Rights::READ | Rights::WRITE,
        };
        access | if self.has(OFlags::TRUNC) { Rights::WRITE } else { Rights::NONE }
    }

    /// The flags for opening an object that has been found.
    fn reopen_flags(&self) -> OFlags {
        let found = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        // A terminal must not become that of the nurse.
        self.flags.difference(found) | OFlags::NOCTTY | OFlags::CLOEXEC
    }
}

fn run(target: &Target<'_>, from: i32, path: usize, wish: Wish) -> Step<Answer> {
    let path = target.path(path)?;
    let tmpfile = wish.has(OFlags::TMPFILE);
    if tmpfile && (wish.flags & OFlags::ACCMODE == OFlags::RDONLY || wish.has(OFlags::CREATE)) {
        return Err(Errno::INVAL.into());
    }
    let creates = wish.has(OFlags::CREATE) && !tmpfile;
    if creates && wish.has(OFlags::DIRECTORY) {
        return Err(Errno::INVAL.into());
    }
    // As the kernel says it, whatever is there.
    if creates && path.ends_with(b"/") {
        return Err(Errno::ISDIR.into());
    }
    let exclusive = creates && wish.has(OFlags::EXCL);
    let last = if wish.has(OFlags::NOFOLLOW) || exclusive { Last::NoFollow } else { Last::Follow };
    for _ in 0..MAX_ROUNDS {
        let (handle, own_fd) = match target.walk_with(from, &path, last, wish.resolve)? {
            Place::Object { handle, own_fd } => (handle, own_fd),
            Place::Folder(handle) => (handle, None),
            Place::Entry { folder, name, .. } => {
                match make(target, folder.as_fd(), &name, creates, wish) {
                    // Somebody was faster, so it exists.
                    Err(Stop::Errno(Errno::EXIST)) if !exclusive => continue,
                    answer => return answer,
                }
            }
        };
        let name = target.name(handle.as_fd())?;
        if exclusive {
            target.see(&name)?;
            return Err(Errno::EXIST.into());
        }
        return existing(target, handle, &name, own_fd, wish);
    }
    Err(Errno::AGAIN.into())
}

/// Opens an object that exists.
fn existing(target: &Target<'_>, handle: OwnedFd, name: &Name, own_fd: Option<i32>, wish: Wish) -> Step<Answer> {
    let stat = fstat(&handle)?;
    if wish.has(OFlags::PATH) {
        return place(target, &handle, name, kind(&stat), wish);
    }
    if wish.has(OFlags::TMPFILE) {
        return temporary(target, &handle, name, wish);
    }
    let has_it = match own_fd {
        Some(fd) if !target.granted(name).has(wish.rights()) => has_already(target, fd, &stat, wish)?,
        _ => false,
    };
    if has_it {
        target.note(name.shown(), wish.rights(), true, Some("the program has it open".into()));
    } else {
        target.decide(name, wish.rights())?;
    }
    match kind(&stat) {
        FileType::Symlink => return Err(Errno::LOOP.into()),
        FileType::Socket => return Err(Errno::NXIO.into()),
        FileType::Directory if wish.has(OFlags::CREATE) => return Err(Errno::ISDIR.into()),
        FileType::Fifo if !wish.has(OFlags::NONBLOCK) && wish.rights() != (Rights::READ | Rights::WRITE) => {
            return Ok(Answer::Later(Box::new(move |target: &Target<'_>| fifo(target, handle, wish))));
        }
        FileType::CharacterDevice if stat.st_rdev == rustix::fs::makedev(5, 0) => own_terminal(target)?,
        _ => {}
    }
    let opened = reopen(target, handle.as_fd(), wish.reopen_flags())?;
    Ok(Answer::Fd(opened, wish.has(OFlags::CLOEXEC)))
}

/// What `O_PATH` asks for. The kernel puts no such descriptor into another process, so the target gets one for reading,
/// which can do more, if it may read. There is none for links, sockets and devices.
fn place(target: &Target<'_>, handle: &OwnedFd, name: &Name, kind: FileType, wish: Wish) -> Step<Answer> {
    target.see(name)?;
    match kind {
        FileType::Directory => {}
        _ if wish.has(OFlags::DIRECTORY) => return Err(Errno::NOTDIR.into()),
        FileType::RegularFile => {}
        _ => return Err(Errno::OPNOTSUPP.into()),
    }
    target.decide(name, Rights::READ)?;
    let file = reopen(target, handle.as_fd(), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC)?;
    Ok(Answer::Fd(file, wish.has(OFlags::CLOEXEC)))
}

/// Opens what a handle leads to. The kernel checks the permissions of the file as always.
pub(super) fn reopen(target: &Target<'_>, handle: BorrowedFd<'_>, flags: OFlags) -> Step<OwnedFd> {
    let number = std::format!("{}", handle.as_raw_fd());
    Ok(openat(&target.nurse.own_fds, number, flags, Mode::empty())?)
}

/// Whether a descriptor of the target is open on the same object and can do already what is wanted. Then opening it again
/// by its link in /proc gives the target nothing.
fn has_already(target: &Target<'_>, fd: i32, stat: &Stat, wish: Wish) -> Step<bool> {
    let theirs = target.take(fd)?;
    let (now, flags) = (fstat(&theirs)?, fcntl_getfl(&theirs)?);
    if (now.st_dev, now.st_ino) != (stat.st_dev, stat.st_ino) || flags.contains(OFlags::PATH) {
        return Ok(false);
    }
    let has = match flags & OFlags::ACCMODE {
        OFlags::RDONLY => Rights::READ,
        OFlags::WRONLY => Rights::WRITE,
        OFlags::RDWR => Rights::READ | Rights::WRITE,
        _ => Rights::NONE,
    };
    // One that can only append must not come to overwrite.
    let has = if flags.contains(OFlags::APPEND) { has.without(Rights::WRITE) } else { has };
    Ok(has.has(wish.rights()))
}

/// Makes a file that did not exist.
fn make(target: &Target<'_>, folder: BorrowedFd<'_>, entry: &[u8], creates: bool, wish: Wish) -> Step<Answer> {
    let name = target.name(folder)?.child(entry);
    if !creates {
        target.see(&name)?;
        return Err(Errno::NOENT.into());
    }
    target.decide(&name, Rights::CREATE | wish.rights())?;
    let mode = wish.mode & !target.status()?.umask;
    let flags = wish.flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(folder, entry, flags, Mode::from_raw_mode(mode as RawMode))?;
    complete_mode(target, file.as_fd(), mode)?;
    Ok(Answer::Fd(file, wish.has(OFlags::CLOEXEC)))
}

/// A file without a name in a folder.
fn temporary(target: &Target<'_>, handle: &OwnedFd, name: &Name, wish: Wish) -> Step<Answer> {
    // It has a name that nobody can foresee, so what is said of the folder counts.
    target.decide(name, Rights::CREATE | wish.rights())?;
    let mode = wish.mode & !target.status()?.umask;
    let flags = wish.flags.difference(OFlags::NOFOLLOW) | OFlags::CLOEXEC;
    let file = openat(
        &target.nurse.own_fds,
        std::format!("{}", handle.as_raw_fd()),
        flags,
        Mode::from_raw_mode(mode as RawMode),
    )?;
    complete_mode(target, file.as_fd(), mode)?;
    Ok(Answer::Fd(file, wish.has(OFlags::CLOEXEC)))
}

/// The umask of the nurse may have taken away more than that of the target.
pub(super) fn complete_mode(target: &Target<'_>, made: BorrowedFd<'_>, wanted: u32) -> Step<()> {
    let missing = wanted & 0o777 & target.nurse.umask;
    if missing == 0 {
        return Ok(());
    }
    let has = fstat(made)?.st_mode & 0o7777;
    let all = Mode::from_raw_mode((has | missing) as RawMode);
    let number = std::format!("{}", made.as_raw_fd());
    Ok(chmodat(&target.nurse.own_fds, number, all, AtFlags::empty())?)
}

/// `/dev/tty` is the terminal of the one that opens it, so nurse and target must have the same.
fn own_terminal(target: &Target<'_>) -> Step<()> {
    let of = |process: &str| {
        let text = std::fs::read_to_string(std::format!("/proc/{process}/stat")).unwrap_or_default();
        // Session and terminal are the sixth and seventh field; the second is a name in brackets.
        let fields: Vec<_> = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(3).take(2).collect();
        fields.join(" ")
    };
    let same = of("self") == of(&std::format!("{}", target.call.tid()));
    target.still_there()?;
    if same { Ok(()) } else { Err(Errno::NXIO.into()) }
}

/// How long to wait before looking again whether the target is still there.
const LOOK: Duration = Duration::from_millis(20);

/// How many threads may wait, those that were left behind included.
const MOST_WAITING: usize = 512;

/// One of them.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Opening a pipe with a name waits for the other side. A thread does that, which is left behind if the target goes.
fn fifo(target: &Target<'_>, handle: OwnedFd, wish: Wish) -> Step<Answer> {
    let own_fds = target.nurse.own_fds.try_clone().map_err(|_| Errno::MFILE)?;
    let opened = target.wait_for(move || {
        let number = std::format!("{}", handle.as_raw_fd());
        openat(own_fds, number, wish.reopen_flags(), Mode::empty())
    })?;
    Ok(Answer::Fd(opened?, wish.has(OFlags::CLOEXEC)))
}

impl Target<'_> {
    /// Does something that may take for ever, as long as the target is there.
    pub(super) fn wait_for<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Step<T> {
        let waiting = Arc::clone(&self.nurse.waiting);
        if waiting.fetch_add(1, SeqCst) >= MOST_WAITING {
            waiting.fetch_sub(1, SeqCst);
            return Err(Errno::AGAIN.into());
        }
        // Counted until the thread has ended, also if the target has gone by then.
        let place = Waiting(waiting);
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let builder = std::thread::Builder::new().name("waiting".into());
        builder
            .spawn(move || {
                let value = work();
                drop(place);
                let _ = sender.send(value);
            })
            .map_err(|_| Errno::AGAIN)?;
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(value) => return Ok(value),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => self.still_there()?,
                Err(_) => return Err(Errno::AGAIN.into()),
            }
        }
    }
}
