//! What a kafel policy does: the files of this folder, read into lists of words and evaluated call by call. Names and sizes
//! of arguments are those of the manual pages for the calls that the files name; no error is told.

use super::inputs::compare;
use callsieve::Target;
use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::import::Language;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Arguments of calls; those with a `*` have 32 bits.
const CALLS: [(&str, &str); 22] = [
    ("read", "*fd buf count"),
    ("write", "*fd buf count"),
    ("readv", "fd vec vlen"),
    ("writev", "fd vec vlen"),
    ("open", "filename *flags *mode"),
    ("openat", "*dfd filename *flags *mode"),
    ("close", "*fd"),
    ("mmap", "addr len prot flags fd off"),
    ("munmap", "addr len"),
    ("mprotect", "start len prot"),
    ("lseek", "*fd offset *whence"),
    ("pread64", "*fd buf count pos"),
    ("pwrite64", "*fd buf count pos"),
    ("socket", "*family *type *protocol"),
    ("ioctl", "*fd *cmd arg"),
    ("kill", "*pid *sig"),
    ("dup3", "*oldfd *newfd *flags"),
    ("connect", "*fd uservaddr *addrlen"),
    ("fstat", "*fd statbuf"),
    ("brk", "brk"),
    ("alarm", "*seconds"),
    ("exit_group", "*error_code"),
];

#[derive(Clone, Debug)]
enum Expr {
    Number(u64),
    Argument(usize, u64),
    Two(Box<Expr>, String, Box<Expr>),
    Not(Box<Expr>),
    Always,
}

impl Expr {
    fn value(&self, args: &[u64; 6]) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Argument(index, mask) => args[*index] & mask,
            Self::Two(left, operator, right) => {
                let (left, right) = (left.value(args), right.value(args));
                match operator.as_str() {
                    "&" => left & right,
                    "|" => left | right,
                    "==" => (left == right).into(),
                    "!=" => (left != right).into(),
                    "<" => (left < right).into(),
                    "<=" => (left <= right).into(),
                    ">" => (left > right).into(),
                    ">=" => (left >= right).into(),
                    "&&" => (left != 0 && right != 0).into(),
                    "||" | "," => (left != 0 || right != 0).into(),
                    other => panic!("{other}"),
                }
            }
            Self::Not(inner) => (inner.value(args) == 0).into(),
            Self::Always => 1,
        }
    }

    fn constants(&self, into: &mut Vec<u64>) {
        match self {
            Self::Number(number) => into.push(*number),
            Self::Two(left, _, right) => {
                left.constants(into);
                right.constants(into);
            }
            Self::Not(inner) => inner.constants(into),
            Self::Argument(..) | Self::Always => {}
        }
    }
}

#[derive(Clone, Debug)]
struct Rule {
    number: Option<u32>,
    expr: Expr,
    action: Action,
}

#[derive(Default)]
struct Policy {
    constants: BTreeMap<String, u64>,
    policies: BTreeMap<String, Vec<Rule>>,
    main: Vec<Rule>,
    default: Option<Action>,
}

struct Words {
    list: Vec<String>,
    at: usize,
    arch: Arch,
}

/// Words without comments. A line break is kept as `\n` behind a line that begins with `#`.
fn split(text: &str) -> Vec<String> {
    let mut text = text.to_owned();
    while let Some(begin) = text.find("/*") {
        let end = text[begin..].find("*/").unwrap() + begin + 2;
        text.replace_range(begin..end, " ");
    }
    let mut words = Vec::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap();
        let letters: Vec<char> = line.chars().collect();
        let mut at = 0;
        while at < letters.len() {
            let begin = at;
            if letters[at].is_whitespace() {
                at += 1;
                continue;
            }
            let in_word = |c: char| c.is_alphanumeric() || c == '_';
            if letters[at] == '"' {
                at += 2 + letters[at + 1..].iter().position(|c| *c == '"').unwrap();
            } else if in_word(letters[at]) || (letters[at] == '-' && letters[at + 1].is_numeric()) {
                at += 1;
                while at < letters.len() && in_word(letters[at]) {
                    at += 1;
                }
            } else if at + 1 < letters.len()
                && ["==", "!=", "<=", ">=", "&&", "||"].contains(&&*letters[at..at + 2].iter().collect::<String>())
            {
                at += 2;
            } else {
                at += 1;
            }
            words.push(letters[begin..at].iter().collect());
        }
        if line.trim_start().starts_with('#') {
            words.push("\n".into());
        }
    }
    words
}

fn number(text: &str) -> Option<u64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let value = if let Some(hex) = digits.strip_prefix("0x") {
        u64::from_str_radix(hex, 16).ok()?
    } else if let Some(binary) = digits.strip_prefix("0b") {
        u64::from_str_radix(binary, 2).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

impl Words {
    fn peek(&self) -> &str {
        self.list.get(self.at).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.list[self.at - 1].clone()
    }

    fn take(&mut self, word: &str) -> bool {
        let is = self.peek() == word;
        self.at += usize::from(is);
        is
    }

    fn number(&mut self, policy: &Policy) -> u64 {
        let word = self.next();
        number(&word).unwrap_or_else(|| policy.constants[&word])
    }

    fn action(&mut self, policy: &Policy) -> Action {
        let word = self.next();
        let mut data = || {
            assert!(self.take("("));
            let number = self.number(policy);
            assert!(self.take(")"));
            u16::try_from(number).unwrap()
        };
        match word.as_str() {
            "ALLOW" => Action::Allow,
            "LOG" => Action::Log,
            "KILL" | "KILL_THREAD" | "DENY" => Action::KillThread,
            "KILL_PROCESS" => Action::KillProcess,
            "USER_NOTIF" => Action::Notify,
            "ERRNO" => Action::Errno(data()),
            "TRAP" => Action::Trap(data()),
            "TRACE" => Action::Trace(data()),
            other => panic!("{other}"),
        }
    }

    /// `USE name` or a block.
    fn rules(&mut self, policy: &Policy) -> Vec<Rule> {
        if self.take("USE") {
            return policy.policies[&self.next()].clone();
        }
        let action = self.action(policy);
        assert!(self.take("{"));
        let mut rules = Vec::new();
        while !self.take("}") {
            rules.extend(self.rule(policy, action));
            self.take(",");
        }
        rules
    }

    #[allow(clippy::cast_possible_truncation)] // Numbers of calls have 32 bits.
    fn rule(&mut self, policy: &Policy, action: Action) -> Option<Rule> {
        let name = self.next();
        let alias =
            [("newfstat", "fstat")].into_iter().find(|(alias, _)| *alias == name).map_or(&*name, |(_, own)| own);
        let mut names: Vec<(String, u64)> = Vec::new();
        let nr = if name == "SYSCALL" {
            assert!(self.take("["));
            let number = self.number(policy);
            assert!(self.take("]"));
            Some(number as u32)
        } else if let Some(number) = policy.constants.get(&name) {
            Some(*number as u32)
        } else {
            let known = CALLS.iter().find(|(own, _)| *own == alias).map_or("", |(_, arguments)| arguments);
            let own = |argument: &str| match argument.strip_prefix('*') {
                Some(name) => (name.to_owned(), 0xffff_ffff),
                None => (argument.to_owned(), u64::MAX),
            };
            names = known.split_whitespace().map(own).collect();
            self.arch.number(alias)
        };
        if self.take("(") {
            let mut declared = Vec::new();
            while !self.take(")") {
                let mask = names.get(declared.len()).map_or(u64::MAX, |(_, mask)| *mask);
                declared.push((self.next(), mask));
                self.take(",");
            }
            names = declared;
        }
        let mut for_us = true;
        if self.take("ON") {
            let machine = if self.arch == Arch::X86_64 { "x86_64" } else { "aarch64" };
            for_us = false;
            let several = self.take("{");
            loop {
                for_us |= self.next() == machine;
                if !several || !self.take(",") {
                    break;
                }
            }
            assert!(!several || self.take("}"));
        }
        let mut expr = Expr::Always;
        if self.take("{") && !self.take("}") {
            if for_us {
                expr = self.binary(policy, &names, 0);
                assert!(self.take("}"), "{:?}", self.peek());
            } else {
                while self.next() != "}" {}
            }
        }
        for_us.then_some(Rule { number: nr, expr, action })
    }

    /// Operators by how tightly they bind.
    fn binary(&mut self, policy: &Policy, names: &[(String, u64)], level: usize) -> Expr {
        const LEVELS: [&[&str]; 5] = [&[","], &["||"], &["&&"], &["==", "!=", "<", "<=", ">", ">="], &["&", "|"]];
        if level == LEVELS.len() {
            return self.single(policy, names);
        }
        // `!` binds less tightly than a comparison.
        if level == 3 && self.take("!") {
            return Expr::Not(Box::new(self.binary(policy, names, 3)));
        }
        let mut left = self.binary(policy, names, level + 1);
        while LEVELS[level].contains(&self.peek()) {
            let operator = self.next();
            left = Expr::Two(Box::new(left), operator, Box::new(self.binary(policy, names, level + 1)));
        }
        left
    }

    fn single(&mut self, policy: &Policy, names: &[(String, u64)]) -> Expr {
        if self.take("(") {
            let inner = self.binary(policy, names, 0);
            assert!(self.take(")"));
            return inner;
        }
        let word = self.next();
        if let Some(number) = number(&word).or(policy.constants.get(&word).copied()) {
            return Expr::Number(number);
        }
        let index = names.iter().position(|(name, _)| *name == word).unwrap_or_else(|| panic!("{word} of {names:?}"));
        Expr::Argument(index, names[index].1)
    }
}

fn read(path: &Path, arch: Arch, policy: &mut Policy) {
    let mut words = Words { list: split(&fs::read_to_string(path).unwrap()), at: 0, arch };
    while words.at < words.list.len() {
        match words.peek() {
            "\n" | "," | ";" => words.at += 1,
            "#" => {
                words.at += 1;
                if words.next() == "define" {
                    let name = words.next();
                    let value = words.number(policy);
                    policy.constants.insert(name, value);
                } else {
                    while words.peek().starts_with('"') {
                        let name = words.next();
                        read(&path.parent().unwrap().join(name.trim_matches('"')), arch, policy);
                    }
                }
            }
            "POLICY" => {
                words.at += 1;
                let name = words.next();
                assert!(words.take("{"));
                let mut rules = Vec::new();
                while !words.take("}") {
                    rules.extend(words.rules(policy));
                    words.take(",");
                }
                policy.policies.insert(name, rules);
            }
            "DEFAULT" => {
                words.at += 1;
                policy.default = Some(words.action(policy));
            }
            _ => {
                let rules = words.rules(policy);
                policy.main.extend(rules);
            }
        }
    }
}

fn evaluate(policy: &Policy, arch: Arch, call: &SyscallData) -> Action {
    if call.arch != arch.audit() {
        return Action::KillThread;
    }
    let matches = |rule: &&Rule| rule.number == Some(call.nr) && rule.expr.value(&call.args) != 0;
    policy.main.iter().find(matches).map_or(policy.default.unwrap_or(Action::KillThread), |rule| rule.action)
}

#[test]
fn policies_do_what_kafel_does() {
    let mut judged = 0;
    for file in super::good_files(Language::Kafel) {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let Ok(imported) = super::read(Language::Kafel, arch, &file) else {
                assert_eq!(arch, Arch::Aarch64);
                continue;
            };
            let mut policy = Policy::default();
            read(&file, arch, &mut policy);
            let mut constants = Vec::new();
            policy.main.iter().for_each(|rule| rule.expr.constants(&mut constants));
            let mut checked: Vec<u32> = policy.main.iter().filter_map(|rule| rule.number).collect();
            checked.sort_unstable();
            checked.dedup();
            let resolved = imported[0].profile().resolve(&Target::new(arch)).unwrap();
            let what = file.display().to_string();
            compare(&what, (&resolved, arch), &checked, &constants, |call| evaluate(&policy, arch, call));
            judged += 1;
        }
    }
    assert!(judged >= 30, "{judged}");
}
