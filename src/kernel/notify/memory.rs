//! What the arguments of a call point to.

use super::error::{MemoryError, NotifyError};
use super::ioctl;
use super::notification::{Notification, Outcome};
use crate::arch::Arch;
use alloc::vec;
use alloc::vec::Vec;

/// Memory of the target of a [`Notification`], by process_vm_readv(2) and process_vm_writev(2), which respect what the
/// target itself may read and write.
///
/// Each answer is guarded: after the bytes are read the kernel is asked whether the call still waits, so that they are
/// not those of another process that has got the number of the thread. **They are a copy**: other threads of the target
/// can change the original at any time. Read everything once, decide on the copy, act on the copy; never read twice.
///
/// The number of the thread finds the memory, so the target must be visible from this process's pid namespace, and this
/// process needs the right to trace it (see ptrace(2)).
///
/// ```no_run
/// use callsieve::kernel::{MemoryError, Notification, Outcome};
///
/// /// The path that open(2) or a call like it is given.
/// fn path(call: &Notification<'_>, argument: usize) -> Result<Outcome<Vec<u8>>, MemoryError> {
///     call.memory().read_c_string(call.args()[argument], 4096)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TargetMemory<'n> {
    notification: &'n Notification<'n>,
}

/// A value in the memory of a target, with the layout that the ABI of the call gives it.
///
/// ```
/// use callsieve::arch::Arch;
/// use callsieve::kernel::FromTarget;
///
/// /// `struct open_how` of openat2(2), the same on every ABI.
/// struct OpenHow {
///     flags: u64,
///     mode: u64,
///     resolve: u64,
/// }
///
/// impl FromTarget for OpenHow {
///     fn size(_: Arch) -> usize {
///         24
///     }
///     fn decode(bytes: &[u8], _: Arch) -> Option<Self> {
///         let word = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
///         Some(Self { flags: word(0)?, mode: word(8)?, resolve: word(16)? })
///     }
/// }
/// ```
pub trait FromTarget: Sized {
    /// How many bytes it has on this ABI.
    fn size(arch: Arch) -> usize;

    /// The value; there are as many bytes as [`size`](Self::size) says, in the byte order of this machine. `None` is
    /// reported as [`MemoryError::Fault`].
    fn decode(bytes: &[u8], arch: Arch) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl FromTarget for $number {
            fn size(_: Arch) -> usize {
                size_of::<Self>()
            }

            fn decode(bytes: &[u8], _: Arch) -> Option<Self> {
                Some(Self::from_ne_bytes(bytes.try_into().ok()?))
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64, i8, i16, i32, i64);

/// Two of them read in one go still are one copy, but reads stop at the border of a page, which has at least this size
/// on every architecture.
const PAGE: usize = 4096;

impl<'n> TargetMemory<'n> {
    pub(super) const fn new(notification: &'n Notification<'n>) -> Self {
        Self { notification }
    }

    /// Fills a buffer, all of it or an error.
    pub fn read(self, address: u64, buffer: &mut [u8]) -> Result<Outcome<()>, MemoryError> {
        let wanted = buffer.len();
        match self.read_some(address, buffer)? {
            Outcome::Done(got) if got == wanted => Ok(Outcome::Done(())),
            Outcome::Done(got) => Err(MemoryError::Fault { address: past(address, got) }),
            Outcome::Gone => Ok(Outcome::Gone),
        }
    }

    /// As many bytes as asked for; keep the length that a target names within your own limit.
    pub fn read_bytes(self, address: u64, len: usize) -> Result<Outcome<Vec<u8>>, MemoryError> {
        let mut bytes = vec![0; len];
        Ok(match self.read(address, &mut bytes)? {
            Outcome::Done(()) => Outcome::Done(bytes),
            Outcome::Gone => Outcome::Gone,
        })
    }

    /// A number or a struct.
    pub fn read_value<T: FromTarget>(self, address: u64) -> Result<Outcome<T>, MemoryError> {
        // A call of an ABI that is not known has no layouts.
        let Some(arch) = self.notification.arch() else { return Err(MemoryError::Fault { address }) };
        match self.read_bytes(address, T::size(arch))? {
            Outcome::Done(bytes) => T::decode(&bytes, arch).map(Outcome::Done).ok_or(MemoryError::Fault { address }),
            Outcome::Gone => Ok(Outcome::Gone),
        }
    }

    /// The bytes before a NUL byte, at most `limit` of them. Read page by page, so that a string that ends before memory
    /// does is found; the kernel takes at most 4095 bytes for a path.
    pub fn read_c_string(self, address: u64, limit: usize) -> Result<Outcome<Vec<u8>>, MemoryError> {
        let mut text = Vec::new();
        // One byte more than the limit is for the NUL.
        while text.len() <= limit {
            let at = past(address, text.len());
            let left = limit.saturating_sub(text.len()).saturating_add(1);
            let mut page = [0; PAGE];
            #[allow(clippy::cast_possible_truncation)] // Only the low bits count.
            let len = PAGE.saturating_sub(at as usize % PAGE).min(left);
            let Some(chunk) = page.get_mut(..len) else { break };
            let got = match self.read_some(at, chunk)? {
                Outcome::Done(0) => return Err(MemoryError::Fault { address: at }),
                Outcome::Done(got) => got,
                Outcome::Gone => return Ok(Outcome::Gone),
            };
            let chunk = chunk.get(..got).unwrap_or_default();
            if let Some(end) = chunk.iter().position(|&byte| byte == 0) {
                text.extend_from_slice(chunk.get(..end).unwrap_or_default());
                return Ok(Outcome::Done(text));
            }
            text.extend_from_slice(chunk);
        }
        Err(MemoryError::TooLong { limit })
    }

    /// Writes bytes, all of them or an error; on an error some may have been written.
    ///
    /// The call is asked for right before and right after. In the moment between, nothing but the number of the thread
    /// names the target: should it be killed just then, and its number be given to another process that this one may
    /// trace, the bytes would go there. The kernel gives numbers out in a circle, so the whole circle would have to be
    /// used up in that moment.
    pub fn write(self, address: u64, bytes: &[u8]) -> Result<Outcome<()>, MemoryError> {
        let tid = self.notification.visible_tid()?;
        if bytes.is_empty() {
            return Ok(self.notification.while_waiting(())?);
        }
        let Ok(at) = usize::try_from(address) else { return Err(MemoryError::Fault { address }) };
        if !self.notification.is_waiting()? {
            return Ok(Outcome::Gone);
        }
        match ioctl::write_memory(tid, at, bytes) {
            Ok(written) if written == bytes.len() => Ok(self.notification.while_waiting(())?),
            Ok(written) => self.notification.unless_gone(MemoryError::Fault { address: past(address, written) }),
            Err(errno) => self.notification.unless_gone(failure(errno, address)),
        }
    }

    /// Reads up to the first byte that cannot be read; 0 bytes if that is the first one.
    fn read_some(self, address: u64, buffer: &mut [u8]) -> Result<Outcome<usize>, MemoryError> {
        let tid = self.notification.visible_tid()?;
        if buffer.is_empty() {
            return Ok(self.notification.while_waiting(0)?);
        }
        let Ok(at) = usize::try_from(address) else { return Err(MemoryError::Fault { address }) };
        match ioctl::read_memory(tid, at, buffer) {
            Ok(got) => Ok(self.notification.while_waiting(got)?),
            Err(libc::EFAULT) => Ok(self.notification.while_waiting(0)?),
            Err(errno) => self.notification.unless_gone(failure(errno, address)),
        }
    }
}

fn failure(errno: i32, address: u64) -> MemoryError {
    match errno {
        libc::EFAULT => MemoryError::Fault { address },
        libc::EPERM | libc::EACCES => NotifyError::NotPermitted { errno }.into(),
        // The thread has gone but its call waits: that thread is not the one that was meant.
        libc::ESRCH => NotifyError::NotVisible.into(),
        errno => NotifyError::Other { call: "process_vm_readv", errno }.into(),
    }
}

const fn past(address: u64, bytes: usize) -> u64 {
    address.wrapping_add(bytes as u64)
}
