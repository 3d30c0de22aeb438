//! The start and the end of the daemon under every fault: it starts or says why not, with status 1
//! or 2, and it ends with 0.

use super::errors::{Errno, errors_of, may_persist};
use super::inject::{self, Call, Calls, Control, Fault};
use super::run::{Case, Finding, Kind};
use super::scenario::{Course, Scenario, Stage, Transport};
use super::talk::Stop;
use crate::common::{kill, within};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a start or an end may take.
const LONGEST: Duration = Duration::from_secs(5);
/// How long it may take from the first socket to the line that says where it listens, if that comes.
const SAYS: Duration = Duration::from_millis(500);
const STARTED: &str = "listening on ";
/// How long a look at whether it has started waits for the next.
const LOOKS: Duration = Duration::from_millis(15);
/// What the log is made with: the first call that is not the loader's or a runtime's, but for those
/// that read the configuration.
const MAIN: (&str, &str) = ("fcntl", "log+1030");
/// The loader's status when it cannot do its work, which it says in words.
const LOADER: i32 = 127;

/// What is started and ended.
pub(crate) const LIVES: [Scenario; 3] = [
    Scenario { name: "life", transport: Transport::Tcp, course: Course::ClientCloses },
    Scenario { name: "life, name", transport: Transport::Name, course: Course::ClientCloses },
    Scenario { name: "life, plug-in", transport: Transport::Plugin, course: Course::ClientCloses },
];

/// A daemon that runs, or does not.
struct Life {
    child: Child,
    control: Control,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

impl Life {
    fn begin(tool: &Path, stage: &Stage, prepare: impl FnOnce(&mut Control)) -> Self {
        let arguments = stage.arguments();
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.extend(["-p", "0", "-l", "127.0.0.1", "--drain-timeout", "1"]);
        let begin = |control: &mut Control| {
            prepare(control);
            control.go();
        };
        let (mut child, control) = inject::launch(tool, inject::program(), &arguments, begin);
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stderr, lines) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Self { child, control, log, reader: Some(reader), status: None }
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn says(&self, text: &str) -> bool {
        within(LONGEST, || self.log().iter().any(|line| line.contains(text)))
    }

    /// The port that it listens on, unless it ends before. The log may not say so: it is written
    /// under faults, too.
    fn port(&mut self) -> Option<u16> {
        let mut port = None;
        within(LONGEST, || {
            std::thread::sleep(LOOKS);
            port = listening(self.child.id());
            port.is_some() || self.has_ended()
        });
        // What fails behind its first socket ends a start that has listened, too.
        within(SAYS, || self.has_ended() || self.log().iter().any(|line| line.contains(STARTED)));
        port.filter(|_| !self.has_ended())
    }

    /// Whether it has ended; all that it said is read then.
    fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        if self.status.is_some()
            && let Some(reader) = self.reader.take()
        {
            let _ = reader.join();
        }
        self.status.is_some()
    }

    fn terminate(&mut self) {
        if !self.has_ended() {
            kill("TERM", self.child.id());
        }
    }

    fn ends(&mut self) -> bool {
        within(LONGEST, || self.has_ended())
    }

    /// How it ended, in words.
    fn end(&self) -> String {
        let last = self.log().pop().unwrap_or_default();
        self.status.map_or("still there".to_owned(), |status| format!("{status}: {last}"))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port of the TCP socket of `process` that listens (proc(5): state 0A, and the tenth field is the
/// inode that its descriptor names).
fn listening(process: u32) -> Option<u16> {
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).ok()?;
    let mine: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .ok()?
        .filter_map(|entry| {
            Some(std::fs::read_link(entry.ok()?.path()).ok()?.display().to_string())
        })
        .collect();
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(3) == Some(&"0A");
        let is_mine = mine.contains(&format!("socket:[{}]", fields.get(9)?));
        let port = u16::from_str_radix(fields.get(1)?.split(':').nth(1)?, 16).ok()?;
        (listens && is_mine).then_some(port)
    })
}

/// The calls of a start, and those among them that are not the daemon's own.
fn starting(tool: &Path, scenario: Scenario) -> (Calls, Calls) {
    let stage = Stage::set(scenario);
    let mut whole = Life::begin(tool, &stage, Control::record);
    assert!(whole.port().is_some() && whole.says("listening on"), "{:?}", whole.log());
    let main = Call { name: MAIN.0.to_owned(), label: MAIN.1.to_owned() };
    let mut before = Life::begin(tool, &stage, |control| control.record_until(&main));
    assert!(before.port().is_some() && before.says("listening on"), "{:?}", before.log());
    (whole.control.calls(), before.control.calls())
}

/// The calls of an end with a session open.
fn ending(tool: &Path, scenario: Scenario) -> Calls {
    let stage = Stage::set(scenario);
    let mut life = Life::begin(tool, &stage, |_| {});
    let port = life.port().unwrap();
    life.control.clients_at(port);
    let mut talk = stage.open(port);
    stage.begin_talk(&mut talk).unwrap();
    life.control.record();
    life.terminate();
    assert_eq!(talk.expect_code(), Stop::Closed(Some(1001)));
    drop(talk);
    assert!(life.ends(), "{:?}", life.log());
    life.control.calls()
}

/// A case of a start or of an end.
#[derive(Clone)]
pub(crate) struct LifeCase {
    pub(crate) case: Case,
    ends: bool,
    /// Whether the call is the loader's or a runtime's.
    foreign: bool,
}

/// Every case of a life.
pub(crate) fn cases(tool: &Path, scenario: Scenario) -> Vec<LifeCase> {
    let mut cases = Vec::new();
    let (start, before) = starting(tool, scenario);
    let mut add = |call: &Call, count: usize, foreign: usize, ends: bool| {
        let errors = errors_of(call);
        let errors =
            errors.unwrap_or_else(|| panic!("{call}: what may it fail with? see errors.rs"));
        for &errno in errors.unwrap_or_default() {
            for index in 0..count {
                for persists in [false, true] {
                    if !persists || may_persist(call, errno) {
                        let case = case(scenario, call, index, errno, persists, ends);
                        cases.push(LifeCase { case, ends, foreign: index < foreign });
                    }
                }
            }
        }
    };
    for (call, count) in &start {
        let foreign = before.iter().find(|(other, _)| other == call).map_or(0, |(_, count)| *count);
        add(call, *count, foreign, false);
    }
    for (call, count) in &ending(tool, scenario) {
        add(call, (*count).min(4), 0, true);
    }
    cases
}

fn case(
    scenario: Scenario,
    call: &Call,
    index: usize,
    errno: Errno,
    persists: bool,
    ends: bool,
) -> Case {
    let name = match (scenario.transport, ends) {
        (Transport::Name, false) => "start, name",
        (Transport::Plugin, false) => "start, plug-in",
        (_, false) => "start",
        (Transport::Name, true) => "end, name",
        (Transport::Plugin, true) => "end, plug-in",
        (_, true) => "end",
    };
    let scenario = Scenario { name, ..scenario };
    Case { scenario, call: call.clone(), index, errno, persists, cold: true }
}

/// Runs a case; what is wrong, or none when the call was not made.
pub(crate) fn run(tool: &Path, stage: &Stage, life_case: &LifeCase) -> Option<Vec<Finding>> {
    let LifeCase { case, ends, foreign } = life_case;
    let fault = Fault {
        call: case.call.clone(),
        first: case.index,
        persists: case.persists,
        errno: case.errno.number,
    };
    let mut findings = Vec::new();
    let hits = if *ends {
        end(tool, stage, &fault, &mut findings)
    } else {
        start(tool, stage, &fault, *foreign, &mut findings)
    };
    (hits > 0 || !findings.is_empty()).then_some(findings)
}

fn start(
    tool: &Path,
    stage: &Stage,
    fault: &Fault,
    foreign: bool,
    findings: &mut Vec<Finding>,
) -> usize {
    let mut life = Life::begin(tool, stage, |control| control.arm(fault));
    let port = life.port();
    let hits = life.control.lift();
    let Some(port) = port else {
        let words = !life.log().is_empty();
        match life.status.map(|status| status.code()) {
            None => findings.push((Kind::Stuck, "neither listens nor ends".to_owned())),
            Some(Some(1 | 2)) if words => {}
            Some(Some(LOADER)) if foreign && words => {}
            Some(None) if foreign => {}
            Some(_) => findings.push((Kind::Dies, life.end())),
        }
        return 1; // the tool may be gone with the program, and its count with it
    };
    let mut talk = stage.open(port);
    if let Err(stop) = stage.converse(&mut talk) {
        findings.push((Kind::Lasts, format!("{stop:?}")));
    }
    drop(talk);
    life.terminate();
    if !life.ends() || life.status.unwrap().code() != Some(0) {
        findings.push((Kind::Dies, life.end()));
    }
    hits
}

fn end(tool: &Path, stage: &Stage, fault: &Fault, findings: &mut Vec<Finding>) -> usize {
    let mut life = Life::begin(tool, stage, |_| {});
    let Some(port) = life.port() else {
        findings.push((Kind::Dies, life.end()));
        return 0;
    };
    life.control.clients_at(port);
    let mut talk = stage.open(port);
    if let Err(stop) = stage.begin_talk(&mut talk) {
        findings.push((Kind::Wrong, format!("before the fault: {stop:?}")));
    }
    life.control.arm(fault);
    life.terminate();
    let stop = talk.expect_code();
    if stop != Stop::Closed(Some(1001)) && fault.call.label != "client" {
        findings.push((Kind::Untold, format!("{stop:?}")));
    }
    drop(talk);
    if !life.ends() || life.status.unwrap().code() != Some(0) {
        findings.push((Kind::Dies, life.end()));
    }
    1
}
