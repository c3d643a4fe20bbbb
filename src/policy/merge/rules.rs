//! The rules of one call, of two policies, as one list.
//!
//! Each side answers with the least action of its rules that have a say, or else with its default. A default is written
//! as a rule without conditions that yields to every rule of its side; so each side always has a rule with a say, and
//!
//! ```text
//! intersection   min(min a, min b)   the rules of both sides, each yielding to those of its own side
//! union          max(min a, min b)   = the least max(a, b) over all pairs, so every pair of rules is a rule: it matches
//!                                    where both do, and yields to whatever one of the two yields to
//! ```
//! That holds because the relation "yields to" has no circle: of the rules that match, one always has a say.

use super::Operation;
use crate::bpf::Action;
use crate::policy::{Condition, Rule, Source};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// Rules of one call, and references between them, that a result may have.
pub(super) const MAX_RULES: usize = 4096;
const MAX_REFERENCES: usize = 1 << 18;

/// The answer to one call: the rules, and what counts where none has a say.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) rules: Vec<Rule>,
    pub(super) default: Action,
    /// Where the default comes from: no place of a profile, or a rule without conditions.
    pub(super) source: Source,
}

/// More rules than the budget allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooMany;

impl Side {
    pub(super) fn new(rules: &[Rule], default: Action) -> Self {
        // One rule without conditions is the answer, whatever the default.
        if let [Rule { conditions, action, source, .. }] = rules
            && conditions.is_empty()
        {
            return Self { rules: Vec::new(), default: *action, source: source.clone() };
        }
        let rules = if rules.iter().all(|rule| rule.action == default) { Vec::new() } else { rules.to_vec() };
        Self { rules, default, source: Source { entry: 0, path: String::from("default") } }
    }

    /// Both answers as one.
    pub(super) fn combine(self, other: Self, operation: Operation) -> Result<Self, TooMany> {
        let default = operation.of(self.default, other.default);
        let source = if default == self.default { self.source.clone() } else { other.source.clone() };
        if self.means_the_same(&other) {
            return Ok(self);
        }
        if other.rules.is_empty() {
            return Ok(Self { source, ..self.bounded(other.default, operation) });
        }
        if self.rules.is_empty() {
            return Ok(Self { source, ..other.bounded(self.default, operation) });
        }
        let rules = match operation {
            Operation::Intersection => beside(&self, &other)?,
            Operation::Union => pairs(&self, &other)?,
        };
        Ok(Self { rules: without_copies(rules), default, source })
    }

    fn means_the_same(&self, other: &Self) -> bool {
        let same =
            |(a, b): (&Rule, &Rule)| a.action == b.action && a.conditions == b.conditions && a.narrower == b.narrower;
        self.default == other.default
            && self.rules.len() == other.rules.len()
            && self.rules.iter().zip(&other.rules).all(same)
    }

    /// With an action that the other side has for every call: the least of several maxima with it is the maximum of
    /// their least one, and the same the other way round.
    fn bounded(self, action: Action, operation: Operation) -> Self {
        let default = operation.of(self.default, action);
        let rules = self.rules.into_iter().map(|rule| Rule { action: operation.of(rule.action, action), ..rule });
        let mut rules: Vec<Rule> = rules.collect();
        if rules.iter().all(|rule| rule.action == default) {
            rules.clear();
        }
        Self { rules, default, source: self.source }
    }

    /// The rules with the default as the last one.
    fn with_default(&self) -> Vec<Rule> {
        let mut rules = self.rules.clone();
        rules.push(self.otherwise());
        rules
    }

    /// The default as a rule.
    pub(super) fn otherwise(&self) -> Rule {
        Rule {
            action: self.default,
            conditions: Vec::new(),
            narrower: (0..self.rules.len()).collect(),
            source: self.source.clone(),
        }
    }

    /// The greatest action that any call can get.
    fn most(&self) -> Action {
        self.rules.iter().map(|rule| rule.action).fold(self.default, Action::max)
    }
}

/// Rules that are put together, within the budget.
#[derive(Default)]
struct List {
    rules: Vec<Rule>,
    references: usize,
}

impl List {
    /// Adds a rule and gives its index.
    fn push(&mut self, rule: Rule) -> Result<usize, TooMany> {
        self.references = self.references.saturating_add(rule.narrower.len());
        if self.rules.len() >= MAX_RULES || self.references > MAX_REFERENCES {
            return Err(TooMany);
        }
        self.rules.push(rule);
        Ok(self.rules.len().saturating_sub(1))
    }
}

/// The rules of both sides, each side with its default. A default that is no less than anything the other side can
/// answer never decides.
fn beside(one: &Side, other: &Side) -> Result<Vec<Rule>, TooMany> {
    let mut list = List::default();
    for (side, against) in [(one, other), (other, one)] {
        let offset = list.rules.len();
        let otherwise = (side.default < against.most()).then(|| side.otherwise());
        for rule in side.rules.iter().cloned().chain(otherwise) {
            let narrower = rule.narrower.iter().map(|index| index.saturating_add(offset)).collect();
            list.push(Rule { narrower, ..rule })?;
        }
    }
    Ok(list.rules)
}

/// Which rules of the two sides a rule is made of. It matches where both do.
#[derive(Clone, Copy)]
struct Pair {
    left: Option<usize>,
    right: Option<usize>,
    /// Only there to be yielded to: it asks for ALLOW, which never beats anything.
    marker: bool,
}

/// Every pair of rules as a rule; but one that is no less than anything the other side can answer decides alone.
fn pairs(one: &Side, other: &Side) -> Result<Vec<Rule>, TooMany> {
    let (left, right) = (one.with_default(), other.with_default());
    let (most_left, most_right) = (one.most(), other.most());
    let mut chosen = Vec::new();
    let mut choose = |left, right| chosen.push(Pair { left, right, marker: false });
    let alone =
        |rules: &[Rule], most| (0..rules.len()).partition(|&at| rules.get(at).is_some_and(|rule| rule.action >= most));
    let (alone_left, with_left): (Vec<usize>, Vec<usize>) = alone(&left, most_right);
    let (alone_right, with_right): (Vec<usize>, Vec<usize>) = alone(&right, most_left);
    if with_left.len().saturating_mul(with_right.len()) > MAX_RULES {
        return Err(TooMany);
    }
    for &at in &alone_left {
        choose(Some(at), None);
    }
    for &at in &alone_right {
        choose(None, Some(at));
    }
    for &a in &with_left {
        for &b in &with_right {
            choose(Some(a), Some(b));
        }
    }
    // What is made of the defaults alone is the default of the result, and needs no rule where nothing else stands in
    // for "no rule has a say".
    let is_default = |pair: &Pair| {
        pair.left.is_none_or(|at| at == one.rules.len()) && pair.right.is_none_or(|at| at == other.rules.len())
    };
    let bare: Vec<Pair> = chosen.iter().copied().filter(|pair| !is_default(pair)).collect();
    let pairing = Pairing { left: &left, right: &right };
    match pairing.rules(bare, false)? {
        Some(rules) => Ok(rules),
        None => Ok(pairing.rules(chosen, true)?.unwrap_or_default()),
    }
}

struct Pairing<'a> {
    left: &'a [Rule],
    right: &'a [Rule],
}

impl Pairing<'_> {
    /// The pairs as rules. `None` if markers are needed and not wanted.
    fn rules(&self, mut pairs: Vec<Pair>, markers: bool) -> Result<Option<Vec<Rule>>, TooMany> {
        // Where a rule matches exactly where one of a side does.
        let mut places = (alloc::vec![None; self.left.len()], alloc::vec![None; self.right.len()]);
        for (index, pair) in pairs.iter().enumerate() {
            // A default has no conditions.
            let whole = |side: &[Rule], at: Option<usize>| at.is_none_or(|at| at.saturating_add(1) == side.len());
            if let (Some(at), true) = (pair.left, whole(self.right, pair.right)) {
                set(&mut places.0, at, index);
            }
            if let (Some(at), true) = (pair.right, whole(self.left, pair.left)) {
                set(&mut places.1, at, index);
            }
        }
        for at in yielded_to(self.left, pairs.iter().filter_map(|pair| pair.left)) {
            if places.0.get(at).is_some_and(Option::is_none) {
                set(&mut places.0, at, pairs.len());
                pairs.push(Pair { left: Some(at), right: None, marker: true });
            }
        }
        for at in yielded_to(self.right, pairs.iter().filter_map(|pair| pair.right)) {
            if places.1.get(at).is_some_and(Option::is_none) {
                set(&mut places.1, at, pairs.len());
                pairs.push(Pair { left: None, right: Some(at), marker: true });
            }
        }
        if !markers && pairs.iter().any(|pair| pair.marker) {
            return Ok(None);
        }
        let mut list = List::default();
        for pair in pairs {
            list.push(self.rule(pair, &places))?;
        }
        Ok(Some(list.rules))
    }

    fn rule(&self, pair: Pair, places: &(Vec<Option<usize>>, Vec<Option<usize>>)) -> Rule {
        let left = pair.left.and_then(|at| self.left.get(at));
        let right = pair.right.and_then(|at| self.right.get(at));
        let both = || left.into_iter().chain(right);
        let yields = |rule: Option<&Rule>, places: &[Option<usize>]| -> Vec<usize> {
            let narrower = rule.map_or(&[][..], |rule| &rule.narrower);
            narrower.iter().filter_map(|&at| places.get(at).copied().flatten()).collect()
        };
        let mut narrower = yields(left, &places.0);
        narrower.extend(yields(right, &places.1));
        let action = both().map(|rule| rule.action).max().unwrap_or(Action::Allow);
        let paths: Vec<&str> = both().map(|rule| rule.source.path.as_str()).collect();
        Rule {
            action: if pair.marker { Action::Allow } else { action },
            conditions: both().flat_map(|rule| &rule.conditions).copied().collect(),
            narrower: if pair.marker { Vec::new() } else { narrower },
            source: Source { entry: both().next().map_or(0, |rule| rule.source.entry), path: paths.join(" and ") },
        }
    }
}

fn set(places: &mut [Option<usize>], at: usize, index: usize) {
    if let Some(place) = places.get_mut(at) {
        place.get_or_insert(index);
    }
}

/// The rules to which the used ones of a side yield.
fn yielded_to(side: &[Rule], used: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut targets: Vec<usize> = used.filter_map(|at| side.get(at)).flat_map(|rule| rule.narrower.clone()).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// Rules that are written alike become one.
fn without_copies(rules: Vec<Rule>) -> Vec<Rule> {
    let mut first: BTreeMap<(Action, &[Condition], &[usize]), usize> = BTreeMap::new();
    let mut kept = Vec::new();
    let mut moved = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        let place = *first.entry((rule.action, &rule.conditions, &rule.narrower)).or_insert_with(|| {
            kept.push(index);
            kept.len().saturating_sub(1)
        });
        moved.push(place);
    }
    if kept.len() == rules.len() {
        return rules;
    }
    let rule = |&index: &usize| {
        let mut rule = rules.get(index)?.clone();
        rule.narrower.iter_mut().for_each(|target| *target = moved.get(*target).copied().unwrap_or(*target));
        rule.narrower.sort_unstable();
        rule.narrower.dedup();
        Some(rule)
    };
    kept.iter().filter_map(rule).collect()
}
