//! SIGHUP: the configuration is read again, in place, all or nothing.
//!
//! What may fail or block is done on a thread: files are read, plug-ins loaded and initialised on their
//! own thread, new addresses bound. The loop goes on serving until what came of it is there. Then it is
//! put in force in one turn, or nothing has changed. A worker's supervisor says when that turn is
//! (`orders.rs`).

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use log::{error, info, warn};
use signal_hook::consts::{SIGHUP, SIGUSR2};

use super::behind::{Behind, Lent, MOST, Patience};
use super::event_loop::Reactor;
use super::fixed::check_fixed;
use super::kernel::Kernel;
use super::listen::service::Service;
use super::listen::{self, Opened, Opening, Present};
use super::prepare::{Prepared, Running, prepare};
use super::renew::Renewed;
use super::rights::protect_keys;
use super::sandbox;
use super::slots::Key;
use super::start_error::StartError;
use crate::access::Users;
use crate::backend::Backend;
use crate::config::{Config, ConfigError};
use crate::logging;
use crate::offload::{Instance, Pools, Workers};
use crate::worker::{Item, Said, Snapshot, hand};

/// Reads a configuration.
type Read = fn() -> Result<Config, ConfigError>;

/// Where the configuration comes from, at the start and at each SIGHUP.
#[derive(Clone)]
pub struct Source {
    read: Read,
    /// SIGHUP came.
    came: Arc<AtomicBool>,
}

impl Source {
    /// It is read by `read`. From now on SIGHUP does not end the process: what comes before the daemon
    /// is ready is heeded then. Nor does SIGUSR2, which has nothing to say to one that starts.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(read: fn() -> Result<Config, ConfigError>) -> io::Result<Self> {
        let came = Arc::default();
        signal_hook::flag::register(SIGHUP, Arc::clone(&came))?;
        signal_hook::flag::register(SIGUSR2, Arc::default())?;
        Ok(Self { read, came })
    }

    /// Whether SIGHUP came so far.
    pub(super) fn hung_up(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}

/// What was read, loaded and opened.
pub(super) struct Found {
    prepared: Prepared,
    openings: Vec<Opening>,
    pools: Pools<Key>,
}

/// Where each socket is, and it.
type Sockets = Vec<(String, OwnedFd)>;

/// What a supervisor has for a reload.
#[derive(Default)]
pub(super) struct Handed {
    /// What the configuration is read from.
    pub(super) files: Option<Snapshot>,
    /// What is listened on.
    pub(super) sockets: Sockets,
}

/// How far a worker is with what it was told.
#[derive(Default)]
pub(super) struct Orders {
    /// The reload that a thread is at; none if its outcome is not wanted any more.
    pub(super) reading: Option<u64>,
    /// What is ready to be served by.
    pub(super) held: Option<(u64, Found)>,
    /// The reload that is to be begun when the thread is done, and what came with the order.
    pub(super) next: Option<(u64, Vec<(Item, OwnedFd)>)>,
    /// What was put in force last, in words.
    pub(super) last: Option<(u64, String)>,
}

/// A thread that is at a reload: where what it finds comes, how long it is waited for, and what it is to
/// listen on.
type UnderWay = (Receiver<Result<Found, StartError>>, Patience, Lent<Sockets>);

/// Reloads, one at a time.
pub(super) struct Reload {
    source: Source,
    running: Running,
    under_way: Option<UnderWay>,
    /// Threads of reloads that were given up.
    behind: Behind,
    /// One more came meanwhile.
    again: bool,
    /// The number of the configuration that is in force; that of the start is 1.
    number: u64,
    /// How many back ends there were beside the first.
    instances: u32,
    /// What the back end is called.
    name: String,
    /// What a supervisor said, if there is one.
    pub(super) orders: Option<Orders>,
}

impl Reload {
    pub(super) fn new(source: Source, running: Running, name: String, is_worker: bool) -> Self {
        let (again, orders) = (source.hung_up(), is_worker.then(Orders::default));
        Self {
            source,
            running,
            under_way: None,
            behind: Behind::default(),
            again,
            number: 1,
            instances: 0,
            name,
            orders,
        }
    }

    /// Whether a thread is at it.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether a thread is at one, or hangs in one that was given up.
    pub(super) fn is_busy(&self) -> bool {
        self.is_under_way() || self.behind.count() > 0
    }

    /// After a turn of the loop: begins a reload, or ends one.
    pub(super) fn step(&mut self, reactor: &mut Reactor<Kernel>) {
        let hung_up = reactor.take_hang_up();
        if hung_up && self.under_way.is_some() && !self.again {
            info!("SIGHUP: once more when what is being read has been read");
        }
        self.again |= hung_up;
        if let Some((found, patience, sockets)) = &self.under_way {
            let outcome = match found.try_recv() {
                Ok(outcome) => outcome,
                Err(TryRecvError::Empty) => {
                    let words = patience.ends(reactor.context.scratch.now);
                    let orders = &reactor.context.desk.orders;
                    if words.is_some() || orders.iter().any(|(_, order)| *order == Said::Stay) {
                        sockets.take(); // nobody is to wait where nobody will accept
                    }
                    match words {
                        Some(words) => Err(StartError::Configuration(words)),
                        None => return,
                    }
                }
                Err(TryRecvError::Disconnected) => Err(gone()),
            };
            self.under_way = None;
            reactor.context.system.turn_at(None);
            self.arrived(outcome, reactor);
        }
        if self.orders.is_some() {
            self.obey(reactor);
        } else if self.again {
            self.again = false;
            self.begin(None, reactor);
        }
    }

    /// Begins one, with what a supervisor has for it.
    pub(super) fn begin(&mut self, handed: Option<Handed>, reactor: &mut Reactor<Kernel>) {
        if !reactor.drain.is_far() {
            return;
        }
        if self.orders.is_none() {
            info!("SIGHUP: reading the configuration again");
        }
        reactor.context.system.reloads();
        if self.behind.count() >= MOST {
            let words = format!("needs a restart: {MOST} reloads before it have not returned");
            return self.arrived(Err(StartError::Configuration(words)), reactor);
        }
        let (report, found) = channel();
        let limit = reactor.service.config.reload_timeout;
        let patience = Patience::new(&self.behind, limit, reactor.context.scratch.now);
        patience.doing().begins(&"reading the configuration");
        reactor.context.system.turn_at(Some(patience.until));
        let waited = patience.clone();
        let (files, sockets) = match handed {
            Some(Handed { files, sockets }) => (files, Some(sockets)),
            None => (None, None),
        };
        let (is_handed, lent) = (sockets.is_some(), Lent::new(sockets));
        let theirs = lent.clone();
        let (read, present) = (self.source.read, reactor.present());
        let running = Running { doing: patience.doing(), ..self.running.clone() };
        let (room, workers) = (reactor.room(), reactor.context.offload.workers());
        let (starter, have) = (workers.starter(), workers.have());
        let spawned = thread::Builder::new().name("reload".into()).spawn(move || {
            let found = find((read, files), &running, room).and_then(|prepared| {
                running.doing.begins(&"listening");
                let sockets = theirs.take();
                if is_handed && sockets.is_none() {
                    return Err(gone());
                }
                let openings = listen_on(&prepared.config, present, sockets)?;
                let pools = starter.start(prepared.needs().without(have));
                let pools = pools.map_err(|error| StartError::System("threads".into(), error))?;
                Ok(Found { prepared, openings, pools })
            });
            if waited.returns() {
                let _ = report.send(found);
                starter.wake();
            } else if let Ok(Found { prepared: Prepared { backend: Some(mut own), .. }, .. }) =
                found
            {
                own.cleanup();
            }
        });
        match spawned {
            Ok(_) => self.under_way = Some((found, patience, lent)),
            Err(error) => self.arrived(Err(StartError::System("threads".into(), error)), reactor),
        }
    }

    fn arrived(&mut self, outcome: Result<Found, StartError>, reactor: &mut Reactor<Kernel>) {
        match self.orders {
            Some(_) => self.found(outcome, reactor),
            None => self.finish(outcome, reactor),
        }
    }

    fn finish(&mut self, outcome: Result<Found, StartError>, reactor: &mut Reactor<Kernel>) {
        let outcome = outcome.and_then(|found| self.put_in_force(found, reactor));
        let seconds = reactor.context.seconds() as u64;
        reactor.context.metrics.reloaded(outcome.is_ok(), seconds);
        match outcome {
            Ok(words) => {
                self.number += 1;
                info!("configuration {} is in force: {words}", self.number);
            }
            Err(error) => {
                error!("reload refused, configuration {} stays: {error}", self.number);
            }
        }
        reactor.context.system.reloaded();
    }

    /// Serves those who come from now on by what was found; says what that is.
    pub(super) fn put_in_force(
        &mut self,
        found: Found,
        reactor: &mut Reactor<Kernel>,
    ) -> Result<String, StartError> {
        let Found { prepared, openings, pools } = found;
        if self.running.speaks {
            prepared.warn_of_open_door();
        }
        let most = prepared.most;
        let Prepared { config, made_of, targets, backend, passwords, remark, .. } = prepared;
        let before = Rc::clone(&reactor.service);
        let is_news = before.config.max_connections != config.max_connections;
        let remark = remark.filter(|_| is_news && self.running.speaks);
        if !reactor.drain.is_far() {
            self.give_up(backend, reactor);
            let ends = "the daemon ends".to_owned();
            return Err(StartError::Configuration(ends));
        }
        let listeners = match watch(openings, reactor) {
            Ok(listeners) => listeners,
            Err(error) => {
                self.give_up(backend, reactor);
                return Err(StartError::System("listening socket".into(), error));
            }
        };
        #[cfg(feature = "tls")]
        reactor.context.system.renew_tls(prepared.tls);
        let workers = reactor.context.offload.workers();
        workers.add(pools);
        let fresh = backend.is_some();
        let name = backend.as_ref().map(|backend| backend.name().to_owned());
        let instance = match backend {
            Some(backend) => {
                self.instances += 1;
                workers.add_backend(Instance(self.instances), backend);
                made_of.registry().make_current();
                self.running = Running { made_of, targets, ..self.running.clone() };
                Rc::new(Instance(self.instances))
            }
            None => Rc::clone(&before.backend),
        };
        if let Some(name) = name {
            self.name = name;
        }
        logging::renew(config.log);
        if let Err(error) = protect_keys(&config) {
            warn!("core dumps stay as they are: {error}");
        }
        reactor.context.admission.share_up_to(most);
        reactor.set_probes(config.deadlines.ping);
        let users = passwords.map(|passwords| Arc::new(Users::new(passwords)));
        reactor.renew(Service { config: Rc::new(config), users, backend: instance }, listeners);
        if let Some(remark) = remark {
            info!("{remark}");
        }
        let places: Vec<_> = reactor.places().collect();
        let same = if fresh { "anew" } else { "as before" };
        Ok(format!("listening on {}, back end {} {same}", places.join(", "), self.name))
    }

    /// Nobody will be served by what was found.
    pub(super) fn forget(&mut self, found: Found, reactor: &mut Reactor<Kernel>) {
        self.give_up(found.prepared.backend, reactor);
    }

    /// Nobody will ask this back end. Its `cleanup` may block: it is not waited for.
    fn give_up(&mut self, backend: Option<Backend>, reactor: &mut Reactor<Kernel>) {
        let Some(backend) = backend else { return };
        self.instances += 1;
        let workers = reactor.context.offload.workers();
        workers.add_backend(Instance(self.instances), backend);
        workers.retire(Instance(self.instances));
    }
}

/// Watches the sockets that were opened.
fn watch(
    openings: Vec<Opening>,
    reactor: &mut Reactor<Kernel>,
) -> io::Result<Vec<Renewed<Kernel>>> {
    let service = Rc::clone(&reactor.service);
    let watched = openings.into_iter().map(|Opening { socket, site, entrance, .. }| match socket {
        Opened::Kept(at) => Ok(Renewed::Kept(at, entrance)),
        Opened::New(socket) => {
            reactor.watch((socket, entrance, site), Rc::clone(&service)).map(Renewed::New)
        }
    });
    watched.collect()
}

/// What may fail or block: reads and loads all that the configuration names.
fn find(
    (read, files): (Read, Option<Snapshot>),
    running: &Running,
    room: usize,
) -> Result<Prepared, StartError> {
    let unread = |error| StartError::System("what the supervisor read".into(), error);
    hand(files.map(Snapshot::read).transpose().map_err(unread)?.unwrap_or_default());
    let config = read().map_err(|error| StartError::Configuration(error.to_string()))?;
    sandbox::check_fixed(&config, &running.config)?;
    let prepared = prepare(config, Some(running), running.workers, &running.doing)?;
    let config = &prepared.config;
    if config.max_connections > room {
        let origin = config.max_connections_origin.as_ref().map(ToString::to_string);
        let origin = origin.unwrap_or_else(|| "max-connections".into());
        let words = format!("{origin}: needs a restart: there is room for {room} until then");
        return Err(StartError::Configuration(words));
    }
    check_fixed(config, &running.config)?;
    Ok(prepared)
}

/// Listens where nobody of `present` does, or on what a supervisor sent. Last, since who connects there is
/// not to be hung up on for another's fault.
fn listen_on(
    config: &Config,
    present: Vec<Present>,
    sockets: Option<Sockets>,
) -> Result<Vec<Opening>, StartError> {
    match sockets {
        None => Ok(listen::open(config, Some(present))?),
        Some(sockets) => {
            listen::take_over(config, &present, sockets).map_err(StartError::Configuration)
        }
    }
}

fn gone() -> StartError {
    StartError::System("reload".into(), io::Error::other("its thread has ended"))
}
