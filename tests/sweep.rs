//! The fault sweep: each system call of scripted sessions over every transport fails with each error
//! that it may meet, once and from then on. Whatever fails, the client is told, the log says why,
//! nothing spins or stays, the daemon lives, and the next session works.
//!
//! `cargo test --test sweep` runs a sample, `make sweep` all of it; `docs/testing.md` has the figures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;
#[path = "sweep/errors.rs"]
mod errors;
#[path = "sweep/inject.rs"]
mod inject;
#[path = "sweep/run.rs"]
mod run;
#[path = "sweep/scenario.rs"]
mod scenario;
#[path = "sweep/talk.rs"]
mod talk;

use run::{Bench, Case, Finding};
use scenario::SCENARIOS;

#[test]
fn record() {
    let Some(tool) = inject::tool() else { return };
    for scenario in SCENARIOS {
        let cold = Bench::cold(tool, scenario).record();
        let warm = Bench::warm(tool, scenario).record();
        println!("== {}", scenario.name);
        for (call, count) in &cold {
            let w = warm.iter().find(|w| w.0 == *call).map_or(0, |w| w.1);
            println!("{call} {count} {w}");
        }
        for (call, count) in &warm {
            if !cold.iter().any(|w| w.0 == *call) {
                println!("{call} 0 {count}");
            }
        }
    }
}
