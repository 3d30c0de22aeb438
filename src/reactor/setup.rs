//! From a configuration to a running loop, and its orderly end.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use log::{info, warn};

use super::dial;
use super::event_loop::Reactor;
use super::kernel::Kernel;
use super::listen::{self, Entrance, ListeningSocket, OpenError};
use super::passwords;
use crate::access::Passwords;
#[cfg(feature = "tls")]
use crate::backend::Target;
use crate::backend::{self, Backend, ConfigureError};
use crate::config::{self, BackendStep, Config, Origin, PlacedStep};
use crate::logging::Escaped;
use crate::net::limits;
#[cfg(feature = "tls")]
use crate::net::tls::Tls;
use crate::offload::{READERS, RESOLVERS, Threads, files};

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

/// A daemon that listens.
pub struct Started(Reactor<Kernel>);

/// How a daemon ended.
pub struct Ended {
    /// In order, or by the failure of the poll itself.
    pub outcome: Result<(), StartError>,
    /// A thread is still in a plug-in's code or the resolver's, and would be there while the process
    /// takes itself apart.
    pub busy: bool,
}

/// Does all that can go wrong before the first client, and listens.
///
/// # Errors
/// What keeps it from starting.
pub fn start(mut config: Config) -> Result<Started, StartError> {
    let mut backend = set_up_backend(&config)?;
    check_send_proxy(&config, &backend)?;
    let passwords = read_passwords(&config)?;
    check_web(&config)?;
    let remark = fit_descriptors(&mut config)?;
    let started = backend.allow_threads(config.query_threads);
    started.map_err(|error| StartError::System("query threads".into(), error))?;
    let kernel = kernel(&config, &backend)?;
    let sockets = listen::open(&config).map_err(|error| match error {
        OpenError::Configuration(origin, problem) => match origin {
            Some(origin) => refused(origin, &problem),
            None => refused("--listen", &problem),
        },
        OpenError::System(what, error) => StartError::System(what, error),
    })?;
    let reactor = set_up(config, backend, passwords, kernel, sockets);
    let reactor = reactor.map_err(|(what, error)| StartError::System(what, error))?;
    if let Some(remark) = remark {
        info!("{remark}");
    }
    Ok(Started(reactor))
}

impl Started {
    /// Runs the bridge until SIGINT or SIGTERM ends it.
    #[must_use]
    pub fn run(self) -> Ended {
        let Self(mut reactor) = self;
        reactor.context.system.ready();
        let outcome = reactor.run();
        reactor.close_all();
        let busy = reactor.context.offload.workers().clean_up();
        Ended { outcome: outcome.map_err(|error| StartError::System("poll".into(), error)), busy }
    }
}

/// Whether there are files to serve where the operator says.
fn check_web(config: &Config) -> Result<(), StartError> {
    match (&config.web, &config.web_origin) {
        (Some(root), Some(origin)) => files::check(root).map_err(|error| {
            let root = Escaped(root.as_os_str().as_encoded_bytes());
            refused(origin, &format_args!("cannot serve '{root}': {error}"))
        }),
        _ => Ok(()),
    }
}

/// Descriptors that are not a session's: what the daemon itself and its libraries hold open, and
/// clients that are only told to go.
const RESERVED: usize = 32;

/// A client's socket and its peer's.
const A_SESSION: usize = 2;

/// Lets no more clients come than there are descriptors for: one more would wait until somebody goes,
/// and never learn why. Returns what to remark on once all is well: who is told of an error is told of
/// nothing else.
///
/// # Errors
/// The operator wrote a number that is too high.
fn fit_descriptors(config: &mut Config) -> Result<Option<String>, StartError> {
    let limit = match limits::raise_descriptor_limit() {
        Ok(limit) => limit,
        Err(error) => {
            return Ok(Some(format!("the limit on open descriptors stays as it is: {error}")));
        }
    };
    let most = (limit.saturating_sub(RESERVED) / A_SESSION).max(1);
    let wanted = config.max_connections;
    if wanted <= most {
        return Ok(None);
    }
    let needed = wanted.saturating_mul(A_SESSION).saturating_add(RESERVED);
    let few = format!(
        "{wanted} clients need {needed} descriptors, and {limit} are allowed (ulimit -Hn), which is \
         enough for {most}"
    );
    match &config.max_connections_origin {
        Some(origin) => Err(refused(origin, &few)),
        None => {
            config.max_connections = most;
            Ok(Some(format!("max-connections is lowered to {most}: {few}")))
        }
    }
}

/// Loads the plug-ins and configures the back end, in the operator's order.
fn set_up_backend(config: &Config) -> Result<Backend, StartError> {
    if let Some(dir) = &config.plugins {
        match &config.plugins_origin {
            Some(origin) => backend::load_framings(dir).map_err(|error| refused(origin, &error))?,
            // The directory that is compiled in may be missing where nobody asked for a plug-in.
            None if !dir.exists() => {}
            None => backend::load_framings(dir).map_err(|error| refused("plug-ins", &error))?,
        }
    }
    let mut backend = Backend::builtin();
    for PlacedStep { step, origin } in &config.backend {
        match step {
            BackendStep::Load(name) => {
                let dir = config.plugins.as_deref();
                let none = "needs a directory to look for plug-ins in: --plugins DIR";
                let dir = dir.ok_or_else(|| refused(origin, &none))?;
                backend.cleanup();
                backend = Backend::load(dir, name).map_err(|error| refused(origin, &error))?;
            }
            BackendStep::Configure(key, value) => {
                backend.configure(key, value).map_err(|error| match error {
                    ConfigureError::Key(_) if config::is_core_key(key) => {
                        refused(origin, &"is not the back end's: it is --KEY, or a key of [core]")
                    }
                    error => refused(origin, &error),
                })?;
            }
        }
    }
    backend.check().map_err(|(key, error)| match origin_of(config, key) {
        Some(origin) => refused(origin, &error),
        None => refused("back end", &error),
    })?;
    Ok(backend)
}

/// Where the operator last set `key` of the back end; without a key, where it is loaded.
fn origin_of<'a>(config: &'a Config, key: &str) -> Option<&'a Origin> {
    let sets = |placed: &&PlacedStep| match &placed.step {
        BackendStep::Configure(own, _) => own == key,
        BackendStep::Load(_) => key.is_empty(),
    };
    config.backend.iter().rev().find(sets).map(|placed| &placed.origin)
}

fn refused(origin: impl fmt::Display, error: &impl fmt::Display) -> StartError {
    StartError::Configuration(format!("{origin}: {error}"))
}

fn read_passwords(config: &Config) -> Result<Option<Passwords>, StartError> {
    let Some(path) = &config.auth_file else { return Ok(None) };
    let read = passwords::read(path).map_err(|problem| match &config.auth_file_origin {
        Some(origin) => refused(origin, &problem),
        None => StartError::Configuration(problem),
    })?;
    Ok(Some(read))
}

/// # Errors
/// A PROXY header is to be sent, and the only peer there is takes no stream.
fn check_send_proxy(config: &Config, backend: &Backend) -> Result<(), StartError> {
    let target = backend.only_target().filter(|target| !target.is_stream_server());
    match (&config.send_proxy_origin, target) {
        (Some(origin), Some(target)) => Err(StartError::Configuration(format!(
            "{origin}: {target} takes no PROXY header: that is for tcp:// and unix:// peers"
        ))),
        _ => Ok(()),
    }
}

/// A server on loopback trusts who reaches it, as a rule; and any page in a browser reaches us.
fn warn_of_open_door(config: &Config, backend: &Backend) {
    if !config.origins.is_empty() || !config.access.is_empty() || config.auth_file.is_some() {
        return;
    }
    if let Some(target) = backend.only_target().filter(dial::is_loopback) {
        warn!(
            "whoever reaches this port, and any page in a browser that does, may use {target}: \
             say who may come with --origin, --allow or --auth-file"
        );
    }
}

/// What the loop asks of the operating system, and TLS if it may be spoken.
fn kernel(config: &Config, backend: &Backend) -> Result<Kernel, StartError> {
    let kernel = Kernel::new().map_err(|(what, error)| StartError::System(what.into(), error))?;
    #[cfg(feature = "tls")]
    let kernel = {
        // A back end that may name any peer may name one that speaks TLS.
        let target = backend.only_target();
        let to_peers = target.is_none_or(|target| matches!(target, Target::Tls { .. }));
        let tls = Tls::load(&config.tls, to_peers, SystemTime::now());
        kernel.with_tls(tls.map_err(|error| StartError::Configuration(error.to_string()))?)
    };
    #[cfg(not(feature = "tls"))]
    let _ = (config, backend);
    Ok(kernel)
}

/// A loop that listens.
fn set_up(
    config: Config,
    backend: Backend,
    passwords: Option<Passwords>,
    kernel: Kernel,
    sockets: Vec<(ListeningSocket, Entrance)>,
) -> Result<Reactor<Kernel>, (String, io::Error)> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| (what, error)
    };
    let waker = kernel.waker().map_err(failed("eventfd"))?;
    let name = backend.name().to_owned();
    warn_of_open_door(&config, &backend);
    let looks_up = backend.only_target().is_none_or(|target| dial::needs_look_up(&target));
    let resolvers = if looks_up { RESOLVERS } else { 0 };
    let readers = if config.web.is_some() { READERS } else { 0 };
    let threads =
        Threads::start(backend, resolvers, readers, passwords, waker).map_err(failed("threads"))?;
    let reactor = Reactor::new(config, kernel, threads);
    let mut reactor = reactor
        .map_err(failed("address space for so many sessions (max-connections)"))?
        .with_clock(SystemTime::now);
    for (socket, entrance) in sockets {
        let place = Arc::clone(&entrance.name);
        let with_tls = if entrance.words.tls { " with TLS" } else { "" };
        reactor.listen(socket, entrance).map_err(failed("listening socket"))?;
        info!("listening on {place}{with_tls}, back end {name}");
    }
    Ok(reactor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plug-ins that are asked for have to be there; a directory that was only compiled in need not.
    #[test]
    fn o04_the_compiled_in_directory_may_be_missing() {
        let none = Some("/nowhere/websocksy".into());
        let compiled_in = Config { plugins: none.clone(), ..Config::default() };
        assert!(set_up_backend(&compiled_in).is_ok());
        let asked_for =
            Config { plugins: none, plugins_origin: Some("--plugins".into()), ..Config::default() };
        let error = set_up_backend(&asked_for).err().map(|error| error.to_string()).unwrap();
        assert!(error.starts_with("--plugins: /nowhere/websocksy: "), "{error}");
        let step = PlacedStep { step: BackendStep::Load("file".into()), origin: "-b".into() };
        let wants_one = Config { backend: vec![step], ..compiled_in };
        let error = set_up_backend(&wants_one).err().map(|error| error.to_string()).unwrap();
        assert!(error.starts_with("-b: ") && error.contains("/nowhere/websocksy"), "{error}");
    }
}
