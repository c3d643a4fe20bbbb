//! Kernel releases.

use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// A kernel release as `MAJOR.MINOR`.
///
/// ```
/// use callsieve::arch::KernelVersion;
/// let version: KernelVersion = "6.12".parse()?;
/// assert!(version > KernelVersion::new(5, 15));
/// # Ok::<(), callsieve::arch::KernelVersionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelVersion {
    major: u8,
    minor: u8,
}

/// A text that is no kernel release.
///
/// ```
/// use callsieve::arch::{KernelVersion, KernelVersionError};
/// assert_eq!("6".parse::<KernelVersion>(), Err(KernelVersionError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a kernel version: two numbers from 0 to 255 with a dot between them are expected, such as 6.12")]
pub struct KernelVersionError;

impl KernelVersion {
    /// A release from its two numbers.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }

    /// The first number.
    pub const fn major(self) -> u8 {
        self.major
    }

    /// The second number.
    pub const fn minor(self) -> u8 {
        self.minor
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for KernelVersion {
    type Err = KernelVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once('.').ok_or(KernelVersionError)?;
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten().ok_or(KernelVersionError)
        };
        Ok(Self::new(number(major)?, number(minor)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn exactly_two_small_numbers() {
        for text in ["0.1", "3.12", "255.255"] {
            assert_eq!(text.parse::<KernelVersion>().unwrap().to_string(), text);
        }
        for text in ["", "3", ".3", "3.", "3.12.1", "4.15abc", "256.0", "+1.2", " 1.2"] {
            assert_eq!(text.parse::<KernelVersion>(), Err(KernelVersionError), "{text}");
        }
        let version = KernelVersion::new(6, 12);
        assert_eq!((version.major(), version.minor()), (6, 12));
    }
}
