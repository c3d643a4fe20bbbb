//! Policies of minijail: what `minijail0 -S` loads, and what `compile_seccomp_policy.py` compiles beyond that.
//!
//! Both read lines of the form `call: filter` alike, but for one: in `call: EXPRESSION; return ERROR` the expression is
//! what is allowed for the loader, and what fails for the compiler. The loader's reading counts here, with a warning; in a
//! file with anything that only the compiler takes, and outside of a deny list, that line is an error, because then
//! nobody reads it as the loader does.

mod filter;

use super::condition::TooMany;
use super::report::{Reading, profile, rule};
use super::text::{Grammar, Kind, Spot, Token, Tokens, tokens};
use super::{Imported, MAX_ALTERNATIVES, MAX_DEPTH};
use crate::arch::Arch;
use crate::bpf::Action;
use crate::profile::json::value::{cut, quote};
use crate::profile::{Arg, Call, Code, Foreign, Rule};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const GRAMMAR: Grammar = Grammar {
    comment: "#",
    like_c: false,
    by_lines: true,
    marks: &[
        "\n", "||", "&&", "==", "!=", "<=", ">=", "<", ">", "&", "|", "~", "(", ")", "{", "}", "[", "]", ":", ";", ",",
        "=", "@",
    ],
    inside_words: &['-', '@'],
};

/// Names of machines in `[arch=...]`.
const MACHINES: [(&str, Arch); 9] = [
    ("x86_64", Arch::X86_64),
    ("x86", Arch::X86),
    ("i386", Arch::X86),
    ("arm64", Arch::Aarch64),
    ("aarch64", Arch::Aarch64),
    ("arm", Arch::Arm),
    ("riscv64", Arch::Riscv64),
    ("mips", Arch::Mips),
    ("mips64", Arch::Mips64),
];

const ACTIONS: [(&str, Action); 8] = [
    ("allow", Action::Allow),
    ("kill", KILL),
    ("kill-process", Action::KillProcess),
    ("kill-thread", Action::KillThread),
    ("trap", Action::Trap(0)),
    ("trace", Action::Trace(0)),
    ("log", Action::Log),
    ("user-notify", Action::Notify),
];

/// What `kill` is since Linux 4.14.
const KILL: Action = Action::KillProcess;

/// Reads a policy.
pub(super) fn read(reading: &mut Reading<'_>) -> Vec<Imported> {
    let mut parser = Parser {
        default: None,
        rules: Vec::new(),
        closed: BTreeMap::new(),
        named: BTreeMap::new(),
        frequencies: BTreeMap::new(),
        only_compiler: None,
        doubtful: Vec::new(),
        denies: false,
        reading,
    };
    let text = parser.reading.text;
    parser.file(text, 0, 0);
    parser.finish()
}

struct Parser<'r, 't> {
    reading: &'r mut Reading<'t>,
    default: Option<Action>,
    rules: Vec<Rule>,
    /// Calls that have an action without conditions, and where.
    closed: BTreeMap<Call, Spot>,
    /// Calls that have a line, and where the first is.
    named: BTreeMap<Call, Spot>,
    frequencies: BTreeMap<String, u64>,
    /// The first thing that the loader does not take.
    only_compiler: Option<(Spot, &'static str)>,
    /// Lines `call: EXPRESSION; return ERROR`, of which two readers make opposites.
    doubtful: Vec<Spot>,
    denies: bool,
}

/// What went wrong has been reported.
type Parsed<T> = Option<T>;

impl Parser<'_, '_> {
    fn finish(mut self) -> Vec<Imported> {
        for spot in core::mem::take(&mut self.doubtful) {
            self.settle(spot);
        }
        let default = self.default.unwrap_or(if self.denies { Action::Allow } else { KILL });
        let foreign = Foreign { bad_arch: KILL, x32_is_unlisted: true, multiplexes: false };
        let profile = profile(default, &[self.reading.arch()], foreign, self.rules);
        Vec::from([Imported { name: None, profile, frequencies: self.frequencies.into_iter().collect() }])
    }

    /// Says what the readers differ in, at the end, when it is known which of them can read the file.
    fn settle(&mut self, spot: Spot) {
        let place = self.reading.show(spot);
        let Some((other, what)) = self.only_compiler else {
            let message = "minijail0 -S allows where the expression holds and gives the error elsewhere, as it is read here; \
                           compile_seccomp_policy.py gives the error where it holds";
            self.reading.warn(Code::OverlapTwoActions, &place, message);
            return;
        };
        let other = self.reading.show(other);
        let message = format!(
            "{what} ({other}) is for compile_seccomp_policy.py, which gives the error where the expression holds, while \
             minijail0 -S gives it elsewhere; write {{EXPRESSION; allow, return ERROR}} or {{EXPRESSION; return ERROR}}"
        );
        self.reading.error(Code::NotExpressible, &place, message);
    }

    fn error(&mut self, code: Code, spot: Spot, message: impl Into<String>) {
        let place = self.reading.show(spot);
        self.reading.error(code, &place, message);
    }

    /// Notes that something is for the compiler only.
    fn compiler_only(&mut self, spot: Spot, what: &'static str) {
        self.only_compiler.get_or_insert((spot, what));
    }

    fn file(&mut self, text: &str, file: usize, depth: usize) {
        let list = tokens(text, file, &GRAMMAR, self.reading);
        for line in list.split(|token| token.is("\n")).filter(|line| !line.is_empty()) {
            let end = line.last().map_or(Spot { file, line: 1, column: 1 }, |last| last.spot);
            let mut line = Tokens::new(line.to_vec(), end);
            if self.statement(&mut line, depth).is_some() && line.peek().is_some() {
                let (spot, found) = (line.spot(), line.found());
                self.error(Code::Syntax, spot, format!("unexpected {found}: the statement is complete before it"));
            }
        }
    }

    fn statement(&mut self, line: &mut Tokens, depth: usize) -> Parsed<()> {
        let spot = line.spot();
        if !line.take("@") {
            return self.filter_statement(line);
        }
        let word = line.next();
        match word.as_ref().map(|token| &token.kind) {
            Some(Kind::Word(word)) if word == "include" => self.include(line, depth),
            Some(Kind::Word(word)) if word == "frequency" => {
                let (text, file) = self.included(line)?;
                self.frequency_file(&text, file);
                Some(())
            }
            Some(Kind::Word(word)) if word == "default" => {
                self.compiler_only(spot, "@default");
                let at = line.spot();
                let action = self.word_action(line)?;
                if matches!(action, Action::Allow | Action::Log | Action::Trace(_)) {
                    self.error(
                        Code::BadField,
                        at,
                        "the default has to deny: kill, kill-process, kill-thread, trap or user-notify",
                    );
                }
                self.default = Some(action);
                Some(())
            }
            Some(Kind::Word(word)) if word == "denylist" => {
                self.compiler_only(spot, "@denylist");
                if !self.named.is_empty() {
                    self.error(Code::Syntax, spot, "@denylist has to come before all filters");
                }
                self.denies = true;
                Some(())
            }
            other => {
                let found = other.map_or_else(|| "the end".into(), Kind::show);
                let message = format!(
                    "unknown statement @{}; known are @include, @frequency, @default, @denylist",
                    found.trim_matches('"')
                );
                self.error(Code::Syntax, spot, message);
                None
            }
        }
    }

    /// The text of the file that a path names.
    fn included(&mut self, line: &mut Tokens) -> Parsed<(String, usize)> {
        let spot = line.spot();
        match line.next().map(|token| token.kind) {
            Some(Kind::Text(path)) => self.reading.open(spot, &path),
            other => {
                let found = other.map_or_else(|| "the end".into(), |kind| kind.show());
                self.error(Code::Syntax, spot, format!("a path that begins with / or ./ is expected, found {found}"));
                None
            }
        }
    }

    fn include(&mut self, line: &mut Tokens, depth: usize) -> Parsed<()> {
        let spot = line.spot();
        if depth >= MAX_DEPTH {
            self.error(Code::TooLarge, spot, format!("files include each other more than {MAX_DEPTH} deep"));
            return None;
        }
        if depth > 0 {
            self.compiler_only(spot, "an @include in an included file");
        }
        let (text, file) = self.included(line)?;
        self.file(&text, file, depth.saturating_add(1));
        Some(())
    }

    /// Lines `call: count`.
    fn frequency_file(&mut self, text: &str, file: usize) {
        let list = tokens(text, file, &GRAMMAR, self.reading);
        for line in list.split(|token| token.is("\n")).filter(|line| !line.is_empty()) {
            let spot = line.first().map_or(Spot { file, line: 1, column: 1 }, |first| first.spot);
            let [Token { kind: Kind::Word(name), .. }, colon, Token { kind: Kind::Number(count, _), .. }] = line else {
                self.error(Code::Syntax, spot, "a line \"call: count\" is expected");
                continue;
            };
            let place = self.reading.show(spot);
            if !colon.is(":") {
                self.error(Code::Syntax, colon.spot, format!("\":\" is expected, found {}", colon.kind.show()));
            } else if self.reading.knows(name, &place) {
                let sum = self.frequencies.entry(name.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
    }

    fn filter_statement(&mut self, line: &mut Tokens) -> Parsed<()> {
        let spot = line.spot();
        let mut calls = Vec::new();
        if line.take("{") {
            self.compiler_only(spot, "a list of calls");
            loop {
                calls.extend(self.descriptor(line)?);
                if !line.take(",") {
                    break;
                }
            }
            self.expect(line, "}")?;
        } else {
            calls.extend(self.descriptor(line)?);
        }
        self.expect(line, ":")?;
        self.filters(line, &calls, spot)
    }

    fn expect(&mut self, line: &mut Tokens, mark: &str) -> Parsed<()> {
        if line.take(mark) {
            return Some(());
        }
        let (spot, found) = (line.spot(), line.found());
        self.error(Code::Syntax, spot, format!("{} is expected, found {found}", quote(mark)));
        None
    }

    /// A call; `Some(None)` if it is for other machines.
    fn descriptor(&mut self, line: &mut Tokens) -> Parsed<Option<Call>> {
        let spot = line.spot();
        let name = line.next();
        let for_us = !line.peek_is("[") || self.is_for_us(line)?;
        let call = match name.map(|token| token.kind) {
            Some(Kind::Word(name)) if name.contains('@') => {
                let message =
                    format!("{} is a group, and groups come with a constants.json; name the calls", quote(&name));
                self.error(Code::NotExpressible, spot, message);
                return None;
            }
            Some(Kind::Word(name)) => {
                let place = self.reading.show(spot);
                if !for_us {
                    return Some(None);
                }
                if !self.reading.knows(&name, &place) {
                    return Some(None);
                }
                Call::Name(name)
            }
            Some(Kind::Number(value, text)) => {
                let Ok(number) = u32::try_from(value) else {
                    self.error(Code::BadField, spot, format!("{} is no number of a system call", cut(&text)));
                    return None;
                };
                Call::Number(self.reading.arch(), number)
            }
            other => {
                let found = other.map_or_else(|| "the end".into(), |kind| kind.show());
                self.error(Code::Syntax, spot, format!("a system call is expected, found {found}"));
                return None;
            }
        };
        Some(for_us.then_some(call))
    }

    /// Whether `[arch=a,b]` names the machine.
    fn is_for_us(&mut self, line: &mut Tokens) -> Parsed<bool> {
        let spot = line.spot();
        self.compiler_only(spot, "a condition on the machine");
        self.expect(line, "[")?;
        let key = line.next();
        if !key.as_ref().is_some_and(|key| key.is_word("arch")) {
            self.error(Code::Syntax, spot, "a condition of the form [arch=NAME,NAME] is expected");
            return None;
        }
        self.expect(line, "=")?;
        let mut is_ours = false;
        loop {
            let spot = line.spot();
            let name = line.next();
            let Some(Kind::Word(name)) = name.map(|token| token.kind) else {
                self.error(Code::Syntax, spot, "the name of a machine is expected, such as x86_64 or arm64");
                return None;
            };
            is_ours |= self.reading.is_machine(&MACHINES, &name, spot);
            if !line.take(",") {
                break;
            }
        }
        self.expect(line, "]")?;
        Some(is_ours)
    }

    /// A filter, or in braces several of which the first that matches counts.
    fn filters(&mut self, line: &mut Tokens, calls: &[Call], spot: Spot) -> Parsed<()> {
        for call in calls {
            let repeated = self.named.get(call).copied();
            if repeated.is_some() {
                self.compiler_only(spot, "a second line for the same call");
            } else {
                self.named.insert(call.clone(), spot);
            }
        }
        let brace = line.spot();
        if !line.take("{") {
            return self.single(line, calls, false);
        }
        self.compiler_only(brace, "a list of filters");
        loop {
            self.single(line, calls, true)?;
            if !line.take(",") {
                break;
            }
        }
        self.expect(line, "}")
    }

    fn single(&mut self, line: &mut Tokens, calls: &[Call], in_braces: bool) -> Parsed<()> {
        let spot = line.spot();
        let is_argument = matches!(line.peek().map(|token| &token.kind), Some(Kind::Word(word)) if is_argument(word));
        if !is_argument {
            let action = self.action(line)?;
            if self.denies && !matches!(action, Action::Errno(_)) {
                self.error(Code::BadField, spot, "every filter of a deny list has to return an error (return ERROR)");
            }
            self.add(calls, action, Ok(Vec::from([Vec::new()])), spot);
            return Some(());
        }
        let expr = self.expression(line)?;
        if !line.take(";") {
            if self.denies {
                self.error(Code::BadField, spot, "every filter of a deny list has to return an error (; return ERROR)");
            }
            self.add(calls, Action::Allow, expr.alternatives(MAX_ALTERNATIVES), spot);
            return Some(());
        }
        let returns = line.peek().is_some_and(|token| token.is_word("return"));
        let action = self.action(line)?;
        if in_braces || self.denies {
            self.add(calls, action, expr.alternatives(MAX_ALTERNATIVES), spot);
            return Some(());
        }
        if !returns {
            self.compiler_only(spot, "an expression with an action");
            self.add(calls, action, expr.alternatives(MAX_ALTERNATIVES), spot);
            return Some(());
        }
        self.add(calls, Action::Allow, expr.alternatives(MAX_ALTERNATIVES), spot);
        self.add(calls, action, Ok(Vec::from([Vec::new()])), spot);
        self.doubtful.push(spot);
        Some(())
    }

    /// Adds rules, after all others of these calls.
    fn add(&mut self, calls: &[Call], action: Action, alternatives: Result<Vec<Vec<Arg>>, TooMany>, spot: Spot) {
        let alternatives = match alternatives {
            Ok(alternatives) => alternatives,
            Err(error) => return self.error(Code::TooLarge, spot, error.to_string()),
        };
        if !self.reading.spend(spot, calls.len(), &alternatives) {
            return;
        }
        for call in calls {
            if let Some(first) = self.closed.get(call).copied() {
                let first = self.reading.show(first);
                let message =
                    format!("never reached: the call has an action without conditions already ({first}); remove one");
                self.error(Code::TwoUnconditional, spot, message);
            } else if alternatives.iter().any(Vec::is_empty) {
                self.closed.insert(call.clone(), spot);
            }
        }
        if calls.is_empty() {
            return;
        }
        let place = self.reading.show(spot);
        self.rules.extend(alternatives.into_iter().map(|args| rule(calls.to_vec(), action, args, &place)));
    }
}

/// `arg0` and so on.
fn is_argument(word: &str) -> bool {
    word.strip_prefix("arg")
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
