//! The back end `file`, and what the bundled framings do besides cutting (which
//! `tests/framing_oracles.rs` holds against oracles).

use super::{Fields, Innocent, address, connect, refused, request, text};
use crate::common::plugins::{bundled, scratch};
use crate::common::{Client, Daemon, PATIENCE, Peer, open, upgrade};
use std::fs;
use std::io::{self, Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A peer that says its name to everyone and then echoes.
fn named(name: &'static str) -> Peer {
    Peer::serve(move |mut stream| {
        let _ = stream.write_all(name.as_bytes());
        let mut copy = stream.try_clone().unwrap();
        let _ = io::copy(&mut stream, &mut copy);
    })
}

/// The back end `file` on a directory of its own.
struct Files(PathBuf);

impl Files {
    fn new(test: &str, files: &[(&str, String)]) -> Self {
        let path = scratch(test);
        fs::create_dir(path.join("base")).unwrap();
        for (name, lines) in files {
            fs::write(path.join("base").join(name), lines).unwrap();
        }
        Self(path)
    }

    fn daemon(&self, expressions: &[&str]) -> Daemon {
        self.daemon_with(expressions, &[])
    }

    fn daemon_with(&self, expressions: &[&str], more: &[&str]) -> Daemon {
        let path = format!("path={}/base", text(&self.0));
        let mut arguments = vec!["--plugins", bundled(), "-b", "file", "-c", &path];
        let expressions: Vec<_> =
            expressions.iter().map(|one| format!("expression={one}")).collect();
        arguments.extend(expressions.iter().flat_map(|one| ["-c", one]));
        Daemon::start(&[&arguments, more].concat())
    }
}

/// Endpoint, cookie and header choose the file, in order, and subprotocols the line.
#[test]
fn file_finds_the_peer() {
    let [a, b, c] = [named("a"), named("b"), named("c")];
    let files = Files::new(
        "finds",
        &[
            ("desk_top", format!("# a comment\r\n\r\n{} mqtt binary\r\n", address(&a))),
            ("ada", format!("{} mqtt auto\n{} chat binary\n", address(&a), address(&b))),
            ("default", format!("{} *\n", address(&c))),
        ],
    );
    let daemon = files.daemon(&["%endpoint%", "%cookie:user%", "%header:x-room%", "default"]);
    let offer = ("Sec-WebSocket-Protocol", "xmpp, chat");
    let cases: [(&str, Fields<'_>, &[u8], &str); 6] = [
        ("/desk/top/?x=1", &[("Sec-WebSocket-Protocol", "mqtt")], b"a", "mqtt"),
        ("/desk/top", &[], b"a", ""),
        ("/desk/top", &[offer], b"c", "xmpp"),
        ("/x", &[("COOKIE", "t=0; user=ada"), offer], b"b", "chat"),
        ("/x", &[("x-ROOM", "desk/top")], b"a", ""),
        ("/", &[], b"c", ""),
    ];
    for (endpoint, fields, name, protocol) in cases {
        let mut stream = open(daemon.port());
        let head = request(endpoint, fields);
        let upgrade = upgrade(&mut stream, head.as_bytes());
        assert_eq!(upgrade.values("sec-websocket-protocol").concat(), protocol, "{head}");
        let mut client = Client::over(stream);
        assert_eq!(client.message().1, name, "{head}");
        assert_eq!(client.close_now(), Some(1000));
    }
}

/// The query and who the client is choose the file, and the peer is told who that is.
#[test]
fn file_knows_who_the_client_is() {
    let (peer, received) = Peer::sink();
    let files = Files::new(
        "who",
        &[
            ("a b", format!("{} send-proxy=no\n", address(&peer))),
            ("192.0.2.7", format!("{} send-proxy=v1\n", address(&peer))),
        ],
    );
    let expressions = ["%query:token%", "%client:address%"];
    let daemon =
        files.daemon_with(&expressions, &["--trusted-proxy", "127.0.0.1", "--send-proxy", "v2"]);
    let cases: [(&str, Fields<'_>, &[u8]); 2] = [
        ("/?token=a+b", &[("X-Forwarded-For", "192.0.2.9")], b""),
        ("/", &[("X-Forwarded-For", "192.0.2.7")], b"PROXY TCP4 192.0.2.7 127.0.0.1 "),
    ];
    for (endpoint, fields, told) in cases {
        let mut client = connect(&daemon, &request(endpoint, fields));
        client.close_now();
        let head = received.recv_timeout(PATIENCE).unwrap().head;
        assert!(head.starts_with(told) && head.is_empty() == told.is_empty(), "{head:?}");
    }
    let other = request("/", &[("X-Forwarded-For", "192.0.2.8")]);
    assert_eq!(refused(&daemon, &other).status, 404);
}

/// F5: what browsers send raw is handed on raw.
#[test]
fn f05_a_target_reaches_the_back_end_as_it_was_sent() {
    let [a, b] = [named("a"), named("b")];
    let entry = |peer| format!("{} * binary\n", address(peer));
    let files = Files::new("raw", &[("DOM\\alice", entry(&a)), ("\u{fc}ber<\"&\">", entry(&b))]);
    let daemon = files.daemon(&["%endpoint%"]);
    for (endpoint, name) in [("/DOM\\alice?u=DOM\\alice", b"a"), ("/\u{fc}ber<\"&\">", b"b")] {
        let mut client = connect(&daemon, &request(endpoint, &[]));
        assert_eq!(client.message().1, name, "{endpoint}");
        assert_eq!(client.close_now(), Some(1000));
    }
}

/// H23, G21, C-07, C-21: whatever clients and files hold, 404 and no harm; the daemon ends in
/// order with a back end in Rust inside (G23).
#[test]
fn file_withstands_its_clients_and_its_files() {
    let echo = Peer::echo();
    let files = Files::new(
        "withstands",
        &[
            ("good", format!("{} * binary\n", address(&echo))),
            ("alone", format!("{}\n", address(&echo))),
            (
                "mess",
                format!(
                    "\n \t\n{0}\n{0} x nosuch\n#\n\0 x\n{1}\n",
                    address(&echo),
                    "y".repeat(1 << 19)
                ),
            ),
            ("large", "\n".repeat((1 << 20) + 1)),
        ],
    );
    fs::write(files.0.join("secret"), format!("{} * binary\n", address(&echo))).unwrap();
    symlink("../secret", files.0.join("base/link")).unwrap();
    assert!(Command::new("mkfifo").arg(files.0.join("base/fifo")).status().unwrap().success());
    fs::create_dir(files.0.join("base/directory")).unwrap();

    let mut daemon = files.daemon(&["%endpoint%"]);
    let mut innocent = Innocent(connect(&daemon, &request("/good", &[])));
    let offer: Fields<'_> = &[("Sec-WebSocket-Protocol", "x")];
    let endpoints = [
        "/",
        "//",
        "/..",
        "/.",
        "/../secret",
        "/../../etc/passwd",
        "/%2e%2e/secret",
        "/good%00",
        "/link",
        "/fifo",
        "/directory",
        "/large",
        "/missing",
        "/mess",
        "/alone",
        "/%endpoint%",
    ];
    for endpoint in endpoints {
        assert_eq!(refused(&daemon, &request(endpoint, offer)).status, 404, "{endpoint}");
        innocent.goes_on();
    }
    // Ten fields and more do not hide the one that counts, and no subprotocol is no crash.
    let many: Vec<_> = (0..60).map(|n| (format!("X-{n}"), "good".to_owned())).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for endpoint in ["/good", "/alone", "/mess"] {
        let mut session = Innocent(connect(&daemon, &request(endpoint, &many)));
        session.goes_on();
    }
    drop(innocent);
    daemon.signal("TERM");
    let status = daemon.exit_within(Duration::from_secs(5));
    assert_eq!(status.unwrap().code(), Some(0), "{:#?}", daemon.log());
}

/// S1: the crate for plug-ins, and so `file`, sees all header fields, though `query` is handed ten.
#[test]
fn s1_file_sees_all_headers() {
    let echo = Peer::echo();
    let files = Files::new("headers", &[("good", format!("{} * binary\n", address(&echo)))]);
    let daemon = files.daemon(&["%header:x-room%"]);
    let many: Vec<_> = (0..60).map(|n| (format!("X-{n}"), "none".to_owned())).collect();
    let mut many: Vec<_> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(refused(&daemon, &request("/", &many)).status, 404);
    many.push(("X-Room", "good"));
    Innocent(connect(&daemon, &request("/", &many))).goes_on();
}

/// How a client leaves a session: the status of the refusal, or the close code.
fn outcome(daemon: &Daemon, head: &str) -> u16 {
    let mut stream = open(daemon.port());
    stream.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert!(status.starts_with(b"HTTP/1.1 "));
    if status.ends_with(b"101") {
        drop(stream);
        return connect(daemon, head).end().unwrap();
    }
    refused(daemon, head).status
}

/// C-06: every framing without its configuration either works or is the end of its session.
#[test]
fn framings_without_a_configuration() {
    let peer = Peer::speaks(b"\0\0\0\0".to_vec());
    let cases = [
        ("auto", 1000),
        ("binary", 1000),
        ("newline", 1000),
        ("separator", 404), // the line is passed over
        ("fixedlength", 404),
        ("dynamic32", 1000),
        ("json", 1000),
    ];
    let lines = cases.map(|(name, _)| (name, format!("{} * {name}\n", address(&peer))));
    let files = Files::new("unconfigured", &lines);
    let daemon = files.daemon(&["%endpoint%"]);
    for (name, expected) in cases {
        assert_eq!(outcome(&daemon, &request(&format!("/{name}"), &[])), expected, "{name}");
    }
}

/// C-09, C-57, B07 to B09: what cannot be framed ends its own session, with 1011; a line of the file that no
/// framing takes is passed over.
#[test]
fn streams_that_cannot_be_framed() {
    let cases: [(&str, &[u8], u16); 9] = [
        ("dynamic32", b"\xff\xff\xff\xff", 1011),
        ("dynamic32", b"\xfc\xff\xff\xff", 1011),
        ("dynamic32 static=-4", b"\0\0\0\0", 1011),
        ("dynamic32 offset=4294967295", b"x", 404),
        ("dynamic32 offset=0,static=0,endian=nowhere", b"x", 404),
        ("fixedlength 0", b"x", 404),
        ("fixedlength 1073741825", b"x", 404),
        ("json x", b"[]", 404),
        // F9: longer than the buffer goes in parts, and the peer's end is the message's.
        ("json", &[b'['; 20_000], 1000),
    ];
    let echo = Peer::echo();
    for (framing, stream, expected) in cases {
        let peer = Peer::speaks(stream.to_vec());
        let files = Files::new(
            "unframed",
            &[
                ("good", format!("{} * binary\n", address(&echo))),
                ("bad", format!("{} * {framing}\n", address(&peer))),
            ],
        );
        let daemon = files.daemon(&["%endpoint%"]);
        let mut innocent = Innocent(connect(&daemon, &request("/good", &[])));
        assert_eq!(outcome(&daemon, &request("/bad", &[])), expected, "{framing}");
        innocent.goes_on();
    }
}

/// Lines of a peer file that cannot be used are named with file, line and what would be right, and the next
/// one counts.
#[test]
fn file_names_the_lines_that_cannot_be_used() {
    let echo = Peer::echo();
    let rows = [
        ("tcp://localhost:1 * newline crfl", "not \"crfl\""),
        ("tcp://localhost:1 * separator strip:;", "which newline has"),
        ("tcp://localhost:1 * binary lf", "binary takes no configuration"),
        ("tcp://localhost:1 * dynamic32 ofset=2", "ofset"),
        ("tcp://localhost:1 * fixedlength", "1 to 1073741824"),
        ("tcp://localhost:1 * Newline", "is it newline?"),
        ("unix://run/x.sock *", "write unix:///PATH"),
        ("tcp://::1:5900 *", "write [::1]:5900"),
        ("tcp://localhost *", "write tcp://HOST:PORT"),
        ("tcp:/localhost:1 *", "write tcp://localhost:1"),
        ("gopher://localhost:70 *", "fiforx://"),
        ("udp://localhost:1 * rfc6455", "a datagram is a message by itself"),
    ];
    let mut text = String::from("# peers\n");
    rows.iter().for_each(|(line, _)| text.extend([*line, "\n"]));
    text += &format!("{} * binary\n", address(&echo));
    let files = Files::new("unusable", &[("peers", text)]);
    let daemon = files.daemon(&["%endpoint%"]);
    let mut client = connect(&daemon, &request("/peers", &[]));
    client.frame(0x82, b"hello");
    assert_eq!(client.message(), (2, b"hello".to_vec()));
    for (number, (line, right)) in (2..).zip(rows) {
        let said = daemon.wait_for_log(&format!("/peers:{number}: "));
        assert!(said.contains(right) && said.contains(" WARN "), "{line}: {said}");
    }
    assert_eq!(client.close_now(), Some(1000));
}

/// A length that no message has is named, in a line of its own beside that of the session's end.
#[test]
fn dynamic32_names_a_length_that_cannot_be() {
    let peer = Peer::speaks(b"\xff\xff\xff\xff".to_vec());
    let daemon = Daemon::before(&peer, "dynamic32", &["--plugins", bundled()]);
    let mut client = Client::connect(daemon.port());
    assert_eq!(client.end(), Some(1011));
    daemon.wait_for_log("length field 0xffffffff, with static=0, is no length of a message");
    daemon.wait_for_log("framing dynamic32 can make nothing of it");
}

/// A number at the peer's end is a value; what is none is binary.
#[test]
fn json_ends_with_the_peer() {
    for (stream, opcode) in [("12", 1), ("-1.5e3", 1), ("0", 1), ("1.", 2), ("[1", 2), ("tru", 2)] {
        let peer = Peer::speaks(stream.as_bytes().to_vec());
        let daemon = Daemon::before(&peer, "json", &["--plugins", bundled()]);
        let mut client = Client::connect(daemon.port());
        assert_eq!(client.message(), (opcode, stream.into()));
        assert_eq!(client.end(), Some(1000), "{stream}");
    }
}

/// `add=yes`: the peer gets each message behind a field with its length.
#[test]
fn dynamic32_adds_lengths() {
    let (sink, received) = Peer::sink();
    let config = "framing-config=endian=big,add=yes";
    let daemon = Daemon::before(&sink, "dynamic32", &["--plugins", bundled(), "-c", config]);
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"hello");
    client.frame(0x81, b"");
    client.frame(0x02, b"in ");
    client.frame(0x80, b"two");
    client.frame(0x82, &[7; 300]);
    assert_eq!(client.close_now(), Some(1000));
    let expected = [
        b"\0\0\0\x05hello".as_slice(),
        b"\0\0\0\0",
        b"\0\0\0\x06in two",
        b"\0\0\x01\x2c",
        &[7; 300],
    ];
    assert_eq!(received.recv().unwrap().head, expected.concat());
}

/// P29: a framing drops the front of a datagram, or all of it, and says of which type the rest is;
/// one datagram says nothing about the next.
#[test]
fn json_in_datagrams() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = format!("udp://127.0.0.1:{}", peer.local_addr().unwrap().port());
    let files = Files::new("datagrams", &[("json", format!("{host} * json\n"))]);
    let daemon = files.daemon(&["%endpoint%"]);
    let mut client = connect(&daemon, &request("/json", &[]));
    client.frame(0x82, b"hello");
    let (_, address) = peer.recv_from(&mut [0; 64]).unwrap();
    for (sent, received) in [
        ("{\"a\":1}", Some((1, "{\"a\":1}"))),
        ("\n {\"a\":1}", Some((1, "{\"a\":1}"))),
        (" \r\n", None),
        ("12", Some((1, "12"))), // nothing follows: the number is whole
        ("-", Some((2, "-"))),
        ("[3]", Some((1, "[3]"))),
        ("no", Some((2, "no"))),
        ("[1] [2]", Some((1, "[1]"))), // F11: as the framing cuts it
        ("", Some((1, "[2]"))),
    ] {
        if !sent.is_empty() {
            peer.send_to(sent.as_bytes(), address).unwrap();
        }
        if let Some((opcode, text)) = received {
            assert_eq!(client.message(), (opcode, text.into()), "{sent:?}");
        }
    }
    assert_eq!(client.close_now(), Some(1000));
}
