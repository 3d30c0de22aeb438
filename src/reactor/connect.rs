//! From a handshake to a connected peer: back end, name, addresses.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use log::info;

use super::context::Context;
use super::dial::{self, Begun, Race, Standing};
use super::session::{self, Job, Next, PeerState, Session, User};
use super::system::System;
use crate::access::NotVerified;
use crate::backend::{Answer, Asked, Found, QueryError, Request, Target};
use crate::conn::{Action, Ending};
use crate::metrics::Times;
use crate::net::limits::is_exhaustion;
use crate::net::{Channel, Readiness};
use crate::offload::{LookedUp, Verification};
use crate::proto::basic::Credentials;
use crate::proto::handshake::Upgrade;
use crate::slab::Slot;

/// The token bits of a session's first peer socket.
const FIRST_PEER: usize = 1;

impl<S: System> Session<S> {
    /// Does what the connection asks for.
    pub(super) fn act(&mut self, action: Action, context: &mut Context<S>) {
        match action {
            Action::Admit(arrived) => self.arrived(arrived, context),
            Action::Verify(credentials) => self.verify(credentials, context),
            Action::Ask(upgrade, slot) => {
                self.stepped(Times::Handshake, context);
                self.ask(upgrade, slot, context);
            }
            Action::Respond(route, request) => self.asked(route, request, context),
            Action::Fetch { at, length } => self.fetch(at, length, context),
            Action::Dial(target) => {
                match self.connection.unreached() {
                    None => self.stepped(Times::Query, context),
                    Some(why) => {
                        info!("{self}: {why}; the next is {target}");
                        self.stop_dialling(context);
                        self.tell(Found::Unreached(context.scratch.now), context);
                    }
                }
                self.target = Some(Box::new(target));
                self.dial(context);
            }
        }
    }

    fn verify(&mut self, credentials: Credentials, context: &mut Context<S>) {
        let users = self.service.as_ref().and_then(|service| service.users.as_ref());
        let verification = users.map_or(Verification::Refused, |users| {
            context.offload.verify(users, self.key, credentials, context.scratch.now)
        });
        let outcome = match verification {
            Verification::Known => Ok(()),
            Verification::Refused => Err(NotVerified::Busy),
            Verification::Begun(ticket) => {
                self.job = Some(Job::Verification(ticket));
                return;
            }
        };
        self.connection.verified(outcome, &mut context.scratch);
    }

    /// The turn in which its password was looked at.
    pub(super) fn verified(&mut self, right: bool, context: &mut Context<S>) -> Next {
        self.job = None;
        let outcome = if right { Ok(()) } else { Err(NotVerified::Wrong) };
        self.connection.verified(outcome, &mut context.scratch);
        self.turn(context)
    }

    /// Asks the back end: at once if it only looks into its settings, else on the offload, where it
    /// sees the session's slot.
    fn ask(&mut self, upgrade: Box<Upgrade>, slot: Slot, context: &mut Context<S>) {
        self.user = upgrade.user().map(|user| Box::new(User(user.into())));
        let instance = self.service.as_ref().map(|service| *service.backend).unwrap_or_default();
        let client = self.address.address().ip();
        let asked = Asked { upgrade: &upgrade, client, now: context.scratch.now };
        if let Some(answer) = context.offload.answer(instance, &asked) {
            self.asked_of = instance;
            self.of_operator = true;
            self.service = None;
            return self.connection.answered(upgrade, slot, answer, &mut context.scratch);
        }
        let asked = self.client.duplicate().and_then(|socket| {
            let request = Request {
                session: self.key.number(),
                upgrade,
                socket: Some(socket),
                client: self.address,
                proxy: self.proxy(),
                tls: self.client.tls().map(Box::new),
                listener: Arc::clone(&self.entrance.name),
                loan: slot.lend(),
                secrets: Vec::new(),
            };
            context.offload.query(instance, self.key, request)
        });
        match asked {
            Ok(ticket) => self.job = Some(Job::Query(ticket)),
            Err(error) => self.connection.exhausted(error.to_string(), &mut context.scratch),
        }
    }

    /// The turn in which the back end's answer comes, and the slot back.
    pub(super) fn answered(
        &mut self,
        upgrade: Box<Upgrade>,
        slot: Slot,
        answer: Result<Answer, QueryError>,
        secrets: &[Vec<u8>],
        context: &mut Context<S>,
    ) -> Next {
        (self.job, self.service) = (None, None);
        secrets.iter().for_each(|part| self.connection.conceal(part));
        self.connection.answered(upgrade, slot, answer, &mut context.scratch);
        self.turn(context)
    }

    /// Begins to reach the session's target, or begins again.
    fn dial(&mut self, context: &mut Context<S>) {
        let Some(target) = &self.target else { return };
        match dial::begin(target, &mut context.system) {
            Ok(Begun::Connected(peer)) => self.connected(peer, context),
            Ok(Begun::Addresses(addresses)) => self.reach(addresses, context),
            Ok(Begun::Name(name)) => match context.offload.resolve(&name, self.key) {
                Ok(place) => self.peer = PeerState::Resolving(place),
                Err(error) => self.connection.exhausted(error.to_string(), &mut context.scratch),
            },
            Ok(Begun::Unix(path)) if context.backlogs.is_full(&path) => self.queue(&path, context),
            Ok(Begun::Unix(path)) => match dial::connect_unix(&path, &mut context.system) {
                Ok(Some(peer)) => self.connected(peer, context),
                Ok(None) => self.queue(&path, context),
                Err(error) => self.not_connected(&error, context),
            },
            Err(error) => self.not_connected(&error, context),
        }
    }

    /// Waits for room in a Unix socket's backlog.
    fn queue(&mut self, path: &Path, context: &mut Context<S>) {
        let place = context.backlogs.join(path, self.key, context.scratch.now);
        self.peer = PeerState::Queued(place);
    }

    /// The turn in which it looks, for all who wait, whether there is room now.
    pub(super) fn probe(&mut self, context: &mut Context<S>) -> Next {
        let (&PeerState::Queued(place), Some(Target::UnixStream(path))) =
            (&self.peer, self.target.as_deref())
        else {
            return Next::Wait;
        };
        let now = context.scratch.now;
        let reached = dial::connect_unix(path, &mut context.system);
        if let Ok(None) = reached {
            context.backlogs.found_full(path, now);
            return Next::Wait;
        }
        context.backlogs.found_room(path, place, now);
        match reached {
            Ok(Some(peer)) => self.connected(peer, context),
            Ok(None) => {}
            Err(error) => self.not_connected(&error, context),
        }
        self.turn(context)
    }

    /// The turn in which the name is looked up.
    pub(super) fn resolved(&mut self, addresses: LookedUp, context: &mut Context<S>) -> Next {
        match addresses {
            Ok(addresses) => self.reach(addresses, context),
            Err(error) => self.not_connected(&error, context),
        }
        self.turn(context)
    }

    /// Tries those of the target's addresses that a peer may have.
    fn reach(&mut self, addresses: Vec<SocketAddr>, context: &mut Context<S>) {
        let Some(target) = self.target.as_deref() else { return };
        let (Some(host), Some(port)) = (target.host(), target.port()) else { return };
        // What the operator wrote as an address is meant, whatever it is.
        let is_meant = self.of_operator && dial::is_literal(host);
        let mut addresses = dial::at_port(addresses, port);
        let mut barred = None;
        addresses.retain(|address| match self.connection.check_peer(address.ip()) {
            Err(why) if !is_meant => {
                barred.get_or_insert(why);
                false
            }
            Ok(()) | Err(_) => true,
        });
        let is_udp = matches!(self.target.as_deref(), Some(Target::Udp { .. }));
        match barred {
            Some(why) if addresses.is_empty() => {
                self.peer = PeerState::None;
                self.connection.peer_barred(why, &mut context.scratch);
            }
            _ if is_udp => {
                let sources = (&mut context.sources, self.connection.sources());
                match dial::connect_udp(&addresses, sources, &mut context.system) {
                    Ok(peer) => self.connected(peer, context),
                    Err(error) => self.not_connected(&error, context),
                }
            }
            _ => self.race(addresses, context),
        }
    }

    fn race(&mut self, addresses: Vec<SocketAddr>, context: &mut Context<S>) {
        self.peer = PeerState::Racing(Box::new(Race::new(addresses)));
        self.attempt(context);
    }

    /// Tries the race's next address.
    fn attempt(&mut self, context: &mut Context<S>) {
        let PeerState::Racing(race) = &mut self.peer else { return };
        let (key, sources) = (self.key, self.connection.sources());
        let (turns, system) = (&mut context.sources, &mut context.system);
        let standing = race.attempt(context.scratch.now, |address, place| {
            let dial = |source| system.connect_tcp(address, source);
            let mut attempt = turns.dial(address, sources, dial)?;
            system.watch(&mut attempt, session::token(key, FIRST_PEER + place))?;
            Ok(attempt)
        });
        if let Standing::Lost(error) = standing {
            self.not_connected(&error, context);
        }
    }

    /// An event of a socket that may be an attempt still.
    pub(super) fn race_event(
        &mut self,
        socket: usize,
        readiness: Readiness,
        context: &mut Context<S>,
    ) {
        let PeerState::Racing(race) = &mut self.peer else { return };
        match race.event(socket - FIRST_PEER, readiness) {
            Some(Ok(winner)) => self.won(winner, socket, context),
            Some(Err(error)) => {
                race.failed(error);
                self.attempt(context);
            }
            None => {}
        }
    }

    fn won(&mut self, mut peer: S::Transport, socket: usize, context: &mut Context<S>) {
        if let Err(error) = peer.set_nodelay().and_then(|()| self.introduce(&mut peer)) {
            return self.not_connected(&error, context);
        }
        match self.target.as_deref() {
            Some(Target::Tls { host, .. }) => match context.system.secure_peer(peer, host) {
                Ok(peer) => self.prepare(peer, socket, context),
                Err(error) => self.not_connected(&error, context),
            },
            _ => {
                self.set_peer(peer, socket);
                self.open(context);
            }
        }
    }

    /// Goes on with what comes before a peer's first byte, which may take several events.
    fn prepare(&mut self, mut peer: S::Transport, socket: usize, context: &mut Context<S>) {
        match peer.prepare() {
            Some(Ok(())) => {
                self.set_prepared(peer, socket);
                self.open(context);
            }
            Some(Err(error)) => self.not_connected(&error, context),
            None => self.peer = PeerState::Preparing(peer, socket),
        }
    }

    /// The turn of a peer that is being prepared, if there is one.
    pub(super) fn go_on_preparing(&mut self, context: &mut Context<S>) {
        match std::mem::replace(&mut self.peer, PeerState::None) {
            PeerState::Preparing(peer, socket) => self.prepare(peer, socket, context),
            other => self.peer = other,
        }
    }

    /// A peer that needs no race is there.
    fn connected(&mut self, mut peer: S::Transport, context: &mut Context<S>) {
        let token = session::token(self.key, FIRST_PEER);
        let watched = context.system.watch(&mut peer, token);
        if let Err(error) = watched.and_then(|()| self.introduce(&mut peer)) {
            return self.not_connected(&error, context);
        }
        self.set_peer(peer, FIRST_PEER);
        self.open(context);
    }

    /// The peer is there: the client is told, unless something stands against it after all.
    fn open(&mut self, context: &mut Context<S>) {
        self.connection.connected(&mut context.scratch);
        if self.connection.was_open() {
            self.count_open(context);
            self.log_start(context.scratch.now);
            self.tell(Found::Reached, context);
        } else {
            self.peer = PeerState::None;
        }
    }

    /// Tells the built-in back end what became of its peer.
    fn tell(&self, found: Found, context: &mut Context<S>) {
        if let (true, Some(target)) = (self.of_operator, &self.target) {
            context.offload.found(self.asked_of, target, found);
        }
    }

    /// The session is over, and with it what the built-in back end counts.
    pub(super) fn part(&self, context: &mut Context<S>) {
        if self.connection.ending().is_some_and(Ending::is_of_unreached_peer) {
            self.tell(Found::Unreached(context.scratch.now), context);
        } else if self.announced {
            self.tell(Found::Left, context);
        }
    }

    fn not_connected(&mut self, error: &io::Error, context: &mut Context<S>) {
        self.peer = PeerState::None;
        let why = error.to_string();
        if is_exhaustion(error) {
            self.connection.exhausted(why, &mut context.scratch);
        } else {
            self.connection.not_connected(why, &mut context.scratch);
        }
    }

    /// Nobody waits for the session's peer any more: what was begun to find and reach it is given
    /// up, and what the offload has not begun is taken back.
    pub(super) fn stop_reaching(&mut self, context: &mut Context<S>) {
        match self.job.take() {
            Some(Job::Verification(ticket)) => context.offload.forget_verification(ticket),
            Some(Job::Query(ticket)) => {
                let had_begun = !context.offload.forget_query(ticket);
                if had_begun && matches!(self.connection.ending(), Some(Ending::QueryTimeout)) {
                    context.overdue.push(self.key);
                }
            }
            None => {}
        }
        self.stop_dialling(context);
    }

    /// What was begun to find and reach the peer is given up.
    fn stop_dialling(&mut self, context: &mut Context<S>) {
        match (&self.peer, self.target.as_deref()) {
            (PeerState::None | PeerState::Connected(..), _) => return,
            (&PeerState::Resolving(place), Some(target)) => {
                if let Some(host) = target.host() {
                    context.offload.forget_name(host, place);
                }
            }
            (&PeerState::Queued(place), Some(Target::UnixStream(path))) => {
                context.backlogs.leave(path, place);
            }
            (
                PeerState::Racing(_)
                | PeerState::Resolving(_)
                | PeerState::Queued(_)
                | PeerState::Preparing(..),
                _,
            ) => {}
        }
        self.peer = PeerState::None;
    }

    /// Goes on with a dial whose time has come.
    pub(super) fn dial_due(&mut self, context: &mut Context<S>) {
        if self.connection.ending().is_some() {
            return;
        }
        let PeerState::Racing(race) = &self.peer else { return };
        if race.next_at.is_some_and(|at| at <= context.scratch.now) {
            self.attempt(context);
        }
    }
}
