//! Clients that do not get far.

use crate::common::{Daemon, Peer, allow_many_descriptors, eventually, open};
use crate::support::{Authority, LATER, Wss, daemon};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who keeps keys shows its memory to root alone, unless it may be dumped.
const READABLE: [&str; 1] = ["--core-dumps"];
/// How many do not, unless HALF_DONE says so; `make flood` has ten times as many.
const CLIENTS: u64 = 1000;
/// What one of them may take, KiB: nothing but the session before its first byte, and what it sent; or a
/// handshake that waits for the client's part.
const SILENT: u64 = 3;
const HALF: u64 = 4;
const ANSWERED: u64 = 8;
/// Echoes of somebody else.
const ECHOES: usize = 300;
/// What 99 of 100 of them must stay under, beside ten times what they took before: the test profile is not
/// optimised, and other tests run beside this one.
const BOUND: Duration = Duration::from_millis(250);

/// Handshakes that one turn of the loop goes on with while there is little else to do.
const STEPS: u64 = 16;

/// The first part of a hello, without its end.
fn half_a_hello() -> Vec<u8> {
    let mut hello = vec![22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.extend([0x5a; 240]);
    hello
}

/// All of one: the server's part of the handshake is done when it is read.
fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut hello = Vec::new();
    ClientConnection::new(Arc::clone(config), name).unwrap().write_tls(&mut hello).unwrap();
    hello
}

/// What 99 of 100 echoes stay under, as many as it takes until `is_over`; printed with the median.
fn p99(client: &mut Wss, beside: &str, is_over: impl Fn() -> bool) -> Duration {
    let mut times = Vec::new();
    while times.len() < ECHOES || !is_over() {
        let start = Instant::now();
        client.echoes(&[b'e'; 64]);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{} echoes beside {beside}: median {median:?}, p99 {p99:?}, {most:?}", times.len());
    p99
}

/// How many turns the loop has worked, and how many of these in at most so many seconds.
fn turns(daemon: &Daemon) -> (u64, Vec<(f64, u64)>) {
    let line = daemon.wait_for_log("admin pages on 127.0.0.1:");
    let mut stream = open(line.rsplit_once(':').unwrap().1.parse().unwrap());
    let head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let of = |name: &str| {
        let name = format!("websocksy_turn_seconds_{name}");
        let samples =
            page.lines().filter_map(move |line| line.strip_prefix(&name)?.rsplit_once(' '));
        samples.map(|(label, count)| (label.to_owned(), count.parse().unwrap())).collect::<Vec<_>>()
    };
    let [(_, all)] = of("count")[..] else { panic!("{page}") };
    let seconds = |label: &str| label.split('"').nth(1).and_then(|text| text.parse().ok());
    let buckets =
        of("bucket").iter().filter_map(|(le, count)| Some((seconds(le)?, *count))).collect();
    (all, buckets)
}

/// What 99 of 100 turns stayed under since `before`, in seconds, and all of them.
fn longest(before: &(u64, Vec<(f64, u64)>), after: &(u64, Vec<(f64, u64)>)) -> (f64, f64) {
    let all = after.0 - before.0;
    let within = |share: u64| {
        let buckets = before.1.iter().zip(&after.1);
        let mut enough = buckets.filter(|(before, after)| after.1 - before.1 >= share);
        enough.next().map_or(f64::INFINITY, |(_, after)| after.0)
    };
    (within(all * 99 / 100), within(all))
}

/// Opens so many connections, which say this much.
fn crowd(number: u64, port: u16, sent: &[u8]) -> Vec<TcpStream> {
    let one = |_| {
        let mut client = open(port);
        client.write_all(sent).unwrap();
        client
    };
    (0..number).map(one).collect()
}

#[test]
fn half_done_handshakes_take_little_and_disturb_nobody() {
    allow_many_descriptors();
    let number = std::env::var("HALF_DONE").map_or(CLIENTS, |number| number.parse().unwrap());
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let config = authority.client(&[&TLS13], None);
    let limits = ["--handshake-timeout", "300", "--ping", "0", "--admin", "127.0.0.1:0"];
    let arguments = [&["--tls-cert", &pair][..], &READABLE, &limits].concat();
    for (what, sent, most) in [
        ("nothing", Vec::new(), SILENT),
        ("half a hello", half_a_hello(), HALF),
        ("a hello", hello(&config), ANSWERED),
    ] {
        // A fresh one, which has no memory left of others.
        let (daemon, port) = daemon(&peer, &arguments);
        let mut other = Wss::connect(port, "localhost", &config);
        let bound = BOUND + 10 * p99(&mut other, "nobody", || true);
        let (descriptors, before) = (daemon.fds() as u64, daemon.rss_kib());
        let idle = turns(&daemon);
        let (during, _clients) = std::thread::scope(|scope| {
            let clients = scope.spawn(|| crowd(number, port, &sent));
            let beside = format!("{number} who send {what}");
            let during = p99(&mut other, &beside, || clients.is_finished());
            (during, clients.join().unwrap())
        });
        let (most_of_99, of_all) = longest(&idle, &turns(&daemon));
        println!("turns while they come: {most_of_99} s of 99 in 100, {of_all} s of all");
        eventually("all are there", || daemon.fds() as u64 >= descriptors + number);
        p99(&mut other, &format!("{number} who have sent {what}"), || true);
        // Who comes now is served, too.
        let start = Instant::now();
        Wss::connect(port, "localhost", &config).echoes(b"in between");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let grown = daemon.rss_kib().saturating_sub(before);
        println!("{number} who sent {what}: {grown} KiB");
        assert!(grown <= number * most, "{grown} KiB for {number} who sent {what}");
        assert!(during <= bound, "{during:?} beside {number} who sent {what}, not {bound:?}");
    }
}

/// All at once, as when a switch comes back: a turn of the loop does not take them all.
#[test]
fn a_crowd_of_hellos_is_answered_over_many_turns() {
    const CROWD: u64 = 800;
    allow_many_descriptors();
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let config = authority.client(&[&TLS13], None);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair, "--admin", "127.0.0.1:0"]);
    let before = turns(&daemon);
    daemon.signal("STOP");
    let clients = crowd(CROWD, port, &hello(&config));
    daemon.signal("CONT");
    for mut client in clients {
        let mut kind = [0];
        client.read_exact(&mut kind).unwrap();
        assert_eq!(kind, [22], "a handshake record");
    }
    let after = turns(&daemon);
    let (all, (most_of_99, of_all)) = (after.0 - before.0, longest(&before, &after));
    println!("{CROWD} hellos in {all} turns: {most_of_99} s of 99 in 100, {of_all} s of all");
    assert!(all >= CROWD / STEPS, "{CROWD} hellos in {all} turns");
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
        "hung up on: no complete request in time; client: the TLS handshake was not done",
    );
}

#[test]
fn an_idle_session_over_tls_is_small() {
    const IDLE: u64 = 6;
    allow_many_descriptors();
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (daemon, port) = daemon(&peer, &[&["--tls-cert", &pair][..], &READABLE].concat());
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
