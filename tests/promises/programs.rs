//! Programs that hold as much as they can of one thing.

use super::cost;
use callsieve::arch::Arch;
use callsieve::bpf::{Endian, Insn, MAX_INSNS, Program, SyscallData, opcode};
use callsieve::check::{Judge, Subject, diff, disassemble};
use callsieve::profile::Profile;
use callsieve::{Compiler, Layer, Policy, Target};
use std::fmt::Write as _;

const WORDS: u32 = SyscallData::SIZE / 4;

/// As long as a program can be: parts, and an end.
fn long(part: impl Fn(u32) -> Vec<Insn>) -> Program {
    let mut insns: Vec<Insn> = (0..16).map(|k| Insn::stmt(opcode::ST, k)).collect();
    let end = [Insn::stmt(opcode::RET_K, 0x7fff_0000), Insn::stmt(opcode::RET_K, 0x0005_0001)];
    for round in 0.. {
        let part = part(round);
        if insns.len() + part.len() + end.len() > MAX_INSNS {
            break;
        }
        insns.extend(part);
    }
    insns.extend(end);
    Program::new(insns).unwrap()
}

fn mixed(round: u32) -> u32 {
    round.wrapping_add(1).wrapping_mul(0x9e37_79b9)
}

fn hostile() -> Vec<(&'static str, Program)> {
    let load = |round: u32| Insn::stmt(opcode::LD_W_ABS, round % WORDS * 4);
    let skip = |code: u16, k: u32| Insn::new(code, 1, 0, k);
    vec![
        (
            "values",
            long(|round| {
                vec![load(round), skip(opcode::JEQ_K, round), Insn::stmt(opcode::RET_K, 0x0005_0000 | (round % 4096))]
            }),
        ),
        (
            "intervals",
            long(|round| {
                vec![
                    load(round),
                    Insn::new(opcode::JGT_K, 0, 1, mixed(round)),
                    Insn::stmt(opcode::RET_K, 0x0005_0000 | (round % 4096)),
                ]
            }),
        ),
        (
            "masks",
            long(|round| {
                vec![
                    load(round),
                    Insn::stmt(opcode::AND_K, mixed(round)),
                    skip(opcode::JEQ_K, mixed(round) & 0x0f0f_0f0f),
                    Insn::stmt(opcode::LDX_IMM, round),
                ]
            }),
        ),
        (
            "bits",
            long(|round| {
                vec![
                    load(round),
                    skip(opcode::JSET_K, mixed(round)),
                    Insn::stmt(opcode::RET_K, 0x0005_0000 | (round % 7)),
                ]
            }),
        ),
        (
            "sums",
            long(|round| {
                vec![
                    load(round),
                    Insn::stmt(opcode::TAX, 0),
                    load(round + 5),
                    Insn::stmt(opcode::ADD_X, 0),
                    skip(opcode::JGT_K, mixed(round)),
                    Insn::stmt(opcode::RET_K, 0x0005_0001),
                ]
            }),
        ),
        (
            "products",
            long(|round| {
                vec![
                    load(round),
                    Insn::stmt(opcode::TAX, 0),
                    load(round + 5),
                    Insn::stmt(opcode::MUL_X, 0),
                    skip(opcode::JGT_K, mixed(round)),
                    Insn::stmt(opcode::RET_K, 0x0005_0001),
                ]
            }),
        ),
        (
            "words compared",
            long(|round| {
                vec![
                    load(round),
                    Insn::stmt(opcode::TAX, 0),
                    load(round + 3),
                    skip(opcode::JEQ_X, 0),
                    Insn::stmt(opcode::RET_K, 0x0005_0001 + round % 3),
                ]
            }),
        ),
        (
            "scratch",
            long(|round| {
                vec![
                    load(round),
                    Insn::stmt(opcode::AND_K, mixed(round)),
                    Insn::stmt(opcode::ST, round % 16),
                    Insn::stmt(opcode::LD_MEM, (round * 7 + 3) % 16),
                    skip(opcode::JEQ_K, mixed(round)),
                    Insn::stmt(opcode::LDX_IMM, round),
                ]
            }),
        ),
    ]
}

/// Everything that takes a program. Each either ends or says which of its budgets does not suffice.
pub fn judged() {
    let arches = [Arch::X86_64, Arch::X86, Arch::X32];
    let target = Target::exactly(&arches);
    let policy = Profile::container_default().unwrap().resolve(&target).unwrap();
    let ours = Compiler::new().compile(&policy).unwrap();
    for (name, program) in hostile() {
        let look = |what: &str, most: usize, body: &dyn Fn(&mut String)| {
            let mut end = String::new();
            let now = cost(|| body(&mut end));
            println!("{name}, {what}: {} at once, {} in all: {}", now.peak, now.total, &end[..end.len().min(100)]);
            assert!(now.peak <= most << 20, "{name}, {what}: {now:?}");
        };
        let told = |end: &mut String, answer: Result<String, String>| {
            let (Ok(text) | Err(text)) = answer;
            write!(end, "{text}").unwrap();
        };
        look("listing", 4, &|end| told(end, Ok(disassemble(&program, Endian::Little).to_string().len().to_string())));
        // What is compared costs the same again, so two are enough.
        let few = matches!(name, "values" | "masks");
        look("judge", 64, &|end| {
            let same = Judge::new().witness(&Subject::program(&program, Endian::Little), &Subject::policy(&policy));
            told(end, same.map(|found| format!("{}", found.is_some())).map_err(|error| error.to_string()));
        });
        look("difference", 64, &|end| {
            if !few {
                return;
            }
            let found =
                diff(&Subject::program(&program, Endian::Little), &Subject::program(ours.program(), Endian::Little));
            told(end, found.map(|_| String::from("told")).map_err(|error| error.to_string()));
        });
        look("recompile", 256, &|end| {
            let made = Compiler::new().recompile(&program, &arches);
            told(
                end,
                made.map(|made| made.into_filter().program().len().to_string()).map_err(|error| error.to_string()),
            );
        });
        look("fuse", 256, &|end| {
            let made = Compiler::new().fuse(&[Layer::new(&program), Layer::new(ours.program())], &arches);
            told(
                end,
                made.map(|made| made.into_filter().program().len().to_string()).map_err(|error| error.to_string()),
            );
        });
        look("export", 256, &|end| {
            let made = Policy::from_program(&program, &target);
            told(end, made.map(|_| String::from("made")).map_err(|error| error.to_string()));
        });
    }
}
