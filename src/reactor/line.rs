//! Sessions that wait in a line: who came first is the first to give way.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use super::slots::Key;

/// A session's place in a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrival(NonZeroU64);

/// Sessions, in the order in which they joined.
#[derive(Default)]
pub(super) struct Line {
    waiting: BTreeMap<Arrival, (Key, Instant)>,
    /// How many have joined so far.
    joined: u64,
}

impl Line {
    /// Has a session join at `now`, or leave, or neither, as nearly always; `own` is its place here.
    #[inline]
    pub(super) fn keep(
        &mut self,
        belongs: bool,
        own: &mut Option<Arrival>,
        key: Key,
        now: Instant,
    ) {
        match (belongs, own.is_some()) {
            (true, false) => self.join(own, key, now),
            (false, true) => self.leave(own),
            (true, true) | (false, false) => {}
        }
    }

    fn join(&mut self, own: &mut Option<Arrival>, key: Key, now: Instant) {
        let arrival = Arrival(NonZeroU64::MIN.saturating_add(self.joined));
        self.joined += 1;
        *own = Some(arrival);
        self.waiting.insert(arrival, (key, now));
    }

    /// Has a session leave.
    pub(super) fn leave(&mut self, own: &mut Option<Arrival>) {
        own.take().map(|arrival| self.waiting.remove(&arrival));
    }

    /// The first.
    pub(super) fn first(&self) -> Option<Key> {
        self.waiting.first_key_value().map(|(_, (key, _))| *key)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The first, if it has been here for `grace`.
    pub(super) fn overdue(&self, grace: Duration, now: Instant) -> Option<Key> {
        self.overdue_at(grace).filter(|at| *at <= now).and(self.first())
    }

    /// When the first will have been here for `grace`.
    pub(super) fn overdue_at(&self, grace: Duration) -> Option<Instant> {
        self.waiting.first_key_value()?.1.1.checked_add(grace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_first_is_overdue_first() {
        let (mut line, start) = (Line::default(), Instant::now());
        let grace = Duration::from_secs(1);
        let key = |index| Key { index, generation: 0 };
        let mut places = [None; 3];
        for (index, own) in places.iter_mut().enumerate() {
            line.keep(true, own, key(index as u32), start + grace * index as u32);
        }
        line.keep(true, &mut places[0], key(0), start + grace * 9); // it is there already
        assert_eq!(line.overdue(grace, start), None);
        assert_eq!(line.overdue_at(grace), Some(start + grace));
        assert_eq!(line.overdue(grace, start + grace), Some(key(0)));
        line.keep(false, &mut places[0], key(0), start);
        assert!(places[0].is_none());
        assert_eq!(line.overdue(grace, start + grace), None);
        assert_eq!(line.overdue(grace, start + grace * 2), Some(key(1)));
        line.keep(true, &mut places[0], key(0), start + grace * 2); // behind all others
        line.leave(&mut places[1]);
        assert_eq!(line.overdue(grace, start + grace * 9), Some(key(2)));
        line.leave(&mut places[2]);
        line.leave(&mut places[2]);
        assert_eq!(line.overdue(grace, start + grace * 9), Some(key(0)));
        assert_eq!((line.first(), line.len(), line.is_empty()), (Some(key(0)), 1, false));
        line.leave(&mut places[0]);
        assert_eq!((line.first(), line.len(), line.is_empty()), (None, 0, true));
    }
}
