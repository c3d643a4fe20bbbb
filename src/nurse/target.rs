//! The program that makes a call, as the nurse sees it, and what is decided on the way to an answer.

use super::Inner;
use super::acl::Acl;
use super::log::Event;
use super::name::Name;
use super::rights::Rights;
use crate::kernel::{MemoryError, NotifyError, Outcome};
use crate::supervise::Call;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{OnceCell, RefCell};
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Why a call is not answered as it was asked.
#[derive(Debug)]
pub(super) enum Stop {
    /// The target has gone.
    Gone,
    /// An error number, from the kernel or in its manner.
    Errno(Errno),
    /// Memory or a descriptor of the target cannot be had.
    Memory(MemoryError),
}

pub(super) type Step<T> = Result<T, Stop>;

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<MemoryError> for Stop {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl From<NotifyError> for Stop {
    fn from(error: NotifyError) -> Self {
        match error {
            NotifyError::NoSuchFd { .. } => Self::Errno(Errno::BADF),
            error => Self::Memory(error.into()),
        }
    }
}

/// The value, unless the target has gone.
pub(super) fn there<T>(outcome: Outcome<T>) -> Step<T> {
    match outcome {
        Outcome::Done(value) => Ok(value),
        Outcome::Gone => Err(Stop::Gone),
    }
}

/// How a call is answered.
pub(super) enum Answer {
    /// With a number.
    Return(i64),
    /// With a descriptor, close-on-exec or not.
    Fd(OwnedFd, bool),
    /// The kernel makes the call, because another layer judges it or nothing is to be judged.
    Continue,
    /// Later, because it may take long: by this, on a thread of its own.
    Later(Later),
}

pub(super) type Later = Box<dyn FnOnce(&Target<'_>) -> Step<Answer> + Send>;

/// The most bytes of a path, with its NUL byte.
const PATH_MAX: usize = 4096;

/// What is known of the process of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status {
    pub(super) process: u32,
    pub(super) umask: u32,
}

/// A call and its process.
pub(super) struct Target<'c> {
    pub(super) call: &'c Call<'c>,
    pub(super) nurse: &'c Inner,
    pub(super) acl: Arc<Acl>,
    status: OnceCell<Status>,
    /// What was decided.
    pub(super) events: RefCell<Vec<Event>>,
}

impl<'c> Target<'c> {
    pub(super) fn new(call: &'c Call<'c>, nurse: &'c Inner) -> Self {
        let acl = nurse.acl();
        Self { call, nurse, acl, status: OnceCell::new(), events: RefCell::default() }
    }

    // --- arguments ---------------------------------------------------------------------------------------------------

    pub(super) fn arg(&self, index: usize) -> u64 {
        self.call.args().get(index).copied().unwrap_or_default()
    }

    /// An argument that is an `int`.
    #[allow(clippy::cast_possible_truncation)] // The kernel reads the low half.
    pub(super) fn int(&self, index: usize) -> i32 {
        (self.arg(index) as u32).cast_signed()
    }

    /// An argument that is an unsigned number of 32 bits.
    #[allow(clippy::cast_possible_truncation)] // The kernel reads the low half.
    pub(super) fn word(&self, index: usize) -> u32 {
        self.arg(index) as u32
    }

    /// The path that an argument points to. Read once.
    pub(super) fn path(&self, index: usize) -> Step<Vec<u8>> {
        self.string(index, PATH_MAX.saturating_sub(1))
    }

    pub(super) fn string(&self, index: usize, limit: usize) -> Step<Vec<u8>> {
        there(self.call.memory().read_c_string(self.arg(index), limit)?)
    }

    pub(super) fn bytes(&self, address: u64, len: usize) -> Step<Vec<u8>> {
        there(self.call.memory().read_bytes(address, len)?)
    }

    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Step<()> {
        there(self.call.memory().write(address, bytes)?)
    }

    // --- the process -------------------------------------------------------------------------------------------------

    pub(super) fn status(&self) -> Step<Status> {
        if let Some(status) = self.status.get() {
            return Ok(*status);
        }
        let text = std::fs::read_to_string(std::format!("/proc/{}/status", self.call.tid())).unwrap_or_default();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let process = field("Tgid:").and_then(|number| number.parse().ok());
        let umask = field("Umask:").and_then(|number| u32::from_str_radix(number, 8).ok());
        self.still_there()?;
        match (process, umask) {
            (Some(process), Some(umask)) => Ok(*self.status.get_or_init(|| Status { process, umask })),
            _ => Err(NotifyError::NotVisible.into()),
        }
    }

    /// That what was found by the number of the thread is the thread's.
    pub(super) fn still_there(&self) -> Step<()> {
        if self.call.is_waiting()? { Ok(()) } else { Err(Stop::Gone) }
    }

    /// A handle (`O_PATH`) of something in the thread's folder in /proc.
    fn proc_handle(&self, what: &str) -> Step<OwnedFd> {
        if self.call.tid() == 0 {
            return Err(NotifyError::NotVisible.into());
        }
        let path = std::format!("/proc/{}/{what}", self.call.tid());
        let handle = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        self.still_there()?;
        Ok(handle?)
    }

    /// The root folder of the target.
    pub(super) fn root(&self) -> Step<OwnedFd> {
        self.proc_handle("root")
    }

    /// Where a relative path begins: a descriptor of the target, or its working directory.
    pub(super) fn start(&self, fd: i32) -> Step<OwnedFd> {
        if fd == libc::AT_FDCWD {
            return self.proc_handle("cwd");
        }
        self.handle(fd)
    }

    /// A handle (`O_PATH`) of what a descriptor of the target is open on.
    pub(super) fn handle(&self, fd: i32) -> Step<OwnedFd> {
        if fd < 0 {
            return Err(Errno::BADF.into());
        }
        match self.proc_handle(&std::format!("fd/{fd}")) {
            Err(Stop::Errno(Errno::NOENT)) => Err(Errno::BADF.into()),
            handle => handle,
        }
    }

    /// A copy of a descriptor of the target.
    pub(super) fn take(&self, fd: i32) -> Step<OwnedFd> {
        if fd < 0 {
            return Err(Errno::BADF.into());
        }
        there(self.call.take_fd(fd)?)
    }

    // --- decisions ---------------------------------------------------------------------------------------------------

    /// Whether the ACL grants something for an object; nothing is written down.
    pub(super) fn granted(&self, name: &Name) -> Rights {
        match name {
            Name::Path(path) => self.acl.rights(path),
            Name::Deleted(path, other) => self.acl.rights(path) & self.acl.rights(other),
            Name::Process(_) | Name::Unnamed(_) => Rights::NONE,
        }
    }

    /// Decides, and writes it down. EACCES if it is denied.
    pub(super) fn decide(&self, name: &Name, wanted: Rights) -> Step<()> {
        let missing = wanted.without(self.granted(name));
        let allowed = missing.is_none() || self.nurse.learns(name, wanted);
        let reason = match name {
            Name::Path(path) => self.acl.reason(path, if allowed { wanted } else { missing }),
            Name::Process(_) => Some("the folder of another process".into()),
            _ => None,
        };
        self.note(name.shown(), wanted, allowed, reason);
        if allowed { Ok(()) } else { Err(Errno::ACCESS.into()) }
    }

    /// Whether the target may know of something. EACCES if not, whether it exists or not.
    pub(super) fn see(&self, name: &Name) -> Step<()> {
        let visible = match name {
            Name::Path(path) => self.acl.is_visible(path),
            Name::Deleted(path, other) => self.acl.is_visible(path) && self.acl.is_visible(other),
            Name::Process(_) | Name::Unnamed(_) => false,
        };
        let visible = visible || self.nurse.learns(name, Rights::NONE);
        self.note(name.shown(), Rights::NONE, visible, None);
        if visible { Ok(()) } else { Err(Errno::ACCESS.into()) }
    }

    pub(super) fn note(&self, what: String, wanted: Rights, allowed: bool, reason: Option<String>) {
        if self.nurse.logs() {
            self.events.borrow_mut().push(Event::new(self.call, what, wanted, allowed, reason));
        }
    }
}

/// What a handle or descriptor is open on.
pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether two handles are open on the same object of the same mount.
pub(super) fn same(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> Step<bool> {
    let (one, other) = (fstat(a)?, fstat(b)?);
    if (one.st_dev, one.st_ino) != (other.st_dev, other.st_ino) {
        return Ok(false);
    }
    Ok(mount_id(a)? == mount_id(b)?)
}

/// The number of the mount, from Linux 5.8 on.
pub(super) fn mount_id(fd: BorrowedFd<'_>) -> Step<u64> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    Ok(statx(fd.as_fd(), c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}
