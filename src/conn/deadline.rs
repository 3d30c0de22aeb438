//! Until when a connection waits, and what happens then.

use std::time::{Duration, Instant};

use super::batch::stage_frame;
use super::{Connection, Ending, Intake, Phase, Scratch, Side};
use crate::proto::frame::Opcode;

impl Connection {
    /// When something is due if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let stalls = [Side::Client, Side::Peer].map(|side| self.stalled_at(side));
        let others = [self.phase_over_at(), self.ping_at(), self.idle_at()];
        stalls.into_iter().chain(others).flatten().min()
    }

    /// Does what is due at `now`.
    pub fn expired(&mut self, scratch: &mut Scratch) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= scratch.now);
        if due(self.phase_over_at()) {
            self.phase_over(scratch);
        } else if due(self.stalled_at(Side::Client)) {
            self.give_up_client(Ending::Stalled(Side::Client), scratch.now);
        } else if due(self.stalled_at(Side::Peer)) {
            self.peer.egress.kill();
            self.peer.discard();
            if self.ending.is_some() {
                self.restart_deadline(scratch.now);
            }
            self.close(Ending::Stalled(Side::Peer), scratch);
        } else if due(self.ping_at()) {
            self.ping(scratch);
        } else if due(self.idle_at()) {
            self.peer.discard();
            self.close(Ending::Idle, scratch);
        }
    }

    /// The phase's own deadline. The close time-out runs only when both sides have been given all:
    /// a slow reader is not cut off, it has the write deadline.
    fn phase_over_at(&self) -> Option<Instant> {
        let flows = self.client.egress.queue.is_empty() && self.peer.egress.queue.is_empty();
        if self.ending.is_none() || flows { self.phase_deadline } else { None }
    }

    /// The kernel still holds `bytes` for the sides that [are lingering](Self::is_lingering). To
    /// close the socket of one that goes on sending would reset it, and so destroy them: while their
    /// number changes there is time, as there would be for a queue of ours. A refusal is short, and
    /// who does not take it in time does without.
    pub fn still_under_way(&mut self, bytes: usize, now: Instant) {
        if self.ending.is_none() || !self.was_open() {
            return;
        }
        let (before, since) = self.unacked;
        let since = if bytes == before { since } else { now };
        self.unacked = (bytes, since);
        let stalled = after(since, self.config.deadlines.write).is_some_and(|at| at <= now);
        if bytes > 0 && !stalled {
            self.restart_deadline(now);
        }
    }

    /// Whether what was written to `side` of an ending session matters until the kernel has handed
    /// it on.
    #[must_use]
    pub fn is_lingering(&self, side: Side) -> bool {
        let half = self.half(side);
        self.ending.is_some() && half.intake != Intake::Ended && !half.egress.given_up
    }

    fn phase_over(&mut self, scratch: &mut Scratch) {
        if self.ending.is_some() {
            return self.done = true;
        }
        let ending = match self.phase {
            Phase::Head(_) => Ending::HeadTimeout,
            Phase::Asking(_) => Ending::QueryTimeout,
            _ => Ending::DialTimeout,
        };
        self.refuse(ending, scratch);
    }

    fn stalled_at(&self, side: Side) -> Option<Instant> {
        let egress = &self.half(side).egress;
        (!egress.queue.is_empty()).then(|| after(egress.progress, self.config.deadlines.write))?
    }

    /// Nothing is requests of a client that we do not listen or cannot write to.
    fn ping_at(&self) -> Option<Instant> {
        let open = matches!(self.phase, Phase::Open(_)) && self.ending.is_none();
        let flows = self.client.egress.queue.is_empty() && self.peer.egress.queue.is_empty();
        if !open || !flows {
            return None;
        }
        after(self.pinged.unwrap_or(self.last_heard), self.config.deadlines.ping)
    }

    fn ping(&mut self, scratch: &mut Scratch) {
        if self.pinged.is_some() {
            return self.give_up_client(Ending::Silent, scratch.now);
        }
        stage_frame(&mut scratch.to_client, Opcode::Ping, &[]);
        self.pinged = Some(scratch.now);
    }

    fn idle_at(&self) -> Option<Instant> {
        let open = matches!(self.phase, Phase::Open(_)) && self.ending.is_none();
        open.then(|| after(self.last_data, self.config.deadlines.idle))?
    }

    /// The client is as good as gone: no close frame would reach it.
    fn give_up_client(&mut self, ending: Ending, now: Instant) {
        self.ending.get_or_insert(ending);
        self.client.intake = Intake::Ended;
        self.client.egress.kill();
        self.leave_peer();
        self.restart_deadline(now);
    }
}

/// Zero stands for "never".
fn after(start: Instant, wait: Duration) -> Option<Instant> {
    (!wait.is_zero()).then(|| start + wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::rc::Rc;

    #[test]
    fn a_refusal_is_not_waited_for() {
        let now = Instant::now();
        let mut scratch = Scratch::new(now);
        let mut connection = Connection::new(Rc::new(Config::default()), now);
        connection.reject("too many clients", &mut scratch);
        let due = connection.deadline();
        connection.still_under_way(100, due.unwrap());
        assert_eq!(connection.deadline(), due);
    }
}
