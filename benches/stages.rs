//! The time of each stage, on the container default and on the benchmark policies.
//!
//!     cargo bench

#![allow(clippy::expect_used, missing_docs)] // A benchmark has nobody to report to; the macros make public items.

mod policies;

use callsieve::arch::{Arch, KernelVersion};
use callsieve::bpf::{Action, Endian, Insn, Program, SyscallData, opcode};
use callsieve::policy::{Policy, Semantics, Target};
use callsieve::profile::{Format, Profile, arg};
use callsieve::{Compiler, Layer, Level, check};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

const ARCHES: [Arch; 3] = [Arch::X86_64, Arch::X86, Arch::X32];

fn target() -> Target {
    Target::exactly(&ARCHES).kernel(KernelVersion::new(6, 12))
}

/// From JSON text to a proven filter for three ABIs, and each stage on the way.
fn container_default(c: &mut Criterion) {
    let profile = Profile::container_default().expect("our own profile");
    let text = profile.to_json().expect("it came from JSON");
    let policy = profile.resolve(&target()).expect("our own profile");
    let filter = Compiler::new().compile(&policy).expect("our own profile");
    let bytes = filter.to_bytes();

    let mut group = c.benchmark_group("container-default");
    group.bench_function("read", |b| b.iter(|| Profile::from_json(black_box(&text), Format::Docker)));
    group.bench_function("resolve", |b| b.iter(|| black_box(&profile).resolve(&target())));
    group.bench_function("compile", |b| b.iter(|| Compiler::new().compile(black_box(&policy))));
    group.bench_function("prove", |b| b.iter(|| check::prove(black_box(filter.program()), &policy)));
    group.bench_function("decode and check", |b| b.iter(|| Program::from_bytes(black_box(&bytes), Endian::Little)));
    group.bench_function("lint", |b| b.iter(|| check::lint(black_box(&profile), &target())));
    group
        .bench_function("disassemble", |b| b.iter(|| check::disassemble(filter.program(), Endian::Little).to_string()));
    group.bench_function("text to filter", |b| {
        b.iter(|| {
            let profile = Profile::from_json(black_box(&text), Format::Docker).ok()?;
            Compiler::new().compile(&profile.resolve(&target()).ok()?).ok()
        });
    });
    let subject = check::Subject::policy(&policy);
    let program = check::Subject::program(filter.program(), Endian::Little);
    group.bench_function("regions", |b| b.iter(|| check::regions(black_box(&subject))));
    group.bench_function("diff", |b| b.iter(|| check::diff(black_box(&subject), &program)));
    let explainer = check::Explainer::new(&profile, &target()).expect("our own profile");
    let token = Arch::X86_64.audit();
    group.bench_function("explain", |b| b.iter(|| black_box(&explainer).explain(token, 41, &[40..=40])));
    group.finish();
}

fn benchmark_policies(c: &mut Criterion) {
    let policies: Vec<(&str, Policy)> = policies::ALL
        .iter()
        .map(|(name, text)| {
            let (profile, target) = policies::load(text).expect("a policy of ours");
            (*name, profile.resolve(&target).expect("a policy of ours"))
        })
        .collect();
    let mut group = c.benchmark_group("lint");
    for (name, text) in &policies::ALL {
        let (profile, target) = policies::load(text).expect("a policy of ours");
        group.bench_function(*name, |b| b.iter(|| check::lint(black_box(&profile), &target)));
    }
    group.finish();
    for level in [Level::Balanced, Level::Fast] {
        let mut group = c.benchmark_group(format!("compile {level:?}"));
        for (name, policy) in &policies {
            group.bench_function(*name, |b| b.iter(|| Compiler::new().level(level).compile(black_box(policy))));
        }
        group.finish();
    }
}

/// What puts profiles and filters together, on profiles as containers have them.
fn together(c: &mut Criterion) {
    let oci = || target().semantics(Semantics::Oci);
    let default = Profile::container_default().expect("our own profile").resolve(&oci()).expect("our own profile");
    let rules = Profile::new(Action::Errno(1))
        .allow(["read", "write", "openat", "bpf", "perf_event_open", "exit_group"])
        .allow_if("clone", [arg::<0>().masked_eq(0x1000_0000, 0x1000_0000)])
        .rule(Action::Errno(38), "clone3", []);
    let other = rules.resolve(&oci()).expect("a policy of ours");
    let both = [default, other];
    let compiler = Compiler::new();
    let filters = both.each_ref().map(|policy| compiler.compile(policy).expect("it compiles").into_program());
    let layers = filters.each_ref().map(Layer::new);
    let chain = chain(&both[0]);

    let mut group = c.benchmark_group("together");
    group.bench_function("union", |b| b.iter(|| Policy::union(black_box(&both))));
    group.bench_function("intersection", |b| b.iter(|| Policy::intersection(black_box(&both))));
    group.bench_function("union to profile", |b| {
        b.iter(|| Policy::union(black_box(&both)).ok()?.to_oci_json().ok());
    });
    group.bench_function("intersection to filter", |b| {
        b.iter(|| compiler.compile(&Policy::intersection(black_box(&both)).ok()?).ok());
    });
    group.bench_function("fuse", |b| b.iter(|| compiler.fuse(black_box(&layers), &ARCHES)));
    group.bench_function("recompile our own", |b| b.iter(|| compiler.recompile(black_box(&filters[0]), &ARCHES)));
    group.bench_function("recompile a chain", |b| b.iter(|| compiler.recompile(black_box(&chain), &ARCHES)));
    group.finish();
}

/// A filter as simple generators write them: one comparison after the other.
fn chain(policy: &Policy) -> Program {
    let (allow, deny) = (Insn::stmt(opcode::RET_K, Action::Allow.to_raw()), Insn::stmt(opcode::RET_K, 0x0005_0001));
    let mut insns = vec![Insn::stmt(opcode::LD_W_ABS, 4), Insn::new(opcode::JEQ_K, 1, 0, Arch::X86_64.audit())];
    insns.extend([deny, Insn::stmt(opcode::LD_W_ABS, 0)]);
    for (nr, _) in Arch::X86_64.syscalls() {
        let call = SyscallData { nr, arch: Arch::X86_64.audit(), ..SyscallData::default() };
        if policy.decide(&call) == Action::Allow {
            insns.extend([Insn::new(opcode::JEQ_K, 0, 1, nr), allow]);
        }
    }
    insns.push(deny);
    Program::new(insns).expect("a chain is a program")
}

criterion_group!(benches, container_default, benchmark_policies, together);
criterion_main!(benches);
