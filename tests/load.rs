//! Many clients and many frames on the real binary: all are served, nothing is left behind.
//! Row labels are the ids of the case catalogue in `docs/testing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    BASE, Client, Daemon, Digest, End, Event, PATIENCE, Peer, allow_many_descriptors, answer,
    frame, noise, open,
};
use std::io::Write;
use std::time::{Duration, Instant};

/// What the daemon's memory may grow by under a flood of small frames, KiB.
const GROWTH: u64 = 1024;

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
fn start(port: u16, index: usize) -> std::net::TcpStream {
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

/// P40, P41: 10,000 connects and closes of every kind leave descriptors and memory as they were.
#[test]
fn ten_thousand_sessions_come_and_go() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    (0..200).for_each(|round| visit(daemon.port(), round));
    daemon.settle();
    let before = daemon.rss_kib();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2500).for_each(|round| visit(daemon.port(), round)));
        }
    });
    daemon.settle();
    let after = daemon.rss_kib();
    assert!(after < before + GROWTH, "{before} KiB before, {after} KiB after");
}

fn visit(port: u16, round: usize) {
    let mut stream = open(port);
    match round % 5 {
        0 => {
            stream.write_all(&BASE.as_bytes()[..round % BASE.len()]).unwrap();
            common::reset(stream);
        }
        1 => {
            stream.write_all(b"POST / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
            assert_eq!(answer(&mut stream, b"").status, 405);
        }
        ending => {
            common::upgrade(&mut stream, BASE.as_bytes());
            converse(Client::over(stream), ending);
        }
    }
}

fn converse(mut client: Client, ending: usize) {
    client.frame(0x81, b"hello");
    match ending {
        2 => client.reset(),
        3 => {
            assert_eq!(client.message(), (1, b"hello".to_vec()));
            assert_eq!(client.close_now(), Some(1000));
        }
        _ => drop(client),
    }
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
