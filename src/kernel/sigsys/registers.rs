//! Where the registers of a system call are in the `ucontext_t` of each architecture.
//!
//! The kernel puts the registers back as they were when the call was made (`syscall_rollback`), except on s390x, where
//! the first argument has been overwritten by the result.

#[allow(unused_imports)] // Not where no layout is known.
use core::ffi::c_void;

/// Declares the two accesses for an architecture: the arguments in order, with the mask of those that are known, and the
/// result.
#[allow(unused_macros)] // None on other architectures.
macro_rules! layout {
    ($context:ident: [$($argument:expr),*], known $known:expr, result $result:expr) => {
        pub(super) const KNOWN: bool = true;

        /// # Safety
        /// The third argument of a running signal handler.
        #[allow(clippy::unnecessary_cast, clippy::useless_conversion, clippy::cast_sign_loss)] // Types differ.
        #[allow(clippy::indexing_slicing)] // Constant indexes into arrays of known size.
        pub(super) unsafe fn arguments(context: *const c_void, arch: u32) -> ([u64; 6], u8) {
            // SAFETY: the caller vouches for the pointer.
            let $context = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
            let _ = arch;
            #[cfg(target_arch = "x86_64")]
            if arch == crate::arch::Arch::X86.audit() {
                return (i386($context), 0x3f);
            }
            ([$($argument as u64),*], $known)
        }

        /// # Safety
        /// The third argument of a running signal handler.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::unnecessary_cast)] // Registers.
        #[allow(clippy::indexing_slicing)] // Constant indexes into arrays of known size.
        pub(super) unsafe fn set_result(context: *mut c_void, value: i64) {
            // SAFETY: the caller vouches for the pointer.
            let $context = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext };
            $result = value as _;
        }
    };
}

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
layout!(c: [
    c.gregs[libc::REG_RDI as usize], c.gregs[libc::REG_RSI as usize], c.gregs[libc::REG_RDX as usize],
    c.gregs[libc::REG_R10 as usize], c.gregs[libc::REG_R8 as usize], c.gregs[libc::REG_R9 as usize]
], known 0x3f, result c.gregs[libc::REG_RAX as usize]);

/// The arguments of a call that was made by `int 0x80`.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
#[allow(clippy::indexing_slicing, clippy::cast_sign_loss)] // As above.
fn i386(c: &libc::mcontext_t) -> [u64; 6] {
    use libc::{REG_RBP, REG_RBX, REG_RCX, REG_RDI, REG_RDX, REG_RSI};
    [REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP]
        .map(|register| c.gregs[register as usize] as u64 & 0xffff_ffff)
}

#[cfg(all(target_arch = "x86", target_env = "gnu"))]
layout!(c: [
    c.gregs[libc::REG_EBX as usize] as u32, c.gregs[libc::REG_ECX as usize] as u32, c.gregs[libc::REG_EDX as usize] as u32,
    c.gregs[libc::REG_ESI as usize] as u32, c.gregs[libc::REG_EDI as usize] as u32, c.gregs[libc::REG_EBP as usize] as u32
], known 0x3f, result c.gregs[libc::REG_EAX as usize]);

#[cfg(target_arch = "aarch64")]
layout!(c: [c.regs[0], c.regs[1], c.regs[2], c.regs[3], c.regs[4], c.regs[5]], known 0x3f, result c.regs[0]);

#[cfg(target_arch = "arm")]
layout!(c: [c.arm_r0, c.arm_r1, c.arm_r2, c.arm_r3, c.arm_r4, c.arm_r5], known 0x3f, result c.arm_r0);

#[cfg(target_arch = "riscv64")]
layout!(c: [
    c.__gregs[10], c.__gregs[11], c.__gregs[12], c.__gregs[13], c.__gregs[14], c.__gregs[15]
], known 0x3f, result c.__gregs[10]);

#[cfg(target_arch = "loongarch64")]
layout!(c: [
    c.__gregs[4], c.__gregs[5], c.__gregs[6], c.__gregs[7], c.__gregs[8], c.__gregs[9]
], known 0x3f, result c.__gregs[4]);

#[cfg(target_arch = "s390x")]
layout!(c: [
    0, c.gregs[3], c.gregs[4], c.gregs[5], c.gregs[6], c.gregs[7]
], known 0x3e, result c.gregs[2]);

#[cfg(not(any(
    all(target_arch = "x86_64", target_pointer_width = "64"),
    all(target_arch = "x86", target_env = "gnu"),
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "riscv64",
    target_arch = "loongarch64",
    target_arch = "s390x"
)))]
mod unknown {
    use core::ffi::c_void;

    pub(in super::super) const KNOWN: bool = false;

    pub(in super::super) unsafe fn arguments(_: *const c_void, _: u32) -> ([u64; 6], u8) {
        ([0; 6], 0)
    }

    pub(in super::super) unsafe fn set_result(_: *mut c_void, _: i64) {}
}
#[cfg(not(any(
    all(target_arch = "x86_64", target_pointer_width = "64"),
    all(target_arch = "x86", target_env = "gnu"),
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "riscv64",
    target_arch = "loongarch64",
    target_arch = "s390x"
)))]
pub(super) use unknown::{KNOWN, arguments, set_result};
