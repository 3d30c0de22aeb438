//! Listening TCP sockets.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::time::Duration;

use log::warn;
use mio::net::TcpListener;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::entrance::BACKLOG;
use crate::net::liveness;

/// What all addresses of a listener have in common.
#[derive(Clone, Copy)]
pub(super) struct Traits {
    /// How long clients may be silent before the kernel probes them.
    pub(super) probe: Duration,
    /// Whether `::` leaves IPv4 to others; otherwise it is IPv4 too.
    pub(super) only_v6: bool,
}

/// The addresses of `host`, each once.
///
/// # Errors
/// The resolver's.
pub(super) fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for address in (host, port).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// Listens on all of `addresses`. Those that this machine does not have are passed over while there
/// is one that it has, or `others` there are: names have IPv6 addresses where there is no IPv6.
///
/// # Errors
/// The first that is another one's, or none is there.
pub(super) fn listen(
    addresses: &[SocketAddr],
    traits: Traits,
    others: bool,
) -> io::Result<Vec<(SocketAddr, TcpListener)>> {
    let mut listeners: Vec<(SocketAddr, TcpListener)> = Vec::new();
    let mut missing = Err(io::Error::new(ErrorKind::NotFound, "no such address"));
    for wanted in addresses {
        let mut address = *wanted;
        if let (0, Some((_, first))) = (address.port(), listeners.first()) {
            address.set_port(first.local_addr()?.port()); // the one that the kernel chose
        }
        match bind(address, traits) {
            Ok(listener) => listeners.push((*wanted, listener)),
            Err(error) if is_missing(&error) => {
                missing = Err(error);
                if addresses.len() > 1 {
                    warn!("not listening on {address}, which this machine does not have");
                }
            }
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() && !others { missing } else { Ok(listeners) }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT))
}

fn bind(address: SocketAddr, traits: Traits) -> io::Result<TcpListener> {
    let any = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match socket(address, traits) {
        // The default address on a machine without IPv6.
        Err(error) if any && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            socket(any, traits)
        }
        result => result,
    }
}

fn socket(address: SocketAddr, traits: Traits) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(traits.only_v6 && address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    prepare(&SockRef::from(&socket), traits.probe)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// `first`, and so many more for its address that there are `count`: the kernel spreads clients between
/// them. `first` was bound without that, so nobody else listens there.
///
/// # Errors
/// The system refuses.
pub(super) fn multiply(
    first: TcpListener,
    count: usize,
    probe: Duration,
) -> io::Result<Vec<OwnedFd>> {
    let first = OwnedFd::from(first);
    let known = SockRef::from(&first);
    known.set_reuse_port(true)?;
    let address = known.local_addr()?;
    let mut sockets = Vec::new();
    for _ in 1..count {
        let socket = Socket::new(known.domain()?, Type::STREAM, Some(Protocol::TCP))?;
        if known.domain()? == Domain::IPV6 {
            socket.set_only_v6(known.only_v6()?)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        prepare(&SockRef::from(&socket), probe)?;
        socket.bind(&address)?;
        socket.listen(BACKLOG)?;
        sockets.push(socket.into());
    }
    sockets.insert(0, first);
    Ok(sockets)
}

/// What accepted sockets inherit (tcp(7) says which), and it is some calls less for each.
///
/// # Errors
/// The system refuses.
pub(super) fn prepare(socket: &SockRef<'_>, probe: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    liveness::keep_alive(socket, probe)?;
    liveness::stay_responsive(socket)
}
