//! Files of other programs: whatever the text, the answer is profiles that compile, or a list of problems with places.

use super::profile::check_findings;
use super::programs::{answers, compile};
use crate::Level;
use crate::arch::Arch;
use crate::import::{Importer, Language};
use crate::policy::Target;
use crate::profile::Severity;
use alloc::string::String;

/// Reads bytes as a file of a language for a machine, which the first two bytes choose. An included file is the same text
/// again, or a part of it.
pub fn import_text(bytes: &[u8]) {
    let Some(([language, machine], text)) = bytes.split_first_chunk::<2>() else { return };
    let pick = |count: usize, byte: u8| usize::from(byte) % count.max(1);
    let Some(&language) = Language::ALL.get(pick(Language::ALL.len(), *language)) else { return };
    let arches = [Arch::X86_64, Arch::Aarch64, Arch::X86, Arch::S390x];
    let Some(&arch) = arches.get(pick(arches.len(), *machine)) else { return };
    let text = String::from_utf8_lossy(text);
    let files = |path: &str| {
        let half = text.len() / 2;
        match path.len() % 3 {
            0 => Err("there is no such file".into()),
            1 => Ok(text.clone().into_owned()),
            _ => Ok(text.get(half..).unwrap_or_default().into()),
        }
    };
    match Importer::new(language, arch).path("folder/file").files(&files).read(&text) {
        Ok(imported) => {
            for one in imported {
                assert!(one.profile().diagnostics().worst() != Some(Severity::Error));
                check_findings(one.profile().diagnostics());
                // What was read can be resolved, but for budgets.
                if let Ok(policy) = one.profile().resolve(&Target::new(arch)) {
                    let _ = compile(&policy, Level::Fast, &answers(&policy));
                }
            }
        }
        Err(error) => {
            assert_eq!(error.diagnostics().worst(), Some(Severity::Error));
            check_findings(error.diagnostics());
            for found in error.diagnostics() {
                assert!(found.path().contains("line ") || found.path() == "$", "{found}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// Pieces of all languages.
    const PIECES: [&str; 92] = [
        "read",
        "write",
        "socket",
        "ioctl",
        "openat",
        "raed",
        "arg0",
        "arg1",
        "arg5",
        "arg6",
        " == ",
        " != ",
        " < ",
        " >= ",
        " & ",
        " in ",
        " && ",
        " || ",
        "; ",
        ": ",
        "1",
        "0",
        "0x5401",
        "-1",
        "0777",
        "18446744073709551615",
        "1e9",
        "return ",
        "EPERM",
        "ENOSYS",
        "allow",
        "kill",
        "trap",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ", ",
        "\n",
        "\\\n",
        "#",
        "@include ./a",
        "@frequency ./ab",
        "@default ",
        "@denylist",
        "PROT_EXEC",
        "AF_UNIX",
        "~",
        "|",
        "!",
        "POLICY p ",
        "USE p",
        "DEFAULT ",
        "ALLOW ",
        "ERRNO(1) ",
        "SYSCALL[5]",
        " ON x86_64",
        "#define A 1\n",
        "#include \"ab\"",
        "fd",
        "count",
        "flags",
        "/*",
        "*/",
        "//",
        "\"",
        "=",
        "SystemCallFilter=",
        "SystemCallErrorNumber=",
        "SystemCallArchitectures=",
        "SystemCallLog=",
        "[Service]\n",
        "@system-service",
        "@mount",
        "native",
        ":EPERM",
        "{\"a\": {",
        "\"default_action\": \"trap\", ",
        "\"filter_action\": \"allow\", ",
        "\"filter\": [",
        "{\"syscall\": \"read\"}",
        "\"args\": [{\"index\": 0, \"type\": \"dword\", \"op\": \"eq\", \"val\": 1}]",
        "]}}",
        "kind: SeccompProfile\n",
        "spec:\n",
        "  defaultAction: SCMP_ACT_ERRNO\n",
        "  syscalls:\n",
        "  - names: [read]\n",
        "    action: SCMP_ACT_ALLOW\n",
        "&a *a !t",
    ];

    /// Files that are right.
    const GOOD: [(u8, &str); 6] = [
        (0, r#"{"a": {"mismatch_action": "trap", "match_action": "allow", "filter": [{"syscall": "read"}]}}"#),
        (1, r#"{"a": {"default_action": "trap", "filter_action": "allow", "filter": [{"syscall": "read"}]}}"#),
        (
            2,
            "read: 1\nsocket: arg0 == AF_UNIX && arg1 & 0xff || arg0 in 3\n{write, close}: {arg0 < 5; allow, return EPERM}\n",
        ),
        (
            3,
            "#define A 7\nPOLICY p { ALLOW { read, write { fd & 3 > 1 && !(count == A) } } }\nUSE p DEFAULT ERRNO(1)\n",
        ),
        (
            4,
            "[Service]\nSystemCallFilter=@system-service\nSystemCallFilter=~@mount:EPERM chown\nSystemCallArchitectures=native\n",
        ),
        (
            5,
            "kind: SeccompProfile\napiVersion: security-profiles-operator.x-k8s.io/v1beta1\nspec:\n  defaultAction: SCMP_ACT_ERRNO\n",
        ),
    ];

    /// Of a word that is very long a message shows only the beginning.
    #[test]
    fn long_words_are_cut() {
        let (word, zeros) = ("x".repeat(9000), "0".repeat(9000));
        for (language, text) in [
            (Language::Seccompiler, format!("{{\"a\": {{\"{word}\": 1}}}}")),
            (Language::Minijail, format!("read: arg6{zeros} == 1\n")),
            (Language::Minijail, format!("read: arg0 == 0x{zeros}100000000\n")),
            (Language::Minijail, format!("0x{zeros}100000000: 1\n")),
            (Language::Kafel, format!("ALLOW {{ SYSCALL[5](a{word}, b{word}) {{ a{word}y == 1 }} }} DEFAULT KILL")),
            (Language::Kafel, format!("POLICY a{word} {{ ALLOW {{ read }} }} USE a{word}y DEFAULT KILL")),
            (Language::Systemd, format!("[Service]\nSystemCall{word}=read\n")),
            (Language::Systemd, format!("[{word}]\nSystemCallFilter=read\n")),
            #[cfg(feature = "yaml")]
            (Language::Operator, format!("{key}: 1\n{key}: 2\n", key = &word[..1000])),
        ] {
            let error = Importer::new(language, Arch::X86).read(&text).unwrap_err();
            check_findings(error.diagnostics());
            let cut = error.diagnostics().iter().all(|found| found.message().len() < 1000);
            assert!(cut && error.to_string().contains("..."), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            import_text(&bytes);
        }

        #[test]
        fn any_pieces(language in 0_u8..6, machine in 0_u8..4, pieces in prop::collection::vec(select(PIECES.to_vec()), 0..50)) {
            let mut bytes = Vec::from([language, machine]);
            bytes.extend(pieces.concat().bytes());
            import_text(&bytes);
        }

        #[test]
        fn a_changed_piece(good in select(GOOD.to_vec()), machine in 0_u8..4, at in 0_usize..200, piece in select(PIECES.to_vec())) {
            let (language, text) = good;
            let mut text = String::from(text);
            let at = at % text.len();
            text.insert_str(at, piece);
            let mut bytes = Vec::from([language, machine]);
            bytes.extend(text.bytes());
            import_text(&bytes);
        }
    }
}
