//! Unix peers whose backlog is full. Nothing says when there is room again, so it takes probes: one at
//! a time for each path, less and less often, however many wait.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The first pause between two probes, and the longest: what a busy server takes to accept, and what
/// a client hardly minds beside the wait itself.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Half of the first one where there was room a moment ago: a server of a short backlog that accepts
/// again must not be kept waiting, or many wait for long.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// Somebody's place among those who wait for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::reactor) struct Place(u64);

/// Who waits, in order; the first one of each path probes.
pub(in crate::reactor) struct Backlogs<K> {
    of: HashMap<Rc<Path>, Backlog<K>>,
    /// When each path is probed.
    due: BTreeSet<(Instant, Rc<Path>)>,
    /// How many have ever waited.
    waited: u64,
}

struct Backlog<K> {
    waiting: BTreeMap<Place, K>,
    pause: Duration,
    probe_at: Instant,
}

impl<K: Copy> Backlogs<K> {
    pub(in crate::reactor) fn new() -> Self {
        Self { of: HashMap::new(), due: BTreeSet::new(), waited: 0 }
    }

    /// Whether somebody waits for `path` already: nobody is to jump the queue.
    pub(in crate::reactor) fn is_full(&self, path: &Path) -> bool {
        !self.of.is_empty() && self.of.contains_key(path)
    }

    /// `key` waits for `path` from `now` on.
    pub(in crate::reactor) fn join(&mut self, path: &Path, key: K, now: Instant) -> Place {
        let place = Place(self.waited);
        self.waited += 1;
        if let Some(backlog) = self.of.get_mut(path) {
            backlog.waiting.insert(place, key);
            return place;
        }
        let (path, probe_at) = (Rc::from(path), now + FIRST_PAUSE);
        let waiting = BTreeMap::from([(place, key)]);
        self.due.insert((probe_at, Rc::clone(&path)));
        self.of.insert(path, Backlog { waiting, pause: FIRST_PAUSE, probe_at });
        place
    }

    /// Whoever has `place` does not wait for `path` any more.
    pub(in crate::reactor) fn leave(&mut self, path: &Path, place: Place) {
        let Some(backlog) = self.of.get_mut(path) else { return };
        backlog.waiting.remove(&place);
        if backlog.waiting.is_empty() {
            self.forget(path);
        }
    }

    /// When the next probe is due.
    pub(in crate::reactor) fn probe_at(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A path that is to be probed at `now`, and who is to do it.
    pub(in crate::reactor) fn due(&self, now: Instant) -> Option<K> {
        let (at, path) = self.due.first()?;
        if *at > now {
            return None;
        }
        self.of.get(path)?.waiting.first_key_value().map(|(_, key)| *key)
    }

    /// There is no room: the next probe is after a longer pause.
    pub(in crate::reactor) fn found_full(&mut self, path: &Path, now: Instant) {
        let Some(backlog) = self.of.get_mut(path) else { return };
        backlog.pause = (backlog.pause * 2).min(LONGEST_PAUSE);
        let pause = backlog.pause;
        self.probe(path, now + pause);
    }

    /// There was room for the first one, or nobody who would ever make some: the next one looks at
    /// once.
    pub(in crate::reactor) fn found_room(&mut self, path: &Path, place: Place, now: Instant) {
        self.leave(path, place);
        if let Some(backlog) = self.of.get_mut(path) {
            backlog.pause = SHORTEST_PAUSE;
            self.probe(path, now);
        }
    }

    fn probe(&mut self, path: &Path, at: Instant) {
        let Some((path, _)) = self.of.get_key_value(path) else { return };
        let path = Rc::clone(path);
        let Some(backlog) = self.of.get_mut(&path) else { return };
        let before = std::mem::replace(&mut backlog.probe_at, at);
        self.due.remove(&(before, Rc::clone(&path)));
        self.due.insert((at, path));
    }

    fn forget(&mut self, path: &Path) {
        if let Some((path, backlog)) = self.of.remove_entry(path) {
            self.due.remove(&(backlog.probe_at, path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> &'static Path {
        Path::new("/run/peer")
    }

    /// When the next probe is due, from `start`, and whose it is.
    fn next(backlogs: &Backlogs<u32>, start: Instant) -> Option<(u128, u32)> {
        let at = backlogs.probe_at()?;
        Some(((at - start).as_millis(), backlogs.due(at)?))
    }

    #[test]
    fn a09_one_probes_for_all_and_ever_less_often() {
        let start = Instant::now();
        let mut backlogs = Backlogs::new();
        assert!(!backlogs.is_full(path()));
        let places: Vec<Place> = (1..1000).map(|key| backlogs.join(path(), key, start)).collect();
        assert!(backlogs.is_full(path()));
        assert_eq!(backlogs.due(start), None);
        assert_eq!(next(&backlogs, start), Some((50, 1)));
        for pause in [100, 200, 400, 800, 1000, 1000] {
            backlogs.found_full(path(), start);
            assert_eq!(next(&backlogs, start), Some((pause, 1)));
        }
        backlogs.found_room(path(), places[0], start);
        assert_eq!(next(&backlogs, start), Some((0, 2)), "in order, and at once");
        for pause in [2, 4, 8, 16] {
            backlogs.found_full(path(), start);
            assert_eq!(next(&backlogs, start), Some((pause, 2)), "it may be back soon");
        }
    }

    #[test]
    fn whoever_leaves_hands_the_probe_on() {
        let start = Instant::now();
        let mut backlogs = Backlogs::new();
        let [first, second, third] = [1, 2, 3].map(|key| backlogs.join(path(), key, start));
        backlogs.leave(path(), second);
        backlogs.leave(path(), first);
        assert_eq!(next(&backlogs, start), Some((50, 3)));
        backlogs.leave(path(), third);
        assert_eq!(next(&backlogs, start), None);
        assert!(backlogs.of.is_empty() && backlogs.due.is_empty());
    }

    #[test]
    fn paths_do_not_wait_for_each_other() {
        let (start, other) = (Instant::now(), Path::new("/run/other"));
        let mut backlogs = Backlogs::new();
        backlogs.join(path(), 1, start);
        backlogs.found_full(path(), start);
        assert!(!backlogs.is_full(other));
        let place = backlogs.join(other, 2, start);
        assert_eq!(next(&backlogs, start), Some((50, 2)));
        backlogs.found_room(other, place, start);
        assert_eq!(next(&backlogs, start), Some((100, 1)));
    }
}
