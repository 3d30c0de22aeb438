//! Listening sockets for worker processes: their supervisor opens them, and each worker is handed its
//! own.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use mio::net::{TcpListener, UnixListener};
use socket2::{Domain, SockRef};

use super::entrance::Entrance;
use super::open::{self, OpenError, Opened, Opening};
use super::site::{Present, Site, places};
use super::socket::{self, ListeningSocket};
use super::tcp;
use super::unix::Bound;
use crate::config::{Config, Listen, ListenAddress};
use crate::logging::Escaped;

/// The listening sockets of all workers, which copies share. While these are held, clients wait for a
/// worker that is not there, and are not refused.
#[derive(Clone)]
pub struct WorkerSockets(Vec<Shared>);

/// What one listener has for the workers.
#[derive(Clone)]
struct Shared {
    /// Where that is, in the words of [`places`].
    place: String,
    is_admin: bool,
    entrance: Entrance,
    held: Arc<Held>,
}

/// What stays the same, whatever is said of it by a reload.
struct Held {
    /// What it was opened for; none of the operators' own pages is a reload's.
    site: Site,
    /// One for each worker, between which the kernel spreads clients (SO_REUSEPORT, socket(7)); or one
    /// for them all.
    sockets: Vec<OwnedFd>,
    /// The file of a Unix socket.
    file: Option<Bound>,
}

impl WorkerSockets {
    /// Listens wherever the operator said, for so many workers.
    pub(in crate::reactor) fn open(config: &Config, workers: usize) -> Result<Self, OpenError> {
        let mut all = open::open(config, None)?;
        if let Some(admin) = &config.admin {
            let operators = Config { listen: vec![admin.listen()], ..config.clone() };
            let index = config.listen.len();
            let opened = open::open(&operators, None)?.into_iter();
            all.extend(opened.map(|opening| Opening { index, site: Site::Other, ..opening }));
        }
        Self(Vec::new()).with(all, config, workers)
    }

    /// Listens wherever the operator says now. What is wanted still is shared; the rest is closed once
    /// nobody has these any more.
    pub(in crate::reactor) fn renewed(
        &self,
        config: &Config,
        workers: usize,
    ) -> Result<Self, OpenError> {
        let present = self.0.iter().map(Shared::present).collect();
        let mut renewed = self.with(open::open(config, Some(present))?, config, workers)?;
        // Those of the operators stay, whatever is said: another place takes a restart.
        renewed.0.extend(self.0.iter().filter(|shared| shared.is_admin).cloned());
        Ok(renewed)
    }

    fn with(
        &self,
        openings: Vec<Opening>,
        config: &Config,
        workers: usize,
    ) -> Result<Self, OpenError> {
        let places = places(config);
        let opened =
            openings.into_iter().filter_map(|Opening { socket, site, entrance, index }| {
                let (place, listen) = places.get(index)?;
                let held = match socket {
                    Opened::Kept(at) => Ok(Arc::clone(&self.0.get(at)?.held)),
                    Opened::New(socket) => hold(socket, site, workers, config)
                        .map_err(|error| open::refused(listen, &entrance.name, error)),
                };
                let (place, is_admin) = (place.clone(), index == config.listen.len());
                Some(held.map(|held| Shared { place, is_admin, entrance, held }))
            });
        opened.collect::<Result<_, _>>().map(Self)
    }

    /// Those of one worker, counted from 0, and where each is.
    pub fn of(&self, worker: usize) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        let Self(all) = self;
        all.iter().filter_map(move |shared| Some((&*shared.place, shared.of(worker)?)))
    }

    /// The same, without the operators' own.
    pub fn of_clients(&self, worker: usize) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        let Self(all) = self;
        let clients = all.iter().filter(|shared| !shared.is_admin);
        clients.filter_map(move |shared| Some((&*shared.place, shared.of(worker)?)))
    }

    /// All, with the number of the listener and where it is.
    pub fn all(&self) -> impl Iterator<Item = (usize, &str, BorrowedFd<'_>)> {
        let Self(all) = self;
        all.iter().enumerate().flat_map(|(listener, shared)| {
            let sockets = shared.held.sockets.iter();
            sockets.map(move |own| (listener, &*shared.place, own.as_fd()))
        })
    }

    /// The same again, in a program that has them of the one before it.
    ///
    /// # Errors
    /// It opened them by another configuration, in words.
    pub fn resume(config: &Config, handed: Vec<(usize, String, OwnedFd)>) -> Result<Self, String> {
        let mut all: Vec<(usize, Shared)> = Vec::new();
        let places = places(config);
        let failed = |error| format!("a listening socket: {error}");
        let mut handed = handed.into_iter().peekable();
        while let Some((listener, place, first)) = handed.next() {
            let index = places.iter().position(|(own, _)| *own == place).ok_or(CHANGED)?;
            let (_, listen) = places.get(index).ok_or(CHANGED)?;
            let is_admin = index == config.listen.len();
            let mut sockets = vec![first];
            while let Some((.., fd)) = handed.next_if(|(own, ..)| *own == listener) {
                sockets.push(fd);
            }
            let known = sockets.first().map(|first| known(listen, config.port, first));
            let (site, entrance) = known.ok_or(CHANGED)?.map_err(failed)?;
            let site = if is_admin { Site::Other } else { site };
            let file = match &listen.address {
                ListenAddress::Unix(path) => Bound::again(path),
                ListenAddress::Tcp { .. } | ListenAddress::Systemd(_) => None,
            };
            let held = Arc::new(Held { site, sockets, file });
            all.push((index, Shared { place, is_admin, entrance, held }));
        }
        match (0..places.len()).all(|index| all.iter().any(|(own, _)| *own == index)) {
            true => Ok(Self(all.into_iter().map(|(_, shared)| shared).collect())),
            false => Err(CHANGED.into()),
        }
    }

    /// Where clients are taken from and were not `before`.
    pub fn beside<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Entrance> {
        let is_there = |own: &Shared| before.0.iter().any(|old| Arc::ptr_eq(&old.held, &own.held));
        let news = self.0.iter().filter(move |own| !is_there(own));
        news.map(|shared| &shared.entrance)
    }

    /// Where clients are taken from, or operators, as the log says it.
    pub fn places(&self, of_operators: bool) -> impl Iterator<Item = &Entrance> {
        let Self(all) = self;
        let wanted = all.iter().filter(move |shared| shared.is_admin == of_operators);
        wanted.map(|shared| &shared.entrance)
    }
}

impl Shared {
    /// That of one worker.
    fn of(&self, worker: usize) -> Option<BorrowedFd<'_>> {
        let sockets = &self.held.sockets;
        sockets.get(worker).or_else(|| sockets.first()).map(AsFd::as_fd)
    }

    /// What a reload is told of it.
    fn present(&self) -> Present {
        Present {
            site: self.held.site.clone(),
            name: Arc::clone(&self.entrance.name),
            words: self.entrance.words.clone(),
            file: self.held.file.as_ref().map(Bound::identity),
            inode: None,
            is_kept: false,
        }
    }
}

/// What all workers are to have of a socket that is new.
fn hold(
    socket: ListeningSocket,
    site: Site,
    workers: usize,
    config: &Config,
) -> io::Result<Arc<Held>> {
    let (sockets, file) = match socket {
        ListeningSocket::Tcp(first) if matches!(site, Site::Tcp { .. }) => {
            (tcp::multiply(first, workers, config.deadlines.ping)?, None)
        }
        ListeningSocket::Tcp(listener) => (vec![listener.into()], None),
        ListeningSocket::Unix(listener, file) => (vec![listener.into()], file),
    };
    Ok(Arc::new(Held { site, sockets, file }))
}

/// What a socket was opened for, and what is known of it.
fn known(listen: &Listen, default_port: u16, socket: &OwnedFd) -> io::Result<(Site, Entrance)> {
    let (own, entrance) = one(listen, socket.try_clone()?)?;
    let site = match &listen.address {
        ListenAddress::Tcp { host, port } => {
            let local = own.local_address()?;
            // As it was wanted: where there is no IPv6, `::` is another address.
            let ip = host.parse().unwrap_or_else(|_| local.ip());
            let address = SocketAddr::new(ip, port.unwrap_or(default_port));
            let only_v6 = ip == Ipv6Addr::UNSPECIFIED && SockRef::from(socket).only_v6()?;
            Site::Tcp { address, only_v6 }
        }
        ListenAddress::Unix(path) => Site::Unix(path.clone()),
        ListenAddress::Systemd(name) => Site::Systemd(name.clone()),
    };
    Ok((site, entrance))
}

const CHANGED: &str = "--listen, --port or --admin says other places than those in force: reload \
                       what is said of listeners first (SIGHUP); another --admin takes a restart";

type Adopted = Vec<Opening>;

/// Takes over what a supervisor opened: the clients' sockets, and the operators'.
///
/// # Errors
/// It opened it by another configuration, in words.
pub(in crate::reactor) fn adopt(
    config: &Config,
    handed: Vec<(String, OwnedFd)>,
) -> Result<(Adopted, Adopted), String> {
    let places = places(config);
    if !places.iter().all(|(own, _)| handed.iter().any(|(place, _)| place == own)) {
        return Err(CHANGED.into());
    }
    let (mut sockets, mut operators) = (Vec::new(), Vec::new());
    for (place, fd) in handed {
        let index = places.iter().position(|(own, _)| *own == place).ok_or(CHANGED)?;
        let (_, listen) = places.get(index).ok_or(CHANGED)?;
        let own = one(listen, fd).map_err(|error| format!("a listening socket: {error}"))?;
        let (socket, entrance) = (Opened::New(own.0), own.1);
        let own = Opening { socket, site: Site::Handed, entrance, index };
        if index == config.listen.len() { operators.push(own) } else { sockets.push(own) }
    }
    Ok((sockets, operators))
}

/// What a supervisor listens on now, in a worker: of `handed`, with the places of each, those are kept
/// that are `present`.
///
/// # Errors
/// It was opened by another configuration, in words.
pub(in crate::reactor) fn take_over(
    config: &Config,
    present: &[Present],
    handed: Vec<(String, OwnedFd)>,
) -> Result<Vec<Opening>, String> {
    let places = places(config);
    let take = |(place, fd): (String, OwnedFd)| {
        let mut own = places.iter().take(config.listen.len()).enumerate();
        let (index, (_, listen)) = own.find(|(_, (own, _))| *own == place).ok_or(OTHERWISE)?;
        let failed = |error| format!("a listening socket: {error}");
        let (is_it, words) = (socket::inode(&fd).map_err(failed)?, listen.words.clone());
        let mut known = present.iter().enumerate();
        let (socket, entrance) = match known.find(|(_, own)| own.inode == Some(is_it)) {
            Some((at, own)) => (Opened::Kept(at), Entrance { name: Arc::clone(&own.name), words }),
            None => {
                let (socket, entrance) = one(listen, fd).map_err(failed)?;
                (Opened::New(socket), entrance)
            }
        };
        Ok(Opening { socket, site: Site::Handed, entrance, index })
    };
    let openings = handed.into_iter().map(take).collect::<Result<Vec<_>, String>>()?;
    match (0..config.listen.len()).all(|own| openings.iter().any(|one| one.index == own)) {
        true => Ok(openings),
        false => Err(OTHERWISE.into()),
    }
}

const OTHERWISE: &str =
    "the configuration says other places to listen than the supervisor found there";

fn one(listen: &Listen, fd: OwnedFd) -> io::Result<(ListeningSocket, Entrance)> {
    let socket = if SockRef::from(&fd).domain()? == Domain::UNIX {
        ListeningSocket::Unix(UnixListener::from(fd), None)
    } else {
        ListeningSocket::Tcp(TcpListener::from(fd))
    };
    let name = match &listen.address {
        // The socket itself knows the name that it had when it was made.
        ListenAddress::Unix(path) => {
            format!("unix:{}", Escaped(path.as_os_str().as_encoded_bytes()))
        }
        ListenAddress::Tcp { .. } | ListenAddress::Systemd(_) => socket.place()?,
    };
    Ok((socket, Entrance { name: name.into(), words: listen.words.clone() }))
}
