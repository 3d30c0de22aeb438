//! Who a client is: what proxies and strangers write about it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use websocksy::proto::client_addr::Address;
use websocksy::proto::forwarded::{ForwardedHeader, Located, SHOWN, locate};
use websocksy::proto::proxy::{
    Header, Introduction, LONGEST, Progress, ProxyError, Subject, Version, parse,
};

/// Input: what a connection begins with. However it is cut, the answer is the same, and no byte behind
/// the header is asked for; what is a header says to another reader what it says to us, and what only
/// one of the two takes is a difference that is known.
pub fn proxy(input: &[u8]) {
    let ours = parse(input);
    for cut in 0..input.len() {
        let part = parse(&input[..cut]);
        match (ours, part) {
            (Ok(Progress::Whole(header)), _) if cut >= header.length => assert_eq!(part, ours),
            (Ok(Progress::Whole(Header { length, .. })), Ok(Progress::Needs(more))) => {
                assert!(more > 0 && cut + more <= length, "{more} at {cut} of {length}");
            }
            (Ok(Progress::Needs(_)) | Err(_), Ok(Progress::Needs(more))) => {
                assert!(more > 0 && cut + more <= LONGEST, "{more} at {cut}");
            }
            (Err(_), Err(_)) => {}
            // It was said, and who reads on by a byte may think better of the rest.
            (Ok(Progress::Needs(_)), Err(ProxyError::LineTooLong)) => {}
            other => panic!("{other:?} at {cut}"),
        }
    }
    let theirs = theirs(input);
    match (ours, theirs) {
        (Ok(Progress::Whole(header)), Some((subject, length))) => {
            assert_eq!((header.subject, header.length), (subject, length));
        }
        (Ok(Progress::Whole(Header { subject, length })), None) => {
            // They look at what is to be ignored.
            let is_line = input.starts_with(b"PROXY ");
            assert!(
                subject == Subject::Proxy || is_line && subject == Subject::Unknown,
                "{length}"
            );
        }
        (Ok(Progress::Needs(_)), Some(_)) => panic!("more is awaited than there has to be"),
        (Err(error), Some((_, length))) => match error {
            ProxyError::Long(ours) => assert!(ours == length && length > LONGEST),
            // Transports that are no streams, and families without one.
            ProxyError::Family(family) => assert!(!matches!(family, 0x00 | 0x11 | 0x21 | 0x31)),
            ProxyError::Line => {
                let line = &input[..length];
                let is_signed = line.windows(2).any(|two| two == b" +");
                // They take a space for a CR, a CR for an end, and an LF for what is to be ignored.
                let text = line.strip_suffix(b"\r\n");
                let is_plain = |text: &[u8]| !text.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
                assert!(is_signed || !text.is_some_and(is_plain), "{}", line.escape_ascii());
            }
            error => panic!("{error}"),
        },
        (_, None) => {}
    }
    if let Ok(Progress::Whole(Header {
        subject: Subject::Client { source, destination }, ..
    })) = ours
    {
        written(source, destination);
    }
}

/// What we would tell a peer of this client is read as it was meant.
fn written(source: Address, destination: Address) {
    for version in [Version::V1, Version::V2] {
        let bytes = Introduction { source, destination, tlvs: &[] }.encode(version);
        let Ok(Progress::Whole(Header { length, subject })) = parse(&bytes) else {
            panic!("{}", bytes.escape_ascii())
        };
        assert_eq!(length, bytes.len());
        match subject {
            Subject::Client { source: read, .. } => assert_eq!(read, source),
            Subject::Unknown => assert_eq!((source, version), (Address::Unix, Version::V1)),
            Subject::Proxy => assert_eq!((source, version), (Address::Unix, Version::V2)),
        }
    }
}

/// What another reader makes of it, where that is a header.
fn theirs(input: &[u8]) -> Option<(Subject, usize)> {
    let client = |source: SocketAddr, destination: SocketAddr| Subject::Client {
        source: source.into(),
        destination: destination.into(),
    };
    if let Ok(header) = ppp::v2::Header::try_from(input) {
        let subject = match (header.command, header.addresses) {
            (ppp::v2::Command::Local, _) => Subject::Proxy,
            (_, ppp::v2::Addresses::Unspecified) => Subject::Unknown,
            (_, ppp::v2::Addresses::IPv4(v4)) => client(
                SocketAddr::new(v4.source_address.into(), v4.source_port),
                SocketAddr::new(v4.destination_address.into(), v4.destination_port),
            ),
            (_, ppp::v2::Addresses::IPv6(v6)) => client(
                SocketAddr::new(v6.source_address.into(), v6.source_port),
                SocketAddr::new(v6.destination_address.into(), v6.destination_port),
            ),
            (_, ppp::v2::Addresses::Unix(_)) => {
                Subject::Client { source: Address::Unix, destination: Address::Unix }
            }
        };
        return Some((subject, header.len()));
    }
    let header = ppp::v1::Header::try_from(input).ok()?;
    let subject = match header.addresses {
        ppp::v1::Addresses::Unknown => Subject::Unknown,
        ppp::v1::Addresses::Tcp4(v4) => client(
            SocketAddr::new(v4.source_address.into(), v4.source_port),
            SocketAddr::new(v4.destination_address.into(), v4.destination_port),
        ),
        ppp::v1::Addresses::Tcp6(v6) => client(
            SocketAddr::new(v6.source_address.into(), v6.source_port),
            SocketAddr::new(v6.destination_address.into(), v6.destination_port),
        ),
    };
    Some((subject, header.header.len()))
}

/// Input: a byte that chooses the field, and its lines. Whatever a client wrote, what a proxy writes
/// behind it says who the client is; and lists of addresses are what the standard library reads there.
pub fn forwarded(input: &[u8]) {
    let Some((choice, text)) = input.split_first() else { return };
    let header = ForwardedHeader::ALL[usize::from(*choice) % ForwardedHeader::ALL.len()];
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let proxy = Address::from(SocketAddr::from(([10, 0, 0, 1], 0)));
    let found = locate(header, lines.iter().copied(), proxy, is_proxy);
    let readable = found.unreadable.as_deref();
    assert!(readable.is_none_or(|text| text.len() <= SHOWN));
    // It stops at a stranger, or where nothing is left or readable.
    assert!(is_proxy(found.address) || readable.is_none());
    if header == ForwardedHeader::XForwardedFor {
        assert_eq!(found.address, simply(&lines, proxy).unwrap_or(found.address));
    }
    honest(header, &lines, proxy);
}

fn is_proxy(address: Address) -> bool {
    matches!(address.ip(), Some(IpAddr::V4(v4)) if v4.octets()[0] == 10)
}

/// A proxy writes behind all this, in the last line or in one of its own.
fn honest(header: ForwardedHeader, lines: &[&[u8]], proxy: Address) {
    let client: SocketAddr = "[2001:db8::7]:4711".parse().expect("an address");
    let words: &[u8] = match header {
        ForwardedHeader::XForwardedFor | ForwardedHeader::XRealIp => b"[2001:db8::7]:4711",
        ForwardedHeader::Forwarded => b"proto=https;for=\"[2001:db8::7]:4711\";by=\"_a,\\\"b\"",
    };
    let expected = Located { address: client.into(), unreadable: None };
    let own_line = [lines, &[words]].concat();
    assert_eq!(locate(header, own_line.into_iter(), proxy, is_proxy), expected);
    if header != ForwardedHeader::XRealIp {
        let (last, before) = lines.split_last().expect("one line");
        let extended = [last, &b", "[..], words].concat();
        let same_line = [before, &[&extended[..]]].concat();
        assert_eq!(locate(header, same_line.into_iter(), proxy, is_proxy), expected);
    }
}

/// The same, by the standard library's notion of addresses; none where that is another.
fn simply(lines: &[&[u8]], proxy: Address) -> Option<Address> {
    let mut address = proxy;
    let elements = lines.iter().flat_map(|line| line.split(|byte| *byte == b','));
    for element in elements.collect::<Vec<_>>().into_iter().rev() {
        let Ok(text) = str::from_utf8(element.trim_ascii()) else { return Some(address) };
        if text.is_empty() {
            continue;
        }
        // A zone, a port with zeros in front, or one that is hidden.
        if text.contains(['%', '_']) || text.contains(":0") {
            return None;
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let bare = bare.and_then(|text| text.parse::<Ipv6Addr>().ok());
        let ip = text.parse::<IpAddr>().ok().or(bare.map(IpAddr::V6));
        let socket = ip.map(|ip| SocketAddr::new(ip, 0)).or(text.parse().ok());
        let Some(socket) = socket else { return Some(address) };
        address = socket.into();
        if !is_proxy(address) {
            break;
        }
    }
    Some(address)
}
