//! Every transport but TCP, and the ways to name one, on the real binary. Row labels are the ids of
//! the case catalogue in `docs/testing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{Client, Daemon, Event, PATIENCE, Peer, frame, noise};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

/// The largest UDP payload over IPv4.
const MAX_UDP: usize = 65_507;
/// What a step may take that the daemon takes at once; less than any of its deadlines.
const SOON: Duration = Duration::from_secs(2);
/// How long nothing must come before it counts as nothing.
const A_WHILE: Duration = Duration::from_millis(200);

/// A directory of one test's own with a short name: a Unix socket's path has little room.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("wsy-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A path of exactly `length` bytes.
    fn path_of(&self, length: usize) -> PathBuf {
        let room = length - self.0.as_os_str().len() - 1;
        self.path(&"x".repeat(room))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The daemon in front of `host`, with further arguments.
fn before(host: &str, arguments: &[&str]) -> Daemon {
    Daemon::start(&[&["-c", &format!("host={host}")], arguments].concat())
}

/// What the daemon says and exits with, when it does not start before `host`.
fn refused_start(host: &str) -> (Option<i32>, String) {
    let mut command = Command::new("timeout"); // one that starts all the same must not stay
    command.args(["10", common::binary(), "-p", "0", "-l", "127.0.0.1", "-c"]);
    let output = command.arg(format!("host={host}")).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A message in three fragments, with a ping between two of them (RFC 6455 §5.4).
fn fragments(message: &[u8]) -> Vec<u8> {
    let (first, rest) = message.split_at(message.len() / 3);
    let (second, last) = rest.split_at(rest.len() / 2);
    [frame(0x02, first), frame(0x00, second), frame(0x89, b""), frame(0x80, last)].concat()
}

/// Sends a close frame and asserts that nothing is waited for: no FIN comes of a datagram peer.
#[track_caller]
fn leave(daemon: &Daemon, mut client: Client) {
    let start = Instant::now();
    assert_eq!(client.close_now(), Some(1000));
    drop(client);
    daemon.settle();
    assert!(start.elapsed() < SOON, "{:?} for a goodbye", start.elapsed());
}

/// A UDP peer, with the time-outs that keep a lost datagram from hanging the tests.
fn udp_peer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn before_udp(peer: &UdpSocket, arguments: &[&str]) -> Daemon {
    before(&format!("udp://{}", peer.local_addr().unwrap()), arguments)
}

/// The next datagram and where it came from.
#[track_caller]
fn datagram(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 1 << 17];
    let (length, from) = peer.recv_from(&mut buffer).unwrap();
    buffer.truncate(length);
    (buffer, from)
}

/// A client whose peer knows where to answer.
fn introduced(daemon: &Daemon, peer: &UdpSocket) -> (Client, SocketAddr) {
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"hello");
    let (greeting, from) = datagram(peer);
    assert_eq!(greeting, b"hello");
    (client, from)
}

const SIZES: [usize; 12] = [0, 1, 125, 126, 127, 1023, 1024, 1472, 16_383, 16_384, 65_506, MAX_UDP];

/// P30, C-56: a message is a datagram of its length, whole or in fragments, empty or not.
#[test]
fn a_message_is_one_udp_datagram() {
    let peer = udp_peer();
    let daemon = before_udp(&peer, &[]);
    let mut client = Client::connect(daemon.port());
    for size in SIZES {
        let message = noise(size, size as u64);
        client.frame(0x82, &message);
        assert!(datagram(&peer).0 == message, "{size} bytes");
        client.send(&fragments(&message));
        assert!(datagram(&peer).0 == message, "{size} bytes in fragments");
        assert_eq!(client.event(), Event::Pong(vec![]), "{size} bytes");
    }
    leave(&daemon, client);
}

/// P29, P30: messages that come in one read do not become one datagram, and stay in order.
#[test]
fn messages_in_one_read_stay_apart() {
    let peer = udp_peer();
    let daemon = before_udp(&peer, &[]);
    let mut client = Client::connect(daemon.port());
    let messages: [&[u8]; 7] = [b"", b"a", b"", b"", b"bc", &[b'x'; 2000], b"d"];
    let train: Vec<u8> = messages.iter().flat_map(|message| frame(0x81, message)).collect();
    client.send(&train);
    for message in messages {
        assert_eq!(datagram(&peer).0, message);
    }
    leave(&daemon, client);
}

/// P29, P30, B08: a datagram is a message of its length; what is no text is binary.
#[test]
fn a_udp_datagram_is_one_message() {
    let binary = |size| noise(size, 7).iter().map(|byte| byte | 0x80).collect::<Vec<u8>>();
    for (framing, of_text) in [("auto", 1), ("binary", 2)] {
        let peer = udp_peer();
        let daemon = before_udp(&peer, &["-c", &format!("framing={framing}")]);
        let (mut client, from) = introduced(&daemon, &peer);
        for size in SIZES {
            for (kind, bytes) in [(of_text, vec![b't'; size]), (2, binary(size))] {
                peer.send_to(&bytes, from).unwrap();
                let (got, payload) = client.message();
                assert!(payload == bytes, "{framing}: {} bytes of {size}", payload.len());
                assert!(got == kind || size == 0, "{framing}: {size} bytes as {got}");
            }
        }
        leave(&daemon, client);
    }
}

/// P32: what is no datagram is not cut: 1009, and none of it is sent.
#[test]
fn a_message_larger_than_a_datagram_is_refused() {
    let message = noise(MAX_UDP + 1, 1);
    let declared = common::header(0x82, 0x80, 1 << 62);
    let rows = [
        ("whole", frame(0x82, &message)),
        ("in fragments", fragments(&message)),
        ("only announced", [&declared[..], &[0; 4]].concat()),
    ];
    for (name, bytes) in rows {
        let peer = udp_peer();
        let daemon = before_udp(&peer, &[]);
        let (mut client, _) = introduced(&daemon, &peer);
        client.send(&bytes);
        assert_eq!(client.end(), Some(1009), "{name}");
        peer.set_read_timeout(Some(A_WHILE)).unwrap();
        let sent = peer.recv_from(&mut [0; 8]).map_err(|error| error.kind());
        assert_eq!(sent.unwrap_err(), ErrorKind::WouldBlock, "{name}");
    }
}

/// P33: the socket is connected: what others send to it is not the peer's.
#[test]
fn a_datagram_of_a_stranger_is_not_delivered() {
    let (peer, stranger) = (udp_peer(), udp_peer());
    let daemon = before_udp(&peer, &[]);
    let (mut client, from) = introduced(&daemon, &peer);
    stranger.send_to(b"forged", from).unwrap();
    assert!(client.silent_for(A_WHILE));
    peer.send_to(b"true", from).unwrap();
    assert_eq!(client.message(), (1, b"true".to_vec()));
    leave(&daemon, client);
}

/// P31: two refusals are a peer that restarts, three in a row are none.
#[test]
fn a_udp_peer_may_be_gone_for_a_moment() {
    let peer = udp_peer();
    let address = peer.local_addr().unwrap();
    let daemon = before_udp(&peer, &[]);
    let (mut client, _) = introduced(&daemon, &peer);
    drop(peer);
    for _ in 0..2 {
        client.frame(0x81, b"into the void");
        assert!(client.silent_for(A_WHILE), "a refusal that is not the third");
    }
    let peer = UdpSocket::bind(address).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    client.frame(0x81, b"again");
    let (again, from) = datagram(&peer);
    assert_eq!(again, b"again");
    peer.send_to(b"here", from).unwrap();
    assert_eq!(client.message(), (1, b"here".to_vec()));
    drop(peer);
    for _ in 0..2 {
        client.frame(0x81, b"into the void");
        assert!(client.silent_for(A_WHILE), "an answer between makes them no row");
    }
    client.frame(0x81, b"the third");
    assert_eq!(client.end(), Some(1011));
}

/// C-52, C-53: every way to say where a peer is.
#[test]
fn peers_are_named_in_many_ways() {
    let peer = Peer::echo();
    let port = peer.port().to_string();
    let rows: [(String, &[&str]); 6] = [
        (format!("127.0.0.1:{port}"), &[]),
        (format!("tcp://127.0.0.1:{port}"), &[]),
        (format!("TCP://localhost:{port}"), &[]), // ::1 refuses, 127.0.0.1 takes it
        ("127.0.0.1".into(), &["-c"]),
        ("tcp://localhost".into(), &["-c"]),
        ("tcp://127.0.0.1:1".into(), &["-c"]), // a port by itself wins
    ];
    for (host, flag) in rows {
        let port = format!("port={port}");
        let arguments: Vec<&str> = flag.iter().flat_map(|flag| [*flag, &port]).collect();
        let daemon = before(&host, &arguments);
        assert_echo(&daemon, &host);
        let warned = daemon.log().iter().any(|line| line.contains("no scheme"));
        assert_eq!(warned, !host.contains("://"), "{host}: {:?}", daemon.log());
    }
}

/// One message there and back, and a goodbye.
#[track_caller]
fn assert_echo(daemon: &Daemon, what: &str) {
    let mut client = Client::connect(daemon.port());
    client.frame(0x81, b"hello");
    assert_eq!(client.message(), (1, b"hello".to_vec()), "{what}");
    assert_eq!(client.close_now(), Some(1000), "{what}");
}

/// P06: addresses of IPv6 stand in brackets, and `localhost` is both families.
#[test]
fn ipv6_peers_are_reached() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        return println!("skipped: no IPv6 here");
    };
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().take(2).flatten() {
            let mut reader = stream.try_clone().unwrap();
            let _ = std::io::copy(&mut reader, &mut stream);
        }
    });
    for host in [format!("tcp://[::1]:{port}"), format!("tcp://localhost:{port}")] {
        assert_echo(&before(&host, &[]), &host);
    }
}

/// A peer that cannot be is said at start, exit 2; nothing is listened on.
#[test]
fn a_peer_that_cannot_be_is_refused_at_start() {
    let scratch = Scratch::new("start");
    let long = scratch.path_of(108).display().to_string();
    let rows = [
        ("gopher://127.0.0.1:70".into(), "scheme \"gopher\" is unknown"),
        ("://127.0.0.1:70".into(), "scheme \"\" is unknown"),
        (String::new(), "host is empty"),
        ("tcp://".into(), "no name or address"),
        ("tcp://a b:1".into(), "no name or address"),
        ("tcp://[::1:1".into(), "no name or address"),
        ("tcp://127.0.0.1:0".into(), "no number from 1 to 65535"),
        ("udp://127.0.0.1:65536".into(), "no number from 1 to 65535"),
        ("unix://".into(), "no path of a peer"),
        ("fiforx://".into(), "no path of a peer"),
        (format!("unix://{long}"), "a path of 108 bytes; a Unix socket has room for 107"),
        (format!("unix-dgram://{long}"), "a path of 108 bytes; a Unix socket has room for 107"),
    ];
    for (host, named) in rows {
        let (code, said) = refused_start(&host);
        assert_eq!(code, Some(2), "{host}: {said}");
        assert!(said.contains(named), "{host}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{host}: {said}");
    }
}
