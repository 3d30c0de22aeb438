//! A seeded simulation of the bridge: the real connection and the real pump between two sockets
//! that are made up, under a clock that is too.
//!
//! After every step a ledger is drawn: each payload byte that was read from one side was written
//! to the other, waits in its queue, or was discarded for a reason that the connection names.
//! `SIM_SEEDS=100000 cargo test --test simulate` runs that many; a failure names its seed, and
//! `SIM_SEED=n` replays it alone.

#![allow(clippy::expect_used, clippy::panic)] // a failed expectation is what a test is for

mod script;
mod world;

use std::env;

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
    let mut endings = std::collections::BTreeMap::<String, u64>::new();
    let mut bytes = 0;
    for seed in seeds.clone() {
        let outcome = std::panic::catch_unwind(|| world::run(seed));
        let Ok(report) = outcome else { panic!("SIM_SEED={seed} replays this failure") };
        *endings.entry(report.ending).or_default() += 1;
        bytes += report.bytes;
    }
    println!("{} sessions, {bytes} bytes; how they ended:", seeds.end - seeds.start);
    for (ending, count) in &endings {
        println!("{count:8} {ending}");
    }
    if seeds.end - seeds.start >= SEEDS {
        assert!(endings.len() > 12, "the simulation reaches too few endings: {endings:?}");
    }
}
