//! The functions that plug-ins call are there in the executable itself.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the core's names begin with.
const PREFIXES: [&str; 3] = ["core_", "xstr_", "client_"];

/// The functions that the header promises.
fn promised() -> Vec<String> {
    let header = fs::read_to_string("backends/include/websocksy.h").unwrap();
    let code = header.lines().filter(|line| !line.starts_with("/*") && !line.starts_with(" *"));
    let names = code.filter_map(|line| line.split_once('(')?.0.split([' ', '*']).next_back());
    let ours = |name: &&str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let mut names: Vec<String> = names.filter(ours).map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// The binary that Cargo built for this test, or another: a release build, for example.
fn binary() -> PathBuf {
    let named = std::env::var_os("WEBSOCKSY_BINARY").map(PathBuf::from);
    named.unwrap_or_else(|| env!("CARGO_BIN_EXE_websocksy").into())
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_dynamic_symbols_are_those_of_the_header() {
    let symbols = output(Command::new("nm").args(["-D", "--defined-only"]).arg(binary()));
    let ours = |name: &&str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let mut found: Vec<&str> = symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    found.retain(ours);
    found.sort_unstable();
    assert!(found.len() >= 10, "{found:?}");
    assert_eq!(found, promised());
}

/// The plug-in is there before `main` and ends the process itself, so that nothing else of the
/// daemon has a part in this.
#[test]
fn a_plugin_in_the_executable_can_call_them() {
    let plugin = Path::new(env!("CARGO_TARGET_TMPDIR")).join("caller.so");
    let _ = fs::remove_file(&plugin);
    let flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"];
    output(
        Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
            .args(flags)
            .args(["-I", "backends/include", "-o"])
            .arg(&plugin)
            .arg("tests/abi/caller.c"),
    );
    // In LD_PRELOAD a blank separates, which the directory's name may have.
    let mut daemon = Command::new(binary());
    daemon.current_dir(env!("CARGO_TARGET_TMPDIR")).env("LD_PRELOAD", "./caller.so");
    let said = output(&mut daemon);
    assert_eq!(said, "lower=abc registered=0 again=1 encoder=0 found=1 auto=1 cut=3 opcode=1\n");
}
