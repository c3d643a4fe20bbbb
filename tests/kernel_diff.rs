//! What `check::diff` names is what the running kernel does differently.
#![cfg(all(target_os = "linux", feature = "std", feature = "json"))]
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod common;

use callsieve::arch::Arch;
use callsieve::bpf::Action;
use callsieve::check::{Direction, Subject, diff};
use callsieve::policy::Target;
use callsieve::profile::{Format, Profile};
use callsieve::{Compiler, Policy};
use common::judge::{Observed, probe_calls};
use common::kernel_has_filters;

/// The container default, and a copy where the socket families from 40 on are allowed instead of those above 40.
fn default_and_copy(target: &Target) -> [Policy; 2] {
    let text = Profile::container_default().unwrap().to_json().unwrap();
    let mut copy: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut conditions = copy["syscalls"].as_array_mut().unwrap().iter_mut().flat_map(|entry| {
        let socket = entry["names"] == serde_json::json!(["socket"]);
        entry["args"].as_array_mut().filter(|_| socket).into_iter().flatten()
    });
    let above = conditions.find(|condition| condition["op"] == "SCMP_CMP_GT" && condition["value"] == 40).unwrap();
    above["op"] = "SCMP_CMP_GE".into();
    [text, copy.to_string()].map(|text| Profile::from_json(&text, Format::Docker).unwrap().resolve(target).unwrap())
}

#[test]
fn one_changed_condition_is_named_exactly_and_shows_on_the_kernel() {
    let arch = Arch::NATIVE.unwrap();
    let policies = default_and_copy(&Target::exactly(&[arch]));
    let [old, new] = [&policies[0], &policies[1]].map(Subject::policy);
    let diff = diff(&old, &new).unwrap();
    let [group] = diff.groups() else { panic!("{diff:?}") };
    let socket = arch.number("socket").unwrap();
    assert_eq!(group.calls().named(arch).collect::<Vec<_>>(), [(socket, "socket")]);
    assert_eq!(group.calls().unnamed(arch), Some(vec![]));
    let [change] = group.changes() else { panic!("{diff:?}") };
    let conditions: Vec<_> =
        change.conditions().iter().map(|condition| condition.words(arch.has_64bit_args())).collect();
    assert_eq!(conditions, ["arg0 == 40"]);
    assert_eq!((change.actions(), change.direction()), ([Action::Errno(1), Action::Allow], Direction::Looser));

    if !kernel_has_filters("one_changed_condition_is_named_exactly_and_shows_on_the_kernel") {
        return;
    }
    let example = change.example(arch.audit(), socket);
    let seen = [&policies[0], &policies[1]].map(|policy| {
        let filter = Compiler::new().compile(policy).unwrap();
        probe_calls(filter.program(), &[example])[0]
    });
    assert_eq!(seen, [Observed::Errno(1), Observed::Passed]);
}
