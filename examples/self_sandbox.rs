//! A program that confines itself: it lists what it still needs, installs the filter, and shows that it holds.
//!
//!     cargo run --example self_sandbox

use callsieve::kernel::{self, Install};
use callsieve::{Action, Compiler, Profile, Target, arg};
use std::error::Error;
use std::fs::File;
use std::net::TcpListener;

/// An address family of socket(2).
const AF_UNIX: u64 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    // Everything else fails with EPERM (1). The names are those of the kernel; a portable profile skips the ones that
    // the ABI of this machine lacks.
    let profile = Profile::new(Action::Errno(1))
        .portable()
        .allow(["read", "write", "writev", "close", "exit", "exit_group", "rt_sigreturn", "restart_syscall"])
        .allow(["mmap", "munmap", "mremap", "madvise", "brk", "futex", "sigaltstack", "rt_sigaction", "rt_sigprocmask"])
        .allow_if("socket", [arg::<0>().as_u32().eq(AF_UNIX)]);

    let native = kernel::host()?.program_arch();
    let policy = profile.resolve(&Target::exactly(&[native]))?;
    for finding in policy.diagnostics() {
        eprintln!("{finding}");
    }
    let filter = Compiler::new().compile(&policy)?;
    println!("{}", filter.report());

    // Before: files and sockets work.
    File::open("/proc/self/status")?;
    TcpListener::bind("127.0.0.1:0")?;

    filter.install(Install::new())?;

    // After: they do not, and the program goes on.
    let file = File::open("/proc/self/status").err().ok_or("the filter let openat through")?;
    println!("opening a file: {file}");
    let socket = TcpListener::bind("127.0.0.1:0").err().ok_or("the filter let a TCP socket through")?;
    println!("a TCP socket: {socket}");
    println!("still here");
    Ok(())
}
