//! Where a peer is, from the strings that a back end names it with.

use super::service::{self, Protocol};
use std::fmt;
use std::mem::{offset_of, size_of};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use websocksy_abi as abi;

/// The longest path of a Unix socket: what `sun_path` holds beside its NUL.
const LONGEST_SOCKET_PATH: usize =
    size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path) - 1;

/// How much of a bad address an error quotes, in characters: a client may have a part in it.
const QUOTED: usize = 80;

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

/// How a peer is reached: [`abi::peer_transport`], checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// By the scheme in the host; TCP when it has none.
    Detect,
    /// `tcp://host:port`
    Tcp,
    /// `udp://host:port`
    Udp,
    /// `fifotx://path`
    FifoTx,
    /// `fiforx://path`
    FifoRx,
    /// `unix://path`
    UnixStream,
    /// `unix-dgram://path`
    UnixDatagram,
}

impl Scheme {
    /// The transport behind a C value, if it is one.
    pub fn from_abi(value: abi::peer_transport) -> Option<Self> {
        Some(match value {
            abi::PEER_TRANSPORT_DETECT => Self::Detect,
            abi::PEER_TCP_CLIENT => Self::Tcp,
            abi::PEER_UDP_CLIENT => Self::Udp,
            abi::PEER_FIFO_TX => Self::FifoTx,
            abi::PEER_FIFO_RX => Self::FifoRx,
            abi::PEER_UNIX_STREAM => Self::UnixStream,
            abi::PEER_UNIX_DGRAM => Self::UnixDatagram,
            _ => return None,
        })
    }

    fn from_scheme(scheme: &str) -> Option<Self> {
        // Schemes are the same in any case: RFC 3986 §3.1.
        Some(match scheme.to_ascii_lowercase().as_str() {
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            "fifotx" => Self::FifoTx,
            "fiforx" => Self::FifoRx,
            "unix" => Self::UnixStream,
            "unix-dgram" => Self::UnixDatagram,
            _ => return None,
        })
    }
}

/// Why a peer's address is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// The host is the empty string.
    Empty,
    /// None of our transports.
    Scheme(String),
    /// Neither a name nor an address.
    Host(String),
    /// A transport that needs a port, and none is given.
    NoPort,
    /// Neither a number from 1 to 65535 nor a service.
    Port(String),
    /// An empty path, or one with control characters.
    Path(String),
    /// A path of so many bytes does not fit a Unix socket's address.
    LongPath(usize),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the peer's host is empty"),
            Self::Scheme(scheme) => write!(
                f,
                "the peer's scheme {:?} is unknown; there are tcp://, udp://, unix://, \
                 unix-dgram://, fifotx:// and fiforx://",
                quote(scheme)
            ),
            Self::Host(host) => write!(f, "{:?} is no name or address of a host", quote(host)),
            Self::NoPort => f.write_str("the peer has no port"),
            Self::Port(port) => write!(
                f,
                "port {:?} is neither a number from 1 to 65535 nor a service",
                quote(port)
            ),
            Self::Path(path) => write!(f, "{:?} is no path of a peer", quote(path)),
            Self::LongPath(length) => write!(
                f,
                "a path of {length} bytes; a Unix socket has room for {LONGEST_SOCKET_PATH}"
            ),
        }
    }
}

impl std::error::Error for AddressError {}

fn quote(text: &str) -> String {
    text.chars().take(QUOTED).collect()
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
            given => Self::locate(given, host, port),
        }
    }

    fn locate(transport: Scheme, rest: &str, port: Option<&str>) -> Result<Self, AddressError> {
        Ok(match transport {
            Scheme::Detect | Scheme::Tcp => {
                let (host, port) = authority(rest, port, Protocol::Tcp)?;
                Self::Tcp { host, port }
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

/// The transport by the scheme in `host`, and what follows the scheme.
fn detect(host: &str) -> Result<(Scheme, &str), AddressError> {
    let Some((scheme, rest)) = host.split_once("://") else { return Ok((Scheme::Tcp, host)) };
    let unknown = || AddressError::Scheme(scheme.into());
    Ok((Scheme::from_scheme(scheme).ok_or_else(unknown)?, rest))
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
        text.parse().ok().filter(|port| *port != 0)
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

/// Never cut: a shorter path is another socket.
fn socket_path(text: &str) -> Result<PathBuf, AddressError> {
    if text.len() > LONGEST_SOCKET_PATH {
        return Err(AddressError::LongPath(text.len()));
    }
    path(text)
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "tcp://{}:{port}", Host(host)),
            Self::Udp { host, port } => write!(f, "udp://{}:{port}", Host(host)),
            Self::UnixStream(path) => write!(f, "unix://{}", path.display()),
            Self::UnixDatagram(path) => write!(f, "unix-dgram://{}", path.display()),
            Self::FifoTx(path) => write!(f, "fifotx://{}", path.display()),
            Self::FifoRx(path) => write!(f, "fiforx://{}", path.display()),
        }
    }
}

/// A host as it stands in a URL: an IPv6 address in brackets (RFC 3986 §3.2.2).
struct Host<'a>(&'a str);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

#[cfg(test)]
mod tests;
