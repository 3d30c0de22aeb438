//! A listening socket, whatever its kind, and its clients' sockets.

use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use nix::sys::stat::fstat;
use socket2::SockRef;

use super::tcp;
use super::unix::Bound;
use crate::logging::Escaped;
use crate::net::Transport;
use crate::proto::client_addr::{Address, ClientAddr};

/// Where clients are accepted.
pub(in crate::reactor) enum ListeningSocket {
    Tcp(TcpListener),
    /// A Unix socket, and its file if that is ours to remove.
    Unix(UnixListener, Option<Bound>),
}

impl ListeningSocket {
    /// Accepts a client.
    ///
    /// # Errors
    /// Those of accept(2).
    pub(in crate::reactor) fn accept(&self) -> Result<(Transport, ClientAddr)> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().map(|(client, address)| (Transport::Tcp(client), address.into()))
            }
            Self::Unix(listener, _) => listener
                .accept()
                .map(|(client, _)| (Transport::unix(client), ClientAddr::new(Address::Unix))),
        }
    }

    /// Where it listens, as the log says it.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub(super) fn place(&self) -> Result<String> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(|address| address.to_string()),
            Self::Unix(_, Some(file)) => Ok(file.to_string()),
            Self::Unix(listener, None) => listener.local_addr().map(|address| {
                let path = address.as_pathname().map(|path| path.as_os_str().as_encoded_bytes());
                format!("unix:{}", Escaped(path.unwrap_or_default()))
            }),
        }
    }

    /// The address of a TCP socket.
    ///
    /// # Errors
    /// Those of getsockname(2), or it is another kind of socket.
    pub(super) fn local_address(&self) -> Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Unix(..) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// The number that the kernel gave it.
    pub(super) fn inode(&self) -> Result<u64> {
        match self {
            Self::Tcp(listener) => inode(listener),
            Self::Unix(listener, _) => inode(listener),
        }
    }

    /// Device and inode of the file, if that is ours.
    pub(super) fn file(&self) -> Option<(u64, u64)> {
        match self {
            Self::Unix(_, file) => file.as_ref().map(Bound::identity),
            Self::Tcp(_) => None,
        }
    }

    /// Has the kernel probe clients that are accepted from now on after so long.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub(in crate::reactor) fn set_probe(&self, probe: Duration) -> Result<()> {
        match self {
            Self::Tcp(listener) => tcp::prepare(&SockRef::from(listener), probe),
            Self::Unix(..) => Ok(()),
        }
    }

    /// Reports clients that wait as events of `token`.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub(in crate::reactor) fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        match self {
            Self::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Self::Unix(listener, _) => registry.register(listener, token, Interest::READABLE),
        }
    }
}

/// The number of a socket, the same in all processes that have it.
///
/// # Errors
/// Those of fstat(2).
pub(super) fn inode(socket: impl AsFd) -> Result<u64> {
    Ok(fstat(socket)?.st_ino)
}
