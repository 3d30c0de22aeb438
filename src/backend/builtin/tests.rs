use super::*;
use crate::proto::{handshake, http};

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    for (key, value) in pairs {
        settings.set(key, value).unwrap();
    }
    settings
}

fn client(protocols: &str) -> Upgrade {
    let mut head = String::from(
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    );
    if !protocols.is_empty() {
        head += &format!("Sec-WebSocket-Protocol: {protocols}\r\n");
    }
    let mut parser = http::HeadParser::new();
    parser.push((head + "\r\n").as_bytes()).unwrap();
    handshake::judge(parser.finish(), &[]).unwrap()
}

#[test]
fn c52_the_peer() {
    for (pairs, expected) in [
        (&[][..], "tcp://localhost:5900"),
        (&[("host", "tcp://h:1234")], "tcp://h:1234"),
        (&[("host", "h")], "tcp://h:5900"),
        (&[("port", "1")], "tcp://localhost:1"),
        (&[("host", "tcp://h:1234"), ("port", "1")], "tcp://h:1"),
        (&[("port", "1"), ("host", "tcp://h:1234")], "tcp://h:1"),
        (&[("host", "tcp://[::1]")], "tcp://[::1]:5900"),
        (&[("host", "udp://h")], "udp://h:5900"),
        (&[("host", "unix:///run/s")], "unix:///run/s"),
        (&[("host", "a"), ("host", "b")], "tcp://b:5900"),
    ] {
        let mut settings = settings(pairs);
        assert_eq!(settings.check(), Ok(()), "{pairs:?}");
        let answer = settings.query(&client("")).unwrap();
        assert_eq!(answer.target.to_string(), expected, "{pairs:?}");
    }
}

#[test]
fn the_subprotocol() {
    for (wanted, offered, expected) in [
        (None, "a", None),
        (Some("*"), "", None),
        (Some("*"), "a, b", Some(0)),
        (Some("b"), "a, b", Some(1)),
        (Some("b"), "a", None),
        (Some("B"), "b", None), // RFC 6455 §4.1: compared as they are
        (Some(""), "a", None),
    ] {
        let pairs: Vec<_> = wanted.iter().map(|wanted| ("protocol", *wanted)).collect();
        let answer = settings(&pairs).query(&client(offered)).unwrap();
        assert_eq!(answer.protocol, expected, "{wanted:?} {offered}");
    }
}

#[test]
fn the_framing() {
    for (pairs, expected) in [
        (&[][..], "Selection { framing: \"auto\", config: None }"),
        (&[("framing", "newline")], "Selection { framing: \"newline\", config: None }"),
        (
            &[("framing-config", "\\n"), ("framing", "separator")],
            "Selection { framing: \"separator\", config: Some(\"\\\\n\") }",
        ),
    ] {
        let answer = settings(pairs).query(&client("")).unwrap();
        assert_eq!(format!("{:?}", answer.framing), expected);
    }
}

#[test]
fn c62_unknown_keys_are_refused() {
    for key in ["", "Host", "framing_config", "peer"] {
        let refused = Settings::default().set(key, "x");
        assert_eq!(refused, Err(ConfigureError::Key(key.into())));
    }
}

#[test]
fn a_bad_configuration_is_refused_at_the_start() {
    for (pairs, expected) in [
        (&[("host", "")][..], "the peer's host is empty"),
        (&[("host", "http://h")], "the peer's scheme \"http\" is unknown"),
        (
            &[("port", "no-such")],
            "port \"no-such\" is neither a number from 1 to 65535 nor a service",
        ),
        (&[("framing", "nobody's")], "no framing is named \"nobody's\""),
        (&[("framing", "separator")], "framing separator needs bytes to look for"),
        (
            &[("framing", "newline"), ("framing-config", "\\n")],
            "framing newline knows crlf, lfcr, lf and cr, not \"\\\\n\"",
        ),
    ] {
        let mut settings = settings(pairs);
        assert_eq!(settings.check().unwrap_err().to_string(), expected, "{pairs:?}");
        assert!(settings.query(&client("")).is_err(), "{pairs:?}");
    }
}
