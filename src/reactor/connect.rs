//! From a handshake to a connected peer: back end, name, addresses.

use std::io;
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::TcpStream;

use super::Reactor;
use super::dial::{self, Begun, Race, Standing};
use super::session::{self, PeerState};
use super::sessions::Key;
use crate::backend::{Answer, QueryError, Request, Target};
use crate::conn::Action;
use crate::net::limits::is_exhaustion;
use crate::net::{ALL, Transport};
use crate::offload::{Done, LookedUp};
use crate::proto::handshake::Upgrade;

/// The token bits of a session's first peer socket.
const FIRST_PEER: usize = 1;

impl Reactor {
    /// Does what a connection asks for.
    pub(super) fn act(&mut self, key: Key, action: Action) {
        match action {
            Action::Ask(upgrade) => self.ask(key, *upgrade),
            Action::Dial(target) => {
                let Some(session) = self.sessions.get_mut(key) else { return };
                session.target = Some(Box::new(target));
                self.dial(key);
            }
        }
    }

    /// Asks the back end: at once if it only looks into its settings, else on a lane.
    fn ask(&mut self, key: Key, upgrade: Upgrade) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if self.backend.is_instant() {
            let request = Request { upgrade, socket: None };
            let answer = self.backend.query(&request);
            return self.answered(key, request, answer);
        }
        let asked = session.client.duplicate().and_then(|socket| {
            let request = Request { upgrade, socket: Some(socket) };
            self.offload.query(&self.backend, key, request)
        });
        match asked {
            Ok(ticket) => session.query = Some(ticket),
            Err(error) => {
                session.connection.exhausted(error.to_string(), &mut self.scratch);
            }
        }
    }

    fn answered(&mut self, key: Key, request: Request, answer: Result<Answer, QueryError>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.query = None;
        session.connection.answered(Box::new(request.upgrade), answer, &mut self.scratch);
    }

    /// What the offload brought.
    pub(super) fn take_in(&mut self) {
        while let Some(done) = self.offload.next() {
            match done {
                Done::Answered { key, request, answer } => {
                    self.answered(key, request, answer);
                    self.turn(key);
                }
                Done::Resolved { name, addresses } => {
                    for key in self.offload.waited_for(&name) {
                        self.resolved(key, addresses.clone());
                        self.turn(key);
                    }
                }
            }
        }
    }

    /// Begins to reach the session's target, or begins again.
    fn dial(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(target) = &session.target else { return };
        match dial::begin(target) {
            Ok(Begun::Connected(peer)) => self.connected(key, peer),
            Ok(Begun::Addresses(addresses)) => self.race(key, addresses),
            Ok(Begun::Name(name)) => {
                session.peer = PeerState::Waiting(None);
                if let Err(error) = self.offload.resolve(&name, key) {
                    session.connection.exhausted(error.to_string(), &mut self.scratch);
                }
            }
            Ok(Begun::Later) => {
                session.peer = PeerState::Waiting(Some(self.scratch.now + dial::RETRY_DELAY))
            }
            Err(error) => self.not_connected(key, &error),
        }
    }

    fn resolved(&mut self, key: Key, addresses: LookedUp) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        match (addresses, session.target.as_deref()) {
            (Ok(addresses), Some(&Target::Udp { port, .. })) => {
                match dial::udp::connect(&dial::at_port(addresses, port)) {
                    Ok(peer) => self.connected(key, peer),
                    Err(error) => self.not_connected(key, &error),
                }
            }
            (Ok(addresses), Some(&Target::Tcp { port, .. })) => {
                self.race(key, dial::at_port(addresses, port));
            }
            (Ok(_), _) => {}
            (Err(error), _) => self.not_connected(key, &error),
        }
    }

    fn race(&mut self, key: Key, addresses: Vec<SocketAddr>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.peer = PeerState::Racing(Box::new(Race::new(addresses)));
        self.attempt(key);
    }

    /// Tries the race's next address.
    fn attempt(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let PeerState::Racing(race) = &mut session.peer else { return };
        let registry = self.poll.registry();
        let standing = race.attempt(self.scratch.now, |socket, place| {
            let token = session::token(key, FIRST_PEER + place);
            registry.register(socket, token, ALL)
        });
        if let Standing::Lost(error) = standing {
            self.not_connected(key, &error);
        }
    }

    /// An event of a socket that may be an attempt still.
    pub(super) fn race_event(&mut self, key: Key, socket: usize, event: &Event) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let PeerState::Racing(race) = &mut session.peer else { return };
        let open = event.is_writable() && !event.is_write_closed() && !event.is_error();
        match race.event(socket - FIRST_PEER, open) {
            Some(Ok(stream)) => self.won(key, stream, socket),
            Some(Err(error)) => {
                race.failed(error);
                self.attempt(key);
            }
            None => {}
        }
    }

    fn won(&mut self, key: Key, stream: TcpStream, socket: usize) {
        // Small writes must not wait for the acknowledgement of earlier ones.
        if let Err(error) = stream.set_nodelay(true) {
            return self.not_connected(key, &error);
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.set_peer(Transport::Tcp(stream), socket);
        self.open(key);
    }

    /// A peer that needs no race is there.
    fn connected(&mut self, key: Key, mut peer: Transport) {
        let token = session::token(key, FIRST_PEER);
        if let Err(error) = peer.register(self.poll.registry(), token) {
            return self.not_connected(key, &error);
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.set_peer(peer, FIRST_PEER);
        self.open(key);
    }

    /// The peer is there: the client is told, unless something stands against it after all.
    fn open(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.connection.connected(&mut self.scratch);
        if session.connection.was_open() {
            session.log_start();
        } else {
            session.peer = PeerState::None;
        }
    }

    fn not_connected(&mut self, key: Key, error: &io::Error) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.peer = PeerState::None;
        let why = error.to_string();
        if is_exhaustion(error) {
            session.connection.exhausted(why, &mut self.scratch);
        } else {
            session.connection.not_connected(why, &mut self.scratch);
        }
    }

    /// Nobody waits for the session's peer any more: what was begun to find and reach it is given
    /// up, and what the offload have not begun is taken back.
    pub(super) fn stop_reaching(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(ticket) = session.query.take() {
            self.offload.forget_query(ticket);
        }
        match (&session.peer, session.target.as_deref()) {
            (PeerState::None | PeerState::Connected(..), _) => return,
            (
                PeerState::Waiting(None),
                Some(Target::Tcp { host, .. } | Target::Udp { host, .. }),
            ) => {
                self.offload.forget_name(host, key);
            }
            _ => {}
        }
        session.peer = PeerState::None;
    }

    /// Goes on with a dial whose time has come.
    pub(super) fn dial_due(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.connection.ending().is_some() {
            return;
        }
        match &session.peer {
            PeerState::Racing(race) if race.next_at.is_some_and(|at| at <= self.scratch.now) => {
                self.attempt(key);
            }
            PeerState::Waiting(Some(until)) if *until <= self.scratch.now => self.dial(key),
            _ => {}
        }
    }
}
