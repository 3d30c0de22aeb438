//! TLS handshakes, with clients and peers: so many steps a turn, the rest in the next ones.
//!
//! A step of a handshake takes the loop as long as a hundred messages. So none is taken where its
//! event comes: its session joins a line, and when all others had their turn, so does the front of the
//! line. What epoll said is kept there, since it does not say it again.

use std::time::Duration;

use super::context::Context;
use super::event_loop::Reactor;
use super::listen::{ACCEPTS, Listener};
use super::session::{Next, PeerState, Session};
use super::system::System;
use crate::net::Channel;

/// Steps of one turn, however little else there is to do.
const STEPS: usize = 16;
/// Further ones where there is much: one for so many others who had their turn.
const OTHERS: usize = 4;
/// How long they may take before no further one is begun, unless the others took longer.
const TIME: Duration = Duration::from_millis(1);

/// What one turn of the loop may do for handshakes, in steps and in time: about as much as for all
/// others, so that neither waits for long.
struct Share {
    steps: usize,
    time: Duration,
}

impl Share {
    /// In a turn in which so many others were served, which took `time`.
    fn beside(others: usize, time: Duration) -> Self {
        Self { steps: STEPS.max(others / OTHERS), time: TIME.max(time) }
    }

    /// Whether one more step may be begun after so many, which took `time`; the first in any case.
    fn allows(&self, steps: usize, time: Duration) -> bool {
        steps == 0 || steps < self.steps && time < self.time
    }
}

impl<S: System> Reactor<S> {
    /// Goes on with handshakes, in a turn in which so many others were served.
    pub(super) fn shake_hands(&mut self, others: usize) {
        if self.sessions.handshakes.is_empty() {
            return;
        }
        let begin = self.context.system.now();
        let share =
            Share::beside(others, begin.saturating_duration_since(self.context.scratch.now));
        let (mut steps, mut now) = (0, begin);
        while share.allows(steps, now.saturating_duration_since(begin))
            && let Some(key) = self.sessions.handshakes.first()
        {
            self.sessions.serve(key, &mut self.context, Session::shake_hands);
            steps += 1;
            now = self.context.system.now();
        }
    }

    /// Whether a listener's clients are better off in the kernel's queue for a while: so many others
    /// wait for their handshakes.
    pub(super) fn is_crowded(&self, listener: &Listener<S>) -> bool {
        listener.entrance().words.tls && self.sessions.handshakes.len() >= ACCEPTS
    }
}

impl<S: System> Session<S> {
    /// Has what its client sent, or may have sent, wait for its turn in the line, if that belongs to a
    /// handshake.
    pub(super) fn postpone(&mut self) -> bool {
        if !self.client.understands() {
            self.client_ready.readable = false;
            self.postponed = true;
        }
        self.postponed
    }

    /// An event of the peer's that is a step of a handshake waits in the line, too.
    pub(super) fn postpone_peers(&mut self, socket: usize) {
        self.postponed |= matches!(self.peer, PeerState::Preparing(_, own) if own == socket);
    }

    /// Its turn at the front of the line.
    fn shake_hands(&mut self, context: &mut Context<S>) -> Next {
        self.postponed = false;
        self.go_on_preparing(context);
        if !self.client.understands() {
            self.take_for_ready();
        }
        if self.is_late(context.scratch.now) {
            // What was there has been looked at by then, and one step is enough.
            self.judge(context);
            return self.turn(context);
        }
        self.turn_now(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_have_their_share_of_a_turn() {
        let ms = Duration::from_millis;
        for (others, their_time, steps, time, allowed) in [
            // However long the others took, and whatever a step takes: there is always one.
            (0, ms(0), 0, ms(0), true),
            (1000, ms(900), 0, ms(0), true),
            (0, ms(0), 0, ms(9), true),
            (0, ms(0), 15, ms(0), true),
            (0, ms(0), 16, ms(0), false),
            (64, ms(0), 16, ms(0), false),
            (67, ms(0), 16, ms(0), false),
            (68, ms(0), 16, ms(0), true),
            (1024, ms(9), 255, ms(8), true),
            (1024, ms(9), 256, ms(8), false),
            // Keys that take their time.
            (0, ms(0), 1, ms(1), false),
            (0, ms(0), 1, ms(0), true),
            (1024, ms(9), 1, ms(8), true),
            (1024, ms(9), 1, ms(9), false),
        ] {
            let share = Share::beside(others, their_time);
            let case = (others, their_time, steps, time);
            assert_eq!(share.allows(steps, time), allowed, "{case:?}");
        }
    }
}
