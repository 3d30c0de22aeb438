//! Where a peer is, from the strings that a back end names it with.

use super::address_error::{AddressError, LONGEST_SOCKET_PATH};
use super::scheme::{Scheme, TLS};
use super::service::{self, Protocol};
use crate::logging::Escaped;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

/// The end that a client is bridged to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A TCP server; the host is a name or an address, IPv6 without brackets.
    Tcp {
        /// Name or address.
        host: String,
        /// Not 0.
        port: u16,
    },
    /// A TCP server that speaks TLS.
    Tls {
        /// Name or address, which its certificate is for.
        host: String,
        /// Not 0.
        port: u16,
    },
    /// A UDP server.
    Udp {
        /// Name or address.
        host: String,
        /// Not 0.
        port: u16,
    },
    /// A Unix stream socket.
    UnixStream(PathBuf),
    /// A Unix datagram socket.
    UnixDatagram(PathBuf),
    /// A FIFO that takes what the client sends.
    FifoTx(PathBuf),
    /// A FIFO whose bytes go to the client.
    FifoRx(PathBuf),
}

/// Whether [`Target::parse`] takes this for TCP only for want of a scheme.
pub(super) fn lacks_scheme(transport: Scheme, host: &str) -> bool {
    transport == Scheme::Detect && !host.contains("://")
}

impl Target {
    /// The target that a back end names. A port given by itself wins over one in the host, and
    /// means nothing to transports without ports.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(transport: Scheme, host: &str, port: Option<&str>) -> Result<Self, AddressError> {
        if host.is_empty() {
            return Err(AddressError::Empty);
        }
        match transport {
            Scheme::Detect => {
                let (transport, rest) = detect(host)?;
                Self::locate(transport, rest, port)
            }
            // A back end that says TCP and writes the scheme: C has no other way to say TLS.
            Scheme::Tcp if split_scheme(host).is_some_and(|(scheme, _)| is_tls(scheme)) => {
                Self::parse(Scheme::Detect, host, port)
            }
            given => Self::locate(given, host, port),
        }
    }

    fn locate(transport: Scheme, rest: &str, port: Option<&str>) -> Result<Self, AddressError> {
        Ok(match transport {
            Scheme::Detect | Scheme::Tcp => {
                let (host, port) = authority(rest, port, Protocol::Tcp)?;
                Self::Tcp { host, port }
            }
            Scheme::Tls => {
                let (host, port) = authority(rest, port, Protocol::Tcp)?;
                Self::Tls { host, port }
            }
            Scheme::Udp => {
                let (host, port) = authority(rest, port, Protocol::Udp)?;
                Self::Udp { host, port }
            }
            Scheme::UnixStream => Self::UnixStream(socket_path(rest)?),
            Scheme::UnixDatagram => Self::UnixDatagram(socket_path(rest)?),
            Scheme::FifoTx => Self::FifoTx(path(rest)?),
            Scheme::FifoRx => Self::FifoRx(path(rest)?),
        })
    }
}

impl Target {
    /// The port of a peer that has one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp { port, .. } | Self::Tls { port, .. } | Self::Udp { port, .. } => Some(*port),
            Self::UnixStream(_) | Self::UnixDatagram(_) | Self::FifoTx(_) | Self::FifoRx(_) => None,
        }
    }

    /// The host of a peer that has one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp { host, .. } | Self::Tls { host, .. } | Self::Udp { host, .. } => Some(host),
            Self::UnixStream(_) | Self::UnixDatagram(_) | Self::FifoTx(_) | Self::FifoRx(_) => None,
        }
    }

    /// The name of the scheme and the path of a peer that has one.
    fn path(&self) -> Option<(&'static str, &Path)> {
        match self {
            Self::Tcp { .. } | Self::Tls { .. } | Self::Udp { .. } => None,
            Self::UnixStream(path) => Some(("unix", path)),
            Self::UnixDatagram(path) => Some(("unix-dgram", path)),
            Self::FifoTx(path) => Some(("fifotx", path)),
            Self::FifoRx(path) => Some(("fiforx", path)),
        }
    }

    /// Whether it is a server over a stream, whose connections begin with what we say.
    #[must_use]
    pub fn is_stream_server(&self) -> bool {
        match self {
            Self::Tcp { .. } | Self::Tls { .. } | Self::UnixStream(_) => true,
            Self::Udp { .. } | Self::UnixDatagram(_) | Self::FifoTx(_) | Self::FifoRx(_) => false,
        }
    }

    /// Whether it takes and gives datagrams.
    pub(super) fn is_datagram(&self) -> bool {
        match self {
            Self::Udp { .. } | Self::UnixDatagram(_) => true,
            Self::Tcp { .. } | Self::Tls { .. } | Self::UnixStream(_) => false,
            Self::FifoTx(_) | Self::FifoRx(_) => false,
        }
    }

    /// Refuses a relative path: a daemon's working directory is nobody's choice.
    ///
    /// # Errors
    /// It is relative, and no abstract name.
    pub(super) fn check_absolute(&self) -> Result<(), AddressError> {
        let is_unix = matches!(self, Self::UnixStream(_) | Self::UnixDatagram(_));
        match self.path() {
            Some((scheme, path)) if path.is_relative() && !(is_unix && is_abstract(path)) => {
                Err(AddressError::Relative(scheme, path.into()))
            }
            _ => Ok(()),
        }
    }
}

/// Whether this stands for a name in the abstract namespace (unix(7)), without its `@`.
fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().starts_with(b"@")
}

/// Refuses a host that may be an IPv6 address and a port, or a longer address: `::1:5900`.
///
/// # Errors
/// It is, with the address and the port.
pub(super) fn no_port_inside(host: &str) -> Result<(), AddressError> {
    let host = host.split_once("://").map_or(host, |(_, rest)| rest);
    match host.rsplit_once(':') {
        Some((address, port))
            if is_ipv6(host) && is_ipv6(address) && port.bytes().all(|b| b.is_ascii_digit()) =>
        {
            Err(AddressError::Bare(address.into(), port.into()))
        }
        _ => Ok(()),
    }
}

fn split_scheme(host: &str) -> Option<(&str, &str)> {
    host.split_once("://")
}

fn is_tls(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case(TLS)
}

/// The transport by the scheme in `host`, and what follows the scheme.
fn detect(host: &str) -> Result<(Scheme, &str), AddressError> {
    if let Some((scheme, rest)) = split_scheme(host) {
        let unknown = || match is_tls(scheme) {
            true => AddressError::NoTls,
            false => AddressError::Scheme(scheme.into()),
        };
        return Ok((Scheme::from_scheme(scheme).ok_or_else(unknown)?, rest));
    }
    match host.split_once(':') {
        // A host may be called "tcp", but no port is of this kind.
        Some((scheme, rest)) if rest.contains([':', '/']) && !is_ipv6(host) => {
            match Scheme::from_scheme(scheme) {
                Some(Scheme::Tcp | Scheme::Tls | Scheme::Udp) => {
                    let rest = rest.trim_start_matches('/');
                    Err(AddressError::Slashes(scheme.into(), rest.into()))
                }
                Some(_) => Err(AddressError::Slashes(scheme.into(), rest.into())),
                None => Ok((Scheme::Tcp, host)),
            }
        }
        _ => Ok((Scheme::Tcp, host)),
    }
}

fn authority(
    text: &str,
    given: Option<&str>,
    protocol: Protocol,
) -> Result<(String, u16), AddressError> {
    let (host, own) = split_port(text)?;
    let parse_port = |port| parse_port(port, protocol);
    let own = own.map(parse_port).transpose()?;
    // An empty port is what a C back end says for none.
    let given = given.filter(|port| !port.is_empty()).map(parse_port).transpose()?;
    Ok((host.into(), given.or(own).ok_or(AddressError::NoPort)?))
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, or an IPv6 address without brackets.
fn split_port(text: &str) -> Result<(&str, Option<&str>), AddressError> {
    let bad = || AddressError::Host(text.into());
    if let Some(rest) = text.strip_prefix('[') {
        return bracketed(rest).ok_or_else(bad);
    }
    if is_ipv6(text) {
        return Ok((text, None));
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    if is_name(host) { Ok((host, port)) } else { Err(bad()) }
}

/// What follows an opening bracket: `v6]` or `v6]:port` (RFC 3986 §3.2.2).
fn bracketed(text: &str) -> Option<(&str, Option<&str>)> {
    let (host, after) = text.split_once(']')?;
    let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
    is_ipv6(host).then_some((host, port))
}

/// An IPv6 address, with or without a zone (RFC 4007 §11).
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "1"));
    address.parse::<Ipv6Addr>().is_ok() && is_name(zone)
}

/// What may be a name or an IPv4 address; whether it is one, the resolver says.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.chars().all(fits)
}

/// A number, or the name of a service, which has a letter (RFC 6335 §5.1) but no sign, which numbers
/// have elsewhere.
fn parse_port(text: &str, protocol: Protocol) -> Result<u16, AddressError> {
    let port = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Elsewhere a zero in front means eight for ten.
        text.parse().ok().filter(|port| *port != 0 && !text.starts_with('0'))
    } else if text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        service::port(text, protocol)
    } else {
        None
    };
    port.ok_or_else(|| AddressError::Port(text.into()))
}

fn path(text: &str) -> Result<PathBuf, AddressError> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(AddressError::Path(text.into()));
    }
    Ok(text.into())
}

/// Never cut: a shorter path is another socket. `@NAME` is a name in the abstract namespace
/// (unix(7)), which has a byte of its own where a path has its end.
fn socket_path(text: &str) -> Result<PathBuf, AddressError> {
    if text == "@" {
        return Err(AddressError::Path(text.into()));
    }
    let length = text.strip_prefix('@').unwrap_or(text).len();
    if length > LONGEST_SOCKET_PATH {
        return Err(AddressError::LongPath(length));
    }
    path(text)
}

/// For the log: a back end may make hosts and paths of what clients say, so they are [`Escaped`].
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "tcp://{}:{port}", Host(host)),
            Self::Tls { host, port } => write!(f, "tls://{}:{port}", Host(host)),
            Self::Udp { host, port } => write!(f, "udp://{}:{port}", Host(host)),
            Self::UnixStream(path) => write!(f, "unix://{}", shown(path)),
            Self::UnixDatagram(path) => write!(f, "unix-dgram://{}", shown(path)),
            Self::FifoTx(path) => write!(f, "fifotx://{}", shown(path)),
            Self::FifoRx(path) => write!(f, "fiforx://{}", shown(path)),
        }
    }
}

fn shown(path: &Path) -> Escaped<&[u8]> {
    Escaped(path.as_os_str().as_encoded_bytes())
}

/// A host as it stands in a URL: an IPv6 address in brackets (RFC 3986 §3.2.2).
struct Host<'a>(&'a str);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = Escaped(self.0);
        if self.0.contains(':') { write!(f, "[{host}]") } else { write!(f, "{host}") }
    }
}

#[cfg(test)]
mod tests;
