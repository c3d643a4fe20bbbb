//! Reading the tree.

use super::{ActionSpec, Arg, Call, Diagnostics, Dialect, Flag, ListedArch, Op, Profile, Rule, SubArches, When, Width};
use crate::arch::{Arch, KernelVersion};
use alloc::string::String;

impl Profile {
    /// Where the profile comes from.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What happens to a call that no rule covers.
    pub fn default_action(&self) -> &ActionSpec {
        &self.default_action
    }

    /// The list `architectures`; empty if there is none.
    pub fn arch_list(&self) -> &[ListedArch] {
        &self.architectures
    }

    /// The list `archMap` of the Docker dialect; empty if there is none.
    pub fn arch_map(&self) -> &[SubArches] {
        &self.arch_map
    }

    /// The list `flags`; `None` if the profile does not say, and runtimes then choose themselves.
    pub fn flags(&self) -> Option<&[Flag]> {
        self.flags.as_deref()
    }

    /// The socket to which a container runtime hands the listener of NOTIFY rules.
    pub fn listener_path(&self) -> Option<&str> {
        self.listener_path.as_deref()
    }

    /// What a container runtime sends along with the listener.
    pub fn listener_metadata(&self) -> Option<&str> {
        self.listener_metadata.as_deref()
    }

    /// The entries of `syscalls`, or the rules of the builder, as written.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether [`Profile::portable`] was set.
    pub fn is_portable(&self) -> bool {
        self.portable
    }

    /// What the reader found and did not refuse; empty for the builder.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }
}

impl Rule {
    /// The calls that it is about.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// What happens to them.
    pub fn action(&self) -> &ActionSpec {
        &self.action
    }

    /// The conditions on the arguments; without any, the rule is unconditional.
    pub fn args(&self) -> &[Arg] {
        &self.args
    }

    /// `comment`, which has no meaning.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// What has to be true for the rule to count.
    pub fn includes(&self) -> &When {
        &self.includes
    }

    /// What takes the rule away.
    pub fn excludes(&self) -> &When {
        &self.excludes
    }

    /// Where it stands: a JSON path such as `$.syscalls[3]`; for the builder `rule 4`, counted from 1.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Arg {
    /// The argument, 0 to 5.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// The comparison.
    pub fn op(&self) -> Op {
        self.op
    }

    /// The constant; for [`Op::MaskedEq`] the mask.
    pub fn value(&self) -> u64 {
        self.value
    }

    /// For [`Op::MaskedEq`] the expected value; otherwise without meaning.
    pub fn value_two(&self) -> u64 {
        self.value_two
    }

    /// How much of the argument it sees.
    pub fn width(&self) -> Width {
        self.width
    }
}

impl SubArches {
    /// The ABI of the host.
    pub fn architecture(&self) -> Arch {
        self.architecture
    }

    /// The other ABIs that the filter covers there.
    pub fn sub_architectures(&self) -> &[Arch] {
        &self.sub_architectures
    }
}

impl When {
    /// Names of capabilities such as `CAP_SYS_ADMIN`.
    pub fn caps(&self) -> &[String] {
        &self.caps
    }

    /// Names of architectures in the spelling of Docker and Podman, such as `amd64`.
    pub fn arches(&self) -> &[String] {
        &self.arches
    }

    /// A kernel release.
    pub fn min_kernel(&self) -> Option<KernelVersion> {
        self.min_kernel
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.caps.is_empty() && self.arches.is_empty() && self.min_kernel.is_none()
    }
}
