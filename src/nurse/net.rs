//! connect, bind, listen: done by the nurse on the target's own socket.

use super::address::{Address, Transport};
use super::name::Name;
use super::open::complete_mode;
use super::rights::Rights;
use super::target::{Answer, Step, Stop, Target, kind};
use super::walk::{Last, Place};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fstat, openat};
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketType, sockopt};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

const DONE: Step<Answer> = Ok(Answer::Return(0));

/// An address as the target wrote it.
pub(super) enum Written {
    /// `AF_UNSPEC`.
    Nothing,
    V4(SocketAddrV4),
    V6(SocketAddrV6),
    Unix(UnixName),
}

pub(super) enum UnixName {
    Unnamed,
    Path(Vec<u8>),
    Abstract(Vec<u8>),
}

/// The size of `struct sockaddr_storage`.
const MAX_ADDRESS: usize = 128;
const INET_PROTOCOLS: [u32; 3] = [6, 17, 262];

impl Target<'_> {
    /// Reads an address. Once.
    pub(super) fn address(&self, at: u64, len: u32) -> Step<Written> {
        let len = usize::try_from(len).ok().filter(|len| *len <= MAX_ADDRESS).ok_or(Errno::INVAL)?;
        let bytes = self.bytes(at, len)?;
        parse(&bytes).ok_or_else(|| Errno::INVAL.into())
    }

    /// A socket of the target, and what carries its bytes.
    pub(super) fn socket(&self, fd: i32) -> Step<(OwnedFd, Transport, SocketType)> {
        let socket = self.take(fd)?;
        let kind = sockopt::socket_type(&socket)?;
        let transport = match sockopt::socket_domain(&socket)? {
            AddressFamily::UNIX => Transport::Unix,
            AddressFamily::INET | AddressFamily::INET6 => {
                let protocol = sockopt::socket_protocol(&socket)?.map_or(0, |protocol| protocol.as_raw().get());
                match kind {
                    _ if !INET_PROTOCOLS.contains(&protocol) => return Err(Errno::ACCESS.into()),
                    SocketType::STREAM => Transport::Tcp,
                    SocketType::DGRAM => Transport::Udp,
                    _ => return Err(Errno::ACCESS.into()),
                }
            }
            // It has been inherited, and its addresses are not known here.
            _ => return Err(Errno::AFNOSUPPORT.into()),
        };
        Ok((socket, transport, kind))
    }

    /// Whether the target may send to an address; gives it in a form that means the same for this process.
    pub(super) fn peer(&self, transport: Transport, written: Written) -> Step<Peer> {
        let of_ip = |ip: IpAddr, port: u16| Address::of_peer(ip, port);
        match written {
            Written::Nothing | Written::Unix(UnixName::Unnamed) => Err(Errno::INVAL.into()),
            Written::V4(to) if transport != Transport::Unix => {
                self.may_connect(transport, &of_ip((*to.ip()).into(), to.port()))?;
                Ok(Peer { address: to.as_any(), handle: None })
            }
            Written::V6(to) if transport != Transport::Unix => {
                self.may_connect(transport, &of_ip((*to.ip()).into(), to.port()))?;
                Ok(Peer { address: to.as_any(), handle: None })
            }
            Written::Unix(UnixName::Abstract(name)) if transport == Transport::Unix => {
                self.may_connect(transport, &Address::Abstract(name.clone()))?;
                Ok(Peer { address: SocketAddrUnix::new_abstract_name(&name)?.as_any(), handle: None })
            }
            Written::Unix(UnixName::Path(path)) if transport == Transport::Unix => self.unix_peer(&path),
            _ => Err(Errno::AFNOSUPPORT.into()),
        }
    }

    fn unix_peer(&self, path: &[u8]) -> Step<Peer> {
        let (handle, name) = match self.walk(libc::AT_FDCWD, path, Last::Follow)? {
            Place::Object { handle, .. } | Place::Folder(handle) => {
                let name = self.name(handle.as_fd())?;
                (Some(handle), name)
            }
            Place::Entry { folder, name, .. } => (None, self.name(folder.as_fd())?.child(&name)),
        };
        self.may_connect(Transport::Unix, &path_address(&name)?)?;
        let handle = handle.ok_or(Errno::NOENT)?;
        if kind(&fstat(&handle)?) != FileType::Socket {
            return Err(Errno::CONNREFUSED.into());
        }
        // The object that was judged, whatever its path leads to by now.
        let address = SocketAddrUnix::new(std::format!("/proc/self/fd/{}", handle.as_raw_fd()))?.as_any();
        Ok(Peer { address, handle: Some(handle) })
    }

    fn may_connect(&self, transport: Transport, address: &Address) -> Step<()> {
        let allowed = self.acl.may_connect(transport, address);
        self.decide_address("connect", transport, address, allowed)
    }

    fn may_bind(&self, transport: Transport, address: &Address) -> Step<()> {
        let allowed = self.acl.may_bind(transport, address);
        self.decide_address("bind", transport, address, allowed)
    }

    fn decide_address(&self, verb: &'static str, transport: Transport, address: &Address, allowed: bool) -> Step<()> {
        let shown = std::format!("{transport}:{address}");
        let learned = self.nurse.learned.as_ref();
        if let Some(learned) = learned {
            learned.address(verb, shown.clone());
        }
        let allowed = allowed || learned.is_some();
        self.note_address(verb, shown, allowed);
        if allowed { Ok(()) } else { Err(Errno::ACCESS.into()) }
    }

    fn note_address(&self, verb: &'static str, shown: String, allowed: bool) {
        self.note(shown, Rights::NONE, allowed, None);
        if let Some(event) = self.events.borrow_mut().last_mut() {
            event.address = Some(verb);
        }
    }
}

/// An address that may be used, and the handle that it names, which must stay open as long.
pub(super) struct Peer {
    pub(super) address: SocketAddrAny,
    pub(super) handle: Option<OwnedFd>,
}

/// The name of a Unix socket. One that is no path cannot be granted.
fn path_address(name: &Name) -> Step<Address> {
    match name.path() {
        Some(path) => Ok(Address::Path(path.to_vec())),
        None => Err(Errno::ACCESS.into()),
    }
}

/// Reads `struct sockaddr`.
fn parse(bytes: &[u8]) -> Option<Written> {
    let array = |range: core::ops::Range<usize>| bytes.get(range);
    let family = u16::from_ne_bytes(array(0..2)?.try_into().ok()?);
    let port = || Some(u16::from_be_bytes(array(2..4)?.try_into().ok()?));
    Some(match i32::from(family) {
        libc::AF_UNSPEC => Written::Nothing,
        libc::AF_INET => {
            let ip: [u8; 4] = array(4..8)?.try_into().ok()?;
            array(0..16)?;
            Written::V4(SocketAddrV4::new(Ipv4Addr::from(ip), port()?))
        }
        libc::AF_INET6 => {
            let word = |at: usize| array(at..at.saturating_add(4))?.try_into().ok().map(u32::from_ne_bytes);
            let ip: [u8; 16] = array(8..24)?.try_into().ok()?;
            Written::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port()?, word(4)?, word(24).unwrap_or(0)))
        }
        libc::AF_UNIX => Written::Unix(match array(2..bytes.len())? {
            [] => UnixName::Unnamed,
            [0, name @ ..] => UnixName::Abstract(name.to_vec()),
            path => UnixName::Path(path.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()),
        }),
        _ => return None,
    })
}

pub(super) fn connect(target: &Target<'_>) -> Step<Answer> {
    let (socket, transport, kind) = target.socket(target.int(0))?;
    let written = target.address(target.arg(1), target.word(2))?;
    if matches!(written, Written::Nothing) {
        // Ends a connection.
        rustix::net::connect_unspec(&socket)?;
        return DONE;
    }
    let peer = target.peer(transport, written)?;
    let waits = kind != SocketType::DGRAM && !fcntl_getfl(&socket)?.contains(OFlags::NONBLOCK);
    if !waits {
        rustix::net::connect(&socket, &peer.address)?;
        return DONE;
    }
    Ok(Answer::Later(Box::new(move |target: &Target<'_>| {
        let connected = target.wait_for(move || {
            let connected = rustix::net::connect(&socket, &peer.address);
            drop(peer.handle);
            connected
        })?;
        connected?;
        DONE
    })))
}

pub(super) fn bind(target: &Target<'_>) -> Step<Answer> {
    let (socket, transport, _) = target.socket(target.int(0))?;
    let written = target.address(target.arg(1), target.word(2))?;
    match written {
        Written::V4(at) if transport != Transport::Unix => {
            target.may_bind(transport, &Address::Ip((*at.ip()).into(), at.port()))?;
            rustix::net::bind(socket, &at)?;
        }
        Written::V6(at) if transport != Transport::Unix => {
            target.may_bind(transport, &Address::Ip(IpAddr::from(*at.ip()).to_canonical(), at.port()))?;
            rustix::net::bind(socket, &at)?;
        }
        // The kernel chooses an abstract name that nobody has.
        Written::Unix(UnixName::Unnamed) if transport == Transport::Unix => {
            rustix::net::bind(socket, &SocketAddrUnix::new_unnamed())?;
        }
        Written::Unix(UnixName::Abstract(name)) if transport == Transport::Unix => {
            target.may_bind(transport, &Address::Abstract(name.clone()))?;
            rustix::net::bind(socket, &SocketAddrUnix::new_abstract_name(&name)?)?;
        }
        Written::Unix(UnixName::Path(path)) if transport == Transport::Unix => bind_path(target, &socket, &path)?,
        Written::Nothing => return Err(Errno::AFNOSUPPORT.into()),
        _ => return Err(Errno::INVAL.into()),
    }
    DONE
}

/// A socket with a path: an entry in a folder.
fn bind_path(target: &Target<'_>, socket: &OwnedFd, path: &[u8]) -> Step<()> {
    let Place::Entry { folder, name: entry, slash } = target.walk(libc::AT_FDCWD, path, Last::Entry)? else {
        return Err(Errno::ADDRINUSE.into());
    };
    let name = target.name(folder.as_fd())?.child(&entry);
    target.may_bind(Transport::Unix, &path_address(&name)?)?;
    if slash {
        return Err(Errno::INVAL.into());
    }
    let text = [std::format!("/proc/self/fd/{}/", folder.as_raw_fd()).as_bytes(), &entry].concat();
    match rustix::net::bind(socket, &SocketAddrUnix::new(text)?) {
        Err(Errno::EXIST) => return Err(Errno::ADDRINUSE.into()),
        bound => bound?,
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(&folder, entry.as_slice(), flags, Mode::empty())?;
    if kind(&fstat(&made)?) == FileType::Socket {
        complete_mode(target, made.as_fd(), 0o777 & !target.status()?.umask)?;
    }
    Ok(())
}

/// Without bind(2) before it, listening takes a port.
pub(super) fn listen(target: &Target<'_>) -> Step<Answer> {
    let (socket, transport, _) = target.socket(target.int(0))?;
    if transport == Transport::Tcp {
        let here = rustix::net::getsockname(&socket)?;
        let here = std::net::SocketAddr::try_from(here).map_err(|_| Stop::from(Errno::INVAL))?;
        if here.port() == 0 {
            target.may_bind(transport, &Address::Ip(here.ip().to_canonical(), 0))?;
        }
    }
    rustix::net::listen(socket, target.int(1))?;
    DONE
}
