//! The `callsieve` command.

fn main() {}
