//! Prints the public interface of a crate, a line for each item, from the JSON that rustdoc writes of it, and fails if a
//! type of another crate is part of it, or if an item shows no example. `.ci/run release` compares the text with
//! `public-api.txt`.

mod examples;

use std::process::ExitCode;

/// Crates that may be named: those of the language, and serde, whose traits are at 1.0.
const MAY_BE_NAMED: [&str; 5] = ["callsieve", "core", "alloc", "std", "serde_core"];
/// Modules of the standard library that items are sorted by.
const PRIMITIVES: [&str; 9] = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "str"];

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: callsieve-api FILE.json");
        return ExitCode::from(2);
    };
    let unshown =
        std::fs::read(&path).ok().and_then(|text| Some(examples::missing(&serde_json::from_slice(&text).ok()?)));
    let Some(unshown) = unshown else {
        eprintln!("{path} is no JSON that rustdoc has written");
        return ExitCode::from(2);
    };
    let api = public_api::Builder::from_rustdoc_json(path)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .sorted(true)
        .build();
    let items: Vec<String> = match api {
        Ok(api) => api.items().map(ToString::to_string).collect(),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    for item in &items {
        println!("{item}");
    }
    let mut status = ExitCode::SUCCESS;
    for (item, name) in items.iter().filter_map(|item| foreign(item).map(|name| (item, name))) {
        eprintln!("{name} is no part of this crate's promises, and is named in: {item}");
        status = ExitCode::FAILURE;
    }
    for path in unshown {
        eprintln!("{path} has neither an example nor a sentence such as: See the example of [`Other`].");
        status = ExitCode::FAILURE;
    }
    status
}

/// The first crate that an item names and that may not be named.
fn foreign(item: &str) -> Option<&str> {
    let ends = item.match_indices("::").map(|(at, _)| at);
    let heads = ends.filter_map(|at| {
        let before = item.get(..at)?;
        let start = before.rfind(|char: char| !char.is_alphanumeric() && char != '_').map_or(0, |at| at + 1);
        // What follows a colon is not the first part of a path.
        let is_first = !before.get(..start)?.ends_with("::");
        let head = before.get(start..)?;
        (is_first && head.starts_with(|char: char| char.is_ascii_lowercase())).then_some(head)
    });
    let mut others = heads.filter(|head| !MAY_BE_NAMED.contains(head) && !PRIMITIVES.contains(head));
    others.next()
}

#[cfg(test)]
mod tests {
    use super::foreign;

    #[test]
    fn other_crates_are_seen() {
        assert_eq!(foreign("pub fn callsieve::f(&core::option::Option<libc::pid_t>) -> Self::Item"), Some("libc"));
        assert_eq!(foreign("impl core::convert::From<i64> for callsieve::Action"), None);
    }
}
