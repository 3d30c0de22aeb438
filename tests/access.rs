//! Who may come, on the real binary: address lists, rates, places and times.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    BASE, Client, Daemon, End, Event, PATIENCE, Peer, answer, open, read_to_end, upgrade,
};
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A connection from an address of the loopback network.
fn open_from(from: &str, daemon: &Daemon) -> TcpStream {
    let from: IpAddr = from.parse().unwrap();
    let socket = Socket::new(Domain::for_address(SocketAddr::new(from, 0)), Type::STREAM, None);
    let socket = socket.unwrap();
    socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], daemon.port())).into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether a client from `from` is let in, or hung up on without a byte.
#[track_caller]
fn is_let_in(from: &str, daemon: &Daemon) -> bool {
    let mut stream = open_from(from, daemon);
    // Who is hung up on may find it out at the write already.
    if stream.write_all(BASE.as_bytes()).is_err() {
        return false;
    }
    let mut byte = [0];
    let answered = matches!(stream.peek(&mut byte), Ok(1));
    if answered {
        drop(common::read_upgrade(&mut stream));
    }
    answered
}

#[test]
fn the_first_rule_that_fits_decides() {
    let peer = Peer::echo();
    let rules = ["--deny", "127.0.0.3", "--allow", "127.0.0.2/31", "--deny", "127.0.0.2"];
    let daemon = Daemon::before(&peer, "binary", &rules);
    assert!(is_let_in("127.0.0.2", &daemon), "allowed before it is denied");
    assert!(!is_let_in("127.0.0.3", &daemon), "denied before it is allowed");
    assert!(!is_let_in("127.0.0.1", &daemon), "named by no rule, and there is one that allows");
    daemon.wait_for_log(": hung up on: the address is denied");
    assert_eq!(peer.dials(), 1);
}

#[test]
fn whom_no_rule_denies_may_come() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--deny", "127.0.0.2", "--deny", "::/0"]);
    assert!(is_let_in("127.0.0.1", &daemon));
    assert!(!is_let_in("127.0.0.2", &daemon));
}

#[test]
fn a_flood_from_a_denied_address_is_no_flood_of_lines() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--deny", "127.0.0.2"]);
    for _ in 0..300 {
        drop(open_from("127.0.0.2", &daemon));
    }
    std::thread::sleep(Duration::from_millis(1100));
    assert!(!is_let_in("127.0.0.2", &daemon));
    daemon.wait_for_log(" more clients, without a line for each");
    let lines = daemon.log().iter().filter(|line| line.contains("is denied")).count();
    assert!(lines < 200, "{lines} lines");
}

#[test]
fn who_begins_too_many_sessions_waits() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--rate", "2/1000"]);
    let _clients = [Client::connect(daemon.port()), Client::connect(daemon.port())];
    let mut third = open(daemon.port());
    third.write_all(BASE.as_bytes()).unwrap();
    let refusal = answer(&mut third, b"");
    assert_eq!(refusal.status, 429);
    let after: u32 = refusal.values("retry-after")[0].parse().unwrap();
    assert!((400..=500).contains(&after), "{after}");
    assert!(is_let_in("127.0.0.2", &daemon), "others need not wait");
    daemon.wait_for_log("refused with 429: too many new sessions from this address");
}

#[test]
fn a_token_comes_back_with_time() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--rate", "1"]);
    drop(Client::connect(daemon.port()));
    let mut early = open(daemon.port());
    assert_eq!(answer(&mut early, b"").values("retry-after"), ["1"]);
    std::thread::sleep(Duration::from_millis(1010));
    drop(Client::connect(daemon.port()));
}

/// Clients that send half a head hold all places; who comes then takes that of the oldest, once it
/// has had its second.
#[test]
fn slow_heads_do_not_hold_the_door() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--max-connections", "2"]);
    let mut slow = [open(daemon.port()), open(daemon.port())];
    for stream in &mut slow {
        stream.write_all(&BASE.as_bytes()[..20]).unwrap();
    }
    let mut early = open(daemon.port());
    assert_eq!(answer(&mut early, b"").status, 503, "they have had no time yet");
    std::thread::sleep(Duration::from_millis(1100));
    let [first, second] = [Client::connect(daemon.port()), Client::connect(daemon.port())];
    for stream in &mut slow {
        assert_eq!(answer(stream, b"").status, 503);
    }
    daemon.wait_for_log("its handshake was the oldest unfinished one");
    std::thread::sleep(Duration::from_millis(1100));
    let mut late = open(daemon.port());
    assert_eq!(answer(&mut late, b"").status, 503, "sessions are not displaced");
    drop((first, second));
}

#[test]
fn a_slow_head_is_finished_where_nobody_waits() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--max-connections", "2"]);
    let mut slow = open(daemon.port());
    slow.write_all(&BASE.as_bytes()[..20]).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    drop(Client::connect(daemon.port()));
    upgrade(&mut slow, &BASE.as_bytes()[20..]);
    drop(slow);
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--max-session", "1"]);
    let mut client = Client::connect(daemon.port());
    let start = Instant::now();
    loop {
        client.frame(0x82, b"busy");
        match client.event() {
            Event::Data(..) => std::thread::sleep(Duration::from_millis(20)),
            Event::Close(code, reason) => {
                assert_eq!((code, reason.as_str()), (Some(1000), "session time is over"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let took = start.elapsed();
    assert!((900..5000).contains(&took.as_millis()), "{took:?}");
    client.close(1000);
    daemon.wait_for_log(": ended: session time is over; ");
    assert!(matches!(read_to_end(&mut client.stream().try_clone().unwrap()).1, End::Fin));
}

/// The close frame that is sent right behind the 101.
#[track_caller]
fn explained(daemon: &Daemon, request: &str) -> (u16, String) {
    let mut client = Client::connect_with(daemon.port(), request.as_bytes());
    match client.event() {
        Event::Close(Some(code), reason) => {
            assert_eq!(client.event(), Event::End(End::Fin));
            (code, reason)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn refusals_are_explained_to_pages() {
    const EXPLAIN: &str = "--explain-refusals";
    let closed = format!("host=tcp://127.0.0.1:{}", common::free_port());
    let daemon = Daemon::start(&["-c", &closed, EXPLAIN]);
    assert_eq!(explained(&daemon, BASE), (1014, "Bad Gateway".into()));
    let mut other = open(daemon.port());
    other.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(answer(&mut other, b"").status, 426, "what is no handshake gets its status");

    let page = BASE.replace("Host: h", "Host: h\r\nOrigin: https://b.example");
    let daemon = Daemon::start(&["-c", &closed, EXPLAIN, "--origin", "https://a.example"]);
    assert_eq!(explained(&daemon, &page), (3003, "Forbidden".into()));
    daemon.wait_for_log("refused with 403: bad handshake: the origin is not allowed");

    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &[EXPLAIN, "--rate", "1/100"]);
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"x");
    assert_eq!(client.message(), (2, b"x".to_vec()));
    let offers = BASE.replace("Host: h", "Host: h\r\nSec-WebSocket-Protocol: a, b");
    let mut stream = open(daemon.port());
    let switched = upgrade(&mut stream, offers.as_bytes());
    assert_eq!(switched.values("sec-websocket-protocol"), ["a"]);
    match Client::over(stream).event() {
        Event::Close(Some(1013), reason) => {
            assert!(reason.starts_with("Too Many Requests; retry after "), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    drop(client);

    let daemon = Daemon::before(&peer, "binary", &[EXPLAIN, "--max-connections", "1"]);
    let held = Client::connect(daemon.port());
    assert_eq!(explained(&daemon, BASE), (1013, "Service Unavailable".into()));
    drop(held);
}

/// The status that a client is answered with.
fn refused(daemon: &Daemon) -> u16 {
    let mut stream = open(daemon.port());
    stream.write_all(BASE.as_bytes()).unwrap();
    answer(&mut stream, b"").status
}

#[test]
fn peers_are_dialled_where_they_are_allowed() {
    let peer = Peer::echo();
    // This name is looked up.
    let host = format!("host=tcp://127.1:{}", peer.port());
    let daemon = Daemon::start(&["-c", &host, "--peer-allow", "127.0.0.0/8"]);
    drop(Client::connect(daemon.port()));
    for scheme in ["tcp", "udp"] {
        let host = format!("host={scheme}://127.1:{}", peer.port());
        let daemon = Daemon::start(&["-c", &host, "--peer-allow", "10.0.0.0/8"]);
        assert_eq!(refused(&daemon), 403, "{scheme}");
        daemon.wait_for_log("peer not allowed: 127.0.0.1 is in no network of --peer-allow");
    }
    assert_eq!(peer.dials(), 1);
}

#[test]
fn what_the_operator_wrote_as_an_address_is_meant() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--peer-allow", "10.0.0.0/8"]);
    drop(Client::connect(daemon.port()));
}

#[test]
fn metadata_services_are_not_reached_by_name() {
    for scheme in ["tcp", "udp"] {
        let host = format!("host={scheme}://169.254.43518:80"); // 169.254.169.254, for a resolver
        let daemon = Daemon::start(&["-c", &host]);
        assert_eq!(refused(&daemon), 403, "{scheme}");
        daemon.wait_for_log("peer not allowed: 169.254.169.254 is a link-local or metadata");
    }
}

#[test]
fn an_open_door_before_a_peer_on_loopback_is_said() {
    let says = |arguments: &[&str]| {
        let daemon = Daemon::start(arguments);
        daemon.log().iter().any(|line| line.contains("say who may come with --origin"))
    };
    let local = ["-c", "host=tcp://localhost:9"];
    assert!(says(&local));
    assert!(!says(&["-c", "host=tcp://192.0.2.1:9"]));
    assert!(!says(&[&local[..], &["--origin", "https://a.example"]].concat()));
    assert!(!says(&[&local[..], &["--deny", "192.0.2.0/24"]].concat()));
}
