//! When a side last gave a sign of life, and until when the next is awaited.

use std::time::{Duration, Instant};

use crate::config::Deadlines;

/// The slowest link that a client is given time for, bytes a second. What was written may lie in
/// the client's own buffers or in a proxy's, behind them our ping, and nothing shows it.
const SLOWEST_LINK: u64 = 8 * 1024;
/// The most bytes that may lie there: what the buffers of one or two sockets hold (tcp(7)).
const MOST_HIDDEN: u64 = 8 * 1024 * 1024;
/// The longest time between two questions to the kernel, what it still holds.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// The signs of life of a bridged session.
pub(super) struct Liveness {
    /// When the client last sent anything, or took what had waited for it.
    last_heard: Instant,
    /// When anything was last written to the client.
    last_sent: Instant,
    /// When data last moved, either way.
    last_data: Instant,
    /// The ping that nothing has answered yet.
    ping: Option<Ping>,
    /// Bytes written to the client since a pong last said that it had read all before.
    unread: u64,
}

/// A ping that is on its way.
#[derive(Clone, Copy)]
struct Ping {
    sent: Instant,
    /// What was written to the client before it, and may not be read yet.
    behind: u64,
}

impl Liveness {
    pub(super) fn new(now: Instant) -> Self {
        Self { last_heard: now, last_sent: now, last_data: now, ping: None, unread: 0 }
    }

    /// The session is bridged: what was before does not count.
    pub(super) fn opened(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// The client sent something, or took what had waited: no ping need be answered.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.ping = None;
    }

    /// The client answered a ping: it has read all that was written before.
    pub(super) fn ponged(&mut self) {
        self.unread = 0;
    }

    /// `n` bytes were written to the client.
    pub(super) fn sent(&mut self, n: usize, now: Instant) {
        self.last_sent = now;
        self.unread = (self.unread + n as u64).min(MOST_HIDDEN);
    }

    /// Data moved, or was seen to have moved at `now`.
    pub(super) fn data(&mut self, now: Instant) {
        self.last_data = self.last_data.max(now);
    }

    /// A ping goes out.
    pub(super) fn pinged(&mut self, now: Instant) {
        self.ping = Some(Ping { sent: now, behind: self.unread });
    }

    pub(super) fn is_pinged(&self) -> bool {
        self.ping.is_some()
    }

    /// When a ping is due, or the client that did not answer the last one is given up.
    pub(super) fn ping_at(&self, deadlines: &Deadlines) -> Option<Instant> {
        let since = match self.ping {
            None => self.last_heard.min(self.last_sent),
            Some(Ping { sent, behind }) => {
                sent + Duration::from_millis(behind * 1000 / SLOWEST_LINK)
            }
        };
        after(since, deadlines.ping)
    }

    /// When the session has been without data for as long as the operator allows.
    pub(super) fn idle_at(&self, deadlines: &Deadlines) -> Option<Instant> {
        after(self.last_data, deadlines.idle)
    }
}

/// How often the kernel is asked what it still holds: often enough that no deadline is missed by
/// much.
pub(super) fn look_interval(deadlines: &Deadlines) -> Duration {
    let shares = [deadlines.write / 8, deadlines.close / 4, deadlines.ping / 2];
    let shortest = shares.into_iter().filter(|share| !share.is_zero()).min();
    shortest.map_or(LONGEST_LOOK, |share| share.min(LONGEST_LOOK))
}

/// Zero stands for "never".
pub(super) fn after(start: Instant, wait: Duration) -> Option<Instant> {
    (!wait.is_zero()).then(|| start + wait)
}
