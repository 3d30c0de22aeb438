//! From a configuration to a running loop, and its orderly end.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use log::{info, warn};
use mio::{Interest, Poll, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::listen::tcp;
use super::sessions::Slab;
use super::timer_wheel::TimerWheel;
use super::{LISTENER, OFFLOAD, Reactor, SIGNALS};
use crate::backend::{self, Backend};
use crate::config::{BackendStep, Config, PlacedStep};
use crate::conn::Scratch;
use crate::net::limits;
use crate::offload::Offload;

/// What kept the daemon from starting, or ended it.
#[derive(Debug)]
pub enum StartError {
    /// The configuration cannot be: the back end or the plug-ins refuse it.
    Configuration(String),
    /// The system refused something: in words, and its reason.
    System(String, io::Error),
}

impl StartError {
    /// The exit status for it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) => 2,
            Self::System(..) => 1,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(what) => f.write_str(what),
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// Runs the bridge until SIGINT or SIGTERM ends it.
///
/// # Errors
/// What kept it from starting, or the failure of the poll itself.
pub fn run(config: Config) -> Result<(), StartError> {
    if let Err(error) = limits::raise_descriptor_limit() {
        warn!("the limit on open descriptors stays as it is: {error}");
    }
    let backend = set_up_backend(&config)?;
    let mut reactor =
        Reactor::new(config, backend).map_err(|(what, error)| StartError::System(what, error))?;
    let outcome = reactor.run();
    reactor.clean_up();
    outcome.map_err(|error| StartError::System("poll".into(), error))
}

/// Loads the plug-ins and configures the back end, in the operator's order.
fn set_up_backend(config: &Config) -> Result<Backend, StartError> {
    if let Some(dir) = &config.plugins {
        backend::load_framings(dir).map_err(|error| refused("plug-ins", &error))?;
    }
    let mut backend = Backend::builtin();
    for PlacedStep { step, origin } in &config.backend {
        match step {
            BackendStep::Load(name) => {
                let dir = config.plugins.as_deref();
                let dir = dir.ok_or_else(|| refused(origin, &"no plug-in directory is set"))?;
                backend.cleanup();
                backend = Backend::load(dir, name).map_err(|error| refused(origin, &error))?;
            }
            BackendStep::Configure(key, value) => {
                backend.configure(key, value).map_err(|error| refused(origin, &error))?;
            }
        }
    }
    backend.check().map_err(|error| refused("back end", &error))?;
    Ok(backend)
}

fn refused(origin: impl fmt::Display, error: &impl fmt::Display) -> StartError {
    StartError::Configuration(format!("{origin}: {error}"))
}

impl Reactor {
    fn new(config: Config, backend: Backend) -> Result<Self, (String, io::Error)> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| (what, error)
        };
        let poll = Poll::new().map_err(failed("epoll"))?;
        let waker = Waker::new(poll.registry(), OFFLOAD).map_err(failed("eventfd"))?;
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed("signal handlers"))?;
        let registry = poll.registry();
        registry
            .register(&mut signals, SIGNALS, Interest::READABLE)
            .map_err(failed("signal handlers"))?;
        let address = format!("{} port {}", config.listen, config.port);
        let mut listener = tcp::listen(&config.listen, config.port)
            .map_err(failed(&format!("cannot listen on {address}")))?;
        registry
            .register(&mut listener, LISTENER, Interest::READABLE)
            .map_err(failed("listening socket"))?;
        let local = listener.local_addr().map_err(failed("listening socket"))?;
        info!("listening on {local}, back end {}", backend.name());
        Ok(Self {
            offload: Offload::new(&Arc::new(waker), config.query_threads),
            config: Rc::new(config),
            backend: Arc::new(backend),
            poll,
            listener: Some(listener),
            signals,
            wheel: TimerWheel::new(Instant::now()),
            sessions: Slab::new(),
            admitted: 0,
            per_address: HashMap::new(),
            scratch: Scratch::new(Instant::now()).with_clock(SystemTime::now),
            listed: Vec::new(),
            accept_at: None,
            drain_until: None,
            over: false,
        })
    }

    /// Ends what is left and the back end. A `query` that still runs keeps its back end, for good:
    /// calling `cleanup` under it, or on its thread while the process ends, would be worse than not
    /// calling it.
    fn clean_up(&mut self) {
        for key in self.sessions.keys() {
            self.close(key);
        }
        match Arc::get_mut(&mut self.backend) {
            Some(backend) => backend.cleanup(),
            None => {
                std::mem::forget(Arc::clone(&self.backend));
                warn!("back end {} still answers a query; not cleaned up", self.backend.name());
            }
        }
    }
}
