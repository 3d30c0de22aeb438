//! `docs/architecture.md` is true: the sources import each other as its tables say and not
//! otherwise, and sockets, the clock and unsafe code stand where it says.
#![allow(clippy::unwrap_used, clippy::panic)] // a failed step is a failed test

#[path = "architecture/made_up.rs"]
mod made_up;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/tree.rs"]
mod tree;

use rules::Page;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use tree::Tree;

static SOURCES: LazyLock<Tree> = LazyLock::new(|| Tree::read(Path::new("src")));

fn page() -> Page {
    read(&fs::read_to_string("docs/architecture.md").unwrap())
}

/// The tables of the page.
fn read(page: &str) -> Page {
    let rows = rows(page, "## Modules");
    let (places, modules): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| !row[0].starts_with('`'));
    let place = |what: &str| {
        let row = places.iter().find(|row| row[0].contains(what));
        let row = row.unwrap_or_else(|| panic!("the page does not say where {what} stands"));
        names(row.last().unwrap())
    };
    let module = |row: &Vec<String>| (names(&row[0]).concat(), names(row.last().unwrap()));
    Page {
        modules: modules.iter().map(module).collect(),
        sockets: place("sockets"),
        clock: place("clock"),
        unsafe_code: place("unsafe"),
    }
}

/// The cells of the tables below a heading, without the tables' heads.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = page.split_once(&format!("\n{heading}\n")).unwrap();
    let section = section.split("\n##").next().unwrap();
    let lines: Vec<&str> = section.lines().collect();
    let body = lines.iter().enumerate().filter(|(number, line)| {
        let head = lines.get(number + 1).is_some_and(|next| next.starts_with("|---"));
        line.starts_with('|') && !line.starts_with("|---") && !head
    });
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    body.map(|(_, line)| cells(line)).collect()
}

/// What stands in backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[track_caller]
fn assert_kept(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn modules_import_what_the_page_says_and_nothing_else() {
    assert_kept(&rules::arrows(&SOURCES, &page()));
}

#[test]
fn no_files_import_each_other() {
    assert_kept(&rules::circles(&SOURCES));
}

#[test]
fn sockets_clock_and_unsafe_code_stand_where_the_page_says() {
    assert_kept(&rules::places(&SOURCES, &page()));
}

#[test]
fn files_and_functions_are_short() {
    assert_kept(&rules::lengths(&SOURCES));
}

/// What the page sends a reader to is there.
#[test]
fn every_way_leads_somewhere() {
    let page = fs::read_to_string("docs/architecture.md").unwrap();
    let rows = rows(&page, "## Where a change goes");
    assert!(rows.len() >= 10, "{rows:?}");
    let mut lost: Vec<String> = Vec::new();
    for row in &rows {
        let ways: Vec<String> = row[1..].iter().flat_map(|cell| names(cell)).collect();
        assert!(ways.iter().any(|way| way.contains("tests")), "no tests for {row:?}");
        lost.extend(ways.into_iter().filter(|way| !Path::new(way).exists()));
    }
    assert_eq!(lost, [""; 0], "not there");
}

#[test]
fn every_dependency_has_its_line() {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let page = fs::read_to_string("docs/architecture.md").unwrap();
    let (_, said) = page.split_once("\n## Dependencies\n").unwrap();
    let said = names(said.split("\n## ").next().unwrap());
    let mut wanted = Vec::new();
    let mut table = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            table = line;
        } else if let Some((name, value)) = line.split_once(" = ")
            && table.ends_with("dependencies]")
            && !value.contains("path = ")
        {
            wanted.push(name.to_owned());
        }
    }
    assert!(wanted.len() > 10, "{wanted:?}");
    wanted.retain(|name| !said.contains(name));
    assert_eq!(wanted, [""; 0], "without a line under Dependencies");
}
