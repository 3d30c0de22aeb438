//! All that can go wrong with a configuration before anything listens: files are read, the back end is
//! loaded and told what the operator says. A start does this, `--check`, and a reload.

use std::path::{Path, PathBuf};
#[cfg(feature = "tls")]
use std::time::SystemTime;

use log::warn;

use super::behind::Doing;
use super::dial;
use super::passwords;
use super::rights::Identity;
use super::start_error::{StartError, refused};
use crate::access::Passwords;
use crate::backend::{self, Backend, ConfigureError, FileId, Framings, Target};
#[cfg(feature = "tls")]
use crate::config::TlsVersion;
use crate::config::{self, BackendStep, Config, MAX_OPERATORS, Origin, PlacedStep, SourceAddress};
use crate::framing::Registry;
use crate::logging::Escaped;
use crate::net::limits;
#[cfg(feature = "tls")]
use crate::net::tls::TlsConfigs;
use crate::offload::{Needs, files};

/// What a reload finds.
#[derive(Clone)]
pub(super) struct Running {
    /// That of the start.
    pub(super) config: Config,
    pub(super) made_of: MadeOf,
    /// The peers of every client, if these are all there are.
    pub(super) targets: Option<Vec<Target>>,
    /// How many processes serve.
    pub(super) workers: usize,
    /// Whether this one speaks for all.
    pub(super) speaks: bool,
    /// What the thread of a reload is at.
    pub(super) doing: Doing,
}

/// A configuration, and what it names.
pub(super) struct Prepared {
    pub(super) config: Config,
    pub(super) made_of: MadeOf,
    /// The peers of every client, if these are all there are.
    pub(super) targets: Option<Vec<Target>>,
    /// None where the one that runs will do.
    pub(super) backend: Option<Backend>,
    pub(super) passwords: Option<Passwords>,
    #[cfg(feature = "tls")]
    pub(super) tls: TlsConfigs,
    /// How many clients there may be in all workers.
    pub(super) most: usize,
    /// Whom the daemon becomes; it has, at a reload.
    pub(super) identity: Option<Identity>,
    /// What to say once all is well: who is told of an error is told of nothing else.
    pub(super) remark: Option<String>,
}

impl Prepared {
    /// A server on loopback trusts who reaches it, as a rule; and any page in a browser reaches us.
    pub(super) fn warn_of_open_door(&self) {
        let Self { config, targets, .. } = self;
        let is_open = config.origins.is_empty() && config.access.is_empty();
        if !is_open || config.auth_file.is_some() {
            return;
        }
        let mut targets = targets.iter().flatten();
        if let Some(target) = targets.find(|target| dial::is_loopback(target)) {
            warn!(
                "whoever reaches this port, and any page in a browser that does, may use {target}: \
                 say who may come with --origin, --allow or --auth-file"
            );
        }
    }

    /// What there must be threads for.
    pub(super) fn needs(&self) -> Needs {
        Needs {
            names: self.targets.as_ref().is_none_or(|all| all.iter().any(dial::needs_look_up)),
            files: self.config.web.is_some(),
            passwords: self.passwords.is_some(),
        }
    }
}

/// Reads and loads all that `config` names, in one of so many workers. A back end that would be made
/// of the same as `running` is not made again. Says how far it is.
///
/// # Errors
/// The first that is not good.
pub(super) fn prepare(
    mut config: Config,
    running: Option<&Running>,
    workers: usize,
    doing: &Doing,
) -> Result<Prepared, StartError> {
    let made_of = MadeOf::now(&config, running.map(|running| &running.made_of), doing)?;
    let fresh = match running {
        Some(running) if running.made_of.is(&made_of) => None,
        _ => Some(set_up_backend(&config, &made_of, running.is_some(), doing)?),
    };
    let targets = match (&fresh, running) {
        (Some(backend), _) => backend.only_targets(),
        (None, Some(running)) => running.targets.clone(),
        (None, None) => None,
    };
    doing.begins(&"reading files");
    check_send_proxy(&config, targets.as_deref())?;
    let passwords = read_passwords(&config)?;
    check_web(&config)?;
    check_sources(&config)?;
    let identity = match running {
        Some(_) => None,
        None => Identity::of(&config)?,
    };
    let (most, remark) = fit_descriptors(&mut config, workers)?;
    Ok(Prepared {
        #[cfg(feature = "tls")]
        tls: tls(&config, targets.as_deref())?,
        config,
        made_of,
        targets,
        backend: fresh,
        passwords,
        most,
        identity,
        remark,
    })
}

#[cfg(feature = "tls")]
fn tls(config: &Config, targets: Option<&[Target]>) -> Result<TlsConfigs, StartError> {
    // A back end that may name any peer may name one that speaks TLS.
    let is_tls = |target: &Target| matches!(target, Target::Tls { .. });
    let to_peers = targets.is_none_or(|all| all.iter().any(is_tls));
    let tls = TlsConfigs::load(&config.tls, to_peers, SystemTime::now());
    let tls = tls.map_err(|error| StartError::Configuration(error.to_string()))?;
    warn_of_idle_tls(config, to_peers); // who is told of an error is told of nothing else
    Ok(tls)
}

/// Says what of TLS is set and means nothing.
#[cfg(feature = "tls")]
fn warn_of_idle_tls(config: &Config, to_peers: bool) {
    let tls = &config.tls;
    if let Some(file) = [&tls.peer_ca, &tls.peer_cert].into_iter().flatten().next()
        && !to_peers
    {
        warn!("{}: is of no use: the peer is not reached over TLS (host=tls://…)", file.origin);
    }
    if tls.min_version != TlsVersion::default() && tls.certificates.is_empty() && !to_peers {
        warn!("tls-min-version: is of no use: neither a listener nor the peer speaks TLS");
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

/// Whether peers can be dialled from where the operator says.
fn check_sources(config: &Config) -> Result<(), StartError> {
    config.sources.iter().try_for_each(|SourceAddress { address, origin }| {
        dial::check_source(*address).map_err(|error| {
            refused(origin, &format_args!("{address} is not an address of this machine: {error}"))
        })
    })
}

/// Descriptors that are not a session's: what the daemon itself and its libraries hold open, and
/// clients that are only told to go.
const RESERVED: usize = 32;

/// A client's socket and its peer's.
const A_SESSION: usize = 2;

/// Lets no more clients come than there are descriptors for, in all of so many workers: one more would
/// wait until somebody goes, and never learn why. Returns how many may come, and what to remark on once
/// all is well: who is told of an error is told of nothing else.
///
/// # Errors
/// The operator wrote a number that is too high.
fn fit_descriptors(
    config: &mut Config,
    workers: usize,
) -> Result<(usize, Option<String>), StartError> {
    let wanted = config.max_connections;
    let limit = match limits::raise_descriptor_limit() {
        Ok(limit) => limit,
        Err(error) => {
            let remark = format!("the limit on open descriptors stays as it is: {error}");
            return Ok((wanted, Some(remark)));
        }
    };
    let reserved = RESERVED + config.admin.as_ref().map_or(0, |_| MAX_OPERATORS);
    let own = (limit.saturating_sub(reserved) / A_SESSION).max(1);
    let most = own.saturating_mul(workers);
    config.max_connections = wanted.min(own);
    let used = config.max_connections.saturating_mul(A_SESSION).saturating_add(reserved);
    limits::make_room_for_descriptors(used.min(limit));
    if wanted <= most {
        return Ok((wanted, None));
    }
    let needed = wanted.saturating_mul(A_SESSION).saturating_add(reserved.saturating_mul(workers));
    let each = if workers > 1 { format!(" in each of {workers} workers") } else { String::new() };
    let few = format!(
        "{wanted} clients need {needed} descriptors, and {limit} are allowed{each} (ulimit -Hn), \
         which is enough for {most}"
    );
    match &config.max_connections_origin {
        Some(origin) => Err(refused(origin, &few)),
        None => Ok((most, Some(format!("max-connections is lowered to {most}: {few}")))),
    }
}

/// What a back end is made of: one that is made of the same is the same.
#[derive(Clone)]
pub(super) struct MadeOf {
    plugins: Option<PathBuf>,
    framings: Framings,
    steps: Vec<BackendStep>,
    files: Vec<FileId>,
    threads: usize,
}

impl MadeOf {
    /// As the configuration and the files are now; framings that are those of `before` are not loaded
    /// again.
    fn now(config: &Config, before: Option<&Self>, doing: &Doing) -> Result<Self, StartError> {
        let framings = load_framings(config, before.map(|before| &before.framings), doing)?;
        let mut files = Vec::new();
        for PlacedStep { step, origin } in &config.backend {
            if let BackendStep::Load(name) = step {
                let dir = plugins(config, origin)?;
                files
                    .push(backend::backend_id(dir, name).map_err(|error| refused(origin, &error))?);
            }
        }
        Ok(Self {
            plugins: config.plugins.clone(),
            framings,
            steps: config.backend.iter().map(|placed| placed.step.clone()).collect(),
            files,
            threads: config.query_threads,
        })
    }

    fn is(&self, other: &Self) -> bool {
        self.plugins == other.plugins
            && self.steps == other.steps
            && self.files == other.files
            && self.threads == other.threads
            && self.framings.are_those_of(&other.framings)
    }

    /// Where its framings are registered.
    pub(super) fn registry(&self) -> &Registry {
        self.framings.registry()
    }
}

/// Loads the plug-ins that bring framings.
fn load_framings(
    config: &Config,
    before: Option<&Framings>,
    doing: &Doing,
) -> Result<Framings, StartError> {
    let Some(dir) = &config.plugins else { return Ok(Framings::without(before)) };
    let begins = |file: &Path| doing.begins(&format_args!("loading {}", file.display()));
    let load = || Framings::load(dir, before, begins);
    match &config.plugins_origin {
        Some(origin) => load().map_err(|error| refused(origin, &error)),
        // The directory that is compiled in may be missing where nobody asked for a plug-in.
        None if !dir.exists() => Ok(Framings::without(before)),
        None => load().map_err(|error| refused("plug-ins", &error)),
    }
}

fn plugins<'a>(config: &'a Config, origin: &Origin) -> Result<&'a Path, StartError> {
    let none = "needs a directory to look for plug-ins in: --plugins DIR";
    config.plugins.as_deref().ok_or_else(|| refused(origin, &none))
}

/// Loads and configures the back end, in the operator's order; `anew` where one runs already. Says at which
/// of the operator's lines it is, since a plug-in may hang in any call.
fn set_up_backend(
    config: &Config,
    of: &MadeOf,
    anew: bool,
    doing: &Doing,
) -> Result<Backend, StartError> {
    let mut backend = Backend::builtin();
    for PlacedStep { step, origin } in &config.backend {
        match step {
            BackendStep::Load(name) => {
                doing.begins(&format_args!("{origin}: init of back end {name}"));
                let dir = plugins(config, origin)?;
                backend.cleanup();
                let loaded = match anew {
                    true => Backend::load_anew(dir, name, &of.framings),
                    false => Backend::load(dir, name),
                };
                backend = loaded.map_err(|error| refused(origin, &error))?;
            }
            BackendStep::Configure(key, value) => {
                doing.begins(&format_args!("{origin}: configure of back end {}", backend.name()));
                backend.configure(key, value).map_err(|error| match error {
                    ConfigureError::Key(_) if config::is_core_key(key) => {
                        refused(origin, &"is not the back end's: it is --KEY, or a key of [core]")
                    }
                    error => refused(origin, &error),
                })?;
            }
        }
    }
    doing.begins(&format_args!("websocksy_check of back end {}", backend.name()));
    let checked = of.registry().within(|| backend.check());
    checked.map_err(|(key, error)| match origin_of(config, key, error.place()) {
        Some(origin) => refused(origin, &error),
        None => refused("back end", &error),
    })?;
    let threads = backend.allow_threads(config.query_threads);
    threads.map_err(|error| StartError::System("query threads".into(), error))?;
    Ok(backend)
}

/// Where the operator set `key` of the back end, last or at this place among several; without a key, where
/// it is loaded.
fn origin_of<'a>(config: &'a Config, key: &str, place: Option<usize>) -> Option<&'a Origin> {
    let sets = |placed: &&PlacedStep| match &placed.step {
        BackendStep::Configure(own, _) => own == key,
        BackendStep::Load(_) => key.is_empty(),
    };
    let mut set = config.backend.iter().filter(sets).map(|placed| &placed.origin);
    match place {
        Some(place) => set.nth(place),
        None => set.next_back(),
    }
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
/// A PROXY header is to be sent, and one of the peers, which are all there are, takes no stream.
fn check_send_proxy(config: &Config, targets: Option<&[Target]>) -> Result<(), StartError> {
    let target = targets.into_iter().flatten().find(|target| !target.is_stream_server());
    match (&config.send_proxy_origin, target) {
        (Some(origin), Some(target)) => Err(StartError::Configuration(format!(
            "{origin}: {target} takes no PROXY header: that is for tcp:// and unix:// peers"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plug-ins that are asked for have to be there; a directory that was only compiled in need not.
    #[test]
    fn o04_the_compiled_in_directory_may_be_missing() {
        let none = Some("/nowhere/websocksy".into());
        let compiled_in = Config { plugins: none.clone(), ..Config::default() };
        assert!(MadeOf::now(&compiled_in, None, &Doing::default()).is_ok());
        let asked_for =
            Config { plugins: none, plugins_origin: Some("--plugins".into()), ..Config::default() };
        let error = MadeOf::now(&asked_for, None, &Doing::default())
            .err()
            .map(|error| error.to_string())
            .unwrap();
        assert!(error.starts_with("--plugins: /nowhere/websocksy: "), "{error}");
        let step = PlacedStep { step: BackendStep::Load("file".into()), origin: "-b".into() };
        let wants_one = Config { backend: vec![step], ..compiled_in };
        let error = MadeOf::now(&wants_one, None, &Doing::default())
            .err()
            .map(|error| error.to_string())
            .unwrap();
        assert!(error.starts_with("-b: ") && error.contains("/nowhere/websocksy"), "{error}");
    }
}
