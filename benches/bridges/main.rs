//! websocksy beside other bridges: what a unit of work costs each in CPU time and memory.
//!
//! `make bench-bridges` runs it; `docs/performance.md` says how to read what it prints.
//!
//! Environment:
//! - `QUICK=1`: three short rounds and no idle case, for a first look.
//! - `BENCH_RIVALS`, `BENCH_CASES`: only these, separated by commas.
//! - `BENCH_ROUNDS`: rounds a case, 5 unless told.
//! - `BENCH_CPUS`: the bridge's core and the load's, `1,0` unless told.
//! - `BENCH_WEBSOCKSY`: the daemon to measure instead of the one just built.
//! - `BENCH_BASELINE`: another build of the daemon, measured beside it.

mod bridges;
mod cases;
mod chart;
mod dial;
mod json;
mod load;
mod machine;
mod pattern;
mod peer;
mod poll_loop;
mod relay;
mod report;
mod results;
mod secure;
mod usage;
mod ws;

use std::fs;
use std::io;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use bridges::{BRIDGES, Bridge, OPTIONAL};
use cases::{CASES, Case};
use dial::Target;
use pattern::Pattern;
use peer::{Behaviour, Peers};
use results::{Results, Run};
use secure::Secure;
use usage::Span;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Plan::from_env().and_then(|plan| plan.carry_out()),
        ["relay", listen, peer, buffer] => relay(listen, peer, buffer),
        _ => Err(io::Error::other("no arguments are understood; see the environment variables")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-bridges: {error}");
            ExitCode::FAILURE
        }
    }
}

fn relay(listen: &str, peer: &str, buffer: &str) -> io::Result<()> {
    relay::run(number(listen)?, number(peer)?, number(buffer)?)
}

/// What the environment asks for.
struct Plan {
    bridges: Vec<&'static Bridge>,
    missing: Vec<&'static Bridge>,
    cases: Vec<&'static Case>,
    rounds: usize,
    span: Span,
    bridge_cpu: usize,
    load_cpu: usize,
}

impl Plan {
    fn from_env() -> io::Result<Self> {
        let quick = variable("QUICK").is_some_and(|value| value != "0");
        let cpus = variable("BENCH_CPUS").unwrap_or_else(|| "1,0".into());
        let (bridge_cpu, load_cpu) =
            cpus.split_once(',').ok_or_else(|| io::Error::other("BENCH_CPUS is two numbers"))?;
        let rounds =
            variable("BENCH_ROUNDS").unwrap_or_else(|| if quick { "3" } else { "5" }.into());
        let millis = if quick { [150, 400] } else { [300, 1500] }.map(Duration::from_millis);
        let (bridges, missing) =
            chosen_bridges()?.into_iter().partition(|bridge| bridge.program().is_some());
        Ok(Self {
            bridges,
            missing,
            cases: chosen_cases(quick)?,
            rounds: number(&rounds)?,
            span: Span { warm_up: millis[0], measured: millis[1] },
            bridge_cpu: number(bridge_cpu)?,
            load_cpu: number(load_cpu)?,
        })
    }

    fn carry_out(&self) -> io::Result<()> {
        pin_to(self.load_cpu)?;
        let (noise, text) = (Pattern::new(pattern::noise()), Pattern::new(pattern::text()));
        let peers = Peers::start(noise.clone(), text.clone())?;
        let secure = Secure::new()?;
        let mut results = Results::default();
        for case in &self.cases {
            let pattern = if case.behaviour() == Behaviour::FloodText { &text } else { &noise };
            self.measure(case, pattern, &peers, &secure, &mut results);
        }
        self.publish(&results)
    }

    /// Every bridge in turn, then again the other way round, so that what disturbs the machine disturbs
    /// all alike, and nobody always comes behind the same one.
    fn measure(
        &self,
        case: &'static Case,
        pattern: &Pattern,
        peers: &Peers,
        secure: &Secure,
        results: &mut Results,
    ) {
        for round in 1..=case.rounds(self.rounds) {
            let mut bridges: Vec<_> =
                self.bridges.iter().filter(|bridge| case.suits(bridge)).collect();
            if round % 2 == 0 {
                bridges.reverse();
            }
            for bridge in bridges {
                let outcome = self.run(case, bridge, pattern.clone(), peers, secure);
                let shown = match &outcome {
                    Ok(run) => format!("{:.3?}", run.values),
                    Err(error) => error.to_string(),
                };
                eprintln!("{} {round}: {}: {shown}", case.id, bridge.id);
                results.add(case, bridge, round, outcome);
            }
        }
    }

    fn run(
        &self,
        case: &Case,
        bridge: &Bridge,
        pattern: Pattern,
        peers: &Peers,
        secure: &Secure,
    ) -> io::Result<Run> {
        let running = bridge.start(&case.job(peers), self.bridge_cpu)?;
        let (pid, port, speech) = (running.pid(), running.port, bridge.speech);
        let target = Target { pid, port, speech, pattern, security: case.security, secure };
        let _ = peers.take_fault();
        let begin = Instant::now();
        let values = case.run(bridge, &target, peers, self.span)?;
        let wait = usage::waited_nanos(target.pid) as f64 / begin.elapsed().as_nanos() as f64;
        match peers.take_fault() {
            Some(fault) => Err(io::Error::other(fault)),
            None => Ok(Run { values, wait }),
        }
    }

    fn publish(&self, results: &Results) -> io::Result<()> {
        let machine =
            machine::describe(&self.bridges, [self.bridge_cpu, self.load_cpu], results.wait());
        let report = report::Report {
            bridges: &self.bridges,
            missing: &self.missing,
            cases: &self.cases,
            machine: &machine,
            results,
        };
        let target = target_folder()?;
        fs::write(target.join("bench-bridges.json"), json::write(&report))?;
        fs::write(target.join("bench-bridges.svg"), chart::draw(&report))?;
        let markdown = report.markdown();
        fs::write(target.join("bench-bridges.md"), &markdown)?;
        print!("{markdown}");
        Ok(())
    }
}

/// `target/`, wherever it is: this program is in `target/release/examples`.
fn target_folder() -> io::Result<std::path::PathBuf> {
    let exe = std::env::current_exe()?;
    let target = exe.ancestors().nth(3).ok_or_else(|| io::Error::other("no build directory"))?;
    Ok(target.to_path_buf())
}

/// Puts this process, and so the load and the peers, on one core.
fn pin_to(cpu: usize) -> io::Result<()> {
    let own = std::process::id().to_string();
    let output = Command::new("taskset").args(["-acp", &cpu.to_string(), &own]).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn chosen_bridges() -> io::Result<Vec<&'static Bridge>> {
    let Some(list) = variable("BENCH_RIVALS") else {
        let asked = |bridge: &&Bridge| {
            !OPTIONAL.contains(&bridge.id)
                && (bridge.id != "baseline" || bridge.program().is_some())
        };
        return Ok(BRIDGES.iter().filter(asked).collect());
    };
    let names: Vec<&str> = list.split(',').collect();
    check_names(&names, BRIDGES.iter().map(|bridge| bridge.id))?;
    let always = |id| ["websocksy", "relay256", "relay16"].contains(&id);
    let baseline = |bridge: &Bridge| bridge.id == "baseline" && bridge.program().is_some();
    let asked =
        |bridge: &&Bridge| always(bridge.id) || names.contains(&bridge.id) || baseline(bridge);
    Ok(BRIDGES.iter().filter(asked).collect())
}

fn chosen_cases(quick: bool) -> io::Result<Vec<&'static Case>> {
    let Some(list) = variable("BENCH_CASES") else {
        return Ok(CASES.iter().filter(|case| !(quick && case.is_long())).collect());
    };
    let names: Vec<&str> = list.split(',').collect();
    check_names(&names, CASES.iter().map(|case| case.id))?;
    Ok(CASES.iter().filter(|case| names.contains(&case.id)).collect())
}

fn check_names(names: &[&str], known: impl Iterator<Item = &'static str>) -> io::Result<()> {
    let known: Vec<_> = known.collect();
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(io::Error::other(format!("no {name}; there are {}", known.join(", ")))),
        None => Ok(()),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.trim().parse().map_err(|_| io::Error::other(format!("{text} is not a number in range")))
}
