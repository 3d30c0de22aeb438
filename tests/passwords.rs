//! Names and passwords, on the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{Answer, BASE, Client, Daemon, PATIENCE, Peer, answer, open, upgrade};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// "alice:secret" and "bob:" with 72 times "x", by htpasswd -B -C 4.
const USERS: &str = "# ours\nalice:ALICE\nbob:BOB\n";

/// A file of users that is removed when the test is over.
struct Users(PathBuf);

impl Users {
    fn new(name: &str, text: &str, mode: u32) -> Self {
        let path = std::env::temp_dir().join(format!("websocksy-{name}-{}", std::process::id()));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Self(path)
    }

    /// alice with "secret" and bob with the longest password that there is.
    fn usual(name: &str) -> Self {
        let hash =
            |password: &str| bcrypt::hash_with_salt(password, 4, [3; 16]).unwrap().to_string();
        let text = USERS.replace("ALICE", &hash("secret").replace("$2b$", "$2y$"));
        Self::new(name, &text.replace("BOB", &hash(&"x".repeat(72))), 0o640)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A handshake with this Authorization.
fn with(authorization: &str) -> String {
    BASE.replace("Host: h", &format!("Host: h\r\nAuthorization: {authorization}"))
}

fn basic(user_and_password: &str) -> String {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(user_and_password);
    with(&format!("Basic {encoded}"))
}

#[track_caller]
fn refused(daemon: &Daemon, request: &str) -> Answer {
    let mut stream = open(daemon.port());
    stream.write_all(request.as_bytes()).unwrap();
    answer(&mut stream, b"")
}

#[test]
fn who_has_a_password_comes_in_and_is_named() {
    let (peer, users) = (Peer::echo(), Users::usual("in"));
    let daemon = Daemon::before(&peer, "binary", &["--auth-file", users.path()]);
    for user in ["alice:secret".to_owned(), format!("bob:{}", "x".repeat(72))] {
        let mut client = Client::connect_with(daemon.port(), basic(&user).as_bytes());
        client.frame(0x82, b"hello");
        assert_eq!(client.message(), (2, b"hello".to_vec()));
        assert_eq!(client.close_now(), Some(1000));
    }
    daemon.wait_for_log(" (alice) -> tcp://");
    daemon.wait_for_log(" (bob) -> tcp://");
    let told = daemon.log().iter().any(|line| line.contains("secret") || line.contains("Basic"));
    assert!(!told, "{:#?}", daemon.log());
}

#[test]
fn who_has_none_is_asked() {
    let (peer, users) = (Peer::echo(), Users::usual("none"));
    let daemon = Daemon::before(&peer, "binary", &["--auth-file", users.path()]);
    let twice = basic("alice:secret").replace("Host: h", "Host: h\r\nauthorization: Basic YTpi");
    for (request, why) in [
        (BASE.to_owned(), "no name and password"),
        (basic("alice:Secret"), "no such user, or a wrong password"),
        (basic("alice:"), "no such user, or a wrong password"),
        (basic("carol:secret"), "no such user, or a wrong password"),
        (basic(&format!("bob:{}", "x".repeat(73))), "the password is longer than 72 bytes"),
        (basic("alice"), "Authorization is malformed or not Basic"),
        (with("Bearer abc"), "Authorization is malformed or not Basic"),
        (with("Basic !!!"), "Authorization is malformed or not Basic"),
        (twice, "Authorization is malformed or not Basic"),
    ] {
        let refusal = refused(&daemon, &request);
        assert_eq!(refusal.status, 401, "{why}");
        let challenge = r#"Basic realm="websocksy", charset="UTF-8""#;
        assert_eq!(refusal.values("www-authenticate"), [challenge]);
        daemon.wait_for_log(&format!("refused with 401: {why}"));
    }
    let told = daemon.log().iter().any(|line| line.contains("secret") || line.contains("!!!"));
    assert!(!told, "{:#?}", daemon.log());
    assert_eq!(peer.dials(), 0);
}

/// A hash that takes its time: everybody else goes on, a crowd that waits for it is bounded, and who
/// was right once need not wait again.
#[test]
fn a_crowd_of_passwords_holds_nobody_up() {
    let hash = bcrypt::hash_with_salt("secret", 8, [3; 16]).unwrap().to_string();
    let (peer, users) = (Peer::echo(), Users::new("crowd", &format!("alice:{hash}\n"), 0o600));
    let daemon = Daemon::before(&peer, "binary", &["--auth-file", users.path()]);
    let mut known = Client::connect_with(daemon.port(), basic("alice:secret").as_bytes());
    let mut crowd: Vec<_> = (0..60).map(|_| open(daemon.port())).collect();
    for (number, stream) in crowd.iter_mut().enumerate() {
        stream.write_all(basic(&format!("alice:wrong{number}")).as_bytes()).unwrap();
    }
    let start = Instant::now();
    known.frame(0x82, b"hello");
    assert_eq!(known.message(), (2, b"hello".to_vec()));
    let mut again = open(daemon.port());
    upgrade(&mut again, basic("alice:secret").as_bytes());
    assert!(start.elapsed() < PATIENCE / 4, "{:?}", start.elapsed());
    drop((known, again));
    let statuses: Vec<_> = crowd.iter_mut().map(|stream| answer(stream, b"").status).collect();
    let busy = statuses.iter().filter(|status| **status == 503).count();
    let wrong = statuses.iter().filter(|status| **status == 401).count();
    assert_eq!(busy + wrong, 60, "{statuses:?}");
    assert!(busy >= 1 && wrong >= 20, "{statuses:?}");
    daemon.wait_for_log("refused with 503: too many passwords wait to be verified");
}

/// Passwords of clients that have left are not hashed.
#[test]
fn who_leaves_is_forgotten() {
    let hash = bcrypt::hash_with_salt("secret", 10, [3; 16]).unwrap().to_string();
    let (peer, users) = (Peer::echo(), Users::new("leave", &format!("alice:{hash}\n"), 0o600));
    let daemon = Daemon::before(&peer, "binary", &["--auth-file", users.path()]);
    let mut crowd: Vec<_> = (0..30).map(|_| open(daemon.port())).collect();
    for (number, stream) in crowd.iter_mut().enumerate() {
        stream.write_all(basic(&format!("alice:wrong{number}")).as_bytes()).unwrap();
    }
    drop(crowd);
    drop(Client::connect_with(daemon.port(), basic("alice:secret").as_bytes()));
}

#[test]
fn files_that_are_no_good_are_refused() {
    let hash = bcrypt::hash_with_salt("secret", 4, [3; 16]).unwrap().to_string();
    let good = format!("alice:{hash}\n");
    for (text, mode, at, says) in [
        (good.as_str(), 0o644, ": everybody may read or write it", "chmod o-rw"),
        (&good, 0o602, ": everybody may read or write it", "chmod o-rw"),
        ("", 0o600, ": names no user", "htpasswd -B"),
        ("# x\nalice\n", 0o600, ":2: is not USER:HASH", ""),
        ("alice:$apr1$x$y\n", 0o600, ":1: has no bcrypt hash", "htpasswd -B"),
        ("alice:secret\n", 0o600, ":1: has no bcrypt hash", "htpasswd -B"),
    ] {
        let users = Users::new("bad", text, mode);
        let mut command = Command::new(common::binary());
        let output = command.args(["-p", "0", "--auth-file", users.path()]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        let line = String::from_utf8(output.stderr).unwrap();
        let begins = format!("websocksy: --auth-file: {}{at}", users.path());
        assert!(line.starts_with(&begins) && line.contains(says), "{line}");
        assert!(!line.contains("secret") && line.lines().count() == 1, "{line}");
    }
}

/// Files are for those who have a password, too; whether the daemon is well is for everybody.
#[test]
fn files_are_for_those_who_have_a_password() {
    let users = Users::usual("files");
    let web = users.0.with_extension("web");
    fs::create_dir_all(&web).unwrap();
    fs::write(web.join("a.txt"), "hello").unwrap();
    let arguments = ["--auth-file", users.path(), "--web", web.to_str().unwrap()];
    let more = ["--web-redirect", "/a.txt", "--health", "/healthz"];
    let daemon = Daemon::start(&[&arguments[..], &more].concat());
    let requests = ["alice:secret", "alice:wrong"].map(basic);
    let [authorization, wrong] = requests
        .each_ref()
        .map(|request| request.lines().find(|line| line.starts_with("Authorization")).unwrap());
    for (method, path, bare, known) in [
        ("GET", "/a.txt", 401, 200),
        ("HEAD", "/a.txt", 401, 200),
        ("GET", "/nothing", 401, 404),
        ("GET", "/", 401, 302),
        ("POST", "/a.txt", 401, 405),
        ("GET", "/healthz", 200, 200),
    ] {
        for (authorization, status) in [("", bare), (authorization, known), (wrong, bare)] {
            let mut client = open(daemon.port());
            let line = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n");
            let end = if authorization.is_empty() { "\r\n" } else { "\r\n\r\n" };
            client.write_all(format!("{line}{authorization}{end}").as_bytes()).unwrap();
            let answer = answer(&mut client, line.as_bytes());
            assert_eq!(answer.status, status, "{method} {path} {authorization}");
            let asked = usize::from(status == 401);
            assert_eq!(answer.values("www-authenticate").len(), asked, "{method} {path}");
        }
    }
    fs::remove_dir_all(&web).unwrap();
}
