//! Plug-ins in Rust that panic.

use super::{Innocent, address, text};
use crate::common::plugins::{example, scratch};
use crate::common::{Client, Daemon, PATIENCE, Peer, binary, kill, within};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// The daemon with the framing of `examples/panics.rs` in front of an echo.
fn arguments(test: &str, peer: &Peer) -> Vec<String> {
    let directory = scratch(test);
    example(&directory, "panics", "panics.so");
    let host = format!("host={}", address(peer));
    let arguments = ["--plugins", text(&directory), "-c", "framing=panics", "-c", &host];
    arguments.map(str::to_owned).to_vec()
}

/// A session that ends in a panic.
#[track_caller]
fn panic(port: u16) {
    let mut client = Client::connect(port);
    client.frame(0x82, b"panic");
    assert_eq!(client.end(), Some(1011));
}

/// A panic ends its session, and is one line of the log.
#[test]
fn a6_a_panic_is_a_line_of_the_log() {
    let echo = Peer::echo();
    let arguments = arguments("panic", &echo);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let daemon = Daemon::start(&arguments);
    let mut innocent = Innocent(Client::connect(daemon.port()));
    panic(daemon.port());
    innocent.goes_on();
    let line = daemon.wait_for_log("as the peer asked");
    let place = "ERROR plug-in: panic at backends/plugin/examples/panics.rs:";
    assert!(line.contains(place) && line.contains("asked\\n!!!") && line.len() < 600, "{line}");
    assert_eq!(daemon.log().iter().filter(|line| line.contains("!!!")).count(), 1);
}

/// A standard error that nobody reads.
struct Unread(Child);

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Panics whose messages nobody reads hold nobody up: not other sessions, and not the end.
#[test]
fn a6_panics_do_not_wait_for_a_reader() {
    let echo = Peer::echo();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let child = Command::new(binary())
        .args(["-l", "127.0.0.1", "-p", &port.to_string()])
        .args(arguments("unread", &echo))
        .stderr(Stdio::piped())
        .spawn();
    let mut daemon = Unread(child.unwrap());
    assert!(within(PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()));
    let mut innocent = Innocent(Client::connect(port));
    for _ in 0..100 {
        panic(port);
        innocent.goes_on();
    }
    assert_eq!(innocent.0.close_now(), Some(1000));
    kill("TERM", daemon.0.id());
    let mut status = None;
    within(PATIENCE, || {
        status = daemon.0.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.expect("SIGTERM ends it").code(), Some(0));
}
