//! Clients that do not get far.

use crate::common::{Peer, allow_many_descriptors, eventually, open};
use crate::support::{Authority, LATER, Wss, daemon};
use rustls::version::TLS13;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// How many do not.
const CLIENTS: u64 = 1000;
/// What one of them may take, KiB: nothing but the session before its first byte, and what it sent.
const SILENT: u64 = 3;
const HALF: u64 = 4;

/// The first part of a hello, without its end.
fn half_a_hello() -> Vec<u8> {
    let mut hello = vec![22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.extend([0x5a; 240]);
    hello
}

#[test]
fn half_done_handshakes_take_little_and_end_in_time() {
    allow_many_descriptors();
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let limits = ["--handshake-timeout", "60", "--close-timeout", "1"];
    let (daemon, port) = daemon(&peer, &[&["--tls-cert", &pair], &limits[..]].concat());
    let config = authority.client(&[&TLS13], None);
    Wss::connect(port, "localhost", &config).echoes(b"so that its buffers are there");
    for (sent, most) in [(Vec::new(), SILENT), (half_a_hello(), HALF)] {
        daemon.settle();
        let before = daemon.rss_kib();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut client = open(port);
                client.write_all(&sent).unwrap();
                client
            })
            .collect();
        eventually("all are there", || daemon.fds() as u64 >= daemon.baseline() as u64 + CLIENTS);
        // Somebody else is served meanwhile.
        let start = Instant::now();
        Wss::connect(port, "localhost", &config).echoes(b"in between");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let grown = daemon.rss_kib().saturating_sub(before);
        println!("{} bytes each: {} KiB for {CLIENTS}", sent.len(), grown);
        assert!(grown <= CLIENTS * most, "{grown} KiB for {CLIENTS} with {} bytes", sent.len());
        drop(clients);
    }
}

#[test]
fn a_slow_handshake_is_over_at_its_deadline() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let limits = ["--handshake-timeout", "0.5", "--close-timeout", "0.5"];
    let (daemon, port) = daemon(&peer, &[&["--tls-cert", &pair], &limits[..]].concat());
    let mut client = open(port);
    for byte in half_a_hello() {
        if client.write_all(&[byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(4));
    }
    // No answer in plain text, and no more than an end.
    let mut heard = Vec::new();
    let _ = client.read_to_end(&mut heard);
    assert!(heard.is_empty() || heard[0] == 21, "{heard:?}");
    daemon.wait_for_log(
        "refused with 408: no complete request in time; client: the TLS handshake was not done",
    );
}

#[test]
fn an_idle_session_over_tls_is_small() {
    const IDLE: u64 = 6;
    allow_many_descriptors();
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
    let config = authority.client(&[&TLS13], None);
    let connect = |_| {
        let mut client = Wss::connect(port, "localhost", &config);
        client.echoes(b"hello");
        client
    };
    drop((0..20).map(connect).collect::<Vec<_>>());
    daemon.settle();
    let before = daemon.rss_kib();
    let clients: Vec<_> = (0..300).map(connect).collect();
    let grown = daemon.rss_kib().saturating_sub(before);
    println!("{grown} KiB for {} idle sessions", clients.len());
    assert!(grown <= clients.len() as u64 * IDLE, "{grown} KiB for {} sessions", clients.len());
}
