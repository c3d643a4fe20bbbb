//! What a minijail policy does: lines taken apart by splitting, and evaluated call by call. Knows the files of this folder,
//! not every policy: no error is told, and numbers of errors and constants are those of x86_64.

use super::inputs::compare;
use callsieve::Target;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::import::Language;
use std::fs;
use std::path::Path;

const CONSTANTS: [(&str, u64); 29] = [
    ("PROT_READ", 1),
    ("PROT_WRITE", 2),
    ("PROT_EXEC", 4),
    ("MAP_PRIVATE", 2),
    ("MAP_ANONYMOUS", 0x20),
    ("AF_UNIX", 1),
    ("AF_INET", 2),
    ("AF_INET6", 10),
    ("AF_NETLINK", 16),
    ("AF_VSOCK", 40),
    ("SOCK_STREAM", 1),
    ("O_RDONLY", 0),
    ("O_WRONLY", 1),
    ("O_RDWR", 2),
    ("O_CREAT", 0x40),
    ("O_TRUNC", 0x200),
    ("O_CLOEXEC", 0x80000),
    ("CLONE_VM", 0x100),
    ("CLONE_THREAD", 0x10000),
    ("F_GETFL", 3),
    ("F_SETFL", 4),
    ("F_DUPFD_CLOEXEC", 1030),
    ("TCGETS", 0x5401),
    ("TCSETS", 0x5402),
    ("FIONREAD", 0x541b),
    ("TIOCSTI", 0x5412),
    ("TIOCLINUX", 0x541c),
    ("PR_SET_NAME", 15),
    ("EPERM", 1),
];

const ERRORS: [(&str, u16); 7] =
    [("EPERM", 1), ("ENOENT", 2), ("EACCES", 13), ("ENOTTY", 25), ("EROFS", 30), ("ENOSYS", 38), ("EAFNOSUPPORT", 97)];

/// One filter: an expression, or none, and what happens where it holds.
struct Filter {
    expression: Option<String>,
    then: Action,
    /// What happens where it does not; `None`: the next filter is asked.
    otherwise: Option<Action>,
}

struct Policy {
    default: Action,
    /// The call and its filters, in the order of the file.
    lines: Vec<(String, Vec<Filter>)>,
}

fn number(text: &str) -> u64 {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let value = if let Some(hex) = text.strip_prefix("0x") {
        u64::from_str_radix(hex, 16).unwrap()
    } else if let Some(hex) = text.strip_prefix("0X") {
        u64::from_str_radix(hex, 16).unwrap()
    } else if text.len() > 1 && text.starts_with('0') {
        u64::from_str_radix(text, 8).unwrap()
    } else {
        text.parse().unwrap()
    };
    if negative { value.wrapping_neg() } else { value }
}

/// A constant expression: the sum of its parts behind `|`, outside of parentheses.
fn value(text: &str) -> u64 {
    let text = text.trim();
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for letter in text.chars() {
        depth += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if letter == '|' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(letter);
        }
    }
    let one = |part: &String| {
        let part = part.trim();
        if let Some(rest) = part.strip_prefix('~') {
            !value(rest)
        } else if let Some(rest) = part.strip_prefix('(') {
            value(rest.strip_suffix(')').unwrap())
        } else if let Some((_, value)) = CONSTANTS.iter().find(|(name, _)| *name == part) {
            *value
        } else {
            number(part)
        }
    };
    parts.iter().map(one).fold(0, |all, part| all | part)
}

/// Whether `arg1 == 2` and so on holds.
fn holds(atom: &str, args: &[u64; 6]) -> bool {
    let atom = atom.trim();
    let argument = args[atom[3..4].parse::<usize>().unwrap()];
    let rest = atom[4..].trim_start();
    let (operator, rest) = rest.split_once(' ').unwrap();
    let value = value(rest);
    match operator {
        "==" => argument == value,
        "!=" => argument != value,
        "<" => argument < value,
        "<=" => argument <= value,
        ">" => argument > value,
        ">=" => argument >= value,
        "&" => argument & value != 0,
        "in" => argument & !value == 0,
        other => panic!("{other}"),
    }
}

fn action(text: &str) -> Action {
    let text = text.trim();
    if let Some(error) = text.strip_prefix("return ") {
        let named = ERRORS.iter().find(|(name, _)| *name == error.trim());
        return Action::Errno(named.map_or_else(|| error.trim().parse().unwrap(), |(_, number)| *number));
    }
    match text {
        "1" | "allow" => Action::Allow,
        "kill" | "kill-process" => Action::KillProcess,
        "kill-thread" => Action::KillThread,
        "trap" => Action::Trap(0),
        "log" => Action::Log,
        "user-notify" => Action::Notify,
        other => panic!("{other}"),
    }
}

fn filters(text: &str, denies: bool) -> Vec<Filter> {
    let text = text.trim();
    let in_braces = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let one = |text: &str| {
        let text = text.trim();
        if !text.starts_with("arg") {
            return Filter { expression: None, then: action(text), otherwise: None };
        }
        match text.split_once(';') {
            None => Filter { expression: Some(text.into()), then: Action::Allow, otherwise: None },
            Some((expression, then)) if in_braces.is_some() || denies => {
                Filter { expression: Some(expression.into()), then: action(then), otherwise: None }
            }
            Some((expression, otherwise)) => {
                Filter { expression: Some(expression.into()), then: Action::Allow, otherwise: Some(action(otherwise)) }
            }
        }
    };
    in_braces.map_or_else(|| vec![one(text)], |text| text.split(',').map(one).collect())
}

fn read(path: &Path, arch: Arch, policy: &mut Policy) {
    let text = fs::read_to_string(path).unwrap().replace("\\\n", " ");
    let denies = text.contains("@denylist");
    for line in text.lines() {
        let line = line.split('#').next().unwrap().trim();
        if line.is_empty() || line.starts_with("@frequency") {
            continue;
        }
        if let Some(other) = line.strip_prefix("@include ") {
            read(&path.parent().unwrap().join(other), arch, policy);
        } else if let Some(default) = line.strip_prefix("@default ") {
            policy.default = action(default);
        } else if line == "@denylist" {
            policy.default = Action::Allow;
        } else {
            let (names, rest) = line.split_once(':').unwrap();
            let machine = if arch == Arch::X86_64 { "x86_64" } else { "arm64" };
            // A comma inside of [...] is none between names.
            let names = names.trim().trim_start_matches('{').trim_end_matches('}').replace("x86_64,x86", "x86_64");
            for name in names.split(',') {
                let (name, condition) = name.trim().split_once('[').unwrap_or((name.trim(), ""));
                if condition.is_empty() || condition.contains(machine) {
                    policy.lines.push((name.into(), filters(rest, denies)));
                }
            }
        }
    }
}

fn evaluate(policy: &Policy, arch: Arch, call: &SyscallData) -> Action {
    if call.arch != arch.audit() {
        return Action::KillProcess;
    }
    let is_it = |name: &str| name.parse() == Ok(call.nr) || arch.number(name) == Some(call.nr);
    for filter in policy.lines.iter().filter(|(name, _)| is_it(name)).flat_map(|(_, filters)| filters) {
        let any =
            |expression: &String| expression.split("||").any(|all| all.split("&&").all(|atom| holds(atom, &call.args)));
        if filter.expression.as_ref().is_none_or(any) {
            return filter.then;
        }
        if let Some(otherwise) = filter.otherwise {
            return otherwise;
        }
    }
    policy.default
}

/// Every constant of the file.
fn constants(policy: &Policy) -> Vec<u64> {
    let filters = policy.lines.iter().flat_map(|(_, filters)| filters);
    let expressions = filters.filter_map(|filter| filter.expression.as_deref());
    let atoms = expressions.flat_map(|text| text.split("||")).flat_map(|text| text.split("&&"));
    atoms.map(|atom| value(atom.trim()[4..].trim_start().split_once(' ').unwrap().1)).collect()
}

#[test]
fn policies_do_what_minijail_does() {
    let mut judged = 0;
    for file in super::good_files(Language::Minijail) {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let Ok(imported) = super::read(Language::Minijail, arch, &file) else {
                assert_eq!(arch, Arch::Aarch64);
                continue;
            };
            let mut policy = Policy { default: Action::KillProcess, lines: Vec::new() };
            read(&file, arch, &mut policy);
            let checked: Vec<u32> =
                policy.lines.iter().filter_map(|(name, _)| name.parse().ok().or(arch.number(name))).collect();
            let resolved = imported[0].profile().resolve(&Target::new(arch)).unwrap();
            let what = file.display().to_string();
            let constants = constants(&policy);
            compare(&what, (&resolved, arch), &checked, &constants, |call| evaluate(&policy, arch, call));
            judged += 1;
        }
    }
    assert!(judged >= 30, "{judged}");
}

/// Counts of a frequency file are for the compiler's weights.
#[test]
fn frequencies_are_told() {
    let file = super::folder(Language::Minijail).join("frequencies.policy");
    let imported = super::read(Language::Minijail, Arch::X86_64, &file).unwrap();
    let expected = [("futex".to_owned(), 16), ("read".into(), 205), ("write".into(), 100)];
    assert_eq!(imported[0].frequencies(), expected);
}
