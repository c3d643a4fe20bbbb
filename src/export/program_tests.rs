//! Programs as policies.

use super::program::ProgramError;
use crate::arch::Arch;
use crate::bpf::{Action, Program, SyscallData};
use crate::bpf::{Insn, opcode};
use crate::check::{Judge, JudgeError, Subject};
use crate::compile::Compiler;
use crate::fuzzing::orderly_policy;
use crate::policy::{Policy, Target, UnlistedX32};
use crate::profile::{Profile, arg};
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use arbitrary::Unstructured;
use proptest::prelude::*;

const X86_64: u32 = 0xc000_003e;

fn read(insns: Vec<Insn>, target: &Target) -> Result<Policy, ProgramError> {
    Policy::from_program(&Program::new(insns).unwrap(), target)
}

/// The filter of x86_64 that answers what `body` says, and KILL_PROCESS elsewhere.
fn gated(body: &[Insn]) -> Vec<Insn> {
    let gate = [
        Insn::stmt(opcode::LD_W_ABS, SyscallData::ARCH),
        Insn::new(opcode::JEQ_K, 1, 0, X86_64),
        Insn::stmt(opcode::RET_K, Action::KillProcess.to_raw()),
    ];
    gate.iter().chain(body).copied().collect()
}

#[test]
fn what_no_rule_can_say_is_named() {
    let target = Target::exactly(&[Arch::X86_64]);
    let allow = Insn::stmt(opcode::RET_K, Action::Allow.to_raw());
    let errno = Insn::stmt(opcode::RET_K, Action::Errno(1).to_raw());
    let looks = |offset, k| vec![Insn::stmt(opcode::LD_W_ABS, offset), Insn::new(opcode::JEQ_K, 0, 1, k), allow, errno];
    // The low word of the instruction pointer.
    let error = read(gated(&looks(8, 5)), &target.clone().unlisted_x32(UnlistedX32::BadArch)).unwrap_err();
    assert!(matches!(error, ProgramError::InstructionPointer { arch: Arch::X86_64, .. }), "{error}");
    // The upper half of an argument of i386.
    let error = read(looks(20, 5), &Target::exactly(&[Arch::X86]).bad_arch(Action::KillThread)).unwrap_err();
    assert!(matches!(error, ProgramError::TooManyRules { .. } | ProgramError::Unsaid(_)), "{error}");
    // i386 has answers of its own.
    let other = vec![
        Insn::stmt(opcode::LD_W_ABS, SyscallData::ARCH),
        Insn::new(opcode::JEQ_K, 0, 1, Arch::X86.audit()),
        allow,
        Insn::stmt(opcode::RET_K, Action::KillThread.to_raw()),
    ];
    let error = read(other.clone(), &target).unwrap_err();
    assert!(error.to_string().contains("architectures other than x86_64"), "{error}");
    assert!(read(other, &target.clone().bad_arch(Action::KillThread)).is_ok());
    // As have x32 calls.
    let x32 = gated(&looks(SyscallData::NR, 0x4000_0001));
    assert!(matches!(read(x32.clone(), &target), Err(ProgramError::X32 { .. })));
    assert!(read(x32, &Target::exactly(&[Arch::X86_64, Arch::X32])).is_ok());
    assert_eq!(read(vec![allow], &Target::exactly(&[])).unwrap_err(), ProgramError::ByteOrder);
    assert_eq!(read(vec![allow], &Target::exactly(&[Arch::X86_64, Arch::S390x])).unwrap_err(), ProgramError::ByteOrder);
}

#[test]
fn answers_of_the_target_count_where_it_has_some() {
    let target = Target::exactly(&[Arch::X86_64]);
    let profile = Profile::new(Action::Errno(1)).allow("read").allow_if("socket", [arg::<0>().eq(1)]);
    let filter = Compiler::new().compile(&profile.resolve(&target).unwrap()).unwrap();
    let policy = Policy::from_program(filter.program(), &target).unwrap();
    assert_eq!((policy.bad_arch, policy.unlisted_x32), (Action::KillProcess, Action::KillProcess));
    let target = target.bad_arch(Action::KillThread).unlisted_x32(UnlistedX32::Default);
    let policy = Policy::from_program(filter.program(), &target).unwrap();
    assert_eq!((policy.bad_arch, policy.unlisted_x32), (Action::KillThread, Action::Errno(1)));
    let read = SyscallData { arch: X86_64, ..SyscallData::default() };
    assert_eq!(policy.decide(&read), Action::Allow);
    assert_eq!(policy.decide(&SyscallData { nr: 2, ..read }), Action::Errno(1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// The filter of a policy is read as that policy: it is equal for every call, by the judge.
    #[test]
    fn filters_are_read_back(bytes in prop::collection::vec(any::<u8>(), 900)) {
        let Ok(policy) = orderly_policy(&mut Unstructured::new(&bytes)) else { return Ok(()) };
        let Ok(filter) = Compiler::new().compile(&policy) else { return Ok(()) };
        let arches: Vec<Arch> = policy.arches().collect();
        match Policy::from_program(filter.program(), &Target::exactly(&arches)) {
            Ok(again) => {
                let same = Judge::new().witness(&Subject::policy(&policy), &Subject::policy(&again)).unwrap();
                prop_assert_eq!(same, None);
            }
            // Both have bounds, and few random policies are beyond them.
            Err(ProgramError::TooManyRules { .. } | ProgramError::Judge(JudgeError::TooLarge { .. })) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn byte_orders_of_both_kinds() {
    for arches in [&[Arch::S390x, Arch::S390][..], &[Arch::X86_64, Arch::X86, Arch::X32], &[Arch::Mips64]] {
        let target = Target::exactly(arches);
        let policy = Profile::container_default().unwrap().resolve(&target).unwrap();
        let filter = Compiler::new().compile(&policy).unwrap();
        let again = Policy::from_program(filter.program(), &target).unwrap();
        let same = Judge::new().witness(&Subject::policy(&policy), &Subject::policy(&again)).unwrap();
        assert_eq!(same, None);
    }
}
