//! Whose function is the loop in? So that who watches from another process can say what it is stuck in.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Cells of a name: 32 bytes, those of a longer one that fit.
pub const NAME: usize = 4;

/// Where it is written, if anybody watches.
static WATCHED: OnceLock<&'static [AtomicU64; NAME]> = OnceLock::new();

/// From now on the name of the framing whose function runs stands in `cells`; zeros if none does.
pub fn watch(cells: &'static [AtomicU64; NAME]) {
    let _ = WATCHED.set(cells);
}

/// The name in these cells; empty if no function runs.
#[must_use]
pub fn watched(cells: &[AtomicU64; NAME]) -> String {
    let bytes = cells.iter().flat_map(|cell| cell.load(Ordering::Relaxed).to_le_bytes());
    let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A name as it is written.
#[derive(Clone, Copy)]
pub(super) struct Name([u64; NAME]);

impl Name {
    pub(super) fn of(text: &str) -> Self {
        let mut bytes = [0; NAME * 8];
        text.bytes().zip(&mut bytes).for_each(|(byte, own)| *own = byte);
        let (words, _) = bytes.as_chunks();
        let mut name = [0; NAME];
        name.iter_mut().zip(words).for_each(|(own, word)| *own = u64::from_le_bytes(*word));
        Self(name)
    }

    /// Runs `function` under this name.
    pub(super) fn during<T>(self, function: impl FnOnce() -> T) -> T {
        match WATCHED.get() {
            Some(cells) => self.written_in(cells, function),
            None => function(),
        }
    }

    fn written_in<T>(self, cells: &[AtomicU64; NAME], function: impl FnOnce() -> T) -> T {
        let Self(name) = self;
        cells.iter().zip(name).for_each(|(cell, word)| cell.store(word, Ordering::Relaxed));
        let returned = function();
        cells.iter().for_each(|cell| cell.store(0, Ordering::Relaxed));
        returned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_there_while_the_function_runs() {
        let cells = [const { AtomicU64::new(0) }; NAME];
        for name in ["a", "fixedlength", "ä", &"x".repeat(NAME * 8)] {
            assert_eq!(Name::of(name).written_in(&cells, || watched(&cells)), name);
            assert_eq!(watched(&cells), "");
        }
        let long = Name::of(&"y".repeat(99));
        assert_eq!(long.written_in(&cells, || watched(&cells)), "y".repeat(NAME * 8));
    }
}
