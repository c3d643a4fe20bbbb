//! Every name that somebody brings along from another program has its answer in the guide.

#![allow(clippy::unwrap_used)] // A helper that fails is a test that fails.

use std::fs;
use std::path::Path;

/// Names in the pages about libseccomp's C library and Rust crate.
const LIBSECCOMP: &str = "
    init new reset merge transaction_start transaction_commit transaction_reject start_transaction commit_transaction
    reject_transaction arch_add add_arch arch_remove remove_arch arch_exist is_arch_present arch_native arch_resolve_name
    SCMP_ARCH_NATIVE rule_add add_rule add_rule_conditional rule_add_exact add_rule_exact add_rule_conditional_exact
    scmp_cmp ScmpArgCompare SCMP_CMP SCMP_CMP_MASKED_EQ SCMP_ACT_KILL SCMP_ACT_KILL_THREAD SCMP_ACT_KILL_PROCESS
    SCMP_ACT_TRAP SCMP_ACT_ERRNO SCMP_ACT_TRACE SCMP_ACT_LOG SCMP_ACT_ALLOW SCMP_ACT_NOTIFY get_act_default
    set_act_badarch set_ctl_nnp set_ctl_tsync set_ctl_log set_ctl_ssb set_ctl_waitkill set_ctl_optimize
    SCMP_FLTATR_ACT_DEFAULT SCMP_FLTATR_ACT_BADARCH SCMP_FLTATR_CTL_NNP SCMP_FLTATR_CTL_TSYNC SCMP_FLTATR_CTL_LOG
    SCMP_FLTATR_CTL_SSB SCMP_FLTATR_CTL_WAITKILL SCMP_FLTATR_CTL_OPTIMIZE SCMP_FLTATR_API_SYSRAWRC SCMP_FLTATR_API_TSKIP
    attr_set attr_get api_set syscall_priority set_syscall_priority set_api_sysrawrc set_api_tskip load precompute export_bpf export_bpf_mem
    export_pfc notify_fd get_notify_fd notify_alloc notify_free notify_receive notify_respond notify_id_valid
    ScmpNotifReq ScmpNotifResp ScmpNotifRespFlags add_fd respond_with_fd syscall_resolve_name syscall_resolve_name_arch
    syscall_resolve_name_rewrite syscall_resolve_num_arch ScmpSyscall from_name from_name_by_arch
    from_name_by_arch_rewrite get_name get_name_by_arch from_raw_syscall api_get check_api version get_library_version";

/// Names of the crate seccompiler.
const SECCOMPILER: &str = "
    SeccompFilter::new BTreeMap SeccompRule::new SeccompCondition::new Dword Qword Eq Ne Lt Le Gt Ge MaskedEq Allow Errno
    KillProcess KillThread Log Trace Trap UserNotif TargetArch x86_64 aarch64 riscv64 TryInto BpfProgram BpfProgramRef
    sock_filter apply_filter apply_filter_all_threads compile_from_json BpfMap EmptyFilter EmptyRule IdenticalActions
    InvalidArgumentNumber InvalidTargetArch FilterTooLarge ThreadSync Prctl Seccomp JsonFrontend";

/// Words in files of other programs.
const FILES: &str = "
    mismatch_action match_action default_action filter_action filter syscall args comment index type op val dword qword
    eq ne lt le gt ge masked_eq allow log trap kill_thread kill_process user_notif errno trace
    @include @frequency @default @denylist return in 1 kill kill-process kill-thread user-notify group@namespace
    SystemCallFilter SystemCallErrorNumber SystemCallArchitectures SystemCallLog @system-service @known native x32
    POLICY USE DEFAULT #define #include ALLOW LOG KILL KILL_THREAD DENY KILL_PROCESS USER_NOTIF ERRNO TRAP TRACE SYSCALL
    ON SeccompProfile";

/// What a container runtime needs.
const RUNTIME: &str = "
    from_serialize oci-spec no_new_privs spec_allow from_policy with_listener listener_path features RuncStub probe";

#[test]
fn every_name_has_its_answer() {
    let pages = [
        ("migrating_from_libseccomp", LIBSECCOMP),
        ("migrating_from_seccompiler", SECCOMPILER),
        ("importing", FILES),
        ("runtime", RUNTIME),
    ];
    for (page, names) in pages {
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/guide/{page}.md"))).unwrap();
        let missing: Vec<_> = names.split_whitespace().filter(|name| !has_code(&text, name)).collect();
        assert!(missing.is_empty(), "guide::{page} lost {missing:?}");
    }
}

/// Whether a name stands in the text as code: between backticks, and not as a part of another name.
fn has_code(text: &str, name: &str) -> bool {
    let belongs = |char: char| char.is_alphanumeric() || char == '_';
    text.split('`').skip(1).step_by(2).any(|code| {
        code.match_indices(name).any(|(at, _)| {
            let (before, after) = (&code[..at], &code[at + name.len()..]);
            !before.ends_with(belongs) && !after.starts_with(belongs)
        })
    })
}

#[test]
fn parts_of_names_do_not_count() {
    assert!(has_code("the call `load(ctx)` of", "load"));
    assert!(!has_code("the call `reload` of", "load"));
    assert!(!has_code("what we load", "load"));
}
