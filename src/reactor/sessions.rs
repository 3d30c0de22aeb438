//! All sessions, those among them that have more to do, and how many there may be.

use std::io::{ErrorKind, IoSlice};
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::context::Context;
use super::line::Line;
use super::listen::{Admission, Listener, Place};
use super::session::{self, CLIENT, Next, Session};
use super::slots::{Key, Slots};
use super::system::System;
use crate::access::NotAdmitted;
use crate::config::Config;
use crate::conn::socket::Socket;
use crate::conn::{Connection, Ending};
use crate::proto::client_addr::ClientAddr;
use crate::proto::handshake::{self, Status};

/// How many clients that are not let in are told so at once; more are just hung up on.
pub(super) const TOLD: usize = 256;

/// Why a listener for proxies hangs up on others.
const UNTRUSTED: &str = "it is no trusted proxy, and PROXY headers are taken of no others";

/// How long a request head may be incomplete before its client has to make room for another: a
/// head takes a round trip or two, on the slowest lines too.
const GRACE: Duration = Duration::from_secs(1);

/// How long a client may be inside a compressed message while others wait until they can begin one.
const MESSAGE_GRACE: Duration = Duration::from_secs(10);

pub(super) struct Sessions<S: System> {
    slots: Slots<Session<S>>,
    /// Clients that were let in and whose request head is not complete, the oldest first; those too
    /// that were answered and may ask again.
    unfinished: Line,
    /// The same of operators.
    idle_operators: Line,
    /// Clients inside a compressed message, who has been there for longest first.
    inside: Line,
    /// Those who wait for their turn at a TLS handshake.
    pub(super) handshakes: Line,
    /// Sessions with more to do at once.
    listed: Vec<Key>,
    /// Sessions whose clients are read when fewer are inside a compressed message.
    held_back: Line,
}

impl<S: System> Sessions<S> {
    pub(super) fn new() -> Self {
        Self {
            slots: Slots::new(),
            unfinished: Line::default(),
            idle_operators: Line::default(),
            inside: Line::default(),
            handshakes: Line::default(),
            listed: Vec::new(),
            held_back: Line::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// All but the operators.
    pub(super) fn guests(&self, context: &Context<S>) -> usize {
        self.slots.len() - context.operators.admitted()
    }

    /// How many places there are, for [`Sessions::at`].
    pub(super) fn places(&self) -> usize {
        self.slots.places()
    }

    /// Whether the session of `key` is there.
    pub(super) fn is_there(&self, key: Key) -> bool {
        self.slots.get(key).is_some()
    }

    /// The session at a place, if there is one.
    pub(super) fn at(&self, place: usize) -> Option<&Session<S>> {
        self.slots.at(place)
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.slots.keys()
    }

    /// Whether this one is open: it has a client and a peer.
    pub(super) fn is_bridged(&self, key: Key) -> bool {
        self.slots.get(key).is_some_and(|session| session.connection.was_open())
    }

    /// Whether some have more to do at once.
    pub(super) fn are_busy(&self) -> bool {
        !self.listed.is_empty() || !self.handshakes.is_empty()
    }

    /// Those that had more to do when the last turn ended.
    pub(super) fn take_listed(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.listed)
    }

    /// Lists as many of those that were held back as need not be any longer, who came first before the
    /// others. If need be, who has been inside a compressed message for longest gives way.
    pub(super) fn list_held_back(&mut self, context: &mut Context<S>) {
        if !self.held_back.is_empty()
            && context.scratch.free_inflaters() == 0
            && let Some(key) = self.inside.overdue(MESSAGE_GRACE, context.scratch.now)
        {
            self.serve(key, context, |session, context| {
                session.connection.give_way(&mut context.scratch);
                session.turn(context)
            });
        }
        let mut called = 0;
        while called < context.scratch.free_inflaters()
            && let Some(key) = self.held_back.first()
        {
            self.call(key);
            called += 1;
        }
        // Or who ends a message would begin the next one before them, again and again.
        context.scratch.reserve_inflaters(called > 0 || !self.held_back.is_empty());
    }

    /// The next turn of the session of `key`, which was held back, is its own. If it begins no message then,
    /// it waits behind the others.
    fn call(&mut self, key: Key) {
        let Some(session) = self.slots.get_mut(key) else { return };
        self.held_back.leave(&mut session.held_back);
        session.called = true;
        session.connection.call(true);
        self.list(key);
    }

    /// Gives the session of `key` a turn in the next turn of the loop.
    fn list(&mut self, key: Key) {
        if let Some(session) = self.slots.get_mut(key)
            && !std::mem::replace(&mut session.listed, true)
        {
            self.listed.push(key);
        }
    }

    /// When one inside a compressed message has to give way to those that are held back.
    pub(super) fn gives_way_at(&self) -> Option<Instant> {
        if self.held_back.is_empty() { None } else { self.inside.overdue_at(MESSAGE_GRACE) }
    }

    /// Does what `step` does with the session of `key`, if there is one, and what follows from it.
    pub(super) fn serve(
        &mut self,
        key: Key,
        context: &mut Context<S>,
        step: impl FnOnce(&mut Session<S>, &mut Context<S>) -> Next,
    ) {
        let Some(session) = self.slots.get_mut(key) else { return };
        let mut next = step(session, context);
        let forfeited = session.forfeited();
        let now = context.scratch.now;
        let is_admin = session.is_admin();
        let heads = if is_admin { &mut self.idle_operators } else { &mut self.unfinished };
        // Who has no place has been refused, and only has to be told.
        let may_finish = session.unfinished.is_some() || session.place.is_some();
        let awaits_head = session.connection.awaits_head() && may_finish;
        heads.keep(awaits_head, &mut session.unfinished, key, now);
        let is_inside = session.connection.has_inflater();
        if is_inside && session.connection.take_beginning() {
            self.inside.leave(&mut session.inside); // the message that it was in has ended
        }
        self.inside.keep(is_inside, &mut session.inside, key, now);
        self.handshakes.keep(session.postponed, &mut session.in_line, key, now);
        if std::mem::take(&mut session.called) {
            session.connection.call(false);
        }
        let is_held_back = session.connection.awaits_inflater(session.may_have_sent());
        self.held_back.keep(is_held_back, &mut session.held_back, key, now);
        if let Some(place) = forfeited {
            // It is told to go, as those are that never had a place, and no more than those may be.
            context.admission_of(is_admin).leave(place);
            if self.guests(context) - context.admission.admitted() > TOLD {
                next = Next::Close;
            }
        }
        match next {
            Next::Wait => {}
            Next::Again => self.list(key),
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
        let service = listener.service();
        let settings = &service.config;
        listener.counted().into_iter().for_each(|place| context.metrics.accepted(place));
        let with_header = listener.entrance().words.proxy_protocol;
        let by_proxy = settings.proxies.trusts(address.address().ip());
        if with_header && !by_proxy {
            return context.hang_up(&address, listener, ("untrusted-proxy", &UNTRUSTED));
        }
        let (place, why) = match self.place(&address, by_proxy, settings, context) {
            Ok(place) => (Some(place), None),
            Err(why) if settings.is_admin => {
                return context.hang_up(
                    &address,
                    listener,
                    (why.name(), &format_args!("admin: {why}")),
                );
            }
            Err(why) if self.is_not_told(why, with_header, context) => {
                return context.hang_up(&address, listener, (why.name(), &why));
            }
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
                let (origin, ends) =
                    ((Rc::clone(listener.entrance()), Rc::clone(service)), (client, address));
                let mut session = Session::new(key, connection, ends, origin, place, scratch.now);
                session.count_in(listener);
                Ok(session)
            },
        );
        let key = match (key, newcomer) {
            (Ok(key), _) => key,
            (Err(error), newcomer) => {
                info!("{address}: refused with 503: no memory for a session: {error}");
                if let Some((client, place)) = newcomer {
                    reject(client);
                    let admission = context.admission_of(settings.is_admin);
                    place.into_iter().for_each(|place| admission.leave(place));
                }
                return context.count_lost(listener);
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
        let is_admin = settings.is_admin;
        if !by_proxy && !is_admin {
            context.admission.judge(client, settings, context.scratch.now)?;
        }
        let enter = |admission: &mut Admission| match by_proxy && !is_admin {
            true => admission.enter_unknown(settings),
            false => admission.enter(client, settings),
        };
        match enter(context.admission_of(is_admin)) {
            Err(NotAdmitted::Full) if self.displace(is_admin, context) => {
                enter(context.admission_of(is_admin))
            }
            entered => entered,
        }
    }

    /// Takes its place from the oldest client, or operator, whose request head is not complete; returns
    /// whether there was one that has had its time.
    fn displace(&mut self, is_admin: bool, context: &mut Context<S>) -> bool {
        let heads = if is_admin { &mut self.idle_operators } else { &mut self.unfinished };
        let Some(key) = heads.overdue(GRACE, context.scratch.now) else { return false };
        let (hang_up, mut place) = (is_admin || self.are_many_told(context), None);
        self.serve(key, context, |session, context| {
            place = session.place.take();
            if session.awaits_header() {
                let why = NotAdmitted::Displaced;
                return session.hang_up(why.name(), &why, context);
            }
            session.connection.reject(NotAdmitted::Displaced, &mut context.scratch);
            let next = session.turn(context);
            if hang_up { Next::Close } else { next }
        });
        let had_place = place.is_some();
        place.into_iter().for_each(|place| context.admission_of(is_admin).leave(place));
        had_place
    }

    /// Whether a client that is not let in is not told so either. Before its header is read a proxy
    /// understands no answer.
    fn is_not_told(&self, why: NotAdmitted, with_header: bool, context: &Context<S>) -> bool {
        why == NotAdmitted::Denied || with_header || self.are_many_told(context)
    }

    /// Whether so many are told to go that more are just hung up on.
    fn are_many_told(&self, context: &Context<S>) -> bool {
        self.guests(context) - context.admission.admitted() >= TOLD
    }

    pub(super) fn close(&mut self, key: Key, context: &mut Context<S>) {
        let Some(mut session) = self.slots.remove(key) else { return };
        session.stop_reaching(context);
        session.stop_reading(context);
        session.count_out(context);
        session.log_end(context.scratch.now);
        session.part(context);
        let reason = session.connection.ending().map_or("shutdown", Ending::name);
        context.offload.ended(key.number(), reason);
        context.system.freed();
        let heads = match session.is_admin() {
            true => &mut self.idle_operators,
            false => &mut self.unfinished,
        };
        heads.leave(&mut session.unfinished);
        self.inside.leave(&mut session.inside);
        self.held_back.leave(&mut session.held_back);
        self.handshakes.leave(&mut session.in_line);
        if let Some(place) = session.place.take() {
            context.admission_of(session.is_admin()).leave(place);
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
