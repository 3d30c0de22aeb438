//! Who is inside a compressed message has an inflater of its own until that ends.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::engine::{Inflater, Invalid, Moved};

/// The most at once: 28 MB. Beyond that, clients that begin a compressed message are not read, so a
/// flood of unfinished ones costs no more.
const MOST: usize = 512;
/// How many are kept when nobody has them. A message that lies in one read needs none for longer than
/// that.
const KEPT: usize = 4;

/// The inflaters of a loop.
#[derive(Default)]
pub struct Pool {
    free: RefCell<Vec<Inflater>>,
    taken: Cell<usize>,
    reserved: Cell<bool>,
}

impl Pool {
    /// How many can be taken.
    #[must_use]
    pub fn free(&self) -> usize {
        MOST - self.taken.get()
    }

    /// Whether one can be taken.
    #[must_use]
    pub fn has_free(&self) -> bool {
        self.free() > 0
    }

    /// Whether those that are free, and get free, are for decoders that were [called](super::Decoder::call).
    pub fn reserve(&self, reserved: bool) {
        self.reserved.set(reserved);
    }

    /// Whether one can be taken by a decoder that was called or not.
    pub(super) fn has_one_for(&self, called: bool) -> bool {
        self.has_free() && (called || !self.reserved.get())
    }

    /// Takes one, if there is one.
    pub(super) fn take(self: &Rc<Self>) -> Option<Lease> {
        if !self.has_free() {
            return None;
        }
        let kept = self.free.borrow_mut().pop();
        let inflater = kept.or_else(Inflater::new)?;
        self.taken.set(self.taken.get() + 1);
        Some(Lease { inflater: Some(inflater), pool: Rc::clone(self) })
    }
}

/// An inflater that is somebody's; it goes back when this is dropped.
pub(super) struct Lease {
    /// There until it goes back.
    inflater: Option<Inflater>,
    pool: Rc<Pool>,
}

impl Lease {
    /// Begins a stream of its own, behind `history`; returns whether it can.
    pub(super) fn begin(&mut self, history: &[u8]) -> bool {
        self.inflater.as_mut().is_some_and(|inflater| inflater.begin(history))
    }

    pub(super) fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<Moved, Invalid> {
        self.inflater.as_mut().ok_or(Invalid)?.inflate(input, output)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Pool { free, taken, .. } = &*self.pool;
        taken.set(taken.get() - 1);
        let mut free = free.borrow_mut();
        if free.len() < KEPT {
            free.extend(self.inflater.take());
        }
    }
}
