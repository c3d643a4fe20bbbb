//! Foreign programs as a graph.
//!
//! A stack of programs is run once for all inputs, the newest first as the kernel does. Registers hold constants, bits
//! of a word of the input, or expressions ([`value`]); on the way it is noted which values each word can still have
//! ([`known`]). Where that does not decide a jump, the run splits:
//!
//! - by the value of a word: it is cut where the comparison changes its mind, and all cuts of one word that follow each
//!   other become one `Switch`;
//! - by some bits of a word: a `Mask`;
//! - where a comparison is of neither kind, by one bit after the other of the words that it is made of.
//!
//! The architecture comes first and then the number, in whatever order the programs ask for them, because that is what
//! decides most and what the kernel's allow bitmap needs. States are kept in a normal form (what nobody reads any more is
//! left out), so a tail that several paths share is lifted once.
//!
//! Nothing of this is trusted: `compile` proves the result equal to the stack with the judge's own means, which share no
//! code with these, and runs both on a witness of every path that was walked here.
//!
//! All operations are lifted. What depends on so many bits of the input that it cannot be taken apart one by one (the
//! product of two whole words, say) is refused with the place of the instruction.

mod flow;
mod known;
mod value;

use crate::bpf::{Endian, Insn, SyscallData, opcode};
use crate::graph::{Built, Graph, Node, NodeId, Piece, Word};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use flow::Needs;
use known::{Env, Known, Words, only};
use value::{Expressions, Question, Test, Value};

/// Instructions that may be run.
const STEPS: usize = 8_000_000;
/// States of which the tail is lifted, and paths.
const STATES: usize = 1 << 16;
/// Questions that may be asked on one way.
const DEPTH: usize = 250;
/// Bits of the input that may be taken apart for one comparison of several words, or for one returned value.
const OPEN_BITS: u32 = 12;
/// Bits that a mask may cut off a word that is then compared as a whole.
const FEW_CUT: u32 = 2;
/// The lowest bit of a mask whose blocks are few enough for intervals.
const FEW_BLOCKS: u32 = 28;

/// Programs as a graph.
#[derive(Debug)]
pub(crate) struct Lifted {
    pub(crate) built: Built,
    /// A call for every path that was walked.
    pub(crate) witnesses: Vec<SyscallData>,
}

/// Why programs cannot be lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CannotLift {
    /// An instruction depends on too many bits of the input in no simple way.
    Instruction {
        /// Index in the stack, the oldest is 0.
        program: usize,
        pc: usize,
    },
    /// The budget ran out.
    TooLarge,
}

/// Lifts a stack of programs, the oldest first. `tokens` are the architectures whose numbers matter.
pub(crate) fn lift(programs: &[&[Insn]], endian: Endian, tokens: &[u32]) -> Result<Lifted, CannotLift> {
    let mut lifting = Lifting::new(programs, endian);
    let root = lifting.node(State::start(), DEPTH)?;
    let Lifting { graph, witnesses, .. } = lifting;
    let arches = tokens.iter().map(|&token| (token, behind(&graph, root, token))).collect();
    Ok(Lifted { built: Built { graph, root, arches, chained: 0, orders: false }, witnesses })
}

/// Where an architecture leads.
fn behind(graph: &Graph, root: NodeId, token: u32) -> NodeId {
    match graph.node(root) {
        Node::Switch { word: Word::Arch, pieces } => {
            let after = pieces.partition_point(|piece| piece.start <= token);
            after.checked_sub(1).and_then(|at| pieces.get(at)).map_or(root, |piece| piece.to)
        }
        _ => root,
    }
}

/// One program of the stack.
struct Part<'a> {
    insns: &'a [Insn],
    needs: Vec<Needs>,
    /// Of the architecture and of the number.
    cuts: [Vec<(usize, u32)>; 2],
    /// The lowest rank that it can return.
    lowest: i32,
    /// All words that it loads.
    words: Words,
}

impl<'a> Part<'a> {
    fn new(insns: &'a [Insn], endian: Endian) -> Self {
        let returned = insns.iter().filter_map(|insn| match insn.code {
            opcode::RET_K => Some(rank(insn.k)),
            opcode::RET_A | opcode::DIV_X => Some(i32::MIN),
            _ => None,
        });
        let loads = insns.iter().filter(|insn| insn.code == opcode::LD_W_ABS);
        Self {
            insns,
            needs: flow::needs(insns, endian),
            cuts: [Word::Arch, Word::Nr].map(|word| flow::cuts(insns, endian, word)),
            lowest: returned.min().unwrap_or(i32::MIN),
            words: loads.filter_map(|insn| flow::loaded(insn.k, endian)).fold(0, |words, word| words | only(word)),
        }
    }
}

/// The action part of a returned value as the kernel compares it.
fn rank(raw: u32) -> i32 {
    (raw & 0xffff_0000).cast_signed()
}

/// In front of an instruction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    /// The newest is 0; behind the last one everything is decided.
    program: usize,
    pc: usize,
    a: Value,
    x: Value,
    /// `None` as long as nothing was written.
    scratch: Option<Arc<[Value; 16]>>,
    /// The value that counts so far.
    won: u32,
    env: Env,
}

impl State {
    /// In front of the newest program, with nothing known.
    fn start() -> Self {
        Self {
            program: 0,
            pc: 0,
            a: Value::ZERO,
            x: Value::ZERO,
            scratch: None,
            won: crate::bpf::Action::Allow.to_raw(),
            env: Env::default(),
        }
    }
}

enum Stop {
    Answer(u32),
    Asks(Question),
}

struct Lifting<'a> {
    /// The newest first.
    programs: Vec<Part<'a>>,
    endian: Endian,
    expressions: Expressions,
    graph: Graph,
    known: BTreeMap<State, NodeId>,
    witnesses: Vec<SyscallData>,
    steps: usize,
}

impl<'a> Lifting<'a> {
    fn new(programs: &[&'a [Insn]], endian: Endian) -> Self {
        Self {
            programs: programs.iter().rev().map(|insns| Part::new(insns, endian)).collect(),
            endian,
            expressions: Expressions::default(),
            graph: Graph::default(),
            known: BTreeMap::new(),
            witnesses: Vec::new(),
            steps: STEPS,
        }
    }

    /// What happens from a state on.
    fn node(&mut self, mut state: State, depth: usize) -> Result<NodeId, CannotLift> {
        let question = match self.run(&mut state)? {
            Stop::Answer(raw) => return self.answer(raw, &state),
            Stop::Asks(question) => question,
        };
        let normal = self.normal(&state);
        if let Some(&known) = self.known.get(&normal) {
            self.witness(&state.env)?;
            return Ok(known);
        }
        let depth = depth.checked_sub(1).ok_or(CannotLift::TooLarge)?;
        let first = [Word::Arch, Word::Nr].into_iter().find(|&word| !self.cuts_left(&state, word).is_empty());
        let word = first.unwrap_or(question.word());
        let node = match question {
            Question::Bits { word: own, mask, value } if own == word && cuts(question, &state).is_empty() => {
                let known = state.env.get(word);
                let sides = [known.with(mask, value), known.without(mask, value)];
                let mut nodes = Vec::with_capacity(2);
                for known in sides.into_iter().flatten() {
                    let mut state = state.clone();
                    state.env.set(word, known);
                    nodes.push(self.node(state, depth)?);
                }
                match *nodes.as_slice() {
                    [yes, no] => self.graph.mask(word, (mask, value), yes, no),
                    // Only one of the two can be.
                    [only] => only,
                    _ => return Err(CannotLift::TooLarge),
                }
            }
            _ => self.by_value(state, word, depth)?,
        };
        self.known.insert(normal, node);
        if self.known.len() > STATES { Err(CannotLift::TooLarge) } else { Ok(node) }
    }

    fn answer(&mut self, raw: u32, state: &State) -> Result<NodeId, CannotLift> {
        self.witness(&state.env)?;
        Ok(self.graph.ret_raw(raw))
    }

    /// A choice by the value of a word. The pieces come out in ascending order.
    fn by_value(&mut self, state: State, word: Word, depth: usize) -> Result<NodeId, CannotLift> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut left = Vec::from([state]);
        while let Some(mut state) = left.pop() {
            // Values below the first piece do not occur here, nor do those that were skipped between two.
            let start = if pieces.is_empty() { 0 } else { state.env.get(word).first };
            let cuts = match self.run(&mut state)? {
                Stop::Answer(raw) => {
                    pieces.push(Piece { start, to: self.answer(raw, &state)? });
                    continue;
                }
                Stop::Asks(question) if question.word() == word => {
                    let own = cuts(question, &state);
                    if own.is_empty() { self.cuts_left(&state, word) } else { own }
                }
                Stop::Asks(_) => self.cuts_left(&state, word),
            };
            if cuts.is_empty() {
                pieces.push(Piece { start, to: self.node(state, depth)? });
                continue;
            }
            let known = state.env.get(word).clone();
            let mut last = known.last;
            for &cut in cuts.iter().rev().chain([&known.first]) {
                if let Some(part) = known.within(cut, last) {
                    let mut state = state.clone();
                    state.env.set(word, part);
                    left.push(state);
                }
                last = cut.saturating_sub(1);
            }
        }
        Ok(self.graph.switch(word, &pieces))
    }

    /// Where comparisons that are still to come change their mind about the architecture or the number.
    fn cuts_left(&self, state: &State, word: Word) -> Vec<u32> {
        let place = match word {
            Word::Arch => 0,
            Word::Nr => 1,
            _ => return Vec::new(),
        };
        let known = state.env.get(word);
        if known.first == known.last {
            return Vec::new();
        }
        let parts = self.programs.iter().enumerate().skip(state.program);
        let cuts = parts.flat_map(|(program, part)| {
            let from = if program == state.program { state.pc } else { 0 };
            part.cuts.get(place).into_iter().flatten().filter(move |(pc, _)| *pc >= from).map(|(_, cut)| *cut)
        });
        let needed = self.words_behind(state) & only(word) != 0;
        if needed { inside(cuts.collect(), known) } else { Vec::new() }
    }

    /// The words that may still be looked at.
    fn words_behind(&self, state: &State) -> Words {
        let later = self.programs.iter().skip(state.program.saturating_add(1));
        let later = later.fold(0, |words, part| words | part.words);
        let needs = self.needs(state);
        let mut words = later | needs.words;
        if needs.a() {
            words |= self.expressions.words(state.a);
        }
        if needs.x() {
            words |= self.expressions.words(state.x);
        }
        for (k, value) in state.scratch.iter().flat_map(|scratch| scratch.iter()).enumerate() {
            if needs.scratch(k) {
                words |= self.expressions.words(*value);
            }
        }
        words
    }

    fn needs(&self, state: &State) -> Needs {
        let part = self.programs.get(state.program);
        part.and_then(|part| part.needs.get(state.pc)).copied().unwrap_or_default()
    }

    /// The state without what nobody reads.
    fn normal(&self, state: &State) -> State {
        let needs = self.needs(state);
        let scratch = state.scratch.as_ref().map(|scratch| {
            core::array::from_fn(|k| {
                if needs.scratch(k) { scratch.get(k).copied().unwrap_or(Value::ZERO) } else { Value::ZERO }
            })
        });
        State {
            program: state.program,
            pc: state.pc,
            a: if needs.a() { state.a } else { Value::ZERO },
            x: if needs.x() { state.x } else { Value::ZERO },
            scratch: scratch.filter(|scratch| *scratch != [Value::ZERO; 16]).map(Arc::new),
            won: state.won,
            env: state.env.only(self.words_behind(state)),
        }
    }

    /// Keeps a call that goes the way to here.
    fn witness(&mut self, env: &Env) -> Result<(), CannotLift> {
        let mut call = SyscallData::default();
        for (word, value) in env.values() {
            let half = |register: &mut u64, high: bool| {
                *register |= if high { u64::from(value) << 32 } else { u64::from(value) };
            };
            match word {
                Word::Arch => call.arch = value,
                Word::Nr => call.nr = value,
                Word::IpLow => half(&mut call.instruction_pointer, false),
                Word::IpHigh => half(&mut call.instruction_pointer, true),
                Word::Low(arg) => call.args.get_mut(usize::from(arg)).into_iter().for_each(|arg| half(arg, false)),
                Word::High(arg) => call.args.get_mut(usize::from(arg)).into_iter().for_each(|arg| half(arg, true)),
            }
        }
        self.witnesses.push(call);
        if self.witnesses.len() > STATES { Err(CannotLift::TooLarge) } else { Ok(()) }
    }

    /// Runs on to the end or to the next instruction whose effect is open.
    fn run(&mut self, state: &mut State) -> Result<Stop, CannotLift> {
        loop {
            self.steps = self.steps.checked_sub(1).ok_or(CannotLift::TooLarge)?;
            if state.pc == 0 {
                // What is left can only raise the rank.
                let lowest = self.programs.iter().skip(state.program).map(|part| part.lowest).min();
                if lowest.is_none_or(|lowest| lowest >= rank(state.won)) {
                    return Ok(Stop::Answer(state.won));
                }
            }
            let Some(part) = self.programs.get(state.program) else { return Ok(Stop::Answer(state.won)) };
            let Some(&insn) = part.insns.get(state.pc) else { return Err(CannotLift::TooLarge) };
            let next = state.pc + 1;
            match insn.code {
                opcode::RET_K => return_from(state, insn.k),
                opcode::RET_A => match self.expressions.bits(state.a, &state.env).known() {
                    Some(raw) => return_from(state, raw),
                    None => return self.open(state, &[(state.a, u32::MAX)], OPEN_BITS),
                },
                opcode::JA => state.pc = next + insn.k as usize,
                code if flow::is_comparison(code) => {
                    let operand = if value::takes_x(code) { state.x } else { Value::Constant(insn.k) };
                    let holds = match self.expressions.test(code, state.a, operand, &state.env) {
                        Test::Known(holds) => holds,
                        Test::Asks(question, wanted) => match decide(question, state.env.get(question.word())) {
                            Some(holds) => holds == wanted,
                            None => return Ok(Stop::Asks(question)),
                        },
                        Test::First(question) => return Ok(Stop::Asks(question)),
                        Test::Other => {
                            let words = self.expressions.words(state.a) | self.expressions.words(operand);
                            let most = if words.is_power_of_two() { 32 } else { OPEN_BITS };
                            let wanted = self.expressions.demands(code, state.a, operand, &state.env);
                            return self.open(state, &[(state.a, wanted.0), (operand, wanted.1)], most);
                        }
                    };
                    state.pc = next + usize::from(if holds { insn.jt } else { insn.jf });
                }
                opcode::DIV_X => {
                    let divisor = self.expressions.bits(state.x, &state.env);
                    if divisor.known() == Some(0) {
                        // The kernel ends the program with the result 0.
                        return_from(state, 0);
                    } else if divisor.value == 0 {
                        return self.open(state, &[(state.x, u32::MAX)], OPEN_BITS);
                    } else {
                        state.a = self.expressions.apply(insn.code, state.a, state.x);
                        state.pc = next;
                    }
                }
                _ => {
                    self.execute(insn, state);
                    state.pc = next;
                }
            }
        }
    }

    /// Takes values apart bit by bit.
    fn open(&self, state: &State, values: &[(Value, u32)], most: u32) -> Result<Stop, CannotLift> {
        match self.expressions.open(values, &state.env) {
            (count, Some(question)) if count <= most => Ok(Stop::Asks(question)),
            _ => {
                let program = self.programs.len().saturating_sub(state.program + 1);
                Err(CannotLift::Instruction { program, pc: state.pc })
            }
        }
    }

    fn execute(&mut self, insn: Insn, state: &mut State) {
        use opcode::{LD_IMM, LD_MEM, LD_W_ABS, LD_W_LEN, LDX_IMM, LDX_MEM, LDX_W_LEN, ST, STX, TAX, TXA};
        match insn.code {
            LD_W_ABS => {
                let word = flow::loaded(insn.k, self.endian);
                state.a = word.map_or(Value::ZERO, |word| Value::Cut(word, u32::MAX));
            }
            LD_IMM => state.a = Value::Constant(insn.k),
            LD_W_LEN => state.a = Value::Constant(SyscallData::SIZE),
            LDX_IMM => state.x = Value::Constant(insn.k),
            LDX_W_LEN => state.x = Value::Constant(SyscallData::SIZE),
            LD_MEM => state.a = read(state, insn.k),
            LDX_MEM => state.x = read(state, insn.k),
            ST => write(state, insn.k, state.a),
            STX => write(state, insn.k, state.x),
            TAX => state.x = state.a,
            TXA => state.a = state.x,
            opcode::NEG => state.a = self.expressions.apply(insn.code, state.a, Value::ZERO),
            code => {
                let operand = if value::takes_x(code) { state.x } else { Value::Constant(insn.k) };
                state.a = self.expressions.apply(code, state.a, operand);
            }
        }
    }
}

/// Where a question changes its mind within the values that its word can have, in ascending order.
fn cuts(question: Question, state: &State) -> Vec<u32> {
    let known = state.env.get(question.word());
    let mut cuts: Vec<u32> = question.cuts().into_iter().flatten().collect();
    if let Question::Bits { word, mask, .. } = question {
        let few = if matches!(word, Word::Arch | Word::Nr) { FEW_BLOCKS } else { 31 };
        if mask.trailing_zeros() >= few {
            cuts.extend((1..16_u32).map_while(|number| number.checked_mul(1 << mask.trailing_zeros())));
        }
    }
    inside(cuts, known)
}

fn inside(mut cuts: Vec<u32>, known: &Known) -> Vec<u32> {
    cuts.retain(|&cut| known.first < cut && cut <= known.last);
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// The answer to a question, if all values that are left give the same.
fn decide(question: Question, known: &Known) -> Option<bool> {
    match question {
        Question::Range { first, last, .. } => {
            let open = question.cuts().into_iter().flatten().any(|cut| known.first < cut && cut <= known.last);
            let at = known.first;
            let holds = if first <= last { (first..=last).contains(&at) } else { first <= at || at <= last };
            (!open).then_some(holds)
        }
        Question::Bits { mask, value, .. } => match (known.with(mask, value), known.without(mask, value)) {
            (None, _) => Some(false),
            (_, None) => Some(true),
            _ => None,
        },
    }
}

/// Ends a program of the stack with a value, which counts if its rank is lower than that of the newer ones.
fn return_from(state: &mut State, raw: u32) {
    let won = if rank(raw) < rank(state.won) { raw } else { state.won };
    let env = core::mem::take(&mut state.env);
    *state = State { program: state.program + 1, won, env, ..State::start() };
}

fn read(state: &State, k: u32) -> Value {
    state.scratch.as_ref().and_then(|scratch| scratch.get(k as usize)).copied().unwrap_or(Value::ZERO)
}

fn write(state: &mut State, k: u32, value: Value) {
    let mut scratch = state.scratch.as_deref().copied().unwrap_or([Value::ZERO; 16]);
    if let Some(place) = scratch.get_mut(k as usize) {
        *place = value;
    }
    state.scratch = Some(Arc::new(scratch));
}

#[cfg(test)]
#[path = "lift_tests.rs"]
mod tests;
