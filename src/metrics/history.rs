//! The last ten minutes, for who looks now.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::histogram::{BUCKETS, bound};
use super::layout::{Number, Times};
use super::totals::Totals;

/// How far two samples are apart.
const STEP: Duration = Duration::from_secs(5);
/// Ten minutes of them, and the one before.
const SAMPLES: usize = 121;

/// How it was at one moment.
struct Sample {
    /// Seconds from 1970.
    time: f64,
    connections: u64,
    sessions: u64,
    bytes_in: u64,
    bytes_out: u64,
    /// Seconds that the loop has worked so far.
    busy: f64,
    /// The bound of the longest turn since the sample before, seconds.
    longest: f64,
}

/// Samples of the last ten minutes.
pub struct History {
    samples: VecDeque<Sample>,
    /// The turns up to the last sample.
    turns: [u64; BUCKETS],
    next: Option<Instant>,
}

impl Default for History {
    fn default() -> Self {
        Self { samples: VecDeque::new(), turns: [0; BUCKETS], next: None }
    }
}

impl History {
    /// When the next sample is due; at once if there is none yet.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Whether a sample is due.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// Whether ten minutes are there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.samples.len() == SAMPLES
    }

    /// Takes a sample; it is `time` seconds from 1970.
    pub fn sample(&mut self, totals: &Totals, time: f64, now: Instant) {
        let (connections, sessions) = totals.present();
        let (turns, busy) = totals.times(Times::Turn);
        let before = std::mem::replace(&mut self.turns, turns);
        let longest = (0..BUCKETS).rev().find(|n| turns.get(*n) != before.get(*n));
        let sample = Sample {
            time,
            connections,
            sessions,
            bytes_in: totals.number(Number::BytesIn),
            bytes_out: totals.number(Number::BytesOut),
            busy,
            longest: longest.map_or(0.0, bound),
        };
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        // Not from when it was due: after a pause there is nothing to make up for.
        self.next = Some(now + STEP);
    }

    /// All samples as JSON, the oldest first.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = String::from("[");
        for (n, sample) in self.samples.iter().enumerate() {
            let Sample { time, connections, sessions, bytes_in, bytes_out, busy, longest } = sample;
            let comma = if n == 0 { "" } else { "," };
            let _ = write!(
                text,
                "{comma}{{\"time\":{time:.3},\"connections\":{connections},\
                 \"sessions\":{sessions},\"bytes_in\":{bytes_in},\"bytes_out\":{bytes_out},\
                 \"busy_seconds\":{busy:.6},\"longest_turn_seconds\":{longest:.6}}}"
            );
        }
        text.push_str("]\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::Block;
    use super::*;

    #[test]
    fn ten_minutes_are_kept_and_no_more() {
        let (block, mut history, start) = (Block::default(), History::default(), Instant::now());
        assert!(history.is_due(start));
        for n in 0..200 {
            block.add(Number::BytesIn, 10);
            if n == 198 {
                block.took(Times::Turn, Duration::from_micros(900));
            }
            history.sample(&Totals::of(&[&block]), f64::from(n) * 5.0, start + STEP * n);
        }
        assert_eq!(history.samples.len(), SAMPLES);
        assert!(!history.is_due(start + STEP * 200 - Duration::from_millis(1)));
        assert!(history.is_due(history.due().unwrap()));
        let text = history.json();
        assert!(text.starts_with("[{\"time\":395.000,\"connections\":0,"), "{text}");
        let last = "\"bytes_in\":2000,\"bytes_out\":0,\"busy_seconds\":0.000900,\
                    \"longest_turn_seconds\":0.000000}]\n";
        assert!(text.ends_with(last), "{text}");
        assert_eq!(text.matches("\"longest_turn_seconds\":0.001024").count(), 1);
    }
}
