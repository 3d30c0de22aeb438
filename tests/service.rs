//! The daemon under a service manager (sd_notify(3)), and in a shell that completes its options.
#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not their helpers

mod common;

use common::{Daemon, Manager, PATIENCE};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const WEBSOCKSY: &str = env!("CARGO_BIN_EXE_websocksy");

#[test]
fn the_manager_is_told_of_start_and_end() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("n{}", std::process::id()));
    let address = SocketAddr::from_pathname(&path).unwrap();
    let in_files = Manager::at(path.to_str().unwrap().to_owned(), &address);
    for manager in [in_files, Manager::listen("test")] {
        let name = &manager.name;
        let mut daemon = Daemon::with_environment(&[("NOTIFY_SOCKET", name)], &[]);
        assert_eq!(manager.heard(), "READY=1", "{name}");
        daemon.signal("TERM");
        assert_eq!(manager.heard(), "STOPPING=1", "{name}");
        assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0), "{name}");
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_watchdog_is_fed_while_nothing_else_happens() {
    let manager = Manager::listen("watchdog");
    let variables = [("NOTIFY_SOCKET", manager.name.as_str()), ("WATCHDOG_USEC", "400000")];
    let daemon = Daemon::with_environment(&variables, &[]);
    assert_eq!(manager.heard(), "READY=1");
    let start = Instant::now();
    for _ in 0..5 {
        assert_eq!(manager.heard(), "WATCHDOG=1");
    }
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    drop(daemon);
    // That of another process is not fed.
    let others = [variables[0], variables[1], ("WATCHDOG_PID", "1")];
    let _daemon = Daemon::with_environment(&others, &[]);
    while manager.heard() != "READY=1" {}
    assert!(manager.hears_nothing(Duration::from_millis(500)));
}

/// A manager that reads nothing holds nobody up.
#[test]
fn a_manager_that_does_not_read_is_not_waited_for() {
    let manager = Manager::listen("deaf");
    let variables = [("NOTIFY_SOCKET", manager.name.as_str()), ("WATCHDOG_USEC", "2000")];
    let mut daemon = Daemon::with_environment(&variables, &[]);
    std::thread::sleep(Duration::from_millis(500)); // more than its queue holds
    daemon.signal("TERM");
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn a_manager_that_is_not_there_is_named() {
    let mut command = Command::new(WEBSOCKSY);
    let output = command.args(["-p", "0"]).env("NOTIFY_SOCKET", "/no/such").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "websocksy: NOTIFY_SOCKET: No such file or directory (os error 2)\n");
}

/// What bash offers for the last of `words`.
fn completed(words: &[&str]) -> Vec<String> {
    let script = "source <(\"$0\" --generate complete-bash); COMP_WORDS=(\"$@\"); \
                  COMP_CWORD=$(($# - 1)); _websocksy; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    let output = bash.args(["-c", script, WEBSOCKSY]).args(words).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let offered = String::from_utf8(output.stdout).unwrap();
    offered.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_options_files_and_directories() {
    assert_eq!(completed(&["websocksy", "--ping"]), ["--ping"]);
    assert!(completed(&["websocksy", "-"]).contains(&"--backend".to_owned()));
    assert_eq!(completed(&["websocksy", "--plugins", "bac"]), ["backends"]);
    assert_eq!(completed(&["websocksy", "-f", "Cargo.t"]), ["Cargo.toml"]);
    assert_eq!(completed(&["websocksy", "--port", ""]), [""; 0]);
    assert_eq!(completed(&["websocksy", "READ"]), ["README.md"]);
}

#[test]
fn other_shells_have_every_option() {
    let generate =
        |what: &str| Command::new(WEBSOCKSY).args(["--generate", what]).output().unwrap();
    let help = Command::new(WEBSOCKSY).arg("-h").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, options) = help.split_once("Options").unwrap();
    let (options, _) = options.split_once("Keys of").unwrap();
    let flags = options.lines().filter_map(|line| line.get(6..)?.strip_prefix("--"));
    let flags: Vec<_> = flags.map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(flags.len() > 15, "{flags:?}");
    for (what, before) in [("complete-zsh", "--"), ("complete-fish", "-l ")] {
        let output = generate(what);
        let script = String::from_utf8(output.stdout).unwrap();
        for flag in &flags {
            assert!(script.contains(&format!("{before}{flag}")), "{what}: {flag}");
        }
    }
    let output = generate("complete-csh");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let right = "is none of complete-bash, complete-zsh, complete-fish";
    assert_eq!(said, format!("websocksy: --generate: 'complete-csh' {right}\n"));
}
