use super::*;

fn client(source: &str, destination: &str) -> Subject {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap().into();
    Subject::Client { source: address(source), destination: address(destination) }
}

/// A header of version 2.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, body].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x01, 0xbb];

fn v6() -> Vec<u8> {
    let [source, destination] =
        ["2001:db8::1", "::ffff:192.0.2.7"].map(|text| text.parse::<Ipv6Addr>().unwrap().octets());
    [&source[..], &destination, &[0, 1, 0, 2]].concat()
}

/// Headers that are whole, and whom they are about.
fn whole() -> Vec<(Vec<u8>, Subject)> {
    let tlv = [&V4[..], &[0x02, 0, 4], b"here", &[0xe0, 0xff, 0xff]].concat();
    let mut cases = vec![
        (binary(0x21, TCP4, &V4), client("192.0.2.1:12345", "198.51.100.2:443")),
        (binary(0x21, TCP4, &tlv), client("192.0.2.1:12345", "198.51.100.2:443")),
        (binary(0x21, TCP6, &v6()), client("[2001:db8::1]:1", "192.0.2.7:2")),
        (
            binary(0x21, UNIX, &[b'x'; 216]),
            Subject::Client { source: Address::Unix, destination: Address::Unix },
        ),
        (binary(0x21, UNSPECIFIED, b""), Subject::Unknown),
        (binary(0x21, UNSPECIFIED, &[7; 30]), Subject::Unknown),
        (binary(0x20, UNSPECIFIED, b""), Subject::Proxy),
        // An address that a proxy says of itself may be forged.
        (binary(0x20, TCP4, &V4), Subject::Proxy),
        (binary(0x20, 0xff, &[1]), Subject::Proxy),
        (binary(0x21, TCP4, &[&V4[..], &[0; LONGEST - 28]].concat()), {
            client("192.0.2.1:12345", "198.51.100.2:443")
        }),
    ];
    let lines = [
        ("TCP4 192.0.2.1 198.51.100.2 0 65535", client("192.0.2.1:0", "198.51.100.2:65535")),
        ("TCP4 1.1.1.1 1.1.1.1 1 1", client("1.1.1.1:1", "1.1.1.1:1")),
        ("TCP6 :: :: 1 1", client("[::]:1", "[::]:1")),
        ("TCP6 2001:db8::1 ::1 8 9", client("[2001:db8::1]:8", "[::1]:9")),
        ("TCP6 ::ffff:192.0.2.1 ::1 8 9", client("192.0.2.1:8", "[::1]:9")),
        ("UNKNOWN", Subject::Unknown),
        ("UNKNOWN \u{ff} whatever it is", Subject::Unknown),
        (
            "UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535 and so on to its longest so 8901234",
            Subject::Unknown,
        ),
    ];
    cases.extend(lines.map(|(line, subject)| (format!("PROXY {line}\r\n").into(), subject)));
    cases
}

#[test]
fn headers_end_where_they_say_and_are_asked_for_no_further() {
    for (bytes, subject) in whole() {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let header = Header { length: bytes.len(), subject };
        assert_eq!(parse(&bytes), Ok(Progress::Whole(header)), "{shown:?}");
        let behind = [&bytes[..], b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(parse(&behind), Ok(Progress::Whole(header)), "{shown:?}");
        for cut in 0..bytes.len() {
            match parse(&bytes[..cut]) {
                Ok(Progress::Needs(more)) => {
                    assert!(more > 0 && cut + more <= bytes.len(), "{shown:?} at {cut}: {more}");
                }
                other => panic!("{shown:?} at {cut}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_line_takes_few_reads() {
    let line = b"PROXY TCP4 192.168.100.200 10.0.0.1 56324 443\r\n";
    let (mut at, mut reads) = (0, 0);
    while let Ok(Progress::Needs(more)) = parse(&line[..at]) {
        (at, reads) = (at + more, reads + 1);
    }
    assert!(at == line.len() && reads < 12, "{reads}");
}

#[test]
fn the_longest_line_and_header_are_the_longest() {
    let line = |length: usize| format!("PROXY UNKNOWN {:1$}\r\n", "", length - 16);
    assert_eq!(line(LONGEST_LINE).len(), LONGEST_LINE);
    assert!(matches!(parse(line(LONGEST_LINE).as_bytes()), Ok(Progress::Whole(_))));
    assert_eq!(parse(line(LONGEST_LINE + 1).as_bytes()), Err(ProxyError::LineTooLong));
    let one_more = binary(0x21, TCP4, &[0; LONGEST - FIXED + 1]);
    assert_eq!(parse(&one_more[..FIXED]), Err(ProxyError::Long(LONGEST + 1)));
    assert_eq!(parse(&binary(0x20, 0, &[0; u16::MAX as usize])), Err(ProxyError::Long(65_551)));
}

#[test]
fn what_is_no_header_is_refused_as_soon_as_that_is_known() {
    let error = |bytes: &[u8]| parse(bytes).unwrap_err();
    for bytes in [&b"G"[..], b"\x16\x03\x01", b"proxy TCP4", b"PROXIES", b"\r\n\r\n\0\rX", b"\0"] {
        assert_eq!(error(bytes), ProxyError::Missing, "{bytes:?}");
    }
    for line in [
        "TCP4 192.0.2.1 198.51.100.2 1 65536",
        "TCP4 192.0.2.1 198.51.100.2 01 1",
        "TCP4 192.0.2.1 198.51.100.2 +1 1",
        "TCP4 192.0.2.1 198.51.100.2 1 1 ",
        "TCP4 192.0.2.1 198.51.100.2 1",
        "TCP4 192.0.2.1  198.51.100.2 1 1",
        "TCP4 192.0.2.01 198.51.100.2 1 1",
        "TCP4 ::1 ::1 1 1",
        "TCP6 192.0.2.1 192.0.2.1 1 1",
        "TCP6 fe80::1%eth0 ::1 1 1",
        "UDP4 192.0.2.1 192.0.2.1 1 1",
        "tcp4 192.0.2.1 192.0.2.1 1 1",
        "UNKNOWNS of any kind",
        "UNKNOWN\r ",
        "UNKNOWN a\nb",
        "        ",
    ] {
        let bytes = format!("PROXY {line}\r\n");
        assert_eq!(error(bytes.as_bytes()), ProxyError::Line, "{bytes:?}");
    }
    assert_eq!(error(b"PROXY UNKNOWN\n"), ProxyError::Line);
    assert_eq!(error(&b"PROXY TCP4 ".repeat(10)), ProxyError::LineTooLong);
    assert_eq!(error(&binary(0x11, TCP4, &V4)[..13]), ProxyError::Version(1));
    assert_eq!(error(&binary(0x22, TCP4, &V4)[..13]), ProxyError::Command(2));
    for family in [0x01, 0x10, 0x12, 0x22, 0x32, 0x41, 0xff] {
        assert_eq!(error(&binary(0x21, family, &V4)), ProxyError::Family(family));
    }
    for (family, shortest) in [(TCP4, 12), (TCP6, 36), (UNIX, 216)] {
        let short = binary(0x21, family, &vec![0; shortest - 1]);
        assert_eq!(error(&short[..FIXED]), ProxyError::Short(FIXED + shortest - 1));
    }
}
