//! The log of the real binary: its lines, and standard errors that take none of them.
#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not their helpers

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what should come at once, before it calls it lost.
const PATIENCE: Duration = Duration::from_secs(10);

struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    /// Starts it with `stderr`, after a shell did `setup`, and waits until it answers.
    fn start(setup: &str, level: &str, stderr: impl Into<Stdio>) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let run = format!("{setup} exec \"$0\" -l 127.0.0.1 -p {port}");
        let mut command = Command::new("sh");
        command.args(["-c", &run, env!("CARGO_BIN_EXE_websocksy")]).env("RUST_LOG", level);
        let child = command.stdin(Stdio::null()).stderr(stderr).spawn().unwrap();
        let daemon = Self { child, port };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(start.elapsed() < PATIENCE, "it does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        daemon
    }

    fn answer(&self, request: &[u8]) -> String {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(request).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Refuses some requests, each with a log line.
    fn works(&self) {
        for _ in 0..50 {
            let answer = self.answer(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
        }
    }

    /// Processor time of all threads (`utime` and `stime` of proc(5)), in ticks of 10 ms.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let times = fields.split_whitespace().skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    fn idles(&self) {
        let before = self.ticks();
        thread::sleep(Duration::from_millis(500));
        let spent = self.ticks() - before;
        assert!(spent <= 5, "{spent} ticks of 50 for nothing");
    }

    fn terminate(mut self) -> ExitStatus {
        // The shell's own kill, since a small system has no other.
        let kill = format!("kill {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "SIGTERM does not end it");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that holds all it can. A thread of ours waits to write until the reader is dropped.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    let filled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&filled);
    thread::spawn(move || {
        while filler.write_all(&[b'.'; 4096]).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut before = 0;
    loop {
        thread::sleep(Duration::from_millis(50));
        let now = filled.load(Ordering::Relaxed);
        if now == before && now > 0 {
            return (reader, writer);
        }
        before = now;
    }
}

fn serves(setup: &str, stderr: impl Into<Stdio>) {
    let daemon = Daemon::start(setup, "trace", stderr);
    daemon.works();
    daemon.idles();
    assert_eq!(daemon.terminate().code(), Some(0));
}

#[test]
fn a_reader_that_is_stuck_holds_nothing_up() {
    let (_reader, writer) = full_pipe();
    serves("", writer);
}

#[test]
fn a_reader_that_is_gone_ends_nothing() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    serves("", writer);
}

#[test]
fn a_full_device_and_no_device_end_nothing() {
    serves("", File::create("/dev/full").unwrap());
    serves("exec 2>&-;", Stdio::null());
}

/// Without a handler, SIGXFSZ would kill the daemon at the limit.
#[test]
fn a_log_file_at_its_size_limit_ends_nothing() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("limited.log");
    serves("ulimit -f 1;", File::create(&path).unwrap());
    let length = fs::metadata(&path).unwrap().len();
    fs::remove_file(&path).unwrap();
    assert!((512..=1024).contains(&length), "the limit was not met: {length}");
}

/// What a daemon at `level` logs while it does `work`.
fn log(level: &str, work: impl Fn(&Daemon)) -> String {
    let (mut reader, writer) = io::pipe().unwrap();
    let daemon = Daemon::start("", level, writer);
    work(&daemon);
    assert_eq!(daemon.terminate().code(), Some(0));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_line_is_time_level_message() {
    let text = log("info", Daemon::works);
    assert!(text.lines().count() > 50, "{text}");
    for line in text.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        let shape: String =
            time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000Z", "RFC 3339: {line}");
        assert!(rest.starts_with("INFO  ") || rest.starts_with("WARN  "), "{line}");
    }
}

#[test]
fn nothing_is_logged_when_logging_is_off() {
    assert_eq!(log("off", Daemon::works), "");
}

#[test]
fn a_wrong_filter_is_named_and_does_no_harm() {
    let text = log("websocksy=loud", Daemon::works);
    assert!(text.lines().next().unwrap().contains("WARN  RUST_LOG: "), "{text}");
    assert!(text.contains("listening on 127.0.0.1:"), "{text}");
}

#[test]
fn a_client_writes_no_line_of_its_own() {
    let text = log("trace", |daemon| {
        for field in ["Origin: a\x1b[2J\x7f\u{9b}", "Upgrade: x\rINFO forged", "Host: \\\u{85}x"] {
            let head = format!("GET /\x1b[31m HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
            assert!(daemon.answer(head.as_bytes()).starts_with("HTTP/1.1 4"));
        }
    });
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("INFO")), "{text}");
}
