//! A thread of a reload, which may hang: in a plug-in's `configure`, in a file, in a name. It is waited for
//! until a deadline and then left behind.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many may be left behind before no reload is begun any more: none of what they hold comes back.
pub(super) const MOST: usize = 4;

/// What a thread is at, in words.
#[derive(Clone, Default)]
pub(super) struct Doing(Arc<Mutex<String>>);

impl Doing {
    /// It begins with this.
    pub(super) fn begins(&self, what: &impl Display) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what.to_string();
    }

    /// That it is still at it after so long.
    pub(super) fn has_not_returned(&self, limit: Duration) -> String {
        let what = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        format!("{what} has not returned within {} s", limit.as_secs_f64())
    }
}

/// How many were left behind and have not returned.
#[derive(Clone, Default)]
pub(super) struct Behind(Arc<AtomicUsize>);

impl Behind {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A thread that is waited for, as both sides have it.
#[derive(Clone)]
pub(super) struct Patience {
    doing: Doing,
    behind: Behind,
    /// Either its outcome counts, or it is left behind.
    settled: Arc<AtomicBool>,
    limit: Duration,
    pub(super) until: Instant,
}

impl Patience {
    /// It is waited for for `limit` from `now` on.
    pub(super) fn new(behind: &Behind, limit: Duration, now: Instant) -> Self {
        let (doing, behind, settled) = (Doing::default(), behind.clone(), Arc::default());
        Self { doing, behind, settled, limit, until: now + limit }
    }

    /// Where the thread says what it is at.
    pub(super) fn doing(&self) -> Doing {
        self.doing.clone()
    }

    /// The thread is done; whether its outcome counts.
    pub(super) fn returns(&self) -> bool {
        let counts = !self.settled.swap(true, Ordering::SeqCst);
        if !counts {
            self.behind.0.fetch_sub(1, Ordering::SeqCst);
        }
        counts
    }

    /// Leaves the thread behind if it is time and it is not done; what there is to say of that.
    pub(super) fn ends(&self, now: Instant) -> Option<String> {
        if now < self.until {
            return None;
        }
        // Counted first: the thread may take it back at once.
        let count = self.behind.0.fetch_add(1, Ordering::SeqCst) + 1;
        if self.settled.swap(true, Ordering::SeqCst) {
            self.behind.0.fetch_sub(1, Ordering::SeqCst);
            return None; // its outcome is on its way
        }
        Some(format!(
            "{}; its thread is left behind with what it has loaded ({count} of at most {MOST})",
            self.doing.has_not_returned(self.limit)
        ))
    }
}

/// What a thread is to have once it comes so far. One that is left behind does not get it, and leaves
/// nothing of it open.
pub(super) struct Lent<T>(Arc<Mutex<Option<T>>>);

impl<T> Lent<T> {
    pub(super) fn new(what: Option<T>) -> Self {
        Self(Arc::new(Mutex::new(what)))
    }

    /// Whoever comes first has it.
    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Clone for Lent<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_hangs_is_left_behind_and_counted_until_it_returns() {
        let (behind, now, limit) = (Behind::default(), Instant::now(), Duration::from_secs(2));
        let wait = || Patience::new(&behind, limit, now);
        let in_time = wait();
        assert!(in_time.ends(now).is_none() && in_time.returns());
        assert_eq!((in_time.ends(now + limit), behind.count()), (None, 0));
        let [first, second] = [wait(), wait()];
        first.doing().begins(&"a.conf:3: gate");
        let words = first.ends(now + limit).unwrap();
        assert!(words.starts_with("a.conf:3: gate has not returned within 2 s; "), "{words}");
        assert!(second.ends(now + limit).unwrap().ends_with("(2 of at most 4)"));
        assert_eq!(behind.count(), 2);
        assert!(!first.returns() && !second.returns());
        assert_eq!(behind.count(), 0);
    }
}
