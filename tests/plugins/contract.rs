//! The small print of the first header, each clause by a plug-in that takes it at its word
//! (`contract.c`): compiled against that header and against ours, with and without `-z now`.
//! `make check-contract` runs them above the release binary.

use super::{Fields, Innocent, address, connect, refused, request, text};
use crate::common::plugins::{compile, headers, scratch};
use crate::common::{Daemon, PATIENCE, Peer, answer, eventually, left_out, open, reset};
use std::fs;
use std::io::Write;
use std::net::TcpListener;

/// Compiler flags for each variant of a plug-in.
fn variants() -> Vec<Vec<String>> {
    let mut variants = headers();
    let now = variants.iter().map(|flags| [&flags[..], &["-Wl,-z,now".into()]].concat());
    variants.extend(now.collect::<Vec<_>>());
    variants
}

/// The daemon with `contract.c`, in front of `peer`.
fn contracted(test: &str, flags: &[String], peer: &str, arguments: &[&str]) -> Daemon {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let directory = scratch(test);
    compile(&directory, "backend_contract.so", "plugins/contract.c", &flags);
    let peer = format!("peer={peer}");
    let plugin = ["--plugins", text(&directory), "-b", "contract", "-c", &peer];
    Daemon::start(&[&plugin, arguments].concat())
}

/// What the plug-in says of a client, and the client's session.
#[track_caller]
fn said(daemon: &Daemon, endpoint: &str, fields: Fields<'_>, words: &str) -> (String, Innocent) {
    let mut session = Innocent(connect(daemon, &request(endpoint, fields)));
    let line = daemon.wait_for_log(&format!("contract: {words}"));
    session.goes_on();
    (line, session)
}

/// Header fields of which each has its own name.
fn numbered(count: usize) -> Vec<(String, String)> {
    (1..=count).map(|n| (format!("X-{n}"), n.to_string())).collect()
}

#[test]
fn s1_query_gets_ten_headers() {
    let echo = Peer::echo();
    let many = numbered(60);
    let own = [
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Sec-WebSocket-Protocol", "a"),
        ("X-First", "1"),
    ];
    let many = many.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Vec<_> = own.into_iter().chain(many).collect();
    for flags in variants() {
        let daemon = contracted("s1", &flags, &address(&echo), &[]);
        let (line, _) = said(&daemon, "/headers", &fields, "headers");
        let tags = "Host Sec-WebSocket-Extensions X-First X-1 X-2 X-3 X-4 X-5 X-6 X-7 ";
        assert_eq!(line, format!("contract: headers=10 of 10 same=1 first=h: {tags}"), "{flags:?}");
    }
}

#[test]
fn s1_all_headers_by_functions_of_ours() {
    let echo = Peer::echo();
    let many = numbered(90);
    let many = many.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Vec<_> = many.chain([("X-Last", "the last"), ("X-Last", "not")]).collect();
    let daemon = contracted("s1-all", &["-DALL".into()], &address(&echo), &[]);
    let (_, _session) = said(&daemon, "/thread", &[], "thread");
    let (line, _) = said(&daemon, "/all", &fields, "all");
    let tags: String = fields.iter().map(|(name, _)| format!("{name} ")).collect();
    let expected =
        "all=93 last=the last none=1 beyond=1 other=0,1,1 kept=0: Host ".to_owned() + &tags;
    assert_eq!(line, format!("contract: {expected}"));
}

/// Ours: what a plug-in has to say is a line of the log, as bounded as any.
#[test]
fn plug_ins_may_log() {
    let echo = Peer::echo();
    let daemon = contracted("log", &["-DALL".into()], &address(&echo), &[]);
    connect(&daemon, &request("/log", &[]));
    let long = format!("INFO  plug-in: {}", "x".repeat(512));
    daemon.wait_for_log(&long);
    let log = daemon.log();
    let lines: Vec<_> =
        log.iter().filter_map(|line| line.split_once(' ')).map(|(_, line)| line).collect();
    let lines: Vec<_> = lines.into_iter().filter(|line| line.contains("plug-in: ")).collect();
    let expected = [
        "ERROR plug-in: an error\\x0awith an end of line \\x1b[2J",
        "WARN  plug-in: a warning",
        "INFO  plug-in: something",
        "INFO  plug-in: of another kind",
        &long,
    ];
    assert_eq!(lines, expected);
}

/// Ours: a back end refuses a client, and its reason reaches the client and the log. It names a peer
/// all the same here, which counts for nothing.
#[test]
fn back_ends_may_say_why() {
    let echo = Peer::echo();
    let daemon = contracted("refuse", &["-DALL".into()], &address(&echo), &[]);
    for (endpoint, status, after, body, log) in [
        ("401/0/who?", 401, None, "who?\n", "with 401: back end: refused: who?"),
        ("403/0/no", 403, None, "no\n", "with 403: back end: refused: no"),
        ("404/0/gone", 404, None, "gone\n", "with 404: back end: refused: gone"),
        ("429/7/slowly", 429, Some("7"), "slowly\n", "with 429: back end: refused: slowly"),
        ("503/0/later", 503, Some("5"), "later\n", "with 503: back end: refused: later"),
        ("403/0/-", 403, None, "This may not connect from there.\n", "with 403: back end: refused"),
    ] {
        let refusal = refused(&daemon, &request(&format!("/refuse/{endpoint}"), &[]));
        assert_eq!(refusal.status, status, "{endpoint}");
        assert_eq!(String::from_utf8_lossy(&refusal.rest), body, "{endpoint}");
        assert_eq!(refusal.values("retry-after").first().copied(), after, "{endpoint}");
        let challenges = refusal.values("www-authenticate").len();
        assert_eq!(challenges, usize::from(status == 401), "{endpoint}");
        daemon.wait_for_log(log);
    }
    daemon.wait_for_log("contract: refuse outside=-1 null=-1 own=0");
    let long = format!("/refuse/403/0/{}", "x".repeat(500));
    assert_eq!(refused(&daemon, &request(&long, &[])).rest, [&[b'x'; 123][..], b"\n"].concat());
    assert_eq!(echo.dials(), 0);
}

/// Ours: who the client is, as a trusted proxy says it, and what else is known of it.
#[test]
fn back_ends_may_ask_who_the_client_is() {
    let echo = Peer::echo();
    let arguments = ["--trusted-proxy", "127.0.0.1"];
    let daemon = contracted("client", &["-DALL".into()], &address(&echo), &arguments);
    let (_, _session) = said(&daemon, "/thread", &[], "thread");
    let (line, _) = said(&daemon, "/client", &[("X-Forwarded-For", "2001:db8::7")], "client");
    let (before, after) = line.split_once(" proxy=127.0.0.1:").unwrap();
    let expected = "contract: client other=1 null=1 kept=1: address=2001:db8::7 port=(none)";
    assert_eq!(before, expected);
    let listener = format!(
        " user=(none) listener=127.0.0.1:{} tls-version=(none) tls-server-name=(none) tls-subject=(none) Address=(none) =(none)",
        daemon.port()
    );
    assert_eq!(after.trim_start_matches(|c: char| c.is_ascii_digit()), listener);
    let daemon = contracted("client-itself", &["-DALL".into()], &address(&echo), &[]);
    let (_, _session) = said(&daemon, "/thread", &[], "thread");
    let (line, _) = said(&daemon, "/client", &[("X-Forwarded-For", "2001:db8::7")], "client");
    assert!(line.contains(": address=127.0.0.1 port="), "{line}");
    assert!(line.contains(" proxy=(none) user=(none) "), "{line}");
}

/// Ours: a back end says which PROXY header a peer gets, whatever the operator's default is.
#[test]
fn back_ends_may_have_a_peer_told_who_the_client_is() {
    let (peer, received) = Peer::sink();
    let arguments = ["--send-proxy", "v1"];
    let daemon = contracted("proxy", &["-DALL".into()], &address(&peer), &arguments);
    for (endpoint, answer, header) in [
        ("/", "", &b"PROXY TCP4 127.0.0.1 127.0.0.1 "[..]),
        ("/proxy/0", "own=0", b""),
        ("/proxy/1", "own=0", b"PROXY TCP4 127.0.0.1 127.0.0.1 "),
        ("/proxy/2", "own=0", b"\r\n\r\n\0\r\nQUIT\n\x21\x11"),
        ("/proxy/3", "own=-1", b"PROXY TCP4 127.0.0.1 127.0.0.1 "),
    ] {
        let mut client = connect(&daemon, &request(endpoint, &[]));
        client.close_now();
        let head = received.recv_timeout(PATIENCE).unwrap().head;
        assert_eq!(&head[..header.len()], header, "{endpoint}");
        assert_eq!(head.is_empty(), header.is_empty(), "{endpoint}");
        if !answer.is_empty() {
            daemon.wait_for_log(&format!("contract: proxy outside=-1 {answer}"));
        }
    }
    daemon.wait_for_log("a plug-in wants a PROXY header of version 3: not one of 0, 1, 2");
}

/// Ours: if the peer cannot be reached, those that the back end named beside it are tried.
#[test]
fn back_ends_may_name_several_peers() {
    let echo = Peer::echo();
    let daemon = contracted("further", &["-DALL".into()], &address(&echo), &[]);
    let (line, _session) = said(&daemon, "/further", &[], "further");
    assert_eq!(line, "contract: further outside=-1 null=-1 bad=-1 own=0");
    daemon.wait_for_log("contract: further room=13");
    daemon.wait_for_log("a plug-in names a further peer that can be none: the peer's scheme");
    let next = daemon.wait_for_log("unix:///nonexistent/socket: peer not reached: ");
    assert!(next.ends_with("; the next is tcp://127.0.0.1:1"), "{next}");
    let last = daemon.wait_for_log("tcp://127.0.0.1:1: peer not reached: ");
    assert!(last.ends_with(&format!("; the next is {}", address(&echo))), "{last}");
}

/// Ours: a session ends when the back end said, and with the code that it said.
#[test]
fn back_ends_may_end_a_session_in_time() {
    let echo = Peer::echo();
    let daemon = contracted("lasts", &["-DALL".into()], &address(&echo), &[]);
    let (line, session) = said(&daemon, "/lasts/1/4001", &[], "lasts");
    assert_eq!(line, "contract: lasts outside=-1 own=0 session=1 other=1");
    let Innocent(mut client) = session;
    assert_eq!(client.end(), Some(4001));
    drop(client);
    daemon.wait_for_log("the back end's time for it is over, 4001");
    for (how, code) in
        [("0/1000", "0 seconds, ended with 1000"), ("5/1005", "5 seconds, ended with 1005")]
    {
        drop(said(&daemon, &format!("/lasts/{how}"), &[], "lasts outside=-1 own=-1"));
        daemon.wait_for_log(&format!("a plug-in wants a session of {code}"));
    }
}

/// Ours: what a plug-in calls a secret is in no line; and it may count, up to a limit.
#[test]
fn plug_ins_may_keep_secrets_and_count() {
    let echo = Peer::echo();
    let daemon = contracted("secret", &["-DALL".into()], &address(&echo), &[]);
    let (line, session) = said(&daemon, "/secret/hunter2", &[], "secret");
    assert_eq!(line, "contract: secret outside=-1 null=-1 empty=-1 short=-1 own=0 all=0");
    daemon.wait_for_log("plug-in: this is ***");
    daemon.wait_for_log("contract: count bad=-1 null=-1 room=64 again=0");
    drop(session);
    daemon.wait_for_log("path=/secret/***");
    let log = daemon.log();
    assert!(!log.iter().any(|line| line.contains("hunter2")), "{log:#?}");
}

/// Ours: a back end hears of the end of each session that it was asked about, once, on its own thread,
/// before its cleanup.
#[test]
fn back_ends_may_hear_of_the_ends_of_sessions() {
    let echo = Peer::echo();
    let more = ["--query-threads", "2", "--query-timeout", "0.3"];
    let mut daemon = contracted("ended", &["-DALL".into()], &address(&echo), &more);
    let ended = |reason: &str| format!("contract: ended again=0 thread=1 reason={reason}");
    let Innocent(mut client) = said(&daemon, "/thread", &[], "thread").1;
    client.close_now();
    drop(client);
    daemon.wait_for_log(&ended("client-closed"));
    assert_eq!(refused(&daemon, &request("/refuse/403/0/no", &[])).status, 403);
    daemon.wait_for_log(&ended("backend-forbidden"));
    // The query runs on when its client has its answer: it is told when both are over.
    assert_eq!(refused(&daemon, &request("/slow", &[])).status, 504);
    daemon.wait_for_log("contract: slow ends");
    daemon.wait_for_log(&ended("backend-timeout"));
    let stays = connect(&daemon, &request("/thread", &[]));
    daemon.signal("TERM");
    drop(stays);
    daemon.wait_for_log("contract: thread cleanup=1");
    let log = daemon.log();
    let ends: Vec<_> = log.iter().filter(|line| line.contains("contract: ended")).collect();
    assert_eq!(ends.len(), 4, "{log:#?}");
    let last = log.iter().rposition(|line| line.contains("contract: ended"));
    assert!(last < log.iter().position(|line| line.contains("cleanup=")), "{log:#?}");
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn a_back_end_refuses_with_no_other_status() {
    let echo = Peer::echo();
    let daemon = contracted("refuse-badly", &["-DALL".into()], &address(&echo), &[]);
    for status in ["200", "302", "500", "-1"] {
        let _session = connect(&daemon, &request(&format!("/refuse/{status}/0/x"), &[]));
        daemon.wait_for_log(&format!("a plug-in refuses a client with {status}: not one of 401"));
    }
    daemon.wait_for_log("contract: refuse outside=-1 null=-1 own=-1");
}

#[test]
fn s2_framings_called_with_null() {
    let echo = Peer::echo();
    for flags in variants() {
        let daemon = contracted("s2", &flags, &address(&echo), &[]);
        let (_, _session) = said(&daemon, "/framings", &[], "framing separator bare=-1");
        let log = daemon.log();
        let lines: Vec<_> =
            log.iter().filter_map(|line| line.strip_prefix("contract: framing ")).collect();
        let expected = [
            "auto bare=4 whole=4 opcode=1 leaves=0",
            "binary bare=4 whole=4 opcode=2 leaves=0",
            "newline bare=3 whole=3 opcode=1 leaves=1",
            "separator bare=2 whole=2 opcode=2 leaves=1",
            "separator bare=-1 whole=-1 opcode=2 leaves=0",
        ];
        assert_eq!(lines, expected, "{flags:?}");
    }
}

#[test]
fn s3_internal_functions_refuse() {
    let echo = Peer::echo();
    for flags in variants() {
        let flags = [&flags[..], &["-DINTERNAL".into()]].concat();
        let daemon = contracted("s3", &flags, &address(&echo), &[]);
        for _ in 0..2 {
            let (line, _) = said(&daemon, "/internal", &[], "internal");
            assert_eq!(line, "contract: internal register=1 connect=1", "{flags:?}");
        }
        for name in ["client_register", "client_connect"] {
            daemon.wait_for_log(name);
            let lines = daemon.log().iter().filter(|line| line.contains(name)).count();
            assert_eq!(lines, 1, "{name}: {:?}", daemon.log());
        }
    }
}

#[test]
fn s4_the_configuration_is_the_plugins_own() {
    let echo = Peer::echo();
    for flags in variants() {
        let daemon = contracted("s4", &flags, &address(&echo), &[]);
        let mut client = connect(&daemon, &request("/config", &[]));
        for message in [&b"one"[..], b"two"] {
            client.frame(0x82, message);
            assert_eq!(client.message(), (2, message.to_vec()), "{:?}", daemon.log());
        }
        assert_eq!(client.close_now(), Some(1000));
        daemon.wait_for_log("contract: config calls=3 intact=1");
    }
}

#[test]
fn s5_one_thread_a_loaded_back_end() {
    let echo = Peer::echo();
    for flags in variants() {
        let mut daemon = contracted("s5", &flags, &address(&echo), &[]);
        for _ in 0..3 {
            let (line, session) = said(&daemon, "/thread", &[], "thread query");
            assert!(line.starts_with("contract: thread query=1 configure=1 "), "{flags:?}: {line}");
            drop(session);
        }
        daemon.signal("TERM");
        assert_eq!(daemon.wait_for_log("cleanup="), "contract: thread cleanup=1");
        assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));
    }
}

/// The loop does not wait while the back end's thread is busy, and other threads are for `query`
/// alone.
#[test]
fn s5_further_threads_are_for_query() {
    let echo = Peer::echo();
    let mut daemon = contracted("s5-threads", &[], &address(&echo), &["--query-threads", "3"]);
    for _ in 0..12 {
        drop(said(&daemon, "/thread", &[], "thread query"));
    }
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_log("cleanup="), "contract: thread cleanup=1");
    assert_eq!(daemon.exit_within(PATIENCE).unwrap().code(), Some(0));
}

/// A service of /etc/services whose port is free here.
fn a_service() -> Option<(String, TcpListener)> {
    let services = fs::read_to_string("/etc/services").ok()?;
    services.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (name, port) = (words.next()?, words.next()?.strip_suffix("/tcp")?);
        let port: u16 = port.parse().ok().filter(|port| *port > 1024)?;
        Some((name.to_owned(), TcpListener::bind(("127.0.0.1", port)).ok()?))
    })
}

#[test]
fn s6_service_names_are_ports() {
    let Some((service, listener)) = a_service() else {
        return left_out("names of ports", "no /etc/services that names a free one (netbase)");
    };
    let port = format!("port={service}");
    let in_host = format!("host=tcp://127.0.0.1:{service}");
    let accepted = |daemon: &Daemon, head: &str| {
        let client = connect(daemon, head);
        drop((listener.accept().unwrap(), client));
    };
    for flags in variants() {
        let daemon = contracted("s6", &flags, "127.0.0.1", &["-c", &port]);
        accepted(&daemon, &request("/port", &[]));
    }
    let plain = request("/", &[]);
    accepted(&Daemon::start(&["-c", "host=tcp://127.0.0.1", "-c", &port]), &plain);
    accepted(&Daemon::start(&["-c", &in_host]), &plain);
}

/// The struct that a query saw says afterwards that there is nothing to see.
#[test]
fn a_connection_is_a_loan() {
    let echo = Peer::echo();
    let fields = [("Sec-WebSocket-Protocol", "a, b"), ("X-One", "1")];
    for flags in variants() {
        let daemon = contracted("loan", &flags, &address(&echo), &[]);
        let (_, _session) = said(&daemon, "/thread", &fields, "thread");
        let (line, _) = said(&daemon, "/keep", &fields, "keep");
        let expected = "keep fd=-1 peer=-1 headers=0 protocols=0 strings=0 other=1 open=1";
        assert_eq!(line, format!("contract: {expected}"), "{flags:?}");
    }
}

/// A query that goes on when its client has left, or has its 504, keeps the connection that it was
/// handed: nobody touches it, and the clients that come meanwhile have others. Then it is free.
#[test]
fn a_connection_on_loan_is_nobody_elses() {
    let echo = Peer::echo();
    let more = ["--query-threads", "2", "--query-timeout", "0.3"];
    for leaves in [true, false] {
        let daemon = contracted("on-loan", &[], &address(&echo), &more);
        let mut slow = open(daemon.port());
        slow.write_all(request("/slow", &[]).as_bytes()).unwrap();
        let begins = daemon.wait_for_log("contract: slow begins");
        let (_, lent) = begins.split_once("ws=").unwrap();
        if leaves {
            reset(slow);
        } else {
            assert_eq!(answer(&mut slow, b"").status, 504);
            drop(slow);
        }
        let others = || {
            let log = daemon.log();
            let lines = log.iter().filter_map(|line| line.strip_prefix("contract: thread "));
            lines.map(|line| line.split_once("ws=").unwrap().1.to_owned()).collect::<Vec<_>>()
        };
        let head = request("/thread", &[]);
        let mut sessions: Vec<_> = (0..5).map(|_| connect(&daemon, &head)).collect();
        eventually("all have been asked about", || others().len() == 5);
        assert!(!others().iter().any(|other| other == lent), "{lent} is another client's too");
        assert_eq!(daemon.wait_for_log("slow ends"), "contract: slow ends intact=1");
        eventually("it is free", || {
            sessions.push(connect(&daemon, &head));
            others().iter().any(|other| other == lent)
        });
        assert!(sessions.len() < 100, "it was late: {}", sessions.len());
    }
}

/// The pages say which of the first websocksy's plug-ins load: those of the layout that the variants
/// above are compiled for.
#[test]
fn s7_the_layout_is_named() {
    for page in ["docs/plugins.md", "backends/README.md", "backends/include/websocksy.h"] {
        let words = fs::read_to_string(page).unwrap();
        let words = words.split_whitespace().filter(|word| *word != "*").collect::<Vec<_>>();
        let words = words.join(" ");
        assert!(words.contains("33,080 bytes"), "{page} does not say which layout");
    }
}
