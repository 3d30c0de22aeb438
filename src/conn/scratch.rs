//! What one turn of the loop works with, one for all connections.

use std::time::{Instant, SystemTime};

use super::batch::Batch;
use super::side::Side;
use super::traffic::Traffic;
use crate::deflate::Engines;
use websocksy_abi::PEER_BUFFER_SIZE;

/// The most bytes that one read takes: bytes per system call decide what bulk costs.
pub const TURN_BYTES: usize = 256 * 1024;

/// The time, and memory that a turn fills and leaves empty.
pub struct Scratch {
    /// When this turn of the loop began: the clock is read once a wake-up.
    pub now: Instant,
    /// Data of all clients, and of all peers, so far.
    pub traffic: [Traffic; 2],
    /// Where reads go.
    pub(super) buffer: Box<[u8]>,
    /// What is to be written to the client.
    pub(super) to_client: Batch,
    /// What is to be written to the peer.
    pub(super) to_peer: Batch,
    /// What compresses and decompresses.
    pub(super) engines: Engines,
    /// Tells the time of day, for the `Date` of refusals.
    pub(super) clock: Option<fn() -> SystemTime>,
}

impl Scratch {
    /// A turn's memory. The buffer has room for what a connection kept, a read behind it, and the
    /// zero byte that the framing functions may read.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            now,
            traffic: [Traffic::default(); 2],
            buffer: vec![0; PEER_BUFFER_SIZE + TURN_BYTES + 1].into_boxed_slice(),
            to_client: Batch::default(),
            to_peer: Batch::default(),
            engines: Engines::default(),
            clock: None,
        }
    }

    /// One that knows the time of day (RFC 9110 §6.6.1: who has a clock dates its answers).
    #[must_use]
    pub fn with_clock(self, clock: fn() -> SystemTime) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// The time of day, if it is known.
    #[must_use]
    pub fn date(&self) -> Option<SystemTime> {
        self.clock.map(|clock| clock())
    }

    /// How many sessions could begin to decompress a message.
    #[must_use]
    pub fn free_inflaters(&self) -> usize {
        self.engines.inflaters.free()
    }

    /// Whether only sessions that were [called](super::Connection::call) may.
    pub fn reserve_inflaters(&self, reserved: bool) {
        self.engines.inflaters.reserve(reserved);
    }

    /// Counts the data that is on its way to the client for the session and for all.
    pub(super) fn count_from_peer(&mut self, messages: &mut u64) {
        let data = std::mem::take(&mut self.to_client.data);
        *messages += data.messages;
        self.traffic[Side::Peer as usize].add(data);
    }

    pub(super) fn batch(&mut self, side: Side) -> &mut Batch {
        match side {
            Side::Client => &mut self.to_client,
            Side::Peer => &mut self.to_peer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_clock_knows_the_time_of_day() {
        let scratch = Scratch::new(Instant::now());
        assert_eq!(scratch.date(), None);
        let clock = || SystemTime::UNIX_EPOCH;
        assert_eq!(scratch.with_clock(clock).date(), Some(SystemTime::UNIX_EPOCH));
    }
}
