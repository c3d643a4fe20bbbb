//! Takes the program out of a generator that can do nothing with it but install it.
//!
//! A filter on this thread turns the installing of filters into SIGSYS. The handler copies the program and lets the call fail with
//! EPERM. Only this thread is affected.
//!
//! Safety: the handler runs on the thread that made the call and while it waits, so the memory that the arguments point
//! to is alive; it touches atomics and registers only, and allocates nothing.

#![allow(unsafe_code)]

use callsieve::bpf::{Action, Insn, Program, SyscallData, opcode};
use callsieve::kernel::Install;
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use std::error::Error;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

static INSNS: [AtomicU64; 4096] = [const { AtomicU64::new(0) }; 4096];
static LEN: AtomicUsize = AtomicUsize::new(0);

/// Where the first argument stands in the input of a filter, and how far the next one is away.
const LOW_WORD: u32 = 16;
const WORDS: u32 = 8;

/// Sets the trap on this thread, for the rest of its life.
pub fn arm() -> Result<(), Box<dyn Error>> {
    // SAFETY: an all-zero `sigaction` is a valid one, and the handler keeps to what handlers may do.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigsys as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut())
    };
    if result != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // libseccomp probes with a null pointer and with other operations; these must reach the kernel.
    let trap = Program::new(vec![
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        Insn::new(opcode::JEQ_K, 0, 6, u32::try_from(libc::SYS_seccomp)?),
        Insn::stmt(opcode::LD_W_ABS, LOW_WORD),
        Insn::new(opcode::JEQ_K, 0, 4, libc::SECCOMP_SET_MODE_FILTER),
        Insn::stmt(opcode::LD_W_ABS, LOW_WORD + 2 * WORDS),
        Insn::new(opcode::JGE_K, 3, 0, 1),
        Insn::stmt(opcode::LD_W_ABS, LOW_WORD + 2 * WORDS + 4),
        Insn::new(opcode::JGE_K, 1, 0, 1),
        Insn::stmt(opcode::RET_K, Action::Allow.to_raw()),
        Insn::stmt(opcode::RET_K, Action::Trap(0).to_raw()),
    ])?;
    Install::new().spec_allow(true).install(&trap)?;
    Ok(())
}

/// The program of the last trapped call.
pub fn take() -> Vec<u8> {
    INSNS.iter().take(LEN.swap(0, SeqCst)).flat_map(|insn| insn.load(SeqCst).to_ne_bytes()).collect()
}

extern "C" fn on_sigsys(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes the registers of the call; its third argument points to a program, see the top.
    unsafe {
        let registers = &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs;
        let program = registers[libc::REG_RDX as usize] as *const libc::sock_fprog;
        let len = usize::from((*program).len).min(INSNS.len());
        for (index, place) in INSNS.iter().enumerate().take(len) {
            place.store((*program).filter.add(index).cast::<u64>().read_unaligned(), SeqCst);
        }
        LEN.store(len, SeqCst);
        registers[libc::REG_RAX as usize] = -i64::from(libc::EPERM);
    }
}
