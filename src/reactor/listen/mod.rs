//! Where clients come from, and how many there may be.

mod admission;
pub(super) mod tcp;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::warn;
use mio::Token;

pub(super) use admission::{Admission, Place};

use super::system::System;
use crate::config::Config;
use crate::net::limits::is_exhaustion;

/// How long accepting pauses when descriptors or memory are used up: the client in the backlog
/// waits, and the loop does not spin over it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// A listening socket, and how its clients are served.
pub(super) struct Listener<S: System> {
    socket: S::Listener,
    token: Token,
    /// What its clients are served by.
    settings: Rc<Config>,
    /// When accepting goes on after a pause.
    resume_at: Option<Instant>,
}

/// What one accept gave.
pub(super) enum Accepted<T> {
    Client(T, SocketAddr),
    /// A client that left, or whose network failed.
    Lost,
    /// Nobody waits, or nobody can be taken now.
    Nobody,
}

impl<S: System> Listener<S> {
    pub(super) fn new(socket: S::Listener, token: Token, settings: Rc<Config>) -> Self {
        Self { socket, token, settings, resume_at: None }
    }

    pub(super) fn token(&self) -> Token {
        self.token
    }

    pub(super) fn settings(&self) -> &Rc<Config> {
        &self.settings
    }

    /// Accepts the next client; pauses when what a client needs is used up.
    pub(super) fn accept(&mut self, system: &mut S, now: Instant) -> Accepted<S::Transport> {
        match system.accept(&self.socket) {
            Ok((client, address)) => Accepted::Client(client, address),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Accepted::Nobody,
            Err(error) if is_exhaustion(&error) => {
                warn!("cannot accept: {error}; trying again in {ACCEPT_PAUSE:?}");
                self.resume_at = Some(now + ACCEPT_PAUSE);
                Accepted::Nobody
            }
            // What accept(2) reports of one client's network does not concern the next.
            Err(_) => Accepted::Lost,
        }
    }

    /// Goes on at the next turn: more clients may wait, and no event says so again.
    pub(super) fn go_on_at(&mut self, now: Instant) {
        self.resume_at = Some(now);
    }

    /// When accepting goes on, if it pauses.
    pub(super) fn resume_at(&self) -> Option<Instant> {
        self.resume_at
    }

    /// Ends a pause that is over; returns whether there was one.
    pub(super) fn resume(&mut self, now: Instant) -> bool {
        self.resume_at.take_if(|at| *at <= now).is_some()
    }

    pub(super) fn close(self, system: &mut S) {
        system.stop_listening(self.socket);
    }
}
