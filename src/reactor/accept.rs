//! Clients come and go.

use std::collections::hash_map::Entry;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use log::warn;
use mio::net::TcpStream;

use super::Reactor;
use super::listen::tcp::{ACCEPT_PAUSE, ACCEPTS, BACKLOG};
use super::session::{self, CLIENT, Session};
use super::sessions::Key;
use crate::conn::Connection;
use crate::net::Transport;
use crate::net::limits::is_exhaustion;

/// How many clients that are not let in are told so at once; more are just hung up on.
const TOLD: usize = 256;

impl Reactor {
    /// Accepts who waits, some at a time.
    pub(super) fn accept(&mut self) {
        if self.accept_at.is_none() && self.accept_some(ACCEPTS) {
            self.accept_at = Some(self.scratch.now);
        }
    }

    /// Accepts all who wait, when the accept is about to close: a listener that is closed resets
    /// them.
    pub(super) fn accept_all(&mut self) {
        self.accept_some(BACKLOG as usize);
    }

    /// Accepts up to `most` clients; returns whether more may wait and can be taken at once.
    fn accept_some(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some(listener) = &self.listener else { return false };
            match listener.accept() {
                Ok((client, address)) => self.admit(client, address),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if is_exhaustion(&error) => {
                    warn!("cannot accept: {error}; trying again in {ACCEPT_PAUSE:?}");
                    self.accept_at = Some(self.scratch.now + ACCEPT_PAUSE);
                    return false;
                }
                // What accept(2) reports of one client's network does not concern the next.
                Err(_) => {}
            }
        }
        true
    }

    fn admit(&mut self, client: TcpStream, address: SocketAddr) {
        let full = self.full(address.ip());
        if full.is_some() && self.sessions.len() - self.admitted >= TOLD {
            return;
        }
        let connection = Connection::new(Rc::clone(&self.config), self.scratch.now);
        let key = self.sessions.insert(Session::new(connection, Transport::Tcp(client), address));
        let Some(session) = self.sessions.get_mut(key) else { return };
        let token = session::token(key, CLIENT);
        if let Err(error) = session.client.register(self.poll.registry(), token) {
            warn!("{session}: cannot be watched: {error}");
            return self.close(key);
        }
        if let Some(why) = full {
            session.connection.reject(why, &mut self.scratch);
            return self.turn(key);
        }
        session.admitted = true;
        self.admitted += 1;
        *self.per_address.entry(address.ip()).or_default() += 1;
        self.enter_deadline(key);
    }

    /// Why there is no room for one more client from `ip`, if there is none.
    fn full(&self, ip: IpAddr) -> Option<&'static str> {
        let from_here = self.per_address.get(&ip).copied().unwrap_or_default();
        if self.admitted >= self.config.max_connections {
            Some("too many clients")
        } else if self.config.max_per_address != 0 && from_here >= self.config.max_per_address {
            Some("too many clients from this address")
        } else {
            None
        }
    }

    pub(super) fn close(&mut self, key: Key) {
        self.stop_reaching(key);
        let Some(session) = self.sessions.remove(key) else { return };
        session.log_end();
        if !session.admitted {
            return;
        }
        self.admitted -= 1;
        if let Entry::Occupied(mut count) = self.per_address.entry(session.address.ip()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
