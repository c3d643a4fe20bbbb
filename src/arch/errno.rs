//! Error numbers. They depend on the architecture: ENOSYS is 38 on most, 89 on MIPS and 251 on PA-RISC.

use super::abi::Arch;
use core::fmt;

/// An error number as a filter returns it. What it is called depends on the architecture.
///
/// ```
/// use callsieve::arch::{Arch, Errno};
/// let enosys = Errno::from_name(Arch::Mips, "ENOSYS").unwrap();
/// assert_eq!(enosys.get(), 89);
/// assert_eq!(enosys.name(Arch::Mips), Some("ENOSYS"));
/// assert_eq!(enosys.name(Arch::X86_64), Some("EDESTADDRREQ"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(u16);

impl Errno {
    /// "Operation not permitted", 1 everywhere: what profiles return when they do not say what.
    pub const EPERM: Self = Self(1);

    /// The largest number that a filter can return (`MAX_ERRNO`); the kernel cuts larger ones down to it.
    pub const MAX: u16 = 4095;

    /// A number, whether it has a name or not.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// "Function not implemented" on this architecture: the answer that makes libraries fall back to an older call.
    pub const fn enosys(arch: Arch) -> Self {
        Self(match Numbers::of(arch) {
            Numbers::Generic | Numbers::Powerpc => 38,
            Numbers::Mips => 89,
            Numbers::Parisc => 251,
        })
    }

    /// The number of a name on this architecture. Case counts. Every name of the kernel's `errno.h` is known, its
    /// synonyms (such as EWOULDBLOCK) included, and ENOTSUP, which C libraries define as EOPNOTSUPP.
    pub fn from_name(arch: Arch, name: &str) -> Option<Self> {
        if let Some(at) = COMMON.iter().position(|&common| common == name) {
            return Self::common(at);
        }
        let row = ROWS.iter().find(|row| row.name == name)?;
        Some(row.number(Numbers::of(arch))).filter(|&number| number != 0).map(Self)
    }

    /// The name on this architecture; where there are several, the one that is not defined by another.
    pub fn name(self, arch: Arch) -> Option<&'static str> {
        if let Some(name) = usize::from(self.0).checked_sub(1).and_then(|at| COMMON.get(at)) {
            return Some(name);
        }
        let numbers = Numbers::of(arch);
        ROWS.iter().find(|row| self.0 != 0 && row.number(numbers) == self.0).map(|row| row.name)
    }

    /// The names that [`from_name`](Self::from_name) knows on this architecture, for "did you mean".
    pub fn names(arch: Arch) -> impl Iterator<Item = &'static str> + Clone {
        let numbers = Numbers::of(arch);
        let others = ROWS.iter().filter(move |row| row.number(numbers) != 0).map(|row| row.name);
        COMMON.into_iter().chain(others)
    }

    /// The number of a place in [`COMMON`].
    fn common(at: usize) -> Option<Self> {
        u16::try_from(at.checked_add(1)?).ok().map(Self)
    }
}

/// Prints the number.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Whose numbers an architecture uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    /// `asm-generic/errno.h`
    Generic,
    /// The same but for EDEADLOCK.
    Powerpc,
    Mips,
    Parisc,
}

impl Numbers {
    const fn of(arch: Arch) -> Self {
        match arch {
            Arch::Mips | Arch::Mipsel | Arch::Mips64 | Arch::Mipsel64 | Arch::Mips64n32 | Arch::Mipsel64n32 => {
                Self::Mips
            }
            Arch::Parisc | Arch::Parisc64 => Self::Parisc,
            Arch::Ppc | Arch::Ppc64 | Arch::Ppc64le => Self::Powerpc,
            _ => Self::Generic,
        }
    }
}

/// A name beyond the common ones; 0 where an architecture lacks it.
struct Row {
    name: &'static str,
    generic: u16,
    mips: u16,
    parisc: u16,
}

impl Row {
    fn number(&self, numbers: Numbers) -> u16 {
        match numbers {
            Numbers::Powerpc if self.name == "EDEADLOCK" => 58,
            Numbers::Generic | Numbers::Powerpc => self.generic,
            Numbers::Mips => self.mips,
            Numbers::Parisc => self.parisc,
        }
    }
}

const fn e(name: &'static str, generic: u16, mips: u16, parisc: u16) -> Row {
    Row { name, generic, mips, parisc }
}

/// The names of 1, 2, 3 ..., which are the same everywhere (`asm-generic/errno-base.h`).
#[rustfmt::skip]
const COMMON: [&str; 34] = [
    "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD", "EAGAIN", "ENOMEM",
    "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR", "EISDIR", "EINVAL", "ENFILE",
    "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE", "EROFS", "EMLINK", "EPIPE", "EDOM", "ERANGE",
];

/// The others: generic, MIPS, PA-RISC. Synonyms come last, so that a search by number finds the proper name first.
/// `tests/tables.rs` compares them with the headers.
#[rustfmt::skip]
static ROWS: [Row; 107] = [
    e("EDEADLK", 35, 45, 45), e("ENAMETOOLONG", 36, 78, 248), e("ENOLCK", 37, 46, 46), e("ENOSYS", 38, 89, 251),
    e("ENOTEMPTY", 39, 93, 247), e("ELOOP", 40, 90, 249), e("ENOMSG", 42, 35, 35), e("EIDRM", 43, 36, 36),
    e("ECHRNG", 44, 37, 37), e("EL2NSYNC", 45, 38, 38), e("EL3HLT", 46, 39, 39), e("EL3RST", 47, 40, 40),
    e("ELNRNG", 48, 41, 41), e("EUNATCH", 49, 42, 42), e("ENOCSI", 50, 43, 43), e("EL2HLT", 51, 44, 44),
    e("EBADE", 52, 50, 160), e("EBADR", 53, 51, 161), e("EXFULL", 54, 52, 162), e("ENOANO", 55, 53, 163),
    e("EBADRQC", 56, 54, 164), e("EBADSLT", 57, 55, 165), e("EBFONT", 59, 59, 166), e("ENOSTR", 60, 60, 54),
    e("ENODATA", 61, 61, 51), e("ETIME", 62, 62, 52), e("ENOSR", 63, 63, 53), e("ENONET", 64, 64, 50),
    e("ENOPKG", 65, 65, 55), e("EREMOTE", 66, 66, 71), e("ENOLINK", 67, 67, 57), e("EADV", 68, 68, 58),
    e("ESRMNT", 69, 69, 59), e("ECOMM", 70, 70, 60), e("EPROTO", 71, 71, 61), e("EMULTIHOP", 72, 74, 64),
    e("EDOTDOT", 73, 73, 66), e("EBADMSG", 74, 77, 67), e("EOVERFLOW", 75, 79, 72), e("ENOTUNIQ", 76, 80, 167),
    e("EBADFD", 77, 81, 168), e("EREMCHG", 78, 82, 169), e("ELIBACC", 79, 83, 170), e("ELIBBAD", 80, 84, 171),
    e("ELIBSCN", 81, 85, 172), e("ELIBMAX", 82, 86, 173), e("ELIBEXEC", 83, 87, 174), e("EILSEQ", 84, 88, 47),
    e("ERESTART", 85, 91, 175), e("ESTRPIPE", 86, 92, 176), e("EUSERS", 87, 94, 68), e("ENOTSOCK", 88, 95, 216),
    e("EDESTADDRREQ", 89, 96, 217), e("EMSGSIZE", 90, 97, 218), e("EPROTOTYPE", 91, 98, 219),
    e("ENOPROTOOPT", 92, 99, 220), e("EPROTONOSUPPORT", 93, 120, 221), e("ESOCKTNOSUPPORT", 94, 121, 222),
    e("EOPNOTSUPP", 95, 122, 223), e("EPFNOSUPPORT", 96, 123, 224), e("EAFNOSUPPORT", 97, 124, 225),
    e("EADDRINUSE", 98, 125, 226), e("EADDRNOTAVAIL", 99, 126, 227), e("ENETDOWN", 100, 127, 228),
    e("ENETUNREACH", 101, 128, 229), e("ENETRESET", 102, 129, 230), e("ECONNABORTED", 103, 130, 231),
    e("ECONNRESET", 104, 131, 232), e("ENOBUFS", 105, 132, 233), e("EISCONN", 106, 133, 234),
    e("ENOTCONN", 107, 134, 235), e("ESHUTDOWN", 108, 143, 236), e("ETOOMANYREFS", 109, 144, 237),
    e("ETIMEDOUT", 110, 145, 238), e("ECONNREFUSED", 111, 146, 239), e("EHOSTDOWN", 112, 147, 241),
    e("EHOSTUNREACH", 113, 148, 242), e("EALREADY", 114, 149, 244), e("EINPROGRESS", 115, 150, 245),
    e("ESTALE", 116, 151, 70), e("EUCLEAN", 117, 135, 177), e("ENOTNAM", 118, 137, 178), e("ENAVAIL", 119, 138, 179),
    e("EISNAM", 120, 139, 180), e("EREMOTEIO", 121, 140, 181), e("EDQUOT", 122, 1133, 69),
    e("ENOMEDIUM", 123, 159, 182), e("EMEDIUMTYPE", 124, 160, 183), e("ECANCELED", 125, 158, 253),
    e("ENOKEY", 126, 161, 184), e("EKEYEXPIRED", 127, 162, 185), e("EKEYREVOKED", 128, 163, 186),
    e("EKEYREJECTED", 129, 164, 187), e("EOWNERDEAD", 130, 165, 254), e("ENOTRECOVERABLE", 131, 166, 255),
    e("ERFKILL", 132, 167, 256), e("EHWPOISON", 133, 168, 257), e("EFTYPE", 134, 169, 258), e("EINIT", 0, 141, 0),
    e("EREMDEV", 0, 142, 0),
    // Synonyms; EDEADLOCK is a number of its own on MIPS and PowerPC.
    e("EWOULDBLOCK", 11, 11, 11), e("EDEADLOCK", 35, 56, 45), e("EFSBADCRC", 74, 77, 67),
    e("EFSCORRUPTED", 117, 135, 177), e("ECANCELLED", 0, 0, 253), e("EREFUSED", 0, 0, 239),
    e("ENOTSUP", 95, 122, 223),
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const SYNONYMS: [&str; 7] =
        ["EWOULDBLOCK", "EDEADLOCK", "EFSBADCRC", "EFSCORRUPTED", "ECANCELLED", "EREFUSED", "ENOTSUP"];

    #[test]
    fn every_name_reads_back() {
        for arch in Arch::ALL {
            for name in Errno::names(arch) {
                let errno = Errno::from_name(arch, name).unwrap();
                let proper = errno.name(arch).unwrap();
                assert_eq!(Errno::from_name(arch, proper), Some(errno), "{arch} {name}");
                assert!(proper == name || SYNONYMS.contains(&name), "{arch}: {name} reads back as {proper}");
            }
            assert_eq!(Errno::from_name(arch, "ENOSYS"), Some(Errno::enosys(arch)));
            for number in [0, Errno::MAX, u16::MAX] {
                assert_eq!(Errno::new(number).name(arch), None);
            }
            for name in ["", "enosys", "ENOSYS ", "38"] {
                assert_eq!(Errno::from_name(arch, name), None, "{name}");
            }
        }
    }

    #[test]
    fn synonyms_and_exceptions() {
        let number = |arch, name| Errno::from_name(arch, name).map(Errno::get);
        for (name, x86, ppc, mips, parisc) in [
            ("EPERM", 1, 1, 1, 1),
            ("ERANGE", 34, 34, 34, 34),
            ("EWOULDBLOCK", 11, 11, 11, 11),
            ("EDEADLK", 35, 35, 45, 45),
            ("EDEADLOCK", 35, 58, 56, 45),
            ("EOPNOTSUPP", 95, 95, 122, 223),
            ("ENOTSUP", 95, 95, 122, 223),
            ("EDQUOT", 122, 122, 1133, 69),
        ] {
            for (arch, expected) in
                [(Arch::X86, x86), (Arch::Ppc64le, ppc), (Arch::Mips64n32, mips), (Arch::Parisc64, parisc)]
            {
                assert_eq!(number(arch, name), Some(expected), "{arch} {name}");
            }
        }
        assert_eq!(Errno::new(58).name(Arch::Ppc), Some("EDEADLOCK"));
        assert_eq!(Errno::new(58).name(Arch::X86_64), None);
        assert_eq!(number(Arch::X86_64, "EINIT"), None);
        assert_eq!(Errno::new(38).to_string(), "38");
    }

    /// The names that Podman's `errno` fields can hold are known wherever Podman runs.
    #[test]
    fn names_of_podman() {
        const NAMES: &str = "EPERM ENOENT ESRCH EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EDEADLK ENOMEM EACCES EFAULT \
            ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE \
            EROFS EMLINK EPIPE EDOM ERANGE EAGAIN EINPROGRESS EALREADY ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE \
            ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL \
            ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS \
            ETIMEDOUT ECONNREFUSED ELOOP ENAMETOOLONG EHOSTDOWN EHOSTUNREACH ENOTEMPTY EUSERS EDQUOT ESTALE EREMOTE \
            ENOLCK ENOSYS EILSEQ ENOMEDIUM EMEDIUMTYPE EOVERFLOW ECANCELED EIDRM ENOMSG ENOTSUP EBADMSG \
            ENOTRECOVERABLE EOWNERDEAD";
        assert_eq!(NAMES.split_whitespace().count(), 82);
        for name in NAMES.split_whitespace() {
            for arch in Arch::ALL {
                assert!(Errno::from_name(arch, name).is_some(), "{arch} {name}");
            }
        }
    }
}
