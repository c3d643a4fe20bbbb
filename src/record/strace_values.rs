//! Arguments as strace writes them.

use crate::arch::Arch;
use alloc::vec::Vec;

/// Splits what follows the opening bracket of a call into its arguments and what comes behind the closing one. Commas
/// count outside of strings, brackets and comments. Of a call that is not finished, the arguments so far.
pub(super) fn arguments(text: &str) -> (Vec<&str>, &str) {
    let mut list = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, char) in text.char_indices() {
        if quoted {
            quoted = escaped || char != '"';
            escaped = char == '\\' && !escaped;
            continue;
        }
        match char {
            '"' => quoted = true,
            '(' | '[' | '{' => depth = depth.saturating_add(1),
            ')' if depth == 0 => {
                list.extend(argument(text.get(start..at)));
                return (list, text.get(at..).unwrap_or_default());
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                list.extend(argument(text.get(start..at)));
                start = at.saturating_add(1);
            }
            _ => {}
        }
    }
    let rest = text.get(start..).unwrap_or_default();
    list.extend(argument(rest.split("<unfinished").next()));
    (list, "")
}

fn argument(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// The value of an argument: a number, a known name, or several of them with `|` between.
pub(super) fn value(arch: Arch, text: &str) -> Option<u64> {
    // `0x2 /* AF_INET */` with -X verbose, `3</etc/passwd>` with -y.
    let text = text.split("/*").next()?.trim();
    text.split('|').try_fold(0, |all, part| Some(all | single(arch, part.trim())?))
}

fn single(arch: Arch, text: &str) -> Option<u64> {
    if let Some((one, places)) = text.split_once("<<") {
        let places = places.parse::<u32>().ok()?;
        return one.parse::<u64>().ok()?.checked_shl(places);
    }
    let text = text.split('<').next()?;
    number(text).or_else(|| arch.constant(text).ok()).or_else(|| known(arch, text))
}

fn number(text: &str) -> Option<u64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let value = match (digits.strip_prefix("0x"), digits.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok()?,
        (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8).ok()?,
        _ => digits.parse().ok()?,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Values of the kernel's generic headers that the table of constants lacks: `linux/in.h`, `asm-generic/socket.h`,
/// `linux/tcp.h`, `asm-generic/mman.h`, `asm-generic/mman-common.h`, `asm-generic/resource.h`, `asm-generic/signal.h`,
/// `linux/netlink.h`, `linux/memfd.h`.
const KNOWN: [(&str, u64); 55] = [
    ("IPPROTO_IP", 0),
    ("IPPROTO_ICMP", 1),
    ("IPPROTO_TCP", 6),
    ("IPPROTO_UDP", 17),
    ("IPPROTO_IPV6", 41),
    ("IPPROTO_ICMPV6", 58),
    ("SOL_IP", 0),
    ("SOL_SOCKET", 1),
    ("SOL_TCP", 6),
    ("SOL_UDP", 17),
    ("SOL_IPV6", 41),
    ("SOL_NETLINK", 270),
    ("SO_REUSEADDR", 2),
    ("SO_TYPE", 3),
    ("SO_ERROR", 4),
    ("SO_BROADCAST", 6),
    ("SO_SNDBUF", 7),
    ("SO_RCVBUF", 8),
    ("SO_KEEPALIVE", 9),
    ("SO_LINGER", 13),
    ("SO_REUSEPORT", 15),
    ("SO_PASSCRED", 16),
    ("SO_PEERCRED", 17),
    ("TCP_NODELAY", 1),
    ("TCP_CORK", 3),
    ("TCP_KEEPIDLE", 4),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 6),
    ("TCP_DEFER_ACCEPT", 9),
    ("TCP_FASTOPEN", 23),
    ("MAP_GROWSDOWN", 0x100),
    ("MAP_DENYWRITE", 0x800),
    ("MAP_LOCKED", 0x2000),
    ("MAP_NORESERVE", 0x4000),
    ("MAP_POPULATE", 0x8000),
    ("MAP_STACK", 0x2_0000),
    ("MAP_FIXED_NOREPLACE", 0x10_0000),
    ("MADV_NORMAL", 0),
    ("MADV_RANDOM", 1),
    ("MADV_SEQUENTIAL", 2),
    ("MADV_WILLNEED", 3),
    ("MADV_DONTNEED", 4),
    ("MADV_FREE", 8),
    ("MADV_DONTFORK", 10),
    ("MADV_HUGEPAGE", 14),
    ("MADV_NOHUGEPAGE", 15),
    ("MADV_DONTDUMP", 16),
    ("RLIMIT_STACK", 3),
    ("RLIMIT_CORE", 4),
    ("RLIMIT_NOFILE", 7),
    ("RLIMIT_AS", 9),
    ("SIGCHLD", 17),
    ("NETLINK_ROUTE", 0),
    ("MFD_CLOEXEC", 1),
    ("MFD_ALLOW_SEALING", 2),
];

fn known(arch: Arch, name: &str) -> Option<u64> {
    let generic = matches!(
        arch,
        Arch::X86_64 | Arch::X86 | Arch::X32 | Arch::Aarch64 | Arch::Arm | Arch::Riscv64 | Arch::Loongarch64
    );
    KNOWN.iter().find(|row| generic && row.0 == name).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_count_outside_of_strings_and_brackets() {
        let (list, tail) = arguments(r#"AT_FDCWD, "a, \"b), c\\", {x=1, y=[2, 3]}, 4, f(5, 6)) = 3"#);
        assert_eq!(list, ["AT_FDCWD", r#""a, \"b), c\\""#, "{x=1, y=[2, 3]}", "4", "f(5, 6)"]);
        assert_eq!(tail, ") = 3");
        assert_eq!(arguments(") = 0"), (vec![], ") = 0"));
        assert_eq!(arguments("0, TCGETS <unfinished ...>"), (vec!["0", "TCGETS"], ""));
        assert_eq!(arguments("0,  <unfinished ...>"), (vec!["0"], ""));
        assert_eq!(arguments("\"\\"), (vec!["\"\\"], ""));
        assert_eq!(arguments("))))").0.len(), 0);
    }

    #[test]
    fn values_that_are_known() {
        let read = |text| value(Arch::X86_64, text);
        for (text, expected) in [
            ("0", 0),
            ("12", 12),
            ("0x5401", 0x5401),
            ("0644", 0o644),
            ("-1", u64::MAX),
            ("AF_INET", 2),
            ("0x2 /* AF_INET */", 2),
            ("PROT_READ|PROT_EXEC", 5),
            ("MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE", 0x812),
            ("CLONE_VM|SIGCHLD", 0x111),
            ("SOCK_STREAM|0x80000", 0x8_0001),
            ("3</etc/passwd>", 3),
            ("1<<2|1", 5),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in
            ["", "NO_SUCH_NAME", "\"text\"", "AF_INET|NO_SUCH_NAME", "{}", "1<<99", "0x", "99999999999999999999"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        // Other values there.
        assert_eq!(value(Arch::Mips, "SO_REUSEADDR"), None);
    }

    /// Against the constants of the C library of this machine.
    #[test]
    #[cfg(target_arch = "x86_64")]
    #[allow(clippy::cast_sign_loss, clippy::cast_lossless, clippy::unnecessary_cast)] // Constants of several types.
    fn names_are_those_of_the_machine() {
        macro_rules! check {
            ($($name:ident)*) => { $(assert_eq!(known(Arch::X86_64, stringify!($name)), Some(libc::$name as u64));)* };
        }
        check!(IPPROTO_IP IPPROTO_ICMP IPPROTO_TCP IPPROTO_UDP IPPROTO_IPV6 IPPROTO_ICMPV6 SOL_IP SOL_SOCKET SOL_TCP);
        check!(SOL_UDP SOL_IPV6 SOL_NETLINK SO_REUSEADDR SO_TYPE SO_ERROR SO_BROADCAST SO_SNDBUF SO_RCVBUF SO_KEEPALIVE);
        check!(SO_LINGER SO_REUSEPORT SO_PASSCRED SO_PEERCRED TCP_NODELAY TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT);
        check!(TCP_DEFER_ACCEPT TCP_FASTOPEN MAP_GROWSDOWN MAP_DENYWRITE MAP_LOCKED MAP_NORESERVE MAP_POPULATE MAP_STACK);
        check!(MAP_FIXED_NOREPLACE MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MADV_DONTNEED MADV_FREE);
        check!(MADV_DONTFORK MADV_HUGEPAGE MADV_NOHUGEPAGE MADV_DONTDUMP RLIMIT_STACK RLIMIT_CORE RLIMIT_NOFILE RLIMIT_AS);
        check!(SIGCHLD NETLINK_ROUTE MFD_CLOEXEC MFD_ALLOW_SEALING);
    }
}
