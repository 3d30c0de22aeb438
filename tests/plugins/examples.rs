//! The examples in C, compiled by their own makefile.

use super::{Innocent, address, connect, refused, request};
use crate::common::plugins::bundled;
use crate::common::{Client, Daemon, Peer};

#[test]
fn route_finds_the_peer_of_an_endpoint() {
    let echo = Peer::echo();
    let route = format!("/echo={}", address(&echo));
    let daemon = Daemon::start(&["--plugins", bundled(), "-b", "route", "-c", &route]);
    let mut session = Innocent(connect(&daemon, &request("/echo?with=query", &[])));
    session.goes_on();
    for endpoint in ["/", "/ech", "/echoes", "/echo/"] {
        assert_eq!(refused(&daemon, &request(endpoint, &[])).status, 404, "{endpoint}");
    }
}

#[test]
fn route_says_that_a_peer_is_away() {
    let daemon = Daemon::start(&["--plugins", bundled(), "-b", "route", "-c", "/away=-"]);
    let refusal = refused(&daemon, &request("/away", &[]));
    assert_eq!((refusal.status, &refusal.rest[..]), (503, &b"this peer is away\n"[..]));
    assert_eq!(refusal.values("retry-after"), ["60"]);
    daemon.wait_for_log("refused with 503: back end: refused: this peer is away");
}

#[test]
fn netstring_frames_both_ways() {
    for (config, kind) in [("text", 1), ("binary", 2)] {
        let echo = Peer::echo();
        let config = format!("framing-config={config}");
        let daemon = Daemon::before(&echo, "netstring", &["--plugins", bundled(), "-c", &config]);
        let mut client = Client::connect(daemon.port());
        let long = "\u{e9}".repeat(100_000); // a part ends in the middle of a character
        for message in ["hello", "5:hello,", "\u{e9}", &"x".repeat(16_000), &long] {
            client.frame(0x81, message.as_bytes());
            assert_eq!(client.message(), (kind, message.into()), "{config}");
        }
        assert_eq!(client.close_now(), Some(1000));
    }
}

#[test]
fn netstring_reports_nonsense() {
    let peer = Peer::speaks(b"3:abc,3:abcd".to_vec());
    let daemon = Daemon::before(&peer, "netstring", &["--plugins", bundled()]);
    let mut client = Client::connect(daemon.port());
    assert_eq!(client.message(), (2, b"abc".to_vec()));
    assert_eq!(client.message(), (2, b"abc".to_vec()));
    assert_eq!(client.end(), Some(1011));
}
