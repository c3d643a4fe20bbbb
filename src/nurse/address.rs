//! Addresses of sockets, and what an ACL says of them.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What carries the bytes.
///
/// See the example of [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Sockets of this machine, see unix(7).
    Unix,
}

/// Where a socket is, or goes to.
///
/// ```
/// use callsieve::nurse::{Acl, Address, Transport};
/// let acl = Acl::from_toml("connect = [\"tcp:127.0.0.1:80\"]")?;
/// let here = Address::Ip([127, 0, 0, 1].into(), 80);
/// assert!(acl.may_connect(Transport::Tcp, &here) && !acl.may_connect(Transport::Udp, &here));
/// # Ok::<(), callsieve::nurse::AclError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Ip(IpAddr, u16),
    /// The real name of a Unix socket.
    Path(Vec<u8>),
    /// An abstract name of a Unix socket.
    Abstract(Vec<u8>),
}

impl Address {
    /// An IP address as it counts: an IPv4 address written as one of IPv6 is the former, and the unspecified address of
    /// either kind, when it is connected to, is this machine.
    pub(super) fn of_peer(ip: IpAddr, port: u16) -> Self {
        let ip = ip.to_canonical();
        let ip = match ip {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self::Ip(ip, port)
    }
}

/// As an ACL writes it, without the transport.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip), port) => write!(f, "{ip}:{port}"),
            Self::Ip(IpAddr::V6(ip), port) => write!(f, "[{ip}]:{port}"),
            Self::Path(path) => f.write_str(&String::from_utf8_lossy(path)),
            Self::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unix => "unix",
        })
    }
}

/// A set of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AddressRule {
    Ip {
        transport: Transport,
        network: Option<(IpAddr, u8)>,
        ports: (u16, u16),
    },
    /// A path without a slash at its end, and all below it.
    Path(Vec<u8>),
    Abstract(Vec<u8>),
    AnyAbstract,
}

impl AddressRule {
    pub(super) fn covers(&self, transport: Transport, address: &Address) -> bool {
        match (self, address) {
            (Self::Ip { transport: mine, network, ports }, Address::Ip(ip, port)) => {
                *mine == transport
                    && (ports.0..=ports.1).contains(port)
                    && network.is_none_or(|(network, bits)| in_network(*ip, network, bits))
            }
            (Self::Path(folder), Address::Path(path)) => {
                path.strip_prefix(folder.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            }
            (Self::Abstract(mine), Address::Abstract(name)) => mine == name,
            (Self::AnyAbstract, Address::Abstract(_)) => true,
            _ => false,
        }
    }

    /// Reads `tcp:HOST:PORT` and the like; says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let what = "an address is tcp:HOST:PORT, udp:HOST:PORT, unix:/PATH or unix:@NAME";
        let (transport, rest) = text.split_once(':').ok_or_else(|| what.to_owned())?;
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "unix" => return Self::parse_unix(rest),
            other => return Err(format!("unknown transport {other:?}; {what}")),
        };
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| format!("the port is missing; {what}"))?;
        Ok(Self::Ip { transport, network: parse_network(host)?, ports: parse_ports(port)? })
    }

    fn parse_unix(rest: &str) -> Result<Self, String> {
        match rest.strip_prefix('@') {
            Some("*") => Ok(Self::AnyAbstract),
            Some(name) => Ok(Self::Abstract(name.as_bytes().to_vec())),
            None => Ok(Self::Path(super::read::path(rest)?.0)),
        }
    }
}

fn parse_network(host: &str) -> Result<Option<(IpAddr, u8)>, String> {
    if host == "*" {
        return Ok(None);
    }
    let wrong = || {
        let hint = "an IP address is expected, with [ ] around one of IPv6, perhaps with /BITS behind it, or *";
        format!("{host:?} is no host: {hint}; names are not looked up")
    };
    let (ip, bits) = host.split_once('/').map_or((host, None), |(ip, bits)| (ip, Some(bits)));
    let ip: IpAddr = match ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')) {
        Some(ip) => ip.parse::<Ipv6Addr>().map_err(|_| wrong())?.into(),
        None => ip.parse::<Ipv4Addr>().map_err(|_| wrong())?.into(),
    };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => most,
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?,
    };
    Ok(Some((ip, bits)))
}

fn parse_ports(text: &str) -> Result<(u16, u16), String> {
    let wrong =
        || format!("{text:?} is no port: a number from 0 to 65535, a range such as 8000-8099, or * is expected");
    if text == "*" {
        return Ok((0, u16::MAX));
    }
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let ports = (low.parse().map_err(|_| wrong())?, high.parse().map_err(|_| wrong())?);
    if ports.0 > ports.1 { Err(wrong()) } else { Ok(ports) }
}

fn in_network(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |a: u128, b: u128, width: u32| {
        let rest = width.saturating_sub(bits.into());
        a.checked_shr(rest).unwrap_or(0) == b.checked_shr(rest).unwrap_or(0)
    };
    match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(rule: &str, transport: Transport, address: &Address) -> bool {
        AddressRule::parse(rule).unwrap().covers(transport, address)
    }

    #[test]
    fn networks_and_ports() {
        let ip = |text: &str, port| Address::of_peer(text.parse().unwrap(), port);
        for (rule, address, expected) in [
            ("tcp:127.0.0.1:80", ip("127.0.0.1", 80), true),
            ("tcp:127.0.0.1:80", ip("127.0.0.1", 81), false),
            ("tcp:127.0.0.1:80", ip("0.0.0.0", 80), true),
            ("tcp:127.0.0.1:80", ip("::ffff:127.0.0.1", 80), true),
            ("tcp:10.0.0.0/8:*", ip("10.1.2.3", 1), true),
            ("tcp:10.0.0.0/8:*", ip("11.1.2.3", 1), false),
            ("tcp:0.0.0.0/0:*", ip("11.1.2.3", 1), true),
            ("tcp:0.0.0.0/0:*", ip("fd00::1", 1), false),
            ("tcp:[fd00::]/8:8000-8010", ip("fd12::1", 8010), true),
            ("tcp:[fd00::]/8:8000-8010", ip("fd12::1", 8011), false),
            ("tcp:[::1]:*", ip("::", 8011), true),
            ("udp:*:53", ip("127.0.0.1", 53), false),
        ] {
            assert_eq!(covers(rule, Transport::Tcp, &address), expected, "{rule} {address}");
        }
        assert!(covers("udp:*:53", Transport::Udp, &ip("9.9.9.9", 53)));
    }

    #[test]
    fn unix_sockets() {
        let path = |text: &str| Address::Path(text.as_bytes().to_vec());
        assert!(covers("unix:/run/x", Transport::Unix, &path("/run/x/y")));
        assert!(!covers("unix:/run/x", Transport::Unix, &path("/run/xy")));
        assert!(covers("unix:@a", Transport::Unix, &Address::Abstract(b"a".to_vec())));
        assert!(!covers("unix:@a", Transport::Unix, &Address::Abstract(b"ab".to_vec())));
        assert!(covers("unix:@*", Transport::Unix, &Address::Abstract(b"ab".to_vec())));
        assert!(!covers("unix:@a", Transport::Unix, &path("/a")));
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "tcp",
            "tcp:80",
            "sctp:1.1.1.1:1",
            "tcp:localhost:80",
            "tcp:1.1.1.1/33:1",
            "tcp:::1:80",
            "tcp:1.1.1.1:9-8",
            "tcp:*:65536",
            "unix:x",
            "unix:/a/../b",
        ] {
            assert!(AddressRule::parse(text).is_err(), "{text}");
        }
    }
}
