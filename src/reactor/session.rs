//! A connection and its sockets.

use std::fmt;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mio::Token;

use super::context::Context;
use super::dial::{self, Race};
use super::line::Arrival;
use super::listen::service::Service;
use super::listen::{Entrance, Place};
use super::slots::Key;
use super::system::System;
use super::tally::Tally;
use super::timer_wheel::Tick;
use crate::backend::Target;
use crate::conn::pump::Pump;
use crate::conn::socket::{Endpoint, Ready};
use crate::conn::{Connection, Scratch, Side};
use crate::logging::Escaped;
use crate::net::{Channel, Readiness};
use crate::offload::{self, Instance, Ticket};
use crate::proto::client_addr::{Address, ClientAddr};

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
pub(super) enum PeerState<T> {
    None,
    /// A TCP peer whose addresses are tried.
    Racing(Box<Race<T>>),
    /// A name that is looked up.
    Resolving(offload::Place),
    /// A Unix socket that is full.
    Queued(dial::Place),
    /// A peer that is connected, and has something before its first byte.
    Preparing(T, usize),
    /// The peer, and which of the session's sockets it is.
    Connected(T, usize),
}

/// What follows from a session's turn.
pub(super) enum Next {
    /// An event or a deadline brings the next one.
    Wait,
    /// There is more to do at once.
    Again,
    /// It is over.
    Close,
}

/// Who is it? Boxed, since few are asked.
pub(super) struct User(pub(super) String);

/// What is known of a client that comes by a proxy. Boxed, since few do.
pub(super) struct Proxied {
    /// The proxy's end of the connection.
    pub(super) proxy: ClientAddr,
    /// Whose connection it is, whatever its requests say.
    pub(super) whose: ClientAddr,
    /// The number of the request that said who the client is.
    pub(super) request: u32,
    /// What has come of the PROXY header, while more is to come.
    pub(super) header: Option<Vec<u8>>,
    /// The PROXY header says that this is nobody's connection but the proxy's.
    pub(super) is_local: bool,
    /// Where the client found the proxy.
    pub(super) destination: Option<Address>,
}

/// What a session has of a file that is sent.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) file: Option<Arc<File>>,
    /// The beginning of the content, which was read when it was opened.
    pub(super) ahead: Option<Vec<u8>>,
    /// What is done with it now.
    pub(super) job: Option<Ticket>,
}

/// What the offload does for a session.
pub(super) enum Job {
    /// Its password is looked at.
    Verification(Ticket),
    /// The back end is asked.
    Query(Ticket),
}

pub(super) struct Session<S: System> {
    pub(super) key: Key,
    pub(super) connection: Connection,
    pub(super) client: S::Transport,
    /// Who it is, or the proxy that it comes by while that is not known.
    pub(super) address: ClientAddr,
    /// What is known of a client that comes by a proxy.
    pub(super) proxied: Option<Box<Proxied>>,
    /// The listener that it came in by.
    pub(super) entrance: Rc<Entrance>,
    /// What it is served by, until its peer is named.
    pub(super) service: Option<Rc<Service>>,
    pub(super) peer: PeerState<S::Transport>,
    pub(super) target: Option<Box<Target>>,
    /// Whether the operator wrote the target, no plug-in chose it; and of which back end it is then.
    pub(super) of_operator: bool,
    pub(super) asked_of: Instance,
    pub(super) client_ready: Ready,
    peer_ready: Ready,
    /// The wheel's entry that counts, zero for none.
    pub(super) entered: Tick,
    /// Whether it is in the list of those that have more to do.
    pub(super) listed: bool,
    /// Who it is, if that was asked.
    pub(super) user: Option<Box<User>>,
    /// What is done for it elsewhere.
    pub(super) job: Option<Job>,
    /// The file that is sent to it; boxed, since few ask for one.
    pub(super) stored: Option<Box<Stored>>,
    /// Whether its start is in the log.
    pub(super) announced: bool,
    /// When it was accepted, or its start announced.
    pub(super) since: Instant,
    /// What is counted of it.
    pub(super) tally: Tally,
    /// Whether the kernel probes the peer.
    pub(super) probed: bool,
    /// What it was told of a handshake waits for its turn in the line.
    pub(super) postponed: bool,
    /// Its place in that line.
    pub(super) in_line: Option<Arrival>,
    /// Its place in the order of those whose request head is not complete.
    pub(super) unfinished: Option<Arrival>,
    /// Its place in the order of those that are inside a compressed message.
    pub(super) inside: Option<Arrival>,
    /// Its place in the order of those that wait until fewer are.
    pub(super) held_back: Option<Arrival>,
    /// Whether it has waited for that, and the next turn is its own.
    pub(super) called: bool,
    /// What it holds of the limits; those that are only told to go hold nothing.
    pub(super) place: Option<Place>,
}

impl<S: System> Session<S> {
    pub(super) fn new(
        key: Key,
        connection: Connection,
        (client, address): (S::Transport, ClientAddr),
        (entrance, service): (Rc<Entrance>, Rc<Service>),
        place: Option<Place>,
        now: Instant,
    ) -> Self {
        let reads_in_pieces = client.reads_in_pieces();
        Self {
            key,
            connection,
            client,
            address,
            proxied: None,
            entrance,
            service: Some(service),
            peer: PeerState::None,
            target: None,
            of_operator: false,
            asked_of: Instance::default(),
            // A fresh socket takes a write; what there is to read, its first event says.
            client_ready: Ready { writable: true, reads_in_pieces, ..Ready::default() },
            peer_ready: Ready::default(),
            entered: 0,
            listed: false,
            user: None,
            job: None,
            stored: None,
            announced: false,
            since: now,
            tally: Tally::new(now),
            probed: false,
            postponed: false,
            in_line: None,
            unfinished: None,
            inside: None,
            held_back: None,
            called: false,
            place,
        }
    }

    /// Whether its client may have sent what was not read yet.
    pub(super) fn may_have_sent(&self) -> bool {
        self.client_ready.readable
    }

    /// One turn, and what follows from it.
    pub(super) fn turn(&mut self, context: &mut Context<S>) -> Next {
        if self.awaits_header()
            && let Some(next) = self.hear_header(context)
        {
            return next;
        }
        if self.client_ready.readable {
            self.postpone();
        }
        self.turn_now(context)
    }

    /// The same, in which its handshake goes on, too.
    pub(super) fn turn_now(&mut self, context: &mut Context<S>) -> Next {
        let waited = self.holds_something();
        let mut again = self.pump(context);
        while let (false, Some(action)) =
            (self.connection.finished(), self.connection.take_action())
        {
            self.act(action, context);
            again = self.pump(context);
        }
        self.forget_former_client();
        if self.connection.finished() {
            return Next::Close;
        }
        if !self.connection.is_responding() {
            self.stop_reading(context);
        }
        self.count_turn(context);
        if waited && !self.holds_something() {
            context.system.freed();
        }
        if self.connection.ending().is_some() {
            self.stop_reaching(context);
            self.service = None;
        }
        self.enter_deadline(context);
        if again { Next::Again } else { Next::Wait }
    }

    /// Whether bytes wait for one of its sides.
    fn holds_something(&self) -> bool {
        [Side::Client, Side::Peer].into_iter().any(|side| self.connection.waiting(side).is_some())
    }

    /// The turn after an event of one of its sockets.
    pub(super) fn event(
        &mut self,
        socket: usize,
        readiness: Readiness,
        context: &mut Context<S>,
    ) -> Next {
        if socket != CLIENT {
            self.race_event(socket, readiness, context);
        }
        self.note(socket, readiness);
        if socket != CLIENT {
            self.postpone_peers(socket);
        }
        self.turn(context)
    }

    /// The turn in which the daemon ends.
    pub(super) fn shut_down(&mut self, is_restart: bool, context: &mut Context<S>) -> Next {
        if self.awaits_header() {
            return Next::Close;
        }
        if !self.is_admin() {
            match is_restart {
                true => self.connection.end_for_restart(&mut context.scratch),
                false => self.connection.shut_down(&mut context.scratch),
            }
        }
        self.turn(context)
    }

    /// Takes what the client sends for there, since no event will say so.
    pub(super) fn take_for_ready(&mut self) {
        self.client_ready.readable = true;
    }

    /// Remembers what an event says of the client or the connected peer. Attempts to reach the
    /// peer that were lost have events too, and nothing of them is true of the one that won.
    fn note(&mut self, socket: usize, readiness: Readiness) {
        match self.peer {
            _ if socket == CLIENT => readiness.note(&mut self.client_ready),
            PeerState::Preparing(_, peer) | PeerState::Connected(_, peer) if peer == socket => {
                readiness.note(&mut self.peer_ready);
            }
            _ => {}
        }
    }

    /// The connection and its sockets, for a turn.
    pub(super) fn with<'a>(&'a mut self, scratch: &'a mut Scratch) -> Pump<'a, S::Transport> {
        let peer = match &mut self.peer {
            PeerState::Connected(socket, _) => {
                Some(Endpoint { socket, ready: &mut self.peer_ready })
            }
            PeerState::None
            | PeerState::Racing(_)
            | PeerState::Resolving(_)
            | PeerState::Queued(_)
            | PeerState::Preparing(..) => None,
        };
        let client = Endpoint { socket: &mut self.client, ready: &mut self.client_ready };
        Pump { connection: &mut self.connection, client, peer, scratch }
    }

    /// Carries bytes once; returns whether there is more to do at once.
    fn pump(&mut self, context: &mut Context<S>) -> bool {
        let again = self.with(&mut context.scratch).turn();
        if self.client_ready.hung_up {
            self.connection.hung_up();
        }
        again
    }

    /// The peer behind `transport` is there; its events are those of `socket`.
    pub(super) fn set_peer(&mut self, transport: S::Transport, socket: usize) {
        let reads_in_pieces = transport.reads_in_pieces();
        self.peer_ready = Ready { writable: true, reads_in_pieces, ..Ready::default() };
        self.peer = PeerState::Connected(transport, socket);
    }

    /// The same of a peer that had something before its first byte: what its events said meanwhile
    /// stands, and it may have sent more than was asked for.
    pub(super) fn set_prepared(&mut self, link: S::Transport, socket: usize) {
        (self.peer_ready.readable, self.peer_ready.writable) = (true, true);
        self.peer = PeerState::Connected(link, socket);
    }
}

impl<S: System> fmt::Display for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if let Some(user) = &self.user {
            write!(f, " ({})", Escaped(&user.0))?;
        }
        match &self.target {
            Some(target) => write!(f, " -> {target}"),
            None => Ok(()),
        }
    }
}
