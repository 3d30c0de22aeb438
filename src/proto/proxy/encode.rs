//! The header that a peer is sent.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{FIXED, LONGEST, SIGNATURE, TCP4, TCP6, UNSPECIFIED};
use crate::proto::client_addr::Address;
use crate::proto::client_tls::ClientTls;

/// How a header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text (§2.1).
    V1,
    /// Binary, with TLVs (§2.2).
    V2,
}

impl Version {
    /// Both, and their names.
    pub const NAMES: [(&'static str, Self); 2] = [("v1", Self::V1), ("v2", Self::V2)];
}

/// What a peer is told of a client.
#[derive(Clone, Copy, Debug)]
pub struct Introduction<'a> {
    /// Where the client is.
    pub source: Address,
    /// Where it connected to.
    pub destination: Address,
    /// What only version 2 says, by type (§2.2). One that would make the header longer than
    /// [`LONGEST`] is left out.
    pub tlvs: &'a [(u8, &'a [u8])],
}

/// What is spoken within the client's TLS (§2.2.1).
pub const ALPN: u8 = 0x01;
/// The host that the client asked for (§2.2.2).
pub const AUTHORITY: u8 = 0x02;
/// What the client's TLS is like (§2.2.6).
pub const SSL: u8 = 0x20;

/// The longest common name that is handed on, bytes; those of X.509 have 64 characters.
const MOST_NAME: usize = 1024;

/// The value of [`SSL`]: what a client's TLS is like, and whether it has shown a certificate, which was
/// verified; over this connection, or only in the session that this one resumes.
#[must_use]
pub fn ssl(tls: &ClientTls) -> Vec<u8> {
    const BY_TLS: u8 = 0x01;
    const CERTIFICATE_HERE: u8 = 0x02;
    const CERTIFICATE_OF_SESSION: u8 = 0x04;
    const VERSION: u8 = 0x21;
    const COMMON_NAME: u8 = 0x22;
    const CIPHER: u8 = 0x23;
    let client = match (&tls.subject, tls.is_resumed) {
        (None, _) => BY_TLS,
        (Some(_), true) => BY_TLS | CERTIFICATE_OF_SESSION,
        (Some(_), false) => BY_TLS | CERTIFICATE_HERE | CERTIFICATE_OF_SESSION,
    };
    let mut value = vec![client];
    value.extend(u32::from(tls.subject.is_none()).to_be_bytes()); // 0 where one was verified
    let name = tls.subject.as_ref().and_then(|subject| subject.common_name.as_deref());
    let name = name.filter(|name| name.len() <= MOST_NAME);
    for (kind, text) in [(VERSION, Some(tls.version)), (COMMON_NAME, name), (CIPHER, tls.cipher)] {
        let Some(text) = text else { continue };
        value.push(kind);
        value.extend((text.len() as u16).to_be_bytes()); // none is longer than a name
        value.extend(text.as_bytes());
    }
    value
}

/// The type of a TLV and its length, bytes.
const TLV_HEAD: usize = 3;

/// Version 2, and the command for a client's connection (§2.2).
const PROXY: u8 = 0x21;
/// The same for one of which nothing can be told. Receivers need not take [`PROXY`] without addresses, and
/// HAProxy does not; nor with those of Unix sockets, of which nginx and it have no use.
const LOCAL: u8 = 0x20;

impl Introduction<'_> {
    /// The header.
    #[must_use]
    pub fn encode(&self, version: Version) -> Vec<u8> {
        match version {
            Version::V1 => self.line(),
            Version::V2 => self.binary(),
        }
    }

    fn line(&self) -> Vec<u8> {
        let Some((source, destination)) = self.ends() else { return b"PROXY UNKNOWN\r\n".to_vec() };
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let [from, to] = [source, destination].map(|end| Text(end.ip()));
        let (port, other) = (source.port(), destination.port());
        format!("PROXY {family} {from} {to} {port} {other}\r\n").into_bytes()
    }

    fn binary(&self) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        let mut body = Vec::new();
        match self.ends() {
            None => header.extend([LOCAL, UNSPECIFIED]),
            Some((source, destination)) => {
                header.extend([PROXY, if source.is_ipv4() { TCP4 } else { TCP6 }]);
                for end in [source, destination] {
                    match end.ip() {
                        IpAddr::V4(v4) => body.extend(v4.octets()),
                        IpAddr::V6(v6) => body.extend(v6.octets()),
                    }
                }
                body.extend([source, destination].iter().flat_map(|end| end.port().to_be_bytes()));
            }
        }
        for (kind, value) in self.tlvs {
            let Ok(length) = u16::try_from(value.len()) else { continue };
            if FIXED + body.len() + TLV_HEAD + value.len() > LONGEST {
                continue;
            }
            body.push(*kind);
            body.extend(length.to_be_bytes());
            body.extend(*value);
        }
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX); // it has less than LONGEST
        header.extend(length.to_be_bytes());
        header.extend(body);
        header
    }

    /// Both ends in one family, for a header has but one: IPv4 beside IPv6 is written in IPv6 form. None
    /// of a client without an IP address; a destination without one is nowhere.
    fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let Address::Tcp(source) = self.source else { return None };
        let destination = match self.destination {
            Address::Tcp(destination) => destination,
            Address::Unix if source.is_ipv4() => SocketAddr::from(([0; 4], 0)),
            Address::Unix => SocketAddr::from(([0_u16; 8], 0)),
        };
        if source.is_ipv4() == destination.is_ipv4() {
            return Some((source, destination));
        }
        Some((mapped(source), mapped(destination)))
    }
}

/// In IPv6 form (RFC 4291 §2.5.5.2).
fn mapped(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    SocketAddr::new(ip.into(), address.port())
}

/// An address as a line has it. Of one in IPv6 form readers may expect hexadecimal digits only (§2.1).
struct Text(IpAddr);

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_mapped = |v6: &Ipv6Addr| v6.to_ipv4_mapped().is_some();
        match self.0 {
            IpAddr::V6(v6) if is_mapped(&v6) => {
                let [.., high, low] = v6.segments();
                write!(f, "::ffff:{high:x}:{low:x}")
            }
            ip => ip.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Header, Progress, parse};
    use super::*;
    use crate::proto::client_tls::Subject;
    use crate::proto::proxy::Subject as Whose;

    fn address(text: &str) -> Address {
        if text == "unix" { Address::Unix } else { text.parse::<SocketAddr>().unwrap().into() }
    }

    #[test]
    fn lines() {
        for (source, destination, line) in [
            ("192.0.2.1:1", "198.51.100.2:443", "TCP4 192.0.2.1 198.51.100.2 1 443"),
            ("[2001:db8::1]:1", "[::1]:2", "TCP6 2001:db8::1 ::1 1 2"),
            ("192.0.2.1:1", "[::1]:2", "TCP6 ::ffff:c000:201 ::1 1 2"),
            ("[::1]:1", "192.0.2.1:2", "TCP6 ::1 ::ffff:c000:201 1 2"),
            ("192.0.2.1:0", "unix", "TCP4 192.0.2.1 0.0.0.0 0 0"),
            ("[::1]:1", "unix", "TCP6 ::1 :: 1 0"),
            ("unix", "192.0.2.1:2", "UNKNOWN"),
        ] {
            let [source, destination] = [source, destination].map(address);
            let introduction = Introduction { source, destination, tlvs: &[(AUTHORITY, b"h")] };
            let expected = format!("PROXY {line}\r\n");
            assert_eq!(introduction.encode(Version::V1), expected.as_bytes());
        }
    }

    #[test]
    fn a_client_without_an_address_is_nobody_whom_a_receiver_need_know() {
        let destination = address("192.0.2.1:2");
        let introduction =
            Introduction { source: Address::Unix, destination, tlvs: &[(AUTHORITY, b"h")] };
        let expected = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\x04\x02\0\x01h";
        assert_eq!(introduction.encode(Version::V2), expected);
    }

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let all = ["192.0.2.1:1", "[2001:db8::1]:65535", "unix", "192.0.2.7:0"].map(address);
        for (source, destination) in all.iter().flat_map(|from| all.map(|to| (*from, to))) {
            for version in [Version::V1, Version::V2] {
                let introduction = Introduction { source, destination, tlvs: &[] };
                let bytes = introduction.encode(version);
                let Ok(Progress::Whole(Header { length, subject })) = parse(&bytes) else {
                    panic!("{bytes:?}")
                };
                assert_eq!(length, bytes.len());
                match (subject, source) {
                    (Whose::Unknown, Address::Unix) => assert_eq!(version, Version::V1),
                    (Whose::Proxy, Address::Unix) => assert_eq!(version, Version::V2),
                    (Whose::Client { source: read, destination: to }, source) => {
                        assert_eq!(read, source);
                        assert!(to == destination || destination == Address::Unix);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn what_the_clients_tls_is_like() {
        let mut tls = ClientTls { version: "TLSv1.3", ..ClientTls::default() };
        assert_eq!(ssl(&tls), *b"\x01\0\0\0\x01\x21\0\x07TLSv1.3");
        tls.cipher = Some("TLS_X");
        tls.is_resumed = true;
        assert_eq!(ssl(&tls), *b"\x01\0\0\0\x01\x21\0\x07TLSv1.3\x23\0\x05TLS_X");
        tls.subject = Some(Subject { name: "CN=a".into(), common_name: Some("a".into()) });
        let named = b"\x05\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x01a\x23\0\x05TLS_X";
        assert_eq!(ssl(&tls), named, "shown in the session that is resumed, not here");
        tls.is_resumed = false;
        assert_eq!(ssl(&tls)[0], 0x07);
        tls.subject = Some(Subject { name: String::new(), common_name: Some("a".repeat(1025)) });
        assert_eq!(ssl(&tls), *b"\x07\0\0\0\0\x21\0\x07TLSv1.3\x23\0\x05TLS_X");
    }

    #[test]
    fn tlvs_follow_the_addresses() {
        let [source, destination] = ["192.0.2.1:1", "198.51.100.2:443"].map(address);
        let long = [0; LONGEST];
        let tlvs: &[(u8, &[u8])] = &[(AUTHORITY, b"here"), (9, &long), (0xe0, b"")];
        let bytes = Introduction { source, destination, tlvs }.encode(Version::V2);
        assert_eq!(bytes[14..16], [0, 12 + 7 + 3]);
        assert_eq!(bytes[28..], *b"\x02\0\x04here\xe0\0\0");
        let whole = Introduction { source, destination, tlvs: &[(9, &long[31..])] };
        let bytes = whole.encode(Version::V2);
        assert_eq!(bytes.len(), LONGEST);
        assert!(matches!(parse(&bytes), Ok(Progress::Whole(_))));
    }
}
