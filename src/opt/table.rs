//! A hash table for small keys, because `core` has none. It is never iterated, so it cannot make output depend on
//! hashes.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

/// Open addressing; the number of slots is a power of two, at most half of them used.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    slots: Vec<Option<(K, V)>>,
    used: usize,
}

impl<K: Copy + Eq + Hash, V: Copy> Table<K, V> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), used: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.slots.get(self.slot(key)?)?.map(|(_, value)| value)
    }

    /// Adds a key that is not in the table.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.slots.len() < 2 * (self.used + 1) {
            let grown = alloc::vec![None; (4 * self.slots.len()).max(64)];
            for (key, value) in core::mem::replace(&mut self.slots, grown).into_iter().flatten() {
                self.put(key, value);
            }
        }
        self.put(key, value);
        self.used += 1;
    }

    fn put(&mut self, key: K, value: V) {
        if let Some(slot) = self.slot(&key) {
            self.slots[slot] = Some((key, value));
        }
    }

    /// The slot of a key, or the one where it belongs; `None` if there are no slots.
    fn slot(&self, key: &K) -> Option<usize> {
        let last = self.slots.len().checked_sub(1)?;
        let mut hasher = Mix(0);
        key.hash(&mut hasher);
        let mut slot = usize::try_from(hasher.finish() >> 32).unwrap_or(0) & last;
        // An empty slot ends this: at least half of them are.
        while self.slots[slot].as_ref().is_some_and(|other| other.0 != *key) {
            slot = (slot + 1) & last;
        }
        Some(slot)
    }
}

/// Multiplies and folds each word.
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        // An odd constant without pattern: the golden ratio.
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u128(&mut self, word: u128) {
        for half in [word & u128::from(u64::MAX), word >> 64] {
            self.write_u64(u64::try_from(half).unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds all keys, of whose slots at least half are free, and less than seven in eight once it has grown.
    fn filled<K: Copy + Eq + Hash>(keys: impl Iterator<Item = K> + Clone) -> Table<K, u32> {
        let mut table = Table::new();
        for (value, key) in (0..).zip(keys.clone()) {
            assert_eq!(table.get(&key), None);
            table.insert(key, value);
            let (slots, used) = (table.slots.len(), table.len());
            assert_eq!(used, value as usize + 1);
            assert!(
                slots.is_power_of_two() && slots >= 2 * used && (slots == 64 || slots < 8 * used),
                "{slots} for {used}"
            );
        }
        for (value, key) in (0..).zip(keys) {
            assert_eq!(table.get(&key), Some(value));
        }
        table
    }

    /// The most slots in a row that are used.
    fn longest<K, V>(table: &Table<K, V>) -> usize {
        table.slots.split(Option::is_none).map(<[_]>::len).max().unwrap_or(0)
    }

    #[test]
    fn neighbours_are_spread() {
        assert!(longest(&filled(0..4000_u16)) < 40);
        assert!(longest(&filled(0..4000_u32)) < 40);
        assert!(longest(&filled((0..4000_u32).map(|x| x << 20))) < 40);
        assert!(longest(&filled((0..4000_u32).map(|x| (x % 63, x / 63)))) < 40);
        assert!(longest(&filled(0..4000_u64)) < 40);
        assert!(longest(&filled(0..4000_u128)) < 40);
        assert!(longest(&filled((0..4000_u128).map(|x| x << 100))) < 40);
        assert!(longest(&filled((0..4000_u128).map(|x| ((x % 63) << 64) | (x / 63)))) < 40);
        assert!(longest(&filled((0..4000_u32).map(u32::to_le_bytes))) < 40);
    }
}
