//! The sockets behind a connection, for [`pump`](crate::conn::pump::pump).

use std::fs::File;
use std::io::{Error, ErrorKind, IoSlice, Read, Result, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;

use mio::event::Source;
use mio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::conn::pump::{DATAGRAM_TOO_BIG, Socket};

/// The peer's end.
pub(super) enum Peer {
    Tcp(TcpStream),
    Unix(UnixStream),
    Udp(UdpSocket),
    UnixDatagram(UnixDatagram),
    /// One end of a FIFO; closed to end the stream, as it has no half-close.
    Fifo(Option<File>),
}

impl Peer {
    /// Registers for all there is to know, once: readiness is remembered, never asked for again.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(socket) => socket.register(registry, token, both),
            Self::Unix(socket) => socket.register(registry, token, both),
            Self::Udp(socket) => socket.register(registry, token, both),
            Self::UnixDatagram(socket) => socket.register(registry, token, both),
            Self::Fifo(Some(file)) => SourceFd(&file.as_raw_fd()).register(registry, token, both),
            Self::Fifo(None) => Ok(()),
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

fn not_a_datagram_socket() -> Error {
    Error::from(ErrorKind::Unsupported)
}

/// EMSGSIZE has no stable [`ErrorKind`].
fn datagram_error(error: Error) -> Error {
    if error.raw_os_error() == Some(libc::EMSGSIZE) { DATAGRAM_TOO_BIG.into() } else { error }
}

impl Socket for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        Read::read(self, buffer)
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> Result<usize> {
        write_parts(self, parts)
    }

    fn send(&mut self, _: &[u8]) -> Result<()> {
        Err(not_a_datagram_socket())
    }

    fn shutdown(&mut self) -> Result<()> {
        TcpStream::shutdown(self, Shutdown::Write)
    }
}

impl Socket for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Tcp(socket) => Read::read(socket, buffer),
            Self::Unix(socket) => Read::read(socket, buffer),
            Self::Udp(socket) => socket.recv(buffer),
            Self::UnixDatagram(socket) => socket.recv(buffer),
            Self::Fifo(Some(file)) => file.read(buffer),
            Self::Fifo(None) => Ok(0),
        }
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> Result<usize> {
        match self {
            Self::Tcp(socket) => write_parts(socket, parts),
            Self::Unix(socket) => write_parts(socket, parts),
            Self::Fifo(Some(file)) => write_parts(file, parts),
            Self::Fifo(None) => Err(ErrorKind::BrokenPipe.into()),
            Self::Udp(_) | Self::UnixDatagram(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    fn send(&mut self, datagram: &[u8]) -> Result<()> {
        let sent = match self {
            Self::Udp(socket) => socket.send(datagram),
            Self::UnixDatagram(socket) => socket.send(datagram),
            _ => return Err(not_a_datagram_socket()),
        };
        sent.map(drop).map_err(datagram_error)
    }

    fn shutdown(&mut self) -> Result<()> {
        match self {
            Self::Tcp(socket) => TcpStream::shutdown(socket, Shutdown::Write),
            Self::Unix(socket) => socket.shutdown(Shutdown::Write),
            Self::Fifo(file) => {
                *file = None;
                Ok(())
            }
            // A datagram socket has no end to send.
            Self::Udp(_) | Self::UnixDatagram(_) => Ok(()),
        }
    }
}
