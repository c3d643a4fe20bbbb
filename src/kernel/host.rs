//! Facts of the machine that this program runs on.

use super::raw;
use crate::arch::{Arch, KernelVersion};
use crate::bpf::Endian;
use crate::policy::Target;
use thiserror::Error;

/// The machine; made by [`host()`].
///
/// See the example of [`host`](host()).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Host {
    program: Arch,
    kernel: KernelVersion,
    machine: Option<Arch>,
}

/// Why the facts could not be had.
///
/// See the example of [`host`](host()).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HostError {
    /// This program was compiled for an architecture that has no seccomp, or none that is known here.
    #[error("this program runs on an architecture whose system calls are not known here")]
    Arch,
    /// uname(2) failed: an older filter denies it.
    #[error("uname(2) failed with error {errno}; an older filter of this thread most likely denies it")]
    Uname {
        /// The error number.
        errno: i32,
    },
    /// The release does not begin with two numbers.
    #[error("the kernel release of uname(2) does not begin with two numbers such as 6.12")]
    Release,
}

impl Host {
    /// The ABI of this program's own calls, decided when it was compiled. A 32-bit program on a 64-bit kernel has the
    /// 32-bit one.
    pub const fn program_arch(&self) -> Arch {
        self.program
    }

    /// The native ABI of the kernel, by the machine name of uname(2). `None` for a name that is not known.
    ///
    /// Under personality(2) `PER_LINUX32` the kernel claims to be a 32-bit one.
    pub const fn kernel_arch(&self) -> Option<Arch> {
        self.machine
    }

    /// The release of the kernel.
    pub const fn kernel(&self) -> KernelVersion {
        self.kernel
    }
}

/// Asks the running kernel. Allocates nothing.
///
/// ```
/// let host = callsieve::kernel::host()?;
/// println!("{:?} on Linux {}", host.program_arch(), host.kernel());
/// # Ok::<(), callsieve::kernel::HostError>(())
/// ```
pub fn host() -> Result<Host, HostError> {
    let names = raw::uname().map_err(|errno| HostError::Uname { errno })?;
    let program = Arch::NATIVE.ok_or(HostError::Arch)?;
    let kernel = release(text(&names.release)).ok_or(HostError::Release)?;
    Ok(Host { program, kernel, machine: machine(text(&names.machine)) })
}

/// The target for filters of this program and its children: its own ABI, and the running kernel. Container runtimes
/// decide the same way, so a 32-bit program on a 64-bit kernel has a 32-bit target; see [`Host::kernel_arch`].
///
/// A filter for this target depends on the host. [`Target::new`] alone gives the same filter everywhere.
///
/// ```
/// use callsieve::{arch::Arch, kernel};
/// let target = kernel::host_target()?;
/// assert_eq!(Some(target.native()), Arch::NATIVE);
/// # Ok::<(), kernel::HostError>(())
/// ```
pub fn host_target() -> Result<Target, HostError> {
    let host = host()?;
    Ok(Target::new(host.program_arch()).kernel(host.kernel()))
}

/// The bytes before the NUL.
fn text(field: &[u8]) -> &str {
    let bytes = field.split(|&byte| byte == 0).next().unwrap_or_default();
    core::str::from_utf8(bytes).unwrap_or_default()
}

/// The first two numbers of a release such as `6.18.44-cloud`. Numbers above 255 count as 255.
fn release(text: &str) -> Option<KernelVersion> {
    let (major, rest) = text.split_once('.')?;
    let end = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    Some(KernelVersion::new(number(major)?, number(rest.get(..end)?)?))
}

fn number(digits: &str) -> Option<u8> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u8::MAX))
}

/// The native ABI of a machine name. Where the name does not tell the byte order it is that of this program, which the
/// kernel could not run otherwise; where several ABIs share a name the plainest one comes first in `Arch::ALL`.
fn machine(name: &str) -> Option<Arch> {
    // Names that carry a processor version: armv7l, sh4a.
    let family = |arch: &Arch| match arch {
        Arch::Arm => name.starts_with("arm") && name.ends_with('l'),
        Arch::Sh => name.starts_with("sh") && !name.ends_with("eb"),
        Arch::Sheb => name.starts_with("sh") && name.ends_with("eb"),
        _ => false,
    };
    let native_order = |arch: &Arch| arch.endian() == Endian::NATIVE;
    let named = |arch: &Arch| arch.uname_names().contains(&name) || family(arch);
    Arch::ALL.into_iter().find(|arch| native_order(arch) && named(arch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        for (text, expected) in [
            ("6.18.44-fc-v669", Some((6, 18))),
            ("3.10.0-1160.el7.x86_64", Some((3, 10))),
            ("5.4-rc1", Some((5, 4))),
            ("4.300.1", Some((4, 255))),
            ("6", None),
            ("6.", None),
            (".6", None),
            ("v6.1", None),
            ("", None),
        ] {
            assert_eq!(release(text), expected.map(|(major, minor)| KernelVersion::new(major, minor)), "{text}");
        }
    }

    #[test]
    fn machines() {
        let (little, big) = (Endian::NATIVE == Endian::Little, Endian::NATIVE == Endian::Big);
        let cases = [
            ("x86_64", little, Arch::X86_64),
            ("i686", little, Arch::X86),
            ("armv5tejl", little, Arch::Arm),
            ("armv7l", little, Arch::Arm),
            ("sh4a", little, Arch::Sh),
            ("sh4eb", big, Arch::Sheb),
            ("ppc64", big, Arch::Ppc64),
            ("ppc64le", little, Arch::Ppc64le),
            ("mips64", little, Arch::Mipsel64),
            ("mips64", big, Arch::Mips64),
            ("s390x", big, Arch::S390x),
        ];
        for (name, possible, arch) in cases.into_iter().filter(|case| case.1) {
            assert!(possible && machine(name) == Some(arch), "{name}");
        }
        for name in ["armv7b", "vax", ""] {
            assert_eq!(machine(name), None, "{name}");
        }
    }

    #[test]
    fn a_field_ends_at_its_nul() {
        assert_eq!(text(b"s390x\0\0rest"), "s390x");
        assert_eq!(text(b"full"), "full");
    }

    #[test]
    fn this_machine() {
        let host = host().unwrap();
        assert_eq!(Some(host.program_arch()), Arch::NATIVE);
        assert!(host.kernel() >= KernelVersion::new(3, 5));
    }
}
