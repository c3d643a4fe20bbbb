//! Names for what a filter sees and returns.

use crate::arch::{Arch, Errno};
use crate::bpf::Action;
use alloc::format;
use alloc::string::{String, ToString};

/// The ABI of a call with this token and number.
pub(super) fn abi(token: u32, nr: u32) -> Option<Arch> {
    Arch::of_call(token, nr)
}

/// The names of the ABIs with this token, such as `x86_64, x32`; empty if there are none.
pub(super) fn abis(token: u32) -> String {
    let mut text = String::new();
    for arch in Arch::ALL.into_iter().filter(|arch| arch.audit() == token) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(arch.short_name());
    }
    text
}

/// A return value: an action, with the name of its error number, or the raw value and what the kernel makes of it.
/// The name must be the same on all these ABIs; without any, on all that there are.
pub(super) fn answer(raw: u32, abis: &[Arch]) -> String {
    let Some(action) = Action::from_raw(raw) else {
        return format!("{raw:#010x} (acts as {})", Action::as_kernel(raw));
    };
    let name = match action {
        Action::Errno(number) => errno(Errno::new(number), if abis.is_empty() { &Arch::ALL } else { abis }),
        _ => None,
    };
    name.map_or_else(|| action.to_string(), |name| format!("{action} {name}"))
}

fn errno(errno: Errno, abis: &[Arch]) -> Option<&'static str> {
    let name = errno.name(*abis.first()?)?;
    abis.iter().all(|&arch| errno.name(arch) == Some(name)).then_some(name)
}
