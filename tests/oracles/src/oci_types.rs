//! The types of the crate `oci-spec`, of several of its versions, as a container runtime has them.

use callsieve::check::{Judge, Subject};
use callsieve::policy::Target;
use callsieve::profile::Format;
use callsieve::{Arch, Profile};
use std::fs;
use std::path::Path;

const PROFILE: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "listenerPath": "/run/agent.sock",
    "listenerMetadata": "text",
    "syscalls": [
        {"names": ["read", "write", "exit_group"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 4294967295, "op": "SCMP_CMP_EQ"}]},
        {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    ]
}"#;

/// What we read from the text, and what we take over from the types that the crate read from it.
fn same(text: &str, taken: &Profile) {
    let read = Profile::from_json(text, Format::Oci).unwrap();
    assert_eq!(read.default_action(), taken.default_action());
    assert_eq!((read.rules().len(), read.listener_path()), (taken.rules().len(), taken.listener_path()));
    let target = Target::new(Arch::X86_64);
    let (read, taken) = (read.resolve(&target).unwrap(), taken.resolve(&target).unwrap());
    assert!(Judge::new().witness(&Subject::policy(&read), &Subject::policy(&taken)).unwrap().is_none());
    assert_eq!(read.install_options(), taken.install_options());
}

#[test]
fn linux_seccomp_of_several_versions() {
    let newer: oci_spec::runtime::LinuxSeccomp = serde_json::from_str(PROFILE).unwrap();
    same(PROFILE, &Profile::from_serialize(&newer).unwrap());
    let older: oci_spec_07::runtime::LinuxSeccomp = serde_json::from_str(PROFILE).unwrap();
    same(PROFILE, &Profile::from_serialize(&older).unwrap());
}

/// A whole `config.json`, as a runtime takes it apart.
#[test]
fn a_container_of_a_runtime() {
    let config = format!(r#"{{"ociVersion": "1.0.2", "linux": {{"seccomp": {PROFILE}}}}}"#);
    let spec: oci_spec::runtime::Spec = serde_json::from_str(&config).unwrap();
    let linux = spec.linux().as_ref().unwrap();
    let profile = Profile::from_serialize(linux.seccomp()).unwrap();
    same(PROFILE, &profile);
}

/// Objects of the security profiles operator, read with another parser.
#[test]
fn objects_of_the_operator() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/import/operator");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    assert!(files.len() >= 20);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let ours =
            callsieve::import::Importer::new(callsieve::import::Language::Operator, Arch::X86_64).read(&text).unwrap();
        let theirs: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert_eq!(ours.len(), theirs.len(), "{}", file.display());
        for (ours, mut theirs) in ours.into_iter().zip(theirs) {
            let mut spec = if theirs["spec"].is_null() { theirs } else { theirs["spec"].take() };
            let fields = spec.as_object_mut().unwrap();
            for key in ["state", "disabled", "baseProfileName"] {
                fields.remove(key);
            }
            for entry in fields.get_mut("syscalls").and_then(|list| list.as_array_mut()).into_iter().flatten() {
                if entry["errnoRet"] == 0 {
                    entry.as_object_mut().unwrap().remove("errnoRet");
                }
            }
            let taken = Profile::from_serialize(&spec).unwrap();
            let target = Target::new(Arch::X86_64);
            let (ours, taken) = (ours.profile().resolve(&target).unwrap(), taken.resolve(&target).unwrap());
            let witness = Judge::new().witness(&Subject::policy(&ours), &Subject::policy(&taken)).unwrap();
            assert!(witness.is_none(), "{}: {witness:x?}", file.display());
        }
    }
}

/// Raw filters in the types of other crates: one line each, as the documentation has it.
#[test]
fn instructions_in_the_types_of_other_crates() {
    let policy =
        Profile::new(callsieve::Action::Errno(1)).allow("read").resolve(&Target::exactly(&[Arch::X86_64])).unwrap();
    let filter = callsieve::Compiler::new().compile(&policy).unwrap();
    let insns = filter.program().as_insns();
    let program: seccompiler::BpfProgram =
        insns.iter().map(|i| seccompiler::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    assert_eq!(program.len(), insns.len());
    let libc: Vec<libc::sock_filter> =
        insns.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    assert_eq!(libc[0].k, insns[0].k);
}
