//! What rows and titles say, word by word.

use super::*;

const ALL: u32 = u32::MAX;
const NUMBER: Word = Word { offset: SyscallData::NR, mask: ALL };
const TOKEN: Word = Word { offset: SyscallData::ARCH, mask: ALL };
const ARGUMENT: Word = Word { offset: 16, mask: ALL };

fn on(arch: Arch) -> Words {
    Words { endian: Endian::Little, arch, known: true }
}

/// A set of ranges, both ends inside.
fn set(all: &[(u32, u32)]) -> Ranges {
    let part = |&(first, last): &(u32, u32)| {
        let [_, from] = Ranges::up_to(last).split_below(first);
        from
    };
    all.iter().map(part).fold(Ranges::default(), |sum, part| sum.union(&part))
}

fn numbers(arch: Arch, all: &[(u32, u32)]) -> String {
    on(arch).row(NUMBER, &set(all), false)
}

/// The rows of a box in their order.
fn rows(arch: Arch, word: Word, all: &[&[(u32, u32)]]) -> Vec<String> {
    let rows: Vec<_> = all.iter().map(|ranges| (set(ranges), ())).collect();
    on(arch).rows(word, &rows).into_iter().map(|(text, ())| text).collect()
}

#[test]
fn every_answer_has_its_colour() {
    for (raw, words, colour) in [
        (Some(0x7fff_0000), "ALLOW", Colour::Allowed),
        (Some(0x7ffc_0000), "LOG", Colour::Logged),
        (Some(0x7fc0_0000), "NOTIFY", Colour::Asked),
        (Some(0x7ff0_0007), "TRACE(7)", Colour::Asked),
        (Some(0x0005_0026), "ERRNO(38) ENOSYS", Colour::Failed),
        (Some(0x0003_0000), "TRAP", Colour::Killed),
        (Some(0x8000_0000), "KILL_PROCESS", Colour::Killed),
        (Some(0x1234_0000), "0x12340000 (acts as KILL_PROCESS)", Colour::Killed),
        (None, "what was computed", Colour::Unknown),
    ] {
        assert_eq!(on(Arch::X86_64).end(raw), Target::End(words.into(), colour));
    }
    // Error numbers have the names of the ABI.
    assert_eq!(on(Arch::Mips).end(Some(0x0005_0059)), Target::End("ERRNO(89) ENOSYS".into(), Colour::Failed));
}

#[test]
fn titles_name_the_word() {
    let title = |words: Words, offset, mask| words.title(Word { offset, mask });
    for (offset, little, big) in [
        (0, "system call (x86_64)", "system call (x86_64)"),
        (4, "architecture", "architecture"),
        (8, "instruction pointer, low half", "instruction pointer, high half"),
        (12, "instruction pointer, high half", "instruction pointer, low half"),
        (16, "argument 0, low half", "argument 0, high half"),
        (20, "argument 0, high half", "argument 0, low half"),
        (32, "argument 2, low half", "argument 2, high half"),
        (60, "argument 5, high half", "argument 5, low half"),
    ] {
        assert_eq!(title(on(Arch::X86_64), offset, ALL), little);
        assert_eq!(title(Words { endian: Endian::Big, ..on(Arch::X86_64) }, offset, ALL), big);
    }
    assert_eq!(title(Words { known: false, ..on(Arch::Arm) }, 0, ALL), "system call (as arm has them)");
    assert_eq!(title(on(Arch::X86_64), 16, 0xf0), "argument 0, low half, bits 0xf0");
}

#[test]
fn numbers_are_calls() {
    for (arch, values, text) in [
        (Arch::X86_64, &[(0, 1)][..], "read write"),
        (Arch::X86_64, &[(0, 8)], "close fstat lseek lstat open poll read stat write"),
        (Arch::X86_64, &[(0, 9)], "10 calls: close fstat lseek lstat mmap open poll read stat write"),
        (Arch::X86_64, &[(100_000, 100_000)], "0x186a0"),
        (Arch::Aarch64, &[(5000, 5000), (6000, ALL)], "5000, ≥ 6000"),
        (Arch::X86_64, &[(1, 1), (5000, 6000)], "write (and numbers without a name)"),
        (Arch::Mips, &[(4003, 4004)], "read write"),
        (Arch::Aarch64, &[(63, 63)], "read"),
        // Numbers of x32 come behind the others, and all of them together need no names.
        (Arch::X86_64, &[(1, 1), (0x4000_0000, 0x4000_0000)], "write x32:read"),
        (Arch::X86_64, &[(0x4000_0000, 0x7fff_ffff)], "every number of x32"),
        (Arch::X86_64, &[(1, 1), (0x4000_0000, 0x7fff_ffff)], "write every number of x32 (and numbers without a name)"),
        (Arch::X86_64, &[(0x4000_0000, ALL)], "every number of x32"),
        (Arch::X32, &[(0x4000_0000, 0x4000_0001)], "read write"),
        (Arch::Aarch64, &[(0x4000_0000, ALL)], "≥ 0x40000000"),
    ] {
        assert_eq!(numbers(arch, values), text, "{values:x?} on {arch}");
    }
    // One number less at either end, and they are told one by one.
    for values in [(0x4000_0001, 0x7fff_ffff), (0x4000_0000, 0x7fff_fffe)] {
        let text = numbers(Arch::X86_64, &[values]);
        assert!(text.contains(" calls: ") && text.contains("x32:write"), "{text}");
    }
}

#[test]
fn without_bit_30_numbers_are_those_of_x32() {
    let word = Word { mask: !Arch::X32_BIT, ..NUMBER };
    let row = |values: &[(u32, u32)], is_rest| on(Arch::X86_64).row(word, &set(values), is_rest);
    assert_eq!(row(&[(1, 1), (520, 520)], false), "execve write");
    // The number of execve for 64 bits is none of x32.
    assert_eq!(row(&[(59, 59)], false), "59");
    assert_eq!(row(&[(1, 1), (2, 2)], true), "any other number; 2 of them are calls: open write");
    let names = on(Arch::X86_64).names(word, &set(&[(1, 1), (520, 520)]));
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["execve", "write"]);
    // Another mask takes away more, and no name is left.
    let low = Word { mask: 0xff, ..NUMBER };
    assert_eq!(on(Arch::Aarch64).row(low, &set(&[(63, 63)]), false), "read");
}

#[test]
fn what_is_left_stands_at_the_end() {
    assert_eq!(rows(Arch::X86_64, NUMBER, &[&[(0, 0), (2, ALL)], &[(1, 1)]])[0], "write");
    for (named, text) in [
        (5000, "any other number"),
        (148, "any other number; 149 of them are calls: "),
        (149, "any other number, 150 calls among them"),
    ] {
        let from = if named == 5000 { 5000 } else { 0 };
        let words = on(Arch::X86_64).row(NUMBER, &set(&[(from, named), (6000, 7000)]), true);
        assert!(words == text || text.ends_with(' ') && words.starts_with(text), "{words}");
    }
    let one = on(Arch::X86_64).row(NUMBER, &set(&[(1, 1), (6000, 7000)]), true);
    assert_eq!(one, "any other number; one of them is a call: write");
    // For numbers it is where one behind every table goes, whatever else is more.
    let far = [&[(1, 0x3fff_fffe)][..], &[(0, 0), (0x3fff_ffff, 0x3fff_ffff)]];
    assert_eq!(rows(Arch::Mips, NUMBER, &far)[1], "any other number");
    // For other words it is the most.
    let thirds = [&[(0, 0x2fff_ffff)][..], &[(0x3000_0000, 0x4fff_ffff)], &[(0x5000_0000, ALL)]];
    assert_eq!(rows(Arch::X86_64, ARGUMENT, &thirds), ["0 to 0x2fffffff", "0x30000000 to 0x4fffffff", "anything else"]);
    // A single row is everything, and says so.
    assert_eq!(rows(Arch::X86_64, ARGUMENT, &[&[(0, ALL)]]), ["0 to 0xffffffff"]);
    assert_eq!(rows(Arch::X86_64, ARGUMENT, &[]), [""; 0]);
}

#[test]
fn architectures_have_names() {
    let tokens =
        [&[(0x4000_0003, 0x4000_0003), (0xc000_003e, 0xc000_003e)][..], &[(7, 7), (9, 12)], &[(13, 0x4000_0000)]];
    assert_eq!(rows(Arch::X86_64, TOKEN, &tokens), ["0x7, 0x9 to 0xc", "x86, x86_64, x32", "any other"]);
    // Neither end of a range is one of them.
    let range = on(Arch::X86_64).row(TOKEN, &set(&[(0x4000_0003, 0x4000_0004)]), false);
    assert_eq!(range, "0x40000003 to 0x40000004");
}

/// Of some bits of the architecture each row tells which they are.
#[test]
fn masked_architectures_are_told_apart() {
    // Without its top bit a number is no token.
    let cut = Word { mask: 0x7fff_ffff, ..TOKEN };
    assert_eq!(on(Arch::X86).row(cut, &set(&[(0x4000_0003, 0x4000_0003)]), false), "0x40000003");
    let word = Word { mask: 0xff, ..TOKEN };
    assert_eq!(rows(Arch::X86_64, word, &[&[(0x3e, 0x3e)], &[(0, 0x3d), (0x3f, 0xff)]]), ["0x3e", "any other"]);
    assert_eq!(rows(Arch::X86_64, word, &[&[(3, 3)], &[(0x3e, 0x3e)], &[(0x3f, 0xff)]]), ["0x3", "0x3e", "any other"]);
}

#[test]
fn ranges_of_arguments() {
    for (values, text) in [
        (&[(0, 0)][..], "0"),
        (&[(0, 5), (7, 7)], "0 to 5, 7"),
        (&[(5, ALL)], "≥ 5"),
        (&[(0, ALL)], "0 to 0xffffffff"),
        (&[(ALL, ALL)], "0xffffffff"),
        (&[(0xffff, 0x1_0000)], "65535 to 0x10000"),
    ] {
        assert_eq!(on(Arch::X86_64).row(ARGUMENT, &set(values), false), text);
    }
    // Some bits are read as bits, and the largest of them ends the last range.
    let bits = Word { mask: 0xf0, ..ARGUMENT };
    assert_eq!(on(Arch::X86_64).row(bits, &set(&[(0x10, 0x20), (0x30, 0xf0)]), false), "0x10 to 0x20, ≥ 0x30");
    // Twelve are spelt out.
    let odd = |count: u32| (0..count).map(|index| (2 * index, 2 * index)).collect::<Vec<_>>();
    let shown = "0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22";
    for (count, more) in [(12, ""), (13, ", and one more range"), (14, ", and 2 more ranges")] {
        assert_eq!(on(Arch::X86_64).row(ARGUMENT, &set(&odd(count)), false), format!("{shown}{more}"));
    }
}
