//! Unix peers, stream and datagram.

use std::io;
use std::path::Path;

use mio::net::UnixDatagram;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::net::Transport;

/// Bound to an abstract address that the kernel chooses (unix(7), autobind), so that the peer can
/// answer.
pub(in crate::reactor) fn datagram(path: &Path) -> io::Result<Transport> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM.nonblocking(), None)?;
    socket.bind(&SockAddr::unix("")?)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(Transport::UnixDatagram(UnixDatagram::from_std(socket.into())))
}
