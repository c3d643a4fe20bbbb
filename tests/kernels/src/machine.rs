//! The machines that can be booted.

use callsieve::arch::Arch;

/// A machine of the emulator, its kernel, and the ABIs that this kernel takes.
#[derive(Debug)]
pub struct Machine {
    /// Debian's name of the architecture, or ours.
    pub name: &'static str,
    /// Where the kernel comes from: Debian's architecture, a suite, and the package that always names the newest one.
    pub debian: [&'static str; 3],
    /// The emulator with the arguments that describe the machine.
    pub emulator: &'static [&'static str],
    /// The device of the kernel's console.
    pub console: &'static str,
    /// More arguments for the kernel. On x86 it must not check the timer, which on a busy host fails at random.
    pub kernel_args: &'static str,
    /// The native ABI first.
    pub abis: &'static [Abi],
}

/// An ABI, and the compiler of programs for it.
#[derive(Debug)]
pub struct Abi {
    /// The ABI.
    pub arch: Arch,
    /// A compiler of Debian with its arguments.
    pub compiler: &'static [&'static str],
}

const fn abi(arch: Arch, compiler: &'static [&'static str]) -> Abi {
    Abi { arch, compiler }
}

/// Options for every machine whose console is a plain serial line.
const SERIAL: [&str; 2] = ["-serial", "stdio"];

/// All of them.
pub const ALL: [Machine; 8] = [
    Machine {
        name: "arm64",
        debian: ["arm64", "bookworm", "linux-image-arm64"],
        emulator: &["qemu-system-aarch64", "-M", "virt", "-cpu", "max,pauth-impdef=on", "-m", "512"],
        console: "ttyAMA0",
        kernel_args: "",
        abis: &[abi(Arch::Aarch64, &["aarch64-linux-gnu-gcc"]), abi(Arch::Arm, &["arm-linux-gnueabihf-gcc"])],
    },
    Machine {
        name: "armhf",
        debian: ["armhf", "bookworm", "linux-image-armmp-lpae"],
        emulator: &["qemu-system-arm", "-M", "virt", "-cpu", "cortex-a15", "-m", "512"],
        console: "ttyAMA0",
        kernel_args: "",
        abis: &[abi(Arch::Arm, &["arm-linux-gnueabihf-gcc"])],
    },
    Machine {
        name: "s390x",
        debian: ["s390x", "bookworm", "linux-image-s390x"],
        emulator: &["qemu-system-s390x", "-M", "s390-ccw-virtio", "-cpu", "max", "-m", "512"],
        console: "ttysclp0",
        kernel_args: "",
        abis: &[abi(Arch::S390x, &["s390x-linux-gnu-gcc"]), abi(Arch::S390, &["s390x-linux-gnu-gcc", "-m31"])],
    },
    Machine {
        name: "riscv64",
        debian: ["riscv64", "sid", "linux-image-riscv64"],
        emulator: &["qemu-system-riscv64", "-M", "virt", "-m", "512"],
        console: "ttyS0",
        kernel_args: "",
        abis: &[abi(Arch::Riscv64, &["riscv64-linux-gnu-gcc"])],
    },
    Machine {
        name: "ppc64le",
        debian: ["ppc64el", "bookworm", "linux-image-powerpc64le"],
        emulator: &["qemu-system-ppc64", "-M", "pseries,cap-htm=off", "-cpu", "power9", "-vga", "none", "-m", "1024"],
        console: "hvc0",
        kernel_args: "",
        abis: &[abi(Arch::Ppc64le, &["powerpc64le-linux-gnu-gcc"])],
    },
    Machine {
        name: "mips64el",
        debian: ["mips64el", "bookworm", "linux-image-5kc-malta"],
        emulator: &["qemu-system-mips64el", "-M", "malta", "-cpu", "MIPS64R2-generic", "-m", "512"],
        console: "ttyS0",
        kernel_args: "",
        abis: &[
            abi(Arch::Mipsel64, &["mips64el-linux-gnuabi64-gcc"]),
            abi(Arch::Mipsel64n32, &["mips64el-linux-gnuabi64-gcc", "-mabi=n32"]),
            abi(Arch::Mipsel, &["mips64el-linux-gnuabi64-gcc", "-mabi=32"]),
        ],
    },
    Machine {
        name: "amd64",
        debian: ["amd64", "trixie-backports", "linux-image-amd64"],
        emulator: &["qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-m", "512"],
        console: "ttyS0",
        kernel_args: "syscall.x32=y no_timer_check",
        abis: &[
            abi(Arch::X86_64, &["x86_64-linux-gnu-gcc"]),
            abi(Arch::X86, &["i686-linux-gnu-gcc"]),
            abi(Arch::X32, &["x86_64-linux-gnux32-gcc"]),
        ],
    },
    Machine {
        name: "i386",
        debian: ["i386", "bookworm", "linux-image-686"],
        emulator: &["qemu-system-i386", "-M", "q35", "-cpu", "max", "-m", "512"],
        console: "ttyS0",
        kernel_args: "no_timer_check",
        abis: &[abi(Arch::X86, &["i686-linux-gnu-gcc"])],
    },
];

impl Machine {
    /// The emulator's options for the console on its standard output.
    pub fn console_args(&self) -> &'static [&'static str] {
        if self.console == "ttysclp0" {
            &["-chardev", "stdio,id=c0", "-device", "sclpconsole,chardev=c0"]
        } else {
            &SERIAL
        }
    }
}
