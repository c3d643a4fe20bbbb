//! The benchmark policies, as every generator gets them, and the calls with which programs are measured.

use crate::policies;
use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::policy::{ArgWidth, Policy, Target, UnlistedX32};
use callsieve::profile::{ActionSpec, Arg, Call, Op, Profile, Width};
#[cfg(feature = "seacomb")]
use callsieve::profile::{Operand, arg};
use std::error::Error;

/// A policy to compile.
#[derive(Clone)]
pub struct Case {
    /// Its short name, as the file is called.
    pub name: &'static str,
    pub profile: Profile,
    pub default: Action,
    /// The ABIs, the native one first.
    pub arches: Vec<Arch>,
    /// One entry for each call of each rule.
    pub rules: Vec<Rule>,
}

/// A rule for one call.
#[derive(Clone)]
pub struct Rule {
    pub call: String,
    pub action: Action,
    /// All must hold.
    pub args: Vec<Arg>,
}

/// Most argument vectors for one call.
const MOST: usize = 512;

/// All benchmark policies.
pub fn all() -> Result<Vec<Case>, Box<dyn Error>> {
    policies::ALL.iter().map(|&(name, text)| case(name, text)).collect()
}

fn case(name: &'static str, text: &str) -> Result<Case, Box<dyn Error>> {
    let (profile, target) = policies::load(text)?;
    let arches = profile.resolve(&target)?.arches().collect();
    let mut rules = Vec::new();
    for rule in profile.rules() {
        for call in rule.calls() {
            let Call::Name(call) = call else { return Err("only names are used".into()) };
            rules.push(Rule { call: call.clone(), action: action(rule.action())?, args: rule.args().to_vec() });
        }
    }
    Ok(Case { name, default: action(profile.default_action())?, profile, arches, rules })
}

fn action(spec: &ActionSpec) -> Result<Action, Box<dyn Error>> {
    match spec {
        ActionSpec::Action(action) => Ok(*action),
        _ => Err("only errors with numbers are used".into()),
    }
}

impl Case {
    /// The target for which everybody compiles: a foreign architecture is killed.
    pub fn target(&self, x32: UnlistedX32) -> Target {
        let target = Target::exactly(&self.arches).bad_arch(Action::KillProcess).unlisted_x32(x32);
        // Peers compare as many bits as the rules say.
        target.arg_width(ArgWidth::Written)
    }

    /// What the policy means, with this answer to x32 numbers.
    pub fn policy(&self, x32: UnlistedX32) -> Result<Policy, Box<dyn Error>> {
        Ok(self.profile.resolve(&self.target(x32))?)
    }

    /// The same policy with other rules, for peers that cannot say all of it.
    pub fn restated(&self, rules: &[Rule], x32: UnlistedX32) -> Result<Policy, Box<dyn Error>> {
        let profile = rules.iter().fold(Profile::new(self.default), |profile, rule| {
            profile.rule(rule.action, &rule.call, rule.args.as_slice())
        });
        Ok(profile.resolve(&self.target(x32))?)
    }

    /// Argument values at which the rules of a call may change their mind: 0, all ones, every constant and its
    /// neighbours, the constant with bit 32 or 63 set, masks and their complements. All combinations of them, or where
    /// these are too many, one argument at a time around each rule.
    pub fn vectors(&self, call: &str) -> Vec<[u64; 6]> {
        let rules: Vec<&Rule> = self.rules.iter().filter(|rule| rule.call == call).collect();
        let values: [Vec<u64>; 6] = std::array::from_fn(|index| candidates(&rules, index));
        let product = values.iter().fold(1_usize, |product, values| product.saturating_mul(values.len().max(1)));
        let mut vectors = if product <= MOST { combinations(&values) } else { around(&rules, &values) };
        vectors.sort_unstable();
        vectors.dedup();
        vectors
    }
}

/// The value that the condition compares with.
pub fn constant(arg: &Arg) -> u64 {
    if arg.op() == Op::MaskedEq { arg.value_two() } else { arg.value() }
}

/// The same condition on the low 32 bits, with the constants cut to them.
#[cfg(feature = "seacomb")]
pub fn narrowed(arg: &Arg) -> Arg {
    let low = |value: u64| value & u64::from(u32::MAX);
    let operand = operand(arg.index()).as_u32();
    let value = low(arg.value());
    match arg.op() {
        Op::Ne => operand.ne(value),
        Op::Lt => operand.lt(value),
        Op::Le => operand.le(value),
        Op::Ge => operand.ge(value),
        Op::Gt => operand.gt(value),
        Op::MaskedEq => operand.masked_eq(value, low(arg.value_two())),
        _ => operand.eq(value),
    }
}

#[cfg(feature = "seacomb")]
fn operand(index: u8) -> Operand {
    [arg::<0>(), arg::<1>(), arg::<2>(), arg::<3>(), arg::<4>(), arg::<5>()][usize::from(index)]
}

fn candidates(rules: &[&Rule], index: usize) -> Vec<u64> {
    let mut values = Vec::new();
    for arg in rules.iter().flat_map(|rule| &rule.args).filter(|arg| usize::from(arg.index()) == index) {
        let value = constant(arg);
        values.extend([0, u64::MAX, value, value.wrapping_sub(1), value.wrapping_add(1)]);
        values.extend([value | 1 << 32, value | 1 << 63]);
        if arg.op() == Op::MaskedEq {
            values.extend([arg.value(), !arg.value()]);
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

fn combinations(values: &[Vec<u64>; 6]) -> Vec<[u64; 6]> {
    let mut vectors = vec![[0; 6]];
    for (index, values) in values.iter().enumerate().filter(|(_, values)| !values.is_empty()) {
        vectors = vectors
            .iter()
            .flat_map(|vector| values.iter().map(|&value| with(*vector, index, value)).collect::<Vec<_>>())
            .collect();
    }
    vectors
}

fn around(rules: &[&Rule], values: &[Vec<u64>; 6]) -> Vec<[u64; 6]> {
    let mut vectors = Vec::new();
    for rule in rules {
        let base = rule.args.iter().fold([0; 6], |base, arg| with(base, arg.index().into(), constant(arg)));
        vectors.push(base);
        for arg in &rule.args {
            let index = usize::from(arg.index());
            vectors.extend(candidates(&[rule], index).into_iter().map(|value| with(base, index, value)));
        }
    }
    if let Some(&base) = vectors.first() {
        for (index, values) in values.iter().enumerate() {
            vectors.extend(values.iter().map(|&value| with(base, index, value)));
        }
    }
    vectors
}

fn with(mut vector: [u64; 6], index: usize, value: u64) -> [u64; 6] {
    vector[index] = value;
    vector
}

/// Whether a condition looks at the low 32 bits only.
pub fn is_narrow(arg: &Arg) -> bool {
    arg.width() == Width::Bits32
}
