//! The guide: how to do things with this crate, and what the results mean. It holds no code.
//!
//! Doing things:
//!
//! - [`daemon`]: a program that confines itself, its threads and its children.
//! - [`runtime`]: a container runtime, from the OCI profile to the filter in the child.
//! - [`debugging`]: which call was denied, and why.
//! - [`recording`]: a profile from real runs of a program.
//! - [`supervising`]: another process answers the calls.
//! - [`importing`]: files of other programs, construct by construct.
//! - [`migrating_from_libseccomp`], [`migrating_from_seccompiler`]: each of their names and ours.
//!
//! Knowing things:
//!
//! - [`semantics`]: what a profile means, case by case.
//! - [`actions`]: which action for which call.
//! - [`limits`]: what no filter can do, and what is bounded here.

pub mod actions {
    #![doc = include_str!("actions.md")]
}

pub mod daemon {
    #![doc = include_str!("daemon.md")]
}

pub mod debugging {
    #![doc = include_str!("debugging.md")]
}

pub mod importing {
    #![doc = include_str!("importing.md")]
}

pub mod limits {
    #![doc = include_str!("limits.md")]
}

pub mod migrating_from_libseccomp {
    #![doc = include_str!("migrating_from_libseccomp.md")]
}

pub mod migrating_from_seccompiler {
    #![doc = include_str!("migrating_from_seccompiler.md")]
}

pub mod recording {
    #![doc = include_str!("recording.md")]
}

pub mod runtime {
    #![doc = include_str!("runtime.md")]
}

pub mod semantics {
    #![doc = include_str!("semantics.md")]
}

pub mod supervising {
    #![doc = include_str!("supervising.md")]
}
