//! What every ABI is asked.

mod actions;
mod conditions;
mod numbers;
mod profiles;
mod random;

use crate::case::{Call, Case, Look};
use crate::run::Failure;
use callsieve::arch::Arch;
use std::ops::RangeInclusive;

/// So many calls every ABI of every machine is asked under random policies, at least.
pub const LEAST_RANDOM: usize = 10_000;

/// All cases of an ABI on a kernel that takes these.
pub fn all(arch: Arch, kernel: &[Arch]) -> Result<Vec<Case>, Failure> {
    let abi = Abi { arch, kernel };
    let mut cases = Vec::new();
    cases.extend(profiles::cases(abi)?);
    cases.extend(actions::cases(abi)?);
    cases.extend(conditions::cases(abi)?);
    cases.extend(numbers::cases(abi)?);
    cases.extend(random::cases(abi)?);
    Ok(cases)
}

/// The ABI that is asked, and all that its kernel takes.
#[derive(Clone, Copy, Debug)]
struct Abi<'a> {
    arch: Arch,
    kernel: &'a [Arch],
}

/// Calls that every ABI has, that take no arguments, and that change nothing: harmless whatever is passed to them.
const HARMLESS: [&str; 10] =
    ["getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "gettid", "sched_yield", "munlockall", "sync"];

/// Numbers, counted from the base, that are beyond every table, and below the next one on MIPS.
const BEYOND: RangeInclusive<u32> = 600..=899;

impl Abi<'_> {
    /// The number of a call that every ABI has.
    fn number(self, name: &str) -> u32 {
        self.arch.number(name).unwrap_or_else(|| panic!("{} has no {name}", self.arch))
    }

    fn harmless(self) -> [u32; HARMLESS.len()] {
        HARMLESS.map(|name| self.number(name))
    }

    /// A call, which is carried out if nothing can come of it.
    fn call(self, nr: u32, args: [u64; 6]) -> Call {
        let unknown = nr.checked_sub(self.arch.number_base()).is_some_and(|nr| BEYOND.contains(&nr));
        let harmless = unknown || self.harmless().contains(&nr);
        Call { nr, args, look: if harmless { Look::Run } else { Look::Trace } }
    }

    /// Numbers that the kernel shows to filters.
    fn filtered(self, numbers: impl IntoIterator<Item = u32>) -> Vec<u32> {
        numbers.into_iter().filter(|&nr| self.is_filtered(nr)).collect()
    }

    fn is_filtered(self, nr: u32) -> bool {
        // This one is `syscall`: filters are shown the call that its first argument names.
        let indirect = self.arch == Arch::Mipsel && nr == self.arch.number_base();
        // A program of x32 can make calls of x86_64, and the other way round.
        let arch = Arch::of_call(self.arch.audit(), nr).unwrap_or(self.arch);
        !indirect && !arch.forced_allow().contains(&nr)
    }
}
