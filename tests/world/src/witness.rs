//! Who is alive, as a bystander sees it: nobody who sends, or still takes what waits before our
//! ping, is dropped.

use std::time::{Duration, Instant};

use websocksy::config::Deadlines;
use websocksy::conn::socket::Socket;
use websocksy::conn::{Ending, Side};

use crate::ledger::View;
use crate::socket::FakeSocket;

/// The signs of life of a session.
#[derive(Debug)]
pub(crate) struct Witness {
    /// Since when the client is listened to, and sends nothing.
    quiet_since: Instant,
    /// The reads of it.
    reads: usize,
    /// What had been written to it at the last one: a ping that asks about its silence came after.
    written: u64,
    /// What client and peer take of what waits for them.
    takings: [Taking; 2],
}

/// What one side takes of what waits for it, in our queue or the kernel's.
#[derive(Clone, Copy, Debug)]
struct Taking {
    acknowledged: u64,
    waits: bool,
    /// When it last took something, or something began to wait.
    last: Instant,
}

impl Witness {
    pub(crate) fn new(now: Instant) -> Self {
        let taking = Taking { acknowledged: 0, waits: false, last: now };
        Self { quiet_since: now, reads: 0, written: 0, takings: [taking; 2] }
    }

    /// Notes what is to be seen before and after each turn.
    pub(crate) fn look(&mut self, view: View<'_>, now: Instant) {
        // The client's silence means nothing while it is not read.
        let waits = |side| view.blocks(side);
        let is_deaf = waits(Side::Client) || waits(Side::Peer);
        let reads = view.client.reads.len();
        let has_spoken = !view.connection.was_open() || reads != self.reads;
        if has_spoken || is_deaf {
            self.quiet_since = now;
        }
        if has_spoken {
            self.reads = reads;
            self.written = view.client.acknowledged() + view.client.unacknowledged() as u64;
        }
        for side in [Side::Client, Side::Peer] {
            let Some(socket) = view.socket(side) else { continue };
            let waits = waits(side) || socket.unacknowledged() > 0;
            let acknowledged = socket.acknowledged();
            let taking = &mut self.takings[side as usize];
            let goes_on = waits && taking.waits && acknowledged == taking.acknowledged;
            let last = if goes_on { taking.last } else { now };
            *taking = Taking { acknowledged, waits, last };
        }
    }

    /// Checks what a deadline did to a session that had not ended before, or not been closed.
    pub(crate) fn check(
        &self,
        view: View<'_>,
        had_ended: bool,
        deadlines: &Deadlines,
        now: Instant,
    ) {
        let stalled = |side: Side| now - self.takings[side as usize].last;
        match view.connection.ending() {
            Some(Ending::Silent) if !had_ended => {
                let quiet = now - self.quiet_since;
                assert!(quiet >= deadlines.ping, "dropped after {quiet:?} of silence");
                // A ping that it has not taken cannot be answered.
                let stalled = stalled(Side::Client);
                let took_ping = view.client.acknowledged() > self.written;
                let is_gone = took_ping || stalled >= deadlines.ping * 2;
                assert!(is_gone, "dropped {stalled:?} after it took something, not yet the ping");
            }
            Some(Ending::Stalled(side)) if !had_ended => {
                let stalled = stalled(*side);
                assert!(stalled >= deadlines.write, "{side:?} is dropped after {stalled:?}");
            }
            _ => {}
        }
        let is_cut_off = view.connection.finished() && view.connection.was_open();
        for side in [Side::Client, Side::Peer] {
            if is_cut_off && view.socket(side).is_some_and(destroys) {
                let stalled: Duration = stalled(side);
                assert!(stalled >= deadlines.write, "{side:?} is cut off after {stalled:?}");
            }
        }
    }
}

/// Whether to close a socket now destroys what it holds: one that is not at its end is reset.
fn destroys(socket: &FakeSocket) -> bool {
    socket.unacknowledged() > 0 && !socket.end_was_read() && !socket.is_lost()
}
