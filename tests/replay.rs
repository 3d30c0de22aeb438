//! Every file of `tests/corpus/` through the fuzz target that it belongs to.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do

// Public in the package that fuzzers build.
#[allow(unreachable_pub)]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|e| panic!("{directory:?}: {e}"));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn every_corpus_has_a_target() {
    let targets: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(Path::new(CORPUS)), targets);
}

#[test]
fn the_corpora() {
    let mut total = 0;
    for (name, target) in targets::TARGETS {
        let directory = Path::new(CORPUS).join(name);
        let files = names(&directory);
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in &files {
            let input = fs::read(directory.join(file)).unwrap();
            if let Err(panic) = catch_unwind(|| target(&input)) {
                // The plug-ins that are linked in take panics to be theirs, and log them.
                let words = panic.downcast_ref::<String>().map(String::as_str);
                println!("{name}/{file}: {}", words.or(panic.downcast_ref().copied()).unwrap());
                resume_unwind(panic);
            }
        }
        println!("{name}: {} files", files.len());
        total += files.len();
    }
    println!("{total} files of {} targets", targets::TARGETS.len());
}
