//! Plain requests on the real binary: what is answered without a WebSocket (RFC 9110, RFC 9112).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    BASE, Client, Daemon, End, Peer, answer, eventually, free_port, open, read_answer, read_to_end,
    upgrade,
};
use std::io::{Read, Write};
use std::net::Shutdown;

fn healthy(arguments: &[&str]) -> Daemon {
    Daemon::start(&[&["--health", "/healthz"], arguments].concat())
}

/// O8: a load balancer asks as it can, on a connection of its own or on one that it keeps.
#[test]
fn o08_health_is_answered_to_whoever_asks() {
    let daemon = healthy(&[]);
    for (request, body) in [
        ("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "OK\n"),
        ("HEAD /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", ""),
        ("GET /healthz HTTP/1.0\r\n\r\n", "OK\n"),
        ("HEAD /healthz HTTP/1.0\r\n\r\n", ""),
        ("GET /healthz?by=me HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "OK\n"),
        ("GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "OK\n"),
    ] {
        let mut client = open(daemon.port());
        client.write_all(request.as_bytes()).unwrap();
        let answer = answer(&mut client, request.as_bytes());
        assert_eq!((answer.status, &answer.rest[..]), (200, body.as_bytes()), "{request}");
        assert_eq!(answer.values("date").len(), 1);
    }
    let mut client = open(daemon.port());
    for _ in 0..3 {
        client.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut client, false).rest, b"OK\n");
        client.write_all(b"HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut client, true).status, 200);
    }
    drop(client);
    daemon.settle();
    assert!(!daemon.log().iter().any(|line| line.contains("127.0.0.1:") && !line.contains("on ")));
}

#[test]
fn what_is_not_the_health_check_is_as_ever() {
    let host = format!("host=tcp://127.0.0.1:{}", free_port());
    let daemon = healthy(&["-c", &host]);
    let plain = Daemon::start(&[]);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 426),
        ("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        ("GET / HTTP/1.0\r\n\r\n", 400),
        ("POST /healthz HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz/ HTTP/1.1\r\nHost: h\r\n\r\n", 426),
        (BASE, 502),
    ] {
        let mut client = open(daemon.port());
        client.write_all(request.as_bytes()).unwrap();
        assert_eq!(answer(&mut client, request.as_bytes()).status, status, "{request}");
    }
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", 426),
        ("HEAD /healthz HTTP/1.1\r\n", 405),
        ("GET /healthz HTTP/1.0\r\n", 400),
    ] {
        let mut client = open(plain.port());
        client.write_all(request.as_bytes()).unwrap();
        assert_eq!(answer(&mut client, request.as_bytes()).status, status, "{request}");
    }
}

#[test]
fn a_client_that_ends_its_side_gets_its_answers() {
    let daemon = healthy(&[]);
    let mut client = open(daemon.port());
    client.write_all(&b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n".repeat(50)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (bytes, end) = read_to_end(&mut client);
    assert_eq!(end, End::Fin);
    assert_eq!(bytes.windows(4).filter(|four| four == b"\nOK\n").count(), 50);
}

#[test]
fn a_websocket_follows_plain_requests() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--health", "/"]);
    let mut client = open(daemon.port());
    client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut client, false).status, 200);
    upgrade(&mut client, BASE.as_bytes());
    let mut client = Client::over(client);
    client.frame(0x82, b"hello");
    assert_eq!(client.message(), (2, b"hello".to_vec()));
    client.close_now();
}

#[test]
fn the_daemon_ends_before_those_that_only_keep_a_connection() {
    let mut daemon = healthy(&[]);
    let mut client = open(daemon.port());
    client.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut client, false).status, 200);
    daemon.signal("TERM");
    assert_eq!(read_to_end(&mut client), (Vec::new(), End::Fin));
    eventually("the daemon ends", || daemon.exit_within(common::PATIENCE).is_some());
}

/// Who only keeps a connection holds nobody's place.
#[test]
fn a_connection_that_is_kept_makes_room() {
    let daemon = healthy(&["--max-connections", "1"]);
    let mut idle = open(daemon.port());
    for _ in 0..2 {
        idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut idle, false).status, 200);
    }
    eventually("another client is let in", || {
        let mut client = open(daemon.port());
        client.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
        read_to_end(&mut client).0.starts_with(b"HTTP/1.1 200 ")
    });
    assert_eq!(read_to_end(&mut idle), (Vec::new(), End::Fin));
}

/// Who may connect is asked for plain requests too: of the client itself, or, where a proxy keeps its
/// connection for many clients, of each that the proxy names.
#[test]
fn plain_requests_are_answered_to_those_who_may_connect() {
    let daemon = healthy(&["--deny", "127.0.0.1"]);
    let mut client = open(daemon.port());
    let _ = client.write_all(b"GET /healthz HTTP/1.0\r\n\r\n");
    let mut bytes = Vec::new();
    let _ = client.read_to_end(&mut bytes);
    assert_eq!(bytes, b"");
    let daemon = healthy(&["--trusted-proxy", "127.0.0.1", "--deny", "192.0.2.0/24"]);
    let mut proxy = open(daemon.port());
    for (client, status) in [("198.51.100.1", 200), ("198.51.100.2", 200), ("192.0.2.1", 403)] {
        let forwarded = format!("X-Forwarded-For: {client}\r\n");
        let request = format!("GET /healthz HTTP/1.1\r\nHost: h\r\n{forwarded}\r\n");
        proxy.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_answer(&mut proxy, false).status, status, "{client}");
    }
    assert_eq!(read_to_end(&mut proxy), (Vec::new(), End::Fin));
}
