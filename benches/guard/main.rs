//! What a unit of work costs the release daemon in instructions and in system calls, beside the
//! baseline that is committed. Both are counted and not timed, so that what else the machine does
//! changes nothing.
//!
//! `make bench-guard` runs it; `make bench-guard-baseline` writes the baseline anew.
//! `docs/performance.md` says how to read it.

mod baseline;
mod cases;
mod client;
mod daemon;
#[allow(dead_code)] // the bench beside other bridges does more with it
#[path = "../bridges/secure.rs"]
mod secure;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use baseline::{Baseline, Cost};
use cases::{CASES, Case, With};
use daemon::{Count, Daemon, Tool};
use secure::Secure;

/// Daemons that are counted at the same time.
const AT_ONCE: usize = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [binary] => compare(Path::new(binary)),
        [binary, "--update"] => measure(Path::new(binary)).and_then(|now| now.write()),
        _ => Err(io::Error::other("which daemon? bench-guard BINARY [--update]")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-guard: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(binary: &Path) -> io::Result<()> {
    let before = Baseline::read()?;
    let now = measure(binary)?;
    let worse = now.beside(&before)?;
    if worse.is_empty() {
        return Ok(());
    }
    let why = "profiles are in target/guard, for callgrind_annotate(1); if it must be so: \
               make bench-guard-baseline";
    Err(io::Error::other(format!("{}: more than the baseline; {why}", worse.join(", "))))
}

/// Runs each case twice with each tool, and takes the difference: what is left is the units that
/// one run had more than the other.
fn measure(binary: &Path) -> io::Result<Baseline> {
    let secure = Secure::new()?;
    let jobs = CASES.iter().flat_map(|case| Tool::ALL.map(|tool| (case, tool)));
    let jobs: Mutex<Vec<_>> = Mutex::new(jobs.collect());
    let next = || jobs.lock().ok().and_then(|mut jobs| jobs.pop());
    let work = || -> io::Result<Vec<_>> {
        let mut costs = Vec::new();
        while let Some((case, tool)) = next() {
            let count = |units| count(binary, &secure, case, tool, units);
            let (few, many) = (count(case.few)?, count(case.many)?);
            let unit = |few, many| (many as f64 - few as f64) / (case.many - case.few) as f64;
            let (total, waits) = (unit(few.total, many.total), unit(few.waits, many.waits));
            costs.push((case.name, tool, total, waits));
        }
        Ok(costs)
    };
    let costs = thread::scope(|scope| -> io::Result<Vec<_>> {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let mut costs = Vec::new();
        for worker in workers {
            costs.extend(worker.join().map_err(|_| io::Error::other("a worker panicked"))??);
        }
        Ok(costs)
    })?;
    let of = |name, tool| {
        let cost = costs.iter().find(|cost| (cost.0, cost.1) == (name, tool));
        cost.map_or((f64::NAN, f64::NAN), |cost| (cost.2, cost.3))
    };
    let rows = CASES.iter().map(|case| {
        let (instructions, _) = of(case.name, Tool::Callgrind);
        let (calls, waits) = of(case.name, Tool::Strace);
        Cost { case: case.name.to_owned(), instructions, calls, waits }
    });
    Baseline::of_now(rows.collect())
}

fn count(
    binary: &Path,
    secure: &Secure,
    case: &Case,
    tool: Tool,
    units: usize,
) -> io::Result<Count> {
    let daemon = Daemon::start(binary, tool, case, units)?;
    (case.run)(&daemon, (case.with == With::Tls).then_some(secure), units)
        .map_err(|error| io::Error::other(format!("{} under {tool:?}: {error}", case.name)))?;
    daemon.stop()
}
