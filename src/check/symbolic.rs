//! A program as a function of the input bits.
//!
//! The program runs once for all inputs. Registers hold constants, words of the input with a mask, or functions for
//! each bit; only a jump whose test depends on the input makes two states out of one. A state is met once, however many
//! paths lead to it, and what no later instruction reads is not part of it. All jumps go forward, so the functions of
//! the states are built from the last instruction to the first, without recursion.

use super::bdd::{Bdd, Exhausted, FALSE, Ref, TRUE};
use super::bits::{self, Bits};
use super::live::{self, Live};
use super::simulate;
use super::words::Word;
use crate::bpf::{Endian, Insn, SyscallData, opcode};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The function whose leaves are the values that the program returns, and the number of states it took.
pub(super) fn behaviour(bdd: &mut Bdd, insns: &[Insn], endian: Endian) -> Result<(Ref, usize), Exhausted> {
    // What a state takes in memory is to nodes as these shares are to one.
    let nodes = bdd.budget();
    let mut explorer = Explorer {
        insns,
        live: live::live(insns),
        endian,
        bdd,
        numbers: Interned::new(nodes / 16),
        scratches: Interned::new(nodes / 64),
        states: Interned::new(nodes / 4),
        branches: Vec::new(),
    };
    explorer.scratches.id([Value::Constant(0); 16])?;
    let start = State { pc: 0, a: Value::Constant(0), x: Value::Constant(0), scratch: 0 };
    let start = explorer.follow(start)?;
    while let Some(&state) = explorer.states.list.get(explorer.branches.len()) {
        let branch = explorer.branch(state)?;
        explorer.branches.push(branch);
    }
    explorer.resolve(start)
}

/// What a register or scratch word holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Constant(u32),
    Word(Word),
    /// Index in [`Explorer::numbers`].
    Bits(usize),
}

/// In front of an instruction whose effect depends on the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    pc: usize,
    a: Value,
    x: Value,
    /// Index in [`Explorer::scratches`].
    scratch: usize,
}

/// Where a state leads.
#[derive(Clone, Copy, Debug)]
struct Branch {
    test: Ref,
    yes: Target,
    no: Target,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Answer(Ref),
    /// Index in [`Explorer::states`], of a later instruction.
    State(usize),
}

/// Things that got a number when they were first met, at most `limit` of them.
struct Interned<T> {
    list: Vec<T>,
    ids: BTreeMap<T, usize>,
    limit: usize,
}

impl<T: Copy + Ord> Interned<T> {
    fn new(limit: usize) -> Self {
        Self { list: Vec::new(), ids: BTreeMap::new(), limit }
    }

    fn id(&mut self, thing: T) -> Result<usize, Exhausted> {
        let next = self.list.len();
        let id = *self.ids.entry(thing).or_insert(next);
        if id == next {
            if next >= self.limit {
                return Err(Exhausted);
            }
            self.list.push(thing);
        }
        Ok(id)
    }

    fn get(&self, id: usize) -> Option<T> {
        self.list.get(id).copied()
    }
}

struct Explorer<'a> {
    insns: &'a [Insn],
    live: Vec<Live>,
    endian: Endian,
    bdd: &'a mut Bdd,
    numbers: Interned<Bits>,
    scratches: Interned<[Value; 16]>,
    states: Interned<State>,
    /// One per state, as far as they have been visited.
    branches: Vec<Branch>,
}

impl Explorer<'_> {
    /// Executes up to a return or to the next instruction whose effect depends on the input.
    fn follow(&mut self, mut state: State) -> Result<Target, Exhausted> {
        while let Some(&insn) = self.insns.get(state.pc) {
            self.bdd.step()?;
            let next = state.pc.saturating_add(1);
            state.pc = match insn.code {
                opcode::RET_K => return Ok(Target::Answer(self.bdd.leaf(insn.k)?)),
                opcode::RET_A => return self.returned(state.a).map(Target::Answer),
                opcode::JA => next.saturating_add(insn.k as usize),
                code if is_jump(code) => {
                    let (Value::Constant(a), Value::Constant(b)) = (state.a, operand(insn, &state)) else {
                        return self.stop(state);
                    };
                    next.saturating_add(distance(insn, simulate::compare(code, a, b) == Some(true)))
                }
                opcode::DIV_X if !matches!(state.x, Value::Constant(_)) => return self.stop(state),
                opcode::DIV_X if state.x == Value::Constant(0) => return Ok(Target::Answer(self.bdd.leaf(0)?)),
                _ => {
                    self.execute(insn, &mut state)?;
                    next
                }
            };
        }
        // A `Program` ends with a return and its jumps stay inside, so this is not reached.
        Err(Exhausted)
    }

    /// Makes the state canonical: what nobody reads any more is 0.
    fn stop(&mut self, mut state: State) -> Result<Target, Exhausted> {
        let live = self.live.get(state.pc).copied().unwrap_or(Live::ALL);
        if !live.a() {
            state.a = Value::Constant(0);
        }
        if !live.x() {
            state.x = Value::Constant(0);
        }
        if let Some(mut scratch) = self.scratches.get(state.scratch).filter(|_| state.scratch != 0) {
            for (k, value) in (0..).zip(&mut scratch) {
                if !live.scratch(k) {
                    *value = Value::Constant(0);
                }
            }
            state.scratch = self.scratches.id(scratch)?;
        }
        Ok(Target::State(self.states.id(state)?))
    }

    /// Where a state leads: a conditional jump, or a division by an X that may be zero.
    fn branch(&mut self, state: State) -> Result<Branch, Exhausted> {
        let insn = self.insns.get(state.pc).copied().unwrap_or(Insn::stmt(opcode::RET_K, 0));
        let next = state.pc.saturating_add(1);
        if insn.code == opcode::DIV_X {
            let divisor = self.bits(state.x)?;
            let test = bits::any_set(self.bdd, &divisor)?;
            let dividend = self.bits(state.a)?;
            let quotient = bits::arithmetic(self.bdd, insn.code, &dividend, &divisor)?;
            let a = self.number(quotient)?;
            let yes = self.follow(State { pc: next, a, ..state })?;
            return Ok(Branch { test, yes, no: Target::Answer(FALSE) });
        }
        let test = self.test(insn, &state)?;
        let mut side = |holds| self.follow(State { pc: next.saturating_add(distance(insn, holds)), ..state });
        // A test that always comes out the same way has one side only.
        let (yes, no) = match test {
            TRUE => (side(true)?, Target::Answer(FALSE)),
            FALSE => (Target::Answer(FALSE), side(false)?),
            _ => (side(true)?, side(false)?),
        };
        Ok(Branch { test, yes, no })
    }

    fn test(&mut self, insn: Insn, state: &State) -> Result<Ref, Exhausted> {
        use opcode::{JEQ_K, JEQ_X, JGE_K, JGE_X, JGT_K, JGT_X};
        let operand = operand(insn, state);
        if let (Value::Word(word), Value::Constant(k)) = (state.a, operand) {
            let k = u64::from(k);
            return match insn.code {
                JEQ_K | JEQ_X => word.equals(self.bdd, k),
                JGT_K | JGT_X => word.exceeds(self.bdd, k, false),
                JGE_K | JGE_X => word.exceeds(self.bdd, k, true),
                _ => word.intersects(self.bdd, k),
            };
        }
        let (a, b) = (self.bits(state.a)?, self.bits(operand)?);
        bits::compare(self.bdd, insn.code, &a, &b)
    }

    fn execute(&mut self, insn: Insn, state: &mut State) -> Result<(), Exhausted> {
        use opcode::{LD_IMM, LD_MEM, LD_W_ABS, LD_W_LEN, LDX_IMM, LDX_MEM, LDX_W_LEN, ST, STX, TAX, TXA};
        match insn.code {
            LD_W_ABS => state.a = Word::loaded(insn.k, self.endian).map_or(Value::Constant(0), Value::Word),
            LD_IMM => state.a = Value::Constant(insn.k),
            LD_W_LEN => state.a = Value::Constant(SyscallData::SIZE),
            LD_MEM => state.a = self.read(state.scratch, insn.k),
            LDX_IMM => state.x = Value::Constant(insn.k),
            LDX_W_LEN => state.x = Value::Constant(SyscallData::SIZE),
            LDX_MEM => state.x = self.read(state.scratch, insn.k),
            ST => state.scratch = self.write(state.scratch, insn.k, state.a)?,
            STX => state.scratch = self.write(state.scratch, insn.k, state.x)?,
            TAX => state.x = state.a,
            TXA => state.a = state.x,
            _ => state.a = self.arithmetic(insn, state)?,
        }
        Ok(())
    }

    fn arithmetic(&mut self, insn: Insn, state: &State) -> Result<Value, Exhausted> {
        let code = insn.code;
        let operand = if code == opcode::NEG { Value::Constant(0) } else { operand(insn, state) };
        match (code, state.a, operand) {
            (_, Value::Constant(a), Value::Constant(b)) => {
                Ok(Value::Constant(simulate::arithmetic(code, a, b).unwrap_or(0)))
            }
            (opcode::AND_K | opcode::AND_X, Value::Word(word), Value::Constant(mask))
            | (opcode::AND_X, Value::Constant(mask), Value::Word(word)) => {
                let word = word.masked(u64::from(mask));
                Ok(if word.mask == 0 { Value::Constant(0) } else { Value::Word(word) })
            }
            (_, a, b) => {
                let (a, b) = (self.bits(a)?, self.bits(b)?);
                let result = bits::arithmetic(self.bdd, code, &a, &b)?;
                self.number(result)
            }
        }
    }

    fn returned(&mut self, value: Value) -> Result<Ref, Exhausted> {
        let bits = self.bits(value)?;
        bits::leaves(self.bdd, &bits)
    }

    fn bits(&mut self, value: Value) -> Result<Bits, Exhausted> {
        match value {
            Value::Constant(number) => Ok(bits::constant(number)),
            Value::Word(word) => bits::word(self.bdd, word),
            Value::Bits(id) => Ok(self.numbers.get(id).unwrap_or(bits::ZERO)),
        }
    }

    fn number(&mut self, bits: Bits) -> Result<Value, Exhausted> {
        match bits::as_constant(&bits) {
            Some(number) => Ok(Value::Constant(number)),
            None => self.numbers.id(bits).map(Value::Bits),
        }
    }

    fn read(&self, scratch: usize, k: u32) -> Value {
        let words = self.scratches.get(scratch);
        words.and_then(|words| words.get(k as usize).copied()).unwrap_or(Value::Constant(0))
    }

    fn write(&mut self, scratch: usize, k: u32, value: Value) -> Result<usize, Exhausted> {
        let Some(mut words) = self.scratches.get(scratch) else { return Ok(scratch) };
        if let Some(word) = words.get_mut(k as usize) {
            *word = value;
        }
        self.scratches.id(words)
    }

    /// Builds the functions of all states, later instructions first.
    fn resolve(self, start: Target) -> Result<(Ref, usize), Exhausted> {
        let Self { bdd, states, branches, .. } = self;
        let mut order: Vec<usize> = (0..branches.len()).collect();
        order.sort_by_key(|&id| core::cmp::Reverse(states.get(id).map(|state| state.pc)));
        let mut functions = alloc::vec![FALSE; branches.len()];
        let value = |functions: &[Ref], target| match target {
            Target::Answer(function) => function,
            Target::State(id) => functions.get(id).copied().unwrap_or(FALSE),
        };
        for id in order {
            let Some(branch) = branches.get(id) else { continue };
            let function = bdd.ite(branch.test, value(&functions, branch.yes), value(&functions, branch.no))?;
            if let Some(place) = functions.get_mut(id) {
                *place = function;
            }
        }
        Ok((value(&functions, start), branches.len()))
    }
}

fn operand(insn: Insn, state: &State) -> Value {
    if simulate::takes_x(insn.code) { state.x } else { Value::Constant(insn.k) }
}

fn distance(insn: Insn, holds: bool) -> usize {
    usize::from(if holds { insn.jt } else { insn.jf })
}

fn is_jump(code: u16) -> bool {
    simulate::compare(code, 0, 0).is_some()
}
