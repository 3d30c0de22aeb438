//! Many clients and many frames on the real binary: all are served, nothing is left behind.
//! Row labels are the ids of the case catalogue in `docs/testing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    BASE, Client, Daemon, Digest, End, Event, PATIENCE, Peer, allow_many_descriptors, answer,
    frame, free_port, noise, open,
};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What the daemon's memory may grow by under a flood of small frames, KiB.
const GROWTH: u64 = 1024;
/// What 10,000 connections of every kind may leave behind, KiB. The ring of deadlines keeps the
/// room that it once needed; 60 bytes for each connection would be more than this.
const LEFT: u64 = 4096;

/// 1,000 clients at once, all connected before the first speaks, all echoed.
#[test]
fn a_thousand_clients_echo() {
    allow_many_descriptors();
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    let mut clients: Vec<Client> = (0..1000).map(|_| Client::connect(daemon.port())).collect();
    for round in 0..3 {
        for (index, client) in clients.iter_mut().enumerate() {
            client.frame(0x82, &noise(200 + round * 1000, index as u64));
        }
        for (index, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.message(), (2, noise(200 + round * 1000, index as u64)));
        }
    }
    clients.iter_mut().for_each(|client| client.close(1000));
    for client in &mut clients {
        assert_eq!(client.closed(), Some(1000));
        assert_eq!(client.event(), Event::End(End::Fin));
    }
    assert_eq!(peer.dials(), 1000);
}

/// 600 connections: good ones, half a head, half a frame, bad heads and bad frames, ended in every
/// way, all at the same time. The daemon's descriptors are counted when it is dropped.
/// A table that grows when clients come has the loop stand still for many milliseconds.
#[test]
fn there_is_room_for_all_descriptors_before_clients_come() {
    let daemon = Daemon::start(&["--max-connections", "3000"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let room = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
    assert!(room.trim().parse::<u64>().unwrap() >= 2 * 3000, "{room}");
}

#[test]
fn mixed_clients_leave_nothing_behind() {
    allow_many_descriptors();
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    let mut open_ones = Vec::new();
    for index in 0..600 {
        open_ones.push(start(daemon.port(), index));
    }
    for (index, stream) in open_ones.into_iter().enumerate() {
        match index % 4 {
            0 => common::reset(stream),
            1 => drop(stream),
            _ => {
                stream.shutdown(std::net::Shutdown::Write).unwrap_or_default();
            }
        }
    }
    daemon.settle();
    Client::connect(daemon.port()).close_now();
}

/// The start of one of the six kinds of connection.
fn start(port: u16, index: usize) -> TcpStream {
    let mut stream = open(port);
    let head = BASE.as_bytes();
    let bytes = match index % 6 {
        0 => head.to_vec(),
        1 => head[..head.len() / 2].to_vec(),
        2 => BASE.replace("GET", "PUT").into_bytes(),
        3 => [head, &frame(0x82, b"echo")].concat(),
        4 => [head, &frame(0x82, &noise(500, 1))[..100]].concat(),
        _ => [head, b"\xff\xff"].concat(),
    };
    stream.write_all(&bytes).unwrap();
    stream
}

/// How a connection comes and goes.
type Visit = fn(port: u16, round: usize);

/// P40, P41, E15, C-15: 10,000 connects and closes of every kind leave descriptors, memory and the
/// counts behind the limits where they were.
#[test]
fn ten_thousand_of_every_kind_leave_nothing_behind() {
    let kinds: [(&str, Visit); 7] = [
        ("good close", good_close),
        ("FIN after the 101", |port, _| drop(said_hello(port))),
        ("RST after the 101", |port, _| said_hello(port).reset()),
        ("FIN inside the head", |port, round| drop(half_a_head(port, round))),
        ("RST inside the head", |port, round| common::reset(half_a_head(port, round))),
        ("refused head", refused_head),
        ("bad frame", bad_frame),
    ];
    let peer = Peer::echo();
    // A count that is not given back would refuse clients before the end.
    let limits = ["--max-connections", "2000", "--max-per-address", "2000"];
    come_and_go(&Daemon::before(&peer, "rfc6455", &limits), &kinds);
    let host = format!("host=tcp://127.0.0.1:{}", free_port());
    let unreachable = Daemon::start(&[&["-c", &host], &limits[..]].concat());
    come_and_go(&unreachable, &[("peer refused", peer_refused)]);
}

/// A tenth of the visits to warm up, then all of them, four at a time.
fn come_and_go(daemon: &Daemon, kinds: &[(&str, Visit)]) {
    let visits = |count: usize, visit: Visit| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..count / 4).for_each(|round| visit(daemon.port(), round)));
            }
        });
        daemon.settle();
    };
    kinds.iter().for_each(|(_, visit)| visits(1000, *visit));
    let before = daemon.rss_kib();
    for (name, visit) in kinds {
        visits(10_000, *visit);
        println!("{name}: {before} KiB before all, {} KiB now", daemon.rss_kib());
    }
    let after = daemon.rss_kib();
    assert!(after < before + LEFT, "{before} KiB before, {after} KiB after");
}

fn said_hello(port: u16) -> Client {
    let mut client = Client::connect(port);
    client.frame(0x81, b"hello");
    client
}

fn good_close(port: u16, _: usize) {
    let mut client = said_hello(port);
    assert_eq!(client.message(), (1, b"hello".to_vec()));
    assert_eq!(client.close_now(), Some(1000));
}

fn half_a_head(port: u16, round: usize) -> TcpStream {
    let mut stream = open(port);
    stream.write_all(&BASE.as_bytes()[..round % BASE.len()]).unwrap();
    stream
}

/// C-15: fields and keys that are never used are memory all the same.
fn refused_head(port: u16, _: usize) {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let head = BASE.replacen(key, &key.repeat(20), 1);
    let mut stream = open(port);
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(answer(&mut stream, b"").status, 400);
}

fn bad_frame(port: u16, _: usize) {
    let mut client = Client::connect(port);
    client.send(b"\xff\xff");
    assert_eq!(client.end(), Some(1002));
}

fn peer_refused(port: u16, _: usize) {
    let mut stream = open(port);
    stream.write_all(BASE.as_bytes()).unwrap();
    assert_eq!(answer(&mut stream, b"").status, 502);
}

/// F71, F72, E10: pings and pongs without end from a client that does not read. The answers it
/// then finds are true ones in order, the last of them to the last ping.
#[test]
fn a_ping_flood_is_bounded() {
    const PINGS: u32 = 100_000;
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    let mut client = Client::connect(daemon.port());
    client.frame(0x89, b"warm");
    assert_eq!(client.event(), Event::Pong(b"warm".to_vec()));
    daemon.reset_peak();
    let before = daemon.rss_kib();
    let pings = |number: u32| frame(0x89, &[&number.to_be_bytes()[..], &[b'p'; 121]].concat());
    let pongs = |number: u32| frame(0x8a, &number.to_be_bytes());
    let mut writer = client.stream().try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        for number in 0..PINGS {
            writer.write_all(&pings(number)).unwrap();
            writer.write_all(&pongs(number)).unwrap();
        }
    });
    std::thread::sleep(Duration::from_secs(1));
    let mut other = Client::connect(daemon.port());
    let start = Instant::now();
    other.frame(0x81, b"still there");
    assert_eq!(other.message(), (1, b"still there".to_vec()));
    assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
    let mut last = None;
    while last != Some(PINGS - 1) {
        let Event::Pong(payload) = client.event() else { panic!("not a pong") };
        let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
        assert!(last < Some(number), "{last:?} then {number}");
        last = Some(number);
    }
    flood.join().unwrap();
    assert_eq!(client.close_now(), Some(1000));
    let peak = daemon.peak_kib();
    assert!(peak < before + GROWTH, "{before} KiB before, {peak} KiB at most");
}

/// F44, E12: a message of 65,536 fragments of one byte is one message, in flat memory.
#[test]
fn one_byte_fragments_are_one_message() {
    const LEN: usize = 65_536;
    let (peer, received) = Peer::sink();
    let echo = Peer::echo();
    let payload = noise(LEN, 2);
    let mut bytes = frame(0x02, &payload[..1]);
    payload[1..LEN - 1].iter().for_each(|byte| bytes.extend(frame(0x00, &[*byte])));
    bytes.extend(frame(0x80, &payload[LEN - 1..]));
    for (peer, framing) in [(&peer, "binary"), (&echo, "rfc6455")] {
        let daemon = Daemon::before(peer, framing, &[]);
        let mut client = Client::connect(daemon.port());
        daemon.reset_peak();
        let before = daemon.rss_kib();
        let (mut writer, bytes) = (client.stream().try_clone().unwrap(), bytes.clone());
        let upload = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
        if framing == "rfc6455" {
            assert!(client.message() == (2, payload.clone()));
        }
        upload.join().unwrap();
        assert_eq!(client.close_now(), Some(1000));
        let peak = daemon.peak_kib();
        assert!(peak < before + GROWTH, "{framing}: {before} KiB before, {peak} KiB at most");
    }
    assert_eq!(received.recv_timeout(PATIENCE).unwrap().digest, Digest::of(&payload));
}

/// F45, F46, E11: empty fragments for ever are nothing, for as long as the client likes.
#[test]
fn empty_fragments_cost_nothing() {
    let (peer, received) = Peer::sink();
    let daemon = Daemon::before(&peer, "binary", &[]);
    let mut client = Client::connect(daemon.port());
    daemon.reset_peak();
    let before = daemon.rss_kib();
    client.frame(0x02, b"a");
    let many = frame(0x00, b"").repeat(1000);
    (0..200).for_each(|_| client.send(&many));
    client.frame(0x80, b"z");
    assert_eq!(client.close_now(), Some(1000));
    assert_eq!(received.recv_timeout(PATIENCE).unwrap().head, b"az");
    let peak = daemon.peak_kib();
    assert!(peak < before + GROWTH, "{before} KiB before, {peak} KiB at most");
}

/// F76: messages of one byte and pings in turns.
#[test]
fn small_messages_and_pings_alternate() {
    const ROUNDS: usize = 20_000;
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    let mut client = Client::connect(daemon.port());
    let mut writer = client.stream().try_clone().unwrap();
    let upload = std::thread::spawn(move || {
        let both = [frame(0x81, b"x"), frame(0x89, b"y")].concat();
        (0..ROUNDS / 100).for_each(|_| writer.write_all(&both.repeat(100)).unwrap());
    });
    let mut messages = 0;
    while messages < ROUNDS {
        match client.event() {
            Event::Data(true, 1, payload) if payload == b"x" => messages += 1,
            Event::Pong(payload) if payload == b"y" => {}
            other => panic!("{other:?}"),
        }
    }
    upload.join().unwrap();
    assert_eq!(client.close_now(), Some(1000));
}
