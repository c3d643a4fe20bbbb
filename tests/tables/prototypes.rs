//! Where `src/arch/prototypes.rs` comes from, and whether it is right.
//!
//! It is made from the kernel's source: the tables that name the entry point of each number, the definitions of the
//! entry points, and `tests/data/entries.tsv` for those that C does not tell. To make it again:
//!
//! ```text
//! apt-get download linux-source-7.3 && dpkg-deb -x linux-source-7.3_*.deb .
//! tar -xf usr/src/linux-source-7.3.tar.xz
//! BLESS=1 CALLSIEVE_LINUX=linux-source-7.3 cargo test --test tables prototypes
//! ```
//!
//! Without `CALLSIEVE_LINUX` the comparison is a printed skip.

use super::{COLUMNS, Column, data, ours, root, rows, skip};
use callsieve::arch::{Arch, Syscall};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The file of a column that names entry points, and the words in its second column that mean the column's ABI.
fn table_of(arch: Arch) -> (&'static str, &'static [&'static str]) {
    match arch {
        Arch::X86_64 => ("arch/x86/entry/syscalls/syscall_64.tbl", &["common", "64"]),
        Arch::X86 => ("arch/x86/entry/syscalls/syscall_32.tbl", &["i386"]),
        Arch::X32 => ("arch/x86/entry/syscalls/syscall_64.tbl", &["common", "x32"]),
        Arch::Aarch64 => ("arch/arm64/tools/syscall_64.tbl", &["common", "64", "renameat", "rlimit", "memfd_secret"]),
        Arch::Arm => ("arch/arm/tools/syscall.tbl", &["common"]),
        Arch::Riscv64 => ("scripts/syscall.tbl", &["common", "64", "riscv", "rlimit", "memfd_secret"]),
        Arch::Riscv32 => ("scripts/syscall.tbl", &["common", "32", "riscv", "memfd_secret"]),
        Arch::Loongarch64 => ("scripts/syscall.tbl", &["common", "64", "memfd_secret"]),
        // The 31-bit ABI is gone; the entry points that its own table named are those of i386 or the shared ones.
        Arch::S390x | Arch::S390 => ("arch/s390/kernel/syscalls/syscall.tbl", &["common"]),
        Arch::Ppc => ("arch/powerpc/kernel/syscalls/syscall.tbl", &["common", "nospu", "32"]),
        Arch::Ppc64 => ("arch/powerpc/kernel/syscalls/syscall.tbl", &["common", "nospu", "64"]),
        Arch::Mips => ("arch/mips/kernel/syscalls/syscall_o32.tbl", &["o32"]),
        Arch::Mips64 => ("arch/mips/kernel/syscalls/syscall_n64.tbl", &["common", "n64"]),
        Arch::Mips64n32 => ("arch/mips/kernel/syscalls/syscall_n32.tbl", &["n32"]),
        Arch::Parisc => ("arch/parisc/kernel/syscalls/syscall.tbl", &["common", "32"]),
        Arch::Parisc64 => ("arch/parisc/kernel/syscalls/syscall.tbl", &["common", "64"]),
        Arch::M68k => ("arch/m68k/kernel/syscalls/syscall.tbl", &["common"]),
        Arch::Sh => ("arch/sh/kernel/syscalls/syscall.tbl", &["common"]),
        other => panic!("{other} shares the column of another ABI"),
    }
}

/// The folders of `arch/` that belong to the columns.
const FOLDERS: [&str; 11] =
    ["x86", "arm64", "arm", "riscv", "loongarch", "s390", "powerpc", "mips", "parisc", "m68k", "sh"];

/// That of an ABI.
fn folder_of(arch: Arch) -> Option<&'static str> {
    let column = COLUMNS.iter().find(|column| column.arches.contains(&arch))?;
    FOLDERS.into_iter().find(|folder| *folder == column.folder)
}

/// A parameter: the letters of `src/arch/prototypes.rs`, and its name.
type Param = (&'static str, String);

/// Name to entry point of one ABI.
fn entry_points(linux: &Path, arch: Arch) -> BTreeMap<String, String> {
    let (file, abis) = table_of(arch);
    let text = fs::read_to_string(linux.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let numbers = ours(arch);
    let mut entries = BTreeMap::new();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [number, abi, name, entry, ..] = *words.as_slice() else { continue };
        if abis.contains(&abi) && numbers.get(name) == number.parse().ok().as_ref() {
            entries.insert(name.to_owned(), entry.to_owned());
        }
    }
    // On s390, calls that only the 31-bit ABI had.
    if arch == Arch::S390 {
        for (name, entry) in entry_points(linux, Arch::X86) {
            if numbers.contains_key(&name) {
                entries.entry(name).or_insert(entry);
            }
        }
    }
    entries
}

/// One definition in the kernel's source.
struct Definition {
    /// The folder of `arch/` that it stands in.
    folder: Option<String>,
    params: Vec<Param>,
    /// Registers that it takes, where it takes 64-bit parameters apart itself.
    registers: usize,
}

type Definitions = BTreeMap<String, Vec<Definition>>;

fn definitions(linux: &Path) -> Definitions {
    let mut found = Definitions::new();
    for folder in
        ["arch", "block", "fs", "io_uring", "ipc", "kernel", "mm", "net", "security", "drivers/char", "drivers/pci"]
    {
        let mut files = Vec::new();
        c_files(&linux.join(folder), &mut files);
        files.sort();
        for file in files {
            let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            let path = file.strip_prefix(linux).unwrap();
            let folder = path.strip_prefix("arch").ok().and_then(|path| path.iter().next());
            let folder = folder.map(|name| name.to_string_lossy().into_owned());
            // Variants for machines without an MMU or timers are the same calls.
            let ours = folder.as_deref().is_none_or(|name| FOLDERS.contains(&name));
            if ours && text.contains("SYSCALL") && !["nommu.c", "posix-stubs.c"].iter().any(|name| path.ends_with(name))
            {
                scan(&text, folder.as_deref(), &mut found);
            }
        }
    }
    found
}

fn c_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            c_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "c") {
            files.push(path);
        }
    }
}

/// `SYSCALL_DEFINE3(name, type, parameter, ...)` and its compat relatives, at the beginning of a line.
fn scan(text: &str, folder: Option<&str>, found: &mut Definitions) {
    let mut rest = text;
    while let Some(at) = rest.find("SYSCALL") {
        let line = rest[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let (before, from) = (&rest[line..at], &rest[at..]);
        rest = &rest[at + "SYSCALL".len()..];
        let Some(open) = from.find('(') else { continue };
        let prefix = match (before, &from[..open]) {
            ("", "SYSCALL32_DEFINE6") => "compat_sys_",
            ("COMPAT_", macro_name) if macro_name.starts_with("SYSCALL_DEFINE") => "compat_sys_",
            ("" | "PPC32_", macro_name) if macro_name.starts_with("SYSCALL_DEFINE") => "sys_",
            _ => continue,
        };
        let words = arguments(&from[open..]);
        let Some((name, words)) = words.split_first() else { continue };
        let (params, registers) = pairs(words);
        let folder = folder.map(str::to_owned);
        found.entry(format!("{prefix}{name}")).or_default().push(Definition { folder, params, registers });
    }
}

/// The arguments of a macro, from its opening bracket on.
fn arguments(text: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let mut depth = 0;
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match letter {
            _ if depth == 0 => break,
            '(' if depth == 1 => {}
            ',' if depth == 1 => arguments.push(String::new()),
            letter => arguments.last_mut().unwrap().push(letter),
        }
    }
    arguments.iter().map(|words| words.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Types and names in turn; the macros that take a 64-bit parameter apart stand alone.
fn pairs(words: &[String]) -> (Vec<Param>, usize) {
    let (mut params, mut registers) = (Vec::new(), 0);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some((_, name)) = word.split_once('(') {
            params.push(("i64", name.trim_end_matches(')').to_owned()));
            registers += 2;
        } else if let Some(name) = words.next() {
            params.push((letters(word), name.clone()));
            registers += 1;
        }
    }
    (params, registers)
}

/// What a C type is to the kernel, as the functions of `src/arch/prototypes.rs` are named.
fn letters(ctype: &str) -> &'static str {
    if ctype.contains('*') {
        return "ptr";
    }
    let words: Vec<&str> = ctype
        .split_whitespace()
        .filter(|word| !["const", "volatile", "__user", "enum", "struct"].contains(word))
        .collect();
    match words.join(" ").as_str() {
        "__sighandler_t" | "cap_user_header_t" | "cap_user_data_t" => "ptr",
        "compat_uptr_t" => "ptr32",
        "int" | "pid_t" | "compat_pid_t" | "key_t" | "compat_key_t" | "clockid_t" | "timer_t" | "compat_timer_t"
        | "mqd_t" | "key_serial_t" | "rwf_t" | "s32" | "__s32" | "int32_t" | "old_time32_t" | "compat_long_t"
        | "compat_off_t" | "compat_clock_t" | "landlock_rule_type" | "compat_ssize_t" | "nodemask" => "i32",
        "unsigned int"
        | "unsigned"
        | "uint"
        | "uint32_t"
        | "u32"
        | "__u32"
        | "uid_t"
        | "gid_t"
        | "qid_t"
        | "compat_ulong_t"
        | "compat_size_t"
        | "compat_uint_t"
        | "compat_aio_context_t"
        | "compat_dev_t"
        | "compat_old_sigset_t" => "u32",
        "umode_t" | "old_uid_t" | "old_gid_t" | "compat_mode_t" | "mode_t" | "unsigned short" => "u16",
        "long" | "off_t" | "ssize_t" | "__kernel_old_time_t" => "long",
        "unsigned long" | "size_t" | "aio_context_t" | "old_sigset_t" | "uintptr_t" => "ulong",
        "loff_t" | "s64" | "compat_loff_t" => "i64",
        "u64" | "__u64" | "uint64_t" | "compat_u64" => "u64",
        other => panic!("what is the C type \"{other}\"?"),
    }
}

/// Parameters as `entries.tsv` writes them.
fn declared(text: &str) -> Vec<Param> {
    let split = |param: &str| {
        let at = param.rfind([' ', '*']).unwrap_or_else(|| panic!("\"{param}\" has no name")) + 1;
        (letters(&param[..at]), param[at..].to_owned())
    };
    text.split(',').map(str::trim).filter(|param| !param.is_empty()).map(split).collect()
}

/// What is known about entry points.
struct Source {
    definitions: Definitions,
    /// By ABI (none: for all) and entry point.
    kept: BTreeMap<(Option<Arch>, String), String>,
}

impl Source {
    fn read(linux: &Path) -> Self {
        let mut kept = BTreeMap::new();
        let text = data("entries.tsv");
        for row in rows(&text) {
            let (arches, entry) =
                row[0].split_once(':').map_or((None, row[0]), |(arches, entry)| (Some(arches), entry));
            let arches = match arches {
                None => vec![None],
                Some(names) => names.split(',').map(|name| Some(Arch::from_name(name).expect(name))).collect(),
            };
            for arch in arches {
                kept.insert((arch, entry.to_owned()), row[1].trim().to_owned());
            }
        }
        Self { definitions: definitions(linux), kept }
    }

    /// The parameters of an entry point; `None` if nothing tells them.
    fn params(&self, arch: Arch, entry: &str) -> Option<Vec<Param>> {
        let kept = |arch| self.kept.get(&(arch, entry.to_owned()));
        let defined = self.definitions.get(entry).map(Vec::as_slice).unwrap_or_default();
        if let Some(text) = kept(Some(arch)).or_else(|| kept(None)) {
            let params = match text.strip_prefix('=') {
                Some(other) => self.params(arch, other.trim()).unwrap_or_else(|| panic!("{entry} = {other}")),
                None => declared(text),
            };
            self.check_kept(arch, entry, text, &params);
            return Some(params);
        }
        let of = |wanted: Option<&str>| -> Vec<&Definition> {
            defined.iter().filter(|definition| definition.folder.as_deref() == wanted).collect()
        };
        // Its own definition, the shared one, or where assembler stands in for it, that of any other architecture.
        let choices = [of(folder_of(arch)), of(None), defined.iter().collect()];
        let choice = choices.into_iter().find(|choice| !choice.is_empty())?;
        let kinds = |definition: &Definition| definition.params.iter().map(|(kind, _)| *kind).collect::<Vec<_>>();
        let first = choice[0];
        for other in &choice {
            assert_eq!(kinds(first), kinds(other), "{arch}: {entry} is defined in several ways; decide in entries.tsv");
        }
        Some(first.params.clone())
    }

    /// What `entries.tsv` says about a function that the source defines must be what one of the definitions says, or as
    /// many registers where the function takes parameters apart itself.
    fn check_kept(&self, arch: Arch, entry: &str, text: &str, params: &[Param]) {
        let own =
            |definition: &&Definition| definition.folder.as_deref().is_none_or(|own| Some(own) == folder_of(arch));
        let defined: Vec<_> = self.definitions.get(entry).into_iter().flatten().filter(own).collect();
        let kinds = |params: &[Param]| params.iter().map(|(kind, _)| *kind).collect::<Vec<_>>();
        let same = defined.iter().any(|definition| {
            kinds(&definition.params) == kinds(params) || definition.registers == registers(arch, params)
        });
        assert!(same || defined.is_empty(), "{arch}: entries.tsv says {entry} is \"{text}\", which no definition says");
    }
}

/// How many registers parameters take on an ABI, written down a second time on purpose.
fn registers(arch: Arch, params: &[Param]) -> usize {
    let mut registers: usize = 0;
    for (kind, _) in params {
        let wide = kind.ends_with("64") && !arch.has_64bit_args();
        if wide && [Arch::Arm, Arch::Mips, Arch::Ppc].contains(&arch) {
            registers = registers.next_multiple_of(2);
        }
        registers += if wide { 2 } else { 1 };
    }
    registers
}

/// By name the columns (as bits) that share parameters.
type Prototypes = BTreeMap<String, Vec<(u32, Vec<Param>)>>;

fn prototypes(linux: &Path) -> Prototypes {
    let source = Source::read(linux);
    let mut prototypes: Prototypes = Syscall::all().map(|call| (call.name().to_owned(), Vec::new())).collect();
    let mut untold = BTreeMap::new();
    for (at, column) in COLUMNS.iter().enumerate() {
        let entries = entry_points(linux, column.first());
        for name in ours(column.first()).into_keys() {
            let params = params_of(&source, column, &entries, &name);
            let Some(params) = params else {
                untold.entry(name).or_insert_with(Vec::new).push(column.first());
                continue;
            };
            let variants = prototypes.get_mut(&name).unwrap();
            // Names count: clone has its flags elsewhere on s390, among parameters of the same types.
            match variants.iter_mut().find(|(_, known)| *known == params) {
                Some((columns, _)) => *columns |= 1 << at,
                None => variants.push((1 << at, params)),
            }
        }
    }
    // Shown with --nocapture: numbers that the kernel keeps for calls without code.
    println!("without a prototype: {untold:?}");
    prototypes
}

fn params_of(source: &Source, column: &Column, entries: &BTreeMap<String, String>, name: &str) -> Option<Vec<Param>> {
    let arch = column.first();
    let kept = || source.kept.get(&(None, format!("+{name}"))).map(|text| declared(text));
    match entries.get(name) {
        Some(entry) if entry != "sys_ni_syscall" => source.params(arch, entry).or_else(kept),
        // Private calls of ARM, second names, and calls whose code is gone.
        _ if name == "sync_file_range2" => source.params(arch, "sys_sync_file_range2"),
        _ => kept(),
    }
}

/// The generated file.
fn written(prototypes: &Prototypes) -> String {
    let mut out = String::from(
        "//! What the kernel makes of the arguments of each call. Generated by `tests/tables/prototypes.rs`, which says\n\
         //! how; do not edit.\n\n\
         use super::prototype::{Variant, i32, i64, long, ptr, ptr32, u16, u32, u64, ulong};\n\n",
    );
    let _ =
        writeln!(out, "/// In the order of the table of calls; of each the columns that share parameters, as bits.");
    let _ = writeln!(out, "#[rustfmt::skip]\npub(super) static PROTOTYPES: [&[Variant]; {}] = [", prototypes.len());
    for (name, variants) in prototypes {
        let _ = write!(out, "    &[");
        for (position, (columns, params)) in variants.iter().enumerate() {
            let params: Vec<String> = params.iter().map(|(kind, name)| format!("{kind}({name:?})")).collect();
            let before = if position == 0 { "" } else { ", " };
            let _ = write!(out, "{before}(0x{columns:05x}, &[{}])", params.join(", "));
        }
        let _ = writeln!(out, "], // {name}");
    }
    out.push_str("];\n");
    out
}

#[test]
fn prototypes_agree_with_the_source() {
    let Some(linux) = std::env::var_os("CALLSIEVE_LINUX").map(PathBuf::from) else {
        skip("tables: no kernel source on this machine (set CALLSIEVE_LINUX to a folder with it)");
        return;
    };
    let made = written(&prototypes(&linux));
    let path = root().join("src/arch/prototypes.rs");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, made).unwrap();
        skip("tables: src/arch/prototypes.rs written; run the tests again without BLESS");
        return;
    }
    let kept = fs::read_to_string(&path).unwrap();
    let differing = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
    assert!(
        made == kept,
        "src/arch/prototypes.rs is not what the source gives: {differing:?}; see tests/tables/prototypes.rs"
    );
}
