//! The report as Markdown: every figure, its ratio to ours, and which goals are met.

use std::fmt::Write;

use crate::bridges::Bridge;
use crate::cases::{Case, Goal, Row};
use crate::machine::Facts;
use crate::results::Results;
use crate::secure::Security;

/// Everything there is to publish.
pub(crate) struct Report<'a> {
    pub(crate) bridges: &'a [&'static Bridge],
    pub(crate) missing: &'a [&'static Bridge],
    pub(crate) cases: &'a [&'static Case],
    pub(crate) machine: &'a Facts,
    pub(crate) results: &'a Results,
}

/// The bridge whose goals these are.
const OURS: &str = "websocksy";
/// From which ratio to the baseline on a row is worse.
const WORSE: f64 = 1.03;

impl Report<'_> {
    /// The whole report.
    pub(crate) fn markdown(&self) -> String {
        let parts =
            [self.figures(), self.notes(), self.beside_baseline(), self.goals(), self.origin()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// All rows of all cases, with the case they belong to.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'static Case, &'static Row)> {
        self.cases.iter().flat_map(|case| case.rows.iter().map(|row| (*case, row)))
    }

    /// Without TLS and with it, each beside those who take part.
    fn figures(&self) -> String {
        let (plain, tls) = self.rows().partition(|(case, _)| case.security == Security::Plain);
        [plain, tls].iter().map(|rows| self.table(rows)).collect::<Vec<_>>().join("\n")
    }

    fn table(&self, rows: &Vec<(&'static Case, &'static Row)>) -> String {
        let takes_part = |bridge: &&&Bridge| rows.iter().any(|(case, _)| case.suits(bridge));
        let bridges: Vec<_> = self.bridges.iter().filter(takes_part).collect();
        let mut table = String::new();
        if rows.is_empty() {
            return table;
        }
        table += "| case | unit |";
        for bridge in &bridges {
            let _ = write!(table, " {} |", bridge.title);
        }
        table += "\n|---|---|";
        table += &"---:|".repeat(bridges.len());
        for (case, row) in rows {
            let _ = write!(table, "\n| {} | {} |", row.title, row.unit);
            for bridge in &bridges {
                let _ = write!(table, " {} |", self.cell(case, row, bridge.id));
            }
        }
        table + "\n"
    }

    /// A median; for the others followed by what ours is to it.
    fn cell(&self, case: &Case, row: &Row, bridge: &'static str) -> String {
        let Some(value) = self.results.median(row, bridge) else {
            let failed = self.results.failure(case, bridge).is_some();
            return if failed { "fails" } else { "–" }.into();
        };
        match self.results.ratio(row, OURS, bridge) {
            Some(ratio) if bridge != OURS && ratio < 0.01 => format!("{} (<0.01×)", figure(value)),
            Some(ratio) if bridge != OURS => format!("{} ({ratio:.2}×)", figure(value)),
            _ => format!("**{}**", figure(value)),
        }
    }

    /// What is missing, and what failed and why.
    fn notes(&self) -> String {
        let mut notes = String::new();
        for bridge in self.missing {
            let _ =
                writeln!(notes, "- {} is missing; `make bench-rivals` installs it.", bridge.title);
        }
        for case in self.cases {
            for bridge in self.bridges {
                if let Some(why) = self.results.failure(case, bridge.id) {
                    let _ = writeln!(notes, "- {} fails in `{}`: {why}.", bridge.title, case.id);
                }
            }
        }
        notes
    }

    /// Whether a row is worse than it was with another build of ours, beyond what the rounds differ by.
    fn beside_baseline(&self) -> String {
        let mut table = String::new();
        for (_, row) in self.rows() {
            let Some((mean, error)) = self.results.mean_ratio(row, OURS, "baseline") else {
                continue;
            };
            if table.is_empty() {
                table += "| case | of the baseline | |\n|---|---:|---|\n";
            }
            let verdict = if is_worse(mean, error) { "worse" } else { "" };
            let _ = writeln!(table, "| {} | {mean:.2} ± {error:.2} | {verdict} |", row.title);
        }
        table
    }

    fn goals(&self) -> String {
        let mut table = String::from("| case | goal | websocksy | |\n|---|---|---:|---|\n");
        for (_, row) in self.rows() {
            for goal in row.goals {
                let (wanted, reached) = self.judge(row, *goal);
                let (figure, verdict) = reached.unwrap_or_else(|| ("–".into(), "no figure"));
                let _ = writeln!(table, "| {} | {wanted} | {figure} | {verdict} |", row.title);
            }
        }
        table
    }

    /// The goal in words, the figure it is held against, and whether it is met.
    fn judge(&self, row: &Row, goal: Goal) -> (String, Option<(String, &'static str)>) {
        let ours = self.results.median(row, OURS);
        let against = |factor: f64, rival: &'static str| {
            let ratio = self.results.ratio(row, OURS, rival);
            ratio.map(|ratio| (format!("{ratio:.2} ×"), verdict(ratio <= factor)))
        };
        let value = |most| {
            ours.map(|ours| (format!("{} {}", figure(ours), row.unit), verdict(ours <= most)))
        };
        match goal {
            Goal::Times(factor, rival) => (format!("≤ {factor} × {rival}"), against(factor, rival)),
            Goal::Stretch(factor, rival) => {
                (format!("stretch: ≤ {factor} × {rival}"), against(factor, rival))
            }
            Goal::AtMost(most) => (format!("≤ {most} {}", row.unit), value(most)),
            Goal::StretchAtMost(most) => (format!("stretch: ≤ {most} {}", row.unit), value(most)),
        }
    }

    fn origin(&self) -> String {
        let line = |(name, fact): &(String, String)| format!("- {name}: {fact}\n");
        self.machine.iter().map(line).collect()
    }
}

/// Whether this is above what is allowed by more than twice its standard error, which one row in forty
/// is by chance.
fn is_worse(mean: f64, error: f64) -> bool {
    mean - 2.0 * error > WORSE
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// Three significant figures, as far as a benchmark deserves them.
pub(crate) fn figure(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_worse_beyond_its_error_only() {
        assert!(is_worse(1.04, 0.0) && is_worse(1.10, 0.03));
        assert!(!is_worse(1.03, 0.0) && !is_worse(1.10, 0.04) && !is_worse(0.5, 0.01));
    }
}
