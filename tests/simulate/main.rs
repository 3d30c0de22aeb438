//! A seeded simulation of the bridge: real connections and the real pump between sockets that are
//! made up, in a system and under a clock that are, too (`tests/world`).
//!
//! After every turn a ledger is drawn: each payload byte that was read from one side was written
//! to the other, waits in its queue, or is missing for a reason that came from outside. Whenever
//! the pump says that it waits for an event, nothing may be left that it could do: the sockets
//! have true edges only, so a wake-up that is lost stays lost.
//! `SIM_SEEDS=100000 cargo test --test simulate` runs that many; a failure names its seed, and
//! `SIM_SEED=n` replays it alone.

#![allow(clippy::expect_used, clippy::panic)] // a failed expectation is what a test is for

mod client_script;
#[cfg(feature = "deflate")]
mod compressed;
mod daemon;
mod kind;
mod peer_script;
mod readers;
mod visit;

use std::collections::BTreeMap;
use std::env;

use kind::Kind;

/// Seeds of a plain `cargo test`; `make check` runs more.
const SEEDS: u64 = 3_000;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}?")))
}

#[test]
fn every_byte_is_accounted_for() {
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(SEEDS),
    };
    let mut endings = BTreeMap::<&str, [u64; Kind::COUNT]>::new();
    let (mut sessions, mut bytes) = (0, 0);
    for seed in seeds.clone() {
        let outcome = std::panic::catch_unwind(|| daemon::run(seed));
        let Ok(reports) = outcome else { panic!("SIM_SEED={seed} replays this failure") };
        for report in reports {
            endings.entry(report.ending).or_default()[report.kind.index()] += 1;
            bytes += report.bytes;
            sessions += 1;
        }
    }
    println!("{sessions} sessions, {bytes} bytes; how they ended, by {:?}:", Kind::NAMES);
    for (ending, counts) in &endings {
        println!("{counts:6?} {ending}");
    }
    if seeds.end - seeds.start >= SEEDS {
        assert!(endings.len() > 20, "the simulation reaches too few endings: {endings:?}");
    }
}

/// Sessions of clients that compress: fewer, since zlib is what they spend their time with.
#[cfg(feature = "deflate")]
#[test]
fn every_byte_of_a_compressed_message_is_accounted_for() {
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(SEEDS) / 30,
    };
    let (mut payload, mut wire) = (0, 0);
    for seed in seeds.clone() {
        let outcome = std::panic::catch_unwind(|| compressed::run(seed));
        let Ok(carried) = outcome else { panic!("SIM_SEED={seed} replays this failure") };
        payload += carried.0;
        wire += carried.1;
    }
    println!("{payload} bytes of payload in {wire}");
    if seeds.end - seeds.start >= SEEDS / 30 {
        assert!(wire < payload, "it saves nothing");
    }
}
