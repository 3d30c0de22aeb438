//! Where clients come from, and how many there may be.

mod admission;
mod entrance;
mod handed;
mod hang_ups;
mod inherited;
mod open;
mod pause;
pub(super) mod service;
mod site;
mod socket;
mod tcp;
mod unix;

use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mio::Token;

pub(super) use admission::{Admission, Place};
pub(super) use entrance::BACKLOG;
pub use entrance::Entrance;
pub use handed::WorkerSockets;
pub(super) use handed::{adopt, take_over};
pub(super) use hang_ups::HangUps;
pub(super) use open::{OpenError, Opened, Opening, look_up, open};
use pause::{Pause, is_one_clients};
pub(super) use site::{Present, Site};
pub(super) use socket::ListeningSocket;
pub(super) use unix::keep_umask;

use super::system::System;
use crate::metrics;
use crate::proto::client_addr::ClientAddr;
use service::Service;

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
    service: Rc<Service>,
    /// Where its clients are counted; none for the operators' own.
    counted: Option<metrics::Place>,
    /// What it was opened for.
    site: Site,
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
        (entrance, site): (Entrance, Site),
        service: Rc<Service>,
        counted: Option<metrics::Place>,
    ) -> Self {
        let (entrance, pause) = (Rc::new(entrance), Pause::default());
        Self { socket, token, entrance, service, counted, site, pause, failures: 0 }
    }

    /// Serves those that come from now on so.
    pub(super) fn renew(&mut self, entrance: Entrance, service: Rc<Service>) {
        if *self.entrance != entrance {
            self.entrance = Rc::new(entrance);
        }
        self.service = service;
    }

    /// Whether it is not of the operator's list.
    pub(super) fn stays(&mut self) -> bool {
        self.site == Site::Other
    }

    /// Whether a supervisor opened it, who says when it comes and goes.
    pub(super) fn is_handed(&self) -> bool {
        self.site == Site::Handed
    }

    pub(super) fn socket(&self) -> &S::Listener {
        &self.socket
    }

    pub(super) fn entrance(&self) -> &Rc<Entrance> {
        &self.entrance
    }

    pub(super) fn counted(&self) -> Option<metrics::Place> {
        self.counted
    }

    pub(super) fn token(&self) -> Token {
        self.token
    }

    pub(super) fn service(&self) -> &Rc<Service> {
        &self.service
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

impl<S: System<Listener = ListeningSocket>> Listener<S> {
    /// What a reload is told of it.
    pub(super) fn present(&self) -> Present {
        Present {
            site: self.site.clone(),
            name: Arc::clone(&self.entrance.name),
            words: self.entrance.words.clone(),
            file: self.socket.file(),
            inode: self.socket.inode().ok(),
            is_kept: false,
        }
    }
}
