//! The descriptors of a made-up process.

use std::cell::Cell;
use std::io::{Error, Result};
use std::rc::Rc;

/// All of them.
#[derive(Debug)]
pub(crate) struct Descriptors {
    count: usize,
    free: Rc<Cell<usize>>,
}

impl Descriptors {
    pub(crate) fn new(count: usize) -> Self {
        Self { count, free: Rc::new(Cell::new(count)) }
    }

    /// One of those that are free (EMFILE).
    pub(crate) fn take(&self) -> Result<Descriptor> {
        let left = self.free.get().checked_sub(1);
        self.free.set(left.ok_or_else(|| Error::from_raw_os_error(libc::EMFILE))?);
        Ok(Descriptor(Rc::clone(&self.free)))
    }

    /// How many there are, free or not.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.count - self.free.get()
    }

    pub(crate) fn are_used_up(&self) -> bool {
        self.free.get() == 0
    }
}

/// A descriptor, which is given back when it is dropped.
#[derive(Debug)]
pub struct Descriptor(Rc<Cell<usize>>);

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}
