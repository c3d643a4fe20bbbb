//! Look-ups in the table of system calls.
//!
//! A row is a name with its numbers on all ABIs. ABIs that differ only in byte order share a column. A name is found by
//! one hash and about one comparison, a number by one index; both indexes are computed at compile time.

use super::abi::Arch;
use super::nearest::nearest;
use super::table::ROWS;
use super::version::KernelVersion;
use core::fmt;

/// Columns of the table.
pub(super) const COLUMNS: usize = 19;

/// ARM's private numbers (`__ARM_NR_BASE`). In the table they begin at [`PRIVATE_CELL`].
const PRIVATE: u32 = 0xf_0000;
const PRIVATE_CELL: u16 = 0xf000;
/// Room for private numbers in the index by number.
const PRIVATE_SLOTS: usize = 8;

/// One name.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    name: &'static str,
    since: Option<KernelVersion>,
    numbers: [u16; COLUMNS],
}

impl Row {
    /// The cell of an ABI that lacks the call.
    pub(super) const NO: u16 = u16::MAX;

    pub(super) const fn new(name: &'static str, major: u8, minor: u8, numbers: [u16; COLUMNS]) -> Self {
        let since = if major == 0 { None } else { Some(KernelVersion::new(major, minor)) };
        Self { name, since, numbers }
    }
}

/// A system call by name, on all ABIs at once.
///
/// ```
/// use callsieve::arch::{Arch, Syscall};
/// let openat = Syscall::from_name("openat").unwrap();
/// assert_eq!(openat.number(Arch::X86_64), Some(257));
/// assert_eq!(openat.number(Arch::Mips64), Some(5247));
/// assert_eq!(Syscall::from_name("opennat"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Syscall {
    row: &'static Row,
}

impl Syscall {
    /// The row with this index, for the constants of [`sys`](super::sys).
    #[allow(clippy::indexing_slicing)] // Evaluated by the compiler.
    pub(super) const fn at(index: usize) -> Self {
        Self { row: &ROWS[index] }
    }

    /// The call with this name (case counts), if any ABI has it.
    pub fn from_name(name: &str) -> Option<Self> {
        if name.len() > LONGEST_NAME {
            return None;
        }
        let mut slot = hash(name.as_bytes());
        // The table of slots is never full, so an empty slot ends this.
        loop {
            let row = ROWS.get(usize::from(*BY_NAME.get(slot)?))?;
            if row.name == name {
                return Some(Self { row });
            }
            slot = next_slot(slot);
        }
    }

    /// The call with this number as a filter sees it, so with the base of MIPS and the bit of x32.
    pub fn from_number(arch: Arch, number: u32) -> Option<Self> {
        let slot = slot(number.checked_sub(arch.number_base())?)?;
        let row = BY_NUMBER.get(column(arch))?.get(slot)?;
        Some(Self { row: ROWS.get(usize::from(*row))? })
    }

    /// Every call of every ABI, sorted by name.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        ROWS.iter().map(|row| Self { row })
    }

    /// The known name that is most like this one, for "did you mean".
    ///
    /// ```
    /// use callsieve::arch::Syscall;
    /// assert_eq!(Syscall::nearest("opennat"), Some("openat"));
    /// assert_eq!(Syscall::nearest("pwrite"), Some("pwrite64"));
    /// assert_eq!(Syscall::nearest("frobnicate"), None);
    /// ```
    pub fn nearest(name: &str) -> Option<&'static str> {
        nearest(name, ROWS.iter().map(|row| row.name))
    }

    /// The name as in the kernel's tables, without `__NR_`.
    pub const fn name(self) -> &'static str {
        self.row.name
    }

    /// The number as a filter sees it on this ABI: with the base of MIPS (4000, 5000 or 6000) and bit 30 of x32.
    pub fn number(self, arch: Arch) -> Option<u32> {
        let cell = *self.row.numbers.get(column(arch))?;
        if cell == Row::NO {
            return None;
        }
        let number = match cell.checked_sub(PRIVATE_CELL) {
            Some(private) => PRIVATE | u32::from(private),
            None => u32::from(cell),
        };
        number.checked_add(arch.number_base())
    }

    /// The kernel release that introduced the call on the first ABI that got it; `None` where nobody wrote it down, which
    /// is so only for some old calls. Releases before 3.0 count with their first two numbers, so 2.6.28 is 2.6.
    ///
    /// Sources: syscalls(2) up to 5.14, then the release history of the kernel.
    pub const fn since(self) -> Option<KernelVersion> {
        self.row.since
    }

    /// The place in the table.
    pub(super) fn position(self) -> Option<usize> {
        ROWS.binary_search_by(|row| row.name.cmp(self.row.name)).ok()
    }

    /// The ABIs that have the call, in the order of [`Arch::ALL`].
    pub fn arches(self) -> impl Iterator<Item = Arch> + Clone {
        Arch::ALL.into_iter().filter(move |&arch| self.number(arch).is_some())
    }
}

impl fmt::Debug for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Syscall").field(&self.row.name).finish()
    }
}

impl fmt::Display for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.row.name)
    }
}

impl Arch {
    /// The number of a call as a filter sees it on this ABI: with the base of MIPS and bit 30 of x32. To ask for many
    /// ABIs, find the [`Syscall`] once.
    pub fn number(self, call: &str) -> Option<u32> {
        Syscall::from_name(call)?.number(self)
    }

    /// The name of a number as a filter sees it. Where a number has two names, this is the one of the kernel's table.
    pub fn name(self, number: u32) -> Option<&'static str> {
        Syscall::from_number(self, number).map(Syscall::name)
    }

    /// The calls of this ABI in the order of their numbers, each number once.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// assert_eq!(Arch::X86_64.syscalls().next(), Some((0, "read")));
    /// assert_eq!(Arch::Arm.syscalls().last(), Some((0xf0006, "get_tls")));
    /// ```
    pub fn syscalls(self) -> impl Iterator<Item = (u32, &'static str)> + Clone {
        let rows = BY_NUMBER.get(column(self)).into_iter().flatten();
        rows.filter_map(move |row| {
            let row = ROWS.get(usize::from(*row))?;
            Some((Syscall { row }.number(self)?, row.name))
        })
    }

    /// How many numbers the kernel's table of this ABI covers: one more than the highest, without the base, and without
    /// ARM's private calls, which are in no table.
    pub(super) fn table_len(self) -> u32 {
        let rows = BY_NUMBER.get(column(self)).and_then(|rows| rows.get(..NUMBERS)).unwrap_or_default();
        let last = rows.iter().rposition(|&row| row != EMPTY);
        last.and_then(|last| u32::try_from(last).ok()?.checked_add(1)).unwrap_or(0)
    }
}

/// The column of an ABI, in the order that `tests/tables.rs` writes.
pub(super) const fn column(arch: Arch) -> usize {
    match arch {
        Arch::X86_64 => 0,
        Arch::X86 => 1,
        Arch::X32 => 2,
        Arch::Aarch64 => 3,
        Arch::Arm => 4,
        Arch::Riscv64 => 5,
        Arch::Riscv32 => 6,
        Arch::Loongarch64 => 7,
        Arch::S390x => 8,
        Arch::S390 => 9,
        Arch::Ppc => 10,
        Arch::Ppc64 | Arch::Ppc64le => 11,
        Arch::Mips | Arch::Mipsel => 12,
        Arch::Mips64 | Arch::Mipsel64 => 13,
        Arch::Mips64n32 | Arch::Mipsel64n32 => 14,
        Arch::Parisc => 15,
        Arch::Parisc64 => 16,
        Arch::M68k => 17,
        Arch::Sh | Arch::Sheb => 18,
    }
}

/// No row; also beyond the end of the table.
const EMPTY: u16 = u16::MAX;

/// Rows by name: open addressing, the next slot when one is taken. Less than a third is in use.
static BY_NAME: [u16; NAME_SLOTS] = by_name();
const NAME_SLOTS: usize = 2048;
const LONGEST_NAME: usize = 32;
const _: () = assert!(ROWS_LEN * 3 < NAME_SLOTS, "too few slots: searches become slow");

/// Rows by column and number, private numbers last.
static BY_NUMBER: [[u16; NUMBERS + PRIVATE_SLOTS]; COLUMNS] = by_number();
/// Above every number without base.
const NUMBERS: usize = highest() + 1;

const ROWS_LEN: usize = ROWS.len();

/// FNV-1a, the upper half folded in because it is the better mixed one.
#[allow(clippy::indexing_slicing)] // A `const fn`; the index stays below the length.
const fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at = at.wrapping_add(1);
    }
    (hash ^ (hash >> 15)) as usize % NAME_SLOTS
}

const fn next_slot(slot: usize) -> usize {
    slot.wrapping_add(1) % NAME_SLOTS
}

/// The place of a number without base in the index by number.
fn slot(number: u32) -> Option<usize> {
    let number = usize::try_from(number).ok()?;
    if number < NUMBERS {
        return Some(number);
    }
    let private = number.checked_sub(PRIVATE as usize)?;
    (private < PRIVATE_SLOTS).then(|| private.wrapping_add(NUMBERS))
}

// What follows runs at compile time: an index out of bounds or an overflow does not build.

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
const fn by_name() -> [u16; NAME_SLOTS] {
    let mut slots = [EMPTY; NAME_SLOTS];
    let mut row = 0;
    while row < ROWS_LEN {
        assert!(ROWS[row].name.len() <= LONGEST_NAME);
        let mut slot = hash(ROWS[row].name.as_bytes());
        while slots[slot] != EMPTY {
            slot = next_slot(slot);
        }
        slots[slot] = row as u16;
        row += 1;
    }
    slots
}

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
const fn highest() -> usize {
    let (mut highest, mut row) = (0, 0);
    while row < ROWS_LEN {
        let mut column = 0;
        while column < COLUMNS {
            let cell = ROWS[row].numbers[column];
            if cell < PRIVATE_CELL && cell as usize > highest {
                highest = cell as usize;
            }
            column += 1;
        }
        row += 1;
    }
    highest
}

/// Of two names of one number the first in the alphabet wins. The only such pair, `arm_sync_file_range` and
/// `sync_file_range2` of ARM, has the name of the kernel's table first.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
#[allow(clippy::large_stack_arrays)] // The stack of the compiler.
const fn by_number() -> [[u16; NUMBERS + PRIVATE_SLOTS]; COLUMNS] {
    let mut index = [[EMPTY; NUMBERS + PRIVATE_SLOTS]; COLUMNS];
    let mut row = 0;
    while row < ROWS_LEN {
        let mut column = 0;
        while column < COLUMNS {
            let cell = ROWS[row].numbers[column];
            if cell != Row::NO {
                let slot = if cell < PRIVATE_CELL { cell as usize } else { NUMBERS + (cell - PRIVATE_CELL) as usize };
                if index[column][slot] == EMPTY {
                    index[column][slot] = row as u16;
                }
            }
            column += 1;
        }
        row += 1;
    }
    index
}

#[cfg(test)]
#[path = "syscall_tests.rs"]
mod tests;
