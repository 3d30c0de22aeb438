//! What the slab and the slots in the loop's hands share.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use super::book::Book;
use super::mapping::Mapping;
use websocksy_abi::websocket;

pub(super) struct Shared {
    pub(super) mapping: Arc<Mapping>,
    /// How many slots, from the first, may be touched.
    pub(super) opened: Cell<usize>,
    pub(super) book: RefCell<Book>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("slots", &self.mapping.slots()).finish_non_exhaustive()
    }
}

impl Shared {
    /// `index` holds nothing any more.
    #[allow(unsafe_code)] // gives memory back
    pub(super) fn idle(&self, index: u32) {
        let cold = self.book.borrow_mut().idle(index);
        if let Some(cold) = cold {
            // SAFETY: it was opened when it was taken, and it holds nothing. So it is not on loan,
            // and if it is a `Slot`, that lends references only as long as it is busy or by a
            // borrow that ends before this call, on this same thread.
            unsafe { self.mapping.give_back(cold) };
        }
    }

    /// Takes note of loans that ended without coming back.
    #[allow(unsafe_code)] // looks at memory that was lent
    pub(super) fn settle(&self) {
        for index in self.mapping.returned() {
            // SAFETY: it was open when it was lent, and the loan, which had it alone, is over.
            clear(unsafe { self.mapping.websocket_mut(index) });
            self.book.borrow_mut().free(index);
            self.idle(index);
        }
    }
}

/// Makes both buffers empty, whatever a plug-in wrote there. What is zero is left untouched, since
/// the page may not be there.
pub(super) fn clear(ws: &mut websocket) {
    for offset in [&mut ws.read_buffer_offset, &mut ws.peer_buffer_offset] {
        if *offset != 0 {
            *offset = 0;
        }
    }
}
