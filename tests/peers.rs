//! What a TCP peer may do to a session on the real binary: refuse, hang, talk first, stop reading,
//! end in every way. Nothing is lost and nothing grows. Row labels are the ids of the case
//! catalogue in `docs/testing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;
#[path = "peers/sources.rs"]
mod sources;

use common::{
    BASE, Blackhole, Client, Daemon, Digest, End, Event, PATIENCE, Peer, Received, answer, frame,
    free_port, header, netns, noise, open, reset, upgrade, within,
};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What one direction of a stalled session must carry without growing.
const STALLED: usize = 24 << 20;
/// What the daemon's memory may grow by while it carries that, KiB.
const GROWTH: u64 = 1024;

fn daemon_for(host: &str, arguments: &[&str]) -> Daemon {
    let host = format!("host={host}");
    Daemon::start(&[&["-c", &host, "-c", "framing=binary"], arguments].concat())
}

fn refused(daemon: &Daemon) -> u16 {
    let mut stream = open(daemon.port());
    stream.write_all(BASE.as_bytes()).unwrap();
    answer(&mut stream, b"").status
}

/// P01, P03, H66: a peer that is not there is a bad gateway (RFC 9110 §15.6.3).
#[test]
fn a_peer_that_refuses_is_502() {
    let hosts = [
        format!("tcp://127.0.0.1:{}", free_port()),
        format!("tcp://[::1]:{}", free_port()),
        "tcp://no-such-host.invalid:80".to_owned(), // RFC 6761 §6.4: never resolves
    ];
    for host in hosts {
        // A machine whose resolver is out of reach needs ten seconds to say so (resolv.conf(5)).
        let daemon = daemon_for(&host, &["--connect-timeout", "18"]);
        assert_eq!(refused(&daemon), 502, "{host}");
    }
}

/// The daemon in front of several peers.
fn daemon_for_all(ports: &[u16], arguments: &[&str]) -> Daemon {
    let hosts: Vec<_> = ports.iter().map(|port| format!("host=tcp://127.0.0.1:{port}")).collect();
    let hosts: Vec<_> = hosts.iter().flat_map(|host| ["-c", host]).collect();
    Daemon::start(&[&hosts, arguments].concat())
}

/// One session, in how much time it is there.
fn reached(daemon: &Daemon) -> (Client, Duration) {
    let start = Instant::now();
    let mut client = Client::connect(daemon.port());
    client.frame(0x82, b"you?");
    assert_eq!(client.message().1, b"you?");
    (client, start.elapsed())
}

/// A peer that hangs leaves time for those behind it, and whoever could not be reached rests.
#[test]
fn a_peer_that_cannot_be_reached_is_passed_by() {
    let (hole, echo) = (Blackhole::new(), Peer::echo());
    let ports = [hole.port(), free_port(), echo.port()];
    let more = ["-c", "retry-after=2", "--connect-timeout", "3"];
    let daemon = daemon_for_all(&ports, &more);
    let (_first, took) = reached(&daemon);
    assert!((Duration::from_millis(900)..Duration::from_secs(3)).contains(&took), "{took:?}");
    for (port, next) in [(ports[0], ports[1]), (ports[1], ports[2])] {
        let line = daemon.wait_for_log(&format!("tcp://127.0.0.1:{port}: peer not reached"));
        assert!(line.ends_with(&format!("; the next is tcp://127.0.0.1:{next}")), "{line}");
    }
    let (_second, took) = reached(&daemon);
    assert!(took < Duration::from_millis(900), "the others rest: {took:?}");
    std::thread::sleep(Duration::from_secs(2));
    let (_third, took) = reached(&daemon);
    assert!(took >= Duration::from_millis(900), "they are tried again: {took:?}");
    let hosts = [free_port(), free_port()];
    assert_eq!(refused(&daemon_for_all(&hosts, &[])), 502, "none is there");
}

#[test]
fn clients_are_spread_over_peers() {
    let dials = |peers: &[Peer; 2]| peers.each_ref().map(Peer::dials);
    for (balance, expected) in [("first", [6, 0]), ("least", [3, 3])] {
        let peers = [Peer::echo(), Peer::echo()];
        let balance = format!("balance={balance}");
        let daemon = daemon_for_all(&peers.each_ref().map(Peer::port), &["-c", &balance]);
        let _clients: Vec<_> = (0..6).map(|_| reached(&daemon)).collect();
        assert_eq!(dials(&peers), expected, "{balance}");
    }
    let peers = [Peer::echo(), Peer::echo()];
    let daemon = daemon_for_all(&peers.each_ref().map(Peer::port), &["-c", "balance=hash"]);
    let _clients: Vec<_> = (0..6).map(|_| reached(&daemon)).collect();
    assert!(dials(&peers).contains(&6), "one client, one peer: {:?}", dials(&peers));
    // Whose session is over does not count any more.
    let peers = [Peer::echo(), Peer::echo()];
    let daemon = daemon_for_all(&peers.each_ref().map(Peer::port), &["-c", "balance=least"]);
    let (_stays, _) = reached(&daemon);
    for ended in 1..=3 {
        reached(&daemon).0.close_now();
        let all = || daemon.log().iter().filter(|line| line.contains("ended: ")).count();
        assert!(within(PATIENCE, || all() == ended));
    }
    assert!(dials(&peers).contains(&3) && dials(&peers).contains(&1), "{:?}", dials(&peers));
}

/// P07: what the kernel refuses before a packet is sent is a bad gateway, too.
#[test]
fn an_address_that_cannot_be_dialled_is_502() {
    // Broadcast and multicast: no TCP connection leads there, whatever the routes.
    for host in ["tcp://255.255.255.255:1", "tcp://224.0.0.1:1", "tcp://[ff02::1]:1"] {
        let daemon = daemon_for(host, &[]);
        let start = Instant::now();
        assert_eq!(refused(&daemon), 502, "{host}");
        assert!(start.elapsed() < Duration::from_secs(1), "{host}: {:?}", start.elapsed());
    }
}

/// P02, H66: a peer that does not answer is a gateway timeout, on time, and costs nobody else any.
#[test]
fn a_peer_that_hangs_is_504() {
    let hole = Blackhole::new();
    let daemon =
        daemon_for(&format!("tcp://127.0.0.1:{}", hole.port()), &["--connect-timeout", "1"]);
    let start = Instant::now();
    assert_eq!(refused(&daemon), 504);
    let took = start.elapsed();
    assert!((950..2500).contains(&took.as_millis()), "{took:?}");
}

/// P05, P06: names, literals and the port beside the host.
#[test]
fn peers_are_found_by_name_and_by_address() {
    let peer = Peer::echo();
    let port = peer.port();
    let rows: [(String, &[&str]); 4] = [
        (format!("tcp://127.0.0.1:{port}"), &[]),
        (format!("tcp://localhost:{port}"), &[]),
        ("tcp://localhost".to_owned(), &[&format!("port={port}")]),
        (format!("127.0.0.1:{port}"), &[]),
    ];
    for (host, settings) in rows {
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["-c", setting]).collect();
        let daemon = daemon_for(&host, &settings);
        let mut client = Client::connect(daemon.port());
        client.frame(0x82, b"hello");
        assert_eq!(client.message(), (2, b"hello".to_vec()), "{host}");
    }
}

/// P06: an address that hangs costs its attempt, not the session (RFC 8305 §5).
#[test]
fn a_dead_address_is_passed_by() {
    let peer = Peer::echo();
    let Ok(_hole) = Blackhole::at(SocketAddr::from((Ipv6Addr::LOCALHOST, peer.port()))) else {
        return; // a machine without IPv6 has no second address to race
    };
    let daemon = daemon_for(&format!("tcp://localhost:{}", peer.port()), &[]);
    let start = Instant::now();
    let mut client = Client::connect(daemon.port());
    // One address after the other would take until the connect deadline, ten seconds.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    client.frame(0x82, b"hello");
    assert_eq!(client.message(), (2, b"hello".to_vec()));
}

/// P10, P12, P13: what a peer says first, last, or only, arrives; then 1000.
#[test]
fn what_a_peer_says_before_it_ends_arrives() {
    let rows: [(&str, &str, &str, &[&str]); 6] = [
        ("P10", "binary", "", &[]),
        ("P12", "binary", "first", &["first"]),
        ("P13", "newline", "line1\r\ntail", &["line1\r\n", "tail"]),
        ("P13", "newline", "line1\r\nline2\r\n", &["line1\r\n", "line2\r\n"]),
        ("P13", "auto", "no end", &["no end"]),
        ("P13 code point", "auto", "cut \u{e9}", &["cut \u{e9}"]),
    ];
    for (id, framing, said, expected) in rows {
        let peer = Peer::speaks(said.into());
        let daemon = Daemon::before(&peer, framing, &[]);
        let mut client = Client::connect(daemon.port());
        let mut heard = Vec::new();
        while heard.len() < expected.len() {
            heard.push(String::from_utf8(client.message().1).unwrap());
        }
        assert_eq!(heard, expected, "{id}");
        assert_eq!(client.end(), Some(1000), "{id}");
    }
}

/// P13: a peer that ends with much in flight and a client that is slow to fetch it.
#[test]
fn a_peers_last_megabytes_arrive() {
    let bytes = noise(8 << 20, 1);
    let peer = Peer::speaks(bytes.clone());
    for framing in ["binary", "auto"] {
        let daemon = Daemon::before(&peer, framing, &[]);
        let mut client = Client::connect(daemon.port());
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(client.digest(bytes.len() as u64), Digest::of(&bytes), "{framing}");
        assert_eq!(client.end(), Some(1000), "{framing}");
    }
}

/// P14: a peer that has said all it had may still listen: the client's late bytes reach it.
#[test]
fn a_peer_may_end_its_direction_only() {
    let (sender, received) = channel();
    let peer = Peer::serve(move |mut stream| {
        stream.write_all(b"over").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        sender.send(Received::from(stream)).unwrap();
    });
    let daemon = Daemon::before(&peer, "binary", &[]);
    let mut client = Client::connect(daemon.port());
    assert_eq!(client.message(), (2, b"over".to_vec()));
    let late = noise(1 << 20, 2);
    client.send(&frame(0x82, &late));
    assert_eq!(client.end(), Some(1000));
    let received = received.recv_timeout(PATIENCE).unwrap();
    assert_eq!((received.digest, received.end), (Digest::of(&late), End::Fin));
}

/// P14: a client that has much to say has as long as it goes on saying it, not the close time-out.
#[test]
fn a_long_upload_outlives_the_peers_end() {
    let (sender, received) = channel();
    let peer = Peer::serve(move |stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        sender.send(Received::from(stream)).unwrap();
    });
    let daemon = Daemon::before(&peer, "binary", &["--close-timeout", "0.5"]);
    let mut client = Client::connect(daemon.port());
    let payload = noise(20_000, 12);
    for piece in payload.chunks(1_000) {
        client.frame(0x82, piece);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(client.closed(), Some(1000));
    client.close(1000);
    let received = received.recv_timeout(PATIENCE).unwrap();
    assert_eq!((received.digest, received.end), (Digest::of(&payload), End::Fin));
}

/// P11, P22: a peer that resets: what had arrived is delivered, then 1011.
#[test]
fn a_reset_by_the_peer_is_1011() {
    for said in [&b""[..], b"last words"] {
        let peer = Peer::serve(move |mut stream| {
            stream.write_all(said).unwrap();
            // An RST destroys what the daemon has not read yet: give it the time.
            std::thread::sleep(Duration::from_millis(50));
            reset(stream);
        });
        let daemon = Daemon::before(&peer, "binary", &[]);
        let mut client = Client::connect(daemon.port());
        if !said.is_empty() {
            assert_eq!(client.message(), (2, said.to_vec()));
        }
        assert_eq!(client.end(), Some(1011), "{said:?}");
    }
}

/// P22: what a peer said before it reset arrives, even if the first that is noticed of the reset is
/// a write that fails.
#[test]
fn last_words_before_a_reset_arrive() {
    let (say, told) = channel::<()>();
    let told = std::sync::Mutex::new(told);
    let peer = Peer::serve(move |mut stream| {
        told.lock().unwrap().recv().unwrap();
        stream.write_all(b"last words").unwrap();
        reset(stream);
    });
    let daemon = Daemon::before(&peer, "binary", &[]);
    let mut client = Client::connect(daemon.port());
    daemon.signal("STOP"); // so that all of it has happened when it next looks
    client.frame(0x82, b"a question");
    say.send(()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    daemon.signal("CONT");
    assert_eq!(client.message(), (2, b"last words".to_vec()));
    assert_eq!(client.end(), Some(1011));
}

/// P23: a peer that resets while the client sends: no signal, no hang, 1011.
#[test]
fn a_reset_under_upload_is_1011() {
    let peer = Peer::serve(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        reset(stream);
    });
    let daemon = Daemon::before(&peer, "binary", &[]);
    let mut client = Client::connect(daemon.port());
    client.try_send(&frame(0x82, &noise(8 << 20, 3)));
    assert_eq!(client.end(), Some(1011));
}

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Close,
    Fin,
    Reset,
}

/// P15: however a client leaves, all it sent is with the peer, and then EOF.
#[test]
fn all_that_a_client_sent_reaches_the_peer() {
    for (leave, len) in [(Leave::Close, 1 << 20), (Leave::Fin, 1 << 20), (Leave::Reset, 16 << 10)] {
        let (sender, received) = channel();
        let peer = Peer::serve(move |stream| {
            std::thread::sleep(Duration::from_millis(200)); // it must be queued when the client goes
            sender.send(Received::from(stream)).unwrap();
        });
        let daemon = Daemon::before(&peer, "binary", &[]);
        let payload = noise(len, 4);
        let mut client = Client::connect(daemon.port());
        client.send(&frame(0x82, &payload));
        match leave {
            Leave::Close => assert_eq!(client.close_now(), Some(1000)),
            Leave::Fin => client.finish(),
            Leave::Reset => {
                std::thread::sleep(Duration::from_millis(100)); // an RST takes unread bytes with it
                client.reset();
            }
        }
        let received = received.recv_timeout(PATIENCE).unwrap();
        assert_eq!((received.digest, received.end), (Digest::of(&payload), End::Fin), "{leave:?}");
    }
}

/// P15, P16: the bytes of a client that has left wait for a peer that pauses, not for the client's
/// close time-out. The sizes are such that some of them end in the daemon's own queue.
#[test]
fn a_client_that_left_is_not_forgotten() {
    let (sender, received) = channel();
    let peer = Peer::serve(move |stream| {
        std::thread::sleep(Duration::from_secs(2));
        sender.send(Received::from(stream).digest).unwrap();
    });
    let daemon = Daemon::before(&peer, "binary", &["--close-timeout", "0.3"]);
    let payload = noise(6 << 20, 11);
    let lengths = || (0..30).map(|step| (3 << 20) + step / 2 * 200_000);
    std::thread::scope(|scope| {
        for (step, len) in lengths().enumerate() {
            let (port, payload) = (daemon.port(), &payload[..len]);
            scope.spawn(move || {
                let mut client = Client::connect(port);
                client.send(&frame(0x82, payload));
                if step % 2 == 0 {
                    client.close(1000);
                } else {
                    client.finish();
                }
                while !matches!(client.event(), Event::End(_)) {}
            });
        }
    });
    let mut digests: Vec<_> = lengths().map(|_| received.recv_timeout(PATIENCE).unwrap()).collect();
    digests.sort_unstable();
    let expected: Vec<_> = lengths().map(|len| Digest::of(&payload[..len])).collect();
    assert_eq!(digests, expected);
}

/// P15: nor is what the kernel still holds for a peer that is slow and answers as it reads: to close
/// the socket under it would reset it.
#[test]
fn the_kernels_bytes_reach_a_slow_peer_that_talks() {
    let (sender, received) = channel();
    let peer = Peer::serve(move |mut stream| {
        let (mut total, mut buffer) = (0, vec![0; 64 << 10]);
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            total += n;
            let _ = stream.write_all(b"so far so good");
            std::thread::sleep(Duration::from_millis(50));
        }
        sender.send(total).unwrap();
    });
    let arguments = ["--close-timeout", "0.5", "--write-timeout", "2", "-k", "2.5"];
    let daemon = Daemon::before(&peer, "binary", &arguments);
    let payload = noise(3 << 20, 13);
    let mut client = Client::connect(daemon.port());
    // A deadline that was served long before does not count.
    assert!(matches!(client.event(), Event::Ping(_)));
    client.frame(0x8a, b"");
    client.send(&frame(0x82, &payload));
    assert_eq!(client.close_now(), Some(1000));
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), payload.len());
}

/// P13, P18: what the kernel holds for a client counts as well when the peer was the one to end: the
/// client has time as long as it takes some.
#[test]
fn the_kernels_bytes_reach_a_slow_client() {
    let payload = noise(2 << 20, 14);
    let header = header(0x82, 0, payload.len() as u64);
    let peer = Peer::speaks([&header[..], &payload, b"\x88\x02\x03\xe8"].concat());
    let daemon = Daemon::before(&peer, "rfc6455", &["--close-timeout", "0.5"]);
    let mut client = Client::connect(daemon.port());
    // What the client's own kernel has is nobody's business.
    socket2::SockRef::from(client.stream()).set_recv_buffer_size(32 << 10).unwrap();
    let mut received = Vec::new();
    while let Event::Data(_, _, piece) = client.event() {
        received.extend_from_slice(&piece);
        // A socket that is closed too early answers this with a reset.
        client.try_send(&frame(0x8a, b""));
        std::thread::sleep(Duration::from_millis(150));
    }
    assert_eq!(Digest::of(&received), Digest::of(&payload));
}

/// P18: and no longer.
#[test]
fn a_client_that_takes_nothing_is_not_waited_for() {
    let peer = Peer::speaks(noise(200 << 10, 17));
    let arguments = ["--close-timeout", "0.5", "--write-timeout", "2"];
    let daemon = Daemon::before(&peer, "binary", &arguments);
    let mute = Client::connect(daemon.port());
    let start = Instant::now();
    let ended = || daemon.log().iter().any(|line| line.contains("ended: peer closed"));
    assert!(within(Duration::from_secs(6), ended), "it is waited for, for ever");
    assert!(start.elapsed() > Duration::from_millis(1500), "{:?}", start.elapsed());
    drop(mute);
}

/// What the kernel holds for a client that was reset means nothing, though no read says so because
/// the client has sent more than is read from one that has closed.
#[test]
fn a_reset_client_is_not_waited_for() {
    let peer = Peer::speaks(noise(200 << 10, 15)); // more than the client's kernel takes
    let arguments = ["--close-timeout", "0.5", "--write-timeout", "0"];
    let daemon = Daemon::before(&peer, "binary", &arguments);
    let mut client = Client::connect(daemon.port());
    socket2::SockRef::from(client.stream()).set_recv_buffer_size(16 << 10).unwrap();
    client.close(1000);
    client.stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    client.try_send(&noise(16 << 20, 16));
    client.reset();
    let gone = || daemon.log().iter().any(|line| line.contains("ended: "));
    assert!(within(Duration::from_secs(5), gone), "{:?}", daemon.log());
}

/// A peer that talks on after its client has left is not read for nobody.
#[test]
fn a_peer_without_a_client_is_not_read_for_long() {
    let (sender, written) = channel();
    let peer = Peer::serve(move |mut stream| {
        let mut total = 0;
        while let Ok(taken @ 1..) = stream.write(&[b'x'; 65_536]) {
            total += taken;
        }
        sender.send(total).unwrap();
    });
    let daemon = Daemon::before(&peer, "binary", &["--close-timeout", "1"]);
    let mut client = Client::connect(daemon.port());
    client.digest(1 << 20);
    assert_eq!(client.close_now(), Some(1000));
    let written = written.recv_timeout(PATIENCE).unwrap();
    assert!(written < 32 << 20, "{written} bytes read for nobody");
}

/// A session that was through all that the test will do once, so that the code is in memory.
fn warm(daemon: &Daemon, len: usize) {
    let mut client = Client::connect(daemon.port());
    let bytes = frame(0x82, &noise(len, 5));
    let mut writer = client.stream().try_clone().unwrap();
    let sender = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    client.digest(len as u64);
    sender.join().unwrap();
    client.close_now();
    daemon.settle();
}

/// P16: a peer that does not read stops the client, not the daemon, and gets everything later.
#[test]
fn a_stalled_peer_stops_the_client() {
    let (resume, stalled) = channel::<()>();
    let (sender, received) = channel();
    let stalled = std::sync::Mutex::new(stalled);
    let peer = Peer::serve(move |stream| {
        stalled.lock().unwrap().recv().unwrap();
        sender.send(Received::from(stream)).unwrap();
    });
    let daemon = Daemon::before(&peer, "binary", &[]);
    resume.send(()).unwrap();
    Client::connect(daemon.port()).frame(0x82, &noise(1 << 16, 6));
    received.recv_timeout(PATIENCE).unwrap();
    let payload = noise(STALLED, 7);
    let mut client = Client::connect(daemon.port());
    daemon.reset_peak();
    let before = daemon.rss_kib();
    let bytes: Vec<u8> = payload.chunks(1 << 18).flat_map(|part| frame(0x82, part)).collect();
    let mut writer = client.stream().try_clone().unwrap();
    let upload = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    std::thread::sleep(Duration::from_millis(500));
    assert!(!upload.is_finished(), "{STALLED} bytes went somewhere");
    assert_quiet(&daemon);
    resume.send(()).unwrap();
    upload.join().unwrap();
    assert_eq!(client.close_now(), Some(1000));
    assert_eq!(received.recv_timeout(PATIENCE).unwrap().digest, Digest::of(&payload));
    assert_flat(&daemon, before);
}

/// P17: a client that does not read stops the peer, not the daemon, and gets everything later.
#[test]
fn a_stalled_client_stops_the_peer() {
    let payload = noise(STALLED, 8);
    let bytes = payload.clone();
    let peer = Peer::serve(move |mut stream| {
        let Ok(1) = stream.read(&mut [0]) else { return };
        let _ = stream.write_all(&bytes);
    });
    for framing in ["binary", "auto"] {
        let daemon = Daemon::before(&peer, framing, &["--ping", "0"]);
        let mut warm = Client::connect(daemon.port());
        warm.frame(0x82, b"!");
        warm.digest(1 << 20);
        drop(warm);
        daemon.settle();
        let mut client = Client::connect(daemon.port());
        daemon.reset_peak();
        let before = daemon.rss_kib();
        client.frame(0x82, b"!");
        std::thread::sleep(Duration::from_millis(500));
        assert_quiet(&daemon);
        assert_eq!(client.digest(STALLED as u64), Digest::of(&payload), "{framing}");
        assert_eq!(client.end(), Some(1000), "{framing}");
        assert_flat(&daemon, before);
    }
}

/// P16, P17 at once: both sides full, and a third session that does not notice.
#[test]
fn an_echo_that_nobody_reads_recovers() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    warm(&daemon, 1 << 20);
    let payload = noise(STALLED, 9);
    let mut client = Client::connect(daemon.port());
    daemon.reset_peak();
    let before = daemon.rss_kib();
    let bytes = frame(0x82, &payload);
    let mut writer = client.stream().try_clone().unwrap();
    let upload = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    std::thread::sleep(Duration::from_millis(500));
    let mut other = Client::connect(daemon.port());
    other.frame(0x81, b"still there");
    assert_eq!(other.message(), (1, b"still there".to_vec()));
    drop(other);
    assert_eq!(client.digest(STALLED as u64), Digest::of(&payload));
    upload.join().unwrap();
    assert_eq!(client.close_now(), Some(1000));
    assert_flat(&daemon, before);
}

/// A 64 MiB message comes back as one frame, in bounded memory.
#[test]
fn a_large_message_streams() {
    const LEN: usize = 64 << 20;
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    warm(&daemon, 1 << 20);
    let payload = noise(LEN, 10);
    let expected = Digest::of(&payload);
    let bytes = frame(0x82, &payload);
    drop(payload);
    let mut client = Client::connect(daemon.port());
    daemon.reset_peak();
    let before = daemon.rss_kib();
    let mut writer = client.stream().try_clone().unwrap();
    let upload = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    assert_eq!(client.digest(LEN as u64), expected);
    upload.join().unwrap();
    assert_eq!(client.close_now(), Some(1000));
    assert_flat(&daemon, before);
}

/// A daemon that waits for somebody else does not turn in circles. The kernel's buffers may take a
/// while to fill first.
fn assert_quiet(daemon: &Daemon) {
    let busy = || {
        let before = daemon.cpu_ms();
        std::thread::sleep(Duration::from_millis(300));
        daemon.cpu_ms() - before
    };
    assert!(within(Duration::from_secs(6), || busy() <= 10), "it never comes to rest");
}

fn assert_flat(daemon: &Daemon, before: u64) {
    let peak = daemon.peak_kib();
    assert!(peak < before + GROWTH, "{before} KiB before, {peak} KiB at most");
}

/// P18: a slow reader lives as long as it takes something, one that takes nothing does not.
#[test]
fn a_slow_reader_lives_and_a_dead_one_does_not() {
    let peer = Peer::serve(|mut stream| while stream.write_all(&[b'x'; 65_536]).is_ok() {});
    let limits = ["--write-timeout", "1", "--close-timeout", "0.5", "-k", "0"];
    let daemon = Daemon::before(&peer, "binary", &limits);
    let mut slow = Client::connect(daemon.port());
    let both = daemon.fds() + 2;
    let dead = Client::connect(daemon.port());
    assert_eq!(daemon.fds(), both);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        slow.digest(1 << 20);
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(daemon.fds(), both - 2, "the dead reader's descriptors are gone, and only those");
    slow.digest(1 << 20);
    drop((slow, dead));
}

/// P24: sessions of which one side, the other, or both have ended in some way, and whose rest is
/// waited for: the daemon wakes up for none of them.
#[test]
fn sessions_that_are_half_over_are_at_rest() {
    const ENDINGS: [&str; 3] = ["none", "fin", "reset"];
    let (arrived, peers) = channel::<TcpStream>();
    let arrived = std::sync::Mutex::new(arrived);
    let peer = Peer::serve(move |stream| arrived.lock().unwrap().send(stream).unwrap());
    let limits = ["--close-timeout", "60", "--write-timeout", "0", "-k", "0"];
    let daemon = Daemon::before(&peer, "binary", &limits);
    let mut kept = Vec::new();
    for of_client in ["none", "fin", "close"] {
        for of_peer in ENDINGS {
            let mut client = Client::connect(daemon.port());
            let stream = peers.recv_timeout(PATIENCE).unwrap();
            match of_client {
                "fin" => client.finish(),
                "close" => client.close(1000),
                _ => {}
            }
            match of_peer {
                "fin" => stream.shutdown(Shutdown::Write).unwrap(),
                "reset" => {
                    reset(stream);
                    kept.push((client, None));
                    continue;
                }
                _ => {}
            }
            kept.push((client, Some(stream)));
        }
    }
    let mut half_a_head = open(daemon.port());
    half_a_head.write_all(&BASE.as_bytes()[..20]).unwrap();
    half_a_head.shutdown(Shutdown::Write).unwrap();
    assert_quiet(&daemon);
    let before = daemon.cpu_ms();
    std::thread::sleep(Duration::from_secs(1));
    let spent = daemon.cpu_ms() - before;
    assert!(spent <= 10, "{spent} ms of CPU in a second of waiting");
}

/// F8: clients whose libraries stop at 64 KiB get no longer message, however much a read brought.
#[test]
fn f08_messages_are_as_long_as_the_operator_says() {
    const SENT: usize = 3 << 20;
    let peer = Peer::speaks(vec![0x81; SENT]);
    for (framing, option, longest) in
        [("auto", None, 65_536), ("binary", None, 65_536), ("binary", Some("125"), 125)]
    {
        let option: Vec<&str> = option.iter().flat_map(|most| ["--max-message", most]).collect();
        let daemon = Daemon::before(&peer, framing, &option);
        let mut client = Client::connect(daemon.port());
        daemon.signal("STOP"); // so that a read finds more than that
        std::thread::sleep(Duration::from_millis(50));
        daemon.signal("CONT");
        let (mut received, mut most) = (0, 0);
        while received < SENT {
            let (kind, message) = client.message();
            assert_eq!(kind, 2);
            received += message.len();
            most = most.max(message.len());
        }
        assert_eq!((received, most), (SENT, longest), "{framing}");
        assert_eq!(client.end(), Some(1000));
    }
}

/// F10: text for clients that take nothing else: a character that a read cut is whole, bytes that are
/// none are U+FFFD, and lines come without their ends where that is asked for.
#[test]
fn f10_text_for_clients_that_take_nothing_else() {
    let pieces: [&[u8]; 4] =
        [b"gr\xc3\xbc\xc3", b"\x9fe\r\nlatin: \xfc\r\n", b"\r\nend ", b"\xe2\x82"];
    let peer = Peer::serve(move |mut stream| {
        for piece in pieces {
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    for (framing, config, expected) in [
        ("newline", "text:strip:crlf", &["grüße", "latin: \u{fffd}", "", "end \u{fffd}"][..]),
        ("newline", "text:crlf", &["grüße\r\n", "latin: \u{fffd}\r\n", "\r\n", "end \u{fffd}"]),
        ("auto", "text", &["gr\u{fc}", "ße\r\nlatin: \u{fffd}\r\n", "\r\nend ", "\u{fffd}"]),
    ] {
        let option = format!("framing-config={config}");
        let daemon = Daemon::before(&peer, framing, &["-c", &option]);
        let mut client = Client::connect(daemon.port());
        for text in expected {
            assert_eq!(client.message(), (1, text.as_bytes().to_vec()), "{framing}, {config}");
        }
        assert_eq!(client.end(), Some(1000), "{framing}, {config}");
    }
}

/// P28, F9: a peer whose bytes make no message until its buffer is full: they go on in parts.
#[test]
fn f09_a_message_that_never_ends_goes_in_parts() {
    let bytes = [b"one\r\n".as_slice(), &[b'x'; 20_000]].concat();
    let peer = Peer::speaks(bytes);
    for (framing, config) in [("newline", "crlf"), ("separator", r"\r\n")] {
        let config = format!("framing-config={config}");
        let daemon = Daemon::before(&peer, framing, &["-c", &config]);
        let mut client = Client::connect(daemon.port());
        assert_eq!(client.message().1, b"one\r\n", "{framing}");
        let (_, rest) = client.message();
        assert!(rest.len() == 20_000 && rest.iter().all(|byte| *byte == b'x'), "{framing}");
        assert_eq!(client.end(), Some(1000), "{framing}");
    }
}

/// P28, F9: how reads cut the stream does not show in the messages.
#[test]
fn f09_a_long_message_is_the_same_however_it_comes() {
    for length in [16_384, 16_385, 100_000] {
        for pause in [false, true] {
            let mut bytes = vec![b'x'; length];
            bytes[length - 1] = b'\n';
            let peer = Peer::serve(move |mut stream| {
                let (first, last) = bytes.split_at(bytes.len() / 2);
                stream.write_all(first).unwrap();
                std::thread::sleep(Duration::from_millis(if pause { 100 } else { 0 }));
                stream.write_all(last).unwrap();
            });
            let daemon = Daemon::before(&peer, "newline", &["-c", "framing-config=lf"]);
            let mut client = Client::connect(daemon.port());
            assert_eq!(client.message().1.len(), length);
            assert_eq!(client.end(), Some(1000), "{length}, {pause}");
        }
    }
}

/// P36: bytes behind urgent data arrive at once, though a read stops before it.
#[test]
fn urgent_data_holds_nothing_back() {
    let (say, told) = channel::<()>();
    let told = std::sync::Mutex::new(told);
    let peer = Peer::serve(move |stream| {
        told.lock().unwrap().recv().unwrap();
        let socket = socket2::Socket::from(stream);
        socket.send(b"before").unwrap();
        socket.send_out_of_band(b"!").unwrap();
        socket.send(b"behind").unwrap();
        let _ = Received::from(TcpStream::from(socket));
    });
    let daemon = Daemon::before(&peer, "binary", &[]);
    let mut client = Client::connect(daemon.port());
    daemon.signal("STOP"); // so that all of it is there when it next looks
    say.send(()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    daemon.signal("CONT");
    assert_eq!(client.message(), (2, b"before".to_vec()));
    assert_eq!(client.message(), (2, b"behind".to_vec()));
    assert_quiet(&daemon);
    assert_eq!(client.close_now(), Some(1000));
}

/// P36: urgent data is data that nobody asked for: it neither wakes the daemon up for ever nor
/// ends the session.
#[test]
fn urgent_data_does_no_harm() {
    let peer = Peer::serve(|stream| {
        let socket = socket2::Socket::from(stream);
        socket.send_out_of_band(b"!").unwrap();
        socket.send(b"data").unwrap();
        let _ = Received::from(TcpStream::from(socket));
    });
    let daemon = Daemon::before(&peer, "binary", &[]);
    let mut client = Client::connect(daemon.port());
    assert_eq!(client.message(), (2, b"data".to_vec()));
    assert_quiet(&daemon);
    assert_eq!(client.close_now(), Some(1000));
}

/// P43: peer and client end in the same moment, again and again, in every combination.
#[test]
fn both_sides_may_end_in_one_moment() {
    let (go, gone) = channel::<TcpStream>();
    let gone: Receiver<TcpStream> = gone;
    let peer = Peer::serve(move |stream| go.send(stream).unwrap());
    let daemon = Daemon::before(&peer, "binary", &[]);
    for round in 0..200 {
        let mut client = Client::connect(daemon.port());
        let stream = gone.recv_timeout(PATIENCE).unwrap();
        match round % 4 {
            0 => drop(stream),
            1 => reset(stream),
            _ => stream.shutdown(Shutdown::Write).unwrap(),
        }
        match round % 3 {
            0 => drop(client),
            1 => client.reset(),
            _ => {
                client.close(1000);
                assert!(matches!(client.closed(), Some(1000 | 1011)));
                assert_eq!(client.event(), Event::End(End::Fin));
            }
        }
    }
}

/// P38: a bridge before itself is a bridge before an HTTP server.
#[test]
fn a_bridge_may_stand_before_a_bridge() {
    let peer = Peer::echo();
    let inner = Daemon::before(&peer, "rfc6455", &[]);
    let outer = daemon_for(&format!("tcp://127.0.0.1:{}", inner.port()), &[]);
    let mut stream = open(outer.port());
    upgrade(&mut stream, BASE.as_bytes());
    let mut client = Client::over(stream);
    client.frame(0x82, BASE.as_bytes());
    let (_, answer) = client.message();
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{:?}", String::from_utf8_lossy(&answer));
}

/// A port of the daemon's own network that the kernel may choose for its sockets.
const EPHEMERAL: u16 = 40_004;
/// Few enough ports that a socket soon gets the peer's own.
const FEW_PORTS: &str = "echo '40000 40015' > /proc/sys/net/ipv4/ip_local_port_range";

/// A02: where nobody has the peer's port, a connection to it sooner or later meets itself. That is a
/// refusal like the others, the client never hears itself, and the port is free for its owner.
#[test]
fn a02_a_self_connect_is_a_refusal() {
    let host = format!("host=tcp://127.0.0.1:{EPHEMERAL}");
    let Some(daemon) = netns::daemon(FEW_PORTS, &["-c", &host, "-c", "framing=binary"]) else {
        return;
    };
    let met_itself = || daemon.log().iter().any(|line| line.contains("the connection itself"));
    netns::inside(&daemon, || {
        for attempt in 0..2000 {
            let mut stream = from_no_ephemeral_port(daemon.port());
            stream.write_all(BASE.as_bytes()).unwrap();
            assert_eq!(answer(&mut stream, b"").status, 502, "attempt {attempt}");
            if met_itself() {
                break;
            }
        }
        assert!(met_itself(), "2,000 connections did not, so this shows nothing");
        let owner = std::net::TcpListener::bind(("127.0.0.1", EPHEMERAL)).unwrap();
        let mut stream = from_no_ephemeral_port(daemon.port());
        stream.write_all(BASE.as_bytes()).unwrap();
        drop(owner.accept().unwrap());
        upgrade(&mut stream, b"");
        assert_eq!(Client::over(stream).end(), Some(1000));
    });
}

/// A02: nor does a datagram socket hear itself.
#[test]
fn a02_a_datagram_socket_does_not_hear_itself() {
    let host = format!("host=udp://127.0.0.1:{EPHEMERAL}");
    let Some(daemon) = netns::daemon(FEW_PORTS, &["-c", &host, "-c", "framing=binary"]) else {
        return;
    };
    netns::inside(&daemon, || {
        for attempt in 0..200 {
            let mut stream = from_no_ephemeral_port(daemon.port());
            upgrade(&mut stream, BASE.as_bytes());
            let mut client = Client::over(stream);
            client.frame(0x82, b"is anybody there?");
            client.frame(0x89, b"");
            assert_eq!(client.event(), Event::Pong(vec![]), "attempt {attempt}");
            client.close(1000);
            assert!(matches!(client.event(), Event::Close(..)), "attempt {attempt}");
        }
    });
}

/// A connection that leaves the few ports to the daemon.
fn from_no_ephemeral_port(port: u16) -> TcpStream {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    let own = SocketAddr::from(([127, 0, 0, 1], NEXT.fetch_add(1, Ordering::Relaxed)));
    socket.bind(&own.into()).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
