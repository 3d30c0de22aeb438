//! Three bridges of two workers each, behind the HAProxy that `examples/fleet` has, with their routes in
//! Redis, each on a host of its own: one is upgraded, a worker and a bridge are killed, one ends. All the while Redis counts the
//! sessions, by leases.
//!
//! FLEET_SESSIONS says how many sessions there are; from [`MANY`] on the rate at which they come back is
//! judged, too.

use super::hosts::{Host, Network};
use super::lease::members;
use super::redis::Redis;
use super::{Server, request};
use crate::common::plugins::{bundled, scratch};
use crate::common::{
    Client, Daemon, End, Event, Peer, allow_many_descriptors, eventually, free_port, kill,
    left_out, open_at, read_answer, upgrade,
};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// So many that chance is small in how many come back in a tenth of the time.
const MANY: usize = 600;
/// How long a session counts whose bridge or worker was killed.
const LEASE: Duration = Duration::from_secs(5);
/// No session waits so long for anything here.
const LONG: Duration = Duration::from_secs(120);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |number| number.parse().unwrap())
}

/// A session's end, as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Told(Option<u16>),
    Cut,
}

/// Clients that come back at once, whatever ends their sessions.
struct Crowd {
    over: Arc<AtomicBool>,
    ends: Receiver<(Instant, Ended)>,
    back: Arc<Mutex<Vec<Instant>>>,
    clients: Vec<JoinHandle<()>>,
    streams: Arc<Mutex<Vec<std::net::TcpStream>>>,
}

impl Crowd {
    fn begin(front: &str, count: usize) -> Self {
        let (sender, ends) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let (back, streams) = (Arc::default(), Arc::default());
        let mut crowd = Self { over, ends, back, clients: Vec::new(), streams };
        for _ in 0..count {
            let (over, back) = (Arc::clone(&crowd.over), Arc::clone(&crowd.back));
            let (sender, streams) = (sender.clone(), Arc::clone(&crowd.streams));
            let front = front.to_owned();
            let run = move || stay(&front, &over, &sender, &back, &streams);
            crowd.clients.push(thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap());
        }
        crowd
    }

    /// How many sessions began.
    fn begun(&self) -> usize {
        self.back.lock().unwrap().len()
    }

    /// The ends so far.
    fn ends(&self) -> Vec<(Instant, Ended)> {
        self.ends.try_iter().collect()
    }

    fn finish(self) {
        self.over.store(true, Ordering::SeqCst);
        for stream in self.streams.lock().unwrap().iter() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        self.clients.into_iter().for_each(|client| client.join().unwrap());
    }
}

/// One client: a session after the other, each of which echoes at first.
fn stay(
    front: &str,
    over: &AtomicBool,
    ends: &Sender<(Instant, Ended)>,
    back: &Mutex<Vec<Instant>>,
    streams: &Mutex<Vec<std::net::TcpStream>>,
) {
    let head = request("/desk", "");
    while !over.load(Ordering::SeqCst) {
        let mut stream = open_at(front);
        upgrade(&mut stream, head.as_bytes());
        let mut client = Client::over(stream);
        client.frame(0x82, b"you?");
        assert_eq!(client.message().1, b"you?");
        client.patience(LONG);
        streams.lock().unwrap().push(client.stream().try_clone().unwrap());
        back.lock().unwrap().push(Instant::now());
        let ended = match client.event() {
            Event::Close(code, _) => {
                client.close(code.unwrap_or(1000));
                Ended::Told(code)
            }
            Event::End(End::Fin | End::Reset) => Ended::Cut,
            other => panic!("{other:?}"),
        };
        if !over.load(Ordering::SeqCst) {
            let _ = ends.send((Instant::now(), ended)); // unless the test has failed
        }
    }
}

/// The port of a bridge on a host of its own, as the example for HAProxy has it.
const PORT: u16 = 8001;

/// A bridge with two workers, by which a token has so many sessions at most.
fn bridge(network: &Network, host: &Host, redis: &Redis, spread: u64, most: usize) -> Daemon {
    let (url, lease) = (redis.url(), format!("lease={most}"));
    let ttl = format!("lease-ttl={}", LEASE.as_secs());
    let (spread, all) = (spread.to_string(), network.all());
    let place = format!("{}:{PORT}", host.address);
    let listen = if network.is_apart() { &["-l", &place][..] } else { &[] };
    let arguments = [
        "--plugins",
        bundled(),
        "-b",
        "redis",
        "-c",
        &url,
        "-c",
        "framing=binary",
        "-c",
        &lease,
        "-c",
        &ttl,
        "--workers",
        "2",
        "--health",
        "/readyz",
        "--trusted-proxy",
        &all,
        "--peer-allow",
        &all,
        "--ping",
        "0",
        "--drain-grace",
        "2",
        "--drain-spread",
        &spread,
    ];
    let arguments = [listen, &arguments].concat();
    let enter = host.enter();
    match enter.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Daemon::start(&arguments),
        ref enter => Daemon::under(enter, &arguments),
    }
}

/// The example's HAProxy, in haste, and where it listens. On one host with the bridges it has other ports.
fn haproxy(host: &Host, bridges: &[Daemon]) -> (Server, String) {
    let mut text = fs::read_to_string("examples/fleet/haproxy.cfg").unwrap();
    let mut port = 8080;
    if host.enter().is_empty() {
        port = free_port();
        let places = [11, 12, 13].map(|number| format!("10.0.0.{number}:{PORT}"));
        for (place, bridge) in places.iter().zip(bridges) {
            assert!(text.contains(place.as_str()), "{text}");
            text = text.replace(place, &format!("127.0.0.1:{}", bridge.port()));
        }
        text = text.replace("bind :8080", &format!("bind 127.0.0.1:{port}"));
    }
    text = text.replace("inter 2s", "inter 300ms").replace("maxconn 50000", "maxconn 8000");
    let file = scratch("haproxy").join("haproxy.cfg");
    fs::write(&file, text).unwrap();
    let server = host.start("haproxy", &["-db", "-f", file.to_str().unwrap()]);
    let front = format!("{}:{port}", host.address);
    eventually("HAProxy listens", || std::net::TcpStream::connect(&front).is_ok());
    (server, front)
}

fn workers(bridge: &Daemon) -> Vec<u32> {
    let pid = bridge.pid();
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// The most of these in a tenth of the time, by the mean of that.
fn peak(mut times: Vec<Instant>, spread: Duration) -> f64 {
    times.sort_unstable();
    let (first, count) = (times[0], times.len() as f64);
    let mut tenths = [0_u32; 12];
    for time in times {
        let tenth = time.duration_since(first).as_secs_f64() / spread.as_secs_f64() * 10.0;
        tenths[(tenth as usize).min(11)] += 1;
    }
    f64::from(*tenths.iter().max().unwrap()) / (count / 10.0)
}

/// What Redis counts is what clients have.
struct Count<'a> {
    redis: &'a Redis,
    sessions: usize,
}

impl Count<'_> {
    fn members(&self) -> (BTreeSet<String>, u64) {
        members(self.redis, "lease:desk")
    }

    /// All are there, until they have been renewed, and nobody else is.
    fn agrees(&self) -> BTreeSet<String> {
        let until = self.members().1 + LEASE.as_millis() as u64 / 2;
        loop {
            let (members, now) = self.members();
            assert_eq!(members.len(), self.sessions, "by Redis, and by the clients");
            if now > until {
                return members;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// When a lease is over, by Redis's clock, that was taken or renewed up to now.
    fn over(&self) -> u64 {
        self.members().1 + LEASE.as_millis() as u64
    }

    /// The leases of so many that were lost are over at that time and no other is, when their clients
    /// have come back.
    fn heals(&self, before: &BTreeSet<String>, lost: usize, over: u64) -> BTreeSet<String> {
        eventually("the leases are over", || self.members().1 > over);
        let after = self.agrees();
        assert_eq!(after.intersection(before).count(), self.sessions - lost);
        after
    }
}

/// A token has as many sessions as it may, over six workers, and not one more.
fn fill(redis: &Redis, front: &str, most: usize) {
    let head = request("/few", "");
    let enter = || {
        let mut stream = open_at(front);
        stream.write_all(head.as_bytes()).unwrap();
        (read_answer(&mut stream, false), stream)
    };
    let count = || members(redis, "lease:few").0.len();
    let mut inside = Vec::new();
    for number in 0..most {
        let (answer, stream) = enter();
        assert_eq!(answer.status, 101, "{number} of {most}: {answer:?}");
        inside.push(stream);
    }
    let (answer, _) = enter();
    assert_eq!((answer.status, &*answer.rest), (503, &b"all its places are taken\n"[..]));
    assert_eq!(count(), most);
    drop(inside);
    eventually("all are given back", || count() == 0);
}

#[test]
fn a_fleet_is_upgraded_and_loses_a_worker_and_a_bridge() {
    if Command::new("haproxy").arg("-v").output().is_err() {
        return left_out("a fleet behind HAProxy", "no haproxy");
    }
    allow_many_descriptors();
    Network::with(goes_through_a_day);
}

fn goes_through_a_day(network: &Network) {
    let store = network.host(5);
    let Some(redis) = Redis::start_on(&store) else { return };
    let echo = Peer::echo_on(&network.own());
    let place = format!("{}:{}", network.own(), echo.port());
    for token in ["desk", "few"] {
        redis.set(&["-n", "1", "SET", token, &place]);
    }
    let count = number("FLEET_SESSIONS", 45) as usize;
    let spread = if count >= MANY { 30 } else { 1 };
    // Those that were lost count for a while, beside those that have come back.
    let hosts = [11, 12, 13].map(|number| network.host(number));
    let begin = |host: &Host| bridge(network, host, &redis, spread, 2 * count);
    let mut bridges: Vec<Daemon> = hosts.iter().map(begin).collect();
    let balancer = network.host(10);
    let (_haproxy, front) = haproxy(&balancer, &bridges);
    let crowd = Crowd::begin(&front, count);
    let all_back = |begun: usize| eventually("all are back", || crowd.begun() == begun);
    all_back(count);
    let counted = Count { redis: &redis, sessions: count };
    let members = counted.agrees();
    if count < MANY {
        fill(&redis, &front, 2 * count);
    }

    let begin = Instant::now();
    bridges[0].signal("USR2");
    bridges[0].wait_for_log("goes on, workers: 2");
    thread::sleep(Duration::from_millis(500));
    println!("an upgrade took {:?}", begin.elapsed());
    assert_eq!(crowd.ends(), [], "an upgrade is nobody's end");
    assert_eq!(counted.agrees(), members);

    let begin = Instant::now();
    kill("KILL", workers(&bridges[1])[0]);
    let over = counted.over();
    bridges[1].wait_for_log("worker is up again");
    eventually("its sessions end", || crowd.begun() > count);
    thread::sleep(Duration::from_millis(500));
    let lost = crowd.ends();
    all_back(count + lost.len());
    println!("a worker of 6 is killed: {} of {count} back in {:?}", lost.len(), begin.elapsed());
    assert!(lost.iter().all(|(_, ended)| *ended == Ended::Cut), "{lost:?}");
    assert!(lost.len() <= count / 2, "{lost:?}");
    let members = counted.heals(&members, lost.len(), over);

    let (begun, begin) = (crowd.begun(), Instant::now());
    let mut gone = bridges.pop().unwrap();
    gone.signal("KILL");
    gone.exit_within(LONG).unwrap();
    let over = counted.over();
    eventually("its sessions end", || crowd.begun() > begun);
    thread::sleep(Duration::from_secs(1));
    let lost = crowd.ends();
    all_back(begun + lost.len());
    println!("a bridge of 3 is killed: {} of {count} back in {:?}", lost.len(), begin.elapsed());
    assert!(lost.iter().all(|(_, ended)| *ended == Ended::Cut), "{lost:?}");
    counted.heals(&members, lost.len(), over);

    let begun = crowd.begun();
    let mut last = bridges.remove(1);
    last.signal("TERM");
    assert_eq!(last.exit_within(LONG).unwrap().code(), Some(0));
    let told = crowd.ends();
    all_back(begun + told.len());
    assert!(!told.is_empty(), "{told:?}");
    assert!(told.iter().all(|(_, ended)| *ended == Ended::Told(Some(1001))), "{told:?}");
    counted.agrees();
    let back = crowd.back.lock().unwrap()[begun..].to_vec();
    let peak = peak(back, Duration::from_secs(spread));
    println!("a bridge of 2 ends: {} told over {spread} s, peak {peak:.2} x the mean", told.len());
    assert!(count < MANY || peak <= 1.2, "{peak}");
    crowd.finish();
}
