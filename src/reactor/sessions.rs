//! All sessions, those among them that have more to do, and how many there may be.

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;

use log::{info, warn};

use super::context::Context;
use super::listen::Admission;
use super::session::{self, CLIENT, Next, Session};
use super::slots::{Key, Slots};
use super::system::System;
use crate::config::Config;
use crate::conn::Connection;
use crate::conn::socket::Socket;
use crate::proto::handshake::{self, Status};

/// How many clients that are not let in are told so at once; more are just hung up on.
pub(super) const TOLD: usize = 256;

pub(super) struct Sessions<S: System> {
    slots: Slots<Session<S>>,
    admission: Admission,
    /// Sessions with more to do at once.
    listed: Vec<Key>,
}

impl<S: System> Sessions<S> {
    pub(super) fn new() -> Self {
        Self { slots: Slots::new(), admission: Admission::default(), listed: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.slots.keys()
    }

    pub(super) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Whether some have more to do at once.
    pub(super) fn are_listed(&self) -> bool {
        !self.listed.is_empty()
    }

    /// Those that had more to do when the last turn ended.
    pub(super) fn take_listed(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.listed)
    }

    /// Does what `step` does with the session of `key`, if there is one, and what follows from it.
    pub(super) fn serve(
        &mut self,
        key: Key,
        context: &mut Context<S>,
        step: impl FnOnce(&mut Session<S>, &mut Context<S>) -> Next,
    ) {
        let Some(session) = self.slots.get_mut(key) else { return };
        match step(session, context) {
            Next::Wait => {}
            Next::Again => {
                if !std::mem::replace(&mut session.listed, true) {
                    self.listed.push(key);
                }
            }
            Next::Close => self.close(key, context),
        }
    }

    /// Lets a client in, or tells it why not.
    pub(super) fn admit(
        &mut self,
        client: S::Transport,
        address: SocketAddr,
        settings: &Rc<Config>,
        context: &mut Context<S>,
    ) {
        let (place, full) = match self.admission.enter(address.ip(), settings) {
            Ok(place) => (Some(place), None),
            Err(_) if self.slots.len() - self.admission.admitted() >= TOLD => return,
            Err(why) => (None, Some(why)),
        };
        let Context { slab, scratch, .. } = context;
        let mut newcomer = Some((client, place));
        let key = self.slots.insert(
            |index| !slab.is_taken(index),
            |key| {
                let slot = slab.claim(key.index)?;
                let connection = Connection::new(Rc::clone(settings), slot, scratch.now);
                let (client, place) = newcomer.take().ok_or(ErrorKind::NotFound)?;
                Ok(Session::new(key, connection, (client, address), place))
            },
        );
        let key = match (key, newcomer) {
            (Ok(key), _) => key,
            (Err(error), newcomer) => {
                info!("{address}: refused with 503: no memory for a session: {error}");
                if let Some((client, place)) = newcomer {
                    reject(client);
                    place.into_iter().for_each(|place| self.admission.leave(place));
                }
                return;
            }
        };
        self.serve(key, context, |session, context| {
            let token = session::token(key, CLIENT);
            if let Err(error) = context.system.watch(&mut session.client, token) {
                warn!("{session}: cannot register with epoll: {error}");
                // No event says what it sends: that is looked at now, and when its time is up.
                session.take_for_ready();
                session.connection.reject("no room to watch one more", &mut context.scratch);
                return session.turn(context);
            }
            if let Some(why) = full {
                session.connection.reject(why, &mut context.scratch);
                return session.turn(context);
            }
            session.enter_deadline(context);
            Next::Wait
        });
    }

    pub(super) fn close(&mut self, key: Key, context: &mut Context<S>) {
        let Some(mut session) = self.slots.remove(key) else { return };
        session.stop_reaching(context);
        session.log_end();
        context.system.freed();
        if let Some(place) = session.place.take() {
            self.admission.leave(place);
        }
    }
}

/// Answers a client for whom there is no session, as well as that goes at once: what it sends from now
/// on makes its end a reset.
fn reject(mut client: impl Socket) {
    let mut response = Vec::new();
    handshake::refuse(Status::Unavailable, None, &mut response);
    let _ = client.read(&mut [0; 4096]);
    let _ = client.write(&[IoSlice::new(&response)], true);
    let _ = client.shutdown();
}
