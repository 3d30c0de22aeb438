//! The numbers of one loop, or of several together.

use super::block::{Block, unpacked};
use super::histogram::BUCKETS;
use super::layout::{
    CERTIFICATE, CERTIFICATES, CERTIFICATES_AT, COUNT, COUNTS, COUNTS_AT, ENDINGS, ENDINGS_AT,
    HISTOGRAM, LABEL, LISTENER, LISTENERS, LISTENERS_AT, NAME, Number, OF_LISTENER, REFUSALS,
    REFUSALS_AT, TIMES_AT, Times,
};

/// What a listener has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) accepted: u64,
    pub(super) connections: u64,
    pub(super) opened: u64,
    pub(super) sessions: u64,
}

/// The numbers of blocks, together.
#[derive(Clone, Debug)]
pub struct Totals {
    /// The cells up to those of the listeners.
    cells: Vec<u64>,
    pub(super) listeners: Vec<Listener>,
    /// Certificates, and when they end, seconds from 1970.
    pub(super) certificates: Vec<(String, u64)>,
    /// What plug-ins count, by name.
    pub(super) counts: Vec<(String, u64)>,
}

impl Totals {
    /// What these blocks say now.
    #[must_use]
    pub fn of(blocks: &[&Block]) -> Self {
        let mut totals = Self {
            cells: vec![0; LISTENERS_AT],
            listeners: Vec::new(),
            certificates: Vec::new(),
            counts: Vec::new(),
        };
        for (n, block) in blocks.iter().enumerate() {
            for (at, total) in totals.cells.iter_mut().enumerate() {
                let own = block.cell(at);
                *total = match how(at) {
                    _ if n == 0 => own,
                    How::Sum => total.wrapping_add(own),
                    How::Most => own.max(*total),
                    How::Least => own.min(*total),
                };
            }
            (0..=LISTENERS).for_each(|place| totals.add_listener(block, place));
            (0..CERTIFICATES).for_each(|place| totals.add_certificate(block, place));
            (0..COUNTS).for_each(|place| totals.add_count(block, place));
        }
        totals
    }

    fn add_listener(&mut self, block: &Block, place: usize) {
        let at = LISTENERS_AT + place * LISTENER;
        let name = label(block, at);
        if name.is_empty() {
            return;
        }
        let mut counts = [0; OF_LISTENER];
        counts.iter_mut().enumerate().for_each(|(n, count)| *count = block.cell(at + LABEL + n));
        let [accepted, gone, opened, closed] = counts;
        let own = match self.listeners.iter_mut().position(|known| known.name == name) {
            Some(known) => self.listeners.get_mut(known),
            None => {
                self.listeners.push(Listener { name, ..Listener::default() });
                self.listeners.last_mut()
            }
        };
        if let Some(own) = own {
            own.accepted += accepted;
            own.connections += accepted.saturating_sub(gone);
            own.opened += opened;
            own.sessions += opened.saturating_sub(closed);
        }
    }

    fn add_certificate(&mut self, block: &Block, place: usize) {
        let at = CERTIFICATES_AT + place * CERTIFICATE;
        let (name, end) = (label(block, at), block.cell(at + LABEL));
        if name.is_empty() {
            return;
        }
        match self.certificates.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = end.min(*known),
            None => self.certificates.push((name, end)),
        }
    }

    /// Workers may have other names each, but no more of them are shown than one has room for.
    fn add_count(&mut self, block: &Block, place: usize) {
        let at = COUNTS_AT + place * COUNT;
        let name = unpacked((at..at + NAME).map(|at| block.cell(at)));
        let (count, is_room) = (block.cell(at + NAME), self.counts.len() < COUNTS);
        match self.counts.iter_mut().find(|(known, _)| *known == name) {
            _ if name.is_empty() => {}
            Some((_, known)) => *known = known.wrapping_add(count),
            None if is_room => self.counts.push((name, count)),
            None => {}
        }
    }

    fn cell(&self, at: usize) -> u64 {
        self.cells.get(at).copied().unwrap_or_default()
    }

    /// A number.
    #[must_use]
    pub fn number(&self, number: Number) -> u64 {
        self.cell(number as usize)
    }

    /// Endings that there were, and how often.
    pub(super) fn endings(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = ENDINGS.iter().enumerate().map(|(n, name)| (*name, self.cell(ENDINGS_AT + n)));
        all.filter(|(_, count)| *count > 0)
    }

    /// Statuses that were answered, and how often.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (u16, u64)> {
        let all = (0..REFUSALS.1).map(|n| self.cell(REFUSALS_AT + n));
        (REFUSALS.0..).zip(all).filter(|(_, count)| *count > 0)
    }

    /// How many there were in each bucket, and the sum of all in seconds.
    pub(super) fn times(&self, what: Times) -> ([u64; BUCKETS], f64) {
        let at = TIMES_AT + what as usize * HISTOGRAM;
        let mut counts = [0; BUCKETS];
        counts.iter_mut().enumerate().for_each(|(n, count)| *count = self.cell(at + n));
        (counts, self.cell(at + BUCKETS) as f64 / 1e6)
    }

    /// Clients that are there, bridged or not, and those of them that are bridged.
    #[must_use]
    pub fn present(&self) -> (u64, u64) {
        let sum = |of: fn(&Listener) -> u64| self.listeners.iter().map(of).sum();
        (sum(|listener| listener.connections), sum(|listener| listener.sessions))
    }
}

fn label(block: &Block, at: usize) -> String {
    unpacked((at..at + LABEL).map(|at| block.cell(at)))
}

/// How the numbers of several loops become one.
enum How {
    Sum,
    Most,
    Least,
}

/// Cells that are not of a number that stands alone are counters.
fn how(at: usize) -> How {
    match Number::ALL.get(at) {
        None => How::Sum,
        Some(number) => match number {
            Number::Draining | Number::Ready | Number::Generation | Number::ReloadedAt => How::Most,
            Number::ReloadOk | Number::Started => How::Least,
            Number::BytesIn
            | Number::BytesOut
            | Number::MessagesIn
            | Number::MessagesOut
            | Number::LookUps
            | Number::Queries
            | Number::Passwords
            | Number::Files
            | Number::Queued
            | Number::LogLost
            | Number::LogLeftOut
            | Number::Resident
            | Number::Descriptors
            | Number::MostDescriptors => How::Sum,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn several_loops_are_one_to_who_asks() {
        let [one, two] = [(); 2].map(|()| Block::default());
        // They may know their listeners in another order.
        let (a, b) = (one.place("a"), one.place("b"));
        let (second_b, second_a) = (two.place("b"), two.place("a"));
        [(&one, a), (&one, b), (&two, second_b), (&two, second_a), (&two, second_a)]
            .into_iter()
            .for_each(|(block, place)| block.accepted(place));
        two.gone(second_a);
        one.opened(b);
        one.set(Number::Started, 5);
        two.set(Number::Started, 7);
        one.set(Number::Ready, 1);
        one.set(Number::ReloadOk, 1);
        for (block, bytes, end) in [(&one, 10, 99), (&two, 20, 98)] {
            block.add(Number::BytesIn, bytes);
            block.took(Times::Turn, Duration::from_micros(3));
            block.certificates([("/c.pem", end)]);
            block.counted("lookups", bytes);
            block.ended("idle");
            block.answered(404);
        }
        two.counted("only_here", 0);
        let totals = Totals::of(&[&one, &two]);
        assert_eq!(totals.counts, [("lookups".to_owned(), 30), ("only_here".into(), 0)]);
        let shown = |n: usize| {
            let Listener { name, accepted, connections, sessions, .. } = &totals.listeners[n];
            (name.clone(), [*accepted, *connections, *sessions])
        };
        assert_eq!(shown(0), ("a".into(), [3, 2, 0]));
        assert_eq!(shown(1), ("b".into(), [2, 2, 1]));
        assert_eq!(totals.present(), (4, 1));
        let numbers = [Number::BytesIn, Number::Started, Number::Ready, Number::ReloadOk];
        assert_eq!(numbers.map(|number| totals.number(number)), [30, 5, 1, 0]);
        assert_eq!(totals.certificates, [("/c.pem".to_owned(), 98)]);
        assert_eq!(totals.endings().collect::<Vec<_>>(), [("idle", 2)]);
        assert_eq!(totals.refusals().collect::<Vec<_>>(), [(404, 2)]);
        let (counts, sum) = totals.times(Times::Turn);
        assert_eq!((counts[2], sum), (2, 6e-6));
    }
}
