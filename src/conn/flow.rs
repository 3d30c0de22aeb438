//! What a side takes. Taking is living: a side that takes bytes, at whatever speed, is alive; one
//! that takes none while bytes wait for it is not, wherever they wait, in our queue or the kernel's.
//!
//! The kernel says how many of a socket's bytes are not acknowledged only when it is asked, so it is
//! asked now and then while some may be: [`Flow::look`].

use std::time::{Duration, Instant};

/// The bytes of one stream that the kernel took from us, and the other end from the kernel.
pub(super) struct Flow {
    /// Bytes that the kernel took.
    written: u64,
    /// How many of them the other end is known to have acknowledged.
    taken: u64,
    /// When bytes were last seen to be taken, or began to wait.
    progress: Instant,
    /// When the kernel was last asked, or the first of these bytes was written.
    looked: Instant,
}

impl Flow {
    pub(super) fn new(now: Instant) -> Self {
        Self { written: 0, taken: 0, progress: now, looked: now }
    }

    /// The kernel took `n` bytes.
    pub(super) fn wrote(&mut self, n: usize, now: Instant) {
        if !self.may_hold() {
            (self.progress, self.looked) = (now, now);
        }
        self.written += n as u64;
    }

    /// Bytes begin to wait in our queue. If the kernel holds some, the wait began with those.
    pub(super) fn waits(&mut self, now: Instant) {
        if !self.may_hold() {
            self.progress = now;
        }
    }

    /// The kernel took bytes, and is not asked whether the other end did: that is all there is to
    /// know. Where it is asked, its own taking is no sign of life: its buffer grows.
    pub(super) fn progressed(&mut self, now: Instant) {
        self.progress = now;
    }

    /// Bytes that the kernel took, ever.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// How many of those the other end is known to have.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The kernel says that it still holds `held` bytes; returns whether the other end took some.
    pub(super) fn look(&mut self, held: usize, now: Instant) -> bool {
        self.looked = now;
        let taken = self.written.saturating_sub(held as u64);
        let progress = taken > self.taken;
        if progress {
            self.taken = taken;
            self.progress = now;
        }
        progress
    }

    /// Nothing that was written matters any more.
    pub(super) fn forget(&mut self) {
        self.taken = self.written;
    }

    /// Whether the kernel may hold bytes that the other end has not acknowledged.
    pub(super) fn may_hold(&self) -> bool {
        self.written > self.taken
    }

    pub(super) fn progress(&self) -> Instant {
        self.progress
    }

    /// When to ask the kernel again.
    pub(super) fn look_at(&self, interval: Duration) -> Option<Instant> {
        self.may_hold().then(|| self.looked + interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_acknowledged_is_progress() {
        let start = Instant::now();
        let mut flow = Flow::new(start);
        assert_eq!((flow.may_hold(), flow.look_at(SECOND)), (false, None));
        flow.wrote(10, start + SECOND);
        flow.wrote(10, start + SECOND * 2);
        assert_eq!(flow.look_at(SECOND), Some(start + SECOND * 2));
        assert_eq!(flow.progress(), start + SECOND, "the second write is no sign of life");
        assert!(!flow.look(20, start + SECOND * 3));
        assert_eq!(flow.progress(), start + SECOND, "none was taken");
        assert!(flow.look(19, start + SECOND * 4));
        assert_eq!(flow.progress(), start + SECOND * 4);
        flow.wrote(1, start + SECOND * 5);
        assert!(flow.look(19, start + SECOND * 6), "as many wait, but newer ones");
        assert!(flow.look(0, start + SECOND * 7));
        assert!(!flow.may_hold());
    }

    #[test]
    fn f01_a_queue_behind_what_the_kernel_holds_is_no_new_wait() {
        let start = Instant::now();
        let mut flow = Flow::new(start);
        flow.wrote(10, start + SECOND);
        flow.waits(start + SECOND * 3);
        flow.wrote(10, start + SECOND * 4); // its buffer grew
        assert_eq!(flow.progress(), start + SECOND);
        flow.look(0, start + SECOND * 5);
        flow.waits(start + SECOND * 6);
        assert_eq!(flow.progress(), start + SECOND * 6);
    }
}
