//! A seeded simulation of the whole reactor: the real loop, sessions, admission, dialling, offload
//! bookkeeping, deadlines and drain, over an operating system that is made up, clock included.
//!
//! `REACTOR_SEEDS=100000 cargo test --test reactor` runs that many; a failure names its seed, and
//! `REACTOR_SEED=n` replays it alone.

#![allow(clippy::expect_used, clippy::panic)] // a failed expectation is what a test is for

use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use websocksy::access::TrustedProxies;
use websocksy::config::{Config, Deadlines, ListenWords, SourceAddress};
use websocksy::reactor::{Entrance, Reactor, Signal, System};
use websocksy_world::machine::{Limits, Machine, QUERY_THREADS, Summary};
use websocksy_world::{Faults, Latencies, Random};

/// Seeds of a plain `cargo test`; `make check` runs more.
const SEEDS: u64 = 2_000;

const FAULTS: Faults = Faults {
    // tests/simulate has it; here a last look before a deadline must see what is there.
    interrupted: 0,
    short_read: 4,
    keeps: 4,
    small_datagrams: 3,
    refused_datagram: 30,
    refused_again: 3,
    aborted: 60,
    few_descriptors: 6,
    no_peer: 16,
    unknown_name: 16,
    refused_connect: 3,
    unreachable: 12,
    no_port: 4,
    unwatched: 200,
    stopped: 30,
    failed_peer: 60,
    spurious: 20,
    hang: 6,
};

const LATENCIES: Latencies = Latencies {
    arrival: Duration::from_secs(3),
    query: Duration::from_millis(400),
    look_up: Duration::from_millis(400),
    connect: Duration::from_millis(600),
    step: Duration::from_millis(300),
    hang: Duration::from_secs(30),
};

/// Where the proxy is by which all clients of some runs come.
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// When a run ends that was not ended before: all deadlines are over by then.
const END: Duration = Duration::from_secs(10_000);

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}?")))
}

#[test]
fn every_client_is_answered_and_nothing_is_left() {
    let seeds = match number("REACTOR_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("REACTOR_SEEDS").unwrap_or(SEEDS),
    };
    let mut all = Summary::new();
    for seed in seeds.clone() {
        let outcome = std::panic::catch_unwind(|| run(seed));
        let Ok(summary) = outcome else { panic!("REACTOR_SEED={seed} replays this failure") };
        for (what, count) in summary {
            *all.entry(what).or_default() += count;
        }
    }
    println!("{} runs; clients:", seeds.end - seeds.start);
    for (what, count) in &all {
        println!("{count:8} {what}");
    }
    if seeds.end - seeds.start >= SEEDS {
        assert_reached(&all);
    }
}

/// A simulation that reaches too little says nothing.
fn assert_reached(all: &Summary) {
    for what in [
        "was echoed",
        "was not accepted",
        "was hung up on",
        "was hung up on before it was known",
        "was hung up on in its handshake",
        "(came by a proxy)",
        "(came over TLS)",
        "left",
        "was refused with 426",
        "was refused with 404",
        "was refused with 408",
        "was refused with 502",
        "was refused with 503",
        "was refused with 504",
        "was closed with Some(1001)",
        "(pauses of accepting)",
        "(further attempts)",
        "(sessions cut off by the end of a drain)",
    ] {
        assert!(all.get(what).is_some_and(|count| *count > 0), "never seen: {what}");
    }
}

fn run(seed: u64) -> Summary {
    let mut random = Random::new(seed);
    let crowd = random.one_in(100);
    let clients = if crowd { 700 } else { random.up_to(40) };
    let by_proxy = random.one_in(4);
    let tls = random.one_in(3);
    let config = config(&mut random, crowd, by_proxy);
    let limits = Limits {
        clients: config.max_connections,
        per_address: config.max_per_address,
        handshake: config.deadlines.handshake,
        answer: config.deadlines.query + config.deadlines.connect,
        dial: config.deadlines.connect,
        drain: config.drain_timeout,
    };
    let latencies = Latencies {
        arrival: if crowd { Duration::from_millis(20) } else { LATENCIES.arrival },
        ..LATENCIES
    };
    let mut machine = Machine::new(FAULTS, latencies, clients, random.fork());
    if by_proxy {
        machine.put_behind(PROXY);
    }
    let early = random.one_in(2);
    let at = if early { Duration::from_millis(random.below(8_000)) } else { END };
    machine.signal(at, Signal::Terminate);
    if random.one_in(8) {
        machine.signal(at + Duration::from_millis(random.below(3_000)), Signal::Interrupt);
    }
    if random.one_in(8) {
        machine.signal(Duration::from_millis(random.below(3_000)), Signal::Hangup);
    }
    let began = machine.now();
    let words = ListenWords { proxy_protocol: by_proxy, tls, ..ListenWords::default() };
    let entrance = Entrance { name: "made up".into(), words };
    let mut reactor = Reactor::new(config, machine.clone(), machine.clone()).expect("a reactor");
    reactor.listen((), entrance).expect("a listener");
    let mut events = machine.events();
    while !reactor.is_over() {
        reactor.turn(&mut events).expect("a turn");
        machine.check(reactor.counts(), reactor.is_over(), &limits);
        if machine.now() - began > END / 2 {
            assert!(early || machine.is_quiet(), "sessions do not end by themselves: {machine}");
        }
    }
    let cut_off = reactor.counts().sessions as u64;
    reactor.close_all();
    let counts = reactor.counts();
    assert_eq!((counts.sessions, counts.admitted, counts.addresses), (0, 0, 0));
    // Whoever came is counted out again, whichever way it went.
    assert_eq!((reactor.totals().present(), counts.queued), ((0, 0), 0));
    machine.check(counts, true, &limits);
    drop(reactor);
    let mut summary = machine.check_end(&limits);
    summary.insert("(sessions cut off by the end of a drain)".into(), cut_off);
    summary.insert("(came over TLS)".into(), if tls { clients as u64 } else { 0 });
    summary.insert("(came by a proxy)".into(), if by_proxy { clients as u64 } else { 0 });
    summary
}

fn config(random: &mut Random, crowd: bool, by_proxy: bool) -> Config {
    let mut proxies = TrustedProxies::default();
    if by_proxy {
        proxies.push(PROXY.into());
    }
    let sources = if random.one_in(3) { &["10.1.0.1", "fd00::1", "10.1.0.2"][..] } else { &[] };
    let source = |text: &&str| SourceAddress {
        address: text.parse().expect("an address"),
        origin: "--source".into(),
    };
    Config {
        proxies,
        sources: sources.iter().map(source).collect(),
        max_connections: if crowd || random.one_in(3) { random.up_to(12) } else { 10_000 },
        max_per_address: if random.one_in(3) { random.up_to(3) } else { 0 },
        query_threads: QUERY_THREADS,
        drain_timeout: Duration::from_secs(random.below(12)),
        deadlines: Deadlines { write: Duration::from_secs(60), ..Deadlines::default() },
        ..Config::default()
    }
}
