//! The way out to one side: what waits, how much may be read for it, whether its end is due.

use std::time::Instant;

use super::TURN_BYTES;
use super::batch::{Batch, stage_frame};
use super::queue::Queue;
use crate::proto::frame::Opcode;

/// What one read takes at first, and again after the other side was once too slow for it.
const FIRST_CREDIT: usize = 64 * 1024;
const SLOW_CREDIT: usize = 16 * 1024;

/// Where the write end of a socket stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Open,
    /// To be shut down when the queue is empty.
    Due,
    /// Shut down, or of no use any more: what is written here is dropped.
    Done,
}

/// The way out to one side.
pub(super) struct Egress {
    pub(super) queue: Queue,
    pub(super) end: End,
    /// Nothing that was written here matters any more.
    pub(super) given_up: bool,
    /// The latest pong that found the queue full: only it needs sending (RFC 6455 §5.5.3), so a
    /// flood of pings makes nothing grow.
    pub(super) late_pong: Option<Box<[u8]>>,
    /// When bytes were last taken, while some wait.
    pub(super) progress: Instant,
    /// How many bytes may be read for this side at once: doubled while it takes all it gets, small
    /// once it did not, so that a slow side holds little and a fast one costs few system calls.
    credit: usize,
}

impl Egress {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            queue: Queue::default(),
            end: End::Open,
            given_up: false,
            late_pong: None,
            progress: now,
            credit: FIRST_CREDIT,
        }
    }

    /// How much may be read for this side now; nothing while something waits.
    pub(super) fn room(&self) -> usize {
        if self.queue.is_empty() { self.credit } else { 0 }
    }

    /// All that one turn made was taken at once. What was read may have been more, by frame headers.
    pub(super) fn kept_up(&mut self, bytes: usize) {
        if bytes >= self.credit / 2 {
            self.credit = (self.credit * 2).min(TURN_BYTES);
        }
    }

    /// Some of it has to wait from `now` on.
    pub(super) fn fell_behind(&mut self, now: Instant) {
        self.credit = SLOW_CREDIT;
        self.progress = now;
    }

    /// Asks for the write end to be shut once all is out.
    pub(super) fn finish(&mut self) {
        if self.end == End::Open {
            self.end = End::Due;
        }
    }

    /// Answers a ping of this side's, or remembers the latest while older bytes wait.
    pub(super) fn pong(&mut self, batch: &mut Batch, payload: &[u8]) {
        if self.queue.is_empty() {
            stage_frame(batch, Opcode::Pong, payload);
        } else if self.end == End::Open {
            self.late_pong = Some(payload.into());
        }
    }

    /// Gives up on this side.
    pub(super) fn kill(&mut self) {
        self.end = End::Done;
        self.given_up = true;
        self.late_pong = None;
        self.queue.discard();
    }
}
