//! Until when a connection waits, and what happens then.

use std::time::Instant;

use super::batch::stage_frame;
use super::bridge::Bridge;
use super::lifecycle::Phase;
use super::liveness::{after, look_interval};
use super::{Connection, Ending, Scratch, Side};
use crate::access::NotVerified;
use crate::proto::frame::Opcode;

/// The first of these points in time, or the shortest of these times, if there are any: what
/// `flatten().min()` says, for less, since every turn asks.
#[must_use]
pub fn earliest<T: Ord, const N: usize>(times: [Option<T>; N]) -> Option<T> {
    times.into_iter().fold(None, |earliest, at| match (earliest, at) {
        (Some(earliest), Some(at)) => Some(earliest.min(at)),
        (earliest, at) => earliest.or(at),
    })
}

impl Connection {
    /// When something is due if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        earliest([
            self.stalled_at(Side::Client),
            self.stalled_at(Side::Peer),
            self.look_at(Side::Client),
            self.look_at(Side::Peer),
            self.phase_over_at(),
            self.ping_at(),
            self.idle_at(),
        ])
    }

    /// Whether something is due at `now` but for a [look](Self::look_at) at what the kernel holds.
    #[must_use]
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.must_judge(now) || self.is_ping_due(now)
    }

    /// Whether somebody is to be judged at `now`, or the session is to end: more is due than a ping.
    #[must_use]
    pub fn must_judge(&self, now: Instant) -> bool {
        let ends = earliest([
            self.stalled_at(Side::Client),
            self.stalled_at(Side::Peer),
            self.phase_over_at(),
            self.idle_at(),
        ]);
        let is_gone = self.is_ping_due(now) && self.is_client_gone(now);
        is_gone || ends.is_some_and(|at| at <= now)
    }

    /// Does what is due.
    pub fn expired(&mut self, scratch: &mut Scratch) {
        let now = scratch.now;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.phase_over_at()) {
            self.phase_over(scratch);
        } else if due(self.stalled_at(Side::Client)) {
            self.give_up_client(Ending::Stalled(Side::Client), now);
        } else if due(self.stalled_at(Side::Peer)) {
            self.give_up_peer(Ending::Stalled(Side::Peer), scratch);
        } else if due(self.ping_at()) {
            self.ping(scratch);
        } else if due(self.idle_at()) {
            self.say_goodbye(Ending::Idle, scratch);
        }
    }

    /// The phase's own deadline. The close time-out runs only when both sides have taken all: a slow
    /// reader is not cut off, it has the write deadline. A refusal is short, and who does not take
    /// it in time does without.
    fn phase_over_at(&self) -> Option<Instant> {
        let waits = [Side::Client, Side::Peer].into_iter().any(|side| self.waits(side));
        if self.lifecycle.ending().is_some() && waits {
            return None;
        }
        self.lifecycle.phase_deadline()
    }

    fn phase_over(&mut self, scratch: &mut Scratch) {
        match self.lifecycle.phase() {
            Phase::Head(..) if self.is_between_requests() => {
                self.lifecycle.finish(|| Ending::Answered);
            }
            Phase::Responding(_) => self.answer_is_late(scratch),
            Phase::Head(..) => self.refuse(Ending::HeadTimeout, scratch),
            Phase::Verifying(_) => {
                self.refuse(Ending::NotVerified(NotVerified::Late), scratch);
            }
            Phase::Asking => self.refuse(Ending::QueryTimeout, scratch),
            Phase::Dialling(_) => self.fail_over(Ending::DialTimeout, scratch),
            Phase::Closing(_) => self.closing_is_over(scratch),
            Phase::Refused => self.lifecycle.cut_off(),
            Phase::Open(bridge) => {
                let lapsed = bridge.lapses.as_ref().filter(|lapses| lapses.0 <= scratch.now);
                let ending = lapsed.map_or(Ending::Expired, |lapses| Ending::Lapsed(lapses.1));
                self.say_goodbye(ending, scratch);
            }
            Phase::Over { .. } => {}
        }
    }

    /// Whether what the kernel holds for `side` matters: of a bridged one that is still read.
    pub(super) fn kernel_counts(&self, side: Side) -> bool {
        self.lifecycle.bridge().is_some() && self.half(side).is_lingering()
    }

    /// Whether bytes wait for `side`, wherever it is.
    fn waits(&self, side: Side) -> bool {
        let egress = &self.half(side).egress;
        !egress.is_drained() || self.kernel_counts(side) && egress.flow.may_hold()
    }

    fn stalled_at(&self, side: Side) -> Option<Instant> {
        let progress = self.half(side).egress.flow.progress();
        self.waits(side).then(|| after(progress, self.config.deadlines.write))?
    }

    /// When the kernel is to be asked what it still holds for `side`.
    #[must_use]
    pub fn look_at(&self, side: Side) -> Option<Instant> {
        let flow = &self.half(side).egress.flow;
        let matters = flow.may_hold() && self.kernel_counts(side);
        matters.then(|| flow.look_at(look_interval(&self.config.deadlines)))?
    }

    /// The kernel still holds `held` bytes of what was written to `side`.
    pub fn looked(&mut self, side: Side, held: usize, now: Instant) {
        let flow = &mut self.half_mut(side).egress.flow;
        let progress = flow.look(held, now);
        let (taken, may_hold) = (flow.taken(), flow.may_hold());
        if side == Side::Client {
            self.liveness.looked(taken, now);
        }
        if !may_hold {
            // The close time-out begins when the last byte is with the other end.
            self.prolong(now);
        } else if progress {
            self.liveness.data(now);
        }
    }

    /// Nothing is asked of a client that we cannot write to. One that we do not listen to, since the
    /// peer is slower, is pinged for the sake of a proxy that counts our silence.
    fn ping_at(&self) -> Option<Instant> {
        if !self.lifecycle.is_open() || !self.client.egress.is_drained() {
            return None;
        }
        let deadlines = &self.config.deadlines;
        if self.is_heard() {
            self.liveness.ping_at(self.client.egress.flow.progress(), deadlines)
        } else {
            self.liveness.next_ping_at(deadlines)
        }
    }

    /// Whether the client's answers are read: not while bytes wait for the peer, or would.
    fn is_heard(&self) -> bool {
        let is_held_back = self.lifecycle.bridge().is_some_and(Bridge::holds_client_back);
        self.peer.egress.is_drained() && !is_held_back
    }

    fn is_ping_due(&self, now: Instant) -> bool {
        self.ping_at().is_some_and(|at| at <= now)
    }

    /// Whether the client has left a ping without an answer for too long.
    fn is_client_gone(&self, now: Instant) -> bool {
        let progress = self.client.egress.flow.progress();
        self.is_heard() && self.liveness.is_gone(progress, &self.config.deadlines, now)
    }

    fn ping(&mut self, scratch: &mut Scratch) {
        if self.is_client_gone(scratch.now) {
            return self.give_up_client(Ending::Silent, scratch.now);
        }
        stage_frame(&mut scratch.to_client, Opcode::Ping, &[]);
        if self.is_heard() && !self.liveness.is_pinged() {
            let end = self.client.egress.flow.written() + scratch.to_client.len() as u64;
            self.liveness.pinged(end, scratch.now);
        }
    }

    fn idle_at(&self) -> Option<Instant> {
        let idle_at = || self.liveness.idle_at(&self.config.deadlines);
        self.lifecycle.is_open().then(idle_at)?
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::SocketEnd;
    use super::super::tests::{bridged, opened};
    use super::*;
    use crate::config::{Config, Deadlines};
    use crate::slab::Slab;

    const SECOND: Duration = Duration::from_secs(1);
    #[test]
    fn f04_a_client_that_is_not_read_is_pinged_and_not_judged() {
        let start = Instant::now();
        let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
        let mut connection = bridged(&slab, &mut scratch);
        assert_eq!(connection.ping_at(), Some(start + SECOND));
        connection.queue(Side::Peer, [&b"late"[..]].into_iter(), start);
        scratch.to_client.clear(); // the 101
        for second in 1..10 {
            scratch.now = start + SECOND * second;
            assert_eq!(connection.ping_at(), Some(scratch.now), "a proxy hears from us");
            connection.expired(&mut scratch);
            assert_eq!(scratch.to_client.len(), 2, "a ping");
            scratch.to_client.clear();
            connection.wrote(Side::Client, 2, scratch.now);
        }
        assert!(connection.lifecycle.is_open(), "its answers are not read");
        scratch.now = start + SECOND * 10;
        connection.sent(Side::Peer, 4, &mut scratch);
        assert_eq!(connection.ping_at(), Some(start + SECOND * 10), "nothing went to it since");
        connection.expired(&mut scratch);
        connection.wrote(Side::Client, 2, scratch.now);
        connection.looked(Side::Client, 0, scratch.now);
        assert!(connection.ping_at() >= Some(start + SECOND * 11), "its silence was ours");
    }

    #[test]
    fn a_ping_that_was_taken_has_one_interval() {
        let start = Instant::now();
        let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
        let mut connection = bridged(&slab, &mut scratch);
        connection.wrote(Side::Client, scratch.to_client.len(), start); // the 101
        scratch.to_client.clear();
        scratch.now = start + SECOND;
        connection.expired(&mut scratch);
        connection.wrote(Side::Client, scratch.to_client.len(), scratch.now);
        connection.looked(Side::Client, 0, scratch.now);
        // It has to read the 101 first, which takes it milliseconds at worst.
        scratch.now = start + SECOND * 21 / 10;
        connection.expired(&mut scratch);
        assert!(matches!(connection.ending(), Some(Ending::Silent)));
    }

    #[test]
    fn nobody_is_judged_by_a_ping_that_went_while_it_was_not_heard() {
        let start = Instant::now();
        let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
        let mut connection = bridged(&slab, &mut scratch);
        connection.queue(Side::Peer, [&b"late"[..]].into_iter(), start);
        scratch.now = start + SECOND;
        connection.expired(&mut scratch);
        assert!(!connection.liveness.is_pinged());
    }

    #[test]
    fn a_session_without_data_ends_when_the_operator_wants() {
        let start = Instant::now();
        let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
        let deadlines = Deadlines { idle: SECOND, ping: Duration::ZERO, ..Deadlines::default() };
        let config = Config { deadlines, ..Config::default() };
        let mut connection = opened(config, "binary", &slab, &mut scratch);
        connection.wrote(Side::Client, scratch.to_client.len(), start);
        connection.looked(Side::Client, 0, start);
        assert_eq!(connection.deadline(), Some(start + SECOND));
        scratch.now = start + SECOND;
        connection.expired(&mut scratch);
        assert!(matches!(connection.ending(), Some(Ending::Idle)));
    }

    #[test]
    fn nothing_is_overdue_before_its_time() {
        let start = Instant::now();
        let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
        let connection = bridged(&slab, &mut scratch);
        assert!(!connection.is_overdue(start + SECOND - Duration::from_nanos(1)));
        assert!(connection.is_overdue(start + SECOND), "a ping is due");
    }

    #[test]
    fn that_the_kernel_takes_bytes_is_no_sign_of_life_of_a_stream() {
        let start = Instant::now();
        let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
        let mut connection = bridged(&slab, &mut scratch);
        connection.queue(Side::Peer, [&b"late"[..]].into_iter(), start);
        for second in 1..3 {
            scratch.now = start + SECOND * second;
            connection.sent(Side::Peer, 1, &mut scratch);
        }
        let write = Deadlines::default().write;
        assert_eq!(connection.stalled_at(Side::Peer), Some(start + SECOND + write));
    }

    #[test]
    fn a_peer_that_takes_nothing_is_not_read_any_more() {
        let start = Instant::now();
        let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
        let mut connection = bridged(&slab, &mut scratch);
        connection.queue(Side::Peer, [&b"late"[..]].into_iter(), start);
        scratch.now = start + Deadlines::default().write;
        connection.expired(&mut scratch);
        assert!(matches!(connection.ending(), Some(Ending::Stalled(Side::Peer))));
        assert_eq!(connection.room(Side::Peer), 0, "what it sends can go nowhere");
    }

    #[test]
    fn a_write_that_fails_gives_the_other_side_the_close_time_out() {
        let start = Instant::now();
        let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
        let mut connection = bridged(&slab, &mut scratch);
        let close = Deadlines::default().close;
        connection.shut_down(&mut scratch);
        assert_eq!(connection.lifecycle.phase_deadline(), Some(start + close));
        scratch.now = start + SECOND / 2;
        let error = std::io::ErrorKind::BrokenPipe;
        connection.write_failed(Side::Client, error, &mut scratch);
        assert_eq!(connection.lifecycle.phase_deadline(), Some(scratch.now + close));
    }

    #[test]
    fn a_peer_that_reset_its_connection_is_let_go_at_once() {
        let start = Instant::now();
        let (slab, mut scratch) = (Slab::new(1).unwrap(), Scratch::new(start));
        let mut connection = bridged(&slab, &mut scratch);
        connection.ended(Side::Peer, Some(std::io::ErrorKind::ConnectionReset), &mut scratch);
        assert_eq!(connection.ending_of(Side::Peer), SocketEnd::Close);
        assert!(connection.room(Side::Client) > 0, "its close frame is awaited");
    }
}
