//! How far the end of a daemon has come, and when each session is told.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::slots::Key;
use crate::conn::earliest;

/// How far the end has come.
#[derive(Default)]
pub(super) struct Drain {
    pub(super) stage: Stage,
    /// Who is told when, the next one first.
    pub(super) goodbyes: VecDeque<(Instant, Key)>,
    /// The daemon goes on in another process.
    pub(super) is_restart: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Serving,
    /// Nobody is let in, and sessions go on: until this time, if there is one.
    Retired(Option<Instant>),
    /// Health checks are answered 503, and clients are still let in: until this time.
    Grace(Instant),
    /// Sessions are told to end; at this time those that are left are cut off.
    Ending(Instant),
}

impl Drain {
    /// Whether it has begun, by a signal that ends it at once when it comes again.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.stage, Stage::Grace(_) | Stage::Ending(_))
    }

    /// Whether the end has not begun, nor does another process follow this one.
    pub(super) fn is_far(&self) -> bool {
        matches!(self.stage, Stage::Serving)
    }

    /// When there is something to do for it.
    pub(super) fn next(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Serving | Stage::Retired(None) => None,
            Stage::Retired(Some(until)) | Stage::Grace(until) | Stage::Ending(until) => Some(until),
        };
        let goodbye = self.goodbyes.front().map(|(at, _)| *at);
        earliest([stage, goodbye])
    }
}

/// A time for each of `keys`, in no order that somebody could know, evenly over `spread`, and each at
/// some time of its part of it: who comes back comes at as even a rate.
pub(super) fn times(
    mut keys: Vec<Key>,
    start: Instant,
    spread: Duration,
) -> VecDeque<(Instant, Key)> {
    let (chance, count) = (RandomState::new(), keys.len() as f64);
    keys.sort_by_cached_key(|key| chance.hash_one((key.index, key.generation)));
    let time = |(place, key): (usize, Key)| {
        let jitter = chance.hash_one(place) as f64 / u64::MAX as f64;
        (start + spread.mul_f64((place as f64 + jitter) / count), key)
    };
    keys.into_iter().enumerate().map(time).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goodbyes_are_even_and_each_has_its_own() {
        let start = Instant::now();
        let keys: Vec<Key> = (0..9000).map(|index| Key { index, generation: 1 }).collect();
        let spread = Duration::from_secs(90);
        let times = times(keys.clone(), start, spread);
        assert!(times.iter().is_sorted_by_key(|(at, _)| *at));
        let mut told: Vec<u32> = times.iter().map(|(_, key)| key.index).collect();
        assert_ne!(told, (0..9000).collect::<Vec<_>>());
        told.sort_unstable();
        assert!(told.iter().copied().eq(0..9000));
        let mut seconds = [0; 90];
        for (at, _) in &times {
            seconds[at.duration_since(start).as_secs() as usize] += 1;
        }
        // 100 a second are even; a fifth more is the most that may come back at once.
        assert!(seconds.iter().all(|count| (90..=110).contains(count)), "{seconds:?}");
    }
}
