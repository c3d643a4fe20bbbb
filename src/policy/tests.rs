//! Resolving, seen from outside but with trees that no reader makes.

use super::solve::Work;
use super::{Capabilities, Policy, ResolveError, Semantics, Target, Test, conflict};
use crate::arch::{Arch, KernelVersion};
use crate::bpf::{Action, SyscallData};
use crate::fuzzing::comparison;
use crate::profile::{
    ActionSpec, Arg, Call, Code, Diagnostics, Dialect, Foreign, ListedArch, Profile, Rule, Severity, SubArches, When,
    Width, arg,
};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const E1: Action = Action::Errno(1);
const X86_64: Target = Target::new(Arch::X86_64);

/// The profile as if it had been read from JSON.
pub(super) fn docker(mut profile: Profile) -> Profile {
    profile.dialect = Dialect::Docker;
    for (index, rule) in profile.rules.iter_mut().enumerate() {
        rule.path = alloc::format!("$.syscalls[{index}]");
    }
    profile
}

fn call(arch: Arch, name: &str, args: [u64; 2]) -> SyscallData {
    let nr = arch.number(name).unwrap();
    SyscallData { nr, arch: arch.audit(), args: [args[0], args[1], 0, 0, 0, 0], ..SyscallData::default() }
}

#[track_caller]
fn decide(policy: &Policy, arch: Arch, name: &str) -> Action {
    policy.decide(&call(arch, name, [0, 0]))
}

fn said(diagnostics: &Diagnostics) -> Vec<(Severity, Code)> {
    diagnostics.iter().map(|finding| (finding.severity(), finding.code())).collect()
}

fn problems(result: Result<Policy, ResolveError>) -> Vec<String> {
    let error = result.unwrap_err();
    error.diagnostics().unwrap().iter().map(ToString::to_string).collect()
}

fn conditional(includes: When, excludes: When) -> Profile {
    let mut profile = docker(Profile::new(E1).allow("read"));
    let rule: &mut Rule = &mut profile.rules[0];
    (rule.includes, rule.excludes) = (includes, excludes);
    profile
}

#[test]
fn includes_and_excludes() {
    let caps = |names: &[&str]| When { caps: names.iter().map(ToString::to_string).collect(), ..When::default() };
    let arches = |names: &[&str]| When { arches: names.iter().map(ToString::to_string).collect(), ..When::default() };
    let kernel = |major, minor| When { min_kernel: Some(KernelVersion::new(major, minor)), ..When::default() };
    let none = When::default;
    let target =
        X86_64.capabilities(Capabilities::from_names(["CHOWN", "BPF"]).unwrap()).kernel("4.8".parse().unwrap());
    for (includes, excludes, kept) in [
        (none(), none(), true),
        (none(), arches(&["arm64", "amd64"]), false),
        (none(), arches(&["arm64", "x32", "x86", "x86_64", "SCMP_ARCH_X86_64"]), true),
        (none(), caps(&["CAP_SYS_ADMIN", "CAP_BPF"]), false),
        (none(), caps(&["CAP_SYS_ADMIN", "cap_bpf", "BPF"]), true),
        (none(), kernel(4, 8), false),
        (none(), kernel(4, 9), true),
        (arches(&["arm64", "amd64"]), none(), true),
        (arches(&["arm64", "x86", "x32"]), none(), false),
        (caps(&["CAP_CHOWN", "CAP_BPF"]), none(), true),
        (caps(&["CAP_CHOWN", "CAP_SYS_ADMIN"]), none(), false),
        (caps(&["CAP_FROBNICATE"]), none(), false),
        (kernel(4, 8), none(), true),
        (kernel(4, 9), none(), false),
        (kernel(5, 0), none(), false),
        (kernel(3, 20), none(), true),
        // Both must agree.
        (caps(&["CAP_CHOWN"]), caps(&["CAP_BPF"]), false),
    ] {
        let profile = conditional(includes.clone(), excludes.clone());
        let policy = profile.resolve(&target).unwrap();
        let expected = if kept { Action::Allow } else { E1 };
        assert_eq!(decide(&policy, Arch::X86_64, "read"), expected, "{includes:?} {excludes:?}");
        let why_not = target.why_not(&profile.rules[0]);
        assert_eq!(why_not.is_empty(), kept, "{includes:?} {excludes:?}: {why_not:?}");
    }
    let loong = conditional(arches(&["loong64"]), none()).resolve(&Target::new(Arch::Loongarch64)).unwrap();
    assert_eq!(decide(&loong, Arch::Loongarch64, "read"), Action::Allow);
}

#[test]
fn arch_lists() {
    use Arch::{Aarch64, Arm, Mips64, S390x, X32, X86, X86_64 as X};
    let list = |profile: &Profile, target: &Target| profile.resolve(target).map(|p| p.arches().collect::<Vec<_>>());
    let base = || Profile::new(E1).portable().allow("read");
    let strict = |arches: &[Arch]| base().architectures(arches.to_vec());
    assert_eq!(list(&base(), &X86_64), Ok(vec![X]));
    assert_eq!(list(&strict(&[X32, X]), &X86_64), Ok(vec![X, X32]));
    assert_eq!(list(&strict(&[X86, X32]), &X86_64), Ok(vec![X86, X32]), "strict adds nothing");
    assert_eq!(list(&docker(strict(&[X32, X86])), &X86_64), Ok(vec![X, X86, X32]), "runtimes add the native ABI");
    assert_eq!(list(&strict(&[X]), &Target::exactly(&[Arm, Aarch64, Arm])), Ok(vec![Arm, Aarch64]));
    assert_eq!(list(&base(), &Target::exactly(&[])), Err(ResolveError::NoArch));
    let mixed = strict(&[X, S390x, Mips64]).resolve(&X86_64).unwrap_err();
    assert_eq!(mixed, ResolveError::MixedByteOrder { little: vec![X], big: vec![S390x, Mips64] });
    assert!(mixed.to_string().contains("x86_64 are little-endian, s390x, mips64 big-endian"), "{mixed}");

    let mut mapped = docker(base());
    let entry = |architecture, subs: &[Arch]| SubArches { architecture, sub_architectures: subs.to_vec() };
    mapped.arch_map = vec![entry(Aarch64, &[Arm]), entry(X, &[X86, X32]), entry(X, &[])];
    assert_eq!(list(&mapped, &X86_64), Ok(vec![X, X86, X32]));
    assert_eq!(list(&mapped, &Target::new(Aarch64)), Ok(vec![Aarch64, Arm]));
    assert_eq!(list(&mapped, &Target::new(S390x)), Ok(vec![S390x]), "no entry: native only");

    let mut native = docker(base());
    native.architectures = vec![ListedArch::Native, ListedArch::Arch(Arm), ListedArch::Native];
    let policy = native.resolve(&Target::new(Aarch64)).unwrap();
    assert_eq!(policy.arches().collect::<Vec<_>>(), [Aarch64, Arm]);
    assert_eq!(said(policy.diagnostics()), [(Severity::Note, Code::ArchList)]);
}

#[test]
fn a_host_that_is_not_listed() {
    let profile = Profile::new(E1).architectures([Arch::X86]).allow("read");
    let policy = profile.resolve(&X86_64).unwrap();
    assert_eq!(said(policy.diagnostics()), [(Severity::Warning, Code::ArchList)]);
    assert_eq!(decide(&policy, Arch::X86_64, "read"), Action::KillProcess);
}

#[test]
fn error_names_are_those_of_the_target() {
    let mut profile = Profile::new(E1).rule(ActionSpec::ErrnoName("ENOSYS".into()), "clone3", []);
    let policy = profile.resolve(&Target::exactly(&[Arch::X86_64])).unwrap();
    assert_eq!(decide(&policy, Arch::X86_64, "clone3"), Action::Errno(38));
    let policy = profile.resolve(&Target::exactly(&[Arch::Mips])).unwrap();
    assert_eq!(decide(&policy, Arch::Mips, "clone3"), Action::Errno(89));
    profile.default_action = ActionSpec::ErrnoName("EFROB".into());
    let said = problems(profile.resolve(&X86_64));
    assert!(said.iter().any(|text| text.contains("\"EFROB\"")), "{said:?}");
}

#[test]
fn errors_out_of_range() {
    let said = problems(Profile::new(Action::Errno(5000)).rule(Action::Errno(4096), "read", []).resolve(&X86_64));
    assert_eq!(
        said,
        [
            "profile: error number 5000 is out of range: the kernel returns 0 to 4095",
            "rule 1: error number 4096 is out of range: the kernel returns 0 to 4095",
        ]
    );
    let target = X86_64.bad_arch(Action::Errno(9999));
    assert!(Profile::new(E1).resolve(&target).is_err());
}

#[test]
fn numbers() {
    let one = |arch, number, target: &Target| Profile::new(E1).allow((arch, number)).resolve(target);
    let x32 = Target::exactly(&[Arch::X32]);
    let both = Target::exactly(&[Arch::X86_64, Arch::X32]);
    let data = |nr, arch: Arch| SyscallData { nr, arch: arch.audit(), ..SyscallData::default() };
    for (arch, number, target) in [
        (Arch::X86_64, 0, &X86_64),
        (Arch::X86_64, u32::MAX, &X86_64),
        (Arch::X86_64, 0x8000_0000, &X86_64),
        (Arch::X86_64, u32::MAX, &both),
        (Arch::X32, u32::MAX, &x32),
        (Arch::X32, 0x4000_0000, &both),
        (Arch::Mips, 17, &Target::exactly(&[Arch::Mips])),
    ] {
        let policy = one(arch, number, target).unwrap();
        assert_eq!(policy.decide(&data(number, arch)), Action::Allow, "{arch} {number:#x}");
        assert!(policy.diagnostics().is_empty());
    }
    for (arch, number, target) in [
        (Arch::X86_64, 0x4000_0000, &X86_64),
        (Arch::X86_64, 0xc000_0000, &both),
        (Arch::X32, 0, &both),
        (Arch::X32, 0x8000_0000, &x32),
        (Arch::X32, u32::MAX, &both),
    ] {
        let error = one(arch, number, target).unwrap_err();
        assert_eq!(said(error.diagnostics().unwrap()), [(Severity::Error, Code::BadField)], "{arch} {number:#x}");
    }
    let policy = one(Arch::X86, 3, &X86_64).unwrap();
    assert_eq!(said(policy.diagnostics()), [(Severity::Warning, Code::OtherArchOnly)]);
}

#[test]
fn names_in_strict_and_portable_profiles() {
    let names = ["read", "open", "riscv_flush_icache"];
    let target = Target::exactly(&[Arch::X86_64, Arch::Aarch64]);
    let said_by = |profile: Profile| match profile.resolve(&target) {
        Ok(policy) => said(policy.diagnostics()),
        Err(error) => said(error.diagnostics().unwrap()),
    };
    assert_eq!(said_by(Profile::new(E1).allow(names)), [(Severity::Error, Code::OtherArchOnly)]);
    assert_eq!(said_by(Profile::new(E1).allow(["read", "open"])), [(Severity::Warning, Code::OtherArchOnly)]);
    assert_eq!(said_by(Profile::new(E1).allow(names).portable()), []);
    let unknown = Profile::new(E1).allow("opennat").portable();
    assert_eq!(said_by(unknown), [(Severity::Error, Code::UnknownSyscall)]);
    assert_eq!(said_by(docker(Profile::new(E1).allow(names))), [(Severity::Note, Code::OtherArchOnly)]);
}

#[test]
fn many_unknown_names_are_few_messages() {
    let names: Vec<Call> = (0..5000).map(|i| Call::Name(alloc::format!("no_such_call_{i}\u{1b}[31m"))).collect();
    let policy = docker(Profile::new(E1).allow(names)).resolve(&X86_64).unwrap();
    let texts: Vec<String> = policy.diagnostics().iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 21);
    assert!(texts.iter().all(|text| !text.contains('\u{1b}') && text.len() < 5000));
    assert!(texts[0].ends_with("and 4880 more: unknown system calls, skipped"), "{}", texts[0]);
}

#[test]
fn words_about_calls() {
    let mux = |profile: Profile| profile.resolve(&Target::exactly(&[Arch::X86])).unwrap();
    let plain = mux(docker(Profile::new(E1).allow(["socketcall", "socket"])));
    assert_eq!(said(plain.diagnostics()), [(Severity::Note, Code::Multiplexed)]);
    let restricted = docker(Profile::new(E1).allow("socketcall").allow_if("socket", [arg::<0>().lt(38)]));
    assert_eq!(said(mux(restricted.clone()).diagnostics()), [(Severity::Warning, Code::Multiplexed)]);
    let wide = restricted.resolve(&Target::exactly(&[Arch::Aarch64])).unwrap();
    assert_eq!(said(wide.diagnostics()), [(Severity::Note, Code::OtherArchOnly)]);

    let forced = Profile::new(Action::Allow).rule(E1, ["uretprobe", "read"], []).resolve(&X86_64).unwrap();
    assert_eq!(said(forced.diagnostics()), [(Severity::Warning, Code::ForcedAllow)]);
    let allowed = Profile::new(E1).allow(["uretprobe"]).resolve(&X86_64).unwrap();
    assert!(allowed.diagnostics().is_empty());

    let notify = Profile::new(Action::Notify).allow("read").resolve(&X86_64).unwrap();
    assert_eq!(said(notify.diagnostics()), [(Severity::Warning, Code::NotifyDefault)]);
}

#[test]
fn normal_form_of_32_bit_abis() {
    let mask = 0xffff_ffff_0000_00f0;
    let conditions = [arg::<0>().masked_eq(mask, 0x10), arg::<0>().eq(0x10), arg::<0>().as_u32().eq(0x10)];
    let profile = Profile::new(E1).allow_if("remap_file_pages", conditions);
    let policy = profile.resolve(&Target::exactly(&[Arch::X86, Arch::X32])).unwrap();
    let [x86, x32] = policy.sections.as_slice() else { panic!("{policy}") };
    let [rule] = &*x86.calls[&257] else { panic!("{policy}") };
    assert!(rule.conditions.iter().all(|condition| condition.width == Width::Bits32));
    let tests: Vec<Test> = rule.conditions.iter().map(|condition| condition.test).collect();
    assert_eq!(tests, [Test::Eq(0x10), Test::MaskedEq { mask: 0xf0, value: 0x10 }]);
    assert_eq!(x32.calls[&0x4000_00d8][0].conditions.len(), 3, "x32 has registers of 64 bits");
    assert!(policy.diagnostics().is_empty());
}

#[test]
fn constant_conditions() {
    let said_by = |args: &[Arg]| {
        let profile = Profile::new(E1).allow_if("remap_file_pages", args.to_vec());
        said(profile.resolve(&Target::exactly(&[Arch::X86_64, Arch::X86])).unwrap().diagnostics())
    };
    let constant = vec![(Severity::Warning, Code::ConstantCondition)];
    assert_eq!(said_by(&[arg::<0>().ge(0)]), constant);
    assert_eq!(said_by(&[arg::<0>().lt(0)]), constant);
    assert_eq!(said_by(&[arg::<0>().masked_eq(0, 0)]), constant);
    assert_eq!(said_by(&[arg::<0>().eq(1), arg::<0>().eq(2)]), constant);
    assert_eq!(said_by(&[arg::<0>().gt(u64::MAX)]), constant, "on x86 that is 0xffffffff");
    assert_eq!(said_by(&[arg::<0>().eq(1), arg::<1>().eq(2)]), []);
    assert_eq!(said_by(&[arg::<0>().eq(1 << 40)]), [(Severity::Warning, Code::ConstantTooWide)]);
}

#[test]
fn the_printed_form() {
    let profile = Profile::new(E1)
        .allow(["read", "write"])
        .rule(Action::Errno(38), "clone3", [])
        .rule(Action::Log, "ioctl", [])
        .rule(Action::Allow, "ioctl", [arg::<1>().eq(0x5401), arg::<2>().masked_eq(0x10000, 0)])
        .allow_if("socket", [arg::<0>().as_u32().lt(38)]);
    let policy = profile.resolve(&X86_64).unwrap();
    assert_eq!(
        policy.to_string(),
        "x86_64: ERRNO(1) EPERM by default
  ALLOW: read write
  ERRNO(38) ENOSYS: clone3
  ioctl
    LOG, unless arg1 as u32 == 21505 and arg2 & 0x10000 == 0
    ALLOW if arg1 as u32 == 21505 and arg2 & 0x10000 == 0
  socket
    ALLOW if arg0 as u32 < 38
other architectures: KILL_PROCESS
x32 numbers: KILL_PROCESS"
    );
}

#[test]
fn names_of_errors_are_those_of_the_abi() {
    let profile = Profile::new(Action::Errno(38)).allow_if("socket", [arg::<0>().eq(1)]).rule(E1, "read", []);
    let lines = |arches: &[Arch]| {
        let target = Target::exactly(arches).bad_arch(Action::Errno(89));
        let text = profile.resolve(&target).unwrap().to_string();
        text.lines().filter(|line| line.contains("ERRNO")).map(str::to_owned).collect::<Vec<_>>()
    };
    let x86 = [
        "x86_64: ERRNO(38) ENOSYS by default",
        "  ERRNO(1) EPERM: read",
        "other architectures: ERRNO(89) EDESTADDRREQ",
        "x32 numbers: ERRNO(89) EDESTADDRREQ",
    ];
    assert_eq!(lines(&[Arch::X86_64]), x86);
    let mips =
        ["mips64: ERRNO(38) EL2NSYNC by default", "  ERRNO(1) EPERM: read", "other architectures: ERRNO(89) ENOSYS"];
    assert_eq!(lines(&[Arch::Mips64]), mips);
    assert_eq!(lines(&[Arch::Mips64, Arch::S390x]).last().unwrap(), "other architectures: ERRNO(89)", "two names");
}

/// Rules on few calls, with conditions that meet often.
fn rules() -> impl Strategy<Value = Vec<(usize, usize, Vec<Arg>)>> {
    let test = (0u8..7, 0u64..4, 0u64..4, any::<bool>(), any::<bool>()).prop_map(|(op, value, mask, second, low)| {
        let operand = if second { arg::<1>() } else { arg::<0>() };
        let operand = if low { operand.as_u32() } else { operand };
        comparison(operand, op, value, mask)
    });
    prop::collection::vec((0usize..2, 0usize..4, prop::collection::vec(test, 0..3)), 1..8)
}

/// Calls whose parameters are as wide as registers.
const CALLS: [&str; 2] = ["remap_file_pages", "munmap"];
const ACTIONS: [Action; 4] = [Action::Allow, Action::Log, Action::Errno(2), E1];

fn build(rules: &[(usize, usize, Vec<Arg>)]) -> Profile {
    rules.iter().fold(Profile::new(E1), |profile, (call, action, args)| {
        profile.rule(ACTIONS[*action], CALLS[*call], args.as_slice())
    })
}

/// Everything but where rules were written.
fn meaning(policy: &Policy) -> Vec<String> {
    let rule = |rule: &super::Rule| alloc::format!("{:?} {:?} {:?}", rule.action, rule.conditions, rule.narrower);
    policy
        .sections
        .iter()
        .flat_map(|s| s.calls.iter().map(|(nr, r)| alloc::format!("{nr} {:?}", r.iter().map(rule).collect::<Vec<_>>())))
        .collect()
}

/// Argument values that tell such conditions apart: the low half 0 to 3, or beyond with any low bits; with and without
/// a high half.
fn tuples() -> impl Iterator<Item = [u64; 2]> {
    let values = || (0..=1u64).flat_map(|high| (0..8u64).map(move |low| high << 32 | low));
    values().flat_map(move |a| values().map(move |b| [a, b]))
}

fn holds(args: &[Arg], call: [u64; 2]) -> bool {
    use crate::profile::Op;
    args.iter().all(|arg| {
        let register = call[usize::from(arg.index())];
        let value = if arg.width() == Width::Bits32 { register & 0xffff_ffff } else { register };
        match arg.op() {
            Op::Eq => value == arg.value(),
            Op::Ne => value != arg.value(),
            Op::Lt => value < arg.value(),
            Op::Le => value <= arg.value(),
            Op::Gt => value > arg.value(),
            Op::Ge => value >= arg.value(),
            Op::MaskedEq => value & arg.value() == arg.value_two(),
        }
    })
}

/// The meaning of overlaps, from the written rules and by trying all tuples.
fn by_trying(rules: &[&(usize, usize, Vec<Arg>)], call: [u64; 2]) -> (Option<Action>, bool) {
    let region = |args: &[Arg]| tuples().map(|call| holds(args, call)).collect::<Vec<bool>>();
    let within = |a: &[bool], b: &[bool]| a.iter().zip(b).all(|(a, b)| !a || *b);
    let regions: Vec<Vec<bool>> = rules.iter().map(|(_, _, args)| region(args)).collect();
    let strictly = |a: usize, b: usize| within(&regions[a], &regions[b]) && !within(&regions[b], &regions[a]);
    let say = |i: usize| {
        let beaten =
            |j: usize| ACTIONS[rules[j].1] != ACTIONS[rules[i].1] && strictly(j, i) && holds(&rules[j].2, call);
        holds(&rules[i].2, call) && !(0..rules.len()).any(beaten)
    };
    let mut actions: Vec<Action> = (0..rules.len()).filter(|i| say(*i)).map(|i| ACTIONS[rules[i].1]).collect();
    actions.sort_unstable();
    actions.dedup();
    (actions.first().copied(), actions.len() > 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_order_of_rules_does_not_matter(rules in rules(), order in prop::collection::vec(0usize..1000, 8)) {
        let mut shuffled = rules.clone();
        for (i, random) in (1..shuffled.len()).zip(order.iter()) {
            shuffled.swap(i, random % (i + 1));
        }
        match (build(&rules).resolve(&X86_64), build(&shuffled).resolve(&X86_64)) {
            (Ok(one), Ok(two)) => prop_assert_eq!(meaning(&one), meaning(&two)),
            (Err(_), Err(_)) => {}
            (one, two) => prop_assert!(false, "{:?} {:?}", one, two),
        }
        // For runtimes the order of unconditional rules counts, and nothing else.
        let free = |rules: &[(usize, usize, Vec<Arg>)]| rules.iter().all(|(_, _, args)| !args.is_empty());
        if free(&rules) {
            let oci = |rules| build(rules).resolve(&X86_64.semantics(Semantics::Oci));
            if let (Ok(one), Ok(two)) = (oci(&rules), oci(&shuffled)) {
                prop_assert_eq!(meaning(&one), meaning(&two));
            }
        }
    }

    #[test]
    fn strict_is_as_by_trying(rules in rules()) {
        let resolved = build(&rules).resolve(&X86_64);
        let mut conflict = false;
        for (number, name) in CALLS.into_iter().enumerate() {
            let own: Vec<_> = rules.iter().filter(|(call, ..)| *call == number).collect();
            for args in tuples() {
                let (action, ambiguous) = by_trying(&own, args);
                conflict |= ambiguous;
                if let Ok(policy) = &resolved {
                    prop_assert_eq!(policy.decide(&call(Arch::X86_64, name, args)), action.unwrap_or(E1));
                }
            }
            // The same impossible conditions with two actions are an error although no call shows it.
            conflict |= own.iter().any(|a| own.iter().any(|b| a.1 != b.1 && normal(&a.2) == normal(&b.2)));
        }
        prop_assert_eq!(resolved.is_err(), conflict);
    }

    #[test]
    fn runtimes_take_the_most_restrictive(rules in rules()) {
        let Ok(policy) = build(&rules).resolve(&X86_64.semantics(Semantics::Oci)) else { return Ok(()) };
        let mut overlap = false;
        for (number, name) in CALLS.into_iter().enumerate() {
            let own: Vec<_> = rules.iter().filter(|rule| rule.0 == number && ACTIONS[rule.1] != E1).collect();
            let first = own.iter().find(|(_, _, args)| args.is_empty());
            for args in tuples() {
                let (mut action, ambiguous) = by_trying(&own, args);
                if let Some((_, unconditional, _)) = first {
                    action = Some(ACTIONS[*unconditional]);
                } else {
                    overlap |= ambiguous;
                }
                prop_assert_eq!(policy.decide(&call(Arch::X86_64, name, args)), action.unwrap_or(E1));
            }
        }
        let warned = policy.diagnostics().iter().any(|finding| finding.code() == Code::OverlapTwoActions);
        prop_assert_eq!(warned, overlap);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_call_that_an_error_shows_is_a_conflict(rules in rules()) {
        let Ok(policy) = build(&rules).resolve(&X86_64.semantics(Semantics::Oci)) else { return Ok(()) };
        for rules in policy.sections.iter().flat_map(|section| section.calls.values()) {
            let mut rules = rules.to_vec();
            for rule in &mut rules {
                rule.narrower.clear();
            }
            let pairs = conflict::find_narrower(&mut rules, &mut Work::new()).unwrap();
            for overlap in conflict::overlaps(&rules, pairs.into_iter(), &mut Work::new()).unwrap() {
                let (first, second) = (&rules[overlap.first], &rules[overlap.second]);
                prop_assert!(first.action != second.action);
                for rule in [first, second] {
                    prop_assert!(rule.matches(&overlap.call));
                    prop_assert!(!rule.narrower.iter().any(|other| rules[*other].matches(&overlap.call)));
                }
            }
        }
    }
}

fn normal(args: &[Arg]) -> Vec<String> {
    let mut texts: Vec<String> = args.iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

#[test]
fn multiplexers_carry_calls_unless_the_compiler_of_a_file_says_no() {
    let profile = docker(Profile::new(E1).allow("socket").allow(Call::Number(Arch::X86, 5)));
    let carried = |profile: &Profile| {
        let policy = profile.resolve(&Target::exactly(&[Arch::X86])).unwrap();
        policy.decide(&call(Arch::X86, "socketcall", [1, 0]))
    };
    assert_eq!(carried(&profile), Action::Allow);
    for (multiplexes, answer) in [(true, Action::Allow), (false, E1)] {
        let foreign = Some(Foreign { bad_arch: E1, x32_is_unlisted: false, multiplexes });
        assert_eq!(carried(&Profile { foreign, ..profile.clone() }), answer);
    }
    // An entry for the multiplexer itself counts, by name or by number.
    for own in [Call::Number(Arch::X86, 102), "socketcall".into()] {
        let profile = docker(Profile::new(E1).allow("socket").rule(Action::Errno(2), own, [arg::<0>().eq(2)]));
        assert_eq!(carried(&profile), E1);
    }
}
