//! What an ACL can grant for a path.

use core::fmt;
use core::ops::{BitAnd, BitOr};

/// A set of rights for a path.
///
/// See the example of [`Acl`](super::Acl).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rights(u8);

impl Rights {
    /// None.
    pub const NONE: Self = Self(0);
    /// Reading a file or its extended attributes, listing a folder.
    pub const READ: Self = Self(1);
    /// Writing to a file, and changing its owner, mode, times, length or extended attributes.
    pub const WRITE: Self = Self(2);
    /// Making, removing and renaming what a folder holds.
    pub const CREATE: Self = Self(4);
    /// Executing a file.
    pub const EXEC: Self = Self(8);
    /// All four.
    pub const ALL: Self = Self(15);

    /// The single rights with their names, which are the keys of an ACL.
    pub const NAMES: [(&'static str, Self); 4] =
        [("read", Self::READ), ("write", Self::WRITE), ("create", Self::CREATE), ("exec", Self::EXEC)];

    /// Whether there is none.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are in here.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that are not in the other set.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The names of those in here.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, right)| self.has(*right)).map(|(name, _)| name)
    }
}

impl BitOr for Rights {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// `read, write`, or `nothing`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("nothing");
        }
        for (index, name) in self.names().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}
