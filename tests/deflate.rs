//! Compression (RFC 7692) on the real binary: a client with zlib of its own, which is never reset, and
//! what a peer sees of it.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

#[path = "deflate/clients.rs"]
mod clients;
mod common;

use common::{
    Answer, BASE, Client, Daemon, Digest, Event, Peer, Received, allow_many_descriptors, answer,
    eventually, frame, noise, open, read_101,
};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

const OFFER: &str = "permessage-deflate; client_max_window_bits";
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const PING: u8 = 9;
const PONG: u8 = 10;
const CLOSE: u8 = 8;
/// What is said to a client that kept others waiting: 1013, and why.
const TOO_LONG: &[u8] = b"\x03\xf5message took too long";
/// What ends a flush and is not sent (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

fn request(offer: &str) -> String {
    BASE.replacen("\r\n\r\n", &format!("\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n"), 1)
}

fn agree(stream: &mut TcpStream, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).unwrap();
    read_101(stream)
}

/// A client that agreed on compression: windows of 11 bits from it, of 12 to it.
struct Deflating {
    stream: TcpStream,
    inflate: Inflate,
    deflate: Deflate,
    /// How many pongs came among the frames of messages.
    pongs: usize,
}

impl Deflating {
    #[track_caller]
    fn connect(port: u16) -> Self {
        let mut stream = open(port);
        let answer = agree(&mut stream, &request(OFFER));
        assert_eq!(
            answer.values("sec-websocket-extensions"),
            ["permessage-deflate; server_max_window_bits=12; client_max_window_bits=11"]
        );
        let (inflate, deflate) = (Inflate::new(false, 12), Deflate::new(6, false, 11));
        Self { stream, inflate, deflate, pongs: 0 }
    }

    /// A message's payload as it goes over the wire.
    fn pack(&mut self, message: &[u8]) -> Vec<u8> {
        if message.is_empty() {
            return vec![0];
        }
        let mut out = vec![0; message.len() + message.len() / 8 + 100];
        let before = self.deflate.total_out();
        self.deflate.compress(message, &mut out, DeflateFlush::SyncFlush).unwrap();
        out.truncate((self.deflate.total_out() - before) as usize - TAIL.len());
        out
    }

    fn send(&mut self, opcode: u8, message: &[u8]) {
        let packed = self.pack(message);
        self.stream.write_all(&frame(FIN | RSV1 | opcode, &packed)).unwrap();
    }

    /// The next frame: its first byte, and its payload as it is.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).unwrap();
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let more = [0, 2, 8][usize::from(head[1].saturating_sub(125))];
        let mut length = [0; 8];
        self.stream.read_exact(&mut length[8 - more..]).unwrap();
        let short = usize::from(head[1]);
        let length = if more == 0 { short } else { u64::from_be_bytes(length) as usize };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).unwrap();
        (head[0], payload)
    }

    /// The next frame that is no pong.
    fn data(&mut self) -> (u8, Vec<u8>) {
        loop {
            let (first, payload) = self.frame();
            if first != FIN | PONG {
                return (first, payload);
            }
            self.pongs += 1;
        }
    }

    /// The next message, its opcode, and whether it came compressed.
    fn message(&mut self) -> (u8, bool, Vec<u8>) {
        let (first, payload) = self.data();
        let (opcode, packed) = (first & 0x0f, first & RSV1 != 0);
        assert!(matches!(opcode, TEXT | BINARY), "{first:x} {payload:x?}");
        let (mut fin, mut whole) = (first & FIN != 0, payload);
        while !fin {
            let (first, payload) = self.data();
            assert_eq!(first & 0x7f, 0, "a continuation, without RSV1");
            fin = first & FIN != 0;
            whole.extend(payload);
        }
        if packed {
            whole = self.unpack(&whole);
        }
        (opcode, packed, whole)
    }

    fn unpack(&mut self, payload: &[u8]) -> Vec<u8> {
        let input = [payload, &TAIL].concat();
        let (mut read, mut out) = (0, Vec::new());
        loop {
            let mut piece = [0; 4096];
            let before = (self.inflate.total_in(), self.inflate.total_out());
            self.inflate.decompress(&input[read..], &mut piece, InflateFlush::SyncFlush).unwrap();
            read += (self.inflate.total_in() - before.0) as usize;
            let made = (self.inflate.total_out() - before.1) as usize;
            out.extend_from_slice(&piece[..made]);
            if made < piece.len() {
                assert_eq!(read, input.len(), "all of the message");
                return out;
            }
        }
    }

    /// Sends these bytes, and expects to be closed with this code.
    #[track_caller]
    fn fails(mut self, bytes: &[u8], code: u16) {
        self.stream.write_all(bytes).unwrap();
        let (first, payload) = self.frame();
        assert_eq!((first, &payload[..2]), (FIN | CLOSE, &code.to_be_bytes()[..]), "{payload:x?}");
    }
}

fn json(seed: usize) -> Vec<u8> {
    let (user, x, y) = (seed % 17, seed * 7919 % 1000, seed * 104_729 % 1000);
    format!(
        "{{\"type\":\"position\",\"user\":\"u{user:04}\",\"seq\":{seed},\"pos\":{{\"x\":{x},\"y\":{y}}},\
         \"flags\":[\"moving\",\"visible\"],\"note\":\"note number {seed}\"}}"
    )
    .into_bytes()
}

/// What a client offers, and what comes of it.
#[test]
fn compression_is_agreed_on_only_where_both_want_it() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--deflate", "1"]);
    let agreed = |daemon: &Daemon, request: &str| {
        let answer = agree(&mut open(daemon.port()), request);
        answer.values("sec-websocket-extensions").concat()
    };
    for (offer, expected) in [
        (
            "permessage-deflate",
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=12",
        ),
        (
            "permessage-deflate; server_max_window_bits=\"9\"; client_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        ),
        ("permessage-deflate; server_max_window_bits=7", ""),
        ("x-webkit-deflate-frame", ""),
    ] {
        assert_eq!(agreed(&daemon, &request(offer)), expected, "{offer}");
    }
    assert_eq!(agreed(&daemon, BASE), "");
    let (mut stream, broken) = (open(daemon.port()), request("permessage-deflate; ="));
    stream.write_all(broken.as_bytes()).unwrap();
    assert_eq!(answer(&mut stream, broken.as_bytes()).status, 400);
    let off = Daemon::before(&peer, "binary", &[]);
    assert_eq!(agreed(&off, &request(OFFER)), "");
    assert_eq!(agreed(&off, &broken), "", "nobody looks at it");
}

/// Where a message's length goes first, it is not, and long messages pass as without.
#[test]
fn compression_is_not_agreed_on_where_a_length_goes_first() {
    let peer = Peer::echo();
    let plugins = ["--deflate", "1", "--plugins", common::plugins::bundled()];
    let added = ["-c", "framing-config=add=yes"];
    let daemon = Daemon::before(&peer, "dynamic32", &[&plugins[..], &added].concat());
    let mut stream = open(daemon.port());
    let answer = agree(&mut stream, &request(OFFER));
    assert!(answer.values("sec-websocket-extensions").is_empty(), "{answer:?}");
    let message = vec![7; 300_000];
    let mut client = Client::over(stream);
    client.frame(FIN | BINARY, &message);
    let (_, came) = client.long_message();
    assert_eq!(came, Digest::of(&[&300_000_u32.to_le_bytes(), &message[..]].concat()));

    // Without what is added, it is.
    let daemon = Daemon::before(&peer, "dynamic32", &plugins);
    let answer = agree(&mut open(daemon.port()), &request(OFFER));
    assert_eq!(answer.values("sec-websocket-extensions").len(), 1);
}

/// Every framing: messages of all lengths there and back, with what is between them.
#[test]
fn messages_of_all_lengths_come_back() {
    let lengths = [0, 1, 63, 64, 150, 1000, 4096, 15_000, 16_384, 70_000, 300_000];
    for framing in ["rfc6455", "newline", "binary"] {
        let peer = Peer::echo();
        let added = if framing == "newline" { "framing-config=add:lf" } else { "protocol=none" };
        let daemon = Daemon::before(&peer, framing, &["--deflate", "6", "-c", added]);
        let mut client = Deflating::connect(daemon.port());
        let mut packed = 0;
        for (round, length) in lengths.iter().cycle().take(33).enumerate() {
            let message: Vec<u8> = (round..).flat_map(json).take(*length).collect();
            if framing == "newline" {
                client.send(BINARY, &message);
                let (_, compressed, got) = client.message();
                packed += usize::from(compressed);
                assert!(got == [&message, &b"\n"[..]].concat(), "{framing}: {length} bytes");
                continue;
            }
            client.send(BINARY, &message);
            let mut got = Vec::new();
            while got.len() < message.len() || framing == "rfc6455" {
                let (opcode, compressed, piece) = client.message();
                packed += usize::from(compressed);
                assert_eq!(opcode, BINARY);
                got.extend(piece);
                if framing == "rfc6455" {
                    break;
                }
            }
            assert!(got == message, "{framing}: {length} bytes");
        }
        assert!(packed > 15, "{framing}: {packed} were compressed");
    }
}

/// Fragments with pings between them; compressed and uncompressed messages in turn.
#[test]
fn fragments_and_pings_between_them() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &["--deflate", "1"]);
    let mut client = Deflating::connect(daemon.port());
    for round in 0..40 {
        let text: Vec<u8> = (round..).flat_map(json).take(round * 20 + 30).collect();
        let payload = client.pack(&text);
        let size = payload.len().div_ceil(1 + round % 5).max(1);
        let pieces: Vec<_> = payload.chunks(size).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let fin = if at + 1 == pieces.len() { FIN } else { 0 };
            let first = if at == 0 { RSV1 | TEXT } else { 0 };
            client.stream.write_all(&frame(fin | first, piece)).unwrap();
            client.stream.write_all(&frame(FIN | PING, b"between")).unwrap();
        }
        client.stream.write_all(&frame(FIN | BINARY, b"plain")).unwrap();
        client.pongs = 0;
        let (opcode, _, whole) = client.message();
        assert!((opcode, &whole) == (TEXT, &text), "{round}: {}", String::from_utf8_lossy(&whole));
        assert_eq!(client.message(), (BINARY, false, b"plain".to_vec()));
        assert_eq!(client.pongs, pieces.len());
    }
}

/// In the two-way framing the peer sees frames as if nobody had compressed.
#[test]
fn a_peer_sees_no_compression() {
    let (peer, received) = Peer::sink();
    let daemon = Daemon::before(&peer, "rfc6455", &["--deflate", "1"]);
    let mut client = Deflating::connect(daemon.port());
    let (first, second) = (json(1), json(2));
    client.send(TEXT, &first);
    client.send(BINARY, &second);
    client.stream.write_all(&frame(FIN | CLOSE, b"\x03\xe8")).unwrap();
    let Received { head, .. } = received.recv().unwrap();
    let plain =
        |opcode: u8, payload: &[u8]| [&[FIN | opcode, payload.len() as u8][..], payload].concat();
    let (first, second) = (plain(TEXT, &first), plain(BINARY, &second));
    assert!(head.starts_with(&[first, second].concat()), "{head:x?}");
}

#[test]
fn a_message_is_one_datagram() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let host = format!("host=udp://127.0.0.1:{}", peer.local_addr().unwrap().port());
    let daemon = Daemon::start(&["-c", &host, "--deflate", "1"]);
    let mut client = Deflating::connect(daemon.port());
    for (round, length) in [200, 5000, 60_000, 65_507].into_iter().enumerate() {
        let message: Vec<u8> = (round..).flat_map(json).take(length).collect();
        client.send(BINARY, &message);
        let mut datagram = vec![0; 70_000];
        let (n, from) = peer.recv_from(&mut datagram).unwrap();
        assert!(datagram[..n] == message, "{length}");
        peer.send_to(&datagram[..n.min(50_000)], from).unwrap();
        assert!(client.message().2 == message[..n.min(50_000)]);
    }
    let packed = client.pack(&vec![0; 65_508]);
    client.fails(&frame(FIN | RSV1 | BINARY, &packed), 1009);
}

#[test]
fn wrong_frames_are_told_so() {
    let (peer, _received) = Peer::sink();
    let daemon = Daemon::before(&peer, "binary", &["--deflate", "1"]);
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let connect = || Deflating::connect(daemon.port());
    connect().fails(&frame(FIN | RSV1 | PING, b""), 1002);
    connect().fails(&frame(FIN | RSV1 | CLOSE, b""), 1002);
    connect().fails(&frame(FIN | 0x20 | BINARY, hello), 1002);
    let mut cut = frame(RSV1 | BINARY, &hello[..3]);
    cut.extend(frame(FIN | RSV1, &hello[3..]));
    connect().fails(&cut, 1002);
    connect().fails(&frame(FIN | RSV1 | BINARY, b"\xff\xff\xff"), 1007);
    connect().fails(&frame(FIN | RSV1 | BINARY, &hello[..4]), 1007);
    let mut client = connect();
    let wrong = client.pack(b"text that is \xff no text");
    client.fails(&frame(FIN | RSV1 | TEXT, &wrong), 1007);
    eventually("the log says what was wrong", || {
        let said = |words: &str| daemon.log().iter().any(|line| line.contains(words));
        said("compressed message not valid (RFC 7692 §7.2.2)") && said("text not UTF-8")
    });
    // Without an agreement the bit is wrong.
    let mut plain = Client::connect(daemon.port());
    plain.frame(FIN | RSV1 | BINARY, hello);
    assert!(matches!(plain.event(), Event::Close(Some(1002), _)));
}

/// 60 MB in 60 KB, to a peer that takes nothing for a while: no more than a turn's share is made of it.
#[test]
fn a_bomb_waits_like_any_other_bytes() {
    const LENGTH: usize = 60_000_000;
    let goes = Arc::new(AtomicBool::new(false));
    let (starts, (sender, received)) = (Arc::clone(&goes), std::sync::mpsc::channel());
    let peer = Peer::serve(move |stream| {
        while !starts.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = sender.send(Received::from(stream));
    });
    let daemon = Daemon::before(&peer, "binary", &["--deflate", "1"]);
    let mut client = Deflating::connect(daemon.port());
    client.send(BINARY, b"warm");
    let packed = client.pack(&vec![0; LENGTH]);
    assert!(packed.len() < LENGTH / 900);
    let before = daemon.rss_kib();
    client.stream.write_all(&frame(FIN | RSV1 | BINARY, &packed)).unwrap();
    // The peer's sockets hold megabytes; the daemon does not.
    std::thread::sleep(Duration::from_millis(300));
    let grown = daemon.rss_kib().saturating_sub(before);
    assert!(grown < 2048, "{grown} KiB");
    goes.store(true, Ordering::SeqCst);
    client.stream.write_all(&frame(FIN | PING, b"behind")).unwrap();
    assert_eq!(client.frame(), (FIN | PONG, b"behind".to_vec()));
    client.stream.write_all(&frame(FIN | CLOSE, b"\x03\xe8")).unwrap();
    let (count, _) = received.recv().unwrap().digest;
    assert_eq!(count, LENGTH as u64 + 4);
}

/// As many as may be are inside a compressed message: the next one waits, and is served when one ends.
#[test]
fn who_finds_no_inflater_waits_for_one() {
    const INFLATERS: usize = 512;
    const GRACE: Duration = Duration::from_secs(10);
    allow_many_descriptors();
    let peer = Peer::echo();
    // Nothing else is due, such as a ping.
    let daemon = Daemon::before(&peer, "binary", &["--deflate", "1", "-k", "0"]);
    let packed = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let mut inside: Vec<_> = (0..INFLATERS).map(|_| Deflating::connect(daemon.port())).collect();
    let mut late: Vec<_> = (0..3).map(|_| Deflating::connect(daemon.port())).collect();
    let mut plain = Client::connect(daemon.port());
    for client in &mut inside {
        // What is there already goes on, and says that the rest is awaited.
        client.stream.write_all(&frame(RSV1 | BINARY, &packed[..4])).unwrap();
        assert_eq!(client.message_start(), b"Hel");
    }
    let waits = |client: &mut Deflating, message: &[u8]| {
        client.send(BINARY, message);
        client.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert!(client.stream.read(&mut [0]).is_err(), "nobody reads it");
        client.stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    };
    late.iter_mut().for_each(|client| waits(client, b"late, but not too late"));
    plain.frame(FIN | BINARY, b"not concerned");
    assert_eq!(plain.message(), (BINARY, b"not concerned".to_vec()));
    // Those inside go on.
    inside[5].stream.write_all(&frame(FIN, &packed[4..])).unwrap();
    assert_eq!(inside[5].message().2, b"lo");
    for client in &mut late {
        assert_eq!(client.message().2, b"late, but not too late");
    }
    // Who ends one and begins the next in one breath has not been inside for long.
    let both = [frame(FIN, &packed[4..]), frame(RSV1 | BINARY, &packed[..4])].concat();
    inside[0].stream.write_all(&both).unwrap();
    let mut heard = Vec::new();
    while heard.len() < 5 {
        heard.extend(inside[0].message().2);
    }
    assert_eq!(heard, b"loHel");
    inside[5].stream.write_all(&frame(RSV1 | BINARY, &packed[..4])).unwrap();
    assert_eq!(inside[5].message_start(), b"Hel");
    // But not before those that wait for the first to end.
    waits(&mut late[1], b"first");
    waits(&mut late[2], b"second");
    inside[0].stream.write_all(&both).unwrap();
    assert_eq!(late[1].message().2, b"first");
    assert_eq!(late[2].message().2, b"second");
    let mut heard = Vec::new();
    while heard.len() < 5 {
        heard.extend(inside[0].message().2);
    }
    assert_eq!(heard, b"loHel");
    // Who ends no message gives way after ten seconds, if others wait.
    assert!(!daemon.log().iter().any(|line| line.contains("client-dawdled")));
    let waits = Instant::now();
    late[0].send(BINARY, b"and again");
    assert_eq!(late[0].message().2, b"and again");
    assert!(waits.elapsed() < GRACE + GRACE / 3, "{:?}", waits.elapsed());
    let line = daemon.wait_for_log("ending=client-dawdled");
    assert!(line.contains("while others waited"), "{line}");
    let dawdled = |client: &mut &mut Deflating| client.frame() == (FIN | CLOSE, TOO_LONG.to_vec());
    assert!(inside.iter_mut().skip(1).take(1).all(|mut client| dawdled(&mut client)));
    inside[0].stream.write_all(&frame(FIN, &packed[4..])).unwrap();
    assert_eq!(inside[0].message().2, b"lo");
    drop(inside);
    let mut client = Deflating::connect(daemon.port());
    client.send(BINARY, &noise(1000, 1));
    assert_eq!(client.message().2.len(), 1000);
}

impl Deflating {
    fn message_start(&mut self) -> Vec<u8> {
        let (first, payload) = self.frame();
        assert_eq!(first, FIN | BINARY);
        payload
    }
}

/// 1,000 sessions that have sent and got as much as their windows hold, and say nothing now.
#[test]
fn an_idle_compressed_session_is_small() {
    const SESSIONS: usize = 1000;
    allow_many_descriptors();
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--deflate", "1"]);
    let message: Vec<u8> = (0..).flat_map(json).take(10_000).collect();
    let talk = || {
        let mut client = Deflating::connect(daemon.port());
        client.send(BINARY, &message);
        let mut got = 0;
        while got < message.len() {
            got += client.message().2.len();
        }
        client.stream // without the client's own zlib
    };
    drop(talk());
    let before = daemon.rss_kib();
    let clients: Vec<_> = (0..SESSIONS).map(|_| talk()).collect();
    let grown = daemon.rss_kib().saturating_sub(before);
    println!("{grown} KiB for {SESSIONS} sessions");
    assert!(grown <= 8800, "{grown} KiB for {SESSIONS} sessions");
    drop(clients);
}
