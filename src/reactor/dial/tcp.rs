//! TCP peers.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::sources::bind;
use crate::net::Transport;

/// Begins to connect to `address`, from `source`.
pub(in crate::reactor) fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
) -> io::Result<Transport> {
    let Some(source) = source else { return TcpStream::connect(address).map(Transport::Tcp) };
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    bind(&socket, address, source)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        Ok(()) | Err(_) => Ok(Transport::Tcp(TcpStream::from_std(socket.into()))),
    }
}
