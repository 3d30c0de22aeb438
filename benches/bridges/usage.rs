//! What a bridge costs, from the kernel's books: CPU time and memory of a process and of all its
//! descendants.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// `/proc/PID/stat` counts in ticks of 10 ms: `USER_HZ` is 100 on every Linux architecture but
/// Alpha.
const NANOS_A_TICK: u64 = 10_000_000;

/// CPU time in nanoseconds that `pid` and its descendants, living and reaped, have used.
pub(crate) fn cpu_nanos(pid: u32) -> u64 {
    family(pid).into_iter().map(process_nanos).sum()
}

/// Nanoseconds that the threads of `pid` were ready to run while others had their core.
pub(crate) fn waited_nanos(pid: u32) -> u64 {
    tasks(pid).map(|task| number(&format!("{task}/schedstat"), 1)).sum()
}

/// Proportional set size in bytes of `pid` and its descendants.
pub(crate) fn memory_bytes(pid: u32) -> u64 {
    family(pid).into_iter().map(process_memory).sum()
}

/// A process counts for what its threads have used to the nanosecond; `stat` is coarser, but it
/// remembers threads that have ended and children that were waited for. Whatever ended meanwhile
/// counts for nothing here: its parent has it on the books by then.
fn process_nanos(pid: u32) -> u64 {
    let threads: u64 = tasks(pid).map(|task| number(&format!("{task}/schedstat"), 0)).sum();
    let [user, system, children_user, children_system] = stat_ticks(pid);
    let own = threads.max((user + system) * NANOS_A_TICK);
    own + (children_user + children_system) * NANOS_A_TICK
}

/// utime, stime, cutime and cstime: fields 14 to 17 of `proc(5)`, counted from behind the
/// command's closing parenthesis because the command may hold spaces.
fn stat_ticks(pid: u32) -> [u64; 4] {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let mut ticks = fields.split_whitespace().skip(11).map(|field| field.parse().unwrap_or(0));
    std::array::from_fn(|_| ticks.next().unwrap_or(0))
}

fn process_memory(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn number(path: &str, field: usize) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().nth(field).and_then(|field| field.parse().ok()).unwrap_or(0)
}

fn tasks(pid: u32) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().to_string_lossy().into_owned())
}

/// `pid` and its living descendants.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        for task in tasks(parent) {
            let children = fs::read_to_string(format!("{task}/children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        next += 1;
    }
    family
}

/// How long a load runs.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// Time that is not counted, for caches, windows and queues to settle.
    pub(crate) warm_up: Duration,
    /// Time that is.
    pub(crate) measured: Duration,
}

/// Sets the CPU time of a bridge against the work it did in the same span.
pub(crate) struct Meter {
    pid: u32,
    span: Span,
    started: Instant,
    begin: Option<Mark>,
    end: Mark,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    nanos: u64,
    units: u64,
}

impl Meter {
    /// Starts the warm-up.
    pub(crate) fn start(pid: u32, span: Span) -> Self {
        let started = Instant::now();
        Self { pid, span, started, begin: None, end: Mark { at: started, nanos: 0, units: 0 } }
    }

    /// Takes note of the units done so far; false when the span is over.
    pub(crate) fn goes_on(&mut self, units: u64) -> bool {
        let now = Instant::now();
        match self.begin {
            None if self.span.warm_up < now - self.started => self.begin = Some(self.mark(units)),
            Some(begin) if self.span.measured < now - begin.at => {
                self.end = self.mark(units);
                return false;
            }
            _ => {}
        }
        true
    }

    /// Whether the warm-up is over.
    pub(crate) fn counts(&self) -> bool {
        self.begin.is_some()
    }

    /// CPU nanoseconds a unit.
    ///
    /// # Errors
    /// No unit was done.
    pub(crate) fn nanos_a_unit(&self) -> io::Result<f64> {
        match self.begin {
            Some(begin) if begin.units < self.end.units => {
                Ok((self.end.nanos - begin.nanos) as f64 / (self.end.units - begin.units) as f64)
            }
            _ => Err(io::Error::other("it stalls")),
        }
    }

    fn mark(&self, units: u64) -> Mark {
        Mark { at: Instant::now(), nanos: cpu_nanos(self.pid), units }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_a_reaped_child_is_counted() {
        let own = std::process::id();
        let before = cpu_nanos(own);
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", script]).status().unwrap().success());
        assert!(cpu_nanos(own) - before > NANOS_A_TICK);
    }

    #[test]
    fn memory_that_is_touched_is_counted() {
        let before = memory_bytes(std::process::id());
        let touched = std::hint::black_box(vec![1_u8; 32 << 20]);
        assert!(memory_bytes(std::process::id()) - before > 30 << 20, "{}", touched.len());
    }
}
