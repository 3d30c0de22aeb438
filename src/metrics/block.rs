//! A block of cells, and how one counts in it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{BUCKETS, bucket, micros};
pub use super::layout::CELLS;
use super::layout::{
    CERTIFICATE, CERTIFICATES, CERTIFICATES_AT, COUNT, COUNTS, COUNTS_AT, ENDINGS, ENDINGS_AT,
    HISTOGRAM, LABEL, LISTENER, LISTENERS, LISTENERS_AT, NAME, Number, OTHERS, OfListener, Place,
    REFUSALS, REFUSALS_AT, TIMES_AT, Times,
};

/// The numbers of one loop. One thread writes them; others may read at any time, here or in another
/// process, and find each number whole.
pub struct Block(Cells);

enum Cells {
    Own(Box<[AtomicU64]>),
    Handed(&'static [AtomicU64]),
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Block")
    }
}

impl Default for Block {
    fn default() -> Self {
        Self(Cells::Own((0..CELLS).map(|_| AtomicU64::new(0)).collect()))
    }
}

impl Block {
    /// The block that lies in these cells; none if they are fewer than [`CELLS`].
    #[must_use]
    pub fn over(cells: &'static [AtomicU64]) -> Option<Self> {
        cells.get(..CELLS).map(|cells| Self(Cells::Handed(cells)))
    }

    fn cells(&self) -> &[AtomicU64] {
        match &self.0 {
            Cells::Own(cells) => cells,
            Cells::Handed(cells) => cells,
        }
    }

    pub(super) fn cell(&self, at: usize) -> u64 {
        self.cells().get(at).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    fn put(&self, at: usize, value: u64) {
        if let Some(cell) = self.cells().get(at) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    fn grow(&self, at: usize, more: u64) {
        self.put(at, self.cell(at).wrapping_add(more));
    }

    /// A process begins to count in a block that one before it may have left: who was there is gone.
    pub fn begin(&self) {
        for place in 0..=LISTENERS {
            let at = LISTENERS_AT + place * LISTENER + LABEL;
            self.put(at + OfListener::Gone as usize, self.cell(at + OfListener::Accepted as usize));
            self.put(at + OfListener::Closed as usize, self.cell(at + OfListener::Opened as usize));
        }
    }

    /// The process that counted here is gone, and what it had with it; counters stay.
    pub fn left(&self) {
        self.begin();
        for number in [
            Number::LookUps,
            Number::Queries,
            Number::Passwords,
            Number::Files,
            Number::Queued,
            Number::Draining,
            Number::Ready,
            Number::Resident,
            Number::Descriptors,
            Number::MostDescriptors,
        ] {
            self.set(number, 0);
        }
        self.set(Number::ReloadOk, 1);
        self.certificates([]);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self, number: Number) -> u64 {
        self.cell(number as usize)
    }

    /// It is `value` now.
    pub fn set(&self, number: Number, value: u64) {
        self.put(number as usize, value);
    }

    /// It is so much more.
    pub fn add(&self, number: Number, more: u64) {
        self.grow(number as usize, more);
    }

    /// A configuration was taken in, at so many seconds from 1970, or was refused.
    pub fn reloaded(&self, taken_in: bool, at: u64) {
        self.set(Number::ReloadOk, u64::from(taken_in));
        if taken_in {
            self.add(Number::Generation, 1);
            self.set(Number::ReloadedAt, at);
        }
    }

    /// A session has ended for the reason of this name.
    pub fn ended(&self, name: &str) {
        let place = ENDINGS.iter().position(|known| *known == name);
        self.grow(ENDINGS_AT + place.unwrap_or(ENDINGS.len() - 1), 1);
    }

    /// A request was answered with this status, which counts as a refusal from 400 on.
    pub fn answered(&self, status: u16) {
        let place = status.checked_sub(REFUSALS.0).map(usize::from);
        if let Some(place) = place.filter(|place| *place < REFUSALS.1) {
            self.grow(REFUSALS_AT + place, 1);
        }
    }

    /// Something took so long.
    pub fn took(&self, what: Times, time: Duration) {
        let (at, micros) = (TIMES_AT + what as usize * HISTOGRAM, micros(time));
        self.grow(at + bucket(micros), 1);
        self.put(at + BUCKETS, self.cell(at + BUCKETS).saturating_add(micros));
    }

    /// The place of the listener of this name: its own, a new one, or that which the last ones share.
    #[must_use]
    pub fn place(&self, name: &str) -> Place {
        let at = |place: usize| LISTENERS_AT + place * LISTENER;
        let own = (0..LISTENERS).find(|place| self.has_label(at(*place), name));
        let free = || (0..LISTENERS).find(|place| self.cell(at(*place)) == 0);
        let (place, name) = own.or_else(free).map_or((LISTENERS, OTHERS), |place| (place, name));
        self.label(at(place), name);
        Place(u8::try_from(place).unwrap_or_default())
    }

    fn of_listener(&self, Place(place): Place, what: OfListener) {
        self.grow(LISTENERS_AT + usize::from(place) * LISTENER + LABEL + what as usize, 1);
    }

    /// A client was accepted.
    pub fn accepted(&self, place: Place) {
        self.of_listener(place, OfListener::Accepted);
    }

    /// A client that was accepted is gone.
    pub fn gone(&self, place: Place) {
        self.of_listener(place, OfListener::Gone);
    }

    /// A session is bridged.
    pub fn opened(&self, place: Place) {
        self.of_listener(place, OfListener::Opened);
    }

    /// A session that was bridged has ended.
    pub fn closed(&self, place: Place) {
        self.of_listener(place, OfListener::Closed);
    }

    /// These certificates are shown to clients: their names, and when they end, seconds from 1970.
    pub fn certificates<'a>(&self, all: impl IntoIterator<Item = (&'a str, u64)>) {
        let mut all = all.into_iter();
        for place in 0..CERTIFICATES {
            let at = CERTIFICATES_AT + place * CERTIFICATE;
            let (name, end) = all.next().unwrap_or_default();
            self.label(at, name);
            self.put(at + LABEL, end);
        }
    }

    /// Plug-ins have counted `more` of what they call `name`: in a place of its own, as long as there
    /// are any. A name is told from others by its first 64 bytes.
    pub fn counted(&self, name: &str, more: u64) {
        let at = |place: usize| COUNTS_AT + place * COUNT;
        let words = || packed(name).take(NAME).enumerate();
        let is_own = |place: &usize| words().all(|(n, word)| self.cell(at(*place) + n) == word);
        let own = (0..COUNTS).find(is_own);
        let free = || (0..COUNTS).find(|place| self.cell(at(*place)) == 0);
        let Some(place) = own.or_else(free).filter(|_| !name.is_empty()) else { return };
        words().for_each(|(n, word)| self.put(at(place) + n, word));
        self.grow(at(place) + NAME, more);
    }

    fn has_label(&self, at: usize, name: &str) -> bool {
        packed(name).enumerate().all(|(n, word)| self.cell(at + n) == word)
    }

    fn label(&self, at: usize, name: &str) {
        packed(name).enumerate().for_each(|(n, word)| self.put(at + n, word));
    }
}

/// A name as cells; what is too long loses its end.
fn packed(name: &str) -> impl Iterator<Item = u64> {
    let mut bytes = [0; LABEL * 8];
    name.bytes().zip(&mut bytes).for_each(|(byte, own)| *own = byte);
    (0..LABEL).map(move |n| {
        bytes.get(n * 8..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_le_bytes(*word))
    })
}

/// The name in cells.
pub(super) fn unpacked(cells: impl Iterator<Item = u64>) -> String {
    let bytes: Vec<u8> = cells.flat_map(u64::to_le_bytes).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_have_places_by_their_names_and_the_last_share_one() {
        let block = Block::default();
        let first = block.place("[::]:8001");
        assert_eq!(block.place("[::]:8002"), Place(1));
        assert_eq!(block.place("[::]:8001"), first);
        let many: Vec<_> = (0..20).map(|n| block.place(&format!("unix:/{n}"))).collect();
        assert_eq!(many.last(), Some(&Place(16)));
        let long = "unix:/".to_owned() + &"x".repeat(200);
        assert_eq!(block.place(&long), Place(16));
    }

    #[test]
    fn plug_ins_count_by_name_as_long_as_there_is_room() {
        let block = Block::default();
        let longest = "n".repeat(64);
        (0..COUNTS).for_each(|n| block.counted(&format!("name_{n}"), n as u64));
        block.counted("name_3", 10);
        block.counted("one_too_many", 1);
        block.counted("", 1);
        let at = |place: usize| COUNTS_AT + place * COUNT;
        let name = |place: usize| unpacked((at(place)..at(place) + NAME).map(|at| block.cell(at)));
        let counts: Vec<_> = (0..COUNTS).map(|place| block.cell(at(place) + NAME)).collect();
        assert_eq!((name(3), name(63), counts[3]), ("name_3".into(), "name_63".into(), 13));
        assert_eq!(counts.iter().sum::<u64>(), (0..64).sum::<u64>() + 10);
        let other = Block::default();
        other.counted(&longest, 1);
        let cells = (COUNTS_AT..COUNTS_AT + NAME).map(|at| other.cell(at));
        assert_eq!((unpacked(cells), other.cell(COUNTS_AT + NAME)), (longest, 1));
    }

    #[test]
    fn names_survive_their_cells() {
        for name in ["", "a", "12345678", "[::1]:8001", "unix:/run/ä.sock"] {
            assert_eq!(unpacked(packed(name)), name);
        }
        assert_eq!(unpacked(packed(&"y".repeat(300))), "y".repeat(120));
    }

    #[test]
    fn who_was_there_before_a_new_process_is_gone_and_counters_stay() {
        let cells = (0..CELLS).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak();
        let block = Block::over(cells).unwrap();
        let place = block.place("a");
        (0..3).for_each(|_| block.accepted(place));
        block.opened(place);
        block.add(Number::BytesIn, 7);
        block.set(Number::Queries, 2);
        let again = Block::over(cells).unwrap();
        again.left();
        assert_eq!((again.get(Number::BytesIn), again.get(Number::Queries)), (7, 0));
        let at = LISTENERS_AT + LABEL;
        let counts: Vec<_> = (at..at + 4).map(|at| again.cell(at)).collect();
        assert_eq!(counts, [3, 3, 1, 1]);
        assert!(Block::over(&cells[1..]).is_none());
    }

    #[test]
    fn what_has_no_cell_is_counted_with_others_or_not_at_all() {
        let block = Block::default();
        block.ended("not-a-name");
        assert_eq!(block.cell(ENDINGS_AT + ENDINGS.len() - 1), 1);
        [399, 400, 404, 404, 599, 600].into_iter().for_each(|status| block.answered(status));
        let counts = |status: usize| block.cell(REFUSALS_AT + status - 400);
        assert_eq!([400, 404, 599].map(counts), [1, 2, 1]);
        assert_eq!(block.cell(REFUSALS_AT - 1), 1, "nothing beside");
    }
}
