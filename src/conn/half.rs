//! One side's share of a connection: is it still listened to, and what is on its way to it?

use std::time::Instant;

use super::egress::Egress;
use super::scratch::TURN_BYTES;

/// The most bytes that are read only to be forgotten: more than the socket buffers on the way mostly
/// hold (tcp(7)), and little work for a side that does not stop. Whose end lies behind more than that
/// has the close time-out.
const MOST_DISCARDED: u32 = 8 * 1024 * 1024;

/// Whether a side is still listened to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Intake {
    Live,
    /// Read so that the kernel does not answer unread bytes with a reset, and forgotten: this many
    /// bytes at most, and then no more until the deadline.
    Discard(u32),
    Ended,
}

/// One side of a connection: the way in, and the way out.
pub(super) struct Half {
    intake: Intake,
    /// The way out to this side.
    pub(super) egress: Egress,
    /// Bytes read from this side since it was bridged.
    received: u64,
    /// Its whole messages since then.
    pub(super) messages: u64,
}

impl Half {
    /// A side that is listened to.
    pub(super) fn live(now: Instant) -> Self {
        Self { intake: Intake::Live, egress: Egress::new(now), received: 0, messages: 0 }
    }

    /// A side that is not there yet.
    pub(super) fn absent(now: Instant) -> Self {
        Self { intake: Intake::Ended, ..Self::live(now) }
    }

    /// The side is there: it is listened to from now on.
    pub(super) fn open(&mut self) {
        self.intake = Intake::Live;
    }

    pub(super) fn is_live(&self) -> bool {
        self.intake == Intake::Live
    }

    /// Whether it is still to be heard to its end.
    pub(super) fn is_read(&self) -> bool {
        self.intake != Intake::Ended
    }

    /// How many bytes are wanted of it, where `live` are of one that is listened to.
    pub(super) fn room(&self, live: impl FnOnce() -> usize) -> usize {
        match self.intake {
            Intake::Live => live(),
            Intake::Discard(left) => TURN_BYTES.min(left as usize),
            Intake::Ended => 0,
        }
    }

    /// What it says from here on is read and forgotten.
    pub(super) fn discard(&mut self) {
        if self.intake == Intake::Live {
            self.intake = Intake::Discard(MOST_DISCARDED);
        }
    }

    /// `n` bytes of what is read only to be forgotten.
    pub(super) fn discarded(&mut self, n: usize) {
        if let Intake::Discard(left) = &mut self.intake {
            *left = left.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX));
        }
    }

    /// Nothing more is read of it.
    pub(super) fn stop(&mut self) {
        self.intake = Intake::Ended;
    }

    /// Counts `n` bytes of a bridged side.
    pub(super) fn count(&mut self, n: usize) {
        self.received += n as u64;
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Whether what was written matters until the other end has it: to close the socket of a side
    /// that goes on sending would reset it, and so destroy what the kernel still holds.
    pub(super) fn is_lingering(&self) -> bool {
        self.is_read() && !self.egress.is_given_up()
    }

    /// Nothing is left to do for it.
    pub(super) fn is_done(&self) -> bool {
        !self.is_read() && !self.egress.is_writable()
    }
}
