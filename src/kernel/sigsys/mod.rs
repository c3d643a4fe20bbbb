//! Denials told from within the process: a handler for the SIGSYS of [`Action::Trap`](crate::bpf::Action::Trap).
#![allow(unsafe_code)]
//! Safety: what a signal handler is given is read as the kernel and the C library lay it out: `siginfo_t`, and the
//! `ucontext_t` of `libc`. Everything that runs in the handler is async-signal-safe: it reads what was prepared before,
//! writes to its stack, and makes system calls. It takes no lock and allocates nothing.

mod prepared;
mod registers;

use super::raw;
use crate::arch::Arch;
use crate::bpf::SyscallData;
use crate::policy::Policy;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};
use prepared::{Line, Prepared};
use thiserror::Error;

/// What the kernel tells the handler of a SIGSYS that a filter sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct SigsysInfo {
    call: SyscallData,
    /// A bit for each argument that is known.
    known: u8,
    data: i32,
}

/// `SYS_SECCOMP` of `asm-generic/siginfo.h`.
const SYS_SECCOMP: c_int = 1;

impl SigsysInfo {
    /// Whether [`SigsysInfo::argument`] knows arguments on the architecture that this program is compiled for: x86_64, x86,
    /// aarch64, arm, riscv64, loongarch64 and s390x. Elsewhere the layout of the registers is not known here.
    pub const HAS_ARGUMENTS: bool = registers::KNOWN;

    /// Reads the second and the third argument of a handler that was installed with `SA_SIGINFO`. `None` if the signal is
    /// another one, or was not sent by a filter. Async-signal-safe.
    ///
    /// ```
    /// use callsieve::kernel::SigsysInfo;
    /// use core::ffi::{c_int, c_void};
    ///
    /// extern "C" fn on_sigsys(_signal: c_int, info: *const c_void, context: *const c_void) {
    ///     // SAFETY: these are what the kernel gave to this handler.
    ///     if let Some(info) = unsafe { SigsysInfo::from_handler(info, context) } {
    ///         let _call = info.call().nr;
    ///     }
    /// }
    /// # let _ = on_sigsys;
    /// ```
    ///
    /// # Safety
    /// Both must be those that the kernel gave to the running handler.
    pub unsafe fn from_handler(info: *const c_void, context: *const c_void) -> Option<Self> {
        // SAFETY: the caller vouches for the pointer, and the kernel fills a siginfo_t for every signal.
        let info = unsafe { &*info.cast::<libc::siginfo_t>() };
        if info.si_signo != libc::SIGSYS || info.si_code != SYS_SECCOMP {
            return None;
        }
        // SAFETY: with this code the kernel has filled the fields of `_sigsys`.
        let fields = unsafe { &*(&raw const *info).cast::<Siginfo>() };
        let (nr, arch) = (fields.syscall.cast_unsigned(), fields.arch);
        // SAFETY: the caller vouches for the pointer.
        let (args, known) = unsafe { registers::arguments(context, arch) };
        let call = SyscallData { nr, arch, instruction_pointer: fields.call_address as u64, args };
        Some(Self { call, known, data: info.si_errno })
    }

    /// The call as the filter saw it; arguments that are not known are 0.
    pub const fn call(&self) -> &SyscallData {
        &self.call
    }

    /// The ABI of the call.
    pub fn arch(&self) -> Option<Arch> {
        prepared::abi(&self.call)
    }

    /// An argument, 0 to 5. `None` if it is lost: on s390x the first one, since its register already holds the result, and
    /// all of them where [`SigsysInfo::HAS_ARGUMENTS`] is false.
    pub fn argument(&self, index: usize) -> Option<u64> {
        let known = index < 6 && self.known >> index & 1 != 0;
        self.call.args.get(index).copied().filter(|_| known)
    }

    /// The data of the action.
    pub const fn trap_data(&self) -> i32 {
        self.data
    }
}

/// `siginfo_t` as the kernel fills it for SIGSYS. The three numbers at the beginning stand in another order on MIPS,
/// which does not matter here.
#[repr(C)]
struct Siginfo {
    head: [c_int; 3],
    fields: [*const c_void; 0],
    call_address: *const c_void,
    syscall: c_int,
    arch: u32,
}

/// A handler that prints every call that a filter answered with TRAP: its name, its arguments, and for each rule that
/// would have allowed it the conditions that failed. Then the process ends by SIGSYS as without a handler, or the call
/// fails and the program goes on.
///
/// Prepare and install it before the filter. The filter must allow write(2) and rt_sigreturn(2); what it must allow to end
/// the process is nothing more. The message goes to standard error.
///
/// ```no_run
/// use callsieve::bpf::Action;
/// use callsieve::kernel::{self, Install, SigsysHandler};
/// use callsieve::{Compiler, Profile, arg};
///
/// let profile = Profile::new(Action::Trap(0))
///     .allow(["write", "exit_group", "rt_sigreturn"])
///     .allow_if("socket", [arg::<0>().eq(1)]);
/// let policy = profile.resolve(&kernel::host_target()?)?;
/// let filter = Compiler::new().compile(&policy)?;
/// SigsysHandler::new(&policy).install()?;
/// filter.install(Install::new())?;
/// // socket(2, 1, 0) now prints:
/// // callsieve: socket(2, 1, 0) on x86_64 is denied (TRAP)
/// //   ALLOW by rule 2 needs arg0 as u32 == 1, but arg0 is 2
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct SigsysHandler {
    prepared: Prepared,
}

/// Why the handler was not installed.
///
/// See the example of [`SigsysHandler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SigsysError {
    /// [`SigsysHandler::fail_with`] where the register of the result is not known.
    #[error("on this architecture a SIGSYS handler cannot set the result of a call; leave out fail_with")]
    NoResult,
    /// sigaction(2) failed.
    #[error("the SIGSYS handler could not be installed: sigaction(2) failed with error {errno}")]
    Refused {
        /// The error number.
        errno: i32,
    },
}

/// What the handler works with. It is never freed, since a handler may be running.
static PREPARED: AtomicPtr<Prepared> = AtomicPtr::new(core::ptr::null_mut());

impl SigsysHandler {
    /// Prepares a handler for a filter that was compiled from this policy.
    pub fn new(policy: &Policy) -> Self {
        Self { prepared: Prepared::new(policy) }
    }

    /// After the message the call fails with this error number, and the program goes on; several denials can be seen in
    /// one run this way.
    pub fn fail_with(mut self, errno: u16) -> Self {
        self.prepared.fail_with = Some(errno);
        self
    }

    /// Installs the handler for the whole process. What it works with stays allocated until the process ends.
    pub fn install(self) -> Result<(), SigsysError> {
        if self.prepared.fail_with.is_some() && !registers::KNOWN {
            return Err(SigsysError::NoResult);
        }
        let die = self.prepared.fail_with.is_none();
        PREPARED.store(Box::into_raw(Box::new(self.prepared)), Ordering::Release);
        // SAFETY: all zero is a value of this struct.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        let handler: extern "C" fn(c_int, *const c_void, *mut c_void) = handle;
        action.sa_sigaction = handler as usize;
        // On the stack of the thread: alternate ones are often too small for more than a message about an overflow.
        action.sa_flags = libc::SA_SIGINFO | if die { libc::SA_RESETHAND } else { 0 };
        // SAFETY: the handler has the signature that SA_SIGINFO asks for and is async-signal-safe; the struct is valid.
        let answer = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, core::ptr::null_mut()) };
        if answer != 0 {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
            return Err(SigsysError::Refused { errno });
        }
        Ok(())
    }
}

extern "C" fn handle(_signal: c_int, info: *const c_void, context: *mut c_void) {
    // SAFETY: what is stored comes from a box that is never freed, and is only read.
    let Some(prepared) = (unsafe { PREPARED.load(Ordering::Acquire).as_ref() }) else { return };
    // SAFETY: these are what the kernel gave to this handler.
    if let Some(info) = unsafe { SigsysInfo::from_handler(info, context) } {
        let mut line = Line::new();
        prepared.explain(&info, &mut line);
        let _ = raw::write_stderr(line.bytes());
        if let Some(errno) = prepared.fail_with {
            // SAFETY: as above; nobody else looks at the context now.
            unsafe { registers::set_result(context, i64::from(errno).saturating_neg()) };
            return;
        }
    }
    // SIGSYS has its default disposition again (SA_RESETHAND), and is blocked until this returns. If the filter traps this
    // call as well, the kernel ends the process at once, by SIGSYS too.
    if raw::raise_for_thread(libc::SIGSYS).is_err() {
        let _ = raw::exit_group(128_i32.saturating_add(libc::SIGSYS));
        std::process::abort();
    }
}
