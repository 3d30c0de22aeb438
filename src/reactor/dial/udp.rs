//! UDP peers.

use std::io::{self, Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

use super::sources::bind;
use crate::net::Transport;

/// The most datagrams of strangers that are thrown away: more than a socket's buffer holds.
const STRANGERS: usize = 4096;
/// Sockets in a row that are connected to themselves. The kernel chooses their ports by chance, so
/// that one is rare already.
const SELVES: usize = 8;

/// A UDP socket connected to `address`, from `source`.
pub(in crate::reactor) fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
) -> io::Result<Transport> {
    let mut selves = Vec::new();
    for _ in 0..SELVES {
        let socket = connected(address, source)?;
        if socket.local_addr()? != socket.peer_addr()? {
            forget_strangers(&socket)?;
            return Ok(Transport::Udp(socket));
        }
        // Nobody has the peer's port, so the kernel chose it for us, and what the client says would
        // come back to it. While we have it, the next one gets another.
        selves.push(socket);
    }
    Err(Error::new(ErrorKind::AddrInUse, "the peer's is the only port left"))
}

fn connected(address: SocketAddr, source: Option<IpAddr>) -> io::Result<UdpSocket> {
    let kind = Type::DGRAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    // Else the kernel refuses a broadcast address (udp(7)); to all others it means nothing.
    socket.set_broadcast(true)?;
    if let Some(source) = source {
        bind(&socket, address, source)?;
    }
    // Before that it has no port, at which strangers could reach it.
    socket.connect(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// The kernel gives it a port a moment before it knows whom to hear. What comes in that moment is
/// nobody's: the peer has not been told of the port yet.
fn forget_strangers(socket: &UdpSocket) -> io::Result<()> {
    for _ in 0..STRANGERS {
        match socket.recv(&mut []) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
