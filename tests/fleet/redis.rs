//! Routes in Redis, and Redis away.

use super::hosts::Host;
use super::{
    Server, away, back_in_a_second, daemon, host, is_there, reply, request, session, status,
};
use crate::common::plugins::{bundled, scratch};
use crate::common::{Peer, binary, eventually, free_port, left_out};
use crate::tls::{Authority, LATER};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const PASSWORD: &str = "correct horse battery staple";

/// A Redis of its own.
pub(super) struct Redis {
    server: Server,
    /// What starts it.
    program: Vec<String>,
    port: String,
    /// What it is started with beside its port.
    own: Vec<String>,
    /// What redis-cli is told to reach it.
    way: Vec<String>,
}

impl Redis {
    pub(super) fn start() -> Option<Self> {
        let port = free_port().to_string();
        Self::start_at(port.clone(), &["--port", &port], &[])
    }

    /// On a host of its own.
    pub(super) fn start_on(host: &Host) -> Option<Self> {
        let port = free_port().to_string();
        let own = ["--port", &port, "--bind", &host.address];
        let program = [host.enter(), vec!["redis-server".into()]].concat();
        Self::start_as(program, port.clone(), &own, &["-h", &host.address])
    }

    /// Follows another, of which it becomes a copy.
    pub(super) fn start_replica(master: &Self) -> Option<Self> {
        let port = free_port().to_string();
        let own = ["--port", &port, "--replicaof", "127.0.0.1", &master.port];
        Self::start_at(port.clone(), &own, &[])
    }

    /// Speaks TLS alone, with certificates of this authority and to clients that have one.
    pub(super) fn start_tls(authority: &Authority) -> Option<Self> {
        let port = free_port().to_string();
        let (root, pair) = (authority.root(), authority.pair("localhost", LATER));
        let files =
            ["--tls-ca-cert-file", &root, "--tls-cert-file", &pair, "--tls-key-file", &pair];
        let own = [&["--port", "0", "--tls-port", &port], &files[..]].concat();
        let way = ["--tls", "--cacert", &root, "--cert", &pair, "--key", &pair];
        Self::start_at(port.clone(), &own, &way)
    }

    fn start_at(port: String, own: &[&str], way: &[&str]) -> Option<Self> {
        Self::start_as(vec!["redis-server".into()], port, own, way)
    }

    fn start_as(program: Vec<String>, port: String, own: &[&str], way: &[&str]) -> Option<Self> {
        if !["redis-server", "redis-cli"].iter().all(|name| is_there(name, "--version")) {
            left_out("routes in Redis", "no redis-server");
            return None;
        }
        let [own, way]: [Vec<String>; 2] =
            [own, way].map(|words| words.iter().map(ToString::to_string).collect());
        let server = Self::serve(&program, &port, &own, &way);
        Some(Self { server, program, port, own, way })
    }

    fn serve(program: &[String], port: &str, own: &[String], way: &[String]) -> Server {
        let arguments = ["--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD];
        let follow = ["--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0"];
        let directory = scratch(&format!("redis-{port}"));
        let mut command = Command::new(&program[0]);
        command
            .args(&program[1..])
            .args(arguments)
            .args(follow)
            .args(own)
            .arg("--dir")
            .arg(directory);
        let server = Server::start(&mut command);
        eventually("Redis answers", || Self::ask(port, way, &["PING"]).trim_end() == "PONG");
        server
    }

    fn ask(port: &str, way: &[String], arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", port, "-a", PASSWORD, "--no-auth-warning"]).args(way).args(arguments);
        let output = command.stderr(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it answers.
    pub(super) fn ask_for(&self, arguments: &[&str]) -> String {
        Self::ask(&self.port, &self.way, arguments)
    }

    /// It is killed, and forgets all.
    pub(super) fn stop(&mut self) {
        self.server.signal("KILL");
        let _ = self.server.0.wait();
    }

    /// It is back, and knows nothing.
    pub(super) fn restart(&mut self) {
        self.server = Self::serve(&self.program, &self.port, &self.own, &self.way);
    }

    pub(super) fn set(&self, arguments: &[&str]) {
        self.ask_for(arguments);
    }

    pub(super) fn signal(&self, signal: &str) {
        self.server.signal(signal);
    }

    pub(super) fn port(&self) -> &str {
        &self.port
    }

    pub(super) fn url(&self) -> String {
        let is_elsewhere = self.way.first().is_some_and(|word| word == "-h");
        let address = if is_elsewhere { &*self.way[1] } else { "127.0.0.1" };
        Self::url_of("redis", &format!("{address}:{}", self.port))
    }

    pub(super) fn url_of(scheme: &str, place: &str) -> String {
        format!("url={scheme}://:{}@{place}/1", PASSWORD.replace(' ', "%20"))
    }
}

#[test]
fn a_token_leads_to_its_peer() {
    let Some(redis) = Redis::start() else { return };
    let echo = Peer::echo();
    let host = host(&echo);
    redis.set(&["-n", "1", "SET", "vnc:plain", &host]);
    redis.set(&["-n", "1", "SET", "vnc:json", &format!("{{\"host\":\"{host}\"}}")]);
    redis.set(&["-n", "1", "HSET", "vnc:hash", "host", &host, "protocol", "none"]);
    redis.set(&["-n", "1", "SET", "vnc:several", &format!("127.0.0.1:1 or={host}")]);
    redis.set(&["-n", "1", "RPUSH", "vnc:list", &host]);
    redis.set(&["-n", "1", "SET", "vnc:wrong", "nowhere at all"]);
    redis.set(&["-n", "1", "SET", "vnc:barred", "192.0.2.1:1"]);
    let keys = [&*redis.url(), "prefix=vnc:", "ttl=0.3", "negative-ttl=0.3"];
    let daemon = daemon("redis", &keys, &["--peer-allow", "127.0.0.0/8", "--query-threads", "3"]);
    for endpoint in ["/plain", "/json", "/hash", "/several", "/websockify?token=pl%61in"] {
        drop(session(&daemon, &request(endpoint, "")));
    }
    for (endpoint, expected) in
        [("/", 404), ("/none", 404), ("/list", 404), ("/wrong", 404), ("/barred", 403)]
    {
        assert_eq!(status(&daemon, endpoint), expected, "{endpoint}");
    }
    daemon.wait_for_log("what stands under a client's token is no peer: it is neither a string");
    // A change counts when what is remembered is too old.
    redis.set(&["-n", "1", "SET", "vnc:none", &host]);
    redis.set(&["-n", "1", "DEL", "vnc:plain"]);
    eventually("it is there", || status(&daemon, "/none") == 101);
    eventually("it is gone", || status(&daemon, "/plain") == 404);
    let log = daemon.log();
    assert!(!log.iter().any(|line| line.contains("battery")), "{log:#?}");
}

/// What is known is served while Redis is away, what is not is 503 at once, and it is found again
/// within a second: when it hangs, and when it is gone.
#[test]
fn known_routes_outlive_redis() {
    let Some(mut redis) = Redis::start() else { return };
    let echo = Peer::echo();
    let place = host(&echo);
    let keep = |redis: &Redis| {
        redis.set(&["-n", "1", "MSET", "known", &place, "new", &place]);
    };
    keep(&redis);
    let keys = [&*redis.url(), "ttl=0.1", "negative-ttl=0.1", "timeout=0.5"];
    let daemon = daemon("redis", &keys, &[]);
    let mut stays = session(&daemon, &request("/known", ""));
    for hangs in [true, false] {
        if hangs {
            redis.server.signal("STOP");
        } else {
            redis.server.signal("KILL");
        }
        thread::sleep(Duration::from_millis(200)); // what is known is not fresh any more
        let begin = Instant::now();
        let mut slowest = Duration::ZERO;
        while begin.elapsed() < away() {
            let asked = Instant::now();
            assert_eq!(status(&daemon, "/known"), 101);
            slowest = slowest.max(asked.elapsed());
            let refusal = reply(&daemon, "/new");
            assert_eq!((refusal.status, &*refusal.values("retry-after").concat()), (503, "2"));
            thread::sleep(Duration::from_millis(50));
        }
        // The first waits for its own answer, and for that of a probe.
        assert!(slowest < Duration::from_secs(4), "{slowest:?}");
        if hangs {
            redis.server.signal("CONT");
            assert_eq!(redis.ask_for(&["PING"]).trim_end(), "PONG");
        } else {
            redis.restart();
            keep(&redis);
        }
        back_in_a_second(&daemon, "/new");
        redis.set(&["-n", "1", "DEL", "new"]);
        eventually("it is asked again", || status(&daemon, "/new") == 404);
        keep(&redis);
        stays.frame(0x82, b"still");
        assert_eq!(stays.message().1, b"still");
    }
    let log = daemon.log();
    let said = |word: &str| log.iter().filter(|line| line.contains(word)).count();
    assert_eq!((said(" is away: "), said(" is back")), (2, 2), "{log:#?}");
    assert_eq!(said("1 known routes are served"), 2, "{log:#?}");
}

/// TLS to Redis, to whom bridges show a certificate, too; and each thing that may be wrong with it in
/// its own words.
#[test]
fn redis_may_speak_tls() {
    let (ours, others) = (Authority::new(), Authority::new());
    let Some(redis) = Redis::start_tls(&ours) else { return };
    let echo = Peer::echo();
    redis.set(&["-n", "1", "SET", "desk", &host(&echo)]);
    let url = &*Redis::url_of("rediss", &format!("localhost:{}", redis.port));
    let pair = ours.pair("bridge.example.org", LATER);
    let (cert, key) = (&*format!("cert-file={pair}"), &*format!("key-file={pair}"));
    let roots = [&ours, &others].map(|one| format!("ca-file={}", one.root()));
    let [root, strange] = roots.each_ref().map(String::as_str);
    let without_word = &*format!("url=rediss://localhost:{}/1", redis.port);
    let word = &*format!("password-file={}", ours.write("word", &format!("{PASSWORD}\n")));
    let bridge = daemon("redis", &[without_word, word, root, cert, key], &[]);
    drop(session(&bridge, &request("/desk", "")));
    let by_address = &*Redis::url_of("rediss", &format!("127.0.0.1:{}", redis.port));
    let plain = &*redis.url();
    for (keys, words) in [
        (&[url, root][..], "CertificateRequired"),
        (&[url, strange, cert, key], "UnknownIssuer"),
        (&[url, cert, key], "UnknownIssuer"), // by Mozilla's word
        (&[by_address, root, cert, key], "not valid for name"),
        (&[plain], "redis: 127.0.0.1:"),
    ] {
        let bridge = daemon("redis", keys, &["--query-timeout", "5"]);
        bridge.wait_for_log(words);
        assert_eq!(status(&bridge, "/desk"), 503, "{words}");
    }
    let strange_key = others.pair("bridge.example.org", LATER);
    let strange_key = &*format!("key-file={strange_key}");
    let none = &*format!("ca-file={}", ours.write("none.pem", "none"));
    for (keys, words) in [
        (&[plain, root][..], "are for rediss://, TLS to Redis"),
        (&[url, cert], "'cert-file' and 'key-file' want each other"),
        (&[url, cert, strange_key], "'cert-file' and 'key-file' are no pair"),
        (&[url, none], "holds no certificate in PEM"),
    ] {
        let keys: Vec<_> = keys.iter().flat_map(|key| ["-c", key]).collect();
        let mut command = Command::new(binary());
        command.args(["-p", "0", "--plugins", bundled(), "-b", "redis"]).args(keys);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(words), "{words}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
