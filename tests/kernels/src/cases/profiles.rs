//! Whole profiles: our default one for containers.

use super::Abi;
use crate::case::{Call, Case};
use crate::run::Failure;
use callsieve::{Profile, Target};

pub fn cases(abi: Abi) -> Result<Vec<Case>, Failure> {
    Ok(vec![container_default(abi)?])
}

/// Every call of the table, and some beyond.
fn container_default(abi: Abi) -> Result<Case, Failure> {
    let policy = Profile::container_default()?.resolve(&Target::exactly(&[abi.arch]))?;
    let base = abi.arch.number_base();
    let numbers = abi.arch.syscalls().map(|(nr, _)| nr).chain((470..490).map(|nr| base + nr));
    let mut calls: Vec<Call> = abi.filtered(numbers).into_iter().map(|nr| abi.call(nr, [1, 2, 3, 4, 5, 6])).collect();
    for (name, arg, values) in [
        ("clone", 0, [0x11, 0x7e02_0000, 0x0002_0000, 0x1000_0000, u64::MAX]),
        ("personality", 0, [0, 8, 0x2_0000, 0xffff_ffff, 1 << 32]),
        ("socket", 0, [1, 2, 40, (1 << 32) + 40, 0xffff_ffff_0000_0028]),
    ] {
        for value in values {
            if let Some(nr) = abi.arch.number(name) {
                let mut args = [0; 6];
                args[arg] = value;
                calls.push(abi.call(nr, args));
            }
        }
    }
    Case::new("container-default", policy, calls)
}
