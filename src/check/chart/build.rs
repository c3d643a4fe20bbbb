//! From instructions to boxes.
//!
//! A box begins at an instruction with something known about the accumulator. All tests of that word that are reached
//! without looking at another one belong to the box: one pass over the instructions, which only jump forward, tells for
//! each place behind them for which values it is reached. What is reached is the next box or an end.

use super::label::{self, Words};
use super::ranges::Ranges;
use super::{ChartError, Node, Row, Target};
use crate::arch::Arch;
use crate::bpf::{Endian, Insn, Program, SyscallData, opcode};
use crate::check::disassemble::{Listing, disassemble};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// More boxes are no picture.
const MOST_BOXES: usize = 500;
/// The most ranges into which a test of bits may break one range of a word: beyond, the bits are easier to read.
const MOST_PIECES: usize = 8;
/// The same for numbers of calls, which are shown by their names: as many as a compiler tells apart by bits.
const MOST_NUMBERS: usize = 64;
/// More ranges are not looked at while one is made.
const MOST_RANGES: usize = 4_000_000;

/// A word of the call, or some bits of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Word {
    pub(super) offset: u32,
    pub(super) mask: u32,
}

/// Where a box begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    pc: usize,
    /// What the accumulator holds, if it is a word of the call.
    word: Option<Word>,
    /// The architecture, if it is known and still counts.
    token: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exit {
    Place(Place),
    /// What is returned; `None` for the accumulator.
    Return(Option<u32>),
}

/// A box before it gets its words.
struct Raw {
    token: Option<u32>,
    /// Statements that compute something, in front of the test.
    notes: Vec<String>,
    test: Test,
}

enum Test {
    /// A word decides.
    Word(Word, Vec<(Ranges, Exit)>),
    /// Bits of a word decide: those of the mask.
    Bits(Word, u32, [Exit; 2]),
    /// Something computed decides, by this instruction.
    Other(String, [Exit; 2]),
    None(Exit),
}

struct Builder<'a> {
    insns: &'a [Insn],
    listing: Listing<'a>,
    /// Whether the number of the call may be looked at from an instruction on.
    numbers: Vec<bool>,
    ranges: usize,
}

/// All boxes by their places, and where the program begins.
type Found = (BTreeMap<Place, Raw>, Exit);

pub(super) fn build(program: &Program, endian: Endian, assumed: Arch) -> Result<(Target, Vec<Node>), ChartError> {
    let (found, root) = explore(program, endian, assumed)?;
    Ok(name(&found, root, endian, assumed))
}

fn explore(program: &Program, endian: Endian, assumed: Arch) -> Result<Found, ChartError> {
    let insns = program.as_insns();
    let listing = disassemble(program, endian).assuming(assumed);
    let mut builder = Builder { insns, listing, numbers: numbers(insns), ranges: 0 };
    let root = builder.exit(Place { pc: 0, word: None, token: None });
    let mut found: BTreeMap<Place, Raw> = BTreeMap::new();
    let mut open: BTreeSet<Place> = places([root]).collect();
    // Exits lie behind the place, so the first open one is never found again.
    while let Some(place) = open.pop_first() {
        let raw = builder.look(place)?;
        open.extend(places(raw.test.exits()));
        found.insert(place, raw);
        if found.len() > MOST_BOXES {
            return Err(ChartError::TooLarge { limit: MOST_BOXES, of: "boxes" });
        }
    }
    Ok((found, root))
}

fn places(exits: impl IntoIterator<Item = Exit>) -> impl Iterator<Item = Place> {
    exits.into_iter().filter_map(|exit| match exit {
        Exit::Place(place) => Some(place),
        Exit::Return(_) => None,
    })
}

impl Test {
    fn exits(&self) -> Vec<Exit> {
        match self {
            Self::Word(_, rows) => rows.iter().map(|(_, exit)| *exit).collect(),
            Self::Bits(_, _, exits) | Self::Other(_, exits) => exits.to_vec(),
            Self::None(exit) => vec![*exit],
        }
    }
}

impl Builder<'_> {
    fn insn(&self, pc: usize) -> Option<Insn> {
        self.insns.get(pc).copied()
    }

    /// Goes on from an instruction as far as nothing but loads, masks and plain jumps come.
    fn exit(&self, mut place: Place) -> Exit {
        while let Some(insn) = self.insn(place.pc) {
            let next = place.pc.saturating_add(1);
            match (insn.code, place.word) {
                (opcode::RET_K, _) => return Exit::Return(Some(insn.k)),
                (opcode::RET_A, _) => return Exit::Return(None),
                (opcode::LD_W_ABS, _) => place.word = Some(Word { offset: insn.k, mask: u32::MAX }),
                (opcode::AND_K, Some(word)) => place.word = Some(Word { mask: word.mask & insn.k, ..word }),
                (opcode::JA, _) => {
                    place.pc = next.saturating_add(insn.k as usize);
                    continue;
                }
                _ => break,
            }
            place.pc = next;
        }
        let number = place.word.is_some_and(|word| word.offset == SyscallData::NR);
        let counts = number || self.numbers.get(place.pc) == Some(&true);
        Exit::Place(Place { token: place.token.filter(|_| counts), ..place })
    }

    /// What happens from a place on.
    fn look(&mut self, place: Place) -> Result<Raw, ChartError> {
        let (mut at, mut notes) = (place, Vec::new());
        while let Some(insn) = self.insn(at.pc).filter(|insn| !is_jump(*insn)) {
            at.word = match insn.code {
                opcode::ST | opcode::STX | opcode::TAX | opcode::LDX_IMM | opcode::LDX_MEM | opcode::LDX_W_LEN => {
                    at.word
                }
                _ => None,
            };
            notes.push(self.listing.instruction(at.pc).unwrap_or_default());
            at.pc = at.pc.saturating_add(1);
            match self.exit(at) {
                Exit::Place(next) => at = next,
                end @ Exit::Return(_) => return Ok(Raw { token: place.token, notes, test: Test::None(end) }),
            }
        }
        let insn = self.insn(at.pc).unwrap_or(Insn::stmt(opcode::RET_K, 0));
        let sides = [insn.jt, insn.jf]
            .map(|skip| self.exit(Place { pc: at.pc.saturating_add(1).saturating_add(usize::from(skip)), ..at }));
        let test = match at.word.filter(|_| against_constant(insn)) {
            None => Test::Other(self.listing.instruction(at.pc).unwrap_or_default(), sides),
            Some(word) => match split(insn, word, &Ranges::up_to(word.mask)) {
                None => Test::Bits(word, insn.k, sides),
                Some(_) => Test::Word(word, self.switch(at, word)?),
            },
        };
        Ok(Raw { token: place.token, notes, test })
    }

    /// All tests of a word from a place on: for which values which exit is reached.
    fn switch(&mut self, place: Place, word: Word) -> Result<Vec<(Ranges, Exit)>, ChartError> {
        let mut exits: BTreeMap<Exit, Ranges> = BTreeMap::new();
        let mut open = BTreeMap::from([(place.pc, Ranges::up_to(word.mask))]);
        while let Some((pc, values)) = open.pop_first() {
            self.ranges = self.ranges.saturating_add(values.ranges().len());
            if self.ranges > MOST_RANGES {
                return Err(ChartError::TooLarge { limit: MOST_RANGES, of: "ranges of numbers" });
            }
            let mut goes_on = |skip: usize, values: Ranges| {
                if !values.is_empty() {
                    let known = open.entry(pc.saturating_add(1).saturating_add(skip)).or_default();
                    *known = known.union(&values);
                }
            };
            if let Some(insn) = self.insn(pc).filter(|&insn| against_constant(insn))
                && let Some([no, yes]) = split(insn, word, &values)
            {
                goes_on(usize::from(insn.jt), yes);
                goes_on(usize::from(insn.jf), no);
                continue;
            }
            match self.insn(pc) {
                Some(insn) if insn.code == opcode::JA => goes_on(insn.k as usize, values),
                // The same word once more.
                Some(insn) if insn == Insn::stmt(opcode::LD_W_ABS, word.offset) && word.mask == u32::MAX => {
                    goes_on(0, values);
                }
                _ => self.leave(Place { pc, ..place }, values, &mut exits),
            }
        }
        Ok(exits.into_iter().map(|(exit, values)| (values, exit)).collect())
    }

    /// Notes an exit for some values; if they are architectures, an exit for each of them.
    fn leave(&self, place: Place, values: Ranges, exits: &mut BTreeMap<Exit, Ranges>) {
        let mut add = |token: Option<u32>, values: Ranges| {
            let known = exits.entry(self.exit(Place { token, ..place })).or_default();
            *known = known.union(&values);
        };
        if place.word != Some(Word { offset: SyscallData::ARCH, mask: u32::MAX }) {
            return add(place.token, values);
        }
        let mut rest = values;
        let singles: Vec<u32> =
            rest.ranges().iter().filter(|(first, last)| first == last).map(|(first, _)| *first).collect();
        for token in singles {
            let [one, others] = rest.split_equal(token);
            add(Some(token), one);
            rest = others;
        }
        if !rest.is_empty() {
            add(place.token, rest);
        }
    }
}

/// Those for which a test fails, and those for which it holds; `None` if these are too many pieces.
fn split(insn: Insn, word: Word, values: &Ranges) -> Option<[Ranges; 2]> {
    Some(match insn.code {
        opcode::JEQ_K => {
            let [equal, others] = values.split_equal(insn.k);
            [others, equal]
        }
        opcode::JGE_K => values.split_below(insn.k),
        opcode::JGT_K => match insn.k.checked_add(1) {
            Some(bound) => values.split_below(bound),
            None => [values.clone(), Ranges::default()],
        },
        _ => {
            let most = if word.offset == SyscallData::NR { MOST_NUMBERS } else { MOST_PIECES };
            let [with, without] = values.split_bits(insn.k, most)?;
            [without, with]
        }
    })
}

fn against_constant(insn: Insn) -> bool {
    matches!(insn.code, opcode::JEQ_K | opcode::JGT_K | opcode::JGE_K | opcode::JSET_K)
}

fn is_jump(insn: Insn) -> bool {
    against_constant(insn) || matches!(insn.code, opcode::JEQ_X | opcode::JGT_X | opcode::JGE_X | opcode::JSET_X)
}

/// Whether the number may be looked at from each instruction on.
fn numbers(insns: &[Insn]) -> Vec<bool> {
    let mut numbers = vec![false; insns.len()];
    for (pc, &insn) in insns.iter().enumerate().rev() {
        let later = |skip: usize| numbers.get(pc.saturating_add(1).saturating_add(skip)) == Some(&true);
        let here = match insn.code {
            opcode::RET_K | opcode::RET_A => false,
            opcode::LD_W_ABS if insn.k == SyscallData::NR => true,
            opcode::JA => later(insn.k as usize),
            _ if is_jump(insn) => later(usize::from(insn.jt)) || later(usize::from(insn.jf)),
            _ => later(0),
        };
        if let Some(place) = numbers.get_mut(pc) {
            *place = here;
        }
    }
    numbers
}

/// Boxes with words.
fn name(found: &BTreeMap<Place, Raw>, root: Exit, endian: Endian, assumed: Arch) -> (Target, Vec<Node>) {
    let index: BTreeMap<Place, usize> = found.keys().enumerate().map(|(index, place)| (*place, index)).collect();
    let mut calls: BTreeMap<usize, BTreeSet<&'static str>> = BTreeMap::new();
    let mut nodes = Vec::new();
    for (number, raw) in found.values().enumerate() {
        let words = Words { endian, arch: label::abi(raw.token, assumed), known: raw.token.is_some() };
        let target = |exit: Exit| match exit {
            Exit::Return(value) => words.end(value),
            Exit::Place(place) => Target::Box(index.get(&place).copied().unwrap_or_default()),
        };
        let inherited = calls.get(&number).cloned().unwrap_or_default();
        let tests_number = matches!(&raw.test, Test::Word(word, _) if word.offset == SyscallData::NR);
        let (title, rows) = match &raw.test {
            Test::Word(word, rows) => {
                for (values, exit) in rows {
                    if let Target::Box(next) = target(*exit) {
                        let names = if tests_number { words.names(*word, values) } else { BTreeSet::new() };
                        calls.entry(next).or_default().extend(names);
                    }
                }
                (words.title(*word), words.rows(*word, rows).into_iter().map(|(text, exit)| (text, *exit)).collect())
            }
            Test::Bits(word, bits, [yes, no]) => {
                let rows = vec![(format_bits("a bit", *bits), *yes), (format_bits("no bit", *bits), *no)];
                (words.title(*word), rows)
            }
            Test::Other(test, [yes, no]) => (test.clone(), vec![("yes".to_string(), *yes), ("no".to_string(), *no)]),
            Test::None(exit) => ("then".to_string(), vec![(String::new(), *exit)]),
        };
        if !tests_number {
            for place in places(raw.test.exits()) {
                if let Some(next) = index.get(&place) {
                    calls.entry(*next).or_default().extend(inherited.iter().copied());
                }
            }
        }
        let title = raw.notes.iter().map(String::as_str).chain([title.as_str()]).collect::<Vec<_>>().join("; ");
        let rows = rows.into_iter().map(|(text, exit)| Row { text, target: target(exit) }).collect();
        let calls = if tests_number { Vec::new() } else { inherited.into_iter().collect() };
        nodes.push(Node { calls, title, rows });
    }
    let root_words = Words { endian, arch: assumed, known: false };
    let root = match root {
        Exit::Return(value) => root_words.end(value),
        Exit::Place(place) => Target::Box(index.get(&place).copied().unwrap_or_default()),
    };
    (root, nodes)
}

fn format_bits(what: &str, bits: u32) -> String {
    alloc::format!("{what} of {bits:#x} is set")
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
