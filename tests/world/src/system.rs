//! The made-up system around a daemon: its clock, its listening queue, its resolver, its connects
//! and its descriptors, and the back end that a plug-in would be.
//!
//! What takes time comes back as an [`Event`] when the clock is there, as it would from a poll or
//! from a thread; what the system can refuse, it refuses at once.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use websocksy::backend::{QueryError, Target};

use crate::agenda::Agenda;
use crate::chance::Random;
use crate::descriptors::{Descriptor, Descriptors};
use crate::options::{Faults, Latencies};

/// Descriptors of a system that has enough of them.
const MANY_DESCRIPTORS: usize = 1_000;
/// Descriptors, at most, of one that has few.
const FEW_DESCRIPTORS: usize = 6;

/// Something that a client, or a session, asked for is there; `key` is what they call it.
#[derive(Debug)]
pub enum Event {
    /// The back end's answer: there is a peer, or not.
    Answered {
        /// Who asked.
        key: usize,
        /// What the answer is.
        found: std::result::Result<(), QueryError>,
    },
    /// A name is looked up, or unknown.
    LookedUp {
        /// Who asked.
        key: usize,
        /// What came of it.
        found: Result<()>,
    },
    /// A connect came to its end.
    Connected {
        /// Who asked.
        key: usize,
        /// The descriptor of the peer's socket, or why there is none.
        socket: Result<Descriptor>,
    },
}

/// What is due at a time, but for events.
#[derive(Debug)]
enum Due {
    /// A client is in the listening queue.
    Arrival(usize),
    /// An event, and a duplicate of the client's descriptor that a query holds meanwhile.
    Event(Event, Option<Descriptor>),
}

/// The made-up system.
#[derive(Debug)]
pub struct System {
    now: Instant,
    random: Random,
    faults: Faults,
    latencies: Latencies,
    descriptors: Descriptors,
    /// The listening queue; none once the listener is closed.
    listening: Option<VecDeque<usize>>,
    agenda: Agenda<Due>,
}

impl System {
    /// A system in which nothing has happened yet.
    #[must_use]
    pub fn new(faults: Faults, latencies: Latencies, mut random: Random) -> Self {
        let descriptors = match random.one_in(faults.few_descriptors) {
            true => random.up_to(FEW_DESCRIPTORS),
            false => MANY_DESCRIPTORS,
        };
        Self {
            now: Instant::now(),
            random,
            faults,
            latencies,
            descriptors: Descriptors::new(descriptors),
            listening: Some(VecDeque::new()),
            agenda: Agenda::new(),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Time passes.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Whether all descriptors were given back but those that queries hold.
    #[must_use]
    pub fn has_all_descriptors(&self) -> bool {
        let held = |due: &&Due| matches!(due, Due::Event(_, Some(_)));
        self.descriptors.taken() == self.agenda.iter().filter(held).count()
    }

    /// When the next thing is due.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.agenda.next_at()
    }

    /// The next event that is due by now; clients that have arrived by now are queued.
    pub fn next_event(&mut self) -> Option<Event> {
        while self.next_at().is_some_and(|at| at <= self.now) {
            match self.agenda.pop()? {
                Due::Event(event, _) => return Some(event),
                Due::Arrival(client) => {
                    _ = self.listening.as_mut().map(|queue| queue.push_back(client));
                }
            }
        }
        None
    }

    /// A client connects.
    pub fn arrive(&mut self, client: usize) {
        let after = self.random.below(micros(self.latencies.arrival));
        self.enter(Duration::from_micros(after), Due::Arrival(client));
    }

    /// The first client in the listening queue.
    pub fn accept(&mut self) -> Result<(usize, Descriptor)> {
        let waiting = self.listening.as_ref().and_then(VecDeque::front);
        let client = *waiting.ok_or(ErrorKind::WouldBlock)?;
        let descriptor = self.descriptors.take()?;
        _ = self.listening.as_mut().and_then(VecDeque::pop_front);
        if self.random.one_in(self.faults.aborted) {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok((client, descriptor))
    }

    /// Whether a client is on its way, or in the listening queue.
    #[must_use]
    pub fn awaits(&self, client: usize) -> bool {
        let mut due = self.agenda.iter();
        due.any(|due| matches!(due, Due::Arrival(other) if *other == client))
            || self.listening.as_ref().is_some_and(|queue| queue.contains(&client))
    }

    /// The listener is closed: who waits in its queue is reset, and who comes later is refused.
    pub fn stop_listening(&mut self) {
        self.listening = None;
        self.agenda.retain(|due| !matches!(due, Due::Arrival(_)));
    }

    /// The back end is asked; it gets a duplicate of the client's descriptor.
    pub fn query(&mut self, key: usize) -> Result<()> {
        let descriptor = self.descriptors.take()?;
        let no_peer = self.random.one_in(self.faults.no_peer);
        let found = if no_peer { Err(QueryError::NoPeer) } else { Ok(()) };
        let after = self.latency(self.latencies.query);
        self.enter(after, Due::Event(Event::Answered { key, found }, Some(descriptor)));
        Ok(())
    }

    /// Whether a peer's name must be looked up.
    #[must_use]
    pub fn has_name(target: &Target) -> bool {
        matches!(target, Target::Tcp { host, .. } | Target::Udp { host, .. }
            if host.parse::<IpAddr>().is_err())
    }

    /// A name is looked up.
    pub fn look_up(&mut self, key: usize) {
        let unknown = self.random.one_in(self.faults.unknown_name);
        let found = if unknown { Err(ErrorKind::NotFound.into()) } else { Ok(()) };
        let after = self.latency(self.latencies.look_up);
        self.enter(after, Due::Event(Event::LookedUp { key, found }, None));
    }

    /// A peer is connected to; what is not TCP says at once what comes of it.
    pub fn connect(&mut self, key: usize, target: &Target) -> Result<()> {
        let descriptor = self.descriptors.take()?;
        let refused = self.random.one_in(self.faults.refused_connect);
        let socket = if refused { Err(refusal()) } else { Ok(descriptor) };
        let after = match target {
            Target::Tcp { .. } => self.latency(self.latencies.connect),
            _ => Duration::ZERO,
        };
        self.enter(after, Due::Event(Event::Connected { key, socket }, None));
        Ok(())
    }

    /// Nobody waits for a peer under this key any more. A query that has begun goes on.
    pub fn forget(&mut self, key: usize) {
        self.agenda.retain(|due| match due {
            Due::Arrival(_) | Due::Event(Event::Answered { .. }, _) => true,
            Due::Event(Event::LookedUp { key: of, .. } | Event::Connected { key: of, .. }, _) => {
                *of != key
            }
        });
    }

    fn latency(&mut self, up_to: Duration) -> Duration {
        let hangs = self.random.one_in(self.faults.hang);
        let up_to = if hangs { self.latencies.hang } else { up_to };
        Duration::from_micros(self.random.below(micros(up_to)))
    }

    fn enter(&mut self, after: Duration, due: Due) {
        self.agenda.enter(self.now + after, due);
    }
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn refusal() -> Error {
    ErrorKind::ConnectionRefused.into()
}
