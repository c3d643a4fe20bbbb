//! Recordings from what strace(1) wrote: its log, or the table of `strace -c`.
//!
//! A line of the log is, in this order and all but the call optional: a process (`[pid 42]`, or `42` in a file), times
//! (`-t`, `-tt`, `-ttt`, `-r`), a number or an address in brackets (`-n`, `-i`), the call with its arguments, what it
//! returned, and how long it took (`-T`). A call that others interrupt is written in two parts, `NAME(... <unfinished
//! ...>` and `<... NAME resumed>...`; it counts with the first one.

use super::log::{LogError, LogRead};
use super::recording::Recording;
use super::strace_values::{arguments, value};
use super::watched::watched;
use crate::arch::{Arch, Syscall};
use crate::bpf::SyscallData;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

impl Recording {
    /// Adds the calls of a log of strace(1), with `-f` or without, or of a table of `strace -c`. Without a word of strace
    /// that a process makes calls of another ABI (it writes that to standard error, not into the file of `-o`), calls
    /// are those of `native`, or of the first ABI beside it that has a call of that name.
    ///
    /// Arguments are kept where strace writes numbers (`-X raw`) or names that are known here; a profile has no
    /// conditions on the others. Calls that a signal interrupted before they were made (`= ? ERESTARTSYS`) are not
    /// counted.
    ///
    /// ```
    /// use callsieve::arch::Arch;
    /// use callsieve::record::Recording;
    ///
    /// let mut recording = Recording::new();
    /// let log = "[pid 7] 12:30:01 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3\n[pid 7] 12:30:01 +++ exited with 0 +++\n";
    /// assert_eq!(recording.read_strace(log, Arch::X86_64)?.calls, 1);
    /// assert_eq!(recording.calls().next().unwrap().values().next(), Some((&[2, 1, 0][..], 1)));
    /// # Ok::<(), callsieve::record::LogError>(())
    /// ```
    ///
    /// # Errors
    /// [`LogError::NoCall`] if there is no call in it.
    pub fn read_strace(&mut self, text: &str, native: Arch) -> Result<LogRead, LogError> {
        let reader = Reader {
            recording: self,
            native,
            modes: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            table: None,
            table_arch: native,
            read: LogRead::default(),
        };
        reader.all(text)
    }
}

struct Reader<'r> {
    recording: &'r mut Recording,
    native: Arch,
    /// The ABI of a process, if it is not the native one; `None` for lines without a process.
    modes: BTreeMap<Option<u32>, Arch>,
    /// Calls of which the second part has not come yet.
    unfinished: BTreeMap<String, u64>,
    /// In a table: the column of the counts.
    table: Option<usize>,
    table_arch: Arch,
    read: LogRead,
}

/// Names that strace has for calls that the kernel's table calls otherwise.
const ALIASES: [(&str, &str); 2] = [("old_mmap", "mmap"), ("old_select", "select")];

impl Reader<'_> {
    fn all(mut self, text: &str) -> Result<LogRead, LogError> {
        for (at, line) in text.lines().enumerate() {
            if self.line(line).is_none() {
                self.read.not_understood(at);
            }
        }
        self.read
            .finish("lines of strace are expected, such as \"read(3, \\\"\\\", 832) = 0\", or the table of strace -c")
    }

    /// `None` if the line is not understood.
    fn line(&mut self, line: &str) -> Option<()> {
        if let Some(mode) = line.split_once("System call usage summary for ").map(|(_, mode)| mode) {
            self.table_arch = self.mode(mode)?;
            return Some(());
        }
        if line.trim_start().starts_with("% time") {
            self.table = Some(column_of_calls(line)?);
            return Some(());
        }
        if let Some(column) = self.table {
            return self.row(line, column);
        }
        if let Some((_, notice)) = line.split_once("[ Process PID=") {
            return self.notice(notice);
        }
        let (process, rest) = process(line.trim_start());
        let rest = without_times(rest);
        if let Some(resumed) = rest.strip_prefix("<... ") {
            return self.resumed(process, resumed);
        }
        let other = ["---", "+++", "strace:", "> ", "<unfinished", "/"];
        if rest.is_empty() || other.iter().any(|start| rest.starts_with(start)) {
            return Some(());
        }
        self.call(process, rest)
    }

    /// A row of a table.
    fn row(&mut self, line: &str, column: usize) -> Option<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = *words.last()?;
        if name.starts_with("---") {
            return Some(());
        }
        if name == "total" {
            self.table = None;
            self.table_arch = self.native;
            return Some(());
        }
        let count: u64 = words.get(column)?.parse().ok()?;
        let (arch, nr) = number(name, self.table_arch)?;
        self.read.call(count);
        self.recording.add_without_arguments(arch, nr, count);
        Some(())
    }

    /// `32 bit mode` and the like.
    fn mode(&self, words: &str) -> Option<Arch> {
        let other = |wanted: fn(Arch) -> bool| self.native.compat().iter().copied().find(|arch| wanted(*arch));
        match words.trim_start() {
            words if words.starts_with("32 bit") => other(|arch| !arch.has_64bit_args()).or(Some(self.native)),
            words if words.starts_with("x32") => other(|arch| arch == Arch::X32).or(Some(self.native)),
            words if words.starts_with("64 bit") => Some(self.native),
            _ => None,
        }
    }

    /// `42 runs in 32 bit mode. ]`
    fn notice(&mut self, notice: &str) -> Option<()> {
        let (process, words) = notice.split_once(" runs in ")?;
        let process = process.trim().parse().ok()?;
        let arch = self.mode(words)?;
        // While there is one process, its lines do not name it.
        if self.modes.keys().all(|known| known.is_none() || *known == Some(process)) {
            self.modes.insert(None, arch);
        }
        self.modes.insert(Some(process), arch);
        Some(())
    }

    fn arch_of(&self, process: Option<u32>) -> Arch {
        self.modes.get(&process).copied().unwrap_or(self.native)
    }

    /// `NAME resumed> rest`
    fn resumed(&mut self, process: Option<u32>, text: &str) -> Option<()> {
        let (name, rest) = text.split_once(" resumed>")?;
        let was_there = match self.unfinished.get_mut(name) {
            Some(count @ 1..) => {
                *count -= 1;
                true
            }
            _ => false,
        };
        match (was_there, is_restarted(rest)) {
            (true, false) => {}
            (true, true) => {
                let (arch, nr) = number(name, self.arch_of(process))?;
                self.recording.take_back(arch, nr);
                self.read.calls = self.read.calls.saturating_sub(1);
            }
            // The log begins in the middle.
            (false, restarted) => {
                let (arch, nr) = number(name, self.arch_of(process))?;
                let times = u64::from(!restarted);
                self.recording.add_without_arguments(arch, nr, times);
                self.read.call(times);
            }
        }
        Some(())
    }

    /// `NAME(ARGUMENTS) = RESULT`
    fn call(&mut self, process: Option<u32>, text: &str) -> Option<()> {
        let (name, rest) = text.split_once('(')?;
        let (arch, nr) = number(name, self.arch_of(process))?;
        let (list, tail) = arguments(rest);
        let unfinished = rest.trim_end().ends_with("<unfinished ...>");
        let times = u64::from(!is_restarted(tail));
        if unfinished {
            let count: &mut u64 = self.unfinished.entry(name.into()).or_default();
            *count = count.saturating_add(1);
        } else if times == 0 {
            self.recording.interrupt();
        }
        self.read.call(times);
        match values(arch, nr, &list) {
            Some(args) => {
                self.recording
                    .add_times(&SyscallData { nr, arch: arch.audit(), args, ..SyscallData::default() }, times);
            }
            None => {
                self.recording.add_without_arguments(arch, nr, times);
            }
        }
        Some(())
    }
}

/// The watched arguments of a call, if all of them are known.
fn values(arch: Arch, nr: u32, list: &[&str]) -> Option<[u64; 6]> {
    let mut args = [0; 6];
    for watched in watched(arch, nr) {
        // strace names the arguments of clone(2), and orders them in its own way.
        let text = match list.iter().find_map(|text| text.strip_prefix("flags=")) {
            Some(flags) if arch.name(nr) == Some("clone") => flags,
            _ => list.get(usize::from(watched.index))?,
        };
        *args.get_mut(usize::from(watched.index))? = value(arch, text)?;
    }
    Some(args)
}

/// The number of a call by its name for strace.
fn number(name: &str, arch: Arch) -> Option<(Arch, u32)> {
    if let Some(digits) = name.strip_prefix("syscall_") {
        let nr = match digits.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => digits.parse().ok()?,
        };
        return Some((arch, nr));
    }
    let name = ALIASES.iter().find(|alias| alias.0 == name).map_or(name, |alias| alias.1);
    let call = Syscall::from_name(name)?;
    let arches = core::iter::once(arch).chain(arch.compat().iter().copied());
    arches.into_iter().find_map(|arch| Some((arch, call.number(arch)?)))
}

/// The process at the start of a line.
fn process(line: &str) -> (Option<u32>, &str) {
    let (text, rest) = match line.strip_prefix("[pid ") {
        Some(inner) => match inner.split_once(']') {
            Some((text, rest)) => (text, rest),
            None => return (None, line),
        },
        None => line.split_once(' ').unwrap_or((line, "")),
    };
    // With -Y the name of the program follows.
    let digits = text.trim().split('<').next().unwrap_or_default();
    match digits.parse() {
        Ok(process) if digits.bytes().all(|byte| byte.is_ascii_digit()) => (Some(process), rest.trim_start()),
        _ => (None, line),
    }
}

/// Skips times and what stands in brackets before the call.
fn without_times(mut line: &str) -> &str {
    loop {
        line = line.trim_start();
        let rest = if line.starts_with("(+") {
            line.split_once(')')
        } else if line.starts_with('[') {
            line.split_once(']')
        } else {
            let is_time =
                |word: &str| !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b':' | b'.'));
            line.split_once(' ').filter(|(word, _)| is_time(word))
        };
        match rest {
            Some((_, rest)) => line = rest,
            None => return line,
        }
    }
}

/// Whether the kernel says that the call comes again.
fn is_restarted(tail: &str) -> bool {
    tail.rsplit_once(" = ").is_some_and(|(_, result)| result.trim_start().starts_with("? ERESTART"))
}

/// Where a table has its counts. Columns before it are never empty, if that of the errors is not among them.
fn column_of_calls(header: &str) -> Option<usize> {
    let header = header.replacen("% time", "%time", 1);
    let words: Vec<&str> = header.split_whitespace().collect();
    let column = words.iter().position(|word| *word == "calls")?;
    let is_plain = words.last() == Some(&"syscall") && !words.iter().take(column).any(|word| *word == "errors");
    is_plain.then_some(column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn read(text: &str) -> (Recording, LogRead) {
        let mut recording = Recording::new();
        let read = recording.read_strace(text, Arch::X86_64).unwrap();
        (recording, read)
    }

    fn counts(recording: &Recording) -> Vec<String> {
        recording
            .calls()
            .map(|call| format!("{} {} {}", call.arch(), call.name().unwrap_or("?"), call.count()))
            .collect()
    }

    #[test]
    fn every_front_reads_alike() {
        for front in [
            "",
            "[pid 42] ",
            "[pid    42] ",
            "42 ",
            "42    ",
            "42<bash> ",
            "[pid 42<a b>] ",
            "12:30:01 ",
            "12:30:01.123456 ",
            "1795513096.845128 ",
            "     0.000123 ",
            "42 12:30:01 ",
            "[pid 42] 1795513096.845128 ",
            "12:30:01.123456 (+     0.000012) ",
            "[00007f5d8c1b2a3b] ",
            "[  41] ",
            "42 1795513096.845128 [  41] [00007f5d8c1b2a3b] ",
        ] {
            for back in ["= 3", "= 3 <0.000010>", "= 3<socket:[123]>", "= -1 EPERM (Operation not permitted)", "= ?"] {
                let (recording, read) = read(&format!("{front}socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) {back}\n"));
                assert_eq!((read.calls, read.not_understood), (1, 0), "{front:?}");
                let call = recording.calls().next().unwrap();
                assert_eq!(call.values().collect::<Vec<_>>(), [(&[1, 0o2_000_001, 0][..], 1)], "{front:?}");
            }
        }
    }

    #[test]
    fn what_is_no_call() {
        let text = "strace: Process 43 attached\n\
            [pid 43] --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---\n\
            [pid 43] +++ exited with 0 +++\n\
            43 +++ killed by SIGKILL (core dumped) +++\n\n\
            \u{20}> /usr/lib/libc.so.6(read+0x10) [0x10]\n\
            strace: Process 43 detached\n \
            getpid() = 1\n\
            this is the program's own text\n\
            frobnicate(1) = 0\n";
        let (recording, read) = read(text);
        assert_eq!(counts(&recording), ["x86_64 getpid 1"]);
        assert_eq!((read.calls, read.not_understood, read.first), (1, 2, Some(9)));
    }

    #[test]
    fn calls_in_two_parts() {
        let (recording, read) = read(
            "[pid 2] ioctl(0, TCGETS <unfinished ...>\n\
            [pid 3] read(0,  <unfinished ...>\n\
            [pid 2] <... ioctl resumed>, {c_iflag=ICRNL}) = 0\n\
            [pid 3] <... read resumed>\"x = ? ERESTARTSYS\", 1) = 1 <0.1>\n\
            [pid 4] <... wait4 resumed>[{WIFEXITED(s)}], 0, NULL) = 5\n\
            [pid 5] exit_group(0 <unfinished ...>\n",
        );
        assert_eq!(counts(&recording), ["x86_64 read 1", "x86_64 ioctl 1", "x86_64 wait4 1", "x86_64 exit_group 1"]);
        assert_eq!(read.not_understood, 0);
        let ioctl = recording.calls().find(|call| call.name() == Some("ioctl")).unwrap();
        assert_eq!(ioctl.values().collect::<Vec<_>>(), [(&[0x5401][..], 1)]);
    }

    #[test]
    fn a_call_that_is_restarted_counts_once() {
        let (recording, read) = read(
            "read(0, 0x7ffe, 1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)\n\
            --- SIGALRM {si_signo=SIGALRM} ---\n\
            rt_sigreturn({mask=[]}) = 0\n\
            read(0, \"x\", 1) = 1\n\
            [pid 2] nanosleep({tv_sec=1},  <unfinished ...>\n\
            [pid 2] <... nanosleep resumed>{tv_sec=0}) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)\n\
            [pid 2] restart_syscall(<... resuming interrupted nanosleep ...>) = 0\n",
        );
        assert_eq!(
            counts(&recording),
            ["x86_64 read 1", "x86_64 rt_sigreturn 1", "x86_64 nanosleep 0", "x86_64 restart_syscall 1"]
        );
        assert_eq!((read.calls, recording.interrupted()), (3, 2));
    }

    #[test]
    fn other_abis() {
        let (recording, _) = read(
            "execve(\"./a32\", [\"./a32\"], 0x7ffe /* 20 vars */) = 0\n\
            strace: [ Process PID=7 runs in 32 bit mode. ]\n\
            brk(NULL) = 0x5655\n\
            old_mmap(0xff) = 0\n\
            strace: Process 8 attached\n\
            [pid 8] read(0, \"\", 1) = 0\n\
            [pid 7] read(0, \"\", 1) = 0\n\
            [pid 8] socketcall(1, 0xff) = 0\n\
            [pid 8] syscall_0x1ff(0x1, 0x2) = -1 ENOSYS (Function not implemented)\n",
        );
        assert_eq!(
            counts(&recording),
            [
                "x86_64 read 1",
                "x86_64 execve 1",
                "x86_64 ? 1",
                "x86 read 1",
                "x86 brk 1",
                "x86 mmap 1",
                "x86 socketcall 1"
            ]
        );
    }

    #[test]
    fn tables() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n \
            41.25    0.000099           5        18           mmap\n  \
            0.00    0.000000           0         1         1 access\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.000240           3        19         1 total\n\
            System call usage summary for 32 bit mode:\n\
            % time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n  \
            0.00    0.000000           0         2           read\n\
            100.00    0.000240           3        2           total\n\
            getpid() = 1\n";
        let (recording, read) = read(table);
        assert_eq!(counts(&recording), ["x86_64 mmap 18", "x86_64 access 1", "x86_64 getpid 1", "x86 read 2"]);
        assert_eq!((read.calls, read.not_understood), (22, 0));
        assert!(!recording.calls().next().unwrap().has_all_values());
    }

    #[test]
    fn odd_texts_are_survived() {
        for text in
            ["", "(", "()", "[pid", "[pid ]", "<... ", "<... x resumed>", "read(\"", "read(\"\\", "read((((", "% time"]
        {
            let _ = Recording::new().read_strace(text, Arch::X86_64);
        }
        assert!(Recording::new().read_strace("hello\n", Arch::X86_64).is_err());
    }

    const PIECES: [&str; 38] = [
        "[pid ",
        "7",
        "]",
        " ",
        "read",
        "(",
        ")",
        "\"",
        "\\",
        "<unfinished ...>",
        "<... ",
        " resumed>",
        " = ",
        "? ERESTARTSYS",
        "% time",
        "calls",
        "syscall",
        "\n",
        "total",
        "[ Process PID=",
        " runs in ",
        "32 bit mode",
        "socket",
        ",",
        "\u{e9}",
        "|",
        "<<",
        "99",
        "0x",
        "flags=",
        "clone",
        "{",
        "}",
        "/*",
        "*/",
        "syscall_0x",
        "-",
        "type=1326",
    ];

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..60)) {
            let text = pieces.concat();
            let mut recording = Recording::new();
            let read = recording.read_strace(&text, Arch::X86_64);
            proptest::prop_assert!(read.is_err() || !recording.is_empty());
            let _ = recording.read_audit(&text);
        }
    }
}
