//! What one turn has for one side, in order.

use std::ops::Range;

use super::traffic::Traffic;
use crate::proto::frame::{Header, Opcode};

/// Pieces shorter than this are copied together: beside the cost of one more `iovec` in a system
/// call the copy is nothing. Longer ones are written from where they lie.
pub(super) const LEND_FROM: usize = 1024;

/// A batch's memory beyond this is given back after the turn; one read of tiny messages with long
/// envelopes can need more for once.
const KEEP_STAGED: usize = 256 * 1024;

/// Bytes on their way to one side: copied small ones and ranges of the turn's buffer.
#[derive(Default)]
pub(super) struct Batch {
    staged: Vec<u8>,
    parts: Vec<Part>,
    length: usize,
    /// The frames of data, until somebody takes the count.
    pub(super) data: Traffic,
}

enum Part {
    /// A range of `staged`.
    Staged(Range<usize>),
    /// A range of the turn's buffer.
    Lent(Range<usize>),
}

impl Batch {
    /// The bytes of all parts.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// How many parts it has.
    #[must_use]
    pub(super) fn pieces(&self) -> usize {
        self.parts.len()
    }

    /// Whether nothing was added: an empty datagram counts as something.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Copies `bytes` behind what is there.
    pub(super) fn stage(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let start = self.staged.len();
        self.staged.extend_from_slice(bytes);
        self.length += bytes.len();
        match self.parts.last_mut() {
            Some(Part::Staged(last)) => last.end = self.staged.len(),
            _ => self.parts.push(Part::Staged(start..self.staged.len())),
        }
    }

    /// Copies the header of a frame of data, and counts what follows.
    pub(super) fn stage_header(&mut self, header: &Header) {
        self.data.count(header.length, header.fin);
        self.stage(header.encode().as_slice());
    }

    /// Adds a range of the turn's buffer: copied if it is short, lent if not.
    pub(super) fn add(&mut self, buffer: &[u8], range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        if range.len() < LEND_FROM { self.stage(&buffer[range]) } else { self.lend(range) }
    }

    /// Adds a range of the turn's buffer.
    pub(super) fn lend(&mut self, range: Range<usize>) {
        self.length += range.len();
        self.parts.push(Part::Lent(range));
    }

    /// Copies one datagram; a datagram is one part, never merged, and may be empty.
    pub(super) fn stage_datagram(&mut self, bytes: &[u8]) {
        let start = self.staged.len();
        self.staged.extend_from_slice(bytes);
        self.length += bytes.len();
        self.parts.push(Part::Staged(start..self.staged.len()));
    }

    /// The parts in order; `lent` is the turn's buffer.
    pub(super) fn parts<'a>(&'a self, lent: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.parts.iter().map(move |part| match part {
            Part::Staged(range) => &self.staged[range.clone()],
            Part::Lent(range) => &lent[range.clone()],
        })
    }

    /// Empties the batch for the next turn.
    pub(super) fn clear(&mut self) {
        self.staged.clear();
        self.staged.shrink_to(KEEP_STAGED);
        self.parts.clear();
        self.parts.shrink_to(KEEP_STAGED / LEND_FROM);
        self.length = 0;
    }
}

/// Adds one whole, unfragmented frame of ours.
pub(super) fn stage_frame(batch: &mut Batch, opcode: Opcode, payload: &[u8]) {
    batch.stage(Header::whole(opcode, payload.len() as u64).encode().as_slice());
    batch.stage(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_merges_copies() {
        let lent = b"0123456789";
        let mut batch = Batch::default();
        batch.stage(b"a");
        batch.stage(b"b");
        batch.lend(2..5);
        batch.stage(b"c");
        let parts: Vec<&[u8]> = batch.parts(lent).collect();
        assert_eq!(parts, [&b"ab"[..], b"234", b"c"]);
        assert_eq!(batch.len(), 6);
        batch.clear();
        assert!(batch.is_empty());
        assert_eq!(batch.len(), 0);
    }

    #[test]
    fn what_is_long_is_lent() {
        let lent = [0; LEND_FROM];
        for (length, parts) in [(0, 1), (LEND_FROM - 1, 1), (LEND_FROM, 2)] {
            let mut batch = Batch::default();
            batch.stage(b"a");
            batch.add(&lent, 0..length);
            assert_eq!((batch.len(), batch.pieces()), (1 + length, parts), "{length}");
        }
    }

    #[test]
    fn a_crowd_of_parts_leaves_room_for_as_many_as_usual() {
        let usual = KEEP_STAGED / LEND_FROM;
        let mut batch = Batch::default();
        (0..4 * usual).for_each(|_| batch.lend(0..LEND_FROM));
        batch.clear();
        assert!((usual..2 * usual).contains(&batch.parts.capacity()));
    }

    #[test]
    fn datagrams_stay_apart_even_when_empty() {
        let mut batch = Batch::default();
        batch.stage_datagram(b"");
        batch.stage_datagram(b"x");
        assert!(!batch.is_empty());
        assert_eq!(batch.parts(&[]).collect::<Vec<_>>(), [&b""[..], b"x"]);
    }
}
