//! What came of all runs: a table, and whether it is as it should be.

use super::known::KNOWN;
use super::run::{Case, Finding, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// A row of the table: how often a call was failed, and what was found.
#[derive(Default)]
struct Row {
    runs: usize,
    not_reached: usize,
    flagged: usize,
    kinds: BTreeSet<Kind>,
}

/// How much of the sweep was run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    All,
    Sample,
    /// What somebody asked for.
    Asked,
}

/// The part of the sweep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Sessions,
    Life,
}

#[derive(Default)]
pub(crate) struct Report {
    rows: BTreeMap<(&'static str, String), Row>,
    /// Findings that no entry of [`KNOWN`] explains.
    new: Vec<String>,
    /// How often each entry did.
    explained: [usize; KNOWN.len()],
}

impl Report {
    pub(crate) fn add(&mut self, case: &Case, findings: Option<Vec<Finding>>) {
        let row = self.rows.entry((case.scenario.name, case.call.to_string())).or_default();
        row.runs += 1;
        let Some(findings) = findings else {
            row.not_reached += 1;
            return;
        };
        row.flagged += usize::from(!findings.is_empty());
        for (kind, words) in findings {
            row.kinds.insert(kind);
            let mut known = false;
            for (entry, count) in KNOWN.iter().zip(&mut self.explained) {
                if entry.explains(case, kind) {
                    *count += 1;
                    known = true;
                }
            }
            if !known {
                println!("{case}: {kind:?}: {words}");
                self.new.push(format!("{case}: {kind:?}: {words}"));
            }
        }
    }

    /// Prints it, and fails if there is anything new, or anything known that is not there.
    pub(crate) fn conclude(self, extent: Extent, part: Part) {
        let (mut runs, mut not_reached, mut flagged) = (0, 0, 0);
        println!(
            "{:24} {:32} {:>5} {:>8} {:>7}  kinds",
            "script", "call", "runs", "missed", "flagged"
        );
        for ((scenario, call), row) in &self.rows {
            let kinds: Vec<String> = row.kinds.iter().map(|kind| format!("{kind:?}")).collect();
            println!(
                "{scenario:24} {call:32} {:5} {:8} {:7}  {}",
                row.runs,
                row.not_reached,
                row.flagged,
                kinds.join(" ")
            );
            runs += row.runs;
            not_reached += row.not_reached;
            flagged += row.flagged;
        }
        println!(
            "{runs} runs, {not_reached} of calls that were not made this time, {flagged} flagged"
        );
        let known = || KNOWN.iter().zip(self.explained).filter(|(entry, _)| entry.part == part);
        for (entry, count) in known() {
            println!("known {}: {count} times: {}", entry.id, entry.reason);
        }
        assert!(self.new.is_empty(), "found:\n{}", self.new.join("\n"));
        let gone: Vec<&str> =
            known().filter(|(_, count)| *count == 0).map(|(entry, _)| entry.id).collect();
        let mended = gone.is_empty() || extent == Extent::Asked;
        assert!(mended, "mended, so take them off the table: {gone:?}");
        // Timing decides how often a session waits and reads; a sweep that misses much sweeps little.
        assert!(not_reached * 5 <= runs, "{not_reached} of {runs} calls were not made");
    }
}
