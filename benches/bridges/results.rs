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
        let others = self.values.get(&(row.id, other))?;
        let rounds = self.values.get(&(row.id, bridge))?;
        let ratio = |(round, value): (&usize, &f64)| Some(value / others.get(round)?);
        median(&rounds.iter().filter_map(ratio).collect::<Vec<_>>())
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

#[cfg(test)]
mod tests {
    use super::median;

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
