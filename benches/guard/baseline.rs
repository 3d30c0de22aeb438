//! What was counted, now and when the baseline was made.

use std::fmt::Write;
use std::fs;
use std::io;
use std::process::Command;

const FILE: &str = "benches/guard/baseline.txt";
const HEADING: &str = "# `make bench-guard-baseline` writes this. A unit of each case: \
    instructions in user space, system calls but for waits, and these.\n";
/// How many times the baseline's instructions there may be. Two runs of one daemon differ by less:
/// by a tenth of that mostly, and where sessions come and go once by two thirds.
const MORE: f64 = 1.03;
/// How many where another compiler, C library or processor may be why.
const MORE_ELSEWHERE: f64 = 1.15;
/// How many system calls a unit there may be more, where what comes with time makes a twentieth.
const CALLS_MORE: f64 = 0.25;
/// How many waits: now and then two events come together, or one comes alone.
const WAITS_MORE: f64 = 0.75;

/// What a unit of a case costs.
pub(crate) struct Cost {
    pub(crate) case: String,
    pub(crate) instructions: f64,
    pub(crate) calls: f64,
    pub(crate) waits: f64,
}

/// The costs of all cases.
pub(crate) struct Baseline {
    /// What the number of instructions depends on.
    made_with: String,
    costs: Vec<Cost>,
}

impl Baseline {
    pub(crate) fn of_now(costs: Vec<Cost>) -> io::Result<Self> {
        Ok(Self { made_with: tools()?, costs })
    }

    pub(crate) fn read() -> io::Result<Self> {
        let bad = || io::Error::other(format!("{FILE} is not as it was written"));
        let text = fs::read_to_string(FILE)?;
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let made_with = lines.next().and_then(|line| line.strip_prefix("made with "));
        let made_with = made_with.ok_or_else(bad)?.to_owned();
        let cost = |line: &str| {
            let mut words = line.split_whitespace();
            let case = words.next()?.to_owned();
            let mut number = || words.next()?.parse().ok();
            Some(Cost { case, instructions: number()?, calls: number()?, waits: number()? })
        };
        let costs = lines.map(cost).collect::<Option<_>>().ok_or_else(bad)?;
        Ok(Self { made_with, costs })
    }

    pub(crate) fn write(&self) -> io::Result<()> {
        let mut text = format!("{HEADING}made with {}\n", self.made_with);
        for Cost { case, instructions, calls, waits } in &self.costs {
            let _ = writeln!(text, "{case:10} {instructions:8.0} {calls:6.2} {waits:6.2}");
        }
        print!("{text}");
        fs::write(FILE, text)
    }

    /// Prints both; returns what costs more now.
    pub(crate) fn beside(&self, before: &Self) -> io::Result<Vec<String>> {
        let most = if self.made_with == before.made_with { MORE } else { MORE_ELSEWHERE };
        if most == MORE_ELSEWHERE {
            println!("the baseline was made with {}", before.made_with);
            println!("this is {}: up to {:.0} % more may be", self.made_with, 100.0 * (most - 1.0));
        }
        let mut worse = Vec::new();
        println!("{:10} {:>20} {:>17} {:>17}", "a unit of", "instructions", "calls", "waits");
        for now in &self.costs {
            let name = &now.case;
            let missing = || io::Error::other(format!("{FILE} has no {name}"));
            let then = before.costs.iter().find(|then| then.case == *name).ok_or_else(missing)?;
            let ratio = now.instructions / then.instructions;
            let (calls, waits) = (now.calls - then.calls, now.waits - then.waits);
            let Cost { instructions, calls: of_calls, waits: of_waits, .. } = now;
            let more = 100.0 * (ratio - 1.0);
            println!(
                "{name:10} {instructions:11.0} ({more:+5.1} %) \
                 {of_calls:8.2} ({calls:+5.2}) {of_waits:8.2} ({waits:+5.2})"
            );
            if ratio > most {
                worse.push(format!("instructions of {name}"));
            }
            if calls > CALLS_MORE {
                worse.push(format!("system calls of {name}"));
            }
            if waits > WAITS_MORE {
                worse.push(format!("waits of {name}"));
            }
        }
        Ok(worse)
    }
}

/// What the number of instructions depends on: who compiled, who counts, whose memcpy(3) it is, and
/// for which processor.
fn tools() -> io::Result<String> {
    let rustc = said("rustc", "-V")?;
    let (valgrind, libc) = (said("valgrind", "--version")?, said("getconf", "GNU_LIBC_VERSION")?);
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let flags = cpus.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = |wanted| flags.split_whitespace().any(|flag| flag == wanted);
    let vectors = if has("avx2") { "AVX2" } else { "no AVX2" };
    let arch = std::env::consts::ARCH;
    Ok(format!("{rustc}, {valgrind}, {libc}, {arch} with {vectors}"))
}

fn said(program: &str, argument: &str) -> io::Result<String> {
    let output = Command::new(program).arg(argument).output();
    let output =
        output.map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
