//! Deadlines in O(1): a ring of buckets, one a tick.
//!
//! An entry is a promise to look at a connection at that tick, no more: a deadline that moved
//! later is found out then and entered again, so traffic costs the wheel nothing.

use std::time::{Duration, Instant};

use super::slots::Key;

/// How exact deadlines are, milliseconds.
const TICK_MILLIS: u64 = 16;
/// Ticks of one round; what is due after that is looked at once a round.
const BUCKETS: u64 = 1024;

/// When an entry is due, in ticks since the wheel began; never zero.
pub(super) type Tick = u64;

pub(super) struct TimerWheel {
    start: Instant,
    /// The first tick that was not served yet.
    next: Tick,
    /// When that is: until then there is nothing to count.
    next_at: Instant,
    /// No entry is due before this one.
    earliest: Option<Tick>,
    buckets: Vec<Vec<(Tick, Key)>>,
}

impl TimerWheel {
    pub(super) fn new(start: Instant) -> Self {
        let buckets = (0..BUCKETS).map(|_| Vec::new()).collect();
        let mut wheel = Self { start, next: 0, next_at: start, earliest: None, buckets };
        wheel.set_next(1);
        wheel
    }

    fn set_next(&mut self, tick: Tick) {
        (self.next, self.next_at) = (tick, self.begin_of(tick));
    }

    fn begin_of(&self, tick: Tick) -> Instant {
        self.start + Duration::from_millis(TICK_MILLIS * tick)
    }

    /// The tick at which something due at `at` will be served: not before it, and never later
    /// than a round from now.
    pub(super) fn tick(&self, at: Instant) -> Tick {
        (self.ticks(at) + 1).clamp(self.next, self.next + BUCKETS - 1)
    }

    /// Whether an entry at `tick` is served no later than one for `ticks` from now.
    pub(super) fn is_within(&self, tick: Tick, ticks: Tick) -> bool {
        tick <= self.next + ticks
    }

    /// Whole ticks that have passed at `at`.
    fn ticks(&self, at: Instant) -> Tick {
        whole_ticks(at.saturating_duration_since(self.start))
    }

    pub(super) fn enter(&mut self, tick: Tick, key: Key) {
        self.buckets[(tick % BUCKETS) as usize].push((tick, key));
        self.earliest = Some(self.earliest.map_or(tick, |earliest| earliest.min(tick)));
    }

    /// When to serve the wheel next.
    pub(super) fn wake_up(&self) -> Option<Instant> {
        self.earliest.map(|tick| self.begin_of(tick))
    }

    /// Takes out what is due at `now`; mostly nothing is.
    #[inline]
    pub(super) fn serve(&mut self, now: Instant, due: &mut Vec<(Tick, Key)>) {
        if now < self.next_at {
            return;
        }
        let last = self.ticks(now);
        match self.earliest {
            Some(earliest) if earliest <= last => self.take_out(last, due),
            Some(_) | None => self.set_next(last + 1),
        }
    }

    /// Takes out what is due up to the tick `last`.
    fn take_out(&mut self, last: Tick, due: &mut Vec<(Tick, Key)>) {
        let rounds_end = last.min(self.next + BUCKETS - 1);
        for tick in self.next..=rounds_end {
            // Taken, not emptied: a crowd's memory goes with its deadlines.
            due.extend(std::mem::take(&mut self.buckets[(tick % BUCKETS) as usize]));
        }
        self.set_next(last + 1);
        let upcoming = self.next..self.next + BUCKETS;
        self.earliest =
            upcoming.into_iter().find(|tick| !self.buckets[(tick % BUCKETS) as usize].is_empty());
    }
}

/// How many ticks fit into `time`.
pub(super) fn whole_ticks(time: Duration) -> Tick {
    (time.as_secs() * 1000 + u64::from(time.subsec_millis())) / TICK_MILLIS
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(TICK_MILLIS);
    const KEY: Key = Key { index: 7, generation: 1 };

    fn served(wheel: &mut TimerWheel, now: Instant) -> Vec<Tick> {
        let mut due = Vec::new();
        wheel.serve(now, &mut due);
        due.into_iter().map(|(tick, _)| tick).collect()
    }

    #[test]
    fn serves_at_the_tick_and_not_before() {
        let start = Instant::now();
        let mut wheel = TimerWheel::new(start);
        let at = start + TICK * 5;
        let tick = wheel.tick(at);
        wheel.enter(tick, KEY);
        let wake = wheel.wake_up().unwrap();
        assert!(wake >= at && wake <= at + TICK);
        assert!(served(&mut wheel, at).is_empty());
        assert_eq!(served(&mut wheel, wake), [tick]);
        assert_eq!(wheel.wake_up(), None);
    }

    #[test]
    fn a_late_turn_serves_all_that_was_missed() {
        let start = Instant::now();
        let mut wheel = TimerWheel::new(start);
        for at in [3, 700, 1_000_000] {
            let tick = wheel.tick(start + TICK * at);
            wheel.enter(tick, KEY);
        }
        assert_eq!(served(&mut wheel, start + TICK * 5000).len(), 3);
        assert_eq!(wheel.wake_up(), None);
    }

    #[test]
    fn an_entry_within_a_time_is_served_before_what_begins_now_and_takes_it() {
        let start = Instant::now();
        let mut wheel = TimerWheel::new(start);
        let (now, wait) = (start + TICK * 100 + TICK / 2, TICK * 9 + TICK / 2);
        served(&mut wheel, now);
        let begun = wheel.tick(now + wait);
        let within: Vec<Tick> =
            (1..200).filter(|tick| wheel.is_within(*tick, whole_ticks(wait))).collect();
        assert_eq!(within.last(), Some(&(begun - 1)));
        assert_eq!(within.len() as Tick, begun - 1);
    }

    #[test]
    fn a_crowds_memory_goes_with_its_deadlines() {
        let start = Instant::now();
        let mut wheel = TimerWheel::new(start);
        let tick = wheel.tick(start + TICK);
        (0..10_000).for_each(|_| wheel.enter(tick, KEY));
        assert_eq!(served(&mut wheel, start + TICK * 5).len(), 10_000);
        assert!(wheel.buckets.iter().all(|bucket| bucket.capacity() == 0));
    }

    #[test]
    fn past_deadlines_are_due_at_the_next_tick() {
        let start = Instant::now();
        let mut wheel = TimerWheel::new(start);
        served(&mut wheel, start + TICK * 100);
        assert_eq!(wheel.tick(start), 101);
    }
}
