//! Descriptors over Unix sockets (`SCM_RIGHTS`, see unix(7)).
#![allow(unsafe_code)]
//! Safety: the messages point to local buffers that outlive the calls, and the macros of cmsg(3) walk only over what the
//! kernel says it has written. Descriptors that arrive are new in this process, so nobody else owns them.

use super::raw::Answer;
use alloc::vec::Vec;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// How many descriptors one message may carry here; more is an error of the sender.
const MAX_FDS: usize = 8;
/// Enough for the header and the descriptors, aligned for the header.
type Control = [u64; 8];
const FD_BYTES: u32 = 4;
const _: () = assert!(size_of::<RawFd>() == FD_BYTES as usize);

/// Sends one descriptor with a byte of text. Allocates nothing and is async-signal-safe.
pub(super) fn send(socket: RawFd, fd: RawFd) -> Answer<()> {
    let mut byte = 0_u8;
    let mut text = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control: Control = [0; 8];
    // SAFETY: all zero is a value of this struct of numbers and pointers.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = &raw mut text;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    #[allow(clippy::unnecessary_cast)] // Its type depends on the C library.
    // SAFETY: plain arithmetic.
    let space = unsafe { libc::CMSG_SPACE(FD_BYTES) };
    message.msg_controllen = space as _;
    // SAFETY: the buffer has room for one header with one descriptor.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(FD_BYTES) as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd);
    }
    loop {
        // SAFETY: the message points to local values.
        let sent = unsafe { libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL) };
        if sent >= 0 {
            return Ok(());
        }
        // SAFETY: the pointer to this thread's errno is always valid.
        match unsafe { *libc::__errno_location() } {
            libc::EINTR => {}
            errno => return Err(errno),
        }
    }
}

/// Receives a piece of text and the descriptors that came with it, close-on-exec. No text means the end.
pub(super) fn receive(socket: BorrowedFd<'_>, text: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut part = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    let mut control: Control = [0; 8];
    // SAFETY: all zero is a value of this struct of numbers and pointers.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>() as _;
    let got = loop {
        // SAFETY: the message points to local buffers of the lengths that it says.
        let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        let error = io::Error::last_os_error();
        match usize::try_from(got) {
            Ok(got) => break got,
            Err(_) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(error),
        }
    };
    // SAFETY: the kernel has filled the message.
    let fds = unsafe { descriptors(&message) };
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, std::format!("more than {MAX_FDS} descriptors")));
    }
    Ok((got, fds))
}

/// Receives a piece of text from a Unix socket, and the descriptors that came with it (`SCM_RIGHTS`, see unix(7)),
/// close-on-exec. No text means the end.
#[cfg(feature = "json")]
pub(crate) fn receive_fds(
    socket: &std::os::unix::net::UnixStream,
    text: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    receive(std::os::fd::AsFd::as_fd(socket), text)
}

/// The descriptors of a message.
///
/// # Safety
/// The message must be one that recvmsg(2) has just filled.
unsafe fn descriptors(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel has written well-formed headers.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: the header lies within the buffer.
        let (level, kind, len) = unsafe { ((*header).cmsg_level, (*header).cmsg_type, (*header).cmsg_len) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            #[allow(clippy::unnecessary_cast)] // Its type depends on the C library.
            // SAFETY: plain arithmetic.
            let bytes = (len as usize).saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize);
            for index in 0..bytes >> 2 {
                #[allow(clippy::cast_ptr_alignment)] // It is read as not aligned.
                // SAFETY: the data has room for that many descriptors, each new in this process.
                fds.push(unsafe {
                    OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().add(index).read_unaligned())
                });
            }
        }
        // SAFETY: as above.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    fds
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_crosses_a_socket() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        assert_eq!(send(far.as_raw_fd(), writer.as_raw_fd()), Ok(()));
        let mut text = [0; 16];
        let (len, fds) = receive(near.as_fd(), &mut text).unwrap();
        assert_eq!((len, fds.len()), (1, 1));
        drop((writer, fds));
        // Both writers are closed.
        assert_eq!(io::read_to_string(reader).unwrap(), "");
        far.write_all(b"plain").unwrap();
        let (len, fds) = receive(near.as_fd(), &mut text).unwrap();
        assert_eq!((&text[..len], fds.len()), (&b"plain"[..], 0));
        drop(far);
        assert_eq!(receive(near.as_fd(), &mut text).unwrap().0, 0);
        assert_eq!(send(near.as_raw_fd(), near.as_raw_fd()), Err(libc::EPIPE));
    }
}
