//! `docs/testing.md` holds what it says: every case of the catalogue has a row, every row names a
//! test or a reason, and every test that is named is there.
#![allow(clippy::unwrap_used, clippy::panic)] // a failed step is a failed test

use std::collections::BTreeMap;
use std::fs;

/// The cases: a letter, and the last number.
const LETTERS: [(char, u32); 7] =
    [('H', 75), ('F', 78), ('P', 44), ('E', 25), ('G', 31), ('S', 25), ('B', 10)];
/// The first websocksy's faults that the catalogue holds.
const FAULTS: [u32; 5] = [4, 6, 7, 9, 26];
const LATER_FAULTS: std::ops::RangeInclusive<u32> = 47..=66;
/// What the field reported and an audit found: a letter, and the last number.
const REPORTS: [(char, u32); 4] = [('F', 12), ('S', 7), ('O', 9), ('A', 18)];
/// A reason has this many characters, or it is none.
const REASON: usize = 40;

/// A row of one of the tables: its cases, what is said of them, and the tests.
struct Row {
    cases: Vec<String>,
    text: String,
    tests: Vec<String>,
}

fn expected() -> Vec<String> {
    let letters = LETTERS
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number:02}")));
    let faults = FAULTS.into_iter().chain(LATER_FAULTS);
    letters.chain(faults.map(|number| format!("C-{number:02}"))).collect()
}

/// The rows below a heading.
fn rows(heading: &str) -> Vec<Row> {
    let page = fs::read_to_string("docs/testing.md").unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let (section, _) = section.split_once("\n## ").unwrap_or((section, ""));
    let lines = section.lines().filter(|line| line.starts_with("| "));
    let rows = lines.filter(|line| !line.starts_with("| cases "));
    rows.map(row).collect()
}

fn catalogue() -> Vec<Row> {
    rows("The case catalogue")
}

fn reports() -> Vec<Row> {
    rows("What the field and an audit found")
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let [cases, text, tests] = cells[..] else { panic!("not three cells: {line}") };
    let tests = match tests {
        "—" => Vec::new(),
        tests => tests.split_whitespace().map(|test| unquoted(test, line)).collect(),
    };
    Row { cases: cases.split(", ").flat_map(numbers).collect(), text: text.into(), tests }
}

fn unquoted(test: &str, line: &str) -> String {
    let name = test.strip_prefix('`').and_then(|test| test.strip_suffix('`'));
    name.unwrap_or_else(|| panic!("{test:?} is no test: {line}")).to_owned()
}

/// `H01`, or `H01–H03` for all three.
fn numbers(cases: &str) -> Vec<String> {
    let Some((first, last)) = cases.split_once('–') else { return vec![cases.to_owned()] };
    let (letter, first) = first.split_at(1);
    let last = last.strip_prefix(letter).unwrap_or_else(|| panic!("{cases}"));
    let range = first.parse::<u32>().unwrap()..=last.parse().unwrap();
    range.map(|number| format!("{letter}{number:02}")).collect()
}

#[test]
fn every_case_has_one_row() {
    has_one_row_each(catalogue(), &expected());
    let reports_expected = REPORTS
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}")));
    has_one_row_each(reports(), &reports_expected.collect::<Vec<_>>());
}

#[track_caller]
fn has_one_row_each(rows: Vec<Row>, expected: &[String]) {
    let mut seen = BTreeMap::<String, usize>::new();
    for case in rows.into_iter().flat_map(|row| row.cases) {
        *seen.entry(case).or_default() += 1;
    }
    let missing: Vec<_> = expected.iter().filter(|case| !seen.contains_key(*case)).collect();
    let unknown: Vec<_> = seen.keys().filter(|case| !expected.contains(case)).collect();
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    assert!(
        missing.is_empty() && unknown.is_empty() && twice.is_empty(),
        "missing {missing:?}, unknown {unknown:?}, twice {twice:?}"
    );
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    for row in catalogue().into_iter().chain(reports()) {
        let reason = row.tests.is_empty() && row.text.chars().count() >= REASON;
        assert!(reason || !row.tests.is_empty(), "{:?}: {}", row.cases, row.text);
    }
}

#[test]
fn every_test_is_there() {
    // The mutants' table names some, too.
    let page = fs::read_to_string("docs/testing.md").unwrap();
    let named = page.split('`').filter(|text| text.contains(".rs::") && !text.contains(' '));
    let rows = catalogue().into_iter().chain(reports()).flat_map(|row| row.tests);
    let tests = rows.chain(named.map(str::to_owned));
    let gone: Vec<_> = tests.filter(|test| !is_there(test)).collect();
    assert!(gone.is_empty(), "{gone:#?}");
}

/// Of each report, some test has the number in its name, such as `a07_` or `f9_`.
#[test]
fn tests_of_reports_are_named_by_them() {
    for row in reports().into_iter().filter(|row| !row.tests.is_empty()) {
        for case in &row.cases {
            let (letter, number) = case.split_at(1);
            let letter = letter.to_lowercase();
            let ids = [format!("{letter}{number}_"), format!("{letter}0{number}_")];
            let named = row.tests.iter().any(|test| {
                let (_, name) = test.rsplit_once("::").unwrap_or_default();
                ids.iter().any(|id| name.starts_with(id) || name.contains(&format!("_{id}")))
            });
            assert!(named, "{case}: {:?}", row.tests);
        }
    }
}

/// Whether the file of `FILE::FUNCTION` has that function.
fn is_there(test: &str) -> bool {
    let Some((file, function)) = test.split_once("::") else { return false };
    let elsewhere = file.starts_with("src/") || file.starts_with("backends/");
    let path = if elsewhere { file.to_owned() } else { format!("tests/{file}") };
    let source = fs::read_to_string(&path).unwrap_or_default();
    let keyword = if path.ends_with(".py") { "def" } else { "fn" };
    source.contains(&format!("{keyword} {function}("))
}

/// `make mutants` says so too, but not in each run of the tests.
#[test]
fn mutants_are_explained_of_lines_that_are_there() {
    let explanations = fs::read_to_string("tests/mutants/survivors").unwrap();
    let lines: Vec<&str> = explanations.lines().filter(|line| !line.starts_with('#')).collect();
    let all: Vec<_> = lines.split(|line| line.is_empty()).filter(|part| !part.is_empty()).collect();
    assert!(all.len() > 10, "{}", all.len());
    for part in all {
        let [change, line, reason] = part[..] else { panic!("not three lines: {part:?}") };
        let file = change.split_once(": ").unwrap().0;
        let source = fs::read_to_string(file).unwrap();
        let is_there = source.lines().any(|own| own.trim() == line.trim());
        assert!(is_there, "{file} has no such line any more: {}", line.trim());
        assert!(reason.trim().len() >= REASON, "no reason: {change}");
    }
}
