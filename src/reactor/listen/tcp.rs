//! The listening socket.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel holds until we accept them; it cuts the number to its own limit.
pub(in crate::reactor) const BACKLOG: i32 = 4096;

/// Clients accepted in one turn: those that are served must not wait for a crowd at the accept.
pub(in crate::reactor) const ACCEPTS: usize = 64;

/// Listens on `host`, the first of its addresses that works.
pub(in crate::reactor) fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut last = io::Error::new(ErrorKind::NotFound, "no such address");
    for address in (host, port).to_socket_addrs()? {
        match bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let any = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match socket(address) {
        // The default address on a machine without IPv6.
        Err(error) if any && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            socket(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
        }
        result => result,
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it (tcp(7) says which), and it is one call less for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}
