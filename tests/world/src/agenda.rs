//! What is due, by time, and in the order in which it was entered.

use std::collections::BTreeMap;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Agenda<D> {
    due: BTreeMap<(Instant, u64), D>,
    entered: u64,
}

impl<D> Agenda<D> {
    pub(crate) fn new() -> Self {
        Self { due: BTreeMap::new(), entered: 0 }
    }

    pub(crate) fn enter(&mut self, at: Instant, due: D) {
        self.entered += 1;
        self.due.insert((at, self.entered), due);
    }

    /// When the first thing is due.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// The first thing.
    pub(crate) fn pop(&mut self) -> Option<D> {
        self.due.pop_first().map(|(_, due)| due)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &D> {
        self.due.values()
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&D) -> bool) {
        self.due.retain(|_, due| keep(due));
    }
}
