//! The back end `token`: websockify's token files.

use super::{Innocent, address, connect, refused, request, text};
use crate::common::plugins::{bundled, scratch};
use crate::common::{Daemon, Peer, eventually, open};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

/// The daemon with token files.
fn daemon(arguments: &[&str]) -> Daemon {
    Daemon::start(&[&["--plugins", bundled(), "-b", "token"], arguments].concat())
}

/// As editors and scripts do it.
fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new~");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

/// The status of the answer.
fn outcome(daemon: &Daemon, endpoint: &str) -> u16 {
    let head = request(endpoint, &[]);
    let mut stream = open(daemon.port());
    stream.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    str::from_utf8(&status[9..]).unwrap().parse().unwrap()
}

#[test]
fn a_token_leads_to_its_peer_and_a_change_counts() {
    let (echo, directory) = (Peer::echo(), scratch("token"));
    let path = directory.join("tokens");
    let host = address(&echo).replace("tcp://", "");
    fs::write(&path, format!("# ours\nvm-1: {host}\nvm-2:{host} protocol=none\n")).unwrap();
    let file = format!("file={}", text(&path));
    let daemon = daemon(&["-c", &file, "-c", "framing=binary"]);
    daemon.wait_for_log("token: 2 tokens from 1 files");
    for endpoint in ["/vm-1", "/vm-2", "/websockify?token=vm-1", "/websockify?a=b&token=vm%2d2"] {
        Innocent(connect(&daemon, &request(endpoint, &[]))).goes_on();
    }
    for endpoint in ["/", "/vm-3", "/vm-1/", "/vm-1?token=", "/websockify?token=vm-3"] {
        assert_eq!(refused(&daemon, &request(endpoint, &[])).status, 404, "{endpoint}");
    }
    let mut stays = Innocent(connect(&daemon, &request("/vm-1", &[])));
    replace(&path, &format!("vm-3: {host}\nvm-4 {host}\nvm-5: {host} framing=nosuch\n"));
    eventually("the change counts", || outcome(&daemon, "/vm-1") == 404);
    Innocent(connect(&daemon, &request("/vm-3", &[]))).goes_on();
    assert_eq!(refused(&daemon, &request("/vm-5", &[])).status, 404, "no such framing");
    let named = |line: &str| format!("token: {}:{line}", text(&path));
    daemon.wait_for_log(&named("2: it has no colon behind a token"));
    assert!(daemon.wait_for_log(&named("3: ")).contains("nosuch"));
    fs::remove_file(&path).unwrap();
    Innocent(connect(&daemon, &request("/vm-3", &[]))).goes_on();
    stays.goes_on();
    let of_files = |line: &&String| line.contains("plug-in: token");
    let log: Vec<_> = daemon.log().into_iter().filter(|line| of_files(&line)).collect();
    assert!(!log.iter().any(|line| line.contains("vm-")), "no token is in it: {log:#?}");
}
