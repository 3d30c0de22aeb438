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
#[path = "sweep/life.rs"]
mod life;
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
use life::{LIVES, LifeCase};
use report::{Extent, Part, Report};
use run::{Bench, Case};
use scenario::{SCENARIOS, Scenario, Stage};
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Mutex;

/// Sessions that run at once, each over a daemon of its own: they wait more than they work.
const WORKERS: usize = 4;
/// Cases that share a daemon, one after the other.
const CHUNK: usize = 40;
/// Of calls that a session makes over and over, this many are failed.
const REPEATS: usize = 8;
/// Cases of a sample: of sessions, and of starts and ends.
const SAMPLE: usize = 400;
const LIFE_SAMPLE: usize = 100;
/// What the choice of a sample begins with, unless `SWEEP_SEED` says otherwise.
const SEED: u64 = 1;

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

/// Which cases are to run: all, those that are asked for, or a sample of so many. In a sample is
/// what is known to fail, each call with some error, and others.
fn choose<T>(mut all: Vec<T>, size: usize, case: impl Fn(&T) -> &Case) -> (Vec<T>, Extent) {
    if std::env::var("SWEEP").is_ok_and(|what| what == "all") {
        return (all, Extent::All);
    }
    if let Ok(only) = std::env::var("SWEEP_ONLY") {
        let words: Vec<&str> = only.split(',').collect();
        all.retain(|item| {
            let name = format!("{}{}", case(item), if case(item).cold { " cold" } else { "" });
            words.iter().all(|word| name.contains(word))
        });
        return (all, Extent::Asked);
    }
    let seed = std::env::var("SWEEP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    println!("a sample of {size} of {} cases, SWEEP_SEED={seed}", all.len());
    shuffle(&mut all, seed);
    let (mut seen, mut known) = (BTreeSet::new(), [0; KNOWN.len()]);
    let (mut first, mut others) = (Vec::new(), Vec::new());
    for item in all {
        let case = case(&item);
        let mut wanted = seen.insert((case.scenario.name, case.call.clone()));
        for (entry, count) in KNOWN.iter().zip(&mut known) {
            if entry.is_about(case) && *count < 3 {
                *count += 1;
                wanted = true;
            }
        }
        if wanted { first.push(item) } else { others.push(item) }
    }
    others.truncate(size.saturating_sub(first.len()));
    first.extend(others);
    (first, Extent::Sample)
}

fn shuffle<T>(cases: &mut [T], seed: u64) {
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
    for (index, case) in chunk.iter().enumerate() {
        let mut next = bench.take().unwrap_or_else(|| {
            if case.cold {
                Bench::cold(tool, case.scenario)
            } else {
                Bench::warm(tool, case.scenario)
            }
        });
        let mut findings = next.run(case);
        let last = index + 1 == chunk.len();
        if let (true, Some(growth)) = (last, next.growth()) {
            findings.get_or_insert_default().push(growth);
        }
        report.lock().unwrap().add(case, findings);
        bench = Some(next).filter(|bench| bench.is_usable() && !case.cold);
    }
}

/// Has several workers do what there is to do.
fn work<T: Send>(items: VecDeque<T>, item: impl Fn(T) + Sync) {
    let items = Mutex::new(items);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(next) = items.lock().unwrap().pop_front() else { break };
                    item(next);
                }
            });
        }
    });
}

#[test]
fn a03_no_error_of_the_system_is_a_silent_end() {
    let Some(tool) = inject::tool() else { return };
    let all: Vec<Case> = SCENARIOS.iter().flat_map(|one| cases(tool, *one)).collect();
    let (chosen, extent) = choose(all, SAMPLE, |case| case);
    let report = Mutex::new(Report::default());
    work(chunks(chosen), |chunk| run_chunk(tool, &chunk, &report));
    report.into_inner().unwrap().conclude(extent, Part::Sessions);
}

#[test]
fn a13_a_start_fails_in_words_and_an_end_does_not_fail() {
    let Some(tool) = inject::tool() else { return };
    let all: Vec<LifeCase> = LIVES.iter().flat_map(|one| life::cases(tool, *one)).collect();
    let (chosen, extent) = choose(all, LIFE_SAMPLE, |one| &one.case);
    let report = Mutex::new(Report::default());
    let stages = LIVES.map(|scenario| (scenario.transport, Stage::set(scenario)));
    work(chosen.into(), |one: LifeCase| {
        let transport = one.case.scenario.transport;
        let stage = stages.iter().find(|(other, _)| *other == transport).map(|(_, stage)| stage);
        let findings = life::run(tool, stage.unwrap(), &one);
        report.lock().unwrap().add(&one.case, findings);
    });
    report.into_inner().unwrap().conclude(extent, Part::Life);
}
