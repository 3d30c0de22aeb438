//! From what the operator wrote to listening sockets.

use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use log::warn;

use super::entrance::Entrance;
use super::inherited::Inherited;
use super::site::{self, Present, Site};
use super::socket::ListeningSocket;
use super::tcp::{self, Traits};
use super::unix;
use crate::config::{Config, Listen, ListenAddress, ListenWords, Origin};

/// What keeps a listener from listening.
pub(in crate::reactor) enum OpenError {
    /// What was written there cannot be.
    Configuration(Option<Origin>, String),
    /// The system refuses.
    System(String, io::Error),
}

/// A socket to listen on.
pub(in crate::reactor) enum Opened {
    New(ListeningSocket),
    /// The one of this number that is there.
    Kept(usize),
}

/// A socket, what it was opened for, and what is known of it.
pub(in crate::reactor) struct Opening {
    pub(in crate::reactor) socket: Opened,
    pub(in crate::reactor) site: Site,
    pub(in crate::reactor) entrance: Entrance,
    /// By which `--listen` it is there, counted from 0.
    pub(in crate::reactor) index: usize,
}

/// Listens wherever the operator said. At a reload, what is `present` and still wanted is kept.
///
/// # Errors
/// The first place where that cannot be.
pub(in crate::reactor) fn open(
    config: &Config,
    mut present: Option<Vec<Present>>,
) -> Result<Vec<Opening>, OpenError> {
    let wanted = |listen: &Listen| matches!(listen.address, ListenAddress::Systemd(_));
    let mut inherited = match config.listen.iter().find(|listen| wanted(listen)) {
        Some(listen) if present.is_none() => {
            Some(Inherited::take().map_err(|error| wrong(listen, error))?)
        }
        _ => None,
    };
    let places = config.listen.iter().map(|listen| addresses(listen, config.port));
    let places = places.collect::<Result<Vec<_>, _>>()?;
    // The named ones first: what is left belongs to one that names none.
    let mut order: Vec<_> = config.listen.iter().zip(&places).enumerate().collect();
    order.sort_by_key(|(_, (listen, _))| listen.address == ListenAddress::Systemd(None));
    let mut open = Vec::new();
    for (index, (listen, addresses)) in order {
        let known = present.as_deref_mut().unwrap_or_default();
        let sockets = match (&listen.address, &mut inherited) {
            (ListenAddress::Tcp { .. }, _) => open_tcp(listen, addresses, &places, config, known)?,
            (ListenAddress::Unix(path), _) => vec![open_unix(listen, path, known)?],
            (ListenAddress::Systemd(name), Some(inherited)) => {
                let taken = inherited.named(name.as_deref(), config.deadlines.ping);
                let taken = taken.map_err(|error| wrong(listen, error))?;
                let site = Site::Systemd(name.clone());
                taken.into_iter().map(|socket| (Opened::New(socket), site.clone())).collect()
            }
            (ListenAddress::Systemd(name), None) => keep_handed_over(listen, name, known)?,
        };
        for (socket, site) in sockets {
            let name = match &socket {
                Opened::Kept(at) => known.get(*at).map(|present| Arc::clone(&present.name)),
                Opened::New(socket) => {
                    let place = socket.place();
                    Some(place.map_err(|error| failed(listen, config.port, error))?.into())
                }
            };
            let name = name.unwrap_or_else(|| "".into());
            let entrance = Entrance { name, words: listen.words.clone() };
            open.push(Opening { socket, site, entrance, index });
        }
    }
    for name in inherited.iter().flat_map(Inherited::left) {
        warn!("the socket '{name}' was handed over, and no --listen takes it");
    }
    open.sort_by_key(|opening| opening.index);
    Ok(open)
}

/// Sockets that were handed over at the start and have this name.
fn keep_handed_over(
    listen: &Listen,
    name: &Option<String>,
    present: &mut [Present],
) -> Result<Vec<(Opened, Site)>, OpenError> {
    let site = Site::Systemd(name.clone());
    let next = || site::keep(present, &site).map(|at| (Opened::Kept(at), site.clone()));
    let kept: Vec<_> = std::iter::from_fn(next).collect();
    if kept.is_empty() {
        let problem = "needs a restart: sockets are handed over at the start only";
        return Err(wrong(listen, problem.into()));
    }
    Ok(kept)
}

fn open_unix(
    listen: &Listen,
    path: &Path,
    present: &mut [Present],
) -> Result<(Opened, Site), OpenError> {
    let site = Site::Unix(path.into());
    if let Some(at) = site::keep(present, &site) {
        let before = present.get(at).map(|present| &present.words);
        let owner = |words: &ListenWords| (words.mode, words.user.clone(), words.group.clone());
        if before.is_some_and(|before| owner(before) != owner(&listen.words)) {
            let problem = "needs a restart where mode, user or group of a socket change";
            return Err(wrong(listen, problem.into()));
        }
        return Ok((Opened::Kept(at), site));
    }
    let owner = unix::owner(&listen.words).map_err(|error| wrong(listen, error))?;
    let opened = unix::listen(path, listen.words.mode, owner);
    let (listener, file) = opened.map_err(|error| failed(listen, 0, error))?;
    Ok((Opened::New(ListeningSocket::Unix(listener, Some(file))), site))
}

/// Whether all that the places to listen are named by is there; opens nothing.
///
/// # Errors
/// The first host, user or group that is unknown.
pub(in crate::reactor) fn look_up(config: &Config) -> Result<(), OpenError> {
    config.listen.iter().try_for_each(|listen| {
        addresses(listen, config.port)?;
        unix::owner(&listen.words).map(drop).map_err(|error| wrong(listen, error))
    })
}

fn open_tcp(
    listen: &Listen,
    addresses: &[SocketAddr],
    all: &[Vec<SocketAddr>],
    config: &Config,
    present: &mut [Present],
) -> Result<Vec<(Opened, Site)>, OpenError> {
    let port = addresses.first().map_or(0, SocketAddr::port);
    // One that is for all of IPv4 would be in the way of the other.
    let only_v6 = all.iter().flatten().any(|other| other.is_ipv4() && other.port() == port);
    let only_v6 = only_v6 && port != 0;
    let traits = Traits { probe: config.deadlines.ping, only_v6 };
    let only_v6 = |address: SocketAddr| only_v6 && address.ip() == Ipv6Addr::UNSPECIFIED;
    let site = |address| Site::Tcp { address, only_v6: only_v6(address) };
    let (mut sockets, mut missing) = (Vec::new(), Vec::new());
    for address in addresses {
        match site::keep(present, &site(*address)) {
            Some(at) => sockets.push((Opened::Kept(at), site(*address))),
            None => missing.push(*address),
        }
    }
    let opened = tcp::listen(&missing, traits, !sockets.is_empty());
    let opened = opened.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => missing
            .iter()
            .find_map(|address| site::in_the_way(present, *address, only_v6(*address)))
            .map_or_else(|| failed(listen, config.port, error), |words| wrong(listen, words)),
        _ => failed(listen, config.port, error),
    })?;
    let opened = opened
        .into_iter()
        .map(|(address, socket)| (Opened::New(ListeningSocket::Tcp(socket)), site(address)));
    sockets.extend(opened);
    Ok(sockets)
}

fn addresses(listen: &Listen, default_port: u16) -> Result<Vec<SocketAddr>, OpenError> {
    match &listen.address {
        ListenAddress::Tcp { host, port } => {
            let found = tcp::addresses(host, port.unwrap_or(default_port));
            found.map_err(|error| failed(listen, default_port, error))
        }
        ListenAddress::Unix(_) | ListenAddress::Systemd(_) => Ok(Vec::new()),
    }
}

fn wrong(listen: &Listen, problem: String) -> OpenError {
    OpenError::Configuration(listen.origin.clone(), problem)
}

fn failed(listen: &Listen, default_port: u16, error: io::Error) -> OpenError {
    let place = match &listen.address {
        ListenAddress::Tcp { host, port } => {
            format!("{host} port {}", port.unwrap_or(default_port))
        }
        address @ (ListenAddress::Unix(_) | ListenAddress::Systemd(_)) => address.to_string(),
    };
    refused(listen, &place, error)
}

/// The system refuses what `listen` asks for at `place`.
pub(super) fn refused(listen: &Listen, place: &str, error: io::Error) -> OpenError {
    let origin = listen.origin.as_ref().map_or_else(String::new, |origin| format!("{origin}: "));
    OpenError::System(format!("{origin}cannot listen on {place}"), error)
}
