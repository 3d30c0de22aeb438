//! What the reactor asks of the operating system, as a trait: the loop and all that it decides run
//! over a made-up one in `tests/`, too.

use std::io::{ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use mio::Token;

use super::slots::Key;
use crate::net::{Channel, Readiness};
use crate::offload::Workers;
use crate::proto::client_addr::ClientAddr;
use crate::worker::Message;

/// The event source of signals.
pub const SIGNALS: Token = Token(usize::MAX);
/// The event source of what came back from the offload.
pub const OFFLOAD: Token = Token(usize::MAX - 1);
/// The event source of what other workers say.
pub const OTHERS: Token = Token(usize::MAX - 2);
/// An event: which source, and what is said of it.
pub type Event = (Token, Readiness);

/// What the process has of the system; zero where that does not say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Bytes of memory.
    pub resident: u64,
    /// Descriptors that are open.
    pub descriptors: u64,
    /// How many may be.
    pub most_descriptors: u64,
}

/// A signal that the daemon heeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGHUP
    Hangup,
    /// SIGINT
    Interrupt,
    /// SIGTERM
    Terminate,
    /// SIGUSR2
    Upgrade,
}

/// The operating system, or one that a test made up. Nothing here blocks but [`System::wait`].
pub trait System {
    /// A listening socket.
    type Listener;
    /// A client's socket, or a peer's.
    type Transport: Channel;
    /// Who does what may block; that something came back is an event of
    /// [`OFFLOAD`].
    type Workers: Workers<Key>;
    /// Room for the events of one wait.
    type Events;

    /// Room for events.
    fn events(&self) -> Self::Events;

    /// The clock.
    fn now(&mut self) -> Instant;

    /// Waits for events, as long as `timeout` says, and puts them in the place of those before.
    ///
    /// # Errors
    /// An interruption, or the failure of the poll itself.
    fn wait(&mut self, timeout: Option<Duration>, events: &mut Self::Events) -> Result<()>;

    /// What a wait brought.
    fn iter(events: &Self::Events) -> impl Iterator<Item = Event>;

    /// The next signal that came; that one came is an event of [`SIGNALS`].
    fn next_signal(&mut self) -> Option<Signal>;

    /// A session has ended, or what waited for one of its sides was taken: there may be memory that
    /// nobody needs.
    fn freed(&mut self) {}

    /// The daemon takes no more clients, and ends with the sessions that are left.
    fn drains(&mut self) {}

    /// Says something to another worker, or to their supervisor, as far as that goes at once: who gets
    /// no answer asks again.
    fn tell_other(&mut self, message: &Message) {
        _ = message;
    }

    /// The next thing that another worker says; that one does is an event of [`OTHERS`].
    fn hear_other(&mut self) -> Option<Message> {
        None
    }

    /// What the process has of the system.
    fn usage(&self) -> Usage {
        Usage::default()
    }

    /// The certificates that clients are shown, and when each ends, seconds from 1970.
    fn certificates(&self) -> &[(String, u64)] {
        &[]
    }

    /// Watches a listening socket, whose events are `token`'s.
    ///
    /// # Errors
    /// The poll takes no more.
    fn watch_listener(&mut self, listener: &mut Self::Listener, token: Token) -> Result<()>;

    /// Accepts a client.
    ///
    /// # Errors
    /// Those of accept(2).
    fn accept(&mut self, listener: &Self::Listener) -> Result<(Self::Transport, ClientAddr)>;

    /// Closes a listening socket.
    fn stop_listening(&mut self, listener: Self::Listener);

    /// Watches a socket for all that there is to know, edge-triggered.
    ///
    /// # Errors
    /// The poll takes no more.
    fn watch(&mut self, transport: &mut Self::Transport, token: Token) -> Result<()>;

    /// Begins to connect to a TCP server, from this address of ours or any.
    ///
    /// # Errors
    /// Those of socket(2), bind(2) and connect(2).
    fn connect_tcp(
        &mut self,
        address: SocketAddr,
        source: Option<IpAddr>,
    ) -> Result<Self::Transport>;

    /// TLS with the client behind `transport`.
    ///
    /// # Errors
    /// There is no TLS.
    fn secure_client(&mut self, transport: &mut Self::Transport) -> Result<()> {
        _ = transport;
        Err(ErrorKind::Unsupported.into())
    }

    /// TLS with the peer behind `transport`, which is to be `host`; the handshake has begun.
    ///
    /// # Errors
    /// There is no TLS, no certificate can be for this host, or the peer is gone.
    fn secure_peer(&mut self, transport: Self::Transport, host: &str) -> Result<Self::Transport> {
        _ = (transport, host);
        Err(ErrorKind::Unsupported.into())
    }

    /// A UDP socket that is connected to `address`, from this address of ours or any.
    ///
    /// # Errors
    /// Those of socket(2), bind(2) and connect(2).
    fn connect_udp(
        &mut self,
        address: SocketAddr,
        source: Option<IpAddr>,
    ) -> Result<Self::Transport>;

    /// Connects to a Unix stream socket.
    ///
    /// # Errors
    /// Those of socket(2) and connect(2): a full backlog is `WouldBlock`.
    fn connect_unix(&mut self, path: &Path) -> Result<Self::Transport>;

    /// A Unix datagram socket that is connected to the one at `path`, and can be answered.
    ///
    /// # Errors
    /// Those of socket(2), bind(2) and connect(2).
    fn connect_unix_datagram(&mut self, path: &Path) -> Result<Self::Transport>;

    /// Opens a FIFO, to write or to read.
    ///
    /// # Errors
    /// Those of open(2), or it is no FIFO.
    fn open_fifo(&mut self, path: &Path, write: bool) -> Result<Self::Transport>;
}
