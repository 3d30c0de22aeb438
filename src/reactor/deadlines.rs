//! When the wheel looks at a session, and what is due then.

use std::time::Instant;

use log::warn;

use super::context::Context;
use super::session::{Next, PeerState, Session};
use super::system::System;
use super::timer_wheel::Tick;
use crate::conn::earliest;
use crate::net::Channel;

impl<S: System> Session<S> {
    /// The turn of the wheel's entry at `tick`.
    pub(super) fn due(&mut self, tick: Tick, context: &mut Context<S>) -> Next {
        if self.entered != tick {
            return Next::Wait;
        }
        self.entered = 0;
        let now = context.scratch.now;
        if self.is_late(now) {
            if self.awaits_header() {
                return self.header_is_late(context);
            }
            // What it sent for its handshake may be here, and is looked at before it is judged.
            if self.postponed || self.postpone() {
                return Next::Wait;
            }
            self.judge(context);
        }
        self.probe_peer();
        self.dial_due(context);
        self.turn(context)
    }

    /// It is late: ends it, unless what is there says otherwise.
    pub(super) fn judge(&mut self, context: &mut Context<S>) {
        self.with(&mut context.scratch).deadline();
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.connection.deadline().is_some_and(|at| at <= now)
    }

    /// Has the kernel probe the peer, once: not when it is reached, for a short session needs no
    /// probes and would pay four system calls for them.
    fn probe_peer(&mut self) {
        let Some(interval) = self.connection.probe_interval().filter(|_| !self.probed) else {
            return;
        };
        if let PeerState::Connected(peer, _) = &self.peer {
            self.probed = true;
            if let Err(error) = peer.keep_alive(interval) {
                warn!("{self}: the kernel does not probe the peer: {error}");
            }
        }
    }

    /// Sees that the wheel looks at the session in time; a ping may be late by the respite.
    ///
    /// Most turns of an open session find an entry that comes before all that they begin: it stands,
    /// and nothing is computed.
    pub(super) fn enter_deadline(&mut self, context: &mut Context<S>) {
        let stands = self.entered != 0 && context.wheel.is_within(self.entered, context.respite);
        if stands && self.connection.is_open() {
            return;
        }
        let Some(deadline) = self.deadline() else { return };
        let tick = context.wheel.tick(deadline);
        if self.entered == 0 || tick < self.entered {
            self.entered = tick;
            context.wheel.enter(tick, self.key);
        }
    }

    /// When something is due.
    fn deadline(&self) -> Option<Instant> {
        let dial = match &self.peer {
            PeerState::Racing(race) => race.next_at,
            PeerState::None
            | PeerState::Resolving(_)
            | PeerState::Queued(_)
            | PeerState::Preparing(..)
            | PeerState::Connected(..) => None,
        };
        earliest([self.connection.deadline(), dial])
    }
}
