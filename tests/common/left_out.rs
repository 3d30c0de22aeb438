//! What this machine cannot test is left out, with a line that says so; `tests/left-out` is the
//! same for scripts.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Says that `what` is not tested here, and why. With `CI` set nothing is left out: the test fails.
#[track_caller]
pub(crate) fn left_out(what: &str, why: &str) {
    let line = format!("{what}: left out: {why}");
    assert!(std::env::var_os("CI").is_none(), "{line} (CI is set)");
    // Not `eprintln!`: the test harness would keep the line of a test that passes to itself.
    let _ = writeln!(std::io::stderr(), "{line}");
    // `make check` prints them all at its end.
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let _ = fs::create_dir_all(&target);
    let list = OpenOptions::new().create(true).append(true).open(target.join("left-out"));
    let _ = list.and_then(|mut list| list.write_all(format!("{line}\n").as_bytes()));
}
