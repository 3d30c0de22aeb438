//! How a peer is reached; nothing here waits.

mod backlog;
pub(super) mod fifo;
mod race;
mod sources;
pub(super) mod tcp;
pub(super) mod udp;
pub(super) mod unix;

use std::io::{self, Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::system::System;
use crate::backend::Target;
use crate::config::SourceAddress;
pub(super) use backlog::{Backlogs, Place};
pub(super) use race::{Race, Standing};
pub(super) use sources::{Turns, check as check_source};

/// What a first look at a target gives.
pub(super) enum Begun<T> {
    /// The peer is there.
    Connected(T),
    /// TCP or UDP: these addresses are to be tried.
    Addresses(Vec<SocketAddr>),
    /// TCP or UDP: the name must be looked up.
    Name(String),
    /// A Unix socket, which may be full.
    Unix(PathBuf),
}

/// Begins to reach `target`.
pub(super) fn begin<S: System>(target: &Target, system: &mut S) -> io::Result<Begun<S::Transport>> {
    Ok(match target {
        Target::Tcp { host, .. } | Target::Tls { host, .. } => match literal(host) {
            Some(addresses) => Begun::Addresses(addresses),
            None => Begun::Name(host.clone()),
        },
        // IPv4 first: a server of the IPv6 wildcard address hears it too (ipv6(7)), while one of
        // IPv4 would not hear IPv6.
        Target::Udp { host, .. } => match literal(host) {
            Some(mut addresses) => {
                addresses.sort_by_key(SocketAddr::is_ipv6);
                Begun::Addresses(addresses)
            }
            None => Begun::Name(host.clone()),
        },
        Target::UnixStream(path) => Begun::Unix(path.clone()),
        Target::UnixDatagram(path) => Begun::Connected(system.connect_unix_datagram(path)?),
        Target::FifoTx(path) => Begun::Connected(system.open_fifo(path, true)?),
        Target::FifoRx(path) => Begun::Connected(system.open_fifo(path, false)?),
    })
}

/// A connection to a Unix socket, or none where its backlog is full: a connect does not wait for room
/// there (unix(7)).
pub(super) fn connect_unix<S: System>(
    path: &Path,
    system: &mut S,
) -> io::Result<Option<S::Transport>> {
    match system.connect_unix(path) {
        Ok(peer) => Ok(Some(peer)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// A UDP socket connected to the first address that can be routed to; no refusal comes in time to
/// try another.
pub(super) fn connect_udp<S: System>(
    addresses: &[SocketAddr],
    sources: (&mut Turns, &[SourceAddress]),
    system: &mut S,
) -> io::Result<S::Transport> {
    let (turns, sources) = sources;
    let mut last = no_address();
    for &address in addresses {
        match turns.dial(address, sources, |source| system.connect_udp(address, source)) {
            Ok(peer) => return Ok(peer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn no_address() -> Error {
    Error::new(ErrorKind::NotFound, "no address")
}

/// The addresses of a host that needs no look-up: a literal, or `localhost` (RFC 6761 §6.3: the
/// loopback addresses, always).
fn literal(host: &str) -> Option<Vec<SocketAddr>> {
    let addresses: Vec<IpAddr> = if host.eq_ignore_ascii_case("localhost") {
        vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]
    } else {
        vec![host.parse().ok()?]
    };
    Some(addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
}

/// Whether a host stands for its own addresses, whoever is asked: also with a zone (RFC 4007 §11),
/// which takes a look-up.
pub(super) fn is_literal(host: &str) -> bool {
    let address = host.split_once('%').map_or(host, |(address, _)| address);
    literal(address).is_some()
}

/// Whether a peer is reached by the loopback network alone.
pub(super) fn is_loopback(target: &Target) -> bool {
    target
        .host()
        .and_then(literal)
        .is_some_and(|all| all.iter().all(|one| one.ip().to_canonical().is_loopback()))
}

/// The addresses with the target's port.
pub(super) fn at_port(mut addresses: Vec<SocketAddr>, port: u16) -> Vec<SocketAddr> {
    addresses.iter_mut().for_each(|address| address.set_port(port));
    addresses
}

/// Whether it takes a look-up to reach `target`.
pub(super) fn needs_look_up(target: &Target) -> bool {
    target.host().is_some_and(|host| literal(host).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_and_literals_need_no_look_up() {
        assert_eq!(literal("LocalHost").unwrap().len(), 2);
        assert_eq!(literal("::1").unwrap(), ["[::1]:0".parse::<SocketAddr>().unwrap()]);
        assert_eq!(literal("example.org"), None);
        for (host, is) in [("fe80::1%eth0", true), ("localhost", true), ("eth0%1", false)] {
            assert_eq!(is_literal(host), is, "{host}");
        }
    }

    #[test]
    fn loopback_is_what_no_other_machine_is_reached_by() {
        for (host, is) in [
            ("localhost", true),
            ("127.0.0.2", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.1", false),
            ("example.org", false),
        ] {
            let target = Target::Tcp { host: host.into(), port: 1 };
            assert_eq!(is_loopback(&target), is, "{host}");
        }
        assert!(!is_loopback(&Target::UnixStream("/run/peer".into())));
    }
}
