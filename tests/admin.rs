//! The operator's pages on the real binary: numbers, health, sessions and their end, and who may
//! not ask.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed step is a failed test

mod common;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use common::plugins::{compile, scratch};
use common::{
    BASE, Blackhole, Client, Daemon, Event, PATIENCE, Peer, answer, eventually, left_out, open,
    read_answer, within,
};
use serde_json::Value;

const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

/// What the pages said: status, head, body.
struct Page {
    status: u16,
    head: String,
    body: String,
}

/// Asks on `stream` for `request`, which is method and path, as `host`, with further fields.
fn ask_on(mut stream: impl Read + Write, request: &str, host: &str, fields: &str) -> Page {
    let head = format!("{request} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
    Page { status, head: head.to_ascii_lowercase(), body: body.into() }
}

/// Has a request to the bridge refused.
fn refused(daemon: &Daemon, request: &[u8]) {
    let mut stream = open(daemon.port());
    stream.write_all(request).unwrap();
    answer(&mut stream, request);
}

/// The port of the daemon's pages.
fn admin_port(daemon: &Daemon) -> u16 {
    let line = daemon.wait_for_log("admin pages on 127.0.0.1:");
    line.rsplit_once(':').unwrap().1.parse().unwrap()
}

fn ask(daemon: &Daemon, request: &str) -> Page {
    ask_on(open(admin_port(daemon)), request, "localhost", "")
}

fn get(daemon: &Daemon, path: &str) -> String {
    let page = ask(daemon, &format!("GET {path}"));
    assert_eq!(page.status, 200, "{}", page.body);
    page.body
}

/// Reads Prometheus' text format as its page says: each sample under the type of its family, and
/// histograms whose buckets add up.
fn samples(text: &str) -> HashMap<String, f64> {
    let mut kinds = HashMap::new();
    let mut samples = HashMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name, kind).is_none(), "twice: {line}");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let base = name.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| base.strip_suffix(end));
        let kind = kinds.get(base).or_else(|| kinds.get(family?));
        assert!(kind.is_some(), "no type before {line}");
        assert_eq!(base.ends_with("_total"), kind == Some(&"counter"), "{line}");
        assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
    }
    for (name, _) in kinds.iter().filter(|(_, kind)| **kind == "histogram") {
        let buckets = text.lines().filter(|line| line.starts_with(&format!("{name}_bucket{{")));
        let counts = buckets.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap());
        let counts: Vec<f64> = counts.collect();
        assert!(counts.len() > 5 && counts.is_sorted(), "{name}: {counts:?}");
        assert_eq!(counts.last(), Some(&samples[&format!("{name}_count")]), "{name}");
    }
    samples
}

fn sessions(daemon: &Daemon) -> Vec<Value> {
    let text = get(daemon, "/sessions");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Who is slow on purpose, or keeps a connection, does not keep the operator out.
#[test]
fn idle_clients_make_room_for_the_operator() {
    let daemon = Daemon::start(&ADMIN);
    let port = admin_port(&daemon);
    let kept = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut idle: Vec<_> = (0..16).map(|_| open(port)).collect();
    for (stream, head) in idle.iter_mut().zip(["", "GET /", kept, kept].into_iter().cycle()) {
        stream.write_all(head.as_bytes()).unwrap();
        if head == kept {
            assert_eq!(read_answer(stream, false).status, 200);
        }
    }
    // For a second they have their time.
    let mut one_too_many = open(port);
    assert!(matches!(one_too_many.read(&mut [0; 1]), Ok(0) | Err(_)));
    daemon.wait_for_log("hung up on: admin: too many clients");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    for path in ["/healthz", "/readyz", "/metrics"].into_iter().cycle().take(18) {
        get(&daemon, path);
    }
    drop(idle);
}

#[test]
fn numbers_count_while_it_happens() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "binary", &ADMIN);
    let mut client = Client::connect(daemon.port());
    let here = |name: &str| format!("{name}{{listener=\"127.0.0.1:{}\"}}", daemon.port());
    client.frame(0x82, b"seven b");
    assert_eq!(client.message().1, b"seven b");
    let now = samples(&get(&daemon, "/metrics"));
    let expect = |now: &HashMap<String, f64>, cases: &[(&str, f64)]| {
        for (name, value) in cases {
            assert_eq!(now.get(&format!("websocksy_{name}")), Some(value), "{name} in {now:#?}");
        }
    };
    expect(
        &now,
        &[
            (&here("connections"), 1.0),
            (&here("sessions"), 1.0),
            (&here("sessions_opened_total"), 1.0),
            ("payload_bytes_total{direction=\"in\"}", 7.0),
            ("payload_bytes_total{direction=\"out\"}", 7.0),
            ("messages_total{direction=\"in\"}", 1.0),
            ("messages_total{direction=\"out\"}", 1.0),
            ("dial_seconds_count", 1.0),
            ("session_seconds_count", 0.0),
        ],
    );
    assert!(now["process_resident_memory_bytes"] > 1e6 && now["process_max_fds"] > 10.0);
    client.close_now();
    drop(client);
    refused(&daemon, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    daemon.wait_for_log("refused with 426");
    daemon.wait_for_log(": ended: ");
    let text = get(&daemon, "/metrics");
    expect(
        &samples(&text),
        &[
            (&here("connections"), 0.0),
            (&here("sessions"), 0.0),
            (&here("connections_accepted_total"), 2.0),
            ("endings_total{ending=\"client-closed\"}", 1.0),
            ("endings_total{ending=\"bad-handshake\"}", 1.0),
            ("refusals_total{status=\"426\"}", 1.0),
            ("session_seconds_count", 1.0),
        ],
    );
    promtool(&text);
}

/// Prometheus' own opinion.
fn promtool(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        return left_out("numbers by promtool", "no promtool (Debian: prometheus)");
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn sessions_are_listed_and_can_be_closed() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "auto", &ADMIN);
    assert!(sessions(&daemon).is_empty(), "who asks is not one");
    let head = BASE.replacen("GET / ", "GET /a?b=c ", 1).replacen(
        "Host: h",
        "Host: h\r\nOrigin: http://o",
        1,
    );
    let mut first = Client::connect_with(daemon.port(), head.as_bytes());
    let mut second = Client::connect(daemon.port());
    first.frame(0x81, b"hello");
    assert_eq!(first.message().1, b"hello");
    let list = sessions(&daemon);
    assert_eq!(list.len(), 2, "{list:?}");
    let address = first.stream().local_addr().unwrap().to_string();
    let session = list.iter().find(|session| session["client"] == *address).unwrap();
    let peer = format!("tcp://127.0.0.1:{}", peer.port());
    for (name, value) in [
        ("state", Value::from("bridged")),
        ("peer", peer.into()),
        ("path", "/a?b=***".into()),
        ("origin", "http://o".into()),
        ("framing", "auto".into()),
        ("bytes_out", 5.into()),
        ("messages_in", 1.into()),
        ("messages_out", 1.into()),
        ("queued", 0.into()),
    ] {
        assert_eq!(session[name], value, "{session}");
    }
    assert!(session["since"].as_f64().unwrap() > 1.7e9, "{session}");

    let close = format!("/sessions/{}/close", session["id"].as_str().unwrap());
    assert_eq!(ask(&daemon, &format!("GET {close}")).status, 405);
    let closed = ask(&daemon, &format!("POST {close}"));
    assert_eq!(closed.status, 200, "{}", closed.body);
    assert_eq!(first.end(), Some(1001));
    drop(first);
    let line = daemon.wait_for_log("ended: closed by the operator");
    assert!(line.contains(&address) && line.contains(" ending=operator "), "{line}");
    assert_eq!(ask(&daemon, &format!("POST {close}")).status, 404);
    second.frame(0x81, b"still here");
    assert_eq!(second.message().1, b"still here");
    second.close_now();
}

#[test]
fn a_list_of_many_is_whole() {
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "auto", &ADMIN);
    let mut clients: Vec<_> = (0..300).map(|_| Client::connect(daemon.port())).collect();
    let list = sessions(&daemon);
    let mut ids: Vec<_> = list.iter().map(|session| session["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((list.len(), ids.len()), (300, 300));
    // A scrape does not look at sessions: whatever else the machine does, one of some is quick.
    let worked = || samples(&get(&daemon, "/metrics"))["websocksy_turn_seconds_sum"];
    let scrapes: Vec<f64> = (0..20).map(|_| worked()).collect();
    let quickest = scrapes.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::MAX, f64::min);
    assert!(quickest < 0.01, "{scrapes:?}");
    clients.iter_mut().for_each(|client| _ = client.close_now());
}

/// Pages of others must not read ours by a name that resolves to us, nor have us do something.
#[test]
fn strangers_are_refused() {
    let daemon = Daemon::start(&ADMIN);
    let port = admin_port(&daemon);
    let own = format!("127.0.0.1:{port}");
    let cases = [
        ("GET /metrics", &own[..], "", 200),
        ("HEAD /metrics", "localhost", "", 200),
        ("GET /metrics", "evil.test", "", 403),
        ("GET /sessions", "evil.test", "", 403),
        ("GET /healthz", "evil.test", "", 403),
        ("GET /metrics", &own, "Origin: http://evil.test\r\n", 403),
        ("GET /metrics", &own, "Origin: null\r\n", 403),
        ("POST /sessions/0-0/close", &own, "Origin: http://evil.test\r\n", 403),
        ("POST /sessions/0-0/close", &own, "Content-Length: 0\r\n", 404),
        ("POST /metrics", &own, "", 405),
        ("DELETE /sessions", &own, "", 405),
        ("GET /secrets", &own, "", 404),
    ];
    for (request, host, fields, status) in cases {
        let page = ask_on(open(port), request, host, fields);
        assert_eq!(page.status, status, "{request} {host} {fields}: {}", page.body);
        assert!(page.head.contains("\r\nx-content-type-options: nosniff"), "{}", page.head);
    }
    let same = format!("Origin: http://{own}\r\n");
    assert_eq!(ask_on(open(port), "GET /metrics", &own, &same).status, 200);
    // What no browser asks: the plain check of a load balancer.
    for (fields, status) in [("", "200"), ("Origin: http://evil.test\r\n", "403")] {
        let mut stream = open(port);
        stream.write_all(format!("GET /healthz HTTP/1.0\r\n{fields}\r\n").as_bytes()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(start, *format!("HTTP/1.1 {status}").as_bytes());
    }
    // It is no way to the peer.
    let handshake = BASE.replacen("GET / ", "GET /desk ", 1);
    let handshake = handshake.replacen("Host: h", &format!("Host: {own}"), 1);
    let mut stream = open(port);
    stream.write_all(handshake.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 404");
}

#[test]
fn a_unix_socket_will_do() {
    let path = std::env::temp_dir().join(format!("websocksy-admin-{}", std::process::id()));
    let address = format!("unix:{}", path.display());
    let daemon = Daemon::start(&["--admin", &address]);
    daemon.wait_for_log("admin pages on unix:");
    let page = ask_on(UnixStream::connect(&path).unwrap(), "GET /healthz", "localhost", "");
    assert_eq!((page.status, &page.body[..]), (200, "OK\n"));
    drop(daemon);
    let _ = std::fs::remove_file(path);
}

/// The pages are there until the end, and do not put it off.
#[test]
fn readiness_ends_with_the_drain() {
    let peer = Peer::echo();
    let mut daemon = Daemon::before(&peer, "auto", &ADMIN);
    let port = admin_port(&daemon);
    let mut client = Client::connect(daemon.port());
    assert_eq!(get(&daemon, "/readyz"), "OK\n");
    daemon.signal("TERM");
    eventually("it drains", || ask(&daemon, "GET /readyz").status == 503);
    assert_eq!(ask(&daemon, "GET /healthz").status, 200);
    let idle = open(port); // asks nothing, and is not waited for
    assert_eq!(client.end(), Some(1001));
    drop(client);
    assert!(daemon.exit_within(PATIENCE).is_some_and(|status| status.success()));
    drop(idle);
}

/// A bridge that is full still says so.
#[test]
fn a_full_bridge_has_room_for_its_operator() {
    let peer = Peer::echo();
    let limit = ["--max-connections", "1"];
    let daemon = Daemon::before(&peer, "auto", &[&ADMIN[..], &limit].concat());
    let mut client = Client::connect(daemon.port());
    let name = format!("websocksy_sessions{{listener=\"127.0.0.1:{}\"}}", daemon.port());
    assert_eq!(samples(&get(&daemon, "/metrics"))[&name], 1.0);
    client.close_now();
}

/// The bytes and messages of a script, exactly: data frames' payload, and nothing of control frames.
#[test]
fn a_script_is_counted_to_the_byte() {
    let peer = Peer::echo();
    let daemon =
        Daemon::before(&peer, "rfc6455", &[&ADMIN[..], &["--origin", "http://o"]].concat());
    let good = BASE.replacen("Host: h", "Host: h\r\nOrigin: http://o", 1);
    let mut clients: Vec<_> =
        (0..3).map(|_| Client::connect_with(daemon.port(), good.as_bytes())).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        for length in [0, 1, 125, 126, 70_000 + n] {
            client.frame(0x82, &vec![7; length]);
            assert_eq!(client.message().1.len(), length);
        }
        client.frame(0x89, b"a ping");
        assert_eq!(client.event(), Event::Pong(b"a ping".to_vec()));
        client.frame(0x01, b"in two ");
        client.frame(0x80, b"pieces");
        assert_eq!(client.message(), (1, b"in two pieces".to_vec()));
    }
    for _ in 0..2 {
        refused(&daemon, BASE.replacen("Host: h", "Host: h\r\nOrigin: http://x", 1).as_bytes());
    }
    clients.iter_mut().take(2).for_each(|client| _ = client.close_now());
    clients.pop().unwrap().reset();
    drop(clients);
    let bytes = 3.0 * (252.0 + 70_000.0 + 13.0) + 3.0;
    let here = |name: &str| format!("{name}{{listener=\"127.0.0.1:{}\"}}", daemon.port());
    let expected = [
        (&*here("connections_accepted_total"), 5.0),
        (&*here("connections"), 0.0),
        (&*here("sessions_opened_total"), 3.0),
        (&*here("sessions"), 0.0),
        ("payload_bytes_total{direction=\"in\"}", bytes),
        ("payload_bytes_total{direction=\"out\"}", bytes),
        ("messages_total{direction=\"in\"}", 18.0),
        ("messages_total{direction=\"out\"}", 18.0),
        ("endings_total{ending=\"client-closed\"}", 2.0),
        ("endings_total{ending=\"client-failed\"}", 1.0),
        ("endings_total{ending=\"bad-handshake\"}", 2.0),
        ("refusals_total{status=\"403\"}", 2.0),
        ("handshake_seconds_count", 3.0),
        ("dial_seconds_count", 3.0),
        ("session_seconds_count", 3.0),
        ("tls_handshake_seconds_count", 0.0),
        ("queued_bytes", 0.0),
        ("ready", 1.0),
        ("config_generation", 1.0),
        ("config_last_reload_successful", 1.0),
    ];
    let found = |now: &HashMap<String, f64>| {
        expected.iter().all(|(name, value)| now.get(&format!("websocksy_{name}")) == Some(value))
    };
    let mut last = HashMap::new();
    let counted = within(PATIENCE, || {
        last = samples(&get(&daemon, "/metrics"));
        found(&last)
    });
    assert!(counted, "{expected:#?} in {last:#?}");
}

fn json(daemon: &Daemon, path: &str) -> Vec<Value> {
    let text = get(daemon, path);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn refusals_say_who_and_why() {
    let daemon = Daemon::start(&[&ADMIN[..], &["--origin", "http://o"]].concat());
    assert!(json(&daemon, "/refusals").is_empty());
    let asked = "Host: h\r\nOrigin: http://<b>x</b>";
    let request = BASE.replacen("GET / ", "GET /p?token=secret ", 1).replacen("Host: h", asked, 1);
    refused(&daemon, request.as_bytes());
    daemon.wait_for_log("refused with 403");
    let all = json(&daemon, "/refusals");
    let [one] = &all[..] else { panic!("{all:?}") };
    for (name, value) in [
        ("status", Value::from(403)),
        ("ending", "bad-handshake".into()),
        ("path", "/p?token=***".into()),
        ("origin", "http://<b>x</b>".into()),
        ("listener", format!("127.0.0.1:{}", daemon.port()).into()),
    ] {
        assert_eq!(one[name], value, "{one}");
    }
    assert!(one["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{one}");
    assert!(one["reason"].as_str().unwrap().contains("rigin"), "{one}");
    assert!(one["time"].as_f64().unwrap() > 1.7e9, "{one}");
}

/// Lists are for clients of the bridge, not for its operator.
#[test]
fn who_is_hung_up_on_is_counted_and_named() {
    let daemon = Daemon::start(&[&ADMIN[..], &["--deny", "127.0.0.1"]].concat());
    let mut nothing = Vec::new();
    open(daemon.port()).read_to_end(&mut nothing).unwrap();
    daemon.wait_for_log("hung up on: the address is denied");
    let all = json(&daemon, "/refusals");
    assert_eq!(
        (all.len(), &all[0]["ending"], &all[0]["status"]),
        (1, &"denied".into(), &Value::Null)
    );
    let now = samples(&get(&daemon, "/metrics"));
    let here =
        |name: &str| now[&format!("websocksy_{name}{{listener=\"127.0.0.1:{}\"}}", daemon.port())];
    assert_eq!((here("connections_accepted_total"), here("connections")), (1.0, 0.0));
    assert_eq!(now["websocksy_endings_total{ending=\"denied\"}"], 1.0);
}

#[test]
fn the_last_minutes_are_there_for_who_looks_now() {
    let daemon = Daemon::start(&ADMIN);
    let samples = json(&daemon, "/history");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let first = &samples[0];
    assert!((first["time"].as_f64().unwrap() - now).abs() < 60.0, "{first}");
    for name in ["connections", "sessions", "bytes_in", "bytes_out"] {
        assert_eq!(first[name], 0, "{first}");
    }
    assert!(first["busy_seconds"].is_number() && first["longest_turn_seconds"].is_number());
}

/// The page does what its policy lets it, and no more; whether it works, tests/e2e/admin.mjs sees.
#[test]
fn the_page_is_strict() {
    let daemon = Daemon::start(&ADMIN);
    let page = ask(&daemon, "GET /");
    assert_eq!(page.status, 200);
    let policy =
        page.head.lines().find(|line| line.starts_with("content-security-policy: ")).unwrap();
    for part in ["default-src 'none';", "connect-src 'self';", "frame-ancestors 'none'", "'sha256-"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(page.head.contains("\r\ncontent-type: text/html; charset=utf-8\r\n"), "{}", page.head);
    assert!(page.body.starts_with("<!doctype html>") && page.body.len() < 40_000);
    let head = ask(&daemon, "HEAD /");
    assert_eq!((head.status, &*head.body), (200, ""));
    assert_eq!(ask(&daemon, "POST /").status, 405);
}

/// One who has no peer yet can be ended, too, and is told so.
#[test]
fn a_client_that_waits_for_its_peer_can_be_closed() {
    let hole = Blackhole::new();
    let host = format!("host=tcp://127.0.0.1:{}", hole.port());
    let daemon = Daemon::start(&[&["-c", &host], &ADMIN[..]].concat());
    let mut client = open(daemon.port());
    client.write_all(BASE.as_bytes()).unwrap();
    let mut list = Vec::new();
    eventually("it dials", || {
        list = sessions(&daemon);
        list.first().is_some_and(|session| session["peer"].is_string())
    });
    assert_eq!(list[0]["state"], "opening");
    let close = format!("POST /sessions/{}/close", list[0]["id"].as_str().unwrap());
    assert_eq!(ask(&daemon, &close).status, 200);
    assert_eq!(answer(&mut client, BASE.as_bytes()).status, 503);
    drop(client);
    daemon.wait_for_log("refused with 503: closed by the operator");
    assert_eq!(json(&daemon, "/refusals")[0]["ending"], "operator");
}

/// Each of the threads that could answer is at a query whose client was told 504.
#[test]
fn readiness_waits_for_a_stuck_back_end() {
    let peer = Peer::echo();
    let directory = scratch("stuck");
    compile(&directory, "backend_probe.so", "plugins/probe.c", &[]);
    let peer = format!("peer=tcp://127.0.0.1:{}", peer.port());
    let probe = ["--plugins", directory.to_str().unwrap(), "-b", "probe", "-c", &peer];
    let daemon = Daemon::start(&[&probe[..], &ADMIN, &["--query-timeout", "0.3"]].concat());
    assert_eq!(get(&daemon, "/readyz"), "OK\n");
    let slow = BASE.replacen("GET / ", "GET /counting?1500 ", 1);
    refused(&daemon, slow.as_bytes());
    let page = ask(&daemon, "GET /readyz");
    assert_eq!((page.status, &*page.body), (503, "the back end does not answer\n"));
    let now = samples(&get(&daemon, "/metrics"));
    assert_eq!(now["websocksy_offload_jobs{kind=\"queries\"}"], 1.0);
    assert_eq!((now["websocksy_ready"], now["websocksy_draining"]), (0.0, 0.0));
    eventually("it answers again", || ask(&daemon, "GET /readyz").status == 200);
}

/// A peer that could not be reached is known as such until its rest is over, or it is reached.
#[test]
fn readiness_waits_for_a_peer() {
    let port = common::free_port();
    let host = format!("host=tcp://127.0.0.1:{port}");
    let rest = ["-c", &host, "-c", "retry-after=3"];
    let daemon = Daemon::start(&[&rest[..], &ADMIN].concat());
    assert_eq!(get(&daemon, "/readyz"), "OK\n");
    refused(&daemon, BASE.as_bytes());
    let page = ask(&daemon, "GET /readyz");
    assert_eq!((page.status, &*page.body), (503, "no peer could be reached\n"));
    assert_eq!(samples(&get(&daemon, "/metrics"))["websocksy_ready"], 0.0);
    eventually("somebody may try again", || ask(&daemon, "GET /readyz").status == 200);
    refused(&daemon, BASE.as_bytes());
    assert_eq!(ask(&daemon, "GET /readyz").status, 503);
    let _peer = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let _client = Client::connect(daemon.port());
    assert_eq!(get(&daemon, "/readyz"), "OK\n");
}

/// Operators who ask for much and take nothing hold up nobody, and no more than sixteen are let in.
#[test]
fn slow_scrapers_hold_up_nobody() {
    const ASKED: usize = 60;
    let peer = Peer::echo();
    let daemon = Daemon::before(&peer, "auto", &ADMIN);
    let port = admin_port(&daemon);
    let mut clients: Vec<_> = (0..200).map(|_| Client::connect(daemon.port())).collect();
    let request = "GET /sessions HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut slow: Vec<_> = (0..15).map(|_| open(port)).collect();
    slow.iter_mut().for_each(|stream| {
        stream.write_all(request.repeat(ASKED).as_bytes()).unwrap();
    });
    let page = ask(&daemon, "GET /metrics");
    assert!(page.status == 200 && page.body.contains("websocksy_turn_seconds_count"));
    clients[0].frame(0x82, b"and it goes on");
    assert_eq!(clients[0].message().1, b"and it goes on");
    let _sixteenth = open(port);
    let mut one_too_many = open(port);
    assert_eq!(one_too_many.read(&mut [0]).unwrap(), 0);
    // Who takes it after all gets it whole.
    let mut stream = slow.pop().unwrap();
    let mut served = 0;
    for _ in 0..ASKED {
        let answer = read_answer(&mut stream, false);
        if answer.status == 200 {
            let list: Vec<Value> = serde_json::from_slice(&answer.rest).unwrap();
            assert_eq!(list.len(), 200);
            served += 1;
        } else {
            assert_eq!(answer.status, 503, "too many lists at once");
        }
    }
    assert!(served > 0);
    clients.iter_mut().for_each(|client| _ = client.close_now());
}
