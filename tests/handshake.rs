//! The opening handshake on the real binary (RFC 6455 §4, RFC 9112): what is let in, what is
//! refused and how, however the bytes of the head are cut. Row labels are the ids of the case
//! catalogue in `docs/testing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use base64::Engine;
use common::{
    Answer, BASE, Blackhole, Client, Daemon, Digest, End, PATIENCE, Peer, answer, eventually,
    frame, noise, open, upgrade, within,
};
use nix::time::{ClockId, clock_gettime};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use websocksy::proto::handshake;
use websocksy::proto::http::HeadParser;

/// The longest line of a head, its CRLF included.
const LINE_LIMIT: usize = 16_384;
/// Behind every refused head once: nothing of it may be looked at, none of it may turn FIN to RST.
const PIPELINED: usize = 64 * 1024;

/// A case's id and the bytes of its request.
type Row = (String, Vec<u8>);

/// [`BASE`] with its only `from` replaced.
fn edit(from: &str, to: impl AsRef<[u8]>) -> Vec<u8> {
    assert_eq!(BASE.matches(from).count(), 1, "{from:?}");
    let (before, after) = BASE.split_once(from).unwrap();
    [before.as_bytes(), to.as_ref(), after.as_bytes()].concat()
}

/// [`BASE`] with `fields` behind its own.
fn with(fields: impl AsRef<[u8]>) -> Vec<u8> {
    [BASE.strip_suffix("\r\n").unwrap().as_bytes(), fields.as_ref(), b"\r\n"].concat()
}

/// [`BASE`] with other request line bytes.
fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    edit("GET / HTTP/1.1", line)
}

/// [`BASE`] with another value in the field `name`.
fn value(name: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    let old = BASE.split("\r\n").find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    edit(old, [name.as_bytes(), b": ", value.as_ref()].concat())
}

/// [`BASE`] without the field `name`.
fn without(name: &str) -> Vec<u8> {
    let old = BASE.split("\r\n").find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    edit(&format!("{old}\r\n"), "")
}

/// `count` rows of one `case`.
fn each<T>(
    case: &str,
    values: impl IntoIterator<Item = T>,
    request: impl Fn(T) -> Vec<u8>,
) -> Vec<Row> {
    let numbered = values.into_iter().enumerate();
    numbered.map(|(index, value)| (format!("{case}[{index}]"), request(value))).collect()
}

fn one(case: &str, request: impl AsRef<[u8]>) -> Vec<Row> {
    vec![(case.to_owned(), request.as_ref().to_vec())]
}

/// What must be answered 400: not HTTP/1.1 as RFC 9112 writes it.
fn malformed_lines() -> Vec<Row> {
    let versions = ["1.32", "01.1", "1.", "1.1x", "+1.1", "257.1"];
    let targets: [&[u8]; 4] = [b"/\x00", b"/\x01", b"/\x1f", b"/\x7f"];
    [
        one("H04", line("G=\":<>(e),[T];?\" / HTTP/1.1")),
        one("H05", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[0; 64]].concat()),
        one("H07", [0; 16]),
        one("H08", "GET /\r\n"),
        one("H09", line("GET / HTTP/1.0")),
        each("H11", versions, |version| line(format!("GET / HTTP/{version}"))),
        one("H11 case", line("GET / http/1.1")),
        one("H12", line("GET  / HTTP/1.1")),
        one("H13", line("GET\t/\tHTTP/1.1")),
        one("H14", line("GET / HTTP/1.1 ")),
        one("H15", line("GET /\nHTTP/1.1")),
        one("H16", line("Extra lineGET / HTTP/1.1")),
        one("H17 three", [b"\r\n\r\n\r\n", BASE.as_bytes()].concat()),
        one("H18", line("GET  HTTP/1.1")),
        each("H19", targets, |target| line([b"GET ", target, b" HTTP/1.1"].concat())),
        one("H21", line("GET * HTTP/1.1")),
        one("H63", [b"X\r\nfoo\r\n", BASE.as_bytes()].concat()),
        one("H68", [b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", BASE.as_bytes()].concat()),
        one("H68 UNKNOWN", [b"PROXY UNKNOWN\r\n", BASE.as_bytes()].concat()),
        one("H68 v2", [b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", BASE.as_bytes()].concat()),
    ]
    .concat()
}

/// What must be answered 400: fields that RFC 9112 §5 does not allow.
fn malformed_fields() -> Vec<Row> {
    let bad_name_bytes = b"\"(),/;<=>?@[\\]{} \t\x80\xa0\x00\x7f";
    let name = |byte: u8| with([b"X", &[byte][..], b"Y: v\r\n"].concat());
    [
        one("H24", BASE.replace("\r\n", "\n")),
        one("H25", edit("Host: h\r\n", "Host: h\n")),
        each("H26", ["X: a\rb\r\n", "X\rY: a\r\n", "X:\r a\r\n"], with),
        one("H26 line", line("GET /\r HTTP/1.1")),
        one("H27", [&BASE.as_bytes()[..BASE.len() - 2], b"\rX"].concat()),
        each("H28", ["X: a\0b\r\n", "X\0Y: a\r\n", "X: a\0\r\n"], with),
        one("H29", with("X: a\x07b\r\n")),
        one("H30", edit("Host: h", " Host: h")),
        one("H31", edit("Host: h", "badline\r\nHost: h")),
        each("H32", ["X: a\r\n b\r\n", "X: a\r\n\tb\r\n"], with),
        each("H33", ["Upgrade : websocket", "Upgrade\t: websocket"], |field| {
            edit("Upgrade: websocket", field)
        }),
        one("H34", with(": v\r\n")),
        each("H35", bad_name_bytes.iter().copied(), name),
        one("H38 absent", without("Host")),
        each("H38 twice", ["Host: h\r\n", "Host: i\r\n"], with),
        each("H38 value", ["a b", "a,b"], |host| value("Host", host)),
        one("H75", value("Host", "h:99999")),
        each("H52 length", ["5", "+0", "-1", "0x0", "", "0,1"], |length| {
            [with(format!("Content-Length: {length}\r\n")), b"12345".to_vec()].concat()
        }),
        one("H52 lengths", with("Content-Length: 0\r\nContent-Length: 1\r\n")),
        each("H52 coding", ["chunked", "identity", ",chunked"], |coding| {
            with(format!("Transfer-Encoding: {coding}\r\n"))
        }),
    ]
    .concat()
}

/// What must be answered 400: HTTP, but not RFC 6455 §4.2.1.
fn malformed_handshakes() -> Vec<Row> {
    let long = "A".repeat(8192);
    let keys = [
        "",
        "x",
        "dGhlIHNhbXBsZSBub25jZQ",
        "AAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA=",
        "dGhlIHNhbXBsZSBub2*jZQ==",
        "-_hlIHNhbXBsZSBub25jZQ==",
        &long,
    ];
    let second_keys = ["dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAA=="];
    let versions = ["13abc", "+13", "0013", "13.0", "4294967309", "-4294967283", "13, 8"];
    [
        one("H47 absent", without("Connection")),
        each("H47", ["keep-alive", "no-upgrade", "upgraded", "Upgrade;x"], |connection| {
            value("Connection", connection)
        }),
        one("H48 absent", without("Sec-WebSocket-Key")),
        each("H48", keys, |key| value("Sec-WebSocket-Key", key)),
        each("H48 twice", second_keys, |key| with(format!("Sec-WebSocket-Key: {key}\r\n"))),
        each("H50", versions, |version| value("Sec-WebSocket-Version", version)),
        one("H50 twice", with("Sec-WebSocket-Version: 13\r\n")),
        each("H55", ["a b", "a\x01", "a/b"], |name| {
            with(format!("Sec-WebSocket-Protocol: {name}\r\n"))
        }),
    ]
    .concat()
}

/// What is more than the limits allow: 431 (RFC 6585 §5).
fn too_large() -> Vec<Row> {
    let too_long = "a".repeat(LINE_LIMIT + 1);
    let big = format!("X: {}\r\n", "a".repeat(16_000));
    [
        one("H22", line(format!("GET /{too_long} HTTP/1.1"))),
        one("H39", with("X: a\r\n".repeat(96))),
        one("H40", with(format!("X: {too_long}\r\n"))),
        one("H41", with(big.repeat(5))),
        one("H42", vec![b'a'; 64 * 1024]),
        one("H42 field", with(vec![b'a'; 64 * 1024])),
        one("H73", with("a:\r\n".repeat(10_000))),
    ]
    .concat()
}

/// Every refusal but those that need a peer or time: status and rows.
fn refusals() -> Vec<(u16, Vec<Row>)> {
    let methods = ["POST /", "PUT /", "HEAD /", "OPTIONS *", "TRACE /", "DELETE /"];
    let versions = ["2.0", "0.9", "3.0"];
    let upgrades = ["h2c", "websocketx", "websocket/13"];
    let webs = ["0", "7", "8", "12", "14", "255"];
    vec![
        (400, malformed_lines()),
        (400, malformed_fields()),
        (400, malformed_handshakes()),
        (405, each("H01", methods, |method| line(format!("{method} HTTP/1.1")))),
        (405, one("H02", line("get / HTTP/1.1"))),
        (405, one("H03", line("CONNECT h:443 HTTP/1.1"))),
        (426, one("H43 plain", "GET / HTTP/1.1\r\nHost: h\r\n\r\n")),
        (426, each("H43", upgrades, |upgrade| value("Upgrade", upgrade))),
        (426, one("H50 absent", without("Sec-WebSocket-Version"))),
        (426, each("H50", webs, |version| value("Sec-WebSocket-Version", version))),
        (431, too_large()),
        (505, one("H06", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        (505, each("H10", versions, |version| line(format!("GET / HTTP/{version}")))),
    ]
}

/// The refusals of [`refusals`] one by one.
fn refused_rows() -> Vec<(u16, String, Vec<u8>)> {
    let rows = refusals().into_iter();
    rows.flat_map(|(status, rows)| rows.into_iter().map(move |(id, head)| (status, id, head)))
        .collect()
}

/// What must be let in.
fn accepted() -> Vec<Row> {
    let target = "a".repeat(LINE_LIMIT - "GET / HTTP/1.1\r\n".len());
    let field = "a".repeat(LINE_LIMIT - "X: \r\n".len());
    let big = format!("X: {}\r\n", "a".repeat(12_000));
    let upper = BASE.to_uppercase().replace("DGHLIHNHBXBSZSBUB25JZQ==", "dGhlIHNhbXBsZSBub25jZQ==");
    let lower = edit("Host", "host");
    let lower = String::from_utf8(lower).unwrap();
    let lower = ["Upgrade:", "Connection:", "Sec-WebSocket-Key:", "Sec-WebSocket-Version:"]
        .iter()
        .fold(lower, |head, name| head.replace(name, &name.to_lowercase()));
    [
        one("H10", line("GET / HTTP/1.2")),
        one("H17", [b"\r\n", BASE.as_bytes()].concat()),
        one("H20", line("GET http://h/chat HTTP/1.1")),
        one("H22", line(format!("GET /{target} HTTP/1.1"))),
        one("H36", with(b"X:\xa0v\x85\r\n")),
        each("H37", ["X:\r\n", "X:\t v \t\r\n"], with),
        one("H39", with("X: a\r\n".repeat(95))),
        one("H40", with(format!("X: {field}\r\n"))),
        one("H41", with(big.repeat(4))),
        each("H44", ["WebSocket", "websocket ", "foo, websocket"], |name| value("Upgrade", name)),
        one("H44 two lines", with("Upgrade: foo\r\n")),
        each("H45", [lower, upper], String::into_bytes),
        one("H46", with("X: browser\r\n".repeat(40) + "Cookie: a=b\r\n")),
        each("H47", ["keep-alive, Upgrade", "upgrade"], |list| value("Connection", list)),
        one("H47 two lines", with("Connection: keep-alive\r\n")),
        one("H48", value("Sec-WebSocket-Key", " dGhlIHNhbXBsZSBub25jZQ== ")),
        one("H50", value("Sec-WebSocket-Version", " 13 ")),
        one("H52", with("Content-Length: 0\r\n")),
        one("H53", with("Expect: 100-continue\r\n")),
        one(
            "H56",
            with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
        ),
        one("H69", with("Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Accept: x\r\n")),
        one("H71", with([&b"X: "[..], &[0xff; 8100], b"\r\n"].concat())),
        one("H74", value("Connection", "close, Upgrade")),
        one("H75", value("Host", "[::1]:80")),
    ]
    .concat()
}

/// Sends `head` and reads the refusal it must get.
fn refused(port: u16, head: &[u8], behind: &[u8]) -> Answer {
    let mut stream = open(port);
    let _ = stream.write_all(&[head, behind].concat());
    if !behind.is_empty() {
        // An RST for unread bytes needs a moment to overtake the answer.
        std::thread::sleep(Duration::from_millis(3));
    }
    answer(&mut stream, head)
}

#[test]
fn refusals_are_complete_and_final() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let behind = [BASE.as_bytes(), &noise(PIPELINED, 1)].concat();
    for (status, id, head) in refused_rows() {
        for behind in [&[][..], BASE.as_bytes(), &behind] {
            println!("{id} with {} bytes behind", behind.len());
            let answer = refused(daemon.port(), &head, behind);
            assert_eq!(answer.status, status, "{id}: {:?}", String::from_utf8_lossy(&head));
            assert_named_fields(&answer, &id);
        }
    }
    assert_eq!(peer.dials(), 0, "no refused client costs the peer a connection");
}

/// What RFC 9110 §15.5.6, §15.5.22 and RFC 6455 §4.2.2 (4) want in these answers.
fn assert_named_fields(answer: &Answer, id: &str) {
    match answer.status {
        405 => assert_eq!(answer.values("allow"), ["GET"], "{id}"),
        426 => {
            assert_eq!(answer.values("upgrade"), ["websocket"], "{id}");
            assert_eq!(answer.values("sec-websocket-version"), ["13"], "{id}");
            let connection = answer.values("connection").join(",").to_lowercase();
            assert!(connection.contains("upgrade"), "{id}: {connection}");
        }
        _ => {}
    }
}

#[test]
fn good_handshakes_are_let_in() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    for (id, head) in accepted() {
        println!("{id}");
        let answer = upgrade(&mut open(daemon.port()), &head);
        common::assert_base_accept(&answer);
        assert!(answer.values("sec-websocket-protocol").is_empty(), "{id}");
    }
}

/// H49: the accept key against another SHA-1 and Base64.
#[test]
fn accept_keys_are_right() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let base64 = base64::engine::general_purpose::STANDARD;
    for seed in 0..200 {
        let key = base64.encode(noise(16, seed));
        let answer = upgrade(&mut open(daemon.port()), &value("Sec-WebSocket-Key", &key));
        let hash = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        let accept = base64.encode(hash.digest().bytes());
        assert_eq!(answer.values("sec-websocket-accept"), [accept]);
    }
}

/// H55: what the client may have of what it offered.
#[test]
fn subprotocols_are_chosen_from_the_offer() {
    let peer = Peer::echo();
    let rows: [(&str, &[&str], &[&str]); 8] = [
        ("b", &["a, b"], &["b"]),
        ("b", &["a", "b"], &["b"]),
        ("b", &["a,,b"], &["b"]),
        ("b", &["a, B"], &["B"]),
        ("none", &["x, y"], &[]),
        ("b", &["a"], &[]),
        ("*", &["x, y"], &["x"]),
        ("*", &[], &[]),
    ];
    for (chosen, offered, expected) in rows {
        let protocol = format!("protocol={chosen}");
        let daemon = Daemon::before(&peer, "binary", &["-c", &protocol]);
        let line = |offer: &&str| format!("Sec-WebSocket-Protocol: {offer}\r\n");
        let fields = offered.iter().map(line).collect::<String>();
        let answer = upgrade(&mut open(daemon.port()), &with(fields));
        assert_eq!(answer.values("sec-websocket-protocol"), expected, "{chosen} of {offered:?}");
    }
}

/// F7: a browser that offers some and gets none closes, so without a word of the operator's one is
/// agreed on.
#[test]
fn f07_one_of_the_subprotocols_is_agreed_on() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let rows: [(&str, &[&str]); 7] = [
        ("binary", &["binary"]),
        ("base64, binary", &["binary"]),      // noVNC 1.0
        ("base64", &[]),                      // nobody speaks that here
        ("mqttv3.1", &["mqttv3.1"]),          // MQTT.js
        ("base64,Binary, mqtt", &["Binary"]), // in the client's spelling
        ("text.ircv3.net, binary.ircv3.net", &["text.ircv3.net"]),
        ("", &[]),
    ];
    for (offered, expected) in rows {
        let field = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        let head = if offered.is_empty() { BASE.into() } else { with(field) };
        let answer = upgrade(&mut open(daemon.port()), &head);
        assert_eq!(answer.values("sec-websocket-protocol"), expected, "{offered}");
    }
}

/// F6: patterns as operators write them, and what browsers and applications send.
#[test]
fn f06_patterns_of_origins() {
    let peer = Peer::echo();
    let patterns = [
        "https://desk.example.org:443",
        "https://*.example.net",
        "http://localhost:*",
        "chrome-extension://*",
        "file://",
    ];
    let options: Vec<&str> = patterns.iter().flat_map(|origin| ["--origin", origin]).collect();
    let daemon = Daemon::before(&peer, "binary", &options);
    for origin in [
        "https://desk.example.org",
        "https://a.b.example.net",
        "http://localhost",
        "http://localhost:8080",
        "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
        "file://",
    ] {
        upgrade(&mut open(daemon.port()), &with(format!("Origin: {origin}\r\n")));
    }
    for origin in [
        "http://desk.example.org",
        "https://desk.example.org:8443",
        "https://example.net",
        "https://evilexample.net",
        "https://a.example.net.evil.org",
        "https://localhost",
        "null",
    ] {
        let head = with(format!("Origin: {origin}\r\n"));
        assert_eq!(refused(daemon.port(), &head, b"").status, 403, "{origin}");
    }
}

/// H54: only the origins that were named.
#[test]
fn other_origins_are_refused() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--origin", "https://good.tld"]);
    upgrade(&mut open(daemon.port()), &with("Origin: https://good.tld\r\n"));
    let others = [
        "null",
        "http://good.tld",
        "https://good.tld.evil",
        "https://evil.good.tld",
        "https://good.tld:444",
        "https://127.0.0.1",
    ];
    for origin in others {
        let head = with(format!("Origin: {origin}\r\n"));
        assert_eq!(refused(daemon.port(), &head, b"").status, 403, "{origin}");
    }
    let twice = with("Origin: https://good.tld\r\n".repeat(2));
    assert_eq!(refused(daemon.port(), &twice, b"").status, 400);
    eventually("the dial of the one that was let in", || peer.dials() > 0);
    assert_eq!(peer.dials(), 1);
}

/// Sends `head` in the given parts, each in a segment of its own.
fn send_parts(stream: &mut TcpStream, parts: &[&[u8]]) {
    for part in parts {
        if stream.write_all(part).is_err() {
            return; // refused before the end: the answer is there to be read
        }
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// H57: a head is a head however it is cut.
#[test]
fn good_heads_may_come_in_any_pieces() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let bytes = BASE.as_bytes();
    let whole = upgrade(&mut open(daemon.port()), bytes);
    let halves = (1..bytes.len()).map(|cut| vec![&bytes[..cut], &bytes[cut..]]);
    for parts in halves.chain([bytes.chunks(1).collect()]) {
        let mut stream = open(daemon.port());
        send_parts(&mut stream, &parts);
        assert_eq!(upgrade(&mut stream, b""), whole, "cut at {}", parts[0].len());
    }
}

/// H57, with heads that are refused at various places.
#[test]
fn bad_heads_may_come_in_any_pieces() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let heads = [
        (400, edit("GET /", "GET  /")),
        (400, edit("Host: h\r\n", "Host: h\n")),
        (400, with("X: a\r\n b\r\n")),
        (405, line("POST / HTTP/1.1")),
        (426, value("Sec-WebSocket-Version", "8")),
        (505, line("GET / HTTP/2.0")),
    ];
    for (status, head) in heads {
        let step = |cut: &usize| cut.is_multiple_of(7) || head.len() - cut < 8;
        let halves = (1..head.len()).filter(step).map(|cut| vec![&head[..cut], &head[cut..]]);
        for parts in halves.chain([head.chunks(1).collect()]) {
            let mut stream = open(daemon.port());
            send_parts(&mut stream, &parts);
            assert_eq!(answer(&mut stream, &head).status, status, "cut at {}", parts[0].len());
        }
    }
    assert_eq!(peer.dials(), 0);
}

/// H57, H73, E13, E14: a head costs what it weighs, whatever is in it and however it comes: one of
/// four times the length as much as four.
#[test]
fn heads_cost_what_they_weigh() {
    let line = |name: &str, value: &str| format!("{name}: {value}\r\n");
    let protocols = |separator: &str| {
        let list = format!("a{separator}").repeat(16_000 / (separator.len() + 1));
        line("Sec-WebSocket-Protocol", &list)
    };
    let fields: [(&str, String); 6] = [
        ("many short fields", line("a", "").repeat(90)),
        ("spaces", line("X", &format!("a{}b", " ".repeat(16_000)))),
        ("commas", line("Sec-WebSocket-Protocol", &",".repeat(16_000))),
        ("equal subprotocols", protocols(",")),
        ("subprotocols far apart", protocols(&format!(",{}", " ".repeat(100)))),
        ("extensions", line("Sec-WebSocket-Extensions", &"x;=\"".repeat(4_000))),
    ];
    for (name, lines) in fields {
        let (short, long) = (with(&lines), with(lines.repeat(4)));
        // By turns, since a machine that is busy for a moment is so for both.
        let time = |_| [time_to_judge(&[&short[..]; 4]), time_to_judge(&[&long[..]])];
        let rounds: Vec<_> = (0..7).map(time).collect();
        // Four times as long would be quadratic.
        let linear =
            rounds.iter().any(|[four, one]| *one < *four * 3 / 2 + Duration::from_millis(1));
        let quick = rounds.iter().any(|[_, one]| *one < Duration::from_millis(200));
        assert!(linear && quick, "{name}: {rounds:?}");
    }
}

/// The processor time that it takes to parse heads byte by byte and to judge them.
fn time_to_judge(heads: &[&[u8]]) -> Duration {
    let spent = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let before = spent();
    for head in heads {
        let mut parser = HeadParser::new();
        let ended = head.chunks(1).any(|byte| !matches!(parser.push(byte), Ok(None)));
        assert!(ended, "the head is incomplete");
        if parser.push(b"").is_ok() {
            let _ = handshake::judge(parser.finish(), &[]);
        }
    }
    spent() - before
}

/// H58: frames in the segment of the head belong to the session, all of them.
#[test]
fn early_frames_reach_the_peer() {
    let (peer, received) = Peer::sink();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let hello = frame(0x82, b"hello");
    let (start, rest) = hello.split_at(5);
    let rows: [(&[u8], &[u8], &[u8]); 4] = [
        (&hello, b"", b"hello"),
        (start, rest, b"hello"),
        (&frame(0x82, b"\r\n\r\nGET"), b"", b"\r\n\r\nGET"),
        (&[frame(0x81, b"a"), frame(0x82, b"b")].concat(), b"", b"ab"),
    ];
    for (early, late, expected) in rows {
        let request = [BASE.as_bytes(), early].concat();
        let mut client = Client::connect_with(daemon.port(), &request);
        client.send(late);
        client.close(1000);
        assert_eq!(client.end(), Some(1000));
        let received = received.recv_timeout(PATIENCE).unwrap();
        assert_eq!((&received.head[..], received.end), (expected, End::Fin));
    }
}

/// H58: they wait, within bounds, until the peer is there. H64: nothing but HTTP until then.
#[test]
fn early_frames_wait_for_the_peer() {
    let hole = Blackhole::new();
    let host = format!("host=tcp://127.0.0.1:{}", hole.port());
    let daemon = Daemon::start(&["-c", &host, "-c", "framing=binary", "-k", "1"]);
    let payload = noise(1 << 20, 2);
    let mut stream = open(daemon.port());
    let mut writer = stream.try_clone().unwrap();
    let request = [BASE.as_bytes(), &frame(0x82, &payload)].concat();
    let sender = std::thread::spawn(move || writer.write_all(&request).unwrap());
    stream.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    let waited = stream.peek(&mut [0]);
    assert!(waited.is_err(), "{waited:?} before the peer is there");
    let peer = std::thread::spawn(move || common::Received::from(hole.relent()));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    upgrade(&mut stream, b"");
    sender.join().unwrap();
    let mut client = Client::over(stream);
    client.close(1000);
    assert_eq!(client.end(), Some(1000));
    assert_eq!(peer.join().unwrap().digest, Digest::of(&payload));
}

/// H59: a client that goes away at any moment of its handshake takes its session with it.
#[test]
fn clients_may_leave_during_the_handshake() {
    let hole = Blackhole::new();
    let host = format!("host=tcp://127.0.0.1:{}", hole.port());
    let daemon = Daemon::start(&["-c", &host, "--connect-timeout", "60"]);
    let cuts = [0, 1, 14, BASE.len() / 2, BASE.len() - 1, BASE.len()];
    for cut in cuts {
        for reset in [false, true] {
            let mut stream = open(daemon.port());
            stream.write_all(&BASE.as_bytes()[..cut]).unwrap();
            within(Duration::from_millis(20), || daemon.fds() > daemon.baseline() + 1);
            if reset {
                common::reset(stream);
            } else {
                drop(stream);
            }
            let gone = within(Duration::from_secs(2), || daemon.fds() <= daemon.baseline());
            assert!(gone, "after {cut} bytes, reset {reset}: {} descriptors", daemon.fds());
        }
    }
}

/// H61: the deadline is for the whole head, and silence is no way around it.
#[test]
fn slow_heads_time_out() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--handshake-timeout", "1"]);
    let start = Instant::now();
    let mut silent = open(daemon.port());
    let mut slow = open(daemon.port());
    for byte in BASE.bytes().take(20) {
        if slow.write_all(&[byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(60));
    }
    assert_eq!(answer(&mut slow, b"").status, 408);
    assert_eq!(answer(&mut silent, b"").status, 408);
    let took = start.elapsed();
    assert!((1000..2500).contains(&took.as_millis()), "{took:?}");
    assert_eq!(peer.dials(), 0);
}

/// H65: a second head behind the first is frame bytes, and bad ones: `G` sets RSV1.
#[test]
fn a_second_head_is_no_second_request() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let twice = [BASE, BASE].concat();
    let mut client = Client::connect_with(daemon.port(), twice.as_bytes());
    assert_eq!(client.end(), Some(1002));
}

/// H66, E06, E07: full is 503, before any work, and only as long as it is full: clients that were
/// turned away and stay on the line take nobody's place.
#[test]
fn clients_over_the_limit_are_told() {
    let peer = Peer::echo();
    for (round, limit) in ["--max-connections", "--max-per-address"].iter().enumerate() {
        let daemon = Daemon::before(&peer, "binary", &[limit, "2", "--close-timeout", "30"]);
        let clients = [Client::connect(daemon.port()), Client::connect(daemon.port())];
        let full = daemon.fds();
        let mut away: Vec<TcpStream> = (0..5).map(|_| open(daemon.port())).collect();
        for stream in &mut away {
            stream.write_all(BASE.as_bytes()).unwrap();
            assert_eq!(answer(stream, b"").status, 503, "{limit}");
        }
        drop(clients);
        eventually("the clients are gone", || daemon.fds() <= full + away.len() - 4);
        drop(Client::connect(daemon.port()));
        eventually("no more dials", || peer.dials() == 3 * (round + 1));
    }
}

/// H62: a refused client that neither reads nor leaves is hung up on.
#[test]
fn refused_clients_may_not_stay() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--close-timeout", "0.5"]);
    let mut streams = [open(daemon.port()), open(daemon.port())];
    for stream in &mut streams {
        stream.write_all(&line("POST / HTTP/1.1")).unwrap();
    }
    let [mut talking, _silent] = streams;
    let start = Instant::now();
    while talking.write_all(&[b'x'; 1000]).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
        assert!(start.elapsed() < Duration::from_secs(4), "it may still talk");
    }
    daemon.settle();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}
/// H62: what a refused client sends on is read for the sake of its answer, not for ever.
#[test]
fn a_refused_client_is_not_read_for_long() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--close-timeout", "1"]);
    let mut stream = open(daemon.port());
    stream.write_all(&line("POST / HTTP/1.1")).unwrap();
    let mut written = 0_usize;
    while let Ok(taken) = stream.write(&[b'x'; 65_536]) {
        written += taken;
    }
    assert!(written < 32 << 20, "{written} bytes read of a refused client");
}
