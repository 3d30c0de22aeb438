//! The log of the real binary: its lines, and standard errors that take none of them.
#![allow(clippy::unwrap_used)] // clippy knows `#[test]` functions only, not their helpers

mod common;

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{BASE, Client, Daemon as Bridge, Peer, answer, free_port, open};
use serde_json::Value;

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

/// [`BASE`] for this path, with these fields behind its own.
fn request(path: &str, fields: &str) -> Vec<u8> {
    let head = BASE.replacen("GET / ", &format!("GET {path} "), 1);
    [head.strip_suffix("\r\n").unwrap(), fields, "\r\n"].concat().into_bytes()
}

/// The status that the daemon refuses this request with.
fn refused(daemon: &Bridge, request: &[u8]) -> u16 {
    let mut stream = open(daemon.port());
    stream.write_all(request).unwrap();
    answer(&mut stream, request).status
}

/// The fields of the only line in the daemon's log with this `event`.
fn fields(daemon: &Bridge, event: &str) -> Value {
    let line = daemon.wait_for_log(&format!("\"event\":\"{event}\""));
    let same = |other: &String| other.contains(&format!("\"event\":\"{event}\""));
    assert_eq!(daemon.log().iter().filter(|line| same(line)).count(), 1, "{:#?}", daemon.log());
    serde_json::from_str(&line).unwrap()
}

const ASKED: &str = "Origin: https://a.example\r\nSec-WebSocket-Protocol: chat, binary\r\n";

#[test]
fn the_end_of_a_session_says_what_it_was() {
    let peer = Peer::echo();
    let arguments = ["-c", "framing-config=lf", "--log-format", "json"];
    let daemon = Bridge::before(&peer, "newline", &arguments);
    let mut client = Client::connect_with(daemon.port(), &request("/irc?a=b&c", ASKED));
    client.frame(0x81, b"one\n");
    client.frame(0x01, b"tw");
    client.frame(0x80, b"o\n");
    assert_eq!([client.message().1, client.message().1], [b"one\n", b"two\n"]);
    let address = client.stream().local_addr().unwrap().to_string();
    client.close_now();
    let start = fields(&daemon, "start");
    let peer = format!("tcp://127.0.0.1:{}", peer.port());
    assert_eq!((start["client"].as_str(), start["peer"].as_str()), (Some(&*address), Some(&*peer)));
    let end = fields(&daemon, "end");
    let seconds = end["seconds"].as_f64().unwrap();
    assert!((0.0..60.0).contains(&seconds), "{end}");
    let expected = serde_json::json!({
        "time": end["time"], "level": "info", "message": end["message"], "event": "end",
        "ending": "client-closed", "reason": "client closed with 1000", "client": address,
        "peer": peer, "path": "/irc?a=***&***", "origin": "https://a.example",
        "offered": "chat,binary", "agreed": "binary", "framing": "newline",
        "seconds": end["seconds"], "bytes_in": end["bytes_in"], "bytes_out": 8, "messages_in": 2,
        "messages_out": 2,
    });
    assert_eq!(end, expected);
}

/// Each refusal, what it is for, and what the log says of the request.
#[test]
fn a_refusal_says_what_was_asked_for() {
    let host = format!("host=tcp://127.0.0.1:{}", free_port());
    let cases: [(&[u8], u16, &str, &str); 5] = [
        (&request("/x?t=s", ASKED), 502, "peer-unreachable", "/x?t=***"),
        (&request("/x?t=s", "Origin: http://b\r\n"), 403, "bad-handshake", "/x?t=***"),
        (b"GET /y?t=s HTTP/1.1\r\nHost: x\r\n\r\n", 426, "bad-handshake", "/y?t=***"),
        (b"GET /z?t=s HTTP/1.1\r\nbad field\r\n", 400, "bad-request", "/z?t=***"),
        (b"\x16\x03\x01", 400, "bad-request", ""),
    ];
    for (request, status, ending, path) in cases {
        let arguments = ["-c", &host, "--origin", "https://a.example", "--log-format", "json"];
        let daemon = Bridge::start(&arguments);
        assert_eq!(refused(&daemon, request), status);
        let said = fields(&daemon, "refused");
        assert_eq!(said["status"], u64::from(status), "{said}");
        assert_eq!(said["ending"], ending, "{said}");
        assert_eq!(said["path"].as_str().unwrap_or_default(), path, "{said}");
        let origin = match status {
            502 => Some("https://a.example"),
            403 => Some("http://b"),
            _ => None,
        };
        assert_eq!(said["origin"].as_str(), origin, "{said}");
        let offered = (status == 502).then_some("chat,binary");
        assert_eq!(said["offered"].as_str(), offered, "{said}");
    }
}

#[test]
fn values_of_the_query_are_shown_on_request() {
    for (arguments, shown) in [(&[][..], "path=\"/?t=***\""), (&["--log-query"], "path=\"/?t=s\"")]
    {
        let daemon = Bridge::start(arguments);
        refused(&daemon, b"GET /?t=s HTTP/1.1\r\nHost: x\r\n\r\n");
        let line = daemon.wait_for_log("refused with 426: bad handshake: not an upgrade");
        assert!(line.contains(&format!(" ending=bad-handshake {shown} seconds=0")), "{line}");
    }
}

/// What a stranger writes is escaped and cut in every format.
#[test]
fn strangers_text_is_escaped_and_cut_in_fields() {
    let long = "x".repeat(500);
    for format in ["text", "json"] {
        let daemon = Bridge::start(&["--log-format", format]);
        let fields = "Origin: \u{9b}\"a=b\r\n".to_owned();
        let head = format!("GET /{} HTTP/1.1\r\nHost: x\r\n{fields}\r\n", long);
        refused(&daemon, head.as_bytes());
        let line = daemon.wait_for_log("refused with 426");
        assert!(line.contains("xxx…") && line.len() < 700, "{line}");
        let origin = match format {
            "text" => r#" origin="\xc2\x9b\x22a=b" "#,
            _ => r#","origin":"\\xc2\\x9b\"a=b","#,
        };
        assert!(line.contains(origin), "{line}");
    }
}

#[test]
fn a_flood_of_refusals_is_counted() {
    let mut daemon = Bridge::start(&["--log-rate", "2"]);
    for _ in 0..50 {
        refused(&daemon, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    // A line of another kind is written, and the end does not wait for the ten seconds to be over.
    refused(&daemon, b"nonsense\r\n");
    daemon.wait_for_log("bad request");
    daemon.signal("TERM");
    assert!(daemon.exit_within(PATIENCE).is_some());
    let count = daemon.wait_for_log("log lines left out");
    let (_, left) = count.rsplit_once(" lines=").unwrap();
    let said = format!(" WARN  log lines left out, too many of a kind: {left} like: 127.0.0.1:");
    assert!(count.contains(&said), "{count}");
    let is_told = |line: &&String| line.contains(" INFO ") && line.contains("refused with 426");
    let told = daemon.log().iter().filter(is_told).count();
    assert_eq!((told, left.parse()), (20, Ok(30)), "{:#?}", daemon.log());
}

/// systemd.exec(5): the daemon's standard error is the journal if `JOURNAL_STREAM` names it.
#[test]
fn the_journal_gets_priorities_and_no_time() {
    use std::os::unix::fs::MetadataExt;
    for named in [true, false] {
        let (mut reader, writer) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer.try_clone().unwrap()));
        let metadata = file.metadata().unwrap();
        drop(file);
        let inode = metadata.ino() + u64::from(!named);
        let setup = format!("export JOURNAL_STREAM={}:{inode};", metadata.dev());
        let daemon = Daemon::start(&setup, "info", writer);
        daemon.works();
        assert_eq!(daemon.terminate().code(), Some(0));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text.lines().count() > 50, "{text}");
        let has_priority = |line: &str| line.starts_with("<4>") || line.starts_with("<6>");
        assert!(text.lines().all(|line| has_priority(line) == named), "{text}");
        assert!(text.lines().any(|line| line.starts_with("<6>listening on ")) == named, "{text}");
    }
}
