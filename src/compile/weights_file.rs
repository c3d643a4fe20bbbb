//! Weights files: how much calls count, as JSON.

use super::Weights;
use crate::arch::Syscall;
use crate::profile::clean;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value};
use thiserror::Error;

/// The largest weights file that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;
const KEYS: [&str; 3] = ["frequencies", "shares", "worst_case"];
const SHARES: [&str; 5] = ["any", "allowed", "denied", "checked", "frequency"];

/// Why a weights file cannot be used.
///
/// ```
/// let error = callsieve::Weights::from_json(r#"{"frequencies": {"read": -1}}"#).unwrap_err();
/// assert_eq!(error.path(), "$.frequencies.read");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {message}")]
pub struct WeightsError {
    path: String,
    message: String,
}

impl WeightsError {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: clean(path.into()), message: clean(message.into()) }
    }

    /// The JSON path of what is wrong.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Weights {
    /// Reads a weights file: a JSON object of which every key may be left out.
    ///
    /// - `frequencies`: an object of system calls and how often each is made, in any unit (counts or fractions); instead
    ///   of the built-in ones.
    /// - `shares`: an object of up to five numbers, `any`, `allowed`, `denied`, `checked` and `frequency`, see
    ///   [`Weights::shares`]. Without it, half is `any` and half `frequency`.
    /// - `worst_case`: the longest way in steps that is aimed at, see [`Weights::worst_case`].
    ///
    /// ```
    /// use callsieve::Weights;
    /// let weights = Weights::from_json(r#"{
    ///     "frequencies": { "read": 4100, "write": 2050, "futex": 12 },
    ///     "shares": { "any": 1, "frequency": 9 },
    ///     "worst_case": 20
    /// }"#)?;
    /// # Ok::<(), callsieve::WeightsError>(())
    /// ```
    ///
    /// # Errors
    /// Text that is no such object, an unknown key or system call, a number that is negative or too large, no share
    /// above zero, and more than a megabyte.
    pub fn from_json(text: &str) -> Result<Self, WeightsError> {
        if text.len() > MAX_BYTES {
            return Err(WeightsError::new("$", format!("{} bytes, at most {MAX_BYTES} are read", text.len())));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| {
            WeightsError::new("$", format!("not JSON ({error}); a weights file is an object with {}", list(&KEYS)))
        })?;
        let file = object(&value, "$", &KEYS)?;
        let mut weights = match file.get("shares") {
            Some(shares) => shares_of(shares)?,
            None => Self::mix(),
        };
        if let Some(frequencies) = file.get("frequencies") {
            weights = weights.frequencies(frequencies_of(frequencies)?);
        }
        match file.get("worst_case") {
            Some(steps) => Ok(weights.worst_case(whole(steps, "$.worst_case")?)),
            None => Ok(weights),
        }
    }
}

fn shares_of(value: &Value) -> Result<Weights, WeightsError> {
    let shares = object(value, "$.shares", &SHARES)?;
    let share = |key: &str| shares.get(key).map_or(Ok(0), |share| whole(share, &format!("$.shares.{key}")));
    let [any, allowed, denied, checked, frequency] = SHARES.map(share);
    let (any, allowed, denied, checked, frequency) = (any?, allowed?, denied?, checked?, frequency?);
    if [any, allowed, denied, checked, frequency].iter().all(|&share| share == 0) {
        return Err(WeightsError::new("$.shares", format!("no share is above 0; there are {}", list(&SHARES))));
    }
    Ok(Weights::shares(any, allowed, denied, checked, frequency))
}

fn frequencies_of(value: &Value) -> Result<Vec<(String, u64)>, WeightsError> {
    let Some(calls) = value.as_object() else {
        return Err(WeightsError::new("$.frequencies", "an object of system calls and numbers is expected"));
    };
    let mut numbers = Vec::with_capacity(calls.len());
    for (name, number) in calls {
        let path = || format!("$.frequencies.{name}");
        if Syscall::from_name(name).is_none() {
            let hint = Syscall::nearest(name).map_or(String::new(), |near| format!(" (did you mean \"{near}\"?)"));
            return Err(WeightsError::new(path(), format!("unknown system call{hint}")));
        }
        let number = number.as_f64().filter(|number| (0.0..=1e18).contains(number));
        let number = number.ok_or_else(|| WeightsError::new(path(), "a number from 0 to 10^18 is expected"))?;
        numbers.push((name.clone(), number));
    }
    let most = numbers.iter().fold(0.0_f64, |most, (_, number)| most.max(*number));
    if most <= 0.0 {
        return Err(WeightsError::new("$.frequencies", "no system call has a number above 0"));
    }
    // Only ratios count, so counts and fractions can be brought to one scale.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 10^12.
    let scaled = |number: f64| (number / most * 1e12) as u64;
    Ok(numbers.into_iter().map(|(name, number)| (name, scaled(number))).collect())
}

fn object<'a>(value: &'a Value, path: &str, keys: &[&str]) -> Result<&'a Map<String, Value>, WeightsError> {
    let Some(object) = value.as_object() else {
        return Err(WeightsError::new(path, format!("an object with {} is expected", list(keys))));
    };
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(WeightsError::new(format!("{path}.{key}"), format!("unknown key; known are {}", list(keys)))),
        None => Ok(object),
    }
}

fn whole(value: &Value, path: &str) -> Result<u32, WeightsError> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|&number| number <= 1_000_000);
    number.ok_or_else(|| WeightsError::new(path, "a whole number from 0 to 1000000 is expected"))
}

fn list(words: &[&str]) -> String {
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn what_is_given_counts() {
        let read = |text| Weights::from_json(text).unwrap();
        assert_eq!(read("{}"), Weights::mix());
        assert_eq!(read(r#"{"shares": {"any": 1}}"#), Weights::uniform());
        let counts = Weights::shares(1, 0, 0, 2, 3).frequencies([("read", 2_u64), ("write", 1)]).worst_case(20);
        let text = r#"{"shares": {"any": 1, "checked": 2, "frequency": 3},
            "frequencies": {"read": 1.0, "write": 0.5}, "worst_case": 20}"#;
        assert_eq!(read(text), counts);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let said = |text: &str| Weights::from_json(text).unwrap_err().to_string();
        assert!(said("[").starts_with("$: not JSON (EOF"));
        assert_eq!(said("[]"), "$: an object with frequencies, shares, worst_case is expected");
        assert_eq!(said(r#"{"share": 1}"#), "$.share: unknown key; known are frequencies, shares, worst_case");
        assert_eq!(said(r#"{"\u001b[2J": 1}"#).split_once(':').unwrap().0, r"$.\u{1b}[2J");
        assert!(said(&format!(r#"{{"frequencies": {{"{}": 1}}}}"#, "a".repeat(9999))).len() < 1200);
        assert_eq!(said(r#"{"shares": {"any": -1}}"#), "$.shares.any: a whole number from 0 to 1000000 is expected");
        assert!(said(r#"{"shares": {"any": 0}}"#).starts_with("$.shares: no share is above 0"));
        assert_eq!(
            said(r#"{"frequencies": {"raed": 1}}"#),
            "$.frequencies.raed: unknown system call (did you mean \"read\"?)"
        );
        assert_eq!(
            said(r#"{"frequencies": {"read": -1}}"#),
            "$.frequencies.read: a number from 0 to 10^18 is expected"
        );
        assert_eq!(said(r#"{"frequencies": {}}"#), "$.frequencies: no system call has a number above 0");
        assert!(said(&" ".repeat(MAX_BYTES + 1)).contains("at most 1048576 are read"));
    }
}
