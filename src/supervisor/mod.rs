//! Worker processes: this program executed again, each a loop of its own over sockets that the
//! supervisor holds. So a worker that dies takes its own sessions with it and nobody who waits.
//!
//! The supervisor has no sessions and loads no plug-in: what could crash is not in it.

mod accepting;
mod check;
mod errand;
mod process;
mod program;
mod reload;
mod reloading;
mod restarts;
mod rounds;
mod state;
mod turn;
mod upgrade;
mod words;

pub use check::GOOD;

use std::env;
use std::fmt;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::{Events, Interest, Poll, Token, Waker};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook_mio::v1_0::Signals;

use crate::config::{self, Config};
use crate::metrics::{Block, layout_id};
use crate::net::limits;
use crate::net::notify::Manager;
use crate::reactor::{self, StartError, WorkerSockets};
use crate::worker::{Handoff, ROWS, Snapshot, Table, adopt};
use accepting::Accepted;
use process::{Heirloom, Process, Program, Upgrade};
use reloading::Reload;
use restarts::Restarts;
use state::State;

const SIGNALS: Token = Token(0);
/// A thread is done with something. The tokens of processes are above it.
const WAKER: Token = Token(1);

/// How a supervisor ended.
pub struct Ended {
    /// The exit status.
    pub code: u8,
    /// What there is to say of it.
    pub error: Option<Box<dyn fmt::Display>>,
}

impl From<StartError> for Ended {
    fn from(error: StartError) -> Self {
        Self { code: error.exit_code(), error: Some(Box::new(error)) }
    }
}

/// Who watches over workers.
struct Supervisor {
    config: Config,
    poll: Poll,
    waker: Arc<Waker>,
    signals: Signals,
    /// The service manager, and when it is next told that we turn.
    manager: Manager,
    tell_at: Option<Instant>,
    program: Program,
    log: OwnedFd,
    /// What the configuration in force was read from.
    files: Rc<Snapshot>,
    memory: OwnedFd,
    table: &'static Table,
    /// None once nobody is let in any more.
    sockets: Option<WorkerSockets>,
    slots: Vec<Slot>,
    /// Workers that take no more clients, and have sessions.
    retired: Vec<Process>,
    upgrade: Option<Upgrade>,
    reload: Reload,
    /// The next process's token.
    tokens: usize,
    phase: Phase,
    /// The exit status, as far as workers that failed at the end make it another than 0.
    failures: u8,
    /// When we meant to look again, at the latest.
    wake_at: Option<Instant>,
}

/// A worker's place.
#[derive(Default)]
struct Slot {
    process: Option<Process>,
    restarts: Restarts,
    /// When it is to be filled again.
    due: Option<Instant>,
    cpu: Option<usize>,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The first worker finds out whether what the operator says can be.
    Starting,
    /// The others begin.
    Filling,
    Running,
    /// Until all are gone; those left at this time are killed.
    Draining(Instant),
}

/// Whether this process was a supervisor before a new program took its place, and is to go on as one.
#[must_use]
pub fn goes_on() -> bool {
    State::of_process().is_some()
}

/// Runs workers until SIGTERM or SIGINT ends them.
#[must_use]
pub fn run(config: Config) -> Ended {
    let supervisor = match State::of_process() {
        Some(state) => Supervisor::resume(config, &state),
        None => Supervisor::start(config),
    };
    let mut supervisor = match supervisor {
        Ok(supervisor) => supervisor,
        Err(error) => return error.into(),
    };
    match supervisor.supervise() {
        Ok(ended) => ended,
        Err(error) => StartError::System("poll".into(), error).into(),
    }
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> StartError {
    let what = what.to_owned();
    move |error| StartError::System(what, error)
}

impl Supervisor {
    fn start(config: Config) -> Result<Self, StartError> {
        // The file may be another by now than when the arguments were read.
        let accepted = Accepted::read(config.file.as_deref(), config::read)?;
        let config = &accepted.config;
        let count = config.workers.processes();
        let (memory, table) = Table::create().map_err(failed("memory for the workers' table"))?;
        let sockets = reactor::open_for_workers(config, count)?;
        let mut own = Self::new(accepted, (memory, table), sockets, count)?;
        own.fill(0, Instant::now()).map_err(failed("cannot start a worker"))?;
        Ok(own)
    }

    /// Goes on where the program before this one in the same process left off.
    fn resume(config: Config, state: &State) -> Result<Self, StartError> {
        let now = Instant::now();
        let of_old = || failed("what the program before this one left");
        let memory = adopt(state.table).map_err(of_old())?;
        let table = Table::map(&memory).map_err(of_old())?;
        let sockets = state.sockets.iter();
        let sockets = sockets.map(|own| Ok((own.listener, own.place.clone(), adopt(own.fd)?)));
        let sockets = sockets.collect::<io::Result<_>>().map_err(of_old())?;
        // Of the same file as the new workers, which was handed on.
        let accepted = Accepted::read(config.file.as_deref(), config::read)?;
        let sockets = reactor::resume_for_workers(&accepted.config, sockets)?;
        let count = state.workers.iter().filter(|own| !own.retired).count();
        let mut own = Self::new(accepted, (memory, table), sockets, count)?;
        for worker in &state.workers {
            let token = own.next_token();
            let process = Process::resume(worker, (own.poll.registry(), token), now);
            let process = process.map_err(of_old())?;
            match own.slots.get_mut(worker.number - 1).filter(|_| !worker.retired) {
                Some(slot) => slot.process = Some(process),
                None => own.retired.push(process),
            }
        }
        for process in &mut own.retired {
            process.retire(); // the program before this one may not have got through to it
        }
        own.phase = Phase::Filling;
        info!("version {} goes on, workers: {count}", env!("CARGO_PKG_VERSION"));
        own.is_up();
        // What came meanwhile was kept for us.
        let _ = SigSet::empty().thread_set_mask();
        Ok(own)
    }

    fn new(
        Accepted { config, files }: Accepted,
        (memory, table): (OwnedFd, &'static Table),
        sockets: WorkerSockets,
        count: usize,
    ) -> Result<Self, StartError> {
        // Each worker's sockets are ours, too. What there is will do, or a worker says what does not.
        let _ = limits::raise_descriptor_limit();
        // The files are in our memory, too.
        reactor::protect_keys(&config).map_err(failed("core dumps"))?;
        let manager = Manager::from_environment().map_err(failed("NOTIFY_SOCKET"))?;
        let poll = Poll::new().map_err(failed("epoll"))?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(failed("eventfd"))?;
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR2, SIGCHLD]);
        let signals = signals.and_then(|mut signals| {
            poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
            Ok(signals)
        });
        let signals = signals.map_err(failed("signal handlers"))?;
        let log = io::stderr().as_fd().try_clone_to_owned().map_err(failed("standard error"))?;
        let cpus = if config.workers.pin { processors() } else { Vec::new() };
        let cpu = |slot: usize| cpus.get(slot.checked_rem(cpus.len())?).copied();
        let slots = (0..count).map(|slot| Slot { cpu: cpu(slot), ..Slot::default() }).collect();
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_else(|| "websocksy".into());
        let arguments = arguments.collect();
        Ok(Self {
            config,
            poll,
            waker: Arc::new(waker),
            signals,
            manager,
            tell_at: None,
            program: Program { path: program::RUNNING.into(), name, arguments },
            log,
            files: Rc::new(files),
            memory,
            table,
            sockets: Some(sockets),
            slots,
            retired: Vec::new(),
            upgrade: None,
            reload: Reload::new(),
            tokens: WAKER.0,
            phase: Phase::Starting,
            failures: 0,
            wake_at: None,
        })
    }

    fn next_token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    /// Starts the worker of a slot.
    fn fill(&mut self, slot: usize, now: Instant) -> io::Result<()> {
        let (program, speaks) = (self.program.clone(), self.phase == Phase::Starting);
        let process = self.spawn(slot, (&program, None), speaks, now)?;
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.process = Some(process);
        }
        Ok(())
    }

    /// Begins a worker for a slot, by this program or another, and by what is in force or other files.
    fn spawn(
        &mut self,
        slot: usize,
        (program, files): (&Program, Option<&Snapshot>),
        speaks: bool,
        now: Instant,
    ) -> io::Result<Process> {
        let token = self.next_token();
        let sockets = self.sockets.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let row = self.free_row().ok_or(io::ErrorKind::QuotaExceeded)?;
        self.table.clear(row);
        let told = Handoff {
            number: slot + 1,
            workers: self.slots.len(),
            row,
            speaks,
            cpu: self.slots.get(slot).and_then(|slot| slot.cpu),
            stall: self.config.workers.stall_timeout.as_millis().try_into().unwrap_or(u64::MAX),
            ..Handoff::default()
        };
        let files = files.unwrap_or(&self.files);
        let heirloom = Heirloom { sockets, log: &self.log, table: &self.memory, files };
        Process::spawn(program, told, &heirloom, (self.poll.registry(), token), now)
    }

    /// The process of a row is gone.
    fn clear(&self, row: usize) {
        self.table.clear(row);
        if let Some(block) = self.table.cells(row, layout_id()).and_then(Block::over) {
            block.left();
        }
    }

    /// A row of the table that no process has.
    fn free_row(&self) -> Option<usize> {
        (0..ROWS).find(|row| self.processes().all(|process| process.row != *row))
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        let new = self.upgrade.iter().flat_map(|upgrade| &upgrade.workers);
        self.slots.iter().filter_map(|slot| slot.process.as_ref()).chain(&self.retired).chain(new)
    }

    fn signal_all(&self, signal: Signal) {
        self.processes().for_each(|process| process.signal(signal));
    }

    /// All workers take clients.
    fn is_up(&mut self) {
        let count = self.slots.len();
        let sockets = self.sockets.iter().flat_map(|sockets| sockets.places(true));
        sockets.for_each(|entrance| info!("admin pages on {}", entrance.name));
        let sockets = self.sockets.iter().flat_map(|sockets| sockets.places(false));
        for entrance in sockets {
            let with_tls = if entrance.words.tls { " with TLS" } else { "" };
            info!("listening on {}{with_tls}, workers: {count}", entrance.name);
        }
        self.phase = Phase::Running;
        self.manager.tell("READY=1");
        self.tell_at = self.manager.watchdog_interval().map(|interval| Instant::now() + interval);
    }

    /// Has all workers end: they say goodbye to their sessions.
    fn drain(&mut self, signal: &str, now: Instant) {
        info!("{signal}: ending {} workers", self.processes().count());
        self.manager.tell("STOPPING=1");
        self.signal_all(Signal::SIGTERM);
        self.sockets = None; // each worker has its own, and closes them
        self.slots.iter_mut().for_each(|slot| slot.due = None);
        if let Some(upgrade) = self.upgrade.take() {
            self.retired.extend(upgrade.workers);
        }
        let Config { drain_grace, drain_spread, drain_timeout, .. } = self.config;
        let time = drain_grace + drain_spread + drain_timeout + PATIENCE;
        self.phase = Phase::Draining(now + time);
    }
}

/// How long a worker that is to end may take beyond what the operator allows its sessions.
const PATIENCE: Duration = Duration::from_secs(5);

/// The processors that this process may run on.
fn processors() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect()
}
