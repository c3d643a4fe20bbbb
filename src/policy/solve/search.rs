//! Which condition of each conjunction fails: a search that lets the smallest candidate call point at the next choice.

use super::word::Word;
use super::{OutOfWork, Work};
use crate::policy::Condition;
use alloc::vec::Vec;

/// Argument registers of a call.
type Args = [u64; 6];

/// Whether every call that meets `narrow` meets `wide`.
pub(in crate::policy) fn implies(narrow: &[Condition], wide: &[Condition], work: &mut Work) -> Result<bool, OutOfWork> {
    for condition in wide {
        if !narrow.contains(condition) && witness(&[narrow], &[core::slice::from_ref(condition)], work)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A call for which every conjunction of `all` holds and every one of `none` fails, or `None` if there is no such call.
///
/// Its arguments are small where the conditions leave a choice.
pub(in crate::policy) fn witness(
    all: &[&[Condition]],
    none: &[&[Condition]],
    work: &mut Work,
) -> Result<Option<Args>, OutOfWork> {
    let mut search = Search { trail: Vec::new(), choices: Vec::new() };
    search.trail.extend(all.iter().flat_map(|conjunction| conjunction.iter()).map(|condition| (*condition, true)));
    for conjunction in none {
        match conjunction {
            [] => return Ok(None),
            [condition] => search.trail.push((*condition, false)),
            _ => {}
        }
    }
    search.run(none, work)
}

/// Conditions that are taken to hold (`true`) or to fail (`false`), and the choices that led there.
struct Search<'a> {
    trail: Vec<(Condition, bool)>,
    choices: Vec<Choice<'a>>,
}

/// A conjunction of which one condition must fail: the first ones hold, the next one fails, the others are free.
struct Choice<'a> {
    conjunction: &'a [Condition],
    failing: usize,
    /// Length of the trail before the choice.
    mark: usize,
}

impl<'a> Search<'a> {
    fn run(mut self, none: &[&'a [Condition]], work: &mut Work) -> Result<Option<Args>, OutOfWork> {
        loop {
            if let Some(args) = self.candidate(work)? {
                work.charge(none.len())?;
                let Some(violated) = none.iter().find(|conjunction| conjunction.iter().all(|c| c.holds(&args))) else {
                    return Ok(Some(args));
                };
                self.choices.push(Choice { conjunction: violated, failing: 0, mark: self.trail.len() });
            }
            if !self.advance() {
                return Ok(None);
            }
        }
    }

    /// Takes the next branch of the last choice that has one left.
    fn advance(&mut self) -> bool {
        while let Some(mut choice) = self.choices.pop() {
            self.trail.truncate(choice.mark);
            let (holding, rest) = choice.conjunction.split_at(choice.failing.min(choice.conjunction.len()));
            if let Some(failing) = rest.first() {
                self.trail.extend(holding.iter().map(|condition| (*condition, true)));
                self.trail.push((*failing, false));
                choice.failing = choice.failing.saturating_add(1);
                self.choices.push(choice);
                return true;
            }
        }
        false
    }

    /// The smallest arguments that agree with the trail.
    fn candidate(&self, work: &mut Work) -> Result<Option<Args>, OutOfWork> {
        let mut args = [0; 6];
        for (number, slot) in (0u8..).zip(args.iter_mut()) {
            work.charge(self.trail.len())?;
            let mut register = Word::ANY;
            let mut free = true;
            for (condition, holds) in self.trail.iter().filter(|(condition, _)| condition.arg == number) {
                register.constrain(condition, *holds);
                free = false;
            }
            if !free {
                match register.smallest(work)? {
                    Some(value) => *slot = value,
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(args))
    }
}
