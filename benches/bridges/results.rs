//! What was measured, and the medians of it.

use std::collections::BTreeMap;
use std::io;

use crate::bridges::Bridge;
use crate::cases::{Case, Row};

/// Values by row and bridge.
#[derive(Default)]
pub(crate) struct Results {
    values: BTreeMap<(&'static str, &'static str), Vec<f64>>,
    failures: BTreeMap<(&'static str, &'static str), String>,
}

impl Results {
    /// Adds what one run yielded.
    pub(crate) fn add(&mut self, case: &'static Case, bridge: &Bridge, run: io::Result<Vec<f64>>) {
        match run {
            Ok(values) => {
                for (row, value) in case.rows.iter().zip(values) {
                    self.values.entry((row.id, bridge.id)).or_default().push(value * row.scale);
                }
            }
            Err(error) => {
                self.failures.insert((case.id, bridge.id), error.to_string());
            }
        }
    }

    /// All values of a row for one bridge, in the order they were measured.
    pub(crate) fn values(&self, row: &Row, bridge: &'static str) -> &[f64] {
        self.values.get(&(row.id, bridge)).map_or(&[], Vec::as_slice)
    }

    /// Their median.
    pub(crate) fn median(&self, row: &Row, bridge: &'static str) -> Option<f64> {
        median(self.values(row, bridge))
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
