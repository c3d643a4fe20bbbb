//! What Firecracker's filters do, from its JSON: the calls that Firecracker hands to libseccomp, taken at their word.

use super::inputs::compare;
use callsieve::Target;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::import::Language;
use serde_json::Value;
use std::fs;

fn action(value: &Value) -> Action {
    match value.as_str() {
        Some("allow") => Action::Allow,
        Some("log") => Action::Log,
        Some("trap") => Action::Trap(0),
        Some("kill_thread") => Action::KillThread,
        Some("kill_process") => Action::KillProcess,
        Some(other) => panic!("{other}"),
        None => match (&value["errno"], &value["trace"]) {
            (Value::Number(errno), _) => Action::Errno(errno.as_u64().unwrap().try_into().unwrap()),
            (_, trace) => Action::Trace(trace.as_u64().unwrap().try_into().unwrap()),
        },
    }
}

fn holds(condition: &Value, args: &[u64; 6]) -> bool {
    let argument = args[usize::try_from(condition["index"].as_u64().unwrap()).unwrap()];
    let value = condition["val"].as_u64().unwrap();
    match condition["op"].as_str() {
        Some("eq") if condition["type"] == "dword" => argument & 0xffff_ffff == value & 0xffff_ffff,
        Some("eq") => argument == value,
        Some("ne") => argument != value,
        Some("lt") => argument < value,
        Some("le") => argument <= value,
        Some("gt") => argument > value,
        Some("ge") => argument >= value,
        Some(other) => panic!("{other}"),
        None => {
            let mask = condition["op"]["masked_eq"].as_u64().unwrap();
            argument & mask == value & mask
        }
    }
}

fn evaluate(filter: &Value, arch: Arch, call: &SyscallData) -> Action {
    if call.arch != arch.audit() || (arch == Arch::X86_64 && call.nr & 1 << 30 != 0 && call.nr != u32::MAX) {
        return Action::KillThread;
    }
    let matches = |entry: &&Value| {
        arch.number(entry["syscall"].as_str().unwrap()) == Some(call.nr)
            && entry["args"].as_array().is_none_or(|args| args.iter().all(|condition| holds(condition, &call.args)))
    };
    let rule = filter["filter"].as_array().unwrap().iter().find(matches);
    action(&filter[if rule.is_some() { "filter_action" } else { "default_action" }])
}

#[test]
fn filters_do_what_firecracker_does() {
    let mut judged = 0;
    for file in super::good_files(Language::Firecracker) {
        let json: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        for arch in [Arch::X86_64, Arch::Aarch64, Arch::Riscv64] {
            let Ok(imported) = super::read(Language::Firecracker, arch, &file) else { continue };
            for thread in imported {
                let filter = &json[thread.name().unwrap()];
                let entries = filter["filter"].as_array().unwrap();
                let checked: Vec<u32> =
                    entries.iter().map(|e| arch.number(e["syscall"].as_str().unwrap()).unwrap()).collect();
                let mut checked = checked;
                checked.dedup();
                let conditions = entries.iter().filter_map(|entry| entry["args"].as_array()).flatten();
                let masks = |condition: &Value| [condition["val"].as_u64(), condition["op"]["masked_eq"].as_u64()];
                let mut constants: Vec<u64> = conditions.flat_map(masks).flatten().collect();
                constants.truncate(24);
                let policy = thread.profile().resolve(&Target::new(arch)).unwrap();
                let what = file.display().to_string();
                compare(&what, (&policy, arch), &checked, &constants, |call| evaluate(filter, arch, call));
                judged += 1;
            }
        }
    }
    assert!(judged >= 40, "{judged}");
}
