//! Command lines, configuration files and standard streams of the real binary.
#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not their helpers

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const WEBSOCKSY: &str = env!("CARGO_BIN_EXE_websocksy");

fn websocksy(args: &[&str]) -> Output {
    Command::new(WEBSOCKSY).args(args).output().unwrap()
}

/// The daemon as a shell starts it, with `redirections`.
fn redirected(args: &str, redirections: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec \"$0\" {args} {redirections}"), WEBSOCKSY]);
    shell
}

/// A directory of this test's own, gone when it ends.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().into()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn help_and_version_go_to_standard_output() {
    let version = concat!("websocksy ", env!("CARGO_PKG_VERSION"), "\n");
    for (flag, start) in [("-h", "Usage: websocksy "), ("--help", "Usage: "), ("-V", version)] {
        let output = websocksy(&[flag]);
        assert_eq!(output.status.code(), Some(0), "{flag}");
        assert!(text(&output.stdout).starts_with(start), "{flag}: {}", text(&output.stdout));
        assert_eq!(text(&output.stderr), "", "{flag}");
    }
}

/// O7: who has nothing but `-h` finds what a peer and a framing may be, and the man page has it too;
/// both come from, or are held to, what the daemon knows.
#[test]
fn o7_help_and_man_page_say_what_there_is() {
    const MAN_PAGE: &str = include_str!("../docs/websocksy.8");
    const README: &str = include_str!("../README.md");
    let output = websocksy(&["-h"]);
    let help = text(&output.stdout);
    let begins = |word: &str| help.lines().any(|line| line.trim_start().starts_with(word));
    for key in ["host", "balance", "retry-after", "port", "protocol", "framing", "framing-config"] {
        assert!(begins(&format!("{key}=")), "-h lacks {key}");
        assert!(MAN_PAGE.contains(&format!("\n.It Li {key}\n")), "the man page lacks {key}");
    }
    for scheme in ["tcp", "udp", "unix", "unix-dgram", "fifotx", "fiforx"] {
        assert!(begins(&format!("{scheme}://")), "-h lacks {scheme}");
        assert!(MAN_PAGE.contains(&format!("{scheme}://")), "the man page lacks {scheme}");
    }
    for framing in ["auto", "binary", "separator", "newline", "rfc6455"] {
        assert!(begins(&format!("{framing} ")), "-h lacks {framing}");
        assert!(
            MAN_PAGE.contains(&format!("\n.It Li {framing}\n")),
            "the man page lacks {framing}"
        );
    }
    // What comes with the daemon as plug-ins: the crates of `backends`, and what they say of themselves.
    for framing in ["json", "dynamic32", "fixedlength"] {
        let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/backends");
        assert!(Path::new(crates).join(framing).join("Cargo.toml").exists(), "{framing}");
        assert!(begins(&format!("{framing} ")), "-h lacks {framing}");
        assert!(MAN_PAGE.contains(&format!("Li {framing}")), "the man page lacks {framing}");
    }
    for backend in ["file", "token", "jwt", "redis", "http", "srv"] {
        assert!(help.contains(&format!("-b {backend}")), "-h lacks the back end {backend}");
        assert!(MAN_PAGE.contains(&format!("Li {backend} ")), "the man page lacks {backend}");
    }
    let of_plugins = [
        "path",
        "expression",
        "file",
        "dir",
        "key",
        "end-sessions",
        "url",
        "stale",
        "forward",
        "server",
    ];
    for key in of_plugins {
        assert!(begins(&format!("{key}=")), "-h lacks {key}");
        assert!(MAN_PAGE.contains(&format!("\n.It Li {key}\n")), "the man page lacks {key}");
    }
    for option in ["add", "text", "strip"] {
        assert!(help.contains(&format!("{option}:")), "-h lacks {option}:");
        assert!(MAN_PAGE.contains(&format!("\n.It Li {option}\n")), "the man page lacks {option}");
    }
    // Messages of the web are lines to IRC only with the line end that it asks for.
    for (page, name) in [(help, "-h"), (MAN_PAGE, "the man page"), (README, "README")] {
        let examples: Vec<_> = page.match_indices(":6667").map(|(at, _)| &page[at..]).collect();
        assert!(!examples.is_empty(), "{name} has none");
        for example in examples {
            let example: String = example.chars().take(200).collect();
            assert!(example.contains("add:crlf"), "{name}: {example}");
        }
    }
    assert!(README.contains(concat!("Rust ", env!("CARGO_PKG_RUST_VERSION"))));
    assert!(README.contains("Linux"));
}

#[test]
fn a_configuration_that_cannot_be_is_one_line_and_exit_code_2() {
    let directory = Directory::new("misconfigured");
    let port = directory.file("port.conf", "[core]\r\n# TCP\r\nport = 80 80\r\n");
    let key = directory.file("key.conf", "[core]\nlog = yes");
    let refused = directory.file("refused.conf", "[backend]\nhost = localhost\nfrob = 1\n");
    let none = directory.0.join("none.conf").to_str().unwrap().to_owned();
    let range = "is not a number from 0 to 65535";
    let no_key = "the built-in back end has no key \"frob\"; it has host, balance, retry-after, port, \
                  protocol, framing, framing-config";
    let cases: &[(&[&str], String)] = &[
        (&["--port", "abc"], format!("--port: 'abc' {range}")),
        (&["--frobnicate"], "--frobnicate: is not an option; see --help".into()),
        (&["-f", &port], format!("{port}:3: port: '80 80' {range}")),
        (&["-c", "frob=1"], format!("--config: frob: {no_key}")),
        (&[&refused, "-p", "0"], format!("{refused}:3: frob: {no_key}")),
        (&[&key], format!("{key}:2: log: is not a key of [core]")),
        (&[&none], format!("{none}: No such file or directory (os error 2)")),
    ];
    for (args, message) in cases {
        let output = websocksy(args);
        assert_eq!(text(&output.stderr), format!("websocksy: {message}\n"), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn streams_that_take_nothing_change_no_exit_code() {
    let cases = [
        ("--help", ">&-", 0),
        ("--help", ">/dev/full", 0),
        ("--version", "<&- >&- 2>&-", 0),
        ("--port abc", "2>&-", 2),
        ("--port abc", "2>/dev/full", 2),
        ("--port abc", "<&- >&- 2>&-", 2),
    ];
    for (args, redirections, code) in cases {
        let status = redirected(args, redirections).status().unwrap();
        assert_eq!(status.code(), Some(code), "{args} {redirections}");
    }
}

#[test]
fn output_for_a_reader_that_is_gone_is_no_fault() {
    let mut child = Command::new(WEBSOCKSY).arg("--help").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A socket that gets descriptor 2 would have log lines written into it.
#[test]
fn standard_descriptors_that_are_closed_are_never_taken() {
    let directory = Directory::new("descriptors");
    let fifo = directory.0.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let args = format!("-f '{}'", fifo.display());
    let mut child = redirected(&args, "<&- >&- 2>&-").spawn().unwrap();
    let descriptors = PathBuf::from(format!("/proc/{}/fd", child.id()));

    // It waits for a writer of the FIFO, and with all three open.
    let deadline = Instant::now() + Duration::from_secs(10);
    let links = || (0..3).map(|fd| fs::read_link(descriptors.join(fd.to_string())).ok()).collect();
    let null = vec![Some(PathBuf::from("/dev/null")); 3];
    let mut seen: Vec<Option<PathBuf>> = links();
    while seen != null && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
        seen = links();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen, null);
}
