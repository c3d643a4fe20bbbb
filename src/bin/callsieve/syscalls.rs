//! `callsieve syscalls`: names and numbers.

use crate::outcome::{Done, Failure, Outcome};
use crate::values::{self, CallWord};
use callsieve::arch::{Arch, Syscall};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;

/// Look up system calls by name or number
///
/// With a name: its number on every ABI, the kernel release that introduced it, and its arguments. With a number: what it is on every
/// ABI, or on those of --arch. Without either: all calls of an ABI (of this machine's, if --arch does not say).
///
/// Numbers are those that a filter sees: with the base of MIPS (4000, 5000 or 6000) and with bit 30 of x32.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callsieve syscalls openat
  callsieve syscalls 257 --arch x86_64
  callsieve syscalls --arch s390x --json")]
pub struct Options {
    /// Name or number (decimal, 0x hexadecimal, 0o octal)
    #[arg(value_name = "NAME|NUMBER", value_parser = values::call, allow_negative_numbers = true)]
    call: Option<CallWord>,

    /// Only these ABIs
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = values::arch)]
    arch: Vec<Arch>,

    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub fn execute(options: &Options) -> Outcome {
    match &options.call {
        Some(CallWord::Name(name)) => by_name(name, options),
        Some(CallWord::Number(number)) => by_number(*number, options),
        None => list(options),
    }
}

fn by_name(name: &str, options: &Options) -> Outcome {
    let call = Syscall::from_name(name).ok_or_else(|| unknown(name))?;
    let wanted = if options.arch.is_empty() { &Arch::ALL[..] } else { &options.arch };
    let numbers = || wanted.iter().filter_map(|&arch| Some((arch, call.number(arch)?)));
    let missing: Vec<_> = wanted.iter().filter(|&&arch| call.number(arch).is_none()).map(ToString::to_string).collect();
    if options.json {
        let numbers = numbers().map(|(arch, number)| (arch.to_string(), number.into())).collect();
        let prototypes = prototypes(call, wanted).into_iter().map(|(text, arches)| {
            json!({ "arguments": text, "arches": arches.iter().map(ToString::to_string).collect::<Vec<_>>() })
        });
        let prototypes: Vec<Value> = prototypes.collect();
        let call = json!({
            "name": name,
            "since": since(call),
            "numbers": Value::Object(numbers),
            "prototypes": prototypes,
        });
        return Ok(Done::json(&call));
    }
    if numbers().next().is_none() {
        let has = call.arches().map(|arch| arch.to_string()).collect::<Vec<_>>().join(", ");
        return Err(Failure::new(format!("{} has no call {name}; it exists on {has}", missing.join(", "))));
    }
    let mut text =
        format!("{name}, {}\n", since(call).map_or("release not known".into(), |since| format!("since Linux {since}")));
    for (arch, number) in numbers() {
        let _ = writeln!(text, "  {:<12} {number:>10}  {number:#x}", arch.to_string());
    }
    if missing.len() > numbers().count() {
        text.push_str("and on no other ABI\n");
    } else if !missing.is_empty() {
        let _ = writeln!(text, "not on {}", missing.join(", "));
    }
    for (arguments, arches) in prototypes(call, wanted) {
        let arches: Vec<String> = arches.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "{name}({arguments})\n  {}", arches.join(", "));
    }
    Ok(Done::text(text))
}

/// The arguments as a filter sees them, each with the ABIs that have them so; those without code have none.
fn prototypes(call: Syscall, wanted: &[Arch]) -> Vec<(String, Vec<Arch>)> {
    let mut found: Vec<(String, Vec<Arch>)> = Vec::new();
    for &arch in wanted {
        let Some(prototype) = call.prototype(arch) else { continue };
        let text = prototype.to_string();
        match found.iter_mut().find(|(known, _)| *known == text) {
            Some((_, arches)) => arches.push(arch),
            None => found.push((text, vec![arch])),
        }
    }
    found
}

fn since(call: Syscall) -> Option<String> {
    call.since().map(|version| version.to_string())
}

/// The failure for a name that no ABI has.
pub fn unknown(name: &str) -> Failure {
    let hint = Syscall::nearest(name).map_or_else(String::new, |near| format!(" (did you mean \"{near}\"?)"));
    Failure::new(format!("unknown syscall \"{name}\"{hint}; callsieve syscalls lists the names"))
}

fn by_number(number: u32, options: &Options) -> Outcome {
    let wanted = if options.arch.is_empty() { &Arch::ALL[..] } else { &options.arch };
    let found: Vec<_> = wanted.iter().filter_map(|&arch| Some((arch, Syscall::from_number(arch, number)?))).collect();
    if found.is_empty() {
        let nobody = match options.arch.as_slice() {
            [] => "no ABI has a call".to_owned(),
            [arch] => format!("{arch} has no call"),
            arches => {
                format!("none of {} has a call", arches.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            }
        };
        return Err(Failure::new(format!("{nobody} with number {number} ({number:#x})")));
    }
    if options.json {
        let names = found.iter().map(|(arch, call)| (arch.to_string(), call.name().into())).collect();
        return Ok(Done::json(&json!({ "number": number, "names": Value::Object(names) })));
    }
    let lines = found.iter().map(|(arch, call)| format!("  {:<12} {}\n", arch.to_string(), call.name()));
    Ok(Done::text(format!("{number} ({number:#x})\n{}", lines.collect::<String>())))
}

fn list(options: &Options) -> Outcome {
    let arches = match options.arch.as_slice() {
        [] => vec![values::native()?],
        arches => arches.to_vec(),
    };
    if options.json {
        let per_arch = arches.iter().map(|&arch| (arch.to_string(), arch.syscalls().map(entry).collect())).collect();
        return Ok(Done::json(&Value::Object(per_arch)));
    }
    let mut text = String::new();
    for arch in arches {
        let _ = writeln!(
            text,
            "{arch}: {} calls; number, name, and the kernel that introduced it",
            arch.syscalls().count()
        );
        for (number, name) in arch.syscalls() {
            let since = Syscall::from_name(name).and_then(since).unwrap_or_default();
            let _ = writeln!(text, "{}", format!("{number:>10}  {name:<28} {since}").trim_end());
        }
    }
    Ok(Done::text(text))
}

fn entry((number, name): (u32, &str)) -> Value {
    json!({ "number": number, "name": name, "since": Syscall::from_name(name).and_then(since) })
}
