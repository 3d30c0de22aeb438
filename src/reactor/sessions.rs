//! All sessions, those among them that have more to do, and how many there may be.

use std::collections::BTreeMap;
use std::io::{ErrorKind, IoSlice};
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::context::Context;
use super::listen::{Admission, Listener, Place};
use super::session::{self, Arrival, CLIENT, Next, Session};
use super::slots::{Key, Slots};
use super::system::System;
use crate::access::NotAdmitted;
use crate::config::Config;
use crate::conn::Connection;
use crate::conn::socket::Socket;
use crate::proto::client_addr::ClientAddr;
use crate::proto::handshake::{self, Status};

/// How many clients that are not let in are told so at once; more are just hung up on.
pub(super) const TOLD: usize = 256;

/// Why a listener for proxies hangs up on others.
const UNTRUSTED: &str = "it is no trusted proxy, and PROXY headers are taken of no others";

/// How long a request head may be incomplete before its client has to make room for another: a
/// head takes a round trip or two, on the slowest lines too.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Sessions<S: System> {
    slots: Slots<Session<S>>,
    /// Clients that were let in and whose request head is not complete, the oldest first; those too
    /// that were answered and may ask again.
    unfinished: BTreeMap<Arrival, (Key, Instant)>,
    arrivals: u64,
    /// Sessions with more to do at once.
    listed: Vec<Key>,
}

impl<S: System> Sessions<S> {
    pub(super) fn new() -> Self {
        Self { slots: Slots::new(), unfinished: BTreeMap::new(), arrivals: 0, listed: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.slots.keys()
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
        let sessions = self.slots.len();
        let Some(session) = self.slots.get_mut(key) else { return };
        let mut next = step(session, context);
        if let Some(place) = session.forfeited() {
            // It is told to go, as those are that never had a place, and no more than those may be.
            context.admission.leave(place);
            if sessions - context.admission.admitted() > TOLD {
                next = Next::Close;
            }
        }
        match (session.connection.awaits_head(), session.unfinished) {
            (false, Some(arrival)) => {
                session.unfinished = None;
                self.unfinished.remove(&arrival);
            }
            (true, None) if session.place.is_some() => {
                let arrival = Arrival::after(self.arrivals);
                self.arrivals += 1;
                session.unfinished = Some(arrival);
                self.unfinished.insert(arrival, (key, context.scratch.now));
            }
            (true, _) | (false, None) => {}
        }
        match next {
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
        address: ClientAddr,
        listener: &Listener<S>,
        context: &mut Context<S>,
    ) {
        let (settings, now) = (listener.settings(), context.scratch.now);
        let with_header = listener.entrance().words.proxy_protocol;
        let by_proxy = settings.proxies.trusts(address.address().ip());
        if with_header && !by_proxy {
            return context.hang_ups.say(&address, &UNTRUSTED, now);
        }
        let (place, why) = match self.place(&address, by_proxy, settings, context) {
            Ok(place) => (Some(place), None),
            Err(why) if self.is_not_told(why, with_header, context) => {
                return context.hang_ups.say(&address, &why, now);
            }
            Err(why) => (None, Some(why)),
        };
        let Context { slab, scratch, admission, .. } = context;
        let mut newcomer = Some((client, place));
        let key = self.slots.insert(
            |index| !slab.is_taken(index),
            |key| {
                let slot = slab.claim(key.index)?;
                let connection = Connection::new(Rc::clone(settings), slot, scratch.now);
                let (client, place) = newcomer.take().ok_or(ErrorKind::NotFound)?;
                let entrance = Rc::clone(listener.entrance());
                Ok(Session::new(key, connection, (client, address), entrance, place, scratch.now))
            },
        );
        let key = match (key, newcomer) {
            (Ok(key), _) => key,
            (Err(error), newcomer) => {
                info!("{address}: refused with 503: no memory for a session: {error}");
                if let Some((client, place)) = newcomer {
                    reject(client);
                    place.into_iter().for_each(|place| admission.leave(place));
                }
                return;
            }
        };
        let by_proxy = by_proxy.then_some(with_header);
        self.serve(key, context, |session, context| begin(session, why, by_proxy, context));
    }

    /// A place for a client, if need be that of the one that has been at its request
    /// head for longest: who is slow on purpose cannot hold the door.
    fn place(
        &mut self,
        client: &ClientAddr,
        by_proxy: bool,
        settings: &Config,
        context: &mut Context<S>,
    ) -> Result<Place, NotAdmitted> {
        if !by_proxy {
            context.admission.judge(client, settings, context.scratch.now)?;
        }
        let enter = |admission: &mut Admission| match by_proxy {
            true => admission.enter_unknown(settings),
            false => admission.enter(client, settings),
        };
        match enter(&mut context.admission) {
            Err(NotAdmitted::Full) if self.displace(context) => enter(&mut context.admission),
            entered => entered,
        }
    }

    /// Takes its place from the oldest client whose request head is not complete; returns whether
    /// there was one that has had its time.
    fn displace(&mut self, context: &mut Context<S>) -> bool {
        let Some(oldest) = self.unfinished.first_entry() else { return false };
        let (key, came) = *oldest.get();
        if context.scratch.now.saturating_duration_since(came) < GRACE {
            return false;
        }
        oldest.remove();
        let (hang_up, mut place) = (self.are_many_told(context), None);
        self.serve(key, context, |session, context| {
            place = session.place.take();
            if session.awaits_header() {
                return session.hang_up(&NotAdmitted::Displaced, context);
            }
            session.connection.reject(NotAdmitted::Displaced, &mut context.scratch);
            let next = session.turn(context);
            if hang_up { Next::Close } else { next }
        });
        let had_place = place.is_some();
        place.into_iter().for_each(|place| context.admission.leave(place));
        had_place
    }

    /// Whether a client that is not let in is not told so either. Before its header is read a proxy
    /// understands no answer.
    fn is_not_told(&self, why: NotAdmitted, with_header: bool, context: &Context<S>) -> bool {
        why == NotAdmitted::Denied || with_header || self.are_many_told(context)
    }

    /// Whether so many are told to go that more are just hung up on.
    fn are_many_told(&self, context: &Context<S>) -> bool {
        self.slots.len() - context.admission.admitted() >= TOLD
    }

    pub(super) fn close(&mut self, key: Key, context: &mut Context<S>) {
        let Some(mut session) = self.slots.remove(key) else { return };
        session.stop_reaching(context);
        session.stop_reading(context);
        session.log_end(context.scratch.now);
        context.system.freed();
        session.unfinished.take().map(|arrival| self.unfinished.remove(&arrival));
        if let Some(place) = session.place.take() {
            context.admission.leave(place);
        }
    }
}

/// The first turn of a session, which is refused for a reason, or comes by a proxy, with a PROXY header
/// or without.
fn begin<S: System>(
    session: &mut Session<S>,
    why: Option<NotAdmitted>,
    by_proxy: Option<bool>,
    context: &mut Context<S>,
) -> Next {
    let token = session::token(session.key, CLIENT);
    if let Err(error) = context.system.watch(&mut session.client, token) {
        warn!("{session}: cannot register with epoll: {error}");
        // No event says what it sends: that is looked at now, and when its time is up.
        session.take_for_ready();
        session.connection.reject(NotAdmitted::Unwatched, &mut context.scratch);
        return session.turn(context);
    }
    if let Some(why) = why {
        session.connection.reject(why, &mut context.scratch);
        return session.turn(context);
    }
    if let Some(with_header) = by_proxy {
        session.comes_by_proxy(with_header);
    }
    session.enter_deadline(context);
    Next::Wait
}

/// Answers a client for whom there is no session, as well as that goes at once: what it sends from now
/// on makes its end a reset.
fn reject(mut client: impl Socket) {
    let mut response = Vec::new();
    handshake::refuse(&Status::Unavailable.into(), None, &mut response);
    let _ = client.read(&mut [0; 4096]);
    let _ = client.write(&[IoSlice::new(&response)], true);
    let _ = client.shutdown();
}
