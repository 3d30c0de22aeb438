//! The PROXY protocol: what a proxy says of the client, in front of all that the client says.
//!
//! Both versions of HAProxy's `proxy-protocol.txt`, whose sections are meant here: version 1 is a
//! line of text (§2.1), version 2 is binary (§2.2).

mod encode;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::client_addr::Address;
pub use encode::{ALPN, AUTHORITY, Introduction, SSL, Version, ssl};

/// The longest header that is taken, bytes, as nginx has it: one of version 2 with TLVs for all
/// that is defined is a tenth of it. The protocol itself would allow 65,551.
pub const LONGEST: usize = 4096;
/// The longest line of version 1, its CRLF included (§2.1).
const LONGEST_LINE: usize = 107;
/// The shortest line of version 1, which is shorter than any header of version 2.
const SHORTEST: usize = b"PROXY UNKNOWN\r\n".len();
/// What version 2 begins with (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and transport, and the length of what follows.
const FIXED: usize = 16;

/// What the bytes are so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// At least so many bytes more belong to the header: they can be read without reading any of
    /// what follows it.
    Needs(usize),
    /// All of it is there.
    Whole(Header),
}

/// A whole header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Its bytes.
    pub length: usize,
    /// Whom it is about.
    pub subject: Subject,
}

/// Whom a header is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// A client, and where it connected to.
    Client {
        /// Where the client is.
        source: Address,
        /// Where it found the proxy.
        destination: Address,
    },
    /// The proxy itself, which looks after our health (LOCAL).
    Proxy,
    /// A client of which nothing is said (UNKNOWN, UNSPEC).
    Unknown,
}

/// Why the bytes are not a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyError {
    /// They begin as neither version does.
    Missing,
    /// The line of version 1 does not end in time.
    LineTooLong,
    /// The line of version 1 does not say what it has to.
    Line,
    /// A version other than 2 behind the signature.
    Version(u8),
    /// Neither LOCAL nor PROXY.
    Command(u8),
    /// A family and transport that are not known, or not those of a stream.
    Family(u8),
    /// Too short for the addresses of its family.
    Short(usize),
    /// Longer than [`LONGEST`].
    Long(usize),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no PROXY header"),
            Self::LineTooLong => write!(f, "a PROXY line of more than {LONGEST_LINE} bytes"),
            Self::Line => f.write_str("a malformed PROXY line"),
            Self::Version(version) => write!(f, "a PROXY header of version {version}"),
            Self::Command(command) => write!(f, "a PROXY header with the command {command}"),
            Self::Family(family) => write!(f, "a PROXY header with the family 0x{family:02x}"),
            Self::Short(length) => {
                write!(f, "a PROXY header of {length} bytes, too short for its addresses")
            }
            Self::Long(length) => {
                write!(f, "a PROXY header of {length} bytes, more than {LONGEST}")
            }
        }
    }
}

impl std::error::Error for ProxyError {}

/// Reads the header at the beginning of `bytes`, or what is there of it.
///
/// # Errors
/// What makes these bytes no header, as soon as that is known.
pub fn parse(bytes: &[u8]) -> Result<Progress, ProxyError> {
    if begins_like(bytes, SIGNATURE) {
        version_2(bytes)
    } else if begins_like(bytes, b"PROXY ") {
        version_1(bytes)
    } else {
        Err(ProxyError::Missing)
    }
}

/// Whether `bytes` are the beginning of `text`, or begin with it.
fn begins_like(bytes: &[u8], text: &[u8]) -> bool {
    bytes.iter().zip(text).all(|(byte, expected)| byte == expected)
}

fn version_1(bytes: &[u8]) -> Result<Progress, ProxyError> {
    let most = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = most.iter().position(|byte| *byte == b'\n') else {
        return match missing_of_line(most) {
            missing if most.len() + missing > LONGEST_LINE => Err(ProxyError::LineTooLong),
            missing => Ok(Progress::Needs(missing)),
        };
    };
    let line = most.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(ProxyError::Line)?;
    let subject = subject_of_line(line).ok_or(ProxyError::Line)?;
    Ok(Progress::Whole(Header { length: end + 1, subject }))
}

/// How many bytes a line without its end lacks at least.
fn missing_of_line(line: &[u8]) -> usize {
    if line.len() < SHORTEST {
        return SHORTEST - line.len();
    }
    if line.ends_with(b"\r") {
        return 1;
    }
    const CRLF: usize = 2;
    // `PROXY TCP4 1.2.3.4 1.2.3.4 1 1`: a space and the shortest address, or port, each.
    let address = match line.get(6..11) {
        Some(b"TCP4 ") => 8,
        Some(b"TCP6 ") => 3,
        _ => return CRLF,
    };
    let fields = line.iter().filter(|byte| **byte == b' ').count();
    CRLF + match fields {
        0..=2 => address + 2 * 2,
        3 => 2 * 2,
        4 => 2,
        _ => 0,
    }
}

/// What a line says; none if that is not what a line may.
fn subject_of_line(line: &[u8]) -> Option<Subject> {
    let rest = line.strip_prefix(b"PROXY ")?;
    if rest.contains(&b'\r') {
        return None;
    }
    if rest == b"UNKNOWN" || rest.starts_with(b"UNKNOWN ") {
        return Some(Subject::Unknown); // what follows is to be ignored (§2.1)
    }
    let mut fields = str::from_utf8(rest).ok()?.split(' ');
    let family = fields.next()?;
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    let [source, destination] = [address(fields.next()?)?, address(fields.next()?)?];
    let [from, to] = [port(fields.next()?)?, port(fields.next()?)?];
    if fields.next().is_some() {
        return None;
    }
    let source = SocketAddr::new(source, from).into();
    let destination = SocketAddr::new(destination, to).into();
    Some(Subject::Client { source, destination })
}

/// Decimal, and without zeros in front (§2.1).
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let has_zeros = text.len() > 1 && text.starts_with('0');
    if is_plain && !has_zeros { text.parse().ok() } else { None }
}

fn version_2(bytes: &[u8]) -> Result<Progress, ProxyError> {
    let lacks = |length: usize| Ok(Progress::Needs(length - bytes.len()));
    let Some(&version) = bytes.get(SIGNATURE.len()) else {
        // Before its sixth byte the other version is shorter; they differ in the first already.
        return lacks(if bytes.is_empty() { SHORTEST } else { FIXED });
    };
    if version >> 4 != 2 {
        return Err(ProxyError::Version(version >> 4));
    }
    let is_local = match version & 0xf {
        0 => true,
        1 => false,
        command => return Err(ProxyError::Command(command)),
    };
    let Some(&[_, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
        return lacks(FIXED);
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST {
        return Err(ProxyError::Long(length));
    }
    // What a proxy says of itself is not looked at, whatever it may be (§2.2).
    let needed = if is_local { 0 } else { addresses_length(family)? };
    if length < FIXED + needed {
        return Err(ProxyError::Short(length));
    }
    let Some(body) = bytes.get(FIXED..length) else { return lacks(length) };
    let subject = if is_local { Subject::Proxy } else { subject_of_body(family, body) };
    Ok(Progress::Whole(Header { length, subject }))
}

const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX: u8 = 0x31;

/// How long the addresses of a family are (§2.2); what follows them are TLVs.
fn addresses_length(family: u8) -> Result<usize, ProxyError> {
    match family {
        UNSPECIFIED => Ok(0),
        TCP4 => Ok(12),
        TCP6 => Ok(36),
        UNIX => Ok(216),
        _ => Err(ProxyError::Family(family)),
    }
}

/// What a body says that is long enough for its family.
fn subject_of_body(family: u8, body: &[u8]) -> Subject {
    let client = match family {
        TCP4 => pair(body, Ipv4Addr::from),
        TCP6 => pair(body, Ipv6Addr::from),
        UNIX => Some((Address::Unix, Address::Unix)),
        _ => None,
    };
    match client {
        Some((source, destination)) => Subject::Client { source, destination },
        None => Subject::Unknown,
    }
}

/// Source and destination, then the port of either.
fn pair<const N: usize, A: Into<IpAddr>>(
    body: &[u8],
    address: fn([u8; N]) -> A,
) -> Option<(Address, Address)> {
    let (source, rest) = body.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let &[high, low, other_high, other_low, ..] = rest else { return None };
    let at = |bytes: [u8; N], port| SocketAddr::new(address(bytes).into(), port).into();
    let source = at(*source, u16::from_be_bytes([high, low]));
    Some((source, at(*destination, u16::from_be_bytes([other_high, other_low]))))
}
