//! What was measured, and the medians of it.

use std::collections::BTreeMap;
use std::io;

use crate::bridges::Bridge;
use crate::cases::{Case, Row};

/// What one run of one bridge yielded.
pub(crate) struct Run {
    /// One value for each row of the case.
    pub(crate) values: Vec<f64>,
    /// The share of its time for which the bridge was kept from its core.
    pub(crate) wait: f64,
}

/// Values by row and bridge, then by round.
#[derive(Default)]
pub(crate) struct Results {
    values: BTreeMap<(&'static str, &'static str), BTreeMap<usize, f64>>,
    failures: BTreeMap<(&'static str, &'static str), String>,
    waits: Vec<f64>,
}

impl Results {
    /// Adds what a bridge's run yielded in a round.
    pub(crate) fn add(
        &mut self,
        case: &'static Case,
        bridge: &Bridge,
        round: usize,
        run: io::Result<Run>,
    ) {
        match run {
            Ok(run) => {
                self.waits.push(run.wait);
                for (row, value) in case.rows.iter().zip(run.values) {
                    let rounds = self.values.entry((row.id, bridge.id)).or_default();
                    rounds.insert(round, value * row.scale);
                }
            }
            Err(error) => {
                self.failures.insert((case.id, bridge.id), error.to_string());
            }
        }
    }

    /// The share of time that bridges were kept from their core; nearly nothing on a quiet machine.
    pub(crate) fn wait(&self) -> f64 {
        median(&self.waits).unwrap_or_default()
    }

    /// All values of a row for one bridge, in the order they were measured.
    pub(crate) fn values(&self, row: &Row, bridge: &'static str) -> Vec<f64> {
        let rounds = self.values.get(&(row.id, bridge));
        rounds.into_iter().flat_map(BTreeMap::values).copied().collect()
    }

    /// Their median.
    pub(crate) fn median(&self, row: &Row, bridge: &'static str) -> Option<f64> {
        median(&self.values(row, bridge))
    }

    /// What one bridge needs in proportion to another: the median of the ratios within each
    /// round, which leaves out what changed on the machine from round to round.
    pub(crate) fn ratio(
        &self,
        row: &Row,
        bridge: &'static str,
        other: &'static str,
    ) -> Option<f64> {
        median(&self.ratios(row, bridge, other))
    }

    /// The mean of these ratios, and its standard error.
    pub(crate) fn mean_ratio(
        &self,
        row: &Row,
        bridge: &'static str,
        other: &'static str,
    ) -> Option<(f64, f64)> {
        mean(&self.ratios(row, bridge, other))
    }

    fn ratios(&self, row: &Row, bridge: &'static str, other: &'static str) -> Vec<f64> {
        let rounds = |bridge| self.values.get(&(row.id, bridge));
        let (Some(rounds), Some(others)) = (rounds(bridge), rounds(other)) else {
            return Vec::new();
        };
        let ratio = |(round, value): (&usize, &f64)| Some(value / others.get(round)?);
        rounds.iter().filter_map(ratio).collect()
    }

    /// Why a bridge failed in a case, at least once.
    pub(crate) fn failure(&self, case: &Case, bridge: &'static str) -> Option<&str> {
        self.failures.get(&(case.id, bridge)).map(String::as_str)
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The mean and its standard error, of two values at least.
fn mean(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len() as f64;
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, (squares / (count - 1.0) / count).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::{mean, median};

    #[test]
    fn means_and_their_errors() {
        assert_eq!(mean(&[1.0]), None, "nothing is known of its error");
        assert_eq!(mean(&[1.0, 3.0]), Some((2.0, 1.0)));
        assert_eq!(mean(&[2.0, 2.0, 2.0]), Some((2.0, 0.0)));
    }

    #[test]
    fn medians() {
        for (values, expected) in [
            (&[][..], None),
            (&[3.0], Some(3.0)),
            (&[4.0, 1.0], Some(2.5)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
        ] {
            assert_eq!(median(values), expected);
        }
    }
}
