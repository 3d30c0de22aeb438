use super::*;
use crate::proto::{handshake, http};
use std::time::Instant;

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

/// The answer to a client that offers these subprotocols.
fn asked(settings: &mut Settings, protocols: &str) -> Answer {
    let upgrade = client(protocols);
    settings.query(&Asked { upgrade: &upgrade, client: None, now: Instant::now() }).unwrap()
}

#[test]
fn several_peers() {
    let pairs = [("host", "a"), ("port", "7"), ("host", "tcp://b:8"), ("host", "unix:///run/c")];
    let error = settings(&pairs).check().unwrap_err();
    assert_eq!(error.0, "port", "it means nothing to the last");
    let mut settings = settings(&[pairs[0], ("host", "tcp://b:8"), pairs[3], ("balance", "first")]);
    assert_eq!(settings.check(), Ok(()));
    let answer = asked(&mut settings, "");
    let peers = [&answer.target].into_iter().chain(&answer.further).map(ToString::to_string);
    assert_eq!(peers.collect::<Vec<_>>(), ["tcp://a:5900", "tcp://b:8", "unix:///run/c"]);
}

#[test]
fn several_peers_that_cannot_be() {
    for (pairs, place, expected) in [
        (&[("host", "a"), ("host", "a:5900")][..], Some(1), "tcp://a:5900 is given twice"),
        (&[("host", "a"), ("host", ""), ("host", "c")], Some(1), "the peer's host is empty"),
    ] {
        let (key, error) = settings(pairs).check().unwrap_err();
        let found = (key, error.place(), error.to_string());
        assert_eq!(found, ("host", place, expected.into()), "{pairs:?}");
    }
    for (key, value) in [("balance", "even"), ("retry-after", "-1"), ("retry-after", "99999999")] {
        let error = Settings::default().set(key, value).unwrap_err();
        assert!(error.to_string().contains(&format!("{value:?}")), "{error}");
    }
    let many: Vec<_> = (0..65).map(|number| format!("h{number}")).collect();
    let many: Vec<_> = many.iter().map(|host| ("host", &**host)).collect();
    assert_eq!(settings(&many).check(), Err(("host", ConfigureError::TooMany(64))));
}

#[test]
fn c52_the_peer() {
    for (pairs, expected) in [
        (&[][..], "tcp://localhost:5900"),
        (&[("host", "tcp://h:1234")], "tcp://h:1234"),
        (&[("host", "h")], "tcp://h:5900"),
        (&[("port", "1")], "tcp://localhost:1"),
        (&[("host", "tcp://h:1234"), ("port", "1234")], "tcp://h:1234"),
        (&[("host", "tcp://[::1]")], "tcp://[::1]:5900"),
        (&[("host", "udp://h")], "udp://h:5900"),
        (&[("host", "unix://@s")], "unix://@s"),
        (&[("host", "unix:///run/s")], "unix:///run/s"),
        (&[("host", "a"), ("host", "b")], "tcp://a:5900"),
    ] {
        let mut settings = settings(pairs);
        assert_eq!(settings.check(), Ok(()), "{pairs:?}");
        let answer = asked(&mut settings, "");
        assert_eq!(answer.target.to_string(), expected, "{pairs:?}");
    }
}

#[test]
fn f07_the_subprotocol() {
    for (wanted, offered, expected) in [
        // F7: a browser that offers some and gets none closes.
        (None, "", None),
        (None, "a", Some(0)),
        (None, "base64, Binary", Some(1)),
        (None, "base64, a, binary", Some(2)),
        (None, "BASE64, mqttv3.1", Some(1)),
        (None, "base64", None),
        (Some("none"), "binary", None),
        (Some("*"), "", None),
        (Some("*"), "a, b", Some(0)),
        (Some("b"), "a, b", Some(1)),
        (Some("b"), "a", None),
        (Some("B"), "b", Some(0)),
        (Some("mqttv3.1"), "mqtt, MQTTv3.1", Some(1)),
        (Some(""), "a", None),
    ] {
        let pairs: Vec<_> = wanted.iter().map(|wanted| ("protocol", *wanted)).collect();
        let answer = asked(&mut settings(&pairs), offered);
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
        let answer = asked(&mut settings(pairs), "");
        assert_eq!(format!("{:?}", answer.framing), expected);
    }
}

#[test]
fn c62_unknown_keys_are_refused() {
    for key in ["", "Host", "framing_config", "peer"] {
        let refused = Settings::default().set(key, "x").unwrap_err();
        assert_eq!(refused, ConfigureError::Key(key.into()));
        for key in ["host", "port", "protocol", "framing", "framing-config"] {
            assert!(refused.to_string().contains(key), "O2: {refused} names what there is");
        }
    }
}

#[test]
fn o1_o2_a_bad_configuration_is_refused_with_its_key() {
    let tls = if cfg!(feature = "tls") { " tls://," } else { "" };
    let schemes = format!("tcp://,{tls} udp://, unix://, unix-dgram://, fifotx://, fiforx://");
    for (pairs, key, expected) in [
        (&[("host", "")][..], "host", "the peer's host is empty".to_owned()),
        (
            &[("host", "http://h")],
            "host",
            format!("the peer's scheme \"http\" is unknown; there are {schemes}"),
        ),
        (
            &[("port", "no-such")],
            "port",
            "port \"no-such\" is neither a number from 1 to 65535 nor a service".into(),
        ),
        (
            &[("host", "tcp://h:1234"), ("port", "1")],
            "port",
            "is 1, and host says 1234; one of them is enough".into(),
        ),
        (
            &[("port", "1"), ("host", "unix:///run/s")],
            "port",
            "means nothing to unix:///run/s".into(),
        ),
        (
            &[("framing", "nobody's")],
            "framing",
            "no framing is named \"nobody's\"; there are auto, binary, separator, newline and \
             rfc6455, and those of plug-ins (--plugins DIR)"
                .into(),
        ),
        (
            &[("framing", "separator")],
            "framing",
            "framing separator needs bytes to look for, as \
             framing-config"
                .into(),
        ),
        (
            &[("framing", "newline"), ("framing-config", "\\n")],
            "framing-config",
            "framing newline knows crlf, lfcr, lf and cr, not \"\\\\n\"; before them may stand add:, \
             text: and strip:, as in add:crlf"
                .into(),
        ),
        (
            &[("framing-config", "lf")],
            "framing-config",
            "framing auto takes no configuration but \
             text, not \"lf\""
                .into(),
        ),
    ] {
        let mut settings = settings(pairs);
        let (named, error) = settings.check().unwrap_err();
        assert_eq!((named, error.to_string()), (key, expected), "{pairs:?}");
    }
}
