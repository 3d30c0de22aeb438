//! When is a worker that died started again?

use std::time::Duration;

/// The first pause, after a worker that died twice.
const FIRST: Duration = Duration::from_millis(100);
/// The longest: clients wait meanwhile, and nobody else takes them.
const LONGEST: Duration = Duration::from_secs(2);
/// Who lived so long has died of something new.
const LIVED: Duration = Duration::from_secs(10);

/// How often a worker died lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Restarts(u32);

impl Restarts {
    /// It died after so long: how long the next one is waited with.
    pub(super) fn pause(&mut self, lived: Duration) -> Duration {
        if lived >= LIVED {
            self.0 = 0;
        }
        let doubled = |times: u32| FIRST.saturating_mul(1 << times.min(16));
        let pause = self.0.checked_sub(1).map_or(Duration::ZERO, doubled);
        self.0 = self.0.saturating_add(1);
        pause.min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_and_then_slower_until_one_lives() {
        let mut restarts = Restarts::default();
        let mut pauses = |lived: u64, count: usize| -> Vec<u128> {
            let lived = Duration::from_secs(lived);
            (0..count).map(|_| restarts.pause(lived).as_millis()).collect()
        };
        assert_eq!(pauses(0, 8), [0, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(pauses(10, 1), [0]);
        assert_eq!(pauses(9, 2), [100, 200]);
        assert_eq!(pauses(0, 40).last(), Some(&2000));
    }
}
