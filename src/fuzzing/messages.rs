//! What a supervisor receives: any number with any arguments, from any architecture.

use crate::arch::Arch;
use crate::bpf::{Endian, SyscallData};
use crate::policy::Target;
use crate::record::{Recorder, Recording};
use alloc::string::ToString;
use alloc::vec::Vec;

/// `struct seccomp_notif` (`linux/seccomp.h`): an id, a thread, flags, and the call.
const HEAD: usize = 16;
const MESSAGE: usize = HEAD + SyscallData::SIZE as usize;

/// Bytes as messages of the kernel, which are recorded. The draft of the recording allows each of them that has a name.
pub fn notifications(bytes: &[u8]) {
    let mut recording = Recording::new();
    let mut calls = Vec::new();
    for message in bytes.chunks_exact(MESSAGE).take(64) {
        let Some(call) = message.get(HEAD..).and_then(call) else { return };
        recording.add(&call);
        calls.push(call);
    }
    let mut twice = recording.clone();
    twice.merge(&recording);
    assert_eq!(twice.calls().count(), recording.calls().count());
    assert_eq!(twice.total(), 2 * recording.total());
    check_recording(&recording);
    let Some(native) = recording.arches().next() else { return };
    let draft = match Recorder::new().draft(&recording) {
        Ok(draft) => draft,
        Err(error) => panic!("{error}"),
    };
    let arches: Vec<Arch> = recording.arches().filter(|arch| arch.endian() == native.endian()).collect();
    // One filter is for one byte order.
    if arches.len() != recording.arches().count() {
        return;
    }
    let policy = match draft.profile().resolve(&Target::exactly(&arches)) {
        Ok(policy) => policy,
        Err(error) => panic!("{error}\n{:?}", draft.profile()),
    };
    for call in calls {
        let name = Arch::of_call(call.arch, call.nr).and_then(|arch| arch.name(call.nr));
        if let Some(name) = name {
            assert_eq!(policy.decide(&call), crate::Action::Allow, "{name}: {call:x?}");
        }
    }
}

/// The call in 64 bytes, its words with the low byte first.
fn call(bytes: &[u8]) -> Option<SyscallData> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let wide = |at: usize| Some(u64::from(word(at)?) | u64::from(word(at + 4)?) << 32);
    let mut data = SyscallData { nr: word(0)?, arch: word(4)?, instruction_pointer: wide(8)?, args: [0; 6] };
    for (index, arg) in data.args.iter_mut().enumerate() {
        *arg = wide(16 + 8 * index)?;
    }
    debug_assert_eq!(data.word(SyscallData::NR, Endian::Little), Some(data.nr));
    Some(data)
}

/// What holds of every recording.
pub(super) fn check_recording(recording: &Recording) {
    for call in recording.calls() {
        assert!(call.values().all(|(values, _)| values.len() <= 6));
    }
    for note in recording.notes() {
        super::texts::check_message(&note.to_string());
    }
    #[cfg(feature = "json")]
    match crate::Weights::from_json(&recording.weights_json()) {
        // Shares are rounded on the way through the text.
        Ok(weights) => assert_eq!(weights == crate::Weights::mix(), recording.weights() == crate::Weights::mix()),
        Err(error) => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// A message that means something: an ABI that is known, a number of its table, arguments as programs give them.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        let arch = select(alloc::vec![Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::S390x]);
        let arg = prop_oneof![any::<u64>(), 0_u64..70_000, Just(u64::MAX)];
        (arch, 0_u32..480, prop::collection::vec(arg, 6)).prop_map(|(arch, nr, args)| {
            let nr = if arch == Arch::X32 { nr | Arch::X32_BIT } else { nr };
            let mut bytes = alloc::vec![0; HEAD];
            bytes.extend(nr.to_le_bytes());
            bytes.extend(arch.audit().to_le_bytes());
            bytes.extend([0; 8]);
            bytes.extend(args.iter().flat_map(|arg| arg.to_le_bytes()));
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_messages(messages in prop::collection::vec(message(), 0..12)) {
            notifications(&messages.concat());
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            notifications(&bytes);
        }
    }
}
