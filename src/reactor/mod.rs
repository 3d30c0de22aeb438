//! The only room that touches a socket or reads the clock: one thread, one loop.
//!
//! A turn of the loop: wait for events, remember what they say, give each session that has
//! something to do its turn, serve the deadlines, take in what came back from the offload, close what is
//! finished. Sessions with more to do than one turn allows are listed for the next, and then the
//! wait is no wait.
//!
//! A session's sockets are registered once, edge-triggered, for both directions. Tokens carry the
//! slot's generation, so that an event of a closed socket reaches no new tenant.

mod accept;
mod connect;
mod dial;
mod listen;
mod session;
mod sessions;
mod setup;
mod timer_wheel;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::backend::Backend;
use crate::config::Config;
use crate::conn::Scratch;
use crate::offload::Offload;
use session::{CLIENT, Session};
use sessions::{Key, Slab};
pub use setup::{StartError, run};
use timer_wheel::{Tick, TimerWheel};

const LISTENER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
const OFFLOAD: Token = Token(usize::MAX - 2);

/// Events taken at once.
const EVENTS: usize = 1024;

/// The loop and all that it owns.
struct Reactor {
    config: Rc<Config>,
    backend: Arc<Backend>,
    poll: Poll,
    listener: Option<TcpListener>,
    signals: Signals,
    offload: Offload<Key>,
    wheel: TimerWheel,
    sessions: Slab<Session>,
    /// How many of them were let in, in all and from each address; the others are told to go.
    admitted: usize,
    per_address: HashMap<IpAddr, usize>,
    scratch: Scratch,
    /// Sessions with more to do at once.
    listed: Vec<Key>,
    /// When accepting goes on after a pause.
    accept_at: Option<Instant>,
    /// When the sessions that are left are cut off.
    drain_until: Option<Instant>,
    over: bool,
}

impl Reactor {
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while !self.over {
            let wait = self.wait(Instant::now());
            match self.poll.poll(&mut events, wait) {
                Ok(()) => {}
                // Nothing was looked at, and a daemon that was stopped (SIGSTOP) is late: what
                // its clients did in the meantime comes before its deadlines.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.scratch.now = Instant::now();
            let listed = std::mem::take(&mut self.listed);
            for event in &events {
                self.event(event);
            }
            for key in listed {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.listed = false;
                    self.turn(key);
                }
            }
            self.serve_deadlines();
            self.end_drain();
        }
        Ok(())
    }

    /// How long nothing needs doing.
    fn wait(&self, now: Instant) -> Option<Duration> {
        if !self.listed.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = [self.wheel.wake_up(), self.accept_at, self.drain_until];
        next.into_iter().flatten().min().map(|at| at.saturating_duration_since(now))
    }

    fn event(&mut self, event: &Event) {
        match event.token() {
            LISTENER => self.accept(),
            SIGNALS => self.signalled(),
            OFFLOAD => self.take_in(),
            token => {
                let (key, socket) = session::parse(token);
                if socket != CLIENT {
                    self.race_event(key, socket, event);
                }
                let Some(session) = self.sessions.get_mut(key) else { return };
                session.note(socket, event);
                self.turn(key);
            }
        }
    }

    /// One turn of one session, and what follows from it.
    fn turn(&mut self, key: Key) {
        let Some(mut session) = self.sessions.get_mut(key) else { return };
        let mut again = session.pump(&mut self.scratch);
        while let (false, Some(action)) =
            (session.connection.finished(), session.connection.take_action())
        {
            self.act(key, action);
            let Some(acted) = self.sessions.get_mut(key) else { return };
            session = acted;
            again = session.pump(&mut self.scratch);
        }
        if session.connection.finished() {
            return self.close(key);
        }
        let ended = session.connection.ending().is_some();
        if again && !std::mem::replace(&mut session.listed, true) {
            self.listed.push(key);
        }
        if ended {
            self.stop_reaching(key);
        }
        self.enter_deadline(key);
    }

    /// Sees that the wheel looks at the session in time.
    fn enter_deadline(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(deadline) = session.deadline() else { return };
        let tick = self.wheel.tick(deadline);
        if session.entered == 0 || tick < session.entered {
            session.entered = tick;
            self.wheel.enter(tick, key);
        }
    }

    fn serve_deadlines(&mut self) {
        if self.accept_at.is_some_and(|at| at <= self.scratch.now) {
            self.accept_at = None;
            self.accept();
        }
        let mut due: Vec<(Tick, Key)> = Vec::new();
        self.wheel.serve(self.scratch.now, &mut due);
        if !due.is_empty() {
            // An answer that is here is not too late, though its event may be in the next poll.
            self.take_in();
        }
        for (tick, key) in due {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            if session.entered != tick {
                continue;
            }
            session.entered = 0;
            if session.connection.deadline().is_some_and(|at| at <= self.scratch.now) {
                session.judge(&mut self.scratch);
            }
            self.dial_due(key);
            self.turn(key);
        }
    }

    fn signalled(&mut self) {
        for signal in self.signals.pending().collect::<Vec<_>>() {
            match signal {
                SIGHUP => info!("SIGHUP is ignored: the configuration is read at start only"),
                signal if self.drain_until.is_none() => self.drain(signal),
                _ => self.over = true,
            }
        }
    }

    /// Takes no more clients and says goodbye to those that are there.
    fn drain(&mut self, signal: i32) {
        let name = if signal == SIGTERM { "SIGTERM" } else { "SIGINT" };
        info!("{name}: ending {} sessions", self.sessions.len());
        self.accept_all();
        if let Some(mut listener) = self.listener.take() {
            // Closing it takes it out of the poll too.
            let _ = self.poll.registry().deregister(&mut listener);
        }
        self.accept_at = None;
        self.drain_until = Some(self.scratch.now + self.config.drain_timeout);
        for key in self.sessions.keys() {
            if let Some(session) = self.sessions.get_mut(key) {
                session.connection.shut_down(&mut self.scratch);
                self.turn(key);
            }
        }
    }

    fn end_drain(&mut self) {
        let Some(until) = self.drain_until else { return };
        if until <= self.scratch.now && self.sessions.len() > 0 {
            warn!("cut off {} sessions that did not end in time", self.sessions.len());
        }
        self.over |= self.sessions.len() == 0 || until <= self.scratch.now;
    }
}
