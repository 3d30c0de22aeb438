//! Queries: what they see, how long they may take, and what is left at the end.

use super::{Innocent, address, connect, refused, request, text};
use crate::common::plugins::{compile, headers, scratch};
use crate::common::{Client, Daemon, End, Event, PATIENCE, Peer, eventually, open, reset, upgrade};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// The daemon with `tests/plugins/probe.c` in front of `peer`.
fn probed(test: &str, peer: &Peer, arguments: &[&str]) -> Daemon {
    probed_with(test, &[], peer, arguments)
}

/// The same, `probe.c` being compiled with these flags.
fn probed_with(test: &str, flags: &[String], peer: &Peer, arguments: &[&str]) -> Daemon {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let directory = scratch(test);
    compile(&directory, "backend_probe.so", "plugins/probe.c", &flags);
    let peer = format!("peer={}", address(peer));
    let probe = ["--plugins", text(&directory), "-b", "probe", "-c", &peer];
    Daemon::start(&[&probe, arguments].concat())
}

/// G30: a query sees the endpoint as sent, each subprotocol once, the fields in their order and
/// case, and a `websocket` with true fields; G31: against whichever header it was compiled.
#[test]
fn a_query_sees_the_client() {
    headers().iter().for_each(|header| sees_the_client(header));
}

fn sees_the_client(header: &[String]) {
    let echo = Peer::echo();
    let daemon = probed_with("sees", header, &echo, &[]);
    let head = request(
        "/counting?0&B=%20",
        &[
            ("Sec-WebSocket-Protocol", "b, a"),
            ("X-One", "1"),
            ("x-two", "2"),
            ("Sec-WebSocket-Protocol", "c,d"),
            ("X-One", "again"),
        ],
    );
    let client = connect(&daemon, &head);
    let port = client.stream().local_addr().unwrap().port();
    let expected = format!(
        "probe: /counting?0&B=%20 +b +a +c +d Host=h X-One=1 x-two=2 X-One=again port={port} \
         path=/counting?0&B=%20 headers=4 protocols=4 key=dGhlIHNhbXBsZSBub25jZQ== version=13 \
         upgrade=3 state=1 peer=-1"
    );
    assert_eq!(daemon.wait_for_log("probe:"), expected);
}

/// G22: a query that takes its time delays nobody who is connected.
#[test]
fn a_slow_query_delays_nobody_else() {
    let echo = Peer::echo();
    let daemon = probed("slow", &echo, &[]);
    let mut innocent = Innocent(connect(&daemon, &request("/counting", &[])));
    let started = Instant::now();
    let mut slow = open(daemon.port());
    slow.write_all(request("/counting?2000", &[]).as_bytes()).unwrap();
    daemon.wait_for_log("?2000");
    let mut slowest = Duration::ZERO;
    while started.elapsed() < Duration::from_millis(1500) {
        let asked = Instant::now();
        innocent.goes_on();
        slowest = slowest.max(asked.elapsed());
    }
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    upgrade(&mut slow, b"");
    assert!(started.elapsed() >= Duration::from_secs(2));
    Innocent(Client::over(slow)).goes_on();
}

/// With several query threads, as many queries run at once.
#[test]
fn query_threads() {
    let echo = Peer::echo();
    let daemon = probed("threads", &echo, &["--query-threads", "4"]);
    let started = Instant::now();
    let head = request("/counting?1000", &[]);
    let mut streams: Vec<_> = (0..4).map(|_| open(daemon.port())).collect();
    streams.iter_mut().for_each(|stream| stream.write_all(head.as_bytes()).unwrap());
    for stream in &mut streams {
        upgrade(stream, b"");
    }
    assert!(started.elapsed() < Duration::from_millis(2500), "{:?}", started.elapsed());
}

/// A query that takes too long is a 504, and its answer is of no use to anybody.
#[test]
fn a_query_has_a_deadline() {
    let echo = Peer::echo();
    let daemon = probed("deadline", &echo, &["--query-timeout", "0.5", "--query-threads", "2"]);
    let started = Instant::now();
    assert_eq!(refused(&daemon, &request("/counting?1500", &[])).status, 504);
    assert!(started.elapsed() < Duration::from_millis(1300), "{:?}", started.elapsed());
    Innocent(connect(&daemon, &request("/counting", &[]))).goes_on();
    thread::sleep(Duration::from_millis(1500).saturating_sub(started.elapsed()));
    Innocent(connect(&daemon, &request("/counting", &[]))).goes_on();
    assert_eq!(echo.dials(), 2);
}

/// A client that leaves while its query runs, or waits to run, takes nothing with it.
#[test]
fn a_client_may_leave_during_its_query() {
    let echo = Peer::echo();
    let daemon = probed("leave", &echo, &[]);
    let mut innocent = Innocent(connect(&daemon, &request("/counting", &[])));
    for torn_down in [false, true] {
        let mut first = open(daemon.port());
        let mut second = open(daemon.port());
        first.write_all(request("/counting?600", &[]).as_bytes()).unwrap();
        daemon.wait_for_log("?600");
        second.write_all(request("/counting?1", &[]).as_bytes()).unwrap();
        if torn_down {
            reset(first);
            reset(second);
        } else {
            drop((first, second));
        }
        innocent.goes_on();
    }
    assert_eq!(refused(&daemon, &request("/none", &[])).status, 404);
    innocent.goes_on();
    assert_eq!(echo.dials(), 1, "nobody is there to be connected");
}

/// Clients that leave while their queries wait for their turn leave nothing behind, not even until
/// that turn comes.
#[test]
fn queries_of_clients_that_left_are_taken_back() {
    const CROWD: usize = 50;
    let echo = Peer::echo();
    let daemon = probed("crowd", &echo, &["--query-timeout", "20"]);
    let mut first = open(daemon.port());
    first.write_all(request("/counting?4000", &[]).as_bytes()).unwrap();
    daemon.wait_for_log("?4000");
    let start = Instant::now();
    let before = daemon.fds();
    let crowd: Vec<TcpStream> = (0..CROWD)
        .map(|_| {
            let mut stream = open(daemon.port());
            stream.write_all(request("/counting?1", &[]).as_bytes()).unwrap();
            stream
        })
        .collect();
    eventually("each holds a socket and its duplicate", || daemon.fds() == before + 2 * CROWD);
    drop(crowd);
    eventually("all are gone", || daemon.fds() == before);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    upgrade(&mut first, b"");
    assert!(!daemon.log().iter().any(|line| line.contains("?1 ")), "nobody is asked for them");
}

/// At the end `cleanup` is called; not under a query that still runs, and the end does not wait.
#[test]
fn the_end_of_a_back_end() {
    let echo = Peer::echo();
    let mut daemon = probed("end", &echo, &[]);
    daemon.signal("TERM");
    daemon.wait_for_log("probe: cleaned up");
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));

    let mut daemon = probed("busy-end", &echo, &["--drain-timeout", "0.5"]);
    let mut stream = open(daemon.port());
    stream.write_all(request("/counting?8000", &[]).as_bytes()).unwrap();
    daemon.wait_for_log("?8000");
    daemon.signal("TERM");
    let status = daemon.exit_within(Duration::from_secs(4)).expect("it does not wait");
    assert_eq!(status.code(), Some(0));
    assert!(!daemon.log().iter().any(|line| line.contains("cleaned up,")), "{:?}", daemon.log());
}

/// A peer that says something and half of something, and then ends as the client tells it: with FIN,
/// with RST, after nonsense, or with the client.
fn ends_as_told(mut stream: TcpStream) {
    let mut told = [0];
    let _ = stream.write_all(b"hello.and");
    let _ = stream.read(&mut told);
    match told[0] {
        b'f' => return,
        b'r' => return reset(stream),
        b'!' => drop(stream.write_all(b"!")),
        _ => {}
    }
    let _ = io::copy(&mut stream, &mut io::sink());
}

/// C-04, G17 to G19: what a framing function allocates for a session is given back once, however
/// the session ends, and it is called as it was promised; G31: whichever header it was compiled
/// against.
#[test]
fn framing_data_is_freed_once() {
    headers().iter().for_each(|header| framing_data_is_freed(header));
}

fn framing_data_is_freed(header: &[String]) {
    const ROUNDS: usize = 20;
    let peer = Peer::serve(ends_as_told);
    let mut daemon = probed_with("freed", header, &peer, &["--drain-timeout", "1"]);
    let session = || {
        let mut client = connect(&daemon, &request("/counting", &[]));
        assert_eq!(client.message(), (2, b"hello.".to_vec()));
        client
    };
    for _ in 0..ROUNDS {
        assert_eq!(session().close_now(), Some(1000));
        session().reset();
        drop(session());
        for (told, code) in [(b"!", 1011), (b"r", 1011), (b"f", 1000)] {
            let mut client = session();
            client.frame(0x82, told);
            assert_eq!(client.end(), Some(code), "{told:?}");
        }
    }
    let mut left = [session(), session()];
    daemon.signal("TERM");
    for client in &mut left {
        assert_eq!(client.closed(), Some(1001));
    }
    left[0].close(1001);
    assert_eq!(left[0].event(), Event::End(End::Fin));
    let line = daemon.wait_for_log("probe: cleaned up");
    let count = 6 * ROUNDS + 2;
    assert!(line.ends_with(&format!("allocated={count} freed={count} complaints=0")), "{line}");
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));
}

/// A07: a query that still runs when the daemon ends does not see the process taken apart around it:
/// the status is that of an end in order, and the log is whole.
#[test]
fn a07_a_running_query_does_not_spoil_the_end() {
    let directory = scratch("teardown");
    compile(&directory, "backend_teardown.so", "plugins/teardown.c", &[]);
    let arguments = ["--plugins", text(&directory), "-b", "teardown", "--query-timeout", "60"];
    let mut daemon = Daemon::start(&arguments);
    let mut client = open(daemon.port());
    client.write_all(request("/", &[]).as_bytes()).unwrap();
    daemon.wait_for_log("asked");
    daemon.signal("TERM");
    assert_eq!(crate::common::answer(&mut client, b"").status, 503);
    drop(client);
    assert_eq!(daemon.exit_within(PATIENCE).map(|status| status.code()), Some(Some(0)));
    daemon.wait_for_log("back end teardown still answers a query; not cleaned up");
}

/// A11: what a back end makes of the client's word for its peer is printable in the log, and cut.
#[test]
fn a11_names_of_peers_are_escaped_and_cut() {
    /// The time, two names cut to 256 bytes of up to four characters each, and some words.
    const LONGEST_LINE: usize = 1500;
    let directory = scratch("anywhere");
    compile(&directory, "backend_anywhere.so", "plugins/anywhere.c", &[]);
    let daemon = Daemon::start(&["--plugins", text(&directory), "-b", "anywhere"]);
    let (name, path) = ("x".repeat(14_000), "/y".repeat(7_000));
    let labels = "label.".repeat(2_300);
    let turned = "/run/\u{202e}gol.x\u{2028}\u{2066}";
    for host in [
        format!("tcp://{name}:1"),
        format!("udp://{labels}:1"),
        format!("tcp://\u{ff21}{name}:1"),
        format!("unix://{path}"),
        format!("unix-dgram://@{path}"),
        format!("fiforx://{path}"),
        format!("fifotx://{turned}"),
        format!("unix://{turned}"),
        format!("unix://@{turned}"),
        // These are no peers, and quoted.
        turned.to_owned(),
        format!("tcp://{turned}"),
        format!("{turned}://{path}"),
        format!("unix:{turned}"),
        format!("tcp://h:{turned}"),
        format!("tcp://h:{name}"),
        format!("http://{path}"),
        path.clone(),
    ] {
        let (lines, request) = (daemon.log().len(), request(&format!("/{host}"), &[]));
        let status = refused(&daemon, &request).status;
        assert_eq!(status, 502, "{host:.40}");
        eventually("there is a line", || daemon.log().len() > lines);
        let log = daemon.log();
        for line in log.iter().skip(lines) {
            let printable = |c: char| c == '…' || c == ' ' || c.is_ascii_graphic();
            assert!(line.len() <= LONGEST_LINE && line.chars().all(printable), "{line}");
        }
    }
    let log = daemon.log().join("\n");
    assert!(log.contains(r"fifotx:///run/\xe2\x80\xaegol.x\xe2\x80\xa8\xe2\x81\xa6: "), "{log}");
}
