//! Lines of one kind that come in a flood: some are written, the rest is counted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long lines of a kind are counted together.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// The most kinds that are counted apart. Those of the daemon are some sixty.
const KINDS: usize = 256;

/// How many bytes of a message stand for its kind.
const SAMPLE: usize = 120;

/// What was written of each kind lately, and what was not.
#[derive(Debug, Default)]
pub(super) struct Flood {
    /// Lines of one kind in a window; zero for any number.
    most: u32,
    kinds: HashMap<String, Window>,
    /// The end of the first window that left something out.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    left_out: u64,
    /// The first message that was left out.
    sample: String,
}

impl Flood {
    pub(super) fn new(most: u32) -> Self {
        Self { most, ..Self::default() }
    }

    /// There may be so many from now on.
    pub(super) fn set_most(&mut self, most: u32) {
        self.most = most;
    }

    /// Whether one more line of `kind` is written at `now`.
    pub(super) fn admits(
        &mut self,
        kind: &str,
        now: Instant,
        message: impl Fn() -> String,
    ) -> bool {
        if self.most == 0 {
            return true;
        }
        let Some(window) = self.kinds.get_mut(kind) else {
            if self.kinds.len() >= KINDS {
                self.kinds.retain(|_, window| window.left_out > 0 || !window.is_over(now));
            }
            if self.kinds.len() < KINDS {
                self.kinds.insert(kind.to_owned(), Window::new(now));
            }
            return true;
        };
        if window.left_out == 0 && window.is_over(now) {
            *window = Window { lines: 0, ..Window::new(now) };
        }
        if window.lines < self.most {
            window.lines += 1;
            return true;
        }
        if window.left_out == 0 {
            window.sample = message();
            shorten(&mut window.sample);
            let end = window.since + WINDOW;
            self.due = Some(self.due.map_or(end, |due| due.min(end)));
        }
        window.left_out += 1;
        false
    }

    /// When there is a count to be told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What was left out in the windows that are over by `now`: how many lines, and one of them.
    pub(super) fn counts(&mut self, now: Instant) -> Vec<(u64, String)> {
        let mut told = Vec::new();
        self.due = None;
        for window in self.kinds.values_mut().filter(|window| window.left_out > 0) {
            let end = window.since + WINDOW;
            if end <= now {
                told.push((window.left_out, std::mem::take(&mut window.sample)));
                *window = Window { lines: 0, ..Window::new(now) };
            } else {
                self.due = Some(self.due.map_or(end, |due| due.min(end)));
            }
        }
        told
    }
}

impl Window {
    /// One in which a line was written.
    fn new(now: Instant) -> Self {
        Self { since: now, lines: 1, left_out: 0, sample: String::new() }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.since + WINDOW <= now
    }
}

fn shorten(text: &mut String) {
    if text.len() > SAMPLE {
        let end = (0..=SAMPLE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_when_its_window_is_over() {
        let start = Instant::now();
        let mut flood = Flood::new(3);
        let written = |flood: &mut Flood, kind: &str, at: Instant| {
            (0..5).filter(|n| flood.admits(kind, at, || format!("{kind} {n}"))).count()
        };
        assert_eq!(written(&mut flood, "a", start), 3);
        assert_eq!(written(&mut flood, "b", start + WINDOW / 2), 3, "each kind has its own");
        assert_eq!(flood.due(), Some(start + WINDOW));
        assert!(flood.counts(start + WINDOW / 2).is_empty());
        assert_eq!(written(&mut flood, "a", start + WINDOW), 0, "the count is told first");
        assert_eq!(flood.counts(start + WINDOW), [(7, "a 3".to_owned())]);
        assert_eq!(flood.due(), Some(start + WINDOW * 3 / 2));
        assert_eq!(written(&mut flood, "a", start + WINDOW), 3);
        assert_eq!(flood.counts(start + WINDOW * 2).len(), 2);
        assert_eq!(flood.due(), None);
    }

    #[test]
    fn slow_lines_and_no_limit_leave_nothing_out() {
        let start = Instant::now();
        let (mut slow, mut free) = (Flood::new(2), Flood::new(0));
        for n in 0..100 {
            assert!(slow.admits("a", start + WINDOW / 2 * n, String::new));
            assert!(free.admits("a", start, String::new));
        }
        assert_eq!((slow.due(), free.due()), (None, None));
    }

    #[test]
    fn kinds_are_bounded_and_samples_cut() {
        let start = Instant::now();
        let mut flood = Flood::new(1);
        (0..2 * KINDS).for_each(|n| assert!(flood.admits(&n.to_string(), start, String::new)));
        assert_eq!(flood.kinds.len(), KINDS);
        assert!(flood.admits("new", start + WINDOW, String::new));
        assert_eq!(flood.kinds.len(), 1, "what is over makes room");
        assert!(!flood.admits("new", start + WINDOW, || "é".repeat(100)));
        let told = flood.counts(start + WINDOW * 2);
        assert_eq!(told, [(1, "é".repeat(SAMPLE / 2) + "…")]);
    }
}
