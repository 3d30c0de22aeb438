//! Back ends and framings that break the contract, each beside an innocent session.
//!
//! `tests/abi/backend.c` answers as the request's fields say, and `tests/abi/framing.c` has a
//! framing that returns what its configuration says.

use super::{Fields, Innocent, address, connect, refused, request, text};
use crate::common::plugins::{compile, scratch};
use crate::common::{Daemon, Event, Peer, eventually, open, upgrade};
use std::time::Duration;

/// The daemon with the obedient back end and framing, and a session that echoes.
struct Stage {
    innocent: Innocent, // gone before the daemon, which counts who is left
    daemon: Daemon,
    _echo: Peer,
}

impl Stage {
    fn set(test: &str) -> Self {
        let directory = scratch(test);
        compile(&directory, "backend_told.so", "abi/backend.c", &[]);
        compile(&directory, "framing.so", "abi/framing.c", &[]);
        let daemon = Daemon::start(&["--plugins", text(&directory), "-b", "told"]);
        let echo = Peer::echo();
        let fields = [("Peer-Host", address(&echo)), ("Framing", "binary".into())];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let innocent = Innocent(connect(&daemon, &request("/", &fields)));
        Self { innocent, daemon, _echo: echo }
    }

    /// Lines of the log with these words.
    fn logged(&self, words: &str) -> usize {
        self.daemon.log().iter().filter(|line| line.contains(words)).count()
    }
}

/// G07, G11 to G13, C-52, C-53: answers that name no peer.
#[test]
fn answers_that_name_no_peer() {
    let cases: &[(Fields<'_>, u16)] = &[
        (&[], 404),
        (&[("Peer-Host", "*0")], 502),
        (&[("Peer-Host", "tcp://h")], 502),
        (&[("Peer-Host", "tcp://[::1")], 502),
        (&[("Peer-Host", "tcp://127.0.0.1:99999")], 502),
        (&[("Peer-Host", "gopher://127.0.0.1:1")], 502),
        (&[("Peer-Host", "unix:///no/such/socket")], 502),
        (&[("Peer-Host", "127.0.0.1"), ("Peer-Port", "1"), ("Transport", "7")], 500),
        (&[("Peer-Host", "127.0.0.1"), ("Peer-Port", "1"), ("Transport", "99")], 500),
        (&[("Peer-Host", "127.0.0.1"), ("Peer-Port", "1"), ("Transport", "4294967295")], 500),
        (&[("Peer-Host", "*1000000")], 500),
        (&[("Peer-Host", "tcp://127.0.0.1:1"), ("Framing-Config", "*1000000")], 500),
        (&[("Peer-Host", "tcp://\\xff:1")], 500),
        (&[("Peer-Host", "tcp://h\\x0d\\x0aX: y:1")], 500),
    ];
    let mut stage = Stage::set("no-peer");
    for (fields, status) in cases {
        let answer = refused(&stage.daemon, &request("/", fields));
        assert_eq!(answer.status, *status, "{fields:?}");
        assert!(answer.values("x").is_empty());
        stage.innocent.goes_on();
    }
}

/// G12: an index that is none of the offered subprotocols agrees on none.
#[test]
fn subprotocols_that_were_not_offered() {
    let mut stage = Stage::set("subprotocols");
    let echo = Peer::echo();
    let host = address(&echo);
    let cases = [("0", "a"), ("1", "b"), ("2", ""), ("3", ""), ("18446744073709551615", "")];
    for (index, agreed) in cases {
        let fields =
            [("Peer-Host", host.as_str()), ("Protocol", index), ("Sec-WebSocket-Protocol", "a, b")];
        let mut stream = open(stage.daemon.port());
        let upgrade = upgrade(&mut stream, request("/", &fields).as_bytes());
        assert_eq!(upgrade.values("sec-websocket-protocol").concat(), agreed, "{index}");
        stage.innocent.goes_on();
    }
}

/// G01, G03, G05, C-26, C-65: framings that return what they must not: 1011 and one line each, and
/// no time is spent on it.
#[test]
fn framings_that_break_the_contract() {
    // Relative to the three bytes there are. An encoder reads the same and takes it for "none".
    let configs = [
        "n1",
        "n9223372036854775804",
        "n16385",
        "n-4",
        "n-9",
        "n-9223372036854775808",
        "n0 0",
        "n0 3",
        "n0 8",
        "n0 9",
        "n0 10",
        "n0 12",
        "n0 0x77",
        "n0 2147483648",
        "n0 4294967295",
    ];
    let peer = Peer::speaks(b"abc".to_vec());
    let host = address(&peer);
    let mut stage = Stage::set("contract");
    for (index, config) in configs.into_iter().enumerate() {
        let fields =
            [("Peer-Host", host.as_str()), ("Framing", "obedient"), ("Framing-Config", config)];
        let mut client = connect(&stage.daemon, &request("/", &fields));
        assert_eq!(client.end(), Some(1011), "{config}");
        drop(client);
        stage.innocent.goes_on();
        eventually("a line", || stage.logged("framing obedient ") > index);
        assert_eq!(stage.logged("framing obedient "), index + 1, "{config}");
    }
    let before = stage.daemon.cpu_ms();
    std::thread::sleep(Duration::from_millis(500));
    assert!(stage.daemon.cpu_ms() - before <= 50);
}

/// G02, G04: a framing that never finds a message, and one that wants none.
#[test]
fn framings_without_messages() {
    let mut stage = Stage::set("without");
    // Not a full buffer: what there is comes at the end.
    let peer = Peer::speaks(vec![b'x'; 1_000]);
    let host = address(&peer);
    let fields = |config| {
        [("Peer-Host", host.as_str()), ("Framing", "obedient"), ("Framing-Config", config)]
    };
    let mut client = connect(&stage.daemon, &request("/", &fields("0")));
    assert_eq!(client.message(), (2, vec![b'x'; 1_000]));
    assert_eq!(client.end(), Some(1000));
    let mut client = connect(&stage.daemon, &request("/", &fields("n0 11")));
    let event = client.event();
    assert!(matches!(event, Event::Close(Some(1000), _)), "{event:?}");
    // A full one: there is no way on.
    let flood = Peer::speaks(vec![b'x'; 200_000]);
    let host = address(&flood);
    let fields = [("Peer-Host", host.as_str()), ("Framing", "obedient"), ("Framing-Config", "0")];
    let mut client = connect(&stage.daemon, &request("/", &fields));
    assert_eq!(client.end(), Some(1009));
    stage.innocent.goes_on();
}

/// Encoders that break it: 500 when they do so before the session starts, else 1011.
#[test]
fn encoders_that_break_the_contract() {
    let echo = Peer::echo();
    let host = address(&echo);
    let mut stage = Stage::set("encoders");
    // The configuration is both the framing's and the encoder's: mode, prefix, suffix.
    let fields = |config| {
        [("Peer-Host", host.as_str()), ("Framing", "obedient"), ("Framing-Config", config)]
    };
    for config in ["-1 0 0", "3 0 0"] {
        assert_eq!(refused(&stage.daemon, &request("/", &fields(config))).status, 500, "{config}");
        stage.innocent.goes_on();
    }
    for config in ["2 17 0", "2 0 65", "1 17 0"] {
        let mut client = connect(&stage.daemon, &request("/", &fields(config)));
        client.frame(0x82, b"abc");
        assert_eq!(client.end(), Some(1011), "{config}");
        stage.innocent.goes_on();
    }
}
