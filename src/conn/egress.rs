//! The way out to one side: what waits, how much may be read for it, whether its end is due.

use std::time::Instant;

use super::batch::{Batch, stage_frame};
use super::flow::Flow;
use super::queue::Queue;
use super::scratch::TURN_BYTES;
use crate::proto::frame::Opcode;

/// What one read takes at first.
const FIRST_CREDIT: u32 = 64 * 1024;
/// What one read takes at least, for a side that is too slow for more.
const SLOW_CREDIT: u32 = 16 * 1024;
/// What one read takes at most.
const MOST_CREDIT: u32 = TURN_BYTES as u32;

/// Where the write end of a socket stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Open,
    /// To be shut down when the queue is empty.
    Due,
    /// Shut down.
    Shut,
    /// Of no use any more: what is written here is dropped, and its socket may go.
    GivenUp,
    /// It is gone.
    Closed,
}

/// The way out to one side.
pub(super) struct Egress {
    queue: Queue,
    /// Bytes before those that the transport took and the kernel did not.
    unflushed: u32,
    end: End,
    /// The latest pong that found the queue full: only it needs sending (RFC 6455 §5.5.3), so a
    /// flood of pings makes nothing grow.
    late_pong: Option<Box<[u8]>>,
    /// What the other end takes.
    pub(super) flow: Flow,
    /// How many bytes may be read for this side at once: doubled while it takes all it gets, halved
    /// when it did not, so that a slow side soon holds little, and a fast one, which now and then
    /// takes a little less, still costs few system calls.
    credit: u32,
}

impl Egress {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            queue: Queue::default(),
            unflushed: 0,
            end: End::Open,
            late_pong: None,
            flow: Flow::new(now),
            credit: FIRST_CREDIT,
        }
    }

    /// What waits: a stream's bytes, or the first datagram.
    pub(super) fn waiting(&self) -> Option<&[u8]> {
        (!self.queue.is_empty()).then(|| self.queue.front())
    }

    /// How many bytes wait.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether all that was given is with the kernel.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.is_empty() && self.unflushed == 0
    }

    /// How much may be read for this side now; nothing while something waits.
    pub(super) fn room(&self) -> usize {
        if self.is_drained() { self.credit as usize } else { 0 }
    }

    /// Whether more may follow: neither is the end due nor the side given up.
    pub(super) fn is_open(&self) -> bool {
        self.end == End::Open
    }

    /// Whether what is written here still goes anywhere.
    pub(super) fn is_writable(&self) -> bool {
        matches!(self.end, End::Open | End::Due)
    }

    /// Whether the end of the stream is all that may follow.
    pub(super) fn is_ending(&self) -> bool {
        self.end == End::Due
    }

    /// Whether the write end is to be shut down now.
    pub(super) fn shutdown_due(&self) -> bool {
        self.end == End::Due && self.is_drained()
    }

    /// Whether it was given up.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.end, End::GivenUp | End::Closed)
    }

    /// Whether it was given up and its socket is still there.
    pub(super) fn close_due(&self) -> bool {
        self.end == End::GivenUp
    }

    /// All of a turn's `bytes` were taken at once. What was read may have been more, by headers.
    pub(super) fn kept_up(&mut self, bytes: usize) {
        if self.unflushed == 0 && bytes >= self.credit as usize / 2 {
            self.credit = (self.credit * 2).min(MOST_CREDIT);
        }
    }

    fn fell_behind(&mut self, now: Instant) {
        self.credit = (self.credit / 2).max(SLOW_CREDIT);
        self.flow.waits(now);
    }

    /// These parts have to wait from `now` on.
    pub(super) fn queue<'a>(
        &mut self,
        parts: impl Iterator<Item = &'a [u8]>,
        datagrams: bool,
        now: Instant,
    ) {
        if !self.is_writable() {
            return;
        }
        if self.is_drained() {
            self.fell_behind(now);
        }
        for part in parts {
            if datagrams { self.queue.push_datagram(part) } else { self.queue.push(part) }
        }
    }

    /// The transport keeps `n` bytes from `now` on; returns how many it kept before.
    pub(super) fn set_unflushed(&mut self, n: usize, now: Instant) -> usize {
        let n = if self.is_writable() { u32::try_from(n).unwrap_or(u32::MAX) } else { 0 };
        if n > 0 && self.is_drained() {
            self.fell_behind(now);
        }
        std::mem::replace(&mut self.unflushed, n) as usize
    }

    /// `n` bytes of what waited were taken by the kernel.
    pub(super) fn sent(&mut self, n: usize) {
        self.queue.sent(n);
    }

    /// Asks for the write end to be shut once all is out.
    pub(super) fn finish(&mut self) {
        if self.end == End::Open {
            self.end = End::Due;
        }
    }

    /// The write end is shut down, or with the socket of a side that was given up, closed.
    pub(super) fn shut(&mut self) {
        self.end = if self.is_given_up() { End::Closed } else { End::Shut };
    }

    /// Answers a ping of this side's, or remembers the latest while older bytes wait.
    pub(super) fn pong(&mut self, batch: &mut Batch, payload: &[u8]) {
        if self.is_drained() {
            stage_frame(batch, Opcode::Pong, payload);
        } else {
            self.keep_pong(payload);
        }
    }

    /// Keeps a pong that cannot go now.
    pub(super) fn keep_pong(&mut self, payload: &[u8]) {
        if self.end == End::Open {
            self.late_pong = Some(payload.into());
        }
    }

    /// The pong that had to wait, if it need not any longer.
    pub(super) fn late_pong(&mut self, batch: &mut Batch) {
        if !self.is_drained() || self.end != End::Open {
            return;
        }
        if let Some(payload) = self.late_pong.take() {
            stage_frame(batch, Opcode::Pong, &payload);
        }
    }

    /// No pong may follow: the close frame is the last (RFC 6455 §5.5.1).
    pub(super) fn forget_pong(&mut self) {
        self.late_pong = None;
    }

    /// Gives up on this side.
    pub(super) fn give_up(&mut self) {
        if self.end != End::Closed {
            self.end = End::GivenUp;
        }
        self.late_pong = None;
        self.unflushed = 0;
        self.queue.discard();
        self.flow.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: usize = FIRST_CREDIT as usize;
    const SLOW: usize = SLOW_CREDIT as usize;

    #[test]
    fn a_fast_side_is_read_for_in_large_pieces_and_a_slow_one_in_small() {
        let mut egress = Egress::new(Instant::now());
        assert_eq!(egress.room(), FIRST);
        egress.kept_up(FIRST / 2 - 1);
        assert_eq!(egress.room(), FIRST, "it was not asked for more");
        egress.kept_up(FIRST / 2);
        assert_eq!(egress.room(), 2 * FIRST);
        (0..4).for_each(|_| egress.kept_up(TURN_BYTES));
        assert_eq!(egress.room(), TURN_BYTES);
        for credit in [TURN_BYTES / 2, TURN_BYTES / 4, TURN_BYTES / 8, SLOW, SLOW] {
            egress.queue([&b"late"[..]].into_iter(), false, Instant::now());
            assert_eq!(egress.room(), 0);
            egress.sent(4);
            assert_eq!(egress.room(), credit);
        }
    }

    #[test]
    fn a_side_that_was_given_up_stays_so_and_nothing_waits_for_it() {
        let now = Instant::now();
        let mut egress = Egress::new(now);
        egress.flow.wrote(10, now);
        egress.queue([&b"late"[..]].into_iter(), false, now);
        egress.give_up();
        assert!(egress.is_given_up() && egress.close_due());
        assert!(egress.is_drained() && !egress.flow.may_hold());
        egress.shut();
        assert!(egress.is_given_up() && !egress.close_due(), "its socket is gone");
    }

    #[test]
    fn a_pong_waits_for_older_bytes_and_does_not_follow_the_end() {
        let mut egress = Egress::new(Instant::now());
        let mut batch = Batch::default();
        egress.queue([&b"old"[..]].into_iter(), false, Instant::now());
        egress.pong(&mut batch, b"1");
        egress.late_pong(&mut batch);
        assert!(batch.is_empty(), "older bytes wait");
        egress.sent(3);
        egress.late_pong(&mut batch);
        assert_eq!(batch.parts(&[]).collect::<Vec<_>>(), [b"\x8a\x011"]);
        egress.keep_pong(b"2");
        egress.finish();
        batch.clear();
        egress.late_pong(&mut batch);
        assert!(batch.is_empty(), "its end is due");
    }
}
