//! From a configuration to a running loop, and its orderly end.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use log::info;
use nix::time::{ClockId, clock_gettime};

use super::behind::Doing;
use super::event_loop::Reactor;
use super::kernel::Kernel;
use super::listen::{self, Opened, Opening, WorkerSockets};
use super::prepare::{Prepared, Running, prepare};
use super::reload::{Reload, Source};
use super::rights::protect_keys;
use super::sandbox;
use super::start_error::StartError;
use crate::access::Users;
use crate::backend::Backend;
use crate::config::{Config, Workers};
use crate::framing;
use crate::offload::Threads;
use crate::worker::{Inheritance, Places, Table};

/// A daemon that listens.
pub struct Started {
    reactor: Reactor<Kernel>,
    reload: Reload,
    supervisor: Option<Inheritance>,
}

/// How a daemon ended.
pub struct Ended {
    /// In order, or by the failure of the poll itself.
    pub outcome: Result<(), StartError>,
    /// A thread is still in a plug-in's code or the resolver's, and would be there while the process
    /// takes itself apart.
    pub busy: bool,
}

/// Listens for worker processes, so many.
///
/// # Errors
/// The first place where that cannot be.
pub fn open_for_workers(config: &Config, workers: usize) -> Result<WorkerSockets, StartError> {
    Ok(WorkerSockets::open(config, workers)?)
}

/// Listens wherever the operator says now, beside what workers have, so many.
///
/// # Errors
/// The first place where that cannot be.
pub fn renew_for_workers(
    sockets: &WorkerSockets,
    config: &Config,
    workers: usize,
) -> Result<WorkerSockets, StartError> {
    Ok(sockets.renewed(config, workers)?)
}

/// Takes over what the program before this one, in the same process, opened for workers: which
/// listener has each socket, and where.
///
/// # Errors
/// The configuration has other listeners now.
pub fn resume_for_workers(
    config: &Config,
    handed: Vec<(usize, String, OwnedFd)>,
) -> Result<WorkerSockets, StartError> {
    WorkerSockets::resume(config, handed).map_err(StartError::Configuration)
}

/// Does all that can go wrong before the first client, and listens; a worker takes over what its
/// supervisor listens on. The configuration is that of `source`, which is read again at each SIGHUP.
///
/// # Errors
/// What keeps it from starting.
pub fn start(
    config: Config,
    mut supervisor: Option<Inheritance>,
    source: Source,
) -> Result<Started, StartError> {
    let workers = supervisor.as_ref().map_or(1, Inheritance::workers);
    let speaks = supervisor.as_ref().is_none_or(Inheritance::speaks);
    supervisor.as_ref().map_or(Ok(()), |own| check_count(&config, own))?;
    sandbox::confine(&config)?;
    let prepared = prepare(config, None, workers, &Doing::default())?;
    let kernel = Kernel::new(supervisor.as_mut());
    let kernel = kernel.map_err(|(what, error)| StartError::System(what.into(), error))?;
    let sockets = Sockets::open(&prepared.config, supervisor.as_mut())?;
    if speaks {
        prepared.warn_of_open_door();
        if let Some(remark) = &prepared.remark {
            info!("{remark}");
        }
    }
    let running = Running {
        config: prepared.config.clone(),
        made_of: prepared.made_of.clone(),
        targets: prepared.targets.clone(),
        workers,
        speaks,
        doing: Doing::default(),
    };
    let name = prepared.backend.as_ref().map(|backend| backend.name().to_owned());
    let reload = Reload::new(source, running, name.unwrap_or_default(), supervisor.is_some());
    let places = supervisor.as_ref().map(|own| Places::new(own.row(), prepared.most));
    let (identity, core_dumps) = (prepared.identity.clone(), prepared.config.core_dumps);
    let protected = protect_keys(&prepared.config);
    protected.map_err(|error| StartError::System("core dumps".into(), error))?;
    let reactor = set_up(prepared, kernel, sockets);
    let mut reactor = reactor.map_err(|(what, error)| StartError::System(what, error))?;
    if let Some(cells) =
        supervisor.as_ref().map(Inheritance::row).and_then(|(table, row)| table.doing(row))
    {
        framing::watch(cells);
    }
    if let Some(places) = places {
        let clock = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(io::Error::from);
        let clock = clock.map_err(|error| StartError::System("clock".into(), error))?;
        reactor.context.admission.share(places, Instant::now(), clock.into());
    }
    if let Some(identity) = identity {
        identity.assume(core_dumps)?;
    }
    Ok(Started { reactor, reload, supervisor })
}

/// The workers of a new binary are as many as those of the old one. A worker that is only started again
/// harms nobody with another number in its file.
fn check_count(config: &Config, supervisor: &Inheritance) -> Result<(), StartError> {
    let is_number = config.workers.count != Some(Workers::PerProcessor);
    let is_other = config.workers.processes() != supervisor.workers();
    if supervisor.speaks() && is_number && is_other {
        let words = "workers: needs a restart to be another number";
        return Err(StartError::Configuration(words.into()));
    }
    Ok(())
}

/// What a loop listens on.
struct Sockets {
    openings: Vec<Opening>,
    /// For the operator's own pages.
    operators: Vec<Opening>,
    /// Where a worker counts; its supervisor says where it listens.
    row: Option<(&'static Table, usize)>,
    /// The number of the worker.
    worker: Option<usize>,
}

impl Sockets {
    /// Listens, or takes over what a supervisor opened.
    fn open(config: &Config, supervisor: Option<&mut Inheritance>) -> Result<Self, StartError> {
        if let Some(supervisor) = supervisor {
            let adopted = listen::adopt(config, supervisor.take_listeners());
            let (openings, operators) = adopted.map_err(StartError::Configuration)?;
            let (row, worker) = (Some(supervisor.row()), Some(supervisor.number()));
            return Ok(Self { openings, operators, row, worker });
        }
        let operators = match &config.admin {
            Some(admin) => {
                let listen = vec![admin.listen()];
                listen::open(&Config { listen, ..config.clone() }, None)?
            }
            None => Vec::new(),
        };
        Ok(Self { openings: listen::open(config, None)?, operators, row: None, worker: None })
    }
}

impl Started {
    /// Runs the bridge until SIGINT or SIGTERM ends it.
    #[must_use]
    pub fn run(self) -> Ended {
        let Self { mut reactor, mut reload, supervisor } = self;
        // What may have changed since, such as the user, has undone that.
        if let Some(Err(error)) = supervisor.map(|own| own.die_with_supervisor()) {
            return Ended { outcome: Err(StartError::System("worker".into(), error)), busy: true };
        }
        reactor.context.system.ready();
        let outcome = reactor.run_with(|reactor| reload.step(reactor));
        reactor.close_all();
        let busy = reactor.context.offload.workers().clean_up() || reload.is_busy();
        Ended { outcome: outcome.map_err(|error| StartError::System("poll".into(), error)), busy }
    }
}

/// A loop that listens.
fn set_up(
    prepared: Prepared,
    kernel: Kernel,
    Sockets { openings, operators, row, worker }: Sockets,
) -> Result<Reactor<Kernel>, (String, io::Error)> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| (what, error)
    };
    let needs = prepared.needs();
    let Prepared { config, backend, passwords, .. } = prepared;
    let waker = kernel.waker().map_err(failed("eventfd"))?;
    let backend = backend.unwrap_or_else(Backend::builtin);
    let name = backend.name().to_owned();
    let threads = Threads::start(backend, needs, waker).map_err(failed("threads"))?;
    let reactor = Reactor::new(config, kernel, threads);
    let mut reactor = reactor
        .map_err(failed("address space for so many sessions (max-connections)"))?
        .with_clock(SystemTime::now)
        .with_users(passwords.map(Users::new));
    #[cfg(feature = "tls")]
    reactor.context.system.renew_tls(prepared.tls);
    reactor.context.desk.worker = worker;
    if let Some((table, row)) = row.filter(|_| !operators.is_empty()) {
        reactor = reactor.counting_together(table, row);
    }
    for Opening { socket, entrance, .. } in operators {
        let Opened::New(socket) = socket else { continue };
        if row.is_none() {
            info!("admin pages on {}", entrance.name);
        }
        reactor.listen_for_operators(socket, entrance).map_err(failed("listening socket"))?;
    }
    for Opening { socket, site, entrance, .. } in openings {
        let Opened::New(socket) = socket else { continue };
        let place = Arc::clone(&entrance.name);
        let with_tls = if entrance.words.tls { " with TLS" } else { "" };
        let service = Rc::clone(&reactor.service);
        let listener = reactor.watch((socket, entrance, site), service);
        reactor.listeners.push(listener.map_err(failed("listening socket"))?);
        if row.is_none() {
            info!("listening on {place}{with_tls}, back end {name}");
        }
    }
    Ok(reactor)
}
