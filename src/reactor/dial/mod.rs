//! How a peer is reached; nothing here waits.

mod fifo;
mod race;
pub(super) mod udp;
mod unix;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mio::net::UnixStream;

use crate::backend::Target;
use crate::net::Transport;
pub(super) use race::{Race, Standing};

/// How long until a Unix socket whose backlog is full is tried again.
pub(super) const RETRY_DELAY: Duration = Duration::from_millis(50);

/// What a first look at a target gives.
pub(super) enum Begun {
    /// The peer is there.
    Connected(Transport),
    /// TCP: these addresses are to be tried.
    Addresses(Vec<SocketAddr>),
    /// TCP or UDP: the name must be looked up.
    Name(String),
    /// To be begun again after a while.
    Later,
}

/// Begins to reach `target`.
pub(super) fn begin(target: &Target) -> io::Result<Begun> {
    Ok(match target {
        Target::Tcp { host, port } => match literal(host) {
            Some(addresses) => Begun::Addresses(at_port(addresses, *port)),
            None => Begun::Name(host.clone()),
        },
        // No refusal comes in time to try another address. IPv4 first: a server of the IPv6
        // wildcard address hears it too (ipv6(7)), while one of IPv4 would not hear IPv6.
        Target::Udp { host, port } => match literal(host) {
            Some(mut addresses) => {
                addresses.sort_by_key(SocketAddr::is_ipv6);
                Begun::Connected(udp::connect(&at_port(addresses, *port))?)
            }
            None => Begun::Name(host.clone()),
        },
        Target::UnixStream(path) => match UnixStream::connect(path) {
            Ok(socket) => Begun::Connected(Transport::Unix(socket)),
            // unix(7): the backlog is full, and a non-blocking connect does not wait for room.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Begun::Later,
            Err(error) => return Err(error),
        },
        Target::UnixDatagram(path) => Begun::Connected(unix::datagram(path)?),
        Target::FifoTx(path) => Begun::Connected(fifo::open(path, true)?),
        Target::FifoRx(path) => Begun::Connected(fifo::open(path, false)?),
    })
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

/// The addresses with the target's port.
pub(super) fn at_port(mut addresses: Vec<SocketAddr>, port: u16) -> Vec<SocketAddr> {
    addresses.iter_mut().for_each(|address| address.set_port(port));
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_and_literals_need_no_look_up() {
        assert_eq!(literal("LocalHost").unwrap().len(), 2);
        assert_eq!(literal("::1").unwrap(), ["[::1]:0".parse::<SocketAddr>().unwrap()]);
        assert_eq!(literal("example.org"), None);
    }
}
