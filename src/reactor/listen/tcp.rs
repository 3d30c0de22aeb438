//! The listening socket.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::net::liveness;

/// Connections that the kernel holds until we accept them; it cuts the number to its own limit.
pub(in crate::reactor) const BACKLOG: i32 = 4096;

/// Clients accepted in one turn: those that are served must not wait for a crowd at the accept.
pub(in crate::reactor) const ACCEPTS: usize = 64;

/// Listens on `host`, the first of its addresses that works. Clients that are silent for `probe`
/// are probed.
pub(in crate::reactor) fn listen(
    host: &str,
    port: u16,
    probe: Duration,
) -> io::Result<TcpListener> {
    let mut last = io::Error::new(ErrorKind::NotFound, "no such address");
    for address in (host, port).to_socket_addrs()? {
        match bind(address, probe) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind(address: SocketAddr, probe: Duration) -> io::Result<TcpListener> {
    let any = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match socket(address, probe) {
        // The default address on a machine without IPv6.
        Err(error) if any && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            socket(any, probe)
        }
        result => result,
    }
}

fn socket(address: SocketAddr, probe: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit these (tcp(7) says which), and it is some calls less for each.
    socket.set_tcp_nodelay(true)?;
    liveness::keep_alive(&SockRef::from(&socket), probe)?;
    liveness::stay_responsive(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}
