//! `callsieve simulate`: one call through a filter.

use crate::filter::{FilterOptions, Subject};
use crate::outcome::{Done, Failure, Outcome, count};
use crate::syscalls::unknown;
use crate::values::{self, CallWord};
use callsieve::arch::{Arch, Syscall};
use callsieve::bpf::{Action, SyscallData};
use callsieve::check::{Run, disassemble, simulate};
use clap::Args;
use serde_json::json;
use std::fmt::Write;

/// Try one call on a filter: action, number of steps, path
///
/// The filter is run exactly as the kernel runs it. Arguments that are not given are 0. Numbers are decimal, 0x
/// hexadecimal, 0o octal, or negative.
///
/// Exit status: 0 the call is allowed (ALLOW or LOG); 1 it is denied; 2 unusable input or arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve simulate container-default mount
  callsieve simulate container-default socket 40 1 0
  callsieve simulate profile.json clone 0x10000000 --arch x86_64,x86 --abi x86
  callsieve simulate filter.bpf openat -100 0 0o100")]
pub struct Options {
    /// JSON file, - for standard input, container-default, or a raw filter
    #[arg(value_name = "PROFILE|FILE.bpf")]
    profile: String,

    /// Name or number
    #[arg(value_name = "SYSCALL", value_parser = values::call, allow_negative_numbers = true)]
    call: CallWord,

    /// Arguments, at most 6
    #[arg(value_name = "ARG", value_parser = values::number, allow_negative_numbers = true)]
    args: Vec<u64>,

    /// The ABI of the call [default: the first one of the filter]
    #[arg(long, value_name = "NAME", value_parser = values::arch)]
    abi: Option<Arch>,

    /// Write JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    filter: FilterOptions,
}

pub fn execute(options: &Options) -> Outcome {
    let subject = options.filter.load(&options.profile)?;
    let first = subject.arches.first().copied().map_or_else(values::native, Ok)?;
    let arch = options.abi.unwrap_or(first);
    if arch.endian() != subject.endian {
        let text = format!(
            "--abi {arch}: that ABI has another byte order than the filter, which is for {}",
            subject.arch_list()
        );
        return Err(Failure::new(text));
    }
    let nr = number(&options.call, arch)?;
    let call = SyscallData { nr, arch: arch.audit(), args: registers(&options.args, arch)?, ..SyscallData::default() };
    let run = simulate(&subject.program, &call, subject.endian);
    let allowed = matches!(run.action(), Action::Allow | Action::Log);
    let done = if options.json {
        Done::json(&to_json(arch, &call, &run))
    } else {
        Done::text(to_text(&subject, arch, &call, options.args.len(), &run))
    };
    Ok(done.found(!allowed))
}

/// The number of a call on an ABI.
pub fn number(call: &CallWord, arch: Arch) -> Result<u32, Failure> {
    let name = match call {
        CallWord::Number(number) => return Ok(*number),
        CallWord::Name(name) => name,
    };
    let call = Syscall::from_name(name).ok_or_else(|| unknown(name))?;
    call.number(arch).ok_or_else(|| {
        let has = call.arches().map(|arch| arch.to_string()).collect::<Vec<_>>().join(", ");
        Failure::new(format!("{arch} has no call {name}; it exists on {has}"))
    })
}

/// The argument registers. On 32-bit ABIs the kernel shows 32 bits, zero-extended; a negative number is cut to them.
fn registers(args: &[u64], arch: Arch) -> Result<[u64; 6], Failure> {
    let mut registers = [0; 6];
    if args.len() > registers.len() {
        return Err(Failure::new(format!("{} are given, a system call has at most 6", count(args.len(), "argument"))));
    }
    for (index, (slot, &value)) in registers.iter_mut().zip(args).enumerate() {
        *slot = register(index, value, arch)?;
    }
    Ok(registers)
}

/// One of them.
pub fn register(index: usize, value: u64, arch: Arch) -> Result<u64, Failure> {
    match (u32::try_from(value), i32::try_from(value.cast_signed())) {
        _ if arch.has_64bit_args() => Ok(value),
        (Ok(value), _) => Ok(value.into()),
        (_, Ok(negative)) => Ok(negative.cast_unsigned().into()),
        _ => {
            let text = format!("argument {index} ({value:#x}) does not fit the 32 bits that {arch} has");
            Err(Failure::new(text))
        }
    }
}

fn to_json(arch: Arch, call: &SyscallData, run: &Run) -> serde_json::Value {
    json!({
        "call": { "arch": arch.to_string(), "number": call.nr, "name": arch.name(call.nr), "args": call.args },
        "action": run.action().to_string(),
        "raw": run.raw,
        "steps": run.steps,
        "path": run.path,
    })
}

fn to_text(subject: &Subject, arch: Arch, call: &SyscallData, given: usize, run: &Run) -> String {
    let args: Vec<_> = call.args.iter().take(given).map(|&value| values::shown(value)).collect();
    let mut text = format!(
        "{}({}) on {arch}: {}\n",
        called(arch, call.nr),
        args.join(", "),
        values::action_words(run.action(), arch)
    );
    let _ = writeln!(text, "{} of {}:", count(run.path.len(), "step"), count(subject.program.len(), "instruction"));
    let listing = disassemble(&subject.program, subject.endian);
    for &pc in &run.path {
        let _ = writeln!(text, "{pc:>6}  {}", listing.instruction(pc).unwrap_or_default().trim_end());
    }
    text
}

/// A call by name, or by number if it has none.
pub fn called(arch: Arch, nr: u32) -> String {
    arch.name(nr).map_or_else(|| format!("call {}", values::shown(nr.into())), str::to_owned)
}
