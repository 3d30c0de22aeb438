//! Plug-ins in the real binary: the bundled ones, the examples in C, and some that misbehave while
//! an innocent session goes on. Row labels are the ids of the case catalogue in `docs/testing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

#[path = "plugins/bundled.rs"]
mod bundled;
mod common;
#[path = "plugins/contract.rs"]
mod contract;
#[path = "plugins/examples.rs"]
mod examples;
#[path = "plugins/loading.rs"]
mod loading;
#[path = "plugins/misbehaving.rs"]
mod misbehaving;
#[path = "plugins/panics.rs"]
mod panics;
#[path = "plugins/queries.rs"]
mod queries;
#[path = "plugins/token.rs"]
mod token;

use common::{Answer, BASE, Client, Daemon, Peer, answer, open};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Header fields of a request.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// A handshake for `endpoint` with further header fields.
fn request(endpoint: &str, fields: Fields<'_>) -> String {
    let fields: String =
        fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let base = BASE.replacen("GET / ", &format!("GET {endpoint} "), 1);
    format!("{}{fields}\r\n", base.strip_suffix("\r\n").unwrap())
}

/// A session for which the daemon must answer 101.
#[track_caller]
fn connect(daemon: &Daemon, request: &str) -> Client {
    Client::connect_with(daemon.port(), request.as_bytes())
}

/// The daemon's refusal.
#[track_caller]
fn refused(daemon: &Daemon, request: &str) -> Answer {
    let mut stream = open(daemon.port());
    stream.write_all(request.as_bytes()).unwrap();
    answer(&mut stream, request.as_bytes())
}

fn address(peer: &Peer) -> String {
    format!("tcp://127.0.0.1:{}", peer.port())
}

/// A session that has nothing to do with what happens to others.
struct Innocent(Client);

impl Innocent {
    /// A message goes to its echo and comes back.
    #[track_caller]
    fn goes_on(&mut self) {
        self.0.frame(0x82, b"still here.");
        assert_eq!(self.0.message().1, b"still here.");
    }
}

/// A directory with one C plug-in of the tests in it.
fn with_plugin(directory: &str, name: &str, source: &str) -> PathBuf {
    let directory = common::plugins::scratch(directory);
    common::plugins::compile(&directory, name, source, &[]);
    directory
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
