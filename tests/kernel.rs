//! What the kernel and the resolver do once in a blue moon, on the real binary: a shim between the
//! daemon and the C library makes them do it. Row labels are the ids of the case catalogue in
//! `docs/testing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::plugins::{compile, scratch};
use common::{
    BASE, Client, Daemon, Digest, End, Event, PATIENCE, Peer, answer, eventually, frame, noise,
    open, upgrade,
};
use std::fs;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A directory of the test's own with the shim in it.
fn shim(test: &str) -> PathBuf {
    let directory = scratch(test);
    compile(&directory, "shim.so", "kernel/shim.c", &[]);
    directory
}

/// The daemon above the shim, which does what `variables` say.
fn above(directory: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Daemon {
    let shim = directory.join("shim.so");
    // In LD_PRELOAD a blank separates, which the way to this checkout may have.
    let shim = shim.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&shim);
    let preload = [("LD_PRELOAD", shim.to_str().unwrap())];
    Daemon::with_environment(&[&preload, variables].concat(), arguments)
}

/// In front of a TCP echo.
fn host(peer: &Peer) -> String {
    format!("host=tcp://127.0.0.1:{}", peer.port())
}

fn refused(daemon: &Daemon, request: &str) -> u16 {
    let mut stream = open(daemon.port());
    stream.write_all(request.as_bytes()).unwrap();
    answer(&mut stream, b"").status
}

#[track_caller]
fn echoes(client: &mut Client) {
    client.frame(0x82, b"hello");
    assert_eq!(client.message(), (2, b"hello".to_vec()));
}

/// E04: what accept(2) says of one client's network, or of the machine, ends the accepting for
/// nobody else, and for no longer than it lasts.
#[test]
fn accepting_goes_on_whatever_fails() {
    let errors = [
        ("ECONNABORTED", 103),
        ("EPROTO", 71),
        ("ENETDOWN", 100),
        ("EHOSTUNREACH", 113),
        ("EPERM", 1),
        ("EINTR", 4),
        ("ENOBUFS", 105),
        ("ENOMEM", 12),
        ("ENFILE", 23),
        ("EMFILE", 24),
    ];
    let directory = shim("accept");
    let peer = Peer::echo();
    for (name, number) in errors {
        let number = number.to_string();
        let variables = [("SHIM_ACCEPT", number.as_str()), ("SHIM_ACCEPTS", "3")];
        let daemon = above(&directory, &variables, &["-c", &host(&peer), "-c", "framing=binary"]);
        let start = Instant::now();
        let mut client = Client::connect(daemon.port());
        assert!(start.elapsed() < Duration::from_millis(1500), "{name}: {:?}", start.elapsed());
        echoes(&mut client);
        assert!(daemon.cpu_ms() < 300, "{name}: it spins");
        let used_up = ["ENOBUFS", "ENOMEM", "ENFILE", "EMFILE"].contains(&name);
        if used_up {
            daemon.wait_for_log("accepting again");
        }
        let complaints = daemon.log().iter().filter(|line| line.contains("cannot accept")).count();
        assert_eq!(complaints, usize::from(used_up), "{name}: {:?}", daemon.log());
        let over = daemon.log().iter().filter(|line| line.contains("accepting again")).count();
        assert_eq!(over, complaints, "{name}: {:?}", daemon.log());
    }
}

/// A05: an error that is not one client's is waited out and said, once; so is one of clients that
/// comes too often in a row. Nothing spins meanwhile.
#[test]
fn a05_an_error_of_accept_that_stays_is_said_and_waited_out() {
    let directory = shim("persistent");
    let peer = Peer::echo();
    for (name, number, times) in
        [("EACCES", "13", "6"), ("EINVAL", "22", "6"), ("ECONNABORTED", "103", "70")]
    {
        let variables = [("SHIM_ACCEPT", number), ("SHIM_ACCEPTS", times)];
        let daemon = above(&directory, &variables, &["-c", &host(&peer), "-c", "framing=binary"]);
        let start = Instant::now();
        let mut client = Client::connect(daemon.port());
        let waited = start.elapsed();
        assert!((1000..6000).contains(&waited.as_millis()), "{name}: {waited:?}");
        echoes(&mut client);
        assert!(daemon.cpu_ms() < 300, "{name}: it spins");
        daemon.wait_for_log("accepting again, after");
        let says = |text: &str| daemon.log().iter().filter(|line| line.contains(text)).count();
        assert_eq!(says("cannot accept"), 1, "{name}: {:?}", daemon.log());
        assert_eq!(says("accepting again, after"), 1, "{name}: {:?}", daemon.log());
    }
}

/// A10: what strangers send in the moment in which a datagram socket has an address, and does not
/// know yet whom to hear, is not the peer's.
#[test]
fn a10_datagrams_before_the_connect_are_not_delivered() {
    let directory = shim("strangers");
    let variables = [("SHIM_STRANGER", "1")];
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let host = format!("host=udp://{}", udp.local_addr().unwrap());
    let daemon = above(&directory, &variables, &["-c", &host, "-c", "framing=binary"]);
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"hello");
    let mut buffer = [0; 64];
    let (length, from) = udp.recv_from(&mut buffer).unwrap();
    udp.send_to(&buffer[..length], from).unwrap();
    assert_eq!(client.message(), (2, b"hello".to_vec()));

    let path = directory.join("peer");
    let unix = UnixDatagram::bind(&path).unwrap();
    let host = format!("host=unix-dgram://{}", path.display());
    let daemon = above(&directory, &variables, &["-c", &host, "-c", "framing=binary"]);
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"hello");
    let (length, from) = unix.recv_from(&mut buffer).unwrap();
    unix.send_to_addr(&buffer[..length], &from).unwrap();
    assert_eq!(client.message(), (2, b"hello".to_vec()));
}

/// What a router says of an earlier datagram, that it was too long for the path, is told by the next
/// call (ip(7)), and is no error of that one's.
#[test]
fn a_narrower_path_loses_no_datagram() {
    let directory = shim("narrow");
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = format!("host=udp://{}", peer.local_addr().unwrap());
    let arguments = ["-c", &host, "-c", "framing=binary"];
    let daemon = above(&directory, &[("SHIM_TOO_LONG", "1")], &arguments);
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"hello");
    let mut buffer = [0; 64];
    let (length, from) = peer.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"hello");
    peer.send_to(b"good day", from).unwrap();
    assert_eq!(client.message(), (2, b"good day".to_vec()));
    assert_eq!(client.close_now(), Some(1000));
}

/// A13: no thread is begun for a client: what a thread needs is taken at the start or not at all.
#[test]
fn a13_threads_begin_with_the_daemon() {
    let peer = Peer::echo();
    let daemon = told("threads", &["--query-threads", "3"]);
    let threads = || fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().count();
    let before = threads();
    assert!(before > 16, "{before} threads");
    for name in ["here.test", "there.test", "several.test"] {
        echoes(&mut Client::connect_with(daemon.port(), for_peer(name, &peer).as_bytes()));
    }
    assert_eq!(threads(), before);
}

/// E20, A17: a socket that cannot be watched is that session's end, with 503, and nobody else's.
#[test]
fn a17_a_full_poll_is_503_for_its_own_session() {
    let directory = shim("poll");
    let file = directory.join("room");
    let variables = [("SHIM_EPOLL", file.to_str().unwrap())];
    let peer = Peer::echo();
    let arguments = ["-c", &host(&peer), "-c", "framing=binary", "--close-timeout", "0.5"];
    let daemon = above(&directory, &variables, &arguments);
    let mut innocent = Client::connect(daemon.port());
    let inside = daemon.fds();
    for round in 0..3 {
        fs::write(&file, "0").unwrap(); // the client's own socket
        assert_eq!(refused(&daemon, BASE), 503, "round {round}");
        daemon.wait_for_log("cannot register with epoll: No space left on device");
        fs::write(&file, "1").unwrap(); // its peer's
        assert_eq!(refused(&daemon, BASE), 503, "round {round}");
        eventually("they are gone", || daemon.fds() == inside);
        echoes(&mut innocent);
    }
    echoes(&mut Client::connect(daemon.port()));
}

/// H66, E03: a peer that cannot be dialled because something of ours is used up is no bad gateway: 503
/// (RFC 9110 §15.6.4).
#[test]
fn what_is_used_up_is_503() {
    let directory = shim("socket");
    let peer = Peer::echo();
    for (name, number, status) in [
        ("EMFILE", "24", 503),
        ("ENFILE", "23", 503),
        ("ENOBUFS", "105", 503),
        ("EACCES", "13", 502),
    ] {
        let daemon = above(&directory, &[("SHIM_SOCKET", number)], &["-c", &host(&peer)]);
        assert_eq!(refused(&daemon, BASE), status, "{name}");
        let reason = if status == 503 { "out of resources" } else { "peer not reached" };
        daemon.wait_for_log(&format!("refused with {status}: {reason}"));
    }
}

/// P21, S10: a debugger comes and goes, signals at half of all calls: nothing is lost or doubled.
#[test]
fn interrupted_calls_are_made_again() {
    let directory = shim("interrupts");
    let peer = Peer::echo();
    let arguments = ["-c", &host(&peer), "-c", "framing=rfc6455"];
    let daemon = above(&directory, &[("SHIM_INTERRUPTS", "1")], &arguments);
    let payload = noise(4 << 20, 1);
    let mut client = Client::connect(daemon.port());
    let bytes: Vec<u8> = payload.chunks(10_000).flat_map(|part| frame(0x82, part)).collect();
    let mut writer = client.stream().try_clone().unwrap();
    let upload = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    assert_eq!(client.digest(payload.len() as u64), Digest::of(&payload));
    upload.join().unwrap();
    assert_eq!(client.close_now(), Some(1000));
    drop(client);
    daemon.settle();
    let before = daemon.cpu_ms();
    std::thread::sleep(Duration::from_millis(500));
    assert!(daemon.cpu_ms() - before <= 10, "it spins");
}

/// A daemon with the back end that takes the peer from the request.
fn told(test: &str, arguments: &[&str]) -> Daemon {
    let directory = shim(test);
    compile(&directory, "backend_told.so", "abi/backend.c", &[]);
    let plugins = ["--plugins", directory.to_str().unwrap(), "-b", "told"];
    above(&directory, &[], &[&plugins, arguments].concat())
}

/// A handshake for a peer of this name.
fn for_peer(name: &str, peer: &Peer) -> String {
    let fields = format!("Peer-Host: tcp://{name}:{}\r\nFraming: binary\r\n\r\n", peer.port());
    BASE.strip_suffix("\r\n").unwrap().to_owned() + &fields
}

/// P04: a resolver that says nothing costs the session that asked it a 504, on time, and nobody
/// else anything: neither those inside nor those whose names are known.
#[test]
fn a_silent_resolver_costs_its_own_session() {
    let peer = Peer::echo();
    let mut daemon = told("silent", &["--connect-timeout", "1.5"]);
    let mut inside = Client::connect_with(daemon.port(), for_peer("here.test", &peer).as_bytes());
    let start = Instant::now();
    let mut waiting: Vec<TcpStream> = (0..8)
        .map(|index| {
            let mut stream = open(daemon.port());
            let request = for_peer(&format!("{}.silent.test", index / 2), &peer);
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let gone = waiting.pop().unwrap();
    drop(gone); // and nobody minds
    let mut late = open(daemon.port());
    late.write_all(for_peer("late.test", &peer).as_bytes()).unwrap();
    while start.elapsed() < Duration::from_millis(1200) {
        let asked = Instant::now();
        echoes(&mut inside);
        assert!(asked.elapsed() < Duration::from_millis(300), "{:?}", asked.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    upgrade(&mut late, b"");
    echoes(&mut Client::over(late));
    for stream in &mut waiting {
        assert_eq!(answer(stream, b"").status, 504);
    }
    let took = start.elapsed();
    assert!((1400..3500).contains(&took.as_millis()), "{took:?}");
    assert_eq!(refused(&daemon, &for_peer("another.silent.test", &peer)), 504);
    // Nor does its end wait for the resolver.
    assert_eq!(inside.close_now(), Some(1000));
    drop((inside, waiting));
    daemon.signal("TERM");
    assert_eq!(daemon.exit_within(PATIENCE / 4).unwrap().code(), Some(0));
}

/// P03, P05, P06: a name with several addresses, of which the last one answers, is reached; one for
/// which nobody answers is a bad gateway.
#[test]
fn every_address_of_a_name_is_tried() {
    let peer = Peer::echo();
    let daemon = told("several", &[]);
    let start = Instant::now();
    let request = for_peer("several.test", &peer);
    let mut client = Client::connect_with(daemon.port(), request.as_bytes());
    echoes(&mut client);
    assert_eq!(client.close_now(), Some(1000));
    assert_eq!(client.event(), Event::End(End::Fin));
    let nobody = format!("Peer-Host: tcp://several.test:{}\r\n\r\n", common::free_port());
    let nobody = BASE.strip_suffix("\r\n").unwrap().to_owned() + &nobody;
    assert_eq!(refused(&daemon, &nobody), 502);
    assert!(start.elapsed() < Duration::from_secs(2), "refusals are not waited for");
}
