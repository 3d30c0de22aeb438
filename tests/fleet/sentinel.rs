//! Redis with a replica, of which sentinels say who is the master.

use super::redis::{PASSWORD, Redis};
use super::{Server, daemon, host, request, session, status};
use crate::common::plugins::scratch;
use crate::common::{Client, Daemon, Peer, eventually, free_port};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What the sentinels want to hear.
const WORD: &str = "sesame";

/// Three sentinels, two of which decide.
struct Sentinels(Vec<(Server, String)>);

impl Sentinels {
    fn start(master: &Redis) -> Self {
        let begin = || {
            let port = free_port().to_string();
            let directory = scratch(&format!("sentinel-{port}"));
            let file = directory.join("sentinel.conf");
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nrequirepass {WORD}\n\
                 sentinel sentinel-pass {WORD}\n\
                 sentinel monitor desks 127.0.0.1 {} 2\n\
                 sentinel auth-pass desks \"{PASSWORD}\"\n\
                 sentinel down-after-milliseconds desks 500\n\
                 sentinel failover-timeout desks 1000\n",
                directory.display(),
                master.port()
            );
            fs::write(&file, text).unwrap();
            (Server::start(Command::new("redis-server").arg(file).arg("--sentinel")), port)
        };
        let sentinels = Self((0..3).map(|_| begin()).collect());
        for at in 0..3 {
            let says = |words: &[&str]| sentinels.ask(at, words);
            eventually("they know each other", || says(&["CKQUORUM", "desks"]).contains("OK 3 "));
            eventually("they know the replica", || {
                says(&["REPLICAS", "desks"]).contains("master-link-status\nok")
            });
        }
        sentinels
    }

    fn ask(&self, at: usize, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.0[at].1, "-a", WORD, "--no-auth-warning", "SENTINEL"]);
        let output = command.args(words).stderr(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until one of them says that this is the master.
    fn follow(&self, to: &Redis) {
        let place = format!("127.0.0.1\n{}\n", to.port());
        let says = |at| self.ask(at, &["get-master-addr-by-name", "desks"]) == place;
        eventually("there is another master", || (0..3).any(says));
    }
}

fn is_replica(redis: &Redis) -> bool {
    let said = redis.ask_for(&["INFO", "replication"]);
    said.contains("role:slave") && said.contains("master_link_status:up")
}

/// A route that is written on the master is served, and the session counts there.
fn goes_on(bridge: &Daemon, master: &Redis, token: &str, place: &str, stays: &mut Client) {
    let begin = Instant::now();
    let place_of_it = format!("127.0.0.1:{}", master.port());
    eventually("the new master is found", || {
        let log = bridge.log();
        let last = log.iter().rev().find(|line| line.contains("the master desks is at"));
        last.is_some_and(|line| line.split_whitespace().any(|word| word == place_of_it))
    });
    println!("the new master is found {:?} after the sentinels say so", begin.elapsed());
    eventually("it takes what is written", || {
        master.ask_for(&["-n", "1", "SET", token, place]).trim() == "OK"
    });
    let token = format!("/{token}");
    eventually("the new master is asked", || status(bridge, &token) == 101);
    eventually("the session counts", || {
        master.ask_for(&["-n", "1", "ZCARD", "lease:known"]).trim() == "1"
    });
    assert_eq!(status(bridge, "/nobody"), 404);
    stays.frame(0x82, b"still");
    assert_eq!(stays.message().1, b"still");
}

/// The master hangs, is moved while it lives, and is killed.
#[test]
fn another_master_is_found() {
    let Some(mut one) = Redis::start() else { return };
    let two = Redis::start_replica(&one).unwrap();
    eventually("the replica follows", || is_replica(&two));
    let sentinels = Sentinels::start(&one);
    let echo = Peer::echo();
    let place = &*host(&echo);
    one.set(&["-n", "1", "SET", "known", place]);
    let url = Redis::url_of("redis", "desks");
    let gone = format!("sentinel=127.0.0.1:{}", free_port());
    let there = |at: usize| format!("sentinel=redis://:{WORD}@127.0.0.1:{}", sentinels.0[at].1);
    let keys = [&*url, &*gone, &*there(0), &*there(1), &*there(2)];
    let times = ["ttl=0.1", "negative-ttl=0.1", "timeout=0.5", "lease=9", "lease-ttl=1"];
    let bridge = daemon("redis", &[&keys[..], &times].concat(), &["--query-timeout", "5"]);
    let mut stays = session(&bridge, &request("/known", ""));
    goes_on(&bridge, &one, "first", place, &mut stays);

    one.signal("STOP");
    sentinels.follow(&two);
    goes_on(&bridge, &two, "second", place, &mut stays);
    one.signal("CONT");
    eventually("the old one follows", || is_replica(&one));

    let begin = || sentinels.ask(0, &["FAILOVER", "desks"]).trim() == "OK";
    eventually("it is moved back", begin);
    sentinels.follow(&one);
    goes_on(&bridge, &one, "third", place, &mut stays);
    eventually("the other one follows", || is_replica(&two));

    one.stop();
    sentinels.follow(&two);
    goes_on(&bridge, &two, "fourth", place, &mut stays);
    assert!(!bridge.log().iter().any(|line| line.contains(WORD)), "{:#?}", bridge.log());
}
