//! Filters that real runtimes load: read back from their processes, and compared with ours or analysed.
//!
//! Needs root, runc, scmp_sys_resolver (package seccomp), systemd-nspawn, firejail, bwrap and a static busybox; the suite
//! `runtimes` of `.ci/run` installs them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A helper that fails is a test that fails.

mod common;

use callsieve::arch::Arch;
use callsieve::bpf::{Action, Endian, Program, SyscallData};
use callsieve::check::{Change, Judge, Subject, simulate};
use callsieve::kernel::{filters_of, host_target, status_of};
use callsieve::policy::{ArgWidth, Policy};
use callsieve::profile::Format;
use callsieve::{Compiler, Layer, Profile};
use common::{kernel_has_filters, skip};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A directory that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("callsieve-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A root with busybox, which is its own sleep.
    fn root(&self) -> PathBuf {
        let root = self.0.join("root");
        for folder in ["bin", "proc", "dev", "usr", "etc", "tmp"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::copy(found("busybox").unwrap(), root.join("bin/busybox")).unwrap();
        symlink("busybox", root.join("bin/sleep")).unwrap();
        root
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Whether the test can run here; if not, it is skipped.
fn ready(test: &str, programs: &[&str]) -> bool {
    if !kernel_has_filters(test) {
        return false;
    }
    #[allow(unsafe_code)] // A call without arguments.
    let root = unsafe { libc::geteuid() } == 0;
    let missing = programs.iter().find(|program| found(program).is_none());
    match missing {
        _ if !root => skip(test, "reading filters needs root"),
        Some(missing) => skip(test, &format!("{missing} is not installed")),
        None => return true,
    }
    false
}

fn callsieve(words: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_callsieve")).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

// --- runc ---

/// A container of runc that sleeps, until this is dropped.
struct Container {
    name: String,
    pid: u32,
    _bundle: Scratch,
}

impl Container {
    fn start(name: &str, seccomp: &Value) -> Self {
        let bundle = Scratch::new(name);
        bundle.root();
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "user": { "uid": 0, "gid": 0 }, "args": ["/bin/sleep", "300"],
                "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": true
            },
            "root": { "path": "root", "readonly": true },
            "hostname": "callsieve",
            "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
            "linux": {
                "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }],
                "seccomp": seccomp
            }
        });
        fs::write(bundle.0.join("config.json"), config.to_string()).unwrap();
        let name = format!("callsieve-test-{name}-{}", std::process::id());
        let log = fs::File::create(bundle.0.join("log")).unwrap();
        let mut run = Command::new("runc");
        run.args(["run", "--detach", "--bundle"]).arg(&bundle.0).arg(&name);
        // The container keeps these, so pipes would never end.
        run.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let status = run.status().unwrap();
        assert!(status.success(), "runc: {}", fs::read_to_string(bundle.0.join("log")).unwrap());
        let state = Command::new("runc").args(["state", &name]).output().unwrap();
        let state: Value = serde_json::from_slice(&state.stdout).unwrap();
        let pid = u32::try_from(state["pid"].as_u64().unwrap()).unwrap();
        wait_for_command(pid, "sleep");
        Self { name, pid, _bundle: bundle }
    }

    fn filters(&self) -> Vec<Program> {
        filters_of(self.pid).unwrap().into_iter().map(callsieve::kernel::ReadBack::into_program).collect()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("runc").args(["delete", "--force", &self.name]).status();
    }
}

/// Until then it is still the runtime that prepares it.
fn wait_for_command(pid: u32, command: &str) {
    for _ in 0..500 {
        if fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == command) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("process {pid} never became {command}");
}

/// Why runc's answer to a call may be another one than ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// runc answers ENOSYS to numbers above the largest that the profile names.
    EnosysStub,
    /// That libseccomp does not know the name, so it left the rule out.
    UnknownName,
    /// libseccomp compares the arguments of x32 as if they had 32 bits.
    X32Arguments,
    /// `socketcall` and `ipc` of i386, into which libseccomp writes rules for what they multiplex.
    Multiplexed,
    /// libseccomp takes numbers with bit 31 for x32, or runc for new ones.
    Bit31,
    /// Rules of different actions for one call overlap, and libseccomp decides by the order of its tree.
    Overlap,
}

/// What the classes depend on.
struct Classes<'a> {
    seccomp: &'a Value,
    theirs: Subject<'a>,
    ours: &'a Policy,
    default: Action,
    /// The largest number of a named call that libseccomp knows, by ABI.
    last: BTreeMap<Arch, u32>,
    resolver: BTreeMap<(Arch, &'static str), bool>,
}

const ENOSYS: Action = Action::Errno(38);

impl<'a> Classes<'a> {
    fn new(seccomp: &'a Value, theirs: Subject<'a>, ours: &'a Policy) -> Self {
        // A number behind every table, without the bit of x32.
        let far = SyscallData { nr: 0x3fff_ffff, arch: Arch::X86_64.audit(), ..SyscallData::default() };
        let default = ours.decide(&far);
        let mut this = Self { seccomp, theirs, ours, default, last: BTreeMap::new(), resolver: BTreeMap::new() };
        for arch in ours.arches().collect::<Vec<_>>() {
            let mut named: Vec<(u32, &'static str)> =
                arch.syscalls().filter(|(_, name)| !this.rules(name).is_empty()).collect();
            named.sort_unstable();
            let last = named.into_iter().rev().find(|(_, name)| this.knows(arch, name));
            this.last.insert(arch, last.map_or(0, |(nr, _)| nr));
        }
        this
    }

    /// Actions of the rules for a call, and whether they have conditions.
    fn rules(&self, name: &str) -> Vec<(String, bool)> {
        let entries = self.seccomp["syscalls"].as_array().unwrap().iter();
        let named = entries.filter(|entry| entry["names"].as_array().unwrap().iter().any(|one| one == name));
        named
            .map(|entry| {
                let conditions = entry["args"].as_array().is_some_and(|args| !args.is_empty());
                (format!("{} {}", entry["action"], entry["errnoRet"]), conditions)
            })
            .collect()
    }

    /// Whether the libseccomp of this machine knows a call.
    fn knows(&mut self, arch: Arch, name: &'static str) -> bool {
        *self.resolver.entry((arch, name)).or_insert_with(|| {
            let output = Command::new("scmp_sys_resolver").args(["-a", arch.short_name(), name]).output().unwrap();
            let number: i64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
            number >= 0
        })
    }

    fn classify(&mut self, nr: u32, token: u32, change: &Change) -> Option<Class> {
        let [theirs, ours] = change.actions();
        let x32 = token == Arch::X32.audit() && nr & Arch::X32_BIT != 0 && nr != u32::MAX;
        let mut arches = self.ours.arches().filter(|arch| arch.audit() == token);
        let arch = arches.find(|arch| (*arch == Arch::X32) == x32)?;
        let name = arch.name(nr);
        let last = self.last.get(&arch).copied()?;
        if nr >> 31 != 0 && token == Arch::X86_64.audit() {
            return Some(Class::Bit31);
        }
        if let Some(name) = name
            && !self.rules(name).is_empty()
            && !self.knows(arch, name)
        {
            let unnamed = theirs == self.default || (theirs == ENOSYS && nr > last);
            return unnamed.then_some(Class::UnknownName);
        }
        if theirs == ENOSYS && ours == self.default && nr > last {
            return Some(Class::EnosysStub);
        }
        let name = name?;
        if arch == Arch::X86 && ["socketcall", "ipc"].contains(&name) {
            return Some(Class::Multiplexed);
        }
        let rules = self.rules(name);
        let actions: BTreeSet<&String> = rules.iter().map(|(action, _)| action).collect();
        if actions.len() > 1 && rules.iter().any(|(_, conditions)| *conditions) {
            return Some(Class::Overlap);
        }
        if arch == Arch::X32 {
            // They answer to the whole registers what we answer to their low halves.
            let call = change.example(token, nr);
            let cut = SyscallData { args: call.args.map(|arg| arg & 0xffff_ffff), ..call };
            let same = self.theirs.answer(&call) == self.ours.decide(&cut) && call != cut;
            return same.then_some(Class::X32Arguments);
        }
        None
    }
}

/// A range cut where numbers begin to be those of x32, to have bit 31, and at -1.
fn parts(range: &RangeInclusive<u64>) -> Vec<(u32, u32)> {
    let bounds = [0, 1 << 30, 1 << 31, 3 << 30, u64::from(u32::MAX), 1 << 32];
    let part = |pair: &[u64]| (*range.start().max(&pair[0]), *range.end().min(&(pair[1] - 1)));
    let parts = bounds.windows(2).map(part).filter(|(first, last)| first <= last);
    parts.map(|(first, last)| (u32::try_from(first).unwrap(), u32::try_from(last).unwrap())).collect()
}

/// Compares what runc loads for a profile with ours, and gives each difference its class.
fn compare(name: &str, seccomp: &Value) -> BTreeMap<Class, usize> {
    let container = Container::start(name, seccomp);
    let filters = container.filters();
    let profile = Profile::from_json(&seccomp.to_string(), Format::Oci).unwrap();
    let policy = profile.resolve(&host_target().unwrap()).unwrap();
    let theirs = Subject::stack(&filters, Endian::NATIVE);
    let diff = Judge::new().diff(&theirs, &Subject::policy(&policy)).unwrap();
    let mut classes = Classes::new(seccomp, theirs, &policy);
    let mut counts = BTreeMap::new();
    for group in diff.groups() {
        let tokens = group.calls().tokens().intervals(64).expect("few tokens");
        let numbers = group.calls().numbers().intervals(100_000).expect("ranges of numbers");
        for token in tokens.iter().cloned().flatten() {
            for (first, last) in numbers.iter().flat_map(parts) {
                // Large ranges have no names, and the classes that they can have begin at a bound.
                let samples: Vec<u32> = if last - first < 4096 { (first..=last).collect() } else { vec![first, last] };
                for change in group.changes() {
                    let found: BTreeSet<_> =
                        samples.iter().map(|&nr| classes.classify(nr, u32::try_from(token).unwrap(), change)).collect();
                    for class in &found {
                        let class = class.unwrap_or_else(|| {
                            panic!("{name}: no class for {token:#x} {first:#x}..={last:#x} {change:?}")
                        });
                        *counts.entry(class).or_default() += 1;
                    }
                    assert!(
                        last - first < 4096 || found.len() == 1,
                        "{name}: {first:#x}..={last:#x} has several classes"
                    );
                }
            }
        }
    }
    println!(
        "{name}: runc's filter has {} instructions, ours {}; differing regions by class: {counts:?}",
        filters.iter().map(Program::len).sum::<usize>(),
        Compiler::new().compile(&policy).unwrap().program().len(),
    );
    counts
}

const RUNC: [&str; 3] = ["runc", "scmp_sys_resolver", "busybox"];
const ARCHES: [&str; 3] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];

/// `container-default` as an OCI runtime gets it: without the keys of the Docker dialect.
fn container_default() -> Value {
    let text = Profile::container_default().unwrap().to_json().unwrap();
    let docker: Value = serde_json::from_str(&text).unwrap();
    let capabilities = callsieve::policy::Capabilities::docker();
    let names = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap_or_default() };
    let kept = docker["syscalls"].as_array().unwrap().iter().filter(|entry| {
        let (includes, excludes) = (&entry["includes"], &entry["excludes"]);
        let amd64 = |arches: &Value| names(arches).iter().any(|arch| arch == "amd64");
        names(&includes["caps"]).iter().all(|cap| capabilities.contains(cap))
            && !names(&excludes["caps"]).iter().any(|cap| capabilities.contains(cap))
            && (names(&includes["arches"]).is_empty() || amd64(&includes["arches"]))
            && !amd64(&excludes["arches"])
    });
    let syscalls: Vec<Value> = kept
        .map(|entry| {
            let mut entry = entry.clone();
            let object = entry.as_object_mut().unwrap();
            object.retain(|key, _| ["names", "action", "errnoRet", "args"].contains(&key.as_str()));
            entry
        })
        .collect();
    json!({
        "defaultAction": docker["defaultAction"],
        "defaultErrnoRet": docker["defaultErrnoRet"],
        "architectures": ARCHES,
        "syscalls": syscalls,
    })
}

#[cfg(target_arch = "x86_64")]
#[test]
fn runc_and_we_agree_where_nothing_is_special() {
    if !ready("runc_and_we_agree_where_nothing_is_special", &RUNC) {
        return;
    }
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ARCHES,
        "syscalls": [
            { "names": ["mount", "umount2", "ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 },
            { "names": ["add_key", "keyctl", "request_key"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 },
            { "names": ["kexec_load"], "action": "SCMP_ACT_KILL_PROCESS" },
            { "names": ["reboot"], "action": "SCMP_ACT_TRAP" },
            { "names": ["swapon"], "action": "SCMP_ACT_LOG" }
        ]
    });
    assert_eq!(compare("plain", &profile), BTreeMap::new());
}

#[cfg(target_arch = "x86_64")]
#[test]
fn runc_and_we_differ_on_the_default_only_as_known() {
    if !ready("runc_and_we_differ_on_the_default_only_as_known", &RUNC) {
        return;
    }
    let profile = container_default();
    // What is taken out here means the same as the embedded profile, if that compares whole registers as runc does.
    let target = host_target().unwrap().arg_width(ArgWidth::Written);
    let oci = Profile::from_json(&profile.to_string(), Format::Oci).unwrap().resolve(&target).unwrap();
    let docker = Profile::container_default().unwrap().resolve(&target).unwrap();
    let witness = Judge::new().witness(&Subject::policy(&oci), &Subject::policy(&docker)).unwrap();
    assert!(witness.is_none(), "{witness:?}");
    let classes = compare("default", &profile);
    assert!(classes.contains_key(&Class::EnosysStub) && classes.contains_key(&Class::Bit31), "{classes:?}");
}

/// A profile that has every case: the classes are not there for nothing.
#[cfg(target_arch = "x86_64")]
#[test]
fn runc_and_we_differ_in_every_known_way() {
    if !ready("runc_and_we_differ_in_every_known_way", &RUNC) {
        return;
    }
    let mut profile = container_default();
    let more = json!([
        { "names": ["listns", "file_getattr"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["quotactl"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 5, "op": "SCMP_CMP_EQ" }] },
        { "names": ["quotactl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7, "args": [{ "index": 1, "value": 7, "op": "SCMP_CMP_EQ" }] },
        { "names": ["syslog"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 3, "op": "SCMP_CMP_EQ" }] }
    ]);
    profile["syscalls"].as_array_mut().unwrap().extend(more.as_array().unwrap().iter().cloned());
    let classes = compare("special", &profile);
    for class in [Class::EnosysStub, Class::UnknownName, Class::X32Arguments, Class::Bit31, Class::Overlap] {
        assert!(classes.contains_key(&class), "{class:?} did not occur: {classes:?}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn runc_and_we_agree_on_denials_of_multiplexed_calls() {
    if !ready("runc_and_we_agree_on_denials_of_multiplexed_calls", &RUNC) {
        return;
    }
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [{
            "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97,
            "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_EQ" }]
        }]
    });
    let classes = compare("multiplexed", &profile);
    assert!(!classes.contains_key(&Class::Multiplexed), "{classes:?}");
}

/// What a container that sleeps needs, and runc before it.
const BASE: [&str; 79] = [
    "read",
    "write",
    "close",
    "nanosleep",
    "clock_nanosleep",
    "exit",
    "exit_group",
    "execve",
    "brk",
    "mmap",
    "munmap",
    "mprotect",
    "openat",
    "newfstatat",
    "fstat",
    "arch_prctl",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "prlimit64",
    "getrandom",
    "rt_sigaction",
    "rt_sigprocmask",
    "futex",
    "getuid",
    "getgid",
    "setuid",
    "setgid",
    "setgroups",
    "capset",
    "capget",
    "prctl",
    "fcntl",
    "getdents64",
    "lseek",
    "chdir",
    "readlinkat",
    "getppid",
    "getpid",
    "tgkill",
    "rt_sigreturn",
    "restart_syscall",
    "epoll_ctl",
    "epoll_pwait",
    "pread64",
    "ioctl",
    "statfs",
    "fstatfs",
    "dup3",
    "seccomp",
    "fchdir",
    "sched_yield",
    "madvise",
    "uname",
    "time",
    "getrusage",
    "wait4",
    "close_range",
    "openat2",
    "statx",
    "faccessat2",
    "access",
    "stat",
    "lstat",
    "open",
    "poll",
    "pipe2",
    "getcwd",
    "sigaltstack",
    "clone",
    "clone3",
    "vfork",
    "gettid",
    "kill",
    "umask",
    "setsid",
    "readlink",
    "rt_sigtimedwait",
    "eventfd2",
];

/// Ten profiles of all kinds, whose rules do not overlap.
#[allow(clippy::too_many_lines)] // Data.
fn ten_profiles() -> Vec<(&'static str, Value)> {
    let deny = |entry: Value| json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ARCHES, "syscalls": entry });
    let allow = |default: &str, errno: Value, more: Value| {
        let mut entries = vec![json!({ "names": &BASE[..], "action": "SCMP_ACT_ALLOW" })];
        entries.extend(more.as_array().unwrap().iter().cloned());
        let mut profile = json!({ "defaultAction": default, "architectures": ARCHES, "syscalls": entries });
        if !errno.is_null() {
            profile["defaultErrnoRet"] = errno;
        }
        profile
    };
    let on = |name: &str, args: Value| json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": args });
    let arg =
        |index: u8, op: &str, value: u64| json!({ "index": index, "op": format!("SCMP_CMP_{op}"), "value": value });
    let mask = |index: u8, mask: u64, value: u64| json!({ "index": index, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": value });
    let refuse = |names: &[&str], errno: u32, args: Value| json!({ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": args });
    vec![
        (
            "deny-list",
            deny(json!([refuse(&["mount", "swapon", "reboot"], 1, json!([])), refuse(&["bpf"], 38, json!([]))])),
        ),
        ("deny-values", deny(json!([refuse(&["socket"], 97, json!([arg(0, "GE", 38)]))]))),
        ("deny-masks", deny(json!([refuse(&["unshare"], 1, json!([mask(0, 0x1000_0000, 0x1000_0000)]))]))),
        ("allow-list", allow("SCMP_ACT_ERRNO", json!(1), json!([]))),
        ("enosys", allow("SCMP_ACT_ERRNO", json!(38), json!([]))),
        ("kill", allow("SCMP_ACT_KILL_PROCESS", json!(null), json!([]))),
        ("trap", allow("SCMP_ACT_TRAP", json!(null), json!([on("socket", json!([arg(0, "EQ", 1)]))]))),
        (
            "orders",
            allow(
                "SCMP_ACT_ERRNO",
                json!(1),
                json!([
                    on("socket", json!([arg(0, "LT", 17), arg(1, "NE", 3)])),
                    on("personality", json!([arg(0, "LE", 8)])),
                    on("setpriority", json!([arg(0, "EQ", 0), arg(2, "GT", 5)])),
                ]),
            ),
        ),
        (
            "masks",
            allow(
                "SCMP_ACT_ERRNO",
                json!(13),
                json!([
                    on("unshare", json!([mask(0, 0x7e02_0000, 0)])),
                    on("flock", json!([mask(1, 3, 1), arg(0, "GE", 3)])),
                ]),
            ),
        ),
        (
            "alternatives",
            allow(
                "SCMP_ACT_ERRNO",
                json!(1),
                json!([
                    on("personality", json!([arg(0, "EQ", 0)])),
                    on("personality", json!([arg(0, "EQ", 8)])),
                    on("personality", json!([arg(0, "EQ", 0xffff_ffff)])),
                ]),
            ),
        ),
    ]
}

#[cfg(target_arch = "x86_64")]
#[test]
fn runc_and_we_agree_on_ten_profiles() {
    if !ready("runc_and_we_agree_on_ten_profiles", &RUNC) {
        return;
    }
    for (name, profile) in ten_profiles() {
        let classes = compare(name, &profile);
        assert!(!classes.contains_key(&Class::Overlap), "{name}: {classes:?}");
    }
}

/// The same by the command: a process against the profile that it should have.
#[test]
fn diff_compares_a_container_with_a_profile() {
    if !ready("diff_compares_a_container_with_a_profile", &RUNC) {
        return;
    }
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ARCHES,
        "syscalls": [{ "names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }]
    });
    let container = Container::start("diff", &profile);
    let scratch = Scratch::new("diff-profile");
    let file = scratch.0.join("profile.json");
    fs::write(&file, profile.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let word = format!("container:{}", container.name);
    for words in [&["diff", "--pid", &container.pid.to_string(), file][..], &["diff", &word, file]] {
        let output = Command::new(env!("CARGO_BIN_EXE_callsieve")).args(words).output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn show_finds_the_process_of_a_container() {
    if !ready("show_finds_the_process_of_a_container", &RUNC) {
        return;
    }
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }]
    });
    let container = Container::start("show", &profile);
    let shown = callsieve(&["show", "--container", &container.name, "--json"]);
    assert_eq!(shown["pid"], container.pid);
    let native = Arch::NATIVE.unwrap().to_string();
    assert_eq!(shown["together"][&native]["actions"]["ERRNO(1)"], json!(["mount"]));
}

// --- other sandboxes ---

/// A sandbox that runs sleep, until this is dropped.
struct Sandbox {
    child: Child,
    pid: u32,
    _scratch: Scratch,
}

impl Sandbox {
    fn start(mut command: Command, scratch: Scratch) -> Self {
        let log = fs::File::create(scratch.0.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        for _ in 0..1000 {
            if let Some(pid) = sleeping_descendant(child.id()) {
                return Self { child, pid, _scratch: scratch };
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{command:?}: {status}: {}", fs::read_to_string(scratch.0.join("log")).unwrap());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        panic!("{command:?} started nothing: {}", fs::read_to_string(scratch.0.join("log")).unwrap());
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        #[allow(unsafe_code)] // A signal to a process of this test.
        unsafe {
            libc::kill(self.pid.cast_signed(), libc::SIGKILL);
        }
        for _ in 0..300 {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process below another one that has become sleep and has filters.
fn sleeping_descendant(ancestor: u32) -> Option<u32> {
    let processes: Vec<(u32, u32, String)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (name, fields) =
                (stat.split_once('(')?.1.rsplit_once(')')?.0.to_owned(), stat.rsplit(')').next()?.to_owned());
            Some((pid, fields.split_whitespace().nth(1)?.parse().ok()?, name))
        })
        .collect();
    let mut family = BTreeSet::from([ancestor]);
    for _ in 0..8 {
        family.extend(
            processes
                .iter()
                .filter(|(_, parent, _)| family.contains(parent))
                .map(|(pid, _, _)| *pid)
                .collect::<Vec<_>>(),
        );
    }
    let sleeping = processes.iter().filter(|(pid, _, name)| family.contains(pid) && name == "sleep");
    let mut sleeping = sleeping.map(|(pid, _, _)| *pid);
    sleeping.find(|&pid| status_of(pid).is_ok_and(|status| status.filters() > Some(0)))
}

/// Mean and worst steps over the calls of an ABI, arguments 0.
#[allow(clippy::cast_precision_loss)] // Some hundred steps.
fn steps(programs: &[Program], arch: Arch) -> (f64, usize) {
    let run = |nr| {
        let call = SyscallData { nr, arch: arch.audit(), ..SyscallData::default() };
        programs.iter().map(|program| simulate(program, &call, Endian::NATIVE).path.len()).sum::<usize>()
    };
    let all: Vec<usize> = arch.syscalls().map(|(nr, _)| run(nr)).collect();
    (all.iter().sum::<usize>() as f64 / all.len() as f64, all.into_iter().max().unwrap())
}

/// What `show --pid` tells about a process: all filters, decoded and summarised, and the summary is what they do.
fn analyse(name: &str, pid: u32, expected: Option<usize>) {
    let shown = callsieve(&["show", "--pid", &pid.to_string(), "--json"]);
    let programs: Vec<Program> =
        filters_of(pid).unwrap().into_iter().map(callsieve::kernel::ReadBack::into_program).collect();
    let filters = shown["filters"].as_array().unwrap();
    assert_eq!(Some(u32::try_from(filters.len()).unwrap()), status_of(pid).unwrap().filters());
    assert!(!filters.is_empty() && expected.is_none_or(|expected| expected == filters.len()), "{}", filters.len());
    for (index, (filter, program)) in filters.iter().zip(&programs).enumerate() {
        assert_eq!(filter["listing"].as_array().unwrap().len(), program.len());
        summary_holds(&filter["arches"], std::slice::from_ref(program));
        let number = index.to_string();
        let picture = Command::new(env!("CARGO_BIN_EXE_callsieve"))
            .args(["show", "--pid", &pid.to_string(), "--filter", &number, "--format", "plain-svg"])
            .output()
            .unwrap();
        assert!(picture.status.success() && picture.stdout.starts_with(b"<svg"), "{picture:?}");
    }
    summary_holds(&shown["together"], &programs);
    let native = Arch::NATIVE.unwrap();
    for (index, program) in programs.iter().enumerate() {
        let (mean, worst) = steps(std::slice::from_ref(program), native);
        println!(
            "{name}, filter {index}: {} instructions, {mean:.1} steps on average, {worst} at worst",
            program.len()
        );
    }
    let (mean, worst) = steps(&programs, native);
    let length: usize = programs.iter().map(Program::len).sum();
    println!("{name}, all: {length} instructions, {mean:.1} steps on average, {worst} at worst");
    replace(name, &programs, native);
}

/// Recompiles each filter, and fuses all of them; what comes out is equal, whatever the compiler says of itself.
fn replace(name: &str, programs: &[Program], arch: Arch) {
    let equal = |old: &[Program], new: &Program| {
        let (old, new) = (Subject::stack(old, Endian::NATIVE), Subject::program(new, Endian::NATIVE));
        assert_eq!(Judge::new().witness(&old, &new).unwrap().map(|witness| witness.call), None, "{name}");
    };
    let arches: Vec<Arch> = std::iter::once(arch).chain(arch.compat().iter().copied()).collect();
    for (index, program) in programs.iter().enumerate() {
        let better = Compiler::new().recompile(program, &arches).unwrap();
        let new = better.filter().program();
        equal(std::slice::from_ref(program), new);
        assert!(new.len() < program.len() || (better.is_original() && new == program), "{name}, filter {index}");
        let (mean, worst) = steps(std::slice::from_ref(new), arch);
        println!("{name}, filter {index} recompiled: {} instructions, {mean:.1} steps, {worst} at worst", new.len());
    }
    let layers: Vec<Layer<'_>> = programs.iter().map(Layer::new).collect();
    let fused = Compiler::new().fuse(&layers, &arches).unwrap();
    let new = fused.filter().program();
    equal(programs, new);
    let (mean, worst) = steps(std::slice::from_ref(new), arch);
    println!("{name}, fused: {} instructions, {mean:.1} steps, {worst} at worst", new.len());
}

/// Whether a summary names an action for every call of each ABI, and the programs answer so.
fn summary_holds(summary: &Value, programs: &[Program]) {
    let summary = summary.as_object().unwrap();
    assert!(!summary.is_empty() && !summary.contains_key("error"), "{summary:?}");
    let stack = Subject::stack(programs, Endian::NATIVE);
    for (arch, said) in summary {
        let arch = Arch::from_name(arch).unwrap();
        let mut seen = 0;
        for (action, names) in said["actions"].as_object().unwrap() {
            for name in names.as_array().unwrap() {
                let nr = arch.number(name.as_str().unwrap()).unwrap();
                for args in [[0; 6], [u64::MAX; 6], [1, 40, 2, 0x7e02_0000, 5, 6]] {
                    let call = SyscallData { nr, arch: arch.audit(), args, ..SyscallData::default() };
                    assert_eq!(stack.answer(&call).to_string(), *action, "{name} on {arch}");
                }
                seen += 1;
            }
        }
        let conditional = said["depending_on_arguments"].as_array().unwrap().len();
        assert_eq!(seen + conditional, arch.syscalls().count(), "{arch}");
    }
}

#[test]
fn systemd_nspawn() {
    if !ready("systemd_nspawn", &["systemd-nspawn", "busybox"]) {
        return;
    }
    let scratch = Scratch::new("nspawn");
    let mut command = Command::new("systemd-nspawn");
    command.env("SYSTEMD_NSPAWN_CHECK_OS_RELEASE", "0");
    command
        .args(["--register=no", "--keep-unit", "--quiet", "--directory"])
        .arg(scratch.root())
        .args(["/bin/sleep", "300"]);
    let sandbox = Sandbox::start(command, scratch);
    analyse("systemd-nspawn", sandbox.pid, None);
}

#[test]
fn firejail() {
    if !ready("firejail", &["firejail"]) {
        return;
    }
    let mut command = Command::new("firejail");
    command.args(["--quiet", "--noprofile", "--seccomp", "sleep", "300"]);
    let sandbox = Sandbox::start(command, Scratch::new("firejail"));
    analyse("firejail", sandbox.pid, None);
}

#[test]
fn bubblewrap_with_two_of_our_filters() {
    if !ready("bubblewrap_with_two_of_our_filters", &["bwrap"]) {
        return;
    }
    let scratch = Scratch::new("bwrap");
    let target = host_target().unwrap();
    let second = Profile::new(Action::Allow).rule(Action::Errno(1), ["mount", "ptrace"], []);
    let policies = [Profile::container_default().unwrap().resolve(&target).unwrap(), second.resolve(&target).unwrap()];
    let filters = policies.each_ref().map(|policy| Compiler::new().compile(policy).unwrap());
    for (filter, file) in filters.iter().zip(["a", "b"]) {
        fs::write(scratch.0.join(file), filter.to_bytes()).unwrap();
    }
    let mut command = Command::new("sh");
    let script = "exec bwrap --ro-bind / / --add-seccomp-fd 8 --add-seccomp-fd 9 sleep 300 8<a 9<b";
    command.args(["-c", script]).current_dir(&scratch.0);
    let sandbox = Sandbox::start(command, scratch);
    let loaded = filters_of(sandbox.pid).unwrap();
    let programs: Vec<&Program> = loaded.iter().map(callsieve::kernel::ReadBack::program).collect();
    assert_eq!(programs, [filters[0].program(), filters[1].program()]);
    analyse("bwrap", sandbox.pid, Some(2));
}
