//! sendto, sendmsg and sendmmsg: the address is in the target's memory, so the nurse sends, on the target's socket.
//!
//! `sendto` without an address, as send(3) makes it, never comes here.

use super::net::{Peer, Written};
use super::target::{Answer, Step, Target};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType, sendmsg as send_plain, sendmsg_addr,
};
use std::io::IoSlice;
use std::os::fd::{AsFd as _, OwnedFd};

/// `struct msghdr` on a 64-bit machine, and the same with a length behind it.
const MSGHDR: usize = 56;
const MMSGHDR: usize = 64;
/// As many pieces as the kernel takes.
const MAX_PIECES: u64 = 1024;
/// The most bytes of a stream that are sent at once; more is sent by the next call, as the target is told.
const MAX_STREAM: usize = 1 << 18;
/// More than a datagram can have.
const MAX_DATAGRAM: usize = 1 << 20;
/// As many descriptors as one message takes.
const MAX_FDS: usize = 253;
const MAX_CONTROL: u64 = 20480;

/// A message as it will be sent.
struct Message {
    socket: OwnedFd,
    to: Option<Peer>,
    data: Vec<u8>,
    fds: Vec<OwnedFd>,
    flags: SendFlags,
}

impl Message {
    fn send(&self, more: SendFlags) -> Result<usize, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<_> = self.fds.iter().map(OwnedFd::as_fd).collect();
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(Errno::INVAL);
        }
        let data = [IoSlice::new(&self.data)];
        // The one who gets SIGPIPE would be the nurse.
        let flags = self.flags | more | SendFlags::NOSIGNAL;
        match &self.to {
            Some(peer) => sendmsg_addr(&self.socket, &peer.address, &data, &mut control, flags),
            None => send_plain(&self.socket, &data, &mut control, flags),
        }
    }
}

/// Flags that are passed on. `MSG_FASTOPEN` would connect, `MSG_ZEROCOPY` speaks of memory.
fn flags_of(target: &Target<'_>, index: usize) -> Step<SendFlags> {
    const FASTOPEN: u32 = 0x2000_0000;
    const KNOWN: i32 = libc::MSG_OOB
        | libc::MSG_DONTROUTE
        | libc::MSG_DONTWAIT
        | libc::MSG_EOR
        | libc::MSG_CONFIRM
        | libc::MSG_NOSIGNAL
        | libc::MSG_MORE;
    if target.word(index) & FASTOPEN != 0 {
        return Err(Errno::OPNOTSUPP.into());
    }
    Ok(SendFlags::from_bits_retain(target.word(index) & KNOWN.cast_unsigned()))
}

pub(super) fn sendto(target: &Target<'_>) -> Step<Answer> {
    let (socket, transport, kind) = target.socket(target.int(0))?;
    let flags = flags_of(target, 3)?;
    let to = match kind {
        // The kernel does not look at it.
        SocketType::STREAM | SocketType::SEQPACKET => None,
        _ => Some(target.peer(transport, target.address(target.arg(4), target.word(5))?)?),
    };
    let size = size(kind, target.arg(2))?;
    let data = target.bytes(target.arg(1), size)?;
    deliver(target, Message { socket, to, data, fds: Vec::new(), flags })
}

/// How many bytes of a message of this size are sent.
fn size(kind: SocketType, size: u64) -> Step<usize> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    match kind {
        SocketType::STREAM => Ok(size.min(MAX_STREAM)),
        _ if size > MAX_DATAGRAM => Err(Errno::MSGSIZE.into()),
        _ => Ok(size),
    }
}

pub(super) fn sendmsg(target: &Target<'_>) -> Step<Answer> {
    let header = target.bytes(target.arg(1), MSGHDR)?;
    let flags = flags_of(target, 2)?;
    let message = message(target, &header, flags)?;
    deliver(target, message)
}

/// Reads all of a message.
fn message(target: &Target<'_>, header: &[u8], flags: SendFlags) -> Step<Message> {
    let (socket, transport, kind) = target.socket(target.int(0))?;
    let [name, name_len, pieces, count, control, control_len] = [0, 1, 2, 3, 4, 5].map(|index| word(header, index));
    // An int with four bytes of nothing behind it.
    let name_len = u32::try_from(name_len & 0xffff_ffff).unwrap_or_default();
    let to = match kind {
        SocketType::STREAM | SocketType::SEQPACKET => None,
        _ if name == 0 || name_len == 0 => None,
        _ => match target.address(name, name_len)? {
            Written::Nothing => return Err(Errno::AFNOSUPPORT.into()),
            written => Some(target.peer(transport, written)?),
        },
    };
    if count > MAX_PIECES {
        return Err(Errno::MSGSIZE.into());
    }
    let pieces = target.bytes(pieces, usize::try_from(count).unwrap_or_default().saturating_mul(16))?;
    let pieces = pieces.chunks_exact(16).map(|piece| (word(piece, 0), word(piece, 1))).collect::<Vec<_>>();
    let total = pieces.iter().fold(0_u64, |total, (_, len)| total.saturating_add(*len));
    let mut left = size(kind, total)?;
    let mut data = Vec::new();
    for (at, len) in pieces {
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(left);
        left = left.saturating_sub(len);
        if len > 0 {
            data.extend(target.bytes(at, len)?);
        }
    }
    let fds = descriptors(target, control, control_len)?;
    Ok(Message { socket, to, data, fds, flags })
}

/// A number of 64 bits.
fn word(bytes: &[u8], index: usize) -> u64 {
    let at = index.saturating_mul(8);
    let bytes = bytes.get(at..at.saturating_add(8)).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_ne_bytes)
}

/// The descriptors that a message carries. Other control messages speak of addresses or identities, and are refused.
fn descriptors(target: &Target<'_>, control: u64, len: u64) -> Step<Vec<OwnedFd>> {
    const HEADER: usize = 16;
    let mut fds = Vec::new();
    if control == 0 || len == 0 {
        return Ok(fds);
    }
    let len = usize::try_from(len.min(MAX_CONTROL.saturating_add(1))).unwrap_or_default();
    if len as u64 > MAX_CONTROL {
        return Err(Errno::NOBUFS.into());
    }
    let bytes = target.bytes(control, len)?;
    let mut rest = bytes.as_slice();
    while rest.len() >= HEADER {
        let size = usize::try_from(word(rest, 0)).unwrap_or(usize::MAX);
        let kind = (word(rest, 1) & 0xffff_ffff, word(rest, 1) >> 32);
        let kind = if cfg!(target_endian = "big") { (kind.1, kind.0) } else { kind };
        let data = rest.get(HEADER..size).ok_or(Errno::INVAL)?;
        if kind != (1, 1) {
            target.note("a control message other than SCM_RIGHTS".into(), super::Rights::NONE, false, None);
            return Err(Errno::PERM.into());
        }
        for number in data.chunks_exact(4) {
            if fds.len() >= MAX_FDS {
                return Err(Errno::INVAL.into());
            }
            fds.push(target.take(i32::from_ne_bytes(number.try_into().unwrap_or_default()))?);
        }
        rest = rest.get(size.next_multiple_of(8)..).unwrap_or_default();
    }
    Ok(fds)
}

/// Sends, or lets a thread wait until that is possible.
fn deliver(target: &Target<'_>, message: Message) -> Step<Answer> {
    match message.send(SendFlags::DONTWAIT) {
        Err(Errno::AGAIN) if waits(&message)? => {}
        sent => return told(target, message.flags, sent),
    }
    Ok(Answer::Later(Box::new(move |target: &Target<'_>| {
        let flags = message.flags;
        let sent = target.wait_for(move || message.send(SendFlags::empty()))?;
        told(target, flags, sent)
    })))
}

fn waits(message: &Message) -> Step<bool> {
    let nonblocking = fcntl_getfl(&message.socket)?.contains(OFlags::NONBLOCK);
    Ok(!nonblocking && !message.flags.contains(SendFlags::DONTWAIT))
}

fn told(target: &Target<'_>, flags: SendFlags, sent: Result<usize, Errno>) -> Step<Answer> {
    if sent == Err(Errno::PIPE) && !flags.contains(SendFlags::NOSIGNAL) {
        let _ = target.call.signal(libc::SIGPIPE);
    }
    Ok(Answer::Return(i64::try_from(sent?).unwrap_or_default()))
}

/// Several messages; how many were sent. An error shows only if it is the first one's.
pub(super) fn sendmmsg(target: &Target<'_>) -> Step<Answer> {
    let flags = flags_of(target, 3)?;
    let count = usize::try_from(target.word(2).min(1024)).unwrap_or_default();
    let mut sent = 0_usize;
    for index in 0..count {
        let at = target.arg(1).wrapping_add(index.saturating_mul(MMSGHDR) as u64);
        let one = send_one(target, at, flags);
        match one {
            Ok(()) => sent = sent.saturating_add(1),
            Err(stop) if sent == 0 => return Err(stop),
            Err(_) => break,
        }
    }
    Ok(Answer::Return(i64::try_from(sent).unwrap_or_default()))
}

fn send_one(target: &Target<'_>, at: u64, flags: SendFlags) -> Step<()> {
    let header = target.bytes(at, MSGHDR)?;
    let message = message(target, &header, flags)?;
    let mut sent = message.send(SendFlags::DONTWAIT);
    if sent == Err(Errno::AGAIN) && waits(&message)? {
        let flags = message.flags;
        sent = target.wait_for(move || message.send(flags))?;
    }
    let bytes = u32::try_from(sent?).unwrap_or(u32::MAX);
    target.write(at.wrapping_add(MSGHDR as u64), &bytes.to_ne_bytes())
}
