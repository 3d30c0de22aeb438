//! A slab of fixed-buffer connection structs that mirror the C layout: the `websocket` of
//! `backends/include/websocksy.h`, one for each session, at the index that the session has.
//!
//! All of them lie in one mapping that is touched lazily: a slot costs address space until it
//! holds something, and what held something is given back, but for the few slots that were used
//! last. What is in a slot:
//!
//! | part | page | holds |
//! |---|---|---|
//! | `ws_fd`, `read_buffer` | 1st to 4th | a request head as it arrives, frames that came behind it |
//! | the fields up to `peer_fd` | 5th | what a `query` is shown, true while it runs |
//! | `peer_buffer` | 5th to 8th | what a framing has not cut yet; a query's strings |
//! | `peer_buffer_offset` and on | 9th | how much that is |
//!
//! So a head of the usual length touches one page, a query one more, and half a message of the
//! peer's two. (Pages of 4 KiB; larger ones only make slots larger.)
//!
//! Who may touch a slot is a matter of types. A [`Slot`] is the loop's; [`Slot::lend`] turns it
//! into a [`Loan`], which goes to the thread of a query and comes back through
//! [`Slab::take_back`]. In between nobody else can touch the slot or be given it, even if the
//! client has left: it is free when the loan is dropped, wherever that happens. What a plug-in
//! wrote there is not believed afterwards: lengths, and what the buffers held, are kept outside.

mod book;
mod mapping;
mod shared;
mod slot;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;

use mapping::Mapping;
use shared::Shared;
pub use slot::{Buffer, Loan, Slot};

/// The slots of all sessions.
#[derive(Clone, Debug)]
pub struct Slab(Rc<Shared>);

impl Slab {
    /// Address space for so many slots; no memory yet.
    ///
    /// # Errors
    /// The system's refusal (mmap(2)).
    pub fn new(slots: usize) -> io::Result<Self> {
        let mapping = Arc::new(Mapping::reserve(slots)?);
        Ok(Self(Rc::new(Shared { mapping, opened: Cell::new(0), book: RefCell::default() })))
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.0.mapping.slots()
    }

    /// Whether the slot is somebody's: a [`Slot`], or a [`Loan`] that has not come back.
    #[must_use]
    pub fn is_taken(&self, index: u32) -> bool {
        self.0.settle();
        self.0.book.borrow().is_taken(index)
    }

    /// The slot of this index.
    ///
    /// # Errors
    /// `ResourceBusy` when it is taken, `InvalidInput` when there is none of this index, or the
    /// system's refusal to let it be used (mprotect(2)).
    pub fn claim(&self, index: u32) -> io::Result<Slot> {
        let shared = &self.0;
        if index as usize >= shared.mapping.slots() {
            return Err(ErrorKind::InvalidInput.into());
        }
        shared.settle();
        while shared.opened.get() <= index as usize {
            shared.opened.set(shared.mapping.open(shared.opened.get())?);
        }
        if !shared.book.borrow_mut().take(index) {
            return Err(ErrorKind::ResourceBusy.into());
        }
        Ok(Slot::new(Rc::clone(shared), index))
    }

    /// A loan comes back: the slot's buffers hold what they held when it was lent, whatever its
    /// struct says now.
    #[must_use]
    pub fn take_back(&self, loan: Loan) -> Slot {
        let (index, early) = loan.end();
        Slot::back(Rc::clone(&self.0), index, &early)
    }
}
