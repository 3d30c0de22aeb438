//! Where clients come from, and how many there may be.

mod admission;
mod entrance;
mod hang_ups;
mod inherited;
mod open;
mod pause;
mod socket;
mod tcp;
mod unix;

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Instant;

use mio::Token;

pub(super) use admission::{Admission, Place};
pub(super) use entrance::BACKLOG;
pub use entrance::Entrance;
pub(super) use hang_ups::HangUps;
pub(super) use open::{OpenError, open};
use pause::{Pause, is_one_clients};
pub(super) use socket::ListeningSocket;

use super::system::System;
use crate::config::Config;
use crate::proto::client_addr::ClientAddr;

/// Clients accepted in one turn: those that are served must not wait for a crowd at the accept.
pub(super) const ACCEPTS: usize = 64;

/// Errors of one client each, in a row, after which they are taken for one of ours.
const FAILURES: usize = 64;

/// A listening socket, and how its clients are served.
pub(super) struct Listener<S: System> {
    socket: S::Listener,
    token: Token,
    /// What is known of it.
    entrance: Rc<Entrance>,
    /// What its clients are served by.
    settings: Rc<Config>,
    pause: Pause,
    /// How many accepts in a row have failed for something of one client's.
    failures: usize,
}

/// What one accept gave.
pub(super) enum Accepted<T> {
    Client(T, ClientAddr),
    /// A client that left, or whose network failed.
    Lost,
    /// Nobody waits, or nobody can be taken now.
    Nobody,
}

impl<S: System> Listener<S> {
    pub(super) fn new(
        socket: S::Listener,
        token: Token,
        entrance: Entrance,
        settings: Rc<Config>,
    ) -> Self {
        let entrance = Rc::new(entrance);
        Self { socket, token, entrance, settings, pause: Pause::default(), failures: 0 }
    }

    pub(super) fn entrance(&self) -> &Rc<Entrance> {
        &self.entrance
    }

    pub(super) fn token(&self) -> Token {
        self.token
    }

    pub(super) fn settings(&self) -> &Rc<Config> {
        &self.settings
    }

    /// Accepts the next client; pauses when that fails for something that is not one client's.
    pub(super) fn accept(&mut self, system: &mut S, now: Instant) -> Accepted<S::Transport> {
        // A PROXY header is not within TLS, but in front of it.
        let with_tls = self.entrance.words.tls && !self.entrance.words.proxy_protocol;
        let accepted = system.accept(&self.socket).and_then(|(mut client, address)| {
            if with_tls {
                system.secure_client(&mut client)?;
            }
            Ok((client, address))
        });
        match accepted {
            Ok((client, address)) => {
                self.failures = 0;
                self.pause.worked(now);
                Accepted::Client(client, address)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.failures = 0;
                Accepted::Nobody
            }
            Err(error) if is_one_clients(&error) && self.failures < FAILURES => {
                self.failures += 1;
                Accepted::Lost
            }
            Err(error) => {
                self.pause.failed(&error, now);
                Accepted::Nobody
            }
        }
    }

    /// Goes on at the next turn: more clients may wait, and no event says so again.
    pub(super) fn go_on_at(&mut self, now: Instant) {
        self.pause.go_on_at(now);
    }

    /// When accepting goes on, if it pauses.
    pub(super) fn resume_at(&self) -> Option<Instant> {
        self.pause.until()
    }

    /// Ends a pause that is over; returns whether there was one.
    pub(super) fn resume(&mut self, now: Instant) -> bool {
        self.pause.is_over(now)
    }

    pub(super) fn close(self, system: &mut S) {
        system.stop_listening(self.socket);
    }
}
