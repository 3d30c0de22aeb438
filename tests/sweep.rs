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
#[path = "sweep/known.rs"]
mod known;
#[path = "sweep/report.rs"]
mod report;
#[path = "sweep/run.rs"]
mod run;
#[path = "sweep/scenario.rs"]
mod scenario;
#[path = "sweep/talk.rs"]
mod talk;

use errors::{errors_of, may_persist};
use inject::Call;
use known::KNOWN;
use report::Report;
use run::{Bench, Case};
use scenario::{SCENARIOS, Scenario};
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Mutex;

/// Sessions that run at once, each over a daemon of its own: they wait more than they work.
const WORKERS: usize = 4;
/// Cases that share a daemon, one after the other.
const CHUNK: usize = 40;
/// Of calls that a session makes over and over, this many are failed.
const REPEATS: usize = 8;
/// Cases of a sample.
const SAMPLE: usize = 800;
/// What the choice of a sample begins with, unless `SWEEP_SEED` says otherwise.
const SEED: u64 = 1;

/// Whether all of it is to run.
fn all() -> bool {
    std::env::var("SWEEP").is_ok_and(|what| what == "all")
}

/// Every case of a scenario.
fn cases(tool: &Path, scenario: Scenario) -> Vec<Case> {
    let warm = Bench::warm(tool, scenario).record();
    let cold = Bench::cold(tool, scenario).record();
    let mut cases = Vec::new();
    let times = |calls: &[(Call, usize)], call: &Call| {
        calls.iter().find(|(other, _)| other == call).map_or(0, |(_, times)| *times)
    };
    for (call, count) in &warm {
        add(&mut cases, scenario, call, 0..*count, false);
    }
    for (call, count) in &cold {
        // How often it waits, reads and writes is a matter of time; that it does so at all is not.
        let warm = times(&warm, call);
        if warm == 0 || call.name == "mmap" {
            add(&mut cases, scenario, call, warm..*count, true);
        }
    }
    cases
}

fn add(
    cases: &mut Vec<Case>,
    scenario: Scenario,
    call: &Call,
    range: std::ops::Range<usize>,
    cold: bool,
) {
    let errors = errors_of(call);
    let errors = errors.unwrap_or_else(|| panic!("{call}: what may it fail with? see errors.rs"));
    let Ok(errors) = errors else { return };
    for index in range.take(REPEATS) {
        for &errno in errors {
            for persists in [false, true] {
                if !persists || may_persist(call, errno) {
                    let call = call.clone();
                    cases.push(Case { scenario, call, index, errno, persists, cold });
                }
            }
        }
    }
}

/// A sample of `all`: what is known to fail, each call with some error, and others up to its size.
fn sample(mut all: Vec<Case>) -> Vec<Case> {
    let seed = std::env::var("SWEEP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    println!("a sample of {SAMPLE} of {} cases, SWEEP_SEED={seed}", all.len());
    shuffle(&mut all, seed);
    let (mut seen, mut known) = (BTreeSet::new(), [0; KNOWN.len()]);
    let (mut first, mut others) = (Vec::new(), Vec::new());
    for case in all {
        let mut wanted = seen.insert((case.scenario.name, case.call.clone()));
        for (entry, count) in KNOWN.iter().zip(&mut known) {
            if entry.is_about(&case) && *count < 3 {
                *count += 1;
                wanted = true;
            }
        }
        if wanted { first.push(case) } else { others.push(case) }
    }
    others.truncate(SAMPLE.saturating_sub(first.len()));
    first.extend(others);
    first
}

fn shuffle(cases: &mut [Case], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for at in (1..cases.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        cases.swap(at, (state % (at as u64 + 1)) as usize);
    }
}

/// Cases that share a daemon follow each other.
fn chunks(mut cases: Vec<Case>) -> VecDeque<Vec<Case>> {
    let place = |case: &Case| SCENARIOS.iter().position(|one| *one == case.scenario);
    cases.sort_by_key(|case| (case.cold, place(case)));
    let together = |a: &Case, b: &Case| a.scenario == b.scenario && a.cold == b.cold;
    let groups = cases.chunk_by(together).flat_map(|group| group.chunks(CHUNK));
    groups.map(<[Case]>::to_vec).collect()
}

fn run_chunk(tool: &Path, chunk: &[Case], report: &Mutex<Report>) {
    let mut bench: Option<Bench> = None;
    for case in chunk {
        let usable = bench.take().filter(|bench| bench.is_usable() && !case.cold);
        let mut next = usable.unwrap_or_else(|| {
            if case.cold { Bench::cold(tool, case.scenario) } else { Bench::warm(tool, case.scenario) }
        });
        let findings = next.run(case);
        report.lock().unwrap().add(case, findings);
        bench = Some(next);
    }
}

#[test]
fn a10_no_error_of_the_system_is_a_silent_end() {
    let Some(tool) = inject::tool() else { return };
    let mut chosen: Vec<Case> = SCENARIOS.iter().flat_map(|one| cases(tool, *one)).collect();
    if let Ok(only) = std::env::var("SWEEP_ONLY") {
        chosen.retain(|case| case.to_string().contains(&only));
    } else if !all() {
        chosen = sample(chosen);
    }
    let report = Mutex::new(Report::default());
    let work = Mutex::new(chunks(chosen));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(chunk) = work.lock().unwrap().pop_front() else { break };
                    run_chunk(tool, &chunk, &report);
                }
            });
        }
    });
    report.into_inner().unwrap().conclude();
}
