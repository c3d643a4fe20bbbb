//! Profile bytes: whatever the file, the answer is a profile or a list of problems.

use super::programs::{answers, compile};
use crate::Level;
use crate::arch::Arch;
use crate::policy::Target;
use crate::profile::{Diagnostics, Dialect, Format, Profile, Severity};
use alloc::string::ToString;

/// Reads bytes as a profile in every way, and checks what has to be true of every answer.
pub fn profile_bytes(bytes: &[u8]) {
    for format in [Format::Auto, Format::Oci, Format::Docker] {
        match Profile::from_slice(bytes, format) {
            Ok(profile) => {
                assert!(profile.diagnostics().worst() != Some(Severity::Error));
                check_findings(profile.diagnostics());
                check_written(&profile);
                check_compiled(&profile);
            }
            Err(error) => {
                assert_eq!(error.diagnostics().worst(), Some(Severity::Error));
                check_findings(error.diagnostics());
                let text = error.to_string();
                assert!(text.split_once('\n').is_some_and(|(head, _)| head.contains("in the profile")), "{text}");
            }
        }
    }
}

/// Nothing from the file can disturb a terminal, and nothing is endless.
pub(super) fn check_findings(findings: &Diagnostics) {
    assert!(findings.len() <= 101, "{}", findings.len());
    for found in findings {
        let text = found.to_string();
        assert!(!found.message().is_empty() && !text.chars().any(char::is_control), "{text:?}");
        assert!(text.len() < 4096, "{text}");
    }
}

/// What was read can be written, and reads back as the same rules.
fn check_written(profile: &Profile) {
    let text = match profile.to_json() {
        Ok(text) => text,
        Err(error) => panic!("{error}\n{profile:?}"),
    };
    let format = if profile.dialect() == Dialect::Docker { Format::Docker } else { Format::Oci };
    let again = match Profile::from_json(&text, format) {
        Ok(again) => again,
        Err(error) => panic!("{error}\n{text}"),
    };
    assert_eq!((again.rules(), again.default_action()), (profile.rules(), profile.default_action()), "{text}");
    assert_eq!((again.arch_list(), again.arch_map()), (profile.arch_list(), profile.arch_map()), "{text}");
    assert_eq!((again.flags(), again.listener_path()), (profile.flags(), profile.listener_path()), "{text}");
}

/// What can be resolved compiles, for both byte orders.
fn check_compiled(profile: &Profile) {
    for arches in [&[Arch::X86_64, Arch::X86, Arch::X32][..], &[Arch::S390x, Arch::S390]] {
        if let Ok(policy) = profile.resolve(&Target::exactly(arches)) {
            let _ = compile(&policy, Level::Balanced, &answers(&policy));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// Pieces from which profiles are made, good ones and bad ones.
    const PIECES: [&str; 60] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "true",
        "0",
        "1",
        "6",
        "38",
        "4096",
        "-1",
        "1.5",
        "1e3",
        "18446744073709551616",
        "\"\"",
        "\"\\u001b[2J\"",
        "\"\\ud800\"",
        "\"read\"",
        "\"defaultAction\":",
        "\"defaultErrnoRet\":",
        "\"defaultErrno\":",
        "\"architectures\":",
        "\"archMap\":",
        "\"architecture\":",
        "\"subArchitectures\":",
        "\"flags\":",
        "\"listenerPath\":",
        "\"listenerMetadata\":",
        "\"syscalls\":",
        "\"names\":",
        "\"name\":",
        "\"action\":",
        "\"errnoRet\":",
        "\"errno\":",
        "\"args\":",
        "\"index\":",
        "\"value\":",
        "\"valueTwo\":",
        "\"op\":",
        "\"includes\":",
        "\"excludes\":",
        "\"caps\":",
        "\"arches\":",
        "\"minKernel\":",
        "\"comment\":",
        "\"SCMP_ACT_ALLOW\"",
        "\"SCMP_ACT_ERRNO\"",
        "\"SCMP_ACT_NOTIFY\"",
        "\"SCMP_CMP_EQ\"",
        "\"SCMP_CMP_MASKED_EQ\"",
        "\"SCMP_ARCH_X86_64\"",
        "\"SCMP_ARCH_NATIVE\"",
        "\"SECCOMP_FILTER_FLAG_LOG\"",
        "\"CAP_SYS_ADMIN\"",
        "\"amd64\"",
        "\"ENOSYS\"",
        "\"4.8\"",
    ];

    /// Values of the schema with something foreign in some places, so that most of them are valid JSON.
    fn value() -> impl Strategy<Value = String> {
        let words: Vec<&str> =
            PIECES.into_iter().filter(|piece| !":{}[],".contains(&piece[piece.len() - 1..])).collect();
        let keys: Vec<&str> = PIECES.into_iter().filter(|piece| piece.len() > 1 && piece.ends_with(':')).collect();
        select(words).prop_map(String::from).prop_recursive(5, 40, 6, move |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4);
            let field = (select(keys.clone()), inner).prop_map(|(key, value)| format!("{key} {value}"));
            let fields = prop::collection::vec(field, 0..6);
            prop_oneof![
                list.prop_map(|list| format!("[{}]", list.join(", "))),
                fields.prop_map(|fields| format!("{{{}}}", fields.join(", "))),
            ]
        })
    }

    /// Entries that are mostly right.
    fn entry() -> impl Strategy<Value = String> {
        let action =
            select(vec!["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY", "SCMP_ACT_KILL"]);
        let extra = select(vec![
            "",
            r#", "errnoRet": 38"#,
            r#", "errno": "EPERM""#,
            r#", "errno": "12""#,
            r#", "comment": "a \"word\"""#,
            r#", "includes": {"caps": ["CAP_BPF"], "minKernel": "4.8"}"#,
            r#", "excludes": {"arches": ["s390x", "arm64"]}"#,
            r#", "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_GE"}, {"index": 0, "value": 9, "op": "SCMP_CMP_LE"}]"#,
            r#", "args": [{"index": 5, "value": 18446744073709551615, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}]"#,
        ]);
        let name = select(vec!["read", "write", "openat", "no_such_call", "135"]);
        (name, action, extra)
            .prop_map(|(name, action, extra)| format!(r#"{{"names": ["{name}"], "action": "{action}"{extra}}}"#))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            profile_bytes(&bytes);
        }

        #[test]
        fn any_pieces(pieces in prop::collection::vec(select(PIECES.to_vec()), 0..60)) {
            profile_bytes(pieces.concat().as_bytes());
        }

        #[test]
        fn any_values(entries in prop::collection::vec(value(), 0..4), top in value()) {
            let list = entries.join(", ");
            profile_bytes(format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{list}]}}"#).as_bytes());
            profile_bytes(format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": {top}}}"#).as_bytes());
            profile_bytes(top.as_bytes());
        }

        #[test]
        fn good_profiles_are_read(entries in prop::collection::vec(entry(), 0..6)) {
            let text = format!(r#"{{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{}]}}"#, entries.join(", "));
            profile_bytes(text.as_bytes());
            let profile = Profile::from_json(&text, Format::Docker).unwrap();
            prop_assert_eq!(profile.rules().len(), entries.len());
        }

        #[test]
        fn a_changed_byte(at in 0usize..16_000, byte in any::<u8>()) {
            let mut text = Profile::container_default_json().as_bytes().to_vec();
            let at = at % text.len();
            text[at] = byte;
            profile_bytes(&text);
        }
    }
}
