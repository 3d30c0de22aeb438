//! What the tests on the real binary share: the daemon as a child process, a raw client that
//! judges every byte it is sent, and peers that misbehave on request. Blocking calls and std only,
//! so that a test reads as the conversation it is.
#![allow(dead_code, unused_imports)] // every test binary uses its own part of this
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod client;
mod daemon;
mod digest;
mod http;
mod left_out;
mod manager;
pub(crate) mod netns;
mod oracle;
mod peer;
pub(crate) mod plugins;
mod sockets;

use std::time::{Duration, Instant};

pub(crate) use client::{Client, Event, frame, frame_masked, header};
pub(crate) use daemon::{Daemon, binary, in_shell};
pub(crate) use digest::{Digest, noise};
pub(crate) use http::{
    Answer, BASE, End, answer, assert_base_accept, open, open_at, read_101, read_answer,
    read_to_end, read_upgrade, upgrade,
};
pub(crate) use left_out::left_out;
pub(crate) use manager::Manager;
pub(crate) use peer::{Blackhole, Peer, Received, reset};
pub(crate) use sockets::SocketDirectory;

/// How long a test waits for what should come at once, before it calls it lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `happened` says yes; `what` names it in the failure.
#[track_caller]
pub(crate) fn eventually(what: &str, happened: impl FnMut() -> bool) {
    assert!(within(PATIENCE, happened), "{what}: not within {PATIENCE:?}");
}

/// Whether `happened` says yes before `limit` is over.
pub(crate) fn within(limit: Duration, mut happened: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !happened() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// A port of 127.0.0.1 that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Sends a process a signal, named as kill(1) does: `TERM`, `STOP`. The shell's own kill, since a
/// small system has no other.
#[track_caller]
pub(crate) fn kill(signal: &str, pid: u32) {
    let command = format!("kill -s {signal} {pid}");
    let sent = std::process::Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(sent.success(), "{command}");
}

/// Lifts this process's own soft limit of descriptors as far as it may: a thousand clients need a
/// thousand sockets.
pub(crate) fn allow_many_descriptors() {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let hard = line.split_whitespace().nth(4).unwrap(); // the name has three words, then soft, hard
    limit_descriptors(std::process::id(), &format!("{hard}:"));
}

/// Sets how many descriptors a process may have, as prlimit(1) takes it: `SOFT:HARD`.
#[track_caller]
fn limit_descriptors(pid: u32, limits: &str) {
    let mut command = std::process::Command::new("prlimit");
    command.args(["--pid", &pid.to_string(), &format!("--nofile={limits}")]);
    assert!(command.status().unwrap().success(), "{command:?}");
}
