//! Reaching the peer: addresses tried as RFC 8305 says, nothing that blocks.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use socket2::{Domain, SockAddr, Socket, Type};

use super::socket::Link;
use crate::backend::Target;

/// RFC 8305 §5, Connection Attempt Delay: how long an address has before the next is tried too.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How long until a Unix socket whose backlog is full is tried again.
pub(super) const RETRY_DELAY: Duration = Duration::from_millis(50);
/// Attempts under way at once; more addresses wait until one has failed.
const ATTEMPTS: usize = 6;

/// What a first look at a target gives.
pub(super) enum Begun {
    /// The peer is there.
    Connected(Link),
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
                Begun::Connected(udp(&at_port(addresses, *port))?)
            }
            None => Begun::Name(host.clone()),
        },
        Target::UnixStream(path) => match UnixStream::connect(path) {
            Ok(socket) => Begun::Connected(Link::Unix(socket)),
            // unix(7): the backlog is full, and a non-blocking connect does not wait for room.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Begun::Later,
            Err(error) => return Err(error),
        },
        Target::UnixDatagram(path) => Begun::Connected(unix_datagram(path)?),
        Target::FifoTx(path) => Begun::Connected(fifo(path, true)?),
        Target::FifoRx(path) => Begun::Connected(fifo(path, false)?),
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

/// A UDP socket connected to the first address that can be routed to.
pub(super) fn udp(addresses: &[SocketAddr]) -> io::Result<Link> {
    let mut last = Error::new(ErrorKind::NotFound, "no address");
    for &address in addresses {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let connected = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
            socket.connect(address)?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => return Ok(Link::Udp(socket)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Bound to an abstract address that the kernel chooses (unix(7), autobind), so that the peer can
/// answer.
fn unix_datagram(path: &Path) -> io::Result<Link> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM.nonblocking(), None)?;
    socket.bind(&SockAddr::unix("")?)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(Link::UnixDatagram(UnixDatagram::from_std(socket.into())))
}

/// Opened without waiting for the other end: to read, that is always possible; to write, ENXIO
/// says that nobody reads (fifo(7)).
fn fifo(path: &Path, write: bool) -> io::Result<Link> {
    let file: File = OpenOptions::new()
        .read(!write)
        .write(write)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    if !file.metadata()?.file_type().is_fifo() {
        return Err(Error::new(ErrorKind::InvalidInput, "not a FIFO"));
    }
    Ok(if write { Link::FifoTx(file) } else { Link::FifoRx(file) })
}

/// The race of a TCP peer's addresses.
pub(super) struct Race {
    left: VecDeque<SocketAddr>,
    attempts: [Option<TcpStream>; ATTEMPTS],
    /// When the next address is tried though no attempt has failed.
    pub(super) next_at: Option<Instant>,
    last_error: Option<Error>,
}

/// How a race stands.
pub(super) enum Standing {
    Running,
    Lost(Error),
}

impl Race {
    pub(super) fn new(addresses: Vec<SocketAddr>) -> Self {
        Self {
            left: interleave(addresses),
            attempts: Default::default(),
            next_at: None,
            last_error: None,
        }
    }

    /// Starts the next attempt; `register` is told its socket and place.
    pub(super) fn attempt(
        &mut self,
        now: Instant,
        mut register: impl FnMut(&mut TcpStream, usize) -> io::Result<()>,
    ) -> Standing {
        while let Some(place) = self.attempts.iter().position(Option::is_none) {
            let Some(address) = self.left.pop_front() else { break };
            let started = TcpStream::connect(address).and_then(|mut socket| {
                register(&mut socket, place)?;
                Ok(socket)
            });
            match started {
                Ok(socket) => {
                    self.attempts[place] = Some(socket);
                    self.next_at = (!self.left.is_empty()).then_some(now + ATTEMPT_DELAY);
                    return Standing::Running;
                }
                Err(error) => self.last_error = Some(error),
            }
        }
        self.next_at = None;
        if self.attempts.iter().any(Option::is_some) {
            return Standing::Running;
        }
        let error = self.last_error.take();
        Standing::Lost(error.unwrap_or_else(|| Error::new(ErrorKind::NotFound, "no address")))
    }

    /// Something happened to the attempt at `place`: is it connected, or has it failed? `open` is
    /// what the event says of it: writable, and neither hung up nor in error.
    pub(super) fn event(&mut self, place: usize, open: bool) -> Option<io::Result<TcpStream>> {
        let socket = self.attempts.get_mut(place)?.take()?;
        if open {
            return Some(Ok(socket));
        }
        match (socket.take_error(), socket.peer_addr()) {
            (Ok(None), Ok(_)) => Some(Ok(socket)),
            (Ok(None), Err(error)) if error.kind() == ErrorKind::NotConnected => {
                self.attempts[place] = Some(socket);
                None
            }
            (Ok(Some(error)), _) | (Err(error), _) | (Ok(None), Err(error)) => Some(Err(error)),
        }
    }

    /// An attempt failed: remembers why, in case that all do.
    pub(super) fn failed(&mut self, error: Error) {
        self.last_error = Some(error);
    }
}

/// RFC 8305 §4: families by turns, beginning with that of the first address.
fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut mixed = VecDeque::new();
    for address in first {
        mixed.push_back(address);
        mixed.extend(second.next());
    }
    mixed.extend(second);
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |list: &str| -> Vec<SocketAddr> {
            list.split_whitespace()
                .map(|address| SocketAddr::new(address.parse().unwrap(), 1))
                .collect()
        };
        let table = [
            ("", ""),
            ("::1 ::2 127.0.0.1", "::1 127.0.0.1 ::2"),
            ("127.0.0.1 127.0.0.2 ::1 127.0.0.3", "127.0.0.1 ::1 127.0.0.2 127.0.0.3"),
            ("::1 127.0.0.1 127.0.0.2", "::1 127.0.0.1 127.0.0.2"),
        ];
        for (given, expected) in table {
            assert_eq!(Vec::from(interleave(parse(given))), parse(expected), "{given}");
        }
    }

    #[test]
    fn localhost_and_literals_need_no_look_up() {
        assert_eq!(literal("LocalHost").unwrap().len(), 2);
        assert_eq!(literal("::1").unwrap(), ["[::1]:0".parse::<SocketAddr>().unwrap()]);
        assert_eq!(literal("example.org"), None);
    }
}
