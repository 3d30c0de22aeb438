//! The book on slots: which are taken, and which keep their pages while they hold nothing. Those are
//! the ones used last, up to a number.

use std::collections::VecDeque;

/// How many slots keep their pages. As many clients may come and go at once, or have half a message
/// waiting again and again, without page faults (some 6 µs a query, against 0.05 µs). It costs 4 KiB
/// each, 8 KiB with a plug-in and 36 KiB at worst, once for all: a part of what a thousand idle
/// sessions cost that is not seen.
pub(super) const MOST_WARM: usize = 16;

/// What is known of one slot.
#[derive(Clone, Copy, Default)]
struct Place {
    /// It is somebody's: the loop's, or a query's.
    taken: bool,
    /// It holds something.
    busy: bool,
    /// It is in the queue.
    queued: bool,
    /// It was used since it was queued: it passes once more before it is given back.
    again: bool,
}

/// Slots in the order in which they may be given back: a clock with a second chance, so that a
/// slot that is used again and again stays, at a constant price for each use.
#[derive(Default)]
pub(super) struct Book {
    places: Vec<Place>,
    queue: VecDeque<u32>,
}

impl Book {
    fn place(&mut self, index: u32) -> &mut Place {
        let at = index as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, Place::default());
        }
        &mut self.places[at]
    }

    pub(super) fn is_taken(&self, index: u32) -> bool {
        self.places.get(index as usize).is_some_and(|place| place.taken)
    }

    /// Makes the slot somebody's; `false` when it is already.
    pub(super) fn take(&mut self, index: u32) -> bool {
        !std::mem::replace(&mut self.place(index).taken, true)
    }

    /// The slot is nobody's again.
    pub(super) fn free(&mut self, index: u32) {
        self.place(index).taken = false;
    }

    /// The slot is about to hold something.
    pub(super) fn busy(&mut self, index: u32) {
        let place = self.place(index);
        place.busy = true;
        place.again = place.queued;
    }

    /// The slot holds nothing any more. If there are more warm slots than are kept, one of them,
    /// whose pages are to be given back.
    pub(super) fn idle(&mut self, index: u32) -> Option<u32> {
        let place = self.places.get_mut(index as usize)?;
        place.busy = false;
        if !std::mem::replace(&mut place.queued, true) {
            self.queue.push_back(index);
        }
        while self.queue.len() > MOST_WARM {
            let oldest = self.queue.pop_front()?;
            let place = self.places.get_mut(oldest as usize)?;
            if std::mem::take(&mut place.again) {
                self.queue.push_back(oldest);
                continue;
            }
            place.queued = false;
            if !place.busy {
                return Some(oldest);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(book: &mut Book, index: u32) -> Option<u32> {
        book.busy(index);
        book.idle(index)
    }

    #[test]
    fn the_oldest_is_given_back() {
        let mut book = Book::default();
        let most = MOST_WARM as u32;
        for index in 0..most {
            assert_eq!(used(&mut book, index), None);
        }
        for index in 0..3 * most {
            assert_eq!(used(&mut book, most + index), Some(index));
        }
    }

    #[test]
    fn a_slot_in_constant_use_stays_warm() {
        let mut book = Book::default();
        for index in 1..1000 {
            assert_ne!(used(&mut book, 0), Some(0));
            assert_ne!(used(&mut book, index), Some(0), "{index}");
        }
    }

    #[test]
    fn a_slot_that_holds_something_is_not_given_back() {
        let mut book = Book::default();
        book.busy(0);
        let given: Vec<u32> = (1..1000).filter_map(|index| used(&mut book, index)).collect();
        assert!(!given.contains(&0));
        book.idle(0);
        book.busy(0); // still queued from before
        let given: Vec<u32> = (1..1000).filter_map(|index| used(&mut book, index)).collect();
        assert!(!given.contains(&0));
        assert!(book.queue.len() <= MOST_WARM);
    }
}
