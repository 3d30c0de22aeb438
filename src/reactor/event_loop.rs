//! The turn of the loop.

use std::io::{ErrorKind, Result};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use log::info;
use mio::Token;

use super::context::Context;
use super::desk::Desk;
use super::dial::{Backlogs, Turns};
use super::goodbyes::Drain;
use super::listen::service::{Outgoing, Service};
use super::listen::{Admission, Entrance, HangUps, Listener, Site};
use super::meter::Meter;
use super::refusals::Refusals;
use super::session;
use super::sessions::{Sessions, TOLD};
use super::slots::Key;
use super::system::{OFFLOAD, OTHERS, SIGNALS, Signal, System};
use super::timer_wheel::{self, Tick, TimerWheel};
use crate::access::Users;
use crate::backend::Request;
use crate::config::{Config, MAX_OPERATORS};
use crate::conn::{Scratch, earliest, respite};
use crate::metrics::Block;
use crate::net::Readiness;
use crate::offload::{Done, Offload, Workers};
use crate::slab::Slab;

/// The first listener; the others are below it. No session has such a number: a process has not
/// as many descriptors.
const FIRST_LISTENER: usize = usize::MAX - 3;
/// Looks for room in Unix peers' backlogs in one turn; those of a daemon that serves others meanwhile.
const PROBES: usize = 64;
/// The most listeners.
const LISTENERS: usize = 1 << 16;

/// How many of what the loop holds there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Sessions, from the accept to the end.
    pub sessions: usize,
    /// Those among them that count against the limits; the others are told to go.
    pub admitted: usize,
    /// The addresses that those come from.
    pub addresses: usize,
    /// Bytes that wait in sessions.
    pub queued: u64,
}

/// The loop and all that it owns.
pub struct Reactor<S: System> {
    pub(super) service: Rc<Service>,
    pub(super) listeners: Vec<Listener<S>>,
    pub(super) sessions: Sessions<S>,
    pub(super) context: Context<S>,
    pub(super) drain: Drain,
    pub(super) over: bool,
    pub(super) meter: Meter,
    /// Whether SIGHUP came, and nobody has heeded it.
    hung_up: bool,
    /// The number of the next listener's token.
    next_listener: usize,
}

impl<S: System> Reactor<S> {
    /// A loop without listeners.
    ///
    /// # Errors
    /// There is no address space for as many sessions as may be.
    pub fn new(config: Config, mut system: S, workers: S::Workers) -> Result<Self> {
        let now = system.now();
        // A query may hold the slot of a client that has left.
        let slots = config.max_connections + MAX_OPERATORS + TOLD + config.query_threads;
        let context = Context {
            system,
            offload: Offload::new(workers),
            // A reload may allow more.
            slab: Slab::new(2 * slots).or_else(|_| Slab::new(slots))?,
            wheel: TimerWheel::new(now),
            respite: timer_wheel::whole_ticks(respite(&config.deadlines)),
            admission: Admission::default(),
            hang_ups: HangUps::default(),
            backlogs: Backlogs::new(),
            sources: Turns::default(),
            outgoing: Outgoing::default(),
            operators: Admission::default(),
            desk: Desk::default(),
            metrics: Block::default(),
            refusals: Refusals::new(config.admin.is_some()),
            queued: 0,
            overdue: Vec::new(),
            draining: false,
            scratch: Scratch::new(now),
        };
        let meter = Meter::new(config.admin.is_some());
        let (config, backend) = (Rc::new(config), Rc::default());
        let mut reactor = Self {
            service: Rc::new(Service { config, users: None, backend }),
            listeners: Vec::new(),
            sessions: Sessions::new(),
            context,
            drain: Drain::default(),
            over: false,
            meter,
            hung_up: false,
            next_listener: 0,
        };
        reactor.begin_counting();
        Ok(reactor)
    }

    /// A loop that knows the time of day.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.context.scratch = Scratch::new(self.context.scratch.now).with_clock(clock);
        self.begin_counting();
        self
    }

    /// A loop whose clients have names and passwords.
    #[must_use]
    pub(super) fn with_users(mut self, users: Option<Users>) -> Self {
        let Service { config, backend, .. } = &*self.service;
        let (config, backend) = (Rc::clone(config), Rc::clone(backend));
        self.service = Rc::new(Service { config, users: users.map(Arc::new), backend });
        self
    }

    /// Takes clients from one more listening socket.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn listen(&mut self, socket: S::Listener, entrance: Entrance) -> Result<()> {
        let listener = self.watch((socket, entrance, Site::Other), Rc::clone(&self.service))?;
        self.listeners.push(listener);
        Ok(())
    }

    /// Takes the operators from this listening socket.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn listen_for_operators(&mut self, socket: S::Listener, entrance: Entrance) -> Result<()> {
        let service = Rc::new(self.service.for_operators());
        let listener = self.watch((socket, entrance, Site::Other), service)?;
        self.listeners.push(listener);
        Ok(())
    }

    /// A listener under a token that no other has.
    ///
    /// # Errors
    /// It cannot be watched.
    pub(super) fn watch(
        &mut self,
        (mut socket, entrance, site): (S::Listener, Entrance, Site),
        service: Rc<Service>,
    ) -> Result<Listener<S>> {
        let token = loop {
            let token = Token(FIRST_LISTENER - self.next_listener);
            self.next_listener = (self.next_listener + 1) % LISTENERS;
            if self.listeners.iter().all(|listener| listener.token() != token) {
                break token;
            }
        };
        self.context.system.watch_listener(&mut socket, token)?;
        let is_admin = service.config.is_admin;
        let counted = (!is_admin).then(|| self.context.metrics.place(&entrance.name));
        Ok(Listener::new(socket, token, (entrance, site), service, counted))
    }

    /// What it holds now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (sessions, admission) = (self.sessions.len(), &self.context.admission);
        let (admitted, addresses) = (admission.admitted(), admission.addresses());
        Counts { sessions, admitted, addresses, queued: self.context.queued }
    }

    /// Runs until a signal ends it, and does something between its turns.
    ///
    /// # Errors
    /// The failure of the poll itself.
    pub(super) fn run_with(&mut self, mut between: impl FnMut(&mut Self)) -> Result<()> {
        let mut events = self.context.system.events();
        while !self.over {
            between(self);
            self.turn(&mut events)?;
        }
        Ok(())
    }

    /// Whether a signal has ended it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// One turn of the loop.
    ///
    /// # Errors
    /// The failure of the poll itself.
    pub fn turn(&mut self, events: &mut S::Events) -> Result<()> {
        let now = self.context.system.now();
        self.turn_is_over(now);
        let timeout = self.timeout(now);
        match self.context.system.wait(timeout, events) {
            Ok(()) => {}
            // Nothing was looked at, and a daemon that was stopped (SIGSTOP) is late: what
            // its clients did in the meantime comes before its deadlines.
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        self.context.scratch.now = self.context.system.now();
        self.turn_begins();
        let listed = self.sessions.take_listed();
        let waited = self.sessions.handshakes.len();
        let mut served = listed.len();
        for (token, readiness) in S::iter(events) {
            self.event(token, readiness);
            served += 1;
        }
        for key in listed {
            self.sessions.serve(key, &mut self.context, |session, context| {
                session.listed = false;
                session.turn(context)
            });
        }
        self.serve_deadlines();
        let joined = self.sessions.handshakes.len().saturating_sub(waited);
        self.shake_hands(served.saturating_sub(joined));
        self.serve_desk();
        self.look_back();
        self.sessions.list_held_back(&mut self.context);
        self.end_back_ends();
        self.go_on_draining();
        Ok(())
    }

    /// How long nothing needs doing.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        if self.sessions.are_busy() || self.context.desk.is_busy() {
            return Some(Duration::ZERO);
        }
        let resume_at = self.listeners.iter().filter_map(Listener::resume_at).min();
        let probe_at = self.context.backlogs.probe_at();
        let look_at = self.look_back_at();
        let (wake_up, late_at) = (self.context.wheel.wake_up(), self.others_are_late_at());
        let way_at = self.sessions.gives_way_at();
        earliest([resume_at, probe_at, look_at, wake_up, late_at, way_at, self.drain.next()])
            .map(|at| at.saturating_duration_since(now))
    }

    fn event(&mut self, token: Token, readiness: Readiness) {
        match token {
            SIGNALS => self.signalled(),
            OFFLOAD => self.take_in(),
            OTHERS => self.context.desk.heard = true,
            Token(number) if number > FIRST_LISTENER - LISTENERS => self.accept(token),
            token => {
                let (key, socket) = session::parse(token);
                self.sessions.serve(key, &mut self.context, |session, context| {
                    session.event(socket, readiness, context)
                });
            }
        }
    }

    /// What the offload brought.
    fn take_in(&mut self) {
        while let Some(done) = self.context.offload.next() {
            match done {
                Done::Answered { key, request, answer } => {
                    let Request { upgrade, loan, secrets, .. } = *request;
                    // If its client has left, the slot is free now.
                    let slot = self.context.slab.take_back(loan);
                    self.context.overdue.retain(|late| *late != key);
                    self.sessions.serve(key, &mut self.context, |session, context| {
                        session.answered(upgrade, slot, answer, &secrets, context)
                    });
                }
                Done::Verified { key, users, proof, right } => {
                    if right {
                        users.remember(proof, self.context.scratch.now);
                    }
                    self.sessions.serve(key, &mut self.context, |session, context| {
                        session.verified(right, context)
                    });
                }
                Done::File { key, done } => {
                    self.sessions.serve(key, &mut self.context, |session, context| {
                        session.brought(done, context)
                    });
                }
                Done::Resolved { name, addresses } => {
                    for key in self.context.offload.waited_for(&name) {
                        self.sessions.serve(key, &mut self.context, |session, context| {
                            session.resolved(addresses.clone(), context)
                        });
                    }
                }
            }
        }
    }

    /// Lets those who wait for room in a backlog look for it, one after the other while there is some.
    fn probe_backlogs(&mut self) {
        for _ in 0..PROBES {
            let Some(key) = self.context.backlogs.due(self.context.scratch.now) else { return };
            self.sessions.serve(key, &mut self.context, |session, context| session.probe(context));
        }
    }

    fn serve_deadlines(&mut self) {
        self.resume_accepting();
        self.probe_backlogs();
        let mut due: Vec<(Tick, Key)> = Vec::new();
        self.context.wheel.serve(self.context.scratch.now, &mut due);
        if !due.is_empty() {
            // An answer that is here is not too late, though its event may be in the next poll.
            self.take_in();
        }
        for (tick, key) in due {
            self.sessions
                .serve(key, &mut self.context, |session, context| session.due(tick, context));
        }
    }

    /// Ends the back ends that nobody asks any more.
    fn end_back_ends(&mut self) {
        if self.context.outgoing.is_empty() {
            return;
        }
        for instance in self.context.outgoing.take() {
            self.context.offload.workers().retire(instance);
        }
    }

    /// Whether SIGHUP came since it was asked last.
    pub fn take_hang_up(&mut self) -> bool {
        std::mem::take(&mut self.hung_up)
    }

    fn signalled(&mut self) {
        while let Some(signal) = self.context.system.next_signal() {
            match signal {
                Signal::Hangup if !self.drain.is_far() => {
                    info!("SIGHUP is ignored: the daemon ends");
                }
                Signal::Hangup => self.hung_up = true,
                Signal::Upgrade => {
                    info!(
                        "SIGUSR2 is ignored: one process alone cannot be upgraded, see --workers"
                    );
                }
                Signal::Terminate | Signal::Interrupt if self.drain.has_begun() => {
                    self.over = true;
                }
                Signal::Terminate => self.begin_drain("SIGTERM"),
                Signal::Interrupt => self.begin_drain("SIGINT"),
            }
        }
    }

    /// Closes the sessions that are left.
    pub fn close_all(&mut self) {
        for key in self.sessions.keys() {
            self.sessions.close(key, &mut self.context);
        }
    }
}
