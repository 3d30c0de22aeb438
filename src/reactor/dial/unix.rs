//! Unix peers, stream and datagram.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use mio::net::{UnixDatagram, UnixStream};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::net::Transport;

/// A stream socket, connected at once or not at all (unix(7)).
pub(in crate::reactor) fn stream(path: &Path) -> io::Result<Transport> {
    UnixStream::connect_addr(&address(path)?).map(Transport::unix)
}

/// The socket at `path`; `@NAME` is the one of that name in the abstract namespace (unix(7)).
fn address(path: &Path) -> io::Result<SocketAddr> {
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    }
}

/// Bound to an abstract address that the kernel chooses (unix(7), autobind), so that the peer can
/// answer; and only once it is connected, so that nobody else can say anything.
pub(in crate::reactor) fn datagram(path: &Path) -> io::Result<Transport> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM.nonblocking(), None)?;
    let socket = std::os::unix::net::UnixDatagram::from(socket);
    socket.connect_addr(&address(path)?)?;
    SockRef::from(&socket).bind(&SockAddr::unix("")?)?;
    Ok(Transport::UnixDatagram(UnixDatagram::from_std(socket)))
}
