//! Raw system calls: no library between the test and the kernel.

/// A native call with whole registers: the kernel's answer, errors as negative numbers.
#[cfg(target_arch = "x86_64")]
pub fn native(nr: u32, args: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    let answer: i64;
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") u64::from(nr) => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// A native call with whole registers: the kernel's answer, errors as negative numbers.
#[cfg(not(target_arch = "x86_64"))]
pub fn native(nr: u32, args: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = args.map(|arg| arg as libc::c_ulong);
    let answer = unsafe { libc::syscall(nr as libc::c_long, a, b, c, d, e, f) };
    if answer == -1 {
        -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    } else {
        i64::from(answer)
    }
}

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    // extern "C" fn(registers: *const [u32; 7]) -> i32: an i386 call, made from 64-bit code.
    ".globl callsieve_test_int80",
    "callsieve_test_int80:",
    "push rbx",
    "push rbp",
    "mov r10, rdi",
    "mov eax, [r10]",
    "mov ebx, [r10 + 4]",
    "mov ecx, [r10 + 8]",
    "mov edx, [r10 + 12]",
    "mov esi, [r10 + 16]",
    "mov edi, [r10 + 20]",
    "mov ebp, [r10 + 24]",
    "int 0x80",
    "pop rbp",
    "pop rbx",
    "ret",
);

/// An i386 call made by `int 0x80`: the kernel's answer, errors as negative numbers.
#[cfg(target_arch = "x86_64")]
pub fn i386(nr: u32, args: [u32; 6]) -> i64 {
    unsafe extern "C" {
        fn callsieve_test_int80(registers: *const [u32; 7]) -> i32;
    }
    let [a, b, c, d, e, f] = args;
    i64::from(unsafe { callsieve_test_int80(&[nr, a, b, c, d, e, f]) })
}

/// Whether this kernel takes i386 calls from a 64-bit program.
pub fn has_i386() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        const GETPID: u32 = 20;
        super::fork(|| assert_eq!(i386(GETPID, [0; 6]), i64::from(std::process::id()))) == super::End::Exit(0)
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

pub fn getppid() -> i64 {
    native(libc::SYS_getppid as u32, [0; 6])
}

pub fn getpid() -> i64 {
    native(libc::SYS_getpid as u32, [0; 6])
}

/// The id of the calling thread.
pub fn gettid() -> u32 {
    native(libc::SYS_gettid as u32, [0; 6]) as u32
}

/// Ends the calling thread, in strict mode too.
pub fn exit_thread(status: u64) -> ! {
    native(libc::SYS_exit as u32, [status, 0, 0, 0, 0, 0]);
    unreachable!("exit returned")
}

/// Becomes an ordinary user without capabilities, if the caller is root.
pub fn become_nobody() {
    const NOBODY: libc::uid_t = 65534;
    unsafe {
        libc::setresgid(NOBODY, NOBODY, NOBODY);
        libc::setresuid(NOBODY, NOBODY, NOBODY);
    }
}

/// What a SIGSYS handler saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trapped {
    pub data: i32,
    pub nr: u32,
    pub arch: u32,
}

impl Trapped {
    /// Reads `siginfo_t` as the kernel lays it out for SIGSYS.
    ///
    /// # Safety
    /// The pointer must come from a handler of SIGSYS with `SA_SIGINFO`.
    pub unsafe fn read(info: *const libc::siginfo_t) -> Self {
        // si_signo, si_errno, si_code, then _sigsys: an address, the number, the token.
        let words = info.cast::<u32>();
        let number = if cfg!(target_pointer_width = "64") { 6 } else { 4 };
        unsafe { Self { data: (*info).si_errno, nr: words.add(number).read(), arch: words.add(number + 1).read() } }
    }
}

/// Sets a handler with `SA_SIGINFO` for SIGSYS.
pub fn on_sigsys(handler: extern "C" fn(libc::c_int, *const libc::siginfo_t, *const libc::c_void)) {
    set_sigsys(handler as *const () as usize, libc::SA_SIGINFO);
}

pub fn ignore_sigsys() {
    set_sigsys(libc::SIG_IGN, 0);
}

fn set_sigsys(handler: usize, flags: libc::c_int) {
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    assert_eq!(unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) }, 0);
}

/// The bare call that installs a filter, for flags that the library does not offer.
pub fn seccomp_set_filter(flags: u32, insns: &[callsieve::bpf::Insn]) -> i64 {
    let fprog = libc::sock_fprog { len: insns.len() as u16, filter: insns.as_ptr().cast_mut().cast() };
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    native(libc::SYS_seccomp as u32, [1, u64::from(flags), &raw const fprog as u64, 0, 0, 0])
}

/// What a SIGSYS handler was told.
pub fn trapped(info: *const libc::siginfo_t) -> Trapped {
    unsafe { Trapped::read(info) }
}

/// Whether a thread of this process exists. A thread that a filter killed told nothing to any library, so that joining
/// it would wait for ever.
pub fn is_alive(tid: u32) -> bool {
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, 0) == 0 }
}
