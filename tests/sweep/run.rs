//! One fault in one session, and what is found wrong with how it went.

use super::errors::{EXHAUSTION, Errno};
use super::inject::{self, Call, Calls, Control, Fault};
use super::report::Part;
use super::scenario::{Course, Scenario, Stage};
use super::talk::{Stop, Talk};
use crate::common::{Daemon, within};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the daemon has to give back what a session had, after all its time-outs.
const SETTLES: Duration = Duration::from_secs(4);
/// How long it is watched when there is nothing to do, and how many calls that may be of it.
const QUIET: Duration = Duration::from_millis(25);
const QUIET_CALLS: usize = 30;
/// And CPU time.
const QUIET_CPU: Duration = Duration::from_millis(15);
/// How long a line takes into the log, and through it to us.
const LOGGED: Duration = Duration::from_secs(1);
/// How much resident memory a daemon may gain, KiB: its heap finds its size.
const GROWTH: u64 = 1024;
/// How much longer a session may take for a call that is to be made again, on a machine that is busy:
/// less than any of the daemon's deadlines.
const TOLERATED: Duration = Duration::from_millis(400);
/// How long a client waits that cannot be accepted.
const IN_BACKLOG: Duration = Duration::from_millis(400);

/// A fault in a scenario.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) scenario: Scenario,
    pub(crate) call: Call,
    /// Which call of its kind it is.
    pub(crate) index: usize,
    pub(crate) errno: Errno,
    pub(crate) persists: bool,
    /// Whether only the first session of a daemon makes this call.
    pub(crate) cold: bool,
}

impl Case {
    /// The part of the sweep that it belongs to.
    pub(crate) fn part(&self) -> Part {
        let life = self.scenario.name.starts_with("start") || self.scenario.name.starts_with("end");
        if life { Part::Life } else { Part::Sessions }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, call, index, errno, persists, .. } = self;
        let lasts = if *persists { "from then on" } else { "once" };
        write!(f, "{}: {call} number {index}: {} {lasts}", scenario.name, errno.name)
    }
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The client waits for ever.
    Stuck,
    /// The client was hung up on without a status or a code, though its connection was sound.
    Untold,
    /// The log says nothing of the session's end.
    Unlogged,
    /// The answer is another than it should be: a status or a code that does not fit, other bytes.
    Wrong,
    /// The session ended for an error that means nothing.
    Fragile,
    /// Or took much longer for it.
    Late,
    /// Calls or CPU time while nothing happens.
    Spins,
    /// Descriptors that stay.
    Leaks,
    /// Memory that stays.
    Grows,
    /// The daemon is gone.
    Dies,
    /// A later session does not work.
    Lasts,
}

/// A finding, in words.
pub(crate) type Finding = (Kind, String);

/// A daemon with its peer, and the tool that lets it fail.
pub(crate) struct Bench {
    stage: Stage,
    daemon: Daemon,
    control: Control,
    /// Its descriptors when no session is open, and its resident memory then, KiB.
    descriptors: usize,
    memory: u64,
    /// How long a session took when nothing failed.
    takes: Duration,
    gone: bool,
}

impl Bench {
    /// A daemon that has had no session yet.
    pub(crate) fn cold(tool: &Path, scenario: Scenario) -> Self {
        let stage = Stage::set(scenario);
        let arguments = stage.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (daemon, control) = inject::daemon(tool, &arguments);
        let descriptors = daemon.fds();
        let memory = daemon.rss_kib();
        Self { stage, daemon, control, descriptors, memory, takes: Duration::ZERO, gone: false }
    }

    /// One that has had some.
    pub(crate) fn warm(tool: &Path, scenario: Scenario) -> Self {
        let mut bench = Self::cold(tool, scenario);
        for _ in 0..3 {
            let start = Instant::now();
            let mut talk = bench.stage.open(bench.daemon.port());
            let outcome = bench.stage.converse(&mut talk);
            bench.takes = start.elapsed();
            assert_eq!(outcome, Ok(()), "{}: {:?}", scenario.name, bench.daemon.log());
            drop(talk);
            bench.descriptors = bench.daemon.baseline();
            assert!(bench.settles(), "{} does not settle", scenario.name);
        }
        bench.memory = bench.daemon.rss_kib();
        bench
    }

    /// The calls that one session makes.
    pub(crate) fn record(&mut self) -> Calls {
        self.control.record();
        let mut talk = self.stage.open(self.daemon.port());
        let outcome = self.stage.converse(&mut talk);
        assert_eq!(outcome, Ok(()), "{}: {:?}", self.stage.scenario.name, self.daemon.log());
        drop(talk);
        assert!(self.settles(), "{} does not settle", self.stage.scenario.name);
        self.control.calls()
    }

    fn settles(&self) -> bool {
        within(SETTLES, || self.daemon.fds() <= self.descriptors)
    }

    /// Whether the daemon is there to go on with.
    pub(crate) fn is_usable(&self) -> bool {
        !self.gone
    }

    /// Whether the daemon holds more memory than it did when it was warm.
    pub(crate) fn growth(&self) -> Option<Finding> {
        let now = if self.gone { return None } else { self.daemon.rss_kib() };
        let words = format!("{} KiB, {now} KiB after many sessions", self.memory);
        (now > self.memory + GROWTH).then_some((Kind::Grows, words))
    }

    /// Runs `case`; what is wrong, or none when the call was not made.
    pub(crate) fn run(&mut self, case: &Case) -> Option<Vec<Finding>> {
        let mut findings = Vec::new();
        let logged = self.daemon.log().len();
        let fault = Fault {
            call: case.call.clone(),
            first: case.index,
            persists: case.persists,
            errno: case.errno.number,
        };
        let (start, calls) = (Instant::now(), self.control.total());
        self.control.arm(&fault);
        let mut talk = self.stage.open(self.daemon.port());
        let name = talk.name();
        let mut hits = 0;
        let begun = Instant::now();
        let outcome = if case.persists && case.call.name.starts_with("accept") {
            self.unacceptable(&mut talk, logged, &mut hits, &mut findings)
        } else {
            self.stage.converse(&mut talk)
        };
        let took = begun.elapsed();
        if passes(case) && !case.cold && took > self.takes + TOLERATED {
            findings.push((Kind::Late, format!("{took:?}, not {:?}", self.takes)));
        }
        drop(talk);
        if !self.settles() {
            findings.push((Kind::Leaks, self.descriptors_in_words()));
        }
        self.watch(start, calls, &mut findings);
        hits = hits.max(self.control.lift());
        if hits > 0 {
            judge(case, &outcome, &mut findings);
            self.judge_log(case, &name, logged, &mut findings);
        }
        self.afterwards(&mut findings);
        (hits > 0 || !findings.is_empty()).then_some(findings)
    }

    /// Nobody can be accepted: the client waits, the daemon says so, and does not spin; afterwards it
    /// is served.
    fn unacceptable(
        &mut self,
        talk: &mut Talk,
        logged: usize,
        hits: &mut usize,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Stop> {
        let Self { stage, daemon, control, .. } = self;
        std::thread::scope(|scope| {
            let conversation = scope.spawn(|| stage.converse(talk));
            std::thread::sleep(IN_BACKLOG);
            be_quiet(daemon, control, findings);
            let says = |line: &String| line.contains("cannot accept");
            *hits = control.lift();
            let said = || daemon.log()[logged..].iter().any(says);
            if *hits > 0 && !within(LOGGED, said) {
                findings.push((Kind::Unlogged, "no word of clients that wait".to_owned()));
            }
            conversation.join().unwrap()
        })
    }

    /// It is at rest, and has not been busy before.
    fn watch(&mut self, start: Instant, calls: usize, findings: &mut Vec<Finding>) {
        be_quiet(&self.daemon, &mut self.control, findings);
        let (time, made) = (start.elapsed(), self.control.total().saturating_sub(calls));
        if made > 3000 + time.as_millis() as usize / 2 {
            findings.push((Kind::Spins, format!("{made} calls in {time:?}")));
        }
    }

    fn descriptors_in_words(&self) -> String {
        format!("{} descriptors, {} before", self.daemon.fds(), self.descriptors)
    }

    /// The log has a line about how the session ended.
    fn judge_log(&self, case: &Case, name: &str, logged: usize, findings: &mut Vec<Finding>) {
        if case.call.parts().1 == "log" {
            return; // its lines may be lost; what does not get lost is seen afterwards
        }
        let ends = |line: &String| line.contains(name) && !line.ends_with("started");
        let lines = || self.daemon.log()[logged..].to_vec();
        if !within(LOGGED, || lines().iter().any(ends)) {
            findings.push((Kind::Unlogged, format!("{:?}", lines())));
        }
    }

    /// The fault is over: the daemon serves as before.
    fn afterwards(&mut self, findings: &mut Vec<Finding>) {
        if let Some(status) = self.daemon.exit_within(Duration::ZERO) {
            let last = self.daemon.log().pop().unwrap_or_default();
            findings.push((Kind::Dies, format!("{status}: {last}")));
            self.gone = true;
            return;
        }
        let logged = self.daemon.log().len();
        let mut talk = self.stage.open(self.daemon.port());
        let outcome = self.stage.converse(&mut talk);
        let name = talk.name();
        drop(talk);
        if let Err(stop) = outcome {
            findings.push((Kind::Lasts, format!("{stop:?}")));
        } else {
            let says = |line: &String| line.contains(&name) && !line.ends_with("started");
            if !within(LOGGED, || self.daemon.log()[logged..].iter().any(says)) {
                findings.push((Kind::Lasts, "nothing is logged".to_owned()));
            }
        }
        if !self.settles() {
            findings.push((Kind::Leaks, self.descriptors_in_words()));
        }
        if !findings.is_empty() {
            // Whatever it holds on to shall not be found again in the next case.
            self.daemon.signal("KILL");
            self.daemon.exit_within(SETTLES);
            self.gone = true;
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !self.gone {
            self.daemon.signal("KILL");
            self.daemon.exit_within(SETTLES);
        }
    }
}

/// What the daemon does while there is nothing to do.
fn be_quiet(daemon: &Daemon, control: &mut Control, findings: &mut Vec<Finding>) {
    let (calls, cpu) = (control.total(), cpu(daemon));
    std::thread::sleep(QUIET);
    let calls = control.total().saturating_sub(calls);
    let cpu = self::cpu(daemon).saturating_sub(cpu);
    if calls > QUIET_CALLS || cpu > QUIET_CPU {
        findings.push((Kind::Spins, format!("{calls} calls and {cpu:?} in {QUIET:?}")));
    }
}

/// CPU time of all threads so far, to the nanosecond.
fn cpu(daemon: &Daemon) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid()));
    let of = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.into_iter().flatten().flatten().filter_map(of).sum())
}

/// Whether the client was told what it could be told.
fn judge(case: &Case, outcome: &Result<(), Stop>, findings: &mut Vec<Finding>) {
    let Err(stop) = outcome else { return };
    let (thread, about) = case.call.parts();
    let clients_own = about == "client" && case.call.name != "epoll_ctl" && thread.is_empty();
    let mut found = |kind| findings.push((kind, format!("{stop:?}")));
    let nobodys = about == "listener" || about == "log";
    if passes(case) || nobodys {
        found(Kind::Fragile);
    }
    match stop {
        Stop::Stuck(_) => found(Kind::Stuck),
        Stop::Cut if !clients_own => found(Kind::Untold),
        Stop::Cut => {}
        Stop::Wrong(_) => found(Kind::Wrong),
        Stop::Refused(status) => {
            let used_up = EXHAUSTION.contains(&case.errno) && !clients_own;
            let fits =
                if used_up { *status == 503 } else { matches!(status, 404 | 408 | 500..600) };
            if !fits && !(is_expected(case, *status)) {
                found(Kind::Wrong);
            }
        }
        Stop::Closed(code) => {
            // EMSGSIZE of a datagram is for the client to mend.
            let fits = if case.errno.name == "EMSGSIZE" { &[1009, 1011][..] } else { &[1011] };
            if !code.is_some_and(|code| fits.contains(&code)) {
                found(Kind::Wrong);
            }
        }
    }
}

/// Whether the error means only that the call is to be made again.
fn passes(case: &Case) -> bool {
    matches!(case.errno.name, "EINTR" | "EAGAIN") && !case.persists && !is_refusal(case)
}

/// EAGAIN that is an error: no port is left, or no room for a thread.
fn is_refusal(case: &Case) -> bool {
    case.errno.name == "EAGAIN" && matches!(case.call.name.as_str(), "connect" | "clone" | "clone3")
        || matches!(case.call.name.as_str(), "mmap" | "mprotect")
}

/// The scenario's own refusal, which it would have met anyway.
fn is_expected(case: &Case, status: u16) -> bool {
    matches!((case.scenario.course, status), (Course::BadHead, 400) | (Course::Nobody, 404 | 502))
}
