//! Who a client is when it comes by a proxy, on the real binary: PROXY headers, forwarded fields,
//! and which lists and limits are asked about whom.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{BASE, Client, Daemon, End, PATIENCE, Peer, answer, open, read_to_end, upgrade};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

/// A second listener whose clients are a proxy's at 127.0.0.1, and its port.
fn proxied(peer: &Peer, arguments: &[&str]) -> (Daemon, u16) {
    let proxied = ["-l", "127.0.0.1:0 proxy-protocol", "--trusted-proxy", "127.0.0.1"];
    let daemon = Daemon::before(peer, "binary", &[&proxied, arguments].concat());
    let port = second_port(&daemon);
    (daemon, port)
}

/// The port of the second listener, which the log names.
fn second_port(daemon: &Daemon) -> u16 {
    let mut second = None;
    common::eventually("both listen", || {
        let log = daemon.log();
        let port = |line: &String| {
            let (_, rest) = line.split_once("listening on 127.0.0.1:")?;
            rest.split_once(',')?.0.parse().ok()
        };
        second = log.iter().filter_map(port).nth(1);
        second.is_some()
    });
    second.unwrap()
}

/// A header of version 2 for a TCP client.
fn binary_header(source: &str, port: u16, tlvs: &[u8]) -> Vec<u8> {
    let source: IpAddr = source.parse().unwrap();
    let (family, mut body) = match source {
        IpAddr::V4(v4) => (0x11, [v4.octets(), [198, 51, 100, 1]].concat()),
        IpAddr::V6(v6) => (0x21, [v6.octets(), [1; 16]].concat()),
    };
    body.extend([port.to_be_bytes(), 443_u16.to_be_bytes()].concat());
    body.extend(tlvs);
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[family], &length, &body].concat()
}

/// A header of version 1 for an IPv4 client.
fn line(source: &str) -> Vec<u8> {
    format!("PROXY TCP4 {source} 198.51.100.1 4711 443\r\n").into()
}

/// The smallest good handshake with one more field.
fn with_field(name: &str, value: &str) -> Vec<u8> {
    BASE.replacen("\r\n", &format!("\r\n{name}: {value}\r\n"), 1).into()
}

/// Connects, says `header` and shakes hands.
#[track_caller]
fn connect(port: u16, header: &[u8]) -> Client {
    let mut stream = open(port);
    stream.write_all(header).unwrap();
    upgrade(&mut stream, BASE.as_bytes());
    Client::over(stream)
}

/// Whether what begins with `header` is hung up on, without a byte.
#[track_caller]
fn is_hung_up_on(port: u16, header: &[u8]) -> bool {
    let mut stream = open(port);
    let sent = stream.write_all(header).and_then(|()| stream.write_all(BASE.as_bytes()));
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset || sent.is_err(),
    }
}

#[test]
fn both_versions_say_who_the_client_is() {
    let peer = Peer::echo();
    let (daemon, port) = proxied(&peer, &[]);
    let tlvs = [&[0x02, 0, 4][..], b"host", &[0x20, 0, 5, 7, 0, 0, 0, 0]].concat();
    for (header, client) in [
        (line("192.0.2.7"), "192.0.2.7:4711"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n".to_vec(), "[2001:db8::7]:1"),
        (b"PROXY TCP6 ::ffff:192.0.2.8 ::1 1 2\r\n".to_vec(), "192.0.2.8:1"),
        (binary_header("192.0.2.9", 9, b""), "192.0.2.9:9"),
        (binary_header("2001:db8::9", 9, &tlvs), "[2001:db8::9]:9"),
    ] {
        let mut client_there = connect(port, &header);
        daemon.wait_for_log(&format!("{client} -> tcp://127.0.0.1:{}: started", peer.port()));
        client_there.close_now();
    }
    daemon.wait_for_log("127.0.0.1:");
}

#[test]
fn a_header_may_come_byte_by_byte_and_with_all_that_follows() {
    let peer = Peer::echo();
    let (_daemon, port) = proxied(&peer, &[]);
    for header in [line("192.0.2.7"), binary_header("2001:db8::9", 9, &[0xe0, 0, 1, 7])] {
        let mut stream = open(port);
        for byte in &header {
            stream.write_all(&[*byte]).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        upgrade(&mut stream, BASE.as_bytes());
        Client::over(stream).close_now();
        let mut whole = header;
        whole.extend(BASE.as_bytes());
        whole.extend(common::frame(0x82, b"early"));
        let mut client = Client::connect_with(port, &whole);
        assert_eq!(client.event(), common::Event::Data(true, 2, b"early".to_vec()));
        client.close_now();
    }
}

#[test]
fn who_says_nothing_of_its_clients_is_the_client_itself() {
    let peer = Peer::echo();
    let (daemon, port) = proxied(&peer, &[]);
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c\xc0\0\x02\x01\x01\x01\x01\x01\0\x07\0\x07";
    let unspecified = b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0";
    for header in [&local[..], unspecified, b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN x y\r\n"] {
        connect(port, header).close_now();
    }
    common::eventually("four sessions are over", || {
        let ended = daemon.log().iter().filter(|line| line.contains("ended: ")).count();
        ended == 4
    });
    assert!(!daemon.log().iter().any(|line| line.contains("192.0.2.1")), "{:?}", daemon.log());
}

#[test]
fn a_proxys_look_at_our_health_is_no_line() {
    let peer = Peer::echo();
    let (daemon, port) = proxied(&peer, &[]);
    drop(open(port));
    let mut local = open(port);
    local.write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").unwrap();
    drop(local);
    daemon.settle();
    connect(port, &line("192.0.2.7")).close_now();
    daemon.wait_for_log("192.0.2.7:4711");
    let said = |line: &&String| line.contains("hung up") || line.contains("left");
    assert_eq!(daemon.log().iter().find(said), None);
}

#[test]
fn what_is_no_header_is_hung_up_on_with_a_line_that_says_what_it_was() {
    let peer = Peer::echo();
    let (daemon, port) = proxied(&peer, &["--handshake-timeout", "0.3"]);
    for (header, says) in [
        (&b""[..], "hung up on: no PROXY header, but what may be HTTP"),
        (b"\x16\x03\x01\x02", "hung up on: no PROXY header, but a TLS hello"),
        (b"PROXY TCP4 192.0.2.1\r\n", "hung up on: a malformed PROXY line"),
        (
            b"PROXY UNKNOWN                                             \
           123456789012345678901234567890123456789012345678901234567890",
            "more than 107 bytes",
        ),
        (b"\r\n\r\n\0\r\nQUIT\n\x31", "a PROXY header of version 3"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c", "with the family 0x12"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "of 65551 bytes, more than 4096"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x0c", "of 28 bytes, too short for its addresses"),
    ] {
        assert!(is_hung_up_on(port, header), "{says}");
        daemon.wait_for_log(says);
    }
    let mut half = open(port);
    half.write_all(b"PROXY TCP4").unwrap();
    let (bytes, _) = read_to_end(&mut half);
    assert!(bytes.is_empty());
    daemon.wait_for_log("hung up on: no complete PROXY header in time");
    let mut half = open(port);
    half.write_all(b"PROXY TCP4").unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(read_to_end(&mut half).0.is_empty());
    daemon.wait_for_log("hung up on: its PROXY header is not complete");
    assert_eq!(peer.dials(), 0);
}

/// A header where none is expected, over plain HTTP and, as a proxy would send it, before TLS.
#[test]
fn a_header_on_another_listener_is_refused_as_what_it_is() {
    let words = "it is a PROXY header, which listeners with proxy-protocol take, once";
    for options in [&[][..], &["--health", "/healthz"], &["--trusted-proxy", "127.0.0.1"]] {
        let daemon = Daemon::start(options);
        let headers = [
            line("192.0.2.7"),
            b"PROXY UNKNOWN\r\n".to_vec(),
            binary_header("192.0.2.7", 1, b""),
            binary_header("2001:db8::7", 1, b""),
        ];
        for header in &headers {
            let mut stream = open(daemon.port());
            stream.write_all(&[header, BASE.as_bytes()].concat()).unwrap();
            assert_eq!(answer(&mut stream, BASE.as_bytes()).status, 400);
        }
        let says = |line: &&String| line.contains("127.0.0.1:") && line.contains(words);
        let all = || daemon.log().iter().filter(says).count() == headers.len();
        common::eventually("each has its line", all);
    }
}

#[test]
fn a_header_is_taken_of_trusted_proxies_only() {
    let peer = Peer::echo();
    let trusted = ["-l", "127.0.0.1:0 proxy-protocol", "--trusted-proxy", "192.0.2.0/24"];
    let daemon = Daemon::before(&peer, "binary", &trusted);
    let port = second_port(&daemon);
    assert!(is_hung_up_on(port, &line("192.0.2.1")));
    daemon.wait_for_log("hung up on: it is no trusted proxy, and PROXY headers are taken of no");
    // And where none is asked for, none is taken, of whomever.
    let mut stream = open(daemon.port());
    stream.write_all(&line("192.0.2.1")).unwrap();
    assert_eq!(answer(&mut stream, b"").status, 400);
    assert_eq!(peer.dials(), 0);
}

#[test]
fn lists_and_limits_are_asked_about_the_client_and_not_the_proxy() {
    let peer = Peer::echo();
    let limits =
        ["--allow", "192.0.2.0/24", "--max-per-address", "1", "--deny", "::/0", "--rate", "3/1000"];
    let (daemon, port) = proxied(&peer, &limits);
    assert!(is_hung_up_on(port, &line("198.51.100.9")));
    daemon.wait_for_log("198.51.100.9:4711: hung up on: the address is denied proxy=127.0.0.1:");
    let first = connect(port, &line("192.0.2.1"));
    let _other = connect(port, &line("192.0.2.2"));
    let mut second = open(port);
    second.write_all(&[&line("192.0.2.1"), BASE.as_bytes()].concat()).unwrap();
    assert_eq!(answer(&mut second, b"").status, 503);
    drop(first);
    common::eventually("the place is free", || {
        let mut stream = open(port);
        stream.write_all(&[&line("192.0.2.1"), BASE.as_bytes()].concat()).unwrap();
        let mut bytes = [0; 12];
        stream.read_exact(&mut bytes).unwrap();
        &bytes == b"HTTP/1.1 101" || &bytes == b"HTTP/1.1 429"
    });
    let mut too_fast = open(port);
    too_fast.write_all(&[&line("192.0.2.1"), BASE.as_bytes()].concat()).unwrap();
    let refused = answer(&mut too_fast, b"");
    assert!(matches!(refused.status, 429 | 503), "{refused:?}");
    // The proxy itself is on no list, and is asked when it has said whose request it is: nobody's.
    let mut local = open(port);
    local.write_all(b"PROXY UNKNOWN\r\n").unwrap();
    local.write_all(BASE.as_bytes()).unwrap();
    assert_eq!(answer(&mut local, b"").status, 403);
}

#[test]
fn behind_a_trusted_proxy_the_field_says_who_the_client_is() {
    let peer = Peer::echo();
    let arguments = ["--trusted-proxy", "127.0.0.0/30", "--allow", "192.0.2.0/24"];
    let daemon = Daemon::before(&peer, "binary", &arguments);
    let shake = |value: &str| {
        let mut stream = open(daemon.port());
        upgrade(&mut stream, &with_field("x-forwarded-for", value));
        Client::over(stream)
    };
    shake("198.51.100.1, 192.0.2.7, 127.0.0.2").close_now();
    daemon.wait_for_log("192.0.2.7 -> tcp://");
    shake("192.0.2.8:81").close_now();
    daemon.wait_for_log("192.0.2.8:81 -> tcp://");
    for value in ["192.0.2.7, 198.51.100.1", "192.0.2.7, unknown", "", "127.0.0.2"] {
        let mut stream = open(daemon.port());
        stream.write_all(&with_field("X-Forwarded-For", value)).unwrap();
        assert_eq!(answer(&mut stream, b"").status, 403, "{value}");
    }
    daemon.wait_for_log("X-Forwarded-For says 'unknown', no address: it counts as 127.0.0.1:");
    daemon.wait_for_log("198.51.100.1: refused with 403: the address is denied");
    let mut stream = open(daemon.port());
    stream.write_all(&with_field("X-Real-IP", "192.0.2.7")).unwrap();
    assert_eq!(answer(&mut stream, b"").status, 403, "another field is not read");
}

#[test]
fn nobody_else_is_believed() {
    let peer = Peer::echo();
    let arguments = ["--trusted-proxy", "127.0.0.2", "--deny", "192.0.2.0/24"];
    let daemon = Daemon::before(&peer, "binary", &arguments);
    let mut client =
        Client::connect_with(daemon.port(), &with_field("X-Forwarded-For", "192.0.2.1"));
    client.close_now();
    daemon.wait_for_log("127.0.0.1:");
    assert!(!daemon.log().iter().any(|line| line.contains("192.0.2.1 ->")));
}

#[test]
fn another_field_is_read_where_the_operator_says_so() {
    let peer = Peer::echo();
    for (header, value, client) in [
        (
            "Forwarded",
            "for=198.51.100.1;proto=https, For=\"[2001:db8::7]:4711\"",
            "[2001:db8::7]:4711",
        ),
        ("X-Real-IP", "192.0.2.7", "192.0.2.7"),
    ] {
        let arguments = ["--trusted-proxy", "127.0.0.1", "--forwarded-header", header];
        let daemon = Daemon::before(&peer, "binary", &arguments);
        let mut stream = open(daemon.port());
        upgrade(&mut stream, &with_field(header, value));
        Client::over(stream).close_now();
        daemon.wait_for_log(&format!("{client} -> tcp://"));
    }
}

/// The field of a request counts if it comes from a proxy that the PROXY header named.
#[test]
fn after_a_proxy_header_the_field_counts_if_the_address_that_it_named_is_trusted() {
    let peer = Peer::echo();
    let (daemon, port) = proxied(&peer, &["--trusted-proxy", "10.0.0.0/8"]);
    for (source, expected) in
        [("10.0.0.5", "192.0.2.7 -> "), ("203.0.113.5", "203.0.113.5:4711 -> ")]
    {
        let mut stream = open(port);
        stream.write_all(&line(source)).unwrap();
        upgrade(&mut stream, &with_field("X-Forwarded-For", "192.0.2.7"));
        Client::over(stream).close_now();
        daemon.wait_for_log(expected);
    }
}

#[test]
fn caps_and_rates_are_those_of_the_address_in_the_field() {
    let peer = Peer::echo();
    let arguments = ["--trusted-proxy", "127.0.0.1", "--max-per-address", "1", "--rate", "2/1000"];
    let daemon = Daemon::before(&peer, "binary", &arguments);
    let ask = |value: &str| -> TcpStream {
        let mut stream = open(daemon.port());
        stream.write_all(&with_field("X-Forwarded-For", value)).unwrap();
        stream
    };
    let mut held = Vec::new();
    for last in 1..=4 {
        let mut stream = ask(&format!("192.0.2.{last}"));
        common::read_upgrade(&mut stream);
        held.push(stream);
    }
    assert_eq!(answer(&mut ask("192.0.2.1"), b"").status, 503);
    let refused = answer(&mut ask("192.0.2.1"), b"");
    assert_eq!((refused.status, refused.values("retry-after").len()), (429, 1));
}

/// Connections of which it is not known yet whose they are make room, as heads that are not complete
/// do.
#[test]
fn headers_that_do_not_come_do_not_hold_the_door() {
    let peer = Peer::echo();
    let (daemon, port) = proxied(&peer, &["--max-connections", "2"]);
    let mut slow = [open(port), open(port)];
    std::thread::sleep(Duration::from_millis(1100));
    let start = Instant::now();
    let _both = [connect(port, &line("192.0.2.1")), connect(port, &line("192.0.2.2"))];
    for stream in &mut slow {
        let (bytes, end) = read_to_end(stream);
        assert!(bytes.is_empty() && end == End::Fin, "{bytes:?}");
    }
    assert!(start.elapsed() < PATIENCE);
    daemon.wait_for_log("hung up on: too many clients, and its handshake was the oldest");
}

/// What a peer is sent before a client's `hello`, by the default.
#[track_caller]
fn introduced(arguments: &[&str], header: &[u8], request: &[u8]) -> Vec<u8> {
    let (peer, received) = Peer::sink();
    let (_daemon, port) = proxied(&peer, arguments);
    let mut stream = open(port);
    stream.write_all(header).unwrap();
    stream.write_all(request).unwrap();
    stream.write_all(&common::frame(0x82, b"hello")).unwrap();
    common::read_upgrade(&mut stream);
    Client::over(stream).close_now();
    let head = received.recv_timeout(PATIENCE).unwrap().head;
    head.strip_suffix(b"hello").unwrap().to_vec()
}

#[test]
fn peers_are_told_who_the_client_is_by_a_line() {
    for header in [line("192.0.2.7"), b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n".to_vec()] {
        let told = introduced(&["--send-proxy", "v1"], &header, BASE.as_bytes());
        assert_eq!(String::from_utf8_lossy(&told), String::from_utf8_lossy(&header));
        assert!(ppp::v1::Header::try_from(&told[..]).is_ok());
    }
}

#[test]
fn peers_are_told_who_the_client_is_and_what_it_asked_for() {
    let request = BASE.replace("Host: h", "Host: desk.example.org:8443");
    let told = introduced(&["--send-proxy", "v2"], &line("192.0.2.7"), request.as_bytes());
    let read = ppp::v2::Header::try_from(&told[..]).unwrap();
    let expected = ppp::v2::IPv4::new([192, 0, 2, 7], [198, 51, 100, 1], 4711, 443);
    assert_eq!(read.addresses, ppp::v2::Addresses::IPv4(expected));
    let tlvs: Vec<_> = read.tlvs().map(Result::unwrap).collect();
    let authority = ppp::v2::TypeLengthValue::new(ppp::v2::Type::Authority, b"desk.example.org");
    assert_eq!(tlvs, [authority]);
    assert_eq!(read.len(), told.len());
}

/// The client's address is in a field, and where it found the proxy nobody said: ours is told.
#[test]
fn peers_are_told_of_the_client_that_a_field_names() {
    let (peer, received) = Peer::sink();
    let arguments = ["--trusted-proxy", "127.0.0.1", "--send-proxy", "v1"];
    let daemon = Daemon::before(&peer, "binary", &arguments);
    for (value, expected) in [
        ("192.0.2.7", "PROXY TCP4 192.0.2.7 127.0.0.1 0 "),
        ("[2001:db8::7]:9", "PROXY TCP6 2001:db8::7 ::ffff:7f00:1 9 "),
    ] {
        let request = with_field("X-Forwarded-For", value);
        Client::connect_with(daemon.port(), &request).close_now();
        let head = received.recv_timeout(PATIENCE).unwrap().head;
        assert_eq!(String::from_utf8_lossy(&head), format!("{expected}{}\r\n", daemon.port()));
    }
}

/// A proxy keeps its connection, and sends other clients' requests over it: each is judged by itself.
#[test]
fn each_request_of_a_kept_connection_has_a_client_of_its_own() {
    let peer = Peer::echo();
    let arguments =
        ["--health", "/healthz", "--trusted-proxy", "127.0.0.1", "--allow", "192.0.2.0/24"];
    let daemon = Daemon::before(&peer, "binary", &arguments);
    let mut stream = open(daemon.port());
    let mut status = |address: &str| {
        let request =
            format!("GET /healthz HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\nOK\n") && !bytes.starts_with(b"HTTP/1.1 403 ") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        String::from_utf8_lossy(&bytes[9..12]).into_owned()
    };
    assert_eq!(status("192.0.2.7"), "200");
    assert_eq!(status("192.0.2.8"), "200");
    assert_eq!(status("198.51.100.7"), "403");
    drop(stream);
    daemon.wait_for_log("198.51.100.7: refused with 403: the address is denied");
}

/// Who is refused once it is known holds no place while it is told so, or takes its time to leave.
/// What cannot be read is nobody's but the proxy's.
#[test]
fn a_malformed_request_is_not_of_the_client_before() {
    let daemon = Daemon::start(&["--health", "/healthz", "--trusted-proxy", "127.0.0.1"]);
    for behind in [&b"\x01"[..], b"GET /healthz HTTP/1.1\r\nHost\r\n\r\n"] {
        let mut stream = open(daemon.port());
        let own = stream.local_addr().unwrap();
        let first = b"GET /healthz HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
        stream.write_all(&[&first[..], behind].concat()).unwrap();
        read_to_end(&mut stream);
        daemon.wait_for_log(&format!("{own}: refused with 400: bad request: "));
    }
    assert!(!daemon.log().iter().any(|line| line.contains("192.0.2.7")));
}

#[test]
fn refused_clients_of_a_proxy_hold_no_places() {
    let peer = Peer::echo();
    let (_daemon, port) = proxied(&peer, &["--max-per-address", "1", "--max-connections", "3"]);
    let _first = connect(port, &line("192.0.2.1"));
    let refused: Vec<_> = (0..5)
        .map(|_| {
            let mut stream = open(port);
            stream.write_all(&[&line("192.0.2.1"), BASE.as_bytes()].concat()).unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            assert_eq!(&status, b"HTTP/1.1 503");
            stream
        })
        .collect();
    let _others = [connect(port, &line("192.0.2.2")), connect(port, &line("192.0.2.3"))];
    drop(refused);
}

/// What a proxy on a Unix socket does not say of its client, the permissions of the socket do not.
#[test]
fn a_proxy_on_a_unix_socket_has_to_say_who_its_client_is() {
    let peer = Peer::echo();
    let path = std::env::temp_dir().join(format!("websocksy-proxied-{}.sock", std::process::id()));
    let place = format!("unix:{}", path.display());
    let arguments = ["-l", &place, "--trusted-proxy", "unix", "--allow", "192.0.2.0/24"];
    let daemon = Daemon::before(&peer, "binary", &arguments);
    for (value, status) in
        [("192.0.2.7", "101"), ("198.51.100.7", "403"), ("unknown", "403"), ("", "403")]
    {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&with_field("X-Forwarded-For", value)).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(String::from_utf8_lossy(&head[9..]), status, "{value}");
    }
    let line = daemon.wait_for_log("192.0.2.7 -> tcp://");
    assert!(line.ends_with(": started proxy=unix"), "{line}");
}
