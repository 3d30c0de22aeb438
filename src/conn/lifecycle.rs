//! Where a connection stands, and why it ends.
//!
//! ```text
//! Head -> Verifying -> Asking -> Dialling -> Open -> Closing
//!   |\________\_________\_________\-> Refused        \-> Over
//!   Responding
//! ```
//!
//! [`Lifecycle::end`] is the only writer of the ending, and the first ending stands.

use std::time::Instant;

use super::bridge::Bridge;
use super::ending::Ending;
use super::responding::Responding;
use crate::backend::Answer;
use crate::http::{Request, Route};
use crate::proto::handshake::Upgrade;
use crate::proto::http::HeadParser;
use crate::slab::Slot;

/// Where a connection stands.
pub(super) enum Phase {
    /// The request head is being read.
    Head(Box<HeadParser>, Slot),
    /// The client's password is looked at.
    Verifying(Box<Unverified>),
    /// The back end is asked, and has the slot.
    Asking,
    /// The peer is being reached.
    Dialling(Box<Opening>),
    /// Bridged (RFC 6455 §4.2.2).
    Open(Box<Bridge>),
    /// Bridged, and one side is at its end: the closing handshake (RFC 6455 §7.1.3).
    Closing(Box<Bridge>),
    /// A plain request is answered; then the next is read.
    Responding(Box<Responding>),
    /// Refused, or answered for the last time: that goes out.
    Refused,
    /// Nothing is left to do; was it bridged before?
    Over { bridged: bool },
}

/// A good request of somebody of whom it is not known who it is.
pub(super) struct Unverified {
    pub(super) wanted: Wanted,
    pub(super) slot: Slot,
    pub(super) user: String,
}

/// What a good request is for.
pub(super) enum Wanted {
    /// The bridge.
    Bridge(Box<Upgrade>),
    /// An answer without a WebSocket.
    Answer(Route, Box<Request>),
}

/// A handshake that was accepted but not answered yet.
pub(super) struct Opening {
    pub(super) upgrade: Box<Upgrade>,
    /// Its `read_buffer` holds frames that came with the head.
    pub(super) slot: Slot,
    pub(super) answer: Answer,
    /// When the back end answered.
    pub(super) since: Instant,
    /// When it is too late for any peer.
    pub(super) until: Instant,
    /// Why the peer before could not be reached.
    pub(super) unreached: Option<String>,
}

impl Opening {
    /// Until when its peer may be tried: each has the same share of the time that is left.
    pub(super) fn share(&self, now: Instant) -> Instant {
        let peers = self.answer.further.len() as u32 + 1; // sixteen at most
        now + self.until.saturating_duration_since(now) / peers
    }
}

/// The phase, its deadline, and the ending.
pub(super) struct Lifecycle {
    phase: Phase,
    /// Set in [`Phase::Closing`], [`Phase::Refused`] and [`Phase::Over`], and in no other.
    ending: Option<Box<Ending>>,
    phase_deadline: Option<Instant>,
}

impl Lifecycle {
    /// A client of which nothing was read.
    pub(super) fn new(parser: Box<HeadParser>, slot: Slot, deadline: Instant) -> Self {
        let phase = Phase::Head(parser, slot);
        Self { phase, ending: None, phase_deadline: Some(deadline) }
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(super) fn phase_mut(&mut self) -> &mut Phase {
        &mut self.phase
    }

    /// The bridge, while there is one.
    pub(super) fn bridge(&self) -> Option<&Bridge> {
        match &self.phase {
            Phase::Open(bridge) | Phase::Closing(bridge) => Some(bridge),
            Phase::Head(..) | Phase::Verifying(_) | Phase::Asking | Phase::Dialling(_) => None,
            Phase::Responding(_) | Phase::Refused | Phase::Over { .. } => None,
        }
    }

    /// The bridge, while there is one.
    pub(super) fn bridge_mut(&mut self) -> Option<&mut Bridge> {
        match &mut self.phase {
            Phase::Open(bridge) | Phase::Closing(bridge) => Some(bridge),
            Phase::Head(..) | Phase::Verifying(_) | Phase::Asking | Phase::Dialling(_) => None,
            Phase::Responding(_) | Phase::Refused | Phase::Over { .. } => None,
        }
    }

    /// Whether the client waits for an answer that the back end or the peer has not made possible.
    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Verifying(_) | Phase::Asking | Phase::Dialling(_))
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// Whether it is or was bridged.
    pub(super) fn was_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_) | Phase::Closing(_) | Phase::Over { bridged: true })
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// The phase with all that is in it, to go on from it or to be refused.
    pub(super) fn leave(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Asking)
    }

    /// Goes on to `phase`, which is to be left by `deadline`.
    pub(super) fn advance(&mut self, phase: Phase, deadline: Option<Instant>) {
        debug_assert!(self.ending.is_none(), "an ending is final");
        self.phase = phase;
        self.phase_deadline = deadline;
    }

    /// The phase goes on, and is to be left by `deadline`.
    pub(super) fn await_until(&mut self, deadline: Option<Instant>) {
        if self.ending.is_none() {
            self.phase_deadline = deadline;
        }
    }

    /// Why it ended, once it does.
    pub(super) fn ending(&self) -> Option<&Ending> {
        self.ending.as_deref()
    }

    /// It ends. The first reason stands; what follows from it does not replace it.
    pub(super) fn end(&mut self, ending: Ending, deadline: Instant) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(Box::new(ending));
        self.phase_deadline = Some(deadline);
        self.phase = match std::mem::replace(&mut self.phase, Phase::Refused) {
            Phase::Open(bridge) => Phase::Closing(bridge),
            Phase::Head(..)
            | Phase::Verifying(_)
            | Phase::Asking
            | Phase::Dialling(_)
            | Phase::Responding(_) => Phase::Refused,
            ended @ (Phase::Closing(_) | Phase::Refused | Phase::Over { .. }) => ended,
        };
    }

    /// Nothing is left to do; `ending` says why if nothing did before.
    pub(super) fn finish(&mut self, ending: impl FnOnce() -> Ending) {
        self.ending.get_or_insert_with(|| Box::new(ending()));
        self.cut_off();
    }

    /// Nothing more is done for a connection that has its ending.
    pub(super) fn cut_off(&mut self) {
        debug_assert!(self.ending.is_some(), "nothing is over without a reason");
        self.phase = Phase::Over { bridged: self.was_open() };
        self.phase_deadline = None;
    }

    pub(super) fn phase_deadline(&self) -> Option<Instant> {
        self.phase_deadline
    }

    /// An ending connection has until `deadline` from now on.
    pub(super) fn prolong(&mut self, deadline: Instant) {
        if self.ending.is_some() && !self.is_over() {
            self.phase_deadline = Some(deadline);
        }
    }
}
