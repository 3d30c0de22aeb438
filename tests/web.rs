//! Plain requests on the real binary: what is answered without a WebSocket (RFC 9110, RFC 9112).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use common::{
    Answer, BASE, Client, Daemon, End, PATIENCE, Peer, answer, eventually, free_port, kill,
    left_out, noise, open, read_answer, read_to_end, upgrade, within,
};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

fn healthy(arguments: &[&str]) -> Daemon {
    Daemon::start(&[&["--health", "/healthz"], arguments].concat())
}

/// O8: a load balancer asks as it can, on a connection of its own or on one that it keeps.
#[test]
fn o08_health_is_answered_to_whoever_asks() {
    let daemon = healthy(&[]);
    for (request, body) in [
        ("GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "OK\n"),
        ("HEAD /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", ""),
        ("GET /healthz HTTP/1.0\r\n\r\n", "OK\n"),
        ("HEAD /healthz HTTP/1.0\r\n\r\n", ""),
        ("GET /healthz HTTP/1.2\r\nHost: h\r\nConnection: close\r\n\r\n", "OK\n"),
        ("GET /healthz?by=me HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "OK\n"),
        ("GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "OK\n"),
    ] {
        let mut client = open(daemon.port());
        client.write_all(request.as_bytes()).unwrap();
        let answer = answer(&mut client, request.as_bytes());
        assert_eq!((answer.status, &answer.rest[..]), (200, body.as_bytes()), "{request}");
        assert_eq!(answer.values("date").len(), 1);
    }
    let mut client = open(daemon.port());
    for _ in 0..3 {
        client.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut client, false).rest, b"OK\n");
        client.write_all(b"HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut client, true).status, 200);
    }
    drop(client);
    daemon.settle();
    assert!(!daemon.log().iter().any(|line| line.contains("127.0.0.1:") && !line.contains("on ")));
}

#[test]
fn what_is_not_the_health_check_is_as_ever() {
    let host = format!("host=tcp://127.0.0.1:{}", free_port());
    let daemon = healthy(&["-c", &host]);
    let plain = Daemon::start(&[]);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 426),
        ("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        ("GET / HTTP/1.0\r\n\r\n", 400),
        ("POST /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 405),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\n", 501),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET /healthz HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        ("GET /healthz/ HTTP/1.1\r\nHost: h\r\n\r\n", 426),
        (BASE, 502),
    ] {
        let mut client = open(daemon.port());
        client.write_all(request.as_bytes()).unwrap();
        assert_eq!(answer(&mut client, request.as_bytes()).status, status, "{request}");
    }
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", 426),
        ("HEAD /healthz HTTP/1.1\r\n", 405),
        ("GET /healthz HTTP/1.0\r\n", 400),
    ] {
        let mut client = open(plain.port());
        client.write_all(request.as_bytes()).unwrap();
        assert_eq!(answer(&mut client, request.as_bytes()).status, status, "{request}");
    }
}

#[test]
fn a_client_that_ends_its_side_gets_its_answers() {
    let daemon = healthy(&[]);
    let mut client = open(daemon.port());
    client.write_all(&b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n".repeat(50)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (bytes, end) = read_to_end(&mut client);
    assert_eq!(end, End::Fin);
    assert_eq!(bytes.windows(4).filter(|four| four == b"\nOK\n").count(), 50);
}

#[test]
fn a_websocket_follows_plain_requests() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &["--health", "/"]);
    let mut client = open(daemon.port());
    client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut client, false).status, 200);
    upgrade(&mut client, BASE.as_bytes());
    let mut client = Client::over(client);
    client.frame(0x82, b"hello");
    assert_eq!(client.message(), (2, b"hello".to_vec()));
    client.close_now();
}

#[test]
fn the_daemon_ends_before_those_that_only_keep_a_connection() {
    let mut daemon = healthy(&[]);
    let mut client = open(daemon.port());
    client.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut client, false).status, 200);
    daemon.signal("TERM");
    assert_eq!(read_to_end(&mut client), (Vec::new(), End::Fin));
    eventually("the daemon ends", || daemon.exit_within(common::PATIENCE).is_some());
}

/// Who only keeps a connection holds nobody's place.
#[test]
fn a_connection_that_is_kept_makes_room() {
    let daemon = healthy(&["--max-connections", "1"]);
    let mut idle = open(daemon.port());
    for _ in 0..2 {
        idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut idle, false).status, 200);
    }
    eventually("another client is let in", || {
        let mut client = open(daemon.port());
        client.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
        read_to_end(&mut client).0.starts_with(b"HTTP/1.1 200 ")
    });
    assert_eq!(read_to_end(&mut idle), (Vec::new(), End::Fin));
}

/// Who may connect is asked for plain requests too: of the client itself, or, where a proxy keeps its
/// connection for many clients, of each that the proxy names.
#[test]
fn plain_requests_are_answered_to_those_who_may_connect() {
    let daemon = healthy(&["--deny", "127.0.0.1"]);
    let mut client = open(daemon.port());
    let _ = client.write_all(b"GET /healthz HTTP/1.0\r\n\r\n");
    let mut bytes = Vec::new();
    let _ = client.read_to_end(&mut bytes);
    assert_eq!(bytes, b"");
    let daemon = healthy(&["--trusted-proxy", "127.0.0.1", "--deny", "192.0.2.0/24"]);
    let mut proxy = open(daemon.port());
    for (client, status) in [("198.51.100.1", 200), ("198.51.100.2", 200), ("192.0.2.1", 403)] {
        let forwarded = format!("X-Forwarded-For: {client}\r\n");
        let request = format!("GET /healthz HTTP/1.1\r\nHost: h\r\n{forwarded}\r\n");
        proxy.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_answer(&mut proxy, false).status, status, "{client}");
    }
    assert_eq!(read_to_end(&mut proxy), (Vec::new(), End::Fin));
}

/// A directory of files, gone when the test is.
struct Files(PathBuf);

impl Files {
    fn new(name: &str, files: &[(&str, &[u8])]) -> Self {
        let root = std::env::temp_dir().join(format!("websocksy-{}-{name}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        for (name, bytes) in files {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), bytes).unwrap();
        }
        Self(root)
    }

    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        [&["--web", self.0.to_str().unwrap()], more].concat()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Asks on a connection that goes on.
fn ask(client: &mut TcpStream, method: &str, path: &str, fields: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    client.write_all(request.as_bytes()).unwrap();
    read_answer(client, method == "HEAD")
}

#[test]
fn a_page_and_its_parts_on_one_connection_beside_the_websocket() {
    let long = noise(300_000, 1);
    let files = Files::new(
        "page",
        &[
            ("vnc.html", b"<!DOCTYPE html>"),
            ("app/ui.js", b"import 'x';"),
            ("app/ui.js.gz", b"\x1f\x8b..."),
            ("core/big.wasm", &long),
            ("empty.css", b""),
        ],
    );
    let peer = Peer::echo();
    let arguments = files.arguments(&["--web-redirect", "/vnc.html?autoconnect=1"]);
    let daemon = Daemon::before(&peer, "binary", &arguments);
    let mut client = open(daemon.port());
    let home = ask(&mut client, "GET", "/", "");
    assert_eq!((home.status, home.values("location")), (302, vec!["/vnc.html?autoconnect=1"]));
    let page = ask(&mut client, "GET", "/vnc.html?autoconnect=1", "");
    assert_eq!((page.status, &page.rest[..]), (200, &b"<!DOCTYPE html>"[..]));
    assert_eq!(page.values("content-type"), ["text/html; charset=utf-8"]);
    assert_eq!(page.values("x-content-type-options"), ["nosniff"]);
    let script = ask(&mut client, "GET", "/app/ui.js", "Accept-Encoding: gzip\r\n");
    assert_eq!(
        (script.values("content-encoding"), &script.rest[..]),
        (vec!["gzip"], &b"\x1f\x8b..."[..])
    );
    assert_eq!(script.values("vary"), ["Accept-Encoding"]);
    let big = ask(&mut client, "GET", "/core/big.wasm", "");
    assert!(big.rest == long && big.values("content-type") == ["application/wasm"]);
    let tag = format!("If-None-Match: {}\r\n", big.values("etag")[0]);
    assert_eq!(ask(&mut client, "GET", "/core/big.wasm", &tag).status, 304);
    let part = ask(&mut client, "GET", "/core/big.wasm", "Range: bytes=100000-199999\r\n");
    assert_eq!((part.status, part.rest == long[100_000..200_000]), (206, true));
    assert_eq!(part.values("content-range"), ["bytes 100000-199999/300000"]);
    assert_eq!(ask(&mut client, "GET", "/core/big.wasm", "Range: bytes=300000-\r\n").status, 416);
    let bare = ask(&mut client, "HEAD", "/core/big.wasm", "");
    assert_eq!((bare.status, bare.values("content-length")), (200, vec!["300000"]));
    assert_eq!(ask(&mut client, "GET", "/empty.css", "").rest, b"");
    let slash = ask(&mut client, "GET", "/app?x=y", "");
    assert_eq!((slash.status, slash.values("location")), (301, vec!["/app/?x=y"]));
    assert_eq!(ask(&mut client, "GET", "/app/", "").status, 404);
    assert_eq!(ask(&mut client, "GET", "/../etc/passwd", "").status, 404);
    let post = ask(&mut client, "POST", "/vnc.html", "");
    assert_eq!((post.status, post.values("allow")), (405, vec!["GET, HEAD"]));
    // A WebSocket at the path of a file, on the same connection.
    let request = BASE.replace("GET / ", "GET /vnc.html ");
    upgrade(&mut client, request.as_bytes());
    let mut client = Client::over(client);
    client.frame(0x82, b"hello");
    assert_eq!(client.message(), (2, b"hello".to_vec()));
    client.close_now();
}

/// What lies in the directory and is no file of it: nothing is opened, and nobody waits.
#[test]
fn what_is_no_file_is_not_there() {
    let files = Files::new("special", &[("root/a", b"a"), ("secret", b"s")]);
    let root = files.0.join("root");
    for fifo in 0..8 {
        let made = Command::new("mkfifo").arg(root.join(format!("fifo{fifo}"))).status();
        assert!(made.unwrap().success());
    }
    std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", root.join("device")).unwrap();
    std::os::unix::fs::symlink("/proc/self/cwd", root.join("magic")).unwrap();
    let daemon = Daemon::start(&["--web", root.to_str().unwrap()]);
    let mut clients: Vec<TcpStream> = (0..8).map(|_| open(daemon.port())).collect();
    for (fifo, client) in clients.iter_mut().enumerate() {
        assert_eq!(ask(client, "GET", &format!("/fifo{fifo}"), "").status, 404);
    }
    let mut client = open(daemon.port());
    let long = format!("/{}", "a".repeat(3_000));
    for path in [
        "/out",
        "/device",
        "/magic/Cargo.toml",
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/a/",
        "/a%00",
        &long,
    ] {
        assert_eq!(ask(&mut client, "GET", path, "").status, 404, "{path:.40}");
    }
    assert_eq!(ask(&mut client, "GET", "/a", "").rest, b"a");
}

/// A directory that is gone is the operator's to know of; a path that names nothing is not.
#[test]
fn what_cannot_be_read_has_a_line() {
    let files = Files::new("unreadable", &[("root/a", b"a")]);
    let root = files.0.join("root");
    let daemon = Daemon::start(&["--web", root.to_str().unwrap()]);
    let mut client = open(daemon.port());
    assert_eq!(ask(&mut client, "GET", "/none", "").status, 404);
    fs::rename(&root, files.0.join("gone")).unwrap();
    assert_eq!(ask(&mut client, "GET", "/a", "").status, 404);
    let line = daemon.wait_for_log("/a: cannot open '");
    assert!(line.contains(" WARN ") && line.contains("root': No such file"), "{line}");
    assert!(!daemon.log().iter().any(|line| line.contains("/none")));
}

/// A file of 40 MB to clients that read nothing: a piece is held for each, and no more.
#[test]
fn who_does_not_read_costs_a_piece() {
    const CLIENTS: usize = 40;
    let files = Files::new("slow", &[("big", &vec![7; 40_000_000])]);
    let daemon = Daemon::start(&files.arguments(&[]));
    let before = daemon.rss_kib();
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| open(daemon.port())).collect();
    for client in &mut clients {
        client.write_all(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    }
    // All have a file open, and then all has come to a halt.
    eventually("the files are open", || daemon.fds() >= daemon.baseline() + 2 * CLIENTS);
    let mut cpu = daemon.cpu_ms();
    eventually("nothing moves", || {
        std::thread::sleep(Duration::from_millis(200));
        cpu == std::mem::replace(&mut cpu, daemon.cpu_ms())
    });
    let grown = daemon.rss_kib().saturating_sub(before);
    assert!(grown < 400 * CLIENTS as u64, "{grown} KiB for {CLIENTS} clients");
    // One that reads gets all of it, and fast.
    let mut client = open(daemon.port());
    let answer = ask(&mut client, "GET", "/big", "");
    assert_eq!(answer.rest.len(), 40_000_000);
    drop(clients);
}

/// A file that is cut short while it is sent: the client can tell.
#[test]
fn a_file_that_becomes_shorter_ends_the_connection() {
    let files = Files::new("short", &[("big", &vec![7; 20_000_000])]);
    let daemon = Daemon::start(&files.arguments(&[]));
    let mut client = open(daemon.port());
    client.write_all(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    eventually("the file is open", || daemon.fds() >= daemon.baseline() + 2);
    fs::File::options().write(true).open(files.0.join("big")).unwrap().set_len(10).unwrap();
    let (bytes, _) = read_to_end(&mut client);
    assert!(bytes.len() < 20_000_000, "{}", bytes.len());
    daemon.wait_for_log("answer broken off: it has become shorter");
}

/// Every read of a file takes two seconds (strace delays it), on the threads that read files alone:
/// sessions and health go on meanwhile.
#[test]
fn a_slow_disk_delays_no_session() {
    let files = Files::new("disk", &[("page", &[7; 10])]);
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &files.arguments(&["--health", "/healthz"]));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pread64"]);
    strace.args(["-e", "inject=pread64:delay_enter=2s", "-p", &daemon.pid().to_string()]);
    let Ok(mut strace) = strace.spawn() else { return left_out("a slow disk", "no strace") };
    // All its threads.
    let traced = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
        tasks.flatten().all(|task| {
            let status = fs::read_to_string(task.path().join("status")).unwrap();
            !status.contains("TracerPid:\t0\n")
        })
    };
    if !within(PATIENCE, || traced() || strace.try_wait().unwrap().is_some()) || !traced() {
        return left_out("a slow disk", "strace may not trace");
    }
    let mut session = Client::connect(daemon.port());
    let mut readers: Vec<TcpStream> = (0..8).map(|_| open(daemon.port())).collect();
    let start = Instant::now();
    for reader in &mut readers {
        reader.write_all(b"GET /page HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    }
    let (mut turns, mut worst) = (0, Duration::ZERO);
    while start.elapsed() < Duration::from_millis(1500) {
        let turn = Instant::now();
        session.frame(0x82, b"x");
        assert_eq!(session.message().1, b"x");
        assert_eq!(ask(&mut open(daemon.port()), "GET", "/healthz", "").status, 200);
        worst = worst.max(turn.elapsed());
        turns += 1;
    }
    assert!(worst < Duration::from_millis(1000), "{worst:?} in {turns} turns");
    for reader in &mut readers {
        assert_eq!(read_answer(reader, false).rest, [7; 10]);
    }
    // Four at a time.
    assert!(start.elapsed() >= Duration::from_secs(4), "nothing was slow: {:?}", start.elapsed());
    session.close_now();
    kill("INT", strace.id());
    strace.wait().unwrap();
}
