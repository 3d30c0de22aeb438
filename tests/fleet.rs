//! Where a fleet keeps its routes: the real daemon, the bundled back ends, and real servers behind them.
//! `make e2e-fleet` installs these, and takes them away for as long as FLEET_AWAY says, in seconds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

#[path = "fleet/bridges.rs"]
mod bridges;
mod common;
#[path = "fleet/hosts.rs"]
mod hosts;
#[path = "fleet/http.rs"]
mod http;
#[path = "fleet/jwt.rs"]
mod jwt;
#[path = "fleet/lease.rs"]
mod lease;
#[path = "fleet/redis.rs"]
mod redis;
#[path = "fleet/sentinel.rs"]
mod sentinel;
#[path = "fleet/srv.rs"]
mod srv;
#[allow(dead_code)] // it is another test's, too
#[path = "tls/support.rs"]
mod tls;

use common::plugins::bundled;
use common::{Answer, BASE, Client, Daemon, Peer, eventually, kill, open, read_answer};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server is away.
fn away() -> Duration {
    let seconds = std::env::var("FLEET_AWAY").ok().map(|seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// The daemon with a bundled back end.
fn daemon(backend: &str, keys: &[&str], more: &[&str]) -> Daemon {
    let keys: Vec<_> = keys.iter().flat_map(|key| ["-c", key]).collect();
    // A client that waits for a minute is not asked whether it is there.
    let arguments = ["--plugins", bundled(), "-b", backend, "-c", "framing=binary", "--ping", "0"];
    Daemon::start(&[&arguments[..], &keys, more].concat())
}

fn request(endpoint: &str, fields: &str) -> String {
    let base = BASE.replacen("GET / ", &format!("GET {endpoint} "), 1);
    format!("{}{fields}\r\n", base.strip_suffix("\r\n").unwrap())
}

/// The status of the answer, which is 101 for a session; that ends at once.
fn status(daemon: &Daemon, endpoint: &str) -> u16 {
    reply(daemon, endpoint).status
}

fn reply(daemon: &Daemon, endpoint: &str) -> Answer {
    let head = request(endpoint, "");
    let mut stream = open(daemon.port());
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(&mut stream, false)
}

/// A session whose peer echoes.
#[track_caller]
fn session(daemon: &Daemon, head: &str) -> Client {
    let mut client = Client::connect_with(daemon.port(), head.as_bytes());
    client.frame(0x82, b"you?");
    assert_eq!(client.message().1, b"you?");
    client
}

/// A store has just answered this test again, and within a second of that whoever it knows comes to its
/// peer. How late a thread of ours is woken meanwhile that only sleeps is not held against the daemon: it
/// is what the machine has for others.
#[track_caller]
fn back_in_a_second(daemon: &Daemon, endpoint: &str) {
    const NAP: Duration = Duration::from_millis(10);
    let (since, is_back) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let is_over = Arc::clone(&is_back);
    let sleeper = thread::spawn(move || {
        let mut late = Duration::ZERO;
        while !is_over.load(Ordering::SeqCst) {
            let nap = Instant::now();
            thread::sleep(NAP);
            late += nap.elapsed() - NAP;
        }
        late
    });
    eventually("it is back", || status(daemon, endpoint) == 101);
    let took = since.elapsed();
    is_back.store(true, Ordering::SeqCst);
    let late = sleeper.join().unwrap();
    println!("{endpoint} is served {took:?} after the store is back; threads were {late:?} late");
    assert!(took < Duration::from_secs(1) + late, "{took:?}: {:#?}", daemon.log());
}

fn host(peer: &Peer) -> String {
    format!("127.0.0.1:{}", peer.port())
}

/// A server of others, which ends with this.
struct Server(Child);

impl Server {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, signal: &str) {
        kill(signal, self.0.id());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a program is there, which says its version at this word.
fn is_there(program: &str, version: &str) -> bool {
    let said = Command::new(program).arg(version).stdout(Stdio::null()).status();
    said.is_ok_and(|status| status.success())
}

/// What docs/scale.md sends a reader to is taken by the programs that it is for.
#[test]
fn the_examples_are_taken() {
    let arguments = ["-c", "-f", "examples/fleet/haproxy.cfg"];
    match Command::new("haproxy").args(arguments).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(_) => common::left_out("the example for HAProxy", "no haproxy"),
    }
    let example = std::fs::read_to_string("examples/fleet/websocksy.conf").unwrap();
    let file = common::plugins::scratch("examples").join("websocksy.conf");
    let here = example
        .replace("listen = 0.0.0.0", "listen = 127.0.0.1")
        .replace("port = 8001\n", "")
        .replace("/usr/lib/websocksy", bundled());
    std::fs::write(&file, here.replace("drain-grace = 5\n", "")).unwrap();
    let daemon = Daemon::start(&[file.to_str().unwrap()]);
    daemon.wait_for_log("listening on");
    assert_eq!(status(&daemon, "/token"), 503, "there is no such Redis here");
}
