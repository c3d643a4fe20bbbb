//! Calls at which an imported profile and an evaluator of its language are compared.

use callsieve::arch::Arch;
use callsieve::bpf::{Action, SyscallData};
use callsieve::policy::Policy;

/// Random numbers that are the same each time (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Values around constants: neighbours, single bits changed, and other upper halves.
fn around(constants: &[u64]) -> Vec<u64> {
    let mut values = vec![0, 1, 2, 3, 0xffff_ffff, 0x1_0000_0000, 0x8000_0000, 1 << 63, u64::MAX];
    for &constant in constants {
        values.extend([constant, constant.wrapping_add(1), constant.wrapping_sub(1), !constant]);
        values.extend([constant & 0xffff_ffff, constant | 0xffff_ffff << 32, constant ^ 1 << 32, constant << 32]);
        values.extend((0..64).step_by(5).map(|bit| constant ^ 1 << bit));
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// Asks both about every known number and some others, and for the numbers that the file is about, about arguments
/// around its constants: each constant in each argument, and many mixtures.
pub fn compare(
    what: &str,
    (policy, arch): (&Policy, Arch),
    checked: &[u32],
    constants: &[u64],
    evaluate: impl Fn(&SyscallData) -> Action,
) {
    let values = around(constants);
    let mut random = Random::new(values.len() as u64);
    let ask = |nr: u32, token: u32, args: [u64; 6]| {
        let call = SyscallData { nr, arch: token, instruction_pointer: 0x7fff_1234, args };
        assert_eq!(policy.decide(&call), evaluate(&call), "{what} on {arch}: {call:x?} ({:?})", arch.name(nr));
    };
    let edges = [600, 1000, 4095, 0x3fff_ffff, 0x4000_0000, 0x4000_0001, 0x7fff_ffff, u32::MAX];
    for nr in arch.syscalls().map(|(nr, _)| nr).chain(0..600).chain(edges) {
        ask(nr, arch.audit(), [0; 6]);
        ask(nr, arch.audit(), std::array::from_fn(|_| random.pick(&values)));
        ask(nr, 0x4000_0003, [0; 6]);
    }
    for &nr in checked {
        for position in 0..6 {
            for &value in &values {
                let mut args = [0; 6];
                args[position] = value;
                ask(nr, arch.audit(), args);
            }
        }
        for _ in 0..3000 {
            ask(nr, arch.audit(), std::array::from_fn(|_| random.pick(&values)));
        }
        for _ in 0..500 {
            ask(nr, arch.audit(), std::array::from_fn(|_| random.next()));
        }
    }
}
