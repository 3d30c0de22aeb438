//! A connection and its sockets.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use log::info;
use mio::Token;
use mio::event::Event;

use super::dial::Race;
use super::sessions::Key;
use super::timer_wheel::Tick;
use crate::backend::Target;
use crate::conn::pump::Pump;
use crate::conn::socket::{Endpoint, Ready};
use crate::conn::{Connection, Scratch, Side};
use crate::net::Transport;
use crate::offload::Ticket;

/// Bits of a token that say which socket of a session it is: the client, or the attempt to reach
/// the peer that won.
const SOCKET_BITS: u32 = 3;
/// The client's socket; the peer's are 1 and up.
pub(super) const CLIENT: usize = 0;

/// A session's socket as an event source.
pub(super) fn token(key: Key, socket: usize) -> Token {
    let high = u64::from(key.generation) << 32 | u64::from(key.index) << SOCKET_BITS;
    Token(high as usize | socket)
}

/// The session and socket of a token.
pub(super) fn parse(token: Token) -> (Key, usize) {
    let bits = token.0 as u64;
    let index = (bits & u64::from(u32::MAX)) as u32 >> SOCKET_BITS;
    let socket = token.0 & ((1 << SOCKET_BITS) - 1);
    (Key { index, generation: (bits >> 32) as u32 }, socket)
}

/// How the peer stands.
pub(super) enum PeerState {
    None,
    /// A TCP peer whose addresses are tried.
    Racing(Box<Race>),
    /// A name that is looked up, or a Unix socket that is full, until the time given.
    Waiting(Option<Instant>),
    /// The peer, and which of the session's sockets it is.
    Connected(Transport, usize),
}

pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) client: Transport,
    pub(super) address: SocketAddr,
    pub(super) peer: PeerState,
    pub(super) target: Option<Box<Target>>,
    pub(super) client_ready: Ready,
    pub(super) peer_ready: Ready,
    /// The wheel's entry that counts, zero for none.
    pub(super) entered: Tick,
    /// Whether it is in the list of those that have more to do.
    pub(super) listed: bool,
    /// The query that a lane makes for it.
    pub(super) query: Option<Ticket>,
    pub(super) announced: bool,
    /// Whether it counts against the limits.
    pub(super) admitted: bool,
}

impl Session {
    pub(super) fn new(connection: Connection, client: Transport, address: SocketAddr) -> Self {
        Self {
            connection,
            client,
            address,
            peer: PeerState::None,
            target: None,
            // A fresh socket takes a write; what there is to read, its first event says.
            client_ready: Ready { writable: true, ..Ready::default() },
            peer_ready: Ready::default(),
            entered: 0,
            listed: false,
            query: None,
            announced: false,
            admitted: false,
        }
    }

    /// Remembers what an event says of the client or the connected peer. Attempts to reach the
    /// peer that were lost have events too, and nothing of them is true of the one that won.
    pub(super) fn note(&mut self, socket: usize, event: &Event) {
        let ready = match self.peer {
            _ if socket == CLIENT => &mut self.client_ready,
            PeerState::Connected(_, peer) if peer == socket => &mut self.peer_ready,
            _ => return,
        };
        ready.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        ready.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        ready.hung_up |= event.is_read_closed() || event.is_error();
        ready.failed |= event.is_error();
        ready.reads_in_pieces |= event.is_priority();
    }

    /// The connection and its sockets, for a turn.
    fn with<'a>(&'a mut self, scratch: &'a mut Scratch) -> Pump<'a, Transport> {
        let peer = match &mut self.peer {
            PeerState::Connected(socket, _) => {
                Some(Endpoint { socket, ready: &mut self.peer_ready })
            }
            PeerState::None | PeerState::Racing(_) | PeerState::Waiting(_) => None,
        };
        let client = Endpoint { socket: &mut self.client, ready: &mut self.client_ready };
        Pump { connection: &mut self.connection, client, peer, scratch }
    }

    /// One turn; returns whether there is more to do at once.
    pub(super) fn pump(&mut self, scratch: &mut Scratch) -> bool {
        let again = self.with(scratch).turn();
        if self.client_ready.hung_up {
            self.connection.hung_up();
        }
        again
    }

    /// A deadline of the connection's has come.
    pub(super) fn judge(&mut self, scratch: &mut Scratch) {
        self.with(scratch).deadline();
    }

    /// The peer behind `link` is there; its events are those of `socket`.
    pub(super) fn set_peer(&mut self, link: Transport, socket: usize) {
        let reads_in_pieces = link.reads_in_pieces();
        self.peer_ready = Ready { writable: true, reads_in_pieces, ..Ready::default() };
        self.peer = PeerState::Connected(link, socket);
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let dial = match &self.peer {
            PeerState::Racing(race) => race.next_at,
            PeerState::Waiting(until) => *until,
            _ => None,
        };
        [self.connection.deadline(), dial].into_iter().flatten().min()
    }

    /// The start of a bridged session, one line.
    pub(super) fn log_start(&mut self) {
        self.announced = true;
        info!("{self}: started");
    }

    /// Its end, or why it was refused, one line.
    pub(super) fn log_end(&self) {
        let Some(ending) = self.connection.ending() else { return };
        match (self.announced, ending.status()) {
            (true, _) => {
                let from_client = self.connection.received_bytes(Side::Client);
                let from_peer = self.connection.received_bytes(Side::Peer);
                info!("{self}: ended: {ending}; {from_client} bytes in, {from_peer} bytes out");
            }
            (false, Some(status)) => info!("{self}: refused with {}: {ending}", status.code()),
            (false, None) => info!("{self}: {ending}"),
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = SocketAddr::new(self.address.ip().to_canonical(), self.address.port());
        match &self.target {
            Some(target) => write!(f, "{client} -> {target}"),
            None => write!(f, "{client}"),
        }
    }
}
