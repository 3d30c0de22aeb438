//! One slot: the loop's, or on loan to a query.
#![allow(unsafe_code)] // references into the mapping, from who has the slot

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::mapping::Mapping;
use super::shared::{Shared, clear};
use websocksy_abi::{PEER_BUFFER_SIZE, WS_MAX_LINE, websocket};

const _: () = assert!(WS_MAX_LINE <= u16::MAX as usize && PEER_BUFFER_SIZE <= u16::MAX as usize);

/// A slot in the loop's hands. It is free again when this is dropped.
pub struct Slot {
    shared: Rc<Shared>,
    index: u32,
    /// Bytes used of either buffer, as [`Which`] says: not what the struct says, where a plug-in
    /// may have written.
    used: [u16; 2],
    /// Whether the slab knows that it holds something, or is about to.
    busy: bool,
    /// Whether it is a loan now, and this one only what is left in the loop's hands.
    lent: bool,
}

/// One of the two buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Read,
    Peer,
}

impl Slot {
    /// An empty one that the slab's book says is taken.
    pub(super) fn new(shared: Rc<Shared>, index: u32) -> Self {
        Self { shared, index, used: [0; 2], busy: false, lent: false }
    }

    /// One that was on loan, and held these bytes in its `read_buffer` before.
    pub(super) fn back(shared: Rc<Shared>, index: u32, early: &[u8]) -> Self {
        let mut slot = Self { shared, index, used: [0; 2], busy: true, lent: false };
        clear(slot.websocket_mut());
        slot.read_buffer().set(early);
        slot.rest();
        slot
    }

    /// Its index, which is the session's.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// What came from the client and was not looked at: a part of a request head, or frames behind
    /// it.
    pub fn read_buffer(&mut self) -> Buffer<'_> {
        Buffer { slot: self, which: Which::Read }
    }

    /// What came from the peer and waits for a framing function's verdict.
    pub fn peer_buffer(&mut self) -> Buffer<'_> {
        Buffer { slot: self, which: Which::Peer }
    }

    /// The bytes in [`Slot::read_buffer`].
    #[must_use]
    pub fn read_bytes(&self) -> &[u8] {
        self.bytes(Which::Read)
    }

    /// The bytes in [`Slot::peer_buffer`].
    #[must_use]
    pub fn peer_bytes(&self) -> &[u8] {
        self.bytes(Which::Peer)
    }

    /// Lends the slot to a query. What is in its `read_buffer` is there for the query to see, and
    /// kept beside it.
    #[must_use]
    pub fn lend(mut self) -> Loan {
        debug_assert!(self.peer_bytes().is_empty(), "there is no peer before the query");
        self.stir();
        self.lent = true;
        let (mapping, early) = (Arc::clone(&self.shared.mapping), self.read_bytes().to_vec());
        Loan { mapping, index: self.index, early, back: false }
    }

    pub(super) fn websocket(&self) -> &websocket {
        // SAFETY: taken, so opened; only this very `Slot` writes to it, by `&mut self`.
        unsafe { self.shared.mapping.websocket(self.index) }
    }

    fn websocket_mut(&mut self) -> &mut websocket {
        // SAFETY: taken, so opened; nobody but this very `Slot` touches it.
        unsafe { self.shared.mapping.websocket_mut(self.index) }
    }

    fn bytes(&self, which: Which) -> &[u8] {
        let used = usize::from(self.used[which as usize]);
        match which {
            Which::Read => &self.websocket().read_buffer[..used],
            Which::Peer => &self.websocket().peer_buffer[..used],
        }
    }

    fn buffer_mut(&mut self, which: Which) -> &mut [u8] {
        match which {
            Which::Read => &mut self.websocket_mut().read_buffer,
            Which::Peer => &mut self.websocket_mut().peer_buffer,
        }
    }

    /// The first `used` bytes of a buffer hold something.
    fn set_used(&mut self, which: Which, used: usize) {
        if used != usize::from(self.used[which as usize]) {
            self.used[which as usize] = used as u16; // at most a buffer's size
            match which {
                Which::Read => self.websocket_mut().read_buffer_offset = used,
                Which::Peer => self.websocket_mut().peer_buffer_offset = used,
            }
        }
        self.rest();
    }

    /// The slot is about to be written to.
    fn stir(&mut self) {
        if !std::mem::replace(&mut self.busy, true) {
            self.shared.book.borrow_mut().busy(self.index);
        }
    }

    /// If the slot holds nothing now, its memory may go.
    fn rest(&mut self) {
        if self.busy && self.used == [0; 2] {
            self.busy = false;
            self.shared.idle(self.index);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.lent {
            self.read_buffer().clear();
            self.peer_buffer().clear();
            self.shared.book.borrow_mut().free(self.index);
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [read, peer] = self.used;
        write!(f, "Slot {{ index: {}, read: {read}, peer: {peer} }}", self.index)
    }
}

/// A buffer of a slot; its `_offset` in the struct says how many bytes are in it.
pub struct Buffer<'a> {
    slot: &'a mut Slot,
    which: Which,
}

impl<'a> Buffer<'a> {
    /// [`Buffer::space`] for as long as the slot is borrowed.
    pub fn into_space(self) -> &'a mut [u8] {
        let used = self.used();
        self.slot.stir();
        &mut self.slot.buffer_mut(self.which)[used..]
    }

    fn used(&self) -> usize {
        usize::from(self.slot.used[self.which as usize])
    }

    /// The free room behind the bytes that it holds, for a read.
    pub fn space(&mut self) -> &mut [u8] {
        self.slot.stir();
        let used = self.used();
        &mut self.slot.buffer_mut(self.which)[used..]
    }

    /// The first `length` bytes of [`Buffer::space`], where a read put them. They are not held yet:
    /// mostly they are taken at once.
    pub fn arrived(&mut self, length: usize) -> &mut [u8] {
        &mut self.space()[..length]
    }

    /// Holds the bytes of [`Buffer::space`] from `start` to `end`, behind those that it holds, and
    /// nothing else of them.
    pub fn keep(&mut self, start: usize, end: usize) {
        let used = self.used();
        let kept = end.saturating_sub(start);
        if kept > 0 && start > 0 {
            self.slot.buffer_mut(self.which).copy_within(used + start..used + end, used);
        }
        self.slot.set_used(self.which, used + kept);
    }

    /// Holds these bytes, and nothing else; at most as many as fit.
    pub fn set(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.clear();
        }
        self.slot.stir();
        self.slot.buffer_mut(self.which)[..bytes.len()].copy_from_slice(bytes);
        self.slot.set_used(self.which, bytes.len());
    }

    /// Holds nothing.
    pub fn clear(&mut self) {
        self.slot.set_used(self.which, 0);
    }
}

/// A slot in the hands of a query, on any thread: the only way to its memory. When it is dropped
/// without [coming back](super::Slab::take_back), the slot is free once the loop looks.
pub struct Loan {
    mapping: Arc<Mapping>,
    index: u32,
    /// What was in the `read_buffer`.
    early: Vec<u8>,
    back: bool,
}

impl Loan {
    /// The struct, which C code may be pointed at for as long as the loan lasts.
    pub fn websocket(&mut self) -> &mut websocket {
        // SAFETY: opened when it was taken; whoever has the loan has the slot alone.
        unsafe { self.mapping.websocket_mut(self.index) }
    }

    /// Ends without giving the slot back: it goes on being taken.
    pub(super) fn end(mut self) -> (u32, Vec<u8>) {
        self.back = true;
        (self.index, std::mem::take(&mut self.early))
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if !self.back {
            self.mapping.hand_back(self.index);
        }
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loan {{ index: {}, early: {} }}", self.index, self.early.len())
    }
}
