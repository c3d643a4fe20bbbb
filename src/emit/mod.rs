//! Code to instructions: places, jumps and their reach, byte order.
//!
//! The program grows from its last instruction to its first. Every jump of the machine leads forward, so a target has
//! its final place before anything jumps to it, and all distances are known when a jump is written.
//!
//! - Of the two sides of a comparison the one that is taken more often is emitted last and so lies directly behind it:
//!   the kernel turns such a jump into one eBPF instruction instead of two. For a bit test it is always the false side,
//!   because the kernel cannot invert it.
//! - A conditional jump reaches 255 instructions. For a target that is farther away a stepping stone is put in between:
//!   a copy of it if it is a return, else an unconditional jump. Later jumps use the stepping stone as well.

use crate::bpf::{Endian, Insn, SyscallData, opcode};
use crate::code::{Code, CodeId, Flow, Input, Op, Step};
use alloc::vec::Vec;

/// The instructions of the code below a root; possibly more than the kernel accepts.
pub(crate) fn emit(code: &Code, root: CodeId, flow: &Flow, endian: Endian) -> Vec<Insn> {
    let mut emitter = Emitter { code, endian, backwards: Vec::new(), place: alloc::vec![None; code.len()] };
    // An explicit stack: code can be deeper than the stack of a thread.
    let mut todo = Vec::from([Task::Visit(root)]);
    while let Some(task) = todo.pop() {
        match task {
            Task::Visit(id) if emitter.place[id.index()].is_some() => {}
            Task::Visit(id) => {
                todo.push(Task::Place(id));
                for child in children(code.step(id), flow) {
                    todo.push(Task::Visit(child));
                }
            }
            // It may have been placed while its children were.
            Task::Place(id) if emitter.place[id.index()].is_some() => {}
            Task::Place(id) => emitter.put(id),
        }
    }
    emitter.backwards.reverse();
    emitter.backwards
}

enum Task {
    Visit(CodeId),
    Place(CodeId),
}

/// What a step leads to; the first shall lie directly behind it.
fn children(step: Step, flow: &Flow) -> impl Iterator<Item = CodeId> {
    let (near, far) = match step {
        Step::Return(_) => (None, None),
        Step::Load(_, next) | Step::And { next, .. } => (Some(next), None),
        Step::Test { op: Op::Set, yes, no, .. } => (Some(no), Some(yes)),
        Step::Test { yes, no, .. } if flow.at(yes) > flow.at(no) => (Some(yes), Some(no)),
        Step::Test { yes, no, .. } => (Some(no), Some(yes)),
    };
    near.into_iter().chain(far)
}

struct Emitter<'a> {
    code: &'a Code,
    endian: Endian,
    /// The last instruction comes first.
    backwards: Vec<Insn>,
    /// Index in `backwards` of the nearest copy of a step, or of a jump to it.
    place: Vec<Option<usize>>,
}

impl Emitter<'_> {
    fn put(&mut self, id: CodeId) {
        match self.code.step(id) {
            Step::Return(raw) => self.push(Insn::stmt(opcode::RET_K, raw)),
            Step::Load(input, next) => {
                self.reach(next, 0);
                self.push(Insn::stmt(opcode::LD_W_ABS, offset(input, self.endian)));
            }
            Step::And { mask, next, .. } => {
                self.reach(next, 0);
                self.push(Insn::stmt(opcode::AND_K, mask));
            }
            Step::Test { op, k, yes, no, .. } => {
                // One less for the first, because a stepping stone for the second may still come between.
                self.reach(yes, 254);
                self.reach(no, 255);
                let (jt, jf) = (self.jump(yes), self.jump(no));
                self.push(Insn::new(operation(op), jt, jf, k));
            }
        }
        self.place[id.index()] = self.backwards.len().checked_sub(1);
    }

    fn push(&mut self, insn: Insn) {
        self.backwards.push(insn);
    }

    /// Instructions between a step and the one that is written next.
    fn distance(&self, id: CodeId) -> usize {
        // Children are placed before their parents.
        let place = self.place[id.index()].unwrap_or(0);
        self.backwards.len().saturating_sub(place + 1)
    }

    fn jump(&self, id: CodeId) -> u8 {
        u8::try_from(self.distance(id)).unwrap_or(u8::MAX)
    }

    /// Makes a step reachable over at most `limit` instructions.
    fn reach(&mut self, id: CodeId, limit: usize) {
        let distance = self.distance(id);
        if distance <= limit {
            return;
        }
        let stone = match self.code.step(id) {
            Step::Return(raw) => Insn::stmt(opcode::RET_K, raw),
            _ => Insn::stmt(opcode::JA, u32::try_from(distance).unwrap_or(u32::MAX)),
        };
        self.push(stone);
        self.place[id.index()] = self.backwards.len().checked_sub(1);
    }
}

fn operation(op: Op) -> u16 {
    match op {
        Op::Eq => opcode::JEQ_K,
        Op::Ge => opcode::JGE_K,
        Op::Set => opcode::JSET_K,
    }
}

/// Offset of the instruction pointer.
const IP: u32 = 8;

fn offset(input: Input, endian: Endian) -> u32 {
    let offset = match input {
        Input::Nr => Some(SyscallData::NR),
        Input::Arch => Some(SyscallData::ARCH),
        Input::Low(arg) => SyscallData::low_word(arg, endian),
        Input::High(arg) => SyscallData::high_word(arg, endian),
        Input::IpLow => Some(if endian == Endian::Little { IP } else { IP + 4 }),
        Input::IpHigh => Some(if endian == Endian::Little { IP + 4 } else { IP }),
    };
    // Arguments are numbered 0 to 5; the program check refuses this offset.
    offset.unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::{Action, Program};
    use crate::code::Held;

    /// A chain of equality tests, each of which returns something else, so that nothing is near.
    fn chain(length: u32) -> (Code, CodeId) {
        let mut code = Code::default();
        let mut next = code.ret(Action::KillProcess);
        for number in (0..length).rev() {
            let found = code.ret(if number % 2 == 0 { Action::Allow } else { Action::Errno(1) });
            next = code.test(Held::all(Input::Nr), (Op::Eq, number), found, next);
        }
        let root = code.enter(None, next);
        (code, root)
    }

    #[test]
    fn far_returns_are_copied() {
        let (code, root) = chain(700);
        let insns = emit(&code, root, &Flow::of(&code, root, &[]), Endian::Little);
        let program = Program::new(insns.clone()).unwrap();
        // Two returns again about every 255 instructions.
        assert!(program.len() > 704 && program.len() < 715, "{}", program.len());
        for number in [0, 1, 350, 699, 700] {
            let data = SyscallData { nr: number, ..SyscallData::default() };
            let wanted = match number {
                700 => Action::KillProcess,
                even if even % 2 == 0 => Action::Allow,
                _ => Action::Errno(1),
            };
            assert_eq!(follow(&insns, &data), wanted.to_raw());
        }
    }

    #[test]
    fn the_hot_side_lies_behind_its_test() {
        let mut code = Code::default();
        let (allow, kill) = (code.ret(Action::Allow), code.ret(Action::KillProcess));
        let test = code.test(Held::all(Input::Nr), (Op::Ge, 5), allow, kill);
        let root = code.enter(None, test);
        for (nr, first) in [(9, Action::Allow), (1, Action::KillProcess)] {
            let call = crate::code::Shares { token: 0, nr, weight: 100 };
            let insns = emit(&code, root, &Flow::of(&code, root, &[call]), Endian::Little);
            assert_eq!(insns[2].k, first.to_raw());
        }
    }

    /// What the few operations of these tests do.
    fn follow(insns: &[Insn], data: &SyscallData) -> u32 {
        let mut pc = 0;
        loop {
            let insn = insns[pc];
            pc += 1;
            match insn.code {
                opcode::JEQ_K => pc += usize::from(if data.nr == insn.k { insn.jt } else { insn.jf }),
                opcode::JA => pc += insn.k as usize,
                opcode::RET_K => return insn.k,
                _ => {}
            }
        }
    }
}
