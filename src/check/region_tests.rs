//! Regions and equality against `decide()` and the interpreter.

use super::property_tests::{calls, policies, programs};
use super::{
    Diff, Equality, Judge, JudgeError, ProveError, Prover, Region, Regions, Subject, boundary_calls, naive, regions,
};
use crate::arch::Arch;
use crate::bpf::opcode::*;
use crate::bpf::{Action, Endian, Insn, Program, SyscallData};
use crate::policy::{Condition, Target, Test};
use crate::profile::{Profile, Width, arg};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

/// Checks that a call is in one region only, and that the subject answers it as the region says.
fn check_call(judge: Judge, subject: &Subject<'_>, regions: &Regions, call: &SyscallData) -> Result<(), TestCaseError> {
    let groups: Vec<_> = regions.groups().iter().filter(|group| group.calls().contains(call.arch, call.nr)).collect();
    prop_assert_eq!(groups.len(), 1, "{:x?}", call);
    let found: Vec<&Region> = groups[0].regions().iter().filter(|region| region.contains(call)).collect();
    prop_assert_eq!(found.len(), 1, "{:x?} in {:?}", call, groups[0].regions());
    prop_assert_eq!(found[0].raw(), judge.counted(subject.raw_answer(call)), "{:x?}", call);
    Ok(())
}

/// Checks these calls, and an example of every region.
fn check_all(judge: Judge, subject: &Subject<'_>, calls: &[SyscallData]) -> Result<(), TestCaseError> {
    let regions = match judge.regions(subject) {
        Ok(regions) => regions,
        Err(JudgeError::TooLarge { .. } | JudgeError::TooManyRegions { .. }) => return Ok(()),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    for call in calls {
        check_call(judge, subject, &regions, call)?;
    }
    for group in regions.groups().iter().take(50) {
        let (token, nr) = group.calls().first();
        for region in group.regions().iter().take(20) {
            let example = region.example(token, nr);
            prop_assert!(
                group.calls().contains(token, nr) && region.contains(&example),
                "{:x?} in {:?}",
                example,
                region
            );
            check_call(judge, subject, &regions, &example)?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn policies_are_cut_exactly((policy, program) in policies(), calls in proptest::collection::vec(calls(), 16)) {
        let judge = Judge::new().max_nodes(200_000);
        let all: Vec<_> = boundary_calls(&policy).into_iter().step_by(7).chain(calls).collect();
        check_all(judge, &Subject::policy(&policy), &all)?;
        let program = Subject::program(&program, policy.endian());
        prop_assert_eq!(judge.witness(&Subject::policy(&policy), &program), Ok(None));
        prop_assert_eq!(judge.equality(Equality::Bitwise).witness(&Subject::policy(&policy), &program), Ok(None));
    }

    #[test]
    fn programs_are_cut_exactly(program in programs(), calls in proptest::collection::vec(calls(), 32), big: bool) {
        let endian = if big { Endian::Big } else { Endian::Little };
        let judge = Judge::new().max_nodes(100_000);
        for judge in [judge, judge.equality(Equality::Bitwise)] {
            check_all(judge, &Subject::program(&program, endian), &calls)?;
        }
    }

    #[test]
    fn stacks_are_cut_exactly(stack in proptest::collection::vec(programs(), 0..4), calls in proptest::collection::vec(calls(), 32)) {
        check_all(Judge::new().max_nodes(100_000), &Subject::stack(&stack, Endian::Little), &calls)?;
    }

    /// A witness is found exactly if the prover finds a difference.
    #[test]
    fn equality_is_that_of_prove((policy, program) in policies(), (other, _) in policies()) {
        let proven = match Prover::new().prove(&program, &other) {
            Ok(_) => true,
            Err(ProveError::Differs(_)) => false,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let judge = Judge::new().equality(Equality::Bitwise);
        let witness = judge.witness(&Subject::program(&program, policy.endian()), &Subject::policy(&other));
        prop_assert_eq!(witness.map(|witness| witness.is_none()), Ok(proven));
    }
}

fn program(insns: &[Insn]) -> Program {
    Program::new(insns.to_vec()).unwrap()
}

/// The regions of one call in words.
fn words(regions: &[Region]) -> Vec<String> {
    regions.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn says(arch: Arch, conditions: &[Condition], expected: &[&str]) {
    let policy = naive::policy(arch, &[(7, vec![naive::rule(conditions)])]);
    let regions = Judge::new().call_regions(&Subject::policy(&policy), arch.audit(), 7).unwrap();
    assert_eq!(words(&regions), expected);
}

fn wide(arg: u8, test: Test) -> Condition {
    Condition { arg, width: Width::Bits64, test }
}

#[test]
fn conditions_come_back_as_written() {
    let arch = Arch::X86_64;
    says(arch, &[wide(0, Test::Eq(5))], &["ERRNO(1) EPERM if arg0 != 5", "ALLOW if arg0 == 5"]);
    says(arch, &[wide(3, Test::Lt(5))], &["ALLOW if arg3 <= 4", "ERRNO(1) EPERM if arg3 >= 5"]);
    says(
        arch,
        &[wide(1, Test::MaskedEq { mask: 0x7e02_0000, value: 0 })],
        &["ALLOW if arg1 & 0x7e020000 == 0", "ERRNO(1) EPERM if arg1 & 0x7e020000 != 0"],
    );
    says(
        arch,
        &[Condition { width: Width::Bits32, ..wide(2, Test::Ne(9)) }],
        &["ALLOW if arg2 as u32 != 9", "ERRNO(1) EPERM if arg2 as u32 == 9"],
    );
    says(
        arch,
        &[wide(0, Test::Ge(34)), wide(0, Test::Le(64))],
        &["ERRNO(1) EPERM if arg0 not in 34..=64", "ALLOW if arg0 in 34..=64"],
    );
    says(
        arch,
        &[wide(0, Test::Eq(1)), wide(1, Test::Gt(0x1_0000_0000))],
        &[
            "ERRNO(1) EPERM if arg0 != 1",
            "ERRNO(1) EPERM if arg0 == 1 and arg1 <= 0x100000000",
            "ALLOW if arg0 == 1 and arg1 >= 0x100000001",
        ],
    );
    // A mask and an interval at once.
    says(
        arch,
        &[
            wide(0, Test::MaskedEq { mask: 0xf000_0000_0000_0000, value: 0 }),
            wide(0, Test::MaskedEq { mask: 1, value: 1 }),
        ],
        &["ERRNO(1) EPERM if arg0 & 0xf000000000000001 != 1", "ALLOW if arg0 & 0xf000000000000001 == 1"],
    );
}

#[test]
fn values_of_real_rules_read_well() {
    let target = Target::exactly(&[Arch::X86_64]);
    let values = [0, 8, 0x20000, 0x20008, 0xffff_ffff];
    let profile = values
        .into_iter()
        .fold(Profile::new(Action::Errno(1)), |profile, value| profile.allow_if("personality", [arg::<0>().eq(value)]));
    let policy = profile.resolve(&target).unwrap();
    let regions = regions(&Subject::policy(&policy)).unwrap();
    let personality = regions.of(Arch::X86_64.audit(), 135);
    assert_eq!(words(personality)[0], "ALLOW if arg0 as u32 in {0, 8, 0x20000, 0x20008, 0xffffffff}");
    assert_eq!(words(personality)[1], "ERRNO(1) EPERM if arg0 as u32 not in {0, 8, 0x20000, 0x20008, 0xffffffff}");
}

#[test]
fn groups_are_few_and_cover_everything() {
    let policy = Profile::container_default().unwrap().resolve(&Target::exactly(&[Arch::X86_64, Arch::X86, Arch::X32]));
    let policy = policy.unwrap();
    let regions = regions(&Subject::policy(&policy)).unwrap();
    assert!(regions.groups().len() < 60, "{}", regions.groups().len());
    for call in boundary_calls(&policy) {
        check_call(Judge::new(), &Subject::policy(&policy), &regions, &call).unwrap();
    }
    // Numbers are intervals, so that whoever asks for names need not try each.
    assert!(regions.groups().iter().all(|group| group.calls().numbers().intervals(2000).is_some()));
}

#[test]
fn equality_is_the_kernels() {
    let returns = |raw| program(&[Insn::stmt(RET_K, raw)]);
    let same = |judge: Judge, one: u32, other: u32| {
        let (one, other) = (returns(one), returns(other));
        let witness = judge.witness(&Subject::program(&one, Endian::Little), &Subject::program(&other, Endian::Little));
        witness.unwrap().is_none()
    };
    for (one, other) in [(0x0005_ffff, 0x0005_0fff), (0x7fff_0000, 0x7fff_0007), (0x1234_0000, 0x8000_0000)] {
        assert!(same(Judge::new(), one, other), "{one:#x} {other:#x}");
        assert!(!same(Judge::new().equality(Equality::Bitwise), one, other), "{one:#x} {other:#x}");
    }
    for (one, other) in [(0x0003_0001, 0x0003_0002), (0x7ff0_0001, 0x7ff0_0002), (0x8000_0000, 0)] {
        assert!(!same(Judge::new(), one, other), "{one:#x} {other:#x}");
    }
    // An unknown action kills, but a stack lets what is below it win.
    let [unknown, trap, kill] = [0x0004_0000, 0x0003_0000, 0x8000_0000].map(returns);
    let judge = Judge::new();
    let (stack, killing) = ([unknown, trap.clone()], [kill, trap.clone()]);
    let [stack, killing] = [&stack, &killing].map(|programs| Subject::stack(programs, Endian::Little));
    assert_eq!(judge.witness(&stack, &Subject::program(&trap, Endian::Little)), Ok(None));
    let witness = judge.witness(&stack, &killing).unwrap().unwrap();
    assert_eq!(witness.actions(), [Action::Trap(0), Action::KillProcess]);
}

#[test]
fn budgets_give_errors() {
    // The product of two arguments has no small diagram.
    let product = program(&[
        Insn::stmt(LD_W_ABS, 16),
        Insn::stmt(TAX, 0),
        Insn::stmt(LD_W_ABS, 24),
        Insn::stmt(MUL_X, 0),
        Insn::new(JEQ_K, 0, 1, 0x1234_5679),
        Insn::stmt(RET_K, 0x7fff_0000),
        Insn::stmt(RET_K, 0),
    ]);
    let subject = Subject::program(&product, Endian::Little);
    let judge = Judge::new().max_nodes(20_000);
    let too_large = JudgeError::TooLarge { max_nodes: 20_000 };
    assert_eq!(judge.regions(&subject).unwrap_err(), too_large);
    assert_eq!(judge.witness(&subject, &subject).unwrap_err(), too_large);
    // Equal arguments have a small diagram behind one bit after the other, but as many regions as numbers.
    let equal = program(&[
        Insn::stmt(LD_W_ABS, 16),
        Insn::stmt(AND_K, 0xffff),
        Insn::stmt(TAX, 0),
        Insn::stmt(LD_W_ABS, 24),
        Insn::stmt(AND_K, 0xffff),
        Insn::new(JEQ_X, 0, 1, 0),
        Insn::stmt(RET_K, 0x7fff_0000),
        Insn::stmt(RET_K, 0),
    ]);
    let subject = Subject::program(&equal, Endian::Little);
    assert!(Judge::new().witness(&subject, &subject).unwrap().is_none());
    let error = Judge::new().regions(&subject).unwrap_err();
    assert_eq!(error, JudgeError::TooManyRegions { max_regions: Judge::DEFAULT_MAX_REGIONS });
    // Every second number, and every second token.
    let odd = program(&[
        Insn::stmt(LD_W_ABS, 0),
        Insn::stmt(TAX, 0),
        Insn::stmt(LD_W_ABS, 4),
        Insn::stmt(AND_X, 0),
        Insn::new(JSET_K, 0, 1, 1),
        Insn::stmt(RET_K, 0x7fff_0000),
        Insn::stmt(RET_K, 0),
    ]);
    let regions = regions(&Subject::program(&odd, Endian::Little)).unwrap();
    assert_eq!(regions.groups().len(), 3);
    assert_eq!(words(regions.of(3, 7)), ["ALLOW"]);
    assert_eq!(words(regions.of(3, 8)), ["KILL_THREAD"]);
}

#[test]
fn the_instruction_pointer_is_a_word_like_others() {
    let program = program(&[
        Insn::stmt(LD_W_ABS, 12),
        Insn::new(JGE_K, 0, 1, 0x7fff),
        Insn::stmt(RET_K, 0x7fff_0000),
        Insn::stmt(RET_K, 0),
    ]);
    let regions = regions(&Subject::program(&program, Endian::Little)).unwrap();
    assert_eq!(words(regions.of(0, 0)), ["KILL_THREAD if ip <= 0x7ffeffffffff", "ALLOW if ip >= 0x7fff00000000"]);
}

/// Whether the differences say of a call what both subjects do.
fn check_diff(judge: Judge, diff: &Diff, sides: [&Subject<'_>; 2], call: &SyscallData) -> Result<(), TestCaseError> {
    let groups = diff.groups().iter().filter(|group| group.calls().contains(call.arch, call.nr));
    let changes = groups.flat_map(super::ChangedCalls::changes).filter(|change| {
        let mut conditions = change.conditions().iter();
        conditions.all(|condition| condition.holds(call))
    });
    let found: Vec<_> = changes.map(super::Change::raw).collect();
    let raw = sides.map(|side| judge.counted(side.raw_answer(call)));
    let expected = if raw[0] == raw[1] { vec![] } else { vec![raw] };
    prop_assert_eq!(found, expected, "{:x?}", call);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// A diff is empty exactly if the proof holds, and says of every call what both do.
    #[test]
    fn diffs_are_exact(
        (policy, program) in policies(),
        at in any::<prop::sample::Index>(),
        errno in 0..40_u16,
        same: bool,
    ) {
        let mut other = policy.clone();
        if !same {
            let section = at.index(other.sections.len());
            let rules = other.sections[section].calls.values_mut().filter_map(alloc::sync::Arc::get_mut).flatten();
            if let Some(rule) = rules.into_iter().next() {
                rule.action = Action::Errno(errno);
            }
        }
        let sides = [&Subject::program(&program, policy.endian()), &Subject::policy(&other)];
        let judge = Judge::new().equality(Equality::Bitwise);
        let diff = judge.diff(sides[0], sides[1]).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let proven = match Prover::new().prove(&program, &other) {
            Ok(_) => true,
            Err(ProveError::Differs(_)) => false,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert_eq!(diff.is_empty(), proven);
        for call in boundary_calls(&policy).into_iter().step_by(5) {
            check_diff(judge, &diff, sides, &call)?;
        }
    }

    /// The same for any two programs and stacks.
    #[test]
    fn diffs_of_programs_are_exact(one in programs(), stack in proptest::collection::vec(programs(), 0..3), calls in proptest::collection::vec(calls(), 48)) {
        let sides = [&Subject::program(&one, Endian::Little), &Subject::stack(&stack, Endian::Little)];
        let judge = Judge::new().max_nodes(100_000);
        match judge.diff(sides[0], sides[1]) {
            Ok(diff) => {
                let equal = judge.witness(sides[0], sides[1]).map(|witness| witness.is_none());
                prop_assert_eq!(Ok(diff.is_empty()), equal);
                for call in calls {
                    check_diff(judge, &diff, sides, &call)?;
                }
            }
            Err(JudgeError::TooLarge { .. } | JudgeError::TooManyRegions { .. }) => {}
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
}

/// Bits 2 and 3 must be 0: what is outside is an interval of the lowest four bits, not of the whole word.
#[test]
fn an_interval_of_some_bits_is_none_of_the_word() {
    let profile = Profile::new(Action::Errno(1)).allow_if("ioctl", [arg::<1>().masked_eq(0xc, 0)]);
    let policy = profile.resolve(&Target::exactly(&[Arch::X86_64])).unwrap();
    let regions = regions(&Subject::policy(&policy)).unwrap();
    let ioctl = regions.of(Arch::X86_64.audit(), 16);
    let allowed = ioctl.iter().find(|region| region.action() == Action::Allow).unwrap();
    assert_eq!(allowed.to_string(), "ALLOW if arg1 & 0xc == 0");
    for condition in ioctl.iter().flat_map(Region::conditions) {
        for bounds in condition.values().intervals(100).into_iter().flatten() {
            for value in [*bounds.start(), *bounds.end()] {
                assert!(condition.values().contains(value), "{condition}");
            }
        }
    }
}
