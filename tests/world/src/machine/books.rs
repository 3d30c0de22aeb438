//! What the machine remembers of the daemon's sleep, its pauses and its signals.

use std::time::{Duration, Instant};

/// How long accepting pauses when nothing is left.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// Steps of handshakes in one turn, and for how many others there may be one more.
const STEPS: usize = 16;
const OTHERS: usize = 4;
/// Turns without a wait and without an event: sessions with more to do come to an end.
const BUSY: usize = 60;

#[derive(Debug)]
pub(super) struct Books {
    /// The back end answers at once.
    pub(super) instant: bool,
    pub(super) waits: usize,
    /// From when to when the daemon was stopped.
    stops: Vec<(Instant, Instant)>,
    pub(super) signalled: Option<Instant>,
    /// When accepting last found nothing left, and how often it did.
    nothing_left: Option<Instant>,
    /// Since when accepting pauses, as far as the daemon was not stopped.
    pub(super) paused_at: Option<Instant>,
    /// When the daemon was told to end.
    pub(super) drains_since: Option<Instant>,
    pub(super) pauses: u64,
    busy: usize,
    /// Steps of handshakes in this turn.
    steps: usize,
    /// Turns in a row in which nobody was accepted though somebody waits.
    pub(super) held_back: usize,
    /// What the last wait brought.
    events: usize,
    pub(super) races: u64,
    /// Whether the last wait was interrupted, so that nothing was looked at.
    looked: bool,
}

impl Books {
    pub(super) fn new(instant: bool) -> Self {
        Self {
            instant,
            waits: 0,
            stops: Vec::new(),
            signalled: None,
            nothing_left: None,
            paused_at: None,
            drains_since: None,
            pauses: 0,
            busy: 0,
            steps: 0,
            held_back: 0,
            events: 0,
            races: 0,
            looked: false,
        }
    }

    pub(super) fn signalled(&mut self, now: Instant) {
        self.signalled.get_or_insert(now);
    }

    /// A wait was interrupted, and the daemon was stopped from `now` on.
    pub(super) fn interrupted(&mut self, now: Instant, until: Instant) {
        self.looked = false;
        self.stops.push((now, until));
        self.paused_at = self.paused_at.map(|at| at + (until - now));
    }

    /// How long the daemon was stopped in between.
    pub(super) fn stopped(&self, from: Instant, to: Instant) -> Duration {
        let within = |&(stop, end): &(Instant, Instant)| {
            end.min(to).saturating_duration_since(stop.max(from))
        };
        self.stops.iter().map(within).sum()
    }

    /// Whether the last wait brought events.
    pub(super) fn looked(&self) -> bool {
        self.looked
    }

    /// A signal is told.
    pub(super) fn told(&mut self, now: Instant) {
        if self.signalled.is_some() {
            self.drains_since.get_or_insert(now);
        }
    }

    /// An accept finds what it needs.
    pub(super) fn goes_on(&mut self) {
        self.paused_at = None;
    }

    /// A wait is over.
    pub(super) fn turn(&mut self, timeout: Option<Duration>, events: usize) {
        self.looked = true;
        (self.steps, self.events) = (0, events);
        let busy = timeout == Some(Duration::ZERO) && events == 0;
        self.busy = if busy { self.busy + 1 } else { 0 };
        assert!(self.busy < BUSY, "it spins");
    }

    /// A step of a handshake, while the daemon holds so many sockets.
    pub(super) fn step(&mut self, sockets: usize) {
        self.steps += 1;
        let others = self.events + sockets;
        assert!(self.steps <= STEPS.max(others / OTHERS), "{} handshakes in a turn", self.steps);
    }

    /// An accept finds no descriptor. At a signal, one more may.
    pub(super) fn nothing_left(&mut self, now: Instant) {
        let last = self.nothing_left.replace(now);
        let paused = last.is_none_or(|last| now - last >= ACCEPT_PAUSE);
        assert!(paused || self.signalled.is_some(), "accepting does not pause");
        self.paused_at = Some(now);
        self.pauses += 1;
    }
}
