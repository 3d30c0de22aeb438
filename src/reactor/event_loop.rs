//! The turn of the loop.

use std::io::{ErrorKind, Result};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use log::{info, warn};
use mio::Token;

use super::context::Context;
use super::dial::Backlogs;
use super::listen::{Admission, Entrance, HangUps, Listener};
use super::session;
use super::sessions::{Sessions, TOLD};
use super::slots::Key;
use super::system::{OFFLOAD, SIGNALS, Signal, System};
use super::timer_wheel::{self, Tick, TimerWheel};
use crate::backend::Request;
use crate::config::Config;
use crate::conn::{Scratch, respite};
use crate::net::Readiness;
use crate::offload::{Done, Offload};
use crate::slab::Slab;

/// The first listener; the others are below it. No session has such a number: a process has not
/// as many descriptors.
const FIRST_LISTENER: usize = usize::MAX - 2;
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
}

/// The loop and all that it owns.
pub struct Reactor<S: System> {
    config: Rc<Config>,
    pub(super) listeners: Vec<Listener<S>>,
    pub(super) sessions: Sessions<S>,
    pub(super) context: Context<S>,
    /// When the sessions that are left are cut off.
    drain_until: Option<Instant>,
    over: bool,
}

impl<S: System> Reactor<S> {
    /// A loop without listeners.
    ///
    /// # Errors
    /// There is no address space for as many sessions as may be.
    pub fn new(config: Config, mut system: S, workers: S::Workers) -> Result<Self> {
        let now = system.now();
        // A query may hold the slot of a client that has left.
        let slots = config.max_connections + TOLD + config.query_threads;
        let context = Context {
            system,
            offload: Offload::new(workers),
            slab: Slab::new(slots)?,
            wheel: TimerWheel::new(now),
            respite: timer_wheel::whole_ticks(respite(&config.deadlines)),
            admission: Admission::default(),
            hang_ups: HangUps::default(),
            backlogs: Backlogs::new(),
            draining: false,
            scratch: Scratch::new(now),
        };
        Ok(Self {
            config: Rc::new(config),
            listeners: Vec::new(),
            sessions: Sessions::new(),
            context,
            drain_until: None,
            over: false,
        })
    }

    /// A loop that knows the time of day.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.context.scratch = Scratch::new(self.context.scratch.now).with_clock(clock);
        self
    }

    /// Takes clients from one more listening socket.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn listen(&mut self, mut socket: S::Listener, entrance: Entrance) -> Result<()> {
        let token = Token(FIRST_LISTENER - self.listeners.len());
        self.context.system.watch_listener(&mut socket, token)?;
        self.listeners.push(Listener::new(socket, token, entrance, Rc::clone(&self.config)));
        Ok(())
    }

    /// What it holds now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (sessions, admission) = (self.sessions.len(), &self.context.admission);
        Counts { sessions, admitted: admission.admitted(), addresses: admission.addresses() }
    }

    /// Runs until a signal ends it.
    ///
    /// # Errors
    /// The failure of the poll itself.
    pub fn run(&mut self) -> Result<()> {
        let mut events = self.context.system.events();
        while !self.over {
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
        let timeout = self.timeout(now);
        match self.context.system.wait(timeout, events) {
            Ok(()) => {}
            // Nothing was looked at, and a daemon that was stopped (SIGSTOP) is late: what
            // its clients did in the meantime comes before its deadlines.
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        self.context.scratch.now = self.context.system.now();
        let listed = self.sessions.take_listed();
        for (token, readiness) in S::iter(events) {
            self.event(token, readiness);
        }
        for key in listed {
            self.sessions.serve(key, &mut self.context, |session, context| {
                session.listed = false;
                session.turn(context)
            });
        }
        self.serve_deadlines();
        self.end_drain();
        Ok(())
    }

    /// How long nothing needs doing.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        if self.sessions.are_listed() {
            return Some(Duration::ZERO);
        }
        let resume_at = self.listeners.iter().filter_map(Listener::resume_at).min();
        let probe_at = self.context.backlogs.probe_at();
        let next = [resume_at, probe_at, self.context.wheel.wake_up(), self.drain_until];
        next.into_iter().flatten().min().map(|at| at.saturating_duration_since(now))
    }

    fn event(&mut self, token: Token, readiness: Readiness) {
        match token {
            SIGNALS => self.signalled(),
            OFFLOAD => self.take_in(),
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
                Done::Answered { key, request: Request { upgrade, loan, .. }, answer } => {
                    // If its client has left, the slot is free now.
                    let slot = self.context.slab.take_back(loan);
                    self.sessions.serve(key, &mut self.context, |session, context| {
                        session.answered(upgrade, slot, answer, context)
                    });
                }
                Done::Verified { key, proof, right } => {
                    if right {
                        self.context.offload.remember(proof, self.context.scratch.now);
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

    fn signalled(&mut self) {
        while let Some(signal) = self.context.system.next_signal() {
            match signal {
                Signal::Hangup => {
                    info!("SIGHUP is ignored: the configuration is read at start only");
                }
                Signal::Terminate | Signal::Interrupt if self.drain_until.is_some() => {
                    self.over = true;
                }
                Signal::Terminate => self.drain("SIGTERM"),
                Signal::Interrupt => self.drain("SIGINT"),
            }
        }
    }

    /// Takes no more clients and says goodbye to those that are there.
    fn drain(&mut self, signal: &str) {
        info!("{signal}: ending {} sessions", self.sessions.len());
        self.context.system.drains();
        self.stop_listening();
        self.context.draining = true;
        self.drain_until = Some(self.context.scratch.now + self.config.drain_timeout);
        for key in self.sessions.keys() {
            self.sessions
                .serve(key, &mut self.context, |session, context| session.shut_down(context));
        }
    }

    fn end_drain(&mut self) {
        let Some(until) = self.drain_until else { return };
        let (left, late) = (self.sessions.len(), until <= self.context.scratch.now);
        if late && left > 0 {
            warn!("cut off {left} sessions that did not end in time");
        }
        self.over |= left == 0 || late;
    }

    /// Closes the sessions that are left.
    pub fn close_all(&mut self) {
        for key in self.sessions.keys() {
            self.sessions.close(key, &mut self.context);
        }
    }
}
