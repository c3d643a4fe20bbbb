//! The judge of the running kernel, judged by filters whose meaning is plain.
#![cfg(all(target_os = "linux", feature = "install"))]

mod common;

use callsieve::arch::Arch;
use callsieve::bpf::{Action, Insn, SyscallData, opcode};
use common::judge::{Observed, probe_calls, probe_calls_exactly};

const ACTIONS: [Action; 10] = [
    Action::Allow,
    Action::Errno(0),
    Action::KillThread,
    Action::Errno(4095),
    Action::Trap(7),
    Action::Log,
    Action::KillProcess,
    Action::Notify,
    Action::Trace(5),
    Action::Errno(1),
];

/// A filter that answers each number below 10 with one of the actions and everything else with ERRNO 38.
fn by_number(arch: u32) -> callsieve::bpf::Program {
    let mut insns = vec![
        Insn::stmt(opcode::LD_W_ABS, SyscallData::ARCH),
        Insn::new(opcode::JEQ_K, 1, 0, arch),
        Insn::stmt(opcode::RET_K, Action::Errno(99).to_raw()),
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
    ];
    for (nr, action) in (0..).zip(ACTIONS) {
        insns.push(Insn::new(opcode::JEQ_K, 0, 1, nr));
        insns.push(Insn::stmt(opcode::RET_K, action.to_raw()));
    }
    insns.push(Insn::stmt(opcode::RET_K, Action::Errno(38).to_raw()));
    common::program(&insns)
}

fn call(arch: Arch, nr: u32) -> SyscallData {
    SyscallData { nr, arch: arch.audit(), args: [1, 2, 3, 4, 5, 6], ..SyscallData::default() }
}

fn every_action_shows(arch: Arch, test: &str) {
    let calls: Vec<_> = (0..12).map(|nr| call(arch, nr)).collect();
    let observed = probe_calls(&by_number(arch.audit()), &calls);
    if observed.contains(&Observed::NoSuchAbi) {
        return common::skip(test, "the kernel does not take calls of this ABI");
    }
    let expected = ACTIONS.into_iter().chain([Action::Errno(38); 2]).map(Observed::of);
    assert_eq!(observed, expected.collect::<Vec<_>>());
    if cfg!(target_arch = "x86_64") {
        let observed = probe_calls_exactly(&by_number(arch.audit()), &calls);
        let expected = ACTIONS.into_iter().chain([Action::Errno(38); 2]).map(Observed::exactly);
        assert_eq!(observed, expected.collect::<Vec<_>>());
    }
}

#[test]
fn native_calls() {
    if common::kernel_has_filters("native_calls") {
        every_action_shows(Arch::NATIVE.unwrap(), "native_calls");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn i386_calls_by_int80() {
    every_action_shows(Arch::X86, "i386_calls_by_int80");
    // And the token tells them from native ones.
    let observed = probe_calls(&by_number(Arch::X86_64.audit()), &[call(Arch::X86, 0), call(Arch::X86_64, 0)]);
    assert!(matches!(observed[0], Observed::Errno(99) | Observed::NoSuchAbi));
    assert_eq!(observed[1], Observed::Passed);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn x32_numbers_come_with_the_x86_64_token() {
    let x32 = |nr| call(Arch::X32, nr);
    let program = common::program(&[
        Insn::stmt(opcode::LD_W_ABS, SyscallData::NR),
        Insn::new(opcode::JSET_K, 0, 1, Arch::X32_BIT),
        Insn::stmt(opcode::RET_K, Action::Errno(32).to_raw()),
        Insn::stmt(opcode::RET_K, Action::Errno(64).to_raw()),
    ]);
    let calls =
        [x32(Arch::X32_BIT), x32(Arch::X32_BIT | 1), x32(u32::MAX), x32(0x8000_0000), x32(1), x32(335), x32(336)];
    let expected = [32, 32, 32, 64, 64].map(Observed::Errno).into_iter().chain([Observed::Exempt; 2]);
    assert_eq!(probe_calls(&program, &calls), expected.collect::<Vec<_>>());
}

#[test]
fn arguments_arrive_whole() {
    if !common::kernel_has_filters("arguments_arrive_whole") {
        return;
    }
    let nr = libc::SYS_getppid;
    let native = Arch::NATIVE.unwrap();
    for arg in 0..6_u8 {
        let program = common::only_if(nr, arg, 0x89ab_cdef, Action::Errno(7).to_raw());
        let mut hit = SyscallData { nr: common::number(nr), arch: native.audit(), ..SyscallData::default() };
        hit.args[usize::from(arg)] = 0x89ab_cdef;
        let mut miss = hit;
        miss.args.rotate_left(1);
        assert_eq!(probe_calls(&program, &[hit, miss]), [Observed::Errno(7), Observed::Passed], "argument {arg}");
    }
}

#[test]
fn many_calls() {
    if !common::kernel_has_filters("many_calls") {
        return;
    }
    let native = Arch::NATIVE.unwrap();
    let calls: Vec<_> = (0..3000).map(|nr| call(native, nr)).collect();
    let observed = probe_calls(&by_number(native.audit()), &calls);
    assert_eq!(observed.len(), calls.len());
    let rest = observed[10..].iter().filter(|&&o| o != Observed::Exempt);
    assert!(rest.clone().count() >= 2988);
    for observed in rest {
        assert_eq!(*observed, Observed::Errno(38));
    }
}

/// The helper itself: a check that fails in a child fails the test.
#[test]
#[should_panic(expected = "checks in the child failed")]
fn a_failed_check_is_noticed() {
    common::child_passes(|checks| checks.that(common::calls::getpid() < 0));
}
