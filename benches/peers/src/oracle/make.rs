//! Random policies that several generators can say.

use crate::case::{Case, Rule};
use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::profile::{Arg, Operand, Profile, arg};
use std::fmt::Write;

/// Known to all generators, on x86_64 and x86, with how many arguments they have; the last two are reached through
/// `socketcall` on x86 as well.
const CALLS: [(&str, usize); 18] = [
    ("read", 3),
    ("write", 3),
    ("close", 1),
    ("openat", 4),
    ("ioctl", 3),
    ("fcntl", 3),
    ("mprotect", 3),
    ("prctl", 5),
    ("personality", 1),
    ("kill", 2),
    ("tgkill", 3),
    ("dup3", 3),
    ("getpid", 0),
    ("lseek", 3),
    ("poll", 3),
    ("futex", 6),
    ("socket", 3),
    ("sendto", 6),
];

/// At which comparisons of two words go wrong.
const VALUES: [u64; 14] = [
    0,
    1,
    5,
    0x5401,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x5_0000_0005,
    0x8000_0000_0000_0000,
    0xffff_ffff_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        for shift in [13, -7, 17] {
            self.0 ^= if shift > 0 { self.0 << shift } else { self.0 >> -shift };
        }
        usize::try_from((self.0 >> 16) % count as u64).unwrap_or(0)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// The policy of a seed.
pub fn case(seed: u64) -> Case {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    dice.below(2);
    let arches: &[Arch] = if dice.one_in(4) { &[Arch::X86_64, Arch::X86] } else { &[Arch::X86_64] };
    let default = dice.of(&[Action::Errno(1), Action::Errno(38), Action::KillProcess, Action::Trap(0), Action::Allow]);
    let usual = if default == Action::Allow { Action::Errno(1) } else { Action::Allow };
    // One action for whatever matches, as some generators have it, or several.
    let several = dice.one_in(3);
    // What some generators cannot say, so mostly nothing of it.
    let odd =
        Odd { default: dice.one_in(12), repeated: dice.one_in(12), narrow: dice.one_in(12), absent: dice.one_in(12) };
    let mut rules = Vec::new();
    for _ in 0..=dice.below(8) {
        let (call, args) = dice.of(&CALLS);
        for _ in 0..=dice.below(3) {
            let other = if odd.default { default } else { Action::Errno(3) };
            let action = if several { dice.of(&[usual, Action::Errno(2), Action::KillProcess, other]) } else { usual };
            let action = if action == default && !odd.default { Action::Errno(4) } else { action };
            rules.push(Rule { call: call.to_owned(), action, args: conditions(&mut dice, args, &odd) });
        }
    }
    Case { name: "random", profile: profile(default, &rules), default, arches: arches.to_vec(), rules }
}

/// Things in a policy that not every generator takes.
#[allow(clippy::struct_excessive_bools)] // Independent of each other.
struct Odd {
    default: bool,
    repeated: bool,
    narrow: bool,
    absent: bool,
}

fn conditions(dice: &mut Dice, args: usize, odd: &Odd) -> Vec<Arg> {
    let args = if odd.absent { 6 } else { args };
    let mut list: Vec<Arg> = Vec::new();
    if args == 0 || dice.one_in(5) {
        return list;
    }
    for _ in 0..=dice.below(3) {
        let condition = condition(dice, args, odd);
        if odd.repeated || list.iter().all(|other| other.index() != condition.index()) {
            list.push(condition);
        }
    }
    list
}

fn condition(dice: &mut Dice, args: usize, odd: &Odd) -> Arg {
    let all: [fn() -> Operand; 6] = [arg::<0>, arg::<1>, arg::<2>, arg::<3>, arg::<4>, arg::<5>];
    let operand = dice.of(&all[..args])();
    let value = if dice.one_in(3) { dice.below(64) as u64 } else { dice.of(&VALUES) };
    let (kind, narrow) = (dice.below(8), dice.one_in(6));
    // Equality and masks are what all of them have of 32 bits.
    let narrow = narrow && (odd.narrow || kind >= 5);
    let (operand, value) = if narrow { (operand.as_u32(), value & 0xffff_ffff) } else { (operand, value) };
    match kind {
        0 => operand.ne(value),
        1 => operand.lt(value),
        2 => operand.le(value),
        3 => operand.gt(value),
        4 => operand.ge(value),
        5 => {
            let mask = dice.of(&VALUES) | 1 << dice.below(if narrow { 32 } else { 64 });
            let mask = if narrow { mask & 0xffff_ffff } else { mask };
            operand.masked_eq(mask, value & mask)
        }
        _ => operand.eq(value),
    }
}

/// The rules as a profile.
pub fn profile(default: Action, rules: &[Rule]) -> Profile {
    let add = |profile: Profile, rule: &Rule| profile.rule(rule.action, &rule.call, rule.args.as_slice());
    rules.iter().fold(Profile::new(default), add)
}

/// The same with a rule or a condition less.
pub fn shorter(case: &Case) -> Vec<Case> {
    let with = |rules: Vec<Rule>| Case { profile: profile(case.default, &rules), rules, ..case.clone() };
    let mut all = Vec::new();
    for (at, rule) in case.rules.iter().enumerate() {
        let mut rules = case.rules.clone();
        rules.remove(at);
        all.push(with(rules));
        for condition in 0..rule.args.len() {
            let mut rules = case.rules.clone();
            rules[at].args.remove(condition);
            all.push(with(rules));
        }
    }
    all
}

/// The policy in words.
pub fn shown(case: &Case) -> String {
    let mut text = format!("{:?}, otherwise {}", case.arches, case.default);
    for rule in &case.rules {
        let _ = write!(text, "; {} {} {:?}", rule.action, rule.call, rule.args);
    }
    text
}
