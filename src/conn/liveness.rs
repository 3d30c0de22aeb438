//! When a side last gave a sign of life, and until when the next is awaited.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::config::Deadlines;

/// The slowest link that a client is given time for, bytes a second. What was written may lie in
/// the client's own buffers or in a proxy's, behind them our ping, and nothing shows it.
const SLOWEST_LINK: u64 = 8 * 1024;
/// The most bytes that may lie there: what the buffers of one or two sockets hold (tcp(7)).
const MOST_HIDDEN: u32 = 8 * 1024 * 1024;
/// The longest time between two questions to the kernel, what it still holds; in microseconds.
const LONGEST_LOOK: u64 = 5_000_000;

/// The signs of life of a bridged session.
pub(super) struct Liveness {
    /// When the client last sent anything, or took what had waited for it.
    last_heard: Instant,
    /// When anything was last written to the client.
    last_sent: Instant,
    /// When data last moved, either way.
    last_data: Instant,
    /// The ping that nothing has answered yet; boxed, since most of the time there is none.
    ping: Option<Box<Ping>>,
    /// Bytes written to the client that no pong has said to be read.
    unread: u32,
    /// Those of them that were written behind a ping, if no pong has come since.
    behind_ping: Option<NonZeroU32>,
}

/// A ping that is on its way.
#[derive(Clone, Copy)]
struct Ping {
    sent: Instant,
    /// What was written to the client before it, and may not be read yet.
    behind: u32,
    /// How many bytes the client has taken, ever, once it has taken the ping.
    end: u64,
    /// When it did, as far as the kernel was asked.
    taken: Taken,
}

/// Whether a ping is with the client's end.
#[derive(Clone, Copy)]
enum Taken {
    /// The kernel was not asked yet.
    Unknown,
    /// It was, and had not got rid of it.
    No,
    /// It is there since then, at the latest.
    Since(Instant),
}

impl Ping {
    /// When it is too late to answer it.
    ///
    /// A ping that the client has not taken cannot be answered: then it has until it took nothing for
    /// two intervals. One that it took late, over a link that was down, can be from then on.
    fn missed_at(self, progress: Instant, deadlines: &Deadlines) -> Instant {
        match self.taken {
            Taken::Unknown | Taken::No => self.sent.max(progress) + deadlines.ping * 2,
            Taken::Since(since) => {
                let read =
                    self.sent + Duration::from_millis(u64::from(self.behind) * 1000 / SLOWEST_LINK);
                read.max(since) + deadlines.ping
            }
        }
    }
}

impl Liveness {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last_heard: now,
            last_sent: now,
            last_data: now,
            ping: None,
            unread: 0,
            behind_ping: None,
        }
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

    /// A pong came: the client has read all that was written before the first ping that no pong came
    /// for. One for which there was no ping says nothing of that (RFC 6455 §5.5.3).
    pub(super) fn ponged(&mut self) {
        self.unread =
            self.behind_ping.take().map_or(self.unread, |behind| MOST_HIDDEN.min(behind.get()));
    }

    /// `n` bytes were written to the client.
    pub(super) fn sent(&mut self, n: usize, now: Instant) {
        self.last_sent = now;
        let more = u32::try_from(n).unwrap_or(u32::MAX);
        self.unread = MOST_HIDDEN.min(self.unread.saturating_add(more));
        if let Some(behind) = &mut self.behind_ping {
            *behind = behind.saturating_add(more);
        }
    }

    /// Data moved, or was seen to have moved at `now`.
    pub(super) fn data(&mut self, now: Instant) {
        self.last_data = self.last_data.max(now);
    }

    /// A ping goes out, as the bytes before `end` of all that are ever written.
    pub(super) fn pinged(&mut self, end: u64, now: Instant) {
        let taken = Taken::Unknown;
        self.behind_ping.get_or_insert(NonZeroU32::MIN); // of the ping's own bytes
        self.ping = Some(Box::new(Ping { sent: now, behind: self.unread, end, taken }));
    }

    /// The client has taken `taken` bytes, ever.
    pub(super) fn looked(&mut self, taken: u64, now: Instant) {
        let Some(ping) = &mut self.ping else { return };
        ping.taken = match (ping.taken, taken >= ping.end) {
            // The first look finds it gone: it went as soon as it was sent.
            (Taken::Unknown, true) => Taken::Since(ping.sent),
            (Taken::No, true) => Taken::Since(now),
            (Taken::Unknown | Taken::No, false) => Taken::No,
            (since @ Taken::Since(_), _) => since,
        };
    }

    pub(super) fn is_pinged(&self) -> bool {
        self.ping.is_some()
    }

    /// When a ping is due, or the client that did not answer the last one is given up. `progress` is
    /// when it was last seen to take anything.
    ///
    /// While an answer may still lie behind what a proxy has taken, pings go on: a proxy, too, may give
    /// up a server from which nothing comes.
    pub(super) fn ping_at(&self, progress: Instant, deadlines: &Deadlines) -> Option<Instant> {
        let at = match &self.ping {
            None => self.last_heard.min(self.last_sent) + deadlines.ping,
            Some(ping) => {
                let (missed, next) =
                    (ping.missed_at(progress, deadlines), self.last_sent + deadlines.ping);
                match ping.taken {
                    // One that could not be answered in time is not sent.
                    Taken::Since(_) if next + deadlines.ping / 2 <= missed => next,
                    Taken::Since(_) | Taken::Unknown | Taken::No => missed,
                }
            }
        };
        (!deadlines.ping.is_zero()).then_some(at)
    }

    /// When a ping is due to a client whose answers are not read.
    pub(super) fn next_ping_at(&self, deadlines: &Deadlines) -> Option<Instant> {
        after(self.last_sent, deadlines.ping)
    }

    /// Whether the client did not answer a ping in time.
    pub(super) fn is_gone(&self, progress: Instant, deadlines: &Deadlines, now: Instant) -> bool {
        self.ping.as_ref().is_some_and(|ping| ping.missed_at(progress, deadlines) <= now)
    }

    /// When the session has been without data for as long as the operator allows.
    pub(super) fn idle_at(&self, deadlines: &Deadlines) -> Option<Instant> {
        after(self.last_data, deadlines.idle)
    }
}

/// How often the kernel is asked what it still holds: often enough that no deadline is missed by
/// much. In microseconds, since every turn asks for it and divides them at next to no cost.
pub(super) fn look_interval(deadlines: &Deadlines) -> Duration {
    let micros = |time: Duration| time.as_micros() as u64;
    let shares =
        [micros(deadlines.write) / 8, micros(deadlines.close) / 4, micros(deadlines.ping) / 2];
    let shortest = shares.into_iter().filter(|share| *share > 0).fold(LONGEST_LOOK, u64::min);
    Duration::from_micros(shortest)
}

/// How soon what a turn of an open session begins may be due, at the earliest.
#[must_use]
pub fn respite(deadlines: &Deadlines) -> Duration {
    let others = [deadlines.idle, deadlines.session].into_iter().filter(|time| !time.is_zero());
    others.fold(look_interval(deadlines), Duration::min)
}

/// Zero stands for "never".
pub(super) fn after(start: Instant, wait: Duration) -> Option<Instant> {
    (!wait.is_zero()).then(|| start + wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A client that is silent from `start` on and pinged a second later, after `behind` bytes.
    fn pinged(start: Instant, behind: usize) -> (Liveness, Deadlines) {
        let mut liveness = Liveness::new(start);
        liveness.sent(behind, start);
        liveness.pinged(behind as u64 + 2, start + SECOND);
        liveness.sent(2, start + SECOND);
        (liveness, Deadlines { ping: SECOND, ..Deadlines::default() })
    }

    #[test]
    fn f03_a_silent_client_that_takes_its_ping_has_one_interval_more() {
        let start = Instant::now();
        let (mut liveness, deadlines) = pinged(start, 0);
        liveness.looked(2, start + SECOND * 3 / 2);
        // What a peer goes on sending is taken by the client's kernel, and is no answer.
        let later = start + SECOND * 9 / 5;
        liveness.looked(100, later);
        assert_eq!(liveness.ping_at(later, &deadlines), Some(start + SECOND * 2));
    }

    #[test]
    fn f01_a_client_that_does_not_take_its_ping_has_two() {
        let start = Instant::now();
        let (mut liveness, deadlines) = pinged(start, 10);
        assert_eq!(liveness.ping_at(start, &deadlines), Some(start + SECOND * 3));
        liveness.looked(10, start + SECOND * 2);
        assert_eq!(liveness.ping_at(start, &deadlines), Some(start + SECOND * 3));
        // Taking is living, and a ping that was taken late may be answered late.
        let progress = start + SECOND * 5 / 2;
        assert_eq!(liveness.ping_at(progress, &deadlines), Some(progress + SECOND * 2));
        liveness.looked(12, start + SECOND * 4);
        assert!(!liveness.is_gone(progress, &deadlines, start + SECOND * 49 / 10));
        assert!(liveness.is_gone(progress, &deadlines, start + SECOND * 5));
    }

    #[test]
    fn f03_a_silent_client_is_pinged_once_after_a_short_answer() {
        let start = Instant::now();
        let (mut liveness, deadlines) = pinged(start, 130);
        liveness.looked(132, start + SECOND * 3 / 2);
        let missed = start + SECOND * 2 + Duration::from_millis(15);
        assert_eq!(liveness.ping_at(start, &deadlines), Some(missed));
        assert!(!liveness.is_gone(start, &deadlines, start + SECOND * 2));
        assert!(liveness.is_gone(start, &deadlines, missed));
    }

    #[test]
    fn f04_a_client_to_which_nothing_goes_is_pinged() {
        let start = Instant::now();
        let deadlines = Deadlines { ping: SECOND, ..Deadlines::default() };
        let mut liveness = Liveness::new(start);
        liveness.heard(start + SECOND / 2);
        assert_eq!(liveness.ping_at(start, &deadlines), Some(start + SECOND), "it only uploads");
        liveness.sent(2, start + SECOND);
        assert_eq!(
            liveness.ping_at(start, &deadlines),
            Some(start + SECOND * 3 / 2),
            "it is silent"
        );
    }

    #[test]
    fn what_a_client_may_not_have_read_is_bounded() {
        let start = Instant::now();
        let (mut liveness, deadlines) = pinged(start, 64 << 20);
        liveness.looked((64 << 20) + 2, start + SECOND);
        let read = Duration::from_secs(8 * 1024 * 1024 / (8 * 1024));
        let missed = start + SECOND + read + SECOND;
        assert!(!liveness.is_gone(start, &deadlines, missed - Duration::from_nanos(1)));
        assert!(liveness.is_gone(start, &deadlines, missed));
    }

    #[test]
    fn the_respite_is_as_short_as_the_shortest_deadline() {
        let deadlines = Deadlines::default();
        assert_eq!(respite(&deadlines), deadlines.close / 4);
        let idle = Deadlines { idle: SECOND, ..deadlines };
        assert_eq!(respite(&idle), SECOND);
        let session = Deadlines { session: SECOND / 2, ..idle };
        assert_eq!(respite(&session), SECOND / 2);
    }

    #[test]
    fn any_byte_answers_a_ping() {
        let start = Instant::now();
        let (mut liveness, deadlines) = pinged(start, 10);
        liveness.looked(12, start + SECOND * 2);
        liveness.heard(start + SECOND * 2);
        assert!(!liveness.is_pinged());
        liveness.sent(1, start + SECOND * 3);
        assert_eq!(liveness.ping_at(start, &deadlines), Some(start + SECOND * 3), "the next ping");
    }

    #[test]
    fn f02_a_slow_reader_has_time_for_what_lies_before_the_ping() {
        let start = Instant::now();
        let (mut liveness, deadlines) = pinged(start, 8 * 8192);
        liveness.looked(8 * 8192 + 2, start + SECOND * 2);
        // Meanwhile it is pinged on, for a proxy that counts silence.
        for second in 2..10 {
            let now = start + SECOND * second;
            assert_eq!(liveness.ping_at(start, &deadlines), Some(now));
            assert!(!liveness.is_gone(start, &deadlines, now));
            liveness.sent(2, now);
        }
        assert!(liveness.is_gone(start, &deadlines, start + SECOND * 10));
        liveness.heard(start + SECOND * 3);
        liveness.ponged();
        liveness.pinged(1 << 20, start + SECOND * 4);
        liveness.looked(1 << 20, start + SECOND * 5);
        // The pings themselves, 18 bytes, were written behind the first.
        let missed = start + SECOND * 5 + Duration::from_millis(18 * 1000 / SLOWEST_LINK);
        assert_eq!(liveness.ping_at(start, &deadlines), Some(missed));
    }

    #[test]
    fn f02_a_pong_says_nothing_of_what_was_written_behind_its_ping() {
        let start = Instant::now();
        // When pongs come, and how many seconds there are for what was written, 8 KiB each.
        for (pongs, seconds) in
            [(&[][..], 16), (&[2], 8), (&[2, 3], 8), (&[0], 16), (&[0, 2, 3], 8)]
        {
            let (mut liveness, deadlines) = (Liveness::new(start), Deadlines::default());
            let pong = |liveness: &mut Liveness, step| {
                if pongs.contains(&step) {
                    liveness.heard(start);
                    liveness.ponged();
                }
            };
            liveness.sent(8 * 8192, start);
            pong(&mut liveness, 0); // nobody has asked
            liveness.pinged(1, start);
            liveness.sent(8 * 8192, start);
            pong(&mut liveness, 2);
            pong(&mut liveness, 3);
            liveness.heard(start);
            liveness.pinged(2, start);
            liveness.looked(2, start);
            let missed = start + SECOND * seconds + deadlines.ping;
            assert!(!liveness.is_gone(start, &deadlines, missed - Duration::from_nanos(1)));
            assert!(liveness.is_gone(start, &deadlines, missed), "{pongs:?}");
        }
    }
}
