//! Where `src/arch/table.rs` comes from, and whether it is right.
//!
//! The table is made from the kernel's exported headers for all architectures, and three hand-kept lists in
//! `tests/data/`. To make it again for a newer kernel:
//!
//! ```text
//! apt-get download linux-libc-dev && dpkg-deb -x linux-libc-dev_*.deb headers
//! BLESS=1 CALLSIEVE_HEADERS=headers/usr/lib/linux/uapi cargo test --test tables
//! ```
//!
//! `CALLSIEVE_HEADERS` is a folder of `ARCH/asm/unistd*.h`. Without it, and without `BLESS`, the test compares with
//! whatever headers this machine has: every name and number there must stand in our table, and nothing else if the
//! headers are of the release that the table was made from. No headers: a printed skip.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test.

use callsieve::arch::{Arch, Errno, KernelVersion, Syscall, TABLE_KERNEL};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

#[path = "tables/prototypes.rs"]
mod prototypes;

/// A column of the table: the ABIs that share it, and the header that lists its calls.
struct Column {
    arches: &'static [Arch],
    folder: &'static str,
    header: &'static str,
}

const fn column(arches: &'static [Arch], folder: &'static str, header: &'static str) -> Column {
    Column { arches, folder, header }
}

/// In the order of the table.
const COLUMNS: [Column; 19] = [
    column(&[Arch::X86_64], "x86", "unistd_64.h"),
    column(&[Arch::X86], "x86", "unistd_32.h"),
    column(&[Arch::X32], "x86", "unistd_x32.h"),
    column(&[Arch::Aarch64], "arm64", "unistd_64.h"),
    column(&[Arch::Arm], "arm", "unistd-eabi.h"),
    column(&[Arch::Riscv64], "riscv", "unistd_64.h"),
    column(&[Arch::Riscv32], "riscv", "unistd_32.h"),
    column(&[Arch::Loongarch64], "loongarch", "unistd_64.h"),
    column(&[Arch::S390x], "s390", "unistd_64.h"),
    column(&[Arch::S390], "s390", "unistd_32.h"),
    column(&[Arch::Ppc], "powerpc", "unistd_32.h"),
    column(&[Arch::Ppc64, Arch::Ppc64le], "powerpc", "unistd_64.h"),
    column(&[Arch::Mips, Arch::Mipsel], "mips", "unistd_o32.h"),
    column(&[Arch::Mips64, Arch::Mipsel64], "mips", "unistd_n64.h"),
    column(&[Arch::Mips64n32, Arch::Mipsel64n32], "mips", "unistd_n32.h"),
    column(&[Arch::Parisc], "parisc", "unistd_32.h"),
    column(&[Arch::Parisc64], "parisc", "unistd_64.h"),
    column(&[Arch::M68k], "m68k", "unistd_32.h"),
    column(&[Arch::Sh, Arch::Sheb], "sh", "unistd_32.h"),
];

impl Column {
    fn first(&self) -> Arch {
        self.arches[0]
    }
}

/// Names and numbers of one ABI, without its base.
type Calls = BTreeMap<String, u32>;

/// The calls that a header defines: `#define __NR_NAME NUMBER` or `(BASE + NUMBER)`. What the kernel keeps free has
/// names that begin with `unused` or `reserved`.
fn parse_header(text: &str) -> Calls {
    let mut calls = Calls::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some("#define"), Some(name)) = (words.next(), words.next()) else { continue };
        let Some(name) = name.strip_prefix("__NR_") else { continue };
        let filler =
            |prefix| name.strip_prefix(prefix).is_some_and(|rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit()));
        if filler("unused") || filler("reserved") || name == "Linux" || name == "syscalls" {
            continue;
        }
        let words: Vec<&str> = words.collect();
        let value = words.as_slice();
        let ([number] | ["(__X32_SYSCALL_BIT" | "(__NR_SYSCALL_BASE" | "(__NR_Linux", "+", number]) = *value else {
            continue;
        };
        if let Ok(number) = number.trim_end_matches(')').parse() {
            calls.insert(name.to_owned(), number);
        }
    }
    calls
}

fn data(name: &str) -> String {
    let path = root().join("tests/data").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The cells of a hand-kept list.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

/// Calls of an ABI that no header of this release tells, from `exceptions.tsv` and `s390.tsv`.
fn exceptions(arch: Arch) -> Calls {
    let mut calls = Calls::new();
    if arch == Arch::S390 {
        for row in rows(&data("s390.tsv")) {
            calls.insert(row[0].to_owned(), row[1].parse().unwrap());
        }
    }
    for row in rows(&data("exceptions.tsv")).filter(|row| Arch::from_name(row[0]) == Some(arch)) {
        calls.insert(row[1].to_owned(), row[2].parse().unwrap());
    }
    calls
}

/// Second names of a number.
fn aliases() -> BTreeSet<(Arch, String)> {
    rows(&data("exceptions.tsv"))
        .filter(|row| row.get(3) == Some(&"alias"))
        .map(|row| (Arch::from_name(row[0]).unwrap(), row[1].to_owned()))
        .collect()
}

fn introduced() -> BTreeMap<String, KernelVersion> {
    rows(&data("since.tsv"))
        .map(|row| {
            let mut numbers = row[1].split('.').map(|number| number.parse().unwrap());
            let (major, minor) = (numbers.next().unwrap(), numbers.next().unwrap());
            (row[0].to_owned(), KernelVersion::new(major, minor))
        })
        .collect()
}

/// A place with headers.
struct Headers {
    /// Where the files of a column are, if here at all.
    files: Vec<(usize, PathBuf)>,
    release: Option<KernelVersion>,
}

/// The release that `linux/version.h` names.
fn release(version_h: &Path) -> Option<KernelVersion> {
    let text = fs::read_to_string(version_h).ok()?;
    let code = text.lines().find_map(|line| line.strip_prefix("#define LINUX_VERSION_CODE "))?;
    let code: u32 = code.trim().parse().ok()?;
    let [_, major, minor, _] = code.to_be_bytes();
    Some(KernelVersion::new(major, minor))
}

fn columns_in(folder: &str, asm: &Path) -> Vec<(usize, PathBuf)> {
    (0..COLUMNS.len())
        .filter(|&at| COLUMNS[at].folder == folder)
        .map(|at| (at, asm.join(COLUMNS[at].header)))
        .filter(|(_, path)| path.is_file())
        .collect()
}

/// A folder of `ARCH/asm`, as Debian installs it; `linux/version.h` lies in or above it.
fn uapi(folder: &Path) -> Headers {
    let names: BTreeSet<&str> = COLUMNS.iter().map(|column| column.folder).collect();
    let files = names.into_iter().flat_map(|name| columns_in(name, &folder.join(name).join("asm"))).collect();
    let release = ["linux/version.h", "../../../include/linux/version.h"]
        .into_iter()
        .find_map(|path| release(&folder.join(path)));
    Headers { files, release }
}

/// `/usr/include/MULTIARCH/asm`, and `/usr/include/asm` of distributions without multiarch.
fn installed(include: &Path) -> Headers {
    let of_triplet = |triplet: &str| {
        let prefixes = [
            ("x86_64", "x86"),
            ("i386", "x86"),
            ("aarch64", "arm64"),
            ("arm", "arm"),
            ("riscv", "riscv"),
            ("loongarch", "loongarch"),
            ("s390", "s390"),
            ("powerpc", "powerpc"),
            ("mips", "mips"),
            ("hppa", "parisc"),
            ("m68k", "m68k"),
            ("sh4", "sh"),
        ];
        prefixes.into_iter().find(|(prefix, _)| triplet.starts_with(prefix)).map(|(_, folder)| folder)
    };
    let mut files = Vec::new();
    let entries = fs::read_dir(include).into_iter().flatten().flatten();
    let mut triplets: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    triplets.sort();
    for triplet in triplets.iter().filter(|name| name.contains("-linux-")) {
        if let Some(folder) = of_triplet(triplet) {
            files.extend(columns_in(folder, &include.join(triplet).join("asm")));
        }
    }
    if let Some(folder) = of_triplet(std::env::consts::ARCH).filter(|_| files.is_empty()) {
        files = columns_in(folder, &include.join("asm"));
    }
    Headers { files, release: release(&include.join("linux/version.h")) }
}

fn headers() -> Headers {
    if let Some(folder) = std::env::var_os("CALLSIEVE_HEADERS") {
        let found = uapi(Path::new(&folder));
        assert!(
            !found.files.is_empty(),
            "CALLSIEVE_HEADERS: no ARCH/asm/unistd*.h in {}",
            Path::new(&folder).display()
        );
        return found;
    }
    let found = uapi(Path::new("/usr/lib/linux/uapi"));
    if found.files.is_empty() { installed(Path::new("/usr/include")) } else { found }
}

/// Says why a test did not run, past the capture of the test harness.
fn skip(reason: &str) {
    let line = format!("SKIP {reason}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("CALLSIEVE_SKIPS") {
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("CALLSIEVE_SKIPS must be writable");
    }
}

/// Our calls of an ABI without its base, second names included.
fn ours(arch: Arch) -> Calls {
    Syscall::all().filter_map(|call| Some((call.name().to_owned(), call.number(arch)? - arch.number_base()))).collect()
}

#[test]
fn table_agrees_with_the_headers() {
    let found = headers();
    if std::env::var_os("BLESS").is_some() {
        bless(&found);
        return;
    }
    if found.files.is_empty() {
        skip("tables: no kernel headers on this machine (set CALLSIEVE_HEADERS to a folder of ARCH/asm/unistd*.h)");
        return;
    }
    let same_release = found.release == Some(TABLE_KERNEL);
    let mut wrong = String::new();
    for (at, path) in &found.files {
        let theirs = parse_header(&fs::read_to_string(path).unwrap());
        assert!(theirs.len() > 200, "{}: only {} calls understood", path.display(), theirs.len());
        for &arch in COLUMNS[*at].arches {
            let ours = ours(arch);
            for (name, number) in &theirs {
                if ours.get(name) != Some(number) {
                    let _ =
                        writeln!(wrong, "{arch}: {name} is {number} in {}, {:?} here", path.display(), ours.get(name));
                }
            }
            let mut extra = ours;
            extra.retain(|name, _| !theirs.contains_key(name) && !exceptions(arch).contains_key(name));
            if same_release && !extra.is_empty() {
                let _ = writeln!(wrong, "{arch}: not in {}: {extra:?}", path.display());
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong}\nif the headers are newer than {TABLE_KERNEL}, make the table again: see the top of this file"
    );
}

/// The headers that define the error numbers of an architecture, one that stands for each kind of numbering.
fn errno_headers() -> Vec<(Arch, Vec<PathBuf>)> {
    let folder = std::env::var_os("CALLSIEVE_HEADERS").map_or_else(|| "/usr/lib/linux/uapi".into(), PathBuf::from);
    let generic =
        [folder.join("asm-generic"), folder.join("../../../include/asm-generic"), "/usr/include/asm-generic".into()]
            .into_iter()
            .find(|path| path.join("errno.h").is_file());
    let Some(generic) = generic else { return Vec::new() };
    let (base, all) = (generic.join("errno-base.h"), generic.join("errno.h"));
    let of = |name: &str| folder.join(name).join("asm/errno.h");
    let mut headers = vec![
        (Arch::X86_64, vec![base.clone(), all.clone()]),
        (Arch::Ppc64, vec![base.clone(), all, of("powerpc")]),
        (Arch::Mips, vec![base.clone(), of("mips")]),
        (Arch::Parisc, vec![base, of("parisc")]),
    ];
    headers.retain(|(_, files)| files.iter().all(|file| file.is_file()));
    headers
}

/// Error numbers that headers define, the later ones for the earlier ones; a name may stand for another one.
fn parse_errnos(files: &[PathBuf]) -> BTreeMap<String, u16> {
    let mut words = BTreeMap::new();
    for file in files {
        for line in fs::read_to_string(file).unwrap().lines() {
            let parts: Vec<&str> = line.split_whitespace().collect();
            if let ["#define", name, value, ..] = *parts.as_slice()
                && name.starts_with('E')
            {
                words.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    let number = |value: &String| value.parse().ok().or_else(|| words.get(value)?.parse().ok());
    words.iter().map(|(name, value)| (name.clone(), number(value).unwrap())).collect()
}

#[test]
fn error_numbers_agree_with_the_headers() {
    let headers = errno_headers();
    if headers.is_empty() {
        skip("tables: no asm-generic/errno.h on this machine");
    }
    for (arch, files) in headers {
        let theirs = parse_errnos(&files);
        assert!(theirs.len() > 120, "{arch}: only {} error numbers understood", theirs.len());
        for (name, number) in &theirs {
            assert_eq!(Errno::from_name(arch, name), Some(Errno::new(*number)), "{arch} {name}");
        }
        for name in Errno::names(arch).filter(|&name| name != "ENOTSUP") {
            // Names that older headers lack.
            let newer = ["EFSBADCRC", "EFSCORRUPTED", "EFTYPE"].contains(&name);
            assert!(theirs.contains_key(name) || newer, "{arch} {name} is in no header");
        }
    }
}

#[test]
fn hand_kept_lists_are_in_the_table() {
    if std::env::var_os("BLESS").is_some() {
        return; // The library that runs here was built from the table before.
    }
    for arch in Arch::ALL {
        for (name, number) in exceptions(arch) {
            assert_eq!(ours(arch).get(&name), Some(&number), "{arch} {name}");
        }
    }
    let since = introduced();
    for call in Syscall::all() {
        assert_eq!(call.since(), since.get(call.name()).copied(), "{call}");
    }
    for name in since.keys() {
        assert!(Syscall::from_name(name).is_some(), "since.tsv names {name}, which no ABI has");
    }
}

/// An independent table, made by other people in another way. What both have must have one number, and every name that
/// only one of them has must have a reason.
#[cfg(all(feature = "install", target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod syscalls_crate {
    use super::*;
    /// Why that table may have a name that ours lacks.
    fn why_there(arch: Arch, name: &str, number: u32) -> Option<&'static str> {
        let time64 = ["time64", "_adjtime64"].iter().any(|end| name.ends_with(end));
        let filler = |prefix| name.strip_prefix(prefix).is_some_and(|rest: &str| rest.parse::<u32>().is_ok());
        match name {
            "r#break" => (arch.number("break") == Some(number)).then_some("escaped as a word of Rust"),
            "fstatat" => (arch.number("newfstatat") == Some(number)).then_some("the C library's name"),
            // `asm-generic/unistd.h` defines them under `__ARCH_WANT_SET_GET_RLIMIT` and `__ARCH_WANT_RENAMEAT` only.
            "getrlimit" | "setrlimit" => {
                matches!(arch, Arch::Riscv32 | Arch::Loongarch64).then_some("newer ABIs do not have it")
            }
            "renameat" => (arch == Arch::Loongarch64).then_some("newer ABIs do not have it"),
            // There under `__BITS_PER_LONG == 32` only.
            _ if time64 => matches!(arch, Arch::Aarch64 | Arch::Loongarch64).then_some("of 32-bit ABIs only"),
            _ if filler("unused") || filler("reserved") => {
                arch.short_name().starts_with("mips").then_some("a number that the header keeps free")
            }
            _ => None,
        }
    }

    /// The release that version 0.8.1 was made from.
    const THEIR_KERNEL: KernelVersion = KernelVersion::new(6, 18);

    /// Why ours may have a name that that table lacks.
    fn why_here(arch: Arch, name: &str) -> Option<&'static str> {
        const ARM_PRIVATE: [&str; 6] = ["breakpoint", "cacheflush", "usr26", "usr32", "set_tls", "get_tls"];
        if Syscall::from_name(name).unwrap().since() > Some(THEIR_KERNEL) {
            return Some("newer");
        }
        match name {
            _ if arch == Arch::Arm && ARM_PRIVATE.contains(&name) => Some("no part of the table of calls"),
            "set_mempolicy_home_node" if matches!(arch, Arch::Mips64 | Arch::Mipsel64) => {
                Some("left out there, in the kernel's table since 5.17")
            }
            _ => None,
        }
    }

    /// What that table says of one ABI: number and name.
    fn theirs<S>(first: i32, last: i32, of: impl Fn(usize) -> Option<S>, name: impl Fn(&S) -> &str) -> Calls {
        let calls = (first..=last).filter_map(|id| {
            let call = of(usize::try_from(id).ok()?)?;
            Some((name(&call).to_owned(), u32::try_from(id).ok()?))
        });
        calls.collect()
    }

    fn compare(arch: Arch, theirs: &Calls, wrong: &mut String) {
        for (name, &number) in theirs {
            let own = arch.number(name);
            if own != Some(number) && (own.is_some() || why_there(arch, name, number).is_none()) {
                let _ = writeln!(wrong, "{arch}: {name} is {number} there, {own:?} here");
            }
        }
        let numbers: BTreeSet<u32> = theirs.values().copied().collect();
        for (number, name) in arch.syscalls().filter(|(number, _)| !numbers.contains(number)) {
            if why_here(arch, name).is_none() {
                let _ = writeln!(wrong, "{arch}: {name} is {number} here, nothing there");
            }
        }
    }

    #[test]
    fn agrees_on_every_abi_that_it_has() {
        let mut wrong = String::new();
        macro_rules! abi {
            ($module:ident, $($arch:ident),+) => {
                let calls = {
                    use syscalls::$module::Sysno;
                    theirs(Sysno::first().id(), Sysno::last().id(), Sysno::new, |call| call.name())
                };
                $(compare(Arch::$arch, &calls, &mut wrong);)+
            };
        }
        abi!(x86_64, X86_64);
        abi!(x86, X86);
        abi!(aarch64, Aarch64);
        abi!(arm, Arm);
        abi!(riscv64, Riscv64);
        abi!(riscv32, Riscv32);
        abi!(loongarch64, Loongarch64);
        abi!(s390x, S390x);
        abi!(powerpc, Ppc);
        abi!(powerpc64, Ppc64, Ppc64le);
        abi!(mips, Mips, Mipsel);
        abi!(mips64, Mips64, Mipsel64);
        assert!(wrong.is_empty(), "{wrong}");
    }
}

/// The digest in the generated file is that of what the library answers, so nobody edited one of them by hand.
#[test]
fn digest_is_right() {
    if std::env::var_os("BLESS").is_some() {
        return; // As above.
    }
    let mut columns = Vec::new();
    for column in &COLUMNS {
        for &arch in column.arches {
            assert_eq!(ours(arch), ours(column.first()), "{arch} shares a column");
        }
        columns.push(ours(column.first()));
    }
    let since = Syscall::all().filter_map(|call| Some((call.name().to_owned(), call.since()?))).collect();
    let table = fs::read_to_string(root().join("src/arch/table.rs")).unwrap();
    let line = format!("// digest {:016x}", digest(&columns, &since, TABLE_KERNEL));
    assert!(table.lines().any(|found| found == line), "src/arch/table.rs lacks \"{line}\"");
}

/// FNV-1a over every cell.
fn digest(columns: &[Calls], since: &BTreeMap<String, KernelVersion>, release: KernelVersion) -> u64 {
    let mut text = format!("{release}\n");
    for (column, calls) in COLUMNS.iter().zip(columns) {
        for (name, number) in calls {
            let _ = writeln!(text, "{} {name} {number}", column.first().short_name());
        }
    }
    for (name, version) in since {
        let _ = writeln!(text, "{name} {version}");
    }
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// How a number stands in the table: 16 bits, `NO` for none, ARM's private numbers 0xf0000 moved to 0xf000.
fn cell(number: Option<u32>) -> String {
    match number {
        None => "NO".to_owned(),
        Some(number @ 0..0xf000) => number.to_string(),
        Some(number @ 0xf_0000..0xf_0fff) => format!("{:#x}", number - 0xf_0000 + 0xf000),
        Some(number) => panic!("number {number} does not fit into the table"),
    }
}

/// Writes `src/arch/table.rs`.
fn bless(found: &Headers) {
    let release = found.release.expect("no linux/version.h in or above the folder of the headers");
    let mut columns = Vec::new();
    for (at, column) in COLUMNS.iter().enumerate() {
        let header = found.files.iter().find(|(of, _)| *of == at);
        assert!(
            header.is_some() || column.first() == Arch::S390,
            "no {}/asm/{}: the table is made from the headers of all architectures at once",
            column.folder,
            column.header
        );
        let mut calls = header.map(|(_, path)| parse_header(&fs::read_to_string(path).unwrap())).unwrap_or_default();
        calls.extend(exceptions(column.first()));
        check_numbers(column.first(), &calls);
        columns.push(calls);
    }
    let names: BTreeSet<&String> = columns.iter().flat_map(BTreeMap::keys).collect();
    let since = introduced();
    let (major, minor) = (release.major(), release.minor());
    let heading: Vec<&str> = COLUMNS.iter().map(|column| column.first().short_name()).collect();
    let mut out = format!(
        "//! The system calls of every ABI. Generated by `tests/tables.rs`, which says how; do not edit.\n\
         //!\n\
         //! Source: the headers that Linux {release} exports, and the lists in `tests/data/`.\n\
         //! {} names. Columns, in this order:\n//! `{}`\n\
         \n// digest {:016x}\n\n\
         use super::syscall::{{COLUMNS, Row}};\nuse super::version::KernelVersion;\n\n\
         /// The kernel release that the table of system calls was made from: the newest whose calls are all known.\n\
         pub const TABLE_KERNEL: KernelVersion = KernelVersion::new({major}, {minor});\n\n\
         /// No such call.\nconst NO: u16 = Row::NO;\n\n\
         const fn r(name: &'static str, major: u8, minor: u8, numbers: [u16; COLUMNS]) -> Row {{\n    \
         Row::new(name, major, minor, numbers)\n}}\n\n\
         /// Name, release that introduced it (0, 0: not known), and numbers without the base of the ABI; sorted by name.\n\
         #[rustfmt::skip]\npub(super) static ROWS: [Row; {}] = [\n",
        names.len(),
        heading.join(" "),
        digest(&columns, &since, release),
        names.len(),
    );
    for name in names {
        let since = since.get(name);
        let (major, minor) = (since.map_or(0, |it| it.major()), since.map_or(0, |it| it.minor()));
        let cells: Vec<String> = columns.iter().map(|calls| cell(calls.get(name).copied())).collect();
        let _ = writeln!(out, "    r({name:?}, {major}, {minor}, [{}]),", cells.join(", "));
    }
    out.push_str("];\n");
    fs::write(root().join("src/arch/table.rs"), out).unwrap();
    skip(&format!("tables: src/arch/table.rs written for Linux {release}; run the tests again without BLESS"));
}

/// No two names of one ABI may have one number, except those that `exceptions.tsv` lists.
fn check_numbers(arch: Arch, calls: &Calls) {
    let aliases = aliases();
    let mut seen = BTreeMap::new();
    for (name, number) in calls.iter().filter(|(name, _)| !aliases.contains(&(arch, (*name).clone()))) {
        if let Some(other) = seen.insert(number, name) {
            panic!("{arch}: {name} and {other} are both {number}; if that is right, say so in exceptions.tsv");
        }
    }
}
