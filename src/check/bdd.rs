//! Functions of the 512 input bits as one shared decision diagram.
//!
//! A multi-terminal, reduced, ordered binary decision diagram: an inner node asks one bit and has a successor for each
//! answer, a leaf holds a 32-bit number. Nodes are unique and no node has two equal successors, so two functions are
//! equal exactly if their references are. Boolean functions are diagrams whose leaves are 0 and 1.
//!
//! Everything is bounded by a [`Budget`]. Recursion goes down one level of bits at a time, so it is at most 512 deep,
//! with small frames.

use alloc::vec;
use alloc::vec::Vec;

/// Number of input bits.
pub(super) const BITS: u16 = 512;

/// A function: the index of its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ref(u32);

/// The leaf 0.
pub(super) const FALSE: Ref = Ref(0);
/// The leaf 1.
pub(super) const TRUE: Ref = Ref(1);

/// Which operation [`Bdd::combine`] applies to leaves. One number must always stand for the same operation, as long as
/// the diagram lives: results are remembered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation(u32);

impl Operation {
    /// A number below 2^16; nodes never get indexes as high as these become.
    pub(super) const fn new(number: u16) -> Self {
        Self(0x8000_0000 | number as u32)
    }
}

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

/// How much a proof may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) nodes: usize,
    /// Steps of any kind: they bound the time also where few nodes are made.
    pub(super) steps: usize,
}

impl Budget {
    /// The most nodes: they are numbered by 32 bits, and some numbers have another meaning.
    const MOST: usize = 1 << 30;
    /// Steps per node. Proofs of real programs take three to ten.
    const STEPS_PER_NODE: usize = 16;

    /// So many nodes, and time in proportion.
    pub(super) const fn of(nodes: usize) -> Self {
        let nodes = if nodes < Self::MOST { nodes } else { Self::MOST };
        Self { nodes, steps: nodes.saturating_mul(Self::STEPS_PER_NODE) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    /// The bit that is asked, in the order of the diagram; [`BITS`] in a leaf.
    bit: u16,
    /// In a leaf both are its number.
    zero: u32,
    one: u32,
}

/// One remembered result of [`Bdd::ite`].
#[derive(Clone, Copy, Debug)]
struct Remembered {
    key: [u32; 3],
    result: u32,
}

/// Places for unique nodes to begin with: at least and at most.
const START: core::ops::RangeInclusive<usize> = 1 << 10..=1 << 16;

/// The most results that are remembered: 8 MB.
const MAX_CACHE: usize = 1 << 19;

/// How many results are remembered beside a table of unique nodes of this length. More are hardly ever met again, and
/// would cost more to clear than they save.
const fn cache_len(unique: usize) -> usize {
    let len = unique / 4;
    if len < MAX_CACHE { len } else { MAX_CACHE }
}

/// No node has this index, so it marks free places in the tables.
const FREE: u32 = u32::MAX;
const NOTHING: Remembered = Remembered { key: [FREE; 3], result: 0 };

/// All nodes of a proof.
#[derive(Debug)]
pub(super) struct Bdd {
    nodes: Vec<Node>,
    /// Open addressing with linear probing, at most half full; its length is a power of two.
    unique: Vec<u32>,
    /// One place per hash value; a newer result takes the place of an older one. Its length is a power of two.
    cache: Vec<Remembered>,
    budget: Budget,
}

impl Bdd {
    /// An empty diagram with room for about as many nodes as are expected: growing costs time.
    pub(super) fn new(budget: Budget, expected: usize) -> Self {
        let places = expected.min(budget.nodes).min(START.end() / 2).saturating_mul(2);
        let places = places.next_power_of_two().max(*START.start());
        let mut bdd = Self {
            nodes: Vec::with_capacity(places / 2),
            unique: vec![FREE; places],
            cache: vec![NOTHING; cache_len(places)],
            budget,
        };
        for number in [0, 1] {
            let leaf = Node { bit: BITS, zero: number, one: number };
            let place = bdd.place(leaf);
            bdd.insert(leaf, place);
        }
        bdd
    }

    /// Number of nodes made so far, leaves included.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// How many nodes there may be.
    pub(super) fn budget(&self) -> usize {
        self.budget.nodes
    }

    /// Takes one step off the budget.
    pub(super) fn step(&mut self) -> Result<(), Exhausted> {
        self.budget.steps = self.budget.steps.checked_sub(1).ok_or(Exhausted)?;
        Ok(())
    }

    /// The constant function.
    pub(super) fn leaf(&mut self, number: u32) -> Result<Ref, Exhausted> {
        self.unique(Node { bit: BITS, zero: number, one: number })
    }

    /// The function that asks a bit first. Both successors must ask later bits only.
    pub(super) fn ask(&mut self, bit: u16, zero: Ref, one: Ref) -> Result<Ref, Exhausted> {
        debug_assert!(bit < self.node(zero).bit && bit < self.node(one).bit);
        if zero == one {
            return Ok(zero);
        }
        self.unique(Node { bit, zero: zero.0, one: one.0 })
    }

    /// `condition ? then : otherwise`, bit by bit of the input.
    pub(super) fn ite(&mut self, condition: Ref, then: Ref, otherwise: Ref) -> Result<Ref, Exhausted> {
        if condition == TRUE || then == otherwise {
            return Ok(then);
        }
        if condition == FALSE {
            return Ok(otherwise);
        }
        if then == TRUE && otherwise == FALSE {
            return Ok(condition);
        }
        self.step()?;
        let key = [condition.0, then.0, otherwise.0];
        if let Some(found) = self.cache.get(self.cache_slot(key)).filter(|entry| entry.key == key) {
            return Ok(Ref(found.result));
        }
        let [c, t, e] = [self.node(condition), self.node(then), self.node(otherwise)];
        let bit = c.bit.min(t.bit).min(e.bit);
        let zero = self.ite(c.zero_at(bit, condition), t.zero_at(bit, then), e.zero_at(bit, otherwise))?;
        let one = self.ite(c.one_at(bit, condition), t.one_at(bit, then), e.one_at(bit, otherwise))?;
        let result = self.ask(bit, zero, one)?;
        // The table may have grown meanwhile.
        let slot = self.cache_slot(key);
        if let Some(entry) = self.cache.get_mut(slot) {
            *entry = Remembered { key, result: result.0 };
        }
        Ok(result)
    }

    /// The function whose leaves are those of two functions, put together.
    pub(super) fn combine(
        &mut self,
        operation: Operation,
        a: Ref,
        b: Ref,
        leaves: &mut impl FnMut(u32, u32) -> u32,
    ) -> Result<Ref, Exhausted> {
        self.step()?;
        let key = [operation.0, a.0, b.0];
        if let Some(found) = self.cache.get(self.cache_slot(key)).filter(|entry| entry.key == key) {
            return Ok(Ref(found.result));
        }
        let (left, right) = (self.node(a), self.node(b));
        let bit = left.bit.min(right.bit);
        let result = if bit >= BITS {
            self.leaf(leaves(left.zero, right.zero))?
        } else {
            let zero = self.combine(operation, left.zero_at(bit, a), right.zero_at(bit, b), leaves)?;
            let one = self.combine(operation, left.one_at(bit, a), right.one_at(bit, b), leaves)?;
            self.ask(bit, zero, one)?
        };
        let slot = self.cache_slot(key);
        if let Some(entry) = self.cache.get_mut(slot) {
            *entry = Remembered { key, result: result.0 };
        }
        Ok(result)
    }

    pub(super) fn and(&mut self, a: Ref, b: Ref) -> Result<Ref, Exhausted> {
        self.ite(a, b, FALSE)
    }

    pub(super) fn or(&mut self, a: Ref, b: Ref) -> Result<Ref, Exhausted> {
        self.ite(a, TRUE, b)
    }

    pub(super) fn not(&mut self, a: Ref) -> Result<Ref, Exhausted> {
        self.ite(a, FALSE, TRUE)
    }

    pub(super) fn xor(&mut self, a: Ref, b: Ref) -> Result<Ref, Exhausted> {
        let not_b = self.not(b)?;
        self.ite(a, not_b, b)
    }

    /// The number in a leaf.
    pub(super) fn number(&self, leaf: Ref) -> u32 {
        self.node(leaf).zero
    }

    /// Both halves of a function at a bit that is not above its root.
    pub(super) fn halves(&self, function: Ref, bit: u16) -> (Ref, Ref) {
        let node = self.node(function);
        (node.zero_at(bit, function), node.one_at(bit, function))
    }

    /// The bit that a function asks first; [`BITS`] if it is constant.
    pub(super) fn first_bit(&self, function: Ref) -> u16 {
        self.node(function).bit
    }

    fn node(&self, function: Ref) -> Node {
        // References come from this table only, so the lookup succeeds.
        self.nodes.get(function.0 as usize).copied().unwrap_or(Node { bit: BITS, zero: 0, one: 0 })
    }

    fn unique(&mut self, node: Node) -> Result<Ref, Exhausted> {
        let place = self.place(node);
        match self.unique.get(place) {
            Some(&found) if found != FREE => return Ok(Ref(found)),
            _ => {}
        }
        if self.nodes.len() >= self.budget.nodes {
            return Err(Exhausted);
        }
        let made = self.insert(node, place);
        if self.nodes.len().saturating_mul(2) > self.unique.len() {
            self.grow();
        }
        Ok(made)
    }

    fn insert(&mut self, node: Node, place: usize) -> Ref {
        // The budget is far below 2^32 nodes, see `Budget::of`.
        let index = u32::try_from(self.nodes.len()).unwrap_or(FREE);
        self.nodes.push(node);
        if let Some(free) = self.unique.get_mut(place) {
            *free = index;
        }
        Ref(index)
    }

    /// Where a node is in the table of unique nodes, or where it belongs.
    fn place(&self, node: Node) -> usize {
        let mut slot = slot(&self.unique, [u32::from(node.bit), node.zero, node.one]);
        loop {
            match self.unique.get(slot) {
                Some(&index) if index != FREE && self.node(Ref(index)) != node => {
                    slot = slot.wrapping_add(1) & self.unique.len().wrapping_sub(1);
                }
                _ => return slot,
            }
        }
    }

    fn cache_slot(&self, key: [u32; 3]) -> usize {
        slot(&self.cache, key)
    }

    /// Makes room for twice as many.
    fn grow(&mut self) {
        let len = self.unique.len().saturating_mul(2);
        // The old table goes before the new one comes.
        self.unique = Vec::new();
        self.unique = vec![FREE; len];
        for index in 0..self.nodes.len() {
            let Some(&node) = self.nodes.get(index) else { continue };
            let place = self.place(node);
            if let (Some(free), Ok(index)) = (self.unique.get_mut(place), u32::try_from(index)) {
                *free = index;
            }
        }
        let old = core::mem::replace(&mut self.cache, vec![NOTHING; cache_len(len)]);
        for entry in old.into_iter().filter(|entry| entry.key != NOTHING.key) {
            let slot = self.cache_slot(entry.key);
            if let Some(place) = self.cache.get_mut(slot) {
                *place = entry;
            }
        }
    }
}

impl Node {
    /// The function where this bit is 0; the node itself, if it asks only later bits.
    fn zero_at(self, bit: u16, itself: Ref) -> Ref {
        if self.bit == bit { Ref(self.zero) } else { itself }
    }

    fn one_at(self, bit: u16, itself: Ref) -> Ref {
        if self.bit == bit { Ref(self.one) } else { itself }
    }
}

/// The place of a key in a table whose length is a power of two. The upper half of a product is the well-mixed one.
#[allow(clippy::cast_possible_truncation)] // Only bits below the length are kept.
fn slot<T>(table: &[T], key: [u32; 3]) -> usize {
    (hash(key) >> 32) as usize & table.len().wrapping_sub(1)
}

/// The same on every machine, so that a proof that fits the budget fits it everywhere.
fn hash([a, b, c]: [u32; 3]) -> u64 {
    let low = (u64::from(a) | u64::from(b) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (low ^ (low >> 29) ^ u64::from(c)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roomy() -> Bdd {
        Bdd::new(Budget { nodes: 100_000, steps: 1_000_000 }, 0)
    }

    #[test]
    fn equal_functions_are_one_node() {
        let mut bdd = roomy();
        let [a, b, c] = [3, 7, 400].map(|bit| bdd.ask(bit, FALSE, TRUE).unwrap());
        // De Morgan, distribution, and xor two ways.
        let (and, na, nb) = (bdd.and(a, b).unwrap(), bdd.not(a).unwrap(), bdd.not(b).unwrap());
        let (left, right) = (bdd.not(and).unwrap(), bdd.or(na, nb).unwrap());
        assert_eq!(left, right);
        let (b_or_c, a_and_c) = (bdd.or(b, c).unwrap(), bdd.and(a, c).unwrap());
        assert_eq!(bdd.and(a, b_or_c).unwrap(), bdd.or(and, a_and_c).unwrap());
        let (xor, or) = (bdd.xor(a, b).unwrap(), bdd.or(a, b).unwrap());
        assert_eq!(bdd.and(or, left).unwrap(), xor);
        assert_eq!(bdd.xor(xor, b).unwrap(), a);
    }

    #[test]
    fn choices_between_leaves() {
        let mut bdd = roomy();
        let (seven, nine) = (bdd.leaf(7).unwrap(), bdd.leaf(9).unwrap());
        assert_eq!(bdd.leaf(7).unwrap(), seven);
        let bit = bdd.ask(5, FALSE, TRUE).unwrap();
        let choice = bdd.ite(bit, seven, nine).unwrap();
        assert_eq!((bdd.first_bit(choice), bdd.halves(choice, 5)), (5, (nine, seven)));
        // Asking the same bit again changes nothing.
        let again = bdd.ite(bit, choice, nine).unwrap();
        assert_eq!(again, choice);
        assert_eq!((bdd.first_bit(seven), bdd.number(seven)), (BITS, 7));
    }

    #[test]
    fn leaves_are_combined() {
        let mut bdd = roomy();
        let [three, five] = [3, 5].map(|number| bdd.leaf(number).unwrap());
        let a = bdd.ask(5, three, five).unwrap();
        let b = bdd.ask(9, five, three).unwrap();
        let sum = bdd.combine(Operation::new(1), a, b, &mut |a, b| a + b).unwrap();
        let [six, eight, ten] = [6, 8, 10].map(|number| bdd.leaf(number).unwrap());
        let (zero, one) = bdd.halves(sum, 5);
        assert_eq!((bdd.halves(zero, 9), bdd.halves(one, 9)), ((eight, six), (ten, eight)));
        // Another operation on the same functions is not taken for the first.
        let same = bdd.combine(Operation::new(2), a, a, &mut |a, b| a.min(b)).unwrap();
        assert_eq!(same, a);
    }

    #[test]
    fn nodes_stay_unique_when_the_tables_grow() {
        let mut bdd = roomy();
        let leaves: Vec<_> = (0..50_000).map(|number| bdd.leaf(number).unwrap()).collect();
        assert_eq!(bdd.len(), 50_000);
        for (number, &leaf) in (0..).zip(&leaves) {
            assert_eq!(bdd.leaf(number), Ok(leaf));
        }
        assert_eq!(bdd.len(), 50_000);
    }

    #[test]
    fn both_budgets_end_the_work() {
        let mut bdd = Bdd::new(Budget { nodes: 3, steps: 1 }, 0);
        assert!(bdd.leaf(5).is_ok());
        assert_eq!(bdd.leaf(6), Err(Exhausted));
        assert_eq!(bdd.step(), Ok(()));
        assert_eq!(bdd.step(), Err(Exhausted));
    }
    /// Whether an odd number of these bits is set: two nodes a bit, and twice as many paths with each.
    fn parity(bdd: &mut Bdd, bits: core::ops::Range<u16>) -> Ref {
        bits.fold(FALSE, |odd, bit| {
            let bit = bdd.ask(bit, FALSE, TRUE).unwrap();
            bdd.xor(odd, bit).unwrap()
        })
    }

    /// Without that, the steps of both operations would be 2^40.
    #[test]
    fn results_are_remembered() {
        let mut bdd = Bdd::new(Budget { nodes: 100_000, steps: 20_000 }, 0);
        let (odd, odd_from_20) = (parity(&mut bdd, 0..40), parity(&mut bdd, 20..40));
        let odd_below_20 = parity(&mut bdd, 0..20);
        bdd.budget.steps = 500;
        assert_eq!(bdd.xor(odd, odd_from_20).unwrap(), odd_below_20);
        bdd.budget.steps = 500;
        let operation = Operation::new(1);
        assert_eq!(bdd.combine(operation, odd, odd_from_20, &mut |a, b| a ^ b).unwrap(), odd_below_20);
    }

    #[test]
    fn results_are_remembered_when_the_tables_grow() {
        let mut bdd = roomy();
        let (odd, odd_from_20) = (parity(&mut bdd, 0..40), parity(&mut bdd, 20..40));
        let odd_below_20 = bdd.xor(odd, odd_from_20).unwrap();
        let places = bdd.unique.len();
        for number in 2.. {
            bdd.leaf(number).unwrap();
            if bdd.unique.len() > places {
                break;
            }
        }
        // One for the negation, one for the choice.
        bdd.budget.steps = 2;
        assert_eq!(bdd.xor(odd, odd_from_20), Ok(odd_below_20));
    }

    #[test]
    fn the_tables_are_bounded() {
        assert_eq!(cache_len(1 << 10), 1 << 8);
        assert_eq!(cache_len(1 << 30), MAX_CACHE);
        // As many places as there can be nodes, not as were expected; and never more than 2^16.
        let places = |nodes, expected| Bdd::new(Budget { nodes, steps: 0 }, expected).unique.len();
        assert_eq!([places(9, 9), places(5_000, 600), places(600, 5_000)], [1 << 10, 1 << 11, 1 << 11]);
        assert_eq!([places(usize::MAX, 20_000), places(usize::MAX, usize::MAX)], [1 << 16, 1 << 16]);
    }

    /// Steps are counted where a result is not remembered, so a proof fits its budget everywhere only if the places are
    /// the same everywhere.
    #[test]
    fn places_are_the_same_on_every_machine() {
        let hashes = [[0, 0, 0], [1, 2, 3], [0x8000_0001, 70_000, 0xffff_fff0]].map(hash);
        assert_eq!(hashes, [0, 0xcd97_d821_8ee0_d937, 0xa379_06d0_8909_91ad]);
        let table = [(); 1 << 10];
        assert_eq!(slot(&table, [1, 2, 3]), 33);
    }

    #[test]
    fn a_budget_has_a_most() {
        let budgets = [1, Budget::MOST - 1, usize::MAX].map(|nodes| Budget::of(nodes).nodes);
        assert_eq!(budgets, [1, Budget::MOST - 1, 1 << 30]);
    }
}
