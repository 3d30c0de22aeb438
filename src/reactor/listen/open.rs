//! From what the operator wrote to listening sockets.

use std::io;
use std::net::SocketAddr;

use log::warn;

use super::entrance::Entrance;
use super::inherited::Inherited;
use super::socket::ListeningSocket;
use super::tcp::{self, Traits};
use super::unix;
use crate::config::{Config, Listen, ListenAddress, Origin};

/// What keeps a listener from listening.
pub(in crate::reactor) enum OpenError {
    /// What was written there cannot be.
    Configuration(Option<Origin>, String),
    /// The system refuses.
    System(String, io::Error),
}

/// Listens wherever the operator said.
///
/// # Errors
/// The first place where that cannot be.
pub(in crate::reactor) fn open(
    config: &Config,
) -> Result<Vec<(ListeningSocket, Entrance)>, OpenError> {
    let wanted = |listen: &Listen| matches!(listen.address, ListenAddress::Systemd(_));
    let mut inherited = match config.listen.iter().find(|listen| wanted(listen)) {
        Some(listen) => Some(Inherited::take().map_err(|error| wrong(listen, error))?),
        None => None,
    };
    let places = config.listen.iter().map(|listen| addresses(listen, config.port));
    let places = places.collect::<Result<Vec<_>, _>>()?;
    // The named ones first: what is left belongs to one that names none.
    let mut order: Vec<_> = config.listen.iter().zip(&places).enumerate().collect();
    order.sort_by_key(|(_, (listen, _))| listen.address == ListenAddress::Systemd(None));
    let mut open = Vec::new();
    for (index, (listen, addresses)) in order {
        let sockets = match &listen.address {
            ListenAddress::Tcp { .. } => open_tcp(listen, addresses, &places, config)?,
            ListenAddress::Unix(path) => {
                let owner = unix::owner(&listen.words).map_err(|error| wrong(listen, error))?;
                let opened = unix::listen(path, listen.words.mode, owner);
                let (listener, file) = opened.map_err(|error| failed(listen, 0, error))?;
                vec![ListeningSocket::Unix(listener, Some(file))]
            }
            ListenAddress::Systemd(name) => match &mut inherited {
                Some(inherited) => inherited
                    .named(name.as_deref(), config.deadlines.ping)
                    .map_err(|error| wrong(listen, error))?,
                None => Vec::new(),
            },
        };
        for socket in sockets {
            let name = socket.place().map_err(|error| failed(listen, config.port, error))?.into();
            open.push((index, (socket, Entrance { name, words: listen.words.clone() })));
        }
    }
    for name in inherited.iter().flat_map(Inherited::left) {
        warn!("the socket '{name}' was handed over, and no --listen takes it");
    }
    open.sort_by_key(|(index, _)| *index);
    Ok(open.into_iter().map(|(_, opened)| opened).collect())
}

fn open_tcp(
    listen: &Listen,
    addresses: &[SocketAddr],
    all: &[Vec<SocketAddr>],
    config: &Config,
) -> Result<Vec<ListeningSocket>, OpenError> {
    let port = addresses.first().map_or(0, SocketAddr::port);
    // One that is for all of IPv4 would be in the way of the other.
    let only_v6 = all.iter().flatten().any(|other| other.is_ipv4() && other.port() == port);
    let traits = Traits { probe: config.deadlines.ping, only_v6: only_v6 && port != 0 };
    let opened =
        tcp::listen(addresses, traits).map_err(|error| failed(listen, config.port, error))?;
    Ok(opened.into_iter().map(ListeningSocket::Tcp).collect())
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
    OpenError::System(format!("cannot listen on {place}"), error)
}
