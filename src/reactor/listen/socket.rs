//! A listening socket, whatever its kind, and its clients' sockets.

use std::io::Result;

use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};

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
