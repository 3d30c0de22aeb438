//! Bytes that one side gave and the other has not taken yet.

use std::collections::VecDeque;

/// What could not be written at once, in order; empty in the steady state, and then without memory.
///
/// It is filled by one turn only: while anything waits, the side that gave it is not read. So it
/// holds at most what one turn made ([`super::TURN_BYTES`] and the frame headers around them).
#[derive(Default)]
pub(super) struct Queue(Option<Box<Waiting>>);

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    sent: usize,
    /// Lengths of the datagrams in `bytes`; unused for streams.
    datagrams: VecDeque<usize>,
}

impl Queue {
    fn waiting_mut(&mut self) -> &mut Waiting {
        self.0.get_or_insert_default()
    }

    /// Whether all was taken.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|waiting| waiting.is_taken())
    }

    /// Bytes that wait.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.bytes.len() - waiting.sent)
    }

    /// What waits of a stream, or the first datagram.
    #[must_use]
    pub(super) fn front(&self) -> &[u8] {
        let Self(Some(waiting)) = self else { return &[] };
        let bytes = &waiting.bytes[waiting.sent..];
        match waiting.datagrams.front() {
            Some(&length) => &bytes[..length],
            None => bytes,
        }
    }

    /// Adds bytes of a stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.waiting_mut().bytes.extend_from_slice(bytes);
    }

    /// Adds one datagram.
    pub(super) fn push_datagram(&mut self, bytes: &[u8]) {
        let waiting = self.waiting_mut();
        waiting.bytes.extend_from_slice(bytes);
        waiting.datagrams.push_back(bytes.len());
    }

    /// `n` bytes of [`front`](Self::front) were taken; a datagram goes whole.
    pub(super) fn sent(&mut self, n: usize) {
        let Self(Some(waiting)) = self else { return };
        waiting.sent += waiting.datagrams.pop_front().unwrap_or(n);
        if waiting.is_taken() {
            *self = Self(None);
        }
    }

    /// Forgets all; returns how many bytes that were.
    pub(super) fn discard(&mut self) -> usize {
        let lost = self.len();
        *self = Self(None);
        lost
    }
}

impl Waiting {
    fn is_taken(&self) -> bool {
        self.sent == self.bytes.len() && self.datagrams.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_taken_in_pieces() {
        let mut queue = Queue::default();
        queue.push(b"hello ");
        queue.push(b"world");
        queue.sent(3);
        assert_eq!(queue.front(), b"lo world");
        queue.sent(8);
        assert!(queue.is_empty());
        assert!(queue.0.is_none(), "an empty queue gives its memory back");
    }

    #[test]
    fn datagrams_are_taken_whole() {
        let mut queue = Queue::default();
        queue.push_datagram(b"ab");
        queue.push_datagram(b"");
        assert_eq!(queue.front(), b"ab");
        queue.sent(2);
        assert!(!queue.is_empty(), "an empty datagram still waits");
        queue.sent(0);
        assert!(queue.is_empty());
    }
}
