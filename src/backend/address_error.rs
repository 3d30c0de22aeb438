//! Why a peer's address is none.

use super::scheme::SCHEMES;
use std::fmt;
use std::mem::{offset_of, size_of};
use std::path::PathBuf;

/// The longest path of a Unix socket: what `sun_path` holds beside its NUL.
pub(super) const LONGEST_SOCKET_PATH: usize =
    size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path) - 1;

/// How much of a bad address an error quotes, in characters: a client may have a part in it.
pub(super) const QUOTED: usize = 80;

/// Why a peer's address is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// The host is the empty string.
    Empty,
    /// None of our transports.
    Scheme(String),
    /// A peer with TLS, which this daemon cannot speak.
    NoTls,
    /// Neither a name nor an address.
    Host(String),
    /// A scheme without its slashes, and what follows it.
    Slashes(String, String),
    /// An IPv6 address without brackets that ends like one with a port: both.
    Bare(String, String),
    /// A path that is relative to whatever the working directory is.
    Relative(&'static str, PathBuf),
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
            Self::Scheme(scheme) => {
                write!(f, "the peer's scheme {:?} is unknown; there are", quote(scheme))?;
                let names = SCHEMES.iter().map(|known| known.name);
                names.enumerate().try_for_each(|(at, name)| {
                    write!(f, "{} {name}://", if at > 0 { "," } else { "" })
                })
            }
            Self::NoTls => {
                f.write_str("the peer's scheme is tls, and this binary was built without TLS")
            }
            Self::Slashes(scheme, rest) => {
                write!(f, "{scheme}: lacks its slashes: write {scheme}://{}", quote(rest))
            }
            Self::Bare(address, port) => write!(
                f,
                "an IPv6 address wants brackets: write [{address}]:{port}, or [{address}:{port}] \
                 if that is the address"
            ),
            Self::Relative(scheme, path) => {
                let path = quote(&path.to_string_lossy());
                write!(f, "{path:?} is not an absolute path: write {scheme}:///PATH")
            }
            Self::Host(host) if host.is_empty() => {
                f.write_str("the peer has no host: write tcp://HOST:PORT")
            }
            Self::Host(path) if path.starts_with('/') => {
                let path = quote(path);
                write!(f, "{path:?} is not a host; if it is a Unix socket, write unix://{path}")
            }
            Self::Host(host) => {
                write!(f, "{:?} is not a name or address of a host", quote(host))?;
                match host_and_port(host) {
                    Some((host, port)) => write!(f, ": write {}:{}", quote(host), quote(port)),
                    None => Ok(()),
                }
            }
            Self::NoPort => f.write_str("the peer has no port: write tcp://HOST:PORT"),
            Self::Port(port) => no_port(f, port),
            Self::Path(path) if path.is_empty() || path == "@" => {
                f.write_str("the peer has no path: write it as in unix:///PATH")
            }
            Self::Path(path) => write!(f, "{:?} is not a path of a peer", quote(path)),
            Self::LongPath(length) => write!(
                f,
                "a path of {length} bytes; a Unix socket has room for {LONGEST_SOCKET_PATH}"
            ),
        }
    }
}

impl std::error::Error for AddressError {}

fn no_port(f: &mut fmt::Formatter<'_>, port: &str) -> fmt::Result {
    write!(f, "port {:?} ", quote(port))?;
    match without_zeros(port) {
        Some(number) => write!(f, "begins with a zero: write {number}"),
        None => f.write_str("is neither a number from 1 to 65535 nor a service"),
    }
}

/// What a number with zeros in front comes to, if it is a port without them.
fn without_zeros(port: &str) -> Option<u16> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|number| digits && *number != 0 && port.starts_with('0'))
}

/// A host and a number behind a blank, as other programs want them.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.split_once(' ')?;
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !host.is_empty()).then_some((host, port))
}

fn quote(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}
