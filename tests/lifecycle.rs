//! The daemon's own life on the real binary: signals, deadlines, keep-alive, and a machine that
//! runs out of things. Row labels are the ids of the case catalogue in `docs/testing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    BASE, Blackhole, Client, Daemon, End, Event, Peer, allow_many_descriptors, answer, eventually,
    frame, free_port, open, upgrade, within,
};
use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a step may take that the daemon takes at once.
const SOON: Duration = Duration::from_secs(3);

/// S01, S02, S05: no new clients, 503 to those without an answer, 1001 to those inside, exit 0.
#[test]
fn a_signal_drains() {
    for signal in ["TERM", "INT"] {
        let peer = Peer::echo();
        let mut daemon = Daemon::before(&peer, "rfc6455", &[]);
        let mut inside = Client::connect(daemon.port());
        let mut newcomer = open(daemon.port());
        newcomer.write_all(&BASE.as_bytes()[..20]).unwrap();
        eventually("the client is accepted", || daemon.fds() >= daemon.baseline() + 3);
        daemon.signal(signal);
        assert_eq!(inside.closed(), Some(1001), "{signal}");
        let _ = newcomer.write_all(&BASE.as_bytes()[20..]);
        assert_eq!(answer(&mut newcomer, b"").status, 503, "{signal}");
        assert_gone(daemon.port());
        inside.close(1001);
        assert_eq!(inside.event(), Event::End(End::Fin), "{signal}");
        drop((inside, newcomer));
        assert_eq!(daemon.exit_within(SOON).unwrap().code(), Some(0), "{signal}");
    }
}

/// A new client is refused: by the kernel or with 503, but never let in.
fn assert_gone(port: u16) {
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        let _ = stream.write_all(BASE.as_bytes());
        assert_eq!(answer(&mut stream, b"").status, 503);
    }
}

/// S01: what is on its way when the signal comes still arrives, both ways.
#[test]
fn draining_delivers_what_is_queued() {
    let bytes = common::noise(8 << 20, 1);
    let sent = bytes.clone();
    let peer = Peer::serve(move |mut stream| {
        let _ = stream.write_all(&sent);
        let _ = common::Received::from(stream);
    });
    let mut daemon = Daemon::before(&peer, "binary", &[]);
    let mut client = Client::connect(daemon.port());
    std::thread::sleep(Duration::from_millis(200)); // the way to the client fills up
    daemon.signal("TERM");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(client.end(), Some(1001)); // whole frames before it, says the oracle
    drop(client);
    assert_eq!(daemon.exit_within(SOON).unwrap().code(), Some(0));
}

/// A14: what the peer has sent and is no message yet is delivered before the end that a signal makes.
#[test]
fn a14_a_signal_delivers_the_unframed_tail() {
    let peer = Peer::serve(|mut stream| {
        let _ = stream.write_all(b"a line\nand half of another");
        let _ = common::Received::from(stream);
    });
    for (framing, config) in [("newline", "lf"), ("separator", r"\n")] {
        let config = format!("framing-config={config}");
        let mut daemon = Daemon::before(&peer, framing, &["-c", &config]);
        let mut client = Client::connect(daemon.port());
        assert_eq!(client.message().1, b"a line\n", "{framing}");
        daemon.signal("TERM");
        assert_eq!(client.message().1, b"and half of another", "{framing}");
        assert_eq!(client.end(), Some(1001));
        drop(client);
        assert_eq!(daemon.exit_within(SOON).unwrap().code(), Some(0));
    }
}

/// A14: a long line whose last character is cut is delivered to that character by the end that a
/// signal or a time-out makes; that the peer itself makes it is its fault.
#[test]
fn a14_a_long_line_that_is_cut_inside_a_character_loses_that_alone() {
    let text = "\u{e9}".repeat(10_000);
    let sent = [text.as_bytes(), b"\xc3"].concat();
    for (what, options, code) in [
        ("signal", [].as_slice(), 1001),
        ("idle", &["--idle-timeout", "1"], 1000),
        ("end", &[], 1011),
    ] {
        let sent = sent.clone();
        let peer = Peer::serve(move |mut stream| {
            let _ = stream.write_all(&sent);
            if what == "end" {
                let _ = stream.shutdown(Shutdown::Write);
            }
            let _ = common::Received::from(stream);
        });
        let daemon = Daemon::before(&peer, "newline", options);
        let mut client = Client::connect(daemon.port());
        let Event::Data(false, 1, mut got) = client.event() else { panic!("{what}: no front") };
        if what == "signal" {
            daemon.signal("TERM");
        }
        let Event::Data(true, 0, rest) = client.event() else { panic!("{what}: no last part") };
        got.extend(rest);
        assert!(got == text.as_bytes(), "{what}: {} bytes", got.len());
        assert_eq!(client.end(), Some(code), "{what}");
    }
}

/// S05: a crowd at every stage of its handshake: 503 to each, and the end does not wait for peers.
#[test]
fn a_crowd_without_an_answer_is_told() {
    allow_many_descriptors();
    let hole = Blackhole::new();
    let host = format!("host=tcp://127.0.0.1:{}", hole.port());
    let mut daemon = Daemon::start(&["-c", &host, "--connect-timeout", "60"]);
    let head = BASE.as_bytes();
    let mut crowd: Vec<TcpStream> = (0..400)
        .map(|index| {
            let mut stream = open(daemon.port());
            stream.write_all(&head[..index % 4 * head.len() / 3]).unwrap();
            stream
        })
        .collect();
    let dialling = crowd.len() / 4;
    let taken = daemon.baseline() + crowd.len() + dialling;
    eventually("all are inside, a quarter of them dialling", || daemon.fds() >= taken);
    daemon.signal("TERM");
    for stream in &mut crowd {
        assert_eq!(answer(stream, b"").status, 503);
    }
    drop(crowd);
    assert_eq!(daemon.exit_within(SOON).unwrap().code(), Some(0));
}

/// S04: a client that never reads does not keep the daemon longer than `--drain-timeout`; S03: nor
/// does it against a second signal. Both exit 0.
#[test]
fn draining_ends() {
    let peer = Peer::serve(|mut stream| while stream.write_all(&[b'x'; 65_536]).is_ok() {});
    let rows = [("1", 1, 700..3000), ("30", 2, 0..2500)];
    for (timeout, signals, took) in rows {
        let mut daemon = Daemon::before(&peer, "binary", &["--drain-timeout", timeout]);
        let _deaf = Client::connect(daemon.port());
        std::thread::sleep(Duration::from_millis(200));
        let start = Instant::now();
        for _ in 0..signals {
            daemon.signal("TERM");
            std::thread::sleep(Duration::from_millis(200));
        }
        let status = daemon.exit_within(Duration::from_secs(5)).expect("it ends");
        let time = start.elapsed().as_millis();
        assert_eq!(status.code(), Some(0));
        assert!(took.contains(&time), "{time} ms with --drain-timeout {timeout}");
    }
}

/// S01 with nobody there, S06, S07, S08, S10: signals that mean nothing here change nothing.
#[test]
fn other_signals_change_nothing() {
    let peer = Peer::echo();
    let mut daemon = Daemon::before(&peer, "rfc6455", &[]);
    let mut client = Client::connect(daemon.port());
    for signal in ["HUP", "PIPE", "CHLD", "STOP", "CONT", "WINCH", "URG"] {
        daemon.signal(signal);
    }
    client.frame(0x81, b"still there");
    assert_eq!(client.message(), (1, b"still there".to_vec()));
    assert_eq!(client.close_now(), Some(1000));
    daemon.settle();
    daemon.signal("TERM");
    assert_eq!(daemon.exit_within(SOON).unwrap().code(), Some(0));
}

/// S12: signals faster than anybody needs them: served meanwhile, at rest afterwards, still mortal.
#[test]
fn a_storm_of_signals_is_weathered() {
    let peer = Peer::echo();
    let mut daemon = Daemon::before(&peer, "rfc6455", &[]);
    let mut client = Client::connect(daemon.port());
    let storm = "i=0; while [ $i -lt 5000 ]; do i=$((i+1)); \
                 kill -HUP $0; kill -CHLD $0; kill -PIPE $0; kill -URG $0; done";
    let pid = daemon.pid().to_string();
    let mut shell = Command::new("sh").args(["-c", storm, &pid]).spawn().unwrap();
    while shell.try_wait().unwrap().is_none() {
        client.frame(0x81, b"in the storm");
        assert_eq!(client.message(), (1, b"in the storm".to_vec()));
    }
    eventually("it is at rest after the storm", || {
        let before = daemon.cpu_ms();
        std::thread::sleep(Duration::from_millis(500));
        daemon.cpu_ms() - before <= 10
    });
    assert_eq!(client.close_now(), Some(1000));
    drop(client);
    daemon.signal("TERM");
    assert_eq!(daemon.exit_within(SOON).unwrap().code(), Some(0));
}

/// The descriptors of a process that a program it starts inherits.
fn inherited(process: &str) -> Vec<u32> {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000; // O_CLOEXEC as proc(5) shows it in fdinfo
    let entries = fs::read_dir(format!("/proc/{process}/fdinfo")).unwrap().flatten();
    let kept = entries.filter_map(|entry| {
        let info = fs::read_to_string(entry.path()).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        (number > 2 && flags & CLOSE_ON_EXEC == 0).then_some(number)
    });
    kept.collect()
}

/// S17: a program that a plug-in starts inherits nothing of ours.
#[test]
fn every_descriptor_is_closed_on_exec() {
    let peer = Peer::echo();
    let ours = inherited("self");
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    let _client = Client::connect(daemon.port());
    let mut left = inherited(&daemon.pid().to_string());
    left.retain(|number| !ours.contains(number));
    assert_eq!(left, [0_u32; 0]);
}

/// S15: a port that is taken and addresses that are none: the address, the reason, exit 1.
#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (address, port) in [("127.0.0.1", port.as_str()), ("192.0.2.1", "0")] {
        let mut command = Command::new(common::binary());
        let output = command.args(["-l", address, "-p", port]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(address) && said.contains(port), "{said}");
        assert!(said.lines().count() <= 2 && !said.contains("panicked"), "{said}");
    }
}

/// S16: a port whose last connections are in TIME_WAIT is free.
#[test]
fn a_restart_gets_its_port_back() {
    let peer = Peer::echo();
    let port = free_port();
    let host = format!("host=tcp://127.0.0.1:{}", peer.port());
    for _ in 0..3 {
        let mut command = Command::new(common::binary());
        command.args(["-l", "127.0.0.1", "-p", &port.to_string(), "-c", &host]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let mut client = Client::connect(port);
        common::kill("TERM", child.id());
        assert_eq!(client.end(), Some(1001)); // the daemon closes first: TIME_WAIT is on its side
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

/// S24: after a sudden death under load the next daemon has the port, and the clients, at once.
#[test]
fn a_killed_daemon_is_replaced_at_once() {
    let peer = Peer::echo();
    let port = free_port();
    let host = format!("host=tcp://127.0.0.1:{}", peer.port());
    let start = || {
        let mut command = Command::new(common::binary());
        command.args(["-l", "127.0.0.1", "-p", &port.to_string(), "-c", &host]);
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        child
    };
    let mut child = start();
    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(port)).collect();
    clients.iter_mut().for_each(|client| client.frame(0x82, &[0; 1000]));
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    let mut next = start();
    let mut client = Client::connect(port);
    client.frame(0x81, b"back");
    assert_eq!(client.message(), (1, b"back".to_vec()));
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    next.kill().unwrap();
    next.wait().unwrap();
}

/// A daemon whose stderr is as `setup` makes it; it serves refusals and sessions all the same.
fn serves_with_stderr(setup: &str, stderr: Stdio) {
    let peer = Peer::echo();
    let port = free_port();
    let host = format!("host=tcp://127.0.0.1:{}", peer.port());
    let mut command = common::in_shell(setup);
    command.args(["-l", "127.0.0.1", "-p", &port.to_string(), "-c", &host]);
    command.args(["-c", "framing=rfc6455"]).env("RUST_LOG", "trace").stderr(stderr);
    let mut child = command.spawn().unwrap();
    eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    for _ in 0..500 {
        let mut stream = open(port);
        stream
            .write_all(&[b"GET /".as_slice(), &[b'a'; 4000], b" HTTP/0.9\r\n\r\n"].concat())
            .unwrap();
        assert_eq!(answer(&mut stream, b"").status, 505, "{setup}");
    }
    let mut client = Client::connect(port);
    client.frame(0x81, b"hello");
    assert_eq!(client.message(), (1, b"hello".to_vec()), "{setup}");
    assert_eq!(client.close_now(), Some(1000), "{setup}");
    drop(client);
    common::kill("TERM", child.id());
    let mut status = None;
    within(SOON, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    let _ = child.kill();
    assert_eq!(status.expect(setup).code(), Some(0), "{setup}");
}

/// E16, E17, S14: a log that nobody reads, that is full, or that is not there, stops nothing.
#[test]
fn the_log_may_fail() {
    serves_with_stderr("true", Stdio::piped()); // a pipe that nobody reads from
    serves_with_stderr("exec 2>&-", Stdio::null());
    serves_with_stderr("exec 0<&- 1>&- 2>&-", Stdio::null());
    serves_with_stderr("exec 2>/dev/full", Stdio::null());
}

/// E03: out of descriptors: no spinning, those inside go on, and the next client is served within
/// a second of there being room.
#[test]
fn descriptors_may_run_out() {
    let peer = Peer::echo();
    let host = format!("host=tcp://127.0.0.1:{}", peer.port());
    let daemon = Daemon::with_descriptors(40, &["-c", &host, "-c", "framing=rfc6455"]);
    let mut inside = Client::connect(daemon.port());
    let crowd: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = open(daemon.port());
            let _ = stream.write_all(BASE.as_bytes());
            stream
        })
        .collect();
    eventually("it is full", || daemon.fds() >= 38);
    std::thread::sleep(Duration::from_millis(200));
    let spent = daemon.cpu_ms();
    std::thread::sleep(Duration::from_secs(2));
    let spent = daemon.cpu_ms() - spent;
    assert!(spent <= 100, "{spent} ms of CPU in two seconds without descriptors");
    inside.frame(0x81, b"still there");
    assert_eq!(inside.message(), (1, b"still there".to_vec()));
    drop(crowd);
    let start = Instant::now();
    loop {
        // Clients of the crowd may still be before this one in the queue of the listener.
        let mut stream = open(daemon.port());
        stream.write_all(BASE.as_bytes()).unwrap();
        let mut answer = [0; 13];
        let read = std::io::Read::read(&mut stream, &mut answer);
        if read.is_ok() && &answer == b"HTTP/1.1 101 " {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{read:?} {answer:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

/// O3: where nobody wrote how many clients may come, there are as many as descriptors; the next one
/// is told so at once, and each that goes makes room.
#[test]
fn o3_clients_are_as_many_as_descriptors() {
    const MOST: usize = 16; // of 64 descriptors, two each, 32 being kept
    let peer = Peer::echo();
    let host = format!("host=tcp://127.0.0.1:{}", peer.port());
    let arguments = ["-c", &host, "-c", "framing=rfc6455"];
    let daemon = Daemon::in_shell("ulimit -n 64", &arguments);
    daemon.wait_for_log("max-connections is lowered to 16: ");
    let mut inside: Vec<_> = (0..MOST).map(|_| Client::connect(daemon.port())).collect();
    for _ in 0..3 * MOST {
        let mut stream = open(daemon.port());
        stream.write_all(BASE.as_bytes()).unwrap();
        assert_eq!(answer(&mut stream, BASE.as_bytes()).status, 503);
    }
    assert!(!daemon.log().iter().any(|line| line.contains("cannot accept")), "{:?}", daemon.log());
    let full = daemon.baseline() + 2 * MOST;
    eventually("those turned away are gone", || daemon.fds() <= full);
    assert_eq!(inside.pop().unwrap().close_now(), Some(1000));
    eventually("both of its sockets are closed", || daemon.fds() <= full - 2);
    inside.push(Client::connect(daemon.port()));
    for client in &mut inside {
        client.frame(0x81, b"still there");
        assert_eq!(client.message(), (1, b"still there".to_vec()));
    }
}

/// S18, keep-alive: an idle client is pinged once an interval; an answer, or any byte, is life; a
/// mute one is dropped when a second interval is over.
#[test]
fn idle_clients_are_pinged() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &["-k", "1"]);
    let start = Instant::now();
    let answering = std::thread::spawn({
        let mut client = Client::connect(daemon.port());
        move || {
            for _ in 0..3 {
                let Event::Ping(payload) = client.event() else { panic!("no ping") };
                client.frame(0x8a, &payload);
            }
            let took = start.elapsed();
            assert!((2700..4500).contains(&took.as_millis()), "3 pings in {took:?}");
            assert_eq!(client.close_now(), Some(1000));
        }
    });
    let talking = std::thread::spawn({
        let mut client = Client::connect(daemon.port());
        move || {
            for _ in 0..12 {
                client.frame(0x81, b"x");
                assert_eq!(client.message(), (1, b"x".to_vec()), "no ping to one that talks");
                std::thread::sleep(Duration::from_millis(300));
            }
        }
    });
    let mut slow = Client::connect(daemon.port());
    let slow = std::thread::spawn(move || {
        for byte in frame(0x81, b"a byte is life, too") {
            slow.send(&[byte]);
            std::thread::sleep(Duration::from_millis(150));
        }
        // F4: it talks, but nothing was sent to it; whoever stands between must see life as well.
        let mut pings = 0;
        let message = loop {
            match slow.event() {
                Event::Ping(_) => pings += 1,
                message => break message,
            }
        };
        assert!(pings >= 2, "{pings} pings");
        assert_eq!(message, Event::Data(true, 1, b"a byte is life, too".to_vec()));
    });
    let mut mute = Client::connect(daemon.port());
    assert!(matches!(mute.event(), Event::Ping(_)));
    let pinged = start.elapsed();
    let last = loop {
        match mute.event() {
            Event::End(end) => break end,
            Event::Ping(_) => panic!("a second ping before the first is answered"),
            _ => {}
        }
    };
    let dropped = start.elapsed();
    assert!((900..1600).contains(&pinged.as_millis()), "{pinged:?}");
    assert!((1900..3000).contains(&dropped.as_millis()), "{dropped:?} {last:?}");
    answering.join().unwrap();
    talking.join().unwrap();
    slow.join().unwrap();
}

/// A1, A4, F2: who takes lives, and bytes that are taken are data: a reader of 200 kB/s that answers a
/// ping when it gets to it is neither silent after twice `-k` nor idle, and gets all.
#[test]
fn a01_a04_a_slow_reader_is_neither_silent_nor_idle() {
    const SENT: usize = 1_200_000;
    let peer = Peer::serve(|mut stream| {
        let _ = stream.write_all(&vec![b'x'; SENT]);
        let _ = common::Received::from(stream); // and waits
    });
    let limits = ["-k", "1", "--idle-timeout", "2", "--write-timeout", "5"];
    let daemon = Daemon::before(&peer, "binary", &limits);
    let mut client = Client::connect(daemon.port());
    let (mut received, start) = (0, Instant::now());
    while received < SENT {
        match client.event() {
            Event::Data(_, _, payload) => received += payload.len(),
            Event::Ping(payload) => client.frame(0x8a, &payload),
            other => panic!("{other:?} after {received} bytes, {:?}", start.elapsed()),
        }
        let due = Duration::from_secs_f64(received as f64 / 200_000.0);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    assert!(start.elapsed() >= Duration::from_secs(5), "{:?}", start.elapsed());
    let code = loop {
        match client.event() {
            Event::Ping(payload) => client.frame(0x8a, &payload),
            Event::Close(code, _) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, Some(1000), "idle by now");
    daemon.wait_for_log("idle");
}

/// `-k 0`: no pings; `--idle-timeout`: a session without data ends.
#[test]
fn idle_sessions_end_when_told_to() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &["-k", "0", "--idle-timeout", "1"]);
    let start = Instant::now();
    let mut client = Client::connect(daemon.port());
    let code = client.end();
    let took = start.elapsed();
    assert!((900..2500).contains(&took.as_millis()), "{took:?}");
    assert!(matches!(code, Some(1000 | 1001)), "{code:?}");
}

/// Idle is idle: no CPU for clients that say nothing.
#[test]
fn idle_clients_cost_no_cpu() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &[]);
    let _clients: Vec<Client> = (0..50).map(|_| Client::connect(daemon.port())).collect();
    let mut stream = open(daemon.port());
    stream.write_all(&BASE.as_bytes()[..30]).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let before = daemon.cpu_ms();
    std::thread::sleep(Duration::from_secs(1));
    let spent = daemon.cpu_ms() - before;
    assert!(spent <= 10, "{spent} ms of CPU in a second of nothing");
    upgrade(&mut stream, &BASE.as_bytes()[30..]);
}

/// S08: a daemon that was stopped for longer than its deadlines looks at what its clients did in
/// the meantime before it judges them.
#[test]
fn a_stop_is_nobodys_silence() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "rfc6455", &["-k", "1", "--handshake-timeout", "1"]);
    let mut client = Client::connect(daemon.port());
    assert!(matches!(client.event(), Event::Ping(_)));
    let mut newcomer = open(daemon.port());
    eventually("the client is accepted", || daemon.fds() >= daemon.baseline() + 3);
    daemon.signal("STOP");
    client.frame(0x8a, b"");
    newcomer.write_all(BASE.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    daemon.signal("CONT");
    upgrade(&mut newcomer, b"");
    client.frame(0x81, b"still here");
    loop {
        match client.event() {
            Event::Ping(payload) => client.frame(0x8a, &payload),
            Event::Data(_, _, payload) => break assert_eq!(payload, b"still here"),
            other => panic!("{other:?}"),
        }
    }
}

/// S05: clients that wait to be accepted when the signal comes are told like those without
/// an answer, however many they are.
#[test]
fn the_backlog_is_told() {
    let peer = Peer::echo();
    let mut daemon = Daemon::before(&peer, "binary", &[]);
    daemon.signal("STOP");
    let mut crowd: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = open(daemon.port());
            stream.write_all(BASE.as_bytes()).unwrap();
            stream
        })
        .collect();
    daemon.signal("TERM");
    daemon.signal("CONT");
    for stream in &mut crowd {
        assert_eq!(answer(stream, b"").status, 503);
    }
    drop(crowd);
    assert_eq!(daemon.exit_within(SOON).unwrap().code(), Some(0));
}

/// `--idle-timeout` counts data, not the pings of a peer that speaks frames.
#[test]
fn the_pings_of_a_peer_are_no_data() {
    let peer = Peer::serve(|mut stream| {
        while stream.write_all(b"\x89\x00").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let daemon = Daemon::before(&peer, "rfc6455", &["--idle-timeout", "1"]);
    let start = Instant::now();
    let mut client = Client::connect(daemon.port());
    assert_eq!(client.end(), Some(1000));
    let took = start.elapsed();
    assert!((900..2500).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn one_process_alone_is_not_upgraded_and_says_so() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "auto", &[]);
    daemon.signal("USR2");
    daemon.wait_for_log("SIGUSR2 is ignored");
    assert_eq!(Client::connect(daemon.port()).close_now(), Some(1000));
}

/// A load balancer has time to see that the daemon ends, and sends clients meanwhile.
#[test]
fn clients_are_let_in_for_a_while_after_the_health_check_says_no() {
    let peer = Peer::echo();
    let arguments = ["--health", "/healthz", "--drain-grace", "2"];
    let mut daemon = Daemon::before(&peer, "auto", &arguments);
    daemon.signal("TERM");
    daemon.wait_for_log("not ready any more");
    let mut check = common::open(daemon.port());
    check.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let answer = common::read_answer(&mut check, false);
    assert_eq!((answer.status, answer.values("retry-after")), (503, vec!["5"]));
    let mut client = Client::connect(daemon.port());
    assert_eq!(client.event(), Event::Close(Some(1001), "shutting down".into()));
    client.close(1001);
    assert_eq!(daemon.exit_within(common::PATIENCE).unwrap().code(), Some(0));
}

/// Clients that are told at once come back at once.
#[test]
fn goodbyes_are_spread() {
    let peer = Peer::echo();
    let mut daemon = Daemon::before(&peer, "auto", &["--drain-spread", "2"]);
    let clients: Vec<Client> = (0..40).map(|_| Client::connect(daemon.port())).collect();
    let start = Instant::now();
    daemon.signal("TERM");
    let told = |mut client: Client| {
        std::thread::spawn(move || {
            assert_eq!(client.event(), Event::Close(Some(1001), "shutting down".into()));
            let time = start.elapsed();
            client.close(1001);
            time
        })
    };
    let threads: Vec<_> = clients.into_iter().map(told).collect();
    let times: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    // Half a second late is a busy machine.
    let before = |seconds: f64| times.iter().filter(|time| time.as_secs_f64() < seconds).count();
    assert!(before(1.0) <= 21 && before(0.2) <= 5, "{times:?}");
    assert!(before(1.5) >= 20 && before(2.5) == 40, "{times:?}");
    assert_eq!(daemon.exit_within(common::PATIENCE).unwrap().code(), Some(0));
}
