//! A seeded simulation of the bridge: the real connection and the real pump between two sockets
//! that are made up, under a clock that is too.
//!
//! After every turn a ledger is drawn: each payload byte that was read from one side was written
//! to the other, waits in its queue, or is missing for a reason that came from outside. Whenever
//! the pump says that it waits for an event, nothing may be left that it could do: the sockets
//! have true edges only, so a wake-up that is lost stays lost.
//! `SIM_SEEDS=100000 cargo test --test simulate` runs that many; a failure names its seed, and
//! `SIM_SEED=n` replays it alone.

#![allow(clippy::expect_used, clippy::panic)] // a failed expectation is what a test is for

mod frames;
mod heard;
mod kind;
mod ledger;
mod random;
mod script;
mod socket;
mod speech;
mod world;

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
    let mut endings = BTreeMap::<String, [u64; Kind::COUNT]>::new();
    let mut bytes = 0;
    for seed in seeds.clone() {
        let outcome = std::panic::catch_unwind(|| world::run(seed));
        let Ok(report) = outcome else { panic!("SIM_SEED={seed} replays this failure") };
        endings.entry(report.ending).or_default()[report.kind.index()] += 1;
        bytes += report.bytes;
    }
    let count = seeds.end - seeds.start;
    println!("{count} sessions, {bytes} bytes; how they ended, by {:?}:", Kind::NAMES);
    for (ending, counts) in &endings {
        println!("{counts:6?} {ending}");
    }
    if count >= SEEDS {
        assert!(endings.len() > 18, "the simulation reaches too few endings: {endings:?}");
    }
}
