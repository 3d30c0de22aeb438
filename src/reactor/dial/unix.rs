//! Unix peers, stream and datagram.

use std::io;
use std::path::Path;

use mio::net::UnixDatagram;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::net::Transport;

/// Bound to an abstract address that the kernel chooses (unix(7), autobind), so that the peer can
/// answer; and only once it is connected, so that nobody else can say anything.
pub(in crate::reactor) fn datagram(path: &Path) -> io::Result<Transport> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.bind(&SockAddr::unix("")?)?;
    Ok(Transport::UnixDatagram(UnixDatagram::from_std(socket.into())))
}
