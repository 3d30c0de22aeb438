//! Clients over TLS.

use crate::common::{BASE, Peer, Received, open, read_to_end};
use crate::support::{Authority, LATER, Wss, daemon, listening, read_head, secure, secure_over};
use rustls::version::{TLS12, TLS13};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::time::Duration;

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&TLS13, &TLS12];

#[test]
fn both_versions_carry_sessions() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
    for version in [&TLS12, &TLS13] {
        let config = authority.client(&[version], None);
        let mut client = Wss::connect(port, "localhost", &config);
        assert_eq!(client.0.conn.protocol_version(), Some(version.version));
        assert_eq!(client.0.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        client.echoes(b"over TLS");
        client.echoes(&vec![7; 300_000]);
        // 0 stands for a close_notify: without one it would be an error.
        assert_eq!(client.close().unwrap(), 0);
    }
    let lines = daemon.wait_for_log("ended: client closed with 1000");
    assert!(!lines.contains("close_notify"), "nothing was remarkable: {lines}");
}

#[test]
fn a_least_version_and_other_protocols_are_refused_by_alert() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair, "--tls-min-version", "1.3"]);
    let old = secure(port, "localhost", &authority.client(&[&TLS12], None)).unwrap_err();
    assert!(old.to_string().contains("ProtocolVersion"), "{old}");
    daemon.wait_for_log("client: it speaks no version of TLS that is taken here");
    let mut config = (*authority.client(BOTH, None)).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let other = secure(port, "localhost", &config.into()).unwrap_err();
    assert!(other.to_string().contains("NoApplicationProtocol"), "{other}");
    daemon.wait_for_log("it offers other protocols than http/1.1 (ALPN)");
}

/// A hello as TLS 1.1 has it: the alert for its version, and words for the operator.
#[test]
fn who_speaks_older_versions_is_told_so() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
    let body = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0xc0, 0x13, 1, 0]].concat();
    let mut stream = open(port);
    stream.write_all(&[&[22, 3, 1, 0, 45, 1, 0, 0, 41][..], &body].concat()).unwrap();
    let (answer, _) = read_to_end(&mut stream);
    assert_eq!((answer.first(), answer.get(5..)), (Some(&21), Some(&[2, 70][..])), "{answer:?}");
    daemon.wait_for_log("client: it speaks TLS 1.1 at most");
}

#[test]
fn certificates_by_name() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pairs = ["one.example", "*.two.example"].map(|name| authority.pair(name, LATER));
    let arguments = ["--tls-cert", &pairs[0], "--tls-cert", &pairs[1]];
    let (_daemon, port) = daemon(&peer, &arguments);
    let config = authority.client(BOTH, None);
    for name in ["one.example", "a.two.example"] {
        Wss::connect(port, name, &config).echoes(name.as_bytes());
    }
    let other = secure(port, "three.example", &config).unwrap_err().to_string();
    assert!(other.contains("one.example"), "the first, which is not for it: {other}");
}

/// Another certificate in the same file is for handshakes after SIGHUP; who is there notices nothing,
/// and keys that are in memory go into no core dump.
#[test]
fn a_reload_shows_another_certificate() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let (old, new) = (authority.pair("old.example", LATER), authority.pair("new.example", LATER));
    let (daemon, port) = daemon(&peer, &["--tls-cert", &old]);
    let config = authority.client(BOTH, None);
    let mut session = Wss::connect(port, "old.example", &config);
    session.echoes(b"with the old one");
    std::fs::copy(&new, &old).unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log("configuration 2 is in force");
    Wss::connect(port, "new.example", &config).echoes(b"with the new one");
    assert!(secure(port, "old.example", &config).is_err());
    // One that is not good changes nothing.
    std::fs::write(&old, "nothing").unwrap();
    daemon.signal("HUP");
    daemon.wait_for_log(&format!("--tls-cert: {old}: has no certificate"));
    Wss::connect(port, "new.example", &config).echoes(b"with the new one still");
    session.echoes(b"all the time");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn clients_with_and_without_certificates() {
    let (authority, other, peer) = (Authority::new(), Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (good, strange) = (authority.pair("client", LATER), other.pair("stranger", LATER));
    let root = authority.root();
    for (auth, shown, says) in [
        (&["--tls-client-auth", "required"][..], Some(&good), None),
        (&[], None, Some("it has no certificate to show")),
        (&[], Some(&strange), Some("its certificate is from an unknown issuer")),
        (&["--tls-client-auth", "optional"], None, None),
        (&["--tls-client-auth", "optional"], Some(&strange), Some("unknown issuer")),
    ] {
        let arguments = [&["--tls-cert", &pair, "--tls-client-ca", &root], auth].concat();
        let (daemon, port) = daemon(&peer, &arguments);
        for version in [&TLS12, &TLS13] {
            let config = authority.client(&[version], shown.map(String::as_str));
            match says {
                None => Wss::connect(port, "localhost", &config).echoes(b"welcome"),
                Some(says) => {
                    // With TLS 1.3 the client learns of it after its own end of the handshake.
                    let refused = secure(port, "localhost", &config)
                        .and_then(|mut stream| stream.read(&mut [0; 1]));
                    assert!(refused.is_err(), "{refused:?}");
                    daemon.wait_for_log(says);
                }
            }
        }
    }
}

#[test]
fn what_is_not_tls_is_answered_and_named() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
    let mut stream = open(port);
    stream.write_all(BASE.as_bytes()).unwrap();
    let (answer, _) = read_to_end(&mut stream);
    assert_eq!((answer.first(), answer.get(5)), (Some(&21), Some(&2)), "a fatal alert");
    let line = daemon.wait_for_log("client: it speaks plain HTTP, on a port for TLS");
    assert!(line.contains("hung up on: its TLS failed; "), "{line}");

    let mut stream = open(port);
    stream.write_all(b"\x00\x00\x00\x05hello").unwrap();
    let (answer, _) = read_to_end(&mut stream);
    assert_eq!((answer.first(), answer.get(5)), (Some(&21), Some(&2)), "a fatal alert");
    daemon.wait_for_log("it does not speak TLS: it begins with '\\x00\\x00\\x00\\x05hello'");

    let refused = secure(daemon.port(), "localhost", &authority.client(BOTH, None));
    assert!(refused.is_err());
    daemon
        .wait_for_log("refused with 400: bad request: it is TLS, on a port that speaks plain HTTP");
}

/// Who takes its leave before it begins holds no place until the deadline.
#[test]
fn who_leaves_before_the_handshake_goes_at_once() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair, "--handshake-timeout", "600"]);
    let goodbye = b"\x15\x03\x01\0\x02\x01\0";
    for cut in [0, 3] {
        let mut stream = open(port);
        let (first, rest) = goodbye.split_at(cut);
        stream.write_all(first).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        stream.write_all(rest).unwrap();
        assert_eq!(read_to_end(&mut stream).0, b"");
        daemon.wait_for_log("client left during the handshake; client: the TLS handshake was not");
    }
}

/// Nobody was told a status, and the line does not say so.
#[test]
fn who_does_not_finish_the_handshake_is_hung_up_on() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair, "--handshake-timeout", "0.2"]);
    let mut stream = open(port);
    stream.write_all(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03").unwrap();
    assert_eq!(read_to_end(&mut stream).0, b"");
    let line = daemon.wait_for_log("the TLS handshake was not done");
    assert!(line.contains(": hung up on: no complete request in time; client: the TLS"), "{line}");
    assert!(!line.contains("408"), "{line}");
}

/// The version stays in the line, and the words are those of TLS.
#[test]
fn a_session_whose_tls_breaks_says_what_broke() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
    for (version, shown) in [(&TLS12, "tls=TLSv1.2"), (&TLS13, "tls=TLSv1.3")] {
        let mut client = Wss::connect(port, "localhost", &authority.client(&[version], None));
        client.echoes(b"whole");
        client.0.sock.write_all(&[&b"\x17\x03\x03\0\x20"[..], &[7; 32]].concat()).unwrap();
        let line = daemon.wait_for_log(&format!("{shown} path"));
        assert!(line.contains("ended: client connection failed: TLS failed; "), "{line}");
        assert!(
            line.contains("; client: a record was changed on its way, or is not of this session"),
            "{line}"
        );
    }
}

#[test]
fn truncation_is_tolerated_and_noted() {
    let (authority, (peer, received)) = (Authority::new(), Peer::sink());
    let pair = authority.pair("localhost", LATER);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
    let mut client = Wss::connect(port, "localhost", &authority.client(BOTH, None));
    client.send(b"before the end");
    client.0.sock.shutdown(Shutdown::Write).unwrap();
    let Received { head, .. } = received.recv().unwrap();
    assert_eq!(head, b"before the end");
    assert_eq!(client.0.read(&mut [0; 1]).unwrap(), 0, "its own end has a close_notify");
    daemon.wait_for_log("client ended without a close frame; 20 bytes in, 0 bytes out; client: TLS ended without close_notify");
}

#[test]
fn half_close_by_close_notify_lets_the_rest_go_by() {
    let authority = Authority::new();
    let peer = Peer::serve(|stream| {
        let Received { head, .. } = Received::from(stream.try_clone().unwrap());
        assert_eq!(head, b"question");
    });
    let pair = authority.pair("localhost", LATER);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
    let mut client = Wss::connect(port, "localhost", &authority.client(BOTH, None));
    client.send(b"question");
    client.0.conn.send_close_notify();
    client.0.flush().unwrap();
    let mut rest = Vec::new();
    client.0.read_to_end(&mut rest).unwrap();
    daemon.settle();
    let line = daemon.wait_for_log("ended: ");
    assert!(!line.contains("close_notify"), "there was one: {line}");
}

/// Both ways at once, with a client that reads in fits and starts: all of it arrives.
#[test]
fn big_transfers_at_back_pressure() {
    const LENGTH: usize = 8_000_000;
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (_daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
    for version in [&TLS12, &TLS13] {
        let mut client = Wss::connect(port, "localhost", &authority.client(&[version], None));
        let data: Vec<u8> = (0..LENGTH).map(|at| (at * 7 + at / 251) as u8).collect();
        let mut heard = Vec::new();
        client.0.sock.set_nonblocking(true).unwrap();
        let mut frames: Vec<u8> = Vec::new();
        data.chunks(70_000).for_each(|chunk| frames.extend(crate::common::frame(0x82, chunk)));
        let (mut sent, mut turns) = (0, 0);
        let mut inbox = Vec::new();
        let start = std::time::Instant::now();
        while heard.len() < LENGTH {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "{sent} sent, {} heard",
                heard.len()
            );
            turns += 1;
            let (mut moved, end) = (false, (sent + 50_000).min(frames.len()));
            if sent < end {
                match client.0.write(&frames[sent..end]) {
                    Ok(n) => (sent, moved) = (sent + n, true),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            let mut buffer = [0; 100_000];
            // It reads nothing for a while: the daemon must hold back, and lose nothing.
            if turns % 40 > 20 || sent == frames.len() {
                match client.0.read(&mut buffer) {
                    Ok(n) => {
                        inbox.extend_from_slice(&buffer[..n]);
                        moved = true;
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                unframe(&mut inbox, &mut heard);
            }
            if !moved {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(heard == data);
        client.0.sock.set_nonblocking(false).unwrap();
        assert_eq!(client.close().unwrap(), 0);
    }
}

/// Moves the payload of whole frames.
fn unframe(inbox: &mut Vec<u8>, heard: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&[_, short, ..]) = inbox.get(at..) {
        let rest = &inbox[at + 2..];
        let (header, length) = match short {
            126 if rest.len() >= 2 => (4, usize::from(u16::from_be_bytes([rest[0], rest[1]]))),
            127 if rest.len() >= 8 => {
                (10, u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize)
            }
            126 | 127 => break,
            short => (2, usize::from(short)),
        };
        let Some(payload) = inbox.get(at + header..at + header + length) else { break };
        heard.extend_from_slice(payload);
        at += header + length;
    }
    inbox.drain(..at);
}

/// `openssl s_client`, which is another implementation than ours.
#[test]
fn openssl_shakes_hands_and_is_refused_what_it_should_be() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (_daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
    let run = |arguments: &[&str], input: &str| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-CAfile"]);
        command.arg(authority.root()).args(["-servername", "localhost"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().ok()?;
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let Some(said) = run(&["-tls1_3"], "") else {
        return crate::common::left_out("openssl s_client", "no openssl");
    };
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    for (arguments, good) in [
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"][..], true),
        (&["-tls1_2", "-cipher", "AES128-SHA"], false), // no forward secrecy
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], false),
    ] {
        let said = run(arguments, "").unwrap();
        assert_eq!(
            said.contains("Verify return code: 0 (ok)") && said.contains("Cipher is E"),
            good,
            "{arguments:?}: {said}"
        );
    }
    // A renegotiation is refused, and nothing else is harmed by the wish (R is its command).
    let said = run(&["-tls1_2"], "R\n").unwrap();
    assert!(said.contains("no renegotiation") || said.contains("RENEGOTIATING"), "{said}");
    assert_eq!(Wss::connect(port, "localhost", &authority.client(BOTH, None)).close().unwrap(), 0);
}

/// Python's `ssl`, which verifies the name and takes an end without `close_notify` for an error.
#[test]
fn a_python_client_says_goodbye_both_ways() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let (pair, shown) = (authority.pair("desk.example", LATER), authority.pair("client", LATER));
    let root = authority.root();
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair, "--tls-client-ca", &root]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/client.py");
    let run = |name: &str, shown: &[&str]| {
        let mut command = Command::new("python3");
        command.args([script, &port.to_string(), &root, name]).args(shown);
        let output = command.output().ok()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Some((output.status.success(), said))
    };
    let Some(good) = run("desk.example", &[&shown]) else {
        return crate::common::left_out("a Python client over TLS", "no python3");
    };
    assert_eq!(good, (true, "TLSv1.3 http/1.1\n".into()));
    let line = daemon.wait_for_log("ended: client closed with 1000");
    assert!(line.contains("tls=TLSv1.3") && !line.contains("remarks"), "{line}");
    let (is_good, said) = run("other.example", &[&shown]).unwrap();
    assert!(!is_good && said.contains("Hostname mismatch"), "{said}");
    let (is_good, said) = run("desk.example", &[]).unwrap();
    assert!(!is_good && said.contains("CERTIFICATE_REQUIRED"), "{said}");
}

/// What comes from the proxy itself is in front of TLS, in the same segment or not.
#[test]
fn a_proxys_header_goes_before_tls() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let arguments = ["--tls-cert", &pair, "--trusted-proxy", "127.0.0.1"];
    let (daemon, port) = listening("127.0.0.1:0 tls proxy-protocol", &peer, &arguments);
    let config = authority.client(BOTH, None);
    let mut stream = open(port);
    stream.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4321 443\r\n").unwrap();
    let mut client = Wss::over(secure_over(stream, "localhost", &config).unwrap());
    client.echoes(b"by a proxy");
    assert_eq!(client.close().unwrap(), 0);
    let line = daemon.wait_for_log("192.0.2.7:4321 -> ");
    assert!(line.contains(" tls=TLSv1.3"), "{line}");
    assert!(secure(port, "localhost", &config).is_err());
    daemon.wait_for_log("a TLS hello");
}

#[test]
fn plain_requests_over_tls_are_answered_over_tls() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", LATER);
    let (_daemon, port) = daemon(&peer, &["--tls-cert", &pair]);
    let mut stream = secure(port, "localhost", &authority.client(BOTH, None)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 426 "));
}

/// What the operator sees of it.
#[test]
fn certificates_and_handshakes_are_shown() {
    let (authority, peer) = (Authority::new(), Peer::echo());
    let pair = authority.pair("localhost", 2060);
    let (daemon, port) = daemon(&peer, &["--tls-cert", &pair, "--admin", "127.0.0.1:0"]);
    let mut client = Wss::connect(port, "localhost", &authority.client(BOTH, None));
    client.echoes(b"over TLS");
    let mut stream = open(port);
    stream.write_all(BASE.as_bytes()).unwrap();
    read_to_end(&mut stream);
    daemon.wait_for_log("it speaks plain HTTP");
    let line = daemon.wait_for_log("admin pages on 127.0.0.1:");
    let admin = line.rsplit_once(':').unwrap().1.parse().unwrap();
    let page = |path: &str| {
        let mut stream = open(admin);
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        String::from_utf8(read_to_end(&mut stream).0).unwrap()
    };
    let refusals = page("/refusals");
    let reason = "its TLS failed; client: it speaks plain HTTP, on a port for TLS";
    assert!(refusals.contains("client-tls-failed") && refusals.contains(reason), "{refusals}");
    let text = page("/metrics");
    let end = format!("websocksy_certificate_expiry_seconds{{certificate=\"{pair}\"}} 2840140800");
    for expected in [&*end, "websocksy_tls_handshake_seconds_count 1"] {
        assert!(text.lines().any(|line| line == expected), "{expected} in {text}");
    }
    client.close().unwrap();
}
