//! The sockets behind a connection, for [`pump`](crate::conn::pump::pump).

use std::fs::File;
use std::io::{Error, ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::channel::Channel;
use super::liveness;
use super::pieces::Pieces;
#[cfg(feature = "tls")]
use super::tls::Layer;
use super::unacked::{unacknowledged, unread};
use crate::conn::socket::{DATAGRAM_TOO_BIG, Socket};
#[cfg(feature = "tls")]
use crate::proto::client_tls::ClientTls;

/// All there is to know of a socket, once: readiness is remembered, never asked for again.
const ALL: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

/// One end of a connection, as the pump sees it.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream, Pieces),
    Udp(UdpSocket),
    UnixDatagram(UnixDatagram),
    FifoTx(File),
    FifoRx(File),
    /// Over one of the streams above.
    #[cfg(feature = "tls")]
    Tls(Box<Layer<Transport>>),
    Closed,
}

impl Transport {
    /// A Unix socket that is connected, or will be.
    pub(crate) fn unix(socket: UnixStream) -> Self {
        Self::Unix(socket, Pieces::new())
    }

    /// Registers it for [`ALL`].
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        match self {
            Self::Tcp(socket) => socket.register(registry, token, ALL),
            Self::Unix(socket, _) => socket.register(registry, token, ALL),
            Self::Udp(socket) => socket.register(registry, token, ALL),
            Self::UnixDatagram(socket) => socket.register(registry, token, ALL),
            Self::FifoTx(file) | Self::FifoRx(file) => {
                SourceFd(&file.as_raw_fd()).register(registry, token, ALL)
            }
            #[cfg(feature = "tls")]
            Self::Tls(layer) => layer.socket_mut().register(registry, token),
            Self::Closed => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// The stream below TLS, or itself.
    fn below(&self) -> &Self {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(layer) => layer.socket(),
            other => other,
        }
    }
}

impl Channel for Transport {
    /// A read stops where a descriptor was passed along (unix(7)), and behind each write into a
    /// FIFO in packet mode (pipe(2)). TCP does so at urgent data only, which has an event of its
    /// own.
    fn reads_in_pieces(&self) -> bool {
        matches!(self.below(), Self::Unix(..) | Self::FifoRx(_))
    }

    #[cfg(feature = "tls")]
    fn prepare(&mut self) -> Option<Result<()>> {
        match self {
            Self::Tls(layer) => layer.handshake(),
            _ => Some(Ok(())),
        }
    }

    #[cfg(feature = "tls")]
    fn tls_version(&self) -> Option<&'static str> {
        match self {
            Self::Tls(layer) => layer.version(),
            _ => None,
        }
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Option<ClientTls> {
        match self {
            Self::Tls(layer) => layer.facts(),
            _ => None,
        }
    }

    #[cfg(feature = "tls")]
    fn understands(&self) -> bool {
        match self {
            Self::Tls(layer) => layer.is_open(),
            _ => true,
        }
    }

    #[cfg(feature = "tls")]
    fn remark(&self) -> Option<&str> {
        match self {
            Self::Tls(layer) => layer.remark(),
            _ => None,
        }
    }

    fn connect_outcome(&self) -> Option<Result<()>> {
        let Self::Tcp(socket) = self else { return Some(Ok(())) };
        match (socket.take_error(), socket.peer_addr()) {
            (Ok(None), Ok(_)) => Some(Ok(())),
            (Ok(None), Err(error)) if error.kind() == ErrorKind::NotConnected => None,
            (Ok(Some(error)), _) | (Err(error), _) | (Ok(None), Err(error)) => Some(Err(error)),
        }
    }

    /// One that has met itself is reset, so that the port is free at once for whom it belongs to.
    fn has_met_another(&self, address: SocketAddr) -> Result<()> {
        let Self::Tcp(socket) = self else { return Ok(()) };
        let near = socket.local_addr()?;
        let same_host = near.ip() == address.ip() || address.ip().is_unspecified();
        if near.port() != address.port() || !same_host {
            return Ok(());
        }
        SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
        Err(Error::new(ErrorKind::ConnectionRefused, "nobody is there but the connection itself"))
    }

    fn set_nodelay(&self) -> Result<()> {
        match self.below() {
            Self::Tcp(socket) => socket.set_nodelay(true),
            _ => Ok(()),
        }
    }

    /// Of TCP alone: the others are on this machine, or without a connection.
    fn keep_alive(&self, interval: Duration) -> Result<()> {
        match self.below() {
            Self::Tcp(socket) => liveness::keep_alive(&SockRef::from(socket), interval),
            _ => Ok(()),
        }
    }

    fn local_address(&self) -> Option<SocketAddr> {
        match self.below() {
            Self::Tcp(socket) => socket.local_addr().ok(),
            _ => None,
        }
    }

    /// Of a client's: TCP, or Unix; below TLS, good for questions and no more.
    fn duplicate(&self) -> Result<OwnedFd> {
        match self.below() {
            Self::Tcp(socket) => socket.as_fd().try_clone_to_owned(),
            Self::Unix(socket, _) => socket.as_fd().try_clone_to_owned(),
            _ => Err(ErrorKind::Unsupported.into()),
        }
    }
}

impl Socket for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket, _) => socket.read(buffer),
            // An ICMP message about the path says that an earlier datagram was too long for it; the
            // kernel cuts the later ones up.
            Self::Udp(socket) => match socket.recv(buffer).map_err(datagram_error) {
                Err(error) if error.kind() == DATAGRAM_TOO_BIG => socket.recv(buffer),
                result => result,
            },
            Self::UnixDatagram(socket) => socket.recv(buffer),
            Self::FifoRx(file) => file.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(layer) => layer.read(buffer),
            // All there is to learn of a FIFO's readers is that the last one left.
            Self::FifoTx(_) | Self::Closed => Ok(0),
        }
    }

    fn write(&mut self, parts: &[IoSlice<'_>], last: bool) -> Result<usize> {
        match self {
            Self::Tcp(socket) if last => write_last(socket, parts),
            Self::Tcp(socket) => write_parts(socket, parts),
            Self::Unix(socket, pieces) => pieces.write(socket, parts),
            Self::FifoTx(file) => write_parts(file, parts),
            #[cfg(feature = "tls")]
            Self::Tls(layer) => layer.write(parts, last),
            Self::FifoRx(_) | Self::Udp(_) | Self::UnixDatagram(_) => {
                Err(ErrorKind::Unsupported.into())
            }
            Self::Closed => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn send(&mut self, datagram: &[u8]) -> Result<()> {
        let sent = match self {
            Self::Udp(socket) => socket.send(datagram),
            Self::UnixDatagram(socket) => socket.send(datagram),
            _ => return Err(ErrorKind::Unsupported.into()),
        };
        sent.map(drop).map_err(datagram_error)
    }

    #[cfg(feature = "tls")]
    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Tls(layer) => layer.flush(),
            _ => Ok(()),
        }
    }

    #[cfg(feature = "tls")]
    fn unflushed(&self) -> usize {
        match self {
            Self::Tls(layer) => layer.unflushed(),
            _ => 0,
        }
    }

    #[cfg(feature = "tls")]
    fn holds_more(&self) -> bool {
        match self {
            Self::Tls(layer) => layer.holds_more(),
            _ => false,
        }
    }

    fn shutdown(&mut self) -> Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Self::Unix(socket, _) => socket.shutdown(Shutdown::Write),
            #[cfg(feature = "tls")]
            Self::Tls(layer) => layer.shutdown(),
            // A FIFO has no half-close, and a datagram socket no end to send.
            _ => {
                self.close();
                Ok(())
            }
        }
    }

    /// What TLS has to remark is still asked for.
    fn close(&mut self) {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(layer) => layer.close(),
            _ => *self = Self::Closed,
        }
    }

    fn reads_unasked(&self) -> bool {
        !matches!(self.below(), Self::FifoTx(_) | Self::FifoRx(_))
    }

    /// Of TCP alone: the others deliver what was written whatever happens.
    fn unacknowledged(&self) -> usize {
        match self {
            Self::Tcp(socket) => unacknowledged(socket),
            #[cfg(feature = "tls")]
            Self::Tls(layer) => layer.unacknowledged(),
            Self::Unix(..) | Self::Udp(_) | Self::UnixDatagram(_) => 0,
            Self::FifoTx(_) | Self::FifoRx(_) | Self::Closed => 0,
        }
    }

    fn unread(&self) -> usize {
        match self {
            Self::FifoTx(file) => unread(file),
            #[cfg(feature = "tls")]
            Self::Tls(_) => 0,
            Self::Tcp(_) | Self::Unix(..) | Self::Udp(_) | Self::UnixDatagram(_) => 0,
            Self::FifoRx(_) | Self::Closed => 0,
        }
    }
}

/// One part goes without a vector: the kernel takes it the shorter way.
fn write_parts(socket: &mut impl Write, parts: &[IoSlice<'_>]) -> Result<usize> {
    match parts {
        [part] => socket.write(part),
        parts => socket.write_vectored(parts),
    }
}

/// MSG_MORE (send(2)): the segment waits for the FIN, which then needs none of its own, and the
/// other end is woken once.
fn write_last(socket: &TcpStream, parts: &[IoSlice<'_>]) -> Result<usize> {
    SockRef::from(socket).send_vectored_with_flags(parts, libc::MSG_MORE | libc::MSG_NOSIGNAL)
}

/// EMSGSIZE has no stable [`ErrorKind`].
fn datagram_error(error: Error) -> Error {
    if error.raw_os_error() == Some(libc::EMSGSIZE) { DATAGRAM_TOO_BIG.into() } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tcp_peers_small_messages_are_not_delayed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let transport = Transport::Tcp(socket);
        transport.set_nodelay().unwrap();
        let Transport::Tcp(socket) = transport else { unreachable!() };
        assert!(socket.nodelay().unwrap());
    }
}
