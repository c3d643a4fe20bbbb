//! What a file seems to be that could not be read as what it was said to be.
//!
//! Only for messages: nothing is read in another way than it was asked for.

use crate::common::Dialect;
use callsieve::arch::Syscall;
use callsieve::import::Language;

/// What a text seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// A profile in JSON, as container runtimes read it.
    Profile,
    Of(Language),
    /// JSON without any word of those above.
    Json,
}

impl Guess {
    /// Looks for words that only one of the languages has.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if is_object_or_list(text) {
            return Some(Self::of_json(text));
        }
        let lines = || text.lines().map(str::trim);
        let starts = |words: &[&str]| lines().any(|line| words.iter().any(|word| line.starts_with(word)));
        if lines().any(|line| line.starts_with("kind:") && line.ends_with("SeccompProfile")) {
            Some(Self::Of(Language::Operator))
        } else if starts(&["SystemCallFilter=", "[Service]", "[Unit]"]) {
            Some(Self::Of(Language::Systemd))
        } else if starts(&["POLICY ", "USE ", "DEFAULT ", "ALLOW {", "ALLOW{", "#define "]) {
            Some(Self::Of(Language::Kafel))
        } else {
            let call = |line: &str| line.split_once(':').is_some_and(|(name, _)| Syscall::from_name(name).is_some());
            lines().any(call).then_some(Self::Of(Language::Minijail))
        }
    }

    fn of_json(text: &str) -> Self {
        let has = |key: &str| text.contains(&format!("\"{key}\""));
        if has("kind") && has("SeccompProfile") {
            Self::Of(Language::Operator)
        } else if has("defaultAction") {
            Self::Profile
        } else if has("mismatch_action") {
            Self::Of(Language::Seccompiler)
        } else if has("filter_action") {
            Self::Of(Language::Firecracker)
        } else {
            Self::Json
        }
    }

    /// Whether it is what it was read as; then the reader's own messages are better.
    fn is(self, dialect: Dialect) -> bool {
        use Language::{Firecracker, Kafel, Minijail, Seccompiler, Systemd};
        match (self, dialect) {
            (Self::Profile, Dialect::Of(language)) => language == Language::Operator,
            // Two spellings of one language; their readers tell them apart.
            (Self::Of(Seccompiler | Firecracker), Dialect::Of(Seccompiler | Firecracker)) => true,
            (Self::Of(own), Dialect::Of(language)) => own == language,
            (Self::Json, Dialect::Of(language)) => !matches!(language, Minijail | Kafel | Systemd),
            (Self::Of(_), _) => false,
            (Self::Profile | Self::Json, _) => true,
        }
    }

    /// What it is, in words.
    pub fn words(self) -> String {
        match self {
            Self::Profile => "a profile in JSON as container runtimes read it".into(),
            Self::Json => "JSON".into(),
            Self::Of(language) => format!("a file of {language}"),
        }
    }

    /// What is wanted to read it.
    fn advice(self) -> String {
        match self {
            Self::Profile => ", which is read without --from".into(),
            Self::Json => ", and none of the languages of --from that are JSON".into(),
            Self::Of(language) => format!(", which --from {language} reads"),
        }
    }
}

/// One sentence instead of a list of problems, if the text seems to be something else than what it was read as.
pub fn other_than(dialect: Dialect, text: &[u8]) -> Option<String> {
    let guess = Guess::of(std::str::from_utf8(text).ok()?).filter(|guess| !guess.is(dialect))?;
    let no = match dialect {
        Dialect::Auto | Dialect::Oci | Dialect::Docker => "no profile of a container runtime".into(),
        Dialect::Of(language) => format!("no file of {language}"),
    };
    Some(format!("{no}; it seems to be {}{}", guess.words(), guess.advice()))
}

/// Whether a text starts as lists and objects of JSON do. No other language has a quote or a list behind the brace.
fn is_object_or_list(text: &str) -> bool {
    let inside = |open| text.strip_prefix(open).map(|rest: &str| rest.trim_start());
    inside('{').is_some_and(|rest| rest.starts_with(['"', '}']))
        || inside('[').is_some_and(|rest| rest.starts_with(['"', '{', '[']))
}

/// Whether bytes start as a value of JSON does, even one that goes wrong behind its first character.
pub fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first().is_some_and(|first| b"{[\"".contains(first))
}
